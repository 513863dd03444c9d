/*
 * characters.c
 *	  Reading text by characters where the readers of values must tell a blank, a
 *	  dash or a currency sign beyond ASCII; and the splitting of people's names.
 *
 *	  Trimming and clipping live in src/text.c.
 */
#include "crmio.h"

#include "import/kinds.h"
#include "mb/pg_wchar.h"

/* Stands for a character whose code point is not known. */
#define CODE_UNKNOWN	0xFFFD

/*
 * Code point of a byte beyond ASCII in a single-byte encoding, as far as the
 * readers of values look at such characters: blanks, currency signs, quotes.
 */
static uint32
single_byte_code(unsigned char byte)
{
	switch (GetDatabaseEncoding())
	{
		case PG_LATIN1:
			return byte;
		case PG_LATIN9:
			return byte == 0xA4 ? 0x20AC : byte;
		case PG_WIN1252:
		case PG_WIN1250:
		case PG_WIN1254:
		case PG_WIN1257:
		case PG_WIN1258:
			if (byte == 0x80)
				return 0x20AC;
			if (byte == 0x92)
				return 0x2019;
			if (byte == 0xA0 || byte == 0xA3 || byte == 0xA5)
				return byte;
			return CODE_UNKNOWN;
		default:
			return CODE_UNKNOWN;
	}
}

/*
 * The code point at *text, which moves on to the next character; 0 at the end.
 */
uint32
crmio_next_code(const char **text)
{
	const unsigned char *c = (const unsigned char *) *text;
	int			length;

	if (*c < 0x80)
	{
		if (*c != '\0')
			(*text)++;
		return *c;
	}
	if (GetDatabaseEncoding() == PG_UTF8)
	{
		*text += pg_utf_mblen(c);
		return utf8_to_unicode(c);
	}
	length = pg_mblen(*text);
	*text += length;
	return length == 1 ? single_byte_code(*c) : CODE_UNKNOWN;
}

/*
 * White space of any script, and the characters that take no room.
 */
bool
crmio_is_blank_code(uint32 code)
{
	if (code < 0x80)
		return code == ' ' || (code >= '\t' && code <= '\r');
	return code == 0x85 || code == 0xA0 || code == 0x1680 ||
		(code >= 0x2000 && code <= 0x200F) ||
		(code >= 0x2028 && code <= 0x202F) ||
		(code >= 0x205F && code <= 0x2064) ||
		code == 0x3000 || code == 0xFEFF;
}

/*
 * The first character that is not white space.
 */
const char *
crmio_skip_blanks(const char *text)
{
	const char *next = text;

	while (crmio_is_blank_code(crmio_next_code(&next)))
		text = next;
	return text;
}

/*
 * Is there white space or a control character anywhere?
 */
bool
crmio_has_blank_or_control(const char *text)
{
	uint32		code;

	while ((code = crmio_next_code(&text)) != 0)
	{
		if (code < ' ' || code == 0x7F || crmio_is_blank_code(code))
			return true;
	}
	return false;
}

/*
 * A trimmed copy of the text from start to end, or NULL if nothing is left.
 */
static char *
name_part(const char *start, const char *end)
{
	char	   *part = crmio_trim(pnstrdup(start, end - start));

	return *part == '\0' ? NULL : part;
}

/*
 * Splits a person's name.  "Last, First" at its first comma; otherwise the last
 * word is the last name, and a single word the first name.
 */
void
crmio_split_name(const char *name, char **first_name, char **last_name)
{
	char	   *copy = crmio_trim(pstrdup(name));
	const char *end = copy + strlen(copy);
	const char *comma = strchr(copy, ',');
	const char *last_blank = NULL;
	const char *c = copy;

	*first_name = *last_name = NULL;
	if (comma != NULL)
	{
		*last_name = name_part(copy, comma);
		*first_name = name_part(comma + 1, end);
		return;
	}

	while (*c != '\0')
	{
		const char *here = c;

		if (crmio_is_blank_code(crmio_next_code(&c)))
			last_blank = here;
	}
	if (last_blank == NULL)
		*first_name = name_part(copy, end);
	else
	{
		*first_name = name_part(copy, last_blank);
		crmio_next_code(&last_blank);
		*last_name = name_part(last_blank, end);
	}
}

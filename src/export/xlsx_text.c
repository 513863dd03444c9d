/*
 * xlsx_text.c
 *	  Text of cells, names of sheets, and digits of numbers for xlsx.c.
 */
#include "export/xlsx.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

/* Most characters of a sheet's name. */
#define MAX_SHEET_NAME 31

/* Characters of a line that is broken: words are not as long as the line is wide. */
#define BROKEN_WIDTH (XLSX_MAX_WIDTH - 6)

/* Room for the mark at the end of a value that was cut. */
#define MAX_MARK 64

/*
 * Does an escape of the file format begin here?  Spreadsheets read _x0041_ as "A".
 */
static bool
looks_escaped(const char *text, const char *end)
{
	if (end - text < 7 || text[1] != 'x' || text[6] != '_')
		return false;
	for (int i = 2; i < 6; i++)
		if (!isxdigit((unsigned char) text[i]))
			return false;
	return true;
}

/*
 * The length of a character of UTF-8 that is complete.
 */
static inline int
character_length(const char *text)
{
	return pg_utf_mblen((const unsigned char *) text);
}

/*
 * Appends a character that stays as it is, and returns how many of UTF-16 it is.
 */
static inline int
append_character(StringInfo out, const char *text, int length)
{
	appendBinaryStringInfo(out, text, length);
	return length == 4 ? 2 : 1;
}

/*
 * Appends the character at *text, in the format's escape if XML can't carry it, and
 * moves past it.  Line ends become LF, as spreadsheets have them.  Returns the
 * number of characters of UTF-16 that it takes.
 */
static int
append_escaped(StringInfo out, const char **text, const char *end)
{
	const char *c = *text;
	int			length = character_length(c);

	*text += length;
	if (*c == '\r')
	{
		if (*text < end && **text == '\n')
			(*text)++;
		appendStringInfoChar(out, '\n');
		return 1;
	}
	if ((unsigned char) *c < 0x20 && *c != '\t' && *c != '\n')
	{
		appendStringInfo(out, "_x%04X_", (unsigned char) *c);
		return 7;
	}
	if (*c == '_' && looks_escaped(c, end))
	{
		appendStringInfoString(out, "_x005F_");
		return 7;
	}
	/* U+FFFE and U+FFFF, which are no characters */
	if (length == 3 && memcmp(c, "\xEF\xBF", 2) == 0 && (unsigned char) c[2] >= 0xBE)
	{
		appendStringInfo(out, "_xFFF%c_", (unsigned char) c[2] == 0xBE ? 'E' : 'F');
		return 7;
	}
	return append_character(out, c, length);
}

/*
 * How many lines a line of this width takes in the widest column.
 */
static inline int
broken_lines(int width)
{
	return width <= XLSX_MAX_WIDTH ? 1 : (width + BROKEN_WIDTH - 1) / BROKEN_WIDTH;
}

/*
 * Makes a text of the database ready for a cell.  What is longer than a cell may be
 * is cut, and ends in a mark that says so.
 */
void
crmio_xlsx_text(XlsxText *cell, const char *text, size_t length)
{
	char	   *utf8 = pg_server_to_any(text, length, PG_UTF8);
	const char *c = utf8;
	const char *end;
	StringInfoData out;
	int			units = 0;
	int			cut_at = 0;
	int			width = 0;

	end = utf8 + (utf8 == text ? length : strlen(utf8));
	memset(cell, 0, sizeof(*cell));
	initStringInfo(&out);
	while (c < end && units <= XLSX_MAX_CELL)
	{
		const char *start = c;

		if (units <= XLSX_MAX_CELL - MAX_MARK)
			cut_at = out.len;
		units += append_escaped(&out, &c, end);
		if (*start == '\n' || *start == '\r')
		{
			cell->nlines += broken_lines(width);
			width = 0;
		}
		else
			width += (unsigned char) *start < 0x80 ? 1 :
				Max(pg_encoding_dsplen(PG_UTF8, start), 0);
		cell->width = Max(cell->width, width);
	}
	cell->nlines += broken_lines(width);
	if (units > XLSX_MAX_CELL)
	{
		cell->cut = true;
		out.len = cut_at;
		appendStringInfo(&out, "... [cut: %d characters in all]",
						 pg_mbstrlen_with_len(text, length));
	}
	cell->data = out.data;
}

/*
 * The name of a sheet, from the title of the export in UTF-8 and the sheet's number:
 * without the characters that names can't have, and short enough.
 */
char *
crmio_xlsx_sheet_name(const char *title, int number)
{
	char		suffix[16] = "";
	StringInfoData out;
	int			units = 0;
	int			room;

	if (number > 1)
		snprintf(suffix, sizeof(suffix), " (%d)", number);
	room = MAX_SHEET_NAME - strlen(suffix);

	initStringInfo(&out);
	for (const char *c = title; *c != '\0';)
	{
		int			length = character_length(c);

		units += length == 4 ? 2 : 1;
		if (units > room)
			break;
		if (strchr("[]:*?/\\", *c) != NULL)
			appendStringInfoChar(&out, '-');
		else
			append_character(&out, c, length);
		c += length;
	}

	/* an apostrophe may not stand at either end, and "History" is Excel's own */
	if (out.len > 0 && out.data[0] == '\'')
		out.data[0] = '-';
	if (out.len > 0 && out.data[out.len - 1] == '\'')
		out.data[out.len - 1] = '-';
	if (crmio_is_blank(out.data) || pg_strcasecmp(out.data, "history") == 0)
	{
		resetStringInfo(&out);
		appendStringInfoString(&out, "Export");
	}
	appendStringInfoString(&out, suffix);
	return out.data;
}

/*
 * The number of significant digits of a decimal number, or -1 if it is none (NaN,
 * infinity); *decimals: how many stand behind the point.
 */
int
crmio_number_digits(const char *text, int *decimals)
{
	int			digits = 0;
	int			zeros = 0;		/* behind the last other digit */
	bool		point = false;

	*decimals = 0;
	if (*text == '-')
		text++;
	if (!isdigit((unsigned char) *text) && *text != '.')
		return -1;
	for (; *text != '\0' && *text != 'e' && *text != 'E'; text++)
	{
		if (*text == '.')
		{
			point = true;
			continue;
		}
		if (!isdigit((unsigned char) *text))
			return -1;
		if (point)
			(*decimals)++;
		if (*text == '0')
		{
			if (digits > 0)
				zeros++;
		}
		else
		{
			digits += zeros + 1;
			zeros = 0;
		}
	}
	return digits;
}

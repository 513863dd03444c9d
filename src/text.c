/*
 * text.c
 *	  Names and values as people read and write them: clipping for messages,
 *	  trimming, lower case, comparison of names, closest names, tables by name.
 *
 * All text is NUL-terminated and valid in the database encoding.  No server
 * encoding has ASCII bytes inside a multibyte character, so loops over bytes may
 * look for ASCII without decoding.
 */
#include "crmio.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/varlena.h"

/* Longest piece of a value that a message shows, in characters. */
#define CLIP_LENGTH		100

/* Names further apart than this are not a misspelling of each other. */
#define CLOSEST_MAX		4

/* varstr_levenshtein refuses longer strings. */
#define LEVENSHTEIN_MAX_BYTES	255

#define IS_ASCII_BLANK(c)	((c) == ' ' || ((c) >= '\t' && (c) <= '\r'))

/*
 * A copy of a value for a message: at most CLIP_LENGTH characters, on one line.
 */
char *
crmio_clip(const char *text)
{
	int			length = strnlen(text, (CLIP_LENGTH + 1) * MAX_MULTIBYTE_CHAR_LEN);
	int			clipped = pg_mbcharcliplen(text, length, CLIP_LENGTH);
	char	   *result = palloc(clipped + sizeof("..."));

	memcpy(result, text, clipped);
	strcpy(result + clipped, clipped < length ? "..." : "");
	for (char *c = result; *c; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7F)
			*c = ' ';
	}
	return result;
}

/*
 * The white space that database encodings other than UTF8 have beyond ASCII:
 * byte 0xA0, the no-break space, in the families ISO 8859 and Windows 125x.
 */
static bool
encoding_has_a0_blank(int encoding)
{
	switch (encoding)
	{
		case PG_LATIN1:
		case PG_LATIN2:
		case PG_LATIN3:
		case PG_LATIN4:
		case PG_LATIN5:
		case PG_LATIN6:
		case PG_LATIN7:
		case PG_LATIN8:
		case PG_LATIN9:
		case PG_LATIN10:
		case PG_ISO_8859_5:
		case PG_ISO_8859_6:
		case PG_ISO_8859_7:
		case PG_ISO_8859_8:
		case PG_WIN1250:
		case PG_WIN1251:
		case PG_WIN1252:
		case PG_WIN1253:
		case PG_WIN1254:
		case PG_WIN1255:
		case PG_WIN1256:
		case PG_WIN1257:
		case PG_WIN1258:
		case PG_WIN874:
			return true;
		default:
			return false;
	}
}

/*
 * Length in bytes of the white space character beyond ASCII at `text`, of which
 * `length` bytes may be looked at; 0 if there is none.  In UTF8: U+00A0,
 * U+2000-200A, U+202F, U+3000 and the zero-width U+FEFF.
 */
static int
wide_blank(const unsigned char *text, size_t length)
{
	int			encoding = GetDatabaseEncoding();

	if (encoding != PG_UTF8)
		return length >= 1 && text[0] == 0xA0 && encoding_has_a0_blank(encoding) ? 1 : 0;
	if (length >= 2 && text[0] == 0xC2 && text[1] == 0xA0)
		return 2;
	if (length < 3)
		return 0;
	if (text[0] == 0xE2 && text[1] == 0x80 &&
		((text[2] >= 0x80 && text[2] <= 0x8A) || text[2] == 0xAF))
		return 3;
	if (text[0] == 0xE3 && text[1] == 0x80 && text[2] == 0x80)
		return 3;
	if (text[0] == 0xEF && text[1] == 0xBB && text[2] == 0xBF)
		return 3;
	return 0;
}

/*
 * Length in bytes of the white space beyond ASCII that ends at `end`, but starts
 * not before `start`; 0 if there is none.  Reading UTF8 backwards is safe here:
 * each of these sequences begins with a lead byte.
 */
static int
wide_blank_before(const unsigned char *start, const unsigned char *end)
{
	if (end - start >= 1 && wide_blank(end - 1, 1) == 1)
		return 1;
	if (end - start >= 2 && wide_blank(end - 2, 2) == 2)
		return 2;
	if (end - start >= 3 && wide_blank(end - 3, 3) == 3)
		return 3;
	return 0;
}

/*
 * Strips white space at both ends.  Cuts the end off in place, and returns where
 * the rest starts, inside `text`.
 */
char *
crmio_trim(char *text)
{
	unsigned char *start = (unsigned char *) text;
	unsigned char *end;

	for (;;)
	{
		int			n;

		if (IS_ASCII_BLANK(*start))
			start++;
		else if (*start >= 0x80 &&
				 (n = wide_blank(start, strnlen((char *) start, 3))) > 0)
			start += n;
		else
			break;
	}

	end = start + strlen((char *) start);
	while (end > start)
	{
		int			n;

		if (IS_ASCII_BLANK(end[-1]))
			end--;
		else if (end[-1] >= 0x80 && (n = wide_blank_before(start, end)) > 0)
			end -= n;
		else
			break;
	}
	if (*end != '\0')
		*end = '\0';
	return (char *) start;
}

/*
 * Is there nothing but white space?
 */
bool
crmio_is_blank(const char *text)
{
	const unsigned char *c = (const unsigned char *) text;

	while (*c)
	{
		int			n;

		if (IS_ASCII_BLANK(*c))
			c++;
		else if (*c >= 0x80 && (n = wide_blank(c, strnlen((const char *) c, 3))) > 0)
			c += n;
		else
			return false;
	}
	return true;
}

/*
 * Does the collation lower ASCII text just as C does?  (Turkish does not.)  All
 * ASCII characters are tried at once: rules that depend on the neighbours, such
 * as the Greek final sigma, exist for other characters only.
 */
static bool
lowers_ascii_simply(Oid collation)
{
	static Oid	known = InvalidOid;
	static bool simply;
	char		ascii[128];
	char	   *lower;

	if (collation == known)
		return simply;

	for (int i = 0; i < 127; i++)
		ascii[i] = (char) (i + 1);
	ascii[127] = '\0';
	lower = str_tolower(ascii, 127, collation);
	simply = strlen(lower) == 127;
	for (int i = 0; i < 127 && simply; i++)
		simply = lower[i] == (char) pg_ascii_tolower((unsigned char) ascii[i]);
	pfree(lower);
	known = collation;
	return simply;
}

/*
 * Writes the lower-case form of ASCII text, which needs no look at the locale; false if
 * there is other text, or the collation has ideas of its own about ASCII.
 */
static bool
lower_ascii(char *to, const char *bytes, size_t length, Oid collation)
{
	if (!lowers_ascii_simply(collation))
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (IS_HIGHBIT_SET(bytes[i]))
			return false;
		to[i] = pg_ascii_tolower((unsigned char) bytes[i]);
	}
	return true;
}

/*
 * Lower case, as the SQL function lower() gives it under the collation;
 * InvalidOid stands for the database's.
 */
char *
crmio_lower(const char *text, Oid collation)
{
	size_t		length = strlen(text);
	char	   *result = palloc(length + 1);

	if (!OidIsValid(collation))
		collation = DEFAULT_COLLATION_OID;
	result[length] = '\0';
	if (lower_ascii(result, text, length, collation))
		return result;
	pfree(result);
	return str_tolower(text, length, collation);
}

/*
 * The same for some bytes, as a text value.
 */
text *
crmio_lower_text(const char *bytes, size_t length, Oid collation)
{
	text	   *result = palloc(VARHDRSZ + length);
	char	   *lower;

	if (!OidIsValid(collation))
		collation = DEFAULT_COLLATION_OID;
	SET_VARSIZE(result, VARHDRSZ + length);
	if (lower_ascii(VARDATA(result), bytes, length, collation))
		return result;
	pfree(result);
	lower = str_tolower(bytes, length, collation);
	result = cstring_to_text(lower);
	pfree(lower);
	return result;
}

/*
 * A name reduced to what people mean by it: lower case, letters and digits of any
 * script; blanks, underscores, dots, hyphens and other ASCII punctuation dropped.
 * "E-mail Address" and "email_address" both give "emailaddress".
 */
char *
crmio_name_key(const char *name)
{
	const unsigned char *c = (const unsigned char *) name;
	char	   *key = palloc(strlen(name) + 1);
	char	   *end = key;
	bool		ascii = true;
	int			n;

	while (*c)
	{
		if (*c < 0x80)
		{
			/* ASCII is lowered here, so that a Turkish "ID" is "id" */
			unsigned char lower = pg_ascii_tolower(*c++);

			if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9'))
				*end++ = lower;
		}
		else if ((n = wide_blank(c, strnlen((const char *) c, 3))) > 0)
			c += n;
		else
		{
			*end++ = *c++;
			ascii = false;
		}
	}
	*end = '\0';
	return ascii ? key : str_tolower(key, end - key, DEFAULT_COLLATION_OID);
}

/*
 * The candidate (of a List of char *) that `name` most likely was meant to be, or
 * NULL if none is near.  Case, blanks and punctuation do not count.
 */
const char *
crmio_closest(const char *name, List *candidates)
{
	const char *best = NULL;
	char	   *key = crmio_name_key(name);
	int			length = strlen(key);
	int			limit = Min(CLOSEST_MAX, pg_mbstrlen(key) / 2);
	ListCell   *lc;

	if (length == 0 || length > LEVENSHTEIN_MAX_BYTES)
		return NULL;
	foreach(lc, candidates)
	{
		const char *candidate = lfirst(lc);
		char	   *candidate_key = crmio_name_key(candidate);
		int			candidate_length = strlen(candidate_key);
		int			distance;

		if (candidate_length == 0 || candidate_length > LEVENSHTEIN_MAX_BYTES)
			continue;
		distance = varstr_levenshtein_less_equal(key, length, candidate_key,
												 candidate_length, 1, 1, 1,
												 limit, false);
		if (distance > limit)
			continue;
		best = candidate;
		if (distance == 0)
			break;
		limit = distance - 1;	/* from here on only a nearer one */
	}
	return best;
}

/*
 * The strings of a List of char *, one after the other.
 */
char *
crmio_join(List *strings, const char *separator)
{
	StringInfoData result;
	ListCell   *lc;

	initStringInfo(&result);
	foreach(lc, strings)
	{
		if (lc != list_head(strings))
			appendStringInfoString(&result, separator);
		appendStringInfoString(&result, (char *) lfirst(lc));
	}
	return result.data;
}

/*
 * A List of char * as text[].
 */
Datum
crmio_text_array(List *strings)
{
	Datum	   *elements = palloc(Max(list_length(strings), 1) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, strings)
		elements[n++] = CStringGetTextDatum((char *) lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Hashes a pointer to a text by the text.
 */
static uint32
text_hash(const void *key, Size keysize)
{
	const char *text = *(const char *const *) key;

	return DatumGetUInt32(hash_any((const unsigned char *) text, strlen(text)));
}

/*
 * Compares pointers to texts by the texts.
 */
static int
text_match(const void *key1, const void *key2, Size keysize)
{
	return strcmp(*(const char *const *) key1, *(const char *const *) key2);
}

/*
 * A hash table in the current memory context, whose entries begin with their key, a
 * char *.  The texts are not copied.
 */
HTAB *
crmio_text_table(const char *name, long expected, Size entrysize)
{
	HASHCTL		ctl = {.keysize = sizeof(char *),.entrysize = entrysize,
	.hash = text_hash,.match = text_match,.hcxt = CurrentMemoryContext};

	return hash_create(name, expected, &ctl, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

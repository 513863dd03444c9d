/*
 * encoding.c
 *	  Which encoding a file has: given by name, by its byte order mark, or found
 *	  by reading it; and decoding of UTF-16 and UTF-32.
 *
 * Conversion to the database encoding is done line by line in lines.c.
 */
#include "input/encoding.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#define SCAN_BLOCK	(256 * 1024)

/* Names of encodings that are not the server's, by crmio_name_key. */
typedef struct EncodingName
{
	const char *key;
	FileForm	form;
	int			encoding;
	const char *name;
	bool		any_order;		/* byte order by its mark */
} EncodingName;

static const EncodingName encoding_names[] = {
	{"utf16", FORM_UTF16LE, PG_UTF8, "UTF-16", true},
	{"utf16le", FORM_UTF16LE, PG_UTF8, "UTF-16LE", false},
	{"utf16be", FORM_UTF16BE, PG_UTF8, "UTF-16BE", false},
	{"utf32", FORM_UTF32LE, PG_UTF8, "UTF-32", true},
	{"utf32le", FORM_UTF32LE, PG_UTF8, "UTF-32LE", false},
	{"utf32be", FORM_UTF32BE, PG_UTF8, "UTF-32BE", false},
	{"utf8", FORM_BYTES, PG_UTF8, "UTF-8", false},
	{"windows1252", FORM_BYTES, PG_WIN1252, "WINDOWS-1252", false},
	{"win1252", FORM_BYTES, PG_WIN1252, "WINDOWS-1252", false},
	{"cp1252", FORM_BYTES, PG_WIN1252, "WINDOWS-1252", false},
	{"ansi", FORM_BYTES, PG_WIN1252, "WINDOWS-1252", false}
};

/* Byte order marks; the longer ones first where one begins with another. */
typedef struct ByteOrderMark
{
	const char *bytes;
	int			length;
	FileForm	form;
	const char *name;
} ByteOrderMark;

static const ByteOrderMark byte_order_marks[] = {
	{"\xFF\xFE\0\0", 4, FORM_UTF32LE, "UTF-32LE"},
	{"\0\0\xFE\xFF", 4, FORM_UTF32BE, "UTF-32BE"},
	{"\xFF\xFE", 2, FORM_UTF16LE, "UTF-16LE"},
	{"\xFE\xFF", 2, FORM_UTF16BE, "UTF-16BE"},
	{"\xEF\xBB\xBF", 3, FORM_BYTES, "UTF-8"}
};

/*
 * Reads as many bytes as there are, up to `length`.
 */
static size_t
read_fully(Source *source, char *buffer, size_t length)
{
	size_t		got = 0;
	size_t		n;

	while (got < length && (n = source->read(source, buffer + got, length - got)) > 0)
		got += n;
	return got;
}

/*
 * Raises the error for a name that is no encoding, with the nearest that is.
 */
static void
unknown_encoding(const char *name)
{
	List	   *names = NIL;
	const char *closest;

	for (int i = 0; i < lengthof(encoding_names); i++)
		names = lappend(names, pstrdup(encoding_names[i].name));
	for (int i = 0; i < _PG_LAST_ENCODING_; i++)
		names = lappend(names, pstrdup(pg_encoding_to_char(i)));
	closest = crmio_closest(name, names);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("encoding \"%s\" is not known", crmio_clip(name)),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) :
			 errhint("Use UTF-8, UTF-16, WINDOWS-1252, LATIN1 or another encoding that PostgreSQL knows.")));
}

/*
 * Finds an encoding by its name.  Returns whether its byte order is left open.
 */
static bool
encoding_by_name(const char *name, FileEncoding *found)
{
	char	   *key = crmio_name_key(name);
	int			encoding;

	for (int i = 0; i < lengthof(encoding_names); i++)
	{
		const EncodingName *known = &encoding_names[i];

		if (strcmp(key, known->key) == 0)
		{
			found->form = known->form;
			found->encoding = known->encoding;
			found->name = known->name;
			return known->any_order;
		}
	}

	/* "cp1250" and "cp866" are the server's "win1250" and "win866" */
	encoding = pg_char_to_encoding(name);
	if (encoding < 0 && strncmp(key, "cp", 2) == 0)
		encoding = pg_char_to_encoding(psprintf("win%s", key + 2));
	if (encoding < 0)
		unknown_encoding(name);
	found->form = FORM_BYTES;
	found->encoding = encoding;
	found->name = pg_encoding_to_char(encoding);
	return false;
}

/*
 * Raises an error if no encoding has that name.
 */
void
crmio_encoding_check(const char *name)
{
	FileEncoding found;

	(void) encoding_by_name(name, &found);
}

/*
 * The byte order mark at the start of a file, or NULL.
 */
static const ByteOrderMark *
find_mark(const char *start, size_t length)
{
	for (int i = 0; i < lengthof(byte_order_marks); i++)
	{
		const ByteOrderMark *mark = &byte_order_marks[i];

		if (length >= mark->length && memcmp(start, mark->bytes, mark->length) == 0)
			return mark;
	}
	return NULL;
}

/*
 * Settles an encoding that was given by name: byte order and length of the mark.
 * A mark of another encoding is left to be read as text: the name decides.
 */
static void
settle_given(const char *start, size_t length, bool any_order, FileEncoding *found)
{
	const ByteOrderMark *mark = find_mark(start, length);
	bool		utf16 = found->form == FORM_UTF16LE || found->form == FORM_UTF16BE;
	bool		mark_utf16;

	/* read as UTF-16, the mark of UTF-32LE is the one of UTF-16LE and a NUL */
	if (utf16 && mark && mark->form == FORM_UTF32LE)
		mark = find_mark(start, 2);
	mark_utf16 = mark && (mark->form == FORM_UTF16LE || mark->form == FORM_UTF16BE);

	if (any_order && mark && mark->form != FORM_BYTES && utf16 == mark_utf16)
		found->form = mark->form;
	else if (any_order && length > 0 && start[0] == '\0')
		found->form = utf16 ? FORM_UTF16BE : FORM_UTF32BE;

	if (mark && mark->form == found->form &&
		(found->form != FORM_BYTES || found->encoding == PG_UTF8))
		found->bom_length = mark->length;
}

/*
 * How many bytes at the start of a text are valid in the encoding.  The server's
 * function may look at all of the text even if its first byte is wrong, so it gets
 * pieces, which grow while all is well.
 */
size_t
crmio_valid_length(int encoding, const char *text, size_t length)
{
	size_t		valid = 0;
	size_t		piece = 32;

	while (valid < length)
	{
		size_t		n = Min(piece, length - valid);
		size_t		good = pg_encoding_verifymbstr(encoding, text + valid, n);

		/* a character may be cut by the end of the piece, not of the text */
		if (good < n &&
			(n - good >= MAX_MULTIBYTE_CHAR_LEN || valid + n == length))
			return valid + good;
		valid += good;
		piece = Min(piece * 2, SCAN_BLOCK);
	}
	return valid;
}

/*
 * Position of the first byte of the file that is not UTF-8, or -1.  NUL bytes are
 * not looked at here: they make error rows in any encoding.
 */
static int64
find_invalid_utf8(Source *source)
{
	unsigned char *block = palloc(SCAN_BLOCK);
	size_t		filled = 0;
	int64		position = 0;	/* of the block in the file */
	int64		invalid = -1;

	source->rewind(source);
	for (;;)
	{
		size_t		n = read_fully(source, (char *) block + filled, SCAN_BLOCK - filled);
		bool		at_end = n < SCAN_BLOCK - filled;
		size_t		valid = 0;

		CHECK_FOR_INTERRUPTS();
		filled += n;
		for (;;)
		{
			valid += crmio_valid_length(PG_UTF8, (char *) block + valid,
										filled - valid);
			if (valid == filled || block[valid] != '\0')
				break;
			valid++;
		}

		/* a character may be cut by the end of the block, not of the file */
		if (valid < filled && (at_end || filled - valid >= MAX_MULTIBYTE_CHAR_LEN))
		{
			invalid = position + valid;
			break;
		}
		if (at_end)
			break;
		memmove(block, block + valid, filled - valid);
		filled -= valid;
		position += valid;
	}
	pfree(block);
	return invalid;
}

/*
 * Number of the line that holds the byte at a position of the file.
 */
static int64
line_of_byte(Source *source, int64 position)
{
	char	   *block = palloc(SCAN_BLOCK);
	int64		line = 1;
	char		before = '\0';

	source->rewind(source);
	while (position > 0)
	{
		size_t		n = source->read(source, block, Min(position, SCAN_BLOCK));

		CHECK_FOR_INTERRUPTS();
		if (n == 0)
			break;
		for (size_t i = 0; i < n; i++)
		{
			if (block[i] == '\r' || (block[i] == '\n' && before != '\r'))
				line++;
			before = block[i];
		}
		position -= n;
	}
	pfree(block);
	return line;
}

/*
 * Finds the encoding of a file: the one named, or if `name` is NULL the one that
 * its byte order mark says, else UTF-8 if all of it is valid, else Windows-1252.
 * Leaves the source somewhere: rewind it.
 */
void
crmio_encoding_find(Source *source, const char *name, FileEncoding *found)
{
	char		start[4];
	size_t		length;
	const ByteOrderMark *mark;
	int64		invalid;

	memset(found, 0, sizeof(FileEncoding));
	source->rewind(source);
	length = read_fully(source, start, sizeof(start));

	if (name != NULL)
	{
		bool		any_order = encoding_by_name(name, found);

		settle_given(start, length, any_order, found);
		return;
	}

	found->encoding = PG_UTF8;
	found->name = "UTF-8";
	mark = find_mark(start, length);
	if (mark != NULL)
	{
		found->form = mark->form;
		found->name = mark->name;
		found->bom_length = mark->length;
		return;
	}

	invalid = find_invalid_utf8(source);
	if (invalid >= 0)
	{
		found->encoding = PG_WIN1252;
		found->name = "WINDOWS-1252";
		found->first_bad_line = line_of_byte(source, invalid);
	}
}

/*
 * One unit of UTF-16, or one character of UTF-32.
 */
static inline uint32
read_unit(FileForm form, const unsigned char *b)
{
	switch (form)
	{
		case FORM_UTF16LE:
			return b[0] | b[1] << 8;
		case FORM_UTF16BE:
			return b[0] << 8 | b[1];
		case FORM_UTF32LE:
			return b[0] | b[1] << 8 | b[2] << 16 | (uint32) b[3] << 24;
		default:
			return (uint32) b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
	}
}

/*
 * Decodes UTF-16 or UTF-32 to UTF-8; what is no character becomes
 * CRMIO_INVALID_MARK.  `text` has room for 3 bytes per 2 bytes, and 1 more.  Sets
 * *used to the bytes decoded: a few may be left over, unless `at_end`.
 */
size_t
crmio_decode_unicode(FileForm form, const unsigned char *bytes, size_t length,
					 bool at_end, unsigned char *text, size_t *used)
{
	bool		utf16 = form == FORM_UTF16LE || form == FORM_UTF16BE;
	size_t		width = utf16 ? 2 : 4;
	unsigned char *out = text;
	size_t		i = 0;

	while (length - i >= width)
	{
		uint32		c = read_unit(form, bytes + i);

		if (utf16 && c >= 0xD800 && c <= 0xDBFF)
		{
			uint32		low;

			if (length - i < 2 * width && !at_end)
				break;
			low = length - i < 2 * width ? 0 : read_unit(form, bytes + i + width);
			if (low >= 0xDC00 && low <= 0xDFFF)
			{
				c = 0x10000 + ((c & 0x3FF) << 10) + (low & 0x3FF);
				i += width;
			}
		}
		i += width;
		if (c < 0x80)
			*out++ = (unsigned char) c;
		else if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
			*out++ = CRMIO_INVALID_MARK;
		else
		{
			unicode_to_utf8(c, out);
			out += pg_utf_mblen(out);
		}
	}
	if (at_end && i < length)
	{
		*out++ = CRMIO_INVALID_MARK;
		i = length;
	}
	*used = i;
	return out - text;
}

/*
 * lines.c
 *	  A file as physical lines of text in the database encoding.
 *
 *	  source -> (UTF-16 or UTF-32 to UTF-8) -> buffer -> line -> conversion
 *
 * Whatever leaves this file is valid in the database encoding: a byte that is not
 * becomes '?', and its line says so.  The usual file is valid as it stands, and
 * then its lines are checked by the block and never copied.  Encodings with ASCII
 * bytes inside of characters are no trouble, as a line's end is none of those.
 */
#include "input/lines.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

/* What is read at a time, and how much of a long line is handed out at a time. */
#define BUFFER_SIZE		(256 * 1024)
#define PIECE_SIZE		(64 * 1024)

/* One conversion that the server knows. */
typedef struct Step
{
	Oid			proc;
	int			from;
	int			to;
} Step;

struct Lines
{
	MemoryContext context;
	Source	   *source;
	FileEncoding file;
	int			nsteps;			/* 0: the file has the database encoding */
	Step		steps[2];

	char	   *buffer;
	size_t		start;			/* of the next line */
	size_t		end;
	size_t		clean_end;		/* known to be valid up to here */
	size_t		next_lf;		/* or `end`: none in the buffer */
	size_t		next_cr;
	bool		at_end;			/* nothing more to read */

	unsigned char *raw;			/* UTF-16 or UTF-32, not decoded yet */
	size_t		raw_length;

	char	   *scratch[2];		/* converted text */
	int64		line_number;
	bool		in_line;		/* a piece of this line was handed out */
	int64		bytes_read;
};

/*
 * Finds how to get from the file's encoding to the database's: by way of UTF8 if
 * there is no conversion between the two.
 */
static void
find_steps(Lines *lines)
{
	int			from = lines->file.encoding;
	int			to = GetDatabaseEncoding();
	Oid			proc;

	lines->nsteps = 0;
	if (from == to || from == PG_SQL_ASCII || to == PG_SQL_ASCII)
		return;
	proc = FindDefaultConversionProc(from, to);
	if (OidIsValid(proc))
	{
		lines->steps[lines->nsteps++] = (Step) {proc, from, to};
		return;
	}

	proc = FindDefaultConversionProc(from, PG_UTF8);
	if (OidIsValid(proc) && from != PG_UTF8 && to != PG_UTF8)
	{
		lines->steps[lines->nsteps++] = (Step) {proc, from, PG_UTF8};
		proc = FindDefaultConversionProc(PG_UTF8, to);
	}
	if (!OidIsValid(proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("text in encoding \"%s\" can't be converted to the database encoding \"%s\"",
						lines->file.name, GetDatabaseEncodingName()),
				 errhint("Save the file in an encoding that can, such as UTF-8.")));
	lines->steps[lines->nsteps++] = (Step) {proc, PG_UTF8, to};
}

/*
 * Opens a source as lines of text.
 */
Lines *
crmio_lines_open(Source *source, const FileEncoding *encoding)
{
	Lines	   *lines = palloc0(sizeof(Lines));

	lines->context = CurrentMemoryContext;
	lines->source = source;
	lines->file = *encoding;
	find_steps(lines);
	/* looking at the length of a character may look a few bytes ahead */
	lines->buffer = palloc0(BUFFER_SIZE + MAX_MULTIBYTE_CHAR_LEN);
	if (encoding->form != FORM_BYTES)
		lines->raw = palloc(BUFFER_SIZE);
	crmio_lines_rewind(lines);
	return lines;
}

/*
 * Back to the first line.
 */
void
crmio_lines_rewind(Lines *lines)
{
	lines->source->rewind(lines->source);
	lines->start = lines->end = lines->clean_end = 0;
	lines->next_lf = lines->next_cr = 0;
	lines->at_end = false;
	lines->raw_length = 0;
	lines->line_number = 0;
	lines->in_line = false;
	lines->bytes_read = 0;

	for (int skip = lines->file.bom_length; skip > 0;)
	{
		char		mark[4];
		size_t		n = lines->source->read(lines->source, mark, skip);

		if (n == 0)
			break;
		skip -= n;
		lines->bytes_read += n;
	}
}

/*
 * How far the file was read, in bytes, less what is waiting in the buffer.
 */
int64
crmio_lines_bytes_read(Lines *lines)
{
	int64		waiting = lines->end - lines->start + lines->raw_length;

	return Max(lines->bytes_read - waiting, 0);
}

/*
 * Reads and decodes UTF-16 or UTF-32 into the free part of the buffer.
 */
static void
fill_unicode(Lines *lines)
{
	size_t		room = (BUFFER_SIZE - lines->end - 1) / 3 * 2;
	size_t		used;
	size_t		n;

	n = lines->source->read(lines->source, (char *) lines->raw + lines->raw_length,
							room - lines->raw_length);
	lines->bytes_read += n;
	lines->raw_length += n;
	lines->at_end = n == 0;
	lines->end += crmio_decode_unicode(lines->file.form, lines->raw,
									   lines->raw_length, lines->at_end,
									   (unsigned char *) lines->buffer + lines->end,
									   &used);
	lines->raw_length -= used;
	memmove(lines->raw, lines->raw + used, lines->raw_length);
}

/*
 * Moves the rest of the buffer to its front and reads more behind it.
 */
static void
fill(Lines *lines)
{
	size_t		n;

	CHECK_FOR_INTERRUPTS();
	memmove(lines->buffer, lines->buffer + lines->start, lines->end - lines->start);
	lines->end -= lines->start;
	lines->clean_end = lines->clean_end > lines->start ? lines->clean_end - lines->start : 0;
	lines->start = 0;

	if (lines->file.form != FORM_BYTES)
		fill_unicode(lines);
	else
	{
		n = lines->source->read(lines->source, lines->buffer + lines->end,
								BUFFER_SIZE - lines->end);
		lines->bytes_read += n;
		lines->end += n;
		lines->at_end = n == 0;
	}
	lines->next_lf = lines->next_cr = 0;	/* look anew */
}

/*
 * Position of the next `c` in the buffer, or its end.
 */
static inline size_t
find_byte(Lines *lines, char c)
{
	char	   *found = memchr(lines->buffer + lines->start, c, lines->end - lines->start);

	return found ? found - lines->buffer : lines->end;
}

/*
 * Length of the piece that a line longer than PIECE_SIZE gives: whole characters
 * as far as the file's encoding tells.
 */
static size_t
piece_length(Lines *lines)
{
	const char *text = lines->buffer + lines->start;
	int			encoding = lines->nsteps > 0 ? lines->file.encoding : GetDatabaseEncoding();
	size_t		length = 0;

	if (pg_encoding_max_length(encoding) == 1)
		return PIECE_SIZE;
	if (encoding == PG_UTF8)
	{
		length = PIECE_SIZE;
		for (int i = 0; i < MAX_MULTIBYTE_CHAR_LEN && (text[length] & 0xC0) == 0x80; i++)
			length--;
		return length;
	}
	for (;;)
	{
		size_t		next = length + 1;

		if (IS_HIGHBIT_SET(text[length]))
			next = length + pg_encoding_mblen(encoding, text + length);
		if (next > PIECE_SIZE)
			return length > 0 ? length : PIECE_SIZE;
		length = next;
	}
}

/*
 * Length of the next line, or piece of one, in the buffer; 0 at the end of the
 * file.  Each fill of the buffer is searched once for either line end.
 */
static size_t
next_length(Lines *lines, bool *complete)
{
	for (;;)
	{
		size_t		line_end;

		if (lines->next_lf < lines->start || lines->next_lf == 0)
			lines->next_lf = find_byte(lines, '\n');
		if (lines->next_cr < lines->start || lines->next_cr == 0)
			lines->next_cr = find_byte(lines, '\r');
		line_end = Min(lines->next_lf, lines->next_cr);

		if (line_end - lines->start > PIECE_SIZE)
		{
			*complete = false;
			return piece_length(lines);
		}
		*complete = true;

		/* CR at the end of the buffer: is the next byte its LF? */
		if (line_end < lines->end &&
			(lines->buffer[line_end] == '\n' || line_end + 1 < lines->end ||
			 lines->at_end))
		{
			if (lines->next_cr == line_end && lines->next_lf == line_end + 1 &&
				lines->next_lf < lines->end)
				line_end++;
			return line_end + 1 - lines->start;
		}
		if (lines->at_end)
			return lines->end - lines->start;
		fill(lines);
	}
}

/*
 * Is it ASCII without NUL bytes, which no conversion changes?
 */
static bool
is_plain(const char *text, size_t length)
{
	size_t		i = 0;

	for (; i + sizeof(uint64) <= length; i += sizeof(uint64))
	{
		uint64		word;

		memcpy(&word, text + i, sizeof(word));
		/* a byte with its high bit set, or (by the borrow) a zero byte */
		if (((word | (word - UINT64CONST(0x0101010101010101))) &
			 UINT64CONST(0x8080808080808080)) != 0)
			return false;
	}
	for (; i < length; i++)
	{
		if (IS_HIGHBIT_SET(text[i]) || text[i] == '\0')
			return false;
	}
	return true;
}

/*
 * Notes in the line that a byte of the file is not valid; 0 if it is no single
 * byte that is to blame.
 */
static void
note_invalid(TextLine *line, unsigned char byte)
{
	if (line->has_invalid)
		return;
	line->has_invalid = true;
	line->invalid_byte = byte;
}

/*
 * Room for the text that the given step makes of a line, which has the length of
 * a piece at most: so this is allocated once, at its full size.  The conversion
 * wants room for one character more than it is given.
 */
static char *
scratch(Lines *lines, int which)
{
	if (lines->scratch[which] == NULL)
	{
		size_t		longest = PIECE_SIZE + 2;

		for (int i = 0; i <= which; i++)
			longest = (longest + 1) * MAX_CONVERSION_GROWTH + 1;
		lines->scratch[which] = MemoryContextAlloc(lines->context, longest);
	}
	return lines->scratch[which];
}

/*
 * Copies a line that is in the database encoding but for some bytes: '?' stands
 * for each of these.
 */
static void
mend(Lines *lines, TextLine *line)
{
	int			encoding = GetDatabaseEncoding();
	char	   *mended = scratch(lines, 0);
	size_t		i = 0;

	memcpy(mended, line->text, line->length);
	while (i < line->length)
	{
		i += crmio_valid_length(encoding, mended + i, line->length - i);
		if (i < line->length)
		{
			if (mended[i] == '\0')
				line->has_nul = true;
			else
				note_invalid(line, mended[i]);
			mended[i++] = '?';
		}
	}
	line->text = mended;
}

/*
 * Converts a line by one step; '?' stands for what can't be converted.
 */
static void
convert(Lines *lines, int which, TextLine *line)
{
	Step	   *step = &lines->steps[which];
	char	   *out = scratch(lines, which);
	char	   *converted = out;
	char	   *in = line->text;
	size_t		left = line->length;

	for (;;)
	{
		int			n = 0;

		if (left > 0)
		{
			n = pg_do_encoding_conversion_buf(step->proc, step->from, step->to,
											  (unsigned char *) in, left,
											  (unsigned char *) out,
											  (left + 1) * MAX_CONVERSION_GROWTH + 1,
											  true);
			out += strlen(out);
		}
		in += n;
		left -= n;
		if (left == 0)
			break;
		/* a character that is lacking counts once, not by its bytes */
		n = *in ? pg_encoding_verifymbchar(step->from, in, left) : 1;
		n = Max(n, 1);
		if (*in == '\0')
			line->has_nul = true;
		else
			note_invalid(line, which == 0 && n == 1 ? *in : 0);
		*out++ = '?';
		in += n;
		left -= n;
	}
	line->text = converted;
	line->length = out - converted;
}

/*
 * Gives the next line, or piece of one; false at the end of the file.
 */
bool
crmio_lines_next(Lines *lines, TextLine *line)
{
	size_t		length = next_length(lines, &line->complete);
	size_t		start = lines->start;

	if (length == 0)
		return false;
	if (!lines->in_line)
		lines->line_number++;
	lines->in_line = !line->complete;

	line->text = lines->buffer + start;
	line->length = length;
	line->number = lines->line_number;
	line->has_nul = line->has_invalid = false;
	line->invalid_byte = 0;

	if (lines->nsteps == 0)
	{
		if (start + length > lines->clean_end)
		{
			lines->clean_end = Max(lines->clean_end, start);
			lines->clean_end +=
				crmio_valid_length(GetDatabaseEncoding(),
								   lines->buffer + lines->clean_end,
								   lines->end - lines->clean_end);
			if (start + length > lines->clean_end)
				mend(lines, line);
		}
	}
	else if (!is_plain(line->text, length))
	{
		for (int i = 0; i < lines->nsteps; i++)
			convert(lines, i, line);
	}
	lines->start = start + length;
	return true;
}

/*
 * Says what is wrong with the bytes of a line.
 */
char *
crmio_lines_problem(Lines *lines, const TextLine *line)
{
	if (line->has_nul)
		return psprintf("line " INT64_FORMAT " has a NUL byte", line->number);
	if (lines->file.form != FORM_BYTES || line->invalid_byte == 0)
		return psprintf("line " INT64_FORMAT " has text that is not valid %s, or that the database encoding %s lacks",
						line->number, lines->file.name, GetDatabaseEncodingName());
	return psprintf("line " INT64_FORMAT " has text that is not valid %s, or that the database encoding %s lacks: byte 0x%02x",
					line->number, lines->file.name, GetDatabaseEncodingName(),
					line->invalid_byte);
}

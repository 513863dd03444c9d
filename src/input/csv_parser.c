/*
 * csv_parser.c
 *	  Rows of a CSV file as they stand in it.  libcsv does the quoting and the
 *	  splitting; what the columns are called and which rows count is in csv.c.
 *
 * libcsv is fed line by line, which tells on which line a row starts and a quote
 * opens.  It runs in its strict mode, in which it stops at a quote or text where
 * none may be, and crmio decides:
 *
 *	  a quote inside an unquoted field is text;
 *	  blanks between a closing quote and the delimiter are ignored;
 *	  any other text there makes the row an error row.  The rest of its line is
 *	  read as if that field had no quotes, and the next line starts a new row.
 *
 * A field that grows over the limit is thrown away while it is read, and so is
 * what a row holds beyond its own limit.
 */
#include "input/csv_parser.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* The longest row: room for a few of the longest fields, and for any usual row. */
#define ROW_FIELDS		4
#define ROW_AT_LEAST	((size_t) 64 * 1024 * 1024)

/* How many bytes of a field that is too long are kept, to recognise it. */
#define CUT_LENGTH		1000

/* Fields kept of an error row; there may be more than the header has. */
#define FIELDS_MAX		(2 * CRMIO_MAX_COLUMNS)

#define STRICT			(CSV_STRICT | CSV_STRICT_FINI)

/*
 * libcsv's hook for memory.  The first call is made when the parser is set up, and
 * repalloc keeps to the memory context of then.
 */
static void *
csv_realloc(void *memory, size_t size)
{
	return memory ? repalloc(memory, size) : palloc(size);
}

/*
 * libcsv's hook: no character is a blank that it should trim.
 */
static int
csv_no_blank(unsigned char c)
{
	return 0;
}

/*
 * Marks the row as an error row.  Only the first error of a row counts: callers
 * ask for it first, so that a row with millions of them costs nothing.
 */
static void
row_error(CsvParser *parser, const char *code, char *reason, int field)
{
	Assert(parser->error_code == NULL);
	parser->error_code = code;
	parser->error_reason = reason;
	parser->error_field = field;
}

/*
 * Makes room in `data` for another field of that length.
 */
static void
reserve(CsvParser *parser, size_t length)
{
	size_t		needed = parser->data_length + length + 2;

	if (needed > parser->data_size)
	{
		parser->data_size = Max(needed, parser->data_size * 2);
		parser->data = repalloc_huge(parser->data, parser->data_size);
	}
	if (parser->nfields == parser->starts_size)
	{
		parser->starts_size *= 2;
		parser->starts = repalloc(parser->starts, parser->starts_size * sizeof(size_t));
	}
}

/*
 * A field that can't be kept as it is: too long, or too much for its row.
 * Returns how much of its text is kept.
 */
static size_t
limit_field(CsvParser *parser, const char *text, size_t length)
{
	bool		too_long = parser->field_cut || length > parser->field_max;

	if (!too_long && parser->data_length + length <= parser->row_max)
		return length;
	if (parser->error_code == NULL)
		row_error(parser, "field_too_large",
				  too_long ?
				  psprintf("the value is longer than %zu kB, the setting crmio.max_field_size",
						   parser->field_max / 1024) :
				  psprintf("the row is longer than %zu kB", parser->row_max / 1024),
				  parser->nfields);
	return pg_mbcliplen(text, length, CUT_LENGTH);
}

/*
 * libcsv found a field.
 */
static void
on_field(void *text, size_t length, void *arg)
{
	CsvParser  *parser = arg;
	char	   *copy;

	if (unlikely(parser->nfields >= FIELDS_MAX))
	{
		/* there may be millions more: say it once */
		if (parser->error_code == NULL)
			row_error(parser, "too_many_fields",
					  psprintf("the row has more than %d fields", FIELDS_MAX), -1);
		parser->field_cut = false;
		return;
	}
	if (unlikely(parser->field_cut || length > parser->field_max ||
				 parser->data_length + length > parser->row_max))
	{
		length = limit_field(parser, text, length);
		parser->field_cut = false;
	}
	if (unlikely(parser->data_length + length + 2 > parser->data_size ||
				 parser->nfields == parser->starts_size))
		reserve(parser, length);

	/* the byte before a field is left to its user (reader.h) */
	parser->data[parser->data_length++] = '\0';
	copy = parser->data + parser->data_length;
	memcpy(copy, text, length);
	copy[length] = '\0';
	parser->starts[parser->nfields++] = parser->data_length;
	parser->data_length += length + 1;
}

/*
 * libcsv found the end of a row.
 */
static void
on_row(int c, void *arg)
{
	CsvParser  *parser = arg;

	parser->row_done = true;
	if (parser->drop_line_end && parser->nfields > 0)
	{
		char	   *last = crmio_csv_field(parser, parser->nfields - 1);
		size_t		length = strlen(last);

		while (length > 0 && (last[length - 1] == '\n' || last[length - 1] == '\r'))
			last[--length] = '\0';
	}
}

/*
 * Sets a parser up.  Everything lives in CurrentMemoryContext.
 */
void
crmio_csv_init(CsvParser *parser, Lines *lines, char delimiter, char quote)
{
	memset(parser, 0, sizeof(CsvParser));
	parser->field_max = (size_t) crmio_max_field_size * 1024;
	parser->row_max = Min(Max(ROW_FIELDS * parser->field_max, ROW_AT_LEAST),
						  MaxAllocSize / 2);
	parser->lines = lines;
	parser->data_size = 1024;
	parser->data = palloc(parser->data_size);
	parser->starts_size = 64;
	parser->starts = palloc(parser->starts_size * sizeof(size_t));

	if (csv_init(&parser->lib, STRICT) != 0)
		elog(ERROR, "could not set up libcsv");
	csv_set_delim(&parser->lib, delimiter);
	csv_set_quote(&parser->lib, quote);
	csv_set_space_func(&parser->lib, csv_no_blank);
	csv_set_realloc_func(&parser->lib, csv_realloc);
	csv_set_free_func(&parser->lib, pfree);
	csv_set_blk_size(&parser->lib, 8192);

	/* a line end alone makes no row, but lets libcsv allocate its buffer here */
	(void) csv_parse(&parser->lib, "\n", 1, on_field, on_row, parser);
}

/*
 * Back to the first row.
 */
void
crmio_csv_restart(CsvParser *parser)
{
	crmio_lines_rewind(parser->lines);
	csv_set_opts(&parser->lib, 0);
	(void) csv_fini(&parser->lib, on_field, on_row, parser);
	csv_set_opts(&parser->lib, STRICT);
	parser->in_row = parser->quote_open = parser->field_cut = false;
}

/*
 * Feeds one byte as text, although libcsv objects to it.
 */
static void
feed_as_text(CsvParser *parser, const char *c)
{
	csv_set_opts(&parser->lib, 0);
	(void) csv_parse(&parser->lib, c, 1, on_field, on_row, parser);
	csv_set_opts(&parser->lib, STRICT);
}

/*
 * libcsv stopped before `text`, after a closing quote.  Returns how many bytes of
 * it are settled.
 */
static size_t
after_closing_quote(CsvParser *parser, const char *text, size_t length)
{
	bool		blank_before = parser->blank_after_quote;
	size_t		blanks = 0;

	while (blanks < length && text[blanks] != parser->lib.delim_char &&
		   (text[blanks] == ' ' || text[blanks] == '\t'))
		blanks++;
	if (blanks > 0)
		parser->blank_after_quote = true;
	if (blanks == length || text[blanks] == parser->lib.delim_char ||
		text[blanks] == '\n' || text[blanks] == '\r')
		return blanks;

	if (parser->error_code == NULL)
		row_error(parser, "invalid_csv",
				  pstrdup("text after the closing quote of a field; inside of quotes, a quote is written twice"),
				  parser->nfields);
	/* from here on, read the field as if it had no quotes; the rest of the row is as it was */
	feed_as_text(parser, blank_before ? " " : text);
	parser->lib.quoted = 0;
	parser->blank_after_quote = false;
	return blank_before ? 0 : 1;
}

/*
 * Keeps libcsv's buffer small while a field is longer than it may be, and lets it
 * grow by doubling otherwise.
 */
static void
watch_buffer(CsvParser *parser, size_t length)
{
	struct csv_parser *lib = &parser->lib;

	/* the buffer may hold a closing quote beyond the text */
	if (lib->entry_pos > parser->field_max + 1)
	{
		lib->entry_pos = CUT_LENGTH + 1;
		parser->field_cut = true;
	}
	if (lib->entry_pos + length >= lib->entry_size)
		csv_set_blk_size(lib, Max(lib->entry_size, 8192));
}

/*
 * Feeds text to libcsv.
 */
static void
feed(CsvParser *parser, const char *text, size_t length)
{
	watch_buffer(parser, length);

	/* blanks after a closing quote ended the piece before this one */
	if (unlikely(parser->blank_after_quote && length > 0))
	{
		size_t		n = after_closing_quote(parser, text, length);

		text += n;
		length -= n;
	}
	while (length > 0)
	{
		size_t		n = csv_parse(&parser->lib, text, length, on_field, on_row, parser);

		parser->blank_after_quote = false;
		if (likely(n == length))
			return;
		if (csv_error(&parser->lib) != CSV_EPARSE)
			elog(ERROR, "libcsv failed: %s", csv_strerror(csv_error(&parser->lib)));
		text += n;
		length -= n;
		if (parser->lib.quoted)
			n = after_closing_quote(parser, text, length);
		else
		{
			feed_as_text(parser, text);
			n = 1;
		}
		text += n;
		length -= n;
	}
}

/*
 * Ends the row that libcsv is in, even inside quotes.
 */
static void
force_row_end(CsvParser *parser)
{
	csv_set_opts(&parser->lib, 0);
	parser->drop_line_end = true;
	(void) csv_fini(&parser->lib, on_field, on_row, parser);
	parser->drop_line_end = false;
	csv_set_opts(&parser->lib, STRICT);
}

/*
 * The file ended inside a row.
 */
static void
end_of_file(CsvParser *parser)
{
	if (csv_fini(&parser->lib, on_field, on_row, parser) == 0)
		return;
	if (!parser->sampling)
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("the quoted field that starts on line " INT64_FORMAT " is never closed",
						parser->quote_line),
				 errdetail("Everything from there to the end of the file would be one value."),
				 errhint("Close the quote, or write it twice if it is part of the text; if the file uses another quote character, set the option \"quote\".")));
	force_row_end(parser);
}

/*
 * Feeds a line, or a piece of one, of the row that is being read.
 */
static void
feed_line(CsvParser *parser, const TextLine *line, int fields_before)
{
	if ((line->has_nul || line->has_invalid) && parser->error_code == NULL)
		row_error(parser, line->has_nul ? "nul_byte" : "invalid_encoding",
				  crmio_lines_problem(parser->lines, line), -1);
	feed(parser, line->text, line->length);
	if (!line->complete || parser->row_done)
		return;

	if (!parser->quote_open || parser->nfields > fields_before)
		parser->quote_line = line->number;
	parser->quote_open = true;
}

/*
 * Was enough read for a sample?
 */
static inline bool
sample_is_over(CsvParser *parser)
{
	return parser->sampling && parser->sample_end > 0 &&
		crmio_lines_bytes_read(parser->lines) >= parser->sample_end;
}

/*
 * Reads the next row; false at the end of the file.  Blank lines are no rows.
 * What is said of an error lives in CurrentMemoryContext.
 */
bool
crmio_csv_next(CsvParser *parser)
{
	TextLine	line;
	int			fields_before = 0;
	bool		line_begins = true;

	parser->nfields = 0;
	parser->data_length = 0;
	parser->error_code = NULL;
	parser->error_reason = NULL;
	parser->error_field = -1;
	parser->row_done = false;
	parser->quote_open = false;
	parser->blank_after_quote = false;

	while (!parser->row_done)
	{
		if (sample_is_over(parser) || !crmio_lines_next(parser->lines, &line))
		{
			if (parser->in_row)
				end_of_file(parser);
			break;
		}
		if (!parser->in_row)
		{
			/* nothing but its end */
			if (line.text[0] == '\n' || line.text[0] == '\r')
				continue;
			parser->in_row = true;
			parser->line_number = line.number;
			if (parser->sampling && parser->sample_end == 0)
				parser->sample_end = crmio_lines_bytes_read(parser->lines) + CRMIO_SAMPLE_BYTES;
		}
		if (line_begins)
			fields_before = parser->nfields;
		line_begins = line.complete;
		feed_line(parser, &line, fields_before);
	}
	parser->in_row = false;
	return parser->row_done;
}

/*
 * Has the row nothing but blank fields?
 */
bool
crmio_csv_row_is_empty(const CsvParser *parser)
{
	if (parser->error_code != NULL)
		return false;
	for (int i = 0; i < parser->nfields; i++)
	{
		if (!crmio_is_blank(crmio_csv_field(parser, i)))
			return false;
	}
	return true;
}

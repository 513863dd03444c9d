/*
 * csv.c
 *	  The reader of CSV files: header, data rows, and which rows are errors.
 *
 * csv_parser.c splits the file into rows, csv_sniff.c finds the delimiter and the
 * header, and lines.c the text in the database encoding.
 */
#include "input/csv_sniff.h"
#include "input/formats.h"

/* How far the end of an error file's first line is looked for. */
#define ERROR_HEADER_BYTES (64 * 1024)

typedef struct CsvReader
{
	Reader		base;
	Lines	   *lines;
	CsvParser	parser;
	int64		first_line;		/* rows above it are not of the file's table */
} CsvReader;

/*
 * Puts the row that was read into one block: first the pointers to its fields,
 * then their text.  A row with fewer fields than the header gets empty ones.
 */
static void
fill_row(const CsvReader *self, FileRow *row)
{
	const CsvParser *parser = &self->parser;
	int			nfields = Max(parser->nfields, self->base.ncolumns);
	size_t		text_at = nfields * sizeof(char *);
	char	   *block = palloc(text_at + parser->data_length + 1);
	char	   *text = block + text_at;
	int			i;

	memcpy(text, parser->data, parser->data_length);
	text[parser->data_length] = '\0';
	row->nfields = nfields;
	row->length = parser->data_length;
	row->fields = (char **) block;
	for (i = 0; i < parser->nfields; i++)
		row->fields[i] = text + parser->starts[i];
	for (; i < nfields; i++)
		row->fields[i] = text + parser->data_length;
}

/*
 * Reads the next data row; false at the end.  Rows without a value are skipped.
 */
static bool
csv_next_row(Reader *reader, FileRow *row)
{
	CsvReader  *self = (CsvReader *) reader;
	CsvParser  *parser = &self->parser;

	do
	{
		if (!crmio_csv_next(parser))
			return false;
	} while (crmio_csv_row_is_empty(parser) ||
			 parser->line_number < self->first_line);

	row->line_number = parser->line_number;
	row->error_code = parser->error_code;
	row->error_reason = parser->error_reason;
	row->error_column = NULL;
	if (parser->error_field >= 0 && parser->error_field < reader->ncolumns)
		row->error_column = reader->column_names[parser->error_field];
	if (parser->nfields > reader->ncolumns && row->error_code == NULL)
	{
		row->error_code = "too_many_fields";
		row->error_reason = psprintf("the row has %d fields, the header %d",
									 parser->nfields, reader->ncolumns);
	}
	fill_row(self, row);
	return true;
}

/*
 * Back to the first data row.
 */
static void
csv_rewind(Reader *reader)
{
	CsvParser  *parser = &((CsvReader *) reader)->parser;

	crmio_csv_restart(parser);
	while (reader->header_line > 0 && crmio_csv_next(parser) &&
		   parser->line_number < reader->header_line)
		;
}

/*
 * How far the file was read.
 */
static int64
csv_bytes_read(Reader *reader)
{
	return crmio_lines_bytes_read(((CsvReader *) reader)->lines);
}

/*
 * Reads up to the header, and takes the column names from it.
 */
static void
read_header(CsvReader *self)
{
	Reader	   *reader = &self->base;
	CsvParser  *parser = &self->parser;
	bool		found;

	while ((found = crmio_csv_next(parser)) &&
		   parser->line_number < reader->header_line)
		;
	if (!found || parser->line_number != reader->header_line ||
		crmio_csv_row_is_empty(parser))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no header starts on line " INT64_FORMAT " of file \"%s\"",
						reader->header_line, crmio_clip(reader->source->name)),
				 errdetail("That line is blank, inside a quoted field, or beyond the end of the file."),
				 errhint("Set \"header_row\" to the line of the column names, or leave it out.")));
	if (parser->error_code != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("the header on line " INT64_FORMAT " can't be read: %s",
						reader->header_line, parser->error_reason),
				 errhint("Mend the header, or set the option \"encoding\" if the file is not %s.",
						 reader->encoding_name)));
	if (parser->nfields > CRMIO_MAX_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the header on line " INT64_FORMAT " has %d columns",
						reader->header_line, parser->nfields),
				 errdetail("A file can have %d.", CRMIO_MAX_COLUMNS),
				 errhint("If the delimiter was taken wrong, set the option \"delimiter\".")));

	reader->ncolumns = parser->nfields;
	reader->raw_header = palloc(reader->ncolumns * sizeof(char *));
	for (int i = 0; i < reader->ncolumns; i++)
		reader->raw_header[i] = pstrdup(crmio_csv_field(parser, i));
}

/*
 * Is the file one that crm_error_csv wrote: does its first line end with the name of
 * the column that it adds?
 */
static bool
is_error_file(Source *source)
{
	char	   *start = palloc(ERROR_HEADER_BYTES + 1);
	size_t		length = 0;
	size_t		n;
	bool		found;

	source->rewind(source);
	while (length < ERROR_HEADER_BYTES &&
		   (n = source->read(source, start + length, ERROR_HEADER_BYTES - length)) > 0)
		length += n;
	start[length] = '\0';
	start[strcspn(start, "\r\n")] = '\0';
	length = strlen(start);
	while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == '"'))
		length--;
	found = length >= strlen(CRMIO_ERROR_REASON) &&
		strncmp(start + length - strlen(CRMIO_ERROR_REASON), CRMIO_ERROR_REASON,
				strlen(CRMIO_ERROR_REASON)) == 0;
	pfree(start);
	return found;
}

/*
 * Finds the encoding, with a warning if it is a guess.  An error file has left the
 * encoding of the file that it comes from, of which the mapping speaks.
 */
static void
open_lines(CsvReader *self, const ReaderOptions *options)
{
	bool		given = options->encoding != NULL && !is_error_file(self->base.source);
	FileEncoding encoding;

	crmio_encoding_find(self->base.source, given ? options->encoding : NULL, &encoding);
	if (encoding.first_bad_line > 0)
	{
		ReaderWarning *warning = palloc(sizeof(ReaderWarning));

		warning->code = "encoding_assumed";
		warning->reason = psprintf("line " INT64_FORMAT " is not UTF-8, so the file is read as %s; set the option \"encoding\" if it is another",
								   encoding.first_bad_line, encoding.name);
		self->base.warnings = lappend(self->base.warnings, warning);
	}
	self->base.encoding_name = pstrdup(encoding.name);
	self->lines = crmio_lines_open(self->base.source, &encoding);
}

/*
 * Raises the error for a file without a row; or, if it has an unclosed quote after
 * all, the one for that.
 */
static void
no_rows(CsvReader *self)
{
	while (crmio_csv_next(&self->parser))
		;
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("file \"%s\" is empty", crmio_clip(self->base.source->name)),
			 errhint("The first line of a CSV file holds the names of its columns.")));
}

/*
 * Opens a reader for a CSV file.
 */
Reader *
crmio_csv_reader_open(Source *source, const ReaderOptions *options)
{
	CsvReader  *self = palloc0(sizeof(CsvReader));
	Reader	   *reader = &self->base;
	CsvLayout	layout;

	reader->source = source;
	reader->next_row = csv_next_row;
	reader->rewind = csv_rewind;
	reader->bytes_read = csv_bytes_read;
	open_lines(self, options);

	reader->quote = options->quote < 0 ? '"' : options->quote;
	if (options->delimiter == reader->quote)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"delimiter\" and \"quote\" must be different"),
				 errhint("Without the option, the quote is the double quote.")));
	crmio_csv_sniff(self->lines, options->delimiter, reader->quote,
					options->header_row, &layout);
	reader->delimiter = layout.delimiter;
	reader->header_line = layout.header_line;
	self->first_line = layout.first_line;

	crmio_csv_init(&self->parser, self->lines, reader->delimiter, reader->quote);
	crmio_csv_restart(&self->parser);
	if (layout.widest == 0 && options->header_row <= 1)
		no_rows(self);
	if (reader->header_line > 0)
		read_header(self);
	else
		reader->ncolumns = Min(layout.widest, CRMIO_MAX_COLUMNS);
	crmio_reader_name_columns(reader);

	reader->error_reason_column = -1;
	if (reader->raw_header &&
		strcmp(reader->column_names[reader->ncolumns - 1], CRMIO_ERROR_REASON) == 0)
		reader->error_reason_column = reader->ncolumns - 1;
	return reader;
}

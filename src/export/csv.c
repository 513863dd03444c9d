/*
 * csv.c
 *	  CSV: lines, and files of them.
 *
 * A field is quoted where COPY would quote it, and where a reader that guesses the
 * delimiter could go wrong, so COPY, crm_import and others read back the same cells.
 * NULL is an empty field, an empty string is "".
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "export/csv_lines.h"

/* A file's lines go to the sink in pieces of this size. */
#define PIECE_BYTES (64 * 1024)

/* Delimiters that readers guess between. */
#define USUAL_DELIMITERS ",;\t|"

#define DIGITS "0123456789"

typedef struct CsvExporter
{
	Exporter	base;
	CsvWriter	writer;
	StringInfoData lines;
} CsvExporter;

/*
 * crmio_csv_writer_init
 *		Gets ready to write lines; what it needs lives in CurrentMemoryContext.
 */
void
crmio_csv_writer_init(CsvWriter *writer, const ExportOptions *options,
					  int ncolumns, ExportColumn *columns)
{
	bool		usual = strchr(USUAL_DELIMITERS, options->delimiter) != NULL &&
		options->null[0] == '\0';

	memset(writer, 0, sizeof(CsvWriter));
	writer->options = options;
	writer->ncolumns = ncolumns;
	writer->columns = columns;
	writer->special['"'] = writer->special['\r'] = writer->special['\n'] = true;
	writer->special[(unsigned char) options->delimiter] = true;
	/* in a single column, any usual delimiter would be taken for the file's */
	if (ncolumns == 1)
	{
		for (const char *c = USUAL_DELIMITERS; *c != '\0'; c++)
			writer->special[(unsigned char) *c] = true;
	}
	writer->plain = palloc(sizeof(bool) * ncolumns);
	for (int i = 0; i < ncolumns; i++)
		writer->plain[i] = usual && !options->quote_all && columns[i].kind != CELL_TEXT;
}

/*
 * is_number
 *		A signed number, or a telephone number: digits and what stands between them,
 *		perhaps an exponent or an extension at the end.  No spreadsheet function or
 *		reference can hide in it.
 */
static bool
is_number(const char *text)
{
	static const char *const tails[] = {"extension", "ext.", "ext", "x", "#", "e+", "e-", "e"};
	const char *end;

	if (*text != '+' && *text != '-')
		return false;
	text++;
	end = text + strspn(text, DIGITS " ()-./,");
	if (strcspn(text, DIGITS) >= (size_t) (end - text))
		return false;
	if (*end == '\0')
		return true;
	for (int i = 0; i < lengthof(tails); i++)
	{
		size_t		length = strlen(tails[i]);

		if (pg_strncasecmp(end, tails[i], length) != 0)
			continue;
		end += length;
		end += strspn(end, " ");
		return *end != '\0' && end[strspn(end, DIGITS)] == '\0';
	}
	return false;
}

/*
 * is_formula
 *		Must a quote stand before this text?  Also before one that already begins with
 *		quotes and a formula: taking one off is then always right.
 */
static bool
is_formula(const char *text)
{
	const char *start = text + strspn(text, "'");

	return *start != '\0' && strchr(CRMIO_FORMULA_STARTS, *start) != NULL &&
		(start > text || !is_number(text));
}

/*
 * quote_field
 *		Puts quotes around what stands in the line from `start` on, and doubles those in it.
 */
static void
quote_field(StringInfo out, int start)
{
	int			length = out->len - start;
	int			extra = 2;
	char	   *from;
	char	   *to;

	for (const char *c = out->data + start; *c != '\0'; c++)
		extra += *c == '"';
	if (extra >= MaxAllocSize - out->len)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a row of the export is longer than 1 GB"),
				 errhint("Leave its largest columns out of the query.")));
	enlargeStringInfo(out, extra);

	/* from its end on, so that nothing is written over before it is read */
	from = out->data + start + length;
	out->len += extra;
	to = out->data + out->len;
	*to = '\0';
	*--to = '"';
	while (from > out->data + start)
	{
		*--to = *--from;
		if (*to == '"')
			*--to = '"';
	}
	*--to = '"';
	Assert(to == out->data + start);
}

/*
 * finish_field
 *		What stands in the line from `start` on is the text of a cell: makes a field of it.
 */
static void
finish_field(CsvWriter *writer, StringInfo out, int start)
{
	const ExportOptions *options = writer->options;
	const unsigned char *c = (unsigned char *) out->data + start;
	const unsigned char *end = (unsigned char *) out->data + out->len;

	if (options->quote_all || c == end)
	{
		quote_field(out, start);
		return;
	}
	/* COPY takes a line of \. for the end of the data */
	if (c[0] == '\\' && strcmp((const char *) c, "\\.") == 0)
	{
		quote_field(out, start);
		return;
	}
	if (options->null[0] != '\0' && strcmp((const char *) c, options->null) == 0)
	{
		quote_field(out, start);
		return;
	}
	while (c < end && !writer->special[*c])
		c++;
	if (c < end)
		quote_field(out, start);
}

/*
 * append_text
 *		A text, which a spreadsheet might take for a formula, as a field.
 */
static void
append_text(CsvWriter *writer, StringInfo out, const char *text)
{
	int			start = out->len;

	if (writer->options->escape_formulas && is_formula(text))
		appendStringInfoChar(out, '\'');
	appendStringInfoString(out, text);
	finish_field(writer, out, start);
}

/*
 * crmio_csv_header
 *		Adds the line of the columns' names, without its end.
 */
void
crmio_csv_header(CsvWriter *writer, StringInfo out)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, writer->options->delimiter);
		append_text(writer, out, writer->columns[i].name);
	}
}

/*
 * crmio_csv_line
 *		Adds the line of a row, without its end.
 */
void
crmio_csv_line(CsvWriter *writer, StringInfo out, const Datum *values, const bool *nulls)
{
	const ExportOptions *options = writer->options;

	for (int i = 0; i < writer->ncolumns; i++)
	{
		ExportColumn *column = &writer->columns[i];
		int			start;

		if (i > 0)
			appendStringInfoCharMacro(out, options->delimiter);
		start = out->len;
		if (nulls[i])
			appendStringInfoString(out, options->null);
		else if (options->escape_formulas && column->kind == CELL_TEXT)
			append_text(writer, out, crmio_cell_text(column, values[i]));
		else
		{
			crmio_cell_append(out, column, values[i]);
			if (!writer->plain[i])
				finish_field(writer, out, start);
		}
	}
}

/*
 * flush
 *		The lines so far go to the sink, in the encoding of the file.
 */
static void
flush(CsvExporter *self)
{
	char	   *data = self->lines.data;
	char	   *converted = pg_server_to_any(data, self->lines.len, self->base.options->encoding);

	if (self->lines.len > 0)
		self->base.sink->write(self->base.sink, converted,
							   converted == data ? self->lines.len : strlen(converted));
	if (converted != data)
		pfree(converted);
	/* a row of many megabytes leaves no large buffer behind */
	if (self->lines.maxlen > 16 * PIECE_BYTES)
	{
		MemoryContext old = MemoryContextSwitchTo(self->base.context);

		pfree(self->lines.data);
		initStringInfo(&self->lines);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&self->lines);
}

/*
 * end_line
 *		Ends the line, and writes if there is enough.
 */
static void
end_line(CsvExporter *self)
{
	appendStringInfoString(&self->lines, self->base.options->crlf ? "\r\n" : "\n");
	if (self->lines.len >= PIECE_BYTES)
		flush(self);
}

/*
 * csv_begin
 *		The byte order mark and the header.
 */
static void
csv_begin(Exporter *exporter)
{
	CsvExporter *self = (CsvExporter *) exporter;
	MemoryContext old = MemoryContextSwitchTo(exporter->context);

	initStringInfo(&self->lines);
	crmio_csv_writer_init(&self->writer, exporter->options, exporter->ncolumns,
						  exporter->columns);
	MemoryContextSwitchTo(old);
	if (exporter->options->bom)
		exporter->sink->write(exporter->sink, "\xEF\xBB\xBF", 3);
	if (exporter->options->header)
	{
		crmio_csv_header(&self->writer, &self->lines);
		end_line(self);
	}
}

/*
 * csv_row
 *		A line.
 */
static void
csv_row(Exporter *exporter, const Datum *values, const bool *nulls)
{
	CsvExporter *self = (CsvExporter *) exporter;

	crmio_csv_line(&self->writer, &self->lines, values, nulls);
	end_line(self);
}

/*
 * csv_end
 *		What is left in the buffer.
 */
static void
csv_end(Exporter *exporter)
{
	flush((CsvExporter *) exporter);
}

/*
 * crmio_csv_exporter
 *		Writes CSV files.
 */
Exporter *
crmio_csv_exporter(void)
{
	CsvExporter *self = palloc0(sizeof(CsvExporter));

	self->base.begin = csv_begin;
	self->base.row = csv_row;
	self->base.end = csv_end;
	return &self->base;
}

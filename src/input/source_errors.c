/*
 * source_errors.c
 *	  The error rows of an earlier job as a file: "errors:ID".
 *
 * They are kept as fields, not as bytes, so this source brings its own reader.  Rows
 * have the numbers that they had in the first file: those who mend their causes know
 * them by these.  A row that the first reader could not read is an error here too.
 *
 * Each chunk is one query run as the owner of crmio's tables, after the caller was
 * found to be the owner of the job.  No SPI connection is kept.
 */
#include "input/formats.h"
#include "input/source.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* A chunk ends after so many rows, or bytes. */
#define CHUNK_ROWS	"200"
#define CHUNK_BYTES	"4194304"

/* Errors that the reader of the first file had with a row. */
#define READER_ERRORS "'{too_many_fields,invalid_csv,field_too_large,invalid_encoding,nul_byte}'"

typedef struct ErrorSource
{
	Source		base;
	int64		job_id;
	char		delimiter;
	char		quote;
	int			ncolumns;
	char	  **header;			/* NULL: the file had none */
} ErrorSource;

typedef struct ErrorReader
{
	Reader		base;
	MemoryContext chunk_context;
	FileRow    *rows;			/* of the chunk */
	int			nrows;
	int			next;
	int64		last_row;		/* number of the last row of the chunk, 0: none yet */
	int64		nread;
} ErrorReader;

/*
 * Runs a query as the owner of crmio's tables; the caller holds the SPI connection.
 */
static void
run_query(const char *sql, int64 job_id, int64 after)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		args[] = {Int64GetDatum(job_id), Int64GetDatum(after)};
	CrmioOwnerScope scope;

	crmio_become_owner(&scope);
	/* not read-only: a job of the same statement must be seen */
	if (SPI_execute_with_args(sql, 2, types, args, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the error rows of job " INT64_FORMAT, job_id);
	crmio_restore_user(&scope);
}

/*
 * The elements of a text[] as C strings, in CurrentMemoryContext.
 */
static char **
read_texts(Datum array, int *n)
{
	Datum	   *elements;
	char	  **texts;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, n);
	texts = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		texts[i] = TextDatumGetCString(elements[i]);
	return texts;
}

/*
 * Keeps a row that a query found.
 */
static void
take_row(ErrorReader *self, HeapTuple tuple, TupleDesc desc, FileRow *row)
{
	Reader	   *reader = &self->base;
	bool		isnull;
	Datum		number;

	memset(row, 0, sizeof(FileRow));
	row->row_number = self->last_row = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	number = SPI_getbinval(tuple, desc, 2, &isnull);
	row->line_number = isnull ? 0 : DatumGetInt64(number);
	row->error_code = SPI_getvalue(tuple, desc, 3);
	row->error_reason = SPI_getvalue(tuple, desc, 4);
	row->error_column = SPI_getvalue(tuple, desc, 5);
	row->fields = read_texts(SPI_getbinval(tuple, desc, 6, &isnull), &row->nfields);
	for (int i = 0; i < row->nfields; i++)
		row->length += strlen(row->fields[i]);
	if (row->nfields < reader->ncolumns)
	{
		row->fields = repalloc(row->fields, sizeof(char *) * reader->ncolumns);
		while (row->nfields < reader->ncolumns)
			row->fields[row->nfields++] = "";
	}
}

/*
 * Fetches the next chunk; false if there are no more rows.
 */
static bool
fetch_rows(ErrorReader *self)
{
	MemoryContext old;

	MemoryContextReset(self->chunk_context);
	SPI_connect();
	run_query("SELECT r.row_number, m.line_number, m.code, m.reason, m.column_name, r.fields"
			  " FROM (SELECT row_number, fields,"
			  "  sum(pg_column_size(fields)) OVER (ORDER BY row_number) - pg_column_size(fields) AS before"
			  "  FROM (SELECT row_number, fields FROM " CRMIO_SCHEMA ".job_error_row"
			  "   WHERE job_id = $1 AND row_number > $2 ORDER BY row_number LIMIT " CHUNK_ROWS ") s) r"
			  " CROSS JOIN LATERAL (SELECT min(line_number) AS line_number,"
			  "  min(code) FILTER (WHERE code = ANY (" READER_ERRORS ")) AS code,"
			  "  min(reason) FILTER (WHERE code = ANY (" READER_ERRORS ")) AS reason,"
			  "  min(column_name) FILTER (WHERE code = ANY (" READER_ERRORS ")) AS column_name"
			  "  FROM " CRMIO_SCHEMA ".job_message"
			  "  WHERE job_id = $1 AND severity = 'e' AND row_number = r.row_number) m"
			  " WHERE before < " CHUNK_BYTES " ORDER BY r.row_number",
			  ((ErrorSource *) self->base.source)->job_id, self->last_row);
	old = MemoryContextSwitchTo(self->chunk_context);
	self->next = 0;
	self->nrows = SPI_processed;
	self->rows = palloc(sizeof(FileRow) * Max(self->nrows, 1));
	for (int i = 0; i < self->nrows; i++)
		take_row(self, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &self->rows[i]);
	MemoryContextSwitchTo(old);
	SPI_finish();
	return self->nrows > 0;
}

/*
 * Reads the next row; false at the end.
 */
static bool
errors_next_row(Reader *reader, FileRow *row)
{
	ErrorReader *self = (ErrorReader *) reader;
	const FileRow *kept;

	if (self->next == self->nrows && !fetch_rows(self))
		return false;
	kept = &self->rows[self->next++];
	*row = *kept;
	row->error_reason = kept->error_reason ? pstrdup(kept->error_reason) : NULL;
	row->error_column = kept->error_column ? pstrdup(kept->error_column) : NULL;
	row->error_code = kept->error_code ? pstrdup(kept->error_code) : NULL;
	row->fields = palloc(sizeof(char *) * Max(row->nfields, 1));
	for (int i = 0; i < row->nfields; i++)
		row->fields[i] = pstrdup(kept->fields[i]);
	self->nread++;
	return true;
}

/*
 * Back to the first row.
 */
static void
errors_rewind(Reader *reader)
{
	ErrorReader *self = (ErrorReader *) reader;

	self->last_row = self->nread = 0;
	self->next = self->nrows = 0;
}

/*
 * How far the rows were read; their number stands for bytes here.
 */
static int64
errors_bytes_read(Reader *reader)
{
	return ((ErrorReader *) reader)->nread;
}

/*
 * The reader that this source brings.
 */
static Reader *
errors_open_reader(Source *source)
{
	ErrorSource *from = (ErrorSource *) source;
	ErrorReader *self = palloc0(sizeof(ErrorReader));
	Reader	   *reader = &self->base;

	self->chunk_context = AllocSetContextCreate(CurrentMemoryContext, "crmio error rows",
												ALLOCSET_DEFAULT_SIZES);
	reader->source = source;
	reader->encoding_name = pstrdup(GetDatabaseEncodingName());
	reader->header_line = from->header ? 1 : 0;
	reader->ncolumns = from->ncolumns;
	reader->raw_header = from->header;
	reader->delimiter = from->delimiter;
	reader->quote = from->quote;
	reader->next_row = errors_next_row;
	reader->rewind = errors_rewind;
	reader->bytes_read = errors_bytes_read;
	crmio_reader_name_columns(reader);
	reader->error_reason_column = -1;
	if (from->header && from->ncolumns > 0 &&
		strcmp(reader->column_names[from->ncolumns - 1], CRMIO_ERROR_REASON) == 0)
		reader->error_reason_column = from->ncolumns - 1;
	return reader;
}

/*
 * There are no bytes.
 */
static size_t
errors_read(Source *source, char *buffer, size_t length)
{
	return 0;
}

/*
 * There is nothing to begin anew: this source has rows, not bytes.
 */
static void
errors_source_rewind(Source *source)
{
}

/*
 * Reads what the job's row says; an error if there is nothing to be read.
 */
static void
read_job(ErrorSource *self, MemoryContext context)
{
	const char *owner = NULL;
	HeapTuple	tuple = NULL;
	TupleDesc	desc = NULL;
	char	   *state;
	bool		isnull;
	Datum		header;
	MemoryContext old;

	run_query("SELECT j.owner, j.state, j.file_name, j.delimiter, j.quote, j.header, j.cleaned_at IS NOT NULL,"
			  " (SELECT count(*) FROM " CRMIO_SCHEMA ".job_error_row r WHERE r.job_id = j.job_id AND r.row_number > $2),"
			  " (SELECT max(cardinality(r.fields)) FROM " CRMIO_SCHEMA ".job_error_row r WHERE r.job_id = j.job_id)"
			  " FROM " CRMIO_SCHEMA ".job j WHERE j.job_id = $1", self->job_id, 0);
	if (SPI_processed == 1)
	{
		tuple = SPI_tuptable->vals[0];
		desc = SPI_tuptable->tupdesc;
		owner = SPI_getvalue(tuple, desc, 1);
	}
	crmio_check_job_owner(self->job_id, owner);
	state = SPI_getvalue(tuple, desc, 2);
	if (strcmp(state, "running") == 0 || strcmp(state, "queued") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " has not ended", self->job_id),
				 errdetail("It is %s; its error rows can be imported when it has ended.", state)));
	self->base.size = DatumGetInt64(SPI_getbinval(tuple, desc, 8, &isnull));
	if (self->base.size == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("job " INT64_FORMAT " has no error rows", self->job_id),
				 DatumGetBool(SPI_getbinval(tuple, desc, 7, &isnull)) ?
				 errdetail("They were removed by crm_cleanup.") : 0));

	old = MemoryContextSwitchTo(context);
	self->base.name = psprintf("%s (errors of job " INT64_FORMAT ")", SPI_getvalue(tuple, desc, 3), self->job_id);
	self->delimiter = SPI_getvalue(tuple, desc, 4)[0];
	self->quote = SPI_getvalue(tuple, desc, 5)[0];
	header = SPI_getbinval(tuple, desc, 6, &isnull);
	if (!isnull)
		self->header = read_texts(header, &self->ncolumns);
	else
		self->ncolumns = DatumGetInt32(SPI_getbinval(tuple, desc, 9, &isnull));
	MemoryContextSwitchTo(old);
}

/*
 * Opens the error rows of a job of the caller, by its id.
 */
Source *
crmio_source_open_errors(const char *id)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorSource *self = palloc0(sizeof(ErrorSource));

	self->job_id = pg_strtoint64(id);
	self->base.read = errors_read;
	self->base.rewind = errors_source_rewind;
	self->base.open_reader = errors_open_reader;
	SPI_connect();
	read_job(self, context);
	SPI_finish();
	return &self->base;
}

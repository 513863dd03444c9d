/*
 * report.c
 *	  What a job says of itself: crm_errors, crm_warnings and crm_error_csv.
 *
 * The tables are read as their owner, after a check that the job is the caller's,
 * or that of a role that the caller is a member of.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "history/job.h"

PG_FUNCTION_INFO_V1(crm_errors);
PG_FUNCTION_INFO_V1(crm_warnings);
PG_FUNCTION_INFO_V1(crm_error_csv);

/* Columns of crm_errors and crm_warnings. */
#define MESSAGE_COLUMNS 7

/* How a job's file was written, to write its error rows likewise. */
typedef struct JobFormat
{
	char		delimiter;
	char		quote;
	bool		has_header;
	Datum		header;			/* text[] */
} JobFormat;

/*
 * select_for_job
 *		Runs a query with the job's id as its parameter, as the owner of the tables.  The
 *		caller holds the SPI connection.
 */
static void
select_for_job(const char *sql, int64 job_id)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};
	CrmioOwnerScope scope;

	crmio_become_owner(&scope);
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read job " INT64_FORMAT, job_id);
	crmio_restore_user(&scope);
}

/*
 * read_job
 *		How the job's file was written; an error if the caller has no such job.
 */
static void
read_job(int64 job_id, JobFormat *format)
{
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;

	(void) crmio_job_of_caller(job_id, false);
	select_for_job("SELECT delimiter, quote, header FROM " CRMIO_SCHEMA ".job WHERE job_id = $1",
				   job_id);
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	format->delimiter = SPI_getvalue(tuple, desc, 1)[0];
	format->quote = SPI_getvalue(tuple, desc, 2)[0];
	format->header = SPI_getbinval(tuple, desc, 3, &isnull);
	format->has_header = !isnull;
}

/*
 * report_messages
 *		The errors or warnings of a job, as the function's result.
 */
static Datum
report_messages(FunctionCallInfo fcinfo, const char *sql)
{
	int64		job_id = PG_GETARG_INT64(0);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	JobFormat	format;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	read_job(job_id, &format);
	select_for_job(sql, job_id);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		values[MESSAGE_COLUMNS];
		bool		nulls[MESSAGE_COLUMNS];

		for (int c = 0; c < MESSAGE_COLUMNS; c++)
			values[c] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, c + 1, &nulls[c]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/*
 * crm_errors
 *		One row per error of a job, in the order of the file.
 */
Datum
crm_errors(PG_FUNCTION_ARGS)
{
	return report_messages(fcinfo,
						   "SELECT row_number, line_number, column_name, field, value, code, reason"
						   " FROM " CRMIO_SCHEMA ".job_message WHERE job_id = $1 AND severity = 'e'"
						   " ORDER BY row_number, message_id");
}

/*
 * crm_warnings
 *		One row per warning of a job; those about the whole file come first.
 */
Datum
crm_warnings(PG_FUNCTION_ARGS)
{
	return report_messages(fcinfo,
						   "SELECT row_number, line_number, column_name, field, value, code, reason"
						   " FROM " CRMIO_SCHEMA ".job_message WHERE job_id = $1 AND severity = 'w'"
						   " ORDER BY row_number NULLS FIRST, message_id");
}

/*
 * append_field
 *		A field of the CSV, quoted where the reader would otherwise take it for
 *		something else.
 */
static void
append_field(StringInfo line, const JobFormat *format, const char *field)
{
	char		special[] = {format->delimiter, format->quote, '\r', '\n', '\0'};

	if (field[strcspn(field, special)] == '\0')
	{
		appendStringInfoString(line, field);
		return;
	}
	appendStringInfoChar(line, format->quote);
	for (const char *p = field; *p != '\0'; p++)
	{
		if (*p == format->quote)
			appendStringInfoChar(line, format->quote);
		appendStringInfoChar(line, *p);
	}
	appendStringInfoChar(line, format->quote);
}

/*
 * csv_line
 *		The fields of a row, padded to a width, and one more.  The reason of an earlier
 *		round, in the last column of the header, gives way to the new one.
 */
static char *
csv_line(const JobFormat *format, Datum fields, int width, const char *last)
{
	StringInfoData line;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	initStringInfo(&line);
	deconstruct_array(DatumGetArrayTypeP(fields), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < Max(n, width); i++)
	{
		/* a row that is too long keeps all its fields: none is lost */
		if (i < n)
			append_field(&line, format, TextDatumGetCString(elements[i]));
		appendStringInfoChar(&line, format->delimiter);
	}
	append_field(&line, format, last);
	return line.data;
}

/*
 * without_reason
 *		An array without its element at a position, that of an older reason.  In a row
 *		that is too long, which has its reason at its end, without the last one.
 */
static Datum
without_reason(Datum fields, int position)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			kept = 0;

	deconstruct_array(DatumGetArrayTypeP(fields), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	if (n > position + 1)
		position = n - 1;
	for (int i = 0; i < n; i++)
	{
		if (i != position)
			elements[kept++] = elements[i];
	}
	return PointerGetDatum(construct_array(elements, kept, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * reason_position
 *		Where the header has an older reason, -1 if nowhere.
 */
static int
reason_position(Datum header)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(header), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	if (n > 0 && strcmp(crmio_trim(TextDatumGetCString(elements[n - 1])), CRMIO_ERROR_REASON) == 0)
		return n - 1;
	return -1;
}

/*
 * crm_error_csv
 *		The rows of a job that failed, as a file that can be mended and imported again.
 */
Datum
crm_error_csv(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	JobFormat	format;
	int			width = 0;
	int			old_reason = -1;
	Datum		value;
	bool		isnull = false;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	SPI_connect();
	read_job(job_id, &format);
	if (format.has_header)
	{
		old_reason = reason_position(format.header);
		if (old_reason >= 0)
			format.header = without_reason(format.header, old_reason);
		width = ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(format.header)),
							   ARR_DIMS(DatumGetArrayTypeP(format.header)));
		value = CStringGetTextDatum(csv_line(&format, format.header, width, CRMIO_ERROR_REASON));
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	select_for_job("SELECT r.fields, pg_catalog.string_agg(m.reason, '; ' ORDER BY m.message_id)"
				   " FROM " CRMIO_SCHEMA ".job_error_row r JOIN " CRMIO_SCHEMA ".job_message m"
				   " USING (job_id, row_number)"
				   " WHERE r.job_id = $1 AND m.severity = 'e'"
				   " GROUP BY r.row_number, r.fields ORDER BY r.row_number", job_id);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		no_fields;
		Datum		fields = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &no_fields);

		if (old_reason >= 0)
			fields = without_reason(fields, old_reason);
		value = CStringGetTextDatum(csv_line(&format, fields, width,
											 SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2)));
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	SPI_finish();
	return (Datum) 0;
}

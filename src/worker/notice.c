/*
 * notice.c
 *	  Writes the mail about a job that ends, one row of crmio.mail_outbox for each
 *	  address that the mapping's key "notify" names.
 *
 * It tells what the job's owner wants to know first, and how to see the rest; values
 * of the file stay in the database.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "history/job.h"
#include "worker/mail.h"

/* How many kinds of errors a mail lists. */
#define ERROR_KINDS "5"

/* How much it tells of the reason of a failure; crm_jobs has all of it. */
#define REASON_BYTES 2000

/*
 * column_text
 *		A column of a row of the last query; "" for null.
 */
static char *
column_text(uint64 row, const char *name)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	char	   *text = SPI_getvalue(SPI_tuptable->vals[row], desc, SPI_fnumber(desc, name));

	return text != NULL ? text : "";
}

/*
 * append_errors
 *		The most frequent kinds of errors, and how to see all of them.
 */
static void
append_errors(StringInfo body, int64 job_id)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};

	crmio_history_run("SELECT code, column_name, pg_catalog.count(*) AS errors"
					  " FROM " CRMIO_SCHEMA ".job_message"
					  " WHERE job_id = $1 AND severity = 'e' GROUP BY code, column_name"
					  " ORDER BY errors DESC, code, column_name LIMIT " ERROR_KINDS,
					  1, types, values, NULL);
	appendStringInfoString(body, "\nThe most frequent errors:\n");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *column = column_text(i, "column_name");

		appendStringInfo(body, "%10s  %s", column_text(i, "errors"), column_text(i, "code"));
		if (column[0] != '\0')
			appendStringInfo(body, ", column \"%s\"", crmio_clip(column));
		appendStringInfoChar(body, '\n');
	}
	appendStringInfo(body, "\nTo see all of them:\n    SELECT * FROM crm_errors(" INT64_FORMAT ");\n"
					 "The rows that failed, as a file to be mended and imported again:\n"
					 "    SELECT crm_error_csv(" INT64_FORMAT ");\n", job_id, job_id);
}

/*
 * clip_reason
 *		Why a job failed, in a length for a mail: what a trigger says may be endless.
 */
static char *
clip_reason(const char *reason)
{
	int			length = strnlen(reason, REASON_BYTES + 1);

	if (length <= REASON_BYTES)
		return pstrdup(reason);
	return psprintf("%.*s...", pg_mbcliplen(reason, length, REASON_BYTES), reason);
}

/*
 * describe_job
 *		Subject and text of the mail, from the job's row, which the last query has found.
 */
static void
describe_job(int64 job_id, StringInfo subject, StringInfo body)
{
	static const char *const counts[][2] = {
		{"rows read", "rows_read"}, {"created", "created"}, {"updated", "updated"},
		{"unchanged", "unchanged"}, {"skipped", "skipped"}, {"error rows", "errored"},
		{"warnings", "warnings"}
	};
	char	   *file = crmio_clip(column_text(0, "file_name"));
	char	   *state = column_text(0, "state");
	char	   *started = column_text(0, "started");
	char	   *reason = column_text(0, "reason");
	char	   *errored = column_text(0, "errored");
	bool		dry_run = strcmp(column_text(0, "dry_run"), "t") == 0;
	bool		has_errors = strcmp(errored, "0") != 0;

	appendStringInfo(subject, "%s of %s: %s", dry_run ? "Dry run" : "Import", file, state);
	if (has_errors)
		appendStringInfo(subject, ", %s error row%s", errored, strcmp(errored, "1") == 0 ? "" : "s");

	appendStringInfo(body, "The %s of \"%s\" into %s has %s.\n\n", dry_run ? "dry run" : "import", file,
					 crmio_clip(column_text(0, "module")), state);
	if (reason[0] != '\0')
		appendStringInfo(body, "Reason: %s\n\n", clip_reason(reason));
	for (int i = 0; i < lengthof(counts); i++)
		appendStringInfo(body, "%-10s %10s\n", counts[i][0], column_text(0, counts[i][1]));
	appendStringInfo(body, "\nJob " INT64_FORMAT " of %s in database %s, policy %s,\n", job_id,
					 column_text(0, "owner"), get_database_name(MyDatabaseId),
					 column_text(0, "policy"));
	if (started[0] != '\0')
		appendStringInfo(body, "from %s to %s.\n", started, column_text(0, "ended"));
	else
		appendStringInfo(body, "never begun, ended at %s.\n", column_text(0, "ended"));
	if (strcmp(column_text(0, "resumable"), "t") == 0)
		appendStringInfo(body, "\nWhat it has imported stays. To let it go on from there:\n"
						 "    SELECT crm_resume(" INT64_FORMAT ");\n", job_id);
	if (has_errors)
		append_errors(body, job_id);
}

/*
 * crmio_notice_write
 *		Puts the mails about a job into the outbox, and returns how many.  The caller is
 *		connected to SPI, and the job's row says all by now.
 */
int
crmio_notice_write(int64 job_id)
{
	Oid			types[4] = {INT8OID, TEXTOID, TEXTOID, TEXTARRAYOID};
	Datum		values[4];
	StringInfoData subject;
	StringInfoData body;
	bool		isnull;

	values[0] = Int64GetDatum(job_id);
	crmio_history_run("SELECT notify, file_name, module, policy, state, dry_run, owner, reason,"
					  " rows_read, created, updated, unchanged, skipped, errored, warnings,"
					  " background AND NOT dry_run AND state <> 'completed' AS resumable,"
					  " pg_catalog.to_char(started_at, 'YYYY-MM-DD HH24:MI:SS TZ') AS started,"
					  " pg_catalog.to_char(ended_at, 'YYYY-MM-DD HH24:MI:SS TZ') AS ended"
					  " FROM " CRMIO_SCHEMA ".job WHERE job_id = $1 AND notify IS NOT NULL",
					  1, types, values, NULL);
	if (SPI_processed == 0)
		return 0;
	values[3] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

	initStringInfo(&subject);
	initStringInfo(&body);
	describe_job(job_id, &subject, &body);
	values[1] = CStringGetTextDatum(subject.data);
	values[2] = CStringGetTextDatum(body.data);
	crmio_history_run("INSERT INTO " CRMIO_SCHEMA ".mail_outbox (job_id, subject, body, recipient)"
					  " SELECT $1, $2, $3, address FROM pg_catalog.unnest($4) address",
					  4, types, values, NULL);
	return SPI_processed;
}

/*
 * cleanup.c
 *	  crm_cleanup: what old jobs have left goes, but for their rows in the history.
 *
 * Whose jobs they are is decided as for looking at them: the caller's, and those of
 * roles that the caller is a member of.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "history/job.h"

PG_FUNCTION_INFO_V1(crm_cleanup);

/* Columns of the function's result. */
#define RESULT_COLUMNS 6

/*
 * roles_of_caller
 *		Those owners of jobs and uploads for whom the caller may act: a name[].
 */
static Datum
roles_of_caller(void)
{
	MemoryContext context = CurrentMemoryContext;
	CrmioOwnerScope scope;
	Datum	   *roles;
	int			n = 0;

	crmio_become_owner(&scope);
	if (SPI_execute("SELECT owner FROM " CRMIO_SCHEMA ".job UNION SELECT owner FROM " CRMIO_SCHEMA ".upload",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the owners of jobs");
	crmio_restore_user(&scope);
	MemoryContextSwitchTo(context);
	roles = palloc(sizeof(Datum) * (SPI_processed + 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		role = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		if (crmio_acts_for(NameStr(*DatumGetName(role))))
			roles[n++] = role;
	}
	return PointerGetDatum(construct_array(roles, n, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR));
}

/*
 * delete_of_jobs
 *		Deletes the rows of some jobs from a history table; returns how many.
 */
static int64
delete_of_jobs(const char *table, Datum jobs)
{
	Oid			types[1] = {INT8ARRAYOID};
	CrmioOwnerScope scope;

	crmio_become_owner(&scope);
	if (SPI_execute_with_args(psprintf("DELETE FROM " CRMIO_SCHEMA ".%s WHERE job_id = ANY ($1)", table),
							  1, types, &jobs, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not clean up %s", table);
	crmio_restore_user(&scope);
	return SPI_processed;
}

/*
 * delete_uploads
 *		Deletes old uploads, but not those of jobs that have not ended, or may be resumed.
 */
static int64
delete_uploads(Datum older_than, Datum roles)
{
	Oid			types[2] = {INTERVALOID, NAMEARRAYOID};
	Datum		values[2] = {older_than, roles};
	CrmioOwnerScope scope;
	bool		isnull;

	crmio_become_owner(&scope);
	if (SPI_execute_with_args("WITH old AS ("
							  " DELETE FROM " CRMIO_SCHEMA ".upload u"
							  " WHERE owner = ANY ($2) AND created_at < now() - $1"
							  " AND NOT EXISTS (SELECT FROM " CRMIO_SCHEMA ".job j"
							  "  WHERE j.file = u.handle AND (j.state IN ('queued', 'running')"
							  "   OR j.state IN ('failed', 'cancelled') AND j.cleaned_at IS NULL)) RETURNING handle),"
							  " parts AS (DELETE FROM " CRMIO_SCHEMA ".upload_part"
							  " WHERE handle IN (SELECT handle FROM old))"
							  " SELECT count(*) FROM old", 2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not clean up uploads");
	crmio_restore_user(&scope);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * delete_mails
 *		Deletes the mails about old jobs that were sent or given up, also about those that
 *		were cleaned up while the mail still waited.  One that somebody is about to have sent
 *		again stays.
 */
static int64
delete_mails(Datum older_than, Datum roles)
{
	Oid			types[2] = {INTERVALOID, NAMEARRAYOID};
	Datum		values[2] = {older_than, roles};
	CrmioOwnerScope scope;

	crmio_become_owner(&scope);
	if (SPI_execute_with_args("DELETE FROM " CRMIO_SCHEMA ".mail_outbox WHERE mail_id IN ("
							  "SELECT m.mail_id FROM " CRMIO_SCHEMA ".mail_outbox m"
							  " JOIN " CRMIO_SCHEMA ".job j ON j.job_id = m.job_id"
							  " WHERE j.owner = ANY ($2) AND j.ended_at < now() - $1"
							  " AND j.cleaned_at IS NOT NULL AND m.state IN ('sent', 'failed')"
							  " FOR UPDATE OF m SKIP LOCKED)",
							  2, types, values, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not clean up mails");
	crmio_restore_user(&scope);
	return SPI_processed;
}

/*
 * crm_cleanup
 *		SELECT * FROM crm_cleanup(older_than)
 */
Datum
crm_cleanup(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"older_than"};
	static const Interval none = {0};
	Datum		older_than = PG_GETARG_DATUM(0);
	Datum		values[RESULT_COLUMNS];
	bool		nulls[RESULT_COLUMNS] = {false};
	int64		njobs;
	TupleDesc	desc;
	Datum		roles;
	Datum		jobs;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	PreventCommandIfReadOnly("crm_cleanup()");
	if (DatumGetBool(DirectFunctionCall2(interval_lt, older_than, IntervalPGetDatum(&none))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"older_than\" must not be negative")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != RESULT_COLUMNS)
		elog(ERROR, "crm_cleanup must return six counts");
	SPI_connect();
	roles = roles_of_caller();
	jobs = crmio_jobs_clean(older_than, roles, &njobs);
	values[0] = Int64GetDatum(njobs);
	values[1] = Int64GetDatum(delete_of_jobs("job_created", jobs) + delete_of_jobs("job_change", jobs) +
							  delete_of_jobs("job_xact", jobs) + delete_of_jobs("job_restored", jobs));
	values[2] = Int64GetDatum(delete_of_jobs("job_message", jobs));
	values[3] = Int64GetDatum(delete_of_jobs("job_error_row", jobs));
	values[4] = Int64GetDatum(delete_uploads(older_than, roles));
	values[5] = Int64GetDatum(delete_mails(older_than, roles));
	SPI_finish();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

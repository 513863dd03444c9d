/*
 * state.c
 *	  The life of a job in the background, as its row tells it: queued, claimed by a
 *	  worker, on its way, ended, queued again; and how any job is shown to its owner.
 *
 * job.c writes what the import itself has to say.  Whether a worker is alive at
 * all is the business of the queue (worker/queue.c).  The callers hold an SPI
 * connection.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "history/job.h"

/* Columns of the type crm_progress. */
#define PROGRESS_COLUMNS 11

/* In the order in which read_row expects them. */
#define JOB_COLUMNS "job_id, owner, module, file_name, mapping, policy, dry_run, state," \
	" rows_read, created, updated, unchanged, skipped, errored, warnings," \
	" started_at, ended_at, reason, background, file, file_size, settings, queued_at," \
	" cancelled_by, worker_pid, worker_started_at, batches, bytes_read, rows_hash," \
	" date_orders, cleaned_at IS NOT NULL, xmin"

#define NJOB_COLUMNS 32

/*
 * optional_jsonb
 *		A copy of a jsonb value, or NULL.
 */
static Jsonb *
optional_jsonb(Datum value, bool isnull)
{
	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * read_row
 *		A row of JOB_COLUMNS, into CurrentMemoryContext.
 */
static Job *
read_row(HeapTuple tuple, TupleDesc desc)
{
	Job		   *job = palloc0(sizeof(Job));
	Datum		values[NJOB_COLUMNS];
	bool		nulls[NJOB_COLUMNS];
	int			i = 0;

	heap_deform_tuple(tuple, desc, values, nulls);
	/* where a column may be null, zero stands for that */
	for (int c = 0; c < NJOB_COLUMNS; c++)
	{
		if (nulls[c])
			values[c] = (Datum) 0;
	}
	job->job_id = DatumGetInt64(values[i++]);
	job->owner = pstrdup(NameStr(*DatumGetName(values[i++])));
	job->module = TextDatumGetCString(values[i++]);
	job->file_name = TextDatumGetCString(values[i++]);
	job->mapping = DatumGetJsonbPCopy(values[i++]);
	job->policy = TextDatumGetCString(values[i++]);
	job->dry_run = DatumGetBool(values[i++]);
	job->state = TextDatumGetCString(values[i++]);
	job->counts.rows_read = DatumGetInt64(values[i++]);
	job->counts.created = DatumGetInt64(values[i++]);
	job->counts.updated = DatumGetInt64(values[i++]);
	job->counts.unchanged = DatumGetInt64(values[i++]);
	job->counts.skipped = DatumGetInt64(values[i++]);
	job->counts.errored = DatumGetInt64(values[i++]);
	job->counts.warnings = DatumGetInt64(values[i++]);
	job->started_at = DatumGetTimestampTz(values[i++]);
	job->ended_at = DatumGetTimestampTz(values[i++]);
	job->reason = nulls[i] ? NULL : TextDatumGetCString(values[i]);
	i++;
	job->background = DatumGetBool(values[i++]);
	job->file = nulls[i] ? NULL : TextDatumGetCString(values[i]);
	i++;
	job->file_size = DatumGetInt64(values[i++]);
	job->settings = optional_jsonb(values[i], nulls[i]);
	i++;
	job->queued_at = DatumGetTimestampTz(values[i++]);
	job->cancelled_by = nulls[i] ? NULL : pstrdup(NameStr(*DatumGetName(values[i])));
	i++;
	job->worker_pid = DatumGetInt32(values[i++]);
	job->worker_started_at = DatumGetTimestampTz(values[i++]);
	job->position.batches = DatumGetInt64(values[i++]);
	job->position.bytes_read = DatumGetInt64(values[i++]);
	job->position.rows_hash = (uint64) DatumGetInt64(values[i++]);
	job->position.date_orders = optional_jsonb(values[i], nulls[i]);
	i++;
	job->cleaned = DatumGetBool(values[i++]);
	job->own_change = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(values[i]));
	return job;
}

/*
 * read_rows
 *		The result of the last query, as a List of Job *.
 */
static List *
read_rows(void)
{
	List	   *jobs = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
		jobs = lappend(jobs, read_row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
	SPI_freetuptable(SPI_tuptable);
	return jobs;
}

/*
 * crmio_job_load
 *		The row of a job, as it is now; locked until the transaction ends, if so wanted.
 *		NULL if there is none.
 */
Job *
crmio_job_load(int64 job_id, bool lock)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};
	List	   *jobs;

	crmio_history_run(lock ?
					  "SELECT " JOB_COLUMNS " FROM " CRMIO_SCHEMA ".job WHERE job_id = $1 FOR UPDATE" :
					  "SELECT " JOB_COLUMNS " FROM " CRMIO_SCHEMA ".job WHERE job_id = $1",
					  1, types, values, NULL);
	jobs = read_rows();
	return jobs ? linitial(jobs) : NULL;
}

/*
 * may_see
 *		Are jobs of this owner the caller's, or of a role that the caller is a member of?
 *		Those of a role which is gone are the superusers'.
 */
static bool
may_see(const char *owner)
{
	Oid			role = get_role_oid(owner, true);

	return OidIsValid(role) ? has_privs_of_role(GetUserId(), role) : superuser();
}

/*
 * crmio_job_of_caller
 *		As crmio_job_load, and an error if the caller has no such job.  That of another
 *		role is not told from one that does not exist.
 */
Job *
crmio_job_of_caller(int64 job_id, bool lock)
{
	Job		   *job = crmio_job_load(job_id, false);

	/* nobody waits for the row of a job that is none of his business */
	if (lock && job != NULL && may_see(job->owner))
		job = crmio_job_load(job_id, true);
	if (job == NULL || !may_see(job->owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no job " INT64_FORMAT " of yours", job_id),
				 errhint("Your jobs are in the view crm_jobs.")));
	return job;
}

/*
 * crmio_jobs_of_caller
 *		All jobs that the caller may see, the newest first.
 */
List *
crmio_jobs_of_caller(void)
{
	Oid			types[1] = {NAMEARRAYOID};
	Datum		values[1];
	Datum	   *owners;
	int			nowners = 0;

	crmio_history_run("SELECT DISTINCT owner FROM " CRMIO_SCHEMA ".job", 0, NULL, NULL, NULL);
	owners = palloc(sizeof(Datum) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		owner = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		if (may_see(NameStr(*DatumGetName(owner))))
			owners[nowners++] = owner;
	}
	values[0] = PointerGetDatum(construct_array(owners, nowners, NAMEOID, NAMEDATALEN, false,
												TYPALIGN_CHAR));
	crmio_history_run("SELECT " JOB_COLUMNS " FROM " CRMIO_SCHEMA ".job WHERE owner = ANY ($1)"
					  " ORDER BY job_id DESC", 1, types, values, NULL);
	return read_rows();
}

/*
 * crmio_jobs_in_state
 *		The jobs in the background that are queued, in the order of the queue, or
 *		running: anybody's.
 */
List *
crmio_jobs_in_state(const char *state)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(state)};

	crmio_history_run("SELECT " JOB_COLUMNS " FROM " CRMIO_SCHEMA ".job"
					  " WHERE state = $1 AND state = ANY ('{queued,running}') AND background"
					  " ORDER BY queued_at, job_id", 1, types, values, NULL);
	return read_rows();
}

/*
 * crmio_job_lock_queued
 *		Locks the row of a job until the transaction ends.  False if it is not in the
 *		queue any more, or somebody is about to take it out.
 */
bool
crmio_job_lock_queued(int64 job_id)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};

	crmio_history_run("SELECT FROM " CRMIO_SCHEMA ".job WHERE job_id = $1 AND state = 'queued'"
					  " FOR UPDATE SKIP LOCKED", 1, types, values, NULL);
	SPI_freetuptable(SPI_tuptable);
	return SPI_processed == 1;
}

/*
 * crmio_job_claim
 *		A worker takes a job from the queue.  False if it is not in the queue any more, or
 *		somebody is about to take it out.
 */
bool
crmio_job_claim(int64 job_id, int worker_pid)
{
	Oid			types[2] = {INT8OID, INT4OID};
	Datum		values[2] = {Int64GetDatum(job_id), Int32GetDatum(worker_pid)};

	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET state = 'running', worker_pid = $2,"
					  " worker_started_at = pg_catalog.clock_timestamp(),"
					  " started_at = COALESCE(started_at, pg_catalog.clock_timestamp())"
					  " WHERE job_id = (SELECT job_id FROM " CRMIO_SCHEMA ".job"
					  " WHERE job_id = $1 AND state = 'queued' FOR UPDATE SKIP LOCKED)",
					  2, types, values, NULL);
	return SPI_processed == 1;
}

/*
 * crmio_job_save_position
 *		Where to go on, in the transaction that writes the batch which ends there.
 */
void
crmio_job_save_position(int64 job_id, const JobPosition *position)
{
	Oid			types[5] = {INT8OID, INT8OID, INT8OID, INT8OID, JSONBOID};
	Datum		values[5];
	char		nulls[6] = "     ";

	values[0] = Int64GetDatum(job_id);
	values[1] = Int64GetDatum(position->batches);
	values[2] = Int64GetDatum(position->bytes_read);
	values[3] = Int64GetDatum((int64) position->rows_hash);
	values[4] = JsonbPGetDatum(position->date_orders);
	if (position->date_orders == NULL)
		nulls[4] = 'n';
	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET batches = $2, bytes_read = $3, rows_hash = $4,"
					  " date_orders = $5 WHERE job_id = $1", 5, types, values, nulls);
}

/*
 * crmio_job_request_cancel
 *		A role asks the worker to stop.
 */
void
crmio_job_request_cancel(int64 job_id, const char *role)
{
	Oid			types[2] = {INT8OID, NAMEOID};
	Datum		values[2] = {Int64GetDatum(job_id),
	DirectFunctionCall1(namein, CStringGetDatum(role))};

	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET cancelled_by = $2 WHERE job_id = $1",
					  2, types, values, NULL);
}

/*
 * crmio_job_queue_again
 *		A job that has ended before its file did is to go on.
 */
void
crmio_job_queue_again(int64 job_id)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};

	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET state = 'queued', ended_at = NULL, reason = NULL,"
					  " cancelled_by = NULL, queued_at = pg_catalog.clock_timestamp()"
					  " WHERE job_id = $1", 1, types, values, NULL);
}

/*
 * crmio_job_end
 *		Ends a job that stands in a certain state, and tells the world.  False if it does
 *		not stand there, or somebody is about to change that.
 */
bool
crmio_job_end(int64 job_id, const char *from, const char *state, const char *reason)
{
	Oid			types[4] = {INT8OID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4] = {Int64GetDatum(job_id), CStringGetTextDatum(from),
	CStringGetTextDatum(state), CStringGetTextDatum(reason)};

	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET state = $3, reason = $4,"
					  " ended_at = pg_catalog.clock_timestamp()"
					  " WHERE job_id = (SELECT job_id FROM " CRMIO_SCHEMA ".job"
					  " WHERE job_id = $1 AND state = $2 FOR UPDATE SKIP LOCKED)",
					  4, types, values, NULL);
	if (SPI_processed != 1)
		return false;
	crmio_job_ended(job_id);
	return true;
}

/*
 * percent_datum
 *		What share of a file has been read.  Less than 100 until it is all done.
 */
static Datum
percent_datum(bool completed, int64 bytes_read, int64 bytes)
{
	int64		tenths = 0;

	if (completed)
		tenths = 1000;
	else if (bytes > 0)
		tenths = Min((int64) (1000.0 * bytes_read / bytes), 999);
	return NumericGetDatum(int64_div_fast_to_numeric(tenths, 1));
}

/*
 * progress_datum
 *		A crm_progress.  elapsed is in microseconds.
 */
static Datum
progress_datum(TupleDesc desc, int64 job_id, const char *state, const JobCounts *counts,
			   Datum percent, int64 elapsed)
{
	Datum		values[PROGRESS_COLUMNS];
	bool		nulls[PROGRESS_COLUMNS] = {false};
	Interval   *interval = palloc0(sizeof(Interval));

	if (desc->natts != PROGRESS_COLUMNS)
		elog(ERROR, "crm_progress has %d columns", desc->natts);
	interval->time = elapsed;
	crmio_job_counts(values, job_id, state, counts);
	values[9] = percent;
	values[10] = IntervalPGetDatum(interval);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * crmio_progress_datum
 *		The progress of an import that is running, or has just ended.
 */
Datum
crmio_progress_datum(TupleDesc desc, int64 job_id, const char *state, const JobCounts *counts,
					 int64 bytes_read, int64 bytes, int64 elapsed)
{
	return progress_datum(desc, job_id, state, counts,
						  percent_datum(strcmp(state, "completed") == 0, bytes_read, bytes), elapsed);
}

/*
 * crmio_job_progress
 *		The state of a job, as its row has it, as a crm_progress.
 */
Datum
crmio_job_progress(TupleDesc desc, const Job *job)
{
	TimestampTz end = job->ended_at ? job->ended_at : GetCurrentTimestamp();
	int64		elapsed = job->started_at ? Max(end - job->started_at, 0) : 0;

	return progress_datum(desc, job->job_id, job->state, &job->counts, crmio_job_percent(job), elapsed);
}

/*
 * crmio_job_percent
 *		What share of its file a job has read, as numeric.  One that was rolled back had
 *		completed, unless a reason is left of why it did not.
 */
Datum
crmio_job_percent(const Job *job)
{
	bool		completed = strcmp(job->state, "completed") == 0 ||
		(strcmp(job->state, "rolled_back") == 0 && job->reason == NULL);

	return percent_datum(completed, job->position.bytes_read, job->file_size);
}

/*
 * jobs.c
 *	  The functions by which imports in the background are started and managed:
 *	  crm_import_start, crm_job, crm_jobs, crm_cancel, crm_resume, crm_job_wait.
 *
 * They read and change the jobs' rows (history/state.c), and start workers (queue.c);
 * the worker itself is in run.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

#include "import/session.h"
#include "worker/queue.h"

PG_FUNCTION_INFO_V1(crm_import_start);
PG_FUNCTION_INFO_V1(crm_job);
PG_FUNCTION_INFO_V1(crm_jobs);
PG_FUNCTION_INFO_V1(crm_cancel);
PG_FUNCTION_INFO_V1(crm_resume);
PG_FUNCTION_INFO_V1(crm_job_wait);

/* Columns of crm_jobs. */
#define JOBS_COLUMNS 20

/* How long crm_job_wait sleeps between two looks, in ms: at first, and at most. */
#define FIRST_WAIT 10
#define LONGEST_WAIT 500

/*
 * Settings that give values and names their meaning, and those of the import that
 * anybody may set: they go along to the worker in any case.
 */
static const char *const own_settings[] = {
	"search_path", "TimeZone", "timezone_abbreviations", "DateStyle", "IntervalStyle",
	"crmio.batch_rows", "crmio.batch_memory"
};

/*
 * add_setting
 *		A setting of this session; one that does not exist here is left out.
 */
static void
add_setting(JsonbParseState **state, const char *name)
{
	char	   *value = GetConfigOptionByName(name, NULL, true);
	JsonbValue	string = {.type = jbvString};

	if (value == NULL)
		return;
	string.val.string.val = unconstify(char *, name);
	string.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &string);
	string.val.string.val = value;
	string.val.string.len = strlen(value);
	pushJsonbValue(state, WJB_VALUE, &string);
}

/*
 * settings_of_session
 *		What the worker must set to read values as this session would.
 */
static Jsonb *
settings_of_session(void)
{
	JsonbParseState *state = NULL;
	List	   *names;
	ListCell   *lc;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(own_settings); i++)
		add_setting(&state, own_settings[i]);
	if (!SplitIdentifierString(pstrdup(crmio_propagate_settings), ',', &names))
		elog(ERROR, "crmio.propagate_settings is no list of names");
	foreach(lc, names)
		add_setting(&state, lfirst(lc));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * queue_import
 *		Queues the import of a session that was just opened, after all checks that can be
 *		made without importing.  Returns the job's id.
 */
static int64
queue_import(Session *session)
{
	JobStart	start;
	int64		job_id;

	crmio_session_check(session);
	start = crmio_session_job(session);
	start.file = session->file;
	start.file_size = session->source->size;
	start.settings = settings_of_session();
	SPI_connect();
	job_id = crmio_job_start(&start);
	SPI_finish();
	crmio_queue_run_at_commit(GetUserId());
	return job_id;
}

/*
 * hand_over
 *		For crm_import: queues a large import, if the caller's role can have one in the
 *		background at all; else it stays in the transaction.
 */
static int64
hand_over(Session *session)
{
	const char *problem = crmio_queue_role_problem(GetUserNameFromId(GetUserId(), false));

	if (problem == NULL)
		return queue_import(session);
	ereport(NOTICE,
			(errmsg("the file is imported in this transaction"),
			 errdetail("It is a large one, for the background, but %s.", problem)));
	return 0;
}

/*
 * crmio_jobs_init
 *		When the library is loaded.
 */
void
crmio_jobs_init(void)
{
	crmio_hand_over = hand_over;
}

/*
 * crm_import_start
 *		SELECT crm_import_start(file, mapping, policy)
 */
Datum
crm_import_start(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"file", "mapping", "policy"};
	const char *problem;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	problem = crmio_queue_role_problem(GetUserNameFromId(GetUserId(), false));
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", problem),
				 errhint("Call crm_import, which needs no worker, or call crm_import_start as another role.")));
	PG_RETURN_INT64(queue_import(crmio_session_open(CurrentMemoryContext,
													text_to_cstring(PG_GETARG_TEXT_PP(0)),
													PG_GETARG_JSONB_P_COPY(1),
													text_to_cstring(PG_GETARG_TEXT_PP(2)))));
}

/*
 * progress_desc
 *		The row type crm_progress, as the calling function returns it.
 */
static TupleDesc
progress_desc(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function must return crm_progress");
	return BlessTupleDesc(desc);
}

/*
 * look_at
 *		A job of the caller as it is now: if it was dead, it has failed; if it waits
 *		though it need not, it begins.  In CurrentMemoryContext; the caller holds an SPI
 *		connection.
 */
static Job *
look_at(int64 job_id)
{
	Job		   *job = crmio_job_of_caller(job_id, false);
	bool		full;

	if (!crmio_queue_may_look())
		return job;
	if (strcmp(job->state, "queued") == 0)
		(void) crmio_queue_run(&full);
	else if (strcmp(job->state, "running") == 0)
		crmio_queue_bury();
	else
		return job;
	return crmio_job_of_caller(job_id, false);
}

/*
 * show_job
 *		A job as a function's result.  What crm_progress has no column for is a NOTICE.
 *		Ends the SPI connection.
 */
static Datum
show_job(FunctionCallInfo fcinfo, TupleDesc desc, const Job *job)
{
	MemoryContext old;
	Datum		result;

	if (strcmp(job->state, "failed") == 0 && job->reason != NULL)
		ereport(NOTICE,
				(errmsg("job " INT64_FORMAT " failed: %s", job->job_id, job->reason)));
	/* the result must outlive the connection */
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	result = crmio_job_progress(desc, job);
	MemoryContextSwitchTo(old);
	SPI_finish();
	return result;
}

/*
 * crm_job
 *		SELECT crm_job(job_id)
 */
Datum
crm_job(PG_FUNCTION_ARGS)
{
	TupleDesc	desc = progress_desc(fcinfo);

	SPI_connect();
	return show_job(fcinfo, desc, look_at(PG_GETARG_INT64(0)));
}

/*
 * job_row
 *		A job as a row of crm_jobs.
 */
static void
job_row(ReturnSetInfo *result, const Job *job, const char *waits_for)
{
	const char *reason = strcmp(job->state, "queued") == 0 ? waits_for : job->reason;
	TimestampTz times[] = {job->queued_at, job->started_at, job->ended_at};
	const int64 counts[] = {job->counts.rows_read, job->counts.created, job->counts.updated,
		job->counts.unchanged, job->counts.skipped, job->counts.errored,
	job->counts.warnings};
	Datum		values[JOBS_COLUMNS];
	bool		nulls[JOBS_COLUMNS] = {false};
	int			i = 0;

	values[i++] = Int64GetDatum(job->job_id);
	values[i++] = CStringGetTextDatum(job->file_name);
	values[i++] = CStringGetTextDatum(job->module);
	values[i++] = CStringGetTextDatum(job->policy);
	values[i++] = BoolGetDatum(job->dry_run);
	values[i++] = BoolGetDatum(job->background);
	values[i++] = DirectFunctionCall1(namein, CStringGetDatum(job->owner));
	values[i++] = CStringGetTextDatum(job->state);
	for (int c = 0; c < lengthof(counts); c++)
		values[i++] = Int64GetDatum(counts[c]);
	values[i++] = crmio_job_percent(job);
	for (int t = 0; t < lengthof(times); t++)
	{
		nulls[i] = times[t] == 0;
		values[i++] = TimestampTzGetDatum(times[t]);
	}
	nulls[i] = reason == NULL;
	values[i] = reason ? CStringGetTextDatum(reason) : (Datum) 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * crm_jobs
 *		SELECT * FROM crm_jobs
 */
Datum
crm_jobs(PG_FUNCTION_ARGS)
{
	const char *waits_for = NULL;
	bool		full = false;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	if (crmio_queue_may_look())
	{
		if (!crmio_queue_run(&full))
			waits_for = "no background worker of the server is free; it begins at the next look at it, if one is (if this happens often, raise max_worker_processes)";
		else if (full)
			waits_for = psprintf("crmio.max_background_jobs: no more than %d jobs run at the same time",
								 crmio_max_background_jobs);
	}
	foreach(lc, crmio_jobs_of_caller())
		job_row((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc), waits_for);
	SPI_finish();
	return (Datum) 0;
}

/*
 * check_background
 *		Refuses what can only be done with a job in the background.
 */
static void
check_background(const Job *job, const char *verb)
{
	if (!job->background)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " can't be %s: it was not run in the background", job->job_id, verb),
				 errdetail("It ran within a transaction, which has committed all of it.")));
}

/*
 * state_sentence
 *		A state as the end of a sentence about a job.
 */
static const char *
state_sentence(const char *state)
{
	if (strcmp(state, "rolled_back") == 0)
		return "has been rolled back";
	if (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0)
		return psprintf("is %s", state);
	return psprintf("has ended as %s", state);
}

/*
 * crm_cancel
 *		SELECT crm_cancel(job_id)
 */
Datum
crm_cancel(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	TupleDesc	desc = progress_desc(fcinfo);
	const char *me;
	Job		   *job;

	PreventCommandIfReadOnly("crm_cancel()");
	SPI_connect();
	me = GetUserNameFromId(GetUserId(), false);
	(void) crmio_job_of_caller(job_id, false);
	/* a dead one has ended; but one that waits is not to begin for being looked at */
	if (crmio_queue_may_look())
		crmio_queue_bury();
	job = crmio_job_of_caller(job_id, true);
	check_background(job, "cancelled");
	if (strcmp(job->state, "queued") == 0)
	{
		(void) crmio_job_end(job_id, "queued", "cancelled",
							 psprintf("cancelled by role \"%s\" before it began", me));
		crmio_queue_run_at_end(job->owner);
	}
	else if (strcmp(job->state, "running") == 0)
	{
		crmio_job_request_cancel(job_id, me);
		crmio_queue_signal_at_commit(job);
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " can't be cancelled: it %s", job_id, state_sentence(job->state))));
	return show_job(fcinfo, desc, crmio_job_of_caller(job_id, false));
}

/*
 * crm_resume
 *		SELECT crm_resume(job_id)
 */
Datum
crm_resume(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	TupleDesc	desc = progress_desc(fcinfo);
	const char *problem;
	Job		   *job;

	PreventCommandIfReadOnly("crm_resume()");
	SPI_connect();
	(void) look_at(job_id);
	job = crmio_job_of_caller(job_id, true);
	check_background(job, "resumed");
	if (strcmp(job->state, "failed") != 0 && strcmp(job->state, "cancelled") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " can't be resumed: it %s", job_id, state_sentence(job->state)),
				 errhint("Jobs that have failed or were cancelled can be resumed.")));
	/* it could be finished, but neither be undone nor tell what its first part did */
	if (job->cleaned)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " can't be resumed any more", job_id),
				 errdetail("What it had left was removed by crm_cleanup."),
				 errhint("Import the file as a new job; policy skip leaves what is there already.")));
	problem = crmio_queue_role_problem(job->owner);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " can't be resumed: %s", job_id, problem)));
	crmio_job_queue_again(job_id);
	crmio_queue_run_at_commit(get_role_oid(job->owner, false));
	return show_job(fcinfo, desc, crmio_job_of_caller(job_id, false));
}

/*
 * check_wait
 *		Waiting needs a transaction that sees what others commit, and a job that others
 *		see.
 */
static void
check_wait(const Job *job)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("crm_job_wait can't be used in isolation level REPEATABLE READ or SERIALIZABLE"),
				 errdetail("The transaction would never see the job end.")));
	if (job->own_change && (strcmp(job->state, "queued") == 0 || job->cancelled_by != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " waits for this transaction to commit", job->job_id),
				 errhint("Commit, and then call crm_job_wait.")));
}

/*
 * is_over
 *		Is a job at its end, for now?
 */
static bool
is_over(const Job *job)
{
	return strcmp(job->state, "queued") != 0 && strcmp(job->state, "running") != 0;
}

/*
 * crm_job_wait
 *		SELECT crm_job_wait(job_id, timeout)
 */
Datum
crm_job_wait(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"job_id"};
	TupleDesc	desc = progress_desc(fcinfo);
	TimestampTz until = 0;
	long		wait = FIRST_WAIT;
	Job		   *job;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	if (!PG_ARGISNULL(1))
		until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														TimestampTzGetDatum(GetCurrentTimestamp()),
														PG_GETARG_DATUM(1)));
	for (;;)
	{
		SPI_connect();
		job = look_at(PG_GETARG_INT64(0));
		if (is_over(job))
			break;
		check_wait(job);
		if (until != 0 && TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until) <= 0)
			break;
		SPI_finish();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		wait = Min(wait * 2, LONGEST_WAIT);
	}
	return show_job(fcinfo, desc, job);
}

/*
 * run.c
 *	  The worker that imports in the background: connects as the owner of a job, takes
 *	  the job from the queue, imports the file batch by batch, each in a transaction of
 *	  its own, and then takes the next job of that role, or ends.
 *
 * What a batch has done, its errors, the counts and the position in the file are
 * committed together, so whatever ends the worker, the job can go on after the last
 * finished batch.  An error that is not about a row ends the job as failed, with the
 * error as the reason; if the worker can't even say that, it is found dead (queue.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "import/session.h"
#include "worker/launch.h"
#include "worker/queue.h"

/*
 * How often a batch is tried again that other sessions are in the way of: deadlocks,
 * and serialization failures in foreign servers and triggers.
 */
#define MAX_ATTEMPTS 3

PGDLLEXPORT void crmio_import_worker(Datum main_arg);

/*
 * begin
 *		Begins a transaction.
 */
static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/*
 * commit
 *		Commits it, and tells the statistics, by which autovacuum goes.
 */
static void
commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
}

/*
 * set_own_settings
 *		What a role may have for its sessions in general (ALTER ROLE ... SET) and is not
 *		meant for this one: above all, to begin as another role.
 */
static void
set_own_settings(void)
{
	static const char *const settings[][2] = {
		{"role", "none"}, {"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"}, {"default_transaction_deferrable", "off"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION);
}

/*
 * start_afresh
 *		Nothing that the triggers of one job have left in the session reaches the next.
 */
static void
start_afresh(void)
{
	begin();
	Async_UnlistenAll();
	ResetTempTableNamespace();
	DropAllPreparedStatements();
	ResetAllOptions();
	commit();
	set_own_settings();
}

/*
 * apply_settings
 *		The settings of the session that started the job, set as its role: one that the
 *		role may not set is an error.
 */
static void
apply_settings(const Job *job)
{
	ListCell   *lc;

	foreach(lc, crmio_json_members(&job->settings->root))
	{
		JsonMember *member = lfirst(lc);

		(void) DirectFunctionCall3(set_config_by_name, CStringGetTextDatum(member->key),
								   CStringGetTextDatum(crmio_json_scalar_text(&member->value)),
								   BoolGetDatum(false));
	}
}

/*
 * check_job
 *		The job's row, before a batch.  An error if it is not this worker's to run any
 *		more: it was cancelled, or a restore or a superuser has put another in its place.
 */
static Job *
check_job(int64 job_id)
{
	bool		mine = crmio_queue_keep();
	Job		   *job = crmio_job_load(job_id, false);

	if (!mine || job == NULL || strcmp(job->state, "running") != 0 || job->worker_pid != MyProcPid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " is no longer run by this worker", job_id)));
	if (job->cancelled_by != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("job " INT64_FORMAT " was cancelled", job_id)));
	return job;
}

/*
 * open_job
 *		The session of a job, at its position.
 */
static Session *
open_job(int64 job_id, MemoryContext context)
{
	Session    *session;
	MemoryContext old;
	Job		   *job;

	begin();
	SPI_connect();
	old = MemoryContextSwitchTo(context);
	job = check_job(job_id);
	MemoryContextSwitchTo(old);
	apply_settings(job);
	SPI_finish();
	session = crmio_session_reopen(context, job);
	commit();
	return session;
}

/*
 * import_file
 *		Imports what is left of a job's file.  *batches counts those that were finished.
 */
static void
import_file(int64 job_id, MemoryContext context, int *batches)
{
	Session    *session = open_job(job_id, context);

	while (!session->at_end)
	{
		CHECK_FOR_INTERRUPTS();
		/* whoever imports for a server that is gone delays its restart */
		if (!PostmasterIsAlive())
			proc_exit(1);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		begin();
		SPI_connect();
		(void) check_job(job_id);
		SPI_finish();
		crmio_session_part(session);
		commit();
		(*batches)++;
	}
}

/*
 * reason_of
 *		An error as the reason why a job failed.
 */
static char *
reason_of(const ErrorData *error)
{
	StringInfoData reason;

	initStringInfo(&reason);
	appendStringInfoString(&reason, error->message);
	if (error->detail != NULL)
		appendStringInfo(&reason, " (%s)", error->detail);
	if (error->hint != NULL)
		appendStringInfo(&reason, "%s Hint: %s", error->detail ? "" : ".", error->hint);
	return reason.data;
}

/*
 * end_job
 *		A job that could not be finished ends, with the error that it met.  A
 *		cancellation that comes now comes too late.
 */
static void
end_job(int64 job_id, const ErrorData *error)
{
	const char *state = "failed";
	char	   *reason = reason_of(error);
	Job		   *job;

	HOLD_CANCEL_INTERRUPTS();
	begin();
	SPI_connect();
	/* whoever is about to cancel the job has its row locked: wait for that */
	job = crmio_job_load(job_id, true);
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
	{
		state = "cancelled";
		if (job != NULL && job->cancelled_by != NULL)
			reason = psprintf("cancelled by role \"%s\"", job->cancelled_by);
	}
	(void) crmio_job_end(job_id, "running", state, reason);
	SPI_finish();
	commit();
	RESUME_CANCEL_INTERRUPTS();
}

/*
 * is_worth_a_try
 *		Was a batch only in the way of another session?
 */
static bool
is_worth_a_try(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK;
}

/*
 * try_job
 *		Imports what is left of a job's file; returns NULL, or the error that ended it.
 */
static ErrorData *
try_job(int64 job_id, MemoryContext context, int *batches)
{
	ErrorData  *volatile error = NULL;

	start_afresh();
	PG_TRY();
	{
		import_file(job_id, context, batches);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		(void) crmio_queue_keep();
	}
	PG_END_TRY();
	pgstat_progress_end_command();
	return error;
}

/*
 * run_job
 *		Runs a job to whatever end.
 */
static void
run_job(int64 job_id)
{
	int			attempts = 0;
	bool		done = false;

	while (!done)
	{
		MemoryContext context = AllocSetContextCreate(TopMemoryContext, "crmio job",
													  ALLOCSET_DEFAULT_SIZES);
		int			batches = 0;
		ErrorData  *error = try_job(job_id, context, &batches);

		if (batches > 0)
			attempts = 0;
		done = error == NULL || !is_worth_a_try(error) || ++attempts >= MAX_ATTEMPTS;
		if (done && error != NULL)
			end_job(job_id, error);
		MemoryContextDelete(context);
	}
}

/*
 * next_job
 *		The next job for this worker, or 0.  One in which a superuser's trigger has changed
 *		the session's user takes no more.
 */
static int64
next_job(Oid role)
{
	int64		job_id;

	if (GetSessionUserId() != role)
		return 0;
	begin();
	SPI_connect();
	job_id = crmio_queue_claim(role);
	SPI_finish();
	commit();
	return job_id;
}

/*
 * name_job
 *		Error context: which job it is about.
 */
static void
name_job(void *arg)
{
	int64		job_id = *(int64 *) arg;

	if (job_id != 0)
		errcontext("job " INT64_FORMAT, job_id);
}

/*
 * crmio_import_worker
 *		Entry point of the worker.
 */
void
crmio_import_worker(Datum main_arg)
{
	int64		job_id = 0;
	ErrorContextCallback callback = {.callback = name_job,.arg = &job_id};
	Oid			role;

	(void) crmio_worker_connect();
	role = GetSessionUserId();
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	set_own_settings();
	while ((job_id = next_job(role)) != 0)
	{
		char	   *activity = psprintf("crmio import, job " INT64_FORMAT, job_id);

		pgstat_report_activity(STATE_RUNNING, activity);
		pfree(activity);
		run_job(job_id);
		crmio_queue_leave();
		QueryCancelPending = false;
		pgstat_report_activity(STATE_IDLE, NULL);
	}
	error_context_stack = callback.previous;
}

/*
 * launch.c
 *	  Starting background workers, now or when the transaction commits.
 *
 * The workers are dynamic ones, so that the library needs no preloading.  They
 * are never restarted: work that was left behind is found by whoever looks for
 * it next (queue.c).
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "worker/launch.h"

/* What travels to the worker: where it connects, and as whom. */
typedef struct WorkerExtra
{
	Oid			database;
	Oid			role;
	int64		argument;
} WorkerExtra;

StaticAssertDecl(sizeof(WorkerExtra) <= BGW_EXTRALEN, "WorkerExtra must fit into bgw_extra");

/* Workers to be started at commit: of WorkerStart *, in TopTransactionContext. */
static List *waiting = NIL;

/*
 * crmio_worker_launch
 *		Starts a worker in this database, now.  False if the server has no free slot
 *		for it.
 */
bool
crmio_worker_launch(const WorkerStart *start)
{
	BackgroundWorker worker = {0};
	WorkerExtra extra = {0};

	extra.database = MyDatabaseId;
	extra.role = start->role;
	extra.argument = start->argument;
	memcpy(worker.bgw_extra, &extra, sizeof(extra));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "$libdir/crmio", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, start->function, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, start->title, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, start->title, sizeof(worker.bgw_type));
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/*
 * launch_waiting
 *		Transaction callback: what the workers are to find is visible now.
 */
static void
launch_waiting(XactEvent event, void *arg)
{
	List	   *starts = waiting;
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	waiting = NIL;
	if (event == XACT_EVENT_PREPARE)
		return;
	foreach(lc, starts)
	{
		WorkerStart *start = lfirst(lc);

		if (event == XACT_EVENT_ABORT && !start->whatever_end)
			continue;
		if (!crmio_worker_launch(start) && start->if_none != NULL)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no background worker is free"),
					 errdetail("%s", start->if_none),
					 errhint("If this happens often, raise max_worker_processes.")));
	}
}

/*
 * crmio_worker_launch_at_commit
 *		Starts a worker if and when the transaction commits, or at whatever end; twice the
 *		same is once.  That of a subtransaction which is undone is started too: it finds
 *		nothing to do.
 */
void
crmio_worker_launch_at_commit(const WorkerStart *start)
{
	static bool registered = false;
	MemoryContext old;
	WorkerStart *copy;
	ListCell   *lc;

	if (!registered)
	{
		RegisterXactCallback(launch_waiting, NULL);
		registered = true;
	}
	foreach(lc, waiting)
	{
		WorkerStart *other = lfirst(lc);

		if (strcmp(other->function, start->function) == 0 && other->role == start->role &&
			other->argument == start->argument && other->whatever_end == start->whatever_end)
			return;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	copy = palloc(sizeof(WorkerStart));
	*copy = *start;
	copy->function = pstrdup(start->function);
	copy->title = pstrdup(start->title);
	copy->if_none = start->if_none ? pstrdup(start->if_none) : NULL;
	waiting = lappend(waiting, copy);
	MemoryContextSwitchTo(old);
}

/*
 * crmio_worker_connect
 *		The first thing a worker does: connects as it was told to.  Signals are answered
 *		as by any session: SIGTERM ends it, SIGINT cancels, at the next
 *		CHECK_FOR_INTERRUPTS; SIGHUP sets ConfigReloadPending.  Returns the argument.
 */
int64
crmio_worker_connect(void)
{
	WorkerExtra extra;

	memcpy(&extra, MyBgworkerEntry->bgw_extra, sizeof(extra));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(extra.database, extra.role,
											  CRMIO_WORKER_CONNECT_FLAGS);
	return extra.argument;
}

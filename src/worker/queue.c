/*
 * queue.c
 *	  The queue of jobs in the background: who may run, who is dead, and who is next.
 *
 * A worker holds a lock for its job, from before the job's row says "running" until
 * after it says how the job ended.  So a row that says "running" while nobody holds
 * the lock is that of a dead job, whatever killed its worker: a crash of the
 * server, a signal, or a restore of a dump that was taken while it ran.  Whoever
 * looks at jobs finds the dead ones and fails them.
 *
 * There is no process that watches over the queue.  A worker is started for a job
 * when the transaction that queued it commits; one that has finished its job takes
 * the next, or starts a worker for it, which must run as another role; and whoever
 * looks at jobs starts workers for those that could not be had before.
 *
 * Locks: those of jobs are locks on "objects" of the class crmio.job, in this
 * database; number 0, which is no job, makes workers that claim a job take turns.
 * A worker has its lock twice: ordinary locks of a session go when a transaction
 * fails, and advisory ones when a trigger calls pg_advisory_unlock_all().  A job is
 * dead if both are free.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "worker/launch.h"
#include "worker/queue.h"

/* The lock that the claiming of jobs takes turns by. */
#define QUEUE_LOCK 0

/*
 * One session starts no more workers than this often, in ms, however often it looks:
 * those that it has just started need some time to claim their jobs.
 */
#define LAUNCH_INTERVAL 500

/*
 * A worker whose transaction has failed is without its locks for a moment, if a trigger
 * has released the advisory ones.  So a process that is alive is asked for them this
 * often, at intervals of so many microseconds, before its job counts as dead; and the
 * worker itself tries as often to get back what others have in hand to look.
 */
#define PROBES 20
#define PROBE_INTERVAL 20000

/* The methods of the two locks of a job. */
static const uint8 lock_methods[] = {DEFAULT_LOCKMETHOD, USER_LOCKMETHOD};

#define NLOCKS lengthof(lock_methods)

/* The job of this process, and its locks. */
static int64 my_job = 0;
static LOCKTAG my_locks[NLOCKS];

/* Workers to be interrupted at commit: of Interrupt *, in TopTransactionContext. */
typedef struct Interrupt
{
	int			pid;
	Oid			role;
	SubTransactionId subid;		/* in which the job was cancelled */
} Interrupt;

static List *interrupts = NIL;

/*
 * set_locks
 *		The locks of a job.
 */
static void
set_locks(LOCKTAG *locks, int64 job_id)
{
	Oid			relid = get_relname_relid("job", get_namespace_oid(CRMIO_SCHEMA, false));

	for (int i = 0; i < NLOCKS; i++)
	{
		SET_LOCKTAG_OBJECT(locks[i], MyDatabaseId, relid, (uint32) job_id, (uint16) (job_id >> 32));
		locks[i].locktag_lockmethodid = lock_methods[i];
	}
}

/*
 * try_locks
 *		Takes the locks of a job, both or none, without waiting.
 */
static bool
try_locks(const LOCKTAG *locks, LOCKMODE mode, bool session)
{
	for (int i = 0; i < NLOCKS; i++)
	{
		if (LockAcquire(&locks[i], mode, session, true) != LOCKACQUIRE_NOT_AVAIL)
			continue;
		while (--i >= 0)
			(void) LockRelease(&locks[i], mode, session);
		return false;
	}
	return true;
}

/*
 * release_locks
 *		Gives them back.
 */
static void
release_locks(const LOCKTAG *locks, LOCKMODE mode, bool session)
{
	for (int i = 0; i < NLOCKS; i++)
		(void) LockRelease(&locks[i], mode, session);
}

/*
 * crmio_queue_may_look
 *		Can this transaction find dead jobs and start workers?  Not on a standby; and an
 *		old snapshot does not tell the states of now.
 */
bool
crmio_queue_may_look(void)
{
	return !XactReadOnly && !RecoveryInProgress() && !IsolationUsesXactSnapshot();
}

/*
 * has_process
 *		Does the process still exist that runs a job, according to its row?
 */
static bool
has_process(const Job *job)
{
	PGPROC	   *proc = BackendPidGetProc(job->worker_pid);

	return proc != NULL && proc->databaseId == MyDatabaseId &&
		proc->roleId == get_role_oid(job->owner, true);
}

/*
 * is_held
 *		Takes the locks of a job for the transaction; true if its worker has them.
 */
static bool
is_held(const Job *job, const LOCKTAG *locks)
{
	for (int i = 1; try_locks(locks, ShareLock, false); i++)
	{
		if (i >= PROBES || !has_process(job))
			return false;
		release_locks(locks, ShareLock, false);
		CHECK_FOR_INTERRUPTS();
		pg_usleep(PROBE_INTERVAL);
	}
	return true;
}

/*
 * bury
 *		Fails a job whose row says "running", if nobody holds its locks.  The row was read
 *		before the locks were asked for, so its state is checked again with the update: a
 *		worker ends its job before it gives the locks back.
 */
static void
bury(const Job *job)
{
	LOCKTAG		locks[NLOCKS];
	char	   *reason;

	if (job->job_id == my_job)
		return;
	set_locks(locks, job->job_id);
	if (is_held(job, locks))
		return;
	if (job->worker_started_at < PgStartTime)
		reason = "the server stopped or crashed while the job ran; crm_resume goes on after the last finished batch";
	else
		reason = psprintf("the worker process (PID %d) ended without a word: it was terminated, killed, or crashed; crm_resume goes on after the last finished batch",
						  job->worker_pid);
	if (crmio_job_end(job->job_id, "running", "failed", reason))
		ereport(LOG,
				(errmsg("job " INT64_FORMAT " failed: %s", job->job_id, reason)));
	else
		release_locks(locks, ShareLock, false);
}

/*
 * crmio_queue_bury
 *		Fails all dead jobs of the database.  The caller holds an SPI connection.
 */
void
crmio_queue_bury(void)
{
	ListCell   *lc;

	foreach(lc, crmio_jobs_in_state("running"))
		bury(lfirst(lc));
}

/*
 * crmio_queue_role_problem
 *		Why no worker can run as a role: NULL if one can.
 */
const char *
crmio_queue_role_problem(const char *owner)
{
	HeapTuple	tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(owner));
	Form_pg_authid role;
	const char *problem = NULL;

	if (!HeapTupleIsValid(tuple))
		return psprintf("role \"%s\" does not exist any more", owner);
	role = (Form_pg_authid) GETSTRUCT(tuple);
	if (CRMIO_WORKER_NEEDS_LOGIN && !role->rolcanlogin)
		problem = psprintf("role \"%s\" may not log in, and before PostgreSQL 17 a background worker can't run as such a role",
						   owner);
	else if (crmio_database_aclcheck(MyDatabaseId, role->oid, ACL_CONNECT) != ACLCHECK_OK)
		problem = psprintf("role \"%s\" may not connect to database \"%s\"", owner,
						   get_database_name(MyDatabaseId));
	ReleaseSysCache(tuple);
	return problem;
}

/*
 * due_jobs
 *		The jobs at the head of the queue, as many as may start now.  Dead ones and those
 *		whose role can't run any more are failed on the way.  *full tells whether others
 *		must wait because crmio.max_background_jobs are running.
 *
 *		With to_claim the jobs are locked until the transaction ends, and one that
 *		somebody is about to take out of the queue does not keep those behind it waiting.
 *		Workers would start each other for it without end.
 */
static List *
due_jobs(bool to_claim, bool *full)
{
	List	   *due = NIL;
	int			room;
	ListCell   *lc;

	crmio_queue_bury();
	room = crmio_max_background_jobs - list_length(crmio_jobs_in_state("running"));
	*full = false;
	foreach(lc, crmio_jobs_in_state("queued"))
	{
		Job		   *job = lfirst(lc);
		const char *problem = crmio_queue_role_problem(job->owner);

		if (problem != NULL)
			(void) crmio_job_end(job->job_id, "queued", "failed", problem);
		else if (list_length(due) >= room)
			*full = true;
		else if (!to_claim || crmio_job_lock_queued(job->job_id))
			due = lappend(due, job);
	}
	return due;
}

/*
 * worker_start
 *		A worker for the jobs of a role.
 */
static WorkerStart
worker_start(Oid role)
{
	WorkerStart start = {.function = "crmio_import_worker",.title = "crmio import",.role = role,
	.if_none = "The import stays queued; it begins when another one ends, or when somebody calls crm_job, crm_jobs or crm_job_wait and a worker is free."};

	return start;
}

/*
 * crmio_queue_run
 *		Starts workers for the jobs that are due, now.  False if the server has none free;
 *		*full as for due_jobs.  The caller holds an SPI connection.
 */
bool
crmio_queue_run(bool *full)
{
	static TimestampTz last_launch = 0;
	static bool launched = true;
	List	   *due = due_jobs(false, full);
	ListCell   *lc;

	if (due == NIL)
		return true;
	if (!TimestampDifferenceExceeds(last_launch, GetCurrentTimestamp(), LAUNCH_INTERVAL))
		return launched;
	last_launch = GetCurrentTimestamp();
	launched = true;
	foreach(lc, due)
	{
		WorkerStart start = worker_start(get_role_oid(((Job *) lfirst(lc))->owner, false));

		launched &= crmio_worker_launch(&start);
	}
	return launched;
}

/*
 * crmio_queue_run_at_commit
 *		A job of this role has been queued: a worker will look for it.
 */
void
crmio_queue_run_at_commit(Oid role)
{
	WorkerStart start = worker_start(role);

	crmio_worker_launch_at_commit(&start);
}

/*
 * crmio_queue_run_at_end
 *		A job of this owner was taken out of the queue.  If that is undone, a worker looks
 *		for it again: those that looked meanwhile have passed it over.
 */
void
crmio_queue_run_at_end(const char *owner)
{
	Oid			role = get_role_oid(owner, true);
	WorkerStart start = worker_start(role);

	if (!OidIsValid(role))
		return;
	start.whatever_end = true;
	start.if_none = NULL;
	crmio_worker_launch_at_commit(&start);
}

/*
 * send_interrupts
 *		Transaction callback: workers whose jobs were cancelled are told.  They can't have
 *		gone on to another job, because the row of the one that they have is locked
 *		until this transaction has ended.
 */
static void
send_interrupts(XactEvent event, void *arg)
{
	List	   *list = interrupts;
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	interrupts = NIL;
	if (event != XACT_EVENT_COMMIT)
		return;
	foreach(lc, list)
	{
		Interrupt  *interrupt = lfirst(lc);
		PGPROC	   *proc = BackendPidGetProc(interrupt->pid);

		if (proc != NULL && proc->databaseId == MyDatabaseId && proc->roleId == interrupt->role)
			(void) kill(interrupt->pid, SIGINT);
	}
}

/*
 * watch_subxact
 *		Subtransaction callback: a cancellation that is undone interrupts nobody.
 */
static void
watch_subxact(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	foreach(lc, interrupts)
	{
		Interrupt  *interrupt = lfirst(lc);

		if (interrupt->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			interrupts = foreach_delete_current(interrupts, lc);
		else
			interrupt->subid = parent;
	}
}

/*
 * crmio_queue_signal_at_commit
 *		The cancellation of a running job reaches its worker in the middle of a batch.  If
 *		that fails, the worker sees it before the next one.
 */
void
crmio_queue_signal_at_commit(const Job *job)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Interrupt  *interrupt = palloc(sizeof(Interrupt));

	if (!registered)
	{
		RegisterXactCallback(send_interrupts, NULL);
		RegisterSubXactCallback(watch_subxact, NULL);
		registered = true;
	}
	interrupt->pid = job->worker_pid;
	interrupt->role = get_role_oid(job->owner, true);
	interrupt->subid = GetCurrentSubTransactionId();
	interrupts = lappend(interrupts, interrupt);
	MemoryContextSwitchTo(old);
}

/*
 * claim
 *		Makes a job this worker's, if nobody else is about to change it.
 */
static bool
claim(const Job *job)
{
	set_locks(my_locks, job->job_id);
	if (!try_locks(my_locks, ExclusiveLock, true))
		return false;
	my_job = job->job_id;
	if (crmio_job_claim(job->job_id, MyProcPid))
		return true;
	release_locks(my_locks, ExclusiveLock, true);
	my_job = 0;
	return false;
}

/*
 * crmio_queue_claim
 *		A worker of this role asks for a job: its id, or 0 if it is not needed.  For the
 *		other jobs that are due, workers are started.  If those jobs are all of other
 *		roles and no worker can be had for them, this one rather takes a later job of its
 *		own role than none.  The caller holds an SPI connection, and commits.
 */
int64
crmio_queue_claim(Oid role)
{
	const char *me = GetUserNameFromId(role, true);
	LOCKTAG		locks[NLOCKS];
	List	   *due;
	bool		full;
	bool		others_started = true;
	int64		job_id = 0;
	ListCell   *lc;

	set_locks(locks, QUEUE_LOCK);
	(void) LockAcquire(&locks[0], ExclusiveLock, false, false);
	due = due_jobs(true, &full);
	foreach(lc, due)
	{
		Job		   *job = lfirst(lc);
		WorkerStart start = worker_start(get_role_oid(job->owner, false));

		if (job_id == 0 && me != NULL && strcmp(job->owner, me) == 0 && claim(job))
			job_id = job->job_id;
		else
			others_started &= crmio_worker_launch(&start);
	}
	if (job_id != 0 || others_started || me == NULL)
		return job_id;
	foreach(lc, crmio_jobs_in_state("queued"))
	{
		Job		   *job = lfirst(lc);

		if (strcmp(job->owner, me) == 0 && claim(job))
			return job->job_id;
	}
	return 0;
}

/*
 * crmio_queue_keep
 *		Makes sure that the worker still holds both locks of its job.  False if somebody
 *		has found the job dead for want of them.
 */
bool
crmio_queue_keep(void)
{
	for (int i = 0; i < NLOCKS; i++)
	{
		LockAcquireResult result = LockAcquire(&my_locks[i], ExclusiveLock, true, true);

		for (int n = 1; result == LOCKACQUIRE_NOT_AVAIL && n < PROBES; n++)
		{
			pg_usleep(PROBE_INTERVAL / PROBES);
			result = LockAcquire(&my_locks[i], ExclusiveLock, true, true);
		}
		if (result == LOCKACQUIRE_NOT_AVAIL)
			return false;
		if (result == LOCKACQUIRE_ALREADY_HELD)
			(void) LockRelease(&my_locks[i], ExclusiveLock, true);
	}
	return true;
}

/*
 * crmio_queue_leave
 *		The worker is done with its job, and outside of any transaction: all its locks go,
 *		also advisory ones that triggers have taken.
 */
void
crmio_queue_leave(void)
{
	for (int i = 0; i < NLOCKS; i++)
		LockReleaseAll(lock_methods[i], true);
	my_job = 0;
}

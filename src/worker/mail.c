/*
 * mail.c
 *	  Mails about jobs, from the job's end to the process that sends them:
 *
 *	  job ends -> notice.c writes rows of crmio.mail_outbox, in the same transaction
 *	  commit   -> a background worker: outbox.c takes a row, smtp.c sends it,
 *				  outbox.c records what came of it
 *
 * So a mail is never about something that was rolled back, and no trouble with mail
 * reaches the import.
 *
 * The worker connects as the bootstrap superuser, since the owner of crmio's tables need
 * not be able to log in, and does all its work on them as that owner.  It runs no
 * SQL of users.
 *
 * One process sends at a time, so that no mail is sent twice.  If that ends between the
 * server's answer and its record in the outbox, the mail is sent again, with the same
 * Message-ID: as with any mail server, twice is better than not at all.  Mails that
 * have to wait for their next attempt are waited for by one process, for a while; later
 * ones are found when the next job ends, or crm_send_mail is called.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "history/job.h"
#include "worker/launch.h"
#include "worker/mail.h"
#include "worker/outbox.h"
#include "worker/smtp.h"

PG_FUNCTION_INFO_V1(crm_send_mail);

extern PGDLLEXPORT void crmio_mail_main(Datum arg);

/*
 * A worker waits for attempts that are at most so far away: a connection hinders DROP
 * DATABASE, and worker processes are few.
 */
#define LINGER_MILLISECONDS INT64CONST(300000)

/* While it waits it looks for mails that are due earlier: every so often. */
#define LOOK_MILLISECONDS INT64CONST(15000)

/* A mail that is due, but locked by a session, must not make it spin. */
#define LEAST_MILLISECONDS INT64CONST(1000)

/*
 * What processes in one database exclude each other from.  While a mail is taken, no
 * crm_send_mail may be halfway between finding it and locking it: the lock would then be
 * on a mail that is being sent, for as long as the caller's transaction is open.
 */
typedef enum MailLock
{
	MAIL_LOCK_SEND = 1,
	MAIL_LOCK_LINGER,
	MAIL_LOCK_TAKE
} MailLock;

/*
 * mail_lock_tag
 *		A lock like those of pg_advisory_lock, which sets the last field to 1 or 2: no
 *		user can take this one.
 */
static LOCKTAG
mail_lock_tag(MailLock lock)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0x63726D69 /* "crmi" */ , lock, 0x6D61 /* "ma" */ );
	return tag;
}

/*
 * try_lock
 *		Takes a lock until release_lock or the end of the process; false if another
 *		process has it.
 */
static bool
try_lock(MailLock lock)
{
	LOCKTAG		tag = mail_lock_tag(lock);

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * wait_for_lock
 *		Takes a lock until release_lock, or the end of the process; a session's goes with
 *		an error too.
 */
static void
wait_for_lock(MailLock lock)
{
	LOCKTAG		tag = mail_lock_tag(lock);

	(void) LockAcquire(&tag, ExclusiveLock, !IsTransactionState(), false);
}

/*
 * release_lock
 *		Gives a lock back.
 */
static void
release_lock(MailLock lock)
{
	LOCKTAG		tag = mail_lock_tag(lock);

	(void) LockRelease(&tag, ExclusiveLock, !IsTransactionState());
}

/*
 * take_mail
 *		The next mail that is due.
 */
static bool
take_mail(Mail *mail)
{
	bool		found;

	wait_for_lock(MAIL_LOCK_TAKE);
	found = crmio_outbox_take(mail);
	release_lock(MAIL_LOCK_TAKE);
	return found;
}

/*
 * send_due
 *		Sends all mails that are due.  The lock is held by the caller.
 */
static void
send_due(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crmio mail",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Mail		mail;

	pgstat_report_activity(STATE_RUNNING, "sending mail");
	crmio_outbox_recover();
	while (take_mail(&mail))
	{
		SmtpResult	result;

		crmio_smtp_send(&mail, &result);
		/* what the server has taken is recorded, even if this process is to end */
		HOLD_INTERRUPTS();
		crmio_outbox_record(&mail, &result);
		RESUME_INTERRUPTS();
		if (result.outcome != SMTP_SENT)
			ereport(LOG,
					(errmsg("mail " INT64_FORMAT " was not sent, in attempt %d: %s",
							mail.mail_id, mail.attempts, result.reason),
					 result.details[0] != '\0' ? errdetail("%s", result.details) : 0));
		MemoryContextReset(context);
	}
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * send_all
 *		Sends what is due, unless another process does.  After the lock is released there
 *		is another look: a process that was refused the lock relied on this one.
 *		Returns false if no mail can be sent by the settings.
 */
static bool
send_all(void)
{
	const char *reason;

	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	reason = crmio_smtp_not_set_up();
	if (reason != NULL)
	{
		crmio_outbox_explain(reason);
		return false;
	}
	do
	{
		if (!try_lock(MAIL_LOCK_SEND))
			break;
		send_due();
		release_lock(MAIL_LOCK_SEND);
	} while (crmio_outbox_wait() == 0);
	return true;
}

/*
 * soon
 *		Milliseconds until the next attempt, or -1 if there is none that is worth waiting
 *		for.
 */
static int64
soon(void)
{
	int64		wait = crmio_outbox_wait();

	return wait <= LINGER_MILLISECONDS ? wait : -1;
}

/*
 * linger
 *		Waits for the next attempt.  True when a mail is due that nobody sends; false if
 *		none is due soon.
 */
static bool
linger(void)
{
	int64		wait;

	while ((wait = soon()) >= 0)
	{
		wait = Min(Max(wait, LEAST_MILLISECONDS), LOOK_MILLISECONDS);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (crmio_outbox_wait() == 0 && try_lock(MAIL_LOCK_SEND))
		{
			release_lock(MAIL_LOCK_SEND);
			return true;
		}
	}
	return false;
}

/*
 * crmio_mail_main
 *		The background worker: sends what is due, stays for what is due soon.  Who finds
 *		another one staying leaves, so that one looks again after it has ceased to stay.
 *		The next attempt is made by a new worker, if one can be had: this one does not know
 *		what ALTER DATABASE has set since it connected.
 */
void
crmio_mail_main(Datum arg)
{
	static const char *const settings[][2] = {
		/* as autovacuum does: what a database's settings are for are its users' sessions */
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"transaction_timeout", "0"},	/* from PostgreSQL 17 on */
	};

	const WorkerStart successor = {.function = "crmio_mail_main",.title = "crmio mail"};

	(void) crmio_worker_connect();
	for (int i = 0; i < lengthof(settings); i++)
	{
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}

	if (!send_all())
		return;
	do
	{
		bool		due;

		if (!try_lock(MAIL_LOCK_LINGER))
			return;
		due = linger();
		release_lock(MAIL_LOCK_LINGER);
		if (due && (crmio_worker_launch(&successor) || !send_all()))
			return;
	} while (soon() >= 0);
}

/*
 * start_sender
 *		At commit; `if_none` tells the user what it means if no worker can be had.
 */
static void
start_sender(const char *if_none)
{
	WorkerStart start = {.function = "crmio_mail_main",.title = "crmio mail",.if_none = if_none};

	crmio_worker_launch_at_commit(&start);
}

/*
 * any_due
 *		Does a mail wait that may be sent, or did a sender end while it sent one?  (If it
 *		has not ended, the new one finds nothing to do.)  SPI is connected.
 */
static bool
any_due(void)
{
	crmio_history_run("SELECT FROM " CRMIO_SCHEMA ".mail_outbox"
					  " WHERE state = 'sending' OR state = 'waiting'"
					  " AND next_attempt <= pg_catalog.clock_timestamp() LIMIT 1",
					  0, NULL, NULL, NULL);
	return SPI_processed > 0;
}

/*
 * mail_job_ended
 *		A job ends: its mails are written, and any that are due are sent after the commit.
 */
static void
mail_job_ended(int64 job_id)
{
	if (crmio_notice_write(job_id) > 0)
		start_sender("The mail about the import waits until another job ends, or crm_send_mail() is called.");
	else if (any_due() && crmio_smtp_not_set_up() == NULL)
		start_sender(NULL);
}

/*
 * crm_send_mail
 *		SELECT crm_send_mail(job_id)
 *
 * A mail that is being sent is let alone, so that its sender need not wait for this
 * transaction; so is one that another transaction has just asked for.
 */
Datum
crm_send_mail(PG_FUNCTION_ARGS)
{
	Oid			types[3] = {INT8OID, OIDOID, BOOLOID};
	Datum		values[3] = {(Datum) 0, ObjectIdGetDatum(GetUserId()), BoolGetDatum(superuser())};
	char		nulls[4] = "n  ";
	uint64		found;

	PreventCommandIfReadOnly("crm_send_mail()");
	SPI_connect();
	if (!PG_ARGISNULL(0))
	{
		values[0] = Int64GetDatum(PG_GETARG_INT64(0));
		nulls[0] = ' ';
		(void) crmio_job_of_caller(PG_GETARG_INT64(0), false);
	}
	wait_for_lock(MAIL_LOCK_TAKE);
	crmio_history_run("UPDATE " CRMIO_SCHEMA ".mail_outbox SET state = 'waiting',"
					  " next_attempt = pg_catalog.clock_timestamp(),"
					  " attempts = CASE state WHEN 'failed' THEN 0 ELSE attempts END"
					  " WHERE mail_id IN (SELECT m.mail_id FROM " CRMIO_SCHEMA ".mail_outbox m"
					  " JOIN " CRMIO_SCHEMA ".job j ON j.job_id = m.job_id"
					  " LEFT JOIN pg_catalog.pg_roles r ON r.rolname = j.owner"
					  " WHERE ($1 IS NULL AND m.state = 'waiting'"
					  "  OR m.job_id = $1 AND m.state IN ('waiting', 'failed'))"
					  " AND coalesce(pg_catalog.pg_has_role($2, r.oid, 'USAGE'), $3)"
					  " FOR UPDATE OF m SKIP LOCKED)",
					  3, types, values, nulls);
	found = SPI_processed;
	release_lock(MAIL_LOCK_TAKE);
	if (found > 0 || any_due())
		start_sender("The mails wait until another job ends, or crm_send_mail() is called again.");
	SPI_finish();
	PG_RETURN_INT64(found);
}

/*
 * crmio_mail_init
 *		Called when the library is loaded.
 */
void
crmio_mail_init(void)
{
	crmio_smtp_define_settings();
	crmio_job_ended_hook = mail_job_ended;
}

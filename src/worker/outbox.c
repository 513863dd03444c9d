/*
 * outbox.c
 *	  The mails that wait in crmio.mail_outbox, as the process that sends them sees
 *	  them: the next one that is due, and what came of it.  Rows are put there by
 *	  notice.c.
 *
 * Each function is a transaction of its own, so that none is open while the network
 * is waited for.  A mail is "sending" meanwhile, and nobody else changes its row.
 * Rows that somebody else has locked are passed over: whoever asks for mails to be
 * sent, and leaves his transaction open, holds up only his own.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "worker/outbox.h"

#define OUTBOX CRMIO_SCHEMA ".mail_outbox"

/*
 * Ten attempts, with pauses of 10 s, 30 s, 90 s ... 18 h between them, make 27 hours:
 * a mail server that is down over night does not lose anything.
 */
#define MAX_ATTEMPTS "10"
#define PAUSE "pg_catalog.make_interval(secs => 10 * 3 ^ (attempts - 1))"

/* The mails that are due, but for those that somebody else has locked. */
#define DUE \
	"SELECT mail_id FROM " OUTBOX \
	" WHERE state = 'waiting' AND next_attempt <= pg_catalog.clock_timestamp()" \
	" ORDER BY next_attempt, mail_id FOR UPDATE SKIP LOCKED"

/* Those that were being sent did not get through: $1 says why. */
#define NOT_SENT \
	"UPDATE " OUTBOX " SET last_error = $1," \
	" state = CASE WHEN attempts >= " MAX_ATTEMPTS " THEN 'failed' ELSE 'waiting' END," \
	" next_attempt = pg_catalog.clock_timestamp() + " PAUSE \
	" WHERE state = 'sending'"

typedef struct OutboxAccess
{
	MemoryContext context;
	CrmioOwnerScope scope;
} OutboxAccess;

/*
 * begin_access
 *		Begins a transaction as the owner of the outbox; false if crmio is gone from the
 *		database.
 */
static bool
begin_access(OutboxAccess *access)
{
	access->context = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!OidIsValid(get_extension_oid("crmio", true)))
	{
		CommitTransactionCommand();
		MemoryContextSwitchTo(access->context);
		return false;
	}
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	crmio_become_owner(&access->scope);
	return true;
}

/*
 * run
 *		Runs a statement with the parameters $1, a reason or NULL, and $2, a mail's id.
 */
static void
run(const char *sql, int expected, const char *reason, int64 mail_id)
{
	Oid			types[2] = {TEXTOID, INT8OID};
	Datum		values[2] = {(Datum) 0, Int64GetDatum(mail_id)};
	char		nulls[3] = "n ";

	if (reason != NULL)
	{
		values[0] = CStringGetTextDatum(reason);
		nulls[0] = ' ';
	}
	if (SPI_execute_with_args(sql, 2, types, values, nulls, false, 0) != expected)
		elog(ERROR, "could not use the outbox: %s", sql);
}

/*
 * end_access
 *		Commits.
 */
static void
end_access(OutboxAccess *access)
{
	crmio_restore_user(&access->scope);
	PopActiveSnapshot();
	SPI_finish();
	CommitTransactionCommand();
	MemoryContextSwitchTo(access->context);
}

/*
 * utf8_column
 *		A column of the first row in UTF-8.  A character that UTF-8 does not have, or that
 *		the database has never checked, makes question marks of all that is not ASCII.
 */
static char *
utf8_column(int column)
{
	char	   *text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
	int			length = strlen(text);
	int			encoding = GetDatabaseEncoding();
	Oid			conversion;

	if (encoding == PG_UTF8 || (encoding == PG_SQL_ASCII && pg_verify_mbstr(PG_UTF8, text, length, true)))
		return text;
	conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	if (encoding != PG_SQL_ASCII && OidIsValid(conversion))
	{
		Size		room = (Size) length * MAX_CONVERSION_GROWTH + 1;
		unsigned char *converted = palloc(room);

		if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8, (unsigned char *) text,
										  length, converted, room, true) == length)
			return (char *) converted;
	}
	for (char *c = text; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	}
	return text;
}

/*
 * crmio_outbox_recover
 *		Mails that were being sent when their sender ended.  Whether they got through is
 *		not known.
 */
void
crmio_outbox_recover(void)
{
	OutboxAccess access;

	if (!begin_access(&access))
		return;
	run(NOT_SENT, SPI_OK_UPDATE, "the sender ended before the mail server had answered", 0);
	end_access(&access);
}

/*
 * crmio_outbox_explain
 *		Says of all mails that wait why they do.
 */
void
crmio_outbox_explain(const char *reason)
{
	OutboxAccess access;

	if (!begin_access(&access))
		return;
	run("UPDATE " OUTBOX " SET last_error = $1"
		" WHERE mail_id IN (" DUE ") AND last_error IS DISTINCT FROM $1",
		SPI_OK_UPDATE, reason, 0);
	end_access(&access);
}

/*
 * crmio_outbox_take
 *		The next mail that is due; false if there is none.  An attempt that is never
 *		recorded counts too: a mail that ends its sender each time must not do so for
 *		ever.
 */
bool
crmio_outbox_take(Mail *mail)
{
	OutboxAccess access;
	bool		found;

	if (!begin_access(&access))
		return false;
	run("UPDATE " OUTBOX " SET state = 'sending', attempts = attempts + 1"
		" WHERE mail_id = (" DUE " LIMIT 1)"
		" RETURNING mail_id, recipient, subject, body, message_id, created_at, attempts",
		SPI_OK_UPDATE_RETURNING, NULL, 0);
	found = SPI_processed > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		mail->mail_id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		mail->recipient = MemoryContextStrdup(access.context, utf8_column(2));
		mail->subject = MemoryContextStrdup(access.context, utf8_column(3));
		mail->body = MemoryContextStrdup(access.context, utf8_column(4));
		mail->message_id = MemoryContextStrdup(access.context, utf8_column(5));
		mail->written_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 6, &isnull));
		mail->attempts = DatumGetInt32(SPI_getbinval(tuple, desc, 7, &isnull));
	}
	end_access(&access);
	return found;
}

/*
 * crmio_outbox_record
 *		What came of the mail that was taken.  Where none can be sent at present, this was
 *		an attempt for all that are due.
 */
void
crmio_outbox_record(const Mail *mail, const SmtpResult *result)
{
	OutboxAccess access;

	if (!begin_access(&access))
		return;
	switch (result->outcome)
	{
		case SMTP_SENT:
			run("UPDATE " OUTBOX " SET state = 'sent', last_error = NULL,"
				" sent_at = pg_catalog.clock_timestamp() WHERE mail_id = $2",
				SPI_OK_UPDATE, NULL, mail->mail_id);
			break;
		case SMTP_REFUSED:
			run("UPDATE " OUTBOX " SET state = 'failed', last_error = $1 WHERE mail_id = $2",
				SPI_OK_UPDATE, result->reason, mail->mail_id);
			break;
		case SMTP_TROUBLE:
			run("UPDATE " OUTBOX " SET state = 'sending', attempts = attempts + 1"
				" WHERE mail_id IN (" DUE ")", SPI_OK_UPDATE, NULL, 0);
			/* FALLTHROUGH */
		case SMTP_POSTPONED:
			run(NOT_SENT, SPI_OK_UPDATE, result->reason, 0);
			break;
	}
	end_access(&access);
}

/*
 * crmio_outbox_wait
 *		Milliseconds until the next mail is due, 0 if one is; -1 if none waits.
 */
int64
crmio_outbox_wait(void)
{
	OutboxAccess access;
	int64		wait = -1;

	if (!begin_access(&access))
		return -1;
	run("SELECT next_attempt FROM " OUTBOX " WHERE state = 'waiting'"
		" ORDER BY next_attempt LIMIT 1 FOR UPDATE SKIP LOCKED",
		SPI_OK_SELECT, NULL, 0);
	if (SPI_processed > 0)
	{
		bool		isnull;
		Datum		next = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		wait = Max(DatumGetTimestampTz(next) - GetCurrentTimestamp(), 0) / 1000;
	}
	end_access(&access);
	return wait;
}

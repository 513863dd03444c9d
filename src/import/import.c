/*
 * import.c
 *	  crm_import: one result row after each batch, so that the client sees progress
 *	  while the import runs.
 *
 * An import whose result is not read to its end, or of which a part was rolled back
 * to a savepoint, must not be committed.  So each one is watched to the end of the
 * transaction.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "import/session.h"

PG_FUNCTION_INFO_V1(crm_import);

/* Set by the room that works in the background. */
CrmioHandOver crmio_hand_over = NULL;

/*
 * An import of the transaction.  All of its batches must come to stay, or none: the
 * subtransactions in which they ran are watched until the transaction ends.
 */
typedef struct ImportWatch
{
	int64		job_id;
	SubTransactionId subid;		/* in which it began */
	List	   *batches;		/* of Oid: the subtransactions of its batches */
	bool		finished;		/* read to its end */
	bool		broken;			/* a batch was rolled back, but not all of it */
	struct ImportWatch *next;
} ImportWatch;

static ImportWatch *watches = NULL;

/*
 * watch_at_commit
 *		Transaction callback: half an import is not committed.
 */
static void
watch_at_commit(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE &&
		event != XACT_EVENT_PARALLEL_PRE_COMMIT)
	{
		watches = NULL;
		return;
	}
	for (ImportWatch *watch = watches; watch != NULL; watch = watch->next)
	{
		if (watch->broken)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("a part of import " INT64_FORMAT " was rolled back", watch->job_id),
					 errhint("Roll back to a savepoint before the import, or all of the transaction.")));
		if (!watch->finished)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("import " INT64_FORMAT " was not read to its end", watch->job_id),
					 errdetail("crm_import works while its result rows are fetched; the rest of the file was not imported."),
					 errhint("Fetch all rows of crm_import: no LIMIT, and no cursor closed early.")));
	}
}

/*
 * watch_subxact
 *		A subtransaction has ended: its batches are its parent's, or undone.
 */
static void
watch_subxact(ImportWatch *watch, bool kept, SubTransactionId subid, SubTransactionId parent)
{
	ListCell   *lc;

	foreach(lc, watch->batches)
	{
		if (lfirst_oid(lc) != subid)
			continue;
		lfirst_oid(lc) = parent;
		watch->broken |= !kept;
	}
	if (watch->subid == subid)
		watch->subid = parent;
}

/*
 * watch_at_subxact
 *		Subtransaction callback: what is rolled back as a whole is no half import.
 */
static void
watch_at_subxact(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	ImportWatch **place = &watches;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	while (*place != NULL)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB && (*place)->subid == subid)
		{
			*place = (*place)->next;
			continue;
		}
		watch_subxact(*place, event == SUBXACT_EVENT_COMMIT_SUB, subid, parent);
		place = &(*place)->next;
	}
}

/*
 * watch_import
 *		An import begins.
 */
static void
watch_import(int64 job_id)
{
	static bool registered = false;
	ImportWatch *watch = MemoryContextAllocZero(TopTransactionContext, sizeof(ImportWatch));

	if (!registered)
	{
		RegisterXactCallback(watch_at_commit, NULL);
		RegisterSubXactCallback(watch_at_subxact, NULL);
		registered = true;
	}
	watch->job_id = job_id;
	watch->subid = GetCurrentSubTransactionId();
	watch->next = watches;
	watches = watch;
}

/*
 * watch_batch
 *		A batch of an import is about to run; an error if earlier ones are gone.
 */
static ImportWatch *
watch_batch(int64 job_id)
{
	ImportWatch *watch = watches;
	MemoryContext old;

	while (watch != NULL && watch->job_id != job_id)
		watch = watch->next;
	if (watch == NULL || watch->broken)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a part of import " INT64_FORMAT " was rolled back", job_id),
				 errhint("Roll back to a savepoint before the import, or all of the transaction.")));
	old = MemoryContextSwitchTo(TopTransactionContext);
	watch->batches = list_append_unique_oid(watch->batches, GetCurrentSubTransactionId());
	MemoryContextSwitchTo(old);
	return watch;
}

/*
 * progress_row
 *		The state of the import as a crm_progress.
 */
static Datum
progress_row(const Session *session, TupleDesc desc)
{
	return crmio_progress_datum(desc, session->import.job_id,
								session->at_end ? "completed" : "running",
								&session->import.counts,
								session->reader->bytes_read(session->reader),
								session->source->size, GetCurrentTimestamp() - session->started);
}

/*
 * queued_row
 *		The crm_progress of an import that was handed over to the background.
 */
static Datum
queued_row(int64 job_id, TupleDesc desc)
{
	JobCounts	counts = {0};

	return crmio_progress_datum(desc, job_id, "queued", &counts, 0, 0, 0);
}

/*
 * crm_import
 *		SELECT crm_import(file, mapping, policy)
 */
Datum
crm_import(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	ImportWatch *watch;
	Session    *session;

	if (SRF_IS_FIRSTCALL())
	{
		static const char *const names[] = {"file", "mapping", "policy"};
		MemoryContext old;
		TupleDesc	desc;

		crmio_check_arguments(fcinfo, lengthof(names), names);
		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "crm_import must return crm_progress");
		call->tuple_desc = BlessTupleDesc(desc);
		session = crmio_session_open(call->multi_call_memory_ctx,
									 text_to_cstring(PG_GETARG_TEXT_PP(0)),
									 PG_GETARG_JSONB_P_COPY(1),
									 text_to_cstring(PG_GETARG_TEXT_PP(2)));
		call->user_fctx = session;
		if (session->mapping->hand_over && crmio_session_is_large(session))
			session->import.job_id = crmio_hand_over(session);
		if (session->import.job_id == 0)
		{
			crmio_session_begin(session);
			watch_import(session->import.job_id);
		}
		else
		{
			session->at_end = true;
			MemoryContextSwitchTo(old);
			SRF_RETURN_NEXT(call, queued_row(session->import.job_id, call->tuple_desc));
		}
		MemoryContextSwitchTo(old);
	}
	else
		crmio_flush_client();	/* the row of the last batch */

	call = SRF_PERCALL_SETUP();
	session = call->user_fctx;
	if (session->at_end)
		SRF_RETURN_DONE(call);

	watch = watch_batch(session->import.job_id);
	if (session->mapping->dry_run)
		crmio_session_dry(session);
	else
	{
		crmio_session_show(session);
		crmio_session_batch(session);
		crmio_session_show(session);
	}
	if (session->at_end)
	{
		crmio_session_end(session);
		pgstat_progress_end_command();
		watch->finished = true;
	}
	SRF_RETURN_NEXT(call, progress_row(session, call->tuple_desc));
}

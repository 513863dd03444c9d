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
#include "commands/progress.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "import/session.h"

PG_FUNCTION_INFO_V1(crm_import);

/* Columns of the type crm_progress. */
#define PROGRESS_COLUMNS 11

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
 * show_progress
 *		In pg_stat_progress_copy.  The command is announced each time, because the end
 *		of any subtransaction that is undone withdraws it.
 */
static void
show_progress(const Session *session)
{
	const int	params[] = {PROGRESS_COPY_COMMAND, PROGRESS_COPY_TYPE,
		PROGRESS_COPY_BYTES_TOTAL, PROGRESS_COPY_BYTES_PROCESSED,
	PROGRESS_COPY_TUPLES_PROCESSED, PROGRESS_COPY_TUPLES_EXCLUDED};
	int64		values[] = {PROGRESS_COPY_COMMAND_FROM, PROGRESS_COPY_TYPE_FILE,
		session->source->size, session->reader->bytes_read(session->reader),
	session->import.counts.rows_read, session->import.counts.errored};

	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, session->import.plan->module->relid);
	pgstat_progress_update_multi_param(lengthof(params), params, values);
}

/*
 * progress_row
 *		The state of the import as a crm_progress.
 */
static Datum
progress_row(const Session *session, TupleDesc desc)
{
	const JobCounts *counts = &session->import.counts;
	Datum		values[PROGRESS_COLUMNS];
	bool		nulls[PROGRESS_COLUMNS] = {false};
	Interval   *elapsed = palloc0(sizeof(Interval));
	int64		tenths = 1000;	/* of a percent */

	if (!session->at_end && session->source->size > 0)
		tenths = Min((int64) (1000.0 * session->reader->bytes_read(session->reader) /
							  session->source->size), 999);
	elapsed->time = GetCurrentTimestamp() - session->started;

	values[0] = Int64GetDatum(session->import.job_id);
	values[1] = CStringGetTextDatum(session->at_end ? "completed" : "running");
	values[2] = Int64GetDatum(counts->rows_read);
	values[3] = Int64GetDatum(counts->created);
	values[4] = Int64GetDatum(counts->updated);
	values[5] = Int64GetDatum(counts->unchanged);
	values[6] = Int64GetDatum(counts->skipped);
	values[7] = Int64GetDatum(counts->errored);
	values[8] = Int64GetDatum(counts->warnings);
	values[9] = NumericGetDatum(int64_div_fast_to_numeric(tenths, 1));
	values[10] = IntervalPGetDatum(elapsed);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * run_dry
 *		The whole import at once, and then nothing of it but its report.
 */
static void
run_dry(Session *session)
{
	CrmioSubxact subxact;

	crmio_subxact_begin(&subxact);
	PG_TRY();
	{
		while (!session->at_end)
		{
			show_progress(session);
			crmio_session_batch(session);
		}
		crmio_subxact_end(&subxact, false);
	}
	PG_CATCH();
	{
		ReThrowError(crmio_subxact_failed(&subxact, subxact.context));
	}
	PG_END_TRY();
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
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
			desc->natts != PROGRESS_COLUMNS)
			elog(ERROR, "crm_import must return crm_progress");
		call->tuple_desc = BlessTupleDesc(desc);
		session = crmio_session_start(call->multi_call_memory_ctx,
									  text_to_cstring(PG_GETARG_TEXT_PP(0)),
									  PG_GETARG_JSONB_P_COPY(1),
									  text_to_cstring(PG_GETARG_TEXT_PP(2)));
		watch_import(session->import.job_id);
		call->user_fctx = session;
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
		run_dry(session);
	else
	{
		show_progress(session);
		crmio_session_batch(session);
		show_progress(session);
	}
	if (session->at_end)
	{
		crmio_session_end(session);
		pgstat_progress_end_command();
		watch->finished = true;
	}
	SRF_RETURN_NEXT(call, progress_row(session, call->tuple_desc));
}

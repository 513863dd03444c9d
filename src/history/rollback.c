/*
 * rollback.c
 *	  crm_rollback: undoes what a job did, as far as nobody has changed it since.
 *
 *	  changed records get their old values back -> created records are deleted ->
 *	  then those that were created because others referred to them
 *
 * This order frees the references of the one before the other is deleted.  A
 * rollback is an ordinary writer: it has the caller's rights, triggers fire, and
 * what the database refuses stays, record by record.  All of it is one
 * subtransaction, which a dry run undoes.
 *
 * Created records are found and deleted in undo_created.c, references to them in
 * undo_references.c; changes are taken back in undo_changes.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/xid8.h"

#include "history/job.h"
#include "history/rollback.h"

PG_FUNCTION_INFO_V1(crm_rollback);

/*
 * A transaction with more than 64 live subtransactions slows down all others
 * (PGPROC_MAX_CACHED_SUBXIDS).
 */
#define MAX_LIVE_SUBXACTS 60

/* Columns of the function's result. */
#define RESULT_COLUMNS 4

/*
 * name_array
 *		A text[] of a list of C strings.
 */
static Datum
name_array(List *names)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(names), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, names)
		elements[n++] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * crmio_undo_query
 *		A query on crmio's own tables whose parameters are the job ($1), the modules of
 *		a target ($2) and the columns of its key ($3).  With a cursor it is read step by
 *		step, else its result is in SPI_tuptable.
 */
void
crmio_undo_query(Rollback *rollback, UndoTarget *target, const char *sql, Portal *cursor)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[3] = {INT8OID, TEXTARRAYOID, TEXTARRAYOID};
	Datum		values[3] = {Int64GetDatum(rollback->job_id)};
	List	   *key_columns = NIL;
	CrmioOwnerScope scope;

	for (int i = 0; target != NULL && i < target->key->ncolumns; i++)
		key_columns = lappend(key_columns, get_attname(target->module->relid,
													   target->key->attnums[i], false));
	values[1] = name_array(target ? target->modules : NIL);
	values[2] = name_array(key_columns);
	crmio_become_owner(&scope);
	if (cursor != NULL)
		*cursor = SPI_cursor_open_with_args(NULL, sql, 3, types, values, NULL, false, 0);
	else if (SPI_execute_with_args(sql, 3, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the history of job " INT64_FORMAT, rollback->job_id);
	crmio_restore_user(&scope);
	MemoryContextSwitchTo(context);
}

/*
 * crmio_undo_fetch
 *		The next rows of such a query, in SPI_tuptable.  Returns how many.
 */
uint64
crmio_undo_fetch(Portal cursor, long rows)
{
	MemoryContext context = CurrentMemoryContext;
	CrmioOwnerScope scope;

	CHECK_FOR_INTERRUPTS();
	crmio_become_owner(&scope);
	SPI_cursor_fetch(cursor, true, rows);
	crmio_restore_user(&scope);
	MemoryContextSwitchTo(context);
	return SPI_processed;
}

/*
 * crmio_undo_given_back
 *		A subquery for such queries: the records of a target that the rollback of a later
 *		job has given back as the job had left them, and the transaction that wrote them.
 */
char *
crmio_undo_given_back(const UndoTarget *target)
{
	return psprintf("SELECT DISTINCT ON (record_key) record_key, xid FROM " CRMIO_SCHEMA ".job_restored"
					" WHERE job_id = $1 AND relation = %u ORDER BY record_key, xid DESC",
					target->module->relid);
}

/*
 * compare_xids
 *		For qsort and bsearch.  Any order does; xids have no other that is total.
 */
static int
compare_xids(const void *a, const void *b)
{
	TransactionId left = *(const TransactionId *) a;
	TransactionId right = *(const TransactionId *) b;

	return left < right ? -1 : left > right;
}

/*
 * load_xids
 *		The transactions in which the job wrote, as xmin shows them: without their
 *		epoch.  Those of another cluster mean nothing here (the job was restored from a
 *		dump, and so were its records), nor do those whose 32 bits may have been given
 *		to another transaction since.
 */
static void
load_xids(Rollback *rollback)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	bool		isnull;

	crmio_undo_query(rollback, NULL,
					 psprintf("SELECT x.xid FROM " CRMIO_SCHEMA ".job_xact j CROSS JOIN LATERAL unnest(j.xids) x(xid)"
							  " WHERE j.job_id = $1 AND j.system_identifier = " INT64_FORMAT,
							  (int64) GetSystemIdentifier()), NULL);
	rollback->xids = MemoryContextAlloc(rollback->context,
										sizeof(TransactionId) * (SPI_processed + 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		xid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);
		uint64		value = U64FromFullTransactionId(DatumGetFullTransactionId(xid));

		if (value < next && next - value < PG_UINT32_MAX)
			rollback->xids[rollback->nxids++] = (TransactionId) value;
	}
	SPI_freetuptable(SPI_tuptable);
	qsort(rollback->xids, rollback->nxids, sizeof(TransactionId), compare_xids);
}

/*
 * crmio_undo_is_the_jobs
 *		Did the job itself write the version of a record that has this xmin?
 */
bool
crmio_undo_is_the_jobs(const Rollback *rollback, TransactionId xid)
{
	return bsearch(&xid, rollback->xids, rollback->nxids, sizeof(TransactionId),
				   compare_xids) != NULL;
}

/*
 * crmio_undo_is_own
 *		Did the rollback write it, or a trigger in its course?
 */
bool
crmio_undo_is_own(const Rollback *rollback, TransactionId xid)
{
	return TransactionIdIsNormal(xid) && !TransactionIdPrecedes(xid, rollback->first_xid) &&
		TransactionIdIsCurrentTransactionId(xid);
}

/*
 * crmio_undo_try
 *		Does something in a subtransaction.  Returns NULL, or the error that the database
 *		has with some record; then nothing is done.
 */
ErrorData *
crmio_undo_try(Rollback *rollback, void (*work) (void *arg), void *arg)
{
	bool		keep = rollback->live_subxacts < MAX_LIVE_SUBXACTS;
	ErrorData  *volatile error = NULL;
	CrmioSubxact subxact;

	crmio_subxact_begin(&subxact);
	PG_TRY();
	{
		work(arg);
		crmio_subxact_end(&subxact, keep);
		if (keep)
			rollback->live_subxacts++;
	}
	PG_CATCH();
	{
		error = crmio_subxact_failed(&subxact, subxact.context);
	}
	PG_END_TRY();
	if (error != NULL && !crmio_is_row_error(error))
		ReThrowError(error);
	if (error == NULL && !keep)
		work(arg);				/* it went well: once more, to stay */
	return error;
}

/*
 * crmio_undo_note
 *		Remembers a record that stays as it is, for the caller to see.
 */
void
crmio_undo_note(Rollback *rollback, const UndoTarget *target, const char *key, const char *reason)
{
	MemoryContext old;

	if (list_length(rollback->notes) >= MAX_NOTES)
		return;
	old = MemoryContextSwitchTo(rollback->context);
	rollback->notes = lappend(rollback->notes,
							  psprintf("%s %s: %s", target->module->name, crmio_clip(key), reason));
	MemoryContextSwitchTo(old);
}

/*
 * tell_notes
 *		Says which records stay, and why; more than a few are only counted.
 */
static void
tell_notes(const Rollback *rollback)
{
	int64		staying = rollback->kept + rollback->blocked;
	StringInfoData detail;
	ListCell   *lc;

	if (staying == 0)
		return;
	initStringInfo(&detail);
	foreach(lc, rollback->notes)
		appendStringInfo(&detail, "%s%s.", detail.len > 0 ? "\n" : "", (char *) lfirst(lc));
	if (staying > list_length(rollback->notes))
		appendStringInfo(&detail, "\nAnd " INT64_FORMAT " more.",
						 staying - list_length(rollback->notes));
	ereport(NOTICE,
			(errmsg_plural("rollback of job " INT64_FORMAT " leaves " INT64_FORMAT " record as it is",
						   "rollback of job " INT64_FORMAT " leaves " INT64_FORMAT " records as they are",
						   (unsigned long) staying, rollback->job_id, staying),
			 errdetail_internal("%s", detail.data)));
}

/*
 * tell_gone
 *		Says how many records were not found: a job is rolled back once, so the caller
 *		must learn of those that are only hidden from him.
 */
static void
tell_gone(const Rollback *rollback)
{
	if (rollback->gone == 0)
		return;
	ereport(NOTICE,
			(errmsg_plural("rollback of job " INT64_FORMAT " has not found " INT64_FORMAT " record",
						   "rollback of job " INT64_FORMAT " has not found " INT64_FORMAT " records",
						   (unsigned long) rollback->gone, rollback->job_id, rollback->gone),
			 errdetail("Each was deleted after the import, or row-level security hides it from you.")));
}

/*
 * make_target
 *		What is needed to know of a module that the job wrote in.
 */
static UndoTarget *
make_target(Rollback *rollback, const char *name)
{
	UndoTarget *target = palloc0(sizeof(UndoTarget));
	Relation	rel;
	char		relkind;
	Oid			typid;

	target->module = crmio_module_load(name, false);
	target->modules = list_make1(pstrdup(name));
	rel = table_open(target->module->relid, RowExclusiveLock);
	relkind = rel->rd_rel->relkind;
	target->key = crmio_record_key_create(CurrentMemoryContext, target->module, rel);
	table_close(rel, NoLock);
	typid = TupleDescAttr(target->key->desc, 0)->atttypid;
	target->integer_key = target->key->ncolumns == 1 &&
		(typid == INT2OID || typid == INT4OID || typid == INT8OID);
	target->key_is_indexed = crmio_key_is_indexed(target->module, target->key);
	target->is_view = relkind == RELKIND_VIEW;
	target->has_xmin = relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE;
	return target;
}

/*
 * find_targets
 *		The tables that the job wrote in, as a List of UndoTarget *: that of its own
 *		module first, and then those of records created for references.
 */
static List *
find_targets(Rollback *rollback, const char *own_module)
{
	List	   *names = NIL;
	List	   *targets = NIL;
	ListCell   *lc;
	ListCell   *other;

	crmio_undo_query(rollback, NULL,
					 "SELECT module FROM " CRMIO_SCHEMA ".job_created WHERE job_id = $1"
					 " UNION SELECT module FROM " CRMIO_SCHEMA ".job_change WHERE job_id = $1"
					 " ORDER BY module", NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		names = strcmp(name, own_module) == 0 ? lcons(name, names) : lappend(names, name);
	}
	SPI_freetuptable(SPI_tuptable);

	foreach(lc, names)
	{
		UndoTarget *target = make_target(rollback, lfirst(lc));
		bool		known = false;

		foreach(other, targets)
		{
			UndoTarget *same = lfirst(other);

			if (same->module->relid != target->module->relid ||
				!crmio_record_key_equals(same->key, target->key))
				continue;
			same->modules = list_concat(same->modules, target->modules);
			known = true;
		}
		if (!known)
			targets = lappend(targets, target);
	}
	return targets;
}

/*
 * lock_targets
 *		Rollbacks and imports into one table take turns.
 */
static void
lock_targets(List *targets)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, targets)
		relids = list_append_unique_oid(relids, ((UndoTarget *) lfirst(lc))->module->relid);
	if (relids != NIL)
		crmio_target_lock(relids);
}

/*
 * undo
 *		Undoes the job.
 */
static void
undo(Rollback *rollback, const char *own_module)
{
	List	   *targets;
	ListCell   *lc;

	/* what has an older xid, or another one, was there before */
	rollback->first_xid = GetCurrentTransactionId();
	load_xids(rollback);
	targets = find_targets(rollback, own_module);
	lock_targets(targets);

	/* who has edited what is looked at before anything is written ... */
	foreach(lc, targets)
	{
		UndoTarget *target = lfirst(lc);

		crmio_undo_query(rollback, target,
						 "SELECT 1 FROM " CRMIO_SCHEMA ".job_change"
						 " WHERE job_id = $1 AND module = ANY ($2) AND old_values ?| $3 LIMIT 1", NULL);
		target->keys_changed = SPI_processed > 0;
		if (!target->keys_changed)
			crmio_undo_find_created(rollback, target);
	}
	foreach(lc, targets)
		crmio_undo_changes(rollback, lfirst(lc));
	/* ... but the keys by which records are found may have to be given back first */
	foreach(lc, targets)
	{
		UndoTarget *target = lfirst(lc);

		if (target->keys_changed)
			crmio_undo_find_created(rollback, target);
	}
	foreach(lc, targets)
	{
		crmio_undo_delete_created(rollback, lfirst(lc));
		if (lc == list_head(targets))
			crmio_undo_changes_later(rollback, lfirst(lc));
	}
}

/*
 * rollback_context_line
 *		Error context: which job is undone.
 */
static void
rollback_context_line(void *arg)
{
	errcontext("rollback of job " INT64_FORMAT, ((Rollback *) arg)->job_id);
}

/*
 * check_job
 *		Can the job be undone?
 */
static void
check_job(int64 job_id, const JobInfo *job)
{
	if (strcmp(job->state, "rolled_back") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " has been rolled back already", job_id)));
	if (strcmp(job->state, "running") == 0 || strcmp(job->state, "queued") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " has not ended", job_id),
				 errdetail("It is %s.", job->state),
				 errhint("Wait for its end, or cancel it first.")));
	if (job->dry_run)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " was a dry run", job_id),
				 errdetail("There is nothing to roll back.")));
	if (job->cleaned)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job " INT64_FORMAT " can't be rolled back any more", job_id),
				 errdetail("What that needs was removed by crm_cleanup.")));
}

/*
 * roll_back
 *		The rollback in its subtransaction, which stays unless it is a dry run.
 */
static void
roll_back(Rollback *rollback, bool dry_run)
{
	ErrorContextCallback callback = {.callback = rollback_context_line,.arg = rollback};
	CrmioSubxact subxact;
	JobInfo		job;
	int			level;

	callback.previous = error_context_stack;
	error_context_stack = &callback;
	crmio_job_read(rollback->job_id, true, &job);
	check_job(rollback->job_id, &job);

	crmio_subxact_begin(&subxact);
	PG_TRY();
	{
		level = NewGUCNestLevel();
		crmio_set_job_id(rollback->job_id);
		undo(rollback, job.module);
		AtEOXact_GUC(true, level);
		crmio_job_rolled_back(rollback->job_id);
		crmio_subxact_end(&subxact, !dry_run);
	}
	PG_CATCH();
	{
		ReThrowError(crmio_subxact_failed(&subxact, subxact.context));
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
}

/*
 * crm_rollback
 *		SELECT * FROM crm_rollback(job_id, dry_run)
 */
Datum
crm_rollback(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"job_id", "dry_run"};
	Rollback	rollback = {0};
	MemoryContext old;
	TupleDesc	desc;
	Datum		values[RESULT_COLUMNS];
	bool		nulls[RESULT_COLUMNS] = {false};

	crmio_check_arguments(fcinfo, lengthof(names), names);
	PreventCommandIfReadOnly("crm_rollback()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != RESULT_COLUMNS)
		elog(ERROR, "crm_rollback must return four counts");
	rollback.job_id = PG_GETARG_INT64(0);
	rollback.context = AllocSetContextCreate(CurrentMemoryContext, "crmio rollback",
											 ALLOCSET_DEFAULT_SIZES);
	SPI_connect();
	old = MemoryContextSwitchTo(rollback.context);
	roll_back(&rollback, PG_GETARG_BOOL(1));
	tell_notes(&rollback);
	tell_gone(&rollback);
	MemoryContextSwitchTo(old);
	SPI_finish();
	MemoryContextDelete(rollback.context);

	values[0] = Int64GetDatum(rollback.deleted);
	values[1] = Int64GetDatum(rollback.restored);
	values[2] = Int64GetDatum(rollback.kept);
	values[3] = Int64GetDatum(rollback.blocked);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

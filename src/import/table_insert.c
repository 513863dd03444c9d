/*
 * table_insert.c
 *	  New records straight into a plain table, page by page, as COPY inserts them.
 *
 * That is faster than a statement, but leaves aside much of what a statement does.
 * So it is for tables where nothing of that is asked for: no view, partition or
 * foreign table, no row-level security, no rules, no generated columns, no triggers
 * but those after each row (foreign keys are such).  writer.c has the statement for
 * all others.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "import/table_insert.h"

/* How many rows go to the table at once: some 20 pages of usual ones, as with COPY. */
#define MAX_SLOTS 1000

/* Where the value of a column comes from, other than from one of the row's values. */
#define FROM_DEFAULT (-1)
#define EMPTY (-2)

struct TableInsert
{
	ImportPlan *plan;
	int			natts;
	int		   *sources;		/* per column: index of the row's value, or as above */
	ExprState **defaults;		/* per column, for FROM_DEFAULT */
	/* while rows are inserted */
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *result;
	BulkInsertState bulk;
	CommandId	cid;
	TupleTableSlot *slots[MAX_SLOTS];
	int			nslots;			/* made */
	int			nused;
	int64		inserted;		/* rows given to the table before those in the slots */
	int64		taken;			/* rows up to the one at hand */
};

/*
 * find_sources
 *		Decides for each column where its value comes from: keys come first in a row,
 *		then the targets.  False if the server must have a say in one of them.
 */
static bool
find_sources(TableInsert *insert, Relation rel)
{
	ImportPlan *plan = insert->plan;
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node	   *expr;

		insert->sources[i] = EMPTY;
		if (att->attisdropped)
			continue;
		if (att->attgenerated)
			return false;
		for (int k = 0; k < plan->key->ncolumns; k++)
		{
			if (plan->key->attnums[k] == att->attnum)
				insert->sources[i] = k;
		}
		for (int t = 0; t < plan->ntargets; t++)
		{
			Target	   *target = &plan->targets[t];

			if (target->attnum != att->attnum)
				continue;
			insert->sources[i] = plan->key->ncolumns + t;
			/* values that were not read as this type are cast by the statement */
			if ((target->reference != NULL || target->storage != STORAGE_SCALAR) &&
				(getBaseType(target->typid) != target->typid || target->typmod != -1))
				return false;
		}
		if (insert->sources[i] != EMPTY)
			continue;
		/* a domain may refuse to be empty */
		if (get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			return false;
		expr = build_column_default(rel, att->attnum);
		if (expr == NULL)
			continue;
		insert->sources[i] = FROM_DEFAULT;
		insert->defaults[i] = ExecInitExpr(expression_planner((Expr *) expr), NULL);
	}
	return true;
}

/*
 * crmio_table_insert_create
 *		Prepares the insertion of rows of keys and targets, in the plan's context; NULL if
 *		the table needs statements.
 */
TableInsert *
crmio_table_insert_create(ImportPlan *plan)
{
	TableInsert *insert;

	if (!plan->keys_are_kept || plan->key_defaults == NULL)
		return NULL;
	insert = palloc0(sizeof(TableInsert));
	insert->plan = plan;
	insert->natts = plan->table_desc->natts;
	insert->sources = palloc(sizeof(int) * insert->natts);
	insert->defaults = palloc0(sizeof(ExprState *) * insert->natts);
	return find_sources(insert, plan->rel) ? insert : NULL;
}

/*
 * is_plain
 *		Has the table nothing that only statements respect?
 */
static bool
is_plain(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;

	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relispartition ||
		rel->rd_rel->relhasrules)
		return false;
	if (triggers != NULL &&
		(triggers->trig_insert_before_row || triggers->trig_insert_instead_row ||
		 triggers->trig_insert_before_statement || triggers->trig_insert_after_statement ||
		 triggers->trig_insert_new_table))
		return false;
	return pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_INSERT) == ACLCHECK_OK &&
		check_enable_rls(RelationGetRelid(rel), InvalidOid, true) != RLS_ENABLED;
}

/*
 * crmio_table_insert_serves
 *		Can rows go into the table now?  Asked for each run, because the table may change
 *		between transactions; within this one it can't any more.
 */
bool
crmio_table_insert_serves(const TableInsert *insert)
{
	Relation	rel = table_open(insert->plan->module->relid, RowExclusiveLock);
	bool		serves = is_plain(rel);

	table_close(rel, NoLock);
	return serves;
}

/*
 * crmio_table_insert_begin
 *		Opens the table for some rows.  What is opened is closed by crmio_table_insert_end,
 *		or by the end of the subtransaction that fails.  Memory is taken from
 *		CurrentMemoryContext.
 */
void
crmio_table_insert_begin(TableInsert *insert)
{
	Relation	rel = table_open(insert->plan->module->relid, RowExclusiveLock);

	PreventCommandIfReadOnly("crm_import()");
	/* constraints and defaults see what a statement of now would see */
	PushActiveSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();

	insert->rel = rel;
	insert->cid = GetCurrentCommandId(true);
	insert->estate = CreateExecutorState();
	insert->estate->es_snapshot = GetActiveSnapshot();
	insert->estate->es_output_cid = insert->cid;
	insert->result = makeNode(ResultRelInfo);
	InitResultRelInfo(insert->result, rel, 0, NULL, 0);
	ExecOpenIndices(insert->result, false);
	insert->bulk = GetBulkInsertState();
	insert->nslots = insert->nused = 0;
	insert->inserted = insert->taken = 0;
	AfterTriggerBeginQuery();
}

/*
 * write_slots
 *		The rows in the slots go to the table and its indexes, and to the triggers after
 *		them.
 */
static void
write_slots(TableInsert *insert)
{
	EState	   *estate = insert->estate;
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	table_multi_insert(insert->rel, insert->slots, insert->nused, insert->cid, 0, insert->bulk);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < insert->nused; i++)
	{
		TupleTableSlot *slot = insert->slots[i];
		List	   *recheck = NIL;

		insert->taken = insert->inserted + i + 1;
		ResetPerTupleExprContext(estate);
		if (insert->result->ri_NumIndices > 0)
			recheck = CRMIO_INSERT_INDEX_TUPLES(insert->result, slot, estate);
		ExecARInsertTriggers(estate, insert->result, slot, recheck, NULL);
		list_free(recheck);
		ExecClearTuple(slot);
	}
	insert->inserted += insert->nused;
	insert->nused = 0;
}

/*
 * crmio_table_insert_row
 *		Inserts a row of keys and targets.  Its values are used until the end.
 */
void
crmio_table_insert_row(TableInsert *insert, Datum *values, bool *nulls)
{
	TupleTableSlot *slot;

	CHECK_FOR_INTERRUPTS();
	if (insert->nused == MAX_SLOTS)
		write_slots(insert);
	if (insert->nused == insert->nslots)
		insert->slots[insert->nslots++] = table_slot_create(insert->rel,
															&insert->estate->es_tupleTable);
	slot = insert->slots[insert->nused];
	insert->taken = insert->inserted + insert->nused + 1;
	for (int i = 0; i < insert->natts; i++)
	{
		int			source = insert->sources[i];

		if (source >= 0)
		{
			slot->tts_values[i] = values[source];
			slot->tts_isnull[i] = nulls[source];
		}
		else
		{
			slot->tts_values[i] = (Datum) 0;
			slot->tts_isnull[i] = true;
		}
		if (source == FROM_DEFAULT)
			slot->tts_values[i] = ExecEvalExpr(insert->defaults[i],
											   GetPerTupleExprContext(insert->plan->estate),
											   &slot->tts_isnull[i]);
	}
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(insert->rel);
	ResetPerTupleExprContext(insert->estate);
	if (insert->rel->rd_att->constr != NULL)
		ExecConstraints(insert->result, slot, insert->estate);
	insert->nused++;
}

/*
 * crmio_table_insert_end
 *		Inserts what is left, and fires the triggers.
 */
void
crmio_table_insert_end(TableInsert *insert)
{
	EState	   *estate = insert->estate;

	if (insert->nused > 0)
		write_slots(insert);
	FreeBulkInsertState(insert->bulk);
	table_finish_bulk_insert(insert->rel, 0);
	AfterTriggerEndQuery(estate);
	ExecCloseIndices(insert->result);
	ExecResetTupleTable(estate->es_tupleTable, true);
	ExecCloseResultRelations(estate);
	FreeExecutorState(estate);
	PopActiveSnapshot();
	table_close(insert->rel, NoLock);
	CommandCounterIncrement();
}

/*
 * crmio_table_insert_rows_taken
 *		How many rows had been taken when the insertion failed: it failed at the last of
 *		them, or after all.
 */
int64
crmio_table_insert_rows_taken(const TableInsert *insert)
{
	return insert->taken;
}

/*
 * statement.c
 *	  SQL whose rows come from a tuplestore (see statement.h).
 *
 * The callers hold the SPI connection; nothing here outlives it but the saved
 * plans, which go with the memory context of their statement.  SPI leaves its own
 * memory context behind; the functions here give back the caller's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "statement.h"

/* For how many rows a statement is planned at least. */
#define TYPICAL_ROWS 1000

/* How many pages the lookup of a record reads that are not in memory anyway. */
#define PAGES_PER_LOOKUP 2

/*
 * How many rows a page of a table is taken to have at least.  A table that was full of
 * dead rows when it was last vacuumed has none according to its statistics, however
 * many an import has put there since; and the planner would rather read all of such a
 * table for each row of a batch than look the row up in its index.
 */
#define FEWEST_ROWS_PER_PAGE 10

/* The read pointer that the scan of a RowSet allocates: 0 is the store's own. */
#define SCAN_READ_POINTER 1

/* Is a statement of this file being planned? */
static bool planning = false;

static get_relation_info_hook_type next_relation_info_hook = NULL;

/*
 * doubt_statistics
 *		Planner hook: in statements of this file no table is emptier than its pages allow
 *		to think.
 */
static void
doubt_statistics(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	double		fewest = (double) rel->pages * FEWEST_ROWS_PER_PAGE;
	ListCell   *lc;

	if (next_relation_info_hook != NULL)
		next_relation_info_hook(root, relid, inhparent, rel);
	if (!planning || rel->tuples >= fewest)
		return;
	rel->tuples = fewest;
	foreach(lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(lc);

		/* the planner takes the rows of such an index from its table, too */
		if (index->indpred == NIL)
			index->tuples = fewest;
	}
}

/*
 * crmio_statement_init
 *		When the library is loaded.
 */
void
crmio_statement_init(void)
{
	next_relation_info_hook = get_relation_info_hook;
	get_relation_info_hook = doubt_statistics;
}

/*
 * crmio_rowset_create
 *		An empty set of rows, in CurrentMemoryContext, which spills to disk
 *		beyond crmio.batch_memory.
 */
RowSet *
crmio_rowset_create(TupleDesc tupdesc)
{
	RowSet	   *rows = palloc0(sizeof(RowSet));

	rows->tupdesc = tupdesc;
	rows->store = tuplestore_begin_heap(true, false, crmio_batch_memory);
	return rows;
}

/*
 * crmio_rowset_add
 *		Adds a row; its values are copied.
 */
void
crmio_rowset_add(RowSet *rows, Datum *values, bool *nulls)
{
	tuplestore_putvalues(rows->store, rows->tupdesc, values, nulls);
	rows->nrows++;
}

/*
 * crmio_rowset_free
 *		Frees the rows (not their descriptor).
 */
void
crmio_rowset_free(RowSet *rows)
{
	tuplestore_end(rows->store);
	pfree(rows);
}

/*
 * crmio_rowset_rows_taken
 *		How many rows the statement that failed had taken: an INSERT or UPDATE
 *		that goes row by row failed at the last of them.  All rows, if it had
 *		seen the end.
 */
int64
crmio_rowset_rows_taken(RowSet *rows)
{
	int64		left = 0;

	/* it may have failed before it began to read */
	if (tuplestore_alloc_read_pointer(rows->store, 0) <= SCAN_READ_POINTER)
		return 0;
	tuplestore_select_read_pointer(rows->store, SCAN_READ_POINTER);
	while (tuplestore_advance(rows->store, true))
		left++;
	tuplestore_select_read_pointer(rows->store, 0);
	return rows->nrows - left;
}

/*
 * crmio_statement_forget_plan
 *		Frees the plan; the next use makes another.
 */
void
crmio_statement_forget_plan(Statement *statement)
{
	if (statement->plan != NULL)
		SPI_freeplan(statement->plan);
	statement->plan = NULL;
}

/*
 * release_plan
 *		Memory context callback: the saved plan goes with its statement.
 */
static void
release_plan(void *arg)
{
	crmio_statement_forget_plan(arg);
}

/*
 * crmio_statement_create
 *		A statement that lives in the given context.  It is parsed at its first
 *		use, when its rows are known.
 */
Statement *
crmio_statement_create(MemoryContext context, const char *sql, bool use_indexes)
{
	Statement  *statement = MemoryContextAllocZero(context, sizeof(Statement));

	statement->sql = MemoryContextStrdup(context, sql);
	statement->use_indexes = use_indexes;
	statement->release.func = release_plan;
	statement->release.arg = statement;
	MemoryContextRegisterResetCallback(context, &statement->release);
	return statement;
}

/*
 * crmio_statement_plan_for
 *		Before its first use: a statement that joins so many rows with a table reads
 *		all of the table if it would touch most of its pages anyway.  The planner is
 *		not asked, because its statistics may say that the table is empty (it was when
 *		it was last vacuumed), and a loop over all of it for each row never ends.
 */
void
crmio_statement_plan_for(Statement *statement, Oid relid, int64 nrows)
{
	Relation	rel;

	if (get_rel_relkind(relid) != RELKIND_RELATION)
		return;
	rel = table_open(relid, AccessShareLock);
	if (nrows * PAGES_PER_LOOKUP >= RelationGetNumberOfBlocks(rel))
	{
		statement->use_indexes = false;
		statement->no_loops = nrows > 1;
	}
	table_close(rel, NoLock);
}

/*
 * begin_planning
 *		Settings under which statements are planned; AtEOXact_GUC ends them.
 *		They must not reach execution, where triggers run users' queries.
 */
static int
begin_planning(Statement *statement)
{
	int			level = NewGUCNestLevel();

	crmio_set_locally("jit", "off");
	if (statement->use_indexes)
	{
		crmio_set_locally("enable_seqscan", "off");
		crmio_set_locally("enable_bitmapscan", "off");
		crmio_set_locally("enable_hashjoin", "off");
		crmio_set_locally("enable_mergejoin", "off");
		crmio_set_locally("enable_memoize", "off");
		crmio_set_locally("enable_material", "off");
	}
	if (statement->no_loops)
		crmio_set_locally("enable_nestloop", "off");
	return level;
}

/*
 * attach
 *		Makes the rows visible to SQL as the relation crmio_batch.  The SPI connection
 *		keeps what is allocated here, so it must not go with the caller's context.
 */
static EphemeralNamedRelation
attach(RowSet *rows)
{
	EphemeralNamedRelation enr = SPI_palloc(sizeof(EphemeralNamedRelationData));
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(enr));

	/* a statement that failed in a subtransaction has left its rows behind */
	(void) SPI_unregister_relation(BATCH_RELATION);
	memset(enr, 0, sizeof(EphemeralNamedRelationData));
	enr->md.name = BATCH_RELATION;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = rows->tupdesc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	/* plans are kept, so they are made for a batch of some size */
	enr->md.enrtuples = Max(rows->nrows, TYPICAL_ROWS);
	enr->reldata = rows->store;
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the rows of a batch");
	MemoryContextSwitchTo(old);
	return enr;
}

/*
 * detach
 *		Undoes attach.
 */
static void
detach(EphemeralNamedRelation enr)
{
	if (SPI_unregister_relation(BATCH_RELATION) != SPI_OK_REL_UNREGISTER)
		elog(ERROR, "could not unregister the rows of a batch");
	pfree(enr);
}

/*
 * plan_statement
 *		Plans it, unless it has a plan that is still good.  A statement without parameters
 *		keeps the plan that is made here.
 */
static void
plan_statement(Statement *statement)
{
	int			level = begin_planning(statement);

	planning = true;
	PG_TRY();
	{
		CachedPlan *plan = SPI_plan_get_cached_plan(statement->plan);

		if (plan != NULL)
			ReleaseCachedPlan(plan, CurrentResourceOwner);
	}
	PG_FINALLY();
	{
		planning = false;
	}
	PG_END_TRY();
	AtEOXact_GUC(true, level);
}

/*
 * crmio_statement_run
 *		Runs a statement over the rows.  The result is in SPI_processed and
 *		SPI_tuptable.
 */
void
crmio_statement_run(Statement *statement, RowSet *rows)
{
	MemoryContext context = CurrentMemoryContext;
	EphemeralNamedRelation enr = attach(rows);
	int			result;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->sql, 0, NULL);

		if (plan == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "could not keep the plan of \"%s\"", statement->sql);
		statement->plan = plan;
	}

	plan_statement(statement);
	result = SPI_execute_plan(statement->plan, NULL, NULL, false, 0);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
	detach(enr);
	MemoryContextSwitchTo(context);
}

/*
 * explain
 *		Runs EXPLAIN of a statement, without cached plan.  The server checks the
 *		caller's rights when it starts the statement's executor.
 */
static void
explain(Statement *statement, RowSet *rows)
{
	MemoryContext context = CurrentMemoryContext;
	EphemeralNamedRelation enr = attach(rows);
	int			level = begin_planning(statement);
	int			result;

	result = SPI_execute(psprintf("EXPLAIN (COSTS OFF) %s", statement->sql), false, 0);
	if (result < 0)
		elog(ERROR, "could not explain \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
	detach(enr);
	AtEOXact_GUC(true, level);
	MemoryContextSwitchTo(context);
}

/*
 * crmio_statement_check_rights
 *		Raises the error that the statement would raise for want of privileges,
 *		before any row is read.
 */
void
crmio_statement_check_rights(Statement *statement, RowSet *empty)
{
	explain(statement, empty);
	SPI_freetuptable(SPI_tuptable);
}

/*
 * crmio_statement_uses_index
 *		Does every scan of the table with this alias look its rows up in an
 *		index?  (The condition stands in the line below its scan.)
 */
bool
crmio_statement_uses_index(Statement *statement, RowSet *empty, const char *alias)
{
	char	   *mark = psprintf(" %s", alias);
	bool		found = false;
	bool		indexed = true;

	explain(statement, empty);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *line = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char	   *next = i + 1 < SPI_processed ?
			SPI_getvalue(SPI_tuptable->vals[i + 1], SPI_tuptable->tupdesc, 1) : NULL;

		if (strstr(line, "Scan") == NULL || strstr(line, mark) == NULL)
			continue;
		found = true;
		if (strstr(line, "Index") == NULL || next == NULL || strstr(next, "Index Cond:") == NULL)
			indexed = false;
	}
	SPI_freetuptable(SPI_tuptable);
	return found && indexed;
}

/*
 * crmio_equality_sql
 *		"left = right" with the type's own operator, whatever the search_path.
 */
char *
crmio_equality_sql(const char *left, Oid typid, const char *right)
{
	TypeCacheEntry *type = lookup_type_cache(typid, TYPECACHE_EQ_OPR);
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(type->eq_opr));
	Form_pg_operator op;
	char	   *sql;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", type->eq_opr);
	op = (Form_pg_operator) GETSTRUCT(tuple);
	sql = psprintf("%s OPERATOR(%s.%s) %s", left,
				   quote_identifier(get_namespace_name(op->oprnamespace)),
				   NameStr(op->oprname), right);
	ReleaseSysCache(tuple);
	return sql;
}

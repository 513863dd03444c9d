/*
 * result.c
 *	  Runs the query of an export and hands its rows out, as many at a time as the
 *	  taker wants.
 *
 * The executor is held directly, as the server does for its SQL functions: no
 * cursor that others could close, no copy of the rows, no SPI connection between two
 * calls.  Resources belong to the resource owner of the calling query, so an
 * error leaves nothing to clean up.
 *
 * The query has the caller's rights, and what it runs can't write: not by a
 * data-modifying statement, which is refused, and not by a function, because the
 * transaction is read only while it runs.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/cmdtag.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "export/export.h"
#include "import/values.h"

#define QUERY_HINT "Give one SELECT, VALUES or TABLE, the name of a module, or report:NAME."

/*
 * query_context
 *		Error context while the query is analyzed: a position is one in the query that
 *		was passed, not in the statement that passes it.
 */
static void
query_context(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(arg);
	}
}

/*
 * row_context
 *		Error context while rows are read.
 */
static void
row_context(void *arg)
{
	ExportResult *result = arg;

	errcontext("export of \"%s\", row " INT64_FORMAT, result->source->title, result->nrows + 1);
}

/*
 * refuse
 *		Complains about a query that does more than to read, or nothing.
 */
static void
refuse(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("an export takes one query that only reads, not %s", what),
			 errhint(QUERY_HINT)));
}

/*
 * check_raw
 *		The one statement of the text; an error if it is another number or kind.
 */
static RawStmt *
check_raw(List *statements)
{
	RawStmt    *raw;

	if (statements == NIL)
		refuse("an empty one");
	if (list_length(statements) > 1)
		refuse("several statements");
	raw = linitial_node(RawStmt, statements);
	if (!IsA(raw->stmt, SelectStmt))
		refuse(CreateCommandName(raw->stmt));
	return raw;
}

/*
 * analyze
 *		The query tree, with views expanded and row-level security applied.
 */
static Query *
analyze(const ExportSource *source)
{
	int			level = NewGUCNestLevel();
	RawStmt    *raw;
	List	   *queries;
	Query	   *query;

	/* the names in it are qualified; its operators are to be the server's */
	if (source->own_sql)
		crmio_set_locally("search_path", "pg_catalog, pg_temp");
	raw = check_raw(pg_parse_query(source->sql));
	queries = pg_analyze_and_rewrite_fixedparams(raw, source->sql, source->param_types,
												 source->nparams, NULL);
	AtEOXact_GUC(false, level);
	if (list_length(queries) != 1)
		refuse("one that rules turn into several");
	query = linitial_node(Query, queries);
	if (query->commandType != CMD_SELECT)
		refuse(query->utilityStmt ? CreateCommandName(query->utilityStmt) : "one that rules turn into another");
	if (query->hasModifyingCTE)
		refuse("one that changes data in WITH");
	return query;
}

/*
 * plan_query
 *		The plan of the source's query.
 */
static PlannedStmt *
plan_query(const ExportSource *source)
{
	ErrorContextCallback callback = {
		.callback = query_context,
		.arg = source->sql,
		.previous = error_context_stack
	};
	bool		read_only = XactReadOnly;
	PlannedStmt *plan;

	error_context_stack = &callback;
	/* the planner runs functions that say they are immutable */
	XactReadOnly = true;
	plan = pg_plan_query(analyze(source), source->sql, 0, source->params);
	XactReadOnly = read_only;
	error_context_stack = callback.previous;
	if (!CommandIsReadOnly(plan))
		refuse("one that locks rows (FOR UPDATE or FOR SHARE)");
	return plan;
}

/*
 * crmio_result_check
 *		Raises the error that opening a result would raise for its query.
 */
void
crmio_result_check(const ExportSource *source)
{
	(void) plan_query(source);
}

/*
 * column_of_list
 *		Makes a column of the result from one of a list.
 */
static void
column_of_list(ExportResult *result, int i, const ListColumn *column)
{
	Form_pg_attribute att = TupleDescAttr(result->query->tupDesc, column->source);

	crmio_column_init(&result->columns[i], column->header, att->atttypid, att->atttypmod,
					  att->attcollation);
	if (column->scale >= 0)
		result->columns[i].scale = column->scale;
	result->attributes[i] = column->source;
	if (column->last_name >= 0)
	{
		if (result->last_names == NULL)
		{
			result->last_names = palloc(sizeof(int) * result->ncolumns);
			memset(result->last_names, -1, sizeof(int) * result->ncolumns);
		}
		result->last_names[i] = column->last_name;
	}
}

/*
 * make_columns
 *		The columns of what is exported.
 */
static void
make_columns(ExportResult *result)
{
	TupleDesc	desc = result->query->tupDesc;
	List	   *list = result->source->list;

	result->direct = list == NIL;
	result->ncolumns = list != NIL ? list_length(list) : desc->natts;
	if (result->ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query to export has no columns"),
				 errhint("Name at least one column after SELECT.")));
	result->columns = palloc(sizeof(ExportColumn) * result->ncolumns);
	result->attributes = palloc(sizeof(int) * result->ncolumns);
	for (int i = 0; i < result->ncolumns; i++)
	{
		Form_pg_attribute att;

		if (list != NIL)
		{
			column_of_list(result, i, list_nth(list, i));
			continue;
		}
		att = TupleDescAttr(desc, i);
		crmio_column_init(&result->columns[i], NameStr(att->attname), att->atttypid,
						  att->atttypmod, att->attcollation);
		result->attributes[i] = i;
	}
	result->values = palloc(sizeof(Datum) * result->ncolumns);
	result->nulls = palloc(sizeof(bool) * result->ncolumns);
}

/*
 * text_of
 *		A text without blanks around it; NULL if nothing is left.
 */
static char *
text_of(Datum value, bool isnull)
{
	char	   *part = isnull ? "" : crmio_trim(TextDatumGetCString(value));

	return *part != '\0' ? part : NULL;
}

/*
 * same
 *		Are two texts the same, or both missing?
 */
static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/*
 * full_name
 *		A name as an import splits it again into the same two parts: "Ann Lee", or where
 *		that would be read otherwise, "van der Berg, Jan".
 */
static char *
full_name(char *first, char *last)
{
	char	   *forms[2];

	if (first == NULL && last == NULL)
		return NULL;
	forms[0] = first == NULL ? last : last == NULL ? first : psprintf("%s %s", first, last);
	forms[1] = psprintf("%s,%s%s", last ? last : "", first ? " " : "", first ? first : "");
	for (int i = 0; i < lengthof(forms); i++)
	{
		char	   *read_first;
		char	   *read_last;

		crmio_split_name(forms[i], &read_first, &read_last);
		if (same(read_first, first) && same(read_last, last))
			return forms[i];
	}
	return forms[0];
}

/*
 * pick_columns
 *		The row of a list, made of the query's.
 */
static void
pick_columns(ExportResult *result, TupleTableSlot *slot)
{
	for (int i = 0; i < result->ncolumns; i++)
	{
		int			from = result->attributes[i];
		int			last = result->last_names ? result->last_names[i] : -1;

		result->values[i] = slot->tts_values[from];
		result->nulls[i] = slot->tts_isnull[from];
		if (last >= 0)
		{
			char	   *name = full_name(text_of(slot->tts_values[from], slot->tts_isnull[from]),
										 text_of(slot->tts_values[last], slot->tts_isnull[last]));

			result->nulls[i] = name == NULL;
			result->values[i] = name ? CStringGetTextDatum(name) : (Datum) 0;
		}
	}
}

/*
 * receive_row
 *		The executor has a row.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	ExportResult *result = (ExportResult *) self;
	MemoryContext old = MemoryContextSwitchTo(result->row_context);
	bool		more;

	slot_getallattrs(slot);
	if (result->direct)
		more = result->take(result->take_arg, slot->tts_values, slot->tts_isnull);
	else
	{
		pick_columns(result, slot);
		more = result->take(result->take_arg, result->values, result->nulls);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(result->row_context);
	result->nrows++;
	result->stopped = !more;
	return more;
}

/*
 * receive_startup, receive_nothing
 *		The executor begins and ends each of its runs; that is nothing to us.
 */
static void
receive_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

/*
 * Likewise, at the end.
 */
static void
receive_nothing(DestReceiver *self)
{
}

/*
 * crmio_result_open
 *		Starts the query of a source.  All of it lives in CurrentMemoryContext.
 */
ExportResult *
crmio_result_open(const ExportSource *source)
{
	ExportResult *result = palloc0(sizeof(ExportResult));
	PlannedStmt *plan = plan_query(source);
	bool		read_only = XactReadOnly;

	result->dest.receiveSlot = receive_row;
	result->dest.rStartup = receive_startup;
	result->dest.rShutdown = receive_nothing;
	result->dest.rDestroy = receive_nothing;
	result->dest.mydest = DestNone;
	result->source = source;
	result->row_context = AllocSetContextCreate(CurrentMemoryContext, "crmio export row",
												ALLOCSET_DEFAULT_SIZES);
	result->query = CreateQueryDesc(plan, source->sql, GetActiveSnapshot(), InvalidSnapshot,
									&result->dest, source->params, NULL, 0);
	XactReadOnly = true;
	ExecutorStart(result->query, 0);
	XactReadOnly = read_only;
	make_columns(result);
	return result;
}

/*
 * crmio_result_read
 *		Hands rows out until the taker has enough (true) or there are no more (false).
 *		An error ends at least the current subtransaction, which gives XactReadOnly its
 *		value back.
 */
bool
crmio_result_read(ExportResult *result, RowTaker take, void *arg)
{
	ErrorContextCallback callback = {
		.callback = row_context,
		.arg = result,
		.previous = error_context_stack
	};
	bool		read_only = XactReadOnly;

	result->take = take;
	result->take_arg = arg;
	result->stopped = false;
	error_context_stack = &callback;
	PushActiveSnapshot(result->query->snapshot);
	XactReadOnly = true;
	CRMIO_EXECUTOR_RUN(result->query, ForwardScanDirection, 0);
	XactReadOnly = read_only;
	PopActiveSnapshot();
	error_context_stack = callback.previous;
	return result->stopped;
}

/*
 * crmio_result_close
 *		Ends the query, at its end or before.
 */
void
crmio_result_close(ExportResult *result)
{
	ExecutorFinish(result->query);
	ExecutorEnd(result->query);
	FreeQueryDesc(result->query);
	result->query = NULL;
}

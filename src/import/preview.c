/*
 * preview.c
 *	  crm_preview: imports the first rows of a file one by one, shows what became of
 *	  each, and undoes it all.  What it shows is what an import would do, defaults and
 *	  triggers included, because it is one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "import/session.h"

PG_FUNCTION_INFO_V1(crm_preview);

/* Columns of the result. */
#define PREVIEW_COLUMNS 4

/* Where the rows go. */
typedef struct Preview
{
	ReturnSetInfo *result;
	Statement  *fetch;			/* the record with a key, as jsonb */
} Preview;

/*
 * readable_columns
 *		The columns of the table that the caller may read, as a query of their names and
 *		values.
 */
static char *
readable_columns(const ImportPlan *plan)
{
	bool		all = pg_class_aclcheck(plan->module->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	List	   *columns = NIL;

	for (int i = 0; i < plan->table_desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(plan->table_desc, i);

		if (att->attisdropped ||
			(!all && pg_attribute_aclcheck(plan->module->relid, att->attnum, GetUserId(),
										   ACL_SELECT) != ACLCHECK_OK))
			continue;
		columns = lappend(columns, psprintf("SELECT %s AS key, pg_catalog.to_jsonb(" TARGET_ALIAS ".%s) AS value",
											quote_literal_cstr(NameStr(att->attname)),
											quote_identifier(NameStr(att->attname))));
	}
	return crmio_join(columns, " UNION ALL ");
}

/*
 * fetch_statement
 *		Reads a record as it is stored, by its key.  (Columns come as rows, because a
 *		function takes at most 100 arguments.)
 */
static Statement *
fetch_statement(const ImportPlan *plan)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT (SELECT pg_catalog.jsonb_object_agg(key, value) FROM (%s) crmio_columns)"
					 " FROM %s " TARGET_ALIAS ", " BATCH_RELATION " WHERE ",
					 readable_columns(plan), plan->module->relation);
	crmio_append_key_condition(&sql, plan->module, plan->key, BATCH_RELATION);
	return crmio_statement_create(plan->context, sql.data, true);
}

/*
 * stored_record
 *		The record that a row made, changed or matched; NULL if there is none.
 */
static Jsonb *
stored_record(Import *import, const ImportRow *row, Preview *preview)
{
	const Datum *key = row->key ? row->key : row->match ? row->match->key : NULL;
	RowSet	   *rows;
	bool	   *nulls;
	Jsonb	   *record = NULL;

	if (key == NULL || row->action == ROW_ERROR)
		return NULL;
	rows = crmio_rowset_create(import->plan->key->desc);
	nulls = palloc0(sizeof(bool) * import->plan->key->ncolumns);
	crmio_rowset_add(rows, unconstify(Datum *, key), nulls);
	crmio_statement_run(preview->fetch, rows);
	if (SPI_processed == 1)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		if (!isnull)
			record = DatumGetJsonbPCopy(value);
	}
	crmio_rowset_free(rows);
	return record;
}

/*
 * row_values
 *		For an error row: its texts by field path.
 */
static Jsonb *
row_values(Import *import, const ImportRow *row)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, import->plan->inputs)
	{
		Input	   *input = lfirst(lc);
		char	   *text = crmio_row_text(import->plan, row, input);
		JsonbValue	value;

		value.type = jbvString;
		value.val.string.val = input->path->text;
		value.val.string.len = strlen(input->path->text);
		pushJsonbValue(&state, WJB_KEY, &value);
		if (text == NULL)
			value.type = jbvNull;
		else
		{
			value.val.string.val = text;
			value.val.string.len = strlen(text);
		}
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * row_messages
 *		Errors or warnings of a row as text[]; before them, those about the whole file
 *		that came up since the last row.
 */
static Datum
row_messages(Import *import, const ImportRow *row)
{
	List	   *messages = list_concat_copy(row->messages, row->decision);
	Datum	   *elements = palloc(sizeof(Datum) * (list_length(messages) +
												   list_length(import->file_warnings) + 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, import->file_warnings)
		elements[n++] = CStringGetTextDatum(psprintf("warning: %s", (char *) lfirst(lc)));
	import->file_warnings = NIL;

	foreach(lc, messages)
	{
		JobMessage *message = lfirst(lc);

		if (message->warning == (row->action == ROW_ERROR))
			continue;
		elements[n++] = CStringGetTextDatum(psprintf("%s%s%s%s",
													 message->warning ? "warning: " : "",
													 message->field ? message->field : "",
													 message->field ? ": " : "",
													 message->reason));
	}
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * show_row
 *		A row has found its end: adds it to the result.
 */
static void
show_row(Import *import, ImportRow *row)
{
	static const char *const actions[] = {
		[ROW_CREATE] = "create",
		[ROW_UPDATE] = "update",
		[ROW_UNCHANGED] = "unchanged",
		[ROW_SKIP] = "skip",
		[ROW_ERROR] = "error",
	};
	Preview    *preview = import->row_done_arg;
	Datum		values[PREVIEW_COLUMNS];
	bool		nulls[PREVIEW_COLUMNS] = {false};
	Jsonb	   *record = NULL;

	if (row->action != ROW_ERROR)
		record = stored_record(import, row, preview);
	else if (row->values != NULL)
		record = row_values(import, row);
	values[0] = Int64GetDatum(row->row_number);
	values[1] = CStringGetTextDatum(actions[row->action]);
	values[2] = record ? JsonbPGetDatum(record) : (Datum) 0;
	nulls[2] = record == NULL;
	values[3] = row_messages(import, row);
	tuplestore_putvalues(preview->result->setResult, preview->result->setDesc, values, nulls);
}

/*
 * preview_rows
 *		Imports the first rows, one by one.
 */
static void
preview_rows(FunctionCallInfo fcinfo, Preview *preview, int nrows)
{
	Session    *session = crmio_session_start(CurrentMemoryContext,
											  text_to_cstring(PG_GETARG_TEXT_PP(0)),
											  PG_GETARG_JSONB_P_COPY(1),
											  text_to_cstring(PG_GETARG_TEXT_PP(2)));

	crmio_set_job_id(session->import.job_id);
	preview->fetch = fetch_statement(session->import.plan);
	session->import.row_done = show_row;
	session->import.row_done_arg = preview;
	while (nrows-- > 0 && crmio_session_read(session, 1) > 0)
		crmio_batch_process(&session->import);
}

/*
 * crm_preview
 *		SELECT * FROM crm_preview(file, mapping, policy, rows)
 */
Datum
crm_preview(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"file", "mapping", "policy", "rows"};
	Preview		preview = {0};
	CrmioSubxact subxact;
	int			level;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	if (PG_GETARG_INT32(3) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of rows to preview must not be negative")));
	InitMaterializedSRF(fcinfo, 0);
	preview.result = (ReturnSetInfo *) fcinfo->resultinfo;
	level = NewGUCNestLevel();
	crmio_subxact_begin(&subxact);
	PG_TRY();
	{
		preview_rows(fcinfo, &preview, PG_GETARG_INT32(3));
		crmio_subxact_end(&subxact, false);
	}
	PG_CATCH();
	{
		ReThrowError(crmio_subxact_failed(&subxact, subxact.context));
	}
	PG_END_TRY();
	AtEOXact_GUC(true, level);
	return (Datum) 0;
}

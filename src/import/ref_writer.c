/*
 * ref_writer.c
 *	  Creates the records that rows refer to and that do not exist yet.
 *
 * Such a record has the values by which it was looked for; its display field, if
 * it must have a value and is a mere name, takes one of them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "import/import.h"

/* A column of the new records. */
typedef struct RefColumn
{
	AttrNumber	attnum;
	int			position;		/* which lookup gives the value, -1: none */
	bool		display;		/* never empty: takes the value of another lookup */
	Datum		constant;		/* with position -1, unless display */
	ExprState  *default_expr;	/* for want of a value; NULL: none */
} RefColumn;

typedef struct RefWriter
{
	EState	   *estate;
	RefColumn  *columns;
	int			ncolumns;
	TupleDesc	desc;
	Statement  *insert;
	RecordKey  *key;
	Oid			stored_typid;	/* of the column that a reference stores */
	int16		stored_len;
	bool		stored_byval;
	bool		display_is_new; /* the display column is none of the lookups */
	int			display_position;	/* the lookup by the display field, -1: none */
} RefWriter;

/*
 * add_column
 *		A column that the INSERT sets.
 */
static RefColumn *
add_column(RefWriter *writer, Reference *reference, AttrNumber attnum, int position)
{
	RefColumn  *column = &writer->columns[writer->ncolumns++];
	Expr	   *expr = NULL;

	if (reference->rel->rd_rel->relkind != RELKIND_VIEW)
		expr = (Expr *) build_column_default(reference->rel, attnum);
	column->attnum = attnum;
	column->position = position;
	column->default_expr = expr ? ExecPrepareExpr(expr, writer->estate) : NULL;
	return column;
}

/*
 * find_column
 *		A column already set, by its number.
 */
static RefColumn *
find_column(const RefWriter *writer, AttrNumber attnum)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		if (writer->columns[i].attnum == attnum)
			return &writer->columns[i];
	}
	return NULL;
}

/*
 * is_match_field
 *		Do records of the module match by this field?
 */
static bool
is_match_field(const Module *module, const Field *field)
{
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, module->match)
	{
		foreach(name, (List *) lfirst(lc))
		{
			if (strcmp(lfirst(name), field->name) == 0)
				return true;
		}
	}
	return false;
}

/*
 * choose_columns
 *		The lookup values, the display field if it must not be empty, and the stage that
 *		the module gives its new records.
 */
static void
choose_columns(RefWriter *writer, Reference *reference)
{
	const Module *module = reference->module;
	Field	   *display = module->display ? crmio_module_field(module, module->display) : NULL;
	int			position = 0;
	ListCell   *lc;

	writer->display_position = -1;
	foreach(lc, reference->lookups)
	{
		RefLookup  *ref_lookup = lfirst(lc);

		if (!ref_lookup->by_key)
			(void) add_column(writer, reference, ref_lookup->lookup->fields[0].attnum, position);
		if (display != NULL && ref_lookup->input->path->lookup_field == display)
			writer->display_position = position;
		position++;
	}
	if (display != NULL && display->kind == KIND_TEXT && display->storage == STORAGE_SCALAR &&
		display->not_null && !display->has_default && !is_match_field(module, display))
	{
		RefColumn  *column = find_column(writer, display->attnum);

		if (column == NULL)
			column = add_column(writer, reference, display->attnum, -1);
		column->display = true;
	}
	if (module->lifecycle_rule != LIFECYCLE_NONE && module->new_stage != NULL &&
		find_column(writer, module->lifecycle_attnum) == NULL)
	{
		RefColumn  *column = add_column(writer, reference, module->lifecycle_attnum, -1);
		Oid			function;
		Oid			param;

		getTypeInputInfo(get_atttype(module->relid, module->lifecycle_attnum), &function, &param);
		column->constant = OidInputFunctionCall(function, module->new_stage, param, -1);
	}
}

/*
 * crmio_ref_writer_create
 *		Prepares a reference whose records may be created, and checks the caller's right
 *		to do so.
 */
void
crmio_ref_writer_create(ImportPlan *plan, Reference *reference)
{
	RefWriter  *writer = palloc0(sizeof(RefWriter));
	TupleDesc	table = RelationGetDescr(reference->rel);
	StringInfoData sql;
	StringInfoData values;
	RowSet	   *empty;

	reference->writer = writer;
	writer->estate = plan->estate;
	writer->key = crmio_record_key_create(plan->context, reference->module, reference->rel);
	writer->columns = palloc0(sizeof(RefColumn) * (list_length(reference->lookups) + 2));
	choose_columns(writer, reference);
	if (writer->ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("records of module \"%s\" can't be created by their key alone",
						reference->module->name),
				 errhint("Map a column to \"%s.%s\" too, or leave \"%s\" out of \"auto_create\".",
						 reference->field->name,
						 reference->module->display ? reference->module->display : "name",
						 reference->field->name)));

	initStringInfo(&sql);
	initStringInfo(&values);
	writer->desc = CreateTemplateTupleDesc(writer->ncolumns);
	appendStringInfo(&sql, "INSERT INTO %s (", reference->module->relation);
	for (int i = 0; i < writer->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(table, writer->columns[i].attnum - 1);

		TupleDescInitEntry(writer->desc, i + 1, psprintf("v%d", i + 1), att->atttypid,
						   att->atttypmod, 0);
		TupleDescInitEntryCollation(writer->desc, i + 1, att->attcollation);
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_identifier(NameStr(att->attname)));
		appendStringInfo(&values, "%sv%d", i > 0 ? ", " : "", i + 1);
	}
	appendStringInfo(&sql, ") SELECT %s FROM " BATCH_RELATION " RETURNING %s", values.data,
					 quote_identifier(reference->field->ref_column));
	for (int i = 0; i < writer->key->ncolumns; i++)
		appendStringInfo(&sql, ", %s",
						 quote_identifier(NameStr(TupleDescAttr(table, writer->key->attnums[i] - 1)->attname)));
	writer->insert = crmio_statement_create(plan->context, sql.data, false);

	writer->stored_typid = get_atttype(reference->module->relid,
									   get_attnum(reference->module->relid,
												  reference->field->ref_column));
	get_typlenbyval(writer->stored_typid, &writer->stored_len, &writer->stored_byval);

	empty = crmio_rowset_create(writer->desc);
	crmio_statement_check_rights(writer->insert, empty);
	crmio_rowset_free(empty);
}

/*
 * first_text
 *		The first value that a new record has, as text.
 */
static char *
first_text(const NewReference *new)
{
	int			position = 0;
	ListCell   *lc;

	foreach(lc, new->reference->lookups)
	{
		RefLookup  *ref_lookup = lfirst(lc);

		if (new->present[position])
		{
			Oid			output;
			bool		varlena;

			getTypeOutputInfo(ref_lookup->input->reader.typid, &output, &varlena);
			return OidOutputFunctionCall(output, new->values[position]);
		}
		position++;
	}
	return "";
}

/*
 * crmio_ref_writer_complete
 *		Gives a new record that lacks its display field (an account known by its domain
 *		only) a value for it, by which later rows find it too.
 */
void
crmio_ref_writer_complete(NewReference *new)
{
	Reference  *reference = new->reference;
	RefWriter  *writer = reference->writer;
	int			position = writer->display_position;
	RefLookup  *ref_lookup;
	RefColumn  *column;

	if (position < 0 || new->present[position])
		return;
	ref_lookup = list_nth(reference->lookups, position);
	column = find_column(writer, ref_lookup->lookup->fields[0].attnum);
	if (column == NULL || !column->display)
		return;
	new->values[position] = CStringGetTextDatum(first_text(new));
	new->present[position] = crmio_lookup_key(&ref_lookup->lookup->fields[0], TEXTOID,
											  new->values[position], &new->keys[position]);
}

/*
 * crmio_ref_writer_rows
 *		Room for the rows of the INSERT.
 */
RowSet *
crmio_ref_writer_rows(Reference *reference)
{
	return crmio_rowset_create(reference->writer->desc);
}

/*
 * fill_row
 *		The values of a new record.
 */
static void
fill_row(RefWriter *writer, const NewReference *new, Datum *values, bool *nulls)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		RefColumn  *column = &writer->columns[i];

		nulls[i] = false;
		if (column->position >= 0 && new->present[column->position])
			values[i] = new->values[column->position];
		else if (column->display)
			values[i] = CStringGetTextDatum(first_text(new));
		else if (column->position < 0)
			values[i] = column->constant;
		else if (column->default_expr != NULL)
			values[i] = ExecEvalExpr(column->default_expr, GetPerTupleExprContext(writer->estate),
									 &nulls[i]);
		else
			nulls[i] = true;
	}
}

/*
 * crmio_ref_writer_write
 *		Creates the records that the rows from ... to need first; row_of tells for which
 *		row each is.
 */
void
crmio_ref_writer_write(Import *import, Reference *reference, int from, int to,
					   RowSet *rows, int *row_of)
{
	RefWriter  *writer = reference->writer;
	List	   *used = NIL;
	Datum	   *values = palloc(sizeof(Datum) * writer->ncolumns);
	bool	   *nulls = palloc(sizeof(bool) * writer->ncolumns);
	int			i = 0;
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, import->run->created[reference->index])
	{
		NewReference *new = lfirst(lc);

		if (new->written || new->row < from || new->row >= to)
			continue;
		fill_row(writer, new, values, nulls);
		crmio_rowset_add(rows, values, nulls);
		row_of[list_length(used)] = new->row;
		used = lappend(used, new);
	}
	if (used == NIL)
		return;

	crmio_statement_run(writer->insert, rows);
	if (SPI_processed != list_length(used))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger or rule of table %s did not insert the record",
						reference->module->relation)));
	old = MemoryContextSwitchTo(import->attempt_context);
	foreach(lc, used)
	{
		NewReference *new = lfirst(lc);
		Datum	   *result = palloc(sizeof(Datum) * (1 + writer->key->ncolumns));
		bool	   *isnull = palloc(sizeof(bool) * (1 + writer->key->ncolumns));
		Datum		stored;

		heap_deform_tuple(SPI_tuptable->vals[i++], SPI_tuptable->tupdesc, result, isnull);
		for (int k = 0; k <= writer->key->ncolumns; k++)
		{
			if (isnull[k])
				ereport(ERROR,
						(errcode(ERRCODE_NOT_NULL_VIOLATION),
						 errmsg("the new record of module \"%s\" has no key to refer to",
								reference->module->name)));
		}
		stored = datumCopy(result[0], writer->stored_byval, writer->stored_len);
		new->stored = crmio_reference_value(reference, stored);
		new->key = crmio_record_key_copy(writer->key, result + 1);
	}
	MemoryContextSwitchTo(old);
	SPI_freetuptable(SPI_tuptable);
}

/*
 * crmio_ref_writer_written
 *		The records are there to stay: history and lookups learn of them.
 */
void
crmio_ref_writer_written(Import *import, Reference *reference, int from, int to)
{
	List	   *created = import->run->created[reference->index];
	Datum	  **keys = palloc(sizeof(Datum *) * (list_length(created) + 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, created)
	{
		NewReference *new = lfirst(lc);

		if (new->written || new->row < from || new->row >= to)
			continue;
		new->written = true;
		keys[n++] = new->key;
		crmio_joblog_created(import->log, reference->module->name, reference->writer->key, new->key);
	}
	crmio_lookups_added(import->plan, reference->module->relid, n, keys);
}

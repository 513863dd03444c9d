/*
 * writer.c
 *	  Writes the decided rows of a run: records for references, new records, changed
 *	  records, by one statement each; new records of a plain table go into it without
 *	  one (table_insert.c).
 *
 * batch.c calls the parts in order: begin, write (in a subtransaction), and then
 * written, or suspect if a statement failed.  The rows of the statements are kept
 * outside of the subtransaction, so they are there when it is undone.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "import/import.h"
#include "import/table_insert.h"

/* How many UPDATE statements, each of its own columns, stay planned. */
#define MAX_UPDATE_PLANS 32

/* After how many new records an UPDATE is planned again, beside a doubling. */
#define REPLAN_RECORDS 1000

/* An UPDATE of some of the columns, kept for the next run that changes the same. */
typedef struct UpdateStatement
{
	bool	   *columns;		/* per target */
	Statement  *statement;
	TupleDesc	desc;
	int64		planned_at;		/* how many records the import had created then */
} UpdateStatement;

/* The rows of a statement, and which rows of the batch they are. */
typedef struct Step
{
	int		   *row_of;			/* NULL: nothing to do */
	int			nrows;
	RowSet	   *rows;			/* NULL: they go into the table without a statement */
} Step;

typedef struct Writer
{
	Statement  *insert;
	TupleDesc	insert_desc;
	TableInsert *table;			/* NULL: all records go in by the statement */
	List	   *updates;		/* of UpdateStatement * */
	bool		key_is_indexed;	/* an index serves the key of the records */
	/* of the rows at hand */
	int			from;
	int			to;				/* excluded */
	Step	   *references;
	Step		creation;
	Step		change;
	UpdateStatement *update;
	Step	   *current;		/* the one whose statement runs */
	bool		in_index_order;
	FullTransactionId xid;		/* in which they are written */
} Writer;

/*
 * add_targets
 *		Adds the columns of some targets to a descriptor, from the given position on.
 */
static void
add_targets(ImportPlan *plan, TupleDesc desc, int position, const bool *columns)
{
	for (int i = 0; i < plan->ntargets; i++)
	{
		Target	   *target = &plan->targets[i];
		Oid			typid = target->typid;
		int32		typmod = target->typmod;

		if (columns != NULL && !columns[i])
			continue;
		/* values that were not read as this type are checked by the server */
		if (target->reference != NULL || target->storage != STORAGE_SCALAR)
		{
			typid = getBaseType(typid);
			typmod = -1;
		}
		TupleDescInitEntry(desc, position, psprintf("v%d", i + 1), typid, typmod, 0);
		TupleDescInitEntryCollation(desc, position, target->collation);
		position++;
	}
}

/*
 * create_insert
 *		The INSERT of new records: their keys, if given out ahead, then the targets.
 */
static void
create_insert(ImportPlan *plan, Writer *writer)
{
	int			nkeys = plan->key_defaults ? plan->key->ncolumns : 0;
	StringInfoData columns;
	StringInfoData values;
	StringInfoData keys;

	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&keys);
	writer->insert_desc = CreateTemplateTupleDesc(nkeys + plan->ntargets);
	for (int i = 0; i < plan->key->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(plan->key->desc, i);
		const char *name = quote_identifier(get_attname(plan->module->relid,
														plan->key->attnums[i], false));

		appendStringInfo(&keys, "%s%s", i > 0 ? ", " : "", name);
		if (nkeys == 0)
			continue;
		appendStringInfo(&columns, "%s, ", name);
		appendStringInfo(&values, "r%d, ", i + 1);
		TupleDescInitEntry(writer->insert_desc, i + 1, psprintf("r%d", i + 1), att->atttypid, -1, 0);
		TupleDescInitEntryCollation(writer->insert_desc, i + 1, att->attcollation);
	}
	for (int i = 0; i < plan->ntargets; i++)
	{
		appendStringInfo(&columns, "%s%s", i > 0 ? ", " : "", quote_identifier(plan->targets[i].column));
		appendStringInfo(&values, "%sv%d", i > 0 ? ", " : "", i + 1);
	}
	add_targets(plan, writer->insert_desc, nkeys + 1, NULL);
	writer->insert =
		crmio_statement_create(plan->context,
							   psprintf("INSERT INTO %s (%s)%s SELECT %s FROM " BATCH_RELATION "%s%s",
										plan->module->relation, columns.data,
										nkeys > 0 ? " OVERRIDING SYSTEM VALUE" : "", values.data,
										plan->keys_are_kept ? "" : " RETURNING ",
										plan->keys_are_kept ? "" : keys.data), false);
}

/*
 * find_update
 *		The UPDATE of these columns, made at its first use.
 */
static UpdateStatement *
find_update(ImportPlan *plan, Writer *writer, const bool *columns)
{
	MemoryContext old;
	UpdateStatement *update;
	StringInfoData sql;
	int			ncolumns = 0;
	ListCell   *lc;

	foreach(lc, writer->updates)
	{
		update = lfirst(lc);
		if (memcmp(update->columns, columns, sizeof(bool) * plan->ntargets) == 0)
			return update;
	}
	/* what was made longest ago is planned again when it is needed */
	if (list_length(writer->updates) >= MAX_UPDATE_PLANS)
		crmio_statement_forget_plan(((UpdateStatement *) list_nth(writer->updates,
																  list_length(writer->updates) - MAX_UPDATE_PLANS))->statement);

	old = MemoryContextSwitchTo(plan->context);
	update = palloc0(sizeof(UpdateStatement));
	update->columns = palloc(sizeof(bool) * plan->ntargets);
	memcpy(update->columns, columns, sizeof(bool) * plan->ntargets);
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS " TARGET_ALIAS " SET ", plan->module->relation);
	for (int i = 0; i < plan->ntargets; i++)
	{
		if (columns[i])
			appendStringInfo(&sql, "%s%s = " BATCH_RELATION ".v%d", ncolumns++ > 0 ? ", " : "",
							 quote_identifier(plan->targets[i].column), i + 1);
	}
	appendStringInfoString(&sql, " FROM " BATCH_RELATION " WHERE ");
	crmio_append_key_condition(&sql, plan->module, plan->key, BATCH_RELATION);
	update->desc = CreateTemplateTupleDesc(plan->key->ncolumns + ncolumns);
	for (int i = 0; i < plan->key->ncolumns; i++)
		TupleDescCopyEntry(update->desc, i + 1, plan->key->desc, i + 1);
	add_targets(plan, update->desc, plan->key->ncolumns + 1, columns);
	update->statement = crmio_statement_create(plan->context, sql.data, writer->key_is_indexed);
	writer->updates = lappend(writer->updates, update);
	MemoryContextSwitchTo(old);
	return update;
}

/*
 * check_rights
 *		Raises the errors that writing would raise for want of privileges.
 */
static void
check_rights(ImportPlan *plan, Writer *writer)
{
	RowSet	   *empty = crmio_rowset_create(writer->insert_desc);
	bool	   *columns;
	bool		any = false;

	crmio_statement_check_rights(writer->insert, empty);
	crmio_rowset_free(empty);
	if (plan->mapping->policy != POLICY_UPDATE)
		return;

	/* match fields change in their spelling at most: a role may lack that right */
	columns = palloc0(sizeof(bool) * plan->ntargets);
	for (int i = 0; i < plan->ntargets; i++)
		any |= columns[i] = !plan->targets[i].kept_if_empty;
	if (any)
	{
		UpdateStatement *update = find_update(plan, writer, columns);

		empty = crmio_rowset_create(update->desc);
		crmio_statement_check_rights(update->statement, empty);
		crmio_rowset_free(empty);
	}
}

/*
 * crmio_writer_create
 *		The writer of an import, in the plan's context.  The caller holds an SPI
 *		connection.
 */
Writer *
crmio_writer_create(ImportPlan *plan)
{
	MemoryContext old = MemoryContextSwitchTo(plan->context);
	Writer	   *writer = palloc0(sizeof(Writer));

	writer->references = palloc0(sizeof(Step) * (list_length(plan->references) + 1));
	create_insert(plan, writer);
	writer->table = crmio_table_insert_create(plan);
	writer->key_is_indexed = crmio_key_is_indexed(plan->module, plan->key);
	check_rights(plan, writer);
	MemoryContextSwitchTo(old);
	return writer;
}

/*
 * begin_step
 *		Room for the rows of a statement.
 */
static void
begin_step(Step *step, RowSet *rows, int nrows)
{
	step->row_of = palloc(sizeof(int) * nrows);
	step->nrows = nrows;
	step->rows = rows;
}

/*
 * crmio_writer_begin
 *		Prepares the writing of some rows of the current run; false if there is nothing
 *		to write.
 */
bool
crmio_writer_begin(Import *import, int from, int to)
{
	ImportPlan *plan = import->plan;
	Writer	   *writer = import->writer;
	Run		   *run = import->run;
	int			creations = 0;
	int			changes = 0;
	bool	   *columns = palloc0(sizeof(bool) * plan->ntargets);
	ListCell   *lc;

	writer->from = from;
	writer->to = to;
	writer->current = NULL;
	memset(&writer->creation, 0, sizeof(Step));
	memset(&writer->change, 0, sizeof(Step));
	for (int i = from; i < to; i++)
	{
		const ImportRow *row = &import->rows[i];

		if (row->action == ROW_CREATE)
			creations++;
		else if (row->action == ROW_UPDATE)
		{
			changes++;
			for (int t = 0; t < plan->ntargets; t++)
				columns[t] |= row->changed[t];
		}
	}
	foreach(lc, plan->references)
	{
		Reference  *reference = lfirst(lc);
		List	   *created = run->created[reference->index];

		memset(&writer->references[reference->index], 0, sizeof(Step));
		if (created != NIL)
			begin_step(&writer->references[reference->index], crmio_ref_writer_rows(reference),
					   list_length(created));
	}
	if (creations > 0)
		begin_step(&writer->creation,
				   writer->table && crmio_table_insert_serves(writer->table) ? NULL :
				   crmio_rowset_create(writer->insert_desc), creations);
	if (changes > 0)
	{
		writer->update = find_update(plan, writer, columns);
		begin_step(&writer->change, crmio_rowset_create(writer->update->desc), changes);
	}
	return creations > 0 || changes > 0;
}

/*
 * new_value
 *		The value of a target in a row that is written.
 */
static Datum
new_value(const ImportRow *row, int target, bool *isnull)
{
	if (row->new_refs != NULL && row->new_refs[target] != NULL)
	{
		*isnull = false;
		return row->new_refs[target]->stored;
	}
	*isnull = row->new_nulls[target];
	return row->new_values[target];
}

/*
 * crmio_row_give_key
 *		Gives a new record its key, once per row.
 */
void
crmio_row_give_key(Import *import, ImportRow *row)
{
	ImportPlan *plan = import->plan;
	MemoryContext old;
	Datum	   *key;

	if (plan->key_defaults == NULL || row->key_ahead != NULL)
		return;
	old = MemoryContextSwitchTo(import->batch_context);
	key = palloc(sizeof(Datum) * plan->key->ncolumns);
	for (int k = 0; k < plan->key->ncolumns; k++)
	{
		bool		isnull;

		key[k] = ExecEvalExpr(plan->key_defaults[k], GetPerTupleExprContext(plan->estate), &isnull);
		if (isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("the default of the key of table %s is null", plan->module->relation)));
	}
	row->key_ahead = key;
	MemoryContextSwitchTo(old);
}

/*
 * take_keys
 *		The keys of the new records, as the INSERT returned them.  A view's trigger may
 *		insert a record and not say its key.
 */
static void
take_keys(Import *import, const Step *step)
{
	const RecordKey *key = import->plan->key;
	Datum	   *values = palloc(sizeof(Datum) * key->ncolumns);
	bool	   *nulls = palloc(sizeof(bool) * key->ncolumns);

	for (int i = 0; i < step->nrows; i++)
	{
		bool		known = true;

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		for (int k = 0; k < key->ncolumns; k++)
			known &= !nulls[k];
		import->rows[step->row_of[i]].key = known ? crmio_record_key_copy(key, values) : NULL;
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * run_insert
 *		The statement that inserts the new records.
 */
static void
run_insert(Import *import)
{
	ImportPlan *plan = import->plan;
	Writer	   *writer = import->writer;
	Step	   *step = &writer->creation;

	crmio_statement_run(writer->insert, step->rows);
	if (SPI_processed != step->nrows)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger or rule of table %s did not insert the record",
						plan->module->relation)));
	if (!plan->keys_are_kept)
		take_keys(import, step);
}

/*
 * insert_rows
 *		The new records, in the order of the index or of the file.
 */
static void
insert_rows(Import *import, bool in_index_order)
{
	ImportPlan *plan = import->plan;
	Writer	   *writer = import->writer;
	Run		   *run = import->run;
	Step	   *step = &writer->creation;
	int			nkeys = plan->key_defaults ? plan->key->ncolumns : 0;
	int			nrows = 0;
	bool		sorted = in_index_order && run->order != NULL;
	int			first = sorted ? 0 : writer->from - run->from;
	int			last = (sorted ? run->looked_up_to : writer->to) - run->from;
	Datum	   *values = palloc(sizeof(Datum) * (nkeys + plan->ntargets));
	bool	   *nulls = palloc0(sizeof(bool) * (nkeys + plan->ntargets));

	if (step->rows == NULL)
		crmio_table_insert_begin(writer->table);
	for (int i = first; i < last; i++)
	{
		int			index = run->from + (sorted ? run->order[i] : i);
		ImportRow  *row = &import->rows[index];

		if (index < writer->from || index >= writer->to || row->action != ROW_CREATE)
			continue;
		crmio_row_give_key(import, row);
		row->key = row->key_ahead;
		for (int k = 0; k < nkeys; k++)
			values[k] = row->key_ahead[k];
		for (int t = 0; t < plan->ntargets; t++)
		{
			values[nkeys + t] = new_value(row, t, &nulls[nkeys + t]);
		}
		step->row_of[nrows++] = index;
		if (step->rows == NULL)
			crmio_table_insert_row(writer->table, values, nulls);
		else
			crmio_rowset_add(step->rows, values, nulls);
	}
	if (step->rows == NULL)
		crmio_table_insert_end(writer->table);
	else
		run_insert(import);
}

/*
 * update_rows
 *		The changed records, in the order of the file.
 */
static void
update_rows(Import *import)
{
	ImportPlan *plan = import->plan;
	Writer	   *writer = import->writer;
	Step	   *step = &writer->change;
	UpdateStatement *update = writer->update;
	int			nkeys = plan->key->ncolumns;
	int			nrows = 0;
	Datum	   *values = palloc(sizeof(Datum) * (nkeys + plan->ntargets));
	bool	   *nulls = palloc0(sizeof(bool) * (nkeys + plan->ntargets));

	for (int i = writer->from; i < writer->to; i++)
	{
		ImportRow  *row = &import->rows[i];
		int			n = nkeys;

		if (row->action != ROW_UPDATE)
			continue;
		row->key = row->match->key;
		memcpy(values, row->key, sizeof(Datum) * nkeys);
		for (int t = 0; t < plan->ntargets; t++)
		{
			if (!update->columns[t])
				continue;
			values[n] = new_value(row, t, &nulls[n]);
			n++;
		}
		crmio_rowset_add(step->rows, values, nulls);
		step->row_of[nrows++] = i;
	}
	/* a plan made for a small table is not one for a large table */
	if (import->counts.created > 2 * update->planned_at + REPLAN_RECORDS)
	{
		crmio_statement_forget_plan(update->statement);
		update->planned_at = import->counts.created;
	}
	crmio_statement_run(update->statement, step->rows);
	if (SPI_processed != nrows)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger or rule of table %s did not update the record",
						plan->module->relation)));
}

/*
 * crmio_writer_write
 *		Writes the rows.  New records go first: where the order matters (a unique
 *		value that an update frees or takes), either order fails, and batch.c then
 *		writes the rows in smaller parts, down to one at a time.
 */
void
crmio_writer_write(Import *import, bool in_index_order)
{
	Writer	   *writer = import->writer;
	ListCell   *lc;

	writer->in_index_order = in_index_order && import->run->order != NULL;
	foreach(lc, import->plan->references)
	{
		Reference  *reference = lfirst(lc);
		Step	   *step = &writer->references[reference->index];

		if (step->row_of == NULL)
			continue;
		writer->current = step;
		crmio_ref_writer_write(import, reference, writer->from, writer->to,
							   step->rows, step->row_of);
	}
	if (writer->creation.row_of != NULL)
	{
		writer->current = &writer->creation;
		insert_rows(import, in_index_order);
	}
	if (writer->change.row_of != NULL)
	{
		writer->current = &writer->change;
		update_rows(import);
	}
	writer->current = NULL;
	writer->xid = GetCurrentFullTransactionId();
}

/*
 * crmio_writer_suspect
 *		The row at which the statement failed, or -1 if that can't be told: an error at
 *		the end of a statement is about any of its rows.
 */
int
crmio_writer_suspect(const Import *import)
{
	const Step *step = import->writer->current;
	int64		taken;

	if (step == NULL || import->writer->in_index_order)
		return -1;
	taken = step->rows ? crmio_rowset_rows_taken(step->rows) :
		crmio_table_insert_rows_taken(import->writer->table);
	if (taken == 0 || taken == step->nrows)
		return -1;
	return step->row_of[taken - 1];
}

/*
 * end_step
 *		Frees the rows of a statement.
 */
static void
end_step(Step *step)
{
	if (step->rows != NULL)
		crmio_rowset_free(step->rows);
	step->rows = NULL;
}

/*
 * crmio_writer_end
 *		Frees all rows: they may be in files, which do not go with a memory context.
 */
void
crmio_writer_end(Import *import)
{
	Writer	   *writer = import->writer;

	for (int i = 0; i < list_length(import->plan->references); i++)
		end_step(&writer->references[i]);
	end_step(&writer->creation);
	end_step(&writer->change);
}

/*
 * crmio_writer_failed_in_row
 *		Did the statement fail that writes the rows themselves, not records that they
 *		refer to?
 */
bool
crmio_writer_failed_in_row(const Import *import)
{
	const Step *step = import->writer->current;

	return step == &import->writer->creation || step == &import->writer->change;
}

/*
 * changed_values
 *		The changed columns of a row as an object: their old values, or the new ones.
 */
static Jsonb *
changed_values(ImportPlan *plan, const ImportRow *row, bool old)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int t = 0; t < plan->ntargets; t++)
	{
		Target	   *target = &plan->targets[t];
		JsonbValue	value;
		Datum		stored = row->match->values[t];
		bool		isnull = row->match->nulls[t];

		if (!row->changed[t])
			continue;
		if (!old)
			stored = new_value(row, t, &isnull);
		value.type = jbvString;
		value.val.string.val = target->column;
		value.val.string.len = strlen(target->column);
		pushJsonbValue(&state, WJB_KEY, &value);
		if (isnull)
			value.type = jbvNull;
		else
		{
			value.val.string.val = OutputFunctionCall(&target->output, stored);
			value.val.string.len = strlen(value.val.string.val);
		}
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * key_after
 *		The key of a changed record; an import may change even that.
 */
static Datum *
key_after(ImportPlan *plan, const ImportRow *row)
{
	Datum	   *key = crmio_record_key_copy(plan->key, row->key);

	for (int t = 0; row->action == ROW_UPDATE && t < plan->ntargets; t++)
	{
		for (int k = 0; k < plan->key->ncolumns; k++)
		{
			bool		isnull;

			if (row->changed[t] && plan->targets[t].attnum == plan->key->attnums[k] &&
				!row->new_nulls[t])
				key[k] = new_value(row, t, &isnull);
		}
	}
	return key;
}

/*
 * crmio_writer_written
 *		The rows are there to stay: history and lookups learn of them.
 */
void
crmio_writer_written(Import *import)
{
	ImportPlan *plan = import->plan;
	Writer	   *writer = import->writer;
	Datum	  **keys = palloc(sizeof(Datum *) * (writer->to - writer->from));
	int			n = 0;
	int			level = crmio_portable_output();
	ListCell   *lc;

	foreach(lc, plan->references)
	{
		Reference  *reference = lfirst(lc);

		if (writer->references[reference->index].row_of != NULL)
			crmio_ref_writer_written(import, reference, writer->from, writer->to);
	}
	for (int i = writer->from; i < writer->to; i++)
	{
		ImportRow  *row = &import->rows[i];

		if ((row->action != ROW_CREATE && row->action != ROW_UPDATE) || row->key == NULL)
			continue;
		if (row->action == ROW_UPDATE)
			row->key = key_after(plan, row);
		keys[n++] = row->key;
		if (row->action == ROW_CREATE)
			crmio_joblog_created(import->log, plan->module->name, plan->key, row->key);
		else
			crmio_joblog_changed(import->log, import->batch, plan->module->name,
								 crmio_record_key_text(plan->key, row->key), row->match->xmin,
								 changed_values(plan, row, true), changed_values(plan, row, false));
	}
	crmio_joblog_wrote(import->log, writer->xid);
	crmio_lookups_added(plan, plan->module->relid, n, keys);
	AtEOXact_GUC(true, level);
}

/*
 * undo_changes.c
 *	  Gives the records that a job changed their old values back, in one table.
 *
 *	  changes from the history, the latest of a record first -> one change per record,
 *	  from its newest values to its oldest -> compared with what the record has now
 *	  -> UPDATE
 *
 * Column by column: one that somebody has changed since the job keeps what it has.
 * Values are kept in the history as text, so they are compared as text, written
 * under the same settings.  Where a trigger stores other values than it is given,
 * the record's xmin tells that it is as the job left it.
 *
 * Records that the job also created are none of this file's: they are deleted.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "history/rollback.h"

/* How many changes are fetched from the history at a time. */
#define FETCH_ROWS 1000

/* How many records that could not be changed are tried again after the deletion. */
#define MAX_LATER 1000

/* A column that the job changed in some record. */
typedef struct UndoColumn
{
	char	   *name;
	AttrNumber	attnum;			/* InvalidAttrNumber: there is no such column any more */
	Oid			typid;			/* base type */
	Oid			collation;
	FmgrInfo	output;
	FmgrInfo	input;
	Oid			input_param;
} UndoColumn;

typedef enum Outcome
{
	UNDO_GONE,					/* there is no such record any more */
	UNDO_KEPT,					/* somebody has changed all of it */
	UNDO_RESTORED
} Outcome;

/* What the job did to a record. */
typedef struct ChangedRecord
{
	char	   *key;
	bool	   *touched;		/* per column */
	char	  **old_texts;		/* per column; NULL: null */
	char	  **new_texts;
	Datum		old_xid;		/* xid8: who wrote the record before the job */
	bool		has_old_xid;
	TransactionId given_back;	/* the rollback of a later job wrote it as the job had;
								 * InvalidTransactionId: none did */
	bool		as_before;		/* all of it has its old value again, and nobody was there
								 * in between */
	Outcome		outcome;
} ChangedRecord;

typedef struct Changes
{
	Rollback   *rollback;
	UndoTarget *target;
	UndoColumn *columns;
	int			ncolumns;
	Statement  *find;
	TupleDesc	find_desc;		/* n, then the key */
	MemoryContext context;		/* of the records at hand */
	MemoryContext attempt_context;
	ChangedRecord *records;
	int			nrecords;
	int			room;
	Statement  *keep_restored;
	TupleDesc	restored_desc;
	/* what crmio_undo_try is to do */
	int			from;
	int			to;				/* excluded */
	FullTransactionId xid;		/* in which it was done */
} Changes;

/*
 * load_columns
 *		The columns that the job changed; false if it changed nothing in this table.
 */
static bool
load_columns(Changes *changes)
{
	Oid			relid = changes->target->module->relid;

	crmio_undo_query(changes->rollback, changes->target,
					 "SELECT DISTINCT k FROM " CRMIO_SCHEMA ".job_change"
					 " CROSS JOIN LATERAL jsonb_object_keys(old_values) k"
					 " WHERE job_id = $1 AND module = ANY ($2) ORDER BY k", NULL);
	changes->ncolumns = SPI_processed;
	changes->columns = palloc0(sizeof(UndoColumn) * (SPI_processed + 1));
	for (int i = 0; i < changes->ncolumns; i++)
	{
		UndoColumn *column = &changes->columns[i];
		Oid			function;
		Oid			typid;
		int32		typmod;
		bool		varlena;

		column->name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		column->attnum = get_attnum(relid, column->name);
		if (column->attnum == InvalidAttrNumber)
			continue;
		get_atttypetypmodcoll(relid, column->attnum, &typid, &typmod, &column->collation);
		column->typid = getBaseType(typid);
		getTypeOutputInfo(column->typid, &function, &varlena);
		fmgr_info(function, &column->output);
		getTypeInputInfo(column->typid, &function, &column->input_param);
		fmgr_info(function, &column->input);
	}
	SPI_freetuptable(SPI_tuptable);
	return changes->ncolumns > 0;
}

/*
 * create_find
 *		The statement that finds the records, with the values that they have now, and
 *		locks them: what is compared is what will be changed.
 */
static void
create_find(Changes *changes)
{
	UndoTarget *target = changes->target;
	int			nkeys = target->key->ncolumns;
	StringInfoData sql;

	changes->find_desc = CreateTemplateTupleDesc(1 + nkeys);
	TupleDescInitEntry(changes->find_desc, 1, "n", INT8OID, -1, 0);
	for (int i = 0; i < nkeys; i++)
		TupleDescCopyEntry(changes->find_desc, i + 2, target->key->desc, i + 1);

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT " BATCH_RELATION ".n, crmio_found.x");
	for (int i = 0; i < changes->ncolumns; i++)
		appendStringInfo(&sql, ", crmio_found.v%d", i + 1);
	appendStringInfo(&sql, " FROM " BATCH_RELATION " CROSS JOIN LATERAL (SELECT %s AS x",
					 target->has_xmin ? TARGET_ALIAS ".xmin" : "NULL::pg_catalog.xid");
	for (int i = 0; i < changes->ncolumns; i++)
	{
		if (changes->columns[i].attnum == InvalidAttrNumber)
			appendStringInfo(&sql, ", NULL AS v%d", i + 1);
		else
			appendStringInfo(&sql, ", " TARGET_ALIAS ".%s AS v%d", quote_identifier(changes->columns[i].name),
							 i + 1);
	}
	appendStringInfo(&sql, " FROM %s AS " TARGET_ALIAS " WHERE ", target->module->relation);
	crmio_append_key_condition(&sql, target->module, target->key, BATCH_RELATION);
	appendStringInfo(&sql, " OFFSET 0%s) AS crmio_found",
					 target->is_view ? "" : " FOR NO KEY UPDATE OF " TARGET_ALIAS);
	changes->find = crmio_statement_create(CurrentMemoryContext, sql.data, target->key_is_indexed);
}

/*
 * create_update
 *		The UPDATE of some columns, and the rows that it reads: key, then the columns.
 */
static Statement *
create_update(Changes *changes, const bool *used, TupleDesc *desc)
{
	UndoTarget *target = changes->target;
	int			n = target->key->ncolumns;
	int			nused = 0;
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < changes->ncolumns; i++)
		nused += used[i] ? 1 : 0;
	*desc = CreateTemplateTupleDesc(n + nused);
	for (int i = 0; i < n; i++)
		TupleDescCopyEntry(*desc, i + 1, target->key->desc, i + 1);
	appendStringInfo(&sql, "UPDATE %s AS " TARGET_ALIAS " SET ", target->module->relation);
	for (int i = 0; i < changes->ncolumns; i++)
	{
		UndoColumn *column = &changes->columns[i];

		if (!used[i])
			continue;
		appendStringInfo(&sql, "%s%s = " BATCH_RELATION ".v%d", n++ > target->key->ncolumns ? ", " : "",
						 quote_identifier(column->name), i + 1);
		TupleDescInitEntry(*desc, n, psprintf("v%d", i + 1), column->typid, -1, 0);
		TupleDescInitEntryCollation(*desc, n, column->collation);
	}
	appendStringInfoString(&sql, " FROM " BATCH_RELATION " WHERE ");
	crmio_append_key_condition(&sql, target->module, target->key, BATCH_RELATION);
	return crmio_statement_create(CurrentMemoryContext, sql.data, target->key_is_indexed);
}

/*
 * check_rights
 *		An error if the caller may not change the columns.
 */
static void
check_rights(Changes *changes)
{
	bool	   *used = palloc(sizeof(bool) * changes->ncolumns);
	bool		any = false;
	Statement  *update;
	TupleDesc	desc;
	RowSet	   *empty;

	for (int i = 0; i < changes->ncolumns; i++)
		any |= used[i] = changes->columns[i].attnum != InvalidAttrNumber;
	if (!any)
		return;
	update = create_update(changes, used, &desc);
	empty = crmio_rowset_create(desc);
	crmio_statement_check_rights(update, empty);
	crmio_rowset_free(empty);
}

/*
 * same_text
 *		Are two texts equal, or both null?
 */
static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/*
 * undo_record
 *		What a record is to have in the columns of the UPDATE: its old values where it
 *		still has what the job gave it.
 */
static void
undo_record(Changes *changes, ChangedRecord *record, bool as_left, const bool *used,
			const Datum *now, const bool *now_nulls, Datum *values, bool *nulls)
{
	int			n = 0;

	record->outcome = UNDO_KEPT;
	for (int i = 0; i < changes->ncolumns; i++)
	{
		UndoColumn *column = &changes->columns[i];
		char	   *text;

		if (!used[i])
			continue;
		values[n] = now[i];
		nulls[n] = now_nulls[i];
		text = nulls[n] ? NULL : OutputFunctionCall(&column->output, now[i]);
		if (record->touched[i] && (as_left || same_text(text, record->new_texts[i])))
		{
			nulls[n] = record->old_texts[i] == NULL;
			if (!nulls[n])
				values[n] = InputFunctionCall(&column->input, record->old_texts[i], column->input_param, -1);
			record->outcome = UNDO_RESTORED;
		}
		n++;
	}
}

/*
 * find_records
 *		Finds the records at hand, in SPI_tuptable, and says which columns any of them
 *		may get back.
 */
static void
find_records(Changes *changes, bool *used)
{
	UndoTarget *target = changes->target;
	RowSet	   *keys = crmio_rowset_create(changes->find_desc);
	Datum	   *values = palloc(sizeof(Datum) * changes->find_desc->natts);
	bool	   *nulls = palloc0(sizeof(bool) * changes->find_desc->natts);

	for (int i = changes->from; i < changes->to; i++)
	{
		ChangedRecord *record = &changes->records[i];

		record->outcome = UNDO_GONE;
		for (int c = 0; c < changes->ncolumns; c++)
			used[c] |= record->touched[c] && changes->columns[c].attnum != InvalidAttrNumber;
		values[0] = Int64GetDatum(i);
		crmio_record_key_read(target->key, record->key, values + 1);
		crmio_rowset_add(keys, values, nulls);
	}
	crmio_statement_run(changes->find, keys);
	crmio_rowset_free(keys);
}

/*
 * restore
 *		Gives the records from ... to their old values back.
 */
static void
restore(void *arg)
{
	Changes    *changes = arg;
	UndoTarget *target = changes->target;
	int			nkeys = target->key->ncolumns;
	bool	   *used = palloc0(sizeof(bool) * changes->ncolumns);
	Datum	   *now = palloc(sizeof(Datum) * (2 + changes->ncolumns));
	bool	   *now_nulls = palloc(sizeof(bool) * (2 + changes->ncolumns));
	Datum	   *values = palloc(sizeof(Datum) * (nkeys + changes->ncolumns));
	bool	   *nulls = palloc0(sizeof(bool) * (nkeys + changes->ncolumns));
	Statement  *update;
	TupleDesc	desc;
	RowSet	   *rows;
	int			level;

	find_records(changes, used);
	update = create_update(changes, used, &desc);
	rows = crmio_rowset_create(desc);
	level = crmio_portable_output();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		ChangedRecord *record;
		bool		as_left;

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, now, now_nulls);
		record = &changes->records[DatumGetInt64(now[0])];
		as_left = !now_nulls[1] && !target->keys_changed &&
			(crmio_undo_is_the_jobs(changes->rollback, DatumGetTransactionId(now[1])) ||
			 TransactionIdEquals(DatumGetTransactionId(now[1]), record->given_back));
		record->as_before = as_left && record->has_old_xid;
		undo_record(changes, record, as_left, used, now + 2, now_nulls + 2, values + nkeys, nulls + nkeys);
		if (record->outcome != UNDO_RESTORED)
			continue;
		crmio_record_key_read(target->key, record->key, values);
		crmio_rowset_add(rows, values, nulls);
	}
	AtEOXact_GUC(true, level);
	SPI_freetuptable(SPI_tuptable);
	changes->xid = InvalidFullTransactionId;
	if (rows->nrows > 0)
	{
		crmio_statement_plan_for(update, target->module->relid, rows->nrows);
		crmio_statement_run(update, rows);
		if (SPI_processed != rows->nrows)
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					 errmsg("a trigger, a rule or row-level security does not let it be changed")));
		changes->xid = GetCurrentFullTransactionId();
	}
	crmio_rowset_free(rows);
}

/*
 * try_restore
 *		The same for a part of the records, as far as the database lets it.
 */
static ErrorData *
try_restore(Changes *changes, int from, int to)
{
	MemoryContext old;
	ErrorData  *error;

	changes->from = from;
	changes->to = to;
	MemoryContextReset(changes->attempt_context);
	old = MemoryContextSwitchTo(changes->attempt_context);
	error = crmio_undo_try(changes->rollback, restore, changes);
	MemoryContextSwitchTo(old);
	return error;
}

/*
 * create_keep_restored
 *		The statement that says to the histories of earlier jobs which records are again
 *		as they had left them: those that they wrote, or that were given back to them
 *		before.
 */
static void
create_keep_restored(Changes *changes)
{
	changes->restored_desc = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(changes->restored_desc, 1, "record_key", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(changes->restored_desc, 1, DEFAULT_COLLATION_OID);
	TupleDescInitEntry(changes->restored_desc, 2, "old_xid", XID8OID, -1, 0);
	TupleDescInitEntry(changes->restored_desc, 3, "xid", XID8OID, -1, 0);
	changes->keep_restored =
		crmio_statement_create(CurrentMemoryContext,
							   psprintf("INSERT INTO " CRMIO_SCHEMA ".job_restored (job_id, relation, record_key, xid)"
										" SELECT x.job_id, %u, b.record_key, b.xid FROM " BATCH_RELATION " b"
										" JOIN (SELECT job_id, unnest(xids) AS xid FROM " CRMIO_SCHEMA ".job_xact"
										"  WHERE system_identifier = " INT64_FORMAT ") x ON x.xid = b.old_xid"
										" UNION"
										" SELECT r.job_id, r.relation, b.record_key, b.xid FROM " BATCH_RELATION " b"
										" JOIN " CRMIO_SCHEMA ".job_restored r ON r.xid = b.old_xid"
										"  AND r.record_key = b.record_key AND r.relation = %u",
										changes->target->module->relid, (int64) GetSystemIdentifier(),
										changes->target->module->relid), false);
}

/*
 * keep_restored
 *		Says so of the records from ... to.
 */
static void
keep_restored(Changes *changes, int from, int to)
{
	CrmioOwnerScope scope;
	RowSet	   *rows;

	if (!FullTransactionIdIsValid(changes->xid))
		return;
	rows = crmio_rowset_create(changes->restored_desc);
	for (int i = from; i < to; i++)
	{
		ChangedRecord *record = &changes->records[i];
		Datum		values[3];
		bool		nulls[3] = {false};

		if (record->outcome != UNDO_RESTORED || !record->as_before)
			continue;
		values[0] = CStringGetTextDatum(record->key);
		values[1] = record->old_xid;
		values[2] = FullTransactionIdGetDatum(changes->xid);
		crmio_rowset_add(rows, values, nulls);
	}
	if (rows->nrows > 0)
	{
		crmio_become_owner(&scope);
		crmio_statement_run(changes->keep_restored, rows);
		crmio_restore_user(&scope);
	}
	crmio_rowset_free(rows);
}

/*
 * count_records
 *		The records from ... to have found their end.
 */
static void
count_records(Changes *changes, int from, int to)
{
	Rollback   *rollback = changes->rollback;

	for (int i = from; i < to; i++)
	{
		ChangedRecord *record = &changes->records[i];

		if (record->outcome == UNDO_RESTORED)
			rollback->restored++;
		else if (record->outcome == UNDO_KEPT)
		{
			rollback->kept++;
			crmio_undo_note(rollback, changes->target, record->key, "it was changed after the import");
		}
		else
			rollback->gone++;
	}
}

/*
 * copy_record
 *		A copy that outlives the records at hand.
 */
static ChangedRecord *
copy_record(const Changes *changes, const ChangedRecord *record)
{
	MemoryContext old = MemoryContextSwitchTo(changes->rollback->context);
	ChangedRecord *copy = palloc0(sizeof(ChangedRecord));

	copy->key = pstrdup(record->key);
	copy->old_xid = record->old_xid;
	copy->has_old_xid = record->has_old_xid;
	copy->given_back = record->given_back;
	copy->touched = palloc(sizeof(bool) * changes->ncolumns);
	copy->old_texts = palloc(sizeof(char *) * changes->ncolumns);
	copy->new_texts = palloc(sizeof(char *) * changes->ncolumns);
	for (int i = 0; i < changes->ncolumns; i++)
	{
		copy->touched[i] = record->touched[i];
		copy->old_texts[i] = record->old_texts[i] ? pstrdup(record->old_texts[i]) : NULL;
		copy->new_texts[i] = record->new_texts[i] ? pstrdup(record->new_texts[i]) : NULL;
	}
	MemoryContextSwitchTo(old);
	return copy;
}

/*
 * restore_part
 *		Restores records; if the database refuses them, in halves, until the bad ones
 *		stand alone.  Those are tried again when records that the job created, and that
 *		may be in their way, are gone.
 */
static void
restore_part(Changes *changes, int from, int to, bool again)
{
	Rollback   *rollback = changes->rollback;
	UndoTarget *target = changes->target;
	ErrorData  *error = try_restore(changes, from, to);

	CHECK_FOR_INTERRUPTS();
	if (error == NULL)
	{
		count_records(changes, from, to);
		keep_restored(changes, from, to);
	}
	else if (to - from > 1)
	{
		int			middle = from + (to - from) / 2;

		restore_part(changes, from, middle, again);
		restore_part(changes, middle, to, again);
	}
	else if (!again && list_length(target->later) < MAX_LATER)
	{
		ChangedRecord *copy = copy_record(changes, &changes->records[from]);
		MemoryContext old = MemoryContextSwitchTo(rollback->context);

		target->later = lappend(target->later, copy);
		MemoryContextSwitchTo(old);
	}
	else
	{
		rollback->blocked++;
		crmio_undo_note(rollback, target, changes->records[from].key, error->message);
	}
}

/*
 * restore_all
 *		Restores the records at hand, and forgets them.
 */
static void
restore_all(Changes *changes)
{
	if (changes->nrecords > 0)
		restore_part(changes, 0, changes->nrecords, false);
	changes->nrecords = changes->room = 0;
	changes->records = NULL;
	MemoryContextReset(changes->context);
}

/*
 * add_record
 *		Room for another record.
 */
static ChangedRecord *
add_record(Changes *changes, const char *key)
{
	ChangedRecord *record;

	if (changes->nrecords == changes->room)
	{
		changes->room = Max(2 * changes->room, FETCH_ROWS);
		changes->records = changes->records ?
			repalloc_huge(changes->records, sizeof(ChangedRecord) * changes->room) :
			MemoryContextAlloc(changes->context, sizeof(ChangedRecord) * changes->room);
	}
	record = &changes->records[changes->nrecords++];
	record->key = MemoryContextStrdup(changes->context, key);
	record->touched = MemoryContextAllocZero(changes->context, sizeof(bool) * changes->ncolumns);
	record->old_texts = MemoryContextAllocZero(changes->context, sizeof(char *) * changes->ncolumns);
	record->new_texts = MemoryContextAllocZero(changes->context, sizeof(char *) * changes->ncolumns);
	return record;
}

/*
 * member_text
 *		A value of the history, in the given context; NULL for null.
 */
static char *
member_text(MemoryContext context, const JsonbValue *value)
{
	char	   *text;

	if (value->type != jbvString)
		return NULL;
	text = MemoryContextAlloc(context, value->val.string.len + 1);
	memcpy(text, value->val.string.val, value->val.string.len);
	text[value->val.string.len] = '\0';
	return text;
}

/*
 * add_change
 *		Adds an earlier change to what the job did to a record.  It counts where it led
 *		to what the later ones found; where it did not, somebody came in between.
 */
static void
add_change(Changes *changes, ChangedRecord *record, Jsonb *old_values, Jsonb *new_values)
{
	List	   *members = crmio_json_members(&old_values->root);
	ListCell   *lc;

	foreach(lc, members)
	{
		JsonMember *member = lfirst(lc);
		JsonbValue *new_value = crmio_json_get(&new_values->root, member->key);
		char	   *new_text = member_text(CurrentMemoryContext, new_value);
		int			c = 0;

		while (strcmp(changes->columns[c].name, member->key) != 0)
			c++;
		if (!record->touched[c])
			record->new_texts[c] = new_text ? MemoryContextStrdup(changes->context, new_text) : NULL;
		else if (same_text(record->old_texts[c], new_text))
		{
			if (record->old_texts[c] != NULL)
				pfree(record->old_texts[c]);
		}
		else
			continue;
		record->touched[c] = true;
		record->old_texts[c] = member_text(changes->context, &member->value);
	}
}

/*
 * read_changes
 *		Reads the history and restores as many records at a time as an import writes.
 */
static void
read_changes(Changes *changes, Portal cursor)
{
	UndoTarget *target = changes->target;
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "crmio changes",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	uint64		n;

	while ((n = crmio_undo_fetch(cursor, FETCH_ROWS)) > 0)
	{
		SPITupleTable *table = SPI_tuptable;

		MemoryContextSwitchTo(row_context);
		for (uint64 i = 0; i < n; i++)
		{
			char	   *key = SPI_getvalue(table->vals[i], table->tupdesc, 1);
			Datum		xid;
			bool		isnull;
			Jsonb	   *old_values = DatumGetJsonbP(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));
			Jsonb	   *new_values = DatumGetJsonbP(SPI_getbinval(table->vals[i], table->tupdesc, 3, &isnull));
			ChangedRecord *last = changes->nrecords > 0 ? &changes->records[changes->nrecords - 1] : NULL;

			if (last == NULL || target->keys_changed || strcmp(last->key, key) != 0)
			{
				if (last != NULL &&
					(target->keys_changed || changes->nrecords >= crmio_batch_rows ||
					 MemoryContextMemAllocated(changes->context, true) > (Size) crmio_batch_memory * 1024))
					restore_all(changes);
				last = add_record(changes, key);
			}
			add_change(changes, last, old_values, new_values);
			/* what counts is who wrote the record before the first of the changes */
			last->old_xid = SPI_getbinval(table->vals[i], table->tupdesc, 4, &isnull);
			last->has_old_xid = !isnull;
			xid = SPI_getbinval(table->vals[i], table->tupdesc, 5, &isnull);
			last->given_back = isnull ? InvalidTransactionId : DatumGetTransactionId(xid);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
		SPI_freetuptable(table);
	}
	restore_all(changes);
	MemoryContextDelete(row_context);
}

/*
 * crmio_undo_changes
 *		Takes back what the job changed in a table.  If it changed keys of records, each
 *		change is taken back, and counted, by itself, the latest first: a record is not
 *		known by one key then.
 */
void
crmio_undo_changes(Rollback *rollback, UndoTarget *target)
{
	Changes    *changes = palloc0(sizeof(Changes));
	Portal		cursor;

	changes->rollback = rollback;
	changes->target = target;
	if (!load_columns(changes))
		return;
	target->changes = changes;
	changes->context = AllocSetContextCreate(rollback->context, "crmio changed records",
											 ALLOCSET_DEFAULT_SIZES);
	changes->attempt_context = AllocSetContextCreate(rollback->context, "crmio restoring",
													 ALLOCSET_DEFAULT_SIZES);
	create_find(changes);
	create_keep_restored(changes);
	check_rights(changes);
	crmio_undo_query(rollback, target,
					 psprintf("SELECT h.record_key, old_values, new_values, old_xid, r.xid::xid"
							  " FROM " CRMIO_SCHEMA ".job_change h LEFT JOIN (%s) r USING (record_key)"
							  " WHERE h.job_id = $1 AND h.module = ANY ($2)"
							  " AND NOT EXISTS (SELECT FROM " CRMIO_SCHEMA ".job_created c"
							  "  CROSS JOIN LATERAL unnest(c.record_keys) k"
							  "  WHERE c.job_id = $1 AND c.module = ANY ($2) AND k = h.record_key)"
							  "%s ORDER BY %schange_id DESC",
							  crmio_undo_given_back(target),
							  !target->integer_key ? "" :
							  " AND NOT coalesce(h.record_key::int8 <@ (SELECT range_agg(key_ranges)"
							  "  FROM " CRMIO_SCHEMA ".job_created"
							  "  WHERE job_id = $1 AND module = ANY ($2)), false)",
							  target->keys_changed ? "" :
							  target->integer_key ? "h.record_key::int8, " : "h.record_key COLLATE \"C\", "),
					 &cursor);
	read_changes(changes, cursor);
	SPI_cursor_close(cursor);
}

/*
 * crmio_undo_changes_later
 *		Tries again what could not be taken back before the created records were deleted.
 */
void
crmio_undo_changes_later(Rollback *rollback, UndoTarget *target)
{
	Changes    *changes = target->changes;
	ListCell   *lc;

	foreach(lc, target->later)
	{
		changes->records = lfirst(lc);
		restore_part(changes, 0, 1, true);
	}
}

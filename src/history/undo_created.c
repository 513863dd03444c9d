/*
 * undo_created.c
 *	  Deletes the records that a job created, in one table.
 *
 *	  keys from the history -> records that are as the job left them -> those that
 *	  nothing refers to (undo_references.c) -> DELETE
 *
 * Who wrote a record is told by its xmin, which stays when a record is frozen.
 * Where that tells nothing (views, foreign tables, records that came from a dump)
 * the records stay: better too many of them than somebody's work lost.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "history/rollback.h"

typedef struct Created
{
	TupleDesc	desc;
	RowSet	   *rows;			/* records that are as the job left them */
	List	   *foreign_keys;	/* to the table */
	bool		refers_to_itself;
	AttrNumber *columns;		/* that its foreign keys refer to */
	int			ncolumns;
	Statement  *delete;			/* planned for all records */
	Statement  *delete_part;	/* planned for a few */
	Statement  *present;		/* which are still there */
	RowSet	   *refused;		/* records that can't be deleted, one by one */
	List	   *reasons;		/* of char *: why, for the first of them */
} Created;

/*
 * collect_columns
 *		The columns of the table that foreign keys refer to.
 */
static void
collect_columns(Created *created)
{
	ListCell   *lc;
	int			room = 0;

	foreach(lc, created->foreign_keys)
		room += ((ForeignKey *) lfirst(lc))->ncolumns;
	created->columns = palloc(sizeof(AttrNumber) * (room + 1));
	foreach(lc, created->foreign_keys)
	{
		ForeignKey *fk = lfirst(lc);

		created->refers_to_itself |= fk->self;
		for (int i = 0; i < fk->ncolumns; i++)
		{
			int			c = 0;

			while (c < created->ncolumns && created->columns[c] != fk->referred[i])
				c++;
			if (c == created->ncolumns)
				created->columns[created->ncolumns++] = fk->referred[i];
		}
	}
}

/*
 * describe_rows
 *		The columns of the records to be deleted.
 */
static void
describe_rows(UndoTarget *target, Created *created)
{
	int			nkeys = target->key->ncolumns;
	TupleDesc	desc = CreateTemplateTupleDesc(UNDO_FIRST_KEY + nkeys + created->ncolumns);

	TupleDescInitEntry(desc, UNDO_COLUMN_N + 1, "n", INT8OID, -1, 0);
	TupleDescInitEntry(desc, UNDO_COLUMN_X + 1, "x", XIDOID, -1, 0);
	for (int i = 0; i < nkeys; i++)
		TupleDescCopyEntry(desc, UNDO_FIRST_KEY + i + 1, target->key->desc, i + 1);
	for (int i = 0; i < created->ncolumns; i++)
	{
		Oid			typid;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(target->module->relid, created->columns[i], &typid, &typmod, &collation);
		TupleDescInitEntry(desc, UNDO_FIRST_KEY + nkeys + i + 1, psprintf("f%d", i + 1),
						   getBaseType(typid), -1, 0);
		TupleDescInitEntryCollation(desc, UNDO_FIRST_KEY + nkeys + i + 1, collation);
	}
	created->desc = desc;
}

/*
 * find_sql
 *		Finds records by their keys, one after the other.  Where a foreign key would
 *		carry the deletion on to the rows that refer, the records are locked before
 *		those are looked for: so none can come in between.
 */
static char *
find_sql(const UndoTarget *target)
{
	const Created *created = target->created;
	StringInfoData sql;
	bool		lock = false;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT " BATCH_RELATION ".w, crmio_found.x");
	for (int i = 0; i < target->key->ncolumns; i++)
		appendStringInfo(&sql, ", " BATCH_RELATION ".r%d", i + 1);
	for (int i = 0; i < created->ncolumns; i++)
		appendStringInfo(&sql, ", crmio_found.f%d", i + 1);
	appendStringInfo(&sql, " FROM " BATCH_RELATION " CROSS JOIN LATERAL (SELECT %s AS x",
					 target->has_xmin ? TARGET_ALIAS ".xmin" : "NULL::pg_catalog.xid");
	for (int i = 0; i < created->ncolumns; i++)
		appendStringInfo(&sql, ", " TARGET_ALIAS ".%s AS f%d",
						 quote_identifier(get_attname(target->module->relid, created->columns[i], false)), i + 1);
	appendStringInfo(&sql, " FROM %s AS " TARGET_ALIAS " WHERE ", target->module->relation);
	crmio_append_key_condition(&sql, target->module, target->key, BATCH_RELATION);
	foreach(lc, created->foreign_keys)
		lock |= ((ForeignKey *) lfirst(lc))->acts;
	appendStringInfo(&sql, " OFFSET 0%s) AS crmio_found", lock ? " FOR UPDATE OF " TARGET_ALIAS : "");
	return sql.data;
}

/*
 * create_statements
 *		The statements that delete, and an error if the caller lacks the right to.
 */
static void
create_statements(UndoTarget *target)
{
	Created    *created = target->created;
	StringInfoData condition;
	RowSet	   *empty;
	char	   *delete;

	initStringInfo(&condition);
	crmio_append_key_condition(&condition, target->module, target->key, BATCH_RELATION);
	delete = psprintf("DELETE FROM %s AS " TARGET_ALIAS " USING " BATCH_RELATION
					  " WHERE %s AND " TARGET_ALIAS ".xmin OPERATOR(pg_catalog.=) " BATCH_RELATION ".x",
					  target->module->relation, condition.data);
	created->delete = crmio_statement_create(CurrentMemoryContext, delete, target->key_is_indexed);
	created->delete_part = crmio_statement_create(CurrentMemoryContext, delete, target->key_is_indexed);
	created->present =
		crmio_statement_create(CurrentMemoryContext,
							   psprintf("SELECT " BATCH_RELATION ".n, " TARGET_ALIAS ".xmin FROM " BATCH_RELATION
										" JOIN %s AS " TARGET_ALIAS " ON %s ORDER BY 1",
										target->module->relation, condition.data), target->key_is_indexed);
	empty = crmio_rowset_create(created->desc);
	crmio_statement_check_rights(created->delete, empty);
	crmio_rowset_free(empty);
	crmio_statement_plan_for(created->delete, target->module->relid, created->rows->nrows);
	crmio_statement_plan_for(created->present, target->module->relid, created->rows->nrows);
}

/*
 * keep
 *		A record stays because somebody has changed it, or may have.
 */
static void
keep(Rollback *rollback, const UndoTarget *target, const Datum *key, bool can_tell)
{
	rollback->kept++;
	if (list_length(rollback->notes) < MAX_NOTES)
		crmio_undo_note(rollback, target, crmio_record_key_text(target->key, key),
						can_tell ? "it was changed after the import" :
						"it can't be told whether it was changed after the import");
}

/*
 * find_some
 *		Finds the records of some keys: those that are as the job left them are to be
 *		deleted.
 */
static void
find_some(Rollback *rollback, UndoTarget *target, Statement *find, RowSet *keys)
{
	Created    *created = target->created;
	Datum	   *values = palloc(sizeof(Datum) * created->desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * created->desc->natts);

	crmio_statement_run(find, keys);
	rollback->gone += keys->nrows - SPI_processed;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		TransactionId given_back;
		TransactionId xid;

		/* the number of the record takes the place of the first column */
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		given_back = nulls[0] ? InvalidTransactionId : DatumGetTransactionId(values[0]);
		xid = nulls[UNDO_COLUMN_X] ? InvalidTransactionId : DatumGetTransactionId(values[UNDO_COLUMN_X]);
		nulls[UNDO_COLUMN_N] = false;
		if (crmio_undo_is_the_jobs(rollback, xid) ||
			(TransactionIdIsValid(xid) && TransactionIdEquals(xid, given_back)) ||
			(target->keys_changed && crmio_undo_is_own(rollback, xid)))
		{
			values[UNDO_COLUMN_N] = Int64GetDatum(created->rows->nrows);
			crmio_rowset_add(created->rows, values, nulls);
		}
		else
			keep(rollback, target, values + UNDO_FIRST_KEY, TransactionIdIsValid(xid) && rollback->nxids > 0);
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * crmio_undo_find_created
 *		Finds what the job created in a table and nobody has changed since.  A record
 *		that is gone, or that the caller does not see, is in none of the counts returned.
 */
void
crmio_undo_find_created(Rollback *rollback, UndoTarget *target)
{
	MemoryContext context = AllocSetContextCreate(rollback->context, "crmio created records",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	int			nkeys = target->key->ncolumns;
	TupleDesc	desc = CreateTemplateTupleDesc(nkeys + 1);
	Datum	   *values = palloc(sizeof(Datum) * (nkeys + 1));
	bool	   *nulls = palloc0(sizeof(bool) * (nkeys + 1));
	Statement  *find;
	Portal		cursor;
	uint64		n;

	target->created = palloc0(sizeof(Created));
	target->created->foreign_keys = crmio_foreign_keys_to(target->module->relid);
	collect_columns(target->created);
	describe_rows(target, target->created);
	target->created->rows = crmio_rowset_create(target->created->desc);
	find = crmio_statement_create(CurrentMemoryContext, find_sql(target), target->key_is_indexed);
	for (int i = 0; i < nkeys; i++)
		TupleDescCopyEntry(desc, i + 1, target->key->desc, i + 1);
	TupleDescInitEntry(desc, nkeys + 1, "w", XIDOID, -1, 0);

	crmio_undo_query(rollback, target,
					 psprintf("SELECT k.key, r.xid::xid FROM ("
							  " SELECT generate_series(lower(r), upper(r) - 1)::text AS key FROM unnest("
							  "  (SELECT range_agg(key_ranges) FROM " CRMIO_SCHEMA ".job_created"
							  "   WHERE job_id = $1 AND module = ANY ($2))) r"
							  " UNION ALL"
							  " (SELECT DISTINCT k COLLATE \"C\" FROM " CRMIO_SCHEMA ".job_created"
							  "  CROSS JOIN LATERAL unnest(record_keys) k"
							  "  WHERE job_id = $1 AND module = ANY ($2) ORDER BY 1)) k"
							  " LEFT JOIN (%s) r ON r.record_key = k.key ORDER BY %s",
							  crmio_undo_given_back(target),
							  target->integer_key ? "k.key::int8" : "k.key COLLATE \"C\""), &cursor);
	while ((n = crmio_undo_fetch(cursor, crmio_batch_rows)) > 0)
	{
		SPITupleTable *texts = SPI_tuptable;
		RowSet	   *keys;

		MemoryContextSwitchTo(context);
		keys = crmio_rowset_create(desc);
		for (uint64 i = 0; i < n; i++)
		{
			crmio_record_key_read(target->key, SPI_getvalue(texts->vals[i], texts->tupdesc, 1), values);
			values[nkeys] = SPI_getbinval(texts->vals[i], texts->tupdesc, 2, &nulls[nkeys]);
			crmio_rowset_add(keys, values, nulls);
		}
		SPI_freetuptable(texts);
		find_some(rollback, target, find, keys);
		crmio_rowset_free(keys);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	SPI_cursor_close(cursor);
	MemoryContextDelete(context);
}

/*
 * read_row
 *		The next record of a set, from its start after a tuplestore_rescan; false at the
 *		end.
 */
static bool
read_row(RowSet *rows, TupleTableSlot *slot)
{
	if (!tuplestore_gettupleslot(rows->store, true, false, slot))
		return false;
	slot_getallattrs(slot);
	return true;
}

/*
 * refuse
 *		A record can't be deleted.
 */
static void
refuse(Created *created, TupleTableSlot *slot, const char *reason)
{
	crmio_rowset_add(created->refused, slot->tts_values, slot->tts_isnull);
	if (list_length(created->reasons) < MAX_NOTES)
		created->reasons = lappend(created->reasons, pstrdup(reason));
}

/* A set of records and the statement that deletes them. */
typedef struct Deletion
{
	Statement  *delete;
	RowSet	   *rows;
	uint64		deleted;
} Deletion;

/*
 * do_delete
 *		For crmio_undo_try.
 */
static void
do_delete(void *arg)
{
	Deletion   *deletion = arg;

	crmio_statement_run(deletion->delete, deletion->rows);
	deletion->deleted = SPI_processed;
}

/*
 * take_stock
 *		Not all records of a set were deleted: which are still there?  Those that
 *		somebody has changed meanwhile stay.  Those that a trigger has touched in the
 *		course of the rollback are returned, to be tried again as they are now.
 */
static RowSet *
take_stock(Rollback *rollback, UndoTarget *target, RowSet *rows, bool again)
{
	Created    *created = target->created;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(created->desc, &TTSOpsMinimalTuple);
	RowSet	   *touched = crmio_rowset_create(created->desc);
	SPITupleTable *present;
	uint64		next = 0;
	uint64		npresent;

	crmio_statement_run(created->present, rows);
	present = SPI_tuptable;
	npresent = SPI_processed;
	tuplestore_rescan(rows->store);
	while (next < npresent && read_row(rows, slot))
	{
		bool		isnull;
		Datum		n = SPI_getbinval(present->vals[next], present->tupdesc, 1, &isnull);
		Datum		xid = SPI_getbinval(present->vals[next], present->tupdesc, 2, &isnull);

		if (DatumGetInt64(slot->tts_values[UNDO_COLUMN_N]) != DatumGetInt64(n))
			continue;
		next++;
		if (TransactionIdEquals(DatumGetTransactionId(xid), DatumGetTransactionId(slot->tts_values[UNDO_COLUMN_X])) ||
			(again && crmio_undo_is_own(rollback, DatumGetTransactionId(xid))))
			refuse(created, slot, "a trigger, a rule or row-level security does not let it be deleted");
		else if (crmio_undo_is_own(rollback, DatumGetTransactionId(xid)))
		{
			slot->tts_values[UNDO_COLUMN_X] = xid;
			crmio_rowset_add(touched, slot->tts_values, slot->tts_isnull);
		}
		else
			keep(rollback, target, slot->tts_values + UNDO_FIRST_KEY, true);
	}
	SPI_freetuptable(present);
	ExecDropSingleTupleTableSlot(slot);
	return touched;
}

/*
 * delete_rows
 *		Deletes records, and frees the set.  If the database refuses them, they are tried
 *		in halves, until the bad ones stand alone.
 */
static void
delete_rows(Rollback *rollback, UndoTarget *target, Statement *delete, RowSet *rows, bool again)
{
	Created    *created = target->created;
	Deletion	deletion = {.delete = delete,.rows = rows};
	ErrorData  *error = rows->nrows > 0 ? crmio_undo_try(rollback, do_delete, &deletion) : NULL;

	CHECK_FOR_INTERRUPTS();
	if (error == NULL)
	{
		RowSet	   *touched = NULL;

		rollback->deleted += deletion.deleted;
		if (deletion.deleted < rows->nrows)
			touched = take_stock(rollback, target, rows, again);
		crmio_rowset_free(rows);
		if (touched != NULL)
			delete_rows(rollback, target, created->delete_part, touched, true);
	}
	else
	{
		TupleTableSlot *slot = MakeSingleTupleTableSlot(created->desc, &TTSOpsMinimalTuple);
		RowSet	   *halves[2] = {crmio_rowset_create(created->desc), crmio_rowset_create(created->desc)};
		int64		i = 0;

		tuplestore_rescan(rows->store);
		while (read_row(rows, slot))
		{
			if (rows->nrows == 1)
				refuse(created, slot, error->message);
			else
				crmio_rowset_add(halves[i++ < rows->nrows / 2 ? 0 : 1], slot->tts_values, slot->tts_isnull);
		}
		ExecDropSingleTupleTableSlot(slot);
		FreeErrorData(error);
		crmio_rowset_free(rows);
		delete_rows(rollback, target, created->delete_part, halves[0], again);
		delete_rows(rollback, target, created->delete_part, halves[1], again);
	}
}

/*
 * block_refused
 *		The records that could not be deleted are counted.
 */
static void
block_refused(Rollback *rollback, UndoTarget *target)
{
	Created    *created = target->created;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(created->desc, &TTSOpsMinimalTuple);
	ListCell   *lc;

	rollback->blocked += created->refused->nrows;
	tuplestore_rescan(created->refused->store);
	foreach(lc, created->reasons)
	{
		if (!read_row(created->refused, slot))
			break;
		crmio_undo_note(rollback, target,
						crmio_record_key_text(target->key, slot->tts_values + UNDO_FIRST_KEY), lfirst(lc));
	}
	ExecDropSingleTupleTableSlot(slot);
	crmio_rowset_free(created->refused);
}

/*
 * crmio_undo_delete_created
 *		Deletes what crmio_undo_find_created has found, but for records that others refer
 *		to.
 */
void
crmio_undo_delete_created(Rollback *rollback, UndoTarget *target)
{
	Created    *created = target->created;
	RowSet	   *rows = created->rows;

	if (rows->nrows == 0)
		return;
	create_statements(target);
	rows = crmio_undo_unreferenced(rollback, target, created->foreign_keys, created->columns,
								   created->ncolumns, rows);
	created->refused = crmio_rowset_create(created->desc);
	delete_rows(rollback, target, created->delete, rows, false);
	while (created->refers_to_itself && created->refused->nrows > 0)
	{
		/* one that a part could not delete may have been referred to by another part */
		int64		before = rollback->deleted;

		rows = created->refused;
		created->refused = crmio_rowset_create(created->desc);
		created->reasons = NIL;
		delete_rows(rollback, target, created->delete_part, rows, false);
		if (rollback->deleted == before)
			break;
	}
	block_refused(rollback, target);
}

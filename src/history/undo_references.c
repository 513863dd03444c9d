/*
 * undo_references.c
 *	  Which of the records to be deleted do others refer to?
 *
 * The foreign keys to the table are in the catalog.  As when the server checks
 * them, the tables that refer are read as their owner and past row-level security:
 * a record must not go because the caller does not see who needs it.  This matters
 * most where a foreign key would delete or empty the rows that refer; else the
 * DELETE would find out too, but for one record at a time.
 *
 * References of records that are to be deleted themselves are none.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "history/rollback.h"

/*
 * read_array
 *		The elements of an array of the catalog.
 */
static Datum *
read_array(HeapTuple tuple, TupleDesc desc, int column, Oid type, int16 length, char align, int *n)
{
	bool		isnull;
	Datum	   *elements;

	deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(tuple, desc, column, &isnull)),
					  type, length, true, align, &elements, NULL, n);
	return elements;
}

/*
 * read_foreign_key
 *		A foreign key to a table, or to a child of it, as the catalog describes it.
 */
static ForeignKey *
read_foreign_key(HeapTuple tuple, TupleDesc desc, Oid relid, List *children)
{
	ForeignKey *fk = palloc0(sizeof(ForeignKey));
	bool		isnull;
	Oid			referred = DatumGetObjectId(SPI_getbinval(tuple, desc, 3, &isnull));
	char		action = DatumGetChar(SPI_getbinval(tuple, desc, 4, &isnull));
	Datum	   *columns = read_array(tuple, desc, 5, INT2OID, sizeof(int16), TYPALIGN_SHORT, &fk->ncolumns);
	Datum	   *referred_columns = read_array(tuple, desc, 6, INT2OID, sizeof(int16), TYPALIGN_SHORT, &fk->ncolumns);
	Datum	   *operators = read_array(tuple, desc, 7, OIDOID, sizeof(Oid), TYPALIGN_INT, &fk->ncolumns);

	fk->name = SPI_getvalue(tuple, desc, 1);
	fk->relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
	fk->self = list_member_oid(children, fk->relid);
	fk->acts = action != FKCONSTR_ACTION_NOACTION && action != FKCONSTR_ACTION_RESTRICT;
	fk->columns = palloc(sizeof(AttrNumber) * fk->ncolumns);
	fk->referred = palloc(sizeof(AttrNumber) * fk->ncolumns);
	fk->operators = palloc(sizeof(Oid) * fk->ncolumns);
	for (int i = 0; i < fk->ncolumns; i++)
	{
		fk->columns[i] = DatumGetInt16(columns[i]);
		/* a child may have its columns in another order */
		fk->referred[i] = get_attnum(relid, get_attname(referred, DatumGetInt16(referred_columns[i]), false));
		fk->operators[i] = DatumGetObjectId(operators[i]);
		/* a child's own column identifies no record of the whole table */
		if (fk->referred[i] == InvalidAttrNumber)
			return NULL;
	}
	return fk;
}

/*
 * crmio_foreign_keys_to
 *		The foreign keys that refer to a table, or to one of its partitions or children:
 *		a List of ForeignKey *.  Of a key that partitions have inherited, the topmost.
 */
List *
crmio_foreign_keys_to(Oid relid)
{
	List	   *children = find_all_inheritors(relid, AccessShareLock, NULL);
	List	   *foreign_keys = NIL;
	Datum	   *oids = palloc(sizeof(Datum) * list_length(children));
	Oid			types[1] = {OIDARRAYOID};
	Datum		values[1];
	MemoryContext context = CurrentMemoryContext;
	CrmioOwnerScope scope;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, children)
		oids[n++] = ObjectIdGetDatum(lfirst_oid(lc));
	values[0] = PointerGetDatum(construct_array(oids, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
	crmio_become_owner(&scope);
	if (SPI_execute_with_args("SELECT conname, conrelid, confrelid, confdeltype, conkey, confkey, conpfeqop"
							  " FROM pg_constraint c WHERE contype = 'f' AND confrelid = ANY ($1)"
							  " AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid"
							  "  AND p.confrelid = ANY ($1))"
							  " ORDER BY conname, oid", 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the foreign keys to relation %u", relid);
	crmio_restore_user(&scope);
	MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		ForeignKey *fk = read_foreign_key(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, relid, children);

		if (fk != NULL)
			foreign_keys = lappend(foreign_keys, fk);
	}
	SPI_freetuptable(SPI_tuptable);
	return foreign_keys;
}

/*
 * append_operand
 *		A column as the operator of a foreign key takes it.
 */
static void
append_operand(StringInfo sql, const char *column, Oid typid, Oid wanted)
{
	appendStringInfoString(sql, column);
	if (getBaseType(typid) != wanted && !IsPolymorphicType(wanted))
		appendStringInfo(sql, "::%s", format_type_be_qualified(wanted));
}

/*
 * collation_sql
 *		A collation by its qualified name.
 */
static const char *
collation_sql(Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	const char *sql;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	sql = quote_qualified_identifier(get_namespace_name(form->collnamespace), NameStr(form->collname));
	ReleaseSysCache(tuple);
	return sql;
}

/*
 * append_column_condition
 *		That a column of a row refers to that of a record, by the operator and the
 *		collation by which the server compares them.
 */
static void
append_column_condition(StringInfo sql, const UndoTarget *target, const ForeignKey *fk, int i, int position)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(fk->operators[i]));
	Form_pg_operator operator;
	Oid			typid;
	int32		typmod;
	Oid			collation;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", fk->operators[i]);
	operator = (Form_pg_operator) GETSTRUCT(tuple);
	get_atttypetypmodcoll(target->module->relid, fk->referred[i], &typid, &typmod, &collation);
	append_operand(sql, psprintf(BATCH_RELATION ".f%d", position + 1), typid, operator->oprleft);
	if (OidIsValid(collation))
		appendStringInfo(sql, " COLLATE %s",
						 collation_sql(collation));
	appendStringInfo(sql, " OPERATOR(%s.%s) ", quote_identifier(get_namespace_name(operator->oprnamespace)),
					 NameStr(operator->oprname));
	append_operand(sql, psprintf(TARGET_ALIAS ".%s", quote_identifier(get_attname(fk->relid, fk->columns[i], false))),
				   get_atttype(fk->relid, fk->columns[i]), operator->oprright);
	ReleaseSysCache(tuple);
}

/*
 * references_sql
 *		The numbers of the records that rows refer to by a foreign key.
 */
static char *
references_sql(const UndoTarget *target, const ForeignKey *fk, const AttrNumber *columns, int ncolumns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT n FROM " BATCH_RELATION " WHERE EXISTS (SELECT FROM %s%s AS " TARGET_ALIAS " WHERE ",
					 get_rel_relkind(fk->relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(fk->relid)),
												get_rel_name(fk->relid)));
	for (int i = 0; i < fk->ncolumns; i++)
	{
		int			position = 0;

		while (position < ncolumns && columns[position] != fk->referred[i])
			position++;
		if (i > 0)
			appendStringInfoString(&sql, " AND ");
		append_column_condition(&sql, target, fk, i, position);
	}
	if (fk->self)
	{
		appendStringInfoString(&sql, " AND NOT EXISTS (SELECT FROM " BATCH_RELATION " AS crmio_deleted WHERE ");
		crmio_append_key_condition(&sql, target->module, target->key, "crmio_deleted");
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * mark_referenced
 *		Marks the records that rows refer to by a foreign key; returns how many are new.
 */
static int64
mark_referenced(UndoTarget *target, ForeignKey *fk, const AttrNumber *columns, int ncolumns,
				RowSet *rows, const ForeignKey **marks)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crmio references",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Statement  *statement = crmio_statement_create(context, references_sql(target, fk, columns, ncolumns), false);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(fk->relid));
	CrmioOwnerScope scope;
	int64		marked = 0;
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", fk->relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	crmio_statement_plan_for(statement, fk->relid, rows->nrows);
	crmio_become(&scope, owner, SECURITY_NOFORCE_RLS);
	crmio_statement_run(statement, rows);
	crmio_restore_user(&scope);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int64		n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));

		if (marks[n] == NULL)
			marked++;
		marks[n] = fk;
	}
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return marked;
}

/*
 * without_marked
 *		The records that are not marked; frees the others with their set.
 */
static RowSet *
without_marked(Rollback *rollback, UndoTarget *target, RowSet *rows, const ForeignKey **marks)
{
	RowSet	   *unmarked = crmio_rowset_create(rows->tupdesc);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(rows->tupdesc, &TTSOpsMinimalTuple);

	tuplestore_rescan(rows->store);
	while (tuplestore_gettupleslot(rows->store, true, false, slot))
	{
		const ForeignKey *fk;

		slot_getallattrs(slot);
		fk = marks[DatumGetInt64(slot->tts_values[UNDO_COLUMN_N])];
		if (fk == NULL)
		{
			crmio_rowset_add(unmarked, slot->tts_values, slot->tts_isnull);
			continue;
		}
		rollback->blocked++;
		if (list_length(rollback->notes) < MAX_NOTES)
			crmio_undo_note(rollback, target, crmio_record_key_text(target->key, slot->tts_values + UNDO_FIRST_KEY),
							psprintf("table %s refers to it (constraint \"%s\")",
									 quote_qualified_identifier(get_namespace_name(get_rel_namespace(fk->relid)),
																get_rel_name(fk->relid)), fk->name));
	}
	ExecDropSingleTupleTableSlot(slot);
	crmio_rowset_free(rows);
	return unmarked;
}

/*
 * crmio_undo_unreferenced
 *		The records of a set that no other refers to; frees the set.  Their columns f1,
 *		f2, ... are the given ones, to which foreign keys refer.
 */
RowSet *
crmio_undo_unreferenced(Rollback *rollback, UndoTarget *target, List *foreign_keys,
						AttrNumber *columns, int ncolumns, RowSet *rows)
{
	const ForeignKey **marks = MemoryContextAllocExtended(CurrentMemoryContext,
														  sizeof(ForeignKey *) * rows->nrows,
														  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	bool		first = true;
	int64		marked;

	do
	{
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		marked = 0;
		foreach(lc, foreign_keys)
		{
			ForeignKey *fk = lfirst(lc);

			/* a record that stays keeps those that it refers to */
			if (first || fk->self)
				marked += mark_referenced(target, fk, columns, ncolumns, rows, marks);
		}
		first = false;
		if (marked > 0)
			rows = without_marked(rollback, target, rows, marks);
	} while (marked > 0);
	pfree(marks);
	return rows;
}

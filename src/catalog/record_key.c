/*
 * record_key.c
 *	  Compares, hashes, copies, prints and reads the key of a record.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "catalog/record_key.h"
#include "statement.h"

/*
 * crmio_record_key_create
 *		The key of a module's records, in the given context.
 */
RecordKey *
crmio_record_key_create(MemoryContext context, const Module *module, Relation rel)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	RecordKey  *key = palloc0(sizeof(RecordKey));

	key->ncolumns = module->nkeys;
	key->attnums = module->key_attnums;
	key->desc = CreateTemplateTupleDesc(module->nkeys);
	key->cmp = palloc0(sizeof(FmgrInfo) * module->nkeys);
	key->output = palloc0(sizeof(FmgrInfo) * module->nkeys);
	for (int i = 0; i < module->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), module->key_attnums[i] - 1);
		Oid			typid = getBaseType(att->atttypid);
		TypeCacheEntry *type = lookup_type_cache(typid, TYPECACHE_CMP_PROC_FINFO | TYPECACHE_EQ_OPR);
		Oid			output;
		bool		varlena;

		if (!OidIsValid(type->cmp_proc_finfo.fn_oid) || !OidIsValid(type->eq_opr))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("column \"%s\" can't be in the key of module \"%s\": type %s has no order",
							NameStr(att->attname), module->name, format_type_be(att->atttypid))));
		fmgr_info_copy(&key->cmp[i], &type->cmp_proc_finfo, context);
		getTypeOutputInfo(typid, &output, &varlena);
		fmgr_info_cxt(output, &key->output[i], context);
		TupleDescInitEntry(key->desc, i + 1, psprintf("r%d", i + 1), typid, -1, 0);
		TupleDescInitEntryCollation(key->desc, i + 1, att->attcollation);
	}
	MemoryContextSwitchTo(old);
	return key;
}

/*
 * crmio_record_key_cmp
 *		Order of two keys.
 */
int
crmio_record_key_cmp(const RecordKey *key, const Datum *a, const Datum *b)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		int			cmp = DatumGetInt32(FunctionCall2Coll(&key->cmp[i],
														  TupleDescAttr(key->desc, i)->attcollation,
														  a[i], b[i]));

		if (cmp != 0)
			return cmp;
	}
	return 0;
}

/*
 * crmio_record_key_hash
 *		Of a key as it is stored: its bytes tell.
 */
uint64
crmio_record_key_hash(const RecordKey *key, const Datum *value)
{
	uint64		hash = 0;

	for (int i = 0; i < key->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(key->desc, i);

		hash = hash_combine64(hash, datum_image_hash(value[i], att->attbyval, att->attlen));
	}
	return hash;
}

/*
 * crmio_record_key_copy
 *		A copy in CurrentMemoryContext.
 */
Datum *
crmio_record_key_copy(const RecordKey *key, const Datum *value)
{
	Datum	   *copy = palloc(sizeof(Datum) * key->ncolumns);

	for (int i = 0; i < key->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(key->desc, i);

		copy[i] = datumCopy(value[i], att->attbyval, att->attlen);
	}
	return copy;
}

/*
 * crmio_record_key_integer
 *		The key as an integer, if that is what it is.
 */
bool
crmio_record_key_integer(const RecordKey *key, const Datum *value, int64 *integer)
{
	if (key->ncolumns != 1)
		return false;
	switch (TupleDescAttr(key->desc, 0)->atttypid)
	{
		case INT2OID:
			*integer = DatumGetInt16(value[0]);
			return true;
		case INT4OID:
			*integer = DatumGetInt32(value[0]);
			return true;
		case INT8OID:
			*integer = DatumGetInt64(value[0]);
			return *integer < PG_INT64_MAX; /* a range ends before its upper bound */
		default:
			return false;
	}
}

/*
 * crmio_record_key_text
 *		As history keeps it: the value of a single column, a row literal of several.
 */
char *
crmio_record_key_text(const RecordKey *key, const Datum *value)
{
	bool	   *nulls;

	if (key->ncolumns == 1)
		return OutputFunctionCall(&key->output[0], value[0]);
	nulls = palloc0(sizeof(bool) * key->ncolumns);
	BlessTupleDesc(key->desc);
	return OidOutputFunctionCall(F_RECORD_OUT,
								 HeapTupleGetDatum(heap_form_tuple(key->desc,
																   unconstify(Datum *, value), nulls)));
}

/*
 * crmio_record_key_read
 *		The inverse of crmio_record_key_text, in CurrentMemoryContext.  An error if the
 *		key of the module has other columns now.
 */
void
crmio_record_key_read(const RecordKey *key, const char *text, Datum *value)
{
	Oid			input;
	Oid			param;
	HeapTupleHeader row;
	HeapTupleData tuple;
	bool	   *nulls;

	if (key->ncolumns == 1)
	{
		getTypeInputInfo(TupleDescAttr(key->desc, 0)->atttypid, &input, &param);
		value[0] = OidInputFunctionCall(input, unconstify(char *, text), param, -1);
		return;
	}
	BlessTupleDesc(key->desc);
	row = DatumGetHeapTupleHeader(OidFunctionCall3(F_RECORD_IN, CStringGetDatum(text),
												   ObjectIdGetDatum(RECORDOID),
												   Int32GetDatum(key->desc->tdtypmod)));
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	nulls = palloc(sizeof(bool) * key->ncolumns);
	heap_deform_tuple(&tuple, key->desc, value, nulls);
}

/*
 * crmio_record_key_equals
 *		Do two modules on one table identify its records by the same columns?
 */
bool
crmio_record_key_equals(const RecordKey *a, const RecordKey *b)
{
	return a->ncolumns == b->ncolumns &&
		memcmp(a->attnums, b->attnums, sizeof(AttrNumber) * a->ncolumns) == 0;
}

/*
 * crmio_append_key_condition
 *		Conditions that the key of a record of the module's table equals the columns r1,
 *		r2, ... of another relation.
 */
void
crmio_append_key_condition(StringInfo sql, const Module *module, const RecordKey *key,
						   const char *alias)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		const char *column = quote_identifier(get_attname(module->relid, key->attnums[i], false));

		appendStringInfo(sql, "%s%s", i > 0 ? " AND " : "",
						 crmio_equality_sql(psprintf(TARGET_ALIAS ".%s", column),
											TupleDescAttr(key->desc, i)->atttypid,
											psprintf("%s.r%d", alias, i + 1)));
	}
}

/*
 * crmio_key_is_indexed
 *		Does an index find a record by its key?  Decided by a plan, so it is right for
 *		partitioned tables and views too.
 */
bool
crmio_key_is_indexed(const Module *module, const RecordKey *key)
{
	StringInfoData sql;
	RowSet	   *empty = crmio_rowset_create(key->desc);
	Statement  *statement;
	bool		indexed;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 1 FROM " BATCH_RELATION " CROSS JOIN LATERAL (SELECT 1 FROM %s " TARGET_ALIAS " WHERE ",
					 module->relation);
	crmio_append_key_condition(&sql, module, key, BATCH_RELATION);
	appendStringInfoString(&sql, " OFFSET 0) crmio_found");
	statement = crmio_statement_create(CurrentMemoryContext, sql.data, true);
	indexed = crmio_statement_uses_index(statement, empty, TARGET_ALIAS);
	crmio_rowset_free(empty);
	return indexed;
}

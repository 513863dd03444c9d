/*
 * lookup.c
 *	  Finds existing records for a whole batch with one statement (lookup.h).
 *
 * The keys of the batch are joined with the table, one index lookup per key.  If
 * no index serves the fields, a temporary table of keys is made by one scan and
 * kept up with what the import writes, so the cost stays linear in both.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "import/lookup.h"
#include "import/values.h"

/*
 * More records than this with one key are as good as this many: a row that matches
 * them is ambiguous.
 */
#define MAX_HITS 100

/*
 * crmio_key_form
 *		How values of a field are compared.  Names compare case-insensitively in
 *		references; in a match they do if an index keeps them so.
 */
KeyForm
crmio_key_form(const Field *field, bool for_reference)
{
	switch (field->kind)
	{
		case KIND_EMAIL:
		case KIND_DOMAIN:
			return KEY_LOWER;
		case KIND_PHONE:
			return KEY_DIGITS;
		case KIND_TEXT:
			if (for_reference)
				return KEY_LOWER_TRIM;
			/* citext's own equality ignores case already */
			if (!field->casefold || field->typid >= FirstNormalObjectId)
				return KEY_NATIVE;
			return field->casefold_trimmed ? KEY_LOWER_TRIM : KEY_LOWER;
		default:
			return KEY_NATIVE;
	}
}

/*
 * column_sql
 *		A column of the module's table.
 */
static char *
column_sql(TupleDesc desc, AttrNumber attnum)
{
	Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);

	return psprintf(TARGET_ALIAS ".%s", quote_identifier(NameStr(att->attname)));
}

/*
 * key_sql
 *		The expression that gives a record's key for a field, in its form.
 */
static char *
key_sql(TupleDesc desc, const LookupField *field, int position)
{
	Form_pg_attribute att = TupleDescAttr(desc, field->attnum - 1);
	char	   *column;

	if (field->in_list)
		column = psprintf("crmio_list%d.value", position);
	else
	{
		column = column_sql(desc, field->attnum);
		if (field->form != KEY_NATIVE && att->atttypid != TEXTOID)
			column = psprintf("(%s)::pg_catalog.text", column);
	}

	switch (field->form)
	{
		case KEY_LOWER:
			return psprintf("pg_catalog.lower(%s)", column);
		case KEY_LOWER_TRIM:
			return psprintf("pg_catalog.lower(pg_catalog.btrim(%s))", column);
		case KEY_DIGITS:
			return psprintf("pg_catalog.regexp_replace(%s, '[^0-9]', '', 'g')", column);
		case KEY_NATIVE:
			break;
	}
	return column;
}

/*
 * append_lists
 *		Joins the entries of the typed lists that the lookup is by.
 */
static void
append_lists(StringInfo sql, const Lookup *lookup)
{
	for (int i = 0; i < lookup->nfields; i++)
	{
		const LookupField *field = &lookup->fields[i];
		char	   *column;

		if (!field->in_list)
			continue;
		column = column_sql(lookup->desc, field->attnum);
		appendStringInfo(sql, " CROSS JOIN LATERAL (SELECT entry OPERATOR(pg_catalog.->>) 'value' AS value"
						 " FROM pg_catalog.jsonb_array_elements(CASE WHEN pg_catalog.jsonb_typeof(%s)"
						 " OPERATOR(pg_catalog.=) 'array' THEN %s ELSE '[]' END) entry", column, column);
		appendStringInfo(sql, ") crmio_list%d", i + 1);
	}
}

/*
 * find_sql
 *		The statement that finds the records of a batch of keys.  The subquery can't be
 *		pulled up, for its LIMIT: the planner looks each key up, in whatever order it
 *		would like to join.
 */
static char *
find_sql(const Lookup *lookup, bool lock)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT " BATCH_RELATION ".position, crmio_found.* FROM " BATCH_RELATION
						   " CROSS JOIN LATERAL (SELECT ");
	for (int i = 0; i < lookup->module->nkeys; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 column_sql(lookup->desc, lookup->module->key_attnums[i]));
	for (int i = 0; i < lookup->ncolumns; i++)
		appendStringInfo(&sql, ", %s", column_sql(lookup->desc, lookup->columns[i]));
	if (lock && lookup->has_xmin)
		appendStringInfoString(&sql, ", " TARGET_ALIAS ".xmin");
	if (lookup->keys_table != NULL)
	{
		appendStringInfo(&sql, " FROM %s crmio_keys JOIN %s " TARGET_ALIAS " ON ",
						 lookup->keys_table, lookup->module->relation);
		crmio_append_key_condition(&sql, lookup->module, lookup->key, "crmio_keys");
	}
	else
		appendStringInfo(&sql, " FROM %s " TARGET_ALIAS, lookup->module->relation);
	append_lists(&sql, lookup);
	for (int i = 0; i < lookup->nfields; i++)
	{
		char	   *key = psprintf(BATCH_RELATION ".k%d", i + 1);
		Oid			typid = lookup->fields[i].typid;

		appendStringInfo(&sql, "%s%s", i > 0 ? " AND " : " WHERE ",
						 crmio_equality_sql(key_sql(lookup->desc, &lookup->fields[i], i + 1), typid, key));
		if (lookup->keys_table != NULL)
			appendStringInfo(&sql, " AND %s",
							 crmio_equality_sql(psprintf("crmio_keys.k%d", i + 1), typid, key));
	}
	for (int i = 0; lookup->lowest_first && i < lookup->module->nkeys; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : " ORDER BY ",
						 column_sql(lookup->desc, lookup->module->key_attnums[i]));
	appendStringInfo(&sql, " LIMIT %d%s) crmio_found", MAX_HITS,
					 lock ? " FOR NO KEY UPDATE OF " TARGET_ALIAS : "");
	return sql.data;
}

/*
 * init_field
 *		Type and functions of a key in its form.
 */
static void
init_field(TupleDesc desc, LookupField *field, MemoryContext context)
{
	Form_pg_attribute att = TupleDescAttr(desc, field->attnum - 1);
	TypeCacheEntry *type;

	field->typid = TEXTOID;
	field->typmod = -1;
	field->collation = OidIsValid(att->attcollation) ? att->attcollation : DEFAULT_COLLATION_OID;
	if (field->form == KEY_NATIVE)
	{
		field->typmod = att->atttypmod;
		field->typid = getBaseTypeAndTypmod(att->atttypid, &field->typmod);
		field->collation = att->attcollation;
	}
	type = lookup_type_cache(field->typid, TYPECACHE_EQ_OPR | TYPECACHE_EQ_OPR_FINFO |
							 TYPECACHE_HASH_EXTENDED_PROC_FINFO);
	if (!OidIsValid(type->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("records can't be found by column \"%s\": type %s has no equality",
						NameStr(att->attname), format_type_be(field->typid))));
	fmgr_info_copy(&field->equal, &type->eq_opr_finfo, context);
	field->hashable = OidIsValid(type->hash_extended_proc_finfo.fn_oid);
	if (field->hashable)
		fmgr_info_copy(&field->hash, &type->hash_extended_proc_finfo, context);
}

/*
 * crmio_lookup_create
 *		A lookup by the given fields, which also fetches the given columns.  It
 *		lives in the given context.
 */
Lookup *
crmio_lookup_create(MemoryContext context, const Module *module, Relation rel,
					int nfields, LookupField *fields, int ncolumns, AttrNumber *columns,
					bool lowest_first)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Lookup	   *lookup = palloc0(sizeof(Lookup));
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(rel));

	lookup->module = module;
	lookup->desc = desc;
	lookup->relkind = rel->rd_rel->relkind;
	lookup->nfields = nfields;
	lookup->fields = fields;
	lookup->ncolumns = ncolumns;
	lookup->columns = columns;
	lookup->lowest_first = lowest_first;

	lookup->batch_desc = CreateTemplateTupleDesc(1 + nfields);
	TupleDescInitEntry(lookup->batch_desc, 1, "position", INT4OID, -1, 0);
	for (int i = 0; i < nfields; i++)
	{
		init_field(desc, &fields[i], context);
		TupleDescInitEntry(lookup->batch_desc, i + 2, psprintf("k%d", i + 1),
						   fields[i].typid, -1, 0);
		TupleDescInitEntryCollation(lookup->batch_desc, i + 2, fields[i].collation);
	}

	lookup->key = crmio_record_key_create(context, module, rel);
	lookup->find = crmio_statement_create(context, find_sql(lookup, false), true);
	MemoryContextSwitchTo(old);
	return lookup;
}

/*
 * type_name
 *		A type as SQL names it, without a length: that of "character" alone is 1.
 */
static char *
type_name(Oid typid)
{
	return format_type_extended(typid, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/*
 * collation_name
 *		A collation as SQL names it.
 */
static char *
collation_name(Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	name = quote_qualified_identifier(get_namespace_name(form->collnamespace),
									  NameStr(form->collname));
	ReleaseSysCache(tuple);
	return name;
}

/*
 * missing_index
 *		The index to make for a lookup that none serves; NULL if none could.
 */
static char *
missing_index(const Lookup *lookup)
{
	StringInfoData exprs;

	initStringInfo(&exprs);
	for (int i = 0; i < lookup->nfields; i++)
	{
		LookupField field = lookup->fields[i];
		char	   *expr;

		if (field.in_list)
			return NULL;		/* no index could serve */
		expr = key_sql(lookup->desc, &field, i + 1);
		/* as a user writes it: without alias and schema names */
		for (char *p; (p = strstr(expr, TARGET_ALIAS ".")) != NULL;)
			memmove(p, p + strlen(TARGET_ALIAS "."), strlen(p + strlen(TARGET_ALIAS ".")) + 1);
		for (char *p; (p = strstr(expr, "pg_catalog.")) != NULL;)
			memmove(p, p + strlen("pg_catalog."), strlen(p + strlen("pg_catalog.")) + 1);
		appendStringInfo(&exprs, "%s%s", i > 0 ? ", " : "", expr);
	}
	return psprintf("CREATE INDEX ON %s (%s)", lookup->module->relation, exprs.data);
}

/*
 * A temporary table of keys that outlives its transaction, for an import of many
 * transactions: one scan of the module's table for each would take quadratic time.
 */
typedef struct KeysTable
{
	char	   *definition;		/* columns and query, as SQL */
	char	   *name;
	bool		in_use;			/* by a lookup of the plan at hand */
} KeysTable;

static bool keep_tables = false;
static MemoryContext kept_context = NULL;
static List *kept_tables = NIL; /* of KeysTable *, in kept_context */

/*
 * crmio_lookup_forget_tables
 *		An import of many transactions opens its file: there are no tables of keys yet.
 */
void
crmio_lookup_forget_tables(void)
{
	if (kept_context == NULL)
		kept_context = AllocSetContextCreate(TopMemoryContext, "crmio tables of keys",
											 ALLOCSET_SMALL_SIZES);
	MemoryContextReset(kept_context);
	kept_tables = NIL;
	keep_tables = false;
}

/*
 * crmio_lookup_keep_tables
 *		The plan that is made next is for one of several transactions of an import.  Tables
 *		of keys made in earlier ones serve again if they are still valid, else they are
 *		dropped.  The caller holds an SPI connection.
 */
void
crmio_lookup_keep_tables(bool valid)
{
	ListCell   *lc;

	foreach(lc, kept_tables)
	{
		KeysTable  *table = lfirst(lc);

		table->in_use = false;
		if (!valid)
			SPI_execute(psprintf("DROP TABLE %s", table->name), false, 0);
	}
	if (!valid)
		crmio_lookup_forget_tables();
	keep_tables = true;
}

/*
 * find_keys_table
 *		A table of keys from an earlier transaction that no other lookup uses, or NULL.
 */
static char *
find_keys_table(const char *definition)
{
	ListCell   *lc;

	foreach(lc, kept_tables)
	{
		KeysTable  *table = lfirst(lc);

		if (!table->in_use && strcmp(table->definition, definition) == 0)
		{
			table->in_use = true;
			return table->name;
		}
	}
	return NULL;
}

/*
 * create_keys_table
 *		Makes a temporary table of keys by one scan of the module's table, and returns its
 *		name.
 */
static char *
create_keys_table(const Lookup *lookup, const char *columns, const char *query)
{
	static uint32 serial = 0;	/* several lookups of a session have one each */
	MemoryContext old = CurrentMemoryContext;
	char	   *table = psprintf("crmio_keys_%u", ++serial);
	char	   *name = psprintf("pg_temp.%s", table);
	StringInfoData sql;

	SPI_execute(psprintf("CREATE TEMPORARY TABLE %s (%s) ON COMMIT %s", table, columns,
						 keep_tables ? "PRESERVE ROWS" : "DROP"), false, 0);
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s %s", name, query);
	append_lists(&sql, lookup);
	SPI_execute(sql.data, false, 0);

	/* a hash index takes values of any length */
	resetStringInfo(&sql);
	appendStringInfo(&sql, "CREATE INDEX ON %s USING %s (", name,
					 lookup->nfields == 1 && lookup->fields[0].hashable ? "hash" : "btree");
	for (int i = 0; i < lookup->nfields; i++)
		appendStringInfo(&sql, "%sk%d", i > 0 ? ", " : "", i + 1);
	appendStringInfoChar(&sql, ')');
	SPI_execute(sql.data, false, 0);
	SPI_execute(psprintf("ANALYZE %s", name), false, 0);
	MemoryContextSwitchTo(old);

	if (keep_tables)
	{
		KeysTable  *kept;

		old = MemoryContextSwitchTo(kept_context);
		kept = palloc(sizeof(KeysTable));
		kept->definition = psprintf("%s %s", columns, query);
		kept->name = pstrdup(name);
		kept->in_use = true;
		kept_tables = lappend(kept_tables, kept);
		MemoryContextSwitchTo(old);
	}
	return name;
}

/*
 * bind_keys_table
 *		Gives a lookup that no index serves a temporary table of keys.
 */
static void
bind_keys_table(Lookup *lookup, MemoryContext context)
{
	StringInfoData columns;
	StringInfoData query;
	StringInfoData insert;
	char	   *name;

	if (crmio_database_aclcheck(MyDatabaseId, GetUserId(), ACL_CREATE_TEMP) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no index serves the lookup of existing records in table %s, and temporary tables are not allowed",
						lookup->module->relation),
				 errhint("Create an index%s%s, or grant the TEMPORARY privilege on the database.",
						 missing_index(lookup) ? ": " : "",
						 missing_index(lookup) ? missing_index(lookup) : "")));

	initStringInfo(&columns);
	initStringInfo(&query);
	initStringInfo(&insert);
	appendStringInfoString(&query, "SELECT DISTINCT ");
	for (int i = 0; i < lookup->nfields; i++)
	{
		const LookupField *field = &lookup->fields[i];

		appendStringInfo(&columns, "k%d %s", i + 1, type_name(field->typid));
		if (OidIsValid(field->collation) && field->collation != DEFAULT_COLLATION_OID)
			appendStringInfo(&columns, " COLLATE %s", collation_name(field->collation));
		appendStringInfoString(&columns, ", ");
		appendStringInfo(&query, "%s, ", key_sql(lookup->desc, field, i + 1));
	}
	for (int i = 0; i < lookup->module->nkeys; i++)
	{
		appendStringInfo(&columns, "%sr%d %s", i > 0 ? ", " : "", i + 1,
						 type_name(TupleDescAttr(lookup->key->desc, i)->atttypid));
		appendStringInfo(&query, "%s%s", i > 0 ? ", " : "",
						 column_sql(lookup->desc, lookup->module->key_attnums[i]));
	}
	appendStringInfo(&query, " FROM %s " TARGET_ALIAS, lookup->module->relation);

	name = find_keys_table(psprintf("%s %s", columns.data, query.data));
	if (name == NULL)
		name = create_keys_table(lookup, columns.data, query.data);
	lookup->keys_table = MemoryContextStrdup(context, name);

	/* the same expressions, for the records that the import writes */
	appendStringInfo(&insert, "INSERT INTO %s %s JOIN " BATCH_RELATION " ON ", name, query.data);
	crmio_append_key_condition(&insert, lookup->module, lookup->key, BATCH_RELATION);
	append_lists(&insert, lookup);
	lookup->add_keys = crmio_statement_create(context, insert.data, true);
}

/*
 * crmio_lookup_prepare
 *		Checks the caller's right to look, and finds out whether an index serves.
 *		Adds to *warnings the CREATE INDEX that would help.  If the lookup is not to be
 *		used, only checked, no table is read.  The caller holds an SPI connection.
 */
void
crmio_lookup_prepare(Lookup *lookup, bool will_lock, bool will_find, List **warnings)
{
	MemoryContext context = GetMemoryChunkContext(lookup);
	RowSet	   *empty = crmio_rowset_create(lookup->batch_desc);

	if (!crmio_statement_uses_index(lookup->find, empty, TARGET_ALIAS))
	{
		char	   *index = missing_index(lookup);

		if (will_find)
		{
			bind_keys_table(lookup, context);
			lookup->find = crmio_statement_create(context, find_sql(lookup, false), true);
			if (!crmio_statement_uses_index(lookup->find, empty, TARGET_ALIAS))
				lookup->find->use_indexes = lookup->add_keys->use_indexes = false;
		}
		/* with row-level security the server may not use an index that is there */
		if (index != NULL && (lookup->relkind == RELKIND_RELATION || lookup->relkind == RELKIND_PARTITIONED_TABLE) &&
			check_enable_rls(lookup->module->relid, InvalidOid, true) != RLS_ENABLED)
			*warnings = lappend(*warnings, psprintf("%s;", index));
	}
	/* grants on single columns don't include it */
	lookup->has_xmin = (lookup->relkind == RELKIND_RELATION || lookup->relkind == RELKIND_PARTITIONED_TABLE) &&
		pg_class_aclcheck(lookup->module->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	lookup->find_locked =
		crmio_statement_create(context, find_sql(lookup, true), lookup->find->use_indexes);
	if (will_lock)
		crmio_statement_check_rights(lookup->find_locked, empty);
	crmio_rowset_free(empty);
}

/*
 * ascii_digits
 *		The digits of a phone number, as the SQL expression has them.
 */
static text *
ascii_digits(const char *phone, size_t length)
{
	text	   *digits = palloc(VARHDRSZ + length);
	char	   *to = VARDATA(digits);

	for (size_t i = 0; i < length; i++)
	{
		if (phone[i] >= '0' && phone[i] <= '9')
			*to++ = phone[i];
	}
	SET_VARSIZE(digits, to - (char *) digits);
	return digits;
}

/*
 * crmio_lookup_key
 *		Brings a value into the form in which it is compared; false if nothing is
 *		left of it.
 */
bool
crmio_lookup_key(const LookupField *field, Oid value_type, Datum value, Datum *key)
{
	char	   *string;
	size_t		length;
	text	   *form;

	if (field->form == KEY_NATIVE)
	{
		*key = value;
		return true;
	}
	if (value_type == TEXTOID || value_type == VARCHAROID)
	{
		text	   *written = DatumGetTextPP(value);

		string = VARDATA_ANY(written);
		length = VARSIZE_ANY_EXHDR(written);
		if (field->form == KEY_LOWER_TRIM)
			string = pnstrdup(string, length);
	}
	else
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(value_type, &output, &varlena);
		string = OidOutputFunctionCall(output, value);
		length = strlen(string);
	}

	if (field->form == KEY_LOWER_TRIM)
	{
		string = crmio_trim(string);
		length = strlen(string);
	}
	form = field->form == KEY_DIGITS ? ascii_digits(string, length) :
		crmio_lower_text(string, length, field->collation);
	*key = PointerGetDatum(form);
	return VARSIZE(form) > VARHDRSZ;
}

/*
 * crmio_lookup_keys
 *		Room for the keys of a batch, all absent, in CurrentMemoryContext.
 */
LookupKeys *
crmio_lookup_keys(const Lookup *lookup, int nrows)
{
	LookupKeys *keys = palloc(sizeof(LookupKeys));

	keys->nrows = nrows;
	keys->values = palloc0(sizeof(Datum) * nrows * lookup->nfields);
	keys->present = palloc0(sizeof(bool) * nrows);
	return keys;
}

/* For sorting keys: text by its bytes, of which the first stand ahead; anything else as it comes. */
typedef struct SortKey
{
	uint64		prefix;
	const char *rest;			/* of a text that is longer than the prefix, or NULL */
	int			rest_len;
	int			position;
} SortKey;

static int
compare_sort_keys(const void *a, const void *b)
{
	const SortKey *left = a;
	const SortKey *right = b;
	int			order = 0;

	if (left->prefix != right->prefix)
		return left->prefix < right->prefix ? -1 : 1;
	if (left->rest != NULL && right->rest != NULL)
		order = memcmp(left->rest, right->rest, Min(left->rest_len, right->rest_len));
	if (order == 0)
		order = left->rest_len - right->rest_len;
	return order != 0 ? order : left->position - right->position;
}

/*
 * crmio_lookup_order
 *		Positions of all rows, those near to each other in the index side by side:
 *		looking them up, and writing them, touches each page of the index once.  Rows
 *		without a key come last, in their order.
 */
int *
crmio_lookup_order(const Lookup *lookup, const LookupKeys *keys)
{
	SortKey    *sort = palloc(sizeof(SortKey) * Max(keys->nrows, 1));
	int		   *order = palloc(sizeof(int) * Max(keys->nrows, 1));

	for (int i = 0; i < keys->nrows; i++)
	{
		Datum		key = keys->values[(Size) i * lookup->nfields];

		sort[i].position = i;
		sort[i].rest = NULL;
		sort[i].rest_len = 0;
		if (!keys->present[i])
			sort[i].prefix = PG_UINT64_MAX;
		else if (lookup->fields[0].typid == TEXTOID)
		{
			unsigned char bytes[sizeof(uint64)] = {0};
			text	   *value = DatumGetTextPP(key);
			int			len = VARSIZE_ANY_EXHDR(value);

			memcpy(bytes, VARDATA_ANY(value), Min(len, sizeof(bytes)));
			memcpy(&sort[i].prefix, bytes, sizeof(bytes));
			sort[i].prefix = pg_ntoh64(sort[i].prefix);
			if (len > sizeof(bytes))
			{
				sort[i].rest = VARDATA_ANY(value) + sizeof(bytes);
				sort[i].rest_len = len - sizeof(bytes);
			}
		}
		else if (TupleDescAttr(lookup->batch_desc, 1)->attbyval)
			sort[i].prefix = (uint64) key;
		else
			sort[i].prefix = 0;
	}
	qsort(sort, keys->nrows, sizeof(SortKey), compare_sort_keys);
	for (int i = 0; i < keys->nrows; i++)
		order[i] = sort[i].position;
	pfree(sort);
	return order;
}

/*
 * is_known_hit
 *		A typed list, or the table of keys, may hold the same value twice: is the record
 *		in the list?
 */
static bool
is_known_hit(const Lookup *lookup, LookupHit *hits, const Datum *key)
{
	for (LookupHit *hit = hits; hit != NULL; hit = hit->next)
	{
		if (crmio_record_key_cmp(lookup->key, hit->key, key) == 0)
			return true;
	}
	return false;
}

/*
 * collect_hits
 *		Sorts the result of the statement by the rows of the batch; of the hits of a row
 *		the one with the lowest key comes first.
 */
static LookupHit **
collect_hits(const Lookup *lookup, int nrows, SPITupleTable *table, uint64 nhits)
{
	int			nkeys = lookup->module->nkeys;
	int			width = 1 + nkeys + lookup->ncolumns;
	bool		has_xmin = table->tupdesc->natts > width;
	LookupHit **hits = palloc0(sizeof(LookupHit *) * Max(nrows, 1));
	bool		repeats = lookup->keys_table != NULL;

	for (int i = 0; i < lookup->nfields; i++)
		repeats |= lookup->fields[i].in_list;
	for (uint64 i = 0; i < nhits; i++)
	{
		Datum	   *values = palloc(sizeof(Datum) * (width + 1));
		bool	   *nulls = palloc(sizeof(bool) * (width + 1));
		LookupHit **place;
		LookupHit  *hit;

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(table->vals[i], table->tupdesc, values, nulls);
		for (int k = 1; k <= nkeys; k++)
		{
			if (nulls[k])
				ereport(ERROR,
						(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						 errmsg("a record of module \"%s\" has null in its key", lookup->module->name),
						 errhint("The option \"key\" must name columns that are never null.")));
		}
		place = &hits[DatumGetInt32(values[0])];
		if (repeats && is_known_hit(lookup, *place, values + 1))
			continue;
		hit = palloc(sizeof(LookupHit));
		hit->key = values + 1;
		hit->values = values + 1 + nkeys;
		hit->nulls = nulls + 1 + nkeys;
		hit->xmin = has_xmin ? DatumGetTransactionId(values[width]) : InvalidTransactionId;
		if (*place != NULL && crmio_record_key_cmp(lookup->key, (*place)->key, hit->key) < 0)
			place = &(*place)->next;
		hit->next = *place;
		*place = hit;
	}
	return hits;
}

/*
 * crmio_lookup_find
 *		Finds the records of all keys; returns a list of hits per row.  The hits live
 *		in CurrentMemoryContext, their values as long as the SPI connection that the
 *		caller holds.  With lock, the records are locked against changes.
 */
LookupHit **
crmio_lookup_find(Lookup *lookup, const LookupKeys *keys, const int *order, bool lock)
{
	RowSet	   *rows = crmio_rowset_create(lookup->batch_desc);
	Datum	   *values = palloc(sizeof(Datum) * (1 + lookup->nfields));
	bool	   *nulls = palloc0(sizeof(bool) * (1 + lookup->nfields));
	LookupHit **hits;

	for (int i = 0; i < keys->nrows; i++)
	{
		int			row = order ? order[i] : i;

		if (!keys->present[row])
			continue;
		values[0] = Int32GetDatum(row);
		memcpy(values + 1, keys->values + (Size) row * lookup->nfields,
			   sizeof(Datum) * lookup->nfields);
		crmio_rowset_add(rows, values, nulls);
	}
	if (rows->nrows > 0)
	{
		crmio_statement_run(lock ? lookup->find_locked : lookup->find, rows);
		hits = collect_hits(lookup, keys->nrows, SPI_tuptable, SPI_processed);
	}
	else
		hits = palloc0(sizeof(LookupHit *) * Max(keys->nrows, 1));
	crmio_rowset_free(rows);
	return hits;
}

/*
 * crmio_lookup_added
 *		Records were written: where there is a table of keys, theirs go in.  (Keys that
 *		a record no longer has do no harm: a lookup compares with the record too.)
 */
void
crmio_lookup_added(Lookup *lookup, int nrecords, Datum **keys)
{
	RowSet	   *rows;
	bool	   *nulls;

	if (lookup->keys_table == NULL || nrecords == 0)
		return;
	rows = crmio_rowset_create(lookup->key->desc);
	nulls = palloc0(sizeof(bool) * lookup->module->nkeys);
	for (int i = 0; i < nrecords; i++)
		crmio_rowset_add(rows, keys[i], nulls);
	crmio_statement_run(lookup->add_keys, rows);
	crmio_rowset_free(rows);
}

/*
 * crmio_lookup_hash
 *		Keys that are equal have the same hash.
 */
uint64
crmio_lookup_hash(const Lookup *lookup, const Datum *key)
{
	uint64		hash = 0;

	for (int i = 0; i < lookup->nfields; i++)
	{
		LookupField *field = &lookup->fields[i];

		if (!field->hashable)
			continue;
		hash = hash_combine64(hash, DatumGetUInt64(FunctionCall2Coll(&field->hash, field->collation,
																	 key[i], UInt64GetDatum(0))));
	}
	return hash;
}

/*
 * crmio_lookup_equal
 *		Do two keys find the same records?
 */
bool
crmio_lookup_equal(const Lookup *lookup, const Datum *a, const Datum *b)
{
	for (int i = 0; i < lookup->nfields; i++)
	{
		LookupField *field = &lookup->fields[i];

		if (!DatumGetBool(FunctionCall2Coll(&field->equal, field->collation, a[i], b[i])))
			return false;
	}
	return true;
}

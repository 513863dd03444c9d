/*
 * keys.c
 *	  What a table's indexes say: the key that identifies a record, the fields
 *	  that match one, and which of them compare by lower().
 */
#include "catalog/derive.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "nodes/nodes.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

/*
 * The live column with this name; an error if there is none.
 */
static AttrNumber
key_column_number(Relation rel, const char *name)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *names = NIL;
	const char *closest;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
		names = lappend(names, NameStr(att->attname));
	}
	closest = crmio_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist",
					crmio_clip(name), RelationGetRelationName(rel)),
			 errdetail("Option \"key\" names it."),
			 closest ? errhint("Perhaps you meant the column \"%s\".", closest) : 0));
	return InvalidAttrNumber;	/* keep compiler quiet */
}

/*
 * The columns of the primary key, as a List of int; NIL if there is none.
 */
static List *
primary_key(Relation rel)
{
	List	   *attnums = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		int			i;

		if (form->indisprimary)
		{
			for (i = 0; i < form->indnkeyatts; i++)
				attnums = lappend_int(attnums, form->indkey.values[i]);
		}
		index_close(index, NoLock);
	}
	return attnums;
}

/*
 * The columns of the first unique index on columns that are never null, as a List of
 * int: as good as a primary key.  NIL if there is none.
 */
static List *
unique_key(Relation rel)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		List	   *attnums = NIL;
		bool		good = form->indisunique && form->indimmediate && form->indisvalid &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);

		for (int i = 0; i < form->indnkeyatts; i++)
		{
			AttrNumber	attnum = form->indkey.values[i];

			good = good && attnum > 0 &&
				TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attnotnull;
			attnums = lappend_int(attnums, attnum);
		}
		index_close(index, NoLock);
		if (good)
			return attnums;
	}
	return NIL;
}

/*
 * The columns that identify a record: those the options name, else the primary
 * key, else a unique index.  NIL if there are none.
 */
static List *
key_columns(Relation rel, ModuleOptions *options)
{
	List	   *attnums = NIL;
	ListCell   *lc;

	if (options->key == NIL)
	{
		attnums = primary_key(rel);
		return attnums != NIL ? attnums : unique_key(rel);
	}
	foreach(lc, options->key)
		attnums = list_append_unique_int(attnums, key_column_number(rel, lfirst(lc)));
	return attnums;
}

/*
 * The key, if it is a single column; else InvalidAttrNumber.
 */
AttrNumber
crmio_key_column(Relation rel, ModuleOptions *options)
{
	List	   *attnums = key_columns(rel, options);

	return list_length(attnums) == 1 ? linitial_int(attnums) : InvalidAttrNumber;
}

/*
 * Sets the key of a module; a table without one can't be a module.
 */
void
crmio_derive_keys(Module *module, Relation rel, ModuleOptions *options)
{
	List	   *attnums = key_columns(rel, options);
	ListCell   *lc;

	foreach(lc, attnums)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), lfirst_int(lc) - 1);

		if (!att->attnotnull && rel->rd_rel->relkind != RELKIND_VIEW &&
			rel->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of table \"%s\" can't be its key, because it may be null",
							NameStr(att->attname), RelationGetRelationName(rel)),
					 errhint("Make it NOT NULL, or name other columns in the option \"key\".")));
	}
	if (attnums == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 rel->rd_rel->relkind == RELKIND_VIEW ?
				 errmsg("view \"%s\" needs the option \"key\" to be a module",
						RelationGetRelationName(rel)) :
				 errmsg("table \"%s\" has no primary key", RelationGetRelationName(rel)),
				 errhint("Name the columns that identify a record: crm_register_module(..., '{\"key\": \"code\"}').")));
	module->key_attnums = palloc(sizeof(AttrNumber) * list_length(attnums));
	foreach(lc, attnums)
		module->key_attnums[module->nkeys++] = lfirst_int(lc);
}

/*
 * The argument of a call of a function of one argument, below casts that change
 * nothing; NULL if the expression is something else.
 */
static Node *
argument_of(Node *node, Oid function)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, FuncExpr) || ((FuncExpr *) node)->funcid != function)
		return NULL;
	node = linitial(((FuncExpr *) node)->args);
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * The column inside lower(column) or lower(btrim(column)), or InvalidAttrNumber.
 */
static AttrNumber
lower_column(Node *node, bool *trimmed)
{
	Node	   *inner;

	*trimmed = false;
	node = argument_of(node, F_LOWER_TEXT);
	if (node == NULL)
		return InvalidAttrNumber;
	inner = argument_of(node, F_BTRIM_TEXT);
	if (inner != NULL)
	{
		*trimmed = true;
		node = inner;
	}
	return IsA(node, Var) ? ((Var *) node)->varattno : InvalidAttrNumber;
}

/*
 * The expressions of an index as they were written.  The relcache would evaluate
 * what is constant in them, and so run functions of the table's owner.
 */
static List *
index_expressions(Relation index)
{
	bool		isnull;
	Datum		source = SysCacheGetAttr(INDEXRELID, index->rd_indextuple,
										 Anum_pg_index_indexprs, &isnull);

	return isnull ? NIL : (List *) stringToNode(TextDatumGetCString(source));
}

/*
 * The fields that an index is on, plainly or by lower(), as a List of char *; NIL
 * if it is on anything else.  Marks those that it keeps by lower().
 */
static List *
index_fields(Module *module, Relation index)
{
	Form_pg_index form = index->rd_index;
	List	   *expressions = index_expressions(index);
	ListCell   *next = list_head(expressions);
	List	   *names = NIL;
	bool		complete = true;
	int			i;

	for (i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	attnum = form->indkey.values[i];
		Field	   *field;

		if (attnum == 0)
		{
			bool		trimmed;

			attnum = lower_column(lfirst(next), &trimmed);
			next = lnext(expressions, next);
			field = crmio_module_field_by_attnum(module, attnum);
			if (field != NULL)
			{
				field->casefold = true;
				field->casefold_trimmed = trimmed;
			}
		}
		else
			field = crmio_module_field_by_attnum(module, attnum);
		if (attnum == InvalidAttrNumber || field == NULL || field->storage != STORAGE_SCALAR)
			complete = false;
		else
			names = lappend(names, field->name);
	}
	return complete ? names : NIL;
}

/*
 * Sets the match fields: those of the options; else those of the first unique
 * index beside the primary key; else the key, if it can be mapped; else none, and
 * then no row ever matches.
 */
void
crmio_derive_match(Module *module, Relation rel, ModuleOptions *options)
{
	List	   *match = NIL;
	ListCell   *lc;
	int			i;

	foreach(lc, RelationGetIndexList(rel))	/* in order of their OIDs */
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		List	   *names = index_fields(module, index);

		if (match == NIL && form->indisunique && form->indimmediate && form->indisvalid &&
			!form->indisprimary && !form->indisexclusion &&
			heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
			match = names;
		index_close(index, NoLock);
	}
	for (i = 0; match == NIL && i < module->nkeys; i++)
	{
		if (crmio_module_field_by_attnum(module, module->key_attnums[i]) == NULL)
			break;
	}
	if (match == NIL && i == module->nkeys)
	{
		for (i = 0; i < module->nkeys; i++)
			match = lappend(match, crmio_module_field_by_attnum(module,
																module->key_attnums[i])->name);
	}
	module->match = options->has_match ? options->match :
		match != NIL ? list_make1(match) : NIL;
}

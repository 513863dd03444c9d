/*
 * derive.c
 *	  From a table's columns and a registration's options to the fields of a
 *	  module.
 *
 * Every column is a field named after it, unless it is generated or the options
 * say otherwise.  A column with a foreign key to a registered table is a
 * reference.  Keys, match fields and what follows from indexes are in keys.c,
 * lists of values in choices.c.
 */
#include "catalog/derive.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "common/string.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* A foreign key of one column to the table of some module. */
typedef struct ForeignKey
{
	AttrNumber	attnum;
	Oid			relid;
	AttrNumber	ref_attnum;
	char	   *module;
} ForeignKey;

/* What deriving one module needs. */
typedef struct Deriving
{
	Module	   *module;
	Relation	rel;
	ModuleOptions *options;
	List	   *registrations;
	List	   *foreign_keys;	/* of ForeignKey * */
	bool		registering;
} Deriving;

/*
 * Collects the foreign keys of one column that lead to registered tables.
 */
static void
read_foreign_keys(Deriving *d)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(d->rel)));
	scan = systable_beginscan(rel, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		AttrNumber	columns[INDEX_MAX_KEYS];
		AttrNumber	ref_columns[INDEX_MAX_KEYS];
		int			count;
		char	   *module;
		ForeignKey *fk;

		if (form->contype != CONSTRAINT_FOREIGN)
			continue;
		DeconstructFkConstraintRow(tuple, &count, columns, ref_columns,
								   NULL, NULL, NULL, NULL, NULL);
		module = count == 1 ? crmio_reference_module(d->registrations, form->confrelid) : NULL;
		if (module == NULL)
			continue;
		fk = palloc(sizeof(ForeignKey));
		fk->attnum = columns[0];
		fk->relid = form->confrelid;
		fk->ref_attnum = ref_columns[0];
		fk->module = module;
		d->foreign_keys = lappend(d->foreign_keys, fk);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * The foreign key of a column to a registered table, or NULL.  If a table is
 * given, the foreign key to that one.
 */
static ForeignKey *
foreign_key(Deriving *d, AttrNumber attnum, Oid relid)
{
	ListCell   *lc;

	foreach(lc, d->foreign_keys)
	{
		ForeignKey *fk = lfirst(lc);

		if (fk->attnum == attnum && (!OidIsValid(relid) || fk->relid == relid))
			return fk;
	}
	return NULL;
}

/*
 * The live column with this name, or InvalidAttrNumber.
 */
static AttrNumber
column_number(Relation rel, const char *name)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
	}
	return InvalidAttrNumber;
}

/*
 * Complains about a column that an option names and the table doesn't have.
 */
static void
unknown_column(Deriving *d, const char *name, const char *option)
{
	TupleDesc	desc = RelationGetDescr(d->rel);
	List	   *names = NIL;
	const char *closest;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			names = lappend(names, NameStr(TupleDescAttr(desc, i)->attname));
	}
	closest = crmio_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of relation \"%s\" does not exist",
					crmio_clip(name), RelationGetRelationName(d->rel)),
			 errdetail("Option \"%s\" of module \"%s\" names it.", option, d->module->name),
			 closest ? errhint("Perhaps you meant the column \"%s\".", closest) :
			 d->registering ? errhint("Columns are: %s.", crmio_join(names, ", ")) :
			 errhint("If the column was dropped or renamed, register the module again with crm_register_module.")));
}

/*
 * The name that a reference takes from its column: "account_id" is "account",
 * if no column and no option has that name.  NULL: the column's own name.
 */
static char *
reference_name(Deriving *d, const char *column)
{
	int			length = strlen(column) - 3;
	char	   *name;
	ListCell   *lc;

	if (length <= 0 || pg_strcasecmp(column + length, "_id") != 0)
		return NULL;
	name = pnstrdup(column, length);
	if (column_number(d->rel, name) != InvalidAttrNumber)
		return NULL;
	foreach(lc, d->options->fields)
	{
		FieldOption *option = lfirst(lc);

		if (option->column != NULL && strcmp(option->name, name) == 0)
			return NULL;
	}
	return name;
}

/*
 * What the options say of a column: by its name, or by the name that its
 * reference takes.  NULL: nothing.
 */
static FieldOption *
column_option(Deriving *d, const char *column, const char *reference)
{
	FieldOption *found = NULL;
	ListCell   *lc;

	foreach(lc, d->options->fields)
	{
		FieldOption *option = lfirst(lc);
		bool		by_column = (option->column != NULL) ?
			strcmp(option->column, column) == 0 :
			strcmp(option->name, column) == 0;

		if (!by_column && !(option->column == NULL && reference != NULL &&
							strcmp(option->name, reference) == 0))
			continue;
		if (found != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fields \"%s\" and \"%s\" are the same column \"%s\"",
							found->name, option->name, column),
					 errhint("Other names of a field go into its option \"aliases\".")));
		found = option;
		option->used = true;
	}
	return found;
}

/*
 * Does another field of the options take this name, or keep its typed values in
 * this column?
 */
static bool
claimed_by_option(Deriving *d, const char *column)
{
	ListCell   *lc;

	foreach(lc, d->options->fields)
	{
		FieldOption *option = lfirst(lc);

		if (option->typed_column != NULL && strcmp(option->typed_column, column) == 0)
			return true;
		if (option->column != NULL && strcmp(option->name, column) == 0)
			return true;
	}
	return false;
}

/*
 * A column's name as people read it: "job_title" is "Job title".
 */
static char *
label_of(const char *name)
{
	char	   *label = pstrdup(name);
	char	   *p;

	for (p = label; *p != '\0'; p++)
	{
		if (*p == '_')
			*p = ' ';
	}
	label[0] = pg_toupper((unsigned char) label[0]);
	return label;
}

/*
 * Is the type citext?  Its values compare in any case.
 */
static bool
is_citext(Oid base)
{
	HeapTuple	tuple;
	bool		result;

	if (TypeCategory(base) != TYPCATEGORY_STRING)
		return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(base));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", base);
	result = strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname), "citext") == 0;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * The kind that a column's type gives its field.
 */
static FieldKind
kind_of_type(Oid base, const char *column)
{
	switch (base)
	{
		case DATEOID:
			return KIND_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return KIND_TIMESTAMP;
		case MONEYOID:
			return KIND_MONEY;
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
			return KIND_NUMBER;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return pg_str_endswith(column, "_cents") ? KIND_MONEY : KIND_INTEGER;
		case BOOLOID:
			return KIND_BOOLEAN;
		case JSONOID:
		case JSONBOID:
			return KIND_JSON;
		default:
			break;
	}
	if (type_is_enum(base))
		return KIND_CHOICE;
	if (TypeCategory(base) == TYPCATEGORY_STRING)
		return KIND_TEXT;
	if (OidIsValid(get_element_type(base)) &&
		TypeCategory(getBaseType(get_element_type(base))) == TYPCATEGORY_STRING)
		return KIND_TEXT_LIST;
	return KIND_OTHER;
}

/*
 * Can a column of this type hold values of a kind that the options ask for?
 */
static bool
kind_fits_type(FieldKind kind, Oid base, const char *column)
{
	FieldKind	natural = kind_of_type(base, column);

	switch (kind)
	{
		case KIND_TEXT:
		case KIND_EMAIL:
		case KIND_DOMAIN:
		case KIND_URL:
		case KIND_PHONE:
			return natural == KIND_TEXT;
		case KIND_MONEY:
			return natural == KIND_MONEY || natural == KIND_NUMBER;
		case KIND_NUMBER:
			return natural == KIND_NUMBER;
		case KIND_INTEGER:
			return base == INT2OID || base == INT4OID || base == INT8OID || base == NUMERICOID;
		case KIND_CHOICE:
		case KIND_REFERENCE:
		case KIND_OTHER:
			return true;
		default:
			return natural == kind;
	}
}

/*
 * What domains add to a column: NOT NULL at any level, and a default.
 */
static void
domain_rules(Oid typid, bool *not_null, bool *has_default)
{
	while (get_typtype(typid) == TYPTYPE_DOMAIN)
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", typid);
		if (((Form_pg_type) GETSTRUCT(tuple))->typnotnull)
			*not_null = true;
		if (!heap_attisnull(tuple, Anum_pg_type_typdefault, NULL))
			*has_default = true;
		typid = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
}

/*
 * Fills in what a reference refers to.
 */
static void
set_reference(Deriving *d, Field *field, const char *module)
{
	Registration *target = crmio_registration_find(d->registrations, module);
	ForeignKey *fk;

	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("field \"%s\" of module \"%s\" refers to module \"%s\", which does not exist",
						field->name, d->module->name, crmio_clip(module)),
				 errhint("Register \"%s\" with crm_register_module, or register \"%s\" again without that reference.",
						 crmio_clip(module), d->module->name)));
	field->kind = KIND_REFERENCE;
	field->ref_module = pstrdup(module);
	fk = foreign_key(d, field->attnum, target->relid);
	if (fk != NULL)
		field->ref_column = get_attname(fk->relid, fk->ref_attnum, false);
	else
	{
		Relation	rel = try_relation_open(target->relid, AccessShareLock);
		AttrNumber	attnum = InvalidAttrNumber;

		if (rel != NULL)
		{
			attnum = crmio_key_column(rel, crmio_options_parse(target->options));
			relation_close(rel, NoLock);
		}
		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%s\" cannot refer to module \"%s\"", field->name,
							crmio_clip(module)),
					 errdetail("Its table was dropped, or its records have no key of a single column.")));
		field->ref_column = get_attname(target->relid, attnum, false);
	}
}

/*
 * The kind of a field: from the options, or from foreign keys, lists of values
 * and the type.
 */
static void
set_kind(Deriving *d, Field *field, FieldOption *option, ForeignKey *fk, Oid base)
{
	field->kind = kind_of_type(base, field->column);
	if (option != NULL && option->ref_module != NULL)
		set_reference(d, field, option->ref_module);
	else if (option != NULL && option->has_kind)
		field->kind = option->kind;
	else if (option != NULL && option->choices != NIL)
		field->kind = KIND_CHOICE;
	else if (fk != NULL)
		set_reference(d, field, fk->module);

	if (field->kind == KIND_REFERENCE && field->ref_module == NULL)
	{
		if (fk == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%s\" is a reference, but not to a registered module",
							field->name),
					 errhint("Name the module: {\"reference\": \"accounts\"}.")));
		set_reference(d, field, fk->module);
	}
	if (field->kind == KIND_CHOICE || field->kind == KIND_TEXT)
	{
		field->choices = (option != NULL && option->choices != NIL) ? option->choices :
			type_is_enum(base) ? crmio_enum_choices(base) :
			TypeCategory(base) == TYPCATEGORY_STRING ?
			crmio_check_choices(d->rel, field->attnum, field->typid) : NIL;
		if (field->choices != NIL && !(option != NULL && option->has_kind))
			field->kind = KIND_CHOICE;
		else if (field->kind == KIND_CHOICE && field->choices == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%s\" is a choice of nothing", field->name),
					 errhint("Give its values: {\"choices\": [\"low\", \"high\"]}.")));
		if (field->kind != KIND_CHOICE)
			field->choices = NIL;
	}
	if (!kind_fits_type(field->kind, base, field->column))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a column of type %s cannot hold values of kind \"%s\"",
						format_type_be(field->typid), crmio_kind_name(field->kind)),
				 errdetail("Field \"%s\" of module \"%s\" is kept in column \"%s\".",
						   field->name, d->module->name, field->column),
				 field->kind == KIND_MONEY && kind_of_type(base, field->column) == KIND_INTEGER ?
				 errhint("Cents are kept in integer columns whose name ends in \"_cents\".") :
				 errhint("Its type gives it the kind \"%s\".",
						 crmio_kind_name(kind_of_type(base, field->column)))));
	field->cents = (field->kind == KIND_MONEY &&
					kind_of_type(base, field->column) == KIND_MONEY && base != MONEYOID);
}

/*
 * How a field lies in its column, if not as one value.
 */
static void
set_storage(Deriving *d, Field *field, FieldOption *option, Oid base)
{
	field->storage = option->storage;
	if (field->storage != STORAGE_SCALAR)
	{
		if (base != JSONBOID)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("field \"%s\" of module \"%s\" needs a column of type jsonb",
							field->name, d->module->name),
					 errdetail("Column \"%s\" has type %s.", field->column,
							   format_type_be(field->typid))));
		field->kind = (option->has_kind && field->storage == STORAGE_TYPED_LIST) ?
			option->kind : KIND_TEXT;
		if (field->kind != KIND_TEXT && !kind_fits_type(field->kind, TEXTOID, ""))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the list \"%s\" cannot hold values of kind \"%s\"",
							field->name, crmio_kind_name(field->kind)),
					 errhint("Use the kind text, email, domain, url or phone.")));
	}
	if (option->typed_column == NULL)
		return;
	field->typed_column = pstrdup(option->typed_column);
	field->typed_attnum = column_number(d->rel, option->typed_column);
	if (field->typed_attnum == InvalidAttrNumber)
		unknown_column(d, option->typed_column, psprintf("fields.%s.typed_column", field->name));
	if (field->storage != STORAGE_SCALAR ||
		getBaseType(TupleDescAttr(RelationGetDescr(d->rel),
								  field->typed_attnum - 1)->atttypid) != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("field \"%s\" cannot keep typed values in column \"%s\"",
						field->name, field->typed_column),
				 errdetail("The column must be of type jsonb, and the field's own column a plain one.")));
}

/*
 * Makes the field of a column.
 */
static Field *
make_field(Deriving *d, Form_pg_attribute att, const char *name, FieldOption *option,
		   ForeignKey *fk)
{
	Field	   *field = palloc0(sizeof(Field));
	Oid			base = getBaseType(att->atttypid);

	field->name = pstrdup(name);
	field->attnum = att->attnum;
	field->column = pstrdup(NameStr(att->attname));
	field->typid = att->atttypid;
	field->typmod = att->atttypmod;
	field->collation = att->attcollation;
	field->not_null = att->attnotnull;
	field->has_default = att->atthasdef || att->attidentity != '\0';
	domain_rules(att->atttypid, &field->not_null, &field->has_default);
	field->casefold = is_citext(base);
	if (option != NULL && option->storage != STORAGE_SCALAR)
		set_storage(d, field, option, base);
	else
	{
		set_kind(d, field, option, fk, base);
		if (option != NULL)
			set_storage(d, field, option, base);
	}
	field->label = (option != NULL && option->label != NULL) ? option->label : label_of(name);
	field->aliases = option != NULL ? option->aliases : NIL;
	return field;
}

/*
 * Makes the fields of all columns, in the order of the columns.
 */
static void
derive_fields(Deriving *d)
{
	TupleDesc	desc = RelationGetDescr(d->rel);
	int			i;
	ListCell   *lc;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		char	   *column = NameStr(att->attname);
		ForeignKey *fk;
		char	   *reference;
		FieldOption *option;

		if (att->attisdropped)
			continue;
		fk = foreign_key(d, att->attnum, InvalidOid);
		reference = fk ? reference_name(d, column) : NULL;
		option = column_option(d, column, reference);
		if (option != NULL && option->excluded)
			continue;
		if (att->attgenerated != '\0' || att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		{
			if (option != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("field \"%s\" of module \"%s\" can't be imported into",
								option->name, d->module->name),
						 errdetail("Column \"%s\" is always generated.", column)));
			continue;
		}
		if (option == NULL && claimed_by_option(d, column))
			continue;
		d->module->fields =
			lappend(d->module->fields,
					make_field(d, att, option ? option->name : reference ? reference : column,
							   option, fk));
	}
	foreach(lc, d->options->fields)
	{
		FieldOption *option = lfirst(lc);

		/* A column that was left out and then dropped is no loss. */
		if (!option->used && (d->registering || !option->excluded))
			unknown_column(d, option->column ? option->column : option->name,
						   option->column ? psprintf("fields.%s.column", option->name) : "fields");
	}
}

/*
 * The fields that a mapping must have: as the options say; else those of NOT NULL
 * columns without a default.
 */
static void
derive_required(Deriving *d)
{
	List	   *required = d->options->required;
	ListCell   *lc;

	foreach(lc, d->module->fields)
	{
		Field	   *field = lfirst(lc);
		FieldOption *option = NULL;
		bool		needed = !d->options->has_required && field->not_null &&
			!field->has_default && field->attnum != d->module->lifecycle_attnum;
		ListCell   *o;

		foreach(o, d->options->fields)
		{
			if (strcmp(((FieldOption *) lfirst(o))->name, field->name) == 0)
				option = lfirst(o);
		}
		if (option != NULL && option->has_required)
			needed = option->required;
		if (needed)
			required = lappend(required, list_make1(field->name));
	}
	d->module->required = required;
}

/*
 * The stage column.
 */
static void
derive_lifecycle(Deriving *d)
{
	Module	   *module = d->module;
	ModuleOptions *options = d->options;

	module->lifecycle_rule = options->lifecycle_rule;
	if (options->lifecycle_rule == LIFECYCLE_NONE)
		return;
	module->lifecycle_column = options->lifecycle_column;
	module->lifecycle_attnum = column_number(d->rel, options->lifecycle_column);
	if (module->lifecycle_attnum == InvalidAttrNumber)
		unknown_column(d, options->lifecycle_column, "lifecycle.column");
	module->stages = options->stages;
	module->new_stage = options->new_stage;
}

/*
 * What finds a record for a reference, and the field shown for it: as the options
 * say; else the fields that alone match a record and a key that people assign,
 * and of these or of the usual names the first.
 */
static void
derive_lookup(Deriving *d)
{
	Module	   *module = d->module;
	Field	   *only_key = module->nkeys == 1 ?
		crmio_module_field_by_attnum(module, module->key_attnums[0]) : NULL;
	ListCell   *lc;

	module->lookup = d->options->lookup;
	if (module->lookup == NIL)
	{
		foreach(lc, module->match)
		{
			List	   *names = lfirst(lc);
			Field	   *field = crmio_module_field(module, linitial(names));

			if (list_length(names) == 1 && field != NULL &&
				field->storage == STORAGE_SCALAR && field->kind != KIND_REFERENCE)
				module->lookup = lappend(module->lookup, field->name);
		}
		if (only_key != NULL && !only_key->has_default &&
			!list_member_ptr(module->lookup, only_key->name))
			module->lookup = lappend(module->lookup, only_key->name);
	}
	module->display = d->options->display;
	if (module->display == NULL && module->lookup != NIL &&
		(d->options->lookup != NIL || only_key == NULL ||
		 strcmp(linitial(module->lookup), only_key->name) != 0))
		module->display = linitial(module->lookup);
	if (module->display == NULL)
	{
		static const char *const usual[] = {"name", "title", "email"};
		int			i;

		for (i = 0; i < (int) lengthof(usual) && module->display == NULL; i++)
		{
			Field	   *field = crmio_module_field(module, usual[i]);

			if (field != NULL && field->storage == STORAGE_SCALAR && field->kind != KIND_REFERENCE)
				module->display = field->name;
		}
	}
}

/*
 * May a list show this?  It may show more than can be imported: columns that are
 * no fields, and whatever the record that a reference refers to has.
 */
static bool
can_be_listed(Deriving *d, const char *path)
{
	const char *dot = strchr(path, '.');
	Field	   *field = dot ? crmio_module_field(d->module, pnstrdup(path, dot - path)) : NULL;
	char	   *problem;
	char	   *hint;

	if (column_number(d->rel, path) != InvalidAttrNumber)
		return true;
	return field != NULL && field->kind == KIND_REFERENCE &&
		strcmp(field->ref_module, d->module->name) != 0 &&
		crmio_path_resolve(crmio_module_load(field->ref_module, false), dot + 1,
						   &problem, &hint) != NULL;
}

/*
 * Checks that a path of the options names something, in its canonical spelling.
 */
static void
check_path(Deriving *d, const char *path, const char *option)
{
	char	   *problem;
	char	   *hint;
	Field	   *field = crmio_module_field(d->module, path);
	FieldPath  *resolved;

	if (field != NULL && field->kind == KIND_REFERENCE && strcmp(field->name, path) == 0)
		return;
	resolved = crmio_path_resolve(d->module, path, &problem, &hint);
	if (resolved == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", problem),
				 errdetail("Option \"%s\" names it.", option),
				 hint ? errhint("%s", hint) : 0));
	if (strcmp(resolved->text, path) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field \"%s\" in option \"%s\" is spelled \"%s\"",
						crmio_clip(path), option, resolved->text)));
}

/*
 * Checks all paths of the options.  That needs the modules referred to, so it is
 * done when a module is registered, not each time it is loaded.
 */
static void
check_paths(Deriving *d)
{
	ModuleOptions *options = d->options;
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, options->match)
	{
		foreach(name, (List *) lfirst(lc))
			check_path(d, lfirst(name), "match");
	}
	foreach(lc, options->required)
	{
		foreach(name, (List *) lfirst(lc))
			check_path(d, lfirst(name), "required");
	}
	foreach(lc, options->lookup)
	{
		Field	   *field = crmio_module_field(d->module, lfirst(lc));

		check_path(d, lfirst(lc), "lookup");
		if (field == NULL || field->storage != STORAGE_SCALAR || field->kind == KIND_REFERENCE)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("records cannot be looked up by \"%s\"", crmio_clip(lfirst(lc))),
					 errhint("Option \"lookup\" takes fields of one value each.")));
	}
	if (options->display != NULL)
		check_path(d, options->display, "display");
	foreach(lc, options->list)
	{
		if (!can_be_listed(d, lfirst(lc)))
			check_path(d, lfirst(lc), "list");
	}
	foreach(lc, options->aliases)
		check_path(d, ((PathAlias *) lfirst(lc))->path, "aliases");
}

/*
 * Makes the module of a table.  `registering`: the options are new, so they are
 * checked in full.
 */
Module *
crmio_module_derive(const char *name, Relation rel, ModuleOptions *options,
					List *registrations, bool registering)
{
	Module	   *module = palloc0(sizeof(Module));
	Deriving	d = {.module = module, .rel = rel, .options = options,
	.registrations = registrations, .registering = registering};

	module->context = CurrentMemoryContext;
	module->name = pstrdup(name);
	module->relid = RelationGetRelid(rel);
	module->relation =
		pstrdup(quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
										   RelationGetRelationName(rel)));
	module->list = options->list;
	module->aliases = options->aliases;
	read_foreign_keys(&d);
	crmio_derive_keys(module, rel, options);
	derive_fields(&d);
	derive_lifecycle(&d);
	derive_required(&d);
	crmio_derive_match(module, rel, options);
	derive_lookup(&d);
	if (registering)
		check_paths(&d);
	return module;
}

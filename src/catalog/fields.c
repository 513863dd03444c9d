/*
 * fields.c
 *	  crm_fields: the fields of a module, for people and for user interfaces.
 */
#include "catalog/names.h"

#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(crm_fields);

/* The columns of a result row. */
#define FIELDS_COLUMNS 8

/*
 * Must a mapping have this field?  So it must if it alone, or only paths of it,
 * meet some requirement.
 */
static bool
is_required(const Module *module, const Field *field)
{
	int			length = strlen(field->name);
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, module->required)
	{
		bool		only = true;

		foreach(name, (List *) lfirst(lc))
		{
			const char *path = lfirst(name);

			if (strncmp(path, field->name, length) != 0 ||
				(path[length] != '\0' && path[length] != '.'))
				only = false;
		}
		if (only)
			return true;
	}
	return false;
}

/*
 * The word for what a field holds: its kind, or how it is kept if that says more.
 */
static const char *
kind_shown(const Field *field)
{
	if (field->storage == STORAGE_ADDRESS)
		return "address";
	if (field->storage == STORAGE_CUSTOM)
		return "custom";
	return crmio_kind_name(field->kind);
}

/*
 * The shipped aliases of a path.
 */
static List *
shipped_aliases(List *shipped, const char *path)
{
	List	   *aliases = NIL;
	ListCell   *lc;

	foreach(lc, shipped)
	{
		FieldAliases *row = lfirst(lc);

		if (row->applies && strcmp(row->path, path) == 0)
			aliases = list_concat(aliases, row->aliases);
	}
	return aliases;
}

/*
 * One row for a field.
 */
static void
put_field(ReturnSetInfo *rsinfo, const Module *module, const Field *field, List *shipped)
{
	Datum		values[FIELDS_COLUMNS];
	bool		nulls[FIELDS_COLUMNS] = {0};
	NameData	column;
	List	   *choices = NIL;
	List	   *aliases = list_copy(field->aliases);
	ListCell   *lc;

	foreach(lc, field->choices)
		choices = lappend(choices, ((Choice *) lfirst(lc))->value);
	foreach(lc, module->aliases)
	{
		PathAlias  *alias = lfirst(lc);

		if (strcmp(alias->path, field->name) == 0)
			aliases = lappend(aliases, alias->name);
	}
	aliases = list_concat(aliases, shipped_aliases(shipped, field->name));
	namestrcpy(&column, field->column);
	values[0] = CStringGetTextDatum(field->name);
	values[1] = CStringGetTextDatum(field->label);
	values[2] = CStringGetTextDatum(kind_shown(field));
	values[3] = BoolGetDatum(is_required(module, field));
	values[4] = NameGetDatum(&column);
	values[5] = crmio_text_array(choices);
	nulls[5] = (choices == NIL);
	values[6] = field->ref_module ? CStringGetTextDatum(field->ref_module) : (Datum) 0;
	nulls[6] = (field->ref_module == NULL);
	values[7] = crmio_text_array(aliases);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * One row for a full name, where it can be split into two fields.
 */
static void
put_full_name(ReturnSetInfo *rsinfo, List *shipped)
{
	Datum		values[FIELDS_COLUMNS] = {0};
	bool		nulls[FIELDS_COLUMNS] = {0};

	values[0] = CStringGetTextDatum("name");
	values[1] = CStringGetTextDatum("Full Name");
	values[2] = CStringGetTextDatum(crmio_kind_name(KIND_TEXT));
	values[3] = BoolGetDatum(false);
	nulls[4] = nulls[5] = nulls[6] = true;
	values[7] = crmio_text_array(shipped_aliases(shipped, "name"));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * crm_fields(module text): one row per field, in the order of the columns, and
 * one for a full name.
 */
Datum
crm_fields(PG_FUNCTION_ARGS)
{
	Module	   *module = crmio_module_load(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *shipped = crmio_field_aliases(module, crmio_name_words());
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, module->fields)
		put_field(rsinfo, module, lfirst(lc), shipped);
	if (crmio_module_splits_name(module, NULL, NULL))
		put_full_name(rsinfo, shipped);
	return (Datum) 0;
}

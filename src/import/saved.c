/*
 * saved.c
 *	  crm_save_mapping, crm_drop_mapping, and the mapping key "use", which puts a saved
 *	  mapping into effect.
 *
 * Keys that stand beside "use" take the place of the saved ones, as a whole.  A saved
 * mapping may itself use another.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "catalog/saved_mapping.h"
#include "import/import.h"

PG_FUNCTION_INFO_V1(crm_save_mapping);
PG_FUNCTION_INFO_V1(crm_drop_mapping);

/* Longest name of a saved mapping, in bytes. */
#define MAX_MAPPING_NAME 200

/*
 * object_of
 *		A key and its value as an object of one member.
 */
static Jsonb *
object_of(const char *key, JsonbValue *value)
{
	JsonbParseState *state = NULL;
	JsonbValue	name = {.type = jbvString};

	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &name);
	pushJsonbValue(&state, WJB_VALUE, value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * concat
 *		Two objects as one; of a key in both, the second's value.
 */
static Jsonb *
concat(Jsonb *first, Jsonb *second)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(first),
											  JsonbPGetDatum(second)));
}

/*
 * without_skipped_columns
 *		A saved mapping without the columns that it maps to null: a column that is not
 *		listed is skipped too, and need not be in the next file.
 */
static Jsonb *
without_skipped_columns(Jsonb *mapping)
{
	JsonbValue *columns = crmio_json_get(&mapping->root, "columns");
	JsonbParseState *state = NULL;
	JsonbValue *kept;
	ListCell   *lc;

	if (columns == NULL || !crmio_json_is_object(columns))
		return mapping;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, crmio_json_members(columns->val.binary.data))
	{
		JsonMember *member = lfirst(lc);
		JsonbValue	name = {.type = jbvString};

		if (member->value.type == jbvNull)
			continue;
		name.val.string.val = member->key;
		name.val.string.len = strlen(member->key);
		pushJsonbValue(&state, WJB_KEY, &name);
		pushJsonbValue(&state, WJB_VALUE, &member->value);
	}
	kept = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return concat(mapping, object_of("columns", kept));
}

/*
 * expand
 *		A mapping with what it uses.  `used`: the saved mappings on the way here.
 */
static Jsonb *
expand(Jsonb *json, List *used)
{
	JsonbValue *use;
	SavedMapping *saved;
	Jsonb	   *rest;
	char	   *name;
	ListCell   *lc;

	if (!JB_ROOT_IS_OBJECT(json))
		return json;			/* refused where it is read */
	use = crmio_json_get(&json->root, CRMIO_USE_KEY);
	if (use == NULL)
		return json;
	if (use->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"%s\" of the mapping must be a string", CRMIO_USE_KEY),
				 errdetail("Its value is of type %s.", crmio_json_type_name(use)),
				 errhint("It is the name of a saved mapping: SELECT name FROM crm_mappings.")));
	name = crmio_json_scalar_text(use);
	saved = crmio_saved_mapping_find(name, false);
	foreach(lc, used)
	{
		SavedMapping *other = lfirst(lc);

		if (strcmp(other->name, saved->name) == 0 &&
			(other->owner == NULL) == (saved->owner == NULL) &&
			(other->owner == NULL || strcmp(other->owner, saved->owner) == 0))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("saved mapping \"%s\" uses itself", name),
					 errhint("Save it again without the key \"%s\".", CRMIO_USE_KEY)));
	}
	rest = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(json),
											  CStringGetTextDatum(CRMIO_USE_KEY)));
	return concat(without_skipped_columns(expand(saved->mapping, lappend(used, saved))), rest);
}

/*
 * crmio_mapping_expand
 *		A mapping with the key "use" replaced by what it stands for.
 */
Jsonb *
crmio_mapping_expand(Jsonb *json)
{
	return expand(json, NIL);
}

/*
 * check_path
 *		Complains about a field path that the module has not.
 */
static void
check_path(const Module *module, const char *text)
{
	char	   *problem;
	char	   *hint;

	if (crmio_path_resolve(module, text, &problem, &hint) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("%s", problem),
				 hint ? errhint("%s", hint) : 0));
}

/*
 * check_mapping
 *		Complains about a mapping that could not be used with any file.
 */
static void
check_mapping(const char *name, Jsonb *json)
{
	SavedMapping new = {.name = unconstify(char *, name),
	.owner = GetUserNameFromId(GetUserId(), false)};
	Mapping    *mapping = crmio_mapping_parse_keys(expand(json, list_make1(&new)), "skip");
	Module	   *module;
	ListCell   *lc;
	ListCell   *path;

	if (mapping->module == NULL)
		return;
	module = crmio_module_load(mapping->module, false);
	foreach(lc, mapping->columns)
	{
		foreach(path, ((MappedColumn *) lfirst(lc))->paths)
			check_path(module, lfirst(path));
	}
	foreach(lc, mapping->statics)
		check_path(module, ((StaticValue *) lfirst(lc))->path);
}

/*
 * crm_save_mapping(name text, mapping jsonb) RETURNS void
 */
Datum
crm_save_mapping(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *mapping = PG_GETARG_JSONB_P(1);

	PreventCommandIfReadOnly("crm_save_mapping()");
	if (crmio_is_blank(name) || strcmp(crmio_trim(pstrdup(name)), name) != 0 ||
		strlen(name) > MAX_MAPPING_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not a name for a mapping", crmio_clip(name)),
				 errhint("Use 1 to %d bytes, with no blank at either end.", MAX_MAPPING_NAME)));
	if (crmio_is_preset(name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("\"%s\" is the name of a preset", name),
				 errhint("Choose another name; {\"use\": \"%s\", ...} takes the preset as a start.", name)));
	check_mapping(name, mapping);
	crmio_saved_mapping_put(name, mapping);
	PG_RETURN_VOID();
}

/*
 * crm_drop_mapping(name text) RETURNS void
 */
Datum
crm_drop_mapping(PG_FUNCTION_ARGS)
{
	SavedMapping *saved;

	PreventCommandIfReadOnly("crm_drop_mapping()");
	saved = crmio_saved_mapping_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	if (saved->owner == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("\"%s\" is a preset and can't be dropped", saved->name)));
	crmio_saved_mapping_delete(saved);
	PG_RETURN_VOID();
}

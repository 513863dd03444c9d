/*
 * fieldpath.c
 *	  Field paths: what "email", "phone.mobile", "address.billing.city" or
 *	  "account.domain" mean in a module.
 *
 * The name of the field comes first; what may follow it depends on how the field
 * is kept.  Each path has one canonical spelling, so that two columns for the
 * same place are found out.  import/suggest.h is about the names of file columns.
 */
#include "catalog/module.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Spellings of address parts; the canonical one of each stands first. */
static const char *const address_parts[][2] = {
	{"street", "street"}, {"street2", "street2"}, {"city", "city"}, {"state", "state"},
	{"postal_code", "postal_code"}, {"country", "country"}, {"zip", "postal_code"},
	{"zip_code", "postal_code"}, {"postcode", "postal_code"}, {"line1", "street"},
	{"line2", "street2"}, {"province", "state"}
};

#define ADDRESS_PART_HINT "Parts of an address: street, street2, city, state, postal_code, country."

/*
 * Fills in why a path can't be resolved; returns NULL for the caller to return.
 */
static FieldPath *
refuse(char **problem, char **hint, char *because, char *advice)
{
	*problem = because;
	*hint = advice;
	return NULL;
}

/*
 * The field that the first part of a path names, and what follows it (NULL if
 * nothing does).  The longest name wins: names may have dots in them.
 */
static Field *
split_path(const Module *module, const char *path, const char **rest)
{
	Field	   *field = crmio_module_field(module, path);
	char	   *copy = pstrdup(path);
	char	   *dot;

	*rest = NULL;
	while (field == NULL && (dot = strrchr(copy, '.')) != NULL)
	{
		*dot = '\0';
		field = crmio_module_field(module, copy);
		*rest = path + (dot - copy) + 1;
	}
	return field;
}

/*
 * The hint for a path that no field fits: the nearest, or what there is.
 */
static char *
unknown_field_hint(const Module *module, const char *path)
{
	List	   *names = NIL;
	const char *closest;
	const char *dot = strchr(path, '.');
	ListCell   *lc;

	foreach(lc, module->fields)
	{
		if (((Field *) lfirst(lc))->storage != STORAGE_CUSTOM)
			names = lappend(names, ((Field *) lfirst(lc))->name);
	}
	if (crmio_module_splits_name(module, NULL, NULL))
		names = lappend(names, "name");
	closest = crmio_closest(path, names);
	if (closest != NULL)
		return psprintf("Perhaps you meant the field \"%s\".", closest);
	if (dot != NULL && (closest = crmio_closest(pnstrdup(path, dot - path), names)) != NULL)
		return psprintf("Perhaps you meant the field \"%s%s\".", closest, dot);
	foreach(lc, module->fields)
	{
		Field	   *field = lfirst(lc);

		if (field->storage == STORAGE_CUSTOM)
			names = lappend(names, psprintf("%s.ANYTHING", field->name));
	}
	return psprintf("Fields of module \"%s\" are: %s.", module->name, crmio_join(names, ", "));
}

/*
 * field.TYPE, or the field alone: an entry of a typed list.
 */
static FieldPath *
resolve_typed(FieldPath *path, const Module *module, const char *rest,
			  char **problem, char **hint)
{
	Field	   *field = path->field;

	path->part = PATH_TYPED;
	path->kind = field->kind;
	if (rest == NULL)
	{
		path->text = pstrdup(field->name);
		return path;
	}
	path->type = crmio_lower(rest, InvalidOid);
	if (crmio_is_blank(path->type) || strchr(path->type, '.') != NULL)
		return refuse(problem, hint,
					  psprintf("\"%s\" is not a type of field \"%s\" in module \"%s\"",
							   crmio_clip(rest), field->name, module->name),
					  psprintf("A type is one word: %s.work.", field->name));
	path->text = psprintf("%s.%s", field->name, path->type);
	return path;
}

/*
 * field.PART or field.TYPE.PART: a part of an address.
 */
static FieldPath *
resolve_address(FieldPath *path, const Module *module, const char *rest,
				char **problem, char **hint)
{
	Field	   *field = path->field;
	const char *dot = rest ? strrchr(rest, '.') : NULL;
	char	   *part;
	int			i;

	path->part = PATH_ADDRESS;
	path->kind = KIND_TEXT;
	if (rest == NULL)
		return refuse(problem, hint,
					  psprintf("field \"%s\" in module \"%s\" is an address, of which a part must be named",
							   field->name, module->name),
					  psprintf("Write %s.city, or %s.billing.city. " ADDRESS_PART_HINT,
							   field->name, field->name));
	part = crmio_lower(dot ? dot + 1 : rest, InvalidOid);
	for (i = 0; i < (int) lengthof(address_parts); i++)
	{
		if (strcmp(address_parts[i][0], part) == 0)
			path->key = pstrdup(address_parts[i][1]);
	}
	if (path->key == NULL)
		return refuse(problem, hint,
					  psprintf("\"%s\" is not a part of the address \"%s\" in module \"%s\"",
							   crmio_clip(part), field->name, module->name),
					  pstrdup(ADDRESS_PART_HINT));
	if (dot != NULL)
	{
		path->type = crmio_lower(pnstrdup(rest, dot - rest), InvalidOid);
		if (crmio_is_blank(path->type) || strchr(path->type, '.') != NULL)
			return refuse(problem, hint,
						  psprintf("\"%s\" is not a type of the address \"%s\" in module \"%s\"",
								   crmio_clip(path->type), field->name, module->name),
						  psprintf("A type is one word: %s.billing.%s.", field->name, path->key));
		if (strcmp(path->type, "main") == 0)
			path->type = NULL;
	}
	path->text = path->type ? psprintf("%s.%s.%s", field->name, path->type, path->key) :
		psprintf("%s.%s", field->name, path->key);
	return path;
}

/*
 * field.KEY: other data.  The key is kept as written, dots and all.
 */
static FieldPath *
resolve_custom(FieldPath *path, const Module *module, const char *rest,
			   char **problem, char **hint)
{
	path->part = PATH_CUSTOM;
	path->kind = KIND_TEXT;
	if (rest == NULL || crmio_is_blank(rest))
		return refuse(problem, hint,
					  psprintf("field \"%s\" in module \"%s\" holds other data, which must be named",
							   path->field->name, module->name),
					  psprintf("Write %s.shoe_size.", path->field->name));
	path->key = crmio_trim(pstrdup(rest));
	path->text = psprintf("%s.%s", path->field->name, path->key);
	return path;
}

/*
 * The module that a reference refers to, loaded once.
 */
static Module *
referred_module(const Module *module, Field *field)
{
	MemoryContext old;

	if (strcmp(field->ref_module, module->name) == 0)
		return unconstify(Module *, module);
	if (field->ref == NULL)
	{
		old = MemoryContextSwitchTo(module->context);
		field->ref = crmio_module_load(field->ref_module, false);
		MemoryContextSwitchTo(old);
	}
	return field->ref;
}

/*
 * The kind of the column that a reference stores.
 */
static FieldKind
key_kind(const Module *module, const Field *reference)
{
	Oid			base = getBaseType(reference->typid);

	if (base == INT2OID || base == INT4OID || base == INT8OID)
		return KIND_INTEGER;
	return base == TEXTOID || base == VARCHAROID ? KIND_TEXT : KIND_OTHER;
}

/*
 * field.LOOKUP, or the field alone: a record of another module, found by one of
 * its fields or, as "id", by its key.
 */
static FieldPath *
resolve_reference(FieldPath *path, const Module *module, const char *rest,
				  char **problem, char **hint)
{
	Field	   *field = path->field;
	List	   *names = NIL;
	const char *closest;
	ListCell   *lc;

	path->part = PATH_REFERENCE;
	path->ref = referred_module(module, field);
	if (rest == NULL)
		rest = path->ref->display != NULL ? path->ref->display : "id";
	path->lookup_field = crmio_module_field(path->ref, rest);
	if (pg_strcasecmp(rest, "id") == 0 &&
		(path->lookup_field == NULL || strcmp(path->lookup_field->column, field->ref_column) == 0))
	{
		path->lookup_field = NULL;
		path->lookup = pstrdup("id");
		path->kind = key_kind(module, field);
		path->text = psprintf("%s.id", field->name);
		return path;
	}
	if (path->lookup_field != NULL && path->lookup_field->storage == STORAGE_SCALAR &&
		path->lookup_field->kind != KIND_REFERENCE && path->lookup_field->kind != KIND_JSON)
	{
		path->lookup = path->lookup_field->name;
		path->kind = path->lookup_field->kind;
		path->text = psprintf("%s.%s", field->name, path->lookup);
		return path;
	}
	foreach(lc, path->ref->fields)
	{
		Field	   *candidate = lfirst(lc);

		if (candidate->storage == STORAGE_SCALAR && candidate->kind != KIND_REFERENCE &&
			candidate->kind != KIND_JSON)
			names = lappend(names, candidate->name);
	}
	closest = crmio_closest(rest, names);
	return refuse(problem, hint,
				  psprintf("records of module \"%s\" cannot be looked up by \"%s\"",
						   path->ref->name, crmio_clip(rest)),
				  closest != NULL ?
				  psprintf("Perhaps you meant \"%s.%s\".", field->name, closest) :
				  path->ref->lookup != NIL ?
				  psprintf("Usual: %s.%s.", field->name,
						   crmio_join(path->ref->lookup, psprintf(", %s.", field->name))) :
				  psprintf("Write %s.id for its key.", field->name));
}

/*
 * A path that begins with no field's name: the full name, or an error.
 */
static FieldPath *
resolve_without_field(FieldPath *path, const Module *module, const char *text,
					  char **problem, char **hint)
{
	if (pg_strcasecmp(text, "name") == 0 &&
		crmio_module_splits_name(module, &path->first_name, &path->last_name))
	{
		path->part = PATH_NAME;
		path->kind = KIND_TEXT;
		path->text = pstrdup("name");
		return path;
	}
	return refuse(problem, hint,
				  psprintf("field \"%s\" does not exist in module \"%s\"",
						   crmio_clip(text), module->name),
				  unknown_field_hint(module, text));
}

/*
 * Resolves a field path.  If that can't be done, returns NULL with a message and
 * a hint.  The result lives in CurrentMemoryContext, fields in the module's.
 */
FieldPath *
crmio_path_resolve(const Module *module, const char *path_text, char **problem, char **hint)
{
	FieldPath  *path = palloc0(sizeof(FieldPath));
	char	   *text = crmio_trim(pstrdup(path_text));
	const char *rest;
	Field	   *field;

	*problem = NULL;
	*hint = NULL;
	field = split_path(module, text, &rest);
	if (field == NULL)
		return resolve_without_field(path, module, text, problem, hint);
	path->field = field;
	if (field->storage == STORAGE_TYPED_LIST || (rest != NULL && field->typed_column != NULL))
		return resolve_typed(path, module, rest, problem, hint);
	if (field->storage == STORAGE_ADDRESS)
		return resolve_address(path, module, rest, problem, hint);
	if (field->storage == STORAGE_CUSTOM)
		return resolve_custom(path, module, rest, problem, hint);
	if (field->kind == KIND_REFERENCE)
		return resolve_reference(path, module, rest, problem, hint);
	if (rest != NULL)
		return refuse(problem, hint,
					  psprintf("field \"%s\" in module \"%s\" has no part \"%s\"",
							   field->name, module->name, crmio_clip(rest)),
					  psprintf("Write %s.", field->name));
	path->part = PATH_VALUE;
	path->kind = field->kind;
	path->text = pstrdup(field->name);
	return path;
}

/*
 * Does a mapped path meet a requirement (an element of Module.required)?  The
 * same path does; any path of a reference meets its bare name; a full name meets
 * the two fields that it is split into.
 */
bool
crmio_path_meets(const FieldPath *path, const char *required)
{
	if (strcmp(path->text, required) == 0)
		return true;
	if (path->part == PATH_NAME)
		return strcmp(path->first_name->name, required) == 0 ||
			strcmp(path->last_name->name, required) == 0;
	if (path->part == PATH_TYPED && path->field->storage == STORAGE_SCALAR)
		return false;			/* "email.work" leaves "email" empty */
	return strcmp(path->field->name, required) == 0;
}

/*
 * module.c
 *	  Modules: finding the registration, loading a module, and questions about
 *	  its fields.
 *
 * Registrations are rows of crmio.module.  register.c writes them; derive.c makes
 * a module of one.
 */
#include "catalog/derive.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/own_table.h"

/* Columns of crmio.module. */
#define ATTNUM_MODULE			1
#define ATTNUM_RELATION			2
#define ATTNUM_OPTIONS			3
#define ATTNUM_REGISTERED_BY	4

/* By the value of FieldKind; also what the option "kind" accepts. */
static const char *const kind_names[] = {
	"text", "email", "domain", "url", "phone", "date", "timestamp", "money",
	"number", "integer", "boolean", "choice", "reference", "json", "text list",
	"other"
};

StaticAssertDecl(lengthof(kind_names) == KIND_OTHER + 1,
				 "kind_names must follow FieldKind");

/*
 * The name of a kind, as crm_fields shows it.
 */
const char *
crmio_kind_name(FieldKind kind)
{
	return kind_names[kind];
}

/*
 * Copies a row of crmio.module out of the scan.
 */
static void *
registration_of_slot(TupleTableSlot *slot)
{
	Registration *registration = palloc(sizeof(Registration));
	bool		isnull;			/* all columns are NOT NULL */

	registration->module =
		TextDatumGetCString(slot_getattr(slot, ATTNUM_MODULE, &isnull));
	registration->relid =
		DatumGetObjectId(slot_getattr(slot, ATTNUM_RELATION, &isnull));
	registration->options =
		DatumGetJsonbPCopy(slot_getattr(slot, ATTNUM_OPTIONS, &isnull));
	registration->registered_by =
		pstrdup(NameStr(*DatumGetName(slot_getattr(slot, ATTNUM_REGISTERED_BY, &isnull))));
	return registration;
}

/*
 * Orders registrations by their module's name.
 */
static int
compare_registrations(const ListCell *a, const ListCell *b)
{
	return strcmp(((Registration *) lfirst(a))->module,
				  ((Registration *) lfirst(b))->module);
}

/*
 * All registrations that the transaction sees, by name: a List of Registration *.
 */
List *
crmio_registrations(void)
{
	List	   *registrations = crmio_own_table("module", registration_of_slot);

	list_sort(registrations, compare_registrations);
	return registrations;
}

/*
 * The registration of a module, or NULL.
 */
Registration *
crmio_registration_find(List *registrations, const char *module)
{
	ListCell   *lc;

	foreach(lc, registrations)
	{
		Registration *registration = lfirst(lc);

		if (strcmp(registration->module, module) == 0)
			return registration;
	}
	return NULL;
}

/*
 * The module that a foreign key to a table refers to, or NULL.  Of several
 * modules on one table it is the one whose options say "reference_target", else
 * the first by name.
 */
char *
crmio_reference_module(List *registrations, Oid relid)
{
	char	   *first = NULL;
	ListCell   *lc;

	foreach(lc, registrations)
	{
		Registration *registration = lfirst(lc);
		JsonbValue *target;

		if (registration->relid != relid)
			continue;
		target = crmio_json_get(&registration->options->root, "reference_target");
		if (target != NULL && target->type == jbvBool && target->val.boolean)
			return registration->module;
		if (first == NULL)
			first = registration->module;
	}
	return first;
}

/*
 * The names of all modules, as a List of char *.
 */
List *
crmio_module_names(void)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, crmio_registrations())
		names = lappend(names, ((Registration *) lfirst(lc))->module);
	return names;
}

/*
 * Complains about a name that is no module's.
 */
static void
unknown_module(const char *name)
{
	List	   *names = crmio_module_names();
	const char *closest = crmio_closest(name, names);
	char	   *hint;

	if (closest != NULL)
		hint = psprintf("Perhaps you meant the module \"%s\".", closest);
	else if (names != NIL)
		hint = psprintf("Modules are: %s. A table becomes one with crm_register_module.",
						crmio_join(names, ", "));
	else
		hint = pstrdup("Make the standard modules with crm_create_standard_modules, or make a table a module with crm_register_module.");
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("module \"%s\" does not exist", crmio_clip(name)),
			 errhint("%s", hint)));
}

/*
 * Can records be kept in this kind of relation?  Registering asks, and loading
 * too: an OID whose table was dropped may come back as something else.
 */
bool
crmio_relkind_ok(char relkind)
{
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ||
		relkind == RELKIND_FOREIGN_TABLE || relkind == RELKIND_VIEW;
}

/*
 * Loads a module into CurrentMemoryContext.  Its table stays locked against
 * ALTER TABLE until the end of the transaction.  An unknown name gives NULL if
 * missing_ok, else an error; a registered table that was dropped is an error.
 */
Module *
crmio_module_load(const char *name, bool missing_ok)
{
	List	   *registrations = crmio_registrations();
	Registration *registration = crmio_registration_find(registrations, name);
	Relation	rel;
	Module	   *module;

	if (registration == NULL)
	{
		if (missing_ok)
			return NULL;
		unknown_module(name);
	}
	rel = try_relation_open(registration->relid, AccessShareLock);
	if (rel == NULL || !crmio_relkind_ok(rel->rd_rel->relkind))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table of module \"%s\" no longer exists", name),
				 errhint("Register the module again with crm_register_module, or forget it with crm_unregister_module.")));
	module = crmio_module_derive(name, rel, crmio_options_parse(registration->options),
								 registrations, false);
	relation_close(rel, NoLock);
	return module;
}

/*
 * The field with this name, in any case if only one has it so; NULL if none.
 */
Field *
crmio_module_field(const Module *module, const char *name)
{
	Field	   *found = NULL;
	char	   *lower = NULL;
	ListCell   *lc;

	foreach(lc, module->fields)
	{
		Field	   *field = lfirst(lc);

		if (strcmp(field->name, name) == 0)
			return field;
	}
	lower = crmio_lower(name, InvalidOid);
	foreach(lc, module->fields)
	{
		Field	   *field = lfirst(lc);

		if (strcmp(crmio_lower(field->name, InvalidOid), lower) != 0)
			continue;
		if (found != NULL)
			return NULL;
		found = field;
	}
	return found;
}

/*
 * The field that is kept in a column, or NULL.
 */
Field *
crmio_module_field_by_attnum(const Module *module, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, module->fields)
	{
		Field	   *field = lfirst(lc);

		if (field->attnum == attnum)
			return field;
	}
	return NULL;
}

/*
 * Can a full name be mapped as "name"?  Only where it can be split into two text
 * fields, and where "name" is no field of its own.  The arguments may be NULL.
 */
bool
crmio_module_splits_name(const Module *module, Field **first_name, Field **last_name)
{
	Field	   *first = crmio_module_field(module, "first_name");
	Field	   *last = crmio_module_field(module, "last_name");

	if (crmio_module_field(module, "name") != NULL ||
		first == NULL || first->kind != KIND_TEXT || first->storage != STORAGE_SCALAR ||
		last == NULL || last->kind != KIND_TEXT || last->storage != STORAGE_SCALAR)
		return false;
	if (first_name != NULL)
		*first_name = first;
	if (last_name != NULL)
		*last_name = last;
	return true;
}

/*
 * register.c
 *	  crm_register_module and crm_unregister_module.
 *
 * crmio.module and crmio.target are written here and nowhere else, as their
 * owner, under a lock on crmio.module that lets one writer at a time in.  Who may
 * write what is checked before that, with the caller's own identity.
 */
#include "catalog/derive.h"

#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(crm_register_module);
PG_FUNCTION_INFO_V1(crm_unregister_module);

/* A module's name fits wherever an identifier does. */
#define MAX_MODULE_NAME (NAMEDATALEN - 1)

/*
 * Runs one statement on crmio's own tables.
 */
static void
run(const char *sql, int nargs, Oid *types, Datum *values)
{
	int			result = SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0);

	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", sql, SPI_result_code_string(result));
}

/*
 * Keeps others from registering until the end of the transaction.  Without this
 * lock one session could remove a target to which another is just adding a module.
 */
static void
lock_registrations(void)
{
	LockRelationOid(get_relname_relid("module", get_namespace_oid(CRMIO_SCHEMA, false)),
					ShareRowExclusiveLock);
}

/*
 * Removes the targets that no module is kept in any more.
 */
static void
remove_unused_targets(void)
{
	run("DELETE FROM " CRMIO_SCHEMA ".target t"
		" WHERE NOT EXISTS (SELECT FROM " CRMIO_SCHEMA ".module m WHERE m.relation = t.relation)",
		0, NULL, NULL);
}

/*
 * Complains unless the caller owns the table.
 */
static void
check_owner(Oid relid)
{
	if (!crmio_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
}

/*
 * Complains unless the caller may change or remove an existing registration: as
 * the owner of its table or, if that was dropped, as the one who made it.
 */
static void
check_registration_owner(Registration *registration)
{
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(registration->relid)))
		check_owner(registration->relid);
	else
	{
		Oid			role = get_role_oid(registration->registered_by, true);

		if (!superuser() && !(OidIsValid(role) && has_privs_of_role(GetUserId(), role)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be role \"%s\" to change module \"%s\"",
							registration->registered_by, registration->module),
					 errdetail("That role registered it, and its table no longer exists.")));
	}
}

/*
 * Complains about names that would be trouble elsewhere.
 */
static void
check_module_name(const char *name)
{
	if (crmio_is_blank(name) || strcmp(crmio_trim(pstrdup(name)), name) != 0 ||
		strlen(name) > MAX_MODULE_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not a name for a module", crmio_clip(name)),
				 errhint("Use 1 to %d bytes, with no blank at either end.", MAX_MODULE_NAME)));
}

/*
 * Complains about relations whose records can't be a module.
 */
static void
check_relation(Relation rel)
{
	char		kind = rel->rd_rel->relkind;
	const char *name = RelationGetRelationName(rel);

	if (!crmio_relkind_ok(kind))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be a module", name),
				 errdetail_relkind_not_supported(kind)));
	if (IsSystemRelation(rel) ||
		RelationGetNamespace(rel) == get_namespace_oid(CRMIO_SCHEMA, false))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be a module", name),
				 errdetail("It belongs to the system or to crmio itself.")));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("temporary table \"%s\" cannot be a module", name),
				 errdetail("Other sessions see the module, but not the table."),
				 errhint("Use an ordinary or an unlogged table.")));
}

/*
 * The registrations as they will be, so that a table may refer to itself.
 */
static List *
registrations_with(const char *name, Oid relid, Jsonb *options)
{
	List	   *registrations = crmio_registrations();
	Registration *registration = crmio_registration_find(registrations, name);

	if (registration == NULL)
	{
		registration = palloc0(sizeof(Registration));
		registrations = lappend(registrations, registration);
	}
	registration->module = pstrdup(name);
	registration->relid = relid;
	registration->options = options;
	return registrations;
}

/*
 * Writes the registration, over an older one of the same name.
 */
static void
write_registration(const char *name, Oid relid, Jsonb *options)
{
	Oid			types[4] = {TEXTOID, REGCLASSOID, JSONBOID, NAMEOID};
	Datum		values[4];
	NameData	user;
	CrmioOwnerScope scope;

	namestrcpy(&user, GetUserNameFromId(GetUserId(), false));
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(relid);
	values[2] = JsonbPGetDatum(options);
	values[3] = NameGetDatum(&user);

	crmio_become_owner(&scope);
	SPI_connect();
	run("INSERT INTO " CRMIO_SCHEMA ".target (relation) VALUES ($1) ON CONFLICT DO NOTHING",
		1, &types[1], &values[1]);
	run("INSERT INTO " CRMIO_SCHEMA ".module AS m (module, relation, options, registered_by)"
		" VALUES ($1, $2, $3, $4) ON CONFLICT (module) DO UPDATE"
		" SET relation = excluded.relation, options = excluded.options,"
		" registered_by = excluded.registered_by, registered_at = now()",
		4, types, values);
	remove_unused_targets();
	SPI_finish();
	crmio_restore_user(&scope);
}

/*
 * Makes a table the module `name`, as the current user.
 */
void
crmio_module_register(const char *name, Oid relid, Jsonb *options)
{
	Relation	rel;
	Registration *existing;

	PreventCommandIfReadOnly("crm_register_module()");
	check_module_name(name);
	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	check_owner(relid);
	check_relation(rel);
	lock_registrations();
	existing = crmio_registration_find(crmio_registrations(), name);
	if (existing != NULL)
	{
		char	   *table = get_rel_name(existing->relid);

		/* never to another table behind someone's back, unless the old one is gone */
		check_registration_owner(existing);
		if (table != NULL && existing->relid != relid)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("module \"%s\" is already registered on table %s", name,
							quote_qualified_identifier(get_namespace_name(get_rel_namespace(existing->relid)),
													   table)),
					 errhint("SELECT crm_unregister_module(%s) forgets that registration; the records stay.",
							 quote_literal_cstr(name))));
	}
	(void) crmio_module_derive(name, rel, crmio_options_parse(options),
							   registrations_with(name, relid, options), true);
	relation_close(rel, NoLock);
	write_registration(name, relid, options);
}

/*
 * crm_register_module(module text, relation regclass, options jsonb)
 */
Datum
crm_register_module(PG_FUNCTION_ARGS)
{
	crmio_module_register(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_OID(1),
						  PG_GETARG_JSONB_P(2));
	PG_RETURN_VOID();
}

/*
 * crm_unregister_module(module text): the records stay.
 */
Datum
crm_unregister_module(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	Registration *registration;
	CrmioOwnerScope scope;

	PreventCommandIfReadOnly("crm_unregister_module()");
	lock_registrations();
	registration = crmio_registration_find(crmio_registrations(), name);
	if (registration == NULL)
		(void) crmio_module_load(name, false);	/* says so */
	check_registration_owner(registration);

	crmio_become_owner(&scope);
	SPI_connect();
	run("DELETE FROM " CRMIO_SCHEMA ".module WHERE module = $1", 1, types, values);
	remove_unused_targets();
	SPI_finish();
	crmio_restore_user(&scope);
	PG_RETURN_VOID();
}

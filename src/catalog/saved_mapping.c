/*
 * saved_mapping.c
 *	  Where saved mappings are kept, and whom they belong to.
 *
 * A saved mapping belongs to the role that saved it.  It and the roles that are members
 * of it see, use and drop it; so a team shares mappings by a role of its own.  Two roles
 * may use one name for different mappings.  Presets are everybody's and nobody's.
 *
 * crmio.saved_mapping is written here and nowhere else, as its owner.
 */
#include "catalog/saved_mapping.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

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
 * Reads the rows of a query (name, owner, mapping), as the tables' owner; what they say
 * lies in CurrentMemoryContext.
 */
static List *
read_mappings(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	CrmioOwnerScope scope;
	List	   *rows = NIL;

	crmio_become_owner(&scope);
	SPI_connect();
	run(sql, 0, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext spi = MemoryContextSwitchTo(caller);
		SavedMapping *row = palloc0(sizeof(SavedMapping));
		bool		isnull;

		row->name = TextDatumGetCString(SPI_getbinval(tuple, desc, 1, &isnull));
		row->owner = SPI_getvalue(tuple, desc, 2);
		if (row->owner != NULL)
			row->owner = MemoryContextStrdup(caller, row->owner);
		row->mapping = DatumGetJsonbPCopy(SPI_getbinval(tuple, desc, 3, &isnull));
		rows = lappend(rows, row);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	crmio_restore_user(&scope);
	return rows;
}

/*
 * All presets.
 */
static List *
read_presets(void)
{
	return read_mappings("SELECT name, NULL AS owner, mapping FROM " CRMIO_SCHEMA ".preset ORDER BY 1");
}

/*
 * The saved mappings of the current user, and of roles that it is a member of.
 */
static List *
read_saved(void)
{
	List	   *visible = NIL;
	ListCell   *lc;

	foreach(lc, read_mappings("SELECT name, owner, mapping FROM " CRMIO_SCHEMA ".saved_mapping ORDER BY 1, 2"))
	{
		SavedMapping *row = lfirst(lc);
		Oid			role = get_role_oid(row->owner, true);

		if (superuser() || (OidIsValid(role) && has_privs_of_role(GetUserId(), role)))
			visible = lappend(visible, row);
	}
	return visible;
}

/*
 * Is a name that of a preset?
 */
bool
crmio_is_preset(const char *name)
{
	ListCell   *lc;

	foreach(lc, read_presets())
	{
		if (strcmp(((SavedMapping *) lfirst(lc))->name, name) == 0)
			return true;
	}
	return false;
}

/*
 * Complains about a name that is no saved mapping's.
 */
static void
unknown_mapping(const char *name, List *rows)
{
	List	   *names = NIL;
	const char *closest;
	ListCell   *lc;

	foreach(lc, rows)
		names = lappend(names, ((SavedMapping *) lfirst(lc))->name);
	closest = crmio_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("saved mapping \"%s\" does not exist", crmio_clip(name)),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) :
			 errhint("You may use: %s.", crmio_join(names, ", "))));
}

/*
 * The mapping that a name means to the current user: its own, else that of the one
 * role with such a mapping that it is a member of, else a preset.
 */
SavedMapping *
crmio_saved_mapping_find(const char *name, bool missing_ok)
{
	const char *user = GetUserNameFromId(GetUserId(), false);
	List	   *rows = list_concat(read_saved(), read_presets());
	SavedMapping *found = NULL;
	ListCell   *lc;

	foreach(lc, rows)
	{
		SavedMapping *row = lfirst(lc);

		if (strcmp(row->name, name) == 0 && row->owner != NULL && strcmp(row->owner, user) == 0)
			return row;
	}
	foreach(lc, rows)
	{
		SavedMapping *row = lfirst(lc);

		if (strcmp(row->name, name) != 0)
			continue;
		if (found != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_ALIAS),
					 errmsg("several saved mappings are called \"%s\"", name),
					 errdetail("One belongs to role \"%s\", one to role \"%s\".", found->owner, row->owner),
					 errhint("SET ROLE to the owner of the one that you mean.")));
		found = row;
	}
	if (found == NULL && !missing_ok)
		unknown_mapping(name, rows);
	return found;
}

/*
 * Keeps a mapping as the current user's, over an older one of that name.
 */
void
crmio_saved_mapping_put(const char *name, Jsonb *mapping)
{
	Oid			types[3] = {TEXTOID, NAMEOID, JSONBOID};
	Datum		values[3];
	NameData	user;
	CrmioOwnerScope scope;

	namestrcpy(&user, GetUserNameFromId(GetUserId(), false));
	values[0] = CStringGetTextDatum(name);
	values[1] = NameGetDatum(&user);
	values[2] = JsonbPGetDatum(mapping);
	crmio_become_owner(&scope);
	SPI_connect();
	run("INSERT INTO " CRMIO_SCHEMA ".saved_mapping (name, owner, mapping) VALUES ($1, $2, $3)"
		" ON CONFLICT (name, owner) DO UPDATE SET mapping = excluded.mapping, saved_at = now()",
		3, types, values);
	SPI_finish();
	crmio_restore_user(&scope);
}

/*
 * Forgets a saved mapping.
 */
void
crmio_saved_mapping_delete(const SavedMapping *saved)
{
	Oid			types[2] = {TEXTOID, NAMEOID};
	Datum		values[2];
	NameData	owner;
	CrmioOwnerScope scope;

	namestrcpy(&owner, saved->owner);
	values[0] = CStringGetTextDatum(saved->name);
	values[1] = NameGetDatum(&owner);
	crmio_become_owner(&scope);
	SPI_connect();
	run("DELETE FROM " CRMIO_SCHEMA ".saved_mapping WHERE name = $1 AND owner = $2",
		2, types, values);
	SPI_finish();
	crmio_restore_user(&scope);
}

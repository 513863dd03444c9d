/*
 * report.c
 *	  Saved reports: a query or a module's name, with options, under a name.
 *
 * A report runs with the rights of whoever calls it.  So one may only run the
 * reports of roles that one trusts with that: one's own, and those of roles that
 * one was made a member of.  Being superuser is no membership.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "export/export.h"

PG_FUNCTION_INFO_V1(crm_save_report);
PG_FUNCTION_INFO_V1(crm_drop_report);

/*
 * may_use
 *		Does the caller trust what a role wrote?
 */
static bool
may_use(const char *owner)
{
	Oid			role = get_role_oid(owner, true);

	return OidIsValid(role) && is_member_of_role_nosuper(GetUserId(), role);
}

/*
 * may_change
 *		May the caller replace or drop what a role saved?  What nobody owns any more is for
 *		superusers.
 */
static bool
may_change(const char *owner)
{
	Oid			role = get_role_oid(owner, true);

	return OidIsValid(role) ? has_privs_of_role(GetUserId(), role) : superuser();
}

/*
 * execute
 *		Runs a statement on crmio.report as its owner; the caller holds the SPI connection.
 */
static void
execute(const char *sql, int nargs, Oid *types, Datum *values, bool read_only, int expected)
{
	CrmioOwnerScope scope;

	crmio_become_owner(&scope);
	if (SPI_execute_with_args(sql, nargs, types, values, NULL, read_only, 0) != expected)
		elog(ERROR, "could not run \"%s\"", sql);
	crmio_restore_user(&scope);
}

/*
 * read_owner
 *		Who saved the report of a name; NULL if nobody did.  It is locked until the end of
 *		the transaction.
 */
static char *
read_owner(const char *name)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(name)};

	execute("SELECT owner FROM " CRMIO_SCHEMA ".report WHERE name = $1 FOR UPDATE",
			1, types, values, false, SPI_OK_SELECT);
	return SPI_processed == 1 ?
		SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
}

/*
 * refuse_report
 *		Complains about a report that the caller has nothing to do with.
 */
static void
refuse_report(const char *name, const char *owner)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("report \"%s\" belongs to role \"%s\"", crmio_clip(name), owner),
			 errdetail("A report runs with your rights, so only your own reports and those of roles that you were made a member of can be run."),
			 errhint("Save one of your own under another name; the view crm_reports shows the text of those you may see.")));
}

/*
 * no_report
 *		Complains about a name without a report, and tells the nearest of the caller's.
 */
static void
no_report(const char *name)
{
	List	   *names = NIL;
	const char *closest;

	execute("SELECT name, owner FROM " CRMIO_SCHEMA ".report", 0, NULL, NULL, true, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];

		if (may_use(SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2)))
			names = lappend(names, SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1));
	}
	closest = crmio_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("report \"%s\" does not exist", crmio_clip(name)),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) :
			 errhint("Save it with crm_save_report; the view crm_reports shows the reports there are.")));
}

/*
 * crmio_report_find
 *		The query and options of a saved report, in CurrentMemoryContext; an error if the
 *		caller can't use it.
 */
void
crmio_report_find(const char *name, char **query, Jsonb **options)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(name)};
	MemoryContext old;
	char	   *owner;
	bool		isnull;

	SPI_connect();
	execute("SELECT query, options, owner FROM " CRMIO_SCHEMA ".report WHERE name = $1",
			1, types, values, true, SPI_OK_SELECT);
	if (SPI_processed != 1)
		no_report(name);
	owner = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
	if (!may_use(owner))
		refuse_report(name, owner);
	old = MemoryContextSwitchTo(caller);
	*query = TextDatumGetCString(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
											   1, &isnull));
	*options = DatumGetJsonbPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
												2, &isnull));
	MemoryContextSwitchTo(old);
	SPI_finish();
}

/*
 * check_report
 *		A report that can't run is refused when it is saved.
 */
static void
check_report(const char *query, Jsonb *options)
{
	if (crmio_names_report(query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a report can't be made of another report"),
				 errhint("Save the query itself, or the name of a module.")));
	crmio_result_check(crmio_export_source(query, options, NULL, false));
}

/*
 * crm_save_report
 *		SELECT crm_save_report(name, query, options)
 */
Datum
crm_save_report(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"name", "query", "options"};
	Oid			types[4] = {TEXTOID, TEXTOID, JSONBOID, NAMEOID};
	Datum		values[4];
	char	   *name;
	char	   *owner;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	PreventCommandIfReadOnly("crm_save_report()");
	name = crmio_trim(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (*name == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a report must not be empty")));
	check_report(text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(2));
	values[0] = CStringGetTextDatum(name);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = PG_GETARG_DATUM(2);
	values[3] = DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(GetUserId(), false)));

	SPI_connect();
	owner = read_owner(name);
	if (owner != NULL && !may_change(owner))
		refuse_report(name, owner);
	/* two who save one name at the same time: the second is told by the unique index */
	execute(owner == NULL ?
			"INSERT INTO " CRMIO_SCHEMA ".report (name, query, options, owner) VALUES ($1, $2, $3, $4)" :
			"UPDATE " CRMIO_SCHEMA ".report SET query = $2, options = $3, owner = $4,"
			" saved_at = pg_catalog.now() WHERE name = $1",
			4, types, values, false, owner == NULL ? SPI_OK_INSERT : SPI_OK_UPDATE);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * crm_drop_report
 *		SELECT crm_drop_report(name)
 */
Datum
crm_drop_report(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *owner;
	Oid			types[1] = {TEXTOID};
	Datum		values[1];

	PreventCommandIfReadOnly("crm_drop_report()");
	name = crmio_trim(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	values[0] = CStringGetTextDatum(name);
	SPI_connect();
	owner = read_owner(name);
	if (owner == NULL)
		no_report(name);
	if (!may_change(owner))
		refuse_report(name, owner);
	execute("DELETE FROM " CRMIO_SCHEMA ".report WHERE name = $1", 1, types, values, false,
			SPI_OK_DELETE);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * audit.c
 *	  Entries of crmio.audit_log.
 *
 * An entry belongs to the transaction of the call, so it goes when that is rolled
 * back.  The server's log keeps a line of each call in any case.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "history/audit.h"

/*
 * role_name
 *		A role's name as a Datum of type name.
 */
static Datum
role_name(Oid role)
{
	return DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(role, false)));
}

/*
 * crmio_audit
 *		Adds an entry.  The caller holds no SPI connection that must stay the current one.
 */
void
crmio_audit(const char *action, Jsonb *details)
{
	Oid			types[] = {NAMEOID, NAMEOID, TEXTOID, JSONBOID};
	Datum		values[] = {role_name(GetUserId()), role_name(GetSessionUserId()),
	CStringGetTextDatum(action), JsonbPGetDatum(details)};
	CrmioOwnerScope scope;

	crmio_become_owner(&scope);
	SPI_connect();
	if (SPI_execute_with_args("INSERT INTO " CRMIO_SCHEMA ".audit_log (role, session_role, action, details)"
							  " VALUES ($1, $2, $3, $4)", lengthof(types), types, values, NULL,
							  false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write to the audit log");
	SPI_finish();
	crmio_restore_user(&scope);
}

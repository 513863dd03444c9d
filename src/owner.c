/*
 * owner.c
 *	  The switch to the extension's owner, and back; and who may see a job.
 *
 * Nobody but their owner writes crmio's own tables, so C code that reads or
 * writes them runs its SQL as the owner of the extension, with a search_path on
 * which nothing of the user's stands.  Between crmio_become_owner and
 * crmio_restore_user no SQL that users wrote may run.
 */
#include "crmio.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/*
 * Reads the owner of the extension from the catalog.  It is not cached: REASSIGN
 * OWNED changes it at any time.
 */
static Oid
extension_owner(void)
{
	Oid			owner;
	Oid			extension = get_extension_oid("crmio", false);
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find tuple for extension %u", extension);
	owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}

/*
 * Makes another role the current user until crmio_restore_user.  If an error comes
 * in between, the abort of the (sub)transaction does what crmio_restore_user would
 * have done, so no PG_TRY is needed.
 *
 * SECURITY_RESTRICTED_OPERATION is no hindrance for DML, and keeps anything that
 * might run here by mistake from leaving traces in the user's session.
 */
void
crmio_become(CrmioOwnerScope *scope, Oid user, int sec_flags)
{
	GetUserIdAndSecContext(&scope->user, &scope->sec_context);
	SetUserIdAndSecContext(user, scope->sec_context | sec_flags |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	scope->guc_level = NewGUCNestLevel();
	crmio_set_locally("search_path", "pg_catalog, pg_temp");
}

/*
 * Makes the extension's owner the current user.
 */
void
crmio_become_owner(CrmioOwnerScope *scope)
{
	crmio_become(scope, extension_owner(), 0);
}

/*
 * Gives the caller's identity and settings back.
 */
void
crmio_restore_user(CrmioOwnerScope *scope)
{
	AtEOXact_GUC(false, scope->guc_level);
	SetUserIdAndSecContext(scope->user, scope->sec_context);
}

/*
 * May the caller act for the role of this name?  For one that is gone, only a
 * superuser may.
 */
bool
crmio_acts_for(const char *role)
{
	Oid			oid = get_role_oid(role, true);

	return OidIsValid(oid) ? has_privs_of_role(GetUserId(), oid) : superuser();
}

/*
 * Raises an error unless the job is the caller's, or that of a role that the caller
 * is a member of.  A job of another role is not told from one that does not exist:
 * then owner is NULL.
 */
void
crmio_check_job_owner(int64 job_id, const char *owner)
{
	if (owner == NULL || !crmio_acts_for(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no job " INT64_FORMAT " of yours", job_id),
				 errhint("Your jobs are in the view crm_jobs.")));
}

/*
 * target.c
 *	  The lock that makes imports into one table take turns.
 *
 * Each table that some module is kept in has a row in crmio.target.  An import
 * updates the row, without changing it, before it looks for matches, and so waits
 * for an import that is under way, and then sees what that one wrote.  An update
 * and not just a row lock, because under REPEATABLE READ and SERIALIZABLE an
 * update of what another transaction updated meanwhile is a serialization
 * failure, where otherwise both would create the same record.
 */
#include "catalog/module.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

/*
 * Locks the target rows of these tables (a List of Oid) until the end of the
 * transaction: in the order of their OIDs, so that two imports never wait for
 * each other.
 */
void
crmio_target_lock(List *relids)
{
	const char *sql = "UPDATE " CRMIO_SCHEMA ".target SET relation = relation WHERE relation = $1";
	Oid			types[1] = {REGCLASSOID};
	CrmioOwnerScope scope;
	List	   *sorted = list_copy(relids);
	ListCell   *lc;

	list_sort(sorted, list_oid_cmp);
	list_deduplicate_oid(sorted);
	crmio_become_owner(&scope);
	SPI_connect();
	foreach(lc, sorted)
	{
		Datum		values[1] = {ObjectIdGetDatum(lfirst_oid(lc))};

		if (SPI_execute_with_args(sql, 1, types, values, NULL, false, 0) != SPI_OK_UPDATE)
			elog(ERROR, "could not lock the target of relation %u", lfirst_oid(lc));
		if (SPI_processed != 1)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no module is kept in relation \"%s\" any more",
							get_rel_name(lfirst_oid(lc))),
					 errdetail("The module was unregistered while the import began.")));
	}
	SPI_finish();
	crmio_restore_user(&scope);
}

/*
 * Has nobody locked these target rows since a transaction of ours?  They are locked
 * against all others by the question, so crmio_target_lock may follow.
 */
bool
crmio_target_untouched(List *relids, TransactionId last)
{
	const char *sql = "SELECT xmin FROM " CRMIO_SCHEMA ".target WHERE relation = ANY ($1)"
		" ORDER BY relation FOR UPDATE";
	Oid			types[1] = {get_array_type(REGCLASSOID)};
	Datum	   *oids = palloc(sizeof(Datum) * list_length(relids));
	Datum		values[1];
	CrmioOwnerScope scope;
	bool		untouched = true;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, relids)
		oids[n++] = ObjectIdGetDatum(lfirst_oid(lc));
	values[0] = PointerGetDatum(construct_array(oids, n, REGCLASSOID, sizeof(Oid), true,
												TYPALIGN_INT));
	crmio_become_owner(&scope);
	SPI_connect();
	if (SPI_execute_with_args(sql, 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the targets of an import");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		xmin = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		untouched &= TransactionIdEquals(DatumGetTransactionId(xmin), last);
	}
	SPI_finish();
	crmio_restore_user(&scope);
	return untouched;
}

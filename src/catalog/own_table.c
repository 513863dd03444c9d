/*
 * own_table.c
 *	  Reads a whole table of crmio's by a scan, as the server reads its catalogs:
 *	  such a table is small, no SPI connection owns the result, and no right to the
 *	  table is needed.
 */
#include "catalog/own_table.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/*
 * All rows of a table in crmio's schema that the transaction sees, as the reader
 * returns them, in no order that may be relied on.
 */
List *
crmio_own_table(const char *name, CrmioRowReader read)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid(CRMIO_SCHEMA, false));
	Relation	rel;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;
	List	   *rows = NIL;

	if (!OidIsValid(relid))
		elog(ERROR, "table %s.%s does not exist", CRMIO_SCHEMA, name);
	rel = table_open(relid, AccessShareLock);
	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	scan = table_beginscan(rel, snapshot, 0, NULL);
	slot = table_slot_create(rel, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		rows = lappend(rows, read(slot));
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return rows;
}

/*
 * own_table.h
 *	  Reading crmio's own small tables, without SPI and without rights to them.
 */
#ifndef CRMIO_OWN_TABLE_H
#define CRMIO_OWN_TABLE_H

#include "crmio.h"

#include "executor/tuptable.h"

/* Copies a row out of the scan. */
typedef void *(*CrmioRowReader) (TupleTableSlot *slot);

extern List *crmio_own_table(const char *name, CrmioRowReader read);

#endif							/* CRMIO_OWN_TABLE_H */

/*
 * table_insert.h
 *	  New records straight into a plain table, page by page.
 */
#ifndef CRMIO_TABLE_INSERT_H
#define CRMIO_TABLE_INSERT_H

#include "import/import.h"

typedef struct TableInsert TableInsert;

extern TableInsert *crmio_table_insert_create(ImportPlan *plan);
extern bool crmio_table_insert_serves(const TableInsert *insert);
extern void crmio_table_insert_begin(TableInsert *insert);
extern void crmio_table_insert_row(TableInsert *insert, Datum *values, bool *nulls);
extern void crmio_table_insert_end(TableInsert *insert);
extern int64 crmio_table_insert_rows_taken(const TableInsert *insert);

#endif							/* CRMIO_TABLE_INSERT_H */

/*
 * statement.h
 *	  SQL that reads its rows from memory: a batch is handed to the server as an
 *	  ephemeral named relation, so a statement for 50,000 rows is as short as one
 *	  for a single row, and carries no value in its text.
 */
#ifndef CRMIO_STATEMENT_H
#define CRMIO_STATEMENT_H

#include "crmio.h"

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/tuplestore.h"

/* The name under which a statement sees its rows. */
#define BATCH_RELATION "crmio_batch"

/* Alias of the module's table in all statements that crmio builds. */
#define TARGET_ALIAS "crmio_target"

typedef struct RowSet
{
	TupleDesc	tupdesc;
	Tuplestorestate *store;
	int64		nrows;
} RowSet;

/* A statement, planned once for its first use. */
typedef struct Statement
{
	char	   *sql;
	bool		use_indexes;	/* plan it as one index lookup per row */
	bool		no_loops;		/* plan it without nested loops */
	SPIPlanPtr	plan;
	MemoryContextCallback release;
} Statement;

extern void crmio_statement_init(void);

extern RowSet *crmio_rowset_create(TupleDesc tupdesc);
extern void crmio_rowset_add(RowSet *rows, Datum *values, bool *nulls);
extern void crmio_rowset_free(RowSet *rows);
extern int64 crmio_rowset_rows_taken(RowSet *rows);

extern Statement *crmio_statement_create(MemoryContext context, const char *sql, bool use_indexes);
extern void crmio_statement_plan_for(Statement *statement, Oid relid, int64 nrows);
extern void crmio_statement_forget_plan(Statement *statement);
extern void crmio_statement_run(Statement *statement, RowSet *rows);
extern void crmio_statement_check_rights(Statement *statement, RowSet *empty);
extern bool crmio_statement_uses_index(Statement *statement, RowSet *empty, const char *alias);

extern char *crmio_equality_sql(const char *left, Oid typid, const char *right);

#endif							/* CRMIO_STATEMENT_H */

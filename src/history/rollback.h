/*
 * rollback.h
 *	  The parts of a rollback and what they share.
 *
 *	  rollback.c: the function; which records the job touched, in which tables
 *	  undo_created.c: created records are found, then deleted
 *	  undo_references.c: which of them others refer to
 *	  undo_changes.c: changed records get their old values back
 */
#ifndef CRMIO_ROLLBACK_H
#define CRMIO_ROLLBACK_H

#include "crmio.h"

#include "catalog/module.h"
#include "catalog/record_key.h"
#include "statement.h"

/* Records that the rollback leaves as they are, told to the caller. */
#define MAX_NOTES 5

typedef struct Rollback
{
	int64		job_id;
	MemoryContext context;		/* as long as the rollback */
	TransactionId first_xid;	/* of the rollback's own writes */
	TransactionId *xids;		/* of the job's writes, sorted; as xmin shows them */
	int			nxids;
	int			live_subxacts;
	int64		deleted;
	int64		restored;
	int64		kept;
	int64		blocked;
	int64		gone;			/* not there any more, or not for the caller to see */
	List	   *notes;			/* of char *: the first records that stay, and why */
} Rollback;

/*
 * A table in which the job wrote: modules on one table whose records have one key
 * are one.
 */
typedef struct UndoTarget
{
	Module	   *module;
	List	   *modules;		/* of char *: their names */
	RecordKey  *key;
	bool		integer_key;	/* of one integer column */
	bool		key_is_indexed;
	bool		is_view;
	bool		has_xmin;		/* rows tell which transaction wrote them */
	bool		keys_changed;	/* the job changed keys of records */
	struct Created *created;	/* undo_created.c */
	struct Changes *changes;	/* undo_changes.c */
	List	   *later;			/* and what is to be tried again after the deletion */
} UndoTarget;

/*
 * Columns of the sets of records to be deleted, before their key (r1, ...) and the
 * columns that foreign keys refer to (f1, ...).
 */
#define UNDO_COLUMN_N	0		/* number of the record, from 0 */
#define UNDO_COLUMN_X	1		/* its xmin */
#define UNDO_FIRST_KEY	2

/* rollback.c */
extern void crmio_undo_query(Rollback *rollback, UndoTarget *target, const char *sql,
							 Portal *cursor);
extern uint64 crmio_undo_fetch(Portal cursor, long rows);
extern ErrorData *crmio_undo_try(Rollback *rollback, void (*work) (void *arg), void *arg);
extern char *crmio_undo_given_back(const UndoTarget *target);
extern bool crmio_undo_is_the_jobs(const Rollback *rollback, TransactionId xid);
extern bool crmio_undo_is_own(const Rollback *rollback, TransactionId xid);
extern void crmio_undo_note(Rollback *rollback, const UndoTarget *target, const char *key,
							const char *reason);

/* undo_created.c */
extern void crmio_undo_find_created(Rollback *rollback, UndoTarget *target);
extern void crmio_undo_delete_created(Rollback *rollback, UndoTarget *target);

/* undo_references.c */
typedef struct ForeignKey
{
	char	   *name;
	Oid			relid;			/* the table that refers */
	int			ncolumns;
	AttrNumber *columns;		/* of that table */
	AttrNumber *referred;		/* of the table whose records are to be deleted */
	Oid		   *operators;		/* referred = column */
	bool		self;			/* both are the same table */
	bool		acts;			/* a deletion would reach the rows that refer */
} ForeignKey;

extern List *crmio_foreign_keys_to(Oid relid);
extern RowSet *crmio_undo_unreferenced(Rollback *rollback, UndoTarget *target, List *foreign_keys,
									   AttrNumber *columns, int ncolumns, RowSet *rows);

/* undo_changes.c */
extern void crmio_undo_changes(Rollback *rollback, UndoTarget *target);
extern void crmio_undo_changes_later(Rollback *rollback, UndoTarget *target);

#endif							/* CRMIO_ROLLBACK_H */

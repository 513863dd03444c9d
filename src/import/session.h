/*
 * session.h
 *	  An import from its call to its end, batch by batch.
 */
#ifndef CRMIO_SESSION_H
#define CRMIO_SESSION_H

#include "import/import.h"
#include "utils/timestamp.h"

/* The order of day and month in the column of a field. */
typedef struct FoundOrder
{
	char	   *path;
	CrmioDateOrder order;
} FoundOrder;

/*
 * Parts: an import in the background is one session of many transactions.  File,
 * reader and counts live as long as the session; plan, writer and log are made
 * anew in each transaction, because in between anybody may have changed the table,
 * its triggers, or the rights to it.
 */
typedef struct Session
{
	Import		import;
	MemoryContext context;		/* as long as the session */
	Mapping    *mapping;
	Jsonb	   *mapping_given;	/* mapping and policy, as the caller wrote them */
	char	   *policy_given;
	char	   *file;			/* as the caller named it */
	Source	   *source;
	Reader	   *reader;
	int64		rows_seen;		/* row number of the last row read */
	bool		at_end;			/* the file has been read */
	int			next_batch;		/* rows */
	TimestampTz started;
	bool		in_parts;
	uint64		rows_hash;		/* in parts: of all rows read */
	TransactionId last_xid;		/* in parts: of the last one that locked the targets */
	List	   *date_orders;	/* of FoundOrder *, found so far */
} Session;

/* session.c */
extern Session *crmio_session_open(MemoryContext context, const char *file, Jsonb *mapping,
								   const char *policy);
extern void crmio_session_plan(Session *session, bool to_write, List **indexes);
extern void crmio_session_warn(Session *session, List *indexes);
extern JobStart crmio_session_job(const Session *session);
extern Session *crmio_session_start(MemoryContext context, const char *file, Jsonb *mapping,
									const char *policy);
extern void crmio_session_begin(Session *session);
extern int	crmio_session_read(Session *session, int max_rows);
extern void crmio_session_batch(Session *session);
extern void crmio_session_dry(Session *session);
extern void crmio_session_end(Session *session);
extern void crmio_session_show(const Session *session);

/* part.c */
extern bool crmio_session_is_large(Session *session);
extern void crmio_session_check(Session *session);
extern Session *crmio_session_reopen(MemoryContext context, const Job *job);
extern void crmio_session_part(Session *session);
extern uint64 crmio_row_hash(uint64 hash, const FileRow *row);
extern JobPosition crmio_session_position(const Session *session);

/*
 * How an import too large for its caller's transaction gets into the background:
 * the room that works there sets it.  Returns the job's id.
 */
typedef int64 (*CrmioHandOver) (Session *session);
extern CrmioHandOver crmio_hand_over;

#endif							/* CRMIO_SESSION_H */

/*
 * session.h
 *	  An import from its call to its end, batch by batch.
 */
#ifndef CRMIO_SESSION_H
#define CRMIO_SESSION_H

#include "import/import.h"
#include "utils/timestamp.h"

typedef struct Session
{
	Import		import;
	Mapping    *mapping;
	char	   *file;			/* as the caller named it */
	Source	   *source;
	Reader	   *reader;
	int64		rows_seen;		/* row number of the last row read */
	bool		at_end;			/* the file has been read */
	int			next_batch;		/* rows */
	TimestampTz started;
} Session;

extern Session *crmio_session_start(MemoryContext context, const char *file, Jsonb *mapping,
									const char *policy);
extern int	crmio_session_read(Session *session, int max_rows);
extern void crmio_session_batch(Session *session);
extern void crmio_session_end(Session *session);

#endif							/* CRMIO_SESSION_H */

/*
 * launch.h
 *	  Starting background workers.
 */
#ifndef CRMIO_LAUNCH_H
#define CRMIO_LAUNCH_H

#include "crmio.h"

/*
 * What a worker is to be: a function of this library, exported as PGDLLEXPORT
 * void f(Datum), that begins with crmio_worker_connect.
 */
typedef struct WorkerStart
{
	const char *function;
	const char *title;			/* in pg_stat_activity and the server's log */
	Oid			role;			/* to connect as; InvalidOid: the bootstrap superuser */
	int64		argument;		/* for the function */
	const char *if_none;		/* what becomes of its work if no worker can be had: a
								 * sentence for the user, or NULL to say nothing */
	bool		whatever_end;	/* of the transaction: start it after a rollback too */
} WorkerStart;

extern bool crmio_worker_launch(const WorkerStart *start);
extern void crmio_worker_launch_at_commit(const WorkerStart *start);
extern int64 crmio_worker_connect(void);

#endif							/* CRMIO_LAUNCH_H */

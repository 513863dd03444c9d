/*
 * queue.h
 *	  Which jobs wait, which run, and which are dead.
 */
#ifndef CRMIO_QUEUE_H
#define CRMIO_QUEUE_H

#include "crmio.h"
#include "history/job.h"

extern bool crmio_queue_may_look(void);
extern void crmio_queue_bury(void);
extern bool crmio_queue_run(bool *full);
extern void crmio_queue_run_at_commit(Oid role);
extern void crmio_queue_run_at_end(const char *owner);
extern void crmio_queue_signal_at_commit(const Job *job);
extern int64 crmio_queue_claim(Oid role);
extern bool crmio_queue_keep(void);
extern void crmio_queue_leave(void);
extern const char *crmio_queue_role_problem(const char *owner);

#endif							/* CRMIO_QUEUE_H */

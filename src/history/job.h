/*
 * job.h
 *	  What a job leaves behind: its row, its errors and warnings, and what is
 *	  needed to undo it.
 *
 *	  States of a job: "queued" (in the background only), "running", then
 *	  "completed", "failed" or "cancelled"; the last two may be queued again.
 */
#ifndef CRMIO_JOB_H
#define CRMIO_JOB_H

#include "crmio.h"
#include "access/transam.h"
#include "catalog/record_key.h"

#include "access/tupdesc.h"
#include "utils/timestamp.h"

/* Every row read is counted in exactly one of created ... errored. */
typedef struct JobCounts
{
	int64		rows_read;
	int64		created;
	int64		updated;
	int64		unchanged;
	int64		skipped;
	int64		errored;
	int64		warnings;		/* messages, not rows */
} JobCounts;

/* Id, state and counts of a job, as crm_progress begins. */
#define JOB_COUNT_VALUES 9

typedef struct JobMessage
{
	bool		warning;
	int64		row_number;		/* 0: about the whole file */
	int64		line_number;	/* 0: likewise */
	const char *column_name;	/* NULL: none */
	const char *field;
	const char *value;			/* clipped by the time it is kept */
	const char *code;
	const char *reason;
} JobMessage;

/* What a new job row says. */
typedef struct JobStart
{
	const char *module;
	const char *file_name;
	Jsonb	   *mapping;
	const char *policy;
	bool		dry_run;
	List	   *notify;			/* of char *: who gets mail when it ends */
	int			ncolumns;
	char	  **header;			/* NULL: the file has none */
	char		delimiter;
	char		quote;
	/* of a job for the background, which is queued; else NULL */
	const char *file;			/* as the caller named it */
	int64		file_size;		/* bytes */
	Jsonb	   *settings;		/* of the caller: name -> value */
} JobStart;

/* What the row of an older job says. */
typedef struct JobInfo
{
	char	   *module;
	char	   *state;
	char	   *policy;
	Jsonb	   *mapping;
	bool		dry_run;
	bool		cleaned;		/* crm_cleanup has removed all but the row */
} JobInfo;

/* How far a job in the background has come: where to go on. */
typedef struct JobPosition
{
	int64		batches;
	int64		bytes_read;
	uint64		rows_hash;		/* of all rows read: tells whether a file is the same */
	Jsonb	   *date_orders;	/* found so far: field path -> order; NULL: none */
} JobPosition;

/* The row of a job. */
typedef struct Job
{
	int64		job_id;
	char	   *owner;
	char	   *module;
	char	   *file_name;
	Jsonb	   *mapping;
	char	   *policy;
	bool		dry_run;
	char	   *state;
	JobCounts	counts;
	TimestampTz started_at;		/* 0: not yet */
	TimestampTz ended_at;		/* 0: not yet */
	char	   *reason;			/* NULL: none */
	bool		background;
	/* in the background only */
	char	   *file;
	int64		file_size;
	Jsonb	   *settings;
	TimestampTz queued_at;
	char	   *cancelled_by;	/* who asked the worker to stop; NULL: nobody */
	int			worker_pid;		/* 0: had none */
	TimestampTz worker_started_at;
	JobPosition position;
	bool		cleaned;		/* crm_cleanup has removed all but the row */
	bool		own_change;		/* by the transaction that reads it */
} Job;

/*
 * What a batch adds to a job, collected in memory and written by one statement
 * per table, because one statement per row would be slow.
 */
typedef struct JobLog JobLog;

extern int64 crmio_job_start(const JobStart *start);
extern void crmio_job_counts(Datum *values, int64 job_id, const char *state, const JobCounts *counts);
extern void crmio_job_update(int64 job_id, const char *state, const JobCounts *counts);
extern void crmio_job_read(int64 job_id, bool lock, JobInfo *info);
extern void crmio_job_rolled_back(int64 job_id);
extern Datum crmio_jobs_clean(Datum older_than, Datum roles, int64 *njobs);
extern void crmio_job_ended(int64 job_id);
extern void crmio_history_run(const char *sql, int nargs, Oid *types, Datum *values,
							  const char *nulls);

/* state.c: the life of a job in the background */
extern Job *crmio_job_load(int64 job_id, bool lock);
extern Job *crmio_job_of_caller(int64 job_id, bool lock);
extern List *crmio_jobs_of_caller(void);
extern List *crmio_jobs_in_state(const char *state);
extern bool crmio_job_lock_queued(int64 job_id);
extern bool crmio_job_claim(int64 job_id, int worker_pid);
extern void crmio_job_save_position(int64 job_id, const JobPosition *position);
extern void crmio_job_request_cancel(int64 job_id, const char *role);
extern void crmio_job_queue_again(int64 job_id);
extern bool crmio_job_end(int64 job_id, const char *from, const char *state, const char *reason);
extern Datum crmio_progress_datum(TupleDesc desc, int64 job_id, const char *state,
								  const JobCounts *counts, int64 bytes_read, int64 bytes,
								  int64 elapsed);
extern Datum crmio_job_progress(TupleDesc desc, const Job *job);
extern Datum crmio_job_percent(const Job *job);

/* What else is done then, by a room that this one does not know; or NULL. */
extern void (*crmio_job_ended_hook) (int64 job_id);

extern JobLog *crmio_joblog_create(int64 job_id);
extern void crmio_joblog_message(JobLog *log, const JobMessage *message);
extern void crmio_joblog_error_row(JobLog *log, int64 row_number, int nfields, char **fields);
extern void crmio_joblog_created(JobLog *log, const char *module, const RecordKey *key,
								 const Datum *value);
extern void crmio_joblog_wrote(JobLog *log, FullTransactionId xid);
extern void crmio_joblog_changed(JobLog *log, int64 batch, const char *module, const char *key,
								 TransactionId old_xmin, Jsonb *old_values, Jsonb *new_values);
extern void crmio_joblog_drop_undo(JobLog *log);
extern void crmio_joblog_write(JobLog *log, int64 batch);

#endif							/* CRMIO_JOB_H */

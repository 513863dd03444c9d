/*
 * job.h
 *	  What a job leaves behind: its row, its errors and warnings, and what is
 *	  needed to undo it.
 */
#ifndef CRMIO_JOB_H
#define CRMIO_JOB_H

#include "crmio.h"
#include "access/transam.h"
#include "catalog/record_key.h"

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
	int			ncolumns;
	char	  **header;			/* NULL: the file has none */
	char		delimiter;
	char		quote;
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

/*
 * What a batch adds to a job, collected in memory and written by one statement
 * per table, because one statement per row would be slow.
 */
typedef struct JobLog JobLog;

extern int64 crmio_job_start(const JobStart *start);
extern void crmio_job_update(int64 job_id, const char *state, const JobCounts *counts);
extern void crmio_job_read(int64 job_id, bool lock, JobInfo *info);
extern void crmio_job_rolled_back(int64 job_id);
extern Datum crmio_jobs_clean(Datum older_than, Datum roles, int64 *njobs);

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

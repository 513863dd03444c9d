/*
 * job.c
 *	  Writes what a job leaves behind: its row, its errors and warnings, the rows
 *	  that failed, and what undoing it needs.  report.c reads the first three.
 *
 * All of it is written as the owner of the extension, with a connection to SPI
 * that the caller holds.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/xid8.h"

#include "history/job.h"
#include "statement.h"

/* Rows for one of the history tables, until they are written. */
typedef struct Sink
{
	TupleDesc	desc;
	RowSet	   *rows;			/* NULL: none */
	Statement  *write;
} Sink;

/* Keys created in one module since the last write: integers, or text. */
typedef struct CreatedKeys
{
	char	   *module;
	bool		integers;
	Datum	   *keys;
	int			nkeys;
	int			room;
} CreatedKeys;

#define FIRST_CREATED_KEYS 256
#define FIRST_XIDS 8

void		(*crmio_job_ended_hook) (int64 job_id) = NULL;

struct JobLog
{
	int64		job_id;
	MemoryContext context;
	ResourceOwner owner;		/* of the files that the sinks may need */
	MemoryContext created_context;	/* of created and xids */
	List	   *created;		/* of CreatedKeys * */
	Datum	   *xids;			/* xid8: in which records were written */
	int			nxids;
	int			xids_room;
	Sink		messages;
	Sink		error_rows;
	Sink		changes;
};

/*
 * crmio_history_run
 *		Runs one statement with parameters on crmio's own tables, as their owner.
 */
void
crmio_history_run(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	CrmioOwnerScope scope;
	int			result;

	crmio_become_owner(&scope);
	result = SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not write the job: %s", SPI_result_code_string(result));
	crmio_restore_user(&scope);
	MemoryContextSwitchTo(context);
}

/*
 * text_array
 *		A text[] of C strings; a NULL among them becomes a NULL element.
 */
static Datum
text_array(int n, char **strings)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(n, 1));
	int			dims[1] = {n};
	int			bounds[1] = {1};

	for (int i = 0; i < n; i++)
	{
		nulls[i] = strings[i] == NULL;
		elements[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(strings[i]);
	}
	return PointerGetDatum(construct_md_array(elements, nulls, 1, dims, bounds,
											  TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * text_list
 *		A text[] of a List of char *.
 */
static Datum
text_list(List *strings)
{
	char	  **array = palloc(sizeof(char *) * list_length(strings));

	for (int i = 0; i < list_length(strings); i++)
		array[i] = list_nth(strings, i);
	return text_array(list_length(strings), array);
}

/*
 * crmio_job_start
 *		Makes the row of a new job, and returns its id.  One for the background is queued,
 *		any other is running.
 */
int64
crmio_job_start(const JobStart *start)
{
	Oid			types[13] = {TEXTOID, TEXTOID, JSONBOID, TEXTOID, BOOLOID, TEXTARRAYOID,
	TEXTOID, TEXTOID, NAMEOID, TEXTOID, INT8OID, JSONBOID, TEXTARRAYOID};
	Datum		values[13];
	char		nulls[14] = "             ";
	char		delimiter[2] = {start->delimiter, '\0'};
	char		quote[2] = {start->quote, '\0'};
	bool		isnull;

	values[0] = CStringGetTextDatum(start->module);
	values[1] = CStringGetTextDatum(start->file_name);
	values[2] = JsonbPGetDatum(start->mapping);
	values[3] = CStringGetTextDatum(start->policy);
	values[4] = BoolGetDatum(start->dry_run);
	if (start->header != NULL)
		values[5] = text_array(start->ncolumns, start->header);
	else
		nulls[5] = 'n';
	values[6] = CStringGetTextDatum(delimiter);
	values[7] = CStringGetTextDatum(quote);
	values[8] = DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(GetUserId(), false)));
	if (start->file != NULL)
	{
		values[9] = CStringGetTextDatum(start->file);
		values[10] = Int64GetDatum(start->file_size);
		values[11] = JsonbPGetDatum(start->settings);
	}
	else
		nulls[9] = nulls[10] = nulls[11] = 'n';
	if (start->notify != NIL)
		values[12] = text_list(start->notify);
	else
		nulls[12] = 'n';

	crmio_history_run("INSERT INTO " CRMIO_SCHEMA ".job"
					  " (module, file_name, mapping, policy, dry_run, header, delimiter, quote, owner,"
					  " file, file_size, settings, background, state, queued_at, started_at, notify)"
					  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $10 IS NOT NULL,"
					  " CASE WHEN $10 IS NULL THEN 'running' ELSE 'queued' END,"
					  " CASE WHEN $10 IS NOT NULL THEN pg_catalog.clock_timestamp() END,"
					  " CASE WHEN $10 IS NULL THEN pg_catalog.clock_timestamp() END, $13)"
					  " RETURNING job_id",
					  13, types, values, nulls);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * crmio_job_counts
 *		Fills in JOB_COUNT_VALUES values: id, state and counts, in the order that they
 *		have in crm_progress.
 */
void
crmio_job_counts(Datum *values, int64 job_id, const char *state, const JobCounts *counts)
{
	values[0] = Int64GetDatum(job_id);
	values[1] = CStringGetTextDatum(state);
	values[2] = Int64GetDatum(counts->rows_read);
	values[3] = Int64GetDatum(counts->created);
	values[4] = Int64GetDatum(counts->updated);
	values[5] = Int64GetDatum(counts->unchanged);
	values[6] = Int64GetDatum(counts->skipped);
	values[7] = Int64GetDatum(counts->errored);
	values[8] = Int64GetDatum(counts->warnings);
}

/*
 * crmio_job_update
 *		Brings the job's row up to date; a state other than "running" ends it.  Whoever
 *		ends a job calls crmio_job_ended too.
 */
void
crmio_job_update(int64 job_id, const char *state, const JobCounts *counts)
{
	Oid			types[JOB_COUNT_VALUES] = {INT8OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID};
	Datum		values[JOB_COUNT_VALUES];

	crmio_job_counts(values, job_id, state, counts);
	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET state = $2, rows_read = $3, created = $4,"
				 " updated = $5, unchanged = $6, skipped = $7, errored = $8, warnings = $9,"
				 " ended_at = CASE WHEN $2 <> 'running' THEN pg_catalog.clock_timestamp() END"
				 " WHERE job_id = $1",
				 JOB_COUNT_VALUES, types, values, NULL);
}

/*
 * crmio_job_ended
 *		Tells the world that a job has ended, whatever its end, as part of the
 *		transaction that ends it: its row says all by now.  Any role may listen, so
 *		nothing of the file is told, not even its name.
 */
void
crmio_job_ended(int64 job_id)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};

	crmio_history_run("SELECT pg_catalog.pg_notify('crmio', pg_catalog.jsonb_build_object("
				 "'job_id', job_id, 'state', state, 'module', pg_catalog.\"left\"(module, 200), 'dry_run', dry_run,"
				 " 'rows_read', rows_read, 'created', created, 'updated', updated,"
				 " 'unchanged', unchanged, 'skipped', skipped, 'errored', errored,"
				 " 'warnings', warnings, 'policy', policy,"
				 " 'seconds', pg_catalog.round(EXTRACT(epoch FROM ended_at - started_at), 3))::pg_catalog.text)"
				 " FROM " CRMIO_SCHEMA ".job WHERE job_id = $1", 1, types, values, NULL);
	if (crmio_job_ended_hook != NULL)
		crmio_job_ended_hook(job_id);
}

/*
 * crmio_job_read
 *		What the row of a job of the caller says, in CurrentMemoryContext; an error if
 *		there is none.  With lock, the row stays as it is until the transaction ends.
 */
void
crmio_job_read(int64 job_id, bool lock, JobInfo *info)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};
	const char *owner = NULL;
	HeapTuple	tuple = NULL;
	TupleDesc	desc = NULL;
	bool		isnull;

	/* nobody waits for the row of a job that is none of his business */
	if (lock)
		crmio_job_read(job_id, false, info);
	crmio_history_run(psprintf("SELECT owner, module, state, policy, mapping, dry_run, cleaned_at IS NOT NULL"
						  " FROM " CRMIO_SCHEMA ".job WHERE job_id = $1%s", lock ? " FOR UPDATE" : ""),
				 1, types, values, NULL);
	if (SPI_processed == 1)
	{
		tuple = SPI_tuptable->vals[0];
		desc = SPI_tuptable->tupdesc;
		owner = SPI_getvalue(tuple, desc, 1);
	}
	crmio_check_job_owner(job_id, owner);
	info->module = SPI_getvalue(tuple, desc, 2);
	info->state = SPI_getvalue(tuple, desc, 3);
	info->policy = SPI_getvalue(tuple, desc, 4);
	info->mapping = DatumGetJsonbPCopy(SPI_getbinval(tuple, desc, 5, &isnull));
	info->dry_run = DatumGetBool(SPI_getbinval(tuple, desc, 6, &isnull));
	info->cleaned = DatumGetBool(SPI_getbinval(tuple, desc, 7, &isnull));
	SPI_freetuptable(SPI_tuptable);
}

/*
 * crmio_job_rolled_back
 *		What the job did has been undone.
 */
void
crmio_job_rolled_back(int64 job_id)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};

	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET state = 'rolled_back',"
				 " rolled_back_at = pg_catalog.clock_timestamp() WHERE job_id = $1",
				 1, types, values, NULL);
}

/*
 * crmio_jobs_clean
 *		Marks the jobs of some roles (a name[]) that ended longer ago than an interval as
 *		cleaned up, and returns their ids: an int8[].
 */
Datum
crmio_jobs_clean(Datum older_than, Datum roles, int64 *njobs)
{
	Oid			types[2] = {INTERVALOID, NAMEARRAYOID};
	Datum		values[2] = {older_than, roles};
	Datum	   *ids;
	bool		isnull;

	crmio_history_run("UPDATE " CRMIO_SCHEMA ".job SET cleaned_at = pg_catalog.clock_timestamp()"
				 " WHERE owner = ANY ($2) AND ended_at < pg_catalog.now() - $1 AND cleaned_at IS NULL"
				 " AND state NOT IN ('queued', 'running') RETURNING job_id",
				 2, types, values, NULL);
	*njobs = SPI_processed;
	ids = palloc(sizeof(Datum) * (SPI_processed + 1));
	for (uint64 i = 0; i < SPI_processed; i++)
		ids[i] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);
	return PointerGetDatum(construct_array(ids, *njobs, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/*
 * init_sink
 *		Prepares the way into a history table; the columns come in pairs of name
 *		and type.
 */
static void
init_sink(Sink *sink, const char *table, int ncolumns, const char *const *names, const Oid *types)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO " CRMIO_SCHEMA ".%s (", table);
	sink->desc = CreateTemplateTupleDesc(ncolumns);
	for (int i = 0; i < ncolumns; i++)
	{
		TupleDescInitEntry(sink->desc, i + 1, names[i], types[i], -1, 0);
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	appendStringInfoString(&sql, ") SELECT * FROM " BATCH_RELATION);
	sink->write = crmio_statement_create(CurrentMemoryContext, sql.data, false);
}

/*
 * add_to_sink
 *		Keeps a row for the next write.  The tuplestore belongs to the log, not to
 *		the subtransaction of the moment: a dry run writes it after undoing that.
 */
static void
add_to_sink(JobLog *log, Sink *sink, Datum *values, bool *nulls)
{
	if (sink->rows == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(log->context);
		ResourceOwner old_owner = CurrentResourceOwner;

		CurrentResourceOwner = log->owner;
		sink->rows = crmio_rowset_create(sink->desc);
		CurrentResourceOwner = old_owner;
		MemoryContextSwitchTo(old);
	}
	crmio_rowset_add(sink->rows, values, nulls);
}

/*
 * write_sink
 *		Writes the rows and forgets them.
 */
static void
write_sink(Sink *sink)
{
	CrmioOwnerScope scope;

	if (sink->rows == NULL)
		return;
	crmio_become_owner(&scope);
	crmio_statement_run(sink->write, sink->rows);
	crmio_restore_user(&scope);
	crmio_rowset_free(sink->rows);
	sink->rows = NULL;
}

/*
 * crmio_joblog_create
 *		A log for a job, in CurrentMemoryContext.
 */
JobLog *
crmio_joblog_create(int64 job_id)
{
	static const char *const message_names[] = {"job_id", "severity", "row_number", "line_number",
	"column_name", "field", "value", "code", "reason"};
	static const Oid message_types[] = {INT8OID, CHAROID, INT8OID, INT8OID,
	TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	static const char *const row_names[] = {"job_id", "row_number", "fields"};
	static const Oid row_types[] = {INT8OID, INT8OID, TEXTARRAYOID};
	static const char *const change_names[] = {"job_id", "batch", "module", "record_key",
	"old_values", "new_values", "old_xid"};
	static const Oid change_types[] = {INT8OID, INT8OID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, XID8OID};
	JobLog	   *log = palloc0(sizeof(JobLog));

	log->job_id = job_id;
	log->context = CurrentMemoryContext;
	log->owner = CurrentResourceOwner;
	log->created_context = AllocSetContextCreate(log->context, "crmio created keys",
												 ALLOCSET_DEFAULT_SIZES);
	init_sink(&log->messages, "job_message", lengthof(message_names), message_names, message_types);
	init_sink(&log->error_rows, "job_error_row", lengthof(row_names), row_names, row_types);
	init_sink(&log->changes, "job_change", lengthof(change_names), change_names, change_types);
	return log;
}

/*
 * optional_text
 *		A text Datum, or NULL.
 */
static Datum
optional_text(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

/*
 * crmio_joblog_message
 *		Adds an error or a warning.
 */
void
crmio_joblog_message(JobLog *log, const JobMessage *message)
{
	Datum		values[9];
	bool		nulls[9] = {false};

	values[0] = Int64GetDatum(log->job_id);
	values[1] = CharGetDatum(message->warning ? 'w' : 'e');
	values[2] = Int64GetDatum(message->row_number);
	nulls[2] = message->row_number == 0;
	values[3] = Int64GetDatum(message->line_number);
	nulls[3] = message->line_number == 0;
	values[4] = optional_text(message->column_name, &nulls[4]);
	values[5] = optional_text(message->field, &nulls[5]);
	values[6] = optional_text(message->value ? crmio_clip(message->value) : NULL, &nulls[6]);
	values[7] = CStringGetTextDatum(message->code);
	values[8] = CStringGetTextDatum(message->reason);
	add_to_sink(log, &log->messages, values, nulls);
}

/*
 * crmio_joblog_error_row
 *		Keeps the fields of a row that failed, as the file had them.
 */
void
crmio_joblog_error_row(JobLog *log, int64 row_number, int nfields, char **fields)
{
	Datum		values[3] = {Int64GetDatum(log->job_id), Int64GetDatum(row_number),
	text_array(nfields, fields)};
	bool		nulls[3] = {false};

	add_to_sink(log, &log->error_rows, values, nulls);
}

/*
 * add_created
 *		Keeps a key for the next write.
 */
static void
add_created(JobLog *log, const char *module, bool integer, Datum key)
{
	MemoryContext old = MemoryContextSwitchTo(log->created_context);
	CreatedKeys *created = NULL;
	ListCell   *lc;

	foreach(lc, log->created)
	{
		CreatedKeys *candidate = lfirst(lc);

		/* the largest integer is no end of a range, and so kept as text */
		if (strcmp(candidate->module, module) == 0 && candidate->integers == integer)
			created = candidate;
	}
	if (created == NULL)
	{
		created = palloc0(sizeof(CreatedKeys));
		created->module = pstrdup(module);
		created->integers = integer;
		log->created = lappend(log->created, created);
	}
	if (created->nkeys == created->room)
	{
		created->room = Max(2 * created->room, FIRST_CREATED_KEYS);
		created->keys = created->keys ?
			repalloc_huge(created->keys, sizeof(Datum) * created->room) :
			palloc(sizeof(Datum) * created->room);
	}
	created->keys[created->nkeys++] = integer ? key : datumCopy(key, false, -1);
	MemoryContextSwitchTo(old);
}

/*
 * crmio_joblog_created
 *		Records the key of a record that the job created in a module.
 */
void
crmio_joblog_created(JobLog *log, const char *module, const RecordKey *key, const Datum *value)
{
	int64		integer;

	if (crmio_record_key_integer(key, value, &integer))
		add_created(log, module, true, Int64GetDatum(integer));
	else
		add_created(log, module, false, CStringGetTextDatum(crmio_record_key_text(key, value)));
}

/*
 * crmio_joblog_wrote
 *		Records the (sub)transaction in which the job wrote records: by it a rollback
 *		tells a record that is as the job left it from one that somebody has edited.
 */
void
crmio_joblog_wrote(JobLog *log, FullTransactionId xid)
{
	/* parts that are not kept in a subtransaction of their own share the outer one */
	if (log->nxids > 0 && log->xids[log->nxids - 1] == FullTransactionIdGetDatum(xid))
		return;
	if (log->nxids == log->xids_room)
	{
		log->xids_room = Max(2 * log->xids_room, FIRST_XIDS);
		log->xids = log->xids ? repalloc(log->xids, sizeof(Datum) * log->xids_room) :
			MemoryContextAlloc(log->created_context, sizeof(Datum) * log->xids_room);
	}
	log->xids[log->nxids++] = FullTransactionIdGetDatum(xid);
}

/*
 * compare_integers
 *		For qsort.
 */
static int
compare_integers(const void *a, const void *b)
{
	int64		left = DatumGetInt64(*(const Datum *) a);
	int64		right = DatumGetInt64(*(const Datum *) b);

	return left < right ? -1 : left > right;
}

/*
 * key_ranges
 *		Integer keys as the text of a multirange: keys that follow each other, as those
 *		of a sequence do, take no room.
 */
static Datum
key_ranges(CreatedKeys *created)
{
	StringInfoData ranges;

	initStringInfo(&ranges);
	qsort(created->keys, created->nkeys, sizeof(Datum), compare_integers);
	appendStringInfoChar(&ranges, '{');
	for (int i = 0; i < created->nkeys;)
	{
		int64		first = DatumGetInt64(created->keys[i]);
		int64		last = first;

		while (++i < created->nkeys && DatumGetInt64(created->keys[i]) <= last + 1)
			last = DatumGetInt64(created->keys[i]);
		appendStringInfo(&ranges, "%s[" INT64_FORMAT "," INT64_FORMAT "]",
						 ranges.len > 1 ? "," : "", first, last);
	}
	appendStringInfoChar(&ranges, '}');
	return CStringGetTextDatum(ranges.data);
}

/*
 * full_xid
 *		A transaction that has begun, by what xmin shows of it.
 */
static FullTransactionId
full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	return FullTransactionIdFromEpochAndXid(xid < XidFromFullTransactionId(next) ? epoch : epoch - 1, xid);
}

/*
 * crmio_joblog_changed
 *		Records the values that the job replaced in a record, before and after, and the
 *		xmin that the record had (InvalidTransactionId: unknown).
 */
void
crmio_joblog_changed(JobLog *log, int64 batch, const char *module, const char *key,
					 TransactionId old_xmin, Jsonb *old_values, Jsonb *new_values)
{
	Datum		values[7] = {Int64GetDatum(log->job_id), Int64GetDatum(batch),
		CStringGetTextDatum(module), CStringGetTextDatum(key),
		JsonbPGetDatum(old_values), JsonbPGetDatum(new_values),
	FullTransactionIdGetDatum(full_xid(old_xmin))};
	bool		nulls[7] = {false};

	nulls[6] = !TransactionIdIsNormal(old_xmin);
	add_to_sink(log, &log->changes, values, nulls);
}

/*
 * crmio_joblog_drop_undo
 *		Forgets what undoing would need: a dry run has undone it already.
 */
void
crmio_joblog_drop_undo(JobLog *log)
{
	log->created = NIL;
	log->xids = NULL;
	log->nxids = log->xids_room = 0;
	MemoryContextReset(log->created_context);
	if (log->changes.rows != NULL)
		crmio_rowset_free(log->changes.rows);
	log->changes.rows = NULL;
}

/*
 * crmio_joblog_write
 *		Writes what was added since the last time, as part of the given batch.
 */
void
crmio_joblog_write(JobLog *log, int64 batch)
{
	ListCell   *lc;

	foreach(lc, log->created)
	{
		CreatedKeys *created = lfirst(lc);
		Oid			types[4] = {INT8OID, INT8OID, TEXTOID, created->integers ? TEXTOID : TEXTARRAYOID};
		Datum		values[4] = {Int64GetDatum(log->job_id), Int64GetDatum(batch),
		CStringGetTextDatum(created->module)};

		if (created->integers)
		{
			values[3] = key_ranges(created);
			crmio_history_run("INSERT INTO " CRMIO_SCHEMA ".job_created (job_id, batch, module, key_ranges)"
						 " VALUES ($1, $2, $3, $4::pg_catalog.int8multirange)", 4, types, values, NULL);
		}
		else
		{
			values[3] = PointerGetDatum(construct_array(created->keys, created->nkeys, TEXTOID, -1,
														false, TYPALIGN_INT));
			crmio_history_run("INSERT INTO " CRMIO_SCHEMA ".job_created (job_id, batch, module, record_keys)"
						 " VALUES ($1, $2, $3, $4)", 4, types, values, NULL);
		}
	}
	if (log->nxids > 0)
	{
		Oid			types[4] = {INT8OID, INT8OID, INT8OID, XID8ARRAYOID};
		Datum		values[4] = {Int64GetDatum(log->job_id), Int64GetDatum(batch),
			Int64GetDatum((int64) GetSystemIdentifier()),
			PointerGetDatum(construct_array(log->xids, log->nxids, XID8OID, sizeof(FullTransactionId),
		FLOAT8PASSBYVAL, TYPALIGN_DOUBLE))};

		crmio_history_run("INSERT INTO " CRMIO_SCHEMA ".job_xact (job_id, batch, system_identifier, xids)"
					 " VALUES ($1, $2, $3, $4)", 4, types, values, NULL);
	}
	write_sink(&log->changes);
	crmio_joblog_drop_undo(log);
	write_sink(&log->messages);
	write_sink(&log->error_rows);
}

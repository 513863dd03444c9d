/*
 * session.c
 *	  An import from its call to its end: opens the file, makes the plan, reads the
 *	  rows batch by batch, and keeps the job's row and log.  import.c, preview.c and
 *	  part.c decide how far it goes.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "import/session.h"

/*
 * The first batch is small, so that a large file shows progress soon; each next
 * one is so many times as large, up to crmio.batch_rows.
 */
#define FIRST_BATCH_ROWS 5000
#define BATCH_GROWTH 4

/*
 * The contexts that are filled and emptied batch by batch keep their first block, so
 * that most of their memory is not given back and asked for again each time.  What
 * is never touched costs nothing.
 */
#define BATCH_CONTEXT_SIZES	(Size) 32 * 1024 * 1024, (Size) 8 * 1024 * 1024, (Size) 32 * 1024 * 1024

/* For how many rows there is room at first; it doubles as they come. */
#define FIRST_ROWS 1024

/*
 * warn_of_file
 *		A warning about the whole file.
 */
static void
warn_of_file(Session *session, const char *column_name, const char *field,
			 const char *code, const char *reason)
{
	JobMessage	message = {.warning = true,.code = code,.reason = reason,
	.column_name = column_name,.field = field};

	MemoryContext old;

	crmio_joblog_message(session->import.log, &message);
	session->import.counts.warnings++;
	old = MemoryContextSwitchTo(session->import.context);
	session->import.file_warnings = lappend(session->import.file_warnings,
											column_name ? psprintf("column %s: %s", quote_literal_cstr(column_name), reason) :
											pstrdup(reason));
	MemoryContextSwitchTo(old);
}

/* What a date column asks its decider about. */
typedef struct DateColumn
{
	Session    *session;
	Input	   *input;
} DateColumn;

/*
 * known_date_order
 *		The order of a field's column, if it was decided in an earlier transaction.
 */
static CrmioDateOrder
known_date_order(const Session *session, const char *path)
{
	ListCell   *lc;

	foreach(lc, session->date_orders)
	{
		FoundOrder *known = lfirst(lc);

		if (strcmp(known->path, path) == 0)
			return known->order;
	}
	return DATE_ORDER_UNKNOWN;
}

/*
 * keep_date_order
 *		A column's order has been decided.
 */
static void
keep_date_order(Session *session, const char *path, CrmioDateOrder order)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	FoundOrder *known = palloc(sizeof(FoundOrder));

	known->path = pstrdup(path);
	known->order = order;
	session->date_orders = lappend(session->date_orders, known);
	MemoryContextSwitchTo(old);
}

/*
 * find_date_order
 *		Reads the file from its start, for a value of a column that allows one order of
 *		day and month only.
 */
static CrmioDateOrder
find_date_order(Session *session, const Input *input)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crmio date order",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext row_context = AllocSetContextCreate(context, "crmio date order row",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Reader	   *reader = crmio_reader_open(crmio_source_open(session->file),
										   &session->mapping->reader);
	CrmioDateOrder order = DATE_ORDER_UNKNOWN;
	FileRow		file_row;

	MemoryContextSwitchTo(row_context);
	while (order == DATE_ORDER_UNKNOWN && reader->next_row(reader, &file_row))
	{
		ImportRow	row = {.nfields = file_row.nfields,.fields = file_row.fields};
		char	   *text = file_row.error_code ? NULL :
			crmio_row_text(session->import.plan, &row, input);
		bool		ambiguous;

		CHECK_FOR_INTERRUPTS();
		if (text != NULL)
			order = crmio_date_order_of(text, &ambiguous);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return order;
}

/*
 * decide_date_order
 *		The order of day and month of a column, asked for at its first ambiguous value:
 *		one for all of it, decided by any value of the file that allows only one.
 */
static CrmioDateOrder
decide_date_order(void *arg)
{
	DateColumn *column = arg;
	const char *path = column->input->path->text;
	CrmioDateOrder order = known_date_order(column->session, path);

	if (order != DATE_ORDER_UNKNOWN)
		return order;
	if (column->input->column >= 0)
		order = find_date_order(column->session, column->input);
	keep_date_order(column->session, path, order == DATE_ORDER_UNKNOWN ? DATE_ORDER_MDY : order);
	if (order != DATE_ORDER_UNKNOWN)
		return order;
	warn_of_file(column->session, column->input->column_name, column->input->path->text,
				 "date_order_assumed",
				 "no date of the column tells day from month: read as month/day/year; set date_order to dmy if that is wrong");
	return DATE_ORDER_MDY;
}

/*
 * watch_dates
 *		Date columns ask when their order is needed.
 */
static void
watch_dates(Session *session)
{
	ListCell   *lc;

	if (session->mapping->date_order != DATE_ORDER_UNKNOWN)
		return;
	foreach(lc, session->import.plan->inputs)
	{
		DateColumn *column = MemoryContextAlloc(session->import.context, sizeof(DateColumn));

		column->session = session;
		column->input = lfirst(lc);
		column->input->reader.decide_order = decide_date_order;
		column->input->reader.decide_arg = column;
	}
}

/*
 * lock_targets
 *		Imports into one table, also by auto_create, take turns.  What an import of several
 *		transactions knows of the tables' keys holds as long as no other one had a turn.
 */
static void
lock_targets(Session *session)
{
	const ImportPlan *plan = session->import.plan;
	List	   *relids = list_make1_oid(plan->module->relid);
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		FieldPath  *path = ((Input *) lfirst(lc))->path;

		if (path->part == PATH_REFERENCE &&
			(plan->mapping->auto_create_all || plan->mapping->auto_create != NIL))
			relids = list_append_unique_oid(relids, path->ref->relid);
	}
	if (session->in_parts)
		crmio_lookup_keep_tables(crmio_target_untouched(relids, session->last_xid));
	crmio_target_lock(relids);
	session->last_xid = GetTopTransactionId();
}

/*
 * crmio_session_warn
 *		The warnings that are known before the first row.
 */
void
crmio_session_warn(Session *session, List *indexes)
{
	MemoryContext old = MemoryContextSwitchTo(session->import.context);
	ListCell   *lc;

	foreach(lc, session->reader->warnings)
	{
		ReaderWarning *warning = lfirst(lc);

		warn_of_file(session, NULL, NULL, warning->code, warning->reason);
	}
	foreach(lc, indexes)
		warn_of_file(session, NULL, NULL, "no_index",
					 psprintf("no index serves the lookup of existing records: %s",
							  (char *) lfirst(lc)));
	MemoryContextSwitchTo(old);
}

/*
 * crmio_session_job
 *		What the job's row says from the start.
 */
JobStart
crmio_session_job(const Session *session)
{
	const Reader *reader = session->reader;
	JobStart	start = {.module = session->import.plan->module->name,
		.file_name = session->source->name,.mapping = session->mapping_given,
		.policy = session->policy_given,.dry_run = session->mapping->dry_run,
		.notify = session->mapping->notify,
		.ncolumns = reader->ncolumns,.header = reader->raw_header,
	.delimiter = reader->delimiter,.quote = reader->quote};

	return start;
}

/*
 * crmio_session_open
 *		The mapping is read, and the file opened.  The session lives in the given
 *		context.
 */
Session *
crmio_session_open(MemoryContext context, const char *file, Jsonb *mapping, const char *policy)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Session    *session = palloc0(sizeof(Session));
	Import	   *import = &session->import;

	PreventCommandIfReadOnly("crm_import()");
	session->context = context;
	session->started = GetCurrentTimestamp();
	session->file = pstrdup(file);
	/* the job keeps what a saved mapping said when it began */
	session->mapping_given = crmio_mapping_expand(mapping);
	session->policy_given = pstrdup(policy);
	session->next_batch = FIRST_BATCH_ROWS;
	session->mapping = crmio_mapping_parse(session->mapping_given, policy);
	/* an unknown module is told before a file that can't be read */
	(void) crmio_module_load(session->mapping->module, false);
	session->source = crmio_source_open(file);
	session->reader = crmio_reader_open(session->source, &session->mapping->reader);

	import->context = context;
	/* nothing in it is freed before the rest: no room is lost to rounding */
	import->batch_context = GenerationContextCreate(context, "crmio batch", BATCH_CONTEXT_SIZES);
	import->attempt_context = AllocSetContextCreate(context, "crmio attempt", BATCH_CONTEXT_SIZES);
	import->part_context = AllocSetContextCreate(context, "crmio part", ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&import->reasons);
	MemoryContextSwitchTo(old);
	return session;
}

/*
 * crmio_session_plan
 *		Plan and writer, in import.context; all errors of the call that were not raised
 *		yet are raised here.  If nothing is going to be written, no lock is waited for
 *		and no temporary table made.  *indexes gets a CREATE INDEX for each lookup that
 *		no index serves.
 */
void
crmio_session_plan(Session *session, bool to_write, List **indexes)
{
	Import	   *import = &session->import;
	MemoryContext old = MemoryContextSwitchTo(import->context);
	Module	   *module = crmio_module_load(session->mapping->module, false);
	Relation	rel = table_open(module->relid, RowExclusiveLock);
	ListCell   *lc;

	import->live_subxacts = 0;
	import->plan = crmio_plan_create(import->context, session->mapping, module, rel,
									 session->reader);
	SPI_connect();
	if (to_write)
		lock_targets(session);
	crmio_plan_bind(import->plan, to_write, indexes);
	watch_dates(session);
	import->writer = crmio_writer_create(import->plan);
	SPI_finish();

	/* the locks stay until the transaction ends; the plan needs no open relation */
	foreach(lc, import->plan->references)
	{
		Reference  *reference = lfirst(lc);

		table_close(reference->rel, NoLock);
		reference->rel = NULL;
	}
	table_close(rel, NoLock);
	import->plan->rel = NULL;
	foreach(lc, *indexes)
	{
		if (session->import.job_id == 0)
			ereport(WARNING,
					(errmsg("no index serves the lookup of existing records"),
					 errdetail("The table is read once for it, and its keys are kept in a temporary table."),
					 errhint("%s", (char *) lfirst(lc))));
	}
	MemoryContextSwitchTo(old);
}

/*
 * crmio_session_start
 *		Everything that comes before the first row; all errors of the call are raised
 *		here.
 */
Session *
crmio_session_start(MemoryContext context, const char *file, Jsonb *mapping, const char *policy)
{
	Session    *session = crmio_session_open(context, file, mapping, policy);

	crmio_session_begin(session);
	return session;
}

/*
 * crmio_session_begin
 *		The plan, and the job's row and log, of an open session.
 */
void
crmio_session_begin(Session *session)
{
	Import	   *import = &session->import;
	MemoryContext old = MemoryContextSwitchTo(session->context);
	List	   *indexes = NIL;
	JobStart	start;

	crmio_session_plan(session, true, &indexes);
	start = crmio_session_job(session);
	SPI_connect();
	import->job_id = crmio_job_start(&start);
	SPI_finish();
	import->log = crmio_joblog_create(import->job_id);
	crmio_session_warn(session, indexes);
	MemoryContextSwitchTo(old);
}

/*
 * take_row
 *		A row of the file as a row of the batch; what the reader could not read is an
 *		error row.
 */
static void
take_row(Session *session, ImportRow *row, FileRow *file_row)
{
	memset(row, 0, sizeof(ImportRow));
	session->rows_seen++;
	row->row_number = file_row->row_number > 0 ? file_row->row_number : session->rows_seen;
	row->line_number = file_row->line_number;
	row->nfields = file_row->nfields;
	row->fields = file_row->fields;
	if (file_row->error_code == NULL)
		crmio_row_read(session->import.plan, row);
	else
	{
		JobMessage *message = crmio_row_message(row, false, NULL, NULL, file_row->error_code,
												file_row->error_reason);

		message->column_name = file_row->error_column;
		row->messages = list_make1(message);
		row->unusable = true;
	}
}

/*
 * row_bytes
 *		About how much memory a row takes: its fields, and once more as values.
 */
static Size
row_bytes(const ImportPlan *plan, const FileRow *file_row)
{
	return sizeof(ImportRow) + 2 * file_row->length + 8 * file_row->nfields + 64 * plan->ninputs;
}

/*
 * crmio_session_read
 *		Reads the next batch of at most so many rows, fewer if they take more than
 *		crmio.batch_memory.  Returns how many; 0 at the end of the file.
 */
int
crmio_session_read(Session *session, int max_rows)
{
	Import	   *import = &session->import;
	Size		room = FIRST_ROWS;
	Size		bytes = 0;
	MemoryContext old;
	FileRow		file_row = {0};

	import->nrows = 0;
	crmio_plan_check(import->plan);
	ResetPerTupleExprContext(import->plan->estate);
	MemoryContextReset(import->part_context);
	MemoryContextReset(import->attempt_context);
	MemoryContextReset(import->batch_context);
	old = MemoryContextSwitchTo(import->batch_context);
	import->rows = palloc(sizeof(ImportRow) * room);
	import->batch++;
	while (import->nrows < max_rows && !session->at_end)
	{
		CHECK_FOR_INTERRUPTS();
		if (!session->reader->next_row(session->reader, &file_row))
		{
			session->at_end = true;
			break;
		}
		if (crmio_max_rows > 0 && session->rows_seen >= crmio_max_rows)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the file has more than %d rows", crmio_max_rows),
					 errhint("Split it, or raise crmio.max_rows.")));
		if (import->nrows == room)
		{
			room *= 2;
			import->rows = repalloc_huge(import->rows, sizeof(ImportRow) * room);
		}
		if (session->in_parts)
			session->rows_hash = crmio_row_hash(session->rows_hash, &file_row);
		take_row(session, &import->rows[import->nrows], &file_row);
		bytes += row_bytes(import->plan, &file_row);
		import->nrows++;
		if (bytes > (Size) crmio_batch_memory * 1024)
			break;
	}
	MemoryContextSwitchTo(old);
	return import->nrows;
}

/*
 * batch_context_line
 *		Error context: where in the file the import is.
 */
static void
batch_context_line(void *arg)
{
	Session    *session = arg;
	Import	   *import = &session->import;

	if (import->nrows > 0)
		errcontext("import of \"%s\", lines " INT64_FORMAT " to " INT64_FORMAT,
				   session->source->name, import->rows[0].line_number,
				   import->rows[import->nrows - 1].line_number);
	else
		errcontext("import of \"%s\"", session->source->name);
}

/*
 * check_counts
 *		Every row read is accounted for once, or the import must not go on.
 */
static void
check_counts(const Session *session)
{
	const JobCounts *counts = &session->import.counts;

	if (counts->rows_read != session->rows_seen ||
		counts->rows_read != counts->created + counts->updated + counts->unchanged +
		counts->skipped + counts->errored)
		elog(ERROR, "counts of job " INT64_FORMAT " do not add up", session->import.job_id);
}

/*
 * crmio_session_batch
 *		Imports the next batch.  In a dry run the job's log waits for the end.
 */
void
crmio_session_batch(Session *session)
{
	Import	   *import = &session->import;
	const Mapping *mapping = session->mapping;
	ErrorContextCallback callback = {.callback = batch_context_line,.arg = session};
	int			level = NewGUCNestLevel();

	callback.previous = error_context_stack;
	error_context_stack = &callback;
	crmio_set_job_id(import->job_id);
	crmio_session_read(session, Min(session->next_batch, crmio_batch_rows));
	session->next_batch = Min((int64) session->next_batch * BATCH_GROWTH, crmio_batch_rows);
	if (import->nrows > 0)
		crmio_batch_process(import);
	check_counts(session);
	if (mapping->max_errors >= 0 && import->counts.errored > mapping->max_errors)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("more than " INT64_FORMAT " rows of \"%s\" are errors",
						mapping->max_errors, session->source->name),
				 errdetail("%s", import->reasons.data),
				 session->in_parts && session->rows_seen > import->nrows ?
				 errhint("The batches before this one stay; crm_rollback(" INT64_FORMAT ") undoes them.  A dry run (\"dry_run\": true) without \"max_errors\" lists all errors.",
						 import->job_id) :
				 errhint("Nothing was imported.  A dry run (\"dry_run\": true) without \"max_errors\" lists all errors.")));
	if (mapping->dry_run)
		crmio_joblog_drop_undo(import->log);
	else
	{
		SPI_connect();
		crmio_joblog_write(import->log, import->batch);
		crmio_job_update(import->job_id, "running", &import->counts);
		if (session->in_parts)
		{
			JobPosition position = crmio_session_position(session);

			crmio_job_save_position(import->job_id, &position);
		}
		SPI_finish();
	}
	AtEOXact_GUC(true, level);
	error_context_stack = callback.previous;
}

/*
 * crmio_session_end
 *		The file has been imported: the job ends, and an upload goes away, unless it may
 *		be wanted again after a dry run.
 */
void
crmio_session_end(Session *session)
{
	Import	   *import = &session->import;

	SPI_connect();
	crmio_joblog_write(import->log, import->batch);
	crmio_job_update(import->job_id, "completed", &import->counts);
	if (!session->mapping->dry_run && session->source->done != NULL)
		session->source->done(session->source);
	crmio_job_ended(import->job_id);
	SPI_finish();
}

/*
 * crmio_session_dry
 *		The whole import at once, and then nothing of it but its report.
 */
void
crmio_session_dry(Session *session)
{
	CrmioSubxact subxact;

	crmio_subxact_begin(&subxact);
	PG_TRY();
	{
		while (!session->at_end)
		{
			crmio_session_show(session);
			crmio_session_batch(session);
		}
		crmio_subxact_end(&subxact, false);
	}
	PG_CATCH();
	{
		ReThrowError(crmio_subxact_failed(&subxact, subxact.context));
	}
	PG_END_TRY();
}

/*
 * crmio_session_show
 *		Shows the progress in pg_stat_progress_copy.  The command is announced each time,
 *		because the end of any subtransaction that is undone withdraws it.
 */
void
crmio_session_show(const Session *session)
{
	const int	params[] = {PROGRESS_COPY_COMMAND, PROGRESS_COPY_TYPE,
		PROGRESS_COPY_BYTES_TOTAL, PROGRESS_COPY_BYTES_PROCESSED,
	PROGRESS_COPY_TUPLES_PROCESSED, PROGRESS_COPY_TUPLES_EXCLUDED};
	int64		values[] = {PROGRESS_COPY_COMMAND_FROM, PROGRESS_COPY_TYPE_FILE,
		session->source->size, session->reader->bytes_read(session->reader),
	session->import.counts.rows_read, session->import.counts.errored};

	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, session->import.plan->module->relid);
	pgstat_progress_update_multi_param(lengthof(params), params, values);
}

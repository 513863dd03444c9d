/*
 * batch.c
 *	  A batch of rows, from decisions to written records and counts.
 *
 * The rows are taken in runs (keys.c) as long as possible.  A run is looked up,
 * decided row by row in memory, and written as a whole in a subtransaction.  If the
 * database refuses it, the run is tried again in smaller parts, in the order of the
 * file, until the bad row stands alone; then it is an error row, and the rest goes
 * on.  So every row has the effect, and every bad row the error, that it would have
 * one at a time.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "import/import.h"

/*
 * A transaction with more than 64 live subtransactions slows down all others
 * (PGPROC_MAX_CACHED_SUBXIDS).  Parts of a batch leave some for whole batches.
 */
#define MAX_LIVE_SUBXACTS 60
#define MAX_LIVE_SUBXACTS_OF_PARTS 30

/*
 * A run of more new records than this is written in the order of the index of its
 * match, which is faster; a shorter one in the order of the file, so that the keys of
 * its records have that order too.
 */
#define SORT_ROWS 5000

/* The first part to be tried after a batch has failed, as a share of it. */
#define FIRST_PART 8
#define SMALLEST_FIRST_PART 64

/* How many errors an import that fails for their number tells. */
#define MAX_REASONS 5

/*
 * write_in_subxact
 *		Writes the rows that the writer was given in a subtransaction, which is kept or,
 *		to see only whether they are good, undone.  Returns NULL, or the error.
 */
static ErrorData *
write_in_subxact(Import *import, bool in_index_order, bool keep)
{
	CrmioSubxact subxact;
	ErrorData  *volatile error = NULL;

	crmio_subxact_begin(&subxact);
	PG_TRY();
	{
		crmio_writer_write(import, in_index_order);
		crmio_subxact_end(&subxact, keep);
		if (keep)
			import->live_subxacts++;
	}
	PG_CATCH();
	{
		error = crmio_subxact_failed(&subxact, import->attempt_context);
	}
	PG_END_TRY();
	if (error != NULL && !crmio_is_row_error(error))
		ReThrowError(error);
	return error;
}

/*
 * second_write_context
 *		Error context of rows that have been written once without an error.
 */
static void
second_write_context(void *arg)
{
	errcontext("writing rows that went in without an error in a trial just before: another session interferes, run the import again");
}

/*
 * write_rows
 *		Writes some rows of the current run; returns NULL, or the error that the
 *		database has, and in *suspect the row that it may be about.
 */
static ErrorData *
write_rows(Import *import, int from, int to, bool whole_batch, int *suspect)
{
	bool		keep = import->live_subxacts <
		(whole_batch ? MAX_LIVE_SUBXACTS : MAX_LIVE_SUBXACTS_OF_PARTS);
	bool		sorted = whole_batch && to - from > SORT_ROWS;
	ErrorData  *error;
	MemoryContext old;

	MemoryContextReset(import->part_context);
	old = MemoryContextSwitchTo(import->part_context);
	if (!crmio_writer_begin(import, from, to))
	{
		MemoryContextSwitchTo(old);
		return NULL;
	}
	error = write_in_subxact(import, sorted, keep);
	if (error == NULL && !keep)
	{
		/* it is good: once more, to stay */
		ErrorContextCallback callback = {.callback = second_write_context};

		callback.previous = error_context_stack;
		error_context_stack = &callback;
		crmio_writer_end(import);
		(void) crmio_writer_begin(import, from, to);
		crmio_writer_write(import, sorted);
		error_context_stack = callback.previous;
	}
	if (error == NULL)
		crmio_writer_written(import);
	else
		*suspect = crmio_writer_suspect(import);
	crmio_writer_end(import);
	MemoryContextSwitchTo(old);
	return error;
}

/*
 * error_code
 *		The code of an error that the database has with a row.
 */
static const char *
error_code(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_NOT_NULL_VIOLATION:
			return "not_null";
		case ERRCODE_FOREIGN_KEY_VIOLATION:
			return "foreign_key_violation";
		case ERRCODE_UNIQUE_VIOLATION:
			return "unique_violation";
		case ERRCODE_CHECK_VIOLATION:
			return "check_violation";
		case ERRCODE_EXCLUSION_VIOLATION:
			return "exclusion_violation";
		case ERRCODE_RAISE_EXCEPTION:
			return "raise_exception";
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return "insufficient_privilege";
		case ERRCODE_STRING_DATA_RIGHT_TRUNCATION:
			return "too_long";
		case ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE:
			return "out_of_range";
		case ERRCODE_TRIGGERED_ACTION_EXCEPTION:
			return "suppressed";
		default:
			return psprintf("sqlstate_%s", unpack_sql_state(error->sqlerrcode));
	}
}

/*
 * database_error
 *		An error of the database as a message about a row.
 */
static JobMessage *
database_error(Import *import, const ImportRow *row, const ErrorData *error)
{
	StringInfoData reason;
	const Input *input = NULL;
	ListCell   *lc;

	initStringInfo(&reason);
	appendStringInfoString(&reason, error->message);
	/* that of these two is the whole record */
	if (error->detail != NULL && error->sqlerrcode != ERRCODE_CHECK_VIOLATION &&
		error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION)
		appendStringInfo(&reason, " (%s)", error->detail);
	foreach(lc, import->plan->inputs)
	{
		const Input *candidate = lfirst(lc);

		if (error->column_name != NULL && crmio_writer_failed_in_row(import) &&
			strcmp(candidate->target->column, error->column_name) == 0)
			input = candidate;
	}
	return crmio_row_message(row, false, input,
							 input ? crmio_row_text(import->plan, row, input) : NULL,
							 error_code(error), reason.data);
}

/*
 * keep_reason
 *		The first errors are told again if the import fails for their number.
 */
static void
keep_reason(Import *import, List *messages)
{
	ListCell   *lc;

	foreach(lc, messages)
	{
		JobMessage *message = lfirst(lc);

		if (message->warning)
			continue;
		appendStringInfo(&import->reasons, "%sLine " INT64_FORMAT "%s%s: %s.",
						 import->first_errors++ > 0 ? "\n" : "", message->line_number,
						 message->column_name ? ", column " : "",
						 message->column_name ? quote_literal_cstr(message->column_name) : "",
						 message->reason);
		return;
	}
}

/*
 * log_row
 *		Counts a finished row, and records its messages.
 */
static void
log_row(Import *import, ImportRow *row)
{
	bool		failed = row->action == ROW_ERROR;
	List	   *messages = list_concat_copy(row->messages, row->decision);
	ListCell   *lc;

	import->counts.rows_read++;
	switch (row->action)
	{
		case ROW_CREATE:
			import->counts.created++;
			break;
		case ROW_UPDATE:
			import->counts.updated++;
			break;
		case ROW_UNCHANGED:
			import->counts.unchanged++;
			break;
		case ROW_SKIP:
			import->counts.skipped++;
			break;
		case ROW_ERROR:
			import->counts.errored++;
			crmio_joblog_error_row(import->log, row->row_number, row->nfields, row->fields);
			break;
	}
	if (failed && import->first_errors < MAX_REASONS)
		keep_reason(import, messages);
	foreach(lc, messages)
	{
		JobMessage *message = lfirst(lc);

		/* a failed row imports nothing, so there is nothing to warn of */
		if (failed == message->warning)
			continue;
		crmio_joblog_message(import->log, message);
		if (message->warning)
			import->counts.warnings++;
	}
}

/*
 * finish_rows
 *		Rows of the current run have found their end.
 */
static void
finish_rows(Import *import, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		ImportRow  *row = &import->rows[i];

		if (row->action == ROW_UPDATE || row->action == ROW_UNCHANGED)
			crmio_merge_warnings(import, row);
		log_row(import, row);
		if (import->row_done != NULL)
			import->row_done(import, row);
	}
}

/*
 * fail_row
 *		The database refuses a row, whatever else is written.
 */
static void
fail_row(Import *import, int row_index, const ErrorData *error)
{
	ImportRow  *row = &import->rows[row_index];

	row->action = ROW_ERROR;
	row->decision = list_make1(database_error(import, row, error));
	finish_rows(import, row_index, row_index + 1);
}

/*
 * try_alone
 *		Decides and writes one row in a run of its own.  False if its record can't be
 *		locked; *error is what the database has against it, or NULL.
 */
static bool
try_alone(Import *import, int row_index, ErrorData **error)
{
	int			suspect;

	*error = NULL;
	/* a key that a default has computed from the table is another one now */
	import->rows[row_index].key_ahead = NULL;
	crmio_run_decide(import, row_index, row_index + 1);
	if (import->run->to == row_index)
		return false;
	*error = write_rows(import, row_index, row_index + 1, false, &suspect);
	if (*error == NULL)
		finish_rows(import, row_index, row_index + 1);
	return true;
}

/*
 * import_locked_out
 *		The record of a row has changed between its lookup and its lock.  Looked up
 *		anew it can be locked, unless the caller may see but not change it.
 */
static void
import_locked_out(Import *import, int row_index)
{
	ImportRow  *row = &import->rows[row_index];
	ErrorData  *error;

	if (try_alone(import, row_index, &error))
	{
		if (error != NULL)
			fail_row(import, row_index, error);
		return;
	}
	row->action = ROW_ERROR;
	row->decision = list_make1(crmio_row_message(row, false, NULL, NULL, "not_permitted",
												 "the record that matches can't be changed: row-level security or another session prevents it"));
	finish_rows(import, row_index, row_index + 1);
}

/*
 * is_raced
 *		A unique value may be that of a record which another session has inserted since
 *		the row was looked up: tries the row again, with a new lookup.  True if that did
 *		it.
 */
static bool
is_raced(Import *import, int row_index, const ErrorData *error)
{
	Run		   *run = import->run;
	ErrorData  *again = NULL;
	bool		done;

	if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		return false;
	done = try_alone(import, row_index, &again) && again == NULL;
	import->run = run;
	return done;
}

/*
 * must_redecide
 *		A row has failed: has any later row of the run been decided as if it had not?
 */
static bool
must_redecide(const Import *import, int row_index)
{
	const Run  *run = import->run;

	if (run->depends_on_created)
		return true;
	for (int i = 0; i < list_length(import->plan->references); i++)
	{
		ListCell   *lc;

		foreach(lc, run->created[i])
		{
			if (((NewReference *) lfirst(lc))->row == row_index)
				return true;
		}
	}
	return false;
}

/*
 * part_after_failure
 *		The size of the next part, after one that failed: the rows before the one at
 *		which the statement failed, or else half of them.
 */
static int
part_after_failure(int from, int to, int suspect)
{
	if (suspect > from)
		return suspect - from;
	return suspect == from ? 1 : (to - from) / 2;
}

/*
 * write_in_parts
 *		The database has refused the run: writes it in parts, in the order of the file,
 *		until the bad rows stand alone.  What has been decided holds for the parts too;
 *		where it does not, the rest is left to be decided anew.  Returns the row to go on
 *		with, and in *window how many rows to take then.
 */
static int
write_in_parts(Import *import, int *window)
{
	Run		   *run = import->run;
	int			from = run->from;
	int			size = Max((run->to - run->from) / FIRST_PART, SMALLEST_FIRST_PART);
	int			good = 0;		/* rows since the last bad one */
	int			suspect = -1;
	int			failed_at;

	while (from < run->to)
	{
		int			to = from + Min(size, run->to - from);
		ErrorData  *error = write_rows(import, from, to, false, &failed_at);

		CHECK_FOR_INTERRUPTS();
		if (error == NULL)
		{
			finish_rows(import, from, to);
			good += to - from;
			size = to == suspect ? 1 : 2 * (to - from);
			from = to;
		}
		else if (to - from > 1)
		{
			suspect = failed_at;
			size = part_after_failure(from, to, suspect);
		}
		else
		{
			bool		raced = is_raced(import, from, error);

			if (!raced)
				fail_row(import, from, error);
			from++;
			size = Max(2 * good, 2);
			good = 0;
			if (raced || must_redecide(import, from - 1))
				break;
		}
	}
	*window = Max(size, SMALLEST_FIRST_PART);
	return from;
}

/*
 * crmio_batch_process
 *		Imports the rows of the batch.
 */
void
crmio_batch_process(Import *import)
{
	MemoryContext old = MemoryContextSwitchTo(import->batch_context);
	int			window = import->nrows;
	bool		whole = true;	/* nothing of the batch has been refused */
	int			suspect;
	int			from = 0;

	crmio_keys_read(import);
	MemoryContextSwitchTo(import->attempt_context);
	while (from < import->nrows)
	{
		int			to = from + Min(window, import->nrows - from);

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(import->attempt_context);
		/* what SPI returns goes with its connection, run by run */
		SPI_connect();
		MemoryContextSwitchTo(import->attempt_context);
		crmio_run_decide(import, from, crmio_keys_run_end(import, from, to));
		to = import->run->to;
		if (to == from)
			import_locked_out(import, from++);
		else if (write_rows(import, from, to, whole, &suspect) == NULL)
		{
			finish_rows(import, from, to);
			window = Min(2 * window, import->nrows);
			from = to;
		}
		else
		{
			whole = false;
			from = write_in_parts(import, &window);
		}
		SPI_finish();
	}
	MemoryContextSwitchTo(old);
}

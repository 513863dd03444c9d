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

#include "access/xact.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "import/import.h"

/*
 * A transaction with more than 64 live subtransactions slows down all others
 * (PGPROC_MAX_CACHED_SUBXIDS).  Parts of a batch leave some for whole batches.
 */
#define MAX_LIVE_SUBXACTS 60
#define MAX_LIVE_SUBXACTS_OF_PARTS 30

/* The first part to be tried after a batch has failed, as a share of it. */
#define FIRST_PART 8
#define SMALLEST_FIRST_PART 64

/* How many errors an import that fails for their number tells. */
#define MAX_REASONS 5

/*
 * decide_match
 *		What becomes of a row that matched a record.
 */
static void
decide_match(Import *import, ImportRow *row, int row_index)
{
	if (import->plan->mapping->policy == POLICY_SKIP)
		row->action = ROW_SKIP;
	else if (crmio_merge_existing(import, row))
	{
		row->action = ROW_UPDATE;
		crmio_references_use(import, row_index);
		crmio_match_touched(import, row_index);
	}
	else
		row->action = ROW_UNCHANGED;
}

/*
 * decide_ambiguous
 *		What becomes of a row that matched several records.
 */
static void
decide_ambiguous(Import *import, ImportRow *row, int row_index)
{
	const Mapping *mapping = import->plan->mapping;
	MatchKey   *match = list_nth(import->plan->match, row->matched_by);
	MatchField *field = &match->fields[0];
	Input	   *input = field->inputs ? linitial(field->inputs) : NULL;
	int			count = 0;

	if (mapping->policy == POLICY_SKIP || mapping->first_if_ambiguous)
	{
		decide_match(import, row, row_index);
		return;
	}
	for (LookupHit *hit = row->match; hit != NULL; hit = hit->next)
		count++;
	row->action = ROW_ERROR;
	row->decision = lappend(row->decision,
							crmio_row_message(row, false, input,
											  input ? crmio_row_text(import->plan, row, input) : NULL,
											  "ambiguous_match",
											  psprintf("%d existing records match", count)));
}

/*
 * give_key
 *		The key of a new record, once per row, in the order of the file.
 */
static void
give_key(Import *import, ImportRow *row)
{
	ImportPlan *plan = import->plan;
	MemoryContext old;

	if (plan->key_defaults == NULL || row->key_ahead != NULL)
		return;
	old = MemoryContextSwitchTo(import->batch_context);
	row->key_ahead = palloc(sizeof(Datum) * plan->key->ncolumns);
	for (int k = 0; k < plan->key->ncolumns; k++)
	{
		bool		isnull;

		row->key_ahead[k] = ExecEvalExpr(plan->key_defaults[k],
										 GetPerTupleExprContext(plan->estate), &isnull);
		if (isnull)
			elog(ERROR, "default of a key column is null");
	}
	MemoryContextSwitchTo(old);
}

/*
 * decide
 *		What becomes of a row; false if that can't be known in this run.
 */
static bool
decide(Import *import, int row_index)
{
	ImportRow  *row = &import->rows[row_index];

	row->decision = NIL;
	row->match = NULL;
	row->new_refs = NULL;
	row->key = NULL;
	row->action = ROW_ERROR;
	if (row->values == NULL)
		return true;			/* the reader could not read it */
	if (!crmio_references_resolve(import, row_index) || row->unusable)
		return true;

	switch (crmio_match_row(import, row_index))
	{
		case MATCH_LATER:
			return false;
		case MATCH_NONE:
			row->action = ROW_CREATE;
			crmio_merge_new(import, row);
			if (row->action == ROW_CREATE)
			{
				give_key(import, row);
				crmio_references_use(import, row_index);
				crmio_match_created(import, row_index);
			}
			break;
		case MATCH_CREATED_BEFORE:
			row->action = ROW_SKIP;
			break;
		case MATCH_FOUND:
			decide_match(import, row, row_index);
			break;
		case MATCH_AMBIGUOUS:
			decide_ambiguous(import, row, row_index);
			break;
	}
	return true;
}

/*
 * lock_changes
 *		Locks the records to be changed and merges again with what they are then.  The
 *		run ends before a row whose record has changed so that it is no match any more.
 */
static void
lock_changes(Import *import)
{
	Run		   *run = import->run;
	bool		any = false;

	for (int i = run->from; i < run->to && !any; i++)
		any = import->rows[i].action == ROW_UPDATE;
	if (!any)
		return;
	crmio_match_lock(import);
	for (int i = run->from; i < run->to; i++)
	{
		ImportRow  *row = &import->rows[i];

		if (row->action != ROW_UPDATE)
			continue;
		if (row->match == NULL)
		{
			run->to = i;
			return;
		}
		if (!crmio_merge_existing(import, row))
			row->action = ROW_UNCHANGED;
		else
		{
			/* the locked record may need a reference that the other did not */
			crmio_references_use(import, i);
		}
	}
}

/*
 * begin_run
 *		Looks up and decides the rows from ... to; fewer, if a row must wait for the
 *		result of an earlier one.
 */
static void
begin_run(Import *import, int from, int to)
{
	Run		   *run = palloc0(sizeof(Run));

	run->from = from;
	run->to = to;
	run->looked_up_to = to;
	import->run = run;
	crmio_references_lookup(import);
	crmio_match_lookup(import);
	for (int i = from; i < run->to; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!decide(import, i))
			run->to = i;
	}
	lock_changes(import);
}

/*
 * is_row_error
 *		Is an error one of a row, such as a constraint's?  Lost connections, lack of
 *		resources, cancellation, serialization failures and bugs end the import.
 */
static bool
is_row_error(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case MAKE_SQLSTATE('2', '5', '0', '0', '0'):	/* invalid transaction state */
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):	/* transaction rollback */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):	/* insufficient resources */
		case MAKE_SQLSTATE('5', '5', '0', '0', '0'):	/* object not in prerequisite state */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):	/* operator intervention */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):	/* system error */
		case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):	/* internal error */
			return false;
		default:
			return true;
	}
}

/*
 * write_in_subxact
 *		Writes the run in a subtransaction, which is kept or, to see only whether the run
 *		is good, undone.  Returns NULL, or the error.
 */
static ErrorData *
write_in_subxact(Import *import, bool in_index_order, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		crmio_writer_write(import, in_index_order);
		if (keep)
		{
			ReleaseCurrentSubTransaction();
			import->live_subxacts++;
		}
		else
			RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_row_error(error))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	return error;
}

/*
 * write_run
 *		Writes the current run; returns NULL, or the error that the database has.
 */
static ErrorData *
write_run(Import *import, bool whole_batch)
{
	bool		keep = import->live_subxacts <
		(whole_batch ? MAX_LIVE_SUBXACTS : MAX_LIVE_SUBXACTS_OF_PARTS);
	ErrorData  *error;

	if (!crmio_writer_begin(import))
		return NULL;
	error = write_in_subxact(import, whole_batch, keep);
	if (error == NULL && !keep)
	{
		/* it is good: once more, to stay */
		(void) crmio_writer_begin(import);
		crmio_writer_write(import, whole_batch);
	}
	if (error == NULL)
		crmio_writer_written(import);
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
	if (error->detail != NULL)
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
 * finish_run
 *		The rows of the run have found their end.
 */
static void
finish_run(Import *import)
{
	for (int i = import->run->from; i < import->run->to; i++)
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
 * import_row_alone
 *		One row that could not be written with others, or whose record could not be
 *		locked.  It is tried twice, because another session may have changed what it is
 *		about: a record that was inserted meanwhile is a match now.
 */
static void
import_row_alone(Import *import, int row_index)
{
	ImportRow  *row = &import->rows[row_index];
	ErrorData  *error = NULL;

	for (int try = 0; try < 2; try++)
	{
		MemoryContextReset(import->attempt_context);
		begin_run(import, row_index, row_index + 1);
		if (import->run->to == row_index)
			continue;
		error = write_run(import, false);
		if (error == NULL || error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
			break;
	}
	if (import->run->to == row_index)
	{
		import->run->to = row_index + 1;
		row->action = ROW_ERROR;
		row->decision = list_make1(crmio_row_message(row, false, NULL, NULL, "not_permitted",
													 "the record that matches can't be changed: row-level security or another session prevents it"));
	}
	else if (error != NULL)
	{
		row->action = ROW_ERROR;
		row->decision = list_make1(database_error(import, row, error));
	}
	finish_run(import);
}

/* How a batch that the database has refused is taken apart. */
typedef struct Parts
{
	int			size;			/* rows of the next part */
	int			good;			/* rows since the last bad one */
	int			alone;			/* a row that must be tried alone, or -1 */
} Parts;

/*
 * part_failed
 *		Chooses the next part after a failed one: the rows before the one at which the
 *		statement failed, or else half of them.
 */
static void
part_failed(Import *import, Parts *parts, int from, int to)
{
	int			suspect = crmio_writer_suspect(import);

	if (suspect > from)
		parts->size = suspect - from;
	else if (suspect == from)
		parts->size = 1;
	else
		parts->size = (to - from) / 2;
	parts->alone = suspect;
}

/*
 * crmio_batch_process
 *		Imports the rows of the batch.  The caller holds an SPI connection.
 */
void
crmio_batch_process(Import *import)
{
	MemoryContext old = MemoryContextSwitchTo(import->batch_context);
	Parts		parts = {.size = import->nrows,.alone = -1};
	bool		whole = true;
	int			from = 0;

	crmio_keys_read(import);
	MemoryContextSwitchTo(import->attempt_context);
	while (from < import->nrows)
	{
		int			to = from + Min(parts.size, import->nrows - from);

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(import->attempt_context);
		if (parts.alone == from || (!whole && parts.size == 1))
		{
			int64		errors = import->counts.errored;

			import_row_alone(import, from++);
			parts.alone = -1;
			parts.good = import->counts.errored > errors ? 0 : parts.good + 1;
			parts.size = Max(2 * parts.good, 2);
			continue;
		}

		to = crmio_keys_run_end(import, from, to);
		begin_run(import, from, to);
		to = import->run->to;
		if (to == from)
			import_row_alone(import, from++);
		else if (write_run(import, whole) == NULL)
		{
			finish_run(import);
			parts.good += to - from;
			if (!whole)
				parts.size = Min(2 * parts.size, import->nrows);
			from = to;
		}
		else if (whole)
		{
			whole = false;
			parts.size = Max((to - from) / FIRST_PART, SMALLEST_FIRST_PART);
		}
		else
			part_failed(import, &parts, from, to);
	}
	MemoryContextSwitchTo(old);
}

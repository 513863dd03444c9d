/*
 * part.c
 *	  An import in the background: one session, a transaction for each batch.
 *
 * The job's row says where the last finished batch ended.  An import that goes on
 * reads the file again up to there without importing anything, and makes sure that
 * these are the rows that have been imported.  The worker (src/worker) begins and
 * commits the transactions.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "import/session.h"

/* With "mode": "auto" more rows than this are not for the caller's transaction. */
#define MAX_ROWS_IN_TRANSACTION 50000

/* A row that counts has a byte at least, and an end of line. */
#define SHORTEST_ROW 2

/* The names of orders in a job's row. */
static const char *const order_names[] = {"auto", "ymd", "mdy", "dmy"};

/*
 * crmio_session_is_large
 *		Has the file of a session that was just opened more rows than one transaction
 *		should import?  They are counted, up to that number: it takes some hundredths
 *		of a second.
 */
bool
crmio_session_is_large(Session *session)
{
	MemoryContext context;
	MemoryContext old;
	FileRow		row;
	int			nrows = 0;

	if (session->source->size <= (int64) MAX_ROWS_IN_TRANSACTION * SHORTEST_ROW)
		return false;
	context = AllocSetContextCreate(session->context, "crmio row count", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	while (nrows <= MAX_ROWS_IN_TRANSACTION && session->reader->next_row(session->reader, &row))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		nrows++;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	session->reader->rewind(session->reader);
	return nrows > MAX_ROWS_IN_TRANSACTION;
}

/*
 * crmio_session_check
 *		Raises the errors of the call for a session that was opened only to be handed to
 *		the background: it must not be used any further.
 */
void
crmio_session_check(Session *session)
{
	List	   *indexes = NIL;

	crmio_session_plan(session, false, &indexes);
}

/*
 * crmio_row_hash
 *		The hash of all rows up to this one.
 */
uint64
crmio_row_hash(uint64 hash, const FileRow *row)
{
	for (int i = 0; i < row->nfields; i++)
		hash = hash_combine64(hash, hash_bytes_extended((const unsigned char *) row->fields[i],
														strlen(row->fields[i]), row->nfields));
	return hash;
}

/*
 * file_changed
 *		The file is not the one that was there when the job began.
 */
static void
file_changed(const Session *session, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("file \"%s\" has changed since the job began", session->source->name),
			 errdetail("%s", detail),
			 errhint("Put the file back as it was and call crm_resume(" INT64_FORMAT "), or import the new file as a job of its own.",
					 session->import.job_id)));
}

/*
 * skip_rows
 *		Reads on to where the last finished batch ended.
 */
static void
skip_rows(Session *session, const Job *job)
{
	MemoryContext context = AllocSetContextCreate(session->context, "crmio skipped row",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FileRow		row;

	while (session->rows_seen < job->counts.rows_read)
	{
		CHECK_FOR_INTERRUPTS();
		if (!session->reader->next_row(session->reader, &row))
			file_changed(session, psprintf("It has " INT64_FORMAT " rows; " INT64_FORMAT " have been imported.",
										   session->rows_seen, job->counts.rows_read));
		session->rows_hash = crmio_row_hash(session->rows_hash, &row);
		session->rows_seen++;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (session->rows_hash != job->position.rows_hash)
		file_changed(session, psprintf("The first " INT64_FORMAT " rows are not those that have been imported.",
									   job->counts.rows_read));
}

/*
 * read_date_orders
 *		What earlier transactions have found out about date columns.
 */
static void
read_date_orders(Session *session, const Job *job)
{
	ListCell   *lc;

	if (job->position.date_orders == NULL)
		return;
	foreach(lc, crmio_json_members(&job->position.date_orders->root))
	{
		JsonMember *member = lfirst(lc);
		char	   *name = crmio_json_scalar_text(&member->value);

		for (int i = DATE_ORDER_YMD; i <= DATE_ORDER_DMY; i++)
		{
			FoundOrder *known;

			if (strcmp(order_names[i], name) != 0)
				continue;
			known = palloc(sizeof(FoundOrder));
			known->path = member->key;
			known->order = i;
			session->date_orders = lappend(session->date_orders, known);
		}
	}
}

/*
 * write_date_orders
 *		The same, for the job's row.
 */
static Jsonb *
write_date_orders(const Session *session)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	if (session->date_orders == NIL)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, session->date_orders)
	{
		FoundOrder *known = lfirst(lc);
		JsonbValue	value = {.type = jbvString};

		value.val.string.val = known->path;
		value.val.string.len = strlen(known->path);
		pushJsonbValue(&state, WJB_KEY, &value);
		value.val.string.val = unconstify(char *, order_names[known->order]);
		value.val.string.len = strlen(order_names[known->order]);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * crmio_session_position
 *		How far the session has come.
 */
JobPosition
crmio_session_position(const Session *session)
{
	JobPosition position;

	position.batches = session->import.batch;
	position.bytes_read = session->reader->bytes_read(session->reader);
	position.rows_hash = session->rows_hash;
	position.date_orders = write_date_orders(session);
	return position;
}

/*
 * crmio_session_reopen
 *		The session of a job, at the end of its last finished batch.  It lives in the
 *		given context, over any number of transactions.
 */
Session *
crmio_session_reopen(MemoryContext context, const Job *job)
{
	Session    *session = crmio_session_open(context, job->file, job->mapping, job->policy);
	MemoryContext old = MemoryContextSwitchTo(context);

	crmio_lookup_forget_tables();
	session->in_parts = true;
	session->import.job_id = job->job_id;
	session->import.batch = job->position.batches;
	session->import.counts = job->counts;
	if (session->source->size != job->file_size)
		file_changed(session, psprintf("It had " INT64_FORMAT " bytes, and has " INT64_FORMAT " now.",
									   job->file_size, session->source->size));
	read_date_orders(session, job);
	skip_rows(session, job);
	MemoryContextSwitchTo(old);
	return session;
}

/*
 * keep_columns
 *		Without "columns", the columns that the first plan has mapped are those of the
 *		whole job.
 */
static void
keep_columns(Session *session)
{
	Mapping    *mapping = session->mapping;
	MemoryContext old = MemoryContextSwitchTo(session->context);
	MappedColumn *column = NULL;
	ListCell   *lc;

	foreach(lc, session->import.plan->inputs)
	{
		Input	   *input = lfirst(lc);
		char	   *name = psprintf("#%d", input->column + 1);

		if (input->column < 0)
			continue;
		if (column == NULL || strcmp(column->column, name) != 0)
		{
			column = palloc0(sizeof(MappedColumn));
			column->column = name;
			mapping->columns = lappend(mapping->columns, column);
		}
		/* a full name fills two fields */
		if (input->name_part == NAME_WHOLE)
			column->paths = lappend(column->paths, pstrdup(input->path->text));
		else if (input->name_part == NAME_FIRST)
			column->paths = lappend(column->paths, "name");
	}
	mapping->columns_given = true;
	MemoryContextSwitchTo(old);
}

/*
 * crmio_session_part
 *		The next batch, with all that it needs of the database looked up anew: in the
 *		transaction at hand.  A dry run does all of the file.  After the last batch the
 *		job has ended.
 */
void
crmio_session_part(Session *session)
{
	Import	   *import = &session->import;
	bool		first = import->batch == 0;
	List	   *indexes = NIL;
	MemoryContext old;

	import->context = AllocSetContextCreate(session->context, "crmio transaction",
											ALLOCSET_DEFAULT_SIZES);
	crmio_session_plan(session, true, &indexes);
	if (!session->mapping->columns_given)
		keep_columns(session);
	old = MemoryContextSwitchTo(import->context);
	import->log = crmio_joblog_create(import->job_id);
	if (first)
		crmio_session_warn(session, indexes);
	crmio_session_show(session);
	if (session->mapping->dry_run)
		crmio_session_dry(session);
	else
		crmio_session_batch(session);
	crmio_session_show(session);
	if (session->at_end)
		crmio_session_end(session);
	MemoryContextSwitchTo(old);

	/* nothing of the transaction is left to the next one */
	MemoryContextReset(import->batch_context);
	MemoryContextReset(import->attempt_context);
	MemoryContextReset(import->part_context);
	import->nrows = 0;
	import->plan = NULL;
	import->writer = NULL;
	import->log = NULL;
	MemoryContextDelete(import->context);
	import->context = session->context;
}

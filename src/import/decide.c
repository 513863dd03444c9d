/*
 * decide.c
 *	  What becomes of each row of a run: created, updated, unchanged, skipped, or an
 *	  error.  Nothing is written here but locks.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "import/import.h"

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
	if (crmio_references_wait(import, row_index))
		return false;
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
				crmio_references_use(import, row_index);
				crmio_references_created(import, row_index);
				crmio_match_created(import, row_index);
			}
			break;
		case MATCH_CREATED_BEFORE:
			row->action = ROW_SKIP;
			import->run->depends_on_created = true;
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
 * needs_other_references
 *		Does the locked record need other new records to refer to than the row was
 *		decided with?
 */
static bool
needs_other_references(Import *import, const ImportRow *row)
{
	for (int t = 0; row->new_refs != NULL && t < import->plan->ntargets; t++)
	{
		Reference  *reference = import->plan->targets[t].reference;
		bool		needed;

		if (reference == NULL || row->resolved[reference->index].created == NULL)
			continue;
		needed = row->action == ROW_UPDATE && row->changed[t];
		if (needed != (row->new_refs[t] != NULL))
			return true;
	}
	return false;
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
		if (needs_other_references(import, row))
		{
			run->to = i;
			return;
		}
	}
}

/*
 * crmio_run_decide
 *		Looks up and decides the rows from ... to; fewer, if a row must wait for the
 *		result of an earlier one.  The run lies in CurrentMemoryContext.
 */
void
crmio_run_decide(Import *import, int from, int to)
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

/*
 * reference.c
 *	  Resolves the references of rows: which record of another module the values of a
 *	  row name, or which one must be created for them (ref_writer.c does that).
 *
 * The lookups of a reference are tried in order; the first that finds exactly one
 * record decides.  Records that earlier rows of the run have created are found as
 * if they were in the table.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "import/import.h"

/* Records to be created, by the hash of a key. */
typedef struct NewRefEntry
{
	uint64		hash;
	NewReference *first;
} NewRefEntry;

/*
 * crmio_run_keys
 *		The keys of the rows of the current run, as a part of those of the batch.
 */
LookupKeys
crmio_run_keys(const Import *import, const Lookup *lookup, const LookupKeys *keys)
{
	LookupKeys	part;

	part.nrows = import->run->to - import->run->from;
	part.values = keys->values + (Size) import->run->from * lookup->nfields;
	part.present = keys->present + import->run->from;
	return part;
}

/*
 * crmio_references_lookup
 *		Looks up all references of the run, one statement for each way to find them.
 */
void
crmio_references_lookup(Import *import)
{
	ImportPlan *plan = import->plan;
	Run		   *run = import->run;
	ListCell   *lc;
	ListCell   *l;

	run->ref_hits = palloc0(sizeof(LookupHit **) * (plan->nref_lookups + 1));
	run->new_refs = palloc0(sizeof(HTAB *) * (plan->nref_lookups + 1));
	run->created = palloc0(sizeof(List *) * (list_length(plan->references) + 1));
	foreach(lc, plan->references)
	{
		foreach(l, ((Reference *) lfirst(lc))->lookups)
		{
			RefLookup  *ref_lookup = lfirst(l);
			LookupKeys	keys = crmio_run_keys(import, ref_lookup->lookup,
											  import->ref_keys[ref_lookup->index]);

			run->ref_hits[ref_lookup->index] =
				crmio_lookup_find(ref_lookup->lookup, &keys, NULL, false);
		}
	}
}

/*
 * crmio_reference_value
 *		What a reference to a found record stores.
 */
Datum
crmio_reference_value(Reference *reference, Datum value)
{
	if (!reference->convert)
		return value;
	return InputFunctionCall(&reference->input, OutputFunctionCall(&reference->output, value),
							 reference->input_param, -1);
}

/*
 * find_new
 *		How many of the records to be created have this key; *found is one.
 */
static int
find_new(const Run *run, const RefLookup *ref_lookup, int position, const Datum *key,
		 NewReference **found)
{
	HTAB	   *table = run->new_refs[ref_lookup->index];
	uint64		hash;
	NewRefEntry *entry;
	int			count = 0;

	if (table == NULL)
		return 0;
	hash = crmio_lookup_hash(ref_lookup->lookup, key);
	entry = hash_search(table, &hash, HASH_FIND, NULL);
	if (entry == NULL)
		return 0;
	for (NewReference *new = entry->first; new != NULL; new = new->next[position])
	{
		if (crmio_lookup_equal(ref_lookup->lookup, &new->keys[position], key))
		{
			if (count++ == 0)
				*found = new;
		}
	}
	return count;
}

/*
 * find_record
 *		Finds the record that a reference of the row names.  Returns how many there
 *		are: 0, 1, or more if the lookup that decides is ambiguous (then *result is the
 *		one with the lowest key).
 */
static int
find_record(Import *import, Reference *reference, int row_index, bool with_new,
			Resolved *result, Input **decided_by)
{
	Run		   *run = import->run;
	int			position = 0;
	ListCell   *lc;

	memset(result, 0, sizeof(Resolved));
	foreach(lc, reference->lookups)
	{
		RefLookup  *ref_lookup = lfirst(lc);
		LookupKeys *keys = import->ref_keys[ref_lookup->index];
		LookupHit  *hits;
		NewReference *new = NULL;
		int			count = 0;

		if (keys->present[row_index])
		{
			/* a record without the value that would be stored can't be referred to */
			hits = run->ref_hits[ref_lookup->index][row_index - run->from];
			while (hits != NULL && hits->nulls[0])
				hits = hits->next;
			for (LookupHit *hit = hits; hit != NULL; hit = hit->next)
				count += !hit->nulls[0];
			if (with_new)
				count += find_new(run, ref_lookup, position, &keys->values[row_index], &new);
			if (count > 0)
			{
				*decided_by = ref_lookup->input;
				result->found = true;
				if (hits != NULL)
					result->value = crmio_reference_value(reference, hits->values[0]);
				else
					result->created = new;
				return count;
			}
		}
		position++;
	}
	return 0;
}

/*
 * new_reference
 *		The record that auto_create would make for a row, not yet in use; NULL if the
 *		row says nothing that it could be made of.
 */
static NewReference *
new_reference(Import *import, Reference *reference, const ImportRow *row, int row_index)
{
	int			n = list_length(reference->lookups);
	NewReference *new = palloc0(sizeof(NewReference));
	bool		any = false;
	int			position = 0;
	ListCell   *lc;

	new->reference = reference;
	new->values = palloc0(sizeof(Datum) * n);
	new->keys = palloc0(sizeof(Datum) * n);
	new->present = palloc0(sizeof(bool) * n);
	new->next = palloc0(sizeof(NewReference *) * n);
	new->row = -1;
	foreach(lc, reference->lookups)
	{
		RefLookup  *ref_lookup = lfirst(lc);
		LookupKeys *keys = import->ref_keys[ref_lookup->index];

		if (!ref_lookup->by_key && keys->present[row_index])
		{
			new->present[position] = any = true;
			new->values[position] = row->values[ref_lookup->input->index];
			new->keys[position] = keys->values[row_index];
		}
		position++;
	}
	return any ? new : NULL;
}

/*
 * describe_lookups
 *		"account.domain or account.name", of the inputs of a reference.
 */
static char *
describe_lookups(const Reference *reference)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, reference->lookups)
		names = lappend(names, ((RefLookup *) lfirst(lc))->input->path->text);
	return crmio_join(names, " or ");
}

/*
 * is_unusable
 *		Has the row an error message about an input already?
 */
static bool
is_unusable(const ImportRow *row, const Input *input)
{
	ListCell   *lc;

	foreach(lc, row->messages)
	{
		JobMessage *message = lfirst(lc);

		if (!message->warning && message->field == input->path->text)
			return true;
	}
	return false;
}

/*
 * resolve
 *		One reference of a row; false if that makes it an error row.
 */
static bool
resolve(Import *import, Reference *reference, int row_index)
{
	ImportRow  *row = &import->rows[row_index];
	Resolved   *result = &row->resolved[reference->index];
	Input	   *input = NULL;
	int			count = find_record(import, reference, row_index, true, result, &input);
	bool		is_error = reference->unresolved_is_error;
	char	   *reason;
	ListCell   *lc;

	if (count == 1 || (count > 1 && import->plan->mapping->first_if_ambiguous))
		return true;
	if (count > 1)
	{
		char	   *text = crmio_row_text(import->plan, row, input);

		memset(result, 0, sizeof(Resolved));
		row->decision = lappend(row->decision,
								crmio_row_message(row, false, input, text, "ambiguous_reference",
												  psprintf("%d records of module \"%s\" have this %s",
														   count, reference->module->name,
														   input->path->lookup)));
		return false;
	}

	if (reference->auto_create)
	{
		result->created = new_reference(import, reference, row, row_index);
		result->found = result->created != NULL;
		if (result->found)
			return true;
	}
	foreach(lc, reference->lookups)
	{
		Input	   *candidate = ((RefLookup *) lfirst(lc))->input;

		if (is_unusable(row, candidate))
			return false;		/* said already */
		if (input == NULL && import->ref_keys[((RefLookup *) lfirst(lc))->index]->present[row_index])
			input = candidate;
	}
	if (input == NULL)
	{
		if (!is_error)
			return true;		/* nothing is referred to */
		input = ((RefLookup *) linitial(reference->lookups))->input;
		reason = psprintf("%s must have a value", describe_lookups(reference));
	}
	else
		reason = psprintf("no record of module \"%s\" has this %s", reference->module->name,
						  input->path->lookup);
	row->decision = lappend(row->decision,
							crmio_row_message(row, !is_error, input,
											  crmio_row_text(import->plan, row, input),
											  "unresolved_reference", reason));
	return !is_error;
}

/*
 * crmio_references_resolve
 *		Resolves all references of a row; false if that makes it an error row.
 */
bool
crmio_references_resolve(Import *import, int row_index)
{
	ImportRow  *row = &import->rows[row_index];
	bool		good = true;
	ListCell   *lc;

	if (import->plan->references == NIL)
		return true;
	row->resolved = palloc0(sizeof(Resolved) * list_length(import->plan->references));
	foreach(lc, import->plan->references)
		good &= resolve(import, lfirst(lc), row_index);
	return good;
}

/*
 * crmio_reference_peek
 *		The value of a reference, if its record is in the table already: to complete a
 *		match key before the rows are decided.
 */
bool
crmio_reference_peek(Import *import, Reference *reference, int row_index, Datum *value)
{
	Resolved	result;
	Input	   *input;
	int			count = find_record(import, reference, row_index, false, &result, &input);

	*value = result.value;
	return count == 1 || (count > 1 && import->plan->mapping->first_if_ambiguous);
}

/*
 * enter_new
 *		From now on rows of the run find the record by its keys.
 */
static void
enter_new(Run *run, NewReference *new)
{
	int			position = 0;
	ListCell   *lc;

	foreach(lc, new->reference->lookups)
	{
		RefLookup  *ref_lookup = lfirst(lc);
		HTAB	  **table = &run->new_refs[ref_lookup->index];

		if (new->present[position])
		{
			uint64		hash = crmio_lookup_hash(ref_lookup->lookup, &new->keys[position]);
			NewRefEntry *entry;
			bool		known;

			if (*table == NULL)
			{
				HASHCTL		ctl = {0};

				ctl.keysize = sizeof(uint64);
				ctl.entrysize = sizeof(NewRefEntry);
				ctl.hcxt = CurrentMemoryContext;
				*table = hash_create("crmio new references", 256, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
			}
			entry = hash_search(*table, &hash, HASH_ENTER, &known);
			new->next[position] = known ? entry->first : NULL;
			entry->first = new;
		}
		position++;
	}
	run->created[new->reference->index] = lappend(run->created[new->reference->index], new);
}

/*
 * crmio_references_use
 *		The row is to be written: records that it needs are to be created.
 */
void
crmio_references_use(Import *import, int row_index)
{
	ImportPlan *plan = import->plan;
	ImportRow  *row = &import->rows[row_index];

	if (plan->references == NIL)
		return;
	row->new_refs = palloc0(sizeof(NewReference *) * plan->ntargets);
	for (int i = 0; i < plan->ntargets; i++)
	{
		Target	   *target = &plan->targets[i];
		NewReference *new;

		if (target->reference == NULL)
			continue;
		new = row->resolved[target->reference->index].created;
		if (new == NULL || (row->action == ROW_UPDATE && !row->changed[i]))
			continue;
		if (new->row < 0)
		{
			new->row = row_index;
			crmio_ref_writer_complete(new);
			enter_new(import->run, new);
		}
		row->new_refs[i] = new;
	}
}

/*
 * refers_by_own_key
 *		A reference to the module's own table by the key that crmio gives out; NULL if
 *		the plan has none.
 */
static const RefLookup *
refers_by_own_key(const ImportPlan *plan)
{
	ListCell   *lc;
	ListCell   *l;

	if (plan->key_defaults == NULL || plan->key->ncolumns != 1)
		return NULL;
	foreach(lc, plan->references)
	{
		Reference  *reference = lfirst(lc);

		foreach(l, reference->lookups)
		{
			if (reference->self && ((RefLookup *) lfirst(l))->by_key)
				return lfirst(l);
		}
	}
	return NULL;
}

/*
 * crmio_references_created
 *		The row will create a record: from now on, rows that refer to it by its key must
 *		wait until it is there.
 */
void
crmio_references_created(Import *import, int row_index)
{
	Run		   *run = import->run;
	const RefLookup *ref_lookup = refers_by_own_key(import->plan);
	uint64		hash;

	if (ref_lookup == NULL)
		return;
	if (run->created_records == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(uint64);
		ctl.entrysize = sizeof(uint64);
		ctl.hcxt = CurrentMemoryContext;
		run->created_records = hash_create("crmio created records", 1024, &ctl,
										   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	crmio_row_give_key(import, &import->rows[row_index]);
	hash = crmio_lookup_hash(ref_lookup->lookup, import->rows[row_index].key_ahead);
	(void) hash_search(run->created_records, &hash, HASH_ENTER, NULL);
}

/*
 * crmio_references_wait
 *		Does the row refer to a record that an earlier row of the run creates, by the key
 *		that the record will have?
 */
bool
crmio_references_wait(Import *import, int row_index)
{
	const RefLookup *ref_lookup = refers_by_own_key(import->plan);
	LookupKeys *keys;
	uint64		hash;

	if (ref_lookup == NULL || import->run->created_records == NULL)
		return false;
	keys = import->ref_keys[ref_lookup->index];
	if (!keys->present[row_index])
		return false;
	hash = crmio_lookup_hash(ref_lookup->lookup, &keys->values[row_index]);
	return hash_search(import->run->created_records, &hash, HASH_FIND, NULL) != NULL;
}

/*
 * match.c
 *	  Finds the record that a row refers to.
 *
 * The alternatives of the match are tried in order; one with an empty field is
 * passed over, and the first that finds any record decides.
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "import/import.h"

/* A key that an earlier row of the run creates. */
typedef struct CreatedKey
{
	uint64		hash;
	int			row;
} CreatedKey;

/*
 * complete_keys
 *		Fills in what a match key takes from references.
 */
static void
complete_keys(Import *import, const MatchKey *match, LookupKeys *keys)
{
	int			nfields = match->lookup->nfields;

	for (int f = 0; f < nfields; f++)
	{
		if (match->fields[f].reference == NULL)
			continue;
		for (int i = import->run->from; i < import->run->to; i++)
		{
			if (import->rows[i].unusable)
				continue;
			keys->present[i - import->run->from] &=
				crmio_reference_peek(import, match->fields[f].reference, i,
									 &keys->values[(Size) (i - import->run->from) * nfields + f]);
		}
	}
}

/*
 * run_match_keys
 *		The keys of the run for one alternative; a copy, if references complete them.
 */
static LookupKeys
run_match_keys(Import *import, const MatchKey *match, int position)
{
	LookupKeys	part = crmio_run_keys(import, match->lookup, import->match_keys[position]);
	int			nfields = match->lookup->nfields;
	bool		by_reference = false;

	for (int f = 0; f < nfields; f++)
		by_reference |= match->fields[f].reference != NULL;
	if (by_reference)
	{
		LookupKeys *copy = crmio_lookup_keys(match->lookup, part.nrows);

		memcpy(copy->values, part.values, sizeof(Datum) * nfields * part.nrows);
		memcpy(copy->present, part.present, sizeof(bool) * part.nrows);
		complete_keys(import, match, copy);
		return *copy;
	}
	return part;
}

/*
 * crmio_match_lookup
 *		Looks the run up by every alternative.
 */
void
crmio_match_lookup(Import *import)
{
	ImportPlan *plan = import->plan;
	Run		   *run = import->run;
	int			position = 0;
	ListCell   *lc;

	run->match_keys = palloc0(sizeof(LookupKeys) * (list_length(plan->match) + 1));
	run->match_hits = palloc0(sizeof(LookupHit **) * (list_length(plan->match) + 1));
	run->created_keys = palloc0(sizeof(HTAB *) * (list_length(plan->match) + 1));
	foreach(lc, plan->match)
	{
		MatchKey   *match = lfirst(lc);

		run->match_keys[position] = run_match_keys(import, match, position);
		if (position == 0)
			run->order = crmio_lookup_order(match->lookup, &run->match_keys[0]);
		run->match_hits[position] = crmio_lookup_find(match->lookup, &run->match_keys[position],
													  position == 0 ? run->order : NULL, false);
		position++;
	}
}

/*
 * refers_to_new
 *		Does the alternative compare a reference whose record does not exist yet?
 */
static bool
refers_to_new(const MatchKey *match, const ImportRow *row)
{
	for (int f = 0; f < match->lookup->nfields; f++)
	{
		Reference  *reference = match->fields[f].reference;

		if (reference != NULL && row->resolved[reference->index].created != NULL)
			return true;
	}
	return false;
}

/*
 * crmio_match_row
 *		The record that a row matches, if any.
 */
MatchResult
crmio_match_row(Import *import, int row_index)
{
	ImportRow  *row = &import->rows[row_index];
	Run		   *run = import->run;
	int			position = 0;
	ListCell   *lc;

	foreach(lc, import->plan->match)
	{
		MatchKey   *match = lfirst(lc);
		int			i = row_index - run->from;
		const LookupKeys *keys = &run->match_keys[position];
		LookupHit  *hits = run->match_hits[position][i];

		if (keys->present[i] && !refers_to_new(match, row))
		{
			if (run->created_keys[position] != NULL)
			{
				const Datum *key = &keys->values[(Size) i * match->lookup->nfields];
				uint64		hash = crmio_lookup_hash(match->lookup, key);
				CreatedKey *created = hash_search(run->created_keys[position], &hash, HASH_FIND, NULL);

				if (created != NULL)
				{
					const Datum *other = &keys->values[(Size) (created->row - run->from) *
													   match->lookup->nfields];

					return crmio_lookup_equal(match->lookup, key, other) ?
						MATCH_CREATED_BEFORE : MATCH_LATER;
				}
			}
			if (hits != NULL)
			{
				row->match = hits;
				row->matched_by = position;
				for (LookupHit *hit = hits; hit != NULL && run->touched != NULL; hit = hit->next)
				{
					uint64		hash = crmio_record_key_hash(match->lookup->key, hit->key);

					if (hash_search(run->touched, &hash, HASH_FIND, NULL) != NULL)
						return MATCH_LATER;
				}
				return hits->next != NULL ? MATCH_AMBIGUOUS : MATCH_FOUND;
			}
		}
		position++;
	}
	return MATCH_NONE;
}

/*
 * crmio_match_created
 *		The row will create a record: under "skip", later rows of the run with one of
 *		its keys match it.  (Under "update" there are none: the run has ended before.)
 */
void
crmio_match_created(Import *import, int row_index)
{
	Run		   *run = import->run;
	int			position = 0;
	ListCell   *lc;

	if (import->plan->mapping->policy != POLICY_SKIP)
		return;
	foreach(lc, import->plan->match)
	{
		MatchKey   *match = lfirst(lc);
		int			i = row_index - run->from;

		if (run->match_keys[position].present[i])
		{
			const Datum *key = &run->match_keys[position].values[(Size) i * match->lookup->nfields];
			uint64		hash = crmio_lookup_hash(match->lookup, key);
			CreatedKey *created;
			bool		known;

			if (run->created_keys[position] == NULL)
			{
				HASHCTL		ctl = {0};

				ctl.keysize = sizeof(uint64);
				ctl.entrysize = sizeof(CreatedKey);
				ctl.hcxt = CurrentMemoryContext;
				run->created_keys[position] =
					hash_create("crmio created keys", run->to - run->from, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
			}
			created = hash_search(run->created_keys[position], &hash, HASH_ENTER, &known);
			if (!known)
				created->row = row_index;
		}
		position++;
	}
}

/*
 * crmio_match_touched
 *		The row will write the record that it matched: a later row of the run that
 *		matches it too must see the result.
 */
void
crmio_match_touched(Import *import, int row_index)
{
	Run		   *run = import->run;
	ImportRow  *row = &import->rows[row_index];
	MatchKey   *match = list_nth(import->plan->match, row->matched_by);
	uint64		hash = crmio_record_key_hash(match->lookup->key, row->match->key);

	if (run->touched == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(uint64);
		ctl.entrysize = sizeof(uint64);
		ctl.hcxt = CurrentMemoryContext;
		run->touched = hash_create("crmio touched records", Min(run->to - run->from, 4096), &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	(void) hash_search(run->touched, &hash, HASH_ENTER, NULL);
}

/*
 * crmio_match_lock
 *		Locks the records that rows of the run will change, and takes their values
 *		as they are then.  Rows whose record is gone from the match, or may not be
 *		locked, lose it: their match becomes NULL.
 */
void
crmio_match_lock(Import *import)
{
	Run		   *run = import->run;
	int			nrows = run->to - run->from;
	int			position = 0;
	ListCell   *lc;

	foreach(lc, import->plan->match)
	{
		MatchKey   *match = lfirst(lc);
		LookupKeys	keys = run->match_keys[position];
		LookupHit **hits;
		bool		any = false;

		/* the run may have been cut since its keys were read */
		keys.present = palloc0(sizeof(bool) * keys.nrows);
		for (int i = 0; i < nrows; i++)
		{
			const ImportRow *row = &import->rows[run->from + i];

			any |= keys.present[i] = row->action == ROW_UPDATE && row->matched_by == position;
		}
		if (any)
		{
			hits = crmio_lookup_find(match->lookup, &keys, position == 0 ? run->order : NULL, true);
			for (int i = 0; i < nrows; i++)
			{
				ImportRow  *row = &import->rows[run->from + i];
				LookupHit  *locked = NULL;

				if (!keys.present[i])
					continue;
				for (LookupHit *hit = hits[i]; hit != NULL; hit = hit->next)
				{
					if (crmio_record_key_cmp(match->lookup->key, hit->key, row->match->key) == 0)
						locked = hit;
				}
				row->match = locked;
			}
		}
		position++;
	}
}

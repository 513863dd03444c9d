/*
 * keys.c
 *	  What the rows of a batch are looked up by, and how many of them may be decided
 *	  together.
 *
 * Rows have the effect that they would have one at a time, in the order of the
 * file.  A run of rows can be looked up, decided and written as a whole as long as
 * no row of it could find a record that an earlier row of it makes or changes.  So
 * a run ends before a row one of whose keys is also a key of an earlier row.  The
 * keys are compared by their hashes; taking different keys for equal costs a
 * shorter run, nothing else.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "import/import.h"

/*
 * read_match_keys
 *		Keys of the batch for one alternative of the match.  A key with a reference in
 *		it is completed when the reference is known.
 */
static LookupKeys *
read_match_keys(const Import *import, const MatchKey *match)
{
	int			nfields = match->lookup->nfields;
	LookupKeys *keys = crmio_lookup_keys(match->lookup, import->nrows);

	for (int i = 0; i < import->nrows; i++)
	{
		const ImportRow *row = &import->rows[i];

		if (row->unusable)
			continue;
		keys->present[i] = true;
		for (int f = 0; f < nfields; f++)
		{
			bool		found = match->fields[f].reference != NULL;
			ListCell   *lc;

			foreach(lc, match->fields[f].inputs)
			{
				Input	   *input = lfirst(lc);

				if (found || row->nulls[input->index])
					continue;
				found = crmio_lookup_key(&match->lookup->fields[f], input->reader.typid,
										 row->values[input->index],
										 &keys->values[(Size) i * nfields + f]);
			}
			keys->present[i] &= found;
		}
	}
	return keys;
}

/*
 * read_ref_keys
 *		Keys of the batch for one lookup of a reference.
 */
static LookupKeys *
read_ref_keys(const Import *import, const RefLookup *ref_lookup)
{
	const Input *input = ref_lookup->input;
	LookupKeys *keys = crmio_lookup_keys(ref_lookup->lookup, import->nrows);

	for (int i = 0; i < import->nrows; i++)
	{
		const ImportRow *row = &import->rows[i];

		/* also of a row with errors, to find those of its references too */
		if (row->values != NULL && !row->nulls[input->index])
			keys->present[i] = crmio_lookup_key(&ref_lookup->lookup->fields[0],
												input->reader.typid, row->values[input->index],
												&keys->values[i]);
	}
	return keys;
}

/*
 * crmio_keys_read
 *		Reads all keys of the batch, in CurrentMemoryContext.
 */
void
crmio_keys_read(Import *import)
{
	const ImportPlan *plan = import->plan;
	ListCell   *lc;
	ListCell   *l;
	int			i = 0;

	import->match_keys = palloc0(sizeof(LookupKeys *) * (list_length(plan->match) + 1));
	foreach(lc, plan->match)
		import->match_keys[i++] = read_match_keys(import, lfirst(lc));
	import->ref_keys = palloc0(sizeof(LookupKeys *) * (plan->nref_lookups + 1));
	foreach(lc, plan->references)
	{
		foreach(l, ((Reference *) lfirst(lc))->lookups)
		{
			RefLookup  *ref_lookup = lfirst(l);

			import->ref_keys[ref_lookup->index] = read_ref_keys(import, ref_lookup);
		}
	}
}

/* The keys of the rows of a run so far. */
typedef struct SeenKeys
{
	HTAB	   *table;
	uint64		new[16];		/* of the row at hand */
	int			nnew;
	bool		overflow;		/* it has more of them */
} SeenKeys;

/*
 * see_key
 *		A key of the row at hand; true if an earlier row has it.  Tag tells keys of
 *		different lookups apart.
 */
static bool
see_key(SeenKeys *seen, int tag, uint64 hash)
{
	hash = hash_combine64(hash, (uint64) tag);
	if (hash_search(seen->table, &hash, HASH_FIND, NULL) != NULL)
		return true;
	if (seen->nnew < lengthof(seen->new))
		seen->new[seen->nnew++] = hash;
	else
		seen->overflow = true;
	return false;
}

/*
 * keep_keys
 *		The row at hand is part of the run.
 */
static void
keep_keys(SeenKeys *seen)
{
	for (int i = 0; i < seen->nnew; i++)
		(void) hash_search(seen->table, &seen->new[i], HASH_ENTER, NULL);
	seen->nnew = 0;
}

/*
 * see_list_keys
 *		A record is found by any entry of its typed list, so all that a row puts into
 *		the list are keys.
 */
static bool
see_list_keys(const Import *import, SeenKeys *seen, int tag, const MatchKey *match,
			  const ImportRow *row)
{
	Target	   *target = ((Input *) linitial(match->fields[0].inputs))->target;
	bool		known = false;
	ListCell   *lc;

	foreach(lc, target->inputs)
	{
		Input	   *input = lfirst(lc);
		Datum		key;

		if (!row->nulls[input->index] &&
			crmio_lookup_key(&match->lookup->fields[0], input->reader.typid,
							 row->values[input->index], &key))
			known |= see_key(seen, tag, crmio_lookup_hash(match->lookup, &key));
	}
	return known;
}

/*
 * hash_known_fields
 *		The hash of what is known of a row's key: not the record of a reference, nor the
 *		entries of a typed list.  False if a field that is known is empty.
 */
static bool
hash_known_fields(const Import *import, const MatchKey *match, int position, int row_index,
				  uint64 *hash)
{
	const ImportRow *row = &import->rows[row_index];
	int			nfields = match->lookup->nfields;
	const Datum *key = &import->match_keys[position]->values[(Size) row_index * nfields];

	*hash = 0;
	for (int f = 0; f < nfields; f++)
	{
		LookupField *field = &match->lookup->fields[f];

		if (match->fields[f].reference != NULL || field->in_list)
			continue;
		if (row->nulls[((Input *) linitial(match->fields[f].inputs))->index])
			return false;
		if (field->hashable)
			*hash = hash_combine64(*hash, DatumGetUInt64(FunctionCall2Coll(&field->hash, field->collation,
																		   key[f], UInt64GetDatum(0))));
	}
	return true;
}

/*
 * see_match_keys
 *		The keys by which a row finds its record, or is found later.
 */
static bool
see_match_keys(const Import *import, SeenKeys *seen, int row_index)
{
	bool		known = false;
	int			position = 0;
	ListCell   *lc;

	foreach(lc, import->plan->match)
	{
		MatchKey   *match = lfirst(lc);
		uint64		hash;

		if (match->lookup->nfields == 1 && match->lookup->fields[0].in_list)
			known |= see_list_keys(import, seen, position, match, &import->rows[row_index]);
		else if (hash_known_fields(import, match, position, row_index, &hash))
			known |= see_key(seen, position, hash);
		position++;
	}
	return known;
}

/*
 * own_input
 *		The input that fills the column by which a reference to the same table looks.
 */
static const Input *
own_input(const Import *import, const RefLookup *ref_lookup)
{
	ListCell   *lc;

	foreach(lc, import->plan->inputs)
	{
		Input	   *input = lfirst(lc);

		if (input->path->part == PATH_VALUE &&
			input->target->attnum == ref_lookup->lookup->fields[0].attnum)
			return input;
	}
	return NULL;
}

/*
 * depends_on_run
 *		Could a reference of the row to its own table find, or miss, what an earlier row
 *		of the run writes?
 */
static bool
depends_on_run(const Import *import, SeenKeys *seen, int row_index, bool first)
{
	const ImportRow *row = &import->rows[row_index];
	const Mapping *mapping = import->plan->mapping;
	int			tag = list_length(import->plan->match);
	bool		known = false;
	ListCell   *lc;
	ListCell   *l;

	foreach(lc, import->plan->references)
	{
		Reference  *reference = lfirst(lc);

		if (!reference->self)
			continue;
		foreach(l, reference->lookups)
		{
			RefLookup  *ref_lookup = lfirst(l);
			const Input *own = own_input(import, ref_lookup);
			LookupKeys *keys = import->ref_keys[ref_lookup->index];
			Datum		key;

			tag++;
			if (keys->present[row_index])
			{
				uint64		hash = crmio_lookup_hash(ref_lookup->lookup, &keys->values[row_index]);

				hash = hash_combine64(hash, (uint64) tag);
				known |= hash_search(seen->table, &hash, HASH_FIND, NULL) != NULL;
				/* nobody knows which values the rows before it give that column */
				if (!first && own == NULL &&
					!(ref_lookup->by_key && import->plan->key_defaults != NULL))
					known = true;
				/* an update may take away the value that the reference looks for */
				if (!first && own != NULL && mapping->policy == POLICY_UPDATE &&
					mapping->mode != MERGE_FILL_EMPTY)
					known = true;
			}
			if (own != NULL && !row->nulls[own->index] &&
				crmio_lookup_key(&ref_lookup->lookup->fields[0], own->reader.typid,
								 row->values[own->index], &key))
				(void) see_key(seen, tag, crmio_lookup_hash(ref_lookup->lookup, &key));
		}
	}
	return known;
}

/*
 * has_unknown_key
 *		Could a record that the row creates be found by a value that the row does not
 *		give: a default?
 */
static bool
has_unknown_key(const Import *import, int row_index)
{
	const ImportRow *row = &import->rows[row_index];
	ListCell   *lc;
	ListCell   *l;

	foreach(lc, import->plan->match)
	{
		MatchKey   *match = lfirst(lc);

		for (int f = 0; f < match->lookup->nfields; f++)
		{
			foreach(l, match->fields[f].inputs)
			{
				Input	   *input = lfirst(l);

				if (row->nulls[input->index] && input->target->default_expr != NULL &&
					!match->lookup->fields[f].in_list)
					return true;
			}
		}
	}
	return false;
}

/*
 * ends_run
 *		A row that may create a record with a key not known here is the last of its run:
 *		any later row could be about that record.
 */
static bool
ends_run(const Import *import, int row_index)
{
	ListCell   *lc;
	ListCell   *l;

	if (import->rows[row_index].unusable)
		return false;
	if (has_unknown_key(import, row_index))
		return true;

	foreach(lc, import->plan->references)
	{
		Reference  *reference = lfirst(lc);

		if (!reference->self || !reference->auto_create)
			continue;
		foreach(l, reference->lookups)
		{
			if (import->ref_keys[((RefLookup *) lfirst(l))->index]->present[row_index])
				return true;
		}
	}
	return false;
}

/*
 * has_default_key
 *		Has a match field a default?
 */
static bool
has_default_key(const MatchKey *match)
{
	for (int f = 0; f < match->lookup->nfields; f++)
	{
		ListCell   *lc;

		foreach(lc, match->fields[f].inputs)
		{
			if (((Input *) lfirst(lc))->target->default_expr != NULL &&
				!match->lookup->fields[f].in_list)
				return true;
		}
	}
	return false;
}

/*
 * finds_earlier_rows
 *		Could rows of a run find each other at all?  Under "skip" a plain key that an
 *		earlier row of the run created is known in memory (match.c).
 */
static bool
finds_earlier_rows(const ImportPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->match)
	{
		MatchKey   *match = lfirst(lc);

		if (plan->mapping->policy == POLICY_UPDATE)
			return true;
		for (int f = 0; f < match->lookup->nfields; f++)
		{
			if (match->fields[f].reference != NULL || match->lookup->fields[f].in_list)
				return true;
		}
	}
	return false;
}

/*
 * crmio_keys_run_end
 *		The end of the run that begins with row from, at most row to.
 */
int
crmio_keys_run_end(const Import *import, int from, int to)
{
	bool		by_match = finds_earlier_rows(import->plan);
	bool		by_reference = false;
	bool		by_default = false;
	SeenKeys	seen = {0};
	HASHCTL		ctl = {0};
	int			end = from;
	ListCell   *lc;

	foreach(lc, import->plan->references)
		by_reference |= ((Reference *) lfirst(lc))->self;
	foreach(lc, import->plan->match)
		by_default |= has_default_key(lfirst(lc));
	if (!by_match && !by_reference && !by_default)
		return to;

	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(uint64);
	ctl.hcxt = CurrentMemoryContext;
	seen.table = hash_create("crmio keys of a run", Min(to - from, 1024), &ctl,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	while (end < to)
	{
		bool		known = false;

		if (!import->rows[end].unusable)
		{
			if (by_reference)
				known |= depends_on_run(import, &seen, end, end == from);
			if (by_match)
				known |= see_match_keys(import, &seen, end);
		}
		if (known && end > from)
			break;
		end++;
		keep_keys(&seen);
		/* a row with so many keys is not compared any further */
		if (seen.overflow || ((by_reference || by_default) && ends_run(import, end - 1)))
			break;
	}
	hash_destroy(seen.table);
	return end;
}

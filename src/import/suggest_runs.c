/*
 * suggest_runs.c
 *	  Names whose words run together without a sign of where one ends: "LEADOWNERID" is
 *	  the ID of a lead's owner, and neither unknown nor a misspelled "lead owner".
 *
 * Only a name that is made of known words as a whole is taken apart, in as few of them as
 * possible.
 */
#include "postgres.h"

#include "import/suggest_search.h"

/* A run has at least so many letters, and at most. */
#define MIN_RUN		6
#define MAX_RUN		60

/*
 * Its words have at least so many letters, one of them more; and two only if they count
 * wherever they stand, such as "ID" and "of".  Other short words are in too many longer
 * ones.
 */
#define MIN_PART		3
#define MIN_LONG_PART	4
#define MAX_PART		20

/* A word that short counts as much as two. */
#define COST_SHORT	2
#define COST_NONE	1000

/*
 * Is it a short word that counts anywhere?
 */
static bool
is_short_word(const Dictionary *dictionary, const char *word)
{
	return crmio_word_meaning(dictionary, WORD_NOT, word) != NULL ||
		crmio_word_meaning(dictionary, WORD_NOT_FIRST, word) != NULL ||
		crmio_word_meaning(dictionary, WORD_NOT_LAST, word) != NULL ||
		strcmp(word, "of") == 0;
}

/*
 * What a part of a run costs; COST_NONE if it is no word.
 */
static int
part_cost(const Dictionary *dictionary, const char *part, int length, bool at_end)
{
	if (!crmio_dictionary_has_single(dictionary, part))
		return COST_NONE;
	if (length >= MIN_PART)
		return 1;
	if (at_end && crmio_word_meaning(dictionary, WORD_STOP, part) != NULL)
		return COST_NONE;		/* nothing follows: a "sizeof" is something else */
	return is_short_word(dictionary, part) ? COST_SHORT : COST_NONE;
}

/*
 * Takes a word apart into known ones, and adds them; false if it can't be.
 */
static bool
split_word(const Dictionary *dictionary, const char *word, NameTokens *split)
{
	int			length = strlen(word);
	int			costs[MAX_RUN + 1] = {0};
	int			starts[MAX_RUN + 1];
	int			ends[MAX_NAME_WORDS];
	int			nparts = 0;
	bool		long_part = false;

	if (length < MIN_RUN || length > MAX_RUN ||
		word[strspn(word, "abcdefghijklmnopqrstuvwxyz")] != '\0')
		return false;
	for (int end = 1; end <= length; end++)
	{
		costs[end] = COST_NONE;
		for (int start = Max(end - MAX_PART, 0); start <= end - 2; start++)
		{
			char		part[MAX_PART + 1];
			int			cost;

			if (costs[start] >= COST_NONE)
				continue;
			strlcpy(part, word + start, end - start + 1);
			cost = costs[start] + part_cost(dictionary, part, end - start, end == length);
			if (cost < costs[end])
			{
				costs[end] = cost;
				starts[end] = start;
			}
		}
	}
	if (costs[length] >= COST_NONE)
		return false;
	for (int end = length; end > 0; end = starts[end])
	{
		if (nparts == MAX_NAME_WORDS)
			return false;
		ends[nparts++] = end;
		long_part |= end - starts[end] >= MIN_LONG_PART;
	}
	if (!long_part || nparts < 2 || split->count + nparts > MAX_NAME_WORDS)
		return false;
	while (nparts-- > 0)
	{
		int			start = starts[ends[nparts]];

		split->words[split->count++] = pnstrdup(word + start, ends[nparts] - start);
	}
	return true;
}

/*
 * The words of a name with those taken apart that run together; false if none do.
 */
bool
crmio_split_runs(const Dictionary *dictionary, const NameTokens *words, NameTokens *split)
{
	bool		any = false;

	split->count = 0;
	for (int i = 0; i < words->count; i++)
	{
		if (!crmio_dictionary_has_word(dictionary, words->words[i]) &&
			split_word(dictionary, words->words[i], split))
			any = true;
		else if (split->count < MAX_NAME_WORDS)
			split->words[split->count++] = words->words[i];
		else
			return false;
	}
	return any;
}

/*
 * choices.c
 *	  Choices: a value or label of a field's list, in any case.
 *
 * Spellings are kept in two sorted arrays: as they stand in the list, and in lower
 * case.  An exact spelling wins, so that a list may hold both "new" and "New"; any
 * other spelling must mean one choice only.
 */
#include "crmio.h"

#include "import/kinds.h"
#include "lib/stringinfo.h"
#include "utils/datum.h"

/* How much of the list a message shows, in bytes. */
#define LIST_LENGTH		200

typedef struct Spelling
{
	char	   *text;
	int			choice;			/* index; several choices may share a spelling */
	int			rank;			/* 0: a value, 1: a label */
} Spelling;

typedef struct Choices
{
	Oid			collation;
	int			nchoices;
	char	  **values;			/* as stored, text */
	Datum	   *stored;			/* as stored, in the column's type */
	bool	   *ready;			/* is stored[i] set? */
	int			nspellings;
	Spelling   *exact;
	Spelling   *folded;
} Choices;

/*
 * By text; values before labels.
 */
static int
compare_spellings(const void *a, const void *b)
{
	const Spelling *left = a;
	const Spelling *right = b;
	int			result = strcmp(left->text, right->text);

	if (result == 0)
		result = left->rank - right->rank;
	if (result == 0)
		result = left->choice - right->choice;
	return result;
}

/*
 * Prepares the choices of a field.
 */
void *
crmio_choices_init(const Field *field, Oid collation)
{
	Choices    *choices = palloc0(sizeof(Choices));
	int			n = list_length(field->choices);
	ListCell   *lc;

	choices->collation = collation;
	choices->values = palloc(sizeof(char *) * Max(n, 1));
	choices->stored = palloc0(sizeof(Datum) * Max(n, 1));
	choices->ready = palloc0(sizeof(bool) * Max(n, 1));
	choices->exact = palloc(sizeof(Spelling) * Max(n, 1) * 2);
	choices->folded = palloc(sizeof(Spelling) * Max(n, 1) * 2);
	foreach(lc, field->choices)
	{
		const Choice *choice = lfirst(lc);

		for (int rank = 0; rank < 2; rank++)
		{
			char	   *text = pstrdup(rank == 0 || choice->label == NULL ? choice->value : choice->label);
			Spelling   *exact = &choices->exact[choices->nspellings];
			Spelling   *folded = &choices->folded[choices->nspellings];

			exact->text = crmio_trim(text);
			folded->text = crmio_lower(exact->text, collation);
			exact->rank = folded->rank = rank;
			exact->choice = folded->choice = choices->nchoices;
			choices->nspellings++;
		}
		choices->values[choices->nchoices++] = pstrdup(choice->value);
	}
	qsort(choices->exact, choices->nspellings, sizeof(Spelling), compare_spellings);
	qsort(choices->folded, choices->nspellings, sizeof(Spelling), compare_spellings);
	return choices;
}

/*
 * The choice that is spelled so: -1 if none is.  *several is set if the spelling
 * stands for more than one value, or for more than one label and no value.
 */
static int
find_spelling(const Spelling *spellings, int n, const char *text, bool *several)
{
	int			low = 0;
	int			high = n;
	const Spelling *found;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(spellings[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == n || strcmp(spellings[low].text, text) != 0)
		return -1;
	found = &spellings[low];
	*several = low + 1 < n && strcmp(found[1].text, text) == 0 &&
		found[1].rank == found->rank && found[1].choice != found->choice;
	return found->choice;
}

/*
 * The list of values for a message, as many as fit.
 */
static char *
list_of_values(const Choices *choices)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < choices->nchoices; i++)
	{
		if (i > 0)
			appendStringInfoString(&list, ", ");
		if (list.len > LIST_LENGTH)
		{
			appendStringInfo(&list, "... (%d choices)", choices->nchoices);
			break;
		}
		appendStringInfoString(&list, crmio_clip(choices->values[i]));
	}
	return list.data;
}

/*
 * Reads a value or label.
 */
bool
crmio_read_choice(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	Choices    *choices = reader->choices;
	bool		several = false;
	int			choice = find_spelling(choices->exact, choices->nspellings, text, &several);

	if (choice < 0)
		choice = find_spelling(choices->folded, choices->nspellings,
							   crmio_lower(text, choices->collation), &several);
	if (choice < 0)
		return crmio_problem(problem, "invalid_choice", "\"%s\" is not one of %s",
							 crmio_clip(text), list_of_values(choices));
	if (several)
		return crmio_problem(problem, "invalid_choice",
							 "\"%s\" may mean several choices; write it as one of %s",
							 crmio_clip(text), list_of_values(choices));

	if (!choices->ready[choice])
	{
		Datum		stored;
		MemoryContext caller;

		if (!crmio_value_from_text(reader, choices->values[choice], &stored, problem))
			return false;
		caller = MemoryContextSwitchTo(reader->context);
		choices->stored[choice] = datumCopy(stored, reader->typbyval, reader->typlen);
		choices->ready[choice] = true;
		MemoryContextSwitchTo(caller);
	}
	*value = datumCopy(choices->stored[choice], reader->typbyval, reader->typlen);
	return true;
}

/*
 * suggest_assign.c
 *	  Who gets which field: no field goes to two columns, and of two that want it the
 *	  better one has it.
 *
 * Candidates are taken best first, so the result is the same for the same file.  A
 * full name gives way to its two parts, but not to one of them; guesses by values come
 * last.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "import/suggest.h"

/* Owners of targets that are no columns. */
#define OWNER_NONE		(-1)
#define OWNER_STATIC	(-2)

typedef struct Assignment
{
	Dictionary *dictionary;
	const Reader *reader;
	Suggestions *suggestions;
	int		   *owners;			/* by NameTarget.index: column, or one of the
								 * above */
	int			ntargets;
} Assignment;

/*
 * In which turn a candidate comes.
 */
static int
turn_of(const Candidate *candidate)
{
	if (candidate->confidence <= CONFIDENCE_LOW)
		return 3;
	if (candidate->target->path->part != PATH_NAME)
		return 1;
	return candidate->full_name ? 0 : 2;
}

/*
 * Best first; of equals the one further to the left.
 */
static int
compare_candidates(const ListCell *a, const ListCell *b)
{
	const Candidate *left = lfirst(a);
	const Candidate *right = lfirst(b);

	if (turn_of(left) != turn_of(right))
		return turn_of(left) - turn_of(right);
	if (left->confidence != right->confidence)
		return (int) right->confidence - (int) left->confidence;
	if (left->score != right->score)
		return right->score - left->score;
	if (left->column != right->column)
		return left->column - right->column;
	return left->target->index - right->target->index;
}

/*
 * The target of a field, if some name led to it.
 */
static int
owner_of_field(const Assignment *assignment, const Field *field)
{
	ListCell   *lc;

	foreach(lc, assignment->dictionary->targets)
	{
		NameTarget *target = lfirst(lc);

		if (target->path->part == PATH_VALUE && target->path->field == field)
			return assignment->owners[target->index];
	}
	return OWNER_NONE;
}

/*
 * The owner of a full name, if there is one.
 */
static int
owner_of_full_name(const Assignment *assignment)
{
	ListCell   *lc;

	foreach(lc, assignment->dictionary->targets)
	{
		NameTarget *target = lfirst(lc);

		if (target->path->part == PATH_NAME)
			return assignment->owners[target->index];
	}
	return OWNER_NONE;
}

/*
 * Who has what a candidate wants, or a part of it.
 */
static int
find_owner(const Assignment *assignment, const NameTarget *target)
{
	const FieldPath *path = target->path;
	Field	   *first;
	Field	   *last;
	int			owner = assignment->owners[target->index];

	if (owner != OWNER_NONE)
		return owner;
	if (path->part == PATH_NAME)
	{
		owner = owner_of_field(assignment, path->first_name);
		return owner != OWNER_NONE ? owner : owner_of_field(assignment, path->last_name);
	}
	if (path->part == PATH_VALUE &&
		crmio_module_splits_name(assignment->dictionary->module, &first, &last) &&
		(path->field == first || path->field == last))
		return owner_of_full_name(assignment);
	return OWNER_NONE;
}

/*
 * Gives a target to a column.
 */
static void
give(Assignment *assignment, int column, NameTarget *target, Confidence confidence, char *reason)
{
	Suggestion *suggestion = &assignment->suggestions->columns[column];

	suggestion->path = target->path;
	suggestion->confidence = confidence;
	suggestion->reason = reason;
	assignment->owners[target->index] = column;
}

/*
 * A column "Name" beside one for the first name is the last name, as a French "Nom" is
 * beside "Prénom"; and the other way round.
 */
static bool
give_half_name(Assignment *assignment, const Candidate *candidate)
{
	const FieldPath *path = candidate->target->path;
	bool		first;
	int			owner;
	NameTarget *half;

	if (path->part != PATH_NAME || candidate->confidence < CONFIDENCE_HIGH)
		return false;
	first = owner_of_field(assignment, path->first_name) == OWNER_NONE;
	if (first == (owner_of_field(assignment, path->last_name) == OWNER_NONE))
		return false;
	owner = owner_of_field(assignment, first ? path->last_name : path->first_name);
	half = crmio_dictionary_target(assignment->dictionary,
								   (first ? path->first_name : path->last_name)->name);
	if (owner < 0 || half == NULL || half->index >= assignment->ntargets)
		return false;
	give(assignment, candidate->column, half, CONFIDENCE_MEDIUM,
		 psprintf("the other half of the name in column %s",
				  quote_literal_cstr(crmio_clip(assignment->reader->column_names[owner]))));
	return true;
}

/*
 * Is there a column for a field?
 */
static bool
have_candidate(List *candidates, const Field *field)
{
	ListCell   *lc;

	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);
		const FieldPath *path = candidate->target->path;

		if (path->part == PATH_VALUE && path->field == field &&
			candidate->confidence >= CONFIDENCE_MEDIUM)
			return true;
	}
	return false;
}

/*
 * A full name is surely one if it is called so, or its values are; but it gives way if
 * there are columns for both of its parts.
 */
static void
settle_full_names(Dictionary *dictionary, List *candidates, const Suggestions *suggestions)
{
	Field	   *first;
	Field	   *last;
	bool		both = crmio_module_splits_name(dictionary->module, &first, &last) &&
		have_candidate(candidates, first) && have_candidate(candidates, last);
	ListCell   *lc;

	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);

		if (candidate->target->path->part == PATH_NAME &&
			candidate->confidence == CONFIDENCE_HIGH &&
			crmio_samples_have_blanks(suggestions->columns[candidate->column].samples))
			candidate->full_name = true;
		if (both)
			candidate->full_name = false;
	}
}

/*
 * Says why a column did not get what it wanted; the first want counts.
 */
static void
say_lost(Assignment *assignment, const Candidate *candidate, int owner)
{
	Suggestion *suggestion = &assignment->suggestions->columns[candidate->column];
	const char *text = candidate->target->path->text;

	if (suggestion->reason != NULL)
		return;
	suggestion->reason = owner == OWNER_STATIC ? psprintf("a static value fills %s", text) :
		psprintf("column %s is the better one for %s",
				 quote_literal_cstr(crmio_clip(assignment->reader->column_names[owner])), text);
}

/*
 * The field paths that static values fill are not for columns.
 */
static void
take_statics(Assignment *assignment, const List *taken)
{
	const ListCell *lc;
	ListCell   *target;

	foreach(lc, taken)
	{
		foreach(target, assignment->dictionary->targets)
		{
			if (strcmp(((NameTarget *) lfirst(target))->path->text, lfirst(lc)) == 0)
				assignment->owners[((NameTarget *) lfirst(target))->index] = OWNER_STATIC;
		}
	}
}

/*
 * Assigns candidates (a List of Candidate *) to columns.  `taken`: field paths, a List
 * of char *, that no column may have.
 */
void
crmio_assign(Dictionary *dictionary, const Reader *reader, List *candidates,
			 const List *taken, Suggestions *suggestions)
{
	Assignment	assignment = {.dictionary = dictionary,.reader = reader,
	.suggestions = suggestions};
	ListCell   *lc;

	/*
	 * targets that nobody asked for yet may be needed for half a name, or be
	 * taken
	 */
	if (crmio_module_splits_name(dictionary->module, NULL, NULL))
	{
		(void) crmio_dictionary_target(dictionary, "first_name");
		(void) crmio_dictionary_target(dictionary, "last_name");
	}
	assignment.ntargets = list_length(dictionary->targets);
	assignment.owners = palloc(Max(assignment.ntargets, 1) * sizeof(int));
	for (int i = 0; i < assignment.ntargets; i++)
		assignment.owners[i] = OWNER_NONE;
	take_statics(&assignment, taken);
	settle_full_names(dictionary, candidates, suggestions);
	list_sort(candidates, compare_candidates);
	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);
		int			owner = find_owner(&assignment, candidate->target);

		if (suggestions->columns[candidate->column].path != NULL)
			continue;
		if (candidate->confidence == CONFIDENCE_NONE)
			suggestions->columns[candidate->column].reason = candidate->reason;
		else if (owner == OWNER_NONE)
			give(&assignment, candidate->column, candidate->target, candidate->confidence,
				 candidate->reason);
		else if (!give_half_name(&assignment, candidate))
			say_lost(&assignment, candidate, owner);
	}
}

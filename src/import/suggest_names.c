/*
 * suggest_names.c
 *	  What a column's name may mean: candidates for it, from the dictionary.
 *
 *	  as it stands -> (is it none of the fields?) -> as parts of an address -> without
 *	  words that add nothing -> without a number -> without the word for the record
 *	  ("Person - ") -> in another order -> all that with words that run together taken
 *	  apart -> with a spelling corrected -> with unknown words in front ("Student Email")
 *
 * The first step that finds something ends the search.  After the first ones, a name with
 * a word in it that makes it something else ("Email Opt Out", "Owner ID") is out.
 */
#include "postgres.h"

#include "import/suggest_search.h"

/* What counts for a candidate beyond the tier of its name. */
#define SCORE_PATH			100 /* a path as it stands in a mapping */
#define SCORE_BEFORE_NAME	10	/* more than the field's own name */
#define PENALTY_STEP		2	/* for each step that was needed */
#define PENALTY_GUESS		20	/* for words taken for others, or not known */

/*
 * Scores by tier.
 */
static int
tier_score(const NameEntry *entry)
{
	static const int scores[] = {
		[TIER_PART] = 90,
		[TIER_COMPOSED] = 91,
		[TIER_BARE] = 93,
		[TIER_ALIAS_ANY] = 94,
		[TIER_ALIAS_MODULE] = 95,
		[TIER_PATH] = 96,
		[TIER_ALIAS] = 98,
		[TIER_LABEL] = 99,
		[TIER_NAME] = 100,
	};

	return scores[entry->tier];
}

/*
 * The names in the dictionary.  Of several meanings the nearest one counts most; if
 * two are equally near, it is neither.
 */
static void
add_entries(Search *search, const NameEntry *entries, const char *key)
{
	const char *before_name = crmio_word_meaning(search->dictionary, WORD_BEFORE_NAME, key);
	static const char *const reasons[] = {
		[TIER_PART] = "part of the address",
		[TIER_COMPOSED] = "record and field",
		[TIER_BARE] = "name of the reference",
		[TIER_ALIAS_ANY] = "known name \"%s\"",
		[TIER_ALIAS_MODULE] = "known name \"%s\"",
		[TIER_PATH] = "the field in words",
		[TIER_ALIAS] = "alias \"%s\"",
		[TIER_LABEL] = "label of the field",
		[TIER_NAME] = "name of the field",
	};

	for (const NameEntry *entry = entries; entry != NULL; entry = entry->next)
	{
		int			before = list_length(search->found);
		int			score = tier_score(entry);
		bool		ambiguous = false;
		Candidate  *candidate;

		for (const NameEntry *other = entries; other != NULL; other = other->next)
		{
			if (other != entry && tier_score(other) == score && other->weak == entry->weak &&
				other->target->required == entry->target->required)
			{
				bool		first = entry->target->index < other->target->index;

				search->why_not = psprintf("may be %s or %s",
										   (first ? entry : other)->target->path->text,
										   (first ? other : entry)->target->path->text);
				ambiguous = true;
			}
		}
		if (ambiguous)
			continue;
		crmio_search_add(search, entry->target,
						 entry->weak ? CONFIDENCE_MEDIUM : CONFIDENCE_HIGH, score,
						 strstr(reasons[entry->tier], "%s") ? psprintf(reasons[entry->tier], entry->spelled) :
						 pstrdup(reasons[entry->tier]));
		if (list_length(search->found) == before)
			continue;
		candidate = llast(search->found);
		if (before_name != NULL && strcmp(before_name, entry->target->path->text) == 0)
			candidate->score += SCORE_BEFORE_NAME;
		candidate->loose = entry->tier < TIER_PATH || search->penalty > 0;
		candidate->own_name = entry->tier >= TIER_ALIAS;
		candidate->weak = entry->weak;
	}
}

/*
 * All that a name means as it stands.
 */
static bool
look_up(Search *search, const NameTokens *words)
{
	char	   *key;

	if (words->count == 0)
		return false;
	key = crmio_tokens_key(words);
	add_entries(search, crmio_dictionary_find(search->dictionary, key), key);
	/* "Ship Via" sounds put together (an Italian street is a via), but means a carrier */
	if (crmio_word_meaning(search->dictionary, WORD_NOT, key) != NULL)
		return search->found != NIL;
	if (search->found == NIL)
		crmio_search_composed(search, key);
	if (search->found == NIL)
		crmio_search_type_alone(search, key);
	return search->found != NIL;
}

/*
 * Why a name can be no field's, or NULL.
 */
static char *
reason_against(const Dictionary *dictionary, const NameTokens *words)
{
	const char *what = NULL;

	for (int i = 0; i < words->count && what == NULL; i++)
	{
		what = crmio_word_meaning(dictionary, WORD_NOT, words->words[i]);
		if (what == NULL && i + 1 < words->count)
			what = crmio_word_meaning(dictionary, WORD_NOT,
									  psprintf("%s%s", words->words[i], words->words[i + 1]));
	}
	if (what == NULL && words->count > 1)
		what = crmio_word_meaning(dictionary, WORD_NOT_FIRST, words->words[0]);
	if (what == NULL && words->count > 1)
		what = crmio_word_meaning(dictionary, WORD_NOT_LAST, words->words[words->count - 1]);
	return what ? psprintf("not imported: %s", what) : NULL;
}

/*
 * The words that say something, each once.  A name of fillers only stays as it is.
 */
static void
drop_fillers(const Dictionary *dictionary, const NameTokens *words, NameTokens *rest)
{
	rest->count = 0;
	for (int i = 0; i < words->count; i++)
	{
		bool		again = false;

		for (int j = 0; j < rest->count; j++)
			again |= strcmp(rest->words[j], words->words[i]) == 0;
		if (!again && !crmio_is_filler(dictionary, words->words[i]))
			rest->words[rest->count++] = words->words[i];
	}
	if (rest->count == 0)
		*rest = *words;
}

/*
 * Takes the number out of "Phone 2" or "Address 1 - Street"; 1 if there is none, 0 if
 * there are several.
 */
static int
drop_number(const Dictionary *dictionary, const NameTokens *words, NameTokens *rest,
			bool *ordinal)
{
	int			number = 1;
	int			count = 0;

	rest->count = 0;
	*ordinal = false;
	for (int i = 0; i < words->count; i++)
	{
		const char *word = words->words[i];
		const char *meaning = crmio_word_meaning(dictionary, WORD_ORDINAL, word);

		if (meaning == NULL && !(crmio_token_is_number(word) && strlen(word) <= 2))
			rest->words[rest->count++] = words->words[i];
		else
		{
			number = atoi(meaning ? meaning : word);
			*ordinal = meaning != NULL;
			count++;
		}
	}
	return count > 1 || rest->count == 0 ? 0 : Max(number, 1);
}

/*
 * Does a word stand for the module's own records?  A customer is a person or a company.
 */
static bool
is_own_entity(const Dictionary *dictionary, const char *word)
{
	const char *entity = crmio_word_meaning(dictionary, WORD_ENTITY, word);
	const char *too = crmio_word_meaning(dictionary, WORD_ENTITY_TOO, word);

	return dictionary->entity != NULL &&
		((entity != NULL && strcmp(entity, dictionary->entity) == 0) ||
		 (too != NULL && strcmp(too, dictionary->entity) == 0));
}

/*
 * "Organization - Number of Employees": what follows the word for the record is a name
 * as it stands.
 */
static bool
look_up_after_entity(Search *search, const NameTokens *words)
{
	NameTokens	rest;

	if (words->count < 3 || !is_own_entity(search->dictionary, words->words[0]))
		return false;
	crmio_tokens_part(words, 1, words->count, &rest);
	search->penalty = PENALTY_STEP;
	return look_up(search, &rest);
}

/*
 * Words each of which is a name of the same field: "URL : Homepage".
 */
static bool
look_up_synonyms(Search *search, const NameTokens *words)
{
	const NameEntry *first = NULL;
	NameTokens	rest;

	drop_fillers(search->dictionary, words, &rest);
	for (int i = 0; i < rest.count; i++)
	{
		const NameEntry *entry = crmio_dictionary_find(search->dictionary, rest.words[i]);

		if (entry == NULL || entry->next != NULL || (first != NULL && entry->target != first->target))
			return false;
		first = entry;
	}
	if (rest.count < 2)
		return false;
	add_entries(search, first, rest.words[0]);
	return search->found != NIL;
}

/*
 * Looks up what is left of a name after each step.
 */
static bool
look_up_reduced(Search *search, const NameTokens *words)
{
	Dictionary *dictionary = search->dictionary;
	NameTokens	rest;
	NameTokens	shorter;
	const char *noun;
	int			number;
	bool		ordinal;

	search->ordinal = false;
	if (look_up(search, words))
		return true;
	search->penalty += PENALTY_STEP;
	number = drop_number(dictionary, words, &shorter, &ordinal);
	if (number > 0 && !ordinal && shorter.count < words->count)
	{
		search->number = number;
		if (look_up(search, &shorter))
			return true;
		search->number = 1;
	}
	drop_fillers(dictionary, words, &rest);
	if (rest.count < words->count && look_up(search, &rest))
		return true;
	if (words->count > 2 && rest.count > 1 && is_own_entity(dictionary, words->words[words->count - 1]) &&
		crmio_word_meaning(dictionary, WORD_STOP, words->words[words->count - 2]) != NULL)
	{
		/* "Propietario del contacto" */
		crmio_tokens_part(&rest, 0, rest.count - 1, &shorter);
		if (look_up(search, &shorter))
			return true;
	}
	number = drop_number(dictionary, &rest, &shorter, &ordinal);
	if (number > 0 && shorter.count < rest.count)
	{
		search->number = number;
		search->ordinal = ordinal;
		if (look_up(search, &shorter))
			return true;
		if (ordinal)
			search->number = 1;
		else
			rest = shorter;
		search->ordinal = false;
	}
	noun = crmio_word_meaning(dictionary, WORD_ADDRESS, rest.words[0]);
	if (rest.count > 1 && noun != NULL && strcmp(noun, HEAD_LAST) == 0)
	{
		/* what stands with an address: "Address Phone" */
		crmio_tokens_part(&rest, 1, rest.count, &shorter);
		search->penalty += PENALTY_STEP;
		search->limit = CONFIDENCE_MEDIUM;
		return look_up(search, &shorter);
	}
	if (rest.count < 2 || !is_own_entity(dictionary, rest.words[0]))
		return false;
	crmio_tokens_part(&rest, 1, rest.count, &shorter);
	search->penalty += PENALTY_STEP;
	return look_up(search, &shorter);
}

/*
 * Adds to the reasons of all finds.
 */
static void
say_why(Search *search, const char *reason)
{
	ListCell   *lc;

	foreach(lc, search->found)
	{
		Candidate  *candidate = lfirst(lc);

		candidate->reason = psprintf("%s; %s", candidate->reason, reason);
	}
}

/*
 * The words in another order.
 */
static bool
look_up_reordered(Search *search, const NameTokens *words)
{
	NameTokens	rest;
	NameTokens	shorter;
	bool		ordinal;

	drop_fillers(search->dictionary, words, &rest);
	if (drop_number(search->dictionary, &rest, &shorter, &ordinal) == 1 && !ordinal)
		rest = shorter;
	if (rest.count < 2)
		return false;
	search->limit = CONFIDENCE_MEDIUM;
	search->number = 1;
	search->ordinal = false;
	add_entries(search, crmio_dictionary_find_set(search->dictionary, crmio_tokens_set(&rest)),
				crmio_tokens_key(&rest));
	say_why(search, "words in another order");
	return search->found != NIL;
}

/*
 * Does a word mean nothing here?
 */
static bool
is_unknown(const Dictionary *dictionary, const char *word)
{
	return !crmio_dictionary_has_word(dictionary, word) && !crmio_token_is_number(word);
}

/*
 * Of what was found boldly, keeps what values can prove, and leaves the proof to them:
 * e-mail addresses, phone numbers, and the module's own fields of dates, amounts and
 * choices.  Domains and web addresses are too often someone else's.
 */
static bool
keep_provable(Search *search)
{
	List	   *kept = NIL;
	ListCell   *lc;

	foreach(lc, search->found)
	{
		Candidate  *candidate = lfirst(lc);
		FieldKind	kind = candidate->target->path->kind;

		if (candidate->weak)
			continue;
		if (kind != KIND_EMAIL && kind != KIND_PHONE)
		{
			if (!crmio_kind_has_shape(kind) || kind == KIND_DOMAIN || kind == KIND_URL ||
				!candidate->own_name)
				continue;
			candidate->proof = true;
		}
		candidate->unsure = true;
		candidate->confidence = CONFIDENCE_LOW;
		kept = lappend(kept, candidate);
	}
	search->found = kept;
	return kept != NIL;
}

/*
 * With one unknown word as it may have been meant.  Boldly: short words too.
 */
static bool
look_up_corrected(Search *search, const NameTokens *words, bool boldly)
{
	Dictionary *dictionary = search->dictionary;

	search->limit = CONFIDENCE_MEDIUM;
	for (int i = 0; i < words->count; i++)
	{
		ListCell   *lc;

		if (!is_unknown(dictionary, words->words[i]))
			continue;
		foreach(lc, crmio_dictionary_correct(dictionary, words->words[i], boldly))
		{
			NameTokens	corrected = *words;

			corrected.words[i] = lfirst(lc);
			search->penalty = PENALTY_GUESS;
			search->number = 1;
			if (look_up_reduced(search, &corrected) && (!boldly || keep_provable(search)))
			{
				say_why(search, psprintf("\"%s\" for \"%s\"", words->words[i], corrected.words[i]));
				return true;
			}
		}
	}
	return false;
}

/*
 * "Student Email", "Correo del alumno": an e-mail address or a phone number, of whom is
 * not known.  Only for kinds that values can prove.
 */
static bool
look_up_head(Search *search, const NameTokens *words)
{
	Dictionary *dictionary = search->dictionary;
	NameTokens	head;
	int			first = 0;
	bool		unknown = false;
	ListCell   *lc;

	while (first < words->count &&
		   (is_unknown(dictionary, words->words[first]) ||
			(first > 0 && crmio_is_filler(dictionary, words->words[first]))))
		unknown |= is_unknown(dictionary, words->words[first++]);
	if (unknown)
		crmio_tokens_part(words, first, words->count, &head);
	else
	{
		int			stop = 1;

		while (stop < words->count &&
			   crmio_word_meaning(dictionary, WORD_STOP, words->words[stop]) == NULL)
			stop++;
		if (stop >= words->count - 1 || !is_unknown(dictionary, words->words[words->count - 1]))
			return false;
		crmio_tokens_part(words, 0, stop, &head);
	}
	search->limit = CONFIDENCE_MEDIUM;
	search->penalty = PENALTY_GUESS;
	search->number = 1;
	if (head.count == 0 || !look_up_reduced(search, &head) || !keep_provable(search))
		return false;
	foreach(lc, search->found)
	{
		Candidate  *candidate = lfirst(lc);

		/* what is called an e-mail address hardly ever is something else */
		if (candidate->target->path->kind == KIND_EMAIL)
			candidate->confidence = CONFIDENCE_MEDIUM;
	}
	say_why(search, "not known of whom");
	return true;
}

/*
 * "Date of Renewal", "Fuel Type": a name with a word for what the field holds, where it
 * holds that.
 */
static bool
look_up_kind(Search *search, const NameTokens *words)
{
	Dictionary *dictionary = search->dictionary;

	search->limit = CONFIDENCE_MEDIUM;
	search->number = 1;
	for (int i = 0; i < words->count && words->count > 1; i++)
	{
		const char *kind = crmio_word_meaning(dictionary, WORD_KIND, words->words[i]);
		NameTokens	others;
		NameTokens	rest;
		List	   *kept = NIL;
		ListCell   *lc;

		if (kind == NULL)
			continue;
		crmio_tokens_part(words, 0, i, &others);
		for (int j = i + 1; j < words->count; j++)
			others.words[others.count++] = words->words[j];
		drop_fillers(dictionary, &others, &rest);
		search->penalty = PENALTY_GUESS;
		if (!look_up(search, &rest))
			continue;
		foreach(lc, search->found)
		{
			Candidate  *candidate = lfirst(lc);
			const char *held = crmio_kind_name(candidate->target->path->kind);

			if (strcmp(held, kind) == 0 ||
				(strcmp(held, "timestamp") == 0 && strcmp(kind, "date") == 0))
				kept = lappend(kept, candidate);
		}
		search->found = kept;
		if (kept != NIL)
		{
			say_why(search, psprintf("\"%s\" for its kind", words->words[i]));
			return true;
		}
	}
	return false;
}

/*
 * Do several words each name a field of their own?  An "Owner Email" is neither the owner
 * nor the e-mail address, whatever its values look like.
 */
static char *
reason_of_fields(const Dictionary *dictionary, const NameTokens *words)
{
	NameTarget *first = NULL;

	for (int i = 0; i < words->count; i++)
	{
		NameEntry  *entry = crmio_dictionary_find(dictionary, words->words[i]);

		if (entry == NULL || entry->target == first)
			continue;
		if (first != NULL)
			return psprintf("neither %s nor %s", first->path->text, entry->target->path->text);
		first = entry->target;
	}
	return NULL;
}

/*
 * Is the name about a record of another kind?  "Deal - Title" is nothing of a person,
 * and a company's "Primary Contact Phone" is a person's.
 */
static char *
reason_of_entity(const Dictionary *dictionary, const NameTokens *words)
{
	const char *entity;
	int			first = 0;

	while (first < words->count - 1 && (is_own_entity(dictionary, words->words[first]) ||
										crmio_is_filler(dictionary, words->words[first])))
		first++;
	entity = first < words->count - 1 ?
		crmio_word_meaning(dictionary, WORD_ENTITY, words->words[first]) : NULL;
	return entity ? psprintf("about another record (%s)", entity) : NULL;
}

/*
 * A name that is a field path, as it stands in a mapping: custom.shoe_size.
 */
static void
look_up_path(Search *search, const char *name)
{
	NameTarget *target = strchr(name, '.') ? crmio_dictionary_target(search->dictionary, name) : NULL;

	if (target != NULL && strcmp(target->path->text, name) == 0)
		crmio_search_add(search, target, CONFIDENCE_HIGH, SCORE_PATH, pstrdup("the field's path"));
}

/*
 * Cuts off what is not of the name: the number by which the reader made a repeated
 * name its own, and the mark of a custom field.
 */
static void
strip_marks(const char *name, bool repeated, NameTokens *words)
{
	size_t		length = strlen(name);

	if (repeated && words->count > 1 && crmio_token_is_number(words->words[words->count - 1]))
		words->count--;
	if (length > 3 && pg_strcasecmp(name + length - 3, "__c") == 0 && words->count > 1)
		words->count--;
}

/*
 * The words with blanks between them, for people.
 */
static char *
joined_words(const NameTokens *words)
{
	List	   *list = NIL;

	for (int i = 0; i < words->count; i++)
		list = lappend(list, words->words[i]);
	return crmio_join(list, " ");
}

/*
 * The first steps, for names that are known in some form; they come before the words
 * that speak against a field.
 */
static bool
look_up_known(Search *search, const NameTokens *words)
{
	return look_up_after_entity(search, words) || look_up_synonyms(search, words) ||
		look_up_kind(search, words);
}

/*
 * The steps by which a name of known words is found.
 */
static bool
look_up_meaning(Search *search, const NameTokens *words, Confidence limit)
{
	search->limit = limit;
	search->penalty = 0;
	return crmio_search_part_words(search, words) || look_up_reduced(search, words) ||
		look_up_reordered(search, words);
}

/*
 * Looks a name up, step by step; what is found first is it.
 */
static void
look_up_stepwise(Search *search, const char *name, const NameTokens *words)
{
	const Dictionary *dictionary = search->dictionary;
	NameTokens	split;
	bool		runs;
	char	   *ambiguous;

	look_up_path(search, name);
	if (search->found != NIL || look_up(search, words))
		return;
	ambiguous = search->why_not;
	if (look_up_known(search, words))
		return;
	runs = crmio_split_runs(dictionary, words, &split);
	search->why_not = reason_against(dictionary, runs ? &split : words);
	if (search->why_not != NULL || look_up_meaning(search, words, CONFIDENCE_HIGH))
		return;
	if (runs)
	{
		/* where the words end is a guess */
		if (look_up_known(search, &split) || look_up_meaning(search, &split, CONFIDENCE_MEDIUM))
		{
			say_why(search, psprintf("read as \"%s\"", joined_words(&split)));
			return;
		}
		words = &split;
	}
	if (search->why_not == NULL)
		search->why_not = reason_of_entity(dictionary, words);
	if (search->why_not != NULL || look_up_corrected(search, words, false) ||
		look_up_head(search, words) || look_up_corrected(search, words, true))
		return;
	search->why_not = ambiguous ? ambiguous : reason_of_fields(dictionary, words);
}

/*
 * The fields that a column may be by its name, a List of Candidate *.  If there are
 * none, *why_not may say why its values should not be asked either.
 */
List *
crmio_candidates_by_name(Dictionary *dictionary, int column, const char *name,
						 bool repeated, char **why_not)
{
	Search		search = {.dictionary = dictionary,.column = column,
	.limit = CONFIDENCE_HIGH,.number = 1};
	NameTokens	words;
	ListCell   *lc;

	crmio_name_tokens(name, &words);
	strip_marks(name, repeated, &words);
	*why_not = NULL;
	if (words.count == 0)
		return NIL;
	look_up_stepwise(&search, name, &words);
	foreach(lc, search.found)
	{
		Candidate  *candidate = lfirst(lc);

		candidate->full_name = candidate->target->path->part == PATH_NAME &&
			candidate->confidence == CONFIDENCE_HIGH && words.count > 1;
	}
	if (search.found == NIL)
		*why_not = search.why_not;
	return search.found;
}

/*
 * suggest_parts.c
 *	  Names that are put together: of a word for a type and one for a field ("Mobile
 *	  Phone"), or of words for a type, an address and its parts ("Billing Address
 *	  City").
 */
#include "postgres.h"

#include "import/suggest_search.h"

/* What counts for a candidate, beyond SCORE_BASE. */
#define SCORE_REQUIRED		6	/* the module can't do without */
#define SCORE_MAIN_WORK		92	/* "Work Email" for the e-mail address itself,
								 * if no other column is it */
#define SCORE_MAIN_HOME		85	/* likewise "Home Email" */
#define SCORE_MAIN_OTHER	81	/* and "Other Email" */
#define SCORE_TYPED			80	/* for an entry beside it */
#define SCORE_WHOLE_ADDRESS 85	/* "Billing Address": less than its street */
#define SCORE_CODE			70	/* "State Code": less than "State" */

/* The meaning of words that stand for an address beside its parts only. */
#define NO_WHOLE "no whole"

/*
 * Is this a field of which there are several, by type: phone, address.city, and an
 * e-mail address that has others beside it?
 */
static bool
is_untyped(const FieldPath *path)
{
	if (path->type != NULL)
		return false;
	return path->part == PATH_TYPED || path->part == PATH_ADDRESS ||
		(path->part == PATH_VALUE && path->field->typed_column != NULL);
}

/*
 * The path of a type: phone and mobile give phone.mobile.
 */
static NameTarget *
typed_target(Search *search, const FieldPath *path, const char *type)
{
	char	   *text = path->part == PATH_ADDRESS ?
		psprintf("%s.%s.%s", path->field->name, type, path->key) :
		psprintf("%s.%s", path->field->name, type);

	return crmio_dictionary_target(search->dictionary, text);
}

/*
 * Adds a candidate.  Of several things with a number, the second is one of type
 * "other"; there is no place for more.
 */
void
crmio_search_add(Search *search, NameTarget *target, Confidence confidence, int score,
				 char *reason)
{
	Candidate  *candidate;

	if (target == NULL || (search->ordinal && !is_untyped(target->path)))
		return;
	if (search->number > 1)
	{
		if (search->number > 2 || !is_untyped(target->path))
		{
			search->why_not = psprintf("one of several for %s, which takes the first",
									   target->path->text);
			return;
		}
		target = typed_target(search, target->path, "other");
		if (target == NULL)
			return;
		confidence = Min(confidence, CONFIDENCE_MEDIUM);
	}
	candidate = palloc0(sizeof(Candidate));
	candidate->column = search->column;
	candidate->target = target;
	candidate->confidence = Min(confidence, search->limit);
	candidate->score = score - search->penalty + (target->required ? SCORE_REQUIRED : 0);
	candidate->loose = true;
	candidate->reason = reason;
	search->found = lappend(search->found, candidate);
}

/*
 * An entry by its type.  Where the field itself is one value (email), and others stand
 * beside it (email.work), a column may fill the field if no other does.
 */
static void
add_typed(Search *search, const NameEntry *entries, const char *type, const char *word)
{
	for (const NameEntry *entry = entries; entry != NULL; entry = entry->next)
	{
		const FieldPath *path = entry->target->path;
		char	   *reason;

		if (entry->weak || path->part == PATH_ADDRESS ||
			(path->part != PATH_TYPED && !is_untyped(path)))
			continue;
		if (path->type != NULL)
		{
			/* "Work Fax" is the fax; a fax at home has no place of its own */
			if (strcmp(type, "work") == 0)
				crmio_search_add(search, entry->target, CONFIDENCE_HIGH, SCORE_BASE,
								 psprintf("known name \"%s\"", entry->spelled));
			continue;
		}
		reason = psprintf("\"%s\" for the type, \"%s\" for the field", word, entry->spelled);
		if (path->part != PATH_VALUE)
			crmio_search_add(search, typed_target(search, path, type), CONFIDENCE_HIGH,
							 SCORE_BASE, reason);
		else
		{
			bool		work = strcmp(type, "work") == 0 || strcmp(type, "company") == 0;
			bool		home = strcmp(type, "home") == 0;
			Confidence	confidence = work || home ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM;

			/* the second of them is not the main one */
			if (search->number == 1)
				crmio_search_add(search, entry->target, confidence,
								 work ? SCORE_MAIN_WORK : home ? SCORE_MAIN_HOME : SCORE_MAIN_OTHER,
								 reason);
			crmio_search_add(search, typed_target(search, path, type), confidence, SCORE_TYPED, reason);
		}
	}
}

/*
 * A part of an address, with or without a type.
 */
static void
add_part(Search *search, const char *type, const char *key, bool with_noun)
{
	Dictionary *dictionary = search->dictionary;
	const char *part = crmio_word_meaning(dictionary, WORD_PART, key);
	Field	   *field = linitial(dictionary->addresses);

	/* an address as a whole goes where its lines go */
	if (part == NULL && key[0] == '\0' && with_noun)
		part = "street";
	if (part == NULL)
		return;
	crmio_search_add(search,
					 crmio_dictionary_target(dictionary,
											 type ? psprintf("%s.%s.%s", field->name, type, part) :
											 psprintf("%s.%s", field->name, part)),
					 CONFIDENCE_HIGH, key[0] == '\0' ? SCORE_WHOLE_ADDRESS : SCORE_BASE,
					 type ? pstrdup("type and part of the address") : pstrdup("part of the address"));
}

/*
 * The rest of a key without a word at its start or end; NULL if it is not there.
 */
static char *
without(const char *key, const MeaningfulWord *word, bool at_end)
{
	int			length;

	if (!at_end)
		return strncmp(key, word->key, word->length) == 0 ? pstrdup(key + word->length) : NULL;
	length = strlen(key);
	if (length < word->length ||
		memcmp(key + length - word->length, word->key, word->length) != 0)
		return NULL;
	return pnstrdup(key, length - word->length);
}

/*
 * A part of an address with the word for an address or without: "Street", "Address
 * Street", "Street (Address)".
 */
static void
look_up_part(Search *search, const char *type, const char *key, bool type_names_field)
{
	ListCell   *lc;

	if (key[0] != '\0')
		add_part(search, type, key, false);
	foreach(lc, search->dictionary->words[WORD_ADDRESS])
	{
		MeaningfulWord *noun = lfirst(lc);

		for (int at_end = 0; at_end < 2; at_end++)
		{
			char	   *rest = search->found ? NULL : without(key, noun, at_end);

			/*
			 * an "Address Company" is the company, an "Adresse entreprise"
			 * the address
			 */
			if (rest != NULL && (rest[0] != '\0' ||
								 !(strcmp(noun->meaning, NO_WHOLE) == 0 ||
								   (type_names_field && strcmp(noun->meaning, HEAD_LAST) == 0))))
				add_part(search, type, rest, true);
		}
	}
}

/*
 * Names put together of words for a type and for a field, or for parts of an address.
 */
void
crmio_search_composed(Search *search, const char *key)
{
	Dictionary *dictionary = search->dictionary;
	bool		one_address = list_length(dictionary->addresses) == 1;
	ListCell   *lc;

	if (one_address)
		look_up_part(search, NULL, key, false);
	foreach(lc, dictionary->words[WORD_TYPE])
	{
		MeaningfulWord *word = lfirst(lc);

		/* a company's phone is no "company phone" of its own */
		if (dictionary->entity != NULL && strcmp(word->meaning, dictionary->entity) == 0)
			continue;
		for (int at_end = 0; at_end < 2 && search->found == NIL; at_end++)
		{
			char	   *rest = without(key, word, at_end);

			if (rest == NULL || rest[0] == '\0')
				continue;
			add_typed(search, crmio_dictionary_find(dictionary, rest), word->meaning, word->key);
			if (search->found == NIL && one_address &&
				crmio_word_meaning(dictionary, WORD_PHONE_TYPE, word->key) == NULL)
				look_up_part(search, word->meaning, rest,
							 at_end && crmio_dictionary_find(dictionary, word->key) != NULL);
		}
	}
}

/*
 * Is it a word that adds nothing?
 */
bool
crmio_is_filler(const Dictionary *dictionary, const char *word)
{
	return crmio_word_meaning(dictionary, WORD_NOISE, word) != NULL ||
		crmio_word_meaning(dictionary, WORD_STOP, word) != NULL;
}

/*
 * What one word is in the name of an address part.
 */
typedef struct PartWords
{
	const char *type;
	const char *part;
	int			number;			/* of the address */
	bool		in_short;		/* a code, not a name */
} PartWords;

/*
 * Takes a word into the reading of a name as part of an address; false if it is none.
 * Of two words for parts ("Country/Region") both are the same part, or the second one
 * is what some countries have in its place.
 */
static bool
read_part_word(const Dictionary *dictionary, const NameTokens *words, int i, PartWords *read)
{
	const char *word = words->words[i];
	const char *type = crmio_word_meaning(dictionary, WORD_TYPE, word);
	const char *part = crmio_word_meaning(dictionary, WORD_PART, word);

	if (crmio_token_is_number(word))
	{
		/* of the address, or of its line */
		if (i > 0 && crmio_word_meaning(dictionary, WORD_ADDRESS, words->words[i - 1]) != NULL)
			read->number = atoi(word);
		else if (read->part != NULL && strcmp(read->part, "street") == 0 && atoi(word) <= 2)
			read->part = atoi(word) == 2 ? "street2" : "street";
		else
			return false;
		return true;
	}
	if (part != NULL)
	{
		if (read->part != NULL && strcmp(read->part, part) != 0 &&
			!(strcmp(read->part, "country") == 0 && strcmp(part, "state") == 0))
			return false;
		read->part = read->part ? read->part : part;
		return true;
	}
	if (type != NULL)
	{
		if ((read->type != NULL && strcmp(read->type, type) != 0) ||
			crmio_word_meaning(dictionary, WORD_PHONE_TYPE, word) != NULL)
			return false;
		read->type = type;
		return true;
	}
	if (crmio_word_meaning(dictionary, WORD_CODE, word) != NULL)
	{
		read->in_short = true;
		return true;
	}
	return crmio_word_meaning(dictionary, WORD_ADDRESS, word) != NULL || crmio_is_filler(dictionary, word);
}

/*
 * Words for a type, an address, and its parts, in any order: "AddressOtherCity",
 * "País o región del trabajo", "Address 1: Street 2", "Province Code".
 */
bool
crmio_search_part_words(Search *search, const NameTokens *words)
{
	Dictionary *dictionary = search->dictionary;
	PartWords	read = {.number = 1};
	Field	   *field;

	if (list_length(dictionary->addresses) != 1)
		return false;
	for (int i = 0; i < words->count; i++)
	{
		if (!read_part_word(dictionary, words, i, &read))
			return false;
	}
	if (read.part == NULL)
		return false;
	read.in_short &= strcmp(read.part, "postal_code") != 0;
	if (read.type != NULL && dictionary->entity != NULL && strcmp(read.type, dictionary->entity) == 0)
		read.type = NULL;
	field = linitial(dictionary->addresses);
	search->number = read.number;
	crmio_search_add(search,
					 crmio_dictionary_target(dictionary,
											 read.type ? psprintf("%s.%s.%s", field->name, read.type, read.part) :
											 psprintf("%s.%s", field->name, read.part)),
					 read.in_short ? CONFIDENCE_MEDIUM : CONFIDENCE_HIGH,
					 read.in_short ? SCORE_CODE : SCORE_BASE,
					 pstrdup(read.in_short ? "part of the address, in short" : "part of the address"));
	search->number = 1;
	return search->found != NIL;
}

/*
 * A word for a type and nothing else, "Work": a phone number, if its values are.
 */
void
crmio_search_type_alone(Search *search, const char *key)
{
	Dictionary *dictionary = search->dictionary;
	const char *type = crmio_word_meaning(dictionary, WORD_TYPE, key);
	ListCell   *lc;

	foreach(lc, type ? list_copy(dictionary->targets) : NIL)
	{
		NameTarget *target = lfirst(lc);
		int			before = list_length(search->found);

		if (target->path->kind != KIND_PHONE || target->path->part != PATH_TYPED ||
			target->path->type != NULL)
			continue;
		crmio_search_add(search, typed_target(search, target->path, type), CONFIDENCE_LOW, SCORE_TYPED,
						 psprintf("\"%s\" for the type", key));
		if (list_length(search->found) > before)
		{
			Candidate  *candidate = llast(search->found);

			candidate->unsure = candidate->proof = true;
		}
	}
}

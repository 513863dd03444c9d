/*
 * suggest_dictionary.c
 *	  All names by which the fields of a module go: their own names and labels, the
 *	  aliases that its registration gives, the shipped aliases, and paths spelled in
 *	  words ("Account Domain"); and the words that mean something by themselves.
 *
 * Names of a type and a field ("Mobile Phone") are not listed but taken apart when they
 * are looked for, in suggest_parts.c.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/varlena.h"

#include "import/suggest.h"

/* How many names a module has, more or less: a hint for the tables. */
#define NAMES_EXPECTED 1024

/* How columns of money in whole cents end. */
#define CENTS_SUFFIX	"_cents"

/*
 * A misspelled word must be this long for one letter to be wrong in it, and this long
 * for two; two letters that changed places do in a shorter one.  Short words are too
 * often other words: a stage is no state.
 */
#define TYPO_LENGTH_1		6
#define TYPO_LENGTH_2		10
#define TYPO_LENGTH_SWAP	4
#define TYPO_LENGTH_BOLD	4	/* if values confirm it */
#define TYPO_DISTANCE_MAX	2

/* An entry of one of the tables; the key is the text, not the pointer. */
typedef struct TextEntry
{
	const char *text;
	void	   *value;
} TextEntry;

/* A known word that others may be misspellings of. */
typedef struct PlainWord
{
	char	   *word;
	uint32		letters;		/* which ones are in it: a bit for each */
} PlainWord;

static const char *const role_names[] = {
	[WORD_ENTITY] = "entity",
	[WORD_ENTITY_TOO] = "entity_too",
	[WORD_TYPE] = "type",
	[WORD_PHONE_TYPE] = "phone_type",
	[WORD_PART] = "part",
	[WORD_ADDRESS] = "address",
	[WORD_NOISE] = "noise",
	[WORD_STOP] = "stop",
	[WORD_ORDINAL] = "ordinal",
	[WORD_KIND] = "kind",
	[WORD_CODE] = "code",
	[WORD_KNOWN] = "known",
	[WORD_BEFORE_NAME] = "before_name",
	[WORD_NOT] = "not",
	[WORD_NOT_FIRST] = "not_first",
	[WORD_NOT_LAST] = "not_last",
	[WORD_HONORIFIC] = "honorific",
};

StaticAssertDecl(lengthof(role_names) == WORD_ROLES, "role_names must follow WordRole");

/*
 * The value of a text; NULL if it is not there.
 */
static void *
table_get(HTAB *table, const char *text)
{
	TextEntry  *entry = hash_search(table, &text, HASH_FIND, NULL);

	return entry ? entry->value : NULL;
}

/*
 * The place for a text's value, NULL at first.
 */
static void **
table_put(HTAB *table, const char *text)
{
	bool		found;
	TextEntry  *entry = hash_search(table, &text, HASH_ENTER, &found);

	if (!found)
		entry->value = NULL;
	return &entry->value;
}

/*
 * Does a path meet one of the module's requirements?
 */
static bool
is_required(const Module *module, const FieldPath *path)
{
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, module->required)
	{
		foreach(name, (List *) lfirst(lc))
		{
			if (crmio_path_meets(path, lfirst(name)))
				return true;
		}
	}
	return false;
}

/*
 * The target of a field path; NULL if the module has no such path.
 */
NameTarget *
crmio_dictionary_target(Dictionary *dictionary, const char *text)
{
	char	   *problem;
	char	   *hint;
	FieldPath  *path = crmio_path_resolve(dictionary->module, text, &problem, &hint);
	NameTarget *target;
	ListCell   *lc;

	if (path == NULL)
		return NULL;
	foreach(lc, dictionary->targets)
	{
		target = lfirst(lc);
		if (strcmp(target->path->text, path->text) == 0)
			return target;
	}
	target = palloc0(sizeof(NameTarget));
	target->path = path;
	target->index = list_length(dictionary->targets);
	target->required = is_required(dictionary->module, path);
	dictionary->targets = lappend(dictionary->targets, target);
	return target;
}

/*
 * Adds an entry to one of the tables, unless the name is there with a better one of
 * the same target.
 */
static void
put_entry(HTAB *table, const char *text, const NameEntry *new)
{
	void	  **list = table_put(table, text);
	NameEntry  *entry;

	for (entry = *list; entry != NULL; entry = entry->next)
	{
		if (entry->target == new->target)
		{
			if (new->tier > entry->tier)
			{
				entry->tier = new->tier;
				entry->weak = new->weak;
				entry->spelled = new->spelled;
			}
			return;
		}
	}
	entry = palloc(sizeof(NameEntry));
	*entry = *new;
	entry->next = *list;
	*list = entry;
}

/*
 * The words of a name are no misspellings, whatever field it is of.
 */
static void
add_known_words(Dictionary *dictionary, const NameTokens *words)
{
	(void) table_put(dictionary->by_word, crmio_tokens_key(words));
	for (int i = 0; i < words->count; i++)
		*table_put(dictionary->by_word, words->words[i]) = words->words[i];
}

/*
 * Adds a name of a field path.  Without a path it is one of another module.
 */
static void
add_name(Dictionary *dictionary, const char *name, NameTarget *target, NameTier tier, bool weak)
{
	NameEntry	entry = {.target = target,.tier = tier,.weak = weak};
	NameTokens	words;

	crmio_name_tokens(name, &words);
	if (words.count == 0)
		return;
	add_known_words(dictionary, &words);
	if (target == NULL)
		return;
	entry.spelled = unconstify(char *, name);
	put_entry(dictionary->by_key, crmio_tokens_key(&words), &entry);
	if (words.count > 1 && tier != TIER_COMPOSED)
		put_entry(dictionary->by_set, crmio_tokens_set(&words), &entry);
}

/*
 * Adds a word with a meaning.
 */
static void
add_word(Dictionary *dictionary, WordRole role, char *key, char *meaning)
{
	MeaningfulWord *new = palloc(sizeof(MeaningfulWord));

	new->key = key;
	new->length = strlen(key);
	new->meaning = meaning;
	dictionary->words[role] = lappend(dictionary->words[role], new);
	*table_put(dictionary->meanings[role], key) = new;
}

/*
 * The last byte of a text that is not empty.
 */
static char
last_byte(const char *text)
{
	return text[strlen(text) - 1];
}

/*
 * Reads the words that have a meaning.
 */
static void
add_words(Dictionary *dictionary, List *rows)
{
	ListCell   *lc;
	ListCell   *word;

	for (int role = 0; role < WORD_ROLES; role++)
		dictionary->meanings[role] = crmio_text_table("crmio words", NAMES_EXPECTED, sizeof(TextEntry));
	foreach(lc, rows)
	{
		NameWords  *row = lfirst(lc);
		int			role = 0;

		while (role < WORD_ROLES && strcmp(role_names[role], row->role) != 0)
			role++;
		if (role == WORD_ROLES)
			elog(ERROR, "unknown role \"%s\" in table %s.name_word", row->role, CRMIO_SCHEMA);
		foreach(word, row->words)
		{
			NameTokens	words;
			char	   *key;

			crmio_name_tokens(lfirst(word), &words);
			if (words.count == 0)
				continue;
			key = crmio_tokens_key(&words);
			add_known_words(dictionary, &words);
			add_word(dictionary, role, key, row->meaning);
			if (role == WORD_PHONE_TYPE)
				add_word(dictionary, WORD_TYPE, key, row->meaning);
			/* in compounds ("Rechnungsort") the last letter is no plural's */
			if (role == WORD_TYPE && words.count == 1 && last_byte(lfirst(word)) == 's')
				add_word(dictionary, role, psprintf("%ss", key), row->meaning);
		}
	}
}

/*
 * The meaning of a word in a role, or NULL.
 */
const char *
crmio_word_meaning(const Dictionary *dictionary, WordRole role, const char *word)
{
	MeaningfulWord *found = table_get(dictionary->meanings[role], word);

	return found ? found->meaning : NULL;
}

/*
 * "Account Domain", and for a module of companies "Organization Domain" too: a
 * reference by the fields that find its records.
 */
static void
add_reference(Dictionary *dictionary, const Field *field, List *words)
{
	NameTarget *bare = crmio_dictionary_target(dictionary, field->name);
	const Module *ref = bare ? bare->path->ref : NULL;
	const char *entity;
	ListCell   *lc;
	ListCell   *word;

	if (ref == NULL)
		return;
	entity = crmio_module_entity(ref, words);
	foreach(lc, list_append_unique_ptr(list_copy(ref->lookup), ref->display))
	{
		Field	   *lookup = lfirst(lc) ? crmio_module_field(ref, lfirst(lc)) : NULL;
		NameTarget *target;

		if (lookup == NULL)
			continue;
		target = crmio_dictionary_target(dictionary, psprintf("%s.%s", field->name, lookup->name));
		add_name(dictionary, psprintf("%s %s", field->name, lookup->name), target, TIER_PATH, false);
		add_name(dictionary, psprintf("%s %s", field->label, lookup->name), target, TIER_PATH, false);
		add_name(dictionary, psprintf("%s %s", field->name, lookup->label), target, TIER_PATH, false);
		foreach(word, dictionary->words[WORD_ENTITY])
		{
			MeaningfulWord *of = lfirst(word);

			if (entity != NULL && strcmp(of->meaning, entity) == 0)
				add_name(dictionary, psprintf("%s %s", of->key, lookup->name), target,
						 TIER_COMPOSED, false);
		}
	}
}

/*
 * A field's own names.  An address is mapped by its parts, other data by its key.
 */
static void
add_field(Dictionary *dictionary, Field *field, List *words)
{
	NameTarget *target;
	bool		reference = field->storage == STORAGE_SCALAR && field->kind == KIND_REFERENCE;
	size_t		length = strlen(field->name);
	ListCell   *lc;

	if (field->storage == STORAGE_CUSTOM)
		return;
	if (field->storage == STORAGE_ADDRESS)
	{
		dictionary->addresses = lappend(dictionary->addresses, field);
		return;
	}
	target = crmio_dictionary_target(dictionary, field->name);
	if (target == NULL)
		return;
	add_name(dictionary, field->name, target, reference ? TIER_BARE : TIER_NAME, false);
	add_name(dictionary, field->label, target, reference ? TIER_BARE : TIER_LABEL, false);
	foreach(lc, field->aliases)
		add_name(dictionary, lfirst(lc), target, TIER_ALIAS, false);
	/* nobody but the table calls it cents */
	if (field->cents && length > strlen(CENTS_SUFFIX) &&
		strcmp(field->name + length - strlen(CENTS_SUFFIX), CENTS_SUFFIX) == 0)
		add_name(dictionary, pnstrdup(field->name, length - strlen(CENTS_SUFFIX)), target,
				 TIER_LABEL, false);
	if (reference)
		add_reference(dictionary, field, words);
}

/*
 * The field that a row of shipped aliases is about: that of its path; or, if the
 * module has no such path, a field whose own name is one of the aliases.  So a column
 * "zip" of someone's own table goes by all the names of a postal code.
 */
static NameTarget *
target_of_aliases(Dictionary *dictionary, const FieldAliases *row)
{
	NameTarget *target = row->applies ? crmio_dictionary_target(dictionary, row->path) : NULL;
	NameTarget *only = NULL;
	ListCell   *lc;

	if (target != NULL || !row->any)
		return target;
	foreach(lc, row->aliases)
	{
		NameTokens	words;
		NameEntry  *entry;

		crmio_name_tokens(lfirst(lc), &words);
		entry = crmio_dictionary_find(dictionary, crmio_tokens_key(&words));
		for (; entry != NULL; entry = entry->next)
		{
			if (entry->tier != TIER_NAME || entry->target == only)
				continue;
			if (only != NULL)
				return NULL;
			only = entry->target;
		}
	}
	return only;
}

/*
 * The shipped aliases.
 */
static void
add_shipped_aliases(Dictionary *dictionary, List *words)
{
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, crmio_field_aliases(dictionary->module, words))
	{
		FieldAliases *row = lfirst(lc);
		NameTarget *target = target_of_aliases(dictionary, row);
		NameTier	tier = row->any ? TIER_ALIAS_ANY : TIER_ALIAS_MODULE;

		foreach(name, row->aliases)
			add_name(dictionary, lfirst(name), target, tier, false);
		foreach(name, row->weak)
			add_name(dictionary, lfirst(name), target, tier, true);
	}
}

/*
 * In a module without addresses a field that is called as a part of one ("zip") goes by
 * all names of that part.
 */
static void
add_parts_as_fields(Dictionary *dictionary)
{
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, dictionary->words[WORD_PART])
	{
		MeaningfulWord *word = lfirst(lc);
		NameEntry  *entry = crmio_dictionary_find(dictionary, word->key);

		if (entry == NULL || entry->tier != TIER_NAME)
			continue;
		foreach(other, dictionary->words[WORD_PART])
		{
			MeaningfulWord *synonym = lfirst(other);
			NameEntry	new = {.target = entry->target,.tier = TIER_ALIAS_ANY,
			.spelled = synonym->key};

			if (strcmp(synonym->meaning, word->meaning) == 0)
				put_entry(dictionary->by_key, synonym->key, &new);
		}
	}
}

/*
 * The dictionary of a module, in CurrentMemoryContext.
 */
Dictionary *
crmio_dictionary_create(const Module *module)
{
	Dictionary *dictionary = palloc0(sizeof(Dictionary));
	List	   *words = crmio_name_words();
	ListCell   *lc;

	dictionary->module = module;
	dictionary->by_key = crmio_text_table("crmio names", NAMES_EXPECTED, sizeof(TextEntry));
	dictionary->by_set = crmio_text_table("crmio names as sets", NAMES_EXPECTED, sizeof(TextEntry));
	dictionary->by_word = crmio_text_table("crmio words of names", NAMES_EXPECTED, sizeof(TextEntry));
	add_words(dictionary, words);
	dictionary->entity = crmio_module_entity(module, words);
	foreach(lc, module->fields)
		add_field(dictionary, lfirst(lc), words);
	if (crmio_module_splits_name(module, NULL, NULL))
		add_name(dictionary, "name", crmio_dictionary_target(dictionary, "name"), TIER_NAME, false);
	foreach(lc, module->aliases)
	{
		PathAlias  *alias = lfirst(lc);

		add_name(dictionary, alias->name, crmio_dictionary_target(dictionary, alias->path),
				 TIER_ALIAS, false);
	}
	add_shipped_aliases(dictionary, words);
	if (dictionary->addresses == NIL)
		add_parts_as_fields(dictionary);
	return dictionary;
}

/*
 * The names with these words, joined.
 */
NameEntry  *
crmio_dictionary_find(const Dictionary *dictionary, const char *key)
{
	return table_get(dictionary->by_key, key);
}

/*
 * The names with these words in any order.
 */
NameEntry  *
crmio_dictionary_find_set(const Dictionary *dictionary, const char *set)
{
	return table_get(dictionary->by_set, set);
}

/*
 * Does a word stand in any name?
 */
bool
crmio_dictionary_has_word(const Dictionary *dictionary, const char *word)
{
	return hash_search(dictionary->by_word, &word, HASH_FIND, NULL) != NULL;
}

/*
 * Is it a word of some name by itself, and not several joined?
 */
bool
crmio_dictionary_has_single(const Dictionary *dictionary, const char *word)
{
	return table_get(dictionary->by_word, word) != NULL;
}

/*
 * Are two words of one length the same but for two neighbours that changed places?
 */
static bool
is_swapped(const char *a, const char *b)
{
	while (*a && *a == *b)
	{
		a++;
		b++;
	}
	return a[0] && a[1] && a[0] == b[1] && a[1] == b[0] && strcmp(a + 2, b + 2) == 0;
}

/*
 * Which letters a word has, a bit for each.
 */
static uint32
letters_of(const char *word)
{
	uint32		letters = 0;

	for (; *word; word++)
		letters |= (uint32) 1 << (*word & 31);
	return letters;
}

/*
 * How far a word is from one that it may be a misspelling of: 1 or 2; 0 if it is not.
 */
static int
misspelled_by(const char *word, int length, uint32 letters, const PlainWord *plain,
			  int plain_length, int limit)
{
	int			distance;

	if (length == plain_length && length >= TYPO_LENGTH_SWAP && letters == plain->letters &&
		is_swapped(word, plain->word))
		return 1;

	/*
	 * Each change of a letter takes one away and brings one at most: most
	 * words go here.
	 */
	if (limit == 0 || abs(length - plain_length) > limit ||
		pg_popcount32(letters ^ plain->letters) > 2 * limit)
		return 0;
	distance = varstr_levenshtein_less_equal(word, length, plain->word, plain_length,
											 1, 1, 1, limit, true);
	return distance <= limit ? distance : 0;
}

/*
 * Is this a word of ASCII letters only?  Others are not taken for misspellings:
 * numbers make another name, and the server's Levenshtein distance wants the
 * database's encoding.
 */
static bool
is_plain_word(const char *word)
{
	return word[strspn(word, "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

/*
 * Sorts the known words that misspellings are compared with by their length.
 */
static void
sort_plain_words(Dictionary *dictionary)
{
	HASH_SEQ_STATUS status;
	TextEntry  *entry;

	hash_seq_init(&status, dictionary->by_word);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		size_t		length = strlen(entry->text);
		PlainWord  *plain;

		if (length < TYPO_LENGTH_BOLD || length > MAX_PLAIN_WORD || !is_plain_word(entry->text))
			continue;
		plain = palloc(sizeof(PlainWord));
		plain->word = unconstify(char *, entry->text);
		plain->letters = letters_of(plain->word);
		dictionary->plain_words[length] = lappend(dictionary->plain_words[length], plain);
	}
	dictionary->plain_words_sorted = true;
}

/*
 * The known words, a List of char *, that an unknown one most likely is a misspelling
 * of.  Boldly: also a short word.
 */
List *
crmio_dictionary_correct(Dictionary *dictionary, const char *word, bool boldly)
{
	int			shortest = boldly ? TYPO_LENGTH_BOLD : TYPO_LENGTH_1;
	int			length = strlen(word);
	List	   *best = NIL;
	int			best_distance = TYPO_DISTANCE_MAX;
	uint32		letters;
	ListCell   *lc;

	if (length < TYPO_LENGTH_BOLD || length > MAX_PLAIN_WORD || !is_plain_word(word) ||
		(boldly && length >= TYPO_LENGTH_1))
		return NIL;
	if (!dictionary->plain_words_sorted)
		sort_plain_words(dictionary);
	letters = letters_of(word);
	for (int l = Max(length - TYPO_DISTANCE_MAX, TYPO_LENGTH_BOLD);
		 l <= Min(length + TYPO_DISTANCE_MAX, MAX_PLAIN_WORD); l++)
	{
		int			longer = Max(length, l);
		int			limit = longer >= TYPO_LENGTH_2 ? 2 : longer >= shortest ? 1 : 0;

		foreach(lc, dictionary->plain_words[l])
		{
			PlainWord  *plain = lfirst(lc);
			int			distance = misspelled_by(word, length, letters, plain, l, limit);

			if (distance == 0 || distance > best_distance)
				continue;
			if (distance < best_distance)
				best = NIL;
			best = lappend(best, plain->word);
			best_distance = distance;
		}
	}
	return best;
}

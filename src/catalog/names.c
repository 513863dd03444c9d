/*
 * names.c
 *	  The vocabulary by which file columns find fields, read from the catalog:
 *	  other names of fields (crmio.field_alias), and words with a meaning of their
 *	  own in names (crmio.name_word).
 *
 * The rows are shipped with the extension; a registration's own aliases lie in its
 * options.  What is made of all that: import/suggest.h.
 */
#include "catalog/names.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "catalog/own_table.h"

/* Columns of crmio.field_alias. */
#define ATTNUM_ALIAS_MODULE		1
#define ATTNUM_ALIAS_FIELD		2
#define ATTNUM_ALIAS_ALIASES	3
#define ATTNUM_ALIAS_WEAK		4

/* Columns of crmio.name_word. */
#define ATTNUM_WORD_ROLE		1
#define ATTNUM_WORD_MEANING		2
#define ATTNUM_WORD_WORDS		3

/*
 * A text[] as a List of char *.  No column of these tables is ever NULL.
 */
static List *
strings_of(TupleTableSlot *slot, int attnum)
{
	bool		isnull;
	ArrayType  *array = DatumGetArrayTypeP(slot_getattr(slot, attnum, &isnull));
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	List	   *strings = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			strings = lappend(strings, TextDatumGetCString(elements[i]));
	}
	return strings;
}

/*
 * A text column.
 */
static char *
text_of(TupleTableSlot *slot, int attnum)
{
	bool		isnull;

	return TextDatumGetCString(slot_getattr(slot, attnum, &isnull));
}

/*
 * Copies a row of crmio.field_alias out of the scan.
 */
static void *
alias_of_slot(TupleTableSlot *slot)
{
	FieldAliases *row = palloc(sizeof(FieldAliases));

	row->module = text_of(slot, ATTNUM_ALIAS_MODULE);
	row->path = text_of(slot, ATTNUM_ALIAS_FIELD);
	row->aliases = strings_of(slot, ATTNUM_ALIAS_ALIASES);
	row->weak = strings_of(slot, ATTNUM_ALIAS_WEAK);
	return row;
}

/*
 * Copies a row of crmio.name_word out of the scan.
 */
static void *
word_of_slot(TupleTableSlot *slot)
{
	NameWords  *row = palloc(sizeof(NameWords));

	row->role = text_of(slot, ATTNUM_WORD_ROLE);
	row->meaning = text_of(slot, ATTNUM_WORD_MEANING);
	row->words = strings_of(slot, ATTNUM_WORD_WORDS);
	return row;
}

/*
 * Orders rows of aliases by module and path.
 */
static int
compare_aliases(const ListCell *a, const ListCell *b)
{
	const FieldAliases *left = lfirst(a);
	const FieldAliases *right = lfirst(b);
	int			result = strcmp(left->module, right->module);

	return result != 0 ? result : strcmp(left->path, right->path);
}

/*
 * Orders rows of words by role and meaning.
 */
static int
compare_words(const ListCell *a, const ListCell *b)
{
	const NameWords *left = lfirst(a);
	const NameWords *right = lfirst(b);
	int			result = strcmp(left->role, right->role);

	return result != 0 ? result : strcmp(left->meaning, right->meaning);
}

/*
 * The words with a meaning, a List of NameWords *.
 */
List *
crmio_name_words(void)
{
	List	   *rows = crmio_own_table("name_word", word_of_slot);

	list_sort(rows, compare_words);
	return rows;
}

/*
 * What the last word of a module's name says of its records.
 */
static const char *
entity_of_name(const char *module, List *words)
{
	NameTokens	name;
	NameTokens	entity;
	ListCell   *lc;
	ListCell   *word;

	crmio_name_tokens(module, &name);
	foreach(lc, words)
	{
		NameWords  *row = lfirst(lc);

		if (name.count == 0 || strcmp(row->role, "entity") != 0)
			continue;
		foreach(word, row->words)
		{
			crmio_name_tokens(lfirst(word), &entity);
			if (entity.count == 1 && strcmp(entity.words[0], name.words[name.count - 1]) == 0)
				return row->meaning;
		}
	}
	return NULL;
}

/*
 * What the records of a module are: what its name says or else, by its fields, people
 * or companies.  NULL if neither says it.
 */
const char *
crmio_module_entity(const Module *module, List *words)
{
	const char *entity = entity_of_name(module->name, words);

	if (entity != NULL)
		return entity;
	if (crmio_module_field(module, "email") != NULL &&
		(crmio_module_field(module, "name") != NULL ||
		 crmio_module_field(module, "first_name") != NULL ||
		 crmio_module_field(module, "last_name") != NULL))
		return "person";
	if (crmio_module_field(module, "name") != NULL && crmio_module_field(module, "domain") != NULL)
		return "company";
	return NULL;
}

/*
 * The shipped aliases, a List of FieldAliases *.  Those that apply to the module are its
 * own, those for its kind of records, and those for any; their paths may be none of the
 * module's.
 */
List *
crmio_field_aliases(const Module *module, List *words)
{
	const char *entity = crmio_module_entity(module, words);
	List	   *rows = crmio_own_table("field_alias", alias_of_slot);
	ListCell   *lc;

	foreach(lc, rows)
	{
		FieldAliases *row = lfirst(lc);

		row->any = strcmp(row->module, "*") == 0;
		row->applies = row->any || strcmp(row->module, module->name) == 0 ||
			(row->module[0] == '*' && entity != NULL && strcmp(row->module + 1, entity) == 0);
	}
	list_sort(rows, compare_aliases);
	return rows;
}

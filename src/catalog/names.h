/*
 * names.h
 *	  The vocabulary by which file columns find fields, as the catalog holds it; and
 *	  names as words.
 */
#ifndef CRMIO_NAMES_H
#define CRMIO_NAMES_H

#include "catalog/module.h"

/* A name of more words than this is a sentence, not a name. */
#define MAX_NAME_WORDS	16

/* A name as words; none of them: the name has nothing to compare. */
typedef struct NameTokens
{
	int			count;
	char	   *words[MAX_NAME_WORDS];
} NameTokens;

/* A row of crmio.field_alias. */
typedef struct FieldAliases
{
	char	   *module;			/* "*": any; "*person": any of people; or one
								 * module's name */
	char	   *path;			/* field path */
	List	   *aliases;		/* of char * */
	List	   *weak;			/* of char *: names that often mean the field,
								 * not always */
	bool		any;			/* module is "*" */
	bool		applies;		/* it is about the module at hand */
} FieldAliases;

/*
 * A row of crmio.name_word.  Roles:
 *
 *	entity		what a record is: "organization" is a company
 *	entity_too	what else it may be: a customer is a person, or a company
 *	type		which of several values a name means: "cell" is the type mobile
 *	phone_type	likewise, of phones only
 *	part		part of an address: "zip" is the part postal_code
 *	address		words for an address as a whole
 *	noise		words that add nothing: "primary", "value"
 *	stop		articles and prepositions
 *	ordinal		"first", "third": the meaning is the number
 *	kind		words for what a field holds, the meaning is its kind: "date" in "Date of Renewal"
 *	code		words for a part of an address in short: "State Code"
 *	before_name	names that come before the own name of a field, the meaning is its path: beside a
 *				ticket's "Subject" a "Title" is someone's job
 *	known		words of names that are no field's, and no misspelling of one either
 *	not			makes of any name something that no field is meant by; the meaning says what
 *	not_first, not_last		likewise, as the first or last word
 *	honorific	values by which a title is one of address, not of a job
 */
typedef struct NameWords
{
	char	   *role;
	char	   *meaning;
	List	   *words;			/* of char *; may be phrases */
} NameWords;

/* names.c */
extern List *crmio_name_words(void);
extern List *crmio_field_aliases(const Module *module, List *words);
extern const char *crmio_module_entity(const Module *module, List *words);

/* name_tokens.c */
extern void crmio_name_tokens(const char *name, NameTokens *tokens);
extern char *crmio_tokens_key(const NameTokens *tokens);
extern char *crmio_tokens_set(const NameTokens *tokens);
extern void crmio_tokens_part(const NameTokens *tokens, int from, int to, NameTokens *part);
extern bool crmio_token_is_number(const char *word);

#endif							/* CRMIO_NAMES_H */

/*
 * suggest_search.h
 *	  Inside the search for what a column's name means: suggest_names.c takes the steps,
 *	  suggest_parts.c knows names that are put together, suggest_runs.c those whose words
 *	  run together.
 */
#ifndef CRMIO_SUGGEST_SEARCH_H
#define CRMIO_SUGGEST_SEARCH_H

#include "import/suggest.h"

/* A name that is put together: less than any that is listed. */
#define SCORE_BASE			90

/* What is found of one name. */
typedef struct Search
{
	Dictionary *dictionary;
	int			column;
	Confidence	limit;			/* finds of this step are at most this */
	int			penalty;
	int			number;			/* "Phone 2": 2; else 1 */
	bool		ordinal;		/* "First Phone": there must be several */
	List	   *found;			/* of Candidate * */
	char	   *why_not;
} Search;

/*
 * The meaning of words for an address in whose language the last word is what a name is
 * about: an "Address Phone" is a phone.
 */
#define HEAD_LAST "head last"

/* suggest_parts.c */
extern void crmio_search_add(Search *search, NameTarget *target, Confidence confidence,
							 int score, char *reason);
extern void crmio_search_composed(Search *search, const char *key);
extern void crmio_search_type_alone(Search *search, const char *key);
extern bool crmio_search_part_words(Search *search, const NameTokens *words);
extern bool crmio_is_filler(const Dictionary *dictionary, const char *word);

/* suggest_runs.c */
extern bool crmio_split_runs(const Dictionary *dictionary, const NameTokens *words, NameTokens *split);

#endif							/* CRMIO_SUGGEST_SEARCH_H */

/*
 * suggest.h
 *	  Suggested mappings: which column of a file most likely is which field.
 *
 *	  names of fields, aliases, words (catalog) -> dictionary of a module's names
 *	  file -> samples -> what the values look like
 *	  column's name + dictionary + values -> candidates -> one assignment for all
 *
 *	  suggest_dictionary.c	all names by which the fields of a module go
 *	  suggest_names.c		what a column's name may mean
 *	  suggest_parts.c		names put together of a type and a field, or parts of an address
 *	  suggest_runs.c		names whose words run together
 *	  suggest_values.c		samples, and what they say
 *	  suggest_assign.c		who gets which field
 *	  suggest.c				crm_suggest_mapping, crm_mapping, the default mapping of an import
 */
#ifndef CRMIO_SUGGEST_H
#define CRMIO_SUGGEST_H

#include "catalog/module.h"
#include "catalog/names.h"
#include "import/values.h"
#include "input/reader.h"
#include "utils/hsearch.h"

/* So many values of a column are judged ... */
#define JUDGED_VALUES	50

/* ... and so many different ones are shown. */
#define SHOWN_VALUES	5

/* So many rows are looked at for them, or so many bytes: the rest would say no more. */
#define SAMPLED_ROWS	1000
#define SAMPLED_BYTES	(1024 * 1024)

/* A field path that columns may be mapped to. */
typedef struct NameTarget
{
	FieldPath  *path;
	int			index;			/* in the order in which they were found */
	bool		required;		/* the module asks for it, or for one of
								 * several */
} NameTarget;

/* How a name came to stand for a field: the more direct, the higher. */
typedef enum NameTier
{
	TIER_PART,					/* part of the module's only address */
	TIER_COMPOSED,				/* words for a record and for a field */
	TIER_BARE,					/* a reference, by its own name alone */
	TIER_ALIAS_ANY,				/* shipped, for any module */
	TIER_ALIAS_MODULE,			/* shipped, for this module */
	TIER_PATH,					/* a path of the field, spelled in words */
	TIER_ALIAS,					/* registered */
	TIER_LABEL,
	TIER_NAME
} NameTier;

/* One name of a field path. */
typedef struct NameEntry
{
	struct NameEntry *next;		/* with the same words */
	NameTarget *target;
	NameTier	tier;
	bool		weak;			/* often means the field, not always */
	char	   *spelled;		/* for people */
} NameEntry;

/* What a word by itself says of a name. */
typedef enum WordRole
{
	WORD_ENTITY,
	WORD_ENTITY_TOO,
	WORD_TYPE,
	WORD_PHONE_TYPE,
	WORD_PART,
	WORD_ADDRESS,
	WORD_NOISE,
	WORD_STOP,
	WORD_ORDINAL,
	WORD_KIND,
	WORD_CODE,
	WORD_KNOWN,
	WORD_BEFORE_NAME,
	WORD_NOT,
	WORD_NOT_FIRST,
	WORD_NOT_LAST,
	WORD_HONORIFIC,
	WORD_ROLES
} WordRole;

/* A word, or words joined. */
typedef struct MeaningfulWord
{
	char	   *key;
	int			length;
	char	   *meaning;
} MeaningfulWord;

/* Longer words are not taken for misspellings. */
#define MAX_PLAIN_WORD	60

typedef struct Dictionary
{
	const Module *module;
	HTAB	   *by_key;			/* words joined -> NameEntry list */
	HTAB	   *by_set;			/* words in alphabetical order -> NameEntry
								 * list */
	HTAB	   *by_word;		/* all words that stand in some name, and names
								 * as one; the value of the former is not
								 * NULL */
	bool		plain_words_sorted;
	List	   *plain_words[MAX_PLAIN_WORD + 1];	/* of those that may be
													 * misspelled, by length */
	List	   *words[WORD_ROLES];	/* of MeaningfulWord * */
	HTAB	   *meanings[WORD_ROLES];	/* the same, by key */
	List	   *targets;		/* of NameTarget * */
	List	   *addresses;		/* of Field *: the module's address fields */
	const char *entity;			/* what the module's records are, or NULL */
} Dictionary;

typedef enum Confidence
{
	CONFIDENCE_NONE,
	CONFIDENCE_LOW,
	CONFIDENCE_MEDIUM,
	CONFIDENCE_HIGH
} Confidence;

/* A field that a column may be. */
typedef struct Candidate
{
	int			column;
	NameTarget *target;
	Confidence	confidence;
	int			score;			/* orders candidates of one confidence */
	bool		unsure;			/* values that fit make it medium */
	bool		proof;			/* without values that fit it is none */
	bool		weak;			/* by a name that often means the field, not
								 * always */
	bool		full_name;		/* surely of first and last name, not of one
								 * of them */
	bool		loose;			/* values that contradict it refute it */
	bool		own_name;		/* by a field's own name, label or registered
								 * alias */
	char	   *reason;
} Candidate;

/* What is known of a column's values. */
typedef struct ColumnSamples
{
	List	   *shown;			/* of char *: different values */
	int			nvalues;
	char	   *values[JUDGED_VALUES];
	int			fits[KIND_OTHER + 1];	/* how many are of a kind; -1: not
										 * counted yet */
} ColumnSamples;

/* What is suggested for a column. */
typedef struct Suggestion
{
	FieldPath  *path;			/* NULL: none */
	Confidence	confidence;
	char	   *reason;
	ColumnSamples *samples;
} Suggestion;

typedef struct Suggestions
{
	int			ncolumns;
	Suggestion *columns;
	char	   *notice;			/* what is odd about the file, or NULL */
	char	   *hint;
} Suggestions;

/* suggest_dictionary.c */
extern Dictionary *crmio_dictionary_create(const Module *module);
extern NameEntry *crmio_dictionary_find(const Dictionary *dictionary, const char *key);
extern NameEntry *crmio_dictionary_find_set(const Dictionary *dictionary, const char *set);
extern bool crmio_dictionary_has_word(const Dictionary *dictionary, const char *word);
extern bool crmio_dictionary_has_single(const Dictionary *dictionary, const char *word);
extern List *crmio_dictionary_correct(Dictionary *dictionary, const char *word, bool boldly);
extern const char *crmio_word_meaning(const Dictionary *dictionary, WordRole role, const char *word);
extern NameTarget *crmio_dictionary_target(Dictionary *dictionary, const char *path);

/* suggest_names.c */
extern List *crmio_candidates_by_name(Dictionary *dictionary, int column, const char *name,
									  bool repeated, char **why_not);

/* suggest_values.c */
extern ColumnSamples *crmio_samples_read(Reader *reader);
extern void crmio_samples_add(ColumnSamples *samples, char *value);
extern void crmio_candidate_judge(const Dictionary *dictionary, Candidate *candidate,
								  ColumnSamples *samples);
extern List *crmio_candidates_by_value(Dictionary *dictionary, int column,
									   ColumnSamples *samples);
extern bool crmio_kind_has_shape(FieldKind kind);
extern bool crmio_samples_have_blanks(const ColumnSamples *samples);
extern bool crmio_header_is_data(const Reader *reader);

/* suggest_assign.c */
extern void crmio_assign(Dictionary *dictionary, const Reader *reader, List *candidates,
						 const List *taken, Suggestions *suggestions);

/* suggest.c */
extern Suggestions *crmio_suggest(const Module *module, Reader *reader,
								  const ReaderOptions *options, const List *taken);

#endif							/* CRMIO_SUGGEST_H */

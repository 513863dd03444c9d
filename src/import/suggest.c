/*
 * suggest.c
 *	  Suggested mappings, for people (crm_suggest_mapping), for programs (crm_mapping),
 *	  and for an import that is given no columns (crmio_suggest).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "import/suggest.h"

PG_FUNCTION_INFO_V1(crm_suggest_mapping);
PG_FUNCTION_INFO_V1(crm_mapping);

/* Columns of the result. */
#define SUGGEST_COLUMNS 6

/*
 * The name that the file gives a column, NULL if it gives none.  *repeated: it is that
 * of an earlier column too.
 */
static const char *
given_name(const Reader *reader, int column, bool *repeated)
{
	char	   *name;

	*repeated = false;
	if (reader->raw_header == NULL)
		return NULL;
	name = crmio_trim(pstrdup(reader->raw_header[column]));
	if (*name == '\0')
		return NULL;
	*repeated = strcmp(name, reader->column_names[column]) != 0;
	return reader->column_names[column];
}

/*
 * The candidates of a column by its name, judged by its values.
 */
static List *
named_candidates(Dictionary *dictionary, const Reader *reader, int column,
				 ColumnSamples *samples, char **why_not)
{
	bool		repeated;
	const char *name = given_name(reader, column, &repeated);
	List	   *candidates;
	ListCell   *lc;

	*why_not = NULL;
	if (column == reader->error_reason_column)
	{
		*why_not = "not imported: the reasons that crm_error_csv wrote";
		return NIL;
	}
	if (name == NULL)
		return NIL;
	candidates = crmio_candidates_by_name(dictionary, column, name, repeated, why_not);
	foreach(lc, candidates)
		crmio_candidate_judge(dictionary, lfirst(lc), samples);
	return candidates;
}

/*
 * Is there a candidate that an import would take without being told to?
 */
static bool
have_probable(const List *candidates)
{
	const ListCell *lc;

	foreach(lc, candidates)
	{
		if (((Candidate *) lfirst(lc))->confidence >= CONFIDENCE_MEDIUM)
			return true;
	}
	return false;
}

/*
 * Have all columns one name?
 */
static bool
all_names_equal(const Reader *reader)
{
	if (reader->raw_header == NULL || reader->ncolumns < 2)
		return false;
	for (int i = 1; i < reader->ncolumns; i++)
	{
		if (strcmp(reader->raw_header[i], reader->raw_header[0]) != 0)
			return false;
	}
	return true;
}

/*
 * What people should know of the file before they trust a suggestion.
 */
static void
notice_oddities(Suggestions *suggestions, const Reader *reader, bool header_is_data)
{
	bool		rows = false;

	for (int i = 0; i < reader->ncolumns && !rows; i++)
		rows = suggestions->columns[i].samples->nvalues > 0;
	if (header_is_data)
	{
		suggestions->notice = psprintf("line " INT64_FORMAT " of \"%s\" is taken for the header, but looks like a row of data",
									   reader->header_line, crmio_clip(reader->source->name));
		suggestions->hint = "If the file has no header, set \"header_row\" to 0 and map its columns as \"#1\", \"#2\" and so on; if another line holds the names, set it to that.";
	}
	else if (all_names_equal(reader))
	{
		suggestions->notice = psprintf("all %d columns of \"%s\" have the same name",
									   reader->ncolumns, crmio_clip(reader->source->name));
		suggestions->hint = "Map columns by their position, as \"#1\", \"#2\" and so on; if another line holds the names, set \"header_row\" to it.";
	}
	else if (!rows)
	{
		suggestions->notice = psprintf("\"%s\" has no rows below its header",
									   crmio_clip(reader->source->name));
		suggestions->hint = "The suggestions come from the names alone.";
	}
}

/*
 * Suggests a field for each column.  `taken`: field paths, a List of char *, that are
 * filled otherwise.  The reader stands at the first row before and afterwards.  All
 * lies in CurrentMemoryContext, which is best a short-lived one.
 */
Suggestions *
crmio_suggest(const Module *module, Reader *reader, const ReaderOptions *options,
			  const List *taken)
{
	Dictionary *dictionary = crmio_dictionary_create(module);
	ColumnSamples *samples = crmio_samples_read(reader);
	Suggestions *suggestions = palloc0(sizeof(Suggestions));
	List	  **by_name = palloc0(Max(reader->ncolumns, 1) * sizeof(List *));
	char	  **why_not = palloc0(Max(reader->ncolumns, 1) * sizeof(char *));
	List	   *candidates = NIL;
	bool		named = false;
	bool		header_is_data;

	suggestions->ncolumns = reader->ncolumns;
	suggestions->columns = palloc0(Max(reader->ncolumns, 1) * sizeof(Suggestion));
	for (int i = 0; i < reader->ncolumns; i++)
	{
		CHECK_FOR_INTERRUPTS();
		by_name[i] = named_candidates(dictionary, reader, i, &samples[i], &why_not[i]);
		named |= have_probable(by_name[i]);
	}
	header_is_data = !named && options->header_row < 0 && crmio_header_is_data(reader);
	for (int i = 0; i < reader->ncolumns; i++)
	{
		/* numbers in its place may be names all the same */
		if (header_is_data && strspn(reader->raw_header[i], " 0123456789") != strlen(reader->raw_header[i]))
			crmio_samples_add(&samples[i], reader->raw_header[i]);
		candidates = list_concat(candidates, by_name[i]);
		if (!have_probable(by_name[i]) && why_not[i] == NULL)
			candidates = list_concat(candidates,
									 crmio_candidates_by_value(dictionary, i, &samples[i]));
		suggestions->columns[i].samples = &samples[i];
	}
	crmio_assign(dictionary, reader, candidates, taken, suggestions);
	for (int i = 0; i < reader->ncolumns; i++)
	{
		bool		repeated;

		if (suggestions->columns[i].reason == NULL)
			suggestions->columns[i].reason = why_not[i] ? why_not[i] :
				given_name(reader, i, &repeated) == NULL ? "the column has no name" :
				"no field goes by such a name";
	}
	notice_oddities(suggestions, reader, header_is_data);
	return suggestions;
}

/*
 * The word for a confidence.
 */
static const char *
confidence_name(Confidence confidence)
{
	static const char *const names[] = {"none", "low", "medium", "high"};

	return names[confidence];
}

/*
 * What both functions begin with: opens the file, and suggests.
 */
static Suggestions *
suggest_for_call(FunctionCallInfo fcinfo, Reader **reader)
{
	Module	   *module;
	ReaderOptions options;
	Suggestions *suggestions;

	crmio_reader_options_read(PG_GETARG_JSONB_P(2), &options);
	module = crmio_module_load(text_to_cstring(PG_GETARG_TEXT_PP(1)), false);
	*reader = crmio_reader_open(crmio_source_open(text_to_cstring(PG_GETARG_TEXT_PP(0))),
								&options);
	suggestions = crmio_suggest(module, *reader, &options, NIL);
	if (suggestions->notice != NULL)
		ereport(NOTICE,
				(errmsg("%s", suggestions->notice),
				 errhint("%s", suggestions->hint)));
	return suggestions;
}

/*
 * crm_suggest_mapping(file text, module text, options jsonb) RETURNS SETOF record
 *		For each column of the file the field that it most likely is.
 */
Datum
crm_suggest_mapping(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	MemoryContext caller;
	Suggestions *suggestions;
	Reader	   *reader;

	InitMaterializedSRF(fcinfo, 0);

	/* a context of its own, whose end closes the file */
	context = AllocSetContextCreate(CurrentMemoryContext, "crm_suggest_mapping",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	suggestions = suggest_for_call(fcinfo, &reader);
	for (int i = 0; i < suggestions->ncolumns; i++)
	{
		Suggestion *suggestion = &suggestions->columns[i];
		Datum		values[SUGGEST_COLUMNS] = {0};
		bool		nulls[SUGGEST_COLUMNS] = {false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = CStringGetTextDatum(reader->column_names[i]);
		nulls[2] = nulls[3] = suggestion->path == NULL;
		if (suggestion->path != NULL)
		{
			values[2] = CStringGetTextDatum(suggestion->path->text);
			values[3] = CStringGetTextDatum(confidence_name(suggestion->confidence));
		}
		values[4] = CStringGetTextDatum(suggestion->reason);
		values[5] = crmio_text_array(suggestion->samples->shown);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/*
 * Adds a key with a string, or null, to an object that is being made.
 */
static void
push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
	value.type = text ? jbvString : jbvNull;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = text ? strlen(text) : 0;
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * crm_mapping(file text, module text, options jsonb) RETURNS jsonb
 *		The suggestions that an import takes by itself, as a mapping.
 */
Datum
crm_mapping(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crm_mapping",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Jsonb	   *options = PG_GETARG_JSONB_P(2);
	Reader	   *reader;
	Suggestions *suggestions = suggest_for_call(fcinfo, &reader);
	JsonbParseState *state = NULL;
	JsonbValue	key = {.type = jbvString};
	Jsonb	   *mapping;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "module", text_to_cstring(PG_GETARG_TEXT_PP(1)));
	key.val.string.val = "columns";
	key.val.string.len = strlen("columns");
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < suggestions->ncolumns; i++)
	{
		Suggestion *suggestion = &suggestions->columns[i];

		if (i != reader->error_reason_column)
			push_text(&state, reader->column_names[i],
					  suggestion->confidence >= CONFIDENCE_MEDIUM ? suggestion->path->text : NULL);
	}
	pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	mapping = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));

	MemoryContextSwitchTo(caller);
	mapping = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(options),
												 JsonbPGetDatum(mapping)));
	MemoryContextDelete(context);
	PG_RETURN_JSONB_P(mapping);
}

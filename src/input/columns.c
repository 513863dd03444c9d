/*
 * columns.c
 *	  crm_columns: the columns of a file, with some of their values.
 */
#include "input/reader.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* How many values are shown, and how many rows are looked at for them. */
#define SAMPLES_MAX		5
#define SAMPLE_ROWS		100

PG_FUNCTION_INFO_V1(crm_columns);

/*
 * Reads an options object that says how to read a file, and nothing else.
 */
void
crmio_reader_options_read(Jsonb *jsonb, ReaderOptions *options)
{
	ListCell   *lc;

	crmio_reader_options_init(options);
	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("For example: {\"delimiter\": \";\"}.")));
	foreach(lc, crmio_json_members(&jsonb->root))
	{
		JsonMember *member = lfirst(lc);
		const char *closest;

		if (crmio_reader_option(options, member->key, &member->value))
			continue;
		closest = crmio_closest(member->key,
								list_make4("encoding", "delimiter", "quote", "header_row"));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" is not known", crmio_clip(member->key)),
				 closest ? errhint("Perhaps you meant \"%s\".", closest) :
				 errhint("The options are encoding, delimiter, quote and header_row.")));
	}
}

/*
 * Adds a value to a column's samples, unless it is blank or there already.
 */
static List *
add_sample(List *samples, char *value)
{
	ListCell   *lc;

	if (list_length(samples) >= SAMPLES_MAX)
		return samples;
	value = crmio_trim(value);
	if (*value == '\0')
		return samples;
	foreach(lc, samples)
	{
		if (strcmp(lfirst(lc), value) == 0)
			return samples;
	}
	return lappend(samples, pstrdup(value));
}

/*
 * The samples of all columns, from the first rows.  Error rows give none.
 */
static List **
collect_samples(Reader *reader)
{
	List	  **samples = palloc0(reader->ncolumns * sizeof(List *));
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "crmio row",
													  ALLOCSET_DEFAULT_SIZES);

	for (int n = 0; n < SAMPLE_ROWS; n++)
	{
		MemoryContext caller = MemoryContextSwitchTo(row_context);
		FileRow		row;
		bool		found = reader->next_row(reader, &row);

		MemoryContextSwitchTo(caller);
		if (!found)
			break;
		for (int i = 0; i < reader->ncolumns && row.error_code == NULL; i++)
			samples[i] = add_sample(samples[i], row.fields[i]);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
	return samples;
}

/*
 * crm_columns(file text, options jsonb) RETURNS SETOF record
 *		The columns of a file: position, name, samples.
 */
Datum
crm_columns(PG_FUNCTION_ARGS)
{
	char	   *file = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *jsonb = PG_GETARG_JSONB_P(1);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	MemoryContext caller;
	ReaderOptions options;
	Reader	   *reader;
	List	  **samples;

	InitMaterializedSRF(fcinfo, 0);

	/* a context of its own, whose end closes the file */
	context = AllocSetContextCreate(CurrentMemoryContext, "crm_columns",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	crmio_reader_options_read(jsonb, &options);
	reader = crmio_reader_open(crmio_source_open(file), &options);
	samples = collect_samples(reader);
	for (int i = 0; i < reader->ncolumns; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = CStringGetTextDatum(reader->column_names[i]);
		values[2] = crmio_text_array(samples[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}

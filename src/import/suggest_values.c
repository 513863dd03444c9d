/*
 * suggest_values.c
 *	  The values of a file's first rows, and what they say about its columns: whether
 *	  they fit the field that the name suggests, and what a column holds whose name
 *	  says nothing.
 *
 * What a value of a kind looks like is asked of the readers that an import uses.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "import/kinds.h"
#include "import/suggest.h"

/* From these shares of fitting values on, they are taken to fit, and not to contradict. */
#define SHARE_FITS		0.9
#define SHARE_MIXED		0.5

/* A name is not doubted for fewer wrong values than these. */
#define DOUBT_VALUES	3

/* Scores of columns whose values alone speak: each less than by any name. */
#define SCORE_BY_VALUE	40

/* A phone number has so many digits, at least. */
#define PHONE_DIGITS	7

/*
 * Adds a value: to those that are judged, and to those shown unless it is there.
 */
void
crmio_samples_add(ColumnSamples *samples, char *value)
{
	ListCell   *lc;

	if (samples->nvalues == JUDGED_VALUES)
		return;
	value = crmio_trim(value);
	if (*value == '\0')
		return;
	value = pstrdup(value);
	samples->values[samples->nvalues++] = value;
	if (list_length(samples->shown) == SHOWN_VALUES)
		return;
	foreach(lc, samples->shown)
	{
		if (strcmp(lfirst(lc), value) == 0)
			return;
	}
	samples->shown = lappend(samples->shown, value);
}

/*
 * The samples of all columns, from the first rows, in CurrentMemoryContext.  Error
 * rows give none.  Afterwards the reader stands at the first row again.
 */
ColumnSamples *
crmio_samples_read(Reader *reader)
{
	ColumnSamples *samples = palloc0(Max(reader->ncolumns, 1) * sizeof(ColumnSamples));
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "crmio samples",
													  ALLOCSET_DEFAULT_SIZES);
	bool		unfinished = true;
	size_t		bytes = 0;

	for (int i = 0; i < reader->ncolumns; i++)
		memset(samples[i].fits, -1, sizeof(samples[i].fits));
	for (int n = 0; n < SAMPLED_ROWS && bytes < SAMPLED_BYTES && unfinished; n++)
	{
		MemoryContext caller = MemoryContextSwitchTo(row_context);
		FileRow		row;
		bool		found;

		CHECK_FOR_INTERRUPTS();
		found = reader->next_row(reader, &row);
		MemoryContextSwitchTo(caller);
		if (!found)
			break;
		bytes += row.length;
		unfinished = row.error_code != NULL;
		for (int i = 0; i < reader->ncolumns && row.error_code == NULL; i++)
		{
			crmio_samples_add(&samples[i], row.fields[i]);
			unfinished |= samples[i].nvalues < JUDGED_VALUES;
		}
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
	reader->rewind(reader);
	return samples;
}

/*
 * Can the values of a kind be told from others?
 */
bool
crmio_kind_has_shape(FieldKind kind)
{
	switch (kind)
	{
		case KIND_EMAIL:
		case KIND_DOMAIN:
		case KIND_URL:
		case KIND_PHONE:
		case KIND_DATE:
		case KIND_TIMESTAMP:
		case KIND_MONEY:
		case KIND_NUMBER:
		case KIND_INTEGER:
		case KIND_BOOLEAN:
		case KIND_CHOICE:
			return true;
		case KIND_TEXT:
		case KIND_REFERENCE:
		case KIND_JSON:
		case KIND_TEXT_LIST:
		case KIND_OTHER:
			break;
	}
	return false;
}

/*
 * How many values are of a kind.  Of numbers, also those with a decimal comma.
 */
static int
count_fits(const ColumnSamples *samples, const Field *field, FieldKind kind)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crmio value kinds",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ValueReader point;
	ValueReader comma;
	int			fits = 0;

	crmio_value_reader_init(&point, field, kind, true, '.', DATE_ORDER_UNKNOWN);
	crmio_value_reader_init(&comma, field, kind, true, ',', DATE_ORDER_UNKNOWN);
	for (int i = 0; i < samples->nvalues; i++)
	{
		Datum		value;
		char	   *text = pstrdup(samples->values[i]);

		if (crmio_value_read(&point, text, &value, NULL))
			fits++;
		else if ((kind == KIND_MONEY || kind == KIND_NUMBER) &&
				 crmio_value_read(&comma, pstrdup(samples->values[i]), &value, NULL))
			fits++;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return fits;
}

/* For kinds that ask nothing of their field. */
static const Field any_field = {.typid = TEXTOID,.typmod = -1};

/*
 * The share of values that are of a kind; the count is kept.
 */
static double
share_of_kind(ColumnSamples *samples, FieldKind kind)
{
	if (samples->nvalues == 0)
		return 0;
	if (samples->fits[kind] < 0)
		samples->fits[kind] = count_fits(samples, &any_field, kind);
	return (double) samples->fits[kind] / samples->nvalues;
}

/*
 * The share of values that fit a path; -1 if there are none, or its kind has no shape.
 */
static double
share_of_path(ColumnSamples *samples, const FieldPath *path)
{
	const Field *field = path->part == PATH_REFERENCE ? path->lookup_field : path->field;

	if (samples->nvalues == 0 || !crmio_kind_has_shape(path->kind))
		return -1;
	if (path->kind != KIND_CHOICE)
		return share_of_kind(samples, path->kind);
	return (double) count_fits(samples, field, KIND_CHOICE) / samples->nvalues;
}

/*
 * The share of values that are forms of address, such as "Mr."
 */
static double
share_of_honorifics(const Dictionary *dictionary, const ColumnSamples *samples)
{
	int			count = 0;

	for (int i = 0; i < samples->nvalues; i++)
	{
		NameTokens	words;

		crmio_name_tokens(samples->values[i], &words);
		if (words.count > 0 &&
			crmio_word_meaning(dictionary, WORD_HONORIFIC, crmio_tokens_key(&words)) != NULL)
			count++;
	}
	return samples->nvalues == 0 ? 0 : (double) count / samples->nvalues;
}

/*
 * Does a path take (a part of) a person's name?
 */
static bool
is_person_name(const Dictionary *dictionary, const FieldPath *path)
{
	Field	   *first;
	Field	   *last;

	if (path->part == PATH_NAME)
		return true;
	return path->part == PATH_VALUE &&
		crmio_module_splits_name(dictionary->module, &first, &last) &&
		(path->field == first || path->field == last);
}

/*
 * What values are that no text of a path should be; NULL if nothing is wrong.
 */
static const char *
wrong_text(const Dictionary *dictionary, const Candidate *candidate, ColumnSamples *samples)
{
	const FieldPath *path = candidate->target->path;
	bool		numbers;

	if (path->kind != KIND_TEXT || samples->nvalues == 0)
		return NULL;
	if (is_person_name(dictionary, path) && share_of_kind(samples, KIND_EMAIL) >= SHARE_MIXED)
		return "e-mail addresses";
	numbers = is_person_name(dictionary, path) ||
		(path->part == PATH_ADDRESS && strcmp(path->key, "postal_code") != 0 &&
		 strncmp(path->key, "street", 6) != 0) ||
		path->part == PATH_REFERENCE;
	if (numbers && share_of_kind(samples, KIND_NUMBER) >= SHARE_FITS)
		return "numbers";
	return NULL;
}

/*
 * Lowers the confidence in a name that its values contradict: more or less, by how many
 * they are.  A field's own name is not refuted by them: then the values are wrong, and
 * an import that says so is better than one that leaves them out.
 */
static void
doubt(Candidate *candidate, int wrong, double share, char *reason)
{
	Confidence	floor = candidate->loose ? CONFIDENCE_LOW : CONFIDENCE_MEDIUM;
	Confidence	lowered = share < SHARE_MIXED && wrong >= DOUBT_VALUES ? CONFIDENCE_LOW :
		candidate->confidence - 1;

	candidate->confidence = Min(candidate->confidence, Max(lowered, floor));
	if (candidate->confidence == CONFIDENCE_LOW)
		candidate->score = 0;	/* what the values say counts more */
	candidate->reason = psprintf("%s; but %s", candidate->reason, reason);
}

/*
 * Values that disagree with the name lower the confidence; values that agree make a
 * guess a probability.
 */
void
crmio_candidate_judge(const Dictionary *dictionary, Candidate *candidate, ColumnSamples *samples)
{
	double		share = share_of_path(samples, candidate->target->path);
	const char *wrong = wrong_text(dictionary, candidate, samples);
	int			misfits;

	if (candidate->loose && share_of_honorifics(dictionary, samples) >= SHARE_FITS)
	{
		candidate->confidence = CONFIDENCE_NONE;
		candidate->reason = "not imported: forms of address";
		return;
	}
	if (wrong != NULL)
		doubt(candidate, samples->nvalues, 0, psprintf("its values are %s", wrong));
	if (candidate->proof && share < SHARE_FITS)
	{
		candidate->confidence = CONFIDENCE_NONE;
		candidate->reason = "no field goes by such a name, and its values prove none";
		return;
	}
	if (share < 0)
		return;
	if (share >= SHARE_FITS)
	{
		if (candidate->unsure)
			candidate->confidence = CONFIDENCE_MEDIUM;
		candidate->reason = psprintf("%s; values fit", candidate->reason);
		return;
	}
	misfits = samples->nvalues - (int) (share * samples->nvalues + 0.5);
	doubt(candidate, misfits, share,
		  psprintf("%d of %d values do not fit", misfits, samples->nvalues));
}

/*
 * Are the values phone numbers, and not other things of digits: most have a sign that
 * only phone numbers have, and they are no dates and no numbers.
 */
static bool
are_phones(ColumnSamples *samples)
{
	int			written = 0;

	if (share_of_kind(samples, KIND_PHONE) < SHARE_FITS ||
		share_of_kind(samples, KIND_TIMESTAMP) > 0)
		return false;
	for (int i = 0; i < samples->nvalues; i++)
	{
		const char *text = samples->values[i];

		if (strlen(crmio_phone_digits(text)) >= PHONE_DIGITS &&
			(text[0] == '+' || strpbrk(text, "()/ -") != NULL))
			written++;
	}
	return written >= SHARE_MIXED * samples->nvalues;
}

/*
 * Are the values web addresses, as nothing else is: with http or www.
 */
static bool
are_urls(ColumnSamples *samples)
{
	int			written = 0;

	for (int i = 0; i < samples->nvalues; i++)
	{
		if (pg_strncasecmp(samples->values[i], "http", 4) == 0 ||
			pg_strncasecmp(samples->values[i], "www.", 4) == 0)
			written++;
	}
	return written >= SHARE_FITS * samples->nvalues &&
		share_of_kind(samples, KIND_URL) >= SHARE_FITS;
}

/*
 * Are the values domains: names with dots, and neither addresses nor numbers?
 */
static bool
are_domains(ColumnSamples *samples)
{
	for (int i = 0; i < samples->nvalues; i++)
	{
		const char *text = samples->values[i];
		const char *dot = strrchr(text, '.');

		/* "J. R." has no letters behind its last dot, "J.R." just one */
		if (strpbrk(text, "@/ :") != NULL || dot == NULL || strlen(dot) < 3)
			return false;
	}
	return share_of_kind(samples, KIND_DOMAIN) >= SHARE_FITS &&
		share_of_kind(samples, KIND_NUMBER) == 0 && share_of_kind(samples, KIND_TIMESTAMP) == 0;
}

/*
 * Do the values look like those of a field, by themselves?  Dates and amounts do not:
 * there are too many of them that mean something else.
 */
static bool
speak_for(ColumnSamples *samples, const FieldPath *path)
{
	switch (path->kind)
	{
		case KIND_EMAIL:
			return share_of_kind(samples, KIND_EMAIL) >= SHARE_FITS;
		case KIND_PHONE:
			return are_phones(samples);
		case KIND_URL:
			return are_urls(samples);
		case KIND_DOMAIN:
			return are_domains(samples);
		case KIND_CHOICE:
			return list_length(samples->shown) > 1 && share_of_path(samples, path) >= SHARE_FITS;
		default:
			return false;
	}
}

/*
 * The fields that a column may be by its values alone, a List of Candidate *.
 */
List *
crmio_candidates_by_value(Dictionary *dictionary, int column, ColumnSamples *samples)
{
	List	   *candidates = NIL;
	ListCell   *lc;

	if (samples->nvalues == 0)
		return NIL;
	foreach(lc, dictionary->targets)
	{
		NameTarget *target = lfirst(lc);
		Candidate  *candidate;

		if (target->path->type != NULL || !speak_for(samples, target->path))
			continue;
		candidate = palloc0(sizeof(Candidate));
		candidate->column = column;
		candidate->target = target;
		candidate->confidence = CONFIDENCE_LOW;
		candidate->score = SCORE_BY_VALUE - Min(target->index, SCORE_BY_VALUE) +
			(target->required ? SCORE_BY_VALUE : 0);
		candidate->reason = psprintf("by the values alone, which look like %s",
									 target->path->kind == KIND_CHOICE ? "choices of the field" :
									 crmio_kind_name(target->path->kind));
		candidates = lappend(candidates, candidate);
	}
	return candidates;
}

/*
 * Have most values several words?
 */
bool
crmio_samples_have_blanks(const ColumnSamples *samples)
{
	int			count = 0;

	for (int i = 0; i < samples->nvalues; i++)
		count += strchr(samples->values[i], ' ') != NULL;
	return samples->nvalues > 0 && 2 * count > samples->nvalues;
}

/*
 * Is a name more likely a value?
 */
static bool
name_is_value(char *name, bool *is_number)
{
	ColumnSamples samples = {.nvalues = 1,.values = {name}};

	memset(samples.fits, -1, sizeof(samples.fits));
	*is_number = share_of_kind(&samples, KIND_NUMBER) > 0;
	if (*is_number)
		return false;
	return share_of_kind(&samples, KIND_EMAIL) > 0 || are_urls(&samples) ||
		share_of_kind(&samples, KIND_TIMESTAMP) > 0 || are_phones(&samples);
}

/*
 * Does the line that was taken for the header look like a row of data: has it an
 * e-mail address, a web address, a phone number or a date in it, or only numbers?
 */
bool
crmio_header_is_data(const Reader *reader)
{
	int			numbers = 0;
	int			names = 0;

	if (reader->raw_header == NULL)
		return false;
	for (int i = 0; i < reader->ncolumns; i++)
	{
		char	   *name = crmio_trim(pstrdup(reader->raw_header[i]));
		bool		is_number;

		if (*name == '\0')
			continue;
		if (name_is_value(name, &is_number))
			return true;
		names++;
		numbers += is_number;
	}
	return names > 0 && names == numbers;
}

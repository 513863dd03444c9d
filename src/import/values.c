/*
 * values.c
 *	  From a cell's text to a value: the reader of values, and the kinds that need
 *	  few words: text, booleans, json, lists, and types with their own input.
 *
 *	  text -> check by kind -> value of the column's base type -> domain check
 *
 *	  All that needs the catalog is done once, when a reader is set up.  What a
 *	  text of each other kind may look like: dates.c, numbers.c, internet.c,
 *	  phones.c, choices.c.
 */
#include "crmio.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "import/kinds.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Separates the elements of a text list. */
#define LIST_SEPARATOR	';'

/*
 * Fills in *problem, if there is one to fill in.  Always returns false.
 */
bool
crmio_problem(ValueProblem *problem, const char *code, const char *format,...)
{
	StringInfoData reason;
	int			needed;

	if (problem == NULL)
		return false;
	initStringInfo(&reason);
	do
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(&reason, format, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&reason, needed);
	} while (needed > 0);
	problem->code = code;
	problem->reason = reason.data;
	return false;
}

/*
 * The kind as which a reader reads: the column's type may hold less than the kind
 * that its field is given.
 */
static FieldKind
kind_for_type(FieldKind kind, Oid typid)
{
	if (kind == KIND_TIMESTAMP && typid == DATEOID)
		return KIND_DATE;
	if (kind == KIND_REFERENCE)
		return KIND_OTHER;
	return kind;
}

/*
 * Sets up what the type of the result asks for.
 */
static void
init_type(ValueReader *reader, Oid typid, int32 typmod)
{
	Oid			input_function;

	reader->context = CurrentMemoryContext;
	reader->typid = typid;
	reader->typmod = typmod;
	reader->base_typmod = typmod;
	reader->base_typid = getBaseTypeAndTypmod(typid, &reader->base_typmod);
	reader->check_domain = reader->base_typid != typid && DomainHasConstraints(typid);

	get_typlenbyvalalign(reader->base_typid, &reader->typlen, &reader->typbyval,
						 &reader->typalign);
	getTypeInputInfo(reader->base_typid, &input_function, &reader->ioparam);
	fmgr_info(input_function, &reader->input);
	reader->input_is_soft = crmio_input_never_raises(reader->base_typid, &reader->input);

	/* varchar's input would cut trailing blanks: its length is checked here */
	reader->is_text = reader->input.fn_addr == textin || reader->base_typid == VARCHAROID;
	if ((reader->base_typid == VARCHAROID || reader->base_typid == BPCHAROID) &&
		reader->base_typmod >= (int32) VARHDRSZ)
		reader->max_length = reader->base_typmod - VARHDRSZ;
}

/*
 * Prepares a reader.
 */
void
crmio_value_reader_init(ValueReader *reader, const Field *field, FieldKind kind,
						bool as_text, char decimal, CrmioDateOrder date_order)
{
	Oid			element_typid;

	memset(reader, 0, sizeof(*reader));
	reader->field = field;
	reader->decimal = decimal;
	reader->date_order = date_order;
	if (as_text)
		init_type(reader, TEXTOID, -1);
	else
		init_type(reader, field->typid, field->typmod);
	reader->kind = kind_for_type(kind, reader->base_typid);
	reader->cents = !as_text && kind == KIND_MONEY && field->cents;

	if (kind == KIND_CHOICE)
		reader->choices = crmio_choices_init(field,
											 as_text ? DEFAULT_COLLATION_OID : field->collation);

	element_typid = get_base_element_type(reader->base_typid);
	if (kind == KIND_TEXT_LIST && OidIsValid(element_typid))
	{
		reader->element = palloc0(sizeof(ValueReader));
		reader->element->field = field;
		reader->element->kind = KIND_TEXT;
		reader->element->decimal = decimal;
		reader->element->date_order = date_order;
		init_type(reader->element, element_typid, reader->base_typmod);
	}
}

/*
 * The text has more characters, or bytes, than its column takes.
 */
static bool
too_long(const char *text, int length, const char *unit, int max_length, ValueProblem *problem)
{
	return crmio_problem(problem, "too_long", "\"%s\" has %d %s; the column takes %d",
						 crmio_clip(text), length, unit, max_length);
}

/*
 * Turns a cleaned text into a value of the reader's base type.  Types that would
 * cut a text to fit are checked before.
 */
bool
crmio_value_from_text(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	size_t		length = strlen(text);

	if (reader->max_length > 0 && length > (size_t) reader->max_length)
	{
		int			characters = pg_mbstrlen_with_len(text, length);

		if (characters > reader->max_length)
			return too_long(text, characters, "characters", reader->max_length, problem);
	}
	if (reader->is_text)
	{
		*value = PointerGetDatum(cstring_to_text_with_len(text, length));
		return true;
	}
	if (reader->base_typid == NAMEOID && length >= NAMEDATALEN)
		return too_long(text, length, "bytes", NAMEDATALEN - 1, problem);
	if (reader->base_typid == CHAROID && length > 1)
		return too_long(text, length, "bytes", 1, problem);
	return crmio_soft_input(reader, text, value, problem);
}

/*
 * Reads a boolean.
 */
static bool
read_boolean(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	static const struct
	{
		const char *word;
		bool		truth;
	}			words[] = {
		{"true", true}, {"false", false}, {"yes", true}, {"no", false},
		{"1", true}, {"0", false}, {"y", true}, {"n", false},
		{"t", true}, {"f", false}, {"on", true}, {"off", false}
	};

	for (size_t i = 0; i < lengthof(words); i++)
	{
		bool		truth = words[i].truth;

		if (pg_strcasecmp(text, words[i].word) != 0)
			continue;
		switch (reader->base_typid)
		{
			case BOOLOID:
				*value = BoolGetDatum(truth);
				return true;
			case INT2OID:
			case INT4OID:
			case INT8OID:
			case NUMERICOID:
				return crmio_value_from_text(reader, truth ? "1" : "0", value, problem);
			default:
				return crmio_value_from_text(reader, truth ? "true" : "false", value, problem);
		}
	}
	return crmio_problem(problem, "invalid_boolean",
						 "\"%s\" is neither true nor false; use true or false, yes or no, 1 or 0",
						 crmio_clip(text));
}

/*
 * Reads JSON.  What jsonb does not take, such as \u0000 or half of a surrogate
 * pair, is refused for every column: no query could take the string out again.
 */
static bool
read_json(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	if (reader->base_typid == JSONBOID)
		return crmio_soft_input(reader, text, value, problem);
	if (reader->element == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(reader->context);

		reader->element = palloc0(sizeof(ValueReader));
		reader->element->kind = KIND_JSON;
		init_type(reader->element, JSONBOID, -1);
		MemoryContextSwitchTo(caller);
	}
	return crmio_soft_input(reader->element, text, value, problem) &&
		crmio_value_from_text(reader, text, value, problem);
}

/*
 * Takes the next non-empty, trimmed element off a list, which is cut up; NULL at
 * the end.
 */
static char *
next_element(char **list)
{
	while (*list != NULL)
	{
		char	   *element = *list;
		char	   *separator = strchr(element, LIST_SEPARATOR);

		if (separator != NULL)
			*separator++ = '\0';
		*list = separator;
		element = crmio_trim(element);
		if (*element != '\0')
			return element;
	}
	return NULL;
}

/*
 * Reads a list into an array.
 */
static bool
read_array(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	ValueReader *by = reader->element;
	char	   *rest = pstrdup(text);
	char	   *element;
	int			n = 0;
	int			capacity = 8;
	Datum	   *elements = palloc(sizeof(Datum) * capacity);

	while ((element = next_element(&rest)) != NULL)
	{
		if (n == capacity)
		{
			capacity *= 2;
			elements = repalloc_huge(elements, sizeof(Datum) * capacity);
		}
		if (!crmio_value_read(by, element, &elements[n++], problem))
			return false;
	}
	*value = PointerGetDatum(construct_array(elements, n, by->typid, by->typlen,
											 by->typbyval, by->typalign));
	return true;
}

/*
 * Reads a list into an array, a json array, or else the text of its elements.
 */
static bool
read_text_list(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	bool		json = reader->base_typid == JSONBOID || reader->base_typid == JSONOID;
	char	   *rest = pstrdup(text);
	char	   *element;
	StringInfoData joined;

	if (reader->element != NULL)
		return read_array(reader, text, value, problem);

	initStringInfo(&joined);
	if (json)
		appendStringInfoChar(&joined, '[');
	for (int n = 0; (element = next_element(&rest)) != NULL; n++)
	{
		if (n > 0)
			appendStringInfoChar(&joined, json ? ',' : LIST_SEPARATOR);
		if (json)
			escape_json(&joined, element);
		else
			appendStringInfoString(&joined, element);
	}
	if (json)
		appendStringInfoChar(&joined, ']');
	return crmio_value_from_text(reader, joined.data, value, problem);
}

/*
 * Reads a value of the reader's kind into its base type.
 */
static bool
read_by_kind(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	switch (reader->kind)
	{
		case KIND_EMAIL:
			return crmio_check_email(text, problem) &&
				crmio_value_from_text(reader, text, value, problem);
		case KIND_DOMAIN:
			text = crmio_domain_of(text, problem);
			return text != NULL && crmio_value_from_text(reader, text, value, problem);
		case KIND_URL:
			return crmio_check_url(text, problem) &&
				crmio_value_from_text(reader, text, value, problem);
		case KIND_PHONE:
			return crmio_check_phone(text, problem) &&
				crmio_value_from_text(reader, text, value, problem);
		case KIND_DATE:
			return crmio_read_date(reader, text, value, problem);
		case KIND_TIMESTAMP:
			return crmio_read_timestamp(reader, text, value, problem);
		case KIND_MONEY:
		case KIND_NUMBER:
		case KIND_INTEGER:
			return crmio_read_number(reader, text, value, problem);
		case KIND_BOOLEAN:
			return read_boolean(reader, text, value, problem);
		case KIND_CHOICE:
			return crmio_read_choice(reader, text, value, problem);
		case KIND_JSON:
			return read_json(reader, text, value, problem);
		case KIND_TEXT_LIST:
			return read_text_list(reader, text, value, problem);
		case KIND_TEXT:
		case KIND_REFERENCE:
		case KIND_OTHER:
			break;
	}
	return crmio_value_from_text(reader, text, value, problem);
}

/*
 * Reads a trimmed, non-empty text.
 */
bool
crmio_value_read(ValueReader *reader, char *text, Datum *value, ValueProblem *problem)
{
	return read_by_kind(reader, text, value, problem) &&
		(!reader->check_domain || crmio_soft_domain_check(reader, *value, problem));
}

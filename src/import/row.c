/*
 * row.c
 *	  Reads the mapped cells of a row into values of their fields' kinds, and
 *	  collects all errors of the row on the way.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "import/import.h"
#include "import/kinds.h"

/*
 * crmio_row_message
 *		An error or warning about a row, in CurrentMemoryContext.
 */
JobMessage *
crmio_row_message(const ImportRow *row, bool warning, const Input *input,
				  const char *value, const char *code, const char *reason)
{
	JobMessage *message = palloc0(sizeof(JobMessage));

	message->warning = warning;
	message->row_number = row->row_number;
	message->line_number = row->line_number;
	if (input != NULL)
	{
		message->column_name = input->column_name;
		message->field = input->path->text;
	}
	message->value = value;
	message->code = code;
	message->reason = reason;
	return message;
}

/*
 * is_null_value
 *		Is a text one of those that the mapping declares to mean "empty"?
 */
static bool
is_null_value(const Mapping *mapping, const char *text)
{
	ListCell   *lc;

	foreach(lc, mapping->null_values)
	{
		if (strcmp(lfirst(lc), text) == 0)
			return true;
	}
	return false;
}

/*
 * without_escape
 *		A text that crm_export wrote with escape_formulas, as it was: of those that begin
 *		with quotes and then like a formula, one quote was put there.
 */
static char *
without_escape(char *text)
{
	char	   *start = text + strspn(text, "'");

	return start > text && *start != '\0' && strchr(CRMIO_FORMULA_STARTS, *start) != NULL ?
		text + 1 : text;
}

/*
 * raw_text
 *		The text of an input in a row as it stands there; NULL if there is none.
 */
static char *
raw_text(const ImportPlan *plan, const ImportRow *row, const Input *input)
{
	if (input->column < 0)
		return input->static_text;
	if (input->column >= row->nfields)
		return NULL;
	return plan->mapping->escape_formulas ? without_escape(row->fields[input->column]) :
		row->fields[input->column];
}

/*
 * clean_text
 *		Trims a copy of the text of an input; NULL if it is empty, or means it.
 */
static char *
clean_text(const ImportPlan *plan, const Input *input, char *copy)
{
	char	   *text = crmio_trim(copy);

	if (plan->mapping->null_values != NIL && is_null_value(plan->mapping, text))
		return NULL;
	if (*text != '\0' && input->name_part != NAME_WHOLE)
	{
		char	   *first;
		char	   *last;

		crmio_split_name(text, &first, &last);
		text = input->name_part == NAME_FIRST ? first : last;
	}
	return text != NULL && *text != '\0' ? text : NULL;
}

/*
 * crmio_row_text
 *		The text of an input in a row, trimmed; NULL if it is empty, or means it.
 */
char *
crmio_row_text(const ImportPlan *plan, const ImportRow *row, const Input *input)
{
	const char *raw = raw_text(plan, row, input);

	return raw != NULL && *raw != '\0' ? clean_text(plan, input, pstrdup(raw)) : NULL;
}

/*
 * take_plain_text
 *		Most values are short texts that need no trimming, at most a check: with a header
 *		in the byte before it, the text of the file is such a value.  False if this one
 *		is not.
 */
static bool
take_plain_text(const ImportPlan *plan, const Input *input, char *raw, Datum *value)
{
	const ValueReader *reader = &input->reader;
	size_t		length;
	ValueProblem problem;

	/* before a text without its escape there is a byte of the file, which is kept */
	if (input->column < 0 || !reader->is_text || reader->max_length > 0 ||
		reader->check_domain || input->name_part != NAME_WHOLE ||
		plan->mapping->null_values != NIL || plan->mapping->escape_formulas)
		return false;
	length = strlen(raw);
	if (length > VARATT_SHORT_MAX - VARHDRSZ_SHORT ||
		raw[0] <= ' ' || raw[length - 1] <= ' ' || IS_HIGHBIT_SET(raw[0]) ||
		IS_HIGHBIT_SET(raw[length - 1]))
		return false;
	switch (reader->kind)
	{
		case KIND_TEXT:
			break;
		case KIND_EMAIL:
			if (!crmio_check_email(raw, &problem))
				return false;
			break;
		case KIND_PHONE:
			if (!crmio_check_phone(raw, &problem))
				return false;
			break;
		default:
			return false;
	}
	SET_VARSIZE_SHORT(raw - 1, length + VARHDRSZ_SHORT);
	*value = PointerGetDatum(raw - 1);
	return true;
}

/*
 * crmio_row_read
 *		Fills in row->values.  Errors make the row unusable; under "invalid": "warn" an
 *		unusable value is left empty instead, where the record can do without.
 */
void
crmio_row_read(ImportPlan *plan, ImportRow *row)
{
	ListCell   *lc;

	row->values = palloc((sizeof(Datum) + sizeof(bool)) * plan->ninputs);
	row->nulls = (bool *) (row->values + plan->ninputs);
	foreach(lc, plan->inputs)
	{
		Input	   *input = lfirst(lc);
		char	   *raw = raw_text(plan, row, input);
		char	   *text;
		ValueProblem problem;
		bool		warn;

		row->nulls[input->index] = true;
		if (raw == NULL || *raw == '\0')
			continue;
		if (take_plain_text(plan, input, raw, &row->values[input->index]))
		{
			row->nulls[input->index] = false;
			continue;
		}
		/* what reads the value copies it, so this copy need not stay */
		resetStringInfo(&plan->scratch);
		appendStringInfoString(&plan->scratch, raw);
		text = clean_text(plan, input, plan->scratch.data);
		if (text == NULL)
			continue;
		if (crmio_value_read(&input->reader, text, &row->values[input->index], &problem))
		{
			row->nulls[input->index] = false;
			continue;
		}
		warn = plan->mapping->invalid == STRICT_WARN && !input->required;
		row->messages = lappend(row->messages,
								crmio_row_message(row, warn, input, crmio_row_text(plan, row, input),
												  problem.code, problem.reason));
		if (!warn)
			row->unusable = true;
	}
}

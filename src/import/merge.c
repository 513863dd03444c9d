/*
 * merge.c
 *	  What a record becomes: a new one of a row's values, an existing one of its own
 *	  and the row's, by the merge mode.  Columns that hold several values in json are
 *	  merged by json_merge.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "import/import.h"
#include "import/json_merge.h"

/*
 * row_value
 *		The row's value for a column of one value; false if it is empty.
 */
static bool
row_value(const ImportRow *row, const Target *target, Datum *value)
{
	Input	   *input;

	*value = (Datum) 0;
	if (target->reference != NULL)
	{
		Resolved   *resolved = &row->resolved[target->reference->index];

		*value = resolved->value;
		return resolved->found;
	}
	if (target->inputs == NIL)
		return false;
	input = linitial(target->inputs);
	*value = row->values[input->index];
	return !row->nulls[input->index];
}

/*
 * stage_index
 *		Position of a lifecycle stage, -1 if the module does not list it.
 */
static int
stage_index(const ImportPlan *plan, Datum stage)
{
	char	   *name = OutputFunctionCall(&plan->lifecycle->output, stage);
	int			index = 0;
	ListCell   *lc;

	foreach(lc, plan->module->stages)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return index;
		index++;
	}
	return -1;
}

/*
 * row_stage
 *		The stage that a row wants: its own, or the one the module gives new records.
 */
static bool
row_stage(const ImportPlan *plan, const ImportRow *row, Datum *stage)
{
	if (row_value(row, plan->lifecycle, stage))
		return true;
	*stage = plan->new_stage;
	return plan->module->new_stage != NULL;
}

/*
 * is_blank_text
 *		Is a stored text blank?  Most begin with what is none.
 */
static bool
is_blank_text(const Target *target, Datum value)
{
	if (target->base_typid == TEXTOID || target->base_typid == VARCHAROID)
	{
		text	   *stored = DatumGetTextPP(value);
		unsigned char first = VARSIZE_ANY_EXHDR(stored) > 0 ? *VARDATA_ANY(stored) : '\0';

		if (first > ' ' && !IS_HIGHBIT_SET(first))
			return false;
	}
	return crmio_is_blank(OutputFunctionCall((FmgrInfo *) &target->output, value));
}

/*
 * is_empty
 *		Does a stored value count as empty: NULL, blank text, json or array without
 *		content?
 */
static bool
is_empty(const Target *target, Datum value, bool isnull)
{
	if (isnull)
		return true;
	if (target->base_typid == JSONBOID)
		return crmio_json_is_empty(value);
	if (target->base_typid == JSONOID)
		return crmio_json_is_empty(DirectFunctionCall1(jsonb_in, CStringGetDatum(OutputFunctionCall((FmgrInfo *) &target->output, value))));
	if (target->is_array)
		return ARR_NDIM(DatumGetArrayTypeP(value)) == 0;
	return target->by_image && is_blank_text(target, value);
}

/*
 * is_equal
 *		Are two values of a column the same?
 */
static bool
is_equal(Target *target, Datum a, Datum b)
{
	if (target->by_image)
		return datum_image_eq(a, b, target->typbyval, target->typlen);
	return DatumGetBool(FunctionCall2Coll(&target->equal, target->collation, a, b));
}

/*
 * default_value
 *		The column's default; it is evaluated for each record, as the server does.
 */
static Datum
default_value(ImportPlan *plan, Target *target, bool *isnull)
{
	if (target->default_expr == NULL)
	{
		*isnull = true;
		return (Datum) 0;
	}
	return ExecEvalExpr(target->default_expr, GetPerTupleExprContext(plan->estate), isnull);
}

/*
 * crmio_merge_new
 *		The values of a new record.  A column that the row leaves empty has its
 *		default; an error if it must not be empty and has none.
 */
void
crmio_merge_new(Import *import, ImportRow *row)
{
	ImportPlan *plan = import->plan;

	row->new_values = palloc((sizeof(Datum) + sizeof(bool)) * plan->ntargets);
	row->new_nulls = (bool *) (row->new_values + plan->ntargets);
	for (int i = 0; i < plan->ntargets; i++)
	{
		Target	   *target = &plan->targets[i];
		Datum		value = (Datum) 0;
		bool		isnull = true;
		bool		changed = false;

		if (target->only_input != NULL && !row->nulls[target->only_input->index])
		{
			row->new_values[i] = row->values[target->only_input->index];
			row->new_nulls[i] = false;
			continue;
		}
		if (target->lifecycle)
			isnull = !row_stage(plan, row, &value);
		else if (target->storage == STORAGE_SCALAR)
			isnull = !row_value(row, target, &value);
		else
		{
			value = crmio_json_merge(target, row, (Datum) 0, true, MERGE_FILL_EMPTY, &changed);
			isnull = !changed;
		}
		if (isnull)
			value = default_value(plan, target, &isnull);
		if (isnull && target->not_null)
		{
			Input	   *input = target->inputs ? linitial(target->inputs) : NULL;

			row->action = ROW_ERROR;
			row->decision = lappend(row->decision,
									crmio_row_message(row, false, input, NULL, "not_null",
													  psprintf("%s must have a value",
															   input ? input->path->text : target->column)));
		}
		row->new_values[i] = value;
		row->new_nulls[i] = isnull;
	}
}

/*
 * merge_stage
 *		The lifecycle column: by the rule "forward" a record may move to a later stage,
 *		by "fixed" it stays where it is.
 */
static bool
merge_stage(ImportPlan *plan, ImportRow *row, Datum *value, bool *isnull)
{
	Datum		stage;

	if (plan->module->lifecycle_rule != LIFECYCLE_FORWARD || !row_stage(plan, row, &stage))
		return false;
	if (!*isnull && stage_index(plan, stage) <= stage_index(plan, *value))
		return false;
	*value = stage;
	*isnull = false;
	return true;
}

/*
 * merge_scalar
 *		A column of one value, by the merge mode; true if it changes.
 */
static bool
merge_scalar(ImportPlan *plan, ImportRow *row, Target *target, Datum *value, bool *isnull)
{
	Datum		incoming;
	bool		given = row_value(row, target, &incoming);
	bool		is_new = target->reference != NULL &&
	row->resolved[target->reference->index].created != NULL;

	if (!given)
	{
		if (plan->mapping->mode != MERGE_OVERWRITE || target->kept_if_empty ||
			is_empty(target, *value, *isnull))
			return false;
		*isnull = true;
		return true;
	}
	if (plan->mapping->mode == MERGE_FILL_EMPTY && !is_empty(target, *value, *isnull))
		return false;
	if (!is_new && !*isnull && is_equal(target, *value, incoming))
		return false;
	*value = incoming;
	*isnull = false;
	return true;
}

/*
 * crmio_merge_existing
 *		What the matched record becomes; false if it stays as it is.
 */
bool
crmio_merge_existing(Import *import, ImportRow *row)
{
	ImportPlan *plan = import->plan;
	bool		any = false;

	row->new_values = palloc(sizeof(Datum) * plan->ntargets);
	row->new_nulls = palloc(sizeof(bool) * plan->ntargets);
	row->changed = palloc(sizeof(bool) * plan->ntargets);
	for (int i = 0; i < plan->ntargets; i++)
	{
		Target	   *target = &plan->targets[i];
		Datum		value = row->match->values[i];
		bool		isnull = row->match->nulls[i];
		bool		changed = false;

		if (target->lifecycle)
			changed = merge_stage(plan, row, &value, &isnull);
		else if (target->storage == STORAGE_SCALAR)
			changed = merge_scalar(plan, row, target, &value, &isnull);
		else
		{
			value = crmio_json_merge(target, row, value, isnull, plan->mapping->mode, &changed);
			isnull = isnull && !changed;
		}
		row->new_values[i] = value;
		row->new_nulls[i] = isnull;
		row->changed[i] = changed;
		any |= changed;
	}
	return any;
}

/*
 * crmio_merge_warnings
 *		A stage in the file that an existing record does not take is a warning.
 */
void
crmio_merge_warnings(Import *import, ImportRow *row)
{
	ImportPlan *plan = import->plan;
	Target	   *target = plan->lifecycle;
	Datum		wanted;

	if (target == NULL || target->inputs == NIL || !row_value(row, target, &wanted) ||
		row->new_nulls[target->index] ||
		is_equal(target, row->new_values[target->index], wanted))
		return;
	row->decision = lappend(row->decision,
							crmio_row_message(row, true, linitial(target->inputs),
											  crmio_row_text(plan, row, linitial(target->inputs)),
											  "stage_kept",
											  psprintf("the record stays \"%s\": an import does not change the stage of an existing record%s",
													   OutputFunctionCall(&target->output, row->new_values[target->index]),
													   plan->module->lifecycle_rule == LIFECYCLE_FORWARD ? " back" : "")));
}

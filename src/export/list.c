/*
 * list.c
 *	  The list of a module: the query that crm_export('leads') stands for.
 *
 * Its columns are those that the registration names, else all fields.  Records come
 * in the order of their key.  path.c knows what a field path is in SQL, filter.c
 * which records are wanted.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "export/list.h"

/* Parts of an address, in the order of an envelope. */
static const char *const address_parts[] = {
	"street", "street2", "city", "state", "postal_code", "country"
};

/*
 * crmio_list_param
 *		Adds a parameter to the query; its number.
 */
int
crmio_list_param(ListQuery *list, Oid typid, Datum value)
{
	/* in steps, as a list has few of them */
	if (list->nparams % 8 == 0)
	{
		int			capacity = list->nparams + 8;

		list->param_types = list->nparams == 0 ? palloc(sizeof(Oid) * capacity) :
			repalloc(list->param_types, sizeof(Oid) * capacity);
		list->param_values = list->nparams == 0 ? palloc(sizeof(Datum) * capacity) :
			repalloc(list->param_values, sizeof(Datum) * capacity);
	}
	list->param_types[list->nparams] = typid;
	list->param_values[list->nparams] = value;
	return ++list->nparams;
}

/*
 * crmio_list_text_param
 *		Adds a text as a parameter to the query; its number.
 */
int
crmio_list_text_param(ListQuery *list, const char *text)
{
	return crmio_list_param(list, TEXTOID, CStringGetTextDatum(text));
}

/*
 * all_fields
 *		The paths of a list that shows all fields of a module.
 */
static List *
all_fields(const Module *module, bool names)
{
	List	   *paths = NIL;
	ListCell   *lc;

	foreach(lc, module->fields)
	{
		Field	   *field = lfirst(lc);

		if (field->storage == STORAGE_ADDRESS)
		{
			for (int i = 0; i < lengthof(address_parts); i++)
				paths = lappend(paths, psprintf("%s.%s", field->name, address_parts[i]));
		}
		else if (field->storage == STORAGE_CUSTOM)
			paths = lappend(paths, field->column);
		else if (field->storage == STORAGE_SCALAR && field->kind == KIND_REFERENCE && !names)
			paths = lappend(paths, psprintf("%s.id", field->name));
		else
			paths = lappend(paths, field->name);
	}
	return paths;
}

/*
 * add_column
 *		A column of the list, and the expressions of the query that it needs.
 */
static ListColumn *
add_column(ListQuery *list, StringInfo select, int *nselected, const char *path,
		   const char *option)
{
	ListColumn *column = palloc(sizeof(ListColumn));
	ListExpr	expr;

	crmio_list_expr(list, path, option, &expr);
	column->header = crmio_list_header(list, expr.path, expr.label);
	column->scale = expr.scale;
	column->source = (*nselected)++;
	column->last_name = -1;
	appendStringInfo(select, "%s%s", column->source > 0 ? ", " : "",
					 expr.last_name ? expr.first_name : expr.sql);
	if (expr.last_name != NULL)
	{
		column->last_name = (*nselected)++;
		appendStringInfo(select, ", %s", expr.last_name);
	}
	return column;
}

/*
 * add_stage
 *		Of a table that several modules share, only the module's own stage.
 */
static void
add_stage(ListQuery *list)
{
	ListExpr	expr;

	if (crmio_module_other_stages(list->module) == NIL)
		return;
	memset(&expr, 0, sizeof(expr));
	expr.sql = psprintf(TARGET_ALIAS ".%s", quote_identifier(list->module->lifecycle_column));
	expr.typid = getBaseType(get_atttype(list->module->relid, list->module->lifecycle_attnum));
	expr.kind = KIND_TEXT;
	crmio_list_condition(list, list->module->lifecycle_column, &expr,
						 list_make1(list->module->new_stage));
}

/*
 * crmio_list_make_params
 *		The parameters as the planner and the executor take them.
 */
void
crmio_list_make_params(ExportSource *source, const ListQuery *list)
{
	source->nparams = list->nparams;
	source->param_types = list->param_types;
	source->params = makeParamList(list->nparams);
	for (int i = 0; i < list->nparams; i++)
	{
		ParamExternData *param = &source->params->params[i];

		param->value = list->param_values[i];
		param->isnull = false;
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = list->param_types[i];
	}
}

/*
 * crmio_list_order
 *		The key of a module's records, as what to order them by.
 */
char *
crmio_list_order(const Module *module)
{
	StringInfoData order;

	initStringInfo(&order);
	for (int i = 0; i < module->nkeys; i++)
		appendStringInfo(&order, "%s" TARGET_ALIAS ".%s", i > 0 ? ", " : "",
						 quote_identifier(get_attname(module->relid, module->key_attnums[i], false)));
	return order.data;
}

/*
 * crmio_list_source
 *		Makes the list of a module the source of an export.
 */
void
crmio_list_source(ExportSource *source, const Module *module)
{
	ListQuery	list = {.module = module, .names = source->options.names};
	List	   *paths = source->options.columns;
	const char *option = "columns";
	StringInfoData select;
	int			nselected = 0;
	ListCell   *lc;

	if (paths == NIL)
	{
		paths = module->list != NIL ? module->list : all_fields(module, list.names);
		option = "list";
	}
	initStringInfo(&select);
	initStringInfo(&list.from);
	initStringInfo(&list.where);
	appendStringInfo(&list.from, "%s " TARGET_ALIAS, module->relation);
	foreach(lc, paths)
		source->list = lappend(source->list,
							   add_column(&list, &select, &nselected, lfirst(lc), option));
	add_stage(&list);
	if (source->options.filter != NULL)
		crmio_list_filter(&list, source->options.filter);
	source->sql = psprintf("SELECT %s FROM %s WHERE true%s ORDER BY %s", select.data,
						   list.from.data, list.where.data, crmio_list_order(module));
	source->own_sql = true;
	crmio_list_make_params(source, &list);
}

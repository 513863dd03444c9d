/*
 * filter.c
 *	  Which records a list shows: {"status": ["open", "pending"], "owner": null,
 *	  "created_at": {"from": "2026-01-01", "to": "2026-01-31"}}.
 *
 * A filter compares what the list shows: money in currency units, a reference by the
 * name of its record.  E-mail addresses, domains and whatever an index keeps in lower
 * case compare without regard to case, as an import matches them.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "export/list.h"

#define FILTER_EXAMPLE "{\"status\": [\"open\", \"pending\"], \"created_at\": {\"from\": \"2026-01-01\", \"to\": \"2026-01-31\"}}"

/* What a value that can't be read is one of. */
typedef struct FilterValue
{
	const char *path;
	const char *text;
} FilterValue;

/*
 * value_context
 *		Error context while a value is read as its column's type.
 */
static void
value_context(void *arg)
{
	FilterValue *value = arg;

	errcontext("filter \"%s\", value \"%s\"", crmio_clip(value->path), crmio_clip(value->text));
}

/*
 * read_value
 *		A text as a value of a type.
 */
static Datum
read_value(const char *path, const char *text, Oid typid)
{
	FilterValue value = {path, text};
	ErrorContextCallback callback = {
		.callback = value_context,
		.arg = &value,
		.previous = error_context_stack
	};
	Oid			input;
	Oid			ioparam;
	Datum		datum;

	error_context_stack = &callback;
	getTypeInputInfo(typid, &input, &ioparam);
	datum = OidInputFunctionCall(input, unconstify(char *, text), ioparam, -1);
	error_context_stack = callback.previous;
	return datum;
}

/*
 * cannot_compare
 *		Complains about a type without the operators that a condition needs.
 */
static void
cannot_compare(const char *path, Oid typid)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("a list cannot be filtered by \"%s\"", crmio_clip(path)),
			 errdetail("Values of type %s do not compare in that way.", format_type_be(typid))));
}

/*
 * choice_value
 *		The label of a choice, if the text is a value or label of it in any case: that is what
 *		the list shows.  Without labels, the value.
 */
static const char *
choice_value(const ListExpr *expr, const char *text)
{
	ListCell   *lc;

	foreach(lc, expr->field ? expr->field->choices : NIL)
	{
		Choice	   *choice = lfirst(lc);

		if (pg_strcasecmp(choice->value, text) == 0 || pg_strcasecmp(choice->label, text) == 0)
			return expr->typid == TEXTOID ? choice->label : choice->value;
	}
	return text;
}

/*
 * crmio_list_condition
 *		Only records where an expression equals one of the texts.
 */
void
crmio_list_condition(ListQuery *list, const char *path, const ListExpr *expr, List *texts)
{
	Oid			typid = expr->fold ? TEXTOID : expr->typid;
	Oid			array_type = get_array_type(typid);
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(texts), 1));
	char	   *left = expr->sql;
	int			n = 0;
	int16		length;
	bool		byval;
	char		align;
	ListCell   *lc;

	if (!OidIsValid(array_type) || !OidIsValid(lookup_type_cache(typid, TYPECACHE_EQ_OPR)->eq_opr))
		cannot_compare(path, typid);
	foreach(lc, texts)
	{
		const char *text = expr->kind == KIND_CHOICE ? choice_value(expr, lfirst(lc)) : lfirst(lc);

		elements[n++] = read_value(path, expr->fold ? crmio_lower(text, InvalidOid) : text, typid);
	}
	get_typlenbyvalalign(typid, &length, &byval, &align);
	if (expr->fold)
		left = psprintf("pg_catalog.lower(%s)", crmio_list_as_text(left, expr->typid));
	n = crmio_list_param(list, array_type,
						 PointerGetDatum(construct_array(elements, n, typid, length, byval, align)));
	appendStringInfo(&list->where, " AND %s",
					 crmio_equality_sql(left, typid, psprintf("ANY ($%d)", n)));
}

/*
 * comparison_sql
 *		"left < right" and the like, with the operator that sorts the type.
 */
static char *
comparison_sql(const char *path, const char *left, Oid typid, StrategyNumber strategy, int param)
{
	TypeCacheEntry *type = lookup_type_cache(typid, TYPECACHE_BTREE_OPFAMILY);
	Oid			operator = InvalidOid;
	HeapTuple	tuple;
	Form_pg_operator op;
	char	   *sql;

	if (OidIsValid(type->btree_opf))
		operator = get_opfamily_member(type->btree_opf, type->btree_opintype,
									   type->btree_opintype, strategy);
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		cannot_compare(path, typid);
	op = (Form_pg_operator) GETSTRUCT(tuple);
	sql = psprintf("%s OPERATOR(%s.%s) $%d", left,
				   quote_identifier(get_namespace_name(op->oprnamespace)),
				   NameStr(op->oprname), param);
	ReleaseSysCache(tuple);
	return sql;
}

/*
 * is_day
 *		Is a text a date, without a time?
 */
static bool
is_day(const char *text)
{
	return strlen(text) == strlen("2026-01-31") && strspn(text, "0123456789-") == strlen(text);
}

/*
 * add_bound
 *		One end of a range.  Both ends belong to it, and the last day as a whole.
 */
static void
add_bound(ListQuery *list, const char *path, const ListExpr *expr, bool upper, const char *text)
{
	int			param;

	if (upper && is_day(text) && (expr->typid == TIMESTAMPTZOID || expr->typid == TIMESTAMPOID))
	{
		param = crmio_list_param(list, DATEOID, read_value(path, text, DATEOID));
		appendStringInfo(&list->where, " AND %s OPERATOR(pg_catalog.<) ($%d OPERATOR(pg_catalog.+) 1)",
						 expr->sql, param);
		return;
	}
	param = crmio_list_param(list, expr->typid, read_value(path, text, expr->typid));
	appendStringInfo(&list->where, " AND %s",
					 comparison_sql(path, expr->sql, expr->typid,
									upper ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber,
									param));
}

/*
 * bad_filter
 *		Complains about the form of a filter.
 */
static void
bad_filter(const char *path, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("filter \"%s\" must be %s", crmio_clip(path), expected),
			 errhint("For example: %s", FILTER_EXAMPLE)));
}

/*
 * add_range
 *		{"from": ..., "to": ...}
 */
static void
add_range(ListQuery *list, const char *path, const ListExpr *expr, const JsonbValue *range)
{
	List	   *members = crmio_json_members(range->val.binary.data);
	ListCell   *lc;

	if (members == NIL)
		bad_filter(path, "a value, a list of values or a range with \"from\" or \"to\"");
	foreach(lc, members)
	{
		JsonMember *member = lfirst(lc);
		char	   *text = crmio_json_scalar_text(&member->value);
		bool		upper = strcmp(member->key, "to") == 0;

		if ((!upper && strcmp(member->key, "from") != 0) || text == NULL)
			bad_filter(path, "a range of values from \"from\" to \"to\"");
		add_bound(list, path, expr, upper, text);
	}
}

/*
 * add_values
 *		A value, null, or a list of them.
 */
static void
add_values(ListQuery *list, const char *path, const ListExpr *expr, const JsonbValue *value)
{
	List	   *texts = NIL;
	bool		has_null = value->type == jbvNull;
	int			start = list->where.len;
	ListCell   *lc;

	if (crmio_json_is_array(value))
	{
		foreach(lc, crmio_json_members(value->val.binary.data))
		{
			JsonMember *member = lfirst(lc);
			char	   *text = crmio_json_scalar_text(&member->value);

			if (member->value.type == jbvNull)
				has_null = true;
			else if (text == NULL)
				bad_filter(path, "a list of strings, numbers, true, false or null");
			else
				texts = lappend(texts, text);
		}
	}
	else if (!has_null)
		texts = list_make1(crmio_json_scalar_text(value));

	if (texts != NIL || !has_null)
		crmio_list_condition(list, path, expr, texts);
	if (has_null && texts == NIL)
		appendStringInfo(&list->where, " AND %s IS NULL", expr->sql);
	else if (has_null)
	{
		char	   *condition = pstrdup(list->where.data + start + strlen(" AND "));

		list->where.len = start;
		appendStringInfo(&list->where, " AND (%s OR %s IS NULL)", condition, expr->sql);
	}
}

/*
 * crmio_list_filter
 *		Adds the conditions of a filter to the list.
 */
void
crmio_list_filter(ListQuery *list, Jsonb *filter)
{
	ListCell   *lc;

	foreach(lc, crmio_json_members(&filter->root))
	{
		JsonMember *member = lfirst(lc);
		ListExpr	expr;

		crmio_list_expr(list, member->key, "filter", &expr);
		if (crmio_json_is_object(&member->value))
			add_range(list, member->key, &expr, &member->value);
		else
			add_values(list, member->key, &expr, &member->value);
	}
}

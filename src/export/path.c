/*
 * path.c
 *	  Field paths as SQL expressions of a list, and as its headers.
 *
 * A list may show what an import can't fill: columns that are no fields (created_at),
 * and anything that the record behind a reference has (customer.name).  A header is
 * chosen so that an import of the file maps it to the path again, by itself.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/string.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "export/list.h"
#include "import/suggest.h"

/* The record that a reference refers to, joined once. */
typedef struct ListJoin
{
	const char *parent;			/* alias of the record that refers */
	const Field *field;
	char	   *alias;
} ListJoin;

static void path_expr(ListQuery *list, const char *alias, const Module *module,
					  const char *path, const char *option, ListExpr *expr);

/*
 * column_sql
 *		A column of a record.
 */
static char *
column_sql(const char *alias, const char *column)
{
	return psprintf("%s.%s", alias, quote_identifier(column));
}

/*
 * join_reference
 *		The alias of the record that a reference refers to.
 */
static const char *
join_reference(ListQuery *list, const char *parent, const Field *field, const Module *referred)
{
	ListJoin   *join;
	ListCell   *lc;

	foreach(lc, list->joins)
	{
		join = lfirst(lc);
		if (join->field == field && strcmp(join->parent, parent) == 0)
			return join->alias;
	}
	join = palloc(sizeof(ListJoin));
	join->parent = parent;
	join->field = field;
	join->alias = psprintf("crmio_ref%d", list_length(list->joins) + 1);
	list->joins = lappend(list->joins, join);
	appendStringInfo(&list->from, " LEFT JOIN %s %s ON %s", referred->relation, join->alias,
					 crmio_equality_sql(column_sql(join->alias, field->ref_column),
										getBaseType(field->typid),
										column_sql(parent, field->column)));
	return join->alias;
}

/*
 * crmio_list_as_text
 *		A value as text.  Not by a cast that a user made for a type of theirs: its function
 *		would run with the rights of whoever exports.
 */
char *
crmio_list_as_text(const char *sql, Oid typid)
{
	Oid			function;

	if (find_coercion_pathway(TEXTOID, typid, COERCION_EXPLICIT, &function) != COERCION_PATH_FUNC ||
		function < FirstGenbkiObjectId)
		return psprintf("%s::pg_catalog.text", sql);
	return psprintf("CASE WHEN %s IS DISTINCT FROM NULL THEN pg_catalog.concat(%s) END", sql, sql);
}

/*
 * text_expr
 *		An expression that gives text.
 */
static void
text_expr(ListExpr *expr, char *sql)
{
	expr->sql = sql;
	expr->typid = TEXTOID;
	expr->kind = KIND_TEXT;
}

/*
 * labels_sql
 *		The label of a choice instead of its value, where they differ.
 */
static char *
labels_sql(ListQuery *list, const Field *field, char *sql)
{
	JsonbParseState *state = NULL;
	bool		differ = false;
	ListCell   *lc;
	int			param;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, field->choices)
	{
		Choice	   *choice = lfirst(lc);
		JsonbValue	string = {.type = jbvString};

		differ |= strcmp(choice->value, choice->label) != 0;
		string.val.string.val = choice->value;
		string.val.string.len = strlen(choice->value);
		pushJsonbValue(&state, WJB_KEY, &string);
		string.val.string.val = choice->label;
		string.val.string.len = strlen(choice->label);
		pushJsonbValue(&state, WJB_VALUE, &string);
	}
	if (!differ)
		return NULL;
	param = crmio_list_param(list, JSONBOID,
							 JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL))));
	sql = crmio_list_as_text(sql, field->typid);
	return psprintf("COALESCE($%d OPERATOR(pg_catalog.->>) (%s), %s)", param, sql, sql);
}

/*
 * field_expr
 *		A field of one value.
 */
static void
field_expr(ListQuery *list, const char *alias, const Field *field, ListExpr *expr)
{
	char	   *labels = NULL;

	expr->field = field;
	expr->sql = column_sql(alias, field->column);
	expr->typid = getBaseType(field->typid);
	expr->kind = field->kind;
	expr->fold = field->kind == KIND_EMAIL || field->kind == KIND_DOMAIN ||
		field->casefold || field->casefold_trimmed;
	if (field->cents)
	{
		/* a product is exact; a quotient has 16 digits */
		expr->sql = psprintf("(%s::pg_catalog.numeric OPERATOR(pg_catalog.*) 0.01)", expr->sql);
		expr->typid = NUMERICOID;
		expr->scale = 2;
	}
	if (field->kind == KIND_CHOICE)
		labels = labels_sql(list, field, expr->sql);
	if (labels != NULL)
	{
		text_expr(expr, labels);
		expr->kind = KIND_CHOICE;
	}
}

/*
 * entry_param
 *		The jsonpath, as a parameter, of the first entry of a typed list that is not blank;
 *		of a type, if one is given.
 */
static int
entry_param(ListQuery *list, const char *type)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoString(&path, "$[*]");
	if (type != NULL)
	{
		appendStringInfoString(&path, " ? (@.type == ");
		escape_json(&path, type);
		appendStringInfoChar(&path, ')');
	}
	appendStringInfoString(&path, ".value ? (@ like_regex \"[^[:space:]]\")");
	return crmio_list_param(list, JSONPATHOID,
							DirectFunctionCall1(jsonpath_in, CStringGetDatum(path.data)));
}

/*
 * typed_expr
 *		An entry of a typed list.
 */
static void
typed_expr(ListQuery *list, const char *alias, const FieldPath *path, ListExpr *expr)
{
	const Field *field = path->field;
	const char *column = field->storage == STORAGE_TYPED_LIST ? field->column : field->typed_column;

	expr->field = field;
	text_expr(expr, psprintf("(pg_catalog.jsonb_path_query_first(%s::pg_catalog.jsonb, $%d, '{}', true) OPERATOR(pg_catalog.#>>) '{}')",
							 column_sql(alias, column), entry_param(list, path->type)));
	expr->kind = field->kind;
	expr->fold = field->kind == KIND_EMAIL;
	expr->label = path->type == NULL ? field->label :
		psprintf("%c%s %s", pg_toupper((unsigned char) path->type[0]), path->type + 1, field->label);
}

/*
 * address_expr
 *		A part of an address.
 */
static void
address_expr(ListQuery *list, const char *alias, const FieldPath *path, ListExpr *expr)
{
	const char *type = path->type ? path->type : "main";
	char	   *part = pstrdup(path->key);

	expr->field = path->field;
	text_expr(expr, psprintf("(%s::pg_catalog.jsonb OPERATOR(pg_catalog.->) $%d OPERATOR(pg_catalog.->>) $%d)",
							 column_sql(alias, path->field->column), crmio_list_text_param(list, type),
							 crmio_list_text_param(list, path->key)));
	for (char *c = part; *c != '\0'; c++)
	{
		if (*c == '_')
			*c = ' ';
	}
	expr->label = path->type ? psprintf("%s %s", path->type, part) :
		psprintf("%s %s", path->field->label, part);
	expr->label[0] = pg_toupper((unsigned char) expr->label[0]);
}

/*
 * name_expr
 *		A full name; the list itself puts its parts together, so that an import splits
 *		it likewise.
 */
static void
name_expr(const char *alias, const FieldPath *path, ListExpr *expr)
{
	char	   *first = crmio_list_as_text(column_sql(alias, path->first_name->column),
										   path->first_name->typid);
	char	   *last = crmio_list_as_text(column_sql(alias, path->last_name->column),
										  path->last_name->typid);

	text_expr(expr, psprintf("NULLIF(pg_catalog.btrim(pg_catalog.concat_ws(' ', %s, %s)), '')",
							 first, last));
	expr->fold = true;
	expr->label = "Name";
	if (strcmp(alias, TARGET_ALIAS) == 0)
	{
		expr->first_name = first;
		expr->last_name = last;
	}
}

/*
 * column_expr
 *		A column that is no field.  Its label is what people call it: "Created" for
 *		created_at.
 */
static bool
column_expr(const char *alias, const Module *module, const char *column, ListExpr *expr)
{
	AttrNumber	attnum = get_attnum(module->relid, column);
	Oid			typid;
	int32		typmod;
	Oid			collation;

	if (attnum <= 0)
		return false;
	get_atttypetypmodcoll(module->relid, attnum, &typid, &typmod, &collation);
	expr->sql = column_sql(alias, column);
	expr->typid = getBaseType(typid);
	expr->kind = KIND_OTHER;
	expr->label = pstrdup(column);
	if (pg_str_endswith(column, "_at") && strlen(column) > 3)
		expr->label[strlen(column) - 3] = '\0';
	for (char *c = expr->label; *c != '\0'; c++)
	{
		if (*c == '_')
			*c = ' ';
	}
	expr->label[0] = pg_toupper((unsigned char) expr->label[0]);
	return true;
}

/*
 * reference_expr
 *		What the record behind a reference has.
 */
static void
reference_expr(ListQuery *list, const char *alias, const Module *module, const Field *field,
			   const char *rest, const char *option, ListExpr *expr)
{
	char	   *problem;
	char	   *hint;
	FieldPath  *bare = crmio_path_resolve(module, field->name, &problem, &hint);

	path_expr(list, join_reference(list, alias, field, bare->ref), bare->ref, rest, option, expr);
	expr->label = psprintf("%s %s", field->label, expr->label);
}

/*
 * reference_of_path
 *		The reference that a path of several parts begins with, and the rest of it.
 */
static const Field *
reference_of_path(const Module *module, const char *path, const char **rest)
{
	const char *dot = strchr(path, '.');
	const Field *field = dot ? crmio_module_field(module, pnstrdup(path, dot - path)) : NULL;

	if (field == NULL || field->kind != KIND_REFERENCE || field->storage != STORAGE_SCALAR)
		return NULL;
	*rest = dot + 1;
	return field;
}

/*
 * resolved_expr
 *		A path that an import could fill too.
 */
static void
resolved_expr(ListQuery *list, const char *alias, const Module *module, const FieldPath *path,
			  bool bare, const char *option, ListExpr *expr)
{
	switch (path->part)
	{
		case PATH_VALUE:
			field_expr(list, alias, path->field, expr);
			break;
		case PATH_TYPED:
			typed_expr(list, alias, path, expr);
			break;
		case PATH_ADDRESS:
			address_expr(list, alias, path, expr);
			break;
		case PATH_CUSTOM:
			expr->field = path->field;
			text_expr(expr, psprintf("(%s::pg_catalog.jsonb OPERATOR(pg_catalog.->>) $%d)",
									 column_sql(alias, path->field->column),
									 crmio_list_text_param(list, path->key)));
			expr->label = path->text;
			break;
		case PATH_REFERENCE:
			if (path->lookup_field == NULL || (bare && !list->names))
			{
				expr->path = psprintf("%s.id", path->field->name);
				expr->field = path->field;
				expr->sql = column_sql(alias, path->field->column);
				expr->typid = getBaseType(path->field->typid);
				expr->kind = KIND_OTHER;
				expr->label = expr->path;
				break;
			}
			reference_expr(list, alias, module, path->field, path->lookup, option, expr);
			if (bare)
				expr->label = path->field->label;
			break;
		case PATH_NAME:
			name_expr(alias, path, expr);
			break;
	}
	if (expr->label == NULL)
		expr->label = path->field->label;
}

/*
 * path_expr
 *		What a path means for the record with an alias.
 */
static void
path_expr(ListQuery *list, const char *alias, const Module *module, const char *text,
		  const char *option, ListExpr *expr)
{
	char	   *problem;
	char	   *hint;
	FieldPath  *path = crmio_path_resolve(module, text, &problem, &hint);
	const Field *reference;
	const char *rest;

	memset(expr, 0, sizeof(ListExpr));
	expr->scale = -1;
	if (path != NULL)
	{
		bool		bare = path->part == PATH_REFERENCE && crmio_module_field(module, text) != NULL;

		resolved_expr(list, alias, module, path, bare, option, expr);
		return;
	}
	if (column_expr(alias, module, text, expr))
		return;
	reference = reference_of_path(module, text, &rest);
	if (reference != NULL)
	{
		reference_expr(list, alias, module, reference, rest, option, expr);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("%s", problem),
			 errdetail("Option \"%s\" names it.", option),
			 hint ? errhint("%s", hint) : 0));
}

/*
 * crmio_list_expr
 *		The expression of a field path, or of a column that is no field.  option: where
 *		the path comes from, for the error if it names nothing.
 */
void
crmio_list_expr(ListQuery *list, const char *path, const char *option, ListExpr *expr)
{
	path_expr(list, TARGET_ALIAS, list->module, path, option, expr);
	if (expr->path == NULL || crmio_module_field(list->module, path) == NULL)
		expr->path = pstrdup(path);
}

/*
 * header_means
 *		The path that an import maps a header to by itself, or NULL.
 */
static const FieldPath *
header_means(Dictionary *dictionary, const char *header)
{
	const Candidate *best = NULL;
	char	   *why_not = NULL;
	ListCell   *lc;

	foreach(lc, crmio_candidates_by_name(dictionary, 0, header, false, &why_not))
	{
		const Candidate *candidate = lfirst(lc);

		if (candidate->confidence >= CONFIDENCE_MEDIUM &&
			(best == NULL || candidate->score > best->score))
			best = candidate;
	}
	return best ? best->target->path : NULL;
}

/*
 * crmio_list_header
 *		The header of a path: its label, if an import maps that to the same path, or to
 *		none if nothing can be imported there; else the path as it is written.
 */
char *
crmio_list_header(ListQuery *list, const char *path, const char *label)
{
	char	   *problem;
	char	   *hint;
	FieldPath  *meant = crmio_path_resolve(list->module, path, &problem, &hint);
	const FieldPath *found;

	if (list->dictionary == NULL)
		list->dictionary = crmio_dictionary_create(list->module);
	found = header_means(list->dictionary, label);
	if (meant == NULL || found == NULL ? meant == NULL && found == NULL :
		strcmp(meant->text, found->text) == 0)
		return pstrdup(label);
	return pstrdup(path);
}

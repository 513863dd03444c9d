/*
 * options.c
 *	  What a registration's options say, read from jsonb and checked as far as
 *	  that goes without looking at the table.
 *
 * derive.c brings the options together with the table's columns.
 */
#include "catalog/derive.h"

static const char *const module_keys[] = {
	"aliases", "display", "fields", "key", "lifecycle", "list", "lookup", "match",
	"reference_target", "required", NULL
};

static const char *const field_keys[] = {
	"aliases", "choices", "column", "kind", "label", "reference", "required",
	"storage", "typed_column", NULL
};

static const char *const lifecycle_keys[] = {
	"column", "new", "rule", "stages", NULL
};

/* By the value of FieldStorage. */
static const char *const storage_names[] = {
	"column", "typed_list", "address", "custom", NULL
};

static const char *const rule_names[] = {
	"forward", "fixed", NULL
};

/*
 * A NULL-terminated array of names as a List.
 */
static List *
name_list(const char *const *names)
{
	List	   *list = NIL;

	for (; *names != NULL; names++)
		list = lappend(list, unconstify(char *, *names));
	return list;
}

/*
 * The position of a name in a NULL-terminated array; an error that names the
 * nearest if it isn't there.  `what` is said of the name: "option", "kind".
 */
static int
name_position(const char *what, const char *where, const char *name,
			  const char *const *names)
{
	const char *closest;
	int			i;

	for (i = 0; names[i] != NULL; i++)
	{
		if (strcmp(names[i], name) == 0)
			return i;
	}
	closest = crmio_closest(name, name_list(names));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized %s \"%s\"%s%s%s", what, crmio_clip(name),
					where ? " in option \"" : "", where ? where : "", where ? "\"" : ""),
			 closest ?
			 errhint("Perhaps you meant \"%s\".", closest) :
			 errhint("Valid here: %s.", crmio_join(name_list(names), ", "))));
	return -1;					/* keep compiler quiet */
}

/*
 * Complains that an option's value has the wrong JSON type.
 */
static void
wrong_type(const char *option, const JsonbValue *value, const char *expected,
		   const char *example)
{
	const char *found = crmio_json_type_name(value);
	const char *article = value->type == jbvNull ? "" :
		strchr("ao", found[0]) != NULL ? "an " : "a ";

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" must be %s, not %s%s", option, expected, article, found),
			 errhint("For example: %s", example)));
}

/*
 * A non-empty string.
 */
static char *
string_option(const char *option, const JsonbValue *value, const char *example)
{
	char	   *text;

	if (value->type != jbvString)
		wrong_type(option, value, "a string", example);
	text = crmio_json_scalar_text(value);
	if (crmio_is_blank(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must not be empty", option),
				 errhint("For example: %s", example)));
	return text;
}

/*
 * true or false.
 */
static bool
bool_option(const char *option, const JsonbValue *value)
{
	if (value->type != jbvBool)
		wrong_type(option, value, "true or false", "true");
	return value->val.boolean;
}

/*
 * A string or an array of strings, as a List of char *.
 */
static List *
strings_option(const char *option, const JsonbValue *value, const char *example)
{
	List	   *strings = NIL;
	ListCell   *lc;

	if (value->type == jbvString)
		return list_make1(string_option(option, value, example));
	if (!crmio_json_is_array(value))
		wrong_type(option, value, "an array of strings", example);
	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);

		strings = lappend(strings, string_option(option, &member->value, example));
	}
	return strings;
}

/*
 * Refuses a key that an object can't have.
 */
static void
check_key(const char *where, const char *key, const char *const *keys)
{
	(void) name_position("option", where, key, keys);
}

/*
 * The members of an option that must be an object.
 */
static List *
object_option(const char *option, const JsonbValue *value, const char *example)
{
	if (!crmio_json_is_object(value))
		wrong_type(option, value, "an object", example);
	return crmio_json_members(value->val.binary.data);
}

/*
 * "match": a list of fields, or a list of such lists that are tried in order.
 */
static List *
match_option(const JsonbValue *value)
{
	const char *example = "{\"match\": [\"email\"]} or {\"match\": [[\"email\"], [\"first_name\", \"last_name\"]]}";
	List	   *alternatives = NIL;
	List	   *members;
	ListCell   *lc;
	bool		nested;

	if (!crmio_json_is_array(value))
		wrong_type("match", value, "an array", example);
	members = crmio_json_members(value->val.binary.data);
	if (members == NIL)
		return NIL;
	nested = crmio_json_is_array(&((JsonMember *) linitial(members))->value);
	if (!nested)
		return list_make1(strings_option("match", value, example));
	foreach(lc, members)
	{
		JsonMember *member = lfirst(lc);
		List	   *fields;

		if (!crmio_json_is_array(&member->value))
			wrong_type("match", &member->value, "a list of lists throughout", example);
		fields = strings_option("match", &member->value, example);
		if (fields != NIL)
			alternatives = lappend(alternatives, fields);
	}
	return alternatives;
}

/*
 * "required": a list whose elements are a field, or a list of which one is enough.
 */
static List *
required_option(const JsonbValue *value)
{
	const char *example = "{\"required\": [\"email\", [\"account.name\", \"account.domain\"]]}";
	List	   *groups = NIL;
	ListCell   *lc;

	if (!crmio_json_is_array(value))
		wrong_type("required", value, "an array", example);
	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);
		List	   *group = strings_option("required", &member->value, example);

		if (group != NIL)
			groups = lappend(groups, group);
	}
	return groups;
}

/*
 * "lifecycle": which column holds the stage, the stages from first to last, the
 * one that new records get, and what an update may do.
 */
static void
lifecycle_option(ModuleOptions *options, const JsonbValue *value)
{
	const char *example = "{\"lifecycle\": {\"column\": \"stage\", \"stages\": [\"lead\", \"contact\"], \"new\": \"lead\", \"rule\": \"forward\"}}";
	ListCell   *lc;

	options->lifecycle_rule = LIFECYCLE_FORWARD;
	foreach(lc, object_option("lifecycle", value, example))
	{
		JsonMember *member = lfirst(lc);
		char	   *where = psprintf("lifecycle.%s", member->key);

		check_key("lifecycle", member->key, lifecycle_keys);
		if (strcmp(member->key, "column") == 0)
			options->lifecycle_column = string_option(where, &member->value, example);
		else if (strcmp(member->key, "stages") == 0)
			options->stages = strings_option(where, &member->value, example);
		else if (strcmp(member->key, "new") == 0)
			options->new_stage = string_option(where, &member->value, example);
		else if (name_position("rule", where,
							   string_option(where, &member->value, example), rule_names) == 1)
			options->lifecycle_rule = LIFECYCLE_FIXED;
	}
	if (options->lifecycle_column == NULL || options->stages == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"lifecycle\" needs \"column\" and \"stages\""),
				 errhint("For example: %s", example)));
	if (options->new_stage != NULL)
	{
		foreach(lc, options->stages)
		{
			if (strcmp(lfirst(lc), options->new_stage) == 0)
				return;
		}
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not one of the stages in option \"lifecycle\"",
						crmio_clip(options->new_stage)),
				 errhint("Stages are: %s.", crmio_join(options->stages, ", "))));
	}
}

/*
 * "choices" of a field: a list of values, or an object value -> label.
 */
static List *
choices_option(const char *where, const JsonbValue *value)
{
	const char *example = "{\"choices\": [\"low\", \"high\"]} or {\"choices\": {\"l\": \"Low\", \"h\": \"High\"}}";
	List	   *choices = NIL;
	ListCell   *lc;

	if (!crmio_json_is_object(value) && !crmio_json_is_array(value))
		wrong_type(where, value, "an array or an object", example);
	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);
		Choice	   *choice = palloc(sizeof(Choice));

		choice->label = string_option(where, &member->value, example);
		choice->value = member->key ? member->key : choice->label;
		choices = lappend(choices, choice);
	}
	return choices;
}

/*
 * "kind" of a field.
 */
static FieldKind
kind_option(const char *where, const JsonbValue *value)
{
	const char *names[KIND_OTHER + 2];
	int			kind;

	for (kind = 0; kind <= KIND_OTHER; kind++)
		names[kind] = crmio_kind_name((FieldKind) kind);
	names[KIND_OTHER + 1] = NULL;
	return (FieldKind) name_position("kind", where,
									 string_option(where, value, "{\"kind\": \"email\"}"),
									 names);
}

/*
 * "reference" of a field: a module, or an object that names it.
 */
static char *
reference_option(const char *where, const JsonbValue *value)
{
	const char *example = "{\"reference\": \"accounts\"}";
	JsonbValue *module;

	if (!crmio_json_is_object(value))
		return string_option(where, value, example);
	module = crmio_json_get(value->val.binary.data, "module");
	if (module == NULL || JsonContainerSize(value->val.binary.data) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must name a module and nothing else", where),
				 errhint("For example: %s", example)));
	return string_option(where, module, example);
}

/*
 * One member of "fields": null, or an object that says what the catalog doesn't.
 */
static FieldOption *
field_option(const JsonMember *member)
{
	FieldOption *field = palloc0(sizeof(FieldOption));
	const char *example = "{\"fields\": {\"mrr\": {\"column\": \"mrr_cents\", \"label\": \"MRR\"}, \"id\": null}}";
	char	   *option = psprintf("fields.%s", member->key);
	ListCell   *lc;

	field->name = member->key;
	if (crmio_is_blank(field->name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a field in option \"fields\" must have a name")));
	field->excluded = (member->value.type == jbvNull);
	if (field->excluded)
		return field;
	foreach(lc, object_option(option, &member->value, example))
	{
		JsonMember *said = lfirst(lc);
		char	   *where = psprintf("%s.%s", option, said->key);

		check_key(option, said->key, field_keys);
		if (strcmp(said->key, "column") == 0)
			field->column = string_option(where, &said->value, "{\"column\": \"mrr_cents\"}");
		else if (strcmp(said->key, "kind") == 0)
		{
			field->kind = kind_option(where, &said->value);
			field->has_kind = true;
		}
		else if (strcmp(said->key, "label") == 0)
			field->label = string_option(where, &said->value, "{\"label\": \"MRR\"}");
		else if (strcmp(said->key, "aliases") == 0)
			field->aliases = strings_option(where, &said->value,
											"{\"aliases\": [\"Monthly Revenue\"]}");
		else if (strcmp(said->key, "required") == 0)
		{
			field->required = bool_option(where, &said->value);
			field->has_required = true;
		}
		else if (strcmp(said->key, "choices") == 0)
			field->choices = choices_option(where, &said->value);
		else if (strcmp(said->key, "storage") == 0)
			field->storage = (FieldStorage)
				name_position("storage", where,
							  string_option(where, &said->value, "{\"storage\": \"typed_list\"}"),
							  storage_names);
		else if (strcmp(said->key, "typed_column") == 0)
			field->typed_column = string_option(where, &said->value,
												"{\"typed_column\": \"emails\"}");
		else
			field->ref_module = reference_option(where, &said->value);
	}
	return field;
}

/*
 * "aliases" of a module: other names of a file column -> field path.
 */
static List *
aliases_option(const JsonbValue *value)
{
	const char *example = "{\"aliases\": {\"Cell Phone\": \"phone.mobile\"}}";
	List	   *aliases = NIL;
	ListCell   *lc;

	foreach(lc, object_option("aliases", value, example))
	{
		JsonMember *member = lfirst(lc);
		PathAlias  *alias = palloc(sizeof(PathAlias));

		alias->name = member->key;
		alias->path = string_option("aliases", &member->value, example);
		aliases = lappend(aliases, alias);
	}
	return aliases;
}

/*
 * Reads the options of a registration.  The result lives in
 * CurrentMemoryContext, and keeps nothing of the jsonb.
 */
ModuleOptions *
crmio_options_parse(Jsonb *jsonb)
{
	ModuleOptions *options = palloc0(sizeof(ModuleOptions));
	ListCell   *lc;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a module must be a JSON object"),
				 errhint("For example: {\"match\": [\"email\"]}")));
	foreach(lc, crmio_json_members(&jsonb->root))
	{
		JsonMember *member = lfirst(lc);
		const char *key = member->key;
		JsonbValue *value = &member->value;

		check_key(NULL, key, module_keys);
		if (strcmp(key, "aliases") == 0)
			options->aliases = aliases_option(value);
		else if (strcmp(key, "display") == 0)
			options->display = string_option(key, value, "{\"display\": \"name\"}");
		else if (strcmp(key, "fields") == 0)
		{
			ListCell   *field;

			foreach(field, object_option(key, value,
										 "{\"fields\": {\"mail\": {\"kind\": \"email\"}, \"internal_note\": null}}"))
				options->fields = lappend(options->fields, field_option(lfirst(field)));
		}
		else if (strcmp(key, "key") == 0)
			options->key = strings_option(key, value, "{\"key\": \"code\"}");
		else if (strcmp(key, "lifecycle") == 0)
			lifecycle_option(options, value);
		else if (strcmp(key, "list") == 0)
			options->list = strings_option(key, value, "{\"list\": [\"name\", \"email\"]}");
		else if (strcmp(key, "lookup") == 0)
			options->lookup = strings_option(key, value, "{\"lookup\": [\"code\", \"name\"]}");
		else if (strcmp(key, "match") == 0)
		{
			options->match = match_option(value);
			options->has_match = true;
		}
		else if (strcmp(key, "reference_target") == 0)
			options->reference_target = bool_option(key, value);
		else
		{
			options->required = required_option(value);
			options->has_required = true;
		}
	}
	return options;
}

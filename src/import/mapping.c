/*
 * mapping.c
 *	  Reads what the caller of an import said: the mapping, an object whose keys
 *	  are listed once below, and the policy.
 *
 * Only what can be judged without the module and the file is judged here; plan.c
 * does the rest.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "import/import.h"
#include "import/kinds.h"

/* Mail is for the people concerned: an import is no way to write to many. */
#define MOST_ADDRESSES 20

typedef void (*MappingKeyReader) (Mapping *mapping, const char *key, const JsonbValue *value);

typedef struct MappingKey
{
	const char *name;
	MappingKeyReader read;		/* NULL: one of the reader's own options */
} MappingKey;

static void read_module(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_columns(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_static(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_match(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_auto_create(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_unresolved(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_invalid(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_on_ambiguous(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_date_order(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_decimal(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_null_values(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_max_errors(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_dry_run(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_mode(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_escape_formulas(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_missing_columns(Mapping *mapping, const char *key, const JsonbValue *value);
static void read_notify(Mapping *mapping, const char *key, const JsonbValue *value);

static const MappingKey mapping_keys[] = {
	{"module", read_module},
	{"columns", read_columns},
	{"static", read_static},
	{"match", read_match},
	{"auto_create", read_auto_create},
	{"unresolved", read_unresolved},
	{"invalid", read_invalid},
	{"on_ambiguous", read_on_ambiguous},
	{"date_order", read_date_order},
	{"decimal", read_decimal},
	{"encoding", NULL},
	{"delimiter", NULL},
	{"quote", NULL},
	{"header_row", NULL},
	{"null_values", read_null_values},
	{"max_errors", read_max_errors},
	{"dry_run", read_dry_run},
	{"mode", read_mode},
	{"escape_formulas", read_escape_formulas},
	{"missing_columns", read_missing_columns},
	{CRMIO_USE_KEY, NULL},		/* saved.c has put it into effect */
	{"notify", read_notify},
};

/*
 * wrong_type
 *		A key of the mapping has a value of the wrong JSON type.
 */
static void
wrong_type(const char *key, const JsonbValue *value, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("key \"%s\" of the mapping must be %s", key, expected),
			 errdetail("Its value is of type %s.", crmio_json_type_name(value))));
}

/*
 * read_word
 *		A key whose value is one of a few words: returns its position.
 */
static int
read_word(const char *key, const JsonbValue *value, const char *const *words, const char *expected)
{
	char	   *text = value->type == jbvString ? crmio_json_scalar_text(value) : NULL;

	if (text == NULL)
		wrong_type(key, value, expected);
	for (int i = 0; words[i] != NULL; i++)
	{
		if (pg_strcasecmp(text, words[i]) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a value of key \"%s\" of the mapping", crmio_clip(text), key),
			 errhint("Use %s.", expected)));
	return 0;					/* not reached */
}

/*
 * read_strings
 *		A key whose value is an array of strings.
 */
static List *
read_strings(const char *key, const JsonbValue *value, const char *expected)
{
	List	   *strings = NIL;
	ListCell   *lc;

	if (!crmio_json_is_array(value))
		wrong_type(key, value, expected);
	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);

		if (member->value.type != jbvString)
			wrong_type(key, value, expected);
		strings = lappend(strings, crmio_json_scalar_text(&member->value));
	}
	return strings;
}

static void
read_module(Mapping *mapping, const char *key, const JsonbValue *value)
{
	if (value->type != jbvString)
		wrong_type(key, value, "a string");
	mapping->module = crmio_json_scalar_text(value);
}

/*
 * read_columns
 *		{"file column": "field path" | ["path", ...] | null}
 */
static void
read_columns(Mapping *mapping, const char *key, const JsonbValue *value)
{
	ListCell   *lc;

	if (!crmio_json_is_object(value))
		wrong_type(key, value, "an object of file columns and field paths");
	mapping->columns_given = true;
	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);
		MappedColumn *column = palloc0(sizeof(MappedColumn));

		column->column = member->key;
		if (member->value.type == jbvString)
			column->paths = list_make1(crmio_json_scalar_text(&member->value));
		else if (crmio_json_is_array(&member->value))
			column->paths = read_strings(psprintf("columns.%s", member->key), &member->value,
										 "a field path, a list of field paths, or null");
		else if (member->value.type != jbvNull)
			wrong_type(psprintf("columns.%s", member->key), &member->value,
					   "a field path, a list of field paths, or null");
		mapping->columns = lappend(mapping->columns, column);
	}
}

/*
 * read_static
 *		{"field path": value}
 */
static void
read_static(Mapping *mapping, const char *key, const JsonbValue *value)
{
	ListCell   *lc;

	if (!crmio_json_is_object(value))
		wrong_type(key, value, "an object of field paths and values");
	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);
		StaticValue *entry = palloc0(sizeof(StaticValue));

		entry->path = member->key;
		if (member->value.type != jbvNull)
			entry->text = crmio_json_text(&member->value);
		if (crmio_json_is_array(&member->value))
		{
			List	   *elements = NIL;
			ListCell   *element;

			foreach(element, crmio_json_members(member->value.val.binary.data))
			{
				const JsonbValue *part = &((JsonMember *) lfirst(element))->value;

				if (part->type != jbvNull)
					elements = lappend(elements, crmio_json_text(part));
			}
			entry->joined = crmio_join(elements, ";");
		}
		mapping->statics = lappend(mapping->statics, entry);
	}
}

/*
 * parse_match
 *		["email"], or a list of such lists; returns a List of Lists of char *.
 *		NULL on a value of another shape.  An empty list is NIL: nothing matches.
 */
static List *
parse_match(const JsonbValue *value)
{
	List	   *alternatives = NIL;
	List	   *plain = NIL;
	ListCell   *lc;

	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);

		if (member->value.type == jbvString)
			plain = lappend(plain, crmio_json_scalar_text(&member->value));
		else
			alternatives = lappend(alternatives,
								   read_strings("match", &member->value,
												"a list of fields, or a list of such lists"));
	}
	if (plain != NIL && alternatives != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"match\" of the mapping mixes fields and lists of fields"),
				 errhint("Several names must all be equal: [\"name\", \"birthday\"]; lists are tried in order: [[\"email\"], [\"name\", \"birthday\"]].")));
	if (plain != NIL)
		alternatives = list_make1(plain);
	foreach(lc, alternatives)
	{
		if (lfirst(lc) == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key \"match\" of the mapping has an empty list in it")));
	}
	return alternatives;
}

static void
read_match(Mapping *mapping, const char *key, const JsonbValue *value)
{
	if (!crmio_json_is_array(value))
		wrong_type(key, value, "a list of fields, or a list of such lists");
	mapping->match_given = true;
	mapping->match = parse_match(value);
}

static void
read_auto_create(Mapping *mapping, const char *key, const JsonbValue *value)
{
	if (value->type == jbvBool)
		mapping->auto_create_all = value->val.boolean;
	else
		mapping->auto_create = read_strings(key, value, "true, false, or a list of references");
}

static void
read_unresolved(Mapping *mapping, const char *key, const JsonbValue *value)
{
	static const char *const words[] = {"error", "warn", NULL};

	mapping->unresolved = read_word(key, value, words, "\"error\" or \"warn\"") == 0 ?
		STRICT_ERROR : STRICT_WARN;
}

static void
read_invalid(Mapping *mapping, const char *key, const JsonbValue *value)
{
	static const char *const words[] = {"error", "warn", NULL};

	mapping->invalid = read_word(key, value, words, "\"error\" or \"warn\"") == 0 ?
		STRICT_ERROR : STRICT_WARN;
}

static void
read_on_ambiguous(Mapping *mapping, const char *key, const JsonbValue *value)
{
	static const char *const words[] = {"error", "first", NULL};

	mapping->first_if_ambiguous =
		read_word(key, value, words, "\"error\" or \"first\"") == 1;
}

static void
read_date_order(Mapping *mapping, const char *key, const JsonbValue *value)
{
	static const char *const words[] = {"auto", "ymd", "mdy", "dmy", NULL};
	static const CrmioDateOrder orders[] = {DATE_ORDER_UNKNOWN, DATE_ORDER_YMD, DATE_ORDER_MDY,
	DATE_ORDER_DMY};

	mapping->date_order =
		orders[read_word(key, value, words, "\"auto\", \"ymd\", \"mdy\" or \"dmy\"")];
}

static void
read_decimal(Mapping *mapping, const char *key, const JsonbValue *value)
{
	static const char *const words[] = {".", ",", NULL};

	mapping->decimal = words[read_word(key, value, words, "\".\" or \",\"")][0];
}

static void
read_null_values(Mapping *mapping, const char *key, const JsonbValue *value)
{
	ListCell   *lc;

	mapping->null_values = read_strings(key, value, "a list of strings, such as [\"N/A\", \"-\"]");
	foreach(lc, mapping->null_values)
		lfirst(lc) = crmio_trim(lfirst(lc));
}

static void
read_max_errors(Mapping *mapping, const char *key, const JsonbValue *value)
{
	int64		limit = -1;

	if (value->type == jbvNumeric)
	{
		bool		have_error = false;

		limit = numeric_int4_opt_error(value->val.numeric, &have_error);
		if (have_error)
			limit = -1;
	}
	if (limit < 0)
		wrong_type(key, value, "a number of rows, from 0 to 2147483647");
	mapping->max_errors = limit;
}

static void
read_dry_run(Mapping *mapping, const char *key, const JsonbValue *value)
{
	if (value->type != jbvBool)
		wrong_type(key, value, "true or false");
	mapping->dry_run = value->val.boolean;
}

static void
read_mode(Mapping *mapping, const char *key, const JsonbValue *value)
{
	static const char *const words[] = {"transaction", "auto", NULL};

	mapping->hand_over = read_word(key, value, words, "\"transaction\" or \"auto\"") == 1;
}

static void
read_escape_formulas(Mapping *mapping, const char *key, const JsonbValue *value)
{
	if (value->type != jbvBool)
		wrong_type(key, value, "true or false");
	mapping->escape_formulas = value->val.boolean;
}

static void
read_missing_columns(Mapping *mapping, const char *key, const JsonbValue *value)
{
	static const char *const words[] = {"error", "ignore", NULL};

	mapping->ignore_missing =
		read_word(key, value, words, "\"error\" or \"ignore\"") == 1;
}

/*
 * read_notify
 *		"ann@example.com", or a list of addresses.  The same one twice gets one mail.
 */
static void
read_notify(Mapping *mapping, const char *key, const JsonbValue *value)
{
	const char *expected = "an e-mail address, or a list of e-mail addresses";
	List	   *addresses = NIL;
	List	   *seen = NIL;
	ListCell   *lc;

	if (value->type == jbvString)
		addresses = list_make1(crmio_json_scalar_text(value));
	else if (value->type != jbvNull)
		addresses = read_strings(key, value, expected);
	foreach(lc, addresses)
	{
		char	   *address = crmio_trim(lfirst(lc));
		String	   *lower = makeString(crmio_lower(address, InvalidOid));
		ValueProblem problem;

		if (!crmio_check_email(address, &problem))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key \"%s\" of the mapping: %s", key, problem.reason)));
		if (list_member(seen, lower))
			continue;
		seen = lappend(seen, lower);
		mapping->notify = lappend(mapping->notify, address);
	}
	if (list_length(mapping->notify) > MOST_ADDRESSES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"%s\" of the mapping has more than %d addresses", key, MOST_ADDRESSES),
				 errhint("Give the address of a mailing list.")));
}

/*
 * read_key
 *		Finds what a key means; an unknown one is an error that names the nearest.
 */
static void
read_key(Mapping *mapping, const char *key, const JsonbValue *value)
{
	List	   *names = NIL;
	const char *closest;

	for (int i = 0; i < lengthof(mapping_keys); i++)
	{
		if (strcmp(key, mapping_keys[i].name) == 0)
		{
			if (mapping_keys[i].read != NULL)
				mapping_keys[i].read(mapping, key, value);
			else if (strcmp(key, CRMIO_USE_KEY) != 0 && !crmio_reader_option(&mapping->reader, key, value))
				elog(ERROR, "reader does not know its option \"%s\"", key);
			return;
		}
		names = lappend(names, (char *) mapping_keys[i].name);
	}
	closest = crmio_closest(key, names);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown key \"%s\" in the mapping", crmio_clip(key)),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) :
			 errhint("The keys are %s.", crmio_join(names, ", "))));
}

/*
 * read_policy
 *		"skip", "create", "update", or "update:MODE".
 */
static void
read_policy(Mapping *mapping, const char *policy)
{
	static const struct
	{
		const char *name;
		Policy		policy;
		MergeMode	mode;
	}			policies[] = {
		{"skip", POLICY_SKIP, MERGE_FILL_EMPTY},
		{"update", POLICY_UPDATE, MERGE_FILL_EMPTY},
		{"update:fill_empty", POLICY_UPDATE, MERGE_FILL_EMPTY},
		{"update:overwrite", POLICY_UPDATE, MERGE_OVERWRITE},
		{"update:prefer_import", POLICY_UPDATE, MERGE_PREFER_IMPORT},
		{"create", POLICY_CREATE, MERGE_FILL_EMPTY},
	};
	List	   *names = NIL;
	const char *closest;

	for (int i = 0; i < lengthof(policies); i++)
	{
		if (strcmp(policy, policies[i].name) == 0)
		{
			mapping->policy = policies[i].policy;
			mapping->mode = policies[i].mode;
			return;
		}
		names = lappend(names, (char *) policies[i].name);
	}
	closest = crmio_closest(policy, names);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown policy \"%s\"", crmio_clip(policy)),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) :
			 errhint("The policies are %s.", crmio_join(names, ", "))));
}

/*
 * crmio_mapping_parse_keys
 *		Reads a mapping that need not name a module.
 */
Mapping *
crmio_mapping_parse_keys(Jsonb *json, const char *policy)
{
	Mapping    *mapping = palloc0(sizeof(Mapping));
	ListCell   *lc;

	mapping->decimal = '.';
	mapping->max_errors = -1;
	crmio_reader_options_init(&mapping->reader);
	read_policy(mapping, policy);

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the mapping must be a JSON object"),
				 errhint("For example: {\"module\": \"leads\"}.")));
	foreach(lc, crmio_json_members(&json->root))
	{
		JsonMember *member = lfirst(lc);

		read_key(mapping, member->key, &member->value);
	}
	return mapping;
}

/*
 * crmio_mapping_parse
 *		Reads mapping and policy; any mistake in them is an error.  What the mapping uses
 *		has been put into it (crmio_mapping_expand).  The result
 *		lies in CurrentMemoryContext.
 */
Mapping *
crmio_mapping_parse(Jsonb *json, const char *policy)
{
	Mapping    *mapping = crmio_mapping_parse_keys(json, policy);

	if (mapping->module == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the mapping names no module"),
				 errhint("Registered modules: %s.",
						 crmio_module_names() == NIL ? "none; call crm_create_standard_modules() or crm_register_module()" :
						 crmio_join(crmio_module_names(), ", "))));
	return mapping;
}

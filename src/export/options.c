/*
 * options.c
 *	  The options of an export: {"delimiter": ";", "filter": {...}, ...}.
 *
 * They come in two layers, those of a saved report and those of the call, which
 * win.  An option that does not fit what is exported is an error in the call;
 * a report's is left out, because the same report goes to several formats.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "export/export.h"

/* What an option is for. */
#define FOR_TEXT	0x01		/* CSV */
#define FOR_FILE	0x02		/* CSV in a file: it has an encoding of its own */
#define FOR_LIST	0x04
#define FOR_PAGES	0x08		/* XLSX, PDF */

typedef struct ExportOption
{
	const char *name;
	int			fits;			/* any of FOR_... */
	void		(*read) (ExportOptions *options, const char *key, const JsonbValue *value);
} ExportOption;

/*
 * wrong_type
 *		Complains about the value of an option.
 */
static void
wrong_type(const char *key, const JsonbValue *value, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" must be %s", key, expected),
			 errdetail("Its value is of type %s.", crmio_json_type_name(value))));
}

/*
 * read_string
 *		The text of an option that must be a string.
 */
static char *
read_string(const char *key, const JsonbValue *value, const char *expected)
{
	if (value->type != jbvString)
		wrong_type(key, value, expected);
	return crmio_json_scalar_text(value);
}

/*
 * read_bool
 *		The value of an option that must be true or false.
 */
static bool
read_bool(const char *key, const JsonbValue *value)
{
	if (value->type != jbvBool)
		wrong_type(key, value, "true or false");
	return value->val.boolean;
}

static void
read_bom(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->bom = read_bool(key, value);
}

static void
read_crlf(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->crlf = read_bool(key, value);
}

static void
read_header(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->header = read_bool(key, value);
}

static void
read_quote_all(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->quote_all = read_bool(key, value);
}

static void
read_escape_formulas(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->escape_formulas = read_bool(key, value);
}

static void
read_names(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->names = read_bool(key, value);
}

static void
read_null(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->null = read_string(key, value, "a string that stands for NULL, such as \"N/A\"");
	if (strpbrk(options->null, "\"\r\n") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must not contain quotes or line ends", key)));
}

static void
read_title(ExportOptions *options, const char *key, const JsonbValue *value)
{
	options->title = read_string(key, value, "a string");
}

/*
 * read_delimiter
 *		One character that can't be part of a number or a date.
 */
static void
read_delimiter(ExportOptions *options, const char *key, const JsonbValue *value)
{
	const char *expected = "one ASCII character, such as \",\", \";\", \"|\" or \"tab\"";
	char	   *text = read_string(key, value, expected);
	unsigned char byte = text[0];

	if (pg_strcasecmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
		byte = '\t';
	else if (strlen(text) != 1)
		byte = '\0';
	if (byte != '\t' && (byte < ' ' || byte >= 0x7F || isalnum(byte) || strchr("\"'.-+:\\", byte) != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be %s, not \"%s\"", key, expected, crmio_clip(text)),
				 errhint("Letters, digits, quotes and what stands in numbers and dates can't separate fields.")));
	options->delimiter = byte;
}

/*
 * read_encoding
 *		A name that PostgreSQL knows.
 */
static void
read_encoding(ExportOptions *options, const char *key, const JsonbValue *value)
{
	char	   *name = read_string(key, value, "the name of an encoding, such as \"UTF8\"");

	options->encoding = pg_char_to_encoding(name);
	if (options->encoding < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("encoding \"%s\" does not exist", crmio_clip(name)),
				 errhint("Give a name such as \"UTF8\", \"WIN1252\" or \"LATIN1\".")));
}

/*
 * read_columns
 *		A list of field paths; an empty one would be a file without columns.
 */
static void
read_columns(ExportOptions *options, const char *key, const JsonbValue *value)
{
	const char *expected = "a list of fields, such as [\"name\", \"phone.mobile\"]";
	ListCell   *lc;

	if (!crmio_json_is_array(value) || JsonContainerSize(value->val.binary.data) == 0)
		wrong_type(key, value, expected);
	options->columns = NIL;
	foreach(lc, crmio_json_members(value->val.binary.data))
	{
		JsonMember *member = lfirst(lc);

		options->columns = lappend(options->columns, read_string(key, &member->value, expected));
	}
}

static void
read_filter(ExportOptions *options, const char *key, const JsonbValue *value)
{
	if (!crmio_json_is_object(value))
		wrong_type(key, value, "an object, such as {\"status\": \"open\"}");
	options->filter = JsonbValueToJsonb(unconstify(JsonbValue *, value));
}

static const ExportOption option_table[] = {
	{"bom", FOR_TEXT, read_bom},
	{"columns", FOR_LIST, read_columns},
	{"crlf", FOR_TEXT, read_crlf},
	{"delimiter", FOR_TEXT, read_delimiter},
	{"encoding", FOR_FILE, read_encoding},
	{"escape_formulas", FOR_TEXT, read_escape_formulas},
	{"filter", FOR_LIST, read_filter},
	{"header", FOR_TEXT, read_header},
	{"names", FOR_LIST, read_names},
	{"null", FOR_TEXT, read_null},
	{"quote_all", FOR_TEXT, read_quote_all},
	{"title", FOR_PAGES, read_title}
};

/*
 * find_option
 *		The option of a name; an error that names the nearest if there is none.
 */
static const ExportOption *
find_option(const char *name)
{
	List	   *names = NIL;
	const char *closest;

	for (int i = 0; i < lengthof(option_table); i++)
	{
		if (strcmp(option_table[i].name, name) == 0)
			return &option_table[i];
		names = lappend(names, unconstify(char *, option_table[i].name));
	}
	closest = crmio_closest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized option \"%s\"", crmio_clip(name)),
			 closest ?
			 errhint("Perhaps you meant \"%s\".", closest) :
			 errhint("Options of an export are: %s.", crmio_join(names, ", "))));
	return NULL;				/* keep compiler quiet */
}

/*
 * does_not_fit
 *		Complains about an option that can have no effect.
 */
static void
does_not_fit(const ExportOption *option, const ExportFormat *format)
{
	char	   *what = option->fits == FOR_LIST ? "a query" :
		format == NULL ? "crm_export" : psprintf("format \"%s\"", format->name);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" does not fit %s", option->name, what),
			 option->fits == FOR_LIST ?
			 errhint("It is for the list of a module; a query says the like itself.") :
			 option->fits == FOR_PAGES ?
			 errhint("It is for the formats xlsx and pdf.") :
			 format == NULL ?
			 errhint("The server sends text in the client's encoding; crm_export_file and crm_export_to write files.") :
			 errhint("It is for the format csv.")));
}

/*
 * crmio_export_options_init
 *		What holds without options.
 */
void
crmio_export_options_init(ExportOptions *options)
{
	memset(options, 0, sizeof(ExportOptions));
	options->delimiter = ',';
	options->header = true;
	options->null = "";
	options->encoding = PG_UTF8;
	options->names = true;
}

/*
 * crmio_export_options_read
 *		Reads one layer of options over those read before.  format: NULL for
 *		crm_export; strict: an option that does not fit it is an error.  One that is for
 *		lists does not fit a query in any case.
 */
void
crmio_export_options_read(ExportOptions *options, Jsonb *json, const ExportFormat *format,
						  bool is_list, bool strict)
{
	int			fits = is_list ? FOR_LIST : 0;
	ListCell   *lc;

	if (format == NULL)
		fits |= FOR_TEXT;
	else if (format->is_text)
		fits |= FOR_TEXT | FOR_FILE;
	else
		fits |= FOR_PAGES;
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of an export must be a JSON object"),
				 errhint("For example: {\"delimiter\": \";\"}")));
	foreach(lc, crmio_json_members(&json->root))
	{
		JsonMember *member = lfirst(lc);
		const ExportOption *option = find_option(member->key);

		if ((option->fits & fits) == 0 && (strict || option->fits == FOR_LIST))
			does_not_fit(option, format);
		option->read(options, member->key, &member->value);
	}
}

/*
 * crmio_export_options_check
 *		Options that fit, but not together.
 */
void
crmio_export_options_check(const ExportOptions *options, bool to_client)
{
	int			encoding = to_client ? GetDatabaseEncoding() : options->encoding;

	if (options->null[0] != '\0' && strchr(options->null, options->delimiter) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"null\" must not contain the delimiter")));
	if (options->bom && encoding != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"bom\" needs UTF-8"),
				 to_client ?
				 errhint("The encoding of this database is %s; crm_export_file and crm_export_to write UTF-8.",
						 GetDatabaseEncodingName()) :
				 errhint("There is no byte order mark in %s.", pg_encoding_to_char(encoding))));
}

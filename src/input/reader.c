/*
 * reader.c
 *	  What the readers of all formats share: finding the format, the options
 *	  that say how to read a file, and the names of columns.
 */
#include "input/reader.h"

#include "input/encoding.h"
#include "input/formats.h"
#include "utils/hsearch.h"
#include "utils/numeric.h"

/* How files of other formats begin. */
typedef struct Magic
{
	const char *bytes;
	int			length;
	const char *format;
	const char *hint;
} Magic;

static const Magic magics[] = {
	{"\x1F\x8B", 2, "gzip", "Decompress the file first."},
	{"PK\x03\x04", 4, "XLSX or ZIP", "Save the sheet as CSV, or unpack the archive first."},
	{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8, "XLS", "Save the sheet as CSV."}
};

/*
 * Opens a reader for the format that the first bytes tell.
 */
Reader *
crmio_reader_open(Source *source, const ReaderOptions *options)
{
	char		start[8];
	size_t		length = 0;
	size_t		n;

	if (source->open_reader != NULL)
		return source->open_reader(source);
	source->rewind(source);
	while (length < sizeof(start) &&
		   (n = source->read(source, start + length, sizeof(start) - length)) > 0)
		length += n;
	for (int i = 0; i < lengthof(magics); i++)
	{
		if (length >= magics[i].length &&
			memcmp(start, magics[i].bytes, magics[i].length) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("file \"%s\" is in the format %s, which can't be read",
							crmio_clip(source->name), magics[i].format),
					 errhint("%s", magics[i].hint)));
	}
	return crmio_csv_reader_open(source, options);
}

/* An entry of the table of column names; the key is the name, not the pointer. */
typedef struct NameEntry
{
	const char *name;
	int			last_number;	/* of the repetitions of this name */
} NameEntry;

/*
 * Gives the columns their names from raw_header: trimmed; `column N` if empty;
 * `Name (2)`, `Name (3)` if repeated.  A name that the file itself gives to
 * another column is passed over.
 */
void
crmio_reader_name_columns(Reader *reader)
{
	HTAB	   *names;
	bool		found;
	bool	   *settled = palloc0(reader->ncolumns * sizeof(bool));

	names = crmio_text_table("crmio column names", reader->ncolumns, sizeof(NameEntry));

	reader->column_names = palloc0(reader->ncolumns * sizeof(char *));
	for (int i = 0; i < reader->ncolumns; i++)
	{
		char	   *name = reader->raw_header ? crmio_trim(pstrdup(reader->raw_header[i])) : "";
		NameEntry  *entry;

		reader->column_names[i] = *name ? name : psprintf("column %d", i + 1);
		if (*name == '\0')
			continue;
		entry = hash_search(names, &name, HASH_ENTER, &found);
		settled[i] = !found;
		if (!found)
			entry->last_number = 1;
	}

	for (int i = 0; i < reader->ncolumns; i++)
	{
		char	   *base = reader->column_names[i];
		char	   *name = base;
		NameEntry  *entry;

		if (settled[i])
			continue;
		while ((entry = hash_search(names, &name, HASH_FIND, NULL)) != NULL)
		{
			entry = hash_search(names, &base, HASH_FIND, NULL);
			name = psprintf("%s (%d)", base, ++entry->last_number);
		}
		entry = hash_search(names, &name, HASH_ENTER, &found);
		entry->last_number = 1;
		reader->column_names[i] = name;
	}
	hash_destroy(names);
	pfree(settled);
}

/*
 * Everything is to be found.
 */
void
crmio_reader_options_init(ReaderOptions *options)
{
	options->encoding = NULL;
	options->delimiter = -1;
	options->quote = -1;
	options->header_row = -1;
}

/*
 * The text of an option that must be a string.
 */
static char *
string_option(const char *key, const JsonbValue *value, const char *hint)
{
	if (value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a string, not: %s",
						key, crmio_json_type_name(value)),
				 errhint("%s", hint)));
	return crmio_json_scalar_text(value);
}

/*
 * The byte that an option for a delimiter or quote stands for.
 */
static int
byte_option(const char *key, const JsonbValue *value, const char *hint)
{
	static const struct
	{
		const char *name;
		char		byte;
	}			names[] = {
		{"tab", '\t'}, {"\\t", '\t'}, {"comma", ','}, {"semicolon", ';'}, {"pipe", '|'}
	};
	char	   *text = string_option(key, value, hint);

	for (int i = 0; i < lengthof(names); i++)
	{
		if (pg_strcasecmp(text, names[i].name) == 0)
			return names[i].byte;
	}
	if (strlen(text) != 1 || IS_HIGHBIT_SET(text[0]) || text[0] == '\n' || text[0] == '\r')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a single ASCII character, not \"%s\"",
						key, crmio_clip(text)),
				 errhint("%s", hint)));
	return text[0];
}

/*
 * The line that holds the header, or 0 for none.
 */
static int64
header_row_option(const JsonbValue *value)
{
	int64		line = -1;

	if (value->type == jbvNumeric)
	{
		char	   *text = crmio_json_scalar_text(value);
		char	   *end;

		errno = 0;
		line = strtoi64(text, &end, 10);
		if (*end != '\0' || errno != 0)
			line = -1;
	}
	if (line < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"header_row\" must be the number of a line"),
				 errhint("The first line of the file is 1; 0 says that the file has no header.")));
	return line;
}

/*
 * Takes one of the keys that say how to read a file; false if it is another.
 * null stands for what is the case without the key.
 */
bool
crmio_reader_option(ReaderOptions *options, const char *key, const JsonbValue *value)
{
	bool		is_null = value->type == jbvNull;

	if (strcmp(key, "encoding") == 0)
	{
		options->encoding = is_null ? NULL :
			string_option(key, value, "Give a name such as \"UTF-8\" or \"WINDOWS-1252\".");
		if (options->encoding)
			crmio_encoding_check(options->encoding);
	}
	else if (strcmp(key, "delimiter") == 0)
		options->delimiter = is_null ? -1 :
			byte_option(key, value, "Use \",\", \";\", \"|\", \"tab\" or another character.");
	else if (strcmp(key, "quote") == 0)
		options->quote = is_null ? -1 :
			byte_option(key, value, "The usual one is the double quote; some files have the single quote.");
	else if (strcmp(key, "header_row") == 0)
		options->header_row = is_null ? -1 : header_row_option(value);
	else
		return false;
	return true;
}

/*
 * format.c
 *	  The formats by name.  A new one gets a row here and a file of its own.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "export/exporter.h"

/* Longest title in the properties of a file, in characters. */
#define MAX_TITLE 255

static const ExportFormat formats[] = {
	{"csv", true, crmio_csv_exporter},
	{"xlsx", false, crmio_xlsx_exporter},
	{"pdf", false, crmio_pdf_exporter}
};

/*
 * crmio_format_find
 *		The format of a name, in any case; an error that lists the formats if there is none.
 */
const ExportFormat *
crmio_format_find(const char *name)
{
	List	   *names = NIL;

	for (int i = 0; i < lengthof(formats); i++)
	{
		if (pg_strcasecmp(formats[i].name, name) == 0)
			return &formats[i];
		names = lappend(names, unconstify(char *, formats[i].name));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("format \"%s\" does not exist", crmio_clip(name)),
			 errhint("Formats are: %s.", crmio_join(names, ", "))));
	return NULL;				/* keep compiler quiet */
}

/*
 * crmio_format_title
 *		The title of an export for the properties of its file: UTF-8, not too long, with
 *		blanks for control characters.
 */
char *
crmio_format_title(const Exporter *exporter)
{
	const char *title = exporter->title;
	char	   *clipped = pnstrdup(title, pg_mbcharcliplen(title, strlen(title), MAX_TITLE));
	char	   *utf8 = pg_server_to_any(clipped, strlen(clipped), PG_UTF8);

	for (char *c = utf8; *c != '\0'; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
	return utf8;
}

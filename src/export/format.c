/*
 * format.c
 *	  The formats by name.  A new one gets a row here and a file of its own.
 */
#include "postgres.h"

#include "export/exporter.h"

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

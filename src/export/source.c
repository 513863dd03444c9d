/*
 * source.c
 *	  What the argument `query` of an export means: a module's name, report:NAME, or
 *	  a query.
 */
#include "postgres.h"

#include "export/export.h"

#define REPORT_PREFIX "report:"

/* How an export is called that is no list and no report. */
#define QUERY_TITLE "Export"

/*
 * is_one_word
 *		Can this only be meant as the name of a module?
 */
static bool
is_one_word(const char *text)
{
	return *text != '\0' && strpbrk(text, " \t\r\n\f\v();,'\"*/") == NULL;
}

/*
 * crmio_names_report
 *		Is `query` report:NAME?
 */
bool
crmio_names_report(const char *query)
{
	return strncmp(crmio_trim(pstrdup(query)), REPORT_PREFIX, strlen(REPORT_PREFIX)) == 0;
}

/*
 * crmio_export_source
 *		Resolves `query` with its options.  format: NULL for crm_export; strict: options
 *		that do not fit it are errors.  The result lives in CurrentMemoryContext.
 */
ExportSource *
crmio_export_source(const char *query, Jsonb *options, const ExportFormat *format, bool strict)
{
	ExportSource *source = palloc0(sizeof(ExportSource));
	char	   *text = crmio_trim(pstrdup(query));
	Jsonb	   *saved = NULL;
	Module	   *module;

	crmio_export_options_init(&source->options);
	if (crmio_names_report(text))
	{
		char	   *name = crmio_trim(text + strlen(REPORT_PREFIX));

		crmio_report_find(name, &text, &saved);
		source->title = name;
	}

	module = crmio_module_load(text, !is_one_word(text));
	if (saved != NULL)
		crmio_export_options_read(&source->options, saved, format, module != NULL, false);
	crmio_export_options_read(&source->options, options, format, module != NULL, strict);
	crmio_export_options_check(&source->options, format == NULL);
	if (module != NULL)
	{
		if (source->title == NULL)
			source->title = module->name;
		crmio_list_source(source, module);
		return source;
	}
	if (source->title == NULL)
		source->title = QUERY_TITLE;
	source->sql = text;
	return source;
}

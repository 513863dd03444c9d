/*
 * files.c
 *	  crm_export_file, crm_export_to and crm_export_lo: exports as a whole file, in any
 *	  of the formats.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "export/export.h"
#include "export/sink.h"

PG_FUNCTION_INFO_V1(crm_export_file);
PG_FUNCTION_INFO_V1(crm_export_to);
PG_FUNCTION_INFO_V1(crm_export_lo);

/* An export with all that it needs. */
typedef struct FileExport
{
	const ExportFormat *format;
	ExportSource *source;
	int64		nrows;
} FileExport;

/*
 * take_row
 *		Hands a row to the exporter.
 */
static bool
take_row(void *arg, const Datum *values, const bool *nulls)
{
	Exporter   *exporter = arg;

	exporter->row(exporter, values, nulls);
	return true;
}

/*
 * crmio_export_write
 *		Writes what a source gives; how many rows that was.
 */
int64
crmio_export_write(const ExportSource *source, const ExportFormat *format, Sink *sink)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "crmio export",
												  ALLOCSET_DEFAULT_SIZES);
	ExportResult *result;
	Exporter   *exporter;
	int64		nrows;

	MemoryContextSwitchTo(context);
	result = crmio_result_open(source);
	exporter = format->create();
	exporter->context = context;
	exporter->options = &source->options;
	exporter->sink = sink;
	exporter->title = source->options.title ? source->options.title : source->title;
	exporter->ncolumns = result->ncolumns;
	exporter->columns = result->columns;

	exporter->begin(exporter);
	(void) crmio_result_read(result, take_row, exporter);
	exporter->end(exporter);
	nrows = result->nrows;
	crmio_result_close(result);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return nrows;
}

/*
 * write_export
 *		The same, for a sink that calls back.
 */
static void
write_export(Sink *sink, void *arg)
{
	FileExport *self = arg;

	self->nrows = crmio_export_write(self->source, self->format, sink);
}

/*
 * read_arguments
 *		The arguments query, format and options, which all three functions have, from a
 *		position on.
 */
static void
read_arguments(FunctionCallInfo fcinfo, int first, FileExport *self)
{
	self->format = crmio_format_find(text_to_cstring(PG_GETARG_TEXT_PP(first + 1)));
	self->source = crmio_export_source(text_to_cstring(PG_GETARG_TEXT_PP(first)),
									   PG_GETARG_JSONB_P(first + 2), self->format, true);
}

/*
 * crm_export_file
 *		SELECT crm_export_file(query, format, options)
 */
Datum
crm_export_file(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"query", "format", "options"};
	FileExport	self = {0};
	Sink	   *sink;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	read_arguments(fcinfo, 0, &self);
	sink = crmio_sink_bytea();
	write_export(sink, &self);
	PG_RETURN_BYTEA_P(crmio_sink_bytea_value(sink));
}

/*
 * crm_export_to
 *		SELECT crm_export_to(path, query, format, options)
 */
Datum
crm_export_to(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"path", "query", "format", "options"};
	FileExport	self = {0};
	char	   *path;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	path = crmio_server_path(text_to_cstring(PG_GETARG_TEXT_PP(0)), "crm_export_file");
	read_arguments(fcinfo, 1, &self);
	crmio_sink_file(path, write_export, &self);
	PG_RETURN_INT64(self.nrows);
}

/*
 * crm_export_lo
 *		SELECT crm_export_lo(query, format, options)
 */
Datum
crm_export_lo(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"query", "format", "options"};
	FileExport	self = {0};
	Sink	   *sink;
	Oid			loid;

	crmio_check_arguments(fcinfo, lengthof(names), names);
	PreventCommandIfReadOnly("crm_export_lo()");
	read_arguments(fcinfo, 0, &self);
	sink = crmio_sink_lo(&loid);
	write_export(sink, &self);
	crmio_sink_lo_close(sink);
	PG_RETURN_OID(loid);
}

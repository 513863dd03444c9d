/*
 * csv_lines.h
 *	  Lines of CSV, for crm_export (one result row each) and for files.
 */
#ifndef CRMIO_CSV_LINES_H
#define CRMIO_CSV_LINES_H

#include "export/exporter.h"

/* How the lines of one export are written. */
typedef struct CsvWriter
{
	const ExportOptions *options;
	int			ncolumns;
	ExportColumn *columns;
	bool	   *plain;			/* columns whose texts never need quotes */
	bool		special[256];	/* bytes that make a field need quotes */
} CsvWriter;

extern void crmio_csv_writer_init(CsvWriter *writer, const ExportOptions *options,
								  int ncolumns, ExportColumn *columns);
extern void crmio_csv_header(CsvWriter *writer, StringInfo out);
extern void crmio_csv_line(CsvWriter *writer, StringInfo out, const Datum *values,
						   const bool *nulls);

#endif							/* CRMIO_CSV_LINES_H */

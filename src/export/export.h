/*
 * export.h
 *	  Inside the export room: from the argument `query` to rows.
 *
 *	  query, list or report -> ExportSource (source.c, list.c, report.c)
 *	  ExportSource -> ExportResult (result.c) -> rows, one at a time
 */
#ifndef CRMIO_EXPORT_H
#define CRMIO_EXPORT_H

#include "catalog/module.h"
#include "executor/execdesc.h"
#include "export/exporter.h"
#include "nodes/params.h"
#include "tcop/dest.h"

/* A column of a list, and the columns of its query that it is made of. */
typedef struct ListColumn
{
	char	   *header;
	int			source;			/* column of the query, from 0 */
	int			last_name;		/* of a full name: the column of its second part; else -1 */
	int			scale;			/* decimals, -1: as the type says */
} ListColumn;

/* What is exported. */
typedef struct ExportSource
{
	char	   *title;
	char	   *sql;
	bool		own_sql;		/* written by crmio, with qualified names */
	ParamListInfo params;		/* or NULL */
	int			nparams;
	Oid		   *param_types;
	List	   *list;			/* of ListColumn *; NIL: the query's columns as they are */
	ExportOptions options;
} ExportSource;

/* Takes a row; false to stop after it.  It runs in a context that is reset afterwards. */
typedef bool (*RowTaker) (void *arg, const Datum *values, const bool *nulls);

/* A query while it is read. */
typedef struct ExportResult
{
	DestReceiver dest;			/* first, so that the executor's is ours */
	MemoryContext row_context;
	const ExportSource *source;
	QueryDesc  *query;
	int			ncolumns;
	ExportColumn *columns;
	int		   *attributes;		/* of the query, for each column, from 0 */
	int		   *last_names;		/* likewise, or -1; NULL: there is no full name */
	bool		direct;			/* the query's columns are the export's */
	Datum	   *values;
	bool	   *nulls;
	RowTaker	take;
	void	   *take_arg;
	int64		nrows;
	bool		stopped;		/* by the taker */
} ExportResult;

/* options.c */
extern void crmio_export_options_init(ExportOptions *options);
extern void crmio_export_options_read(ExportOptions *options, Jsonb *json,
									  const ExportFormat *format, bool is_list, bool strict);
extern void crmio_export_options_check(const ExportOptions *options, bool to_client);

/* source.c */
extern bool crmio_names_report(const char *query);
extern ExportSource *crmio_export_source(const char *query, Jsonb *options,
										 const ExportFormat *format, bool strict);

/* list.c */
extern void crmio_list_source(ExportSource *source, const Module *module);

/* result.c */
extern void crmio_result_check(const ExportSource *source);
extern ExportResult *crmio_result_open(const ExportSource *source);
extern bool crmio_result_read(ExportResult *result, RowTaker take, void *arg);
extern void crmio_result_close(ExportResult *result);

/* report.c */
extern void crmio_report_find(const char *name, char **query, Jsonb **options);

/* files.c */
extern int64 crmio_export_write(const ExportSource *source, const ExportFormat *format, Sink *sink);

#endif							/* CRMIO_EXPORT_H */

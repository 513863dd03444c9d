/*
 * exporter.h
 *	  Records to files: what is exported, how cells become text, the formats and
 *	  where their bytes go.
 *
 *	  query, list or report -> result (result.c) -> exporter of a format -> sink
 *
 *	  CSV is in csv.c, XLSX in xlsx.c, PDF in pdf.c; the table of formats is in
 *	  format.c, sinks are in sink.c and sink_file.c.
 */
#ifndef CRMIO_EXPORTER_H
#define CRMIO_EXPORTER_H

#include "crmio.h"

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "utils/timestamp.h"

/*
 * Where bytes go, in order.  Nothing is written back over; `write` raises an error
 * if the bytes can't be kept.
 */
typedef struct Sink Sink;
struct Sink
{
	void		(*write) (Sink *sink, const char *data, size_t length);
};

/*
 * cell.c: cells as people read them
 */

/* What a spreadsheet can do with a value. */
typedef enum CellKind
{
	CELL_TEXT,
	CELL_NUMBER,				/* int2 to int8, float4, float8, numeric, money */
	CELL_BOOLEAN,
	CELL_DATE,
	CELL_TIMESTAMP,				/* without time zone */
	CELL_TIMESTAMPTZ			/* written in the session's time zone */
} CellKind;

typedef struct ExportColumn
{
	char	   *name;			/* header, in the database encoding */
	Oid			typid;			/* as the query gave it */
	int32		typmod;
	Oid			collation;
	Oid			base;			/* typid, domains resolved */
	CellKind	kind;
	int			scale;			/* CELL_NUMBER: decimals that each value has, or -1 */
	/* for cell.c */
	FmgrInfo	output;
	bool		portable;		/* its output function looks at settings */
	struct ExportColumn *element;	/* of an array */
	int16		element_length;
	bool		element_byval;
	char		element_align;
} ExportColumn;

extern void crmio_column_init(ExportColumn *column, const char *name, Oid typid,
							  int32 typmod, Oid collation);

/* Adds the text of a value that is not null, in the database encoding. */
extern void crmio_cell_append(StringInfo out, ExportColumn *column, Datum value);

/* The same, NUL-terminated in CurrentMemoryContext. */
extern char *crmio_cell_text(ExportColumn *column, Datum value);

/*
 * A CELL_DATE, CELL_TIMESTAMP or CELL_TIMESTAMPTZ by its parts, the last in the session's
 * time zone.  False for infinity, which is only text.
 */
extern bool crmio_cell_time(const ExportColumn *column, Datum value,
							struct pg_tm *tm, fsec_t *fsec);

/*
 * options.c: the options of an export, checked
 */
typedef struct ExportOptions
{
	/* of text: csv */
	char		delimiter;
	bool		header;
	bool		bom;
	bool		crlf;
	bool		quote_all;
	bool		escape_formulas;
	char	   *null;			/* what stands for NULL */
	int			encoding;		/* of a file */
	/* of lists */
	bool		names;			/* of records referred to, not their ids */
	List	   *columns;		/* of char *, field paths; NIL: the module's list */
	Jsonb	   *filter;			/* an object, or NULL */
	/* of sheets and pages */
	char	   *title;			/* NULL: what is exported, see Exporter.title */
} ExportOptions;

/*
 * An exporter writes one file.  Its functions run in the caller's memory
 * context: for `row` a short one that is reset after the row, so what must stay goes
 * to `context`, which is deleted with the export, also after an error:  what palloc
 * does not free hangs on it by MemoryContextRegisterResetCallback.
 */
typedef struct Exporter Exporter;
struct Exporter
{
	MemoryContext context;
	const ExportOptions *options;
	Sink	   *sink;
	const char *title;			/* option title; else the report, the module or "Export" */
	int			ncolumns;
	ExportColumn *columns;

	void		(*begin) (Exporter *exporter);	/* before the first row */
	void		(*row) (Exporter *exporter, const Datum *values, const bool *nulls);
	void		(*end) (Exporter *exporter);	/* after the last row */
};

/*
 * format.c: the formats by name
 */
typedef struct ExportFormat
{
	const char *name;			/* as crm_export_file takes it */
	bool		is_text;		/* takes the options of text */

	/*
	 * Makes the exporter in CurrentMemoryContext, with its functions filled in; the
	 * caller fills in the rest of the struct before `begin`.
	 */
	Exporter   *(*create) (void);
} ExportFormat;

extern const ExportFormat *crmio_format_find(const char *name);
extern char *crmio_format_title(const Exporter *exporter);

extern Exporter *crmio_csv_exporter(void);
extern Exporter *crmio_xlsx_exporter(void);
extern Exporter *crmio_pdf_exporter(void);

#endif							/* CRMIO_EXPORTER_H */

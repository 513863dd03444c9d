/*
 * csv_parser.h
 *	  Rows of a CSV file as they stand in it, read by libcsv.
 */
#ifndef CRMIO_CSV_PARSER_H
#define CRMIO_CSV_PARSER_H

#include <csv.h>

#include "input/lines.h"

/* How many bytes are looked at when rows are read as a sample. */
#define CRMIO_SAMPLE_BYTES	(1024 * 1024)

/* What a spreadsheet can hold; a longer header is rubbish. */
#define CRMIO_MAX_COLUMNS	16384

typedef struct CsvParser
{
	struct csv_parser lib;
	Lines	   *lines;
	size_t		field_max;		/* bytes */
	size_t		row_max;
	bool		sampling;		/* stop at sample_end; no quote need be closed */
	int64		sample_end;		/* position in the file; 0: set by the next row */

	/* the row that was read last; strings are NUL-terminated, in `data` */
	int64		line_number;	/* on which it starts */
	int			nfields;
	size_t	   *starts;			/* of each field in `data` */
	char	   *data;
	size_t		data_length;
	const char *error_code;		/* NULL, or what is wrong with the row */
	char	   *error_reason;
	int			error_field;	/* index of the field, or -1 */

	/* while a row is being read */
	size_t		data_size;
	int			starts_size;
	bool		in_row;
	bool		row_done;
	bool		field_cut;		/* the field was too long: its text was dropped */
	bool		blank_after_quote;	/* blanks stood after a closing quote */
	bool		quote_open;		/* the line before ended inside quotes */
	int64		quote_line;		/* on which these were opened */
	bool		drop_line_end;	/* of the row's last field */
} CsvParser;

extern void crmio_csv_init(CsvParser *parser, Lines *lines, char delimiter, char quote);
extern void crmio_csv_restart(CsvParser *parser);
extern bool crmio_csv_next(CsvParser *parser);
extern bool crmio_csv_row_is_empty(const CsvParser *parser);

/* The text of a field of the row read last. */
static inline char *
crmio_csv_field(const CsvParser *parser, int i)
{
	return parser->data + parser->starts[i];
}

#endif							/* CRMIO_CSV_PARSER_H */

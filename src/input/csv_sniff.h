/*
 * csv_sniff.h
 *	  What a CSV file does not say: its delimiter, and where its header is.
 */
#ifndef CRMIO_CSV_SNIFF_H
#define CRMIO_CSV_SNIFF_H

#include "input/csv_parser.h"

typedef struct CsvLayout
{
	char		delimiter;
	int64		first_line;		/* 2 if the first only names the delimiter */
	int64		header_line;	/* 0: none */
	int			widest;			/* most fields of the rows looked at */
} CsvLayout;

/* What is left open (a delimiter of -1, a header_row of -1) is found. */
extern void crmio_csv_sniff(Lines *lines, int delimiter, char quote,
							int64 header_row, CsvLayout *layout);

#endif							/* CRMIO_CSV_SNIFF_H */

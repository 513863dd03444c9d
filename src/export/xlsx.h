/*
 * xlsx.h
 *	  What the files of the XLSX exporter share: text as a sheet holds it, UTF-8 that
 *	  XML can carry within the limits of cells and of names, and the last check.
 */
#ifndef CRMIO_XLSX_H
#define CRMIO_XLSX_H

#include "crmio.h"

/* Most characters of a cell, as Excel counts them: in UTF-16. */
#define XLSX_MAX_CELL 32767

/* Widest column, in characters of the standard font; longer lines are broken. */
#define XLSX_MAX_WIDTH 60

typedef struct XlsxText
{
	char	   *data;			/* in CurrentMemoryContext */
	int			width;			/* of its longest line, in columns of a terminal */
	int			nlines;			/* in the widest column */
	bool		cut;			/* was longer than a cell may be; ends in a mark */
} XlsxText;

/* xlsx_text.c */
extern void crmio_xlsx_text(XlsxText *cell, const char *text, size_t length);
extern char *crmio_xlsx_sheet_name(const char *title, int number);
extern int	crmio_number_digits(const char *text, int *decimals);

/* xlsx_check.c */
extern void crmio_xlsx_check(const char *path, int nsheets, const off_t *rows);

#endif							/* CRMIO_XLSX_H */

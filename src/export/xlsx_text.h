/*
 * xlsx_text.h
 *	  Text as an XLSX holds it: UTF-8 that XML can carry, within the limits of cells
 *	  and of sheet names.
 */
#ifndef CRMIO_XLSX_TEXT_H
#define CRMIO_XLSX_TEXT_H

#include "crmio.h"

/* Most characters of a cell, as Excel counts them: in UTF-16. */
#define XLSX_MAX_CELL 32767

typedef struct XlsxText
{
	char	   *data;			/* in CurrentMemoryContext */
	int			width;			/* of its longest line, in columns of a terminal */
	bool		lines;			/* has several */
	bool		cut;			/* was longer than a cell may be; ends in a mark */
} XlsxText;

extern void crmio_xlsx_text(XlsxText *cell, const char *text, size_t length);
extern char *crmio_xlsx_plain(const char *text);
extern char *crmio_xlsx_sheet_name(const char *title, int number);
extern int	crmio_number_digits(const char *text, int *decimals);

#endif							/* CRMIO_XLSX_TEXT_H */

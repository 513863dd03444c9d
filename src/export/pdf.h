/*
 * pdf.h
 *	  What the files of the PDF exporter share: the document of libharu with its
 *	  font (pdf_document.c, pdf_font.c, pdf_unicode.c), and text broken into lines (pdf_text.c).  Tables and
 *	  pages are in pdf.c.
 */
#ifndef CRMIO_PDF_H
#define CRMIO_PDF_H

#include "export/exporter.h"

#include <fribidi/fribidi.h>
#include <hpdf.h>

/*
 * A document.  libharu composes all of it in memory, here in a context of its own,
 * and reports errors to a handler that must not jump: it leaves them here, and
 * crmio_pdf_check raises them.  libharu allocates in CurrentMemoryContext, so its
 * functions are called between crmio_pdf_enter and the switch back.
 */
typedef struct PdfDocument
{
	HPDF_Doc	doc;			/* NULL: freed */
	MemoryContext context;
	MemoryContextCallback release;
	bool		has_external_fd;
	HPDF_STATUS error;			/* the first one; HPDF_OK: none */
	HPDF_STATUS detail;

	HPDF_Font	font;
	HPDF_FontDef font_definition;
	int16	   *widths;			/* by character: see pdf_font.c */
	double		ascent;			/* in units of the font's size */
	double		descent;		/* positive */

	int64		nlacking;		/* characters that the font has no glyph for */
	uint32		first_lacking;
} PdfDocument;

/* Widths of text are in thousandths of the font's size. */
#define PDF_EM 1000

/*
 * A text ready to be broken into lines: characters that the font has, joined and
 * mirrored, in logical order.
 */
typedef struct PdfText
{
	int			length;
	FriBidiChar *chars;			/* '\n' ends a paragraph */
	uint8	   *classes;		/* see pdf_text.c */
	bool		bidi;			/* some of it runs from right to left */
	FriBidiCharType *types;		/* if bidi */
	FriBidiLevel *levels;
	int			width;			/* of its longest paragraph */
	int			word_width;		/* of its longest word */
} PdfText;

typedef struct PdfLine
{
	char	   *text;			/* UTF-8, from left to right */
	int			width;
	bool		right_to_left;	/* belongs to the right edge */
} PdfLine;

/* pdf_document.c */
extern PdfDocument *crmio_pdf_open(MemoryContext context);
extern MemoryContext crmio_pdf_enter(PdfDocument *document);
extern void crmio_pdf_too_large(void);
extern void crmio_pdf_check(PdfDocument *document, HPDF_STATUS status);
extern void crmio_pdf_save(PdfDocument *document, Sink *sink);
extern void crmio_pdf_close(PdfDocument *document);

/* pdf_font.c */
extern void crmio_pdf_load_font(PdfDocument *document);
extern int	crmio_pdf_width(PdfDocument *document, uint32 character);

/* pdf_unicode.c */
extern void crmio_pdf_map_to_unicode(PdfDocument *document);

/* pdf_text.c */
extern void crmio_pdf_text(PdfDocument *document, PdfText *text, const char *source, size_t length);
extern List *crmio_pdf_lines(PdfDocument *document, PdfText *text, int width);
extern PdfLine *crmio_pdf_title_line(PdfDocument *document, const char *source, int width);

#endif							/* CRMIO_PDF_H */

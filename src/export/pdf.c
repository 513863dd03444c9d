/*
 * pdf.c
 *	  Exporter of PDF: a table with a repeated header, on numbered pages.
 *
 *	  result -> row: text of cells -> widths of columns, from the first rows
 *		-> lines (pdf_text.c) -> pages -> document (pdf_document.c) -> sink
 *
 *	  All lengths are in points, 1/72 inch, and count from the lower left corner, unless
 *	  they are widths of text, which are in thousandths of the font's size.
 */
#include "export/pdf.h"

#include <limits.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

/* A4, and the largest page that PDF knows. */
#define PAGE_SHORT 595.276
#define PAGE_LONG 841.89
#define PAGE_LARGEST 14400.0

#define MARGIN 36.0
#define TITLE_SIZE 12.0
#define SMALL_SIZE 8.0
#define DATE_WIDTH 150.0		/* room beside the title */
#define TITLE_HEIGHT 24.0		/* above the table */
#define FOOTER_HEIGHT 18.0		/* below it */
#define LOWER_EDGE (MARGIN + FOOTER_HEIGHT)

/* Beside and above the text of a cell. */
#define PAD_X 4.0
#define PAD_Y 2.0

#define HAIRLINE 0.25
#define LEADING 1.05			/* of the height of the font */

/* Strokes make letters bold that are this part of the font's size. */
#define BOLD_STROKE 0.03

/* Sizes of text, the one that is preferred first. */
static const double font_sizes[] = {9, 8, 7};

/* Text beyond this width is broken anyway, a word beyond that. */
#define MAX_NATURAL (36 * PDF_EM)
#define MAX_WORD (14 * PDF_EM)

/* A smaller size is tried before columns get less of the width that they would like. */
#define SQUEEZE 0.7

/* Columns are measured by so many rows, or so many bytes. */
#define SAMPLE_ROWS 1000
#define SAMPLE_BYTES (4 * 1024 * 1024)

typedef struct PdfColumn
{
	int			wanted;			/* width of its text in one line */
	int			natural;		/* the same, within reason */
	int			least;			/* width of its longest word */
	double		x;				/* of the left edge of its text */
	double		width;			/* of its text */
} PdfColumn;

typedef struct PdfExporter
{
	Exporter	base;
	PdfDocument *document;
	PdfColumn  *columns;

	/* the first rows, kept until the columns have their widths */
	MemoryContext sample_context;
	List	   *sample;			/* of char **, NULL for NULL */
	size_t		sample_bytes;
	bool		laid_out;

	double		size;			/* of the text */
	double		line_height;
	double		page_width;
	double		page_height;
	double		table_width;
	const char *date;
	HPDF_Page	page;
	int			npages;
	double		y;				/* upper edge of what comes next */
	int64		nrows;
} PdfExporter;

/*
 * Raises what libharu reports about a call.
 */
static inline void
check(PdfExporter *pdf, HPDF_STATUS status)
{
	if (status != HPDF_OK || pdf->document->error != HPDF_OK)
		crmio_pdf_check(pdf->document, status);
}

/*
 * Writes a line at the left edge x, or with its right end at x + width.
 */
static void
draw_line(PdfExporter *pdf, const PdfLine *line, double x, double baseline,
		  double size, double width, bool right)
{
	if (right)
		x += width - line->width * size / PDF_EM;
	check(pdf, HPDF_Page_TextOut(pdf->page, x, baseline, line->text));
}

/*
 * Letters become bold by a stroke around them: so one font file does for both.
 */
static void
set_bold(PdfExporter *pdf, double size)
{
	check(pdf, HPDF_Page_SetRGBStroke(pdf->page, 0, 0, 0));
	check(pdf, HPDF_Page_SetLineWidth(pdf->page, size * BOLD_STROKE));
	check(pdf, HPDF_Page_SetTextRenderingMode(pdf->page, HPDF_FILL_THEN_STROKE));
}

/*
 * Writes a line of text of its own at the left or right margin.
 */
static void
draw_margin_text(PdfExporter *pdf, const char *text, double baseline, double size,
				 double room, bool right)
{
	PdfLine    *line = crmio_pdf_title_line(pdf->document, text, room / size * PDF_EM);
	MemoryContext caller = crmio_pdf_enter(pdf->document);

	check(pdf, HPDF_Page_BeginText(pdf->page));
	check(pdf, HPDF_Page_SetFontAndSize(pdf->page, pdf->document->font, size));
	if (size == TITLE_SIZE)
		set_bold(pdf, size);
	draw_line(pdf, line, MARGIN, baseline, size, pdf->page_width - 2 * MARGIN, right);
	check(pdf, HPDF_Page_EndText(pdf->page));
	MemoryContextSwitchTo(caller);
}

/*
 * Writes title and date above the table.
 */
static void
draw_title(PdfExporter *pdf)
{
	double		baseline = pdf->page_height - MARGIN - pdf->document->ascent * TITLE_SIZE;
	double		room = pdf->page_width - 2 * MARGIN;

	draw_margin_text(pdf, pdf->date, baseline, SMALL_SIZE, DATE_WIDTH, true);
	draw_margin_text(pdf, pdf->base.title, baseline, TITLE_SIZE, room - DATE_WIDTH, false);
	pdf->y = pdf->page_height - MARGIN - TITLE_HEIGHT;
}

/*
 * Writes the lines from `first` of each cell, at most `count`, and moves down.  Rows
 * of the header are bold on grey; below others there is a hairline.
 */
static void
draw_lines(PdfExporter *pdf, List **cells, int first, int count, bool header)
{
	double		height = count * pdf->line_height + 2 * PAD_Y;
	double		baseline = pdf->y - PAD_Y - pdf->document->ascent * pdf->size;
	MemoryContext caller = crmio_pdf_enter(pdf->document);

	if (header)
	{
		check(pdf, HPDF_Page_SetRGBFill(pdf->page, 0.90, 0.92, 0.94));
		check(pdf, HPDF_Page_Rectangle(pdf->page, MARGIN, pdf->y - height, pdf->table_width, height));
		check(pdf, HPDF_Page_Fill(pdf->page));
		check(pdf, HPDF_Page_SetRGBFill(pdf->page, 0, 0, 0));
	}

	check(pdf, HPDF_Page_BeginText(pdf->page));
	check(pdf, HPDF_Page_SetFontAndSize(pdf->page, pdf->document->font, pdf->size));
	if (header)
		set_bold(pdf, pdf->size);
	for (int i = 0; i < pdf->base.ncolumns; i++)
	{
		PdfColumn  *column = &pdf->columns[i];
		int			end = Min(list_length(cells[i]), first + count);

		for (int j = first; j < end; j++)
		{
			PdfLine    *line = list_nth(cells[i], j);

			draw_line(pdf, line, column->x, baseline - (j - first) * pdf->line_height, pdf->size,
					  column->width,
					  line->right_to_left || pdf->base.columns[i].kind == CELL_NUMBER);
		}
	}
	check(pdf, HPDF_Page_EndText(pdf->page));
	pdf->y -= height;

	if (!header)
	{
		check(pdf, HPDF_Page_MoveTo(pdf->page, MARGIN, pdf->y));
		check(pdf, HPDF_Page_LineTo(pdf->page, MARGIN + pdf->table_width, pdf->y));
		check(pdf, HPDF_Page_Stroke(pdf->page));
	}
	MemoryContextSwitchTo(caller);
}

/*
 * Breaks the texts of a row into lines; returns how many the highest cell has.
 */
static int
break_cells(PdfExporter *pdf, char **texts, List **cells)
{
	int			count = 1;

	for (int i = 0; i < pdf->base.ncolumns; i++)
	{
		PdfText		text;

		cells[i] = NIL;
		if (texts[i] == NULL)
			continue;
		crmio_pdf_text(pdf->document, &text, texts[i], strlen(texts[i]));
		cells[i] = crmio_pdf_lines(pdf->document, &text,
								   pdf->columns[i].width / pdf->size * PDF_EM + 0.5);
		count = Max(count, list_length(cells[i]));
	}
	return count;
}

/*
 * Begins a page, with title, date and the header of the table.
 */
static void
begin_page(PdfExporter *pdf)
{
	char	  **names = palloc(sizeof(char *) * pdf->base.ncolumns);
	List	  **cells = palloc(sizeof(List *) * pdf->base.ncolumns);
	MemoryContext caller;
	int			count;

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < pdf->base.ncolumns; i++)
		names[i] = pdf->base.columns[i].name;
	count = break_cells(pdf, names, cells);

	/* labels may be of any length, but must leave room for rows */
	count = Min(count, (int) ((pdf->page_height / 2 - MARGIN) / pdf->line_height));

	caller = crmio_pdf_enter(pdf->document);
	pdf->page = HPDF_AddPage(pdf->document->doc);
	check(pdf, HPDF_OK);
	check(pdf, HPDF_Page_SetWidth(pdf->page, pdf->page_width));
	check(pdf, HPDF_Page_SetHeight(pdf->page, pdf->page_height));
	MemoryContextSwitchTo(caller);
	draw_title(pdf);
	draw_lines(pdf, cells, 0, count, true);

	(void) crmio_pdf_enter(pdf->document);
	check(pdf, HPDF_Page_SetTextRenderingMode(pdf->page, HPDF_FILL));
	check(pdf, HPDF_Page_SetLineWidth(pdf->page, HAIRLINE));
	check(pdf, HPDF_Page_SetRGBStroke(pdf->page, 0.8, 0.8, 0.8));
	MemoryContextSwitchTo(caller);
	pdf->npages++;
}

/*
 * Writes a row, on a further page if it does not fit here; one that is higher than a
 * page is split.
 */
static void
draw_row(PdfExporter *pdf, char **texts)
{
	List	  **cells = palloc(sizeof(List *) * pdf->base.ncolumns);
	int			count = break_cells(pdf, texts, cells);
	bool		fresh = false;	/* nothing is on the page yet */
	int			done = 0;

	while (done < count)
	{
		int			room = (pdf->y - LOWER_EDGE - 2 * PAD_Y) / pdf->line_height;

		if (!fresh && room < count - done)
		{
			begin_page(pdf);
			fresh = true;
			continue;
		}
		room = Min(Max(room, 1), count - done);
		draw_lines(pdf, cells, done, room, false);
		done += room;
		fresh = false;
	}
	pdf->nrows++;
}

/*
 * Measures a text for its column.
 */
static void
measure_cell(PdfExporter *pdf, int i, const char *source)
{
	PdfColumn  *column = &pdf->columns[i];
	PdfText		text;

	crmio_pdf_text(pdf->document, &text, source, strlen(source));
	column->wanted = Max(column->wanted, text.width);
	column->natural = Max(column->natural, Min(text.width, MAX_NATURAL));

	/* numbers and dates are not broken */
	column->least = Max(column->least,
						pdf->base.columns[i].kind == CELL_TEXT ? Min(text.word_width, MAX_WORD) :
						Min(text.width, MAX_NATURAL));
}

/*
 * Measures headers and the first rows.
 */
static void
measure_columns(PdfExporter *pdf)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crmio PDF measure",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ListCell   *lc;

	for (int i = 0; i < pdf->base.ncolumns; i++)
	{
		PdfColumn  *column = &pdf->columns[i];
		PdfText		text;

		crmio_pdf_text(pdf->document, &text, pdf->base.columns[i].name, strlen(pdf->base.columns[i].name));
		column->wanted = column->natural = Min(text.width, MAX_NATURAL);
		column->least = Max(Min(text.word_width, MAX_WORD), PDF_EM);
		column->natural = Max(column->natural, column->least);
	}
	foreach(lc, pdf->sample)
	{
		char	  **texts = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < pdf->base.ncolumns; i++)
			if (texts[i] != NULL)
				measure_cell(pdf, i, texts[i]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);

	/* what was seen of the font's lacks is counted when it is written */
	pdf->document->nlacking = 0;
}

/*
 * The width of a page on which columns have text of this width in all.
 */
static double
page_width_for(const PdfExporter *pdf, double text, double size)
{
	return text * size / PDF_EM + pdf->base.ncolumns * 2 * PAD_X + 2 * MARGIN;
}

/*
 * Chooses the page and the size of the text: portrait if the columns have all the width
 * that they would like, else landscape, with smaller text if need be.  Where
 * that does not do, the page grows and keeps its proportions, to be scaled when printed.
 */
static void
choose_page(PdfExporter *pdf, double natural, double least)
{
	pdf->size = font_sizes[0];
	pdf->page_width = PAGE_SHORT;
	pdf->page_height = PAGE_LONG;
	if (page_width_for(pdf, natural, pdf->size) <= PAGE_SHORT)
		return;

	pdf->page_width = PAGE_LONG;
	pdf->page_height = PAGE_SHORT;
	for (int i = 0; i < lengthof(font_sizes); i++)
	{
		pdf->size = font_sizes[i];
		if (page_width_for(pdf, Max(least, natural * SQUEEZE), pdf->size) <= PAGE_LONG)
			return;
	}
	pdf->page_width = page_width_for(pdf, natural * SQUEEZE, pdf->size);
	pdf->page_width = Min(pdf->page_width, PAGE_LARGEST);
	pdf->page_width = Max(pdf->page_width, page_width_for(pdf, least, pdf->size));
	pdf->page_height = pdf->page_width * PAGE_SHORT / PAGE_LONG;
	if (pdf->page_width > PAGE_LARGEST)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d columns are too many for the pages of a PDF", pdf->base.ncolumns),
				 errhint("Export fewer columns, or export to csv or xlsx.")));
}

/*
 * The width of the text of a column where no column has more than this.
 */
static inline double
limited_width(const PdfColumn *column, double limit)
{
	return Min(column->natural, Max(column->least, limit));
}

/*
 * The limit of widths with which all columns fill the room: so the widest texts are the
 * ones that are broken.  It is found by halving, to less than one thousandth.
 */
static double
width_limit(const PdfExporter *pdf, double room)
{
	double		low = 0;
	double		high = MAX_NATURAL;

	while (high - low > 1)
	{
		double		limit = (low + high) / 2;
		double		total = 0;

		for (int i = 0; i < pdf->base.ncolumns; i++)
			total += limited_width(&pdf->columns[i], limit);
		if (total > room)
			high = limit;
		else
			low = limit;
	}
	return low;
}

/*
 * Gives the columns their places.  Room that is left over goes to the longest texts.
 */
static void
place_columns(PdfExporter *pdf, double natural)
{
	double		room = (pdf->page_width - page_width_for(pdf, 0, pdf->size)) / pdf->size * PDF_EM;
	double		limit = natural > room ? width_limit(pdf, room) : MAX_NATURAL;
	double		x = MARGIN;
	int			nlong = 0;

	for (int i = 0; i < pdf->base.ncolumns; i++)
		nlong += pdf->columns[i].wanted > pdf->columns[i].natural;
	for (int i = 0; i < pdf->base.ncolumns; i++)
	{
		PdfColumn  *column = &pdf->columns[i];
		double		width = limited_width(column, limit);

		if (room > natural && column->wanted > column->natural)
			width = Min(column->wanted, width + (room - natural) / nlong);
		column->width = width * pdf->size / PDF_EM;
		column->x = x + PAD_X;
		x += column->width + 2 * PAD_X;
	}
	pdf->table_width = x - MARGIN;
}

/*
 * Lays the table out by its first rows, and writes these.
 */
static void
lay_out(PdfExporter *pdf)
{
	double		natural = 0;
	double		least = 0;
	ListCell   *lc;
	MemoryContext context;
	MemoryContext caller;

	measure_columns(pdf);
	for (int i = 0; i < pdf->base.ncolumns; i++)
	{
		natural += pdf->columns[i].natural;
		least += pdf->columns[i].least;
	}
	choose_page(pdf, natural, least);
	place_columns(pdf, natural);
	pdf->line_height = (pdf->document->ascent + pdf->document->descent) * pdf->size * LEADING;
	pdf->laid_out = true;

	context = AllocSetContextCreate(CurrentMemoryContext, "crmio PDF row", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	begin_page(pdf);
	foreach(lc, pdf->sample)
	{
		CHECK_FOR_INTERRUPTS();
		draw_row(pdf, lfirst(lc));
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	MemoryContextDelete(pdf->sample_context);
	pdf->sample = NIL;
}

/*
 * The time of the export, in the session's zone.
 */
static const char *
current_date(void)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			zone;
	const char *name;

	if (timestamp2tm(GetCurrentTransactionStartTimestamp(), &zone, &tm, &fsec, &name, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return psprintf("%04d-%02d-%02d %02d:%02d %s", tm.tm_year, tm.tm_mon, tm.tm_mday,
					tm.tm_hour, tm.tm_min, name ? name : "");
}

/*
 * Notes in the file what it is, by what, and from when.
 */
static void
set_properties(PdfExporter *pdf)
{
	char	   *title = crmio_format_title(&pdf->base);
	HPDF_Doc	doc = pdf->document->doc;
	struct pg_tm tm;
	fsec_t		fsec;
	HPDF_Date	date = {.ind = 'Z'};
	MemoryContext caller = crmio_pdf_enter(pdf->document);

	check(pdf, HPDF_SetInfoAttr(doc, HPDF_INFO_TITLE, title));
	check(pdf, HPDF_SetInfoAttr(doc, HPDF_INFO_CREATOR, "crmio"));
	if (timestamp2tm(GetCurrentTransactionStartTimestamp(), NULL, &tm, &fsec, NULL, NULL) == 0)
	{
		date.year = tm.tm_year;
		date.month = tm.tm_mon;
		date.day = tm.tm_mday;
		date.hour = tm.tm_hour;
		date.minutes = tm.tm_min;
		date.seconds = tm.tm_sec;
		check(pdf, HPDF_SetInfoDateAttr(doc, HPDF_INFO_CREATION_DATE, date));
	}
	MemoryContextSwitchTo(caller);
}

/*
 * Begins the document.
 */
static void
pdf_begin(Exporter *exporter)
{
	PdfExporter *pdf = (PdfExporter *) exporter;
	MemoryContext caller = MemoryContextSwitchTo(exporter->context);

	pdf->document = crmio_pdf_open(exporter->context);
	pdf->columns = palloc0(sizeof(PdfColumn) * exporter->ncolumns);
	pdf->sample_context = AllocSetContextCreate(exporter->context, "crmio PDF sample",
												ALLOCSET_DEFAULT_SIZES);
	pdf->date = current_date();
	set_properties(pdf);
	MemoryContextSwitchTo(caller);
}

/*
 * The text of a value: as in other text files, but of a time as much as people read,
 * without fractions of seconds and offset; the zone stands beside the date of the page.
 */
static char *
cell_text(ExportColumn *column, Datum value)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if ((column->kind == CELL_TIMESTAMP || column->kind == CELL_TIMESTAMPTZ) &&
		crmio_cell_time(column, value, &tm, &fsec) && tm.tm_year > 0 && tm.tm_year <= 9999)
		return psprintf("%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday,
						tm.tm_hour, tm.tm_min, tm.tm_sec);
	return crmio_cell_text(column, value);
}

/*
 * Keeps a row until the columns can be measured, then writes it at once.
 */
static void
pdf_row(Exporter *exporter, const Datum *values, const bool *nulls)
{
	PdfExporter *pdf = (PdfExporter *) exporter;
	MemoryContext caller = CurrentMemoryContext;
	char	  **texts;

	if (!pdf->laid_out)
		MemoryContextSwitchTo(pdf->sample_context);
	texts = palloc0(sizeof(char *) * exporter->ncolumns);
	for (int i = 0; i < exporter->ncolumns; i++)
	{
		if (nulls[i])
			continue;
		texts[i] = cell_text(&exporter->columns[i], values[i]);
		pdf->sample_bytes += strlen(texts[i]);
	}
	if (pdf->laid_out)
	{
		draw_row(pdf, texts);
		return;
	}
	pdf->sample = lappend(pdf->sample, texts);
	MemoryContextSwitchTo(caller);
	if (list_length(pdf->sample) >= SAMPLE_ROWS || pdf->sample_bytes >= SAMPLE_BYTES)
		lay_out(pdf);
}

/*
 * Writes the page numbers, now that their total is known.
 */
static void
draw_page_numbers(PdfExporter *pdf)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "crmio PDF page numbers",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	for (int i = 0; i < pdf->npages; i++)
	{
		pdf->page = HPDF_GetPageByIndex(pdf->document->doc, i);
		check(pdf, HPDF_OK);
		draw_margin_text(pdf, psprintf("Page %d of %d", i + 1, pdf->npages), MARGIN, SMALL_SIZE,
						 pdf->page_width - 2 * MARGIN, true);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * Completes the document and sends it.
 */
static void
pdf_end(Exporter *exporter)
{
	PdfExporter *pdf = (PdfExporter *) exporter;
	PdfDocument *document = pdf->document;

	if (!pdf->laid_out)
		lay_out(pdf);
	if (pdf->nrows == 0)
		draw_margin_text(pdf, "(no rows)", pdf->y - 2 * SMALL_SIZE, SMALL_SIZE,
						 pdf->page_width - 2 * MARGIN, false);
	draw_page_numbers(pdf);
	crmio_pdf_save(document, exporter->sink);
	crmio_pdf_close(document);

	if (document->nlacking > 0)
		ereport(WARNING,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg_plural("the font lacks " INT64_FORMAT " character, which is shown by its number, like [U+%04X]",
							   "the font lacks " INT64_FORMAT " characters, which are shown by their numbers, like [U+%04X]",
							   document->nlacking, document->nlacking, document->first_lacking),
				 errhint("Set crmio.pdf_font to a TrueType font that has them.")));
}

/*
 * The exporter of PDF.
 */
Exporter *
crmio_pdf_exporter(void)
{
	PdfExporter *pdf = palloc0(sizeof(PdfExporter));

	pdf->base.begin = pdf_begin;
	pdf->base.row = pdf_row;
	pdf->base.end = pdf_end;
	return &pdf->base;
}

/*
 * xlsx.c
 *	  Exporter of XLSX, by libxlsxwriter in its constant-memory mode: rows go to
 *	  nameless temporary files in the server's folder for them, which the library
 *	  packs at the end into one more temporary file, whose bytes go to the sink.
 *
 *	  result -> row: typed cells -> spool files of the library -> zip -> sink
 *
 *	  The text of cells is made XML-safe in xlsx_text.c, and xlsx_check.c looks whether
 *	  all of it has arrived; see also exporter.h.
 */
#include "export/exporter.h"
#include "export/xlsx.h"

#include <float.h>
#include <math.h>
#include <xlsxwriter.h>

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "commands/tablespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "storage/fd.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

/* Narrowest column, in characters of the standard font. */
#define MIN_WIDTH 8

/* Height of a line in points, and the most lines of a row that are seen at once. */
#define LINE_HEIGHT LXW_DEF_ROW_HEIGHT
#define MAX_LINES 20

/* Room in the header for the filter's button, and beside the longest value. */
#define BUTTON_WIDTH 4
#define PADDING 1.5

#define DATE_WIDTH 10			/* 2026-09-30 */
#define TIMESTAMP_WIDTH 19		/* 2026-09-30 12:00:00 */
#define FRACTION_WIDTH 23		/* 2026-09-30 12:00:00.000 */

/*
 * A double holds every number of 15 digits; a spreadsheet shows and keeps no more, so
 * that a longer account number would end in zeros.
 */
#define MAX_DIGITS DBL_DIG

/* Spreadsheets have no number beyond these. */
#define MAX_NUMBER 9.99999999999999e307
#define MIN_NUMBER 2.2250738585072014e-308

/*
 * Days are counted from here.  Before March 1900 spreadsheets differ, because the
 * first of them believed in a 29 February 1900.
 */
#define EPOCH_JDATE (date2j(1899, 12, 30))
#define FIRST_DAY (date2j(1900, 3, 1) - EPOCH_JDATE)

/* So many rows are written between looks at the spool file. */
#define ROWS_PER_CHECK 1000

typedef struct XlsxExporter
{
	Exporter	base;
	File		file;			/* of the whole, made by the library */
	char	   *tmpdir;
	char	   *title;			/* UTF-8 */
	lxw_workbook *workbook;		/* NULL: not there yet, or closed */
	lxw_worksheet *sheet;
	int			nsheets;
	lxw_row_t	next_row;		/* of the sheet */
	int			row_lines;		/* of text in the row */
	int64		nrows;			/* of the export */
	int			external_fds;
	off_t	   *spooled;		/* by sheet: bytes of its rows, once it is complete */
	off_t		spooled_before; /* in all sheets before this one */
	int		   *widths;			/* of columns, in characters */
	MemoryContextCallback release;

	lxw_format *header;
	lxw_format *text;
	lxw_format *lines;			/* text that is broken into lines */
	lxw_format *general;
	lxw_format *boolean;
	lxw_format *date;
	lxw_format *timestamp;
	lxw_format *fraction;		/* timestamp with milliseconds */
	lxw_format *decimals[MAX_DIGITS + 1];	/* numbers by scale; NULL: not used yet */

	int64		ncut;			/* values that were too long */
	int64		cut_row;
	const char *cut_column;
} XlsxExporter;

StaticAssertDecl(MaxTupleAttributeNumber <= LXW_COL_MAX, "a sheet holds every column of a query");

/*
 * Frees what the library has, also after an error in the middle: it leaves the
 * spool files of sheets open when they were not packed.
 */
static void
release_workbook(void *arg)
{
	XlsxExporter *xlsx = arg;
	lxw_worksheet *sheet;

	if (xlsx->workbook != NULL)
	{
		LXW_FOREACH_WORKSHEET(sheet, xlsx->workbook)
			fclose(sheet->optimize_tmpfile);
		lxw_workbook_free(xlsx->workbook);
		xlsx->workbook = NULL;
	}
	for (; xlsx->external_fds > 0; xlsx->external_fds--)
		ReleaseExternalFD();
}

/*
 * Raises what the library reports.
 */
static void
check(lxw_error error)
{
	if (error != LXW_NO_ERROR)
		ereport(ERROR,
				(errcode(error == LXW_ERROR_MEMORY_MALLOC_FAILED ?
						 ERRCODE_OUT_OF_MEMORY : ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not write the spreadsheet: %s", lxw_strerror(error))));
}

/*
 * Refuses a NULL from the library, which means that memory is out.
 */
static void *
check_memory(void *object)
{
	if (object == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The spreadsheet could not be made.")));
	return object;
}

/*
 * Makes a format; num_format NULL: as the value suggests.
 */
static lxw_format *
make_format(XlsxExporter *xlsx, const char *num_format)
{
	lxw_format *format = check_memory(workbook_add_format(xlsx->workbook));

	format_set_align(format, LXW_ALIGN_VERTICAL_TOP);
	if (num_format != NULL)
		format_set_num_format(format, num_format);
	return format;
}

/*
 * Makes the formats that every export may need.  Text has the format "@", so that a
 * phone number or a formula stays text also when somebody edits the cell.
 */
static void
make_formats(XlsxExporter *xlsx)
{
	xlsx->header = make_format(xlsx, "@");
	format_set_bold(xlsx->header);
	format_set_bg_color(xlsx->header, 0xE7EBF0);
	format_set_bottom(xlsx->header, LXW_BORDER_THIN);
	xlsx->text = make_format(xlsx, "@");
	xlsx->lines = make_format(xlsx, "@");
	format_set_text_wrap(xlsx->lines);
	xlsx->general = make_format(xlsx, NULL);

	/* some programs show booleans as the numbers 1 and 0 unless told otherwise */
	xlsx->boolean = make_format(xlsx, "\"TRUE\";\"TRUE\";\"FALSE\"");
	xlsx->date = make_format(xlsx, "yyyy\\-mm\\-dd");
	xlsx->timestamp = make_format(xlsx, "yyyy\\-mm\\-dd\\ hh:mm:ss");
	xlsx->fraction = make_format(xlsx, "yyyy\\-mm\\-dd\\ hh:mm:ss.000");
}

/*
 * The format of numbers with so many decimals.  Whole numbers may be keys and get
 * no grouping; amounts do.
 */
static lxw_format *
number_format(XlsxExporter *xlsx, int decimals)
{
	StringInfoData code;

	if (decimals > MAX_DIGITS)
		return xlsx->general;
	if (xlsx->decimals[decimals] == NULL)
	{
		initStringInfo(&code);
		appendStringInfoString(&code, decimals == 0 ? "0" : "#,##0.");
		appendStringInfoSpaces(&code, decimals);
		for (char *c = code.data; *c != '\0'; c++)
			if (*c == ' ')
				*c = '0';
		xlsx->decimals[decimals] = make_format(xlsx, code.data);
		pfree(code.data);
	}
	return xlsx->decimals[decimals];
}

/*
 * Remembers that a column needs this width.
 */
static inline void
widen(XlsxExporter *xlsx, int column, int width)
{
	if (width > xlsx->widths[column])
		xlsx->widths[column] = Min(width, XLSX_MAX_WIDTH);
}

/*
 * Checks the spool file of the sheet: the library does not notice a full disk, nor
 * does the server count its files.
 */
static void
check_spool(XlsxExporter *xlsx)
{
	FILE	   *spool = xlsx->sheet->optimize_tmpfile;
	off_t		size;

	errno = 0;
	if (fflush(spool) != 0 || ferror(spool))
	{
		/* the write that failed may be long ago */
		if (errno == 0)
			errno = ENOSPC;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write a temporary file of the spreadsheet: %m"),
				 errhint("The rows of a spreadsheet are kept in \"%s\" until it is complete.", xlsx->tmpdir)));
	}
	size = xlsx->spooled_before + ftello(spool);
	if (temp_file_limit >= 0 && size > (off_t) temp_file_limit * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("temporary file size exceeds temp_file_limit (%dkB)", temp_file_limit),
				 errdetail("The spreadsheet had " INT64_FORMAT " rows by then.", xlsx->nrows)));
}

/*
 * Has the last row of the sheet written, and notes how large its rows are.
 */
static void
complete_sheet(XlsxExporter *xlsx)
{
	off_t		size;

	lxw_worksheet_write_single_row(xlsx->sheet);
	check_spool(xlsx);
	size = ftello(xlsx->sheet->optimize_tmpfile);
	xlsx->spooled[xlsx->nsheets - 1] = size;
	xlsx->spooled_before += size;
}

/*
 * Writes a text.  NULL and empty text are both an empty cell.
 */
static void
write_text(XlsxExporter *xlsx, int column, const char *text, size_t length, lxw_format *format)
{
	XlsxText	cell;

	crmio_xlsx_text(&cell, text, length);
	if (cell.cut && xlsx->ncut++ == 0)
	{
		xlsx->cut_row = xlsx->nrows + 1;
		xlsx->cut_column = xlsx->base.columns[column].name;
	}
	widen(xlsx, column, cell.width + (format == xlsx->header ? BUTTON_WIDTH : 0));
	if (cell.nlines > 1 && format == xlsx->text)
		format = xlsx->lines;
	xlsx->row_lines = Max(xlsx->row_lines, cell.nlines);
	check(worksheet_write_string(xlsx->sheet, xlsx->next_row, column, cell.data, format));
}

/*
 * Begins a sheet with its header.  The library keeps one file open for it.
 */
static void
begin_sheet(XlsxExporter *xlsx)
{
	char	   *name;

	if (xlsx->sheet == NULL)
		xlsx->spooled = palloc(sizeof(off_t));
	else
	{
		complete_sheet(xlsx);
		xlsx->spooled = repalloc(xlsx->spooled, sizeof(off_t) * (xlsx->nsheets + 1));
	}
	name = crmio_xlsx_sheet_name(xlsx->title, ++xlsx->nsheets);
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("too many open files for a further sheet")));
	xlsx->external_fds++;
	xlsx->sheet = workbook_add_worksheet(xlsx->workbook, name);
	if (xlsx->sheet == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not make sheet \"%s\"", name),
				 errhint("The server must be able to make files in \"%s\".", xlsx->tmpdir)));

	worksheet_freeze_panes(xlsx->sheet, 1, 0);
	check(worksheet_repeat_rows(xlsx->sheet, 0, 0));
	worksheet_set_landscape(xlsx->sheet);
	worksheet_fit_to_pages(xlsx->sheet, 1, 0);
	check(worksheet_set_footer(xlsx->sheet, "&L&A&RPage &P of &N"));

	/* no green triangles on phone numbers and postal codes */
	check(worksheet_ignore_errors(xlsx->sheet, LXW_IGNORE_NUMBER_STORED_AS_TEXT, "A1:XFD1048576"));

	xlsx->next_row = 0;
	for (int i = 0; i < xlsx->base.ncolumns; i++)
	{
		const char *header = xlsx->base.columns[i].name;

		write_text(xlsx, i, header, strlen(header), xlsx->header);
	}
	xlsx->next_row = 1;
}

/*
 * Makes the workbook and its first sheet.
 */
static void
xlsx_begin(Exporter *exporter)
{
	XlsxExporter *xlsx = (XlsxExporter *) exporter;
	MemoryContext caller = MemoryContextSwitchTo(exporter->context);
	lxw_workbook_options options = {.constant_memory = LXW_TRUE, .use_zip64 = LXW_TRUE};
	lxw_doc_properties properties = {0};
	char	   *path;

	xlsx->release.func = release_workbook;
	xlsx->release.arg = xlsx;
	MemoryContextRegisterResetCallback(exporter->context, &xlsx->release);

	/* the server takes this file away when the transaction ends, however it ends */
	PrepareTempTablespaces();
	xlsx->file = OpenTemporaryFile(false);
	path = FilePathName(xlsx->file);
	xlsx->tmpdir = pstrdup(path);
	get_parent_directory(xlsx->tmpdir);

	xlsx->widths = palloc0(sizeof(int) * exporter->ncolumns);
	options.tmpdir = xlsx->tmpdir;
	xlsx->workbook = check_memory(workbook_new_opt(path, &options));
	make_formats(xlsx);
	xlsx->title = crmio_format_title(exporter);
	properties.title = xlsx->title;
	check(workbook_set_properties(xlsx->workbook, &properties));
	begin_sheet(xlsx);
	MemoryContextSwitchTo(caller);
}

/*
 * Writes a number, or as text what a spreadsheet can't hold to the last digit: more than
 * 15 significant digits (but a float has no more to lose), NaN and infinity.
 */
static void
write_number(XlsxExporter *xlsx, int column, const char *text)
{
	Oid			type = xlsx->base.columns[column].base;
	bool		is_float = type == FLOAT4OID || type == FLOAT8OID;
	int			decimals;
	int			digits = crmio_number_digits(text, &decimals);
	double		value;

	if (digits >= 0 && (digits <= MAX_DIGITS || is_float))
	{
		value = strtod(text, NULL);
		if (value == 0 || (fabs(value) <= MAX_NUMBER && fabs(value) >= MIN_NUMBER))
		{
			/* grouping commas are as wide as digits are many */
			widen(xlsx, column, strlen(text) + (decimals > 0 ? digits / 3 : 0));
			check(worksheet_write_number(xlsx->sheet, xlsx->next_row, column, value,
										 is_float ? xlsx->general : number_format(xlsx, decimals)));
			return;
		}
	}
	write_text(xlsx, column, text, strlen(text), xlsx->text);
}

/*
 * Writes a date or timestamp as the number of days that it is; false if
 * spreadsheets have no such day.
 */
static bool
write_time(XlsxExporter *xlsx, int column, Datum value)
{
	const ExportColumn *info = &xlsx->base.columns[column];
	struct pg_tm tm;
	fsec_t		fsec;
	int			day;
	double		seconds;
	lxw_format *format;

	if (!crmio_cell_time(info, value, &tm, &fsec) || tm.tm_year > 9999)
		return false;
	day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - EPOCH_JDATE;
	if (day < FIRST_DAY)
		return false;

	if (info->kind == CELL_DATE)
	{
		format = xlsx->date;
		seconds = 0;
		widen(xlsx, column, DATE_WIDTH);
	}
	else
	{
		format = fsec != 0 ? xlsx->fraction : xlsx->timestamp;
		seconds = tm.tm_hour * SECS_PER_HOUR + tm.tm_min * SECS_PER_MINUTE + tm.tm_sec +
			(double) fsec / USECS_PER_SEC;
		widen(xlsx, column, fsec != 0 ? FRACTION_WIDTH : TIMESTAMP_WIDTH);
	}
	check(worksheet_write_number(xlsx->sheet, xlsx->next_row, column,
								 day + seconds / SECS_PER_DAY, format));
	return true;
}

/*
 * Writes a value that is not null.
 */
static void
write_cell(XlsxExporter *xlsx, int column, Datum value)
{
	ExportColumn *info = &xlsx->base.columns[column];
	StringInfoData text;

	switch (info->kind)
	{
		case CELL_BOOLEAN:
			widen(xlsx, column, strlen("FALSE"));
			check(worksheet_write_boolean(xlsx->sheet, xlsx->next_row, column,
										  DatumGetBool(value), xlsx->boolean));
			return;
		case CELL_DATE:
		case CELL_TIMESTAMP:
		case CELL_TIMESTAMPTZ:
			if (write_time(xlsx, column, value))
				return;
			break;
		case CELL_NUMBER:
			write_number(xlsx, column, crmio_cell_text(info, value));
			return;
		case CELL_TEXT:
			break;
	}
	initStringInfo(&text);
	crmio_cell_append(&text, info, value);
	write_text(xlsx, column, text.data, text.len, xlsx->text);
}

/*
 * Writes a row, in a further sheet when this one is full.
 */
static void
xlsx_row(Exporter *exporter, const Datum *values, const bool *nulls)
{
	XlsxExporter *xlsx = (XlsxExporter *) exporter;

	if (xlsx->next_row >= LXW_ROW_MAX)
		begin_sheet(xlsx);
	xlsx->row_lines = 1;
	for (int i = 0; i < exporter->ncolumns; i++)
		if (!nulls[i])
			write_cell(xlsx, i, values[i]);

	/* not every program finds the height of a row by itself */
	if (xlsx->row_lines > 1)
		check(worksheet_set_row(xlsx->sheet, xlsx->next_row,
								Min(xlsx->row_lines, MAX_LINES) * LINE_HEIGHT, NULL));
	xlsx->next_row++;
	if (++xlsx->nrows % ROWS_PER_CHECK == 0)
		check_spool(xlsx);
}

/*
 * Gives the finished file to the sink.
 */
static void
send_file(XlsxExporter *xlsx)
{
	const size_t size = 256 * 1024;
	char	   *buffer = palloc(size);
	off_t		offset = 0;
	int			length;

	while ((length = FileRead(xlsx->file, buffer, size, offset, WAIT_EVENT_BUFFILE_READ)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		xlsx->base.sink->write(xlsx->base.sink, buffer, length);
		offset += length;
	}
	if (length < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read temporary file \"%s\": %m", FilePathName(xlsx->file))));
	pfree(buffer);
}

/*
 * Completes the sheets, has the library pack them, and sends the result.
 */
static void
xlsx_end(Exporter *exporter)
{
	XlsxExporter *xlsx = (XlsxExporter *) exporter;
	lxw_workbook *workbook = xlsx->workbook;
	lxw_worksheet *sheet;
	lxw_error	error;

	complete_sheet(xlsx);
	LXW_FOREACH_WORKSHEET(sheet, workbook)
	{
		for (int i = 0; i < exporter->ncolumns; i++)
			check(worksheet_set_column(sheet, i, i, Max(xlsx->widths[i], MIN_WIDTH) + PADDING, NULL));
		check(worksheet_autofilter(sheet, 0, 0,
								   sheet == xlsx->sheet ? xlsx->next_row - 1 : LXW_ROW_MAX - 1,
								   exporter->ncolumns - 1));
	}

	/* this frees the workbook in any case */
	xlsx->workbook = NULL;
	errno = 0;
	error = workbook_close(workbook);
	if (errno == 0)
		errno = EIO;
	if (error != LXW_NO_ERROR)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not complete the spreadsheet: %s", lxw_strerror(error)),
				 errhint("It is made in \"%s\", which needs room for its rows twice.", xlsx->tmpdir)));
	crmio_xlsx_check(FilePathName(xlsx->file), xlsx->nsheets, xlsx->spooled);
	release_workbook(xlsx);
	send_file(xlsx);
	FileClose(xlsx->file);

	if (xlsx->ncut > 0)
		ereport(WARNING,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg_plural(INT64_FORMAT " value is longer than the %d characters that a spreadsheet's cell holds, and was cut",
							   INT64_FORMAT " values are longer than the %d characters that a spreadsheet's cell holds, and were cut",
							   xlsx->ncut, xlsx->ncut, XLSX_MAX_CELL),
				 errdetail("The first is in column \"%s\" of row " INT64_FORMAT ".",
						   xlsx->cut_column, xlsx->cut_row),
				 errhint("Each ends in a mark that says its length; a CSV has them whole.")));
}

/*
 * The exporter of XLSX.
 */
Exporter *
crmio_xlsx_exporter(void)
{
	XlsxExporter *xlsx = palloc0(sizeof(XlsxExporter));

	xlsx->base.begin = xlsx_begin;
	xlsx->base.row = xlsx_row;
	xlsx->base.end = xlsx_end;
	return &xlsx->base;
}

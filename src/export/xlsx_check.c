/*
 * xlsx_check.c
 *	  Reads a finished XLSX once more.  libxlsxwriter copies the rows of a sheet from their
 *	  spool file into another temporary file on their way to the archive, and does
 *	  not notice when the disk is full by then: rows would be missing without a word.
 */
#include "export/xlsx.h"

#include <zip.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"

/* What stands before and behind the rows of a sheet, and at its end. */
#define BEFORE_ROWS "<sheetData>"
#define BEHIND_ROWS "</sheetData>"
#define END_OF_SHEET "</worksheet>"

/* Longest text behind the rows; nothing that is written there depends on them. */
#define MAX_TAIL (64 * 1024)

/*
 * Is the sheet whole, whose rows take so many bytes?
 */
static bool
is_whole(zip_file_t *file, off_t rows)
{
	const size_t size = 64 * 1024;
	char	   *buffer = palloc(size);
	StringInfoData head;
	StringInfoData tail;
	off_t		left = -1;		/* of the rows; negative: they have not begun */
	zip_int64_t length;

	initStringInfo(&head);
	initStringInfo(&tail);
	while ((length = zip_fread(file, buffer, size)) > 0 && tail.len < MAX_TAIL)
	{
		char	   *data = buffer;
		off_t		skip;

		CHECK_FOR_INTERRUPTS();
		if (left < 0)
		{
			appendBinaryStringInfo(&head, buffer, length);
			data = strstr(head.data, BEFORE_ROWS);
			if (data == NULL)
				continue;
			data += strlen(BEFORE_ROWS);
			length = head.data + head.len - data;
			left = rows;
		}
		skip = Min(left, length);
		left -= skip;
		appendBinaryStringInfo(&tail, data + skip, length - skip);
	}
	return length == 0 && left == 0 &&
		strncmp(tail.data, BEHIND_ROWS, strlen(BEHIND_ROWS)) == 0 &&
		tail.len > strlen(END_OF_SHEET) &&
		strcmp(tail.data + tail.len - strlen(END_OF_SHEET), END_OF_SHEET) == 0;
}

/*
 * Checks that the sheets of an XLSX are whole; rows: how many bytes the rows of each
 * take.
 */
void
crmio_xlsx_check(const char *path, int nsheets, const off_t *rows)
{
	int			error;
	zip_t	   *archive = zip_open(path, ZIP_RDONLY, &error);

	if (archive == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("could not read the spreadsheet again: error %d of libzip", error)));
	PG_TRY();
	{
		for (int i = 0; i < nsheets; i++)
		{
			char	   *name = psprintf("xl/worksheets/sheet%d.xml", i + 1);
			zip_file_t *file = zip_fopen(archive, name, 0);

			if (file == NULL || !is_whole(file, rows[i]))
				ereport(ERROR,
						(errcode(ERRCODE_DISK_FULL),
						 errmsg("could not complete the spreadsheet: rows are missing in sheet %d", i + 1),
						 errhint("There was probably no room left for temporary files.")));
			zip_fclose(file);
		}
	}
	PG_FINALLY();
	{
		/* this closes the files in it as well */
		zip_discard(archive);
	}
	PG_END_TRY();
}

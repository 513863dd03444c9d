/*
 * lines.h
 *	  A file as physical lines of text in the database encoding.
 */
#ifndef CRMIO_LINES_H
#define CRMIO_LINES_H

#include "input/encoding.h"

/*
 * A line, or a piece of a long one.  The text ends with the line's end as it is in
 * the file (LF, CRLF or CR); it is not NUL-terminated, and lives until the next
 * call.
 */
typedef struct TextLine
{
	char	   *text;
	size_t		length;
	int64		number;			/* from 1 */
	bool		complete;		/* the line ends here */
	bool		has_nul;		/* NUL bytes: each is a '?' in the text */
	bool		has_invalid;	/* so are bytes invalid in the encoding */
	unsigned char invalid_byte; /* the first of them, or 0 if not known */
} TextLine;

typedef struct Lines Lines;

extern Lines *crmio_lines_open(Source *source, const FileEncoding *encoding);
extern bool crmio_lines_next(Lines *lines, TextLine *line);
extern void crmio_lines_rewind(Lines *lines);
extern int64 crmio_lines_bytes_read(Lines *lines);
extern char *crmio_lines_problem(Lines *lines, const TextLine *line);

#endif							/* CRMIO_LINES_H */

/*
 * reader.h
 *	  Bytes to rows: the interfaces between a source of bytes, the encoding
 *	  layer and the readers of file formats.
 *
 *	  source (server file, large object, upload) -> encoding -> reader
 */
#ifndef CRMIO_READER_H
#define CRMIO_READER_H

#include "crmio.h"

/*
 * A source gives bytes from the start to the end, and may start again.  It holds
 * no raw file descriptor and no SPI connection between calls.
 */
typedef struct Source Source;
struct Source
{
	char	   *name;			/* for people: the file's own name, no path */
	int64		size;			/* bytes */
	size_t		(*read) (Source *source, char *buffer, size_t length);
	void		(*rewind) (Source *source);
	void		(*done) (Source *source);	/* the job ended: an upload goes away */
	struct Reader *(*open_reader) (Source *source); /* NULL: the bytes tell the format */
};

/* Opens what `file` names after checking the caller's right to read it. */
extern Source *crmio_source_open(const char *file);

typedef struct ReaderOptions
{
	char	   *encoding;		/* name as given, NULL: find */
	int			delimiter;		/* a byte, -1: find */
	int			quote;			/* a byte, -1: the double quote */
	int64		header_row;		/* line, 0: no header, -1: find */
} ReaderOptions;

/*
 * One row of the file.  Strings are NUL-terminated, in the database encoding,
 * and live until the next call of next_row unless the row was kept by the caller
 * (they are allocated in CurrentMemoryContext of that call).
 */
typedef struct FileRow
{
	int64		row_number;		/* in the first file, of a row that comes again; 0: as
								 * it is counted */
	int64		line_number;	/* physical line on which the row starts */
	int			nfields;		/* as many as the header has, when no error */
	char	  **fields;			/* raw: untrimmed; the byte before each that is not empty is
								 * the caller's, for the header of a short varlena */
	size_t		length;			/* bytes of all fields */
	const char *error_code;		/* NULL, or the row can't be used */
	char	   *error_reason;
	char	   *error_column;	/* name of the column, or NULL */
} FileRow;

typedef struct Reader Reader;
struct Reader
{
	Source	   *source;
	char	   *encoding_name;	/* the encoding used, for messages */
	List	   *warnings;		/* of ReaderWarning *, file level */
	int64		header_line;	/* 0: none */
	int			ncolumns;
	char	  **raw_header;		/* as in the file; NULL without a header */
	char	  **column_names;	/* trimmed, made unique */
	int			error_reason_column;	/* index of `_error_reason`, or -1 */
	char		delimiter;
	char		quote;

	bool		(*next_row) (Reader *reader, FileRow *row); /* false at the end */
	void		(*rewind) (Reader *reader); /* before the first data row again */
	int64		(*bytes_read) (Reader *reader);
};

typedef struct ReaderWarning
{
	const char *code;
	char	   *reason;
} ReaderWarning;

/*
 * Opens a reader on a source: finds the format, encoding, delimiter and header.
 * Everything lives in CurrentMemoryContext, and is closed with it.
 */
extern Reader *crmio_reader_open(Source *source, const ReaderOptions *options);

/* Takes the reader's keys out of a mapping or options object; other keys are left alone. */
extern bool crmio_reader_option(ReaderOptions *options, const char *key, const JsonbValue *value);
extern void crmio_reader_options_init(ReaderOptions *options);

/* columns.c: an object of these keys alone */
extern void crmio_reader_options_read(Jsonb *jsonb, ReaderOptions *options);

#endif							/* CRMIO_READER_H */

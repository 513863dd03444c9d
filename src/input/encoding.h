/*
 * encoding.h
 *	  Which encoding a file has, and decoding of those that the server's own
 *	  conversions don't know (UTF-16, UTF-32).
 */
#ifndef CRMIO_ENCODING_H
#define CRMIO_ENCODING_H

#include "input/reader.h"

typedef enum FileForm
{
	FORM_BYTES,					/* an encoding that the server knows */
	FORM_UTF16LE,
	FORM_UTF16BE,
	FORM_UTF32LE,
	FORM_UTF32BE
} FileForm;

typedef struct FileEncoding
{
	FileForm	form;
	int			encoding;		/* of the bytes, after decoding UTF-16 or UTF-32 */
	const char *name;			/* for messages */
	int			bom_length;		/* bytes to skip at the start */
	int64		first_bad_line; /* 0, or why it was taken not to be UTF-8 */
} FileEncoding;

/*
 * What stands for an invalid code in decoded text: no encoding has this byte in a
 * valid UTF-8 text.
 */
#define CRMIO_INVALID_MARK	0xFF

extern void crmio_encoding_check(const char *name);
extern void crmio_encoding_find(Source *source, const char *name, FileEncoding *found);
extern size_t crmio_valid_length(int encoding, const char *text, size_t length);
extern size_t crmio_decode_unicode(FileForm form, const unsigned char *bytes,
								   size_t length, bool at_end,
								   unsigned char *text, size_t *used);

#endif							/* CRMIO_ENCODING_H */

/*
 * archive.h
 *	  A ZIP file, put together on disk.
 */
#ifndef CRMIO_ARCHIVE_H
#define CRMIO_ARCHIVE_H

#include "export/exporter.h"

/* SHA-256 in hex, with its end. */
#define CRMIO_SHA256_TEXT	(2 * 32 + 1)

typedef struct Archive Archive;

/* What an entry turned out to be. */
typedef struct ArchiveEntry
{
	char	   *name;			/* in UTF-8 */
	int64		size;
	char		sha256[CRMIO_SHA256_TEXT];
} ArchiveEntry;

extern Archive *crmio_archive_create(void);
extern Sink *crmio_archive_begin_entry(Archive *archive, const char *name);
extern const ArchiveEntry *crmio_archive_end_entry(Archive *archive);
extern int64 crmio_archive_write(Archive *archive, Sink *sink);

#endif							/* CRMIO_ARCHIVE_H */

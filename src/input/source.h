/*
 * source.h
 *	  What the kinds of sources share among themselves; readers see reader.h.
 */
#ifndef CRMIO_SOURCE_H
#define CRMIO_SOURCE_H

#include "input/reader.h"

/* How many bytes large objects and uploads are fetched at a time. */
#define CRMIO_SOURCE_CHUNK	(1024 * 1024)

extern Source *crmio_source_open_server(const char *path);
extern Source *crmio_source_open_lo(const char *oid);
extern Source *crmio_source_open_upload(const char *handle);
extern Source *crmio_source_open_errors(const char *id);

extern void crmio_source_check_size(const char *name, int64 size);

#endif							/* CRMIO_SOURCE_H */

/*
 * upload.h
 *	  Uploads, for the source that reads them.
 */
#ifndef CRMIO_UPLOAD_H
#define CRMIO_UPLOAD_H

#include "crmio.h"

extern char *crmio_upload_find(const char *handle, int64 *size);
extern void crmio_upload_delete(const char *handle);

#endif							/* CRMIO_UPLOAD_H */

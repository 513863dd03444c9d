/*
 * source.c
 *	  Where the bytes of a file come from: finds the kind of source that a name
 *	  stands for, and opens it.
 *
 * The kinds are in source_server.c (a file on the server), source_lo.c (a large
 * object), source_upload.c (bytes sent by crm_upload, see upload.c) and
 * source_errors.c (the error rows of an earlier job).
 */
#include "input/source.h"

#include "storage/fd.h"

/*
 * Opens what `file` names.  Each kind checks the caller's right to read it.
 */
Source *
crmio_source_open(const char *file)
{
	if (strncmp(file, "upload:", strlen("upload:")) == 0)
		return crmio_source_open_upload(file);
	if (strncmp(file, "errors:", strlen("errors:")) == 0 && file[strlen("errors:")] != '\0' &&
		strspn(file + strlen("errors:"), "0123456789") == strlen(file + strlen("errors:")))
		return crmio_source_open_errors(file + strlen("errors:"));
	if (strncmp(file, "lo:", strlen("lo:")) == 0)
		return crmio_source_open_lo(file + strlen("lo:"));
	if (is_absolute_path(file))
		return crmio_source_open_server(file);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("\"%s\" names no file that can be read", crmio_clip(file)),
			 errhint("Give an absolute path on the server, lo:OID for a large object, upload:ID as crm_upload returns it, or errors:ID for the error rows of a job.")));
	return NULL;				/* not reached */
}

/*
 * Refuses a file that is larger than the limit.
 */
void
crmio_source_check_size(const char *name, int64 size)
{
	if (crmio_max_file_size > 0 &&
		size > (int64) crmio_max_file_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("file \"%s\" is too large", crmio_clip(name)),
				 errdetail("It has " INT64_FORMAT " bytes; the setting crmio.max_file_size allows %d kB.",
						   size, crmio_max_file_size),
				 errhint("Split the file, or have a superuser raise crmio.max_file_size.")));
}

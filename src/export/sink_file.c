/*
 * sink_file.c
 *	  A file on the server.  It is written under another name in the same folder,
 *	  flushed to disk and moved to its place when it is complete: whoever reads that
 *	  path finds the old file or the new one, never a part.
 *
 * What was written is removed after an error, also when the session is ended from
 * outside.  A crash of the server leaves it; its name says whose it is.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/acl.h"

#include "export/sink.h"

typedef struct FileSink
{
	Sink		base;
	char	   *path;			/* where it goes */
	char	   *written;		/* the name until then */
	FILE	   *file;			/* NULL: not open */
	bool		exists;			/* under that name */
} FileSink;

/*
 * crmio_server_path
 *		The path in its shortest form, after checking the caller's privilege: nobody
 *		without it learns which files exist.
 */
char *
crmio_server_path(const char *path, const char *function)
{
	char	   *copy = pstrdup(path);
	struct stat st;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write a file on the server"),
				 errdetail("Only roles with privileges of the role \"%s\" may write files on the server.",
						   "pg_write_server_files"),
				 errhint("%s sends the bytes to the client instead.", function)));
	if (!is_absolute_path(copy))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not an absolute path", crmio_clip(copy)),
				 errhint("Give the whole path on the database server, such as /srv/out/leads.csv.")));
	canonicalize_path(copy);
	if (lstat(copy, &st) == 0 && !S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 S_ISDIR(st.st_mode) ?
				 errmsg("\"%s\" is a directory", copy) :
				 errmsg("\"%s\" is not a regular file", copy),
				 errhint("The file is replaced as a whole, so links, pipes and devices can't be written; COPY writes them.")));
	return copy;
}

/*
 * cannot_write
 *		Complains that the system could not write.
 */
static void
cannot_write(const char *what, const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s file \"%s\": %m", what, path),
			 errhint("The server process must be able to write to the folder, and there must be room.")));
}

/*
 * file_write
 *		Adds bytes to the file.
 */
static void
file_write(Sink *sink, const char *data, size_t length)
{
	FileSink   *self = (FileSink *) sink;

	if (fwrite(data, 1, length, self->file) != length)
	{
		/* if write didn't set errno, assume problem is no disk space */
		if (errno == 0)
			errno = ENOSPC;
		cannot_write("write", self->written);
	}
}

/*
 * open_file
 *		Opens the file under its first name, readable as those that COPY writes.
 */
static void
open_file(FileSink *self)
{
	mode_t		mask = umask(S_IWGRP | S_IWOTH);
	int			error;

	self->file = AllocateFile(self->written, "wbx");
	error = errno;
	umask(mask);
	errno = error;
	if (self->file == NULL)
		cannot_write("open", self->written);
	self->exists = true;
}

/*
 * close_file
 *		Everything reaches the file, or it is an error.
 */
static void
close_file(FileSink *self)
{
	FILE	   *file = self->file;

	self->file = NULL;
	if (FreeFile(file) != 0)
		cannot_write("write", self->written);
}

/*
 * remove_file
 *		After an error, and when the process ends: leaves nothing behind.  An open file is
 *		closed by the end of the transaction.
 */
static void
remove_file(int code, Datum arg)
{
	FileSink   *self = (FileSink *) DatumGetPointer(arg);

	if (self->exists)
		(void) unlink(self->written);
	self->exists = false;
}

/*
 * crmio_sink_file
 *		Lets a function write a file, and moves the file to its place.
 */
void
crmio_sink_file(const char *path, void (*write) (Sink *sink, void *arg), void *arg)
{
	FileSink   *self = palloc0(sizeof(FileSink));

	self->base.write = file_write;
	self->path = pstrdup(path);
	self->written = psprintf("%s.crmio-%d", path, MyProcPid);

	/* one of that name is from a process that is no more */
	(void) unlink(self->written);
	PG_ENSURE_ERROR_CLEANUP(remove_file, PointerGetDatum(self));
	{
		open_file(self);
		errno = 0;
		write(&self->base, arg);
		close_file(self);
		(void) durable_rename(self->written, self->path, ERROR);
		self->exists = false;
	}
	PG_END_ENSURE_ERROR_CLEANUP(remove_file, PointerGetDatum(self));
}

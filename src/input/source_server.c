/*
 * source_server.c
 *	  A file on the server as a source of bytes.
 *
 * The file is opened through the server's virtual file descriptors.  Those opened
 * by name are not closed when a transaction aborts, so a callback of the memory
 * context that the source lives in closes it.
 */
#include "input/source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

typedef struct ServerSource
{
	Source		base;
	File		file;
	off_t		position;
	MemoryContextCallback close;
} ServerSource;

/*
 * Reads the next bytes; 0 at the end.
 */
static size_t
server_read(Source *source, char *buffer, size_t length)
{
	ServerSource *self = (ServerSource *) source;
	int			n;

	n = FileRead(self->file, buffer, length, self->position, PG_WAIT_EXTENSION);
	if (n < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", source->name)));
	self->position += n;
	return n;
}

/*
 * Back to the first byte.
 */
static void
server_rewind(Source *source)
{
	((ServerSource *) source)->position = 0;
}

/*
 * Nothing to clear away: the file belongs to somebody else.
 */
static void
server_done(Source *source)
{
}

/*
 * Closes the file when the source's memory context goes.
 */
static void
server_close(void *arg)
{
	FileClose(((ServerSource *) arg)->file);
}

/*
 * Refuses what can't be read as a file.  The path is not touched before the
 * caller's privilege is known, so that nobody learns which files exist.
 */
static void
check_server_file(const char *path)
{
	struct stat st;
	bool		missing;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read a file on the server"),
				 errdetail("Only roles with privileges of the role \"%s\" may read files on the server.",
						   "pg_read_server_files"),
				 errhint("Send the file with crm_upload, or as a large object with \\lo_import of psql.")));

	if (stat(path, &st) != 0)
	{
		missing = (errno == ENOENT || errno == ENOTDIR);
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 missing ?
				 errhint("The path is one on the database server; send a file of your own computer with crm_upload, or with \\lo_import of psql.") :
				 errhint("The server process must be able to read the file and to enter its folders.")));
	}
	if (S_ISDIR(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a directory", path),
				 errhint("Give the path of a file.")));
	if (!S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", path),
				 errhint("Pipes and devices can't be imported: they can't be read twice.")));
}

/*
 * Opens a file by its absolute path.
 */
Source *
crmio_source_open_server(const char *path)
{
	ServerSource *self;
	const char *name = strrchr(path, '/');
	File		file;

	check_server_file(path);
	self = palloc0(sizeof(ServerSource));
	self->base.name = pstrdup(name ? name + 1 : path);
	self->base.read = server_read;
	self->base.rewind = server_rewind;
	self->base.done = server_done;

	file = PathNameOpenFile(path, O_RDONLY | PG_BINARY);
	if (file < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 errhint("The server process must be able to read the file and to enter its folders.")));

	/* no error may come between opening and registering */
	self->file = file;
	self->close.func = server_close;
	self->close.arg = self;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &self->close);

	self->base.size = FileSize(file);
	if (self->base.size < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	crmio_source_check_size(self->base.name, self->base.size);
	return &self->base;
}

/*
 * archive.c
 *	  A ZIP file, by libzip.
 *
 * Entries are written one after the other into a temporary file of the server's;
 * when all are there, libzip compresses them into a second one, from which the bytes
 * go to the sink.  So memory does not grow with the data, and an error leaves nothing
 * behind: the server removes its temporary files.
 *
 * The server's errors must not jump over libzip's functions.  What it calls back
 * catches them, tells libzip of a failure, and the error is raised when libzip has
 * returned.
 */
#include "postgres.h"

#include <zip.h>

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "export/archive.h"

StaticAssertDecl(CRMIO_SHA256_TEXT == 2 * PG_SHA256_DIGEST_LENGTH + 1, "SHA-256 has 32 bytes");

/* Bytes that are copied at a time. */
#define COPY_BYTES (64 * 1024)

/* An entry that is written or read. */
typedef struct EntrySource
{
	ArchiveEntry entry;
	Archive    *archive;
	off_t		start;			/* in the file of the entries */
	off_t		position;		/* libzip's, from start */
} EntrySource;

struct Archive
{
	Sink		sink;			/* of the entry that is written */
	MemoryContext context;
	File		contents;		/* the entries, as they are */
	off_t		contents_size;
	File		zip_file;		/* what libzip makes of them */
	off_t		zip_size;
	off_t		zip_position;
	List	   *entries;		/* of EntrySource * */
	pg_cryptohash_ctx *hash;	/* of the entry that is written */
	zip_t	   *zip;			/* while libzip works */
	zip_error_t error;			/* told to libzip */
	ErrorData  *caught;			/* while libzip works; or NULL */
	MemoryContextCallback release;
};

/*
 * no_hash
 *		Complains that the server can't compute a hash.
 */
static void
no_hash(pg_cryptohash_ctx *hash)
{
	elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(hash));
}

/*
 * write_at
 *		Writes all of the bytes to a temporary file.
 */
static void
write_at(File file, const char *data, size_t length, off_t offset)
{
	while (length > 0)
	{
		int			piece = (int) Min(length, COPY_BYTES);
		int			written = FileWrite(file, unconstify(char *, data), piece, offset,
										WAIT_EVENT_BUFFILE_WRITE);

		if (written <= 0)
		{
			/* if write didn't set errno, assume problem is no disk space */
			if (errno == 0 || written == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write to file \"%s\": %m", FilePathName(file))));
		}
		data += written;
		length -= written;
		offset += written;
	}
}

/*
 * read_at
 *		Reads from a temporary file; how many bytes, 0 at its end.
 */
static int
read_at(File file, char *data, size_t length, off_t offset)
{
	int			got = FileRead(file, data, (int) Min(length, COPY_BYTES), offset,
							   WAIT_EVENT_BUFFILE_READ);

	if (got < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", FilePathName(file))));
	return got;
}

/*
 * release
 *		Memory context callback: after an error, libzip gives its memory back.
 */
static void
release(void *arg)
{
	Archive    *archive = arg;

	if (archive->zip != NULL)
		zip_discard(archive->zip);
	archive->zip = NULL;
}

/*
 * entry_write
 *		Adds bytes to the entry that is written.
 */
static void
entry_write(Sink *sink, const char *data, size_t length)
{
	Archive    *archive = (Archive *) sink;

	write_at(archive->contents, data, length, archive->contents_size);
	archive->contents_size += length;
	if (pg_cryptohash_update(archive->hash, (const uint8 *) data, length) < 0)
		no_hash(archive->hash);
}

/*
 * crmio_archive_create
 *		An empty archive, in CurrentMemoryContext.
 */
Archive *
crmio_archive_create(void)
{
	Archive    *archive = palloc0(sizeof(Archive));

	archive->sink.write = entry_write;
	archive->context = CurrentMemoryContext;
	archive->contents = OpenTemporaryFile(false);
	archive->zip_file = OpenTemporaryFile(false);
	zip_error_init(&archive->error);
	archive->release.func = release;
	archive->release.arg = archive;
	MemoryContextRegisterResetCallback(archive->context, &archive->release);
	return archive;
}

/*
 * crmio_archive_begin_entry
 *		Begins a file in the archive; its bytes go to the sink.
 */
Sink *
crmio_archive_begin_entry(Archive *archive, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(archive->context);
	EntrySource *source = palloc0(sizeof(EntrySource));

	source->entry.name = pstrdup(pg_server_to_any(name, strlen(name), PG_UTF8));
	source->archive = archive;
	source->start = archive->contents_size;
	archive->entries = lappend(archive->entries, source);
	archive->hash = pg_cryptohash_create(PG_SHA256);
	if (archive->hash == NULL || pg_cryptohash_init(archive->hash) < 0)
		no_hash(archive->hash);
	MemoryContextSwitchTo(old);
	return &archive->sink;
}

/*
 * crmio_archive_end_entry
 *		Ends the file.
 */
const ArchiveEntry *
crmio_archive_end_entry(Archive *archive)
{
	EntrySource *source = llast(archive->entries);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (pg_cryptohash_final(archive->hash, digest, sizeof(digest)) < 0)
		no_hash(archive->hash);
	pg_cryptohash_free(archive->hash);
	archive->hash = NULL;
	hex_encode((const char *) digest, sizeof(digest), source->entry.sha256);
	source->entry.size = archive->contents_size - source->start;
	return &source->entry;
}

/*
 * tell_failure
 *		An error of the server's came up below libzip: keeps it for later.
 */
static zip_int64_t
tell_failure(Archive *archive, MemoryContext caller)
{
	MemoryContextSwitchTo(archive->context);
	if (archive->caught == NULL)
		archive->caught = CopyErrorData();
	FlushErrorState();
	MemoryContextSwitchTo(caller);
	zip_error_set(&archive->error, ZIP_ER_INTERNAL, 0);
	return -1;
}

/*
 * entry_read
 *		libzip reads an entry.  That is most of its work, so it is where a cancel is heard.
 */
static zip_int64_t
entry_read(EntrySource *source, void *data, zip_uint64_t length)
{
	MemoryContext caller = CurrentMemoryContext;
	zip_uint64_t left = source->entry.size - source->position;
	volatile int got = 0;

	PG_TRY();
	{
		CHECK_FOR_INTERRUPTS();
		if (left > 0)
			got = read_at(source->archive->contents, data, Min(length, left),
						  source->start + source->position);
	}
	PG_CATCH();
	{
		return tell_failure(source->archive, caller);
	}
	PG_END_TRY();
	source->position += got;
	return got;
}

/*
 * entry_command
 *		What libzip wants of an entry.
 */
static zip_int64_t
entry_command(void *state, void *data, zip_uint64_t length, zip_source_cmd_t command)
{
	EntrySource *source = state;
	zip_stat_t *stat;

	switch (command)
	{
		case ZIP_SOURCE_OPEN:
			source->position = 0;
			return 0;
		case ZIP_SOURCE_READ:
			return entry_read(source, data, length);
		case ZIP_SOURCE_CLOSE:
		case ZIP_SOURCE_FREE:
			return 0;
		case ZIP_SOURCE_STAT:
			stat = data;
			zip_stat_init(stat);
			stat->size = source->entry.size;
			stat->mtime = time(NULL);
			stat->valid = ZIP_STAT_SIZE | ZIP_STAT_MTIME;
			return sizeof(*stat);
		case ZIP_SOURCE_ERROR:
			return zip_error_to_data(&source->archive->error, data, length);
		case ZIP_SOURCE_SUPPORTS:
			return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ,
												  ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
												  ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
		default:
			zip_error_set(&source->archive->error, ZIP_ER_OPNOTSUPP, 0);
			return -1;
	}
}

/*
 * zip_write
 *		libzip writes the archive.
 */
static zip_int64_t
zip_write(Archive *archive, const void *data, zip_uint64_t length)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		write_at(archive->zip_file, data, length, archive->zip_position);
	}
	PG_CATCH();
	{
		return tell_failure(archive, caller);
	}
	PG_END_TRY();
	archive->zip_position += length;
	archive->zip_size = Max(archive->zip_size, archive->zip_position);
	return length;
}

/*
 * zip_command
 *		What libzip wants of the archive.  It writes one from nothing, and reads none.
 */
static zip_int64_t
zip_command(void *state, void *data, zip_uint64_t length, zip_source_cmd_t command)
{
	Archive    *archive = state;
	zip_stat_t *stat;
	zip_int64_t position;

	switch (command)
	{
		case ZIP_SOURCE_STAT:
			stat = data;
			zip_stat_init(stat);
			stat->size = archive->zip_size;
			stat->valid = ZIP_STAT_SIZE;
			return sizeof(*stat);
		case ZIP_SOURCE_OPEN:
		case ZIP_SOURCE_CLOSE:
		case ZIP_SOURCE_FREE:
		case ZIP_SOURCE_COMMIT_WRITE:
		case ZIP_SOURCE_REMOVE:
		case ZIP_SOURCE_READ:
			return 0;
		case ZIP_SOURCE_BEGIN_WRITE:
		case ZIP_SOURCE_ROLLBACK_WRITE:
			archive->zip_position = archive->zip_size = 0;
			return 0;
		case ZIP_SOURCE_WRITE:
			return zip_write(archive, data, length);
		case ZIP_SOURCE_TELL:
		case ZIP_SOURCE_TELL_WRITE:
			return archive->zip_position;
		case ZIP_SOURCE_SEEK:
		case ZIP_SOURCE_SEEK_WRITE:
			position = zip_source_seek_compute_offset(archive->zip_position, archive->zip_size,
													  data, length, &archive->error);
			if (position < 0)
				return -1;
			archive->zip_position = position;
			return 0;
		case ZIP_SOURCE_ERROR:
			return zip_error_to_data(&archive->error, data, length);
		case ZIP_SOURCE_SUPPORTS:
			return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ,
												  ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
												  ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
												  ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
												  ZIP_SOURCE_BEGIN_WRITE, ZIP_SOURCE_COMMIT_WRITE,
												  ZIP_SOURCE_ROLLBACK_WRITE, ZIP_SOURCE_WRITE,
												  ZIP_SOURCE_SEEK_WRITE, ZIP_SOURCE_TELL_WRITE,
												  ZIP_SOURCE_REMOVE, -1);
		default:
			zip_error_set(&archive->error, ZIP_ER_OPNOTSUPP, 0);
			return -1;
	}
}

/*
 * zip_failed
 *		Raises the error that made libzip fail, or its own.
 */
static void
zip_failed(Archive *archive, const char *message)
{
	char	   *copy = pstrdup(message);

	if (archive->caught != NULL)
		ReThrowError(archive->caught);
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("could not write the ZIP file: %s", copy)));
}

/*
 * compress_entries
 *		libzip makes the archive.
 */
static void
compress_entries(Archive *archive)
{
	zip_error_t error;
	zip_source_t *target;
	ListCell   *lc;

	zip_error_init(&error);
	target = zip_source_function_create(zip_command, archive, &error);
	if (target != NULL)
		archive->zip = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &error);
	if (archive->zip == NULL)
		zip_failed(archive, zip_error_strerror(&error));
	foreach(lc, archive->entries)
	{
		EntrySource *source = lfirst(lc);
		zip_source_t *entry = zip_source_function(archive->zip, entry_command, source);

		if (entry == NULL ||
			zip_file_add(archive->zip, source->entry.name, entry, ZIP_FL_ENC_UTF_8) < 0)
			zip_failed(archive, zip_strerror(archive->zip));
	}
	if (zip_close(archive->zip) != 0)
		zip_failed(archive, zip_strerror(archive->zip));
	archive->zip = NULL;
}

/*
 * crmio_archive_write
 *		Writes the archive with the entries so far; its size.
 */
int64
crmio_archive_write(Archive *archive, Sink *sink)
{
	char	   *buffer = palloc(COPY_BYTES);
	off_t		position = 0;

	compress_entries(archive);
	while (position < archive->zip_size)
	{
		int			got = read_at(archive->zip_file, buffer, COPY_BYTES, position);

		CHECK_FOR_INTERRUPTS();
		if (got == 0)
			elog(ERROR, "temporary file \"%s\" is too short", FilePathName(archive->zip_file));
		sink->write(sink, buffer, got);
		position += got;
	}
	FileClose(archive->contents);
	FileClose(archive->zip_file);
	return archive->zip_size;
}

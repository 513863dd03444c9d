/*
 * source_upload.c
 *	  An upload as a source of bytes.  crm_upload and its like, which write the
 *	  parts that are read here, are in upload.c.
 *
 * Each chunk is one query run as the owner of crmio's tables, after the caller
 * was found to be the owner of the upload.  No SPI connection is kept.
 */
#include "input/source.h"
#include "input/upload.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Parts looked at by one query: small ones are fetched several at a time. */
#define PARTS_PER_QUERY		256

typedef struct UploadSource
{
	Source		base;
	char	   *handle;
	int64		position;		/* of the chunk's end in the file */
	char	   *chunk;
	size_t		chunk_length;
	size_t		chunk_used;
} UploadSource;

/*
 * Copies what fits of the parts that a query found into the chunk.  A part that
 * does not fit any more is left to the next query.
 */
static void
copy_parts(UploadSource *self)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;
		int64		start_at = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		int64		length = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
		bytea	   *part;

		if (start_at != self->position)
			return;
		if (length > CRMIO_SOURCE_CHUNK - self->chunk_length)
			return;
		part = DatumGetByteaPP(SPI_getbinval(tuple, desc, 3, &isnull));
		memcpy(self->chunk + self->chunk_length, VARDATA_ANY(part), length);
		self->chunk_length += length;
		self->position += length;
	}
}

/*
 * Fetches the next parts, up to CRMIO_SOURCE_CHUNK bytes.
 */
static void
fetch_parts(UploadSource *self)
{
	Oid			types[] = {TEXTOID, INT8OID, INT8OID};
	Datum		args[3];
	CrmioOwnerScope scope;

	self->chunk_length = self->chunk_used = 0;
	crmio_become_owner(&scope);
	SPI_connect();
	args[0] = CStringGetTextDatum(self->handle);
	args[1] = Int64GetDatum(self->position);
	args[2] = Int64GetDatum(PARTS_PER_QUERY);
	/* not read-only: parts that this statement wrote must be seen */
	if (SPI_execute_with_args("SELECT start_at, octet_length(content), content"
							  " FROM crmio.upload_part"
							  " WHERE handle = $1 AND start_at >= $2"
							  " ORDER BY start_at LIMIT $3",
							  3, types, args, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the parts of an upload");
	copy_parts(self);
	SPI_finish();
	crmio_restore_user(&scope);

	if (self->chunk_length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("upload \"%s\" was dropped while it was read",
						self->base.name),
				 errhint("Upload the file again.")));
}

/*
 * Reads the next bytes; 0 at the end.  The end is where it was when the upload
 * was opened, whatever is appended meanwhile.
 */
static size_t
upload_read(Source *source, char *buffer, size_t length)
{
	UploadSource *self = (UploadSource *) source;
	size_t		n;

	if (self->chunk_used == self->chunk_length)
	{
		if (self->position >= source->size)
			return 0;
		fetch_parts(self);
	}
	n = Min(length, self->chunk_length - self->chunk_used);
	memcpy(buffer, self->chunk + self->chunk_used, n);
	self->chunk_used += n;
	return n;
}

/*
 * Back to the first byte.
 */
static void
upload_rewind(Source *source)
{
	UploadSource *self = (UploadSource *) source;

	self->position = 0;
	self->chunk_length = self->chunk_used = 0;
}

/*
 * The job that used the upload ended: the upload goes.
 */
static void
upload_done(Source *source)
{
	crmio_upload_delete(((UploadSource *) source)->handle);
}

/*
 * Opens an upload of the caller by its handle.
 */
Source *
crmio_source_open_upload(const char *handle)
{
	UploadSource *self = palloc0(sizeof(UploadSource));

	self->handle = pstrdup(handle);
	self->base.name = crmio_upload_find(handle, &self->base.size);
	crmio_source_check_size(self->base.name, self->base.size);
	self->base.read = upload_read;
	self->base.rewind = upload_rewind;
	self->base.done = upload_done;
	self->chunk = palloc(CRMIO_SOURCE_CHUNK);
	return &self->base;
}

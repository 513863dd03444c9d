/*
 * source_lo.c
 *	  A large object as a source of bytes.
 *
 * Descriptors of large objects do not outlive a subtransaction, so each chunk is
 * one call of lo_get, which checks the privilege as lo_open does.
 */
#include "input/source.h"

#include "libpq/libpq-fs.h"
#include "utils/fmgrprotos.h"

typedef struct LargeObjectSource
{
	Source		base;
	Oid			oid;
	int64		position;		/* of the next byte that is read */
	char	   *chunk;
	size_t		chunk_length;
	size_t		chunk_used;
} LargeObjectSource;

/*
 * Reads the next bytes; 0 at the end.
 */
static size_t
lo_source_read(Source *source, char *buffer, size_t length)
{
	LargeObjectSource *self = (LargeObjectSource *) source;
	size_t		n;

	if (self->chunk_used == self->chunk_length)
	{
		bytea	   *fetched;

		fetched = DatumGetByteaPP(DirectFunctionCall3(be_lo_get_fragment,
													  ObjectIdGetDatum(self->oid),
													  Int64GetDatum(self->position),
													  Int32GetDatum(CRMIO_SOURCE_CHUNK)));
		self->chunk_length = VARSIZE_ANY_EXHDR(fetched);
		self->chunk_used = 0;
		memcpy(self->chunk, VARDATA_ANY(fetched), self->chunk_length);
		pfree(fetched);
		self->position += self->chunk_length;
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
lo_source_rewind(Source *source)
{
	LargeObjectSource *self = (LargeObjectSource *) source;

	self->position = 0;
	self->chunk_length = self->chunk_used = 0;
}

/*
 * Nothing to clear away: the large object stays with its owner.
 */
static void
lo_source_done(Source *source)
{
}

/*
 * Size of a large object.  Opening it checks that it exists and that the caller
 * may read it.
 */
static int64
lo_size(Oid oid)
{
	Datum		fd = DirectFunctionCall2(be_lo_open, ObjectIdGetDatum(oid),
										 Int32GetDatum(INV_READ));
	int64		size = DatumGetInt64(DirectFunctionCall3(be_lo_lseek64, fd,
														 Int64GetDatum(0),
														 Int32GetDatum(SEEK_END)));

	DirectFunctionCall1(be_lo_close, fd);
	return size;
}

/*
 * Opens a large object; `text` is its OID in digits.
 */
Source *
crmio_source_open_lo(const char *text)
{
	LargeObjectSource *self;
	uint64		oid = 0;
	const char *c = text;

	for (; *c >= '0' && *c <= '9' && oid <= PG_UINT32_MAX; c++)
		oid = oid * 10 + (*c - '0');
	if (c == text || *c != '\0' || oid == InvalidOid || oid > PG_UINT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"lo:%s\" is not the name of a large object",
						crmio_clip(text)),
				 errhint("Write lo: and the object's OID, as in lo:16423; in psql, 'lo:' || :LASTOID after \\lo_import.")));

	self = palloc0(sizeof(LargeObjectSource));
	self->oid = (Oid) oid;
	self->base.size = lo_size(self->oid);
	self->base.name = psprintf("lo:%u", self->oid);
	crmio_source_check_size(self->base.name, self->base.size);
	self->base.read = lo_source_read;
	self->base.rewind = lo_source_rewind;
	self->base.done = lo_source_done;
	self->chunk = palloc(CRMIO_SOURCE_CHUNK);
	return &self->base;
}

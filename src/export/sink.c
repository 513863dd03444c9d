/*
 * sink.c
 *	  Sinks in the database: a value of type bytea, a large object.
 */
#include "postgres.h"

#include "libpq/be-fsstubs.h"
#include "libpq/libpq-fs.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "export/sink.h"

typedef struct ByteaSink
{
	Sink		base;
	StringInfoData bytes;		/* begins with room for a varlena header */
} ByteaSink;

typedef struct LargeObjectSink
{
	Sink		base;
	int			descriptor;		/* the server closes it after an error */
} LargeObjectSink;

/*
 * bytea_write
 *		Adds bytes, as far as a value can hold them.
 */
static void
bytea_write(Sink *sink, const char *data, size_t length)
{
	ByteaSink  *self = (ByteaSink *) sink;

	/* a StringInfo keeps a byte for its end */
	if (length >= MaxAllocSize - self->bytes.len)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the export is larger than 1 GB, the most that a value of type bytea can hold"),
				 errhint("Write it to a file with crm_export_to, or into a large object with crm_export_lo.")));
	appendBinaryStringInfo(&self->bytes, data, length);
}

/*
 * crmio_sink_bytea
 *		Collects the bytes in memory, in CurrentMemoryContext.
 */
Sink *
crmio_sink_bytea(void)
{
	ByteaSink  *self = palloc0(sizeof(ByteaSink));

	self->base.write = bytea_write;
	initStringInfo(&self->bytes);
	self->bytes.len = VARHDRSZ;
	return &self->base;
}

/*
 * crmio_sink_bytea_value
 *		What was collected.
 */
bytea *
crmio_sink_bytea_value(Sink *sink)
{
	ByteaSink  *self = (ByteaSink *) sink;

	SET_VARSIZE(self->bytes.data, self->bytes.len);
	return (bytea *) self->bytes.data;
}

/*
 * lo_write_bytes
 *		Adds bytes to the large object.
 */
static void
lo_write_bytes(Sink *sink, const char *data, size_t length)
{
	/* what comes in one piece is below 1 GB */
	(void) lo_write(((LargeObjectSink *) sink)->descriptor, data, (int) length);
}

/*
 * crmio_sink_lo
 *		Makes a large object and writes into it.
 */
Sink *
crmio_sink_lo(Oid *loid)
{
	LargeObjectSink *self = palloc0(sizeof(LargeObjectSink));

	self->base.write = lo_write_bytes;
	*loid = DatumGetObjectId(DirectFunctionCall1(be_lo_create, ObjectIdGetDatum(InvalidOid)));
	self->descriptor = DatumGetInt32(DirectFunctionCall2(be_lo_open, ObjectIdGetDatum(*loid),
														 Int32GetDatum(INV_WRITE)));
	return &self->base;
}

/*
 * crmio_sink_lo_close
 *		Ends the writing.
 */
void
crmio_sink_lo_close(Sink *sink)
{
	(void) DirectFunctionCall1(be_lo_close,
							   Int32GetDatum(((LargeObjectSink *) sink)->descriptor));
}

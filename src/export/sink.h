/*
 * sink.h
 *	  Where the bytes of an export go.
 */
#ifndef CRMIO_SINK_H
#define CRMIO_SINK_H

#include "export/exporter.h"

/* sink.c: a value of type bytea, or a large object */
extern Sink *crmio_sink_bytea(void);
extern bytea *crmio_sink_bytea_value(Sink *sink);
extern Sink *crmio_sink_lo(Oid *loid);
extern void crmio_sink_lo_close(Sink *sink);

/*
 * sink_file.c: a file on the server, written beside its place and moved there when
 * it is complete
 */
extern char *crmio_server_path(const char *path, const char *function);
extern void crmio_sink_file(const char *path, void (*write) (Sink *sink, void *arg), void *arg);

#endif							/* CRMIO_SINK_H */

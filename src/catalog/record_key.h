/*
 * record_key.h
 *	  The columns that identify a record of a module.
 */
#ifndef CRMIO_RECORD_KEY_H
#define CRMIO_RECORD_KEY_H

#include "crmio.h"
#include "catalog/module.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/rel.h"

typedef struct RecordKey
{
	int			ncolumns;
	AttrNumber *attnums;
	TupleDesc	desc;			/* r1, r2, ...: base types */
	FmgrInfo   *cmp;
	FmgrInfo   *output;
} RecordKey;

extern RecordKey *crmio_record_key_create(MemoryContext context, const Module *module, Relation rel);
extern void crmio_append_key_condition(StringInfo sql, const Module *module, const RecordKey *key,
									   const char *alias);
extern bool crmio_key_is_indexed(const Module *module, const RecordKey *key);
extern int	crmio_record_key_cmp(const RecordKey *key, const Datum *a, const Datum *b);
extern uint64 crmio_record_key_hash(const RecordKey *key, const Datum *value);
extern Datum *crmio_record_key_copy(const RecordKey *key, const Datum *value);
extern bool crmio_record_key_integer(const RecordKey *key, const Datum *value, int64 *integer);
extern char *crmio_record_key_text(const RecordKey *key, const Datum *value);
extern void crmio_record_key_read(const RecordKey *key, const char *text, Datum *value);
extern bool crmio_record_key_equals(const RecordKey *a, const RecordKey *b);

#endif							/* CRMIO_RECORD_KEY_H */

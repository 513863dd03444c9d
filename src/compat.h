/*
 * compat.h
 *	  The only place that knows which PostgreSQL version it is compiled for.
 *	  Supported: 15, 16, 17 and 18.
 */
#ifndef CRMIO_COMPAT_H
#define CRMIO_COMPAT_H

#include "postgres.h"
#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "crmio needs PostgreSQL 15 or later"
#endif

/* 16 brought input functions that report an error instead of raising it. */
#if PG_VERSION_NUM >= 160000
#define CRMIO_HAVE_SOFT_ERRORS 1
#endif

/* 16 moved the varlena macros out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 gave this function its error argument, and made the type a result. */
#if PG_VERSION_NUM >= 160000
#define CRMIO_DECODE_ZONE_ABBREVIATION(token, type, offset, zone) \
	((void) DecodeTimezoneAbbrev(0, token, type, offset, zone, &(DateTimeErrorExtra) {0}))
#else
#define CRMIO_DECODE_ZONE_ABBREVIATION(token, type, offset, zone) \
	((void) (*(type) = DecodeTimezoneAbbrev(0, token, offset, zone)))
#endif

/* 16 made one ownership check of those of all kinds of objects. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_class.h"
#include "utils/acl.h"
#define crmio_owns_relation(relid, role) object_ownercheck(RelationRelationId, relid, role)
#else
#include "utils/acl.h"
#define crmio_owns_relation(relid, role) pg_class_ownercheck(relid, role)
#endif

/* 16 made one privilege check of those of all kinds of objects. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_database.h"
#define crmio_database_aclcheck(database, role, mode) \
	object_aclcheck(DatabaseRelationId, database, role, mode)
#else
#define crmio_database_aclcheck(database, role, mode) pg_database_aclcheck(database, role, mode)
#endif

/* 16 can insert into the summarizing indexes only, which is for updates. */
#if PG_VERSION_NUM >= 160000
#define CRMIO_INSERT_INDEX_TUPLES(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false)
#else
#define CRMIO_INSERT_INDEX_TUPLES(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL)
#endif

/* 17 lets a background worker run as a role that may not log in. */
#if PG_VERSION_NUM >= 170000
#define CRMIO_WORKER_NEEDS_LOGIN false
#define CRMIO_WORKER_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define CRMIO_WORKER_NEEDS_LOGIN true
#define CRMIO_WORKER_CONNECT_FLAGS 0
#endif

/* 18 finds out itself whether a plan is run once only. */
#if PG_VERSION_NUM >= 180000
#define CRMIO_EXECUTOR_RUN(query, direction, count) ExecutorRun(query, direction, count)
#else
#define CRMIO_EXECUTOR_RUN(query, direction, count) ExecutorRun(query, direction, count, false)
#endif

#endif							/* CRMIO_COMPAT_H */

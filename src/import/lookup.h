/*
 * lookup.h
 *	  Finding existing records by the values of some fields, for a whole batch
 *	  with one statement.  Matches and references are both found so.
 */
#ifndef CRMIO_LOOKUP_H
#define CRMIO_LOOKUP_H

#include "crmio.h"
#include "catalog/module.h"
#include "fmgr.h"
#include "catalog/record_key.h"
#include "statement.h"
#include "utils/rel.h"

/* In which form two values of a field are compared. */
typedef enum KeyForm
{
	KEY_NATIVE,					/* the type's own equality */
	KEY_LOWER,					/* lower(value) */
	KEY_LOWER_TRIM,				/* lower(btrim(value)) */
	KEY_DIGITS					/* the digits of a phone number */
} KeyForm;

/* The first part is for the caller to fill in, the second for crmio_lookup_create. */
typedef struct LookupField
{
	AttrNumber	attnum;
	KeyForm		form;
	bool		in_list;		/* any entry of a typed list, whatever its type */

	Oid			typid;			/* of the key, in its form */
	int32		typmod;
	Oid			collation;		/* of the column */
	bool		hashable;		/* without: any two keys may be equal */
	FmgrInfo	hash;
	FmgrInfo	equal;
} LookupField;

typedef struct LookupHit
{
	Datum	   *key;			/* the record's key, one Datum per column */
	Datum	   *values;			/* of the columns asked for */
	bool	   *nulls;
	TransactionId xmin;			/* of a locked record; InvalidTransactionId: unknown */
	struct LookupHit *next;		/* another record with the same values */
} LookupHit;

typedef struct Lookup
{
	const Module *module;
	TupleDesc	desc;			/* of the module's table */
	char		relkind;
	int			nfields;
	LookupField *fields;
	int			ncolumns;		/* columns to fetch beside the key */
	AttrNumber *columns;
	bool		has_xmin;		/* the caller may ask which transaction wrote a record */
	bool		lowest_first;	/* the record with the lowest key is wanted */
	RecordKey  *key;			/* of the records */
	TupleDesc	batch_desc;		/* position, then one column per field */
	Statement  *find;
	Statement  *find_locked;
	char	   *keys_table;		/* temporary table of keys, if no index serves */
	Statement  *add_keys;
} Lookup;

/* What a batch looks for: per row a key, or none. */
typedef struct LookupKeys
{
	int			nrows;
	Datum	   *values;			/* nrows * nfields */
	bool	   *present;
} LookupKeys;

extern KeyForm crmio_key_form(const Field *field, bool for_reference);
extern Lookup *crmio_lookup_create(MemoryContext context, const Module *module, Relation rel,
								   int nfields, LookupField *fields,
								   int ncolumns, AttrNumber *columns, bool lowest_first);
extern void crmio_lookup_prepare(Lookup *lookup, bool will_lock, bool will_find,
								 List **warnings);
extern void crmio_lookup_keep_tables(bool valid);
extern void crmio_lookup_forget_tables(void);
extern bool crmio_lookup_key(const LookupField *field, Oid value_type, Datum value, Datum *key);
extern LookupKeys *crmio_lookup_keys(const Lookup *lookup, int nrows);
extern int *crmio_lookup_order(const Lookup *lookup, const LookupKeys *keys);
extern LookupHit **crmio_lookup_find(Lookup *lookup, const LookupKeys *keys, const int *order,
									 bool lock);
extern void crmio_lookup_added(Lookup *lookup, int nrecords, Datum **keys);
extern uint64 crmio_lookup_hash(const Lookup *lookup, const Datum *key);
extern bool crmio_lookup_equal(const Lookup *lookup, const Datum *a, const Datum *b);

#endif							/* CRMIO_LOOKUP_H */

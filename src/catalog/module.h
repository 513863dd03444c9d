/*
 * module.h
 *	  Modules and their fields, as the rest of crmio sees them.
 *
 * A module is a registered table plus options.  Its fields are derived from the
 * catalog each time it is loaded, so an ALTER TABLE needs no registration anew.
 *
 * Field paths that come from a registration (match, required, lookup, list) are
 * in their canonical spelling, except that a reference may stand there by its
 * bare name: then any path of it is meant.
 */
#ifndef CRMIO_MODULE_H
#define CRMIO_MODULE_H

#include "crmio.h"

#include "access/attnum.h"

/* What a field's values may look like. */
typedef enum FieldKind
{
	KIND_TEXT,
	KIND_EMAIL,
	KIND_DOMAIN,
	KIND_URL,
	KIND_PHONE,
	KIND_DATE,
	KIND_TIMESTAMP,
	KIND_MONEY,
	KIND_NUMBER,
	KIND_INTEGER,
	KIND_BOOLEAN,
	KIND_CHOICE,
	KIND_REFERENCE,
	KIND_JSON,
	KIND_TEXT_LIST,
	KIND_OTHER					/* any other type: its own input function */
} FieldKind;

/* How a field lies in its column. */
typedef enum FieldStorage
{
	STORAGE_SCALAR,				/* one value of the column's type */
	STORAGE_TYPED_LIST,			/* jsonb array of {"type": , "value": } */
	STORAGE_ADDRESS,			/* jsonb object: type -> part -> text */
	STORAGE_CUSTOM				/* jsonb object: key -> text */
} FieldStorage;

typedef enum LifecycleRule
{
	LIFECYCLE_NONE,
	LIFECYCLE_FORWARD,			/* an update may move a record to a later stage */
	LIFECYCLE_FIXED				/* an import never changes it */
} LifecycleRule;

typedef struct Choice
{
	char	   *value;			/* as stored */
	char	   *label;			/* as people write it; same as value if none */
} Choice;

typedef struct Field
{
	char	   *name;			/* first part of a field path */
	char	   *label;
	List	   *aliases;		/* of char *, as registered */
	FieldKind	kind;
	FieldStorage storage;
	AttrNumber	attnum;
	char	   *column;			/* column name, unquoted */
	Oid			typid;			/* declared type (may be a domain) */
	int32		typmod;
	Oid			collation;
	bool		not_null;
	bool		has_default;	/* default expression or identity */
	bool		casefold;		/* an index keeps it by lower(), or it is citext */
	bool		casefold_trimmed;	/* by lower(btrim()) */
	bool		cents;			/* money kept as an integer number of cents */
	List	   *choices;		/* of Choice *, for KIND_CHOICE */
	char	   *typed_column;	/* where "field.TYPE" goes (a typed list), or NULL */
	AttrNumber	typed_attnum;
	char	   *ref_module;		/* KIND_REFERENCE: the module referred to */
	char	   *ref_column;		/* its column that the reference stores */
	struct Module *ref;			/* loaded when a path first needs it */
} Field;

/* Another name by which a file column finds a field path. */
typedef struct PathAlias
{
	char	   *name;
	char	   *path;
} PathAlias;

typedef struct Module
{
	MemoryContext context;		/* where all of it lives */
	char	   *name;
	Oid			relid;
	char	   *relation;		/* qualified and quoted, for SQL */
	int			nkeys;			/* the record's identity */
	AttrNumber *key_attnums;
	List	   *fields;			/* of Field * */
	List	   *match;			/* of List of char * (field paths), in order; NIL:
								 * rows never match */
	List	   *required;		/* of List of char *: one of each must be mapped */
	List	   *lookup;			/* of char *: fields that find a record, in order */
	char	   *display;		/* field shown, and looked up, for a bare reference */
	List	   *list;			/* of char *: field paths, or columns that are no
								 * fields, of the module's list; or NIL */
	List	   *aliases;		/* of PathAlias * */
	LifecycleRule lifecycle_rule;
	char	   *lifecycle_column;
	AttrNumber	lifecycle_attnum;
	List	   *stages;			/* of char *, earliest first */
	char	   *new_stage;		/* what new records get, or NULL: the default */
} Module;

/* Which part of a field a path names. */
typedef enum PathPart
{
	PATH_VALUE,					/* the whole scalar field */
	PATH_TYPED,					/* one entry of a typed list; type may be NULL.  The
								 * list is the field's own column if that is its
								 * storage, else its typed_column */
	PATH_ADDRESS,				/* type (NULL: "main") and part */
	PATH_CUSTOM,				/* part is the key */
	PATH_REFERENCE,				/* lookup names a field of the module referred to */
	PATH_NAME					/* full name, split into two fields */
} PathPart;

typedef struct FieldPath
{
	char	   *text;			/* canonical spelling: two equal paths, one text */
	PathPart	part;
	Field	   *field;			/* NULL for PATH_NAME */
	char	   *type;
	char	   *key;			/* address part or custom key */
	char	   *lookup;			/* PATH_REFERENCE: field name, or "id" (the key) */
	Field	   *first_name;		/* PATH_NAME */
	Field	   *last_name;
	FieldKind	kind;			/* what a value of this path is checked as */
	struct Module *ref;			/* PATH_REFERENCE: the module referred to */
	Field	   *lookup_field;	/* PATH_REFERENCE: its field, NULL for the key */
} FieldPath;

/* module.c */
extern Module *crmio_module_load(const char *name, bool missing_ok);
extern List *crmio_module_names(void);
extern Field *crmio_module_field(const Module *module, const char *name);
extern Field *crmio_module_field_by_attnum(const Module *module, AttrNumber attnum);
extern bool crmio_module_splits_name(const Module *module, Field **first_name,
									 Field **last_name);
extern const char *crmio_kind_name(FieldKind kind);

/* register.c */
extern void crmio_module_register(const char *name, Oid relid, Jsonb *options);

/* fieldpath.c */
extern FieldPath *crmio_path_resolve(const Module *module, const char *path,
									 char **problem, char **hint);
extern bool crmio_path_meets(const FieldPath *path, const char *required);

/* stage.c */
extern List *crmio_module_other_stages(const Module *module);

/* target.c: the lock that makes imports into one table take turns */
extern void crmio_target_lock(List *relids);
extern bool crmio_target_untouched(List *relids, TransactionId last);

#endif							/* CRMIO_MODULE_H */

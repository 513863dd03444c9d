/*
 * derive.h
 *	  Inside the catalog room: what a registration says (options.c), and how a
 *	  module is made of it and of the catalog (derive.c, choices.c).
 */
#ifndef CRMIO_DERIVE_H
#define CRMIO_DERIVE_H

#include "catalog/module.h"

#include "utils/rel.h"

/* A row of crmio.module. */
typedef struct Registration
{
	char	   *module;
	Oid			relid;
	Jsonb	   *options;
	char	   *registered_by;
} Registration;

/* What the options say of one field. */
typedef struct FieldOption
{
	char	   *name;
	bool		excluded;		/* null: no field */
	char	   *column;			/* NULL: the column of that name */
	bool		has_kind;
	FieldKind	kind;
	char	   *label;
	List	   *aliases;		/* of char * */
	bool		has_required;
	bool		required;
	List	   *choices;		/* of Choice * */
	FieldStorage storage;
	char	   *typed_column;
	char	   *ref_module;
	bool		used;			/* a column was found for it */
} FieldOption;

/* What the options say of a module; NIL and NULL: nothing. */
typedef struct ModuleOptions
{
	List	   *fields;			/* of FieldOption * */
	bool		has_match;
	List	   *match;			/* of List of char * */
	bool		has_required;
	List	   *required;		/* of List of char * */
	LifecycleRule lifecycle_rule;
	char	   *lifecycle_column;
	List	   *stages;
	char	   *new_stage;
	List	   *lookup;
	char	   *display;
	List	   *list;
	List	   *key;
	List	   *aliases;		/* of PathAlias * */
	bool		reference_target;
} ModuleOptions;

/* options.c */
extern ModuleOptions *crmio_options_parse(Jsonb *options);

/* module.c */
extern bool crmio_relkind_ok(char relkind);
extern List *crmio_registrations(void);
extern Registration *crmio_registration_find(List *registrations, const char *module);
extern char *crmio_reference_module(List *registrations, Oid relid);

/* derive.c */
extern Module *crmio_module_derive(const char *name, Relation rel, ModuleOptions *options,
								   List *registrations, bool registering);

/* keys.c */
extern void crmio_derive_keys(Module *module, Relation rel, ModuleOptions *options);
extern void crmio_derive_match(Module *module, Relation rel, ModuleOptions *options);
extern AttrNumber crmio_key_column(Relation rel, ModuleOptions *options);

/* choices.c */
extern List *crmio_enum_choices(Oid enumtypid);
extern List *crmio_check_choices(Relation rel, AttrNumber attnum, Oid typid);

#endif							/* CRMIO_DERIVE_H */

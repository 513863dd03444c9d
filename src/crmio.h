/*
 * crmio.h
 *	  What every room of crmio shares: settings, error helpers, the switch to
 *	  the extension's owner, and reading of jsonb options.
 */
#ifndef CRMIO_H
#define CRMIO_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/resowner.h"

#include "compat.h"

/* The schema that holds crmio's own tables, whatever schema the user chose. */
#define CRMIO_SCHEMA "crmio"

/* The column that crm_error_csv adds; it is never mapped. */
#define CRMIO_ERROR_REASON "_error_reason"

/* How texts begin that a spreadsheet would run as a formula. */
#define CRMIO_FORMULA_STARTS "=+-@\t\r"

/* Settings (crmio.c); units as the name of the setting's documentation. */
extern int	crmio_batch_rows;		/* rows */
extern int	crmio_batch_memory;		/* kB */
extern int	crmio_max_rows;			/* rows, 0 = no limit */
extern int	crmio_max_file_size;	/* kB, 0 = no limit */
extern int	crmio_max_field_size;	/* kB */
extern int	crmio_max_background_jobs;
extern char *crmio_propagate_settings;	/* names, separated by commas */
extern char *crmio_pdf_font;	/* path of a file */
extern int	crmio_pdf_memory;	/* kB */

extern void crmio_set_locally(const char *name, const char *value);
extern void crmio_set_job_id(int64 job_id);
extern int	crmio_portable_output(void);

/*
 * text.c: names and values as people read them
 */
extern char *crmio_clip(const char *text);
extern char *crmio_name_key(const char *name);
extern const char *crmio_closest(const char *name, List *candidates);
extern char *crmio_trim(char *text);
extern bool crmio_is_blank(const char *text);
extern char *crmio_lower(const char *text, Oid collation);
extern text *crmio_lower_text(const char *bytes, size_t length, Oid collation);
extern char *crmio_join(List *strings, const char *separator);
extern Datum crmio_text_array(List *strings);
extern HTAB *crmio_text_table(const char *name, long expected, Size entrysize);

/*
 * errors.c: errors and the subtransactions that contain them
 */
typedef struct CrmioSubxact
{
	MemoryContext context;
	ResourceOwner owner;
} CrmioSubxact;

extern void crmio_check_arguments(FunctionCallInfo fcinfo, int n, const char *const *names);
extern bool crmio_is_row_error(const ErrorData *error);
extern void crmio_subxact_begin(CrmioSubxact *subxact);
extern void crmio_subxact_end(const CrmioSubxact *subxact, bool keep);
extern ErrorData *crmio_subxact_failed(const CrmioSubxact *subxact, MemoryContext context);

/* worker: a large import may be handed over to the background; the settings of mail */
extern void crmio_jobs_init(void);
extern void crmio_mail_init(void);

/* client.c */
extern void crmio_flush_client(void);

/*
 * owner.c: crmio's own tables are read and written as their owner; whose a job is
 */
typedef struct CrmioOwnerScope
{
	Oid			user;
	int			sec_context;
	int			guc_level;
} CrmioOwnerScope;

extern void crmio_become_owner(CrmioOwnerScope *scope);
extern void crmio_become(CrmioOwnerScope *scope, Oid user, int sec_flags);
extern void crmio_restore_user(CrmioOwnerScope *scope);
extern bool crmio_acts_for(const char *role);
extern void crmio_check_job_owner(int64 job_id, const char *owner);

/*
 * json.c: jsonb options, one level at a time
 */
typedef struct JsonMember
{
	char	   *key;			/* NULL for array elements */
	JsonbValue	value;			/* jbvBinary for a nested object or array */
} JsonMember;

extern List *crmio_json_members(JsonbContainer *container);
extern JsonbValue *crmio_json_get(JsonbContainer *container, const char *key);
extern bool crmio_json_is_object(const JsonbValue *value);
extern bool crmio_json_is_array(const JsonbValue *value);
extern const char *crmio_json_type_name(const JsonbValue *value);
extern char *crmio_json_scalar_text(const JsonbValue *value);
extern char *crmio_json_text(const JsonbValue *value);

#endif							/* CRMIO_H */

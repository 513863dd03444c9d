/*
 * dump.c
 *	  crm_data_export and crm_data_export_to: all data as a ZIP, for those who must show
 *	  it to somebody.
 *
 * A CSV per module with every column of its table, the registrations, reports, job
 * history and audit log, and manifest.json, which says what there is with its row
 * counts and hashes.  All of it is seen by one snapshot, that of the calling statement.
 *
 * Modules are read with the caller's rights, and row-level security may not thin
 * them out: then it is an error, as for pg_dump.  crmio's own tables are read as
 * their owner, so the functions are not for PUBLIC.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "export/archive.h"
#include "export/export.h"
#include "export/list.h"
#include "export/sink.h"
#include "history/audit.h"

PG_FUNCTION_INFO_V1(crm_data_export);
PG_FUNCTION_INFO_V1(crm_data_export_to);

#define MODULES_FOLDER "modules/"

/* Tables of crmio that are part of the dump. */
static const struct
{
	const char *entry;
	const char *sql;
}			own_tables[] = {
	{"registrations.csv", "SELECT * FROM " CRMIO_SCHEMA ".module ORDER BY module"},
	{"reports.csv", "SELECT * FROM " CRMIO_SCHEMA ".report ORDER BY name"},
	{"jobs.csv", "SELECT * FROM " CRMIO_SCHEMA ".job ORDER BY job_id"},
	{"job_messages.csv", "SELECT * FROM " CRMIO_SCHEMA ".job_message ORDER BY job_id, message_id"},
	{"audit_log.csv", "SELECT * FROM " CRMIO_SCHEMA ".audit_log ORDER BY entry_id"}
};

typedef struct DataExport
{
	const char *path;			/* NULL: returned */
	Archive    *archive;
	const ExportFormat *format;
	List	   *names;			/* of char *: entries so far */
	StringInfoData files;		/* JSON objects of the manifest */
	int64		nrows;
	int64		nfiles;
	int64		size;			/* of the ZIP */
} DataExport;

/*
 * begin_member
 *		The next member of a JSON object: its name.
 */
static void
begin_member(StringInfo json, const char *name)
{
	char		last = json->len > 0 ? json->data[json->len - 1] : '\0';

	if (last != '{')
		appendStringInfoString(json, ", ");
	escape_json(json, name);
	appendStringInfoString(json, ": ");
}

/*
 * text_member
 *		A member of a JSON object that is a text.
 */
static void
text_member(StringInfo json, const char *name, const char *value)
{
	begin_member(json, name);
	escape_json(json, value);
}

/*
 * number_member
 *		A member of a JSON object that is a number.
 */
static void
number_member(StringInfo json, const char *name, int64 value)
{
	begin_member(json, name);
	appendStringInfo(json, INT64_FORMAT, value);
}

/*
 * describe
 *		Adds an entry to the manifest.
 */
static void
describe(DataExport *self, const ArchiveEntry *entry, const Module *module, int64 nrows)
{
	StringInfo	json = &self->files;

	appendStringInfo(json, "%s\n    {", self->nfiles++ > 0 ? "," : "");
	text_member(json, "name", entry->name);
	if (module != NULL)
	{
		text_member(json, "module", module->name);
		text_member(json, "table", module->relation);
	}
	number_member(json, "rows", nrows);
	number_member(json, "bytes", entry->size);
	text_member(json, "sha256", entry->sha256);
	appendStringInfoChar(json, '}');
	self->nrows += nrows;
}

/*
 * add_csv
 *		Adds the rows of a query as a file.
 */
static void
add_csv(DataExport *self, const char *name, ExportSource *source, const Module *module)
{
	Sink	   *sink = crmio_archive_begin_entry(self->archive, name);
	int64		nrows;

	crmio_export_options_init(&source->options);
	source->own_sql = true;
	source->title = pstrdup(name);
	nrows = crmio_export_write(source, self->format, sink);
	describe(self, crmio_archive_end_entry(self->archive), module, nrows);
}

/*
 * entry_name
 *		A module's name as that of a file: no folders, no control characters, not twice.
 */
static char *
entry_name(DataExport *self, const char *module)
{
	char	   *clean = pstrdup(module);
	char	   *name;
	int			n = 1;
	ListCell   *lc;
	bool		taken;

	for (char *c = clean; *c != '\0'; c++)
	{
		if (iscntrl((unsigned char) *c) || strchr("/\\:*?\"<>|", *c) != NULL)
			*c = '_';
	}
	name = psprintf(MODULES_FOLDER "%s.csv", clean);
	do
	{
		taken = false;
		foreach(lc, self->names)
			taken |= pg_strcasecmp(lfirst(lc), name) == 0;
		if (taken)
			name = psprintf(MODULES_FOLDER "%s (%d).csv", clean, ++n);
	} while (taken);
	self->names = lappend(self->names, name);
	return name;
}

/*
 * is_in
 *		Is a name in a list?
 */
static bool
is_in(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/*
 * stage_condition
 *		Of a table that several modules share, those records that belong to this one.  What
 *		is at a stage of none of them belongs to the first, so that no record is left out.
 */
static char *
stage_condition(const Module *module, ListQuery *list)
{
	List	   *others = crmio_module_other_stages(module);
	bool		first = true;
	char	   *column;
	StringInfoData sql;
	ListCell   *lc;

	if (others == NIL)
		return "true";
	column = crmio_list_as_text(psprintf(TARGET_ALIAS ".%s",
										 quote_identifier(module->lifecycle_column)),
								get_atttype(module->relid, module->lifecycle_attnum));
	foreach(lc, module->stages)
	{
		if (strcmp(lfirst(lc), module->new_stage) == 0)
			break;
		first &= !is_in(others, lfirst(lc));
	}
	if (!first)
		return psprintf("%s OPERATOR(pg_catalog.=) $%d", column,
						crmio_list_text_param(list, module->new_stage));
	initStringInfo(&sql);
	appendStringInfo(&sql, "(%s IS NULL OR true", column);
	foreach(lc, others)
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.<>) $%d", column,
						 crmio_list_text_param(list, lfirst(lc)));
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * check_relation
 *		Reading a view runs functions of its owner's choice with the caller's rights, and
 *		any owner of one can register it.  So, as reports, views count only from whom the
 *		caller trusts: superusers, and roles that the caller was made a member of.
 */
static void
check_relation(const Module *module, Oid relid)
{
	char		relkind = get_rel_relkind(relid);
	HeapTuple	tuple;
	Oid			owner;

	if (relkind != RELKIND_VIEW && relkind != RELKIND_FOREIGN_TABLE)
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (superuser_arg(owner) || is_member_of_role_nosuper(GetUserId(), owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("module \"%s\" %s a view or foreign table of role \"%s\"", module->name,
					relid == module->relid ? "is" : "has", GetUserNameFromId(owner, true)),
			 relid == module->relid ?
			 errdetail("What it runs would run with your rights.") :
			 errdetail("What \"%s\", which is a part of it, runs would run with your rights.",
					   get_rel_name(relid)),
			 errhint("If it is to be trusted, make a superuser or a role that you are a member of its owner; else forget it with crm_unregister_module.")));
}

/*
 * add_module
 *		Every column of a module's records.
 */
static void
add_module(DataExport *self, const char *name)
{
	Module	   *module = crmio_module_load(name, false);
	ListQuery	list = {.module = module};
	ExportSource *source = palloc0(sizeof(ExportSource));
	char	   *condition = stage_condition(module, &list);
	ListCell   *lc;

	/* a foreign table may also be a partition, or inherit */
	foreach(lc, find_all_inheritors(module->relid, AccessShareLock, NULL))
		check_relation(module, lfirst_oid(lc));
	source->sql = psprintf("SELECT " TARGET_ALIAS ".* FROM %s " TARGET_ALIAS " WHERE %s ORDER BY %s",
						   module->relation, condition, crmio_list_order(module));
	crmio_list_make_params(source, &list);
	add_csv(self, entry_name(self, name), source, module);
}

/*
 * add_own_table
 *		A table of crmio's.
 */
static void
add_own_table(DataExport *self, const char *name, const char *sql)
{
	ExportSource *source = palloc0(sizeof(ExportSource));
	CrmioOwnerScope scope;

	source->sql = pstrdup(sql);
	crmio_become_owner(&scope);
	add_csv(self, name, source, NULL);
	crmio_restore_user(&scope);
}

/*
 * extension_version
 *		The version that is installed in this database.
 */
static char *
extension_version(void)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *version;

	SPI_connect();
	if (SPI_execute("SELECT extversion FROM pg_catalog.pg_extension"
					" WHERE extname OPERATOR(pg_catalog.=) 'crmio'", true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "extension crmio is not installed");
	version = MemoryContextStrdup(caller,
								  SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	SPI_finish();
	return version;
}

/*
 * add_manifest
 *		What the dump holds, who made it, when and of what.
 */
static void
add_manifest(DataExport *self)
{
	StringInfoData json;
	char	   *converted;
	char		made_at[sizeof("2026-01-31T00:00:00Z") + 8];
	pg_time_t	now = timestamptz_to_time_t(GetCurrentStatementStartTimestamp());
	Sink	   *sink;

	/* in UTC: who reads it need not know this server's time zone */
	pg_strftime(made_at, sizeof(made_at), "%Y-%m-%dT%H:%M:%SZ",
				pg_gmtime(&now));
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	text_member(&json, "made_at", made_at);
	text_member(&json, "made_by", GetUserNameFromId(GetUserId(), false));
	text_member(&json, "session_role", GetUserNameFromId(GetSessionUserId(), false));
	text_member(&json, "database", get_database_name(MyDatabaseId));
	text_member(&json, "server_version", GetConfigOption("server_version", false, false));
	text_member(&json, "extension_version", extension_version());
	number_member(&json, "rows", self->nrows);
	begin_member(&json, "files");
	appendStringInfo(&json, "[%s\n  ]}\n", self->files.data);

	sink = crmio_archive_begin_entry(self->archive, "manifest.json");
	converted = pg_server_to_any(json.data, json.len, PG_UTF8);
	sink->write(sink, converted, strlen(converted));
	(void) crmio_archive_end_entry(self->archive);
}

/*
 * write_data
 *		Puts the archive together and writes it.
 */
static void
write_data(Sink *sink, void *arg)
{
	DataExport *self = arg;
	int			level = NewGUCNestLevel();
	ListCell   *lc;

	crmio_set_locally("row_security", "off");
	self->format = crmio_format_find("csv");
	self->archive = crmio_archive_create();
	initStringInfo(&self->files);
	foreach(lc, crmio_module_names())
		add_module(self, lfirst(lc));
	for (int i = 0; i < lengthof(own_tables); i++)
		add_own_table(self, own_tables[i].entry, own_tables[i].sql);
	AtEOXact_GUC(false, level);
	add_manifest(self);
	self->size = crmio_archive_write(self->archive, sink);
}

/*
 * begin_export
 *		Says in the server's log that somebody takes everything: that stays, also when the
 *		transaction is rolled back.
 */
static void
begin_export(const char *function, const DataExport *self)
{
	PreventCommandIfReadOnly(function);
	ereport(LOG,
			(errmsg("role \"%s\" exports all data of database \"%s\"%s%s",
					GetUserNameFromId(GetUserId(), false), get_database_name(MyDatabaseId),
					self->path ? " to " : "", self->path ? self->path : "")));
}

/*
 * end_export
 *		Leaves an entry in the audit log.
 */
static void
end_export(const DataExport *self)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	if (self->path != NULL)
		text_member(&json, "path", self->path);
	number_member(&json, "files", self->nfiles);
	number_member(&json, "rows", self->nrows);
	number_member(&json, "bytes", self->size);
	appendStringInfoChar(&json, '}');
	crmio_audit("data_export",
				DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data))));
}

/*
 * crm_data_export
 *		SELECT crm_data_export()
 */
Datum
crm_data_export(PG_FUNCTION_ARGS)
{
	DataExport	self = {0};
	Sink	   *sink = crmio_sink_bytea();

	begin_export("crm_data_export()", &self);
	write_data(sink, &self);
	end_export(&self);
	PG_RETURN_BYTEA_P(crmio_sink_bytea_value(sink));
}

/*
 * crm_data_export_to
 *		SELECT crm_data_export_to(path)
 */
Datum
crm_data_export_to(PG_FUNCTION_ARGS)
{
	DataExport	self = {0};

	self.path = crmio_server_path(text_to_cstring(PG_GETARG_TEXT_PP(0)), "crm_data_export");
	begin_export("crm_data_export_to()", &self);
	crmio_sink_file(self.path, write_data, &self);
	end_export(&self);
	PG_RETURN_INT64(self.nrows);
}

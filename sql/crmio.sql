/* crmio: import and export of CRM records */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION crmio" to load this file. \quit

--
-- crmio's own tables.  They are written only by crmio's C code, as their owner;
-- roles see their own rows through the crm_* functions.  There are no foreign keys
-- between them: a parallel restore fills them in any order.
--

CREATE SCHEMA crmio;
COMMENT ON SCHEMA crmio IS 'tables of the crmio extension; use the crm_* functions to read them';

-- One row for each table that some module is kept in: imports into it take turns here.
CREATE TABLE crmio.target (
	relation pg_catalog.regclass PRIMARY KEY
);
COMMENT ON TABLE crmio.target IS 'tables that modules are kept in; an import locks the row of its table';

CREATE TABLE crmio.module (
	module pg_catalog.text PRIMARY KEY,
	relation pg_catalog.regclass NOT NULL,
	options pg_catalog.jsonb NOT NULL,
	registered_by pg_catalog.name NOT NULL,
	registered_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE crmio.module IS 'registered modules: their table, and what the registration says beyond the catalog';

CREATE TABLE crmio.upload (
	handle pg_catalog.text PRIMARY KEY,
	file_name pg_catalog.text NOT NULL,
	owner pg_catalog.name NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE crmio.upload IS 'files sent by crm_upload, until the job that uses them ends';

CREATE TABLE crmio.upload_part (
	handle pg_catalog.text NOT NULL,
	start_at pg_catalog.int8 NOT NULL,
	content pg_catalog.bytea NOT NULL,
	PRIMARY KEY (handle, start_at)
);
ALTER TABLE crmio.upload_part ALTER COLUMN content SET STORAGE EXTERNAL;
COMMENT ON TABLE crmio.upload_part IS 'bytes of an upload, in parts of at most 1 MB; start_at counts bytes from 0';

CREATE TABLE crmio.job (
	job_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	owner pg_catalog.name NOT NULL,
	module pg_catalog.text NOT NULL,
	file_name pg_catalog.text NOT NULL,
	mapping pg_catalog.jsonb NOT NULL,
	policy pg_catalog.text NOT NULL,
	dry_run pg_catalog.bool NOT NULL,
	state pg_catalog.text NOT NULL,
	rows_read pg_catalog.int8 NOT NULL DEFAULT 0,
	created pg_catalog.int8 NOT NULL DEFAULT 0,
	updated pg_catalog.int8 NOT NULL DEFAULT 0,
	unchanged pg_catalog.int8 NOT NULL DEFAULT 0,
	skipped pg_catalog.int8 NOT NULL DEFAULT 0,
	errored pg_catalog.int8 NOT NULL DEFAULT 0,
	warnings pg_catalog.int8 NOT NULL DEFAULT 0,
	header pg_catalog.text[],
	delimiter pg_catalog.text NOT NULL,
	quote pg_catalog.text NOT NULL,
	started_at pg_catalog.timestamptz DEFAULT pg_catalog.clock_timestamp(),
	ended_at pg_catalog.timestamptz,
	rolled_back_at pg_catalog.timestamptz,
	cleaned_at pg_catalog.timestamptz,
	-- why it failed or was cancelled
	reason pg_catalog.text,
	-- only for jobs in the background: what their worker must know ...
	background pg_catalog.bool NOT NULL DEFAULT false,
	file pg_catalog.text,
	file_size pg_catalog.int8,
	settings pg_catalog.jsonb,
	queued_at pg_catalog.timestamptz,
	cancelled_by pg_catalog.name,
	-- ... who it is, and how far it has come
	worker_pid pg_catalog.int4,
	worker_started_at pg_catalog.timestamptz,
	batches pg_catalog.int8 NOT NULL DEFAULT 0,
	bytes_read pg_catalog.int8 NOT NULL DEFAULT 0,
	rows_hash pg_catalog.int8 NOT NULL DEFAULT 0,
	date_orders pg_catalog.jsonb,
	CHECK (rows_read OPERATOR(pg_catalog.=) (created OPERATOR(pg_catalog.+) updated OPERATOR(pg_catalog.+) unchanged OPERATOR(pg_catalog.+) skipped OPERATOR(pg_catalog.+) errored))
);
-- few jobs are alive at a time, and every look at the queue asks for them
CREATE INDEX job_alive ON crmio.job (state) WHERE state OPERATOR(pg_catalog.=) ANY ('{queued,running}'::pg_catalog.text[]);
COMMENT ON TABLE crmio.job IS 'one row for each run of an import: its counts and, in the background, its position in the file';

CREATE TABLE crmio.job_message (
	job_id pg_catalog.int8 NOT NULL,
	severity pg_catalog."char" NOT NULL CHECK (severity OPERATOR(pg_catalog.=) ANY ('{e,w}'::pg_catalog."char"[])),
	row_number pg_catalog.int8,
	line_number pg_catalog.int8,
	column_name pg_catalog.text,
	field pg_catalog.text,
	value pg_catalog.text,
	code pg_catalog.text NOT NULL,
	reason pg_catalog.text NOT NULL,
	message_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX job_message_job ON crmio.job_message (job_id, severity, row_number, message_id);
COMMENT ON TABLE crmio.job_message IS 'errors (e) and warnings (w) of a job; a warning about the whole file has no row number';

CREATE TABLE crmio.job_error_row (
	job_id pg_catalog.int8 NOT NULL,
	row_number pg_catalog.int8 NOT NULL,
	fields pg_catalog.text[] NOT NULL,
	PRIMARY KEY (job_id, row_number)
);
COMMENT ON TABLE crmio.job_error_row IS 'the fields, as the file had them, of the rows that failed';

-- What is needed to undo a job.  Keys of one integer column are kept as ranges;
-- others as text, one element per record: for several columns a row literal.
CREATE TABLE crmio.job_created (
	job_id pg_catalog.int8 NOT NULL,
	batch pg_catalog.int8 NOT NULL,
	module pg_catalog.text NOT NULL,
	key_ranges pg_catalog.int8multirange,
	record_keys pg_catalog.text[],
	CHECK (pg_catalog.num_nulls(key_ranges, record_keys) OPERATOR(pg_catalog.=) 1)
);
ALTER TABLE crmio.job_created ALTER COLUMN record_keys SET STORAGE EXTERNAL;
CREATE INDEX job_created_job ON crmio.job_created (job_id, batch);
COMMENT ON TABLE crmio.job_created IS 'keys of the records that a job created, per batch';

CREATE TABLE crmio.job_change (
	job_id pg_catalog.int8 NOT NULL,
	batch pg_catalog.int8 NOT NULL,
	module pg_catalog.text NOT NULL,
	record_key pg_catalog.text NOT NULL,
	old_values pg_catalog.jsonb NOT NULL,
	new_values pg_catalog.jsonb NOT NULL,
	old_xid pg_catalog.xid8,
	change_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX job_change_job ON crmio.job_change (job_id, batch);
COMMENT ON TABLE crmio.job_change IS 'columns that an update changed: their values before and after, by column name; old_xid wrote the record before';

CREATE TABLE crmio.job_xact (
	job_id pg_catalog.int8 NOT NULL,
	batch pg_catalog.int8 NOT NULL,
	system_identifier pg_catalog.int8 NOT NULL,
	xids pg_catalog.xid8[] NOT NULL
);
CREATE INDEX job_xact_job ON crmio.job_xact (job_id, batch);
COMMENT ON TABLE crmio.job_xact IS 'transactions in which a job wrote records, and of which cluster: a record whose xmin is another has been edited since';

-- A record that the rollback of a later job has given back what an earlier job had
-- left.  It means nothing in another cluster, so a dump leaves it out.
CREATE TABLE crmio.job_restored (
	job_id pg_catalog.int8 NOT NULL,
	relation pg_catalog.oid NOT NULL,
	record_key pg_catalog.text NOT NULL,
	xid pg_catalog.xid8 NOT NULL
);
CREATE INDEX job_restored_job ON crmio.job_restored (job_id, record_key);
COMMENT ON TABLE crmio.job_restored IS 'records that are again as a job had left them: by which transaction of the rollback of a later job';

-- a registration whose table is gone would be restored as a bare OID
SELECT pg_catalog.pg_extension_config_dump('crmio.target', 'WHERE relation OPERATOR(pg_catalog.=) ANY (SELECT oid FROM pg_catalog.pg_class)');
SELECT pg_catalog.pg_extension_config_dump('crmio.module', 'WHERE relation OPERATOR(pg_catalog.=) ANY (SELECT oid FROM pg_catalog.pg_class)');
SELECT pg_catalog.pg_extension_config_dump('crmio.upload', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.upload_part', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_message', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_message_message_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_error_row', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_created', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_change', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_change_change_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.job_xact', '');

--
-- Modules (src/catalog)
--

CREATE FUNCTION @extschema@.crm_register_module(module pg_catalog.text, relation pg_catalog.regclass, options pg_catalog.jsonb DEFAULT '{}')
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_register_module'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_register_module IS
'Makes a table a module that crm_import can fill. module: its name; relation: a table with a primary key that the caller owns; options: what the catalog does not say (README, "Registering your own table"). Registering a module again replaces its options. Errors: no primary key, an unknown option or column, not the owner.';

CREATE FUNCTION @extschema@.crm_unregister_module(module pg_catalog.text)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_unregister_module'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_unregister_module IS
'Forgets the registration of a module; its records stay. module: its name. Errors: unknown module, not the owner of its table.';

CREATE FUNCTION @extschema@.crm_create_standard_modules(schema_name pg_catalog.name DEFAULT 'crm')
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_create_standard_modules'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_create_standard_modules IS
'Makes the tables people, accounts and tickets, owned by the caller, and registers the modules leads, contacts, accounts and tickets on them. schema_name: where; it is created if it does not exist. Tables that are all there already are registered as they are. Errors: only some of them exist, a module of that name is registered, no right to create them.';

CREATE FUNCTION @extschema@.crm_fields(
	module pg_catalog.text,
	OUT field pg_catalog.text, OUT label pg_catalog.text, OUT kind pg_catalog.text,
	OUT required pg_catalog.bool, OUT column_name pg_catalog.name, OUT choices pg_catalog.text[],
	OUT reference pg_catalog.text, OUT aliases pg_catalog.text[])
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_fields'
LANGUAGE C STRICT STABLE;
COMMENT ON FUNCTION @extschema@.crm_fields IS
'The fields of a module that a file column can be mapped to. module: its name. One row per field: its path, label, kind, whether a mapping must have it, its column, its choices, the module it refers to, and other names by which a column maps to it. Errors: unknown module.';

--
-- Files (src/input)
--

CREATE FUNCTION @extschema@.crm_upload(filename pg_catalog.text, content pg_catalog.bytea)
RETURNS pg_catalog.text
AS 'MODULE_PATHNAME', 'crm_upload'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_upload IS
'Keeps a file for an import. filename: for people; content: its bytes, or the first part of them. Returns the handle (upload:ID) that crm_import takes; only its owner can read it, and it goes when the job that uses it ends. Errors: larger than crmio.max_file_size.';

CREATE FUNCTION @extschema@.crm_upload_append(handle pg_catalog.text, content pg_catalog.bytea)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_upload_append'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_upload_append IS
'Adds bytes to the end of an upload. handle: from crm_upload; content: the next part. Errors: no such upload of the caller, larger than crmio.max_file_size.';

CREATE FUNCTION @extschema@.crm_upload_drop(handle pg_catalog.text)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_upload_drop'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_upload_drop IS
'Drops an upload that no import will use. handle: from crm_upload. Errors: no such upload of the caller.';

CREATE FUNCTION @extschema@.crm_columns(
	file pg_catalog.text, options pg_catalog.jsonb DEFAULT '{}',
	OUT "position" pg_catalog.int4, OUT column_name pg_catalog.text, OUT samples pg_catalog.text[])
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_columns'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_columns IS
'The columns of a file. file: a server path, lo:OID or upload:ID; options: encoding, delimiter, quote, header_row. One row per column: position (from 1), name, and up to 5 different non-empty values from the first 100 rows. Errors: as crm_import for an unreadable file.';

--
-- Imports (src/import)
--

CREATE TYPE @extschema@.crm_progress AS (
	job_id pg_catalog.int8,
	state pg_catalog.text,
	rows_read pg_catalog.int8,
	created pg_catalog.int8,
	updated pg_catalog.int8,
	unchanged pg_catalog.int8,
	skipped pg_catalog.int8,
	errored pg_catalog.int8,
	warnings pg_catalog.int8,
	percent pg_catalog.numeric,
	elapsed pg_catalog.interval
);
COMMENT ON TYPE @extschema@.crm_progress IS
'State of an import: rows_read = created + updated + unchanged + skipped + errored; percent of the file''s bytes; elapsed since the start';

CREATE FUNCTION @extschema@.crm_import(file pg_catalog.text, mapping pg_catalog.jsonb, policy pg_catalog.text DEFAULT 'skip')
RETURNS SETOF @extschema@.crm_progress
AS 'MODULE_PATHNAME', 'crm_import'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_import IS
'Imports a file into a module, within the caller''s transaction. file: a server path (needs pg_read_server_files), lo:OID or upload:ID; mapping: {"module": ..., "columns": {...}, ...}; policy: skip, update, update:fill_empty, update:overwrite, update:prefer_import or create. Returns a crm_progress row after each batch; the last has state completed. Rows that do not fit are error rows (crm_errors), not errors. Errors: wrong mapping or policy, unreadable file, missing privileges, more error rows than max_errors.';

CREATE FUNCTION @extschema@.crm_preview(
	file pg_catalog.text, mapping pg_catalog.jsonb, policy pg_catalog.text DEFAULT 'skip', rows pg_catalog.int4 DEFAULT 5,
	OUT row_number pg_catalog.int8, OUT action pg_catalog.text, OUT record pg_catalog.jsonb, OUT messages pg_catalog.text[])
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_preview'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_preview IS
'Shows what crm_import would do with the first rows of a file, and keeps nothing. file, mapping, policy: as crm_import; rows: how many data rows. One row per data row: action (create, update, unchanged, skip, error), the record as it would be stored, errors and warnings. Errors: as crm_import.';

--
-- What a job leaves behind (src/history)
--

CREATE FUNCTION @extschema@.crm_errors(
	job_id pg_catalog.int8,
	OUT row_number pg_catalog.int8, OUT line_number pg_catalog.int8, OUT column_name pg_catalog.text,
	OUT field pg_catalog.text, OUT value pg_catalog.text, OUT code pg_catalog.text, OUT reason pg_catalog.text)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_errors'
LANGUAGE C STRICT STABLE;
COMMENT ON FUNCTION @extschema@.crm_errors IS
'The errors of a job, in file order. job_id: from crm_progress. row_number counts data rows from 1, line_number physical lines; column_name is the file''s, field the module''s; value is clipped; code is stable. Errors: no such job of the caller.';

CREATE FUNCTION @extschema@.crm_warnings(
	job_id pg_catalog.int8,
	OUT row_number pg_catalog.int8, OUT line_number pg_catalog.int8, OUT column_name pg_catalog.text,
	OUT field pg_catalog.text, OUT value pg_catalog.text, OUT code pg_catalog.text, OUT reason pg_catalog.text)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_warnings'
LANGUAGE C STRICT STABLE;
COMMENT ON FUNCTION @extschema@.crm_warnings IS
'The warnings of a job, as crm_errors; those about the whole file come first and have no row_number. job_id: from crm_progress. Errors: no such job of the caller.';

CREATE FUNCTION @extschema@.crm_error_csv(job_id pg_catalog.int8)
RETURNS SETOF pg_catalog.text
AS 'MODULE_PATHNAME', 'crm_error_csv'
LANGUAGE C STRICT STABLE;
COMMENT ON FUNCTION @extschema@.crm_error_csv IS
'The rows of a job that failed, as CSV lines: header, then the original fields, then the column _error_reason. Mended and imported with the same mapping it works. job_id: from crm_progress. Errors: no such job of the caller.';

--
-- Imports in the background (src/worker)
--

CREATE FUNCTION @extschema@.crm_import_start(file pg_catalog.text, mapping pg_catalog.jsonb, policy pg_catalog.text DEFAULT 'skip')
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'crm_import_start'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_import_start IS
'Imports a file in the background, as the calling role, one transaction per batch; it begins when the caller''s transaction commits. file, mapping, policy: as crm_import. Returns the job''s id, for crm_job, crm_job_wait, crm_cancel and crm_resume. Errors: as crm_import, before anything is queued; before PostgreSQL 17, a role that may not log in.';

CREATE FUNCTION @extschema@.crm_job(job_id pg_catalog.int8)
RETURNS @extschema@.crm_progress
AS 'MODULE_PATHNAME', 'crm_job'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_job IS
'The state of a job, while it runs and afterwards: queued, running, completed, failed, cancelled or rolled_back, and its counts so far. job_id: from crm_import_start or crm_progress. A NOTICE gives the reason of a job that failed; one whose worker is gone is found here and failed. Errors: no such job of the caller.';

CREATE FUNCTION @extschema@.crm_jobs(
	OUT job_id pg_catalog.int8, OUT file_name pg_catalog.text, OUT module pg_catalog.text, OUT policy pg_catalog.text,
	OUT dry_run pg_catalog.bool, OUT background pg_catalog.bool, OUT owner pg_catalog.name, OUT state pg_catalog.text,
	OUT rows_read pg_catalog.int8, OUT created pg_catalog.int8, OUT updated pg_catalog.int8, OUT unchanged pg_catalog.int8,
	OUT skipped pg_catalog.int8, OUT errored pg_catalog.int8, OUT warnings pg_catalog.int8, OUT percent pg_catalog.numeric,
	OUT queued_at pg_catalog.timestamptz, OUT started_at pg_catalog.timestamptz, OUT ended_at pg_catalog.timestamptz,
	OUT reason pg_catalog.text)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_jobs'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_jobs() IS
'The history of imports, the newest first: those of the caller and of the roles that the caller is a member of. reason says why a job failed, was cancelled or is still queued. The view crm_jobs is the same.';

CREATE VIEW @extschema@.crm_jobs AS SELECT * FROM @extschema@.crm_jobs();
COMMENT ON VIEW @extschema@.crm_jobs IS 'the history of imports: the caller''s, and those of roles that the caller is a member of; see the function crm_jobs';
GRANT SELECT ON @extschema@.crm_jobs TO PUBLIC;

CREATE FUNCTION @extschema@.crm_cancel(job_id pg_catalog.int8)
RETURNS @extschema@.crm_progress
AS 'MODULE_PATHNAME', 'crm_cancel'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_cancel IS
'Stops a job in the background, once the caller''s transaction commits; finished batches stay. job_id: from crm_import_start. Returns the job''s state: a running job shows as cancelled when its worker has undone the batch at hand. Errors: no such job of the caller, or it has ended.';

CREATE FUNCTION @extschema@.crm_resume(job_id pg_catalog.int8)
RETURNS @extschema@.crm_progress
AS 'MODULE_PATHNAME', 'crm_resume'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_resume IS
'Lets a cancelled or failed job in the background go on after its last finished batch, as its owner, once the caller''s transaction commits. job_id: from crm_import_start. The file must be the one that it was, or the job fails again and says so. Errors: no such job of the caller; it is not cancelled or failed; it was cleaned up.';

CREATE FUNCTION @extschema@.crm_job_wait(job_id pg_catalog.int8, timeout pg_catalog.interval DEFAULT NULL)
RETURNS @extschema@.crm_progress
AS 'MODULE_PATHNAME', 'crm_job_wait'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_job_wait IS
'Waits until a job has ended, and returns its state. job_id: from crm_import_start; timeout: how long to wait, without limit by default; when it is over, the state is that of the moment. Errors: no such job of the caller; it was started in this same transaction; an isolation level other than READ COMMITTED.';

--
-- Undoing (src/history)
--

CREATE FUNCTION @extschema@.crm_rollback(
	job_id pg_catalog.int8, dry_run pg_catalog.bool DEFAULT false,
	OUT deleted pg_catalog.int8, OUT restored pg_catalog.int8, OUT kept pg_catalog.int8, OUT blocked pg_catalog.int8)
RETURNS pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_rollback'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_rollback IS
'Undoes an import. job_id: from crm_progress; dry_run: only say what would happen. Returns how many records were deleted (the job created them), restored (columns that are as the job left them have their old values again), kept (somebody has changed them since) and blocked (others refer to them, or the database refuses); a NOTICE names the first of those that stay. Errors: no such job of the caller, not ended, rolled back already, a dry run, cleaned up, missing privileges.';

CREATE FUNCTION @extschema@.crm_retry_errors(job_id pg_catalog.int8, mapping pg_catalog.jsonb DEFAULT NULL, policy pg_catalog.text DEFAULT NULL)
RETURNS SETOF @extschema@.crm_progress
AS 'MODULE_PATHNAME', 'crm_retry_errors'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_retry_errors IS
'Imports the error rows of a job again, as a new job. job_id: from crm_progress; mapping, policy: as crm_import, NULL for the job''s own. Returns what crm_import returns; rows and lines have the numbers of the first file. Errors: no such job of the caller, not ended, no error rows; as crm_import.';

CREATE FUNCTION @extschema@.crm_cleanup(
	older_than pg_catalog.interval DEFAULT '30 days',
	OUT jobs pg_catalog.int8, OUT undo_rows pg_catalog.int8, OUT messages pg_catalog.int8,
	OUT error_rows pg_catalog.int8, OUT uploads pg_catalog.int8)
RETURNS pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_cleanup'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_cleanup IS
'Removes what old jobs have left but their row in the history: what a rollback needs, errors, warnings and error rows; and uploads that no import has used. older_than: for jobs that ended, and uploads made, longer ago. The caller''s own, and those of roles that the caller is a member of. Returns how many jobs, and how many rows of what a rollback needs, of messages, of error rows and of uploads. Errors: a negative interval.';
-- Exports (src/export)
--

CREATE TABLE crmio.report (
	name pg_catalog.text PRIMARY KEY,
	query pg_catalog.text NOT NULL,
	options pg_catalog.jsonb NOT NULL,
	owner pg_catalog.name NOT NULL,
	saved_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE crmio.report IS 'saved reports: a query or the name of a module, with the options of its export';
SELECT pg_catalog.pg_extension_config_dump('crmio.report', '');

CREATE VIEW @extschema@.crm_reports WITH (security_barrier = true) AS
	SELECT r.name, r.query, r.options, r.owner, r.saved_at
	FROM crmio.report r
	WHERE CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles a WHERE a.rolname OPERATOR(pg_catalog.=) r.owner)
		THEN pg_catalog.pg_has_role(r.owner, 'USAGE')
		ELSE (SELECT a.rolsuper FROM pg_catalog.pg_roles a WHERE a.rolname OPERATOR(pg_catalog.=) CURRENT_USER) END;
COMMENT ON VIEW @extschema@.crm_reports IS 'saved reports of the caller and of roles that the caller is a member of';
GRANT SELECT ON @extschema@.crm_reports TO PUBLIC;

CREATE FUNCTION @extschema@.crm_export(query pg_catalog.text, options pg_catalog.jsonb DEFAULT '{}')
RETURNS SETOF pg_catalog.text
AS 'MODULE_PATHNAME', 'crm_export'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_export IS
'Exports as CSV. query: one SELECT, VALUES or TABLE, run with the caller''s rights and read only; or the name of a module, for its list; or report:NAME. options: delimiter, header, bom, crlf, null, quote_all, escape_formulas; for lists filter, columns, names. One line per row, without its end, the header first; lines are sent while the query runs. Errors: unknown option, module or report; a query that does more than read; what the query raises.';

CREATE FUNCTION @extschema@.crm_save_report(name pg_catalog.text, query pg_catalog.text, options pg_catalog.jsonb DEFAULT '{}')
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_save_report'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_save_report IS
'Saves a report, which the exports take as report:NAME, in the name of the current role; one of that name is replaced. name: of the report; query, options: as crm_export. It runs with the rights of who calls it: its owner, or a member of that role. Errors: a query that crm_export would refuse; a report of that name belongs to another role.';

CREATE FUNCTION @extschema@.crm_drop_report(name pg_catalog.text)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_drop_report'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_drop_report IS
'Drops a saved report. name: of the report. Errors: no such report; it belongs to another role.';

CREATE FUNCTION @extschema@.crm_export_file(query pg_catalog.text, format pg_catalog.text DEFAULT 'csv', options pg_catalog.jsonb DEFAULT '{}')
RETURNS pg_catalog.bytea
AS 'MODULE_PATHNAME', 'crm_export_file'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_export_file IS
'Exports as a file, which is returned. query: as crm_export; format: csv, xlsx or pdf; options: as crm_export, for csv also encoding, for xlsx and pdf title instead of those of text. Returns the bytes of the file, at most 1 GB. Errors: as crm_export; unknown format; larger than 1 GB.';

CREATE FUNCTION @extschema@.crm_export_to(path pg_catalog.text, query pg_catalog.text, format pg_catalog.text DEFAULT 'csv', options pg_catalog.jsonb DEFAULT '{}')
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'crm_export_to'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_export_to IS
'Exports to a file on the server; needs pg_write_server_files. path: absolute; an existing file is replaced when the new one is complete; query, format, options: as crm_export_file. Returns the number of rows. Errors: as crm_export_file; no privilege; a path that is no regular file or can''t be written.';

CREATE FUNCTION @extschema@.crm_export_lo(query pg_catalog.text, format pg_catalog.text DEFAULT 'csv', options pg_catalog.jsonb DEFAULT '{}')
RETURNS pg_catalog.oid
AS 'MODULE_PATHNAME', 'crm_export_lo'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_export_lo IS
'Exports into a new large object of the caller. query, format, options: as crm_export_file. Returns its OID. Errors: as crm_export_file.';

CREATE TABLE crmio.audit_log (
	entry_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	role pg_catalog.name NOT NULL,
	session_role pg_catalog.name NOT NULL,
	action pg_catalog.text NOT NULL,
	details pg_catalog.jsonb NOT NULL
);
COMMENT ON TABLE crmio.audit_log IS 'who exported all data, when: one entry for each crm_data_export that was committed';
SELECT pg_catalog.pg_extension_config_dump('crmio.audit_log', '');
SELECT pg_catalog.pg_extension_config_dump('crmio.audit_log_entry_id_seq', '');

CREATE FUNCTION @extschema@.crm_data_export()
RETURNS pg_catalog.bytea
AS 'MODULE_PATHNAME', 'crm_data_export'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_data_export IS
'Exports all data as a ZIP: a CSV with every column for each module, registrations, reports, job history, audit log, and manifest.json with row counts and SHA-256. Returns its bytes, at most 1 GB. PUBLIC may not call it; the caller needs SELECT on the tables of all modules. Leaves an entry in crmio.audit_log and a line in the server''s log. Errors: no privilege; row-level security would leave rows out; larger than 1 GB.';
REVOKE ALL ON FUNCTION @extschema@.crm_data_export() FROM PUBLIC;

CREATE FUNCTION @extschema@.crm_data_export_to(path pg_catalog.text)
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'crm_data_export_to'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_data_export_to IS
'The same, into a file on the server; needs pg_write_server_files too. path: absolute; an existing file is replaced when the new one is complete. Returns the number of rows. Errors: as crm_data_export and crm_export_to.';
REVOKE ALL ON FUNCTION @extschema@.crm_data_export_to(pg_catalog.text) FROM PUBLIC;

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
	notify pg_catalog.text[],
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
'The columns of a file. file: a server path, lo:OID, upload:ID or errors:JOB; options: encoding, delimiter, quote, header_row. One row per column: position (from 1), name, and up to 5 different non-empty values from the first 100 rows. Errors: as crm_import for an unreadable file.';

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
'Imports a file into a module, within the caller''s transaction. file: a server path (needs pg_read_server_files), lo:OID, upload:ID or errors:JOB; mapping: {"module": ..., "columns": {...}, ...}; policy: skip, update, update:fill_empty, update:overwrite, update:prefer_import or create. Returns a crm_progress row after each batch; the last has state completed, or queued where "mode": "auto" hands the file to the background. Rows that do not fit are error rows (crm_errors), not errors. Errors: wrong mapping or policy, unreadable file, missing privileges, more error rows than max_errors.';

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
	OUT error_rows pg_catalog.int8, OUT uploads pg_catalog.int8, OUT mails pg_catalog.int8)
RETURNS pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_cleanup'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_cleanup IS
'Removes what old jobs have left but their row in the history: what a rollback needs, errors, warnings, error rows, and mails that were sent or given up; and uploads that no import has used. older_than: for jobs that ended, and uploads made, longer ago. The caller''s own, and those of roles that the caller is a member of. Returns how many jobs, and how many rows of what a rollback needs, of messages, of error rows, of uploads and of mails. Errors: a negative interval.';

--
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

--
-- Mapping help: names by which columns find fields (src/catalog/names.c, src/import/suggest.h),
-- and mappings that were kept (src/catalog/saved_mapping.c)
--

-- These two tables and crmio.preset are the same in every installation of a version, and
-- upgrade scripts change them, so pg_dump leaves them alone.
CREATE TABLE crmio.field_alias (
	module pg_catalog.text NOT NULL,
	field pg_catalog.text NOT NULL,
	aliases pg_catalog.text[] NOT NULL,
	weak pg_catalog.text[] NOT NULL DEFAULT '{}',
	PRIMARY KEY (module, field)
);
COMMENT ON TABLE crmio.field_alias IS 'other names of fields in exports of other systems; module: its name, * for any, or * and what its records are; weak: names that often mean the field, but not always';

CREATE TABLE crmio.name_word (
	role pg_catalog.text NOT NULL,
	meaning pg_catalog.text NOT NULL,
	words pg_catalog.text[] NOT NULL,
	PRIMARY KEY (role, meaning)
);
COMMENT ON TABLE crmio.name_word IS 'words with a meaning of their own in names of columns, by role';

CREATE TABLE crmio.preset (
	name pg_catalog.text PRIMARY KEY,
	mapping pg_catalog.jsonb NOT NULL
);
COMMENT ON TABLE crmio.preset IS 'shipped mappings for exports of other systems';

CREATE TABLE crmio.saved_mapping (
	name pg_catalog.text NOT NULL,
	owner pg_catalog.name NOT NULL,
	mapping pg_catalog.jsonb NOT NULL,
	saved_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (name, owner)
);
COMMENT ON TABLE crmio.saved_mapping IS 'mappings that roles keep under a name';

SELECT pg_catalog.pg_extension_config_dump('crmio.saved_mapping', '');

-- Names are compared without case, punctuation, accents and plural endings, so they are
-- listed once, in ASCII.
INSERT INTO crmio.field_alias (module, field, aliases, weak) VALUES
('*', 'email', '{E-mail,Email Address,Email Adress,Mail,Mail Address,Email Addr,Email ID,E-Mail-Adresse,Mailadresse,Courriel,Adresse email,Adresse mail,Adresse de messagerie,Adresse electronique,Correo,Correo electronico,Direccion de correo,Direccion de correo electronico,Direccion de email,Endereco de email,Indirizzo email,Posta elettronica,E-mailadres}', '{}'),
('*', 'phone', '{Phone Number,Phone No,Telephone,Telephone Number,Telephone No,Tel,Tel No,Tel Nr,Tel Number,Contact Number,Contact Phone Number,Telefon,Telefonnummer,Telefonnr,Haupttelefon,Rufnummer,Fon,Numero de telephone,Telefono,Numero de telefono,Telefone,Numero de telefone,Numero telefonico,Numero di telefono,Telefoon,Telefoonnummer}', '{}'),
('*', 'phone.mobile', '{Mobile,Mobile Number,Mobile No,Mobil,Mobilnummer,Cell,Cell Number,Cell No,Handy,Handynummer,Handynr,Natel,GSM,Movil,Numero de movil,Celular,Numero de celular,Telemovel,Portable,Numero de portable,Cellulare,Mobiel}', '{}'),
('*', 'phone.work', '{Work Direct Phone,Work Number,Direct Line,Direct Dial,Direct Number,Office Number,Durchwahl,Ligne directe}', '{}'),
('*', 'phone.home', '{Home Number,Landline,Festnetz,Festnetznummer,Telephone fixe,Telefono fijo,Telefone fixo}', '{}'),
('*', 'phone.fax', '{Fax,Fax Number,Fax No,Fax Phone,Business Fax,Work Fax,Office Fax,Company Fax,Telefax,Faxnummer,Facsimile,Telecopie,Numero de fax}', '{}'),
('*', 'website', '{Web Site,Website URL,Website Address,Web Address,Web Page,Web,URL,Homepage,Home Page,WWW,Webseite,Internetseite,Site web,Site internet,Sitio web,Pagina web,Pagina de internet,Site da web,Sito web,URL del sitio web,URL du site web,URL do site}', '{Internet,Site}'),
('*', 'first_name', '{Given Name,Forename,FName,Vorname,Prenom,Nombre de pila,Primer nombre,Primeiro nome,Nome proprio}', '{First,Christian Name}'),
('*', 'last_name', '{Surname,Family Name,LName,Apellido paterno,Nachname,Familienname,Zuname,Nom de famille,Apellido,Sobrenome,Apelido,Ultimo nome,Cognome}', '{Last}'),
('*', 'company', '{Company Name,Organization,Organization Name,Organisation,Organisation Name,Employer,Employer Name,Business Name,Associated Company,Related Company,Company Account,Company Org,Company Organization,Org,Firma,Verknupftes Unternehmen,Zugeordnetes Unternehmen,Firmenname,Unternehmen,Unternehmensname,Arbeitgeber,Entreprise,Nom de l''entreprise,Societe,Nom de la societe,Raison sociale,Empresa,Nombre de la empresa,Nombre de empresa,Nome da empresa,Compania,Nombre de la compania,Razon social,Razao social,Organizacion,Organizacao,Azienda,Bedrijf,Bedrijfsnaam,Billing Company}', '{Business,Firm}'),
('*', 'industry', '{Sector,Industry Sector,Branche,Industrie,Secteur,Secteur d''activite,Industria,Setor,Ramo de atividade,Settore}', '{Vertical,Line of Business}'),
('*', 'owner', '{Owner Name,Record Owner,Sales Owner,Assigned To,Assigned User,Sales Rep,Sales Representative,Salesperson,Besitzer,Eigentumer,Eigentuemer,Kundenbetreuer,Betreuer,Bearbeiter,Zustandig,Zustaendig,Verantwortlicher,Proprietaire,Responsable,Propietario,Asignado a,Proprietario,Responsavel,Atribuido a}', '{}'),
('*', 'notes', '{Note,Comment,Remark,Description,Memo,Notiz,Notizen,Bemerkung,Bemerkungen,Kommentar,Kommentare,Anmerkung,Anmerkungen,Beschreibung,Remarque,Commentaire,Nota,Comentario,Observacion,Observaciones,Observacao,Observacoes,Anotacao,Anotacoes,Descripcion,Descricao,Descrizione,Opmerking,Opmerkingen}', '{Background,Bio,Message}'),
('*person', 'first_name', '{Billing First Name,Voornaam}', '{}'),
('*person', 'last_name', '{Billing Last Name,Achternaam}', '{}'),
('*', 'address.billing.postal_code', '{Billing Code}', '{}'),
('*', 'address.shipping.postal_code', '{Shipping Code}', '{}'),
('*', 'address.mailing.postal_code', '{Mailing Code}', '{}'),
('*', 'address.other.postal_code', '{Other Code}', '{}'),
('*person', 'name', '{Full Name,Display Name,Contact Name,Contact Person,Lead Name,Person Name,Customer Name,Client Name,Nom,Nom complet,Nom et prenom,Nombre,Nombre completo,Nombre y apellidos,Nome,Nome completo,Vor- und Nachname,Vollstandiger Name,Ansprechpartner,Kontaktperson,Kontaktname}', '{Contact,Customer,Client,Kontakt,Contacto,Contato}'),
('*person', 'job_title', '{Title,Job,Position,Position Title,Job Position,Job Role,Job Function,Designation,Organization Title,Company Title,Jobtitel,Funktion,Berufsbezeichnung,Stellenbezeichnung,Stelle,Poste,Fonction,Titre du poste,Intitule du poste,Puesto,Titulo del puesto,Cargo,Ruolo,Functie}', '{Role,Function,Occupation,Profession,Headline,Beruf}'),
('*person', 'source', '{Lead Source,Source Channel,Contact Source,Original Source,Acquisition Source,Referral Source,Quelle,Leadquelle,Herkunft,Origine,Fuente,Fuente de posible cliente,Origen,Fonte,Origem,Origem do lead}', '{Origin,UTM Source}'),
('*person', 'status', '{Lead Status,Contact Status,Leadstatus,Statut,Statut du lead,Statut du contact,Estado del lead,Estado del contacto,Estado do lead,Estado do contato,Estatus,Situacao}', '{Stage,Lead Stage,Contact Stage}'),
('*person', 'owner', '{Lead Owner,Contact Owner,Account Manager,Kontaktinhaber,Leadinhaber}', '{}'),
('*person', 'website', '{}', '{Business Website,Work Website,Corporate Website,Company Website,Company URL,Organization Website,Account Website,Firmenwebsite}'),
('*person', 'first_seen', '{First Seen At,First Seen On,First Seen Date,First Visit,First Visit Date}', '{}'),
('*person', 'last_seen', '{Last Seen At,Last Seen On,Last Seen Date,Last Visit,Last Visit Date}', '{}'),
('contacts', 'account.name', '{Sales Account,Company Account,Company Org,Company Organization,Org,Company,Company Name,Organization,Organization Name,Organisation,Organisation Name,Employer,Employer Name,Business Name,Associated Company,Related Company,Firma,Verknupftes Unternehmen,Zugeordnetes Unternehmen,Firmenname,Unternehmen,Unternehmensname,Arbeitgeber,Entreprise,Nom de l''entreprise,Nom du compte,Compte,Societe,Nom de la societe,Raison sociale,Empresa,Nombre de la empresa,Nombre de empresa,Nombre de cuenta,Nombre de la cuenta,Nome da empresa,Nome da conta,Compania,Nombre de la compania,Razon social,Razao social,Organizacion,Organizacao,Azienda,Bedrijf,Bedrijfsnaam,Billing Company}', '{Business,Firm}'),
('contacts', 'account.domain', '{Company Domain Name,Company Domain,Account Domain Name}', '{Domain,Domain Name,Company Website,Company URL,Account Website,Organization Website,Email Domain}'),
('*company', 'name', '{Account Name,Account,Company Name,Company,Organization,Organization Name,Organisation,Organisation Name,Business Name,Customer Name,Client Name,Firma,Firmenname,Unternehmen,Unternehmensname,Kundenname,Entreprise,Nom,Nom de l''entreprise,Nom du compte,Societe,Nom de la societe,Raison sociale,Empresa,Nombre,Nombre de la empresa,Nombre de empresa,Nombre de cuenta,Nombre de la cuenta,Nome,Nome da empresa,Nome da conta,Compania,Nombre de la compania,Razon social,Razao social,Organizacion,Organizacao,Azienda,Bedrijf,Bedrijfsnaam}', '{Customer,Client,Business,Firm,Kunde}'),
('*company', 'domain', '{Domain Name,Account Domain,Company Domain,Company Domain Name,Email Domain,Website Domain,Domaine,Dominio}', '{}'),
('*company', 'employees', '{Number of Employees,Number Employees,No of Employees,Num Employees,Employee Count,Total Employees,Headcount,Head Count,Company Size,Mitarbeiter,Mitarbeiterzahl,Mitarbeiteranzahl,Anzahl Mitarbeiter,Anzahl der Mitarbeiter,Beschaftigte,Effectif,Nombre d''employes,Nombre de salaries,Empleados,No de empleados,Numero de empleados,Funcionarios,Numero de funcionarios}', '{Size,Staff}'),
('*company', 'mrr', '{Monthly Recurring Revenue,Monthly Revenue,Recurring Revenue per Month,Ingresos mensuales,Receita mensal,Revenu mensuel recurrent}', '{}'),
('*company', 'renewal_date', '{Renewal,Contract Renewal,Contract Renewal Date,Subscription Renewal Date,Next Renewal,Next Renewal Date,Renews On,Verlangerungsdatum,Date de renouvellement,Fecha de renovacion,Data de renovacao}', '{Contract End Date}'),
('*company', 'lifecycle_stage', '{Lifecycle,Account Stage,Company Stage,Customer Stage}', '{Stage,Account Status}'),
('*company', 'description', '{About,About Us,Company Description}', '{}'),
('*company', 'owner', '{Account Owner,Company Owner,Account Manager,Accountinhaber}', '{}'),
('*ticket', 'title', '{Subject,Short Description,Ticket Name,Ticket Title,Ticket Subject,Case Subject,Summary,Betreff,Titel,Thema,Objet,Sujet,Titre,Asunto,Titulo,Assunto}', '{Issue,Headline}'),
('*ticket', 'description', '{Body,Details,Message,Content,Ticket Description,Case Description,Nachricht,Inhalt,Mensaje,Mensagem}', '{Question,Problem}'),
('*ticket', 'status', '{Ticket Status,Case Status,State,Statut,Estado,Zustand}', '{}'),
('*ticket', 'priority', '{Ticket Priority,Case Priority,Urgency,Prioritat,Prioritaet,Dringlichkeit,Priorite,Prioridad,Prioridade}', '{Severity,Importance}'),
('*ticket', 'assigned_to', '{Assignee,Assignee Name,Agent Name,Owner,Agent,Assigned Agent,Ticket Owner,Case Owner}', '{}'),
('*ticket', 'customer.email', '{Contact Email,Requester Email,Reporter Email,Submitter Email,Email,Email Address,E-Mail-Adresse,Correo electronico}', '{Customer,Contact,Requester,Reporter,Submitter,From,Sender}');

INSERT INTO crmio.name_word (role, meaning, words) VALUES
('entity', 'person', '{person,people,contact,lead,customer,cust,client,user,member,subscriber,attendee,guest,buyer,applicant,candidate,donor,participant,prospect,recipient,registrant,visitor,invitee,delegate,respondent,volunteer,student,patient,purchaser,passenger,kontakt,kunde,interessent,teilnehmer,mitglied,personne,contacto,persona,cliente,contato,pessoa}'),
('entity', 'company', '{company,organization,organisation,account,firm,firma,unternehmen,entreprise,societe,compte,empresa,compania,organizacion,cuenta,organizacao,conta}'),
('entity_too', 'company', '{customer,cust,client,kunde,cliente}'),
('entity', 'ticket', '{ticket,case,issue,incident,request}'),
('entity', 'deal', '{deal,opportunity,quote,geschaft,oportunidad,negocio}'),
('entity', 'activity', '{activity,task,meeting,appointment,event,call}'),
('entity', 'note', '{note}'),
('entity', 'product', '{product,item,sku}'),
('entity', 'order', '{order,invoice,payment,subscription,card,transaction}'),
('entity', 'campaign', '{campaign}'),
('entity', 'file', '{file,attachment,document}'),
('phone_type', 'mobile', '{mobile,mobil,cell,cellular,handy,movil,celular,portable,telemovel,gsm,smartphone,cellulare}'),
('type', 'work', '{work,business,office,professional,direct,desk,geschaftlich,geschaeftlich,geschafts,dienstlich,dienst,beruflich,buro,buero,arbeit,travail,bureau,professionnel,trabajo,oficina,profesional,laboral,trabalho,escritorio,comercial,profissional,lavoro}'),
('type', 'home', '{home,house,private,privat,personal,residential,wohnung,domicile,prive,personnel,casa,particular,residencial,pessoal}'),
('phone_type', 'fax', '{fax}'),
('type', 'other', '{other,secondary,second,alternate,alternative,alt,additional,andere,sonstige,weitere,zweite,autre,secondaire,otro,otra,secundario,outro,outra,altro}'),
('type', 'billing', '{billing,bill,bill to,invoice,invoicing,rechnung,rechnungs,facturation,facturacion,faturamento,cobranca,fatturazione}'),
('type', 'shipping', '{shipping,ship,ship to,delivery,liefer,lieferung,lieferungs,versand,livraison,envio,entrega,spedizione}'),
('type', 'mailing', '{mailing,mail,postal,post,correspondence}'),
('type', 'company', '{company,corporate,organization,organisation,headquarter,hq,firma,firmen,entreprise,empresa}'),
('part', 'street', '{street,street 1,addr 1,street road name,street line 1,street address,street address 1,street address line 1,address 1,address line 1,address line,line 1,strasse,strasse 1,str,strasse hausnummer,strasse nr,strasse und hausnummer,strasse und nr,rue,adresse 1,adresse ligne 1,calle,calle y numero,direccion 1,rua,logradouro,endereco 1,via,straat}'),
('part', 'street2', '{street2,street 2,addr 2,street line 2,street address 2,street address line 2,address 2,address line 2,line 2,extended address,apartment,apt,suite,apartment suite,strasse 2,adresszusatz,adresse 2,adresse ligne 2,complement d''adresse,direccion 2,complemento,endereco 2}'),
('part', 'city', '{city,town,city town,city town village locality,town city,locality,suburb,municipality,stadt,ort,wohnort,ville,localite,ciudad,localidad,poblacion,municipio,cidade,citta,plaats,woonplaats}'),
('part', 'state', '{state,province,region,county,state province,state region,state county,province state,region state,province region,state province region,state or province,prefecture,bundesland,kanton,canton,dep,etat,estado,provincia,comunidad autonoma,uf,regione}'),
('part', 'postal_code', '{postal_code,postal code,postal,postcode,post code,zip,zip code,zip postal,zip postal code,zip postcode,postal zip,postal zip code,postal code zip,plz,postleitzahl,code postal,cp,codigo postal,cep,codice postale,cap,postnummer,postnr}'),
('part', 'country', '{country,country region,country name,country territory,nation,land,staat,pays,pais,paese,nazione}'),
('address', 'no whole', '{location}'),
('address', 'head last', '{address,addr,adress}'),
('address', 'head first', '{adresse,anschrift,direccion,domicilio,endereco,indirizzo}'),
('noise', 'noise', '{primary,main,principal,default,current,preferred,value,full,what,is,are,please,enter,property,hs,gmt,utc,required,optional,my,your,their,haupt}'),
('stop', 'stop', '{the,a,an,of,for,to,in,on,at,and,or,der,die,das,den,dem,des,von,vom,und,le,la,les,l,d,de,du,et,el,los,las,del,y,o,e,da,do,dos,di,della}'),
('ordinal', '1', '{first,erste,primer,primero,premier,primeiro}'),
('ordinal', '3', '{third,tertiary,dritte,tercero,troisieme,terceiro}'),
('not', 'an identifier of the other system', '{id,guid,uuid,uid,euid,leid,key,hash,md5,sha1,sha256,checksum,token,password,gclid,fbclid,ip,cookie,kennung}'),
('not', 'a stamp that the other system set', '{create,created,creation,creator,modified,modification,modstamp,update,updated,changed,added,imported,deleted,synced,registered,timestamp,erstellt,erstelldatum,erstellungsdatum,geandert,anderungsdatum,cree,modifie,creado,creacion,modificado,actualizado,criado,criacao,atualizado}'),
('not', 'a consent or opt-out', '{opt,optin,optout,opted,subscribe,subscribed,unsubscribe,unsubscribed,consent,consented,permission,bounce,bounced,gdpr,dsgvo,rgpd,accept,accepted,allow,do not,dont,donotcall,donotemail,einwilligung,abgemeldet,consentement,consentimiento,consentimento,delinquent,suppressed}'),
('not', 'a name as it is spoken', '{yomi,phonetic,furigana,kana,pronunciation}'),
('not', 'a profile elsewhere', '{linkedin,facebook,twitter,instagram,xing,youtube,github,tiktok,pinterest,skype,snapchat,telegram}'),
('not', 'a picture', '{photo,avatar,image,picture,logo,foto,bild,thumbnail}'),
('not', 'about another person', '{assistant,manager,spouse,supervisor,referrer,referred,referral,report to,emergency,parent,guardian,partner,reply to,sender,bcc,assistent,vorgesetzter,assistente}'),
('not', 'a login or other handle', '{user name,username,login,screen name,handle,nickname}'),
('not', 'a title of the record itself', '{lead title}'),
('not', 'a place in the company', '{department,division,abteilung,departement,departamento}'),
('not', 'a way of delivery', '{ship via,shipping via,delivery via}'),
('not', 'a count', '{number of,no of,count of}'),
('not', 'a place on the map', '{latitude,longitude,lat,lng,lon,geocode,coordinates}'),
('kind', 'date', '{date,day,datum,fecha,data,am,on}'),
('kind', 'choice', '{type,kind,category,typ,tipo}'),
('kind', 'money', '{amount,price,betrag,montant,importe,valor}'),
('kind', 'integer', '{number,count,anzahl,nombre,numero,quantity}'),
('code', 'code', '{code,abbreviation,kurzel,iso}'),
('before_name', 'title', '{subject,ticket subject,case subject}'),
('known', 'known', '{age,amount,birthday,birthdate,branch,budget,category,channel,city code,code,color,cost,course,currency,custom,date,day,degree,discount,education,ethnicity,extension,faculty,form,gender,goal,grade,group,interest,job level,key account,language,level,list,locale,location,market,membership,method,middle,month,number,occupation,option,ownership,package,parent,party,phase,plan,portal,position level,prefix,price,profile,profit,quantity,quarter,race,rank,rating,reason,region code,religion,result,revenue,salary,salutation,score,season,segment,seniority,sent,service,session,shift,site,size,skill,slot,sort,spend,stage,start,statement,subsidiary,suffix,survey,tag,target,tax,team,team size,territory,theme,ticker,tier,time,timezone,title code,total,unit,usage,version,village,visit,volume,vote,website traffic,week,weight,year,zone}'),
('not_first', 'a yes or no', '{is,has,have,was,ist,hat}'),
('not_last', 'a mark or kind of something else', '{label,type,typ,kind,verified,valid,confidence,score,rank,count,bounce,flag,lists,domain check}'),
('not_last', 'who did something', '{by}'),
('honorific', 'honorific', '{mr,mrs,ms,miss,mx,mister,sir,madam,dr,doctor,prof,professor,herr,frau,m,mme,mlle,monsieur,madame,sr,sra,srta,senor,senora,don,dona,sig,ing}');

CREATE FUNCTION @extschema@.crm_suggest_mapping(
	file pg_catalog.text, module pg_catalog.text, options pg_catalog.jsonb DEFAULT '{}',
	OUT "position" pg_catalog.int4, OUT column_name pg_catalog.text, OUT field pg_catalog.text,
	OUT confidence pg_catalog.text, OUT reason pg_catalog.text, OUT samples pg_catalog.text[])
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'crm_suggest_mapping'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_suggest_mapping IS
'Suggests a field for each column of a file, by its name and its values in the first 1,000 rows. file: as crm_columns; module: its name; options: encoding, delimiter, quote, header_row. One row per column: position, name, field path and confidence (high, medium, low; both NULL if none fits), the reason, up to 5 values. No field comes twice. Errors: as crm_columns, unknown module.';

CREATE FUNCTION @extschema@.crm_mapping(
	file pg_catalog.text, module pg_catalog.text, options pg_catalog.jsonb DEFAULT '{}')
RETURNS pg_catalog.jsonb
AS 'MODULE_PATHNAME', 'crm_mapping'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_mapping IS
'The suggestions of high and medium confidence as a mapping for crm_import, to edit and pass on; other columns are null in it. file, module, options: as crm_suggest_mapping; the options come along. Errors: the same.';

-- A preset maps the columns that such exports have by default; "missing_columns" makes them
-- alternatives, of which a file has some.  Contacts there need no account, so an empty one
-- stands in.
INSERT INTO crmio.preset (name, mapping) VALUES
('salesforce_leads', '{"module": "leads", "missing_columns": "ignore",
	"columns": {
		"Email": "email", "Email Address": "email", "First Name": "first_name", "Last Name": "last_name", "Title": "job_title", "Phone": "phone",
		"Mobile": "phone.mobile", "Mobile Phone": "phone.mobile", "Fax": "phone.fax", "Lead Source": "source", "Description": "notes", "Name": "name",
		"Lead: Name": "name", "Company": "company", "Company / Account": "company", "Street": "address.street", "City": "address.city",
		"State/Province": "address.state", "State": "address.state", "State/Province (text only)": "address.state",
		"Zip/Postal Code": "address.postal_code", "Postal Code": "address.postal_code", "Zip": "address.postal_code", "Country": "address.country",
		"Country (text only)": "address.country", "Website": "website", "Lead Status": "status", "Status": "status", "Lead Owner": "owner",
		"Lead ID": "custom.salesforce_id", "Id": "custom.salesforce_id"}}'),
('salesforce_contacts', '{"module": "contacts", "auto_create": ["account"], "unresolved": "warn", "missing_columns": "ignore", "static": {"account.name": null},
	"columns": {
		"Email": "email", "Email Address": "email", "First Name": "first_name", "Last Name": "last_name", "Title": "job_title", "Phone": "phone",
		"Mobile": "phone.mobile", "Mobile Phone": "phone.mobile", "Fax": "phone.fax", "Lead Source": "source", "Description": "notes", "Name": "name",
		"Contact: Full Name": "name", "Account Name": "account.name", "Account: Account Name": "account.name", "Business Phone": "phone",
		"Home Phone": "phone.home", "Other Phone": "phone.other", "Business Fax": "phone.fax", "Mailing Street": "address.mailing.street",
		"Mailing City": "address.mailing.city", "Mailing State/Province": "address.mailing.state", "Mailing State": "address.mailing.state",
		"Mailing State/Province (text only)": "address.mailing.state", "Mailing Zip/Postal Code": "address.mailing.postal_code",
		"Mailing Postal Code": "address.mailing.postal_code", "Mailing Zip": "address.mailing.postal_code", "Mailing Country": "address.mailing.country",
		"Mailing Country (text only)": "address.mailing.country", "Other Street": "address.other.street", "Other City": "address.other.city",
		"Other State/Province": "address.other.state", "Other State": "address.other.state", "Other State/Province (text only)": "address.other.state",
		"Other Zip/Postal Code": "address.other.postal_code", "Other Postal Code": "address.other.postal_code", "Other Zip": "address.other.postal_code",
		"Other Country": "address.other.country", "Other Country (text only)": "address.other.country", "Contact Owner": "owner",
		"Contact ID": "custom.salesforce_id", "Id": "custom.salesforce_id"}}'),
('salesforce_accounts', '{"module": "accounts", "missing_columns": "ignore",
	"columns": {
		"Account Name": "name", "Name": "name", "Website": ["website", "domain"], "Phone": "phone", "Fax": "phone.fax", "Industry": "industry",
		"Employees": "employees", "Number of Employees": "employees", "Description": "description", "Account Description": "description",
		"Billing Street": "address.billing.street", "Billing City": "address.billing.city", "Billing State/Province": "address.billing.state",
		"Billing State": "address.billing.state", "Billing State/Province (text only)": "address.billing.state",
		"Billing Zip/Postal Code": "address.billing.postal_code", "Billing Postal Code": "address.billing.postal_code",
		"Billing Zip": "address.billing.postal_code", "Billing Country": "address.billing.country",
		"Billing Country (text only)": "address.billing.country", "Shipping Street": "address.shipping.street", "Shipping City": "address.shipping.city",
		"Shipping State/Province": "address.shipping.state", "Shipping State": "address.shipping.state",
		"Shipping State/Province (text only)": "address.shipping.state", "Shipping Zip/Postal Code": "address.shipping.postal_code",
		"Shipping Postal Code": "address.shipping.postal_code", "Shipping Zip": "address.shipping.postal_code",
		"Shipping Country": "address.shipping.country", "Shipping Country (text only)": "address.shipping.country", "Account Owner": "owner",
		"Account ID": "custom.salesforce_id", "Id": "custom.salesforce_id"}}'),
('hubspot_contacts', '{"module": "contacts", "auto_create": ["account"], "unresolved": "warn", "missing_columns": "ignore", "static": {"account.name": null},
	"columns": {
		"Email": "email", "Work email": "email.work", "First Name": "first_name", "Last Name": "last_name", "Phone Number": "phone", "Phone": "phone",
		"Mobile Phone Number": "phone.mobile", "Mobile Phone": "phone.mobile", "Fax Number": "phone.fax", "Job Title": "job_title",
		"Associated Company": "account.name", "Primary Company": "account.name", "Company Name": "account.name", "Company": "account.name",
		"Website URL": "website", "Website": "website", "Street Address": "address.street", "Address": "address.street", "City": "address.city",
		"State/Region": "address.state", "State": "address.state", "Postal Code": "address.postal_code", "Zip": "address.postal_code",
		"Country/Region": "address.country", "Country": "address.country", "Lead Status": "status", "Contact owner": "owner", "Original Source": "source",
		"Original Traffic Source": "source", "Record ID": "custom.hubspot_id", "Record ID - Contact": "custom.hubspot_id"}}'),
('hubspot_companies', '{"module": "accounts", "missing_columns": "ignore",
	"columns": {
		"Company name": "name", "Name": "name", "Company Domain Name": "domain", "Domain": "domain", "Website URL": "website", "Website": "website",
		"Phone Number": "phone", "Phone": "phone", "Industry": "industry", "Number of Employees": "employees", "Street Address": "address.street",
		"Address": "address.street", "Street Address 2": "address.street2", "Address 2": "address.street2", "City": "address.city",
		"State/Region": "address.state", "State": "address.state", "Postal Code": "address.postal_code", "Zip": "address.postal_code",
		"Country/Region": "address.country", "Country": "address.country", "Description": "description", "About Us": "description",
		"Company owner": "owner", "Record ID": "custom.hubspot_id", "Record ID - Company": "custom.hubspot_id"}}'),
('pipedrive_people', '{"module": "contacts", "auto_create": ["account"], "unresolved": "warn", "missing_columns": "ignore", "static": {"account.name": null},
	"columns": {
		"Person - Name": "name", "Person - First name": "first_name", "Person - Last name": "last_name", "Person - Email": "email",
		"Person - Email - Work": "email", "Person - Email - Home": "email.home", "Person - Email - Other": "email.other", "Person - Phone": "phone",
		"Person - Phone - Work": "phone.work", "Person - Phone - Home": "phone.home", "Person - Phone - Mobile": "phone.mobile",
		"Person - Phone - Other": "phone.other", "Person - Job title": "job_title", "Person - Organization": "account.name", "Person - Owner": "owner",
		"Person - ID": "custom.pipedrive_id", "Person - Pipedrive System ID": "custom.pipedrive_id", "Name": "name", "First name": "first_name",
		"Last name": "last_name", "Email": "email", "Email - Work": "email", "Email - Home": "email.home", "Email - Other": "email.other", "Phone": "phone",
		"Phone - Work": "phone.work", "Phone - Home": "phone.home", "Phone - Mobile": "phone.mobile", "Phone - Other": "phone.other",
		"Job title": "job_title", "Organization": "account.name", "Owner": "owner", "ID": "custom.pipedrive_id",
		"Pipedrive System ID": "custom.pipedrive_id", "Organization - Name": "account.name"}}'),
('pipedrive_organizations', '{"module": "accounts", "missing_columns": "ignore",
	"columns": {
		"Organization - Name": "name", "Organization - Address": "address.street", "Organization - Street/road name of Address": "address.street",
		"Organization - City/town/village/locality of Address": "address.city", "Organization - State/county of Address": "address.state",
		"Organization - ZIP/Postal code of Address": "address.postal_code", "Organization - Country of Address": "address.country",
		"Organization - Website": ["website", "domain"], "Organization - Domain": "domain", "Organization - Industry": "industry",
		"Organization - Employee count": "employees", "Organization - Number of employees": "employees", "Organization - Owner": "owner",
		"Organization - ID": "custom.pipedrive_id", "Organization - Pipedrive System ID": "custom.pipedrive_id", "Name": "name",
		"Address": "address.street", "Street/road name of Address": "address.street", "City/town/village/locality of Address": "address.city",
		"State/county of Address": "address.state", "ZIP/Postal code of Address": "address.postal_code", "Country of Address": "address.country",
		"Website": ["website", "domain"], "Domain": "domain", "Industry": "industry", "Employee count": "employees", "Number of employees": "employees",
		"Owner": "owner", "ID": "custom.pipedrive_id", "Pipedrive System ID": "custom.pipedrive_id"}}');

CREATE FUNCTION @extschema@.crm_save_mapping(name pg_catalog.text, mapping pg_catalog.jsonb)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_save_mapping'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_save_mapping IS
'Keeps a mapping under a name, for {"use": name} in a mapping, over an older one of that name. name: up to 200 bytes; mapping: as crm_import takes it, in whole or in part. It belongs to the current role; roles that are members of it may use it too. Errors: an unknown key, module or field, the name of a preset.';

CREATE FUNCTION @extschema@.crm_drop_mapping(name pg_catalog.text)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'crm_drop_mapping'
LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_drop_mapping IS
'Forgets a saved mapping. name: one of the current role''s, or of a role that it is a member of. Errors: no such mapping, a preset, several roles have one of that name.';

CREATE VIEW @extschema@.crm_mappings WITH (security_barrier) AS
SELECT s.name, s.owner, s.mapping OPERATOR(pg_catalog.->>) 'module' AS module, s.mapping, s.saved_at
  FROM crmio.saved_mapping s
  LEFT JOIN pg_catalog.pg_roles r ON r.rolname OPERATOR(pg_catalog.=) s.owner
 WHERE COALESCE(pg_catalog.pg_has_role(r.oid, 'USAGE'),
	(SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname OPERATOR(pg_catalog.=) CURRENT_USER))
UNION ALL
SELECT p.name, NULL, p.mapping OPERATOR(pg_catalog.->>) 'module', p.mapping, NULL
  FROM crmio.preset p;
COMMENT ON VIEW @extschema@.crm_mappings IS
'Saved mappings of the current role and of roles that it is a member of, and presets, which have no owner. Superusers see also those of roles that are gone.';
GRANT SELECT ON @extschema@.crm_mappings TO PUBLIC;

--
-- Mail (src/worker)
--

-- One row per mail, which has one recipient.
CREATE TABLE crmio.mail_outbox (
	mail_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job_id pg_catalog.int8 NOT NULL,
	recipient pg_catalog.text NOT NULL,
	subject pg_catalog.text NOT NULL,
	body pg_catalog.text NOT NULL,
	message_id pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	state pg_catalog.text NOT NULL DEFAULT 'waiting' CHECK (state OPERATOR(pg_catalog.=) ANY ('{waiting,sending,sent,failed}'::pg_catalog.text[])),
	attempts pg_catalog.int4 NOT NULL DEFAULT 0,
	next_attempt pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_error pg_catalog.text,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	sent_at pg_catalog.timestamptz
);
-- most mails have been sent
CREATE INDEX mail_outbox_open ON crmio.mail_outbox (state, next_attempt, mail_id) WHERE state OPERATOR(pg_catalog.=) ANY ('{waiting,sending}'::pg_catalog.text[]);
CREATE INDEX mail_outbox_job ON crmio.mail_outbox (job_id);
COMMENT ON TABLE crmio.mail_outbox IS 'mails about jobs, sent and to be sent';

-- a mail that waits is not dumped: the copy of a database must not send it too
SELECT pg_catalog.pg_extension_config_dump('crmio.mail_outbox', 'WHERE state OPERATOR(pg_catalog.=) ANY (''{sent,failed}''::pg_catalog.text[])');
SELECT pg_catalog.pg_extension_config_dump('crmio.mail_outbox_mail_id_seq', '');

CREATE VIEW @extschema@.crm_mail_outbox WITH (security_barrier) AS
SELECT m.mail_id, m.job_id, m.recipient, m.subject, m.state, m.attempts,
	CASE WHEN m.state OPERATOR(pg_catalog.=) 'waiting' THEN m.next_attempt END AS next_attempt,
	m.last_error, m.created_at, m.sent_at
FROM crmio.mail_outbox m
	JOIN crmio.job j ON j.job_id OPERATOR(pg_catalog.=) m.job_id
	LEFT JOIN pg_catalog.pg_roles r ON r.rolname OPERATOR(pg_catalog.=) j.owner
WHERE COALESCE(pg_catalog.pg_has_role(r.oid, 'USAGE'),
	(SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname OPERATOR(pg_catalog.=) CURRENT_USER));
GRANT SELECT ON @extschema@.crm_mail_outbox TO PUBLIC;
COMMENT ON VIEW @extschema@.crm_mail_outbox IS
'The mails about one''s own jobs, and those of roles one is a member of. state: waiting, sending, sent, or failed (given up); attempts: how often it was tried; next_attempt: when a waiting one is tried again; last_error: why it has not been sent.';

CREATE FUNCTION @extschema@.crm_send_mail(job_id pg_catalog.int8 DEFAULT NULL)
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'crm_send_mail'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION @extschema@.crm_send_mail IS
'Has waiting mails about one''s own jobs sent now, and not at their next attempt; they are sent after the commit. job_id: only those of this job, and then also those that were given up; null: of all jobs. Returns how many mails that are. Errors: no such job of the caller.';

-- crm_retry_errors: error rows once more, when their cause is mended; crm_cleanup: old jobs keep only their row
SET client_min_messages = warning;
SET timezone = UTC;
SET datestyle = ISO;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules();
CREATE FUNCTION last_job() RETURNS bigint LANGUAGE sql AS 'SELECT max(job_id) FROM crmio.job';
CREATE FUNCTION run(content text, mapping jsonb, policy text DEFAULT 'skip',
	OUT job bigint, OUT read bigint, OUT created bigint, OUT updated bigint, OUT unchanged bigint, OUT errored bigint)
LANGUAGE sql AS $$
	SELECT job_id, rows_read, created, updated, unchanged, errored
	FROM crm_import(crm_upload('test.csv', convert_to(content, 'UTF8')), mapping, policy) ORDER BY rows_read DESC LIMIT 1
$$;
CREATE FUNCTION retry(job bigint, mapping jsonb DEFAULT NULL, policy text DEFAULT NULL,
	OUT job_id bigint, OUT state text, OUT read bigint, OUT created bigint, OUT updated bigint, OUT unchanged bigint, OUT errored bigint, OUT percent numeric)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT job_id, state, rows_read, created, updated, unchanged, errored, percent FROM crm_retry_errors(job, mapping, policy)
$$;
CREATE VIEW problems AS SELECT row_number, line_number, column_name, value, code FROM crm_errors(last_job());

-- an account that was missing, a kind of value that the mapping lets through; what the reader could not read stays an error
\set mapping '''{"module": "contacts", "columns": {"E-Mail": "email", "Firma": "account.name", "Seen": "first_seen"}, "unresolved": "error", "date_order": "dmy", "delimiter": ";"}'''
SELECT * FROM run(E'E-Mail;Firma;Seen\nann@x.com;Acme;1.2.2026\n\n"bob@x.com";"Ac;me";2.2.2026\ncid@;Acme;3.2.2026\ndan@x.com;Acme;4.2.2026;more\neve@x.com;"Acme" x;1.1.2026\nfay@x.com;Acme;31.2.2026\ngus@x.com\n', :mapping, 'update');
TABLE problems;
SELECT crm_error_csv(last_job());
INSERT INTO crm.accounts (name) VALUES ('Acme'), ('Ac;me');
SELECT * FROM retry(last_job());
TABLE problems;
SELECT crm_error_csv(last_job());
SELECT file_name, module, policy, state FROM crmio.job ORDER BY job_id;
SELECT p.email, a.name, p.first_seen FROM crm.people p JOIN crm.accounts a ON a.id = p.account_id ORDER BY p.id;

-- a retry of the retry, with another mapping and policy
SELECT * FROM retry(last_job(), '{"module": "leads", "columns": {"#1": "email", "Seen": "first_seen", "Firma": null}, "invalid": "warn", "static": {"source": "retry"}}', 'create');
TABLE problems;
SELECT row_number, line_number, column_name, value, code FROM crm_warnings(last_job());
SELECT email, lifecycle, source, first_seen FROM crm.people ORDER BY id;

-- the error rows are a file like any other
SELECT * FROM crm_columns('errors:' || last_job());
SELECT row_number, action, record ->> 'email' AS email, messages FROM crm_preview('errors:1', :mapping, 'update', 2);
-- in several batches, each with its row
SET crmio.batch_rows = 2;
SELECT * FROM retry(1);
RESET crmio.batch_rows;
-- a retry can be rolled back like any import
SELECT * FROM crm_rollback(3);
SELECT email FROM crm.people ORDER BY id;

-- the order of day and month is found in the error rows
SELECT * FROM run(E'Email,Seen\na@,1/2/2026\nok@x.com,2/13/2026\nc@,3/4/2026\nd@,14/2/2026\n', '{"module": "leads", "date_order": "mdy", "columns": {"Email": "email", "Seen": "first_seen"}}');
SELECT * FROM retry(last_job(), '{"module": "leads", "columns": {"Email": "first_name", "Seen": "first_seen"}, "static": {"email": "same@x.com"}}', 'create');
SELECT first_name, first_seen FROM crm.people WHERE email = 'same@x.com' ORDER BY id;

-- no header; a file that crm_error_csv wrote; more rows than are read at a time
SELECT * FROM run(E'ann@,1\nbob@,2,3\n', '{"module": "leads", "columns": {"column 1": "email"}, "header_row": 0}');
SELECT * FROM crm_columns('errors:' || last_job());
SELECT * FROM retry(last_job(), '{"module": "leads", "columns": {"column 1": "first_name", "#2": "last_name"}, "static": {"email": "x@x.com"}, "header_row": 0}');
SELECT * FROM run(E'Email,Old,_error_reason\nann@,1,"an ""old"" reason"\n', '{"module": "leads", "columns": {"Email": "email"}}');
SELECT * FROM retry(last_job(), '{"module": "leads", "columns": {"_error_reason": "email"}}');
SELECT * FROM retry(last_job(), '{"module": "leads", "columns": {"Email": "first_name", "Old": "last_name"}, "static": {"email": "y@x.com"}}');
SELECT * FROM run((SELECT E'Email,Notes\n' || string_agg(format(E'u%s@,%s\n', i, CASE WHEN i = 7 THEN repeat('x', 5000000) END), '' ORDER BY i) FROM generate_series(1, 1001) i), '{"module": "leads", "columns": {"Email": "email", "Notes": "notes"}}');
SELECT * FROM retry(last_job(), '{"module": "leads", "columns": {"Email": "email", "Notes": "notes"}, "dry_run": true}');
SELECT count(*), min(row_number), max(row_number), sum(row_number), max(line_number) FROM problems;
SELECT * FROM retry(last_job(), '{"module": "leads", "columns": {"Email": "first_name", "Notes": "notes"}, "static": {"source": "many", "email": "m@x.com"}}', 'create');
SELECT count(*), count(DISTINCT first_name), max(length(notes)) FROM crm.people WHERE source = 'many';

-- nothing to retry; not a job of the caller's
SELECT * FROM retry(last_job());
SELECT * FROM retry(4711);
SELECT * FROM retry(NULL);
SELECT * FROM crm_columns('errors:x');
SELECT * FROM crm_columns('errors:');

-- crm_cleanup
SELECT * FROM crm_cleanup();
SELECT * FROM crm_cleanup('-1 day');
SELECT * FROM crm_cleanup(NULL);
SELECT length(crm_upload('never.csv', 'x')) AS handle;
UPDATE crmio.job SET ended_at = ended_at - interval '31 days' WHERE job_id <= 2;
UPDATE crmio.upload SET created_at = created_at - interval '31 days';
SELECT * FROM crm_cleanup();
SELECT * FROM crm_cleanup();
SELECT job_id, state, created, errored, cleaned_at IS NOT NULL AS cleaned FROM crmio.job WHERE job_id <= 4 ORDER BY 1;
SELECT * FROM crm_errors(1);
SELECT count(*) > 0 AS others FROM crmio.job_error_row;
SELECT count(*) AS upload_parts FROM crmio.upload_part;
SELECT * FROM crm_rollback(1);
SELECT * FROM retry(1);
SELECT jobs, uploads FROM crm_cleanup('0');
SELECT (SELECT count(*) FROM crmio.job_message) AS messages, (SELECT count(*) FROM crmio.job_error_row) AS error_rows,
	(SELECT count(*) FROM crmio.job_created) AS created, (SELECT count(*) FROM crmio.job_change) AS changes,
	(SELECT count(*) FROM crmio.job_xact) AS xacts;

DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;
DROP FUNCTION run, retry, last_job;

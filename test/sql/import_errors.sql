-- rows that the database refuses, the error file, warnings, limits, dry runs, preview
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/import.psql
\set ECHO all
CREATE FUNCTION last_job() RETURNS bigint LANGUAGE sql AS 'SELECT max(job_id) FROM crmio.job';

-- constraints, triggers and suppressed rows: the others go in
CREATE TABLE item (id serial PRIMARY KEY, sku text NOT NULL UNIQUE, code text UNIQUE, qty int CHECK (qty < 1000), note text);
CREATE FUNCTION check_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.note = 'raise' THEN RAISE EXCEPTION 'no such note' USING DETAIL = 'It is forbidden.'; END IF;
	IF NEW.note = 'drop' THEN RETURN NULL; END IF;
	IF NEW.note = 'job' THEN NEW.note := 'job ' || (current_setting('crmio.job_id', true) = last_job()::text); END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER check_item BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION check_item();
SELECT crm_register_module('items', 'item');
SELECT * FROM run(E'sku,code,qty,note\na,1,1,job\nb,2,5000,\nc,1,3,\nd,4,4,raise\ne,5,5,drop\n,6,6,\ng,7,x,\nb,2,2,second try\nh,9999999,99999999999,\n', '{"module": "items"}');
SELECT row_number, line_number, column_name, field, value, code, reason FROM crm_errors(last_job());
SELECT sku, code, qty, note FROM item ORDER BY id;
SELECT crm_error_csv(last_job());
-- updates likewise; a unique value goes from one record to another in file order
SELECT * FROM run(E'sku,code,qty,note\na,2,1,\na,10,1,\nb,1,1,\nb,2,2000,\n', '{"module": "items"}', 'update:prefer_import');
SELECT row_number, code FROM crm_errors(last_job());
SELECT sku, code, qty FROM item ORDER BY id;
-- outside of an import there is no job
SELECT current_setting('crmio.job_id', true) AS job;
SET crmio.job_id = '1';

-- a mended error file goes in, with the same mapping
SELECT * FROM run(E'Email;First Name;First Seen\nann@x.com;"Ann; ""A""";13.1.2026\nbad@;Bob;2026-01-01\ncarl@x.com;Carl;31.2.2026\n', '{"module": "leads", "columns": {"Email": "email", "First Name": "first_name", "First Seen": "first_seen"}}');
SELECT crm_error_csv(last_job());
SELECT string_agg(replace(replace(line, 'bad@;', 'bob@x.com;'), '31.2.', '28.2.'), E'\n') AS mended FROM crm_error_csv(last_job()) line \gset
SELECT * FROM run(:'mended', '{"module": "leads", "columns": {"Email": "email", "First Name": "first_name", "First Seen": "first_seen"}}');
SELECT email, first_name, first_seen::date FROM crm.people ORDER BY id;
-- one that fails again has the new reason only
SELECT * FROM run(E'Email,_error_reason\nworse@,"an older, reason"\n', '{"module": "leads"}');
SELECT crm_error_csv(last_job());

-- invalid: warn leaves a value empty, but not in a match field
SELECT * FROM run(E'Email,First Seen,Website\nd1@x.com,soon,not a url\nbad,2026-01-01,\n', '{"module": "leads", "invalid": "warn"}');
SELECT row_number, column_name, field, value, code FROM crm_warnings(last_job());
SELECT row_number, column_name, field, value, code FROM crm_errors(last_job());
-- null_values
SELECT * FROM run(E'Email,First Name,Last Name\nd2@x.com,N/A,-\n', '{"module": "leads", "null_values": ["N/A", "-"]}');
SELECT first_name IS NULL AND last_name IS NULL AS empty FROM crm.people WHERE email = 'd2@x.com';
-- date order: one for the column, decided by a later value, or assumed
SELECT * FROM run(E'Email,First Seen\nd3@x.com,03/04/2026\nd4@x.com,25/12/2025\n', '{"module": "leads"}');
SELECT * FROM run(E'Email,First Seen\nd5@x.com,03/04/2026\n', '{"module": "leads"}');
SELECT row_number, column_name, field, code, reason FROM crm_warnings(last_job());
SELECT * FROM run(E'Email,First Seen\nd6@x.com,03/04/2026\nd7@x.com,12/25/2025\n', '{"module": "leads", "date_order": "dmy"}');
SELECT email, first_seen::date FROM crm.people WHERE email ~ '^d[3-7]' ORDER BY email;

-- max_errors fails the import as a whole; a dry run reports and keeps nothing
SELECT * FROM run(E'Email\nf1@x.com\nbad1\nbad2\n', '{"module": "leads", "max_errors": 1}');
SELECT * FROM run(E'Email\nf1@x.com\nbad1\nbad2\n', '{"module": "leads", "max_errors": 2, "dry_run": true}');
SELECT row_number, value FROM crm_errors(last_job());
SELECT count(*) FROM crm.people WHERE email = 'f1@x.com';
SELECT count(*) FROM crmio.job_created WHERE job_id = last_job();

-- crmio.max_rows
SET crmio.max_rows = 2;
SELECT * FROM run(E'Email\nf1@x.com\nf2@x.com\nf3@x.com\n', '{"module": "leads"}');
RESET crmio.max_rows;

-- preview: what would happen, and the records as they would be
SELECT row_number, action, record->>'email' AS email, record->>'first_name' AS first, record->>'lifecycle' AS stage, messages
FROM crm_preview(crm_upload('p.csv', E'Email,First Name,First Seen\nann@x.com,Other,\ncarl@x.com,,2020-01-01\nnew@x.com,Neu,1.2.2026\nbad,X,soon\nnew@x.com,Neu,\nlast@x.com,,\n'), '{"module": "leads"}', 'update:overwrite');
SELECT count(*) FROM crm.people WHERE email = 'new@x.com';
SELECT row_number, action FROM crm_preview(crm_upload('p.csv', E'Email\nann@x.com\nnew@x.com\n'), '{"module": "leads"}', rows => 1);
SELECT * FROM crm_preview('upload:x', '{"module": "leads"}', rows => -1);

-- an import that is not read to its end can't be committed
SELECT crm_upload('long.csv', convert_to(E'Email\n' || string_agg('n' || i || '@x.com', E'\n' ORDER BY i), 'UTF8')) AS long FROM generate_series(1, 6000) i \gset
SELECT (crm_import(:'long', '{"module": "leads"}')).state LIMIT 1;
BEGIN;
DECLARE c CURSOR FOR SELECT (crm_import(:'long', '{"module": "leads"}')).rows_read;
FETCH 1 FROM c;
COMMIT;
BEGIN;
SAVEPOINT s;
DECLARE c CURSOR FOR SELECT (crm_import(:'long', '{"module": "leads"}')).rows_read;
FETCH 1 FROM c;
ROLLBACK TO s;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT (crm_import(:'long', '{"module": "leads"}')).rows_read;
FETCH 1 FROM c;
FETCH ALL FROM c;
COMMIT;
SELECT count(*) FROM crm.people WHERE email LIKE 'n%@x.com';

-- the job's rows are the owner's only, and its counts add up
SELECT count(*) AS jobs, bool_and(rows_read = created + updated + unchanged + skipped + errored) AS add_up FROM crmio.job;
CREATE ROLE regress_crmio_other;
SET ROLE regress_crmio_other;
SELECT * FROM crm_errors(1);
SELECT * FROM crmio.job;
RESET ROLE;
DROP ROLE regress_crmio_other;
DROP TABLE item CASCADE;
DROP FUNCTION check_item();

DROP FUNCTION run;
DROP FUNCTION last_job;
DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;

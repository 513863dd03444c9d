-- Where files come from: uploads, large objects, the server; and who may read them
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crmio CASCADE;
CREATE EXTENSION crmio;
CREATE ROLE regress_crmio_ann;
CREATE ROLE regress_crmio_bob IN ROLE regress_crmio_ann;

-- Runs a statement and shows its error; handles and OIDs change with each run.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(regexp_replace(
		concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, nullif(detail, ''), nullif(hint, '')),
		'upload:[0-9a-f]{32}', 'upload:...', 'g'), 'object \d+', 'object ...');
END
$$;

-- an upload, in parts that cut a line and a character
SELECT crm_upload('files/leads.csv', convert_to(E'Name,City\nAnn,K', 'UTF8')) AS up \gset
SELECT :'up' ~ '^upload:[0-9a-f]{32}$' AS handle;
SELECT crm_upload_append(:'up', '\xc3');
SELECT crm_upload_append(:'up', '\xb6');
SELECT crm_upload_append(:'up', '');
SELECT crm_upload_append(:'up', convert_to(E'ln\n', 'UTF8'));
SELECT * FROM crm_columns(:'up');
SELECT file_name, owner = current_user AS mine FROM crmio.upload WHERE handle = :'up';
SELECT start_at, length(content) FROM crmio.upload_part WHERE handle = :'up' ORDER BY start_at;
-- it may be read again, until it is dropped
SELECT count(*) FROM crm_columns(:'up');
SELECT crm_upload_drop(:'up');
SELECT pg_temp.try(format('SELECT crm_columns(%L)', :'up'));
SELECT pg_temp.try(format('SELECT crm_upload_append(%L, ''x'')', :'up'));
SELECT pg_temp.try(format('SELECT crm_upload_drop(%L)', :'up'));
SELECT count(*) FROM crmio.upload_part WHERE handle = :'up';

-- large ones are kept in parts of 1 MB
SELECT crm_upload('big.csv', convert_to(E'a,b\n' || repeat(E'1,2\n', 600000), 'UTF8')) AS up \gset
SELECT start_at, length(content) FROM crmio.upload_part WHERE handle = :'up' ORDER BY start_at;
SELECT * FROM crm_columns(:'up');
SET crmio.max_file_size = '1MB';
SELECT pg_temp.try(format('SELECT crm_columns(%L)', :'up'));
SELECT pg_temp.try(format('SELECT crm_upload_append(%L, ''x'')', :'up'));
SELECT pg_temp.try('SELECT crm_upload(''big.csv'', convert_to(repeat(''x'', 1048577), ''UTF8''))');
RESET crmio.max_file_size;

-- an upload is its owner's only: not a superuser's, not a member's
SET ROLE regress_crmio_ann;
SELECT crm_upload('ann.csv', E'a\n1\n') AS up \gset
SELECT * FROM crm_columns(:'up');
RESET ROLE;
SELECT pg_temp.try(format('SELECT crm_columns(%L)', :'up'));
SET ROLE regress_crmio_bob;
SELECT pg_temp.try(format('SELECT crm_columns(%L)', :'up'));
SELECT pg_temp.try(format('SELECT crm_upload_append(%L, ''x'')', :'up'));
SELECT pg_temp.try(format('SELECT crm_upload_drop(%L)', :'up'));
SELECT pg_temp.try('SELECT * FROM crmio.upload');
SELECT pg_temp.try('INSERT INTO crmio.upload VALUES (''x'', ''x'', ''x'')');
RESET ROLE;

-- a large object: for those who may read it
SELECT lo_from_bytea(0, convert_to(E'a,b\n' || repeat(E'1,2\n', 600000), 'UTF8')) AS lo \gset
SELECT * FROM crm_columns('lo:' || :lo);
SET ROLE regress_crmio_ann;
SELECT pg_temp.try(format('SELECT crm_columns(''lo:%s'')', :lo));
RESET ROLE;
SELECT pg_temp.try(format('GRANT SELECT ON LARGE OBJECT %s TO regress_crmio_ann', :lo));
SET ROLE regress_crmio_ann;
SELECT count(*) FROM crm_columns('lo:' || :lo);
RESET ROLE;
SELECT lo_unlink(:lo);
SELECT pg_temp.try(format('SELECT crm_columns(''lo:%s'')', :lo));
SELECT pg_temp.try('SELECT crm_columns(''lo:'')');
SELECT pg_temp.try('SELECT crm_columns(''lo:0'')');
SELECT pg_temp.try('SELECT crm_columns(''lo:4294967296'')');
SELECT pg_temp.try('SELECT crm_columns(''lo:12x'')');

-- a file on the server: the privilege comes before the path
SET ROLE regress_crmio_ann;
SELECT pg_temp.try('SELECT crm_columns(''/nonexistent/leads.csv'')');
RESET ROLE;
GRANT pg_read_server_files TO regress_crmio_ann;
SET ROLE regress_crmio_ann;
SELECT pg_temp.try('SELECT crm_columns(''/nonexistent/leads.csv'')');
SELECT pg_temp.try('SELECT crm_columns(''/'')');
SELECT pg_temp.try('SELECT crm_columns(''/dev/null'')');
SELECT pg_temp.try('SELECT crm_columns(''leads.csv'')');
SELECT pg_temp.try('SELECT crm_columns('''')');
RESET ROLE;
SELECT current_setting('data_directory') || '/PG_VERSION' AS path \gset
SELECT samples IS NOT NULL AS read FROM crm_columns(:'path', '{"header_row": 0}');

-- the id of the running job can be read, and set by nobody
SELECT current_setting('crmio.job_id', true) = '' AS empty;
SET crmio.job_id = '1';

DROP OWNED BY regress_crmio_ann, regress_crmio_bob;
REVOKE pg_read_server_files FROM regress_crmio_ann;
DROP ROLE regress_crmio_bob, regress_crmio_ann;

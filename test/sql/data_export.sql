-- the dump of all data: who may, what it leaves behind; its contents are read in test/t/data_export.py
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules();
\pset format unaligned
\pset tuples_only on
INSERT INTO crm.people (email) VALUES ('ann@example.com');
CREATE ROLE regress_crmio_auditor;
GRANT USAGE ON SCHEMA crm TO regress_crmio_auditor;

-- a ZIP, and an entry in the audit log
SELECT substr(crm_data_export(), 1, 2) = 'PK'::bytea;
SELECT role = current_user, session_role = session_user, action, details - 'bytes' AS details, (details->>'bytes')::int > 1000, at <= clock_timestamp()
	FROM crmio.audit_log;

-- PUBLIC may not
SET ROLE regress_crmio_auditor;
SELECT crm_data_export();
SELECT crm_data_export_to('/tmp/crmio.zip');
RESET ROLE;
GRANT EXECUTE ON FUNCTION crm_data_export(), crm_data_export_to(text) TO regress_crmio_auditor;
SET ROLE regress_crmio_auditor;
-- the tables' own privileges hold, and nothing is thinned out silently
SELECT crm_data_export();
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA crm TO regress_crmio_auditor;
ALTER TABLE crm.people ENABLE ROW LEVEL SECURITY;
SET ROLE regress_crmio_auditor;
SELECT crm_data_export();
SELECT crm_data_export_to('/tmp/crmio.zip');
RESET ROLE;
ALTER TABLE crm.people DISABLE ROW LEVEL SECURITY;
SET ROLE regress_crmio_auditor;
SELECT substr(crm_data_export(), 1, 2) = 'PK'::bytea;
SELECT * FROM crmio.audit_log;
RESET ROLE;
SELECT role, action FROM crmio.audit_log ORDER BY entry_id DESC LIMIT 1;

-- a view of another role would run its functions with the caller's rights
CREATE ROLE regress_crmio_trickster;
CREATE SCHEMA trick AUTHORIZATION regress_crmio_trickster;
SET ROLE regress_crmio_trickster;
CREATE TABLE trick.plain (id int PRIMARY KEY);
CREATE FUNCTION trick.trap() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
INSERT INTO trick.plain VALUES (1);
CREATE VIEW trick.view AS SELECT id FROM trick.plain WHERE trick.trap();
SELECT crm_register_module('trick', 'trick.view', '{"key": "id", "match": []}');
RESET ROLE;
SELECT crm_data_export();
SELECT crm_unregister_module('trick');

-- and so would a foreign table among the partitions
CREATE FOREIGN DATA WRAPPER regress_crmio_wrapper;
CREATE SERVER regress_crmio_server FOREIGN DATA WRAPPER regress_crmio_wrapper;
GRANT USAGE ON FOREIGN SERVER regress_crmio_server TO regress_crmio_trickster;
SET ROLE regress_crmio_trickster;
CREATE TABLE trick.parts (id int NOT NULL) PARTITION BY LIST (id);
CREATE FOREIGN TABLE trick.part PARTITION OF trick.parts FOR VALUES IN (1) SERVER regress_crmio_server;
SELECT crm_register_module('trick', 'trick.parts', '{"key": "id", "match": []}');
RESET ROLE;
SELECT crm_data_export();
SELECT crm_unregister_module('trick');

-- a cast is a function too: what two modules share by a column of a role's own type is read without
SET ROLE regress_crmio_trickster;
CREATE TYPE trick.stage AS ENUM ('a', 'b');
CREATE FUNCTION trick.stage_text(trick.stage) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE CAST (trick.stage AS text) WITH FUNCTION trick.stage_text(trick.stage);
CREATE TABLE trick.staged (id int PRIMARY KEY, stage trick.stage, size trick.stage);
INSERT INTO trick.staged VALUES (1, 'a', 'a'), (2, 'b', NULL), (3, NULL, 'b');
SELECT crm_register_module(stage, 'trick.staged', jsonb_build_object('lifecycle', jsonb_build_object(
	'column', 'stage', 'stages', '{a,b}'::text[], 'new', stage), 'fields', '{"size": {"kind": "choice", "choices": {"a": "Large"}}}'::jsonb))
FROM unnest('{a,b}'::text[]) stage;
SELECT stage::text FROM trick.staged;
RESET ROLE;
SELECT substr(crm_data_export(), 1, 2) = 'PK'::bytea;
SELECT crm_export('a'), crm_export('b', '{"filter": {"size": null}}');
SELECT crm_unregister_module('a'), crm_unregister_module('b');

-- an entry goes with its transaction; the server's log keeps its line
BEGIN;
SELECT substr(crm_data_export(), 1, 2) = 'PK'::bytea;
ROLLBACK;
SELECT count(*) FROM crmio.audit_log;
BEGIN READ ONLY;
SELECT crm_data_export();
ROLLBACK;

-- a table that is gone is no reason to leave it out silently
CREATE TABLE gone (id int PRIMARY KEY);
SELECT crm_register_module('gone', 'gone');
DROP TABLE gone;
SELECT crm_data_export();
SELECT crm_unregister_module('gone');
SELECT crm_data_export_to(NULL) IS NULL;
SELECT crm_data_export_to('crmio.zip');

DROP OWNED BY regress_crmio_trickster CASCADE;
DROP FOREIGN DATA WRAPPER regress_crmio_wrapper CASCADE;
DROP ROLE regress_crmio_trickster;
DROP OWNED BY regress_crmio_auditor;
DROP ROLE regress_crmio_auditor;
DROP SCHEMA crm CASCADE;
DROP EXTENSION crmio;

-- wrong mappings: each has its own error
SET client_min_messages = warning;
SET timezone = UTC;
SET datestyle = ISO;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules();
CREATE FUNCTION try(mapping jsonb, policy text DEFAULT 'skip') RETURNS SETOF bigint
LANGUAGE sql AS $$
	SELECT rows_read FROM crm_import(crm_upload('test.csv', E'Email,Name,Other\nann@x.com,Ann,1\n'), mapping, policy)
$$;
SELECT try('[]');
SELECT try('{}');
SELECT try('{"module": 1}');
SELECT try('{"module": "lead"}');
SELECT try('{"module": "leads", "colums": {}}');
SELECT try('{"module": "leads", "columns": []}');
SELECT try('{"module": "leads", "columns": {"Email": 5}}');
SELECT try('{"module": "leads", "columns": {"Email": ["email", 5]}}');
SELECT try('{"module": "leads", "columns": {"E-mail": "email"}}');
SELECT try('{"module": "leads", "columns": {"#4": "email"}}');
SELECT try('{"module": "leads", "columns": {"Email": "e_mail"}}');
SELECT try('{"module": "leads", "columns": {"Email": "address.planet"}}');
SELECT try('{"module": "leads", "columns": {"Email": "account.color"}}');
SELECT try('{"module": "leads", "columns": {"Email": "lifecycle"}}');
SELECT try('{"module": "leads", "columns": {"Email": "email", "Other": "email"}}');
SELECT try('{"module": "leads", "columns": {"Email": "email"}, "static": {"email": "x@y.com"}}');
SELECT try('{"module": "leads", "columns": {"Email": "email", "Name": "name", "Other": "first_name"}}');
SELECT try('{"module": "leads", "columns": {"Email": null}}');
SELECT try('{"module": "leads", "columns": {"Name": "name"}}');
SELECT try('{"module": "contacts", "columns": {"Email": "email"}}');
SELECT try('{"module": "accounts", "columns": {"Other": "domain"}}');
SELECT try('{"module": "tickets", "columns": {"Other": "description"}}');
SELECT try('{"module": "leads", "static": {"emial": "x"}}');
SELECT try('{"module": "leads", "static": []}');
SELECT try('{"module": "leads", "match": "email"}');
SELECT try('{"module": "leads", "match": ["email", ["name"]]}');
SELECT try('{"module": "leads", "match": [[]]}');
SELECT try('{"module": "leads", "match": ["phone"]}');
SELECT try('{"module": "leads", "match": ["name"]}');
SELECT try('{"module": "leads", "match": ["color"]}');
SELECT try('{"module": "leads", "auto_create": "account"}');
SELECT try('{"module": "leads", "auto_create": ["company"]}');
SELECT try('{"module": "leads", "unresolved": "ignore"}');
SELECT try('{"module": "leads", "invalid": true}');
SELECT try('{"module": "leads", "on_ambiguous": "last"}');
SELECT try('{"module": "leads", "date_order": "ydm"}');
SELECT try('{"module": "leads", "decimal": ";"}');
SELECT try('{"module": "leads", "encoding": "utf-9"}');
SELECT try('{"module": "leads", "delimiter": ";;"}');
SELECT try('{"module": "leads", "quote": ","}');
SELECT try('{"module": "leads", "header_row": "first"}');
SELECT try('{"module": "leads", "null_values": "N/A"}');
SELECT try('{"module": "leads", "max_errors": -1}');
SELECT try('{"module": "leads", "dry_run": "yes"}');
SELECT try('{"module": "leads"}', 'upsert');
SELECT try('{"module": "leads"}', 'update:fill-empty');
SELECT crm_import(crm_upload('e.csv', E'Email,_error_reason\na@x.com,b\n'), '{"module": "leads", "columns": {"Email": "email", "_error_reason": "notes"}}');
-- what works: by position, to several fields, skipped ones, by name with a NOTICE
SELECT try('{"module": "leads", "columns": {"#1": ["email", "email.work"], "Name": "name", "Other": null}}');
SET client_min_messages = notice;
SELECT rows_read FROM crm_import(crm_upload('test.csv', E'E-MAIL,first_name,First Name,Shoe Size\nzoe@x.com,Zoe,Z,41\n'), '{"module": "leads"}');
SELECT email, emails, first_name, last_name FROM crm.people ORDER BY id;

DROP FUNCTION try;
SET client_min_messages = warning;
DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;

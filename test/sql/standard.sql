-- The standard modules: their tables belong to the caller.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crmio CASCADE;
CREATE EXTENSION crmio;
CREATE ROLE regress_crmio_caller;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_crmio_caller', current_database()); END $$;

SET ROLE regress_crmio_caller;
SELECT crm_create_standard_modules('Odd "crm"');
SELECT c.relname, c.relowner::regrole, obj_description(c.oid),
	EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') AS member
FROM pg_class c WHERE c.relnamespace = '"Odd ""crm"""'::regnamespace AND c.relkind = 'r' ORDER BY 1;
SELECT field, label, kind, required, column_name, choices, reference FROM crm_fields('leads');
SELECT field, kind, required, reference FROM crm_fields('contacts') WHERE required;
SELECT field, label, kind, required, column_name, choices, reference FROM crm_fields('accounts');
SELECT field, label, kind, required, column_name, choices, reference FROM crm_fields('tickets');
SELECT field, aliases[1:1] FROM crm_fields('leads') WHERE aliases <> '{}';

-- Never silently on other tables.
SELECT crm_create_standard_modules('other');
SELECT crm_create_standard_modules('crmio');
RESET ROLE;

-- A table that exists is an error, and nothing is made.
SELECT crm_unregister_module(m) FROM unnest('{leads,contacts,accounts,tickets}'::text[]) m;
CREATE SCHEMA half;
CREATE TABLE half.tickets ();
SELECT crm_create_standard_modules('half');
SELECT relname FROM pg_class WHERE relnamespace = 'half'::regnamespace;
DROP SCHEMA half CASCADE;

-- Names on the caller's search_path mean nothing inside.
CREATE SCHEMA evil;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'epoch'::timestamptz $$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'evil'::text $$;
SET search_path = evil, pg_catalog, public;
SELECT crm_create_standard_modules();
RESET search_path;
DROP SCHEMA evil CASCADE;

-- The database fills in the audit fields.
INSERT INTO crm.accounts (name, domain) VALUES ('Acme', 'acme.com');
INSERT INTO crm.people (email, account_id) VALUES ('ann@acme.com', 1);
INSERT INTO crm.tickets (title, customer_id) VALUES ('Help', 1);
SELECT created_at = updated_at AND now() - updated_at < '1 hour' AS now, created_by = current_user AS me, lifecycle, emails, phones, address, custom
FROM crm.people;
ALTER TABLE crm.people DISABLE TRIGGER crm_set_audit;
UPDATE crm.people SET created_at = '2001-01-01', updated_at = '2001-01-01', created_by = 'ann', updated_by = 'ann';
ALTER TABLE crm.people ENABLE TRIGGER crm_set_audit;
UPDATE crm.people SET first_name = 'Ann', created_at = '2002-02-02', created_by = 'bob', updated_at = '2002-02-02', updated_by = 'bob';
SELECT created_at = '2001-01-01' AS kept, created_by, now() - updated_at < '1 hour' AS now, updated_by = current_user AS me FROM crm.people;
\set VERBOSITY terse
UPDATE crm.people SET lifecycle = 'friend';
UPDATE crm.tickets SET priority = 'whatever';
\set VERBOSITY default

-- closed_at follows the status.
INSERT INTO crm.tickets (title, status, closed_at) VALUES ('Closed', 'closed', NULL), ('Open', 'open', now());
SELECT title, status, now() - closed_at < '1 hour' AS closed FROM crm.tickets ORDER BY id;
UPDATE crm.tickets SET status = CASE status WHEN 'open' THEN 'closed' ELSE 'pending' END;
SELECT title, status, closed_at IS NOT NULL AS closed FROM crm.tickets ORDER BY id;
UPDATE crm.tickets SET title = title || '!', closed_at = NULL;
SELECT title, status, closed_at IS NOT NULL AS closed FROM crm.tickets ORDER BY id;

-- Without the extension the tables work as before.
DROP EXTENSION crmio;
UPDATE crm.people SET last_name = 'Lee';
UPDATE crm.tickets SET status = 'open' WHERE title = 'Help!';
SELECT last_name, now() - updated_at < '1 hour' AS now FROM crm.people;
SELECT title, status, closed_at FROM crm.tickets WHERE title = 'Help!';

-- And a new extension takes them up again.
CREATE EXTENSION crmio;
SELECT crm_register_module('people', 'crm.people');
SELECT crm_unregister_module('people');

DROP SCHEMA crm CASCADE;
DROP SCHEMA "Odd ""crm""" CASCADE;
DROP EXTENSION crmio;
DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM regress_crmio_caller', current_database()); END $$;
DROP ROLE regress_crmio_caller;

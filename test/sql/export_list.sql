-- the lists of modules: columns, references, filters, stages, headers that map by themselves
SET client_min_messages = warning;
SET timezone = UTC;
SET datestyle = ISO;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules();
\pset format unaligned
\pset tuples_only on
INSERT INTO crm.accounts (name, domain, industry, website, lifecycle_stage, mrr_cents, renewal_date, created_at, phones) VALUES
	('Acme, Inc.', 'acme.com', 'Tools', 'https://acme.com', 'customer', 131500, '2026-09-30', '2026-01-31 23:59:59+00', '[]'),
	('Beta', 'beta.io', NULL, NULL, 'prospect', -5, NULL, '2026-02-01 00:00:00+00', '[{"type": "work", "value": "+1 555 0100"}]'),
	('acme', 'acme.org', '', NULL, 'churned', NULL, NULL, '2026-02-01 00:00:00+00', '[]');
INSERT INTO crm.people (lifecycle, first_name, last_name, email, phones, emails, company, job_title, account_id, address, custom, first_seen, last_seen) VALUES
	('lead', 'Ann', 'Lee', 'Ann@Example.com', '[{"type": "mobile", "value": "+49 171 1"}, {"type": null, "value": "030 22"}]',
		'[{"type": "work", "value": "ann@work.example"}]', 'Acme', 'Boss', NULL,
		'{"main": {"city": "Rome", "street": "Via 1"}, "billing": {"city": "Milan"}}', '{"shoe_size": "38", "a.b": "c"}', '2026-01-01', '2026-02-03 04:05:06.789+00'),
	('contact', 'Jan', 'van der Berg', 'jan@x.nl', '[]', '[]', NULL, NULL, 1, '{}', '{}', NULL, NULL),
	('contact', 'Ann Marie', NULL, 'am@x.nl', '[{"value": " "}, {"value": "040"}]', '[]', NULL, NULL, 2, '{}', '{}', NULL, NULL),
	('contact', NULL, 'Solo', NULL, '{"not": "a list"}', '[]', NULL, NULL, NULL, '{}', '{}', NULL, NULL),
	('contact', ' ', '', 'nobody@x.nl', '[1, "x", {"value": 7}, {"type": "work"}]', '[]', NULL, NULL, NULL, '{}', '{}', NULL, NULL);
INSERT INTO crm.tickets (title, status, priority, customer_id, assigned_to, created_at, updated_at) VALUES
	('Broken', 'open', 'high', 1, 'root', '2026-03-01', '2026-03-02'),
	('Lost', 'closed', 'low', NULL, NULL, '2026-03-03', '2026-03-03');

-- the four lists
SELECT crm_export('leads');
SELECT crm_export('contacts');
SELECT crm_export('accounts');
SELECT crm_export('tickets');

-- chosen columns: anything a field path names, and columns that no import fills
SELECT crm_export('leads', '{"columns": ["id", "name", "phone", "phone.mobile", "phone.work", "email.work", "address.city", "address.billing.city",
	"custom.shoe_size", "custom.a.b", "created_by", "lifecycle", "address"]}');
SELECT crm_export('contacts', '{"columns": ["email", "account", "account.id", "account.mrr", "account.phone.work", "account.created_at"]}');
SELECT crm_export('contacts', '{"columns": ["email", "account"], "names": false}');
SELECT crm_export('leads', '{"columns": ["emial"]}');
SELECT crm_export('leads', '{"columns": []}');
SELECT crm_export('leads', '{"columns": ["account.nmae"]}');
SELECT crm_export('leads', '{"columns": ["address.planet"]}');

-- filters compare what the list shows
SELECT crm_export('tickets', '{"filter": {"status": "open"}, "columns": ["title"]}');
SELECT crm_export('tickets', '{"filter": {"status": ["OPEN", "closed"], "priority": "low"}, "columns": ["title"]}');
SELECT crm_export('tickets', '{"filter": {"assigned_to": null}, "columns": ["title"]}');
SELECT crm_export('tickets', '{"filter": {"assigned_to": [null, "root"]}, "columns": ["title"]}');
SELECT crm_export('tickets', '{"filter": {"customer.email": "ANN@example.COM"}, "columns": ["title"]}');
SELECT crm_export('tickets', '{"filter": {"customer.name": "ann lee"}, "columns": ["title", "customer"]}');
SELECT crm_export('accounts', '{"filter": {"mrr": 1315}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"mrr": {"to": 0}}, "columns": ["name", "mrr"]}');
SELECT crm_export('accounts', '{"filter": {"name": "ACME"}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"domain": ["BETA.io", "none"]}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"created_at": {"from": "2026-01-01", "to": "2026-01-31"}}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"created_at": {"from": "2026-02-01T00:00:00Z"}}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"renewal_date": {"to": "2026-09-30"}}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"id": [2, "3"]}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"phone.work": "+1 555 0100"}, "columns": ["name"]}');
SELECT crm_export('accounts', '{"filter": {"name": []}, "columns": ["name"]}');

-- cents are exact, however many
BEGIN;
INSERT INTO crm.accounts (name, domain, mrr_cents) VALUES ('Treasury', 'treasury.example', 9223372036854775807), ('Debt', 'debt.example', -9223372036854775808);
SELECT crm_export('accounts', '{"filter": {"mrr": ["92233720368547758.07", -92233720368547758.08]}, "columns": ["name", "mrr"]}');
ROLLBACK;
SELECT crm_export('leads', '{"filter": {"custom.shoe_size": 38, "address.city": "Rome"}, "columns": ["email"]}');
SELECT crm_export('accounts', $${"filter": {"name": "x' OR true --"}, "columns": ["name"]}$$);
SELECT crm_export('accounts', '{"filter": {"naem": "x"}}');
SELECT crm_export('accounts', '{"filter": {"id": "x"}}');
SELECT crm_export('accounts', '{"filter": {"name": {"form": "x"}}}');
SELECT crm_export('accounts', '{"filter": {"name": {}}}');
SELECT crm_export('accounts', '{"filter": {"name": [["x"]]}}');
SELECT crm_export('accounts', '{"filter": "open"}');

-- an import maps the headers of a list by itself, and changes nothing
SELECT s.header, (SELECT string_agg(c.column_name, ', ') FROM crm_columns(crm_upload('x.csv', convert_to(s.header || E'\n1', 'UTF8'))) c)
	FROM (SELECT crm_export(module, '{"filter": {"id": 0}}') FROM unnest(ARRAY['leads', 'contacts', 'accounts', 'tickets']) module) s(header);
CREATE FUNCTION again(module text, policy text, mapping jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT format('%s: %s read, %s created, %s updated, %s unchanged, %s skipped, %s errored, %s warnings', policy, rows_read, created, updated,
		unchanged, skipped, errored, warnings)
	FROM crm_import(crm_upload('x.csv', crm_export_file(module)), jsonb_build_object('module', module) || mapping, policy) $$;
SELECT again('leads', policy) FROM unnest(ARRAY['skip', 'update', 'update:overwrite', 'update:prefer_import']) policy;
SELECT again('accounts', policy) FROM unnest(ARRAY['skip', 'update', 'update:overwrite', 'update:prefer_import']) policy;
DELETE FROM crm.people WHERE email IS NULL OR account_id IS NULL AND lifecycle = 'contact';
SELECT again('contacts', policy) FROM unnest(ARRAY['skip', 'update', 'update:overwrite', 'update:prefer_import']) policy;
CREATE INDEX ON crm.tickets (title);
SELECT again('tickets', policy, '{"match": ["title"]}') FROM unnest(ARRAY['skip', 'update']) policy;

-- a table of one's own: all fields, or those that the options name
CREATE TYPE size AS ENUM ('S', 'M');
CREATE TABLE "Odd ""Shirts" (
	"the id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku text UNIQUE, size size, price_cents bigint, tags text[], extra jsonb,
	address jsonb, state text CHECK (state IN ('l', 'h')), "Owner Id" bigint REFERENCES crm.people, made_at timestamptz, "select" int);
INSERT INTO "Odd ""Shirts" (sku, size, price_cents, tags, extra, address, state, "Owner Id", "select")
	VALUES ('A1', 'M', 1250, '{red,blue}', '{"a": 1}', '{"main": {"city": "Oslo"}}', 'l', 1, 7), ('=B', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT crm_register_module('shirts', '"Odd ""Shirts"', '{"fields": {"address": {"storage": "address"}, "state": {"choices": {"l": "Low", "h": "High"}}}}');
SELECT crm_export('shirts');
SELECT crm_export('shirts', '{"names": false, "escape_formulas": true, "filter": {"state": ["low", null]}}');
SELECT again('shirts', policy) FROM unnest(ARRAY['skip', 'update', 'update:overwrite']) policy;
SELECT crm_register_module('shirts', '"Odd ""Shirts"', '{"list": ["sku", "the id", "select"]}');
SELECT crm_export('shirts', '{"filter": {"select": 7}}');
SELECT crm_export('shirts', '{"filter": {"extra": 7}}');
SELECT crm_export('shirts', '{"filter": {"extra": {"from": 7}}}');

-- two headers of one name: the path tells them apart
CREATE TABLE twice (id int PRIMARY KEY, a text, b text, created text, created_at date);
SELECT crm_register_module('twice', 'twice', '{"fields": {"a": {"label": "Same"}, "b": {"label": "Same"}, "created_at": null}, "list": ["id", "a", "b", "created", "created_at"]}');
SELECT crm_export('twice');

-- whatever stands on the search_path
CREATE SCHEMA trap;
CREATE FUNCTION trap.eq(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.eq);
CREATE FUNCTION trap.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
SET search_path = trap, pg_catalog, public;
SELECT public.crm_export('contacts', '{"filter": {"email": "JAN@x.nl", "account.domain": "acme.com"}}');
RESET search_path;

-- a module without rows; one whose table is gone
SELECT crm_export('leads', '{"filter": {"email": "none"}, "header": false}');
DROP TABLE twice;
SELECT crm_export('twice');
SELECT crm_unregister_module('twice');
DROP TABLE "Odd ""Shirts";
DROP SCHEMA crm CASCADE;
DROP EXTENSION crmio;

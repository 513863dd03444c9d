-- saved mappings: who may see, use, replace and drop them; the key "use"; shipped presets
SET client_min_messages = warning;
SET timezone = UTC;
SET datestyle = ISO;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules();
CREATE FUNCTION try(mapping jsonb, content text DEFAULT E'Email,Name,Town\nann@x.com,Ann Smith,Bonn\n') RETURNS TABLE(created bigint, updated bigint, errored bigint)
LANGUAGE sql AS $$
	SELECT created, updated, errored FROM crm_import(crm_upload('test.csv', convert_to(content, 'UTF8')), mapping, 'update')
$$;

-- what can be saved
SELECT crm_save_mapping('mine', '{"module": "leads", "columns": {"Email": "email", "Name": "name", "Town": null}, "null_values": ["-"]}');
SELECT name, owner = current_user AS own, module, mapping FROM crm_mappings WHERE owner IS NOT NULL;
SELECT crm_save_mapping(' mine', '{}');
SELECT crm_save_mapping('', '{}');
SELECT crm_save_mapping('x', '[]');
SELECT crm_save_mapping('x', '{"colums": {}}');
SELECT crm_save_mapping('x', '{"module": "lead"}');
SELECT crm_save_mapping('x', '{"module": "leads", "columns": {"Email": "e_mail"}}');
SELECT crm_save_mapping('x', '{"module": "leads", "static": {"address.planet": "Mars"}}');
SELECT crm_save_mapping('x', '{"use": "min"}');
SELECT crm_save_mapping('x', '{"use": "x"}');
SELECT crm_save_mapping('x', '{"missing_columns": "forget"}');
SELECT crm_save_mapping('salesforce_leads', '{}');

-- what "use" does: keys beside it take the place of the saved ones
SELECT * FROM try('{"use": "mine"}');
SELECT email, first_name, last_name, address FROM crm.people;
SELECT * FROM try('{"use": "mine"}', E'Email,Name\nann@x.com,-\n');
SELECT * FROM try('{"use": "mine"}', E'Email,Town\nann@x.com,Bonn\n');
SELECT * FROM try('{"use": "mine", "missing_columns": "ignore"}', E'E-MAIL,Town\nann@x.com,Bonn\n');
SELECT * FROM try('{"use": "mine", "columns": {"Email": "email", "Town": "address.city"}, "static": {"source": "fair"}}');
SELECT email, first_name, last_name, address, source FROM crm.people;
SELECT * FROM try('{"use": 1}');
SELECT * FROM try('{"use": null}');
SELECT * FROM try('{"use": "mien"}');
SELECT * FROM try('{"use": "mine", "module": "tickets"}');
-- the job keeps what it was
SELECT mapping FROM crmio.job ORDER BY job_id LIMIT 1;
-- a part, and one that uses another
SELECT crm_save_mapping('german', '{"date_order": "dmy", "decimal": ","}');
SELECT crm_save_mapping('german leads', '{"use": "mine", "date_order": "dmy"}');
SELECT * FROM try('{"use": "german leads"}');
SELECT * FROM try('{"use": "german"}');
SELECT * FROM try('{"use": "german", "module": "leads", "columns": {"Email": "email"}}');
SELECT crm_save_mapping('mine', '{"use": "german leads"}');
SELECT crm_save_mapping('german', '{"module": "leads"}');
SELECT mapping FROM crm_mappings WHERE name = 'german';
SELECT crm_drop_mapping('mine');
SELECT * FROM try('{"use": "german leads"}');
SELECT crm_drop_mapping('mine');
SELECT crm_drop_mapping('hubspot_contacts');
SELECT name FROM crm_mappings WHERE owner IS NOT NULL ORDER BY 1;

-- other roles
CREATE ROLE regress_crmio_team;
CREATE ROLE regress_crmio_team2;
CREATE ROLE regress_crmio_ann IN ROLE regress_crmio_team, regress_crmio_team2;
CREATE ROLE regress_crmio_bob;
SET ROLE regress_crmio_team;
SELECT crm_save_mapping('shared', '{"module": "leads", "decimal": ","}');
SET ROLE regress_crmio_ann;
SELECT crm_save_mapping('own', '{"module": "leads"}');
SELECT name, owner, mapping FROM crm_mappings WHERE owner IS NOT NULL ORDER BY 1;
SELECT crm_save_mapping('shared2', '{"use": "shared", "date_order": "dmy"}');
SET ROLE regress_crmio_bob;
SELECT name, owner FROM crm_mappings ORDER BY 1;
SELECT crm_save_mapping('own', '{"use": "shared"}');
SELECT crm_drop_mapping('own');
SELECT crm_save_mapping('own', '{"module": "accounts"}');
SELECT * FROM crmio.saved_mapping;
SELECT * FROM crmio.preset;
INSERT INTO crmio.saved_mapping VALUES ('x', 'regress_crmio_ann', '{}');
-- two of one name: one's own is meant, else none
SET ROLE regress_crmio_team2;
SELECT crm_save_mapping('shared', '{"module": "accounts"}');
SET ROLE regress_crmio_ann;
SELECT crm_drop_mapping('shared');
SELECT crm_save_mapping('shared', '{"module": "tickets"}');
SELECT crm_drop_mapping('shared');
SET ROLE regress_crmio_team;
SELECT crm_drop_mapping('shared');
SET ROLE regress_crmio_ann;
SELECT crm_drop_mapping('shared');
SELECT name, owner FROM crm_mappings WHERE owner IS NOT NULL ORDER BY 1, 2;
RESET ROLE;
SELECT name, owner FROM crm_mappings WHERE owner LIKE 'regress_crmio%' ORDER BY 1, 2;
BEGIN READ ONLY;
SELECT crm_save_mapping('x', '{}');
ROLLBACK;
DROP ROLE regress_crmio_ann, regress_crmio_bob, regress_crmio_team, regress_crmio_team2;

-- exports of the presets' systems
TRUNCATE crm.people, crm.accounts CASCADE;
\getenv abs_srcdir PG_ABS_SRCDIR
CREATE TABLE export (preset text, file text);
INSERT INTO export VALUES
	('salesforce_accounts', 'salesforce_accounts'), ('salesforce_leads', 'salesforce_leads'),
	('salesforce_leads', 'salesforce_leads_api'), ('salesforce_contacts', 'salesforce_contacts'),
	('hubspot_companies', 'hubspot_companies'), ('hubspot_contacts', 'hubspot_contacts'),
	('pipedrive_organizations', 'pipedrive_organizations'), ('pipedrive_people', 'pipedrive_people');
SELECT e.file, i.created, i.skipped, i.errored, i.warnings
  FROM export e, LATERAL (SELECT format('%s/data/exports/%s.csv', :'abs_srcdir', e.file)) p(path),
       LATERAL crm_import(p.path, jsonb_build_object('use', e.preset)) i;
SELECT j.job_id, m.* FROM crmio.job j, LATERAL crm_errors(j.job_id) m;
SELECT name, domain, industry, website, employees, phones, address, owner, custom FROM crm.accounts ORDER BY id;
SELECT lifecycle AS stage, first_name, last_name, email, emails, phones, company, job_title, (SELECT name FROM crm.accounts a WHERE a.id = account_id) AS account,
       address, website, source, status, owner, notes, custom FROM crm.people ORDER BY id;
-- again, nothing changes
SELECT e.file, i.unchanged, i.errored
  FROM export e, LATERAL (SELECT format('%s/data/exports/%s.csv', :'abs_srcdir', e.file)) p(path),
       LATERAL crm_import(p.path, jsonb_build_object('use', e.preset), 'update') i
 WHERE e.file <> 'pipedrive_organizations';
-- what a preset's file lacks, and what no preset can do without
SELECT * FROM try('{"use": "hubspot_contacts"}', E'First Name,Associated Company\nZoe,Acme\n');
SELECT * FROM try('{"use": "hubspot_contacts"}', E'Email,First Name\nzoe@x.com,Zoe\n');
SELECT * FROM try('{"use": "hubspot_contacts", "module": "leads", "auto_create": []}', E'Email,First Name\nzoe@x.com,Zoe\n');
SELECT * FROM try('{"use": "salesforce_leads"}', E'Foo,Bar\n1,2\n');
-- columns for one field are alternatives, and full names give way
SELECT * FROM try('{"use": "salesforce_leads"}', E'Name,Company,Company / Account,Last Name,Email\nA B,Acme,Other,Bee,bee@x.com\n');
SELECT first_name, last_name, company FROM crm.people WHERE email = 'bee@x.com';
-- every preset could be saved: its fields exist
SELECT name, crm_save_mapping('my ' || name, mapping) IS NOT NULL AS saved FROM crm_mappings WHERE owner IS NULL ORDER BY 1;
-- what a role that is gone left behind, a superuser sees and drops
CREATE ROLE regress_crmio_leaver;
SET ROLE regress_crmio_leaver;
SELECT crm_save_mapping('left behind', '{"module": "leads"}');
RESET ROLE;
DROP ROLE regress_crmio_leaver;
SELECT name, owner FROM crm_mappings WHERE name = 'left behind';
SELECT crm_drop_mapping('left behind');
SELECT name, owner FROM crm_mappings WHERE name = 'left behind';

DROP TABLE export;
DROP FUNCTION try;
DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;

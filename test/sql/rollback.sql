-- crm_rollback: what a job created goes, what it changed comes back, what others did stays
SET client_min_messages = warning;
SET timezone = UTC;
SET datestyle = ISO;
SET intervalstyle = postgres;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules();
CREATE FUNCTION run(content text, mapping jsonb, policy text DEFAULT 'skip',
	OUT job bigint, OUT created bigint, OUT updated bigint, OUT unchanged bigint, OUT errored bigint)
LANGUAGE sql AS $$
	SELECT job_id, created, updated, unchanged, errored
	FROM crm_import(crm_upload('test.csv', convert_to(content, 'UTF8')), mapping, policy) ORDER BY rows_read DESC LIMIT 1
$$;
CREATE FUNCTION last_job() RETURNS bigint LANGUAGE sql AS 'SELECT max(job_id) FROM crmio.job';
CREATE VIEW people AS SELECT id, lifecycle, first_name, last_name, email, job_title, phones, account_id, custom
	FROM crm.people ORDER BY id;
CREATE TABLE before AS TABLE people;
CREATE VIEW difference AS
	SELECT '+' AS what, * FROM (SELECT * FROM people EXCEPT SELECT * FROM before) a
	UNION ALL SELECT '-', * FROM (SELECT * FROM before EXCEPT SELECT * FROM people) b ORDER BY id, what;
SET client_min_messages = notice;

INSERT INTO crm.accounts (name, domain) VALUES ('Acme', 'acme.com');
INSERT INTO crm.people (lifecycle, first_name, email, job_title, phones, custom, account_id) VALUES
	('lead', 'Ann', 'ann@x.com', NULL, '[{"type": null, "value": "1"}]', '{"a": "1"}', NULL),
	('lead', 'Bob', 'bob@x.com', 'CEO', '[]', '{}', 1),
	('contact', 'Cid', 'cid@x.com', NULL, '[]', '{}', NULL);
INSERT INTO before TABLE people;

-- each policy: created and changed records, a lead that became a contact, an account made for its reference
\set file 'E''Email,Name,Title,Phone,Account,Shoe\\nann@x.com,Ann Lee,CTO,+1 23,New Ltd,42\\nbob@x.com,Robert Roe,,555,Acme,43\\nnew@x.com,New One,CFO,777,New Ltd,44\\n'''
\set titles 'Email,Title,Account\nj1@x.com,B,Jay\nj2@x.com,B,Jay\nj1@x.com,BB,Jay\nj3@x.com,B,Jay\n'
\set mapping '''{"module": "contacts", "auto_create": true, "columns": {"Email": "email", "Name": "name", "Title": "job_title", "Phone": "phone", "Account": "account.name", "Shoe": "custom.shoe"}}'''
SELECT * FROM run(:file, :mapping, 'skip');
SELECT * FROM crm_rollback(last_job());
TABLE difference;
SELECT * FROM run(:file, :mapping, 'update');
SELECT * FROM difference;
SELECT * FROM crm_rollback(last_job(), dry_run => true);
SELECT count(*) FROM difference;
SELECT state, rolled_back_at FROM crmio.job WHERE job_id = last_job();
SELECT * FROM crm_rollback(last_job());
TABLE difference;
SELECT state, rolled_back_at IS NOT NULL AS at FROM crmio.job WHERE job_id = last_job();
SELECT * FROM run(:file, :mapping, 'update:overwrite');
SELECT * FROM crm_rollback(last_job());
TABLE difference;
SELECT * FROM run(:file, :mapping, 'update:prefer_import');
SELECT * FROM crm_rollback(last_job());
TABLE difference;
SELECT * FROM run(:file, :mapping, 'create');
SELECT * FROM crm_rollback(last_job());
TABLE difference;
SELECT count(*) AS accounts FROM crm.accounts;

-- once only; not a job that is not there, was dry, or has not ended
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm_rollback(4711);
SELECT * FROM crm_rollback(NULL);
SELECT * FROM run(:file, :mapping::jsonb || '{"dry_run": true}', 'create');
SELECT * FROM crm_rollback(last_job());
BEGIN;
SET LOCAL crmio.batch_rows = 1;
DECLARE c CURSOR FOR SELECT (crm_import(crm_upload('test.csv', convert_to(:file, 'UTF8')), :mapping, 'create')).state;
FETCH 1 FROM c;
SELECT * FROM crm_rollback((SELECT max(job_id) FROM crmio.job));
ROLLBACK;

-- rows of the file that meet again: the oldest value comes back; a record that the job made and changed goes
SET crmio.batch_rows = 2;
SELECT * FROM run(E'Email,Title,First Name\nbob@x.com,One,B1\nbob@x.com,Two,B1\nbob@x.com,Three,B2\nnew@x.com,One,N\nbob@x.com,Four,B2\nnew@x.com,Two,N\n',
	'{"module": "leads", "columns": {"Email": "email", "Title": "job_title", "First Name": "first_name"}}', 'update:overwrite');
SELECT * FROM crm_rollback(last_job());
TABLE difference;
RESET crmio.batch_rows;

-- later edits stay, column by column; records deleted by hand are in no count
SELECT * FROM run(E'Email,Title,First Name\nann@x.com,Boss,Anna\nbob@x.com,Boss,Rob\ncid@x.com,Boss,Cy\nn1@x.com,,N1\nn2@x.com,,N2\nn3@x.com,,N3\n',
	'{"module": "leads", "columns": {"Email": "email", "Title": "job_title", "First Name": "first_name"}}', 'update:overwrite');
UPDATE crm.people SET job_title = 'Chief' WHERE email IN ('ann@x.com', 'bob@x.com');
UPDATE crm.people SET first_name = 'Bobby' WHERE email = 'bob@x.com';
UPDATE crm.people SET job_title = 'New' WHERE email = 'n1@x.com';
DELETE FROM crm.people WHERE email IN ('n2@x.com', 'cid@x.com');
SELECT * FROM crm_rollback(last_job());
TABLE difference;
DELETE FROM crm.people WHERE email = 'n1@x.com';
TRUNCATE before;
INSERT INTO before TABLE people;

-- another import's update is an edit; what an edit puts back to the job's value is as the job left it
SELECT * FROM run(E'Email,Title\nann@x.com,A\nbob@x.com,B\n', '{"module": "leads", "columns": {"Email": "email", "Title": "job_title"}}', 'update:overwrite');
SELECT * FROM run(E'Email,Title\nann@x.com,AA\n', '{"module": "leads", "columns": {"Email": "email", "Title": "job_title"}}', 'update:overwrite');
UPDATE crm.people SET job_title = 'x' WHERE email = 'bob@x.com';
UPDATE crm.people SET job_title = 'B' WHERE email = 'bob@x.com';
SELECT * FROM crm_rollback(last_job() - 1);
TABLE difference;
SELECT * FROM crm_rollback(last_job());
TRUNCATE before;
INSERT INTO before TABLE people;

-- jobs undone one after the other, the last first: what a rollback gave back is as the earlier job left it; but not an edit in between
SELECT * FROM run(E'Email,Title\nj1@x.com,A\nj2@x.com,A\nj3@x.com,A\nj4@x.com,A\n', '{"module": "leads", "columns": {"Email": "email", "Title": "job_title"}}');
UPDATE crm.people SET last_name = 'Edited' WHERE email = 'j2@x.com';
SELECT * FROM run(:'titles', '{"module": "contacts", "auto_create": true, "columns": {"Email": "email", "Title": "job_title", "Account": "account.name"}}', 'update:overwrite');
SELECT * FROM run(E'Email,Title\nj1@x.com,C\nj2@x.com,C\nj4@x.com,C\n', '{"module": "leads", "columns": {"Email": "email", "Title": "job_title"}}', 'update:overwrite');
UPDATE crm.people SET last_name = 'Edited' WHERE email = 'j4@x.com';
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm_rollback(last_job() - 1);
SELECT * FROM crm_rollback(last_job() - 2);
SELECT what, email, job_title, last_name FROM difference;
DELETE FROM crm.people WHERE email LIKE 'j%';

-- what others refer to stays, also where a foreign key would delete or empty the rows that refer
CREATE TABLE crm.cascades (id int PRIMARY KEY, person bigint REFERENCES crm.people ON DELETE CASCADE);
CREATE TABLE crm.empties (id int PRIMARY KEY, person bigint REFERENCES crm.people ON DELETE SET NULL);
CREATE TABLE crm.defers (id int PRIMARY KEY, person bigint REFERENCES crm.people DEFERRABLE INITIALLY DEFERRED);
SELECT * FROM run(E'Email\nn1@x.com\nn2@x.com\nn3@x.com\nn4@x.com\nn5@x.com\nn6@x.com\n', '{"module": "leads"}');
INSERT INTO crm.cascades SELECT 1, id FROM crm.people WHERE email = 'n1@x.com';
INSERT INTO crm.empties SELECT 1, id FROM crm.people WHERE email = 'n2@x.com';
INSERT INTO crm.defers SELECT 1, id FROM crm.people WHERE email = 'n3@x.com';
INSERT INTO crm.tickets (title, customer_id) SELECT 't', id FROM crm.people WHERE email = 'n4@x.com';
SELECT * FROM crm_rollback(last_job(), true);
SELECT * FROM crm_rollback(last_job());
SELECT what, email FROM difference;
SELECT (SELECT count(person) FROM crm.cascades) AS cascades, (SELECT count(person) FROM crm.empties) AS empties,
	(SELECT count(person) FROM crm.defers) AS defers, (SELECT count(customer_id) FROM crm.tickets) AS tickets;
DROP TABLE crm.cascades, crm.empties, crm.defers;
TRUNCATE crm.tickets;
DELETE FROM crm.people WHERE email LIKE 'n%';

-- references among the records themselves are none, also from record to record; those of records that stay are
CREATE TABLE crm.staff (code text PRIMARY KEY, name text, boss text REFERENCES crm.staff ON DELETE SET NULL);
SELECT crm_register_module('staff', 'crm.staff', '{"match": ["code"]}');
INSERT INTO crm.staff VALUES ('old', 'Old', NULL);
SELECT * FROM run(E'code,name,boss.code\na,A,\nb,B,a\nc,C,b\nd,D,c\ne,E,a\nf,F,\ng,G,f\n', '{"module": "staff", "columns": {"code": "code", "name": "name", "boss.code": "boss.code"}}');
UPDATE crm.staff SET boss = 'c' WHERE code = 'old';
UPDATE crm.staff SET name = 'Gee' WHERE code = 'g';
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.staff ORDER BY code;

-- a trigger that refuses one record, silently or not, and one that changes records while others are deleted
DELETE FROM crm.staff;
CREATE FUNCTION crm.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.name = 'No' THEN RAISE EXCEPTION 'never'; END IF;
	IF OLD.name = 'Silent' THEN RETURN NULL; END IF;
	UPDATE crm.staff SET name = name || '!' WHERE name = 'Counted' AND code <> OLD.code;
	RETURN OLD;
END $$;
SELECT * FROM run(E'code,name\na,Counted\nb,No\nc,Silent\nd,D\ne,No\nf,Yes\n', '{"module": "staff"}');
CREATE TRIGGER guard BEFORE DELETE ON crm.staff FOR EACH ROW EXECUTE FUNCTION crm.guard();
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.staff ORDER BY code;
DROP TRIGGER guard ON crm.staff;
DELETE FROM crm.staff;

-- a record that can't have its old values back is blocked alone; one that a created record stands in the way of is not
CREATE TABLE crm.unique_mail (code text PRIMARY KEY, mail text UNIQUE, note text);
SELECT crm_register_module('unique', 'crm.unique_mail', '{"match": ["code"], "fields": {"mail": {"kind": "email"}}}');
INSERT INTO crm.unique_mail VALUES ('a', 'a@x.com', 'n'), ('b', 'b@x.com', 'n'), ('c', 'c@x.com', 'n');
SELECT * FROM run(E'code,mail,note\na,a2@x.com,m\nb,b2@x.com,m\nc,c2@x.com,m\n', '{"module": "unique"}', 'update:overwrite');
INSERT INTO crm.unique_mail VALUES ('hand', 'b@x.com', 'n');
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.unique_mail ORDER BY code;
SET crmio.batch_rows = 1;
SELECT * FROM run(E'code,mail,note\na,a2@x.com,m\nnew,a@x.com,m\n', '{"module": "unique"}', 'update:overwrite');
RESET crmio.batch_rows;
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.unique_mail ORDER BY code;

-- keys that the job changed
CREATE TABLE crm.rekeyed (code text PRIMARY KEY, mail text NOT NULL UNIQUE, note text);
SELECT crm_register_module('rekeyed', 'crm.rekeyed', '{"match": ["mail"], "fields": {"mail": {"kind": "email"}}}');
INSERT INTO crm.rekeyed VALUES ('a', 'a@x.com', 'n');
SET crmio.batch_rows = 1;
SELECT * FROM run(E'code,mail,note\nb,a@x.com,m\nx,new@x.com,1\nc,a@x.com,o\ny,new@x.com,2\nc,a@x.com,p\n', '{"module": "rekeyed"}', 'update:overwrite');
RESET crmio.batch_rows;
SELECT * FROM crm.rekeyed ORDER BY code;
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.rekeyed ORDER BY code;

-- odd names, a key of several columns, values of many types, settings of another session
CREATE TYPE crm.mood AS ENUM ('sad', 'glad');
CREATE TABLE crm."Odd ""Things" ("the, key" text, "Part" int, day date, at timestamptz, lasts interval, ratio float8, mood crm.mood,
	tags text[], doc jsonb, raw json, amount numeric(10,2), bytes bytea, PRIMARY KEY ("the, key", "Part"));
SELECT crm_register_module('odd', 'crm."Odd ""Things"', '{"match": [["the, key", "Part"]]}');
INSERT INTO crm."Odd ""Things" VALUES ('it''s "a" \ (key),', 1, '2026-02-03', '2026-02-03 04:05:06+00', '1 year -2 days', 0.1, 'sad', '{a,"b c"}', '{"a": 1}', '{"a":  1}', 1.50, '\x00ff');
CREATE TEMP TABLE odd_before AS SELECT t::text FROM crm."Odd ""Things" t;
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
SELECT * FROM run(E'the, key|Part|day|at|ratio|mood|tags|doc|raw|amount\nit\'s "a" \\ (key),|1|2027-01-01|2027-01-01 00:00|0.3|glad|x;y|{"b": 2}|{"b": 2}|2.25\nnew (one)|2|2027-01-01|2027-01-01 00:00|0.3|glad|x;y|{"b": 2}|{"b": 2}|2.25\n',
	'{"module": "odd", "columns": {"the, key": "the, key", "Part": "Part", "day": "day", "at": "at", "ratio": "ratio", "mood": "mood", "tags": "tags", "doc": "doc", "raw": "raw", "amount": "amount"}}', 'update:overwrite');
SET timezone = UTC;
SET datestyle = ISO;
SET intervalstyle = postgres;
SELECT * FROM crm_rollback(last_job());
SELECT count(*) FROM crm."Odd ""Things";
SELECT * FROM odd_before EXCEPT SELECT t::text FROM crm."Odd ""Things" t;

-- a trigger that stores other values than the job gave: xmin tells that nobody else was there
CREATE FUNCTION crm.shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); RETURN NEW; END';
CREATE TRIGGER shout BEFORE UPDATE ON crm.unique_mail FOR EACH ROW EXECUTE FUNCTION crm.shout();
SELECT * FROM run(E'code,note\na,hello\nb,hello\n', '{"module": "unique"}', 'update:overwrite');
UPDATE crm.unique_mail SET mail = 'edited@x.com' WHERE code = 'b';
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.unique_mail ORDER BY code;

-- triggers see the job; a column that is gone, a module that is gone
CREATE TABLE crm.seen (what text, job text);
CREATE FUNCTION crm.see() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO crm.seen VALUES (TG_OP, current_setting('crmio.job_id', true)); RETURN NULL; END$$;
CREATE TRIGGER see AFTER UPDATE OR DELETE ON crm.unique_mail FOR EACH ROW EXECUTE FUNCTION crm.see();
ALTER TABLE crm.unique_mail ADD extra text, ADD other text;
SELECT * FROM run(E'code,extra,other\na,hello,you\nc,hello,\nz,,\n', '{"module": "unique"}', 'update:overwrite');
TRUNCATE crm.seen;
ALTER TABLE crm.unique_mail DROP extra;
SELECT * FROM crm_rollback(last_job());
SELECT what, job::bigint = last_job() AS by_job FROM crm.seen ORDER BY 1;
SELECT * FROM crm.unique_mail ORDER BY code;
SELECT * FROM run(E'code,other\na,hello\n', '{"module": "unique"}', 'update:overwrite');
SELECT crm_unregister_module('unique');
SELECT * FROM crm_rollback(last_job());
SELECT crm_register_module('unique', 'crm.unique_mail', '{"match": ["code"], "fields": {"mail": {"kind": "email"}}}');
SELECT * FROM crm_rollback(last_job());

-- a partitioned table; a view, whose rows do not tell who wrote them
CREATE TABLE crm.parts (id bigint PRIMARY KEY, name text, up bigint) PARTITION BY RANGE (id);
CREATE TABLE crm.parts_low (name text, up bigint, id bigint NOT NULL);
ALTER TABLE crm.parts ATTACH PARTITION crm.parts_low FOR VALUES FROM (0) TO (100);
CREATE TABLE crm.parts_high PARTITION OF crm.parts DEFAULT;
ALTER TABLE crm.parts ADD FOREIGN KEY (up) REFERENCES crm.parts ON DELETE CASCADE;
CREATE TABLE crm.part_of (part bigint REFERENCES crm.parts ON DELETE CASCADE) PARTITION BY RANGE (part);
CREATE TABLE crm.part_of_all PARTITION OF crm.part_of DEFAULT;
CREATE TABLE crm.part_of_low (part bigint REFERENCES crm.parts_low);
SELECT crm_register_module('parts', 'crm.parts', '{"match": ["id"]}');
INSERT INTO crm.parts VALUES (1, 'one', NULL), (200, 'two', NULL);
SELECT * FROM run(E'id,name\n1,uno\n200,dos\n2,new\n201,new\n3,new\n4,new\n202,new\n', '{"module": "parts"}', 'update:overwrite');
UPDATE crm.parts SET up = 201 WHERE id = 2;
INSERT INTO crm.part_of VALUES (202);
INSERT INTO crm.part_of_low VALUES (4);
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.parts ORDER BY id;
SELECT * FROM crm.part_of;
CREATE VIEW crm.seen_parts AS SELECT id, name FROM crm.parts;
SELECT crm_register_module('seen_parts', 'crm.seen_parts', '{"match": ["id"], "key": ["id"]}');
SELECT * FROM run(E'id,name\n1,uno\n9,new\n', '{"module": "seen_parts"}', 'update:overwrite');
SELECT * FROM crm_rollback(last_job());
SELECT * FROM crm.parts ORDER BY id;

SET client_min_messages = warning;
DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;
DROP TABLE before, odd_before CASCADE;
DROP FUNCTION run, last_job;

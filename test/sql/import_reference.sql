-- references: by domain, then name; auto_create; unresolved and ambiguous ones
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/import.psql
\set ECHO all
CREATE VIEW problems AS
	SELECT row_number, column_name, field, value, code, reason FROM crm_errors((SELECT max(job_id) FROM crmio.job))
	UNION ALL
	SELECT row_number, column_name, field, value, code || ' (warning)', reason FROM crm_warnings((SELECT max(job_id) FROM crmio.job));
CREATE VIEW linked AS
	SELECT p.email, a.name, a.domain FROM crm.people p LEFT JOIN crm.accounts a ON a.id = p.account_id ORDER BY p.id;

INSERT INTO crm.accounts (name, domain) VALUES ('ACME, Inc.', 'acme.com'), ('Twin', NULL), ('TWIN', NULL);

-- the domain wins over the name; the name is compared without case and blanks
SELECT * FROM run(E'Email,Account Name,Account Domain\na@x.com,Acme Corp,https://www.acme.com/\nb@x.com, acme\\, inc. ,\nc@x.com,"  acme, INC. ",\nd@x.com,twin,\ne@x.com,Nowhere,nowhere.org\nf@x.com,,\n', '{"module": "contacts"}');
SELECT * FROM problems;
SELECT * FROM linked;

-- leads can do without: a warning
SELECT * FROM run(E'Email,Account Name\ng@x.com,Nowhere\nh@x.com,\n', '{"module": "leads"}');
SELECT * FROM problems;
SELECT * FROM run(E'Email,Account Name\ni@x.com,Nowhere\n', '{"module": "leads", "unresolved": "error"}');
SELECT * FROM problems;
SELECT * FROM run(E'Email,Account Name\ni@x.com,twin\n', '{"module": "leads", "on_ambiguous": "first"}');

-- auto_create makes an account once, not for rows that fail or are skipped
SELECT * FROM run(E'Email,Account Name,Account Domain\nj@x.com,Globex,globex.com\nk@x.com,globex,\nl@x.com,Other,GLOBEX.com\nbad,Never,never.com\na@x.com,Skipped,skipped.com\nm@x.com,,only-domain.com\nn@x.com,ONLY-domain.com,\no@x.com,,\n', '{"module": "contacts", "auto_create": true}');
SELECT * FROM problems;
SELECT * FROM linked;
SELECT name, domain, lifecycle_stage FROM crm.accounts ORDER BY id;
-- what the job created is recorded for all modules
SELECT module, key_ranges, record_keys FROM crmio.job_created WHERE job_id = (SELECT max(job_id) FROM crmio.job) ORDER BY module;
-- fill_empty with an account already set makes none
SELECT * FROM run(E'Email,Account Name\nj@x.com,Brand New\n', '{"module": "contacts", "auto_create": true}', 'update');
SELECT * FROM run(E'Email,Account Name\nj@x.com,Brand New\n', '{"module": "contacts", "auto_create": true}', 'update:prefer_import');
SELECT * FROM linked WHERE email = 'j@x.com';

-- by key, by the display field, and by another module's field
SELECT * FROM run(E'email,acc\np@x.com,1\nq@x.com,999\n', '{"module": "leads", "columns": {"email": "email", "acc": "account.id"}}');
SELECT * FROM run(E'Email,account\nr@x.com,globex\n', '{"module": "leads", "columns": {"Email": "email", "account": "account"}}');
SELECT * FROM run(E'Title,Customer Email,Status\nHelp,A@x.com,Open\nHelp 2,zz@x.com,closed\nHelp 3,,urgent\n', '{"module": "tickets"}');
SELECT * FROM problems;
SELECT t.title, t.status, t.priority, p.email, t.closed_at IS NOT NULL AS is_closed FROM crm.tickets t LEFT JOIN crm.people p ON p.id = t.customer_id ORDER BY t.id;

-- a reference to the own table sees the rows before it
CREATE TABLE dept (code text PRIMARY KEY, name text, parent_id text REFERENCES dept);
SELECT crm_register_module('dept', 'dept');
SELECT * FROM run(E'code,name,parent code\na,A,\nb,B,a\nc,C,b\nd,D,x\nx,X,\ne,E,x\n', '{"module": "dept"}');
SELECT * FROM problems;
SELECT * FROM dept ORDER BY code;
DROP TABLE dept CASCADE;
SELECT crm_unregister_module('dept');

DROP VIEW problems, linked;
DROP FUNCTION run;
DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;

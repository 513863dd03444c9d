-- policies, merge modes, lifecycle and in-file duplicates
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/import.psql
\set ECHO all

-- skip: the default; the second row matches what the first one made
SELECT * FROM run(E'Email,First Name,Job Title\nann@x.com,Ann,\nbob@x.com,Bob,Boss\nANN@X.COM,Anna,Chief\n,Nobody,\n,Nobody,\n', '{"module": "leads"}');
SELECT email, first_name, job_title, lifecycle FROM crm.people ORDER BY id;

-- fill_empty takes what is empty, prefer_import what is given, overwrite everything
SELECT * FROM run(E'Email,First Name,Job Title\nann@x.com,Anna,Chief\nbob@x.com,Robert,\n', '{"module": "leads"}', 'update');
SELECT email, first_name, job_title FROM crm.people WHERE email <> '' ORDER BY id;
SELECT * FROM run(E'Email,First Name,Job Title\nann@x.com,Anna,\nbob@x.com,Robert,\n', '{"module": "leads"}', 'update:prefer_import');
SELECT email, first_name, job_title FROM crm.people WHERE email <> '' ORDER BY id;
SELECT * FROM run(E'Email,First Name,Job Title\nAnn@x.com,,\nbob@x.com,Robert,\n', '{"module": "leads"}', 'update:overwrite');
SELECT email, first_name, job_title FROM crm.people WHERE email <> '' ORDER BY id;
-- the same once more changes nothing, and writes nothing
SELECT count(DISTINCT xmin::text) AS writers FROM crm.people \gset before_
SELECT * FROM run(E'Email,First Name,Job Title\nAnn@x.com,,\nbob@x.com,Robert,\n', '{"module": "leads"}', 'update:overwrite');
SELECT count(DISTINCT xmin::text) = :before_writers AS nothing_written FROM crm.people;

-- several rows for one record act one after the other
SELECT * FROM run(E'Email,First Name,Job Title,Company\nzoe@x.com,Zoe,,\nzoe@x.com,,Pilot,\nZOE@x.com,,,Airline\nzoe@x.com,Z.,,\n', '{"module": "leads"}', 'update');
SELECT first_name, job_title, company FROM crm.people WHERE email = 'zoe@x.com';

-- create makes duplicates on purpose; then a row is ambiguous
SELECT * FROM run(E'Email,First Name\nann@x.com,Ann 2\n', '{"module": "leads"}', 'create');
SELECT * FROM run(E'Email,First Name,Job Title\nann@x.com,Ann,CEO\n', '{"module": "leads"}');
SELECT * FROM run(E'Email,First Name,Job Title\nann@x.com,Ann,CEO\n', '{"module": "leads"}', 'update');
SELECT row_number, line_number, column_name, field, value, code, reason FROM crm_errors((SELECT max(job_id) FROM crmio.job));
SELECT * FROM run(E'Email,First Name,Job Title\nann@x.com,Ann,CEO\n', '{"module": "leads", "on_ambiguous": "first"}', 'update');
SELECT id, email, first_name, job_title FROM crm.people WHERE lower(email) = 'ann@x.com' ORDER BY id;

-- lifecycle: a lead becomes a contact and gets its account, a contact stays one
SELECT * FROM run(E'Email,Account Name\nbob@x.com,Acme\n', '{"module": "contacts", "auto_create": ["account"]}', 'update');
SELECT * FROM run(E'Email,Job Title\nbob@x.com,Boss\n', '{"module": "leads"}', 'update:overwrite');
SELECT p.email, p.lifecycle, p.job_title, a.name FROM crm.people p JOIN crm.accounts a ON a.id = p.account_id;
SELECT * FROM run(E'Name,Domain,Lifecycle Stage\nNew,new.com,trial\nPlain,plain.com,\n', '{"module": "accounts"}');
SELECT * FROM run(E'Name,Domain,Lifecycle Stage,Industry\nNew,new.com,Customer,Toys\nPlain,plain.com,,\n', '{"module": "accounts"}', 'update:overwrite');
SELECT row_number, column_name, field, value, code, reason FROM crm_warnings((SELECT max(job_id) FROM crmio.job));
SELECT name, lifecycle_stage, industry FROM crm.accounts ORDER BY id;

-- typed lists, addresses and custom data merge by their parts
SELECT * FROM run(E'email,mobile,work,city,zip,bcity,shoe\nmia@x.com,0171 1,030 2,Rome,00100,Milan,41\n',
	'{"module": "leads", "columns": {"email": "email", "mobile": "phone.mobile", "work": ["phone.work", "notes"], "city": "address.city", "zip": "address.postal_code", "bcity": "address.billing.city", "shoe": "custom.shoe_size"}}');
SELECT * FROM run(E'email,mobile,work,phone,city,bcity,shoe,hat\nmia@x.com,0172 9,,(0171) 1,Ostia,,41,L\n',
	'{"module": "leads", "columns": {"email": ["email", "email.home"], "mobile": "phone.mobile", "work": "phone.work", "phone": "phone", "city": "address.city", "bcity": "address.billing.city", "shoe": "custom.shoe_size", "hat": "custom.hat"}}', 'update');
SELECT emails, phones, address, custom, notes FROM crm.people WHERE email = 'mia@x.com';
SELECT * FROM run(E'email,mobile,work,city,bcity,shoe\nmia@x.com,0172 9,,Ostia,,42\n',
	'{"module": "leads", "columns": {"email": "email", "mobile": "phone.mobile", "work": "phone.work", "city": "address.city", "bcity": "address.billing.city", "shoe": "custom.shoe_size"}}', 'update:overwrite');
SELECT emails, phones, address, custom, notes FROM crm.people WHERE email = 'mia@x.com';

-- names are split; static values are like a column
SELECT * FROM run(E'email,who\na1@x.com,Ann Marie Lee\na2@x.com,"Lee, Ann"\na3@x.com,Cher\n',
	'{"module": "leads", "columns": {"email": "email", "who": "name"}, "static": {"source": "fair", "custom.hall": 7}}');
SELECT first_name, last_name, source, custom FROM crm.people WHERE source = 'fair' ORDER BY id;

-- match settings: several fields, alternatives, a typed list, nothing
SELECT * FROM run(E'email,first,last\nother@x.com,Ann Marie,Lee\nnew@x.com,Nora,Neu\n',
	'{"module": "leads", "columns": {"email": "email", "first": "first_name", "last": "last_name"}, "match": ["first_name", "last_name"]}', 'update:overwrite');
SELECT * FROM run(E'email,first,phone\nnobody@x.com,Mia,+0172-9\nA2@x.com,,0172 10\n',
	'{"module": "leads", "columns": {"email": "email", "first": "first_name", "phone": "phone"}, "match": [["email"], ["phone"]]}', 'update');
SELECT email, first_name, phones FROM crm.people WHERE phones <> '[]' ORDER BY id;
SELECT * FROM run(E'email\nmia@x.com\n', '{"module": "leads", "match": []}', 'update');

DROP FUNCTION run;
DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;

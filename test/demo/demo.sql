-- test/demo/demo.sql: what `make demo` shows. Variables: folder (of the files), open (the psql line).
\set ON_ERROR_STOP on
\pset pager off
\pset border 1
\pset footer off
\pset null '-'
\set ECHO queries
\set accounts :folder '/accounts.csv'

\echo
\echo '== crmio in a new database, with tables for leads, contacts, accounts and tickets'
\echo
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules() \g /dev/null
SELECT field, label, kind, required FROM crm_fields('contacts') LIMIT 8;

\echo '== An old spreadsheet of accounts: semicolons, Windows-1252, decimal commas. crmio finds its columns:'
\echo
SELECT position, column_name, array_to_string(samples[1:3], ' | ') AS samples FROM crm_columns(:'accounts');

\echo '== The column names say where each one goes, so the mapping is short.'
\echo
SELECT job_id AS accounts_job, rows_read, created, updated, unchanged, skipped, errored, warnings
  FROM crm_import(:'accounts', '{"module": "accounts", "decimal": ","}') WHERE state = 'completed' \gset
SELECT :rows_read AS rows_read, :created AS created, :errored AS errored, :warnings AS warnings;
SELECT row_number, line_number, column_name, value, reason FROM crm_errors(:accounts_job);
SELECT reason AS warning FROM crm_warnings(:accounts_job);

\echo '== 1,200 messy contacts, sent by the client as a large object. One row of progress per batch:'
\echo
\cd :folder
\lo_import contacts.csv
\set file 'lo:' :LASTOID
\set mapping '{"module": "contacts", "columns": {"E-mail": "email", "Full Name": "name", "Job Title": "job_title", "Mobile Phone": "phone.mobile", "Work Phone": "phone.work", "Account Name": "account.name", "Account Domain": "account.domain", "City": "address.city", "Country": "address.country", "First Seen": "first_seen", "Shoe Size": "custom.shoe_size", "Notes": "notes"}, "static": {"source": "fair 2025"}}'
SET crmio.batch_rows = 300;
SELECT state, rows_read, created, skipped, errored, warnings, percent FROM crm_import(:'file', :'mapping');
SELECT max(job_id) AS job FROM crmio.job \gset

\echo '== What happened, by reason; then the first errors with the line they stand on'
\echo
SELECT code, count(*), min(row_number) AS first_row FROM crm_errors(:job) GROUP BY code ORDER BY 2 DESC;
SELECT line_number AS line, column_name, value, reason FROM crm_errors(:job) LIMIT 6;

\echo '== The rows that failed, as a CSV to mend and import again'
\echo
\pset format unaligned
\pset tuples_only on
SELECT * FROM crm_error_csv(:job) LIMIT 4;
\pset tuples_only off
\pset format aligned
\echo

\echo '== Names in any script, typed phones, addresses by part, accounts linked'
\echo
SELECT p.first_name, p.last_name, a.name AS account, p.phones #>> '{0,value}' AS mobile,
       p.address #>> '{main,city}' AS city, p.custom ->> 'shoe_size' AS shoe_size
  FROM crm.people p JOIN crm.accounts a ON a.id = p.account_id ORDER BY p.id LIMIT 8;

\echo '== The same file again, with policy update: only what repeated rows of the file add is written'
\echo
SELECT rows_read, created, updated, unchanged, skipped, errored
  FROM crm_import(:'file', :'mapping', 'update') WHERE state = 'completed';

\echo '== And once more: all unchanged'
\echo
SELECT rows_read, created, updated, unchanged, skipped, errored
  FROM crm_import(:'file', :'mapping', 'update') WHERE state = 'completed';

\echo '== The list of contacts as a CSV, and that file imported again: nothing changes'
\echo
\pset format unaligned
\pset tuples_only on
SELECT crm_export('contacts') LIMIT 4;
\pset tuples_only off
\pset format aligned
\echo
SELECT rows_read, created, updated, unchanged, skipped, errored
  FROM crm_import(crm_upload('contacts.csv', crm_export_file('contacts')), '{"module": "contacts"}', 'update:overwrite')
 WHERE state = 'completed';

\echo '== The database stays until `make demo-stop`. To look around:'
\echo
\echo :open

-- crm_export of queries: how values become cells, options, what is refused, reports.
\set VERBOSITY default
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = -3;
SET bytea_output = 'escape';
SET timezone = 'Europe/Berlin';
\pset format unaligned
\pset tuples_only on

-- cells: what a spreadsheet and an import read, whatever the settings
CREATE TYPE mood AS ENUM ('fine', 'so, so');
CREATE TYPE pair AS (a int, at date);
CREATE DOMAIN positive AS numeric(10,2) CHECK (VALUE > 0);
SELECT crm_export($$SELECT true AS b, false AS f, 1::int2 AS i2, -2147483648 AS i4, 9223372036854775807 AS i8,
	0.1::float4 AS f4, 0.1::float8 + 0.2 AS f8, 1e300::float8 AS big, 'NaN'::float8 AS nan, '-Infinity'::float8 AS inf,
	12345678901234567890.1234567890::numeric AS n, 3.5::positive AS d, '1234.50'::money::numeric::money AS m$$);
SELECT crm_export($$SELECT date '2026-09-03' AS d, date 'infinity' AS forever, date '0044-03-15 BC' AS bc,
	timestamp '2026-09-03 04:05:06.7' AS ts, timestamptz '2026-09-03 04:05:06.000001+00' AS tz,
	timestamptz '-infinity' AS never, time '04:05' AS t, interval '1 day -2 hours' AS i, daterange('2026-01-01', '2026-02-01') AS r$$);
SELECT crm_export($$SELECT 'fine'::mood AS m1, 'so, so'::mood AS m2, '\x00ff'::bytea AS bytes, '{"a": [1, "x"]}'::json AS js,
	'{"b":1,"a":null}'::jsonb AS jb, ROW(1, '2026-09-03')::pair AS p, 'ab'::char(4) AS c, 'n'::name AS n, '<a/>'::xml AS x,
	'192.168.0.1/24'::inet AS ip, '00000000-0000-0000-0000-000000000001'::uuid AS u$$);
SELECT crm_export($$SELECT ARRAY['red', 'green'] AS list, ARRAY[1, 2] AS ints, '{}'::text[] AS none, ARRAY['a;b'] AS sep,
	ARRAY['x', NULL] AS n, ARRAY[''] AS empty, ARRAY[' x'] AS blank, ARRAY[[1, 2], [3, 4]] AS square,
	ARRAY[date '2026-09-03'] AS dates, ARRAY['2026-09-03'::date, NULL] AS dates2$$);

-- NULL and the empty string; quotes
SELECT crm_export($$SELECT NULL AS a, '' AS b, 'x' AS c$$);
SELECT crm_export($$VALUES ('a,b', 'say "hi"', E'two\nlines'), ('a;b', '''', ' x ')$$);
SELECT crm_export($$VALUES ('\.'), ('a;b'), (NULL), ('')$$);
SELECT crm_export($$SELECT 1 AS "a,b", 2 AS "say ""hi"""$$);

-- options
SELECT crm_export($$VALUES (1, NULL, ''), (2, 'N/A', 'a;b')$$, '{"null": "N/A"}');
SELECT crm_export($$VALUES (1, NULL, ''), (2, 'x', 'a;b')$$, '{"delimiter": ";", "header": false}');
SELECT replace(crm_export($$VALUES (1, 'x')$$, '{"delimiter": "tab"}'), E'\t', '<tab>');
SELECT crm_export($$VALUES (1, NULL, ''), (2, 'x', true::text)$$, '{"quote_all": true}');
SELECT encode(convert_to(crm_export($$VALUES (1)$$, '{"crlf": true, "bom": true}'), 'UTF8'), 'hex');
SELECT replace(crm_export($$SELECT v, n FROM (VALUES ('=1+1', -1), ('+49 (30) 123-45', 1), ('-5', -5), ('-1.5e-3', 0), ('+1 555 0100 ext. 7', 0),
	('+A1', 0), ('-2+3', 0), ('@SUM(A1)', 0), (E'\ttab', 0), (E'\rcr', 0), ('''=1', 0), ('''quoted', 0), ('-', 0), ('+x12', 0)) t(v, n)$$,
	'{"escape_formulas": true}'), E'\r', '<cr>');
SELECT crm_export('VALUES (1)', '{"delimeter": ";"}');
SELECT crm_export('VALUES (1)', '{"delimiter": "ab"}');
SELECT crm_export('VALUES (1)', '{"delimiter": "."}');
SELECT crm_export('VALUES (1)', '{"header": "yes"}');
SELECT crm_export('VALUES (1)', '{"null": ","}');
SELECT crm_export('VALUES (1)', '{"null": 0}');
SELECT crm_export('VALUES (1)', '{"filter": {"a": 1}}');
SELECT crm_export('VALUES (1)', '{"columns": ["a"]}');
SELECT crm_export('VALUES (1)', '{"encoding": "LATIN1"}');
SELECT crm_export('VALUES (1)', '[]');
SELECT crm_export(NULL);
SELECT crm_export_file('VALUES (1)', 'csv', '{"encoding": "nonsense"}');
SELECT crm_export_file('VALUES (1)', 'csv', '{"encoding": "LATIN1", "bom": true}');
\set VERBOSITY terse
SELECT crm_export_file('VALUES (1)', 'doc');
\set VERBOSITY default
SELECT convert_from(crm_export_file('VALUES (1, NULL), (2, ''x'')', 'CSV', '{"crlf": false}'), 'UTF8');

-- queries of all kinds
CREATE TABLE two (a int, b text);
INSERT INTO two VALUES (1, 'x');
SELECT crm_export('TABLE two');
SELECT crm_export('WITH w AS (SELECT 1 AS a) SELECT * FROM w UNION ALL SELECT 2 ORDER BY a DESC;');
SELECT crm_export('(SELECT 1)');
SELECT crm_export('SELECT 1 AS a, 2 AS a WHERE false');
SELECT * FROM crm_export('VALUES (1), (2)') WITH ORDINALITY;
SELECT crm_export('SELECT generate_series(1, 3)'), crm_export('VALUES (''x'')');
SELECT count(*), max(length(line)) FROM (SELECT crm_export('SELECT i, repeat(''x'', 300) FROM generate_series(1, 5000) i') AS line OFFSET 0) s;
SELECT length(crm_export('SELECT repeat(''"'', 3000000) UNION ALL SELECT ''short''', '{"header": false}'));

-- refused: what does more than read
CREATE TABLE t (a int);
SELECT crm_export('DELETE FROM t RETURNING *');
SELECT crm_export('INSERT INTO t VALUES (1) RETURNING *');
SELECT crm_export('WITH d AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM d');
SELECT crm_export('SELECT * FROM t FOR UPDATE');
SELECT crm_export('SELECT 1; SELECT 2');
SELECT crm_export('EXPLAIN SELECT 1');
SELECT crm_export('SELECT 1 AS a INTO t2');
SELECT crm_export('  ');
SELECT crm_export('-- nothing');
SELECT crm_export('SELECT FROM t');
CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a';
SELECT crm_export('SELECT writes()');
CREATE FUNCTION says_immutable() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN writes(); END';
SELECT crm_export('SELECT says_immutable()');
SELECT crm_save_report('r', 'SELECT says_immutable()');
SELECT count(*) FROM t;
SHOW transaction_read_only;

-- errors of the query, with the place
SELECT crm_export('SELECT a, FROM t');
SELECT crm_export('SELECT b FROM t');
SELECT crm_export('SELECT 6 / (3 - i) AS x FROM generate_series(1, 5) i');
SELECT crm_export('nomodule');

-- reports
SELECT crm_save_report('numbers', 'SELECT i FROM generate_series(1, 2) i', '{"header": false, "encoding": "LATIN1", "title": "Numbers"}');
SELECT crm_export('report:numbers');
SELECT crm_export('report: numbers', '{"header": true}');
SELECT convert_from(crm_export_file('report:numbers'), 'LATIN1');
SELECT crm_save_report('numbers', 'SELECT i FROM generate_series(7, 8) i');
SELECT crm_export('report:numbers');
SELECT name, query, options, owner = current_user FROM crm_reports;
SELECT crm_save_report('r', 'report:numbers');
SELECT crm_save_report('r', 'DROP TABLE t');
SELECT crm_save_report('r', 'SELECT 1', '{"filter": {}}');
SELECT crm_save_report('r', 'SELECT 1', '{"nonsense": 1}');
SELECT crm_save_report(' ', 'SELECT 1');
SELECT crm_save_report('r', NULL);
SELECT crm_export('report:number');
SELECT crm_drop_report('numbers');
SELECT crm_drop_report('numbers');
DROP EXTENSION crmio;

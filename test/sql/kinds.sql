-- Values of every kind: test/data/kinds.csv says what each spelling becomes, or
-- with "!" the code of its error.  Cases of one field with the same options are
-- one file, so that they share the order of their dates.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crmio CASCADE;
CREATE EXTENSION crmio;
CREATE SCHEMA kinds;
SET search_path = kinds, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

CREATE TYPE stage AS ENUM ('open', 'closed won', 'closed lost');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE samples (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	n int,
	short_text varchar(5),
	fixed_text char(3),
	server_name name,
	email text,
	domain text,
	url text,
	phone text,
	day date,
	moment timestamptz,
	local_moment timestamp(3),
	amount_cents bigint,
	price numeric(10,2),
	quantity numeric(8,3),
	ratio float8,
	small_count smallint,
	count int,
	big_count bigint,
	flag bool,
	stage stage,
	grade text,
	document jsonb,
	tags text[],
	code uuid,
	address inet,
	positive positive
);
SELECT crm_register_module('samples', 'samples', '{"fields": {
	"email": {"kind": "email"}, "domain": {"kind": "domain"}, "url": {"kind": "url"},
	"phone": {"kind": "phone"}, "price": {"kind": "money"},
	"grade": {"kind": "choice", "choices": {"a": "Excellent", "b": "Good"}}}}');

CREATE TABLE cases (
	n int GENERATED ALWAYS AS IDENTITY,
	field text,
	options jsonb,
	input text,
	expected text,
	found text,
	reason text
);
\getenv srcdir PG_ABS_SRCDIR
\set file :srcdir '/data/kinds.csv'
COPY cases (field, options, input, expected) FROM :'file' (FORMAT csv, HEADER);
UPDATE cases SET options = coalesce(options, '{}');

-- imports the cases of one field with one set of options
CREATE FUNCTION import_cases(of_field text, with_options jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	file text;
	job bigint;
BEGIN
	SELECT E'n,v\n' || string_agg(format('%s,"%s"', n, replace(input, '"', '""')), E'\n' ORDER BY n)
	INTO file FROM cases WHERE field = of_field AND options = with_options;
	-- the session's idea of dates must not matter
	PERFORM set_config('datestyle', 'German, DMY', true);
	SELECT max(job_id) INTO job
	FROM crm_import(crm_upload(of_field || '.csv', convert_to(file, 'UTF8')),
		with_options || jsonb_build_object('module', 'samples',
			'columns', jsonb_build_object('n', 'n', 'v', of_field)), 'create');
	PERFORM set_config('datestyle', 'ISO, MDY', true);
	EXECUTE format('UPDATE cases c SET found = s.%I::text FROM samples s WHERE s.n = c.n', of_field);
	UPDATE cases c SET found = '!' || e.code, reason = e.reason
	FROM crm_errors(job) e,
		(SELECT n, row_number() OVER (ORDER BY n) FROM cases
		 WHERE field = of_field AND options = with_options) r
	WHERE r.row_number = e.row_number AND r.n = c.n AND e.field = of_field;
	TRUNCATE samples;
END
$$;

SELECT count(import_cases(field, options)) AS files
FROM (SELECT DISTINCT field, options FROM cases) f;

SELECT field, count(*) AS cases, count(*) FILTER (WHERE found LIKE '!%') AS errors
FROM cases GROUP BY 1 ORDER BY min(n);
SELECT * FROM cases WHERE found IS DISTINCT FROM expected ORDER BY n;

-- What a person reads: one reason for each field and kind of problem.
SELECT field, reason FROM cases c
WHERE found LIKE '!%' AND length(input) < 40 AND NOT EXISTS (
	SELECT FROM cases d WHERE d.field = c.field AND d.found = c.found AND d.n < c.n
		AND regexp_replace(d.reason, '"[^"]*"', '') = regexp_replace(c.reason, '"[^"]*"', ''))
ORDER BY field COLLATE "C", reason COLLATE "C";

DROP SCHEMA kinds CASCADE;
DROP EXTENSION crmio CASCADE;

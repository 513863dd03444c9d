-- Reading CSV: quotes, line ends, delimiters, headers, encodings (crm_columns shows what the reader sees)
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crmio CASCADE;
CREATE EXTENSION crmio;

-- One line per column, for any bytes and options.
CREATE FUNCTION pg_temp.read(content bytea, options jsonb DEFAULT '{}')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', position, quote_literal(column_name), samples)
	FROM crm_columns(crm_upload('leads.csv', content), options)
$$;

-- the usual file
SELECT pg_temp.read(E'Name,Email,City\nAnn,ann@example.com,Bonn\nBob,bob@example.com,\n');

-- quotes: doubled, around delimiters, around line ends, which are kept as they are
SELECT pg_temp.read(E'a,b\n"x, y","say ""hi"""\n"1\n2","3\r\n4"\n');
-- a quote inside an unquoted field is text; blanks after a closing quote are not
SELECT pg_temp.read(E'a,b\n5" pipe,"x" \t\n');
-- another quote
SELECT pg_temp.read(E'a,b\n''x, y'',"z"\n', '{"quote": "''"}');

-- LF, CRLF, CR; with and without the last one; blank lines, and rows without a value
SELECT pg_temp.read(E'a,b\r\n1,2\r\n3,4');
SELECT pg_temp.read(E'a,b\r1,2\r3,4\r');
SELECT pg_temp.read(E'\n  \na,b\n\n,\n1,2\n " ",\n\n');

-- values are trimmed for display, and shown once; at most five of them
SELECT pg_temp.read(E'a\n x \nx\n\\302\\240y\n1\n2\n3\n4\n');

-- the delimiter is found
SELECT pg_temp.read(E'Name;Betrag;Ort\nAnn;1,5;"Bonn; Berlin"\nBob;2,5;Ulm, Donau\n');
SELECT pg_temp.read(E'Name\tNote\nAnn\ta, b, c\nBob\td, e, f\n');
SELECT pg_temp.read(E'Name|Note|X\nAnn|a;b|1\nBob|d;e|2\n');
SELECT pg_temp.read(E'email\na@example.com;b@example.com\nc@example.com;d@example.com\n');
SELECT pg_temp.read(E'sep=;\nName;Note\nAnn;x\n');
-- or given
SELECT pg_temp.read(E'a,b;c\n1,2;3\n', '{"delimiter": ","}');
SELECT pg_temp.read(E'a;b\t,c\n', '{"delimiter": "tab"}');
SELECT pg_temp.read(E'a!b\n1!2\n', '{"delimiter": "!"}');

-- the header is found under titles
SELECT pg_temp.read(E'Leads of September\nexported 2026-09-30,Ann\n\nName,Email,City,Phone\nAnn,ann@example.com,Bonn,555\n');
SELECT pg_temp.read(E'Leads of September\nName,Email\nAnn,ann@example.com\n');
-- no title: a short first row before longer ones
SELECT pg_temp.read(E'Name\nAnn,Bonn\nBob\n');
-- or given
SELECT pg_temp.read(E'x,y\na,b\n1,2\n', '{"header_row": 2}');
SELECT pg_temp.read(E'1,2\n3,4,5\n', '{"header_row": 0}');
SELECT pg_temp.read(E'x,y\n\n1,2\n', '{"header_row": 2}');
-- the file of crm_error_csv has its header on the first line
SELECT pg_temp.read(E'a,_error_reason\n1,bad\n', '{"header_row": 2}');

-- names: trimmed, made where they lack, unique
SELECT pg_temp.read(E' Name ,,Name,Name (2),Name,column 2\n1,2,3,4,5,6\n');
-- shorter rows are padded; error rows give no samples
SELECT pg_temp.read(E'a,b,c\n1\n1,2,3,4\n"5"x,6,7\n8,9\n');
-- only a header
SELECT pg_temp.read(E'a,b\n');

-- encodings: marks, guesses, names
SELECT pg_temp.read('\xefbbbf4ec3a46d652c620a312c320a');
SELECT pg_temp.read('\xfffe' || '\x4e00e4006d0065002c0062000a0031002c003dd80ade'::bytea);
SELECT pg_temp.read('\xfeff' || '\x004e00e4006d0065002c0062000a0031002cd83dde0a'::bytea);
SELECT pg_temp.read('\xfffe0000' || '\x4e000000e40000000a00000031000000'::bytea);
SELECT pg_temp.read('\x4e00e4000a003100'::bytea, '{"encoding": "utf-16"}');
SELECT pg_temp.read('\x4ee46d652c800a312c32'::bytea);
SELECT pg_temp.read('\x4ee46d652c800a312c32'::bytea, '{"encoding": "cp1250"}');
SELECT pg_temp.read('\x8365834c0a31'::bytea, '{"encoding": "SJIS"}');
-- rows with bytes that are not valid, or NUL bytes, are error rows; others are read
SELECT pg_temp.read(E'a,b\n1,\\351\n2,x\\000y\n3,\\303\\251\n'::bytea, '{"encoding": "UTF8"}');
SELECT pg_temp.read(E'a,b\n1,\\201\n2,\\351\n'::bytea);

-- what fails as a whole
SELECT pg_temp.read('');
SELECT pg_temp.read(E'\n , \n\n');
SELECT pg_temp.read(E'a,b\n1,2\n3,"4\n5,6\n');
SELECT pg_temp.read(E'a,b\n1,"2\n3",4\n5,"6"\n7,"x""\n');
SELECT pg_temp.read(E'a,\\351\n1,2\n'::bytea, '{"encoding": "UTF8"}');
SELECT pg_temp.read('\x1f8b0800000000');
SELECT pg_temp.read('\x504b030414000600');
SELECT pg_temp.read('\xd0cf11e0a1b11ae1');

-- options
SELECT pg_temp.read('a', '{"delimeter": ","}');
SELECT pg_temp.read('a', '{"colour": ","}');
SELECT pg_temp.read('a', '[]');
SELECT pg_temp.read('a', '{"encoding": "utf-9"}');
SELECT pg_temp.read('a', '{"encoding": 8}');
SELECT pg_temp.read('a', '{"delimiter": "ab"}');
SELECT pg_temp.read('a', '{"delimiter": "\n"}');
SELECT pg_temp.read('a', '{"delimiter": "\""}');
SELECT pg_temp.read('a', '{"quote": true}');
SELECT pg_temp.read('a', '{"header_row": "1"}');
SELECT pg_temp.read('a', '{"header_row": -1}');
SELECT pg_temp.read('a', '{"header_row": 1.5}');

-- limits: a field may be as long as the setting says, and no longer
SET crmio.max_field_size = '64kB';
SELECT left(s, 20), length(s)
FROM pg_temp.read(convert_to(E'a\n' || repeat('x', 65536) || E'\n"' || repeat('y', 65537) || E'"\nz\n', 'UTF8')) s;
SELECT pg_temp.read(convert_to(E'a,b\n1,"' || repeat(E'long "" text\n', 100000) || E'"\n2,3\n', 'UTF8'));
RESET crmio.max_field_size;

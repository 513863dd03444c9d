-- suggested mappings: what names and values say, and files that are odd
SET timezone = UTC;
SET datestyle = ISO;
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS crmio CASCADE;
DROP SCHEMA IF EXISTS crm CASCADE;
CREATE EXTENSION crmio;
SELECT crm_create_standard_modules();
CREATE FUNCTION suggest(module text, content text, options jsonb DEFAULT '{}') RETURNS TABLE(column_name text, field text, confidence text, reason text)
LANGUAGE sql AS $$
	SELECT column_name, field, confidence, reason
	  FROM crm_suggest_mapping(crm_upload('s.csv', convert_to(content, 'UTF8')), module, options) ORDER BY position
$$;
-- each name as the only column of a file
CREATE FUNCTION names(module text, VARIADIC names text[]) RETURNS TABLE(name text, field text, confidence text)
LANGUAGE sql AS $$
	SELECT n, s.field, s.confidence
	  FROM unnest(names) WITH ORDINALITY AS u(n, i), suggest(module, '"' || replace(n, '"', '""') || '",zzyzx', '{"delimiter": ","}') s
	 WHERE s.column_name <> 'zzyzx' ORDER BY i
$$;

-- all there is
SELECT * FROM crm_suggest_mapping(crm_upload('s.csv', E'First Name,Work E-Mail,Mobile,Plan\nAnn,ann@x.com,+49 170 1,gold\nBob,bob@x.com,+49 170 2,\nCy,,,gold\n'), 'leads');
-- case, punctuation, plural, prefixes, suffixes, order, misspellings
SELECT * FROM names('leads', 'EMAIL', 'E-mail Address', 'eMailAddresses', 'email_address', 'Person - Email', 'Contact: E-mail', 'Lead / Email', 'E-mail 1 - Value',
	'Primary E-mail', 'Email (required)', 'Your Email*', 'Emial', 'Adress', 'Frist Name', 'Name (First)', 'first.name', 'FIRSTNAME', 'property_firstname', 'Compnay Name');
-- types and parts
SELECT * FROM names('leads', 'Phone (Mobile)', 'Mobile Phones', 'HomePhone', 'Cell', 'Work Direct Phone', 'Person - Phone - Other', 'Fax Number', 'Phone 2', 'Phone 3',
	'Personal Email', 'Secondary Email', 'Street Address', 'BillingPostalCode', 'Mailing Zip/Postal Code', 'Business Street 2', 'Address 1 - City', 'Address 2 - City',
	'Home Address', 'Company City', 'Address', 'State / Province / Region', 'Country Code', 'País o región', 'AddressOtherCity', 'Address 1: Street 2', 'Address Phone', 'City/State');
-- other languages
SELECT * FROM names('leads', 'Vorname', 'Straße', 'PLZ', 'Rechnungsort', 'Telefon geschäftlich', 'Prénom', 'Téléphone portable', 'Code postal', 'Adresse de facturation',
	'Correo electrónico', 'Teléfono del trabajo', 'Apellidos', 'Código postal', 'Endereço', 'Telefone celular', 'Sobrenome', 'País');
-- one name, several modules
SELECT * FROM names('contacts', 'Company', 'Company Domain', 'Organization - Name', 'Name', 'Title', 'Account');
SELECT * FROM names('accounts', 'Company', 'Company Domain', 'Organization - Name', 'Name', 'Account Owner', '# Employees', 'No. of Employees', 'Contact Email', 'Company Phone');
SELECT * FROM names('tickets', 'Subject', 'Ticket - Title', 'Customer Email', 'Requester', 'Assignee', 'Case Priority', 'Details', 'Email');
-- what is none of the fields
SELECT column_name, field, reason FROM suggest('leads', 'Record ID,Owner ID,Email Opt Out,HasOptedOutOfEmail,Created Date,Last Modified By,Row Checksum,LinkedIn URL,Photo URL,Email Type,IsDeleted,'
	'Given Name Yomi,Assistant''s Phone,User Name,Deal - Title,Email Status,Country Dialling Code,Department,Employees,Stages of Grief,_error_reason');

-- no field twice: the better column has it
SELECT * FROM suggest('leads', 'Work Email,Email,Home Email,Email,Name,First Name,Phone Number,Telephone');
SELECT * FROM suggest('contacts', 'Account,Company,Account Name');
SELECT * FROM suggest('contacts', 'Company');
SELECT * FROM suggest('leads', 'Nom;Prénom');
SELECT * FROM suggest('leads', 'Full Name,First Name');
SELECT * FROM suggest('leads', 'Full Name,First Name,Last Name');
SELECT * FROM suggest('leads', E'Name,First Name\nAnn Lee,Ann\nBob Ray,Bob\n');

-- values that agree, and that do not
SELECT * FROM suggest('leads', E'Student Email,Car Phone,Phne\na@x.com,030 1234567,030 555666\nb@x.com,030 1234568,030 555777\n');
SELECT * FROM suggest('leads', E'Telephone,E-mail Address,Title\na@x.com,030 1234567,Mr.\nb@x.com,030 1234568,Mrs\nc@x.com,030 1234569,Dr.\nd@x.com,030 1234560,Mr.\n');
SELECT * FROM suggest('leads', E'Email,Phone,First Name\n1,x,a@x.com\n2,y,b@x.com\n3,z,c@x.com\nd@x.com,1,d@x.com\n');
SELECT * FROM suggest('accounts', E'Company,Stage,Renewal,Employees\nA,Customer,12/31/2026,"1,200"\nB,churned,1/31/2027,many\nC,trial,,5\n');
SELECT * FROM suggest('accounts', E'Company,Stage\nA,Opportunity\nB,Evangelist\nC,Lead\n');
SELECT * FROM suggest('leads', E'البريد الإلكتروني,📧,電話,Сайт\na@x.com,1,+81 3-1234-5678,http://a.example\nb@x.com,2,+81 3-1234-5679,http://b.example\n');
SELECT * FROM suggest('leads', E'Foo,Owner Email,Contact ID\n030 12345,a@x.com,b@x.com\n');
-- references: an e-mail address finds a customer, a name does not
SELECT * FROM suggest('tickets', E'Subject,Requester\nHelp,ann@x.com\n');
SELECT * FROM suggest('tickets', E'Subject,Requester\nHelp,Ann\nHelp,Bob\nHelp,Cy\n');

-- a module of one's own: its names, labels and aliases count most, shipped ones help
CREATE TABLE crm.member (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, surname text, given_name text, mail text UNIQUE, zip text, joined date, level text CHECK (level IN ('gold', 'silver')), fee_cents int);
SELECT crm_register_module('members', 'crm.member', '{"fields": {"mail": {"kind": "email", "label": "Post"}, "joined": {"aliases": ["Beitritt"]}}, "aliases": {"Stufe": "level"}}');
SELECT * FROM suggest('members', E'Nachname;Vorname;Post;Postleitzahl;Beitritt;Stufe;Fee\nA;B;a@x.com;12345;1.2.2026;Gold;3,50\n');
SELECT * FROM suggest('members', E'col a,col b\ngold,x\nsilver,y\n');

-- as a mapping, with the options it was found with
SELECT crm_mapping(crm_upload('s.csv', E'Title;of the list\nEmail;Vorname;Foo;_error_reason\na@x.com;A;1;bad\n'), 'leads', '{"delimiter": ";", "header_row": 2}') AS mapping \gset
SELECT :'mapping'::jsonb;
SELECT created, errored FROM crm_import(crm_upload('s.csv', E'Title;of the list\nEmail;Vorname;Foo;_error_reason\na@x.com;A;1;bad\n'), :'mapping');
SELECT crm_suggest_mapping(crm_upload('s.csv', 'a'), 'lead');
SELECT crm_suggest_mapping(crm_upload('s.csv', 'a'), 'leads', '{"delimeter": ";"}');
SELECT crm_suggest_mapping(crm_upload('s.csv', ''), 'leads');
SELECT crm_suggest_mapping('upload:1', 'leads');
SELECT crm_mapping(NULL, 'leads');

-- odd files
SET client_min_messages = notice;
SELECT * FROM suggest('leads', 'Email,First Name');
SELECT * FROM suggest('leads', E'Email\na@x.com\n');
SELECT * FROM suggest('leads', E'Email,Email,Email\na@x.com,b@x.com,c@x.com\n');
SELECT * FROM suggest('leads', E'1,2,3\n4,5,6\n');
SELECT * FROM suggest('leads', E'ann@x.com,Ann,030 1234567\nbob@x.com,Bob,030 1234568\n');
SELECT * FROM suggest('leads', E'ann@x.com,Ann,030 1234567\nbob@x.com,Bob,030 1234568\n', '{"header_row": 0}');
SELECT * FROM suggest('leads', E',,\na@x.com,b,c\n', '{"header_row": 2}');
SELECT count(*), count(field), max(field) FROM suggest('leads', (SELECT string_agg('Column ' || i, ',') FROM generate_series(1, 998) i) || ',Email,Phone' || E'\n' || repeat('x,', 998) || 'a@x.com,1234567');
SELECT left(column_name, 10), field FROM suggest('leads', repeat('Email ', 1000) || ',' || repeat('E', 10000) || E',Email\n1,2,a@x.com');
-- an import and a preview without "columns" take what is high or medium, and say so
SELECT created, errored FROM crm_import(crm_upload('s.csv', E'Work Email,Vorname,Adress,Foo,Contact,_error_reason\nzoe@x.com,Zoe,Street 1,1,Bob,bad\n'), '{"module": "leads", "static": {"source": "x"}}');
SELECT action, record ->> 'email' AS email FROM crm_preview(crm_upload('s.csv', E'E-mail Address,Foo\nyan@x.com,1\n'), '{"module": "leads"}');
SELECT created FROM crm_import(crm_upload('s.csv', E'Email,Quelle\nkim@x.com,Messe\n'), '{"module": "leads", "static": {"source": "web"}}');
SELECT created FROM crm_import(crm_upload('s.csv', E'ann@x.com,Ann\nbob@x.com,Bob\n'), '{"module": "leads"}');
SELECT created FROM crm_import(crm_upload('s.csv', E'ann@x.com,Ann\nbob@x.com,Bob\n'), '{"module": "leads", "columns": {"#1": "email"}}');
SELECT created FROM crm_import(crm_upload('s.csv', E'ann@x.com,Ann\nbob@x.com,Bob\n'), '{"module": "leads", "columns": {"#1": "email"}, "header_row": 0}');
SELECT email, first_name, address, source FROM crm.people ORDER BY id;

SET client_min_messages = warning;
DROP FUNCTION names;
DROP FUNCTION suggest;
DROP EXTENSION crmio CASCADE;
DROP SCHEMA crm CASCADE;

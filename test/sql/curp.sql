-- loyalty.curp: literals, accessors, comparison, binary form.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS loyalty;
RESET client_min_messages;
SET search_path = loyalty, loyalty_internal, pg_catalog;
SET datestyle = 'ISO, YMD';

-- Both centuries, each sex, the first and the last day of each.
SELECT literal, literal::curp AS curp, birth_date(literal::curp), sex(literal::curp), state(literal::curp)
FROM (VALUES ('PEGJ800115HDFRRN07'), ('LOMA751231MJCPRN07'), ('GACX991130XNLRRM99'), ('HEXP000101HNEXXD06'),
	('SOLV991231MYNTPR54'), ('PEGJ000101HDFRRNA5'), ('LOMA151231MJCPRNB9'), ('GACX231130XNLRRMZ1'),
	('RAXR991231HOCMXSA0'), ('AAPR630321HDFLRC09'), ('XXXX010203MNEXXX05'), ('BCDF200504XMCQWYK6')) AS t(literal);
-- Every check digit.
SELECT literal, literal::curp::text = literal AS t
FROM (VALUES ('CURP850607HSPBRH00'), ('CURP850607HSPBRK01'), ('CURP850607HSPBRD02'), ('CURP850607HSPBRG03'), ('CURP850607HSPBRJ04'),
	('CURP850607HSPBRC05'), ('CURP850607HSPBRF06'), ('CURP850607HSPCRD07'), ('CURP850607HSPBRB08'), ('CURP850607HSPCRJ09')) AS t(literal);
-- Known keys, not made for this test.
SELECT literal, birth_date(literal::curp), sex(literal::curp), state(literal::curp)
FROM (VALUES ('CAMC880526HMCBNR04'), ('CAPC200504HMCBXRA2'), ('REAE060617MMCYLVA4'), ('SABC560626MDFLRN01'),
	('MOTR930411HJCRMN03'), ('HEGG560427MVZRRL04'), ('BOXW310820HNERXN09')) AS t(literal);
-- The 32 states, and born abroad.
SELECT expected, state(literal::curp), state(literal::curp) = expected AS t
FROM (VALUES ('PEGJ800115HASRRN04', 'AS'), ('PEGJ800115HBCRRN09', 'BC'), ('PEGJ800115HBSRRN07', 'BS'), ('PEGJ800115HCCRRN02', 'CC'),
	('PEGJ800115HCLRRN08', 'CL'), ('PEGJ800115HCMRRN02', 'CM'), ('PEGJ800115HCSRRN00', 'CS'), ('PEGJ800115HCHRRN02', 'CH'),
	('PEGJ800115HDFRRN07', 'DF'), ('PEGJ800115HDGRRN01', 'DG'), ('PEGJ800115HGTRRN06', 'GT'), ('PEGJ800115HGRRRN08', 'GR'),
	('PEGJ800115HHGRRN03', 'HG'), ('PEGJ800115HJCRRN03', 'JC'), ('PEGJ800115HMCRRN02', 'MC'), ('PEGJ800115HMNRRN06', 'MN'),
	('PEGJ800115HMSRRN00', 'MS'), ('PEGJ800115HNTRRN07', 'NT'), ('PEGJ800115HNLRRN01', 'NL'), ('PEGJ800115HOCRRN01', 'OC'),
	('PEGJ800115HPLRRN00', 'PL'), ('PEGJ800115HQTRRN09', 'QT'), ('PEGJ800115HQRRRN01', 'QR'), ('PEGJ800115HSPRRN09', 'SP'),
	('PEGJ800115HSLRRN09', 'SL'), ('PEGJ800115HSRRRN07', 'SR'), ('PEGJ800115HTCRRN06', 'TC'), ('PEGJ800115HTLRRN02', 'TL'),
	('PEGJ800115HTSRRN04', 'TS'), ('PEGJ800115HVZRRN08', 'VZ'), ('PEGJ800115HYNRRN05', 'YN'), ('PEGJ800115HZSRRN02', 'ZS'),
	('PEGJ800115HNERRN03', 'NE')) AS t(literal, expected);
-- 29 February: 1900 was no leap year, 2000 was one.
SELECT literal, birth_date(literal::curp)
FROM (VALUES ('PEGJ040229HDFRRN00'), ('PEGJ960229HDFRRN08'), ('PEGJ000229HDFRRNA2'), ('PEGJ040229HDFRRNA0'),
	('PEGJ960229HDFRRNA8'), ('PEGJ000228HDFRRN01'), ('PEGJ000301HDFRRN03')) AS t(literal);
-- The letter that is not ASCII, in every place that may have it, is the X of the registry; small letters; blanks.
SELECT literal::curp AS curp, literal::curp::text = expected AS t
FROM (VALUES ('ÑEGJ800115HDFRRN03', 'XEGJ800115HDFRRN03'), ('PÑGJ800115HDFRRN07', 'PXGJ800115HDFRRN07'), ('PEÑJ800115HDFRRN09', 'PEXJ800115HDFRRN09'),
	('PEGÑ800115HDFRRN02', 'PEGX800115HDFRRN02'), ('PEGJ800115HDFÑRN07', 'PEGJ800115HDFXRN07'), ('PEGJ800115HDFRÑN03', 'PEGJ800115HDFRXN03'),
	('PEGJ800115HDFRRÑ04', 'PEGJ800115HDFRRX04'), ('ÑÑÑÑ800115HDFÑÑÑ03', 'XXXX800115HDFXXX03'), ('ÑÑÑÑ000115HDFÑÑÑA5', 'XXXX000115HDFXXXA5'),
	('ñegj800115hdfrrn03', 'XEGJ800115HDFRRN03'), ('pñgj800115hdfrrn07', 'PXGJ800115HDFRRN07'), ('peñj800115hdfrrn09', 'PEXJ800115HDFRRN09'),
	('pegñ800115hdfrrn02', 'PEGX800115HDFRRN02'), ('pegj800115hdfñrn07', 'PEGJ800115HDFXRN07'), ('pegj800115hdfrñn03', 'PEGJ800115HDFRXN03'),
	('pegj800115hdfrrñ04', 'PEGJ800115HDFRRX04'), ('ññññ800115hdfñññ03', 'XXXX800115HDFXXX03'), ('ññññ000115hdfññña5', 'XXXX000115HDFXXXA5'),
	('pegj800115hdfrrn07', 'PEGJ800115HDFRRN07'), ('pegj000115hdfrrnz7', 'PEGJ000115HDFRRNZ7'), ('pEgJ800115HDFRRN07', 'PEGJ800115HDFRRN07'),
	('ñÑñÑ800115HDFÑÑÑ03', 'XXXX800115HDFXXX03'), ('  PEGJ800115HDFRRN07 ', 'PEGJ800115HDFRRN07'), (E'\t\n\x0b\f\rPEGJ800115HDFRRN07 \r\n', 'PEGJ800115HDFRRN07'),
	(' ññññ000115hdfññña5 ', 'XXXX000115HDFXXXA5')) AS t(literal, expected);
-- They are ten places apart, so that the check digit is the same.
SELECT curp 'XXXX800115HDFXXX03' = curp 'ÑÑÑÑ800115HDFÑÑÑ03' AS t;

-- Anything else is refused: with the text, and why.
CREATE FUNCTION pg_temp.refusal(literal text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	message text;
	why text;
BEGIN
	RETURN literal::loyalty.curp;
EXCEPTION WHEN invalid_text_representation THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, why = PG_EXCEPTION_DETAIL;
	IF message <> 'invalid input syntax for type curp: "' || literal || '"' THEN
		RETURN message;
	END IF;
	RETURN why;
END
$$;
-- Length.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES (''), (' '), ('0'), ('PEGJ800115HDFRRN0'),
	('PEGJ800115HDFRRN070'), ('PEGJ800115HDFRRN07 0'), (' PEGJ800115HDFRRN0'), ('PEGJ80011'),
	('PEGJ800115HDFRRN07PEGJ800115HDFRRN07'), ('ÑÑÑÑ800115HDFÑÑÑ0'), ('ÑÑÑÑ800115HDFÑÑÑ03Ñ'), ('ÑEGJ800115HDFRRN03'),
	('€€€€€€'), ('€€€€€€€€€€€€€€€€€€€')) AS t(literal);
-- Characters.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES ('1EGJ800115HDFRRN07'), ('P3GJ800115HDFRRN07'), ('PE J800115HDFRRN07'), ('PEG-800115HDFRRN07'),
	('PÉGJ800115HDFRRN07'), ('ÜEGJ800115HDFRRN07'), ('P€GJ800115HDFRRN07'), ('€€€€€€€€€€€€€€€€€€'),
	('PEGJ8O0115HDFRRN05'), ('PEGJÑ00115HDFRRN05'), ('PEGJ80-115HDFRRN05'), ('PEGJ80０115HDFRRN05'),
	('PEGJ8001150DFRRN05'), ('PEGJ800115ÑDFRRN05'), ('PEGJ800115H0FRRN05'), ('PEGJ800115HÑLRRN05'),
	('PEGJ800115HNÑRRN05'), ('PEGJ800115HDF1RN05'), ('PEGJ800115HDFR.N05'), ('PEGJ800115HDFARN07'),
	('PEGJ800115HDFREN03'), ('PEGJ800115HDFRRI02'), ('PEGJ800115HDFORN02'), ('PEGJ800115HDFRUN05'),
	('pegj800115hdfrau05'), ('PEGJ800115HDFRRNÑ9'), ('PEGJ800115HDFRRN 5'), ('PEGJ800115HDFRRN?5'),
	('PEGJ800115HDFRRN0A'), ('PEGJ800115HDFRRN0Ñ'), ('PEGJ800115HDFRRN0٣'), (' EGJ800115HDFRRN07')) AS t(literal);
-- Dates.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES ('PEGJ800015HDFRRN08'), ('PEGJ801315HDFRRN03'), ('PEGJ800100HDFRRN02'), ('PEGJ800132HDFRRN04'),
	('PEGJ800431HDFRRN00'), ('PEGJ800631HDFRRN08'), ('PEGJ800931HDFRRN05'), ('PEGJ801131HDFRRN01'),
	('PEGJ800230HDFRRN01'), ('PEGJ990229HDFRRN09'), ('PEGJ000229HDFRRN02'), ('PEGJ010229HDFRRNA9'),
	('PEGJ000230HDFRRNA3'), ('PEGJ990229HDFRRNA9'), ('PEGJ000000HDFRRN05'), ('PEGJ999999HDFRRNZ2')) AS t(literal);
-- Sex.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES ('PEGJ800115FDFRRN03'), ('PEGJ800115NDFRRN09'), ('PEGJ800115ADFRRN03'), ('PEGJ800115ZDFRRN05')) AS t(literal);
-- States.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES ('PEGJ800115HXXRRN06'), ('PEGJ800115HAARRN08'), ('PEGJ800115HZZRRN00'), ('PEGJ800115HCXRRN00'),
	('PEGJ800115HFDRRN05'), ('PEGJ800115HEMRRN08'), ('PEGJ800115HMXRRN00'), ('PEGJ800115HNARRN07'),
	('PEGJ800115HSARRN05'), ('PEGJ800115HCNRRN06'), ('PEGJ800115HHCRRN07'), ('PEGJ800115HNXRRN03')) AS t(literal);
-- Check digits: of the ten, nine.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES ('PEGJ800115HDFRRN00'), ('PEGJ800115HDFRRN01'), ('PEGJ800115HDFRRN02'), ('PEGJ800115HDFRRN03'),
	('PEGJ800115HDFRRN04'), ('PEGJ800115HDFRRN05'), ('PEGJ800115HDFRRN06'), ('PEGJ800115HDFRRN08'),
	('PEGJ800115HDFRRN09')) AS t(literal);
-- Two letters swapped; reckoned without the letter that is not ASCII.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES ('PGEJ800115HDFRRN07'), ('PEGJ800115HDFRRN04')) AS t(literal);
-- The first thing wrong is what is said.
SELECT literal, pg_temp.refusal(literal)
FROM (VALUES ('PEG1801315FXXAAA?0'), ('PEG1801315FXXAAA?'), ('PEGJ801315FXXRRN05'), ('PEGJ800115FXXRRN05'),
	('PEGJ800115HXXRRN07')) AS t(literal);
SELECT 'PEGJ800115HDFRRN08'::curp;
SELECT ''::curp;
\set VERBOSITY sqlstate
SELECT 'PEGJ800115HDFRRN08'::curp;
SELECT ''::curp;
\set VERBOSITY default

-- Ages: the birthday of 29 February is on 1 March in a common year.
SELECT born, on_date, age(born, on_date), expected, age(born, on_date) = expected AS t
FROM (VALUES (curp 'PEGJ800115HDFRRN07', date '1980-01-15', 0), ('PEGJ800115HDFRRN07', '1981-01-14', 0), ('PEGJ800115HDFRRN07', '1981-01-15', 1),
	('PEGJ800115HDFRRN07', '2024-12-31', 44), ('PEGJ800115HDFRRN07', '2080-01-14', 99), ('PEGJ800115HDFRRN07', '2080-01-15', 100),
	('LOMA751231MJCPRN07', '2025-12-30', 49), ('LOMA751231MJCPRN07', '2025-12-31', 50), ('LOMA751231MJCPRN07', '2026-01-01', 50),
	('PEGJ000229HDFRRNA2', '2000-02-29', 0), ('PEGJ000229HDFRRNA2', '2001-02-28', 0), ('PEGJ000229HDFRRNA2', '2001-03-01', 1),
	('PEGJ000229HDFRRNA2', '2004-02-28', 3), ('PEGJ000229HDFRRNA2', '2004-02-29', 4), ('PEGJ000229HDFRRNA2', '2018-02-28', 17),
	('PEGJ000229HDFRRNA2', '2018-03-01', 18), ('PEGJ000228HDFRRN01', '2000-02-28', 100), ('PEGJ000301HDFRRN03', '2000-02-29', 99),
	('PEGJ000101HDFRRNA5', '5874897-12-31', 5872897)) AS t(born, on_date, expected);
SELECT age(curp 'PEGJ800115HDFRRN07') = age(curp 'PEGJ800115HDFRRN07', CURRENT_DATE) AS t, age(curp 'PEGJ800115HDFRRN07') >= 45 AS t;
SELECT age(curp 'PEGJ800115HDFRRN07', '1980-01-14');
SELECT age(curp 'PEGJ800115HDFRRN07', date '4714-11-24 BC');
SELECT age(curp 'RAXR991231HOCMXSA0', '2099-12-30');
SELECT age(curp 'PEGJ800115HDFRRN07', 'infinity');
SELECT age(curp 'PEGJ800115HDFRRN07', '-infinity');
\set VERBOSITY sqlstate
SELECT age(curp 'PEGJ800115HDFRRN07', '1980-01-14');
SELECT age(curp 'PEGJ800115HDFRRN07', 'infinity');
\set VERBOSITY default
SELECT age(curp 'PEGJ800115HDFRRN07', NULL) IS NULL AS t, birth_date(NULL) IS NULL AS t, sex(NULL) IS NULL AS t, state(NULL) IS NULL AS t;
-- The server's own age() is still found.
SELECT age(timestamp '2000-01-02', timestamp '2000-01-01');

-- Comparison: the order of the texts in the collation "C".
SELECT a, b, a = b AS eq, a <> b AS ne, a < b AS lt, a <= b AS le, a > b AS gt, a >= b AS ge, curp_cmp(a, b) AS cmp
FROM (VALUES (curp 'PEGJ800115HDFRRN07', curp ' pegj800115hdfrrn07'), ('PEGJ800115HDFRRN07', 'PEGJ800115HDFRRN15'), ('ZEGJ800115HDFRRN07', 'NEGJ800115HDFRRN01'),
	('ÑEGJ800115HDFRRN03', 'NEGJ800115HDFRRN01'), ('ÑEGJ800115HDFRRN03', 'ZEGJ800115HDFRRN07'), ('ÑEGJ800115HDFRRN03', 'ñegj800115hdfrrn03')) AS t(a, b);
SELECT count(*) AS "132", count(*) FILTER (WHERE (a.id < b.id) <> (a.id::text COLLATE "C" < b.id::text COLLATE "C")
	OR (a.id = b.id) <> (a.id::text = b.id::text) OR (a.id = b.id) <> (curp_hash(a.id) = curp_hash(b.id))
	OR (a.id = b.id) <> (curp_hash_extended(a.id, 7) = curp_hash_extended(b.id, 7))) AS "0"
FROM (VALUES (curp 'ÑEGJ800115HDFRRN03'), ('PÑGJ800115HDFRRN07'), ('PEÑJ800115HDFRRN09'), ('PEGÑ800115HDFRRN02'), ('PEGJ800115HDFÑRN07'), ('PEGJ800115HDFRÑN03'), ('PEGJ800115HDFRRÑ04'), ('ÑÑÑÑ800115HDFÑÑÑ03'), ('ÑÑÑÑ000115HDFÑÑÑA5'), ('NEGJ800115HDFRRN01'), ('ZEGJ800115HDFRRN07')) AS a(id),
	(VALUES (curp 'ÑEGJ800115HDFRRN03'), ('PÑGJ800115HDFRRN07'), ('PEÑJ800115HDFRRN09'), ('PEGÑ800115HDFRRN02'), ('PEGJ800115HDFÑRN07'), ('PEGJ800115HDFRÑN03'), ('PEGJ800115HDFRRÑ04'), ('ÑÑÑÑ800115HDFÑÑÑ03'), ('ÑÑÑÑ000115HDFÑÑÑA5'), ('PEGJ800115HDFRRN07'), ('NEGJ800115HDFRRN01'), ('ZEGJ800115HDFRRN07')) AS b(id);
SELECT curp_hash_extended('PEGJ800115HDFRRN07', 0) & 4294967295 = curp_hash('PEGJ800115HDFRRN07')::bigint & 4294967295 AS t,
	curp_hash_extended('PEGJ800115HDFRRN07', 1) <> curp_hash_extended('PEGJ800115HDFRRN07', 2) AS t;

-- Casts: nothing but text.
SELECT curp 'ñegj800115hdfrrn03'::text AS "XEGJ800115HDFRRN03", octet_length(curp 'ÑÑÑÑ800115HDFÑÑÑ03'::text) AS "18";
SELECT to_json(curp 'ÑEGJ800115HDFRRN03') AS "a string", jsonb_build_object('curp', curp 'PEGJ800115HDFRRN07') AS "a string";
SELECT 1::curp;

-- Indexes and joins.  The keys differ in their dates of birth.
CREATE FUNCTION pg_temp.key(i integer) RETURNS curp
	LANGUAGE sql AS $$
	SELECT (k || d)::curp
	FROM (SELECT 'PEGJ' || to_char(date '1980-01-01' + i, 'YYMMDD') || 'HDFRRN0') AS t(k), generate_series(0, 9) AS d
	WHERE pg_temp.refusal(k || d) = k || d
$$;
CREATE TEMP TABLE person (id curp PRIMARY KEY, h curp);
INSERT INTO person SELECT pg_temp.key(i), pg_temp.key(i % 10) FROM generate_series(1, 1000) i;
CREATE INDEX person_hash ON person USING hash (h);
ANALYZE person;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM person WHERE id = 'PEGJ800115HDFRRN07';
SELECT id FROM person WHERE id = ' pegj800115hdfrrn07 ';
SELECT count(*) AS "17" FROM person WHERE id >= 'PEGJ800115HDFRRN07' AND id < 'PEGJ800201HDFRRN02';
EXPLAIN (COSTS OFF) SELECT * FROM person WHERE h = 'PEGJ800104HDFRRN06';
SELECT count(*) AS "100" FROM person WHERE h = 'pegj800104hdfrrn06';
RESET enable_seqscan;
RESET enable_bitmapscan;
-- To a subquery, because PostgreSQL 18 leaves out a join of a table to itself.
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM person a JOIN (SELECT id FROM person b OFFSET 0) b USING (id);
SELECT count(*) AS "1000" FROM person a JOIN (SELECT id FROM person b OFFSET 0) b USING (id);
RESET enable_mergejoin;
SET enable_hashjoin = off;
SELECT count(*) AS "1000" FROM person a JOIN (SELECT id FROM person b OFFSET 0) b USING (id);
RESET enable_hashjoin;
RESET enable_nestloop;
INSERT INTO person VALUES ('pegj800115hdfrrn07');
SELECT id FROM person ORDER BY id LIMIT 2;
SELECT count(DISTINCT h) AS "10" FROM person;

-- Binary form: the text, in the client's encoding, checked on the way in.
SELECT curp_send('PEGJ800115HDFRRN07') = convert_to('PEGJ800115HDFRRN07', 'UTF8') AS t, curp_send('ÑEGJ800115HDFRRN03') = convert_to('XEGJ800115HDFRRN03', 'UTF8') AS t;
CREATE TEMP TABLE copied (id curp);
SELECT format('%s/loyalty_curp_%s.bin', current_setting('data_directory'), pg_backend_pid()) AS file \gset
COPY (VALUES ('PEGJ800115HDFRRN07'), (' pegj800115hdfrrn07 '), ('ññññ800115hdfñññ03')) TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
COPY copied TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
SELECT id, count(*) FROM copied GROUP BY id ORDER BY id;
COPY (SELECT 'PEGJ800115HDFRRN08') TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
COPY (SELECT '') TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
COPY (SELECT 'PEGJ800115HDFRRN07'::bytea || '\x00') TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
COPY (SELECT '\xd1'::bytea || 'EGJ800115HDFRRN03') TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
SET client_encoding = 'LATIN1';
COPY copied FROM :'file' (FORMAT binary);
SELECT octet_length(curp_send('PEGJ800115HDFRRN07')) AS "18", (SELECT octet_length(curp_send(id)) FROM copied WHERE sex(id) = 'H' ORDER BY id DESC LIMIT 1) AS "18";
RESET client_encoding;
SELECT id, count(*) FROM copied GROUP BY id ORDER BY id;
COPY (SELECT 'PEGJ800115HDFRRN08') TO :'file' (FORMAT binary);
\set VERBOSITY sqlstate
COPY copied FROM :'file' (FORMAT binary);
\set VERBOSITY default

-- What the catalogue says of the type.
SELECT typlen, typbyval, typalign, typstorage, typcategory, typispreferred FROM pg_type WHERE oid = 'curp'::regtype;
SELECT castsource::regtype, casttarget::regtype, castcontext
FROM pg_cast WHERE 'curp'::regtype IN (castsource, casttarget);
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND 'curp'::regtype = ANY (p.proargtypes::oid[] || p.prorettype) AND l.lanname <> 'c' AND p.provolatile = 'i';
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND 'curp'::regtype = ANY (p.proargtypes::oid[] || p.prorettype) AND a.grantee = 0;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcintype = 'curp'::regtype;

-- Databases of other encodings: one has the letter as one byte, one knows of no letters at all.
SELECT current_database() AS main \gset
\set create_type 'CREATE TYPE curp; CREATE FUNCTION curp_in(cstring) RETURNS curp LANGUAGE c IMMUTABLE STRICT AS \'$libdir/loyalty\'; CREATE FUNCTION curp_out(curp) RETURNS cstring LANGUAGE c IMMUTABLE STRICT AS \'$libdir/loyalty\'; CREATE FUNCTION curp_send(curp) RETURNS bytea LANGUAGE c IMMUTABLE STRICT AS \'$libdir/loyalty\'; CREATE TYPE curp (INPUT = curp_in, OUTPUT = curp_out, SEND = curp_send, INTERNALLENGTH = 18, ALIGNMENT = char)'
CREATE DATABASE regress_loyalty_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c regress_loyalty_latin1
SET client_min_messages = error;
SET client_encoding = 'UTF8';
:create_type;
SELECT curp 'ññññ800115hdfñññ03', octet_length(curp 'ÑÑÑÑ800115HDFÑÑÑ03'::text) AS "18", octet_length(curp_send('ÑÑÑÑ800115HDFÑÑÑ03')) AS "18";
SELECT curp 'ÑÑÑÑ800115HDFÑÑÑ04';
\c :main
DROP DATABASE regress_loyalty_latin1;
CREATE DATABASE regress_loyalty_ascii ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c regress_loyalty_ascii
SET client_min_messages = error;
:create_type;
SELECT curp 'ññññ800115hdfñññ03'::text = 'XXXX800115HDFXXX03' AS t, octet_length(curp 'ÑÑÑÑ800115HDFÑÑÑ03'::text) AS "18", octet_length(curp_send('ÑÑÑÑ800115HDFÑÑÑ03')) AS "18";
SELECT E'\xc3\x91EGJ800115HDFRRN03'::curp::text = 'XEGJ800115HDFRRN03' AS t;
-- The letter of LATIN1, half of the letter of UTF-8, and one byte more than it.
\set VERBOSITY sqlstate
SELECT E'\xd1EGJ800115HDFRRN03'::curp;
SELECT E'\xc3EGJ800115HDFRRN03'::curp;
SELECT E'\x91EGJ800115HDFRRN03'::curp;
SELECT E'\xc3\x91\x91EGJ800115HDFRRN03'::curp;
SELECT E'EGJ800115HDFRRN03\xc3'::curp;
SELECT E'EGJ800115HDFRRN03\xc3\x91\x91'::curp;
\set VERBOSITY default
\c :main
DROP DATABASE regress_loyalty_ascii;

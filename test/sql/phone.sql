-- loyalty.phone: literals, comparison, binary form, area codes.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS loyalty;
RESET client_min_messages;
SET search_path = loyalty, loyalty_internal, pg_catalog;

-- One number, however it is written.
SELECT literal, literal::phone AS phone
FROM (VALUES ('3312345678'), ('+523312345678'), ('523312345678'), ('+5213312345678'), ('5213312345678'),
	('013312345678'), ('0443312345678'), ('0453312345678'),
	('33 1234 5678'), ('33-1234-5678'), ('+52 33 1234 5678'), ('+52-1-33 1234-5678'), ('  3312345678 '),
	('3 3 1 2 3 4 5 6 7 8'), ('33 - 1234  --  5678')) AS t(literal);
-- Ten digits are a number even if they start like a prefix.
SELECT literal, literal::phone AS phone
FROM (VALUES ('5212345678'), ('0123456789'), ('0441234567'), ('0000000000'), ('9999999999')) AS t(literal);

-- Anything else is refused.
SELECT ''::phone;
SELECT ' '::phone;
SELECT '+'::phone;
SELECT '-'::phone;
SELECT '331234567'::phone;
SELECT '33123456789'::phone;
SELECT '+3312345678'::phone;
SELECT '+013312345678'::phone;
SELECT '+0443312345678'::phone;
SELECT '533312345678'::phone;
SELECT '+513312345678'::phone;
SELECT '5223312345678'::phone;
SELECT '0463312345678'::phone;
SELECT '52013312345678'::phone;
SELECT '33123456785212345678901234567890'::phone;
SELECT '(33) 1234 5678'::phone;
SELECT '33.1234.5678'::phone;
SELECT '33+12345678'::phone;
SELECT '++523312345678'::phone;
SELECT '+ 523312345678'::phone;
SELECT '-3312345678'::phone;
SELECT '3312345678-'::phone;
SELECT '3312345678- '::phone;
SELECT '331234567x'::phone;
SELECT E'33\t12345678'::phone;
SELECT E'3312345678\n'::phone;
SELECT '３３１２３４５６７８'::phone;
\set VERBOSITY sqlstate
SELECT '331234567'::phone;
SELECT '(33) 1234 5678'::phone;
\set VERBOSITY default

-- Comparison.
SELECT a, b, a = b AS eq, a <> b AS ne, a < b AS lt, a <= b AS le, a > b AS gt, a >= b AS ge, phone_cmp(a, b) AS cmp
FROM (VALUES (phone '3312345678', phone '+52 33 1234 5678'), ('0000000001', '0000000002'), ('5512345678', '3312345678')) AS t(a, b);
SELECT phone '3312345678' = '+52 33 1234-5678' AS t;

-- Casts: a number out, nothing but text in.
SELECT phone '0012345678'::bigint AS "12345678", phone '33 1234 5678'::text AS "3312345678";
SELECT 3312345678::bigint::phone;
SELECT phone '3312345678' = 3312345678;
SELECT phone '3312345678' + 1;
SELECT to_json(phone '0012345678') AS "a string";

-- Indexes and joins.
CREATE TEMP TABLE book (tel phone PRIMARY KEY, h phone);
INSERT INTO book SELECT (3300000000 + i)::text::phone, (5555555550 + i % 10)::text::phone FROM generate_series(1, 1000) i;
CREATE INDEX book_hash ON book USING hash (h);
ANALYZE book;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM book WHERE tel = '+523300000001';
EXPLAIN (COSTS OFF) SELECT * FROM book WHERE h = '5555555553';
SELECT count(*) FROM book WHERE h = '555-555-5553';
RESET enable_seqscan;
RESET enable_bitmapscan;
-- To a subquery, because PostgreSQL 18 leaves out a join of a table to itself.
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM book a JOIN (SELECT tel FROM book b OFFSET 0) b USING (tel);
SELECT count(*) FROM book a JOIN (SELECT tel FROM book b OFFSET 0) b USING (tel);
RESET enable_mergejoin;
RESET enable_nestloop;
INSERT INTO book VALUES ('044 3300001000');
SELECT tel FROM book ORDER BY tel LIMIT 2;
SELECT phone_hash('3312345678') = hashint8(3312345678) AS t, phone_hash_extended('3312345678', 7) = hashint8extended(3312345678, 7) AS t;

-- Binary form: a bigint, checked on the way in.
SELECT phone_send('0000000258') AS "258";
CREATE TEMP TABLE numbers (n bigint);
INSERT INTO numbers VALUES (0), (3312345678), (9999999999);
CREATE TEMP TABLE copied (tel phone);
SELECT format('%s/loyalty_phone_%s.bin', current_setting('data_directory'), pg_backend_pid()) AS file \gset
COPY numbers TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
COPY copied TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
SELECT tel, count(*) FROM copied GROUP BY tel ORDER BY tel;
COPY (SELECT 10000000000::bigint) TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
COPY (SELECT (-1)::bigint) TO :'file' (FORMAT binary);
\set VERBOSITY sqlstate
COPY copied FROM :'file' (FORMAT binary);
\set VERBOSITY default

-- The area code has two digits in four cases.
SELECT tel, area_code(tel)
FROM (VALUES (phone '3312345678'), ('5512345678'), ('5612345678'), ('8112345678'), ('2221234567'), ('3201234567'),
	('3412345678'), ('5412345678'), ('5712345678'), ('8212345678'), ('0331234567'), ('0000000000')) AS t(tel);

-- What the catalogue says of the type.
SELECT typlen, typbyval, typalign, typcategory, typispreferred FROM pg_type WHERE oid = 'phone'::regtype;
SELECT castsource::regtype, casttarget::regtype, castcontext
FROM pg_cast WHERE 'phone'::regtype IN (castsource, casttarget);
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND 'phone'::regtype = ANY (p.proargtypes::oid[] || p.prorettype) AND a.grantee = 0;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcintype = 'phone'::regtype;

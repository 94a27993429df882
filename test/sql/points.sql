-- loyalty.points: literals, arithmetic, comparison, casts, aggregates, JSON.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS loyalty;
RESET client_min_messages;
SET search_path = loyalty, loyalty_internal, pg_catalog;

-- Literals that are read, and how they print.
SELECT literal, literal::points AS points
FROM (VALUES ('0'), ('-0'), ('+0'), ('150'), ('150.50'), ('+7'), ('007.0100'), ('-0.0001'),
	('0.1'), ('  12.5  '), (E'\t3\n'), ('0.0000'),
	('922337203685477.5807'), ('-922337203685477.5808'), ('+000922337203685477.5807')) AS t(literal);

-- Literals that are not.
SELECT ''::points;
SELECT ' '::points;
SELECT '.5'::points;
SELECT '5.'::points;
SELECT '.'::points;
SELECT '+'::points;
SELECT '1 2'::points;
SELECT '- 1'::points;
SELECT '+-1'::points;
SELECT '1e2'::points;
SELECT '1,5'::points;
SELECT '1.2.3'::points;
SELECT '0x10'::points;
SELECT '1_000'::points;
SELECT 'NaN'::points;
SELECT 'Infinity'::points;
SELECT '١٢'::points;

-- Five decimals are too many even if they are zeros.
SELECT '1.00000'::points;
SELECT '1.23456'::points;
-- Malformed goes before too many decimals, and that before too large.
SELECT '1.23456x'::points;
SELECT '9999999999999999.00000'::points;

-- One step outside the range.
SELECT '922337203685477.5808'::points;
SELECT '-922337203685477.5809'::points;
SELECT '922337203685478'::points;
SELECT '99999999999999999999999999999999999999'::points;

\set VERBOSITY sqlstate
SELECT '1e2'::points;
SELECT '1.00000'::points;
SELECT '922337203685477.5808'::points;
\set VERBOSITY default

-- Arithmetic, with unknown literals and integers on either side.
SELECT points '1.5' + '2.25' AS "3.75", points '1.5' - '2.25' AS "-0.75",
	points '1.5' + 1 AS "2.5", 10 - points '0.0001' AS "9.9999",
	- points '3' AS "-3", + points '3' AS "3", abs(points '-1.5') AS "1.5", abs(points '1.5') AS "1.5";
SELECT points '1.25' * 4 AS "5", 4 * points '1.25' AS "5", points '1.25' * bigint '-2' AS "-2.5",
	points '1.25' * '3' AS "3.75", points '0' * 9223372036854775807 AS "0";
SELECT points '1' / '4' AS quarter, points '10' / 4 AS two_and_a_half, pg_typeof(points '1' / '4');
SELECT points '1' / '0';

-- Overflow is an error at both ends.
SELECT points '922337203685477.5807' + '0.0000' AS most, points '-922337203685477.5808' - '0' AS least;
SELECT points '922337203685477.5807' + '0.0001';
SELECT points '-922337203685477.5808' - '0.0001';
SELECT points '-922337203685477.5808' + '-0.0001';
SELECT - points '-922337203685477.5808';
SELECT abs(points '-922337203685477.5808');
SELECT points '500000000000000' * 2;
SELECT -2 * points '500000000000000';
SELECT points '-922337203685477.5808' * -1;
\set VERBOSITY sqlstate
SELECT points '922337203685477.5807' + '0.0001';
SELECT points '1' / '0';
\set VERBOSITY default

-- Comparison.
SELECT a, b, a = b AS eq, a <> b AS ne, a < b AS lt, a <= b AS le, a > b AS gt, a >= b AS ge, points_cmp(a, b) AS cmp
FROM (VALUES (points '1', points '1.0000'), ('1', '1.0001'), ('-1', '-1.0001'),
	('-922337203685477.5808', '922337203685477.5807')) AS t(a, b);
SELECT points '1.5' > 1 AS t, 2 = points '2' AS t, points '2' BETWEEN 1 AND '2.5' AS t;

-- With fractions, as people write them: exact, or refused.
SELECT points '1' + 1.5 AS "2.5", 1.5 - points '1' AS "0.5", points '10' / 2.5 = 4 AS t, points '1' = 1.0 AS t, 99.5 < points '99.5001' AS t,
	points '2' IN (1, 2.0) AS t, points '2' BETWEEN 1.5 AND 2.5 AS t, coalesce(points '0.5', 0) AS "0.5", greatest(points '0.5', 1.5) AS "1.5";
SELECT points '99.99' * 1.16 AS "115.9884", 0.00001 * points '1' AS "0.00001", points '1.5' * points '1.5' AS "2.25", round(points '2.345', 2) AS "2.35";
SELECT points '1' = 1.00001;
SELECT points '1' + 0.00005;
SELECT points '1' > 1e30;
SELECT points '1' > 1.5::float8;

-- Each of these has the type that it had before there were fractions.
SELECT pg_typeof(points '1' * 2), pg_typeof(2::bigint * points '1'), pg_typeof(points '1' * smallint '2'), pg_typeof(points '1' * '2'), pg_typeof(points '1' * NULL),
	pg_typeof(points '1' + 2), pg_typeof(2 - points '1'), pg_typeof(points '1' + '2'), pg_typeof(points '1' + NULL), pg_typeof(points '1' / 2);
SELECT pg_typeof(2::bigint * 1.16), pg_typeof(1.16 * 2::bigint), pg_typeof(2 * 1.16), pg_typeof(1.16 * '2'), pg_typeof(smallint '2' + 1.16), pg_typeof(2::bigint / 1.16),
	pg_typeof(2::bigint * 3), pg_typeof(1.16 * NULL), pg_typeof(2 * 1.5::float8), pg_typeof(abs(1.16)), pg_typeof(abs(2::bigint));
SELECT pg_typeof(sum(1.16)), pg_typeof(sum(2::bigint)), pg_typeof(sum(points '1')), pg_typeof(max(2)), pg_typeof(min(1.16)), pg_typeof(avg(2)), pg_typeof(sum(points '1') * 1.16);
PREPARE compared AS SELECT points '12.5' > $1, points '12.5' * $2, points '12.5' + $3;
EXECUTE compared('12.5', '2', '0.5');
EXECUTE compared(12.4999, 2, 0.5);
EXECUTE compared(NULL, NULL, NULL);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'compared';
DEALLOCATE compared;
-- Off the path of the schema too, where they are numbers.
SET search_path = public;
SELECT loyalty.points '99.5' > 99.4 AS t, loyalty.points '99.5' = '99.5' AS t, loyalty.points '99.5' * 2 AS "199.0", sum(x) AS "3" FROM (VALUES (loyalty.points '1'), ('2')) v (x);
SET search_path = loyalty, loyalty_internal, public;

-- Casts in: numbers silently, nothing rounded.
SELECT (smallint '-32768')::points, (-2147483648)::points, (922337203685477)::points, (-922337203685477)::bigint::points;
SELECT (922337203685478)::points;
SELECT (-922337203685478)::bigint::points;
SELECT 1.5::points, 1.50000000000000000000::points, 0.0001::points, (-922337203685477.5808)::points, 922337203685477.5807::points, 1e2::points;
SELECT 1.23456::points;
SELECT 0.00001::points;
SELECT 1e-300::numeric::points;
SELECT 922337203685477.5808::points;
SELECT (-922337203685477.5809)::points;
SELECT 1e1000::numeric::points;
SELECT numeric 'NaN'::points;
SELECT numeric 'Infinity'::points;
SELECT numeric '-Infinity'::points;

-- Casts out.
SELECT points '150'::numeric AS "150", points '-0.0100'::numeric AS "-0.01", points '-922337203685477.5808'::numeric AS least;
SELECT points '150'::bigint AS "150", points '-3'::bigint AS "-3", points '0'::bigint AS "0";
SELECT points '150.5'::bigint;
SELECT points '-0.0001'::bigint;
SELECT points '1.50'::text AS "1.5", '1.50'::text::points AS "1.5";
\set VERBOSITY sqlstate
SELECT 1.23456::points;
SELECT numeric 'NaN'::points;
SELECT points '150.5'::bigint;
\set VERBOSITY default

CREATE TEMP TABLE amounts (id integer, p points, n numeric, b bigint);
INSERT INTO amounts VALUES (1, 1.5, points '2.5', points '3'), (2, 7, 7, 7);
INSERT INTO amounts (p) VALUES (1.23456);
INSERT INTO amounts (b) VALUES (points '1.5');
SELECT * FROM amounts ORDER BY id;

-- JSON has numbers, not strings.
SELECT to_json(points '150.50') AS "150.5", to_jsonb(points '-0.0001') AS "-0.0001", points '3'::json AS "3";
SELECT row_to_json(t) FROM (SELECT points '150.50' AS p, NULL::points AS n) t;
SELECT json_build_object('p', points '1.5'), jsonb_build_object('p', points '1.5'), json_agg(p ORDER BY p) FROM (VALUES (points '1'), ('2.5')) t(p);
SELECT to_json(ARRAY[points '1', '2.50', NULL]);

-- Aggregates.
SELECT sum(p), avg(p), min(p), max(p), count(p) FROM (VALUES (points '1'), ('2'), ('2.5'), (NULL)) t(p);
SELECT sum(p), avg(p), min(p), max(p), count(p) FROM (VALUES (points '1')) t(p) WHERE false;
SELECT sum(p), avg(p) FROM (VALUES (NULL::points)) t(p);
SELECT avg(p) AS "0.00015" FROM (VALUES (points '0.0001'), ('0.0002')) t(p);
SELECT avg(p) AS most FROM (VALUES (points '922337203685477.5807'), ('922337203685477.5807')) t(p);
-- Only the result has to fit, whatever the order.
SELECT sum(p) FROM (VALUES (points '922337203685477.5807'), ('922337203685477.5807'), ('-922337203685477.5807')) t(p);
SELECT sum(p) FROM (VALUES (points '-922337203685477.5807'), ('-0.0001')) t(p);
SELECT sum(p) FROM (VALUES (points '922337203685477.5807'), ('0.0001')) t(p);
SELECT sum(p) FROM (VALUES (points '-922337203685477.5808'), ('-0.0001')) t(p);
SELECT i, sum(p) OVER w, avg(p) OVER w, min(p) OVER w
FROM (VALUES (1, points '1'), (2, '2'), (3, NULL), (4, '-4.5')) t(i, p)
WINDOW w AS (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW);

-- In parallel: partial sums that do not fit an amount are combined.
CREATE TABLE public.loyalty_parallel AS
SELECT CASE i % 3 WHEN 0 THEN points '-922337203685477.5807' ELSE '461168601842738.7904' END AS p FROM generate_series(1, 3000) i;
ALTER TABLE public.loyalty_parallel SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT sum(p), avg(p), min(p), max(p) FROM public.loyalty_parallel;
SELECT sum(p), avg(p), min(p), max(p) FROM public.loyalty_parallel;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET parallel_leader_participation;
DROP TABLE public.loyalty_parallel;

-- Indexes, joins and grouping.
CREATE TEMP TABLE sorted (p points PRIMARY KEY, h points);
INSERT INTO sorted SELECT i, i % 10 FROM generate_series(-500, 500) i;
CREATE INDEX sorted_hash ON sorted USING hash (h);
ANALYZE sorted;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM sorted WHERE p = '1';
EXPLAIN (COSTS OFF) SELECT * FROM sorted WHERE p > 1 AND p <= '3.5';
EXPLAIN (COSTS OFF) SELECT * FROM sorted WHERE h = 3;
SELECT p FROM sorted WHERE p > 1 AND p <= '4.5' ORDER BY p DESC;
SELECT count(*) FROM sorted WHERE h = 3;
SELECT min(p), max(p) FROM sorted;
RESET enable_seqscan;
RESET enable_bitmapscan;
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM sorted a JOIN sorted b ON a.p = b.h;
SELECT count(*) FROM sorted a JOIN sorted b ON a.p = b.h;
RESET enable_mergejoin;
SET enable_hashjoin = off;
SELECT count(*) FROM sorted a JOIN sorted b ON a.p = b.h;
RESET enable_hashjoin;
RESET enable_nestloop;
INSERT INTO sorted VALUES ('1.0000');
SELECT points_hash('1') = hashint8(10000) AS t, points_hash_extended('1', 7) = hashint8extended(10000, 7) AS t;
CREATE TEMP TABLE parted (p points) PARTITION BY HASH (p);
CREATE TEMP TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMP TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT i FROM generate_series(1, 100) i;
SELECT count(*), sum(p) FROM parted;

-- Binary form: the ten-thousandths, eight bytes, there and back.
SELECT points_send('1.5') AS "15000", points_send('-0.0001') AS "-1";
CREATE TEMP TABLE extremes (p points);
INSERT INTO extremes VALUES ('-922337203685477.5808'), ('-0.0001'), ('0'), ('150.5'), ('922337203685477.5807'), (NULL);
CREATE TEMP TABLE copied (p points);
SELECT format('%s/loyalty_points_%s.bin', current_setting('data_directory'), pg_backend_pid()) AS file \gset
COPY extremes TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
TABLE copied;

-- A part of an amount.
SELECT percent_of('99.99', 10) AS "10", percent_of('99.94', 10) AS "9.99", percent_of('100', 0) AS "0",
	percent_of('0.0001', 100, 4) AS "0.0001", percent_of('100', 12.3456, 4) AS "12.3456", percent_of('100', 250) AS "250",
	percent_of('922337203685477.5807', 100, 4) AS most, percent_of('-922337203685477.5808', 100, 4) AS least,
	percent_of('10', -5) AS "-0.5";
-- Ties and others, both signs, to whole points: 10 % of 5, 15, 24, 25, 26.
SELECT rounding, sign * base AS amount, percent_of(sign * base, 10, 0, rounding)
FROM (VALUES ('half_up'), ('half_even'), ('down'), ('up')) r(rounding), (VALUES (1), (-1)) s(sign),
	(VALUES (points '5'), ('15'), ('24'), ('25'), ('26'), ('30')) b(base)
ORDER BY rounding, sign DESC, base;
SELECT d AS decimals, percent_of('1.2345', 100, d) AS half_up, percent_of('1.2345', 100, d, 'down') AS down, percent_of('1.2345', 100, d, 'up') AS up
FROM generate_series(0, 4) d;
SELECT percent_of('10', NULL) IS NULL AS t;
SELECT percent_of('922337203685477.5807', 100, 2);
SELECT percent_of('922337203685477.5807', 200);
SELECT percent_of('-922337203685477.5808', -100, 4);
SELECT percent_of('1', 1.23456);
SELECT percent_of('1', 'NaN');
SELECT percent_of('1', 1e20);
SELECT percent_of('1', 10, 5);
SELECT percent_of('1', 10, -1);
SELECT percent_of('1', 10, 2, 'HALF_UP');
\set VERBOSITY sqlstate
SELECT percent_of('922337203685477.5807', 200);
SELECT percent_of('1', 1.23456);
SELECT percent_of('1', 10, 5);
SELECT percent_of('1', 10, 2, 'nearest');
\set VERBOSITY default

-- What the catalogue says of the type.
SELECT typlen, typbyval, typalign, typcategory, typispreferred FROM pg_type WHERE oid = 'points'::regtype;
SELECT castsource::regtype, casttarget::regtype, castcontext
FROM pg_cast WHERE 'points'::regtype IN (castsource, casttarget) ORDER BY castsource::regtype::text, casttarget::regtype::text;
-- Every support function is immutable and safe in parallel, strict unless it sees no NULL, and nothing for PUBLIC.
SELECT p.oid::regprocedure, p.provolatile, p.proparallel, p.proisstrict
FROM pg_proc p
WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND p.proname ~ '^points' AND p.prokind = 'f'
	AND (p.provolatile <> 'i' OR p.proparallel <> 's' OR NOT p.proisstrict)
ORDER BY p.proname;
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND 'points'::regtype = ANY (p.proargtypes::oid[] || p.prorettype) AND a.grantee = 0;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcintype = 'points'::regtype;

-- loyalty.lots: literals, equality, functions, stored and binary form, damage.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS loyalty;
RESET client_min_messages;
SET search_path = loyalty, loyalty_internal, pg_catalog;
SET TimeZone = 'America/Mexico_City';
SET DateStyle = 'SQL, DMY';

-- Text in and out is UTC, whatever the settings.
SELECT literal::lots AS lots
FROM (VALUES ('{}'), ('{2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}'),
	('{2027-02-01T06:00:00Z=12.5,2027-01-01T06:00:00Z=30,2027-01-15T00:00:01Z=0.0001}'),
	(E' \t{ \n } '), (E'\n{ 2027-01-01T06:00:00Z\t= 007.50 , 1999-12-31T23:59:59Z =1 }\r'),
	('{2028-02-29T00:00:00Z=1,2000-01-01T00:00:00Z=2,1999-12-31T00:00:00Z=3,1970-01-01T00:00:00Z=4}'),
	('{2027-01-01T06:00:00Z=922337203685477.5807}')) AS t(literal);
-- The ends of the calendar, years as in ISO 8601.
SELECT lots, expires_at, points
FROM (VALUES ('{-4713-11-24T00:00:00Z=1,-0001-02-28T00:00:00Z=2,0000-02-29T00:00:00Z=3,0001-01-01T00:00:00Z=4}'::lots),
	('{9999-12-31T23:59:59Z=5,10000-01-01T00:00:00Z=6,294276-12-31T23:59:59Z=7}')) AS t(lots), unnest_lots(lots);

-- Anything else is refused.
SELECT ''::lots;
SELECT ' '::lots;
SELECT '{'::lots;
SELECT '}'::lots;
SELECT '{}}'::lots;
SELECT '{,}'::lots;
SELECT '{2027-01-01T06:00:00Z=30'::lots;
SELECT '2027-01-01T06:00:00Z=30'::lots;
SELECT '{2027-01-01T06:00:00Z=30,}'::lots;
SELECT '{2027-01-01T06:00:00Z=30;2027-02-01T06:00:00Z=1}'::lots;
SELECT '{2027-01-01T06:00:00Z=30 2027-02-01T06:00:00Z=1}'::lots;
SELECT '{2027-01-01T06:00:00Z}'::lots;
SELECT '{2027-01-01T06:00:00Z=}'::lots;
SELECT '{=30}'::lots;
SELECT '{30}'::lots;
SELECT '{infinity=30}'::lots;
SELECT '{2027-01-01 06:00:00Z=30}'::lots;
SELECT '{2027-01-01t06:00:00z=30}'::lots;
SELECT '{2027-01-01T06:00:00+00=30}'::lots;
SELECT '{2027-01-01T06:00:00=30}'::lots;
SELECT '{2027-01-01T06:00Z=30}'::lots;
SELECT '{2027-01-01T06:00:00.5Z=30}'::lots;
SELECT '{2027-1-01T06:00:00Z=30}'::lots;
SELECT '{2027-01-001T06:00:00Z=30}'::lots;
SELECT '{2027 -01-01T06:00:00Z=30}'::lots;
SELECT '{+2027-01-01T06:00:00Z=30}'::lots;
SELECT '{027-01-01T06:00:00Z=30}'::lots;
SELECT '{02027-01-01T06:00:00Z=30}'::lots;
SELECT '{-0000-01-01T06:00:00Z=30}'::lots;
SELECT '{1000000-01-01T06:00:00Z=30}'::lots;
SELECT '{2027-00-01T06:00:00Z=30}'::lots;
SELECT '{2027-13-01T06:00:00Z=30}'::lots;
SELECT '{2027-01-00T06:00:00Z=30}'::lots;
SELECT '{2027-02-29T06:00:00Z=30}'::lots;
SELECT '{1900-02-29T06:00:00Z=30}'::lots;
SELECT '{2027-04-31T06:00:00Z=30}'::lots;
SELECT '{2027-01-01T24:00:00Z=30}'::lots;
SELECT '{2027-01-01T06:60:00Z=30}'::lots;
SELECT '{2027-01-01T06:00:60Z=30}'::lots;
SELECT '{2027-01-01T06:00:00Z=0}'::lots;
SELECT '{2027-01-01T06:00:00Z=0.0000}'::lots;
SELECT '{2027-01-01T06:00:00Z=-1}'::lots;
SELECT '{2027-01-01T06:00:00Z=+1}'::lots;
SELECT '{2027-01-01T06:00:00Z=1e2}'::lots;
SELECT '{2027-01-01T06:00:00Z=1.}'::lots;
SELECT '{2027-01-01T06:00:00Z=.5}'::lots;
SELECT '{2027-01-01T06:00:00Z=1.2.3}'::lots;
SELECT '{2027-01-01T06:00:00Z=0.00001}'::lots;
SELECT '{2027-01-01T06:00:00Z=1,2027-02-01T06:00:00Z=2,2027-01-01T06:00:00Z=3}'::lots;
-- Well formed, but it does not fit.
SELECT '{294277-01-01T00:00:00Z=1}'::lots;
SELECT '{999999-12-31T23:59:59Z=1}'::lots;
SELECT '{-4713-11-23T23:59:59Z=1}'::lots;
SELECT '{-4714-01-01T00:00:00Z=1}'::lots;
SELECT '{-999999-01-01T00:00:00Z=1}'::lots;
SELECT '{2027-01-01T06:00:00Z=922337203685477.5808}'::lots;
SELECT '{2027-01-01T06:00:00Z=922337203685477.5807,2027-01-01T06:00:01Z=0.0001}'::lots;
SELECT format('{%s}', string_agg(format('%s-01-01T00:00:00Z=1', 2000 + i), ','))::lots FROM generate_series(1, 65537) i;
\set VERBOSITY sqlstate
SELECT '{1}'::lots;
SELECT '{2027-02-29T06:00:00Z=30}'::lots;
SELECT '{294277-01-01T00:00:00Z=1}'::lots;
SELECT '{2027-01-01T06:00:00Z=922337203685477.5808}'::lots;
SELECT format('{%s}', string_agg(format('%s-01-01T00:00:00Z=1', 2000 + i), ','))::lots FROM generate_series(1, 65537) i;
\set VERBOSITY default

-- Points posted with an earlier moment than the one at which they expire.
SELECT s::lots AS lots, lots_send(s::lots) AS sent, total(s::lots), (SELECT string_agg(points::text, ' ') FROM unnest_lots(s::lots)) AS by_moment
FROM (VALUES ('{2027-01-01T06:00:00Z/2027-01-01T05:59:59Z=30}'), ('{ 2027-01-02T00:00:00Z=1, 2027-01-02T00:00:00Z/2026-01-01T00:00:00Z=2,2027-01-02T00:00:00Z/2027-01-01T00:00:00Z=3 }')) AS t(s);
\set VERBOSITY sqlstate
SELECT '{2027-01-01T06:00:00Z/2027-01-01T06:00:00Z=30}'::lots;
SELECT '{2027-01-01T06:00:00Z/2027-01-01T06:00:01Z=30}'::lots;
SELECT '{2027-01-01T06:00:00Z/=30}'::lots;
SELECT '{2027-01-01T06:00:00Z/2026-01-01T06:00:00Z=30,2027-01-01T06:00:00Z/2026-01-01T06:00:00Z=1}'::lots;
\set VERBOSITY default

-- Equality.
SELECT a, b, a = b AS eq, a <> b AS ne
FROM (VALUES ('{}'::lots, '{ }'::lots), ('{}', '{2027-01-01T06:00:00Z=1}'),
	('{2027-01-01T06:00:00Z=1}', '{2027-01-01T06:00:00Z=1.0}'), ('{2027-01-01T06:00:00Z=1}', '{2027-01-01T06:00:00Z=2}'),
	('{2027-01-01T06:00:00Z=1}', '{2027-01-01T06:00:01Z=1}'),
	('{2027-01-01T06:00:00Z=1,2027-01-02T06:00:00Z=2}', '{2027-01-02T06:00:00Z=2,2027-01-01T06:00:00Z=1}'),
	('{2027-01-01T06:00:00Z=1,2027-01-02T06:00:00Z=2}', '{2027-01-01T06:00:00Z=1}'), ('{}', NULL)) AS t(a, b);
SELECT lots '{}' IS NOT DISTINCT FROM '{}' AS t, NULLIF(lots '{}', '{}') IS NULL AS t;
-- But no order.
SELECT DISTINCT lots FROM (VALUES ('{}'::lots)) AS t(lots);

-- Functions.
SELECT total(l), total_due(l, '-infinity'), total_due(l, '2027-01-01T05:59:59.999999Z') AS before, total_due(l, '2027-01-01T06:00:00Z') AS at,
	total_due(l, '2027-02-01T05:59:59.999999Z') AS later, total_due(l, '2027-02-01T06:00:00Z') AS last, total_due(l, 'infinity')
FROM (VALUES ('{}'::lots), ('{2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}')) AS t(l);
SELECT * FROM unnest_lots('{}');
SELECT * FROM unnest_lots(NULL);
SELECT n, u.* FROM (VALUES (1, lots '{2027-02-01T06:00:00Z=1,2027-01-01T06:00:00Z=2}'), (2, '{}'), (3, '{2027-03-01T06:00:00Z=3.5}')) AS t(n, l), unnest_lots(l) u;
SELECT unnest_lots('{2027-02-01T06:00:00Z=1,2027-01-01T06:00:00Z=2}');
SELECT total(NULL::lots) IS NULL AS t, total_due(NULL::lots, now()) IS NULL AS t, total_due('{}', NULL) IS NULL AS t, falls_below(NULL, '1', now()) IS NULL AS t;
SELECT threshold, falls_below('{2027-01-01T00:00:00Z=10,2027-02-01T00:00:00Z=20,2027-03-01T00:00:00Z=30}', threshold, at) AT TIME ZONE 'UTC' AS "when", because
FROM (VALUES ('60.0001'::points, timestamptz '2026-12-01T00:00:00Z', 'it is already'), ('60', '2026-12-01T00:00:00Z', 'the first lot goes'),
	('50.0001', '2026-12-01T00:00:00Z', 'the first lot goes'), ('50', '2026-12-01T00:00:00Z', 'the second goes'),
	('30', '2026-12-01T00:00:00Z', 'the last goes'), ('0.0001', '2026-12-01T00:00:00Z', 'the last goes'),
	('0', '2026-12-01T00:00:00Z', 'never'), ('-1', '2026-12-01T00:00:00Z', 'never'),
	('60', '2027-01-01T00:00:00Z', 'it just did'), ('50', '2027-01-01T00:00:00Z', 'the second goes'), ('51', '2027-01-15T00:00:00Z', 'it did before'),
	('30', '2027-02-28T23:59:59.999999Z', 'the last goes'), ('1', '2027-03-01T00:00:00Z', 'nothing is left'), ('1', '2099-01-01T00:00:00Z', 'nothing is left'),
	('1', '-infinity', 'the last goes'), ('61', '-infinity', 'it always was'), ('1', 'infinity', 'nothing is left')) AS t(threshold, at, because);
SELECT falls_below('{}', '1', '2027-01-01T00:00:00Z') AT TIME ZONE 'UTC' AS "when";
SELECT to_json(lots '{2027-01-01T06:00:00Z=30}') AS "a string";

-- Stored form: varints of the first moment with its sign, the seconds between and the points.
SELECT lots, lots_send(lots)
FROM (VALUES ('{}'::lots), ('{2000-01-01T00:00:00Z=0.0001}'), ('{1999-12-31T23:59:59Z=0.0127}'), ('{2000-01-01T00:00:01Z=0.0128}'),
	('{1999-12-31T23:58:56Z=0.0001}'), ('{1999-12-31T23:58:55Z=0.0001}'), ('{2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}'),
	('{2000-01-01T00:00:00Z=922337203685477.5807}'), ('{-4713-11-24T00:00:00Z=1,294276-12-31T23:59:59Z=1}')) AS t(lots);
-- A year of month ends.
SELECT octet_length(lots_send(format('{%s}', string_agg(format('2027-%s-01T06:00:00Z=150', to_char(i, 'FM00')), ','))::lots)) AS bytes FROM generate_series(1, 12) i;

-- The longest value fits into a page as it is.
CREATE TEMP TABLE longest (lots lots);
ALTER TABLE longest ALTER lots SET STORAGE PLAIN;
INSERT INTO longest
SELECT format('{%s}', string_agg(format('%s=%s', to_char(timestamp '1000-01-01' + make_interval(secs => least(i, 260) * (2 ^ 35) + greatest(i - 260, 0) * (2 ^ 28)),
													   'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
									   CASE WHEN i < 124 THEN '7205759403792.7936' ELSE '56294995342.1312' END), ','))::lots
FROM generate_series(0, 511) i;
SELECT octet_length(lots_send(lots)) AS bytes, (SELECT count(*) FROM unnest_lots(lots)) AS lots, pg_column_size(lots) - 4 AS stored FROM longest;
-- Any storage will do.
CREATE TEMP TABLE outside (lots lots);
ALTER TABLE outside ALTER lots SET STORAGE EXTERNAL;
INSERT INTO outside TABLE longest;
SELECT pg_relation_size(reltoastrelid) > 7000 AS toasted FROM pg_class WHERE oid = 'outside'::regclass;
CREATE TEMP TABLE compressed (lots lots);
INSERT INTO compressed SELECT format('{%s}', string_agg(format('%s-01-01T00:00:00Z=150', i), ','))::lots FROM generate_series(2001, 2512) i;
SELECT pg_column_size(lots) < octet_length(lots_send(lots)) / 2 AS compressed FROM compressed;
SELECT o.lots = l.lots AS t, l.lots <> o.lots AS f, l.lots::text = o.lots::text AS t, lots_send(l.lots) = lots_send(o.lots) AS t,
	total(o.lots) AS "915356624263053.312", total(c.lots) AS "76800", c.lots = c.lots::text::lots AS t, total_due(c.lots, '2100-01-01T00:00:00Z') AS "15000"
FROM longest l, outside o, compressed c;

-- Binary form: what is stored, checked on the way in.
CREATE TEMP TABLE bytes (b bytea);
CREATE TEMP TABLE copied (lots lots);
INSERT INTO bytes VALUES (''), ('\x0001'), ('\xc0f5cfac06e0a71280bda301c8d007');
SELECT format('%s/loyalty_lots_%s.bin', current_setting('data_directory'), pg_backend_pid()) AS file \gset
COPY bytes TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
INSERT INTO copied SELECT lots FROM longest;
COPY copied TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
SELECT left(lots::text, 60) AS lots, count(*) FROM copied GROUP BY lots::text ORDER BY octet_length(lots::text);
COPY (SELECT '\x00'::bytea) TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
COPY (SELECT '\x000100'::bytea) TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
\set VERBOSITY sqlstate
COPY copied FROM :'file' (FORMAT binary);
\set VERBOSITY default

-- Damage.  A cast that checks nothing stands for a page that went bad.
CREATE CAST (bytea AS lots) WITHOUT FUNCTION;
CREATE FUNCTION pg_temp.stored(b bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN b::loyalty.lots::text;
EXCEPTION WHEN data_corrupted THEN
	RETURN 'damaged';
END
$$;
SELECT '\x00'::bytea::lots;
\set VERBOSITY sqlstate
SELECT '\x00'::bytea::lots;
SELECT lots_send('\x00'::bytea::lots);
SELECT total('\x00'::bytea::lots);
SELECT total_due('\x00'::bytea::lots, now());
SELECT falls_below('\x00'::bytea::lots, '1', now());
SELECT * FROM unnest_lots('\x00'::bytea::lots);
\set VERBOSITY default
SELECT b, pg_temp.stored(b), because
FROM (VALUES ('\x'::bytea, 'none'), ('\x0001', 'one'), ('\x00010101', 'two'), ('\x00', 'no points'), ('\x000101', 'no points'), ('\x80', 'unfinished'), ('\x0080', 'unfinished'),
	('\x000181', 'unfinished'), ('\x0000', 'points of 0'), ('\x00010100', 'points of 0'), ('\x00010001', 'the same moment again'),
	('\x800001', 'longer than it needs to be'), ('\x008100', 'longer than it needs to be'), ('\x0001810001', 'longer than it needs to be'), ('\x80808080808080808001', 'no points'),
	('\x00ffffffffffffffff7f', 'the most points'), ('\x0080808080808080808001', 'more points than fit'), ('\x00ffffffffffffffffff01', 'more points than fit'),
	('\x00ffffffffffffffff7f0101', 'a total that does not fit'), ('\x00feffffffffffffff7f0101', 'the most in two'),
	('\x00ffffffffffffffffff02', 'more than 64 bits'), ('\x00ffffffffffffffffff8001', 'more than 64 bits'), ('\xffffffffffffffffffff0101', 'a moment out of range'),
	('\xfeffffffffffffffff0101', 'a moment out of range'), ('\x0001ffffffffffffffffff0101', 'a moment out of range')) AS t(b, because);
-- The last moment that fits, the first that does not.
SELECT s, pg_temp.stored(lots_send(s::lots)) = s AS ok, pg_temp.stored(set_byte(lots_send(s::lots), 0, (get_byte(lots_send(s::lots), 0) + 2))) AS beyond
FROM (VALUES ('{294276-12-31T23:59:59Z=1}'), ('{-4713-11-24T00:00:00Z=1}')) AS t(s);
SELECT pg_temp.stored(decode('0001' || repeat('0101', 65535), 'hex')) LIKE '{%}' AS "65536", pg_temp.stored(decode('0001' || repeat('0101', 65536), 'hex')) AS "65537",
	pg_temp.stored(decode(repeat('01', 1000000), 'hex')), pg_temp.stored(decode(repeat('81', 1000000), 'hex'));

-- Random values against a model: what SQL makes of the same moments and points.
SELECT setseed(0.25) IS NOT NULL AS seeded;
CREATE TEMP TABLE model AS
SELECT id, expires_at, points
FROM (SELECT id, timestamptz '2000-01-01T00:00:00Z' + make_interval(secs => floor((random() - 0.4) * spread)) AS expires_at,
			 (floor(exp(random() * 20)) / 10000 + 0.0001)::numeric::points AS points
	  FROM (SELECT id, 10 ^ (1 + id % 9) AS spread, floor(random() * 40)::integer AS n FROM generate_series(1, 400) id OFFSET 0) AS t,
		   generate_series(1, n)) AS t;
DELETE FROM model a USING model b WHERE a.id = b.id AND a.expires_at = b.expires_at AND a.ctid > b.ctid;
CREATE TEMP TABLE packed AS
SELECT id, format('{%s}', string_agg(format('%s=%s', to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), points), ',' ORDER BY random()))::lots AS lots
FROM model GROUP BY id;
SELECT count(*) > 350 AS enough, sum((SELECT count(*) FROM unnest_lots(lots))) = (SELECT count(*) FROM model) AS t FROM packed;
SELECT count(*) AS "0" FROM packed WHERE lots::text::lots <> lots OR pg_temp.stored(lots_send(lots)) <> lots::text;
SELECT count(*) AS "0" FROM (SELECT id, u.* FROM packed, unnest_lots(lots) WITH ORDINALITY u(expires_at, points, n)) AS u
FULL JOIN (SELECT *, row_number() OVER (PARTITION BY id ORDER BY expires_at) AS n FROM model) AS m USING (id, n)
WHERE (u.expires_at, u.points::numeric) IS DISTINCT FROM (m.expires_at, m.points::numeric);
SELECT count(*) > 1000 AS enough, count(*) FILTER (WHERE at <> reached) > 300 AS later, count(*) FILTER (WHERE reached > at + interval '1 s') > 100 AS much_later,
	count(*) FILTER (WHERE total_due(lots, at) <> due OR total(lots) <> total OR falls_below(lots, threshold, at) IS DISTINCT FROM reached) AS "0"
FROM (SELECT p.packed::lots AS lots, m.at, m.threshold, coalesce(sum(x.points) FILTER (WHERE x.expires_at <= m.at), '0') AS due, sum(x.points) AS total,
			 -- the earliest of the moments at which what is later has become less
			 (SELECT min(c.at) FROM (SELECT m.at UNION SELECT y.expires_at FROM model y WHERE y.id = p.id AND y.expires_at > m.at) AS c
			  WHERE coalesce((SELECT sum(z.points) FROM model z WHERE z.id = p.id AND z.expires_at > c.at), '0') < m.threshold) AS reached
	  FROM (SELECT id, lots::text AS packed FROM packed) AS p
	  JOIN (SELECT id, expires_at + interval '1 s' * floor(random() * 3 - 1) AS at, '0.0001'::points + abs(points) * floor(random() * 10)::integer AS threshold, n
			FROM (SELECT *, row_number() OVER (PARTITION BY id ORDER BY random()) AS n FROM model) AS r WHERE n <= 4) AS m USING (id)
	  JOIN model x ON x.id = p.id
	  GROUP BY p.id, p.packed, m.at, m.threshold, m.n) AS t;

-- Mutated bytes against a reader that is in no hurry.
CREATE FUNCTION pg_temp.meaning(b bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	numbers numeric[] := '{}';
	n numeric := 0;
	place numeric := 1;
	c integer;
	second numeric;
	at integer := 1;
	width integer;
	earlier numeric;
	posted numeric;
	sum numeric;
	total numeric := 0;
	lots text[] := '{}';
BEGIN
	FOR i IN 0 .. octet_length(b) - 1 LOOP
		c := get_byte(b, i);
		n := n + place * (c % 128);
		place := place * 128;
		IF c < 128 THEN
			IF c = 0 AND place > 128 THEN
				RETURN 'damaged';
			END IF;
			numbers := numbers || n;
			n := 0;
			place := 1;
		END IF;
	END LOOP;
	IF place > 1 THEN
		RETURN 'damaged';
	END IF;
	WHILE at <= cardinality(numbers) LOOP
		n := CASE WHEN at > 1 THEN second + numbers[at] WHEN numbers[at] % 2 = 1 THEN -(numbers[at] + 1) / 2 ELSE numbers[at] / 2 END;
		-- a 0 instead of points says that they were posted with an earlier moment
		earlier := CASE WHEN numbers[at + 1] = 0 THEN numbers[at + 2] ELSE 0 END;
		width := CASE WHEN numbers[at + 1] = 0 THEN 4 ELSE 2 END;
		place := numbers[at + width - 1];
		total := total + place;
		-- 9223371331200 seconds after 2000 is the year 294277
		IF place IS NULL OR place = 0 OR (width = 4 AND earlier = 0) OR n - earlier < -211813488000 OR n >= 9223371331200
		   OR (at > 1 AND n = second AND n - earlier <= posted) OR total >= 9223372036854775808 THEN
			RETURN 'damaged';
		END IF;
		IF at > 1 AND n = second THEN
			sum := sum + place;
			lots[cardinality(lots)] := format('%s=%s', n::bigint, sum);
		ELSE
			sum := place;
			lots := lots || format('%s=%s', n::bigint, sum);
		END IF;
		second := n;
		posted := n - earlier;
		at := at + width;
	END LOOP;
	RETURN array_to_string(lots, ',');
END
$$;
CREATE FUNCTION pg_temp.got(b bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF loyalty_internal.lots_send(b::loyalty.lots) <> b THEN
		RAISE EXCEPTION '% is sent otherwise', b;
	END IF;
	RETURN (SELECT coalesce(string_agg(format('%s=%s', (extract(epoch FROM expires_at) - 946684800)::bigint, (points::numeric * 10000)::bigint), ','), '')
			FROM loyalty.unnest_lots(b::loyalty.lots));
EXCEPTION WHEN data_corrupted THEN
	RETURN 'damaged';
END
$$;
CREATE FUNCTION pg_temp.mutate(b bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	pos integer;
	c bytea;
BEGIN
	FOR i IN 1 .. floor(random() * 4)::integer LOOP
		pos := 1 + floor(random() * (octet_length(b) + 1))::integer;
		c := decode((ARRAY['00', '01', '7f', '80', '81', 'ff', lpad(to_hex(floor(random() * 256)::integer), 2, '0')])[1 + floor(random() * 7)::integer], 'hex');
		b := CASE floor(random() * 4)::integer
			WHEN 0 THEN overlay(b PLACING ''::bytea FROM pos FOR 1)
			WHEN 1 THEN overlay(b PLACING c FROM pos FOR 1)
			WHEN 2 THEN overlay(b PLACING c FROM pos FOR 0)
			ELSE substr(b, 1, pos)
		END;
	END LOOP;
	RETURN b;
END
$$;
SELECT count(*) FILTER (WHERE got = 'damaged') > 1000 AS damaged, count(*) FILTER (WHERE got <> 'damaged') > 1000 AS sound, count(*) FILTER (WHERE got <> meant) AS "0"
FROM (SELECT pg_temp.got(b) AS got, pg_temp.meaning(b) AS meant
	  FROM (SELECT pg_temp.mutate(seeds[1 + i % 6]) AS b
			FROM (VALUES (ARRAY['\x0001'::bytea, '\xc0f5cfac06e0a71280bda301c8d007', '\x000101010101', '\x00feffffffffffffff7f0101',
				lots_send('{294276-12-31T23:59:58Z=1,294276-12-31T23:59:59Z=1}'), lots_send('{-4713-11-24T00:00:00Z=2,-4713-11-25T00:00:00Z=2000}')])) AS t(seeds),
				generate_series(1, 6000) i OFFSET 0) AS mutants) AS read;
DROP CAST (bytea AS lots);

-- What the catalogue says of the type.
SELECT typlen, typbyval, typalign, typstorage, typcategory, typispreferred FROM pg_type WHERE oid = 'lots'::regtype;
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast WHERE 'lots'::regtype IN (castsource, casttarget);
SELECT opcname FROM pg_opclass WHERE opcintype = 'lots'::regtype;
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND 'lots'::regtype = ANY (p.proargtypes::oid[] || p.prorettype)
	AND NOT (p.provolatile = 'i' AND p.proisstrict AND p.proparallel = 's' AND has_function_privilege('loyalty_engine', p.oid, 'EXECUTE'));
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND 'lots'::regtype = ANY (p.proargtypes::oid[] || p.prorettype) AND a.grantee = 0;

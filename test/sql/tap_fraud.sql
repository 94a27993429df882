-- What may be fraud: rows that have to be there, with what they say, rows that must
-- not, where a look begins, and each look against the same found in another way.
SET default_transaction_isolation = 'read committed';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT loyalty.create_merchant('Otro') AS other \gset
SELECT program_id AS p FROM loyalty.create_wallet(:m, 'Monedero', 10, '{"decimals": 2, "shortfall": "negative"}') \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Xóchitl ' || n, CASE n % 2 WHEN 0 THEN 'Norte' ELSE 'Sur' END, '477100000' || n, 'clave ' || n) FROM generate_series(1, 5) n \g /dev/null
SELECT key_id AS key FROM loyalty.create_api_key(:m, 'caja') \gset
SELECT key_id AS slow FROM loyalty.create_api_key(:m, 'tienda') \gset
SELECT loyalty.create_member(:m, :p, 'Quetzalli') AS ana, loyalty.create_member(:m, :p, 'Beto') AS beto, loyalty.create_member(:m, :p, 'Citlali') AS cris \gset
CREATE ROLE regress_fraud;
SELECT loyalty.grant_reporting('regress_fraud', :m) \g /dev/null
SELECT set_config('fraud.m', :'m', true) \g /dev/null

-- A moment of a day in the time zone of the program, and as if what was posted was then.
CREATE FUNCTION pg_temp.at(moment timestamp) RETURNS timestamptz LANGUAGE sql AS $$SELECT moment AT TIME ZONE 'America/Mexico_City'$$;
CREATE FUNCTION pg_temp.then(id bigint, moment timestamp, key bigint DEFAULT NULL) RETURNS bigint LANGUAGE sql AS
$$UPDATE loyalty.entry SET posted_at = pg_temp.at(moment), actor_id = coalesce(key, actor_id) WHERE entry_id = id RETURNING entry_id$$;
CREATE FUNCTION pg_temp.sale(member bigint, moment timestamp, staff bigint DEFAULT NULL, key bigint DEFAULT NULL, money numeric DEFAULT 100) RETURNS bigint LANGUAGE sql AS
$$SELECT pg_temp.then((loyalty.sale(current_setting('fraud.m')::bigint, member, money::loyalty.points, staff_id => staff)).entry_id, moment, key)$$;

-- --- thresholds ----------------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.set_fraud_threshold(%s, %s)', :m, arguments), 'invalid_argument', 'set_fraud_threshold: ' || arguments)
FROM unnest(ARRAY['''other'', 1', 'NULL, 1', '''Burst_calls'', 5', '''burst_calls'', 1', '''burst_calls'', 2.5', '''burst_calls'', ''NaN''', '''burst_calls'', ''Infinity''', '''burst_seconds'', -1', '''burst_seconds'', 1e7', '''opening_hour'', 25', '''reversal_minutes'', 0.1234567']) arguments;
SELECT pg_temp.refuses('SELECT loyalty.set_fraud_threshold(1, ''burst_calls'', 5)', 'unknown_object', 'set_fraud_threshold: of no merchant');
SELECT is_empty('SELECT * FROM loyalty_internal.fraud_threshold', 'nothing was set');
SET LOCAL ROLE regress_fraud;
SELECT throws_ok(format('SELECT loyalty.set_fraud_threshold(%s, ''burst_calls'', 5)', :m), '42501', NULL, 'who reads sets nothing');
SELECT set_eq('SELECT threshold, value FROM loyalty_report.dim_fraud_threshold', $$VALUES ('same_member_sales', 4::numeric), ('correction_entries', 5), ('correction_factor', 3), ('reversal_minutes', 15), ('opening_hour', 6), ('closing_hour', 23), ('burst_calls', 60), ('burst_seconds', 60)$$, 'what they are');
RESET ROLE;
SELECT loyalty.set_fraud_threshold(:m, 'reversal_minutes', 7.5), loyalty.set_fraud_threshold(:m, 'reversal_minutes', 12.50), loyalty.set_fraud_threshold(:other, 'reversal_minutes', 1000) \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT results_eq('SELECT value, default_value FROM loyalty_report.dim_fraud_threshold WHERE threshold = ''reversal_minutes''', 'VALUES (12.5, 15::numeric)', 'the last that was set');
RESET ROLE;
SELECT loyalty.set_fraud_threshold(:m, 'reversal_minutes', NULL) \g /dev/null
SELECT results_eq('SELECT merchant_id, threshold, value FROM loyalty_internal.fraud_threshold', format('VALUES (%s::bigint, ''reversal_minutes'' COLLATE "C", 1000::numeric)', :other), 'until it is said no more');

-- --- one member, again and again --------------------------------------------------------------

-- four with one cashier; three on each side of midnight; four with two; four with nobody, and with an API key
SELECT pg_temp.sale(:ana, timestamp '2026-03-02 10:00' + n * interval '1 hour', 1) FROM generate_series(1, 4) n \g /dev/null
SELECT pg_temp.sale(:ana, timestamp '2026-03-03 22:00' + n * interval '10 minutes', 1) FROM generate_series(0, 2) n \g /dev/null
SELECT pg_temp.sale(:ana, timestamp '2026-03-04 06:00' + n * interval '10 minutes', 1) FROM generate_series(0, 2) n \g /dev/null
SELECT pg_temp.sale(:beto, timestamp '2026-03-05 10:00' + n * interval '1 hour', 1 + n % 2) FROM generate_series(1, 4) n \g /dev/null
SELECT pg_temp.sale(:beto, timestamp '2026-03-06 10:00' + n * interval '1 hour') FROM generate_series(1, 4) n \g /dev/null
SELECT pg_temp.sale(:beto, timestamp '2026-03-07 10:00' + n * interval '1 hour', NULL, :slow) FROM generate_series(1, 5) n \g /dev/null
SELECT pg_temp.sale(CASE n % 2 WHEN 0 THEN :beto ELSE :ana END, timestamp '2026-03-08 10:00' + n * interval '1 hour', 2) FROM generate_series(1, 6) n \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT results_eq('SELECT staff_key, api_key_key, posted_on, sales, money_sold, points_issued, first_at, last_at, reason FROM loyalty_report.fraud_same_member ORDER BY posted_on', format($$
	VALUES ('%1$s-1', '%1$s-0', date '2026-03-02', 4::numeric, 400::numeric, 40::numeric, pg_temp.at('2026-03-02 11:00'), pg_temp.at('2026-03-02 14:00'), '4 sales of one member at one till in a day: looked at from 4 on'),
		('%1$s-0', '%2$s', '2026-03-07', 5, 500, 50, pg_temp.at('2026-03-07 11:00'), pg_temp.at('2026-03-07 15:00'), '5 sales of one member at one till in a day: looked at from 4 on')$$, :m, :slow), 'fraud_same_member: many with one cashier, or key, in a day');
RESET ROLE;
SELECT loyalty.set_fraud_threshold(:m, 'same_member_sales', 3) \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT set_eq('SELECT member_key, staff_key, api_key_key, posted_on, sales FROM loyalty_report.fraud_same_member', $$SELECT member_key, staff_key, CASE WHEN staff_key ~ '-0$' THEN api_key_key ELSE merchant_key || '-0' END, posted_on, count(*)::numeric
	FROM loyalty_report.fact_entry WHERE kind = 'accrue' AND (staff_key !~ '-0$' OR api_key_key !~ '-0$') GROUP BY merchant_key, 1, 2, 3, 4 HAVING count(*) >= 3$$, 'from fewer on there are more');
SELECT is(count(*), 6::bigint, 'so many') FROM loyalty_report.fraud_same_member;
RESET ROLE;

-- --- who corrects more than others --------------------------------------------------------------

-- May: five cashiers with five or six sales each, and 1, 0, 2, 1 and 7 corrections; June: one alone
SELECT pg_temp.sale(:cris, timestamp '2026-05-01 12:00' + n * interval '1 day', 1 + n % 5) FROM generate_series(0, 49) n WHERE n < 28 \g /dev/null
DO $$
DECLARE
	m bigint := current_setting('fraud.m')::bigint;
	c bigint := (SELECT member_id FROM loyalty.members WHERE name = 'Citlali');
	e bigint;
BEGIN
	FOR s IN 1 .. 5 LOOP
		FOR i IN 1 .. CASE s WHEN 1 THEN 1 WHEN 2 THEN 0 WHEN 3 THEN 2 WHEN 4 THEN 1 ELSE 7 END LOOP
			IF i = 1 THEN
				e := pg_temp.sale(c, '2026-05-29 12:00', s);
				PERFORM pg_temp.then((loyalty.reverse(m, c, e, reference => s || ' ' || i, staff_id => s, in_full => true)).entry_id, '2026-05-30 12:00');
			ELSE
				PERFORM pg_temp.then((loyalty.post(m, c, 'adjust', -0.5, staff_id => s)).entry_id, '2026-05-30 13:00');
			END IF;
		END LOOP;
	END LOOP;
	FOR i IN 1 .. 9 LOOP
		PERFORM pg_temp.then((loyalty.post(m, c, 'adjust', 1, staff_id => 3)).entry_id, '2026-06-30 13:00');
	END LOOP;
END
$$;
CREATE TEMP VIEW by_staff AS SELECT staff_key, d.month_starts_on, count(*) FILTER (WHERE kind IN ('adjust', 'reverse')) AS corrections, count(*) FILTER (WHERE kind = 'accrue') AS sales
	FROM loyalty_report.fact_entry JOIN loyalty_report.dim_date d ON d.day = posted_on WHERE staff_key !~ '-0$' GROUP BY 1, 2;
GRANT SELECT ON by_staff TO PUBLIC;
SET LOCAL ROLE regress_fraud;
SELECT results_eq('SELECT staff_key, month_starts_on, corrections, refunds, adjustments, sales, points, round(share, 4), round(colleagues_share, 4), colleagues, reason FROM loyalty_report.fraud_corrections', format($$
	VALUES ('%s-5', date '2026-05-01', 7::numeric, 1::numeric, 6::numeric, 6::numeric, -13::numeric, 1.1667, 0.1548, 4::numeric, '7 corrections with 6 sales, 1.17 for each; half of 4 colleagues have 0.15 or fewer')$$, :m), 'fraud_corrections: who has many more than the median, and not who is alone');
RESET ROLE;
-- January: two; February: four, two of which have as many
SELECT count(pg_temp.then((loyalty.post(:m, :cris, 'adjust', 1, staff_id => staff)).entry_id, day + time '13:00'))
FROM (VALUES (1, 1, date '2026-01-10'), (2, 3, '2026-01-10'), (1, 1, '2026-02-10'), (2, 2, '2026-02-10'), (3, 2, '2026-02-10'), (4, 5, '2026-02-10')) v (staff, entries, day), generate_series(1, entries) \g /dev/null
SELECT loyalty.set_fraud_threshold(:m, 'correction_entries', 1), loyalty.set_fraud_threshold(:m, 'correction_factor', 0.3) \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT set_eq('SELECT staff_key, month_starts_on, round(colleagues_share, 9) FROM loyalty_report.fraud_corrections', $$SELECT a.staff_key, a.month_starts_on, round(c.median::numeric, 9) FROM loyalty_report.dim_date f, by_staff a, LATERAL (SELECT count(*) AS n,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY b.corrections / greatest(b.sales, 1)::double precision) AS median FROM by_staff b WHERE b.month_starts_on = a.month_starts_on AND b.staff_key <> a.staff_key) c
	WHERE f.day = a.month_starts_on AND c.n > 0 AND a.corrections > 0 AND a.corrections / greatest(a.sales, 1)::numeric > 0.3 * c.median::numeric$$, 'the median of the others, as PostgreSQL has it');
SELECT set_eq('SELECT staff_key, month_starts_on, share, round(colleagues_share, 4), colleagues FROM loyalty_report.fraud_corrections WHERE month_starts_on < ''2026-03-01''', format($$
	VALUES ('%1$s-1', date '2026-01-01', 1::numeric, 3::numeric, 1::numeric), ('%1$s-2', '2026-01-01', 3, 1, 1),
		('%1$s-1', '2026-02-01', 1, 2, 3), ('%1$s-2', '2026-02-01', 2, 2, 3), ('%1$s-3', '2026-02-01', 2, 2, 3), ('%1$s-4', '2026-02-01', 5, 2, 3)$$, :m), 'of two cashiers, and of four');
SELECT set_has('SELECT DISTINCT colleagues FROM loyalty_report.fraud_corrections', 'SELECT unnest(''{1,3,4}''::numeric[])', 'and of five');
RESET ROLE;
SELECT loyalty.set_fraud_threshold(:m, 'correction_factor', 8) \g /dev/null
SELECT is_empty(format('SELECT * FROM loyalty_report.fraud_corrections WHERE merchant_key = %L AND month_starts_on = ''2026-05-01''', :'m'), 'with a larger factor nobody is');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace::regnamespace::text ~ '^loyalty' AND c.relname ~ '^fraud_' AND c.relkind = 'v'
	AND pg_get_viewdef(c.oid) ~ 'array_agg|nth_value|[a-z)]\['$$, 'no look goes through the list of all for each of them');

-- --- sold, and taken back at once ------------------------------------------------------------------

-- within 15 minutes, with points spent in between, before only, or not, in part, twice; and a microsecond later than that
SELECT pg_temp.then((loyalty.post(:m, member, 'redeem', 2)).entry_id, '2026-07-01 11:00') FROM unnest(ARRAY[:ana, :beto]) member \g /dev/null
SELECT pg_temp.sale(:ana, '2026-07-01 12:00', 1, NULL, 1000) AS s1, pg_temp.sale(:beto, '2026-07-01 12:00', 2, NULL, 300) AS s2, pg_temp.sale(:cris, '2026-07-01 12:00', 3, NULL, 500) AS s3 \gset
SELECT pg_temp.then((loyalty.post(:m, :ana, 'redeem', 60)).entry_id, '2026-07-01 12:05'), pg_temp.then((loyalty.transfer(:m, :ana, :beto, 8)).entry_id, '2026-07-01 12:06') \g /dev/null
UPDATE loyalty.entry SET posted_at = pg_temp.at('2026-07-01 12:06') WHERE account_id = :beto AND kind = 11;
SELECT pg_temp.then((loyalty.reverse(:m, :ana, :s1, reference => 'a', staff_id => 4, in_full => true)).entry_id, '2026-07-01 12:15') AS r1,
	pg_temp.then((loyalty.reverse(:m, :beto, :s2, reference => 'b', staff_id => 2, money => 30)).entry_id, '2026-07-01 12:07:30') AS r2,
	pg_temp.then((loyalty.reverse(:m, :cris, :s3, reference => 'c', staff_id => 3, in_full => true)).entry_id, '2026-07-01 12:15:00.000001') AS r3 \gset
SELECT pg_temp.then((loyalty.reverse(:m, :beto, :s2, reference => 'd', in_full => true)).entry_id, '2026-07-01 12:08') AS r4 \gset
SELECT pg_temp.then((loyalty.post(:m, :ana, 'redeem', 1)).entry_id, '2026-07-01 12:16') AS spent \gset
SELECT pg_temp.then((loyalty.reverse(:m, :ana, :spent, reference => 'e', in_full => true)).entry_id, '2026-07-01 12:17') \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT results_eq('SELECT entry_key, sale_entry_key, staff_key, round(minutes, 4), money_sold, points_issued, points_reversed, points_used_between, reason FROM loyalty_report.fraud_quick_reversal ORDER BY posted_at DESC', format($$
	VALUES ('%1$s', '%2$s', '%3$s-4', 15.0000, 1000::numeric, 100::numeric, 100::numeric, 68::numeric, 'refunded 15.0 minutes after the sale; 68 points had been spent or passed on in between'),
		('%4$s', '%5$s', '%3$s-0', 8.0000, 300, 30, 27, 0, 'refunded 8.0 minutes after the sale; no points had been spent in between'),
		('%6$s', '%5$s', '%3$s-2', 7.5000, 300, 30, 3, 0, 'refunded 7.5 minutes after the sale; no points had been spent in between')$$, :r1, :s1, :m, :r4, :s2, :r2), 'fraud_quick_reversal: refunds of sales within minutes, and no others');
RESET ROLE;
SELECT loyalty.set_fraud_threshold(:m, 'reversal_minutes', 100000) \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT set_eq('SELECT entry_key, round(minutes, 6), points_used_between FROM loyalty_report.fraud_quick_reversal', $$SELECT r.entry_key, round(extract(epoch FROM r.posted_at - s.posted_at) / 60, 6),
	coalesce((SELECT -sum(u.points + u.points_reserved) FROM loyalty_report.fact_entry u WHERE u.member_key = s.member_key AND u.entry_number BETWEEN s.entry_number AND r.entry_number AND (u.kind IN ('redeem', 'capture') OR u.kind = 'transfer' AND u.points < 0)), 0)
	FROM loyalty_report.fact_entry r JOIN loyalty_report.fact_entry s ON s.entry_key = r.origin_entry_key WHERE r.kind = 'reverse' AND s.kind = 'accrue' AND r.posted_at - s.posted_at <= interval '100000 minutes'$$, 'with more minutes, all of them');
SELECT is(count(*), 8::bigint, 'so many') FROM loyalty_report.fraud_quick_reversal;
RESET ROLE;

-- --- when tills are closed -----------------------------------------------------------------------

SELECT pg_temp.sale(:ana, '2026-08-01 05:59:59.999999', 1), pg_temp.sale(:ana, '2026-08-01 06:00', 1), pg_temp.sale(:ana, '2026-08-01 22:59:59.999999', 1), pg_temp.sale(:ana, '2026-08-01 23:00', 1),
	pg_temp.sale(:ana, '2026-08-02 03:00'), pg_temp.sale(:ana, '2026-08-02 00:00', 2) \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT results_eq('SELECT o.staff_key, b.name, posted_on, entries, points, first_at, last_at, reason FROM loyalty_report.fraud_outside_hours o JOIN loyalty_report.dim_branch b USING (branch_key) ORDER BY posted_on', format($$
	VALUES ('%1$s-1', 'Sur', date '2026-08-01', 2::numeric, 20::numeric, pg_temp.at('2026-08-01 05:59:59.999999'), pg_temp.at('2026-08-01 23:00'), '2 entries while tills are closed, from 23:00 to 06:00'),
		('%1$s-2', 'Norte', '2026-08-02', 1, 10, pg_temp.at('2026-08-02 00:00'), pg_temp.at('2026-08-02 00:00'), '1 entries while tills are closed, from 23:00 to 06:00')$$, :m), 'fraud_outside_hours: before they open and after they close, by somebody');
RESET ROLE;
CREATE FUNCTION pg_temp.closed(opening integer, closing integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM loyalty.set_fraud_threshold(current_setting('fraud.m')::bigint, 'opening_hour', opening), loyalty.set_fraud_threshold(current_setting('fraud.m')::bigint, 'closing_hour', closing);
	RETURN public.is((SELECT coalesce(sum(o.entries), 0) FROM loyalty_report.fraud_outside_hours o WHERE o.merchant_key = current_setting('fraud.m')),
		(SELECT count(*)::numeric FROM loyalty_report.fact_entry e WHERE e.merchant_key = current_setting('fraud.m') AND e.staff_key !~ '-0$' AND NOT
			((e.posted_at AT TIME ZONE 'America/Mexico_City')::time >= make_interval(hours => opening)::time AND (e.posted_at AT TIME ZONE 'America/Mexico_City')::time < make_interval(hours => closing)::time
			 OR opening > closing AND NOT ((e.posted_at AT TIME ZONE 'America/Mexico_City')::time >= make_interval(hours => closing)::time AND (e.posted_at AT TIME ZONE 'America/Mexico_City')::time < make_interval(hours => opening)::time) OR opening = closing)),
		format('open from %s to %s', opening, closing));
END
$$;
SELECT pg_temp.closed(opening, closing) FROM (VALUES (9, 21), (7, 13), (20, 6), (12, 12), (0, 23)) v (opening, closing);
SELECT loyalty.set_fraud_threshold(:m, 'closing_hour', NULL), loyalty.set_fraud_threshold(:m, 'opening_hour', NULL) \g /dev/null

-- --- bursts ---------------------------------------------------------------------------------------

SELECT loyalty.set_fraud_threshold(:m, 'burst_calls', 4), loyalty.set_fraud_threshold(:m, 'burst_seconds', 10) \g /dev/null
-- 4 in 10 s, and on, so that two windows meet; 4 in more than that; a batch; the other key in between; much later another
SELECT pg_temp.sale(:beto, timestamp '2026-09-01 12:00' + s * interval '1 second', NULL, CASE WHEN s = 5.5 THEN :slow ELSE :key END) FROM unnest('{0,3,5.5,6,10,12,14,15}'::numeric[]) s \g /dev/null
SELECT pg_temp.sale(:beto, timestamp '2026-09-01 13:00' + s * interval '1 second', NULL, :key) FROM unnest('{0,3,6,10.000001,14,18}'::numeric[]) s \g /dev/null
SELECT pg_temp.sale(:beto, '2026-09-01 14:00', NULL, :key) FROM generate_series(1, 9) \g /dev/null
SELECT pg_temp.sale(:beto, timestamp '2026-09-01 15:00' + s * interval '1 second', NULL, :key) FROM unnest('{0,0,3,9,10}'::numeric[]) s \g /dev/null
SET LOCAL ROLE regress_fraud;
SELECT results_eq('SELECT api_key_key, first_at, last_at, calls, entries, reason FROM loyalty_report.fraud_burst ORDER BY first_at', format($$
	VALUES ('%1$s', pg_temp.at('2026-09-01 12:00'), pg_temp.at('2026-09-01 12:00:15'), 7::numeric, 7::numeric, '7 calls with one API key in 15.0 seconds: looked at from 4 within 10 seconds on'),
		('%1$s', pg_temp.at('2026-09-01 15:00'), pg_temp.at('2026-09-01 15:00:10'), 4, 5, '4 calls with one API key in 10.0 seconds: looked at from 4 within 10 seconds on')$$, :key), 'fraud_burst: so many calls in so few seconds, and no batch');
RESET ROLE;
-- by counting, for each call, those that follow it
SELECT setseed(0.3) \g /dev/null
SELECT pg_temp.sale(:beto, timestamp '2026-09-02 12:00' + 600 * random() * interval '1 second', NULL, :slow) FROM generate_series(1, 200) \g /dev/null
SELECT set_eq(format($$SELECT c.posted_at FROM loyalty_report.fraud_burst b JOIN (SELECT DISTINCT posted_at, actor_id FROM loyalty.entry WHERE merchant_id = %1$s) c ON c.actor_id::text = b.api_key_key AND c.posted_at BETWEEN b.first_at AND b.last_at WHERE b.merchant_key = '%1$s'$$, :m),
	format($$SELECT DISTINCT c.posted_at FROM (SELECT DISTINCT posted_at, actor_id FROM loyalty.entry WHERE merchant_id = %1$s) c JOIN (SELECT a.actor_id, a.posted_at FROM (SELECT DISTINCT posted_at, actor_id FROM loyalty.entry WHERE merchant_id = %1$s) a
		JOIN (SELECT DISTINCT posted_at, actor_id FROM loyalty.entry WHERE merchant_id = %1$s) n ON n.actor_id = a.actor_id AND n.posted_at BETWEEN a.posted_at AND a.posted_at + interval '10 seconds' GROUP BY 1, 2 HAVING count(*) >= 4) f
		ON f.actor_id = c.actor_id AND c.posted_at BETWEEN f.posted_at AND f.posted_at + interval '10 seconds'$$, :m), 'the calls of bursts are those that are crowded');
SELECT is_empty($$SELECT * FROM loyalty_report.fraud_burst a JOIN loyalty_report.fraud_burst b ON b.api_key_key = a.api_key_key AND b.first_at > a.first_at AND b.first_at <= a.last_at$$, 'bursts that meet are one');
SELECT is(sum(b.calls), (SELECT count(*)::numeric FROM (SELECT DISTINCT posted_at, actor_id::text AS k FROM loyalty.entry WHERE merchant_id = :m) c WHERE EXISTS (SELECT FROM loyalty_report.fraud_burst x WHERE x.api_key_key = c.k AND c.posted_at BETWEEN x.first_at AND x.last_at)), 'and their calls are counted') FROM loyalty_report.fraud_burst b WHERE b.merchant_key = :'m';
SELECT cmp_ok(count(*), '>', 4::bigint, 'there are many') FROM loyalty_report.fraud_burst WHERE merchant_key = :'m';

-- --- of the newest only ----------------------------------------------------------------------------

-- Four sales of March, and a burst, have numbers of two months ago.
SELECT loyalty.set_fraud_threshold(:m, t, NULL) FROM unnest('{same_member_sales,correction_entries,correction_factor,reversal_minutes}'::text[]) t \g /dev/null
CREATE TEMP VIEW all_looks AS SELECT v.look, v.since, v.reason FROM (
	SELECT 'same_member', first_at, reason FROM loyalty_report.fraud_same_member WHERE merchant_key = current_setting('fraud.m') UNION ALL SELECT 'corrections', month_starts_on, reason FROM loyalty_report.fraud_corrections WHERE merchant_key = current_setting('fraud.m')
	UNION ALL SELECT 'quick_reversal', sold_at, reason FROM loyalty_report.fraud_quick_reversal WHERE merchant_key = current_setting('fraud.m') UNION ALL SELECT 'outside_hours', first_at, reason FROM loyalty_report.fraud_outside_hours WHERE merchant_key = current_setting('fraud.m')
	UNION ALL SELECT 'burst', first_at, reason FROM loyalty_report.fraud_burst WHERE merchant_key = current_setting('fraud.m')) v (look, since, reason);
GRANT SELECT ON all_looks TO PUBLIC;
CREATE TEMP TABLE looked_before AS SELECT * FROM all_looks;
SELECT is(array_agg(DISTINCT look ORDER BY look), '{burst,corrections,outside_hours,quick_reversal,same_member}', 'each look has something') FROM looked_before;
UPDATE loyalty.entry SET entry_id = entry_id - (extract(epoch FROM interval '60 days') * 1000)::bigint * 4194304
WHERE merchant_id = :m AND (posted_at BETWEEN pg_temp.at('2026-03-02') AND pg_temp.at('2026-03-03') OR posted_at BETWEEN pg_temp.at('2026-09-01 15:00') AND pg_temp.at('2026-09-01 16:00'));
SELECT set_eq('SELECT * FROM all_looks', 'SELECT * FROM looked_before', 'whatever the numbers are, all is looked at');
SET LOCAL loyalty_report.fraud_since = 'infinity';
SELECT is_empty('SELECT * FROM loyalty_report.fraud_same_member', 'what is to come is nothing, without an error');
SET LOCAL loyalty_report.fraud_since = 'nunca';
SELECT throws_ok('SELECT * FROM all_looks', '22007', NULL, 'a moment that is none is an error');
SELECT set_config('loyalty_report.fraud_since', (now() - interval '59 days')::text, true) \g /dev/null
SELECT set_eq('SELECT * FROM all_looks', $$SELECT look, since, replace(reason, '27 sales', '22 sales') FROM looked_before WHERE since NOT BETWEEN pg_temp.at('2026-03-02') AND pg_temp.at('2026-03-03') AND since NOT BETWEEN pg_temp.at('2026-09-01 15:00') AND pg_temp.at('2026-09-01 16:00')$$, 'fraud_since: from then on, by the number of the entry');
SELECT loyalty_internal.count_fraud(:m) \g /dev/null
SELECT results_eq(format('SELECT look COLLATE "C", cases, counted_at FROM loyalty_internal.fraud_count WHERE merchant_id = %s ORDER BY 1', :m), 'SELECT look COLLATE "C", count(*), now() FROM all_looks GROUP BY 1 ORDER BY 1', 'count_fraud: counts what is of the last 30 days');
SELECT is(current_setting('loyalty_report.fraud_since'), (now() - interval '59 days')::text, 'and leaves the setting as it was');
RESET loyalty_report.fraud_since;
SELECT results_eq('SELECT sum(cases) FROM loyalty_internal.fraud_count', 'SELECT count(*)::numeric - 2 FROM all_looks', 'it leaves out the same two');
UPDATE loyalty.entry SET entry_id = entry_id - (extract(epoch FROM interval '60 days') * 1000)::bigint * 4194304 WHERE merchant_id = :m;
SELECT loyalty_internal.count_fraud(:m) \g /dev/null
SELECT is(sum(cases), 0::numeric, 'what is no more is counted as none') FROM loyalty_internal.fraud_count;
-- each is of the one merchant from the first row it reads on
CREATE FUNCTION pg_temp.scans(look text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL enable_seqscan = off;
	RETURN QUERY EXECUTE format('EXPLAIN (COSTS off) SELECT count(*) FROM loyalty_internal.fraud_%s WHERE merchant_id = %s', look, current_setting('fraud.m'));
END
$$;
SELECT is_empty(format($$SELECT plan FROM (SELECT plan, lead(plan) OVER () AS next FROM pg_temp.scans(%L) plan) p WHERE plan ~ 'Index .*Scan.* on (entry|reversal)' AND NOT coalesce(next ~ ('merchant_id = (\w+\.merchant_id|.?' || %L || ')'), false)$$, look, :m), look || ' reads of one merchant its own entries')
FROM unnest('{same_member,corrections,quick_reversal,outside_hours,burst}'::text[]) look;

-- --- who sees what ----------------------------------------------------------------------------------

CREATE ROLE regress_elsewhere;
SELECT loyalty.grant_reporting('regress_elsewhere', :other) \g /dev/null
SET LOCAL ROLE regress_elsewhere;
SELECT is_empty('SELECT * FROM loyalty_report.' || v, 'of another merchant ' || v || ' has nothing') FROM unnest('{fraud_same_member,fraud_corrections,fraud_quick_reversal,fraud_outside_hours,fraud_burst}'::text[]) v;
SELECT is(array_agg(DISTINCT merchant_key), ARRAY[:'other'], 'nor has dim_fraud_threshold') FROM loyalty_report.dim_fraud_threshold;
RESET ROLE;
SELECT is_empty(format($$SELECT v::text FROM loyalty_report.%s v WHERE v::text ~ 'Xóchitl|Quetzalli|Citlali|477100|%s|%s'$$, v, :ana, :beto), 'nobody is named by ' || v) FROM unnest('{fraud_same_member,fraud_corrections,fraud_quick_reversal,fraud_outside_hours,fraud_burst}'::text[]) v;

SELECT * FROM finish();
ROLLBACK;

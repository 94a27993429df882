-- What marketing and operations ask, against the same counted entry by entry in
-- another way: loops that go through the ledger, and say what each entry is.
SET default_transaction_isolation = 'read committed';
\ir ../tap.sql
SELECT setseed(0.4) \g /dev/null

-- --- a year of two programs, in two time zones, and a merchant that is not asked for -----

CREATE TEMP TABLE sold (merchant_id bigint, account_id bigint, entry_id bigint);
CREATE FUNCTION pg_temp.fill(name text, people integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	m bigint := loyalty.create_merchant(name);
	p bigint := (loyalty.create_wallet(m, 'Monedero', 10, '{"decimals": 2}')).program_id;
	q bigint := (loyalty.create_program(m, 'Club', name, '{"pending_days": 3, "shortfall": "negative", "redemption_points": 2}')).program_id;
	a bigint;
	e bigint;
	dice float8;
BEGIN
	PERFORM loyalty.employee_add(m, 'cajero', 'Ana', 'Norte', '4771000001', 'clave una'), loyalty.employee_add(m, 'cajero', 'Beto', 'Sur', '4771000002', 'clave otra');
	FOR i IN 1 .. people LOOP
		a := loyalty.create_member(m, CASE WHEN i % 3 = 0 THEN q ELSE p END, 'Persona ' || i);
		FOR j IN 1 .. 14 LOOP
			dice := random();
			BEGIN
				IF dice < 0.5 THEN
					INSERT INTO sold SELECT m, a, s.entry_id FROM loyalty.sale(m, a, (random() * 900)::numeric(10, 2)::loyalty.points, staff_id => (random() * 2)::integer) s;
				ELSIF dice < 0.6 THEN
					PERFORM loyalty.post(m, a, 'deposit', 3.25, staff_id => 2);
				ELSIF dice < 0.7 THEN
					e := (loyalty.post(m, a, 'redeem', 5.5, money => 7, staff_id => 1)).entry_id;
					IF random() < 0.4 THEN
						PERFORM loyalty.reverse(m, a, e, 2, 'devuelto ' || a || ' ' || j);
					END IF;
				ELSIF dice < 0.75 THEN
					e := (loyalty.hold(m, a, 4)).entry_id;
					PERFORM loyalty.capture(m, a, e, 3, staff_id => 2);
				ELSIF dice < 0.8 THEN
					PERFORM loyalty.post(m, a, 'adjust', -1, staff_id => 1);
				ELSE
					SELECT s.entry_id INTO e FROM sold s WHERE s.account_id = a ORDER BY random() LIMIT 1;
					IF random() < 0.4 THEN
						PERFORM loyalty.reverse(m, a, e, reference => 'todo ' || j, in_full => true);
					ELSIF random() < 0.5 THEN
						PERFORM loyalty.reverse(m, a, e, reference => 'dinero ' || j, money => 20);
					ELSE
						PERFORM loyalty.reverse(m, a, e, 1.5, reference => 'puntos ' || j);
					END IF;
				END IF;
			EXCEPTION WHEN OTHERS THEN
				CONTINUE;
			END;
		END LOOP;
	END LOOP;
	-- one sale that earns nothing and is taken back, one whose points expire, one who shares, is erased, or is nobody
	e := (loyalty.sale(m, a, 0.01)).entry_id;
	PERFORM loyalty.reverse(m, a, e, reference => 'nada', in_full => true);
	a := loyalty.create_member(m, p, 'Vence');
	PERFORM loyalty.post(m, a, 'deposit', 2, expires_at => clock_timestamp() + interval '1 second'), loyalty.post(m, a, 'deposit', 4, available_at => clock_timestamp() + interval '1 second');
	PERFORM loyalty.sale(m, loyalty.open_account(m, p), 100, staff_id => 1);
	PERFORM loyalty.sale(m, loyalty.create_member(m, p, 'Borrada'), 200);
	PERFORM loyalty.erase_member(m, x.member_id) FROM loyalty.members x WHERE x.merchant_id = m AND x.name = 'Borrada';
	PERFORM pg_sleep(2.1), loyalty.post(m, a, 'deposit', 1);
	UPDATE loyalty_internal.program SET time_zone = 'Pacific/Auckland' WHERE program_id = q;
	-- as if it had taken thirteen months, each member from another day on; now and then at the last and first moments of a day
	UPDATE loyalty.entry x SET posted_at = CASE x.entry_no % 5 WHEN 0 THEN date_trunc('day', n.at, 'America/Mexico_City') WHEN 1 THEN date_trunc('day', n.at, 'Pacific/Auckland') - interval '1 microsecond' ELSE n.at END
	FROM (SELECT y.entry_id, now() - interval '400 days' * (0.05 + 0.95 * ((y.account_id % 17) / 17.0)) * (1 - y.entry_no / (1.0 + max(y.entry_no) OVER (PARTITION BY y.account_id))) AS at FROM loyalty.entry y WHERE y.merchant_id = m) n
	WHERE x.merchant_id = m AND x.entry_id = n.entry_id;
	UPDATE loyalty_internal.member x SET subscribed_at = least((SELECT min(y.posted_at) FROM loyalty.entry y WHERE y.account_id = x.member_id) + (x.member_id % 3 - 1) * interval '20 days', now()) WHERE x.merchant_id = m AND EXISTS (SELECT FROM loyalty.entry y WHERE y.account_id = x.member_id);
	RETURN m;
END
$$;
SELECT pg_temp.fill('Uno', 30) AS m \gset
SELECT pg_temp.fill('Otro', 4) AS other \gset
CREATE ROLE regress_market;
SELECT loyalty.grant_reporting('regress_market', :m) \g /dev/null
SELECT cmp_ok(count(*), '>=', 9::bigint, 'entries of many kinds') FROM (SELECT DISTINCT kind FROM loyalty.entry WHERE merchant_id = :m) k;

-- Numbers of a view, a row each, under the texts, days and moments of their row.
CREATE FUNCTION pg_temp.numbers(view text) RETURNS TABLE (key text, measure text, value numeric) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$SELECT (SELECT string_agg(k.value, '|' ORDER BY k.key COLLATE "C") FROM jsonb_each_text(to_jsonb(v)) k WHERE k.key ~ '_key$|_on$|^age_months$' AND k.key !~ '^last_sale'), n.key, round(n.value::numeric, 9)
		FROM %s v, jsonb_each_text(to_jsonb(v)) n WHERE n.key !~ '_key$|_on$|_at$|^age_months$|_rate$|^money_per_sale$|^is_|^cell$' AND n.value::numeric <> 0$q$, view);
END
$$;

-- --- the same, counted -----------------------------------------------------------------------

-- Whatever an entry adds to: under merchant and program, and what else the view goes by.
CREATE TEMP TABLE tally (view text, key text, measure text, value numeric);
CREATE TEMP TABLE came (view text, key text, who bigint);
CREATE TEMP TABLE sale (entry_id bigint PRIMARY KEY, program bigint, who bigint, at timestamptz, on_day date, money numeric, points numeric, back numeric DEFAULT 0, money_back numeric DEFAULT 0, whole boolean DEFAULT false);
CREATE FUNCTION pg_temp.count(m bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	e record;
	o record;
	f sale;
	zone text;
	day date;
	who text;
	staff text;
	branch text;
	secret text := (SELECT digest_key FROM loyalty_internal.merchant WHERE merchant_id = m);
	enrolled date;
	ages integer;
	n record;
BEGIN
	FOR e IN SELECT x.*, a.program_id AS program FROM loyalty.entry x JOIN loyalty_internal.account a USING (merchant_id, account_id) WHERE x.merchant_id = m ORDER BY x.account_id, x.entry_no LOOP
		SELECT time_zone INTO zone FROM loyalty.programs WHERE program_id = e.program;
		day := (e.posted_at AT TIME ZONE zone)::date;
		SELECT * INTO o FROM loyalty.entry x WHERE x.merchant_id = m AND x.entry_id = e.origin_entry_id;
		staff := m || '-' || CASE WHEN e.staff_id IN (1, 2) THEN e.staff_id ELSE 0 END;
		branch := coalesce((SELECT b.branch_id::text FROM loyalty.branches b WHERE b.merchant_id = m AND b.name = CASE e.staff_id WHEN 1 THEN 'Norte' WHEN 2 THEN 'Sur' END), m || '-0');
		who := loyalty_internal.pseudonym(secret, e.account_id);
		enrolled := (SELECT date_trunc('month', x.subscribed_at AT TIME ZONE zone) FROM loyalty.members x WHERE x.merchant_id = m AND x.member_id = e.account_id AND x.name <> 'cancelado' AND x.name IS NOT NULL AND EXISTS (SELECT FROM loyalty_internal.member y WHERE y.member_id = x.member_id AND y.cancelled_at IS NULL));
		ages := 0;
		WHILE enrolled + ages * interval '1 month' + interval '1 month' <= day LOOP
			ages := ages + 1;
		END LOOP;
		-- what it is
		FOR n IN SELECT * FROM (VALUES ('entries', 1, '{branch,staff}'::text[]), ('points', e.amount::numeric, '{member}'),
			('sales', CASE e.kind WHEN 1 THEN 1 END, '{day,week,branch,staff,cohort}'), ('money_sold', CASE e.kind WHEN 1 THEN e.money::numeric END, '{day,week,branch,staff,cohort,member}'),
			('points_issued', CASE WHEN e.kind < 3 THEN e.amount::numeric + coalesce(e.reserved::numeric, 0) END, '{day,week,branch,staff,cohort,member}'),
			('points_redeemed', CASE e.kind WHEN 3 THEN -e.amount::numeric WHEN 7 THEN -e.reserved::numeric END, '{day,week,branch,staff,cohort,member}'),
			('points_taken_back', CASE WHEN e.kind = 10 AND o.kind IN (1, 2) THEN -e.amount::numeric - coalesce(e.reserved::numeric, 0) END, '{day,week,member}'),
			('points_given_back', CASE WHEN e.kind = 10 AND o.kind IN (3, 7) THEN e.amount::numeric END, '{day,week,member}'),
			('points_expired', CASE e.kind WHEN 5 THEN -e.amount::numeric END, '{member}'),
			('refunds', CASE e.kind WHEN 10 THEN 1 END, '{branch,staff}'), ('adjustments', CASE e.kind WHEN 4 THEN 1 END, '{branch,staff}'),
			('active_members', CASE WHEN e.kind IN (1, 3, 7) THEN 0 END, '{day,week,branch,staff,cohort}')) v (measure, value, views) WHERE value IS NOT NULL LOOP
			FOR o IN SELECT v.* FROM (VALUES ('day', concat_ws('|', m, day, e.program)), ('week', concat_ws('|', m, e.program, (date_trunc('week', day + 1.0 * interval '1 day') - interval '1 day')::date)),
				('branch', concat_ws('|', branch, m, day, e.program)), ('staff', concat_ws('|', branch, m, day, e.program, staff)), ('member', concat_ws('|', who, m, e.program)),
				('cohort', CASE WHEN enrolled IS NOT NULL THEN concat_ws('|', ages, enrolled, m, e.program) END)) v (view, key) WHERE v.view = ANY (n.views) AND v.key IS NOT NULL LOOP
				IF n.measure = 'active_members' THEN
					INSERT INTO came VALUES (o.view, o.key, e.account_id);
				ELSE
					INSERT INTO tally VALUES (o.view, o.key, n.measure, n.value);
				END IF;
			END LOOP;
		END LOOP;
		IF e.kind = 1 THEN
			INSERT INTO sale VALUES (e.entry_id, e.program, e.account_id, e.posted_at, day, coalesce(e.money::numeric, 0), e.amount::numeric + coalesce(e.reserved::numeric, 0));
		ELSIF e.kind = 10 AND EXISTS (SELECT FROM sale x WHERE x.entry_id = e.origin_entry_id) THEN
			-- one refund after the other, as they were told
			SELECT * INTO f FROM sale x WHERE x.entry_id = e.origin_entry_id;
			SELECT r.amount::numeric AS points, r.money::numeric AS money INTO o FROM loyalty_internal.reversal r WHERE r.merchant_id = m AND r.entry_id = f.entry_id AND r.reversed_by = e.entry_id;
			f.back := f.back + o.points;
			f.money_back := f.money_back + coalesce(o.money, CASE WHEN f.points > 0 THEN f.money / f.points * o.points ELSE f.money END);
			f.whole := f.whole OR f.back = f.points AND (f.points > 0 OR o.money IS NULL);
			UPDATE sale x SET back = f.back, money_back = CASE WHEN f.whole AND EXISTS (SELECT FROM loyalty_internal.reversal r WHERE r.entry_id = f.entry_id AND r.money IS NULL) THEN f.money ELSE f.money_back END, whole = f.whole WHERE x.entry_id = f.entry_id;
		END IF;
	END LOOP;
	UPDATE sale SET whole = true WHERE money_back > 0 AND money_back >= money;
	INSERT INTO tally SELECT 'member', concat_ws('|', loyalty_internal.pseudonym(secret, x.who), m, x.program), v.measure, v.value FROM sale x, LATERAL (VALUES ('money_refunded', x.money_back), ('sales', CASE WHEN x.whole THEN 0 ELSE 1 END)) v (measure, value);
	INSERT INTO tally SELECT c.view, c.key, 'active_members', count(DISTINCT c.who) FROM came c GROUP BY 1, 2;
	-- how many there were, at each age until now
	INSERT INTO tally SELECT 'cohort', concat_ws('|', g.age, c.cohort, m, c.program_id), 'members', c.n
	FROM (SELECT x.program_id, p.time_zone, to_char(x.subscribed_at AT TIME ZONE p.time_zone, 'YYYY-MM-01')::date AS cohort, count(*) AS n FROM loyalty_internal.member x JOIN loyalty.programs p USING (merchant_id, program_id)
		  WHERE x.merchant_id = m AND x.cancelled_at IS NULL GROUP BY 1, 2, 3) c, generate_series(0, 30) g (age) WHERE c.cohort + g.age * interval '1 month' <= now() AT TIME ZONE c.time_zone;
END
$$;
SELECT pg_temp.count(:m) \g /dev/null
CREATE TEMP VIEW expected AS SELECT view, key, measure, round(sum(value), 9) AS value FROM tally GROUP BY 1, 2, 3 HAVING round(sum(value), 9) <> 0;
GRANT SELECT ON tally, expected, sale TO PUBLIC;

SET LOCAL ROLE regress_market;
SELECT set_eq('SELECT * FROM pg_temp.numbers(''loyalty_report.fact_' || name || ''')', format('SELECT key, measure, value FROM expected WHERE view = %L', view), 'fact_' || name || ': each number, counted')
FROM (VALUES ('active_day', 'day'), ('active_week', 'week'), ('branch_day', 'branch'), ('staff_day', 'staff'), ('enrolment_cohort', 'cohort'), ('member_value', 'member')) v (name, view);
SELECT cmp_ok(count(DISTINCT measure), '>=', 5::bigint, view || ': of many numbers') FROM expected GROUP BY view ORDER BY view;
SELECT set_eq('SELECT entry_key, money_sold, round(money_refunded, 9), points_issued, points_taken_back, is_refunded FROM loyalty_report.fact_sale',
	'SELECT entry_id::text, money, round(money_back, 9), points, back, whole FROM sale', 'fact_sale: what was refunded of each');
SELECT ok(count(*) FILTER (WHERE is_refunded) > 5 AND count(*) FILTER (WHERE money_refunded > 0 AND NOT is_refunded) > 5 AND count(*) FILTER (WHERE points_issued = 0 AND is_refunded) > 0, 'in whole, in part, and where no points were earned') FROM loyalty_report.fact_sale;
SELECT set_eq('SELECT member_key, first_sale_at, last_sale_at, round(money_per_sale, 6) FROM loyalty_report.fact_member_value WHERE sales > 0',
	$$SELECT member_key, min(posted_at), max(posted_at), round((SELECT sum(a.money_sold - a.money_refunded) FROM loyalty_report.fact_sale a WHERE a.member_key = s.member_key) / count(*), 6) FROM loyalty_report.fact_sale s WHERE NOT is_refunded GROUP BY 1$$, 'the first sale, the last, and the average');

-- --- sums tie --------------------------------------------------------------------------------

SELECT is(ARRAY[f.sales, f.money_sold, f.points_issued, f.points_redeemed], ARRAY[e.sales, e.money, e.issued, e.redeemed], view || ' comes to what the ledger does')
FROM (SELECT count(*) FILTER (WHERE kind = 'accrue')::numeric AS sales, sum(money_sold) AS money, sum(points_issued) AS issued, sum(points_redeemed) AS redeemed FROM loyalty_report.fact_entry) e,
	LATERAL (SELECT 'fact_active_day' AS view, sum(sales) AS sales, sum(money_sold) AS money_sold, sum(points_issued) AS points_issued, sum(points_redeemed) AS points_redeemed FROM loyalty_report.fact_active_day
		UNION ALL SELECT 'fact_active_week', sum(sales), sum(money_sold), sum(points_issued), sum(points_redeemed) FROM loyalty_report.fact_active_week
		UNION ALL SELECT 'fact_branch_day', sum(sales), sum(money_sold), sum(points_issued), sum(points_redeemed) FROM loyalty_report.fact_branch_day
		UNION ALL SELECT 'fact_staff_day', sum(sales), sum(money_sold), sum(points_issued), sum(points_redeemed) FROM loyalty_report.fact_staff_day
		UNION ALL SELECT 'fact_member_value', e.sales, sum(money_sold), sum(points_issued), sum(points_redeemed) FROM loyalty_report.fact_member_value) f;
SELECT is(sum(points), (SELECT sum(points) FROM loyalty_report.fact_entry), 'and the points of members to all there are') FROM loyalty_report.fact_member_value;
SELECT is(sum(entries), (SELECT count(*)::numeric FROM loyalty_report.fact_entry), 'each entry is somebody''s') FROM loyalty_report.fact_staff_day;
SELECT is_empty('SELECT * FROM loyalty_report.fact_active_day WHERE redemption_rate IS DISTINCT FROM (points_redeemed - points_given_back) / nullif(points_issued - points_taken_back, 0)', 'the rate is what it says');
CREATE TEMP TABLE week AS
SELECT program_key, week_starts_on, round(redemption_rate, 6) AS rate FROM loyalty_report.fact_active_week WHERE points_given_back > 0 AND points_taken_back > 0 AND redemption_rate IS NOT NULL;
SELECT cmp_ok(count(*), '>', 0::bigint, 'weeks in which points were given and taken back') FROM week;
SELECT set_has($$SELECT program_key, d.week_starts_on, round(sum(CASE WHEN kind IN ('redeem', 'capture') THEN -points - points_reserved WHEN origin_kind IN ('redeem', 'capture') THEN -points END)
	/ nullif(sum(CASE WHEN kind IN ('accrue', 'deposit') OR kind = 'reverse' AND origin_kind IN ('accrue', 'deposit') THEN points + points_reserved END), 0), 6)
	FROM loyalty_report.fact_entry JOIN loyalty_report.dim_date d ON d.day = posted_on GROUP BY 1, 2$$, 'SELECT * FROM week', 'and their rate');
SELECT is(sum(members), (SELECT count(*)::numeric FROM loyalty_report.dim_member WHERE is_enrolled), 'a member is in one cohort, but who was erased') FROM loyalty_report.fact_enrolment_cohort WHERE age_months = 0;

-- --- RFM -------------------------------------------------------------------------------------

SELECT is(array_agg(DISTINCT merchant_key), ARRAY[:'m'], 'rfm: of the merchant alone') FROM loyalty_report.rfm();
SELECT is_empty('SELECT * FROM loyalty_report.rfm(NULL)', 'rfm: of nothing, nothing');
RESET ROLE;
SELECT set_eq(format('SELECT member_key, days_since, sales, round(money, 6), recency, frequency, monetary, cell FROM loyalty_report.rfm(%s) WHERE merchant_key = %L', arguments, :'m'), format($$
	WITH bought AS (SELECT s.who, min((now() AT TIME ZONE p.time_zone)::date - s.on_day)::numeric AS days, count(*)::numeric AS n, sum(s.money - s.money_back) AS money FROM sale s JOIN loyalty.programs p ON p.program_id = s.program
		WHERE NOT s.whole AND (now() AT TIME ZONE p.time_zone)::date - s.on_day < %s GROUP BY s.who)
	SELECT loyalty_internal.pseudonym(t.digest_key, b.who), b.days, b.n, round(b.money, 6), r::numeric, f::numeric, g::numeric, format('%%s-%%s-%%s', r, f, g)
	FROM bought b, loyalty_internal.merchant t, LATERAL (SELECT cardinality(c.r) + 1 - width_bucket(b.days, c.r) AS r, 1 + width_bucket(b.n, c.f) AS f, 1 + width_bucket(b.money, c.m) AS g
		FROM (SELECT %L::numeric[] AS r, %L::numeric[] AS f, %L::numeric[] AS m) c) w WHERE t.merchant_id = %s$$, days, recency, frequency, money, :m), format('rfm(%s)', arguments))
FROM (VALUES ('', 365, '{30,60,120,240}', '{2,4,8,16}', '{500,1000,2500,5000}'), ('100, ''{90,10}'', ''{3}'', ''{800}''', 100, '{10,90}', '{3}', '{800}')) v (arguments, days, recency, frequency, money);
SELECT cmp_ok(count(DISTINCT cell), '>', 5::bigint, 'rfm: many cells') FROM loyalty_report.rfm() WHERE merchant_key = :'m';

-- --- ranks -----------------------------------------------------------------------------------

SELECT loyalty.set_rank_ranges(:m, 'niveles', '{Plata,Oro}', '{50,100}') \g /dev/null
SELECT program_id AS p FROM loyalty.create_program(:m, 'Rangos', 'R', '{"range_group": "niveles"}') \gset
SELECT loyalty.create_member(:m, :p, 'Sube') AS up, loyalty.create_member(:m, :p, 'Baja') AS down, loyalty.create_member(:m, :p, 'Va y viene') AS both, loyalty.create_member(:m, :p, 'Queda') AS stays, loyalty.create_member(:m, :p, 'Nueva') AS newer \gset
SELECT date_trunc('month', now() AT TIME ZONE 'America/Mexico_City')::date AS month, date_trunc('month', now() AT TIME ZONE 'America/Mexico_City') AT TIME ZONE 'America/Mexico_City' AS begins \gset
UPDATE loyalty_internal.member SET subscribed_at = :'begins'::timestamptz - interval '100 days', created_at = :'begins'::timestamptz - interval '100 days' WHERE member_id IN (:up, :down, :both, :stays);
UPDATE loyalty_internal.rank_past SET since = since - interval '200 days' WHERE program_id = :p;
-- what was given, and until when: to the end of the month before, within it, and on
SELECT loyalty.set_rank(:m, member, 'Plata', now() + interval '1 day') FROM unnest(ARRAY[:down, :both, :up]) member \g /dev/null
UPDATE loyalty_internal.rank_grant SET since = :'begins'::timestamptz - CASE member_id WHEN :down THEN interval '40 days' ELSE interval '20 days' END,
	until = CASE member_id WHEN :down THEN :'begins'::timestamptz - interval '8 days' WHEN :both THEN :'begins'::timestamptz - interval '10 days' ELSE 'infinity' END WHERE member_id IN (:down, :both, :up);
SELECT loyalty.post(:m, :up, 'deposit', 120), loyalty.post(:m, :newer, 'deposit', 60) \g /dev/null
CREATE TEMP VIEW moved AS
SELECT x.name, m.month_starts_on, b.name AS "before", a.name AS "after", m.direction FROM loyalty_report.rank_moves('-infinity', 'infinity') m
JOIN loyalty_report_personal.dim_member x USING (member_key) JOIN loyalty_report.dim_rank b ON b.rank_key = m.rank_key_before JOIN loyalty_report.dim_rank a ON a.rank_key = m.rank_key_after;
-- the one who had it for 40 days before the month had it when the month before began, or not, as long as that is
SELECT set_eq('SELECT * FROM moved', format($$
	VALUES ('Sube', (date %1$L - interval '1 month')::date, '(none)', 'Plata', 'up'), ('Sube', date %1$L, 'Plata', 'Oro', 'up'), ('Nueva', date %1$L, '(none)', 'Plata', 'up'),
		('Baja', (date %1$L - interval '2 months')::date, '(none)', 'Plata', 'up'), ('Baja', (date %1$L - interval '1 month')::date, 'Plata', '(none)', 'down')$$, :'month'), 'rank_moves: who moved when, and not who came and went within a month');
SELECT is_empty(format('SELECT * FROM loyalty_report.rank_moves(%s)', arguments), 'rank_moves: ' || arguments) FROM (VALUES ('''2999-01-01'''), ('''5874897-12-31'''), ('NULL, ''-infinity'''), ('''2001-01-01'', ''2001-12-31''')) v (arguments);
SELECT is((SELECT count(*) FROM loyalty_report.rank_moves() WHERE merchant_key = :'m'), 2::bigint, 'rank_moves: of the current month, unless another is told');
SET LOCAL ROLE regress_market;
SELECT is(array_agg(DISTINCT merchant_key), ARRAY[:'m'], 'rank_moves: of the merchant alone') FROM loyalty_report.rank_moves('2020-01-01');
SELECT throws_ok('SELECT loyalty_internal.rank_moves(''{1}'', NULL, NULL)', '42501', NULL, 'what it is made of nobody can ask');
SELECT is_empty('SELECT * FROM loyalty_report.rank_moves(''2020-01-01'') r WHERE NOT EXISTS (SELECT FROM loyalty_report.dim_rank d WHERE d.rank_key = r.rank_key_before AND d.program_key = r.program_key)', 'rank_moves: ranks are in dim_rank');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

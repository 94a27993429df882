-- What rules gave: the parts of a sale by rule and version, what refunds took back
-- of them, and what they cost in reports.
SET timezone = 'Asia/Tokyo';	-- of nobody here
SET datestyle = 'ISO';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT program_id AS p, wallet_key AS w FROM loyalty.create_program(:m, 'Programa', 'P', '{"accumulation_points": 1, "accumulation_money": 10, "redemption_points": 4, "redemption_money": 1, "decimals": 2}') \gset
SELECT set_config('regress.merchant', :'m', false) \g /dev/null

-- "1 base=10 doble=10" of a sale: the version, and what gave how many points.
CREATE FUNCTION pg_temp.given(sale bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', max(rule_set_version), string_agg(rule || '=' || trim_scale(points), ' ' ORDER BY rule_number)) FROM loyalty_report.fact_rule_award WHERE entry_key = sale::text
$$;
CREATE FUNCTION pg_temp.back(sale bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(rule || '=' || trim_scale(points_reversed), ' ' ORDER BY rule_number) FROM loyalty_report.fact_rule_award WHERE entry_key = sale::text
$$;
-- Entries whose parts are not all of them, whatever they are.
CREATE TEMP VIEW wrong AS
SELECT e.entry_key FROM loyalty_report.fact_entry e LEFT JOIN (
	SELECT entry_key, sum(points) AS points, sum(points_reversed) AS reversed FROM loyalty_report.fact_rule_award GROUP BY 1) w USING (entry_key)
LEFT JOIN (SELECT r.entry_id::text AS entry_key, sum(r.amount::numeric) AS reversed FROM loyalty_internal.reversal r GROUP BY 1) v USING (entry_key)
WHERE e.kind = 'accrue' AND (w.points, w.reversed) IS DISTINCT FROM (e.points_issued, coalesce(v.reversed, 0));
CREATE FUNCTION pg_temp.stored() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM loyalty_internal.entry_rule';

-- --- what a sale got ---------------------------------------------------------------------

SELECT loyalty.open_account(:m, :p) AS a \gset
SELECT entry_id AS plain FROM loyalty.sale(:m, :a, 100) \gset
SELECT is(pg_temp.given(:plain), '(base)=10', 'without rules all is of the base');
SELECT version AS v1 FROM loyalty.publish_rules(:m, :p, '[{"name": "doble", "multiplier": 2, "min_amount": 50}, {"name": "tope", "points": 7, "max_day": 10}, {"name": "tercio", "points_per": 1, "money_per": 3, "max_ticket": 20}]') \gset
SELECT is(pg_temp.stored(), 0::bigint, 'nothing is kept of it');
SELECT entry_id AS s1 FROM loyalty.sale(:m, :a, 100) \gset
SELECT is(pg_temp.given(:s1), '1 (base)=10 doble=10 tope=7 tercio=20', 'each rule has what it gave, a cap of the ticket included');
SELECT entry_id AS s2 FROM loyalty.sale(:m, :a, 10) \gset
SELECT is(pg_temp.given(:s2), '1 (base)=1 tope=3 tercio=3.33', 'a rule that does not suit has no row; what is left of a cap, and what was rounded');
SELECT entry_id AS s3 FROM loyalty.sale(:m, :a, '0.0001') \gset
SELECT is(pg_temp.given(:s3), '1 (base)=0', 'a sale for which no rule gave anything');
SELECT is(pg_temp.stored(), 7::bigint, 'has nothing kept');
SELECT entry_id AS other FROM loyalty.post(:m, :a, 'accrue', 5) \gset
SELECT entry_id AS deposit FROM loyalty.post(:m, :a, 'deposit', 5) \gset
SELECT is(pg_temp.given(:other), '(base)=5', 'what is accrued by itself is of the base');
SELECT is(pg_temp.given(:deposit), '', 'a deposit is no sale');

-- The rank multiplies the base.
SELECT loyalty.set_rank_ranges(:m, 'g', '{Oro}', '{0}', '{3}') \g /dev/null
SELECT loyalty.configure_program(:m, :p, '{"range_group": "g"}') \g /dev/null
SELECT loyalty.create_member(:m, :p, 'Ana', client_id => 'A') AS ana \gset
SELECT entry_id AS s4 FROM loyalty.sale(:m, :ana, 20) \gset
SELECT is(pg_temp.given(:s4), '1 (base)=6 tope=7 tercio=6.67', 'the multiplier of the rank is of the base');
SELECT version AS v2 FROM loyalty.publish_rules(:m, :p, '[{"name": "nuevo", "points": 1}, {"name": "doble", "multiplier": 2}]') \gset
SELECT entry_id AS s5 FROM loyalty.sale(:m, :ana, 20) \gset
SELECT is(pg_temp.given(:s5), '2 (base)=6 nuevo=1 doble=2', 'another version');
SELECT is(pg_temp.given(:s1), '1 (base)=10 doble=10 tope=7 tercio=20', 'leaves that of before what it was');
SELECT is(pg_temp.given(entry_id), '2 (base)=3 nuevo=1 doble=1', 'points that are not available yet have parts too')
FROM loyalty.configure_program(:m, :p, '{"pending_days": 3}'), LATERAL (SELECT entry_id FROM loyalty.sale(:m, :a, 10) OFFSET 0) s;
SELECT loyalty.configure_program(:m, :p, '{"pending_days": 0}') \g /dev/null

-- Items of a batch, and the documented API.
SELECT loyalty.seller_accumulation(:m, (SELECT json_agg(json_build_object('programId', 'P', 'memberId', 'A', 'amount', 10 * n, 'comments', 'x', 'branchId', 'Norte')) FROM generate_series(1, 3) n)) \g /dev/null
SELECT results_eq($$SELECT pg_temp.given(entry_id) FROM (SELECT entry_id FROM loyalty.entries WHERE merchant_id = current_setting('regress.merchant')::bigint AND money IS NOT NULL ORDER BY entry_id DESC LIMIT 3) l ORDER BY entry_id$$,
	$$VALUES ('2 (base)=3 nuevo=1 doble=1'), ('2 (base)=6 nuevo=1 doble=2'), ('2 (base)=9 nuevo=1 doble=3')$$, 'each sale of a batch has its own');
SELECT is_empty('TABLE wrong', 'all parts come to their entries');
SELECT is_empty(format('SELECT FROM loyalty.verify(%s)', :m), 'which verify() finds too');

-- --- refunds ------------------------------------------------------------------------------

SELECT loyalty.reverse(:m, :a, :s1, 1, 'D1') \g /dev/null
SELECT is(pg_temp.back(:s1), '(base)=0.2127 doble=0.2128 tope=0.1489 tercio=0.4256', 'a refund is of all parts, in proportion, and exactly what it was');
SELECT loyalty.reverse(:m, :a, :s1, reference => 'D2', money => 30) \g /dev/null
SELECT is_empty('TABLE wrong', 'so are two');
SELECT loyalty.reverse(:m, :a, :s1, reference => 'D3', in_full => true) \g /dev/null
SELECT is(pg_temp.back(:s1), '(base)=10 doble=10 tope=7 tercio=20', 'all of it takes back what each gave');
SELECT loyalty.reverse(:m, :a, :plain, 3, 'D4') \g /dev/null
SELECT is(pg_temp.back(:plain), '(base)=3', 'of a sale without rules it is of the base');
SELECT loyalty.reverse(:m, :a, :s2, '0.01', 'E' || n) FROM generate_series(1, 100) n \g /dev/null
SELECT is_empty('TABLE wrong', 'a hundred small ones neither lose nor make anything');
SELECT is(sum(points_reversed)::text || ' ' || bool_and(points_reversed BETWEEN 0 AND points), '1.0000 true', 'nor more than there was') FROM loyalty_report.fact_rule_award WHERE entry_key = :'s2';
SELECT is_empty(format('SELECT FROM loyalty.verify(%s)', :m), 'all is well');

-- --- what it cost ---------------------------------------------------------------------------

SELECT results_eq($$SELECT rule_set_version, rule, sum(sales), sum(points), sum(points_reversed), sum(money_kept) FROM loyalty_report.rule_cost GROUP BY rule_set_version, rule_number, rule ORDER BY rule_set_version NULLS FIRST, rule_number$$,
	$$SELECT rule_set_version, rule, count(*)::numeric, sum(points), sum(points_reversed), sum(points_kept) / 4 FROM loyalty_report.fact_rule_award GROUP BY rule_set_version, rule_number, rule ORDER BY rule_set_version NULLS FIRST, rule_number$$,
	'the cost is the sum of what was given, less what was taken back, by the worth of a point');
SELECT is(trim_scale(sum(points_kept))::text || ' ' || trim_scale(sum(money_kept)), '9.5457 2.386425', 'of one rule') FROM loyalty_report.rule_cost WHERE rule = 'tercio' AND rule_set_version = 1
	AND posted_on = (now() AT TIME ZONE 'America/Mexico_City')::date;
SELECT is(sum(points), (SELECT sum(points_issued) FROM loyalty_report.fact_entry WHERE kind = 'accrue'), 'all rules and the base come to all that was earned') FROM loyalty_report.rule_cost;

SELECT loyalty.create_merchant('Dos') AS other \gset
CREATE ROLE regress_one;
SELECT loyalty.grant_reporting('regress_one', :other) \g /dev/null
SET LOCAL ROLE regress_one;
SELECT is_empty('TABLE loyalty_report.fact_rule_award', 'another merchant sees none');
SELECT is_empty('TABLE loyalty_report.rule_cost', 'nor what it cost');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

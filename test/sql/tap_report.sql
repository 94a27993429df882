-- The star for reports: plain types and comments everywhere, one merchant for a role
-- that is bound to one whatever it tries, nobody's names in the masked half, and
-- sums that are the same however facts are joined.  What is asked of every view is
-- asked of the catalog, so that a new one is too.
SET default_transaction_isolation = 'read committed';
\ir ../tap.sql

CREATE TEMP VIEW views AS
SELECT c.oid, c.relnamespace::regnamespace::text AS schema, c.relname::text AS name, c.oid::regclass::text AS object, c.reloptions FROM pg_class c
WHERE c.relnamespace IN ('loyalty_report'::regnamespace, 'loyalty_report_personal'::regnamespace) AND c.relkind = 'v';
CREATE TEMP VIEW columns AS
SELECT v.*, a.attname::text AS "column", format_type(a.atttypid, a.atttypmod) AS type, a.attnum AS place, col_description(v.oid, a.attnum) AS comment
FROM views v JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0;
GRANT SELECT ON views, columns TO PUBLIC;

-- --- what tools see ---------------------------------------------------------------------

SELECT set_has($$SELECT object FROM views$$, $$SELECT format('loyalty_report%s.%s', half, name) FROM unnest('{"",_personal}'::text[]) half,
	unnest('{fact_entry,fact_day,fact_attribution,fact_rule_award,rule_cost,fact_lot,fact_policy,fact_instalment,fact_payment,fact_message,dim_merchant,dim_program,dim_branch,dim_staff,dim_staff_branch,dim_member,dim_rank,dim_api_key,dim_date,dim_program_version,fact_month,fact_close,fact_close_line,fact_cohort,fact_deferral,fact_journal,
	fact_sale,fact_active_day,fact_active_week,fact_branch_day,fact_staff_day,fact_member_value,fact_enrolment_cohort,dim_fraud_threshold,fraud_same_member,fraud_corrections,fraud_quick_reversal,fraud_outside_hours,fraud_burst}'::text[]) name$$, 'the star is there, masked and not');
SELECT is_empty($$SELECT object, "column", type FROM columns WHERE type NOT IN ('numeric', 'text', 'date', 'timestamp with time zone', 'boolean')$$, 'columns are of five types, which every tool knows');
SELECT is_empty($$SELECT attrelid::regclass, attname FROM pg_attribute a JOIN views v ON v.oid = a.attrelid WHERE a.attcollation NOT IN (0, '"default"'::regcollation)$$, 'and of one collation, so that any two can be compared');
SELECT is_empty($$SELECT object, "column" FROM columns WHERE coalesce(comment, '') !~ '[.…]$'$$, 'each has a comment');
SELECT is_empty($$SELECT object FROM views WHERE coalesce(obj_description(oid, 'pg_class'), '') !~ '\.$'$$, 'and so has each view');
SELECT is_empty($$SELECT object, "column", type FROM columns WHERE "column" ~ '_key$' AND type <> 'text' OR "column" ~ '_at$' AND type <> 'timestamp with time zone' OR "column" ~ '_on$' AND type <> 'date' OR "column" ~ '^is_' AND type <> 'boolean'
	OR type = 'timestamp with time zone' AND "column" !~ '_at$'$$, 'a name tells the type: keys are texts, moments end in at and days in on');
SELECT is_empty($$SELECT object FROM views WHERE NOT coalesce(reloptions @> '{security_barrier=true}', false) AND name <> 'dim_date'$$, 'all but the calendar are barriers');
SELECT is_empty($$SELECT m.name, m."column" FROM columns m LEFT JOIN columns p ON p.schema = 'loyalty_report_personal' AND p.name = m.name AND p.place = m.place
	WHERE m.schema = 'loyalty_report' AND (p."column", p.type, p.comment) IS DISTINCT FROM (m."column", m.type, m.comment)$$, 'each masked view begins the personal one: the same columns, that mean the same');
SELECT set_eq($$SELECT p.name || '.' || p."column" FROM columns p WHERE p.schema = 'loyalty_report_personal'
	AND NOT EXISTS (SELECT FROM columns m WHERE m.schema = 'loyalty_report' AND m.name = p.name AND m."column" = p."column")$$,
	'{dim_staff.name,dim_staff.phone,dim_member.member_number,dim_member.client_id,dim_member.name,dim_member.phone,dim_member.email,dim_member.birth_date,fact_entry.ticket,fact_attribution.staff_name,fact_policy.policy_number,fact_payment.reference}'::text[], 'which has more where people are named');

-- --- two merchants with something in every view --------------------------------------------

-- Whatever names somebody has in it the tag of the merchant, which nothing else has.
CREATE FUNCTION pg_temp.stock(tag text, digit integer, curp text, other_curp text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	m bigint := loyalty.create_merchant('Comercio ' || digit);
	key text := (SELECT api_key FROM loyalty.create_api_key(m, 'caja'));
	p loyalty.program_keys := loyalty.create_wallet(m, 'Monedero', 10, '{"decimals": 2}');
	c loyalty.program_keys;
	north bigint := loyalty.create_branch(m, 'Norte');
	south bigint := loyalty.create_branch(m, 'Sur');
	ana bigint;
	beto bigint;
	customer bigint;
	blocked bigint;
	erased bigint;
	policy bigint;
	e bigint;
BEGIN
	PERFORM loyalty.set_rank_ranges(m, 'niveles', '{Plata,Oro}', '{0,50}');
	c := loyalty.create_program(m, 'Club', 'club-' || digit, '{"duration_value": 12, "range_group": "niveles", "redemption_points": 2}');
	PERFORM loyalty.employee_add(m, 'cajero', tag || ' Cajera', 'Norte', '47710000' || to_char(digit, 'FM00'), 'clave de ' || tag);
	PERFORM loyalty.employee_add(m, 'gerente', tag || ' Gerente', 'Sur', '47720000' || to_char(digit, 'FM00'), 'otra de ' || tag);
	ana := loyalty.wallet_contact_add(m, p.wallet_key, '47712340' || to_char(digit, 'FM00'), tag || ' Ana', 1, '1990-01-' || to_char(digit, 'FM00'));
	PERFORM loyalty.wallet_sale(m, p.wallet_key, '47712340' || to_char(digit, 'FM00'), 0, 1000.50, NULL, 1, tag || '-1');
	PERFORM loyalty.set_staff_branch(m, 1, south);
	PERFORM loyalty.wallet_sale(m, p.wallet_key, '47712340' || to_char(digit, 'FM00'), 1, 80, 10.25, 1, tag || '-2');
	PERFORM loyalty.set_staff_branch(m, 1, north);
	PERFORM loyalty.wallet_balance_update(m, p.wallet_key, '47712340' || to_char(digit, 'FM00'), 0, 5, 2);
	beto := loyalty.create_member(m, c.program_id, tag || ' Beto', email => tag || '@correo.example', client_id => tag);
	PERFORM loyalty.sale(m, beto, 500, reference => tag || '-3', staff_id => 2);
	e := (loyalty.sale(m, beto, 200, points_used => 3, reference => tag || '-4', staff_id => 77, member_id => 99)).entry_id;	-- of nobody
	PERFORM loyalty.reverse(m, beto, e, reference => tag || '-5', money => 50);
	PERFORM loyalty.seller_deposit(m, json_build_array(
		json_build_object('programId', 'club-' || digit, 'memberId', tag, 'amount', '7', 'comments', 'de ' || tag, 'branchId', ' NORTE '),
		json_build_object('programId', 'club-' || digit, 'memberId', tag, 'amount', '1', 'comments', 'x', 'branchId', 'Ninguna')));
	e := (loyalty.hold(m, beto, 20, tag || '-6', release_at => now() + interval '1 year')).entry_id;
	PERFORM loyalty.capture(m, beto, e, 5);
	PERFORM loyalty.post(m, beto, 'deposit', 4, available_at => now() + interval '1 day');
	PERFORM loyalty.post(m, beto, 'deposit', 6, expires_at => clock_timestamp() + interval '3 months');
	PERFORM loyalty.transfer(m, beto, loyalty.open_account(m, c.program_id), 2);
	blocked := loyalty.create_customer(m, c.program_id, curp::loyalty.curp, tag || ' Bloqueada', 'Uno', 'Dos', ('47755550' || to_char(digit, 'FM00'))::loyalty.phone, tag || '.b@correo.example');
	PERFORM loyalty.create_product(m, 'Vida', '100', 10, max_payments => 12);
	PERFORM loyalty.create_app_user(m, 'Banco ' || digit);
	policy := loyalty.open_policy(m, curp::loyalty.curp, 'Vida', 3);
	PERFORM loyalty.pay_policy(m, policy, '40', 'SPEI', tag || '-7', 'Banco ' || digit);
	PERFORM loyalty.sale(m, blocked, 300, reference => tag || '-8');
	PERFORM loyalty.block_customer(m, curp::loyalty.curp);
	erased := loyalty.create_customer(m, c.program_id, other_curp::loyalty.curp, tag || ' Borrada', 'Tres', 'Cuatro', ('47766660' || to_char(digit, 'FM00'))::loyalty.phone, tag || '.e@correo.example');
	PERFORM loyalty.sale(m, erased, 100, reference => tag || '-9');
	PERFORM loyalty.seller_deposit(m, json_build_array(json_build_object('programId', 'club-' || digit, 'memberId', client_id, 'amount', '3', 'branchId', 'Sur', 'comments', tag)))
		FROM loyalty.members x WHERE x.merchant_id = m AND x.member_id = erased;
	PERFORM loyalty.erase_member(m, erased);
	-- who has shared an account, owned it, and left
	PERFORM loyalty.share_account(m, loyalty.create_member(m, c.program_id, tag || ' Carlos'), beto);
	PERFORM loyalty.leave_account(m, beto, 1);
	PERFORM loyalty.post(m, beto, 'deposit', 8);
	PERFORM loyalty.configure_program(m, p.program_id, '{"redemption_points": 3}');
	-- two calls over an API, a correction of who has a colleague, and something for whoever looks
	PERFORM set_config('request.headers', json_build_object('apikey', key)::text, true);
	PERFORM loyalty_api.wallet_sale(p.wallet_key, '477123400' || digit, '0', '10', NULL, '2') FROM generate_series(1, 2);
	PERFORM loyalty.post(m, beto, 'adjust', 1, staff_id => 1);
	PERFORM loyalty.set_fraud_threshold(m, threshold, value) FROM (VALUES ('same_member_sales', 1), ('correction_entries', 1), ('correction_factor', 0), ('opening_hour', 24), ('closing_hour', 0), ('burst_calls', 2), ('burst_seconds', 1000)) v (threshold, value);
	-- a month that is over, which nothing happened in
	PERFORM loyalty.close_month(m, p.program_id, current_date - 62);
	INSERT INTO loyalty_internal.month_close_line SELECT z.merchant_id, z.program_id, z.month, 1, false, 1, north, NULL, 1, 1 FROM loyalty_internal.month_close z WHERE z.merchant_id = m;
	RETURN m;
END
$$;
SELECT pg_temp.stock('Xóchitl', 1, 'CAMC880526HMCBNR04', 'ZAQX870411MGTRXC04') AS m \gset
SELECT pg_temp.stock('Yolotzin', 2, 'CAMC880526HMCBNR04', 'ZAQX870411MGTRXC04') AS other \gset
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT set_config('report.m', :'m', true), set_config('report.other', :'other', true) \g /dev/null

CREATE ROLE regress_all;
CREATE ROLE regress_one;
CREATE ROLE regress_named;
CREATE ROLE regress_none;
SELECT loyalty.grant_reporting('regress_all'), loyalty.grant_reporting('regress_one', :m), loyalty.grant_reporting('regress_named', :m, personal => true) \g /dev/null
GRANT USAGE ON SCHEMA loyalty_report TO regress_none;
GRANT SELECT ON ALL TABLES IN SCHEMA loyalty_report TO regress_none;
SELECT format('GRANT EXECUTE ON FUNCTION %s TO regress_none', oid::regprocedure) FROM pg_proc WHERE has_function_privilege('regress_one', oid, 'EXECUTE') AND NOT has_function_privilege('regress_none', oid, 'EXECUTE') \gexec
SELECT pg_temp.refuses(call, code, call) FROM (VALUES ('SELECT loyalty.grant_reporting(''regress_one'', 1)', 'unknown_object'), ('SELECT loyalty.grant_reporting(''regress_one'', NULL::bigint)', 'unknown_object'),
	('SELECT loyalty.grant_reporting(''regress_one'', personal => NULL)', 'invalid_argument'), (format('SELECT loyalty.grant_reporting(''loyalty_engine'', %s)', :m), 'invalid_argument')) v (call, code);

-- What the current role sees: rows of views, one by one.
CREATE FUNCTION pg_temp.rows_of(half text, condition text DEFAULT 'true') RETURNS TABLE (view text, line text) LANGUAGE plpgsql AS $$
DECLARE
	v text;
BEGIN
	FOR v IN SELECT w.object FROM views w WHERE w.schema = half AND w.name <> 'dim_date' ORDER BY 1 LOOP
		RETURN QUERY EXECUTE format('SELECT %L, x::text FROM %s x WHERE %s', v, v, condition);
	END LOOP;
END
$$;
-- Rows of views by merchant, and how many.
CREATE FUNCTION pg_temp.counts_of(half text) RETURNS TABLE (view text, merchant text, n bigint) LANGUAGE plpgsql AS $$
DECLARE
	v text;
BEGIN
	FOR v IN SELECT w.object FROM views w WHERE w.schema = half AND w.name <> 'dim_date' LOOP
		RETURN QUERY EXECUTE format('SELECT %L, merchant_key, count(*) FROM %s GROUP BY merchant_key', v, v);
	END LOOP;
END
$$;

-- --- one merchant for who is bound to one -----------------------------------------------------

CREATE TEMP TABLE all_rows (half text, view text, merchant text, n bigint);
INSERT INTO all_rows SELECT half, c.* FROM unnest('{loyalty_report,loyalty_report_personal}'::text[]) half, pg_temp.counts_of(half) c;
CREATE TEMP TABLE seen (view text, line text);
GRANT SELECT ON all_rows TO PUBLIC;
GRANT SELECT, INSERT ON seen TO PUBLIC;
SELECT is_empty($$SELECT v.object, m FROM views v, unnest(ARRAY[current_setting('report.m'), current_setting('report.other')]) m
	WHERE v.name <> 'dim_date' AND NOT EXISTS (SELECT FROM all_rows r WHERE r.view = v.object AND r.merchant = m)$$, 'every view has rows of both merchants, so what follows can fail');
SET LOCAL ROLE regress_all;
SELECT set_eq($$SELECT * FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT view, merchant, n FROM all_rows WHERE half = 'loyalty_report'$$, 'a role that is bound to none sees all, as a superuser does');
SET LOCAL ROLE regress_one;
SELECT set_eq($$SELECT * FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT view, merchant, n FROM all_rows WHERE half = 'loyalty_report' AND merchant = current_setting('report.m')$$, 'one that is bound to a merchant sees all of it, and of another 0 rows in every view');
SELECT throws_ok('SELECT FROM loyalty_report_personal.dim_member', '42501', NULL, 'and nobody''s name');
SELECT is(array_agg(DISTINCT merchant_key), ARRAY[:'m'], 'functions show it alone: ' || name)
FROM (SELECT 'outstanding_at' AS name, merchant_key FROM loyalty_report.outstanding_at(now()) UNION ALL SELECT 'ageing_at', merchant_key FROM loyalty_report.ageing_at(now())
	UNION ALL SELECT 'breakage_curve', merchant_key FROM loyalty_report.breakage_curve() UNION ALL SELECT 'rfm', merchant_key FROM loyalty_report.rfm() UNION ALL SELECT 'rank_moves', merchant_key FROM loyalty_report.rank_moves()) f GROUP BY name;
SELECT throws_ok(format('SELECT loyalty_internal.outstanding(ARRAY[%s], now())', :other), '42501', NULL, 'what they are made of it cannot ask');
SET LOCAL ROLE regress_named;
SELECT set_eq($$SELECT * FROM pg_temp.counts_of('loyalty_report_personal')$$, $$SELECT view, merchant, n FROM all_rows WHERE half = 'loyalty_report_personal' AND merchant = current_setting('report.m')$$, 'the personal half has the same rows');
SET LOCAL ROLE regress_none;
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('loyalty_report')$$, 'who may read the views, and was bound to nothing, sees no row');
SELECT is_empty($$SELECT merchant_key FROM loyalty_report.outstanding_at(now()) UNION ALL SELECT merchant_key FROM loyalty_report.ageing_at(now()) UNION ALL SELECT merchant_key FROM loyalty_report.breakage_curve() UNION ALL SELECT merchant_key FROM loyalty_report.rfm() UNION ALL SELECT merchant_key FROM loyalty_report.rank_moves()$$, 'nor do functions show one');
RESET ROLE;
-- Rights go by roles.
CREATE ROLE regress_tool;
GRANT regress_one TO regress_tool;
SET LOCAL ROLE regress_tool;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT current_setting('report.m')$$, 'a member of the role sees what it does');
RESET ROLE;
CREATE ROLE regress_second;
SELECT loyalty.grant_reporting('regress_second', :other) \g /dev/null
GRANT regress_second TO regress_tool;
SET LOCAL ROLE regress_tool;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$VALUES (current_setting('report.m')), (current_setting('report.other'))$$, 'of two roles, what both do');
RESET ROLE;
ALTER ROLE regress_second RENAME TO regress_renamed;
SET LOCAL ROLE regress_tool;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT current_setting('report.m')$$, 'one that was renamed sees nothing');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_renamed', :m) \g /dev/null
SET LOCAL ROLE regress_renamed;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT current_setting('report.m')$$, 'until it is granted again');
RESET ROLE;
-- Somebody else's of the same name is not it.
CREATE ROLE regress_again;
SELECT loyalty.grant_reporting('regress_again', :m) \g /dev/null
DROP OWNED BY regress_again;
DROP ROLE regress_again;
CREATE ROLE regress_again;
GRANT regress_none TO regress_again;
SET LOCAL ROLE regress_again;
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('loyalty_report')$$, 'a role that was made anew sees nothing');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_again', :m) \g /dev/null
SET LOCAL ROLE regress_again;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT current_setting('report.m')$$, 'until it is granted');
RESET ROLE;
SELECT loyalty.revoke_reporting(role) FROM unnest('{regress_again,regress_renamed}'::name[]) role \g /dev/null
SET LOCAL ROLE regress_again;
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('loyalty_report')$$, 'nor when that is taken back');
RESET ROLE;
SELECT is_empty($$SELECT role FROM unnest('{regress_again,regress_renamed}'::name[]) role, views v WHERE role <> 'regress_again' AND has_table_privilege(role, v.oid, 'SELECT')$$, 'with all rights, whatever it was called before');
-- Nor does a name bring back what it saw under it.
CREATE ROLE regress_before;
SELECT loyalty.grant_reporting('regress_before', :m, personal => true) \g /dev/null
ALTER ROLE regress_before RENAME TO regress_after;
SELECT loyalty.revoke_reporting('regress_after') \g /dev/null
SELECT is_empty($$SELECT g.role FROM loyalty_internal.report_role g WHERE g.role IN ('regress_before', 'regress_after')$$, 'what a role was bound to by another name is taken back too');
ALTER ROLE regress_after RENAME TO regress_before;
GRANT regress_none TO regress_before;
SET LOCAL ROLE regress_before;
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('loyalty_report')$$, 'so it sees nothing when it has that again');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_before', :m) \g /dev/null
ALTER ROLE regress_before RENAME TO regress_after;
SELECT loyalty.grant_reporting('regress_after', :other) \g /dev/null
SET LOCAL ROLE regress_after;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT current_setting('report.other')$$, 'one that is granted another merchant by a new name sees that');
RESET ROLE;
ALTER ROLE regress_after RENAME TO regress_before;
SET LOCAL ROLE regress_before;
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('loyalty_report')$$, 'and not the one before when it has its old name');
RESET ROLE;

-- Another server may have numbered another role so.
SELECT loyalty.grant_reporting('regress_before', :m) \g /dev/null
UPDATE loyalty_internal.report_role SET server = server + 1 WHERE role = 'regress_before';
SET LOCAL ROLE regress_before;
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('loyalty_report')$$, 'a role with the name and number of one of another server sees nothing');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_before', :m) \g /dev/null
SET LOCAL ROLE regress_before;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT current_setting('report.m')$$, 'until it is granted again');
RESET ROLE;

-- --- who tries ---------------------------------------------------------------------------------

CREATE SCHEMA hostile;
GRANT ALL ON SCHEMA hostile TO regress_one, regress_named;
SET LOCAL ROLE regress_named;
-- So cheap that the planner would ask it first.
CREATE FUNCTION hostile.sees(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN INSERT INTO seen VALUES (''function'', $1); RETURN true; END';
CREATE FUNCTION hostile.sees(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN INSERT INTO seen VALUES (''operator'', $1); RETURN true; END';
CREATE OPERATOR hostile.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.sees);
CREATE FUNCTION hostile.sees(numeric) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS 'BEGIN INSERT INTO seen VALUES (''numeric'', $1); RETURN true; END';
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA hostile TO PUBLIC;
CREATE FUNCTION pg_temp.tries(half text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT v.object, v.name, v."column", v.type FROM columns v WHERE v.schema = half AND v.name <> 'dim_date' LOOP
		EXECUTE format('SELECT count(*) FROM %s WHERE hostile.sees(%I::text) AND %2$I::text OPERATOR(hostile.===) ''x''', c.object, c."column");
		IF c.type = 'numeric' THEN
			EXECUTE format('SELECT count(*) FROM %s WHERE hostile.sees(%I)', c.object, c."column");
		END IF;
		-- an error that says the value
		BEGIN
			EXECUTE format('SELECT count(*) FROM %s WHERE (''{'' || %I::text)::json IS NOT NULL', c.object, c."column");
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO seen VALUES ('error', SQLERRM);
		END;
	END LOOP;
	FOR c IN SELECT v.object, v.name FROM views v WHERE v.schema = half AND v.name <> 'dim_date' LOOP
		EXECUTE format('CREATE VIEW hostile.%I AS SELECT x.* FROM %s x WHERE hostile.sees(x::text)', c.name, c.object);
		EXECUTE format('SELECT count(*) FROM hostile.%I', c.name);
		-- a join that would look at rows first, and what asks for the same by another road
		EXECUTE format('SELECT count(*) FROM %1$s x JOIN (SELECT 1) y ON hostile.sees(x::text) LEFT JOIN %1$s z ON hostile.sees(z::text)', c.object);
		EXECUTE format('SELECT x.merchant_key FROM %s x GROUP BY 1 HAVING bool_or(hostile.sees(x.merchant_key))', c.object);
		EXECUTE format('DROP VIEW hostile.%I', c.name);
	END LOOP;
END
$$;
SELECT pg_temp.tries(half) FROM unnest('{loyalty_report,loyalty_report_personal}'::text[]) half \g /dev/null
SELECT cmp_ok(count(*), '>', 2000::bigint, 'functions, operators and errors of the reader''s own see rows') FROM seen WHERE line IS NOT NULL;
SELECT ok(bool_or(line LIKE '%Xóchitl%') AND bool_or(view = 'error') AND bool_or(view = 'operator') AND bool_or(view = 'numeric'), 'those of its merchant, in every way') FROM seen;
SELECT is_empty($$SELECT * FROM seen WHERE line ~ 'Yolotzin|477[1-7][0-9]{5}2|Comercio 2' OR strpos(line, current_setting('report.other')) > 0$$, 'of the other they see nothing');
-- Settings, and names that come first.
SELECT set_config(name, value, true) FROM (VALUES ('report.merchant', :'other'), ('enable_seqscan', 'off'), ('enable_hashjoin', 'off')) v (name, value) \g /dev/null
CREATE FUNCTION hostile.pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION hostile.reported_merchants(name) RETURNS bigint[] LANGUAGE sql AS $$SELECT ARRAY[current_setting('report.other')::bigint]$$;
SET LOCAL search_path = hostile, pg_catalog, public;
SELECT is(array_agg(DISTINCT merchant_key), ARRAY[:'m'], 'nor do settings and names of its own help') FROM loyalty_report.fact_entry;
SELECT throws_ok('INSERT INTO loyalty_internal.report_role VALUES (''regress_named'')', '42501', NULL, 'what binds it, it cannot write');
SELECT throws_ok('SELECT loyalty.grant_reporting(''regress_named'')', '42501', NULL, 'nor have written');
SELECT throws_ok('SELECT loyalty_internal.is_reported(1, ''{1}'')', '42501', NULL, 'nor ask what views do');
RESET ROLE;
RESET search_path;
RESET enable_seqscan;
RESET enable_hashjoin;

-- --- nobody's name, unless that was granted --------------------------------------------------------

CREATE TEMP VIEW persons AS
SELECT unnest(ARRAY['Xóchitl', '4771234001', '4771000001', '4772000001', '4775555001', '4776666001', '1990-01-01', '1988-05-26', 'CAMC880526HMCBNR04'])
UNION ALL SELECT client_id FROM loyalty_internal.member WHERE merchant_id = current_setting('report.m')::bigint
UNION ALL SELECT member_id::text FROM loyalty_internal.member WHERE merchant_id = current_setting('report.m')::bigint
UNION ALL SELECT account_id::text FROM loyalty_internal.account WHERE merchant_id = current_setting('report.m')::bigint
UNION ALL SELECT policy_number FROM loyalty_internal.policy WHERE merchant_id = current_setting('report.m')::bigint
UNION ALL SELECT digest_key FROM loyalty_internal.merchant;
CREATE TEMP TABLE person AS SELECT p AS value FROM persons p (p);
GRANT SELECT ON person TO PUBLIC;
SET LOCAL ROLE regress_all;
SELECT is_empty($$SELECT r.view, p.value FROM pg_temp.rows_of('loyalty_report') r JOIN person p ON strpos(r.line, p.value) > 0$$, 'no column of a masked view says who somebody is');
SET LOCAL ROLE regress_named;
SELECT set_eq($$SELECT DISTINCT split_part(r.view, '.', 2) FROM pg_temp.rows_of('loyalty_report_personal') r JOIN person p ON strpos(r.line, p.value) > 0$$,
	'{dim_member,dim_staff,fact_entry,fact_attribution}'::text[], 'those that may do');
SELECT results_eq($$SELECT name, phone, email, birth_date, age_band FROM loyalty_report_personal.dim_member WHERE name ~ 'Ana|Beto' ORDER BY name$$,
	$$VALUES ('Xóchitl Ana', '4771234001', NULL, date '1990-01-01', '35-44'), ('Xóchitl Beto', NULL, 'Xóchitl@correo.example', NULL, 'unknown')$$, 'with names, phones, e-mails and birth dates');
SELECT results_eq($$SELECT ticket, count(DISTINCT ticket_key), count(*) FROM loyalty_report_personal.fact_entry WHERE ticket IS NOT NULL GROUP BY 1 ORDER BY 1$$,
	$$SELECT 'Xóchitl-' || n, 1::bigint, CASE n WHEN 4 THEN 2 ELSE 1 END::bigint FROM unnest('{1,2,3,4,5,6}'::integer[]) n$$, 'and tickets, but for those of who is blocked or was erased');
RESET ROLE;

-- Who sees two merchants, and may know people of one.  Both have something in each personal column.
SELECT loyalty.unblock_customer(x, 'CAMC880526HMCBNR04') FROM unnest(ARRAY[:m, :other]) x \g /dev/null
CREATE FUNCTION pg_temp.told() RETURNS TABLE ("column" text, merchant text) LANGUAGE plpgsql AS $$
DECLARE
	p record;
BEGIN
	FOR p IN SELECT c.name, c."column" FROM columns c WHERE c.schema = 'loyalty_report_personal'
		AND NOT EXISTS (SELECT FROM columns m WHERE m.schema = 'loyalty_report' AND m.name = c.name AND m."column" = c."column") LOOP
		RETURN QUERY EXECUTE format('SELECT DISTINCT %L, x.merchant_key FROM loyalty_report_personal.%I x WHERE x.%I IS NOT NULL AND x.%3$I::text <> ''(none)''', p.name || '.' || p."column", p.name, p."column");
	END LOOP;
END
$$;
CREATE TEMP TABLE all_told AS SELECT * FROM pg_temp.told();
GRANT SELECT ON all_told TO PUBLIC;
SELECT results_eq('SELECT merchant, count(*) FROM all_told GROUP BY 1 ORDER BY merchant::bigint', $$SELECT m, 12::bigint FROM unnest(ARRAY[current_setting('report.m'), current_setting('report.other')]) m ORDER BY m::bigint$$, 'both merchants have persons in all twelve columns, so what follows can fail');
CREATE ROLE regress_masked;
SELECT loyalty.grant_reporting('regress_masked', :other) \g /dev/null
CREATE ROLE regress_both;
GRANT regress_named, regress_masked TO regress_both;
CREATE ROLE regress_chain;
GRANT regress_named, regress_all TO regress_chain;
SET LOCAL ROLE regress_both;
SELECT set_eq('SELECT * FROM pg_temp.told()', $$SELECT * FROM all_told WHERE merchant = current_setting('report.m')$$, 'names of one merchant and another without: names of the one');
SELECT set_eq(format('SELECT * FROM pg_temp.counts_of(%L)', half), format('SELECT view, merchant, n FROM all_rows WHERE half = %L', half), 'rows of both: ' || half) FROM unnest('{loyalty_report,loyalty_report_personal}'::text[]) half;
SELECT is_empty($$SELECT r.line FROM pg_temp.rows_of('loyalty_report_personal') r WHERE r.line ~ 'Yolotzin|477[1-7][0-9]{5}2'$$, 'nobody of the other is in them');
SET LOCAL ROLE regress_chain;
SELECT set_eq('SELECT * FROM pg_temp.told()', $$SELECT * FROM all_told WHERE merchant = current_setting('report.m')$$, 'names of one merchant and all without: names of the one');
SELECT set_eq($$SELECT * FROM pg_temp.counts_of('loyalty_report_personal')$$, $$SELECT view, merchant, n FROM all_rows WHERE half = 'loyalty_report_personal'$$, 'and rows of all');
RESET ROLE;
CREATE SCHEMA lent;
GRANT ALL ON SCHEMA lent TO regress_named, regress_masked;
SET LOCAL ROLE regress_named;
CREATE VIEW lent.dim_member AS SELECT * FROM loyalty_report_personal.dim_member;
GRANT SELECT ON lent.dim_member TO regress_masked;
SELECT isnt_empty('SELECT FROM lent.dim_member WHERE name IS NOT NULL', 'a view of who knows names tells them to who made it');
SET LOCAL ROLE regress_masked;
SELECT is_empty($$SELECT m.name FROM lent.dim_member m WHERE num_nonnulls(m.member_number, m.client_id, m.name, m.phone, m.email, m.birth_date) > 0$$, 'and none to who has another merchant without');
SELECT set_eq($$SELECT merchant_key, count(*) FROM lent.dim_member GROUP BY 1$$, $$SELECT merchant, n FROM all_rows WHERE view = 'loyalty_report_personal.dim_member' AND merchant = current_setting('report.other')$$, 'of which it has the rows');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_masked', :other, personal => true) \g /dev/null
SET LOCAL ROLE regress_both;
SELECT set_eq('SELECT * FROM pg_temp.told()', 'SELECT * FROM all_told', 'names of both are of who has them of both');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_masked', :other) \g /dev/null
SET LOCAL ROLE regress_both;
SELECT set_eq('SELECT * FROM pg_temp.told()', $$SELECT * FROM all_told WHERE merchant = current_setting('report.m')$$, 'until they are taken back, by any of its roles');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_named', :m) \g /dev/null
SET LOCAL ROLE regress_named;
SELECT throws_ok('SELECT FROM loyalty_report_personal.dim_member', '42501', NULL, 'of a role that knew people and shall not any more');
SET LOCAL ROLE regress_masked;
SELECT set_eq($$SELECT DISTINCT merchant FROM pg_temp.counts_of('loyalty_report')$$, $$SELECT current_setting('report.other')$$, 'each goes on to see its merchant');
RESET ROLE;
SELECT loyalty.grant_reporting('regress_named', :m, personal => true) \g /dev/null
SELECT loyalty.block_customer(x, 'CAMC880526HMCBNR04') FROM unnest(ARRAY[:m, :other]) x \g /dev/null

SELECT is(loyalty_internal.pseudonym(repeat('a', 64), 7), left(encode(loyalty_internal.hmac(repeat('a', 64), 'pseudonym 7'), 'hex'), 16), 'a pseudonym is an HMAC of a number');
SELECT isnt(loyalty_internal.pseudonym(repeat('a', 64), 7), loyalty_internal.pseudonym(repeat('b', 64), 7), 'under a key of the merchant');
SELECT is(loyalty_internal.age_band(born, '2026-03-01'), band, format('age_band: born on %s', born)) FROM (VALUES (NULL::date, 'unknown'), ('2026-03-01', '0-17'), ('2008-03-02', '0-17'), ('2008-03-01', '18-24'), ('2001-03-01', '25-34'), ('1961-03-02', '55-64'), ('1961-03-01', '65+'), ('1904-02-29', '65+')) v (born, band);

-- The last setOperations in the tree of a view is that of the view itself.
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN pg_rewrite r ON r.ev_class = c.oid
	WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::text ~ '^loyalty_report' AND (regexp_match(r.ev_action::text, '.*:setOperations (\S+)'))[1] <> '<>'$$,
	'no view is a UNION itself, which would be no barrier');

-- --- who is blocked, and who was erased, is a pseudonym -----------------------------------------

SELECT set_has('SELECT member_key FROM loyalty_report.' || v, format($$SELECT loyalty_internal.pseudonym(t.digest_key, m.member_id) FROM loyalty_internal.member m JOIN loyalty_internal.merchant t USING (merchant_id)
	LEFT JOIN loyalty_internal.customer c USING (merchant_id, member_id) WHERE merchant_id = %s AND (c.blocked_at IS NOT NULL OR m.cancelled_at IS NOT NULL)$$, :m), 'the pseudonyms of both are in ' || v)
FROM unnest('{fact_entry,dim_member}'::text[]) v;
SELECT is_empty(format($$SELECT m.member_key, j.key, j.value FROM loyalty_report%s.dim_member m, jsonb_each(to_jsonb(m)) j
	WHERE m.program_key IS NULL AND j.key NOT IN ('member_key', 'merchant_key') AND j.value <> 'null'$$, half), 'and nothing else of them' || half) FROM unnest('{"",_personal}'::text[]) half;
SELECT is(count(*), 2::bigint, 'of just these two') FROM loyalty_report.dim_member WHERE program_key IS NULL AND merchant_key = :'m';
SELECT is_empty($$SELECT line FROM pg_temp.rows_of('loyalty_report_personal') WHERE line ~ 'Bloqueada|Borrada|\.[be]@correo|\y477[56][0-9]{6}\y|-[789]"?,|1988-05-26'$$, 'their names are nowhere');
SELECT is_empty($$SELECT policy_number FROM loyalty_report_personal.fact_policy WHERE policy_number IS NOT NULL UNION ALL SELECT reference FROM loyalty_report_personal.fact_payment WHERE reference IS NOT NULL$$, 'nor their policies'' numbers');
SELECT is(branch_key, (SELECT branch_key FROM loyalty_report.dim_branch WHERE merchant_key = :'m' AND name = 'Sur'), 'what was erased keeps its branch')
FROM loyalty_report.fact_entry WHERE merchant_key = :'m' AND branch_sent = 'Sur';

-- --- sums are the same, joined or not --------------------------------------------------------------

-- Every key of a fact that a dimension has, and every day.
CREATE TEMP VIEW joins AS
SELECT f.schema, f.object, f."column", d.object AS dimension, d."column" AS key
FROM columns f JOIN columns d ON d.schema = f.schema AND d.name = CASE f."column" WHEN 'peer_member_key' THEN 'dim_member' WHEN 'enrolled_by_staff_key' THEN 'dim_staff' ELSE
	CASE WHEN f.type = 'date' THEN 'dim_date' ELSE 'dim_' || regexp_replace(f."column", '_key$', '') END END AND d.place = 1
WHERE f.name <> 'dim_date' AND f."column" ~ '_(key|on)$' AND f.object <> d.object;
SELECT set_has($$SELECT "column" FROM joins WHERE object = 'loyalty_report.fact_entry'$$, $$SELECT unnest('{merchant_key,program_key,member_key,staff_key,branch_key,api_key_key,peer_member_key,posted_on}'::text[])$$, 'facts have keys');
CREATE FUNCTION pg_temp.lost(OUT object text, OUT "column" text, OUT facts bigint, OUT joined bigint) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	j record;
BEGIN
	FOR j IN SELECT * FROM joins LOOP
		object := j.object;
		"column" := j."column";
		EXECUTE format('SELECT count(f.%I), count(d.%I) FROM %s f LEFT JOIN %s d ON d.%2$I = f.%1$I', j."column", j.key, j.object, j.dimension) INTO facts, joined;
		CONTINUE WHEN facts = joined;
		RETURN NEXT;
	END LOOP;
END
$$;
SELECT is_empty('SELECT * FROM pg_temp.lost()', 'every key is in its dimension, once');
SELECT is_empty(format('SELECT FROM %s GROUP BY %I HAVING count(*) > 1', object, "column"), object || ': its key is unique on the server') FROM columns WHERE place = 1 AND name ~ '^dim_' AND name <> 'dim_staff_branch' AND schema = 'loyalty_report';
SELECT is_empty($$SELECT "column" FROM columns c WHERE c.schema = 'loyalty_report' AND c.name = 'fact_entry' AND c."column" ~ '^(merchant|program|member|staff|branch|api_key)_key$'
	AND NOT EXISTS (SELECT FROM loyalty_report.fact_entry HAVING count(*) = count(to_jsonb(fact_entry) ->> c."column"))$$, 'a fact has all of its keys');
SELECT is(sum(points), (SELECT sum(balance::numeric) FROM loyalty.balances), 'points of entries come to what all have') FROM loyalty_report.fact_entry;
SELECT is(sum(points + points_reserved), (SELECT sum(balance::numeric + held::numeric + pending::numeric) FROM loyalty.balances), 'with what is reserved, to that too') FROM loyalty_report.fact_entry;
SELECT is(sum(e.points), (SELECT sum(balance::numeric) FROM loyalty.balances), 'also joined to everything') FROM loyalty_report.fact_entry e
JOIN loyalty_report.dim_merchant USING (merchant_key) JOIN loyalty_report.dim_program USING (program_key) JOIN loyalty_report.dim_member USING (member_key) JOIN loyalty_report.dim_staff USING (staff_key)
JOIN loyalty_report.dim_branch b ON b.branch_key = e.branch_key JOIN loyalty_report.dim_api_key USING (api_key_key) JOIN loyalty_report.dim_date ON day = posted_on;
SELECT results_eq($$SELECT program_key, coalesce(sum(points) FILTER (WHERE state IN ('available', 'owed')), 0), coalesce(sum(points) FILTER (WHERE state = 'held'), 0), coalesce(sum(points) FILTER (WHERE state = 'pending'), 0) FROM loyalty_report.fact_lot GROUP BY 1 ORDER BY 1$$,
	$$SELECT program_id::text, sum(balance::numeric), sum(held::numeric), sum(pending::numeric) FROM loyalty.balances GROUP BY 1 ORDER BY 1$$, 'lots come to the balances of their programs, held and pending points too');
SELECT is(sum(amount_paid), (SELECT sum(amount) FROM loyalty_report.fact_payment), 'payments are in instalments') FROM loyalty_report.fact_instalment;
SELECT is(sum(amount), (SELECT sum(cost) FROM loyalty_report.fact_policy), 'which come to the cost') FROM loyalty_report.fact_instalment;

-- --- what an entry means -----------------------------------------------------------------------------

SET LOCAL ROLE regress_named;
SELECT results_eq($$SELECT ticket, kind, points, points_issued, points_redeemed, money_sold, money_redeemed, money_refunded, origin_kind FROM loyalty_report_personal.fact_entry WHERE ticket ~ '-[1245]$' ORDER BY ticket, kind DESC$$,
	$$VALUES ('Xóchitl-1', 'accrue', 100.05, 100.05, NULL::numeric, 1000.50, NULL::numeric, NULL::numeric, NULL), ('Xóchitl-2', 'redeem', -10.25, NULL, 10.25, NULL, 80, NULL, NULL),
		('Xóchitl-4', 'redeem', -3, NULL, 3, NULL, 1.5, NULL, NULL), ('Xóchitl-4', 'accrue', 19.85, 19.85, NULL, 200, NULL, NULL, NULL), ('Xóchitl-5', 'reverse', -4.96, NULL, NULL, NULL, NULL, 50, 'accrue')$$, 'one column for each meaning of money');
SELECT is(origin_entry_key, (SELECT entry_key FROM loyalty_report_personal.fact_entry WHERE ticket = 'Xóchitl-4' AND kind = 'accrue'), 'a refund names what it refunds') FROM loyalty_report_personal.fact_entry WHERE ticket = 'Xóchitl-5';
SELECT results_eq($$SELECT ticket, b.name, s.name FROM loyalty_report_personal.fact_entry e JOIN loyalty_report_personal.dim_branch b USING (branch_key) JOIN loyalty_report_personal.dim_staff s USING (staff_key) WHERE ticket ~ '-[1234]$' AND kind <> 'redeem' OR ticket ~ '-2$' ORDER BY 1$$,
	$$VALUES ('Xóchitl-1', 'Norte', 'Xóchitl Cajera'), ('Xóchitl-2', 'Sur', 'Xóchitl Cajera'), ('Xóchitl-3', 'Sur', 'Xóchitl Gerente'), ('Xóchitl-4', '(none)', '(none)')$$, 'the branch is where the cashier worked at that moment; nobody''s number is nobody');
SELECT results_eq($$SELECT branch_sent, b.name FROM loyalty_report.fact_entry JOIN loyalty_report.dim_branch b USING (branch_key) WHERE branch_sent IS NOT NULL ORDER BY branch_sent COLLATE "C"$$,
	$$VALUES (' NORTE ', 'Norte'), ('Ninguna', '(none)'), ('Sur', 'Sur')$$, 'or the one of which the seller API was told, by its name');
SELECT results_eq($$SELECT b.name, h.worked_from_at = s.hired_at, h.worked_until_at IS NULL, h.worked_until_at IS NOT DISTINCT FROM lead(h.worked_from_at) OVER (ORDER BY h.worked_from_at)
	FROM loyalty_report.dim_staff_branch h JOIN loyalty_report.dim_branch b USING (branch_key) JOIN loyalty_report.dim_staff s USING (staff_key) WHERE s.staff_number = 1 ORDER BY h.worked_from_at$$,
	$$VALUES ('Norte', true, false, true), ('Sur', false, false, true), ('Norte', false, true, true)$$, 'where a cashier has worked, from when until when');
RESET ROLE;
SELECT loyalty.create_branch(:m, 'ninguna') \g /dev/null
SELECT is(b.name, 'ninguna', 'a branch that is created has what was sent of it before') FROM loyalty_report.fact_entry JOIN loyalty_report.dim_branch b USING (branch_key) WHERE branch_sent = 'Ninguna' AND fact_entry.merchant_key = :'m';
-- A move is at its moment, whatever order the clock has them in.
UPDATE loyalty_internal.staff_move SET moved_at = moved_at + interval '1 day' WHERE merchant_id = :m AND staff_id = 1 AND moved_at = (SELECT max(moved_at) FROM loyalty_internal.staff_move WHERE merchant_id = :m);
SELECT is(loyalty.set_staff_branch(:m, 1, (SELECT branch_id FROM loyalty.branches WHERE merchant_id = :m AND name = 'Sur')), true, 'who is moved when the clock is back');
SELECT is(count(*) FILTER (WHERE moved_at > clock_timestamp() + interval '23 hours'), 2::bigint, 'is moved after the move before') FROM loyalty_internal.staff_move WHERE merchant_id = :m AND staff_id = 1;
SELECT is(loyalty.set_staff_branch(:m, 1, (SELECT branch_id FROM loyalty.branches WHERE merchant_id = :m AND name = 'Sur')), false, 'and not to where they are');
SELECT is(count(*), 3::bigint, 'which is no move') FROM loyalty_internal.staff_move WHERE merchant_id = :m AND staff_id = 1;

-- --- members, whoever the account was of ---------------------------------------------------------

SET LOCAL ROLE regress_named;
SELECT results_eq($$SELECT m.name, sum(e.points) FROM loyalty_report.fact_entry e JOIN loyalty_report_personal.dim_member m USING (member_key) WHERE e.kind = 'deposit' AND e.points = 8 GROUP BY 1$$,
	$$VALUES ('Xóchitl Carlos', 8::numeric)$$, 'what is posted to an account that has another owner is theirs');
SELECT is(p.name, 'Xóchitl Carlos', 'and so are the points in it') FROM (SELECT DISTINCT m.name FROM loyalty_report.fact_lot l JOIN loyalty_report_personal.dim_member m USING (member_key) WHERE l.state = 'held') p;
SELECT results_eq($$SELECT r.name, count(*) FROM loyalty_report_personal.dim_member m JOIN loyalty_report.dim_rank r USING (rank_key) WHERE m.name IS NOT NULL GROUP BY 1 ORDER BY 1$$,
	$$VALUES ('(none)', 1::bigint), ('Oro', 1), ('Plata', 1)$$, 'ranks are those of now');
RESET ROLE;

-- --- the calendar -----------------------------------------------------------------------------------

SELECT is(format('%s %s %s %s %s %s %s %s', week_starts_on, week, iso_week_starts_on, iso_week, weekday_name, month_name, fiscal_period, is_weekend), expected, day::text)
FROM loyalty_report.dim_date JOIN (VALUES (date '2026-01-01', '2025-12-28 1 2025-12-29 1 jueves enero 2026-01 f'), ('2026-01-04', '2026-01-04 2 2025-12-29 1 domingo enero 2026-01 t'),
	('2024-12-31', '2024-12-29 53 2024-12-30 1 martes diciembre 2024-12 f'), ('2026-11-28', '2026-11-22 48 2026-11-23 48 sábado noviembre 2026-11 t')) v (d, expected) ON d = day;
SELECT is(count(*), 36525::bigint, 'a hundred years') FROM loyalty_report.dim_date;

-- --- the planner --------------------------------------------------------------------------------------

CREATE FUNCTION pg_temp.plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON, COSTS OFF, VERBOSE OFF) ' || query INTO plan;
	RETURN plan::text;
END
$$;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL ROLE regress_one;
SELECT ok(plan ~ '"Relation Name": "entry"' AND plan ~ '"Index Cond": "\(?\(merchant_id = [^"]*ANY', 'a merchant''s entries are found by an index') FROM pg_temp.plan_of($$SELECT sum(points) FROM loyalty_report.fact_entry WHERE posted_at >= '2026-01-01' AND points > 0$$) plan;
SELECT ok(plan ~ '"Filter": "\(?posted_at >= ', 'and the moment is asked of the table') FROM pg_temp.plan_of($$SELECT sum(points) FROM loyalty_report.fact_entry WHERE posted_at >= '2026-01-01' AND points > 0$$) plan;
SELECT ok(plan !~ '"Relation Name": "(account|program|staff|staff_move|branch|entry_remainder|account_owner)"', 'what is not asked for is not joined') FROM pg_temp.plan_of($$SELECT kind, sum(points), sum(money_sold) FROM loyalty_report.fact_entry GROUP BY 1$$) plan;
SELECT ok(plan ~ '"Relation Name": "staff_move"' AND plan !~ '"Relation Name": "(account|program|account_owner)"', 'of a branch only what that takes') FROM pg_temp.plan_of($$SELECT branch_key, sum(points) FROM loyalty_report.fact_entry GROUP BY 1$$) plan;
RESET ROLE;

-- --- what EXPLAIN tells -------------------------------------------------------------------------------

-- Others have ten times as much.
SELECT count(pg_temp.stock('Yolotzin', n, 'CAMC880526HMCBNR04', 'ZAQX870411MGTRXC04')) FROM generate_series(3, 11) n \g /dev/null
CREATE TEMP TABLE own_rows (name text, n numeric);
INSERT INTO own_rows SELECT name, n::text::numeric FROM (
	SELECT unnest(array_agg(i.relname::text) || c.relname::text) AS name, (xpath('//n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s WHERE merchant_id = %s', c.oid::regclass, :m), true, false, '')))[1] AS n
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid
	WHERE a.attname = 'merchant_id' AND c.relnamespace::regnamespace::text ~ '^loyalty' GROUP BY c.oid, c.relname) o;
CREATE TEMP TABLE scan (query text, node text, name text, n numeric, removed numeric, plan text);
GRANT ALL ON own_rows, scan TO PUBLIC;
CREATE FUNCTION pg_temp.explained(query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, FORMAT JSON) ' || query INTO plan;
	INSERT INTO scan SELECT query, n ->> 'Node Type', coalesce(n ->> 'Relation Name', n ->> 'Index Name'), (n ->> 'Actual Rows')::numeric,
		coalesce((n ->> 'Rows Removed by Filter')::numeric, 0) + coalesce((n ->> 'Rows Removed by Index Recheck')::numeric, 0), (n - 'Plans')::text
	FROM jsonb_path_query(plan, 'strict $.** ? (exists (@."Node Type"))') n WHERE n ?| '{Relation Name,Index Name}';
END
$$;
-- Each view as it comes, and by what is known not to leak, which is asked of the tables.
CREATE FUNCTION pg_temp.explains(half text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT v.object, v."column", v.type, v.place FROM columns v WHERE v.schema = half AND v.name <> 'dim_date' LOOP
		IF c.place = 1 THEN
			PERFORM pg_temp.explained(format('SELECT * FROM %s', c.object));
		END IF;
		IF c.type <> 'text' THEN
			PERFORM pg_temp.explained(format('SELECT %I FROM %s WHERE %1$I IS NOT NULL AND %1$I >= %3$L', c."column", c.object,
				CASE c.type WHEN 'numeric' THEN '-9999' WHEN 'boolean' THEN 'f' ELSE '-infinity' END));
		END IF;
	END LOOP;
END
$$;
-- What is asked of a row before it is asked whose it is, is told of others: whether
-- that came to be asked.  Conditions that cost nothing, and less than most.
CREATE TEMP TABLE asked (query text, filter text);
GRANT ALL ON asked TO PUBLIC;
CREATE FUNCTION pg_temp.ask_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	asks record;
	plan jsonb;
BEGIN
	FOR asks IN SELECT format('SELECT 1 FROM %s WHERE ' || f.condition, c.object, c."column", CASE c.type WHEN 'numeric' THEN '1' WHEN 'boolean' THEN 't' ELSE '2020-01-01' END, c.type) AS query
		FROM columns c, (VALUES (true, '%2$I'), (true, 'NOT %2$I'), (false, '%2$I IS NOT NULL AND %2$I = ANY (ARRAY[%3$L]::%4$s[]) AND %2$I >= ANY (ARRAY[%3$L]::%4$s[])')) f (of_boolean, condition)
		WHERE (c.type = 'boolean' OR NOT f.of_boolean) AND c.name <> 'dim_date' AND has_table_privilege(c.oid, 'SELECT') LOOP
		EXECUTE 'EXPLAIN (COSTS OFF, FORMAT JSON) ' || asks.query INTO plan;
		INSERT INTO asked SELECT asks.query, n ->> 'Filter' FROM jsonb_path_query(plan, 'strict $.** ? (exists (@."Filter") && exists (@."Relation Name"))') n WHERE n ->> 'Filter' ~ '(^|AND )\(*(loyalty_internal\.)?is_reported\(';
	END LOOP;
END
$$;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_indexonlyscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_seqscan = on;
SET LOCAL ROLE regress_named;
SELECT pg_temp.ask_all() \g /dev/null
SET LOCAL ROLE regress_all;
SELECT pg_temp.ask_all() \g /dev/null
SET LOCAL cpu_operator_cost = 0;
SELECT pg_temp.ask_all() \g /dev/null
RESET ROLE;
RESET cpu_operator_cost;
RESET enable_indexscan;
RESET enable_indexonlyscan;
SELECT is_empty($$SELECT query, filter FROM asked WHERE filter !~ '^\(*(loyalty_internal\.)?is_reported\('$$, 'nothing is asked of a row before it is asked whose it is');
SELECT cmp_ok((SELECT count(*) FROM asked WHERE filter ~ f.condition), '>', f.least, 'after it what the reader asks: ' || f.condition)
FROM (VALUES ('is_reported.* AND \([a-z_]+ IS NOT NULL\)', CASE WHEN current_setting('server_version_num')::integer < 170000 THEN 100 ELSE 4 END::bigint), ('is_reported.* = ANY ', 100), ('is_reported.* >= ANY ', 100), ('is_reported.*\) AND [a-z_]+\)$', 4), ('is_reported.* AND \(NOT [a-z_]+\)\)$', 4)) f (condition, least);

RESET enable_seqscan;
RESET enable_bitmapscan;
SET LOCAL enable_mergejoin = off;	-- which goes back, and counts rows again
SET LOCAL ROLE regress_named;
SELECT pg_temp.explains('loyalty_report_personal') \g /dev/null
SET LOCAL enable_hashjoin = off;
SELECT pg_temp.explains('loyalty_report') \g /dev/null
-- whatever the reader would rather have: scans of all of a table, and bitmaps of which only the pages are kept
RESET enable_hashjoin;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_indexonlyscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT pg_temp.explains('loyalty_report_personal') \g /dev/null
SET LOCAL enable_bitmapscan = on;
SET LOCAL enable_seqscan = off;
SET LOCAL work_mem = '64kB';
SELECT pg_temp.explains('loyalty_report') \g /dev/null
RESET work_mem;
RESET ROLE;
SELECT set_eq('SELECT DISTINCT node FROM scan', $$SELECT unnest('{Index Scan,Index Only Scan}'::text[])$$, 'each table is read by an index, whatever is asked for');
SELECT cmp_ok(count(*), '>', 50::bigint, 'what the reader asks for is asked of tables') FROM scan WHERE plan ~ '-infinity';
SELECT is_empty('SELECT DISTINCT s.name FROM scan s LEFT JOIN own_rows o USING (name) WHERE o.name IS NULL', 'which all have merchants');
SELECT is_empty($$SELECT query, plan FROM scan WHERE plan !~ '"Index Cond": "\(+merchant_id = '$$, 'to the rows of a merchant');
SELECT is_empty($$SELECT s.query, s.plan, o.n FROM scan s JOIN own_rows o USING (name) WHERE s.n > o.n OR s.removed > o.n$$, 'no scan counts rows of other merchants');
-- from the oldest entry of one's own to the newest, between which are all of the others
SELECT pg_temp.stock('Xóchitl', 12, 'CAMC880526HMCBNR04', 'ZAQX870411MGTRXC04') AS later \gset
CREATE ROLE regress_between;
SELECT loyalty.grant_reporting('regress_between', :later) \g /dev/null
GRANT regress_one TO regress_between;
TRUNCATE scan;
SET LOCAL ROLE regress_between;
SET LOCAL synchronize_seqscans = off;
SET LOCAL enable_seqscan = on;
SET LOCAL enable_bitmapscan = off;
SELECT pg_temp.explained('SELECT kind FROM loyalty_report.fact_entry LIMIT ' || (SELECT count(*) FROM loyalty_report.fact_entry)) \g /dev/null
-- by several workers too
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL min_parallel_index_scan_size = 0;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SELECT pg_temp.explained('SELECT sum(points) FROM loyalty_report.fact_entry') \g /dev/null
RESET ROLE;
SELECT set_eq('SELECT query ~ ''LIMIT'', name, removed FROM scan WHERE name = ''entry''', $$VALUES (true, 'entry', 0::numeric), (false, 'entry', 0)$$, 'nor those between two of one''s own');
RESET min_parallel_table_scan_size;
RESET min_parallel_index_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET enable_indexscan;
RESET enable_indexonlyscan;
SET LOCAL enable_seqscan = off;
SELECT is_empty($$WITH RECURSIVE used (relation) AS (
		SELECT v.oid FROM views v
		UNION
		SELECT d.refobjid FROM used u JOIN pg_class c ON c.oid = u.relation AND c.relname !~ '^visible_' JOIN pg_rewrite r ON r.ev_class = u.relation
		JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
	) SELECT u.relation::regclass FROM used u JOIN pg_class c ON c.oid = u.relation WHERE c.relkind <> 'v'$$, 'each table is read by the view of what is visible of it');
SELECT is_empty($$SELECT c.relname, d.indexrelid::regclass FROM pg_class c JOIN pg_class t ON t.relname = substr(c.relname, 9) AND t.relkind = 'r' AND t.relnamespace::regnamespace::text ~ '^loyalty'
	JOIN pg_index d ON d.indrelid = t.oid WHERE c.relname ~ '^visible_' AND t.relname <> 'api_key' AND pg_get_indexdef(d.indexrelid, 1, false) <> 'merchant_id'$$, 'whose indexes begin with the merchant');
SELECT results_eq($$SELECT loyalty_internal.is_reported(v, '{-5,0,3,9223372036854775807}') FROM unnest('{-5,-4,0,1,3,9223372036854775807,NULL}'::bigint[]) v$$, $$SELECT unnest('{t,f,t,f,t,t,NULL}'::boolean[])$$, 'a merchant is one of many');
SELECT is(loyalty_internal.is_reported(1, merchants), expected, format('of %s', merchants)) FROM (VALUES ('{}'::bigint[], false), ('{1}', true), ('{NULL,1}', NULL), (NULL, NULL)) v (merchants, expected);
SELECT is(loyalty_internal.reported_merchants(role), expected, role || ' sees') FROM (VALUES ('regress_one', ARRAY[:m]::bigint[]), ('regress_none', '{}')) v (role, expected);
SELECT is(loyalty_internal.reported_merchants(role), (SELECT array_agg(x ORDER BY x) FROM (SELECT 0 UNION ALL SELECT merchant_id FROM loyalty.merchants) m (x)), role || ' sees all, those to come too') FROM unnest('{regress_all,loyalty_engine}'::name[]) role;
SELECT is(loyalty_internal.reported_merchants(role, personal => true), expected, role || ' may know people') FROM (VALUES ('regress_named', ARRAY[:m]::bigint[]), ('regress_one', '{}'), ('regress_all', '{}'), ('regress_chain', ARRAY[:m]), ('loyalty_engine', loyalty_internal.reported_merchants('loyalty_engine'))) v (role, expected);

ANALYZE loyalty.entry, loyalty_internal.merchant;
SET LOCAL ROLE regress_all;
SELECT ok(plan ~ '"Relation Name": "entry"[^{}]*"Index Cond": "\(merchant_id = [^"]*merchant_id\)"' AND plan ~ '"Filter": "[^"]*\(merchant_id\)::text = ', 'who sees all and asks for a merchant is led to its entries')
FROM pg_temp.plan_of(format('SELECT sum(points) FROM loyalty_report.fact_entry WHERE merchant_key = %L', :'m')) plan;
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

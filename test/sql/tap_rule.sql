-- Earning rules: what each condition, effect and cap gives, exactly, and what
-- is refused.
SET timezone = 'Asia/Tokyo';	-- of nobody here: nothing may depend on it
SET datestyle = 'ISO';
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS program, wallet_key FROM loyalty.create_program(:merchant, 'Programa', 'P') \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset

CREATE FUNCTION pg_temp.account() RETURNS bigint LANGUAGE sql AS
'SELECT loyalty.open_account(p.merchant_id, p.program_id) FROM loyalty_internal.program p JOIN loyalty_internal.merchant m USING (merchant_id) WHERE p.client_id = ''P'' AND m.name = ''Uno''';
CREATE FUNCTION pg_temp.publish(rules json) RETURNS integer LANGUAGE sql AS
'SELECT p.version FROM loyalty_internal.merchant, loyalty.publish_rules(merchant_id, loyalty.find_program(merchant_id, ''P''), rules) p WHERE name = ''Uno''';
-- Entries are named by their place in the account here.
CREATE FUNCTION pg_temp.entry(account bigint, no bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_id FROM loyalty.entry e WHERE e.account_id = account AND e.entry_no = no';
CREATE FUNCTION pg_temp.entry_no(id bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_no FROM loyalty.entry e WHERE e.entry_id = id';
-- "base, rule=points …" of a sale that is only simulated.
CREATE FUNCTION pg_temp.sim(account bigint, money text, items json DEFAULT NULL, at timestamptz DEFAULT clock_timestamp()) RETURNS text LANGUAGE sql AS
'SELECT string_agg(CASE s.rule WHEN '''' THEN '''' ELSE s.rule || ''='' END || s.points, '' '' ORDER BY s.n) FROM loyalty_internal.account a,
	LATERAL ROWS FROM (loyalty.simulate(a.merchant_id, account, money::loyalty.points, items, at)) WITH ORDINALITY s (rule, points, expires_at, n) WHERE a.account_id = account';
-- The same of a new account, under rules of its own.
CREATE FUNCTION pg_temp.by(rules json, money text, items json DEFAULT NULL, at timestamptz DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.publish(rules);
	RETURN pg_temp.sim(pg_temp.account(), money, items, coalesce(at, clock_timestamp()));
END
$$;
-- The rule "r" that gives 1 point, with these conditions, at a moment.
CREATE FUNCTION pg_temp.holds(conditions jsonb, at timestamptz, account bigint DEFAULT pg_temp.account()) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	-- in force at any time
	PERFORM pg_temp.publish(json_build_array('{"name": "r", "points": 1}' || conditions));
	UPDATE loyalty_internal.rule_set SET published_at = '-infinity' WHERE version = (SELECT max(version) FROM loyalty_internal.rule_set);
	RETURN pg_temp.sim(account, '100', NULL, at) = '10 r=1';
END
$$;
-- What a sale earns, which must be what was simulated just before.
CREATE FUNCTION pg_temp.sells(account bigint, money text, items json DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	simulated loyalty.points;
	got loyalty.points;
BEGIN
	SELECT loyalty.sum(s.points) INTO simulated FROM loyalty_internal.account a, loyalty.simulate(a.merchant_id, account, money::loyalty.points, items) s WHERE a.account_id = account;
	SELECT s.points INTO got FROM loyalty_internal.account a, loyalty.sale(a.merchant_id, account, money::loyalty.points, items => items) s WHERE a.account_id = account;
	RETURN CASE WHEN got::numeric = simulated::numeric THEN got::text ELSE format('%s instead of %s', got, simulated) END;
END
$$;

-- --- what cannot be published --------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.publish_rules(%s)', arguments), code, 'publish_rules: ' || arguments)
FROM (VALUES (format('1, %s, ''[]''', :program), 'unknown_object'), (format('%s, 1, ''[]''', :merchant), 'unknown_object'), (format('%s, NULL, ''[]''', :merchant), 'unknown_object'), (format('%s, %s, ''[]''', :other, :program), 'unknown_object'),
	(format('%s, %s, NULL', :merchant, :program), 'invalid_argument'), (format('%s, %s, ''{}''', :merchant, :program), 'invalid_argument'), (format('%s, %s, ''null''', :merchant, :program), 'invalid_argument'),
	(format('%s, %s, ''"x"''', :merchant, :program), 'invalid_argument')) v (arguments, code);
CREATE FUNCTION pg_temp.complaint(rules text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	hint text;
BEGIN
	PERFORM pg_temp.publish(rules::json);
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', SQLSTATE, code, hint);
END
$$;
SELECT is(pg_temp.complaint(rules), 'LY005 invalid_argument ' || hint, left(rules, 60)) FROM (VALUES
	('[5]', 'Rule 1: it is not an object.'), ('[[]]', 'Rule 1: it is not an object.'), ('[null]', 'Rule 1: it is not an object.'),
	('[{"name":"a","points":1},{"name":"b","points":1,"sku":["x"]}]', 'Rule 2 (b): there is no key "sku".'),
	('[{"name":"a","points":"1"}]', 'Rule 1 (a): points must be a JSON number.'), ('[{"name":"a","points":null}]', 'Rule 1 (a): points must be a JSON number.'),
	('[{"name":"a","points":1,"skus":"x"}]', 'Rule 1 (a): skus must be a JSON array.'), ('[{"name":"a","points":1,"first_purchase":"true"}]', 'Rule 1 (a): first_purchase must be a JSON boolean.'),
	('[{"name":1,"points":1}]', 'Rule 1 (1): name must be a JSON string.'), ('[{"name":"a","points":1,"from":20250101}]', 'Rule 1 (a): from must be a JSON string.'),
	('[{"points":1}]', 'Rule 1: name has 1 to 100 characters.'), ('[{"name":"","points":1}]', 'Rule 1 (): name has 1 to 100 characters.'), ('[{"name":"  ","points":1}]', 'Rule 1 (  ): name has 1 to 100 characters.'),
	(format('[{"name":"%s","points":1}]', repeat('ñ', 101)), format('Rule 1 (%s): name has 1 to 100 characters.', repeat('ñ', 101))),
	('[{"name":"a","points":1,"skus":[]}]', 'Rule 1 (a): skus has 1 to 1,000 elements, none empty.'), ('[{"name":"a","points":1,"skus":[""]}]', 'Rule 1 (a): skus has 1 to 1,000 elements, none empty.'),
	('[{"name":"a","points":1,"skus":[1]}]', 'Rule 1 (a): skus has 1 to 1,000 elements, none empty.'), ('[{"name":"a","points":1,"skus":[null]}]', 'Rule 1 (a): skus has 1 to 1,000 elements, none empty.'),
	('[{"name":"a","points":1,"categories":[]}]', 'Rule 1 (a): categories has 1 to 1,000 elements, none empty.'), ('[{"name":"a","points":1,"ranks":[]}]', 'Rule 1 (a): ranks has 1 to 1,000 elements, none empty.'),
	('[{"name":"a","points":1,"days":[]}]', 'Rule 1 (a): days has some of 1 (Monday) to 7 (Sunday).'), ('[{"name":"a","points":1,"days":[0]}]', 'Rule 1 (a): days has some of 1 (Monday) to 7 (Sunday).'),
	('[{"name":"a","points":1,"days":[8]}]', 'Rule 1 (a): days has some of 1 (Monday) to 7 (Sunday).'), ('[{"name":"a","points":1,"days":["1"]}]', 'Rule 1 (a): days has some of 1 (Monday) to 7 (Sunday).'), ('[{"name":"a","points":1,"days":[1.5]}]', 'Rule 1 (a): days has some of 1 (Monday) to 7 (Sunday).'),
	('[{"name":"a"}]', 'Rule 1 (a): it gives exactly one of points_per with money_per, multiplier, points.'), ('[{"name":"a","points":1,"multiplier":2}]', 'Rule 1 (a): it gives exactly one of points_per with money_per, multiplier, points.'),
	('[{"name":"a","points_per":1}]', 'Rule 1 (a): it gives exactly one of points_per with money_per, multiplier, points.'), ('[{"name":"a","points":1,"money_per":1}]', 'Rule 1 (a): it gives exactly one of points_per with money_per, multiplier, points.'),
	('[{"name":"a","points_per":1,"money_per":1,"points":1}]', 'Rule 1 (a): it gives exactly one of points_per with money_per, multiplier, points.'),
	('[{"name":"a","points":-1}]', 'Rule 1 (a): points is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'), ('[{"name":"a","points":0}]', 'Rule 1 (a): points is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'),
	('[{"name":"a","points":0.00001}]', 'Rule 1 (a): points is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'), ('[{"name":"a","points":1.00001}]', 'Rule 1 (a): points is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'),
	('[{"name":"a","points":1e30}]', 'Rule 1 (a): points is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'), ('[{"name":"a","points":922337203685477.5808}]', 'Rule 1 (a): points is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'),
	('[{"name":"a","points_per":1,"money_per":0}]', 'Rule 1 (a): money_per is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'), ('[{"name":"a","multiplier":1}]', 'Rule 1 (a): multiplier is a number from 1.0001 to 1000 with at most 4 decimals.'),
	('[{"name":"a","multiplier":1000.1}]', 'Rule 1 (a): multiplier is a number from 1.0001 to 1000 with at most 4 decimals.'), ('[{"name":"a","points":1,"birthday_days":-1}]', 'Rule 1 (a): birthday_days is a number from 0 to 180 with at most 0 decimals.'),
	('[{"name":"a","points":1,"birthday_days":1.5}]', 'Rule 1 (a): birthday_days is a number from 0 to 180 with at most 0 decimals.'), ('[{"name":"a","points":1,"birthday_days":181}]', 'Rule 1 (a): birthday_days is a number from 0 to 180 with at most 0 decimals.'),
	('[{"name":"a","points":1,"min_amount":0}]', 'Rule 1 (a): min_amount is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'), ('[{"name":"a","points":1,"max_day":-5}]', 'Rule 1 (a): max_day is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'),
	('[{"name":"a","points":1,"max_week":0}]', 'Rule 1 (a): max_week is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'), ('[{"name":"a","points":1,"max_month":"5"}]', 'Rule 1 (a): max_month must be a JSON number.'),
	('[{"name":"a","points":1,"max_year":1.00001}]', 'Rule 1 (a): max_year is a number from 0.0001 to 922337203685477.5807 with at most 4 decimals.'), ('[{"name":"a","points":1,"max_quarter":1}]', 'Rule 1 (a): there is no key "max_quarter".'),
	('[{"name":"a","points":1,"expires_unit":"day"}]', 'Rule 1 (a): expires_unit is day, month or year and goes with expires_value.'), ('[{"name":"a","points":1,"expires_value":1}]', 'Rule 1 (a): expires_unit is day, month or year and goes with expires_value.'),
	('[{"name":"a","points":1,"expires_unit":"week","expires_value":1}]', 'Rule 1 (a): expires_unit is day, month or year and goes with expires_value.'), ('[{"name":"a","points":1,"expires_unit":"day","expires_value":0}]', 'Rule 1 (a): expires_value is a number from 1 to 1200 with at most 0 decimals.'),
	('[{"name":"a","points":1,"from_time":"9:00"}]', 'Rule 1 (a): from_time and until_time are times, HH:MM or HH:MM:SS.'), ('[{"name":"a","points":1,"from_time":"24:00"}]', 'Rule 1 (a): from_time and until_time are times, HH:MM or HH:MM:SS.'),
	('[{"name":"a","points":1,"until_time":"24:01"}]', 'Rule 1 (a): from_time and until_time are times, HH:MM or HH:MM:SS.'), ('[{"name":"a","points":1,"from_time":"09:00","until_time":"09:00"}]', 'Rule 1 (a): from_time and until_time are different times.'),
	('[{"name":"a","points":1,"until_time":"00:00"}]', 'Rule 1 (a): from_time and until_time are different times.'),
	('[{"name":"a","points":1,"from":"mañana"}]', 'Rule 1 (a): from and until are ISO 8601 dates or times.'), ('[{"name":"a","points":1,"from":"2025-02-30"}]', 'Rule 1 (a): from and until are ISO 8601 dates or times.'),
	('[{"name":"a","points":1,"until":"2025-01-01T25:00"}]', 'Rule 1 (a): from and until are ISO 8601 dates or times.'), ('[{"name":"a","points":1,"from":"now"}]', 'Rule 1 (a): from and until are ISO 8601 dates or times.'),
	('[{"name":"a","points":1,"from":"2025-01-02","until":"2025-01-02"}]', 'Rule 1 (a): from is before until.'), ('[{"name":"a","points":1,"from":"2025-01-02T00:00Z","until":"2025-01-02T06:00+06:00"}]', 'Rule 1 (a): from is before until.'),
	('[{"name":"a","points":1},{"name":"b","points":1},{"name":"a","multiplier":2}]', 'Two rules have the name a.'), ('[{"name":"a","points":1,"ranks":["Oro"]}]', 'Rule a: the program has no rank Oro.'),
	('[{"name":"a\u0000","points":1}]', 'Texts must not have the character U+0000.')) v (rules, hint);
SELECT is(pg_temp.complaint((SELECT json_agg(json_build_object('name', i::text, 'points', 1)) FROM generate_series(1, 101) i)::text), 'LY005 invalid_argument A set has at most 100 rules.', '101 rules');
SELECT is(pg_temp.complaint(json_build_array(json_build_object('name', 'a', 'points', 1, 'skus', (SELECT json_agg(i::text) FROM generate_series(1, 1001) i)))::text), 'LY005 invalid_argument Rule 1 (a): skus has 1 to 1,000 elements, none empty.', '1,001 skus');
SELECT is_empty('SELECT * FROM loyalty_internal.rule_set', 'nothing was published');
SELECT is((SELECT rules FROM loyalty.programs WHERE program_id = :program), 0, 'the program has no rules');
SELECT is(loyalty.rules_at(:merchant, loyalty.find_program(:merchant, 'P'), now()), 0, 'and never had any');

-- --- versions ------------------------------------------------------------------

SELECT is(pg_temp.publish((SELECT json_agg(json_build_object('name', i::text, 'points', 1)) FROM generate_series(1, 100) i)), 1, 'a hundred rules are a set');
SELECT is(pg_temp.sells(pg_temp.account(), '0'), '100', 'and all of them can apply');
SELECT is(pg_temp.publish('[{"name":"toda","skus":["b","a","b"],"categories":["c"],"from":"2025-01-01","until":"2026-01-01T12:30:00+02:00","days":[7,1],"from_time":"22:00","until_time":"02:00:30","min_amount":10.5,"birthday_days":3,
	"first_purchase":true,"points_per":1,"money_per":2.5,"expires_unit":"month","expires_value":2,"max_ticket":5,"max_day":6,"max_week":7,"max_month":8.5,"max_year":9,"max_member":1e2}]'), 2, 'the next version');
SELECT is(pg_temp.publish('[]'), 3, 'no rules are a version too');
SELECT results_eq(format('SELECT version, current, row_to_json(x)::jsonb - ARRAY[''merchant_id'',''program_id'',''client_id'',''version'',''published_at'',''current''] FROM loyalty.rules x WHERE merchant_id = %s AND version > 1', :merchant),
	$$VALUES (2, false, '{"ordinal":1,"name":"toda","skus":["a","b"],"categories":["c"],"valid_from":"2025-01-01T15:00:00+09:00","valid_until":"2026-01-01T19:30:00+09:00","days":[1,7],"from_time":"22:00:00","until_time":"02:00:30","min_amount":10.5,
	"birthday_days":3,"first_purchase":true,"ranks":null,"points_per":1,"money_per":2.5,"multiplier":null,"points":null,"expires_unit":"month","expires_value":2,"max_ticket":5,"max_day":6,"max_week":7,"max_month":8.5,"max_year":9,"max_member":100}'::jsonb)$$, 'a rule is kept as it was published');
SELECT results_eq('SELECT version, published_at = (SELECT max(o.published_at) FROM loyalty_internal.rule_set o WHERE o.version <= s.version) FROM loyalty_internal.rule_set s ORDER BY 1', 'VALUES (1, true), (2, true), (3, true)', 'versions are in the order of time');
SELECT results_eq('SELECT loyalty.rules_at(' || :merchant || ', loyalty.find_program(' || :merchant || ', ''P''), s.published_at), loyalty.rules_at(' || :merchant || ', loyalty.find_program(' || :merchant || ', ''P''), s.published_at - interval ''1 microsecond'') FROM loyalty_internal.rule_set s ORDER BY s.version', 'VALUES (1, 0), (2, 1), (3, 2)',
	'the rules at a moment');
SELECT pg_temp.refuses(format('SELECT loyalty.rules_at(%s, %L, now())', m, program), 'unknown_object', 'rules_at of no program') FROM (VALUES (:other, :program), (:merchant, 1), (:merchant, NULL)) v (m, program);
SELECT pg_temp.account() AS v \gset
SELECT is(pg_temp.sells(:v, '10'), '1', 'version 3 gives the base');
SELECT pg_temp.publish('[{"name":"r","points":2}]') \g /dev/null
SELECT is(pg_temp.sells(:v, '10'), '3', 'version 4 gives more');
SELECT loyalty.post(:merchant, :v, 'accrue', '7', money => '10') \g /dev/null
SELECT results_eq(format('SELECT entry_no, amount::text, money::text, rules FROM loyalty.entries WHERE account_id = %s ORDER BY entry_no', :v), $$VALUES (1::bigint, '1', '10', 3), (2, '3', '10', 4), (3, '7', '10', NULL)$$, 'entries say which rules they were earned under');
SELECT is(pg_temp.sim(:v, '10', NULL, (SELECT published_at FROM loyalty_internal.rule_set WHERE version = 3)), '1', 'as the rules were');
SELECT throws_ok(format('%s loyalty_internal.rule%s', verb, rest), '42501', NULL, verb || ' by the engine') FROM (VALUES ('UPDATE', ' SET ordinal = 2'), ('DELETE FROM', '')) v (verb, rest), LATERAL set_config('role', 'loyalty_engine', true) s (s);
RESET ROLE;

-- What a session knows of rules is forgotten with the transaction that published them, and bounded.
SELECT pg_temp.account() AS k \gset
SAVEPOINT reversed;
SELECT pg_temp.publish('[{"name":"r","points":1}]') AS reversed \gset
SELECT is(pg_temp.sim(:k, '10'), '1 r=1', 'rules that are published');
SAVEPOINT inner_one;
SELECT pg_temp.publish('[{"name":"r","points":2}]') AS inner_one \gset
SELECT is(pg_temp.sim(:k, '10'), '1 r=2', 'and others');
ROLLBACK TO SAVEPOINT inner_one;
SELECT is(pg_temp.sim(:k, '10'), '1 r=1', 'that are taken back');
SELECT is(pg_temp.publish('[{"name":"r","points":3}]'), :inner_one, 'under the number of which');
SELECT is(pg_temp.sells(:k, '10'), '4', 'there are others');
SELECT loyalty.publish_rules(:merchant, c.program_id, json_build_array(json_build_object('name', 'r', 'points', i))) FROM generate_series(1, 150) i, loyalty.create_program(:merchant, 'Muchos', 'N' || i) c \g /dev/null
CREATE TEMP TABLE many AS SELECT program_id, loyalty.open_account(merchant_id, program_id) AS account, substr(client_id, 2)::bigint AS i FROM loyalty_internal.program WHERE client_id ~ '^N\d';
SELECT is((SELECT count(*) FROM many, generate_series(1, 2) WHERE pg_temp.sim(account, '10') <> '1 r=' || i), 0::bigint, 'each of 150 programs has its own');
SELECT is((SELECT string_agg(i ->> 'status', ' ') || ' ' || loyalty.sum((i ->> 'totalPoints')::loyalty.points) FROM json_array_elements(loyalty.seller_accumulation(:merchant, (SELECT json_agg(json_build_object('programId', 'N' || i, 'amount', 10, 'comments', 'x',
	'member', json_build_object('email', i || '@correo.example', 'firstName', 'N', 'firstLastName', 'N')) ORDER BY i) FROM many))) i), repeat('success ', 150) || (150 * 151 / 2 + 150), 'in one batch too');

-- --- effects ---------------------------------------------------------------------

SELECT is(pg_temp.by(rules::json, money, items::json), expected, format('%s of %s %s: %s', rules, money, items, expected)) FROM (VALUES
	('[{"name":"r","points":5}]', '100', NULL, '10 r=5'), ('[{"name":"r","points":5}]', '0', NULL, '0 r=5'), ('[{"name":"r","points":5.005}]', '100', NULL, '10 r=5.01'), ('[{"name":"r","points":0.0049}]', '100', NULL, '10'),
	('[{"name":"r","points_per":3,"money_per":40}]', '100', NULL, '10 r=7.5'), ('[{"name":"r","points_per":3,"money_per":40}]', '99.93', NULL, '9.99 r=7.49'), ('[{"name":"r","points_per":3,"money_per":40}]', '99.9333', NULL, '9.99 r=7.49'),
	('[{"name":"r","points_per":3,"money_per":40}]', '99.9334', NULL, '9.99 r=7.5'), ('[{"name":"r","multiplier":2}]', '100', NULL, '10 r=10'), ('[{"name":"r","multiplier":1.5}]', '99.95', NULL, '10 r=5'), ('[{"name":"r","multiplier":1.0001}]', '100', NULL, '10'),
	('[{"name":"a","points":1},{"name":"b","multiplier":3},{"name":"c","points_per":1,"money_per":1}]', '10', NULL, '1 a=1 b=2 c=10'),
	('[{"name":"r","points_per":1,"money_per":0.0001}]', '922337203685477.5807', NULL, NULL)) v (rules, money, items, expected) WHERE expected IS NOT NULL;
SELECT pg_temp.publish('[{"name":"r","points_per":1,"money_per":0.0001}]') \g /dev/null
SELECT pg_temp.refuses(format('SELECT pg_temp.sim(%s, ''922337203685477.5807'')', :v), 'balance_out_of_range', 'more points than there are');
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s, %s, ''922337203685477.5807'')', :merchant, :v), 'balance_out_of_range', 'nor can they be posted');
SELECT pg_temp.publish('[{"name":"a","points":922337203685477.5807},{"name":"b","points":922337203685477.5807}]') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s, %s, ''1'')', :merchant, :v), 'balance_out_of_range', 'nor can their sum');

-- Goods.
\set goods '[{"sku":"A","quantity":2,"unitPrice":10},{"sku":"B","unitPrice":"80","category":"x"},{"sku":"C","category":"x"},{"category":"y","quantity":0,"unitPrice":5},{"sku":7,"quantity":3}]'
SELECT is(pg_temp.by(json_build_array('{"name":"r"}'::jsonb || rule::jsonb), money, :'goods'), expected, format('%s of %s: %s', rule, money, expected)) FROM (VALUES
	('{"skus":["A"],"points_per":1,"money_per":1}', '100', '10 r=20'), ('{"skus":["A","B"],"points_per":1,"money_per":1}', '100', '10 r=100'), ('{"skus":["Z"],"points":1}', '100', '10'),
	('{"skus":["C"],"points_per":1,"money_per":1}', '100', '10'), ('{"skus":["C"],"points":4}', '100', '10 r=4'), ('{"skus":["7"],"points":4}', '100', '10 r=4'), ('{"skus":["a"],"points":1}', '100', '10'),
	('{"categories":["x"],"points_per":1,"money_per":1}', '100', '10 r=80'), ('{"categories":["y"],"points":1}', '100', '10'), ('{"categories":["x"],"skus":["C"],"points":2}', '100', '10 r=2'), ('{"categories":["x"],"skus":["A"],"points":2}', '100', '10'),
	('{"skus":["A"],"multiplier":2}', '100', '10 r=2'), ('{"skus":["B"],"multiplier":3}', '100', '10 r=16'),
	-- more money than the goods come to, as with a tax, and less
	('{"skus":["A"],"points_per":1,"money_per":1}', '200', '20 r=40'), ('{"skus":["A"],"multiplier":2}', '200', '20 r=4'), ('{"skus":["A"],"points_per":1,"money_per":1}', '50', '5 r=10'), ('{"skus":["A"],"multiplier":2}', '50', '5 r=1'),
	('{"skus":["A"],"points_per":1,"money_per":1}', '0', '0'), ('{"skus":["A"],"points":3}', '0', '0 r=3'),
	('{"min_amount":100,"points":1}', '100', '10 r=1'), ('{"min_amount":100,"points":1}', '99.9999', '10'), ('{"min_amount":20,"skus":["A"],"points":1}', '100', '10 r=1'), ('{"min_amount":20.0001,"skus":["A"],"points":1}', '100', '10'),
	('{"min_amount":10,"skus":["A"],"points":1}', '50', '5 r=1'), ('{"min_amount":10.0001,"skus":["A"],"points":1}', '50', '5'), ('{"min_amount":0.0001,"skus":["C"],"points":1}', '100', '10')) v (rule, money, expected);
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points":1}]', '100', NULL), '10', 'a sale without goods has none of them');
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points":1}]', '100', '[]'), '10', 'nor one with an empty list');
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points_per":1,"money_per":1}]', '99999999999.9', '[{"sku":"A","quantity":99999999999.9,"unitPrice":1}]'), '9999999999.99 r=99999999999.9', 'numbers are exact');
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points_per":1,"money_per":1}]', '0.3', '[{"sku":"A","quantity":0.0001,"unitPrice":0.0003},{"sku":"B","quantity":0.0002,"unitPrice":"0.0003"}]'), '0.03 r=0.1', 'the smallest goods count for what they come to');
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points_per":1,"money_per":1}]', '0.3', '[{"sku":"A","quantity":1e-4,"unitPrice":3.0e-4},{"sku":"B","quantity":0.0002,"unitPrice":"0.0003"}]'), '0.03 r=0.1', 'however they are written');
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points_per":1,"money_per":0.0001}]', '0.3', '[{"sku":"A","quantity":"0.1","unitPrice":0.1},{"sku":"B","quantity":2,"unitPrice":"0.1"},{"sku":"A","quantity":0.001,"unitPrice":0.001}]'), '0.03 r=142.87', 'to the last digit');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s, ''100'', items => %L)', f, :merchant, :v, items), 'invalid_argument', f || ' of ' || left(items, 40))
FROM (VALUES ('5'), ('"x"'), ('{}'), ('{"a":1}'), (' {"sku":"A"}'), ('[' || repeat(' ', 65535) || ']'), ('[5]'), ('[null]'), ('[[]]'), ('[{"sku":[]}]'), ('[{"sku":true}]'), ('[{"unitPrice":"x"}]'), ('[{"unitPrice":0.0000001}]'), ('[{"unitPrice":"1.1234567"}]'), ('[{"quantity":"-"}]'), ('[{"quantity":"--1"}]'), ('[{"quantity":"1."}]'), ('[{"quantity":".5"}]'), ('[{"quantity":"+1"}]'), ('[{"quantity":""}]'),
	('[{"quantity":" 1"}]'), ('[{"quantity":"1e2"}]'), ('[{"quantity":"NaN"}]'), ('[{"unitPrice":"Infinity"}]'), ('[{"unitPrice":"1234567890123456789"}]'), ('[{"unitPrice":[1]}]'), ('[{"quantity":1e-7}]'), ('[{"quantity":true}]')) v (items), unnest('{sale,simulate}'::text[]) f;

-- What an invoice may have: six decimals, a weight, discounts, something brought back.  The sale earns on its money, and a rule on its share of that.
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points_per":1,"money_per":1}]', '100', goods::json), expected, goods) FROM (VALUES
	('[{"sku":"A","quantity":1,"unitPrice":86.206897}]', '10 r=100'), ('[{"sku":"A","quantity":0.33333,"unitPrice":300}]', '10 r=100'), ('[{"sku":"A","quantity":"0.333333","unitPrice":"123456789012345678.654321"}]', '10 r=100'),
	('[{"sku":"A","unitPrice":86.206897},{"sku":"B","unitPrice":43.103448}]', '10 r=66.67'), ('[{"sku":"A","unitPrice":100},{"sku":"B","unitPrice":50},{"sku":"D","unitPrice":-50}]', '10 r=100'),
	('[{"sku":"A","unitPrice":75},{"sku":"B","unitPrice":75},{"sku":"D","unitPrice":-50}]', '10 r=75'), ('[{"sku":"A","unitPrice":150},{"sku":"A","unitPrice":-50}]', '10 r=100'), ('[{"sku":"A","unitPrice":100},{"sku":"A","unitPrice":-50},{"sku":"B","unitPrice":50}]', '10 r=50'),
	('[{"sku":"A","quantity":2,"unitPrice":75},{"sku":"A","quantity":-1,"unitPrice":50}]', '10 r=100'), ('[{"sku":"A","quantity":2,"unitPrice":50},{"sku":"A","quantity":-1,"unitPrice":50},{"sku":"B","unitPrice":50}]', '10 r=50'),
	-- a discount on the whole does not make the share more than all
	('[{"sku":"A","unitPrice":150},{"sku":"D","unitPrice":-50}]', '10 r=100'),
	-- all of it was brought back, or nothing is left to have a share of
	('[{"sku":"A","unitPrice":50},{"sku":"A","quantity":-1,"unitPrice":50},{"sku":"B","unitPrice":50}]', '10'), ('[{"sku":"A","unitPrice":50},{"sku":"A","unitPrice":-80},{"sku":"B","unitPrice":50}]', '10'),
	('[{"sku":"A","unitPrice":100},{"sku":"D","unitPrice":-100}]', '10'), ('[{"sku":"A","unitPrice":100},{"sku":"D","unitPrice":-100.000001}]', '10'), ('[{"sku":"A","unitPrice":0}]', '10')) v (goods, expected);
SELECT is(pg_temp.by('[{"name":"p","skus":["A"],"points":7},{"name":"m","skus":["A"],"multiplier":2},{"name":"all","points":1}]', '100', goods::json), expected, 'points: ' || goods) FROM (VALUES
	('[{"sku":"A","unitPrice":100},{"sku":"D","unitPrice":-100}]', '10 all=1'), ('[{"sku":"A","unitPrice":50},{"sku":"A","quantity":-1,"unitPrice":50},{"sku":"B","unitPrice":50}]', '10 all=1'),
	('[{"sku":"A","unitPrice":0},{"sku":"B","unitPrice":1}]', '10 p=7 all=1'), ('[{"sku":"A"}]', '10 p=7 all=1'), ('[{"sku":"A","quantity":-1}]', '10 all=1'), ('[{"sku":"A","unitPrice":1},{"sku":"B","unitPrice":2}]', '10 p=7 m=3.33 all=1')) v (goods, expected);
SELECT is(pg_temp.by('[{"name":"r","skus":["A"],"points":1,"min_amount":33.3333}]', money, '[{"sku":"A","unitPrice":1},{"sku":"B","unitPrice":2}]'), expected, 'a third of ' || money) FROM (VALUES ('99.9999', '10 r=1'), ('99.9998', '10')) v (money, expected);

-- Against exact arithmetic, whatever the terms.
CREATE FUNCTION pg_temp.rounded(share numeric, decimals integer, rounding text) RETURNS numeric LANGUAGE sql AS $$
	SELECT CASE rounding WHEN 'down' THEN floor(u) WHEN 'up' THEN ceil(u) WHEN 'half_up' THEN floor(u + 0.5)
		   ELSE floor(u + 0.5) - CASE WHEN u - floor(u) = 0.5 AND mod(floor(u), 2) = 0 THEN 1 ELSE 0 END END / 10::numeric ^ decimals
	FROM (SELECT share * 10::numeric ^ decimals) x (u)
$$;
CREATE FUNCTION pg_temp.differs(i integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	decimals integer := i % 5;
	rounding text := ('{half_up,half_even,down,up}'::text[])[1 + i % 4];
	money numeric := round((random() * 1000)::numeric, (random() * 4)::integer);
	a numeric := round((random() * 5)::numeric, (random() * 3)::integer) * round((random() * 100)::numeric, (random() * 4)::integer);
	base numeric := pg_temp.rounded(money / 10, decimals, rounding);
	goods json;
	per numeric := round((random() * 10)::numeric, 2) + 0.01;
	factor numeric := round((1 + random() * 4)::numeric, 4) + 0.0001;
	q numeric := round((random() * 5)::numeric, (random() * 3)::integer);
	p numeric := round((random() * 100)::numeric, (random() * 6)::integer);
	q2 numeric := round((random() * 5)::numeric, (random() * 3)::integer);
	p2 numeric := round((random() * 100)::numeric, (random() * 6)::integer);
	discount numeric := round((random() * 20)::numeric, (random() * 6)::integer);
	den numeric := greatest(q * p + q2 * p2 - discount, 0);
	num numeric := least(q * p, den);
	got numeric[];
	expected numeric[];
BEGIN
	PERFORM loyalty.configure_program(m.merchant_id, loyalty.find_program(m.merchant_id, 'P'), json_build_object('decimals', decimals, 'rounding', rounding)) FROM loyalty_internal.merchant m WHERE m.name = 'Uno';
	PERFORM pg_temp.publish(json_build_array(json_build_object('name', 'per', 'skus', '{A}'::text[], 'points_per', per, 'money_per', 7), json_build_object('name', 'times', 'skus', '{A}'::text[], 'multiplier', factor)));
	SELECT array_agg(s.points::numeric ORDER BY s.n) INTO got FROM loyalty_internal.merchant m,
		LATERAL ROWS FROM (loyalty.simulate(m.merchant_id, pg_temp.account(), money::loyalty.points,
			json_build_array(json_build_object('sku', 'A', 'quantity', q, 'unitPrice', p), json_build_object('sku', 'B', 'quantity', q2::text, 'unitPrice', p2), json_build_object('sku', 'D', 'unitPrice', -discount)))) WITH ORDINALITY s (rule, points, expires_at, n) WHERE m.name = 'Uno';
	expected := ARRAY[base] || array_remove(CASE WHEN q = 0 OR den = 0 THEN '{}' ELSE ARRAY[pg_temp.rounded(per * money * num / (den * 7), decimals, rounding), pg_temp.rounded(base * (factor - 1) * num / den, decimals, rounding)] END, 0);
	IF got <> expected THEN
		RETURN NEXT format('%s: %s instead of %s', i, got, expected);
	END IF;
END
$$;
SELECT setseed(0.5) \g /dev/null
SELECT is_empty('SELECT pg_temp.differs(i) FROM generate_series(1, 400) i', '400 sales are exact');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('decimals', 0, 'rounding', 'up')) \g /dev/null
SELECT is(pg_temp.by('[{"name":"r","points_per":1,"money_per":30}]', '1'), '1 r=1', 'the program rounds up');
SELECT is(pg_temp.by('[{"name":"r","points":9.5,"max_ticket":7.9}]', '1'), '1 r=7', 'but a cap is never exceeded');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('decimals', 2, 'rounding', 'half_up')) \g /dev/null

-- --- times --------------------------------------------------------------------------

SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('time_zone', 'Europe/Madrid')) \g /dev/null
SELECT is(pg_temp.holds(conditions::jsonb, at::timestamptz), expected, format('%s at %s: %s', conditions, at, expected)) FROM (VALUES
	('{"from":"2025-03-30"}', '2025-03-29T22:59:59.999999Z', false), ('{"from":"2025-03-30"}', '2025-03-29T23:00Z', true), ('{"until":"2025-03-31"}', '2025-03-30T21:59:59.999999Z', true), ('{"until":"2025-03-31"}', '2025-03-30T22:00Z', false),
	('{"from":"2025-03-30T03:00:00-06:00"}', '2025-03-30T08:59Z', false), ('{"from":"2025-03-30T03:00:00-06:00"}', '2025-03-30T09:00Z', true), ('{"from":"2025-03-30 12:00","until":"2025-03-30T12:00:01"}', '2025-03-30T10:00Z', true),
	-- the day on which 02:00 to 03:00 does not exist, and that on which it is twice
	('{"from_time":"02:00","until_time":"03:00"}', '2025-03-30T00:59:59Z', false), ('{"from_time":"02:00","until_time":"03:00"}', '2025-03-30T01:00Z', false), ('{"from_time":"02:00","until_time":"03:00"}', '2025-10-26T00:30Z', true),
	('{"from_time":"02:00","until_time":"03:00"}', '2025-10-26T01:30Z', true), ('{"from_time":"02:00","until_time":"03:00"}', '2025-10-26T02:00Z', false), ('{"from_time":"02:00","until_time":"03:00"}', '2025-10-25T23:59:59Z', false),
	('{"from_time":"09:30"}', '2025-07-01T07:29:59Z', false), ('{"from_time":"09:30"}', '2025-07-01T07:30Z', true), ('{"from_time":"09:30"}', '2025-07-01T21:59:59Z', true), ('{"until_time":"09:30:15"}', '2025-07-01T07:30:14.9Z', true),
	('{"until_time":"09:30:15"}', '2025-07-01T07:30:15Z', false), ('{"until_time":"24:00"}', '2025-07-01T21:59:59.999999Z', true),
	-- 2025-07-04 is a Friday
	('{"days":[5]}', '2025-07-03T21:59:59Z', false), ('{"days":[5]}', '2025-07-03T22:00Z', true), ('{"days":[5]}', '2025-07-04T21:59:59Z', true), ('{"days":[5]}', '2025-07-04T22:00Z', false), ('{"days":[7,1]}', '2025-07-06T10:00Z', true),
	('{"days":[7,1]}', '2025-07-07T10:00Z', true), ('{"days":[7,1]}', '2025-07-08T10:00Z', false),
	-- a night is the day's on which it begins
	('{"days":[5],"from_time":"22:00","until_time":"02:00"}', '2025-07-04T19:59:59Z', false), ('{"days":[5],"from_time":"22:00","until_time":"02:00"}', '2025-07-04T20:00Z', true), ('{"days":[5],"from_time":"22:00","until_time":"02:00"}', '2025-07-04T23:59:59Z', true),
	('{"days":[5],"from_time":"22:00","until_time":"02:00"}', '2025-07-05T00:00Z', false), ('{"days":[5],"from_time":"22:00","until_time":"02:00"}', '2025-07-03T23:00Z', false), ('{"days":[1],"from_time":"22:00","until_time":"02:00"}', '2025-07-07T23:30Z', true),
	('{"from_time":"22:00","until_time":"02:00"}', '2025-07-04T12:00Z', false)) v (conditions, at, expected);

CREATE FUNCTION pg_temp.born(date text) RETURNS bigint LANGUAGE sql AS
'SELECT (loyalty.seller_member_create(merchant_id, ''P'', date || ''@correo.example'', ''B'', ''B'', birth_date => date) ->> ''id'')::bigint FROM loyalty_internal.merchant WHERE name = ''Uno''';
CREATE TEMP TABLE born AS SELECT d AS date, pg_temp.born(d) AS account FROM unnest('{2000-02-29,1990-01-01,1985-12-31,1999-07-15}'::text[]) d;
SELECT is(pg_temp.holds(format('{"birthday_days":%s}', days)::jsonb, (at || ' Europe/Madrid')::timestamptz, account), expected, format('born %s, %s days, at %s: %s', date, days, at, expected)) FROM (VALUES
	('1999-07-15', 0, '2025-07-14 23:59:59', false), ('1999-07-15', 0, '2025-07-15 00:00', true), ('1999-07-15', 0, '2025-07-15 23:59:59', true), ('1999-07-15', 0, '2025-07-16 00:00', false),
	('1999-07-15', 3, '2025-07-12 00:00', true), ('1999-07-15', 3, '2025-07-11 23:59', false), ('1999-07-15', 3, '2025-07-18 23:59', true), ('1999-07-15', 3, '2025-07-19 00:00', false),
	('2000-02-29', 0, '2023-02-27 12:00', false), ('2000-02-29', 0, '2023-02-28 12:00', true), ('2000-02-29', 0, '2023-03-01 12:00', false), ('2000-02-29', 0, '2024-02-28 12:00', false), ('2000-02-29', 0, '2024-02-29 12:00', true), ('2000-02-29', 0, '2024-03-01 12:00', false),
	('2000-02-29', 1, '2024-02-28 12:00', true), ('2000-02-29', 1, '2024-03-01 12:00', true), ('2000-02-29', 1, '2023-03-01 12:00', true), ('2000-02-29', 1, '2023-03-02 12:00', false), ('2000-02-29', 0, '1900-02-28 12:00', true),
	('1990-01-01', 2, '2024-12-30 12:00', true), ('1990-01-01', 2, '2024-12-29 12:00', false), ('1990-01-01', 2, '2025-01-03 12:00', true), ('1990-01-01', 2, '2025-01-04 12:00', false),
	('1985-12-31', 2, '2025-01-02 12:00', true), ('1985-12-31', 2, '2025-01-03 12:00', false), ('1985-12-31', 180, '2025-06-29 12:00', true), ('1985-12-31', 180, '2025-07-02 12:00', false)) v (birth, days, at, expected) JOIN born ON date = birth;
SELECT is(pg_temp.holds('{"birthday_days":180}', now()), false, 'an account without a member has no birthday');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('time_zone', 'America/Mexico_City')) \g /dev/null

-- --- first purchase -------------------------------------------------------------------

SELECT pg_temp.publish('[{"name":"r","first_purchase":true,"points":50}]') \g /dev/null
SELECT pg_temp.account() AS f \gset
SELECT loyalty.post(:merchant, :f, 'deposit', '20') \g /dev/null
SELECT loyalty.post(:merchant, :f, 'redeem', '5') \g /dev/null
SELECT is(pg_temp.sells(:f, '100'), '60', 'the first purchase');
SELECT is(pg_temp.sells(:f, '100'), '10', 'the second');
SELECT loyalty.reverse(:merchant, :f, pg_temp.entry(:f, 3), reference => 'devolución', in_full => true) \g /dev/null
SELECT is(pg_temp.sells(:f, '100'), '10', 'there is another one when it is reversed');
SELECT loyalty.reverse(:merchant, :f, pg_temp.entry(:f, 4), reference => 'devolución', money => 100) \g /dev/null
SELECT loyalty.reverse(:merchant, :f, pg_temp.entry(:f, 6), '9.9999', 'devolución') \g /dev/null
SELECT is(pg_temp.sells(:f, '100'), '10', 'while something is left of one');
SELECT loyalty.reverse(:merchant, :f, pg_temp.entry(:f, 6), reference => 'resto', in_full => true), loyalty.reverse(:merchant, :f, pg_temp.entry(:f, 9), reference => 'devolución', in_full => true) \g /dev/null
SELECT is(pg_temp.sells(:f, '100'), '60', 'when all are reversed, the next is the first');
SELECT is(pg_temp.by('[{"name":"r","first_purchase":false,"points":50}]', '100'), '10 r=50', 'false asks for nothing');

-- Whether somebody has bought is not read off the entries, of which there may be many.
CREATE FUNCTION pg_temp.entries_read(call text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := pg_stat_get_xact_tuples_fetched('loyalty.entry_pkey'::regclass);
BEGIN
	BEGIN
		EXECUTE call;
	EXCEPTION WHEN SQLSTATE 'LY003' THEN
		NULL;
	END;
	RETURN pg_stat_get_xact_tuples_fetched('loyalty.entry_pkey'::regclass) - before;
END
$$;
SELECT pg_temp.publish('[{"name":"r","first_purchase":true,"points":50}]') \g /dev/null
SELECT pg_temp.account() AS f \gset
SELECT count(*) FROM loyalty.post_batch(:merchant, array_fill(:f::bigint, ARRAY[500]), '{deposit}', array_fill('1'::loyalty.points, ARRAY[500])) \g /dev/null
SELECT loyalty.post(:merchant, :f, 'deposit', '922337203000000') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s, %s, ''90000000000000'')', :merchant, :f), 'balance_out_of_range', 'a first purchase of too much');
SELECT cmp_ok(pg_temp.entries_read(format('SELECT loyalty.sale(%s, %s, ''90000000000000'')', :merchant, :f)), '<', 10::bigint, 'is refused without a look at the entries');
SELECT cmp_ok(pg_temp.entries_read(format('SELECT FROM loyalty.simulate(%s, %s, ''100'', NULL, clock_timestamp())', :merchant, :f)), '<', 10::bigint, 'and so is one simulated');
SELECT is(pg_temp.sells(:f, '100'), '60', 'after many deposits there is a first purchase');
SELECT loyalty.reverse(:merchant, :f, pg_temp.entry(:f, 502), reference => 'devolución', in_full => true) \g /dev/null
SELECT cmp_ok(pg_temp.entries_read(format('SELECT loyalty.sale(%s, %s, ''100'')', :merchant, :f)), '<', 10::bigint, 'the next one after it was reversed');
SELECT is((SELECT amount::text FROM loyalty.entry e WHERE e.account_id = :f AND entry_no = 504), '60', 'is the first');
SELECT program_id AS plain FROM loyalty.create_wallet(:merchant, 'Sencillo', 10) \gset
SELECT loyalty.open_account(:merchant, :plain) AS x, loyalty.open_account(:merchant, :plain) AS y, loyalty.open_account(:merchant, :plain) AS z \gset
SELECT loyalty.sale(:merchant, :x, '100'), loyalty.sale(:merchant, :y, '100'), loyalty.sale(:merchant, :y, '0'), loyalty.post(:merchant, :z, 'deposit', '9') \g /dev/null
SELECT loyalty.reverse(:merchant, :y, pg_temp.entry(:y, n), reference => 'devolución', in_full => true) FROM (VALUES (1), (2)) v (n) \g /dev/null
SELECT loyalty.publish_rules(:merchant, :plain, '[{"name":"r","first_purchase":true,"points":50}]') \g /dev/null
SELECT is((SELECT string_agg(s.points::text, ' ') FROM (VALUES (1, :x), (2, :y), (3, :z), (4, :z)) v (n, a), loyalty.sale(:merchant, a, '100') s), '10 60 60 10', 'purchases of before there were rules count');
SELECT is_empty(format('SELECT * FROM loyalty.verify(%s)', :merchant), 'the purchases that are left are those of the entries');

-- --- caps --------------------------------------------------------------------------------

SELECT pg_temp.publish('[{"name":"t","points_per":1,"money_per":10,"max_ticket":7.5},{"name":"d","points":4,"max_day":10},{"name":"m","points_per":1,"money_per":1,"max_member":120,"max_day":100}]') \g /dev/null
SELECT pg_temp.account() AS c \gset
SELECT is(pg_temp.sim(:c, money), expected, format('%s: %s', money, expected)) FROM (VALUES ('75', '7.5 t=7.5 d=4 m=75'), ('80', '8 t=7.5 d=4 m=80'), ('1000', '100 t=7.5 d=4 m=100')) v (money, expected);
SELECT is(pg_temp.sells(:c, '50'), '64', 'below all caps');
SELECT is(pg_temp.sim(:c, '60'), '6 t=6 d=4 m=50', 'what the day has left');
SELECT is(pg_temp.sells(:c, '60'), '66', 'is given');
SELECT is(pg_temp.sells(:c, '60'), '14', 'the rest of 10, and nothing more');
SELECT is(pg_temp.sells(:c, '60'), '12', 'a day that is used up');
SELECT results_eq(format('SELECT rule, points_day::text, points_ever::text FROM loyalty_internal.rule_use WHERE account_id = %s ORDER BY 1', :c), $$VALUES ('d' COLLATE "C", '10', '10'), ('m', '100', '100')$$, 'only what is capped by day or member is counted');
SELECT is(pg_temp.sim(:c, '60', NULL, clock_timestamp() + interval '24 hours'), '6 t=6 d=4 m=20', 'tomorrow there is what the member has left');
UPDATE loyalty_internal.rule_use SET day = day - 1 WHERE account_id = :c;
UPDATE loyalty_internal.rule_award SET day = day - 1 WHERE account_id = :c;
SELECT is(pg_temp.sells(:c, '60'), '36', 'the next day');
SELECT is(pg_temp.sells(:c, '60'), '16', 'the member has had all');
SELECT results_eq(format('SELECT rule, points_day::text, points_ever::text FROM loyalty_internal.rule_use WHERE account_id = %s ORDER BY 1', :c), $$VALUES ('d' COLLATE "C", '8', '18'), ('m', '20', '120')$$, 'each day counts by itself');
SELECT pg_temp.publish('[{"name":"m","points":10,"max_member":125},{"name":"n","points":10,"max_member":125}]') \g /dev/null
SELECT is(pg_temp.sells(:c, '0'), '15', 'another set counts on under the name');
SELECT is(pg_temp.sells(pg_temp.account(), '0'), '20', 'each account for itself');
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s, %s, ''1000000'', ''1000000'')', :merchant, :c), 'insufficient_points', 'a sale that fails');
SELECT is((SELECT points_ever::text FROM loyalty_internal.rule_use WHERE account_id = :c AND rule = 'n'), '10', 'uses nothing up');

-- In one batch, each sale sees what those before it have got.
SELECT pg_temp.publish('[{"name":"f","points":50,"first_purchase":true},{"name":"d","points":4,"max_day":10},{"name":"a","skus":["A"],"points_per":1,"money_per":1}]') \g /dev/null
SELECT loyalty.seller_member_create(:merchant, 'P', m || '@correo.example', 'M', 'M', client_id => m, phone => '551234000' || i) FROM (VALUES ('M1', 1), ('M2', 2)) v (m, i) \g /dev/null
SELECT results_eq($$SELECT i ->> 'status', i ->> 'totalPoints' FROM json_array_elements(loyalty.seller_accumulation($$ || :merchant || $$, '[{"programId":"P","memberId":"M1","amount":100,"comments":"x"},
	{"programId":"P","memberId":"M2","amount":100,"comments":"x","items":[{"sku":"A","quantity":2,"unitPrice":10.5}]},{"programId":"P","memberId":"M1","amount":100,"comments":"x"},{"programId":"P","memberId":"M1","amount":1e15,"comments":"x"},
	{"programId":"P","memberId":"M1","amount":100,"comments":"x","items":[{"sku":"A","unitPrice":"x"}]},{"programId":"P","memberId":"M1","amount":100,"comments":"x","items":[{"sku":"A"}]},{"programId":"P","memberId":"M1","amount":100,"comments":"x"}]')) i$$,
	$$VALUES ('success', '64'), ('success', '164'), ('success', '78'), ('error', '0'), ('error', '0'), ('success', '90'), ('success', '100')$$, 'a batch of sales');
SELECT results_eq($$SELECT m.client_id, u.rule, u.points_day::text, u.points_ever::text FROM loyalty_internal.rule_use u JOIN loyalty_internal.member m USING (merchant_id, account_id) WHERE m.client_id ~ '^M' ORDER BY 1, 2$$, $$VALUES ('M1' COLLATE "C", 'd' COLLATE "C", '10', '10'), ('M2', 'd', '4', '4')$$, 'is counted as the same sales one by one');
SELECT is(i ->> 'totalPoints', '110', 'a deposit is no sale') FROM json_array_elements(loyalty.seller_deposit(:merchant, '[{"programId":"P","memberId":"M1","amount":100,"currency":"MXN","comments":"x"}]')) i;
SELECT is(loyalty.wallet_sale(:merchant, :'wallet_key', '5512340002', 0, 100, NULL, :staff)::text, '178', 'a sale of the wallet earns by rules');
SELECT is(loyalty.wallet_sale(:merchant, :'wallet_key', '5512340002', 1, 100, 9, :staff)::text, '169', 'using points does not');

-- Members who share an account: the birthday is the buyer's, the caps and the first purchase the account's.
SELECT loyalty.seller_member_create(:merchant, 'P', 'h@correo.example', 'H', 'H', client_id => 'H', birth_date => (timezone('America/Mexico_City', now())::date - interval '30 years')::date::text) ->> 'id' AS host,
	loyalty.seller_member_create(:merchant, 'P', 'i@correo.example', 'I', 'I', client_id => 'I', birth_date => (timezone('America/Mexico_City', now())::date - interval '30 years 90 days')::date::text) ->> 'id' AS guest \gset
SELECT loyalty.share_account(:merchant, :guest, :host) \g /dev/null
SELECT pg_temp.publish('[{"name":"b","points":5,"birthday_days":1},{"name":"d","points":4,"max_day":6},{"name":"f","points":10,"first_purchase":true}]') \g /dev/null
SELECT results_eq($$SELECT i ->> 'status', i ->> 'totalPoints' FROM json_array_elements(loyalty.seller_accumulation($$ || :merchant || $$, '[{"programId":"P","memberId":"I","amount":10,"comments":"x"},{"programId":"P","memberId":"H","amount":10,"comments":"x"},
	{"programId":"P","memberId":"I","amount":10,"comments":"x"}]')) i$$, $$VALUES ('success', '15'), ('success', '23'), ('success', '24')$$, 'a batch of sales to an account that two share');
SELECT is((SELECT string_agg(points_day::text, ' ') FROM loyalty_internal.rule_use WHERE account_id = :host), '6', 'which is counted once');
SELECT is((SELECT points::text FROM loyalty.sale(:merchant, :host, '10', member_id => :guest)) || ' ' || (SELECT points::text FROM loyalty.sale(:merchant, :host, '10')), '1 6', 'who buys can be said, and is the owner unless told');

-- --- expiry -----------------------------------------------------------------------------------

SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('duration_unit', 'month', 'duration_value', 3)) \g /dev/null
SELECT pg_temp.publish('[{"name":"a","points":3},{"name":"b","points":4,"expires_unit":"day","expires_value":10},{"name":"c","points":5,"expires_unit":"year","expires_value":1}]') \g /dev/null
SELECT pg_temp.account() AS e \gset
CREATE FUNCTION pg_temp.day_end(span text, base timestamptz DEFAULT now()) RETURNS timestamptz LANGUAGE sql AS
'SELECT (date_trunc(''day'', base AT TIME ZONE ''America/Mexico_City'' + span::interval) + interval ''1 day'') AT TIME ZONE ''America/Mexico_City''';
SELECT results_eq(format('SELECT rule, points::text, expires_at FROM loyalty.simulate(%s, %s, ''100'')', :merchant, :e),
	$$VALUES ('', '10', pg_temp.day_end('3 months')), ('a', '3', pg_temp.day_end('3 months')), ('b', '4', pg_temp.day_end('10 days')), ('c', '5', pg_temp.day_end('1 year'))$$, 'each rule has its life, or the program''s');
SELECT is(pg_temp.sells(:e, '100'), '22', 'they are in one entry');
SELECT results_eq(format('SELECT l.expires_at, l.points::text FROM loyalty.entry e, loyalty.unnest_lots(e.lots) l WHERE e.account_id = %s', :e),
	$$VALUES (pg_temp.day_end('10 days'), '4'), (pg_temp.day_end('3 months'), '13'), (pg_temp.day_end('1 year'), '5')$$, 'with a lot for each date');
SELECT is(pg_temp.sim(:e, '100', NULL, '2024-01-31T12:00Z'), '10', 'rules of today are not those of another day');
UPDATE loyalty_internal.rule_set SET published_at = '-infinity' WHERE version = (SELECT max(version) FROM loyalty_internal.rule_set);
SELECT is((SELECT expires_at FROM loyalty.simulate(:merchant, :e, '100', at => '2024-03-01T05:30Z') WHERE rule = 'c'), '2025-03-01T06:00Z', 'a leap day''s year ends with 28 February');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('pending_days', 5)) \g /dev/null
SELECT is(pg_temp.sells(:e, '100'), '22', 'pending points are earned too');
SELECT results_eq(format('SELECT e.amount::text, e.reserved::text, l.expires_at, l.points::text FROM loyalty.entry e, loyalty.unnest_lots(e.lots) l WHERE e.account_id = %s AND e.entry_no = 2', :e),
	$$VALUES ('0', '22', pg_temp.day_end('10 days', now() + interval '120 hours'), '4'), ('0', '22', pg_temp.day_end('3 months', now() + interval '120 hours'), '13'), ('0', '22', pg_temp.day_end('1 year', now() + interval '120 hours'), '5')$$, 'their lives begin when they are available');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('pending_days', 0, 'duration_value', 0)) \g /dev/null
SELECT is(pg_temp.sells(:e, '100'), '22', 'in a program whose points do not expire');
SELECT is((SELECT loyalty.total(lots)::text FROM loyalty.entry WHERE account_id = :e AND entry_no = 3), '9', 'those of the rules do');

-- --- sales ---------------------------------------------------------------------------------------

SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('redemption_points', 10, 'redemption_money', 3)) \g /dev/null
SELECT pg_temp.publish('[{"name":"r","points_per":1,"money_per":1,"skus":["A"]},{"name":"f","points":2,"min_amount":94}]') \g /dev/null
SELECT pg_temp.account() AS s \gset
SELECT loyalty.post(:merchant, :s, 'deposit', '1000') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s)', arguments), code, 'sale: ' || regexp_replace(arguments, '\d{10,}', '…', 'g')) FROM (VALUES
	(format('NULL, %s, ''1''', :s), 'invalid_argument'), (format('%s, NULL, ''1''', :merchant), 'invalid_argument'), (format('%s, %s, NULL', :merchant, :s), 'invalid_argument'), (format('%s, %s, ''1'', NULL', :merchant, :s), 'invalid_argument'),
	(format('%s, %s, ''-1''', :merchant, :s), 'invalid_amount'), (format('%s, %s, ''1'', ''-1''', :merchant, :s), 'invalid_amount'), (format('%s, %s, ''1'', ''0.001''', :merchant, :s), 'invalid_amount'), (format('%s, 1, ''1''', :merchant), 'unknown_account'),
	(format('%s, %s, ''1''', :other, :s), 'unknown_account'), (format('%s, %s, ''301'', ''1000.01''', :merchant, :s), 'insufficient_points'), (format('%s, %s, ''6'', ''20.01''', :merchant, :s), 'invalid_amount'), (format('%s, %s, ''5.9999'', ''20''', :merchant, :s), 'invalid_amount'), (format('%s, %s, ''0'', ''0.01''', :merchant, :s), 'invalid_amount'),
	(format('%s, %s, ''1'', ''1000000''', :merchant, :s), 'invalid_amount'), (format('%s, %s, ''1'', idempotency_key => ''''', :merchant, :s), 'invalid_idempotency_key')) v (arguments, code);
SELECT pg_temp.refuses(format('SELECT loyalty.simulate(%s)', arguments), code, 'simulate: ' || regexp_replace(arguments, '\d{10,}', '…', 'g')) FROM (VALUES
	(format('NULL, %s, ''1''', :s), 'invalid_argument'), (format('%s, NULL, ''1''', :merchant), 'invalid_argument'), (format('%s, %s, NULL', :merchant, :s), 'invalid_argument'), (format('%s, %s, ''1'', at => NULL', :merchant, :s), 'invalid_argument'),
	(format('%s, %s, ''1'', at => ''infinity''', :merchant, :s), 'invalid_argument'), (format('%s, %s, ''-1''', :merchant, :s), 'invalid_amount'), (format('%s, 1, ''1''', :merchant), 'unknown_account'), (format('%s, %s, ''1''', :other, :s), 'unknown_account')) v (arguments, code);
SELECT throws_ok(format('SELECT loyalty.sale(%s, %s, 5, 20)', :merchant, :s), 'LY004', NULL, 'more points than the sale is worth');
CREATE FUNCTION pg_temp.hint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN hint;
END
$$;
SELECT is(pg_temp.hint(format('SELECT loyalty.sale(%s, %s, 5.5, 20)', :merchant, :s)), 'The points used are worth 6, the sale is one of 5.5.', 'is told');
SELECT is((SELECT entry_no FROM loyalty_internal.account WHERE account_id = :s), 1::bigint, 'nothing was posted');

CREATE FUNCTION pg_temp.sale(account bigint, arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT concat_ws('' '', pg_temp.entry_no(s.entry_id), s.balance, s.points) FROM loyalty_internal.account a, loyalty.sale(a.merchant_id, %s, %s) s WHERE a.account_id = %1$s', account, arguments) INTO result;
	RETURN result;
END
$$;
SELECT is(pg_temp.sale(:s, arguments), expected, format('%s: %s', arguments, expected)) FROM (VALUES
	('''100''', '2 1012 12'), ('''100'', ''20''', '4 1003.4 11.4'), ('''100'', ''20.01'', reference => ''T-1''', '6 992.79 9.4'), ('''6'', ''20''', '8 972.79 0'), ('''6.0001'', ''20''', '10 952.79 0'),
	('''100'', ''50'', ''[{"sku":"A","unitPrice":40},{"sku":"B","unitPrice":60}]''', '12 945.29 42.5')) v (arguments, expected);
SELECT results_eq(format('SELECT entry_no, kind, amount::text, money::text, reference, rules IS NOT NULL FROM loyalty.entries WHERE account_id = %s AND entry_no IN (5, 6) ORDER BY entry_no', :s),
	$$VALUES (5::bigint, 'redeem', '-20.01', '6.003', 'T-1' COLLATE "C", false), (6, 'accrue', '9.4', '100', 'T-1', true)$$, 'both entries say what they are of');
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, 'P'), json_build_object('earn_on_points', true)) \g /dev/null
SELECT is(pg_temp.sale(:s, '''100'', ''50'', ''[{"sku":"A","unitPrice":40},{"sku":"B","unitPrice":60}]'''), '14 947.29 52', 'a program that earns on points too');
SELECT is(pg_temp.sale(:s, '''100'', ''10'', idempotency_key => ''k'''), '16 949.29 12', 'under a key');
SELECT is(pg_temp.sale(:s, '''100'', ''10'', idempotency_key => ''k'''), '16 949.29 12', 'once');
SELECT is((SELECT entry_no FROM loyalty_internal.account WHERE account_id = :s), 16::bigint, 'only');
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s, %s, %s, idempotency_key => ''k'')', :merchant, :s, other), 'idempotency_key_reused', 'another sale under the key: ' || other)
FROM (VALUES ('''101'', ''10'''), ('''100'', ''11'''), ('''100'', ''10'', ''[]'''), ('''100'', ''10'', reference => ''x'''), (format('''100'', ''10'', staff_id => %s', :staff)), ('''100'', ''10'', member_id => 1')) v (other);
SELECT loyalty.disable_program(:merchant, loyalty.find_program(:merchant, 'P')) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s, %s, ''1'')', :merchant, :s), 'program_inactive', 'a program that is not active');
SELECT loyalty.enable_program(:merchant, loyalty.find_program(:merchant, 'P')) \g /dev/null

-- --- whose version is replaced, and what that drops -------------------------------------------------------------

SELECT loyalty.create_program(:merchant, 'Versiones', 'V') \g /dev/null
CREATE FUNCTION pg_temp.replaced(merchant bigint, names text[], expected integer) RETURNS text LANGUAGE sql AS
'SELECT p.version || '': '' || array_to_string(p.dropped, '', '') FROM loyalty.publish_rules(merchant, loyalty.find_program(merchant, ''V''), (SELECT coalesce(json_agg(json_build_object(''name'', n, ''points'', 1)), ''[]'') FROM unnest(names) n), expected) p';
SELECT is(pg_temp.replaced(:merchant, names::text[], expected), answer, format('%s instead of %s: %s', names, expected, answer)) FROM (VALUES
	(1, '{b,a}', 0, '1: '), (2, '{c,a,b}', 1, '2: '), (3, '{a}', NULL, '3: c, b'), (4, '{"A "}', 3, '4: a'), (5, '{}', 4, '5: A '), (6, '{}', 5, '6: '), (7, '{a}', 6, '7: ')) v (n, names, expected, answer) ORDER BY n;
SELECT pg_temp.refuses(format('SELECT loyalty.publish_rules(%s, loyalty.find_program(%1$s, ''V''), %s)', :merchant, arguments), code, 'publish_rules: ' || arguments) FROM (VALUES
	('''[]'', 6', 'version_conflict'), ('''[]'', 8', 'version_conflict'), ('''[]'', 0', 'version_conflict'), ('''[]'', -1', 'version_conflict'), ('''{}'', 6', 'version_conflict'), ('''{}'', 7', 'invalid_argument')) v (arguments, code);
SELECT is((SELECT rules FROM loyalty.programs WHERE client_id = 'V' AND merchant_id = :merchant), 7, 'nothing was published by these');
SELECT is(pg_temp.replaced(:merchant, '{b}', 7), '8: a', 'and the next one can be');

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT * FROM finish();
ROLLBACK;

-- Products, sales in instalments and payments: what they come to, to the cent,
-- and what is refused. Two at the same time are in t/70_customer.pl.
SET datestyle = 'ISO';
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

-- A CURP of its first 17 characters.
CREATE FUNCTION pg_temp.curp(start text) RETURNS loyalty.curp LANGUAGE sql AS $$
	SELECT (start || (10 - sum((strpos('0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ', substr(start, i, 1)) - 1) * (19 - i)) % 10) % 10)::loyalty.curp FROM generate_series(1, 17) i
$$;

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT client_id AS program FROM loyalty.create_program(:merchant, 'Clientes') \gset
SELECT client_id AS other_program FROM loyalty.create_program(:other, 'Clientes') \gset
\set curp CAMC880526HMCBNR04
\set second CAPC200504HMCBXRA2
\set third REAE060617MMCYLVA4
SELECT is(pg_temp.curp(left(c, 17))::text, c, 'the check digit of ' || c) FROM unnest(ARRAY[:'curp', :'second', :'third']) c;
SELECT loyalty.create_customer(:merchant, loyalty.find_program(:merchant, :'program'), :'curp', 'Carlos', 'Cabrera') AS member \gset
SELECT loyalty.create_customer(:merchant, loyalty.find_program(:merchant, :'program'), :'second', 'César', 'Cabrera') AS second_member \gset
SELECT loyalty.create_customer(:other, loyalty.find_program(:other, :'other_program'), :'curp', 'Carlos', 'Suyo') AS other_member \gset

-- --- products --------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.create_product(%L, %s)', m, arguments), code, 'create_product: ' || arguments)
FROM (VALUES (:merchant, '''P'', ''0'', 1', 'invalid_argument'), (:merchant, '''P'', ''-1'', 1', 'invalid_argument'), (:merchant, '''P'', NULL, 1', 'invalid_argument'), (:merchant, '''P'', ''1'', -1', 'invalid_argument'),
	(:merchant, '''P'', ''1'', NULL', 'invalid_argument'), (:merchant, ''''', ''1'', 1', 'invalid_argument'), (:merchant, 'NULL, ''1'', 1', 'invalid_argument'), (:merchant, '''P'', ''1'', 1, min_age => -1', 'invalid_argument'),
	(:merchant, '''P'', ''1'', 1, min_age => 5, max_age => 4', 'invalid_argument'), (:merchant, '''P'', ''1'', 1, min_age => 100000', 'invalid_argument'), (:merchant, '''P'', ''1'', 1, max_payments => 0', 'invalid_argument'),
	(:merchant, '''P'', ''1'', 1, max_payments => 37', 'invalid_argument'), (:merchant, '''P'', ''1'', 1, annual_rate => ''-1''', 'invalid_argument'), (:merchant, '''P'', ''1'', 1, commission => ''-1''', 'invalid_argument'),
	(1, '''P'', ''1'', 1', 'unknown_object'), (NULL, '''P'', ''1'', 1', 'unknown_object')) v (m, arguments, code);
SELECT loyalty.create_product(:merchant, 'Vida', '1000', 100, 'Seguro', 18, 69, 12, '12', '5') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.create_product(%s, ''Vida'', ''1'', 1)', :merchant), 'already_exists', 'a name is taken once');
SELECT lives_ok(format('SELECT loyalty.create_product(%s, ''Vida'', ''1'', 1)', :other), 'by each merchant');
SELECT results_eq(format('SELECT name, description, price::text, stock, min_age, max_age, max_payments, annual_rate::text, commission::text FROM loyalty.products WHERE merchant_id = %s', :merchant),
	$$VALUES ('Vida' COLLATE "C", 'Seguro', '1000', 100, 18::smallint, 69::smallint, 12::smallint, '12', '5')$$, 'a product as it was created');

-- --- what instalments cost ----------------------------------------------------------

SELECT is(loyalty.instalment_cost(price::loyalty.points, rate::loyalty.points, payments)::text, cost, format('%s at %s%% in %s', price, rate, payments))
FROM (VALUES ('1000', '12', 1, '1000'), ('1000', '12', 2, '1010'), ('1000', '12', 12, '1110'), ('1000', '12', 13, '1120'), ('1000', '0', 36, '1000'), ('5000', '12', 12, '5550'), ('20000', '10', 3, '20333.33'),
	('0.01', '100', 7, '0.02'), ('0.01', '100', 6, '0.01'), ('99.99', '33.3333', 36, '197.2'), ('0.05', '120', 2, '0.06'), ('999', '10', 2, '1007.33'),
	('54805.98', '10', 11, '59373.15')) v (price, rate, payments, cost);
-- Against integers: ten-thousandths of the price and of the rate, and so many hundredths of
-- 120,000,000 of a cent.  In two payments at 10 % a third of the prices ends in half a cent or near it.
SELECT is_empty($$SELECT price, rate, payments FROM (
		SELECT price, rate, payments, price * (12000000 + rate * (payments - 1)) AS cost
		FROM (SELECT n * 10007 AS price FROM generate_series(1::numeric, 99) n UNION ALL SELECT n * 30000 FROM generate_series(1::numeric, 200) n
			UNION ALL SELECT 9000000000000000 - n * 10000 FROM generate_series(1::numeric, 60) n) p,
			(VALUES (0::numeric), (1), (33333), (100000), (120000), (177700)) r (rate), unnest('{1,2,3,7,11,12,25,36}'::integer[]) payments OFFSET 0) c
	WHERE loyalty.instalment_cost((price * 0.0001)::loyalty.points, (rate * 0.0001)::loyalty.points, payments)::numeric
		<> div(cost + 600000000, 1200000000) * 0.01$$, 'the cost is exact, and half a cent goes up');

-- --- a sale -----------------------------------------------------------------------------

SELECT loyalty.open_policy(merchant_id => :merchant, curp => :'curp', product => 'Vida', payments => 12, pay_day => 15, on_date => '2026-03-14') AS sale \gset
SELECT results_eq(format('SELECT member_id, product, cost::text, payments, status FROM loyalty.policies WHERE policy_id = %s', :sale),
	format($$VALUES (%s::bigint, 'Vida' COLLATE "C", '1110', 12::smallint, 'PREVENTA')$$, :member), 'a sale');
SELECT matches(policy_number, '^P[0-9A-F]{16}$', 'has a policy') FROM loyalty.policies WHERE policy_id = :sale;
SELECT is(stock, 99, 'and takes one of the stock') FROM loyalty.products WHERE merchant_id = :merchant AND name = 'Vida';
SELECT is(stock, 1, 'of its merchant') FROM loyalty.products WHERE merchant_id = :other;

SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%L, %L, %s)', m, curp, arguments), code, 'open_policy: ' || concat_ws(' ', curp, arguments))
FROM (VALUES (:merchant, :'curp', '''Nada''', 'kasu_406'), (:merchant, :'curp', 'NULL', 'kasu_406'), (:merchant, :'curp', '''vida''', 'kasu_406'), (:merchant, :'third', '''Vida''', 'kasu_404'), (:merchant, NULL, '''Vida''', 'kasu_404'),
	(1, :'curp', '''Vida''', 'kasu_406'), (NULL, :'curp', '''Vida''', 'kasu_406'), (:other, :'second', '''Vida''', 'kasu_404'), (:merchant, :'second', '''Vida''', 'kasu_406'), (:merchant, :'curp', '''Vida'', 12, 1', 'kasu_412'),
	(:merchant, :'curp', '''Vida'', 0', 'kasu_400'), (:merchant, :'curp', '''Vida'', 13', 'kasu_400'), (:merchant, :'curp', '''Vida'', -1', 'kasu_400'), (:merchant, :'curp', '''Vida'', NULL', 'kasu_400'),
	(:merchant, :'curp', '''Vida'', 1, 2', 'kasu_400'), (:merchant, :'curp', '''Vida'', 1, 0', 'kasu_400'), (:merchant, :'curp', '''Vida'', 1, 16', 'kasu_400'), (:merchant, :'curp', '''Vida'', 1, NULL', 'kasu_400'),
	(:merchant, :'curp', '''Vida'', 1, 1, ''1988-05-25''', 'kasu_406'), (:merchant, :'curp', '''Vida'', 1, 1, ''1988-05-26''', 'kasu_406')) v (m, curp, arguments, code);

-- What an app user earns is exact too: of 1,000,001,004,999.99499999 the cents.
SELECT loyalty.create_product(:merchant, 'Cara', '1000000004999.99', 1, commission => '100.0001') \g /dev/null
SELECT loyalty.pay_policy(:merchant, loyalty.open_policy(:merchant, :'curp', 'Cara'), '1000000004999.99', 'x', 'cara', 'App') \g /dev/null
SELECT is(commission::text, '1000001004999.99', 'a commission is exact') FROM loyalty.payments WHERE merchant_id = :merchant AND reference = 'cara';

-- The age counts on the day of the sale.
SELECT loyalty.create_product(:merchant, 'Adulto', '10', 5, min_age => 18, max_age => 18) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, ''Adulto'', on_date => %L)', :merchant, :'second', day), 'kasu_406', 'not 18 on ' || day) FROM (VALUES ('2038-05-03'), ('2039-05-04')) v (day);
SAVEPOINT before;
SELECT lives_ok(format('SELECT loyalty.open_policy(%s, %L, ''Adulto'', on_date => ''2038-05-04'')', :merchant, :'second'), '18 on the birthday');
ROLLBACK TO before;
SELECT lives_ok(format('SELECT loyalty.open_policy(%s, %L, ''Adulto'', on_date => ''2039-05-03'')', :merchant, :'second'), '18 on the day before the next');

-- A family sells what fits the age, on the day of the sale, and whoever has one of it has it.
SELECT is(count(loyalty.create_product(:merchant, name, '100', 10, min_age => youngest, max_age => oldest, max_payments => 2, trust => 'F/' || name, family => 'Familia')), 3::bigint, 'three products of a family')
FROM (VALUES ('F 18-29', 18, 29), ('F 30-49', 30, 49), ('F 52-59', 52, 59)) v (name, youngest, oldest);
SELECT results_eq(format('SELECT name, family, min_age, max_age FROM loyalty.products WHERE merchant_id = %s AND family IS NOT NULL ORDER BY name', :merchant),
	$$VALUES ('F 18-29' COLLATE "C", 'Familia' COLLATE "C", 18::smallint, 29::smallint), ('F 30-49', 'Familia', 30::smallint, 49::smallint), ('F 52-59', 'Familia', 52::smallint, 59::smallint)$$, 'each with its ages');
SAVEPOINT before;
CREATE TEMP TABLE of_day AS SELECT v.day, v.product, p.id FROM
	(VALUES ('2018-05-25', 'F 18-29 F/F 18-29'), ('2018-05-26', 'F 30-49 F/F 30-49'), ('2038-05-25', 'F 30-49 F/F 30-49'), ('2040-05-26', 'F 52-59 F/F 52-59'), ('2048-05-25', 'F 52-59 F/F 52-59')) v (day, product),
	LATERAL (SELECT loyalty.open_policy(:merchant, :'curp', 'Familia', on_date => v.day::date) AS id) p, LATERAL loyalty.cancel_policy(:merchant, p.id);
SELECT is(s.product || ' ' || s.trust, d.product, 'its name sells on ' || d.day) FROM of_day d JOIN loyalty.policies s ON s.policy_id = d.id;
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, ''Familia'', on_date => %L)', :merchant, :'curp', day), 'kasu_406', 'no product of it fits on ' || day)
FROM (VALUES ('2006-05-25'), ('2038-05-26'), ('2040-05-25'), ('2048-05-26'), ('1988-05-25')) v (day);
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, ''Familia'', on_date => ''infinity'')', :merchant, :'curp'), 'kasu_400', 'infinity is no day');
SELECT loyalty.open_policy(:merchant, :'curp', 'Familia', on_date => '2018-05-25') AS of_family \gset
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, %L, on_date => ''2018-05-26'')', :merchant, :'curp', product), 'kasu_412', 'who has one of it has it: ' || product)
FROM (VALUES ('Familia'), ('F 30-49')) v (product);
SELECT loyalty.cancel_policy(:merchant, :of_family), loyalty.open_policy(:merchant, :'curp', 'F 30-49', on_date => '2018-05-26') \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.reopen_policy(%s, %s)', :merchant, :of_family), 'kasu_412', 'nor is a cancelled one opened again');
SELECT pg_temp.refuses(format('SELECT loyalty.pay_policy(%s, %s, ''1'', ''x'', ''familia'', ''App'')', :merchant, :of_family), 'kasu_412', 'nor by a payment');
SELECT loyalty.change_product(:merchant, 'F 30-49', family => '', trust => 'F/nuevo') \g /dev/null
SELECT is(family, NULL, 'an empty family is none') FROM loyalty.products WHERE merchant_id = :merchant AND name = 'F 30-49';
SELECT is(trust, 'F/F 30-49', 'what was sold keeps its trust') FROM loyalty.policies WHERE merchant_id = :merchant AND product = 'F 30-49' AND status <> 'CANCELADO';
SELECT lives_ok(format('SELECT loyalty.reopen_policy(%s, %s)', :merchant, :of_family), 'of different families there may be two');
ROLLBACK TO before;
SELECT pg_temp.refuses(format('SELECT loyalty.create_product(%s, %s)', :merchant, arguments), code, 'create_product: ' || arguments)
FROM (VALUES ('''G'', ''1'', 1, min_age => 29, max_age => 29, family => ''Familia''', 'already_exists'), ('''G'', ''1'', 1, min_age => 50, max_age => 52, family => ''Familia''', 'already_exists'),
	('''G'', ''1'', 1, min_age => 0, max_age => 150, family => ''Familia''', 'already_exists'), ('''Familia'', ''1'', 1', 'already_exists'), ('''G'', ''1'', 1, family => ''Vida''', 'already_exists'),
	('''G'', ''1'', 1, family => ''G''', 'already_exists'), ('''G'', ''1'', 1, family => E''a\nb''', 'invalid_argument'), ('''G'', ''1'', 1, family => repeat(''x'', 1025)', 'invalid_argument')) v (arguments, code);
SELECT lives_ok(format('SELECT loyalty.create_product(%s, ''G'', ''1'', 1, min_age => 50, max_age => 51, family => ''Familia'')', :merchant), 'ages that none has are free');
SELECT lives_ok(format('SELECT loyalty.create_product(%s, ''H'', ''1'', 1, min_age => 50, max_age => 51, family => ''Otra'')', :merchant), 'and those of another family');
SELECT lives_ok(format('SELECT loyalty.create_product(%s, ''F 18-29'', ''1'', 1, min_age => 20, max_age => 60, family => ''Familia'')', :other), 'or merchant');
SELECT pg_temp.refuses(format('SELECT loyalty.change_product(%s, %s)', :merchant, arguments), code, 'change_product: ' || arguments)
FROM (VALUES ('''F 18-29'', max_age => 30', 'already_exists'), ('''G'', min_age => 49', 'already_exists'), ('''H'', family => ''Familia''', 'already_exists'), ('''H'', family => ''Vida''', 'already_exists'),
	('''H'', family => ''H''', 'already_exists'), ('''H'', family => E''a\nb''', 'invalid_argument')) v (arguments, code);

-- None is left, and none is taken for a sale that is refused.
SELECT loyalty.create_product(:merchant, 'Último', '10', 1) \g /dev/null
SELECT loyalty.open_policy(:merchant, :'curp', 'Último') AS last_sale \gset
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, ''Último'')', :merchant, :'second'), 'kasu_412', 'there is none left');
SELECT is(stock, 0, 'and the stock is 0') FROM loyalty.products WHERE merchant_id = :merchant AND name = 'Último';
SELECT throws_ok(format('UPDATE loyalty_internal.product SET stock = -1 WHERE merchant_id = %s AND name = ''Último''', :merchant), '23514', NULL, 'the table itself refuses less than that');
SELECT is(stock, 4, 'refused sales have taken nothing') FROM loyalty.products WHERE merchant_id = :merchant AND name = 'Adulto';
UPDATE loyalty_internal.policy SET status = 'CANCELADO' WHERE merchant_id = :merchant AND policy_id = :last_sale;
UPDATE loyalty_internal.product SET stock = 1 WHERE merchant_id = :merchant AND name = 'Último';
SELECT lives_ok(format('SELECT loyalty.open_policy(%s, %L, ''Último'')', :merchant, :'curp'), 'after a sale was cancelled the customer may have another');
SELECT pg_temp.refuses(format('SELECT loyalty.pay_policy(%s, %s, ''1'', ''SPEI'', ''x'', ''app'')', :merchant, :last_sale), 'kasu_412', 'a cancelled sale is not paid');
UPDATE loyalty_internal.customer SET deceased = true WHERE merchant_id = :merchant AND member_id = :second_member;
UPDATE loyalty_internal.product SET stock = 1 WHERE merchant_id = :merchant AND name = 'Último';
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, ''Último'')', :merchant, :'second'), 'kasu_417', 'nothing is sold to the deceased');
-- Who is a customer is told last.
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, %s)', :merchant, :'third', arguments), code, 'open_policy of nobody: ' || arguments)
FROM (VALUES ('''Nada''', 'kasu_406'), ('''Vida'', 13', 'kasu_400'), ('''Vida'', 1, 2', 'kasu_400'), ('''Vida'', 12', 'kasu_404')) v (arguments, code);

-- What is too little to divide.
SELECT loyalty.create_product(:merchant, 'Centavos', '0.35', 100, max_payments => 36) \g /dev/null
SELECT loyalty.create_product(:merchant, 'Milésima', '0.004', 100) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, %L, %s)', :merchant, :'curp', product, payments), 'kasu_400', product || ' does not divide') FROM (VALUES ('Centavos', 36), ('Milésima', 1)) v (product, payments);

-- --- instalments -------------------------------------------------------------------------

-- 1 to 36 payments of odd prices, each to a customer of its own.
CREATE TEMP TABLE offered AS
SELECT price, row_number() OVER (ORDER BY price::numeric) AS ordinal, loyalty.create_product(:merchant, price, price::loyalty.points, 100, max_payments => 36, annual_rate => '17.77') AS product_id
FROM unnest(ARRAY['0.36', '1', '99.99', '1000.01', '7777777.77', '20000']) price;
CREATE TEMP TABLE buyer AS
SELECT price, n AS payments, curp, loyalty.create_customer(:merchant, loyalty.find_program(:merchant, :'program'), curp, 'A', 'B') AS member_id
FROM (SELECT price, n, pg_temp.curp(format('GOPL%s0115HDFBZT%s', 55 + n, ordinal)) AS curp FROM offered, generate_series(1, 36) n OFFSET 0) c;
CREATE TEMP TABLE sold AS
SELECT price, payments, pay_day, day, loyalty.open_policy(:merchant, curp, price, payments, pay_day, day) AS policy_id
FROM (SELECT price, payments, curp, CASE WHEN payments % 2 = 0 THEN 1 ELSE 15 END AS pay_day, '2027-12-31'::date - payments * 11 AS day FROM buyer OFFSET 0) b;
SELECT is(count(*), 216::bigint, 'sales to look at') FROM sold;
CREATE TEMP VIEW parts AS
SELECT s.policy_id, o.price, o.payments, o.pay_day, o.day, s.cost::numeric AS cost, i.ordinal, i.due_on, i.amount::numeric AS amount
FROM sold o JOIN loyalty_internal.policy s USING (policy_id) JOIN loyalty_internal.instalment i USING (merchant_id, policy_id);
SELECT is_empty('SELECT price, payments, cost, sum(amount) FROM parts GROUP BY policy_id, price, payments, cost HAVING sum(amount) <> cost', 'instalments sum to the cost, exactly');
SELECT is_empty('SELECT price, payments FROM parts GROUP BY policy_id, price, payments HAVING count(*) <> payments OR max(ordinal) <> payments OR min(ordinal) <> 1', 'there are as many as agreed');
SELECT is_empty('SELECT price, payments FROM parts GROUP BY policy_id, price, payments HAVING max(amount) - min(amount) > 0.01', 'they differ by a cent at most');
SELECT is_empty('SELECT * FROM (SELECT amount, lag(amount) OVER (PARTITION BY policy_id ORDER BY ordinal) AS previous FROM parts) p WHERE amount > previous', 'the first are the larger ones');
SELECT is_empty('SELECT price, payments, amount FROM parts WHERE amount <> round(amount, 2) OR amount <= 0', 'they are cents, and not none');
SELECT is_empty('SELECT price, payments, cost FROM parts WHERE cost <> div(price::numeric * 10000 * (120000 + 1777 * (payments - 1)) + 6000000, 12000000) * 0.01', 'the cost is the price and simple interest');
SELECT is_empty('SELECT pay_day, due_on FROM parts WHERE extract(day FROM due_on) <> pay_day', 'they are due on the day of payment');
SELECT is_empty($$SELECT * FROM (SELECT due_on, lag(due_on) OVER (PARTITION BY policy_id ORDER BY ordinal) AS previous FROM parts) p WHERE due_on <> previous + interval '1 month'$$, 'a month apart');
SELECT is_empty($$SELECT day, due_on FROM parts WHERE ordinal = 1 AND (due_on <= day OR due_on > day + interval '1 month')$$, 'the first within a month, and not on the day itself');

-- The first due day, by day of the sale.
CREATE FUNCTION pg_temp.due_days(merchant bigint, curp text, pay_day integer, day date) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	opened bigint;
	days text;
BEGIN
	opened := loyalty.open_policy(merchant, curp::loyalty.curp, 'Adeudo', 3, pay_day, day);
	SELECT string_agg(i.due_on::text, ' ' ORDER BY i.ordinal) INTO days FROM loyalty_internal.instalment i WHERE i.policy_id = opened;
	UPDATE loyalty_internal.policy SET status = 'CANCELADO' WHERE policy_id = opened;
	RETURN days;
END
$$;
SELECT loyalty.create_product(:merchant, 'Adeudo', '100', 100, max_payments => 3, commission => '2.5') \g /dev/null
SELECT is(pg_temp.due_days(:merchant, :'curp', pay_day, day::date), days, format('sold on %s, paid on the %s', day, pay_day))
FROM (VALUES ('2027-01-31', 1, '2027-02-01 2027-03-01 2027-04-01'), ('2027-01-31', 15, '2027-02-15 2027-03-15 2027-04-15'), ('2027-02-01', 1, '2027-03-01 2027-04-01 2027-05-01'),
	('2027-02-01', 15, '2027-02-15 2027-03-15 2027-04-15'), ('2027-02-14', 15, '2027-02-15 2027-03-15 2027-04-15'), ('2027-02-15', 15, '2027-03-15 2027-04-15 2027-05-15'), ('2028-02-29', 1, '2028-03-01 2028-04-01 2028-05-01'),
	('2027-12-31', 1, '2028-01-01 2028-02-01 2028-03-01'), ('2027-11-30', 15, '2027-12-15 2028-01-15 2028-02-15'), ('2027-12-15', 15, '2028-01-15 2028-02-15 2028-03-15')) v (day, pay_day, days);
SELECT loyalty.open_policy(:merchant, :'curp', 'Adeudo') AS of_today \gset
SELECT is(due_on, (date_trunc('month', now() AT TIME ZONE 'America/Mexico_City') + interval '1 month')::date, 'today is that of Mexico City') FROM loyalty_internal.instalment WHERE policy_id = :of_today;
UPDATE loyalty_internal.policy SET status = 'CANCELADO' WHERE merchant_id = :merchant AND member_id = :member AND cost::numeric = 100;

-- --- payments ------------------------------------------------------------------------------

-- 33.34, 33.33 and 33.33, due on 2027-02-15, 03-15 and 04-15.
SELECT loyalty.open_policy(:merchant, :'curp', 'Adeudo', 3, 15, '2027-02-01') AS debt \gset
CREATE FUNCTION pg_temp.stands(merchant bigint, sale bigint, day date) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s: %s of %s, now %s, late %s, pending %s, commission %s', s ->> 'status', s ->> 'saldo', s ->> 'costo', s ->> 'pago_periodo', s ->> 'atrasos',
		(SELECT coalesce(string_agg((p ->> 'numero') || '=' || (p ->> 'cantidad'), ' '), 'none') FROM json_array_elements(s -> 'calendario') p), s ->> 'comision')
	FROM loyalty.policy_status(merchant_id => merchant, policy_id => sale, on_date => day) s
$$;
CREATE FUNCTION pg_temp.pay(merchant bigint, sale bigint, amount text, reference text) RETURNS text LANGUAGE sql AS $$
	SELECT loyalty.pay_policy(merchant_id => merchant, policy_id => sale, amount => amount::loyalty.points, method => 'SPEI', reference => reference, app_user => 'app') ->> 'saldo'
$$;
SELECT is(pg_temp.stands(:merchant, :debt, day::date), expected, 'nothing is paid on ' || day)
FROM (VALUES ('2027-02-15', 'PREVENTA: 100 of 100, now 33.34, late 0, pending 1=33.34 2=33.33 3=33.33, commission 0'), ('2027-02-16', 'PREVENTA: 100 of 100, now 33.33, late 33.34, pending 1=33.34 2=33.33 3=33.33, commission 0'),
	('2027-03-16', 'PREVENTA: 100 of 100, now 33.33, late 66.67, pending 1=33.34 2=33.33 3=33.33, commission 0'), ('2027-04-16', 'PREVENTA: 100 of 100, now 0, late 100, pending 1=33.34 2=33.33 3=33.33, commission 0')) v (day, expected);
SELECT is(pg_temp.pay(:merchant, :debt, '33.35', 'a'), '66.65', 'a payment that is a cent more than the first instalment');
SELECT is(pg_temp.stands(:merchant, :debt, day::date), expected, 'arrears come first, on ' || day)
FROM (VALUES ('2027-02-15', 'COBRANZA: 66.65 of 100, now 0, late 0, pending 2=33.32 3=33.33, commission 0.83'), ('2027-03-16', 'COBRANZA: 66.65 of 100, now 33.33, late 33.32, pending 2=33.32 3=33.33, commission 0.83')) v (day, expected);
SELECT is(pg_temp.pay(:merchant, :debt, '33.35', 'a'), '66.65', 'the same again books nothing');
SELECT is(pg_temp.pay(:merchant, :debt, '33.3500', 'a'), '66.65', 'nor does it when spelled otherwise');
SELECT pg_temp.refuses(format('SELECT loyalty.pay_policy(%L, %L, %s)', m, sale, arguments), code, 'pay_policy: ' || arguments)
FROM (VALUES (:merchant, :debt, '''33.36'', ''SPEI'', ''a'', ''app''', 'kasu_412'), (:merchant, :debt, '''33.35'', ''OXXO'', ''a'', ''app''', 'kasu_412'), (:merchant, :sale, '''33.35'', ''SPEI'', ''a'', ''app''', 'kasu_412'),
	(:merchant, :debt, '''66.66'', ''SPEI'', ''b'', ''app''', 'kasu_412'), (:merchant, :debt, '''0.001'', ''SPEI'', ''b'', ''app''', 'kasu_412'), (:merchant, :debt, '''922337203685477'', ''SPEI'', ''b'', ''app''', 'kasu_412'),
	(:merchant, :debt, '''0'', ''SPEI'', ''b'', ''app''', 'kasu_400'), (:merchant, :debt, '''-1'', ''SPEI'', ''b'', ''app''', 'kasu_400'), (:merchant, :debt, 'NULL, ''SPEI'', ''b'', ''app''', 'kasu_400'),
	(:merchant, :debt, '''1'', NULL, ''b'', ''app''', 'kasu_400'), (:merchant, :debt, '''1'', '''', ''b'', ''app''', 'kasu_400'), (:merchant, :debt, '''1'', ''SPEI'', NULL, ''app''', 'kasu_400'), (:merchant, :debt, '''1'', ''SPEI'', '''', ''app''', 'kasu_400'),
	(:merchant, :debt, '''1'', ''SPEI'', ''b'', NULL', 'kasu_400'), (:other, :debt, '''1'', ''SPEI'', ''b'', ''app''', 'kasu_412'), (:merchant, 1, '''1'', ''SPEI'', ''b'', ''app''', 'kasu_412'), (NULL, :debt, '''1'', ''SPEI'', ''b'', ''app''', 'kasu_412'),
	(:merchant, NULL, '''1'', ''SPEI'', ''b'', ''app''', 'kasu_412')) v (m, sale, arguments, code);
SELECT is(pg_temp.stands(:merchant, :debt, '2027-03-16'), 'COBRANZA: 66.65 of 100, now 33.33, late 33.32, pending 2=33.32 3=33.33, commission 0.83', 'what was refused has changed nothing');
SELECT is(pg_temp.pay(:merchant, :debt, '66.65', 'b'), '0', 'all the rest');
SELECT is(loyalty.policy_status(:merchant, :debt)::jsonb @> '{"status": "ACTIVACION", "saldo": 0, "pagos_pendientes": 0, "pagos_realizados": 100, "comision": 2.5, "estado_cobranza": "CORRIENTE"}', true, 'it is paid');
SELECT is(loyalty.policy_status(:merchant, :debt, (now() AT TIME ZONE 'America/Mexico_City')::date + n) ->> 'status', expected, format('on day %s it is in %s', n, expected)) FROM (VALUES (0, 'ACTIVACION'), (28, 'ACTIVACION'), (30, 'ACTIVO'), (400, 'ACTIVO')) v (n, expected);
SELECT is(loyalty_internal.policy_state(status, '2027-01-01 12:00:00.5Z', at::timestamptz), expected, format('%s at %s is %s', status, at, expected))
FROM (VALUES ('ACTIVACION', '2027-01-31 12:00:00.4Z', 'ACTIVACION'), ('ACTIVACION', '2027-01-31 12:00:00.5Z', 'ACTIVO'), ('CANCELADO', '2027-03-01Z', 'CANCELADO'), ('COBRANZA', '2027-03-01Z', 'COBRANZA')) v (status, at, expected);
SELECT is(status, 'ACTIVACION', 'so in the view') FROM loyalty.policies WHERE policy_id = :debt;
UPDATE loyalty_internal.policy SET paid_off_at = now() - interval '720 hours' WHERE policy_id = :debt;
SELECT is(status, 'ACTIVO', 'though nothing ran') FROM loyalty.policies WHERE policy_id = :debt;
SELECT pg_temp.refuses(format('SELECT loyalty.pay_policy(%s, %s, ''0.01'', ''SPEI'', ''c'', ''app'')', :merchant, :debt), 'kasu_412', 'and takes no more');
SELECT is(pg_temp.pay(:merchant, :debt, '66.65', 'b'), '0', 'but the last one again is still the last one');
SELECT set_eq(format($$SELECT y ->> 'referencia' AS reference, y ->> 'cantidad' AS amount, y ->> 'metodo' AS method FROM json_array_elements(loyalty.policy_status(%s, %s) -> 'pagos') y$$, :merchant, :debt),
	$$VALUES ('a', '33.35', 'SPEI'), ('b', '66.65', 'SPEI')$$, 'both payments are there');
SELECT loyalty.open_policy(:other, :'curp', 'Vida') AS other_sale \gset
SELECT is(pg_temp.pay(:other, :other_sale, '1', 'a'), '0', 'a reference is the merchant''s own');
SELECT loyalty.create_product(:merchant, 'Dos', '10', 5) \g /dev/null
SELECT loyalty.open_policy(:merchant, :'curp', 'Dos') AS two \gset
SELECT is(loyalty.pay_policy(:merchant, :two, amount, 'SPEI', 'a', app_user) ->> 'saldo', left_over, format('and its app user''s: %s of %s', amount, app_user))
FROM (VALUES ('1'::loyalty.points, 'app 2', '9'), ('2', 'app ', '7'), ('1', 'app 2', '9')) v (amount, app_user, left_over);
SELECT is(loyalty.policy_status(:other, :debt)::text, NULL, 'the status of another merchant''s sale is none');

-- A payment takes the same work however many there were, and there is an end of them.
SELECT lives_ok(format('SELECT loyalty.create_product(%s, ''A céntimos'', ''100'', 5)', :merchant), 'a product that is paid in cents');
SELECT loyalty.open_policy(:merchant, :'curp', 'A céntimos') AS cents \gset
CREATE FUNCTION pg_temp.payments_read(merchant bigint, sale bigint, reference text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := pg_stat_get_xact_tuples_returned('loyalty_internal.payment'::regclass) + pg_stat_get_xact_tuples_fetched('loyalty_internal.payment'::regclass);
BEGIN
	PERFORM loyalty_internal.book_payment(merchant, sale, '0.01', 'SPEI', reference, 'app');
	RETURN pg_stat_get_xact_tuples_returned('loyalty_internal.payment'::regclass) + pg_stat_get_xact_tuples_fetched('loyalty_internal.payment'::regclass) - before;
END
$$;
SELECT cmp_ok(max(pg_temp.payments_read(:merchant, :cents, 'cent-' || n)), '<', 10::bigint, 'each of 200 payments of a cent reads few of those before') FROM generate_series(1, 200) n;
SELECT is(loyalty.policy_status(:merchant, :cents) ->> 'saldo', '98', 'what is still to be paid is told');
SELECT pg_temp.refuses(format('SELECT loyalty.pay_policy(%s, %s, %L, ''SPEI'', ''one more'', ''app'')', :merchant, :cents, amount), 'kasu_412', 'one more is refused: ' || amount) FROM (VALUES ('0.01'), ('97.99')) v (amount);
SELECT is(pg_temp.pay(:merchant, :cents, '0.01', 'cent-1'), '99.99', 'the first one again is still the first one, and answered as it was');
SELECT is(pg_temp.pay(:merchant, :cents, '98', 'one more'), '0', 'all that is still to be paid is taken');

-- It is another day in each of the two zones, at any moment.
SELECT m.program_id AS zoned FROM loyalty.members m JOIN loyalty.customers c USING (merchant_id, member_id) WHERE m.merchant_id = :merchant AND c.curp::text = :'curp' \gset
SELECT loyalty.create_product(:merchant, 'Zona', '100', 9) \g /dev/null
SELECT loyalty.configure_program(:merchant, :zoned, '{"time_zone":"Pacific/Niue"}'), loyalty.open_policy(:merchant, :'curp', 'Zona') AS zone \gset
UPDATE loyalty_internal.instalment SET due_on = (clock_timestamp() AT TIME ZONE 'Pacific/Niue')::date WHERE policy_id = :zone;
SELECT loyalty.pay_policy(:merchant, :zone, '1', 'SPEI', 'zona', 'app') AS answered \gset
SELECT is(:'answered'::json ->> 'estado_cobranza', 'CORRIENTE', 'what is due on the day of the payment is not late');
SELECT loyalty.configure_program(:merchant, :zoned, '{"time_zone":"Pacific/Kiritimati"}') \g /dev/null
SELECT is(loyalty.policy_status(:merchant, :zone) ->> 'estado_cobranza', 'MORA', 'in another time zone it is another day');
SELECT is(loyalty.pay_policy(:merchant, :zone, '1', 'SPEI', 'zona', 'app')::text, :'answered', 'the same payment again is answered as it was, whatever the time zone is by now');
SELECT loyalty.configure_program(:merchant, :zoned, '{"time_zone":"America/Mexico_City"}'), loyalty.cancel_policy(:merchant, :zone) \g /dev/null

-- Balance and what is paid are the cost, after every payment.
CREATE FUNCTION pg_temp.pay_off(merchant bigint, sale bigint, step numeric) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	status json := loyalty.policy_status(merchant, sale);
	cost numeric := (status ->> 'costo')::numeric;
	paid numeric := 0;
	pending numeric;
	n integer := 0;
BEGIN
	WHILE (status ->> 'saldo')::numeric > 0 LOOP
		n := n + 1;
		status := loyalty.pay_policy(merchant, sale, least(step, (status ->> 'saldo')::numeric)::loyalty.points, 'OXXO', format('%s-%s', sale, n), 'app');
		SELECT sum((y ->> 'cantidad')::numeric) INTO paid FROM json_array_elements(status -> 'pagos') y;
		SELECT coalesce(sum((y ->> 'cantidad')::numeric), 0) INTO pending FROM json_array_elements(status -> 'calendario') y;
		IF (status ->> 'saldo')::numeric + paid <> cost OR pending <> (status ->> 'saldo')::numeric OR (status ->> 'status' = 'ACTIVACION') <> (paid = cost) THEN
			RETURN NEXT format('payment %s: %s', n, status);
		END IF;
	END LOOP;
	IF n < 2 OR status ->> 'status' <> 'ACTIVACION' THEN
		RETURN NEXT format('%s payments, then %s', n, status);
	END IF;
END
$$;
SELECT is_empty(format('SELECT pg_temp.pay_off(%s, %s, %s)', :merchant, policy_id, round(cost::numeric / 7.3, 2)), format('%s in %s payments is paid off, and adds up all the way', o.price, o.payments))
FROM sold o JOIN loyalty_internal.policy s USING (policy_id) WHERE o.payments IN (1, 7, 12, 36) ORDER BY o.price, o.payments;
SELECT is_empty('SELECT policy_id FROM loyalty_internal.policy s WHERE s.cost::numeric < (SELECT sum(y.amount::numeric) FROM loyalty_internal.payment y WHERE y.merchant_id = s.merchant_id AND y.policy_id = s.policy_id)', 'nothing is overpaid');

-- --- what changes ---------------------------------------------------------------------

SELECT loyalty.create_product(:merchant, 'Cambia', '100', 5, 'Uno', 18, 69, 2, '12', '5') \g /dev/null
SELECT loyalty.open_policy(:merchant, :'curp', 'Cambia', 2) AS first \gset
SELECT lives_ok(format('SELECT loyalty.change_product(%s, ''Cambia'', price => ''200'', max_payments => 3, commission => ''10'', trust => ''F/1'')', :merchant), 'a product changes');
SELECT results_eq(format('SELECT price::text, stock, description, min_age, max_age, max_payments, annual_rate::text, commission::text, trust FROM loyalty.products WHERE merchant_id = %s AND name = ''Cambia''', :merchant),
	$$VALUES ('200', 4, 'Uno', 18::smallint, 69::smallint, 3::smallint, '12', '10', 'F/1')$$, 'what is not said stays');
SELECT pg_temp.pay(:merchant, :first, '10', 'cambia-1') \g /dev/null
SELECT is(loyalty.policy_status(:merchant, :first)::jsonb @> '{"subtotal": 100, "costo": 101, "comision": 0.5, "comision_producto": 5}', true, 'and so does what was sold');
SELECT pg_temp.refuses(format('SELECT loyalty.change_product(%s, %s)', m, arguments), code, 'change_product: ' || arguments)
FROM (VALUES (:merchant, '''Nada'', ''1''', 'unknown_object'), (:other, '''Cambia'', ''1''', 'unknown_object'), (:merchant, '''Cambia'', ''0''', 'invalid_argument'), (:merchant, '''Cambia'', stock => -1', 'invalid_argument'),
	(:merchant, '''Cambia'', max_age => 17', 'invalid_argument'), (:merchant, '''Cambia'', max_payments => 37', 'invalid_argument'), (:merchant, '''Cambia'', min_age => 100000', 'invalid_argument'), (:merchant, '''Cambia'', trust => repeat(''x'', 1025)', 'invalid_argument')) v (m, arguments, code);

CREATE FUNCTION pg_temp.state(sale bigint) RETURNS text LANGUAGE sql AS $$ SELECT status FROM loyalty.policies WHERE policy_id = sale $$;
SELECT is(loyalty.cancel_policy(merchant_id => :merchant, policy_id => :first), true, 'a policy is cancelled');
SELECT is(loyalty.cancel_policy(:merchant, :first), false, 'once');
SELECT is(pg_temp.state(:first), 'CANCELADO', 'and is then');
SELECT is(loyalty.reopen_policy(merchant_id => :merchant, policy_id => :first), true, 'it is opened again');
SELECT is(loyalty.reopen_policy(:merchant, :first), false, 'once');
SELECT is(pg_temp.state(:first), 'COBRANZA', 'and is what its payments make it');
SELECT loyalty.cancel_policy(:merchant, :first) \g /dev/null
SELECT is(pg_temp.pay(:merchant, :first, '1', 'cambia-2'), '90', 'a payment opens it, too');
SELECT is(pg_temp.state(:first), 'COBRANZA', 'as if it had never been cancelled');
SELECT loyalty.cancel_policy(:merchant, :first) \g /dev/null
SELECT is(pg_temp.pay(:merchant, :first, '1', 'cambia-2'), '90', 'one that is repeated does not');
SELECT is(pg_temp.state(:first), 'CANCELADO', 'it stays cancelled');
SELECT loyalty.open_policy(:merchant, :'curp', 'Cambia') AS second \gset
SELECT pg_temp.refuses(format('SELECT loyalty.reopen_policy(%s, %s)', :merchant, :first), 'kasu_412', 'the customer has the product by another');
SELECT pg_temp.refuses(format('SELECT loyalty.pay_policy(%s, %s, ''1'', ''SPEI'', ''cambia-3'', ''app'')', :merchant, :first), 'kasu_412', 'which a payment does not get around');
SELECT loyalty.cancel_policy(:merchant, :second), loyalty.reopen_policy(:merchant, :second) \g /dev/null
SELECT is(pg_temp.state(:second), 'PREVENTA', 'one of which nothing is paid');
SELECT pg_temp.pay(:merchant, :second, '200', 'cambia-4'), loyalty.cancel_policy(:merchant, :second), loyalty.reopen_policy(:merchant, :second) \g /dev/null
SELECT is(pg_temp.state(:second), 'ACTIVACION', 'and one that is paid off');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s)', f, m, sale), 'unknown_object', f || ': no such policy') FROM unnest('{cancel_policy,reopen_policy}'::text[]) f, (VALUES (:other, :first), (:merchant, 1)) v (m, sale);

-- A thousand schedules of all numbers of payments, paid by chance and looked at on
-- some day, against a second way to compute each sum.
SELECT setseed(0.19) \g /dev/null
CREATE TEMP TABLE drawn AS
SELECT g.k, n AS payments, loyalty.create_product(:merchant, 'Azar ' || g.k, g.price, 100, max_payments => 36, annual_rate => g.rate, commission => g.commission) IS NOT NULL AND n = 1 AS made
FROM (SELECT k, round((50 + random() * 9000)::numeric, 2)::loyalty.points AS price, round((random() * 40)::numeric, 2)::loyalty.points AS rate, round((random() * 20)::numeric, 2)::loyalty.points AS commission FROM generate_series(1, 28) k) g, (VALUES (1)) v (n);
CREATE TEMP TABLE chance AS
SELECT b.payments, d.k, loyalty.open_policy(:merchant, b.curp, 'Azar ' || d.k, b.payments, CASE WHEN (d.k + b.payments) % 2 = 0 THEN 1 ELSE 15 END, '2025-01-31'::date + (d.k * 37 + b.payments * 11) % 300) AS policy_id,
	'2025-02-01'::date + (random() * 1500)::integer AS day
FROM buyer b, drawn d WHERE b.price = '1000.01';
CREATE FUNCTION pg_temp.pay_by_chance(merchant bigint, sale bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	due numeric;
	n integer := 0;
BEGIN
	WHILE n < 5 AND random() < 0.8 LOOP
		SELECT coalesce(min(y.balance::numeric), min(s.cost::numeric)) INTO due FROM loyalty_internal.policy s LEFT JOIN loyalty_internal.payment y USING (merchant_id, policy_id) WHERE s.policy_id = sale;
		EXIT WHEN due = 0;
		n := n + 1;
		PERFORM loyalty_internal.book_payment(merchant, sale, CASE WHEN random() < 0.2 THEN due ELSE greatest(round(due * random()::numeric, 2), 0.01) END::loyalty.points, 'SPEI', format('azar-%s-%s', sale, n), CASE n % 2 WHEN 0 THEN 'azar par' ELSE 'azar impar' END);
	END LOOP;
	RETURN n;
END
$$;
SELECT cmp_ok(sum(pg_temp.pay_by_chance(:merchant, policy_id)), '>', 1500::bigint, 'payments by chance') FROM chance;
CREATE TEMP TABLE computed AS
SELECT c.policy_id, c.day, c.payments, s.cost::numeric AS cost, t.paid, round(t.paid * s.commission::numeric / 100, 2) AS commission,
	greatest(coalesce((SELECT sum(i.amount::numeric) FROM loyalty_internal.instalment i WHERE i.policy_id = c.policy_id AND i.due_on < c.day), 0) - t.paid, 0) AS late,
	(SELECT count(*) FROM loyalty_internal.instalment i WHERE i.policy_id = c.policy_id AND (SELECT sum(f.amount::numeric) FROM loyalty_internal.instalment f WHERE f.policy_id = i.policy_id AND f.ordinal <= i.ordinal) > t.paid) AS pending
FROM chance c JOIN loyalty_internal.policy s USING (policy_id), LATERAL (SELECT coalesce(sum(y.amount::numeric), 0) AS paid FROM loyalty_internal.payment y WHERE y.policy_id = c.policy_id) t;
SELECT is(count(*), 1008::bigint, 'schedules') FROM computed;
SELECT is(array_agg(DISTINCT payments ORDER BY payments)::integer[], ARRAY(SELECT generate_series(1, 36)), 'of 1 to 36 payments') FROM computed;
SELECT cmp_ok(count(*) FILTER (WHERE late > 0), '>', 200::bigint, 'many are late') FROM computed;
SELECT is_empty(format($$SELECT c.* FROM computed c, LATERAL loyalty.policy_status(%s, c.policy_id, c.day) s
	WHERE (s ->> 'pagos_realizados')::numeric <> c.paid OR (s ->> 'saldo')::numeric <> c.cost - c.paid OR (s ->> 'atrasos')::numeric <> c.late
	OR (s ->> 'pagos_pendientes')::bigint <> c.pending OR (s ->> 'estado_cobranza' = 'MORA') <> (c.late > 0) OR (s ->> 'comision')::numeric <> c.commission
	OR (SELECT coalesce(sum((p ->> 'cantidad')::numeric), 0) FROM json_array_elements(s -> 'calendario') p) <> c.cost - c.paid
	OR (SELECT coalesce(sum((p ->> 'cantidad')::numeric), 0) FROM json_array_elements(s -> 'pagos') p) <> c.paid$$, :merchant), 'payments, balance, arrears, what is pending and the commission are the same by both, to the cent');
SELECT is(sum(v.commission::numeric), (SELECT sum(commission) FROM computed), 'and the commissions of app users come to those of the policies') FROM loyalty.commissions v WHERE v.merchant_id = :merchant AND v.app_user LIKE 'azar%';
SELECT results_eq(format('SELECT app_user, period FROM loyalty.commissions WHERE merchant_id = %s AND app_user LIKE ''azar%%'' ORDER BY 1', :merchant), $$VALUES ('azar impar' COLLATE "C", date_trunc('month', now() AT TIME ZONE 'America/Mexico_City')::date), ('azar par', date_trunc('month', now() AT TIME ZONE 'America/Mexico_City')::date)$$, 'by app user and month');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- for reports ----------------------------------------------------------------------------

SELECT results_eq(format('SELECT ordinal, due_on, amount::text FROM loyalty.instalments WHERE merchant_id = %s AND policy_id = %s ORDER BY ordinal', :merchant, :debt),
	$$VALUES (1::smallint, '2027-02-15'::date, '33.34'), (2::smallint, '2027-03-15', '33.33'), (3::smallint, '2027-04-15', '33.33')$$, 'what is due when');
SELECT results_eq(format('SELECT reference, amount::text, method, app_user, paid_at >= now() FROM loyalty.payments WHERE merchant_id = %s AND policy_id = %s ORDER BY paid_at', :merchant, :debt),
	$$VALUES ('a' COLLATE "C", '33.35', 'SPEI', 'app' COLLATE "C", true), ('b', '66.65', 'SPEI', 'app', true)$$, 'what was paid of it');
SELECT results_eq(format('SELECT policy_id, reference, amount::text FROM loyalty.payments WHERE merchant_id = %s', :other), format($$VALUES (%s::bigint, 'a' COLLATE "C", '1')$$, :other_sale), 'of each merchant its own');

SELECT * FROM finish();
ROLLBACK;

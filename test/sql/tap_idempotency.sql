-- Everything in SQL that takes an idempotency key does what it does once: the
-- same call again gets the first answer and changes nothing, and the same key
-- with anything else is refused.  The functions are those of the catalog.
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT program_id AS p, client_id AS c, wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 10) \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'clave de Ana') AS s \gset
SELECT loyalty.open_account(:m, :p) AS a \gset
SELECT loyalty.open_account(:m, :p) AS b \gset
SELECT entry_id AS earned FROM loyalty.post(:m, :a, 'deposit', 1000) \gset
SELECT entry_id AS held FROM loyalty.hold(:m, :a, 100) \gset
SELECT loyalty.set_quota(:m, 'messages', 1000) \g /dev/null
SELECT loyalty.create_product(:m, 'Plan', 100, 5) AS product \gset
SELECT loyalty.create_customer(:m, :p, 'CAMC880526HMCBNR04', 'Carlos', 'Cabrera') AS carlos \gset
SELECT loyalty.create_member(:m, :p, 'Socia', '5512340001', client_id => 'S') AS host \gset
SELECT loyalty.post(:m, :host, 'deposit', 500) \g /dev/null
SELECT loyalty.create_member(:m, :p, 'Socio') AS guest \gset
SELECT loyalty.share_account(:m, :guest, :host) \g /dev/null

-- A call, with %s for its key, and another that differs in one thing.
CREATE TEMP TABLE call (function text PRIMARY KEY, call text, another text, changes integer);
INSERT INTO call SELECT function, format(call, :m, :p, :a, :b, :'w', :s, :earned, :held, :guest, :'c', '%s'),
	format(replace(call, word[1], word[2]), :m, :p, :a, :b, :'w', :s, :earned, :held, :guest, :'c', '%s'), cardinality(string_to_array(call, word[1])) - 1
FROM (VALUES
	('post', $$loyalty.post(%1$s, %3$s, 'deposit', 10, idempotency_key => %11$s)$$, ' 10, > 11,'),
	('post_batch', $$loyalty.post_batch(%1$s, ARRAY[%3$s, %4$s, 1], '{deposit,adjust,hold}', '{10,-1000,5}', idempotency_key => %11$s)$$, '-1000 > -1001'),
	('sale', $$loyalty.sale(%1$s, %3$s, 100, idempotency_key => %11$s)$$, ' 100 > 101'),
	('hold', $$loyalty.hold(%1$s, %3$s, 10, idempotency_key => %11$s)$$, ' 10, > 11,'),
	('capture', $$loyalty.capture(%1$s, %3$s, %8$s, 10, idempotency_key => %11$s)$$, ' 10, > 11,'),
	('release', $$loyalty.release(%1$s, %3$s, %8$s, 10, idempotency_key => %11$s)$$, ' 10, > 11,'),
	('reverse', $$loyalty.reverse(%1$s, %3$s, %7$s, 10, 'R', idempotency_key => %11$s)$$, '''R'' > ''S'''),
	('transfer', $$loyalty.transfer(%1$s, %3$s, %4$s, 10, idempotency_key => %11$s)$$, ' 10, > 11,'),
	('leave_account', $$loyalty.leave_account(%1$s, %9$s, 0, idempotency_key => %11$s)$$, ' 0, > 1,'),
	('add_quota', $$loyalty.add_quota(%1$s, 'messages', 10, %11$s)$$, ' 10, > 11,'),
	('open_account', $$loyalty.open_account(%1$s, %2$s, %11$s)$$, '%2$s, > 1,'),
	('open_policy', $$loyalty.open_policy(%1$s, 'CAMC880526HMCBNR04', 'Plan', on_date => '2027-01-01', idempotency_key => %11$s)$$, '-01-01 > -01-02'),
	('create_branch', $$loyalty.create_branch(%1$s, 'Norte', %11$s)$$, 'Norte > Sur'),
	('create_customer', $$loyalty.create_customer(%1$s, %2$s, 'CAPC200504HMCBXRA2', 'Carlos', 'Cabrera', state => 'MEX', idempotency_key => %11$s)$$, '''MEX'' > NULL'),
	('create_member', $$loyalty.create_member(%1$s, %2$s, 'Ana', birth_date => '1990-05-03', idempotency_key => %11$s)$$, 'Ana > ANA'),
	('create_product', $$loyalty.create_product(%1$s, 'Otro', 100, 5, idempotency_key => %11$s)$$, ' 5, > 6,'),
	('create_program', $$loyalty.create_program(%1$s, 'P', settings => '{"decimals": 1}', idempotency_key => %11$s)$$, ': 1 > :1'),
	('create_wallet', $$loyalty.create_wallet(%1$s, 'P', 5, idempotency_key => %11$s)$$, ' 5, > 6,'),
	('wallet_contact_add', $$loyalty.wallet_contact_add(%1$s, '%5$s', '5512340002', 'Beto', %6$s, idempotency_key => %11$s)$$, 'Beto > BETO'),
	('wallet_sale', $$loyalty.wallet_sale(%1$s, '%5$s', '5512340001', 0, 100, usertool_id => %6$s, idempotency_key => %11$s)$$, ' 100 > 101'),
	('wallet_balance_update', $$loyalty.wallet_balance_update(%1$s, '%5$s', '5512340001', 0, 100, %6$s, %11$s)$$, ' 100 > 101'),
	('employee_add', $$loyalty.employee_add(%1$s, 'cajero', 'Eva', 'Centro', '4771000002', 'clave de Eva', %11$s)$$, '''Eva'' > ''Eve'''),
	('employee_disable', $$loyalty.employee_disable(%1$s, '4771000001', %11$s)$$, '0001 > 0002'),
	('seller_member_create', $$loyalty.seller_member_create(%1$s, '%10$s', 'x@x.mx', 'Ana', 'Gil', idempotency_key => %11$s)$$, 'x@ > y@'),
	('seller_deposit', $$loyalty.seller_deposit(%1$s, '[{"programId":"%10$s","memberId":"S","amount":1,"currency":"MXN","comments":"a"},{}]', %11$s)$$, '[{ > [ {'),
	('seller_redemption', $$loyalty.seller_redemption(%1$s, '[{"programId":"%10$s","memberId":"S","amount":1,"amountCurrency":1,"comments":"a"}]', %11$s)$$, '[{ > [ {'),
	('seller_accumulation', $$loyalty.seller_accumulation(%1$s, '[{"programId":"%10$s","memberId":"S","amount":1,"comments":"a"}]', %11$s)$$, '[{ > [ {')) v (function, call, change), string_to_array(change, ' > ') word;

SELECT set_eq('SELECT function FROM call', $$SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'loyalty'::regnamespace AND 'idempotency_key' = ANY (proargnames)$$, 'all that take a key are tried');
SELECT is_empty('SELECT function FROM call WHERE changes <> 1', 'each with another content, too');

-- What a call answers, or its SQLSTATE.
CREATE FUNCTION pg_temp.outcome(call text, key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	outcome text;
BEGIN
	EXECUTE 'SELECT string_agg(x::text, '' '') FROM ' || format(call, quote_nullable(key)) || ' x' INTO outcome;
	RETURN outcome;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;

-- All there is, but for the keys.
CREATE FUNCTION pg_temp.everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
	part text;
	whole text := '';
BEGIN
	FOR relation IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('loyalty', 'loyalty_internal')
		AND c.relname !~ '^idempotency_' ORDER BY c.relname
	LOOP
		EXECUTE format('SELECT md5(string_agg(t::text, '','' ORDER BY t::text)) FROM %s t', relation) INTO part;
		whole := whole || coalesce(part, '-');
	END LOOP;
	RETURN md5(whole);
END
$$;
CREATE TEMP TABLE seen (function text, first text, changed boolean, second text, changed_again boolean, another text, changed_at_last boolean);
CREATE FUNCTION pg_temp.try(function text, call text, another text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s seen;
	before text := pg_temp.everything();
	after text;
BEGIN
	s.function := function;
	s.first := pg_temp.outcome(call, 'key-' || function);
	after := pg_temp.everything();
	s.changed := before <> after;
	-- by a session that writes moments in another way
	PERFORM set_config('datestyle', 'German, DMY', true), set_config('timezone', 'Pacific/Auckland', true), set_config('intervalstyle', 'iso_8601', true);
	s.second := pg_temp.outcome(call, 'key-' || function);
	PERFORM set_config('datestyle', 'ISO, MDY', true), set_config('timezone', 'UTC', true), set_config('intervalstyle', 'postgres', true);
	s.changed_again := after <> pg_temp.everything();
	s.another := pg_temp.outcome(another, 'key-' || function);
	s.changed_at_last := after <> pg_temp.everything();
	INSERT INTO seen VALUES (s.*);
END
$$;
SET LOCAL datestyle = 'ISO, MDY';
SET LOCAL timezone = 'UTC';
SELECT pg_temp.try(function, call, another) FROM call ORDER BY function = 'employee_disable', function \g /dev/null
SELECT is((SELECT format('%s, %s', changed, first !~ '^L') FROM seen s WHERE s.function = c.function), 't, t', function || ' does something') FROM call c ORDER BY c.function;
SELECT is((SELECT second FROM seen s WHERE s.function = c.function), (SELECT first FROM seen s WHERE s.function = c.function), function || ' again is answered as at first') FROM call c ORDER BY c.function;
SELECT is((SELECT changed_again FROM seen s WHERE s.function = c.function), false, function || ' again changes nothing') FROM call c ORDER BY c.function;
SELECT is((SELECT format('%s, %s', another, changed_at_last) FROM seen s WHERE s.function = c.function), 'LY422, f', function || ' of something else is refused') FROM call c ORDER BY c.function;
SELECT is((SELECT count(*) FROM loyalty_internal.idempotency_key), (SELECT count(*) FROM call), 'each has kept one key');

-- A batch is the same if its elements are.
SELECT loyalty.post_batch(:m, ARRAY[:a, :b], '{deposit}', '{1,1}', reference => '{a,NULL}', staff_id => ARRAY[:s], in_full => '{NULL}', idempotency_key => 'same') \g /dev/null
SELECT is(pg_temp.outcome(format('loyalty.post_batch(%s, ARRAY[%s, %s], %s, idempotency_key => %%s)', :m, :a, :b, rest), 'same'), outcome, rest)
FROM (VALUES ($$'{deposit}', '{1,1}', reference => '{a,b}', staff_id => ARRAY[1]$$, 'LY422'), ($$'{deposit}', '{1,1}', reference => '{a,""}', staff_id => ARRAY[1]$$, 'LY422'), ($$'{deposit,deposit}', '{1,1}', reference => '{a,NULL}'$$, 'LY422'),
	($$'{deposit}', '{1,1}'$$, 'LY422'), ($$'{deposit}', '{1,1,1}'$$, 'LY005')) v (rest, outcome);
SELECT is((SELECT count(*) FROM loyalty.post_batch(:m, '[7:8]={1,2}'::bigint[], '{deposit}', '{1,1}', idempotency_key => 'bounds')), 2::bigint, 'whatever the bounds of an array are');
SELECT is((SELECT string_agg(error, ' ') FROM loyalty.post_batch(:m, '{1,2}'::bigint[], '{deposit}', '{1,1}', idempotency_key => 'bounds')), 'unknown_account unknown_account', 'and failed items are a part of the answer');
SELECT is((SELECT count(*) FROM loyalty.post_batch(:m, '{}', '{deposit}', '{}', idempotency_key => 'empty')), 0::bigint, 'a batch of nothing') FROM generate_series(1, 2);
SELECT is((SELECT count(*) FROM loyalty.post_batch(:m, array_fill(:a::bigint, '{20000}'), '{deposit}', array_fill('1'::loyalty.points, '{20000}'), idempotency_key => 'large') WHERE error IS NULL), 20000::bigint, 'of 20,000 items') FROM generate_series(1, 2);
SELECT is((SELECT count(*) FROM loyalty.entry e WHERE e.entry_id = (SELECT split_part(split_part(k.answer, E'\n', 7), ' ', 1)::bigint FROM loyalty_internal.idempotency_key k WHERE k.key_digest = loyalty_internal.merchant_digest(:m, 'large'))), 1::bigint, 'whose answer names entries');

-- --- what counts once for its reference -------------------------------------------------

SELECT loyalty.open_policy(:m, 'CAMC880526HMCBNR04', 'Otro') AS policy \gset
SELECT loyalty.pay_policy(:m, :policy, 30, 'SPEI', 'R1', 'Banco') AS paid \gset
SELECT loyalty.pay_policy(:m, :policy, 70, 'SPEI', 'R2', 'Banco') AS paid_all \gset
SELECT is((:'paid'::json ->> 'saldo') || ' ' || (:'paid'::json ->> 'status') || ', ' || (:'paid_all'::json ->> 'saldo') || ' ' || (:'paid_all'::json ->> 'status'), '70 COBRANZA, 0 ACTIVACION', 'two payments');
UPDATE loyalty_internal.policy SET status = 'CANCELADO' WHERE policy_id = :policy;
SELECT is(loyalty.pay_policy(:m, :policy, 30, 'SPEI', 'R1', 'Banco')::text, :'paid', 'a payment again is answered as at first, whatever has become of the policy');
SELECT is(loyalty.pay_policy(:m, :policy, 70, 'SPEI', 'R2', 'Banco')::text, :'paid_all', 'and so is the other');
SELECT is(pg_temp.outcome(format('loyalty.pay_policy(%s, %s, 31, ''SPEI'', ''R1'', %%s)', :m, :policy), 'Banco'), 'LK412', 'another under its reference is refused');
SELECT is(pg_temp.outcome(format('loyalty.pay_policy(%s, %s, 1, ''SPEI'', ''R3'', %%s)', :m, :policy), 'Banco'), 'LK412', 'and more than is still to be paid');
SELECT is(loyalty.policy_status(:m, :policy) ->> 'status', 'CANCELADO', 'how it stands now is another question');

-- --- looked at before anything is written ---------------------------------------------

SELECT is(pg_temp.outcome($$loyalty.post_batch(1, '{1}', '{deposit}', '{1}', idempotency_key => %s)$$, 'nobody'), 'LY006', 'a batch of no merchant, with a key');
SELECT is(pg_temp.outcome($$loyalty.seller_deposit(1, '[{}]', %s)$$, 'nobody'), 'LA001', 'deposits of no merchant');
SELECT is(pg_temp.outcome($$loyalty.post(1, 1, 'deposit', 1, idempotency_key => %s)$$, 'nobody'), 'LY002', 'a deposit of no merchant');
SELECT is(pg_temp.outcome('loyalty.forget_idempotency_keys(1)', NULL), '0', 'forgetting those of no merchant');
CREATE FUNCTION pg_temp.strays() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
	n bigint;
BEGIN
	FOR relation IN SELECT a.attrelid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE a.attname = 'merchant_id' AND c.relkind = 'r' AND c.relnamespace::regnamespace::text IN ('loyalty', 'loyalty_internal')
	LOOP
		EXECUTE format('SELECT count(*) FROM %s WHERE merchant_id NOT IN (SELECT merchant_id FROM loyalty_internal.merchant)', relation) INTO n;
		IF n > 0 THEN
			RETURN NEXT relation || ': ' || n;
		END IF;
	END LOOP;
END
$$;
SELECT is_empty('SELECT * FROM pg_temp.strays()', 'nothing is left of them in any table');

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT * FROM finish();
ROLLBACK;

-- Points that expire.  Time passes by moving everything that is dated back.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();

-- A statement is refused with this code of loyalty.error_codes.
CREATE FUNCTION pg_temp.refuses(statement text, code text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
BEGIN
	SELECT min(sqlstate) INTO STRICT state FROM loyalty.error_codes e WHERE e.code = refuses.code;
	RETURN public.throws_ok(statement, state::char(5), NULL, description);
END
$$;

-- The engine's clock runs on within a transaction, now() does not: a lot that
-- was moved back by as long as it lasts is due a moment later.  A second more
-- makes sure.
CREATE FUNCTION pg_temp.pass(duration interval, of_account bigint DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE loyalty.lot SET expires_at = expires_at - duration WHERE of_account IS NULL OR account_id = of_account;
	UPDATE loyalty.account SET next_expiry = next_expiry - duration, last_expiry = last_expiry - duration, posted_at = posted_at - duration WHERE of_account IS NULL OR account_id = of_account;
	UPDATE loyalty.entry SET posted_at = posted_at - duration WHERE of_account IS NULL OR account_id = of_account;
END
$$;

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset

CREATE FUNCTION pg_temp.program(merchant bigint, id text, unit text, value integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM loyalty.create_program(merchant, 'Programa ' || id, id);
	PERFORM loyalty.configure_program(merchant, id, duration_unit => unit, duration_value => value);
	RETURN (SELECT program_id FROM loyalty.program p WHERE p.merchant_id = merchant AND p.client_id = id);
END
$$;
CREATE FUNCTION pg_temp.post(merchant bigint, account bigint, kind text, amount text) RETURNS text LANGUAGE sql AS
'SELECT p.balance::text FROM loyalty.post(merchant, account, kind, amount::loyalty.points) p';
-- "balance expired", as anybody sees them now
CREATE FUNCTION pg_temp.has(account bigint) RETURNS text LANGUAGE sql AS
'SELECT b.balance || '' '' || b.expired FROM loyalty.balances b WHERE b.account_id = account';
-- the entries of an account: "kind amount", in order
CREATE FUNCTION pg_temp.history(account bigint) RETURNS text LANGUAGE sql AS
'SELECT string_agg(e.kind || '' '' || e.amount, '', '' ORDER BY e.version) FROM loyalty.entries e WHERE e.account_id = account';

-- --- when points expire --------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'P', 'month', 1) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS zoned \gset
CREATE FUNCTION pg_temp.expires_as_agreed(merchant bigint, account bigint, unit text, value integer, zone text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	v bigint;
BEGIN
	-- within the program's own bounds of what is later than what came before
	DELETE FROM loyalty.lot l WHERE l.account_id = account;
	UPDATE loyalty.account a SET last_expiry = NULL, next_expiry = NULL, lots_earned = '0', lots_used = '0' WHERE a.account_id = account;
	PERFORM loyalty.configure_program(merchant, 'P', duration_unit => unit, duration_value => value, time_zone => zone);
	SELECT p.version INTO v FROM loyalty.post(merchant, account, 'deposit', '1') p;
	RETURN l.expires_at = (e.posted_at AT TIME ZONE zone + make_interval(years => CASE unit WHEN 'year' THEN value ELSE 0 END, months => CASE unit WHEN 'month' THEN value ELSE 0 END,
		days => CASE unit WHEN 'day' THEN value ELSE 0 END)) AT TIME ZONE zone
	FROM loyalty.entry e JOIN loyalty.lot l USING (merchant_id, account_id, version) WHERE e.account_id = account AND e.version = v;
END
$$;
SELECT ok(pg_temp.expires_as_agreed(:merchant, :zoned, unit, value, zone), format('%s %s in %s', value, unit, zone))
FROM (VALUES ('day', 1), ('day', 180), ('day', 1200), ('month', 1), ('month', 6), ('month', 13), ('year', 1), ('year', 100)) d (unit, value),
	(VALUES ('America/Mexico_City'), ('America/Tijuana'), ('Europe/Madrid'), ('UTC'), ('Pacific/Chatham')) z (zone);
SELECT is((SELECT count(DISTINCT l.expires_at - e.posted_at) FROM loyalty.lot l JOIN loyalty.entry e USING (merchant_id, account_id, version) WHERE l.account_id = :zoned), 1::bigint, 'each was one lot');

-- --- what has expired is no balance, whether anything ran or not ----------------------

SELECT pg_temp.program(:merchant, 'B', 'day', 30) AS program \gset
SELECT wallet_key AS wallet FROM loyalty.program WHERE program_id = :program \gset
SELECT loyalty.member_create(:merchant, 'B', 'b@correo.example', 'B', 'B', client_id => 'B', phone => '5512340001') ->> 'id' AS b \gset
SELECT is(pg_temp.post(:merchant, :b, 'deposit', '100'), '100', '100 points');
SELECT pg_temp.pass('10 days') \g /dev/null
SELECT is(pg_temp.post(:merchant, :b, 'accrue', '50'), '150', 'ten days later 50');
SELECT pg_temp.pass('10 days') \g /dev/null
SELECT is(pg_temp.post(:merchant, :b, 'redeem', '-30'), '120', 'ten days later 30 are spent');
SELECT is(pg_temp.has(:b), '120 0', 'nothing has expired');
SELECT pg_temp.pass('10 days 1 second') \g /dev/null
SELECT is(pg_temp.has(:b), '50 70', 'then the rest of the first has');
SELECT is((SELECT balance::text || ' at version ' || version FROM loyalty.account WHERE account_id = :b), '120 at version 3', 'although nothing ran');
SELECT is(loyalty.member_balance(:merchant, 'B', 'B') ->> key, expected, 'member_balance: ' || key) FROM (VALUES ('balance', '50'), ('expiredAmount', '70')) v (key, expected);
SELECT is(loyalty.member_get(:merchant, 'B', 'B') ->> key, expected, 'member_get: ' || key) FROM (VALUES ('balance', '50'), ('expiredAmount', '70')) v (key, expected);
SELECT is((SELECT m ->> 'balance' FROM loyalty.member_list(:merchant, 'B') m), '50', 'member_list');
SELECT is((SELECT contact_balance::text FROM loyalty.wallet_contact_get(:merchant, :'wallet', phone)), '50', 'wallet_contact_get, phone ' || coalesce(phone, 'of all'))
FROM (VALUES ('5512340001'), (NULL)) v (phone);
SELECT is((SELECT balance || ' ' || expired || ' ' || earned FROM loyalty.members WHERE client_id = 'B'), '50 70 150', 'loyalty.members');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''redeem'', ''-50.0001'')', :merchant, :b), 'insufficient_points', 'it cannot be spent');
SELECT pg_temp.refuses(format('SELECT loyalty.wallet_sale(%s, %L, ''5512340001'', 1, NULL, 50.01, %s)', :merchant, :'wallet', :staff), 'wallet_redeem_10', 'nor in the wallet');
SELECT pg_temp.refuses(format('SELECT loyalty.wallet_balance_update(%s, %L, ''5512340001'', 1, 51, %s)', :merchant, :'wallet', :staff), 'wallet_balance_update_07', 'nor taken away');
SELECT is(loyalty.redemption(:merchant, '{"programId":"B","memberId":"B","amount":51,"amountCurrency":51,"comments":"x"}') -> 0 ->> 'description', 'El miembro no tiene puntos suficientes', 'nor redeemed');
SELECT is(pg_temp.has(:b), '50 70', 'what was refused changes nothing');
SELECT is(loyalty.wallet_sale(:merchant, :'wallet', '5512340001', 1, NULL, 49.5, :staff)::text, '0.5', 'what is left can');
SELECT is(pg_temp.history(:b), 'deposit 100, accrue 50, redeem -30, expire -70, redeem -49.5', 'the expiry is booked before it');
SELECT is(pg_temp.has(:b), '0.5 70', 'and not counted twice');
SELECT is(loyalty.expire_due(:merchant), 0, 'there is nothing left to book');
SELECT pg_temp.pass('10 days') \g /dev/null
SELECT is(pg_temp.has(:b), '0 70.5', 'the rest expires');
SELECT is(pg_temp.post(:merchant, :b, 'deposit', '5'), '5', 'a deposit finds an empty account');
SELECT is(pg_temp.history(:b), 'deposit 100, accrue 50, redeem -30, expire -70, redeem -49.5, expire -0.5, deposit 5', 'and books that');
SELECT is((SELECT kind || ' ' || (staff_id IS NULL) || (reference IS NULL) || (money IS NULL) || (detail IS NULL) FROM loyalty.entries WHERE account_id = :b AND version = 6), 'expire truetruetruetrue', 'by an entry of nobody');

-- An account that has spent what would expire.
SELECT loyalty.open_account(:merchant, :program) AS spent \gset
SELECT pg_temp.post(:merchant, :spent, kind, amount) FROM (VALUES ('deposit', '10'), ('accrue', '0'), ('redeem', '-10'), ('adjust', '7'), ('adjust', '-2')) v (kind, amount) \g /dev/null
SELECT is((SELECT count(*) FROM loyalty.lot WHERE account_id = :spent), 2::bigint, 'a sale that earned nothing is no lot, a correction up is one');
SELECT pg_temp.pass('31 days') \g /dev/null
SELECT is(pg_temp.has(:spent), '0 5', 'of which a correction down takes');
SELECT is(loyalty.expire_due(:merchant), 2, 'two accounts are due');
SELECT is(pg_temp.history(:spent), 'deposit 10, accrue 0, redeem -10, adjust 7, adjust -2, expire -5', 'it is booked once');
SELECT is((SELECT earned || ' ' || expired || ' ' || lots_earned || ' ' || lots_used || ' ' || (next_expiry IS NULL) FROM loyalty.account WHERE account_id = :spent), '10 5 17 17 true', 'and nothing more is due');

-- A batch: the expiry is booked once, before its first item.
SELECT pg_temp.program(:merchant, 'C', 'year', 1) AS program \gset
SELECT count(loyalty.member_create(:merchant, 'C', i || '@correo.example', 'C', 'C', client_id => 'C' || i)) FROM generate_series(1, 3) i \g /dev/null
SELECT loyalty.deposit(:merchant, '[{"programId":"C","memberId":"C1","amount":10,"comments":"x"},{"programId":"C","memberId":"C2","amount":10,"comments":"x"}]') \g /dev/null
SELECT pg_temp.pass('366 days 1 hour') \g /dev/null
SELECT results_eq(format($$SELECT x ->> 'status', x ->> 'totalPoints', right(x ->> 'transactionId', 2) FROM json_array_elements(loyalty.redemption(%s,
	'[{"programId":"C","memberId":"C1","amount":1,"amountCurrency":1,"comments":"x"},{"programId":"C","memberId":"C3","amount":1,"amountCurrency":1,"comments":"x"}]')) x$$, :merchant),
	$$VALUES ('error', '0', ''), ('error', '0', '')$$, 'a batch finds nothing left');
SELECT is(pg_temp.history(account_id), expected, client_id || ': ' || coalesce(expected, 'nothing')) FROM loyalty.members JOIN (VALUES ('C1', 'deposit 10, expire -10'), ('C2', 'deposit 10'), ('C3', NULL)) v (id, expected) ON id = client_id;
SELECT results_eq(format($$SELECT x ->> 'totalPoints', split_part(x ->> 'transactionid', '-', 2) FROM json_array_elements(loyalty.deposit(%s,
	'[{"programId":"C","memberId":"C2","amount":1,"comments":"x"},{"programId":"C","memberId":"C2","amount":2,"comments":"x"},{"programId":"C","memberId":"C3","amount":3,"comments":"x"}]')) x$$, :merchant),
	$$VALUES ('1', '3'), ('3', '4'), ('3', '1')$$, 'items see the balance without it');

-- --- durations that change ---------------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'D', 'day', 60) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS d \gset
SELECT pg_temp.post(:merchant, :d, 'deposit', '100') \g /dev/null
SELECT expires_at - now() > interval '59 days' AS ok FROM loyalty.lot WHERE account_id = :d \gset
SELECT loyalty.configure_program(:merchant, 'D', duration_value => 10) \g /dev/null
SELECT ok(:'ok' AND (SELECT expires_at - now() > interval '59 days' FROM loyalty.lot WHERE account_id = :d), 'a shorter duration leaves what was issued');
SELECT pg_temp.post(:merchant, :d, 'deposit', '20') \g /dev/null
SELECT loyalty.configure_program(:merchant, 'D', duration_value => 90) \g /dev/null
SELECT pg_temp.post(:merchant, :d, 'deposit', '7') \g /dev/null
SELECT loyalty.configure_program(:merchant, 'D', duration_value => 0) \g /dev/null
SELECT pg_temp.post(:merchant, :d, 'deposit', '3') \g /dev/null
SELECT is((SELECT count(*) FROM loyalty.lot WHERE account_id = :d), 3::bigint, 'without a duration points do not expire');
SELECT pg_temp.pass('11 days') \g /dev/null
SELECT is(pg_temp.has(:d), '130 0', 'what is issued later does not expire earlier');
SELECT pg_temp.pass('50 days') \g /dev/null
SELECT is(pg_temp.has(:d), '10 120', 'after 61 days the first two have expired');
SELECT is(pg_temp.post(:merchant, :d, 'redeem', '-1'), '9', 'what expires is spent first');
SELECT pg_temp.pass('30 days') \g /dev/null
SELECT is(pg_temp.has(:d), '3 126', 'after 91 the third; what never expires stays');
SELECT pg_temp.pass('100 years') \g /dev/null
SELECT is(pg_temp.has(:d), '3 126', 'for ever');

-- A program that begins to expire points.
SELECT pg_temp.program(:merchant, 'E', 'day', 0) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS e \gset
SELECT loyalty.open_account(:merchant, :program) AS e_empty \gset
SELECT pg_temp.post(:merchant, :e, kind, amount) FROM (VALUES ('deposit', '100'), ('accrue', '10'), ('redeem', '-20')) v (kind, amount) \g /dev/null
SELECT is((SELECT earned::text FROM loyalty.account WHERE account_id = :e), NULL, 'an account without terms counts nothing');
SELECT loyalty.configure_program(:merchant, 'E', duration_value => 5) \g /dev/null
SELECT is((SELECT earned || ' ' || expired || ' ' || lots_earned || ' ' || lots_used FROM loyalty.account WHERE account_id = :e), '110 0 0 0', 'one with terms does, from what it has');
SELECT is((SELECT earned::text FROM loyalty.account WHERE account_id = :e_empty), '0', 'an empty one too');
SELECT pg_temp.pass('10 days') \g /dev/null
SELECT is(pg_temp.has(:e), '90 0', 'points that were there do not expire');
SELECT is(pg_temp.post(:merchant, :e, 'deposit', '50'), '140', 'new ones');
SELECT is(pg_temp.post(:merchant, :e, 'redeem', '-40'), '100', 'which are spent first');
SELECT pg_temp.pass('6 days') \g /dev/null
SELECT is(pg_temp.has(:e), '90 10', 'do');
SELECT loyalty.configure_program(:merchant, 'E', duration_value => 0) \g /dev/null
SELECT is(pg_temp.has(:e), '90 10', 'also when the program no longer expires points');
SELECT is(loyalty.expire_due(:merchant) > 0, true, 'they are booked');
SELECT is(pg_temp.history(:e), 'deposit 100, accrue 10, redeem -20, deposit 50, redeem -40, expire -10', 'then too');

-- --- booking what is due -------------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.expire_due(%s)', arguments), 'invalid_argument', 'expire_due: ' || arguments)
FROM unnest(ARRAY['NULL', '1, 0', '1, -1', '1, 100001', '1, NULL']) arguments;
SELECT loyalty.expire_due(:merchant) \g /dev/null
SELECT pg_temp.program(:merchant, 'F', 'day', 1) AS program \gset
SELECT pg_temp.program(:other, 'F', 'day', 1) AS other_program \gset
CREATE TEMP TABLE due AS SELECT loyalty.open_account(:merchant, :program) AS id, i FROM generate_series(1, 5) i;
SELECT loyalty.open_account(:other, :other_program) AS theirs \gset
SELECT pg_temp.post(:merchant, id, 'deposit', i::text) FROM due \g /dev/null
SELECT pg_temp.post(:other, :theirs, 'deposit', '9') \g /dev/null
SELECT pg_temp.pass('2 days') \g /dev/null
SELECT pg_temp.post(:merchant, id, 'deposit', '0.5') FROM due WHERE i = 5 \g /dev/null
SELECT is(loyalty.expire_due(:merchant, 2), expected, 'expire_due of at most two: ' || expected) FROM unnest('{2,2,0,0}'::integer[]) expected;
SELECT results_eq('SELECT i, pg_temp.history(id), pg_temp.has(id) FROM due ORDER BY i',
	$$VALUES (1, 'deposit 1, expire -1', '0 1'), (2, 'deposit 2, expire -2', '0 2'), (3, 'deposit 3, expire -3', '0 3'), (4, 'deposit 4, expire -4', '0 4'), (5, 'deposit 5, expire -5, deposit 0.5', '0.5 5')$$, 'all are booked');
SELECT is(pg_temp.history(:theirs), 'deposit 9', 'another merchant''s are not');
SELECT is(pg_temp.has(:theirs), '0 9', 'but do not count either');
SELECT is(loyalty.expire_due(:other, 100000), 1, 'until they are');
SELECT is(loyalty.expire_due(1), 0, 'nobody has nothing due');

-- --- very many lots ----------------------------------------------------------------------------------

SELECT pg_temp.program(:merchant, 'G', 'year', 1) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS g \gset
SELECT is((SELECT count(*) FROM loyalty.post_batch(:merchant, (SELECT array_agg(:g) FROM generate_series(1, 10000)), '{deposit}', (SELECT array_agg(i::loyalty.points) FROM generate_series(1, 10000) i)) WHERE error IS NULL), 10000::bigint, '10,000 lots');
UPDATE loyalty.lot SET expires_at = expires_at + version * interval '1 hour' WHERE account_id = :g;
UPDATE loyalty.account SET next_expiry = next_expiry + interval '1 hour', last_expiry = last_expiry + 10000 * interval '1 hour' WHERE account_id = :g;
SELECT is(pg_temp.post(:merchant, :g, 'redeem', '-25000000'), '25005000', 'one redemption spends half of them');
SELECT pg_temp.pass(expires_at - now() + interval '1 minute') FROM loyalty.lot WHERE account_id = :g AND version = 8000 \g /dev/null
SELECT is(pg_temp.has(:g), (50005000 - 32004000)::text || ' ' || (32004000 - 25000000), 'of 8,000 that are past their date, the rest has expired');
SELECT cmp_ok(loyalty.expire_due(:merchant), '>=', 1, 'it is booked');
SELECT is((SELECT version || ' ' || amount FROM loyalty.entries WHERE account_id = :g ORDER BY version DESC LIMIT 1), '10002 -7004000', 'by one entry');
SELECT is((SELECT next_expiry - now() < interval '1 hour' FROM loyalty.account WHERE account_id = :g), true, 'the next lot is next');
SELECT is(pg_temp.post(:merchant, :g, 'redeem', '-18001000'), '0', 'the others can be spent');

-- --- at the end of the range ----------------------------------------------------------------------------

SELECT loyalty.open_account(:merchant, :program) AS full \gset
SELECT pg_temp.post(:merchant, :full, kind, amount) FROM (VALUES ('deposit', '922337203685477'), ('redeem', '-922337203685000')) v (kind, amount) \g /dev/null
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''0.5808'')', :merchant, :full), 'balance_out_of_range', 'all that was ever earned has a range too');
SELECT is(pg_temp.post(:merchant, :full, 'deposit', '0.5807'), '477.5807', 'within which it is exact');

-- --- against a simple model --------------------------------------------------------------------------------

-- Lots as rows, spent one by one.
CREATE TEMP TABLE model (n serial, expires_at timestamptz, rest numeric);
CREATE FUNCTION pg_temp.run(merchant bigint, account bigint, program text, steps integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	gone numeric := 0;
	dice integer;
	amount numeric;
	wanted numeric;
	lot record;
	seen text;
	expected text;
	what text;
BEGIN
	FOR i IN 1 .. steps LOOP
		dice := floor(random() * 10);
		amount := round((random() * 100)::numeric, 2) + 0.01;
		what := 'nothing';
		IF dice < 4 THEN
			what := 'deposit ' || amount;
			PERFORM loyalty.post(merchant, account, 'deposit', amount::loyalty.points);
			INSERT INTO model (expires_at, rest) SELECT coalesce((SELECT max(l.expires_at) FROM loyalty.lot l WHERE l.account_id = account AND l.version = (SELECT max(version) FROM loyalty.entry e WHERE e.account_id = account)), 'infinity'), amount;
		ELSIF dice < 7 THEN
			SELECT coalesce(sum(rest), 0) INTO wanted FROM model WHERE expires_at > now();
			amount := least(amount * 1.5, wanted);
			what := 'redeem ' || amount;
			IF amount > 0 THEN
				PERFORM loyalty.post(merchant, account, 'redeem', (-amount)::loyalty.points);
				FOR lot IN SELECT * FROM model WHERE expires_at > now() AND rest > 0 ORDER BY expires_at, n LOOP
					UPDATE model m SET rest = m.rest - least(m.rest, amount) WHERE m.n = lot.n;
					amount := amount - least(lot.rest, amount);
				END LOOP;
			END IF;
		ELSIF dice < 8 THEN
			what := 'days pass';
			PERFORM pg_temp.pass(amount * interval '6 hours', account);
			UPDATE model SET expires_at = expires_at - amount * interval '6 hours';
		ELSIF dice < 9 THEN
			PERFORM loyalty.configure_program(merchant, program, duration_value => (ARRAY[0, 5, 20, 40])[1 + floor(random() * 4)::integer]);
		ELSE
			what := 'expire_due';
			PERFORM loyalty.expire_due(merchant);
		END IF;
		SELECT trim_scale(coalesce(sum(rest) FILTER (WHERE expires_at > now()), 0)) || ' ' || trim_scale(coalesce(sum(rest) FILTER (WHERE expires_at <= now()), 0)) INTO expected FROM model;
		seen := pg_temp.has(account);
		IF seen <> expected THEN
			RETURN NEXT format('step %s, %s: %s instead of %s', i, what, seen, expected);
			RETURN;
		END IF;
	END LOOP;
END
$$;
SELECT pg_temp.program(:merchant, 'H', 'day', 20) AS program \gset
SELECT loyalty.open_account(:merchant, :program) AS h \gset
SELECT setseed(0.2018) \g /dev/null
SELECT is_empty(format('SELECT pg_temp.run(%s, %s, ''H'', 600)', :merchant, :h), '600 steps end where a model does that knows each lot');
SELECT cmp_ok((SELECT count(*) FROM loyalty.entries WHERE account_id = :h AND kind = 'expire'), '>', 10::bigint, 'many of them expired something');

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;

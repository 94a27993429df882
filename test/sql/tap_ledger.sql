-- The engine by itself: loyalty.post and loyalty.post_batch, and whether
-- loyalty.verify() finds what nobody can have posted.
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

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS program, wallet_key FROM loyalty.create_wallet(:merchant, 'Monedero') \gset
SELECT program_id AS second_program FROM loyalty.create_wallet(:merchant, 'Otro') \gset
SELECT program_id AS other_program FROM loyalty.create_wallet(:other, 'Monedero') \gset
SELECT loyalty.open_account(:merchant, :program) AS a \gset
SELECT loyalty.open_account(:merchant, :program) AS b \gset
SELECT loyalty.open_account(:merchant, :program) AS full \gset
SELECT loyalty.open_account(:other, :other_program) AS theirs \gset
SELECT pg_temp.refuses(format('SELECT loyalty.open_account(%s, %s)', :merchant, :other_program), 'unknown_object', 'no account opens in a program of another merchant');
SELECT pg_temp.refuses(format('SELECT loyalty.open_account(%s, NULL)', :merchant), 'unknown_object', 'nor in none');

-- What is posted, as one text: "version balance".
CREATE FUNCTION pg_temp.post(merchant bigint, account bigint, kind text, amount text) RETURNS text LANGUAGE sql AS
'SELECT p.version || '' '' || p.balance FROM loyalty.post(merchant, account, kind, amount::loyalty.points) p';
CREATE FUNCTION pg_temp.state_of(account bigint) RETURNS text LANGUAGE sql AS
'SELECT a.version || '' '' || a.balance FROM loyalty.account a WHERE a.account_id = account';

-- --- kinds and signs --------------------------------------------------------

SELECT is(pg_temp.post(:merchant, :a, kind, amount), expected, format('%s of %s: %s', kind, amount, expected))
FROM (VALUES ('accrue', '10', '1 10'), ('accrue', '0', '2 10'), ('deposit', '0.0001', '3 10.0001'), ('redeem', '-10.0001', '4 0'),
	('adjust', '5', '5 5'), ('adjust', '-5', '6 0'), ('deposit', '100', '7 100')) v (kind, amount, expected);
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, %L)', :merchant, :a, kind, amount), 'invalid_amount', format('%s of %s', kind, amount))
FROM (VALUES ('accrue', '-1'), ('accrue', '-0.0001'), ('deposit', '0'), ('deposit', '-1'), ('redeem', '0'), ('redeem', '1'), ('adjust', '0')) v (kind, amount);
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, ''1'')', :merchant, :a, kind), 'invalid_argument', 'no kind: ' || kind)
FROM unnest('{"",ACCRUE,sale,"accrue ",1,expire}'::text[]) kind;
SELECT pg_temp.refuses('SELECT loyalty.post(' || arguments || ')', 'invalid_argument', 'NULL among the arguments')
FROM unnest(ARRAY[format('NULL, %s, ''deposit'', ''1''', :a), format('%s, NULL, ''deposit'', ''1''', :merchant), format('%s, %s, NULL, ''1''', :merchant, :a),
	format('%s, %s, ''deposit'', NULL', :merchant, :a)]) arguments;
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''redeem'', %L)', :merchant, :a, amount), 'insufficient_points', amount || ' of 100')
FROM unnest('{-100.0001,-101,-922337203685477.5808}'::text[]) amount;
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''adjust'', ''-100.0001'')', :merchant, :a), 'insufficient_points', 'a correction goes no lower either');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'')', m, account), 'unknown_account', what)
FROM (VALUES (:merchant, 1, 'an account that does not exist'), (:merchant, :theirs, 'an account of another merchant'), (:other, :a, 'an account, for another merchant'),
	(1, :a, 'an account, for nobody')) v (m, account, what);
SELECT is(pg_temp.state_of(:a), '7 100', 'what was refused has changed nothing');
SELECT is(pg_temp.post(:merchant, :a, 'redeem', '-100'), '8 0', 'all of it can be spent');

-- --- the range of points --------------------------------------------------------

SELECT is(pg_temp.post(:merchant, :full, 'deposit', '922337203685477.5807'), '1 922337203685477.5807', 'an account holds the largest amount');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, %L)', :merchant, :full, kind, amount), 'balance_out_of_range', format('and not %s more by %s', amount, kind))
FROM (VALUES ('deposit', '0.0001'), ('accrue', '1'), ('adjust', '922337203685477.5807')) v (kind, amount);
SELECT is(pg_temp.post(:merchant, :full, 'accrue', '0'), '2 922337203685477.5807', 'a sale that earns nothing fits');
SELECT is(pg_temp.post(:merchant, :full, 'redeem', '-922337203685477.5807'), '3 0', 'it can all be spent at once');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, ''-922337203685477.5808'')', :merchant, :full, kind), 'insufficient_points', 'the lowest amount by ' || kind)
FROM unnest('{redeem,adjust}'::text[]) kind;

-- --- points that expire ---------------------------------------------------------

SELECT program_client_id AS expiring FROM loyalty.create_program(:merchant, 'Vence') \gset
SELECT loyalty.configure_program(:merchant, :'expiring', duration_unit => 'day', duration_value => 10) \g /dev/null
SELECT loyalty.open_account(:merchant, program_id) AS y FROM loyalty.program WHERE client_id = :'expiring' \gset
SELECT pg_temp.post(:merchant, :y, kind, amount) FROM (VALUES ('deposit', '100'), ('accrue', '50'), ('redeem', '-30')) v (kind, amount) \g /dev/null
UPDATE loyalty.lot SET expires_at = now() - interval '1 day' WHERE account_id = :y AND version = 1;
UPDATE loyalty.account SET next_expiry = now() - interval '1 day' WHERE account_id = :y;
SELECT results_eq(format('SELECT balance::text, expired::text, earned::text FROM loyalty.balances WHERE account_id = %s', :y), $$VALUES ('50', '70', '150')$$, 'what is past its date is no balance');
SELECT is(loyalty.expire_due(:merchant), 1, 'it is booked');
SELECT results_eq(format('SELECT kind, amount::text, balance::text, reference IS NULL FROM loyalty.entries WHERE account_id = %s AND version = 4', :y), $$VALUES ('expire', '-70', '50', true)$$, 'by an entry');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''expire'', ''-1'')', :merchant, :y), 'invalid_argument', 'that nobody can ask for');

-- --- what an entry says ------------------------------------------------------------

SELECT version AS v FROM loyalty.post(:merchant, :a, 'accrue', '1.5', 'ticket ñ', 7, '15.01') \gset
SELECT results_eq(format('SELECT kind, amount::text, balance::text, money::text, reference, staff_id, posted_at >= now() FROM loyalty.entries WHERE account_id = %s AND version = %s', :a, :v),
	$$VALUES ('accrue', '1.5', '1.5', '15.01', 'ticket ñ', 7::bigint, true)$$, 'an entry keeps what it was posted with');
SELECT results_eq(format('SELECT money IS NULL, reference IS NULL, staff_id IS NULL FROM loyalty.entries WHERE account_id = %s AND version = 1', :a),
	'VALUES (true, true, true)', 'and nothing else');
SELECT results_eq('SELECT i, loyalty.entry_kind(i::smallint) FROM generate_series(0, 9) i WHERE loyalty.entry_kind(i::smallint) IS NOT NULL ORDER BY i',
	$$VALUES (1, 'accrue'), (2, 'deposit'), (3, 'redeem'), (4, 'adjust'), (5, 'expire')$$, 'the kinds have names');
SELECT is(loyalty.entry_kind(32767::smallint), NULL, 'other numbers have none');

-- --- several calls in one statement ---------------------------------------------------

SELECT results_eq(format('SELECT pg_temp.post(%s, %s, ''deposit'', i::text) FROM generate_series(1, 4) i', :merchant, :b),
	$$VALUES ('1 1'), ('2 3'), ('3 6'), ('4 10')$$, 'calls in one statement see each other');
SELECT results_eq(format('SELECT pg_temp.post(%1$s, %2$s, ''redeem'', ''-4''), pg_temp.post(%1$s, %2$s, ''deposit'', ''1''), pg_temp.post(%1$s, %2$s, ''redeem'', ''-7'')', :merchant, :b),
	$$VALUES ('5 6', '6 7', '7 0')$$, 'in one row too');
SELECT pg_temp.refuses(format('SELECT pg_temp.post(%1$s, %2$s, ''deposit'', ''5''), pg_temp.post(%1$s, %2$s, ''redeem'', ''-6'')', :merchant, :b), 'insufficient_points', 'if one fails the statement does');
SELECT is(pg_temp.state_of(:b), '7 0', 'and all of it');
SELECT results_eq(format('WITH x AS (SELECT * FROM loyalty.post_batch(%1$s, ARRAY[%2$s], ''{deposit}'', ''{5}'')) SELECT x.balance::text, pg_temp.post(%1$s, %2$s, ''redeem'', ''-5'') FROM x', :merchant, :b),
	$$VALUES ('5', '9 0')$$, 'a batch and a call in one statement');

-- --- idempotency keys --------------------------------------------------------------------

SELECT results_eq(format('SELECT version, balance::text FROM loyalty.post(%s, %s, ''deposit'', ''10'', ''r'', 3, ''2'', ''k1'')', :merchant, :b), $$VALUES (10::bigint, '10')$$, 'a key is used');
SELECT is(pg_temp.post(:merchant, :b, 'redeem', '-1'), '11 9', 'something else happens');
SELECT results_eq(format('SELECT version, balance::text FROM loyalty.post(%s, %s, ''deposit'', ''10.0'', ''r'', 3, ''2.00'', ''k1'')', :merchant, :b), $$VALUES (10::bigint, '10')$$, 'the same again gets the first answer');
SELECT is(pg_temp.state_of(:b), '11 9', 'and posts nothing');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %s, ''k1'')', :merchant, :b, arguments), 'idempotency_key_reused', 'the key with ' || arguments)
FROM unnest(ARRAY['''deposit'', ''11'', ''r'', 3, ''2''', '''accrue'', ''10'', ''r'', 3, ''2''', '''deposit'', ''10'', ''s'', 3, ''2''', '''deposit'', ''10'', NULL, 3, ''2''',
	'''deposit'', ''10'', ''r'', 4, ''2''', '''deposit'', ''10'', ''r'', NULL, ''2''', '''deposit'', ''10'', ''r'', 3, ''3''', '''deposit'', ''10'', ''r'', 3, NULL']) arguments;
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''10'', ''r'', 3, ''2'', ''k1'')', :merchant, :a), 'idempotency_key_reused', 'or another account');
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', ''10'', ''r'', 3, ''2'', ''k1'')', :other, :theirs), 'another merchant may use the key');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''redeem'', ''-1000'', idempotency_key => ''k2'')', :merchant, :b), 'insufficient_points', 'a post that fails');
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''redeem'', ''-1'', idempotency_key => ''k2'')', :merchant, :b), 'leaves its key free');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'', idempotency_key => %L)', :merchant, :b, key), 'invalid_idempotency_key', 'no key: ' || what)
FROM (VALUES ('', 'empty'), ('a b', 'a blank'), ('ñ', 'outside ASCII'), (E'a\n', 'a line break'), (repeat('x', 201), '201 characters')) v (key, what);
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'', idempotency_key => %L)', :merchant, :b, key), 'a key: ' || left(key, 5))
FROM unnest(ARRAY[repeat('x', 200), '!', '~', '\''"']) key;

-- --- batches --------------------------------------------------------------------------------

SELECT loyalty.open_account(:merchant, :program) AS c \gset
SELECT loyalty.open_account(:merchant, :program) AS d \gset
CREATE FUNCTION pg_temp.batch(merchant bigint, accounts bigint[], kinds text[], amounts loyalty.points[]) RETURNS SETOF text LANGUAGE sql AS
'SELECT item || '': '' || coalesce(error, version || '' '' || balance) FROM loyalty.post_batch(merchant, accounts, kinds, amounts)';
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%2$s, %3$s, %2$s, %2$s, %4$s, %2$s, 1, %2$s, %2$s, %3$s, %2$s],
		'{deposit,accrue,redeem,redeem,deposit,adjust,deposit,deposit,redeem,redeem,redeem}', '{100,0,-150,-60,1,5,1,0,-45.0001,-0.0001,-45}')$$,
		:merchant, :c, :d, :theirs),
	$$VALUES ('1: 1 100'), ('2: 1 0'), ('3: insufficient_points'), ('4: 2 40'), ('5: unknown_account'), ('6: 3 45'), ('7: unknown_account'), ('8: invalid_amount'),
		('9: insufficient_points'), ('10: insufficient_points'), ('11: 4 0')$$,
	'each item of a batch sees its predecessors, and fails alone');
SELECT results_eq(format('SELECT pg_temp.state_of(%s), pg_temp.state_of(%s)', :c, :d), $$VALUES ('4 0', '1 0')$$, 'the accounts are where the last items left them');
SELECT results_eq(format('SELECT version, kind, amount::text, balance::text FROM loyalty.entries WHERE account_id = %s ORDER BY version', :c),
	$$VALUES (1::bigint, 'deposit', '100', '100'), (2, 'redeem', '-60', '40'), (3, 'adjust', '5', '45'), (4, 'redeem', '-45', '0')$$, 'and their entries tell how');
SELECT is((SELECT version FROM loyalty.account WHERE account_id = :theirs), 1::bigint, 'the account of another merchant is untouched');
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%2$s, %2$s, %2$s, %3$s], '{adjust}', '{922337203685477.5807,0.0001,5,7}')$$, :merchant, :c, :d),
	$$VALUES ('1: 5 922337203685477.5807'), ('2: balance_out_of_range'), ('3: balance_out_of_range'), ('4: 2 7')$$, 'one kind for all; what does not fit fails alone');
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%s], '{redeem}', '{-922337203685477.5807}')$$, :merchant, :c), $$VALUES ('1: 6 0')$$, 'a batch of one');
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%s, 1, %s], '{redeem}', '{-1,-1,1}')$$, :merchant, :c, :c),
	$$VALUES ('1: insufficient_points'), ('2: unknown_account'), ('3: invalid_amount')$$, 'a batch in which all fail');
SELECT is_empty(format($$SELECT pg_temp.batch(%s, '{}', %L, '{}')$$, :merchant, kinds), 'an empty batch, with kinds ' || kinds) FROM unnest(ARRAY['{}', '{deposit}']) kinds;
SELECT lives_ok(format($$SELECT loyalty.post_batch(%s, ARRAY[%2$s, %2$s, %2$s], '{deposit}', '{1,2,3}', '{uno,NULL,""}', 9)$$, :merchant, :d), 'references and staff');
SELECT results_eq(format('SELECT reference, staff_id FROM loyalty.entries WHERE account_id = %s AND version > 2 ORDER BY version', :d),
	$$VALUES ('uno', 9::bigint), (NULL, 9), ('', 9)$$, 'are in the entries');

SELECT pg_temp.refuses(format('SELECT * FROM loyalty.post_batch(%s)', arguments), 'invalid_argument', 'post_batch: ' || what)
FROM (VALUES
	(format('NULL, ARRAY[%s], ''{deposit}'', ''{1}''', :d), 'no merchant'),
	(format('%s, NULL, ''{deposit}'', ''{1}''', :merchant), 'no accounts'),
	(format('%s, ARRAY[%s], NULL, ''{1}''', :merchant, :d), 'no kinds'),
	(format('%s, ARRAY[%s], ''{deposit}'', NULL', :merchant, :d), 'no amounts'),
	(format('%s, ARRAY[%s, NULL], ''{deposit}'', ''{1,1}''', :merchant, :d), 'an account that is NULL'),
	(format('%s, ARRAY[%s], ''{NULL}'', ''{1}''', :merchant, :d), 'a kind that is NULL'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{1,NULL}''', :merchant, :d), 'an amount that is NULL'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{1}''', :merchant, :d), 'too few amounts'),
	(format('%s, ARRAY[%s], ''{deposit}'', ''{1,1}''', :merchant, :d), 'too many amounts'),
	(format('%s, ARRAY[%2$s, %2$s, %2$s], ''{deposit,redeem}'', ''{1,1,1}''', :merchant, :d), 'two kinds for three'),
	(format('%s, ARRAY[%2$s, %2$s], ''{}'', ''{1,1}''', :merchant, :d), 'no kind for two'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{1,1}'', ''{x}''', :merchant, :d), 'too few references'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit,gift}'', ''{1,1}''', :merchant, :d), 'an unknown kind after a known one'),
	(format('%s, ARRAY[[%2$s, %2$s]], ''{deposit}'', ''{1,1}''', :merchant, :d), 'accounts in two dimensions'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{{1,1}}''', :merchant, :d), 'amounts in two dimensions')) v (arguments, what);
SELECT is(pg_temp.state_of(:d), '5 13', 'what was refused has posted nothing');

-- Many items, on few accounts and on many.
CREATE TEMP TABLE crowd AS SELECT loyalty.open_account(:merchant, :program) AS id FROM generate_series(1, 500);
SELECT results_eq(format($$
	SELECT count(*), count(error), count(DISTINCT version), max(balance::numeric)
	FROM loyalty.post_batch(%s, (SELECT array_agg(%s) FROM generate_series(1, 10000)), '{deposit}', (SELECT array_agg(0.5::loyalty.points) FROM generate_series(1, 10000)))$$, :merchant, :d),
	'VALUES (10000::bigint, 0::bigint, 10000::bigint, 5013::numeric)', '10,000 items on one account');
SELECT results_eq(format($$
	SELECT count(*), count(error), max(version), max(balance::numeric)
	FROM loyalty.post_batch(%s, (SELECT array_agg(id ORDER BY random()) FROM crowd, generate_series(1, 20)), '{accrue}', (SELECT array_agg(2::loyalty.points) FROM generate_series(1, 10000)))$$, :merchant),
	'VALUES (10000::bigint, 0::bigint, 20::bigint, 40::numeric)', '10,000 items on 500 accounts, in any order');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- what verify() finds -----------------------------------------------------------------------

SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset
SELECT loyalty.wallet_contact_add(:merchant, :'wallet_key', '5512340001', 'Cliente', :staff) AS member \gset
SELECT account_id AS x FROM loyalty.member WHERE member_id = :member \gset
SELECT pg_temp.post(:merchant, :x, kind, amount) FROM (VALUES ('deposit', '100'), ('redeem', '-30'), ('accrue', '5')) v (kind, amount) \g /dev/null

-- What verify() says of a merchant after a statement that is then undone:
-- "invariant / version", of the account x unless another is named.
CREATE FUNCTION pg_temp.found(breach text, x bigint, only_merchant bigint DEFAULT NULL) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	rows text[];
BEGIN
	BEGIN
		EXECUTE breach;
		SELECT array_agg(v.invariant || CASE WHEN v.broken_account_id = x THEN ' / x' WHEN v.broken_account_id IS NOT NULL THEN ' / ' || v.broken_account_id ELSE '' END
						 || coalesce(' / ' || v.broken_version, ''))
		INTO rows FROM loyalty.verify(only_merchant) v;
		RAISE EXCEPTION USING ERRCODE = 'LYZZZ';
	EXCEPTION WHEN SQLSTATE 'LYZZZ' THEN
		RETURN QUERY SELECT unnest(rows);
	END;
END
$$;

CREATE TEMP TABLE breaches (what text, breach text, finds text[]);
INSERT INTO breaches
SELECT what, replace(replace(replace(breach, 'ENTRY n', 'loyalty.entry SET'), 'OF x', 'WHERE account_id = ' || :x), 'OF y', 'WHERE account_id = ' || :y),
	string_to_array(replace(array_to_string(finds, '|'), '/ y', '/ ' || :y), '|') FROM (VALUES
	('an amount is changed', 'UPDATE ENTRY n amount = ''-31'' OF x AND version = 2', ARRAY['an entry''s balance is the one before plus its amount / x / 2']),
	('a first amount is changed', 'UPDATE ENTRY n amount = ''101'' OF x AND version = 1', ARRAY['an entry''s balance is the one before plus its amount / x / 1']),
	('a balance is changed', 'UPDATE ENTRY n balance = ''71'' OF x AND version = 2',
		ARRAY['an entry''s balance is the one before plus its amount / x / 2', 'an entry''s balance is the one before plus its amount / x / 3']),
	('the newest amount and balance are changed', 'UPDATE ENTRY n amount = ''6'', balance = ''76'' OF x AND version = 3',
		ARRAY['an account has the balance and the version of its newest entry / x / 3']),
	('an entry is deleted', 'DELETE FROM loyalty.entry OF x AND version = 2',
		ARRAY['versions count 1, 2, 3 … without gaps / x / 3', 'an entry''s balance is the one before plus its amount / x / 3']),
	('the first entry is deleted', 'DELETE FROM loyalty.entry OF x AND version = 1',
		ARRAY['versions count 1, 2, 3 … without gaps / x / 2', 'an entry''s balance is the one before plus its amount / x / 2']),
	('the newest entry is deleted', 'DELETE FROM loyalty.entry OF x AND version = 3', ARRAY['an account has the balance and the version of its newest entry / x / 2']),
	('all entries are deleted', 'DELETE FROM loyalty.entry OF x', ARRAY['an account has the balance and the version of its newest entry / x']),
	('an entry is added', 'INSERT INTO loyalty.entry SELECT merchant_id, account_id, 4, ''5'', ''80'', posted_at, staff_id, money, kind FROM loyalty.entry OF x AND version = 3',
		ARRAY['an account has the balance and the version of its newest entry / x / 4']),
	('an entry is added with a gap', 'INSERT INTO loyalty.entry SELECT merchant_id, account_id, 5, ''0'', ''75'', posted_at, staff_id, money, kind FROM loyalty.entry OF x AND version = 3',
		ARRAY['versions count 1, 2, 3 … without gaps / x / 5', 'an account has the balance and the version of its newest entry / x / 5']),
	('an entry is of version 0', 'INSERT INTO loyalty.entry SELECT merchant_id, account_id, 0, ''0'', ''0'', posted_at, staff_id, money, 1 FROM loyalty.entry OF x AND version = 1',
		ARRAY['versions count 1, 2, 3 … without gaps / x / 0']),
	('an entry goes to another account', 'UPDATE ENTRY n account_id = 42 OF x AND version = 3',
		ARRAY['versions count 1, 2, 3 … without gaps / 42 / 3', 'an entry''s balance is the one before plus its amount / 42 / 3',
			'an account has the balance and the version of its newest entry / x / 2', 'an account has the balance and the version of its newest entry / 42 / 3']),
	('time runs back', 'UPDATE ENTRY n posted_at = posted_at - interval ''1 hour'' OF x AND version = 2', ARRAY['entries are in the order of their time / x / 2']),
	('an entry is of the future', 'UPDATE ENTRY n posted_at = posted_at + interval ''1 hour'' OF x AND version = 1', ARRAY['entries are in the order of their time / x / 2']),
	('a redemption becomes a deposit', 'UPDATE ENTRY n kind = (SELECT kind FROM loyalty.entry OF x AND version = 1) OF x AND version = 2', ARRAY['the sign of an entry is that of its kind / x / 2']),
	('a deposit becomes a redemption', 'UPDATE ENTRY n kind = (SELECT kind FROM loyalty.entry OF x AND version = 2) OF x AND version = 1', ARRAY['the sign of an entry is that of its kind / x / 1']),
	('a kind that there is not', 'UPDATE ENTRY n kind = 99 OF x AND version = 3', ARRAY['the sign of an entry is that of its kind / x / 3']),
	('a history below zero', 'WITH e AS (UPDATE ENTRY n amount = CASE version WHEN 1 THEN ''10'' ELSE amount::text END::loyalty.points, balance = (balance::numeric - 90)::loyalty.points OF x)
		UPDATE loyalty.account SET balance = ''-15'' OF x', ARRAY['no balance is negative / x / 2', 'no balance is negative / x / 3']),
	('a balance out of nowhere', 'UPDATE loyalty.account SET balance = ''1000'' OF x', ARRAY['an account has the balance and the version of its newest entry / x / 3']),
	('a version out of nowhere', 'UPDATE loyalty.account SET version = 4 OF x', ARRAY['an account has the balance and the version of its newest entry / x / 3']),
	('an account is deleted', 'DELETE FROM loyalty.account OF x',
		ARRAY['an account has the balance and the version of its newest entry / x / 3', 'a member''s account exists and is of the member''s program / x']),
	('an account changes its program', format('UPDATE loyalty.account SET program_id = %s OF x', :second_program), ARRAY['a member''s account exists and is of the member''s program / x']),
	('a member changes its program', format('UPDATE loyalty.member SET program_id = %s OF x', :second_program), ARRAY['a member''s account exists and is of the member''s program / x']),
	('an account is of no program', 'UPDATE loyalty.account SET program_id = 42 OF x',
		ARRAY['a member''s account exists and is of the member''s program / x', 'an account''s program exists / x']),
	('an account says it earned more in lots', 'UPDATE loyalty.account SET lots_earned = ''151'' OF y',
		ARRAY['lots add up to what the account earned of them, and no more is used or left than that / y']),
	('the newest lot is deleted', 'DELETE FROM loyalty.lot OF y AND version = 2', ARRAY['lots add up to what the account earned of them, and no more is used or left than that / y']),
	('less of the lots is used than can be left', 'UPDATE loyalty.account SET lots_used = ''99.9999'' OF y',
		ARRAY['lots add up to what the account earned of them, and no more is used or left than that / y']),
	('more of the lots is used than there was', 'UPDATE loyalty.account SET lots_used = ''150.0001'' OF y',
		ARRAY['lots add up to what the account earned of them, and no more is used or left than that / y']),
	('a negative number of them is used', 'UPDATE loyalty.account SET lots_used = ''-1'' OF y', ARRAY['lots add up to what the account earned of them, and no more is used or left than that / y']),
	('a lot is larger than its entry', 'UPDATE loyalty.lot SET cumulative = ''100.0001'' OF y AND version = 1',
		ARRAY['every lot is of an entry, and in the order of entries / y / 1', 'every lot is of an entry, and in the order of entries / y / 2']),
	('a lot is of no entry', 'UPDATE loyalty.lot SET version = 42 OF y AND version = 2', ARRAY['every lot is of an entry, and in the order of entries / y / 42']),
	('a lot is of a redemption', 'UPDATE loyalty.lot SET version = 3 OF y AND version = 2', ARRAY['every lot is of an entry, and in the order of entries / y / 3']),
	('a lot expires before an older one', 'UPDATE loyalty.lot SET expires_at = now() - interval ''2 days'' OF y AND version = 2', ARRAY['every lot is of an entry, and in the order of entries / y / 2']),
	('an account earned more than its entries', 'UPDATE loyalty.account SET earned = ''150.0001'' OF y', ARRAY['an account has the sums of its entries / y']),
	('less of an account has expired', 'UPDATE loyalty.account SET expired = ''0'' OF y', ARRAY['an account has the sums of its entries / y']),
	('an accrual becomes a correction', 'UPDATE ENTRY n kind = (SELECT max(kind) FROM loyalty.entry e WHERE loyalty.entry_kind(e.kind) = ''adjust'') OF y AND version = 2',
		ARRAY['an account has the sums of its entries / y']),
	('an idempotency key without answer', 'UPDATE loyalty.request SET answer = NULL WHERE idempotency_key = ''k2''', ARRAY['a request with an idempotency key has its answer']),
	('a key of nobody', 'INSERT INTO loyalty.api_key (key_hash, merchant_id) VALUES (sha256(''''), 42)', ARRAY['what belongs to a merchant belongs to one that exists']),
	('a request of nobody', 'INSERT INTO loyalty.request (merchant_id, idempotency_key, fingerprint, answer) VALUES (42, ''k'', sha256(''''), ''1'')',
		ARRAY['what belongs to a merchant belongs to one that exists']),
	('a message of nobody', 'UPDATE loyalty.message SET merchant_id = 42', ARRAY['what belongs to a merchant belongs to one that exists'])
) v (what, breach, finds);

SELECT bag_eq(format('SELECT pg_temp.found(%L, %s)', breach, :x), finds, 'verify() finds: ' || what) FROM breaches;
SELECT bag_eq(format('SELECT pg_temp.found(%L, %s, %s)', breach, :x, :merchant), finds, 'of the merchant: ' || what) FROM breaches WHERE what NOT LIKE '% of nobody';
SELECT is_empty(format('SELECT pg_temp.found(%L, %s, %s)', breach, :x, :other), 'not of another merchant: ' || what) FROM breaches;
SELECT set_eq($$SELECT split_part(f, ' / ', 1) FROM breaches, unnest(finds) f$$,
	$$SELECT replace(m[1], '''''', '''') FROM pg_proc, regexp_matches(prosrc, '^\s*SELECT ''((?:[^'']|'''')+)'',\s', 'gn') m WHERE oid = 'loyalty.verify(bigint)'::regprocedure$$,
	'each invariant has been broken');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'all breaches are undone');

SELECT * FROM finish();
ROLLBACK;

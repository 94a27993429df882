-- The engine by itself: loyalty.post and loyalty.post_batch, and whether
-- loyalty.verify() finds what nobody can have posted.
\ir ../tap.sql

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

-- Entries are named by their place in the account here.
CREATE FUNCTION pg_temp.entry(account bigint, no bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_id FROM loyalty.entry e WHERE e.account_id = account AND e.entry_no = no';
CREATE FUNCTION pg_temp.entry_no(id bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_no FROM loyalty.entry e WHERE e.entry_id = id';

-- What is posted, as one text: "entry_no balance".
CREATE FUNCTION pg_temp.post(merchant bigint, account bigint, kind text, amount text) RETURNS text LANGUAGE sql AS
'SELECT pg_temp.entry_no(p.entry_id) || '' '' || p.balance FROM loyalty.post(merchant, account, kind, amount::loyalty.points) p';
CREATE FUNCTION pg_temp.state_of(account bigint) RETURNS text LANGUAGE sql AS
'SELECT a.entry_no || '' '' || a.balance FROM loyalty_internal.account a WHERE a.account_id = account';

-- --- kinds and signs --------------------------------------------------------

SELECT is(pg_temp.post(:merchant, :a, kind, amount), expected, format('%s of %s: %s', kind, amount, expected))
FROM (VALUES ('accrue', '10', '1 10'), ('accrue', '0', '2 10'), ('deposit', '0.0001', '3 10.0001'), ('redeem', '10.0001', '4 0'),
	('adjust', '5', '5 5'), ('adjust', '-5', '6 0'), ('deposit', '100', '7 100')) v (kind, amount, expected);
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, %L)', :merchant, :a, kind, amount), 'invalid_amount', format('%s of %s', kind, amount))
FROM (VALUES ('accrue', '-1'), ('accrue', '-0.0001'), ('deposit', '0'), ('deposit', '-1'), ('redeem', '0'), ('redeem', '-1'), ('redeem', '-922337203685477.5808'), ('adjust', '0')) v (kind, amount);
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, ''1'')', :merchant, :a, kind), 'invalid_argument', 'no kind: ' || kind)
FROM unnest('{"",ACCRUE,sale,"accrue ",1,expire}'::text[]) kind;
SELECT pg_temp.refuses('SELECT loyalty.post(' || arguments || ')', 'invalid_argument', 'NULL among the arguments')
FROM unnest(ARRAY[format('NULL, %s, ''deposit'', ''1''', :a), format('%s, NULL, ''deposit'', ''1''', :merchant), format('%s, %s, NULL, ''1''', :merchant, :a),
	format('%s, %s, ''deposit'', NULL', :merchant, :a)]) arguments;
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''redeem'', %L)', :merchant, :a, amount), 'insufficient_points', amount || ' of 100')
FROM unnest('{100.0001,101,922337203685477.5807}'::text[]) amount;
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''adjust'', ''-100.0001'')', :merchant, :a), 'insufficient_points', 'a correction goes no lower either');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'')', m, account), 'unknown_account', what)
FROM (VALUES (:merchant, 1, 'an account that does not exist'), (:merchant, :theirs, 'an account of another merchant'), (:other, :a, 'an account, for another merchant'),
	(1, :a, 'an account, for nobody')) v (m, account, what);
SELECT is(pg_temp.state_of(:a), '7 100', 'what was refused has changed nothing');
SELECT is(pg_temp.post(:merchant, :a, 'redeem', '100'), '8 0', 'all of it can be spent');

-- Numbers as people write them, and whatever else is an amount; what has more decimals than points is refused.
SELECT loyalty.open_account(:merchant, :program) AS numbers \gset
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', %s)', :merchant, :numbers, amount), 'an amount is ' || amount)
FROM unnest(ARRAY['12.5', '12.50000', '12', '12::bigint', '''12.5''', '12.5::loyalty.points', '1.25 * 10', '2 * ''6.25''::loyalty.points']) amount;
PREPARE number (bigint, bigint, numeric, integer) AS SELECT v1.balance, v2.balance FROM loyalty.post($1, $2, 'deposit', $3) v1, loyalty.post($1, $2, 'redeem', $4, money => $3) v2;
SELECT results_eq(format('EXECUTE number(%s, %s, 0.5, 1)', :merchant, :numbers), $$VALUES ('99.5'::loyalty.points, '98.5'::loyalty.points)$$, 'as parameters too');
SELECT throws_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', %s)', :merchant, :numbers, amount), state, NULL, 'no amount is ' || amount)
FROM (VALUES ('12.55555', '22003'), ('''12.55555''', '22P02'), ('1e30', '22003'), ('''NaN''::numeric', '22003'), ('12.5::text', '42883'), ('12.5::float8', '42883')) v (amount, state);
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', NULL)', :merchant, :numbers), 'invalid_argument', 'nor NULL');
SELECT is((SELECT string_agg(x.error || x.balance, ' ' ORDER BY x.item) FROM (SELECT item, coalesce(error, '') AS error, coalesce(balance::text, '') AS balance
	FROM loyalty.post_batch(:merchant, ARRAY[:numbers, :numbers], '{deposit}', ARRAY[0.25, 1])) x), '98.75 99.75', 'an array of them');
SELECT is(p.balance::numeric, 89.75, 'the other functions take them') FROM loyalty.hold(:merchant, :numbers, 10.0) p;
SELECT is((SELECT loyalty.sum(amount) * 1.16 FROM loyalty.entries WHERE account_id = :numbers), 104.11, 'and reports compute with them');
SELECT is((SELECT count(*) FROM loyalty.balances WHERE account_id = :numbers AND balance OPERATOR(loyalty.>) 89.7 AND balance > 89.7), 1::bigint, 'and compare');

-- --- the range of points --------------------------------------------------------

SELECT is(pg_temp.post(:merchant, :full, 'deposit', '922337203685477.5807'), '1 922337203685477.5807', 'an account holds the largest amount');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, %L)', :merchant, :full, kind, amount), 'balance_out_of_range', format('and not %s more by %s', amount, kind))
FROM (VALUES ('deposit', '0.0001'), ('accrue', '1'), ('adjust', '922337203685477.5807')) v (kind, amount);
SELECT is(pg_temp.post(:merchant, :full, 'accrue', '0'), '2 922337203685477.5807', 'a sale that earns nothing fits');
SELECT is(pg_temp.post(:merchant, :full, 'redeem', '922337203685477.5807'), '3 0', 'it can all be spent at once');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, %L)', :merchant, :full, kind, amount), 'insufficient_points', 'the lowest amount by ' || kind)
FROM (VALUES ('redeem', '922337203685477.5807'), ('adjust', '-922337203685477.5808')) v (kind, amount);

-- --- points that expire ---------------------------------------------------------

SELECT client_id AS expiring, program_id AS expiring_program FROM loyalty.create_program(:merchant, 'Vence') \gset
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, :'expiring'), json_build_object('duration_unit', 'day', 'duration_value', 10, 'shortfall', 'negative')) \g /dev/null
SELECT loyalty.open_account(:merchant, :expiring_program) AS late \gset
SELECT loyalty.post(:merchant, :late, 'deposit', '70', expires_at => clock_timestamp() + interval '1 hour') \g /dev/null
SELECT pg_temp.post(:merchant, :late, 'accrue', '50') \g /dev/null
SELECT max(u.expires_at) AS over FROM loyalty.entry e, loyalty.unnest_lots(e.lots) u WHERE account_id = :late AND entry_no = 1 \gset
COPY (SELECT extract(epoch FROM :'over'::timestamptz - clock_timestamp())) TO PROGRAM '../advance_clock';
SELECT results_eq(format('SELECT balance::text, expired::text FROM loyalty_internal.account_state(%s, %s, clock_timestamp())', :merchant, :late), $$VALUES ('50', '70')$$, 'what is past its date is no balance');
SELECT is(pg_temp.post(:merchant, :late, 'redeem', '1'), '4 49', 'it is booked before anything else');
SELECT results_eq(format('SELECT kind, amount::text, balance::text, reference IS NULL FROM loyalty.entries WHERE account_id = %s AND entry_no = 3', :late), $$VALUES ('expire', '-70', '50', true)$$, 'by an entry');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''expire'', ''-1'')', :merchant, :late), 'invalid_argument', 'that nobody can ask for');
SELECT results_eq(format('SELECT pg_temp.entry_no(entry_id), balance::text FROM loyalty.reverse(%s, %s, %s, ''40'', ''tarde'')', :merchant, :late, pg_temp.entry(:late, 1)), $$VALUES (5::bigint, '49')$$, 'a refund takes nothing for it');
SELECT results_eq(format('SELECT points::text, refunded::text FROM loyalty_internal.expired_lot WHERE account_id = %s', :late), $$VALUES ('70', '40')$$, 'and says how much that was');

-- --- what an entry says ------------------------------------------------------------

SELECT entry_id AS e FROM loyalty.post(:merchant, :a, 'accrue', '1.5', 'ticket ñ', 7, '15.01') \gset
SELECT results_eq(format('SELECT kind, amount::text, balance::text, money::text, reference, staff_id, posted_at >= now() FROM loyalty.entries WHERE account_id = %s AND entry_id = %s', :a, :e),
	$$VALUES ('accrue', '1.5', '1.5', '15.01', 'ticket ñ' COLLATE "C", 7::bigint, true)$$, 'an entry keeps what it was posted with');
SELECT results_eq(format('SELECT money IS NULL, reference IS NULL, staff_id IS NULL FROM loyalty.entries WHERE account_id = %s AND entry_no = 1', :a),
	'VALUES (true, true, true)', 'and nothing else');
SELECT results_eq('SELECT i, loyalty.entry_kind(i::smallint) FROM generate_series(0, 12) i WHERE loyalty.entry_kind(i::smallint) IS NOT NULL ORDER BY i',
	$$VALUES (1, 'accrue'), (2, 'deposit'), (3, 'redeem'), (4, 'adjust'), (5, 'expire'), (6, 'hold'), (7, 'capture'), (8, 'release'), (9, 'mature'), (10, 'reverse'), (11, 'transfer')$$,
	'the kinds have names');
SELECT is(loyalty.entry_kind(32767::smallint), NULL, 'other numbers have none');

-- --- several calls in one statement ---------------------------------------------------

SELECT results_eq(format('SELECT pg_temp.post(%s, %s, ''deposit'', i::text) FROM generate_series(1, 4) i', :merchant, :b),
	$$VALUES ('1 1'), ('2 3'), ('3 6'), ('4 10')$$, 'calls in one statement see each other');
SELECT results_eq(format('SELECT pg_temp.post(%1$s, %2$s, ''redeem'', ''4''), pg_temp.post(%1$s, %2$s, ''deposit'', ''1''), pg_temp.post(%1$s, %2$s, ''redeem'', ''7'')', :merchant, :b),
	$$VALUES ('5 6', '6 7', '7 0')$$, 'in one row too');
SELECT pg_temp.refuses(format('SELECT pg_temp.post(%1$s, %2$s, ''deposit'', ''5''), pg_temp.post(%1$s, %2$s, ''redeem'', ''6'')', :merchant, :b), 'insufficient_points', 'if one fails the statement does');
SELECT is(pg_temp.state_of(:b), '7 0', 'and all of it');
SELECT results_eq(format('WITH x AS (SELECT * FROM loyalty.post_batch(%1$s, ARRAY[%2$s], ''{deposit}'', ''{5}'')) SELECT x.balance::text, pg_temp.post(%1$s, %2$s, ''redeem'', ''5'') FROM x', :merchant, :b),
	$$VALUES ('5', '9 0')$$, 'a batch and a call in one statement');

-- --- idempotency keys --------------------------------------------------------------------

SELECT results_eq(format('SELECT pg_temp.entry_no(entry_id), balance::text FROM loyalty.post(%s, %s, ''deposit'', ''10'', ''r'', 3, ''2'', idempotency_key => ''k1'')', :merchant, :b), $$VALUES (10::bigint, '10')$$, 'a key is used');
SELECT is(pg_temp.post(:merchant, :b, 'redeem', '1'), '11 9', 'something else happens');
SELECT results_eq(format('SELECT pg_temp.entry_no(entry_id), balance::text FROM loyalty.post(%s, %s, ''deposit'', ''10.0'', ''r'', 3, ''2.00'', idempotency_key => ''k1'')', :merchant, :b), $$VALUES (10::bigint, '10')$$, 'the same again gets the first answer');
SELECT is(pg_temp.state_of(:b), '11 9', 'and posts nothing');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %s, idempotency_key => ''k1'')', :merchant, :b, arguments), 'idempotency_key_reused', 'the key with ' || arguments)
FROM unnest(ARRAY['''deposit'', ''11'', ''r'', 3, ''2''', '''accrue'', ''10'', ''r'', 3, ''2''', '''deposit'', ''10'', ''s'', 3, ''2''', '''deposit'', ''10'', NULL, 3, ''2''',
	'''deposit'', ''10'', ''r'', 4, ''2''', '''deposit'', ''10'', ''r'', NULL, ''2''', '''deposit'', ''10'', ''r'', 3, ''3''', '''deposit'', ''10'', ''r'', 3, NULL']) arguments;
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''10'', ''r'', 3, ''2'', idempotency_key => ''k1'')', :merchant, :a), 'idempotency_key_reused', 'or another account');
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', ''10'', ''r'', 3, ''2'', idempotency_key => ''k1'')', :other, :theirs), 'another merchant may use the key');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''redeem'', ''1000'', idempotency_key => ''k2'')', :merchant, :b), 'insufficient_points', 'a post that fails');
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''redeem'', ''1'', idempotency_key => ''k2'')', :merchant, :b), 'leaves its key free');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'', idempotency_key => %L)', :merchant, :b, key), 'invalid_idempotency_key', 'no key: ' || what)
FROM (VALUES ('', 'empty'), ('a b', 'a blank'), ('ñ', 'outside ASCII'), (E'a\n', 'a line break'), (repeat('x', 201), '201 characters')) v (key, what);
SELECT lives_ok(format('SELECT loyalty.post(%s, %s, ''deposit'', ''1'', idempotency_key => %L)', :merchant, :b, key), 'a key: ' || left(key, 5))
FROM unnest(ARRAY[repeat('x', 200), '!', '~', '\''"']) key;

-- --- batches --------------------------------------------------------------------------------

SELECT loyalty.open_account(:merchant, :program) AS c \gset
SELECT loyalty.open_account(:merchant, :program) AS d \gset
CREATE FUNCTION pg_temp.batch(merchant bigint, accounts bigint[], kinds text[], amounts loyalty.points[]) RETURNS SETOF text LANGUAGE sql AS
'SELECT item || '': '' || coalesce(error, pg_temp.entry_no(entry_id) || '' '' || balance) FROM loyalty.post_batch(merchant, accounts, kinds, amounts)';
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%2$s, %3$s, %2$s, %2$s, %4$s, %2$s, 1, %2$s, %2$s, %3$s, %2$s],
		'{deposit,accrue,redeem,redeem,deposit,adjust,deposit,deposit,redeem,redeem,redeem}', '{100,0,150,60,1,5,1,0,45.0001,0.0001,45}')$$,
		:merchant, :c, :d, :theirs),
	$$VALUES ('1: 1 100'), ('2: 1 0'), ('3: insufficient_points'), ('4: 2 40'), ('5: unknown_account'), ('6: 3 45'), ('7: unknown_account'), ('8: invalid_amount'),
		('9: insufficient_points'), ('10: insufficient_points'), ('11: 4 0')$$,
	'each item of a batch sees its predecessors, and fails alone');
SELECT results_eq(format('SELECT pg_temp.state_of(%s), pg_temp.state_of(%s)', :c, :d), $$VALUES ('4 0', '1 0')$$, 'the accounts are where the last items left them');
SELECT results_eq(format('SELECT entry_no, kind, amount::text, balance::text FROM loyalty.entries WHERE account_id = %s ORDER BY entry_no', :c),
	$$VALUES (1::bigint, 'deposit', '100', '100'), (2, 'redeem', '-60', '40'), (3, 'adjust', '5', '45'), (4, 'redeem', '-45', '0')$$, 'and their entries tell how');
SELECT is((SELECT entry_no FROM loyalty_internal.account WHERE account_id = :theirs), 1::bigint, 'the account of another merchant is untouched');
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%2$s, %2$s, %2$s, %3$s], '{adjust}', '{922337203685477.5807,0.0001,5,7}')$$, :merchant, :c, :d),
	$$VALUES ('1: 5 922337203685477.5807'), ('2: balance_out_of_range'), ('3: balance_out_of_range'), ('4: 2 7')$$, 'one kind for all; what does not fit fails alone');
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%s], '{redeem}', '{922337203685477.5807}')$$, :merchant, :c), $$VALUES ('1: 6 0')$$, 'a batch of one');
SELECT results_eq(format($$SELECT pg_temp.batch(%s, ARRAY[%s, 1, %s], '{redeem}', '{1,1,-1}')$$, :merchant, :c, :c),
	$$VALUES ('1: insufficient_points'), ('2: unknown_account'), ('3: invalid_amount')$$, 'a batch in which all fail');
SELECT is_empty(format($$SELECT pg_temp.batch(%s, '{}', %L, '{}')$$, :merchant, kinds), 'an empty batch, with kinds ' || kinds) FROM unnest(ARRAY['{}', '{deposit}']) kinds;
SELECT lives_ok(format($$SELECT loyalty.post_batch(%s, ARRAY[%2$s, %2$s, %2$s], '{deposit}', '{1,2,3}', reference => '{uno,NULL,""}', staff_id => ARRAY[9])$$, :merchant, :d), 'references and staff');
SELECT results_eq(format('SELECT reference, staff_id FROM loyalty.entries WHERE account_id = %s AND entry_no > 2 ORDER BY entry_no', :d),
	$$VALUES ('uno' COLLATE "C", 9::bigint), (NULL, 9), ('', 9)$$, 'are in the entries');

SELECT pg_temp.refuses(format('SELECT * FROM loyalty.post_batch(%s)', arguments), 'invalid_argument', 'post_batch: ' || what)
FROM (VALUES
	(format('NULL, ARRAY[%s], ''{deposit}'', ''{1}''', :d), 'no merchant'),
	(format('%s, NULL, ''{deposit}'', ''{1}''', :merchant), 'no accounts'),
	(format('%s, ARRAY[%s], NULL, ''{1}''', :merchant, :d), 'no kinds'),
	(format('%s, ARRAY[%s], ''{deposit}'', NULL', :merchant, :d), 'no amounts'),
	(format('%s, ARRAY[%s, NULL], ''{deposit}'', ''{1,1}''', :merchant, :d), 'an account that is NULL'),
	(format('%s, ARRAY[%s], ''{NULL}'', ''{1}''', :merchant, :d), 'a kind that is NULL'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{1}''', :merchant, :d), 'too few amounts'),
	(format('%s, ARRAY[%s], ''{deposit}'', ''{1,1}''', :merchant, :d), 'too many amounts'),
	(format('%s, ARRAY[%2$s, %2$s, %2$s], ''{deposit,redeem}'', ''{1,1,1}''', :merchant, :d), 'two kinds for three'),
	(format('%s, ARRAY[%2$s, %2$s], ''{}'', ''{1,1}''', :merchant, :d), 'no kind for two'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{1,1}'', ''{x}''', :merchant, :d), 'too few references'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit,gift}'', ''{1,1}''', :merchant, :d), 'an unknown kind after a known one'),
	(format('%s, ARRAY[[%2$s, %2$s]], ''{deposit}'', ''{1,1}''', :merchant, :d), 'accounts in two dimensions'),
	(format('%s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{{1,1}}''', :merchant, :d), 'amounts in two dimensions')) v (arguments, what);
SELECT is(pg_temp.state_of(:d), '5 13', 'what was refused has posted nothing');

-- --- what verify() finds -----------------------------------------------------------------------

-- x has a plain history, y has something of everything, z what it was sent.
SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset
SELECT loyalty.wallet_contact_add(:merchant, :'wallet_key', '5512340001', 'Cliente', :staff) AS member \gset
SELECT account_id AS x FROM loyalty_internal.member WHERE member_id = :member \gset
SELECT loyalty.post(:merchant, :x, 'deposit', '100', 'ñ', :staff) \g /dev/null
SELECT loyalty.post(:merchant, :x, 'redeem', '30', 'v', :staff, '15.01') \g /dev/null
SELECT loyalty.post(:merchant, :x, 'accrue', '5') \g /dev/null
SELECT loyalty.reverse(:merchant, :x, pg_temp.entry(:x, 2), reference => 'todo', in_full => true) \g /dev/null
SELECT loyalty.open_account(:merchant, :expiring_program) AS y \gset
SELECT loyalty.open_account(:merchant, :expiring_program) AS z \gset
SELECT loyalty.post(:merchant, :y, 'deposit', '100', expires_at => '2099-01-01Z') \g /dev/null
SELECT loyalty.post(:merchant, :y, 'accrue', '50', money => '500', expires_at => '2099-02-01Z') \g /dev/null
SELECT loyalty.post(:merchant, :y, 'deposit', '10', expires_at => 'infinity') \g /dev/null
SELECT loyalty.post(:merchant, :y, 'redeem', '30') \g /dev/null
SELECT loyalty.hold(:merchant, :y, '80', release_at => '2098-01-01Z') \g /dev/null
SELECT loyalty.capture(:merchant, :y, pg_temp.entry(:y, 5), '20') \g /dev/null
SELECT loyalty.release(:merchant, :y, pg_temp.entry(:y, 5), '10') \g /dev/null
SELECT loyalty.post(:merchant, :y, 'accrue', '40', available_at => '2098-06-01Z', expires_at => '2099-03-01Z') \g /dev/null
SELECT loyalty.reverse(:merchant, :y, pg_temp.entry(:y, 2), '20', 'parte') \g /dev/null
SELECT loyalty.transfer(:merchant, :y, :z, '5') \g /dev/null
SELECT loyalty.reverse(:merchant, :y, pg_temp.entry(:y, 4), '10', 'parte') \g /dev/null
SELECT loyalty.reverse(:merchant, :y, pg_temp.entry(:y, 8), '15', 'parte') \g /dev/null
SELECT loyalty.reverse(:merchant, :y, pg_temp.entry(:y, 10), '2', 'vuelve') \g /dev/null
SELECT loyalty.capture(:merchant, :y, pg_temp.entry(:y, 5), in_full => true) \g /dev/null
SELECT is(pg_temp.state_of(:y), '14 47', 'an account with a history');
-- w is a member's, with more than a reference to say, and acts in the account z too.
SELECT loyalty.seller_member_create(:merchant, :'expiring', 'w@correo.example', 'W', 'W', client_id => 'W') \g /dev/null
SELECT loyalty.seller_deposit(:merchant, json_build_array(
	json_build_object('programId', :'expiring', 'memberId', 'W', 'amount', 1, 'comments', 'solo'),
	json_build_object('programId', :'expiring', 'memberId', 'W', 'amount', 2, 'comments', 'ñ', 'reference', 't'))) \g /dev/null
SELECT account_id AS w FROM loyalty_internal.member WHERE client_id = 'W' \gset
SELECT loyalty.post(:merchant, :z, 'deposit', '1', 'de w', member_id => :w) \g /dev/null
SELECT results_eq(format('SELECT reference, detail IS NULL FROM loyalty.entries WHERE account_id IN (%s, %s) AND (reference IS NOT NULL OR detail IS NOT NULL) ORDER BY 1', :w, :z),
	$$VALUES ('de w' COLLATE "C", true), ('t', false), ('vuelve', true), (NULL, false)$$, 'and texts of all sorts');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'which is sound');

-- The content of an entry as its hash is of it, by SQL's own functions.
CREATE CAST (loyalty.lots AS bytea) WITHOUT FUNCTION;
CREATE CAST (bytea AS loyalty.lots) WITHOUT FUNCTION;
CREATE FUNCTION pg_temp.sized(b bytea) RETURNS bytea LANGUAGE sql AS 'SELECT coalesce(int4send(length(b)) || b, '''')';
CREATE FUNCTION pg_temp.content(e loyalty.entry) RETURNS bytea LANGUAGE sql AS $$
	SELECT int8send(e.merchant_id) || int8send(e.account_id) || int8send(e.entry_id) || loyalty_internal.points_send(e.amount) || int2send(e.kind)
		|| int2send((SELECT sum(n::integer << bit) FROM (VALUES (e.staff_id IS NOT NULL, 0), (e.money IS NOT NULL, 1), (e.reserved IS NOT NULL, 2),
			(e.origin_entry_id IS NOT NULL, 3), (e.peer_account_id IS NOT NULL, 4), (e.member_id IS NOT NULL, 5), (e.rules IS NOT NULL, 6), (e.happened_at IS NOT NULL, 7),
			(e.actor_id IS NOT NULL, 8), (e.request_id IS NOT NULL, 9), (e.lots IS NOT NULL, 10),
			(coalesce(e.reference, e.detail::text, e.text_digest::text) IS NOT NULL, 11)) v (n, bit))::smallint)
		|| coalesce(int8send(e.staff_id), '') || coalesce(loyalty_internal.points_send(e.money), '') || coalesce(loyalty_internal.points_send(e.reserved), '')
		|| coalesce(int8send(e.origin_entry_id), '') || coalesce(int8send(e.peer_account_id), '') || coalesce(int8send(e.member_id), '')
		|| coalesce(int8send(e.rules::bigint), '') || coalesce(timestamptz_send(e.happened_at), '') || coalesce(int8send(e.actor_id::bigint), '')
		|| coalesce(int8send(e.request_id), '') || pg_temp.sized(e.lots::bytea)
$$;
-- What stands for its text, with a salt of the keys of who acted and of the other side; NULL: it has none.
CREATE FUNCTION pg_temp.digest(e loyalty.entry) RETURNS bytea LANGUAGE sql AS $$
	SELECT CASE WHEN e.reference IS NULL AND e.detail IS NULL THEN e.text_digest
		ELSE sha256(sha256(uuid_send((SELECT a.text_key FROM loyalty_internal.account a WHERE a.account_id IN (e.member_id, e.account_id) ORDER BY a.account_id <> e.member_id LIMIT 1))
			|| coalesce((SELECT uuid_send(p.text_key) FROM loyalty_internal.account p WHERE p.account_id = e.peer_account_id), '') || int8send(e.entry_id)) || CASE WHEN e.detail IS NULL THEN '\x01'::bytea WHEN e.reference IS NULL THEN '\x02' ELSE '\x03' END
			|| pg_temp.sized(convert_to(e.reference, 'UTF8')) || pg_temp.sized(convert_to(e.detail::text, 'UTF8'))) END
$$;
CREATE FUNCTION pg_temp.hash(previous bytea, e loyalty.entry) RETURNS bytea LANGUAGE sql AS $$
	SELECT sha256('\x01'::bytea || coalesce(previous, decode(repeat('00', 32), 'hex')) || int8send(e.entry_no) || loyalty_internal.points_send(e.balance)
		|| timestamptz_send(e.posted_at) || pg_temp.content(e) || coalesce(pg_temp.digest(e), ''))
$$;
-- Hash the entries of an account again, as an engine would that made a mistake.
CREATE FUNCTION pg_temp.rehash(account bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	e loyalty.entry;
	h bytea;
BEGIN
	FOR e IN SELECT * FROM loyalty.entry WHERE account_id = rehash.account ORDER BY entry_no, entry_id LOOP
		h := pg_temp.hash(h, e);
		UPDATE loyalty.entry SET hash = h WHERE account_id = rehash.account AND entry_id = e.entry_id;
	END LOOP;
	UPDATE loyalty_internal.account SET hash = coalesce(h, '') WHERE account_id = rehash.account;
END
$$;
-- An account with a rank, and a sale of which half is reversed, by a rule with a cap.
SELECT loyalty.set_rank_ranges(:merchant, 'niveles', '{Plata,Oro}', '{0,50}') \g /dev/null
SELECT program_id AS ranked_program, client_id AS ranked FROM loyalty.create_program(:merchant, 'Con rangos') \gset
SELECT loyalty.configure_program(:merchant, loyalty.find_program(:merchant, :'ranked'), json_build_object('range_group', 'niveles', 'rank_window_value', 12)) \g /dev/null
SELECT loyalty.publish_rules(:merchant, loyalty.find_program(:merchant, :'ranked'), '[{"name":"promo","points":10,"max_day":100}]') \g /dev/null
SELECT loyalty.open_account(:merchant, :ranked_program) AS ranks \gset
SELECT loyalty.sale(:merchant, :ranks, '1000') \g /dev/null
SELECT loyalty.reverse(:merchant, :ranks, pg_temp.entry(:ranks, 1), '55', 'mitad') \g /dev/null
CREATE TEMP TABLE hashes AS SELECT account_id, entry_id, entry_no, hash FROM loyalty.entry WHERE account_id IN (:x, :y, :z, :w, :late, :ranks);
SELECT pg_temp.rehash(account_id) FROM (SELECT DISTINCT account_id FROM hashes) a \g /dev/null
SELECT results_eq('SELECT account_id, entry_id, hash FROM hashes ORDER BY 1, 2',
	'SELECT account_id, entry_id, hash FROM loyalty.entry JOIN (SELECT DISTINCT account_id FROM hashes) a USING (account_id) ORDER BY 1, 2',
	'entries have the hashes that their description says');
SELECT is_empty('SELECT entry_id FROM loyalty.entry WHERE loyalty_internal.lots_send(lots) <> lots::bytea', 'lots are hashed as lots_send() writes them');

-- What verify() says of a merchant after a statement that is then reversed:
-- "invariant / account / entry_no", with the names of the accounts above; of an
-- entry that is gone its place is the one it had.  Of these accounts
-- the hashes are made right again before verify() looks, if so told.
CREATE TEMP TABLE names AS SELECT * FROM (VALUES (:x, 'x'), (:y, 'y'), (:z, 'z'), (:w, 'w'), (:late, 'late'), (:ranks, 'ranks')) v (id, name);
CREATE FUNCTION pg_temp.found(breach text, hashed text, only_merchant bigint DEFAULT NULL) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	rows text[];
BEGIN
	BEGIN
		EXECUTE breach;
		PERFORM pg_temp.rehash(id) FROM names WHERE name = hashed;
		SELECT array_agg(concat_ws(' / ', v.invariant, coalesce(n.name, v.account_id::text), coalesce(e.entry_no, h.entry_no, v.entry_id)))
		INTO rows FROM (SELECT * FROM loyalty.verify() WHERE only_merchant IS NULL UNION ALL SELECT * FROM loyalty.verify(only_merchant) WHERE only_merchant IS NOT NULL) v LEFT JOIN names n ON n.id = v.account_id
		LEFT JOIN loyalty.entry e ON e.entry_id = v.entry_id LEFT JOIN hashes h ON h.entry_id = v.entry_id;
		RAISE EXCEPTION USING ERRCODE = 'LYZZZ';
	EXCEPTION WHEN SQLSTATE 'LYZZZ' THEN
		RETURN QUERY SELECT unnest(rows);
	END;
END
$$;

\set balances 'an entry''s balance is the one before plus its amount'
\set newest 'an account has the balance and the number of its newest entry'
\set previous 'an entry names the one before it'
\set hash 'an entry has the hash of what it says and of the entry before'
\set numbers 'entries of an account count 1, 2, 3 … without gaps'
\set kinds 'an entry moves what entries of its kind move'
\set times 'entries are in the order of their time'
\set negative 'no balance is negative but after points were taken back'
\set readable 'lots can be read'
\set lots 'an entry has the lots that it moved'
\set part 'lots are part of the balance'
\set reserved 'what is taken of a reservation was there'
\set left_reserved 'a reservation has what entries left of it'
\set reversed 'what is said to be reversed was reversed by an entry'
\set parts 'no more of an entry is reversed than there was'
\set expired_lot 'an expired lot has what entries say'
\set spared 'a refund spares what expired, and no more than that'
\set sums 'an account has the sums of its entries'
\set account_lots 'an account has the lots that its entries left'
\set due 'nothing is due before the account says'
\set ranks_held 'a rank is held by the points that count'
\set given 'what rules gave for a sale comes to its points'
\set caps 'caps count what rules gave, less what was reversed'
\set caps_back 'caps get back what of a sale was reversed'
\set transfers 'what one account sends another receives'
\set member_account 'a member''s account exists and is of the member''s program'
\set program_exists 'an account''s program exists'
\set answers 'an idempotency key has its answer'
\set owners 'what belongs to a merchant belongs to one that exists'

-- OF x is short for its rows, and x#2 for its second entry.
CREATE FUNCTION pg_temp.spelt_out(breach text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n record;
BEGIN
	FOR n IN SELECT * FROM names LEFT JOIN hashes ON account_id = id LOOP
		breach := replace(breach, 'OF ' || n.name, 'WHERE account_id = ' || n.id);
		breach := regexp_replace(breach, format('\m%s#%s\M', n.name, n.entry_no), n.entry_id::text, 'g');
	END LOOP;
	RETURN replace(breach, 'ENTRY n', 'loyalty.entry SET');
END
$$;
CREATE TEMP TABLE breaches (what text, hashed text, breach text, finds text[]);
INSERT INTO breaches
SELECT what, hashed, pg_temp.spelt_out(breach), finds FROM (VALUES
	('an amount is changed', '', 'UPDATE ENTRY n amount = ''-31'' OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('a balance is changed', '', 'UPDATE ENTRY n balance = ''71'' OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('a hash is changed', '', 'UPDATE ENTRY n hash = sha256(hash) OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('the newest hash is changed', '', 'UPDATE ENTRY n hash = sha256(hash) OF x AND entry_no = 4', ARRAY[:'hash' || ' / x / 4']),
	('a hash is made to fit what was changed', '',
		'UPDATE ENTRY n money = ''15.02'' OF x AND entry_no = 2; UPDATE loyalty.entry e SET hash = pg_temp.hash(b.hash, e) FROM loyalty.entry b WHERE e.entry_id = x#2 AND b.entry_id = x#1',
		ARRAY[:'hash' || ' / x / 3']),
	('an amount is wrong', 'x', 'UPDATE ENTRY n amount = ''-31'' OF x AND entry_no = 2', ARRAY[:'balances' || ' / x / 2']),
	('a first amount is wrong', 'x', 'UPDATE ENTRY n amount = ''101'' OF x AND entry_no = 1', ARRAY[:'balances' || ' / x / 1']),
	('a balance is wrong', 'x', 'UPDATE ENTRY n balance = ''71'' OF x AND entry_no = 2', ARRAY[:'balances' || ' / x / 2', :'balances' || ' / x / 3']),
	('amounts come to more than fits', 'x', 'UPDATE ENTRY n amount = ''922337203685477.5807'', kind = 2 OF x AND entry_no = 2', ARRAY[:'balances' || ' / x / 2']),
	('the newest amount and balance are wrong', 'x', 'UPDATE ENTRY n amount = ''31'', balance = ''106'' OF x AND entry_no = 4', ARRAY[:'reversed' || ' / x / 2', :'newest' || ' / x / 4']),
	('an entry is deleted', '', 'DELETE FROM loyalty.entry OF x AND entry_no = 2', ARRAY[:'numbers' || ' / x / 3']),
	('the first entry is deleted', '', 'DELETE FROM loyalty.entry OF x AND entry_no = 1', ARRAY[:'numbers' || ' / x / 2']),
	('the newest entry is deleted', '', 'DELETE FROM loyalty.entry OF x AND entry_no = 4', ARRAY[:'newest' || ' / x / 3']),
	('all entries are deleted', '', 'DELETE FROM loyalty.entry OF x', ARRAY[:'newest' || ' / x']),
	('an entry is added', '', 'INSERT INTO loyalty.entry (merchant_id, account_id, entry_id, entry_no, previous_entry_id, amount, balance, posted_at, kind, hash)
		SELECT merchant_id, account_id, 42, 5, x#4, ''5'', ''110'', clock_timestamp(), kind, hash FROM loyalty.entry OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 5', :'newest' || ' / x / 5']),
	('an entry is added, with its hash', 'x', 'INSERT INTO loyalty.entry (merchant_id, account_id, entry_id, entry_no, previous_entry_id, amount, balance, posted_at, kind, hash)
		SELECT merchant_id, account_id, 42, 5, x#4, ''5'', ''110'', clock_timestamp(), kind, hash FROM loyalty.entry OF x AND entry_no = 1', ARRAY[:'newest' || ' / x / 5']),
	('an entry is added with a gap', '', 'INSERT INTO loyalty.entry (merchant_id, account_id, entry_id, entry_no, previous_entry_id, amount, balance, posted_at, kind, hash)
		SELECT merchant_id, account_id, 42, 6, x#4, ''5'', ''110'', clock_timestamp(), kind, hash FROM loyalty.entry OF x AND entry_no = 1', ARRAY[:'numbers' || ' / x / 6', :'newest' || ' / x / 6']),
	('an entry is of number 0', '', 'INSERT INTO loyalty.entry (merchant_id, account_id, entry_id, entry_no, previous_entry_id, amount, balance, posted_at, kind, hash)
		SELECT merchant_id, account_id, 42, 0, NULL, ''0'', ''0'', posted_at, kind, '''' FROM loyalty.entry OF x AND entry_no = 1', ARRAY[:'numbers' || ' / x / 0']),
	('entries are of the ends of the range', '', 'INSERT INTO loyalty.entry (merchant_id, account_id, entry_id, entry_no, previous_entry_id, amount, balance, posted_at, kind, reserved, origin_entry_id, hash)
		SELECT merchant_id, account_id, v, v, NULL, ''-922337203685477.5808'', ''-922337203685477.5808'', posted_at, 11, ''-922337203685477.5808'', v, ''''
		FROM loyalty.entry, unnest(''{-9223372036854775808,9223372036854775807}''::bigint[]) v OF x AND entry_no = 1',
		ARRAY[:'numbers' || ' / x / -9223372036854775808', :'numbers' || ' / x / 1', :'numbers' || ' / x / 9223372036854775807', :'newest' || ' / x / 9223372036854775807', :'transfers' || ' / x']),
	('an entry goes to another account', '', 'UPDATE ENTRY n account_id = 42 OF x AND entry_no = 3',
		ARRAY[:'numbers' || ' / 42 / 3', :'newest' || ' / 42 / 3', :'numbers' || ' / x / 4']),
	('time runs back', 'x', 'UPDATE ENTRY n posted_at = posted_at - interval ''1 hour'' OF x AND entry_no = 2', ARRAY[:'times' || ' / x / 2']),
	('an entry is of the future', 'x', 'UPDATE ENTRY n posted_at = posted_at + interval ''1 hour'' OF x AND entry_no = 1', ARRAY[:'times' || ' / x / 2']),
	('a redemption becomes a deposit', 'x', 'UPDATE ENTRY n kind = 2 OF x AND entry_no = 2', ARRAY[:'kinds' || ' / x / 2']),
	('a deposit becomes a redemption', 'x', 'UPDATE ENTRY n kind = 3 OF x AND entry_no = 1', ARRAY[:'kinds' || ' / x / 1']),
	('a kind that there is not', 'x', 'UPDATE ENTRY n kind = 99 OF x AND entry_no = 3', ARRAY[:'kinds' || ' / x / 3']),
	('a deposit goes on with something', 'x', 'UPDATE ENTRY n origin_entry_id = x#2 OF x AND entry_no = 3', ARRAY[:'kinds' || ' / x / 3']),
	('a redemption reserves something', 'x', 'UPDATE ENTRY n reserved = ''30'' OF x AND entry_no = 2', ARRAY[:'kinds' || ' / x / 2']),
	('a hold goes to somebody', 'y', 'UPDATE ENTRY n peer_account_id = 42 OF y AND entry_no = 5', ARRAY[:'kinds' || ' / y / 5']),
	('a capture is of a later hold', 'y', 'UPDATE ENTRY n origin_entry_id = y#6 OF y AND entry_no = 6', ARRAY[:'kinds' || ' / y / 6']),
	('a transfer goes nowhere', 'y', 'UPDATE ENTRY n peer_account_id = NULL OF y AND entry_no = 10', ARRAY[:'kinds' || ' / y / 10', :'transfers' || ' / y', :'transfers' || ' / y']),
	('a history below zero', 'x', 'WITH e AS (UPDATE ENTRY n amount = CASE entry_no WHEN 1 THEN ''10'' ELSE amount::text END::loyalty.points, balance = (balance::numeric - 90)::loyalty.points OF x)
		UPDATE loyalty_internal.account SET balance = ''15'' OF x', ARRAY[:'negative' || ' / x / 2']),
	('a balance out of nowhere', '', 'UPDATE loyalty_internal.account SET balance = ''1000'' OF x', ARRAY[:'newest' || ' / x / 4']),
	('a number out of nowhere', '', 'UPDATE loyalty_internal.account SET entry_no = 5 OF x', ARRAY[:'newest' || ' / x / 4']),
	('another hash in the account', '', 'UPDATE loyalty_internal.account SET hash = sha256(hash) OF x', ARRAY[:'newest' || ' / x / 4']),
	('another time in the account', '', 'UPDATE loyalty_internal.account SET posted_at = posted_at + interval ''1 second'' OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account without entries has points', '', format('INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, balance) VALUES (%s, 42, %s, ''1'')', :merchant, :program), ARRAY[:'newest' || ' / 42']),
	('an account without entries has a hash', '', format('INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, hash) VALUES (%s, 42, %s, ''x'')', :merchant, :program), ARRAY[:'newest' || ' / 42']),
	('an account is deleted, and the key of its texts', '', 'DELETE FROM loyalty_internal.account OF x', ARRAY[:'hash' || ' / x / 1', :'hash' || ' / x / 2', :'hash' || ' / x / 4', :'newest' || ' / x / 4', :'member_account' || ' / x']),
	('an account changes its program', '', format('UPDATE loyalty_internal.account SET program_id = %s OF x', :second_program), ARRAY[:'member_account' || ' / x']),
	('a member changes its program', '', format('UPDATE loyalty_internal.member SET program_id = %s OF x', :second_program), ARRAY[:'member_account' || ' / x']),
	('an account is of no program', '', 'UPDATE loyalty_internal.account SET program_id = 42 OF x', ARRAY[:'member_account' || ' / x', :'program_exists' || ' / x']),
	('lots of an entry are damaged', '', 'UPDATE ENTRY n lots = ''\xff''::bytea::loyalty.lots OF y AND entry_no = 4', ARRAY[:'hash' || ' / y / 4']),
	('lots of an entry are damaged, with its hash', 'y', 'UPDATE ENTRY n lots = ''\xff''::bytea::loyalty.lots OF y AND entry_no = 4', ARRAY[:'readable' || ' / y / 4']),
	('lots of an account are cut off', '', 'UPDATE loyalty_internal.account SET lots = substr(lots::bytea, 1, 7)::loyalty.lots OF y', ARRAY[:'readable' || ' / y']),
	('points that count for a rank are damaged', '', 'UPDATE loyalty_internal.account SET qualifying = ''\xff''::bytea::loyalty.lots OF y', ARRAY[:'readable' || ' / y']),
	('lots of reserved points are damaged', '', 'UPDATE loyalty_internal.reservation SET lots = ''\xff''::bytea::loyalty.lots OF y AND entry_no = 8', ARRAY[:'readable' || ' / y / 8']),
	('points are spent that expire later', 'y', 'UPDATE ENTRY n lots = ''{2099-02-01T00:00:00Z=30}'' OF y AND entry_no = 4', ARRAY[:'lots' || ' / y / 4']),
	('points are spent that there are not', 'y', 'UPDATE ENTRY n lots = ''{2099-01-01T00:00:00Z=31}'' OF y AND entry_no = 4', ARRAY[:'lots' || ' / y / 4']),
	('points are spent without lots', 'y', 'UPDATE ENTRY n lots = NULL OF y AND entry_no = 4', ARRAY[:'lots' || ' / y / 4']),
	('more points expire than are added', 'y', 'UPDATE ENTRY n lots = ''{2099-02-01T00:00:00Z=50.0001}'' OF y AND entry_no = 2', ARRAY[:'lots' || ' / y / 2']),
	('lots come to more than fits', 'y', 'UPDATE ENTRY n lots = ''{2099-02-01T00:00:00Z=922337203685477.5807}'' OF y AND entry_no = 2', ARRAY[:'lots' || ' / y / 2']),
	('later points of a hold are spent', 'y', 'UPDATE ENTRY n lots = ''{2099-02-01T00:00:00Z=20}'' OF y AND entry_no = 6', ARRAY[:'lots' || ' / y / 6']),
	('fewer points of a hold come back', 'y', 'UPDATE ENTRY n lots = NULL OF y AND entry_no = 7', ARRAY[:'lots' || ' / y / 7']),
	('points are taken back from other lots', 'y', 'UPDATE ENTRY n lots = ''{2099-01-01T00:00:00Z=20}'' OF y AND entry_no = 9', ARRAY[:'lots' || ' / y / 9']),
	('points are taken back and their lots stay', 'y', 'UPDATE ENTRY n lots = ''{2099-02-01T00:00:00Z=1}'' OF y AND entry_no = 9', ARRAY[:'part' || ' / y / 9']),
	('more is captured than is held', 'y', 'UPDATE ENTRY n reserved = ''-81'' OF y AND entry_no = 6', ARRAY[:'reserved' || ' / y / 6']),
	('a deposit is captured', 'y', 'UPDATE ENTRY n origin_entry_id = y#1 OF y AND entry_no = 6', ARRAY[:'reserved' || ' / y / 6']),
	('pending points are captured', 'y', 'UPDATE ENTRY n origin_entry_id = y#8 OF y AND entry_no = 14', ARRAY[:'reserved' || ' / y / 14']),
	('less is left of a hold', '', 'UPDATE loyalty_internal.reservation SET remaining = ''1'' OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5']),
	('more is left pending', '', 'UPDATE loyalty_internal.reservation SET remaining = ''25.0001'' OF y AND entry_no = 8', ARRAY[:'left_reserved' || ' / y / 8']),
	('other points are left pending', '', 'UPDATE loyalty_internal.reservation SET lots = NULL OF y AND entry_no = 8', ARRAY[:'left_reserved' || ' / y / 8']),
	('a hold is larger', '', 'UPDATE loyalty_internal.reservation SET amount = ''81'' OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5']),
	('a hold is not one', '', 'UPDATE loyalty_internal.reservation SET kind = 2 OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5']),
	('a hold is gone', '', 'DELETE FROM loyalty_internal.reservation OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5']),
	('a hold is of no entry', '', 'INSERT INTO loyalty_internal.reservation (merchant_id, account_id, entry_id, entry_no, kind, amount, remaining) SELECT merchant_id, account_id, id, n, 6, ''1'', ''1'' FROM loyalty_internal.account, (VALUES (42, 0), (y#7, 7), (43, 99)) v (id, n) OF y',
		ARRAY[:'left_reserved' || ' / y / 42', :'left_reserved' || ' / y / 7', :'left_reserved' || ' / y / 43']),
	('a refund is not noted', '', 'DELETE FROM loyalty_internal.reversal OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 9']),
	('the refund of a transfer is not noted', '', 'DELETE FROM loyalty_internal.reversal OF y AND entry_id = y#10', ARRAY[:'reversed' || ' / y / 13']),
	('a refund is of another entry', '', 'UPDATE loyalty_internal.reversal SET reversed_by = y#11 OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 2']),
	('a refund is of no entry', '', 'UPDATE loyalty_internal.reversal SET reversed_by = 9223372036854775807 OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 2']),
	('what was refunded is no entry', '', 'UPDATE loyalty_internal.reversal SET entry_id = 99 OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 99']),
	('a refund has another reference', '', 'UPDATE loyalty_internal.reversal SET reference_digest = loyalty_internal.merchant_digest(merchant_id, ''otra'') OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 2']),
	('a refund is of money too', '', 'UPDATE loyalty_internal.reversal SET money = ''200'' OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 2']),
	('more is refunded than was taken back', '', 'UPDATE loyalty_internal.reversal SET amount = ''21'' OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 2']),
	('more is refunded than was given back', '', 'UPDATE loyalty_internal.reversal SET amount = ''11'' OF y AND entry_id = y#4', ARRAY[:'reversed' || ' / y / 4']),
	('less is refunded than came back', '', 'UPDATE loyalty_internal.reversal SET amount = ''1'' OF y AND entry_id = y#10', ARRAY[:'reversed' || ' / y / 10']),
	('a refund is negative', '', 'UPDATE loyalty_internal.reversal SET amount = ''-10'' OF y AND entry_id = y#4', ARRAY[:'reversed' || ' / y / 4']),
	('a refund is answered otherwise', '', 'UPDATE loyalty_internal.reversal SET balance = ''1'' OF y AND entry_id = y#4', ARRAY[:'reversed' || ' / y / 4']),
	('a deposit is refunded and was a correction', 'x', 'UPDATE ENTRY n kind = 4 OF x AND entry_no = 2', ARRAY[:'reversed' || ' / x / 2']),
	('more is refunded than was spent', 'x', 'INSERT INTO loyalty.entry (merchant_id, account_id, entry_id, entry_no, previous_entry_id, amount, balance, posted_at, kind, origin_entry_id, reference, hash)
			SELECT merchant_id, account_id, 42, 5, x#4, amount, ''135'', posted_at, kind, origin_entry_id, ''más'', hash FROM loyalty.entry OF x AND entry_no = 4;
		INSERT INTO loyalty_internal.reversal (merchant_id, account_id, entry_id, reference_digest, reversed_by, amount, balance)
			SELECT merchant_id, account_id, x#2, loyalty_internal.merchant_digest(merchant_id, ''más''), 42, ''30'', ''135'' FROM loyalty.entry OF x AND entry_no = 4;
		UPDATE loyalty_internal.account SET entry_no = 5, newest_entry_id = 42, previous_entry_id = x#4, balance = ''135'' OF x', ARRAY[:'parts' || ' / x / 2']),
	('what expired is not noted', '', 'DELETE FROM loyalty_internal.expired_lot OF late', ARRAY[:'expired_lot' || ' / late']),
	('more expired than entries say', '', 'UPDATE loyalty_internal.expired_lot SET points = ''70.0001'' OF late', ARRAY[:'expired_lot' || ' / late']),
	('less expired', '', 'UPDATE loyalty_internal.expired_lot SET points = ''69.9999'' OF late', ARRAY[:'expired_lot' || ' / late']),
	('it expired at another date', '', 'UPDATE loyalty_internal.expired_lot SET expires_at = expires_at + interval ''1 second'' OF late', ARRAY[:'expired_lot' || ' / late', :'expired_lot' || ' / late']),
	('it expired at no date', '', 'UPDATE loyalty_internal.expired_lot SET expires_at = ''infinity'' OF late', ARRAY[:'expired_lot' || ' / late', :'expired_lot' || ' / late']),
	('something expired of an account of which nothing did', '', 'INSERT INTO loyalty_internal.expired_lot (merchant_id, account_id, expires_at, points, refunded) SELECT merchant_id, account_id, now(), ''0'', ''0'' FROM loyalty_internal.account OF x', ARRAY[:'expired_lot' || ' / x']),
	('something expired of no account', '', format('INSERT INTO loyalty_internal.expired_lot (merchant_id, account_id, expires_at, points, refunded) VALUES (%s, 42, now(), ''1'', ''0'')', :merchant), ARRAY[:'expired_lot' || ' / 42']),
	('more is refunded than expired', '', 'UPDATE loyalty_internal.expired_lot SET refunded = ''70.0001'' OF late', ARRAY[:'spared' || ' / late']),
	('less than nothing is', '', 'UPDATE loyalty_internal.expired_lot SET refunded = ''-0.0001'' OF late', ARRAY[:'spared' || ' / late']),
	('another refund may count what one has', '', 'UPDATE loyalty_internal.expired_lot SET refunded = ''39.9999'' OF late', ARRAY[:'spared' || ' / late']),
	('no refund counted what is counted', '', 'UPDATE loyalty_internal.expired_lot SET refunded = ''40.0001'' OF late', ARRAY[:'spared' || ' / late']),
	('nothing is taken for what has not expired', 'late', 'UPDATE ENTRY n origin_entry_id = late#2 OF late AND entry_no = 5; UPDATE loyalty_internal.reversal SET entry_id = late#2 OF late', ARRAY[:'reversed' || ' / late / 2']),
	('an account earned more than its entries', '', 'UPDATE loyalty_internal.account SET earned = ''140.0001'' OF y', ARRAY[:'sums' || ' / y']),
	('an account bought more than its entries', '', 'UPDATE loyalty_internal.account SET purchases = coalesce(purchases, 0) + 1 OF y', ARRAY[:'sums' || ' / y']),
	('an account expired', '', 'UPDATE loyalty_internal.account SET expired = ''1'' OF y', ARRAY[:'sums' || ' / y']),
	('more is held', '', 'UPDATE loyalty_internal.account SET held = ''0.0001'' OF y', ARRAY[:'sums' || ' / y']),
	('less is pending', '', 'UPDATE loyalty_internal.account SET pending = ''24'' OF y', ARRAY[:'sums' || ' / y']),
	('an account that does not track lots has a sum', '', 'UPDATE loyalty_internal.account SET held = ''0'' OF x', ARRAY[:'sums' || ' / x']),
	('an account tracks lots no more', '', 'UPDATE loyalty_internal.account SET earned = NULL OF y', ARRAY[:'sums' || ' / y']),
	('an accrual becomes a correction', 'y', 'UPDATE ENTRY n kind = 4 OF y AND entry_no = 3', ARRAY[:'sums' || ' / y']),
	('an account has no lots', '', 'UPDATE loyalty_internal.account SET lots = NULL OF y', ARRAY[:'account_lots' || ' / y']),
	('points of an account expire later', '', 'UPDATE loyalty_internal.account SET lots = ''{2099-01-01T00:00:00Z=7,2099-02-02T00:00:00Z=30}'' OF y', ARRAY[:'account_lots' || ' / y']),
	('something is due and the account does not say so', '', 'UPDATE loyalty_internal.account SET due_at = ''2098-06-01 00:00:01Z'' OF y', ARRAY[:'due' || ' / y']),
	('nothing is due to the account', '', 'UPDATE loyalty_internal.account SET due_at = NULL OF y', ARRAY[:'due' || ' / y']),
	('a rank is held too long', '', 'UPDATE loyalty_internal.rank_held SET until = ''infinity'' OF ranks', ARRAY[:'ranks_held' || ' / ranks']),
	('a rank that was reached is not held', '', 'DELETE FROM loyalty_internal.rank_held OF ranks', ARRAY[:'ranks_held' || ' / ranks']),
	('more points count for a rank than were earned', '', 'UPDATE loyalty_internal.account SET qualifying = ''{2099-01-01T00:00:00Z=55}'' OF ranks', ARRAY[:'ranks_held' || ' / ranks']),
	('a cap has counted more than a rule gave', '', 'UPDATE loyalty_internal.rule_use SET points_ever = ''5.0001'' OF ranks', ARRAY[:'caps' || ' / ranks']),
	('a cap has counted less for the day', '', 'UPDATE loyalty_internal.rule_use SET points_day = ''4'' OF ranks', ARRAY[:'caps' || ' / ranks']),
	('a cap has counted more for the week', '', 'UPDATE loyalty_internal.rule_use SET points_week = ''5.0001'' OF ranks', ARRAY[:'caps' || ' / ranks']),
	('a cap has counted less for the month', '', 'UPDATE loyalty_internal.rule_use SET points_month = ''4.9999'' OF ranks', ARRAY[:'caps' || ' / ranks']),
	('a cap has counted nothing for the year', '', 'UPDATE loyalty_internal.rule_use SET points_year = ''0'' OF ranks', ARRAY[:'caps' || ' / ranks']),
	('a cap counts what no rule gave', '', 'DELETE FROM loyalty_internal.rule_award OF ranks', ARRAY[:'caps' || ' / ranks']),
	('a cap got back more than there was', '', 'UPDATE loyalty_internal.rule_award SET returned = ''10.0001'' OF ranks; UPDATE loyalty_internal.rule_use SET points_ever = ''-0.0001'', points_day = ''-0.0001'', points_week = ''-0.0001'', points_month = ''-0.0001'', points_year = ''-0.0001'' OF ranks', ARRAY[:'caps_back' || ' / ranks / 1']),
	('a transfer never came', '', 'DELETE FROM loyalty.entry OF z;
		UPDATE loyalty_internal.account SET entry_no = 0, newest_entry_id = NULL, previous_entry_id = NULL, balance = ''0'', earned = ''0'', hash = '''', lots = NULL, due_at = NULL OF z', ARRAY[:'transfers' || ' / y', :'transfers' || ' / y']),
	-- names, and what is named
	('two entries are of one number', '', 'INSERT INTO loyalty.entry SELECT (e).* FROM (SELECT jsonb_populate_record(e, jsonb_build_object(''entry_id'', 42)) AS e FROM loyalty.entry e OF x AND entry_no = 2) d', ARRAY[:'hash' || ' / x / 2', :'numbers' || ' / x / 2']),
	('two entries are of one number, with their hashes', 'x', 'INSERT INTO loyalty.entry SELECT (e).* FROM (SELECT jsonb_populate_record(e, jsonb_build_object(''entry_id'', 42)) AS e FROM loyalty.entry e OF x AND entry_no = 2) d', ARRAY[:'numbers' || ' / x / 2']),
	('an entry takes the number of another', '', 'UPDATE ENTRY n entry_no = 2 OF x AND entry_no = 3', ARRAY[:'numbers' || ' / x / 2', :'numbers' || ' / x / 4']),
	('an entry takes the number of another, with its hash', 'x', 'UPDATE ENTRY n entry_no = 2 OF x AND entry_no = 3', ARRAY[:'numbers' || ' / x / 2', :'numbers' || ' / x / 4']),
	('entries change places', '', 'UPDATE ENTRY n entry_no = 5 - entry_no OF x AND entry_no IN (2, 3)', ARRAY[:'hash' || ' / x / 2', :'hash' || ' / x / 3', :'hash' || ' / x / 4']),
	('entries change places, with their hashes', 'x', 'UPDATE ENTRY n entry_no = 5 - entry_no OF x AND entry_no IN (2, 3)', ARRAY[:'previous' || ' / x / 2', :'previous' || ' / x / 3', :'previous' || ' / x / 4', :'newest' || ' / x / 4']),
	('an entry names none before it', '', 'UPDATE ENTRY n previous_entry_id = NULL OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names none before it, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = NULL OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('the newest entry names none before it', '', 'UPDATE ENTRY n previous_entry_id = NULL OF x AND entry_no = 4', ARRAY[:'previous' || ' / x / 4']),
	('the newest entry names none before it, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = NULL OF x AND entry_no = 4', ARRAY[:'previous' || ' / x / 4']),
	('an entry names an earlier one', '', 'UPDATE ENTRY n previous_entry_id = x#1 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names an earlier one, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = x#1 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names a later one', '', 'UPDATE ENTRY n previous_entry_id = x#4 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names a later one, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = x#4 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names itself', '', 'UPDATE ENTRY n previous_entry_id = entry_id OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names itself, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = entry_id OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names one of another account', '', 'UPDATE ENTRY n previous_entry_id = y#2 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names one of another account, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = y#2 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names one that there is not', '', 'UPDATE ENTRY n previous_entry_id = 42 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names one that there is not, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = 42 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 3']),
	('an entry names number 0', '', 'UPDATE ENTRY n previous_entry_id = 0 OF x AND entry_no = 3', ARRAY[:'hash' || ' / x / 3']),
	('an entry names number 0, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = 0 OF x AND entry_no = 3', ARRAY[:'hash' || ' / x / 3']),
	('the first entry names one before it', '', 'UPDATE ENTRY n previous_entry_id = x#4 OF x AND entry_no = 1', ARRAY[:'previous' || ' / x / 1']),
	('the first entry names one before it, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = x#4 OF x AND entry_no = 1', ARRAY[:'previous' || ' / x / 1']),
	('all entries name the one after them', '', 'UPDATE ENTRY n previous_entry_id = (SELECT o.entry_id FROM loyalty.entry o WHERE o.account_id = entry.account_id AND o.entry_no = entry.entry_no + 1) OF x', ARRAY[:'previous' || ' / x / 1', :'previous' || ' / x / 2', :'previous' || ' / x / 3', :'previous' || ' / x / 4']),
	('all entries name the one after them, with its hash', 'x', 'UPDATE ENTRY n previous_entry_id = (SELECT o.entry_id FROM loyalty.entry o WHERE o.account_id = entry.account_id AND o.entry_no = entry.entry_no + 1) OF x', ARRAY[:'previous' || ' / x / 1', :'previous' || ' / x / 2', :'previous' || ' / x / 3', :'previous' || ' / x / 4']),
	('an account names none as its newest entry', '', 'UPDATE loyalty_internal.account SET newest_entry_id = NULL OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names an older entry as the newest', '', 'UPDATE loyalty_internal.account SET newest_entry_id = x#3 OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names another''s entry as the newest', '', 'UPDATE loyalty_internal.account SET newest_entry_id = y#14 OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names what is no entry as the newest', '', 'UPDATE loyalty_internal.account SET newest_entry_id = 42 OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names none before the newest entry', '', 'UPDATE loyalty_internal.account SET previous_entry_id = NULL OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names an older entry before the newest', '', 'UPDATE loyalty_internal.account SET previous_entry_id = x#2 OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names the newest entry before itself', '', 'UPDATE loyalty_internal.account SET previous_entry_id = newest_entry_id OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names another''s entry before the newest', '', 'UPDATE loyalty_internal.account SET previous_entry_id = y#13 OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account names its newest entries the other way round', '', 'UPDATE loyalty_internal.account SET newest_entry_id = previous_entry_id, previous_entry_id = newest_entry_id OF x', ARRAY[:'newest' || ' / x / 4']),
	('an account without entries names one', '', format('INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, newest_entry_id) VALUES (%s, 42, %s, x#4)', :merchant, :program), ARRAY[:'newest' || ' / 42']),
	('an account without entries names one before', '', format('INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, previous_entry_id) VALUES (%s, 42, %s, x#4)', :merchant, :program), ARRAY[:'newest' || ' / 42']),
	('an entry gets another name', '', 'UPDATE ENTRY n entry_id = 42 OF x AND entry_no = 3', ARRAY[:'hash' || ' / x / 3']),
	('an entry gets another name, with its hash', 'x', 'UPDATE ENTRY n entry_id = 42 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 4', :'newest' || ' / x / 4']),
	('the newest entry gets another name', '', 'UPDATE ENTRY n entry_id = 42 OF x AND entry_no = 4', ARRAY[:'hash' || ' / x / 4']),
	('the newest entry gets another name, with its hash', 'x', 'UPDATE ENTRY n entry_id = 42 OF x AND entry_no = 4', ARRAY[:'reversed' || ' / x / 2', :'newest' || ' / x / 4']),
	('the name of an entry is 0', 'x', 'UPDATE ENTRY n entry_id = 0 OF x AND entry_no = 3', ARRAY[:'previous' || ' / x / 4', :'newest' || ' / x / 4']),
	('an entry that was reversed gets another name, and the one after it says so', 'x', 'UPDATE ENTRY n entry_id = 42 OF x AND entry_no = 2; UPDATE ENTRY n previous_entry_id = 42 OF x AND entry_no = 3', ARRAY[:'reversed' || ' / x / 2']),
	('entries change names', 'x', 'UPDATE ENTRY n entry_id = 42 OF x AND entry_no = 2; UPDATE ENTRY n entry_id = x#2 OF x AND entry_no = 3; UPDATE ENTRY n entry_id = x#3 OF x AND entry_no = 2', ARRAY[:'previous' || ' / x / 3', :'previous' || ' / x / 4', :'newest' || ' / x / 4']),
	('a capture is of another account''s hold', 'x', 'UPDATE ENTRY n kind = 7, amount = ''0'', reserved = ''-30'', balance = ''100'', origin_entry_id = y#5 OF x AND entry_no = 2', ARRAY[:'reserved' || ' / x / 2', :'balances' || ' / x / 3']),
	('a hold is another account''s', '', 'UPDATE loyalty_internal.reservation SET account_id = (SELECT id FROM names WHERE name = ''z'') OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5', :'left_reserved' || ' / z / 5']),
	('an account has a hold of another''s entry', '', 'INSERT INTO loyalty_internal.reservation (merchant_id, account_id, entry_id, entry_no, kind, amount, remaining) SELECT merchant_id, account_id, y#4, 1, 6, ''1'', ''1'' FROM loyalty_internal.account OF x', ARRAY[:'left_reserved' || ' / x / 4']),
	('a hold is at another''s number', '', 'UPDATE loyalty_internal.reservation SET entry_no = 4 OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5', :'left_reserved' || ' / y / 5']),
	('a hold is at a later number', '', 'UPDATE loyalty_internal.reservation SET entry_no = 6 OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5', :'left_reserved' || ' / y / 5']),
	('two holds are at one number', '', 'INSERT INTO loyalty_internal.reservation (merchant_id, account_id, entry_id, entry_no, kind, amount, remaining) SELECT merchant_id, account_id, id, 5, 6, ''1'', ''1'' FROM loyalty_internal.account, unnest(''{42,9223372036854775807}''::bigint[]) id OF y', ARRAY[:'left_reserved' || ' / y / 42', :'left_reserved' || ' / y / 9223372036854775807']),
	('a hold is of another entry', '', 'UPDATE loyalty_internal.reservation SET entry_id = y#4 OF y AND entry_no = 5', ARRAY[:'left_reserved' || ' / y / 5', :'left_reserved' || ' / y / 4']),
	('a refund is another account''s', '', 'UPDATE loyalty_internal.reversal SET account_id = (SELECT id FROM names WHERE name = ''z'') OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 9', :'reversed' || ' / z / 2']),
	('an account has a refund of another''s entry', '', 'INSERT INTO loyalty_internal.reversal (merchant_id, account_id, entry_id, reference_digest, reversed_by, amount, balance) SELECT merchant_id, account_id, y#2, loyalty_internal.merchant_digest(merchant_id, ''otro''), y#9, ''1'', ''1'' FROM loyalty_internal.account OF x', ARRAY[:'reversed' || ' / x / 2']),
	('a refund is by another account''s entry', '', 'UPDATE loyalty_internal.reversal SET reversed_by = x#4 OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 2']),
	('a refund is of another account''s entry', '', 'UPDATE loyalty_internal.reversal SET entry_id = x#2 OF y AND entry_id = y#4', ARRAY[:'reversed' || ' / y / 2']),
	('a refund is by the entry before', 'y', 'UPDATE ENTRY n origin_entry_id = y#11 OF y AND entry_no = 9; UPDATE loyalty_internal.reversal SET entry_id = y#11 OF y AND entry_id = y#2', ARRAY[:'reversed' || ' / y / 11']),
	('a cap counts a sale of another account', '', 'UPDATE loyalty_internal.rule_award SET entry_id = x#3 OF ranks', ARRAY[:'caps_back' || ' / ranks / 3']),
	('a cap counts what is no sale', '', 'UPDATE loyalty_internal.rule_award SET entry_id = 42 OF ranks', ARRAY[:'caps_back' || ' / ranks / 42']),
	('a rule gave more', '', 'UPDATE loyalty_internal.entry_rule SET points = points OPERATOR(loyalty.+) ''0.0001'' WHERE entry_id = ranks#1 AND ordinal = 1', ARRAY[:'given' || ' / ranks / 1']),
	('the base of a sale is gone', '', 'DELETE FROM loyalty_internal.entry_rule WHERE entry_id = ranks#1 AND ordinal = 0', ARRAY[:'given' || ' / ranks / 1']),
	('a rule gave nothing', '', 'INSERT INTO loyalty_internal.entry_rule SELECT merchant_id, entry_id, -1, ''0'' FROM loyalty_internal.entry_rule WHERE entry_id = ranks#1 AND ordinal = 0', ARRAY[:'given' || ' / ranks / 1']),
	('a rule that is none gave something', '', 'UPDATE loyalty_internal.entry_rule SET ordinal = 99 WHERE entry_id = ranks#1 AND ordinal = 1', ARRAY[:'given' || ' / ranks / 1']),
	('rules gave something for what is no sale', '', 'INSERT INTO loyalty_internal.entry_rule SELECT merchant_id, x#1, 0, ''1'' FROM loyalty_internal.account OF x', ARRAY[:'given' || ' / 1']),
	('a text is changed', '', 'UPDATE ENTRY n reference = ''n'' OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('a text is gone', '', 'UPDATE ENTRY n reference = NULL OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('a text is added', '', 'UPDATE ENTRY n reference = '''' OF x AND entry_no = 3', ARRAY[:'hash' || ' / x / 3']),
	('a detail is changed', '', 'UPDATE ENTRY n detail = ''{}'' OF w AND entry_no = 1', ARRAY[:'hash' || ' / w / 1']),
	('a detail becomes a reference', '', 'UPDATE ENTRY n detail = NULL, reference = detail::text OF w AND entry_no = 1', ARRAY[:'hash' || ' / w / 1']),
	('a detail is gone beside its reference', '', 'UPDATE ENTRY n detail = NULL OF w AND entry_no = 2', ARRAY[:'hash' || ' / w / 2']),
	('the key of texts is another', '', 'UPDATE loyalty_internal.account SET text_key = gen_random_uuid() OF x', ARRAY[:'hash' || ' / x / 1', :'hash' || ' / x / 2', :'hash' || ' / x / 4']),
	('the key of a member''s texts is another', '', 'UPDATE loyalty_internal.account SET text_key = gen_random_uuid() OF w', ARRAY[:'hash' || ' / w / 1', :'hash' || ' / w / 2', :'hash' || ' / z / 3']),
	('the digest of a text is beside it', '', 'UPDATE loyalty.entry e SET text_digest = pg_temp.digest(e) OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('the digest of a text is beside it, with its hash', 'x', 'UPDATE loyalty.entry e SET text_digest = pg_temp.digest(e) OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('another digest is beside a text', '', 'UPDATE ENTRY n text_digest = sha256('''') OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('a digest is where there was no text', '', 'UPDATE ENTRY n text_digest = sha256('''') OF x AND entry_no = 3', ARRAY[:'hash' || ' / x / 3']),
	('a text is erased without its digest', '', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF x AND entry_no = 1; UPDATE ENTRY n text_digest = NULL OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('a text is erased with another digest', '', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF x AND entry_no = 1; UPDATE ENTRY n text_digest = sha256(text_digest) OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('a text is erased with half its digest', 'x', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF x AND entry_no = 1; UPDATE ENTRY n text_digest = substr(text_digest, 1, 16) OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('a text is erased with more than a digest', 'x', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF x AND entry_no = 1; UPDATE ENTRY n text_digest = text_digest || decode(repeat(''00'', 9000), ''hex'') OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('a text is erased half', '', 'UPDATE loyalty.entry e SET detail = NULL, text_digest = pg_temp.digest(e) OF w AND entry_no = 2', ARRAY[:'hash' || ' / w / 2']),
	('a text is erased half, with its hash', 'w', 'UPDATE loyalty.entry e SET detail = NULL, text_digest = pg_temp.digest(e) OF w AND entry_no = 2', ARRAY[:'hash' || ' / w / 2']),
	('texts are erased and then one is put back', '', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF x; UPDATE ENTRY n reference = ''ñ'' OF x AND entry_no = 1', ARRAY[:'hash' || ' / x / 1']),
	('the key is gone and one of its texts is not', '', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF w AND entry_no = 1; UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF z AND entry_no = 3; UPDATE loyalty_internal.account SET text_key = gen_random_uuid() OF w', ARRAY[:'hash' || ' / w / 2']),
	('happened_at is put in', '', 'UPDATE ENTRY n happened_at = posted_at - interval ''1 day'' OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('actor_id is put in', '', 'UPDATE ENTRY n actor_id = 7 OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('request_id is put in', '', 'UPDATE ENTRY n request_id = 7 OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('actor_id is 0', 'x', 'UPDATE ENTRY n actor_id = 0 OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('request_id is 0', 'x', 'UPDATE ENTRY n request_id = 0 OF x AND entry_no = 2', ARRAY[:'hash' || ' / x / 2']),
	('an idempotency key without answer', '', 'UPDATE loyalty_internal.idempotency_key SET answer = NULL WHERE key_digest = loyalty_internal.merchant_digest(merchant_id, ''k2'')', ARRAY[:'answers']),
	('a key of nobody', '', 'INSERT INTO loyalty_internal.api_key (key_hash, merchant_id) VALUES (sha256(''''), 42)', ARRAY[:'owners']),
	('a request of nobody', '', 'INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint, answer) VALUES (42, sha256(''k''), sha256(''''), ''1'')', ARRAY[:'owners']),
	('a message of nobody', '', 'UPDATE loyalty_internal.message SET merchant_id = 42', ARRAY[:'owners'])
) v (what, hashed, breach, finds);

SELECT bag_eq(format('SELECT pg_temp.found(%L, %L)', breach, hashed), finds, 'verify() finds: ' || what) FROM breaches;
SELECT bag_eq(format('SELECT pg_temp.found(%L, %L, %s)', breach, hashed, :merchant), finds, 'of the merchant: ' || what) FROM breaches WHERE what NOT LIKE '% of nobody';
SELECT is_empty(format('SELECT pg_temp.found(%L, %L, %s)', breach, hashed, :other), 'not of another merchant: ' || what) FROM breaches;
SELECT set_eq($$SELECT split_part(f, ' / ', 1) FROM breaches, unnest(finds) f$$,
	$$SELECT invariant FROM loyalty_internal.invariants() UNION
	  SELECT replace(m[1], '''''', '''') FROM pg_proc, regexp_matches(prosrc, '^\s*SELECT ''((?:[^'']|'''')+)'',\s', 'gn') m WHERE oid = 'loyalty_internal.breaches(bigint)'::regprocedure$$,
	'each invariant has been broken');
-- What may be so, though nobody posted it so.
SELECT is_empty(format('SELECT pg_temp.found(%L, %L)', pg_temp.spelt_out(change), hashed), 'verify() finds nothing: ' || what) FROM (VALUES
	('a text is erased', '', 'UPDATE loyalty.entry e SET reference = NULL, text_digest = pg_temp.digest(e) OF x AND entry_no = 1'),
	('a reference and a detail are erased', '', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) OF w AND entry_no = 2'),
	('all texts of a member are erased, and their key', '',
		'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) WHERE e.entry_id IN (w#1, w#2, z#3); UPDATE loyalty_internal.account SET text_key = gen_random_uuid() OF w'),
	('all texts there are are erased, and all keys', '', 'UPDATE loyalty.entry e SET reference = NULL, detail = NULL, text_digest = pg_temp.digest(e) WHERE reference IS NOT NULL OR detail IS NOT NULL;
		UPDATE loyalty_internal.account SET text_key = gen_random_uuid()'),
	('another key, with the hashes', 'x', 'UPDATE loyalty_internal.account SET text_key = gen_random_uuid() OF x'),
	('when it happened, who did it and by which request', 'x', 'UPDATE ENTRY n happened_at = posted_at - interval ''1 day'', actor_id = -7, request_id = 9223372036854775807 OF x AND entry_no = 2'),
	('the widest of numbers', 'w', 'UPDATE ENTRY n happened_at = ''-infinity'', actor_id = 2147483647, request_id = -9223372036854775808 OF w AND entry_no = 1')) v (what, hashed, change);
SELECT is_empty('SELECT * FROM loyalty.verify()', 'all changes are reversed');
SELECT is_empty(format('SELECT * FROM loyalty.verify(merchant_id => %s)', :merchant), 'of the merchant too');
SELECT pg_temp.refuses('SELECT * FROM loyalty.verify(NULL)', 'invalid_argument', 'no merchant is not all');
SELECT is(format('%s %s', proretset, prorettype::regtype), 't loyalty.breach', 'what it returns: ' || oid::regprocedure) FROM pg_proc WHERE pronamespace = 'loyalty'::regnamespace AND proname IN ('verify', 'verify_root');

-- --- many at once ---------------------------------------------------------------------------

CREATE TEMP TABLE crowd AS SELECT loyalty.open_account(:merchant, :program) AS id FROM generate_series(1, 500);
SELECT results_eq(format($$
	SELECT count(*), count(error), count(DISTINCT entry_id), max(balance::numeric)
	FROM loyalty.post_batch(%s, (SELECT array_agg(%s) FROM generate_series(1, 10000)), '{deposit}', (SELECT array_agg(0.5::loyalty.points) FROM generate_series(1, 10000)))$$, :merchant, :d),
	'VALUES (10000::bigint, 0::bigint, 10000::bigint, 5013::numeric)', '10,000 items on one account');
SELECT results_eq(format($$
	SELECT count(*), count(error), max(pg_temp.entry_no(entry_id)), max(balance::numeric)
	FROM loyalty.post_batch(%s, (SELECT array_agg(id ORDER BY random()) FROM crowd, generate_series(1, 20)), '{accrue}', (SELECT array_agg(2::loyalty.points) FROM generate_series(1, 10000)))$$, :merchant),
	'VALUES (10000::bigint, 0::bigint, 20::bigint, 40::numeric)', '10,000 items on 500 accounts, in any order');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- what an account had, however many entries it has -----------------------------------------

-- Seven entries a moment, so that those which are found by their time begin, end and divide the same moment.
CREATE TEMP TABLE longer AS SELECT n, loyalty.open_account(:merchant, :program) AS id FROM unnest('{1,6,15,16,17,31,32,33,34,48,49,112,113,160}'::integer[]) n;
SELECT count(*) FROM longer, loyalty.post_batch(:merchant, array_fill(id, ARRAY[n]), '{deposit}', (SELECT array_agg(i::loyalty.points) FROM generate_series(1, n) i)) \g /dev/null
SAVEPOINT now;
UPDATE loyalty.entry SET posted_at = '2020-01-01Z'::timestamptz + (entry_no / 7) * interval '1 hour' FROM longer WHERE account_id = id;
UPDATE loyalty_internal.account SET posted_at = '2020-01-01Z'::timestamptz + (entry_no / 7) * interval '1 hour' FROM longer WHERE account_id = id;
SELECT results_eq(format('SELECT at, loyalty.balance_at(%s, %s, at) FROM generate_series(''2019-12-31 23:30Z''::timestamptz, ''2020-01-02Z'', ''30 minutes'') at', :merchant, id),
	format('SELECT at, coalesce((SELECT e.balance FROM loyalty.entry e WHERE e.account_id = %s AND e.posted_at <= at ORDER BY e.entry_no DESC LIMIT 1), ''0'')
		FROM generate_series(''2019-12-31 23:30Z''::timestamptz, ''2020-01-02Z'', ''30 minutes'') at', id), format('what an account of %s entries had at any time', n)) FROM longer;
ROLLBACK TO now;
SELECT results_eq(format('SELECT entry_no, balance::text FROM loyalty.statement(%s, %s, %s, %s)', :merchant, id, before, size),
	format('SELECT entry_no, balance::text FROM loyalty.entries WHERE account_id = %s AND entry_no < %s ORDER BY entry_no DESC LIMIT %s', id, coalesce(no, n + 1), size),
	format('a statement of %s of %s, before %s', size, n, coalesce(no::text, 'none')))
FROM longer, unnest('{1,2,50,10000}'::integer[]) size, LATERAL (SELECT NULL, NULL::bigint UNION ALL SELECT e.entry_id::text, e.entry_no FROM loyalty.entry e WHERE e.account_id = id AND e.entry_no IN (1, 2, 17, n)) b (key, no),
	LATERAL (SELECT coalesce(key, 'NULL')) k (before) WHERE n IN (1, 17, 160);
SELECT pg_temp.refuses(format('SELECT * FROM loyalty.statement(%s, %s, %s)', :merchant, :b, before), 'unknown_entry', 'no statement before ' || what)
FROM (VALUES (pg_temp.entry(:a, 3), 'an entry of another account'), (1, 'what is no entry'), (0, 'entry 0'), (pg_temp.entry(:theirs, 1), 'an entry of another merchant')) v (before, what);
SELECT pg_temp.refuses(format('SELECT loyalty.%s', call), code, 'no ' || call) FROM (VALUES
	(format('reverse(%s, %s, %s, 1, ''r'')', :merchant, :b, pg_temp.entry(:a, 3)), 'unknown_entry'), (format('reverse(%s, %s, 1, reference => ''r'', in_full => true)', :merchant, :b), 'unknown_entry'),
	(format('capture(%s, %s, %s, 1)', :merchant, :z, pg_temp.entry(:y, 5)), 'unknown_hold'), (format('release(%s, %s, %s, in_full => true)', :merchant, :z, pg_temp.entry(:y, 5)), 'unknown_hold'),
	(format('capture(%s, %s, 5, in_full => true)', :merchant, :y), 'unknown_hold')) v (call, code);

-- --- open holds, for reports --------------------------------------------------

-- "amount remaining release_at", and what of them the balance says is held.
CREATE FUNCTION pg_temp.holds(account bigint) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT string_agg(concat_ws(' ', h.amount, h.remaining, h.release_at - now()), ', ' ORDER BY h.amount::numeric) FROM loyalty.holds h WHERE h.account_id = account), 'none')
		|| '; ' || (SELECT b.held FROM loyalty.balances b WHERE b.account_id = account)
$$;
SELECT loyalty.open_account(:merchant, :program) AS h \gset
SELECT loyalty.post(:merchant, :h, 'deposit', 100) \g /dev/null
SELECT is(pg_temp.holds(:h), 'none; 0', 'nothing is held');
SELECT entry_id AS first FROM loyalty.hold(:merchant, :h, 10, reference => 'mesa 1') \gset
SELECT entry_id AS second FROM loyalty.hold(:merchant, :h, 20) \gset
SELECT results_eq(format('SELECT merchant_id, account_id, entry_id, amount::text, remaining::text, release_at, posted_at >= now(), reference, staff_id, member_id FROM loyalty.holds WHERE merchant_id = %s AND account_id = %s AND entry_id = %s', :merchant, :h, :first),
	format($$VALUES (%s::bigint, %s::bigint, %s::bigint, '10', '10', NULL::timestamptz, true, 'mesa 1' COLLATE "C", NULL::bigint, NULL::bigint)$$, :merchant, :h, :first), 'a hold with all that is known of it');
SELECT loyalty.capture(:merchant, :h, :second, 5) \g /dev/null
SELECT is(pg_temp.holds(:h), '10 10, 20 15; 25', 'what was captured of it does not remain');
SELECT loyalty.release(:merchant, :h, :second, 1) \g /dev/null
SELECT is(pg_temp.holds(:h), '10 10, 20 14; 24', 'nor what was released');
SAVEPOINT timed;
UPDATE loyalty_internal.reservation SET due_at = now() + interval '1 hour' WHERE merchant_id = :merchant AND entry_id = :second;
UPDATE loyalty_internal.account SET due_at = now() + interval '1 hour' WHERE merchant_id = :merchant AND account_id = :h;
SELECT is(pg_temp.holds(:h), '10 10, 20 14 01:00:00; 24', 'a hold that times out is open until then');
UPDATE loyalty_internal.reservation SET due_at = now() WHERE merchant_id = :merchant AND entry_id = :second;
UPDATE loyalty_internal.account SET due_at = now(), posted_at = now() WHERE merchant_id = :merchant AND account_id = :h;
SELECT is(pg_temp.holds(:h), '10 10; 10', 'and not from then on, though nothing was booked');
SELECT loyalty.expire_due(:merchant) \g /dev/null
SELECT is(pg_temp.holds(:h), '10 10; 10', 'nor once it was');
ROLLBACK TO timed;
SELECT loyalty.capture(:merchant, :h, :second, 14) \g /dev/null
SELECT is(pg_temp.holds(:h), '10 10; 10', 'one that is used up is not open');
SELECT loyalty.post(:merchant, :h, 'deposit', 1, available_at => '2098-01-01Z') \g /dev/null
SELECT is(pg_temp.holds(:h), '10 10; 10', 'pending points are no hold');
-- Many enough that an index is the faster way whatever is cached.
INSERT INTO loyalty_internal.reservation SELECT :merchant, i, i, 1, 6, '1', '1' FROM generate_series(1, 20000) i;
ANALYZE loyalty_internal.reservation;
CREATE FUNCTION pg_temp.scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN (SELECT string_agg(scan[1], ', ' ORDER BY scan[1]) FROM regexp_matches(plan::text, '"(?:Index Name|Node Type)": "(Seq Scan|[^" ]*_[^" ]*)"', 'g') scan);
END
$$;
SELECT is(pg_temp.scans(format('SELECT * FROM loyalty.holds WHERE merchant_id = %s AND account_id = %s', :merchant, :h)), 'entry_pkey, reservation_open', 'those of an account are found by an index');

SELECT * FROM finish();
ROLLBACK;

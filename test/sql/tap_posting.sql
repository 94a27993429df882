-- The operations of the engine: what they are asked with, what they refuse of
-- that, and what they answer.
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT program_id AS program FROM loyalty.create_program(:m, 'P', 'P') \gset
SELECT program_id AS without_terms FROM loyalty.create_program(:m, 'Q', 'Q') \gset
SELECT loyalty.open_account(:m, :program) AS a, loyalty.open_account(:m, :program) AS b, loyalty.open_account(:m, :without_terms) AS plain \gset

-- Entries are named by their place in the account here.
CREATE FUNCTION pg_temp.entry(account bigint, no bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_id FROM loyalty.entry e WHERE e.account_id = account AND e.entry_no = no';
CREATE FUNCTION pg_temp.entry_no(id bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_no FROM loyalty.entry e WHERE e.entry_id = id';
-- What a call answers: entry_no, points, balance, and those of the other account.
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer loyalty.posting;
BEGIN
	EXECUTE 'SELECT * FROM loyalty.' || call INTO STRICT answer;
	RETURN concat_ws(' ', pg_temp.entry_no(answer.entry_id), answer.points, answer.balance, pg_temp.entry_no(answer.peer_entry_id), answer.peer_balance);
END
$$;

-- --- arguments by name, answers, repetitions ------------------------------------------

CREATE TEMP TABLE operation (ordinal serial, call text, answer text);
INSERT INTO operation (call, answer) VALUES
	('post(merchant_id => %1$s, account_id => %2$s, kind => ''deposit'', amount => 1000, reference => ''r'', staff_id => 7, money => 5, member_id => %2$s, available_at => now(), expires_at => ''infinity''', '1 1000 1000'),
	('post(%1$s, %2$s, ''redeem'', 10, ''r'', 7, 5, %2$s', '2 10 990'),
	('post(%1$s, %2$s, ''adjust'', -40', '3 -40 950'),
	('post(%1$s, %2$s, ''accrue'', 0', '4 0 950'),
	('sale(merchant_id => %1$s, account_id => %2$s, money => 100, points_used => 20, items => ''[]'', reference => ''r'', staff_id => 7, member_id => %2$s', '6 8 938'),
	('hold(merchant_id => %1$s, account_id => %2$s, amount => 100, reference => ''r'', staff_id => 7, member_id => %2$s, release_at => ''infinity''', '7 100 838'),
	('capture(merchant_id => %1$s, account_id => %2$s, entry_id => pg_temp.entry(%2$s, 7), amount => 30, reference => ''r'', staff_id => 7, money => 5, in_full => false', '8 30 838'),
	('release(merchant_id => %1$s, account_id => %2$s, entry_id => pg_temp.entry(%2$s, 7), amount => 20, reference => ''r'', staff_id => 7, in_full => false', '9 20 858'),
	('release(%1$s, %2$s, pg_temp.entry(%2$s, 7), in_full => true', '10 50 908'),
	('hold(%1$s, %2$s, 8', '11 8 900'),
	('capture(%1$s, %2$s, pg_temp.entry(%2$s, 11), in_full => true', '12 8 900'),
	('transfer(merchant_id => %1$s, account_id => %2$s, to_account_id => %3$s, amount => 100, reference => ''r'', staff_id => 7, member_id => %2$s, in_full => false', '13 100 800 1 100'),
	('reverse(%1$s, %2$s, pg_temp.entry(%2$s, 13), 60, ''r''', '14 60 860 2 40'),
	('transfer(%1$s, %3$s, %2$s, in_full => true', '3 40 0 15 900'),
	('reverse(merchant_id => %1$s, account_id => %2$s, entry_id => pg_temp.entry(%2$s, 2), amount => 4, reference => ''r'', staff_id => 7, money => NULL, in_full => false', '16 4 904'),
	('reverse(%1$s, %2$s, pg_temp.entry(%2$s, 2), reference => ''s'', in_full => true', '17 6 910'),
	('reverse(%1$s, %2$s, pg_temp.entry(%2$s, 1), reference => ''r'', money => 1', '18 200 710'),
	('reverse(%1$s, %2$s, pg_temp.entry(%2$s, 4), reference => ''r'', in_full => true', '19 0 710');
UPDATE operation SET call = format(call, :m, :a, :b);
CREATE TEMP TABLE answered (ordinal integer, first text, again text, late text);
DO $$
DECLARE
	o operation;
BEGIN
	FOR o IN SELECT * FROM operation ORDER BY ordinal LOOP
		INSERT INTO answered VALUES (o.ordinal, pg_temp.answer(format('%s, idempotency_key => ''k%s'')', o.call, o.ordinal)), pg_temp.answer(format('%s, idempotency_key => ''k%s'')', o.call, o.ordinal)));
	END LOOP;
	UPDATE answered w SET late = pg_temp.answer(format('%s, idempotency_key => ''k%s'')', p.call, p.ordinal)) FROM operation p WHERE p.ordinal = w.ordinal;
END
$$;
SELECT is(w.first, o.answer, o.call) FROM operation o JOIN answered w USING (ordinal) ORDER BY ordinal;
SELECT is(w.again, o.answer, 'again, with its key: ' || split_part(o.call, '(', 1)) FROM operation o JOIN answered w USING (ordinal) ORDER BY ordinal;
SELECT is(w.late, o.answer, 'and later: ' || split_part(o.call, '(', 1)) FROM operation o JOIN answered w USING (ordinal) ORDER BY ordinal;
SELECT is(pg_temp.answer(o.call || ')'), o.answer, 'a refund without a key is told by its reference') FROM operation o WHERE o.call LIKE 'reverse%' ORDER BY ordinal;
SELECT is((SELECT string_agg(entry_no::text, ' ' ORDER BY account_id = :b) FROM loyalty_internal.account WHERE account_id IN (:a, :b)), '19 3', 'each was posted once');
SELECT is((SELECT string_agg(amount::text, ' ' ORDER BY entry_no) FROM loyalty.entries WHERE account_id = :a AND kind IN ('redeem', 'adjust')), '-10 -40 -20', 'entries have their sign');
SELECT is(pg_typeof((SELECT p FROM loyalty.post(:m, :plain, 'deposit', 1) p)), 'loyalty.posting'::regtype, 'an answer is a loyalty.posting');
SELECT pg_temp.refuses(format('SELECT loyalty.%s, idempotency_key => ''k%s'')', changed, ordinal), 'idempotency_key_reused', 'the key of another request: ' || changed)
FROM operation, LATERAL unnest(ARRAY[replace(call, 'amount => 30', 'amount => 31'), replace(call, '''redeem'', 10,', '''redeem'', 11,'), replace(call, '''s'', in_full => true', '''s'', amount => 6'),
	regexp_replace(call, '(release.*7\), )in_full => true', '\1 50')]) changed WHERE changed <> call;

-- What a refund reversed, and not what it could take back.
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('shortfall', 'partial')) \g /dev/null
SELECT loyalty.open_account(:m, :program) AS c \gset
SELECT pg_temp.answer(format('post(%s, %s, ''accrue'', 50)', :m, :c)) \g /dev/null
SELECT pg_temp.answer(format('post(%s, %s, ''redeem'', 30)', :m, :c)) \g /dev/null
SELECT is(pg_temp.answer(format('reverse(%s, %s, %s, reference => ''r'', in_full => true)', :m, :c, pg_temp.entry(:c, 1))), '3 50 0', 'all 50 points of a sale are reversed, of which 20 are there');
SELECT is(pg_temp.answer(format('sale(%s, %s, 100)', :m, :c)), '4 10 10', 'a sale says what it earned');
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('pending_days', 3)) \g /dev/null
SELECT is(pg_temp.answer(format('sale(%s, %s, 100)', :m, :c)), '5 10 10', 'pending or not');
SELECT is(pg_temp.answer(format('reverse(%s, %s, %s, 4, ''r'')', :m, :c, pg_temp.entry(:c, 5))), '6 4 10', 'of pending points too');

-- --- refusals ------------------------------------------------------------------------

SELECT loyalty.open_account(:m, :program) AS d \gset
SELECT entry_id AS deposit FROM loyalty.post(:m, :d, 'deposit', 1000, money => 100) \gset
SELECT entry_id AS hold FROM loyalty.hold(:m, :d, 500) \gset
SELECT balance AS before FROM loyalty.balances WHERE account_id = :d \gset

CREATE TEMP TABLE of (name text, start text, reference text);
INSERT INTO of VALUES ('capture', format('%s, %s, %s', :m, :d, :hold), ''), ('release', format('%s, %s, %s', :m, :d, :hold), ''),
	('transfer', format('%s, %s, %s', :m, :d, :b), ''), ('reverse', format('%s, %s, %s', :m, :d, :deposit), ', reference => ''x''');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s%s%s)', name, start, more, reference), code, format('%s%s', name, more))
FROM of, (VALUES ('', 'invalid_argument'), (', NULL', 'invalid_argument'), (', amount => NULL, in_full => false', 'invalid_argument'), (', in_full => NULL', 'invalid_argument'),
	(', 1, in_full => true', 'invalid_argument'), (', 0, in_full => true', 'invalid_argument'), (', 0', 'invalid_amount'), (', -1', 'invalid_amount'), (', -0.0001', 'invalid_amount'),
	(', ''-922337203685477.5808''', 'invalid_amount')) v (more, code);
SELECT pg_temp.refuses(format('SELECT loyalty.reverse(%s, %s, %s, %s, reference => ''x'')', :m, :d, :deposit, more), code, 'reverse: ' || more)
FROM (VALUES ('1, money => 1', 'invalid_argument'), ('money => 1, in_full => true', 'invalid_argument'), ('1, money => 1, in_full => true', 'invalid_argument'),
	('money => NULL', 'invalid_argument'), ('money => 0', 'invalid_amount'), ('money => -1', 'invalid_amount')) v (more, code);
SELECT pg_temp.refuses(format('SELECT loyalty.reverse(%s, %s, %s, 1%s)', :m, :d, :deposit, reference), 'invalid_argument', 'reverse: no reference' || reference)
FROM unnest(ARRAY['', ', NULL', ', ''''', format(', %L', repeat('x', 1025))]) reference;
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s, NULL, 1, ''x'')', name, :m, :d), 'invalid_argument', name || ' of NULL') FROM of;
SELECT pg_temp.refuses(format('SELECT loyalty.%s(NULL, %s, %s, 1, ''x'')', name, :d, :hold), 'invalid_argument', name || ' of no merchant') FROM of;
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, NULL, %s, 1, ''x'')', name, :m, :hold), 'invalid_argument', name || ' of no account') FROM of;
SELECT pg_temp.refuses(format('SELECT loyalty.transfer(%s, %s, %s, 1)', :m, :d, id), 'unknown_account', 'no account to transfer to: ' || id) FROM unnest('{0,1}'::bigint[]) id;
SELECT pg_temp.refuses(format('SELECT loyalty.hold(%s, %s, %s)', :m, :d, amount), code, 'hold of ' || amount)
FROM (VALUES ('NULL', 'invalid_argument'), ('0', 'invalid_amount'), ('-1', 'invalid_amount'), ('''-922337203685477.5808''', 'invalid_amount')) v (amount, code);
SELECT pg_temp.refuses(format('SELECT loyalty.hold(%s, %s, 1, release_at => now() - interval ''1 s'')', :m, :d), 'invalid_argument', 'a hold that has timed out');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, %L, 1)', :m, :d, kind), 'invalid_argument', 'post does no ' || kind) FROM unnest('{hold,capture,release,reverse,transfer,expire,mature}'::text[]) kind;
SELECT pg_temp.refuses(format('SELECT loyalty.sale(%s)', arguments), code, 'sale of ' || what) FROM (VALUES
	(format('NULL, %s, 1', :d), 'invalid_argument', 'no merchant'), (format('%s, NULL, 1', :m), 'invalid_argument', 'no account'), (format('%s, %s, NULL', :m, :d), 'invalid_argument', 'no money'),
	(format('%s, %s, 1, NULL', :m, :d), 'invalid_argument', 'NULL points used'), (format('%s, %s, -1', :m, :d), 'invalid_amount', 'less than nothing'),
	(format('%s, %s, 1, -1', :m, :d), 'invalid_amount', 'points that come back')) v (arguments, code, what);
-- What the hint of a refusal says.
CREATE FUNCTION pg_temp.hint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'none: it is done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', SQLSTATE, hint);
END
$$;
SELECT loyalty.open_account(:m, :program) AS empty \gset
SELECT loyalty.configure_program(:m, :program, '{"shortfall": "refuse"}') \g /dev/null
SELECT is(pg_temp.hint(format('SELECT * FROM loyalty.' || call, :m, :d, :deposit, :hold, :empty)), hint, call) FROM (VALUES
	('post(NULL, %2$s, ''deposit'', 1)', 'LY005 merchant_id is required.'), ('post(%1$s, NULL, ''deposit'', 1)', 'LY005 account_id is required.'), ('post(%1$s, %2$s, NULL, 1)', 'LY005 kind is required.'),
	('post(%1$s, %2$s, ''deposit'', NULL)', 'LY005 amount is required.'), ('hold(%1$s, %2$s, NULL)', 'LY005 amount is required.'),
	('post(%1$s, %2$s, ''hold'', 1)', 'LY005 kind is accrue, deposit, redeem or adjust; the others have a function each, as loyalty.hold() is.'),
	('post(%1$s, %2$s, ''ACCRUE'', 1)', 'LY005 kind is accrue, deposit, redeem or adjust; the others have a function each, as loyalty.hold() is.'),
	('post(%1$s, %2$s, ''deposit'', 1, expires_at => now() - interval ''1 s'')', 'LY005 expires_at is in the future and after available_at, and both are before the last day of the year 9999.'),
	('post(%1$s, %2$s, ''deposit'', 1, available_at => ''infinity'')', 'LY005 expires_at is in the future and after available_at, and both are before the last day of the year 9999.'),
	('post(%1$s, %2$s, ''adjust'', 1, available_at => now() + interval ''1 d'')', 'LY005 What an adjustment adds is available at once: it has no available_at.'),
	('post(%1$s, %2$s, ''redeem'', 1, expires_at => ''infinity'')', 'LY005 Only points that are added have an available_at or expires_at.'),
	('hold(%1$s, %2$s, 1, release_at => now() - interval ''1 s'')', 'LY005 release_at is in the future, before the last day of the year 9999.'),
	('capture(%1$s, %2$s, NULL, 1)', 'LY005 entry_id is required.'), ('transfer(%1$s, %2$s, NULL, 1)', 'LY005 to_account_id is required.'),
	('capture(%1$s, %2$s, %4$s)', 'LY005 Give exactly one of amount and in_full => true.'), ('release(%1$s, %2$s, %4$s, 1, in_full => true)', 'LY005 Give exactly one of amount and in_full => true.'),
	('transfer(%1$s, %2$s, %5$s, in_full => false)', 'LY005 Give exactly one of amount and in_full => true.'),
	('transfer(%1$s, %2$s, %2$s, 1)', 'LY013 account_id and to_account_id are the same account.'), ('transfer(%1$s, %5$s, %2$s, in_full => true)', 'LY001 The account has no points.'),
	('reverse(%1$s, %2$s, %3$s, reference => ''x'')', 'LY005 Give exactly one of amount, money and in_full => true.'), ('reverse(%1$s, %2$s, %3$s, 1, ''x'', money => 1)', 'LY005 Give exactly one of amount, money and in_full => true.'),
	('reverse(%1$s, %2$s, %3$s, 1)', 'LY005 reference is required: a refund is known by it.'), ('reverse(%1$s, %2$s, %3$s, 1, repeat(''x'', 1025))', 'LY005 reference has at most 1,024 bytes.'),
	('reverse(%1$s, %2$s, %3$s, 600, ''x'')', 'LY001 Points to be taken back were spent; the program''s setting shortfall says what a refund does then.'),
	('sale(%1$s, NULL, 1)', 'LY005 account_id is required.'), ('sale(%1$s, %2$s, NULL)', 'LY005 money is required.'), ('sale(%1$s, %2$s, 1, NULL)', 'LY005 points_used is required.'),
	('sale(%1$s, %2$s, -1)', 'LY004 money and points_used are not negative.'), ('sale(%1$s, %2$s, 1, 0.123)', 'LY004 points_used has more decimals than the program''s 2.'),
	('sale(%1$s, %2$s, 1, items => ''[1]'')', 'LY005 items is a JSON array of objects with sku, category, quantity and unitPrice.'),
	('simulate(%1$s, %2$s, NULL)', 'LY005 money is required.'), ('simulate(%1$s, %2$s, 1, at => ''infinity'')', 'LY005 at is a moment of the years 1 to 9999, but for their first and last day.'), ('simulate(%1$s, %2$s, -1)', 'LY004 money is not negative.'),
	('simulate(%1$s, %2$s, 1, ''[1]'')', 'LY005 items is a JSON array of objects with sku, category, quantity and unitPrice.'), ('balance_at(%1$s, %2$s, ''-infinity'')', 'LY005 at is a moment of the years 1 to 9999, but for their first and last day.'),
	('expire_due(NULL)', 'LY005 merchant_id is required.'), ('expire_due(%1$s, 0)', 'LY005 max_accounts is 1 to 100,000.'), ('statement(%1$s, %2$s, 5)', 'LY010 The account has no entry before_entry_id.'),
	('receipt(%1$s, NULL)', 'LY005 account_id is required.'), ('verify_root(%1$s, root => ''x'')', 'LY005 root is 32 bytes.'),
	('post_batch(NULL, ARRAY[%2$s], ''{deposit}'', ''{1}'')', 'LY005 merchant_id is required.'), ('post_batch(%1$s, ARRAY[%2$s], ''{deposit}'', NULL)', 'LY005 amount is required.'),
	('post_batch(%1$s, ''{NULL}'', ''{deposit}'', ''{1}'')', 'LY005 account_id is required for each item.'), ('post_batch(%1$s, ARRAY[%2$s], ''{{deposit}}'', ''{1}'')', 'LY005 kind has one dimension.'),
	('post_batch(%1$s, ARRAY[%2$s], ''{sale}'', ''{1}'')', 'LY005 kind is accrue, deposit, redeem, adjust, hold, capture, release, reverse or transfer.'),
	('post_batch(%1$s, ARRAY[%2$s, %2$s], ''{deposit}'', ''{1}'')', 'LY005 amount must have as many elements as account_id: 2, not 1.'),
	('post_batch(%1$s, ARRAY[%2$s], ''{deposit,deposit}'', ''{1}'')', 'LY005 kind must have as many elements as account_id, or one: 1, not 2.'),
	('post_batch(%1$s, ARRAY[%2$s], ''{deposit}'', ''{1}'', staff_id => ''{7,7}'')', 'LY005 staff_id must have as many elements as account_id, or one: 1, not 2.')) v (call, hint);
SELECT loyalty.configure_program(:m, :program, '{"shortfall": "partial"}') \g /dev/null
SELECT is((SELECT balance || ' ' || entry_no FROM loyalty.balances WHERE account_id = :d), :'before' || ' 2', 'what was refused has posted nothing');

-- --- batches -------------------------------------------------------------------------

-- "entry_no points balance" of each item, with those of the other account, or its error.
CREATE FUNCTION pg_temp.batch(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text;
BEGIN
	EXECUTE 'SELECT string_agg(coalesce(error, concat_ws('' '', pg_temp.entry_no(entry_id), points, balance, pg_temp.entry_no(peer_entry_id), peer_balance)), '', '' ORDER BY item) FROM loyalty.post_batch(' || call || ')' INTO answers;
	RETURN answers;
END
$$;
SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'P'), json_build_object('pending_days', 0)) \g /dev/null
SELECT loyalty.open_account(:m, :program) AS e, loyalty.open_account(:m, :program) AS f \gset
SELECT is(pg_temp.batch(format($$merchant_id => %1$s, account_id => ARRAY[%2$s, %2$s, %2$s, %2$s, %2$s, %2$s, %2$s], kind => '{deposit,redeem,adjust,accrue,hold,transfer,transfer}', amount => '{1000,10,-40,0,100,50,NULL}',
	reference => '{a,b,c,d,e,f,g}', staff_id => '{7,8,9,NULL,7,7,7}', money => '{5,6,NULL,NULL,NULL,NULL,NULL}', member_id => ARRAY[%2$s, NULL, NULL, %2$s, %2$s, NULL, %2$s],
	available_at => ARRAY[now(), NULL, NULL, NULL, NULL, NULL, NULL], expires_at => '{infinity,NULL,NULL,NULL,NULL,NULL,NULL}', release_at => '{NULL,NULL,NULL,NULL,infinity,NULL,NULL}',
	entry_id => NULL, to_account_id => ARRAY[NULL, NULL, NULL, NULL, NULL, %3$s, %3$s], in_full => '{false,NULL,false,false,false,false,true}'$$, :m, :e, :f)),
	'1 1000 1000, 2 10 990, 3 -40 950, 4 0 950, 5 100 850, 6 50 800 1 50, 7 800 0 2 850', 'arguments by name; items are answered as the functions of their kinds');
SELECT results_eq(format('SELECT entry_no, reference, staff_id, money::text, member_id IS NOT NULL FROM loyalty.entries WHERE account_id = %s ORDER BY 1', :e), format($$VALUES
	(1::bigint, 'a' COLLATE "C", 7::bigint, '5', true), (2, 'b', 8, '6', false), (3, 'c', 9, NULL, false), (4, 'd', NULL, NULL, true), (5, 'e', 7, NULL, true), (6, 'f', 7, NULL, false), (7, 'g', 7, NULL, true)$$),
	'and have them');
SELECT is(pg_temp.batch(format($$%1$s, array_fill(%2$s::bigint, '{5}'), '{transfer,reverse,reverse,capture,release}', '{NULL,NULL,3,60,NULL}', '{a,b,c,d,e}', '{7}', '{NULL,1,NULL,9,NULL}',
	entry_id => ARRAY[NULL, pg_temp.entry(%3$s, 1), pg_temp.entry(%3$s, 2), pg_temp.entry(%3$s, 5), pg_temp.entry(%3$s, 5)], to_account_id => ARRAY[%3$s, NULL, NULL, NULL, NULL], in_full => '{true,false,false,false,true}'$$, :m, :f, :e)),
	'3 850 0 8 850, unknown_entry, unknown_entry, unknown_hold, unknown_hold', 'what another account has is not this one''s');
SELECT is(pg_temp.batch(format($$%1$s, array_fill(%2$s::bigint, '{5}'), '{reverse,reverse,reverse,capture,release}', '{NULL,3,NULL,60,NULL}', '{a,b,c,d,e}', '{7}', '{1,NULL,NULL,9,NULL}',
	entry_id => ARRAY[pg_temp.entry(%2$s, 1), pg_temp.entry(%2$s, 2), pg_temp.entry(%2$s, 6), pg_temp.entry(%2$s, 5), pg_temp.entry(%2$s, 5)], in_full => '{false,false,true,false,true}'$$, :m, :e)),
	'9 200 650, 10 3 653, 11 50 653 4 0, 12 60 653, 13 40 693', 'parts by money, in points, and all that is left');
SELECT is(pg_temp.batch(format($$%1$s, array_fill(%2$s::bigint, '{2}'), '{reverse}', '{NULL,3}', '{a,b}', money => '{1,NULL}', entry_id => ARRAY[pg_temp.entry(%2$s, 1), pg_temp.entry(%2$s, 2)]$$, :m, :e)),
	'9 200 650, 10 3 653', 'a repetition is answered as the first');
SELECT is(pg_temp.batch(format($$%1$s, ARRAY[%2$s, %3$s], '{transfer}', '{NULL,NULL}', to_account_id => ARRAY[%3$s, %2$s], in_full => '{true}'$$, :m, :e, :f)), '14 693 0 5 693, 6 693 0 15 693', 'a single in_full is of all items');
SELECT is(pg_temp.batch(format($$%1$s, array_fill(%2$s::bigint, '{6}'), '{deposit,redeem,hold,deposit,accrue,redeem}', '{NULL,-1,-1,-1,-1,-922337203685477.5808}'$$, :m, :e)),
	'invalid_argument, invalid_amount, invalid_amount, invalid_amount, invalid_amount, invalid_amount', 'amounts that are none');
SELECT is(pg_temp.batch(format($$%1$s, array_fill(%2$s::bigint, '{4}'), '{deposit,deposit,redeem,deposit}', '{1,NULL,5,2}', in_full => '{f,f,t,f}'$$, :m, :e)),
	'16 1 694, invalid_argument, invalid_argument, 17 2 696', 'what cannot be asked for so fails alone');

-- Each kind with each argument: it is taken if the kind's function has it, and else refused.
SELECT loyalty.open_account(:m, :program) AS g \gset
SELECT loyalty.post(:m, :g, 'deposit', 1000) \g /dev/null
SELECT loyalty.hold(:m, :g, 500) \g /dev/null
CREATE TEMP TABLE element AS SELECT * FROM (VALUES ('money', '5::loyalty.points'), ('member_id', :'g'), ('available_at', 'now() + interval ''1 day'''), ('expires_at', 'now() + interval ''9 days'''),
	('release_at', 'now() + interval ''1 day'''), ('entry_id', format('pg_temp.entry(%s, 1)', :g)), ('to_account_id', :'f')) v (name, value);
CREATE TEMP TABLE kind AS SELECT k.name, p.proargnames AS arguments, more, k.named
FROM (VALUES ('accrue', 'post', '', ''), ('deposit', 'post', '', ''), ('redeem', 'post', '', ''), ('adjust', 'post', '', ''), ('hold', 'hold', '', ''),
	('capture', 'capture', format(', entry_id => ARRAY[pg_temp.entry(%s, 2)]', :g), 'entry_id'), ('release', 'release', format(', entry_id => ARRAY[pg_temp.entry(%s, 2)]', :g), 'entry_id'),
	('reverse', 'reverse', format(', entry_id => ARRAY[pg_temp.entry(%s, 1)]', :g), 'entry_id'), ('transfer', 'transfer', format(', to_account_id => ARRAY[%s]', :f), 'to_account_id')) k (name, function, more, named)
JOIN pg_proc p ON p.pronamespace = 'loyalty'::regnamespace AND p.proname = k.function;
SELECT CASE WHEN e.name = ANY (k.arguments) THEN isnt(answer, 'invalid_argument', format('%s with %s', k.name, e.name)) ELSE is(answer, 'invalid_argument', format('%s has no %s', k.name, e.name)) END
FROM kind k, element e, LATERAL pg_temp.batch(format('%s, ARRAY[%s], ARRAY[%L], ARRAY[%s]::loyalty.points[], %s, %s => ARRAY[%s]%s', :m, :g, k.name, CASE WHEN k.name = 'reverse' AND e.name = 'money' THEN 'NULL' ELSE '1' END,
	format('ARRAY[%L]', k.name || e.name), e.name, e.value, k.more)) answer
WHERE e.name <> k.named AND NOT (k.name IN ('redeem', 'adjust') AND e.name IN ('available_at', 'expires_at')) ORDER BY 1;
SELECT is(pg_temp.batch(format('%s, ARRAY[%s], ARRAY[%L], ''{1}'', ''{x}''', :m, :g, k.name)), 'invalid_argument', k.name || ' of nothing') FROM kind k WHERE named <> '';
SELECT is(pg_temp.batch(format('%s, ARRAY[%s], ARRAY[%L], ''{%s}'', ''{x}'', in_full => ''{%s}''%s', :m, :g, k.name, amount, in_full, k.more)), 'invalid_argument', format('%s of %s, in full: %s', k.name, amount, in_full))
FROM kind k, (VALUES ('NULL', 'NULL'), ('NULL', 'false'), ('1', 'true')) v (amount, in_full);
SELECT is(pg_temp.batch(format('%s, ARRAY[%s], ARRAY[%L], ''{NULL}'', ''{x}'', in_full => ''{true}''', :m, :g, k.name)), 'invalid_argument', k.name || ' has no in_full') FROM kind k WHERE NOT 'in_full' = ANY (k.arguments);
SELECT is(pg_temp.batch(format('%s, ARRAY[%s], ''{hold}'', ''{1}'', entry_id => ''{1}''', :m, :plain)), 'invalid_argument', 'a hold that is refused');
SELECT is((SELECT earned IS NULL AND entry_no = 1 FROM loyalty_internal.account WHERE account_id = :plain), true, 'does not begin to track lots');

SELECT pg_temp.refuses(format('SELECT * FROM loyalty.post_batch(%s, ARRAY[%2$s, %2$s, %2$s], %s)', :m, :g, arguments), 'invalid_argument', 'the whole: ' || arguments)
FROM unnest(ARRAY['''{deposit}'', ''{1,1,1}'', staff_id => ''{7,7}''', '''{deposit}'', ''{1,1,1}'', staff_id => ''{}''', '''{deposit}'', ''{1,1,1}'', in_full => ''{f,f}''', '''{deposit}'', ''{1,1,1}'', money => ''{1}''',
	'''{deposit}'', ''{1,1,1}'', member_id => ''{1}''', '''{deposit}'', ''{1,1,1}'', available_at => ARRAY[now()]', '''{deposit}'', ''{1,1,1}'', expires_at => ARRAY[now()]', '''{deposit}'', ''{1,1,1}'', release_at => ARRAY[now()]',
	'''{deposit}'', ''{1,1,1}'', entry_id => ''{1}''', '''{deposit}'', ''{1,1,1}'', to_account_id => ''{1,1,1,1}''', '''{deposit}'', ''{1,1,1}'', in_full => ''{{f,f,f}}''', '''{deposit}'', ''{1}''', '''{deposit}'', NULL']) arguments;

-- --- statements ----------------------------------------------------------------------

SELECT results_eq(format('SELECT entry_no FROM loyalty.statement(merchant_id => %s, account_id => %s, before_entry_id => %s, max_entries => 2)', :m, :e, pg_temp.entry(:e, 5)), 'VALUES (4::bigint), (3)', 'a page of a statement is before an entry');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- Moments so far away that nothing can be added to them.
CREATE TEMP TABLE far (moment text);
INSERT INTO far VALUES ('9999-12-31 00:00 UTC'), ('294276-12-31 23:59:59.9 UTC'), ('-infinity');
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''accrue'', 1, expires_at => %L)', :m, :a, moment), 'invalid_argument', 'expires_at ' || moment) FROM far;
SELECT pg_temp.refuses(format('SELECT loyalty.post(%s, %s, ''accrue'', 1, available_at => %L)', :m, :a, moment), 'invalid_argument', 'available_at ' || moment) FROM (TABLE far UNION VALUES ('infinity')) f;
SELECT pg_temp.refuses(format('SELECT loyalty.hold(%s, %s, 1, release_at => %L)', :m, :a, moment), 'invalid_argument', 'release_at ' || moment) FROM far;
SELECT pg_temp.refuses(format('SELECT loyalty.rank_at(%s, %s, %L)', :m, :a, moment), 'invalid_argument', 'rank_at ' || moment) FROM (TABLE far UNION VALUES ('infinity')) f;
SELECT pg_temp.refuses(format('SELECT loyalty.balance_at(%s, %s, %L)', :m, :a, moment), 'invalid_argument', 'balance_at ' || moment) FROM (TABLE far UNION VALUES ('infinity')) f;
SELECT pg_temp.refuses(format('SELECT loyalty.simulate(%s, %s, 1, at => %L)', :m, :a, moment), 'invalid_argument', 'simulate ' || moment) FROM (TABLE far UNION VALUES ('infinity')) f;
SELECT loyalty.configure_program(:m, :program, '{"duration_value": 1200, "duration_unit": "year"}') \g /dev/null
SELECT is((loyalty.post(:m, :a, 'accrue', 1, expires_at => '9999-12-30 23:59 UTC')).points, '1', 'points expire within the year 9999');
SELECT is((loyalty.post(:m, :a, 'accrue', 1, available_at => '9999-12-30 23:59 UTC')).points, '1', 'or are pending until then');
SELECT results_eq(format('SELECT DISTINCT unnest_lots.expires_at FROM loyalty_internal.reservation r, loyalty.unnest_lots(r.lots) WHERE r.merchant_id = %s AND r.account_id = %s', :m, :a),
	$$VALUES (timestamptz '9999-12-31 00:00 UTC')$$, 'and expire when the year does, not 1,200 years later');
SELECT loyalty.configure_program(:m, :program, '{"expiry": "fixed", "expiry_date": "9999-12-31"}') \g /dev/null
SELECT loyalty.open_account(:m, :program) AS last \gset
SELECT loyalty.post(:m, :last, 'accrue', 1) \g /dev/null
SELECT results_eq(format('SELECT l.expires_at FROM loyalty_internal.account a, loyalty.unnest_lots(a.lots) l WHERE a.merchant_id = %s AND a.account_id = %s', :m, :last),
	$$VALUES (timestamptz '9999-12-31 00:00 UTC')$$, 'as points of its last day do');
SELECT loyalty.configure_program(:m, :program, '{"expiry": "rolling"}') \g /dev/null
SELECT results_eq(format('SELECT item, error FROM loyalty.post_batch(%s, ARRAY[%s, %2$s], ARRAY[''accrue''], ARRAY[''1'', ''1'']::loyalty.points[], expires_at => ARRAY[NULL, ''294276-12-31 23:59:59.9 UTC'']::timestamptz[])', :m, :a),
	$$VALUES (1, NULL), (2, 'invalid_argument')$$, 'one of a batch fails alone');

SELECT * FROM finish();
ROLLBACK;

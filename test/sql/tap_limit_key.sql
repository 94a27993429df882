-- Limits of scope program and key: what a cashier's limit leaves open, another
-- usertool_id, a new employee, the other API, is counted all the same.  Many at
-- once are in iso_limit_program.spec and 41_limits.pl.
-- It is noon in Mexico City, so that no day ends meanwhile.
COPY (SELECT (18 * 3600 - extract(epoch FROM clock_timestamp()) % 86400 + 86400) % 86400) TO PROGRAM '../advance_clock';
\ir ../tap.sql

-- What comes of a statement: "done", or the code.
CREATE FUNCTION pg_temp.does(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = PG_EXCEPTION_DETAIL;
	RETURN code;
END
$$;

-- What is left of a limit, as "points/operations"; - for what is not limited.
CREATE FUNCTION pg_temp.left_of(program bigint, scope text, direction text, subject bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS
$$SELECT coalesce(points_left::text, '-') || '/' || coalesce(operations_left::text, '-') FROM loyalty.allowances a
WHERE a.program_id = program AND a.scope = left_of.scope AND a.direction = left_of.direction AND a.subject_id IS NOT DISTINCT FROM subject$$;

-- The answer of a function of the APIs, or of a path, to who sends this key: the code, or what there is of the balance.
CREATE FUNCTION pg_temp.answer(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer json;
BEGIN
	EXECUTE 'SELECT ' || statement INTO answer;
	answer := CASE json_typeof(answer) WHEN 'array' THEN answer->0 ELSE answer END;
	RETURN coalesce(nullif(answer->>'description', ''), answer->>'transactionid', answer->>'code');
END
$$;
CREATE FUNCTION pg_temp.with_key(key text, method text DEFAULT NULL, uri text DEFAULT NULL, type text DEFAULT NULL) RETURNS void LANGUAGE sql AS
$$SELECT set_config('request.headers', json_strip_nulls(json_build_object('apikey', key, 'x-loyalty-key', key, 'x-loyalty-method', method, 'x-loyalty-uri', uri, 'x-loyalty-type', type))::text, false)$$;

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS p, client_id AS pc FROM loyalty.create_program(:m, 'Programa', 'P') \gset
SELECT wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 10) \gset
SELECT program_id AS q, client_id AS qc FROM loyalty_internal.program WHERE merchant_id = :m AND wallet_key = :'w' \gset
SELECT key_id AS k1, api_key AS key1 FROM loyalty.create_api_key(:m, 'till') \gset
SELECT key_id AS k2, api_key AS key2 FROM loyalty.create_api_key(:m, 'shop') \gset
SELECT key_id AS foreign_key FROM loyalty.create_api_key(:other) \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'contraseña uno') AS ana, loyalty.employee_add(:m, 'cajero', 'Beto', 'Norte', '4771000002', 'contraseña dos') AS beto \gset
SELECT loyalty.open_account(:m, :p) AS a, loyalty.open_account(:m, :p) AS b \gset

-- --- what can be set ------------------------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.set_limit(%s, %s, %s)', :m, :p, arguments), code, 'set_limit: ' || arguments)
FROM (VALUES ('''program'', ''add'', 1, 1, ' || :p, 'invalid_argument'), ('''program'', ''add'', 1, 1, 0', 'invalid_argument'), ('''key'', ''add'', 1, 1, 1', 'unknown_object'),
	('''key'', ''add'', 1, 1, 0', 'unknown_object'), ('''key'', ''add'', 1, 1, ' || :foreign_key, 'unknown_object'), ('''key'', ''add'', 1, 1, ' || :ana, 'unknown_object'), ('''program'', ''add''', 'invalid_argument'), ('''keys'', ''add'', 1', 'invalid_argument')) v (arguments, code);
SELECT is_empty('SELECT * FROM loyalty.limits', 'nothing was set');
SELECT loyalty.set_limit(:m, :p, 'program', 'spend', 100, 10), loyalty.set_limit(:m, :p, 'key', 'add', 50), loyalty.set_limit(:m, :p, 'key', 'add', 60, subject_id => :k1) \g /dev/null
SELECT results_eq('SELECT scope, direction, subject_id, max_points::text, max_operations FROM loyalty.limits ORDER BY scope, set_at, max_points',
	format($$VALUES ('key' COLLATE "C", 'add', NULL::bigint, '50', NULL::bigint), ('key', 'add', %s, '60', NULL), ('program', 'spend', NULL, '100', 10)$$, :k1), 'loyalty.limits shows them');
SELECT is(loyalty.remove_limit(:m, :p, 'program', 'spend', :p), false, 'the program''s has no subject');
SELECT is(loyalty.remove_limit(:m, :p, 'program', 'spend') AND loyalty.remove_limit(:m, :p, 'key', 'add', :k1) AND loyalty.remove_limit(:m, :p, 'key', 'add'), true, 'they go');
SELECT is((SELECT has_limits FROM loyalty_internal.program WHERE program_id = :p), false, 'and the program has none');

-- --- a program: whoever posts, and whatever ---------------------------------------------

SELECT entry_id FROM loyalty.post_batch(:m, ARRAY[:a, :b], '{deposit}', '{1000,1000}') \g /dev/null
SELECT loyalty.set_limit(:m, :p, 'program', 'spend', 100, 10), loyalty.set_limit(:m, :p, 'staff', 'spend', 40) \g /dev/null
SELECT is(pg_temp.does(format(statement, :m, account, staff)), expected, format('%s: %s', n, statement))
FROM (VALUES (1, 'SELECT loyalty.post(%s, %s, ''redeem'', 40, staff_id => %s)', :a, :ana, 'done'), (2, 'SELECT loyalty.post(%s, %s, ''redeem'', 1, staff_id => %s)', :a, :ana, 'limit_exceeded'),
	(3, 'SELECT loyalty.post(%s, %s, ''redeem'', 30, staff_id => %s)', :b, :beto, 'done'), (4, 'SELECT loyalty.post(%s, %s, ''redeem'', ''30.0001'')', :b, NULL::bigint, 'limit_exceeded'),
	(5, 'SELECT loyalty.hold(%s, %s, ''30.0001'')', :b, NULL, 'limit_exceeded'), (6, format('SELECT loyalty.transfer(%%s, %%s, %s, ''30.0001'')', :a), :b, NULL, 'limit_exceeded'),
	(7, 'SELECT loyalty.post(%s, %s, ''adjust'', ''-30.0001'')', :b, NULL, 'limit_exceeded'), (8, format('SELECT loyalty.transfer(%%s, %%s, %s, 10)', :a), :b, NULL, 'done'),
	(9, 'SELECT loyalty.hold(%s, %s, 5)', :b, NULL, 'done'), (10, 'SELECT loyalty.sale(%s, %s, 100, 16)', :b, NULL, 'limit_exceeded'), (11, 'SELECT loyalty.sale(%s, %s, 100, 3)', :b, NULL, 'done'),
	(12, 'SELECT loyalty.post(%s, %s, ''deposit'', 5000)', :b, NULL, 'done')) v (n, statement, account, staff, expected) ORDER BY n;
SELECT is(pg_temp.left_of(:p, 'program', 'spend'), '12/5', 'all is counted');
SELECT is((SELECT points_used::text || ' in ' || operations_used FROM loyalty.allowances WHERE scope = 'program' AND direction = 'spend'), '88 in 5', 'in points and operations');
SELECT is((SELECT string_agg(coalesce(error, 'done'), ' ' ORDER BY item) FROM loyalty.post_batch(:m, ARRAY[:a, :b, :a, :b], '{redeem}', '{7,6,4,2}')), 'done limit_exceeded done limit_exceeded', 'a batch, item by item');
SELECT is(pg_temp.left_of(:p, 'program', 'spend'), '1/3', 'what is refused is not counted');
SELECT is((SELECT string_agg(coalesce(error, 'done'), ' ' ORDER BY item) FROM loyalty.post_batch(:m, ARRAY[:a], '{redeem}', '{1}')), 'done', 'the last point');
SELECT is(pg_temp.does(format('SELECT loyalty.post(%s, %s, ''redeem'', ''0.0001'', staff_id => %s)', :m, :a, loyalty.employee_add(:m, 'cajero', 'Cleo', 'Sur', '4771000003', 'contraseña tres'))), 'limit_exceeded', 'a new employee has nothing either');
SELECT (loyalty.reverse(:m, :b, entry_id, 10, 'R1')).points FROM loyalty.entries WHERE account_id = :b AND kind = 'redeem' AND amount = '-30' \g /dev/null
SELECT is(pg_temp.left_of(:p, 'program', 'spend'), '10/2', 'a part that is reversed the same day is given back');
SELECT (loyalty.reverse(:m, :b, entry_id, reference => 'R2', in_full => true)).points FROM loyalty.entries WHERE account_id = :b AND kind = 'redeem' AND amount = '-30' \g /dev/null
SELECT is(pg_temp.left_of(:p, 'program', 'spend'), '30/3', 'and with the rest the operation');
SELECT is((SELECT string_agg(coalesce(error, 'done'), ' ' ORDER BY item) FROM loyalty.post_batch(:m, ARRAY[:a, :b], '{redeem}', '{20,10}')), 'done done', 'and can be spent again');
SELECT loyalty.set_limit(:m, :p, 'program', 'spend', 105) \g /dev/null
SELECT is(pg_temp.left_of(:p, 'program', 'spend'), '5/-', 'under another limit what was used counts');
UPDATE loyalty_internal.allowance SET day = day - 1;
SELECT is(pg_temp.does(format('SELECT loyalty.post(%s, %s, ''redeem'', 105)', :m, :a)), 'done', 'another day');
SELECT is(pg_temp.left_of(:p, 'program', 'spend'), '0/-', 'has a limit of its own');
SELECT loyalty.set_limit(:m, :p, 'program', 'spend', 0) \g /dev/null
SELECT is(pg_temp.does(format('SELECT loyalty.post(%s, %s, ''redeem'', ''0.0001'')', :m, :b)), 'limit_exceeded', 'a program that spends nothing');
SELECT loyalty.remove_limit(:m, :p, 'program', 'spend') \g /dev/null
SELECT is(pg_temp.does(format('SELECT loyalty.post(%s, %s, ''redeem'', 200)', :m, :b)), 'done', 'without the limit');

-- Plenty: a session draws a sixteenth, and takes from that.
SELECT loyalty.set_limit(:m, :p, 'program', 'add', 160000, 16000) \g /dev/null
UPDATE loyalty_internal.allowance SET day = day - 1;
CREATE FUNCTION pg_temp.rows_of(program bigint) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(format('%s/%s', points_left, operations_left), ' ' ORDER BY stripe) FROM loyalty_internal.allowance WHERE program_id = program AND adds AND scope = 'program'$$;
SELECT loyalty.post(:m, :a, 'deposit', 10) \g /dev/null
SELECT pg_temp.rows_of(:p) AS drawn \gset
SELECT split_part(:'drawn', ' ', 1) AS pool \gset
SELECT loyalty.post(:m, :b, 'deposit', 10, staff_id => :ana) \g /dev/null
SELECT entry_id FROM loyalty.post_batch(:m, ARRAY[:a, :b, :a], '{deposit,deposit,redeem}', '{10,20,1}') \g /dev/null
SELECT is(split_part(pg_temp.rows_of(:p), ' ', 1), :'pool', 'what comes later, in a batch too, does not touch the program''s row');
SELECT is(pg_temp.left_of(:p, 'program', 'add'), '159950/15996', 'but is counted');
SELECT is((SELECT string_agg(coalesce(error, 'done'), ' ' ORDER BY item) FROM loyalty.post_batch(:m, ARRAY[:a, 1, :b], '{deposit}', '{10,20,5}')), 'done unknown_account done', 'of what a batch has taken at once');
SELECT is(pg_temp.left_of(:p, 'program', 'add') || ' ' || split_part(pg_temp.rows_of(:p), ' ', 1), '159935/15994 ' || :'pool', 'what it has not used goes back');
SELECT loyalty.remove_limit(:m, :p, 'program', 'add'), loyalty.remove_limit(:m, :p, 'staff', 'spend') \g /dev/null
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- a key: whatever cashier and API it names ------------------------------------------------

SELECT loyalty.wallet_contact_add(:m, :'w', '4771230001', 'Eva', :ana) \g /dev/null
SELECT account_id AS eva FROM loyalty_internal.member WHERE merchant_id = :m AND program_id = :q \gset
SELECT client_id AS eva_client FROM loyalty_internal.member WHERE merchant_id = :m AND program_id = :q \gset
UPDATE loyalty_internal.program SET unit_base = true, unit_active = true WHERE merchant_id = :m AND program_id = :q;
SELECT loyalty.set_limit(:m, :q, 'key', 'add', 100, NULL) \g /dev/null
SELECT pg_temp.with_key(:'key1') \g /dev/null
-- Monedero: the function, and the path
SELECT is(pg_temp.answer(format('loyalty_api.wallet_sale(%L, ''4771230001'', ''0'', ''600'', NULL, ''%s'', ''T'')', :'w', :ana)), (SELECT pg_temp.answer(format('loyalty_api.wallet_sale(%L, ''4771230001'', ''0'', ''0.01'', NULL, ''%s'', ''T'')', :'w', :ana))), 'a sale of 600 with the key');
SELECT is(pg_temp.left_of(:q, 'key', 'add', :k1), '40/-', 'earns 60 of 100');
SELECT is(pg_temp.answer(format('loyalty_api.wallet_sale(%L, ''4771230001'', ''0'', ''401'', NULL, ''%s'', ''T'')', :'w', :beto)), 'limit_exceeded', 'with another usertool_id not more than 40');
SELECT is(pg_temp.answer(format('loyalty_api.wallet_balance_update(%L, ''4771230001'', transaction_type => ''0'', transaction_amount => ''40.01'', usertool_id => ''%s'')', :'w', :beto)), 'limit_exceeded', 'nor by changing the balance');
SELECT pg_temp.with_key(:'key1', 'POST', '/wallet/sale', 'application/x-www-form-urlencoded') \g /dev/null
SELECT is(pg_temp.answer(format('loyalty_api.gateway(convert_to(%L, ''UTF8''))', format('wallet_key=%s&phone=4771230001&transaction_type=0&transaction_amount=401&usertool_id=%s&ticket=T', :'w', :beto))), 'limit_exceeded', 'nor by the path');
SELECT is(pg_temp.answer(format('loyalty_api.gateway(convert_to(%L, ''UTF8''))', format('wallet_key=%s&phone=4771230001&transaction_type=0&transaction_amount=100&usertool_id=%s&ticket=T', :'w', :beto))) <> 'limit_exceeded', true, 'which is counted too');
SELECT is(pg_temp.left_of(:q, 'key', 'add', :k1), '30/-', '10 more');
-- the seller API: the function, and the path
SELECT is(pg_temp.answer(format('loyalty_api.deposit(%L)', json_build_array(json_build_object('programId', :'qc', 'memberId', :'eva_client', 'amount', 31, 'comments', 'x')))), 'Se excede un límite del programa', 'nor by the seller API');
SELECT pg_temp.with_key(:'key1', 'POST', '/v1/seller/' || :'key1' || '/deposit', 'application/json') \g /dev/null
SELECT is(pg_temp.answer(format('loyalty_api.gateway(convert_to(%L, ''UTF8''))', json_build_array(json_build_object('programId', :'qc', 'memberId', :'eva_client', 'amount', 31, 'comments', 'x')))), 'Se excede un límite del programa', 'nor by its path');
SELECT is(pg_temp.answer(format('loyalty_api.gateway(convert_to(%L, ''UTF8''))', json_build_array(json_build_object('programId', :'qc', 'memberId', :'eva_client', 'amount', 30, 'comments', 'x')))) ~ '^\d+$', true, 'but all that is left');
SELECT is(pg_temp.left_of(:q, 'key', 'add', :k1), '0/-', 'then nothing is');
-- who else posts
SELECT pg_temp.with_key(:'key2') \g /dev/null
SELECT is(pg_temp.answer(format('loyalty_api.deposit(%L)', json_build_array(json_build_object('programId', :'qc', 'memberId', :'eva_client', 'amount', 100, 'comments', 'x')))) ~ '^\d+$', true, 'another key has its own');
SELECT is(pg_temp.does(format('SELECT loyalty.wallet_sale(%s, %L, ''4771230001'', 0, 10000, NULL, %s, ''T'')', :m, :'w', :ana)), 'done', 'what is called in SQL has no key');
SELECT is(pg_temp.left_of(:q, 'key', 'add', :k1) || ' ' || pg_temp.left_of(:q, 'key', 'add', :k2), '0/- 0/-', 'and counts for none');
SELECT is((SELECT string_agg(times::text, ' ' ORDER BY place) FROM (SELECT CASE actor_id WHEN :k1 THEN 1 WHEN :k2 THEN 2 END AS place, count(*) AS times FROM loyalty.entries WHERE account_id = :eva GROUP BY 1) x), '4 1 1', 'an entry says with which key it came');
SELECT is((SELECT count(DISTINCT actor_id) FROM loyalty.entries WHERE account_id = :eva AND actor_id > 0), 2::bigint, 'of two keys');
-- what is reversed goes back to the key that it came with
SELECT (loyalty.reverse(:m, :eva, entry_id, reference => 'R', in_full => true)).points FROM loyalty.entries WHERE account_id = :eva AND kind = 'deposit' AND actor_id = :k1 \g /dev/null
SELECT is(pg_temp.left_of(:q, 'key', 'add', :k1) || ' ' || pg_temp.left_of(:q, 'key', 'add', :k2), '30/- 0/-', 'what is reversed goes back to the key that it came with');
-- one's own
SELECT loyalty.set_limit(:m, :q, 'key', 'add', 130, NULL, :k2) \g /dev/null
SELECT is(pg_temp.answer(format('loyalty_api.deposit(%L)', json_build_array(json_build_object('programId', :'qc', 'memberId', :'eva_client', 'amount', amount, 'comments', 'x')))) ~ '^\d+$', ok, format('a key with a limit of its own, which has 30 left: %s', amount)) FROM (VALUES (1, 31, false), (2, 30, true)) v (n, amount, ok) ORDER BY n;
-- both ways, several items: one request
SELECT loyalty.set_limit(:m, :q, 'key', 'add', 200, NULL, :k2), loyalty.set_limit(:m, :q, 'program', 'add', 40) \g /dev/null
UPDATE loyalty_internal.allowance SET day = day - 1 WHERE scope = 'program';
SELECT is((SELECT string_agg(x->>'status', ' ') FROM json_array_elements(loyalty_api.deposit((SELECT json_agg(json_build_object('programId', :'qc', 'memberId', :'eva_client', 'amount', amount, 'comments', 'x')) FROM unnest('{20,30,20,1}'::integer[]) amount))) x), 'success error success error', 'items of one request, under the program''s limit');
SELECT is(pg_temp.left_of(:q, 'program', 'add') || ' ' || pg_temp.left_of(:q, 'key', 'add', :k2), '0/- 30/-', 'count for the program and for the key');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;

-- Who may read a customer's data: app users, consents and their keys, the log,
-- and cancellation. What of it goes over HTTP is in t/70_customer.pl.
-- Erasing has to see what was committed meanwhile.
SET default_transaction_isolation = 'read committed';
\ir ../tap.sql

SELECT loyalty.create_merchant('Uno') AS merchant \gset
SELECT loyalty.create_merchant('Dos') AS other \gset
SELECT program_id AS number, client_id AS program, wallet_key FROM loyalty.create_wallet(:merchant, 'Clientes', 10) \gset
SELECT client_id AS other_program FROM loyalty.create_wallet(:other, 'Clientes', 10) \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Cajero', 'Centro', '4771000001', 'secreto') AS staff \gset
\set curp CAMC880526HMCBNR04
\set second CAPC200504HMCBXRA2
\set third REAE060617MMCYLVA4

-- --- app users ---------------------------------------------------------------------

SELECT loyalty.create_app_user(:merchant, 'Banco') AS key \gset
SELECT matches(:'key'::text, '^[0-9a-f]{64}$', 'a key has 256 bits');
SELECT isnt(loyalty.create_app_user(:merchant, 'Tienda'), :'key', 'and each its own');
SELECT is(loyalty.create_app_user(:merchant, 'Propia', repeat('k', 32)), repeat('k', 32), 'a key of one''s own');
SELECT pg_temp.refuses(format('SELECT loyalty.create_app_user(%L, %s)', m, arguments), code, 'create_app_user: ' || arguments)
FROM (VALUES (:merchant, '''Banco''', 'already_exists'), (:other, '''Banco''', 'already_exists'), (:merchant, '''''', 'invalid_argument'), (:merchant, 'NULL', 'invalid_argument'),
	(:merchant, '''Otra'', repeat(''k'', 31)', 'invalid_argument'), (:merchant, '''Otra'', ''''', 'invalid_argument'), (1, '''Otra''', 'unknown_object'), (NULL, '''Otra''', 'unknown_object')) v (m, arguments, code);
SELECT throws_ok(format('SELECT loyalty.create_app_user(%s, ''Banco'')', :other), 'LY007', 'there already is an object of this name', 'which does not say whose the name is');
SELECT set_eq(format('SELECT name, token_ttl_s, disabled_at IS NULL FROM loyalty.app_users WHERE merchant_id = %s', :merchant),
	$$VALUES ('Banco', 600, true), ('Tienda', 600, true), ('Propia', 600, true)$$, 'the view of them has no keys');
SELECT columns_are('loyalty', 'app_users', ARRAY['merchant_id', 'name', 'token_ttl_s', 'created_at', 'disabled_at'], 'nor a column for them');
SELECT columns_are('loyalty', 'consents', ARRAY['merchant_id', 'consent_id', 'member_id', 'app_user', 'policy_id', 'purpose', 'notice_version', 'valid_from', 'valid_until', 'revoked_at', 'recorded_at', 'valid'], 'the view of consents has no hash');

-- A token for a signature.
CREATE FUNCTION pg_temp.hmac(key text, message text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	padded bytea := convert_to(key, 'UTF8');
	inner_pad bytea;
	outer_pad bytea;
BEGIN
	IF length(padded) > 64 THEN
		padded := sha256(padded);
	END IF;
	padded := padded || decode(repeat('00', 64 - length(padded)), 'hex');
	inner_pad := padded;
	outer_pad := padded;
	FOR i IN 0 .. 63 LOOP
		inner_pad := set_byte(inner_pad, i, get_byte(padded, i) # 54);
		outer_pad := set_byte(outer_pad, i, get_byte(padded, i) # 92);
	END LOOP;
	RETURN encode(sha256(outer_pad || sha256(inner_pad || convert_to(message, 'UTF8'))), 'hex');
END
$$;
SELECT is(pg_temp.hmac('Jefe', 'what do ya want for nothing?'), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843', 'the HMAC of RFC 4231');
SELECT pg_temp.hmac(:'key', :'curp') AS signature \gset
SELECT loyalty.customer_token('Banco', :'curp', :'signature')::text AS token \gset
SELECT is(:'token'::json ->> 'token', pg_temp.hmac(:'signature', format('{"timestamp":%s,"expires_in":600}', :'token'::json -> 'token_data' ->> 'timestamp')), 'a token is signed with the signature');
SELECT ok(abs(extract(epoch FROM clock_timestamp()) - (:'token'::json -> 'token_data' ->> 'timestamp')::bigint) < 60, 'it is of now');
SELECT pg_temp.refuses(format('SELECT loyalty.customer_token(%L, %L, %L)', name, curp, signature), code, 'customer_token: ' || what)
FROM (VALUES ('Banco', :'second', :'signature', 'kasu_401', 'another CURP'), ('Tienda', :'curp', :'signature', 'kasu_401', 'another user'), ('Nadie', :'curp', :'signature', 'kasu_401', 'unknown user'),
	('Banco', :'curp', upper(:'signature'), 'kasu_401', 'capitals'), ('Banco', :'curp', '', 'kasu_400', 'empty'), ('Banco', NULL, :'signature', 'kasu_400', 'NULL')) v (name, curp, signature, code, what);
SELECT is(loyalty.disable_app_user(merchant_id => :merchant, name => 'Banco'), true, 'a user is disabled');
SELECT pg_temp.refuses(format('SELECT loyalty.customer_token(''Banco'', %L, %L)', :'curp', :'signature'), 'kasu_401', 'a disabled user gets no token');
SELECT isnt(disabled_at, NULL, 'it is disabled') FROM loyalty.app_users WHERE name = 'Banco';
SELECT is(loyalty.disable_app_user(:merchant, 'Banco'), false, 'once');
SELECT is(loyalty.enable_app_user(merchant_id => :merchant, name => 'Banco'), true, 'the user is enabled again');
SELECT is(loyalty.enable_app_user(:merchant, 'Banco'), false, 'once');
SELECT is(loyalty.customer_token(app_user => 'Banco', curp => :'curp', signature => :'signature') ->> 'nombre', '', 'and gets a token, by the same key');
SELECT is(loyalty.disable_app_user(:merchant, 'Banco'), true, 'until disabled');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %L)', f, m, name), 'unknown_object', f || ': no such')
FROM unnest('{enable_app_user,disable_app_user}'::text[]) f, (VALUES (:merchant, 'Nadie'), (:other, 'Tienda'), (:merchant, NULL)) v (m, name);

-- One key takes the place of another, and for a while both are good.
SELECT columns_are('loyalty', 'app_user_keys', ARRAY['merchant_id', 'app_user', 'key_no', 'created_at', 'expires_at', 'last_used_at', 'active'], 'the view of keys has none');
CREATE FUNCTION pg_temp.token_by(key text, curp text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (loyalty.customer_token('Tienda', curp, pg_temp.hmac(key, curp)) ->> 'ok');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
CREATE TEMP VIEW keys AS SELECT k.key_no, k.active, k.expires_at - now() AS life, k.last_used_at FROM loyalty.app_user_keys k WHERE k.merchant_id = :merchant AND k.app_user = 'Tienda';
SELECT results_eq('SELECT key_no, active, life, last_used_at FROM keys', 'VALUES (1, true, NULL::interval, NULL::timestamptz)', 'a new app user has a key, which nobody has used');
SELECT loyalty.rotate_private_key(:merchant, 'Tienda') AS second_key \gset
SELECT matches(:'second_key'::text, '^[0-9a-f]{64}$', 'the next has 256 bits too');
SELECT is(loyalty.rotate_private_key(merchant_id => :merchant, name => 'Tienda', overlap => '1 day', private_key => repeat('t', 32)), repeat('t', 32), 'or is one''s own');
SELECT is(pg_temp.token_by(key, :'curp'), outcome, what) FROM (VALUES (:'second_key', 'true', 'the key before the newest is good'), (repeat('t', 32), 'true', 'the newest is'), (repeat('x', 32), 'LK401', 'and no other')) v (key, outcome, what);
SELECT results_eq($$SELECT key_no, active, life BETWEEN interval '1 day' AND interval '1 day 1 minute', last_used_at FROM keys ORDER BY key_no$$,
	$$VALUES (1, true, true, NULL::timestamptz), (2, true, true, date_trunc('hour', clock_timestamp(), 'UTC')), (3, true, NULL, date_trunc('hour', clock_timestamp(), 'UTC'))$$, 'they end with the shorter overlap, and the view says in which hour each was used');
SELECT loyalty.rotate_private_key(:merchant, 'Tienda', overlap => '30 days') AS fourth_key \gset
SELECT set_eq($$SELECT key_no FROM keys WHERE life < interval '1 day 1 minute'$$, ARRAY[1, 2], 'no key gets longer by another rotation');
SELECT loyalty.rotate_private_key(:merchant, 'Tienda', overlap => '0') AS fifth_key \gset
SELECT is(pg_temp.token_by(key, :'curp'), outcome, what) FROM (VALUES (:'fourth_key', 'LK401', 'without overlap the old one is refused'), (:'second_key', 'LK401', 'those before it too'), (:'fifth_key', 'true', 'and the new one is good')) v (key, outcome, what);
SELECT results_eq('SELECT key_no, active FROM keys ORDER BY key_no', 'VALUES (5, true)', 'the view has it only');
SELECT count(loyalty.rotate_private_key(:merchant, 'Tienda')) FROM generate_series(1, 7) \g /dev/null
SELECT results_eq('SELECT key_no, active FROM keys ORDER BY key_no', 'SELECT n, true FROM generate_series(5, 12) n', 'eight at a time');
SELECT pg_temp.refuses(format('SELECT loyalty.rotate_private_key(%L, %s)', m, arguments), code, 'rotate_private_key: ' || arguments)
FROM (VALUES (:merchant, '''Tienda''', 'invalid_argument'), (:merchant, format('''Tienda'', ''0'', %L', :'fifth_key'), 'invalid_argument'),
	(:merchant, '''Propia'', NULL', 'invalid_argument'), (:merchant, '''Propia'', ''-1 second''', 'invalid_argument'), (:merchant, '''Propia'', ''367 days''', 'invalid_argument'),
	(:merchant, '''Propia'', ''0'', repeat(''k'', 31)', 'invalid_argument'), (:merchant, '''Propia'', ''0'', repeat(''k'', 1025)', 'invalid_argument'),
	(:merchant, '''Nadie''', 'unknown_object'), (:other, '''Propia''', 'unknown_object'), (:merchant, 'NULL', 'unknown_object'), (NULL, '''Propia''', 'unknown_object')) v (m, arguments, code);
SELECT is(pg_temp.token_by(:'fifth_key', :'curp'), 'true', 'what is refused changes nothing');
SELECT isnt(loyalty.rotate_private_key(:merchant, 'Tienda', overlap => '0'), NULL, 'without overlap there is room for another');
SELECT is((SELECT count(*) FROM keys WHERE active), 1::bigint, 'which is the only one then');

-- Which APIs an app user may call.
SELECT columns_are('loyalty', 'app_user_grants', ARRAY['merchant_id', 'app_user', 'api', 'expires_at', 'active'], 'the view of grants');
CREATE TEMP VIEW grants AS SELECT g.api, g.expires_at, g.active FROM loyalty.app_user_grants g WHERE g.merchant_id = :merchant AND g.app_user = 'Propia';
SELECT set_eq('SELECT * FROM grants', $$VALUES ('CUSTOMER', NULL::timestamptz, true), ('ACCOUNTS', NULL, true), ('PAYMENTS', NULL, true)$$, 'a new app user may call all, for good');
SELECT is(loyalty.revoke_app_user_api(merchant_id => :merchant, name => 'Propia', api => api), outcome, format('revoke %s: %s', api, outcome))
FROM (VALUES (1, 'CUSTOMER', true), (2, 'CUSTOMER', false), (3, 'ACCOUNTS', true)) v (n, api, outcome) ORDER BY n;
SELECT set_eq('SELECT api FROM grants WHERE active', ARRAY['PAYMENTS'], 'two are refused');
SELECT is(loyalty.customer_token('Propia', :'curp', pg_temp.hmac(repeat('k', 32), :'curp')) ->> 'ok', 'true', 'who may call one gets a token');
SELECT lives_ok(format('SELECT loyalty.grant_app_user_api(merchant_id => %s, name => ''Propia'', api => ''PAYMENTS'', expires_at => clock_timestamp())', :merchant), 'a grant may be over at once');
SELECT is_empty('SELECT api FROM grants WHERE active', 'it is');
SELECT pg_temp.refuses(format('SELECT loyalty.customer_token(''Propia'', %L, %L)', curp, signature), code, what)
FROM (VALUES (:'curp', pg_temp.hmac(repeat('k', 32), :'curp'), 'kasu_403', 'who may call none gets none'), ('x', pg_temp.hmac(repeat('k', 32), 'x'), 'kasu_403', 'whatever the CURP'), (:'curp', 'x', 'kasu_401', 'and who has not signed is not told')) v (curp, signature, code, what);
SELECT is((SELECT last_used_at FROM loyalty.app_user_keys WHERE merchant_id = :merchant AND app_user = 'Propia'), date_trunc('hour', clock_timestamp(), 'UTC'), 'the key was used');
SELECT lives_ok(format('SELECT loyalty.grant_app_user_api(%s, ''Propia'', ''ACCOUNTS'', %L)', :merchant, now() + interval '1 day'), 'a grant with an end');
SELECT set_eq('SELECT api, expires_at FROM grants WHERE active', $$VALUES ('ACCOUNTS', now() + interval '1 day')$$, 'which the view says');
SELECT lives_ok(format('SELECT loyalty.grant_app_user_api(%s, ''Propia'', %L)', :merchant, api), 'granted again: ' || api) FROM unnest('{CUSTOMER,ACCOUNTS,PAYMENTS}'::text[]) api;
SELECT set_eq('SELECT * FROM grants', $$VALUES ('CUSTOMER', NULL::timestamptz, true), ('ACCOUNTS', NULL, true), ('PAYMENTS', NULL, true)$$, 'for good');
SELECT pg_temp.refuses(format('SELECT loyalty.%s_app_user_api(%s, %s)', verb, m, arguments), code, format('%s: %s', verb, arguments))
FROM unnest('{grant,revoke}'::text[]) verb, (VALUES (:merchant, '''Propia'', ''customer''', 'invalid_argument'), (:merchant, '''Propia'', ''''', 'invalid_argument'), (:merchant, '''Propia'', NULL', 'invalid_argument'), (:merchant, '''Propia'', ''TOKEN''', 'invalid_argument'),
	(:merchant, '''Nadie'', ''CUSTOMER''', 'unknown_object'), (:other, '''Propia'', ''CUSTOMER''', 'unknown_object'), (:merchant, 'NULL, ''CUSTOMER''', 'unknown_object')) v (m, arguments, code);

SELECT lives_ok(format('SELECT loyalty.set_token_life(merchant_id => %s, name => ''Propia'', seconds => 60)', :merchant), 'how long tokens are good for');
SELECT is(loyalty.customer_token('Propia', :'curp', pg_temp.hmac(repeat('k', 32), :'curp')) #>> '{token_data,expires_in}', '60', 'is the app user''s');
SELECT lives_ok(format('SELECT loyalty.set_token_life(%s, ''Propia'', 600)', :merchant), 'and is set again');
SELECT pg_temp.refuses(format('SELECT loyalty.set_token_life(%s, %s)', m, arguments), code, 'set_token_life: ' || arguments)
FROM (VALUES (:merchant, '''Nadie'', 60', 'unknown_object'), (:other, '''Propia'', 60', 'unknown_object'), (:merchant, '''Propia'', 0', 'invalid_argument'), (:merchant, '''Propia'', 86401', 'invalid_argument'), (:merchant, '''Propia'', NULL', 'invalid_argument')) v (m, arguments, code);

-- --- customers -----------------------------------------------------------------------

SELECT loyalty.create_customer(:merchant, loyalty.find_program(:merchant, :'program'), :'curp', 'Xochiquetzal', 'Ñuñez', 'Quetzalli', '4771234567', 'xq.particular@correo.example', 'Callejón del Beso', '4 Bis', 'Jardines', 'Guanajuato', '36000', 'Gto.', 'xochi88') AS member \gset
SELECT loyalty.create_customer(:merchant, loyalty.find_program(:merchant, :'program'), :'second', 'Otro', 'Cliente') AS second_member \gset
SELECT lives_ok(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, %L), %L, ''Suyo'', ''Cliente'')', :other, :'other_program', :'curp'), 'another merchant may have a customer of the same CURP');
SELECT pg_temp.refuses(format('SELECT loyalty.create_customer(%s, %s)', m, arguments), code, 'create_customer: ' || arguments)
FROM (VALUES (:merchant, format('%s, %L, ''A'', ''B''', :number, :'curp'), 'already_exists'), (:merchant, format('%s, %L, ''A'', ''B'', email => ''XQ.Particular@correo.example''', :number, :'third'), 'already_exists'),
	(:merchant, format('%s, %L, ''A'', ''B'', phone => ''4771234567''', :number, :'third'), 'already_exists'), (:merchant, format('1, %L, ''A'', ''B''', :'third'), 'unknown_object'),
	(:merchant, format('%s, %L, NULL, ''B''', :number, :'third'), 'invalid_argument'), (:merchant, format('%s, NULL, ''A'', ''B''', :number), 'invalid_argument'),
	(:merchant, format('%s, %L, '' '', ''B''', :number, :'third'), 'invalid_argument'), (:merchant, format('%s, %L, ''A'', E''\u00a0\t''', :number, :'third'), 'invalid_argument'),
	(:merchant, format('%s, %L, '''', ''B''', :number, :'third'), 'invalid_argument'), (:merchant, format('%s, %L, ''A'', ''B'', repeat(''x'', 1025)', :number, :'third'), 'invalid_argument'),
	(:merchant, format('%s, %L, ''A'', NULL', :number, :'third'), 'invalid_argument'), (:other, format('%s, %L, ''A'', ''B''', :number, :'third'), 'unknown_object'),
	(:merchant, format('NULL, %L, ''A'', ''B''', :'third'), 'unknown_object')) v (m, arguments, code);
SELECT is((SELECT birth_date FROM loyalty_internal.member WHERE member_id = :member), '1988-05-26'::date, 'the date of birth is that of the CURP');
SELECT pg_temp.refuses(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, %L), %L, ''A'', ''B'')', :merchant, :'program', unborn), 'kasu_417', 'create_customer: not born yet: ' || unborn)
FROM (VALUES ('GOPR990101MNEMRSA8'), ('goñr990101mneñrsa0'), ('GOPR981231HDFMRSA2')) v (unborn);
SELECT throws_ok(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, %L), ''CAMC880526HMCBNR05'', ''A'', ''B'')', :merchant, :'program'), '22P02', NULL, 'no CURP');

-- --- consents ------------------------------------------------------------------------

-- What reading a datum comes to: the datum, or the code of the refusal.
CREATE FUNCTION pg_temp.reading(merchant bigint, curp text, app_user text, acceptance_key text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN loyalty.customer_read(merchant, 'individual_request', app_user, curp, 'Nombre', acceptance_key => acceptance_key) ->> 'data';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END
$$;
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda'), 'LK409', 'no consent');
SELECT consent_id AS consent, acceptance_key AS acceptance FROM loyalty.grant_consent(:merchant, :'curp', 'Tienda', 'crédito', '1.0') \gset
SELECT matches(:'acceptance'::text, '^[0-9a-f]{32}$', 'an acceptance key has 128 bits');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda'), 'Xochiquetzal', 'consent');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda', :'acceptance'), 'Xochiquetzal', 'with its key');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda', upper(:'acceptance') || 'x'), 'LK409', 'with another key');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Propia'), 'LK409', 'consent is to one app user');
SELECT is(pg_temp.reading(:merchant, :'second', 'Tienda'), 'LK409', 'of one customer');
SELECT is(pg_temp.reading(:other, :'curp', 'Tienda'), 'LK409', 'of one merchant');
SELECT is(pg_temp.reading(:merchant, :'third', 'Tienda'), 'LK409', 'no such customer');

-- Preferences, a death, and one who is not cancelled after all.
SELECT lives_ok(format('SELECT loyalty.set_customer_preferences(%s, %L, ''{"idioma":"es","avisos":{"sms":false}}'')', :merchant, :'curp'), 'preferences are set');
SELECT is(loyalty.customer_read(:merchant, 'request_block', 'Tienda', :'curp', 'cliente') #>> '{data,usuario,preferencias,avisos,sms}', 'false', 'and read');
SELECT pg_temp.refuses(format('SELECT loyalty.set_customer_preferences(%s, %L, %L)', m, curp, preferences), code, 'preferences: ' || coalesce(left(preferences, 20), 'NULL'))
FROM (VALUES (:merchant, :'curp', '[]', 'invalid_argument'), (:merchant, :'curp', NULL, 'invalid_argument'), (:merchant, :'curp', json_build_object('a', repeat('x', 8192))::text, 'invalid_argument'), (:merchant, :'third', '{}', 'unknown_object')) v (m, curp, preferences, code);
SELECT loyalty.set_customer_preferences(:merchant, :'curp', '{}') \g /dev/null
SELECT is(loyalty.set_customer_deceased(merchant_id => :merchant, curp => :'second'), true, 'who has died');
SELECT is(loyalty.set_customer_deceased(:merchant, :'second'), false, 'dies once');
SELECT pg_temp.refuses(format('SELECT loyalty.customer_token(''Tienda'', %L, %L)', :'second', pg_temp.hmac('x', :'second')), 'kasu_401', 'a wrong signature comes before it');
SELECT pg_temp.refuses(format('SELECT loyalty.customer_token(''Propia'', %L, %L)', :'second', pg_temp.hmac(repeat('k', 32), :'second')), 'kasu_417', 'there is no token for them');
SELECT is(loyalty.set_customer_deceased(:merchant, :'second', false), true, 'an error is put right');
SELECT lives_ok(format('SELECT loyalty.customer_token(''Propia'', %L, %L)', :'second', pg_temp.hmac(repeat('k', 32), :'second')), 'and there is');
SELECT pg_temp.refuses(format('SELECT loyalty.set_customer_deceased(%s, %L)', :merchant, :'third'), 'unknown_object', 'of nobody');
SELECT is(loyalty.block_customer(:merchant, :'curp'), true, 'one who is being cancelled');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda'), 'LK412', 'is not read');
-- as by a sale that has waited for it
INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body) VALUES (:merchant, :member, 'sms', '4771239999', 'de antes'), (:merchant, 42, 'sms', '4771239998', 'de otra');
SELECT is(loyalty.unblock_customer(merchant_id => :merchant, curp => :'curp'), true, 'comes back');
SELECT set_eq(format('SELECT body FROM loyalty.claim_messages(%s) WHERE body LIKE ''de %%''', :merchant), '{de otra}'::text[], 'and is not sent what was queued meanwhile');
SELECT is(loyalty.unblock_customer(:merchant, :'curp'), false, 'once');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda'), 'Xochiquetzal', 'and is read, under the same consent');
SELECT is(active, true, 'as a member, too') FROM loyalty.members WHERE member_id = :member;
SELECT pg_temp.refuses(format('SELECT loyalty.unblock_customer(%s, %L)', :merchant, :'third'), 'unknown_object', 'unblock_customer: nobody');

-- The key itself is in no table.
CREATE FUNCTION pg_temp.tables_with(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	name regclass;
	n bigint;
BEGIN
	FOR name IN SELECT c.oid FROM pg_class c WHERE c.relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace, 'loyalty_api'::regnamespace) AND c.relkind IN ('r', 'p', 'm') ORDER BY c.relname LOOP
		EXECUTE format('SELECT count(*) FROM %s x WHERE x::text ILIKE ''%%'' || $1 || ''%%''', name) INTO n USING what;
		IF n > 0 THEN
			RETURN NEXT name;
		END IF;
	END LOOP;
END
$$;
SELECT is_empty(format('SELECT pg_temp.tables_with(%L)', :'acceptance'), 'the acceptance key is in no table');
SELECT is(acceptance_hash, sha256(:'acceptance'::bytea), 'its hash is') FROM loyalty_internal.consent WHERE consent_id = :consent;
SELECT set_eq(format('SELECT pg_temp.tables_with(%L)', :'key'), ARRAY['loyalty_internal.app_user_key'], 'a PRIVATE_KEY is where it is needed, and nowhere else');

SELECT is(pg_temp.reading(:merchant, :'second', 'Propia', g.acceptance_key), outcome, what)
FROM (VALUES (now() - interval '2 days', now() - interval '1 second', 'LK409', 'a consent that is over'),
	(now() + interval '1 hour', NULL, 'LK409', 'a consent that is still to come'),
	(now() - interval '1 day', now() + interval '1 hour', 'Otro', 'a consent for a time')) v (valid_from, valid_until, outcome, what),
	LATERAL loyalty.grant_consent(:merchant, :'second', 'Propia', 'x', '1', v.valid_from, v.valid_until) g;
SELECT bag_eq(format('SELECT valid FROM loyalty.consents WHERE member_id = %s', :second_member), $$VALUES (false), (false), (true)$$, 'the view says which are valid');
SELECT pg_temp.refuses(format('SELECT loyalty.grant_consent(%L, %s)', m, arguments), code, 'grant_consent: ' || arguments)
FROM (VALUES (:merchant, format('%L, ''Nadie'', ''x'', ''1''', :'curp'), 'unknown_object'), (:merchant, format('%L, ''Tienda'', ''x'', ''1''', :'third'), 'unknown_object'), (:other, format('%L, ''Tienda'', ''x'', ''1''', :'curp'), 'unknown_object'),
	(:merchant, format('%L, ''Tienda'', '''', ''1''', :'curp'), 'invalid_argument'), (:merchant, format('%L, ''Tienda'', ''x'', NULL', :'curp'), 'invalid_argument'), (:merchant, 'NULL, ''Tienda'', ''x'', ''1''', 'unknown_object'),
	(:merchant, format('%L, ''Tienda'', ''x'', ''1'', valid_until => now() - interval ''1 day''', :'curp'), 'invalid_argument'), (:merchant, format('%L, ''Tienda'', ''x'', ''1'', now(), now()', :'curp'), 'invalid_argument')) v (m, arguments, code);

SELECT consent_id AS newer FROM loyalty.grant_consent(:merchant, :'curp', 'Tienda', 'otro', '1.1') \gset
SELECT is(loyalty.revoke_consent(merchant_id => :merchant, consent_id => :consent), true, 'a consent is revoked');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda', :'acceptance'), 'LK409', 'the key of a revoked consent');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda'), 'Xochiquetzal', 'another consent is still there');
SELECT loyalty.revoke_consent(:merchant, :newer) \g /dev/null
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda'), 'LK409', 'until that is revoked too');
SELECT revoked_at AS revoked FROM loyalty.consents WHERE consent_id = :consent \gset
SELECT is(loyalty.revoke_consent(:merchant, :consent), false, 'which it was once');
SELECT is(revoked_at, :'revoked', 'revoking again changes nothing') FROM loyalty.consents WHERE consent_id = :consent;
SELECT pg_temp.refuses(format('SELECT loyalty.revoke_consent(%s, %L)', m, id), 'unknown_object', 'revoke_consent: no such')
FROM (VALUES (:merchant, '1'), (:other, :'consent'), (:merchant, NULL)) v (m, id);

-- --- reading in SQL, and the log ------------------------------------------------------

SELECT acceptance_key AS acceptance FROM loyalty.grant_consent(:merchant, :'curp', 'Tienda', 'otro', '1.2') \gset
SELECT pg_temp.refuses(format('SELECT loyalty.customer_read(%s, %s)', :merchant, arguments), code, 'customer_read: ' || arguments)
FROM (VALUES (format('''nada'', ''Tienda'', %L, ''Mail''', :'curp'), 'kasu_404'), (format('''individual_request'', ''Tienda'', %L, ''mail''', :'curp'), 'kasu_412'), (format('''individual_request'', ''Tienda'', %L, NULL', :'curp'), 'kasu_400'),
	(format('NULL, ''Tienda'', %L, ''Mail''', :'curp'), 'kasu_400'), (format('''individual_request'', NULL, %L, ''Mail''', :'curp'), 'kasu_400'), ('''individual_request'', ''Tienda'', NULL, ''Mail''', 'kasu_400'),
	(format('''individual_request'', ''Tienda'', %L, ''Status''', :'curp'), 'kasu_412'), (format('''request_block'', ''Tienda'', %L, ''producto_cliente''', :'curp'), 'kasu_400'),
	(format('''request_block'', ''Tienda'', %L, ''producto_cliente'', ''Nada''', :'curp'), 'kasu_406'), (format('''individual_request'', ''Nadie'', %L, ''Mail''', :'curp'), 'kasu_409')) v (arguments, code);
SELECT results_eq(format('SELECT app_user, member_id, operation, request, status FROM loyalty.access_log WHERE merchant_id = %s ORDER BY access_id DESC LIMIT 1', :merchant),
	format($$VALUES ('Tienda' COLLATE "C", %s::bigint, 'individual_request' COLLATE "C", 'Nombre', 202)$$, :member), 'reading in SQL is logged');
SELECT throws_ok('SET LOCAL ROLE loyalty_engine; ' || statement, '42501', NULL, 'the engine itself cannot: ' || statement)
FROM (VALUES ('DELETE FROM loyalty_internal.access'), ('UPDATE loyalty_internal.access SET status = 202'), ('TRUNCATE loyalty_internal.access'), ('DELETE FROM loyalty_internal.consent'), ('DELETE FROM loyalty_internal.payment'), ('DROP TABLE loyalty_internal.access')) v (statement);

-- --- cancellation ---------------------------------------------------------------------

-- Something of the person everywhere: points, messages, a sale, payments.
SELECT loyalty.wallet_sale(:merchant, :'wallet_key', '4771234567', 0, 500, NULL, :staff, 'consumo') \g /dev/null
SELECT loyalty.wallet_sale(:merchant, :'wallet_key', '4771234567', 1, NULL, 10, :staff, 'canje') \g /dev/null
SELECT loyalty.create_product(:merchant, 'Vida', '100', 10, max_payments => 12) \g /dev/null
SELECT loyalty.open_policy(:merchant, :'curp', 'Vida', 12) AS sale \gset
UPDATE loyalty_internal.policy SET application = '{"nombre":"Xochiquetzal","mail":"xq.particular@correo.example"}' WHERE merchant_id = :merchant AND policy_id = :sale;
SELECT loyalty.pay_policy(:merchant, :sale, '10', 'SPEI', 'ref-1', 'Tienda') \g /dev/null
SELECT loyalty.customer_read(:merchant, 'request_block', 'Tienda', :'curp', 'cliente') \g /dev/null
-- An answer is kept under the card that they had then.
SELECT loyalty.identify_member(:merchant, :member, client_id => 'TARJETA-1') \g /dev/null
INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint, answer) VALUES (:merchant, sha256('k-tarjeta'), sha256('a'), format('{"id":"%s","clientId":"TARJETA-1","firstLastName":"Ñuñez"}', :member)), (:merchant, sha256('k-otra'), sha256('b'), '{"id":"1","clientId":"TARJETA-11"}');
SELECT loyalty.identify_member(:merchant, :member, email => 'segunda@correo.example', client_id => 'TARJETA-2') \g /dev/null
CREATE TEMP TABLE person (what text);
INSERT INTO person VALUES (:'curp'), ('Xochiquetzal'), ('Ñuñez'), ('Quetzalli'), ('xq.particular'), ('4771234567'), ('Callejón del Beso'), ('4 Bis'), ('Jardines'), ('xochi88'), ('1988-05-26'), ('segunda@'), ('"TARJETA-1"');
-- What the other merchant knows of the CURP is not ours to forget.
DELETE FROM person WHERE what IN (:'curp', '1988-05-26');
SELECT set_eq($$SELECT DISTINCT t FROM person, LATERAL pg_temp.tables_with(what) t$$, ARRAY['loyalty_internal.customer', 'loyalty_internal.member', 'loyalty_internal.member_address', 'loyalty_internal.member_change', 'loyalty_internal.message', 'loyalty_internal.idempotency_key', 'loyalty_internal.policy'], 'where the person is');

SELECT array_agg((e.entry_no, e.amount, e.balance, e.posted_at, e.hash, e.reference IS NOT NULL)::text ORDER BY e.entry_no)::text AS entries FROM loyalty.entry e JOIN loyalty_internal.member m USING (merchant_id, account_id) WHERE m.member_id = :member \gset
SELECT array_agg(c::text ORDER BY c.consent_id)::text AS consents FROM loyalty_internal.consent c WHERE c.member_id = :member \gset
SELECT array_agg(a::text ORDER BY a.access_id)::text AS accesses FROM loyalty_internal.access a WHERE a.member_id = :member \gset
SELECT pg_temp.refuses(format('SELECT loyalty.block_customer(%s, %L)', m, curp), 'unknown_object', 'block_customer: no such') FROM (VALUES (:merchant, :'third'), (1, :'curp'), (:merchant, NULL)) v (m, curp);
SELECT is(loyalty.block_customer(merchant_id => :merchant, curp => :'curp'), true, 'a customer is blocked');
SELECT is(loyalty.block_customer(:merchant, :'curp'), false, 'once');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda', :'acceptance'), 'LK412', 'a blocked customer''s data are not read');
SELECT is(pg_temp.reading(:merchant, :'second', 'Propia'), 'Otro', 'those of others are');
SELECT pg_temp.refuses(format('SELECT loyalty.grant_consent(%s, %L, ''Tienda'', ''x'', ''1'')', :merchant, :'curp'), 'unknown_object', 'a blocked customer consents to nothing');
SELECT pg_temp.refuses(format('SELECT loyalty.open_policy(%s, %L, ''Vida'')', :merchant, :'curp'), 'kasu_404', 'and buys nothing');
SELECT ok(NOT active, 'the member is inactive') FROM loyalty_internal.member WHERE member_id = :member;
SELECT pg_temp.refuses(format('SELECT loyalty.enable_member(%s, %s)', :merchant, :member), 'unknown_object', 'and stays so');
SELECT is(loyalty.disable_member(:merchant, :member), false, 'without being taken out');
SELECT results_eq(format('SELECT curp::text, user_name, kind, preferences::text, deceased, blocked_at = now() FROM loyalty.customers WHERE merchant_id = %s AND member_id IN (%s, %s) ORDER BY user_name', :merchant, :member, :second_member),
	format($$VALUES (%L, '', 'Cliente', '{}', false, NULL::boolean), (%L, 'xochi88', 'Cliente', '{}', false, true)$$, :'second', :'curp'), 'reports show who is blocked');
SELECT is(blocked_at, NULL, 'the other merchant''s customer is not blocked') FROM loyalty_internal.customer WHERE merchant_id = :other;
SELECT pg_temp.refuses(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, %L), %L, ''A'', ''B'')', :merchant, :'program', :'curp'), 'already_exists', 'a blocked customer is still there');

SELECT pg_temp.refuses(format('SELECT loyalty.delete_blocked_customers(%s, %L)', :merchant, span), 'invalid_argument', 'delete_blocked_customers: ' || coalesce(span, 'NULL')) FROM (VALUES ('-1 day'), (NULL)) v (span);
SELECT is(loyalty.delete_blocked_customers(:merchant), 0::bigint, 'nobody has been blocked for 30 days');
SELECT is(loyalty.delete_blocked_customers(:other, '0'), 0::bigint, 'nobody is blocked at the other merchant');
UPDATE loyalty_internal.customer SET blocked_at = now() - interval '30 days' + interval '1 second' WHERE merchant_id = :merchant AND member_id = :member;
SELECT is(loyalty.delete_blocked_customers(:merchant), 0::bigint, 'a second is still to go');
SELECT isnt_empty($$SELECT pg_temp.tables_with('Xochiquetzal')$$, 'so far all is there');
UPDATE loyalty_internal.customer SET blocked_at = now() - interval '30 days' WHERE merchant_id = :merchant AND member_id = :member;
SELECT loyalty.set_rank(:merchant, :member, '', reason => 'hermana de Xochiquetzal') \g /dev/null
SELECT is(loyalty.delete_blocked_customers(:merchant), 1::bigint, 'after 30 days one is deleted');
SELECT results_eq(format('SELECT rank, reason FROM loyalty.rank_grants WHERE member_id = %s', :member), $$VALUES (NULL::text COLLATE "C", '')$$, 'why a rank was given is not told any more');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s%s)', f, :merchant, :member, arguments), 'unknown_object', format('%s: nobody any more', f)) FROM (VALUES
	('correct_member', ', name => ''Xochiquetzal'''), ('correct_member', ', birth_date => ''1988-05-26'''), ('identify_member', ', phone => ''4771234567'''), ('identify_member', ', email => ''a@x.mx'''),
	('identify_member', ', client_id => ''X'''), ('free_phone', ''), ('free_email', ''), ('enable_member', ''), ('disable_member', ''), ('set_member_address', ', 1, ''Hidalgo'''), ('set_rank', ', NULL, reason => ''x''')) v (f, arguments);
SELECT pg_temp.refuses(format('SELECT loyalty.seller_member_create(%s, %L, ''nueva@x.mx'', ''Cancelado'', ''x'', client_id => %L)', :merchant, :'program', client_id), 'member_exists', 'by the id that is left') FROM loyalty.members WHERE member_id = :member;
SELECT is_empty(format('SELECT pg_temp.tables_with(%L)', what), 'no table has ' || what) FROM person;
SELECT is_empty(format('SELECT * FROM loyalty_internal.customer WHERE merchant_id = %s AND curp::text = %L', :merchant, :'curp'), 'nor the CURP');
SELECT results_eq(format('SELECT answer FROM loyalty_internal.idempotency_key WHERE merchant_id = %s AND key_digest IN (sha256(''k-tarjeta''), sha256(''k-otra'')) ORDER BY answer', :merchant), format($$VALUES ('{"id":"%s","clientId":"","firstLastName":""}'), ('{"id":"1","clientId":"TARJETA-11"}') ORDER BY 1$$, :member), 'answers are kept without them, and those of others as they are');
SELECT results_eq(format('SELECT name, birth_date, phone IS NULL, email IS NULL, first_name || first_last_name || second_last_name FROM loyalty_internal.member WHERE member_id = %s', :member),
	$$VALUES ('cancelado', NULL::date, true, true, '')$$, 'the member is nobody');
SELECT is(array_agg((e.entry_no, e.amount, e.balance, e.posted_at, e.hash, e.reference IS NULL AND e.detail IS NULL AND e.text_digest IS NOT NULL)::text ORDER BY e.entry_no)::text, :'entries', 'the ledger proves what it proved, without texts') FROM loyalty.entry e JOIN loyalty_internal.member m USING (merchant_id, account_id) WHERE m.member_id = :member;
SELECT is(count(*), 2::bigint, 'with both entries') FROM loyalty.entries JOIN loyalty_internal.member USING (merchant_id, account_id) WHERE member.member_id = :member;
SELECT is(array_agg(c::text ORDER BY c.consent_id)::text, :'consents', 'the consents too') FROM loyalty_internal.consent c WHERE c.member_id = :member;
SELECT is(array_agg(a::text ORDER BY a.access_id)::text, :'accesses', 'and the access log') FROM loyalty_internal.access a WHERE a.member_id = :member;
SELECT is(loyalty.policy_status(:merchant, :sale) ->> 'saldo', '90', 'and the sale with its payment');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda'), 'LK409', 'the customer is unknown');
SELECT is(first_name, 'Suyo', 'the other merchant''s customer of this CURP is there') FROM loyalty_internal.customer JOIN loyalty_internal.member USING (merchant_id, member_id) WHERE merchant_id = :other;
SELECT is(loyalty.delete_blocked_customers(:merchant, older_than => '0'), 0::bigint, 'there is nothing more to delete');
SELECT loyalty.create_customer(:merchant, loyalty.find_program(:merchant, :'program'), :'curp', 'De', 'Vuelta', email => 'xq.particular@correo.example', phone => '4771234567') AS again \gset
SELECT isnt(:again, :member, 'who comes back is a new customer');
SELECT is(pg_temp.reading(:merchant, :'curp', 'Tienda', :'acceptance'), 'LK409', 'and old consents are not theirs');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;

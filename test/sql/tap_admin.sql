-- The administration: merchants, keys, wallets, staff, blacklist, quotas, area
-- codes, the outbox, idempotency keys, members.
\ir ../tap.sql

-- --- merchants --------------------------------------------------------------

SELECT loyalty.create_merchant('Café La Parroquia', 'https://laparroquia.example///') AS merchant \gset
SELECT loyalty.create_merchant('Café La Parroquia') AS other \gset
SELECT isnt(:merchant::bigint, :other::bigint, 'two merchants may have one name');
SELECT is((SELECT base_url FROM loyalty_internal.merchant WHERE merchant_id = :merchant), 'https://laparroquia.example', 'slashes at the end of the base URL are dropped');
SELECT is((SELECT base_url FROM loyalty_internal.merchant WHERE merchant_id = :other), 'https://localhost', 'the base URL may be left out');
SELECT pg_temp.refuses(format('SELECT loyalty.create_merchant(%L, %L)', name, url), 'invalid_argument', what)
FROM (VALUES ('', 'https://x.example', 'a merchant without a name'), (NULL, 'https://x.example', 'whose name is NULL'), ('X', '', 'whose URL is empty'),
	('X', NULL, 'or NULL'), ('X', 'ftp://x.example', 'or of another scheme'), ('X', 'https://', 'or of no host'), ('X', 'https://x y', 'or with a blank'),
	('X', E'https://x\ny', 'or with a line break'), ('X', 'javascript:alert(1)', 'or a script')) v (name, url, what);

-- What is logged or listed stays within a line.
SELECT pg_temp.refuses(format(call, quote_literal(name)), 'invalid_argument', regexp_replace(name, '[^ -~]', '?', 'g') || ': ' || call)
FROM unnest(ARRAY[E'Banco\n\tLOG: x', E'Banco\n', E'\rBanco', E'Ban\x1b[2Jco', U&'Ban\202Eco', U&'Ban\0085co']) name, unnest(ARRAY['SELECT loyalty.create_merchant(%s)', format('SELECT loyalty.create_api_key(%s, %%s)', :merchant), format('SELECT loyalty.create_app_user(%s, %%s)', :merchant),
	format('SELECT loyalty.create_program(%s, %%s)', :merchant), format('SELECT loyalty.create_wallet(%s, %%s)', :merchant), format('SELECT loyalty.create_product(%s, %%s, 1, 1)', :merchant),
	format('SELECT loyalty.set_rank_ranges(%s, ''g'', ARRAY[%%s], ''{0}'')', :merchant)]) call;
SELECT is_empty($$SELECT c.oid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('name', 'label', 'first_name', 'first_last_name', 'second_last_name') AND NOT a.attisdropped
	WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND c.relkind IN ('r', 'p') AND c.relname <> 'rule'	-- which rule_problem() looks at
	AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND a.attnum = ANY (k.conkey) AND pg_get_constraintdef(k.oid) ~ 'is_(line|name)\(')$$, 'every name is looked at');

-- --- API keys -----------------------------------------------------------------

SELECT key_id AS first_id, api_key AS first_key FROM loyalty.create_api_key(:merchant, 'caja 1') \gset
SELECT key_id AS second_id, api_key AS second_key FROM loyalty.create_api_key(:merchant, 'caja 2', now() + interval '1 hour') \gset
SELECT key_id AS third_id, api_key AS third_key FROM loyalty.create_api_key(:merchant, NULL, now() - interval '1 second') \gset
SELECT key_id AS other_id, api_key AS other_key FROM loyalty.create_api_key(:other) \gset
SELECT matches(:'first_key'::text, '^lk_[0-9a-f]{64}$', 'a key has 256 random bits');
SELECT isnt(:'first_key'::text, :'second_key', 'the next is another');
SELECT is(loyalty.authenticate(:'first_key'), :merchant::bigint, 'a key finds its merchant');
SELECT is(loyalty.authenticate(:'second_key'), :merchant::bigint, 'another key of the merchant does too');
SELECT is(loyalty.authenticate(:'other_key'), :other::bigint, 'a key of another merchant finds that');
SELECT pg_temp.refuses(format('SELECT loyalty.authenticate(%L)', key), 'auth_01', what)
FROM (VALUES (:'third_key', 'an expired key'), ('', 'an empty key'), (NULL, 'no key'), ('lk_', 'a bare prefix'), (upper(:'first_key'), 'a key in capitals'),
	(left(:'first_key', -1), 'a key cut short'), (:'first_key' || ' ', 'a key and a blank'), (repeat('x', 100000), 'a very long key')) v (key, what);
SELECT pg_temp.refuses('SELECT loyalty.create_api_key(1)', 'unknown_object', 'a key for nobody');
SELECT pg_temp.refuses('SELECT loyalty.create_api_key(NULL)', 'unknown_object', 'or NULL');

SELECT is(loyalty.disable_api_key(merchant_id => :merchant, key_id => :first_id), true, 'a key is disabled');
SELECT pg_temp.refuses(format('SELECT loyalty.authenticate(%L)', :'first_key'), 'auth_01', 'it finds nobody any more');
SELECT is(loyalty.authenticate(:'second_key'), :merchant::bigint, 'the other key still does');
UPDATE loyalty_internal.api_key SET disabled_at = disabled_at - interval '1 hour' WHERE key_id = :first_id;
SELECT disabled_at AS first_disabled FROM loyalty.api_keys WHERE key_id = :first_id \gset
SELECT is(loyalty.disable_api_key(:merchant, :first_id), false, 'disabling again is no error');
SELECT is((SELECT disabled_at FROM loyalty.api_keys WHERE key_id = :first_id), :'first_disabled'::timestamptz, 'and changes nothing');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s)', f, m, id), 'unknown_object', format('%s: %s', f, what)) FROM unnest('{enable_api_key,disable_api_key}'::text[]) f,
	(VALUES (:other, :'second_id', 'a key of another merchant'), (:other, 'NULL', 'NULL'), (1, :'second_id', 'a key of nobody'), (:merchant, '1', 'no such key')) v (m, id, what);
SELECT results_eq(format('SELECT label, active FROM loyalty.api_keys WHERE merchant_id = %s ORDER BY key_id', :merchant),
	$$VALUES ('caja 1', false), ('caja 2', true), ('', false)$$, 'loyalty.api_keys tells which are active');
SELECT is(loyalty.enable_api_key(merchant_id => :merchant, key_id => :first_id), true, 'the first is enabled');
SELECT is(loyalty.authenticate(:'first_key'), :merchant::bigint, 'and finds its merchant again');
SELECT is(loyalty.enable_api_key(:merchant, :first_id), false, 'enabling again is no error');
SELECT is(loyalty.enable_api_key(:merchant, :third_id), false, 'nor is enabling an expired one');
SELECT pg_temp.refuses(format('SELECT loyalty.authenticate(%L)', :'third_key'), 'auth_01', 'which finds nobody');
SELECT is(loyalty.disable_api_key(:merchant, :first_id), true, 'the first is disabled again');
SELECT is(loyalty.authenticate(:'second_key'), :merchant::bigint, 'which the second never was');

-- Only hashes: of keys in the table, of passwords everywhere.
SELECT is((SELECT key_hash FROM loyalty_internal.api_key WHERE key_id = :second_id), sha256(:'second_key'), 'of a key its SHA-256 is kept');
CREATE FUNCTION pg_temp.where_is(needle text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
	found boolean;
BEGIN
	FOR relation IN SELECT oid FROM pg_class WHERE relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND relkind IN ('r', 'v') LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, encode(convert_to($1, ''UTF8''), ''hex'')) > 0)', relation)
		INTO found USING needle;
		IF found THEN
			RETURN NEXT relation::text;
		END IF;
	END LOOP;
END
$$;
SELECT is_empty(format('SELECT pg_temp.where_is(%L)', key), 'no table and no view shows ' || what)
FROM (VALUES (:'second_key', 'the key'), (substr(:'second_key', 4), 'what follows its prefix'), (:'first_key', 'a key that was disabled')) v (key, what);

-- --- wallets --------------------------------------------------------------------

SELECT program_id, wallet_key FROM loyalty.create_wallet(:merchant, 'Monedero') \gset
SELECT wallet_key AS second_wallet, program_id AS second_program FROM loyalty.create_wallet(:merchant, 'Monedero', 0, settings => json_build_object('decimals', 0, 'rounding', 'down', 'requires_ticket', true, 'requires_birth_date', true, 'channel', 'whatsapp', 'messages', '{}'::text[])) \gset
SELECT wallet_key AS other_wallet, program_id AS other_program FROM loyalty.create_wallet(:other, 'Monedero') \gset
SELECT results_eq(format('SELECT name, percentage, decimals::integer, rounding, requires_ticket, requires_birth_date, channel, messages FROM loyalty.wallets WHERE wallet_key = %L', :'wallet_key'),
	$$VALUES ('Monedero', 10::numeric, 2, 'half_up', false, false, 'sms', '{welcome,redeem,adjust}'::text[])$$, 'a wallet has sensible terms unless told');
SELECT results_eq(format('SELECT app_client, app_redeem FROM loyalty.wallets WHERE wallet_key = %L', :'wallet_key'),
	format('SELECT %L::text COLLATE "C", %L::text COLLATE "C"', 'https://laparroquia.example/monedero/' || :'wallet_key', 'https://laparroquia.example/canje/' || :'wallet_key'),
	'its links start with the base URL');
SELECT matches(:'wallet_key'::text, '^[0-9a-f]{32}$', 'its key is random');

SELECT pg_temp.refuses(format('SELECT loyalty.create_wallet(%s, ''X'', %s)', :merchant, percentage), 'invalid_argument', 'create_wallet: ' || what)
FROM (VALUES ('-1', 'a negative percentage'), ('-0.0001', 'a slightly negative percentage'), ('1.00001', 'a percentage of five decimals'), ('1000.0001', 'a percentage above 1000'),
	('''NaN''', 'no percentage at all'), ('''Infinity''', 'an infinite percentage'), ('NULL', 'percentage is NULL')) v (percentage, what);
CREATE TEMP TABLE refused_terms (settings text, what text);
INSERT INTO refused_terms VALUES
	('{"name": ""}', 'an empty name'), ('{"name": null}', 'name is null'), ('{"accumulation_points": -1}', 'negative points'), ('{"accumulation_points": -0.0001}', 'slightly negative points'),
	('{"accumulation_points": 1.00001}', 'points of five decimals'), ('{"accumulation_points": "NaN"}', 'no number of points'),
	('{"accumulation_points": 1e300}', 'nearly infinite points'), ('{"decimals": -1}', 'negative decimals'), ('{"decimals": 5}', 'five decimals'),
	('{"decimals": 70000}', 'decimals beyond a smallint'), ('{"rounding": ""}', 'an empty rounding'), ('{"rounding": "HALF_UP"}', 'a rounding in capitals'),
	('{"rounding": "ceiling"}', 'an unknown rounding'), ('{"channel": "email"}', 'an unknown channel'), ('{"channel": ""}', 'an empty channel'),
	('{"messages": ["birthday"]}', 'an unknown message'), ('{"messages": ["welcome", "birthday"]}', 'a known and an unknown message'),
	('{"messages": [null]}', 'a message that is null'), ('{"messages": [["welcome"]]}', 'messages in a list in the list');
SELECT pg_temp.refuses(format('SELECT loyalty.%s', format(call, :merchant, settings)), 'invalid_argument', call || ': ' || what)
FROM refused_terms, (VALUES ('create_wallet(%s, ''X'', settings => %L)'), ('create_program(%s, ''X'', settings => %L)')) f (call);
SELECT pg_temp.refuses(format('SELECT loyalty.configure_program(%s, %s, %L)', :merchant, :program_id, settings), 'invalid_argument', 'configure_program: ' || what)
FROM refused_terms;
SELECT pg_temp.refuses(format('SELECT loyalty.create_wallet(%s, NULL)', :merchant), 'invalid_argument', 'create_wallet: name is NULL');
SELECT pg_temp.refuses('SELECT loyalty.create_wallet(1, ''X'')', 'unknown_object', 'create_wallet: no such merchant');
SELECT pg_temp.refuses('SELECT loyalty.create_wallet(NULL, ''X'')', 'unknown_object', 'create_wallet: no merchant');
SELECT is((SELECT count(*) FROM loyalty.wallets WHERE merchant_id = :merchant), 2::bigint, 'what was refused has made no wallet');
SELECT results_eq(format('SELECT name, percentage, decimals::integer, rounding, requires_ticket, requires_birth_date, channel, messages FROM loyalty.wallets WHERE wallet_key = %L', :'wallet_key'),
	$$VALUES ('Monedero', 10::numeric, 2, 'half_up', false, false, 'sms', '{welcome,redeem,adjust}'::text[])$$, 'and changed none');

SELECT lives_ok(format('SELECT loyalty.configure_program(%s, %s, ''{"accumulation_points": 1000, "accumulation_money": 100, "decimals": 4}'')', :merchant, :second_program), 'terms are changed');
SELECT results_eq(format('SELECT name, percentage, decimals::integer, rounding, requires_ticket, requires_birth_date, channel, messages FROM loyalty.wallets WHERE wallet_key = %L', :'second_wallet'),
	$$VALUES ('Monedero', 1000::numeric, 4, 'down', true, true, 'whatsapp', '{}'::text[])$$, 'those that were named, no others');
SELECT lives_ok(format('SELECT loyalty.configure_program(%s, %s, ''{}'')', :merchant, :second_program), 'nothing is changed');
SELECT lives_ok(format('SELECT loyalty.configure_program(%s, %s, %L)', :merchant, :second_program, '{"name": "Otro", "accumulation_points": 5, "decimals": 0, "rounding": "up", "requires_ticket": false, "requires_birth_date": false, "channel": "sms", "messages": ["accrue"]}'), 'all is changed');
SELECT results_eq(format('SELECT name, percentage, decimals::integer, rounding, requires_ticket, requires_birth_date, channel, messages FROM loyalty.wallets WHERE wallet_key = %L', :'second_wallet'),
	$$VALUES ('Otro', 5::numeric, 0, 'up', false, false, 'sms', '{accrue}'::text[])$$, 'to what was said');
SELECT pg_temp.refuses(format('SELECT loyalty.find_program(%s, wallet_key => %L)', :merchant, key), code, 'find_program: ' || what)
FROM (VALUES (:'other_wallet', 'unknown_object', 'a wallet of another merchant'), ('', 'unknown_object', 'an empty key'), (NULL, 'invalid_argument', 'no key')) v (key, code, what);

-- --- staff and their wallets --------------------------------------------------------

SELECT loyalty.employee_add(:merchant, 'gerente', 'Ana', 'Centro', '4771000001', 'contraseña ñ') AS manager \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Beto', 'Centro', '4771000002', 'secreto') AS cashier \gset
SELECT loyalty.employee_add(:other, 'cajero', 'Ana', 'Centro', '4771000001', 'contraseña ñ') AS other_cashier \gset
SELECT results_eq(format('SELECT staff_id, name, branch, role, restricted FROM loyalty.staff_members WHERE merchant_id = %s ORDER BY staff_id', :merchant),
	$$VALUES (1::bigint, 'Ana' COLLATE "C", 'Centro' COLLATE "C", 'gerente', false), (2, 'Beto', 'Centro', 'cajero', false)$$, 'new staff count 1, 2 and may use every wallet');
SELECT is(:other_cashier::bigint, 1::bigint, 'those of another merchant count by themselves');
SELECT is_empty(format('SELECT pg_temp.where_is(%L)', password), 'no table and no view shows the password ' || password) FROM unnest('{contraseña ñ,secreto}'::text[]) password;
SELECT is((SELECT count(DISTINCT password_digest) FROM loyalty_internal.staff WHERE name = 'Ana'), 2::bigint, 'one password of two people has two digests');

CREATE FUNCTION pg_temp.may_sell(merchant bigint, staff bigint, wallet text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM loyalty.wallet_sale(merchant, wallet, '5512340001', 0, 1, NULL, staff);
	RETURN true;
EXCEPTION WHEN SQLSTATE 'LR016' THEN
	RETURN false;
END
$$;
SELECT loyalty.wallet_contact_add(:merchant, w, '5512340001', 'Cliente', :manager) FROM unnest(ARRAY[:'wallet_key', :'second_wallet']) w \g /dev/null
SELECT lives_ok(format('SELECT loyalty.set_staff_programs(merchant_id => %s, staff_id => %s, program_ids => %L)', :merchant, :cashier, ARRAY[:program_id, :program_id]::bigint[]), 'a cashier gets one wallet, named twice');
SELECT results_eq(format('SELECT pg_temp.may_sell(%1$s, %2$s, %3$L), pg_temp.may_sell(%1$s, %2$s, %4$L)', :merchant, :cashier, :'wallet_key', :'second_wallet'),
	'VALUES (true, false)', 'and sells with that one only');
SELECT pg_temp.refuses(format('SELECT loyalty.set_staff_programs(%s, %s, %L)', :merchant, :cashier, programs), 'unknown_object', what)
FROM (VALUES (ARRAY[:second_program, :other_program]::bigint[], 'a wallet of another merchant'), ('{1}', 'a wallet that does not exist'),
	('{NULL}', 'a wallet that is NULL')) v (programs, what);
SELECT pg_temp.refuses(format('SELECT loyalty.set_staff_programs(%s, %s%s)', :merchant, :cashier, arguments), 'invalid_argument', what)
FROM (VALUES ('', 'neither these nor all'), (', NULL', 'no programs'), (', NULL, false', 'nor all'), (', ''{}'', true', 'none and all'), (format(', ARRAY[%s], true', :second_program), 'one and all'),
	(', ''{}'', NULL', 'none, or all'), (', every_program => NULL', 'or all')) v (arguments, what);
SELECT results_eq(format('SELECT pg_temp.may_sell(%1$s, %2$s, %3$L), pg_temp.may_sell(%1$s, %2$s, %4$L)', :merchant, :cashier, :'wallet_key', :'second_wallet'),
	'VALUES (true, false)', 'what was refused has changed nothing');
SELECT lives_ok(format('SELECT loyalty.set_staff_programs(%s, %s, ''{}'')', :merchant, :cashier), 'the cashier gets no wallet');
SELECT is(pg_temp.may_sell(:merchant, :cashier, :'wallet_key'), false, 'and sells with none');
SELECT lives_ok(format('SELECT loyalty.set_staff_programs(%s, %s, every_program => true)', :merchant, :cashier), 'the cashier gets all');
SELECT results_eq(format('SELECT pg_temp.may_sell(%1$s, %2$s, %3$L), pg_temp.may_sell(%1$s, %2$s, %4$L)', :merchant, :cashier, :'wallet_key', :'second_wallet'),
	'VALUES (true, true)', 'and sells with both');
SELECT pg_temp.refuses(format('SELECT loyalty.set_staff_programs(%L, %L, %s)', m, s, which), 'unknown_object', what || ': ' || which)
FROM (VALUES (:merchant, 99, 'unknown staff'), (:other, :cashier, 'staff of another merchant'), (1, 1, 'staff of nobody'), (:merchant, NULL, 'NULL')) v (m, s, what), unnest(ARRAY['every_program => true', '''{}''']) which;

SELECT results_eq(format($$SELECT i, loyalty.verify_staff_password(%s, i, p) FROM (VALUES (1, 'contraseña ñ'), (1, 'secreto'), (1, ''), (2, 'secreto'), (2, 'Secreto'),
		(2, 'secreto '), (3, 'secreto')) v (i, p)$$, :merchant),
	'VALUES (1, true), (1, false), (1, false), (2, true), (2, false), (2, false), (3, false)', 'verify_staff_password knows the right password of the right person');
SELECT is(loyalty.verify_staff_password(:merchant, :cashier, NULL), NULL, 'verify_staff_password of NULL is NULL');
SELECT lives_ok(format('SELECT loyalty.employee_disable(%s, %L)', :merchant, '4771000002'), 'the cashier leaves');
SELECT is(loyalty.verify_staff_password(:merchant, :cashier, 'secreto'), false, 'the password is none any more');
SELECT is(loyalty.employee_add(:merchant, 'cajero', 'Beto', 'Centro', '4771000002', 'secreto'), 3::bigint, 'name, number and password are free again, the id is not');

-- --- the blacklist ---------------------------------------------------------------------

SELECT is(loyalty.blacklist_phone(merchant_id => :merchant, phone => '5512340001', reason => 'fraude'), true, 'a phone is blacklisted');
SELECT pg_temp.refuses(format('SELECT loyalty.wallet_sale(%s, %L, ''5512340001'', 0, 1, NULL, %s)', :merchant, w, :manager), 'wallet_redeem_14', 'no sale in either wallet')
FROM unnest(ARRAY[:'wallet_key', :'second_wallet']) w;
SELECT is(loyalty.blacklist_phone(:merchant, '5512340001', NULL), false, 'again, without a reason');
SELECT results_eq(format('SELECT phone::text, reason FROM loyalty_internal.blacklisted_phone WHERE merchant_id = %s', :merchant), $$VALUES ('5512340001', '')$$, 'it is there once, with the newest reason');
SELECT is(loyalty.unblacklist_phone(:other, '5512340001'), false, 'another merchant does not take it off');
SELECT is(loyalty.unblacklist_phone(merchant_id => :merchant, phone => '5512340001'), true, 'it is taken off');
SELECT is(loyalty.unblacklist_phone(:merchant, '5512340001'), false, 'it was on it once');
SELECT is(pg_temp.may_sell(:merchant, :manager, :'wallet_key'), true, 'sales go on');
SELECT pg_temp.refuses(format('SELECT loyalty.blacklist_phone(%s, NULL)', :merchant), 'invalid_argument', 'NULL is no phone');
SELECT pg_temp.refuses('SELECT loyalty.blacklist_phone(1, ''5512340001'')', 'unknown_object', 'nobody has no blacklist');

-- --- quotas --------------------------------------------------------------------------------

CREATE FUNCTION pg_temp.left_of(merchant bigint, resource text) RETURNS bigint LANGUAGE sql AS
'SELECT q.remaining FROM loyalty.quotas q WHERE q.merchant_id = left_of.merchant AND q.resource = left_of.resource';
SELECT is(pg_temp.left_of(:merchant, r), NULL, 'no limit on ' || r || ' in the beginning') FROM unnest('{customers,redemptions,messages}'::text[]) r;
SELECT lives_ok(format('SELECT loyalty.set_quota(%s, ''customers'', %s)', :merchant, n), 'a quota of ' || n) FROM unnest('{0,1,15,16,17,1000000000000,35}'::bigint[]) n;
SELECT is(pg_temp.left_of(:merchant, 'customers'), 35::bigint, 'the newest holds');
SELECT results_eq(format('SELECT min(remaining), max(remaining), count(*) FROM loyalty_internal.quota WHERE merchant_id = %s', :merchant),
	'SELECT 2::bigint, 3::bigint, loyalty_internal.quota_stripes()::bigint', 'spread evenly over all stripes');
SELECT lives_ok(format('SELECT loyalty.add_quota(%s, ''customers'', 20)', :merchant), '20 are added');
SELECT is(pg_temp.left_of(:merchant, 'customers'), 55::bigint, '55 are left');
SELECT lives_ok(format('SELECT loyalty.wallet_contact_add(%s, %L, ''5512340002'', ''Cliente'', %s)', :merchant, :'wallet_key', :manager), 'one registers');
SELECT is(pg_temp.left_of(:merchant, 'customers'), 54::bigint, '54 are left');
SELECT pg_temp.refuses(format('SELECT loyalty.wallet_contact_add(%s, %L, ''5512340002'', ''Cliente'', %s)', :merchant, :'wallet_key', :manager), 'wallet_manager_08', 'the same again is refused');
SELECT is(pg_temp.left_of(:merchant, 'customers'), 54::bigint, 'and costs nothing');
SELECT is(pg_temp.left_of(:other, 'customers'), NULL, 'another merchant has no limit');
SELECT lives_ok(format('SELECT loyalty.set_quota(%s, ''customers'', 1000000000000)', :merchant), 'the largest quota');
SELECT pg_temp.refuses(format(statement, :merchant), 'invalid_argument', statement)
FROM unnest(ARRAY['SELECT loyalty.set_quota(%s, ''customers'', -1)', 'SELECT loyalty.set_quota(%s, ''customers'', NULL)', 'SELECT loyalty.remove_quota(%s, ''points'')', 'SELECT loyalty.remove_quota(%s, NULL)', 'SELECT loyalty.set_quota(%s, ''customers'', 1000000000001)', 'SELECT loyalty.set_quota(%s, ''points'', 1)',
	'SELECT loyalty.set_quota(%s, '''', 1)', 'SELECT loyalty.set_quota(%s, NULL, 1)', 'SELECT loyalty.add_quota(%s, ''customers'', 0)',
	'SELECT loyalty.add_quota(%s, ''customers'', -1)', 'SELECT loyalty.add_quota(%s, ''customers'', NULL)', 'SELECT loyalty.add_quota(%s, ''customers'', 1)',
	'SELECT loyalty.add_quota(%s, ''customers'', 9223372036854775807)']) statement;
SELECT is(pg_temp.left_of(:merchant, 'customers'), 1000000000000, 'what was refused has changed nothing');
SELECT pg_temp.refuses('SELECT loyalty.set_quota(1, ''customers'', 1)', 'unknown_object', 'a quota for nobody');
SELECT pg_temp.refuses(format('SELECT loyalty.add_quota(%s, ''messages'', 1)', :merchant), 'unknown_object', 'nothing is added to no limit');
SELECT pg_temp.refuses(format('SELECT loyalty.remove_quota(%L, ''customers'')', m), 'unknown_object', 'nor lifted') FROM (VALUES (1), (NULL)) v (m);
SELECT is(loyalty.remove_quota(:other, 'customers'), false, 'another merchant has none to lift');
SELECT is(loyalty.remove_quota(merchant_id => :merchant, resource => 'customers'), true, 'the limit is lifted');
SELECT is(loyalty.remove_quota(:merchant, 'customers'), false, 'once');
SELECT is(pg_temp.left_of(:merchant, 'customers'), NULL, 'there is none');
SELECT lives_ok(format('SELECT loyalty.wallet_contact_add(%s, %L, ''5512340003'', ''Cliente'', %s)', :merchant, :'wallet_key', :manager), 'registrations go on');

-- --- area codes --------------------------------------------------------------------------------

SELECT is(loyalty.area_code_supported('4771234567'), true, '477 is supported');
SELECT lives_ok('SELECT loyalty.set_area_code(''477'', false)', 'it is closed');
SELECT is(loyalty.area_code_supported('4771234567'), false, '477 is not supported');
SELECT isnt((SELECT region FROM loyalty.area_codes WHERE code = '477'), NULL, 'its region is known still');
SELECT pg_temp.refuses(format('SELECT loyalty.wallet_contact_add(%s, %L, ''4771234567'', ''X'', %s)', :merchant, :'wallet_key', :manager), 'wallet_manager_15', 'nobody registers from there');
SELECT lives_ok('SELECT loyalty.set_area_code(''477'', true, ''León, GTO'')', 'it is opened again');
SELECT results_eq('SELECT region, supported FROM loyalty.area_codes WHERE code = ''477''', $$VALUES ('León, GTO', true)$$, 'under a new region');
SELECT is((SELECT count(*) FROM loyalty.area_codes WHERE code = '477'), 1::bigint, 'which hides what was shipped');
SELECT throws_ok(format('SELECT loyalty.set_area_code(%L, true)', code), '22023', NULL, 'no area code: ' || coalesce(code, 'NULL'))
FROM unnest('{"",1,12,330,4771,abc," 47",NULL}'::text[]) code;
SELECT throws_ok('SELECT loyalty.set_area_code(''477'', NULL)', '22004', NULL, 'neither supported nor not');

-- --- the outbox ------------------------------------------------------------------------------------

DELETE FROM loyalty_internal.message WHERE merchant_id = :merchant;
SELECT loyalty.wallet_contact_add(:merchant, :'wallet_key', '55998800' || i, 'Iñaki ' || chr(55 + i), :manager) FROM generate_series(10, 14) i \g /dev/null
SELECT is((SELECT count(*) FROM loyalty.outbox WHERE merchant_id = :merchant AND sent_at IS NULL AND attempts = 0 AND claimed_until IS NULL), 5::bigint, 'five welcome messages wait');
CREATE TEMP TABLE claimed AS SELECT * FROM loyalty.claim_messages(:merchant, 3);
SELECT results_eq('SELECT phone::text FROM claimed ORDER BY message_id', $$VALUES ('5599880010'), ('5599880011'), ('5599880012')$$, 'the oldest three are claimed');
SELECT is_empty($$SELECT * FROM claimed WHERE attempt <> 1 OR channel <> 'sms' OR strpos(body, 'Iñaki') <> 1 OR strpos(body, '/monedero/') = 0$$, 'with channel, text and link');
SELECT is((SELECT count(*) FROM loyalty.claim_messages(:merchant)), 2::bigint, 'the next claim gets the rest');
SELECT is_empty(format('SELECT * FROM loyalty.claim_messages(%s)', :merchant), 'and the next none');
SELECT is_empty(format('SELECT * FROM loyalty.claim_messages(%s)', :other), 'another merchant none of ours');
SELECT results_eq(format('SELECT loyalty.acknowledge_message(%s, message_id, attempt) FROM claimed ORDER BY message_id', :merchant), 'VALUES (true), (true), (true)', 'three are acknowledged');
SELECT results_eq(format('SELECT loyalty.acknowledge_message(%s, message_id, attempt) FROM claimed ORDER BY message_id', :merchant), 'VALUES (false), (false), (false)', 'once');
UPDATE loyalty_internal.message SET claimed_until = now() - interval '1 hour' WHERE merchant_id = :merchant AND sent_at IS NULL;
SELECT results_eq(format('SELECT attempt FROM loyalty.claim_messages(%s, 10000, ''1 second'')', :merchant), 'VALUES (2), (2)', 'claims that ended are claimed again');
SELECT results_eq(format('SELECT loyalty.acknowledge_message(%s, message_id, a) FROM loyalty.outbox, unnest(''{0,1,3,NULL}''::integer[]) a WHERE merchant_id = %1$s AND sent_at IS NULL ORDER BY 1', :merchant),
	'SELECT false FROM generate_series(1, 8)', 'only the newest claim acknowledges');
SELECT is(loyalty.acknowledge_message(:merchant, 0, 1), false, 'what does not exist is not acknowledged');
SELECT pg_temp.refuses(format('SELECT * FROM loyalty.claim_messages(%s, %s)', :merchant, arguments), 'invalid_argument', 'claim_messages: ' || arguments)
FROM unnest(ARRAY['0', '-1', '10001', 'NULL', '1, ''0''', '1, ''-1 minute''', '1, NULL']) arguments;
SELECT is(loyalty.forget_messages(:merchant), 0::bigint, 'messages just sent are kept');
UPDATE loyalty_internal.message SET sent_at = sent_at - interval '91 days' WHERE merchant_id = :merchant AND message_id = (SELECT min(message_id) FROM claimed);
SELECT is(loyalty.forget_messages(:other), 0::bigint, 'another merchant forgets none of ours');
SELECT is(loyalty.forget_messages(:merchant), 1::bigint, 'an old one is forgotten');
SELECT is((SELECT count(*) FROM loyalty.outbox WHERE merchant_id = :merchant), 4::bigint, 'the others stay, unsent ones too');

-- --- idempotency keys ----------------------------------------------------------------------------------

SELECT loyalty.wallet_sale(:merchant, :'wallet_key', '5512340002', 0, 50, NULL, :manager, NULL, 'key-1') AS first_answer \gset
SELECT is(loyalty.forget_idempotency_keys(:merchant), 0::bigint, 'a key just used is remembered');
SELECT is(loyalty.forget_idempotency_keys(:merchant, '0'), 0::bigint, 'even without any delay, in its own transaction');
UPDATE loyalty_internal.idempotency_key SET created_at = now() - interval '31 days' WHERE merchant_id = :merchant;
SELECT is(loyalty.forget_idempotency_keys(:merchant, '32 days'), 0::bigint, 'it is 31 days old');
SELECT is(loyalty.forget_idempotency_keys(:other), 0::bigint, 'another merchant forgets none of ours');
SELECT is(loyalty.wallet_sale(:merchant, :'wallet_key', '5512340002', 0, 50, NULL, :manager, NULL, 'key-1')::text, :'first_answer', 'a retry gets the answer');
SELECT is(loyalty.forget_idempotency_keys(:merchant), 1::bigint, 'it is forgotten');
SELECT isnt(loyalty.wallet_sale(:merchant, :'wallet_key', '5512340002', 0, 50, NULL, :manager, NULL, 'key-1')::text, :'first_answer', 'a retry so late posts again');

SELECT pg_temp.refuses(format('SELECT loyalty.%s(merchant_id => %s, older_than => %L)', f, :merchant, age), 'invalid_argument', format('%s: %s', f, coalesce(age, 'NULL')))
FROM unnest('{forget_messages,forget_idempotency_keys,forget_roots,delete_blocked_customers}'::text[]) f, (VALUES (NULL), ('-1 day'), ('-1 microsecond'), ('300000 years')) v (age);
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, max_rows => %L)', f, :merchant, n), 'invalid_argument', format('%s: %s rows', f, coalesce(n, 'NULL')))
FROM unnest('{forget_messages,forget_idempotency_keys,forget_roots,forget_access_log}'::text[]) f, (VALUES (NULL), ('0'), ('-1'), ('1000001')) v (n);

-- --- members ------------------------------------------------------------------------------------------------

SELECT member_id AS member, account_id AS account, balance AS balance FROM loyalty.members WHERE phone::text = '5512340002' \gset
SELECT is(loyalty.disable_member(:merchant, :member), true, 'a contact is taken out');
SELECT pg_temp.refuses(format('SELECT loyalty.wallet_sale(%s, %L, ''5512340002'', 0, 50, NULL, %s)', :merchant, :'wallet_key', :manager), 'new_sale_12', 'nobody sells to it');
SELECT pg_temp.refuses(format('SELECT * FROM loyalty.wallet_contact_get(%s, %L, ''5512340002'')', :merchant, :'wallet_key'), 'balance_get_04', 'it is not found');
SELECT is_empty(format('SELECT FROM loyalty.wallet_contact_get(%s, %L) WHERE contact_phone = ''5512340002''', :merchant, :'wallet_key'), 'nor listed');
SELECT results_eq(format('SELECT active, balance::text FROM loyalty.members WHERE member_id = %s', :member), format('SELECT false, %L::text', :'balance'), 'its points stay');
SELECT is(loyalty.disable_member(:merchant, :member), false, 'once');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s)', f, m, id), 'unknown_object', format('%s: %s', f, what)) FROM unnest('{enable_member,disable_member}'::text[]) f,
	(VALUES (:other, :member, 'of another merchant'), (:merchant, 1, 'no such member')) v (m, id, what);
SELECT is(loyalty.wallet_contact_add(:merchant, :'wallet_key', '5512340002', 'CLIENTE', :manager, '1990-01-31'), :member::bigint, 'it registers again, and is who it was');
SELECT results_eq(format('SELECT account_id, active, balance::text, name, birth_date FROM loyalty.members WHERE member_id = %s', :member),
	format('SELECT %s::bigint, true, %L::text, ''CLIENTE'', ''1990-01-31''::date', :account, :'balance'), 'with its points, under its name as it is written now');
SELECT is(loyalty.wallet_sale(:merchant, :'wallet_key', '5512340002', 1, NULL, 0.01, :manager)::numeric, :'balance'::numeric - 0.01, 'and spends them');

SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- what is there, for reports ------------------------------------------------------------------------------

SELECT results_eq(format('SELECT name, base_url, sandbox, created_at = now() FROM loyalty.merchants WHERE merchant_id IN (%s, %s) ORDER BY base_url', :merchant, :other),
	$$VALUES ('Café La Parroquia', 'https://laparroquia.example', false, true), ('Café La Parroquia', 'https://localhost', false, true)$$, 'merchants');
SELECT results_eq(format('SELECT name, created_at = now() FROM loyalty.branches WHERE merchant_id = %s AND branch_id = (SELECT s.branch_id FROM loyalty_internal.staff s WHERE s.merchant_id = %1$s AND s.staff_id = %s)', :merchant, :manager),
	format($$SELECT branch, true FROM loyalty.staff_members WHERE merchant_id = %s AND staff_id = %s$$, :merchant, :manager), 'the branch that somebody works in, by its number');
SELECT is_empty(format('SELECT FROM loyalty.branches WHERE merchant_id NOT IN (%s, %s)', :merchant, :other), 'no branch is of nobody');
SELECT loyalty.blacklist_phone(:merchant, '5512340009', 'fraude') \g /dev/null
SELECT results_eq('SELECT merchant_id, phone::text, reason, created_at = now() FROM loyalty.blacklisted_phones', format($$VALUES (%s::bigint, '5512340009', 'fraude', true)$$, :merchant), 'what is on the blacklist');
SELECT loyalty.unblacklist_phone(:merchant, '5512340009') \g /dev/null
SELECT is_empty('SELECT FROM loyalty.blacklisted_phones', 'and is not any more');

SELECT * FROM finish();
ROLLBACK;

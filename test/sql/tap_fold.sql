-- What is the same text, whatever the locale of the database, of whoever asks,
-- and of the operating system.
\ir ../tap.sql
SET client_min_messages = warning;
SET client_encoding = 'UTF8';

-- The rule.
SELECT is(loyalty.fold(given), expected, format('%L is %L', given, expected)) FROM (VALUES
	('INFO@Ejemplo.MX', 'info@ejemplo.mx'), ('ISTANBUL', 'istanbul'), (' Ana ', 'ana'), (E'\tAna\u00a0\r\n', 'ana'),
	('ANA  MARÍA', 'ana maría'), (E'ana\u2003mari\u0301a', 'ana maría'), ('ÁÉÍÓÚÜÑÇ', 'áéíóúüñç'), (E'PEN\u0303A', 'peña'),
	('ŸŒŽĲŁ', 'ÿœžĳł'), ('ΆΈΊΌΎΏΑΣΫ', 'άέίόύώασϋ'), ('ЀЯЙ', 'ѐяй'), ('ẼỲ', 'ẽỳ'), ('×÷ßıİ', '×÷ßıİ'), ('', ''), (E' \u200b\ufeff', ''),
	(E'a\u0301\u0323', E'\u1ea1\u0301'), ('𝐀𐐀😀 B', '𝐀𐐀😀 b')) v (given, expected);
SELECT is(loyalty.fold(loyalty.fold(w)), loyalty.fold(w), 'once is enough') FROM (VALUES (E' PEN\u0303A  ÁB '), ('İI')) v (w);
SELECT is_empty($$SELECT chr(i) FROM (SELECT generate_series(33, 383) UNION SELECT generate_series(902, 974) UNION SELECT generate_series(1024, 1119)
	UNION SELECT generate_series(7680, 7935)) g (i)
	WHERE loyalty.fold(chr(i)) IS DISTINCT FROM loyalty_internal.trimmed(lower(normalize(chr(i)) COLLATE "und-x-icu")) AND chr(i) NOT IN ('İ', 'ẞ')$$, 'letters are those of Unicode');
SELECT is(loyalty.fold(NULL), NULL, 'of nothing, nothing');
SELECT is(loyalty_internal.trimmed(given), expected, format('%L is stored as %L', given, expected)) FROM (VALUES
	(E'\t Ana  María\u00a0', 'Ana  María'), (E'\u3000Peña\u2003', 'Peña'), (E'PEN\u0303A', E'PEN\u0303A'), (E'\u00a0', ''), ('', '')) v (given, expected);
SELECT is(length(loyalty.fold(repeat('Ñ ', 100000))), 199999, 'a long one');

-- Accents without end: as Unicode has it, in any order of those that do not meet,
-- and in a time that grows as they do.  The square of it would be a minute.
CREATE FUNCTION pg_temp.marks(n integer, seed integer) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(c, '' ORDER BY i) FROM (SELECT i, (E'{\u0301,\u0316,\u0334,\u0345,\u0344,\u0340,\u0323,\u0f73,\u093c,\u3099,\u05b0,\u302e,\U0001d165,e\u0301,\u1ea5,\uac00,\ufb2c," ",A}'::text[])
		[CASE WHEN i % 90 = 0 THEN 14 + hashint4(i # seed) & 5 ELSE 1 + (hashint4(i # seed) & 2147483647) % 13 END] c FROM generate_series(1, n) i) m
$$;
SELECT is_empty($$SELECT n, seed FROM generate_series(20, 200, 9) n, generate_series(1, 20) seed, pg_temp.marks(n, seed) m
	WHERE loyalty.fold(m) <> loyalty_internal.trimmed(regexp_replace(translate(normalize(m), 'A', 'a'), ' +', ' ', 'g')) OR loyalty.fold(loyalty.fold(m)) <> loyalty.fold(m) OR loyalty.fold(normalize(m, NFD)) <> loyalty.fold(m)$$,
	'any number of accents is in the order of Unicode');
SET LOCAL statement_timeout = '10s';
SELECT is(loyalty.fold('a' || string_agg(repeat(mark, 6000), '' ORDER BY n DESC)), loyalty.fold('a' || string_agg(repeat(mark, 6000), '' ORDER BY n)), 'soon')
FROM unnest(E'{\u0334,\u0316,\u0301,\u0345}'::text[]) WITH ORDINALITY u (mark, n);
SELECT is(loyalty_internal.fold_name('Á' || string_agg(repeat(mark, 6000), '' ORDER BY n DESC)), E'a', 'a name too')
FROM unnest(E'{\u0301,\u0345}'::text[]) WITH ORDINALITY u (mark, n);
RESET statement_timeout;

SELECT loyalty.create_merchant('Locale') AS m \gset
SELECT program_id AS p, wallet_key AS w FROM loyalty.create_program(:m, 'Programa', 'P') \gset

-- Staff and branches.
SELECT loyalty.employee_add(:m, 'cajero', E' Íñigo  IBARRA\u00a0', E'Sucursal Ñandú ', '4771000001', 'clave uno') AS s \gset
SELECT results_eq(format('SELECT name, branch FROM loyalty.staff_members WHERE merchant_id = %s', :m),
	$$VALUES ('Íñigo  IBARRA' COLLATE "C", 'Sucursal Ñandú' COLLATE "C")$$, 'are shown as they were written');
SELECT throws_ok(format('SELECT loyalty.employee_add(%s, %L, %L, %L, %L, %L)', :m, 'cajero', name, 'Otra', '4771000002', 'clave dos'), 'LE003', NULL,
	'is on the staff: ' || name) FROM (VALUES ('íñigo ibarra'), ('ÍÑIGO IBARRA'), (E'\tI\u0301n\u0303igo\u2003Ibarra ')) v (name);
SELECT throws_ok(format('SELECT loyalty.employee_add(%s, %L, %L, %L, %L, %L)', :m, 'cajero', name, branch, '4771000002', 'clave dos'), 'LE002', NULL,
	'is no name, or no branch') FROM (VALUES (E'\u00a0', 'Otra'), (E'Íñigo\tIbarra', 'Otra'), ('Otro', E'Sucursal\nÑandú'), ('Otro', E'\u2003 '), ('Otro', E'\ufeff')) v (name, branch);
SELECT loyalty.employee_add(:m, 'cajero', 'Cajero ' || n, branch, '477100001' || n, 'clave ' || n)
FROM (VALUES (1, 'sucursal ñandú'), (2, ' SUCURSAL  ÑANDÚ'), (3, E'Sucursal N\u0303andu\u0301'), (4, 'Sucursal Nandu')) v (n, branch) \g /dev/null
SELECT is(count(*), 2::bigint, 'three spellings are one branch, another name is another') FROM loyalty_internal.branch WHERE merchant_id = :m;
SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'P'), 'branch', 'add', '10', NULL) \g /dev/null
SELECT loyalty.wallet_contact_add(:m, :'w', '5512340001', 'Ana', :s) AS ana \gset
SELECT loyalty.wallet_balance_update(:m, :'w', '5512340001', 0, 6, 2) \g /dev/null
SELECT throws_ok(format('SELECT loyalty.wallet_balance_update(%s, %L, ''5512340001'', 0, 6, 3)', :m, :'w'), 'LY008', NULL, 'and has one limit');

-- E-mails.
SELECT loyalty.seller_member_create(:m, 'P', email => E' Info@Ñandú.MX\u00a0', first_name => 'Iris', first_last_name => 'Ibarra', client_id => 'I') \g /dev/null
SELECT is(email, 'Info@Ñandú.MX', 'an e-mail is kept as it was written') FROM loyalty.members WHERE client_id = 'I';
SELECT throws_ok(format('SELECT loyalty.seller_member_create(%s, ''P'', %L, ''X'', ''Y'')', :m, email), 'LI008', NULL, 'has a member: ' || email)
FROM (VALUES ('info@ñandú.mx'), ('INFO@ÑANDÚ.MX'), (E'\tinfo@n\u0303andu\u0301.mx')) v (email);
SELECT throws_ok(format('SELECT loyalty.identify_member(%s, %s, email => %L)', :m, :ana, email), code, NULL, 'cannot be another''s, or nothing')
FROM (VALUES ('INFO@ñandú.mx ', 'LY007'), (E' \u00a0', 'LY005')) v (email, code);
SELECT throws_ok(format('SELECT loyalty.create_customer(%s, loyalty.find_program(%1$s, ''P''), ''CAMC880526HMCBNR04'', ''X'', ''Y'', email => %L)', :m, 'info@ÑANDÚ.mx'), 'LY007', NULL, 'nor a customer''s');
SELECT loyalty.identify_member(:m, :ana, email => ' Ana@IMAGEN.mx ') \g /dev/null
SELECT is(email, 'Ana@IMAGEN.mx', 'one that is added later is trimmed too') FROM loyalty.members WHERE member_id = :ana;
SELECT is(string_agg(i ->> 'memberId', ' '), 'I I I I', 'items find the member by each spelling')
FROM json_array_elements(loyalty.seller_deposit(:m, (SELECT json_agg(json_build_object('programId', 'P', 'amount', 1, 'comments', 'x', 'member',
	json_build_object('email', email, 'firstName', 'Z', 'firstLastName', 'Z'))) FROM (VALUES ('info@ñandú.mx'), ('INFO@ÑANDÚ.MX'), (' info@Ñandú.mx'),
	(E'Info@N\u0303andu\u0301.MX')) v (email)))) i;
SELECT is(count(DISTINCT i ->> 'memberId'), 1::bigint, 'and those that make it make one')
FROM json_array_elements(loyalty.seller_deposit(:m, (SELECT json_agg(json_build_object('programId', 'P', 'amount', 1, 'comments', 'x', 'member',
	json_build_object('email', email, 'firstName', 'Z', 'firstLastName', 'Z'))) FROM (VALUES ('i@x.mx'), ('I@X.MX'), (' i@X.mx ')) v (email)))) i;
SELECT is(loyalty.fold(email), loyalty.fold('i@x.mx'), 'a report finds it') FROM loyalty.members WHERE loyalty.fold(email) = 'i@x.mx';

-- All other keys are bytes.
SELECT loyalty.seller_member_create(:m, 'P', email => client_id || '@x.mx', first_name => 'X', first_last_name => 'Y', client_id => client_id)
FROM (VALUES ('clave'), ('ÁRBOL ')) v (client_id) \g /dev/null
SELECT throws_ok(format('SELECT loyalty.seller_member_get(%s, ''P'', %L)', :m, client_id), 'LI011', NULL, 'is another: ' || client_id)
FROM (VALUES ('CLAVE'), ('clave '), ('árbol '), (E'A\u0301RBOL ')) v (client_id);

-- Their indexes serve what the statements of the engine ask for, and what people do.
INSERT INTO loyalty_internal.member (merchant_id, member_id, program_id, account_id, client_id, phone, email, name)
SELECT :m, i, :p, i, 'M' || i, (5500000000 + i)::text::loyalty.phone, 'm' || i || '@x.mx', 'M' FROM generate_series(1, 5000) i;
INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id) SELECT :m, i, :p FROM generate_series(1, 5000) i;
INSERT INTO loyalty_internal.program (merchant_id, client_id, name) SELECT :m, 'P' || i, 'P' FROM generate_series(1, 5000) i;
ANALYZE loyalty_internal.member, loyalty_internal.account, loyalty_internal.program;
SET LOCAL enable_seqscan = off;
CREATE FUNCTION pg_temp.index_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	found text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		found := found || coalesce(substring(line FROM '(?:using|on) (\w+_(?:key|pkey|email|name|number))\M') || ' ', '')
			|| CASE WHEN line ~ 'Index Cond: .*(client_id|wallet_key|key_digest|fold|reference_digest|name)' THEN 'by it' ELSE '' END;
	END LOOP;
	RETURN found;
END
$$;
PREPARE by_client (bigint, bigint, text) AS SELECT 1 FROM loyalty_internal.member WHERE merchant_id = $1 AND program_id = $2 AND client_id = $3;
PREPARE by_clients (bigint, bigint, text[]) AS SELECT 1 FROM loyalty_internal.member WHERE merchant_id = $1 AND program_id = $2 AND client_id = ANY ($3);
PREPARE by_email (bigint, bigint, text) AS SELECT 1 FROM loyalty_internal.member WHERE merchant_id = $1 AND program_id = $2 AND loyalty.fold(email) = $3;
PREPARE by_wallet (bigint, text) AS SELECT 1 FROM loyalty_internal.program WHERE merchant_id = $1 AND wallet_key = $2;
PREPARE by_key (bigint, bytea) AS SELECT 1 FROM loyalty_internal.idempotency_key WHERE merchant_id = $1 AND key_digest = $2;
PREPARE by_branch (bigint, text) AS SELECT 1 FROM loyalty_internal.branch WHERE merchant_id = $1 AND loyalty.fold(name) = loyalty.fold($2);
PREPARE by_reference (bigint, bigint, bytea) AS SELECT 1 FROM loyalty_internal.reversal WHERE merchant_id = $1 AND entry_id = $2 AND reference_digest = $3;
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT matches(pg_temp.index_of(format(query, :m, :p)), 'by it', 'by its index: ' || query) FROM (VALUES
	('EXECUTE by_client (1, 2, ''x'')'), ('EXECUTE by_clients (1, 2, ''{x}'')'), ('EXECUTE by_email (1, 2, ''x'')'),
	('EXECUTE by_wallet (1, ''x'')'), ('EXECUTE by_key (1, ''x'')'), ('EXECUTE by_branch (1, ''x'')'), ('EXECUTE by_reference (1, 2, ''x'')'),
	('SELECT FROM loyalty.members WHERE merchant_id = %s AND program_id = %s AND client_id = ''x'''),
	('SELECT FROM loyalty.members WHERE merchant_id = %s AND program_id = %s AND loyalty.fold(email) = loyalty.fold(''X'')')) v (query);

-- Whatever collation a caller's own column has, functions take its values.
CREATE TEMP TABLE theirs AS SELECT 'P' COLLATE "POSIX" AS program, :'w' COLLATE "POSIX" AS wallet, 'x' COLLATE "POSIX" AS x, 'staff' COLLATE "POSIX" AS scope,
	'redemptions' COLLATE "POSIX" AS resource, '477' COLLATE "POSIX" AS code;
SELECT lives_ok(format(call, :m), call) FROM (VALUES
	('SELECT loyalty.configure_program(%s, loyalty.find_program(%1$s, program), json_build_object(''name'', x, ''range_group'', '''', ''time_zone'', ''UTC'' COLLATE "POSIX")) FROM theirs'),
	('SELECT loyalty.configure_program(%s, loyalty.find_program(%1$s, wallet_key => wallet), json_build_object(''name'', x)) FROM theirs'), ('SELECT loyalty.create_branch(%s, x) FROM theirs'),
	('SELECT loyalty.set_rank_ranges(%s, x, ARRAY[x], ''{1}'') FROM theirs'), ('SELECT loyalty.configure_program(%s, loyalty.find_program(%1$s, program), json_build_object(''range_group'', x)) FROM theirs'),
	('SELECT loyalty.set_limit(%s, loyalty.find_program(%1$s, program), scope, ''add'' COLLATE "POSIX", ''5'', 5) FROM theirs'), ('SELECT loyalty.remove_limit(%s, loyalty.find_program(%1$s, program), scope, ''add'') FROM theirs'),
	('SELECT loyalty.publish_rules(%s, loyalty.find_program(%1$s, program), ''[{"name":"a","points":1,"ranks":["x"]}]'') FROM theirs'), ('SELECT loyalty.rules_at(%s, loyalty.find_program(%1$s, program), now()) FROM theirs'),
	('SELECT loyalty.recount_ranks(%s, loyalty.find_program(%1$s, program)) FROM theirs'), ('SELECT loyalty.set_quota(%s, resource, 5), loyalty.add_quota(%1$s, resource, 5), loyalty.remove_quota(%1$s, resource) FROM theirs'),
	('SELECT loyalty.set_area_code(code, true, x) FROM theirs'), ('SELECT loyalty.wallet_sale(%s, wallet, ''5512340001'', 0, 1, NULL, 1, x, x) FROM theirs'),
	('SELECT loyalty.create_app_user(%s, x), loyalty.disable_app_user(%1$s, x), loyalty.enable_app_user(%1$s, x), loyalty.rotate_private_key(%1$s, x, ''1 day'', repeat(x || ''k'', 32)), loyalty.revoke_app_user_api(%1$s, x, ''CUSTOMER'' COLLATE "POSIX"), loyalty.grant_app_user_api(%1$s, x, ''CUSTOMER'' COLLATE "POSIX") FROM theirs'),
	('SELECT loyalty.create_product(%s, x, ''10'', 5), loyalty.open_policy(%1$s, ''CAMC880526HMCBNR04'', x) FROM theirs, LATERAL (SELECT loyalty.create_customer(%1$s, loyalty.find_program(%1$s, program), ''CAMC880526HMCBNR04'', x, x, email => x)) c')) v (call);

SELECT * FROM finish();
ROLLBACK;

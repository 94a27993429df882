-- Proof for others: roots, receipts, and what happens to both when somebody who
-- may change anything does.
\ir ../tap.sql

-- Entries are named by their place in the account here.
CREATE FUNCTION pg_temp.entry(account bigint, no bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_id FROM loyalty.entry e WHERE e.account_id = account AND e.entry_no = no';
CREATE FUNCTION pg_temp.entry_no(id bigint) RETURNS bigint LANGUAGE sql AS
'SELECT e.entry_no FROM loyalty.entry e WHERE e.entry_id = id';

-- A merchant with so many accounts, of which each has one entry.
CREATE FUNCTION pg_temp.crowd(n integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	m bigint := loyalty.create_merchant('de ' || n);
	p bigint;
BEGIN
	SELECT program_id INTO p FROM loyalty.create_wallet(m, 'Monedero');
	INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id) SELECT m, i * 3, p FROM generate_series(1, n) i;
	ANALYZE loyalty_internal.account;	-- or plans made for an empty table go on being used
	IF n > 0 THEN
		PERFORM FROM loyalty.post_batch(m, (SELECT array_agg(i * 3::bigint) FROM generate_series(1, n) i), '{deposit}',
			(SELECT array_agg((i % 1000 + 1)::text::loyalty.points) FROM generate_series(1, n) i));
	END IF;
	ANALYZE loyalty.entry;
	RETURN m;
END
$$;

-- --- what is changed is named first ------------------------------------------------------

SELECT pg_temp.crowd(300) AS m \gset
SELECT program_id AS p FROM loyalty_internal.program WHERE merchant_id = :m \gset
SELECT loyalty.open_account(:m, :p) AS x \gset
SELECT loyalty.open_account(:m, :p) AS y \gset
SELECT loyalty.open_account(:m, :p) AS idle \gset
SELECT loyalty.post(:m, :x, 'accrue', '100', E'ñ "\\\u0001', 7, '1000', member_id => 5, expires_at => '2099-01-01Z') \g /dev/null
SELECT loyalty.hold(:m, :x, '30', 'mesa 3', release_at => '2098-01-01Z', staff_id => 8) \g /dev/null
SELECT loyalty.capture(:m, :x, pg_temp.entry(:x, 2), '10', NULL, NULL, '99.5') \g /dev/null
SELECT loyalty.transfer(:m, :x, :y, '5') \g /dev/null
SELECT loyalty.reverse(:m, :x, pg_temp.entry(:x, 1), '1', 'devuelto') \g /dev/null
SELECT loyalty.post(:m, :x, 'deposit', '2.5', expires_at => 'infinity') \g /dev/null
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- Undo a statement after verify() has looked: "invariant / entry_no" of what it says, in its order.
-- What has another name, or is gone, is where it was.
CREATE TEMP TABLE place AS SELECT entry_id AS id, entry_no AS no FROM loyalty.entry;
CREATE FUNCTION pg_temp.found(breach text, looks text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	BEGIN
		EXECUTE breach;
		EXECUTE format('SELECT string_agg(concat_ws('' / '', v.invariant, coalesce((SELECT e.entry_no FROM loyalty.entry e WHERE e.entry_id = v.entry_id),
			(SELECT p.no FROM place p WHERE p.id = v.entry_id), v.entry_id)), ''; '') FROM %s v', looks) INTO said;
		RAISE EXCEPTION USING ERRCODE = 'LYZZZ';
	EXCEPTION WHEN SQLSTATE 'LYZZZ' THEN
		RETURN said;
	END;
END
$$;

-- Whatever is changed of whichever entry, and however little.
\set hash 'an entry has the hash of what it says and of the entry before'
CREATE TEMP TABLE changes AS SELECT * FROM (VALUES
	('amount', '(amount::numeric + 0.0001)::loyalty.points'), ('balance', '(balance::numeric - 0.0001)::loyalty.points'),
	('posted_at', 'posted_at + interval ''1 microsecond'''), ('posted_at', '''infinity'''),
	('staff_id', 'coalesce(staff_id, 0) + 1'), ('staff_id', '0'), ('staff_id', 'CASE WHEN staff_id IS NULL THEN 1 END'),
	('money', '(coalesce(money::numeric, 0) + 0.0001)::loyalty.points'), ('money', 'CASE WHEN money IS NULL THEN ''0''::loyalty.points END'),
	('reserved', '(coalesce(reserved::numeric, 0) + 0.0001)::loyalty.points'), ('reserved', '''0'''),
	('origin_entry_id', 'coalesce(origin_entry_id, 0) + 1'), ('origin_entry_id', '0'), ('peer_account_id', 'coalesce(peer_account_id, 0) + 1'), ('peer_account_id', '0'),
	('member_id', 'coalesce(member_id, 0) - 1'), ('member_id', '0'), ('rules', 'coalesce(rules, 0) + 1'), ('rules', '0'),
	('kind', 'kind % 11 + 1'), ('reference', 'coalesce(reference, '''') || '' '''), ('reference', 'CASE WHEN reference IS NULL THEN '''' END'),
	('detail', '''{}'''), ('lots', '''{2099-01-01T00:00:01Z=100}'''), ('lots', 'CASE WHEN lots IS NULL THEN ''{}''::loyalty.lots END'),
	('entry_id', 'entry_id + 1'), ('entry_id', '-entry_id'), ('happened_at', 'posted_at'), ('happened_at', '''infinity'''), ('actor_id', '1'), ('actor_id', '0'), ('request_id', '-1'), ('request_id', '0'),
	('text_digest', 'sha256('''')'), ('text_digest', ''''''),
	('hash', 'set_byte(hash, 31, get_byte(hash, 31) # 1)'), ('hash', 'set_byte(hash, 0, get_byte(hash, 0) # 128)'), ('hash', 'substr(hash, 1, 31)'), ('hash', ''''''),
	('hash', 'hash || ''\x00''')) v (name, becomes);
SELECT is(pg_temp.found(format('UPDATE loyalty.entry SET %I = %s WHERE account_id = %s AND entry_no = %s', name, becomes, :x, n), format('loyalty.verify(%s)', :m)),
	:'hash' || ' / ' || n, format('%s of entry %s becomes %s', name, n, becomes))
FROM changes, generate_series(1, 6) n
-- a transfer is noticed twice: the other account has its side of it
WHERE NOT (n = 4 AND name IN ('amount', 'kind', 'peer_account_id', 'origin_entry_id') OR n = 5 AND name = 'kind');
SELECT is(split_part(pg_temp.found(format('UPDATE loyalty.entry SET %I = %s WHERE account_id = %s AND entry_no = 4', name, becomes, :x), format('loyalty.verify(%s)', :m)), ';', 1),
	:'hash' || ' / 4', format('%s of a transfer becomes %s', name, becomes))
FROM changes WHERE name IN ('amount', 'kind', 'peer_account_id', 'origin_entry_id') AND becomes <> '0';
SELECT is(pg_temp.found(format('UPDATE loyalty.entry SET previous_entry_id = %s WHERE account_id = %s AND entry_no = %s', becomes, :x, n), format('loyalty.verify(%s)', :m)),
	'an entry names the one before it / ' || n, format('previous_entry_id of entry %s becomes %s', n, becomes))
FROM unnest(ARRAY['entry_id', 'coalesce(previous_entry_id, 0) + 1', format('(SELECT newest_entry_id FROM loyalty_internal.account WHERE account_id = %s)', :y)]) becomes, generate_series(1, 6) n;
SELECT set_eq('SELECT name FROM changes', $$SELECT attname::text FROM pg_attribute WHERE attrelid = 'loyalty.entry'::regclass AND attnum > 0 AND NOT attisdropped
	AND attname NOT IN ('merchant_id', 'account_id', 'entry_no', 'previous_entry_id')$$, 'and each other column but the numbers has been changed');

SELECT is(pg_temp.found(format(breach, :x), format('loyalty.verify(%s)', :m)), finds, what) FROM (VALUES
	('DELETE FROM loyalty.entry WHERE account_id = %s AND entry_no = 3', 'entries of an account count 1, 2, 3 … without gaps / 4', 'an entry is deleted'),
	('DELETE FROM loyalty.entry WHERE account_id = %s AND entry_no = 6', 'an account has the balance and the number of its newest entry / 5', 'the newest entry is deleted'),
	('UPDATE loyalty.entry SET entry_no = 5 - entry_no WHERE account_id = %s AND entry_no IN (2, 3)', :'hash' || ' / 2; ' || :'hash' || ' / 3; ' || :'hash' || ' / 4', 'two entries change places')
) v (breach, finds, what);
SELECT is(split_part(pg_temp.found(format('UPDATE loyalty.entry SET account_id = -account_id WHERE account_id = %1$s; UPDATE loyalty_internal.account SET account_id = -account_id WHERE account_id = %1$s', :x),
	format('loyalty.verify(%s)', :m)), ';', 1), :'hash' || ' / 1', 'an account gets another number');
SELECT is(split_part(pg_temp.found(format('UPDATE %s SET merchant_id = -merchant_id WHERE account_id = %s', 'loyalty.entry', :x), format('loyalty.verify(%s)', -:m)), ';', 1),
	:'hash' || ' / 1', 'or another merchant');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'all that is reversed');

-- --- roots --------------------------------------------------------------------------------

SELECT root_id AS r, root AS published FROM loyalty.make_root(:m) \gset
SELECT results_eq(format('SELECT root_id, accounts, root, receipts, made_at >= now() FROM loyalty.roots WHERE merchant_id = %s', :m),
	format('VALUES (%s, 302::bigint, %L::bytea, true, true)', :r, :'published'), 'a root of all accounts that have an entry');
SELECT pg_temp.refuses('SELECT loyalty.make_root(42)', 'unknown_object', 'a merchant that does not exist has no root');
SELECT is_empty(format('SELECT * FROM loyalty.verify_root(%s)', :m), 'what it has is in the ledger');
SELECT is_empty(format('SELECT * FROM loyalty.verify_root(%s, %s, %L)', :m, :r, :'published'), 'and it is the one that was published');

-- The tree of RFC 6962, as its text defines it.
CREATE FUNCTION pg_temp.tree(leaves bytea[]) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	n integer := coalesce(array_length(leaves, 1), 0);
	k integer := 1;
BEGIN
	IF n = 0 THEN
		RETURN sha256('');
	ELSIF n = 1 THEN
		RETURN sha256('\x00'::bytea || leaves[1]);
	END IF;
	WHILE k * 2 < n LOOP
		k := k * 2;
	END LOOP;
	RETURN sha256('\x01'::bytea || pg_temp.tree(leaves[1:k]) || pg_temp.tree(leaves[k + 1:n]));
END
$$;
CREATE FUNCTION pg_temp.root_of(merchant bigint) RETURNS bytea LANGUAGE sql AS $$
	SELECT sha256('\x02'::bytea || int8send(r.merchant_id) || int8send(r.root_id) || timestamptz_send(r.made_at) || int8send(r.accounts)
		|| pg_temp.tree((SELECT array_agg(int8send(a.merchant_id) || int8send(a.account_id) || int8send(a.newest_entry_id) || loyalty_internal.points_send(a.balance)
				|| timestamptz_send(a.posted_at) || a.hash ORDER BY a.account_id)
			FROM loyalty_internal.account a WHERE a.merchant_id = merchant AND a.entry_no > 0)))
	FROM loyalty_internal.root r WHERE r.merchant_id = merchant
$$;
SELECT is(pg_temp.root_of(:m), :'published', 'its hash is what its description says');
CREATE TEMP TABLE sizes AS SELECT n, pg_temp.crowd(n) AS merchant FROM unnest('{0,1,2,3,5,255,256,257,511,512,513,65537}'::integer[]) n;
CREATE TEMP TABLE made AS SELECT n, merchant, r.* FROM sizes, loyalty.make_root(merchant) r;
SELECT is(pg_temp.root_of(merchant), root, format('a root of %s accounts is that of RFC 6962', n)) FROM made WHERE n < 1000;
SELECT is((SELECT accounts FROM loyalty.roots r WHERE r.merchant_id = merchant), n::bigint, format('it has %s accounts', n)) FROM made;
SELECT is_empty(format('SELECT * FROM loyalty.verify_root(%s)', merchant), format('a root of %s accounts is sound', n)) FROM made;
SELECT is((SELECT count(*) FROM generate_series(1, n) i WHERE loyalty.check_receipt(loyalty.receipt(merchant, i * 3), root)), n::bigint, format('each of %s accounts has its receipt', n))
FROM made WHERE n < 1000;
SELECT is((SELECT count(*) FROM unnest('{1,2,255,256,257,258,512,513,32768,32769,65280,65281,65535,65536,65537}'::bigint[]) i WHERE loyalty.check_receipt(loyalty.receipt(merchant, i * 3), root)),
	15::bigint, 'those at the edges of pages do') FROM made WHERE n = 65537;
SELECT results_eq(format('SELECT level, count(*) FROM loyalty_internal.root_page WHERE merchant_id = %s GROUP BY 1 ORDER BY 1', merchant),
	'VALUES (0::smallint, 257::bigint), (1::smallint, 2), (2::smallint, 1)', 'a tree has pages of pages') FROM made WHERE n = 65537;

-- --- receipts --------------------------------------------------------------------------------

SELECT loyalty.receipt(:m, :x) AS receipt, loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, 1)) AS history \gset
SELECT is(:'receipt'::jsonb - '{root_id,made_at,posted_at,hash,path}'::text[],
	jsonb_build_object('merchant_id', :m::text, 'account_id', :x::text, 'entry_id', pg_temp.entry(:x, 6)::text, 'balance', '66.5', 'accounts', 302, 'root', encode(:'published', 'hex')), 'a receipt');
SELECT ok(loyalty.check_receipt(:'receipt', :'published'), 'holds against the root');
SELECT ok(loyalty.check_receipt(:'history', :'published'), 'one with entries too');
-- The salt of an entry: another one for each.
CREATE FUNCTION pg_temp.salt(account bigint, no bigint) RETURNS text LANGUAGE sql AS $$
	SELECT encode(sha256(uuid_send(a.text_key) || int8send(pg_temp.entry(account, no))), 'hex') FROM loyalty_internal.account a WHERE a.account_id = account
$$;
SELECT is((SELECT array_agg(DISTINCT e ->> 'actor_id') FROM jsonb_array_elements(:'history'::jsonb -> 'entries') e), (SELECT array_agg(actor_id::text) FROM loyalty.sql_roles WHERE merchant_id = :m AND name = session_user), 'a receipt has the role that posted');
SELECT is((SELECT jsonb_agg(e - '{posted_at,actor_id}'::text[]) FROM jsonb_array_elements(:'history'::jsonb -> 'entries') e), jsonb_build_array(
	jsonb_build_object('entry_id', pg_temp.entry(:x, 1)::text, 'entry_no', 1, 'kind', 'accrue', 'amount', '100', 'balance', '100', 'staff_id', '7', 'money', '1000', 'member_id', '5', 'reference', E'ñ "\\\u0001', 'salt', pg_temp.salt(:x, 1),
		'lots', '{"2099-01-01T00:00:00Z": "100"}'::jsonb),
	jsonb_build_object('entry_id', pg_temp.entry(:x, 2)::text, 'entry_no', 2, 'kind', 'hold', 'amount', '-30', 'balance', '70', 'reserved', '30', 'staff_id', '8', 'reference', 'mesa 3', 'salt', pg_temp.salt(:x, 2), 'lots', '{"2099-01-01T00:00:00Z": "30"}'::jsonb),
	jsonb_build_object('entry_id', pg_temp.entry(:x, 3)::text, 'entry_no', 3, 'kind', 'capture', 'amount', '0', 'balance', '70', 'reserved', '-10', 'money', '99.5', 'origin_entry_id', pg_temp.entry(:x, 2)::text, 'lots', '{"2099-01-01T00:00:00Z": "10"}'::jsonb),
	jsonb_build_object('entry_id', pg_temp.entry(:x, 4)::text, 'entry_no', 4, 'kind', 'transfer', 'amount', '-5', 'balance', '65', 'peer_account_id', :y::text, 'lots', '{"2099-01-01T00:00:00Z": "5"}'::jsonb),
	jsonb_build_object('entry_id', pg_temp.entry(:x, 5)::text, 'entry_no', 5, 'kind', 'reverse', 'amount', '-1', 'balance', '64', 'origin_entry_id', pg_temp.entry(:x, 1)::text, 'reference', 'devuelto', 'salt', pg_temp.salt(:x, 5), 'lots', '{"2099-01-01T00:00:00Z": "1"}'::jsonb),
	jsonb_build_object('entry_id', pg_temp.entry(:x, 6)::text, 'entry_no', 6, 'kind', 'deposit', 'amount', '2.5', 'balance', '66.5')), 'which say all there is');
SELECT ok(loyalty.check_receipt(loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, v)), :'published'), format('from entry %s on', v)) FROM generate_series(1, 6) v;
SELECT is(json_array_length(loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, v)) -> 'entries'), 7 - v, format('so many from entry %s on', v)) FROM generate_series(1, 6) v;
SELECT set_config('TimeZone', 'Asia/Kathmandu', true), set_config('DateStyle', 'SQL, DMY', true), set_config('extra_float_digits', '-15', true) \g /dev/null
SELECT is(loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, 1))::text, :'history', 'a receipt is the same whatever the settings');
SELECT ok(loyalty.check_receipt(:'history', :'published'), 'and holds whatever they are');
SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true), set_config('extra_float_digits', '1', true) \g /dev/null
SELECT ok(loyalty.check_receipt(:'history'::jsonb::json, :'published'), 'blanks and the order of members do not matter');

-- A stranger's own computation, from the receipt alone.
CREATE FUNCTION pg_temp.micros(moment text) RETURNS bytea LANGUAGE sql AS $$SELECT timestamptz_send(moment::timestamptz)$$;
CREATE FUNCTION pg_temp.stranger(receipt jsonb) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	h bytea := sha256('\x00'::bytea || int8send((receipt ->> 'merchant_id')::bigint) || int8send((receipt ->> 'account_id')::bigint) || int8send((receipt ->> 'entry_id')::bigint)
		|| int8send(((receipt ->> 'balance')::numeric * 10000)::bigint) || pg_temp.micros(receipt ->> 'posted_at') || decode(receipt ->> 'hash', 'hex'));
	step jsonb;
BEGIN
	FOR step IN SELECT e FROM jsonb_array_elements(receipt -> 'path') WITH ORDINALITY s (e, n) ORDER BY n LOOP
		h := sha256('\x01'::bytea || coalesce(decode(step ->> 'left', 'hex') || h, h || decode(step ->> 'right', 'hex')));
	END LOOP;
	RETURN sha256('\x02'::bytea || int8send((receipt ->> 'merchant_id')::bigint) || int8send((receipt ->> 'root_id')::bigint) || pg_temp.micros(receipt ->> 'made_at')
		|| int8send((receipt ->> 'accounts')::bigint) || h);
END
$$;
SELECT is(pg_temp.stranger(:'receipt'), :'published', 'anybody can compute the root from a receipt');

-- Each value of a receipt, wherever it is: changed, taken away, or with another beside it.
CREATE TEMP TABLE places AS
WITH RECURSIVE place (path, value) AS (
	SELECT '{}'::text[], :'history'::jsonb
	UNION ALL
	SELECT p.path || c.key, c.value FROM place p, LATERAL (
		SELECT key, value FROM jsonb_each(CASE jsonb_typeof(p.value) WHEN 'object' THEN p.value ELSE '{}' END)
		UNION ALL
		SELECT (i - 1)::text, value FROM jsonb_array_elements(CASE jsonb_typeof(p.value) WHEN 'array' THEN p.value ELSE '[]' END) WITH ORDINALITY e (value, i)) c)
SELECT path, value FROM place WHERE path <> '{}';
SELECT cmp_ok(count(*), '>', 70::bigint, 'a receipt has many places') FROM places;
CREATE TEMP TABLE forgeries AS
SELECT 'changed' AS how, path, jsonb_set(:'history', path, other) AS forged FROM places, LATERAL (VALUES
	(CASE jsonb_typeof(value) WHEN 'number' THEN to_jsonb(value::text::numeric + 1) WHEN 'string' THEN to_jsonb(regexp_replace(value #>> '{}', '.$', '')) END),
	(CASE jsonb_typeof(value) WHEN 'string' THEN to_jsonb((value #>> '{}') || '0') END),
	(CASE jsonb_typeof(value) WHEN 'string' THEN to_jsonb(upper(value #>> '{}') || ' ') END),
	(CASE jsonb_typeof(value) WHEN 'string' THEN to_jsonb(translate(value #>> '{}', '0123456789', '1234567890')) END),
	(CASE jsonb_typeof(value) WHEN 'number' THEN to_jsonb(value::text) WHEN 'string' THEN '0' WHEN 'array' THEN '{}' ELSE '[]' END),
	('null'), ('[]'), ('{}'), ('true'), ('"x"'), ('-1')) v (other)
WHERE other IS NOT NULL AND other <> value
UNION ALL SELECT 'taken away', path, :'history'::jsonb #- path FROM places
UNION ALL SELECT 'added to', path, jsonb_set(:'history', path || '{added}'::text[], '"1"') FROM places WHERE jsonb_typeof(value) = 'object'
UNION ALL SELECT 'added to', path, jsonb_set(:'history', path || '{99}'::text[], value -> 0) FROM places WHERE jsonb_typeof(value) = 'array'
UNION ALL SELECT 'added to', '{}', :'history'::jsonb || '{"name": "Ana"}';
SELECT cmp_ok(count(*), '>', 500::bigint, 'forgeries are many') FROM forgeries;
SELECT is_empty($$SELECT how, path FROM forgeries WHERE forged::text <> $$ || quote_literal(:'history'::jsonb::text)
	|| format(' AND loyalty.check_receipt(forged::json, %L) IS NOT false', :'published'), 'none of them holds');
SELECT is(loyalty.check_receipt(malformed::json, :'published'), false, 'no receipt: ' || left(malformed, 40))
FROM unnest(ARRAY['{}', '[]', 'null', '1', '"x"', '[{}]', '{"path": []}', '{"merchant_id": "1e400"}', '{"merchant_id": "99999999999999999999"}', repeat('[', 1000) || repeat(']', 1000),
	'{"path": [' || repeat('{},', 5000) || '{}]}']) malformed;
SELECT is(loyalty.check_receipt(:'receipt', other), false, 'another root: ' || other::text)
FROM unnest(ARRAY[sha256(''), '', substr(:'published'::bytea, 1, 31), :'published'::bytea || '\x00']) other;
SELECT is(loyalty.check_receipt(NULL, :'published'), NULL, 'no receipt is neither');
SELECT is(loyalty.check_receipt(:'receipt', NULL), NULL, 'nor is no root');

-- A text that was erased, and in the end its key.
SAVEPOINT before;
UPDATE loyalty.entry SET reference = NULL, text_digest = sha256(decode(pg_temp.salt(:x, 5), 'hex') || '\x01' || int4send(8) || 'devuelto'::bytea) WHERE account_id = :x AND entry_no = 5;
SELECT is_empty('SELECT * FROM loyalty.verify()', 'a text is erased: the ledger is sound');
SELECT loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, 5)) AS erased \gset
SELECT is((:'erased'::jsonb #> '{entries,0}') - '{kind,amount,balance,posted_at,origin_entry_id,lots,entry_id,entry_no,actor_id}'::text[],
	jsonb_build_object('text_digest', encode(sha256(decode(pg_temp.salt(:x, 5), 'hex') || '\x01' || int4send(8) || 'devuelto'::bytea), 'hex')), 'a receipt has its digest and nothing else of it');
SELECT ok(loyalty.check_receipt(loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, v)), :'published'), format('it holds from entry %s on', v)) FROM generate_series(1, 6) v;
SELECT is(loyalty.check_receipt(forged::json, :'published'), false, 'it does not ' || how) FROM (VALUES
	('without the digest', :'erased'::jsonb #- '{entries,0,text_digest}'),
	('with another', jsonb_set(:'erased', '{entries,0,text_digest}', to_jsonb(encode(sha256(''), 'hex')))),
	('with half of it', jsonb_set(:'erased', '{entries,0,text_digest}', to_jsonb(left(:'erased'::jsonb #>> '{entries,0,text_digest}', 32)))),
	('with the salt besides', jsonb_set(:'erased', '{entries,0,salt}', to_jsonb(pg_temp.salt(:x, 5)))),
	('with the text besides', jsonb_set(:'erased', '{entries,0,reference}', '"devuelto"')),
	('with the text and the salt of another entry', jsonb_set(jsonb_set(:'erased'::jsonb #- '{entries,0,text_digest}', '{entries,0,reference}', '"devuelto"'), '{entries,0,salt}', to_jsonb(pg_temp.salt(:x, 2)))),
	('with another text instead', jsonb_set(jsonb_set(:'erased'::jsonb #- '{entries,0,text_digest}', '{entries,0,reference}', '"otro"'), '{entries,0,salt}', to_jsonb(pg_temp.salt(:x, 5))))) v (how, forged);
SELECT ok(loyalty.check_receipt(jsonb_set(jsonb_set(:'erased'::jsonb #- '{entries,0,text_digest}', '{entries,0,reference}', '"devuelto"'), '{entries,0,salt}', to_jsonb(pg_temp.salt(:x, 5)))::json, :'published'),
	'whoever has kept the text and the salt can still show them');
UPDATE loyalty_internal.account SET text_key = gen_random_uuid() WHERE account_id = :x;
SELECT is(loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, 5))::text, :'erased', 'without the key a receipt is the same');
SELECT is(loyalty.check_receipt(loyalty.receipt(:m, :x, :r, pg_temp.entry(:x, v)), :'published'), v > 2, format('but texts that are still there are lost without it: entry %s', v)) FROM generate_series(1, 6) v;
ROLLBACK TO before;

-- What is asked for and is not there.
SELECT pg_temp.refuses('SELECT loyalty.receipt(' || arguments || ')', code, what) FROM (VALUES
	(format('NULL, %s', :x), 'invalid_argument', 'no merchant'), (format('%s, NULL', :m), 'invalid_argument', 'no account'),
	(format('%s, %s', :m, :idle), 'unknown_account', 'an account without entries'), (format('%s, 1', :m), 'unknown_account', 'a number below all accounts'),
	(format('%s, 4', :m), 'unknown_account', 'a number between accounts'), (format('%s, 9223372036854775807', :m), 'unknown_account', 'a number above them'),
	(format('%s, %s', (SELECT merchant FROM made WHERE n = 3), :x), 'unknown_account', 'an account of another merchant'),
	(format('%s, 3', (SELECT merchant FROM made WHERE n = 0)), 'unknown_account', 'a root of nobody'),
	(format('%s, %s, %s', (SELECT merchant FROM made WHERE n = 3), 3, :r), 'unknown_object', 'a root of another merchant'),
	(format('%s, %s, 42', :m, :x), 'unknown_object', 'a root that was not made'), (format('42, %s', :x), 'unknown_object', 'nobody''s root'),
	(format('%s, %s, %s, 0', :m, :x, :r), 'unknown_entry', 'entry 0'), (format('%s, %s, %s, %s', :m, :x, :r, pg_temp.entry(:x, 6) + 1), 'unknown_entry', 'an entry that is not there'),
	(format('%s, %s, %s, %s', :m, :x, :r, pg_temp.entry(:y, 1)), 'unknown_entry', 'another account''s entry'), (format('%s, %s, %s, 1', :m, :x, :r), 'unknown_entry', 'a place')) v (arguments, code, what);

-- Entries between, as many as may be.
SELECT count(*) FROM loyalty.post_batch(:m, (SELECT array_agg(:y::bigint) FROM generate_series(1, 1001)), '{deposit}', (SELECT array_agg('1'::loyalty.points) FROM generate_series(1, 1001))) \g /dev/null
SELECT is(loyalty.receipt(:m, :x, :r)::text, :'receipt', 'what others do does not change a receipt');
SELECT root_id AS r2, root AS published2 FROM loyalty.make_root(:m) \gset
SELECT ok(loyalty.check_receipt(loyalty.receipt(:m, :y, NULL, pg_temp.entry(:y, 2)), :'published2'), '1,000 entries after the one that is meant');
SELECT is(json_array_length(loyalty.receipt(:m, :y, NULL, pg_temp.entry(:y, 2)) -> 'entries'), 1001, 'and itself');
SELECT pg_temp.refuses(format('SELECT loyalty.receipt(%s, %s, NULL, %s)', :m, :y, pg_temp.entry(:y, 1)), 'invalid_argument', 'more are too many');
SELECT is(loyalty.receipt(:m, :y) ->> 'root_id', :r2::text, 'the newest root is taken');
SELECT is(loyalty.receipt(:m, :y, :r) ->> 'entry_id', pg_temp.entry(:y, 1)::text, 'in an older one the account is as it was');
SELECT ok(loyalty.check_receipt(loyalty.receipt(:m, :y, :r), :'published'), 'and has its receipt');
SELECT ok(NOT loyalty.check_receipt(loyalty.receipt(:m, :y, :r), :'published2'), 'which is of that root only');

-- --- what only a root notices ------------------------------------------------------------------

\set rooted 'what a root has of an account is in the ledger'
\set root_tree 'a root is that of the tree below it'
\set back 'DELETE FROM loyalty.entry WHERE account_id = %1$s AND entry_no = 6; UPDATE loyalty_internal.account a SET entry_no = 5, newest_entry_id = e.entry_id, previous_entry_id = e.previous_entry_id, balance = e.balance, hash = e.hash, posted_at = e.posted_at, earned = ''99'' FROM loyalty.entry e WHERE a.account_id = %1$s AND e.account_id = %1$s AND e.entry_no = 5'
SELECT is(pg_temp.found(format(:'back', :x), format('loyalty.verify(%s)', :m)), NULL, 'an account and its newest entry are taken back: the ledger is sound');
SELECT is(pg_temp.found(format(:'back', :x), format('loyalty.verify_root(%s, %s)', :m, :r)), :'rooted' || ' / 6', 'but not what was published');
SELECT is(pg_temp.found(format(:'back', :x), format('(SELECT loyalty.check_receipt(%L, %L)::text AS invariant, 0 AS entry_id)', :'receipt', :'published')), 'true / 0',
	'and the receipt of the entry still holds');
SAVEPOINT before;
DELETE FROM loyalty.entry WHERE account_id = :x AND entry_no = 6;
SELECT pg_temp.refuses(format('SELECT loyalty.receipt(%s, %s, %s)', :m, :x, :r), 'unknown_entry', 'though nobody gets one any more');
ROLLBACK TO before;
-- One entry of the account 3 with another amount, and all hashes made to fit.
\set rewrite 'UPDATE loyalty.entry SET actor_id = NULL, amount = ''9'', balance = ''9'', hash = sha256(decode(''01'' || repeat(''00'', 32), ''hex'') || int8send(1) || int8send(90000) || timestamptz_send(posted_at) || int8send(merchant_id) || int8send(3) || int8send(entry_id) || int8send(90000) || int2send(2::smallint) || int2send(0::smallint)) WHERE merchant_id = %1$s AND account_id = 3; UPDATE loyalty_internal.account a SET balance = ''9'', hash = e.hash FROM loyalty.entry e WHERE a.merchant_id = %1$s AND a.account_id = 3 AND e.merchant_id = %1$s AND e.account_id = 3'
SELECT is(pg_temp.found(format(:'rewrite', :m), format('loyalty.verify(%s)', :m)), NULL, 'an account is written again from its first entry on: the ledger is sound');
SELECT is(pg_temp.found(format(:'rewrite', :m), format('loyalty.verify_root(%s)', :m)), :'rooted' || ' / 1', 'but not what was published');
SELECT is(pg_temp.found(format(:'rewrite', :m), format('(SELECT loyalty.check_receipt(loyalty.receipt(%s, 3), %L)::text AS invariant, 0 AS entry_id)', :m, :'published2')), 'false / 0',
	'and its new receipt does not hold');
SELECT is(pg_temp.found(format('UPDATE loyalty_internal.root_page SET nodes = set_byte(nodes, 32, get_byte(nodes, 32) # 1) WHERE root_id = %s AND page = 0 AND level = 0', :r2), format('loyalty.verify_root(%s)', :m)),
	:'rooted' || ' / 1; ' || :'root_tree', 'a leaf of the tree is changed');
SELECT is(pg_temp.found(format('UPDATE loyalty_internal.root_page SET entry_ids[1] = 42 WHERE root_id = %s AND page = 0 AND level = 0', :r2), format('loyalty.verify_root(%s)', :m)), :'rooted' || ' / 42', 'or what it is of');
SELECT is(pg_temp.found(format('DELETE FROM loyalty_internal.root_page WHERE root_id = %s AND page = 1 AND level = 0', :r2), format('loyalty.verify_root(%s)', :m)), :'root_tree', 'a page is gone');
SELECT is(pg_temp.found(format(breach, :r2), format('loyalty.verify_root(%s)', :m)), :'root_tree', what) FROM (VALUES
	('UPDATE loyalty_internal.root SET root = sha256(root) WHERE root_id = %s', 'the root is changed'),
	('UPDATE loyalty_internal.root SET made_at = made_at - interval ''1 day'' WHERE root_id = %s', 'or its time')) v (breach, what);
SELECT is(pg_temp.found('SELECT 1', format('loyalty.verify_root(%s, %s, %L)', :m, :r2, :'published')), :'root_tree', 'it is not the root that was published');
SELECT pg_temp.refuses(format('SELECT * FROM loyalty.verify_root(%s)', arguments), code, 'verify_root: ' || what) FROM (VALUES
	('NULL', 'invalid_argument', 'no merchant'), ('42', 'unknown_object', 'no root'), (format('%s, 42', :m), 'unknown_object', 'not this root'),
	(format('%s, NULL, ''\x00''', :m), 'invalid_argument', 'no hash')) v (arguments, code, what);

-- --- old roots ------------------------------------------------------------------------------------

SELECT made_at AS made_at FROM loyalty_internal.root WHERE root_id = :r \gset
UPDATE loyalty_internal.root SET made_at = now() - interval '90 days' WHERE root_id = :r;
SELECT is(loyalty.forget_roots(:m), 0::bigint, 'receipts of roots of 90 days are kept');
SELECT is(loyalty.forget_roots(merchant_id => :m, older_than => interval '90 days' - interval '1 microsecond'), 1::bigint, 'receipts of older roots are forgotten');
UPDATE loyalty_internal.root SET made_at = :'made_at' WHERE root_id = :r;
SELECT results_eq(format('SELECT root_id, receipts, root FROM loyalty.roots WHERE merchant_id = %s ORDER BY made_at', :m),
	format('VALUES (%s, false, %L::bytea), (%s, true, %L)', :r, :'published', :r2, :'published2'), 'the roots themselves are not');
SELECT is(loyalty.forget_roots(:m, '0'), 0::bigint, 'once');
SELECT is((SELECT count(DISTINCT merchant_id) FROM loyalty_internal.root_page), 12::bigint, 'others'' are not');
SELECT pg_temp.refuses(format('SELECT loyalty.receipt(%s, %s, %s)', :m, :x, :r), 'unknown_object', 'there are no more receipts of the old root');
SELECT pg_temp.refuses(format('SELECT * FROM loyalty.verify_root(%s, %s)', :m, :r), 'unknown_object', 'nor can it be compared');
SELECT ok(loyalty.check_receipt(:'history', :'published'), 'those that were given hold');
SELECT ok(loyalty.check_receipt(loyalty.receipt(:m, :x), :'published2'), 'new ones too');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;

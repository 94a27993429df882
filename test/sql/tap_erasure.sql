-- Erasure and export: what test/t/72_erasure.pl does not come to, since it takes
-- odd details, odd answers, accounts that changed hands.
-- Erasing has to see what was committed meanwhile.
SET default_transaction_isolation = 'read committed';
\ir ../tap.sql

-- --- what of a detail names nobody ------------------------------------------------------

SELECT is(loyalty_internal.impersonal_detail(detail)::jsonb, kept::jsonb, 'impersonal_detail: ' || coalesce(detail::text, 'NULL'))
FROM (VALUES (NULL::json, NULL::json), ('{}', NULL), ('[]', NULL), ('[{"branchId":"1"}]', NULL), ('"x"', NULL), ('null', NULL), ('{"comments":"x","concept":"y","vendorId":"z","reference":"r"}', NULL),
	('{"branchId":"B","currency":"MXN","amountCurrency":"MXN","comments":"x"}', '{"branchId":"B","currency":"MXN","amountCurrency":"MXN"}'), ('{"branchId":7}', '{"branchId":7}'),
	('{"currency":"Ana Zapata","amountCurrency":"4771234567"}', NULL), ('{"currency":"mxn","amountCurrency":4771234567}', NULL), ('{"currency":"MXN\nAna","amountCurrency":"Ñan"}', NULL),
	('{"items":[{"quantity":"Ana","unitPrice":"4 Ana"},{"quantity":1e2,"unitPrice":"-1.123456"},{"quantity":"1\nAna","unitPrice":true}]}', '{"items":[{},{"quantity":1e2,"unitPrice":"-1.123456"},{}]}'),
	('{"branchId":{"name":"Ana"},"currency":["Ana"],"amountCurrency":null}', NULL), ('{"items":"Ana"}', '{"items":[]}'), ('{"items":{"sku":"Ana"}}', '{"items":[]}'),
	('{"items":[{"sku":"S","category":"C","quantity":2,"unitPrice":"1.5","name":"para Ana"},{"name":"Ana"},"Ana",["Ana"],{"sku":{"name":"Ana"}}]}', '{"items":[{"sku":"S","category":"C","quantity":2,"unitPrice":"1.5"},{},{},{},{}]}')) v (detail, kept);
SELECT is(loyalty_internal.impersonal_detail('{"items":[{"unitPrice":5.10,"sku":"S"}],"comments":"x","branchId":"B"}') #>> '{items,0,unitPrice}', '5.10', 'numbers are as they were written');

-- Somebody's words in each field of an item of the seller API, and of its goods, of each operation that takes them there.
SELECT loyalty.create_merchant('La de palabras') AS w \gset
SELECT program_id AS wp FROM loyalty.create_program(:w, 'Palabras', 'PALABRAS') \gset
SELECT loyalty.create_member(:w, :wp, 'Zoe', client_id => 'ZOE') AS zoe \gset
CREATE TEMP TABLE told AS
SELECT o.operation, f.key, said.answer
FROM (VALUES ('deposit', '{"amount":500}'), ('deposit', '{"amount":5,"currency":"MXN"}'), ('accumulation', '{"amount":5}'), ('accumulation', '{"amount":5,"currency":"MXN"}'), ('redemption', '{"amount":1,"amountCurrency":1}')) o (operation, fields),
	unnest('{programId,memberId,amount,comments,amountCurrency,currency,reference,concept,branchId,vendorId,sku,category,quantity,unitPrice,name}'::text[]) f (key),
	LATERAL (SELECT '{"programId":"PALABRAS","memberId":"ZOE","comments":"x"}'::jsonb || o.fields::jsonb
		|| CASE WHEN f.key IN ('sku', 'category', 'quantity', 'unitPrice', 'name') THEN jsonb_build_object('items', jsonb_build_array(jsonb_build_object(f.key, 'Zoe ' || f.key))) ELSE jsonb_build_object(f.key, 'Zoe ' || f.key) END) i (item),
	LATERAL (SELECT CASE o.operation WHEN 'deposit' THEN loyalty.seller_deposit(:w, json_build_array(i.item)) WHEN 'accumulation' THEN loyalty.seller_accumulation(:w, json_build_array(i.item)) ELSE loyalty.seller_redemption(:w, json_build_array(i.item)) END AS answer) said;
SELECT results_eq($$SELECT key, count(*) FROM told WHERE answer::json #>> '{0,status}' = 'success' GROUP BY key ORDER BY key COLLATE "C"$$,
	$$VALUES ('amountCurrency', 3::bigint), ('branchId', 5), ('category', 5), ('comments', 5), ('concept', 5), ('name', 5), ('reference', 5), ('sku', 5), ('vendorId', 5)$$, 'where a client can write what it likes');
SELECT is(loyalty.erase_member(:w, :zoe), true, 'of somebody who is erased');
SELECT set_eq(format($$SELECT DISTINCT substr(m.word[1], 5) FROM loyalty_internal.entry_remainder r, regexp_matches(r.detail::text, 'Zoe \w+', 'g') m (word) WHERE r.merchant_id = %s$$, :w), '{branchId,sku,category}'::text[], 'of that, the codes of the business are kept');

-- --- what of an answer is of somebody ---------------------------------------------------

SELECT is(loyalty_internal.answer_without(answer, '{"id 7":true,"member P C1":true,"member  C1":true,"curp ZAQX870411MGTRXC04":true}'), without, 'answer_without: ' || answer)
FROM (VALUES ('[]'::json, '[]'), ('{}', '{}'), ('[{"programId":"P","memberId":"C1","totalPoints":1.50,"status":"success"},{"programId":"P","memberId":"C2"}]',
		'[{"programId":"P","memberId":"","totalPoints":1.50,"status":"success"},{"programId":"P","memberId":"C2"}]'),
	('{"programId":"Q","memberId":"C1"}', '{"programId":"Q","memberId":"C1"}'), ('{"programId":"","memberId":"C1"}', '{"programId":"","memberId":""}'),
	('{"id":"7","clientId":"C1","rank":{"name":"Oro"},"balance":12,"address":[{"street":"x"}],"ok":true,"n":null}', '{"id":"7","clientId":"","rank":{"name":""},"balance":12,"address":[{"street":""}],"ok":true,"n":null}'),
	('{"id":"8","clientId":"C1"}', '{"id":"8","clientId":"C1"}'), ('{"id":7,"clientId":"x\"y"}', '{"id":7,"clientId":""}'),
	('{"ok":true,"mensaje":"m","datos_compra":{"id_venta":"3","id_contacto":"7","nombre":"Ana","poliza":"P1"}}', '{"ok":true,"mensaje":"m","datos_compra":{"id_venta":"3","id_contacto":"7","nombre":"","poliza":"P1"}}'),
	('{"curp_en_uso":"ZAQX870411MGTRXC04","data":{"nombre":"Ana"}}', '{"curp_en_uso":"","data":{"nombre":""}}'),
	('{"curp_en_uso":" zaqx870411mgtrxc04 ","data":{"referencia":"R","cantidad":2}}', '{"curp_en_uso":"","data":{"referencia":"","cantidad":2}}'), ('{"curp_en_uso":"x","data":{"nombre":"Ana"}}', '{"curp_en_uso":"x","data":{"nombre":"Ana"}}'), ('{"CURP":"OTRA","nombre":"Ana"}', '{"CURP":"OTRA","nombre":"Ana"}')) v (answer, without);

-- --- accounts that changed hands --------------------------------------------------------

SELECT loyalty.create_merchant('M') AS m \gset
SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P') \gset
SELECT loyalty.create_member(:m, :p, 'Ana', '4770000001', client_id => 'A') AS ana, loyalty.create_member(:m, :p, 'Beto', '4770000002', client_id => 'B') AS beto,
	loyalty.create_member(:m, :p, 'Caro', '4770000003', client_id => 'C') AS caro, loyalty.create_member(:m, :p, 'Eve', client_id => 'V') AS eve, loyalty.create_member(:m, :p, 'Ivo', client_id => 'I') AS ivo \gset
SELECT entry_id AS e FROM loyalty.post(:m, :ana, 'deposit', '10', 'de Ana') \gset
SELECT loyalty.share_account(:m, :beto, :ana) \g /dev/null
SELECT loyalty.post(:m, :ana, 'deposit', '10', 'de Beto', member_id => :beto) \g /dev/null
SELECT loyalty.post(:m, :ana, 'deposit', '10', 'de nadie conocido', member_id => 42) \g /dev/null
SELECT loyalty.leave_account(:m, :ana, 5) AS anew \gset
SELECT loyalty.post(:m, :ana, 'deposit', '10', 'de Beto, el heredero') \g /dev/null
SELECT loyalty.post(:m, :anew, 'deposit', '1', 'de Ana, en la suya') \g /dev/null
SELECT loyalty.transfer(:m, :caro, :anew, 1, 'de Caro a Ana') FROM loyalty.post(:m, :caro, 'deposit', '1', 'de Caro') \g /dev/null
SELECT text_key AS key FROM loyalty_internal.account WHERE account_id = :ana \gset
SELECT text_key AS key2 FROM loyalty_internal.account WHERE account_id = :anew \gset
SELECT is(loyalty.erase_member(:m, :ana), true, 'who has left a shared account is erased');
SELECT results_eq(format('SELECT reference FROM loyalty.entry WHERE merchant_id = %s AND reference IS NOT NULL ORDER BY 1', :m), $$VALUES ('de Beto' COLLATE "C"), ('de Beto, el heredero'), ('de Caro')$$, 'what others did there is theirs');
SELECT is(count(*), 5::bigint, 'the rest is hers, on both sides of a transfer') FROM loyalty.entry WHERE merchant_id = :m AND text_digest IS NOT NULL;
SELECT isnt(text_key, :'key', 'the key is replaced, although others have texts of it') FROM loyalty_internal.account WHERE account_id = :ana;
SELECT results_eq(format('SELECT e.reference, s.salt FROM loyalty_internal.entry_salt s JOIN loyalty.entry e USING (merchant_id, entry_id) WHERE merchant_id = %s', :m),
	format($$SELECT reference, sha256(uuid_send(%L::uuid) || int8send(entry_id)) FROM loyalty.entry WHERE merchant_id = %s AND reference = 'de Beto, el heredero'$$, :'key', :m), 'whose salts are kept beside them');
SELECT isnt(text_key, :'key2', 'that of hers is not') FROM loyalty_internal.account WHERE account_id = :anew;
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT is(loyalty.erase_member(:m, :beto), true, 'the heir is erased');
SELECT is_empty(format('SELECT FROM loyalty_internal.entry_salt WHERE merchant_id = %s', :m), 'then nobody needs the salts');
SELECT results_eq(format('SELECT reference FROM loyalty.entry WHERE merchant_id = %s AND reference IS NOT NULL ORDER BY 1', :m), $$VALUES ('de Caro' COLLATE "C")$$, 'and his texts');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is still sound');
SELECT is(loyalty.export_member(:m, :ana) #>> '{member,name}', 'cancelado', 'what is kept of who was erased');
SELECT is(json_array_length(loyalty.export_member(:m, :ana) -> 'entries'), 6, 'is what she did, without words');
SELECT is(loyalty.export_member(:m, :caro) #>> '{entries,0,reference}', 'de Caro', 'what is kept of others is whole');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s)', f, m, id), 'unknown_object', format('%s(%s, %s)', f, m, id))
FROM unnest('{erase_member,erase_staff,export_member}'::text[]) f, (VALUES (:m, 42::text), (1, :'caro'), (:m, 'NULL'), (NULL, :'caro')) v (m, id) WHERE m IS NOT NULL;

-- --- who named an account instead of its member -----------------------------------------

SELECT loyalty.create_member(:m, :p, 'Fio', client_id => 'F') AS fio, loyalty.create_member(:m, :p, 'Gil', client_id => 'G') AS gil \gset
SELECT loyalty.share_account(:m, :gil, :fio) \g /dev/null
SELECT loyalty.leave_account(:m, :fio) AS fios \gset
SELECT loyalty.post(:m, :eve, 'deposit', '5', 'regalo a Fio', member_id => :fios), loyalty.post(:m, :eve, 'deposit', '5', 'de Gil', member_id => :gil), loyalty.post(:m, :fio, 'deposit', '1', 'de Gil, sin nombre') \g /dev/null
SELECT is_empty('SELECT * FROM loyalty.verify()', 'texts with the keys of an account that is not the member''s');
SELECT is(loyalty.erase_member(:m, :fio), true, 'who owns it is erased');
SELECT results_eq(format('SELECT reference FROM loyalty.entry WHERE merchant_id = %s AND reference ~ ''Fio|Gil'' ORDER BY 1', :m), $$VALUES ('de Gil' COLLATE "C"), ('de Gil, sin nombre')$$, 'with what names it');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'and the ledger is sound');
SELECT root_id AS root FROM loyalty.make_root(:m) \gset
SELECT is(loyalty.check_receipt(loyalty.receipt(:m, :fio, :root, e.entry_id), r.root), true, 'a receipt has the salt that is kept')
FROM loyalty.entry e, loyalty.roots r WHERE e.merchant_id = :m AND e.reference = 'de Gil, sin nombre' AND r.root_id = :root;

-- --- what is posted afterwards -------------------------------------------------------------

SELECT entry_id AS sold, balance AS had FROM loyalty.sale(:m, :ivo, 100, reference => 'venta a Ivo') \gset
SELECT loyalty.erase_member(:m, :ivo) \g /dev/null
SELECT is(array[loyalty.erase_member(:m, :ivo), loyalty.erase_member(:m, :fio)], '{f,f}', 'there is nothing more to erase');
SELECT loyalty.post(:m, :ivo, 'deposit', 5, 'regalo a Ivo'), loyalty.sale(:m, :ivo, 100, reference => 'otra venta a Ivo'), loyalty.transfer(:m, :ivo, :eve, 1, 'de Ivo'), loyalty.transfer(:m, :eve, :ivo, 1, 'para Ivo'),
	loyalty.post(:m, :eve, 'deposit', 1, 'como Ivo', member_id => :ivo), loyalty.post(:m, :eve, 'deposit', 1, 'como Fio', member_id => :fios), loyalty.post_batch(:m, array[:ivo], '{deposit}', '{1}', '{lote de Ivo}') \g /dev/null
SELECT entry_id AS hold FROM loyalty.hold(:m, :ivo, 2, 'apartado de Ivo') \gset
SELECT loyalty.capture(:m, :ivo, :hold, 1, 'entrega a Ivo'), loyalty.release(:m, :ivo, :hold, in_full => true), loyalty.reverse(:m, :ivo, :sold, 1, 'devolución de Ivo') \g /dev/null
SELECT is(points, '1', 'a refund is known by its reference') FROM loyalty.reverse(:m, :ivo, :sold, 1, 'devolución de Ivo');
SELECT is(entry_no > 10, true, 'what is posted to who was erased is booked') FROM loyalty.balances WHERE account_id = :ivo;
SELECT is_empty(format('SELECT reference, detail FROM loyalty.entry WHERE merchant_id = %s AND (reference || coalesce(detail::text, '''')) ~ ''Ivo|Fio''', :m), 'without its words');
SELECT loyalty.post(:m, :fio, 'deposit', 1, 'de Gil, después'), loyalty.post(:m, :eve, 'deposit', 1, 'de Eva') \g /dev/null
SELECT is(count(*), 2::bigint, 'others have theirs') FROM loyalty.entry WHERE merchant_id = :m AND reference IN ('de Gil, después', 'de Eva');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'and the ledger is sound');
SELECT is(loyalty.erase_member(:m, :ivo), false, 'again there is nothing to erase');
-- as if somebody had added to what the functions keep out
INSERT INTO loyalty_internal.member_address (merchant_id, member_id, ordinal, street) VALUES (:m, :ivo, 1, 'Calle de Ivo');
SELECT is(loyalty.erase_member(:m, :ivo), true, 'what there is is erased');
SELECT is_empty(format('SELECT FROM loyalty_internal.member_address WHERE member_id = %s', :ivo), 'whenever it was written');
SELECT is(loyalty.erase_member(:m, :ivo), false, 'once');

-- --- what goes on with an entry ----------------------------------------------------------

-- Uma and Vito share Vito's account.  What goes on with hers names nobody, and is hers; what goes on with his is his, also after the account is another's.
SELECT loyalty.create_member(:m, :p, 'Uma', client_id => 'U') AS uma, loyalty.create_member(:m, :p, 'Vito', client_id => 'VI') AS vito, loyalty.create_member(:m, :p, 'Wendy', client_id => 'W') AS wendy \gset
SELECT loyalty.share_account(:m, :uma, :vito), loyalty.share_account(:m, :wendy, :vito), loyalty.post(:m, :vito, 'deposit', 100, expires_at => now() + interval '1 day') \g /dev/null
SELECT (loyalty.sale(:m, :vito, 100, reference => 'venta a Uma', member_id => :uma)).entry_id AS bought, (loyalty.hold(:m, :vito, 20, member_id => :uma)).entry_id AS held, (loyalty.transfer(:m, :vito, :eve, 9, member_id => :uma)).entry_id AS sent,
	(loyalty.sale(:m, :vito, 100, reference => 'venta a Vito')).entry_id AS his, (loyalty.sale(:m, :vito, 100, reference => 'venta a Wendy', member_id => :wendy)).entry_id AS hers, (loyalty.hold(:m, :vito, 9)).entry_id AS his_hold, (loyalty.sale(:m, :vito, 100, member_id => 42)).entry_id AS nobodys \gset
SELECT (loyalty.capture(:m, :vito, :held, 5)).entry_id AS captured \gset
CREATE FUNCTION pg_temp.go_on(m bigint, account bigint, bought bigint, held bigint, captured bigint, sent bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM loyalty.reverse(m, account, bought, 1, what || ' parte'), loyalty.reverse(m, account, sent, 1, what || ' transferencia');
	PERFORM loyalty.capture(m, account, held, 1, what || ' entrega'), loyalty.release(m, account, held, 1, what || ' sobra'), loyalty.reverse(m, account, captured, 1, what || ' entrega devuelta');
END $$;
SELECT pg_temp.go_on(:m, :vito, :bought, :held, :captured, :sent, 'Uma') \g /dev/null
SELECT loyalty.post_batch(:m, ARRAY[:vito, :vito], '{capture,reverse}', '{1,1}', '{"Uma lote","Uma lote"}', entry_id => ARRAY[:held, :bought]::bigint[]) \g /dev/null
SELECT loyalty.reverse(:m, :vito, :his, 1, 'Vito parte'), loyalty.capture(:m, :vito, :his_hold, 1, 'Vito entrega'), loyalty.reverse(:m, :vito, :hers, 1, 'Wendy parte'), loyalty.reverse(:m, :vito, :nobodys, 1, 'Vito de 42') \g /dev/null
CREATE FUNCTION pg_temp.said(m bigint, who text) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM loyalty.entry e WHERE e.merchant_id = m AND e.reference LIKE who || ' %' $$;
CREATE FUNCTION pg_temp.exported(m bigint, member bigint) RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(DISTINCT split_part(e ->> 'reference', ' ', 1) ORDER BY split_part(e ->> 'reference', ' ', 1)) FROM json_array_elements(loyalty.export_member(m, member) -> 'entries') e WHERE e ->> 'reference' NOT LIKE 'venta%' $$;
SELECT is(pg_temp.said(:m, 'Uma'), 8::bigint, 'refunds, captures and releases of who shares an account');
SELECT is((SELECT count(*) FROM json_array_elements(loyalty.export_member(:m, :uma) -> 'entries') e WHERE e ->> 'reference' LIKE 'Uma %'), 8::bigint, 'are all in what is kept of them');
SELECT is(concat_ws(' ', pg_temp.exported(:m, :uma), pg_temp.exported(:m, :vito), pg_temp.exported(:m, :wendy)), '{Uma} {Vito} {Wendy}', 'and in nobody else''s');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT loyalty.leave_account(:m, :uma) \g /dev/null
SELECT pg_sleep(0.1) FROM loyalty.post(:m, :uma, 'deposit', 1, available_at => clock_timestamp() + '50 ms') \g /dev/null
SELECT loyalty.reverse(:m, :vito, :bought, 1, 'Uma se fue') \g /dev/null
SELECT is(pending, '1', 'in an account that is locked for its key nothing is booked') FROM loyalty_internal.account WHERE merchant_id = :m AND account_id = :uma;
SELECT root_id AS root FROM loyalty.make_root(:m) \gset
SELECT is(bool_and(loyalty.check_receipt(loyalty.receipt(:m, :vito, :root, e.entry_id), r.root)), true, 'receipts have their salts') FROM loyalty.entry e, loyalty.roots r WHERE e.merchant_id = :m AND e.account_id = :vito AND e.reference LIKE 'Uma %' AND r.root_id = :root;
CREATE TEMP TABLE went_on AS SELECT entry_id, reference FROM loyalty.entry WHERE merchant_id = :m AND reference ~ '^(Uma|Vito|Wendy) ';
CREATE FUNCTION pg_temp.tried_on(merchant bigint) RETURNS SETOF text LANGUAGE sql AS $$
	WITH key AS (SELECT uuid_send(text_key) AS bytes FROM loyalty_internal.account WHERE merchant_id = merchant),
	salt AS (SELECT s.entry_id, sha256(k.bytes || o.bytes || int8send(s.entry_id)) AS bytes FROM pg_temp.went_on s, key k, (SELECT bytes FROM key UNION ALL SELECT '') o
		UNION ALL SELECT entry_id, salt FROM loyalty_internal.entry_salt WHERE merchant_id = merchant)
	SELECT DISTINCT split_part(s.reference, ' ', 1) FROM pg_temp.went_on s JOIN loyalty.entry e USING (entry_id) JOIN salt USING (entry_id)
	WHERE loyalty_internal.text_digest(salt.bytes, s.reference, NULL) = coalesce(e.text_digest, loyalty_internal.text_digest(
		loyalty_internal.text_salt(e.merchant_id, e.entry_id, e.account_id, coalesce(e.member_id, loyalty_internal.named_by_origin(e.merchant_id, e.origin_entry_id)), e.peer_account_id), e.reference, e.detail))
$$;
SELECT set_eq(format('SELECT pg_temp.tried_on(%s)', :m), '{Uma,Vito,Wendy}'::text[], 'who has all keys can try them');
SELECT is(loyalty.erase_member(:m, :uma), true, 'she is erased');
SELECT results_eq(format('SELECT pg_temp.said(%s, w) FROM unnest(''{Uma,Vito,Wendy}''::text[]) w', :m), 'VALUES (0::bigint), (3), (1)', 'with what went on with hers, and nothing of others');
SELECT set_eq(format('SELECT pg_temp.tried_on(%s)', :m), '{Vito,Wendy}'::text[], 'which nobody can try');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT pg_temp.go_on(:m, :vito, :bought, :held, :captured, :sent, 'Uma después') \g /dev/null
SELECT loyalty.reverse(:m, :vito, :hers, 1, 'Wendy después'), loyalty.reverse(:m, :vito, :his, 1, 'Vito después') \g /dev/null
SELECT results_eq(format('SELECT pg_temp.said(%s, w) FROM unnest(''{Uma,Vito,Wendy}''::text[]) w', :m), 'VALUES (0::bigint), (4), (2)', 'what comes after is kept without words');
SELECT is((loyalty.reverse(:m, :vito, :bought, 1, 'Uma después parte')).points, '1', 'and known when it comes again');
SELECT is(loyalty.erase_member(:m, :uma), false, 'so there is nothing more to erase');
SELECT loyalty.leave_account(:m, :vito) \g /dev/null
SELECT loyalty.reverse(:m, :vito, :his, 1, 'Vito se fue'), loyalty.sale(:m, :vito, 100, reference => 'Wendy hereda') \g /dev/null
SELECT is(loyalty.erase_member(:m, :vito), true, 'who has left the account to its heir is erased');
SELECT results_eq(format('SELECT pg_temp.said(%s, w) FROM unnest(''{Vito,Wendy}''::text[]) w', :m), 'VALUES (0::bigint), (3)', 'with what went on with his when it was hers');
SELECT loyalty.reverse(:m, :vito, :his, 1, 'Vito mucho después'), loyalty.capture(:m, :vito, :his_hold, 1, 'Vito entrega después'), loyalty.reverse(:m, :vito, :hers, 1, 'Wendy aún'),
	loyalty.reverse(:m, :vito, (SELECT entry_id FROM loyalty.entry WHERE merchant_id = :m AND reference = 'Wendy hereda'), 1, 'Wendy devuelve') \g /dev/null
SELECT results_eq(format('SELECT pg_temp.said(%s, w) FROM unnest(''{Vito,Wendy}''::text[]) w', :m), 'VALUES (0::bigint), (5)', 'and what goes on with it later is kept without words, what goes on with hers is whole');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT is(loyalty.erase_member(:m, :wendy), true, 'the last is erased');
SELECT is(pg_temp.said(:m, 'Wendy'), 0::bigint, 'with all of hers');
SELECT is_empty(format('SELECT pg_temp.tried_on(%s)', :m), 'and nothing can be tried');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

-- --- what nobody can try -----------------------------------------------------------------

-- Texts that were erased, tried with whatever the database has still: the key of each account, alone and with that of each other, and the salts that are kept.
SELECT loyalty.create_member(:m, :p, 'Noe', client_id => 'N') AS noe, loyalty.create_member(:m, :p, 'Olga', client_id => 'O') AS olga \gset
SELECT loyalty.post(:m, :noe, 'deposit', 20, 'de Noe'), loyalty.post(:m, :olga, 'deposit', 20, 'de Olga'), loyalty.post(:m, :olga, 'deposit', 1, 'por Noe', member_id => :noe) \g /dev/null
SELECT loyalty.transfer(:m, :noe, :olga, 1, 'de Noe a Olga'), loyalty.transfer(:m, :olga, :noe, 1, 'de Olga a Noe'), loyalty.transfer(:m, :olga, :noe, 1, 'de Olga, que lo dice', member_id => :olga) \g /dev/null
SELECT entry_id AS moved FROM loyalty.transfer(:m, :noe, :olga, 2) \gset
SELECT loyalty.reverse(:m, :noe, :moved, 1, reference => 'devuelto a Noe') \g /dev/null
CREATE TEMP TABLE said AS SELECT entry_id, reference FROM loyalty.entry WHERE merchant_id = :m AND reference ~ '(Noe|Olga)';
CREATE FUNCTION pg_temp.tried(merchant bigint) RETURNS SETOF text LANGUAGE sql AS $$
	WITH key AS (SELECT uuid_send(text_key) AS bytes FROM loyalty_internal.account WHERE merchant_id = merchant),
	salt AS (SELECT s.entry_id, sha256(k.bytes || o.bytes || int8send(s.entry_id)) AS bytes FROM pg_temp.said s, key k, (SELECT bytes FROM key UNION ALL SELECT '') o
		UNION ALL SELECT entry_id, salt FROM loyalty_internal.entry_salt WHERE merchant_id = merchant)
	SELECT DISTINCT s.reference FROM pg_temp.said s JOIN loyalty.entry e USING (entry_id) JOIN salt USING (entry_id)
	WHERE loyalty_internal.text_digest(salt.bytes, s.reference, NULL) = coalesce(e.text_digest, loyalty_internal.text_digest(
		loyalty_internal.text_salt(e.merchant_id, e.entry_id, e.account_id, e.member_id, e.peer_account_id), e.reference, e.detail))
$$;
SELECT set_eq(format('SELECT pg_temp.tried(%s)', :m), 'SELECT DISTINCT reference FROM said', 'who has all keys can try every text');
SELECT is(loyalty.erase_member(:m, :noe), true, 'one side of transfers is erased');
SELECT set_eq(format('SELECT pg_temp.tried(%s)', :m), '{"de Olga","de Olga, que lo dice"}'::text[], 'then those that are kept, and none that was erased, on either side');
SELECT set_eq(format('SELECT reference FROM loyalty.entry WHERE merchant_id = %s AND reference ~ ''(Noe|Olga)''', :m), '{"de Olga","de Olga, que lo dice"}'::text[], 'which are these');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'and the ledger is sound');
SELECT is(loyalty.erase_member(:m, :olga), true, 'the other side is erased');
SELECT is_empty(format('SELECT pg_temp.tried(%s)', :m), 'then no text can be tried');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'and the ledger is still sound');

-- --- phones that somebody has by now, and staff ------------------------------------------

SELECT loyalty.blacklist_phone(:m, '4770000003', 'por Caro'), loyalty.blacklist_phone(:m, '4770000009', 'por el cajero') \g /dev/null
SELECT loyalty.employee_add(:m, 'cajero', 'Dani', 'Centro', '4770000009', 'la clave de Dani') AS dani \gset
SELECT loyalty.free_phone(:m, :caro) \g /dev/null
SELECT loyalty.create_member(:m, :p, 'Eva', '4770000003', client_id => 'E') AS eva \gset
SELECT loyalty.erase_member(:m, :caro) \g /dev/null
SELECT results_eq(format('SELECT phone::text, reason FROM loyalty.blacklisted_phones WHERE merchant_id = %s ORDER BY 1', :m), $$VALUES ('4770000003', ''), ('4770000009', 'por el cajero')$$, 'a phone that another has stays on the blacklist, without the reason');
SELECT is(loyalty.verify_staff_password(:m, :dani, 'la clave de Dani'), true, 'a cashier');
SELECT is(loyalty.erase_staff(:m, :dani), true, 'is erased');
SELECT results_eq(format('SELECT name, number::text, branch, role, archived_at IS NOT NULL FROM loyalty.staff_members WHERE merchant_id = %s', :m), $$VALUES ('cancelado' COLLATE "C", NULL, 'Centro' COLLATE "C", 'cajero', true)$$, 'archived, as a number');
SELECT is(loyalty.verify_staff_password(:m, :dani, 'la clave de Dani'), false, 'without a password');
SELECT is(count(*), 1::bigint, 'and is not on the blacklist') FROM loyalty.blacklisted_phones WHERE merchant_id = :m;
SELECT is(loyalty.employee_add(:m, 'cajero', 'Dani', 'Centro', '4770000009', 'la clave de Dani') > :dani, true, 'name, number and password are free');

-- --- answers that are kept ------------------------------------------------------------------

-- What the items of a batch say is not kept, and a CURP is one however it is typed.
SELECT loyalty.create_customer(:m, :p, 'ZAQX870411MGTRXC04', 'Xochi', 'Z', phone => '4779998866', email => 'xochi@correo.example') AS xochi \gset
SELECT client_id AS card FROM loyalty.members WHERE merchant_id = :m AND member_id = :xochi \gset
SELECT format('[{"programId":"P","memberId":"%1$s","amount":1,"comments":"c"},{"programId":"NOPE","memberId":"%1$s","amount":1,"comments":"c"},{"programId":"P","memberId":"xochi@correo.example","amount":1,"comments":"c"},'
	'{"programId":"P","memberId":"4779998866","amount":1,"comments":"c"},{"programId":"de Xochi","memberId":"Xochi Z","amount":"x","comments":"c"},{"programId":"P","memberId":"%1$s","amount":1,"comments":"c","currency":"XOCHI"},'
	'{"programId":"P","member":{"email":"XOCHI@correo.example"},"amount":1,"comments":"c"},{"programId":"P","member":{"email":"xochi@correo.example"},"amount":"x","comments":"c"},7,{}]', :'card') AS items \gset
SELECT loyalty.seller_deposit(:m, :'items', 'kept') AS first \gset
SELECT is((SELECT string_agg(i ->> 'status', ' ') FROM json_array_elements(:'first') i), 'success error error error error error success error error error', 'a batch of everything');
SELECT is((SELECT i ->> 'memberId' FROM json_array_elements(:'first') WITH ORDINALITY i (i, n) WHERE n = 7), :'card', 'whose member is looked up');
SELECT is((SELECT string_agg(s, ' ') FROM loyalty_internal.idempotency_key k, unnest(ARRAY[:'card', 'xochi', 'Xochi', 'XOCHI', '4779998866', 'NOPE']) s WHERE k.key_digest = loyalty_internal.merchant_digest(:m, 'kept') AND strpos(k.answer, s) > 0),
	:'card', 'only that id is kept');
SELECT is(loyalty.seller_deposit(:m, :'items', 'kept')::text, :'first', 'and all is answered again');
SELECT loyalty.seller_deposit(:m, '[]', 'none') AS none \gset
SELECT is(loyalty.seller_deposit(:m, '[]', 'none')::text, :'none', 'a batch of nothing, too');
SELECT loyalty_internal.claim_key(:m, key, 'x', '{}'), loyalty_internal.keep_answer(:m, key, answer)
FROM (VALUES ('typed', '{"ok":true,"curp_en_uso":"zaqx870411mgtrxc04 ","data":{"poliza" : "P1", "referencia" : "SPEI-XOCHI", "saldo" : 5}}'), ('other', '{"ok":true,"curp_en_uso":"camc880526hmcbnr04","data":{"referencia" : "SPEI-1"}}')) v (key, answer) \g /dev/null
SELECT loyalty.erase_member(:m, :xochi) \g /dev/null
SELECT results_eq(format('SELECT k.answer FROM loyalty_internal.idempotency_key k WHERE k.key_digest IN (loyalty_internal.merchant_digest(%s, ''typed''), loyalty_internal.merchant_digest(%1$s, ''other'')) ORDER BY 1', :m),
	$$VALUES ('{"ok":true,"curp_en_uso":"","data":{"poliza":"P1","referencia":"","saldo":5}}'), ('{"ok":true,"curp_en_uso":"camc880526hmcbnr04","data":{"referencia" : "SPEI-1"}}')$$, 'a CURP that was typed in small letters is found');
SELECT is_empty(format('SELECT FROM loyalty_internal.idempotency_key k WHERE strpos(k.answer, %L) > 0', :'card'), 'and the id that was looked up');
SELECT is(replace(loyalty.seller_deposit(:m, :'items', 'kept')::text, '"memberId":""', '"memberId":"' || :'card' || '"'), replace(:'first', '"memberId":""', '"memberId":"' || :'card' || '"'), 'the rest is still answered');
SELECT is(loyalty.seller_deposit(:m, format('[{"programId":"P","memberId":%s,"amount":1,"comments":"c"}]', to_json(:'card'::text))::json, 'after') ->> 0 ~ '"status":"error"', true, 'who comes later has no success');
SELECT is_empty(format('SELECT FROM loyalty_internal.idempotency_key k WHERE strpos(k.answer, %L) > 0', :'card'), 'and brings nothing back');

-- --- statistics -------------------------------------------------------------------------------

CREATE TEMP VIEW sampled AS
SELECT c.oid::regclass || '.' || a.attname AS place, format_type(a.atttypid, NULL) AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND (c.relkind IN ('r', 'p', 'm') OR c.relkind IN ('i', 'I') AND i.indkey[a.attnum - 1] = 0) AND coalesce(a.attstattarget, -1) <> 0;
SELECT set_eq('SELECT DISTINCT type FROM sampled', $${boolean,smallint,integer,bigint,"timestamp with time zone",loyalty.points}$$::text[], 'statistics are kept of numbers and moments');
SELECT is((SELECT count(*) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND 0 = ANY (i.indkey)), 7::bigint, 'of expressions of indexes, of which there are some, too');
SELECT loyalty.create_member(:m, :p, 'Persona ' || i, ('551234' || 1000 + i)::loyalty.phone, 'p' || i || '@correo.example') FROM generate_series(1, 60) i \g /dev/null
ANALYZE loyalty_internal.member, loyalty_internal.customer, loyalty_internal.account, loyalty.entry;
SELECT is((SELECT string_agg(DISTINCT tablename || '.' || attname, ' ') FROM pg_stats WHERE schemaname LIKE 'loyalty%' AND concat(most_common_vals::text, histogram_bounds::text) ~ '[a-z@]{3}'), NULL, 'ANALYZE samples no texts');
SELECT is((SELECT count(*) > 0 FROM pg_stats WHERE schemaname LIKE 'loyalty%' AND tablename = 'member' AND attname = 'member_id'), true, 'but the rest');

-- --- what is kept about somebody ----------------------------------------------------------------

SELECT loyalty.create_customer(:m, :p, 'PEGJ800115HDFRRN07', 'Carlos', 'Cabrera', phone => '4770000021') AS carlos \gset
SELECT loyalty.blacklist_phone(:m, '4770000021', 'debe'), loyalty.identify_member(:m, :carlos, phone => '4770000022'), loyalty.identify_member(:m, :carlos, phone => '4770000023'), loyalty.blacklist_phone(:m, '4770000022', 'debe aún'), loyalty.create_member(:m, :p, 'Con otro', '4770000022') \g /dev/null
SELECT loyalty.create_app_user(:m, 'Banco tap'), loyalty.grant_consent(:m, 'PEGJ800115HDFRRN07', 'Banco tap', 'crédito', '1', valid_from => '2026-01-01') \g /dev/null
SELECT loyalty.set_limit(:m, :p, 'member', 'add', 100, subject_id => :carlos), loyalty.publish_rules(:m, :p, '[{"name":"regalo","points":5,"max_day":9}]') \g /dev/null
SELECT loyalty.employee_add(:m, 'cajero', 'Fede', 'Centro', '4770000031', 'la clave de Fede') AS fede \gset
SELECT loyalty.set_limit(:m, :p, 'staff', 'add', 500), loyalty.set_staff_programs(:m, :fede, ARRAY[:p]), loyalty.blacklist_phone(:m, '4770000031', 'también debe') \g /dev/null
SELECT loyalty.sale(:m, :carlos, 10, staff_id => :fede, reference => 'boleto de Carlos') \g /dev/null
SELECT loyalty.export_member(:m, :carlos) AS export \gset
SELECT is((SELECT string_agg(e ->> 'phone', ' ') FROM json_array_elements(:'export'::json -> 'blacklisted') e), '4770000021', 'a former phone on the blacklist is theirs, unless another has it');
SELECT is((:'export'::json #>> '{consents,0,recorded_at}')::timestamptz > (:'export'::json #>> '{consents,0,valid_from}')::timestamptz, true, 'since when they allow it, and when that was written down');
SELECT is((SELECT string_agg(key || ' ' || json_array_length(value), ', ') FROM json_each(:'export') WHERE key IN ('limits', 'limits_used', 'rules_used', 'rule_awards')), 'limits 1, limits_used 1, rules_used 1, rule_awards 1', 'limits and caps, and what of them is used');
SELECT is((SELECT string_agg(e ->> 'was', ' ') FROM json_array_elements(:'export'::json -> 'changes') e WHERE e ->> 'attribute' = 'phone'), '4770000021 4770000022', 'what they were, in order');
INSERT INTO loyalty_internal.member_change (merchant_id, member_id, change_id, attribute, was) VALUES (:m, :carlos, loyalty_internal.first_id(now() + interval '1 day'), 'name', 'a day ahead');
SELECT loyalty.correct_member(:m, :carlos, first_name => 'Karl', first_last_name => 'Cabrera') \g /dev/null
SELECT is((SELECT string_agg(e ->> 'was', ', ') FROM (SELECT e FROM json_array_elements(loyalty.export_member(:m, :carlos) -> 'changes') WITH ORDINALITY e (e, n) ORDER BY n DESC LIMIT 2) v), 'Carlos Cabrera, a day ahead', 'also when the clock was ahead before');
SELECT loyalty.set_staff_branch(:m, :fede, loyalty.create_branch(:m, 'Otra')) \g /dev/null
-- Of an account that somebody left to another, what is there today is the other's.
SELECT loyalty.create_merchant('Los Herederos') AS h \gset
SELECT program_id AS hp FROM loyalty.create_program(:h, 'Herencia') \gset
SELECT loyalty.publish_rules(:h, :hp, '[{"name": "cinco", "points": 5, "max_month": 50}]'), loyalty.set_limit(:h, :hp, 'member', 'add', 1000) \g /dev/null
SELECT loyalty.create_member(:h, :hp, 'Abel', '4779998866') AS abel, loyalty.create_member(:h, :hp, 'Bety', '4779998867') AS bety \gset
SELECT loyalty.post(:h, :abel, 'deposit', 10), loyalty.share_account(:h, :bety, :abel), loyalty.leave_account(:h, :abel) \g /dev/null
SELECT loyalty.sale(:h, :abel, 100), loyalty.hold(:h, :abel, 3) \g /dev/null
CREATE FUNCTION pg_temp.has_now(merchant bigint, member bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(', ', (SELECT sum((b ->> 'balance')::numeric) FROM json_array_elements(x -> 'balances') b), (SELECT sum((b ->> 'held')::numeric) FROM json_array_elements(x -> 'balances') b),
					 json_array_length(x -> 'rules_used'), json_array_length(x -> 'limits_used'))
	FROM loyalty.export_member(merchant, member) x
$$;
SELECT is(pg_temp.has_now(:h, :abel), '0, 0, 0, 0', 'who left an account is not told what another has there');
SELECT is(pg_temp.has_now(:h, :bety), (SELECT concat_ws(', ', balance, held, 1, 0) FROM loyalty.balances WHERE merchant_id = :h AND account_id = :abel), 'who owns it now is, but not of a sum of the day in which the points are that the other had');
SELECT loyalty.erase_member(:h, :abel) \g /dev/null
SELECT is(pg_temp.has_now(:h, :abel), '0, 0, 0, 0', 'nor is that kept with who was erased');

-- What is told of limits, ranks, caps and what expired, of an account that has been two people's: to each what was theirs, in their time.
SELECT loyalty.create_merchant('La de dos') AS d \gset
SELECT loyalty.set_rank_ranges(:d, 'dos', '{plata,oro}', '{100,630}') \g /dev/null
SELECT program_id AS dp, wallet_key AS dw FROM loyalty.create_program(:d, 'De dos', 'DE-DOS', '{"range_group": "dos", "rank_window_value": 30, "rank_window_unit": "day"}') \gset
SELECT loyalty.publish_rules(:d, :dp, '[{"name": "tope", "points": 10, "max_day": 15}]'), loyalty.set_limit(:d, :dp, 'member', 'add', 10000) \g /dev/null
SELECT loyalty.employee_add(:d, 'gerente', 'Jefe', 'Centro', '4779990001', 'una clave larga') AS ds \gset
SELECT loyalty.create_member(:d, :dp, 'Nora', '4779998811') AS nora, loyalty.create_member(:d, :dp, 'Omar', '4779998812') AS omar \gset
SELECT loyalty.set_limit(:d, :dp, 'member', 'spend', 5, subject_id => :nora), loyalty.sale(:d, :nora, 6000) \g /dev/null
SELECT pg_sleep(0.3) FROM loyalty.post(:d, :nora, 'deposit', 7, expires_at => clock_timestamp()) \g /dev/null
SELECT pg_sleep(1.1); -- dates are in whole seconds
SELECT loyalty.post(:d, :nora, 'deposit', 1) \g /dev/null
CREATE FUNCTION pg_temp.told(merchant bigint, member bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(', ', (SELECT 'limits ' || string_agg(concat_ws(' ', l ->> 'direction', l ->> 'max_points'), ' ') FROM json_array_elements(x -> 'limits') l),
		(SELECT 'used ' || string_agg(concat_ws(' ', l ->> 'direction', l ->> 'points_used'), ' ') FROM json_array_elements(x -> 'limits_used') l),
		(SELECT 'ranks ' || string_agg(k ->> 'rank', ' ') FROM json_array_elements(x -> 'ranks_held') k),
		(SELECT 'expired ' || string_agg(l ->> 'points', ' ') FROM json_array_elements(x -> 'lots_expired') l),
		(SELECT 'rules ' || string_agg(concat_ws('/', u ->> 'points_day', u ->> 'points_week', u ->> 'points_month', u ->> 'points_year', u ->> 'points_ever'), ' ') FROM json_array_elements(x -> 'rules_used') u))
	FROM loyalty.export_member(merchant, member) x
$$;
SELECT is((SELECT concat_ws('/', points_day, points_week, points_month, points_year, points_ever) FROM loyalty_internal.rule_use WHERE merchant_id = :d), '10/10/10/10/10', 'what caps have counted');
SELECT is(pg_temp.told(:d, :nora), 'limits spend 5, used add 618, ranks plata, expired 7, rules 10/10/10/10/10', 'is told to who alone has had an account, with limits, ranks and what expired');
SELECT loyalty.share_account(:d, :omar, :nora), loyalty.leave_account(:d, :nora) \g /dev/null
SELECT is(pg_temp.told(:d, :nora), 'limits spend 5, used add 618, ranks plata, expired 7, rules 10/10/10/10/10', 'and stays theirs when another has it');
SELECT is((SELECT (k ->> 'ends_at')::timestamptz FROM json_array_elements(loyalty.export_member(:d, :nora) -> 'ranks_held') k), (SELECT since FROM loyalty_internal.account_owner WHERE merchant_id = :d AND member_id = :omar), 'until when it was a rank of theirs');
SELECT is(pg_temp.told(:d, :omar), 'ranks plata', 'who is told of the rank that comes with it, and of nothing else');
SELECT is((SELECT (k ->> 'since')::timestamptz FROM json_array_elements(loyalty.export_member(:d, :omar) -> 'ranks_held') k), (SELECT since FROM loyalty_internal.account_owner WHERE merchant_id = :d AND member_id = :omar), 'since then');
SELECT loyalty.wallet_sale(:d, :'dw', '4779998811', 0, 50, usertool_id => :ds, ticket => 'T1'), loyalty.sale(:d, :nora, 90, member_id => :omar) \g /dev/null
SELECT is(pg_temp.told(:d, :nora), 'limits spend 5, used add 633, ranks plata, expired 7, rules 10/10/10/10/10 10/10/10/10/10', 'what she does later counts by her number');
SELECT is(pg_temp.told(:d, :omar), 'used add 14, ranks plata oro, rules 5/5/5/5/5', 'and what he does by his');
SELECT loyalty.sale(:d, :nora, 10) \g /dev/null
SELECT is((SELECT concat_ws(' ', json_array_length(n -> 'limits_used'), json_array_length(o -> 'limits_used')) FROM loyalty.export_member(:d, :nora) n, loyalty.export_member(:d, :omar) o), '0 1', 'what counts for one under the number of another is a sum that is told to neither');
SELECT is_empty(format('SELECT * FROM loyalty.verify(%s)', :d), 'the ledger is sound');

-- All columns of all tables that have something by a member, their account, entry or policy, of somebody who has a row in each.
SELECT loyalty.create_merchant('La de todo') AS g \gset
SELECT loyalty.set_rank_ranges(:g, 'niveles', '{Plata,Oro}', '{0,50}') \g /dev/null
SELECT program_id AS gp FROM loyalty.create_program(:g, 'Todo') \gset
SELECT loyalty.configure_program(:g, :gp, '{"range_group":"niveles","duration_value":10,"duration_unit":"day"}'), loyalty.publish_rules(:g, :gp, '[{"name":"regalo","points":60,"max_month":90}]'),
	loyalty.create_app_user(:g, 'Banco de todo'), loyalty.create_product(:g, 'Vida', '1000', 5, max_payments => 4) \g /dev/null
SELECT loyalty.create_customer(:g, :gp, 'PEGJ800115HDFRRN07', 'Gala', 'Ruiz', phone => '4770000041', street => 'Uno') AS gala, loyalty.create_member(:g, :gp, 'Hugo') AS hugo \gset
SELECT loyalty.set_limit(:g, :gp, 'member', 'add', 1000), loyalty.set_limit(:g, :gp, 'member', 'add', 1000, subject_id => :gala), loyalty.identify_member(:g, :gala, phone => '4770000042'), loyalty.set_rank(:g, :gala, 'Oro', reason => 'porque sí') \g /dev/null
SELECT loyalty.grant_consent(:g, 'PEGJ800115HDFRRN07', 'Banco de todo', 'crédito', '1'), loyalty.customer_read(:g, 'individual_request', 'Banco de todo', 'PEGJ800115HDFRRN07', 'Mail'),
	loyalty.pay_policy(:g, loyalty.open_policy(:g, 'PEGJ800115HDFRRN07', 'Vida', 4), 250, 'SPEI', 'R', 'Banco de todo'), loyalty.blacklist_phone(:g, '4770000041') \g /dev/null
SELECT loyalty.share_account(:g, :gala, :hugo), loyalty.leave_account(:g, :hugo) \g /dev/null
SELECT loyalty.sale(:g, :hugo, 100), loyalty.hold(:g, :hugo, 3) \g /dev/null
INSERT INTO loyalty_internal.expired_lot (merchant_id, account_id, expires_at, points, refunded) VALUES (:g, :gala, now(), 5, 0);
INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body) VALUES (:g, :gala, 'sms', '4770000042', 'hola');
CREATE TEMP TABLE exported (place, key) AS
SELECT 'loyalty_internal.' || t.place, k.key
FROM loyalty.export_member(:g, :gala) x, (VALUES ('member', 'member'), ('customer', 'customer'), ('member_address', 'addresses'), ('member_change', 'changes'), ('account', 'balances'), ('account_owner', 'accounts_owned'),
	('reservation', 'reservations'), ('expired_lot', 'lots_expired'), ('rank_held', 'ranks_held'), ('rank_grant', 'ranks_given'), ('message', 'messages'), ('posting_limit', 'limits'), ('allowance', 'limits_used'),
	('rule_use', 'rules_used'), ('rule_award', 'rule_awards'), ('entry_rule', 'rule_points'), ('consent', 'consents'), ('access', 'accesses'), ('policy', 'policies')) t (place, list),
	LATERAL json_object_keys(CASE json_typeof(x -> t.list) WHEN 'array' THEN x -> t.list -> 0 ELSE x -> t.list END) k (key)
UNION ALL SELECT 'loyalty_internal.' || t.place, k.key FROM loyalty.export_member(:g, :gala) x, (VALUES ('instalment', 'instalments'), ('payment', 'payments')) t (place, list), json_object_keys(x #> ARRAY['policies', '0', t.list, '0']) k (key)
UNION ALL SELECT p.place, k.key FROM loyalty.export_member(:g, :gala) x, (VALUES ('loyalty.entry'), ('loyalty_internal.entry_remainder')) p (place), json_object_keys(x #> '{entries,0}') k (key);
-- Under another name, or in what they are nested in.
DELETE FROM loyalty_internal.expired_lot WHERE merchant_id = :g;
CREATE TEMP TABLE otherwise (place, names, because) AS VALUES
	('%', '{merchant_id}'::name[], 'it is the merchant''s, whose name is there'),
	('%.(customer|member_address|member_change|account_owner|rank_grant|message|consent|access|policy)', '{member_id}', 'whose it is'),
	('%.(instalment|payment)', '{policy_id}', 'they are in their policy'),
	('%.member', '{program_id}', 'program'), ('%.policy', '{product_id,payments}', 'product and number_of_payments'), ('%.(rank_held|rank_grant)', '{until}', 'ends_at'),
	('%.(posting_limit|allowance)', '{adds,scope,subject_id,program_id}', 'direction; all are of the member and their program'),
	('%.allowance', '{points_given,points_left,operations_given,operations_left}', 'points_used and operations_used'),
	('%.allowance', '{stripe,revision,drawn_from}', 'how what is left is shared out to sessions'),
	('%.account', '{program_id,moved_to}', 'of member: program and account_id'), ('%.account', '{text_key,hash,newest_entry_id,previous_entry_id,ranked_at}', 'keys, hashes, and how it is counted'),
	('%.entry', '{hash,text_digest,previous_entry_id}', 'hashes, and the order that entry_no says'), ('%.consent', '{acceptance_hash}', 'a hash'), ('%.payment', '{reference_digest,payer_digest}', 'digests'),
	('%.member_change', '{change_id}', 'their order'), ('%.access', '{access_id,minute,curp_hash}', 'which refusals are one row'),
	('%.entry_salt', '{entry_id,salt}', 'keys'), ('%.reversal', '{entry_id,account_id,reference_digest,reversed_by,amount,money,balance,lots,expired,peer_entry_id,peer_balance}', 'the answer to a repeat, of which the entry has the rest'),
	('%.report_account', '{account_id,entry_no}', 'how far reports have counted');
CREATE TEMP VIEW kept AS
SELECT c.oid::regclass::text AS place, a.attname AS name
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND c.relkind IN ('r', 'p', 'm')
  AND EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = c.oid AND NOT b.attisdropped AND b.attname IN ('member_id', 'account_id', 'entry_id', 'policy_id', 'subject_id'));
SELECT is_empty($$SELECT k.place, k.name FROM kept k WHERE NOT EXISTS (SELECT FROM exported e WHERE e.place = k.place AND e.key = k.name)
	AND NOT EXISTS (SELECT FROM otherwise o WHERE k.place SIMILAR TO o.place AND k.name = ANY (o.names))$$, 'each column of a table that has something of a member is exported, or has its reason');
SELECT is_empty($$SELECT o.place, n.name, o.because FROM otherwise o, unnest(o.names) n (name) WHERE NOT EXISTS (SELECT FROM kept k WHERE k.place SIMILAR TO o.place AND k.name = n.name)
	OR o.place <> '%' AND o.place !~ 'account|entry' AND EXISTS (SELECT FROM exported e WHERE e.place SIMILAR TO o.place AND e.key = n.name AND n.name <> 'payments')$$, 'and there is no other reason');
SELECT is((SELECT string_agg(e ->> 'phone', ' ') FROM json_array_elements(loyalty.export_member(:g, :gala) -> 'blacklisted') e), '4770000041', 'a phone of before is on the blacklist');
SELECT loyalty.export_staff(:m, :fede) AS export \gset
SELECT is((SELECT string_agg(key || ' ' || CASE json_typeof(value) WHEN 'array' THEN json_array_length(value)::text ELSE value ->> 'name' END, ', ') FROM json_each(:'export') WHERE key NOT IN ('exported_at', 'merchant')),
	'staff Fede, worked_at 1, programs 1, blacklisted 1, limits 0, limits_used 1, enrolled 0, entries 1', 'what is kept of a cashier');
SELECT is(:'export' ~ 'Carlos|boleto|clave', false, 'has nothing of others, and no password');
SELECT loyalty.create_product(:m, 'Vida', 1000, 9), loyalty.open_policy(:m, 'PEGJ800115HDFRRN07', 'Vida', service => 'para Juan, su hijo') \g /dev/null
SELECT is(loyalty.export_member(:m, :carlos) #>> '{policies,0,service}', 'para Juan, su hijo', 'the service of a policy, which is said in words, too');
SELECT pg_temp.refuses(format('SELECT loyalty.export_staff(%s, %s)', m, id), 'unknown_object', format('export_staff(%s, %s)', m, id)) FROM (VALUES (:m, '999'), (1, :'fede'), (:m, 'NULL'), (NULL, :'fede')) v (m, id) WHERE m IS NOT NULL;
SELECT is_empty($$SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'staff_id' AND NOT a.attisdropped WHERE c.relnamespace::regnamespace::text LIKE 'loyalty%' AND c.relkind IN ('r', 'p')
	AND c.relname NOT IN ('staff', 'staff_program', 'staff_move', 'entry', 'report_day')$$, 'every table that has a cashier''s number is looked at');

SELECT loyalty.erase_member(:m, :carlos) \g /dev/null
SELECT results_eq(format('SELECT service FROM loyalty.policies WHERE merchant_id = %s', :m), $$VALUES ('')$$, 'which is erased with the rest of an order');

-- --- the second step of a cancellation ----------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.delete_blocked_customers(%s, max_rows => %L)', :m, n), 'invalid_argument', 'max_rows: ' || coalesce(n, 'NULL')) FROM unnest('{NULL,0,-1,1000001}'::text[]) n;
SELECT count(loyalty.create_customer(:m, :p, curp::loyalty.curp, 'Cliente', 'Uno')) AS n FROM unnest('{CAMC880526HMCBNR04,CAPC200504HMCBXRA2,REAE060617MMCYLVA4}'::text[]) curp \gset
SELECT is(count(*), 3::bigint, 'three are blocked') FROM unnest('{CAMC880526HMCBNR04,CAPC200504HMCBXRA2,REAE060617MMCYLVA4}'::text[]) curp WHERE loyalty.block_customer(:m, curp::loyalty.curp);
SELECT is(string_agg(loyalty.delete_blocked_customers(:m, '0', 2)::text, ' ' ORDER BY i), '2 1 0', 'and erased, two at a time') FROM generate_series(1, 3) i;
SELECT is_empty(format('SELECT * FROM loyalty.customers WHERE merchant_id = %s', :m), 'none is left');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;

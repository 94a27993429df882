-- Erasure and export: what test/t/72_erasure.pl does not come to, since it takes
-- odd details, odd answers, accounts that changed hands.
\ir ../tap.sql

-- --- what of a detail names nobody ------------------------------------------------------

SELECT is(loyalty_internal.impersonal_detail(detail)::jsonb, kept::jsonb, 'impersonal_detail: ' || coalesce(detail::text, 'NULL'))
FROM (VALUES (NULL::json, NULL::json), ('{}', NULL), ('[]', NULL), ('[{"branchId":"1"}]', NULL), ('"x"', NULL), ('null', NULL), ('{"comments":"x","concept":"y","vendorId":"z","reference":"r"}', NULL),
	('{"branchId":"B","currency":"MXN","amountCurrency":1.50,"comments":"x"}', '{"branchId":"B","currency":"MXN","amountCurrency":1.50}'), ('{"branchId":7}', '{"branchId":7}'),
	('{"branchId":{"name":"Ana"},"currency":["Ana"],"amountCurrency":null}', NULL), ('{"items":"Ana"}', '{"items":[]}'), ('{"items":{"sku":"Ana"}}', '{"items":[]}'),
	('{"items":[{"sku":"S","category":"C","quantity":2,"unitPrice":"1.5","name":"para Ana"},{"name":"Ana"},"Ana",["Ana"],{"sku":{"name":"Ana"}}]}', '{"items":[{"sku":"S","category":"C","quantity":2,"unitPrice":"1.5"},{},{},{},{}]}')) v (detail, kept);
SELECT is(loyalty_internal.impersonal_detail('{"items":[{"unitPrice":5.10,"sku":"S"}],"comments":"x","branchId":"B"}') #>> '{items,0,unitPrice}', '5.10', 'numbers are as they were written');

-- --- what of an answer is of somebody ---------------------------------------------------

SELECT is(loyalty_internal.answer_without(answer, '{"id 7":true,"member P C1":true,"member  C1":true,"curp CURP":true}'), without, 'answer_without: ' || answer)
FROM (VALUES ('[]'::json, '[]'), ('{}', '{}'), ('[{"programId":"P","memberId":"C1","totalPoints":1.50,"status":"success"},{"programId":"P","memberId":"C2"}]',
		'[{"programId":"P","memberId":"","totalPoints":1.50,"status":"success"},{"programId":"P","memberId":"C2"}]'),
	('{"programId":"Q","memberId":"C1"}', '{"programId":"Q","memberId":"C1"}'), ('{"programId":"","memberId":"C1"}', '{"programId":"","memberId":""}'),
	('{"id":"7","clientId":"C1","rank":{"name":"Oro"},"balance":12,"address":[{"street":"x"}],"ok":true,"n":null}', '{"id":"7","clientId":"","rank":{"name":""},"balance":12,"address":[{"street":""}],"ok":true,"n":null}'),
	('{"id":"8","clientId":"C1"}', '{"id":"8","clientId":"C1"}'), ('{"id":7,"clientId":"x\"y"}', '{"id":7,"clientId":""}'),
	('{"ok":true,"mensaje":"m","datos_compra":{"id_venta":"3","id_contacto":"7","nombre":"Ana","poliza":"P1"}}', '{"ok":true,"mensaje":"m","datos_compra":{"id_venta":"3","id_contacto":"7","nombre":"","poliza":"P1"}}'),
	('{"curp_en_uso":"CURP","data":{"nombre":"Ana"}}', '{"curp_en_uso":"","data":{"nombre":""}}'), ('{"CURP":"OTRA","nombre":"Ana"}', '{"CURP":"OTRA","nombre":"Ana"}')) v (answer, without);

-- --- accounts that changed hands --------------------------------------------------------

SELECT loyalty.create_merchant('M') AS m \gset
SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P') \gset
SELECT loyalty.create_member(:m, :p, 'Ana', '4770000001', client_id => 'A') AS ana, loyalty.create_member(:m, :p, 'Beto', '4770000002', client_id => 'B') AS beto,
	loyalty.create_member(:m, :p, 'Caro', '4770000003', client_id => 'C') AS caro \gset
SELECT entry_id AS e FROM loyalty.post(:m, :ana, 'deposit', '10', 'de Ana') \gset
SELECT loyalty.share_account(:m, :beto, :ana) \g /dev/null
SELECT loyalty.post(:m, :ana, 'deposit', '10', 'de Beto', member_id => :beto) \g /dev/null
SELECT loyalty.post(:m, :ana, 'deposit', '10', 'de nadie conocido', member_id => 42) \g /dev/null
SELECT pg_sleep(0.002) \g /dev/null
SELECT loyalty.leave_account(:m, :ana, 5) AS anew \gset
SELECT loyalty.post(:m, :ana, 'deposit', '10', 'de Beto, el heredero') \g /dev/null
SELECT loyalty.post(:m, :anew, 'deposit', '1', 'de Ana, en la suya') \g /dev/null
SELECT loyalty.transfer(:m, :caro, :anew, 1, 'de Caro a Ana') FROM loyalty.post(:m, :caro, 'deposit', '1', 'de Caro') \g /dev/null
SELECT text_key AS key FROM loyalty_internal.account WHERE account_id = :ana \gset
SELECT text_key AS key2 FROM loyalty_internal.account WHERE account_id = :anew \gset
-- The clock of a transaction stands still, but that of the engine does not.
SELECT is(loyalty.erase_member(:m, :ana), true, 'who has left a shared account is erased');
SELECT results_eq(format('SELECT reference FROM loyalty.entry WHERE merchant_id = %s AND reference IS NOT NULL ORDER BY 1', :m), $$VALUES ('de Beto' COLLATE "C"), ('de Beto, el heredero'), ('de Caro')$$, 'what others did there is theirs');
SELECT is(count(*), 5::bigint, 'the rest is hers, on both sides of a transfer') FROM loyalty.entry WHERE merchant_id = :m AND text_digest IS NOT NULL;
SELECT is(text_key, :'key', 'the key of others'' texts is kept') FROM loyalty_internal.account WHERE account_id = :ana;
SELECT isnt(text_key, :'key2', 'that of hers is not') FROM loyalty_internal.account WHERE account_id = :anew;
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');
SELECT is(loyalty.erase_member(:m, :beto), true, 'the heir is erased');
SELECT isnt(text_key, :'key', 'then nobody needs the key') FROM loyalty_internal.account WHERE account_id = :beto;
SELECT results_eq(format('SELECT reference FROM loyalty.entry WHERE merchant_id = %s AND reference IS NOT NULL ORDER BY 1', :m), $$VALUES ('de Caro' COLLATE "C")$$, 'and his texts');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is still sound');
SELECT is(loyalty.export_member(:m, :ana) #>> '{member,name}', 'cancelado', 'what is kept of who was erased');
SELECT is(json_array_length(loyalty.export_member(:m, :ana) -> 'entries'), 6, 'is what she did, without words');
SELECT is(loyalty.export_member(:m, :caro) #>> '{entries,0,reference}', 'de Caro', 'what is kept of others is whole');
SELECT pg_temp.refuses(format('SELECT loyalty.%s(%s, %s)', f, m, id), 'unknown_object', format('%s(%s, %s)', f, m, id))
FROM unnest('{erase_member,erase_staff,export_member}'::text[]) f, (VALUES (:m, 42::text), (1, :'caro'), (:m, 'NULL'), (NULL, :'caro')) v (m, id) WHERE m IS NOT NULL;

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

-- --- the second step of a cancellation ----------------------------------------------------

SELECT pg_temp.refuses(format('SELECT loyalty.delete_blocked_customers(%s, max_rows => %L)', :m, n), 'invalid_argument', 'max_rows: ' || coalesce(n, 'NULL')) FROM unnest('{NULL,0,-1,1000001}'::text[]) n;
SELECT count(loyalty.create_customer(:m, :p, curp::loyalty.curp, 'Cliente', 'Uno')) AS n FROM unnest('{CAMC880526HMCBNR04,CAPC200504HMCBXRA2,REAE060617MMCYLVA4}'::text[]) curp \gset
SELECT is(count(*), 3::bigint, 'three are blocked') FROM unnest('{CAMC880526HMCBNR04,CAPC200504HMCBXRA2,REAE060617MMCYLVA4}'::text[]) curp WHERE loyalty.block_customer(:m, curp::loyalty.curp);
SELECT is(string_agg(loyalty.delete_blocked_customers(:m, '0', 2)::text, ' ' ORDER BY i), '2 1 0', 'and erased, two at a time') FROM generate_series(1, 3) i;
SELECT is_empty(format('SELECT * FROM loyalty.customers WHERE merchant_id = %s', :m), 'none is left');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'the ledger is sound');

SELECT * FROM finish();
ROLLBACK;

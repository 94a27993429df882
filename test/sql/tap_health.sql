-- What monitoring reads: the figures of loyalty.metrics, what loyalty.health()
-- makes of them, who may read both, and what they cost where much is stored.
\ir ../tap.sql

SELECT results_eq('SELECT * FROM loyalty.health()', $$VALUES ('outbox', true, 0::bigint, NULL::text), ('due', true, 0, NULL), ('quotas', true, 0, NULL), ('roots', true, 0, NULL), ('ledger', true, 0, NULL), ('maintenance', true, 0, NULL), ('triggers', true, 0, NULL)$$,
	'without merchants all is well');
SELECT is_empty('TABLE loyalty.metrics', 'and there are no figures');

SELECT loyalty.create_merchant('Salud') AS m, loyalty.create_merchant('Otra') AS other \gset
SELECT program_id AS p, wallet_key AS w FROM loyalty.create_program(:m, 'Monedero', settings => '{"duration_unit": "month", "duration_value": 1}') \gset
SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset

-- Rows of a view or a function as one text, of this merchant alone.
CREATE FUNCTION pg_temp.figures(VARIADIC columns text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE format('SELECT concat_ws('' '', %s) FROM loyalty.metrics WHERE merchant_id = %s', array_to_string(ARRAY(SELECT format('coalesce(%I::text, ''-'')', c) FROM unnest(columns) c), ', '),
		current_setting('regress.merchant')) INTO STRICT found;
	RETURN found;
END
$$;
CREATE FUNCTION pg_temp.health(of text) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s %s %s', healthy, merchants, replace(coalesce(detail, '-'), current_setting('regress.merchant'), 'M')) FROM loyalty.health() WHERE aspect = of
$$;
SELECT set_config('regress.merchant', :'m', false) \g /dev/null

SELECT is(pg_temp.figures('messages_waiting', 'message_age_s', 'accounts_due', 'due_age_s', 'open_holds', 'customers_left', 'redemptions_left', 'messages_left', 'root_age_s', 'verify_age_s', 'verify_failed', 'key_age_s', 'keys_idle'),
	'0 - 0 - 0 - - - - - false - 0', 'a merchant without anything');

-- --- the outbox ----------------------------------------------------------------

SELECT loyalty.wallet_contact_add(:m, :'w', '4771234567', 'Uno', :staff) AS one \gset
SELECT loyalty.wallet_contact_add(:m, :'w', '4771234568', 'Dos', :staff) AS two \gset
UPDATE loyalty_internal.message SET created_at = now() - interval '50 min' WHERE member_id = :one;
SELECT is(pg_temp.figures('messages_waiting', 'message_age_s'), '2 3000', 'messages that wait, and for how long the oldest has');
SELECT is(pg_temp.health('outbox'), 't 0 -', 'which is not too long');
UPDATE loyalty_internal.message SET created_at = now() - interval '61 min' WHERE member_id = :one;
SELECT is(pg_temp.health('outbox'), 'f 1 merchant M: 2 messages wait, the oldest for 3660 s', 'after an hour it is');
UPDATE loyalty_internal.message SET sent_at = now() WHERE member_id = :one;
SELECT is(pg_temp.figures('messages_waiting', 'message_age_s') || ', ' || pg_temp.health('outbox'), '1 0, t 0 -', 'once it is sent it is not');

-- --- accounts that are due ----------------------------------------------------------

SELECT account_id AS a FROM loyalty.members WHERE member_id = :one \gset
SELECT account_id AS b FROM loyalty.members WHERE member_id = :two \gset
SELECT FROM loyalty.post(:m, :a, 'accrue', 10) \g /dev/null
SELECT FROM loyalty.post(:m, :b, 'accrue', 10) \g /dev/null
SELECT is(pg_temp.figures('accounts_due', 'due_age_s'), '0 -', 'points that expire some day are not due');
UPDATE loyalty_internal.account SET due_at = now() - interval '2 h' WHERE account_id = :a;
UPDATE loyalty_internal.account SET due_at = now() - interval '1 h' WHERE account_id = :b;
SELECT is(pg_temp.figures('accounts_due', 'due_age_s') || ', ' || pg_temp.health('due'), '2 7200, t 0 -', 'two are');
UPDATE loyalty_internal.account SET due_at = now() - interval '25 h' WHERE account_id = :a;
SELECT is(pg_temp.health('due'), 'f 1 merchant M: 2 accounts are due, the oldest for 90000 s', 'for more than a day');
UPDATE loyalty_internal.account SET due_at = now() + interval '1 h' WHERE merchant_id = :m;

-- --- API keys ---------------------------------------------------------------------------

SELECT key_id AS k FROM loyalty.create_api_key(:m, 'caja') \gset
SELECT FROM loyalty.create_api_key(:other, 'otra') \g /dev/null
SELECT is(pg_temp.figures('key_age_s', 'keys_idle'), '- 0', 'a new key was not used, and is not idle');
UPDATE loyalty_internal.api_key SET created_at = now() - interval '90 days 1 s' WHERE merchant_id IN (:m, :other);
SELECT is(pg_temp.figures('key_age_s', 'keys_idle'), '- 1', 'after 90 days it is');
UPDATE loyalty_internal.api_key SET last_used_at = now() - interval '90 days' WHERE key_id = :k;
SELECT is(pg_temp.figures('key_age_s', 'keys_idle'), '7776000 0', 'it was used in them');
UPDATE loyalty_internal.api_key SET last_used_at = now() - interval '91 days' WHERE key_id = :k;
SELECT FROM loyalty.create_api_key(:m, 'caja 2') \g /dev/null
UPDATE loyalty_internal.api_key SET last_used_at = now() - interval '1 hour' WHERE merchant_id = :m AND label = 'caja 2';
SELECT is(pg_temp.figures('key_age_s', 'keys_idle'), '3600 1', 'the newest use of all counts, and the other is idle');
SELECT loyalty.disable_api_key(:m, :k) \g /dev/null
SELECT is(pg_temp.figures('key_age_s', 'keys_idle'), '3600 0', 'but not one that is disabled');

-- --- holds, quotas ---------------------------------------------------------------------

SELECT entry_id AS hold FROM loyalty.hold(:m, :a, 3) \gset
SELECT FROM loyalty.post(:m, :b, 'accrue', 5, available_at => now() + interval '1 day') \g /dev/null
SELECT is(pg_temp.figures('open_holds'), '1', 'a hold, and no pending points');
SELECT FROM loyalty.release(:m, :a, :hold, in_full => true) \g /dev/null
SELECT is(pg_temp.figures('open_holds'), '0', 'until it is released');
SELECT loyalty.set_quota(:m, 'messages', 100), loyalty.set_quota(:m, 'customers', 5000) \g /dev/null
SELECT is(pg_temp.figures('customers_left', 'redemptions_left', 'messages_left') || ', ' || pg_temp.health('quotas'), '5000 - 100, t 0 -', 'quotas');
SELECT loyalty.set_quota(:m, 'messages', 99), loyalty.set_quota(:m, 'redemptions', 7) \g /dev/null
SELECT is(pg_temp.health('quotas'), 'f 1 merchant M: 7 redemptions are left', 'that run out: one merchant, and what is lowest');

-- --- roots, verify() ----------------------------------------------------------------------

SELECT FROM loyalty.make_root(:m) \g /dev/null
SELECT is(pg_temp.figures('root_age_s') || ', ' || pg_temp.health('roots'), '0, t 0 -', 'a root');
UPDATE loyalty_internal.root SET made_at = now() - interval '31 days' WHERE merchant_id = :m;
SELECT is(pg_temp.health('roots'), 'f 1 merchant M: the newest root is 2678400 s old', 'a month ago');
SELECT is_empty('SELECT * FROM loyalty.verify(' || :'m' || ')', 'verify() finds nothing');
SELECT is(pg_temp.figures('verify_age_s', 'verify_failed'), '0 false', 'which is known');
UPDATE loyalty_internal.verification SET verified_at = verified_at - interval '1 h', clean_at = clean_at - interval '1 h';
SELECT is(pg_temp.figures('verify_age_s', 'verify_failed'), '3600 false', 'when');
UPDATE loyalty_internal.account SET balance = balance + '1' WHERE account_id = :a;
SELECT isnt_empty('SELECT * FROM loyalty.verify()', 'when it finds something');
SELECT is(pg_temp.figures('verify_age_s', 'verify_failed') || ', ' || pg_temp.health('ledger'), '3600 true, f 1 merchant M: verify() found something', 'that too, and when it last did not');
SELECT is((SELECT format('%s %s', verify_age_s, verify_failed) FROM loyalty.metrics WHERE merchant_id = :other), '0 f', 'of another merchant it found nothing');
UPDATE loyalty_internal.account SET balance = balance - '1' WHERE account_id = :a;
UPDATE loyalty_internal.verification SET verified_at = verified_at - interval '1 h' WHERE merchant_id = :m;
SELECT is_empty('SELECT * FROM loyalty.verify()', 'mended');
SELECT is(pg_temp.figures('verify_age_s', 'verify_failed') || ', ' || pg_temp.health('ledger'), '0 false, t 0 -', 'all is well');
UPDATE loyalty_internal.verification SET verified_at = verified_at - interval '73 h', clean_at = clean_at - interval '73 h' WHERE merchant_id = :m;
SELECT is(pg_temp.health('ledger'), 't 0 -', 'a new merchant has not been verified yet');
UPDATE loyalty_internal.merchant SET created_at = now() - interval '73 h' WHERE merchant_id IN (:m, :other);
SELECT is(pg_temp.health('ledger'), 'f 1 merchant M: verify() last found nothing 262800 s ago', 'but for three days');
DELETE FROM loyalty_internal.verification WHERE merchant_id = :other;
SELECT is(pg_temp.health('ledger'), format('f 2 merchant %s: verify() has never been run', :'other'), 'or ever');
-- a savepoint of psql's would take the setting back
\set ON_ERROR_ROLLBACK off
SAVEPOINT reading;
SET TRANSACTION READ ONLY;
SELECT count(*) AS breaches FROM loyalty.verify(:other) \gset
SELECT coalesce(verify_age_s::text, 'unknown') AS age FROM loyalty.metrics WHERE merchant_id = :other \gset
ROLLBACK TO reading;
\set ON_ERROR_ROLLBACK 1
SELECT is(:breaches, 0, 'what can only be read is verified');
SELECT is(:'age'::text, 'unknown', 'and nothing noted of it');

-- --- triggers -----------------------------------------------------------------------------

CREATE FUNCTION pg_temp.triggers(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE change;
	found := pg_temp.health('triggers');
	PERFORM loyalty_internal.seal();
	RETURN found || ', then ' || pg_temp.health('triggers');
END
$$;
SELECT is(pg_temp.health('triggers'), 't 0 -', 'triggers are as they were created');
SELECT is(pg_temp.triggers(format('ALTER TABLE loyalty_internal.%I %s', t, change)),
	format('f 2 a trigger of loyalty_internal.%s is not enabled always: run loyalty_internal.seal(), then t 0 -', t), t || ' ' || change)
FROM unnest('{program,rank_range,rank_past,rule,posting_limit}'::text[]) t,
	unnest('{DISABLE TRIGGER ALL,ENABLE TRIGGER USER,ENABLE REPLICA TRIGGER forget_applied}'::text[]) change;
SELECT is((SELECT string_agg(DISTINCT t.tgenabled::text, '') FROM pg_trigger t JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = t.tgrelid AND d.deptype = 'e' WHERE NOT t.tgisinternal), 'A',
	'which all triggers of the extension are');

-- --- what it costs ----------------------------------------------------------------------------

CREATE FUNCTION pg_temp.read(relation regclass) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT pg_stat_get_xact_tuples_returned(relation) + (SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_index i WHERE i.indrelid = relation)::bigint
$$;
SELECT loyalty.create_merchant('Grande') AS m \gset
SELECT program_id AS p FROM loyalty.create_program(:m, 'Grande', settings => '{"duration_unit": "month", "duration_value": 1}') \gset
INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, due_at) SELECT :m, i, :p, CASE WHEN i > 30000 THEN now() + interval '1 day' WHEN i % 2 = 0 THEN now() - interval '1 s' * i END FROM generate_series(1, 60000) i;
INSERT INTO loyalty_internal.message (merchant_id, member_id, channel, phone, body, sent_at) SELECT :m, i, 'sms', '4771234567', 'x', CASE WHEN i > 15000 THEN now() END FROM generate_series(1, 30000) i;
INSERT INTO loyalty_internal.reservation (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining)
SELECT :m, i, i, 1, 6, '1', (CASE WHEN i > 15000 THEN '0' ELSE '1' END)::loyalty.points FROM generate_series(1, 30000) i;
SELECT pg_temp.read('loyalty_internal.account') AS accounts, pg_temp.read('loyalty_internal.message') AS messages, pg_temp.read('loyalty_internal.reservation') AS reservations, pg_temp.read('loyalty.entry') AS entries \gset
SELECT is((SELECT format('%s %s %s %s', messages_waiting, accounts_due, due_age_s, open_holds) FROM loyalty.metrics WHERE merchant_id = :m), '10000 10000 30000 10000', 'counts end at 10,000');
SELECT cmp_ok(pg_temp.read('loyalty_internal.account') - :accounts, '<=', 10100::bigint, 'of 60,000 accounts no more are read');
SELECT cmp_ok(pg_temp.read('loyalty_internal.message') - :messages, '<=', 10100::bigint, 'nor of 30,000 messages');
SELECT cmp_ok(pg_temp.read('loyalty_internal.reservation') - :reservations, '<=', 10100::bigint, 'nor of as many reservations');
SELECT is(pg_temp.read('loyalty.entry') - :entries, 0::bigint, 'and of entries none');
SELECT pg_temp.read('loyalty_internal.account') AS accounts \gset
SELECT is((SELECT count(*) FROM loyalty.health()), 7::bigint, 'health() reads');
SELECT cmp_ok(pg_temp.read('loyalty_internal.account') - :accounts, '<=', 10100::bigint, 'as much');

-- --- who may ------------------------------------------------------------------------------------

CREATE ROLE regress_monitor;
GRANT pg_monitor TO regress_monitor;
SET LOCAL ROLE regress_monitor;
SELECT is((SELECT count(*) FROM loyalty.metrics), 3::bigint, 'pg_monitor reads the figures');
SELECT is((SELECT count(*) FROM loyalty.health()), 7::bigint, 'the health');
SELECT is_empty('TABLE loyalty.progress', 'and what work is in progress');
SELECT throws_ok('TABLE loyalty.' || name, '42501', NULL, 'but not loyalty.' || name) FROM unnest('{merchants,members,entry,outbox,quotas}'::text[]) name;
SELECT throws_ok('SELECT * FROM loyalty.verify()', '42501', NULL, 'nor does it verify');
RESET ROLE;
SELECT is((loyalty_api.ready()) ->> 'status', 'ready', 'the database is ready');

SELECT * FROM finish();
ROLLBACK;

-- A row of an index takes some 2,700 bytes.  No text that is indexed may be longer
-- than that, or what it was to be written with fails unexpectedly.
\ir ../tap.sql

-- so many bytes, which cannot be compressed
CREATE FUNCTION pg_temp.noise(bytes integer) RETURNS text LANGUAGE sql AS
$$SELECT left(string_agg(translate(encode(sha256((random()::text || i)::bytea), 'base64'), E'\n', ''), ''), bytes) FROM generate_series(1, bytes / 40 + 1) i$$;

SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT program_id AS p, wallet_key AS w FROM loyalty.create_program(:m, 'Club', 'C') \gset
SELECT loyalty.create_app_user(:m, 'Banco') \g /dev/null
SELECT loyalty.create_member(:m, :p, 'Ana', '4771234567', 'ana@correo.example', 'A1') AS ana \gset
SELECT loyalty.create_customer(:m, :p, 'CAMC880526HMCBNR04', pg_temp.noise(1024), pg_temp.noise(1024), pg_temp.noise(1024)) AS long \gset

-- Each text of an index, and what bounds it: a CHECK or the engine that makes it, or the function that takes it, which is asked below.
CREATE TEMP TABLE bounded (index_name text, key text, by text);
INSERT INTO bounded VALUES
	('program_merchant_id_wallet_key_key', 'wallet_key', 'made'), ('program_merchant_id_client_id_key', 'client_id', 'check'),
	('rule_merchant_id_program_id_version_name_key', 'name', 'publish_rules'), ('rule_use_pkey', 'rule', 'publish_rules'), ('rule_award_pkey', 'rule', 'publish_rules'),
	('rank_range_pkey', 'range_group', 'check'), ('rank_range_pkey', 'rank', 'check'), ('rank_range_merchant_id_range_group_from_points_key', 'range_group', 'check'),
	('rank_held_pkey', 'rank', 'check'), ('rank_past_pkey', 'rank', 'check'),
	('posting_limit_pkey', 'scope', 'check'), ('allowance_pkey', 'scope', 'made'), ('quota_pkey', 'resource', 'set_quota'), ('fraud_threshold_pkey', 'threshold', 'set_fraud_threshold'), ('fraud_count_pkey', 'look', 'made'), ('sql_role_merchant_id_name_key', 'name', 'made'),
	('branch_name', 'loyalty.fold(name)', 'create_branch'), ('staff_active_name', 'loyalty.fold(name)', 'employee_add'), ('staff_active_password', 'password_digest', 'check'),
	('member_merchant_id_program_id_client_id_key', 'client_id', 'create_member'), ('member_email', 'loyalty.fold(email)', 'create_member'),
	('member_change_was', '"left"(was, 255)', 'itself'), ('idempotency_space_pkey', 'app_user', 'create_app_user'), ('supported_area_code_pkey', 'code', 'set_area_code'),
	('app_user_pkey', 'name', 'create_app_user'), ('maintenance_pkey', 'task', 'made'), ('maintenance_due', 'task', 'made'), ('app_user_key_pkey', 'app_user', 'create_app_user'), ('consent_member', 'app_user', 'create_app_user'),
	('access_refusal', 'app_user', 'create_app_user'), ('access_refusal', 'operation', 'made'), ('access_refusal', 'address', 'made'),
	('product_merchant_id_name_key', 'name', 'create_product'), ('product_family', 'family', 'create_product'), ('policy_merchant_id_policy_number_key', 'policy_number', 'made'), ('payment_pkey', 'app_user', 'create_app_user');
SELECT set_eq($$SELECT c.relname::text, pg_get_indexdef(i.indexrelid, k, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
	JOIN pg_attribute a ON a.attrelid = i.indexrelid, generate_series(1, i.indnkeyatts) k
	WHERE a.attnum = k AND a.atttypid IN ('text'::regtype, 'json'::regtype, 'bytea'::regtype, 'varchar'::regtype) AND c.relnamespace::regnamespace::text ~ '^loyalty'
	  AND NOT (a.atttypid = 'bytea'::regtype AND a.attname ~ '_(digest|hash)$')$$,
	'SELECT index_name, key FROM bounded', 'the texts that are indexed, each of which is bounded');
SELECT is_empty($$SELECT b.* FROM bounded b WHERE b.by = 'check' AND b.index_name !~ '^(rank_held|rank_past)_' AND NOT EXISTS (SELECT FROM pg_constraint o JOIN pg_index i ON i.indrelid = o.conrelid JOIN pg_class c ON c.oid = i.indexrelid
	WHERE c.relname = b.index_name AND o.contype = 'c' AND pg_get_constraintdef(o.oid) ~ (b.key || '\M') AND pg_get_constraintdef(o.oid) ~ 'length|ANY')$$, 'by a CHECK, where it says so');

-- Each function refuses what is too long for an index, with an error of its own.
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
CREATE TEMP TABLE asked (call text);
INSERT INTO asked SELECT format(c, :m, :p, :'w') FROM unnest(ARRAY[
	$$loyalty.publish_rules(%1$s, %2$s, json_build_array(json_build_object('name', pg_temp.noise(3000), 'points', 1)))$$,
	$$loyalty.create_branch(%1$s, pg_temp.noise(3000))$$,
	$$loyalty.employee_add(%1$s, 'cajero', pg_temp.noise(3000), 'Centro', '4771000001', 'muy secreto')$$,
	$$loyalty.employee_add(%1$s, 'cajero', 'Eva', pg_temp.noise(3000), '4771000002', 'otro secreto')$$,
	$$loyalty.set_quota(%1$s, pg_temp.noise(3000), 1)$$,
	$$loyalty.set_fraud_threshold(%1$s, pg_temp.noise(3000), 1)$$,
	$$loyalty.create_member(%1$s, %2$s, 'Eva', email => pg_temp.noise(3000))$$,
	$$loyalty.create_member(%1$s, %2$s, 'Eva', client_id => pg_temp.noise(3000))$$,
	$$loyalty.identify_member(%1$s, (SELECT min(member_id) FROM loyalty.members WHERE merchant_id = %1$s), email => pg_temp.noise(3000))$$,
	$$loyalty.identify_member(%1$s, (SELECT min(member_id) FROM loyalty.members WHERE merchant_id = %1$s), client_id => pg_temp.noise(3000))$$,
	$$loyalty.seller_member_create(%1$s, 'C', pg_temp.noise(3000), 'Eva', 'Gil')$$,
	$$loyalty.seller_member_create(%1$s, 'C', 'e@x.mx', 'Eva', 'Gil', client_id => pg_temp.noise(3000))$$,
	$$loyalty.create_app_user(%1$s, pg_temp.noise(3000))$$,
	$$loyalty.set_area_code(pg_temp.noise(3000), true)$$,
	$$loyalty.create_program(%1$s, 'Dos', pg_temp.noise(3000))$$,
	$$loyalty.set_rank_ranges(%1$s, pg_temp.noise(3000), '{Oro}', '{0}', '{1}')$$,
	$$loyalty.set_rank_ranges(%1$s, 'n', ARRAY[pg_temp.noise(3000)], '{0}', '{1}')$$,
	$$loyalty.create_product(%1$s, pg_temp.noise(3000), 1, 1)$$,
	$$loyalty.create_product(%1$s, 'Vida', 1, 1, family => pg_temp.noise(3000))$$]) c;
SELECT ok(pg_temp.refusal(call) NOT IN ('done', '54000'), format('%s: %s', call, pg_temp.refusal(call))) FROM asked;
SELECT results_eq($$SELECT DISTINCT pg_temp.refusal(replace(call, '3000', '1024')) FROM asked WHERE call ~ 'create_branch|employee_add|create_member|identify_member|create_product|create_app_user'$$, $$VALUES ('done')$$, 'one of 1,024 bytes has its place');

-- What a member was is kept whole, and found by how it begins.
SELECT is(pg_temp.refusal(format('loyalty.correct_member(%s, %s, first_name => ''Ana'', first_last_name => ''Ruiz'', second_last_name => '''')', :m, :long)), 'done', 'a name of three kilobytes can be corrected');
SELECT is((SELECT max(octet_length(was)) FROM loyalty.member_changes WHERE merchant_id = :m AND attribute = 'name'), 3074, 'what it was is kept');
SET enable_seqscan = off;
CREATE FUNCTION pg_temp.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan;
END
$$;
SELECT matches(pg_temp.plan($$SELECT FROM loyalty.member_changes WHERE merchant_id = 1 AND left(was, 255) IN ('x', 'y')$$), '"Index Name": "member_change_was"', 'an index finds who had something');
SELECT * FROM finish();
ROLLBACK;

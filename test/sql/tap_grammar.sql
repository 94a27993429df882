-- The grammar of schema loyalty, read from the catalog: how functions,
-- arguments, results and columns are called, in which order, and of which type.
-- A fact is a view of what offends against it, so that what is planted at the
-- end shows that it would be found.  Exceptions are lists here.
\ir ../tap.sql

-- --- what there is ----------------------------------------------------------

CREATE TEMP VIEW functions AS
SELECT p.oid, p.proname::text AS name, p.oid::regprocedure::text AS signature, p.provolatile, p.prosrc,
	   p.prorettype, p.pronargs, p.pronargdefaults, p.proretset, p.proargnames, p.proargmodes,
	   coalesce(p.proallargtypes, p.proargtypes::oid[]) AS types,
	   -- these have what their document says
	   p.proname ~ '^(wallet|employee|seller|customer)_|^toolusers_get$' AS documented
FROM pg_proc p WHERE p.pronamespace = 'loyalty'::regnamespace;

CREATE TEMP VIEW parameters AS
SELECT f.oid, f.name AS function, f.signature, f.documented, a.name, a.type, a.mode IN ('i', 'b', 'v') AS input,
	   row_number() OVER (PARTITION BY f.oid, a.mode IN ('i', 'b', 'v') ORDER BY a.n)::integer AS place,
	   pg_get_function_arg_default(f.oid, a.n::integer) AS preset
FROM functions f, LATERAL (
	SELECT x.type, x.name, coalesce(x.mode, 'i') AS mode, x.n
	FROM unnest(f.types, f.proargnames, f.proargmodes::text[]) WITH ORDINALITY x (type, name, mode, n)) a;
CREATE TEMP VIEW arguments AS
SELECT oid, function, signature, documented, name, type, place, preset, preset IS NOT NULL AS optional FROM parameters WHERE input;

CREATE TEMP VIEW relations AS
SELECT c.oid, c.relname::text AS name, c.relkind, c.oid::regclass::text AS object FROM pg_class c
WHERE c.relnamespace = 'loyalty'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'c');
CREATE TEMP VIEW columns AS
SELECT r.oid, r.object, r.relkind, a.attname::text AS name, a.atttypid AS type, row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum)::integer AS place
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid WHERE a.attnum > 0 AND NOT a.attisdropped;

-- What a function returns, column by column.
CREATE TEMP VIEW results AS
SELECT p.oid, p.name, p.type, p.place FROM parameters p WHERE NOT p.input
UNION ALL SELECT f.oid, c.name, c.type, c.place FROM functions f JOIN pg_type t ON t.oid = f.prorettype JOIN columns c ON c.oid = t.typrelid;

-- Every name, of what it is, and its type: of an array that of its elements.
CREATE TEMP VIEW words AS
SELECT w.place, w.name, w.documented, coalesce(nullif(CASE t.typcategory WHEN 'A' THEN t.typelem ELSE 0 END, 0), t.oid)::regtype::text AS type
FROM (SELECT signature AS place, name, type, documented FROM parameters WHERE name <> ''
	  UNION ALL SELECT object, name, type, false FROM columns WHERE object <> 'loyalty.numbering_plan') w	-- its columns are the regulator's
JOIN pg_type t ON t.oid = w.type;

SELECT cmp_ok((SELECT count(*) FROM functions), '>', 100::bigint, 'the walk meets the functions');
SELECT cmp_ok((SELECT count(*) FROM arguments), '>', 250::bigint, 'their arguments');
SELECT cmp_ok((SELECT count(DISTINCT place) FROM words WHERE place !~ '\('), '>', 30::bigint, 'and the views');
SELECT set_has('SELECT name FROM words', $$VALUES ('merchant_id'), ('entry_id'), ('idempotency_key')$$, 'with their names');

-- --- what is in the schema is for users -------------------------------------------

CREATE ROLE regress_grammar;
CREATE ROLE regress_reader;
SELECT loyalty.grant_operation('regress_grammar') \g /dev/null
SELECT loyalty.grant_reading('regress_reader') \g /dev/null

CREATE TEMP VIEW not_granted AS
SELECT signature AS offender FROM functions WHERE name !~ '^(grant|revoke)_(api|reporting|reading|operation)$' AND signature <> 'loyalty.load_sandbox(boolean)' AND NOT has_function_privilege('regress_grammar', oid, 'EXECUTE')
UNION ALL SELECT object FROM relations WHERE relkind <> 'c' AND object NOT IN ('loyalty.numbering_plan', 'loyalty.curp_record') AND NOT has_table_privilege('regress_reader', oid, 'SELECT');
SELECT is_empty('TABLE not_granted', 'every function is in a list of grants, every view in that of grant_reading()');

CREATE TEMP VIEW internal AS
SELECT object AS offender FROM relations WHERE relkind NOT IN ('v', 'c') AND name NOT IN ('entry', 'numbering_plan', 'curp_record')
UNION ALL SELECT t.oid::regtype::text FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
	WHERE t.typnamespace = 'loyalty'::regnamespace AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c' AND t.typname NOT IN ('points', 'phone', 'curp', 'lots', 'posting', 'program_keys', 'breach')
UNION ALL SELECT signature FROM functions WHERE obj_description(oid, 'pg_proc') ~* '^part of';
SELECT is_empty('TABLE internal', 'three tables and seven types are for users, and no part of something else');
SELECT set_eq($$SELECT t.typname::text FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.typnamespace = 'loyalty'::regnamespace AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c'$$,
	ARRAY['points', 'phone', 'curp', 'lots', 'posting', 'program_keys', 'breach'], 'all seven are there');

-- --- the merchant comes first ---------------------------------------------------------

CREATE TEMP TABLE of_no_merchant AS SELECT unnest(ARRAY[
	-- types
	'abs', 'age', 'area_code', 'avg', 'birth_date', 'falls_below', 'max', 'min', 'points', 'sex', 'state', 'sum', 'total', 'total_due', 'unnest_lots',
	-- what computes
	'check_receipt', 'entry_kind', 'fold', 'instalment_cost', 'percent_of',
	-- what finds the merchant, or makes it
	'authenticate', 'create_merchant', 'customer_token', 'load_sandbox',
	-- what tells of the extension, or of a request
	'version', 'request_number',
	-- what is of the whole server
	'apply_numbering_plan', 'area_code_supported', 'grant_api', 'grant_operation', 'grant_reading', 'grant_reporting', 'revoke_reporting', 'health', 'erase_sql_role', 'is_fixed_line', 'set_area_code']) AS name;
CREATE TEMP VIEW not_of_merchant AS
SELECT f.signature AS offender FROM functions f LEFT JOIN arguments a ON a.oid = f.oid AND a.place = 1
WHERE f.name NOT IN (SELECT name FROM of_no_merchant) AND f.signature NOT IN ('loyalty.verify()', 'loyalty.maintain(integer,bigint,bigint,bigint,bigint)')
  AND NOT coalesce(a.name = 'merchant_id' AND a.type = 'bigint'::regtype AND NOT a.optional, false);
SELECT is_empty('TABLE not_of_merchant', 'the first argument is merchant_id bigint');
CREATE TEMP VIEW of_merchant_after_all AS
SELECT n.name AS offender FROM of_no_merchant n
WHERE NOT EXISTS (SELECT FROM functions f WHERE f.name = n.name AND NOT EXISTS (SELECT FROM arguments a WHERE a.oid = f.oid AND a.name = 'merchant_id'));
SELECT is_empty('TABLE of_merchant_after_all', 'but for those that are of none');

-- --- the idempotency key comes last ------------------------------------------------------

CREATE TEMP VIEW key_not_last AS
SELECT a.signature AS offender FROM arguments a JOIN functions f ON f.oid = a.oid
WHERE a.name = 'idempotency_key' AND NOT coalesce(a.place = f.pronargs AND a.type = 'text'::regtype AND a.preset = 'NULL::text', false);
SELECT is_empty('TABLE key_not_last', 'idempotency_key is a text, the last argument, and may be left out');
SELECT set_eq($$SELECT DISTINCT function FROM arguments WHERE name = 'idempotency_key'$$, ARRAY[
	'post', 'post_batch', 'sale', 'hold', 'capture', 'release', 'reverse', 'transfer', 'leave_account', 'add_quota',
	'open_account', 'open_policy', 'create_branch', 'create_customer', 'create_member', 'create_product', 'create_program', 'create_wallet',
	'wallet_contact_add', 'wallet_sale', 'wallet_balance_update', 'employee_add', 'employee_disable',
	'seller_member_create', 'seller_deposit', 'seller_redemption', 'seller_accumulation'], 'what posts, creates or registers has one');
CREATE TEMP TABLE without_key AS SELECT unnest(ARRAY[
	'create_merchant',	-- for whom it would be kept
	'create_api_key', 'create_app_user']) AS name;	-- show a secret, which is kept nowhere
CREATE TEMP VIEW key_missing AS
SELECT f.signature AS offender FROM functions f
WHERE f.name ~ '^(create|open|add)_' AND f.name NOT IN (SELECT name FROM without_key) AND NOT EXISTS (SELECT FROM arguments a WHERE a.oid = f.oid AND a.name = 'idempotency_key');
SELECT is_empty('TABLE key_missing', 'what creates or adds something has one');
SELECT is_empty($$SELECT * FROM without_key w WHERE w.name NOT IN (SELECT name FROM functions)$$, 'but for three');

-- --- one name, one type --------------------------------------------------------------------

CREATE TEMP TABLE of_another_type AS SELECT * FROM (VALUES
	('kind', 'loyalty.entry'), ('kind', 'loyalty.entry_kind(smallint)'),	-- its number
	('amount', 'loyalty.add_quota(bigint,text,bigint,text)')) v (name, place);	-- not of points
CREATE TEMP VIEW typed AS
SELECT w.name, w.type, w.place FROM words w
WHERE NOT w.documented AND (w.name, w.place) NOT IN (SELECT name, place FROM of_another_type)
  AND (w.name ~ '_id$' OR w.name IN ('amount', 'balance', 'points', 'money', 'reference', 'kind', 'at', 'older_than', 'phone', 'email', 'client_id', 'wallet_key', 'curp', 'rank', 'in_full'));
CREATE TEMP VIEW of_two_types AS
SELECT format('%s: %s', t.name, string_agg(t.found, '; ' ORDER BY t.n, t.found)) AS offender
FROM (SELECT name, count(*) AS n, format('%s in %s', type, array_to_string((array_agg(place ORDER BY place))[1:3], ', ')) AS found FROM typed GROUP BY name, type) t
GROUP BY t.name HAVING count(*) > 1;
SELECT is_empty('TABLE of_two_types', 'a name has one type, wherever it is');
SELECT is_empty($$SELECT * FROM of_another_type o WHERE NOT EXISTS (SELECT FROM words w WHERE w.name = o.name AND w.place = o.place)$$, 'but for a few that are there');

-- --- one thing, one name -------------------------------------------------------------------

CREATE TEMP VIEW called_otherwise AS
SELECT DISTINCT format('%s of %s', name, place) AS offender FROM words
WHERE name IN ('hold', 'entry', 'version_id', 'before_version', 'before_entry', 'until', 'origin', 'origins', 'aside', 'sale_id', 'to_entry_id', 'to_balance', 'peer_id', 'peer_ids', 'previous_id', 'newest_id')
   OR name ~ '^broken_' OR name IN ('account_ids', 'kinds', 'amounts', 'item_references', 'moneys', 'expires_ats', 'available_ats');
SELECT is_empty('TABLE called_otherwise', 'an entry is an entry_id, in and out, and nothing is called as it was');
CREATE TEMP VIEW moments AS
SELECT DISTINCT format('%s of %s', name, place) AS offender FROM words
WHERE type IN ('timestamp with time zone', 'timestamp without time zone') AND name !~ '_at$' AND name NOT IN ('at', 'since', 'valid_from', 'valid_until', 'claimed_until');
SELECT is_empty('TABLE moments', 'a moment is called after what happens at it');

-- --- the order of arguments -----------------------------------------------------------------

CREATE TEMP VIEW amount_misplaced AS
SELECT a.signature AS offender FROM arguments a
LEFT JOIN arguments before ON before.oid = a.oid AND before.place = a.place - 1
LEFT JOIN arguments reference ON reference.oid = a.oid AND reference.name = 'reference'
WHERE a.name = 'amount' AND a.function <> 'percent_of'
  AND (coalesce(before.name NOT IN ('account_id', 'entry_id', 'to_account_id', 'policy_id', 'resource', 'member_id', 'kind'), true) OR reference.place < a.place);
SELECT is_empty('TABLE amount_misplaced', 'an amount follows what is acted on, and goes before the reference');

CREATE TEMP VIEW engine AS
SELECT f.* FROM functions f WHERE f.name IN ('post', 'sale', 'hold', 'capture', 'release', 'reverse', 'transfer');
CREATE TEMP VIEW out_of_order AS
SELECT signature AS offender FROM (
	SELECT a.oid, a.signature, array_position(ARRAY['points_used', 'items', 'amount', 'reference', 'staff_id', 'money', 'member_id', 'available_at', 'expires_at', 'release_at',
			'entry_id', 'to_account_id', 'in_full', 'idempotency_key'], a.name) AS rank, a.place
	FROM arguments a WHERE a.optional AND (a.oid IN (SELECT oid FROM engine) OR a.function = 'post_batch')) o
GROUP BY oid, signature HAVING array_agg(rank ORDER BY place) IS DISTINCT FROM array_agg(rank ORDER BY rank) OR bool_or(rank IS NULL);
SELECT is_empty('TABLE out_of_order', 'what may be left out is in one order in all operations');
CREATE TEMP VIEW both_orders AS
SELECT DISTINCT format('%s before %s in %s, and after it in %s', a.name, b.name, a.signature, d.signature) AS offender
FROM arguments a JOIN arguments b ON b.oid = a.oid AND b.place > a.place
JOIN arguments c ON c.name = b.name AND NOT c.documented JOIN arguments d ON d.oid = c.oid AND d.place > c.place AND d.name = a.name
WHERE a.optional AND b.optional AND c.optional AND d.optional AND NOT a.documented AND a.name < b.name;
SELECT is_empty('TABLE both_orders', 'and two that several functions have are in one order in all of them');

CREATE TEMP VIEW amount_left_out AS
SELECT a.signature AS offender FROM arguments a
WHERE a.name = 'amount' AND a.optional AND a.function <> 'leave_account'	-- none is brought along, unless told
  AND NOT EXISTS (SELECT FROM arguments b WHERE b.oid = a.oid AND b.name = 'in_full');
SELECT is_empty('TABLE amount_left_out', 'an amount can be left out only where all of it can be said');
CREATE TEMP VIEW in_full_not_false AS
SELECT signature AS offender FROM arguments WHERE name = 'in_full' AND NOT coalesce(function = 'post_batch' OR type = 'boolean'::regtype AND preset = 'false', false);
SELECT is_empty('TABLE in_full_not_false', 'and all is said by in_full, which is false unless told');
SELECT set_eq($$SELECT DISTINCT function FROM arguments WHERE name = 'in_full'$$, ARRAY['capture', 'release', 'reverse', 'transfer', 'post_batch'], 'which has what can be all of something');

-- --- one row for all operations ---------------------------------------------------------------

SELECT is((SELECT string_agg(format('%s %s', name, type::regtype), ', ' ORDER BY place) FROM columns WHERE object = 'loyalty.posting'),
	'entry_id bigint, points loyalty.points, balance loyalty.points, peer_entry_id bigint, peer_balance loyalty.points', 'a posting');
CREATE TEMP VIEW no_posting AS
SELECT signature AS offender FROM engine WHERE proretset OR prorettype IS DISTINCT FROM to_regtype('loyalty.posting');
SELECT is_empty('TABLE no_posting', 'the operations return it');
SELECT is((SELECT count(DISTINCT name) FROM engine), 7::bigint, 'all seven');
CREATE TEMP VIEW batch_of_others AS
SELECT f.signature AS offender FROM functions f
WHERE f.name = 'post_batch' AND NOT (f.proretset AND
	(SELECT array_agg(format('%s %s', r.name, r.type::regtype) ORDER BY r.place) FROM results r WHERE r.oid = f.oid)
	IS NOT DISTINCT FROM '{item integer,error text}' || (SELECT array_agg(format('%s %s', c.name, c.type::regtype) ORDER BY c.place) FROM columns c WHERE c.object = 'loyalty.posting'))
UNION ALL SELECT format('%s of %s', a.name, a.signature) FROM arguments a
WHERE a.function = 'post_batch' AND a.place > 1 AND a.name <> 'idempotency_key' AND NOT EXISTS (
	SELECT FROM arguments e JOIN pg_type t ON t.oid = e.type WHERE e.oid IN (SELECT oid FROM engine) AND e.name = a.name AND t.typarray = a.type);
SELECT is_empty('TABLE batch_of_others', 'a batch has their arguments, as arrays, and their rows; and one key');

-- --- verbs ------------------------------------------------------------------------------------

CREATE TEMP VIEW without_counterpart AS
SELECT f.signature AS offender FROM functions f
WHERE f.name ~ '^(enable|disable)_' AND NOT EXISTS (
	SELECT FROM functions o WHERE o.name = CASE WHEN f.name ~ '^enable_' THEN replace(f.name, 'enable_', 'disable_') ELSE replace(f.name, 'disable_', 'enable_') END
	AND o.types = f.types AND o.proargnames IS NOT DISTINCT FROM f.proargnames);
SELECT is_empty('TABLE without_counterpart', 'what can be enabled can be disabled, by the same arguments');
SELECT set_eq($$SELECT name FROM functions WHERE name ~ '^enable_'$$, ARRAY['enable_program', 'enable_member', 'enable_app_user', 'enable_api_key'], 'so are programs, members, app users and API keys');
CREATE TEMP VIEW says_not_whether AS
SELECT signature AS offender FROM functions
WHERE name ~ '^(enable|disable|remove|free|revoke|block|blacklist|unblacklist)_' AND name <> 'revoke_reporting' AND prorettype <> 'boolean'::regtype;	-- which is as REVOKE is
SELECT is_empty('TABLE says_not_whether', 'who takes something away, or brings it back, is told whether that has changed anything');
CREATE TEMP VIEW forgets_otherwise AS
SELECT signature AS offender FROM functions WHERE name ~ '^(forget|delete)_' AND prorettype <> 'bigint'::regtype
UNION SELECT signature FROM arguments WHERE name = 'older_than' AND NOT (type = 'interval'::regtype AND optional)
UNION SELECT f.signature FROM functions f WHERE f.name ~ '^(forget|delete)_' AND NOT EXISTS (SELECT FROM arguments a WHERE a.oid = f.oid AND a.name = 'older_than')
UNION SELECT f.signature FROM functions f WHERE f.name ~ '^forget_' AND NOT EXISTS (
	SELECT FROM arguments a WHERE a.oid = f.oid AND a.name = 'max_rows' AND a.type = 'integer'::regtype AND a.place = 3 AND a.place = f.pronargs AND a.optional);
SELECT is_empty('TABLE forgets_otherwise', 'what deletes says how many, of those that are older than an interval; what forgets, at most so many');
CREATE TEMP VIEW creates_otherwise AS
SELECT f.signature AS offender FROM functions f LEFT JOIN results r ON r.oid = f.oid AND r.place = 1
WHERE f.name ~ '^create_' AND NOT (f.prorettype = 'bigint'::regtype OR coalesce(r.name ~ '_id$' AND r.type = 'bigint'::regtype, false) OR f.name = 'create_app_user' AND f.prorettype = 'text'::regtype);
SELECT is_empty('TABLE creates_otherwise', 'what creates returns the number of what it created');
CREATE TEMP VIEW not_found_by_number AS
SELECT format('%s of %s', name, signature) AS offender FROM arguments
WHERE name IN ('client_id', 'wallet_key', 'wallet_keys') AND NOT documented AND function NOT IN ('find_program', 'find_member', 'create_program', 'create_member', 'identify_member');
SELECT is_empty('TABLE not_found_by_number', 'only find_program() and find_member() look for what people know a thing by');

-- --- what writes is volatile --------------------------------------------------------------------

CREATE TEMP VIEW writes AS
SELECT signature AS offender FROM functions WHERE provolatile <> 'v' AND prosrc ~* '\m(INSERT\s+INTO|UPDATE\s+loyalty|DELETE\s+FROM|TRUNCATE|FOR\s+(NO\s+KEY\s+)?UPDATE|FOR\s+(KEY\s+)?SHARE)\M';
SELECT is_empty('TABLE writes', 'what is not VOLATILE neither writes nor locks');
SELECT set_eq($$SELECT DISTINCT name FROM functions WHERE provolatile = 's'$$, ARRAY['area_code_supported', 'authenticate', 'balance_at', 'dashboard_link', 'export_member', 'export_staff', 'find_member', 'find_program', 'health', 'is_fixed_line', 'lots_of', 'member_statement', 'month_statement', 'policy_status', 'rank_at', 'receipt',
	'rules_at', 'seller_member_balance', 'seller_member_get', 'seller_member_list', 'seller_program_get', 'seller_program_list', 'simulate', 'statement', 'toolusers_get', 'verify_closes', 'verify_root', 'verify_staff_password', 'version',
	'wallet_contact_get', 'wallet_get'], 'what reads is STABLE');

-- --- tried ------------------------------------------------------------------------------------------

-- What a call comes to: its first column, or its SQLSTATE.
CREATE FUNCTION pg_temp.outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	outcome text;
BEGIN
	EXECUTE 'SELECT ' || call INTO outcome;
	RETURN outcome;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
SELECT loyalty.create_merchant('Uno') AS m \gset
SELECT program_id AS p FROM loyalty.create_program(:m, 'P', 'P') \gset
SELECT loyalty.open_account(:m, :p) AS a \gset
SELECT loyalty.open_account(:m, :p) AS b \gset
SELECT entry_id AS earned FROM loyalty.post(:m, :a, 'deposit', 1000) \gset
SELECT entry_id AS held FROM loyalty.hold(:m, :a, 100) \gset

-- Each operation, with %s for its amount.
CREATE TEMP TABLE operation AS SELECT name, format(call, :m, :a, :b, :held, :earned, '%s') AS call, can_be_all FROM (VALUES
	('deposit', '(loyalty.post(%1$s, %2$s, ''deposit'', %6$s)).points', false), ('redeem', '(loyalty.post(%1$s, %2$s, ''redeem'', %6$s)).points', false), ('hold', '(loyalty.hold(%1$s, %2$s, %6$s)).points', false),
	('capture', '(loyalty.capture(%1$s, %2$s, %4$s, %6$s)).points', true), ('release', '(loyalty.release(%1$s, %2$s, %4$s, %6$s)).points', true),
	('reverse', '(loyalty.reverse(%1$s, %2$s, %5$s, reference => gen_random_uuid()::text, amount => %6$s)).points', true), ('transfer', '(loyalty.transfer(%1$s, %2$s, %3$s, %6$s)).points', true)) v (name, call, can_be_all);
SELECT is(pg_temp.outcome(format(call, given)), outcome, format('%s of %s', name, given)) FROM operation, (VALUES ('NULL', 'LY005'), ('0', 'LY004'), ('-1', 'LY004'), ('7', '7')) v (given, outcome);
SELECT is(pg_temp.outcome(format('(loyalty.post(%s, %s, ''accrue'', %s)).points', :m, :a, given)), outcome, 'accrue of ' || given) FROM (VALUES ('NULL', 'LY005'), ('-1', 'LY004'), ('0', '0'), ('7', '7')) v (given, outcome);
SELECT is(pg_temp.outcome(format('(loyalty.post(%s, %s, ''adjust'', %s)).points', :m, :a, given)), outcome, 'adjust of ' || given) FROM (VALUES ('NULL', 'LY005'), ('0', 'LY004'), ('-7', '-7'), ('7', '7')) v (given, outcome);
SELECT is(pg_temp.outcome(format('(loyalty.sale(%s, %s, %s)).points', :m, :a, given)), outcome, 'sale of ' || given) FROM (VALUES ('NULL', 'LY005'), ('-1', 'LY004'), ('100', '10')) v (given, outcome);
SELECT is(pg_temp.outcome(format(call, amount || ', in_full => ' || in_full)), 'LY005', format('%s of %s, in_full %s', name, amount, in_full))
FROM operation, (VALUES ('7', 'true'), ('NULL', 'false'), ('NULL', 'NULL')) v (amount, in_full) WHERE can_be_all;
SELECT loyalty.post(:m, :a, 'deposit', 250) \g /dev/null
SELECT entry_id AS given_back FROM loyalty.hold(:m, :a, 50) \gset
SELECT is(pg_temp.outcome(format('(loyalty.capture(%s, %s, %s, in_full => true)).points', :m, :a, :held)), '86', 'capture of all that is held');
SELECT is(pg_temp.outcome(format('(loyalty.release(%s, %s, %s, in_full => true)).points', :m, :a, :given_back)), '50', 'release of all of it');
SELECT is(pg_temp.outcome(format('(loyalty.reverse(%s, %s, %s, reference => ''all'', in_full => true)).points', :m, :a, :earned)), '993', 'reverse of all that is left of an entry');
SELECT is(pg_temp.outcome(format('(loyalty.transfer(%s, %s, %s, in_full => true)).points', :m, :a, :b)), '160', 'transfer of all there is');
SELECT is(pg_temp.outcome(format('balance FROM loyalty.balances WHERE account_id = %s', :a)), '0', 'which leaves nothing');

-- Twice is once.
SELECT loyalty.create_member(:m, :p, 'Ana') AS member \gset
SELECT key_id AS key FROM loyalty.create_api_key(:m) \gset
SELECT loyalty.create_app_user(:m, 'Banco') \g /dev/null
SELECT is(pg_temp.outcome(format('loyalty.%s(%s, %s)', verb || what, :m, object)), outcome, format('%s%s %s', verb, what, nth))
FROM (VALUES ('program', :'p'), ('member', :'member'), ('api_key', :'key'), ('app_user', '''Banco''')) o (what, object),
	(VALUES (1, 'enable_', 'while enabled', 'false'), (2, 'disable_', 'once', 'true'), (3, 'disable_', 'twice', 'false'), (4, 'enable_', 'once', 'true'), (5, 'enable_', 'twice', 'false')) v (n, verb, nth, outcome) ORDER BY what, n;
SELECT is(pg_temp.outcome(format('loyalty.%s(%s, %s)', verb || what, :m, object)), 'LY006', format('%s%s %s', verb, what, object))
FROM (VALUES ('program', '1'), ('member', '1'), ('api_key', '1'), ('app_user', '''Nadie''')) o (what, object), unnest('{enable_,disable_}'::text[]) verb;

-- --- what is planted is found ---------------------------------------------------------------------

CREATE FUNCTION loyalty.planted(merchant_id bigint) RETURNS integer LANGUAGE sql AS 'SELECT 1';
REVOKE ALL ON FUNCTION loyalty.planted(bigint) FROM PUBLIC;
COMMENT ON FUNCTION loyalty.planted(bigint) IS 'Part of something.';
CREATE VIEW loyalty.planted_view AS SELECT 1::integer AS planted_id, now() AS planted_moment;
CREATE TABLE loyalty.planted_table (planted_id bigint);
CREATE TYPE loyalty.planted_type AS (one integer);
CREATE FUNCTION loyalty.planted_first(member_id bigint, merchant_id bigint) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_type(merchant_id integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_key(merchant_id bigint, idempotency_key text, planted text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_key_wanted(merchant_id bigint, idempotency_key text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_name(merchant_id bigint, entry bigint, OUT until date) LANGUAGE sql AS 'SELECT CURRENT_DATE';
CREATE FUNCTION loyalty.planted_amount(merchant_id bigint, planted text, amount loyalty.points DEFAULT NULL) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_reference(merchant_id bigint, reference text, account_id bigint, amount loyalty.points) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_in_full(merchant_id bigint, account_id bigint, in_full boolean DEFAULT true) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.hold(planted boolean, staff_id bigint DEFAULT NULL, reference text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION loyalty.release(planted boolean, other text DEFAULT NULL) RETURNS SETOF loyalty.entry LANGUAGE sql AS 'SELECT * FROM loyalty.entry';
CREATE FUNCTION loyalty.post_batch(merchant_id bigint, planted bigint[]) RETURNS SETOF integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_order(merchant_id bigint, until date, name text DEFAULT NULL, email text DEFAULT NULL, phone loyalty.phone DEFAULT NULL) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.enable_planted(merchant_id bigint, planted text) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION loyalty.disable_planted(merchant_id bigint, other text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION loyalty.forget_planted(merchant_id bigint, older_than timestamptz) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION loyalty.forget_planted_at_once(merchant_id bigint, older_than interval DEFAULT '1 day') RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION loyalty.forget_planted_all(merchant_id bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION loyalty.create_planted(merchant_id bigint, OUT name text, OUT planted_id bigint) LANGUAGE sql AS 'SELECT NULL, 1::bigint';
CREATE FUNCTION loyalty.planted_lookup(merchant_id bigint, client_id text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION loyalty.planted_write(merchant_id bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT merchant_id FROM loyalty_internal.merchant FOR UPDATE';
INSERT INTO of_no_merchant VALUES ('planted');

CREATE FUNCTION pg_temp.finds(fact text, what text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN public.set_has('SELECT offender COLLATE "default" FROM ' || quote_ident(fact), format('SELECT unnest(%L::text[])', what), fact || ' finds what is planted');
END
$$;
SELECT pg_temp.finds(fact, what) FROM (VALUES
	('not_granted', ARRAY['loyalty.planted(bigint)', 'loyalty.planted_view', 'loyalty.planted_table']),
	('internal', ARRAY['loyalty.planted(bigint)', 'loyalty.planted_table', 'loyalty.planted_type']),
	('not_of_merchant', ARRAY['loyalty.planted_first(bigint,bigint)', 'loyalty.planted_type(integer)']),
	('of_merchant_after_all', ARRAY['planted']),
	('key_not_last', ARRAY['loyalty.planted_key(bigint,text,text)', 'loyalty.planted_key_wanted(bigint,text)']),
	('key_missing', ARRAY['loyalty.create_planted(bigint)']),
	('of_two_types', ARRAY['planted_id: integer in loyalty.planted_view; bigint in loyalty.create_planted(bigint), loyalty.planted_table']),
	('called_otherwise', ARRAY['entry of loyalty.planted_name(bigint,bigint)', 'until of loyalty.planted_name(bigint,bigint)']),
	('moments', ARRAY['planted_moment of loyalty.planted_view', 'older_than of loyalty.forget_planted(bigint,timestamp with time zone)']),
	('amount_misplaced', ARRAY['loyalty.planted_amount(bigint,text,loyalty.points)', 'loyalty.planted_reference(bigint,text,bigint,loyalty.points)']),
	('amount_left_out', ARRAY['loyalty.planted_amount(bigint,text,loyalty.points)']),
	('in_full_not_false', ARRAY['loyalty.planted_in_full(bigint,bigint,boolean)']),
	('out_of_order', ARRAY['loyalty.hold(boolean,bigint,text)', 'loyalty.release(boolean,text)']),
	('both_orders', ARRAY['email before phone in loyalty.planted_order(bigint,date,text,text,loyalty.phone), and after it in loyalty.create_member(bigint,bigint,text,loyalty.phone,text,text,date,bigint,text)']),
	('no_posting', ARRAY['loyalty.hold(boolean,bigint,text)', 'loyalty.release(boolean,text)']),
	('batch_of_others', ARRAY['loyalty.post_batch(bigint,bigint[])', 'planted of loyalty.post_batch(bigint,bigint[])']),
	('without_counterpart', ARRAY['loyalty.enable_planted(bigint,text)', 'loyalty.disable_planted(bigint,text)']),
	('says_not_whether', ARRAY['loyalty.enable_planted(bigint,text)']),
	('forgets_otherwise', ARRAY['loyalty.forget_planted(bigint,timestamp with time zone)', 'loyalty.forget_planted_all(bigint)', 'loyalty.forget_planted_at_once(bigint,interval)']),
	('creates_otherwise', ARRAY['loyalty.create_planted(bigint)']),
	('not_found_by_number', ARRAY['client_id of loyalty.planted_lookup(bigint,text)']),
	('writes', ARRAY['loyalty.planted_write(bigint)'])) v (fact, what);

SELECT * FROM finish();
ROLLBACK;

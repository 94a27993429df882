-- Who may do what: walks every object of the extension, so that a new one is
-- checked without being named here.
\ir ../tap.sql

-- --- what there is ----------------------------------------------------------

CREATE TEMP VIEW members AS
SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS object
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'loyalty' AND d.deptype = 'e';

CREATE TEMP VIEW functions AS
SELECT p.oid, p.oid::regprocedure::text AS name, p.pronamespace::regnamespace::text AS schema, p.proowner, p.prosecdef, p.provolatile, p.proconfig,
	   p.prorettype, l.lanname, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl,
	   p.oid::regprocedure::text ~ '^loyalty(_internal\.(seal|prepare_role|bind_report_role)|\.(grant_(api|reporting|reading|operation)|revoke_reporting))\(' AS hands_out
FROM members m JOIN pg_proc p ON p.oid = m.objid JOIN pg_language l ON l.oid = p.prolang WHERE m.classid = 'pg_proc'::regclass;

CREATE TEMP VIEW relations AS
SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl
FROM members m JOIN pg_class c ON c.oid = m.objid WHERE m.classid = 'pg_class'::regclass AND c.relkind NOT IN ('i', 'I', 't');

-- Row types and array types have the rights of their table and element.
CREATE TEMP VIEW types AS
SELECT t.oid, t.oid::regtype::text AS name, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)) AS acl
FROM members m JOIN pg_type t ON t.oid = m.objid
WHERE m.classid = 'pg_type'::regclass AND t.typcategory <> 'A' AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c');

CREATE TEMP VIEW schemas AS
SELECT n.oid, n.nspname::text AS name, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl
FROM members m JOIN pg_namespace n ON n.oid = m.objid WHERE m.classid = 'pg_namespace'::regclass;

-- All of them, with what pg_dump takes for the extension's own rights.
CREATE TEMP VIEW objects AS
SELECT o.*, coalesce(i.initprivs, acldefault(o.kind, o.owner)) AS own_acl
FROM (SELECT 'pg_proc'::regclass AS class, oid, name, 'f'::"char" AS kind, proowner AS owner, acl FROM functions
	  UNION ALL SELECT 'pg_class'::regclass, oid, name, 'r', relowner, acl FROM relations
	  UNION ALL SELECT 'pg_type'::regclass, oid, name, 'T', typowner, acl FROM types
	  UNION ALL SELECT 'pg_namespace'::regclass, oid, name, 'n', nspowner, acl FROM schemas) o
LEFT JOIN pg_init_privs i ON i.classoid = o.class AND i.objoid = o.oid AND i.objsubid = 0;

GRANT SELECT ON members, functions, relations, types, schemas TO PUBLIC;

SELECT set_eq('SELECT name FROM schemas', ARRAY['loyalty', 'loyalty_internal', 'loyalty_api', 'loyalty_report', 'loyalty_report_personal'], 'the extension has five schemas');
SELECT cmp_ok((SELECT count(*) FROM functions WHERE schema = 'loyalty'), '>', 80::bigint, 'the walk meets the functions');
SELECT set_eq($$SELECT name FROM relations WHERE relkind = 'r' AND name LIKE 'loyalty.%'$$, ARRAY['loyalty.curp_record', 'loyalty.entry', 'loyalty.numbering_plan'],
	'three tables are for users, the others are internal');
SELECT cmp_ok((SELECT count(*) FROM relations WHERE relkind = 'r' AND name LIKE 'loyalty\_internal.%'), '>', 40::bigint, 'the walk meets these');
SELECT cmp_ok((SELECT count(*) FROM relations WHERE relkind = 'v'), '>', 7::bigint, 'and the views');
SELECT set_eq('SELECT name FROM types', ARRAY['loyalty.points', 'loyalty_internal.factor', 'loyalty.phone', 'loyalty.curp', 'loyalty.lots', 'loyalty.posting', 'loyalty.breach', 'loyalty_internal.account_change', 'loyalty.program_keys', 'loyalty_api."application/json"', 'loyalty_api."text/html"', 'loyalty_internal.statement', 'loyalty_internal.statement_line', 'loyalty_internal.dashboard_day', 'loyalty_internal.dashboard_lot'], 'and the types');
SELECT is_empty($$SELECT object FROM members WHERE classid = 'pg_proc'::regclass AND objid NOT IN (SELECT oid FROM functions)
	UNION ALL SELECT name FROM functions WHERE schema NOT IN ('loyalty', 'loyalty_internal', 'loyalty_api', 'loyalty_report')$$, 'no function is anywhere else');

-- --- owners ------------------------------------------------------------------

SELECT results_eq(
	$$SELECT rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'loyalty_engine'$$,
	$$VALUES (false, false, false, false, false, false, false)$$, 'loyalty_engine cannot log in, and may nothing by itself');
SELECT is_empty($$SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE 'loyalty_engine'::regrole IN (roleid, member)$$,
	'it is a member of no role, and none of it');
SELECT is_empty($$SELECT oid::regclass FROM pg_class WHERE relowner = 'loyalty_engine'::regrole AND relkind NOT IN ('v', 'c')$$,
	'it owns no table, no index and no sequence');
SELECT is_empty($$SELECT nspname FROM pg_namespace WHERE nspowner = 'loyalty_engine'::regrole$$, 'nor a schema');
SELECT results_eq($$SELECT name, proowner::regrole FROM functions WHERE prosecdef AND proowner <> 'loyalty_engine'::regrole ORDER BY name$$,
	$$VALUES ('loyalty.forget_access_log(bigint,interval,integer)', 'loyalty_auditor'::regrole), ('loyalty.maintain_access_log(bigint,integer,timestamp with time zone,timestamp with time zone,bigint,bigint)', 'loyalty_auditor'), ('loyalty_internal.erase_entries(bigint,bigint[])', 'loyalty_eraser')$$, 'every SECURITY DEFINER function but three belongs to loyalty_engine, none to a superuser');
SELECT is_empty($$SELECT name FROM functions WHERE prosecdef AND NOT coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)$$,
	'every SECURITY DEFINER function pins its search_path, temporary objects last');
SELECT is_empty($$SELECT name FROM relations WHERE relkind = 'v' AND relowner <> 'loyalty_engine'::regrole$$, 'views read as loyalty_engine');
SELECT set_eq($$SELECT name FROM functions WHERE proowner <> 'loyalty_engine'::regrole$$,
	$$SELECT name FROM functions WHERE hands_out OR name ~ '^loyalty(.forget_access_log|.maintain_access_log|_internal.erase_entries)' OR NOT prosecdef AND (lanname IN ('c', 'internal') OR provolatile = 'i')$$,
	'what calls them in SQL belongs to it too, and nothing else');
SELECT set_eq($$SELECT name FROM functions WHERE NOT has_function_privilege('loyalty_engine', oid, 'EXECUTE')$$,
	ARRAY['loyalty.grant_api(name)', 'loyalty.grant_reporting(name,boolean)', 'loyalty.grant_reporting(name,bigint,boolean)', 'loyalty.revoke_reporting(name)', 'loyalty.grant_reading(name)', 'loyalty.grant_operation(name)', 'loyalty_internal.prepare_role(name,boolean)', 'loyalty_internal.bind_report_role(name,bigint,boolean)', 'loyalty_internal.seal()', 'loyalty.maintain_access_log(bigint,integer,timestamp with time zone,timestamp with time zone,bigint,bigint)', 'loyalty.forget_access_log(bigint,interval,integer)'],
	'it executes every function but those that hand out rights, and the one that forgets accesses');
SELECT is_empty($$SELECT name FROM types WHERE NOT has_type_privilege('loyalty_engine', oid, 'USAGE')$$, 'it uses every type');
SELECT set_eq($$SELECT name || ': ' || p FROM schemas, unnest('{USAGE,CREATE}'::text[]) p WHERE has_schema_privilege('loyalty_engine', oid, p)$$,
	ARRAY['loyalty: USAGE', 'loyalty_internal: USAGE', 'loyalty_report: USAGE', 'loyalty_report_personal: USAGE'], 'it looks into four schemas, and creates nothing anywhere');
SELECT is_empty($$SELECT o.name FROM objects o, aclexplode(o.acl) a WHERE a.grantee = 'loyalty_engine'::regrole AND a.is_grantable AND o.owner <> a.grantee$$,
	'it hands on nothing');
SELECT is_empty($$SELECT name FROM functions WHERE schema = 'loyalty_api' AND NOT (prosecdef AND provolatile = CASE WHEN name IN ('loyalty_api.gateway_read(bytea)', 'loyalty_api.dashboard()') THEN 's' ELSE 'v' END
	AND prorettype IN ('json'::regtype, 'loyalty_api."application/json"'::regtype, CASE name WHEN 'loyalty_api.dashboard()' THEN 'loyalty_api."text/html"'::regtype ELSE 'json' END))$$,
	'every function of loyalty_api is a SECURITY DEFINER that returns json, and volatile, but for the one of standbys and the page');

-- --- turns ---------------------------------------------------------------------

-- PostgreSQL shows the tags of locks to everybody: these tell nobody who a merchant is.
CREATE TEMP VIEW turns AS
SELECT l.classid::bigint AS high, l.objid::bigint AS low, l.objsubid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid();
SELECT loyalty.create_merchant('Turno uno') AS one, loyalty.create_merchant('Turno dos') AS two \gset
SELECT loyalty_internal.take_turn(:one) \g /dev/null
SELECT is((SELECT count(*) FROM turns WHERE objsubid > 255 OR objsubid = 3)::integer, 2, 'who takes a turn has two locks');
SELECT is_empty(format('TABLE turns EXCEPT SELECT high, low, objsubid FROM turns WHERE high NOT IN (%1$s >> 32, %1$s & 4294967295) AND low NOT IN (%1$s >> 32, %1$s & 4294967295)', :one::bigint),
	'whose tags have no part of the number of the merchant');
SELECT is((SELECT array_agg(DISTINCT byte ORDER BY byte) FROM turns, LATERAL (SELECT high << 32 | low AS tag) g, LATERAL (SELECT g.tag >> 8 * i & 255 AS byte FROM generate_series(0, 7) i) b),
	(SELECT array_agg(DISTINCT get_byte(h, i)::bigint ORDER BY get_byte(h, i)::bigint) FROM (SELECT loyalty_internal.hmac(m.digest_key, 'turn ' || m.merchant_id) AS h FROM loyalty_internal.merchant m WHERE m.merchant_id = :one) k, generate_series(0, 7) i),
	'but are of a hash under a key that only the engine reads');
SELECT loyalty_internal.take_turn(:one) \g /dev/null
SELECT is((SELECT count(DISTINCT (high, low)) FROM turns)::integer, 1, 'another of the same merchant is of the same tag');
SELECT loyalty_internal.take_turn(:two) \g /dev/null
SELECT is((SELECT count(DISTINCT (high, low)) FROM turns)::integer, 2, 'one of another merchant of another');

-- --- PUBLIC -------------------------------------------------------------------

SELECT is_empty(format('SELECT x.name, a.privilege_type FROM %I x, aclexplode(x.acl) a WHERE a.grantee = 0', kind), 'PUBLIC has nothing on any of the ' || kind)
FROM unnest('{functions,relations,types,schemas}'::text[]) kind;
SELECT set_eq($$SELECT format('%s.%s: %s of %s', r.name, a.attname, x.privilege_type, x.grantee::regrole) FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid, aclexplode(a.attacl) x$$,
	ARRAY['loyalty_internal.access.times: UPDATE of loyalty_engine', 'loyalty_internal.access.last_at: UPDATE of loyalty_engine', 'loyalty_internal.payment.reference: UPDATE of loyalty_engine', 'loyalty_internal.payment.payer_digest: UPDATE of loyalty_engine', 'loyalty_internal.consent.revoked_at: UPDATE of loyalty_engine']
		|| ARRAY(SELECT format('loyalty_internal.consent.%s: INSERT of loyalty_engine', c) FROM unnest('{merchant_id,member_id,app_user,policy_id,purpose,notice_version,acceptance_hash,valid_from,valid_until}'::text[]) c)
		|| ARRAY(SELECT format('loyalty.entry.%s: UPDATE of loyalty_eraser', c) FROM unnest('{reference,detail,text_digest}'::text[]) c)
		|| ARRAY(SELECT format('loyalty.entry.%s: SELECT of loyalty_eraser', c) FROM unnest('{merchant_id,entry_id,account_id,entry_no,kind,origin_entry_id,peer_account_id,member_id,reference,detail}'::text[]) c)
		|| ARRAY(SELECT format('loyalty_internal.account.%s: SELECT of loyalty_eraser', c) FROM unnest('{merchant_id,account_id,text_key}'::text[]) c)
		|| ARRAY(SELECT format('loyalty_internal.member.%s: SELECT of loyalty_eraser', c) FROM unnest('{merchant_id,member_id}'::text[]) c),
	'nobody has rights on single columns, but the engine on those by which it counts refusals and erases references, those of a consent that are said and not found, and the eraser on the texts of entries');
SELECT set_eq($$SELECT format('%s: %s', o.name, a.privilege_type) FROM objects o, aclexplode(o.acl) a WHERE a.grantee = 'loyalty_eraser'::regrole AND a.grantee <> o.owner$$,
	ARRAY['loyalty: USAGE', 'loyalty_internal: USAGE', 'loyalty_internal.entry_remainder: SELECT', 'loyalty_internal.entry_remainder: INSERT', 'loyalty_internal.entry_salt: SELECT', 'loyalty_internal.entry_salt: INSERT', 'loyalty_internal.entry_salt: DELETE', 'loyalty_internal.text_salt(bigint,bigint,bigint,bigint,bigint): EXECUTE', 'loyalty_internal.text_digest(bytea,text,json): EXECUTE',
		'loyalty_internal.impersonal_detail(json): EXECUTE', 'loyalty_internal.accounts_of_members(bigint,bigint[]): EXECUTE', 'loyalty_internal.entries_of_members(bigint,bigint[]): EXECUTE', 'loyalty_internal.named_by_origin(bigint,bigint): EXECUTE', 'loyalty.entry_kind(smallint): EXECUTE'], 'loyalty_eraser may nothing else');
SELECT results_eq($$SELECT rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'loyalty_eraser'$$,
	$$VALUES (false, false, false, false, false, false, false)$$, 'cannot log in, and may nothing by itself');
SELECT is_empty($$SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE 'loyalty_eraser'::regrole IN (roleid, member)$$, 'is a member of no role, and none of it');
SELECT set_eq($$SELECT format('%s: %s', r.name, a.privilege_type) FROM relations r, aclexplode(r.acl) a WHERE a.grantee = 'loyalty_auditor'::regrole$$,
	ARRAY['loyalty_internal.access: SELECT', 'loyalty_internal.access: DELETE', 'loyalty_internal.maintenance: SELECT', 'loyalty_internal.maintenance: UPDATE', 'loyalty_internal.maintenance_terms: SELECT'], 'loyalty_auditor deletes accesses, and writes down that maintain() did');
SELECT set_eq($$SELECT format('%s: %s', o.name, a.privilege_type) FROM objects o, aclexplode(o.acl) a WHERE a.grantee = 'loyalty_auditor'::regrole AND a.grantee <> o.owner AND o.name !~ '^loyalty_internal\.(access|maintenance|maintenance_terms)$'$$,
	ARRAY['loyalty_internal: USAGE', 'loyalty_internal.fail(text,text): EXECUTE', 'loyalty_internal.forgotten_before(interval,integer): EXECUTE', 'loyalty: USAGE', 'loyalty_internal.maintain_task(bigint,text,interval): EXECUTE', 'loyalty_internal.maintenance_tasks(): EXECUTE',
		'loyalty_internal.maintain_step(bigint,integer,boolean,timestamp with time zone,timestamp with time zone,bigint,bigint): EXECUTE'], 'with what that takes');
SELECT results_eq($$SELECT rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'loyalty_auditor'$$,
	$$VALUES (false, false, false, false, false, false, false)$$, 'cannot log in, and may nothing by itself');
SELECT is_empty($$SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE 'loyalty_auditor'::regrole IN (roleid, member)$$, 'is a member of no role, and none of it');
SELECT set_eq($$SELECT format('%s: %s', o.name, a.privilege_type) FROM objects o, aclexplode(o.acl) a WHERE a.grantee = 'pg_monitor'::regrole$$,
	ARRAY['loyalty: USAGE', 'loyalty.metrics: SELECT', 'loyalty.progress: SELECT', 'loyalty.health(): EXECUTE', 'loyalty_internal.metrics(): EXECUTE', 'loyalty_internal.progress(): EXECUTE'],
	'pg_monitor reads figures, and nothing else');
SELECT is_empty($$SELECT r.name, a.grantee::regrole FROM relations r, aclexplode(r.acl) a WHERE a.grantee NOT IN (r.relowner, 'loyalty_engine'::regrole, 'loyalty_auditor'::regrole, 'loyalty_eraser'::regrole, 'pg_monitor'::regrole)$$,
	'nobody but these four has rights on tables and views');
SELECT is_empty($$SELECT o.name, a.grantee::regrole FROM objects o, aclexplode(o.acl) a WHERE a.grantee NOT IN (o.owner, 'loyalty_engine'::regrole, 'loyalty_auditor'::regrole, 'loyalty_eraser'::regrole, 'pg_monitor'::regrole)$$,
	'nor on functions, types and schemas');
SELECT is_empty($$SELECT o.name FROM objects o
	WHERE ARRAY(SELECT a::text FROM aclexplode(o.acl) a ORDER BY 1) <> ARRAY(SELECT a::text FROM aclexplode(o.own_acl) a ORDER BY 1)$$,
	'all rights are the extension''s own, which no dump has to give again');

-- --- loyalty_engine and the tables ------------------------------------------------

SELECT is_empty($$
	SELECT r.name, p FROM relations r, unnest('{TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
	WHERE r.relkind = 'r' AND has_table_privilege('loyalty_engine', r.oid, p) AND (r.name, p) <> ('loyalty.numbering_plan', 'TRUNCATE')$$,
	'loyalty_engine may truncate no table but the staging one');
SELECT set_eq($$
	SELECT r.name FROM relations r WHERE r.relkind = 'r' AND has_table_privilege('loyalty_engine', r.oid, 'DELETE')$$,
	ARRAY['loyalty_internal.rank_range', 'loyalty_internal.member_address', 'loyalty_internal.member_change', 'loyalty_internal.staff_program', 'loyalty_internal.customer', 'loyalty_internal.app_user_key', 'loyalty.curp_record', 'loyalty_internal.blacklisted_phone', 'loyalty_internal.quota', 'loyalty_internal.message', 'loyalty_internal.idempotency_key', 'loyalty_internal.idempotency_space', 'loyalty_internal.fixed_line_range', 'loyalty_internal.posting_limit', 'loyalty_internal.root_page', 'loyalty_internal.report_day', 'loyalty_internal.report_account', 'loyalty_internal.fraud_threshold'],
	'it may delete only what is taken back, or done with');
SELECT is_empty($$
	SELECT t, p FROM unnest('{loyalty.entry,loyalty_internal.reversal,loyalty_internal.root}'::regclass[]) t, unnest('{UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
	WHERE has_table_privilege('loyalty_engine', t, p) OR (p IN ('UPDATE', 'REFERENCES') AND has_any_column_privilege('loyalty_engine', t, p))$$,
	'it may read entries, what was reversed and roots, and add some, nothing else');
SET LOCAL ROLE loyalty_engine;
SELECT throws_ok('UPDATE loyalty.entry SET amount = amount', '42501', NULL, 'an entry cannot be changed');
SELECT throws_ok('UPDATE loyalty.entry SET reference = NULL', '42501', NULL, 'not even its reference');
SELECT throws_ok('DELETE FROM loyalty.entry', '42501', NULL, 'nor be deleted');
SELECT throws_ok('UPDATE loyalty_internal.reversal SET amount = amount', '42501', NULL, 'nor can what was reversed be changed');
SELECT throws_ok('DELETE FROM loyalty_internal.reversal', '42501', NULL, 'or forgotten');
SELECT throws_ok('DELETE FROM loyalty_internal.reservation', '42501', NULL, 'nor can a hold be');
SELECT throws_ok('DELETE FROM loyalty_internal.expired_lot', '42501', NULL, 'nor what has expired');
SELECT throws_ok('UPDATE loyalty_internal.root SET root = root', '42501', NULL, 'nor a root be changed');
SELECT throws_ok('DELETE FROM loyalty_internal.root', '42501', NULL, 'or deleted');
SELECT throws_ok('TRUNCATE loyalty.entry', '42501', NULL, 'nor all entries be');
SELECT throws_ok('ALTER TABLE loyalty.entry ADD x integer', '42501', NULL, 'nor can their table be altered');
SELECT throws_ok('CREATE TABLE loyalty.x ()', '42501', NULL, 'nothing can be created in the schema');
SELECT throws_ok('CREATE FUNCTION loyalty_api.x() RETURNS integer LANGUAGE sql AS ''SELECT 1''', '42501', NULL, 'nor exposed');
RESET ROLE;

-- --- roles without and with rights ---------------------------------------------------

CREATE ROLE regress_nobody;
CREATE ROLE regress_api;
CREATE ROLE regress_reading;
CREATE ROLE regress_reporting;
CREATE ROLE regress_personal;
CREATE ROLE regress_operation;
CREATE ROLE "regress; Odd ""role";
SELECT lives_ok($$SELECT loyalty.grant_api('regress_api')$$, 'grant_api');
SELECT lives_ok($$SELECT loyalty.grant_reading('regress_reading')$$, 'grant_reading');
SELECT lives_ok($$SELECT loyalty.grant_reporting('regress_reporting')$$, 'grant_reporting');
SELECT lives_ok($$SELECT loyalty.grant_reporting('regress_personal', personal => true)$$, 'grant_reporting, with persons');
SELECT lives_ok($$SELECT loyalty.grant_operation('regress_operation')$$, 'grant_operation');
SELECT lives_ok(format($$SELECT loyalty.%I('regress; Odd "role')$$, f), f || ' to a role with an odd name')
FROM unnest('{grant_api,grant_reporting,revoke_reporting,grant_reading,grant_operation}'::text[]) f;
SELECT throws_ok(format($$SELECT loyalty.%I('regress_absent')$$, f), '42704', NULL, f || ' to a role that does not exist')
FROM unnest('{grant_api,grant_reporting,revoke_reporting,grant_reading,grant_operation}'::text[]) f;
SELECT throws_ok(format('SELECT loyalty.%I(%L)', f, r), 'LY005', NULL, format('%s to %s: refused', f, coalesce(r, 'NULL')))
FROM unnest('{grant_api,grant_reporting,revoke_reporting,grant_reading,grant_operation}'::text[]) f, unnest('{public,pg_read_all_data,pg_monitor,pg_database_owner,NULL}'::text[]
	-- whoever the functions run as
	|| ARRAY(SELECT DISTINCT r.rolname::text FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.prosecdef AND p.pronamespace::regnamespace::text ~ '^loyalty' ORDER BY 1)) r;
SELECT set_eq($$SELECT r.rolname::text FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.prosecdef AND p.pronamespace::regnamespace::text ~ '^loyalty'$$,
	'{loyalty_engine,loyalty_auditor,loyalty_eraser}'::text[], 'functions run as roles of the extension');

-- What a role may do, as rows that can be compared.
CREATE FUNCTION pg_temp.may_execute(role name) RETURNS SETOF text LANGUAGE sql AS
$$SELECT name FROM functions WHERE has_function_privilege(role, oid, 'EXECUTE')$$;
CREATE FUNCTION pg_temp.may_touch(role name) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT r.name || ': ' || p FROM relations r, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
	WHERE r.relkind <> 'S' AND has_table_privilege(role, r.oid, p)
	UNION ALL SELECT r.name || ', a column: ' || p FROM relations r, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p
	WHERE r.relkind <> 'S' AND has_any_column_privilege(role, r.oid, p) AND NOT has_table_privilege(role, r.oid, p)
	UNION ALL SELECT r.name || ': ' || p FROM relations r, unnest('{USAGE,SELECT,UPDATE}'::text[]) p
	WHERE CASE WHEN r.relkind = 'S' THEN has_sequence_privilege(role, r.oid, p) END$$;
CREATE FUNCTION pg_temp.may_use(role name) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT s.name || ': ' || p FROM schemas s, unnest('{USAGE,CREATE}'::text[]) p WHERE has_schema_privilege(role, s.oid, p)
	UNION ALL SELECT t.name || ': USAGE' FROM types t WHERE has_type_privilege(role, t.oid, 'USAGE')$$;

SELECT is_empty($$SELECT pg_temp.may_execute('regress_nobody') UNION ALL SELECT pg_temp.may_touch('regress_nobody')
	UNION ALL SELECT pg_temp.may_use('regress_nobody')$$, 'a role without rights may do nothing at all');

SELECT set_eq($$SELECT pg_temp.may_execute('regress_api')$$, $$SELECT name FROM functions WHERE schema = 'loyalty_api'$$,
	'grant_api: exactly the functions of loyalty_api');
SELECT is_empty($$SELECT pg_temp.may_touch('regress_api')$$, 'grant_api: no table, view or sequence');
SELECT set_eq($$SELECT pg_temp.may_use('regress_api')$$, ARRAY['loyalty_api: USAGE'], 'grant_api: the schema loyalty_api and no type');

SELECT set_eq($$SELECT pg_temp.may_touch('regress_reporting')$$, $$SELECT name || ': SELECT' FROM relations WHERE name LIKE 'loyalty\_report.%' AND relkind = 'v'$$,
	'grant_reporting: reads every view of loyalty_report, and nothing else');
SELECT set_eq($$SELECT pg_temp.may_touch('regress_personal')$$, $$SELECT name || ': SELECT' FROM relations WHERE name ~ '^loyalty_report(_personal)?\.' AND relkind = 'v'$$,
	'grant_reporting, with persons: those of loyalty_report_personal too');
SELECT set_eq($$SELECT pg_temp.may_use('regress_reporting')$$, ARRAY['loyalty_report: USAGE'], 'grant_reporting: looks into one schema, and uses no type');
SELECT set_eq($$SELECT pg_temp.may_use('regress_personal')$$, ARRAY['loyalty_report: USAGE', 'loyalty_report_personal: USAGE'], 'grant_reporting, with persons: into two');
SELECT is_empty($$SELECT pg_temp.may_execute('regress_reporting') EXCEPT (
	SELECT name FROM functions WHERE provolatile = 'i' AND NOT prosecdef
	UNION ALL VALUES ('loyalty_internal.reported_merchants(name,boolean)'), ('loyalty_internal.rank_now(bigint,bigint)'),
		('loyalty_internal.account_state(bigint,bigint,timestamp with time zone)'), ('loyalty_internal.policy_state(text,timestamp with time zone,timestamp with time zone)'),
		('loyalty_internal.months(bigint[])'), ('loyalty_internal.outstanding(bigint[],timestamp with time zone)'), ('loyalty_internal.ageing(bigint[],timestamp with time zone)'),
		('loyalty_internal.point_value(bigint,bigint,timestamp with time zone)'), ('loyalty_internal.cohorts(bigint[])'), ('loyalty_internal.deferrals(bigint[])'), ('loyalty_internal.days_since(bigint[])'), ('loyalty_internal.rank_moves(bigint[],date,date)'), ('loyalty_internal.looked_from()')
	UNION ALL SELECT name FROM functions WHERE name LIKE 'loyalty\_report.%')$$,
	'grant_reporting: executes what computes, and of what reads only what it cannot call');
SELECT set_eq($$SELECT pg_temp.may_execute('regress_personal')$$, $$SELECT pg_temp.may_execute('regress_reporting')$$, 'grant_reporting, with persons: the same');
SELECT lives_ok($$SELECT loyalty.grant_reporting('regress_personal')$$, 'granted again without');
SELECT set_eq($$SELECT pg_temp.may_touch('regress_personal') UNION ALL SELECT pg_temp.may_use('regress_personal')$$,
	$$SELECT pg_temp.may_touch('regress_reporting') UNION ALL SELECT pg_temp.may_use('regress_reporting')$$, 'it has persons no more');
CREATE ROLE regress_revoked;
SELECT loyalty.grant_reporting('regress_revoked', personal => true), loyalty.revoke_reporting('regress_revoked') \g /dev/null
SELECT is_empty($$SELECT pg_temp.may_execute('regress_revoked') UNION ALL SELECT pg_temp.may_touch('regress_revoked') UNION ALL SELECT pg_temp.may_use('regress_revoked')$$, 'revoke_reporting: it has nothing any more');
SELECT is_empty($$SELECT FROM loyalty_internal.report_role WHERE role = 'regress_revoked'$$, 'and is bound to nothing');
SELECT loyalty.grant_reading('regress_revoked'), loyalty.grant_reporting('regress_revoked', personal => true), loyalty.revoke_reporting('regress_revoked') \g /dev/null
SELECT set_eq($$SELECT pg_temp.may_execute('regress_revoked') UNION ALL SELECT pg_temp.may_touch('regress_revoked') UNION ALL SELECT pg_temp.may_use('regress_revoked')$$,
	$$SELECT pg_temp.may_execute('regress_reading') UNION ALL SELECT pg_temp.may_touch('regress_reading') UNION ALL SELECT pg_temp.may_use('regress_reading')$$, 'but what grant_reading gave');

SELECT set_eq($$SELECT pg_temp.may_touch('regress_reading')$$,
	$$SELECT name || ': SELECT' FROM relations WHERE name LIKE 'loyalty.%' AND relkind = 'v' UNION ALL SELECT 'loyalty.entry: SELECT'$$,
	'grant_reading: reads every view and the ledger, touches nothing else');
SELECT set_eq($$SELECT pg_temp.may_execute('regress_reading')$$, $$SELECT name FROM functions WHERE schema = 'loyalty' AND provolatile = 'i'
	UNION ALL SELECT name FROM functions WHERE provolatile = 'i' AND name ~ '^loyalty_internal\.(points|phone|curp|lots)_'
	UNION ALL VALUES ('loyalty.balance_at(bigint,bigint,timestamp with time zone)'), ('loyalty.lots_of(bigint,bigint)'), ('loyalty.statement(bigint,bigint,bigint,integer)'), ('loyalty.member_statement(bigint,bigint,date,date,text)'), ('loyalty.month_statement(bigint,bigint,date,text)'),
		('loyalty.rank_at(bigint,bigint,timestamp with time zone)'), ('loyalty.rules_at(bigint,bigint,timestamp with time zone)'), ('loyalty.find_program(bigint,text,text)'), ('loyalty.receipt(bigint,bigint,bigint,bigint)'),
		('loyalty.find_member(bigint,bigint,loyalty.phone,text,text)'), ('loyalty.version()'),
		('loyalty.area_code_supported(loyalty.phone)'), ('loyalty.is_fixed_line(loyalty.phone)'),
		('loyalty_internal.account_state(bigint,bigint,timestamp with time zone)'), ('loyalty_internal.policy_state(text,timestamp with time zone,timestamp with time zone)'), ('loyalty_internal.settings_of(loyalty_internal.program)'), ('loyalty_internal.error_codes()'), ('loyalty_internal.shipped_area_codes()'), ('loyalty_internal.trimmed(text)'),
		('loyalty.health()'), ('loyalty_internal.metrics()'), ('loyalty_internal.progress()'), ('loyalty_internal.maintenance_tasks()'), ('loyalty_internal.rows_of(bigint,bigint)')$$,
	'grant_reading: executes what computes, and some of what reads, nothing that could write');
SELECT is_empty($$SELECT pg_temp.may_execute('regress_reading') INTERSECT SELECT name FROM functions WHERE prosecdef AND provolatile <> 's' OR schema = 'loyalty_api'$$,
	'grant_reading: no operation');
SELECT is_empty($$SELECT pg_temp.may_use('regress_reading') EXCEPT VALUES ('loyalty: USAGE'), ('loyalty.points: USAGE'), ('loyalty.phone: USAGE'), ('loyalty.curp: USAGE'), ('loyalty.lots: USAGE'), ('loyalty.posting: USAGE'), ('loyalty.breach: USAGE'), ('loyalty.program_keys: USAGE')$$,
	'grant_reading: creates nothing');

SELECT set_eq($$SELECT pg_temp.may_touch('regress_operation')$$,
	$$SELECT pg_temp.may_touch('regress_reading') UNION ALL SELECT 'loyalty.numbering_plan: INSERT' UNION ALL SELECT 'loyalty.curp_record: ' || unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[])$$,
	'grant_operation: reads the same, fills the staging table and the records of CURPs, touches no other');
SELECT set_eq($$SELECT pg_temp.may_execute('regress_operation')$$,
	$$SELECT name FROM functions WHERE schema = 'loyalty' AND NOT hands_out AND name <> 'loyalty.load_sandbox(boolean)' UNION SELECT pg_temp.may_execute('regress_reading') UNION VALUES ('loyalty_internal.is_name(text)')$$,
	'grant_operation: all functions of schema loyalty but those of its owner alone, and what computes');
SELECT is_empty($$SELECT pg_temp.may_execute('regress_operation') INTERSECT SELECT name FROM functions WHERE schema = 'loyalty_internal' AND (prosecdef AND provolatile <> 's' OR provolatile = 'v')$$,
	'grant_operation: nothing internal that could write');
SELECT is_empty($$SELECT pg_temp.may_use('regress_operation') EXCEPT VALUES ('loyalty: USAGE'), ('loyalty.points: USAGE'), ('loyalty.phone: USAGE'), ('loyalty.curp: USAGE'), ('loyalty.lots: USAGE'), ('loyalty.posting: USAGE'), ('loyalty.breach: USAGE'), ('loyalty.program_keys: USAGE')$$,
	'grant_operation: creates nothing');
SELECT is_empty($$SELECT role, f.name FROM functions f, unnest('{regress_api,regress_reporting,regress_reading,regress_operation}'::name[]) role
	WHERE f.hands_out AND has_function_privilege(role, f.oid, 'EXECUTE')$$, 'none of them hands out rights');

-- --- the same, tried ------------------------------------------------------------------

SET LOCAL ROLE regress_api;
SELECT is(loyalty_api.toolusers_get() ->> 'code', 'auth_01', 'regress_api calls a function of loyalty_api');
SELECT throws_ok('SELECT FROM ' || name, '42501', NULL, 'regress_api does not read ' || name) FROM relations WHERE relkind IN ('r', 'v');
SELECT throws_ok('SELECT loyalty.authenticate(''x'')', '42501', NULL, 'regress_api does not call authenticate');
SELECT throws_ok('SELECT loyalty.create_merchant(''x'')', '42501', NULL, 'regress_api does not call create_merchant');
SELECT throws_ok('SELECT loyalty.grant_operation(''regress_api'')', '42501', NULL, 'regress_api does not help itself');
RESET ROLE;

SET LOCAL ROLE regress_reporting;
SELECT lives_ok('SELECT * FROM ' || name, 'regress_reporting reads ' || name) FROM relations WHERE relkind = 'v' AND name LIKE 'loyalty\_report.%';
SELECT throws_ok('SELECT FROM ' || name, '42501', NULL, 'regress_reporting does not read ' || name) FROM relations WHERE relkind IN ('r', 'v') AND name NOT LIKE 'loyalty\_report.%';
SELECT throws_ok('SELECT ' || call, '42501', NULL, 'regress_reporting does not call ' || call)
FROM unnest('{"loyalty_internal.reported_merchants(''postgres'')","loyalty_internal.rank_now(1,1)","loyalty.rank_at(1,1,now())","loyalty_internal.pseudonym(repeat(''a'',64),1)","loyalty.grant_reporting(''regress_reporting'')"}'::text[]) call;
RESET ROLE;

SET LOCAL ROLE regress_reading;
SELECT lives_ok('SELECT * FROM ' || name, 'regress_reading reads ' || name) FROM relations WHERE relkind = 'v' AND name LIKE 'loyalty.%';
SELECT lives_ok('SELECT * FROM loyalty.entry', 'regress_reading reads the ledger');
SELECT throws_ok('SELECT FROM ' || name, '42501', NULL, 'regress_reading does not read ' || name) FROM relations WHERE relkind = 'r' AND name <> 'loyalty.entry';
SELECT throws_ok('SELECT ' || call, '42501', NULL, 'regress_reading does not call ' || call) FROM unnest('{loyalty_internal.new_id(),loyalty_internal.error_codes(),loyalty_internal.invariants()}'::text[]) call;
SELECT throws_ok(format('DELETE FROM %s', name), '42501', NULL, 'regress_reading does not delete through ' || name)
FROM relations WHERE name IN ('loyalty.entries', 'loyalty.outbox', 'loyalty.api_keys');
SELECT throws_ok('SELECT * FROM loyalty.claim_messages(1)', '42501', NULL, 'regress_reading claims no messages');
SELECT throws_ok('SELECT loyalty_api.toolusers_get()', '42501', NULL, 'regress_reading does not call loyalty_api');
SELECT lives_ok($$SELECT loyalty.sum(balance), max(balance::numeric) FROM loyalty.members WHERE balance > 1::loyalty.points OR phone = '5512345678'$$,
	'regress_reading computes with the types') FROM (SELECT set_config('search_path', 'loyalty,public', true)) s;
RESET ROLE;

SELECT set_config('search_path', 'public', true) \g /dev/null
SET LOCAL ROLE regress_operation;
SELECT loyalty.create_merchant('Operaciones') AS merchant \gset
SELECT wallet_key FROM loyalty.create_wallet(:merchant, 'Monedero') \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset
SELECT cmp_ok(loyalty.wallet_contact_add(:merchant, :'wallet_key', '5512340001', 'Cliente', :staff), '>', 0::bigint, 'regress_operation registers a contact');
SELECT is(loyalty.wallet_sale(:merchant, :'wallet_key', '5512340001', 0, 100, NULL, :staff)::text, '10', 'regress_operation sells');
SELECT is_empty('SELECT * FROM loyalty.verify()', 'regress_operation verifies');
SELECT is((SELECT balance::text FROM loyalty.members WHERE merchant_id = :merchant), '10', 'regress_operation reads a balance');
SELECT throws_ok('SELECT FROM ' || name, '42501', NULL, 'regress_operation does not read ' || name) FROM relations WHERE relkind = 'r' AND name NOT IN ('loyalty.entry', 'loyalty.curp_record');
SELECT throws_ok('UPDATE loyalty_internal.account SET balance = ''1000''', '42501', NULL, 'regress_operation does not write a balance');
SELECT throws_ok('INSERT INTO loyalty_internal.api_key (key_hash, merchant_id) VALUES (sha256(''''), 1)', '42501', NULL, 'regress_operation writes no API key');
SELECT lives_ok('INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red)
	VALUES (''33'', ''3614'', ''0000'', ''9999'', ''FIJO'')', 'regress_operation loads a numbering plan');
SELECT is(loyalty.apply_numbering_plan(), 1::bigint, 'and applies it');
SELECT lives_ok(format('INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name) VALUES (%s, ''CAMC880526HMCBNR04'', ''Carlos'', ''Cabrera'')', :merchant), 'regress_operation writes down who was looked up');
SELECT throws_ok('UPDATE loyalty.curp_record SET second_last_name = E''a\nb''', '23514', NULL, 'whose names stay within a line');
SELECT throws_ok('SELECT loyalty.grant_operation(''regress_operation'')', '42501', NULL, 'regress_operation hands out no rights');
RESET ROLE;

-- --- settings of the session that are not the usual ones ---------------------------------

SELECT is_empty($$SELECT f.name FROM functions f JOIN pg_proc p USING (oid) WHERE strpos(p.prosrc, chr(92)) > 0$$,
	'no function has a backslash, which standard_conforming_strings gives another meaning');
SET LOCAL standard_conforming_strings = off;
SET LOCAL escape_string_warning = off;
SELECT loyalty.create_merchant('Ajustes') AS merchant \gset
SELECT program_id AS program FROM loyalty.create_wallet(:merchant, 'Monedero') \gset
SELECT lives_ok(format($$SELECT loyalty.publish_rules(%s, %s, '[{"name": "Mañanas", "points": 1, "from_time": "08:30", "until_time": "24:00", "from": "2027-01-01", "until": "2027-12-31T10:00:00.5-06:00"}]')$$, :merchant, :program),
	'publish_rules, where standard_conforming_strings is off');
SELECT throws_ok(format($$SELECT loyalty.publish_rules(%s, %s, '[{"name": "Mañanas", "points": 1, %s}]')$$, :merchant, :program, wrong), 'LY005', NULL, 'and still refuses ' || wrong)
FROM unnest(ARRAY['"from_time": "8:30"', '"until_time": "24:01"', '"from": "dddd-dd-dd"', '"from": "2027-01-01Tdd:dd"']) wrong;
SELECT lives_ok(format($$SELECT loyalty.configure_program(%s, %s, '{"expiry": "fixed", "expiry_date": "2027-12-31"}')$$, :merchant, :program), 'configure_program');
SELECT throws_ok(format($$SELECT loyalty.configure_program(%s, %s, '{"expiry": "fixed", "expiry_date": "dddd-dd-dd"}')$$, :merchant, :program), 'LY005', NULL, 'and still refuses a wrong date');
RESET standard_conforming_strings;
RESET escape_string_warning;

-- --- what would get lost, and what nobody would understand ------------------------------

SELECT is_empty($$
	SELECT r.name FROM relations r WHERE r.relkind IN ('r', 'p', 'S')
	  AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'loyalty' AND r.oid = ANY (e.extconfig))$$, 'every table is marked for dumps');
SELECT is_empty($$SELECT t.id::regclass, t.condition FROM pg_extension e, unnest(e.extconfig, e.extcondition) t (id, condition) WHERE e.extname = 'loyalty' AND t.condition <> ''$$,
	'with all of its rows');
SELECT is_empty($$
	SELECT m.object FROM members m
	WHERE NOT EXISTS (SELECT FROM pg_description d WHERE d.classoid = m.classid AND d.objoid = m.objid AND d.objsubid = 0)
	  AND NOT EXISTS (SELECT FROM pg_class c WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind IN ('i', 'I', 't'))
	  AND NOT EXISTS (SELECT FROM pg_type t WHERE m.classid = 'pg_type'::regclass AND t.oid = m.objid AND (t.typrelid <> 0 OR t.typcategory = 'A'))$$,
	'every object has a comment');

-- --- what a later script adds ------------------------------------------------------------

CREATE TEMP VIEW written AS
SELECT tableoid::regclass::text AS class, ctid::text AS place, xmin::text AS by FROM pg_proc WHERE oid IN (SELECT objid FROM members)
UNION ALL SELECT tableoid::regclass::text, ctid::text, xmin::text FROM pg_class WHERE oid IN (SELECT objid FROM members)
UNION ALL SELECT tableoid::regclass::text, ctid::text, xmin::text FROM pg_type WHERE oid IN (SELECT objid FROM members)
UNION ALL SELECT tableoid::regclass::text, ctid::text, xmin::text FROM pg_namespace WHERE oid IN (SELECT objid FROM members)
UNION ALL SELECT tableoid::regclass::text, ctid::text, xmin::text FROM pg_init_privs
UNION ALL SELECT tableoid::regclass::text, ctid::text, xmin::text FROM pg_extension;
CREATE TEMP TABLE written_before AS SELECT * FROM written;
SELECT lives_ok('SELECT loyalty_internal.seal()', 'what is sealed can be sealed again');
SELECT set_eq('SELECT * FROM written', 'SELECT * FROM written_before', 'and nothing is written: what others were granted is theirs');

CREATE FUNCTION loyalty.added_operation() RETURNS integer LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN 1; END';
CREATE FUNCTION loyalty.added_helper() RETURNS integer LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION loyalty."added constant"() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE AGGREGATE loyalty.added_sum(loyalty.points) (SFUNC = loyalty_internal.points_larger, STYPE = loyalty.points);
CREATE VIEW loyalty.added_view AS SELECT 1 AS one;
CREATE DOMAIN loyalty.added_domain AS integer;
CREATE TYPE loyalty.added_row AS (one integer);
GRANT ALL ON loyalty.added_view TO PUBLIC;
ALTER EXTENSION loyalty ADD FUNCTION loyalty.added_operation();
ALTER EXTENSION loyalty ADD FUNCTION loyalty.added_helper();
ALTER EXTENSION loyalty ADD FUNCTION loyalty."added constant"();
ALTER EXTENSION loyalty ADD AGGREGATE loyalty.added_sum(loyalty.points);
ALTER EXTENSION loyalty ADD VIEW loyalty.added_view;
ALTER EXTENSION loyalty ADD DOMAIN loyalty.added_domain;
ALTER EXTENSION loyalty ADD TYPE loyalty.added_row;
SELECT is((SELECT count(DISTINCT o.name) FROM objects o, aclexplode(o.acl) a WHERE a.grantee = 0 AND o.name ~ '^loyalty\."?added')::integer, 7, 'what is made is PUBLIC''s at first');
SELECT loyalty_internal.seal() \g /dev/null
SELECT is_empty($$SELECT o.name, a.privilege_type FROM objects o, aclexplode(o.acl) a WHERE a.grantee = 0$$, 'a seal takes it from PUBLIC');
SELECT set_eq($$SELECT name, owner = 'loyalty_engine'::regrole,
		CASE kind WHEN 'f' THEN has_function_privilege('loyalty_engine', oid, 'EXECUTE') WHEN 'T' THEN has_type_privilege('loyalty_engine', oid, 'USAGE') END
	FROM objects WHERE name ~ '^loyalty\."?added'$$,
	$$VALUES ('loyalty.added_operation()', true, true), ('loyalty.added_helper()', true, true), ('loyalty."added constant"()', false, true),
		('loyalty.added_sum(loyalty.points)', false, true), ('loyalty.added_view', true, NULL), ('loyalty.added_domain', false, true), ('loyalty.added_row', false, true)$$,
	'and gives it to loyalty_engine, to own or to use');

SELECT * FROM finish();
ROLLBACK;

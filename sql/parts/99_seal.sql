-- Owners, rights, dump marks, and what columns of views are: what is the same for
-- all objects is said once.
-- Which rights loyalty_engine has on a table is granted beside the table.

CREATE FUNCTION loyalty_internal.seal() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	engine CONSTANT oid := 'loyalty_engine'::regrole;
	-- These run as whoever calls them, or as a role of their own, and the engine never does.
	not_of_engine CONSTANT name[] := '{grant_api,grant_reporting,revoke_reporting,grant_reading,grant_operation,prepare_role,bind_report_role,seal,forget_access_log,maintain_access_log,erase_entries}';
	-- Figures, and nothing of anybody, for the role that PostgreSQL has for monitoring.
	of_monitor CONSTANT name[] := '{loyalty,loyalty.metrics,loyalty.progress,loyalty.health(),loyalty_internal.metrics(),loyalty_internal.progress()}';
	-- The types of columns that have statistics.
	with_statistics CONSTANT regtype[] := '{boolean,smallint,integer,bigint,timestamptz,loyalty.points}';
	command text;
BEGIN
	-- Only what is lacking is done: a right that is granted or revoked here is
	-- taken for the extension's own by pg_dump, together with all that others
	-- have been granted on the object.  Owners come first, for they grant.
	-- Again as long as anything was: a view of a view has its COMMENTs from that.
	LOOP
		FOR command IN
			WITH member AS (
				SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
				WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'loyalty'
			), object (id, kind, name, owner, rights, of_engine, for_engine, has_rows) AS (
				SELECT p.oid, 'ROUTINE', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)),
					   p.proname <> ALL (not_of_engine) AND (p.prosecdef OR l.lanname IN ('sql', 'plpgsql') AND p.provolatile <> 'i'),
					   CASE WHEN p.proname <> ALL (not_of_engine) THEN 'EXECUTE' END, false
				FROM member m JOIN pg_proc p ON p.oid = m.objid JOIN pg_language l ON l.oid = p.prolang WHERE m.classid = 'pg_proc'::regclass
				UNION ALL
				SELECT c.oid, 'TABLE', c.oid::regclass::text, c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)),
					   c.relkind IN ('v', 'm'), NULL, c.relkind IN ('r', 'p', 'S')
				FROM member m JOIN pg_class c ON c.oid = m.objid WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'S', 'v', 'm')
				UNION ALL
				-- Row types and array types have the rights of their table and element.
				SELECT t.oid, 'TYPE', t.oid::regtype::text, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)), false, 'USAGE', false
				FROM member m JOIN pg_type t ON t.oid = m.objid LEFT JOIN pg_class c ON c.oid = t.typrelid
				WHERE m.classid = 'pg_type'::regclass AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c'
				UNION ALL
				SELECT n.oid, 'SCHEMA', n.oid::regnamespace::text, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)), false, NULL, false
				FROM member m JOIN pg_namespace n ON n.oid = m.objid WHERE m.classid = 'pg_namespace'::regclass
			)
			SELECT format('ALTER %s %s OWNER TO loyalty_engine', o.kind, o.name)
			FROM object o WHERE o.of_engine AND o.owner <> engine
			UNION ALL
			SELECT format('REVOKE ALL ON %s %s FROM PUBLIC', o.kind, o.name)
			FROM object o WHERE EXISTS (SELECT FROM aclexplode(o.rights) r WHERE r.grantee = 0)
			UNION ALL
			SELECT format('GRANT %s ON %s %s TO loyalty_engine', o.for_engine, o.kind, o.name)
			FROM object o WHERE o.for_engine IS NOT NULL AND NOT o.of_engine
			AND NOT EXISTS (SELECT FROM aclexplode(o.rights) r WHERE r.grantee = engine)
			UNION ALL
			SELECT format('GRANT %s ON %s %s TO pg_monitor', CASE o.kind WHEN 'SCHEMA' THEN 'USAGE' WHEN 'ROUTINE' THEN 'EXECUTE' ELSE 'SELECT' END, o.kind, o.name)
			FROM object o WHERE o.name = ANY (of_monitor)
			AND NOT EXISTS (SELECT FROM aclexplode(o.rights) r WHERE r.grantee = 'pg_monitor'::regrole)
			UNION ALL
			SELECT format('SELECT pg_extension_config_dump(%L, %L)', o.name, '')
			FROM object o WHERE o.has_rows AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'loyalty' AND o.id = ANY (e.extconfig))
			UNION ALL
			SELECT format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', o.name, t.tgname)
			FROM object o JOIN pg_trigger t ON t.tgrelid = o.id JOIN pg_proc f ON f.oid = t.tgfoid
			WHERE o.kind = 'TABLE' AND f.pronamespace = 'loyalty_internal'::regnamespace AND t.tgenabled <> 'A'
			UNION ALL
			-- Statistics are samples of the rows, and stay when these are erased: of
			-- what is more than a number or a moment there are none.
			SELECT format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', o.name, a.attname)
			FROM object o JOIN pg_attribute a ON a.attrelid = o.id AND a.attnum > 0 AND NOT a.attisdropped
			WHERE o.kind = 'TABLE' AND NOT o.of_engine AND a.atttypid <> ALL (with_statistics) AND coalesce(a.attstattarget, -1) <> 0
			UNION ALL
			SELECT format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS 0', i.indexrelid::regclass, k.n)
			FROM object o JOIN pg_index i ON i.indrelid = o.id, unnest(i.indkey::smallint[]) WITH ORDINALITY k (attnum, n), pg_attribute a
			WHERE o.kind = 'TABLE' AND NOT o.of_engine AND k.attnum = 0 AND a.attrelid = i.indexrelid AND a.attnum = k.n AND coalesce(a.attstattarget, -1) <> 0
			UNION ALL
			SELECT format('COMMENT ON COLUMN %s.%I IS %L', o.name, a.attname, min(c.description))
			FROM object o JOIN pg_attribute a ON a.attrelid = o.id AND a.attnum > 0
			JOIN pg_rewrite r ON r.ev_class = o.id
			JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
			JOIN pg_attribute shown ON shown.attrelid = d.refobjid AND shown.attnum = d.refobjsubid AND shown.attname = a.attname
			CROSS JOIN LATERAL col_description(shown.attrelid, shown.attnum) c (description)
			WHERE o.kind = 'TABLE' AND o.of_engine AND shown.attrelid <> o.id AND col_description(o.id, a.attnum) IS NULL
			GROUP BY o.name, a.attname HAVING count(DISTINCT (shown.attrelid, shown.attnum)) = 1 AND min(c.description) IS NOT NULL
		LOOP
			EXECUTE command;
		END LOOP;
		EXIT WHEN NOT FOUND;
	END LOOP;
	PERFORM loyalty_internal.announce_version();
END
$$;
COMMENT ON FUNCTION loyalty_internal.seal() IS
'Makes loyalty_engine the owner of what runs as it: views, SECURITY DEFINER functions and those in SQL that these call; lets it execute and use all other functions and types, but for those that hand out rights, forget accesses or erase texts; keeps statistics from having texts; enables the triggers of these tables always; takes everything from PUBLIC, lets pg_monitor read what monitoring asks, has all tables dumped, and gives columns of views that have no COMMENT that of the column of their name that they show. The last statement of the install script and of every upgrade script; who owns the extension may run it again, and it does what is lacking.';

SELECT loyalty_internal.seal();

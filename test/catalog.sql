-- catalog.sql - the objects of the extension loyalty, as facts: a line for each
-- thing that can be said of one.
--
-- Two databases are equal if these lines are.  Names are qualified, OIDs and the
-- order of creation do not count.  Rights are what they come to, untouched ones
-- too.  Run by psql -XAtq.
\o /dev/null
SET search_path = pg_catalog;
SET DateStyle = ISO;
SET TimeZone = 'UTC';
CREATE TEMP VIEW members AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'loyalty' AND d.deptype = 'e';

CREATE FUNCTION pg_temp.acl(acl aclitem[], kind "char", owner oid) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(x, ', ' ORDER BY x COLLATE "C"), 'none') FROM (
		SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END || ':' || a.privilege_type
			   || CASE WHEN a.is_grantable THEN '*' ELSE '' END || ' by ' || a.grantor::regrole AS x
		FROM aclexplode(CASE WHEN acl IS NULL THEN acldefault(kind, owner) WHEN cardinality(acl) > 0 THEN acl END) a) x $$;
CREATE FUNCTION pg_temp.comment(class regclass, object oid, sub integer DEFAULT 0) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT d.description FROM pg_description d WHERE d.classoid = class AND d.objoid = object AND d.objsubid = sub), 'none') $$;

-- Tables have rows, indexes and constraints that are no members themselves.
CREATE TEMP VIEW relations AS
SELECT c.* FROM members m JOIN pg_class c ON c.oid = m.objid WHERE m.classid = 'pg_class'::regclass;
CREATE TEMP VIEW functions AS
SELECT p.* FROM members m JOIN pg_proc p ON p.oid = m.objid WHERE m.classid = 'pg_proc'::regclass;
CREATE TEMP VIEW types AS
SELECT t.* FROM members m JOIN pg_type t ON t.oid = m.objid WHERE m.classid = 'pg_type'::regclass;

CREATE TEMP TABLE fact (object text, what text, value text);

INSERT INTO fact SELECT 'extension', w, v FROM pg_extension e, LATERAL (VALUES
	('owner', e.extowner::regrole::text), ('version', e.extversion), ('schema', e.extnamespace::regnamespace::text), ('relocatable', e.extrelocatable::text)) x (w, v)
WHERE e.extname = 'loyalty';
INSERT INTO fact SELECT 'extension', 'dumped ' || c.t::regclass, 'where ' || c.condition
FROM pg_extension e, unnest(e.extconfig, e.extcondition) c (t, condition) WHERE e.extname = 'loyalty';

-- members, and what each of them needs
INSERT INTO fact SELECT pg_describe_object(classid, objid, 0), 'member', 'yes' FROM members;
INSERT INTO fact SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), 'needs', d.deptype::text || ' ' || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
FROM pg_depend d JOIN members m ON m.classid = d.classid AND m.objid = d.objid WHERE d.deptype <> 'e';
INSERT INTO fact SELECT pg_describe_object(i.classoid, i.objoid, i.objsubid), 'initial rights (' || i.privtype::text || ')',
	pg_temp.acl(i.initprivs, 'r', 10)
FROM pg_init_privs i JOIN members m ON m.classid = i.classoid AND m.objid = i.objoid;

INSERT INTO fact SELECT 'schema ' || n.nspname, w, v FROM members m JOIN pg_namespace n ON n.oid = m.objid, LATERAL (VALUES
	('owner', n.nspowner::regrole::text), ('rights', pg_temp.acl(n.nspacl, 'n', n.nspowner)), ('comment', pg_temp.comment('pg_namespace', n.oid))) x (w, v)
WHERE m.classid = 'pg_namespace'::regclass;

INSERT INTO fact SELECT 'routine ' || p.oid::regprocedure, w, v FROM functions p, LATERAL (VALUES
	('owner', p.proowner::regrole::text), ('rights', pg_temp.acl(p.proacl, 'f', p.proowner)), ('comment', pg_temp.comment('pg_proc', p.oid)),
	('definition', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END),
	('arguments', pg_get_function_arguments(p.oid)), ('result', pg_get_function_result(p.oid)),
	('kind', concat_ws(' ', p.prokind, p.provolatile, p.proparallel, p.proisstrict, p.prosecdef, p.proleakproof, p.procost, p.prorows, p.prosupport::regprocedure, p.provariadic::regtype)),
	('source', concat_ws(' ', (SELECT l.lanname FROM pg_language l WHERE l.oid = p.prolang), p.prosrc, p.probin)),
	('settings', p.proconfig::text)) x (w, v);
INSERT INTO fact SELECT 'routine ' || p.oid::regprocedure, 'aggregate',
	(SELECT string_agg(j.key || '=' || j.value, ' ' ORDER BY j.key) FROM jsonb_each_text(to_jsonb(a) - 'aggfnoid' - 'aggsortop'
		|| jsonb_build_object('aggsortop', a.aggsortop::regoperator::text, 'aggtranstype', a.aggtranstype::regtype::text, 'aggmtranstype', a.aggmtranstype::regtype::text)) j)
FROM functions p JOIN pg_aggregate a ON a.aggfnoid = p.oid;

INSERT INTO fact SELECT 'relation ' || c.oid::regclass, w, v FROM relations c, LATERAL (VALUES
	('kind', concat_ws(' ', c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, (SELECT amname FROM pg_am WHERE oid = c.relam))),
	('owner', c.relowner::regrole::text), ('rights', pg_temp.acl(c.relacl, CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)),
	('comment', pg_temp.comment('pg_class', c.oid)), ('options', c.reloptions::text), ('options of its TOAST table', (SELECT t.reloptions::text FROM pg_class t WHERE t.oid = c.reltoastrelid)),
	('view', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END),
	('sequence', (SELECT (to_jsonb(s) - 'seqrelid')::text FROM pg_sequence s WHERE s.seqrelid = c.oid))) x (w, v);
INSERT INTO fact SELECT 'relation ' || c.oid::regclass || ' column ' || a.attname, w, v
FROM relations c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped, LATERAL (VALUES
	('place', (SELECT count(*) FROM pg_attribute b WHERE b.attrelid = c.oid AND b.attnum BETWEEN 1 AND a.attnum AND NOT b.attisdropped)::text),
	('type', format_type(a.atttypid, a.atttypmod)), ('not null', a.attnotnull::text),
	('collation', (SELECT l.oid::regcollation::text FROM pg_collation l WHERE l.oid = a.attcollation)),
	('storage', concat_ws(' ', a.attstorage, a.attcompression, a.attidentity, a.attgenerated, nullif(a.attstattarget, -1), (SELECT array_agg(o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\_attver=%'))),
	('default', (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum)),
	('rights', a.attacl::text), ('comment', pg_temp.comment('pg_class', c.oid, a.attnum))) x (w, v);
INSERT INTO fact SELECT 'relation ' || c.oid::regclass || ' constraint ' || k.conname, w, v
FROM relations c JOIN pg_constraint k ON k.conrelid = c.oid, LATERAL (VALUES
	('definition', pg_get_constraintdef(k.oid)), ('state', concat_ws(' ', k.contype, k.convalidated, k.condeferrable, k.condeferred, k.conislocal, k.connoinherit)),
	('comment', pg_temp.comment('pg_constraint', k.oid))) x (w, v);
INSERT INTO fact SELECT 'relation ' || c.oid::regclass || ' index ' || i.indexrelid::regclass, w, v
FROM relations c JOIN pg_index i ON i.indrelid = c.oid, LATERAL (VALUES
	('definition', pg_get_indexdef(i.indexrelid)), ('state', concat_ws(' ', i.indisunique, i.indisprimary, i.indisexclusion, i.indimmediate, i.indisclustered, i.indisvalid, i.indisreplident)),
	('statistics', (SELECT string_agg(a.attname || ' ' || a.attstattarget, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attstattarget <> -1)),
	('comment', pg_temp.comment('pg_class', i.indexrelid))) x (w, v);
INSERT INTO fact SELECT 'relation ' || c.oid::regclass || ' trigger ' || t.tgname, w, v
FROM relations c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal, LATERAL (VALUES
	('definition', pg_get_triggerdef(t.oid)), ('enabled', t.tgenabled::text), ('comment', pg_temp.comment('pg_trigger', t.oid))) x (w, v);
INSERT INTO fact SELECT 'relation ' || c.oid::regclass || ' rule ' || r.rulename, 'definition', pg_get_ruledef(r.oid)
FROM relations c JOIN pg_rewrite r ON r.ev_class = c.oid;
INSERT INTO fact SELECT 'relation ' || c.oid::regclass || ' policy ' || p.polname, 'definition',
	concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
FROM relations c JOIN pg_policy p ON p.polrelid = c.oid;

INSERT INTO fact SELECT 'type ' || format_type(t.oid, NULL), w, v FROM types t, LATERAL (VALUES
	('owner', t.typowner::regrole::text), ('rights', pg_temp.acl(t.typacl, 'T', t.typowner)), ('comment', pg_temp.comment('pg_type', t.oid)),
	('kind', concat_ws(' ', t.typtype, t.typcategory, t.typispreferred, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typdelim, t.typnotnull, t.typisdefined, t.typdefault)),
	('functions', concat_ws(' ', t.typinput::regproc, t.typoutput::regproc, t.typreceive::regproc, t.typsend::regproc, t.typmodin::regproc, t.typmodout::regproc, t.typanalyze::regproc, t.typsubscript::regproc)),
	('of', concat_ws(' ', t.typelem::regtype, t.typarray::regtype, t.typbasetype::regtype, t.typrelid::regclass)),
	('columns', (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
				 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
				 WHERE c.oid = t.typrelid AND c.relkind = 'c')),
	('checks', (SELECT string_agg(pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid)),
	('labels', (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))) x (w, v);

INSERT INTO fact SELECT 'operator ' || o.oid::regoperator, w, v FROM members m JOIN pg_operator o ON o.oid = m.objid, LATERAL (VALUES
	('owner', o.oprowner::regrole::text), ('result', o.oprresult::regtype::text), ('function', o.oprcode::regprocedure::text),
	('commutator', o.oprcom::regoperator::text), ('negator', o.oprnegate::regoperator::text),
	('planning', concat_ws(' ', o.oprrest::regproc, o.oprjoin::regproc, o.oprcanmerge, o.oprcanhash)), ('comment', pg_temp.comment('pg_operator', o.oid))) x (w, v)
WHERE m.classid = 'pg_operator'::regclass;
INSERT INTO fact SELECT pg_describe_object(m.classid, m.objid, 0), w, v FROM members m JOIN pg_opclass c ON c.oid = m.objid, LATERAL (VALUES
	('owner', c.opcowner::regrole::text), ('kind', concat_ws(' ', c.opcdefault, c.opcintype::regtype, nullif(c.opckeytype, 0)::regtype)),
	('family', pg_describe_object('pg_opfamily'::regclass, c.opcfamily, 0)), ('comment', pg_temp.comment('pg_opclass', c.oid))) x (w, v)
WHERE m.classid = 'pg_opclass'::regclass;
INSERT INTO fact SELECT pg_describe_object(m.classid, m.objid, 0), w, v FROM members m JOIN pg_opfamily f ON f.oid = m.objid, LATERAL (
	SELECT 'owner', f.opfowner::regrole::text UNION ALL SELECT 'comment', pg_temp.comment('pg_opfamily', f.oid)
	UNION ALL SELECT 'operator ' || o.amopstrategy, concat_ws(' ', o.amopopr::regoperator, o.amoppurpose, nullif(o.amopsortfamily, 0)) FROM pg_amop o WHERE o.amopfamily = f.oid
	UNION ALL SELECT 'function ' || p.amprocnum, concat_ws(' ', p.amproc::regprocedure, p.amproclefttype::regtype, p.amprocrighttype::regtype) FROM pg_amproc p WHERE p.amprocfamily = f.oid) x (w, v)
WHERE m.classid = 'pg_opfamily'::regclass;
INSERT INTO fact SELECT pg_describe_object(m.classid, m.objid, 0), w, v FROM members m JOIN pg_cast c ON c.oid = m.objid, LATERAL (VALUES
	('kind', concat_ws(' ', c.castcontext, c.castmethod, c.castfunc::regprocedure)), ('comment', pg_temp.comment('pg_cast', c.oid))) x (w, v)
WHERE m.classid = 'pg_cast'::regclass;

INSERT INTO fact SELECT 'statistics ' || s.stxnamespace::regnamespace || '.' || s.stxname, w, v FROM relations c JOIN pg_statistic_ext s ON s.stxrelid = c.oid, LATERAL (VALUES
	('definition', pg_get_statisticsobjdef(s.oid)), ('owner', s.stxowner::regrole::text), ('comment', pg_temp.comment('pg_statistic_ext', s.oid))) x (w, v);

-- Of the whole database, for who would look for them among the members?
INSERT INTO fact SELECT 'event trigger ' || t.evtname, w, v FROM pg_event_trigger t, LATERAL (VALUES
	('definition', concat_ws(' ', t.evtevent, t.evtfoid::regprocedure, t.evttags)), ('owner', t.evtowner::regrole::text), ('enabled', t.evtenabled::text),
	('comment', pg_temp.comment('pg_event_trigger', t.oid))) x (w, v);
INSERT INTO fact SELECT 'default rights of ' || d.defaclrole::regrole || ' in ' || coalesce(nullif(d.defaclnamespace, 0)::regnamespace::text, 'all schemas'), 'on ' || d.defaclobjtype::text,
	pg_temp.acl(d.defaclacl, CASE d.defaclobjtype WHEN 'S' THEN 's'::"char" ELSE d.defaclobjtype END, d.defaclrole) FROM pg_default_acl d;
INSERT INTO fact SELECT pg_describe_object(l.classoid, l.objoid, l.objsubid), 'label of ' || l.provider, l.label
FROM pg_seclabel l JOIN members m ON m.classid = l.classoid AND m.objid = l.objoid;

-- A kind of object of which nothing else is said here must not go unnoticed.
INSERT INTO fact SELECT DISTINCT 'catalog.sql', 'does not know', m.classid::regclass::text FROM members m
WHERE m.classid NOT IN ('pg_namespace'::regclass, 'pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass,
	'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_cast'::regclass, 'pg_statistic_ext'::regclass, 'pg_event_trigger'::regclass);

-- Other objects in the schemas of the extension, or owned by its role.
INSERT INTO fact SELECT pg_describe_object(x.class, x.oid, 0), 'member', 'no' FROM (
	SELECT 'pg_proc'::regclass AS class, oid, pronamespace AS schema FROM pg_proc UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator
	UNION ALL SELECT 'pg_class'::regclass, oid, relnamespace FROM pg_class WHERE relkind NOT IN ('i', 'I', 't', 'c')
	UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type t WHERE typelem = 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')) x
JOIN members n ON n.classid = 'pg_namespace'::regclass AND n.objid = x.schema
WHERE NOT EXISTS (SELECT FROM members m WHERE m.classid = x.class AND m.objid = x.oid);

\o
SELECT line FROM (SELECT replace(replace(object || ' | ' || what || ' | ' || value, E'\n', '\n'), E'\t', '\t') AS line FROM fact WHERE value IS NOT NULL) l
ORDER BY line COLLATE "C";

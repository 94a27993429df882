-- The five schemas and the role that everything in them runs as.

-- Names of people and places are in UTF8 only.  This comes before all else, and
-- the control file names no encoding: with one, the server would fail to convert
-- this script, in words that help nobody.
DO $$
BEGIN
	IF pg_catalog.current_setting('server_encoding') <> 'UTF8' THEN
		RAISE EXCEPTION USING
			ERRCODE = 'feature_not_supported',
			MESSAGE = 'the extension loyalty needs a database whose encoding is UTF8',
			DETAIL = pg_catalog.format('The encoding of database "%s" is %s.', pg_catalog.current_database(), pg_catalog.current_setting('server_encoding')),
			HINT = 'Make another one, on a server of any locale: CREATE DATABASE loyalty ENCODING ''UTF8'' LOCALE ''C.UTF-8'' TEMPLATE template0';
	END IF;
END
$$;

CREATE SCHEMA loyalty;
COMMENT ON SCHEMA loyalty IS
'Loyalty programs: typed functions that raise SQLSTATEs of class L, views, and the ledger, loyalty.entry. All of it is for users.';

CREATE SCHEMA loyalty_internal;
COMMENT ON SCHEMA loyalty_internal IS
'Tables and helpers of the extension loyalty. Not for users: anything here may change with any version.';

CREATE SCHEMA loyalty_api;
COMMENT ON SCHEMA loyalty_api IS
$$Loyalty API
The documented wallet API as functions for PostgREST. They answer the documented JSON with its HTTP status, on failure too. The header apikey authenticates; a header Idempotency-Key makes a retry safe.$$;

CREATE SCHEMA loyalty_report;
COMMENT ON SCHEMA loyalty_report IS
'Reports: a star of facts and dimensions for tools that know plain types only. Who people are is not in it; loyalty.grant_reporting() says which merchants a role sees.';

CREATE SCHEMA loyalty_report_personal;
COMMENT ON SCHEMA loyalty_report_personal IS
'The views of loyalty_report with what names people, for roles that were granted that, and of the merchants of which it was.';

-- Roles belong to the server, not to the database, so they may be there already.
-- One that could log in or outrank its caller, that somebody can act as, that can
-- act as somebody, or that has something here, such as a function which runs as
-- it, is not ours to use.  What cannot be seen is a session that became the role
-- before, and a transaction that is open: a role that nothing depends on is made
-- anew, and is nobody's then who has something of the old one.  One that another
-- database needs is shared if it was made here before: such a setting is given to
-- a role by superusers only.
DO $$
DECLARE
	ours record;
	made_here CONSTANT text := 'loyalty_role.made_by=CREATE EXTENSION loyalty';
	there oid;
BEGIN
	-- Waits for whoever is changing roles, and nobody does until the end.
	LOCK TABLE pg_catalog.pg_authid, pg_catalog.pg_auth_members IN SHARE ROW EXCLUSIVE MODE;
	FOR ours IN VALUES ('loyalty_engine', 'Owns the functions of the extension loyalty; nobody logs in as it.'),
					   ('loyalty_auditor', 'Forgets what is old in the access log of the extension loyalty; nobody logs in as it.'),
					   ('loyalty_eraser', 'Erases the texts of entries of the extension loyalty; nobody logs in as it.') LOOP
		there := pg_catalog.to_regrole(ours.column1);
		IF EXISTS (SELECT FROM pg_catalog.pg_roles
				   WHERE oid = there
					 AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)) THEN
			RAISE EXCEPTION USING
				ERRCODE = 'duplicate_object',
				MESSAGE = pg_catalog.format('role "%s" exists with more rights than the extension allows', ours.column1),
				HINT = 'It must be NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS.';
		END IF;
		IF EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE there IN (roleid, member)) THEN
			RAISE EXCEPTION USING
				ERRCODE = 'duplicate_object',
				MESSAGE = pg_catalog.format('role "%s" exists with members, or is a member of other roles', ours.column1),
				DETAIL = (SELECT pg_catalog.string_agg(pg_catalog.format('%s is a member of %s.', member::pg_catalog.regrole, roleid::pg_catalog.regrole), ' ' ORDER BY member, roleid)
						  FROM pg_catalog.pg_auth_members WHERE there IN (roleid, member)),
				HINT = 'What is its own is everybody''s who is a member of it: see who made it, then REVOKE each of these memberships.';
		END IF;
		BEGIN
			EXECUTE pg_catalog.format('DROP ROLE IF EXISTS %I', ours.column1);
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN NOINHERIT', ours.column1);
			EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L', ours.column1, ours.column2);
			EXECUTE pg_catalog.format('ALTER ROLE %I SET %s = %L', ours.column1, pg_catalog.split_part(made_here, '=', 1), pg_catalog.split_part(made_here, '=', 2));
		EXCEPTION
			WHEN dependent_objects_still_exist THEN
				IF EXISTS (SELECT FROM pg_catalog.pg_shdepend d
						   WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = there AND d.deptype = 'o'
							 AND d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))) THEN
					RAISE EXCEPTION USING
						ERRCODE = 'duplicate_object',
						MESSAGE = pg_catalog.format('role "%s" exists and owns something in this database', ours.column1),
						HINT = 'A function that it owns runs with its rights: see who made it, then DROP OWNED or REASSIGN OWNED.';
				END IF;
				IF NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting
							   WHERE setdatabase = 0 AND setrole = there AND made_here = ANY (setconfig)) THEN
					RAISE EXCEPTION USING
						ERRCODE = 'duplicate_object',
						MESSAGE = pg_catalog.format('role "%s" exists, is in use, and was not made by CREATE EXTENSION', ours.column1),
						DETAIL = pg_catalog.format('Something depends on it in: %s.', (
							SELECT pg_catalog.string_agg(b.datname, ', ' ORDER BY b.datname) FROM pg_catalog.pg_database b
							WHERE EXISTS (SELECT FROM pg_catalog.pg_shdepend d
										  WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = there AND d.dbid = b.oid))),
						HINT = 'Who made it may still be able to act as it: see who that was, then DROP OWNED in each of these databases.';
				END IF;
		END;
	END LOOP;
END
$$;

GRANT USAGE ON SCHEMA loyalty, loyalty_internal, loyalty_report, loyalty_report_personal TO loyalty_engine;
GRANT USAGE ON SCHEMA loyalty_internal TO loyalty_auditor;
GRANT USAGE ON SCHEMA loyalty, loyalty_internal TO loyalty_eraser;

-- Handing out the rights, in three sizes.  These functions run as their caller,
-- who must be allowed to grant: the superuser who created the extension.

CREATE FUNCTION loyalty.grant_api(role name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA loyalty_api TO %I', role);
	EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA loyalty_api TO %I', role);
END
$$;
COMMENT ON FUNCTION loyalty.grant_api(name) IS
'Lets a role, the one PostgREST switches to, execute the functions of schema loyalty_api and nothing else. Run it again after an upgrade.';

CREATE FUNCTION loyalty.grant_reporting(role name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	object record;
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA loyalty TO %I', role);
	EXECUTE format('GRANT USAGE ON TYPE loyalty.points, loyalty.phone, loyalty.curp, loyalty.lots TO %I', role);
	FOR object IN
		SELECT c.oid::regclass AS name FROM pg_class c
		WHERE c.relnamespace = 'loyalty'::regnamespace AND c.relkind = 'v'
	LOOP
		EXECUTE format('GRANT SELECT ON %s TO %I', object.name, role);
	END LOOP;
	-- What computes with the types, and can touch no table; and what shows more
	-- of an account than a view can, or is used by one.
	FOR object IN
		SELECT p.oid::regprocedure AS name, p.prokind FROM pg_proc p
		WHERE p.pronamespace = 'loyalty'::regnamespace
		  AND (p.provolatile = 'i'
			   OR p.proname IN ('account_state', 'balance_at', 'lots_of', 'statement', 'rank_at', 'rules_at', 'receipt'))
	LOOP
		EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', object.name, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION loyalty.grant_reporting(name) IS
'Lets a role read the views of schema loyalty, compute with its types, and read accounts with account_state, balance_at, lots_of, statement, rank_at, rules_at and receipt. Run it again after an upgrade.';

CREATE FUNCTION loyalty.grant_operation(role name) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	object record;
BEGIN
	PERFORM loyalty.grant_reporting(role);
	FOR object IN
		SELECT p.oid::regprocedure AS name FROM pg_proc p
		WHERE p.pronamespace = 'loyalty'::regnamespace AND p.prosecdef
	LOOP
		EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', object.name, role);
	END LOOP;
	EXECUTE format('GRANT INSERT ON loyalty.numbering_plan TO %I', role);
END
$$;
COMMENT ON FUNCTION loyalty.grant_operation(name) IS
'Lets a role, a trusted SQL client, run the operations and the administration of every merchant and read the views. Run it again after an upgrade.';

-- PostgREST reads its schema cache again when this commits.
NOTIFY pgrst, 'reload schema';

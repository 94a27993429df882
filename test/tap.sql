-- What each test/sql/tap_*.sql begins with.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_ROLLBACK 1
\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();

-- A statement is refused with this code of loyalty.error_codes, and its SQLSTATE.
CREATE FUNCTION pg_temp.refuses(statement text, code text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	raised text;
	expected text;
BEGIN
	SELECT concat_ws(' ', min(e.sqlstate), e.code) INTO STRICT expected FROM loyalty.error_codes e WHERE e.code = refuses.code GROUP BY e.code;
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, raised = PG_EXCEPTION_DETAIL;
	END;
	RETURN public.is(concat_ws(' ', state, raised), expected, description);
END
$$;

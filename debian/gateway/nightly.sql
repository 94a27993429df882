-- Each night: checks the whole ledger.  What it finds is in the server's log too.
DO $$
DECLARE
	breach pg_catalog.record;
	breaches bigint := 0;
BEGIN
	-- So that operators are PostgreSQL's, whatever path the database has.
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog', false);
	FOR breach IN SELECT * FROM loyalty.verify() LOOP
		RAISE WARNING '%', pg_catalog.to_json(breach);
		breaches := breaches + 1;
	END LOOP;
	IF breaches > 0 THEN
		RAISE EXCEPTION USING
			ERRCODE = 'data_corrupted',
			MESSAGE = pg_catalog.format('loyalty.verify() has found breaches: %s', breaches);
	END IF;
END
$$;

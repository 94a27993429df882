-- Each night: checks the whole ledger.  What it finds is in the server's log too.
DO $$
DECLARE
	breach record;
	breaches bigint := 0;
BEGIN
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

-- Each hour: books what is due in accounts that nobody posts to.  A transaction
-- for each 10,000 accounts, so that none is locked for long, and an end, though
-- some are posted to again and again.
DO $$
DECLARE
	merchant pg_catalog.record;
BEGIN
	-- So that operators are PostgreSQL's, whatever path the database has.
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog', false);
	FOR merchant IN SELECT merchant_id FROM loyalty.merchants LOOP
		FOR round IN 1 .. 1000 LOOP
			EXIT WHEN loyalty.expire_due(merchant.merchant_id, 10000) = 0;
			COMMIT;
		END LOOP;
		COMMIT;
	END LOOP;
END
$$;

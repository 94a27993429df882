-- Each week: makes a root of each merchant, to be published, and deletes what
-- receipts need under roots of 90 days ago.
DO $$
DECLARE
	merchant pg_catalog.record;
BEGIN
	-- So that operators are PostgreSQL's, whatever path the database has.
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog', false);
	FOR merchant IN SELECT merchant_id FROM loyalty.merchants LOOP
		PERFORM loyalty.make_root(merchant.merchant_id);
		COMMIT;
		WHILE loyalty.forget_roots(merchant.merchant_id) > 0 LOOP
			COMMIT;
		END LOOP;
		COMMIT;
	END LOOP;
END
$$;

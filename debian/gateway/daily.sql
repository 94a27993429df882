-- Each day: deletes what is kept for a time, idempotency keys of 30 days, messages
-- of 90, accesses of two years, and, 30 days after the first, takes the second step
-- of the cancellation of customers.
DO $$
DECLARE
	merchant pg_catalog.record;
BEGIN
	-- So that operators are PostgreSQL's, whatever path the database has.
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog', false);
	FOR merchant IN SELECT merchant_id FROM loyalty.merchants LOOP
		WHILE loyalty.forget_idempotency_keys(merchant.merchant_id) > 0 LOOP
			COMMIT;
		END LOOP;
		WHILE loyalty.forget_messages(merchant.merchant_id) > 0 LOOP
			COMMIT;
		END LOOP;
		WHILE loyalty.forget_access_log(merchant.merchant_id) > 0 LOOP
			COMMIT;
		END LOOP;
		PERFORM loyalty.delete_blocked_customers(merchant.merchant_id);
		COMMIT;
	END LOOP;
END
$$;

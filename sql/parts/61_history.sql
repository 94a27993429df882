-- History: what an account has, had, and how it came to it.

CREATE FUNCTION loyalty.lots_of(merchant_id bigint, account_id bigint, OUT expires_at timestamptz, OUT points loyalty.points) RETURNS SETOF record
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_lots_of';
COMMENT ON FUNCTION loyalty.lots_of(bigint, bigint) IS
'The points that can be spent now by the moment at which they expire, in the order in which they are spent; expires_at NULL: never. They add up to the balance, unless that is negative. Errors: LY002 unknown_account.';

CREATE FUNCTION loyalty.balance_at(merchant_id bigint, account_id bigint, at timestamptz) RETURNS loyalty.points
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_balance_at';
COMMENT ON FUNCTION loyalty.balance_at(bigint, bigint, timestamptz) IS
'The points that could be spent at an instant, which may be in the future: then what will be left if nothing is posted. Of now, and later, everything that was posted counts, also if the clock was ahead then. Exact, whether what was due had been booked or not; at most seventeen entries are looked at, however long the history is. Errors: LY005 invalid_argument for infinity, LY002 unknown_account.';

CREATE FUNCTION loyalty.statement(merchant_id bigint, account_id bigint, before_entry_id bigint DEFAULT NULL, max_entries integer DEFAULT 50)
RETURNS SETOF loyalty.entries
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	newest bigint;
BEGIN
	IF statement.max_entries IS NULL OR statement.max_entries NOT BETWEEN 1 AND 10000 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'max_entries is 1 to 10,000.');
	END IF;
	SELECT a.newest_entry_id INTO newest FROM loyalty_internal.account a
	WHERE a.merchant_id = statement.merchant_id AND a.account_id = statement.account_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_account', NULL);
	END IF;
	IF statement.before_entry_id IS NOT NULL THEN
		SELECT e.previous_entry_id INTO newest FROM loyalty.entry e
		WHERE e.merchant_id = statement.merchant_id AND e.entry_id = statement.before_entry_id AND e.account_id = statement.account_id;
		IF NOT FOUND THEN
			PERFORM loyalty_internal.fail('unknown_entry', 'The account has no entry before_entry_id.');
		END IF;
	END IF;
	-- each entry is found by the one after it
	RETURN QUERY
		WITH RECURSIVE page AS (
			SELECT e AS entry, 1 AS n FROM loyalty.entries e
			WHERE e.merchant_id = statement.merchant_id AND e.entry_id = newest
			UNION ALL
			SELECT b.entry, p.n + 1 FROM page p, LATERAL (
				SELECT e AS entry FROM loyalty.entries e
				WHERE e.merchant_id = statement.merchant_id AND e.entry_id = (p.entry).previous_entry_id OFFSET 0) b
			WHERE p.n < statement.max_entries)
		SELECT (p.entry).* FROM page p ORDER BY p.n;
END
$$;
COMMENT ON FUNCTION loyalty.statement(bigint, bigint, bigint, integer) IS
'A page of an account''s entries, newest first: those before before_entry_id (NULL: from the newest on), at most max_entries (1 to 10,000). The next page is before the last entry of this one, and costs the same however far back it is. Errors: LY005 invalid_argument, LY002 unknown_account, LY010 unknown_entry (the account has no entry before_entry_id).';

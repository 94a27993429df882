-- How many rows a merchant may have: one whose key is public, such as that of a
-- demonstration, would fill the disk.  They are counted when something is added,
-- and not kept count of: there are few, or it would not be such a merchant.

CREATE FUNCTION loyalty_internal.rows_of(merchant_id bigint, up_to bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT count(*) FROM (
		SELECT FROM loyalty.entry e WHERE e.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.access a WHERE a.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.member m WHERE m.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.member_address d WHERE d.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.policy s WHERE s.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.instalment i WHERE i.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.payment y WHERE y.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.consent c WHERE c.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.idempotency_key k WHERE k.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.message g WHERE g.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.staff f WHERE f.merchant_id = rows_of.merchant_id
		UNION ALL SELECT FROM loyalty_internal.branch b WHERE b.merchant_id = rows_of.merchant_id
		LIMIT rows_of.up_to) r);
END
$$;
COMMENT ON FUNCTION loyalty_internal.rows_of(bigint, bigint) IS
'How many rows a merchant has that its clients'' requests add: entries, members and their addresses, policies, instalments, payments, consents, accesses, idempotency keys, messages, staff and branches. up_to: to be counted at most.';

CREATE FUNCTION loyalty.set_row_limit(merchant_id bigint, max_rows bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(set_row_limit.max_rows, -1) NOT BETWEEN 0 AND 1000000 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'max_rows is 0 to 1,000,000.');
	END IF;
	UPDATE loyalty_internal.merchant t SET max_rows = set_row_limit.max_rows WHERE t.merchant_id = set_row_limit.merchant_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'There is no merchant with this merchant_id.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty.set_row_limit(bigint, bigint) IS
'Sets how many rows a merchant may have, 0 to 1,000,000, for one whose key is public: once there are so many, what would add one over the documented APIs is refused (LY427 row_limit_reached), and leaves nothing. That is reading in the customer API too, which is written down, and so is a repeat that gets the first answer; refusals of the customer API are counted then in one row for an app user, operation, status and hour. What is in progress at the same time is not counted yet; counting takes time for each row, so it should be no more than some 10,000. Functions of administration add rows nevertheless. loyalty.row_limits shows how many there are. A merchant starts without, and loyalty.remove_row_limit() lifts it. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.remove_row_limit(merchant_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(remove_row_limit.merchant_id);
	UPDATE loyalty_internal.merchant t SET max_rows = NULL WHERE t.merchant_id = remove_row_limit.merchant_id AND t.max_rows IS NOT NULL;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION loyalty.remove_row_limit(bigint) IS
'Lifts the limit that loyalty.set_row_limit() has set. Returns whether there was one. Errors: LY006 unknown_object.';

CREATE VIEW loyalty.row_limits AS
SELECT t.merchant_id, t.max_rows, loyalty_internal.rows_of(t.merchant_id, NULL) AS rows FROM loyalty_internal.merchant t WHERE t.max_rows IS NOT NULL;
COMMENT ON VIEW loyalty.row_limits IS 'The merchants that may have only so many rows, and how many they have.';
COMMENT ON COLUMN loyalty.row_limits.rows IS 'As loyalty.set_row_limit() counts them.';

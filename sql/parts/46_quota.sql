-- What a merchant's plan allows: customers, redemptions, messages.
--
-- A quota is spread over stripes, so that two cashiers of one merchant take
-- from different rows and neither waits for the other.  Each stripe holds its
-- part and cannot go below zero, so the whole is never oversold; when nothing is in
-- reach, a taker waits for those who are taking the last ones, one after the other.

-- No foreign key and no CHECK, as on all tables that a posting writes.
CREATE TABLE loyalty_internal.quota (
	merchant_id	bigint		NOT NULL,
	resource	text		COLLATE "C" NOT NULL,
	stripe		smallint	NOT NULL,
	remaining	bigint		NOT NULL,
	PRIMARY KEY (merchant_id, resource, stripe)
) WITH (fillfactor = 50);
COMMENT ON TABLE loyalty_internal.quota IS 'Striped counters of what is left. A merchant without rows for a resource has no limit on it.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.quota TO loyalty_engine;

CREATE FUNCTION loyalty_internal.quota_stripes() RETURNS integer
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_quota_stripes';
COMMENT ON FUNCTION loyalty_internal.quota_stripes() IS 'How many stripes a quota is spread over.';

CREATE FUNCTION loyalty.set_quota(merchant_id bigint, resource text, remaining bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	n CONSTANT integer := loyalty_internal.quota_stripes();
BEGIN
	PERFORM loyalty_internal.require_merchant(set_quota.merchant_id);
	IF coalesce(set_quota.remaining, -1) NOT BETWEEN 0 AND 1000000000000 OR coalesce(set_quota.resource, '') NOT IN ('customers', 'redemptions', 'messages') THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'resource is customers, redemptions or messages; remaining is 0 to 1,000,000,000,000.');
	END IF;
	-- In order, so that two who change it do not deadlock; takers hold one stripe.
	PERFORM FROM loyalty_internal.quota q
	WHERE q.merchant_id = set_quota.merchant_id AND q.resource = set_quota.resource COLLATE "C" ORDER BY q.stripe FOR UPDATE;
	INSERT INTO loyalty_internal.quota AS q (merchant_id, resource, stripe, remaining)
	SELECT set_quota.merchant_id, set_quota.resource, s, set_quota.remaining / n + (s < set_quota.remaining % n)::integer
	FROM generate_series(0, n - 1) s
	ON CONFLICT (merchant_id, resource, stripe) DO UPDATE SET remaining = excluded.remaining;
END
$$;
COMMENT ON FUNCTION loyalty.set_quota(bigint, text, bigint) IS
'Sets how many customers (registrations), redemptions or messages (prepaid credit, one each) a merchant has left, at most 1,000,000,000,000. A merchant starts without limits. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.remove_quota(merchant_id bigint, resource text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(remove_quota.merchant_id);
	IF coalesce(remove_quota.resource, '') NOT IN ('customers', 'redemptions', 'messages') THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'resource is customers, redemptions or messages.');
	END IF;
	PERFORM FROM loyalty_internal.quota q
	WHERE q.merchant_id = remove_quota.merchant_id AND q.resource = remove_quota.resource COLLATE "C" ORDER BY q.stripe FOR UPDATE;
	DELETE FROM loyalty_internal.quota q WHERE q.merchant_id = remove_quota.merchant_id AND q.resource = remove_quota.resource COLLATE "C";
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION loyalty.remove_quota(bigint, text) IS
'Lifts the limit that loyalty.set_quota() has set: the merchant may have as many customers, redemptions or messages as it wants. Returns whether there was one. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.add_quota(merchant_id bigint, resource text, amount bigint, idempotency_key text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n CONSTANT integer := loyalty_internal.quota_stripes();
BEGIN
	IF loyalty_internal.claim_key(merchant_id, idempotency_key, 'add_quota', ARRAY[resource, amount::text]) IS NOT NULL THEN
		RETURN;
	END IF;
	IF coalesce(add_quota.amount, 0) <= 0 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'amount must be positive.');
	END IF;
	PERFORM FROM loyalty_internal.quota q
	WHERE q.merchant_id = add_quota.merchant_id AND q.resource = add_quota.resource COLLATE "C" ORDER BY q.stripe FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no limit on this resource; loyalty.set_quota() sets one.');
	END IF;
	IF (SELECT sum(q.remaining) + add_quota.amount > 1000000000000 FROM loyalty_internal.quota q
		WHERE q.merchant_id = add_quota.merchant_id AND q.resource = add_quota.resource COLLATE "C") THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A quota is at most 1,000,000,000,000.');
	END IF;
	UPDATE loyalty_internal.quota q SET remaining = q.remaining + add_quota.amount / n + (q.stripe < add_quota.amount % n)::integer
	WHERE q.merchant_id = add_quota.merchant_id AND q.resource = add_quota.resource COLLATE "C";
	PERFORM loyalty_internal.keep_answer(add_quota.merchant_id, add_quota.idempotency_key, '');
END
$$;
COMMENT ON FUNCTION loyalty.add_quota(bigint, text, bigint, text) IS
'Adds to a quota that loyalty.set_quota() has set. amount: customers, redemptions or messages. idempotency_key: the same call again adds nothing. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY005 invalid_argument, LY006 unknown_object when there is no limit to add to.';

CREATE VIEW loyalty.quotas AS
SELECT merchant_id, resource, sum(remaining)::bigint AS remaining FROM loyalty_internal.quota GROUP BY merchant_id, resource;
COMMENT ON VIEW loyalty.quotas IS 'What the merchants have left of each limited resource.';

-- What the ledger may grow by in a day: in stripes, one for each of some sessions,
-- and a session takes some of it in advance.
CREATE TABLE loyalty_internal.entry_space (
	merchant_id	bigint		NOT NULL,
	stripe		integer		NOT NULL,
	day			date		NOT NULL,
	kilobytes	bigint		NOT NULL,
	PRIMARY KEY (merchant_id, stripe)
);
COMMENT ON TABLE loyalty_internal.entry_space IS 'How much of what a merchant''s clients sent on a day of UTC is kept, or a little less than this: what loyalty.entry_space limits.';
COMMENT ON COLUMN loyalty_internal.entry_space.stripe IS 'Whose: from 64 on the app users'', who have a third of all together.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.entry_space TO loyalty_engine;

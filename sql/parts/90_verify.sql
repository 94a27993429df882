-- Proof: what must be true after every commit, checked over the whole ledger.

CREATE FUNCTION loyalty.verify(
	merchant_id bigint DEFAULT NULL,
	OUT invariant text, OUT broken_merchant_id bigint, OUT broken_account_id bigint, OUT broken_version bigint, OUT detail text)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH chained AS (
		SELECT e.merchant_id, e.account_id, e.version, e.amount, e.balance, e.posted_at, e.kind,
			   lag(e.version, 1, 0::bigint) OVER w AS previous_version,
			   lag(e.balance, 1, '0'::loyalty.points) OVER w AS previous_balance,
			   lag(e.posted_at) OVER w AS previous_posted_at
		FROM loyalty.entry e
		WHERE verify.merchant_id IS NULL OR e.merchant_id = verify.merchant_id
		WINDOW w AS (PARTITION BY e.merchant_id, e.account_id ORDER BY e.version)
	), newest AS (
		SELECT DISTINCT ON (c.merchant_id, c.account_id) c.merchant_id, c.account_id, c.version, c.balance
		FROM chained c ORDER BY c.merchant_id, c.account_id, c.version DESC
	)
	SELECT 'versions count 1, 2, 3 … without gaps', c.merchant_id, c.account_id, c.version,
		   format('version %s follows version %s', c.version, c.previous_version)
	FROM chained c WHERE c.version <> c.previous_version + 1
	UNION ALL
	SELECT 'an entry''s balance is the one before plus its amount', c.merchant_id, c.account_id, c.version,
		   format('%s after %s%s', c.balance, c.previous_balance, to_char(c.amount::numeric, 'FMSG999999999999990.0999'))
	FROM chained c WHERE c.balance::numeric <> c.previous_balance::numeric + c.amount::numeric
	UNION ALL
	SELECT 'entries are in the order of their time', c.merchant_id, c.account_id, c.version,
		   format('%s after %s', c.posted_at, c.previous_posted_at)
	FROM chained c WHERE c.posted_at < c.previous_posted_at
	UNION ALL
	SELECT 'the sign of an entry is that of its kind', c.merchant_id, c.account_id, c.version,
		   format('%s of %s points', coalesce(loyalty.entry_kind(c.kind), c.kind::text), c.amount)
	FROM chained c
	WHERE CASE loyalty.entry_kind(c.kind)
			WHEN 'accrue' THEN c.amount::numeric < 0
			WHEN 'deposit' THEN c.amount::numeric <= 0
			WHEN 'redeem' THEN c.amount::numeric >= 0
			WHEN 'adjust' THEN c.amount::numeric = 0
			WHEN 'expire' THEN c.amount::numeric >= 0
			ELSE true
		  END
	UNION ALL
	SELECT 'no balance is negative', c.merchant_id, c.account_id, c.version, format('balance is %s', c.balance)
	FROM chained c WHERE c.balance::numeric < 0
	UNION ALL
	SELECT 'an account has the balance and the version of its newest entry',
		   coalesce(a.merchant_id, n.merchant_id), coalesce(a.account_id, n.account_id), n.version,
		   CASE WHEN a.account_id IS NULL THEN 'there is no such account'
				ELSE format('account has balance %s at version %s, entries say %s at %s',
							a.balance, a.version, coalesce(n.balance, '0'::loyalty.points), coalesce(n.version, 0)) END
	FROM (SELECT * FROM loyalty.account x WHERE verify.merchant_id IS NULL OR x.merchant_id = verify.merchant_id) a
	FULL JOIN newest n ON n.merchant_id = a.merchant_id AND n.account_id = a.account_id
	WHERE a.account_id IS NULL OR a.version <> coalesce(n.version, 0)
	   OR a.balance::numeric <> coalesce(n.balance, '0'::loyalty.points)::numeric
	UNION ALL
	SELECT 'a member''s account exists and is of the member''s program', m.merchant_id, m.account_id, NULL,
		   format('member %s of program %s: account of program %s', m.member_id, m.program_id, coalesce(a.program_id::text, 'none'))
	FROM loyalty.member m LEFT JOIN loyalty.account a ON a.merchant_id = m.merchant_id AND a.account_id = m.account_id
	WHERE (verify.merchant_id IS NULL OR m.merchant_id = verify.merchant_id) AND a.program_id IS DISTINCT FROM m.program_id
	UNION ALL
	SELECT 'an account''s program exists', a.merchant_id, a.account_id, NULL, format('program %s', a.program_id)
	FROM loyalty.account a LEFT JOIN loyalty.program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id
	WHERE (verify.merchant_id IS NULL OR a.merchant_id = verify.merchant_id) AND p.program_id IS NULL
	UNION ALL
	SELECT 'an account has the sums of its entries', a.merchant_id, a.account_id, NULL,
		   format('earned %s and expired %s, entries say %s and %s', a.earned, a.expired, coalesce(s.earned, 0), coalesce(s.expired, 0))
	FROM loyalty.account a
	LEFT JOIN (SELECT c.merchant_id, c.account_id,
					  sum(c.amount::numeric) FILTER (WHERE loyalty.entry_kind(c.kind) IN ('accrue', 'deposit')) AS earned,
					  sum(-c.amount::numeric) FILTER (WHERE loyalty.entry_kind(c.kind) = 'expire') AS expired
			   FROM chained c GROUP BY c.merchant_id, c.account_id) s
		ON s.merchant_id = a.merchant_id AND s.account_id = a.account_id
	WHERE (verify.merchant_id IS NULL OR a.merchant_id = verify.merchant_id) AND a.earned IS NOT NULL
	  AND (a.earned::numeric <> coalesce(s.earned, 0) OR a.expired::numeric <> coalesce(s.expired, 0))
	UNION ALL
	SELECT 'a request with an idempotency key has its answer', r.merchant_id, NULL, NULL,
		   format('key %s has none', r.idempotency_key)
	FROM loyalty.request r
	WHERE (verify.merchant_id IS NULL OR r.merchant_id = verify.merchant_id) AND r.answer IS NULL
	UNION ALL
	SELECT 'what belongs to a merchant belongs to one that exists', x.merchant_id, NULL, NULL, x.what
	FROM (SELECT merchant_id, 'api_key' AS what FROM loyalty.api_key
		  UNION SELECT merchant_id, 'request' FROM loyalty.request
		  UNION SELECT merchant_id, 'message' FROM loyalty.message) x
	WHERE (verify.merchant_id IS NULL OR x.merchant_id = verify.merchant_id)
	  AND NOT EXISTS (SELECT FROM loyalty.merchant m WHERE m.merchant_id = x.merchant_id)
$$;
COMMENT ON FUNCTION loyalty.verify(bigint) IS
'Checks the invariants of the engine over one merchant, or all for NULL, and returns a row for each breach: which invariant, where, and what was found. No rows: all is well.';
REVOKE ALL ON FUNCTION loyalty.verify(bigint) FROM PUBLIC;
ALTER FUNCTION loyalty.verify(bigint) OWNER TO loyalty_engine;

-- Proof: what must be true after every commit, checked over the whole ledger.

CREATE TYPE loyalty.breach AS (
	invariant	text,
	merchant_id	bigint,
	account_id	bigint,
	entry_id	bigint,
	detail		text
);
COMMENT ON TYPE loyalty.breach IS 'An invariant that does not hold: which, where (NULL: not of an account, or not of an entry), and what was found.';

CREATE FUNCTION loyalty_internal.invariants(OUT invariant text) RETURNS SETOF text
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_invariants';
COMMENT ON FUNCTION loyalty_internal.invariants() IS 'What loyalty.verify() checks of accounts and their entries, in the order in which it does.';

-- The work of every long function; that of verify() has its end in SQL.
CREATE FUNCTION loyalty_internal.progress(
	OUT pid integer, OUT work text, OUT merchant_id bigint, OUT accounts_done bigint, OUT accounts_total bigint, OUT started_at timestamptz)
RETURNS SETOF record
LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'loyalty_progress';
COMMENT ON FUNCTION loyalty_internal.progress() IS 'What loyalty.progress shows: the long work of the sessions of this database, from their slots in shared memory.';

CREATE VIEW loyalty.progress AS
SELECT p.pid, p.work, p.merchant_id, p.accounts_done, p.accounts_total, p.started_at FROM loyalty_internal.progress() p;
COMMENT ON VIEW loyalty.progress IS 'How far long work is that runs now in sessions of this database. It is empty where track_activities is off.';
COMMENT ON COLUMN loyalty.progress.pid IS 'The session, as in pg_stat_activity.';
COMMENT ON COLUMN loyalty.progress.work IS 'The function: verify, make_root, verify_root, expire_due, or recount_ranks, which changes of ranks call too; roll_up: maintain() counts what was posted, some accounts at a time, for loyalty_report.fact_day.';
COMMENT ON COLUMN loyalty.progress.merchant_id IS 'Whose accounts are gone through at the moment; NULL: verify() is through with accounts, and checks what belongs to none.';
COMMENT ON COLUMN loyalty.progress.accounts_done IS 'How many of them are done. verify(merchant_id) has more to check when all are.';
COMMENT ON COLUMN loyalty.progress.accounts_total IS 'How many there were when it began; NULL: that is not counted.';
COMMENT ON COLUMN loyalty.progress.started_at IS 'When it began with this merchant.';

CREATE FUNCTION loyalty_internal.end_work() RETURNS void
LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'loyalty_end_work';
COMMENT ON FUNCTION loyalty_internal.end_work() IS 'Part of loyalty.verify() and of the roll-up: it is in loyalty.progress no more.';

CREATE FUNCTION loyalty_internal.begin_roll_up(merchant_id bigint, accounts_done bigint) RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'loyalty_begin_roll_up';
COMMENT ON FUNCTION loyalty_internal.begin_roll_up(bigint, bigint) IS 'Part of the roll-up: from now on it is in loyalty.progress.';

-- A plan that was made when the tables were small must not be kept: the ledger
-- is read from end to end and sorted by account, on disk if it does not fit into
-- work_mem.
CREATE FUNCTION loyalty_internal.verify_ledger(merchant_id bigint) RETURNS SETOF loyalty.breach
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
AS 'MODULE_PATHNAME', 'loyalty_verify_ledger';
COMMENT ON FUNCTION loyalty_internal.verify_ledger(bigint) IS
'Part of loyalty.verify(), for one merchant or all (NULL): plays the entries of each account again. The first broken one of an account comes first. Needs memory for one account and for a sort of work_mem, and room on disk to sort the ledger in.';

CREATE FUNCTION loyalty_internal.breaches(merchant_id bigint) RETURNS SETOF loyalty.breach
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT l.invariant, l.merchant_id, l.account_id, l.entry_id, l.detail
	FROM loyalty_internal.verify_ledger(breaches.merchant_id) l
	UNION ALL
	SELECT 'what one account sends another receives', t.merchant_id, t.first, NULL,
		   format('accounts %s and %s: %s points too many', t.first, t.second, t.difference)
	FROM (SELECT e.merchant_id, least(e.account_id, e.peer_account_id) AS first, greatest(e.account_id, e.peer_account_id) AS second,
				 sum(e.amount::numeric) AS difference
		  FROM loyalty.entry e
		  WHERE (breaches.merchant_id IS NULL OR e.merchant_id = breaches.merchant_id) AND loyalty.entry_kind(e.kind) = 'transfer'
		  GROUP BY 1, 2, 3, e.origin_entry_id IS NULL) t
	WHERE t.difference <> 0
	UNION ALL
	SELECT 'a refund spares what expired, and no more than that', s.merchant_id, s.account_id, NULL,
		   format('%s points more than refunds say', s.difference)
	FROM (SELECT c.merchant_id, c.account_id, sum(c.counted - c.noted) AS difference, sum(c.points) AS expired, bool_and(c.in_range) AS in_range
		  FROM (SELECT l.merchant_id, l.account_id, l.refunded::numeric, 0, l.points::numeric, l.refunded OPERATOR(loyalty.>=) '0'::loyalty.points AND l.refunded OPERATOR(loyalty.<=) l.points
				FROM loyalty_internal.expired_lot l WHERE breaches.merchant_id IS NULL OR l.merchant_id = breaches.merchant_id
				UNION ALL
				SELECT r.merchant_id, coalesce(o.peer_account_id, o.account_id), 0, r.expired::numeric, 0, true
				FROM loyalty_internal.reversal r
				JOIN loyalty.entry o ON o.merchant_id = r.merchant_id AND o.entry_id = r.entry_id
				WHERE (breaches.merchant_id IS NULL OR r.merchant_id = breaches.merchant_id) AND r.expired IS NOT NULL)
			   c (merchant_id, account_id, counted, noted, points, in_range)
		  GROUP BY c.merchant_id, c.account_id) s
	JOIN loyalty_internal.account a ON a.merchant_id = s.merchant_id AND a.account_id = s.account_id AND s.in_range AND a.expired::numeric = s.expired
	WHERE s.difference <> 0
	UNION ALL
	-- an account that has not been counted since the terms changed is when somebody asks for its rank
	SELECT 'a rank is held by the points that count', a.merchant_id, a.account_id, NULL, w.problem
	FROM loyalty_internal.account a JOIN loyalty_internal.program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id,
	LATERAL loyalty_internal.recount_would_change(a.merchant_id, a.account_id, greatest(a.posted_at, a.ranked_at)) w (problem)
	WHERE (breaches.merchant_id IS NULL OR a.merchant_id = breaches.merchant_id) AND a.earned IS NOT NULL AND p.range_group <> ''
	  AND a.ranked_at IS NOT DISTINCT FROM p.ranked_at AND w.problem IS NOT NULL
	UNION ALL
	-- what of the periods of its day a use has counted, less what was given in these
	SELECT 'caps count what rules gave, less what was reversed', c.merchant_id, c.account_id, NULL,
		   format('rule %s: %s points more of its day, %s of its week, %s of its month, %s of its year, %s in all', c.rule, c.of_day, c.of_week, c.of_month, c.of_year, c.ever)
	FROM (SELECT x.merchant_id, x.account_id, x.rule, sum(x.ever) AS ever, sum(x.of_day) FILTER (WHERE x.day = x.newest) AS of_day,
				 sum(x.of_week) FILTER (WHERE date_trunc('week', x.day) = date_trunc('week', x.newest)) AS of_week,
				 sum(x.of_month) FILTER (WHERE date_trunc('month', x.day) = date_trunc('month', x.newest)) AS of_month,
				 sum(x.of_year) FILTER (WHERE date_trunc('year', x.day) = date_trunc('year', x.newest)) AS of_year
		  FROM (SELECT g.*, max(g.day) FILTER (WHERE g.is_use) OVER (PARTITION BY g.merchant_id, g.account_id, g.rule) AS newest
				FROM (SELECT u.merchant_id, u.account_id, u.rule, u.day::timestamp, u.points_ever::numeric, u.points_day::numeric, u.points_week::numeric,
							 u.points_month::numeric, u.points_year::numeric, true
					  FROM loyalty_internal.rule_use u
					  WHERE breaches.merchant_id IS NULL OR u.merchant_id = breaches.merchant_id
					  UNION ALL
					  SELECT f.merchant_id, f.account_id, f.rule, f.day, n.less, n.less, n.less, n.less, n.less, false
					  FROM loyalty_internal.rule_award f, LATERAL (SELECT f.returned::numeric - f.points::numeric) n (less)
					  WHERE breaches.merchant_id IS NULL OR f.merchant_id = breaches.merchant_id)
					 g (merchant_id, account_id, rule, day, ever, of_day, of_week, of_month, of_year, is_use)) x
		  GROUP BY x.merchant_id, x.account_id, x.rule) c
	WHERE c.ever <> 0 OR (c.of_day, c.of_week, c.of_month, c.of_year) IS DISTINCT FROM (0::numeric, 0::numeric, 0::numeric, 0::numeric)
	UNION ALL
	SELECT 'what rules gave for a sale comes to its points', g.merchant_id, e.account_id, g.entry_id,
		   CASE WHEN g.unknown THEN 'one of the rules is none of the set' WHEN g.nothing THEN 'a rule gave nothing, or less'
				WHEN e.entry_id IS NULL THEN 'there is no such sale' ELSE format('rules and base gave %s points, the entry has %s', g.points, coalesce(e.reserved, e.amount)) END
	FROM (SELECT s.merchant_id, s.entry_id, sum(s.points::numeric) AS points, bool_or(s.points OPERATOR(loyalty.<=) '0') AS nothing,
				 bool_or(s.ordinal <> 0 AND r.ordinal IS NULL) AS unknown
		  FROM loyalty_internal.entry_rule s
		  LEFT JOIN loyalty.entry o ON o.merchant_id = s.merchant_id AND o.entry_id = s.entry_id
		  LEFT JOIN loyalty_internal.account a ON a.merchant_id = o.merchant_id AND a.account_id = o.account_id
		  LEFT JOIN loyalty_internal.rule r ON r.merchant_id = a.merchant_id AND r.program_id = a.program_id AND r.version = o.rules AND r.ordinal = s.ordinal
		  WHERE breaches.merchant_id IS NULL OR s.merchant_id = breaches.merchant_id
		  GROUP BY s.merchant_id, s.entry_id) g
	LEFT JOIN loyalty.entry e ON e.merchant_id = g.merchant_id AND e.entry_id = g.entry_id AND loyalty.entry_kind(e.kind) = 'accrue'
	WHERE g.unknown OR g.nothing OR e.entry_id IS NULL OR coalesce(e.reserved, e.amount)::numeric <> g.points
	UNION ALL
	SELECT 'caps get back what of a sale was reversed', f.merchant_id, f.account_id, f.entry_id,
		   CASE WHEN n.whole IS NULL THEN format('rule %s: the account has no such sale', f.rule)
				ELSE format('rule %s: %s of %s points, %s of %s are reversed', f.rule, f.returned, f.points, n.reversed, n.whole) END
	FROM loyalty_internal.rule_award f LEFT JOIN LATERAL (
		SELECT coalesce(e.reserved, e.amount)::numeric AS whole, coalesce((
			SELECT sum(r.amount::numeric) FROM loyalty_internal.reversal r
			WHERE r.merchant_id = f.merchant_id AND r.entry_id = f.entry_id), 0) AS reversed
		FROM loyalty.entry e WHERE e.merchant_id = f.merchant_id AND e.entry_id = f.entry_id AND e.account_id = f.account_id) n ON true
	WHERE (breaches.merchant_id IS NULL OR f.merchant_id = breaches.merchant_id)
	  AND (n.whole IS NULL OR CASE n.reversed WHEN 0 THEN f.returned OPERATOR(loyalty.<>) '0' WHEN n.whole THEN f.returned OPERATOR(loyalty.<>) f.points
		  ELSE f.returned OPERATOR(loyalty.<) '0' OR f.returned OPERATOR(loyalty.>) f.points END)
	UNION ALL
	SELECT 'a member''s account exists and is of the member''s program', m.merchant_id, m.account_id, NULL,
		   format('member %s of program %s: account of program %s', m.member_id, m.program_id, coalesce(a.program_id::text, 'none'))
	FROM loyalty_internal.member m LEFT JOIN loyalty_internal.account a ON a.merchant_id = m.merchant_id AND a.account_id = m.account_id
	WHERE (breaches.merchant_id IS NULL OR m.merchant_id = breaches.merchant_id) AND a.program_id IS DISTINCT FROM m.program_id
	UNION ALL
	SELECT 'an account''s program exists', a.merchant_id, a.account_id, NULL, format('program %s', a.program_id)
	FROM loyalty_internal.account a LEFT JOIN loyalty_internal.program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id
	WHERE (breaches.merchant_id IS NULL OR a.merchant_id = breaches.merchant_id) AND p.program_id IS NULL
	UNION ALL
	SELECT 'an idempotency key has its answer', r.merchant_id, NULL, NULL,
		   format('the key with the digest %s has none', encode(r.key_digest, 'hex'))
	FROM loyalty_internal.idempotency_key r
	WHERE (breaches.merchant_id IS NULL OR r.merchant_id = breaches.merchant_id) AND r.answer IS NULL
	UNION ALL
	SELECT 'what belongs to a merchant belongs to one that exists', x.merchant_id, NULL, NULL, x.what
	FROM (SELECT merchant_id, 'api_key' AS what FROM loyalty_internal.api_key
		  UNION SELECT merchant_id, 'idempotency_key' FROM loyalty_internal.idempotency_key
		  UNION SELECT merchant_id, 'message' FROM loyalty_internal.message) x
	WHERE (breaches.merchant_id IS NULL OR x.merchant_id = breaches.merchant_id)
	  AND NOT EXISTS (SELECT FROM loyalty_internal.merchant m WHERE m.merchant_id = x.merchant_id)
$$;
COMMENT ON FUNCTION loyalty_internal.breaches(bigint) IS 'Part of loyalty.verify(): the breaches of one merchant, or of all (NULL).';

-- Each server has its own rows: a copy that is fed by replication can be checked,
-- and what it notes meets nothing of what it is sent.
CREATE TABLE loyalty_internal.verification (
	merchant_id	bigint		NOT NULL,
	server		bigint		NOT NULL,
	verified_at	timestamptz	NOT NULL,
	clean_at	timestamptz,
	failed		boolean		NOT NULL,
	as_of		xid8		NOT NULL,
	PRIMARY KEY (merchant_id, server)
);
COMMENT ON TABLE loyalty_internal.verification IS 'When loyalty.verify() last went through, of each merchant.';
COMMENT ON COLUMN loyalty_internal.verification.server IS 'The system identifier of the database cluster that was checked.';
COMMENT ON COLUMN loyalty_internal.verification.verified_at IS 'When the transaction of the newest one started.';
COMMENT ON COLUMN loyalty_internal.verification.clean_at IS 'When that of the newest one started that found nothing.';
COMMENT ON COLUMN loyalty_internal.verification.failed IS 'Whether the newest one found something.';
COMMENT ON COLUMN loyalty_internal.verification.as_of IS 'The first transaction that the newest one could not see: by it one is newer than another, and not by the clock.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.verification TO loyalty_engine;

CREATE FUNCTION loyalty_internal.note_verification(merchant_id bigint, as_of xid8, broken bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.end_work();
	-- What can only be read can be checked, too.
	IF current_setting('transaction_read_only') = 'on' THEN
		RETURN;
	END IF;
	INSERT INTO loyalty_internal.verification AS v (merchant_id, server, verified_at, clean_at, failed, as_of)
	SELECT m.merchant_id, s.system_identifier, now(), CASE WHEN m.merchant_id <> ALL (broken) THEN now() END, m.merchant_id = ANY (broken), note_verification.as_of
	FROM loyalty_internal.merchant m, pg_control_system() s
	WHERE note_verification.merchant_id IS NULL OR m.merchant_id = note_verification.merchant_id
	ORDER BY m.merchant_id
	ON CONFLICT ON CONSTRAINT verification_pkey DO UPDATE SET verified_at = excluded.verified_at, clean_at = coalesce(excluded.clean_at, v.clean_at),
		failed = excluded.failed, as_of = excluded.as_of
	WHERE v.as_of <= excluded.as_of;
EXCEPTION WHEN serialization_failure THEN
	-- another one has just been noted, which this transaction cannot see
	RETURN;
END
$$;
COMMENT ON FUNCTION loyalty_internal.note_verification(bigint, xid8, bigint[]) IS
'Part of loyalty.verify(), of one merchant or of all (NULL): notes when it went through, for loyalty.metrics and loyalty.health(), unless the transaction is read only or a newer one is noted. as_of: the end of the snapshot that it began with; broken: the merchants of which it found something.';

CREATE FUNCTION loyalty.verify(merchant_id bigint) RETURNS SETOF loyalty.breach
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	as_of CONSTANT xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
	IF verify.merchant_id IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'loyalty.verify() without an argument is for all merchants.');
	END IF;
	RETURN QUERY SELECT * FROM loyalty_internal.breaches(verify.merchant_id);
	PERFORM loyalty_internal.note_verification(verify.merchant_id, as_of, CASE WHEN FOUND THEN ARRAY[verify.merchant_id] ELSE '{}' END);
END
$$;
COMMENT ON FUNCTION loyalty.verify(bigint) IS
'Checks the invariants of the engine over one merchant, and returns a row for each breach: which invariant, where, and what was found. Of each account the first entry that is broken comes first; what depends on it is not reported. No rows: all is well, which loyalty.metrics and loyalty.health() then know, unless the transaction is read only. How far it is, others see in loyalty.progress. What verify() cannot notice, because accounts and their newest entries were taken back together, loyalty.verify_root() does. Errors: LY005 invalid_argument.';

CREATE FUNCTION loyalty.verify() RETURNS SETOF loyalty.breach
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	as_of CONSTANT xid8 := pg_snapshot_xmax(pg_current_snapshot());
	breach loyalty.breach;
	broken bigint[] := '{}';
BEGIN
	FOR breach IN SELECT * FROM loyalty_internal.breaches(NULL) LOOP
		IF breach.merchant_id <> ALL (broken) THEN
			broken := broken || breach.merchant_id;
		END IF;
		RETURN NEXT breach;
	END LOOP;
	PERFORM loyalty_internal.note_verification(NULL, as_of, broken);
END
$$;
COMMENT ON FUNCTION loyalty.verify() IS
'Checks the invariants of the engine over all merchants, as loyalty.verify(merchant_id) does over one.';

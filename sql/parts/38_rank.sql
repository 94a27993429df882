-- Ranks: who holds which, from when and until when.

-- A rank from 0 points on is everybody's, and not here.
CREATE TABLE loyalty.rank_held (
	merchant_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	rank		text			NOT NULL,
	since		timestamptz		NOT NULL,
	until		timestamptz		NOT NULL,
	from_points	loyalty.points	NOT NULL,
	PRIMARY KEY (merchant_id, account_id, rank, since)
) WITH (fillfactor = 80);
COMMENT ON TABLE loyalty.rank_held IS 'The ranks that accounts have earned. A higher one does not end a lower one; the highest counts.';
COMMENT ON COLUMN loyalty.rank_held.until IS 'When the rank ends if nothing more is earned, grace included; infinity: points count for ever.';
COMMENT ON COLUMN loyalty.rank_held.from_points IS 'The points that the rank was held from.';
REVOKE ALL ON loyalty.rank_held FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.rank_held TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.rank_held', '');

CREATE TABLE loyalty.rank_base (
	merchant_id	bigint		NOT NULL,
	program_id	bigint		NOT NULL,
	since		timestamptz	NOT NULL,
	rank		text		NOT NULL,
	PRIMARY KEY (merchant_id, program_id, since)
);
COMMENT ON TABLE loyalty.rank_base IS 'The rank that everybody in a program has had since when: that from 0 points on; empty for none.';
REVOKE ALL ON loyalty.rank_base FROM PUBLIC;
GRANT SELECT, INSERT ON loyalty.rank_base TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.rank_base', '');

-- The three below are for administration only: nobody is granted them.
CREATE FUNCTION loyalty.settle_ranks(merchant_id bigint, account_ids bigint[], at timestamptz) RETURNS void
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'loyalty_settle_ranks';
COMMENT ON FUNCTION loyalty.settle_ranks(bigint, bigint[], timestamptz) IS
'Brings the ranks of accounts, which the transaction has locked, in line with the points that count now. The engine does it by itself.';
REVOKE ALL ON FUNCTION loyalty.settle_ranks(bigint, bigint[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.settle_ranks(bigint, bigint[], timestamptz) TO loyalty_engine;

CREATE FUNCTION loyalty.rank_accounts(merchant_id bigint, program_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	moment timestamptz;
BEGIN
	PERFORM FROM loyalty.account a
	WHERE a.merchant_id = rank_accounts.merchant_id AND a.program_id = rank_accounts.program_id
	ORDER BY a.account_id FOR NO KEY UPDATE;
	-- Read after the locks, as the engine does.
	moment := clock_timestamp();

	INSERT INTO loyalty.rank_base (merchant_id, program_id, since, rank)
	SELECT rank_accounts.merchant_id, rank_accounts.program_id, moment, n.rank
	FROM (SELECT coalesce((SELECT r.rank FROM loyalty.program p
						   JOIN loyalty.rank_range r ON r.merchant_id = p.merchant_id AND r.range_group = p.range_group
						   WHERE p.merchant_id = rank_accounts.merchant_id AND p.program_id = rank_accounts.program_id
							 AND r.from_points OPERATOR(loyalty.=) '0'), '')) n (rank)
	WHERE n.rank <> coalesce((SELECT b.rank FROM loyalty.rank_base b
							  WHERE b.merchant_id = rank_accounts.merchant_id AND b.program_id = rank_accounts.program_id
							  ORDER BY b.since DESC LIMIT 1), '');

	UPDATE loyalty.rank_held h SET until = moment
	FROM loyalty.account a
	WHERE a.merchant_id = rank_accounts.merchant_id AND a.program_id = rank_accounts.program_id
	  AND h.merchant_id = a.merchant_id AND h.account_id = a.account_id AND h.until > moment
	  AND NOT EXISTS (SELECT FROM loyalty.program p
					  JOIN loyalty.rank_range r ON r.merchant_id = p.merchant_id AND r.range_group = p.range_group
					  WHERE p.merchant_id = a.merchant_id AND p.program_id = a.program_id AND r.rank = h.rank
						AND r.from_points OPERATOR(loyalty.>) '0');
	PERFORM loyalty.settle_ranks(rank_accounts.merchant_id,
		ARRAY(SELECT a.account_id FROM loyalty.account a
			  WHERE a.merchant_id = rank_accounts.merchant_id AND a.program_id = rank_accounts.program_id), moment);
END
$$;
COMMENT ON FUNCTION loyalty.rank_accounts(bigint, bigint) IS
'Gives all accounts of a program the ranks that its terms, ranges and window, say now: at once those that are reached; those that are not end after the grace, and those that are no more, at once.';
REVOKE ALL ON FUNCTION loyalty.rank_accounts(bigint, bigint) FROM PUBLIC;
ALTER FUNCTION loyalty.rank_accounts(bigint, bigint) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.recount_accounts(merchant_id bigint, program_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	program loyalty.program;
BEGIN
	SELECT p.* INTO STRICT program FROM loyalty.program p
	WHERE p.merchant_id = recount_accounts.merchant_id AND p.program_id = recount_accounts.program_id;
	PERFORM FROM loyalty.account a
	WHERE a.merchant_id = program.merchant_id AND a.program_id = program.program_id
	ORDER BY a.account_id FOR NO KEY UPDATE;

	-- Until when each entry counts, as the engine has it; lots have at most 512
	-- moments, and of more, neighbours count until the later one.
	UPDATE loyalty.account a SET qualifying = (
		SELECT ('{' || string_agg(to_char(l.until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || '=' || l.points, ',') || '}')::loyalty.lots
		FROM (SELECT max(d.until) AS until, loyalty.sum(d.points) AS points
			  FROM (SELECT u.until, loyalty.sum(e.amount) AS points,
						   ceil(row_number() OVER (ORDER BY u.until) * 512 / greatest(count(*) OVER (), 512.0)) AS lot
					FROM loyalty.entry e
					LEFT JOIN loyalty.entry o ON e.origin IS NOT NULL AND loyalty.entry_kind(e.kind) = 'reverse'
						AND o.merchant_id = e.merchant_id AND o.account_id = e.account_id AND o.version = e.origin,
					LATERAL (SELECT (date_trunc('day', coalesce(o.posted_at, e.posted_at) AT TIME ZONE program.time_zone)
									 + program.rank_window_value * ('1 ' || program.rank_window_unit)::interval
									 + interval '1 day') AT TIME ZONE program.time_zone) u (until)
					WHERE e.merchant_id = a.merchant_id AND e.account_id = a.account_id AND u.until > clock_timestamp()
					  AND (loyalty.entry_kind(e.kind) IN ('accrue', 'deposit', 'mature')
						   OR loyalty.entry_kind(e.kind) = 'reverse' AND e.amount OPERATOR(loyalty.<) '0')
					GROUP BY u.until HAVING loyalty.sum(e.amount) OPERATOR(loyalty.>) '0') d
			  GROUP BY d.lot) l
		WHERE program.rank_window_value > 0)
	WHERE a.merchant_id = program.merchant_id AND a.program_id = program.program_id AND a.earned IS NOT NULL;
	PERFORM loyalty.rank_accounts(program.merchant_id, program.program_id);
END
$$;
COMMENT ON FUNCTION loyalty.recount_accounts(bigint, bigint) IS
'Finds out from the entries which points of the accounts of a program count for ranks and until when, after the program''s window has changed, and ranks the accounts.';
REVOKE ALL ON FUNCTION loyalty.recount_accounts(bigint, bigint) FROM PUBLIC;
ALTER FUNCTION loyalty.recount_accounts(bigint, bigint) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.rank_at(merchant_id bigint, account_id bigint, at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account loyalty.account;
BEGIN
	SELECT a.* INTO account FROM loyalty.account a
	WHERE a.merchant_id = rank_at.merchant_id AND a.account_id = rank_at.account_id;
	IF NOT FOUND THEN
		PERFORM loyalty.fail('unknown_account');
	END IF;
	RETURN coalesce((
		SELECT k.rank FROM (
			SELECT h.rank, h.from_points, 1 AS source FROM loyalty.rank_held h
			WHERE h.merchant_id = account.merchant_id AND h.account_id = account.account_id
			  AND h.since <= rank_at.at AND h.until > rank_at.at
			UNION ALL
			SELECT m.granted_rank, coalesce(r.from_points, '-1'), 2 FROM loyalty.member m
			LEFT JOIN (loyalty.program p JOIN loyalty.rank_range r ON r.merchant_id = p.merchant_id AND r.range_group = p.range_group)
				ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id AND r.rank = m.granted_rank
			WHERE m.merchant_id = account.merchant_id AND m.account_id = account.account_id AND m.member_id = account.account_id
			  AND m.granted_rank <> '' AND m.created_at <= rank_at.at
			UNION ALL
			(SELECT b.rank, CASE WHEN b.rank = '' THEN '-2'::loyalty.points ELSE '0' END, 3 FROM loyalty.rank_base b
			 WHERE b.merchant_id = account.merchant_id AND b.program_id = account.program_id AND b.since <= rank_at.at
			 ORDER BY b.since DESC LIMIT 1)) k
		ORDER BY k.from_points DESC, k.source LIMIT 1), '');
END
$$;
COMMENT ON FUNCTION loyalty.rank_at(bigint, bigint, timestamptz) IS
'The rank that an account held at a moment, or will hold if nothing more is earned; empty: none. Errors: LY002 unknown_account.';
REVOKE ALL ON FUNCTION loyalty.rank_at(bigint, bigint, timestamptz) FROM PUBLIC;
ALTER FUNCTION loyalty.rank_at(bigint, bigint, timestamptz) OWNER TO loyalty_engine;

-- Ranks: who holds which, from when and until when.

CREATE TABLE loyalty_internal.rank_range (
	merchant_id	bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	range_group	text			COLLATE "C" NOT NULL CHECK (octet_length(range_group) BETWEEN 1 AND 255),
	rank		text			COLLATE "C" NOT NULL CHECK (octet_length(rank) BETWEEN 1 AND 255 AND loyalty_internal.is_line(rank)),
	from_points	loyalty.points	NOT NULL CHECK (from_points OPERATOR(loyalty.>=) '0'::loyalty.points),
	multiplier	loyalty.points	NOT NULL DEFAULT '1' CHECK (multiplier OPERATOR(loyalty.>) '0'::loyalty.points),
	PRIMARY KEY (merchant_id, range_group, rank),
	UNIQUE (merchant_id, range_group, from_points)
);
COMMENT ON TABLE loyalty_internal.rank_range IS 'Ranks by groups: a member has the highest rank whose points he has earned.';
COMMENT ON COLUMN loyalty_internal.rank_range.from_points IS 'Points earned, spent ones included, from which on the rank is held.';
COMMENT ON COLUMN loyalty_internal.rank_range.multiplier IS 'What the base points of a sale are multiplied by for who holds the rank.';
GRANT SELECT, INSERT, DELETE ON loyalty_internal.rank_range TO loyalty_engine;

-- A rank from 0 points on is everybody's, and not here.
CREATE TABLE loyalty_internal.rank_held (
	merchant_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	rank		text			COLLATE "C" NOT NULL,
	since		timestamptz		NOT NULL,
	until		timestamptz		NOT NULL,
	from_points	loyalty.points	NOT NULL,
	reversed_at	timestamptz,
	PRIMARY KEY (merchant_id, account_id, rank, since)
) WITH (fillfactor = 80);
COMMENT ON TABLE loyalty_internal.rank_held IS 'The ranks that accounts have earned. A higher one does not end a lower one; the highest counts.';
COMMENT ON COLUMN loyalty_internal.rank_held.until IS 'When the rank ends if nothing more is earned, grace included; infinity: points count for ever.';
COMMENT ON COLUMN loyalty_internal.rank_held.from_points IS 'The points that the rank was held from.';
COMMENT ON COLUMN loyalty_internal.rank_held.reversed_at IS 'Since when it is as if the rank had never been reached, for the points are reversed; NULL: it was. Told of accounts whose member was granted a rank only.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.rank_held TO loyalty_engine;

CREATE VIEW loyalty.rank_ranges AS
SELECT merchant_id, range_group, rank, from_points, multiplier FROM loyalty_internal.rank_range;
COMMENT ON VIEW loyalty.rank_ranges IS 'The ranks as loyalty.set_rank_ranges() wants them, by the range_group that programs name. from_points: points earned, spent ones included, from which on the rank is held; multiplier: what the base points of sales are multiplied by.';
COMMENT ON COLUMN loyalty.rank_ranges.range_group IS 'The group: a program has the ranks of the one that it names.';
COMMENT ON COLUMN loyalty.rank_ranges.from_points IS 'Points earned, spent ones included, from which on the rank is held.';
COMMENT ON COLUMN loyalty.rank_ranges.multiplier IS 'What the base points of sales are multiplied by for who holds the rank.';

CREATE VIEW loyalty.ranks_held AS
SELECT merchant_id, account_id, rank, since, nullif(until, 'infinity') AS ends_at, from_points FROM loyalty_internal.rank_held WHERE reversed_at IS NULL;
COMMENT ON VIEW loyalty.ranks_held IS 'Which ranks accounts have earned, and when they held them, past ones too, as far as has been booked: a higher rank does not end a lower one, the highest counts. ends_at: when the rank ends if nothing more is earned, grace included; NULL: never. from_points: the points that it was held from. A rank from 0 points on is everybody''s and not here, one that was given is in loyalty.rank_grants; which rank counts is what loyalty.rank_at() says.';
COMMENT ON COLUMN loyalty.ranks_held.ends_at IS 'When the rank ends if nothing more is earned, grace included; NULL: never.';
COMMENT ON COLUMN loyalty.ranks_held.from_points IS 'The points that the rank was held from.';

CREATE TABLE loyalty_internal.rank_base (
	merchant_id	bigint		NOT NULL,
	program_id	bigint		NOT NULL,
	since		timestamptz	NOT NULL,
	rank		text		COLLATE "C" NOT NULL,
	PRIMARY KEY (merchant_id, program_id, since)
);
COMMENT ON TABLE loyalty_internal.rank_base IS 'The rank that everybody in a program has had since when: that from 0 points on; empty for none.';
GRANT SELECT, INSERT ON loyalty_internal.rank_base TO loyalty_engine;

CREATE TABLE loyalty_internal.rank_past (
	merchant_id	bigint			NOT NULL,
	program_id	bigint			NOT NULL,
	since		timestamptz		NOT NULL,
	rank		text			COLLATE "C" NOT NULL,
	from_points	loyalty.points	NOT NULL,
	window_value integer		NOT NULL,
	window_unit	text			NOT NULL,
	grace_days	integer			NOT NULL,
	time_zone	text			NOT NULL,
	PRIMARY KEY (merchant_id, program_id, since, rank)
);
COMMENT ON TABLE loyalty_internal.rank_past IS 'The ranks that a program has had since when, all of them at each change of its terms, with those by which points count for them; a single one without a name: it had none.';
GRANT SELECT, INSERT ON loyalty_internal.rank_past TO loyalty_engine;

CREATE TABLE loyalty_internal.rank_grant (
	merchant_id	bigint		NOT NULL,
	member_id	bigint		NOT NULL,
	since		timestamptz	NOT NULL,
	rank		text		COLLATE "C" NOT NULL,
	until		timestamptz	NOT NULL,
	reason		text		NOT NULL,
	PRIMARY KEY (merchant_id, member_id, since)
);
COMMENT ON TABLE loyalty_internal.rank_grant IS 'The ranks that members were given after registration: each stands until the next one, or its end. Only ever added to, but the reason is emptied when the member is cancelled.';
COMMENT ON COLUMN loyalty_internal.rank_grant.since IS 'When it was given, and after the one before: they count in this order. It may be after until if the clock has stepped back between the two.';
COMMENT ON COLUMN loyalty_internal.rank_grant.rank IS 'Empty: what was given before ended.';
COMMENT ON COLUMN loyalty_internal.rank_grant.until IS 'infinity: it does not end by itself.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.rank_grant TO loyalty_engine;

CREATE VIEW loyalty.rank_grants AS
SELECT merchant_id, member_id, since, nullif(rank, '') AS rank, nullif(until, 'infinity') AS ends_at, reason FROM loyalty_internal.rank_grant;
COMMENT ON VIEW loyalty.rank_grants IS 'Which rank loyalty.set_rank() has given to whom, when and why; a rank of NULL: what was given before was ended.';
COMMENT ON COLUMN loyalty.rank_grants.rank IS 'The rank that was given; NULL: what was given before ended.';

-- The two below are for administration only: nobody is granted them.
CREATE FUNCTION loyalty_internal.recount_accounts(
	merchant_id bigint, account_ids bigint[],
	OUT account_id bigint, OUT rank_before text, OUT rank_now text, OUT points_before loyalty.points, OUT points_now loyalty.points)
RETURNS SETOF record
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'loyalty_recount_accounts';
COMMENT ON FUNCTION loyalty_internal.recount_accounts(bigint, bigint[]) IS
'Finds out from the entries which points of these accounts, which it locks, count for ranks and until when, and ranks them by the terms as they are; returns those of which that has changed anything.';

CREATE FUNCTION loyalty_internal.recount_would_change(merchant_id bigint, account_id bigint, at timestamptz) RETURNS text
LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'loyalty_recount_would_change';
COMMENT ON FUNCTION loyalty_internal.recount_would_change(bigint, bigint, timestamptz) IS
'What an account says of its rank and what its entries do, if these differ; else NULL. Changes nothing.';

CREATE FUNCTION loyalty.recount_ranks(
	merchant_id bigint, program_id bigint, after_account_id bigint DEFAULT NULL, max_accounts integer DEFAULT 1000,
	OUT accounts integer, OUT last_account_id bigint, OUT changes json)
RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[];
BEGIN
	IF NOT EXISTS (SELECT FROM loyalty_internal.program p
				   WHERE p.merchant_id = recount_ranks.merchant_id AND p.program_id = recount_ranks.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	ELSIF max_accounts IS NULL OR max_accounts NOT BETWEEN 1 AND 100000 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'max_accounts is 1 to 100,000.');
	END IF;
	ids := ARRAY(SELECT a.account_id FROM loyalty_internal.account a
				 WHERE a.merchant_id = recount_ranks.merchant_id AND a.program_id = recount_ranks.program_id
				   AND a.account_id > coalesce(after_account_id, -9223372036854775808)
				 ORDER BY a.account_id LIMIT max_accounts);
	accounts := cardinality(ids);
	last_account_id := ids[accounts];
	SELECT coalesce(json_agg(row_to_json(c) ORDER BY c.account_id), '[]') INTO changes
	FROM (SELECT r.account_id, r.rank_before, r.rank_now, r.points_before, r.points_now
		  FROM loyalty_internal.recount_accounts(recount_ranks.merchant_id, ids) r) c;
END
$$;
COMMENT ON FUNCTION loyalty.recount_ranks(bigint, bigint, bigint, integer) IS
'Counts anew, from the entries, which points count for the ranks of a program''s accounts: a piece of at most max_accounts (1 to 100,000), those after after_account_id (NULL: from the first on). Returns how many accounts it counted (0: there are no more), the last of them, for the next piece, and what has changed: a list of objects with account_id, rank_before and rank_now (earned; empty: none), points_before and points_now (that count until some day). A piece locks its accounts until the transaction ends. Ranks are right without it: an account that was not counted since the terms changed is counted when somebody asks for its rank or posts to it. Errors: LY005 invalid_argument, LY006 unknown_object.';

-- Of the accounts of a large program, all but the first are counted when they are asked for.
CREATE FUNCTION loyalty_internal.rank_accounts(merchant_id bigint, program_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	moment timestamptz;
BEGIN
	UPDATE loyalty_internal.program p SET ranked_at = greatest(clock_timestamp(), p.ranked_at + interval '1 microsecond')
	WHERE p.merchant_id = rank_accounts.merchant_id AND p.program_id = rank_accounts.program_id
	RETURNING p.ranked_at INTO moment;
	INSERT INTO loyalty_internal.rank_base (merchant_id, program_id, since, rank)
	SELECT rank_accounts.merchant_id, rank_accounts.program_id, moment, n.rank
	FROM (SELECT coalesce((SELECT r.rank FROM loyalty_internal.program p
						   JOIN loyalty_internal.rank_range r ON r.merchant_id = p.merchant_id AND r.range_group = p.range_group
						   WHERE p.merchant_id = rank_accounts.merchant_id AND p.program_id = rank_accounts.program_id
							 AND r.from_points OPERATOR(loyalty.=) '0'), '')) n (rank)
	WHERE n.rank <> coalesce((SELECT b.rank FROM loyalty_internal.rank_base b
							  WHERE b.merchant_id = rank_accounts.merchant_id AND b.program_id = rank_accounts.program_id
							  ORDER BY b.since DESC LIMIT 1), '');
	INSERT INTO loyalty_internal.rank_past (merchant_id, program_id, since, rank, from_points, window_value, window_unit, grace_days, time_zone)
	SELECT p.merchant_id, p.program_id, moment, coalesce(r.rank, ''), coalesce(r.from_points, '0'),
		   p.rank_window_value, p.rank_window_unit, p.rank_grace_days, p.time_zone
	FROM loyalty_internal.program p
	LEFT JOIN loyalty_internal.rank_range r ON r.merchant_id = p.merchant_id AND r.range_group = p.range_group
	WHERE p.merchant_id = rank_accounts.merchant_id AND p.program_id = rank_accounts.program_id;
	PERFORM FROM loyalty_internal.recount_accounts(rank_accounts.merchant_id,
		ARRAY(SELECT a.account_id FROM loyalty_internal.account a
			  WHERE a.merchant_id = rank_accounts.merchant_id AND a.program_id = rank_accounts.program_id
			  ORDER BY a.account_id LIMIT 1000));
END
$$;
COMMENT ON FUNCTION loyalty_internal.rank_accounts(bigint, bigint) IS
'Gives the accounts of a program, from now on, the ranks that its terms, ranges and window, say: at once those that are reached; those that are not end after the grace, and those that are no more, at once. What is due has been booked.';

-- A posting of several accounts locks them in ascending order, so what works through all of a
-- program's does, too: before it books what is due of some, and recounts others.
CREATE FUNCTION loyalty_internal.lock_accounts(merchant_id bigint, program_ids bigint[], moment timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM loyalty_internal.account a
	WHERE a.merchant_id = lock_accounts.merchant_id AND a.account_id IN (
		SELECT f.account_id FROM unnest(lock_accounts.program_ids) p (program_id)
		CROSS JOIN LATERAL (SELECT o.account_id FROM loyalty_internal.account o
							WHERE o.merchant_id = lock_accounts.merchant_id AND o.program_id = p.program_id
							ORDER BY o.account_id LIMIT 1000) f
		UNION ALL
		SELECT d.account_id FROM loyalty_internal.account d
		WHERE d.merchant_id = lock_accounts.merchant_id AND d.program_id = ANY (lock_accounts.program_ids) AND d.due_at <= lock_accounts.moment
		  AND EXISTS (SELECT FROM loyalty_internal.reservation s
					  WHERE s.merchant_id = lock_accounts.merchant_id AND s.account_id = d.account_id
						AND s.remaining OPERATOR(loyalty.>) '0'::loyalty.points AND s.due_at <= lock_accounts.moment))
	ORDER BY a.account_id FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION loyalty_internal.lock_accounts(bigint, bigint[], timestamptz) IS
'Locks, in ascending order, the accounts that loyalty_internal.book_due_program() and loyalty_internal.rank_accounts() touch of these programs.';

CREATE FUNCTION loyalty.set_rank_ranges(
	merchant_id bigint, range_group text, ranks text[], from_points loyalty.points[], multipliers loyalty.points[] DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment timestamptz;
	programs bigint[];
	program bigint;
BEGIN
	IF set_rank_ranges.range_group IS NULL OR ranks IS NULL OR from_points IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'range_group, ranks and from_points are required; ranks ''{}'' leaves the group without any.');
	END IF;
	IF cardinality(ranks) <> cardinality(from_points) OR cardinality(ranks) <> coalesce(cardinality(multipliers), cardinality(ranks)) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'ranks, from_points and multipliers must have the same number of elements.');
	END IF;
	-- Of two who change ranks, or give a program others, one does it after the other.
	PERFORM FROM loyalty_internal.merchant m WHERE m.merchant_id = set_rank_ranges.merchant_id FOR NO KEY UPDATE;
	PERFORM loyalty_internal.require_merchant(set_rank_ranges.merchant_id);
	programs := ARRAY(SELECT p.program_id FROM loyalty_internal.program p
					  WHERE p.merchant_id = set_rank_ranges.merchant_id AND p.range_group = set_rank_ranges.range_group COLLATE "C"
					  ORDER BY p.program_id FOR NO KEY UPDATE);
	moment := clock_timestamp();
	PERFORM loyalty_internal.lock_accounts(set_rank_ranges.merchant_id, programs, moment);
	FOREACH program IN ARRAY programs
	LOOP
		PERFORM loyalty_internal.book_due_program(set_rank_ranges.merchant_id, program, moment);
	END LOOP;
	DELETE FROM loyalty_internal.rank_range r
	WHERE r.merchant_id = set_rank_ranges.merchant_id AND r.range_group = set_rank_ranges.range_group COLLATE "C";
	INSERT INTO loyalty_internal.rank_range (merchant_id, range_group, rank, from_points, multiplier)
	SELECT set_rank_ranges.merchant_id, set_rank_ranges.range_group, r.rank, r.from_points,
		   CASE WHEN set_rank_ranges.multipliers IS NULL THEN '1' ELSE r.multiplier END
	FROM unnest(set_rank_ranges.ranks, set_rank_ranges.from_points, set_rank_ranges.multipliers) r (rank, from_points, multiplier);

	FOREACH program IN ARRAY programs
	LOOP
		PERFORM loyalty_internal.rank_accounts(set_rank_ranges.merchant_id, program);
	END LOOP;
EXCEPTION WHEN check_violation OR not_null_violation OR unique_violation THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'Ranks have different names and different points, none negative; multipliers are above 0. Names have 1 to 255 bytes and no control characters.');
END
$$;
COMMENT ON FUNCTION loyalty.set_rank_ranges(bigint, text, text[], loyalty.points[], loyalty.points[]) IS
'Replaces the ranks of a group: rank i is held from from_points i earned points on, and multiplies the base points of sales by multipliers i (NULL: all 1). The members of programs with this group get their new ranks at once; a rank whose points they no longer have ends after the grace of the program. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.rank_at(merchant_id bigint, account_id bigint, at timestamptz) RETURNS text
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_rank_at';
COMMENT ON FUNCTION loyalty.rank_at(bigint, bigint, timestamptz) IS
'The rank that an account held at a moment, or will hold if nothing more is posted; empty: none. Exact, whether what was due had been booked or not. A rank that was given at registration is held until a higher one is earned, one of loyalty.set_rank() to its end; both are of the member who owned the account at that moment. Of now, and later, everything that was posted or given counts, also if the clock was ahead then. at: before the last day of the year 9999. Errors: LY002 unknown_account, LY005 invalid_argument.';

CREATE FUNCTION loyalty.set_rank(
	merchant_id bigint, member_id bigint, rank text, ends_at timestamptz DEFAULT NULL, reason text DEFAULT '', OUT since timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	program loyalty_internal.program;
	given CONSTANT text := coalesce(set_rank.rank, '');
BEGIN
	PERFORM loyalty_internal.require_short(set_rank.reason);
	-- The lock, too: of two who give a rank at once, one is the later.
	UPDATE loyalty_internal.member m SET rank_given = true WHERE m.merchant_id = set_rank.merchant_id AND m.member_id = set_rank.member_id;
	SELECT p.* INTO program FROM loyalty_internal.member m JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
	WHERE m.merchant_id = set_rank.merchant_id AND m.member_id = set_rank.member_id AND m.cancelled_at IS NULL;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id.');
	ELSIF given <> '' AND NOT EXISTS (
		SELECT FROM loyalty_internal.rank_range r
		WHERE r.merchant_id = program.merchant_id AND r.range_group = program.range_group AND r.rank = given) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The member''s program has no such rank.');
	ELSIF set_rank.rank IS NULL OR set_rank.ends_at <= clock_timestamp() OR (given = '' AND set_rank.ends_at IS NOT NULL) OR set_rank.reason IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'rank is one of the program''s, or empty for none; ends_at is to come, and of a rank only; reason is a text.');
	END IF;
	INSERT INTO loyalty_internal.rank_grant AS g (merchant_id, member_id, since, rank, until, reason)
	SELECT set_rank.merchant_id, set_rank.member_id, greatest(clock_timestamp(), max(o.since) + interval '1 microsecond'),
		   given, coalesce(set_rank.ends_at, 'infinity'), set_rank.reason
	FROM loyalty_internal.rank_grant o WHERE o.merchant_id = set_rank.merchant_id AND o.member_id = set_rank.member_id
	RETURNING g.since INTO set_rank.since;
END
$$;
COMMENT ON FUNCTION loyalty.set_rank(bigint, bigint, text, timestamptz, text) IS
'Gives a member a rank from now on, whatever has been earned: the highest of what is given and what is earned counts. It takes the place of the rank given before, by this function or at registration, and stays until another call does, or ends_at. rank: one of the program''s; empty: none is given any more. ends_at: when it ends; NULL: not by itself. reason: kept with it in loyalty.rank_grants. It is of the account that the member owns: those who share that one share it, and it does not go along into another''s. Returns since when it is given; what loyalty.rank_at() says of moments before does not change. Errors: LY006 unknown_object, LY005 invalid_argument.';

-- Liability: what members have, and had, as finance asks of it.
--
-- Points outstanding are those that can be spent, those held, and those not
-- available yet: a hold moves points within them, a capture takes them out.  So
-- every entry changes them by amount + reserved, under the name of its kind,
-- and a month is what was open before, each kind, and what is open after.
--
-- A moment is when something happened, and not when it was booked: points that
-- expired are gone with their date, though the entry comes with the next
-- posting.  What is due and has no entry yet is asked of the engine, so books
-- read the same before and after a job ran, and as loyalty.balance_at().
--
-- They read whole ledgers, of which the planner does not know how much is left
-- after each step: it hashes, and never goes through one list for each row of
-- another.  Functions get the merchants that their reader may see, and nobody can call
-- them but by the views and functions of the schemas of reports.

CREATE FUNCTION loyalty_internal.due_entries(
	merchant_id bigint, account_id bigint, at timestamptz,
	OUT kind smallint, OUT amount loyalty.points, OUT reserved loyalty.points, OUT balance loyalty.points, OUT posted_at timestamptz,
	OUT after_at timestamptz, OUT origin_entry_id bigint, OUT lots loyalty.lots)
RETURNS SETOF record
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 2 AS 'MODULE_PATHNAME', 'loyalty_due_entries';
COMMENT ON FUNCTION loyalty_internal.due_entries(bigint, bigint, timestamptz) IS
'The entries that a posting at a moment, not before the newest entry, would book of what is due, in their order. after_at: the posted_at of the one before; NULL: that is the newest of the account. Errors: LY002 unknown_account.';

-- The subqueries read a row by its key, and only for the kinds that need it.
CREATE VIEW loyalty_internal.report_ledger AS
SELECT e.merchant_id, a.program_id, e.account_id, e.entry_id, e.kind, e.amount, e.reserved, e.balance, e.posted_at, e.origin_entry_id, e.lots,
	   CASE WHEN e.kind = 5 THEN (SELECT b.posted_at FROM loyalty.entry b WHERE b.merchant_id = e.merchant_id AND b.entry_id = e.previous_entry_id) END AS after_at,
	   CASE WHEN e.kind IN (9, 10) THEN (SELECT f.kind FROM loyalty.entry f WHERE f.merchant_id = e.merchant_id AND f.entry_id = e.origin_entry_id) END AS origin_kind,
	   CASE WHEN e.kind = 9 THEN (SELECT f.posted_at FROM loyalty.entry f WHERE f.merchant_id = e.merchant_id AND f.entry_id = e.origin_entry_id) END AS origin_at
FROM loyalty.entry e
JOIN loyalty_internal.account a ON a.merchant_id = e.merchant_id AND a.account_id = e.account_id
UNION ALL
SELECT a.merchant_id, a.program_id, a.account_id, NULL, d.kind, d.amount, d.reserved, d.balance, d.posted_at, d.origin_entry_id, d.lots,
	   coalesce(d.after_at, a.posted_at), NULL,
	   (SELECT f.posted_at FROM loyalty.entry f WHERE f.merchant_id = a.merchant_id AND f.entry_id = d.origin_entry_id)
FROM loyalty_internal.account a
CROSS JOIN LATERAL (SELECT * FROM loyalty_internal.due_entries(a.merchant_id, a.account_id, now()) OFFSET 0) d
WHERE a.due_at <= now();
COMMENT ON VIEW loyalty_internal.report_ledger IS 'The ledger, and what is due and not booked yet, with entry_id NULL. after_at: of an expire, the moment of the entry before; its lots went then, or with their date if that is later. origin_kind: of a reverse, the kind of what is reversed; origin_at: of a mature, when the points were earned.';

CREATE VIEW loyalty_internal.report_movement AS
SELECT l.merchant_id, l.program_id, l.account_id, l.entry_id, l.kind, l.origin_kind, l.posted_at AS moved_at, n.available + n.reserved AS points, n.available,
	   CASE WHEN l.kind IN (6, 7, 8) THEN n.reserved ELSE 0 END AS held, CASE WHEN l.kind IN (6, 7, 8) THEN 0 ELSE n.reserved END AS pending
FROM loyalty_internal.report_ledger l
CROSS JOIN LATERAL (SELECT l.amount::numeric AS available, coalesce(l.reserved::numeric, 0) AS reserved) n
WHERE l.kind <> 5
UNION ALL
SELECT l.merchant_id, l.program_id, l.account_id, l.entry_id, l.kind, NULL, greatest(u.expires_at, l.after_at), -u.points::numeric, -u.points::numeric, 0, 0
FROM loyalty_internal.report_ledger l
CROSS JOIN LATERAL loyalty.unnest_lots(l.lots) u
WHERE l.kind = 5;
COMMENT ON COLUMN loyalty_internal.report_movement.entry_id IS 'Its number within the merchant; NULL: it is due, and not booked yet.';
COMMENT ON COLUMN loyalty_internal.report_movement.kind IS 'Kind of entry; loyalty.entry_kind() gives its name.';
COMMENT ON VIEW loyalty_internal.report_movement IS 'What entries change of the points outstanding, by when it happened: an expire has a row for each of its lots. points is the sum of available, held and pending.';

-- What pays a debt are the first of its lots, and then they are none.
CREATE VIEW loyalty_internal.report_lot_movement AS
SELECT l.merchant_id, l.program_id, l.account_id, l.kind, l.posted_at AS moved_at, l.origin_at, 'infinity'::timestamptz AS expires_at,
	   n.amount - CASE WHEN n.amount < 0 THEN -n.dated ELSE greatest(0, n.dated - greatest(0, n.amount - l.balance::numeric)) END AS points
FROM loyalty_internal.report_ledger l
CROSS JOIN LATERAL (SELECT l.amount::numeric AS amount, coalesce(loyalty.total(l.lots)::numeric, 0) AS dated OFFSET 0) n
WHERE l.kind <> 5 AND n.amount <> 0
UNION ALL
SELECT l.merchant_id, l.program_id, l.account_id, l.kind, l.posted_at, l.origin_at, u.expires_at, sign(l.amount::numeric) * u.points::numeric
FROM loyalty_internal.report_ledger l
CROSS JOIN LATERAL loyalty.unnest_lots(l.lots) u
WHERE l.kind <> 5 AND l.amount OPERATOR(loyalty.<>) '0'::loyalty.points AND l.amount OPERATOR(loyalty.<=) greatest(l.balance, '0'::loyalty.points)
UNION ALL
SELECT l.merchant_id, l.program_id, l.account_id, l.kind, l.posted_at, l.origin_at, u.expires_at, u.points
FROM loyalty_internal.report_ledger l
CROSS JOIN LATERAL (
	SELECT d.expires_at, greatest(0, least(d.points::numeric, sum(d.points::numeric) OVER (ORDER BY d.expires_at ROWS UNBOUNDED PRECEDING) - (l.amount::numeric - l.balance::numeric))) AS points
	FROM loyalty.unnest_lots(l.lots) d) u
WHERE l.kind <> 5 AND l.amount OPERATOR(loyalty.>) greatest(l.balance, '0'::loyalty.points)
UNION ALL
SELECT l.merchant_id, l.program_id, l.account_id, l.kind, greatest(u.expires_at, l.after_at), NULL, u.expires_at, -u.points::numeric
FROM loyalty_internal.report_ledger l
CROSS JOIN LATERAL loyalty.unnest_lots(l.lots) u
WHERE l.kind = 5;
COMMENT ON COLUMN loyalty_internal.report_lot_movement.kind IS 'Kind of entry; loyalty.entry_kind() gives its name.';
COMMENT ON VIEW loyalty_internal.report_lot_movement IS 'What entries change of the balance, by the moment at which the points expire; infinity: never. What is left of a lot is their sum.';

-- Captures, and refunds of what is pending, take the first to expire, releases and what matures the last.
CREATE FUNCTION loyalty_internal.lots_reserved(merchants bigint[], at timestamptz)
RETURNS TABLE (merchant_id bigint, program_id bigint, account_id bigint, kind smallint, reserved_at timestamptz, expires_at timestamptz, points numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
BEGIN ATOMIC
	WITH ledger AS MATERIALIZED (
		SELECT l.merchant_id, l.program_id, l.account_id, l.entry_id, l.kind, l.reserved::numeric AS reserved, l.posted_at, l.origin_entry_id, l.lots FROM loyalty_internal.report_ledger l
		WHERE l.merchant_id = ANY (merchants) AND l.reserved IS NOT NULL AND l.posted_at <= lots_reserved.at
	), taken AS (
		SELECT l.merchant_id, l.origin_entry_id, coalesce(sum(-l.reserved) FILTER (WHERE l.kind IN (7, 10)), 0) AS first, coalesce(sum(-l.reserved) FILTER (WHERE l.kind IN (8, 9)), 0) AS last
		FROM ledger l WHERE l.reserved < 0 GROUP BY l.merchant_id, l.origin_entry_id)
	SELECT r.merchant_id, r.program_id, r.account_id, r.kind, r.posted_at, u.expires_at,
		   least(u.until, r.reserved - coalesce(t.last, 0)) - greatest(u.until - u.points, coalesce(t.first, 0))
	FROM ledger r
	LEFT JOIN taken t ON t.merchant_id = r.merchant_id AND t.origin_entry_id = r.entry_id
	CROSS JOIN LATERAL (
		SELECT d.expires_at, d.points::numeric AS points, sum(d.points::numeric) OVER (ORDER BY d.expires_at ROWS UNBOUNDED PRECEDING) AS until FROM loyalty.unnest_lots(r.lots) d
		UNION ALL SELECT 'infinity', r.reserved - coalesce(loyalty.total(r.lots)::numeric, 0), r.reserved) u
	WHERE r.reserved > 0 AND coalesce(t.first, 0) + coalesce(t.last, 0) < r.reserved
	  AND least(u.until, r.reserved - coalesce(t.last, 0)) > greatest(u.until - u.points, coalesce(t.first, 0));
END;
COMMENT ON FUNCTION loyalty_internal.lots_reserved(bigint[], timestamptz) IS 'What was reserved at a moment, lot by lot: of holds (kind 6), and of points that were not available yet (1, 2), since reserved_at.';

-- Within the points that expire together, those that came first are gone first.
CREATE FUNCTION loyalty_internal.ageing(merchants bigint[], at timestamptz)
RETURNS TABLE (merchant_id bigint, program_id bigint, state text, earned_on date, expires_on date, points numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
BEGIN ATOMIC
	WITH moved AS MATERIALIZED (
		SELECT m.* FROM loyalty_internal.report_lot_movement m WHERE m.merchant_id = ANY (merchants) AND m.moved_at <= ageing.at
	), reserved AS MATERIALIZED (
		SELECT r.* FROM loyalty_internal.lots_reserved(merchants, ageing.at) r
	), available AS (
		SELECT m.merchant_id, m.program_id, m.account_id, m.expires_at, sum(m.points) AS points FROM moved m GROUP BY m.merchant_id, m.program_id, m.account_id, m.expires_at
	), rest AS (
		SELECT x.merchant_id, x.program_id, x.account_id, x.expires_at, sum(x.points) AS points
		FROM (SELECT a.* FROM available a WHERE a.points > 0
			  UNION ALL SELECT r.merchant_id, r.program_id, r.account_id, r.expires_at, r.points FROM reserved r WHERE r.kind = 6) x
		GROUP BY x.merchant_id, x.program_id, x.account_id, x.expires_at
	), added AS (
		SELECT m.merchant_id, m.account_id, m.expires_at, coalesce(m.origin_at, m.moved_at) AS earned_at, sum(m.points) AS points,
			   sum(sum(m.points)) OVER (PARTITION BY m.merchant_id, m.account_id, m.expires_at ORDER BY coalesce(m.origin_at, m.moved_at) DESC) AS since
		FROM moved m WHERE m.kind IN (1, 2, 4, 9, 11) AND m.points > 0
		GROUP BY m.merchant_id, m.account_id, m.expires_at, coalesce(m.origin_at, m.moved_at)
	), left_of AS (
		SELECT r.merchant_id, r.program_id, r.account_id, r.expires_at, a.earned_at, least(a.points, r.points - (a.since - a.points)) AS points
		FROM rest r JOIN added a ON a.merchant_id = r.merchant_id AND a.account_id = r.account_id AND a.expires_at = r.expires_at
		WHERE r.points > a.since - a.points
	), aged AS (
		SELECT l.merchant_id, l.program_id, 'earned' AS state, l.earned_at, l.expires_at, l.points FROM left_of l
		UNION ALL
		SELECT r.merchant_id, r.program_id, 'earned', NULL, r.expires_at, r.points - coalesce(l.points, 0)
		FROM rest r
		LEFT JOIN (SELECT o.merchant_id, o.account_id, o.expires_at, sum(o.points) AS points FROM left_of o GROUP BY o.merchant_id, o.account_id, o.expires_at) l
			ON l.merchant_id = r.merchant_id AND l.account_id = r.account_id AND l.expires_at = r.expires_at
		WHERE r.points > coalesce(l.points, 0)
		UNION ALL
		SELECT r.merchant_id, r.program_id, 'pending', r.reserved_at, r.expires_at, r.points FROM reserved r WHERE r.kind <> 6
		UNION ALL
		SELECT a.merchant_id, a.program_id, 'owed', NULL, 'infinity', a.points FROM available a WHERE a.points < 0)
	SELECT g.merchant_id, g.program_id, g.state, date_trunc('month', g.earned_at AT TIME ZONE p.time_zone)::date AS earned_on,
		   date_trunc('month', nullif(g.expires_at, 'infinity') AT TIME ZONE p.time_zone)::date, sum(g.points)
	FROM aged g JOIN loyalty_internal.program p ON p.merchant_id = g.merchant_id AND p.program_id = g.program_id
	GROUP BY 1, 2, 3, 4, 5;
END;
COMMENT ON FUNCTION loyalty_internal.ageing(bigint[], timestamptz) IS 'Part of loyalty_report.ageing_at(): points outstanding at a moment, by the months in which they were earned and expire.';

-- There are few months: nothing is sorted for them but they.
CREATE FUNCTION loyalty_internal.months(merchants bigint[])
RETURNS TABLE (merchant_id bigint, program_id bigint, month date, opening numeric, accrued numeric, deposited numeric, redeemed numeric, expired numeric,
	reversed numeric, adjusted numeric, transferred numeric, closing numeric, available numeric, held numeric, pending numeric, redemptions_reversed numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET enable_sort = off SET jit = off
BEGIN ATOMIC
	WITH moved AS MATERIALIZED (
		SELECT m.merchant_id, m.program_id, date_trunc('month', m.moved_at AT TIME ZONE p.time_zone)::date AS month, m.kind, m.origin_kind,
			   sum(m.points) AS points, sum(m.available) AS available, sum(m.held) AS held, sum(m.pending) AS pending
		FROM loyalty_internal.report_movement m JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
		WHERE m.merchant_id = ANY (merchants) GROUP BY 1, 2, 3, 4, 5
	), month AS (
		SELECT p.merchant_id, p.program_id, g.month::date AS month
		FROM loyalty_internal.program p
		LEFT JOIN (SELECT v.merchant_id, v.program_id, min(v.month) AS first, max(v.month) AS last FROM moved v GROUP BY v.merchant_id, v.program_id) f
			ON f.merchant_id = p.merchant_id AND f.program_id = p.program_id
		CROSS JOIN LATERAL generate_series(
			coalesce(least(f.first, date_trunc('month', p.created_at AT TIME ZONE p.time_zone)), date_trunc('month', p.created_at AT TIME ZONE p.time_zone))::timestamp,
			greatest(f.last, date_trunc('month', now() AT TIME ZONE p.time_zone))::timestamp, '1 month') g (month)
		WHERE p.merchant_id = ANY (merchants)
	), line AS (
		SELECT n.merchant_id, n.program_id, n.month,
			   coalesce(sum(v.points) FILTER (WHERE v.kind = 1), 0) AS accrued, coalesce(sum(v.points) FILTER (WHERE v.kind = 2), 0) AS deposited,
			   coalesce(-sum(v.points) FILTER (WHERE v.kind IN (3, 7)), 0) AS redeemed, coalesce(-sum(v.points) FILTER (WHERE v.kind = 5), 0) AS expired,
			   coalesce(sum(v.points) FILTER (WHERE v.kind = 10), 0) AS reversed, coalesce(sum(v.points) FILTER (WHERE v.kind = 4), 0) AS adjusted,
			   coalesce(sum(v.points) FILTER (WHERE v.kind = 11), 0) AS transferred, coalesce(sum(v.points) FILTER (WHERE v.kind = 10 AND v.origin_kind IN (3, 7)), 0) AS redemptions_reversed,
			   coalesce(sum(v.points), 0) AS change, coalesce(sum(v.available), 0) AS available, coalesce(sum(v.held), 0) AS held, coalesce(sum(v.pending), 0) AS pending
		FROM month n LEFT JOIN moved v ON v.merchant_id = n.merchant_id AND v.program_id = n.program_id AND v.month = n.month
		GROUP BY n.merchant_id, n.program_id, n.month)
	SELECT l.merchant_id, l.program_id, l.month, sum(l.change) OVER w - l.change, l.accrued, l.deposited, l.redeemed, l.expired, l.reversed, l.adjusted, l.transferred,
		   sum(l.change) OVER w, sum(l.available) OVER w, sum(l.held) OVER w, sum(l.pending) OVER w, l.redemptions_reversed
	FROM line l WINDOW w AS (PARTITION BY l.merchant_id, l.program_id ORDER BY l.month);
END;
COMMENT ON FUNCTION loyalty_internal.months(bigint[]) IS 'Part of loyalty_report.fact_month: what each month of each program began with, what happened, and what it ended with.';

CREATE FUNCTION loyalty_internal.outstanding_by_ledger(merchants bigint[], at timestamptz)
RETURNS TABLE (merchant_id bigint, program_id bigint, points numeric, available numeric, held numeric, pending numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
BEGIN ATOMIC
	SELECT p.merchant_id, p.program_id, coalesce(s.points, 0), coalesce(s.available, 0), coalesce(s.held, 0), coalesce(s.pending, 0)
	FROM loyalty_internal.program p
	LEFT JOIN (SELECT m.merchant_id, m.program_id, sum(m.points) AS points, sum(m.available) AS available, sum(m.held) AS held, sum(m.pending) AS pending
			   FROM loyalty_internal.report_movement m WHERE m.merchant_id = ANY (merchants) AND m.moved_at <= outstanding_by_ledger.at
			   GROUP BY m.merchant_id, m.program_id) s ON s.merchant_id = p.merchant_id AND s.program_id = p.program_id
	WHERE p.merchant_id = ANY (merchants);
END;
COMMENT ON FUNCTION loyalty_internal.outstanding_by_ledger(bigint[], timestamptz) IS 'Part of loyalty_internal.outstanding(): of a moment long ago, what had happened until then.';

-- From the newest entry of each account back, while they are later.
CREATE FUNCTION loyalty_internal.outstanding_by_account(merchants bigint[], at timestamptz)
RETURNS TABLE (merchant_id bigint, program_id bigint, points numeric, available numeric, held numeric, pending numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
	WITH RECURSIVE later AS (
		SELECT a.program_id, e.* FROM loyalty_internal.account a
		JOIN LATERAL (SELECT n.* FROM loyalty.entry n WHERE n.merchant_id = a.merchant_id AND n.entry_id = a.newest_entry_id OFFSET 0) e ON true
		WHERE a.merchant_id = ANY (merchants) AND a.posted_at > outstanding_by_account.at
		UNION ALL
		SELECT l.program_id, e.* FROM later l
		JOIN LATERAL (SELECT n.* FROM loyalty.entry n WHERE n.merchant_id = l.merchant_id AND n.entry_id = l.previous_entry_id OFFSET 0) e ON e.posted_at > outstanding_by_account.at
	), ledger AS (
		SELECT l.merchant_id, l.program_id, l.kind, l.amount, l.reserved, l.lots, l.posted_at, -1 AS sign,
			   CASE WHEN l.kind = 5 THEN (SELECT b.posted_at FROM loyalty.entry b WHERE b.merchant_id = l.merchant_id AND b.entry_id = l.previous_entry_id) END AS after_at
		FROM later l
		UNION ALL
		SELECT a.merchant_id, a.program_id, d.kind, d.amount, d.reserved, d.lots, d.posted_at, 1, coalesce(d.after_at, a.posted_at)
		FROM loyalty_internal.account a
		CROSS JOIN LATERAL (SELECT * FROM loyalty_internal.due_entries(a.merchant_id, a.account_id, now()) OFFSET 0) d
		WHERE a.merchant_id = ANY (merchants) AND a.due_at <= now()
	), change AS (
		SELECT a.merchant_id, a.program_id, sum(a.balance::numeric) AS available, coalesce(sum(a.held::numeric), 0) AS held, coalesce(sum(a.pending::numeric), 0) AS pending
		FROM loyalty_internal.account a WHERE a.merchant_id = ANY (merchants) GROUP BY a.merchant_id, a.program_id
		UNION ALL
		SELECT l.merchant_id, l.program_id, l.sign * l.amount::numeric, CASE WHEN l.kind IN (6, 7, 8) THEN l.sign * coalesce(l.reserved::numeric, 0) ELSE 0 END,
			   CASE WHEN l.kind IN (6, 7, 8) THEN 0 ELSE l.sign * coalesce(l.reserved::numeric, 0) END
		FROM ledger l WHERE l.kind <> 5 AND (l.posted_at > outstanding_by_account.at) = (l.sign < 0)
		UNION ALL
		SELECT l.merchant_id, l.program_id, -l.sign * u.points::numeric, 0, 0
		FROM ledger l CROSS JOIN LATERAL loyalty.unnest_lots(l.lots) u
		WHERE l.kind = 5 AND (greatest(u.expires_at, l.after_at) > outstanding_by_account.at) = (l.sign < 0))
	SELECT p.merchant_id, p.program_id, coalesce(sum(c.available + c.held + c.pending), 0), coalesce(sum(c.available), 0), coalesce(sum(c.held), 0), coalesce(sum(c.pending), 0)
	FROM loyalty_internal.program p LEFT JOIN change c ON c.merchant_id = p.merchant_id AND c.program_id = p.program_id
	WHERE p.merchant_id = ANY (merchants) GROUP BY p.merchant_id, p.program_id
$$;
COMMENT ON FUNCTION loyalty_internal.outstanding_by_account(bigint[], timestamptz) IS 'Part of loyalty_internal.outstanding(): of a moment not long ago, what accounts have now, less what happened since. What is due and not booked is not in what they have: it is added if it was due by then.';

-- Entry by entry costs more each than all in their order, and as much more as there are.
CREATE FUNCTION loyalty_internal.outstanding(merchants bigint[], at timestamptz)
RETURNS TABLE (merchant_id bigint, program_id bigint, points numeric, available numeric, held numeric, pending numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT a.* FROM loyalty_internal.outstanding_by_account(merchants, outstanding.at) a WHERE outstanding.at >= now() - interval '92 days'
	UNION ALL
	SELECT l.* FROM loyalty_internal.outstanding_by_ledger(merchants, outstanding.at) l WHERE outstanding.at < now() - interval '92 days';
END;
COMMENT ON FUNCTION loyalty_internal.outstanding(bigint[], timestamptz) IS 'Part of loyalty_report.outstanding_at(): the points outstanding at a moment, by program.';

-- What they are worth goes by the terms of that moment; of now by those in force, also while the clock is behind when they began.
CREATE FUNCTION loyalty_internal.point_value(merchant_id bigint, program_id bigint, at timestamptz) RETURNS numeric
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(
		(SELECT v.redemption_money::numeric / v.redemption_points::numeric / v.currency_change::numeric FROM loyalty_internal.program_past v
		 WHERE v.merchant_id = point_value.merchant_id AND v.program_id = point_value.program_id AND v.valid_until > point_value.at
		   AND point_value.at < now() ORDER BY v.valid_until LIMIT 1),
		(SELECT p.redemption_money::numeric / p.redemption_points::numeric / p.currency_change::numeric FROM loyalty_internal.program p
		 WHERE p.merchant_id = point_value.merchant_id AND p.program_id = point_value.program_id));
END;
COMMENT ON FUNCTION loyalty_internal.point_value(bigint, bigint, timestamptz) IS 'What a point was worth at a moment, in the currency of the program.';

-- --- what is read ------------------------------------------------------------------

CREATE VIEW loyalty_report.dim_program_version WITH (security_barrier) AS
SELECT v.program_id::text AS program_key, t.merchant_id::text AS merchant_key,
	   coalesce(lag(v.valid_until) OVER (PARTITION BY v.merchant_id, v.program_id ORDER BY v.valid_until), v.created_at) AS valid_from_at, nullif(v.valid_until, 'infinity') AS valid_until_at,
	   v.accumulation_points::numeric AS accumulation_points, v.accumulation_money::numeric AS accumulation_money,
	   v.redemption_points::numeric AS redemption_points, v.redemption_money::numeric AS redemption_money, v.currency_iso, v.currency_change::numeric AS currency_change,
	   v.redemption_money::numeric / v.redemption_points::numeric / v.currency_change::numeric AS money_per_point,
	   v.expiry, v.duration_value::numeric AS duration_value, v.duration_unit
FROM (SELECT p.merchant_id, p.program_id, p.created_at, 'infinity'::timestamptz AS valid_until, p.accumulation_points, p.accumulation_money,
			 p.redemption_points, p.redemption_money, p.currency_iso, p.currency_change, p.expiry, p.duration_value, p.duration_unit
	  FROM loyalty_internal.visible_program p
	  UNION ALL
	  SELECT o.merchant_id, o.program_id, p.created_at, o.valid_until, o.accumulation_points, o.accumulation_money,
			 o.redemption_points, o.redemption_money, o.currency_iso, o.currency_change, o.expiry, o.duration_value, o.duration_unit
	  FROM loyalty_internal.visible_program_past o JOIN loyalty_internal.visible_program p ON p.merchant_id = o.merchant_id AND p.program_id = o.program_id) v
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = v.merchant_id;
COMMENT ON VIEW loyalty_report.dim_program_version IS 'The terms of programs, those of before too, one row for each time for which they were the same.';
COMMENT ON COLUMN loyalty_report.dim_program_version.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.dim_program_version.merchant_key IS 'The merchant whose program it is.';
COMMENT ON COLUMN loyalty_report.dim_program_version.valid_from_at IS 'From when on; of the first terms, when the program was created.';
COMMENT ON COLUMN loyalty_report.dim_program_version.valid_until_at IS 'Until when; NULL: they are in force.';
COMMENT ON COLUMN loyalty_report.dim_program_version.accumulation_points IS 'Points that were earned for accumulation_money.';
COMMENT ON COLUMN loyalty_report.dim_program_version.accumulation_money IS 'Money for which accumulation_points were earned.';
COMMENT ON COLUMN loyalty_report.dim_program_version.redemption_points IS 'Points that were worth redemption_money.';
COMMENT ON COLUMN loyalty_report.dim_program_version.redemption_money IS 'Money that redemption_points were worth.';
COMMENT ON COLUMN loyalty_report.dim_program_version.currency_iso IS 'The currency, in three letters.';
COMMENT ON COLUMN loyalty_report.dim_program_version.currency_change IS 'What one unit of the currency is worth in the money of the bases.';
COMMENT ON COLUMN loyalty_report.dim_program_version.money_per_point IS 'What one point was worth, in the currency.';
COMMENT ON COLUMN loyalty_report.dim_program_version.expiry IS 'When points expired: rolling, month_end, quarter_end, year_end or fixed.';
COMMENT ON COLUMN loyalty_report.dim_program_version.duration_value IS 'How many duration_units points were valid; 0: for ever, if expiry is rolling.';
COMMENT ON COLUMN loyalty_report.dim_program_version.duration_unit IS 'day, month or year.';

CREATE VIEW loyalty_report.fact_month WITH (security_barrier) AS
SELECT m.merchant_id::text AS merchant_key, m.program_id::text AS program_key, m.month AS month_starts_on, m.opening, m.accrued, m.deposited, m.redeemed, m.expired,
	   m.reversed, m.adjusted, m.transferred, m.closing, m.available AS closing_available, m.held AS closing_held, m.pending AS closing_pending,
	   v.money_per_point, m.closing * v.money_per_point AS closing_money
FROM loyalty_internal.months(loyalty_internal.reported_merchants(current_user)) m
JOIN loyalty_internal.visible_program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
CROSS JOIN LATERAL (SELECT loyalty_internal.point_value(m.merchant_id, m.program_id,
	least(now(), (m.month + interval '1 month') AT TIME ZONE p.time_zone - interval '1 microsecond')) AS money_per_point OFFSET 0) v;
COMMENT ON VIEW loyalty_report.fact_month IS 'The points outstanding, month by month: opening + accrued + deposited − redeemed − expired + reversed + adjusted + transferred = closing. By when things happened, in the time zone of the program; of the current month, so far.';
COMMENT ON COLUMN loyalty_report.fact_month.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_month.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_month.month_starts_on IS 'The first day of the month.';
COMMENT ON COLUMN loyalty_report.fact_month.opening IS 'Points outstanding when it began: those that could be spent, were held, or were not available yet.';
COMMENT ON COLUMN loyalty_report.fact_month.accrued IS 'Points that sales earned, available at once or later.';
COMMENT ON COLUMN loyalty_report.fact_month.deposited IS 'Points that were given.';
COMMENT ON COLUMN loyalty_report.fact_month.redeemed IS 'Points that were spent, those of holds that were captured too.';
COMMENT ON COLUMN loyalty_report.fact_month.expired IS 'Points whose date passed in the month, booked or not.';
COMMENT ON COLUMN loyalty_report.fact_month.reversed IS 'What refunds changed: negative where points were taken back, positive where they were given back.';
COMMENT ON COLUMN loyalty_report.fact_month.adjusted IS 'What corrections changed.';
COMMENT ON COLUMN loyalty_report.fact_month.transferred IS 'What transfers changed, which is 0 within a program.';
COMMENT ON COLUMN loyalty_report.fact_month.closing IS 'Points outstanding when it ended.';
COMMENT ON COLUMN loyalty_report.fact_month.closing_available IS 'Those of them that could be spent, less what members owed: the sum of all balances.';
COMMENT ON COLUMN loyalty_report.fact_month.closing_held IS 'Those of open holds.';
COMMENT ON COLUMN loyalty_report.fact_month.closing_pending IS 'Those not available yet.';
COMMENT ON COLUMN loyalty_report.fact_month.money_per_point IS 'What a point was worth when it ended, in the currency of the program.';
COMMENT ON COLUMN loyalty_report.fact_month.closing_money IS 'What the points outstanding were worth.';

-- Now is after all that was posted, also if the clock has stepped back since.
CREATE FUNCTION loyalty_report.outstanding_at(at timestamptz)
RETURNS TABLE (merchant_key text, program_key text, points numeric, points_available numeric, points_held numeric, points_pending numeric, money_per_point numeric, money numeric)
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT o.merchant_id::text, o.program_id::text, o.points, o.available, o.held, o.pending, v.worth, o.points * v.worth
	FROM loyalty_internal.outstanding(loyalty_internal.reported_merchants(current_user), CASE WHEN outstanding_at.at < now() THEN outstanding_at.at ELSE 'infinity' END) o
	CROSS JOIN LATERAL (SELECT loyalty_internal.point_value(o.merchant_id, o.program_id, outstanding_at.at) AS worth OFFSET 0) v;
END;
COMMENT ON FUNCTION loyalty_report.outstanding_at(timestamptz) IS
'The points outstanding at a moment that is not in the future, by program, and what they were worth by the terms of that moment: points is what could be spent (points_available, the sum of all balances), was held, and was not available yet. What had expired is not among them, booked or not. Of now, all that was posted counts, also if the clock was ahead then.';

CREATE FUNCTION loyalty_report.ageing_at(at timestamptz)
RETURNS TABLE (merchant_key text, program_key text, state text, earned_month_starts_on date, expiry_month_starts_on date, points numeric, money numeric)
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT g.merchant_id::text, g.program_id::text, g.state, g.earned_on, g.expires_on, g.points, g.points * v.worth
	FROM loyalty_internal.ageing(loyalty_internal.reported_merchants(current_user), CASE WHEN ageing_at.at < now() THEN ageing_at.at ELSE 'infinity' END) g
	CROSS JOIN LATERAL (SELECT loyalty_internal.point_value(g.merchant_id, g.program_id, ageing_at.at) AS worth OFFSET 0) v;
END;
COMMENT ON FUNCTION loyalty_report.ageing_at(timestamptz) IS
'The points outstanding at a moment that is not in the future, by the month in which they were earned, or received from another account, and the month in which they expire; of now, it is the forecast of what expires if nothing is spent. state: earned, pending (not available yet) or owed (a debt, negative). Of points that expire together the first to come are the first spent. earned_month_starts_on NULL: not known, they were given back with another date; expiry_month_starts_on NULL: they never expire. Of now, all that was posted counts, also if the clock was ahead then.';

-- The close of a month, and what of sales is not earned yet.
--
-- A close freezes what the month came to, by kind, branch and rule set, beside the
-- root of that moment and a digest over both and the close before: who has kept
-- the last digest notices any change of any of them.  What comes to light of
-- months that are closed is a difference, and a line of the next one: of all
-- that was before it, less all that was frozen.

CREATE TABLE loyalty_internal.month_close (
	merchant_id		bigint		NOT NULL,
	program_id		bigint		NOT NULL,
	month			date		NOT NULL,
	closed_at		timestamptz	NOT NULL,
	root_id			bigint		NOT NULL,
	root			bytea		NOT NULL,
	closing			numeric		NOT NULL,
	money_per_point	numeric		NOT NULL,
	digest			bytea		NOT NULL,
	PRIMARY KEY (merchant_id, program_id, month),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program
);
COMMENT ON TABLE loyalty_internal.month_close IS 'The months that were closed.';
COMMENT ON COLUMN loyalty_internal.month_close.closing IS 'The points outstanding at its end, as they were known then.';
COMMENT ON COLUMN loyalty_internal.month_close.digest IS 'SHA-256 over all of the close and its lines, and the digest of the close before.';
GRANT SELECT, INSERT ON loyalty_internal.month_close TO loyalty_engine;

CREATE TABLE loyalty_internal.month_close_line (
	merchant_id	bigint		NOT NULL,
	program_id	bigint		NOT NULL,
	month		date		NOT NULL,
	line_no		integer		NOT NULL,
	late		boolean		NOT NULL,
	kind		smallint	NOT NULL,
	branch_id	bigint,
	rules		integer,
	entries		bigint		NOT NULL,
	points		numeric		NOT NULL,
	PRIMARY KEY (merchant_id, program_id, month, line_no)
);
COMMENT ON TABLE loyalty_internal.month_close_line IS 'What months came to when they were closed, by kind, branch and rule set.';
COMMENT ON COLUMN loyalty_internal.month_close_line.late IS 'Whether it is of the months before, as a difference to what was frozen of them; of the first close, all there was before it.';
GRANT SELECT, INSERT ON loyalty_internal.month_close_line TO loyalty_engine;

CREATE FUNCTION loyalty_internal.close_lines(merchant_id bigint, program_id bigint, starts_at timestamptz, ends_at timestamptz)
RETURNS TABLE (late boolean, kind smallint, branch_id bigint, rules integer, entries bigint, points numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
BEGIN ATOMIC
	WITH moved AS MATERIALIZED (
		SELECT m.entry_id, m.kind, m.moved_at < close_lines.starts_at AS late, m.points FROM loyalty_internal.report_movement m
		WHERE m.merchant_id = close_lines.merchant_id AND m.program_id = close_lines.program_id AND m.moved_at < close_lines.ends_at
	), entry AS (
		SELECT e.entry_id, e.branch_id, e.rules FROM loyalty_internal.report_entry e WHERE e.merchant_id = close_lines.merchant_id AND e.program_id = close_lines.program_id
	)
	SELECT x.late, x.kind, x.branch_id, x.rules, sum(x.entries)::bigint, sum(x.points)
	FROM (SELECT m.late, m.kind, e.branch_id, e.rules, count(DISTINCT m.entry_id) AS entries, sum(m.points) AS points
		  FROM moved m LEFT JOIN entry e ON e.entry_id = m.entry_id GROUP BY 1, 2, 3, 4
		  UNION ALL
		  SELECT true, f.kind, f.branch_id, f.rules, -f.entries, -f.points FROM loyalty_internal.month_close_line f
		  WHERE f.merchant_id = close_lines.merchant_id AND f.program_id = close_lines.program_id) x
	GROUP BY 1, 2, 3, 4 HAVING sum(x.entries) <> 0 OR sum(x.points) <> 0
	ORDER BY 1, 2, 3, 4;
END;
COMMENT ON FUNCTION loyalty_internal.close_lines(bigint, bigint, timestamptz, timestamptz) IS 'Part of loyalty.close_month(): what a month came to, and what the months before do now less what was frozen of them.';

CREATE FUNCTION loyalty_internal.close_digest(c loyalty_internal.month_close, before bytea) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT sha256(convert_to(concat_ws('|', encode(before, 'hex'), c.merchant_id, c.program_id, to_char(c.month, 'YYYY-MM-DD'), to_char(c.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
		c.root_id, encode(c.root, 'hex'), trim_scale(c.closing), trim_scale(c.money_per_point),
		(SELECT string_agg(concat_ws(',', l.line_no, CASE WHEN l.late THEN 'late' ELSE 'month' END, l.kind, coalesce(l.branch_id, 0), coalesce(l.rules, 0), l.entries, trim_scale(l.points)), '|' ORDER BY l.line_no)
		 FROM loyalty_internal.month_close_line l WHERE l.merchant_id = c.merchant_id AND l.program_id = c.program_id AND l.month = c.month)), 'UTF8'));
END;
COMMENT ON FUNCTION loyalty_internal.close_digest(loyalty_internal.month_close, bytea) IS 'What the digest of a close is, after that of the close before.';

CREATE FUNCTION loyalty.close_month(merchant_id bigint, program_id bigint, month date, OUT root_id bigint, OUT root bytea, OUT closing numeric, OUT digest bytea) RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c loyalty_internal.month_close;
	last loyalty_internal.month_close;
	zone text;
	starts_at timestamptz;
	ends_at timestamptz;
	due bigint[];
BEGIN
	c.month := CASE WHEN close_month.month BETWEEN '0001-01-01' AND '9999-12-31' THEN date_trunc('month', close_month.month) END;
	SELECT p.time_zone INTO zone FROM loyalty_internal.program p
	WHERE p.merchant_id = close_month.merchant_id AND p.program_id = close_month.program_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	SELECT m.* INTO last FROM loyalty_internal.month_close m
	WHERE m.merchant_id = close_month.merchant_id AND m.program_id = close_month.program_id AND m.month >= c.month ORDER BY m.month LIMIT 1;
	IF last.month = c.month THEN
		SELECT last.root_id, last.root, last.closing, last.digest INTO root_id, root, closing, digest;
		RETURN;
	END IF;
	SELECT m.* INTO last FROM loyalty_internal.month_close m
	WHERE m.merchant_id = close_month.merchant_id AND m.program_id = close_month.program_id ORDER BY m.month DESC LIMIT 1;
	starts_at := c.month::timestamp AT TIME ZONE zone;
	ends_at := (c.month + interval '1 month') AT TIME ZONE zone;
	c.closed_at := clock_timestamp();
	IF c.month IS NULL OR ends_at > c.closed_at OR last.month + interval '1 month' <> c.month THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'month is over, and the one after the last that was closed, if any was.');
	END IF;
	LOOP
		SELECT array_agg(x.account_id ORDER BY x.account_id) INTO due FROM (
			SELECT a.account_id FROM loyalty_internal.account a
			WHERE a.merchant_id = close_month.merchant_id AND a.program_id = close_month.program_id AND a.due_at < ends_at LIMIT 1000) x;
		EXIT WHEN due IS NULL;
		PERFORM loyalty_internal.book_due_accounts(close_month.merchant_id, due);
	END LOOP;
	SELECT r.root_id, r.root INTO c.root_id, c.root FROM loyalty.make_root(close_month.merchant_id) r;
	INSERT INTO loyalty_internal.month_close_line (merchant_id, program_id, month, line_no, late, kind, branch_id, rules, entries, points)
	SELECT close_month.merchant_id, close_month.program_id, c.month, row_number() OVER (), l.late, l.kind, l.branch_id, l.rules, l.entries, l.points
	FROM loyalty_internal.close_lines(close_month.merchant_id, close_month.program_id, starts_at, ends_at) l;
	c.merchant_id := close_month.merchant_id;
	c.program_id := close_month.program_id;
	c.money_per_point := loyalty_internal.point_value(c.merchant_id, c.program_id, ends_at - interval '1 microsecond');
	SELECT coalesce(sum(l.points), 0) INTO c.closing FROM loyalty_internal.month_close_line l WHERE l.merchant_id = c.merchant_id AND l.program_id = c.program_id;
	c.digest := loyalty_internal.close_digest(c, last.digest);
	INSERT INTO loyalty_internal.month_close VALUES (c.*);
	SELECT c.root_id, c.root, c.closing, c.digest INTO root_id, root, closing, digest;
END
$$;
COMMENT ON FUNCTION loyalty.close_month(bigint, bigint, date) IS
'Closes a month of a program, told by any day of it: books what is due until its end, makes a root, and freezes what happened by kind, branch and rule set. Returns the root and its number, the points outstanding at the end, and a digest over all of the close and the one before: keep it where it cannot be changed. A month that is closed is answered as it was. The first may be any that is over, each other one follows the last; what was entered late for closed months is a difference in the next. Errors: LY006 unknown_object, LY005 invalid_argument (it is not over, or does not follow the last one).';

CREATE FUNCTION loyalty.verify_closes(merchant_id bigint) RETURNS SETOF loyalty.breach
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH closes AS (
		SELECT c, c.month, c.program_id, c.digest, c.closing, c.root_id, c.root, lag(c.digest) OVER w AS before, lag(c.month) OVER w AS month_before
		FROM loyalty_internal.month_close c WHERE c.merchant_id = verify_closes.merchant_id WINDOW w AS (PARTITION BY c.program_id ORDER BY c.month)
	), problem AS (
		SELECT c.program_id, c.month, 'it, its lines, or the close before have changed' AS what FROM closes c WHERE loyalty_internal.close_digest(c.c, c.before) IS DISTINCT FROM c.digest
		UNION ALL
		SELECT c.program_id, c.month, 'the month before is missing' FROM closes c WHERE c.month_before + interval '1 month' <> c.month
		UNION ALL
		SELECT c.program_id, c.month, 'its lines do not come to its closing' FROM closes c
		WHERE c.closing <> (SELECT coalesce(sum(l.points), 0) FROM loyalty_internal.month_close_line l WHERE l.merchant_id = verify_closes.merchant_id AND l.program_id = c.program_id AND l.month <= c.month)
		UNION ALL
		SELECT c.program_id, c.month, 'its root is not among the roots' FROM closes c
		WHERE NOT EXISTS (SELECT FROM loyalty_internal.root r WHERE r.merchant_id = verify_closes.merchant_id AND r.root_id = c.root_id AND r.root = c.root))
	SELECT 'a closed month is what was frozen'::text, verify_closes.merchant_id, NULL::bigint, NULL::bigint, format('program %s, %s: %s', p.program_id, to_char(p.month, 'YYYY-MM'), p.what)
	FROM problem p ORDER BY p.program_id, p.month, p.what;
END;
COMMENT ON FUNCTION loyalty.verify_closes(bigint) IS
'Checks that the closed months of a merchant are what was frozen, and returns a row for each breach, as loyalty.verify() does. That the last digest is the one that was kept, compare yourself; loyalty.verify_root() compares the ledger with the roots.';

-- --- sales that earn points: two promises at one price ---------------------------------

CREATE TABLE loyalty_internal.redemption_rate (
	merchant_id	bigint		NOT NULL,
	program_id	bigint		NOT NULL,
	from_month	date		NOT NULL,
	rate		numeric		NOT NULL,
	set_at		timestamptz	NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, program_id, from_month),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program
);
COMMENT ON TABLE loyalty_internal.redemption_rate IS 'Which part of the points finance expects to be redeemed, from which month on.';
COMMENT ON COLUMN loyalty_internal.redemption_rate.rate IS '0 to 1; the rest is breakage.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.redemption_rate TO loyalty_engine;

CREATE FUNCTION loyalty.set_redemption_rate(merchant_id bigint, program_id bigint, rate numeric, from_month date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM loyalty_internal.program p WHERE p.merchant_id = set_redemption_rate.merchant_id AND p.program_id = set_redemption_rate.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	ELSIF (set_redemption_rate.rate BETWEEN 0 AND 1) IS NOT TRUE OR (set_redemption_rate.from_month BETWEEN '0001-01-01' AND '9999-12-31') IS NOT TRUE THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'rate is 0 to 1, from_month a day of the month from which on it is expected.');
	END IF;
	INSERT INTO loyalty_internal.redemption_rate AS r (merchant_id, program_id, from_month, rate)
	VALUES (set_redemption_rate.merchant_id, set_redemption_rate.program_id, date_trunc('month', set_redemption_rate.from_month), set_redemption_rate.rate)
	ON CONFLICT ON CONSTRAINT redemption_rate_pkey DO UPDATE SET rate = excluded.rate, set_at = now();
END
$$;
COMMENT ON FUNCTION loyalty.set_redemption_rate(bigint, bigint, numeric, date) IS
'Says which part of a program''s points is expected to be redeemed (0 to 1; 1 until it is told), from a month on: sales of these months are allocated by it, and what is deferred at their ends goes by it. loyalty_report.breakage_curve() tells what was observed. Errors: LY006 unknown_object, LY005 invalid_argument.';

-- Sale by sale; a refund takes its share of what its sale was allocated.  What is
-- of every sale is joined to the left: the planner knows then how many there are.
CREATE FUNCTION loyalty_internal.deferrals(merchants bigint[])
RETURNS TABLE (merchant_id bigint, program_id bigint, month date, rate numeric, sold numeric, allocated numeric, issued numeric, redeemed numeric, outstanding numeric, allocated_so_far numeric, earned_so_far numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
BEGIN ATOMIC
	WITH month AS MATERIALIZED (
		SELECT m.merchant_id, m.program_id, m.month, m.closing, m.accrued + m.deposited + m.adjusted + m.reversed - m.redemptions_reversed AS issued, m.redeemed - m.redemptions_reversed AS redeemed,
			   coalesce((SELECT r.rate FROM loyalty_internal.redemption_rate r WHERE r.merchant_id = m.merchant_id AND r.program_id = m.program_id AND r.from_month <= m.month ORDER BY r.from_month DESC LIMIT 1), 1) AS rate,
			   loyalty_internal.point_value(m.merchant_id, m.program_id, least(now(), (m.month + interval '1 month') AT TIME ZONE p.time_zone - interval '1 microsecond')) AS worth, p.time_zone
		FROM loyalty_internal.months(merchants) m JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
	), sale AS (
		SELECT e.merchant_id, a.program_id, e.entry_id, date_trunc('month', e.posted_at AT TIME ZONE p.time_zone)::date AS sold_in, coalesce(e.money::numeric, 0) AS money, e.amount::numeric + coalesce(e.reserved::numeric, 0) AS points
		FROM loyalty.entry e
		JOIN loyalty_internal.account a ON a.merchant_id = e.merchant_id AND a.account_id = e.account_id
		JOIN loyalty_internal.program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id
		WHERE e.merchant_id = ANY (merchants) AND e.kind = 1
	), dated AS MATERIALIZED (
		SELECT s.merchant_id, s.program_id, s.entry_id, s.sold_in AS month, s.money, s.points, CASE WHEN s.points > 0 AND s.money > 0 THEN s.money * s.points * m.worth * m.rate / (s.money + s.points * m.worth * m.rate) ELSE 0 END AS allocated
		FROM sale s LEFT JOIN month m ON m.merchant_id = s.merchant_id AND m.program_id = s.program_id AND m.month = s.sold_in
	), flow AS (
		SELECT d.merchant_id, d.program_id, d.month, d.money AS sold, d.allocated FROM dated d
		UNION ALL
		SELECT d.merchant_id, d.program_id, date_trunc('month', b.posted_at AT TIME ZONE p.time_zone)::date,
			   -coalesce(r.money::numeric, CASE WHEN d.points > 0 THEN d.money * r.amount::numeric / d.points ELSE d.money END),
			   CASE WHEN d.points > 0 THEN -d.allocated * r.amount::numeric / d.points ELSE 0 END
		FROM dated d
		JOIN loyalty_internal.reversal r ON r.merchant_id = d.merchant_id AND r.entry_id = d.entry_id
		JOIN loyalty.entry b ON b.merchant_id = r.merchant_id AND b.entry_id = r.reversed_by
		LEFT JOIN loyalty_internal.program p ON p.merchant_id = d.merchant_id AND p.program_id = d.program_id
	), line AS (
		SELECT m.merchant_id, m.program_id, m.month, m.rate, m.closing, coalesce(f.sold, 0) AS sold, coalesce(f.allocated, 0) AS allocated, m.issued, m.redeemed
		FROM month m LEFT JOIN (SELECT x.merchant_id, x.program_id, x.month, sum(x.sold) AS sold, sum(x.allocated) AS allocated FROM flow x GROUP BY 1, 2, 3) f
			ON f.merchant_id = m.merchant_id AND f.program_id = m.program_id AND f.month = m.month
	), summed AS (
		SELECT l.*, sum(l.allocated) OVER w AS allocated_so_far, sum(l.issued) OVER w AS issued_so_far, greatest(0, sum(l.redeemed) OVER w) AS redeemed_so_far
		FROM line l WINDOW w AS (PARTITION BY l.merchant_id, l.program_id ORDER BY l.month)
	), expected AS (
		SELECT s.*, greatest(least(s.rate * s.issued_so_far, s.redeemed_so_far + s.closing), s.redeemed_so_far) AS to_redeem FROM summed s)
	SELECT x.merchant_id, x.program_id, x.month, x.rate, x.sold, x.allocated, x.issued, x.redeemed, x.closing, x.allocated_so_far,
		   x.allocated_so_far * CASE WHEN x.closing <= 0 OR x.to_redeem <= 0 THEN 1 ELSE x.redeemed_so_far / x.to_redeem END
	FROM expected x;
END;
COMMENT ON FUNCTION loyalty_internal.deferrals(bigint[]) IS 'Part of loyalty_report.fact_deferral: what of sales was allocated to points, and how much of that is earned at the end of each month.';

CREATE FUNCTION loyalty_internal.cohorts(merchants bigint[])
RETURNS TABLE (merchant_id bigint, program_id bigint, cohort date, age integer, earned numeric, redeemed numeric, expired numeric)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
BEGIN ATOMIC
	WITH moved AS MATERIALIZED (
		SELECT m.merchant_id, m.program_id, m.account_id, m.kind, m.moved_at, m.points + coalesce(r.amount, 0) AS points
		FROM loyalty_internal.report_movement m
		LEFT JOIN (SELECT x.merchant_id, x.entry_id, sum(x.amount::numeric) AS amount FROM loyalty_internal.reversal x WHERE x.merchant_id = ANY (merchants) GROUP BY 1, 2) r
			ON r.merchant_id = m.merchant_id AND r.entry_id = m.entry_id AND m.kind IN (3, 7)
		WHERE m.merchant_id = ANY (merchants) AND m.points <> 0 AND NOT (m.kind = 10 AND m.points > 0)
	), edge AS (
		SELECT m.merchant_id, m.program_id, m.account_id, sum(m.points) OVER w AS edge, m.moved_at AS earned_at, NULL::numeric[] AS used
		FROM moved m WHERE m.points > 0 WINDOW w AS (PARTITION BY m.merchant_id, m.account_id ORDER BY m.moved_at ROWS UNBOUNDED PRECEDING)
		UNION ALL
		SELECT m.merchant_id, m.program_id, m.account_id, -sum(m.points) OVER w, NULL, ARRAY[extract(epoch FROM m.moved_at), CASE WHEN m.kind IN (3, 7) THEN 3 ELSE m.kind END]
		FROM moved m WHERE m.points < 0 WINDOW w AS (PARTITION BY m.merchant_id, m.account_id ORDER BY m.moved_at ROWS UNBOUNDED PRECEDING)
	), part AS (
		-- the points up to an edge came with the first accrual that reaches it, and went with the first use that does;
		-- from the last one back: of a frame that begins at its row, min() would look at all of it again for each
		SELECT e.merchant_id, e.program_id, e.edge - lead(e.edge, 1, 0.0) OVER w AS points, min(e.earned_at) OVER w AS earned_at, min(e.used) OVER w AS used
		FROM edge e WINDOW w AS (PARTITION BY e.merchant_id, e.account_id ORDER BY e.edge DESC)
	), dated AS (
		SELECT x.merchant_id, x.program_id, x.points, x.used[2] AS kind, date_trunc('month', x.earned_at AT TIME ZONE p.time_zone)::date AS cohort, date_trunc('month', to_timestamp(x.used[1]) AT TIME ZONE p.time_zone)::date AS used_in
		FROM part x JOIN loyalty_internal.program p ON p.merchant_id = x.merchant_id AND p.program_id = x.program_id WHERE x.earned_at IS NOT NULL AND x.points > 0
	), cohort AS (
		SELECT d.merchant_id, d.program_id, d.cohort, sum(d.points) AS earned FROM dated d GROUP BY 1, 2, 3
	), used AS (
		SELECT d.merchant_id, d.program_id, d.cohort,
			   greatest(0, (extract(year FROM d.used_in) - extract(year FROM d.cohort)) * 12 + extract(month FROM d.used_in) - extract(month FROM d.cohort))::integer AS age,
			   sum(d.points) FILTER (WHERE d.kind = 3) AS redeemed, sum(d.points) FILTER (WHERE d.kind = 5) AS expired
		FROM dated d WHERE d.used_in IS NOT NULL GROUP BY 1, 2, 3, 4)
	SELECT c.merchant_id, c.program_id, c.cohort, g.age, c.earned, coalesce(u.redeemed, 0), coalesce(u.expired, 0)
	FROM cohort c
	JOIN loyalty_internal.program p ON p.merchant_id = c.merchant_id AND p.program_id = c.program_id
	CROSS JOIN LATERAL (SELECT date_trunc('month', now() AT TIME ZONE p.time_zone) AS month) n
	CROSS JOIN LATERAL generate_series(0, ((extract(year FROM n.month) - extract(year FROM c.cohort)) * 12 + extract(month FROM n.month) - extract(month FROM c.cohort))::integer) g (age)
	LEFT JOIN used u ON u.merchant_id = c.merchant_id AND u.program_id = c.program_id AND u.cohort = c.cohort AND u.age = g.age;
END;
COMMENT ON FUNCTION loyalty_internal.cohorts(bigint[]) IS 'Part of loyalty_report.fact_cohort: what became of the points that were earned in a month, by how many months later; of each account the first to come are the first to go. Redemptions that were refunded are none.';

-- --- what is read ------------------------------------------------------------------

CREATE VIEW loyalty_internal.visible_month_close AS
SELECT c.* FROM loyalty_internal.month_close c WHERE loyalty_internal.is_reported(c.merchant_id, (SELECT loyalty_internal.reported_merchants(current_user)));
COMMENT ON VIEW loyalty_internal.visible_month_close IS 'The rows of loyalty_internal.month_close that are of merchants whose reports the current role may read.';

CREATE VIEW loyalty_internal.visible_month_close_line AS
SELECT l.* FROM loyalty_internal.month_close_line l WHERE loyalty_internal.is_reported(l.merchant_id, (SELECT loyalty_internal.reported_merchants(current_user)));
COMMENT ON VIEW loyalty_internal.visible_month_close_line IS 'The rows of loyalty_internal.month_close_line that are of merchants whose reports the current role may read.';

CREATE VIEW loyalty_report.fact_close WITH (security_barrier) AS
SELECT c.merchant_id::text AS merchant_key, c.program_id::text AS program_key, c.month AS month_starts_on, c.closed_at, c.closing, c.money_per_point, c.closing * c.money_per_point AS closing_money,
	   m.closing AS closing_now, m.closing - c.closing AS difference, c.root_id::text AS root_number, encode(c.root, 'hex') AS root, encode(c.digest, 'hex') AS digest
FROM loyalty_internal.visible_month_close c
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = c.merchant_id
LEFT JOIN loyalty_internal.months(loyalty_internal.reported_merchants(current_user)) m ON m.merchant_id = c.merchant_id AND m.program_id = c.program_id AND m.month = c.month;
COMMENT ON VIEW loyalty_report.fact_close IS 'The months that were closed, as they were frozen, beside what the ledger comes to now.';
COMMENT ON COLUMN loyalty_report.fact_close.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_close.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_close.month_starts_on IS 'The first day of the month.';
COMMENT ON COLUMN loyalty_report.fact_close.closed_at IS 'When it was closed.';
COMMENT ON COLUMN loyalty_report.fact_close.closing IS 'The points outstanding at its end, as they were known then.';
COMMENT ON COLUMN loyalty_report.fact_close.money_per_point IS 'What a point was worth then, in the currency of the program.';
COMMENT ON COLUMN loyalty_report.fact_close.closing_money IS 'What they were worth.';
COMMENT ON COLUMN loyalty_report.fact_close.closing_now IS 'The points outstanding at its end, as they are known now.';
COMMENT ON COLUMN loyalty_report.fact_close.difference IS 'What came to light since; the next close has it in lines that are late.';
COMMENT ON COLUMN loyalty_report.fact_close.root_number IS 'The number of the root over all accounts that was made with it.';
COMMENT ON COLUMN loyalty_report.fact_close.root IS 'That root, in hexadecimal digits.';
COMMENT ON COLUMN loyalty_report.fact_close.digest IS 'The digest over all of the close and the one before, in hexadecimal digits.';

CREATE VIEW loyalty_report.fact_close_line WITH (security_barrier) AS
SELECT l.merchant_id::text AS merchant_key, l.program_id::text AS program_key, l.month AS month_starts_on, coalesce(l.branch_id::text, l.merchant_id || '-0') AS branch_key,
	   loyalty.entry_kind(l.kind) AS kind, l.rules::numeric AS rule_set_version, l.late AS is_late, l.entries::numeric AS entries, l.points
FROM loyalty_internal.visible_month_close_line l
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = l.merchant_id;
COMMENT ON VIEW loyalty_report.fact_close_line IS 'What closed months came to, as it was frozen, by kind, branch and rule set.';
COMMENT ON COLUMN loyalty_report.fact_close_line.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_close_line.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_close_line.month_starts_on IS 'The first day of the month that was closed.';
COMMENT ON COLUMN loyalty_report.fact_close_line.branch_key IS 'The branch.';
COMMENT ON COLUMN loyalty_report.fact_close_line.kind IS 'The kind of entries.';
COMMENT ON COLUMN loyalty_report.fact_close_line.rule_set_version IS 'The version of the earning rules; NULL: none.';
COMMENT ON COLUMN loyalty_report.fact_close_line.is_late IS 'Whether it is of months before: a difference to what was frozen of them. Of the first close, all there was before it.';
COMMENT ON COLUMN loyalty_report.fact_close_line.entries IS 'How many entries.';
COMMENT ON COLUMN loyalty_report.fact_close_line.points IS 'What they changed of the points outstanding.';

CREATE VIEW loyalty_report.fact_cohort WITH (security_barrier) AS
SELECT c.merchant_id::text AS merchant_key, c.program_id::text AS program_key, c.cohort AS earned_month_starts_on, c.age::numeric AS age_months, c.earned, c.redeemed, c.expired
FROM loyalty_internal.cohorts(loyalty_internal.reported_merchants(current_user)) c;
COMMENT ON VIEW loyalty_report.fact_cohort IS 'What became of the points that were earned in a month, by how many months later: of each account the first to come are the first to go.';
COMMENT ON COLUMN loyalty_report.fact_cohort.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_cohort.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_cohort.earned_month_starts_on IS 'The first day of the month in which they were earned, given, or received from another account.';
COMMENT ON COLUMN loyalty_report.fact_cohort.age_months IS 'How many months later; 0: in the same.';
COMMENT ON COLUMN loyalty_report.fact_cohort.earned IS 'All that were earned in that month, the same at each age.';
COMMENT ON COLUMN loyalty_report.fact_cohort.redeemed IS 'Those of them that were spent at that age, and not refunded since.';
COMMENT ON COLUMN loyalty_report.fact_cohort.expired IS 'Those of them that expired at that age.';

CREATE FUNCTION loyalty_report.breakage_curve(earned_from date DEFAULT '-infinity', earned_until date DEFAULT 'infinity')
RETURNS TABLE (merchant_key text, program_key text, age_months numeric, earned numeric, redeemed_share numeric, expired_share numeric, breakage numeric)
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH aged AS (
		SELECT c.merchant_id, c.program_id, c.age, sum(c.earned) AS earned, sum(c.redeemed) / sum(c.earned) AS redeemed, sum(c.expired) / sum(c.earned) AS expired
		FROM loyalty_internal.cohorts(loyalty_internal.reported_merchants(current_user)) c
		WHERE c.cohort BETWEEN breakage_curve.earned_from AND breakage_curve.earned_until
		GROUP BY c.merchant_id, c.program_id, c.age)
	SELECT a.merchant_id::text, a.program_id::text, a.age::numeric, a.earned, least(1, sum(a.redeemed) OVER w), least(1, sum(a.expired) OVER w), greatest(0, 1 - sum(a.redeemed) OVER w)
	FROM aged a WINDOW w AS (PARTITION BY a.merchant_id, a.program_id ORDER BY a.age);
END;
COMMENT ON FUNCTION loyalty_report.breakage_curve(date, date) IS
'Which share of a program''s points is redeemed, and expires, until they are so many months old, as observed of the cohorts of the months from earned_from until earned_until. Each age is of the cohorts that have reached it (earned: their points), and adds to those before. breakage: the share that is not redeemed by then; that of the last age is the estimate for loyalty.set_redemption_rate(), which wants what is left of 1.';

CREATE VIEW loyalty_report.fact_deferral WITH (security_barrier) AS
SELECT d.merchant_id::text AS merchant_key, d.program_id::text AS program_key, d.month AS month_starts_on, d.rate AS redemption_rate, d.sold AS money_sold, d.allocated AS money_allocated,
	   d.issued AS points_issued, d.redeemed AS points_redeemed, d.outstanding AS points_outstanding,
	   d.earned_so_far - lag(d.earned_so_far, 1, 0.0) OVER (PARTITION BY d.merchant_id, d.program_id ORDER BY d.month) AS money_earned, d.allocated_so_far - d.earned_so_far AS money_deferred
FROM loyalty_internal.deferrals(loyalty_internal.reported_merchants(current_user)) d;
COMMENT ON VIEW loyalty_report.fact_deferral IS 'Revenue by IFRS 15 and NIF D-1: what of each month''s sales is allocated to the points they earned, at relative stand-alone prices, and what of that is earned as they are redeemed. Points that were given without a sale defer nothing.';
COMMENT ON COLUMN loyalty_report.fact_deferral.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_deferral.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_deferral.month_starts_on IS 'The first day of the month.';
COMMENT ON COLUMN loyalty_report.fact_deferral.redemption_rate IS 'Which part of the points was expected to be redeemed, by loyalty.set_redemption_rate().';
COMMENT ON COLUMN loyalty_report.fact_deferral.money_sold IS 'Money of the sales, less refunds.';
COMMENT ON COLUMN loyalty_report.fact_deferral.money_allocated IS 'What of it is the price of points: of each sale in proportion to the stand-alone prices, that of the points being what they are worth at the month''s end, times the part that is expected to be redeemed.';
COMMENT ON COLUMN loyalty_report.fact_deferral.points_issued IS 'Points that came into being, less those that were taken back.';
COMMENT ON COLUMN loyalty_report.fact_deferral.points_redeemed IS 'Points that were spent, less those that were given back.';
COMMENT ON COLUMN loyalty_report.fact_deferral.points_outstanding IS 'Points outstanding at its end.';
COMMENT ON COLUMN loyalty_report.fact_deferral.money_earned IS 'What of the allocated money of this month and those before was earned in it: all that is earned by then, in proportion of the points redeemed to those expected to be, less what had been.';
COMMENT ON COLUMN loyalty_report.fact_deferral.money_deferred IS 'What is not earned at its end: the contract liability.';

-- Sums are rounded, and their differences booked, so that no cent gets lost.
CREATE VIEW loyalty_report.fact_journal WITH (security_barrier) AS
SELECT d.merchant_key, d.program_key, d.month_starts_on, j.line_number, j.account, greatest(j.amount, 0) AS debit, greatest(-j.amount, 0) AS credit
FROM (SELECT x.merchant_id::text AS merchant_key, x.program_id::text AS program_key, x.month AS month_starts_on,
			 round(sum(x.sold) OVER w, 2) - round(sum(x.sold) OVER w - x.sold, 2) AS sold, round(x.allocated_so_far, 2) - round(x.allocated_so_far - x.allocated, 2) AS allocated,
			 round(x.earned_so_far, 2) - coalesce(round(lag(x.earned_so_far) OVER w, 2), 0) AS earned
	  FROM loyalty_internal.deferrals(loyalty_internal.reported_merchants(current_user)) x WINDOW w AS (PARTITION BY x.merchant_id, x.program_id ORDER BY x.month)) d
CROSS JOIN LATERAL (VALUES (1::numeric, 'receivables', d.sold), (2, 'revenue from sales', d.allocated - d.sold), (3, 'contract liability', -d.allocated),
	(4, 'contract liability', d.earned), (5, 'revenue from points', -d.earned)) j (line_number, account, amount);
COMMENT ON VIEW loyalty_report.fact_journal IS 'The journal of fact_deferral: five rows for each month, to the cent, whose debits and credits are equal.';
COMMENT ON COLUMN loyalty_report.fact_journal.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_journal.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_journal.month_starts_on IS 'The first day of the month.';
COMMENT ON COLUMN loyalty_report.fact_journal.line_number IS '1 to 3: the sales; 4 and 5: what is earned of points.';
COMMENT ON COLUMN loyalty_report.fact_journal.account IS 'receivables (or cash), revenue from sales, contract liability (of points), revenue from points.';
COMMENT ON COLUMN loyalty_report.fact_journal.debit IS 'Money on the debit side.';
COMMENT ON COLUMN loyalty_report.fact_journal.credit IS 'Money on the credit side.';

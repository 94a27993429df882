-- Looks at what may be fraud: each is a view whose rows say why they are there.
--
-- A row is a reason to ask, and proves nothing.  Where a look begins is the
-- merchant's to say, by thresholds; so they are in a table, and the same for all
-- who read.  Who acted is a number or a pseudonym here too.

CREATE TABLE loyalty_internal.fraud_threshold (
	merchant_id	bigint		NOT NULL REFERENCES loyalty_internal.merchant,
	threshold	text		COLLATE "C" NOT NULL,
	value		numeric		NOT NULL,
	set_at		timestamptz	NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, threshold)
);
COMMENT ON TABLE loyalty_internal.fraud_threshold IS 'From where on merchants look at what may be fraud, where they have said so; loyalty_internal.fraud_default has what holds otherwise.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.fraud_threshold TO loyalty_engine;
SELECT loyalty_internal.make_visible('loyalty_internal.fraud_threshold');

CREATE VIEW loyalty_internal.fraud_default AS
SELECT * FROM (VALUES
	('same_member_sales', 4::numeric, true, 1::numeric, 1000000::numeric, 'Sales of one member at one till in a day, from which on fraud_same_member has them.'),
	('correction_entries', 5, true, 1, 1000000, 'Corrections of one member of staff in a month, from which on fraud_corrections compares them.'),
	('correction_factor', 3, false, 0, 1000000, 'How many times the median of the colleagues their share has to exceed.'),
	('reversal_minutes', 15, false, 0, 1000000, 'Minutes within which a sale is refunded, for fraud_quick_reversal.'),
	('opening_hour', 6, true, 0, 24, 'The hour of the day from which on tills are open; what is before it, fraud_outside_hours has.'),
	('closing_hour', 23, true, 0, 24, 'The hour from which on they are closed. Smaller than opening_hour: they are open past midnight; the same: always.'),
	('burst_calls', 60, true, 2, 1000000, 'Calls with one API key within burst_seconds, from which on fraud_burst has them.'),
	('burst_seconds', 60, false, 0, 1000000, 'The seconds of that.')) v (threshold, value, whole, least, most, meaning);
COMMENT ON VIEW loyalty_internal.fraud_default IS 'The thresholds there are, what they are unless a merchant says something else, and from what to what they can be.';

CREATE VIEW loyalty_internal.report_fraud AS
SELECT t.merchant_id, t.digest_key,
	   max(v.value) FILTER (WHERE d.threshold = 'same_member_sales') AS same_member_sales, max(v.value) FILTER (WHERE d.threshold = 'correction_entries') AS correction_entries,
	   max(v.value) FILTER (WHERE d.threshold = 'correction_factor') AS correction_factor, max(v.value) FILTER (WHERE d.threshold = 'reversal_minutes') AS reversal_minutes,
	   max(v.value) FILTER (WHERE d.threshold = 'opening_hour') AS opening_hour, max(v.value) FILTER (WHERE d.threshold = 'closing_hour') AS closing_hour,
	   max(v.value) FILTER (WHERE d.threshold = 'burst_calls') AS burst_calls, max(v.value) FILTER (WHERE d.threshold = 'burst_seconds') AS burst_seconds
FROM loyalty_internal.visible_merchant t
CROSS JOIN loyalty_internal.fraud_default d
LEFT JOIN loyalty_internal.visible_fraud_threshold f ON f.merchant_id = t.merchant_id AND f.threshold = d.threshold
CROSS JOIN LATERAL (SELECT trim_scale(coalesce(f.value, d.value)) AS value) v
GROUP BY t.merchant_id, t.digest_key;
COMMENT ON VIEW loyalty_internal.report_fraud IS 'The merchants whose reports the current role may read, with their thresholds.';

CREATE FUNCTION loyalty.set_fraud_threshold(merchant_id bigint, threshold text, value numeric) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known record;
BEGIN
	PERFORM loyalty_internal.require_merchant(set_fraud_threshold.merchant_id);
	SELECT d.* INTO known FROM loyalty_internal.fraud_default d WHERE d.threshold = set_fraud_threshold.threshold COLLATE "C";
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'threshold is one of those of loyalty_report.dim_fraud_threshold.');
	ELSIF set_fraud_threshold.value IS NULL THEN
		DELETE FROM loyalty_internal.fraud_threshold f WHERE f.merchant_id = set_fraud_threshold.merchant_id AND f.threshold = set_fraud_threshold.threshold COLLATE "C";
		RETURN;
	ELSIF set_fraud_threshold.value NOT BETWEEN known.least AND known.most OR known.whole AND set_fraud_threshold.value <> trunc(set_fraud_threshold.value) OR scale(set_fraud_threshold.value) > 6 THEN
		PERFORM loyalty_internal.fail('invalid_argument', format('%s is %s%s to %s, with up to %s decimals.', known.threshold, CASE WHEN known.whole THEN 'a whole number, ' ELSE '' END, known.least, known.most, CASE WHEN known.whole THEN 0 ELSE 6 END));
	END IF;
	INSERT INTO loyalty_internal.fraud_threshold AS f (merchant_id, threshold, value)
	VALUES (set_fraud_threshold.merchant_id, set_fraud_threshold.threshold, set_fraud_threshold.value)
	ON CONFLICT ON CONSTRAINT fraud_threshold_pkey DO UPDATE SET value = excluded.value, set_at = now();
END
$$;
COMMENT ON FUNCTION loyalty.set_fraud_threshold(bigint, text, numeric) IS
'Says from where on the views of loyalty_report whose names begin with fraud_ have something of a merchant. threshold: one of those of loyalty_report.dim_fraud_threshold, which tells what each means; value: NULL for what holds unless it is said. It changes what is shown of the past too, and nothing that is posted. Errors: LY006 unknown_object, LY005 invalid_argument.';

CREATE VIEW loyalty_report.dim_fraud_threshold WITH (security_barrier) AS
SELECT concat(t.merchant_id, '-', d.threshold) AS threshold_key, t.merchant_id::text AS merchant_key, d.threshold, coalesce(f.value, d.value) AS value, d.value AS default_value, d.meaning
FROM loyalty_internal.visible_merchant t
CROSS JOIN loyalty_internal.fraud_default d
LEFT JOIN loyalty_internal.visible_fraud_threshold f ON f.merchant_id = t.merchant_id AND f.threshold = d.threshold;
COMMENT ON VIEW loyalty_report.dim_fraud_threshold IS 'From where on the views whose names begin with fraud_ have something: loyalty.set_fraud_threshold() sets it.';
COMMENT ON COLUMN loyalty_report.dim_fraud_threshold.threshold_key IS 'The threshold: the number of the merchant, a hyphen, and its name.';
COMMENT ON COLUMN loyalty_report.dim_fraud_threshold.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.dim_fraud_threshold.threshold IS 'What it is called.';
COMMENT ON COLUMN loyalty_report.dim_fraud_threshold.value IS 'What it is.';
COMMENT ON COLUMN loyalty_report.dim_fraud_threshold.default_value IS 'What it is unless it is set.';
COMMENT ON COLUMN loyalty_report.dim_fraud_threshold.meaning IS 'What it does.';

-- Of a large ledger a look takes as long as there is of it.  Who asks for the newest of
-- it is led there by the numbers of entries, which are made of time.
CREATE FUNCTION loyalty_internal.looked_from() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	since CONSTANT timestamptz := nullif(current_setting('loyalty_report.fraud_since', true), '');
BEGIN
	-- numbers end in 2089
	RETURN CASE WHEN since IS NULL THEN 0 ELSE loyalty_internal.first_id(least(since, '2089-01-01 UTC')) END;
END
$$;
COMMENT ON FUNCTION loyalty_internal.looked_from() IS 'Part of the views loyalty_report.fraud_…: the least entry_id that they look at, by the setting loyalty_report.fraud_since.';

-- --- one member, again and again ------------------------------------------------------

CREATE VIEW loyalty_internal.fraud_same_member AS
SELECT t.merchant_id, t.digest_key, t.same_member_sales, e.program_id, e.member_id, e.staff_id, k.till_id, e.posted_on, count(*) AS sales, coalesce(sum(e.money::numeric), 0) AS money_sold,
	   sum(e.amount::numeric + coalesce(e.reserved::numeric, 0)) AS points_issued, min(e.posted_at) AS first_at, max(e.posted_at) AS last_at
FROM loyalty_internal.report_entry e
JOIN loyalty_internal.report_fraud t ON t.merchant_id = e.merchant_id
CROSS JOIN LATERAL (SELECT CASE WHEN e.staff_id IS NULL AND e.actor_id > 0 THEN e.actor_id END AS till_id) k
WHERE e.kind = 1 AND (e.staff_id IS NOT NULL OR e.actor_id > 0) AND e.entry_id >= loyalty_internal.looked_from()
GROUP BY t.merchant_id, t.digest_key, t.same_member_sales, e.program_id, e.member_id, e.staff_id, k.till_id, e.posted_on
HAVING count(*) >= t.same_member_sales;
COMMENT ON VIEW loyalty_internal.fraud_same_member IS 'What loyalty_report.fraud_same_member shows.';

CREATE VIEW loyalty_report.fraud_same_member WITH (security_barrier) AS
SELECT x.merchant_id::text AS merchant_key, x.program_id::text AS program_key, loyalty_internal.pseudonym(x.digest_key, x.member_id) AS member_key,
	   concat(x.merchant_id, '-', coalesce(x.staff_id, 0)) AS staff_key, coalesce(x.till_id::text, x.merchant_id || '-0') AS api_key_key, x.posted_on,
	   x.sales::numeric AS sales, x.money_sold, x.points_issued, x.first_at, x.last_at,
	   format('%s sales of one member at one till in a day: looked at from %s on', x.sales, x.same_member_sales) AS reason
FROM loyalty_internal.fraud_same_member x;
COMMENT ON VIEW loyalty_report.fraud_same_member IS 'Members with many sales at one till in a day: a cashier who collects points for tickets of others. A till is a member of staff or, where none is named, an API key; sales of neither are in no row. Sales that were refunded since count.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.member_key IS 'The member.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.staff_key IS 'The member of staff.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.api_key_key IS 'The API key, where no member of staff was named; with one, that of none.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.posted_on IS 'The day, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.sales IS 'How many sales.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.money_sold IS 'Money of the sales.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.points_issued IS 'Points they earned, those not available yet included.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.first_at IS 'When the first was.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.last_at IS 'When the last was.';
COMMENT ON COLUMN loyalty_report.fraud_same_member.reason IS 'Why it is here.';

-- --- who corrects more than others -------------------------------------------------------

-- The median of the others is found in the list of all, without the place of one's own:
-- at the middle, or one further.  What is there is the same for all of a month, and found
-- once: who looked it up for each would read the list again for each.
CREATE VIEW loyalty_internal.fraud_corrections AS
SELECT r.merchant_id, r.staff_id, r.month, r.corrections, r.refunds, r.sales, r.points, r.share, r.n - 1 AS colleagues, c.median
FROM (SELECT p.*, max(p.share) FILTER (WHERE p.place = p.n / 2) OVER m AS low, max(p.share) FILTER (WHERE p.place = p.n / 2 + 1) OVER m AS middle, max(p.share) FILTER (WHERE p.place = p.n / 2 + 2) OVER m AS high
	  FROM (SELECT s.*, count(*) OVER o AS n, row_number() OVER o AS place
			FROM (SELECT t.merchant_id, t.correction_entries, t.correction_factor, e.staff_id, date_trunc('month', e.posted_on::timestamp)::date AS month,
						 count(*) FILTER (WHERE e.kind IN (4, 10)) AS corrections, count(*) FILTER (WHERE e.kind = 10) AS refunds,
						 count(*) FILTER (WHERE e.kind = 1) AS sales, coalesce(sum(e.amount::numeric) FILTER (WHERE e.kind IN (4, 10)), 0) AS points,
						 count(*) FILTER (WHERE e.kind IN (4, 10))::numeric / greatest(1, count(*) FILTER (WHERE e.kind = 1)) AS share
				  FROM loyalty_internal.report_entry e
				  JOIN loyalty_internal.report_fraud t ON t.merchant_id = e.merchant_id
				  WHERE e.staff_id IS NOT NULL AND e.entry_id >= loyalty_internal.looked_from()
				  GROUP BY t.merchant_id, t.correction_entries, t.correction_factor, e.staff_id, 5) s
			WINDOW o AS (PARTITION BY s.merchant_id, s.month ORDER BY s.share, s.staff_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) p
	  WINDOW m AS (PARTITION BY p.merchant_id, p.month)) r
CROSS JOIN LATERAL (SELECT (CASE WHEN r.place > r.n / 2 THEN r.low ELSE r.middle END
							+ CASE WHEN r.n % 2 = 0 THEN CASE WHEN r.place > r.n / 2 THEN r.low ELSE r.middle END
								   WHEN r.place > r.n / 2 + 1 THEN r.middle ELSE r.high END) / 2 AS median) c
WHERE r.n > 1 AND r.corrections >= r.correction_entries AND r.share > r.correction_factor * c.median;
COMMENT ON VIEW loyalty_internal.fraud_corrections IS 'What loyalty_report.fraud_corrections shows.';

CREATE VIEW loyalty_report.fraud_corrections WITH (security_barrier) AS
SELECT x.merchant_id::text AS merchant_key, concat(x.merchant_id, '-', x.staff_id) AS staff_key, x.month AS month_starts_on, x.corrections::numeric AS corrections, x.refunds::numeric AS refunds,
	   (x.corrections - x.refunds)::numeric AS adjustments, x.sales::numeric AS sales, x.points, x.share, x.median AS colleagues_share, x.colleagues::numeric AS colleagues,
	   format('%s corrections with %s sales, %s for each; half of %s colleagues have %s or fewer', x.corrections, x.sales, round(x.share, 2), x.colleagues, round(x.median, 2)) AS reason
FROM loyalty_internal.fraud_corrections x;
COMMENT ON VIEW loyalty_report.fraud_corrections IS 'Members of staff with many more corrections, for each of their sales, than their colleagues: whose share exceeds the median of the others of that month, times a factor. Who has no colleague is compared with nobody, and not here. All programs of the merchant together.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.staff_key IS 'The member of staff who corrected.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.month_starts_on IS 'The first day of the month, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.corrections IS 'Their refunds and adjustments.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.refunds IS 'How many reverse entries.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.adjustments IS 'How many adjust entries.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.sales IS 'How many sales they had.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.points IS 'What the corrections changed of balances, with its sign.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.share IS 'Corrections for each sale; with no sale, how many corrections.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.colleagues_share IS 'The median of that of the colleagues: half of them have as much or less.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.colleagues IS 'How many others posted anything in that month.';
COMMENT ON COLUMN loyalty_report.fraud_corrections.reason IS 'Why it is here.';

-- --- sold, and taken back at once ------------------------------------------------------------

CREATE VIEW loyalty_internal.fraud_quick_reversal AS
SELECT q.*, coalesce(s.points, 0) AS points_used_between
FROM (SELECT t.merchant_id, t.digest_key, e.entry_id, e.program_id, e.member_id, e.staff_id, e.branch_id, e.account_id, e.entry_no, e.posted_at, e.posted_on,
			 f.entry_id AS sale_id, f.entry_no AS sale_no, f.posted_at AS sold_at, extract(epoch FROM e.posted_at - f.posted_at) / 60 AS minutes,
			 coalesce(f.money::numeric, 0) AS money_sold, f.amount::numeric + coalesce(f.reserved::numeric, 0) AS points_issued, r.points AS points_reversed
	  FROM loyalty_internal.report_entry e
	  JOIN loyalty_internal.report_fraud t ON t.merchant_id = e.merchant_id
	  JOIN loyalty_internal.visible_entry f ON f.merchant_id = e.merchant_id AND f.entry_id = e.origin_entry_id
	  JOIN (SELECT x.merchant_id, x.entry_id, x.reversed_by, x.amount::numeric AS points FROM loyalty_internal.visible_reversal x) r
		ON r.merchant_id = e.merchant_id AND r.entry_id = e.origin_entry_id AND r.reversed_by = e.entry_id
	  WHERE e.kind = 10 AND f.kind = 1 AND e.entry_id >= loyalty_internal.looked_from() AND e.posted_at - f.posted_at <= t.reversal_minutes::double precision * interval '1 minute') q
LEFT JOIN (SELECT a.merchant_id, a.entry_id, sum(-b.amount::numeric - coalesce(b.reserved::numeric, 0)) AS points
		   FROM loyalty_internal.visible_entry a
		   JOIN loyalty_internal.report_fraud t ON t.merchant_id = a.merchant_id
		   JOIN loyalty_internal.visible_entry f ON f.merchant_id = a.merchant_id AND f.entry_id = a.origin_entry_id
		   JOIN loyalty_internal.visible_entry b ON b.merchant_id = a.merchant_id AND b.account_id = a.account_id AND b.entry_no > f.entry_no AND b.entry_no < a.entry_no
		   WHERE a.kind = 10 AND f.kind = 1 AND a.entry_id >= loyalty_internal.looked_from() AND (b.kind IN (3, 7) OR b.kind = 11 AND b.amount OPERATOR(loyalty.<) '0'::loyalty.points) AND a.posted_at - f.posted_at <= t.reversal_minutes::double precision * interval '1 minute'
		   GROUP BY a.merchant_id, a.entry_id) s ON s.merchant_id = q.merchant_id AND s.entry_id = q.entry_id;
COMMENT ON VIEW loyalty_internal.fraud_quick_reversal IS 'What loyalty_report.fraud_quick_reversal shows.';

CREATE VIEW loyalty_report.fraud_quick_reversal WITH (security_barrier) AS
SELECT q.entry_id::text AS entry_key, q.merchant_id::text AS merchant_key, q.program_id::text AS program_key, loyalty_internal.pseudonym(q.digest_key, q.member_id) AS member_key,
	   q.sale_id::text AS sale_entry_key, concat(q.merchant_id, '-', coalesce(q.staff_id, 0)) AS staff_key, coalesce(q.branch_id::text, q.merchant_id || '-0') AS branch_key,
	   q.posted_at, q.posted_on, q.sold_at, q.minutes, q.money_sold, q.points_issued, q.points_reversed, q.points_used_between,
	   format('refunded %s minutes after the sale; %s', round(q.minutes, 1),
			  CASE WHEN q.points_used_between > 0 THEN format('%s points had been spent or passed on in between', trim_scale(q.points_used_between)) ELSE 'no points had been spent in between' END) AS reason
FROM loyalty_internal.fraud_quick_reversal q;
COMMENT ON VIEW loyalty_report.fraud_quick_reversal IS 'Refunds within minutes of their sale, and what the account spent or passed on to others in between.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.entry_key IS 'The entry of the refund.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.member_key IS 'The member.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.sale_entry_key IS 'The entry of the sale.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.staff_key IS 'The member of staff who refunded.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.branch_key IS 'The branch where that was.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.posted_at IS 'When it was refunded.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.posted_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.sold_at IS 'When it was sold.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.minutes IS 'How many minutes were between the two.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.money_sold IS 'Money of the sale, of all of it.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.points_issued IS 'Points it earned.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.points_reversed IS 'How many of them this refund reversed.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.points_used_between IS 'Points of the account that were spent, or transferred to another, between the two.';
COMMENT ON COLUMN loyalty_report.fraud_quick_reversal.reason IS 'Why it is here.';

-- --- when tills are closed ---------------------------------------------------------------------

CREATE VIEW loyalty_internal.fraud_outside_hours AS
SELECT t.merchant_id, t.opening_hour, t.closing_hour, e.program_id, e.staff_id, e.branch_id, e.posted_on, count(*) AS entries, sum(e.amount::numeric) AS points, min(e.posted_at) AS first_at, max(e.posted_at) AS last_at
FROM loyalty_internal.report_entry e
JOIN loyalty_internal.report_fraud t ON t.merchant_id = e.merchant_id
CROSS JOIN LATERAL (SELECT extract(hour FROM e.posted_at AT TIME ZONE e.time_zone) AS hour) h
WHERE e.staff_id IS NOT NULL AND e.entry_id >= loyalty_internal.looked_from()
  AND CASE WHEN t.opening_hour < t.closing_hour THEN h.hour < t.opening_hour OR h.hour >= t.closing_hour ELSE h.hour >= t.closing_hour AND h.hour < t.opening_hour END
GROUP BY t.merchant_id, t.opening_hour, t.closing_hour, e.program_id, e.staff_id, e.branch_id, e.posted_on;
COMMENT ON VIEW loyalty_internal.fraud_outside_hours IS 'What loyalty_report.fraud_outside_hours shows.';

CREATE VIEW loyalty_report.fraud_outside_hours WITH (security_barrier) AS
SELECT x.merchant_id::text AS merchant_key, x.program_id::text AS program_key, concat(x.merchant_id, '-', x.staff_id) AS staff_key, coalesce(x.branch_id::text, x.merchant_id || '-0') AS branch_key,
	   x.posted_on, x.entries::numeric AS entries, x.points, x.first_at, x.last_at,
	   format('%s entries while tills are closed, from %s to %s', x.entries, to_char(x.closing_hour, 'FM00:"00"'), to_char(x.opening_hour, 'FM00:"00"')) AS reason
FROM loyalty_internal.fraud_outside_hours x;
COMMENT ON VIEW loyalty_report.fraud_outside_hours IS 'What members of staff posted when tills are closed, day by day, by the hour in the time zone of the program. What no member of staff did, such as orders on the web, is not here.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.staff_key IS 'The member of staff.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.branch_key IS 'The branch.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.posted_on IS 'The day, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.entries IS 'How many entries, of all kinds, while tills are closed.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.points IS 'What they changed of balances, with its sign.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.first_at IS 'When the first was.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.last_at IS 'When the last was.';
COMMENT ON COLUMN loyalty_report.fraud_outside_hours.reason IS 'Why it is here.';

-- --- bursts ------------------------------------------------------------------------------------

-- A call that is the last of so many within so few seconds is crowded; those whose
-- windows meet are one burst.
CREATE VIEW loyalty_internal.fraud_burst AS
SELECT b.merchant_id, b.actor_id, b.burst_calls, b.burst_seconds, min(b.since) AS first_at, max(b.posted_at) AS last_at,
	   max(b.n) - min(b.n) + b.burst_calls AS calls, max(b.entries_until) - min(b.entries_before) AS entries
FROM (SELECT d.*, count(*) FILTER (WHERE d.begins) OVER (PARTITION BY d.merchant_id, d.actor_id ORDER BY d.posted_at) AS burst
	  FROM (SELECT w.*, coalesce(w.since > lag(w.posted_at) OVER (PARTITION BY w.merchant_id, w.actor_id ORDER BY w.posted_at), true) AS begins
			FROM (SELECT k.*, lag(k.posted_at, k.burst_calls::integer - 1) OVER o AS since, coalesce(lag(k.entries_until, k.burst_calls::integer) OVER o, 0) AS entries_before
				  FROM (SELECT c.*, row_number() OVER o AS n, sum(c.entries) OVER o AS entries_until
						FROM (SELECT t.merchant_id, t.burst_calls, t.burst_seconds, e.actor_id, e.posted_at, count(*) AS entries
							  FROM loyalty_internal.visible_entry e
							  JOIN loyalty_internal.report_fraud t ON t.merchant_id = e.merchant_id
							  WHERE e.actor_id > 0 AND e.entry_id >= loyalty_internal.looked_from()
							  GROUP BY t.merchant_id, t.burst_calls, t.burst_seconds, e.actor_id, e.posted_at) c
						WINDOW o AS (PARTITION BY c.merchant_id, c.actor_id ORDER BY c.posted_at)) k
				  WINDOW o AS (PARTITION BY k.merchant_id, k.actor_id ORDER BY k.posted_at)) w
			WHERE w.posted_at - w.since <= w.burst_seconds::double precision * interval '1 second') d) b
GROUP BY b.merchant_id, b.actor_id, b.burst, b.burst_calls, b.burst_seconds;
COMMENT ON VIEW loyalty_internal.fraud_burst IS 'What loyalty_report.fraud_burst shows.';

CREATE VIEW loyalty_report.fraud_burst WITH (security_barrier) AS
SELECT x.merchant_id::text AS merchant_key, x.actor_id::text AS api_key_key, x.first_at, x.last_at, x.calls::numeric AS calls, x.entries,
	   format('%s calls with one API key in %s seconds: looked at from %s within %s seconds on', x.calls, round(extract(epoch FROM x.last_at - x.first_at), 1), x.burst_calls, x.burst_seconds) AS reason
FROM loyalty_internal.fraud_burst x;
COMMENT ON VIEW loyalty_report.fraud_burst IS 'Times at which one API key posted more, and faster, than people do. Entries of one moment are one call: a batch is no burst. Which device sent something is not kept: give each an API key of its own.';
COMMENT ON COLUMN loyalty_report.fraud_burst.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fraud_burst.api_key_key IS 'The API key.';
COMMENT ON COLUMN loyalty_report.fraud_burst.first_at IS 'When it began.';
COMMENT ON COLUMN loyalty_report.fraud_burst.last_at IS 'When it ended.';
COMMENT ON COLUMN loyalty_report.fraud_burst.calls IS 'How many calls it was.';
COMMENT ON COLUMN loyalty_report.fraud_burst.entries IS 'How many entries they posted.';
COMMENT ON COLUMN loyalty_report.fraud_burst.reason IS 'Why it is here.';

-- --- how many there are -----------------------------------------------------------------------

CREATE TABLE loyalty_internal.fraud_count (
	merchant_id	bigint		NOT NULL REFERENCES loyalty_internal.merchant,
	look		text		COLLATE "C" NOT NULL,
	cases		bigint		NOT NULL,
	counted_at	timestamptz	NOT NULL,
	PRIMARY KEY (merchant_id, look)
);
COMMENT ON TABLE loyalty_internal.fraud_count IS 'How many rows the views loyalty_report.fraud_… have of the last 30 days, for the dashboard: counted by loyalty.maintain().';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.fraud_count TO loyalty_engine;

CREATE FUNCTION loyalty_internal.count_fraud(merchant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET loyalty_report.fraud_since = '' AS $$
DECLARE
	merchant CONSTANT bigint := count_fraud.merchant_id;
BEGIN
	-- until the end of this function, as it has that setting itself
	PERFORM set_config('loyalty_report.fraud_since', (now() - interval '30 days')::text, true);
	INSERT INTO loyalty_internal.fraud_count AS f (merchant_id, look, cases, counted_at)
	SELECT merchant, c.look, c.cases, now() FROM (
		SELECT 'same_member', count(*) FROM loyalty_internal.fraud_same_member x WHERE x.merchant_id = merchant
		UNION ALL SELECT 'corrections', count(*) FROM loyalty_internal.fraud_corrections x WHERE x.merchant_id = merchant
		UNION ALL SELECT 'quick_reversal', count(*) FROM loyalty_internal.fraud_quick_reversal x WHERE x.merchant_id = merchant
		UNION ALL SELECT 'outside_hours', count(*) FROM loyalty_internal.fraud_outside_hours x WHERE x.merchant_id = merchant
		UNION ALL SELECT 'burst', count(*) FROM loyalty_internal.fraud_burst x WHERE x.merchant_id = merchant) c (look, cases)
	ON CONFLICT ON CONSTRAINT fraud_count_pkey DO UPDATE SET cases = excluded.cases, counted_at = excluded.counted_at;
END
$$;
COMMENT ON FUNCTION loyalty_internal.count_fraud(bigint) IS 'Part of loyalty.maintain(): counts what there is to look at of a merchant, in the last 30 days.';

-- Marketing and operations: who buys, who comes back, what they are worth, and where.
--
-- All measures are of the ledger, as loyalty_report.fact_entry has it: a measure
-- of that name here is the sum of what is there.  What was taken back is told
-- beside what was issued, and never taken off it.  An active member had a sale or
-- spent points; points that are given make nobody active.

-- A refund says its money, or how many points it is; of a whole sale nothing is left.
CREATE VIEW loyalty_internal.report_sale AS
SELECT s.*, s.reversed OR s.money_refunded > 0 AND s.money_refunded >= s.money AS refunded
FROM (
	SELECT e.merchant_id, e.entry_id, e.program_id, e.member_id, e.staff_id, e.branch_id, e.actor_id, e.posted_at, e.posted_on, n.money, n.points, coalesce(r.points, 0) AS points_reversed,
		   coalesce(r.points >= n.points AND (n.points > 0 OR r.untold > 0), false) AS reversed,
		   CASE WHEN r.untold > 0 AND r.points >= n.points THEN n.money
				ELSE coalesce(r.money, 0) + CASE WHEN n.points > 0 AND r.points_untold > 0 THEN n.money * r.points_untold / n.points ELSE 0 END END AS money_refunded
	FROM loyalty_internal.report_entry e
	CROSS JOIN LATERAL (SELECT coalesce(e.money::numeric, 0) AS money, e.amount::numeric + coalesce(e.reserved::numeric, 0) AS points) n
	LEFT JOIN (SELECT x.merchant_id, x.entry_id, sum(x.amount::numeric) AS points, sum(x.money::numeric) AS money,
					  sum(x.amount::numeric) FILTER (WHERE x.money IS NULL) AS points_untold, count(*) FILTER (WHERE x.money IS NULL) AS untold
			   FROM loyalty_internal.visible_reversal x
			   JOIN loyalty_internal.visible_merchant v ON v.merchant_id = x.merchant_id
			   GROUP BY x.merchant_id, x.entry_id) r ON r.merchant_id = e.merchant_id AND r.entry_id = e.entry_id
	WHERE e.kind = 1) s;
COMMENT ON VIEW loyalty_internal.report_sale IS 'Sales, and what of them was refunded since. reversed: all its points are taken back. money_refunded: what refunds said, of those that were told in points the share of the points, and all of it once the last of the points is told so. refunded: nothing is left of it.';

CREATE VIEW loyalty_internal.report_measure AS
SELECT e.merchant_id, e.program_id, e.member_id, e.staff_id, e.branch_id, e.posted_at, e.posted_on, e.kind, e.amount::numeric AS points,
	   CASE WHEN e.kind = 1 THEN e.money::numeric END AS money_sold,
	   CASE WHEN e.kind IN (1, 2) THEN n.points END AS points_issued,
	   CASE WHEN e.kind IN (3, 7) THEN -n.points END AS points_redeemed,
	   CASE WHEN e.kind = 10 AND e.origin_kind IN (1, 2) THEN -n.points END AS points_taken_back,
	   CASE WHEN e.kind = 10 AND e.origin_kind IN (3, 7) THEN n.points END AS points_given_back,
	   CASE WHEN e.kind = 5 THEN -e.amount::numeric END AS points_expired,
	   CASE WHEN e.kind IN (1, 3, 7) THEN e.member_id END AS active_id
FROM loyalty_internal.report_entry e
CROSS JOIN LATERAL (SELECT e.amount::numeric + coalesce(e.reserved::numeric, 0) AS points) n;
COMMENT ON VIEW loyalty_internal.report_measure IS 'The ledger, with a column for each measure of loyalty_report. active_id: the member, of entries that make one active.';
COMMENT ON COLUMN loyalty_internal.report_measure.kind IS 'Kind of entry; loyalty.entry_kind() gives its name.';

CREATE VIEW loyalty_report.fact_sale WITH (security_barrier) AS
SELECT s.entry_id::text AS entry_key, t.merchant_id::text AS merchant_key, s.program_id::text AS program_key, loyalty_internal.pseudonym(t.digest_key, s.member_id) AS member_key,
	   concat(s.merchant_id, '-', coalesce(s.staff_id, 0)) AS staff_key, coalesce(s.branch_id::text, s.merchant_id || '-0') AS branch_key,
	   coalesce(nullif(greatest(s.actor_id, 0), 0)::text, s.merchant_id || '-0') AS api_key_key, s.posted_at, s.posted_on, s.money AS money_sold, s.money_refunded,
	   s.points AS points_issued, s.points_reversed AS points_taken_back,
	   s.refunded AS is_refunded
FROM loyalty_internal.report_sale s
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = s.merchant_id;
COMMENT ON VIEW loyalty_report.fact_sale IS 'The sales, and what of them was refunded since: the accrue entries of fact_entry.';
COMMENT ON COLUMN loyalty_report.fact_sale.entry_key IS 'The entry of the sale.';
COMMENT ON COLUMN loyalty_report.fact_sale.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_sale.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_sale.member_key IS 'The member who bought.';
COMMENT ON COLUMN loyalty_report.fact_sale.staff_key IS 'The member of staff who sold.';
COMMENT ON COLUMN loyalty_report.fact_sale.branch_key IS 'The branch where it happened.';
COMMENT ON COLUMN loyalty_report.fact_sale.api_key_key IS 'The API key with which it came.';
COMMENT ON COLUMN loyalty_report.fact_sale.posted_at IS 'When it counts.';
COMMENT ON COLUMN loyalty_report.fact_sale.posted_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_sale.money_sold IS 'Money of the sale; 0: none was told.';
COMMENT ON COLUMN loyalty_report.fact_sale.money_refunded IS 'Money of it that was refunded until now: what refunds said, of a refund that was told in points or in full the same share of the money as of the points, and all of it when that took the last of them.';
COMMENT ON COLUMN loyalty_report.fact_sale.points_issued IS 'Points it earned, those not available yet included.';
COMMENT ON COLUMN loyalty_report.fact_sale.points_taken_back IS 'Points of it that were reversed until now.';
COMMENT ON COLUMN loyalty_report.fact_sale.is_refunded IS 'Whether nothing is left of it: all its points, or all its money, were reversed.';

-- --- days and weeks ------------------------------------------------------------------

CREATE VIEW loyalty_report.fact_active_day WITH (security_barrier) AS
SELECT t.merchant_id::text AS merchant_key, e.program_id::text AS program_key, e.posted_on, count(*) FILTER (WHERE e.kind = 1)::numeric AS sales, coalesce(sum(e.money_sold), 0) AS money_sold,
	   coalesce(sum(e.points_issued), 0) AS points_issued, coalesce(sum(e.points_taken_back), 0) AS points_taken_back,
	   coalesce(sum(e.points_redeemed), 0) AS points_redeemed, coalesce(sum(e.points_given_back), 0) AS points_given_back,
	   (coalesce(sum(e.points_redeemed), 0) - coalesce(sum(e.points_given_back), 0)) / nullif(coalesce(sum(e.points_issued), 0) - coalesce(sum(e.points_taken_back), 0), 0) AS redemption_rate,
	   count(DISTINCT e.active_id)::numeric AS active_members
FROM loyalty_internal.report_measure e
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = e.merchant_id
GROUP BY t.merchant_id, e.program_id, e.posted_on;
COMMENT ON VIEW loyalty_report.fact_active_day IS 'What programs do, day by day, of days on which anything was posted.';
COMMENT ON COLUMN loyalty_report.fact_active_day.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_active_day.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_active_day.posted_on IS 'The day, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_active_day.sales IS 'How many sales, those too that were refunded since.';
COMMENT ON COLUMN loyalty_report.fact_active_day.money_sold IS 'Money of the sales.';
COMMENT ON COLUMN loyalty_report.fact_active_day.points_issued IS 'Points that were earned or given, those not available yet included.';
COMMENT ON COLUMN loyalty_report.fact_active_day.points_taken_back IS 'Points that refunds of that day took of what had been earned or given, then or before.';
COMMENT ON COLUMN loyalty_report.fact_active_day.points_redeemed IS 'Points that were spent, those of holds that were captured included.';
COMMENT ON COLUMN loyalty_report.fact_active_day.points_given_back IS 'Points that refunds of that day gave back of what had been spent, then or before.';
COMMENT ON COLUMN loyalty_report.fact_active_day.redemption_rate IS 'Points spent less those given back, for each point issued less those taken back, of the same day: of 0.8, four fifths. It may exceed 1, where older points are spent. NULL: none was issued.';
COMMENT ON COLUMN loyalty_report.fact_active_day.active_members IS 'How many members had a sale or spent points. Not to be added up: who comes twice would be two; fact_active_week counts weeks.';

CREATE VIEW loyalty_report.fact_active_week WITH (security_barrier) AS
SELECT t.merchant_id::text AS merchant_key, e.program_id::text AS program_key, w.week_starts_on, count(*) FILTER (WHERE e.kind = 1)::numeric AS sales, coalesce(sum(e.money_sold), 0) AS money_sold,
	   coalesce(sum(e.points_issued), 0) AS points_issued, coalesce(sum(e.points_taken_back), 0) AS points_taken_back,
	   coalesce(sum(e.points_redeemed), 0) AS points_redeemed, coalesce(sum(e.points_given_back), 0) AS points_given_back,
	   (coalesce(sum(e.points_redeemed), 0) - coalesce(sum(e.points_given_back), 0)) / nullif(coalesce(sum(e.points_issued), 0) - coalesce(sum(e.points_taken_back), 0), 0) AS redemption_rate,
	   count(DISTINCT e.active_id)::numeric AS active_members
FROM loyalty_internal.report_measure e
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = e.merchant_id
CROSS JOIN LATERAL (SELECT e.posted_on - extract(dow FROM e.posted_on)::integer AS week_starts_on) w
GROUP BY t.merchant_id, e.program_id, w.week_starts_on;
COMMENT ON VIEW loyalty_report.fact_active_week IS 'The same week by week, from Sunday to Saturday, as dim_date has them.';
COMMENT ON COLUMN loyalty_report.fact_active_week.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_active_week.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_active_week.week_starts_on IS 'The Sunday on which the week begins, as calendars in Mexico have it.';
COMMENT ON COLUMN loyalty_report.fact_active_week.sales IS 'How many sales, those too that were refunded since.';
COMMENT ON COLUMN loyalty_report.fact_active_week.money_sold IS 'Money of the sales.';
COMMENT ON COLUMN loyalty_report.fact_active_week.points_issued IS 'Points that were earned or given, those not available yet included.';
COMMENT ON COLUMN loyalty_report.fact_active_week.points_taken_back IS 'Points that refunds of that week took of what had been earned or given, then or before.';
COMMENT ON COLUMN loyalty_report.fact_active_week.points_redeemed IS 'Points that were spent, those of holds that were captured included.';
COMMENT ON COLUMN loyalty_report.fact_active_week.points_given_back IS 'Points that refunds of that week gave back of what had been spent, then or before.';
COMMENT ON COLUMN loyalty_report.fact_active_week.redemption_rate IS 'Points spent less those given back, for each point issued less those taken back, of the same week. NULL: none was issued.';
COMMENT ON COLUMN loyalty_report.fact_active_week.active_members IS 'How many members had a sale or spent points in the week.';

-- --- branches and cashiers -------------------------------------------------------------

CREATE VIEW loyalty_report.fact_branch_day WITH (security_barrier) AS
SELECT t.merchant_id::text AS merchant_key, e.program_id::text AS program_key, coalesce(e.branch_id::text, t.merchant_id || '-0') AS branch_key, e.posted_on,
	   count(*)::numeric AS entries, count(*) FILTER (WHERE e.kind = 1)::numeric AS sales, coalesce(sum(e.money_sold), 0) AS money_sold,
	   coalesce(sum(e.points_issued), 0) AS points_issued, coalesce(sum(e.points_redeemed), 0) AS points_redeemed,
	   count(*) FILTER (WHERE e.kind = 10)::numeric AS refunds, count(*) FILTER (WHERE e.kind = 4)::numeric AS adjustments,
	   count(DISTINCT e.active_id)::numeric AS active_members
FROM loyalty_internal.report_measure e
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = e.merchant_id
GROUP BY t.merchant_id, e.program_id, e.branch_id, e.posted_on;
COMMENT ON VIEW loyalty_report.fact_branch_day IS 'What branches do, day by day.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.branch_key IS 'The branch.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.posted_on IS 'The day, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.entries IS 'How many entries, of all kinds.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.sales IS 'How many sales, those too that were refunded since.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.money_sold IS 'Money of the sales.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.points_issued IS 'Points that were earned or given, those not available yet included.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.points_redeemed IS 'Points that were spent.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.refunds IS 'How many reverse entries.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.adjustments IS 'How many adjust entries: corrections of a balance.';
COMMENT ON COLUMN loyalty_report.fact_branch_day.active_members IS 'How many members had a sale or spent points there. Not to be added up.';

CREATE VIEW loyalty_report.fact_staff_day WITH (security_barrier) AS
SELECT t.merchant_id::text AS merchant_key, e.program_id::text AS program_key, concat(t.merchant_id, '-', coalesce(e.staff_id, 0)) AS staff_key,
	   coalesce(e.branch_id::text, t.merchant_id || '-0') AS branch_key, e.posted_on, min(e.posted_at) AS first_at, max(e.posted_at) AS last_at,
	   count(*)::numeric AS entries, count(*) FILTER (WHERE e.kind = 1)::numeric AS sales, coalesce(sum(e.money_sold), 0) AS money_sold,
	   coalesce(sum(e.points_issued), 0) AS points_issued, coalesce(sum(e.points_redeemed), 0) AS points_redeemed,
	   count(*) FILTER (WHERE e.kind = 10)::numeric AS refunds, count(*) FILTER (WHERE e.kind = 4)::numeric AS adjustments,
	   count(DISTINCT e.active_id)::numeric AS active_members
FROM loyalty_internal.report_measure e
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = e.merchant_id
GROUP BY t.merchant_id, e.program_id, e.staff_id, e.branch_id, e.posted_on;
COMMENT ON VIEW loyalty_report.fact_staff_day IS 'What cashiers and managers do, day by day and branch by branch; what nobody did, such as points that expired, is of (none).';
COMMENT ON COLUMN loyalty_report.fact_staff_day.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.staff_key IS 'The member of staff.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.branch_key IS 'The branch where they did it.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.posted_on IS 'The day, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.first_at IS 'When the first of it was posted.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.last_at IS 'When the last of it was.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.entries IS 'How many entries, of all kinds.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.sales IS 'How many sales, those too that were refunded since.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.money_sold IS 'Money of the sales.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.points_issued IS 'Points that were earned or given, those not available yet included.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.points_redeemed IS 'Points that were spent.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.refunds IS 'How many reverse entries.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.adjustments IS 'How many adjust entries: corrections of a balance.';
COMMENT ON COLUMN loyalty_report.fact_staff_day.active_members IS 'How many members had a sale or spent points with them. Not to be added up.';

-- --- members ---------------------------------------------------------------------------

CREATE VIEW loyalty_report.fact_member_value WITH (security_barrier) AS
SELECT e.merchant_id::text AS merchant_key, e.program_id::text AS program_key, loyalty_internal.pseudonym(e.digest_key, e.member_id) AS member_key,
	   s.first_sale_at, s.last_sale_at, coalesce(s.sales, 0)::numeric AS sales, coalesce(s.money_sold, 0) AS money_sold, coalesce(s.money_refunded, 0) AS money_refunded,
	   (s.money_sold - s.money_refunded) / nullif(s.sales, 0) AS money_per_sale,
	   e.points_issued, e.points_taken_back, e.points_redeemed, e.points_given_back, e.points_expired, e.points
FROM (SELECT t.merchant_id, t.digest_key, m.program_id, m.member_id, coalesce(sum(m.points_issued), 0) AS points_issued, coalesce(sum(m.points_taken_back), 0) AS points_taken_back,
			 coalesce(sum(m.points_redeemed), 0) AS points_redeemed, coalesce(sum(m.points_given_back), 0) AS points_given_back, coalesce(sum(m.points_expired), 0) AS points_expired, sum(m.points) AS points
	  FROM loyalty_internal.report_measure m
	  JOIN loyalty_internal.visible_merchant t ON t.merchant_id = m.merchant_id
	  GROUP BY t.merchant_id, t.digest_key, m.program_id, m.member_id) e
LEFT JOIN (SELECT x.merchant_id, x.program_id, x.member_id, min(x.posted_at) FILTER (WHERE NOT x.refunded) AS first_sale_at, max(x.posted_at) FILTER (WHERE NOT x.refunded) AS last_sale_at,
				  count(*) FILTER (WHERE NOT x.refunded) AS sales, sum(x.money) AS money_sold, sum(x.money_refunded) AS money_refunded
		   FROM loyalty_internal.report_sale x
		   JOIN loyalty_internal.visible_merchant v ON v.merchant_id = x.merchant_id
		   GROUP BY x.merchant_id, x.program_id, x.member_id) s ON s.merchant_id = e.merchant_id AND s.program_id = e.program_id AND s.member_id = e.member_id;
COMMENT ON VIEW loyalty_report.fact_member_value IS 'What each member has been worth until now, one row for each program in which anything was posted of them.';
COMMENT ON COLUMN loyalty_report.fact_member_value.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_member_value.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_member_value.member_key IS 'The member: who acted, of those who share an account, or who owned it then.';
COMMENT ON COLUMN loyalty_report.fact_member_value.first_sale_at IS 'Their first sale of which something is left; NULL: there is none.';
COMMENT ON COLUMN loyalty_report.fact_member_value.last_sale_at IS 'The last one.';
COMMENT ON COLUMN loyalty_report.fact_member_value.sales IS 'How many sales, without those of which nothing is left.';
COMMENT ON COLUMN loyalty_report.fact_member_value.money_sold IS 'Money of all their sales.';
COMMENT ON COLUMN loyalty_report.fact_member_value.money_refunded IS 'Money of them that was refunded, as fact_sale has it.';
COMMENT ON COLUMN loyalty_report.fact_member_value.money_per_sale IS 'Money sold less money refunded, for each of the sales: the average ticket. NULL: there are none.';
COMMENT ON COLUMN loyalty_report.fact_member_value.points_issued IS 'Points they earned or were given, those not available yet included.';
COMMENT ON COLUMN loyalty_report.fact_member_value.points_taken_back IS 'Points that refunds took of these.';
COMMENT ON COLUMN loyalty_report.fact_member_value.points_redeemed IS 'Points they spent.';
COMMENT ON COLUMN loyalty_report.fact_member_value.points_given_back IS 'Points that refunds gave back of these.';
COMMENT ON COLUMN loyalty_report.fact_member_value.points_expired IS 'Points of theirs that expired, as far as has been booked.';
COMMENT ON COLUMN loyalty_report.fact_member_value.points IS 'What all that came to: the changes of the balance, whoever owns the account today. The sum of all is the balance of all.';

-- Of who is blocked or was erased nobody is told when they enrolled.
CREATE VIEW loyalty_report.fact_enrolment_cohort WITH (security_barrier) AS
SELECT c.merchant_id::text AS merchant_key, c.program_id::text AS program_key, c.enrolled_in AS enrolled_month_starts_on, g.age::numeric AS age_months, c.members::numeric AS members,
	   coalesce(a.active_members, 0)::numeric AS active_members, coalesce(a.sales, 0)::numeric AS sales, coalesce(a.money_sold, 0) AS money_sold,
	   coalesce(a.points_issued, 0) AS points_issued, coalesce(a.points_redeemed, 0) AS points_redeemed
FROM (SELECT t.merchant_id, p.program_id, p.time_zone, date_trunc('month', m.subscribed_at AT TIME ZONE p.time_zone)::date AS enrolled_in, count(*) AS members
	  FROM loyalty_internal.report_member m
	  JOIN loyalty_internal.visible_merchant t ON t.merchant_id = m.merchant_id
	  JOIN loyalty_internal.visible_program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
	  WHERE m.enrolled AND NOT m.hidden
	  GROUP BY t.merchant_id, p.program_id, p.time_zone, 4) c
CROSS JOIN LATERAL (SELECT now() AT TIME ZONE c.time_zone AS today) n
CROSS JOIN LATERAL generate_series(0, greatest(0, (extract(year FROM n.today) - extract(year FROM c.enrolled_in)) * 12 + extract(month FROM n.today) - extract(month FROM c.enrolled_in))::integer) g (age)
LEFT JOIN (SELECT x.merchant_id, x.program_id, x.enrolled_in, x.age, count(DISTINCT x.active_id) AS active_members, count(*) FILTER (WHERE x.kind = 1) AS sales,
				  sum(x.money_sold) AS money_sold, sum(x.points_issued) AS points_issued, sum(x.points_redeemed) AS points_redeemed
		   FROM (SELECT v.merchant_id, b.program_id, b.enrolled_in, e.active_id, e.kind, e.money_sold, e.points_issued, e.points_redeemed,
						greatest(0, least(extract(year FROM e.posted_on) * 12 + extract(month FROM e.posted_on), b.until) - b.since)::integer AS age
				 FROM loyalty_internal.report_measure e
				 JOIN loyalty_internal.visible_merchant v ON v.merchant_id = e.merchant_id
				 JOIN (SELECT m.merchant_id, m.member_id, m.program_id, d.enrolled_in, extract(year FROM d.enrolled_in) * 12 + extract(month FROM d.enrolled_in) AS since,
							  extract(year FROM d.today) * 12 + extract(month FROM d.today) AS until
					   FROM loyalty_internal.report_member m
					   JOIN loyalty_internal.visible_program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
					   CROSS JOIN LATERAL (SELECT date_trunc('month', m.subscribed_at AT TIME ZONE p.time_zone)::date AS enrolled_in, now() AT TIME ZONE p.time_zone AS today) d
					   WHERE m.enrolled AND NOT m.hidden OFFSET 0) b ON b.merchant_id = e.merchant_id AND b.member_id = e.member_id) x
		   GROUP BY x.merchant_id, x.program_id, x.enrolled_in, x.age) a ON a.merchant_id = c.merchant_id AND a.program_id = c.program_id AND a.enrolled_in = c.enrolled_in AND a.age = g.age;
COMMENT ON VIEW loyalty_report.fact_enrolment_cohort IS 'What became of the members who enrolled in a month, month by month since. Who is blocked or was erased is in none.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.program_key IS 'The program they enrolled in.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.enrolled_month_starts_on IS 'The first day of the month in which they enrolled, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.age_months IS 'How many months later; 0: in the same, which for most of them was not a whole one. Until the current month, so far. What was posted before they enrolled is in 0, what a clock had ahead of now in the current month.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.members IS 'How many enrolled in that month, the same at each age; those who left since included.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.active_members IS 'How many of them had a sale or spent points at that age; by members, the retention.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.sales IS 'How many sales they had at that age.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.money_sold IS 'Money of these.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.points_issued IS 'Points they earned or were given at that age.';
COMMENT ON COLUMN loyalty_report.fact_enrolment_cohort.points_redeemed IS 'Points they spent at that age.';

CREATE FUNCTION loyalty_report.rfm(within_days numeric DEFAULT 365, recency_cuts numeric[] DEFAULT '{30,60,120,240}', frequency_cuts numeric[] DEFAULT '{2,4,8,16}', money_cuts numeric[] DEFAULT '{500,1000,2500,5000}')
RETURNS TABLE (merchant_key text, program_key text, member_key text, last_sale_on date, days_since numeric, sales numeric, money numeric, recency numeric, frequency numeric, monetary numeric, cell text)
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH bought AS (
		SELECT s.merchant_key, s.program_key, s.member_key, max(s.posted_on) AS last_sale_on, (n.today - max(s.posted_on))::numeric AS days_since, count(*)::numeric AS sales, sum(s.money_sold - s.money_refunded) AS money
		FROM loyalty_report.fact_sale s
		JOIN loyalty_report.dim_program p ON p.program_key = s.program_key
		CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE p.time_zone)::date AS today) n
		WHERE NOT s.is_refunded AND n.today - s.posted_on < rfm.within_days
		GROUP BY s.merchant_key, s.program_key, s.member_key, n.today
	), scored AS (
		SELECT b.*, 1 + (SELECT count(*) FROM unnest(rfm.recency_cuts) c (cut) WHERE b.days_since < c.cut)::numeric AS recency,
			   1 + (SELECT count(*) FROM unnest(rfm.frequency_cuts) c (cut) WHERE b.sales >= c.cut)::numeric AS frequency,
			   1 + (SELECT count(*) FROM unnest(rfm.money_cuts) c (cut) WHERE b.money >= c.cut)::numeric AS monetary
		FROM bought b)
	SELECT s.merchant_key, s.program_key, s.member_key, s.last_sale_on, s.days_since, s.sales, s.money, s.recency, s.frequency, s.monetary, concat_ws('-', s.recency, s.frequency, s.monetary)
	FROM scored s;
END;
COMMENT ON FUNCTION loyalty_report.rfm(numeric, numeric[], numeric[], numeric[]) IS
'Recency, frequency and money of the members who had a sale within the last within_days days, today included, in the time zone of the program; without sales of which nothing is left. days_since: days since the last sale; sales, money: how many, and money sold less refunded, within that time. A score is 1, and 1 more for each cut that is passed, in any order: recency for those that are more than days_since, frequency for those that sales reach, monetary for those that money reaches. So with four cuts each is 1 (the worst) to 5. cell: the three, as 5-3-4.';

-- --- ranks -----------------------------------------------------------------------------

CREATE FUNCTION loyalty_internal.rank_threshold(merchant_id bigint, program_id bigint, rank text) RETURNS numeric
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN rank_threshold.rank = '' THEN -1 ELSE coalesce(
		(SELECT r.from_points::numeric FROM loyalty_internal.program p
		 JOIN loyalty_internal.rank_range r ON r.merchant_id = p.merchant_id AND r.range_group = p.range_group
		 WHERE p.merchant_id = rank_threshold.merchant_id AND p.program_id = rank_threshold.program_id AND r.rank = rank_threshold.rank COLLATE "C"),
		(SELECT h.from_points::numeric FROM loyalty_internal.rank_past h
		 WHERE h.merchant_id = rank_threshold.merchant_id AND h.program_id = rank_threshold.program_id AND h.rank = rank_threshold.rank COLLATE "C" ORDER BY h.since DESC LIMIT 1), 0) END;
END;
COMMENT ON FUNCTION loyalty_internal.rank_threshold(bigint, bigint, text) IS 'Part of loyalty_report.rank_moves(): from how many points on a rank is held, or was when the program had it last; -1: of no rank.';

-- Months are cut to those that there are before anything is computed of them.
CREATE FUNCTION loyalty_internal.rank_moves(merchants bigint[], first_month date, last_month date)
RETURNS TABLE (merchant_id bigint, program_id bigint, member_key text, month date, rank_before text, rank_after text, rise numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
BEGIN ATOMIC
	SELECT r.merchant_id, r.program_id, loyalty_internal.pseudonym(t.digest_key, r.member_id), r.month, r.rank_before, r.rank_after,
		   loyalty_internal.rank_threshold(r.merchant_id, r.program_id, r.rank_after) - loyalty_internal.rank_threshold(r.merchant_id, r.program_id, r.rank_before)
	FROM (SELECT m.merchant_id, m.program_id, m.member_id, g.month::date AS month,
				 loyalty.rank_at(m.merchant_id, coalesce(m.shares_account_id, m.member_id), b.begins_at) AS rank_before,
				 loyalty.rank_at(m.merchant_id, coalesce(m.shares_account_id, m.member_id), b.ends_at) AS rank_after
		  FROM loyalty_internal.report_member m
		  JOIN loyalty_internal.program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id
		  CROSS JOIN LATERAL (SELECT (statement_timestamp() AT TIME ZONE p.time_zone)::date AS today, (m.subscribed_at AT TIME ZONE p.time_zone)::date AS enrolled_on) n
		  CROSS JOIN LATERAL generate_series(
			date_trunc('month', greatest(least(coalesce(rank_moves.first_month, n.today), n.today + 31), n.enrolled_on)::timestamp),
			least(coalesce(rank_moves.last_month, n.today), n.today)::timestamp, '1 month') g (month)
		  CROSS JOIN LATERAL (SELECT greatest(g.month AT TIME ZONE p.time_zone, m.subscribed_at) AS begins_at,
									 least((g.month + interval '1 month') AT TIME ZONE p.time_zone, statement_timestamp()) AS ends_at) b
		  WHERE m.merchant_id = ANY (merchants) AND m.enrolled AND NOT m.hidden
			AND EXISTS (SELECT FROM loyalty_internal.rank_past h WHERE h.merchant_id = m.merchant_id AND h.program_id = m.program_id AND h.rank <> '')) r
	JOIN loyalty_internal.merchant t ON t.merchant_id = r.merchant_id
	WHERE r.rank_before <> r.rank_after;
END;
COMMENT ON FUNCTION loyalty_internal.rank_moves(bigint[], date, date) IS 'Part of loyalty_report.rank_moves(): members whose rank at the end of a month is not that of its beginning. rise: how many points more the new one asks for.';

CREATE FUNCTION loyalty_report.rank_moves(first_month date DEFAULT NULL, last_month date DEFAULT NULL)
RETURNS TABLE (merchant_key text, program_key text, member_key text, month_starts_on date, rank_key_before text, rank_key_after text, direction text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT r.merchant_id::text, r.program_id::text, r.member_key, r.month, concat(r.program_id, '-', r.rank_before), concat(r.program_id, '-', r.rank_after),
		   CASE sign(r.rise) WHEN 1 THEN 'up' WHEN -1 THEN 'down' ELSE 'across' END
	FROM loyalty_internal.rank_moves(loyalty_internal.reported_merchants(current_user), rank_moves.first_month, rank_moves.last_month) r;
END;
COMMENT ON FUNCTION loyalty_report.rank_moves(date, date) IS
'Members whose rank at the end of a month, of the current one now, is another than at its beginning, or when they enrolled in it: for the months from first_month to last_month, told by any day of them (NULL: the current one). direction: up, if the new rank asks for more points than the one before, down, if it asks for fewer, across, if for as many. Exact, as loyalty.rank_at() is, by the ranks of the account that they have now: an account that several members share moves all of them. What rose and fell again within one month is not told, nor at which moment of it. Who is blocked or was erased is not in it. It asks twice for each member and month: ask for few months at a time.';

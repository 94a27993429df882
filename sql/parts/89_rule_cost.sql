-- The cost of rules, in reports: what each gave, and what it was worth.
--
-- What of the parts of a sale a refund took back follows from the points of it that
-- are reversed: of the first parts together, in the order of the rules, as much as is
-- in proportion, to the ten-thousandth that points have; of a part, what is more than
-- of those before it.  So the parts of what is reversed sum exactly to it.

CREATE VIEW loyalty_internal.report_rule_award AS
SELECT e.merchant_id, e.entry_id, a.program_id, e.posted_at, e.rules, coalesce(g.ordinal, 0) AS ordinal, coalesce(g.points, w.whole) AS points,
	   CASE WHEN v.reversed IS NULL THEN 0 WHEN g.ordinal IS NULL THEN v.reversed
			ELSE (div(g.through * v.reversed * 10000, w.whole) - div((g.through - g.points) * v.reversed * 10000, w.whole)) * 0.0001 END AS points_reversed
FROM loyalty_internal.visible_entry e
CROSS JOIN LATERAL (SELECT coalesce(e.reserved, e.amount)::numeric AS whole) w
LEFT JOIN loyalty_internal.visible_account a ON a.merchant_id = e.merchant_id AND a.account_id = e.account_id
LEFT JOIN (SELECT s.merchant_id, s.entry_id, s.ordinal, s.points::numeric AS points,
				  sum(s.points::numeric) OVER (PARTITION BY s.merchant_id, s.entry_id ORDER BY s.ordinal) AS through
		   FROM loyalty_internal.visible_entry_rule s) g ON g.merchant_id = e.merchant_id AND g.entry_id = e.entry_id
LEFT JOIN (SELECT r.merchant_id, r.entry_id, sum(r.amount::numeric) AS reversed
		   FROM loyalty_internal.visible_reversal r GROUP BY r.merchant_id, r.entry_id) v ON v.merchant_id = e.merchant_id AND v.entry_id = e.entry_id
WHERE e.kind = 1;
COMMENT ON VIEW loyalty_internal.report_rule_award IS 'What of each sale which rule gave, and the base of the program (ordinal 0), and how much of it was reversed: the parts of an entry sum to its points, and to those reversed.';

CREATE VIEW loyalty_report.fact_rule_award WITH (security_barrier) AS
SELECT w.entry_id::text AS entry_key, t.merchant_id::text AS merchant_key, w.program_id::text AS program_key,
	   w.rules::numeric AS rule_set_version, w.ordinal::numeric AS rule_number,
	   CASE WHEN w.ordinal = 0 THEN '(base)' ELSE r.name END COLLATE "default" AS rule,
	   w.posted_at, (w.posted_at AT TIME ZONE p.time_zone)::date AS posted_on,
	   w.points, w.points_reversed, w.points - w.points_reversed AS points_kept
FROM loyalty_internal.report_rule_award w
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = w.merchant_id
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = w.merchant_id AND p.program_id = w.program_id
LEFT JOIN loyalty_internal.visible_rule r ON r.merchant_id = w.merchant_id AND r.program_id = w.program_id AND r.version = w.rules AND r.ordinal = w.ordinal;
COMMENT ON VIEW loyalty_report.fact_rule_award IS 'What of each sale which rule gave, after caps and rounding: a row for each rule that gave something, and one for the base of the program. The rows of an entry sum to its points.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.entry_key IS 'The entry of the sale: its entry_id, as a text.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.rule_set_version IS 'The version of the earning rules under which it was earned; NULL: there were none.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.rule_number IS 'The ordinal of the rule in its set; 0: the base.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.rule IS 'The name of the rule; (base): what the money earns without rules, times the multiplier of the rank.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.posted_at IS 'When the sale counts.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.posted_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.points IS 'Points that the rule gave, those that were not available yet included.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.points_reversed IS 'Points of them that refunds have taken back until now, in proportion; those of an entry sum to what was reversed of it.';
COMMENT ON COLUMN loyalty_report.fact_rule_award.points_kept IS 'The others.';

CREATE VIEW loyalty_report.rule_cost WITH (security_barrier) AS
SELECT c.merchant_id::text AS merchant_key, c.program_id::text AS program_key, c.rules::numeric AS rule_set_version, c.ordinal::numeric AS rule_number,
	   CASE WHEN c.ordinal = 0 THEN '(base)' ELSE r.name END COLLATE "default" AS rule, c.posted_on,
	   c.sales::numeric AS sales, c.points, c.points_reversed, c.points - c.points_reversed AS points_kept,
	   (c.points - c.points_reversed) * v.worth AS money_kept
FROM (SELECT w.merchant_id, w.program_id, w.rules, w.ordinal, p.time_zone, (w.posted_at AT TIME ZONE p.time_zone)::date AS posted_on,
			 count(*) AS sales, sum(w.points) AS points, sum(w.points_reversed) AS points_reversed
	  FROM loyalty_internal.report_rule_award w
	  JOIN loyalty_internal.visible_merchant t ON t.merchant_id = w.merchant_id
	  LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = w.merchant_id AND p.program_id = w.program_id
	  GROUP BY 1, 2, 3, 4, 5, 6) c
LEFT JOIN loyalty_internal.visible_rule r ON r.merchant_id = c.merchant_id AND r.program_id = c.program_id AND r.version = c.rules AND r.ordinal = c.ordinal
CROSS JOIN LATERAL (SELECT loyalty_internal.point_value(c.merchant_id, c.program_id, ((c.posted_on + 1)::timestamp AT TIME ZONE c.time_zone)) AS worth OFFSET 0) v;
COMMENT ON VIEW loyalty_report.rule_cost IS 'What each rule gave on a day, by version of its set, and what that is worth: a row for each rule that gave something, and one for the base of the program. Months are sums by dim_date.';
COMMENT ON COLUMN loyalty_report.rule_cost.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.rule_cost.program_key IS 'The program.';
COMMENT ON COLUMN loyalty_report.rule_cost.rule_set_version IS 'The version of the earning rules; NULL: there were none.';
COMMENT ON COLUMN loyalty_report.rule_cost.rule_number IS 'The ordinal of the rule in its set; 0: the base.';
COMMENT ON COLUMN loyalty_report.rule_cost.rule IS 'The name of the rule; (base): what the money earns without rules, times the multiplier of the rank.';
COMMENT ON COLUMN loyalty_report.rule_cost.posted_on IS 'The day of the sales, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.rule_cost.sales IS 'Sales for which it gave something; of the base, all of which it is a part, those that earned nothing too.';
COMMENT ON COLUMN loyalty_report.rule_cost.points IS 'Points that it gave for them.';
COMMENT ON COLUMN loyalty_report.rule_cost.points_reversed IS 'Points of them that refunds have taken back until now, whenever that was.';
COMMENT ON COLUMN loyalty_report.rule_cost.points_kept IS 'The others.';
COMMENT ON COLUMN loyalty_report.rule_cost.money_kept IS 'What those are worth by the terms of the end of the day, in the currency of the program.';

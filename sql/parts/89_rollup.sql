-- The roll-up: what the ledger comes to by day, for whoever asks again and again.

CREATE VIEW loyalty_internal.report_day_line AS
SELECT e.merchant_id, e.program_id, e.posted_on, e.kind, e.origin_kind, e.staff_id, e.branch_id, e.rules, count(*) AS entries,
	   sum(e.amount::numeric) AS points, coalesce(sum(e.reserved::numeric), 0) AS reserved, coalesce(sum(e.money::numeric), 0) AS money
FROM loyalty_internal.report_entry e
GROUP BY e.merchant_id, e.program_id, e.posted_on, e.kind, e.origin_kind, e.staff_id, e.branch_id, e.rules;
COMMENT ON VIEW loyalty_internal.report_day_line IS 'The ledger by day, and by whatever else loyalty_report.fact_day asks for.';

CREATE VIEW loyalty_report.fact_day WITH (security_barrier) AS
SELECT t.merchant_id::text AS merchant_key, d.program_id::text AS program_key, coalesce(d.branch_id::text, t.merchant_id || '-0') AS branch_key,
	   concat(t.merchant_id, '-', coalesce(d.staff_id, 0)) AS staff_key, d.posted_on, loyalty.entry_kind(d.kind) AS kind, d.rules::numeric AS rule_set_version,
	   d.entries::numeric AS entries, d.points, d.reserved AS points_reserved,
	   CASE WHEN d.kind IN (1, 2) THEN d.points + d.reserved ELSE 0 END AS points_issued,
	   CASE WHEN d.kind IN (3, 7) THEN -(d.points + d.reserved) ELSE 0 END AS points_redeemed,
	   CASE WHEN d.kind = 5 THEN -d.points ELSE 0 END AS points_expired, d.money,
	   CASE WHEN d.kind = 1 THEN d.money ELSE 0 END AS money_sold,
	   CASE WHEN d.kind IN (3, 7) THEN d.money ELSE 0 END AS money_redeemed,
	   CASE WHEN d.kind = 10 AND d.origin_kind = 1 THEN d.money ELSE 0 END AS money_refunded,
	   CASE WHEN d.kind = 10 AND d.origin_kind IN (3, 7) THEN d.money ELSE 0 END AS money_unredeemed
FROM loyalty_internal.report_day_line d
JOIN loyalty_internal.report_merchant t ON t.merchant_id = d.merchant_id;
COMMENT ON VIEW loyalty_report.fact_day IS 'The sums of fact_entry by day, program, branch, member of staff, kind and rule set, for dashboards. Exact at every moment.';
COMMENT ON COLUMN loyalty_report.fact_day.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_day.program_key IS 'The program whose points they are.';
COMMENT ON COLUMN loyalty_report.fact_day.branch_key IS 'The branch where it happened, as in fact_entry.';
COMMENT ON COLUMN loyalty_report.fact_day.staff_key IS 'The member of staff who did it.';
COMMENT ON COLUMN loyalty_report.fact_day.posted_on IS 'The day, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_day.kind IS 'The kind of the entries, as in fact_entry. There may be several rows of one kind.';
COMMENT ON COLUMN loyalty_report.fact_day.rule_set_version IS 'The version of the earning rules under which the points were earned.';
COMMENT ON COLUMN loyalty_report.fact_day.entries IS 'How many entries.';
COMMENT ON COLUMN loyalty_report.fact_day.points IS 'Change of the balances: positive adds, negative takes away.';
COMMENT ON COLUMN loyalty_report.fact_day.points_reserved IS 'Change of what is held or pending, and so not in balances.';
COMMENT ON COLUMN loyalty_report.fact_day.points_issued IS 'Points earned or given, pending ones included: those of accrue and deposit.';
COMMENT ON COLUMN loyalty_report.fact_day.points_redeemed IS 'Points spent: those of redeem and capture.';
COMMENT ON COLUMN loyalty_report.fact_day.points_expired IS 'Points that expired.';
COMMENT ON COLUMN loyalty_report.fact_day.money IS 'Money that was told with them; what it means depends on the kind.';
COMMENT ON COLUMN loyalty_report.fact_day.money_sold IS 'Money of sales: that of accrue.';
COMMENT ON COLUMN loyalty_report.fact_day.money_redeemed IS 'Money that was told when points were spent: that of redeem and capture.';
COMMENT ON COLUMN loyalty_report.fact_day.money_refunded IS 'Money of sales that was refunded, where that was told in money.';
COMMENT ON COLUMN loyalty_report.fact_day.money_unredeemed IS 'Money that was told when points that had been spent were given back.';

-- Points by day
-- Points issued, redeemed and given back, day by day.
-- from: Date, required
-- program: Text

SELECT p.name AS program, d.posted_on AS day, d.sales, d.money_sold, d.points_issued, d.points_redeemed, round(d.redemption_rate, 3) AS redemption_rate, d.active_members
FROM loyalty_report.fact_active_day d
JOIN loyalty_report.dim_program p ON p.program_key = d.program_key
WHERE d.posted_on >= {{from}} [[AND p.name = {{program}}]]
ORDER BY d.posted_on, p.name

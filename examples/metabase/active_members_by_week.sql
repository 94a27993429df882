-- Active members by week
-- Members who had a sale or spent points, in weeks from Sunday on.
-- from: Date
-- program: Text

SELECT w.week_starts_on AS week, p.name AS program, w.active_members, w.sales, w.money_sold
FROM loyalty_report.fact_active_week w
JOIN loyalty_report.dim_program p ON p.program_key = w.program_key
WHERE true [[AND w.week_starts_on >= {{from}}]] [[AND p.name = {{program}}]]
ORDER BY w.week_starts_on, p.name

-- Cashiers
-- What cashiers and managers do, by their number.
-- from: Date, required
-- branch: Text

SELECT s.staff_number, s.role, b.name AS branch, sum(d.sales) AS sales, sum(d.money_sold) AS money_sold, sum(d.refunds) AS refunds, sum(d.adjustments) AS adjustments, min(d.first_at) AS first_at, max(d.last_at) AS last_at
FROM loyalty_report.fact_staff_day d
JOIN loyalty_report.dim_staff s ON s.staff_key = d.staff_key
JOIN loyalty_report.dim_branch b ON b.branch_key = d.branch_key
WHERE d.posted_on >= {{from}} [[AND b.name = {{branch}}]]
GROUP BY s.staff_number, s.role, b.name
ORDER BY money_sold DESC, s.staff_number

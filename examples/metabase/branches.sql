-- Branches
-- Which branches sell, give and redeem.
-- from: Date, required
-- until: Date

SELECT b.name AS branch, sum(d.sales) AS sales, sum(d.money_sold) AS money_sold, sum(d.points_issued) AS points_issued, sum(d.points_redeemed) AS points_redeemed, sum(d.refunds) AS refunds
FROM loyalty_report.fact_branch_day d
JOIN loyalty_report.dim_branch b ON b.branch_key = d.branch_key
WHERE d.posted_on >= {{from}} [[AND d.posted_on <= {{until}}]]
GROUP BY b.name
ORDER BY money_sold DESC, b.name

-- Best members
-- Who bought the most, less refunds, by a pseudonym.
-- program: Text

SELECT v.member_key, m.age_band, v.sales, v.money_sold - v.money_refunded AS money, round(v.money_per_sale, 2) AS average_ticket, v.first_sale_at, v.last_sale_at, v.points
FROM loyalty_report.fact_member_value v
JOIN loyalty_report.dim_member m ON m.member_key = v.member_key
JOIN loyalty_report.dim_program p ON p.program_key = v.program_key
WHERE v.sales > 0 [[AND p.name = {{program}}]]
ORDER BY money DESC, v.member_key
LIMIT 100

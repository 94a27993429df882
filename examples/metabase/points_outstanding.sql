-- Points outstanding by month
-- What members had when each month ended, and what it was worth.
-- program: Text

SELECT m.month_starts_on AS month, p.name AS program, m.opening, m.accrued, m.deposited, m.redeemed, m.expired, m.reversed, m.adjusted, m.closing, round(m.closing_money, 2) AS worth, p.currency_iso AS currency
FROM loyalty_report.fact_month m
JOIN loyalty_report.dim_program p ON p.program_key = m.program_key
WHERE true [[AND p.name = {{program}}]]
ORDER BY m.month_starts_on, p.name

-- Recency, frequency and money
-- How many members there are in each cell, from who bought lately, often and much to who did not.
-- days: Number, required
-- program: Text

SELECT r.recency, r.frequency, r.monetary, count(*) AS members, sum(r.money) AS money
FROM loyalty_report.rfm(within_days => {{days}}) r
JOIN loyalty_report.dim_program p ON p.program_key = r.program_key
WHERE true [[AND p.name = {{program}}]]
GROUP BY 1, 2, 3
ORDER BY 1 DESC, 2 DESC, 3 DESC

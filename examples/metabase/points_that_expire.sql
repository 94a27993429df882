-- Points that expire
-- By month, if nobody spends any.
-- program: Text

SELECT date_trunc('month', l.expires_on)::date AS month, p.name AS program, sum(l.points) AS points, count(DISTINCT l.member_key) AS members
FROM loyalty_report.fact_lot l
JOIN loyalty_report.dim_program p ON p.program_key = l.program_key
WHERE l.state = 'available' AND l.expires_on IS NOT NULL [[AND p.name = {{program}}]]
GROUP BY 1, 2
ORDER BY 1, 2

-- Moves of rank
-- How many members rose and fell, month by month.
-- from: Date, required
-- direction: Text (up/down/across)

SELECT m.month_starts_on AS month, b.name AS rank_before, a.name AS rank_after, m.direction, count(*) AS members
FROM loyalty_report.rank_moves({{from}}) m
JOIN loyalty_report.dim_rank b ON b.rank_key = m.rank_key_before
JOIN loyalty_report.dim_rank a ON a.rank_key = m.rank_key_after
WHERE true [[AND m.direction = {{direction}}]]
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3

-- What may be fraud
-- Each row is a reason to ask, and proves nothing.
-- from: Date, required
-- look: Text

SELECT l.day, l.look, s.staff_number, l.reason
FROM (SELECT posted_on AS day, 'many sales of one member' AS look, staff_key, reason FROM loyalty_report.fraud_same_member
	UNION ALL SELECT month_starts_on, 'more corrections than others', staff_key, reason FROM loyalty_report.fraud_corrections
	UNION ALL SELECT posted_on, 'refunded at once', staff_key, reason FROM loyalty_report.fraud_quick_reversal
	UNION ALL SELECT posted_on, 'while tills are closed', staff_key, reason FROM loyalty_report.fraud_outside_hours
	UNION ALL SELECT first_at::date, 'a burst', merchant_key || '-0', reason FROM loyalty_report.fraud_burst) l
JOIN loyalty_report.dim_staff s ON s.staff_key = l.staff_key
WHERE l.day >= {{from}} [[AND l.look = {{look}}]]
ORDER BY l.day DESC, l.look, s.staff_number

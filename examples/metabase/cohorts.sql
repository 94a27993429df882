-- Cohorts by enrolment
-- Of the members who enrolled in a month, how many come back, by how many months later.
-- program: Text
-- from: Date

SELECT c.enrolled_month_starts_on AS enrolled_in, c.age_months, sum(c.members) AS members, sum(c.active_members) AS active_members, round(sum(c.active_members) / sum(c.members), 3) AS retention, sum(c.points_issued) AS points_issued, sum(c.points_redeemed) AS points_redeemed
FROM loyalty_report.fact_enrolment_cohort c
JOIN loyalty_report.dim_program p ON p.program_key = c.program_key
WHERE true [[AND p.name = {{program}}]] [[AND c.enrolled_month_starts_on >= {{from}}]]
GROUP BY 1, 2
ORDER BY 1, 2

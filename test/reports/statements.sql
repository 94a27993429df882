-- What tools ask of the star, as they write it: a statement for each kind of
-- question, one line each, under its name.  78_reports.pl runs them.

-- Metabase: sum
SELECT SUM("loyalty_report"."fact_entry"."points") AS "sum" FROM "loyalty_report"."fact_entry"
-- Metabase: average, and a filter on a number
SELECT AVG("loyalty_report"."fact_entry"."money_sold") AS "avg" FROM "loyalty_report"."fact_entry" WHERE "loyalty_report"."fact_entry"."points" > 10.5
-- Metabase: distinct values
SELECT COUNT(DISTINCT "loyalty_report"."fact_entry"."member_key") AS "count" FROM "loyalty_report"."fact_entry"
-- Metabase: between
SELECT COUNT(*) AS "count" FROM "loyalty_report"."fact_entry" WHERE "loyalty_report"."fact_entry"."points" BETWEEN 1 AND 15.75
-- Metabase: by day in the time zone of the report
SELECT CAST(DATE_TRUNC('day', ("loyalty_report"."fact_entry"."posted_at" AT TIME ZONE 'America/Mexico_City')) AS date) AS "posted_at", SUM("loyalty_report"."fact_entry"."points") AS "sum" FROM "loyalty_report"."fact_entry" WHERE "loyalty_report"."fact_entry"."posted_at" >= DATE_TRUNC('day', (NOW() + (INTERVAL '-30 day'))) AND "loyalty_report"."fact_entry"."posted_at" < DATE_TRUNC('day', (NOW() + (INTERVAL '1 day'))) GROUP BY CAST(DATE_TRUNC('day', ("loyalty_report"."fact_entry"."posted_at" AT TIME ZONE 'America/Mexico_City')) AS date) ORDER BY CAST(DATE_TRUNC('day', ("loyalty_report"."fact_entry"."posted_at" AT TIME ZONE 'America/Mexico_City')) AS date) ASC
-- Metabase: joined to a dimension, the first ten
SELECT "Dim Branch - Branch Key"."name" AS "Dim Branch - Branch Key__name", SUM("loyalty_report"."fact_entry"."points_issued") AS "sum" FROM "loyalty_report"."fact_entry" LEFT JOIN "loyalty_report"."dim_branch" AS "Dim Branch - Branch Key" ON "loyalty_report"."fact_entry"."branch_key" = "Dim Branch - Branch Key"."branch_key" GROUP BY "Dim Branch - Branch Key"."name" ORDER BY "sum" DESC NULLS LAST, "Dim Branch - Branch Key"."name" ASC LIMIT 10
-- Metabase: contains
SELECT COUNT(*) AS "count" FROM "loyalty_report"."dim_program" WHERE (LOWER("loyalty_report"."dim_program"."name") LIKE '%monedero%')
-- Metabase: percentile
SELECT PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY "loyalty_report"."fact_entry"."points") AS "percentile", PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY "loyalty_report"."fact_entry"."points") AS "median" FROM "loyalty_report"."fact_entry"
-- Metabase: custom column
SELECT SUM(CASE WHEN "loyalty_report"."fact_entry"."kind" = 'redeem' THEN -"loyalty_report"."fact_entry"."points" ELSE 0.0 END) AS "sum", SUM(CASE WHEN "loyalty_report"."fact_entry"."points" > 0 THEN "loyalty_report"."fact_entry"."points" ELSE 0 END) AS "sum_2" FROM "loyalty_report"."fact_entry"
-- Metabase: bins
SELECT ((FLOOR((("loyalty_report"."fact_entry"."points" - -50.0) / 12.5)) * 12.5) + -50.0) AS "points", COUNT(*) AS "count" FROM "loyalty_report"."fact_entry" GROUP BY ((FLOOR((("loyalty_report"."fact_entry"."points" - -50.0) / 12.5)) * 12.5) + -50.0) ORDER BY ((FLOOR((("loyalty_report"."fact_entry"."points" - -50.0) / 12.5)) * 12.5) + -50.0) ASC
-- Metabase: what it looks at to know a table
SELECT "source"."substring1" AS "substring1", "source"."points" AS "points", "source"."posted_at" AS "posted_at" FROM (SELECT SUBSTRING("loyalty_report"."fact_entry"."kind", 1, 1234) AS "substring1", "loyalty_report"."fact_entry"."points" AS "points", "loyalty_report"."fact_entry"."posted_at" AS "posted_at" FROM "loyalty_report"."fact_entry" LIMIT 10000) AS "source" ORDER BY 1, 2, 3 LIMIT 3
-- Superset: by week, sorted by the measure
SELECT DATE_TRUNC('week', posted_at) AS posted_at, sum(points) AS "SUM(points)", COUNT(DISTINCT member_key) AS "COUNT_DISTINCT(member_key)" FROM loyalty_report.fact_entry WHERE posted_at >= TO_TIMESTAMP('2020-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND posted_at < TO_TIMESTAMP('2099-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('week', posted_at) ORDER BY "SUM(points)" DESC LIMIT 10000
-- Superset: the top series of a chart
SELECT DATE_TRUNC('month', posted_at) AS __timestamp, kind AS kind, sum(points) AS "SUM(points)" FROM loyalty_report.fact_entry JOIN (SELECT kind AS kind__, sum(points) AS mme_inner__ FROM loyalty_report.fact_entry GROUP BY kind ORDER BY mme_inner__ DESC LIMIT 5) AS anon_1 ON kind = kind__ GROUP BY DATE_TRUNC('month', posted_at), kind ORDER BY "SUM(points)" DESC LIMIT 50000
-- Superset: values of a filter, of those that look like it
SELECT DISTINCT kind AS kind FROM loyalty_report.fact_entry WHERE kind ILIKE '%re%' ORDER BY kind LIMIT 1000
-- Grafana: a time series
SELECT floor(extract(epoch from posted_at)/86400)*86400 AS "time", kind AS metric, sum(points_issued) AS issued FROM loyalty_report.fact_entry WHERE posted_at BETWEEN '2020-01-01T00:00:00Z' AND '2099-01-01T00:00:00Z' AND kind IN ('accrue', 'deposit') GROUP BY 1, 2 ORDER BY 1, 2
-- Grafana: a stat of today
SELECT coalesce(sum(points_redeemed), 0) AS redeemed FROM loyalty_report.fact_entry WHERE posted_at >= date_trunc('day', now() AT TIME ZONE 'America/Mexico_City') AT TIME ZONE 'America/Mexico_City'
-- Grafana: a variable
SELECT DISTINCT name AS __text, program_key AS __value FROM loyalty_report.dim_program ORDER BY 1
-- Power BI: distinct count, blanks too
select count(distinct("rows"."staff_key")) + max(case when "rows"."staff_key" is null then 1 else 0 end) as "a0" from (select "staff_key" from "loyalty_report"."fact_entry" "$Table") "rows"
-- Power BI: a measure by attributes of two dimensions
select "rows"."name" as "name", "rows"."fiscal_period" as "fiscal_period", sum("rows"."points") as "a0", min("rows"."points") as "a1", max("rows"."points") as "a2" from (select "$Outer"."points", "$Outer"."fiscal_period", "$Inner"."name" from (select "$Outer"."points", "$Outer"."program_key", "$Inner"."fiscal_period" from "loyalty_report"."fact_entry" "$Outer" inner join "loyalty_report"."dim_date" "$Inner" on ("$Outer"."posted_on" = "$Inner"."day")) "$Outer" inner join "loyalty_report"."dim_program" "$Inner" on ("$Outer"."program_key" = "$Inner"."program_key")) "rows" group by "name", "fiscal_period" order by "name", "fiscal_period" limit 1000001
-- Power BI: rows, page by page
select "$Ordered"."entry_number", "$Ordered"."kind", "$Ordered"."points", "$Ordered"."posted_on" from (select "_"."entry_key", "_"."entry_number", "_"."kind", "_"."points", "_"."posted_on" from "loyalty_report"."fact_entry" "_" where "_"."posted_on" >= date '2020-01-01' and "_"."kind" <> 'mature') "$Ordered" order by "$Ordered"."entry_key" limit 5 offset 10
-- Power BI: the members of an age
select "_"."age_band", count(1) as "a0" from "loyalty_report"."dim_member" "_" where "_"."is_enrolled" = true group by "_"."age_band" order by "_"."age_band" limit 1000001
-- Excel: a pivot table
SELECT dim_staff_0.role, fact_entry_0.kind, Sum(fact_entry_0.points) AS Points, Count(*) AS N FROM loyalty_report.fact_entry fact_entry_0, loyalty_report.dim_staff dim_staff_0 WHERE fact_entry_0.staff_key = dim_staff_0.staff_key GROUP BY dim_staff_0.role, fact_entry_0.kind HAVING Count(*) > 1 ORDER BY dim_staff_0.role, fact_entry_0.kind
-- Excel: what is due
SELECT fact_instalment_0.due_on, Sum(fact_instalment_0.amount) AS Amount, Sum(fact_instalment_0.amount_unpaid) AS Unpaid FROM loyalty_report.fact_instalment fact_instalment_0 WHERE fact_instalment_0.due_on Between '2020-01-01' And '2099-12-31' GROUP BY fact_instalment_0.due_on ORDER BY fact_instalment_0.due_on

-- Personal reports: the views of loyalty_report that name nobody, in the schema of those who may know.
--
-- Where names are, the view there is written with them, and that of loyalty_report
-- shows the rest of it.  All others are made here: so a tool that is pointed at
-- either schema finds all of them, and a column that is in both never means two things.

DO $$
DECLARE
	report record;
BEGIN
	FOR report IN
		SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS comment FROM pg_class c
		WHERE c.relnamespace = 'loyalty_report'::regnamespace AND c.relkind = 'v'
		  AND to_regclass('loyalty_report_personal.' || quote_ident(c.relname)) IS NULL
	LOOP
		EXECUTE format('CREATE VIEW loyalty_report_personal.%1$I WITH (security_barrier) AS SELECT * FROM loyalty_report.%1$I', report.name);
		EXECUTE format('COMMENT ON VIEW loyalty_report_personal.%I IS %L', report.name, report.comment);
	END LOOP;
END
$$;

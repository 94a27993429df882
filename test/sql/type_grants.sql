-- Nobody but the engine may use the types until their functions are granted;
-- the immutable functions that mention them are all that it takes.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS loyalty;
RESET client_min_messages;
BEGIN;
CREATE ROLE regress_loyalty_types;
GRANT USAGE ON SCHEMA loyalty TO regress_loyalty_types;
CREATE TABLE public.loyalty_granted AS
SELECT i::loyalty.points AS p, (3300000000 + i)::text::loyalty.phone AS tel,
	loyalty.curp 'PEGJ000229HDFRRNA2' AS id, loyalty.lots '{2027-01-01T06:00:00Z=30}' AS l
FROM generate_series(1, 10) i;
GRANT SELECT ON public.loyalty_granted TO regress_loyalty_types;
SET search_path = loyalty, public;

SET LOCAL ROLE regress_loyalty_types;
-- Values can be shown, which asks for no function.
SELECT * FROM loyalty_granted LIMIT 1;
SAVEPOINT s;
SELECT p + 1 FROM loyalty_granted;
ROLLBACK TO s;
SELECT sum(p) FROM loyalty_granted;
ROLLBACK TO s;
SELECT count(*) FROM loyalty_granted WHERE tel = '3300000001';
ROLLBACK TO s;
SELECT p::numeric FROM loyalty_granted;
ROLLBACK TO s;
SELECT area_code(tel) FROM loyalty_granted;
ROLLBACK TO s;
SELECT count(*) FROM loyalty_granted WHERE id = 'PEGJ000229HDFRRNA2';
ROLLBACK TO s;
SELECT birth_date(id) FROM loyalty_granted;
ROLLBACK TO s;
SELECT sex(id) FROM loyalty_granted;
ROLLBACK TO s;
SELECT state(id) FROM loyalty_granted;
ROLLBACK TO s;
SELECT age(id, '2020-01-01') FROM loyalty_granted;
ROLLBACK TO s;
SELECT count(*) FROM loyalty_granted WHERE l = '{}';
ROLLBACK TO s;
SELECT total(l) FROM loyalty_granted;
ROLLBACK TO s;
SELECT total_due(l, '2027-01-01') FROM loyalty_granted;
ROLLBACK TO s;
SELECT falls_below(l, p, '2027-01-01') FROM loyalty_granted;
ROLLBACK TO s;
SELECT unnest_lots(l) FROM loyalty_granted;
ROLLBACK TO s;
SELECT is_fixed_line('3300000001');
ROLLBACK TO s;
CREATE TEMP TABLE mine (p loyalty.points);
ROLLBACK TO s;
CREATE TEMP TABLE mine (id loyalty.curp);
ROLLBACK TO s;
CREATE TEMP TABLE mine (l loyalty.lots);
ROLLBACK TO s;
RESET ROLE;

DO $$
DECLARE
	f regprocedure;
BEGIN
	FOR f IN
		SELECT p.oid
		FROM pg_catalog.pg_proc p
		WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND p.provolatile = 'i'
			AND ARRAY['loyalty.points', 'loyalty.phone', 'loyalty.curp', 'loyalty.lots']::regtype[]::oid[] && (p.proargtypes::oid[] || p.prorettype)
	LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO regress_loyalty_types', f);
	END LOOP;
END
$$;
GRANT USAGE ON TYPE loyalty.points, loyalty.phone, loyalty.curp, loyalty.lots TO regress_loyalty_types;

SET LOCAL ROLE regress_loyalty_types;
SELECT sum(p), avg(p), min(p), max(p), sum(p + 1 - 2 * p), sum(abs(-p)), max(p / 2) FROM loyalty_granted WHERE p > 2 AND p <> '3' AND p <= 10;
SELECT p::numeric, p::bigint, p::text, to_json(p), percent_of(p, 10), tel, tel::bigint, area_code(tel) FROM loyalty_granted WHERE tel = '3300000001';
SELECT count(*) FROM loyalty_granted a JOIN loyalty_granted b USING (tel, p);
SELECT id, id::text, to_json(id), birth_date(id), sex(id), state(id), age(id, '2020-01-01'), age(id) = age(id, CURRENT_DATE) AS t FROM loyalty_granted WHERE id = 'PEGJ000229HDFRRNA2' LIMIT 1;
SELECT id, count(*) FROM loyalty_granted a JOIN loyalty_granted b USING (id) WHERE id >= 'PEGJ000101HDFRRNA5' GROUP BY id ORDER BY id;
SELECT l, l::text, to_json(l), total(l), total_due(l, '2027-01-01T06:00:00Z'), falls_below(l, '30', '2026-01-01') = '2027-01-01T06:00:00Z' AS t, u.points FROM loyalty_granted, unnest_lots(l) u WHERE l <> '{}' AND l = '{2027-01-01T06:00:00Z=30.0}' AND p = 1;
SELECT p, count(*) FROM loyalty_granted GROUP BY p ORDER BY p DESC LIMIT 1;
SELECT 1::smallint::points + 1 + 1::bigint + 1.5::points AS "4.5";
SELECT i, sum(p) OVER (ORDER BY p ROWS 1 PRECEDING) FROM (SELECT p, p::bigint AS i FROM loyalty_granted) t LIMIT 2;
CREATE TEMP TABLE mine (p loyalty.points PRIMARY KEY, tel loyalty.phone UNIQUE, id loyalty.curp UNIQUE, l loyalty.lots);
-- What is no type support stays closed.
SAVEPOINT s;
SELECT is_fixed_line('3300000001');
ROLLBACK TO s;
SELECT * FROM area_codes;
ROLLBACK TO s;
ROLLBACK;

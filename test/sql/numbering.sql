-- Area codes and fixed-line ranges.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS loyalty;
RESET client_min_messages;
BEGIN;

-- All of Mexico's codes are there, and none that no number can have.
SELECT count(*) FROM loyalty.area_codes;
SELECT count(*) FROM loyalty_internal.shipped_area_codes();
SELECT * FROM loyalty.area_codes WHERE code IN ('33', '55', '56', '81', '222', '442', '664', '686', '999') ORDER BY code;
SELECT code FROM loyalty.area_codes
WHERE loyalty.area_code(rpad(code, 10, '0')::loyalty.phone) <> code;
SELECT tel, loyalty.area_code_supported(tel::loyalty.phone)
FROM (VALUES ('5512345678'), ('2221234567'), ('5712345678'), ('0121234567'), ('8001234567'), (NULL)) t(tel);

-- A row of the table hides the shipped one and keeps its region unless told.
SELECT loyalty.set_area_code('222', false);
SELECT loyalty.set_area_code('570', true, 'Pruebas');
SELECT * FROM loyalty.area_codes WHERE code IN ('222', '570') ORDER BY code;
SELECT loyalty.area_code_supported('2221234567'), loyalty.area_code_supported('5701234567');
SELECT loyalty.set_area_code('222', true, 'Ciudad de Puebla');
SELECT loyalty.set_area_code('222', true);
SELECT * FROM loyalty_internal.supported_area_code WHERE code = '222';
SELECT loyalty.area_code_supported('2221234567');

SAVEPOINT s;
SELECT loyalty.set_area_code('5', true);
ROLLBACK TO s;
SELECT loyalty.set_area_code('550', true);
ROLLBACK TO s;
SELECT loyalty.set_area_code('22', true);
ROLLBACK TO s;
SELECT loyalty.set_area_code('22x', true);
ROLLBACK TO s;
SELECT loyalty.set_area_code(NULL, true);
ROLLBACK TO s;
SELECT loyalty.set_area_code('222', NULL);
ROLLBACK TO s;

-- The regulator's file: only FIJO counts, neighbours become one range.
SELECT loyalty.is_fixed_line('2221000500');
COPY loyalty.numbering_plan FROM stdin (FORMAT csv, HEADER);
CLAVE_CENSAL,POBLACION,MUNICIPIO,ESTADO,PRESUSCRIPCION,REGION,ASL,NIR,SERIE,NUMERACION_INICIAL,NUMERACION_FINAL,OCUPACION,TIPO_RED,MODALIDAD,RAZON_SOCIAL,FECHA_ASIGNACION,FECHA_CONSOLIDACION,FECHA_MIGRACION,NIR_ANTERIOR
211140001,PUEBLA,PUEBLA,PUE,FIJO,7,222,222,100,0000,0999,1000,FIJO,,"TELEFONOS, S.A.",01/01/1999,,,22
211140001,PUEBLA,PUEBLA,PUE,FIJO,7,222,222,100,1000,1999,1000,FIJO,,"TELEFONOS, S.A.",01/01/1999,,,22
211140001,PUEBLA,PUEBLA,PUE,FIJO,7,222,222,100,1500,2999,1500,FIJO,,"TELEFONOS, S.A.",01/01/1999,,,22
211140001,PUEBLA,PUEBLA,PUE,FIJO,7,222,222,100,5000,5099,100,MOVIL,CPP,"TELEFONOS, S.A.",01/01/1999,,,22
90150001,CIUDAD DE MEXICO,CUAUHTEMOC,CDMX,FIJO,9,55,55,1000,0,99,100,fijo,,OTRA,01/01/1999,,,5
90150001,CIUDAD DE MEXICO,CUAUHTEMOC,CDMX,FIJO,9,55,55,1001,0000,9999,10000,MOVIL,MPP,OTRA,01/01/1999,,,5
\.
SELECT loyalty.apply_numbering_plan();
SELECT numbers, note FROM loyalty_internal.fixed_line_range ORDER BY numbers;
SELECT count(*) FROM loyalty.numbering_plan;
SELECT tel, loyalty.is_fixed_line(tel::loyalty.phone)
FROM (VALUES ('2221000000'), ('2221002999'), ('2221003000'), ('2220999999'), ('2221005000'), ('5510000099'), ('5510000100'), ('5510010000'), (NULL)) t(tel);

-- Again: the old ranges go.  A file with whole numbers needs no nir and serie.
COPY loyalty.numbering_plan (numeracion_inicial, numeracion_final, modalidad) FROM stdin (FORMAT csv);
3310000000,3310009999,FIJO
3310010000,3310019999,CPP
9999999999,9999999999,FIJO
\.
SELECT loyalty.apply_numbering_plan();
SELECT numbers, note FROM loyalty_internal.fixed_line_range ORDER BY numbers;
SELECT loyalty.is_fixed_line('9999999999'), loyalty.is_fixed_line('2221000000');

-- A malformed row is named and nothing changes.
SAVEPOINT s;
SELECT loyalty.apply_numbering_plan();
ROLLBACK TO s;
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('222', '100', '0000', '0999', 'FIJO');
SAVEPOINT s;
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('222', '1O0', '0000', '0999', 'MOVIL');
SELECT loyalty.apply_numbering_plan();
ROLLBACK TO s;
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('55', '100', '0000', '0999', 'FIJO');
SELECT loyalty.apply_numbering_plan();
ROLLBACK TO s;
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('222', '100', '1000', '0999', 'FIJO');
SELECT loyalty.apply_numbering_plan();
ROLLBACK TO s;
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('222', '100', '00000', '0999', 'FIJO');
SELECT loyalty.apply_numbering_plan();
ROLLBACK TO s;
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('222', '101', '0000', NULL, 'FIJO');
SELECT loyalty.apply_numbering_plan();
ROLLBACK TO s;
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('222', '101', '0000', '0999', ' ');
\set VERBOSITY sqlstate
SELECT loyalty.apply_numbering_plan();
\set VERBOSITY default
ROLLBACK TO s;
SELECT numbers FROM loyalty_internal.fixed_line_range ORDER BY numbers;
SELECT count(*) FROM loyalty.numbering_plan;

-- Ranges never overlap, whoever writes them.
INSERT INTO loyalty_internal.fixed_line_range VALUES ('[3310005000,3310005000]');
ROLLBACK TO s;
INSERT INTO loyalty_internal.fixed_line_range VALUES ('empty');
ROLLBACK TO s;

-- The functions run as the engine, are not for everybody, and a dump carries
-- what was changed.
SELECT p.oid::regprocedure, p.proowner::regrole, p.prosecdef, p.proconfig,
	EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) AS public
FROM pg_proc p
WHERE p.pronamespace = 'loyalty'::regnamespace
	AND p.proname IN ('set_area_code', 'area_code_supported', 'apply_numbering_plan', 'is_fixed_line')
ORDER BY p.proname;
SELECT c.oid::regclass, c.condition
FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS c(oid, condition)
WHERE e.extname = 'loyalty' AND c.oid::regclass::text IN ('loyalty_internal.supported_area_code', 'loyalty_internal.fixed_line_range', 'loyalty.numbering_plan')
ORDER BY c.oid::regclass::text;
ROLLBACK;

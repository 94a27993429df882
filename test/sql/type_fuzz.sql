-- Mutated literals of the SQL types.  An oracle written with regular
-- expressions says what each text means; input must agree with it, and
-- whatever it refuses it must refuse with an error that names the type.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS loyalty;
RESET client_min_messages;

-- Up to four edits of a seed: drop, double, replace or insert a character.
CREATE FUNCTION pg_temp.mutate(seed text, alphabet text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	mutant text := seed;
	pos integer;
	c text;
BEGIN
	FOR i IN 1 .. floor(random() * 5)::integer LOOP
		pos := 1 + floor(random() * (length(mutant) + 1))::integer;
		c := substr(alphabet, 1 + floor(random() * length(alphabet))::integer, 1);
		mutant := CASE floor(random() * 4)::integer
			WHEN 0 THEN overlay(mutant PLACING '' FROM pos FOR 1)
			WHEN 1 THEN overlay(mutant PLACING repeat(substr(mutant, pos, 1), 2) FROM pos FOR 1)
			WHEN 2 THEN overlay(mutant PLACING c FROM pos FOR 1)
			ELSE overlay(mutant PLACING c FROM pos FOR 0)
		END;
	END LOOP;
	RETURN mutant;
END
$$;

-- The check digit that 17 characters of a CURP ask for, or NULL if one of them
-- is in no CURP.
CREATE FUNCTION pg_temp.check_digit(chars text) RETURNS text
	LANGUAGE sql AS $$
	SELECT CASE WHEN min(place) > 0 THEN ((10 - sum((place - 1) * (19 - i)) % 10) % 10)::text END
	FROM generate_series(1, 17) i, strpos('0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ', substr(chars, i, 1)) AS place
$$;

-- Half of the mutants that still are as long as a CURP get the check digit
-- that fits the rest, or few would ever have it.
CREATE FUNCTION pg_temp.mend(type text, mutant text) RETURNS text
	LANGUAGE sql AS $$
	SELECT CASE WHEN type = 'curp' AND length(mutant) = 18 AND random() < 0.5
		THEN coalesce(substr(mutant, 1, 17) || pg_temp.check_digit(translate(upper(mutant), 'ñ', 'Ñ')), mutant)
		ELSE mutant END
$$;

CREATE FUNCTION pg_temp.curp_meaning(literal text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	chars text := translate(upper(btrim(literal, E' \t\n\x0b\f\r')), 'ñ', 'Ñ');
BEGIN
	IF chars !~ ('^[A-ZÑ]{4}[0-9]{6}[HMX]([ABCMTZ]S|[BCJMOT]C|[CNPST]L|[GNQ]T|[GQS]R|C[HM]|[MY]N|[DH]G|NE|VZ|DF|SP)'
				 || '[B-DF-HJ-NÑP-TV-Z]{3}[0-9A-Z][0-9]$')
		OR substr(chars, 18) <> pg_temp.check_digit(chars) THEN
		RETURN NULL;
	END IF;
	PERFORM make_date(CASE WHEN substr(chars, 17, 1) <= '9' THEN 1900 ELSE 2000 END + substr(chars, 5, 2)::integer,
					  substr(chars, 7, 2)::integer, substr(chars, 9, 2)::integer);
	RETURN translate(chars, 'Ñ', 'X');
EXCEPTION WHEN datetime_field_overflow THEN
	RETURN NULL;
END
$$;

-- The lots of a literal one by one, with years before 1 as the server reads them.
CREATE FUNCTION pg_temp.lots_meaning(literal text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	moment CONSTANT text := '(-?)([0-9]{4}|[1-9][0-9]{4,5})(-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])Z';
	lot CONSTANT text := '\s*' || moment || '\s*=\s*([0-9]+(?:\.[0-9]{1,4})?)\s*';
	meant text;
	distinct_moments boolean;
	total numeric;
BEGIN
	IF literal !~ ('^\s*\{(\s*|' || lot || '(,' || lot || ')*)\}\s*$') OR literal ~ '-0000-' THEN
		RETURN NULL;
	END IF;
	SELECT coalesce(string_agg(m[1] || m[2] || m[3] || 'Z=' || trim_scale(m[4]::numeric), ',' ORDER BY at), ''), count(*) = count(DISTINCT at),
		CASE WHEN count(*) FILTER (WHERE m[4]::numeric = 0) = 0 THEN coalesce(sum(m[4]::numeric), 0) END
	INTO meant, distinct_moments, total
	FROM (SELECT m, CASE WHEN m[1] = '-' OR m[2] = '0000' THEN to_char(m[2]::integer + 1, 'FM000000') || m[3] || 'Z BC' ELSE m[2] || m[3] || 'Z' END::timestamptz AS at
		  FROM regexp_matches(literal, lot, 'g') AS m) AS t;
	RETURN CASE WHEN distinct_moments AND total <= 922337203685477.5807 THEN '{' || meant || '}' END;
EXCEPTION WHEN datetime_field_overflow THEN
	RETURN NULL;
END
$$;

-- What a literal of the type means, as text, or NULL if it is none.
CREATE FUNCTION pg_temp.meaning(type text, literal text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	digits text := translate(literal, '+- ', '');
BEGIN
	IF type = 'points' THEN
		IF literal !~ '^[ \t\n\v\f\r]*[+-]?[0-9]+(\.[0-9]{1,4})?[ \t\n\v\f\r]*$' THEN
			RETURN NULL;
		END IF;
		RETURN (SELECT CASE WHEN n BETWEEN -922337203685477.5808 AND 922337203685477.5807 THEN trim_scale(n)::text END
				FROM (SELECT btrim(literal, E' \t\n\v\f\r')::numeric) AS t(n));
	END IF;
	IF type = 'curp' THEN
		RETURN pg_temp.curp_meaning(literal);
	END IF;
	IF type = 'lots' THEN
		RETURN pg_temp.lots_meaning(literal);
	END IF;
	IF literal !~ '^ *\+?[0-9]([ -]*[0-9])* *$' THEN
		RETURN NULL;
	END IF;
	RETURN CASE
		WHEN literal ~ '\+' THEN substring(digits FROM '^521?([0-9]{10})$')
		ELSE coalesce(substring(digits FROM '^[0-9]{10}$'), substring(digits FROM '^(?:52|521|01|044|045)([0-9]{10})$'))
	END;
END
$$;

-- Soft input, where the server has it.
CREATE FUNCTION pg_temp.soft_valid(literal text, type text) RETURNS boolean
	LANGUAGE plpgsql AS $$
DECLARE
	valid boolean;
BEGIN
	EXECUTE 'SELECT pg_catalog.pg_input_is_valid($1, $2)' INTO valid USING literal, 'loyalty.' || type;
	RETURN valid;
END
$$;

CREATE FUNCTION pg_temp.check_literal(type text, literal text) RETURNS boolean
	LANGUAGE plpgsql AS $$
DECLARE
	meant text := pg_temp.meaning(type, literal);
	got text;
BEGIN
	IF current_setting('server_version_num')::integer >= 160000
		AND pg_temp.soft_valid(literal, type) <> (meant IS NOT NULL) THEN
		RAISE EXCEPTION 'soft input of % %: expected %', type, quote_literal(literal), meant;
	END IF;
	BEGIN
		got := CASE type
			WHEN 'points' THEN literal::loyalty.points::text
			WHEN 'phone' THEN literal::loyalty.phone::text
			WHEN 'lots' THEN literal::loyalty.lots::text
			ELSE literal::loyalty.curp::text
		END;
	EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
		IF strpos(SQLERRM, 'type ' || type) = 0 OR strpos(SQLERRM, literal) = 0 THEN
			RAISE EXCEPTION 'error for % % does not name them: %', type, quote_literal(literal), SQLERRM;
		END IF;
	END;
	IF got IS DISTINCT FROM meant THEN
		RAISE EXCEPTION 'input of % %: expected %, got %', type, quote_literal(literal), meant, got;
	END IF;
	RETURN got IS NOT NULL;
END
$$;

-- Enough of both kinds came by; otherwise the mutation proves nothing.
SELECT setseed(0.5) IS NOT NULL AS seeded;
SELECT seeds.type, count(*) FILTER (WHERE ok) > 500 AS accepted, count(*) FILTER (WHERE NOT ok) > 500 AS refused
FROM (VALUES
	('points', ARRAY['0', '150.50', '-0.0001', ' +12.5 ', '922337203685477.5807', '-922337203685477.5808', '1.2345'],
		E'0123456789..+-eE, \t\n\v_xNañ٣'),
	('phone', ARRAY['3312345678', '+523312345678', '5213312345678', '013312345678', '0443312345678', '33 1234-5678', '+52 1 045 123 4567'],
		E'0123456789 -+.()\tañ３'),
	('curp', ARRAY['PEGJ800115HDFRRN07', ' pegj000229hdfrrna2', 'ÑÑÑÑ800115HDFÑÑÑ03', 'XXXX010203MNEXXX05', 'BCDF200504XMCQWYK6', 'PEGJ040229HDFRRN00', 'RAXR991231HOCMXSA0'],
		E'0123456789ABCDEHMNOSXZñÑax \t-É３'),
	('lots', ARRAY['{}', '{2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}', ' { 2028-02-29T23:59:59Z = 1 } ', '{2001-01-01T00:00:01Z=2,2001-01-01T00:00:00Z=1.0001,2000-12-31T00:00:00Z=7}',
		'{294276-12-31T23:59:59Z=1}', '{-4713-11-24T00:00:00Z=1,0000-02-29T00:00:00Z=1}', '{1900-01-01T00:00:00Z=922337203685477.5806,1900-01-02T00:00:00Z=0.0001}'],
		E'0123456789{},=-:TZ. \tt+３')) AS seeds(type, literals, alphabet),
	LATERAL (SELECT pg_temp.check_literal(seeds.type, pg_temp.mend(seeds.type, pg_temp.mutate(seeds.literals[1 + i % 7], seeds.alphabet))) AS ok
			 FROM generate_series(1, 8000) i) AS checked
GROUP BY seeds.type ORDER BY seeds.type;

-- Long ones.
SELECT pg_temp.check_literal('points', repeat('0', 100000) || '1') AS t,
	pg_temp.check_literal('points', '0.' || repeat('0', 100000)) AS f,
	pg_temp.check_literal('points', repeat('9', 100000)) AS f,
	pg_temp.check_literal('phone', repeat('3', 100000)) AS f,
	pg_temp.check_literal('phone', '33' || repeat(' ', 100000) || '12345678') AS t,
	pg_temp.check_literal('lots', '{2027-01-01T06:00:00Z=' || repeat('0', 100000) || '1}') AS t,
	pg_temp.check_literal('lots', '{2027-01-01T06:00:00Z=0.' || repeat('0', 100000) || '1}') AS f,
	pg_temp.check_literal('lots', '{2027-01-01T06:00:00Z=' || repeat('9', 100000) || '}') AS f,
	pg_temp.check_literal('lots', '{2027-01-01T06:00:00Z' || repeat(' ', 100000) || '=1}') AS t,
	pg_temp.check_literal('lots', repeat('{', 100000)) AS f,
	pg_temp.check_literal('lots', '{' || repeat('9', 100000) || '-01-01T06:00:00Z=1}') AS f,
	pg_temp.check_literal('curp', repeat('Ñ', 100000)) AS f,
	pg_temp.check_literal('curp', repeat(' ', 100000) || 'PEGJ800115HDFRRN07' || repeat(E'\n', 100000)) AS t;

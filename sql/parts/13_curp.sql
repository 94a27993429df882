-- What a CURP says of the person.

CREATE FUNCTION loyalty.birth_date(loyalty.curp)
	RETURNS date
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'loyalty_birth_date';
COMMENT ON FUNCTION loyalty.birth_date(loyalty.curp) IS
	'the date of birth: from 1900 to 1999 if character 17 is a digit, from 2000 to 2099 if it is a letter';

CREATE FUNCTION loyalty.sex(loyalty.curp)
	RETURNS text
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'loyalty_sex';
COMMENT ON FUNCTION loyalty.sex(loyalty.curp) IS
	'the sex: H (hombre), M (mujer) or X (neither)';

CREATE FUNCTION loyalty.state(loyalty.curp)
	RETURNS text
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'loyalty_state';
COMMENT ON FUNCTION loyalty.state(loyalty.curp) IS
	'the code of the state of birth, as the registry writes it: DF is Mexico City; NE was born abroad';

CREATE FUNCTION loyalty.age(loyalty.curp, on_date date DEFAULT CURRENT_DATE)
	RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'loyalty_age';
COMMENT ON FUNCTION loyalty.age(loyalty.curp, date) IS
	'the age in full years on a date, today in the session''s time zone unless given; a birthday of 29 February is on 1 March in a common year; 22023 before birth or for an infinite date';

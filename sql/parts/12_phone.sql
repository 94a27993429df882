-- What a telephone number says.

CREATE CAST (loyalty.phone AS bigint)
	WITHOUT FUNCTION;
COMMENT ON CAST (loyalty.phone AS bigint) IS
	'the ten digits as a number';

CREATE FUNCTION loyalty.area_code(loyalty.phone)
	RETURNS text
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'phone_area_code';
COMMENT ON FUNCTION loyalty.area_code(loyalty.phone) IS
	'the area code (lada): 2 digits for 33, 55, 56 and 81, otherwise 3';

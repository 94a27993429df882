-- Points: arithmetic, casts, aggregates, and percentages.

CREATE FUNCTION loyalty_internal.points_add(loyalty.points, loyalty.points)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_pl';
COMMENT ON FUNCTION loyalty_internal.points_add(loyalty.points, loyalty.points) IS
	'implementation of + operator; 22003 if the result does not fit';

CREATE FUNCTION loyalty_internal.points_subtract(loyalty.points, loyalty.points)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_mi';
COMMENT ON FUNCTION loyalty_internal.points_subtract(loyalty.points, loyalty.points) IS
	'implementation of - operator; 22003 if the result does not fit';

CREATE FUNCTION loyalty_internal.points_plus(loyalty.points)
	RETURNS loyalty.points
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'int8up';
COMMENT ON FUNCTION loyalty_internal.points_plus(loyalty.points) IS
	'implementation of unary + operator';

CREATE FUNCTION loyalty_internal.points_minus(loyalty.points)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_um';
COMMENT ON FUNCTION loyalty_internal.points_minus(loyalty.points) IS
	'implementation of unary - operator; 22003 if the result does not fit';

/*
 * A factor is no plain bigint: the operators below would match one exactly, and
 * the product of a bigint and a numeric might be one of points then.
 */
CREATE DOMAIN loyalty_internal.factor AS bigint;
COMMENT ON DOMAIN loyalty_internal.factor IS
	'how many times an amount is taken; any integer';

CREATE FUNCTION loyalty_internal.points_multiply(loyalty.points, loyalty_internal.factor)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_mul_int8';
COMMENT ON FUNCTION loyalty_internal.points_multiply(loyalty.points, loyalty_internal.factor) IS
	'implementation of * operator; 22003 if the result does not fit';

CREATE FUNCTION loyalty_internal.points_multiply(loyalty_internal.factor, loyalty.points)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'int8_mul_points';
COMMENT ON FUNCTION loyalty_internal.points_multiply(loyalty_internal.factor, loyalty.points) IS
	'implementation of * operator; 22003 if the result does not fit';

CREATE FUNCTION loyalty_internal.points_ratio(loyalty.points, loyalty.points)
	RETURNS numeric
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_div';
COMMENT ON FUNCTION loyalty_internal.points_ratio(loyalty.points, loyalty.points) IS
	'implementation of / operator; 22012 if the second amount is 0';

CREATE FUNCTION loyalty.abs(loyalty.points)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_abs';
COMMENT ON FUNCTION loyalty.abs(loyalty.points) IS
	'the amount without its sign; 22003 if the result does not fit';

CREATE OPERATOR loyalty.+ (
	LEFTARG = loyalty.points,
	RIGHTARG = loyalty.points,
	FUNCTION = loyalty_internal.points_add,
	COMMUTATOR = OPERATOR(loyalty.+)
);
COMMENT ON OPERATOR loyalty.+ (loyalty.points, loyalty.points) IS
	'sum of two amounts';

CREATE OPERATOR loyalty.- (
	LEFTARG = loyalty.points,
	RIGHTARG = loyalty.points,
	FUNCTION = loyalty_internal.points_subtract
);
COMMENT ON OPERATOR loyalty.- (loyalty.points, loyalty.points) IS
	'difference of two amounts';

CREATE OPERATOR loyalty.+ (
	RIGHTARG = loyalty.points,
	FUNCTION = loyalty_internal.points_plus
);
COMMENT ON OPERATOR loyalty.+ (NONE, loyalty.points) IS
	'the amount itself';

CREATE OPERATOR loyalty.- (
	RIGHTARG = loyalty.points,
	FUNCTION = loyalty_internal.points_minus
);
COMMENT ON OPERATOR loyalty.- (NONE, loyalty.points) IS
	'the amount with the opposite sign';

CREATE OPERATOR loyalty.* (
	LEFTARG = loyalty.points,
	RIGHTARG = loyalty_internal.factor,
	FUNCTION = loyalty_internal.points_multiply,
	COMMUTATOR = OPERATOR(loyalty.*)
);
COMMENT ON OPERATOR loyalty.* (loyalty.points, loyalty_internal.factor) IS
	'the amount so many times';

CREATE OPERATOR loyalty.* (
	LEFTARG = loyalty_internal.factor,
	RIGHTARG = loyalty.points,
	FUNCTION = loyalty_internal.points_multiply,
	COMMUTATOR = OPERATOR(loyalty.*)
);
COMMENT ON OPERATOR loyalty.* (loyalty_internal.factor, loyalty.points) IS
	'the amount so many times';

CREATE OPERATOR loyalty./ (
	LEFTARG = loyalty.points,
	RIGHTARG = loyalty.points,
	FUNCTION = loyalty_internal.points_ratio
);
COMMENT ON OPERATOR loyalty./ (loyalty.points, loyalty.points) IS
	'ratio of two amounts, as numeric';

CREATE FUNCTION loyalty.points(smallint)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'int2_to_points';
COMMENT ON FUNCTION loyalty.points(smallint) IS
	'whole points';

CREATE FUNCTION loyalty.points(integer)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'int4_to_points';
COMMENT ON FUNCTION loyalty.points(integer) IS
	'whole points';

CREATE FUNCTION loyalty.points(bigint)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'int8_to_points';
COMMENT ON FUNCTION loyalty.points(bigint) IS
	'whole points; 22003 if they do not fit';

CREATE FUNCTION loyalty.points(numeric)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'numeric_to_points';
COMMENT ON FUNCTION loyalty.points(numeric) IS
	'the same amount, never rounded; 22003 if it has more than 4 significant decimals, does not fit, or is NaN or infinite';

CREATE FUNCTION loyalty_internal.points_to_bigint(loyalty.points)
	RETURNS bigint
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_to_int8';
COMMENT ON FUNCTION loyalty_internal.points_to_bigint(loyalty.points) IS
	'whole points; 22003 if the amount has decimals';

CREATE FUNCTION loyalty_internal.points_to_numeric(loyalty.points)
	RETURNS numeric
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_to_numeric';
COMMENT ON FUNCTION loyalty_internal.points_to_numeric(loyalty.points) IS
	'the same amount, without trailing zeros';

CREATE FUNCTION loyalty_internal.points_to_json(loyalty.points)
	RETURNS json
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_to_json';
COMMENT ON FUNCTION loyalty_internal.points_to_json(loyalty.points) IS
	'the amount as a JSON number, without trailing zeros';

CREATE CAST (smallint AS loyalty.points)
	WITH FUNCTION loyalty.points(smallint) AS IMPLICIT;
COMMENT ON CAST (smallint AS loyalty.points) IS
	'whole points';

CREATE CAST (integer AS loyalty.points)
	WITH FUNCTION loyalty.points(integer) AS IMPLICIT;
COMMENT ON CAST (integer AS loyalty.points) IS
	'whole points';

CREATE CAST (bigint AS loyalty.points)
	WITH FUNCTION loyalty.points(bigint) AS IMPLICIT;
COMMENT ON CAST (bigint AS loyalty.points) IS
	'whole points';

CREATE CAST (numeric AS loyalty.points)
	WITH FUNCTION loyalty.points(numeric) AS IMPLICIT;
COMMENT ON CAST (numeric AS loyalty.points) IS
	'the same amount, never rounded';

CREATE CAST (loyalty.points AS bigint)
	WITH FUNCTION loyalty_internal.points_to_bigint(loyalty.points) AS ASSIGNMENT;
COMMENT ON CAST (loyalty.points AS bigint) IS
	'whole points, never rounded';

CREATE CAST (loyalty.points AS numeric)
	WITH FUNCTION loyalty_internal.points_to_numeric(loyalty.points) AS IMPLICIT;
COMMENT ON CAST (loyalty.points AS numeric) IS
	'the same amount';

CREATE CAST (loyalty.points AS json)
	WITH FUNCTION loyalty_internal.points_to_json(loyalty.points);
COMMENT ON CAST (loyalty.points AS json) IS
	'JSON number; to_json() and its kin use it';

CREATE FUNCTION loyalty_internal.points_accumulate(internal, loyalty.points)
	RETURNS internal
	LANGUAGE internal IMMUTABLE PARALLEL SAFE
	AS 'int8_avg_accum';
COMMENT ON FUNCTION loyalty_internal.points_accumulate(internal, loyalty.points) IS
	'transition of sum and avg';

CREATE FUNCTION loyalty_internal.points_deaccumulate(internal, loyalty.points)
	RETURNS internal
	LANGUAGE internal IMMUTABLE PARALLEL SAFE
	AS 'int8_avg_accum_inv';
COMMENT ON FUNCTION loyalty_internal.points_deaccumulate(internal, loyalty.points) IS
	'inverse transition of sum and avg over a moving window';

CREATE FUNCTION loyalty_internal.points_sum_final(internal)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_sum_final';
COMMENT ON FUNCTION loyalty_internal.points_sum_final(internal) IS
	'result of sum';

CREATE FUNCTION loyalty_internal.points_avg_final(internal)
	RETURNS numeric
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_avg_final';
COMMENT ON FUNCTION loyalty_internal.points_avg_final(internal) IS
	'result of avg';

CREATE FUNCTION loyalty_internal.points_larger(loyalty.points, loyalty.points)
	RETURNS loyalty.points
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'int8larger';
COMMENT ON FUNCTION loyalty_internal.points_larger(loyalty.points, loyalty.points) IS
	'larger of two amounts';

CREATE FUNCTION loyalty_internal.points_smaller(loyalty.points, loyalty.points)
	RETURNS loyalty.points
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'int8smaller';
COMMENT ON FUNCTION loyalty_internal.points_smaller(loyalty.points, loyalty.points) IS
	'smaller of two amounts';

CREATE AGGREGATE loyalty.sum(loyalty.points) (
	SFUNC = loyalty_internal.points_accumulate,
	STYPE = internal,
	SSPACE = 48,
	FINALFUNC = loyalty_internal.points_sum_final,
	COMBINEFUNC = pg_catalog.int8_avg_combine,
	SERIALFUNC = pg_catalog.int8_avg_serialize,
	DESERIALFUNC = pg_catalog.int8_avg_deserialize,
	MSFUNC = loyalty_internal.points_accumulate,
	MINVFUNC = loyalty_internal.points_deaccumulate,
	MSTYPE = internal,
	MSSPACE = 48,
	MFINALFUNC = loyalty_internal.points_sum_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE loyalty.sum(loyalty.points) IS
	'exact sum; 22003 only if the result does not fit, whatever the order; NULL of no rows';

CREATE AGGREGATE loyalty.avg(loyalty.points) (
	SFUNC = loyalty_internal.points_accumulate,
	STYPE = internal,
	SSPACE = 48,
	FINALFUNC = loyalty_internal.points_avg_final,
	COMBINEFUNC = pg_catalog.int8_avg_combine,
	SERIALFUNC = pg_catalog.int8_avg_serialize,
	DESERIALFUNC = pg_catalog.int8_avg_deserialize,
	MSFUNC = loyalty_internal.points_accumulate,
	MINVFUNC = loyalty_internal.points_deaccumulate,
	MSTYPE = internal,
	MSSPACE = 48,
	MFINALFUNC = loyalty_internal.points_avg_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE loyalty.avg(loyalty.points) IS
	'average, as numeric without trailing zeros; NULL of no rows';

CREATE AGGREGATE loyalty.max(loyalty.points) (
	SFUNC = loyalty_internal.points_larger,
	STYPE = loyalty.points,
	COMBINEFUNC = loyalty_internal.points_larger,
	SORTOP = OPERATOR(loyalty.>),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE loyalty.max(loyalty.points) IS
	'largest amount; NULL of no rows';

CREATE AGGREGATE loyalty.min(loyalty.points) (
	SFUNC = loyalty_internal.points_smaller,
	STYPE = loyalty.points,
	COMBINEFUNC = loyalty_internal.points_smaller,
	SORTOP = OPERATOR(loyalty.<),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE loyalty.min(loyalty.points) IS
	'smallest amount; NULL of no rows';

CREATE FUNCTION loyalty.percent_of(amount loyalty.points, percent numeric, decimals integer DEFAULT 2, rounding text DEFAULT 'half_up')
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_percent_of';
COMMENT ON FUNCTION loyalty.percent_of(loyalty.points, numeric, integer, text) IS
	'amount * percent / 100 to 0..4 decimals; rounding is half_up (ties away from zero), half_even, down (towards zero) or up (away from zero); 22023 for other arguments or more than 4 decimals of a percent, 22003 if the result does not fit';

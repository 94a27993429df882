/*
 * loyalty.phone: the ten digits of a Mexican telephone number.
 *
 * The representation is that of bigint; what compares, hashes and sorts it is
 * the server's own.
 */

CREATE TYPE loyalty.phone;

CREATE FUNCTION loyalty.phone_in(cstring)
	RETURNS loyalty.phone
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'phone_in';
COMMENT ON FUNCTION loyalty.phone_in(cstring) IS
	'text to phone: 10 digits after +52, 52, +521, 521, 01, 044 or 045, with spaces and dashes between them; 22P02 for anything else';

CREATE FUNCTION loyalty.phone_out(loyalty.phone)
	RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'phone_out';
COMMENT ON FUNCTION loyalty.phone_out(loyalty.phone) IS
	'phone to text: 10 digits';

CREATE FUNCTION loyalty.phone_recv(internal)
	RETURNS loyalty.phone
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'phone_recv';
COMMENT ON FUNCTION loyalty.phone_recv(internal) IS
	'binary form to phone: a bigint; 22P03 if it has more than 10 digits';

CREATE FUNCTION loyalty.phone_send(loyalty.phone)
	RETURNS bytea
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'int8send';
COMMENT ON FUNCTION loyalty.phone_send(loyalty.phone) IS
	'phone to binary form: a bigint';

CREATE TYPE loyalty.phone (
	INPUT = loyalty.phone_in,
	OUTPUT = loyalty.phone_out,
	RECEIVE = loyalty.phone_recv,
	SEND = loyalty.phone_send,
	INTERNALLENGTH = 8,
	PASSEDBYVALUE,
	ALIGNMENT = double,
	STORAGE = plain,
	CATEGORY = 'U'
);
COMMENT ON TYPE loyalty.phone IS
	'the ten digits of a Mexican telephone number, however it was written';

CREATE FUNCTION loyalty.phone_eq(loyalty.phone, loyalty.phone)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'compare_eq';
COMMENT ON FUNCTION loyalty.phone_eq(loyalty.phone, loyalty.phone) IS
	'implementation of = operator';

CREATE FUNCTION loyalty.phone_ne(loyalty.phone, loyalty.phone)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'compare_ne';
COMMENT ON FUNCTION loyalty.phone_ne(loyalty.phone, loyalty.phone) IS
	'implementation of <> operator';

CREATE FUNCTION loyalty.phone_lt(loyalty.phone, loyalty.phone)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'compare_lt';
COMMENT ON FUNCTION loyalty.phone_lt(loyalty.phone, loyalty.phone) IS
	'implementation of < operator';

CREATE FUNCTION loyalty.phone_le(loyalty.phone, loyalty.phone)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'compare_le';
COMMENT ON FUNCTION loyalty.phone_le(loyalty.phone, loyalty.phone) IS
	'implementation of <= operator';

CREATE FUNCTION loyalty.phone_gt(loyalty.phone, loyalty.phone)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'compare_gt';
COMMENT ON FUNCTION loyalty.phone_gt(loyalty.phone, loyalty.phone) IS
	'implementation of > operator';

CREATE FUNCTION loyalty.phone_ge(loyalty.phone, loyalty.phone)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'compare_ge';
COMMENT ON FUNCTION loyalty.phone_ge(loyalty.phone, loyalty.phone) IS
	'implementation of >= operator';

CREATE FUNCTION loyalty.phone_cmp(loyalty.phone, loyalty.phone)
	RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'compare_cmp';
COMMENT ON FUNCTION loyalty.phone_cmp(loyalty.phone, loyalty.phone) IS
	'less-equal-greater: -1, 0 or 1';

CREATE FUNCTION loyalty.phone_hash(loyalty.phone)
	RETURNS integer
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'hashint8';
COMMENT ON FUNCTION loyalty.phone_hash(loyalty.phone) IS
	'hash';

CREATE FUNCTION loyalty.phone_hash_extended(loyalty.phone, bigint)
	RETURNS bigint
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'hashint8extended';
COMMENT ON FUNCTION loyalty.phone_hash_extended(loyalty.phone, bigint) IS
	'hash with a seed';

CREATE OPERATOR loyalty.= (
	LEFTARG = loyalty.phone,
	RIGHTARG = loyalty.phone,
	FUNCTION = loyalty.phone_eq,
	COMMUTATOR = OPERATOR(loyalty.=),
	NEGATOR = OPERATOR(loyalty.<>),
	RESTRICT = eqsel,
	JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR loyalty.= (loyalty.phone, loyalty.phone) IS
	'equal';

CREATE OPERATOR loyalty.<> (
	LEFTARG = loyalty.phone,
	RIGHTARG = loyalty.phone,
	FUNCTION = loyalty.phone_ne,
	COMMUTATOR = OPERATOR(loyalty.<>),
	NEGATOR = OPERATOR(loyalty.=),
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);
COMMENT ON OPERATOR loyalty.<> (loyalty.phone, loyalty.phone) IS
	'not equal';

CREATE OPERATOR loyalty.< (
	LEFTARG = loyalty.phone,
	RIGHTARG = loyalty.phone,
	FUNCTION = loyalty.phone_lt,
	COMMUTATOR = OPERATOR(loyalty.>),
	NEGATOR = OPERATOR(loyalty.>=),
	RESTRICT = scalarltsel,
	JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR loyalty.< (loyalty.phone, loyalty.phone) IS
	'less than';

CREATE OPERATOR loyalty.<= (
	LEFTARG = loyalty.phone,
	RIGHTARG = loyalty.phone,
	FUNCTION = loyalty.phone_le,
	COMMUTATOR = OPERATOR(loyalty.>=),
	NEGATOR = OPERATOR(loyalty.>),
	RESTRICT = scalarlesel,
	JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR loyalty.<= (loyalty.phone, loyalty.phone) IS
	'less than or equal';

CREATE OPERATOR loyalty.> (
	LEFTARG = loyalty.phone,
	RIGHTARG = loyalty.phone,
	FUNCTION = loyalty.phone_gt,
	COMMUTATOR = OPERATOR(loyalty.<),
	NEGATOR = OPERATOR(loyalty.<=),
	RESTRICT = scalargtsel,
	JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR loyalty.> (loyalty.phone, loyalty.phone) IS
	'greater than';

CREATE OPERATOR loyalty.>= (
	LEFTARG = loyalty.phone,
	RIGHTARG = loyalty.phone,
	FUNCTION = loyalty.phone_ge,
	COMMUTATOR = OPERATOR(loyalty.<=),
	NEGATOR = OPERATOR(loyalty.<),
	RESTRICT = scalargesel,
	JOIN = scalargejoinsel
);
COMMENT ON OPERATOR loyalty.>= (loyalty.phone, loyalty.phone) IS
	'greater than or equal';

CREATE OPERATOR CLASS loyalty.phone_ops
	DEFAULT FOR TYPE loyalty.phone USING btree AS
	OPERATOR 1 loyalty.<,
	OPERATOR 2 loyalty.<=,
	OPERATOR 3 loyalty.=,
	OPERATOR 4 loyalty.>=,
	OPERATOR 5 loyalty.>,
	FUNCTION 1 loyalty.phone_cmp(loyalty.phone, loyalty.phone),
	FUNCTION 2 pg_catalog.btint8sortsupport(internal),
	FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR CLASS loyalty.phone_ops USING btree IS
	'btree order of loyalty.phone';
COMMENT ON OPERATOR FAMILY loyalty.phone_ops USING btree IS
	'btree order of loyalty.phone';

CREATE OPERATOR CLASS loyalty.phone_ops
	DEFAULT FOR TYPE loyalty.phone USING hash AS
	OPERATOR 1 loyalty.=,
	FUNCTION 1 loyalty.phone_hash(loyalty.phone),
	FUNCTION 2 loyalty.phone_hash_extended(loyalty.phone, bigint);
COMMENT ON OPERATOR CLASS loyalty.phone_ops USING hash IS
	'hash equality of loyalty.phone';
COMMENT ON OPERATOR FAMILY loyalty.phone_ops USING hash IS
	'hash equality of loyalty.phone';

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

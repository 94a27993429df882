/*
 * loyalty.curp: a key of Mexico's population registry.
 *
 * It has 18 characters: four letters of the names, the date of birth, the sex,
 * the state of birth, three consonants of the names, what tells homonyms apart
 * (a digit before 2000, a letter after) and a check digit.
 */

CREATE TYPE loyalty.curp;

CREATE FUNCTION loyalty.curp_in(cstring)
	RETURNS loyalty.curp
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_in';
COMMENT ON FUNCTION loyalty.curp_in(cstring) IS
	'text to curp: 18 characters in capitals or small letters, with blanks around them; an Ñ among the letters of the names is the X that the registry writes for it; 22P02, and why in DETAIL, if the length, a character, the date, the sex, the state or the check digit is wrong';

CREATE FUNCTION loyalty.curp_out(loyalty.curp)
	RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_out';
COMMENT ON FUNCTION loyalty.curp_out(loyalty.curp) IS
	'curp to text: 18 characters in capitals';

CREATE FUNCTION loyalty.curp_recv(internal)
	RETURNS loyalty.curp
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_recv';
COMMENT ON FUNCTION loyalty.curp_recv(internal) IS
	'binary form to curp: its text; 22P03, and why in DETAIL, if it is none';

CREATE FUNCTION loyalty.curp_send(loyalty.curp)
	RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_send';
COMMENT ON FUNCTION loyalty.curp_send(loyalty.curp) IS
	'curp to binary form: its text';

CREATE TYPE loyalty.curp (
	INPUT = loyalty.curp_in,
	OUTPUT = loyalty.curp_out,
	RECEIVE = loyalty.curp_recv,
	SEND = loyalty.curp_send,
	INTERNALLENGTH = 18,
	ALIGNMENT = char,
	STORAGE = plain,
	CATEGORY = 'U'
);
COMMENT ON TYPE loyalty.curp IS
	'the key (CURP) under which the population registry of Mexico knows a person';

CREATE FUNCTION loyalty.curp_eq(loyalty.curp, loyalty.curp)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_eq';
COMMENT ON FUNCTION loyalty.curp_eq(loyalty.curp, loyalty.curp) IS
	'implementation of = operator';

CREATE FUNCTION loyalty.curp_ne(loyalty.curp, loyalty.curp)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_ne';
COMMENT ON FUNCTION loyalty.curp_ne(loyalty.curp, loyalty.curp) IS
	'implementation of <> operator';

CREATE FUNCTION loyalty.curp_lt(loyalty.curp, loyalty.curp)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_lt';
COMMENT ON FUNCTION loyalty.curp_lt(loyalty.curp, loyalty.curp) IS
	'implementation of < operator';

CREATE FUNCTION loyalty.curp_le(loyalty.curp, loyalty.curp)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_le';
COMMENT ON FUNCTION loyalty.curp_le(loyalty.curp, loyalty.curp) IS
	'implementation of <= operator';

CREATE FUNCTION loyalty.curp_gt(loyalty.curp, loyalty.curp)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_gt';
COMMENT ON FUNCTION loyalty.curp_gt(loyalty.curp, loyalty.curp) IS
	'implementation of > operator';

CREATE FUNCTION loyalty.curp_ge(loyalty.curp, loyalty.curp)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_ge';
COMMENT ON FUNCTION loyalty.curp_ge(loyalty.curp, loyalty.curp) IS
	'implementation of >= operator';

CREATE FUNCTION loyalty.curp_cmp(loyalty.curp, loyalty.curp)
	RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_cmp';
COMMENT ON FUNCTION loyalty.curp_cmp(loyalty.curp, loyalty.curp) IS
	'less-equal-greater: -1, 0 or 1';

CREATE FUNCTION loyalty.curp_hash(loyalty.curp)
	RETURNS integer
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_hash';
COMMENT ON FUNCTION loyalty.curp_hash(loyalty.curp) IS
	'hash';

CREATE FUNCTION loyalty.curp_hash_extended(loyalty.curp, bigint)
	RETURNS bigint
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_hash_extended';
COMMENT ON FUNCTION loyalty.curp_hash_extended(loyalty.curp, bigint) IS
	'hash with a seed';

CREATE OPERATOR loyalty.= (
	LEFTARG = loyalty.curp,
	RIGHTARG = loyalty.curp,
	FUNCTION = loyalty.curp_eq,
	COMMUTATOR = OPERATOR(loyalty.=),
	NEGATOR = OPERATOR(loyalty.<>),
	RESTRICT = eqsel,
	JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR loyalty.= (loyalty.curp, loyalty.curp) IS
	'equal';

CREATE OPERATOR loyalty.<> (
	LEFTARG = loyalty.curp,
	RIGHTARG = loyalty.curp,
	FUNCTION = loyalty.curp_ne,
	COMMUTATOR = OPERATOR(loyalty.<>),
	NEGATOR = OPERATOR(loyalty.=),
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);
COMMENT ON OPERATOR loyalty.<> (loyalty.curp, loyalty.curp) IS
	'not equal';

CREATE OPERATOR loyalty.< (
	LEFTARG = loyalty.curp,
	RIGHTARG = loyalty.curp,
	FUNCTION = loyalty.curp_lt,
	COMMUTATOR = OPERATOR(loyalty.>),
	NEGATOR = OPERATOR(loyalty.>=),
	RESTRICT = scalarltsel,
	JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR loyalty.< (loyalty.curp, loyalty.curp) IS
	'less than';

CREATE OPERATOR loyalty.<= (
	LEFTARG = loyalty.curp,
	RIGHTARG = loyalty.curp,
	FUNCTION = loyalty.curp_le,
	COMMUTATOR = OPERATOR(loyalty.>=),
	NEGATOR = OPERATOR(loyalty.>),
	RESTRICT = scalarlesel,
	JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR loyalty.<= (loyalty.curp, loyalty.curp) IS
	'less than or equal';

CREATE OPERATOR loyalty.> (
	LEFTARG = loyalty.curp,
	RIGHTARG = loyalty.curp,
	FUNCTION = loyalty.curp_gt,
	COMMUTATOR = OPERATOR(loyalty.<),
	NEGATOR = OPERATOR(loyalty.<=),
	RESTRICT = scalargtsel,
	JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR loyalty.> (loyalty.curp, loyalty.curp) IS
	'greater than';

CREATE OPERATOR loyalty.>= (
	LEFTARG = loyalty.curp,
	RIGHTARG = loyalty.curp,
	FUNCTION = loyalty.curp_ge,
	COMMUTATOR = OPERATOR(loyalty.<=),
	NEGATOR = OPERATOR(loyalty.<),
	RESTRICT = scalargesel,
	JOIN = scalargejoinsel
);
COMMENT ON OPERATOR loyalty.>= (loyalty.curp, loyalty.curp) IS
	'greater than or equal';

CREATE OPERATOR CLASS loyalty.curp_ops
	DEFAULT FOR TYPE loyalty.curp USING btree AS
	OPERATOR 1 loyalty.<,
	OPERATOR 2 loyalty.<=,
	OPERATOR 3 loyalty.=,
	OPERATOR 4 loyalty.>=,
	OPERATOR 5 loyalty.>,
	FUNCTION 1 loyalty.curp_cmp(loyalty.curp, loyalty.curp),
	FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR CLASS loyalty.curp_ops USING btree IS
	'btree order of loyalty.curp';
COMMENT ON OPERATOR FAMILY loyalty.curp_ops USING btree IS
	'btree order of loyalty.curp';

CREATE OPERATOR CLASS loyalty.curp_ops
	DEFAULT FOR TYPE loyalty.curp USING hash AS
	OPERATOR 1 loyalty.=,
	FUNCTION 1 loyalty.curp_hash(loyalty.curp),
	FUNCTION 2 loyalty.curp_hash_extended(loyalty.curp, bigint);
COMMENT ON OPERATOR CLASS loyalty.curp_ops USING hash IS
	'hash equality of loyalty.curp';
COMMENT ON OPERATOR FAMILY loyalty.curp_ops USING hash IS
	'hash equality of loyalty.curp';

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

/*
 * The SQL types points, phone and curp, and what compares them.  What else can
 * be done with each is in a file of its own.
 */

/*
 * loyalty.points: an exact amount of points or money.
 *
 * The representation is that of bigint, so whatever depends on nothing else
 * (comparison, hash, sort, binary form, accumulation) is the server's own.
 */

CREATE TYPE loyalty.points;

CREATE FUNCTION loyalty_internal.points_in(cstring)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_in';
COMMENT ON FUNCTION loyalty_internal.points_in(cstring) IS
	'text to points: [+-]digits[.digits], at most 4 decimals; 22P02 if it is not that, 22003 if it does not fit';

CREATE FUNCTION loyalty_internal.points_out(loyalty.points)
	RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'points_out';
COMMENT ON FUNCTION loyalty_internal.points_out(loyalty.points) IS
	'points to text, without trailing zeros';

CREATE FUNCTION loyalty_internal.points_recv(internal)
	RETURNS loyalty.points
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'int8recv';
COMMENT ON FUNCTION loyalty_internal.points_recv(internal) IS
	'binary form to points: the ten-thousandths, as a bigint';

CREATE FUNCTION loyalty_internal.points_send(loyalty.points)
	RETURNS bytea
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'int8send';
COMMENT ON FUNCTION loyalty_internal.points_send(loyalty.points) IS
	'points to binary form: the ten-thousandths, as a bigint';

CREATE TYPE loyalty.points (
	INPUT = loyalty_internal.points_in,
	OUTPUT = loyalty_internal.points_out,
	RECEIVE = loyalty_internal.points_recv,
	SEND = loyalty_internal.points_send,
	INTERNALLENGTH = 8,
	PASSEDBYVALUE,
	ALIGNMENT = double,
	STORAGE = plain,
	CATEGORY = 'N',
	PREFERRED = true	-- what meets a number is an amount, if either can be made the other
);
COMMENT ON TYPE loyalty.points IS
	'exact amount of points or money with 4 decimals, from -922337203685477.5808 to 922337203685477.5807';

/*
 * loyalty.phone: the ten digits of a Mexican telephone number.
 *
 * The representation is that of bigint; what compares, hashes and sorts it is
 * the server's own.
 */

CREATE TYPE loyalty.phone;

CREATE FUNCTION loyalty_internal.phone_in(cstring)
	RETURNS loyalty.phone
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'phone_in';
COMMENT ON FUNCTION loyalty_internal.phone_in(cstring) IS
	'text to phone: 10 digits after +52, 52, +521, 521, 01, 044 or 045, with spaces and dashes between them; 22P02 for anything else';

CREATE FUNCTION loyalty_internal.phone_out(loyalty.phone)
	RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'phone_out';
COMMENT ON FUNCTION loyalty_internal.phone_out(loyalty.phone) IS
	'phone to text: 10 digits';

CREATE FUNCTION loyalty_internal.phone_recv(internal)
	RETURNS loyalty.phone
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'phone_recv';
COMMENT ON FUNCTION loyalty_internal.phone_recv(internal) IS
	'binary form to phone: a bigint; 22P03 if it has more than 10 digits';

CREATE FUNCTION loyalty_internal.phone_send(loyalty.phone)
	RETURNS bytea
	LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
	AS 'int8send';
COMMENT ON FUNCTION loyalty_internal.phone_send(loyalty.phone) IS
	'phone to binary form: a bigint';

CREATE TYPE loyalty.phone (
	INPUT = loyalty_internal.phone_in,
	OUTPUT = loyalty_internal.phone_out,
	RECEIVE = loyalty_internal.phone_recv,
	SEND = loyalty_internal.phone_send,
	INTERNALLENGTH = 8,
	PASSEDBYVALUE,
	ALIGNMENT = double,
	STORAGE = plain,
	CATEGORY = 'U'
);
COMMENT ON TYPE loyalty.phone IS
	'the ten digits of a Mexican telephone number, however it was written';

/*
 * loyalty.curp: a key of Mexico's population registry.
 *
 * It has 18 characters: four letters of the names, the date of birth, the sex,
 * the state of birth, three consonants of the names, what tells homonyms apart
 * (a digit before 2000, a letter after) and a check digit.
 */

CREATE TYPE loyalty.curp;

CREATE FUNCTION loyalty_internal.curp_in(cstring)
	RETURNS loyalty.curp
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_in';
COMMENT ON FUNCTION loyalty_internal.curp_in(cstring) IS
	'text to curp: 18 characters in capitals or small letters, with blanks around them; an Ñ among the letters of the names is the X that the registry writes for it; 22P02, and why in DETAIL, if the length, a character, the date, the sex, the state or the check digit is wrong';

CREATE FUNCTION loyalty_internal.curp_out(loyalty.curp)
	RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_out';
COMMENT ON FUNCTION loyalty_internal.curp_out(loyalty.curp) IS
	'curp to text: 18 characters in capitals';

CREATE FUNCTION loyalty_internal.curp_recv(internal)
	RETURNS loyalty.curp
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_recv';
COMMENT ON FUNCTION loyalty_internal.curp_recv(internal) IS
	'binary form to curp: its text; 22P03, and why in DETAIL, if it is none';

CREATE FUNCTION loyalty_internal.curp_send(loyalty.curp)
	RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'curp_send';
COMMENT ON FUNCTION loyalty_internal.curp_send(loyalty.curp) IS
	'curp to binary form: its text';

CREATE TYPE loyalty.curp (
	INPUT = loyalty_internal.curp_in,
	OUTPUT = loyalty_internal.curp_out,
	RECEIVE = loyalty_internal.curp_recv,
	SEND = loyalty_internal.curp_send,
	INTERNALLENGTH = 18,
	ALIGNMENT = char,
	STORAGE = plain,
	CATEGORY = 'U'
);
COMMENT ON TYPE loyalty.curp IS
	'the key (CURP) under which the population registry of Mexico knows a person';

/*
 * What compares and hashes them, their operators and operator classes.  Points
 * and phones are compared, sorted and hashed as the bigint that they are.
 */
DO $types$
DECLARE
	type record;
	operator record;
BEGIN
	FOR type IN
		SELECT * FROM (VALUES
			('points', 'compare', 'internal', $$'hashint8'$$, $$'hashint8extended'$$, 'FUNCTION 2 pg_catalog.btint8sortsupport(internal),'),
			('phone', 'compare', 'internal', $$'hashint8'$$, $$'hashint8extended'$$, 'FUNCTION 2 pg_catalog.btint8sortsupport(internal),'),
			('curp', 'curp', 'C', $$'MODULE_PATHNAME', 'curp_hash'$$, $$'MODULE_PATHNAME', 'curp_hash_extended'$$, '')
		) t (name, compare, hash_language, hash, hash_extended, sort_support)
	LOOP
		FOR operator IN
			SELECT * FROM (VALUES
				('eq', '=', '=', '<>', 'eq', 'equal', ', HASHES, MERGES'),
				('ne', '<>', '<>', '=', 'neq', 'not equal', ''),
				('lt', '<', '>', '>=', 'scalarlt', 'less than', ''),
				('le', '<=', '>=', '>', 'scalarle', 'less than or equal', ''),
				('gt', '>', '<', '<=', 'scalargt', 'greater than', ''),
				('ge', '>=', '<=', '<', 'scalarge', 'greater than or equal', '')
			) o (suffix, name, commutator, negator, selectivity, says, joins)
		LOOP
			EXECUTE format($sql$
				CREATE FUNCTION loyalty_internal.%1$s_%3$s(loyalty.%1$s, loyalty.%1$s)
					RETURNS boolean
					LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
					AS 'MODULE_PATHNAME', '%2$s_%3$s';
				COMMENT ON FUNCTION loyalty_internal.%1$s_%3$s(loyalty.%1$s, loyalty.%1$s) IS
					'implementation of %4$s operator';
				CREATE OPERATOR loyalty.%4$s (
					LEFTARG = loyalty.%1$s,
					RIGHTARG = loyalty.%1$s,
					FUNCTION = loyalty_internal.%1$s_%3$s,
					COMMUTATOR = OPERATOR(loyalty.%5$s),
					NEGATOR = OPERATOR(loyalty.%6$s),
					RESTRICT = %7$ssel,
					JOIN = %7$sjoinsel%9$s
				);
				COMMENT ON OPERATOR loyalty.%4$s (loyalty.%1$s, loyalty.%1$s) IS
					'%8$s'$sql$,
				type.name, type.compare, operator.suffix, operator.name, operator.commutator, operator.negator, operator.selectivity,
				operator.says, operator.joins);
		END LOOP;

		EXECUTE format($sql$
			CREATE FUNCTION loyalty_internal.%1$s_cmp(loyalty.%1$s, loyalty.%1$s)
				RETURNS integer
				LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
				AS 'MODULE_PATHNAME', '%2$s_cmp';
			COMMENT ON FUNCTION loyalty_internal.%1$s_cmp(loyalty.%1$s, loyalty.%1$s) IS
				'less-equal-greater: -1, 0 or 1';
			CREATE FUNCTION loyalty_internal.%1$s_hash(loyalty.%1$s)
				RETURNS integer
				LANGUAGE %3$s IMMUTABLE STRICT PARALLEL SAFE
				AS %4$s;
			COMMENT ON FUNCTION loyalty_internal.%1$s_hash(loyalty.%1$s) IS
				'hash';
			CREATE FUNCTION loyalty_internal.%1$s_hash_extended(loyalty.%1$s, bigint)
				RETURNS bigint
				LANGUAGE %3$s IMMUTABLE STRICT PARALLEL SAFE
				AS %5$s;
			COMMENT ON FUNCTION loyalty_internal.%1$s_hash_extended(loyalty.%1$s, bigint) IS
				'hash with a seed';

			CREATE OPERATOR CLASS loyalty.%1$s_ops
				DEFAULT FOR TYPE loyalty.%1$s USING btree AS
				OPERATOR 1 loyalty.<,
				OPERATOR 2 loyalty.<=,
				OPERATOR 3 loyalty.=,
				OPERATOR 4 loyalty.>=,
				OPERATOR 5 loyalty.>,
				FUNCTION 1 loyalty_internal.%1$s_cmp(loyalty.%1$s, loyalty.%1$s),
				%6$s
				FUNCTION 4 pg_catalog.btequalimage(oid);
			COMMENT ON OPERATOR CLASS loyalty.%1$s_ops USING btree IS
				'btree order of loyalty.%1$s';
			COMMENT ON OPERATOR FAMILY loyalty.%1$s_ops USING btree IS
				'btree order of loyalty.%1$s';

			CREATE OPERATOR CLASS loyalty.%1$s_ops
				DEFAULT FOR TYPE loyalty.%1$s USING hash AS
				OPERATOR 1 loyalty.=,
				FUNCTION 1 loyalty_internal.%1$s_hash(loyalty.%1$s),
				FUNCTION 2 loyalty_internal.%1$s_hash_extended(loyalty.%1$s, bigint);
			COMMENT ON OPERATOR CLASS loyalty.%1$s_ops USING hash IS
				'hash equality of loyalty.%1$s';
			COMMENT ON OPERATOR FAMILY loyalty.%1$s_ops USING hash IS
				'hash equality of loyalty.%1$s'$sql$,
			type.name, type.compare, type.hash_language, type.hash, type.hash_extended, type.sort_support);
	END LOOP;
END
$types$;

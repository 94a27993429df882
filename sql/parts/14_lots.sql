/*
 * loyalty.lots: points by the moment at which they expire.
 *
 * A sorted list of up to 65,536 lots, packed into the row of the account that
 * has the points.  It is there to be read as a whole: nobody looks for an
 * account by its lots or puts lots in order, so there are no operator classes,
 * and thus no DISTINCT, GROUP BY or index on them.  Equality is there to be
 * asked in a WHERE.
 */

CREATE TYPE loyalty.lots;

CREATE FUNCTION loyalty_internal.lots_in(cstring)
	RETURNS loyalty.lots
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_in';
COMMENT ON FUNCTION loyalty_internal.lots_in(cstring) IS
	'text to lots: {2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}, the moments in UTC and in any order, each once, points above 0; where points were posted with an earlier moment, that follows after a slash: {2027-01-15T06:00:00Z/2027-01-01T06:00:00Z=30}; 22P02 if it is not that, 22003 if a moment or the total does not fit, 54000 if there are more than 65,536';

CREATE FUNCTION loyalty_internal.lots_out(loyalty.lots)
	RETURNS cstring
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_out';
COMMENT ON FUNCTION loyalty_internal.lots_out(loyalty.lots) IS
	'lots to text: soonest first, the moments in UTC whatever the settings';

CREATE FUNCTION loyalty_internal.lots_recv(internal)
	RETURNS loyalty.lots
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_recv';
COMMENT ON FUNCTION loyalty_internal.lots_recv(internal) IS
	'binary form to lots: the bytes that are stored; 22P03 if they are none';

CREATE FUNCTION loyalty_internal.lots_send(loyalty.lots)
	RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_send';
COMMENT ON FUNCTION loyalty_internal.lots_send(loyalty.lots) IS
	'lots to binary form: the bytes that are stored; the first moment in seconds since 2000 and its points, then for each lot the seconds since the one before and its points, as varints; before the points 0 and so many seconds, if they were posted with a moment that much earlier';

-- Main: a value stays in its row as long as that fits into a page, and it does.
CREATE TYPE loyalty.lots (
	INPUT = loyalty_internal.lots_in,
	OUTPUT = loyalty_internal.lots_out,
	RECEIVE = loyalty_internal.lots_recv,
	SEND = loyalty_internal.lots_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = main,
	CATEGORY = 'U'
);
COMMENT ON TYPE loyalty.lots IS
	'points by the moment at which they expire, in whole seconds, and that with which they were posted, if something has put it off: at most 65,536 lots, each with points above 0';

CREATE FUNCTION loyalty_internal.lots_eq(loyalty.lots, loyalty.lots)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_eq';
COMMENT ON FUNCTION loyalty_internal.lots_eq(loyalty.lots, loyalty.lots) IS
	'implementation of = operator';

CREATE FUNCTION loyalty_internal.lots_ne(loyalty.lots, loyalty.lots)
	RETURNS boolean
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_ne';
COMMENT ON FUNCTION loyalty_internal.lots_ne(loyalty.lots, loyalty.lots) IS
	'implementation of <> operator';

CREATE OPERATOR loyalty.= (
	LEFTARG = loyalty.lots,
	RIGHTARG = loyalty.lots,
	FUNCTION = loyalty_internal.lots_eq,
	COMMUTATOR = OPERATOR(loyalty.=),
	NEGATOR = OPERATOR(loyalty.<>),
	RESTRICT = eqsel,
	JOIN = eqjoinsel
);
COMMENT ON OPERATOR loyalty.= (loyalty.lots, loyalty.lots) IS
	'equal';

CREATE OPERATOR loyalty.<> (
	LEFTARG = loyalty.lots,
	RIGHTARG = loyalty.lots,
	FUNCTION = loyalty_internal.lots_ne,
	COMMUTATOR = OPERATOR(loyalty.<>),
	NEGATOR = OPERATOR(loyalty.=),
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);
COMMENT ON OPERATOR loyalty.<> (loyalty.lots, loyalty.lots) IS
	'not equal';

CREATE FUNCTION loyalty.unnest_lots(lots loyalty.lots)
	RETURNS TABLE (expires_at timestamptz, points loyalty.points)
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 12
	AS 'MODULE_PATHNAME', 'lots_unnest';
COMMENT ON FUNCTION loyalty.unnest_lots(loyalty.lots) IS
	'lot by lot, soonest first';

CREATE FUNCTION loyalty.total(lots loyalty.lots)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_total_all';
COMMENT ON FUNCTION loyalty.total(loyalty.lots) IS
	'the points of all lots; 0 of none';

CREATE FUNCTION loyalty.total_due(lots loyalty.lots, at timestamptz)
	RETURNS loyalty.points
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_total_due';
COMMENT ON FUNCTION loyalty.total_due(loyalty.lots, timestamptz) IS
	'the points that have expired at a moment: of the lots not later than it';

CREATE FUNCTION loyalty.falls_below(lots loyalty.lots, threshold loyalty.points, at timestamptz)
	RETURNS timestamptz
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'lots_falls_below';
COMMENT ON FUNCTION loyalty.falls_below(loyalty.lots, loyalty.points, timestamptz) IS
	'the first moment, not before the one given, from which what has not expired is less than the threshold; NULL, for never, if the threshold is 0 or less';

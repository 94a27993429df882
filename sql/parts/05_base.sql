-- What everything else is made with: ids, random keys, errors, and when two
-- texts are the same.

CREATE FUNCTION loyalty_internal.new_id() RETURNS bigint
LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_new_id';
COMMENT ON FUNCTION loyalty_internal.new_id() IS
'A new 63-bit id: milliseconds since 2020 and 21 random bits, ascending within a session. Needs no sequence, so nodes need not coordinate.';

CREATE FUNCTION loyalty_internal.first_id(moment timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (greatest(floor(extract(epoch FROM moment)) - 1577836800, 0) * 1000)::bigint << 22;
COMMENT ON FUNCTION loyalty_internal.first_id(timestamptz) IS
'The least id that loyalty_internal.new_id() makes at a moment, to the second; 0 before 2020.';

CREATE FUNCTION loyalty_internal.random_key(prefix text, bytes integer DEFAULT 24) RETURNS text
LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_random_key';
COMMENT ON FUNCTION loyalty_internal.random_key(text, integer) IS
'prefix followed by cryptographically random bytes (8 to 64) in hexadecimal. Errors: LY005 invalid_argument, LY500 internal_error.';

CREATE FUNCTION loyalty_internal.hmac(key text, message bytea) RETURNS bytea
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_hmac';
COMMENT ON FUNCTION loyalty_internal.hmac(text, bytea) IS
'HMAC-SHA-256 under a key of 64 bytes; without one, or with one of another length, under zeros. NULL: there is no message.';

CREATE FUNCTION loyalty_internal.hmac(key text, message text) RETURNS bytea
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_hmac';
COMMENT ON FUNCTION loyalty_internal.hmac(text, text) IS
'HMAC-SHA-256 of the bytes of a text, as of bytes.';

-- The catalogue of errors is read from the C code that raises them.
CREATE FUNCTION loyalty_internal.error_codes(
	OUT sqlstate text, OUT code text, OUT family text, OUT http_status integer, OUT message text, OUT hint text)
RETURNS SETOF record
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_error_codes';
COMMENT ON FUNCTION loyalty_internal.error_codes() IS 'The rows of loyalty.error_codes.';

CREATE VIEW loyalty.error_codes AS
SELECT sqlstate, code, family, http_status, message, hint FROM loyalty_internal.error_codes();
COMMENT ON VIEW loyalty.error_codes IS
'Every error of the documented APIs and of the engine: its SQLSTATE, documented code (DETAIL of a raised error), API family, HTTP status, message and hint.';

CREATE FUNCTION loyalty_internal.fail(code text, hint text DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'loyalty_fail';
COMMENT ON FUNCTION loyalty_internal.fail(text, text) IS
'Raises the error of loyalty.error_codes that has this code, with another hint if one is given. Errors: that one; 22023 if there is none.';

CREATE FUNCTION loyalty_internal.require_short(VARIADIC texts text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT max(octet_length(t)) FROM unnest(texts) t) > 1024 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A text has at most 1,024 bytes.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.require_short(text[]) IS
'Part of the functions that keep texts: they have at most as many bytes as fields of the documented APIs. Errors: LY005 invalid_argument.';

CREATE FUNCTION loyalty_internal.require_read_committed() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		PERFORM loyalty_internal.fail('isolation_level');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.require_read_committed() IS
'Part of functions that have to see what was committed while they waited for it. Errors: LY017 isolation_level.';

CREATE FUNCTION loyalty_internal.forgotten_before(older_than interval, max_rows integer DEFAULT 1) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment timestamptz;
BEGIN
	IF coalesce(forgotten_before.max_rows, 0) NOT BETWEEN 1 AND 1000000 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'max_rows is 1 to 1,000,000.');
	END IF;
	moment := now() - forgotten_before.older_than;
	IF moment IS NULL OR moment > now() THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'older_than is neither NULL nor negative.');
	END IF;
	RETURN moment;
EXCEPTION WHEN datetime_field_overflow THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'older_than is too long.');
END
$$;
COMMENT ON FUNCTION loyalty_internal.forgotten_before(interval, integer) IS
'Part of the functions that delete what is older_than so much, max_rows at a time: the moment before which that is. Errors: LY005 invalid_argument (NULL, negative or too long; no number of rows, or too many).';

-- Of which version the library is, and the script, this one.
CREATE FUNCTION loyalty.version(OUT library text, OUT script text, OUT fits boolean) RETURNS record
LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_version';
COMMENT ON FUNCTION loyalty.version() IS
'The version of the library that the session has loaded, that of the script that made the schema, and whether they fit. If they do not, what reads or writes tables fails with LY016 version_mismatch: connect again where the library is older, run ALTER EXTENSION loyalty UPDATE where the script is.';

CREATE FUNCTION loyalty_internal.oldest_library() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '0.2.0';
COMMENT ON FUNCTION loyalty_internal.oldest_library() IS
'The version of the oldest library that works on with this script, in sessions that were open when the extension was updated; those of older ones have to connect again.';

CREATE FUNCTION loyalty_internal.announce_version() RETURNS void
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'loyalty_announce_version';
COMMENT ON FUNCTION loyalty_internal.announce_version() IS
'Part of seal(): has all sessions look at the version of the script again.';

-- When two texts are the same to whoever reads them, in whatever locale the
-- database is: e-mails, names of staff and of branches are compared so.  All
-- other keys are compared byte by byte, and their columns are under "C".
CREATE FUNCTION loyalty_internal.trimmed(text) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_trimmed';
COMMENT ON FUNCTION loyalty_internal.trimmed(text) IS
'The text as it was written, without the blanks around it, those of Unicode too.';

CREATE FUNCTION loyalty_internal.is_name(text) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_is_name';
COMMENT ON FUNCTION loyalty_internal.is_name(text) IS
'Whether a person or a branch may be called so: without control characters, ends of lines and changes of direction, but for those around it, which are trimmed.';

CREATE FUNCTION loyalty_internal.is_line(text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN loyalty_internal.is_name('.' || $1 || '.');
COMMENT ON FUNCTION loyalty_internal.is_line(text) IS
'Whether a text that is kept as it is given stays within a line wherever it is logged or listed: loyalty_internal.is_name() of all of it.';

CREATE FUNCTION loyalty.fold(text) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_fold';
COMMENT ON FUNCTION loyalty.fold(text) IS
'What e-mails, names of staff and names of branches are compared by: small letters of Latin, Greek and Cyrillic for capitals, without the blanks around, one for several of them within, and accents as part of their letters, however they came (NFC). The locale of the database does not count.';

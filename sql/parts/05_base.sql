-- The catalogue of errors, read from the C code that raises them.

CREATE FUNCTION loyalty.error_catalogue(
	OUT sqlstate text, OUT code text, OUT family text, OUT http_status integer, OUT message text, OUT hint text)
RETURNS SETOF record
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_error_catalogue';
COMMENT ON FUNCTION loyalty.error_catalogue() IS 'The rows of loyalty.error_codes.';
REVOKE ALL ON FUNCTION loyalty.error_catalogue() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.error_catalogue() TO loyalty_engine;

CREATE VIEW loyalty.error_codes AS
SELECT sqlstate, code, family, http_status, message, hint FROM loyalty.error_catalogue();
ALTER VIEW loyalty.error_codes OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.error_codes IS
'Every error of the documented APIs and of the engine: its SQLSTATE, documented code (DETAIL of a raised error), API family, HTTP status, message and hint.';

CREATE FUNCTION loyalty.fail(code text, hint text DEFAULT NULL) RETURNS void
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'loyalty_fail';
COMMENT ON FUNCTION loyalty.fail(text, text) IS
'Raises the error of loyalty.error_codes that has this code, with another hint if one is given. Errors: that one; 22023 if there is none.';
REVOKE ALL ON FUNCTION loyalty.fail(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.fail(text, text) TO loyalty_engine;

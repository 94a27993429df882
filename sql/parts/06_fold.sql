-- When two texts are the same to whoever reads them, in whatever locale the
-- database is: e-mails, names of staff and of branches are compared so.  All
-- other keys are compared byte by byte, and their columns are under "C".

CREATE FUNCTION loyalty.trimmed(text) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_trimmed';
COMMENT ON FUNCTION loyalty.trimmed(text) IS
'The text as it was written, without the blanks around it, those of Unicode too.';
REVOKE ALL ON FUNCTION loyalty.trimmed(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.trimmed(text) TO loyalty_engine;

CREATE FUNCTION loyalty.fold(text) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_fold';
COMMENT ON FUNCTION loyalty.fold(text) IS
'What e-mails, names of staff and names of branches are compared by: small letters of Latin, Greek and Cyrillic for capitals, without the blanks around, one for several of them within, and accents as part of their letters, however they came (NFC). The locale of the database does not count.';
REVOKE ALL ON FUNCTION loyalty.fold(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.fold(text) TO loyalty_engine;

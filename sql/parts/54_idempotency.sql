-- Idempotency: keys, and the answers that were given under them.

CREATE TABLE loyalty_internal.idempotency_key (
	merchant_id		bigint		NOT NULL,
	idempotency_key	text		COLLATE "C" NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 200),
	fingerprint		bytea		NOT NULL CHECK (length(fingerprint) = 32),
	answer			text,
	created_at		timestamptz	NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, idempotency_key)
) WITH (fillfactor = 90);	-- so that no key goes into the little that is free in old pages
COMMENT ON TABLE loyalty_internal.idempotency_key IS 'Keys under which a call succeeded. A failed one leaves no row, so it can be tried again.';
COMMENT ON COLUMN loyalty_internal.idempotency_key.fingerprint IS 'SHA-256 of the operation and its arguments, secrets left out.';
COMMENT ON COLUMN loyalty_internal.idempotency_key.answer IS 'The result that a retry gets again; set in the transaction that inserts the row.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.idempotency_key TO loyalty_engine;

CREATE FUNCTION loyalty.forget_idempotency_keys(merchant_id bigint, older_than interval DEFAULT '30 days') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment CONSTANT timestamptz := loyalty_internal.forgotten_before(forget_idempotency_keys.older_than);
	n bigint;
BEGIN
	DELETE FROM loyalty_internal.idempotency_key r
	WHERE r.merchant_id = forget_idempotency_keys.merchant_id AND r.created_at < moment;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION loyalty.forget_idempotency_keys(bigint, interval) IS
'Forgets idempotency keys older than this and returns how many; a retry that comes later than that posts again. Errors: LY005 invalid_argument.';

-- Idempotency: keys, and the answers that were given under them.

CREATE TABLE loyalty_internal.idempotency_key (
	merchant_id		bigint		NOT NULL,
	key_digest		bytea		NOT NULL,
	fingerprint		bytea		NOT NULL,
	answer			text,
	created_at		timestamptz	NOT NULL DEFAULT now(),
	app_user		text		COLLATE "C",
	PRIMARY KEY (merchant_id, key_digest)	-- no CHECK: it would be parsed anew for every key
) WITH (fillfactor = 90);	-- so that no key goes into the little that is free in old pages
COMMENT ON TABLE loyalty_internal.idempotency_key IS 'Keys under which a call succeeded. A failed one leaves no row, so it can be tried again.';
COMMENT ON COLUMN loyalty_internal.idempotency_key.key_digest IS 'The key, which may name somebody, as loyalty_internal.merchant_digest(); that of an app user after its name and a blank, which no key has.';
COMMENT ON COLUMN loyalty_internal.idempotency_key.fingerprint IS 'The operation and its arguments, secrets left out, as loyalty_internal.merchant_digest().';
COMMENT ON COLUMN loyalty_internal.idempotency_key.answer IS 'The result that a retry gets again; set in the transaction that inserts the row.';
COMMENT ON COLUMN loyalty_internal.idempotency_key.app_user IS 'Whose the key is, and in whose space; NULL: the merchant''s.';
CREATE INDEX idempotency_key_age ON loyalty_internal.idempotency_key (merchant_id, created_at);	-- to forget them
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.idempotency_key TO loyalty_engine;

-- In stripes, one for each of some sessions, so that none waits for another's
-- batch; and a session takes some of it in advance.
CREATE TABLE loyalty_internal.idempotency_space (
	merchant_id	bigint		NOT NULL,
	app_user	text		COLLATE "C" NOT NULL,
	stripe		integer		NOT NULL,
	kilobytes	bigint		NOT NULL,
	counted_at	timestamptz,
	PRIMARY KEY (merchant_id, app_user, stripe)
);
COMMENT ON TABLE loyalty_internal.idempotency_space IS 'How much the idempotency keys of a merchant, or of an app user, and their answers take, or a little less than this: one for each key, and one for each kilobyte of an answer.';
COMMENT ON COLUMN loyalty_internal.idempotency_space.app_user IS 'Whose keys; empty: the merchant''s own.';
COMMENT ON COLUMN loyalty_internal.idempotency_space.counted_at IS 'Of stripe 0: when the keys themselves were counted. Since then what was taken has been added.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.idempotency_space TO loyalty_engine;

-- For functions in SQL: the key is claimed before anything is looked up, and the
-- answer is what they return.
CREATE FUNCTION loyalty_internal.claim_key(merchant_id bigint, idempotency_key text, operation text, arguments text[]) RETURNS text
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'loyalty_claim_key';
COMMENT ON FUNCTION loyalty_internal.claim_key(bigint, text, text, text[]) IS
'Part of the functions that take an idempotency_key: the answer that was given under it, or NULL: there is none, or no key, and the function goes on. Errors: LY006 unknown_object (no such merchant), LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY424 idempotency_keys_full.';

CREATE FUNCTION loyalty_internal.keep_answer(merchant_id bigint, idempotency_key text, answer text) RETURNS text
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'loyalty_keep_answer';
COMMENT ON FUNCTION loyalty_internal.keep_answer(bigint, text, text) IS
'Part of the functions that take an idempotency_key: keeps the answer for a retry, if there is a key, and returns it. Errors: LY425 answer_too_long.';

CREATE FUNCTION loyalty_internal.recount_idempotency_keys(merchant_id bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM loyalty_internal.idempotency_space s WHERE s.merchant_id = recount_idempotency_keys.merchant_id;
	INSERT INTO loyalty_internal.idempotency_space AS s (merchant_id, app_user, stripe, kilobytes, counted_at)
	SELECT m.merchant_id, coalesce(r.app_user, ''), 0,
		   coalesce(sum(1 + coalesce(octet_length(r.answer), 0) / 1024) FILTER (WHERE r.key_digest IS NOT NULL), 0), clock_timestamp()
	FROM loyalty_internal.merchant m LEFT JOIN loyalty_internal.idempotency_key r ON r.merchant_id = recount_idempotency_keys.merchant_id
	WHERE m.merchant_id = recount_idempotency_keys.merchant_id GROUP BY m.merchant_id, coalesce(r.app_user, '')
	ON CONFLICT (merchant_id, app_user, stripe) DO UPDATE SET kilobytes = s.kilobytes + excluded.kilobytes, counted_at = excluded.counted_at
$$;
COMMENT ON FUNCTION loyalty_internal.recount_idempotency_keys(bigint) IS
'Part of what keeps idempotency keys within loyalty.idempotency_space: counts those that there are.';

CREATE FUNCTION loyalty.forget_idempotency_keys(merchant_id bigint, older_than interval DEFAULT '30 days', max_rows integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment CONSTANT timestamptz := loyalty_internal.forgotten_before(forget_idempotency_keys.older_than, forget_idempotency_keys.max_rows);
	n bigint;
BEGIN
	WITH gone AS (
		DELETE FROM loyalty_internal.idempotency_key r WHERE r.merchant_id = forget_idempotency_keys.merchant_id AND r.key_digest = ANY (ARRAY(
			SELECT o.key_digest FROM loyalty_internal.idempotency_key o
			WHERE o.merchant_id = forget_idempotency_keys.merchant_id AND o.created_at < moment
			ORDER BY o.created_at LIMIT forget_idempotency_keys.max_rows FOR UPDATE SKIP LOCKED))
		RETURNING coalesce(r.app_user, '') AS app_user
	), freed AS (
		SELECT g.app_user, count(*) AS keys FROM gone g GROUP BY g.app_user
	), spaces AS (
		UPDATE loyalty_internal.idempotency_space s SET kilobytes = s.kilobytes - f.keys FROM freed f
		WHERE s.merchant_id = forget_idempotency_keys.merchant_id AND s.app_user = f.app_user AND s.stripe = 0
	)
	SELECT coalesce(sum(f.keys), 0) INTO n FROM freed f;
	-- The rest is counted once an hour at most, and when there is no more to forget.
	IF n < forget_idempotency_keys.max_rows AND NOT EXISTS (
		SELECT FROM loyalty_internal.idempotency_space s
		WHERE s.merchant_id = forget_idempotency_keys.merchant_id AND s.counted_at BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp()) THEN
		PERFORM loyalty_internal.recount_idempotency_keys(forget_idempotency_keys.merchant_id);
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION loyalty.forget_idempotency_keys(bigint, interval, integer) IS
'Forgets idempotency keys older than this, the oldest max_rows (1 to 1,000,000) of them, and returns how many: as many as max_rows, and there may be more. A retry that comes later than that posts again. Errors: LY005 invalid_argument.';

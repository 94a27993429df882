-- Merchants, the tenants, and their API keys.

CREATE TABLE loyalty_internal.merchant (
	merchant_id	bigint		PRIMARY KEY DEFAULT loyalty_internal.new_id(),
	name		text		NOT NULL CHECK (name <> '' AND loyalty_internal.is_line(name)),
	base_url	text		NOT NULL CHECK (base_url ~ '^https?://[^[:space:]]+[^/[:space:]]$'),
	sandbox		boolean		NOT NULL DEFAULT false,
	created_at	timestamptz	NOT NULL DEFAULT now(),
	password_salt	text	NOT NULL DEFAULT loyalty_internal.random_key('', 16) CHECK (length(password_salt) >= 32),
	digest_key	text		NOT NULL DEFAULT loyalty_internal.random_key('', 32) CHECK (octet_length(digest_key) = 64),
	customer_program_id	bigint,
	notice_version	text	NOT NULL DEFAULT '1' CHECK (notice_version <> ''),
	max_rows	bigint		CHECK (max_rows >= 0),
	dashboard_key	text	NOT NULL DEFAULT loyalty_internal.random_key('', 32) CHECK (octet_length(dashboard_key) = 64)
);
COMMENT ON TABLE loyalty_internal.merchant IS 'The tenants. Every other row belongs to exactly one.';
COMMENT ON COLUMN loyalty_internal.merchant.sandbox IS 'Made-up people: the sandbox paths of the customer API see only this, the others never do.';
COMMENT ON COLUMN loyalty_internal.merchant.password_salt IS 'Of the passwords of the staff: random, and never changed.';
COMMENT ON COLUMN loyalty_internal.merchant.base_url IS 'Where the members'' pages of the merchant live; links in answers and messages start with it.';
COMMENT ON COLUMN loyalty_internal.merchant.digest_key IS 'Of what is kept of texts by which a request is recognised, as loyalty_internal.merchant_digest(): random, and never changed.';
COMMENT ON COLUMN loyalty_internal.merchant.customer_program_id IS 'Where customers are enrolled whom the customer API creates; NULL: in the first program.';
COMMENT ON COLUMN loyalty_internal.merchant.notice_version IS 'Of the privacy notice that customers accept with an order.';
COMMENT ON COLUMN loyalty_internal.merchant.max_rows IS 'How many rows its clients'' requests may fill; NULL: no limit.';
COMMENT ON COLUMN loyalty_internal.merchant.dashboard_key IS 'Under which links to the dashboard are signed: random, and another once they are revoked.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.merchant TO loyalty_engine;

CREATE FUNCTION loyalty_internal.merchant_digest(merchant_id bigint, value text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.hmac((SELECT m.digest_key FROM loyalty_internal.merchant m WHERE m.merchant_id = merchant_digest.merchant_id), merchant_digest.value);
END;
COMMENT ON FUNCTION loyalty_internal.merchant_digest(bigint, text) IS
'What is kept of a text by which a request is recognised, and which may name somebody: idempotency keys, references of refunds and of payments. Its HMAC-SHA-256 under the digest_key of the merchant, which no view shows. So a late repeat is recognised, although the text has been erased.';

CREATE VIEW loyalty.merchants AS
SELECT merchant_id, name, base_url, sandbox, created_at, customer_program_id, notice_version FROM loyalty_internal.merchant;
COMMENT ON VIEW loyalty.merchants IS 'The merchants. base_url: what links to the members'' pages start with; sandbox: whether the people are made up, which only the sandbox paths of the customer API see; customer_program_id, notice_version: as loyalty.configure_customers() sets them.';
COMMENT ON COLUMN loyalty.merchants.base_url IS 'What links to the members'' pages start with.';
COMMENT ON COLUMN loyalty.merchants.sandbox IS 'Whether the people are made up: only the sandbox paths of the customer API see them.';

-- The only table whose key does not start with the merchant: it is what finds
-- the merchant, by a value that is unique without coordination.  It refers to
-- no other table, so that it can be copied to every node of a cluster.
CREATE TABLE loyalty_internal.api_key (
	key_hash	bytea		PRIMARY KEY CHECK (length(key_hash) = 32),
	merchant_id	bigint		NOT NULL,
	key_id		bigint		NOT NULL DEFAULT loyalty_internal.new_id(),
	label		text		NOT NULL DEFAULT '' CHECK (loyalty_internal.is_line(label)),
	created_at	timestamptz	NOT NULL DEFAULT now(),
	expires_at	timestamptz,
	disabled_at	timestamptz,
	last_used_at	timestamptz,
	UNIQUE (merchant_id, key_id)
);
COMMENT ON TABLE loyalty_internal.api_key IS 'API keys, as SHA-256 of 256 random bits: the key itself is shown once and kept nowhere.';
COMMENT ON COLUMN loyalty_internal.api_key.last_used_at IS 'In which hour a request last came with it: not the moment, or every request would write here.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.api_key TO loyalty_engine;

-- For the functions below only: nobody is granted it.
CREATE FUNCTION loyalty_internal.require_merchant(merchant_id bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM loyalty_internal.merchant m WHERE m.merchant_id = require_merchant.merchant_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'There is no merchant with this merchant_id.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.require_merchant(bigint) IS 'Errors: LY006 unknown_object when there is no such merchant.';

CREATE FUNCTION loyalty.create_merchant(name text, base_url text DEFAULT 'https://localhost') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
BEGIN
	PERFORM loyalty_internal.require_short(create_merchant.name, create_merchant.base_url);
	INSERT INTO loyalty_internal.merchant (name, base_url)
	VALUES (create_merchant.name, rtrim(create_merchant.base_url, '/'))
	RETURNING merchant_id INTO id;
	RETURN id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'A merchant has a name, without control characters, and a base_url that starts with http:// or https://.');
END
$$;
COMMENT ON FUNCTION loyalty.create_merchant(text, text) IS
'Creates a merchant and returns its merchant_id. base_url: start of the links to the members'' pages. Errors: LY005 invalid_argument.';

CREATE FUNCTION loyalty.create_api_key(
	merchant_id bigint, label text DEFAULT '', expires_at timestamptz DEFAULT NULL,
	OUT key_id bigint, OUT api_key text)
RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(create_api_key.merchant_id);
	PERFORM loyalty_internal.require_short(create_api_key.label);
	api_key := loyalty_internal.random_key('lk_', 32);
	INSERT INTO loyalty_internal.api_key AS k (key_hash, merchant_id, label, expires_at)
	VALUES (sha256(convert_to(api_key, 'UTF8')), create_api_key.merchant_id,
			coalesce(create_api_key.label, ''), create_api_key.expires_at)
	RETURNING k.key_id INTO key_id;
EXCEPTION WHEN check_violation THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'A label has no control characters.');
END
$$;
COMMENT ON FUNCTION loyalty.create_api_key(bigint, text, timestamptz) IS
'Creates one more API key of a merchant and returns it with its key_id. This is the only time the key is shown. label: at most 1,024 bytes, without control characters. expires_at NULL: never. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.enable_api_key(merchant_id bigint, key_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.api_key k SET disabled_at = NULL
	WHERE k.merchant_id = enable_api_key.merchant_id AND k.key_id = enable_api_key.key_id AND k.disabled_at IS NOT NULL;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.api_key k
				   WHERE k.merchant_id = enable_api_key.merchant_id AND k.key_id = enable_api_key.key_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no API key with this key_id.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.enable_api_key(bigint, bigint) IS
'Accepts an API key again that was disabled, until it expires; returns whether it was. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.disable_api_key(merchant_id bigint, key_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.api_key k SET disabled_at = now()
	WHERE k.merchant_id = disable_api_key.merchant_id AND k.key_id = disable_api_key.key_id AND k.disabled_at IS NULL;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.api_key k
				   WHERE k.merchant_id = disable_api_key.merchant_id AND k.key_id = disable_api_key.key_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no API key with this key_id.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.disable_api_key(bigint, bigint) IS
'Disables an API key: requests that start afterwards are refused. Returns whether it was enabled. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.authenticate(api_key text) RETURNS bigint
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_authenticate';
COMMENT ON FUNCTION loyalty.authenticate(text) IS
'The merchant_id an API key belongs to. Errors: LA001 auth_01, the same for an absent, unknown, disabled and expired key.';

CREATE VIEW loyalty.api_keys AS
SELECT merchant_id, key_id, label, created_at, expires_at, disabled_at, last_used_at,
	   disabled_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS active
FROM loyalty_internal.api_key;
COMMENT ON VIEW loyalty.api_keys IS 'The API keys of the merchants, without anything that could be used as one. last_used_at: in which hour a request last came with it, whether it was answered or refused; NULL: none did. What only reads, and is answered in a transaction that cannot write or by a standby, leaves it as it is.';
COMMENT ON COLUMN loyalty.api_keys.last_used_at IS 'The hour, by UTC, in which a request last came with it; NULL: none did.';

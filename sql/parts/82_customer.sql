-- Customers: members with a CURP, who may read their data, and the log of it.

-- Like loyalty_internal.api_key, this finds the merchant by a name that is unique
-- without coordination, and refers to no other table.
CREATE TABLE loyalty_internal.app_user (
	name		text		COLLATE "C" PRIMARY KEY CHECK (name <> '' AND loyalty_internal.is_line(name)),
	merchant_id	bigint		NOT NULL,
	token_ttl_s	integer		NOT NULL DEFAULT 600 CHECK (token_ttl_s BETWEEN 1 AND 86400),
	customer_expires_at	timestamptz	NOT NULL DEFAULT 'infinity',
	accounts_expires_at	timestamptz	NOT NULL DEFAULT 'infinity',
	payments_expires_at	timestamptz	NOT NULL DEFAULT 'infinity',
	created_at	timestamptz	NOT NULL DEFAULT now(),
	disabled_at	timestamptz
);
COMMENT ON TABLE loyalty_internal.app_user IS 'Partners that read customers'' data through the customer API.';
COMMENT ON COLUMN loyalty_internal.app_user.token_ttl_s IS 'How many seconds their tokens are valid.';
COMMENT ON COLUMN loyalty_internal.app_user.customer_expires_at IS 'Until when they may call API_CUSTOMER, as loyalty.app_user_grants shows it.';
COMMENT ON COLUMN loyalty_internal.app_user.accounts_expires_at IS 'Until when they may call API_ACCOUNTS.';
COMMENT ON COLUMN loyalty_internal.app_user.payments_expires_at IS 'Until when they may call API_PAYMENTS.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.app_user TO loyalty_engine;

CREATE TABLE loyalty_internal.app_user_key (
	app_user		text		COLLATE "C" NOT NULL REFERENCES loyalty_internal.app_user,
	key_no			integer		NOT NULL,
	private_key		text		NOT NULL CHECK (length(private_key) >= 32),
	created_at		timestamptz	NOT NULL DEFAULT clock_timestamp(),
	expires_at		timestamptz	NOT NULL DEFAULT 'infinity',
	last_used_at	timestamptz,
	PRIMARY KEY (app_user, key_no)
);
COMMENT ON TABLE loyalty_internal.app_user_key IS 'The keys of the signatures of app users: the newest, and those that it takes the place of, until they expire.';
COMMENT ON COLUMN loyalty_internal.app_user_key.key_no IS 'Grows with every new key of the app user.';
COMMENT ON COLUMN loyalty_internal.app_user_key.private_key IS 'HMAC needs the key itself, so it is kept as it is; only the engine can read it, and nothing ever shows it.';
COMMENT ON COLUMN loyalty_internal.app_user_key.last_used_at IS 'In which hour something was last signed with it: not the moment, or every request would write here.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.app_user_key TO loyalty_engine;

CREATE TABLE loyalty_internal.consent (
	merchant_id		bigint		NOT NULL,
	consent_id		bigint		NOT NULL DEFAULT loyalty_internal.new_id(),
	member_id		bigint		NOT NULL,
	app_user		text		COLLATE "C" NOT NULL,
	policy_id		bigint,
	purpose			text		NOT NULL CHECK (purpose <> ''),
	notice_version	text		NOT NULL CHECK (notice_version <> ''),
	acceptance_hash	bytea		NOT NULL CHECK (length(acceptance_hash) = 32),
	valid_from		timestamptz	NOT NULL DEFAULT now(),
	valid_until		timestamptz,
	revoked_at		timestamptz,
	recorded_at		timestamptz	NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (merchant_id, consent_id),
	FOREIGN KEY (merchant_id, member_id) REFERENCES loyalty_internal.member,
	CHECK (valid_until > valid_from)
);
COMMENT ON TABLE loyalty_internal.consent IS 'A customer''s consent to an app user reading the customer''s data. Revoked ones stay, as proof.';
COMMENT ON COLUMN loyalty_internal.consent.policy_id IS 'Of which policy the app user may read how it stands; NULL: of all data of the customer.';
COMMENT ON COLUMN loyalty_internal.consent.acceptance_hash IS 'SHA-256 of the acceptance key, which is shown once.';
COMMENT ON COLUMN loyalty_internal.consent.valid_from IS 'Since when the customer allows it, as whoever wrote it down says.';
COMMENT ON COLUMN loyalty_internal.consent.recorded_at IS 'When it was written down, by the clock of the server: nothing was read under it before, whatever valid_from says.';
CREATE INDEX consent_member ON loyalty_internal.consent (merchant_id, member_id, app_user);
-- When it was recorded is nobody's to say.
GRANT SELECT, INSERT (merchant_id, member_id, app_user, policy_id, purpose, notice_version, acceptance_hash, valid_from, valid_until), UPDATE (revoked_at)
	ON loyalty_internal.consent TO loyalty_engine;

CREATE TABLE loyalty_internal.access (
	merchant_id	bigint		NOT NULL,
	access_id	bigint		NOT NULL DEFAULT loyalty_internal.new_id(),
	at			timestamptz	NOT NULL DEFAULT clock_timestamp(),
	app_user	text		COLLATE "C" NOT NULL,
	member_id	bigint,
	operation	text		COLLATE "C" NOT NULL,
	request		text		NOT NULL,
	status		integer		NOT NULL,
	address		text		COLLATE "C" NOT NULL DEFAULT '',
	minute		timestamptz,
	curp_hash	integer		NOT NULL DEFAULT 0,
	times		integer		NOT NULL DEFAULT 1,
	last_at		timestamptz	NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (merchant_id, access_id)
);
COMMENT ON TABLE loyalty_internal.access IS 'Every reading of a customer''s data and every refusal. Only ever added to, and refusals are counted: those of one app user, operation, CURP, status and address are one row a minute.';
COMMENT ON COLUMN loyalty_internal.access.member_id IS 'Whose data was asked for; NULL if the merchant has no such customer.';
COMMENT ON COLUMN loyalty_internal.access.minute IS 'In which minute it was refused; NULL if it was not.';
COMMENT ON COLUMN loyalty_internal.access.curp_hash IS 'What tells the refusals of a minute apart: a hash of member_id or, where there is none, four bytes of what the CURP and the minute are under the key of the merchant.';
COMMENT ON COLUMN loyalty_internal.access.times IS 'How often, from at until last_at.';
CREATE UNIQUE INDEX access_refusal ON loyalty_internal.access (merchant_id, app_user, minute, status, operation, address, curp_hash) WHERE minute IS NOT NULL;
CREATE INDEX access_age ON loyalty_internal.access (merchant_id, at);	-- to forget them
GRANT SELECT, INSERT, UPDATE (times, last_at) ON loyalty_internal.access TO loyalty_engine;
GRANT SELECT, DELETE ON loyalty_internal.access TO loyalty_auditor;

-- A customer is a member with a CURP.
CREATE TABLE loyalty_internal.customer (
	merchant_id		bigint			NOT NULL,
	member_id		bigint			NOT NULL,
	curp			loyalty.curp	NOT NULL,
	user_name		text			NOT NULL DEFAULT '',
	kind			text			NOT NULL DEFAULT 'Cliente',
	preferences		json			NOT NULL DEFAULT '{}',
	deceased		boolean			NOT NULL DEFAULT false,
	blocked_at		timestamptz,
	PRIMARY KEY (merchant_id, member_id),
	UNIQUE (merchant_id, curp),
	FOREIGN KEY (merchant_id, member_id) REFERENCES loyalty_internal.member
);
CREATE INDEX customer_blocked ON loyalty_internal.customer (merchant_id, blocked_at, member_id) WHERE blocked_at IS NOT NULL;
COMMENT ON TABLE loyalty_internal.customer IS 'Members that the customer API knows, by their CURP.';
COMMENT ON COLUMN loyalty_internal.customer.user_name IS 'What the customer signs in as.';
COMMENT ON COLUMN loyalty_internal.customer.preferences IS 'Preferences of the customer''s account; never a secret.';
COMMENT ON COLUMN loyalty_internal.customer.blocked_at IS 'Since when nobody may read the data: the first step of a cancellation.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.customer TO loyalty_engine;

CREATE VIEW loyalty.customers AS
SELECT merchant_id, member_id, curp, user_name, kind, preferences, deceased, blocked_at FROM loyalty_internal.customer;
COMMENT ON VIEW loyalty.customers IS 'The customers: members with a CURP; names, phone and email are in loyalty.members. user_name: what the customer signs in as; preferences: those of the customer''s account; blocked_at: since when nobody may read the data, the first step of a cancellation. After the second the row is gone.';
COMMENT ON COLUMN loyalty.customers.user_name IS 'What the customer signs in as.';
COMMENT ON COLUMN loyalty.customers.preferences IS 'Preferences of the customer''s account.';
COMMENT ON COLUMN loyalty.customers.blocked_at IS 'Since when nobody may read the data; NULL: who has the customer''s consent may.';

-- Filled by the merchant, from the population registry, which nothing here asks.
CREATE TABLE loyalty.curp_record (
	merchant_id			bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	curp				loyalty.curp	NOT NULL,
	first_name			text			NOT NULL CHECK (first_name <> '' AND loyalty_internal.is_name(first_name)),
	first_last_name		text			NOT NULL CHECK (first_last_name <> '' AND loyalty_internal.is_name(first_last_name)),
	second_last_name	text			NOT NULL DEFAULT '' CHECK (loyalty_internal.is_name(second_last_name)),
	status				text			NOT NULL DEFAULT 'AN',
	deceased			boolean			NOT NULL DEFAULT false,
	recorded_at			timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, curp)
);
COMMENT ON TABLE loyalty.curp_record IS 'CURPs that were looked up in the population registry: the merchant fills it, and the customer API takes the names of new customers from it.';
COMMENT ON COLUMN loyalty.curp_record.status IS 'As the registry says: AN, AH, CRA, RCN and RCC are of CURPs in use; to any other nothing is sold, and BD is of somebody who has died.';
COMMENT ON COLUMN loyalty.curp_record.deceased IS 'Whether the person has died.';
GRANT SELECT, INSERT, DELETE ON loyalty.curp_record TO loyalty_engine;

CREATE FUNCTION loyalty_internal.known_dead(merchant_id bigint, curp loyalty.curp) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM loyalty_internal.customer c
			WHERE c.merchant_id = known_dead.merchant_id AND c.curp OPERATOR(loyalty.=) known_dead.curp AND c.deceased)
		OR EXISTS (SELECT FROM loyalty.curp_record r
			WHERE r.merchant_id = known_dead.merchant_id AND r.curp OPERATOR(loyalty.=) known_dead.curp AND (r.deceased OR r.status = 'BD'));
END;
COMMENT ON FUNCTION loyalty_internal.known_dead(bigint, loyalty.curp) IS 'Whether the merchant knows that the person of a CURP has died, by the customer or by loyalty.curp_record.';

CREATE FUNCTION loyalty_internal.contact_id(merchant_id bigint, member_id bigint) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT ('x' || left(encode(loyalty_internal.merchant_digest(contact_id.merchant_id, 'id_contacto ' || contact_id.member_id), 'hex'), 16))::bit(64)::bigint
		& 9223372036854775807;
END;
COMMENT ON FUNCTION loyalty_internal.contact_id(bigint, bigint) IS 'The number that app users know a customer by: always the same one, of which nothing can be read. The member_id is made of the time, and would tell since when somebody is a customer.';

CREATE FUNCTION loyalty_internal.customer_program(merchant_id bigint) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(
		(SELECT t.customer_program_id FROM loyalty_internal.merchant t WHERE t.merchant_id = customer_program.merchant_id),
		(SELECT min(f.program_id) FROM loyalty_internal.program f WHERE f.merchant_id = customer_program.merchant_id));
END;
COMMENT ON FUNCTION loyalty_internal.customer_program(bigint) IS 'Where the customer API enrols new customers: as loyalty.configure_customers() says, or in the first program.';

CREATE FUNCTION loyalty.configure_customers(merchant_id bigint, program_id bigint DEFAULT NULL, notice_version text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(configure_customers.merchant_id);
	PERFORM loyalty_internal.require_short(configure_customers.notice_version);
	IF configure_customers.program_id IS NOT NULL AND NOT EXISTS (SELECT FROM loyalty_internal.program p
			WHERE p.merchant_id = configure_customers.merchant_id AND p.program_id = configure_customers.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	UPDATE loyalty_internal.merchant t SET customer_program_id = coalesce(configure_customers.program_id, t.customer_program_id),
		notice_version = coalesce(configure_customers.notice_version, t.notice_version)
	WHERE t.merchant_id = configure_customers.merchant_id;
EXCEPTION WHEN check_violation THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'notice_version must not be empty.');
END
$$;
COMMENT ON FUNCTION loyalty.configure_customers(bigint, bigint, text) IS
'Says in which program the customer API enrols new customers, the first one until then, and which version of the privacy notice they accept with an order, 1 until then. What is NULL stays. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty_internal.customer_zone(merchant_id bigint, member_id bigint DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT p.time_zone FROM loyalty_internal.program p
	WHERE p.merchant_id = customer_zone.merchant_id AND p.program_id = coalesce(
		(SELECT m.program_id FROM loyalty_internal.member m WHERE m.merchant_id = customer_zone.merchant_id AND m.member_id = customer_zone.member_id),
		loyalty_internal.customer_program(customer_zone.merchant_id));
END;
COMMENT ON FUNCTION loyalty_internal.customer_zone(bigint, bigint) IS
'The time_zone of the program of a customer, and for who is none yet of loyalty_internal.customer_program().';

CREATE FUNCTION loyalty_internal.customer_today(merchant_id bigint, member_id bigint DEFAULT NULL) RETURNS date
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT (now() AT TIME ZONE loyalty_internal.customer_zone(customer_today.merchant_id, customer_today.member_id))::date;
END;
COMMENT ON FUNCTION loyalty_internal.customer_today(bigint, bigint) IS 'The day that it is for a customer, by loyalty_internal.customer_zone().';

CREATE FUNCTION loyalty_internal.age_on(curp loyalty.curp, on_date date) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN isfinite(age_on.on_date) AND loyalty.birth_date(age_on.curp) <= age_on.on_date THEN loyalty.age(age_on.curp, age_on.on_date) END;
END;
COMMENT ON FUNCTION loyalty_internal.age_on(loyalty.curp, date) IS 'Full years on a day; NULL for who is not born then.';

CREATE FUNCTION loyalty_internal.applicant(application json) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat_ws(' ', nullif(loyalty_internal.trimmed(applicant.application ->> 'nombre'), ''),
		nullif(loyalty_internal.trimmed(applicant.application ->> 'paterno'), ''), nullif(loyalty_internal.trimmed(applicant.application ->> 'materno'), ''));
END;
COMMENT ON FUNCTION loyalty_internal.applicant(json) IS 'The name that came with an order.';

-- All keys, with their types, of what may not be told.
-- A value is written as it stands in the text, so what is between them is found by its length.
CREATE FUNCTION loyalty_internal.with_values(object json, others json) RETURNS json
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	-- a backslash, as patterns have it, which another setting would read otherwise here
	escape CONSTANT text := repeat(chr(92), 2);
	rest text := with_values.object;
	answer text := '';
	up_to_value text;
	f record;
BEGIN
	FOR f IN SELECT e.key, e.value::text AS value FROM json_each(with_values.object) e LOOP
		up_to_value := substring(rest FROM concat('^[[:space:]{,]*"(?:[^"', escape, ']|', escape, '.)*"[[:space:]]*:[[:space:]]*'));
		answer := answer || up_to_value || coalesce((with_values.others -> f.key)::text, f.value);
		rest := substr(rest, length(up_to_value) + length(f.value) + 1);
	END LOOP;
	RETURN answer || rest;
END
$$;
COMMENT ON FUNCTION loyalty_internal.with_values(json, json) IS
'An object with the values that others has for its keys, and else byte for byte as it was.';

CREATE FUNCTION loyalty_internal.untold(answer json, told text[]) RETURNS json
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.with_values(untold.answer, coalesce(json_object_agg(f.key, CASE json_typeof(f.value)
		WHEN 'number' THEN '0' WHEN 'array' THEN '[]' ELSE '""' END::json) FILTER (WHERE f.key <> ALL (untold.told)), '{}'))
	FROM json_each(untold.answer) f (key, value);
END;
COMMENT ON FUNCTION loyalty_internal.untold(json, text[]) IS
'An answer to who has no consent: all keys, and of those that are not told 0, [] or an empty text.';

CREATE FUNCTION loyalty_internal.replaced(object json, key text, value json) RETURNS json
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty_internal.with_values(replaced.object, json_build_object(replaced.key, replaced.value));
END;
COMMENT ON FUNCTION loyalty_internal.replaced(json, text, json) IS 'An object with another value of a key that it has.';

CREATE FUNCTION loyalty_internal.add_app_user(merchant_id bigint, name text, private_key text, OUT key text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(add_app_user.merchant_id);
	PERFORM loyalty_internal.require_short(add_app_user.name, add_app_user.private_key);
	key := coalesce(add_app_user.private_key, loyalty_internal.random_key('', 32));
	INSERT INTO loyalty_internal.app_user (name, merchant_id) VALUES (add_app_user.name, add_app_user.merchant_id);
	INSERT INTO loyalty_internal.app_user_key (app_user, key_no, private_key) VALUES (add_app_user.name, 1, key);
EXCEPTION
	WHEN check_violation OR not_null_violation THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'name must not be empty and has no control characters, and private_key has at least 32 characters.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'Names of app users are unique on the server, and one has this name, perhaps another merchant''s.');
END
$$;
COMMENT ON FUNCTION loyalty_internal.add_app_user(bigint, text, text) IS 'Part of loyalty.create_app_user().';

CREATE FUNCTION loyalty.create_app_user(merchant_id bigint, name text, private_key text DEFAULT NULL, OUT key text)
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_create_app_user';
COMMENT ON FUNCTION loyalty.create_app_user(bigint, text, text) IS
'Creates an app user of the customer API and returns its PRIVATE_KEY, 256 random bits unless given. This is the only time the key is shown. name: unique on the server, since it is what finds the merchant, at most 1,024 bytes, without control characters. Errors: LY005 invalid_argument, LY006 unknown_object, LY007 already_exists.';

CREATE FUNCTION loyalty_internal.add_private_key(merchant_id bigint, name text, overlap interval, private_key text, OUT key text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	max_keys CONSTANT integer := 8;
	newest integer;
	keys integer;
	again boolean;
BEGIN
	PERFORM loyalty_internal.require_short(add_private_key.private_key);
	IF (add_private_key.overlap BETWEEN interval '0' AND interval '1 year') IS NOT TRUE THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'overlap is 0 to 1 year.');
	END IF;
	-- Nobody else gives the app user a key meanwhile.
	PERFORM FROM loyalty_internal.app_user u
	WHERE u.merchant_id = add_private_key.merchant_id AND u.name = add_private_key.name COLLATE "C" FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no app user of this name.');
	END IF;
	DELETE FROM loyalty_internal.app_user_key k WHERE k.app_user = add_private_key.name COLLATE "C" AND k.expires_at <= clock_timestamp();
	SELECT max(k.key_no), count(*), bool_or(k.private_key = add_private_key.private_key COLLATE "C") INTO newest, keys, again FROM loyalty_internal.app_user_key k
	WHERE k.app_user = add_private_key.name COLLATE "C";
	IF again OR keys >= max_keys AND add_private_key.overlap > interval '0' THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'An app user has eight keys at a time, each once: an overlap of 0 ends all others.');
	END IF;
	-- What ends at once is gone: a moment would begin again with a clock that steps back.
	DELETE FROM loyalty_internal.app_user_key k WHERE k.app_user = add_private_key.name COLLATE "C" AND add_private_key.overlap = interval '0';
	UPDATE loyalty_internal.app_user_key k SET expires_at = least(k.expires_at, clock_timestamp() + add_private_key.overlap)
	WHERE k.app_user = add_private_key.name COLLATE "C";
	key := coalesce(add_private_key.private_key, loyalty_internal.random_key('', 32));
	INSERT INTO loyalty_internal.app_user_key (app_user, key_no, private_key) VALUES (add_private_key.name, newest + 1, key);
EXCEPTION WHEN check_violation THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'private_key has at least 32 characters.');
END
$$;
COMMENT ON FUNCTION loyalty_internal.add_private_key(bigint, text, interval, text) IS 'Part of loyalty.rotate_private_key().';

CREATE FUNCTION loyalty.rotate_private_key(
	merchant_id bigint, name text, overlap interval DEFAULT '7 days', private_key text DEFAULT NULL, OUT key text)
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_rotate_private_key';
COMMENT ON FUNCTION loyalty.rotate_private_key(bigint, text, interval, text) IS
'Gives an app user a new PRIVATE_KEY and returns it, 256 random bits unless given. This is the only time the key is shown. overlap: how long the keys that it has are still good, beside the new one, a year at most; 0: they are refused from the next request on, for good, whatever the clock does then. None gets longer than it had. With a key its signatures and tokens end. loyalty.app_user_keys shows which there are, and when each was last used. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty_internal.set_app_user_api(merchant_id bigint, name text, api text, expires_at timestamptz, OUT granted boolean)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	one CONSTANT text := set_app_user_api.api;
BEGIN
	SELECT CASE one WHEN 'CUSTOMER' THEN u.customer_expires_at WHEN 'ACCOUNTS' THEN u.accounts_expires_at WHEN 'PAYMENTS' THEN u.payments_expires_at END > clock_timestamp()
	INTO granted FROM loyalty_internal.app_user u
	WHERE u.merchant_id = set_app_user_api.merchant_id AND u.name = set_app_user_api.name COLLATE "C" FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no app user of this name.');
	ELSIF granted IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'api is CUSTOMER, ACCOUNTS or PAYMENTS.');
	END IF;
	UPDATE loyalty_internal.app_user u SET
		customer_expires_at = CASE one WHEN 'CUSTOMER' THEN set_app_user_api.expires_at ELSE u.customer_expires_at END,
		accounts_expires_at = CASE one WHEN 'ACCOUNTS' THEN set_app_user_api.expires_at ELSE u.accounts_expires_at END,
		payments_expires_at = CASE one WHEN 'PAYMENTS' THEN set_app_user_api.expires_at ELSE u.payments_expires_at END
	WHERE u.merchant_id = set_app_user_api.merchant_id AND u.name = set_app_user_api.name COLLATE "C";
END
$$;
COMMENT ON FUNCTION loyalty_internal.set_app_user_api(bigint, text, text, timestamptz) IS
'Until when an app user may call an API; returns whether it was allowed to. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.grant_app_user_api(merchant_id bigint, name text, api text, expires_at timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.set_app_user_api(merchant_id, name, api, coalesce(expires_at, 'infinity'));
END
$$;
COMMENT ON FUNCTION loyalty.grant_app_user_api(bigint, text, text, timestamptz) IS
'Lets an app user call an API of the customer API, CUSTOMER, ACCOUNTS or PAYMENTS, until expires_at (NULL: for good); the next call says otherwise. A new app user may call all three, for good. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.revoke_app_user_api(merchant_id bigint, name text, api text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN loyalty_internal.set_app_user_api(merchant_id, name, api, '-infinity');	-- the moment of now would not have come for a clock that steps back
END
$$;
COMMENT ON FUNCTION loyalty.revoke_app_user_api(bigint, text, text) IS
'Refuses an app user an API, CUSTOMER, ACCOUNTS or PAYMENTS, from the next request on, until loyalty.grant_app_user_api() says otherwise, whatever the clock does; who may call none gets no token either. Returns whether the app user might call it. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.enable_app_user(merchant_id bigint, name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.app_user u SET disabled_at = NULL
	WHERE u.merchant_id = enable_app_user.merchant_id AND u.name = enable_app_user.name COLLATE "C" AND u.disabled_at IS NOT NULL;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.app_user u
				   WHERE u.merchant_id = enable_app_user.merchant_id AND u.name = enable_app_user.name COLLATE "C") THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no app user of this name.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.enable_app_user(bigint, text) IS
'Lets an app user in again who was shut out, with the same keys; returns whether it was. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.disable_app_user(merchant_id bigint, name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.app_user u SET disabled_at = now()
	WHERE u.merchant_id = disable_app_user.merchant_id AND u.name = disable_app_user.name COLLATE "C" AND u.disabled_at IS NULL;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.app_user u
				   WHERE u.merchant_id = disable_app_user.merchant_id AND u.name = disable_app_user.name COLLATE "C") THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no app user of this name.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.disable_app_user(bigint, text) IS
'Shuts an app user out: its signatures and tokens are refused from the next request on. Returns whether it was not yet. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.create_customer(
	merchant_id bigint, program_id bigint, curp loyalty.curp, first_name text, first_last_name text,
	second_last_name text DEFAULT '', phone loyalty.phone DEFAULT NULL, email text DEFAULT NULL,
	street text DEFAULT '', number text DEFAULT '', neighborhood text DEFAULT '', municipality text DEFAULT '',
	postcode text DEFAULT '', state text DEFAULT '', user_name text DEFAULT '', kind text DEFAULT 'Cliente',
	idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint := loyalty_internal.claim_key(merchant_id, idempotency_key, 'create_customer', ARRAY[program_id::text, curp::text, first_name, first_last_name,
		second_last_name, phone::text, email, street, number, neighborhood, municipality, postcode, state, user_name, kind]);
BEGIN
	IF id IS NOT NULL THEN
		RETURN id;
	END IF;
	PERFORM loyalty_internal.require_short(create_customer.email, create_customer.user_name, create_customer.kind);
	IF loyalty.birth_date(create_customer.curp) > CURRENT_DATE THEN
		PERFORM loyalty_internal.fail('kasu_417', 'The person of the CURP is not born yet.');
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.program p
				   WHERE p.merchant_id = create_customer.merchant_id AND p.program_id = create_customer.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	create_customer.first_name := loyalty_internal.trimmed(create_customer.first_name);
	create_customer.first_last_name := loyalty_internal.trimmed(create_customer.first_last_name);
	create_customer.second_last_name := loyalty_internal.trimmed(create_customer.second_last_name);
	IF coalesce(create_customer.first_name, '') = '' OR coalesce(create_customer.first_last_name, '') = ''
		OR greatest(octet_length(create_customer.first_name), octet_length(create_customer.first_last_name),
			octet_length(create_customer.second_last_name)) > 1024 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A customer has a first name and a first last name, and each name at most 1,024 bytes.');
	END IF;
	-- Who erases or blocks has the customer first, and then the member.
	PERFORM FROM loyalty_internal.customer c
	WHERE c.merchant_id = create_customer.merchant_id AND c.curp OPERATOR(loyalty.=) create_customer.curp FOR NO KEY UPDATE;
	id := loyalty_internal.register_member(create_customer.merchant_id, create_customer.program_id,
		concat_ws(' ', create_customer.first_name, create_customer.first_last_name, nullif(create_customer.second_last_name, '')),
		create_customer.phone, create_customer.email, NULL, create_customer.curp, create_customer.first_name,
		create_customer.first_last_name, create_customer.second_last_name, loyalty.birth_date(create_customer.curp));
	INSERT INTO loyalty_internal.member_address (merchant_id, member_id, ordinal, street, number_outside, neighborhood, city, postcode, state, country)
	VALUES (create_customer.merchant_id, id, 1, create_customer.street, create_customer.number, create_customer.neighborhood,
		create_customer.municipality, create_customer.postcode, create_customer.state, 'México')
	ON CONFLICT (merchant_id, member_id, ordinal) DO UPDATE SET street = excluded.street, number_inside = '',
		number_outside = excluded.number_outside, neighborhood = excluded.neighborhood, city = excluded.city,
		postcode = excluded.postcode, state = excluded.state, country = excluded.country
	WHERE concat(excluded.street, excluded.number_outside, excluded.neighborhood, excluded.city, excluded.postcode, excluded.state) <> '';
	INSERT INTO loyalty_internal.customer AS c (merchant_id, member_id, curp, user_name, kind)
	VALUES (create_customer.merchant_id, id, create_customer.curp, create_customer.user_name, create_customer.kind)
	ON CONFLICT (merchant_id, member_id) DO UPDATE
	SET user_name = coalesce(nullif(excluded.user_name, ''), c.user_name), kind = excluded.kind;
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, id::text);
EXCEPTION
	WHEN check_violation OR not_null_violation THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A customer has a CURP, a first name and a first last name; nothing given is NULL, names have no control characters, and a part of the address at most 1,024 bytes.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'The merchant has a customer with this CURP, or the program a member with this email or phone.');
END
$$;
COMMENT ON FUNCTION loyalty.create_customer(bigint, bigint, loyalty.curp, text, text, text, loyalty.phone, text, text, text, text, text, text, text, text, text, text) IS
'Creates a customer, a member of the program with a CURP, and returns its member_id. Who had left and is the same person comes back, with their points. user_name: what the customer signs in as. idempotency_key: the same call again returns the first answer and creates nobody. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY005 invalid_argument, LY006 unknown_object, LY007 already_exists, LK417 kasu_417 (a CURP of somebody who is not born yet).';

-- Clients spell the parts of an address in several ways.
CREATE FUNCTION loyalty_internal.address_part(address json, names text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce((SELECT f.value FROM json_each_text(address_part.address) f (key, value)
		WHERE replace(loyalty_internal.fold_name(f.key), '_', '') = ANY (address_part.names) LIMIT 1), '');
END;
COMMENT ON FUNCTION loyalty_internal.address_part(json, text[]) IS
'A part of the direccion of an order, by whichever of its names it has, regardless of case, accents and underscores; empty: it has none.';

CREATE FUNCTION loyalty_internal.enrol_applicant(merchant_id bigint, curp loyalty.curp, phone loyalty.phone, application json) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mail CONSTANT text := application ->> 'mail';
	address CONSTANT json := coalesce(application ->> 'direccion', '{}');
	known CONSTANT boolean := EXISTS (SELECT FROM loyalty_internal.customer c
		WHERE c.merchant_id = enrol_applicant.merchant_id AND c.curp OPERATOR(loyalty.=) enrol_applicant.curp);
	program CONSTANT bigint := loyalty_internal.customer_program(enrol_applicant.merchant_id);
	looked_up loyalty.curp_record;
BEGIN
	IF EXISTS (SELECT FROM loyalty_internal.member m
			WHERE m.merchant_id = enrol_applicant.merchant_id AND m.phone OPERATOR(loyalty.=) enrol_applicant.phone
			  AND (SELECT c.curp FROM loyalty_internal.customer c WHERE c.merchant_id = m.merchant_id AND c.member_id = m.member_id)
				OPERATOR(loyalty.<>) enrol_applicant.curp)
		OR EXISTS (SELECT FROM loyalty_internal.member m
			WHERE m.merchant_id = enrol_applicant.merchant_id AND loyalty.fold(m.email) = loyalty.fold(mail COLLATE "C")
			  AND (SELECT c.curp FROM loyalty_internal.customer c WHERE c.merchant_id = m.merchant_id AND c.member_id = m.member_id)
				OPERATOR(loyalty.<>) enrol_applicant.curp) THEN
		PERFORM loyalty_internal.fail('kasu_409', 'Another customer has this mail or phone.');
	END IF;
	SELECT * INTO looked_up FROM loyalty.curp_record r
	WHERE r.merchant_id = enrol_applicant.merchant_id AND r.curp OPERATOR(loyalty.=) enrol_applicant.curp;
	IF looked_up.status NOT IN ('AN', 'AH', 'CRA', 'RCN', 'RCC') THEN
		PERFORM loyalty_internal.fail('kasu_417', 'The status of the CURP in loyalty.curp_record is not that of one in use.');
	ELSIF known THEN
		RETURN;
	ELSIF looked_up.curp IS NULL AND (application ->> 'nombre' IS NULL OR application ->> 'paterno' IS NULL) THEN
		PERFORM loyalty_internal.fail('kasu_417', 'Nobody has looked up the CURP, and the order has no name.');
	ELSIF EXISTS (SELECT FROM loyalty_internal.program p WHERE p.merchant_id = enrol_applicant.merchant_id AND p.program_id = program AND NOT p.active) THEN
		PERFORM loyalty_internal.fail('kasu_412', 'The program of the customers is not active: nobody is registered in it.');
	END IF;
	PERFORM loyalty.create_customer(enrol_applicant.merchant_id, program, enrol_applicant.curp,
		coalesce(looked_up.first_name, application ->> 'nombre'), coalesce(looked_up.first_last_name, application ->> 'paterno'),
		coalesce(looked_up.second_last_name, application ->> 'materno', ''), enrol_applicant.phone, mail,
		loyalty_internal.address_part(address, '{calle}'), loyalty_internal.address_part(address, '{numero,num,no,numeroexterior}'),
		loyalty_internal.address_part(address, '{colonia,col}'), loyalty_internal.address_part(address, '{municipio,ciudad,delegacion,alcaldia}'),
		loyalty_internal.address_part(address, '{codigopostal,cp}'), loyalty_internal.address_part(address, '{estado,entidad}'));
EXCEPTION
	WHEN SQLSTATE 'LY007' THEN
		-- Two orders of one person at a time: the other one has created the customer.
		IF NOT EXISTS (SELECT FROM loyalty_internal.customer c
				WHERE c.merchant_id = enrol_applicant.merchant_id AND c.curp OPERATOR(loyalty.=) enrol_applicant.curp) THEN
			PERFORM loyalty_internal.fail('kasu_409', 'Another member has this mail or phone.');
		END IF;
	WHEN SQLSTATE 'LY005' OR SQLSTATE 'LY006' THEN
		PERFORM loyalty_internal.fail('kasu_400', 'A name has no control characters, and the merchant has a program.');
END
$$;
COMMENT ON FUNCTION loyalty_internal.enrol_applicant(bigint, loyalty.curp, loyalty.phone, json) IS
'Part of loyalty_internal.sell_policy(): creates the customer of an order, if there is none, with the names of loyalty.curp_record or those of the order. Errors: LK409 kasu_409 (mail or phone of another customer), LK417 kasu_417 (status of the CURP, or nobody knows the name), LK412 kasu_412 (the program is not active), LK400 kasu_400.';

CREATE FUNCTION loyalty.grant_consent(
	merchant_id bigint, curp loyalty.curp, app_user text, purpose text, notice_version text,
	valid_from timestamptz DEFAULT NULL, valid_until timestamptz DEFAULT NULL, OUT consent_id bigint, OUT acceptance_key text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	member bigint;
BEGIN
	PERFORM loyalty_internal.require_short(grant_consent.purpose, grant_consent.notice_version);
	SELECT c.member_id INTO member FROM loyalty_internal.customer c
	WHERE c.merchant_id = grant_consent.merchant_id AND c.curp OPERATOR(loyalty.=) grant_consent.curp AND c.blocked_at IS NULL;
	IF NOT FOUND OR NOT EXISTS (SELECT FROM loyalty_internal.app_user u
		WHERE u.merchant_id = grant_consent.merchant_id AND u.name = grant_consent.app_user COLLATE "C") THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no such customer, or no such app user.');
	END IF;
	acceptance_key := loyalty_internal.random_key('', 16);
	INSERT INTO loyalty_internal.consent AS c (merchant_id, member_id, app_user, purpose, notice_version, acceptance_hash, valid_from, valid_until)
	VALUES (grant_consent.merchant_id, member, grant_consent.app_user, grant_consent.purpose, grant_consent.notice_version,
		sha256(convert_to(acceptance_key, 'UTF8')), coalesce(grant_consent.valid_from, now()), grant_consent.valid_until)
	RETURNING c.consent_id INTO consent_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'purpose and notice_version must not be empty, and valid_until comes after valid_from.');
END
$$;
COMMENT ON FUNCTION loyalty.grant_consent(bigint, loyalty.curp, text, text, text, timestamptz, timestamptz) IS
'Writes down that a customer allows an app user to read the customer''s data: for which purpose, under which version of the privacy notice, from when (now unless given) until when (NULL: until revoked). valid_from may be in the past, when it is written down later than it was given; loyalty.consents has both, and nothing is read under it before it is written down. Returns the consent and its acceptance key, shown only now: a request may carry it as clave_aceptacion, and then it must be right. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.revoke_consent(merchant_id bigint, consent_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.consent c SET revoked_at = clock_timestamp()
	WHERE c.merchant_id = revoke_consent.merchant_id AND c.consent_id = revoke_consent.consent_id AND c.revoked_at IS NULL;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.consent c
				   WHERE c.merchant_id = revoke_consent.merchant_id AND c.consent_id = revoke_consent.consent_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no consent with this consent_id.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.revoke_consent(bigint, bigint) IS
'Revokes a consent; the next statement that wants to read under it is refused. Returns whether it was not revoked yet. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.block_customer(merchant_id bigint, curp loyalty.curp) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	member bigint;
BEGIN
	-- Payments and orders of theirs that are being answered are waited for.
	PERFORM FROM loyalty_internal.customer c
	WHERE c.merchant_id = block_customer.merchant_id AND c.curp OPERATOR(loyalty.=) block_customer.curp FOR UPDATE;
	UPDATE loyalty_internal.customer c SET blocked_at = now()
	WHERE c.merchant_id = block_customer.merchant_id AND c.curp OPERATOR(loyalty.=) block_customer.curp AND c.blocked_at IS NULL
	RETURNING c.member_id INTO member;
	IF FOUND THEN
		PERFORM loyalty.disable_member(block_customer.merchant_id, member);
		DELETE FROM loyalty_internal.message g
		WHERE g.merchant_id = block_customer.merchant_id AND g.member_id = member AND g.sent_at IS NULL;
		PERFORM loyalty_internal.erase_answers(block_customer.merchant_id, ARRAY[member]);
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.customer c
				   WHERE c.merchant_id = block_customer.merchant_id AND c.curp OPERATOR(loyalty.=) block_customer.curp) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no customer with this CURP.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.block_customer(bigint, loyalty.curp) IS
'First step of a cancellation: payments and orders of the customer that are being answered are waited for; then nobody reads the customer''s data any more, the member is taken out, as by loyalty.disable_member(), and gets no more messages: those that no sender has claimed are never sent. Answers that are kept for late repeats say nothing of them from then on. loyalty.delete_blocked_customers() is the second. Returns whether the customer was not blocked yet. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.unblock_customer(merchant_id bigint, curp loyalty.curp) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	member bigint;
	blocked boolean;
BEGIN
	SELECT c.member_id, c.blocked_at IS NOT NULL INTO member, blocked FROM loyalty_internal.customer c
	WHERE c.merchant_id = unblock_customer.merchant_id AND c.curp OPERATOR(loyalty.=) unblock_customer.curp FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no customer with this CURP.');
	ELSIF NOT blocked THEN
		RETURN false;
	END IF;
	-- what waited for the block, and was queued after it
	DELETE FROM loyalty_internal.message g
	WHERE g.merchant_id = unblock_customer.merchant_id AND g.member_id = member AND g.sent_at IS NULL;
	UPDATE loyalty_internal.customer c SET blocked_at = NULL
	WHERE c.merchant_id = unblock_customer.merchant_id AND c.member_id = member;
	PERFORM loyalty.enable_member(unblock_customer.merchant_id, member);
	RETURN true;
END
$$;
COMMENT ON FUNCTION loyalty.unblock_customer(bigint, loyalty.curp) IS
'Takes back loyalty.block_customer(), until the customer is erased: the data are read again under the consents that there are, and the member is let in, as by loyalty.enable_member(). What kept answers said of them does not come back, and messages that were queued while they were blocked are never sent. Returns whether the customer was blocked. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.set_customer_deceased(merchant_id bigint, curp loyalty.curp, deceased boolean DEFAULT true) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF set_customer_deceased.deceased IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'deceased must not be NULL.');
	END IF;
	UPDATE loyalty_internal.customer c SET deceased = set_customer_deceased.deceased
	WHERE c.merchant_id = set_customer_deceased.merchant_id AND c.curp OPERATOR(loyalty.=) set_customer_deceased.curp
	  AND c.deceased <> set_customer_deceased.deceased;
	IF FOUND THEN
		RETURN true;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.customer c
			WHERE c.merchant_id = set_customer_deceased.merchant_id AND c.curp OPERATOR(loyalty.=) set_customer_deceased.curp) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no customer with this CURP.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.set_customer_deceased(bigint, loyalty.curp, boolean) IS
'Writes down that a customer has died, or that it was an error: nothing is sold to them, and no token is given for their CURP. Returns whether that is new. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.set_customer_preferences(merchant_id bigint, curp loyalty.curp, preferences json) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(json_typeof(set_customer_preferences.preferences), '') <> 'object' OR octet_length(set_customer_preferences.preferences::text) > 8192 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'preferences is a JSON object of at most 8 kB.');
	END IF;
	UPDATE loyalty_internal.customer c SET preferences = set_customer_preferences.preferences
	WHERE c.merchant_id = set_customer_preferences.merchant_id AND c.curp OPERATOR(loyalty.=) set_customer_preferences.curp;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no customer with this CURP.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty.set_customer_preferences(bigint, loyalty.curp, json) IS
'Sets the preferences of a customer''s account, a JSON object of at most 8 kB, never a secret: the customer API tells them as preferencias, loyalty.customers shows them. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.set_token_life(merchant_id bigint, name text, seconds integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.app_user u SET token_ttl_s = set_token_life.seconds
	WHERE u.merchant_id = set_token_life.merchant_id AND u.name = set_token_life.name COLLATE "C";
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no app user of this name.');
	END IF;
EXCEPTION WHEN check_violation OR not_null_violation THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'seconds are 1 to 86,400.');
END
$$;
COMMENT ON FUNCTION loyalty.set_token_life(bigint, text, integer) IS
'Sets how many seconds the tokens of an app user are good for, 1 to 86,400; those that it has are refused from then on, since they say another time. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE VIEW loyalty.consents AS
SELECT merchant_id, consent_id, member_id, app_user, policy_id, purpose, notice_version, valid_from, valid_until, revoked_at, recorded_at,
	   revoked_at IS NULL AND valid_from <= clock_timestamp() AND recorded_at <= clock_timestamp()
	   AND (valid_until IS NULL OR valid_until > clock_timestamp()) AS valid
FROM loyalty_internal.consent;
COMMENT ON VIEW loyalty.consents IS 'The customers'' consents, revoked ones too. valid_from: since when the customer allows it, as was said; recorded_at: when that was written down, by the clock of the server. Data were read lawfully after both only. policy_id: of which policy only; NULL: of all data of the customer. valid: whether data can be read under it at this moment.';

CREATE VIEW loyalty.access_log AS
SELECT merchant_id, access_id, at, app_user, member_id, operation, request, status, address, times, last_at FROM loyalty_internal.access;
COMMENT ON VIEW loyalty.access_log IS 'Who asked for whose data, when, from which address, and what was answered. Refusals of one app user, operation, CURP, status and address within a minute are one row: how many times, the first at, the last last_at. Beyond sixty such rows of an app user in a minute, the others of each operation and status are one more, without address and member; of a merchant that has all the rows it may have, all those of an hour are.';
COMMENT ON COLUMN loyalty.access_log.last_at IS 'The same as at, unless it was several times.';

-- Owned by a role of its own: what runs as loyalty_engine cannot delete a row.
CREATE FUNCTION loyalty.forget_access_log(merchant_id bigint, older_than interval DEFAULT '2 years', max_rows integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment CONSTANT timestamptz := loyalty_internal.forgotten_before(forget_access_log.older_than, forget_access_log.max_rows);
	n bigint;
BEGIN
	IF moment > now() - interval '1 year' THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'older_than is a year or more.');
	END IF;
	DELETE FROM loyalty_internal.access a USING (
		SELECT o.access_id FROM loyalty_internal.access o
		WHERE o.merchant_id = forget_access_log.merchant_id AND o.at < moment
		ORDER BY o.at LIMIT forget_access_log.max_rows) old
	WHERE a.merchant_id = forget_access_log.merchant_id AND a.access_id = old.access_id;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION loyalty.forget_access_log(bigint, interval, integer) IS
'Forgets accesses of longer ago than this, a year at least, the oldest max_rows (1 to 1,000,000) of them, and returns how many: as many as max_rows, and there may be more. Errors: LY005 invalid_argument.';
ALTER FUNCTION loyalty.forget_access_log(bigint, interval, integer) OWNER TO loyalty_auditor;
GRANT EXECUTE ON FUNCTION loyalty_internal.forgotten_before(interval, integer), loyalty_internal.fail(text, text) TO loyalty_auditor;

CREATE VIEW loyalty.app_users AS
SELECT merchant_id, name, token_ttl_s, created_at, disabled_at FROM loyalty_internal.app_user;
COMMENT ON VIEW loyalty.app_users IS 'The app users of the merchants, without their keys.';

CREATE VIEW loyalty.app_user_keys AS
SELECT u.merchant_id, k.app_user, k.key_no, k.created_at, nullif(k.expires_at, 'infinity') AS expires_at, k.last_used_at,
	   k.expires_at > clock_timestamp() AS active
FROM loyalty_internal.app_user_key k JOIN loyalty_internal.app_user u ON u.name = k.app_user;
COMMENT ON VIEW loyalty.app_user_keys IS 'The PRIVATE_KEYs of app users, without the keys themselves: the one of the highest key_no, and those before it, which expire, as loyalty.rotate_private_key() says. last_used_at: in which hour something was last signed with it, whether it was answered or refused; NULL: nothing was. active: whether it is good at this moment. Those that have expired are there until the next rotation, those that one with an overlap of 0 has ended are not.';
COMMENT ON COLUMN loyalty.app_user_keys.expires_at IS 'From when the key is refused; NULL: not before another takes its place.';

CREATE VIEW loyalty.app_user_grants AS
SELECT u.merchant_id, u.name AS app_user, g.api, nullif(g.expires_at, 'infinity') AS expires_at, g.expires_at > clock_timestamp() AS active
FROM loyalty_internal.app_user u,
	LATERAL (VALUES ('CUSTOMER', u.customer_expires_at), ('ACCOUNTS', u.accounts_expires_at), ('PAYMENTS', u.payments_expires_at)) g (api, expires_at);
COMMENT ON VIEW loyalty.app_user_grants IS 'Which APIs of the customer API each app user may call, CUSTOMER, ACCOUNTS and PAYMENTS, as loyalty.grant_app_user_api() and loyalty.revoke_app_user_api() say. active: whether it may at this moment, unless it is disabled.';
COMMENT ON COLUMN loyalty.app_user_grants.expires_at IS 'From when the API is refused, or since when; -infinity: it was revoked; NULL: it is not.';

CREATE FUNCTION loyalty.customer_read(
	merchant_id bigint, operation text, app_user text, curp text, request text,
	product text DEFAULT NULL, policy_number text DEFAULT NULL, acceptance_key text DEFAULT NULL)
RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_customer_read';
COMMENT ON FUNCTION loyalty.customer_read(bigint, text, text, text, text, text, text, text) IS
'Reads a customer''s data for an app user, as the customer API does but without a token: merchant_id and app_user say who reads. operation: request, individual_request or request_block; request: the key, or the block. Reading is written to loyalty.access_log, and what is told of a customer at once to the server''s log too, which no ROLLBACK undoes; a refusal raises, so only HTTP ones are in the first. KASU, API_CUSTOMER. Errors: LY504 read_only (the transaction, or the server, only reads), LK400 kasu_400, LK404 kasu_404, LK412 kasu_412, LK409 kasu_409, LK406 kasu_406.';

CREATE FUNCTION loyalty.customer_token(app_user text, curp text, signature text) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_customer_token';
COMMENT ON FUNCTION loyalty.customer_token(text, text, text) IS
'The answer of token_full: a token of the customer API for this app user and CURP. signature: hexadecimal HMAC-SHA256 of the CURP under the app user''s PRIVATE_KEY. KASU, API_REGISTRO. Errors: LY504 read_only, LK400 kasu_400 (something is NULL or empty), LK401 kasu_401 (the same for an unknown or disabled app user and a wrong signature), LK403 kasu_403 (the app user may call no API), LK417 kasu_417.';

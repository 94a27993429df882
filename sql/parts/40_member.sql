-- Members: the people enrolled in a program, and the phones a merchant refuses.

CREATE TABLE loyalty.member (
	merchant_id		bigint			NOT NULL,
	member_id		bigint			NOT NULL DEFAULT loyalty.new_id(),
	program_id		bigint			NOT NULL,
	account_id		bigint			NOT NULL,
	own_account_id	bigint,
	client_id		text			COLLATE "C" NOT NULL DEFAULT loyalty.new_client_id('CM') CHECK (client_id <> ''),
	phone			loyalty.phone,
	email			text			COLLATE "C" CHECK (email <> ''),
	name			text			NOT NULL CHECK (name <> ''),
	first_name		text			NOT NULL DEFAULT '',
	first_last_name	text			NOT NULL DEFAULT '',
	second_last_name text			NOT NULL DEFAULT '',
	birth_date		date,
	country			text			NOT NULL DEFAULT '',
	granted_rank	text			COLLATE "C" NOT NULL DEFAULT '',
	subscribed_at	timestamptz		NOT NULL DEFAULT now(),
	active			boolean			NOT NULL DEFAULT true,
	enrolled_by		bigint,
	created_at		timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, member_id),
	UNIQUE (merchant_id, program_id, phone),
	UNIQUE (merchant_id, program_id, client_id),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty.program,
	FOREIGN KEY (merchant_id, enrolled_by) REFERENCES loyalty.staff
);
CREATE UNIQUE INDEX member_email ON loyalty.member (merchant_id, program_id, loyalty.fold(email));
CREATE INDEX member_account ON loyalty.member (merchant_id, account_id);
CREATE INDEX member_own_account ON loyalty.member (merchant_id, own_account_id) WHERE own_account_id IS NOT NULL;
COMMENT ON TABLE loyalty.member IS 'People enrolled in a program. A wallet''s contact is a member with a phone; the seller API knows members by client_id and email.';
COMMENT ON COLUMN loyalty.member.client_id IS 'The documented memberId.';
COMMENT ON COLUMN loyalty.member.name IS 'The whole name.';
COMMENT ON COLUMN loyalty.member.granted_rank IS 'The rank given at registration, held until a higher one is earned in the account that the member had then; it does not go along into an account that the member shares.';
COMMENT ON COLUMN loyalty.member.account_id IS 'The account that holds the member''s points.';
COMMENT ON COLUMN loyalty.member.own_account_id IS 'The account that the member had before sharing another member''s.';
COMMENT ON COLUMN loyalty.member.active IS 'An inactive member keeps account and entries, and is not found by the wallet endpoints until registered again.';
COMMENT ON COLUMN loyalty.member.enrolled_by IS 'staff_id of who registered the member.';
REVOKE ALL ON loyalty.member FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.member TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.member', '');

CREATE TABLE loyalty.blacklisted_phone (
	merchant_id	bigint			NOT NULL REFERENCES loyalty.merchant,
	phone		loyalty.phone	NOT NULL,
	reason		text			NOT NULL DEFAULT '',
	created_at	timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, phone)
);
COMMENT ON TABLE loyalty.blacklisted_phone IS 'Phones whose points the wallet API refuses to move.';
REVOKE ALL ON loyalty.blacklisted_phone FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty.blacklisted_phone TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.blacklisted_phone', '');

CREATE FUNCTION loyalty.disable_member(merchant_id bigint, wallet_key text, phone loyalty.phone) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty.member m SET active = false
	FROM loyalty.program p
	WHERE p.merchant_id = disable_member.merchant_id AND p.wallet_key = disable_member.wallet_key COLLATE "C"
	  AND m.merchant_id = p.merchant_id AND m.program_id = p.program_id
	  AND m.phone OPERATOR(loyalty.=) disable_member.phone AND m.active;
	IF NOT FOUND THEN
		PERFORM loyalty.fail('unknown_object', 'The wallet has no active contact with this phone.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty.disable_member(bigint, text, loyalty.phone) IS
'Takes a contact out of a wallet. Account, points and entries stay; registering the phone again brings them back. Errors: LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.disable_member(bigint, text, loyalty.phone) FROM PUBLIC;
ALTER FUNCTION loyalty.disable_member(bigint, text, loyalty.phone) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.blacklist_phone(merchant_id bigint, phone loyalty.phone, reason text DEFAULT '') RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM loyalty.require_merchant(blacklist_phone.merchant_id);
	IF blacklist_phone.phone IS NULL THEN
		PERFORM loyalty.fail('invalid_argument', 'phone must not be NULL.');
	END IF;
	INSERT INTO loyalty.blacklisted_phone (merchant_id, phone, reason)
	VALUES (blacklist_phone.merchant_id, blacklist_phone.phone, coalesce(blacklist_phone.reason, ''))
	ON CONFLICT (merchant_id, phone) DO UPDATE SET reason = excluded.reason;
END
$$;
COMMENT ON FUNCTION loyalty.blacklist_phone(bigint, loyalty.phone, text) IS
'Refuses sales, redemptions and corrections for this phone in every wallet of the merchant. Errors: LY005 invalid_argument, LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.blacklist_phone(bigint, loyalty.phone, text) FROM PUBLIC;
ALTER FUNCTION loyalty.blacklist_phone(bigint, loyalty.phone, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.unblacklist_phone(merchant_id bigint, phone loyalty.phone) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM loyalty.blacklisted_phone b
	WHERE b.merchant_id = unblacklist_phone.merchant_id AND b.phone OPERATOR(loyalty.=) unblacklist_phone.phone;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION loyalty.unblacklist_phone(bigint, loyalty.phone) IS
'Takes a phone off the merchant''s blacklist; returns whether it was on it.';
REVOKE ALL ON FUNCTION loyalty.unblacklist_phone(bigint, loyalty.phone) FROM PUBLIC;
ALTER FUNCTION loyalty.unblacklist_phone(bigint, loyalty.phone) OWNER TO loyalty_engine;

CREATE TABLE loyalty.member_address (
	merchant_id		bigint		NOT NULL,
	member_id		bigint		NOT NULL,
	ordinal			smallint	NOT NULL CHECK (ordinal > 0),
	street			text		NOT NULL DEFAULT '',
	number_inside	text		NOT NULL DEFAULT '',
	number_outside	text		NOT NULL DEFAULT '',
	country			text		NOT NULL DEFAULT '',
	state			text		NOT NULL DEFAULT '',
	city			text		NOT NULL DEFAULT '',
	neighborhood	text		NOT NULL DEFAULT '',
	postcode		text		NOT NULL DEFAULT '',
	PRIMARY KEY (merchant_id, member_id, ordinal),
	FOREIGN KEY (merchant_id, member_id) REFERENCES loyalty.member
);
COMMENT ON TABLE loyalty.member_address IS 'Addresses of members, in the order in which they are listed.';
REVOKE ALL ON loyalty.member_address FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty.member_address TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.member_address', '');

CREATE VIEW loyalty.members AS
SELECT m.merchant_id, m.member_id, m.program_id, m.account_id, m.client_id, m.phone, m.email, m.name, m.first_name,
	   m.first_last_name, m.second_last_name, m.birth_date, m.country, m.active, m.enrolled_by, m.subscribed_at, m.created_at,
	   loyalty.rank_at(m.merchant_id, m.account_id, clock_timestamp()) AS rank,
	   b.balance, b.expired, b.earned, b.posted_at AS last_posted_at
FROM loyalty.member m JOIN loyalty.balances b ON b.merchant_id = m.merchant_id AND b.account_id = m.account_id;
ALTER VIEW loyalty.members OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.members IS 'The members with their rank, and what their account has now: those who share an account have the same points, once each, so sums are made of loyalty.balances.';

CREATE FUNCTION loyalty.identify_member(
	merchant_id bigint, member_id bigint, phone loyalty.phone DEFAULT NULL, email text DEFAULT NULL, client_id text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty.member m SET
		phone = coalesce(identify_member.phone, m.phone),
		email = coalesce(loyalty.trimmed(identify_member.email), m.email),
		client_id = coalesce(identify_member.client_id, m.client_id)
	WHERE m.merchant_id = identify_member.merchant_id AND m.member_id = identify_member.member_id;
	IF NOT FOUND THEN
		PERFORM loyalty.fail('unknown_object', 'The merchant has no member with this member_id.');
	END IF;
EXCEPTION
	WHEN check_violation THEN
		PERFORM loyalty.fail('invalid_argument', 'email and client_id must not be empty.');
	WHEN unique_violation THEN
		PERFORM loyalty.fail('already_exists', 'Another member of the program has this phone, email or client_id.');
END
$$;
COMMENT ON FUNCTION loyalty.identify_member(bigint, bigint, loyalty.phone, text, text) IS
'Adds or changes what a member is found by: phone (wallet API), email and client_id (seller API). With a phone and a client_id one member, on one balance, is served by both. Errors: LY005 invalid_argument, LY006 unknown_object, LY007 already_exists.';
REVOKE ALL ON FUNCTION loyalty.identify_member(bigint, bigint, loyalty.phone, text, text) FROM PUBLIC;
ALTER FUNCTION loyalty.identify_member(bigint, bigint, loyalty.phone, text, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.set_member_address(
	merchant_id bigint, member_id bigint, ordinal integer, street text, number_inside text DEFAULT '', number_outside text DEFAULT '',
	country text DEFAULT '', state text DEFAULT '', city text DEFAULT '')
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO loyalty.member_address (merchant_id, member_id, ordinal, street, number_inside, number_outside, country, state, city)
	VALUES (set_member_address.merchant_id, set_member_address.member_id, set_member_address.ordinal, set_member_address.street,
			set_member_address.number_inside, set_member_address.number_outside, set_member_address.country,
			set_member_address.state, set_member_address.city)
	ON CONFLICT (merchant_id, member_id, ordinal) DO UPDATE SET street = excluded.street,
		number_inside = excluded.number_inside, number_outside = excluded.number_outside,
		country = excluded.country, state = excluded.state, city = excluded.city;
EXCEPTION
	WHEN foreign_key_violation THEN
		PERFORM loyalty.fail('unknown_object', 'The merchant has no member with this member_id.');
	WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
		PERFORM loyalty.fail('invalid_argument', 'ordinal counts from 1, and nothing may be NULL.');
END
$$;
COMMENT ON FUNCTION loyalty.set_member_address(bigint, bigint, integer, text, text, text, text, text, text) IS
'Sets the address number ordinal (1, 2 …) of a member. Errors: LY005 invalid_argument, LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.set_member_address(bigint, bigint, integer, text, text, text, text, text, text) FROM PUBLIC;
ALTER FUNCTION loyalty.set_member_address(bigint, bigint, integer, text, text, text, text, text, text) OWNER TO loyalty_engine;

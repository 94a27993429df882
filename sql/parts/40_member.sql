-- Members: the people enrolled in a program, and the phones a merchant refuses.

CREATE TABLE loyalty.member (
	merchant_id		bigint			NOT NULL,
	member_id		bigint			NOT NULL DEFAULT loyalty.new_id(),
	program_id		bigint			NOT NULL,
	account_id		bigint			NOT NULL,
	phone			loyalty.phone,
	name			text			NOT NULL CHECK (name <> ''),
	birth_date		date,
	active			boolean			NOT NULL DEFAULT true,
	enrolled_by		bigint,
	created_at		timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, member_id),
	UNIQUE (merchant_id, program_id, phone),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty.program,
	FOREIGN KEY (merchant_id, enrolled_by) REFERENCES loyalty.staff
);
COMMENT ON TABLE loyalty.member IS 'People enrolled in a program. A wallet''s contact is a member with a phone.';
COMMENT ON COLUMN loyalty.member.account_id IS 'The account that holds the member''s points.';
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
COMMENT ON TABLE loyalty.blacklisted_phone IS 'Phones whose points a merchant allows nobody to move.';
REVOKE ALL ON loyalty.blacklisted_phone FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty.blacklisted_phone TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.blacklisted_phone', '');

CREATE FUNCTION loyalty.disable_member(merchant_id bigint, wallet_key text, phone loyalty.phone) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty.member m SET active = false
	FROM loyalty.program p
	WHERE p.merchant_id = disable_member.merchant_id AND p.wallet_key = disable_member.wallet_key
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

CREATE VIEW loyalty.members AS
SELECT m.merchant_id, m.member_id, m.program_id, m.account_id, m.phone, m.name, m.birth_date, m.active, m.enrolled_by,
	   m.created_at, a.balance, a.posted_at AS last_posted_at
FROM loyalty.member m JOIN loyalty.account a USING (merchant_id, account_id);
ALTER VIEW loyalty.members OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.members IS 'The members with the balance of their account.';

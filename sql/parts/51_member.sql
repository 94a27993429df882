-- Members: the people enrolled in a program, and the phones a merchant refuses.

CREATE TABLE loyalty_internal.member (
	merchant_id		bigint			NOT NULL,
	member_id		bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	program_id		bigint			NOT NULL,
	account_id		bigint			NOT NULL,
	own_account_id	bigint,
	client_id		text			COLLATE "C" NOT NULL DEFAULT loyalty_internal.new_client_id('CM') CHECK (client_id <> ''),
	phone			loyalty.phone,
	email			text			COLLATE "C" CHECK (email <> ''),
	name			text			NOT NULL CHECK (name <> '' AND loyalty_internal.is_name(name)),
	first_name		text			NOT NULL DEFAULT '' CHECK (loyalty_internal.is_name(first_name)),
	first_last_name	text			NOT NULL DEFAULT '' CHECK (loyalty_internal.is_name(first_last_name)),
	second_last_name text			NOT NULL DEFAULT '' CHECK (loyalty_internal.is_name(second_last_name)),
	birth_date		date			CHECK (birth_date >= '1900-01-01'),
	country			text			NOT NULL DEFAULT '',
	granted_rank	text			COLLATE "C" NOT NULL DEFAULT '',
	rank_given		boolean			NOT NULL DEFAULT false,
	subscribed_at	timestamptz		NOT NULL DEFAULT now(),
	active			boolean			NOT NULL DEFAULT true,
	enrolled_by		bigint,
	created_at		timestamptz		NOT NULL DEFAULT now(),
	cancelled_at	timestamptz,
	PRIMARY KEY (merchant_id, member_id),
	UNIQUE (merchant_id, phone, program_id),	-- a phone is looked for in all programs, too
	UNIQUE (merchant_id, program_id, client_id),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program,
	FOREIGN KEY (merchant_id, enrolled_by) REFERENCES loyalty_internal.staff
);
CREATE UNIQUE INDEX member_email ON loyalty_internal.member (merchant_id, loyalty.fold(email), program_id);
CREATE INDEX member_page ON loyalty_internal.member (merchant_id, program_id, member_id) WHERE active;
CREATE INDEX member_account ON loyalty_internal.member (merchant_id, account_id);
CREATE INDEX member_own_account ON loyalty_internal.member (merchant_id, own_account_id) WHERE own_account_id IS NOT NULL;
COMMENT ON TABLE loyalty_internal.member IS 'People enrolled in a program. A wallet''s contact is a member with a phone; the seller API knows members by client_id and email.';
COMMENT ON COLUMN loyalty_internal.member.client_id IS 'The documented memberId.';
COMMENT ON COLUMN loyalty_internal.member.name IS 'The whole name.';
COMMENT ON COLUMN loyalty_internal.member.rank_given IS 'Whether the member has a row in loyalty_internal.rank_grant.';
COMMENT ON COLUMN loyalty_internal.member.granted_rank IS 'The rank given at registration, held until a higher one is earned in the account that the member had then; it does not go along into an account that the member shares.';
COMMENT ON COLUMN loyalty_internal.member.account_id IS 'The account that holds the member''s points.';
COMMENT ON COLUMN loyalty_internal.member.own_account_id IS 'The account that loyalty.leave_account() gives back: the one that the member had before sharing another member''s, or was left alone in.';
COMMENT ON COLUMN loyalty_internal.member.active IS 'Who is inactive has left: they keep account and entries, share nobody''s account, and are not found by the APIs until registered again.';
COMMENT ON COLUMN loyalty_internal.member.cancelled_at IS 'Since when the member is nobody any more: loyalty.erase_member() or loyalty.delete_blocked_customers() has deleted what was personal, and nothing is added again.';
COMMENT ON COLUMN loyalty_internal.member.enrolled_by IS 'staff_id of who registered the member.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.member TO loyalty_engine;

CREATE TABLE loyalty_internal.member_address (
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
	FOREIGN KEY (merchant_id, member_id) REFERENCES loyalty_internal.member,
	CHECK (greatest(octet_length(street), octet_length(number_inside), octet_length(number_outside), octet_length(country), octet_length(state),
		octet_length(city), octet_length(neighborhood), octet_length(postcode)) <= 1024)
);
COMMENT ON TABLE loyalty_internal.member_address IS 'Addresses of members, in the order in which they are listed.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.member_address TO loyalty_engine;

CREATE TABLE loyalty_internal.blacklisted_phone (
	merchant_id	bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	phone		loyalty.phone	NOT NULL,
	reason		text			NOT NULL DEFAULT '',
	created_at	timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, phone)
);
COMMENT ON TABLE loyalty_internal.blacklisted_phone IS 'Phones whose points the wallet API refuses to move.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.blacklisted_phone TO loyalty_engine;

CREATE VIEW loyalty.blacklisted_phones AS
SELECT merchant_id, phone, reason, created_at FROM loyalty_internal.blacklisted_phone;
COMMENT ON VIEW loyalty.blacklisted_phones IS 'The phones that loyalty.blacklist_phone() has put on a merchant''s blacklist, and why. created_at: since when.';
COMMENT ON COLUMN loyalty.blacklisted_phones.created_at IS 'Since when.';

-- Who a member was before.
CREATE TABLE loyalty_internal.member_change (
	merchant_id	bigint		NOT NULL,
	member_id	bigint		NOT NULL,
	change_id	bigint		NOT NULL,
	changed_at	timestamptz	NOT NULL DEFAULT clock_timestamp(),
	attribute	text		NOT NULL,
	was			text		COLLATE "C" NOT NULL,
	PRIMARY KEY (merchant_id, member_id, change_id),
	FOREIGN KEY (merchant_id, member_id) REFERENCES loyalty_internal.member
);
-- a name may be longer than what a row of an index takes
CREATE INDEX member_change_was ON loyalty_internal.member_change (merchant_id, left(was, 255));
COMMENT ON TABLE loyalty_internal.member_change IS 'What members were called, reached and known by before that was changed. Only ever added to, until the member is cancelled.';
COMMENT ON COLUMN loyalty_internal.member_change.change_id IS 'The greater, the later it was changed; changed_at goes by the clock.';
COMMENT ON COLUMN loyalty_internal.member_change.attribute IS 'The column of loyalty_internal.member.';
COMMENT ON COLUMN loyalty_internal.member_change.was IS 'What it was until then.';
GRANT SELECT, INSERT, DELETE ON loyalty_internal.member_change TO loyalty_engine;

CREATE VIEW loyalty.member_changes AS
SELECT merchant_id, member_id, change_id, changed_at, attribute, was FROM loyalty_internal.member_change;
COMMENT ON VIEW loyalty.member_changes IS 'What members were called, reached and known by before that was changed: phone, email, client_id, name, birth_date, active.';
COMMENT ON COLUMN loyalty.member_changes.was IS 'What it was until then; who has had something is found by left(was, 255).';
COMMENT ON COLUMN loyalty.member_changes.attribute IS 'What was changed: phone, email, client_id, name, birth_date or active.';

CREATE FUNCTION loyalty_internal.lock_member(merchant_id bigint, member_id bigint) RETURNS loyalty_internal.member
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	member loyalty_internal.member;
BEGIN
	SELECT m.* INTO member FROM loyalty_internal.member m
	WHERE m.merchant_id = lock_member.merchant_id AND m.member_id = lock_member.member_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id.');
	END IF;
	RETURN member;
END
$$;
COMMENT ON FUNCTION loyalty_internal.lock_member(bigint, bigint) IS
'Part of the functions that change a member: their row, locked. Errors: LY006 unknown_object.';

-- A trigger could do it for every UPDATE, but distributed tables have none.
CREATE FUNCTION loyalty_internal.change_member(was loyalty_internal.member, becomes loyalty_internal.member) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF was.cancelled_at IS NOT NULL THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The member has been cancelled, and is nobody any more.');
	END IF;
	UPDATE loyalty_internal.member m SET phone = becomes.phone, email = becomes.email, client_id = becomes.client_id, name = becomes.name,
		first_name = becomes.first_name, first_last_name = becomes.first_last_name, second_last_name = becomes.second_last_name,
		birth_date = becomes.birth_date, country = becomes.country, active = becomes.active, enrolled_by = becomes.enrolled_by
	WHERE m.merchant_id = was.merchant_id AND m.member_id = was.member_id;
	INSERT INTO loyalty_internal.member_change (merchant_id, member_id, change_id, attribute, was)
	SELECT was.merchant_id, was.member_id, greatest(loyalty_internal.new_id(), c.n + (
		SELECT max(h.change_id) FROM loyalty_internal.member_change h WHERE h.merchant_id = was.merchant_id AND h.member_id = was.member_id)),
		c.attribute, c.old
	FROM (VALUES (1, 'phone', was.phone::text, becomes.phone::text), (2, 'email', was.email, becomes.email),
		(3, 'client_id', was.client_id, becomes.client_id), (4, 'name', was.name, becomes.name),
		(5, 'birth_date', to_json(was.birth_date) #>> '{}', to_json(becomes.birth_date) #>> '{}'),
		(6, 'active', was.active::text, becomes.active::text)) c (n, attribute, old, new)
	WHERE c.old IS NOT NULL AND c.old IS DISTINCT FROM c.new;
END
$$;
COMMENT ON FUNCTION loyalty_internal.change_member(loyalty_internal.member, loyalty_internal.member) IS
'Part of the functions that change a member: writes the row that it becomes, which is locked, and what it was into loyalty.member_changes. Errors: LY006 unknown_object (a member who has been cancelled), and those of the constraints.';

-- Marks are taken off after letters and marks have been taken apart, and before
-- that put in order, which normalize() takes the square of their number for.
CREATE FUNCTION loyalty_internal.fold_name(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN loyalty.fold(regexp_replace(normalize(loyalty.fold(name), NFKD), '[\u0300-\u036f]', '', 'g'));
COMMENT ON FUNCTION loyalty_internal.fold_name(text) IS
'A person''s name without what people write in different ways: case and accents of Latin letters, and blanks. The same in every database.';

-- Somebody is registered with what a member has already.  Who is in the way and
-- active is not locked, and costs no subtransaction: a batch may name very many
-- of them.  Who is locked, is so in ascending order, as everywhere.
CREATE FUNCTION loyalty_internal.register_again(
	merchant_id bigint, program_id bigint, phone loyalty.phone DEFAULT NULL, email text DEFAULT NULL, client_id text DEFAULT NULL,
	curp loyalty.curp DEFAULT NULL, name text DEFAULT NULL, first_name text DEFAULT NULL, first_last_name text DEFAULT NULL,
	second_last_name text DEFAULT NULL, birth_date date DEFAULT NULL, country text DEFAULT NULL, enrolled_by bigint DEFAULT NULL,
	OUT outcome text, OUT member_id bigint, OUT account_id bigint, OUT known_as text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	whole_name CONSTANT text := coalesce(register_again.name,
		concat_ws(' ', register_again.first_name, register_again.first_last_name, nullif(register_again.second_last_name, '')));
	in_the_way bigint[];
	taken boolean;
	likeness integer := 0;
	blocked boolean := false;
	known record;
	was loyalty_internal.member;
	becomes loyalty_internal.member;
BEGIN
	SELECT array_agg(m.member_id), bool_or(m.active) INTO in_the_way, taken FROM loyalty_internal.member m
	WHERE m.merchant_id = register_again.merchant_id AND m.program_id = register_again.program_id
	  AND (m.phone OPERATOR(loyalty.=) register_again.phone OR loyalty.fold(m.email) = loyalty.fold(register_again.email COLLATE "C")
		   OR m.client_id = register_again.client_id COLLATE "C"
		   OR m.member_id = (SELECT k.member_id FROM loyalty_internal.customer k
				WHERE k.merchant_id = register_again.merchant_id AND k.curp OPERATOR(loyalty.=) register_again.curp));
	IF taken THEN
		outcome := 'taken';
		RETURN;
	END IF;
	FOR known IN
		SELECT m AS member, m.active, c.blocked_at, c.curp, CASE
			WHEN m.cancelled_at IS NOT NULL THEN 0
			WHEN c.curp OPERATOR(loyalty.<>) register_again.curp THEN 0
			WHEN c.curp OPERATOR(loyalty.=) register_again.curp THEN 4
			WHEN loyalty.fold(m.email) = loyalty.fold(register_again.email COLLATE "C") THEN 3
			WHEN m.birth_date = register_again.birth_date THEN 2
			WHEN loyalty.fold(m.email) <> loyalty.fold(register_again.email COLLATE "C") OR m.birth_date <> register_again.birth_date THEN 0
			WHEN loyalty_internal.fold_name(m.name) = loyalty_internal.fold_name(whole_name) THEN 1
			ELSE 0 END AS likeness
		FROM loyalty_internal.member m
		LEFT JOIN loyalty_internal.customer c ON c.merchant_id = m.merchant_id AND c.member_id = m.member_id
		WHERE m.merchant_id = register_again.merchant_id AND m.member_id = ANY (in_the_way)
		ORDER BY m.member_id FOR UPDATE OF m
	LOOP
		IF known.active THEN
			outcome := 'taken';
			RETURN;
		ELSIF known.likeness > likeness THEN
			likeness := known.likeness;
			was := known.member;
			becomes := known.member;
			blocked := known.blocked_at IS NOT NULL;
			becomes.birth_date := coalesce(loyalty.birth_date(known.curp), register_again.birth_date, was.birth_date);
		END IF;
	END LOOP;
	IF blocked THEN
		outcome := 'blocked';
		RETURN;
	ELSIF was.member_id IS NOT NULL AND EXISTS (
		SELECT FROM loyalty_internal.member m
		WHERE m.merchant_id = register_again.merchant_id AND m.member_id = ANY (in_the_way) AND m.member_id <> was.member_id
		  AND (loyalty.fold(m.email) = loyalty.fold(register_again.email COLLATE "C") OR m.client_id = register_again.client_id COLLATE "C")) THEN
		outcome := 'taken';
		RETURN;
	END IF;

	-- The number is no longer theirs, whoever else it was of.
	PERFORM loyalty.free_phone(m.merchant_id, m.member_id) FROM loyalty_internal.member m
	WHERE m.merchant_id = register_again.merchant_id AND m.program_id = register_again.program_id
	  AND m.phone OPERATOR(loyalty.=) register_again.phone AND m.member_id IS DISTINCT FROM was.member_id;
	IF was.member_id IS NULL THEN
		outcome := 'free';
		RETURN;
	END IF;

	becomes.active := true;
	becomes.phone := coalesce(register_again.phone, was.phone);
	-- An email is kept as it was first written.
	IF loyalty.fold(register_again.email COLLATE "C") IS DISTINCT FROM loyalty.fold(was.email) THEN
		becomes.email := coalesce(loyalty_internal.trimmed(register_again.email), was.email);
	END IF;
	becomes.client_id := coalesce(register_again.client_id, was.client_id);
	becomes.country := coalesce(register_again.country, was.country);
	becomes.enrolled_by := coalesce(register_again.enrolled_by, was.enrolled_by);
	-- Parts of a name are of this name.
	IF register_again.first_name IS NOT NULL OR was.first_name = ''
		OR loyalty_internal.fold_name(was.name) <> loyalty_internal.fold_name(whole_name) THEN
		becomes.name := whole_name;
		becomes.first_name := coalesce(register_again.first_name, '');
		becomes.first_last_name := coalesce(register_again.first_last_name, '');
		becomes.second_last_name := coalesce(register_again.second_last_name, '');
	END IF;
	-- Somebody else may have registered with it just now.
	BEGIN
		PERFORM loyalty_internal.change_member(was, becomes);
	EXCEPTION WHEN unique_violation THEN
		outcome := 'taken';
		RETURN;
	END;
	outcome := 'returned';
	member_id := was.member_id;
	account_id := was.account_id;
	known_as := becomes.client_id;
END
$$;
COMMENT ON FUNCTION loyalty_internal.register_again(bigint, bigint, loyalty.phone, text, text, loyalty.curp, text, text, text, text, date, text, bigint) IS
'Part of the operations that register somebody, when a member of the program has what is unique already. outcome: returned, if it is one who had left and is the same person, and is a member again; free, if those who have the phone had left and are somebody else, and no longer have it; blocked, if the same person has been cancelled; else taken. The same person has the same CURP, mail or birth date; or the same name regardless of case and accents, and none of these is another.';

CREATE FUNCTION loyalty_internal.register_member(
	merchant_id bigint, program_id bigint, name text, phone loyalty.phone DEFAULT NULL, email text DEFAULT NULL, client_id text DEFAULT NULL,
	curp loyalty.curp DEFAULT NULL, first_name text DEFAULT NULL, first_last_name text DEFAULT NULL, second_last_name text DEFAULT NULL,
	birth_date date DEFAULT NULL, enrolled_by bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known record;
	id bigint;
BEGIN
	SELECT r.outcome, r.member_id INTO known FROM loyalty_internal.register_again(
		register_member.merchant_id, register_member.program_id, register_member.phone, register_member.email, register_member.client_id,
		register_member.curp, register_member.name, register_member.first_name, register_member.first_last_name,
		register_member.second_last_name, register_member.birth_date, enrolled_by => register_member.enrolled_by) r;
	IF known.outcome = 'returned' THEN
		RETURN known.member_id;
	ELSIF known.outcome <> 'free' THEN
		RAISE unique_violation;
	END IF;
	id := loyalty.open_account(register_member.merchant_id, register_member.program_id);
	INSERT INTO loyalty_internal.member (merchant_id, member_id, program_id, account_id, client_id, phone, email, name, first_name,
		first_last_name, second_last_name, birth_date, enrolled_by)
	VALUES (register_member.merchant_id, id, register_member.program_id, id,
		coalesce(register_member.client_id, loyalty_internal.new_client_id('CM')), register_member.phone,
		loyalty_internal.trimmed(register_member.email), register_member.name, coalesce(register_member.first_name, ''),
		coalesce(register_member.first_last_name, ''), coalesce(register_member.second_last_name, ''), register_member.birth_date,
		register_member.enrolled_by);
	RETURN id;
END
$$;
COMMENT ON FUNCTION loyalty_internal.register_member(bigint, bigint, text, loyalty.phone, text, text, loyalty.curp, text, text, text, date, bigint) IS
'Part of the functions that create a member: registers somebody, or brings back who had left and is the same person, and returns the member_id. name: the whole one; names without blanks around them. Errors: LY006 unknown_object (no such program), and those of the constraints: unique_violation, too, where somebody is in the way.';

CREATE FUNCTION loyalty.create_member(
	merchant_id bigint, program_id bigint, name text, phone loyalty.phone DEFAULT NULL, email text DEFAULT NULL, client_id text DEFAULT NULL,
	birth_date date DEFAULT NULL, staff_id bigint DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint := loyalty_internal.claim_key(merchant_id, idempotency_key, 'create_member', ARRAY[program_id::text, name, phone::text, email, client_id,
		to_json(birth_date) #>> '{}', staff_id::text]);
BEGIN
	IF id IS NOT NULL THEN
		RETURN id;
	END IF;
	create_member.name := loyalty_internal.trimmed(create_member.name);
	IF create_member.merchant_id IS NULL OR create_member.program_id IS NULL OR coalesce(create_member.name, '') = '' THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'merchant_id and program_id must not be NULL, and a member has a name.');
	ELSIF greatest(octet_length(create_member.name), octet_length(create_member.email), octet_length(create_member.client_id)) > 1024 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'name, email and client_id have at most 1,024 bytes.');
	ELSIF create_member.birth_date NOT BETWEEN '1900-01-01' AND CURRENT_DATE THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A birth date is in the past, not before 1900.');
	ELSIF create_member.staff_id IS NOT NULL AND NOT EXISTS (
		SELECT FROM loyalty_internal.staff s WHERE s.merchant_id = create_member.merchant_id AND s.staff_id = create_member.staff_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no staff with this staff_id.');
	END IF;
	id := loyalty_internal.register_member(create_member.merchant_id, create_member.program_id, create_member.name, create_member.phone,
		create_member.email, create_member.client_id, birth_date => create_member.birth_date, enrolled_by => create_member.staff_id);
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, id::text);
EXCEPTION
	WHEN check_violation THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'email and client_id must not be empty, and a name has no control characters.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'The program has a member with this phone, email or client_id.');
END
$$;
COMMENT ON FUNCTION loyalty.create_member(bigint, bigint, text, loyalty.phone, text, text, date, bigint, text) IS
'Registers somebody in a program and returns the member_id, which is also the account_id of a new member. Who had left and is the same person comes back, with their points; who had left and is somebody else loses the phone. The wallet API finds members by phone, the seller API by client_id and email; client_id: CM and a number unless given. name, email and client_id have at most 1,024 bytes. birth_date: until today in the TimeZone of the session. staff_id: who registers them. No quota is used up, and no message sent. idempotency_key: the same call again returns the first answer and registers nobody. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY005 invalid_argument, LY006 unknown_object (program_id, staff_id), LY007 already_exists.';

CREATE FUNCTION loyalty.find_member(
	merchant_id bigint, program_id bigint, phone loyalty.phone DEFAULT NULL, email text DEFAULT NULL, client_id text DEFAULT NULL,
	OUT member_id bigint, OUT account_id bigint)
RETURNS record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF num_nonnulls(find_member.phone, find_member.email, find_member.client_id) <> 1 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'Give exactly one of phone, email and client_id.');
	END IF;
	SELECT m.member_id, m.account_id INTO find_member.member_id, find_member.account_id FROM loyalty_internal.member m
	WHERE m.merchant_id = find_member.merchant_id AND m.program_id = find_member.program_id AND m.cancelled_at IS NULL
	  AND (m.client_id = find_member.client_id COLLATE "C" OR m.phone OPERATOR(loyalty.=) find_member.phone
		   OR loyalty.fold(m.email) = loyalty.fold(find_member.email COLLATE "C"));
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The program has no member with this phone, email or client_id.');
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty.find_member(bigint, bigint, loyalty.phone, text, text) IS
'The member of a program who has this phone, email, in any spelling of it, or client_id, and the account that holds their points. Who has left is found too, who has been cancelled is not. Errors: LY005 invalid_argument (none of the three is given, or more than one), LY006 unknown_object.';

CREATE FUNCTION loyalty.identify_member(
	merchant_id bigint, member_id bigint, phone loyalty.phone DEFAULT NULL, email text DEFAULT NULL, client_id text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was loyalty_internal.member;
	becomes loyalty_internal.member;
BEGIN
	PERFORM FROM loyalty_internal.member m
	WHERE m.merchant_id = identify_member.merchant_id
	  AND (m.member_id = identify_member.member_id OR m.phone OPERATOR(loyalty.=) identify_member.phone)
	ORDER BY m.member_id FOR UPDATE;
	was := loyalty_internal.lock_member(identify_member.merchant_id, identify_member.member_id);
	-- Who left does not keep a number from others.
	PERFORM loyalty.free_phone(m.merchant_id, m.member_id) FROM loyalty_internal.member m
	WHERE m.merchant_id = was.merchant_id AND m.program_id = was.program_id
	  AND m.phone OPERATOR(loyalty.=) identify_member.phone AND m.member_id <> was.member_id AND NOT m.active;
	IF greatest(octet_length(identify_member.email), octet_length(identify_member.client_id)) > 1024 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'email and client_id have at most 1,024 bytes.');
	END IF;
	becomes := was;
	becomes.phone := coalesce(identify_member.phone, was.phone);
	becomes.email := coalesce(loyalty_internal.trimmed(identify_member.email), was.email);
	becomes.client_id := coalesce(identify_member.client_id, was.client_id);
	PERFORM loyalty_internal.change_member(was, becomes);
EXCEPTION
	WHEN check_violation THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'email and client_id must not be empty.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'Another member of the program has this phone, email or client_id.');
END
$$;
COMMENT ON FUNCTION loyalty.identify_member(bigint, bigint, loyalty.phone, text, text) IS
'Adds or changes what a member is found by: phone (wallet API), email and client_id (seller API). An email replaces another spelling of it, too. With a phone and a client_id one member, on one balance, is served by both. What it was is in loyalty.member_changes; the phone of a member who left is taken off them. Errors: LY005 invalid_argument, LY006 unknown_object, LY007 already_exists.';

CREATE FUNCTION loyalty.free_phone(merchant_id bigint, member_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was CONSTANT loyalty_internal.member := loyalty_internal.lock_member(free_phone.merchant_id, free_phone.member_id);
	becomes loyalty_internal.member := was;
BEGIN
	becomes.phone := NULL;
	PERFORM loyalty_internal.change_member(was, becomes);
	RETURN was.phone IS NOT NULL;
END
$$;
COMMENT ON FUNCTION loyalty.free_phone(bigint, bigint) IS
'Takes the phone off a member, so that another can have it; returns whether there was one. The member keeps everything else, and without a phone is no contact of the wallet API. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.free_email(merchant_id bigint, member_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was CONSTANT loyalty_internal.member := loyalty_internal.lock_member(free_email.merchant_id, free_email.member_id);
	becomes loyalty_internal.member := was;
BEGIN
	becomes.email := NULL;
	PERFORM loyalty_internal.change_member(was, becomes);
	RETURN was.email IS NOT NULL;
END
$$;
COMMENT ON FUNCTION loyalty.free_email(bigint, bigint) IS
'Takes the email off a member, so that another can have it; returns whether there was one. The member keeps everything else. What it was is in loyalty.member_changes. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.correct_member(
	merchant_id bigint, member_id bigint, name text DEFAULT NULL, first_name text DEFAULT NULL, first_last_name text DEFAULT NULL,
	second_last_name text DEFAULT NULL, birth_date date DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was CONSTANT loyalty_internal.member := loyalty_internal.lock_member(correct_member.merchant_id, correct_member.member_id);
	becomes loyalty_internal.member := was;
BEGIN
	correct_member.name := loyalty_internal.trimmed(correct_member.name);
	correct_member.first_name := loyalty_internal.trimmed(correct_member.first_name);
	correct_member.first_last_name := loyalty_internal.trimmed(correct_member.first_last_name);
	correct_member.second_last_name := loyalty_internal.trimmed(correct_member.second_last_name);
	IF greatest(octet_length(correct_member.name), octet_length(correct_member.first_name),
		octet_length(correct_member.first_last_name), octet_length(correct_member.second_last_name)) > 1024 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A name, or a part of it, has at most 1,024 bytes.');
	END IF;
	IF NOT loyalty_internal.is_name(concat(correct_member.name, correct_member.first_name, correct_member.first_last_name, correct_member.second_last_name)) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A name has no control characters.');
	END IF;
	IF correct_member.name IS NOT NULL THEN
		becomes.name := correct_member.name;
		becomes.first_name := '';
		becomes.first_last_name := '';
		becomes.second_last_name := '';
	END IF;
	IF coalesce(correct_member.first_name, correct_member.first_last_name, correct_member.second_last_name) IS NOT NULL THEN
		becomes.first_name := coalesce(correct_member.first_name, was.first_name);
		becomes.first_last_name := coalesce(correct_member.first_last_name, was.first_last_name);
		becomes.second_last_name := coalesce(correct_member.second_last_name, was.second_last_name);
		becomes.name := concat_ws(' ', becomes.first_name, nullif(becomes.first_last_name, ''), nullif(becomes.second_last_name, ''));
		IF correct_member.name IS NOT NULL OR becomes.first_name = '' THEN
			PERFORM loyalty_internal.fail('invalid_argument', 'A name is given whole, or in parts of which the first is not empty.');
		END IF;
	END IF;
	becomes.birth_date := coalesce(correct_member.birth_date, was.birth_date);
	IF becomes.name = '' OR correct_member.birth_date NOT BETWEEN '1900-01-01' AND CURRENT_DATE OR EXISTS (
		SELECT FROM loyalty_internal.customer c
		WHERE c.merchant_id = was.merchant_id AND c.member_id = was.member_id
		  AND loyalty.birth_date(c.curp) <> correct_member.birth_date) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A name is not empty, and a birth date is in the past, not before 1900, and that of the customer''s CURP.');
	END IF;
	PERFORM loyalty_internal.change_member(was, becomes);
END
$$;
COMMENT ON FUNCTION loyalty.correct_member(bigint, bigint, text, text, text, text, date) IS
'Corrects what is not NULL of a member: the whole name, or parts of it, of which the whole is made, each without the blanks around it and of at most 1,024 bytes; the birth date, until today in the TimeZone of the session. What it was is in loyalty.member_changes. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.enable_member(merchant_id bigint, member_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was CONSTANT loyalty_internal.member := loyalty_internal.lock_member(enable_member.merchant_id, enable_member.member_id);
	becomes loyalty_internal.member := was;
BEGIN
	IF was.active THEN
		RETURN false;
	END IF;
	IF EXISTS (SELECT FROM loyalty_internal.customer c
			   WHERE c.merchant_id = was.merchant_id AND c.member_id = was.member_id AND c.blocked_at IS NOT NULL) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The member is a customer who is being cancelled, since loyalty.block_customer().');
	END IF;
	becomes.active := true;
	PERFORM loyalty_internal.change_member(was, becomes);
	RETURN true;
END
$$;
COMMENT ON FUNCTION loyalty.enable_member(bigint, bigint) IS
'Takes a member who left back into the program, as they are: with their account, points, and what they were found by. Returns whether they had left. Errors: LY006 unknown_object (no such member, or one who has been cancelled or blocked).';

CREATE FUNCTION loyalty.disable_member(merchant_id bigint, member_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	shares CONSTANT boolean := loyalty_internal.lock_sharers(disable_member.merchant_id, disable_member.member_id);
	was loyalty_internal.member;
	becomes loyalty_internal.member;
BEGIN
	SELECT m.* INTO was FROM loyalty_internal.member m
	WHERE m.merchant_id = disable_member.merchant_id AND m.member_id = disable_member.member_id AND m.cancelled_at IS NULL;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id, or the member has been cancelled.');
	END IF;
	IF NOT was.active THEN
		RETURN false;
	END IF;
	IF shares THEN
		PERFORM loyalty.leave_account(disable_member.merchant_id, disable_member.member_id);
	END IF;
	becomes := was;
	becomes.active := false;
	PERFORM loyalty_internal.change_member(was, becomes);
	RETURN true;
END
$$;
COMMENT ON FUNCTION loyalty.disable_member(bigint, bigint) IS
'Takes a member out of a program: no API finds them until they are registered again, or enabled. Account, points and entries stay theirs; a shared account and its points stay with the others, as after loyalty.leave_account(), which can give them some before. Returns whether they were in. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.set_member_address(
	merchant_id bigint, member_id bigint, ordinal integer, street text, number_inside text DEFAULT '', number_outside text DEFAULT '',
	country text DEFAULT '', state text DEFAULT '', city text DEFAULT '')
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM FROM loyalty_internal.member m
	WHERE m.merchant_id = set_member_address.merchant_id AND m.member_id = set_member_address.member_id
	  AND m.cancelled_at IS NULL FOR SHARE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id.');
	END IF;
	INSERT INTO loyalty_internal.member_address (merchant_id, member_id, ordinal, street, number_inside, number_outside, country, state, city)
	VALUES (set_member_address.merchant_id, set_member_address.member_id, set_member_address.ordinal, set_member_address.street,
			set_member_address.number_inside, set_member_address.number_outside, set_member_address.country,
			set_member_address.state, set_member_address.city)
	ON CONFLICT (merchant_id, member_id, ordinal) DO UPDATE SET street = excluded.street,
		number_inside = excluded.number_inside, number_outside = excluded.number_outside,
		country = excluded.country, state = excluded.state, city = excluded.city;
EXCEPTION
	WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'ordinal counts from 1, and nothing may be NULL, or longer than 1,024 bytes.');
END
$$;
COMMENT ON FUNCTION loyalty.set_member_address(bigint, bigint, integer, text, text, text, text, text, text) IS
'Sets the address number ordinal (1, 2 …) of a member; each part has at most 1,024 bytes. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.blacklist_phone(merchant_id bigint, phone loyalty.phone, reason text DEFAULT '') RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(blacklist_phone.merchant_id);
	PERFORM loyalty_internal.require_short(blacklist_phone.reason);
	IF blacklist_phone.phone IS NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'phone must not be NULL.');
	END IF;
	INSERT INTO loyalty_internal.blacklisted_phone (merchant_id, phone, reason)
	VALUES (blacklist_phone.merchant_id, blacklist_phone.phone, coalesce(blacklist_phone.reason, ''))
	ON CONFLICT DO NOTHING;
	IF FOUND THEN
		RETURN true;
	END IF;
	UPDATE loyalty_internal.blacklisted_phone b SET reason = coalesce(blacklist_phone.reason, '')
	WHERE b.merchant_id = blacklist_phone.merchant_id AND b.phone OPERATOR(loyalty.=) blacklist_phone.phone;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.blacklist_phone(bigint, loyalty.phone, text) IS
'Refuses sales, redemptions and corrections for this phone in every wallet of the merchant; returns whether it was not on the blacklist yet. The reason is the newest one. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.unblacklist_phone(merchant_id bigint, phone loyalty.phone) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM loyalty_internal.blacklisted_phone b
	WHERE b.merchant_id = unblacklist_phone.merchant_id AND b.phone OPERATOR(loyalty.=) unblacklist_phone.phone;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION loyalty.unblacklist_phone(bigint, loyalty.phone) IS
'Takes a phone off the merchant''s blacklist; returns whether it was on it.';

CREATE VIEW loyalty.members AS
SELECT m.merchant_id, m.member_id, m.program_id, m.account_id, m.client_id, m.phone, m.email, m.name, m.first_name,
	   m.first_last_name, m.second_last_name, m.birth_date, m.country, m.active, m.enrolled_by, m.subscribed_at, m.created_at,
	   loyalty.rank_at(m.merchant_id, m.account_id, clock_timestamp()) AS rank,
	   b.balance, b.expired, b.earned, b.posted_at AS last_posted_at
FROM loyalty_internal.member m JOIN loyalty.balances b ON b.merchant_id = m.merchant_id AND b.account_id = m.account_id;
COMMENT ON VIEW loyalty.members IS 'The members with their rank, and what their account has now: those who share an account have the same points, once each, so sums are made of loyalty.balances. earned is NULL for accounts that do not keep it.';
COMMENT ON COLUMN loyalty.members.merchant_id IS 'The merchant.';
COMMENT ON COLUMN loyalty.members.member_id IS 'The number of the member.';
COMMENT ON COLUMN loyalty.members.program_id IS 'The program that the member is enrolled in.';
COMMENT ON COLUMN loyalty.members.account_id IS 'The account that holds the member''s points: the one with the number of the member, unless they share another''s.';
COMMENT ON COLUMN loyalty.members.client_id IS 'The documented memberId of the seller API, unique in the program.';
COMMENT ON COLUMN loyalty.members.phone IS 'The phone by which the wallet API knows the member; NULL: none.';
COMMENT ON COLUMN loyalty.members.email IS 'Unique in the program, in any spelling; NULL: none.';
COMMENT ON COLUMN loyalty.members.name IS 'The whole name.';
COMMENT ON COLUMN loyalty.members.first_name IS 'First name; empty: only the whole name was told, as with the other parts of it.';
COMMENT ON COLUMN loyalty.members.first_last_name IS 'First last name.';
COMMENT ON COLUMN loyalty.members.second_last_name IS 'Second last name.';
COMMENT ON COLUMN loyalty.members.birth_date IS 'Date of birth; NULL: not told.';
COMMENT ON COLUMN loyalty.members.country IS 'The country that was told; empty: none.';
COMMENT ON COLUMN loyalty.members.active IS 'false: they have left; they keep account and entries, and are not found by the APIs until they are registered again.';
COMMENT ON COLUMN loyalty.members.enrolled_by IS 'The staff_id of who registered the member; NULL: not told.';
COMMENT ON COLUMN loyalty.members.subscribed_at IS 'Since when they are a member, as it was told; else when they were registered.';
COMMENT ON COLUMN loyalty.members.created_at IS 'When they were registered first.';
COMMENT ON COLUMN loyalty.members.rank IS 'The rank that they have now; NULL: none.';
COMMENT ON COLUMN loyalty.members.balance IS 'Points of the account that can be spent now.';
COMMENT ON COLUMN loyalty.members.expired IS 'Points of the account that have expired so far.';
COMMENT ON COLUMN loyalty.members.earned IS 'Points of the account that were earned so far; NULL: not kept, as in loyalty.balances.';
COMMENT ON COLUMN loyalty.members.last_posted_at IS 'When something was last posted to the account; without an entry, when it was opened.';

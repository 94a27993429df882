-- Programs.  A program and a wallet (monedero) are the same thing: the seller API
-- knows it by its client_id, the wallet API by its wallet_key.

CREATE FUNCTION loyalty_internal.new_client_id(prefix text) RETURNS text
LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_new_client_id';
COMMENT ON FUNCTION loyalty_internal.new_client_id(text) IS
'An id in the printed shape of the seller API: prefix (CM for members, none for programs) and 13 random digits.';

CREATE TABLE loyalty_internal.program (
	merchant_id			bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	program_id			bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	client_id			text			COLLATE "C" NOT NULL DEFAULT loyalty_internal.new_client_id('') CHECK (octet_length(client_id) BETWEEN 1 AND 255),
	wallet_key			text			COLLATE "C" NOT NULL DEFAULT loyalty_internal.random_key('', 16) CHECK (wallet_key <> ''),
	name				text			NOT NULL CHECK (octet_length(name) <= 1024 AND name ~ '[^[:space:]]' AND loyalty_internal.is_line(name)),
	managed_by			text			NOT NULL DEFAULT '',
	active				boolean			NOT NULL DEFAULT true,
	accumulation_points	loyalty.points	NOT NULL DEFAULT '10' CHECK (accumulation_points OPERATOR(loyalty.>=) '0'::loyalty.points),
	accumulation_money	loyalty.points	NOT NULL DEFAULT '100' CHECK (accumulation_money OPERATOR(loyalty.>) '0'::loyalty.points),
	redemption_points	loyalty.points	NOT NULL DEFAULT '1' CHECK (redemption_points OPERATOR(loyalty.>) '0'::loyalty.points),
	redemption_money	loyalty.points	NOT NULL DEFAULT '1' CHECK (redemption_money OPERATOR(loyalty.>) '0'::loyalty.points),
	decimals			smallint		NOT NULL DEFAULT 2 CHECK (decimals BETWEEN 0 AND 4),
	rounding			text			NOT NULL DEFAULT 'half_up' CHECK (rounding IN ('half_up', 'half_even', 'down', 'up')),
	currency_iso		text			NOT NULL DEFAULT 'MXN' CHECK (currency_iso ~ '^[A-Z]{3}$'),
	currency_name		text			NOT NULL DEFAULT 'Peso mexicano',
	currency_change		loyalty.points	NOT NULL DEFAULT '1' CHECK (currency_change OPERATOR(loyalty.>) '0'::loyalty.points),
	currency_active		boolean			NOT NULL DEFAULT true,
	unit_name			text			NOT NULL DEFAULT 'Puntos',
	unit_base			boolean			NOT NULL DEFAULT true,
	unit_active			boolean			NOT NULL DEFAULT true,
	duration_name		text			NOT NULL DEFAULT '',
	duration_unit		text			NOT NULL DEFAULT 'month' CHECK (duration_unit IN ('day', 'month', 'year')),
	duration_value		integer			NOT NULL DEFAULT 0 CHECK (duration_value BETWEEN 0 AND 1200),
	expiry				text			NOT NULL DEFAULT 'rolling' CHECK (expiry IN ('rolling', 'month_end', 'quarter_end', 'year_end', 'fixed')),
	expiry_date			date			CHECK (expiry_date BETWEEN '2000-01-01' AND '9999-12-31'),
	pending_days		integer			NOT NULL DEFAULT 0 CHECK (pending_days BETWEEN 0 AND 3650),
	shortfall			text			NOT NULL DEFAULT 'refuse' CHECK (shortfall IN ('refuse', 'partial', 'negative')),
	reinstatement_days	integer			NOT NULL DEFAULT 0 CHECK (reinstatement_days BETWEEN 0 AND 3650),
	time_zone			text			NOT NULL DEFAULT 'America/Mexico_City',
	range_group			text			COLLATE "C" NOT NULL DEFAULT '',
	rank_window_unit	text			NOT NULL DEFAULT 'month' CHECK (rank_window_unit IN ('day', 'month', 'year', 'calendar_year')),
	rank_window_value	integer			NOT NULL DEFAULT 0 CHECK (rank_window_value BETWEEN 0 AND 1200),
	rank_grace_days		integer			NOT NULL DEFAULT 0 CHECK (rank_grace_days BETWEEN 0 AND 3650),
	earn_on_points		boolean			NOT NULL DEFAULT false,
	rules				integer			NOT NULL DEFAULT 0 CHECK (rules >= 0),
	rules_published_at	timestamptz,
	has_limits			boolean			NOT NULL DEFAULT false,
	revision			bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	tracks_lots			boolean			NOT NULL DEFAULT false,
	ranked_at			timestamptz,
	requires_ticket		boolean			NOT NULL DEFAULT false,
	requires_birth_date	boolean			NOT NULL DEFAULT false,
	channel				text			NOT NULL DEFAULT 'sms' CHECK (channel IN ('sms', 'whatsapp')),
	messages			text[]			NOT NULL DEFAULT '{welcome,redeem,adjust}' CHECK (messages <@ '{welcome,accrue,redeem,adjust}'::text[]),
	created_at			timestamptz		NOT NULL DEFAULT now(),
	updated_at			timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, program_id),
	UNIQUE (merchant_id, wallet_key),
	UNIQUE (merchant_id, client_id),
	CONSTRAINT program_expiry_date_check1 CHECK (expiry <> 'fixed' OR expiry_date IS NOT NULL)
);
COMMENT ON TABLE loyalty_internal.program IS 'Points schemes, known as programs by their client_id and as wallets (monederos) by their wallet_key.';
COMMENT ON COLUMN loyalty_internal.program.client_id IS 'The documented programId.';
COMMENT ON COLUMN loyalty_internal.program.active IS 'An inactive program gives and moves no points; what members have, they can use, and get back.';
COMMENT ON COLUMN loyalty_internal.program.accumulation_points IS 'Points earned for accumulation_money: a wallet''s percentage is this for 100.';
COMMENT ON COLUMN loyalty_internal.program.redemption_points IS 'Points that are worth redemption_money.';
COMMENT ON COLUMN loyalty_internal.program.currency_change IS 'What one unit of the currency is worth in the money of the bases.';
COMMENT ON COLUMN loyalty_internal.program.currency_active IS 'Whether operations may name the currency.';
COMMENT ON COLUMN loyalty_internal.program.unit_base IS 'Whether points may be deposited as such; if not, a deposit must name the currency.';
COMMENT ON COLUMN loyalty_internal.program.unit_active IS 'false: as if the program were inactive.';
COMMENT ON COLUMN loyalty_internal.program.duration_value IS 'How many duration_units after they were earned points expire.';
COMMENT ON COLUMN loyalty_internal.program.expiry IS 'rolling: at the end of the day that is the duration after they were earned, never if that is 0; month_end, quarter_end, year_end: at the end of the month, quarter, year of that day; fixed: at the end of expiry_date. All in time_zone.';
COMMENT ON COLUMN loyalty_internal.program.pending_days IS 'For how many days what a sale earns is pending.';
COMMENT ON COLUMN loyalty_internal.program.shortfall IS 'What reversing an accrual does when its points were spent: refuse, take what is there (partial), or leave a negative balance (negative).';
COMMENT ON COLUMN loyalty_internal.program.reinstatement_days IS 'For how many days points that are given back can be spent although their date has passed.';
COMMENT ON COLUMN loyalty_internal.program.rank_window_value IS 'For how many rank_window_units points count for the rank, of calendar years the one that they are of is the first; 0: for ever.';
COMMENT ON COLUMN loyalty_internal.program.rank_grace_days IS 'How long a rank is held after the points that count have fallen below it.';
COMMENT ON COLUMN loyalty_internal.program.earn_on_points IS 'Whether the part of a sale that is paid with points earns points.';
COMMENT ON COLUMN loyalty_internal.program.rules IS 'The current version of the earning rules; 0: none.';
COMMENT ON COLUMN loyalty_internal.program.rules_published_at IS 'When that version was published.';
COMMENT ON COLUMN loyalty_internal.program.has_limits IS 'Whether postings have to be within limits.';
COMMENT ON COLUMN loyalty_internal.program.revision IS 'Another number, never used before, each time anything of the program, its ranks, rules or limits changes: a session that has read them keeps them until it changes.';
COMMENT ON COLUMN loyalty_internal.program.tracks_lots IS 'Whether accounts track lots from the start: their program expires points, or has ranks, rules or limits.';
COMMENT ON COLUMN loyalty_internal.program.ranked_at IS 'When the terms by which ranks are held have changed last; NULL: they never did.';
COMMENT ON COLUMN loyalty_internal.program.range_group IS 'The group of loyalty.rank_ranges that gives members their rank; empty: none.';
COMMENT ON COLUMN loyalty_internal.program.decimals IS 'How many decimals the points of this program have, 0 to 4.';
COMMENT ON COLUMN loyalty_internal.program.rounding IS 'How a conversion is brought to those decimals.';
COMMENT ON COLUMN loyalty_internal.program.messages IS 'Which operations send the member a message.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.program TO loyalty_engine;

CREATE TABLE loyalty_internal.program_past (
	merchant_id			bigint			NOT NULL,
	program_id			bigint			NOT NULL,
	valid_until			timestamptz		NOT NULL,
	accumulation_points	loyalty.points	NOT NULL,
	accumulation_money	loyalty.points	NOT NULL,
	redemption_points	loyalty.points	NOT NULL,
	redemption_money	loyalty.points	NOT NULL,
	currency_iso		text			NOT NULL,
	currency_change		loyalty.points	NOT NULL,
	duration_unit		text			NOT NULL,
	duration_value		integer			NOT NULL,
	expiry				text			NOT NULL,
	PRIMARY KEY (merchant_id, program_id, valid_until),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program
);
COMMENT ON TABLE loyalty_internal.program_past IS 'The terms of programs before they were changed: what points were worth then, and how they were earned and expired.';
COMMENT ON COLUMN loyalty_internal.program_past.valid_until IS 'When others took their place, by the clock, but after those before them, and after the program was created.';
GRANT SELECT, INSERT ON loyalty_internal.program_past TO loyalty_engine;

CREATE FUNCTION loyalty.find_program(merchant_id bigint, client_id text DEFAULT NULL, wallet_key text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
BEGIN
	IF num_nonnulls(find_program.client_id, find_program.wallet_key) <> 1 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'Give exactly one of client_id and wallet_key.');
	END IF;
	SELECT p.program_id INTO id FROM loyalty_internal.program p
	WHERE p.merchant_id = find_program.merchant_id
	  AND (p.client_id = find_program.client_id COLLATE "C" OR p.wallet_key = find_program.wallet_key COLLATE "C");
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', format('The merchant has no program with this %s.',
			CASE WHEN find_program.wallet_key IS NULL THEN 'client_id' ELSE 'wallet_key' END));
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION loyalty.find_program(bigint, text, text) IS
'The program_id of the program with this client_id (the documented programId), or of the wallet with this wallet_key. Errors: LY005 invalid_argument (both are given, or neither), LY006 unknown_object.';

CREATE FUNCTION loyalty_internal.settings_of(program loyalty_internal.program) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object(
		'name', program.name, 'managed_by', program.managed_by,
		'accumulation_points', program.accumulation_points, 'accumulation_money', program.accumulation_money,
		'redemption_points', program.redemption_points, 'redemption_money', program.redemption_money,
		'decimals', program.decimals, 'rounding', program.rounding,
		'currency_iso', program.currency_iso, 'currency_name', program.currency_name,
		'currency_change', program.currency_change, 'currency_active', program.currency_active,
		'unit_name', program.unit_name, 'unit_base', program.unit_base, 'unit_active', program.unit_active,
		'duration_name', program.duration_name, 'duration_unit', program.duration_unit, 'duration_value', program.duration_value,
		'expiry', program.expiry, 'expiry_date', program.expiry_date, 'pending_days', program.pending_days,
		'shortfall', program.shortfall, 'reinstatement_days', program.reinstatement_days, 'time_zone', program.time_zone,
		'range_group', program.range_group, 'rank_window_unit', program.rank_window_unit,
		'rank_window_value', program.rank_window_value, 'rank_grace_days', program.rank_grace_days,
		'earn_on_points', program.earn_on_points, 'requires_ticket', program.requires_ticket,
		'requires_birth_date', program.requires_birth_date, 'channel', program.channel, 'messages', program.messages)
$$;
COMMENT ON FUNCTION loyalty_internal.settings_of(loyalty_internal.program) IS 'The settings of a program, as loyalty.configure_program() takes them.';

-- Which values there may be is in the CHECKs of the table.
CREATE FUNCTION loyalty_internal.settings_problem(settings jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kinds CONSTANT jsonb := '{"name": "string", "managed_by": "string", "accumulation_points": "number", "accumulation_money": "number",
		"redemption_points": "number", "redemption_money": "number", "decimals": "number", "rounding": "string", "currency_iso": "string",
		"currency_name": "string", "currency_change": "number", "currency_active": "boolean", "unit_name": "string", "unit_base": "boolean",
		"unit_active": "boolean", "duration_name": "string", "duration_unit": "string", "duration_value": "number", "expiry": "string",
		"expiry_date": "string", "pending_days": "number", "shortfall": "string", "reinstatement_days": "number", "time_zone": "string",
		"range_group": "string", "rank_window_unit": "string", "rank_window_value": "number", "rank_grace_days": "number",
		"earn_on_points": "boolean", "requires_ticket": "boolean", "requires_birth_date": "boolean", "channel": "string", "messages": "array"}';
	problem text;
BEGIN
	IF jsonb_typeof(settings) IS DISTINCT FROM 'object' THEN
		RETURN 'settings is a JSON object.';
	END IF;
	SELECT CASE WHEN NOT kinds ? s.key THEN format('There is no setting "%s".', s.key)
				ELSE format('%s must be a JSON %s, or null for the default.', s.key, kinds ->> s.key) END
	INTO problem FROM jsonb_each(settings) s
	WHERE NOT kinds ? s.key OR jsonb_typeof(s.value) NOT IN ('null', kinds ->> s.key) ORDER BY s.key COLLATE "C" LIMIT 1;
	IF FOUND THEN
		RETURN problem;
	ELSIF settings ->> 'expiry_date' !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN
		RETURN 'expiry_date is a date, YYYY-MM-DD.';
	ELSIF jsonb_path_exists(settings -> 'messages', 'strict $[*] ? (@.type() != "string")', silent => true) THEN
		RETURN 'messages is a list of strings.';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION loyalty_internal.settings_problem(jsonb) IS 'What is wrong with the keys of settings for loyalty.configure_program(), and with the JSON types of their values, NULL: nothing.';

CREATE FUNCTION loyalty_internal.setting_range(setting text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT setting || CASE
		WHEN setting = 'name' THEN ' has 1 to 1,024 bytes, is not blank and has no control characters'
		WHEN setting = 'accumulation_points' THEN ' is not negative, less than 922,337,203,685,478, with at most 4 decimals'
		WHEN setting IN ('accumulation_money', 'redemption_points', 'redemption_money', 'currency_change') THEN ' is more than 0, less than 922,337,203,685,478, with at most 4 decimals'
		WHEN setting = 'decimals' THEN ' is 0 to 4'
		WHEN setting = 'rounding' THEN ' is half_up, half_even, down or up'
		WHEN setting = 'currency_iso' THEN ' is three capital letters'
		WHEN setting = 'duration_unit' THEN ' is day, month or year'
		WHEN setting IN ('duration_value', 'rank_window_value') THEN ' is 0 to 1200'
		WHEN setting = 'expiry' THEN ' is rolling, month_end, quarter_end, year_end or fixed'
		WHEN setting = 'expiry_date' THEN ' is a date from 2000-01-01 to 9999-12-31, and required where expiry is fixed'
		WHEN setting IN ('pending_days', 'reinstatement_days', 'rank_grace_days') THEN ' is 0 to 3650'
		WHEN setting = 'shortfall' THEN ' is refuse, partial or negative'
		WHEN setting = 'time_zone' THEN ' is a name such as America/Mexico_City, as pg_timezone_names has it, or UTC'
		WHEN setting = 'rank_window_unit' THEN ' is day, month, year or calendar_year'
		WHEN setting = 'channel' THEN ' is sms or whatsapp'
		WHEN setting = 'messages' THEN ' is a subset of welcome, accrue, redeem, adjust'
	END || '.'
$$;
COMMENT ON FUNCTION loyalty_internal.setting_range(text) IS 'Which values a setting of loyalty.configure_program() may have, as the hint of a refusal; NULL: any of its type.';

CREATE FUNCTION loyalty.configure_program(merchant_id bigint, program_id bigint, settings json) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	given jsonb;
	problem text;
	setting text;
	refused text;
	changes text[];
	moment timestamptz;
	ranks_may_change boolean;
	before loyalty_internal.program;
	program loyalty_internal.program;
BEGIN
	given := configure_program.settings;
	problem := loyalty_internal.settings_problem(given);
	IF problem IS NOT NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', problem);
	END IF;
	-- 2.0 decimals are 2.
	SELECT coalesce(jsonb_object_agg(s.key, CASE jsonb_typeof(s.value) WHEN 'number' THEN to_jsonb(trim_scale(s.value::numeric)) ELSE s.value END), '{}')
	INTO given FROM jsonb_each(given) s;
	-- One by one, so that a value that its type does not have is known by its setting.
	FOR setting IN SELECT s.key FROM jsonb_each(given) s LOOP
		PERFORM jsonb_populate_record(NULL::loyalty_internal.program, jsonb_build_object(setting, given -> setting));
	END LOOP;
	setting := NULL;
	IF given ->> 'range_group' <> '' THEN
		-- Its ranks are not changed meanwhile.
		PERFORM FROM loyalty_internal.merchant m WHERE m.merchant_id = configure_program.merchant_id FOR SHARE;
		IF NOT EXISTS (
			SELECT FROM loyalty_internal.rank_range r
			WHERE r.merchant_id = configure_program.merchant_id AND r.range_group = given ->> 'range_group' COLLATE "C") THEN
			PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no such range_group; loyalty.set_rank_ranges() makes one.');
		END IF;
	END IF;

	SELECT p.* INTO before FROM loyalty_internal.program p
	WHERE p.merchant_id = configure_program.merchant_id AND p.program_id = configure_program.program_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	changes := ARRAY(SELECT s.key FROM jsonb_each(given) s WHERE s.value IS DISTINCT FROM to_jsonb(before) -> s.key);
	IF changes = '{}' THEN
		RETURN loyalty_internal.settings_of(before);
	END IF;
	-- What an abbreviation means is a setting of each session.
	IF 'time_zone' = ANY (changes) AND given ->> 'time_zone' <> 'UTC' AND NOT EXISTS (
		SELECT FROM pg_timezone_names z WHERE z.name = given ->> 'time_zone' COLLATE "C" AND z.name LIKE '%/%') THEN
		PERFORM loyalty_internal.fail('invalid_argument', loyalty_internal.setting_range('time_zone'));
	END IF;
	moment := clock_timestamp();
	ranks_may_change := (before.range_group <> '' OR given ->> 'range_group' <> '')
		AND changes && '{range_group,rank_window_unit,rank_window_value,rank_grace_days,time_zone}';
	IF ranks_may_change THEN
		PERFORM loyalty_internal.lock_accounts(before.merchant_id, ARRAY[before.program_id], moment);
	END IF;
	IF ranks_may_change OR changes && '{time_zone,reinstatement_days}' THEN
		PERFORM loyalty_internal.book_due_program(before.merchant_id, before.program_id, moment);
	END IF;
	EXECUTE (
		SELECT format('UPDATE loyalty_internal.program p SET %s, updated_at = now()
			FROM jsonb_populate_record(NULL::loyalty_internal.program, $3) s WHERE p.merchant_id = $1 AND p.program_id = $2 RETURNING p.*',
			string_agg(format(CASE WHEN given -> c.key = 'null' THEN '%1$I = DEFAULT' ELSE '%1$I = s.%1$I' END, c.key), ', '))
		FROM unnest(changes) c (key))
	INTO program USING before.merchant_id, before.program_id, given;
	IF program.time_zone <> before.time_zone THEN
		PERFORM loyalty.recount_days(program.merchant_id, program.program_id);
	END IF;
	-- What it is created with is its first.  With a clock that stepped back, terms still come after those before.
	IF before.created_at <> now() AND changes && '{accumulation_points,accumulation_money,redemption_points,redemption_money,currency_iso,currency_change,duration_unit,duration_value,expiry}' THEN
		INSERT INTO loyalty_internal.program_past (merchant_id, program_id, valid_until, accumulation_points, accumulation_money, redemption_points, redemption_money,
			currency_iso, currency_change, duration_unit, duration_value, expiry)
		SELECT before.merchant_id, before.program_id, greatest(moment, max(o.valid_until) + interval '1 microsecond', before.created_at + interval '1 microsecond'),
			before.accumulation_points, before.accumulation_money, before.redemption_points, before.redemption_money,
			before.currency_iso, before.currency_change, before.duration_unit, before.duration_value, before.expiry
		FROM loyalty_internal.program_past o WHERE o.merchant_id = before.merchant_id AND o.program_id = before.program_id;
	END IF;

	IF program.duration_value > 0 OR program.expiry <> 'rolling' OR program.pending_days > 0 OR program.range_group <> ''
	   OR NOT program.unit_active THEN
		PERFORM loyalty_internal.track_lots(program.merchant_id, program.program_id);
	END IF;
	IF ranks_may_change AND
		(program.range_group, program.rank_window_unit, program.rank_window_value, program.rank_grace_days, program.time_zone)
			<> (before.range_group, before.rank_window_unit, before.rank_window_value, before.rank_grace_days, before.time_zone) THEN
		PERFORM loyalty_internal.rank_accounts(program.merchant_id, program.program_id);
	END IF;
	RETURN loyalty_internal.settings_of(program);
EXCEPTION
	WHEN check_violation OR not_null_violation OR numeric_value_out_of_range OR invalid_text_representation OR invalid_parameter_value
		OR datetime_field_overflow THEN
		GET STACKED DIAGNOSTICS problem = CONSTRAINT_NAME, refused = COLUMN_NAME;
		setting := coalesce(setting, nullif(refused, ''), substring(problem FROM '^program_(.*)_check1?$'));
		PERFORM loyalty_internal.fail('invalid_argument', loyalty_internal.setting_range(setting));
	WHEN untranslatable_character THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'Texts must not have the character U+0000.');
END
$$;
COMMENT ON FUNCTION loyalty.configure_program(bigint, bigint, json) IS
'Changes settings of a program and returns all that are in force then, as loyalty.programs shows them. settings: a JSON object; what it does not name stays as it is, null is the default again. Texts and dates are JSON strings, points, money and other numbers are JSON numbers, the rest is true or false, and messages an array of strings. What is due is booked by the terms before.
name, managed_by (who looks after it). accumulation_points are earned for accumulation_money (5 % is 5 for 100); redemption_points are worth redemption_money; decimals (0 to 4) and rounding (half_up, half_even, down, up) bring conversions to the program''s points. currency_iso, currency_name, currency_change (worth of one unit in the money of the bases), currency_active. unit_name, unit_base (points may be deposited as such), unit_active (false: as if the program were disabled).
duration_name, and expiry: rolling points expire at the end of the day that is duration_value duration_units (day, month, year; 0: never) after they became available; month_end, quarter_end, year_end: at the end of the month, quarter, year of that day; fixed: at the end of expiry_date (YYYY-MM-DD), and not at all if they come later; all in time_zone. Points already earned keep their date. pending_days: so many times 24 hours after a sale its points become available. shortfall: what reversing a sale does when its points were spent, refuse, take what is there (partial) or leave a debt (negative). reinstatement_days: for so many days points that are given back past their date can be spent; 0: not at all.
range_group: ranks of loyalty.set_rank_ranges(), empty for none; points count for them for rank_window_value rank_window_units (day, month, year; calendar_year: to the end of that many calendar years, of which the one that they are of is the first; 0: for ever), and a rank is held for rank_grace_days longer. earn_on_points: whether the part of a sale that is paid with points earns points.
requires_ticket, requires_birth_date: what a wallet''s sale, its registration must carry. channel: sms or whatsapp. messages: a list, which of welcome, accrue, redeem, adjust send one.
Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.enable_program(merchant_id bigint, program_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.program p SET active = true, updated_at = now()
	WHERE p.merchant_id = enable_program.merchant_id AND p.program_id = enable_program.program_id AND NOT p.active;
	IF FOUND THEN
		RETURN true;
	ELSIF NOT EXISTS (SELECT FROM loyalty_internal.program p
					  WHERE p.merchant_id = enable_program.merchant_id AND p.program_id = enable_program.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.enable_program(bigint, bigint) IS
'Lets a program give and move points again. Returns whether it was disabled. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.disable_program(merchant_id bigint, program_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE loyalty_internal.program p SET active = false, updated_at = now()
	WHERE p.merchant_id = disable_program.merchant_id AND p.program_id = disable_program.program_id AND p.active;
	IF FOUND THEN
		PERFORM loyalty_internal.track_lots(disable_program.merchant_id, disable_program.program_id);
		RETURN true;
	ELSIF NOT EXISTS (SELECT FROM loyalty_internal.program p
					  WHERE p.merchant_id = disable_program.merchant_id AND p.program_id = disable_program.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION loyalty.disable_program(bigint, bigint) IS
'Refuses, from now on, a program''s sales, accruals, deposits, holds and transfers; redemptions, corrections, refunds, captures and releases go through, so that customers get what is theirs. Returns whether it was enabled. Errors: LY006 unknown_object.';

CREATE TYPE loyalty.program_keys AS (program_id bigint, client_id text, wallet_key text);
COMMENT ON TYPE loyalty.program_keys IS 'What a program, which is a wallet too, is known by: program_id in SQL, client_id in the seller API, wallet_key in the wallet API.';

-- By the clock, which may have stepped back: the first program is the one that was made first.
CREATE FUNCTION loyalty_internal.new_program_id(merchant_id bigint) RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT greatest(loyalty_internal.new_id(), max(p.program_id) + 1)
	FROM loyalty_internal.program p WHERE p.merchant_id = new_program_id.merchant_id;
END;
COMMENT ON FUNCTION loyalty_internal.new_program_id(bigint) IS 'A number for another program of a merchant, above those of all that there are.';

CREATE FUNCTION loyalty.create_program(merchant_id bigint, name text, client_id text DEFAULT NULL, settings json DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS loyalty.program_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys loyalty.program_keys := loyalty_internal.claim_key(merchant_id, idempotency_key, 'create_program', ARRAY[name, client_id, settings::text])::loyalty.program_keys;
BEGIN
	IF keys IS NOT NULL THEN
		RETURN keys;
	END IF;
	PERFORM loyalty_internal.require_merchant(create_program.merchant_id);
	-- It is a part of a path, where nobody may take it for more or for less than one.
	IF translate(create_program.client_id, '/' || chr(92), '') <> create_program.client_id OR create_program.client_id IN ('.', '..') OR NOT loyalty_internal.is_line(create_program.client_id) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'client_id has no slash, no backslash and no control characters, and is neither . nor ..');
	END IF;
	INSERT INTO loyalty_internal.program AS p (merchant_id, program_id, name, client_id)
	VALUES (create_program.merchant_id, loyalty_internal.new_program_id(create_program.merchant_id), create_program.name, coalesce(create_program.client_id, loyalty_internal.new_client_id('')))
	RETURNING p.program_id, p.client_id, p.wallet_key INTO keys;
	IF create_program.settings IS NOT NULL THEN
		PERFORM loyalty.configure_program(create_program.merchant_id, keys.program_id, create_program.settings);
	END IF;
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, keys::text)::loyalty.program_keys;
EXCEPTION
	WHEN check_violation OR not_null_violation THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'name has 1 to 1,024 bytes, is not blank and has no control characters, client_id has 1 to 255.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'Another program of the merchant has this client_id.');
END
$$;
COMMENT ON FUNCTION loyalty.create_program(bigint, text, text, json, text) IS
'Creates a program and returns its program_id, client_id and wallet_key. client_id: the documented programId, 13 digits unless given; 1 to 255 bytes without slashes, backslashes and control characters, and neither . nor .., since it is a part of paths. settings: as of loyalty.configure_program(), where they are not the defaults; they win over the other arguments; without, it earns 10 points for 100, redeems 1 point as 1, and its points never expire. idempotency_key: the same call again returns the first answer and creates nothing. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY005 invalid_argument, LY006 unknown_object, LY007 already_exists.';

CREATE FUNCTION loyalty.create_wallet(merchant_id bigint, name text, percentage numeric DEFAULT 10, settings json DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS loyalty.program_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys loyalty.program_keys := loyalty_internal.claim_key(merchant_id, idempotency_key, 'create_wallet', ARRAY[name, percentage::text, settings::text])::loyalty.program_keys;
BEGIN
	IF keys IS NOT NULL THEN
		RETURN keys;
	END IF;
	PERFORM loyalty_internal.require_merchant(create_wallet.merchant_id);
	IF create_wallet.percentage > 1000 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'percentage is at most 1000.');
	END IF;
	INSERT INTO loyalty_internal.program AS p (merchant_id, program_id, name, accumulation_points, accumulation_money)
	VALUES (create_wallet.merchant_id, loyalty_internal.new_program_id(create_wallet.merchant_id), create_wallet.name, create_wallet.percentage, '100')
	RETURNING p.program_id, p.client_id, p.wallet_key INTO keys;
	IF create_wallet.settings IS NOT NULL THEN
		PERFORM loyalty.configure_program(create_wallet.merchant_id, keys.program_id, create_wallet.settings);
	END IF;
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, keys::text)::loyalty.program_keys;
EXCEPTION WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'name is not blank, has at most 1,024 bytes and no control characters; percentage is not negative and has at most 4 decimals.');
END
$$;
COMMENT ON FUNCTION loyalty.create_wallet(bigint, text, numeric, json, text) IS
'Creates a program by the terms of a wallet (monedero) and returns its program_id, client_id and wallet_key. percentage: percent of a sale earned as points (0 to 1000, at most 4 decimals): accumulation_points of it for accumulation_money 100. settings: as of loyalty.configure_program(), where they are not the defaults; they win over the other arguments. idempotency_key: the same call again returns the first answer and creates nothing. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY005 invalid_argument, LY006 unknown_object.';

CREATE VIEW loyalty.wallets AS
SELECT p.merchant_id, p.program_id, p.wallet_key, p.client_id, p.name,
	   p.accumulation_points::numeric * p.currency_change::numeric * 100 / p.accumulation_money::numeric AS percentage,
	   p.decimals, p.rounding, p.requires_ticket, p.requires_birth_date, p.channel, p.messages, p.active, p.created_at,
	   m.base_url || '/monedero/' || p.wallet_key AS app_client,
	   m.base_url || '/canje/' || p.wallet_key AS app_redeem
FROM loyalty_internal.program p JOIN loyalty_internal.merchant m USING (merchant_id);
COMMENT ON VIEW loyalty.wallets IS 'The wallets of the merchants with their terms; app_client and app_redeem are the links to the members'' and the cashiers'' pages.';

CREATE VIEW loyalty.programs AS
SELECT merchant_id, program_id, client_id, name, managed_by, active, accumulation_points, accumulation_money,
	   redemption_points, redemption_money, decimals, rounding, currency_iso, currency_name, currency_change,
	   currency_active, unit_name, unit_base, unit_active, duration_name, duration_unit, duration_value, expiry, expiry_date,
	   pending_days, shortfall, reinstatement_days, time_zone, range_group, rank_window_unit, rank_window_value, rank_grace_days,
	   earn_on_points, rules, created_at, updated_at, loyalty_internal.settings_of(p) AS settings
FROM loyalty_internal.program p;
COMMENT ON VIEW loyalty.programs IS 'The programs of the merchants with their terms; the columns mean what the settings of loyalty.configure_program() do, and settings is them all, as it takes them.';

-- Programs.  A program and a wallet (monedero) are the same thing: the seller API
-- knows it by its client_id, the wallet API by its wallet_key.

CREATE FUNCTION loyalty_internal.new_client_id(prefix text) RETURNS text
LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_new_client_id';
COMMENT ON FUNCTION loyalty_internal.new_client_id(text) IS
'An id in the printed shape of the seller API: prefix (CM for members, none for programs) and 13 random digits.';

CREATE TABLE loyalty_internal.program (
	merchant_id			bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	program_id			bigint			NOT NULL DEFAULT loyalty_internal.new_id(),
	client_id			text			COLLATE "C" NOT NULL DEFAULT loyalty_internal.new_client_id('') CHECK (client_id <> ''),
	wallet_key			text			COLLATE "C" NOT NULL DEFAULT loyalty_internal.random_key('', 16) CHECK (wallet_key <> ''),
	name				text			NOT NULL CHECK (name <> ''),
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
	CHECK (expiry <> 'fixed' OR expiry_date IS NOT NULL)
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
COMMENT ON COLUMN loyalty_internal.program.range_group IS 'The group of loyalty_internal.rank_range that gives members their rank; empty: none.';
COMMENT ON COLUMN loyalty_internal.program.decimals IS 'How many decimals the points of this program have, 0 to 4.';
COMMENT ON COLUMN loyalty_internal.program.rounding IS 'How a conversion is brought to those decimals.';
COMMENT ON COLUMN loyalty_internal.program.messages IS 'Which operations send the member a message.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.program TO loyalty_engine;

CREATE FUNCTION loyalty.create_program(
	merchant_id bigint, name text, client_id text DEFAULT NULL,
	OUT program_id bigint, OUT program_client_id text, OUT wallet_key text)
RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(create_program.merchant_id);
	INSERT INTO loyalty_internal.program AS p (merchant_id, name, client_id)
	VALUES (create_program.merchant_id, create_program.name, coalesce(create_program.client_id, loyalty_internal.new_client_id('')))
	RETURNING p.program_id, p.client_id, p.wallet_key INTO program_id, program_client_id, wallet_key;
EXCEPTION
	WHEN check_violation OR not_null_violation THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'name and client_id must not be empty.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'Another program of the merchant has this client_id.');
END
$$;
COMMENT ON FUNCTION loyalty.create_program(bigint, text, text) IS
'Creates a program that earns 10 points for 100, redeems 1 point as 1, and whose points never expire; loyalty.configure_program() changes that. client_id: the documented programId, 13 digits unless given. Errors: LY005 invalid_argument, LY006 unknown_object, LY007 already_exists.';

CREATE FUNCTION loyalty.create_wallet(
	merchant_id bigint, name text, percentage numeric DEFAULT 10, decimals integer DEFAULT 2,
	rounding text DEFAULT 'half_up', requires_ticket boolean DEFAULT false, requires_birth_date boolean DEFAULT false,
	channel text DEFAULT 'sms', messages text[] DEFAULT '{welcome,redeem,adjust}',
	OUT program_id bigint, OUT wallet_key text, OUT client_id text)
RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(create_wallet.merchant_id);
	IF create_wallet.percentage > 1000 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'percentage is at most 1000.');
	END IF;
	INSERT INTO loyalty_internal.program AS p (merchant_id, name, accumulation_points, decimals, rounding,
		requires_ticket, requires_birth_date, channel, messages)
	VALUES (create_wallet.merchant_id, create_wallet.name, create_wallet.percentage,
		create_wallet.decimals, create_wallet.rounding, create_wallet.requires_ticket,
		create_wallet.requires_birth_date, create_wallet.channel, create_wallet.messages)
	RETURNING p.program_id, p.wallet_key, p.client_id INTO program_id, wallet_key, client_id;
EXCEPTION WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'percentage is not negative and has at most 4 decimals, decimals 0 to 4, rounding one of half_up, half_even, down, up, channel sms or whatsapp, messages a subset of {welcome,accrue,redeem,adjust}.');
END
$$;
COMMENT ON FUNCTION loyalty.create_wallet(bigint, text, numeric, integer, text, boolean, boolean, text, text[]) IS
'Creates a wallet (monedero) and returns its program_id, wallet_key and client_id. percentage: percent of a sale earned as points (0 to 1000, at most 4 decimals). decimals (0 to 4) and rounding (half_up, half_even, down, up) bring the result to the wallet''s points. requires_ticket, requires_birth_date: what a sale, a registration must carry. channel: sms or whatsapp. messages: which of welcome, accrue, redeem, adjust send one. loyalty.configure_program() sets the rest. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.configure_program(
	merchant_id bigint, client_id text, name text DEFAULT NULL, managed_by text DEFAULT NULL, active boolean DEFAULT NULL,
	accumulation_points loyalty.points DEFAULT NULL, accumulation_money loyalty.points DEFAULT NULL,
	redemption_points loyalty.points DEFAULT NULL, redemption_money loyalty.points DEFAULT NULL,
	decimals integer DEFAULT NULL, rounding text DEFAULT NULL, currency_iso text DEFAULT NULL,
	currency_name text DEFAULT NULL, currency_change loyalty.points DEFAULT NULL, currency_active boolean DEFAULT NULL,
	unit_name text DEFAULT NULL, unit_base boolean DEFAULT NULL, unit_active boolean DEFAULT NULL,
	duration_name text DEFAULT NULL, duration_unit text DEFAULT NULL, duration_value integer DEFAULT NULL,
	time_zone text DEFAULT NULL, range_group text DEFAULT NULL,
	expiry text DEFAULT NULL, expiry_date date DEFAULT NULL, pending_days integer DEFAULT NULL, shortfall text DEFAULT NULL,
	reinstatement_days integer DEFAULT NULL, rank_window_unit text DEFAULT NULL, rank_window_value integer DEFAULT NULL,
	rank_grace_days integer DEFAULT NULL, earn_on_points boolean DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before loyalty_internal.program;
	program loyalty_internal.program;
	ranks_change boolean;
BEGIN
	IF configure_program.time_zone IS NOT NULL THEN
		PERFORM now() AT TIME ZONE configure_program.time_zone;
	END IF;
	IF configure_program.range_group <> '' AND NOT EXISTS (
		SELECT FROM loyalty_internal.rank_range r
		WHERE r.merchant_id = configure_program.merchant_id AND r.range_group = configure_program.range_group COLLATE "C") THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no such range_group; loyalty.set_rank_ranges() makes one.');
	END IF;

	SELECT * INTO before FROM loyalty_internal.program p
	WHERE p.merchant_id = configure_program.merchant_id AND p.client_id = configure_program.client_id COLLATE "C" FOR NO KEY UPDATE;
	ranks_change := (coalesce(configure_program.range_group COLLATE "C", before.range_group),
			coalesce(configure_program.rank_window_unit, before.rank_window_unit),
			coalesce(configure_program.rank_window_value, before.rank_window_value),
			coalesce(configure_program.rank_grace_days, before.rank_grace_days),
			coalesce(configure_program.time_zone, before.time_zone))
		IS DISTINCT FROM (before.range_group, before.rank_window_unit, before.rank_window_value, before.rank_grace_days, before.time_zone)
		AND (before.range_group <> '' OR configure_program.range_group <> '');
	IF ranks_change OR configure_program.time_zone <> before.time_zone OR configure_program.reinstatement_days <> before.reinstatement_days THEN
		PERFORM loyalty_internal.book_due_program(before.merchant_id, before.program_id);
	END IF;
	UPDATE loyalty_internal.program p SET
		name = coalesce(configure_program.name, p.name),
		managed_by = coalesce(configure_program.managed_by, p.managed_by),
		active = coalesce(configure_program.active, p.active),
		accumulation_points = coalesce(configure_program.accumulation_points, p.accumulation_points),
		accumulation_money = coalesce(configure_program.accumulation_money, p.accumulation_money),
		redemption_points = coalesce(configure_program.redemption_points, p.redemption_points),
		redemption_money = coalesce(configure_program.redemption_money, p.redemption_money),
		decimals = coalesce(configure_program.decimals, p.decimals),
		rounding = coalesce(configure_program.rounding, p.rounding),
		currency_iso = coalesce(configure_program.currency_iso, p.currency_iso),
		currency_name = coalesce(configure_program.currency_name, p.currency_name),
		currency_change = coalesce(configure_program.currency_change, p.currency_change),
		currency_active = coalesce(configure_program.currency_active, p.currency_active),
		unit_name = coalesce(configure_program.unit_name, p.unit_name),
		unit_base = coalesce(configure_program.unit_base, p.unit_base),
		unit_active = coalesce(configure_program.unit_active, p.unit_active),
		duration_name = coalesce(configure_program.duration_name, p.duration_name),
		duration_unit = coalesce(configure_program.duration_unit, p.duration_unit),
		duration_value = coalesce(configure_program.duration_value, p.duration_value),
		time_zone = coalesce(configure_program.time_zone, p.time_zone),
		range_group = coalesce(configure_program.range_group, p.range_group),
		expiry = coalesce(configure_program.expiry, p.expiry),
		expiry_date = coalesce(configure_program.expiry_date, p.expiry_date),
		pending_days = coalesce(configure_program.pending_days, p.pending_days),
		shortfall = coalesce(configure_program.shortfall, p.shortfall),
		reinstatement_days = coalesce(configure_program.reinstatement_days, p.reinstatement_days),
		rank_window_unit = coalesce(configure_program.rank_window_unit, p.rank_window_unit),
		rank_window_value = coalesce(configure_program.rank_window_value, p.rank_window_value),
		rank_grace_days = coalesce(configure_program.rank_grace_days, p.rank_grace_days),
		earn_on_points = coalesce(configure_program.earn_on_points, p.earn_on_points),
		updated_at = now()
	WHERE p.merchant_id = configure_program.merchant_id AND p.client_id = configure_program.client_id COLLATE "C"
	RETURNING * INTO program;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this client_id.');
	END IF;

	IF program.duration_value > 0 OR program.expiry <> 'rolling' OR program.pending_days > 0 OR program.range_group <> ''
	   OR NOT program.active OR NOT program.unit_active THEN
		PERFORM loyalty_internal.track_lots(program.merchant_id, program.program_id);
	END IF;
	IF ranks_change THEN
		PERFORM loyalty_internal.rank_accounts(program.merchant_id, program.program_id);
	END IF;
EXCEPTION WHEN check_violation OR numeric_value_out_of_range OR invalid_parameter_value THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'A base is of positive points and money, decimals 0 to 4, rounding one of half_up, half_even, down, up, currency_iso three capital letters, duration_unit day, month or year, duration_value 0 to 1200, time_zone one that the server knows, expiry one of rolling, month_end, quarter_end, year_end, fixed (with an expiry_date), pending_days, reinstatement_days and rank_grace_days 0 to 3650, shortfall one of refuse, partial, negative, rank_window_unit day, month, year or calendar_year, rank_window_value 0 to 1200.');
END
$$;
COMMENT ON FUNCTION loyalty.configure_program(bigint, text, text, text, boolean, loyalty.points, loyalty.points, loyalty.points, loyalty.points, integer, text, text, text, loyalty.points, boolean, text, boolean, boolean, text, text, integer, text, text, text, date, integer, text, integer, text, integer, integer, boolean) IS
'Changes those terms of a program that are not NULL; what is due is booked by the terms before. active: false refuses sales, accruals, deposits, holds and transfers; redemptions, corrections, refunds, captures and releases go through, so that customers get what is theirs. accumulation_points are earned for accumulation_money; redemption_points are worth redemption_money; decimals and rounding bring conversions to the program''s points. currency_iso, currency_name, currency_change (worth of one unit in the money of the bases), currency_active. unit_name, unit_base (points may be deposited as such), unit_active. expiry: rolling points expire at the end of the day that is duration_value duration_units (day, month, year; 0: never) after they became available; month_end, quarter_end, year_end: at the end of the month, quarter, year of that day; fixed: at the end of expiry_date, and not at all if they come later; all in time_zone. Points already earned keep their date. pending_days: so many times 24 hours after a sale its points become available. shortfall: what reversing a sale does when its points were spent, refuse, take what is there (partial) or leave a debt (negative). reinstatement_days: for so many days points that are given back past their date can be spent; 0: not at all. range_group: ranks of loyalty.set_rank_ranges(), empty for none; points count for them for rank_window_value rank_window_units (day, month, year; calendar_year: to the end of that many calendar years, of which the one that they are of is the first; 0: for ever), and a rank is held for rank_grace_days longer. earn_on_points: whether the part of a sale that is paid with points earns points. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.configure_wallet(
	merchant_id bigint, wallet_key text, name text DEFAULT NULL, percentage numeric DEFAULT NULL,
	decimals integer DEFAULT NULL, rounding text DEFAULT NULL, requires_ticket boolean DEFAULT NULL,
	requires_birth_date boolean DEFAULT NULL, channel text DEFAULT NULL, messages text[] DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF configure_wallet.percentage > 1000 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'percentage is at most 1000.');
	END IF;
	UPDATE loyalty_internal.program p SET
		name = coalesce(configure_wallet.name, p.name),
		accumulation_points = coalesce(configure_wallet.percentage::loyalty.points, p.accumulation_points),
		accumulation_money = CASE WHEN configure_wallet.percentage IS NULL THEN p.accumulation_money ELSE '100' END,
		decimals = coalesce(configure_wallet.decimals, p.decimals),
		rounding = coalesce(configure_wallet.rounding, p.rounding),
		requires_ticket = coalesce(configure_wallet.requires_ticket, p.requires_ticket),
		requires_birth_date = coalesce(configure_wallet.requires_birth_date, p.requires_birth_date),
		channel = coalesce(configure_wallet.channel, p.channel),
		messages = coalesce(configure_wallet.messages, p.messages),
		updated_at = now()
	WHERE p.merchant_id = configure_wallet.merchant_id AND p.wallet_key = configure_wallet.wallet_key COLLATE "C";
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no wallet with this wallet_key.');
	END IF;
EXCEPTION WHEN check_violation OR numeric_value_out_of_range THEN
	PERFORM loyalty_internal.fail('invalid_argument', 'The arguments are those of loyalty.create_wallet().');
END
$$;
COMMENT ON FUNCTION loyalty.configure_wallet(bigint, text, text, numeric, integer, text, boolean, boolean, text, text[]) IS
'Changes the arguments that are not NULL; they mean what they mean in loyalty.create_wallet(). Entries already posted stay as they are. Errors: LY005 invalid_argument, LY006 unknown_object.';

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
	   earn_on_points, rules, created_at, updated_at
FROM loyalty_internal.program;
COMMENT ON VIEW loyalty.programs IS 'The programs of the merchants with their terms; the columns mean what the arguments of loyalty.configure_program() do.';

-- The ledger: one narrow row per account, and entries that are only ever added.
--
-- Neither table has a foreign key, to or from it, or a CHECK: the first put a
-- trigger on the posting path, the second is parsed anew for every statement,
-- and each costs a tenth of a posting or more.  Instead, the statements that
-- write a balance have its bounds in their WHERE, accounts are opened in a
-- program that was just looked up, entries are written under the row lock of
-- their account, and nobody has been granted DELETE on either table, nor
-- UPDATE on entries.  loyalty.verify() looks for what should not be.

CREATE TABLE loyalty.account (
	merchant_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	program_id	bigint			NOT NULL,
	balance		loyalty.points	NOT NULL DEFAULT '0',
	version		bigint			NOT NULL DEFAULT 0,
	posted_at	timestamptz		NOT NULL DEFAULT now(),
	earned		loyalty.points,
	expired		loyalty.points,
	lots_earned	loyalty.points,
	lots_used	loyalty.points,
	next_expiry	timestamptz,
	last_expiry	timestamptz,
	PRIMARY KEY (merchant_id, account_id)
) WITH (fillfactor = 60);	-- room to update rows in their page, without touching the index
COMMENT ON TABLE loyalty.account IS 'What a member has: the newest entry''s balance, number and time. The hot row of the engine.';
CREATE INDEX account_expiring ON loyalty.account (merchant_id, next_expiry) WHERE next_expiry IS NOT NULL;
COMMENT ON COLUMN loyalty.account.version IS 'Number of the newest entry; entries of an account count 1, 2, 3 …';
COMMENT ON COLUMN loyalty.account.earned IS 'Points ever accrued and deposited. NULL: the program neither expires points nor ranks members, and this and what follows is not kept.';
COMMENT ON COLUMN loyalty.account.expired IS 'Points that expired and were booked.';
COMMENT ON COLUMN loyalty.account.lots_earned IS 'Points ever added that expire: the cumulative of the newest lot.';
COMMENT ON COLUMN loyalty.account.lots_used IS 'How many of those were spent or expired, first to expire first.';
COMMENT ON COLUMN loyalty.account.next_expiry IS 'Before this, no lot needs to be looked at.';
COMMENT ON COLUMN loyalty.account.last_expiry IS 'When the newest lot expires; later lots do not expire before it.';
REVOKE ALL ON loyalty.account FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.account TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.account', '');

CREATE TABLE loyalty.entry (
	merchant_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	version		bigint			NOT NULL,
	amount		loyalty.points	NOT NULL,
	balance		loyalty.points	NOT NULL,
	posted_at	timestamptz		NOT NULL,
	staff_id	bigint,
	money		loyalty.points,
	kind		smallint		NOT NULL,
	reference	text,
	detail		json,
	PRIMARY KEY (merchant_id, account_id, version)
);
COMMENT ON TABLE loyalty.entry IS 'The append-only ledger: one row for each change of a balance.';
COMMENT ON COLUMN loyalty.entry.amount IS 'Change of the balance: positive adds, negative takes away.';
COMMENT ON COLUMN loyalty.entry.balance IS 'Balance of the account after this entry.';
COMMENT ON COLUMN loyalty.entry.money IS 'Amount of the sale the entry belongs to, in the merchant''s currency.';
COMMENT ON COLUMN loyalty.entry.kind IS 'Kind of entry; loyalty.entry_kind() gives its name.';
COMMENT ON COLUMN loyalty.entry.reference IS 'The ticket, or what else the merchant knows the operation by.';
COMMENT ON COLUMN loyalty.entry.detail IS 'What else was sent with the operation: comments, concept, branch, vendor, currency, items.';
REVOKE ALL ON loyalty.entry FROM PUBLIC;
GRANT SELECT, INSERT ON loyalty.entry TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.entry', '');

-- A lot is what one entry added, if it expires.  Lots of an account expire in
-- the order in which they were earned, and each has the sum of all so far: what
-- is left of any follows from that and account.lots_used, and spending over
-- thousands of lots changes one number.
CREATE TABLE loyalty.lot (
	merchant_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	expires_at	timestamptz		NOT NULL,
	cumulative	loyalty.points	NOT NULL,
	version		bigint			NOT NULL,
	PRIMARY KEY (merchant_id, account_id, expires_at, cumulative)
);
COMMENT ON TABLE loyalty.lot IS 'Points that expire, by the entry that added them. Only ever added to.';
COMMENT ON COLUMN loyalty.lot.cumulative IS 'Sum of this and all earlier lots of the account.';
COMMENT ON COLUMN loyalty.lot.version IS 'The entry that added the points.';
REVOKE ALL ON loyalty.lot FROM PUBLIC;
GRANT SELECT, INSERT ON loyalty.lot TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.lot', '');

CREATE VIEW loyalty.balances AS
SELECT a.merchant_id, a.account_id, a.program_id, a.balance OPERATOR(loyalty.-) d.due AS balance,
	   coalesce(a.expired, '0') OPERATOR(loyalty.+) d.due AS expired, a.earned, a.version, a.posted_at
FROM loyalty.account a
CROSS JOIN LATERAL (
	SELECT CASE WHEN a.next_expiry <= now() THEN
		greatest((SELECT l.cumulative FROM loyalty.lot l
				  WHERE l.merchant_id = a.merchant_id AND l.account_id = a.account_id AND l.expires_at <= now()
				  ORDER BY l.expires_at DESC, l.cumulative DESC LIMIT 1) OPERATOR(loyalty.-) a.lots_used, '0'::loyalty.points)
	ELSE '0'::loyalty.points END) d (due);
ALTER VIEW loyalty.balances OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.balances IS 'What accounts have now: points past their date are in expired and not in balance, whether they have been booked or not.';

CREATE FUNCTION loyalty.entry_kind(kind smallint) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_entry_kind';
COMMENT ON FUNCTION loyalty.entry_kind(smallint) IS
'Name of a kind of entry: accrue (earned by a sale), deposit (given), redeem (spent), adjust (corrected, either way), expire (past its date). NULL for an unknown number.';
REVOKE ALL ON FUNCTION loyalty.entry_kind(smallint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.entry_kind(smallint) TO loyalty_engine;

CREATE FUNCTION loyalty.open_account(merchant_id bigint, program_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM loyalty.program p
				   WHERE p.merchant_id = open_account.merchant_id AND p.program_id = open_account.program_id) THEN
		PERFORM loyalty.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	INSERT INTO loyalty.account AS a (merchant_id, account_id, program_id, earned, expired, lots_earned, lots_used)
	SELECT p.merchant_id, loyalty.new_id(), p.program_id, n.nothing, n.nothing, n.nothing, n.nothing
	FROM loyalty.program p, LATERAL (SELECT CASE WHEN p.duration_value > 0 OR p.range_group <> '' THEN '0'::loyalty.points END) n (nothing)
	WHERE p.merchant_id = open_account.merchant_id AND p.program_id = open_account.program_id
	FOR SHARE OF p
	RETURNING a.account_id INTO id;
	RETURN id;
END
$$;
COMMENT ON FUNCTION loyalty.open_account(bigint, bigint) IS
'Opens an account with no points in a program and returns its account_id. Registering a contact opens one by itself. Errors: LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.open_account(bigint, bigint) FROM PUBLIC;
ALTER FUNCTION loyalty.open_account(bigint, bigint) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.post(
	merchant_id bigint, account_id bigint, kind text, amount loyalty.points, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, money loyalty.points DEFAULT NULL, idempotency_key text DEFAULT NULL,
	OUT version bigint, OUT balance loyalty.points)
RETURNS record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_post';
COMMENT ON FUNCTION loyalty.post(bigint, bigint, text, loyalty.points, text, bigint, loyalty.points, text) IS
'Posts one entry and returns its number and the balance after it. amount: points, positive adds, negative takes away; accrue and deposit add, redeem takes away, adjust does either. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY001 insufficient_points, LY002 unknown_account, LY003 balance_out_of_range, LY004 invalid_amount, LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key.';
REVOKE ALL ON FUNCTION loyalty.post(bigint, bigint, text, loyalty.points, text, bigint, loyalty.points, text) FROM PUBLIC;
ALTER FUNCTION loyalty.post(bigint, bigint, text, loyalty.points, text, bigint, loyalty.points, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.post_batch(
	merchant_id bigint, account_ids bigint[], kinds text[], amounts loyalty.points[], item_references text[] DEFAULT NULL,
	staff_id bigint DEFAULT NULL,
	OUT item integer, OUT error text, OUT version bigint, OUT balance loyalty.points)
RETURNS SETOF record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_post_batch';
COMMENT ON FUNCTION loyalty.post_batch(bigint, bigint[], text[], loyalty.points[], text[], bigint) IS
'Posts many entries of one merchant in one pass, in order: an item sees the balance its predecessors left. Each succeeds or fails alone; a failed one has its code in error (of loyalty.error_codes) and the others go through. kinds has one element for each item, or a single one for all. Errors of the whole: LY005 invalid_argument when the arrays do not match or hold NULL.';
REVOKE ALL ON FUNCTION loyalty.post_batch(bigint, bigint[], text[], loyalty.points[], text[], bigint) FROM PUBLIC;
ALTER FUNCTION loyalty.post_batch(bigint, bigint[], text[], loyalty.points[], text[], bigint) OWNER TO loyalty_engine;

CREATE VIEW loyalty.entries AS
SELECT merchant_id, account_id, version, loyalty.entry_kind(kind) AS kind, amount, balance, money, reference, staff_id, detail, posted_at
FROM loyalty.entry;
ALTER VIEW loyalty.entries OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.entries IS 'The ledger with the kinds by name.';

CREATE FUNCTION loyalty.expire_due(merchant_id bigint, max_accounts integer DEFAULT 1000) RETURNS integer
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_expire_due';
COMMENT ON FUNCTION loyalty.expire_due(bigint, integer) IS
'Books the points past their date of up to max_accounts (1 to 100,000) accounts of a merchant that nobody is just posting to, and returns how many accounts it looked at; 0 when nothing is due. Balances are right without it. Errors: LY005 invalid_argument.';
REVOKE ALL ON FUNCTION loyalty.expire_due(bigint, integer) FROM PUBLIC;
ALTER FUNCTION loyalty.expire_due(bigint, integer) OWNER TO loyalty_engine;

-- Here, because it has to begin keeping what accounts did not need so far.
CREATE FUNCTION loyalty.configure_program(
	merchant_id bigint, client_id text, name text DEFAULT NULL, managed_by text DEFAULT NULL, active boolean DEFAULT NULL,
	accumulation_points loyalty.points DEFAULT NULL, accumulation_money loyalty.points DEFAULT NULL,
	redemption_points loyalty.points DEFAULT NULL, redemption_money loyalty.points DEFAULT NULL,
	decimals integer DEFAULT NULL, rounding text DEFAULT NULL, currency_iso text DEFAULT NULL,
	currency_name text DEFAULT NULL, currency_change loyalty.points DEFAULT NULL, currency_active boolean DEFAULT NULL,
	unit_name text DEFAULT NULL, unit_base boolean DEFAULT NULL, unit_active boolean DEFAULT NULL,
	duration_name text DEFAULT NULL, duration_unit text DEFAULT NULL, duration_value integer DEFAULT NULL,
	time_zone text DEFAULT NULL, range_group text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	program loyalty.program;
BEGIN
	IF configure_program.time_zone IS NOT NULL THEN
		PERFORM now() AT TIME ZONE configure_program.time_zone;
	END IF;
	IF configure_program.range_group <> '' AND NOT EXISTS (
		SELECT FROM loyalty.rank_range r
		WHERE r.merchant_id = configure_program.merchant_id AND r.range_group = configure_program.range_group) THEN
		PERFORM loyalty.fail('unknown_object', 'The merchant has no such range_group; loyalty.set_rank_ranges() makes one.');
	END IF;

	UPDATE loyalty.program p SET
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
		updated_at = now()
	WHERE p.merchant_id = configure_program.merchant_id AND p.client_id = configure_program.client_id
	RETURNING * INTO program;
	IF NOT FOUND THEN
		PERFORM loyalty.fail('unknown_object', 'The merchant has no program with this client_id.');
	END IF;

	IF program.duration_value > 0 OR program.range_group <> '' THEN
		PERFORM FROM loyalty.account a
		WHERE a.merchant_id = program.merchant_id AND a.program_id = program.program_id AND a.earned IS NULL
		ORDER BY a.account_id FOR NO KEY UPDATE;
		UPDATE loyalty.account a SET
			earned = coalesce((SELECT loyalty.sum(e.amount) FROM loyalty.entry e
							   WHERE e.merchant_id = a.merchant_id AND e.account_id = a.account_id
								 AND loyalty.entry_kind(e.kind) IN ('accrue', 'deposit')), '0'),
			expired = '0', lots_earned = '0', lots_used = '0'
		WHERE a.merchant_id = program.merchant_id AND a.program_id = program.program_id AND a.earned IS NULL;
	END IF;
EXCEPTION WHEN check_violation OR numeric_value_out_of_range OR invalid_parameter_value THEN
	PERFORM loyalty.fail('invalid_argument', 'A base is of positive points and money, decimals 0 to 4, rounding one of half_up, half_even, down, up, currency_iso three capital letters, duration_unit day, month or year, duration_value 0 to 1200, time_zone one that the server knows.');
END
$$;
COMMENT ON FUNCTION loyalty.configure_program(bigint, text, text, text, boolean, loyalty.points, loyalty.points, loyalty.points, loyalty.points, integer, text, text, text, loyalty.points, boolean, text, boolean, boolean, text, text, integer, text, text) IS
'Changes those terms of a program that are not NULL. active: false refuses every operation. accumulation_points are earned for accumulation_money; redemption_points are worth redemption_money; decimals and rounding bring conversions to the program''s points. currency_iso, currency_name, currency_change (worth of one unit in the money of the bases), currency_active. unit_name, unit_base (points may be deposited as such), unit_active. duration_value duration_units (day, month, year; 0: never) after they were earned points expire, in time_zone; points already earned keep their date. range_group: ranks of loyalty.set_rank_ranges(), empty for none. Errors: LY005 invalid_argument, LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.configure_program(bigint, text, text, text, boolean, loyalty.points, loyalty.points, loyalty.points, loyalty.points, integer, text, text, text, loyalty.points, boolean, text, boolean, boolean, text, text, integer, text, text) FROM PUBLIC;
ALTER FUNCTION loyalty.configure_program(bigint, text, text, text, boolean, loyalty.points, loyalty.points, loyalty.points, loyalty.points, integer, text, text, text, loyalty.points, boolean, text, boolean, boolean, text, text, integer, text, text) OWNER TO loyalty_engine;

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
	text_key	uuid			NOT NULL DEFAULT gen_random_uuid(),
	balance		loyalty.points	NOT NULL DEFAULT '0',
	entry_no	bigint			NOT NULL DEFAULT 0,
	newest_id	bigint,
	previous_id	bigint,
	posted_at	timestamptz		NOT NULL DEFAULT now(),
	hash		bytea			NOT NULL DEFAULT '',
	earned		loyalty.points,
	expired		loyalty.points,
	held		loyalty.points,
	pending		loyalty.points,
	due_at		timestamptz,
	lots		loyalty.lots,
	qualifying	loyalty.lots,
	moved_to	bigint,
	ranked_at	timestamptz,
	PRIMARY KEY (merchant_id, account_id)
) WITH (fillfactor = 60);	-- room to update rows in their page, without touching the index
ALTER TABLE loyalty.account ALTER hash SET STORAGE PLAIN, ALTER lots SET STORAGE MAIN, ALTER qualifying SET STORAGE MAIN;
CREATE INDEX account_due ON loyalty.account (merchant_id, due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE loyalty.account IS 'What a member has: the newest entry''s balance, number and time. The hot row of the engine.';
COMMENT ON COLUMN loyalty.account.text_key IS 'A random key, of which the salts are made of the texts of the entries whose member has the number of this account, and of those of the account that name no member: once another is in its place, nobody can try what an erased text was.';
COMMENT ON COLUMN loyalty.account.balance IS 'Points that can be spent, once what is due has been booked. Held and pending ones are not among them.';
COMMENT ON COLUMN loyalty.account.entry_no IS 'The newest entry''s place in the account; entries of an account count 1, 2, 3 …';
COMMENT ON COLUMN loyalty.account.newest_id IS 'The newest entry; NULL: there is none yet.';
COMMENT ON COLUMN loyalty.account.previous_id IS 'The entry before that.';
COMMENT ON COLUMN loyalty.account.hash IS 'The newest entry''s hash.';
COMMENT ON COLUMN loyalty.account.earned IS 'Points ever accrued and deposited, less those of sales that were undone. NULL: the account is not managed, and this and what follows is not kept.';
COMMENT ON COLUMN loyalty.account.expired IS 'Points that expired and were booked.';
COMMENT ON COLUMN loyalty.account.held IS 'Points of open holds.';
COMMENT ON COLUMN loyalty.account.pending IS 'Points that are not available yet.';
COMMENT ON COLUMN loyalty.account.due_at IS 'Before this, nothing expires, is released or becomes available.';
COMMENT ON COLUMN loyalty.account.lots IS 'Those points of the balance that expire, by the moment at which they do. The first to expire are spent first, what never expires last.';
COMMENT ON COLUMN loyalty.account.qualifying IS 'Points that count for the rank, by the moment at which they stop counting.';
COMMENT ON COLUMN loyalty.account.ranked_at IS 'The program''s ranked_at by which that was counted; if it is another, it is counted anew when somebody asks.';
COMMENT ON COLUMN loyalty.account.moved_to IS 'The account of another member that this one''s member shares; while it does, nothing is posted here.';
REVOKE ALL ON loyalty.account FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.account TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.account', '');

-- The key grows with time, so entries are added where the last ones were, in the
-- table and in its index, however many accounts and entries there are.  What an
-- account had comes by way of the entry before each; only every sixteenth is in
-- an index by account, for whoever asks for a moment long ago.
CREATE TABLE loyalty.entry (
	merchant_id	bigint			NOT NULL,
	entry_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	entry_no	bigint			NOT NULL,
	previous_id	bigint,
	amount		loyalty.points	NOT NULL,
	balance		loyalty.points	NOT NULL,
	posted_at	timestamptz		NOT NULL,
	staff_id	bigint,
	money		loyalty.points,
	aside		loyalty.points,
	origin		bigint,
	peer_id		bigint,
	member_id	bigint,
	happened_at	timestamptz,
	request_id	bigint,
	rules		integer,
	actor_id	integer,
	kind		smallint		NOT NULL,
	reference	text			COLLATE "C",
	detail		json,
	text_digest	bytea,
	lots		loyalty.lots,
	hash		bytea			NOT NULL,
	PRIMARY KEY (merchant_id, entry_id)
);
ALTER TABLE loyalty.entry ALTER hash SET STORAGE MAIN, ALTER text_digest SET STORAGE MAIN;
CREATE INDEX entry_sixteenth ON loyalty.entry (merchant_id, account_id, posted_at, entry_no) WHERE entry_no % 16 = 0;
COMMENT ON TABLE loyalty.entry IS 'The append-only ledger: one row for each change of a balance, or of what is set aside.';
COMMENT ON COLUMN loyalty.entry.entry_id IS 'Its name within the merchant. It grows with time, but not in step with posted_at: the order of an account''s entries is that of entry_no.';
COMMENT ON COLUMN loyalty.entry.entry_no IS 'Its place in the account: 1, 2, 3 … without gaps.';
COMMENT ON COLUMN loyalty.entry.previous_id IS 'The entry of the account before this one; NULL: it is the first.';
COMMENT ON COLUMN loyalty.entry.amount IS 'Change of the balance: positive adds, negative takes away.';
COMMENT ON COLUMN loyalty.entry.balance IS 'Balance of the account after this entry.';
COMMENT ON COLUMN loyalty.entry.money IS 'Amount of the sale the entry belongs to, in the merchant''s currency.';
COMMENT ON COLUMN loyalty.entry.aside IS 'Change of what is held, or pending; NULL: none.';
COMMENT ON COLUMN loyalty.entry.origin IS 'The entry of the account that this one goes on with: the hold that is captured or released, what becomes available, what is undone. Both sides of a transfer that goes back name the entry of its sender.';
COMMENT ON COLUMN loyalty.entry.peer_id IS 'The other account of a transfer.';
COMMENT ON COLUMN loyalty.entry.member_id IS 'Who acted, where several members share the account.';
COMMENT ON COLUMN loyalty.entry.rules IS 'The version of the earning rules under which the points were earned.';
COMMENT ON COLUMN loyalty.entry.kind IS 'Kind of entry; loyalty.entry_kind() gives its name.';
COMMENT ON COLUMN loyalty.entry.reference IS 'The ticket, or what else the merchant knows the operation by.';
COMMENT ON COLUMN loyalty.entry.detail IS 'What else was sent with the operation: comments, concept, branch, vendor, currency, items.';
COMMENT ON COLUMN loyalty.entry.posted_at IS 'When it was booked.';
COMMENT ON COLUMN loyalty.entry.happened_at IS 'When what it is about happened, if that was told; NULL: when it was booked.';
COMMENT ON COLUMN loyalty.entry.actor_id IS 'The number of who posted it: an API key, a member of staff, an SQL role or a job. NULL: not kept.';
COMMENT ON COLUMN loyalty.entry.request_id IS 'The number of the request by which it was posted. NULL: not kept.';
COMMENT ON COLUMN loyalty.entry.text_digest IS 'What the hash covers of the reference and the detail, if these were erased; else NULL, and they say it.';
COMMENT ON COLUMN loyalty.entry.lots IS 'Those of the points moved that expire, by the moment at which they do; a debt of the account is paid with the first of them.';
COMMENT ON COLUMN loyalty.entry.hash IS 'SHA-256 over the hash of the entry before and everything in this one, of its text a salted digest: the chain by which a change is noticed.';
REVOKE ALL ON loyalty.entry FROM PUBLIC;
GRANT SELECT, INSERT ON loyalty.entry TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.entry', '');

CREATE TYPE loyalty.account_change AS (
	at			tid,
	may_owe		boolean,
	balance		loyalty.points,
	entry_no	bigint,
	newest_id	bigint,
	previous_id	bigint,
	posted_at	timestamptz,
	hash		bytea,
	earned		loyalty.points,
	expired		loyalty.points,
	held		loyalty.points,
	pending		loyalty.points,
	due_at		timestamptz,
	lots		loyalty.lots,
	qualifying	loyalty.lots
);
COMMENT ON TYPE loyalty.account_change IS 'What a batch of postings writes into an account whose row it has locked.';
REVOKE ALL ON TYPE loyalty.account_change FROM PUBLIC;
GRANT USAGE ON TYPE loyalty.account_change TO loyalty_engine;

-- Written under the lock of the account, as everything here is.
CREATE TABLE loyalty.aside (
	merchant_id	bigint			NOT NULL,
	entry_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	entry_no	bigint			NOT NULL,
	kind		smallint		NOT NULL,
	amount		loyalty.points	NOT NULL,
	remaining	loyalty.points	NOT NULL,
	lots		loyalty.lots,
	due_at		timestamptz,
	PRIMARY KEY (merchant_id, entry_id)
) WITH (fillfactor = 80);
CREATE INDEX aside_open ON loyalty.aside (merchant_id, account_id, due_at) WHERE remaining OPERATOR(loyalty.>) '0'::loyalty.points;
COMMENT ON TABLE loyalty.aside IS 'Points set aside: holds, and points that are not available yet, by the entry that set them aside.';
COMMENT ON COLUMN loyalty.aside.entry_no IS 'That entry''s place in the account.';
COMMENT ON COLUMN loyalty.aside.kind IS 'The kind of that entry: a hold, or an accrual or deposit that is pending.';
COMMENT ON COLUMN loyalty.aside.remaining IS 'What is still set aside.';
COMMENT ON COLUMN loyalty.aside.lots IS 'What of that expires, and when.';
COMMENT ON COLUMN loyalty.aside.due_at IS 'When it comes into the balance by itself: a hold times out, points become available. NULL: never.';
REVOKE ALL ON loyalty.aside FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.aside TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.aside', '');

CREATE TABLE loyalty.reversal (
	merchant_id	bigint			NOT NULL,
	entry_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	reference	text			COLLATE "C" NOT NULL,
	reversed_by	bigint			NOT NULL,
	amount		loyalty.points	NOT NULL,
	money		loyalty.points,
	balance		loyalty.points	NOT NULL,
	lots		loyalty.lots,
	expired		loyalty.points,
	PRIMARY KEY (merchant_id, entry_id, reference)
);
COMMENT ON TABLE loyalty.reversal IS 'What was undone of which entry, once for each reference.';
COMMENT ON COLUMN loyalty.reversal.entry_id IS 'The entry that was undone.';
COMMENT ON COLUMN loyalty.reversal.reference IS 'What the merchant knows the refund by.';
COMMENT ON COLUMN loyalty.reversal.reversed_by IS 'The entry that undid it.';
COMMENT ON COLUMN loyalty.reversal.amount IS 'How many points of the entry were undone; the parts never come to more than the entry.';
COMMENT ON COLUMN loyalty.reversal.money IS 'How much of its money, if that was said.';
COMMENT ON COLUMN loyalty.reversal.balance IS 'The balance after it, which is the answer to a repetition.';
COMMENT ON COLUMN loyalty.reversal.lots IS 'Those of the entry''s lots that were undone; the rest of the points never expires.';
COMMENT ON COLUMN loyalty.reversal.expired IS 'How many of the points had expired already, so that nothing was taken for them; NULL: none.';
REVOKE ALL ON loyalty.reversal FROM PUBLIC;
GRANT SELECT, INSERT ON loyalty.reversal TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.reversal', '');

CREATE TABLE loyalty.lapse (
	merchant_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	expires_at	timestamptz		NOT NULL,
	points		loyalty.points	NOT NULL,
	refunded	loyalty.points	NOT NULL,
	PRIMARY KEY (merchant_id, account_id, expires_at)
);
COMMENT ON TABLE loyalty.lapse IS 'What expired of an account, by the moment with which it was posted: the sums of its expire entries.';
COMMENT ON COLUMN loyalty.lapse.expires_at IS 'When the points would have expired, had nothing put that off.';
COMMENT ON COLUMN loyalty.lapse.refunded IS 'How much of that refunds have counted as gone already, instead of taking other points; never more than expired.';
REVOKE ALL ON loyalty.lapse FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON loyalty.lapse TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.lapse', '');

CREATE FUNCTION loyalty.account_state(
	merchant_id bigint, account_id bigint, at timestamptz,
	OUT balance loyalty.points, OUT held loyalty.points, OUT pending loyalty.points, OUT expired loyalty.points,
	OUT earned loyalty.points, OUT lots loyalty.lots)
RETURNS record
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_account_state';
COMMENT ON FUNCTION loyalty.account_state(bigint, bigint, timestamptz) IS
'What an account has, or will have if nothing is posted, at a moment that is not before its newest entry: everything due by then is taken into account, whether it has been booked or not. All NULL if there is no such account.';
REVOKE ALL ON FUNCTION loyalty.account_state(bigint, bigint, timestamptz) FROM PUBLIC;
ALTER FUNCTION loyalty.account_state(bigint, bigint, timestamptz) OWNER TO loyalty_engine;

-- OFFSET 0 keeps the planner from asking for the state of accounts that have nothing due.
CREATE VIEW loyalty.balances AS
SELECT a.merchant_id, a.account_id, a.program_id, coalesce(s.balance, a.balance) AS balance,
	   coalesce(s.held, a.held, '0') AS held, coalesce(s.pending, a.pending, '0') AS pending,
	   coalesce(s.expired, a.expired, '0') AS expired, coalesce(s.earned, a.earned) AS earned, a.entry_no, a.newest_id, a.posted_at
FROM loyalty.account a
LEFT JOIN LATERAL (SELECT d.* FROM loyalty.account_state(a.merchant_id, a.account_id, now()) d WHERE a.due_at <= now() OFFSET 0) s ON true;
ALTER VIEW loyalty.balances OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.balances IS 'What accounts have now, one row for each: sums of points are made here, and not of loyalty.members. balance can be spent; held and pending points are not in it. Points past their date are in expired, whether that has been booked or not.';

CREATE FUNCTION loyalty.chain_next(
	previous bytea, entry_no bigint, balance loyalty.points, posted_at timestamptz, amount loyalty.points, now timestamptz, content bytea,
	text_key uuid, text bytea, entry_id bigint) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_chain_next';
COMMENT ON FUNCTION loyalty.chain_next(bytea, bigint, loyalty.points, timestamptz, loyalty.points, timestamptz, bytea, uuid, bytea, bigint) IS
'The hash of the entry that follows: SHA-256 of the hash of the entry before, the next entry_no, the balance with the amount, which must be in range, the later of the two times, the content, which is everything else of the entry, and the digest of its text, if it has any.';
REVOKE ALL ON FUNCTION loyalty.chain_next(bytea, bigint, loyalty.points, timestamptz, loyalty.points, timestamptz, bytea, uuid, bytea, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION loyalty.chain_next(bytea, bigint, loyalty.points, timestamptz, loyalty.points, timestamptz, bytea, uuid, bytea, bigint) TO loyalty_engine;

CREATE FUNCTION loyalty.entry_kind(kind smallint) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_entry_kind';
COMMENT ON FUNCTION loyalty.entry_kind(smallint) IS
'Name of a kind of entry: accrue (earned by a sale), deposit (given), redeem (spent), adjust (corrected, either way), expire (past its date), hold (set aside, to be spent), capture (spent of a hold), release (given back of a hold), mature (was pending, is available), reverse (undone), transfer (from one account to another). NULL for an unknown number.';
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
	INSERT INTO loyalty.account AS a (merchant_id, account_id, program_id, earned, expired, held, pending, ranked_at)
	SELECT p.merchant_id, loyalty.new_id(), p.program_id, n.nothing, n.nothing, n.nothing, n.nothing, p.ranked_at
	FROM loyalty.program p, LATERAL (SELECT CASE WHEN p.managed THEN '0'::loyalty.points END) n (nothing)
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
	member_id bigint DEFAULT NULL, available_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
	OUT entry_id bigint, OUT balance loyalty.points)
RETURNS record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_post';
COMMENT ON FUNCTION loyalty.post(bigint, bigint, text, loyalty.points, text, bigint, loyalty.points, text, bigint, timestamptz, timestamptz) IS
'Posts one entry and returns its entry_id and the balance after it. kind: accrue and deposit add, redeem takes away, adjust does either. amount: points, positive adds, negative takes away, with up to 4 decimals, however many the program shows: what it rounds are conversions. member_id: who acts, if several share the account. available_at: until then what is accrued or deposited is pending. expires_at: when the points added expire, instead of when the program says; in whole seconds, rounded up; infinity: never. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LI005 program_inactive (accrue, deposit), LY004 invalid_amount, LY003 balance_out_of_range, LY001 insufficient_points, LY008 limit_exceeded.';
REVOKE ALL ON FUNCTION loyalty.post(bigint, bigint, text, loyalty.points, text, bigint, loyalty.points, text, bigint, timestamptz, timestamptz) FROM PUBLIC;
ALTER FUNCTION loyalty.post(bigint, bigint, text, loyalty.points, text, bigint, loyalty.points, text, bigint, timestamptz, timestamptz) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.hold(
	merchant_id bigint, account_id bigint, amount loyalty.points, expires_at timestamptz DEFAULT NULL,
	reference text DEFAULT NULL, staff_id bigint DEFAULT NULL, member_id bigint DEFAULT NULL,
	idempotency_key text DEFAULT NULL,
	OUT entry_id bigint, OUT balance loyalty.points)
RETURNS record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_hold';
COMMENT ON FUNCTION loyalty.hold(bigint, bigint, loyalty.points, timestamptz, text, bigint, bigint, text) IS
'Sets points aside, to be spent later by loyalty.capture(): from now on nobody else can have them. Returns the entry_id of the hold, and what can still be spent. amount: points, positive. expires_at: when the hold times out and gives back what was not captured; NULL: only loyalty.release() does. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LI005 program_inactive, LY004 invalid_amount, LY001 insufficient_points, LY008 limit_exceeded.';
REVOKE ALL ON FUNCTION loyalty.hold(bigint, bigint, loyalty.points, timestamptz, text, bigint, bigint, text) FROM PUBLIC;
ALTER FUNCTION loyalty.hold(bigint, bigint, loyalty.points, timestamptz, text, bigint, bigint, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.capture(
	merchant_id bigint, account_id bigint, hold bigint, amount loyalty.points DEFAULT NULL, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, money loyalty.points DEFAULT NULL, idempotency_key text DEFAULT NULL,
	OUT entry_id bigint, OUT balance loyalty.points)
RETURNS record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_capture';
COMMENT ON FUNCTION loyalty.capture(bigint, bigint, bigint, loyalty.points, text, bigint, loyalty.points, text) IS
'Spends points of an open hold, those that expire first. hold: its entry_id. amount: points, NULL for all that is left of it; what is not captured stays held. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY009 unknown_hold, LY004 invalid_amount, LY011 exceeds_original.';
REVOKE ALL ON FUNCTION loyalty.capture(bigint, bigint, bigint, loyalty.points, text, bigint, loyalty.points, text) FROM PUBLIC;
ALTER FUNCTION loyalty.capture(bigint, bigint, bigint, loyalty.points, text, bigint, loyalty.points, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.release(
	merchant_id bigint, account_id bigint, hold bigint, amount loyalty.points DEFAULT NULL, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, idempotency_key text DEFAULT NULL,
	OUT entry_id bigint, OUT balance loyalty.points)
RETURNS record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_release';
COMMENT ON FUNCTION loyalty.release(bigint, bigint, bigint, loyalty.points, text, bigint, text) IS
'Gives back points of an open hold, to the lots they came from. hold: its entry_id. amount: points, NULL for all that is left of it; of a part, those that expire last come back first. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY009 unknown_hold, LY004 invalid_amount, LY011 exceeds_original.';
REVOKE ALL ON FUNCTION loyalty.release(bigint, bigint, bigint, loyalty.points, text, bigint, text) FROM PUBLIC;
ALTER FUNCTION loyalty.release(bigint, bigint, bigint, loyalty.points, text, bigint, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.reverse(
	merchant_id bigint, account_id bigint, entry bigint, reference text, amount loyalty.points DEFAULT NULL,
	money loyalty.points DEFAULT NULL, staff_id bigint DEFAULT NULL, idempotency_key text DEFAULT NULL,
	OUT entry_id bigint, OUT balance loyalty.points)
RETURNS record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_reverse';
COMMENT ON FUNCTION loyalty.reverse(bigint, bigint, bigint, text, loyalty.points, loyalty.points, bigint, text) IS
'Undoes an accrue, deposit, redeem, capture or, by the sender''s entry, transfer, or a part of it. entry: its entry_id. reference: what the refund is known by, at most 1024 bytes; a repetition of the same posts nothing and returns the first answer. amount: points, or money: the part of the entry''s money that is refunded, whose points are so rounded that all parts sum exactly to the whole; both NULL: all that is left. An accrual of 0 points is undone as a whole, once, or by its money until none is left. Points spent go back to the lots they came from; past their date they can be spent for the program''s reinstatement_days. Points earned are taken back; if they were spent, the program''s shortfall says what happens. Those of them that expired unspent are gone already, and nothing is taken for them. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY010 unknown_entry, LY012 reference_reused, LY004 invalid_amount, LY011 exceeds_original, LY003 balance_out_of_range, LY001 insufficient_points.';
REVOKE ALL ON FUNCTION loyalty.reverse(bigint, bigint, bigint, text, loyalty.points, loyalty.points, bigint, text) FROM PUBLIC;
ALTER FUNCTION loyalty.reverse(bigint, bigint, bigint, text, loyalty.points, loyalty.points, bigint, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.transfer(
	merchant_id bigint, account_id bigint, to_account_id bigint, amount loyalty.points DEFAULT NULL, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, member_id bigint DEFAULT NULL, idempotency_key text DEFAULT NULL,
	OUT entry_id bigint, OUT balance loyalty.points, OUT to_entry_id bigint, OUT to_balance loyalty.points)
RETURNS record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_transfer';
COMMENT ON FUNCTION loyalty.transfer(bigint, bigint, bigint, loyalty.points, text, bigint, bigint, text) IS
'Moves points to another account of the program, those that expire first, with their dates. amount: points, positive; NULL: all there are. Returns the entries and balances of both accounts. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LI005 program_inactive, LY013 different_programs, LY004 invalid_amount, LY003 balance_out_of_range, LY001 insufficient_points, LY008 limit_exceeded.';
REVOKE ALL ON FUNCTION loyalty.transfer(bigint, bigint, bigint, loyalty.points, text, bigint, bigint, text) FROM PUBLIC;
ALTER FUNCTION loyalty.transfer(bigint, bigint, bigint, loyalty.points, text, bigint, bigint, text) OWNER TO loyalty_engine;

CREATE FUNCTION loyalty.post_batch(
	merchant_id bigint, account_ids bigint[], kinds text[], amounts loyalty.points[], item_references text[] DEFAULT NULL,
	staff_id bigint DEFAULT NULL, origins bigint[] DEFAULT NULL, peer_ids bigint[] DEFAULT NULL,
	moneys loyalty.points[] DEFAULT NULL, expires_ats timestamptz[] DEFAULT NULL,
	available_ats timestamptz[] DEFAULT NULL,
	OUT item integer, OUT error text, OUT entry_id bigint, OUT balance loyalty.points)
RETURNS SETOF record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_post_batch';
COMMENT ON FUNCTION loyalty.post_batch(bigint, bigint[], text[], loyalty.points[], text[], bigint, bigint[], bigint[], loyalty.points[], timestamptz[], timestamptz[]) IS
'Posts many entries of one merchant in one pass, in order: an item sees the balance its predecessors left. Each succeeds or fails alone; a failed one has its code in error (of loyalty.error_codes) and the others go through. kinds has one element for each item, or a single one for all: accrue, deposit, redeem and adjust with amounts as in loyalty.post(), hold, capture, release, reverse and transfer with positive ones, 0 for all there is, or all that is left of what origins names: the hold, or the entry that is undone. peer_ids: where transfers go. item_references, moneys, expires_ats, available_ats: as in the functions of these names; the elements may be NULL. What an item names was posted before the batch. Errors of the whole: LY005 invalid_argument when the arrays do not match or hold NULL where they must not.';
REVOKE ALL ON FUNCTION loyalty.post_batch(bigint, bigint[], text[], loyalty.points[], text[], bigint, bigint[], bigint[], loyalty.points[], timestamptz[], timestamptz[]) FROM PUBLIC;
ALTER FUNCTION loyalty.post_batch(bigint, bigint[], text[], loyalty.points[], text[], bigint, bigint[], bigint[], loyalty.points[], timestamptz[], timestamptz[]) OWNER TO loyalty_engine;

CREATE VIEW loyalty.entries AS
SELECT merchant_id, account_id, entry_id, entry_no, loyalty.entry_kind(kind) AS kind, amount, balance, money, reference, staff_id, detail,
	   posted_at, happened_at, aside, origin, peer_id, member_id, rules, lots, actor_id, request_id, previous_id, text_digest, hash
FROM loyalty.entry;
ALTER VIEW loyalty.entries OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.entries IS 'The ledger with the kinds by name. It is found by entry_id, and read in the order of time; the entries of one account are found by loyalty.statement().';

CREATE FUNCTION loyalty.expire_due(merchant_id bigint, max_accounts integer DEFAULT 1000) RETURNS integer
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_expire_due';
COMMENT ON FUNCTION loyalty.expire_due(bigint, integer) IS
'Books what is due, points past their date, holds that timed out and points that are pending no more, in up to max_accounts (1 to 100,000) accounts of a merchant that nobody is just posting to, and returns how many accounts it looked at; 0 when there is nothing more to look at. Balances are right without it. Errors: LY005 invalid_argument.';
REVOKE ALL ON FUNCTION loyalty.expire_due(bigint, integer) FROM PUBLIC;
ALTER FUNCTION loyalty.expire_due(bigint, integer) OWNER TO loyalty_engine;

CREATE VIEW loyalty.entry_earned AS
SELECT e.merchant_id, e.account_id, e.entry_id, e.entry_no, e.previous_id,
	   CASE WHEN e.kind IN (1, 2, 9) THEN e.amount
			WHEN e.kind = 10 AND e.amount OPERATOR(loyalty.<=) '0'::loyalty.points AND e.aside IS NULL THEN (
				SELECT OPERATOR(loyalty.-) r.amount FROM loyalty.reversal r
				WHERE r.merchant_id = e.merchant_id AND r.entry_id = e.origin AND r.reversed_by = e.entry_id) END AS points
FROM loyalty.entry e;
ALTER VIEW loyalty.entry_earned OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.entry_earned IS 'What entries add to account.earned: what was accrued, deposited or has become available (kinds 1, 2, 9), less what was undone (10) of points that were available. NULL: nothing.';

CREATE FUNCTION loyalty.earned_by_entries(merchant_id bigint, account_id bigint) RETURNS loyalty.points
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE history AS (
		SELECT a.newest_id AS entry_id, a.entry_no + 1 AS before_no, NULL::loyalty.points AS points FROM loyalty.account a
		WHERE a.merchant_id = earned_by_entries.merchant_id AND a.account_id = earned_by_entries.account_id
		UNION ALL
		SELECT b.previous_id, b.entry_no, b.points FROM history h, LATERAL (
			SELECT e.previous_id, e.entry_no, e.points FROM loyalty.entry_earned e
			WHERE e.merchant_id = earned_by_entries.merchant_id AND e.entry_id = h.entry_id AND e.entry_no < h.before_no OFFSET 0) b)
	SELECT coalesce(loyalty.sum(h.points), '0') FROM history h
$$;
COMMENT ON FUNCTION loyalty.earned_by_entries(bigint, bigint) IS
'What an account has earned, by its entries: what account.earned starts with when the account begins to be managed.';
REVOKE ALL ON FUNCTION loyalty.earned_by_entries(bigint, bigint) FROM PUBLIC;
ALTER FUNCTION loyalty.earned_by_entries(bigint, bigint) OWNER TO loyalty_engine;

-- From then on the accounts of the program keep what they did not need so far.
CREATE FUNCTION loyalty.manage_accounts(merchant_id bigint, program_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- This waits for those who are just opening accounts as unmanaged ones.
	UPDATE loyalty.program p SET managed = true
	WHERE p.merchant_id = manage_accounts.merchant_id AND p.program_id = manage_accounts.program_id AND NOT p.managed;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	PERFORM FROM loyalty.account a
	WHERE a.merchant_id = manage_accounts.merchant_id AND a.program_id = manage_accounts.program_id AND a.earned IS NULL
	ORDER BY a.account_id FOR NO KEY UPDATE;
	-- One pass over the ledger, instead of one over each account.
	UPDATE loyalty.account a SET earned = coalesce(h.points, '0'), expired = '0', held = '0', pending = '0'
	FROM loyalty.account o LEFT JOIN (
		SELECT e.account_id, loyalty.sum(e.points) AS points FROM loyalty.entry_earned e
		WHERE e.merchant_id = manage_accounts.merchant_id GROUP BY e.account_id) h ON h.account_id = o.account_id
	WHERE a.merchant_id = manage_accounts.merchant_id AND a.program_id = manage_accounts.program_id AND a.earned IS NULL
	  AND o.merchant_id = manage_accounts.merchant_id AND o.account_id = a.account_id;
END
$$;
COMMENT ON FUNCTION loyalty.manage_accounts(bigint, bigint) IS
'Makes the accounts of a program managed ones, which keep what expiry, ranks, rules and limits need. The functions that set these up call it; there is no way back, and none is needed.';
REVOKE ALL ON FUNCTION loyalty.manage_accounts(bigint, bigint) FROM PUBLIC;
ALTER FUNCTION loyalty.manage_accounts(bigint, bigint) OWNER TO loyalty_engine;

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
	before loyalty.program;
	program loyalty.program;
	ranks_change boolean;
BEGIN
	IF configure_program.time_zone IS NOT NULL THEN
		PERFORM now() AT TIME ZONE configure_program.time_zone;
	END IF;
	IF configure_program.range_group <> '' AND NOT EXISTS (
		SELECT FROM loyalty.rank_range r
		WHERE r.merchant_id = configure_program.merchant_id AND r.range_group = configure_program.range_group COLLATE "C") THEN
		PERFORM loyalty.fail('unknown_object', 'The merchant has no such range_group; loyalty.set_rank_ranges() makes one.');
	END IF;

	SELECT * INTO before FROM loyalty.program p
	WHERE p.merchant_id = configure_program.merchant_id AND p.client_id = configure_program.client_id COLLATE "C" FOR NO KEY UPDATE;
	ranks_change := (coalesce(configure_program.range_group COLLATE "C", before.range_group),
			coalesce(configure_program.rank_window_unit, before.rank_window_unit),
			coalesce(configure_program.rank_window_value, before.rank_window_value),
			coalesce(configure_program.rank_grace_days, before.rank_grace_days),
			coalesce(configure_program.time_zone, before.time_zone))
		IS DISTINCT FROM (before.range_group, before.rank_window_unit, before.rank_window_value, before.rank_grace_days, before.time_zone)
		AND (before.range_group <> '' OR configure_program.range_group <> '');
	IF ranks_change OR configure_program.time_zone <> before.time_zone OR configure_program.reinstatement_days <> before.reinstatement_days THEN
		PERFORM loyalty.settle_program(before.merchant_id, before.program_id);
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
		PERFORM loyalty.fail('unknown_object', 'The merchant has no program with this client_id.');
	END IF;

	IF program.duration_value > 0 OR program.expiry <> 'rolling' OR program.pending_days > 0 OR program.range_group <> ''
	   OR NOT program.active OR NOT program.unit_active THEN
		PERFORM loyalty.manage_accounts(program.merchant_id, program.program_id);
	END IF;
	IF ranks_change THEN
		PERFORM loyalty.rank_accounts(program.merchant_id, program.program_id);
	END IF;
EXCEPTION WHEN check_violation OR numeric_value_out_of_range OR invalid_parameter_value THEN
	PERFORM loyalty.fail('invalid_argument', 'A base is of positive points and money, decimals 0 to 4, rounding one of half_up, half_even, down, up, currency_iso three capital letters, duration_unit day, month or year, duration_value 0 to 1200, time_zone one that the server knows, expiry one of rolling, month_end, quarter_end, year_end, fixed (with an expiry_date), pending_days, reinstatement_days and rank_grace_days 0 to 3650, shortfall one of refuse, partial, negative, rank_window_unit day, month, year or calendar_year, rank_window_value 0 to 1200.');
END
$$;
COMMENT ON FUNCTION loyalty.configure_program(bigint, text, text, text, boolean, loyalty.points, loyalty.points, loyalty.points, loyalty.points, integer, text, text, text, loyalty.points, boolean, text, boolean, boolean, text, text, integer, text, text, text, date, integer, text, integer, text, integer, integer, boolean) IS
'Changes those terms of a program that are not NULL; what is due is booked by the terms before. active: false refuses sales, accruals, deposits, holds and transfers; redemptions, corrections, refunds, captures and releases go through, so that customers get what is theirs. accumulation_points are earned for accumulation_money; redemption_points are worth redemption_money; decimals and rounding bring conversions to the program''s points. currency_iso, currency_name, currency_change (worth of one unit in the money of the bases), currency_active. unit_name, unit_base (points may be deposited as such), unit_active. expiry: rolling points expire at the end of the day that is duration_value duration_units (day, month, year; 0: never) after they became available; month_end, quarter_end, year_end: at the end of the month, quarter, year of that day; fixed: at the end of expiry_date, and not at all if they come later; all in time_zone. Points already earned keep their date. pending_days: so many times 24 hours after a sale its points become available. shortfall: what undoing a sale does when its points were spent, refuse, take what is there (partial) or leave a debt (negative). reinstatement_days: for so many days points that are given back past their date can be spent; 0: not at all. range_group: ranks of loyalty.set_rank_ranges(), empty for none; points count for them for rank_window_value rank_window_units (day, month, year; calendar_year: to the end of that many calendar years, of which the one that they are of is the first; 0: for ever), and a rank is held for rank_grace_days longer. earn_on_points: whether the part of a sale that is paid with points earns points. Errors: LY005 invalid_argument, LY006 unknown_object.';
REVOKE ALL ON FUNCTION loyalty.configure_program(bigint, text, text, text, boolean, loyalty.points, loyalty.points, loyalty.points, loyalty.points, integer, text, text, text, loyalty.points, boolean, text, boolean, boolean, text, text, integer, text, text, text, date, integer, text, integer, text, integer, integer, boolean) FROM PUBLIC;
ALTER FUNCTION loyalty.configure_program(bigint, text, text, text, boolean, loyalty.points, loyalty.points, loyalty.points, loyalty.points, integer, text, text, text, loyalty.points, boolean, text, boolean, boolean, text, text, integer, text, text, text, date, integer, text, integer, text, integer, integer, boolean) OWNER TO loyalty_engine;

-- Accounts: one narrow row each, what is reserved of it, and what has expired.
--
-- Neither loyalty_internal.account nor loyalty.entry has a foreign key, to or from it,
-- or a CHECK: the first put a trigger on the posting path, the second is parsed
-- anew for every statement, and each costs a tenth of a posting or more.
-- Instead, the statements that write a balance have its bounds in their WHERE,
-- accounts are opened in a program that was just looked up, entries are written
-- under the row lock of their account, and nobody has been granted DELETE on
-- either table, nor UPDATE on entries, but on their texts who erases them.
-- loyalty.verify() looks for what should not be.

CREATE TABLE loyalty_internal.account (
	merchant_id			bigint			NOT NULL,
	account_id			bigint			NOT NULL,
	program_id			bigint			NOT NULL,
	text_key			uuid			NOT NULL DEFAULT gen_random_uuid(),
	balance				loyalty.points	NOT NULL DEFAULT '0',
	entry_no			bigint			NOT NULL DEFAULT 0,
	newest_entry_id		bigint,
	previous_entry_id	bigint,
	posted_at			timestamptz		NOT NULL DEFAULT now(),
	hash				bytea			NOT NULL DEFAULT '',
	earned				loyalty.points,
	purchases			bigint,
	expired				loyalty.points,
	held				loyalty.points,
	pending				loyalty.points,
	due_at				timestamptz,
	lots				loyalty.lots,
	qualifying			loyalty.lots,
	moved_to			bigint,
	ranked_at			timestamptz,
	PRIMARY KEY (merchant_id, account_id)
) WITH (fillfactor = 60);	-- room to update rows in their page, without touching the index
ALTER TABLE loyalty_internal.account ALTER hash SET STORAGE PLAIN, ALTER lots SET STORAGE MAIN, ALTER qualifying SET STORAGE MAIN;
CREATE INDEX account_due ON loyalty_internal.account (merchant_id, due_at) WHERE due_at IS NOT NULL;
COMMENT ON TABLE loyalty_internal.account IS 'What a member has: the newest entry''s balance, number and time. The hot row of the engine.';
COMMENT ON COLUMN loyalty_internal.account.text_key IS 'A random key, of which the salts are made of the texts of the entries whose member, or whose origin''s, has the number of this account, of those of the account that name no member, and of those on whose other side it is: once another is in its place, nobody can try what an erased text was. That one is of version 8, and its 14th digit says whose texts are not kept any more: 1 the member who has this number, 2 whoever owns the account, 3 both.';
COMMENT ON COLUMN loyalty_internal.account.balance IS 'Points that can be spent, once what is due has been booked. Held and pending ones are not among them.';
COMMENT ON COLUMN loyalty_internal.account.entry_no IS 'The newest entry''s place in the account; entries of an account count 1, 2, 3 …';
COMMENT ON COLUMN loyalty_internal.account.newest_entry_id IS 'The newest entry; NULL: there is none yet.';
COMMENT ON COLUMN loyalty_internal.account.previous_entry_id IS 'The entry before that.';
COMMENT ON COLUMN loyalty_internal.account.hash IS 'The newest entry''s hash.';
COMMENT ON COLUMN loyalty_internal.account.earned IS 'Points ever accrued and deposited, less those of sales that were reversed. NULL: the account does not track lots, and neither this nor purchases, expired, held, pending, due_at, lots and qualifying are kept.';
COMMENT ON COLUMN loyalty_internal.account.purchases IS 'Sales of which something is left: by rules some points are for a first one. NULL: none, or not kept.';
COMMENT ON COLUMN loyalty_internal.account.expired IS 'Points that expired and were booked.';
COMMENT ON COLUMN loyalty_internal.account.held IS 'Points of open holds.';
COMMENT ON COLUMN loyalty_internal.account.pending IS 'Points that are not available yet.';
COMMENT ON COLUMN loyalty_internal.account.due_at IS 'Before this, nothing expires, is released or becomes available.';
COMMENT ON COLUMN loyalty_internal.account.lots IS 'Those points of the balance that expire, by the moment at which they do. The first to expire are spent first, what never expires last.';
COMMENT ON COLUMN loyalty_internal.account.qualifying IS 'Points that count for the rank, by the moment at which they stop counting.';
COMMENT ON COLUMN loyalty_internal.account.ranked_at IS 'The program''s ranked_at by which that was counted; if it is another, it is counted anew when somebody asks.';
COMMENT ON COLUMN loyalty_internal.account.moved_to IS 'The account of another member that this one''s member shares; while it does, nothing is posted here.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.account TO loyalty_engine;

CREATE TYPE loyalty_internal.account_change AS (
	at			tid,
	may_owe		boolean,
	balance		loyalty.points,
	entry_no	bigint,
	newest_entry_id	bigint,
	previous_entry_id	bigint,
	posted_at	timestamptz,
	hash		bytea,
	earned		loyalty.points,
	purchases	bigint,
	expired		loyalty.points,
	held		loyalty.points,
	pending		loyalty.points,
	due_at		timestamptz,
	lots		loyalty.lots,
	qualifying	loyalty.lots
);
COMMENT ON TYPE loyalty_internal.account_change IS 'What a batch of postings writes into an account whose row it has locked.';

-- Written under the lock of the account, as everything here is.
CREATE TABLE loyalty_internal.reservation (
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
CREATE INDEX reservation_open ON loyalty_internal.reservation (merchant_id, account_id, due_at) WHERE remaining OPERATOR(loyalty.>) '0'::loyalty.points;
COMMENT ON TABLE loyalty_internal.reservation IS 'Reservations: holds, and points that are not available yet, by the entry that reserved them.';
COMMENT ON COLUMN loyalty_internal.reservation.entry_no IS 'That entry''s place in the account.';
COMMENT ON COLUMN loyalty_internal.reservation.kind IS 'The kind of that entry: a hold, or an accrual or deposit that is pending.';
COMMENT ON COLUMN loyalty_internal.reservation.remaining IS 'What is still reserved.';
COMMENT ON COLUMN loyalty_internal.reservation.lots IS 'What of that expires, and when.';
COMMENT ON COLUMN loyalty_internal.reservation.due_at IS 'When it comes into the balance by itself: a hold times out, points become available. NULL: never.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.reservation TO loyalty_engine;

CREATE TABLE loyalty_internal.expired_lot (
	merchant_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	expires_at	timestamptz		NOT NULL,
	points		loyalty.points	NOT NULL,
	refunded	loyalty.points	NOT NULL,
	PRIMARY KEY (merchant_id, account_id, expires_at)
);
COMMENT ON TABLE loyalty_internal.expired_lot IS 'What expired of an account, by the moment with which it was posted: the sums of its expire entries.';
COMMENT ON COLUMN loyalty_internal.expired_lot.expires_at IS 'When the points would have expired, had nothing put that off.';
COMMENT ON COLUMN loyalty_internal.expired_lot.refunded IS 'How much of that refunds have counted as gone already, instead of taking other points; never more than expired.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.expired_lot TO loyalty_engine;

CREATE FUNCTION loyalty_internal.account_state(
	merchant_id bigint, account_id bigint, at timestamptz,
	OUT balance loyalty.points, OUT held loyalty.points, OUT pending loyalty.points, OUT expired loyalty.points,
	OUT earned loyalty.points, OUT lots loyalty.lots)
RETURNS record
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_account_state';
COMMENT ON FUNCTION loyalty_internal.account_state(bigint, bigint, timestamptz) IS
'What an account has, or will have if nothing is posted, at a moment that is not before its newest entry, or not over: everything due by then is taken into account, whether it has been booked or not. All NULL if there is no such account.';

-- OFFSET 0 keeps the planner from asking for the state of accounts that have nothing due.
CREATE VIEW loyalty.balances AS
SELECT a.merchant_id, a.account_id, a.program_id, coalesce(s.balance, a.balance) AS balance,
	   coalesce(s.held, a.held, '0') AS held, coalesce(s.pending, a.pending, '0') AS pending,
	   coalesce(s.expired, a.expired, '0') AS expired, coalesce(s.earned, a.earned) AS earned, a.entry_no, a.newest_entry_id, a.posted_at
FROM loyalty_internal.account a
LEFT JOIN LATERAL (SELECT d.* FROM loyalty_internal.account_state(a.merchant_id, a.account_id, now()) d WHERE a.due_at <= now() OFFSET 0) s ON true;
COMMENT ON VIEW loyalty.balances IS 'What accounts have now, one row for each: sums of points are made here, and not of loyalty.members. balance can be spent; held and pending points are not in it. Points past their date are in expired, whether that has been booked or not. earned is NULL for accounts that do not keep it, so no sums are made of it.';
COMMENT ON COLUMN loyalty.balances.merchant_id IS 'The merchant.';
COMMENT ON COLUMN loyalty.balances.account_id IS 'The account; the one that was opened for a member has the number of the member.';
COMMENT ON COLUMN loyalty.balances.program_id IS 'The program whose points they are.';
COMMENT ON COLUMN loyalty.balances.balance IS 'Points that can be spent now; negative: a debt, where the program allows one.';
COMMENT ON COLUMN loyalty.balances.held IS 'Points of open holds; not in the balance.';
COMMENT ON COLUMN loyalty.balances.pending IS 'Points that are not available yet; not in the balance.';
COMMENT ON COLUMN loyalty.balances.expired IS 'Points that have expired so far, whether that has been booked or not.';
COMMENT ON COLUMN loyalty.balances.earned IS 'Points accrued and deposited so far that have become available, less those that were reversed. NULL: not kept, because the account does not track lots; accounts do if their program expires points or has ranks, rules or limits, and otherwise from their first hold, or points with a date, on. A sum leaves the others out.';
COMMENT ON COLUMN loyalty.balances.entry_no IS 'The newest entry''s place in the account, which is how many entries it has; 0: none.';
COMMENT ON COLUMN loyalty.balances.newest_entry_id IS 'The newest entry; NULL: there is none.';
COMMENT ON COLUMN loyalty.balances.posted_at IS 'The newest entry''s posted_at; without one, when the account was opened.';

CREATE FUNCTION loyalty.open_account(merchant_id bigint, program_id bigint, idempotency_key text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint := loyalty_internal.claim_key(merchant_id, idempotency_key, 'open_account', ARRAY[program_id::text]);
BEGIN
	IF id IS NOT NULL THEN
		RETURN id;
	END IF;
	IF NOT EXISTS (SELECT FROM loyalty_internal.program p
				   WHERE p.merchant_id = open_account.merchant_id AND p.program_id = open_account.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	INSERT INTO loyalty_internal.account AS a (merchant_id, account_id, program_id, earned, expired, held, pending, ranked_at)
	SELECT p.merchant_id, loyalty_internal.new_id(), p.program_id, n.nothing, n.nothing, n.nothing, n.nothing, p.ranked_at
	FROM loyalty_internal.program p, LATERAL (SELECT CASE WHEN p.tracks_lots THEN '0'::loyalty.points END) n (nothing)
	WHERE p.merchant_id = open_account.merchant_id AND p.program_id = open_account.program_id
	FOR SHARE OF p
	RETURNING a.account_id INTO id;
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, id::text);
END
$$;
COMMENT ON FUNCTION loyalty.open_account(bigint, bigint, text) IS
'Opens an account with no points in a program and returns its account_id. Registering a contact opens one by itself. idempotency_key: the same call again returns the first answer and opens none. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY006 unknown_object.';

-- From then on the accounts of the program keep what they did not need so far.
CREATE FUNCTION loyalty_internal.track_lots(merchant_id bigint, program_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- This waits for those who are just opening accounts that do not track lots.
	UPDATE loyalty_internal.program p SET tracks_lots = true
	WHERE p.merchant_id = track_lots.merchant_id AND p.program_id = track_lots.program_id AND NOT p.tracks_lots;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	PERFORM FROM loyalty_internal.account a
	WHERE a.merchant_id = track_lots.merchant_id AND a.program_id = track_lots.program_id AND a.earned IS NULL
	ORDER BY a.account_id FOR NO KEY UPDATE;
	-- One pass over the ledger, instead of one over each account.
	UPDATE loyalty_internal.account a SET earned = coalesce(h.points, '0'), purchases = h.purchases, expired = '0', held = '0', pending = '0'
	FROM loyalty_internal.account o LEFT JOIN (
		SELECT e.account_id, loyalty.sum(e.points) AS points, count(*) FILTER (WHERE e.is_purchase) AS purchases FROM loyalty_internal.entry_earned e
		WHERE e.merchant_id = track_lots.merchant_id GROUP BY e.account_id) h ON h.account_id = o.account_id
	WHERE a.merchant_id = track_lots.merchant_id AND a.program_id = track_lots.program_id AND a.earned IS NULL
	  AND o.merchant_id = track_lots.merchant_id AND o.account_id = a.account_id;
END
$$;
COMMENT ON FUNCTION loyalty_internal.track_lots(bigint, bigint) IS
'Lets the accounts of a program track lots, and keep what else expiry, ranks, rules and limits need. The functions that set these up call it; there is no way back, and none is needed.';

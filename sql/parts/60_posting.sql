-- Posting: what adds entries.

CREATE FUNCTION loyalty.post(
	merchant_id bigint, account_id bigint, kind text, amount loyalty.points, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, money loyalty.points DEFAULT NULL, member_id bigint DEFAULT NULL,
	available_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS loyalty.posting
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_post';
COMMENT ON FUNCTION loyalty.post(bigint, bigint, text, loyalty.points, text, bigint, loyalty.points, bigint, timestamptz, timestamptz, text) IS
'Posts one entry. Call it in FROM, SELECT * FROM loyalty.post(…): PostgreSQL runs what stands in SELECT (loyalty.post(…)).* once for each column. kind: accrue and deposit add, redeem takes away, adjust does either. amount: points, positive, but of adjust, where a negative one takes away; with up to 4 decimals, however many the program shows: what it rounds are conversions. member_id: who acts, if several share the account. It comes with no API key, so that limits of scope key do not count it, as with all that is called in SQL. available_at: until then what is accrued or deposited is pending; up to 2,000 such entries, and holds with a release_at, wait in an account. expires_at: when the points added expire, instead of when the program says; in whole seconds, rounded up; infinity: never. reference: at most 1,024 bytes. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY014 account_moved, LI005 program_inactive (accrue, deposit), LY004 invalid_amount, LY003 balance_out_of_range, LY001 insufficient_points, LY008 limit_exceeded.';

CREATE FUNCTION loyalty.sale(
	merchant_id bigint, account_id bigint, money loyalty.points, points_used loyalty.points DEFAULT '0', items json DEFAULT NULL,
	reference text DEFAULT NULL, staff_id bigint DEFAULT NULL, member_id bigint DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS loyalty.posting
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_sale';
COMMENT ON FUNCTION loyalty.sale(bigint, bigint, loyalty.points, loyalty.points, json, text, bigint, bigint, text) IS
'Posts a sale: takes points_used away, if they are more than 0, and adds what the sale earns by the base, ranks and rules of the program; both or neither. Points are earned for money less what points_used are worth at the redemption base, unless the program earns on points too. items: a JSON array of the goods, of at most 65,536 bytes, objects with sku, category, quantity (1 unless told) and unitPrice, numbers as such or as texts, with up to 18 digits before and 6 after the point, negative for discounts and what was brought back; goods without unitPrice have no money. member_id: who bought, where several members share the account. Returns the accrual: its entry_id, what was earned, pending or not, and the balance after it. reference: at most 1,024 bytes. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LI005 program_inactive, LY001 insufficient_points, LY002 unknown_account, LY014 account_moved, LY003 balance_out_of_range, LY004 invalid_amount (negative, points_used with more decimals than the program, or worth more than the sale), LY005 invalid_argument, LY008 limit_exceeded, LY422 idempotency_key_reused, LY423 invalid_idempotency_key.';

CREATE FUNCTION loyalty.hold(
	merchant_id bigint, account_id bigint, amount loyalty.points, reference text DEFAULT NULL, staff_id bigint DEFAULT NULL,
	member_id bigint DEFAULT NULL, release_at timestamptz DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS loyalty.posting
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_hold';
COMMENT ON FUNCTION loyalty.hold(bigint, bigint, loyalty.points, text, bigint, bigint, timestamptz, text) IS
'Reserves points, to be spent later by loyalty.capture(): from now on nobody else can have them. Returns the entry_id of the hold, and what can still be spent. amount: points, positive. member_id: who acts, if several share the account. release_at: when the hold times out and gives back what was not captured, as one of up to 2,000 that wait in an account; NULL: only loyalty.release() does. reference: at most 1,024 bytes. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY014 account_moved, LI005 program_inactive, LY004 invalid_amount, LY001 insufficient_points, LY008 limit_exceeded.';

CREATE FUNCTION loyalty.capture(
	merchant_id bigint, account_id bigint, entry_id bigint, amount loyalty.points DEFAULT NULL, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, money loyalty.points DEFAULT NULL, in_full boolean DEFAULT false, idempotency_key text DEFAULT NULL)
RETURNS loyalty.posting
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_capture';
COMMENT ON FUNCTION loyalty.capture(bigint, bigint, bigint, loyalty.points, text, bigint, loyalty.points, boolean, text) IS
'Spends points of an open hold, those that expire first. entry_id: of the hold. amount: points, positive, or in_full: all that is left of it, one of the two; what is not captured stays held. Returns the entry_id of the capture. reference: at most 1,024 bytes. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY014 account_moved, LY009 unknown_hold, LY004 invalid_amount, LY011 exceeds_original.';

CREATE FUNCTION loyalty.release(
	merchant_id bigint, account_id bigint, entry_id bigint, amount loyalty.points DEFAULT NULL, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, in_full boolean DEFAULT false, idempotency_key text DEFAULT NULL)
RETURNS loyalty.posting
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_release';
COMMENT ON FUNCTION loyalty.release(bigint, bigint, bigint, loyalty.points, text, bigint, boolean, text) IS
'Gives back points of an open hold, to the lots they came from. entry_id: of the hold. amount: points, positive, or in_full: all that is left of it, one of the two; of a part, those that expire last come back first. Returns the entry_id of the release. reference: at most 1,024 bytes. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY014 account_moved, LY009 unknown_hold, LY004 invalid_amount, LY011 exceeds_original.';

CREATE FUNCTION loyalty.reverse(
	merchant_id bigint, account_id bigint, entry_id bigint, amount loyalty.points DEFAULT NULL, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, money loyalty.points DEFAULT NULL, in_full boolean DEFAULT false, idempotency_key text DEFAULT NULL)
RETURNS loyalty.posting
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_reverse';
COMMENT ON FUNCTION loyalty.reverse(bigint, bigint, bigint, loyalty.points, text, bigint, loyalty.points, boolean, text) IS
'Reverses an accrue, deposit, redeem, capture or, by the sender''s entry, transfer, or a part of it. entry_id: of what is reversed. How much is exactly one of amount: points, positive, money: the part of the entry''s money that is refunded, whose points are so rounded that all parts sum exactly to the whole, and in_full: all that is left. reference: what the refund is known by, at most 1024 bytes, required; a repetition of the same posts nothing and returns the first answer. An accrual of 0 points is reversed in full, once, or by its money until none is left. Points spent go back to the lots they came from; past their date they can be spent for the program''s reinstatement_days. Points earned are taken back; if they were spent, the program''s shortfall says what happens. Those of them that expired unspent are gone already, and nothing is taken for them. Returns the entry_id of the reversal, and how many points of the entry it reversed. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY014 account_moved, LY010 unknown_entry, LY012 reference_reused, LY004 invalid_amount, LY011 exceeds_original, LY003 balance_out_of_range, LY001 insufficient_points.';

CREATE FUNCTION loyalty.transfer(
	merchant_id bigint, account_id bigint, to_account_id bigint, amount loyalty.points DEFAULT NULL, reference text DEFAULT NULL,
	staff_id bigint DEFAULT NULL, member_id bigint DEFAULT NULL, in_full boolean DEFAULT false, idempotency_key text DEFAULT NULL)
RETURNS loyalty.posting
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_transfer';
COMMENT ON FUNCTION loyalty.transfer(bigint, bigint, bigint, loyalty.points, text, bigint, bigint, boolean, text) IS
'Moves points to another account of the program, those that expire first, with their dates. amount: points, positive, or in_full: all there are, one of the two. member_id: who acts, if several share the account. Returns the entries and balances of both accounts. reference: at most 1,024 bytes. idempotency_key: the same call again returns the first answer and posts nothing. Errors: LY005 invalid_argument, LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY002 unknown_account, LY014 account_moved, LI005 program_inactive, LY013 different_programs, LY004 invalid_amount, LY003 balance_out_of_range, LY001 insufficient_points, LY008 limit_exceeded.';

CREATE FUNCTION loyalty.post_batch(
	merchant_id bigint, account_id bigint[], kind text[], amount loyalty.points[], reference text[] DEFAULT NULL,
	staff_id bigint[] DEFAULT NULL, money loyalty.points[] DEFAULT NULL, member_id bigint[] DEFAULT NULL,
	available_at timestamptz[] DEFAULT NULL, expires_at timestamptz[] DEFAULT NULL, release_at timestamptz[] DEFAULT NULL,
	entry_id bigint[] DEFAULT NULL, to_account_id bigint[] DEFAULT NULL, in_full boolean[] DEFAULT NULL, idempotency_key text DEFAULT NULL,
	OUT item integer, OUT error text, OUT entry_id bigint, OUT points loyalty.points, OUT balance loyalty.points,
	OUT peer_entry_id bigint, OUT peer_balance loyalty.points)
RETURNS SETOF record
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_post_batch';
COMMENT ON FUNCTION loyalty.post_batch(bigint, bigint[], text[], loyalty.points[], text[], bigint[], loyalty.points[], bigint[], timestamptz[], timestamptz[], timestamptz[], bigint[], bigint[], boolean[], text) IS
'Posts many entries of one merchant in one pass, in order: an item sees the balance its predecessors left. Each succeeds or fails alone; a failed one has its code in error (of loyalty.error_codes), and the others go through. kind: accrue, deposit, redeem, adjust, hold, capture, release, reverse or transfer. An argument is an array of what has its name in loyalty.post() or the function of the kind, and an item has the same answer: each has one element for each item; kind, staff_id and in_full may have a single one for all. Elements may be NULL where the function''s argument may, amount where in_full is true or a reversal has money. An item with an element that its kind does not have, or without one that it needs, or with a reference of more than 1,024 bytes, is invalid_argument. What an item names was posted before the batch. idempotency_key: the same batch again, element by element, returns the first answer, failed items too, and posts nothing. Errors of the whole: LY005 invalid_argument when the arrays do not match, account_id or kind is NULL somewhere, or a kind is none; with an idempotency_key LY006 unknown_object (no such merchant), LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY425 answer_too_long.';

CREATE FUNCTION loyalty.simulate(
	merchant_id bigint, account_id bigint, money loyalty.points, items json DEFAULT NULL, at timestamptz DEFAULT clock_timestamp(),
	OUT rule text, OUT points loyalty.points, OUT expires_at timestamptz)
RETURNS SETOF record
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_simulate';
COMMENT ON FUNCTION loyalty.simulate(bigint, bigint, loyalty.points, json, timestamptz) IS
'What a sale would earn the account, and posts nothing: first a row with an empty rule for the base with the multiplier of the rank, then one for each rule that gives something, with when its points expire (NULL: never). money and items: as for loyalty.sale(). at: the moment whose rules, times, birthday and rank apply; what the account has bought and got from rules with caps is what it is now. Errors: LY002 unknown_account, LY003 balance_out_of_range, LY004 invalid_amount, LY005 invalid_argument.';

CREATE FUNCTION loyalty.expire_due(merchant_id bigint, max_accounts integer DEFAULT 1000) RETURNS integer
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_expire_due';
COMMENT ON FUNCTION loyalty.expire_due(bigint, integer) IS
'Books what is due, points past their date, holds that timed out and points that are pending no more, in up to max_accounts (1 to 100,000) accounts of a merchant that nobody is just posting to, and returns how many accounts it looked at; 0 when there is nothing more to look at. Once it has booked ten entries for each of max_accounts it looks at no more. Balances are right without it. Errors: LY005 invalid_argument.';

-- For administration only: nobody is granted it.
CREATE FUNCTION loyalty_internal.book_due_accounts(merchant_id bigint, account_ids bigint[]) RETURNS void
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'loyalty_book_due_accounts';
COMMENT ON FUNCTION loyalty_internal.book_due_accounts(bigint, bigint[]) IS
'Books what is due in these accounts, and waits for those who are posting to them.';

-- What fell due goes by the terms of its moment: so it is booked before they change.
CREATE FUNCTION loyalty_internal.book_due_program(merchant_id bigint, program_id bigint, moment timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last bigint := -9223372036854775808;
	ids bigint[];
BEGIN
	LOOP
		SELECT array_agg(x.account_id ORDER BY x.account_id) INTO ids FROM (
			SELECT a.account_id FROM loyalty_internal.account a
			WHERE a.merchant_id = book_due_program.merchant_id AND a.program_id = book_due_program.program_id
			  AND a.account_id > last AND a.due_at <= moment
			  AND EXISTS (SELECT FROM loyalty_internal.reservation s WHERE s.merchant_id = book_due_program.merchant_id AND s.account_id = a.account_id
						  AND s.remaining OPERATOR(loyalty.>) '0'::loyalty.points AND s.due_at <= moment)
			ORDER BY a.account_id LIMIT 1000) x;
		EXIT WHEN ids IS NULL;
		PERFORM loyalty_internal.book_due_accounts(book_due_program.merchant_id, ids);
		last := ids[cardinality(ids)];
	END LOOP;
END
$$;
COMMENT ON FUNCTION loyalty_internal.book_due_program(bigint, bigint, timestamptz) IS
'Books the holds of a program''s accounts that have timed out by a moment, and the points that are pending no more then. loyalty.configure_program() and loyalty.set_rank_ranges() do it before they change the terms by which that goes.';

-- Whether a hold has timed out is a matter of the time, not of its having been booked.
CREATE VIEW loyalty.holds AS
SELECT r.merchant_id, r.account_id, r.entry_id, r.amount, r.remaining, r.due_at AS release_at, e.posted_at, e.reference, e.staff_id, e.member_id
FROM loyalty_internal.reservation r JOIN loyalty.entry e ON e.merchant_id = r.merchant_id AND e.entry_id = r.entry_id
WHERE loyalty.entry_kind(r.kind) = 'hold' AND r.remaining OPERATOR(loyalty.>) '0'::loyalty.points AND (r.due_at IS NULL OR r.due_at > now());
COMMENT ON VIEW loyalty.holds IS 'The open holds, by the entry_id that loyalty.capture() and loyalty.release() want; of an account, what remains of them is held in loyalty.balances. amount: points reserved at first; remaining: points that are neither captured nor released; release_at: when what remains is given back by itself, NULL if it is not. A hold past that is not open, whether that has been booked or not.';
COMMENT ON COLUMN loyalty.holds.entry_id IS 'The hold.';
COMMENT ON COLUMN loyalty.holds.amount IS 'Points that were reserved.';
COMMENT ON COLUMN loyalty.holds.remaining IS 'Those that are neither captured nor released.';
COMMENT ON COLUMN loyalty.holds.release_at IS 'When what remains is given back by itself; NULL: never.';
COMMENT ON COLUMN loyalty.holds.posted_at IS 'When it was made.';
COMMENT ON COLUMN loyalty.holds.staff_id IS 'Who made it.';
COMMENT ON COLUMN loyalty.holds.member_id IS 'For whom, where several members share the account.';

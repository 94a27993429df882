-- Pooled accounts: a family that spends from one balance.

-- Mostly empty: a member owns the account that has their number.
CREATE TABLE loyalty_internal.account_owner (
	merchant_id	bigint		NOT NULL,
	member_id	bigint		NOT NULL,
	since		timestamptz	NOT NULL,
	account_id	bigint		NOT NULL,
	entry_no	bigint		NOT NULL,
	PRIMARY KEY (merchant_id, member_id, since)
);
CREATE INDEX account_owner_account ON loyalty_internal.account_owner (merchant_id, account_id);
COMMENT ON TABLE loyalty_internal.account_owner IS 'Which account members have owned since when, where it is another than the one of their number: of those who share one its owner has left. Their rank counts there, and nowhere else. Never changed.';
COMMENT ON COLUMN loyalty_internal.account_owner.since IS 'For ranks, by the clock; later than the one before, of the member and of the account.';
COMMENT ON COLUMN loyalty_internal.account_owner.entry_no IS 'The last entry of the account that is not theirs yet.';
GRANT SELECT, INSERT ON loyalty_internal.account_owner TO loyalty_engine;

CREATE FUNCTION loyalty_internal.owned_account(merchant_id bigint, member_id bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce((SELECT o.account_id FROM loyalty_internal.account_owner o
					 WHERE o.merchant_id = owned_account.merchant_id AND o.member_id = owned_account.member_id
					 ORDER BY o.since DESC LIMIT 1), owned_account.member_id);
END;
COMMENT ON FUNCTION loyalty_internal.owned_account(bigint, bigint) IS
'Part of loyalty.leave_account(): the account that a member owns.';

CREATE FUNCTION loyalty_internal.own_account(merchant_id bigint, member_id bigint, account_id bigint, since timestamptz, entry_no bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	INSERT INTO loyalty_internal.account_owner (merchant_id, member_id, since, account_id, entry_no)
	SELECT own_account.merchant_id, own_account.member_id,
		   greatest(own_account.since, max(o.since) + interval '1 microsecond'), own_account.account_id, own_account.entry_no
	FROM loyalty_internal.account_owner o WHERE o.merchant_id = own_account.merchant_id AND (o.member_id = own_account.member_id OR o.account_id = own_account.account_id);
END;
COMMENT ON FUNCTION loyalty_internal.own_account(bigint, bigint, bigint, timestamptz, bigint) IS
'Part of loyalty.leave_account(): since then, and from the entry after entry_no on, the member owns this account, and no other.';

-- The member's own points, after what is due, and nothing that is still open.
CREATE FUNCTION loyalty_internal.pool_move(merchant_id bigint, member_id bigint, from_account bigint, to_account bigint, amount loyalty.points) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	state record;
BEGIN
	PERFORM FROM loyalty_internal.account a WHERE a.merchant_id = pool_move.merchant_id AND a.account_id IN (from_account, to_account)
	ORDER BY a.account_id FOR NO KEY UPDATE;
	SELECT * INTO state FROM loyalty_internal.account_state(merchant_id, from_account, clock_timestamp());
	IF amount IS NULL AND (coalesce(state.held, '0') OPERATOR(loyalty.>) '0'::loyalty.points
						   OR coalesce(state.pending, '0') OPERATOR(loyalty.>) '0'::loyalty.points
						   OR state.balance OPERATOR(loyalty.<) '0'::loyalty.points) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'The member has held or pending points, or owes some: first end these.');
	END IF;
	IF coalesce(amount, state.balance) OPERATOR(loyalty.>) '0'::loyalty.points THEN
		-- who acts is told of a shared account only
		PERFORM loyalty.transfer(merchant_id, from_account, to_account, amount, member_id => nullif(pool_move.member_id, from_account), in_full => amount IS NULL);
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.pool_move(bigint, bigint, bigint, bigint, loyalty.points) IS
'Part of loyalty.share_account() and loyalty.leave_account(): transfers amount points, or all (NULL), which counts as the member''s spending. Errors: LY005 invalid_argument, and those of loyalty.transfer().';

-- Whoever has looked the member up and waits for the account must not post
-- to it; only accounts that track lots are asked.
CREATE FUNCTION loyalty_internal.move_account(merchant_id bigint, member_id bigint, from_account bigint, to_account bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.pool_move(move_account.merchant_id, move_account.member_id, from_account, to_account, NULL);
	UPDATE loyalty_internal.account a SET moved_to = to_account,
		(earned, purchases) = (SELECT a.earned, a.purchases WHERE a.earned IS NOT NULL
							   UNION ALL SELECT n.* FROM loyalty_internal.earned_by_entries(a.merchant_id, a.account_id) n WHERE a.earned IS NULL),
		expired = coalesce(a.expired, '0'), held = coalesce(a.held, '0'), pending = coalesce(a.pending, '0')
	WHERE a.merchant_id = move_account.merchant_id AND a.account_id = from_account;
END
$$;
COMMENT ON FUNCTION loyalty_internal.move_account(bigint, bigint, bigint, bigint) IS
'Part of loyalty.share_account() and loyalty.leave_account(): a member who is alone in an account goes to another with all there is. Errors: those of loyalty_internal.pool_move().';

CREATE FUNCTION loyalty.share_account(merchant_id bigint, member_id bigint, with_member_id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	joining loyalty_internal.member;
	host loyalty_internal.member;
BEGIN
	PERFORM FROM loyalty_internal.member m
	WHERE m.merchant_id = share_account.merchant_id AND m.member_id IN (share_account.member_id, share_account.with_member_id)
	ORDER BY m.member_id FOR NO KEY UPDATE;
	SELECT m.* INTO joining FROM loyalty_internal.member m
	WHERE m.merchant_id = share_account.merchant_id AND m.member_id = share_account.member_id AND m.active;
	SELECT m.* INTO host FROM loyalty_internal.member m
	WHERE m.merchant_id = share_account.merchant_id AND m.member_id = share_account.with_member_id AND m.active;
	IF joining.member_id IS NULL OR host.member_id IS NULL THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no active member with one of these member_ids.');
	END IF;
	IF joining.program_id <> host.program_id THEN
		PERFORM loyalty_internal.fail('different_programs');
	END IF;
	IF joining.account_id = host.account_id THEN
		RETURN host.account_id;
	END IF;
	IF EXISTS (SELECT FROM loyalty_internal.member m
			   WHERE m.merchant_id = share_account.merchant_id AND m.program_id = joining.program_id
				 AND m.account_id = joining.account_id AND m.member_id <> joining.member_id) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'Others share the account of this member; they leave it first, with loyalty.leave_account().');
	END IF;
	PERFORM loyalty_internal.move_account(share_account.merchant_id, joining.member_id, joining.account_id, host.account_id);
	UPDATE loyalty_internal.member m SET account_id = host.account_id, own_account_id = joining.account_id
	WHERE m.merchant_id = share_account.merchant_id AND m.member_id = share_account.member_id;
	RETURN host.account_id;
END
$$;
COMMENT ON FUNCTION loyalty.share_account(bigint, bigint, bigint) IS
'Lets a member spend from, and earn for, the account of another member of the program, and returns that account. The points the member has go there, with their dates. Entries say which of the members acted; loyalty.set_limit() with scope member limits each of them. The account that the member had is left as it is: nothing can be posted to it or reversed in it (LY014 account_moved; a refund that was made before is answered as it was) until the member has it back. Errors: LY006 unknown_object, LY013 different_programs, LY005 invalid_argument when the member has held or pending points or a debt, or an account that others share, LI005 program_inactive when there are points to move, LY003 balance_out_of_range, LY008 limit_exceeded.';

CREATE FUNCTION loyalty_internal.lock_sharers(merchant_id bigint, member_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	shared bigint;
	account bigint;
BEGIN
	-- All who share the account are locked, so that the last two cannot both leave.
	LOOP
		SELECT m.account_id INTO shared FROM loyalty_internal.member m
		WHERE m.merchant_id = lock_sharers.merchant_id AND m.member_id = lock_sharers.member_id;
		PERFORM FROM loyalty_internal.member m WHERE m.merchant_id = lock_sharers.merchant_id AND m.account_id = shared
		ORDER BY m.member_id FOR NO KEY UPDATE;
		SELECT m.account_id INTO account FROM loyalty_internal.member m
		WHERE m.merchant_id = lock_sharers.merchant_id AND m.member_id = lock_sharers.member_id;
		EXIT WHEN account IS NOT DISTINCT FROM shared;
	END LOOP;
	RETURN EXISTS (SELECT FROM loyalty_internal.member m
		WHERE m.merchant_id = lock_sharers.merchant_id AND m.account_id = shared AND m.member_id <> lock_sharers.member_id);
END
$$;
COMMENT ON FUNCTION loyalty_internal.lock_sharers(bigint, bigint) IS
'Part of loyalty.leave_account() and loyalty.disable_member(): locks a member and all who share the member''s account, and returns whether others do.';

CREATE FUNCTION loyalty.leave_account(merchant_id bigint, member_id bigint, amount loyalty.points DEFAULT '0', idempotency_key text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	shares boolean;
	leaving loyalty_internal.member;
	own bigint := loyalty_internal.claim_key(merchant_id, idempotency_key, 'leave_account', ARRAY[member_id::text, amount::text]);
	heir bigint;
	moment timestamptz;
	owns boolean;
	own_no bigint;
	shared_no bigint;
BEGIN
	IF own IS NOT NULL THEN
		RETURN own;
	END IF;
	shares := loyalty_internal.lock_sharers(leave_account.merchant_id, leave_account.member_id);
	SELECT m.* INTO leaving FROM loyalty_internal.member m
	WHERE m.merchant_id = leave_account.merchant_id AND m.member_id = leave_account.member_id;
	IF leaving.member_id IS NULL THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no member with this member_id.');
	END IF;
	IF amount IS NULL OR amount OPERATOR(loyalty.<) '0'::loyalty.points OR NOT (shares OR leaving.own_account_id IS NOT NULL) THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'amount is not negative, and the member shares the account, or has an account to go back to.');
	END IF;
	own := coalesce(leaving.own_account_id, loyalty.open_account(leave_account.merchant_id, leaving.program_id));
	owns := loyalty_internal.owned_account(leave_account.merchant_id, leaving.member_id) = leaving.account_id;
	-- in the order of the engine, if points move, or if what is posted is either before or after it is another's
	PERFORM FROM loyalty_internal.account a
	WHERE a.merchant_id = leave_account.merchant_id AND a.account_id IN (leaving.account_id, own)
	  AND (NOT shares OR owns OR amount OPERATOR(loyalty.>) '0'::loyalty.points) ORDER BY a.account_id FOR NO KEY UPDATE;
	SELECT a.entry_no INTO own_no FROM loyalty_internal.account a WHERE a.merchant_id = leave_account.merchant_id AND a.account_id = own;
	UPDATE loyalty_internal.account a SET moved_to = NULL
	WHERE a.merchant_id = leave_account.merchant_id AND a.account_id = leaving.own_account_id;
	IF NOT shares THEN
		PERFORM loyalty_internal.move_account(leave_account.merchant_id, leaving.member_id, leaving.account_id, own);
	ELSIF amount OPERATOR(loyalty.>) '0'::loyalty.points THEN
		PERFORM loyalty_internal.pool_move(leave_account.merchant_id, leaving.member_id, leaving.account_id, own, leave_account.amount);
	END IF;
	moment := clock_timestamp();
	IF owns THEN
		PERFORM loyalty_internal.own_account(leave_account.merchant_id, leaving.member_id, own, moment, own_no);
		SELECT min(m.member_id) INTO heir FROM loyalty_internal.member m
		WHERE m.merchant_id = leave_account.merchant_id AND m.account_id = leaving.account_id AND m.member_id <> leaving.member_id;
		IF shares THEN
			SELECT a.entry_no INTO shared_no FROM loyalty_internal.account a
			WHERE a.merchant_id = leave_account.merchant_id AND a.account_id = leaving.account_id;
			PERFORM loyalty_internal.own_account(leave_account.merchant_id, heir, leaving.account_id, moment, shared_no);
		END IF;
	END IF;
	-- Whoever was alone in an account can go back to it, the last one, to refund what was bought there.
	UPDATE loyalty_internal.member m SET account_id = own, own_account_id = (
		SELECT l.account_id
		FROM (SELECT leaving.member_id AS account_id, '-infinity'::timestamptz AS since
			  UNION ALL
			  SELECT o.account_id, o.since FROM loyalty_internal.account_owner o
			  WHERE o.merchant_id = leave_account.merchant_id AND o.member_id = leaving.member_id) l
		JOIN loyalty_internal.account a ON a.merchant_id = leave_account.merchant_id AND a.account_id = l.account_id AND a.moved_to = own
		ORDER BY l.since DESC LIMIT 1)
	WHERE m.merchant_id = leave_account.merchant_id AND m.member_id = leave_account.member_id;
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, own::text);
END
$$;
COMMENT ON FUNCTION loyalty.leave_account(bigint, bigint, loyalty.points, text) IS
'Gives a member who shares an account the one back that they had, or a new one, and returns it. amount: points that they take along, those that expire first. If the others have left, the last one goes back too, with all that is there, and can return by the same call. The account of an owner who leaves is owned by the one of those who stay who has the lowest member_id. idempotency_key: the same call again returns the first answer and does nothing. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY006 unknown_object, LY005 invalid_argument, also when the last has held or pending points or a debt there, LI005 program_inactive when points go along, LY001 insufficient_points, LY008 limit_exceeded.';

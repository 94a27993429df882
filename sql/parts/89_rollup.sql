-- The roll-up: what the ledger comes to by day, for whoever asks again and again.
--
-- Of each account it is known how many of its entries are in report_day: those up
-- to a place.  The account's row says how many there are, and each entry leads to
-- the one before.  So what is not in it yet is found whatever the clock said, and
-- however late a transaction committed: one that is not seen has not moved the account
-- either.  Posting does nothing for it.
--
-- What a row is of is kept as it was sent: which branch that is, is asked when it is
-- read.  What changes of that later is within one day of one member of staff, who
-- went to another branch before what had been counted, by a clock that stepped back;
-- or a time zone, by which days are others.  That is counted anew with the change.

CREATE TABLE loyalty_internal.report_day (
	merchant_id		bigint		NOT NULL,
	day				date		NOT NULL,
	program_id		bigint		NOT NULL,
	kind			smallint	NOT NULL,
	origin_kind		smallint	NOT NULL,
	staff_id		bigint		NOT NULL,
	moves			integer		NOT NULL,
	rules			integer		NOT NULL,
	branch_digest	bytea		NOT NULL,
	first_at		timestamptz	NOT NULL,
	last_at			timestamptz	NOT NULL,
	entries			bigint		NOT NULL,
	points			numeric		NOT NULL,
	reserved		numeric		NOT NULL,
	money			numeric		NOT NULL,
	PRIMARY KEY (merchant_id, day, program_id, kind, origin_kind, staff_id, moves, rules, branch_digest)
) WITH (fillfactor = 80);
COMMENT ON TABLE loyalty_internal.report_day IS 'The roll-up: sums of the entries that loyalty_internal.report_account says are counted, by day in the time zone of the program.';
COMMENT ON COLUMN loyalty_internal.report_day.origin_kind IS 'Of a reverse, the kind of what is reversed; 0: it is none.';
COMMENT ON COLUMN loyalty_internal.report_day.staff_id IS 'Who was named, whether that is anybody; 0: nobody.';
COMMENT ON COLUMN loyalty_internal.report_day.moves IS 'How often that member of staff had gone to another branch by then.';
COMMENT ON COLUMN loyalty_internal.report_day.rules IS 'The version of the earning rules; 0: none.';
COMMENT ON COLUMN loyalty_internal.report_day.branch_digest IS 'What was sent as branchId, as loyalty_internal.branch_digest(): it may be long, and the name of a branch that is created later. Empty: nothing.';
COMMENT ON COLUMN loyalty_internal.report_day.first_at IS 'The first posted_at of them; last_at: the last.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.report_day TO loyalty_engine;
SELECT loyalty_internal.make_visible('loyalty_internal.report_day');

CREATE TABLE loyalty_internal.report_account (
	merchant_id	bigint	NOT NULL,
	account_id	bigint	NOT NULL,
	entry_no	bigint	NOT NULL,
	PRIMARY KEY (merchant_id, account_id)
) WITH (fillfactor = 80);
COMMENT ON TABLE loyalty_internal.report_account IS 'Which entries of accounts are in loyalty_internal.report_day: those up to entry_no. No row: none.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.report_account TO loyalty_engine;

CREATE TABLE loyalty_internal.report_turn (
	merchant_id	bigint	PRIMARY KEY REFERENCES loyalty_internal.merchant,
	after_id	bigint	NOT NULL DEFAULT -9223372036854775808,
	accounts	bigint	NOT NULL DEFAULT 0
);
COMMENT ON TABLE loyalty_internal.report_turn IS 'Whose turn it is to change the roll-up of a merchant: whoever has this row locked.';
COMMENT ON COLUMN loyalty_internal.report_turn.after_id IS 'The account behind which the next part begins.';
COMMENT ON COLUMN loyalty_internal.report_turn.accounts IS 'How many accounts have been counted since the first part.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.report_turn TO loyalty_engine;

-- Always another version of the row: who waited for it, and sees the database as it was before, is told so.
CREATE FUNCTION loyalty_internal.take_report_turn(merchant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- who makes the sandbox anew waits, or is waited for
	PERFORM FROM loyalty_internal.merchant m WHERE m.merchant_id = take_report_turn.merchant_id FOR KEY SHARE;
	INSERT INTO loyalty_internal.report_turn AS t (merchant_id) SELECT m.merchant_id FROM loyalty_internal.merchant m WHERE m.merchant_id = take_report_turn.merchant_id
	ON CONFLICT ON CONSTRAINT report_turn_pkey DO UPDATE SET after_id = t.after_id;
END
$$;
COMMENT ON FUNCTION loyalty_internal.take_report_turn(bigint) IS 'Part of what changes the roll-up of a merchant: waits until nobody else does.';

CREATE FUNCTION loyalty_internal.branch_digest(name text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(loyalty_internal.hmac(NULL, loyalty.fold(name COLLATE "C")), '');
COMMENT ON FUNCTION loyalty_internal.branch_digest(text) IS 'What the name of a branch is in the roll-up: the same for names that are the same branch.';
CREATE UNIQUE INDEX branch_digest ON loyalty_internal.branch (merchant_id, loyalty_internal.branch_digest(name));

CREATE VIEW loyalty_internal.report_day_entry AS
SELECT e.merchant_id, e.entry_id, e.account_id, e.entry_no, e.previous_entry_id, a.program_id, (e.posted_at AT TIME ZONE p.time_zone)::date AS day, e.kind,
	   CASE WHEN e.kind = 10 THEN coalesce((SELECT f.kind FROM loyalty.entry f WHERE f.merchant_id = e.merchant_id AND f.entry_id = e.origin_entry_id), 0) ELSE 0 END::smallint AS origin_kind,
	   coalesce(e.staff_id, 0) AS staff_id,
	   CASE WHEN e.staff_id IS NULL THEN 0 ELSE (SELECT count(*) FROM loyalty_internal.staff_move v
			WHERE v.merchant_id = e.merchant_id AND v.staff_id = e.staff_id AND v.moved_at <= e.posted_at) END::integer AS moves,
	   coalesce(e.rules, 0) AS rules,
	   loyalty_internal.branch_digest(CASE WHEN e.text_digest IS NULL THEN e.detail ->> 'branchId' ELSE (
			SELECT x.detail ->> 'branchId' FROM loyalty_internal.entry_remainder x WHERE x.merchant_id = e.merchant_id AND x.entry_id = e.entry_id) END) AS branch_digest,
	   e.posted_at, e.amount::numeric AS points, coalesce(e.reserved::numeric, 0) AS reserved, coalesce(e.money::numeric, 0) AS money
FROM loyalty.entry e
JOIN loyalty_internal.account a ON a.merchant_id = e.merchant_id AND a.account_id = e.account_id
JOIN loyalty_internal.program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id;
COMMENT ON VIEW loyalty_internal.report_day_entry IS 'The ledger by what the roll-up has of it.';

-- From entry to entry, each found by the one after it: a few of a large ledger.
CREATE FUNCTION loyalty_internal.days_by_entry(merchant_ids bigint[], newest_ids bigint[], after_nos bigint[]) RETURNS SETOF loyalty_internal.report_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
	WITH RECURSIVE walk AS (
		SELECT u.after_no, e.* FROM unnest(merchant_ids, newest_ids, after_nos) u (merchant_id, entry_id, after_no)
		JOIN LATERAL (SELECT d.* FROM loyalty_internal.report_day_entry d WHERE d.merchant_id = u.merchant_id AND d.entry_id = u.entry_id OFFSET 0) e ON true
		UNION ALL
		SELECT w.after_no, e.* FROM walk w
		JOIN LATERAL (SELECT d.* FROM loyalty_internal.report_day_entry d WHERE d.merchant_id = w.merchant_id AND d.entry_id = w.previous_entry_id AND w.entry_no > w.after_no + 1 OFFSET 0) e ON true)
	SELECT w.merchant_id, w.day, w.program_id, w.kind, w.origin_kind, w.staff_id, w.moves, w.rules, w.branch_digest, min(w.posted_at), max(w.posted_at),
		   count(*), sum(w.points), sum(w.reserved), sum(w.money)
	FROM walk w GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
$$;
COMMENT ON FUNCTION loyalty_internal.days_by_entry(bigint[], bigint[], bigint[]) IS 'Part of the roll-up: what entries come to, of each account those from its newest one down to the one after the place after_nos[i].';

-- All of the ledger that there is, in its order.
CREATE FUNCTION loyalty_internal.days_by_ledger(merchants bigint[]) RETURNS SETOF loyalty_internal.report_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
AS $$
	SELECT d.merchant_id, d.day, d.program_id, d.kind, d.origin_kind, d.staff_id, d.moves, d.rules, d.branch_digest, min(d.posted_at), max(d.posted_at),
		   count(*), sum(d.points), sum(d.reserved), sum(d.money)
	FROM loyalty_internal.report_day_entry d
	LEFT JOIN loyalty_internal.report_account r ON r.merchant_id = d.merchant_id AND r.account_id = d.account_id
	WHERE d.merchant_id = ANY (merchants) AND d.entry_no > coalesce(r.entry_no, 0)
	GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
$$;
COMMENT ON FUNCTION loyalty_internal.days_by_ledger(bigint[]) IS 'Part of the roll-up: what all entries come to that are not in it, where these are many.';

CREATE FUNCTION loyalty_internal.days_since(merchants bigint[]) RETURNS SETOF loyalty_internal.visible_report_day
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	merchant_ids bigint[];
	newest_ids bigint[];
	after_nos bigint[];
	entries bigint;
BEGIN
	SELECT array_agg(a.merchant_id), array_agg(a.newest_entry_id), array_agg(coalesce(r.entry_no, 0)), sum(a.entry_no - coalesce(r.entry_no, 0))
	INTO merchant_ids, newest_ids, after_nos, entries
	FROM loyalty_internal.account a LEFT JOIN loyalty_internal.report_account r ON r.merchant_id = a.merchant_id AND r.account_id = a.account_id
	WHERE a.merchant_id = ANY (merchants) AND a.entry_no > coalesce(r.entry_no, 0);
	IF entries > 50000 THEN
		RETURN QUERY SELECT d.* FROM loyalty_internal.days_by_ledger(merchants) d;
	ELSIF entries > 0 THEN
		RETURN QUERY SELECT d.* FROM loyalty_internal.days_by_entry(merchant_ids, newest_ids, after_nos) d;
	END IF;
END
$$;
COMMENT ON FUNCTION loyalty_internal.days_since(bigint[]) IS 'Part of loyalty_report.fact_day: what the entries of merchants come to that are not in the roll-up yet.';

CREATE FUNCTION loyalty_internal.roll_up(merchant_id bigint, max_entries integer DEFAULT 50000, OUT accounts bigint, OUT at_end boolean) RETURNS record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	merchant CONSTANT bigint := roll_up.merchant_id;
	turn loyalty_internal.report_turn;
	ids bigint[];
	newest_ids bigint[];
	after_nos bigint[];
	entry_nos bigint[];
	found bigint;
BEGIN
	PERFORM loyalty_internal.take_report_turn(merchant);
	SELECT t.* INTO turn FROM loyalty_internal.report_turn t WHERE t.merchant_id = merchant;
	-- at least one, however many entries it has
	SELECT array_agg(y.account_id ORDER BY y.account_id), array_agg(y.newest_entry_id ORDER BY y.account_id), array_agg(y.after_no ORDER BY y.account_id), array_agg(y.entry_no ORDER BY y.account_id), coalesce(max(y.found), 0)
	INTO ids, newest_ids, after_nos, entry_nos, found
	FROM (SELECT x.*, sum(x.entry_no - x.after_no) OVER (ORDER BY x.account_id) - (x.entry_no - x.after_no) AS before, count(*) OVER () AS found
		  FROM (SELECT a.account_id, a.newest_entry_id, a.entry_no, coalesce(r.entry_no, 0) AS after_no
				FROM loyalty_internal.account a LEFT JOIN loyalty_internal.report_account r ON r.merchant_id = a.merchant_id AND r.account_id = a.account_id
				WHERE a.merchant_id = merchant AND a.account_id > turn.after_id AND a.entry_no > coalesce(r.entry_no, 0)
				ORDER BY a.account_id LIMIT 10000) x) y
	WHERE y.before < roll_up.max_entries;
	accounts := coalesce(cardinality(ids), 0);
	at_end := found < 10000 AND found = accounts;
	PERFORM loyalty_internal.begin_roll_up(merchant, turn.accounts);
	INSERT INTO loyalty_internal.report_day AS t
	SELECT d.* FROM loyalty_internal.days_by_entry(array_fill(merchant, ARRAY[accounts::integer]), newest_ids, after_nos) d
	ON CONFLICT ON CONSTRAINT report_day_pkey DO UPDATE SET first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
		entries = t.entries + excluded.entries, points = t.points + excluded.points, reserved = t.reserved + excluded.reserved, money = t.money + excluded.money;
	INSERT INTO loyalty_internal.report_account AS t
	SELECT merchant, u.id, u.entry_no FROM unnest(ids, entry_nos) u (id, entry_no)
	ON CONFLICT ON CONSTRAINT report_account_pkey DO UPDATE SET entry_no = excluded.entry_no;
	UPDATE loyalty_internal.report_turn t SET after_id = CASE WHEN at_end THEN -9223372036854775808 ELSE ids[cardinality(ids)] END, accounts = CASE WHEN at_end THEN 0 ELSE t.accounts + cardinality(ids) END
	WHERE t.merchant_id = merchant;
	PERFORM loyalty_internal.end_work();
END
$$;
COMMENT ON FUNCTION loyalty_internal.roll_up(bigint, integer) IS 'Part of loyalty.maintain(): counts what was posted into the roll-up, of up to 10,000 accounts and, beyond the first of them, max_entries entries, and returns of how many accounts; the next call goes on behind these. at_end: there are no more behind.';

CREATE FUNCTION loyalty_internal.recount_staff_days(merchant_id bigint, staff_id bigint, moved_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	first_day date;
BEGIN
	PERFORM loyalty_internal.take_report_turn(recount_staff_days.merchant_id);
	SELECT min(d.day) INTO first_day FROM loyalty_internal.report_day d
	WHERE d.merchant_id = recount_staff_days.merchant_id AND d.day >= (recount_staff_days.moved_at AT TIME ZONE 'UTC')::date - 1
	  AND d.staff_id = recount_staff_days.staff_id AND d.last_at >= recount_staff_days.moved_at;
	IF first_day IS NULL THEN
		RETURN;
	END IF;
	DELETE FROM loyalty_internal.report_day d
	WHERE d.merchant_id = recount_staff_days.merchant_id AND d.day >= first_day AND d.staff_id = recount_staff_days.staff_id;
	INSERT INTO loyalty_internal.report_day
	SELECT d.merchant_id, d.day, d.program_id, d.kind, d.origin_kind, d.staff_id, d.moves, d.rules, d.branch_digest, min(d.posted_at), max(d.posted_at),
		   count(*), sum(d.points), sum(d.reserved), sum(d.money)
	FROM loyalty_internal.report_day_entry d
	JOIN loyalty_internal.report_account r ON r.merchant_id = d.merchant_id AND r.account_id = d.account_id
	WHERE d.merchant_id = recount_staff_days.merchant_id AND d.staff_id = recount_staff_days.staff_id AND d.day >= first_day AND d.entry_no <= r.entry_no
	GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
END
$$;
COMMENT ON FUNCTION loyalty_internal.recount_staff_days(bigint, bigint, timestamptz) IS 'Part of loyalty.set_staff_branch(): counts anew what a member of staff did at or after the moment of a move, if the roll-up has any of that, as after the clock stepped back.';

CREATE FUNCTION loyalty.recount_days(merchant_id bigint, program_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM loyalty_internal.require_merchant(recount_days.merchant_id);
	PERFORM loyalty_internal.take_report_turn(recount_days.merchant_id);
	DELETE FROM loyalty_internal.report_day d WHERE d.merchant_id = recount_days.merchant_id AND d.program_id = coalesce(recount_days.program_id, d.program_id);
	DELETE FROM loyalty_internal.report_account r USING loyalty_internal.account a
	WHERE r.merchant_id = recount_days.merchant_id AND a.merchant_id = r.merchant_id AND a.account_id = r.account_id AND a.program_id = coalesce(recount_days.program_id, a.program_id);
	UPDATE loyalty_internal.report_turn t SET after_id = DEFAULT, accounts = DEFAULT WHERE t.merchant_id = recount_days.merchant_id;
END
$$;
COMMENT ON FUNCTION loyalty.recount_days(bigint, bigint) IS
'Drops the roll-up of a merchant, or of one of its programs, which loyalty.maintain() makes anew: after an update of the time zones of the operating system, by which days of before are others. Until then loyalty_report.fact_day reads the ledger. Errors: LY006 unknown_object (no such merchant).';

CREATE VIEW loyalty_report.fact_day WITH (security_barrier) AS
SELECT d.merchant_id::text AS merchant_key, d.program_id::text AS program_key,
	   coalesce(b.branch_id::text, ((s.branch_ids || s.branch_id)[1 + d.moves])::text, s.branch_id::text, d.merchant_id || '-0') AS branch_key,
	   concat(d.merchant_id, '-', coalesce(s.staff_id, 0)) AS staff_key, d.day AS posted_on, loyalty.entry_kind(d.kind) AS kind, nullif(d.rules, 0)::numeric AS rule_set_version,
	   d.entries::numeric AS entries, d.points, d.reserved AS points_reserved,
	   CASE WHEN d.kind IN (1, 2) THEN d.points + d.reserved ELSE 0 END AS points_issued,
	   CASE WHEN d.kind IN (3, 7) THEN -(d.points + d.reserved) ELSE 0 END AS points_redeemed,
	   CASE WHEN d.kind = 5 THEN -d.points ELSE 0 END AS points_expired, d.money,
	   CASE WHEN d.kind = 1 THEN d.money ELSE 0 END AS money_sold,
	   CASE WHEN d.kind IN (3, 7) THEN d.money ELSE 0 END AS money_redeemed,
	   CASE WHEN d.kind = 10 AND d.origin_kind = 1 THEN d.money ELSE 0 END AS money_refunded,
	   CASE WHEN d.kind = 10 AND d.origin_kind IN (3, 7) THEN d.money ELSE 0 END AS money_unredeemed
FROM (SELECT t.merchant_id, r.day, r.program_id, r.kind, r.origin_kind, r.staff_id, r.moves, r.rules, r.branch_digest, r.entries, r.points, r.reserved, r.money
	  FROM loyalty_internal.visible_report_day r JOIN loyalty_internal.visible_merchant t ON t.merchant_id = r.merchant_id
	  UNION ALL
	  SELECT n.merchant_id, n.day, n.program_id, n.kind, n.origin_kind, n.staff_id, n.moves, n.rules, n.branch_digest, n.entries, n.points, n.reserved, n.money
	  FROM loyalty_internal.days_since(loyalty_internal.reported_merchants(current_user)) n) d
LEFT JOIN loyalty_internal.report_staff s ON s.merchant_id = d.merchant_id AND s.staff_id = d.staff_id
LEFT JOIN loyalty_internal.visible_branch b ON b.merchant_id = d.merchant_id AND loyalty_internal.branch_digest(b.name) = d.branch_digest;
COMMENT ON VIEW loyalty_report.fact_day IS 'The sums of fact_entry by day, program, branch, member of staff, kind and rule set, for dashboards. Exact at every moment, and found fast by posted_on.';
COMMENT ON COLUMN loyalty_report.fact_day.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_day.program_key IS 'The program whose points they are.';
COMMENT ON COLUMN loyalty_report.fact_day.branch_key IS 'The branch where it happened, as in fact_entry.';
COMMENT ON COLUMN loyalty_report.fact_day.staff_key IS 'The member of staff who did it.';
COMMENT ON COLUMN loyalty_report.fact_day.posted_on IS 'The day, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_day.kind IS 'The kind of the entries, as in fact_entry. There may be several rows of one kind.';
COMMENT ON COLUMN loyalty_report.fact_day.rule_set_version IS 'The version of the earning rules under which the points were earned.';
COMMENT ON COLUMN loyalty_report.fact_day.entries IS 'How many entries.';
COMMENT ON COLUMN loyalty_report.fact_day.points IS 'Change of the balances: positive adds, negative takes away.';
COMMENT ON COLUMN loyalty_report.fact_day.points_reserved IS 'Change of what is held or pending, and so not in balances.';
COMMENT ON COLUMN loyalty_report.fact_day.points_issued IS 'Points earned or given, pending ones included: those of accrue and deposit.';
COMMENT ON COLUMN loyalty_report.fact_day.points_redeemed IS 'Points spent: those of redeem and capture.';
COMMENT ON COLUMN loyalty_report.fact_day.points_expired IS 'Points that expired.';
COMMENT ON COLUMN loyalty_report.fact_day.money IS 'Money that was told with them; what it means depends on the kind.';
COMMENT ON COLUMN loyalty_report.fact_day.money_sold IS 'Money of sales: that of accrue.';
COMMENT ON COLUMN loyalty_report.fact_day.money_redeemed IS 'Money that was told when points were spent: that of redeem and capture.';
COMMENT ON COLUMN loyalty_report.fact_day.money_refunded IS 'Money of sales that was refunded, where that was told in money.';
COMMENT ON COLUMN loyalty_report.fact_day.money_unredeemed IS 'Money that was told when points that had been spent were given back.';

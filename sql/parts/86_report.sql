-- Reports: a star of facts and dimensions, in types that every tool knows.
--
-- A role sees the merchants to which loyalty.grant_reporting() bound it, by who it
-- is and not by what it says: views ask which those are, read of each table theirs
-- only, by merchant_id, which all keys begin with, and join to them; the planner knows
-- how many they are.  They are barriers: what a reader brings along sees no other row.
-- merchant_key is of the merchant's own row, so that who sees many and asks for one
-- is not led through all.
--
-- Whatever joins is a text, called after what it is and _key: numbers of 63 bits are
-- rounded by what counts in doubles, and summed by what sums numbers.  Each is
-- unique on the whole server, and each that a fact has is in its dimension, that
-- of nobody and nothing too: an inner join loses no fact.
--
-- How views are made of tables is said in those of loyalty_internal, with the
-- engine's types, and whoever they may be shown to.  They join so that the planner can
-- leave out what a query does not ask for: to at most one row, and found to be so.

CREATE TABLE loyalty_internal.report_role (
	role		name		PRIMARY KEY,
	merchant_id	bigint,
	personal	boolean		NOT NULL,
	role_id		oid			NOT NULL,
	server		bigint		NOT NULL DEFAULT (pg_control_system()).system_identifier,
	granted_at	timestamptz	NOT NULL DEFAULT now()
);
COMMENT ON TABLE loyalty_internal.report_role IS 'Which merchant a role may read reports of. A role that was renamed, or made anew under its name, or is on another server, as after pg_upgrade, sees nothing until it is granted again.';
COMMENT ON COLUMN loyalty_internal.report_role.role_id IS 'Which role of that name it was when it was granted, on the server of this system_identifier: servers number what they make alike.';
COMMENT ON COLUMN loyalty_internal.report_role.merchant_id IS 'The merchant; NULL: all of them.';
COMMENT ON COLUMN loyalty_internal.report_role.personal IS 'Whether it may know who people of that merchant are.';
GRANT SELECT ON loyalty_internal.report_role TO loyalty_engine;

-- As rights are: of the role itself, and of those whose rights it has.
CREATE FUNCTION loyalty_internal.reported_merchants(reader name, personal boolean DEFAULT false) RETURNS bigint[]
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
		WITH granted AS MATERIALIZED (
			SELECT g.merchant_id FROM loyalty_internal.report_role g JOIN pg_roles r ON r.rolname = g.role AND r.oid = g.role_id
			JOIN pg_control_system() s ON s.system_identifier = g.server
			WHERE pg_has_role(reader, r.oid, 'USAGE') AND (g.personal OR NOT reported_merchants.personal)
			UNION ALL
			SELECT NULL WHERE pg_has_role(reader, 'loyalty_engine', 'USAGE')
		)
		SELECT coalesce(array_agg(x.merchant_id ORDER BY x.merchant_id), '{}') FROM (
			SELECT g.merchant_id FROM granted g WHERE g.merchant_id IS NOT NULL
			UNION
			SELECT m.merchant_id FROM (SELECT 0 UNION ALL SELECT n.merchant_id FROM loyalty_internal.merchant n) m (merchant_id)
			WHERE EXISTS (SELECT FROM granted g WHERE g.merchant_id IS NULL)) x);
END
$$;
COMMENT ON FUNCTION loyalty_internal.reported_merchants(name, boolean) IS
'Part of the views of loyalty_report: the merchants that a role may see there, the current one, in ascending order; personal: those only whose people it may know. Superusers, and functions of the engine, see all; if it is all, those to come too, 0 is among them, which is nobody''s number.';

CREATE FUNCTION loyalty_internal.is_reported_support(internal) RETURNS internal
LANGUAGE C STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_is_reported_support';
COMMENT ON FUNCTION loyalty_internal.is_reported_support(internal) IS 'Part of loyalty_internal.is_reported(): makes it a condition of an index on merchant_id, tells the planner how many merchants there are, and has it asked first.';

CREATE FUNCTION loyalty_internal.is_reported(merchant_id bigint, merchants bigint[]) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT loyalty_internal.is_reported_support AS 'MODULE_PATHNAME', 'loyalty_is_reported';
COMMENT ON FUNCTION loyalty_internal.is_reported(bigint, bigint[]) IS 'Part of the views visible_ of loyalty_internal: whether a merchant is one of those that loyalty_internal.reported_merchants() says; NULL if one of them is.';

-- Each scan asks for the merchant itself, and does not leave that to a join: EXPLAIN
-- (ANALYZE) tells how many rows it had.  It asks for it before all that the reader asked
-- that PostgreSQL knows not to leak, or it would tell of others whether that is so.
CREATE FUNCTION loyalty_internal.make_visible(shown regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name CONSTANT name := (SELECT c.relname FROM pg_class c WHERE c.oid = shown);
BEGIN
	EXECUTE format('CREATE VIEW loyalty_internal.visible_%s AS SELECT x.* FROM %s x WHERE loyalty_internal.is_reported(x.merchant_id, (SELECT loyalty_internal.reported_merchants(current_user)))', name, shown);
	EXECUTE format('COMMENT ON VIEW loyalty_internal.visible_%s IS %L', name, format('The rows of %s that are of merchants whose reports the current role may read.', shown));
	-- The seal gives views the comments of what they show, and views of this one have to find them.
	EXECUTE (SELECT coalesce(string_agg(format('COMMENT ON COLUMN loyalty_internal.visible_%s.%I IS %L', name, a.attname, col_description(shown, a.attnum)), '; '), '')
			 FROM pg_attribute a WHERE a.attrelid = shown AND a.attnum > 0 AND col_description(shown, a.attnum) IS NOT NULL);
END
$$;
COMMENT ON FUNCTION loyalty_internal.make_visible(regclass) IS 'Part of what makes the extension: the view visible_, by which reports read a table.';

SELECT loyalty_internal.make_visible(t) FROM unnest('{loyalty.entry,loyalty_internal.account,loyalty_internal.account_owner,loyalty_internal.api_key,loyalty_internal.branch,loyalty_internal.customer,
	loyalty_internal.entry_remainder,loyalty_internal.instalment,loyalty_internal.member,loyalty_internal.merchant,loyalty_internal.message,loyalty_internal.payment,
	loyalty_internal.policy,loyalty_internal.product,loyalty_internal.program,loyalty_internal.program_past,loyalty_internal.rank_base,loyalty_internal.rank_past,
	loyalty_internal.rank_range,loyalty_internal.reservation,loyalty_internal.staff,loyalty_internal.staff_move,loyalty_internal.entry_rule,loyalty_internal.reversal,
	loyalty_internal.rule,loyalty_internal.sql_role}'::regclass[]) t;

-- The right to read loyalty_report_personal is not of a merchant, and who has it of one role may
-- have merchants of another: each of them is asked for there.
CREATE VIEW loyalty_internal.report_merchant AS
SELECT m.merchant_id, m.digest_key, loyalty_internal.is_reported(m.merchant_id, (SELECT loyalty_internal.reported_merchants(current_user, true))) AS personal
FROM loyalty_internal.visible_merchant m;
COMMENT ON VIEW loyalty_internal.report_merchant IS 'The merchants whose reports the current role may read. personal: it may know who their people are.';

CREATE FUNCTION loyalty_internal.pseudonym(key text, number bigint) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_pseudonym';
COMMENT ON FUNCTION loyalty_internal.pseudonym(text, bigint) IS
'What a number is called where nobody may know it: 16 hexadecimal digits, always the same under one key, and nobody''s who does not have it.';

CREATE FUNCTION loyalty_internal.age_band(born date, today date) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY['unknown', '0-17', '18-24', '25-34', '35-44', '45-54', '55-64', '65+'])
	[coalesce(2 + width_bucket(extract(year FROM age(today, born))::integer, ARRAY[18, 25, 35, 45, 55, 65]), 1)];
COMMENT ON FUNCTION loyalty_internal.age_band(date, date) IS 'Part of loyalty_report.dim_member: how old somebody is, in seven bands.';

-- --- what the views are made of ------------------------------------------------

-- Whose an account was is a list, of one row for an account, and so is where staff were.
CREATE VIEW loyalty_internal.report_owner AS
SELECT o.merchant_id, o.account_id, array_agg(o.entry_no ORDER BY o.since) AS after_nos, array_agg(o.member_id ORDER BY o.since) AS member_ids
FROM loyalty_internal.visible_account_owner o GROUP BY o.merchant_id, o.account_id;
COMMENT ON VIEW loyalty_internal.report_owner IS 'Who has owned accounts that changed owners: the entry after after_nos[i], and those that follow, are of member_ids[i]. Before, and all others, are of whoever has the account''s number.';

CREATE VIEW loyalty_internal.report_staff AS
SELECT s.merchant_id, s.staff_id, s.branch_id, v.moves, v.branch_ids
FROM loyalty_internal.visible_staff s
LEFT JOIN (SELECT w.merchant_id, w.staff_id, array_agg(w.moved_at ORDER BY w.moved_at) AS moves, array_agg(w.branch_id ORDER BY w.moved_at) AS branch_ids
		   FROM loyalty_internal.visible_staff_move w GROUP BY w.merchant_id, w.staff_id) v ON v.merchant_id = s.merchant_id AND v.staff_id = s.staff_id;
COMMENT ON VIEW loyalty_internal.report_staff IS 'Where staff are, and were: until moves[i] in branch_ids[i]. At a moment in (branch_ids || branch_id)[1 + width_bucket(moment, moves)], if they have moved.';

CREATE VIEW loyalty_internal.report_entry AS
SELECT e.merchant_id, e.entry_id, e.account_id, e.entry_no, e.posted_at, (e.posted_at AT TIME ZONE p.time_zone)::date AS posted_on, p.time_zone,
	   a.program_id, coalesce(k.account_id, o.member_ids[width_bucket(e.entry_no - 1, o.after_nos)], e.account_id) AS member_id,
	   s.staff_id, coalesce(b.branch_id, r.branch_id, (s.branch_ids || s.branch_id)[1 + width_bucket(e.posted_at, s.moves)], s.branch_id) AS branch_id,
	   coalesce(e.detail ->> 'branchId', r.branch_sent) AS branch_sent, e.actor_id, e.request_id,
	   e.kind, e.amount, e.balance, e.reserved, e.money, e.rules, e.reference, e.origin_entry_id, f.kind AS origin_kind, e.peer_account_id, e.lots
FROM loyalty_internal.visible_entry e
LEFT JOIN loyalty_internal.visible_account a ON a.merchant_id = e.merchant_id AND a.account_id = e.account_id
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id
-- who acted, if that is anybody; the engine does not look who it is told of
LEFT JOIN loyalty_internal.visible_account k ON k.merchant_id = e.merchant_id AND k.account_id = e.member_id
LEFT JOIN loyalty_internal.report_owner o ON o.merchant_id = e.merchant_id AND o.account_id = e.account_id
LEFT JOIN loyalty_internal.report_staff s ON s.merchant_id = e.merchant_id AND s.staff_id = e.staff_id
LEFT JOIN loyalty_internal.visible_branch b ON b.merchant_id = e.merchant_id AND loyalty.fold(b.name) = loyalty.fold((e.detail ->> 'branchId') COLLATE "C")
LEFT JOIN (SELECT x.merchant_id, x.entry_id, x.detail ->> 'branchId' AS branch_sent, n.branch_id
		   FROM loyalty_internal.visible_entry_remainder x
		   LEFT JOIN loyalty_internal.visible_branch n ON n.merchant_id = x.merchant_id AND loyalty.fold(n.name) = loyalty.fold((x.detail ->> 'branchId') COLLATE "C")) r
	ON r.merchant_id = e.merchant_id AND r.entry_id = e.entry_id
LEFT JOIN loyalty_internal.visible_entry f ON f.merchant_id = e.merchant_id AND f.entry_id = e.origin_entry_id;
COMMENT ON VIEW loyalty_internal.report_entry IS 'The ledger with what entries do not say themselves: program, member, branch, day. member_id: who acted, of those who share an account, or who owned it then; branch_id: the one whose name was sent as branchId, or where the staff worked at that moment; NULL: none, or one that nobody created.';

CREATE VIEW loyalty_internal.report_lot AS
SELECT a.merchant_id, a.account_id, a.program_id, p.time_zone, CASE WHEN l.points OPERATOR(loyalty.<) '0'::loyalty.points THEN 'owed' ELSE 'available' END AS state, l.expires_at, l.points
FROM loyalty_internal.visible_account a
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id
LEFT JOIN LATERAL (SELECT d.balance, d.lots FROM loyalty_internal.account_state(a.merchant_id, a.account_id, now()) d WHERE a.due_at <= now() OFFSET 0) s ON true
CROSS JOIN LATERAL (SELECT CASE WHEN a.due_at <= now() THEN s.balance ELSE a.balance END AS balance, CASE WHEN a.due_at <= now() THEN s.lots ELSE a.lots END AS lots) n
CROSS JOIN LATERAL (
	SELECT u.expires_at, u.points FROM loyalty.unnest_lots(n.lots) u
	UNION ALL SELECT NULL, n.balance OPERATOR(loyalty.-) coalesce(loyalty.total(n.lots), '0'::loyalty.points)) l
WHERE l.points OPERATOR(loyalty.<>) '0'::loyalty.points
UNION ALL
SELECT a.merchant_id, a.account_id, a.program_id, p.time_zone, CASE WHEN v.kind = 6 THEN 'held' ELSE 'pending' END, l.expires_at, l.points
FROM loyalty_internal.visible_reservation v
JOIN loyalty_internal.visible_account a ON a.merchant_id = v.merchant_id AND a.account_id = v.account_id
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = a.merchant_id AND p.program_id = a.program_id
CROSS JOIN LATERAL (
	SELECT u.expires_at, u.points FROM loyalty.unnest_lots(v.lots) u
	UNION ALL SELECT NULL, v.remaining OPERATOR(loyalty.-) coalesce(loyalty.total(v.lots), '0'::loyalty.points)) l
WHERE v.remaining OPERATOR(loyalty.>) '0'::loyalty.points AND (v.due_at IS NULL OR v.due_at > now()) AND l.points OPERATOR(loyalty.<>) '0'::loyalty.points;
COMMENT ON VIEW loyalty_internal.report_lot IS 'The points that accounts have now, by the moment at which they expire (NULL: never), those of holds and pending ones too; what is due counts whether it was booked or not. owed: a debt, negative.';

-- Of a join that may find nothing, IS NULL counts as rare for the planner.
CREATE VIEW loyalty_internal.report_member AS
SELECT a.merchant_id, a.account_id AS member_id, a.program_id, m.member_id IS NOT NULL AS enrolled, m.account_id AS shares_account_id,
	   m.client_id, m.phone, m.email, m.name, coalesce(m.birth_date, loyalty.birth_date(c.curp)) AS birth_date, m.active, m.subscribed_at, m.enrolled_by,
	   m.cancelled_at IS NOT NULL OR (c.blocked_at > '-infinity') IS TRUE AS hidden
FROM loyalty_internal.visible_account a
LEFT JOIN loyalty_internal.visible_member m ON m.merchant_id = a.merchant_id AND m.member_id = a.account_id
LEFT JOIN loyalty_internal.visible_customer c ON c.merchant_id = a.merchant_id AND c.member_id = a.account_id;
COMMENT ON VIEW loyalty_internal.report_member IS 'Whoever points can be of: members, by the number of the account that was opened for them, and accounts that were opened for nobody. hidden: erased, or blocked.';

-- EXECUTE on it is given to readers, who may not ask of any account: it stays in here.
CREATE FUNCTION loyalty_internal.rank_now(merchant_id bigint, account_id bigint) RETURNS text
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT loyalty.rank_at(rank_now.merchant_id, rank_now.account_id, statement_timestamp());
END;
COMMENT ON FUNCTION loyalty_internal.rank_now(bigint, bigint) IS 'Part of loyalty_report.dim_member: loyalty.rank_at() of now.';

-- --- dimensions --------------------------------------------------------------------

CREATE VIEW loyalty_report.dim_merchant WITH (security_barrier) AS
SELECT m.merchant_id::text AS merchant_key, m.name, m.sandbox AS is_sandbox, m.created_at
FROM loyalty_internal.visible_merchant m;
COMMENT ON VIEW loyalty_report.dim_merchant IS 'The merchants whose reports the role may read.';
COMMENT ON COLUMN loyalty_report.dim_merchant.merchant_key IS 'The merchant: its merchant_id, as a text.';
COMMENT ON COLUMN loyalty_report.dim_merchant.name IS 'What it is called.';
COMMENT ON COLUMN loyalty_report.dim_merchant.is_sandbox IS 'Whether its people are made up.';
COMMENT ON COLUMN loyalty_report.dim_merchant.created_at IS 'When it was created.';

CREATE VIEW loyalty_report.dim_program WITH (security_barrier) AS
SELECT p.program_id::text AS program_key, t.merchant_id::text AS merchant_key, p.name, p.client_id COLLATE "default" AS client_id, p.active AS is_active, p.unit_name, p.decimals::numeric AS decimals,
	   p.currency_iso, p.accumulation_points::numeric AS accumulation_points, p.accumulation_money::numeric AS accumulation_money,
	   p.redemption_points::numeric AS redemption_points, p.redemption_money::numeric AS redemption_money,
	   p.expiry, p.duration_value::numeric AS duration_value, p.duration_unit, p.time_zone, p.created_at
FROM loyalty_internal.visible_program p
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = p.merchant_id;
COMMENT ON VIEW loyalty_report.dim_program IS 'The programs, wallets among them, with their terms as they are now.';
COMMENT ON COLUMN loyalty_report.dim_program.program_key IS 'The program: its program_id, as a text.';
COMMENT ON COLUMN loyalty_report.dim_program.merchant_key IS 'The merchant whose program it is.';
COMMENT ON COLUMN loyalty_report.dim_program.name IS 'What it is called.';
COMMENT ON COLUMN loyalty_report.dim_program.client_id IS 'The programId of the seller API.';
COMMENT ON COLUMN loyalty_report.dim_program.is_active IS 'Whether it gives and moves points.';
COMMENT ON COLUMN loyalty_report.dim_program.unit_name IS 'What its points are called.';
COMMENT ON COLUMN loyalty_report.dim_program.decimals IS 'How many decimals its points have.';
COMMENT ON COLUMN loyalty_report.dim_program.currency_iso IS 'The currency of its money, in three letters.';
COMMENT ON COLUMN loyalty_report.dim_program.accumulation_points IS 'Points that are earned for accumulation_money.';
COMMENT ON COLUMN loyalty_report.dim_program.accumulation_money IS 'Money for which accumulation_points are earned.';
COMMENT ON COLUMN loyalty_report.dim_program.redemption_points IS 'Points that are worth redemption_money.';
COMMENT ON COLUMN loyalty_report.dim_program.redemption_money IS 'Money that redemption_points are worth.';
COMMENT ON COLUMN loyalty_report.dim_program.expiry IS 'When points expire: rolling, month_end, quarter_end, year_end or fixed.';
COMMENT ON COLUMN loyalty_report.dim_program.duration_value IS 'How many duration_units points are valid; 0: for ever, if expiry is rolling.';
COMMENT ON COLUMN loyalty_report.dim_program.duration_unit IS 'day, month or year.';
COMMENT ON COLUMN loyalty_report.dim_program.time_zone IS 'The time zone of its days.';
COMMENT ON COLUMN loyalty_report.dim_program.created_at IS 'When it was created.';

-- A view that is a UNION itself is no barrier to PostgreSQL: it is within another SELECT.
CREATE VIEW loyalty_report.dim_branch WITH (security_barrier) AS
SELECT * FROM (
	SELECT b.branch_id::text AS branch_key, t.merchant_id::text AS merchant_key, b.name COLLATE "default" AS name, b.created_at
	FROM loyalty_internal.visible_branch b
	JOIN loyalty_internal.visible_merchant t ON t.merchant_id = b.merchant_id
	UNION ALL
	SELECT m.merchant_id || '-0', m.merchant_id::text, '(none)', NULL
	FROM loyalty_internal.visible_merchant m) u;
COMMENT ON VIEW loyalty_report.dim_branch IS 'The branches, and of each merchant one without created_at that stands for none.';
COMMENT ON COLUMN loyalty_report.dim_branch.branch_key IS 'The branch: its branch_id, as a text.';
COMMENT ON COLUMN loyalty_report.dim_branch.merchant_key IS 'The merchant whose branch it is.';
COMMENT ON COLUMN loyalty_report.dim_branch.name IS 'What it is called; (none) stands for what happened in no branch, or in one that the merchant has not created.';
COMMENT ON COLUMN loyalty_report.dim_branch.created_at IS 'When it was created.';

CREATE VIEW loyalty_report_personal.dim_staff WITH (security_barrier) AS
SELECT * FROM (
	SELECT concat(s.merchant_id, '-', s.staff_id) AS staff_key, t.merchant_id::text AS merchant_key, s.staff_id::numeric AS staff_number, s.branch_id::text AS branch_key,
		   s.role, s.archived_at IS NULL AS is_active, s.created_at AS hired_at, s.archived_at,
		   CASE WHEN t.personal THEN s.name COLLATE "default" END AS name, CASE WHEN t.personal THEN s.number::text END AS phone
	FROM loyalty_internal.visible_staff s
	JOIN loyalty_internal.report_merchant t ON t.merchant_id = s.merchant_id
	UNION ALL
	SELECT m.merchant_id || '-0', m.merchant_id::text, 0, m.merchant_id || '-0', '(none)', NULL, NULL, NULL, '(none)', NULL
	FROM loyalty_internal.visible_merchant m) u;
COMMENT ON VIEW loyalty_report_personal.dim_staff IS 'Cashiers and managers with their names, archived ones too, and of each merchant one with the number 0 that stands for nobody.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.staff_key IS 'The member of staff: the number of the merchant, a hyphen, and their own.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.merchant_key IS 'The merchant they work for.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.staff_number IS 'Their number within the merchant, the usertool_id of the wallet API; 0: nobody.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.branch_key IS 'The branch where they work now; where they worked when something happened is told by facts.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.role IS 'cajero or gerente; (none) stands for nobody.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.is_active IS 'Whether they still work there.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.hired_at IS 'When they were registered.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.archived_at IS 'When they were archived.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.name IS 'Their name; cancelado: it was erased; NULL: the role may not know people of that merchant.';
COMMENT ON COLUMN loyalty_report_personal.dim_staff.phone IS 'Their mobile phone; NULL: it was erased, or the role may not know people of that merchant.';

CREATE VIEW loyalty_report.dim_staff WITH (security_barrier) AS
SELECT staff_key, merchant_key, staff_number, branch_key, role, is_active, hired_at, archived_at
FROM loyalty_report_personal.dim_staff;
COMMENT ON VIEW loyalty_report.dim_staff IS 'Cashiers and managers, archived ones too, by number, and of each merchant one with the number 0 that stands for nobody.';

CREATE VIEW loyalty_report.dim_staff_branch WITH (security_barrier) AS
SELECT concat(s.merchant_id, '-', s.staff_id) AS staff_key, t.merchant_id::text AS merchant_key, w.branch_id::text AS branch_key,
	   coalesce(s.moves[w.n - 1], h.created_at) AS worked_from_at, s.moves[w.n] AS worked_until_at
FROM loyalty_internal.report_staff s
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = s.merchant_id
JOIN loyalty_internal.visible_staff h ON h.merchant_id = s.merchant_id AND h.staff_id = s.staff_id
CROSS JOIN LATERAL unnest(s.branch_ids || s.branch_id) WITH ORDINALITY w (branch_id, n);
COMMENT ON VIEW loyalty_report.dim_staff_branch IS 'Where staff have worked from when until when, one row for each stay.';
COMMENT ON COLUMN loyalty_report.dim_staff_branch.staff_key IS 'The member of staff.';
COMMENT ON COLUMN loyalty_report.dim_staff_branch.merchant_key IS 'The merchant they work for.';
COMMENT ON COLUMN loyalty_report.dim_staff_branch.branch_key IS 'The branch where they worked.';
COMMENT ON COLUMN loyalty_report.dim_staff_branch.worked_from_at IS 'When they came; of the first branch, when they were registered.';
COMMENT ON COLUMN loyalty_report.dim_staff_branch.worked_until_at IS 'When they went to another; NULL: they are there.';

CREATE VIEW loyalty_report.dim_api_key WITH (security_barrier) AS
SELECT * FROM (
	SELECT k.key_id::text AS api_key_key, t.merchant_id::text AS merchant_key, k.label, k.created_at, k.expires_at, k.disabled_at
	FROM loyalty_internal.visible_api_key k
	JOIN loyalty_internal.visible_merchant t ON t.merchant_id = k.merchant_id
	UNION ALL
	SELECT m.merchant_id || '-0', m.merchant_id::text, '(none)', NULL, NULL, NULL
	FROM loyalty_internal.visible_merchant m) u;
COMMENT ON VIEW loyalty_report.dim_api_key IS 'The API keys with which something was posted, without anything that could be used as one, and of each merchant one that stands for none.';
COMMENT ON COLUMN loyalty_report.dim_api_key.api_key_key IS 'The API key: its key_id, as a text.';
COMMENT ON COLUMN loyalty_report.dim_api_key.merchant_key IS 'The merchant whose key it is.';
COMMENT ON COLUMN loyalty_report.dim_api_key.label IS 'What the merchant calls it; (none) stands for what was posted in SQL.';
COMMENT ON COLUMN loyalty_report.dim_api_key.created_at IS 'When it was created.';
COMMENT ON COLUMN loyalty_report.dim_api_key.expires_at IS 'When it expires; NULL: never.';
COMMENT ON COLUMN loyalty_report.dim_api_key.disabled_at IS 'When it was disabled; NULL: it was not.';

CREATE VIEW loyalty_report.dim_rank WITH (security_barrier) AS
SELECT concat(p.program_id, '-', r.rank) COLLATE "default" AS rank_key, t.merchant_id::text AS merchant_key, p.program_id::text AS program_key, coalesce(nullif(r.rank, ''), '(none)') COLLATE "default" AS name,
	   g.from_points::numeric AS from_points, g.multiplier::numeric AS multiplier
FROM loyalty_internal.visible_program p
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = p.merchant_id
CROSS JOIN LATERAL (
	SELECT '' AS rank
	UNION SELECT n.rank FROM loyalty_internal.visible_rank_range n WHERE n.merchant_id = p.merchant_id AND n.range_group = p.range_group
	UNION SELECT t.rank FROM loyalty_internal.visible_rank_past t WHERE t.merchant_id = p.merchant_id AND t.program_id = p.program_id
	UNION SELECT b.rank FROM loyalty_internal.visible_rank_base b WHERE b.merchant_id = p.merchant_id AND b.program_id = p.program_id) r
LEFT JOIN loyalty_internal.visible_rank_range g ON g.merchant_id = p.merchant_id AND g.range_group = p.range_group AND g.rank = r.rank;
COMMENT ON VIEW loyalty_report.dim_rank IS 'The ranks of programs, those too that they do not have any more, and of each program one that stands for none.';
COMMENT ON COLUMN loyalty_report.dim_rank.rank_key IS 'The rank: the number of the program, a hyphen, and its name.';
COMMENT ON COLUMN loyalty_report.dim_rank.merchant_key IS 'The merchant whose program it is of.';
COMMENT ON COLUMN loyalty_report.dim_rank.program_key IS 'The program that it is of.';
COMMENT ON COLUMN loyalty_report.dim_rank.name IS 'What it is called; (none) stands for having no rank.';
COMMENT ON COLUMN loyalty_report.dim_rank.from_points IS 'Points earned, spent ones included, from which on it is held; NULL: the program does not have it any more.';
COMMENT ON COLUMN loyalty_report.dim_rank.multiplier IS 'What the base points of sales are multiplied by for who holds it.';

CREATE VIEW loyalty_report_personal.dim_member WITH (security_barrier) AS
SELECT loyalty_internal.pseudonym(t.digest_key, m.member_id) AS member_key, t.merchant_id::text AS merchant_key,
	   CASE WHEN NOT m.hidden THEN m.program_id::text END AS program_key,
	   CASE WHEN NOT m.hidden THEN m.enrolled END AS is_enrolled,
	   CASE WHEN NOT m.hidden THEN m.active END AS is_active,
	   CASE WHEN NOT m.hidden THEN m.subscribed_at END AS enrolled_at,
	   CASE WHEN NOT m.hidden THEN (m.subscribed_at AT TIME ZONE p.time_zone)::date END AS enrolled_on,
	   CASE WHEN NOT m.hidden THEN concat(m.merchant_id, '-', coalesce(m.enrolled_by, 0)) END AS enrolled_by_staff_key,
	   CASE WHEN NOT m.hidden THEN loyalty_internal.age_band(m.birth_date, (now() AT TIME ZONE p.time_zone)::date) END AS age_band,
	   CASE WHEN NOT m.hidden THEN concat(m.program_id, '-', loyalty_internal.rank_now(m.merchant_id, coalesce(m.shares_account_id, m.member_id))) END AS rank_key,
	   CASE WHEN t.personal AND NOT m.hidden THEN m.member_id::text END AS member_number, CASE WHEN t.personal AND NOT m.hidden THEN m.client_id COLLATE "default" END AS client_id,
	   CASE WHEN t.personal AND NOT m.hidden THEN m.name END AS name, CASE WHEN t.personal AND NOT m.hidden THEN m.phone::text END AS phone,
	   CASE WHEN t.personal AND NOT m.hidden THEN m.email COLLATE "default" END AS email, CASE WHEN t.personal AND NOT m.hidden THEN m.birth_date END AS birth_date
FROM loyalty_internal.report_member m
JOIN loyalty_internal.report_merchant t ON t.merchant_id = m.merchant_id
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id;
COMMENT ON VIEW loyalty_report_personal.dim_member IS 'The members with their names, and accounts that were opened for nobody. Of who is blocked or was erased there is a pseudonym, and nothing else.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.member_key IS 'Their pseudonym: always the same, also after they were erased; whose it is can be found out with a key of the merchant only, which is shown to nobody.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.program_key IS 'The program they are enrolled in; NULL here, and in what follows: they are blocked, or were erased.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.is_enrolled IS 'Whether it is a member; false: an account that was opened for nobody.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.is_active IS 'Whether they are still in the program.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.enrolled_at IS 'When they enrolled.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.enrolled_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.enrolled_by_staff_key IS 'Who registered them.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.age_band IS 'How old they are: 0-17, 18-24, 25-34, 35-44, 45-54, 55-64, 65+ or unknown.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.rank_key IS 'The rank that they have now. It is worked out for each member: leave it out where it is not asked for.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.member_number IS 'Their member_id, or of an account that was opened for nobody its account_id, as a text.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.client_id IS 'The memberId of the seller API.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.name IS 'Their whole name.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.phone IS 'Their phone.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.email IS 'Their e-mail.';
COMMENT ON COLUMN loyalty_report_personal.dim_member.birth_date IS 'Their birth date, told or by their CURP.';

CREATE VIEW loyalty_report.dim_member WITH (security_barrier) AS
SELECT member_key, merchant_key, program_key, is_enrolled, is_active, enrolled_at, enrolled_on, enrolled_by_staff_key, age_band, rank_key
FROM loyalty_report_personal.dim_member;
COMMENT ON VIEW loyalty_report.dim_member IS 'The members, and accounts that were opened for nobody, by a pseudonym. Of who is blocked or was erased there is nothing else.';

CREATE VIEW loyalty_report.dim_date AS
SELECT d.day, extract(year FROM d.day) AS year, extract(quarter FROM d.day) AS quarter, extract(month FROM d.day) AS month,
	   (ARRAY['enero', 'febrero', 'marzo', 'abril', 'mayo', 'junio', 'julio', 'agosto', 'septiembre', 'octubre', 'noviembre', 'diciembre'])
		[extract(month FROM d.day)::integer] AS month_name,
	   date_trunc('month', d.day::timestamp)::date AS month_starts_on,
	   d.day - extract(dow FROM d.day)::integer AS week_starts_on,
	   div(extract(doy FROM d.day) - 1 + extract(dow FROM date_trunc('year', d.day::timestamp)), 7) + 1 AS week,
	   d.day - (extract(isodow FROM d.day)::integer - 1) AS iso_week_starts_on, extract(week FROM d.day) AS iso_week, extract(isoyear FROM d.day) AS iso_year,
	   extract(dow FROM d.day) + 1 AS weekday,
	   (ARRAY['domingo', 'lunes', 'martes', 'miércoles', 'jueves', 'viernes', 'sábado'])[extract(dow FROM d.day)::integer + 1] AS weekday_name,
	   extract(dow FROM d.day) IN (0, 6) AS is_weekend,
	   extract(year FROM d.day) AS fiscal_year, extract(month FROM d.day) AS fiscal_month, to_char(d.day, 'YYYY-MM') AS fiscal_period
FROM (SELECT g.day::date FROM generate_series(timestamp '2000-01-01', timestamp '2099-12-31', interval '1 day') g (day)) d;
COMMENT ON VIEW loyalty_report.dim_date IS 'The days of a hundred years from 2000 on, with their week and fiscal month as Mexico counts them.';
COMMENT ON COLUMN loyalty_report.dim_date.day IS 'The day: posted_on, due_on and the like of facts.';
COMMENT ON COLUMN loyalty_report.dim_date.year IS 'Its year.';
COMMENT ON COLUMN loyalty_report.dim_date.quarter IS 'Its quarter, 1 to 4.';
COMMENT ON COLUMN loyalty_report.dim_date.month IS 'Its month, 1 to 12.';
COMMENT ON COLUMN loyalty_report.dim_date.month_name IS 'Its month, in Spanish.';
COMMENT ON COLUMN loyalty_report.dim_date.month_starts_on IS 'The first day of its month.';
COMMENT ON COLUMN loyalty_report.dim_date.week_starts_on IS 'The Sunday on which its week begins, as calendars in Mexico have it.';
COMMENT ON COLUMN loyalty_report.dim_date.week IS 'Its week of the year, from Sunday on; 1 has the first of January. Excel calls it NUM.DE.SEMANA.';
COMMENT ON COLUMN loyalty_report.dim_date.iso_week_starts_on IS 'The Monday on which its week begins by ISO 8601, and by caps of earning rules.';
COMMENT ON COLUMN loyalty_report.dim_date.iso_week IS 'Its week by ISO 8601, of iso_year.';
COMMENT ON COLUMN loyalty_report.dim_date.iso_year IS 'The year of its week by ISO 8601.';
COMMENT ON COLUMN loyalty_report.dim_date.weekday IS '1 (Sunday) to 7 (Saturday).';
COMMENT ON COLUMN loyalty_report.dim_date.weekday_name IS 'The day of the week, in Spanish.';
COMMENT ON COLUMN loyalty_report.dim_date.is_weekend IS 'Whether it is a Saturday or a Sunday.';
COMMENT ON COLUMN loyalty_report.dim_date.fiscal_year IS 'Its ejercicio, which in Mexico is the calendar year.';
COMMENT ON COLUMN loyalty_report.dim_date.fiscal_month IS 'Its fiscal month, 1 to 12, for monthly returns.';
COMMENT ON COLUMN loyalty_report.dim_date.fiscal_period IS 'Year and month of that, as 2026-03.';

-- --- facts ---------------------------------------------------------------------------

CREATE VIEW loyalty_report_personal.fact_entry WITH (security_barrier) AS
SELECT e.entry_id::text AS entry_key, t.merchant_id::text AS merchant_key, e.program_id::text AS program_key,
	   loyalty_internal.pseudonym(t.digest_key, e.member_id) AS member_key,
	   concat(e.merchant_id, '-', coalesce(e.staff_id, 0)) AS staff_key,
	   coalesce(e.branch_id::text, e.merchant_id || '-0') AS branch_key, e.branch_sent,
	   coalesce(nullif(greatest(e.actor_id, 0), 0)::text, e.merchant_id || '-0') AS api_key_key, lpad(to_hex(e.request_id), 16, '0') AS request_key,
	   e.posted_at, e.posted_on, loyalty.entry_kind(e.kind) AS kind,
	   e.amount::numeric AS points, coalesce(e.reserved, '0')::numeric AS points_reserved, e.balance::numeric AS points_after,
	   CASE WHEN e.kind IN (1, 2) THEN (e.amount OPERATOR(loyalty.+) coalesce(e.reserved, '0'))::numeric END AS points_issued,
	   CASE WHEN e.kind IN (3, 7) THEN -(e.amount OPERATOR(loyalty.+) coalesce(e.reserved, '0'))::numeric END AS points_redeemed,
	   CASE WHEN e.kind = 5 THEN -e.amount::numeric END AS points_expired,
	   CASE WHEN e.kind = 1 THEN e.money::numeric END AS money_sold,
	   CASE WHEN e.kind IN (3, 7) THEN e.money::numeric END AS money_redeemed,
	   CASE WHEN e.kind = 10 AND e.origin_kind = 1 THEN e.money::numeric END AS money_refunded,
	   CASE WHEN e.kind = 10 AND e.origin_kind IN (3, 7) THEN e.money::numeric END AS money_unredeemed,
	   CASE WHEN e.kind NOT IN (1, 3, 7, 10) OR e.kind = 10 AND e.origin_kind NOT IN (1, 3, 7) THEN e.money::numeric END AS money_other,
	   e.rules::numeric AS rule_set_version,
	   left(encode(loyalty_internal.hmac(t.digest_key, 'ticket ' || e.reference), 'hex'), 16) AS ticket_key,
	   e.origin_entry_id::text AS origin_entry_key, loyalty.entry_kind(e.origin_kind) AS origin_kind,
	   loyalty_internal.pseudonym(t.digest_key, e.peer_account_id) AS peer_member_key, e.entry_no::numeric AS entry_number,
	   CASE WHEN t.personal AND NOT EXISTS (SELECT FROM loyalty_internal.visible_customer c
			WHERE c.merchant_id = e.merchant_id AND c.member_id = e.member_id AND c.blocked_at IS NOT NULL) THEN e.reference COLLATE "default" END AS ticket
FROM loyalty_internal.report_entry e
JOIN loyalty_internal.report_merchant t ON t.merchant_id = e.merchant_id;
COMMENT ON VIEW loyalty_report_personal.fact_entry IS 'The ledger with the texts of tickets: one row for each change of a balance, or of what is reserved of it.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.entry_key IS 'The entry: its entry_id, as a text.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.program_key IS 'The program whose points they are.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.member_key IS 'The member: who acted, of those who share an account, or who owned it then.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.staff_key IS 'The member of staff who did it.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.branch_key IS 'The branch where it happened: the one whose name was sent as branchId, or where the member of staff worked at that moment.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.branch_sent IS 'The branchId that a client of the seller API sent; NULL: none. branch_key is of a branch if the merchant has created one of that name, before or since.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.api_key_key IS 'The API key with which it came.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.request_key IS 'The request by which it was posted, in 16 hexadecimal digits, as in fact_attribution; NULL: it did not come over HTTP.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.posted_at IS 'When it counts.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.posted_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.kind IS 'accrue (earned by a sale), deposit (given), redeem (spent), adjust (corrected), expire (past its date), hold (reserved), capture (spent of a hold), release (given back of a hold), mature (was pending, is available), reverse (taken back), transfer (to or from another account).';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.points IS 'Change of the balance: positive adds, negative takes away. The sum of all is the balance of all.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.points_reserved IS 'Change of what is held or pending, and so not in the balance.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.points_after IS 'The balance after it.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.points_issued IS 'Points earned or given by it, pending ones included; NULL: it is no accrue and no deposit.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.points_redeemed IS 'Points spent by it; NULL: it is no redeem and no capture.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.points_expired IS 'Points that expired; NULL: it is no expire.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.money_sold IS 'Money of the sale, of an accrue.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.money_redeemed IS 'Money that was told with a redeem or a capture: what the points paid or, by the wallet API, the whole ticket.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.money_refunded IS 'Money of a sale that was refunded, of a reverse of an accrue; NULL too where the refund was told in points or in full.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.money_unredeemed IS 'Money that was told with the reverse of a redeem or of a capture.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.money_other IS 'Money that was told with anything else.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.rule_set_version IS 'The version of the earning rules under which the points were earned.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.ticket_key IS 'A pseudonym of the ticket, or of what else the merchant knows it by: the same for the same text; NULL: none was told, or it was erased.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.origin_entry_key IS 'The entry that this one goes on with: what is reversed, the hold that is captured or released, what became available.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.origin_kind IS 'The kind of that entry.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.peer_member_key IS 'Of a transfer, the member whose number the other account has.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.entry_number IS 'Its place in the account: 1, 2, 3 … without gaps.';
COMMENT ON COLUMN loyalty_report_personal.fact_entry.ticket IS 'The ticket, or what else the merchant knows it by, which may name somebody; NULL: none was told, it was erased, the member is blocked, or the role may not know people of that merchant.';

CREATE VIEW loyalty_report.fact_entry WITH (security_barrier) AS
SELECT entry_key, merchant_key, program_key, member_key, staff_key, branch_key, branch_sent, api_key_key, request_key, posted_at, posted_on,
	   kind, points, points_reserved, points_after, points_issued, points_redeemed, points_expired, money_sold, money_redeemed, money_refunded,
	   money_unredeemed, money_other, rule_set_version, ticket_key, origin_entry_key, origin_kind, peer_member_key, entry_number
FROM loyalty_report_personal.fact_entry;
COMMENT ON VIEW loyalty_report.fact_entry IS 'The ledger: one row for each change of a balance, or of what is reserved of it. Ask for a time by posted_at, which is found fast; days are grouped by posted_on.';

CREATE VIEW loyalty_report.fact_lot WITH (security_barrier) AS
SELECT t.merchant_id::text AS merchant_key, l.program_id::text AS program_key,
	   loyalty_internal.pseudonym(t.digest_key, coalesce(o.member_ids[cardinality(o.member_ids)], l.account_id)) AS member_key,
	   l.state, l.expires_at, (l.expires_at AT TIME ZONE l.time_zone)::date AS expires_on, l.points::numeric AS points
FROM loyalty_internal.report_lot l
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = l.merchant_id
LEFT JOIN loyalty_internal.report_owner o ON o.merchant_id = l.merchant_id AND o.account_id = l.account_id;
COMMENT ON VIEW loyalty_report.fact_lot IS 'The points that members have at this moment, by when they expire: what is owed to them. What is past its date is not among them, booked or not.';
COMMENT ON COLUMN loyalty_report.fact_lot.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_lot.program_key IS 'The program whose points they are.';
COMMENT ON COLUMN loyalty_report.fact_lot.member_key IS 'The member who owns the account.';
COMMENT ON COLUMN loyalty_report.fact_lot.state IS 'available (can be spent), held (of an open hold), pending (not available yet), owed (a debt of the member, negative).';
COMMENT ON COLUMN loyalty_report.fact_lot.expires_at IS 'When they expire; NULL: never.';
COMMENT ON COLUMN loyalty_report.fact_lot.expires_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_lot.points IS 'How many. The sum of those available and owed is the balance of all.';

CREATE VIEW loyalty_report_personal.fact_policy WITH (security_barrier) AS
SELECT s.policy_id::text AS policy_key, t.merchant_id::text AS merchant_key, m.program_id::text AS program_key,
	   loyalty_internal.pseudonym(t.digest_key, s.member_id) AS member_key, d.name COLLATE "default" AS product,
	   loyalty_internal.policy_state(s.status, s.paid_off_at, now()) AS status, s.sold_by COLLATE "default" AS sold_by,
	   s.registered_at, (s.registered_at AT TIME ZONE p.time_zone)::date AS registered_on, s.paid_off_at,
	   s.price::numeric AS price, s.cost::numeric AS cost, s.payments::numeric AS instalments, s.commission::numeric AS commission_percent,
	   CASE WHEN t.personal AND m.cancelled_at IS NULL AND c.blocked_at IS NULL THEN s.policy_number COLLATE "default" END AS policy_number
FROM loyalty_internal.visible_policy s
JOIN loyalty_internal.report_merchant t ON t.merchant_id = s.merchant_id
LEFT JOIN loyalty_internal.visible_product d ON d.merchant_id = s.merchant_id AND d.product_id = s.product_id
LEFT JOIN loyalty_internal.visible_member m ON m.merchant_id = s.merchant_id AND m.member_id = s.member_id
LEFT JOIN loyalty_internal.visible_customer c ON c.merchant_id = s.merchant_id AND c.member_id = s.member_id
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id;
COMMENT ON VIEW loyalty_report_personal.fact_policy IS 'The policies that were sold, with their numbers.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.policy_key IS 'The policy: its policy_id, as a text.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.program_key IS 'The program of the customer.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.member_key IS 'The customer.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.product IS 'What was sold.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.status IS 'PREVENTA, COBRANZA, ACTIVACION, ACTIVO or CANCELADO.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.sold_by IS 'The app user, a partner, who sold it; NULL: none did.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.registered_at IS 'When it was sold.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.registered_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.paid_off_at IS 'When the last payment was booked; NULL: it is not paid off.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.price IS 'Money, for one payment.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.cost IS 'Money, all payments together.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.instalments IS 'In how many instalments it is paid.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.commission_percent IS 'Percent of each payment that who takes it earns.';
COMMENT ON COLUMN loyalty_report_personal.fact_policy.policy_number IS 'The number of the policy; NULL: the customer is blocked, or was erased, or the role may not know people of that merchant.';

CREATE VIEW loyalty_report.fact_policy WITH (security_barrier) AS
SELECT policy_key, merchant_key, program_key, member_key, product, status, sold_by, registered_at, registered_on, paid_off_at, price, cost,
	   instalments, commission_percent
FROM loyalty_report_personal.fact_policy;
COMMENT ON VIEW loyalty_report.fact_policy IS 'The policies that were sold.';

CREATE VIEW loyalty_report.fact_instalment WITH (security_barrier) AS
SELECT i.merchant_key, i.policy_key, m.program_id::text AS program_key, loyalty_internal.pseudonym(i.digest_key, i.member_id) AS member_key,
	   i.instalment_number, i.due_on, i.amount, i.amount_paid, i.amount - i.amount_paid AS amount_unpaid
FROM (
	SELECT s.merchant_id, t.digest_key, s.member_id, t.merchant_id::text AS merchant_key, s.policy_id::text AS policy_key, n.ordinal::numeric AS instalment_number, n.due_on, n.amount::numeric AS amount,
		   -- payments fill instalments from the first on
		   least(n.amount::numeric, greatest(0, coalesce(y.paid, 0) - (sum(n.amount::numeric) OVER (PARTITION BY s.merchant_id, s.policy_id ORDER BY n.ordinal) - n.amount::numeric))) AS amount_paid
	FROM loyalty_internal.visible_policy s
	JOIN loyalty_internal.visible_merchant t ON t.merchant_id = s.merchant_id
	JOIN loyalty_internal.visible_instalment n ON n.merchant_id = s.merchant_id AND n.policy_id = s.policy_id
	LEFT JOIN (SELECT q.merchant_id, q.policy_id, sum(q.amount::numeric) AS paid FROM loyalty_internal.visible_payment q GROUP BY q.merchant_id, q.policy_id) y
		ON y.merchant_id = s.merchant_id AND y.policy_id = s.policy_id) i
LEFT JOIN loyalty_internal.visible_member m ON m.merchant_id = i.merchant_id AND m.member_id = i.member_id;
COMMENT ON VIEW loyalty_report.fact_instalment IS 'What is due of policies, when, and how much of it has been paid: payments fill instalments from the first on.';
COMMENT ON COLUMN loyalty_report.fact_instalment.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_instalment.policy_key IS 'The policy.';
COMMENT ON COLUMN loyalty_report.fact_instalment.program_key IS 'The program of the customer.';
COMMENT ON COLUMN loyalty_report.fact_instalment.member_key IS 'The customer.';
COMMENT ON COLUMN loyalty_report.fact_instalment.instalment_number IS 'Its place among those of the policy: 1, 2, 3 …';
COMMENT ON COLUMN loyalty_report.fact_instalment.due_on IS 'The day on which it is due.';
COMMENT ON COLUMN loyalty_report.fact_instalment.amount IS 'Money.';
COMMENT ON COLUMN loyalty_report.fact_instalment.amount_paid IS 'Money of it that has been paid.';
COMMENT ON COLUMN loyalty_report.fact_instalment.amount_unpaid IS 'Money of it that has not.';

CREATE VIEW loyalty_report_personal.fact_payment WITH (security_barrier) AS
SELECT y.payment_id::text AS payment_key, t.merchant_id::text AS merchant_key, y.policy_id::text AS policy_key, m.program_id::text AS program_key,
	   loyalty_internal.pseudonym(t.digest_key, s.member_id) AS member_key, y.payment_no::numeric AS payment_number,
	   y.paid_at, (y.paid_at AT TIME ZONE p.time_zone)::date AS paid_on, y.method, y.app_user COLLATE "default" AS app_user,
	   y.amount::numeric AS amount, y.balance::numeric AS amount_left, y.commission::numeric AS commission,
	   CASE WHEN t.personal AND c.blocked_at IS NULL THEN y.reference COLLATE "default" END AS reference
FROM loyalty_internal.visible_payment y
JOIN loyalty_internal.report_merchant t ON t.merchant_id = y.merchant_id
LEFT JOIN loyalty_internal.visible_policy s ON s.merchant_id = y.merchant_id AND s.policy_id = y.policy_id
LEFT JOIN loyalty_internal.visible_member m ON m.merchant_id = s.merchant_id AND m.member_id = s.member_id
LEFT JOIN loyalty_internal.visible_customer c ON c.merchant_id = s.merchant_id AND c.member_id = s.member_id
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id;
COMMENT ON VIEW loyalty_report_personal.fact_payment IS 'What has been paid of policies, with references.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.payment_key IS 'The payment: its payment_id, as a text.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.policy_key IS 'The policy that was paid.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.program_key IS 'The program of the customer.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.member_key IS 'The customer.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.payment_number IS 'Its place among those of the policy: 1, 2, 3 …';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.paid_at IS 'When it was booked.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.paid_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.method IS 'How it was paid, as the app user told.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.app_user IS 'The app user, a partner, who took it.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.amount IS 'Money.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.amount_left IS 'Money that was still to be paid after it.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.commission IS 'Money that the app user earns by it.';
COMMENT ON COLUMN loyalty_report_personal.fact_payment.reference IS 'What the app user knows the payment by; NULL: it was erased, the customer is blocked, or the role may not know people of that merchant.';

CREATE VIEW loyalty_report.fact_payment WITH (security_barrier) AS
SELECT payment_key, merchant_key, policy_key, program_key, member_key, payment_number, paid_at, paid_on, method, app_user, amount,
	   amount_left, commission
FROM loyalty_report_personal.fact_payment;
COMMENT ON VIEW loyalty_report.fact_payment IS 'What has been paid of policies.';

CREATE VIEW loyalty_report.fact_message WITH (security_barrier) AS
SELECT g.message_id::text AS message_key, t.merchant_id::text AS merchant_key, m.program_id::text AS program_key,
	   loyalty_internal.pseudonym(t.digest_key, g.member_id) AS member_key, g.channel,
	   g.created_at AS queued_at, (g.created_at AT TIME ZONE p.time_zone)::date AS queued_on, g.sent_at, g.attempts::numeric AS attempts
FROM loyalty_internal.visible_message g
JOIN loyalty_internal.visible_merchant t ON t.merchant_id = g.merchant_id
LEFT JOIN loyalty_internal.visible_member m ON m.merchant_id = g.merchant_id AND m.member_id = g.member_id
LEFT JOIN loyalty_internal.visible_program p ON p.merchant_id = m.merchant_id AND p.program_id = m.program_id;
COMMENT ON VIEW loyalty_report.fact_message IS 'The messages that were queued for members and not forgotten since, without what they say.';
COMMENT ON COLUMN loyalty_report.fact_message.message_key IS 'The message: its message_id, as a text.';
COMMENT ON COLUMN loyalty_report.fact_message.merchant_key IS 'The merchant.';
COMMENT ON COLUMN loyalty_report.fact_message.program_key IS 'The program of the member.';
COMMENT ON COLUMN loyalty_report.fact_message.member_key IS 'The member it is for.';
COMMENT ON COLUMN loyalty_report.fact_message.channel IS 'sms or whatsapp.';
COMMENT ON COLUMN loyalty_report.fact_message.queued_at IS 'When it was queued.';
COMMENT ON COLUMN loyalty_report.fact_message.queued_on IS 'The day of that, in the time zone of the program.';
COMMENT ON COLUMN loyalty_report.fact_message.sent_at IS 'When it was sent; NULL: it was not.';
COMMENT ON COLUMN loyalty_report.fact_message.attempts IS 'How often a sender has taken it.';

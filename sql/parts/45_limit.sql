-- Limits: how much a program, an API key, a branch, a cashier or a member may
-- add or spend in a day.
--
-- loyalty_internal.posting_limit says how much; loyalty_internal.allowance counts what was used.
-- The day is the program's, and nothing has to happen when it ends: a row of
-- an older day counts as unused.

CREATE TABLE loyalty_internal.posting_limit (
	merchant_id		bigint			NOT NULL,
	program_id		bigint			NOT NULL,
	subject_id		bigint			NOT NULL CHECK (subject_id >= 0),
	scope			text			COLLATE "C" NOT NULL CHECK (scope IN ('program', 'key', 'branch', 'staff', 'member')),
	adds			boolean			NOT NULL,
	max_points		loyalty.points	CHECK (max_points OPERATOR(loyalty.>=) '0'::loyalty.points),
	max_operations	bigint			CHECK (max_operations >= 0),
	set_at			timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, program_id, subject_id, scope, adds),
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program,
	CHECK (max_points IS NOT NULL OR max_operations IS NOT NULL),
	CHECK (scope <> 'program' OR subject_id = 0)
);
COMMENT ON TABLE loyalty_internal.posting_limit IS 'What may be posted in a day: the limits that loyalty.set_limit() has set.';
COMMENT ON COLUMN loyalty_internal.posting_limit.subject_id IS 'The API key, branch, staff or member it is for; 0: each that has none of its own, or the program.';
COMMENT ON COLUMN loyalty_internal.posting_limit.adds IS 'Whether it limits what adds points, or what spends them.';
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_internal.posting_limit TO loyalty_engine;

-- No foreign key and no CHECK, as on all tables that a posting writes.
CREATE TABLE loyalty_internal.allowance (
	merchant_id			bigint			NOT NULL,
	program_id			bigint			NOT NULL,
	adds				boolean			NOT NULL,
	scope				text			COLLATE "C" NOT NULL,
	subject_id			bigint			NOT NULL,
	stripe				smallint		NOT NULL DEFAULT 0,
	day					date			NOT NULL DEFAULT '-infinity',
	revision			bigint			NOT NULL DEFAULT 0,
	drawn_from			bigint,
	points_given		loyalty.points	NOT NULL DEFAULT '0',
	operations_given	bigint			NOT NULL DEFAULT 0,
	points_left			loyalty.points	NOT NULL DEFAULT '0',
	operations_left		bigint			NOT NULL DEFAULT 0,
	PRIMARY KEY (merchant_id, program_id, adds, scope, subject_id, stripe)
) WITH (fillfactor = 50);
CREATE INDEX allowance_drawn ON loyalty_internal.allowance (merchant_id, program_id, drawn_from);
COMMENT ON TABLE loyalty_internal.allowance IS 'What each subject of a limit may still move in a day: counters that a posting locks after its account.';
COMMENT ON COLUMN loyalty_internal.allowance.subject_id IS 'The API key, branch, staff or member that it counts for; of the program, its program_id.';
COMMENT ON COLUMN loyalty_internal.allowance.stripe IS '0: the subject''s own row. Else what sessions of this number have drawn from that of a program or a key, as cashiers draw from that of their branch.';
COMMENT ON COLUMN loyalty_internal.allowance.day IS 'The local day of the program that the row counts for.';
COMMENT ON COLUMN loyalty_internal.allowance.revision IS 'The revision of the program whose limits gave the row its part; under another one it is given its part anew.';
COMMENT ON COLUMN loyalty_internal.allowance.drawn_from IS 'The subject (of a cashier, the branch) out of whose row what is left was drawn; NULL: none, it is all that the subject''s own limit leaves.';
COMMENT ON COLUMN loyalty_internal.allowance.points_given IS 'What the row was given that day: a cashier or member has used what is not left of it, a program, key or branch has handed it out.';
COMMENT ON COLUMN loyalty_internal.allowance.points_left IS 'What may still be moved, or handed out, without asking.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.allowance TO loyalty_engine;

CREATE FUNCTION loyalty.set_limit(
	merchant_id bigint, program_id bigint, scope text, direction text, max_points loyalty.points DEFAULT NULL,
	max_operations bigint DEFAULT NULL, subject_id bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	-- Two who set limits of one program do it one after the other.
	PERFORM FROM loyalty_internal.program p
	WHERE p.merchant_id = set_limit.merchant_id AND p.program_id = set_limit.program_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	END IF;
	IF coalesce(set_limit.scope, '') NOT IN ('program', 'key', 'branch', 'staff', 'member') OR coalesce(set_limit.direction, '') NOT IN ('add', 'spend')
	   OR set_limit.max_points OPERATOR(loyalty.<) '0'::loyalty.points OR set_limit.max_operations < 0 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'scope is program, key, branch, staff or member; direction is add or spend; max_points and max_operations are not negative.');
	ELSIF num_nonnulls(set_limit.max_points, set_limit.max_operations) = 0 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A limit has max_points, max_operations or both; loyalty.remove_limit() removes one.');
	ELSIF set_limit.scope = 'program' AND set_limit.subject_id IS NOT NULL THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A limit of scope program is for all of the program and has no subject_id.');
	END IF;
	IF set_limit.subject_id IS NOT NULL AND NOT EXISTS (
		SELECT FROM loyalty_internal.api_key k
		WHERE set_limit.scope = 'key' AND k.merchant_id = set_limit.merchant_id AND k.key_id = set_limit.subject_id
		UNION ALL
		SELECT FROM loyalty_internal.staff s
		WHERE set_limit.scope = 'staff' AND s.merchant_id = set_limit.merchant_id AND s.staff_id = set_limit.subject_id
		UNION ALL
		SELECT FROM loyalty_internal.branch b
		WHERE set_limit.scope = 'branch' AND b.merchant_id = set_limit.merchant_id AND b.branch_id = set_limit.subject_id
		UNION ALL
		SELECT FROM loyalty_internal.account a
		WHERE set_limit.scope = 'member' AND a.merchant_id = set_limit.merchant_id AND a.account_id = set_limit.subject_id
		  AND a.program_id = set_limit.program_id
		UNION ALL
		SELECT FROM loyalty_internal.member m
		WHERE set_limit.scope = 'member' AND m.merchant_id = set_limit.merchant_id AND m.member_id = set_limit.subject_id
		  AND m.program_id = set_limit.program_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no such API key, branch or staff, or the program no such member.');
	END IF;

	INSERT INTO loyalty_internal.posting_limit AS l (merchant_id, program_id, scope, subject_id, adds, max_points, max_operations)
	VALUES (set_limit.merchant_id, set_limit.program_id, set_limit.scope, coalesce(set_limit.subject_id, 0), set_limit.direction = 'add',
		set_limit.max_points, set_limit.max_operations)
	ON CONFLICT (merchant_id, program_id, subject_id, scope, adds) DO UPDATE
	SET max_points = excluded.max_points, max_operations = excluded.max_operations, set_at = excluded.set_at;
	PERFORM loyalty_internal.track_lots(set_limit.merchant_id, set_limit.program_id);
	UPDATE loyalty_internal.program p SET has_limits = true
	WHERE p.merchant_id = set_limit.merchant_id AND p.program_id = set_limit.program_id;
END
$$;
COMMENT ON FUNCTION loyalty.set_limit(bigint, bigint, text, text, loyalty.points, bigint, bigint) IS
'Limits what may be posted in a day, by the program''s time zone: by all of the program (scope program), with each API key (key), in each branch, by each cashier (staff) or by each member. With an API key come the requests of the documented APIs; what is called in SQL has none, so that the other scopes alone limit it. direction: add (accruals, deposits, adjustments up) or spend (redemptions, holds, transfers to others, adjustments down); captures, releases, refunds and expiry are not limited. What is reversed on its local day (of what was captured, the day of the hold) is given back: its points in proportion, its operation when nothing of it is left; releases and expiry give nothing back. max_points, max_operations: both are kept; NULL: no limit of that sort, and one of them is needed; loyalty.remove_limit() removes a limit. subject_id: the key_id, branch_id, staff_id or member_id (or account_id, of an account without a member) that the limit is for, instead of the one of each of them; NULL: each that has none of its own, and of scope program always. The day is that of the entry, or the latest one that the limit has counted for, if the clock has stepped back since. What was counted today still counts when a limit is changed, and until the day that had begun is over when the time zone is. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.remove_limit(merchant_id bigint, program_id bigint, scope text, direction text, subject_id bigint DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM loyalty_internal.program p
	WHERE p.merchant_id = remove_limit.merchant_id AND p.program_id = remove_limit.program_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with this program_id.');
	ELSIF coalesce(remove_limit.scope, '') NOT IN ('program', 'key', 'branch', 'staff', 'member') OR coalesce(remove_limit.direction, '') NOT IN ('add', 'spend') THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'scope is program, key, branch, staff or member; direction is add or spend.');
	END IF;
	DELETE FROM loyalty_internal.posting_limit l
	WHERE l.merchant_id = remove_limit.merchant_id AND l.program_id = remove_limit.program_id AND l.scope = remove_limit.scope COLLATE "C"
	  AND l.adds = (remove_limit.direction = 'add') AND nullif(l.subject_id, 0) IS NOT DISTINCT FROM remove_limit.subject_id;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	UPDATE loyalty_internal.program p SET has_limits = EXISTS (
		SELECT FROM loyalty_internal.posting_limit l WHERE l.merchant_id = p.merchant_id AND l.program_id = p.program_id)
	WHERE p.merchant_id = remove_limit.merchant_id AND p.program_id = remove_limit.program_id;
	RETURN true;
END
$$;
COMMENT ON FUNCTION loyalty.remove_limit(bigint, bigint, text, text, bigint) IS
'Removes a limit of loyalty.set_limit(): that of subject_id, to whom then the one of each of them applies; NULL: the one of each, or of the program. Returns whether there was one. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE VIEW loyalty.limits AS
SELECT p.merchant_id, p.program_id, p.client_id, l.scope, CASE WHEN l.adds THEN 'add' ELSE 'spend' END AS direction,
	   nullif(l.subject_id, 0) AS subject_id, l.max_points, l.max_operations, l.set_at
FROM loyalty_internal.posting_limit l JOIN loyalty_internal.program p USING (merchant_id, program_id);
COMMENT ON VIEW loyalty.limits IS 'The limits of the programs as loyalty.set_limit() has set them; subject_id is NULL in those for each of them, and for the program.';
COMMENT ON COLUMN loyalty.limits.subject_id IS 'The key, branch, staff or member it is for; NULL: each that has none of its own, and of the program.';

-- What a branch has used is what it handed out, less what its cashiers still
-- have of that; so it is with a program and a key, and their stripes.
CREATE VIEW loyalty.allowances AS
SELECT u.merchant_id, u.program_id, u.client_id, u.scope, CASE WHEN u.adds THEN 'add' ELSE 'spend' END AS direction,
	   CASE WHEN u.scope <> 'program' THEN u.subject_id END AS subject_id, u.day,
	   u.points_used, u.operations_used,
	   CASE WHEN l.max_points OPERATOR(loyalty.>) u.points_used THEN l.max_points OPERATOR(loyalty.-) u.points_used
			WHEN l.max_points IS NOT NULL THEN '0'::loyalty.points END AS points_left,
	   CASE WHEN l.max_operations IS NOT NULL THEN greatest(l.max_operations - u.operations_used, 0) END AS operations_left
FROM (
	SELECT p.merchant_id, p.program_id, p.client_id, a.scope, a.adds, a.subject_id, a.day,
		   a.points_given OPERATOR(loyalty.-) a.points_left OPERATOR(loyalty.-) coalesce(d.points, '0') AS points_used,
		   a.operations_given - a.operations_left - coalesce(d.operations, 0) AS operations_used
	FROM loyalty_internal.allowance a JOIN loyalty_internal.program p USING (merchant_id, program_id)
	CROSS JOIN LATERAL (
		SELECT loyalty.sum(c.points_left) AS points, sum(c.operations_left)::bigint AS operations FROM loyalty_internal.allowance c
		WHERE a.scope IN ('program', 'key', 'branch') AND c.scope = CASE a.scope WHEN 'branch' THEN 'staff' ELSE a.scope END
		  AND c.merchant_id = a.merchant_id AND c.program_id = a.program_id
		  AND c.drawn_from = a.subject_id AND c.adds = a.adds AND c.day = a.day
	) d
	WHERE a.stripe = 0 AND a.day >= (now() AT TIME ZONE p.time_zone)::date
) u
CROSS JOIN LATERAL (
	SELECT x.max_points, x.max_operations FROM loyalty_internal.posting_limit x
	WHERE x.merchant_id = u.merchant_id AND x.program_id = u.program_id AND x.scope = u.scope AND x.adds = u.adds
	  AND x.subject_id IN (0, u.subject_id)
	ORDER BY x.subject_id DESC LIMIT 1
) l;
COMMENT ON VIEW loyalty.allowances IS 'What those who have posted today have used of their limits, and have left; NULL: no limit of that sort. Who is not listed has everything left. subject_id is NULL in that of the program.';
COMMENT ON COLUMN loyalty.allowances.subject_id IS 'The key, branch, staff or member that has moved the points; NULL: the program.';
COMMENT ON COLUMN loyalty.allowances.points_left IS 'Points that may still be moved that day; NULL: as many as there are.';

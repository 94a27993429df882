-- Branches, and the staff who work there.  Hiring and archiving are documented
-- endpoints (loyalty.employee_add, loyalty.employee_disable).

CREATE TABLE loyalty_internal.branch (
	merchant_id	bigint		NOT NULL REFERENCES loyalty_internal.merchant,
	branch_id	bigint		NOT NULL DEFAULT loyalty_internal.new_id(),
	name		text		COLLATE "C" NOT NULL CHECK (name <> '' AND loyalty_internal.is_name(name)),
	created_at	timestamptz	NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, branch_id)
);
COMMENT ON TABLE loyalty_internal.branch IS 'Where staff work. A branch comes into being by loyalty.create_branch(), or with the first of its staff.';
COMMENT ON COLUMN loyalty_internal.branch.name IS 'As it was first written; loyalty.fold() says which other names are the same branch.';
CREATE UNIQUE INDEX branch_name ON loyalty_internal.branch (merchant_id, loyalty.fold(name));
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.branch TO loyalty_engine;

CREATE VIEW loyalty.branches AS
SELECT merchant_id, branch_id, name, created_at FROM loyalty_internal.branch;
COMMENT ON VIEW loyalty.branches IS 'The branches of the merchants, those too where nobody works any more. branch_id is the subject_id of a limit of scope branch.';

CREATE TABLE loyalty_internal.staff (
	merchant_id		bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	staff_id		bigint			NOT NULL CHECK (staff_id > 0),
	branch_id		bigint			NOT NULL,
	role			text			NOT NULL CHECK (role IN ('cajero', 'gerente')),
	name			text			COLLATE "C" NOT NULL CHECK (name <> '' AND loyalty_internal.is_name(name)),
	number			loyalty.phone,
	password_digest	text			COLLATE "C" CHECK (length(password_digest) = 64),
	password_cost	integer			NOT NULL,
	restricted		boolean			NOT NULL DEFAULT false,
	archived_at		timestamptz,
	created_at		timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, staff_id),
	FOREIGN KEY (merchant_id, branch_id) REFERENCES loyalty_internal.branch,
	CHECK ((password_digest IS NULL) = (archived_at IS NOT NULL)),
	CHECK (number IS NOT NULL OR archived_at IS NOT NULL)
);
COMMENT ON TABLE loyalty_internal.staff IS 'Cashiers and managers. Archived staff stay in the list and can do nothing.';
COMMENT ON COLUMN loyalty_internal.staff.staff_id IS 'The documented usertool_id: counts 1, 2, 3 … within the merchant.';
COMMENT ON COLUMN loyalty_internal.staff.number IS 'The mobile phone; NULL: who it was has been erased, by loyalty.erase_staff().';
COMMENT ON COLUMN loyalty_internal.staff.password_digest IS 'PBKDF2 with HMAC-SHA-256 under the salt of the merchant, in hexadecimal: slow, not reversible, and the same for the same password, so that an index can refuse a second one. Archiving deletes it.';
COMMENT ON COLUMN loyalty_internal.staff.password_cost IS 'How many iterations it is made of: loyalty.password_cost of then.';
COMMENT ON COLUMN loyalty_internal.staff.restricted IS 'Whether the programs that loyalty.set_staff_programs() has named are the only ones this person may operate.';
CREATE UNIQUE INDEX staff_active_name ON loyalty_internal.staff (merchant_id, loyalty.fold(name)) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX staff_active_number ON loyalty_internal.staff (merchant_id, number) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX staff_active_password ON loyalty_internal.staff (merchant_id, password_digest) WHERE archived_at IS NULL;
CREATE INDEX staff_first ON loyalty_internal.staff (merchant_id, (role <> 'gerente'), staff_id) WHERE archived_at IS NULL AND NOT restricted;	-- the first who may operate any program
CREATE INDEX staff_cost ON loyalty_internal.staff (merchant_id, password_cost) WHERE archived_at IS NULL;	-- which costs there are
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.staff TO loyalty_engine;

-- A trigger could keep it for every UPDATE, but distributed tables have none.
CREATE TABLE loyalty_internal.staff_move (
	merchant_id	bigint		NOT NULL,
	staff_id	bigint		NOT NULL,
	moved_at	timestamptz	NOT NULL,
	branch_id	bigint		NOT NULL,
	PRIMARY KEY (merchant_id, staff_id, moved_at),
	FOREIGN KEY (merchant_id, staff_id) REFERENCES loyalty_internal.staff,
	FOREIGN KEY (merchant_id, branch_id) REFERENCES loyalty_internal.branch
);
COMMENT ON TABLE loyalty_internal.staff_move IS 'Where staff worked before they went to another branch: until moved_at, from the move before on or, of the first one, ever. Who has never moved has no row. Never changed.';
COMMENT ON COLUMN loyalty_internal.staff_move.moved_at IS 'When they went, by the clock; later than the move before.';
COMMENT ON COLUMN loyalty_internal.staff_move.branch_id IS 'The branch that they left.';
GRANT SELECT, INSERT ON loyalty_internal.staff_move TO loyalty_engine;

-- Who is refused because of a password has found out that a colleague has it.
CREATE TABLE loyalty_internal.staff_refusal (
	merchant_id	bigint			PRIMARY KEY REFERENCES loyalty_internal.merchant,
	refused_at	timestamptz[]	NOT NULL
);
COMMENT ON TABLE loyalty_internal.staff_refusal IS 'When requests for new staff were refused because of a name or a password that active staff has: the newest ten of each merchant. While all ten are of the last hour, no new staff is looked at.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.staff_refusal TO loyalty_engine;

CREATE TABLE loyalty_internal.staff_program (
	merchant_id	bigint	NOT NULL,
	staff_id	bigint	NOT NULL,
	program_id	bigint	NOT NULL,
	PRIMARY KEY (merchant_id, staff_id, program_id),
	FOREIGN KEY (merchant_id, staff_id) REFERENCES loyalty_internal.staff,
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program
);
COMMENT ON TABLE loyalty_internal.staff_program IS 'The programs that restricted staff may operate.';
CREATE INDEX staff_program_program ON loyalty_internal.staff_program (merchant_id, program_id, staff_id);	-- the first who may operate it
GRANT SELECT, INSERT, DELETE ON loyalty_internal.staff_program TO loyalty_engine;

CREATE FUNCTION loyalty.set_staff_programs(
	merchant_id bigint, staff_id bigint, program_ids bigint[] DEFAULT NULL, every_program boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (set_staff_programs.program_ids IS NULL) IS DISTINCT FROM set_staff_programs.every_program THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'Either program_ids says which, or every_program is true.');
	END IF;
	UPDATE loyalty_internal.staff s SET restricted = NOT set_staff_programs.every_program
	WHERE s.merchant_id = set_staff_programs.merchant_id AND s.staff_id = set_staff_programs.staff_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no staff with this staff_id.');
	END IF;
	IF EXISTS (SELECT FROM unnest(set_staff_programs.program_ids) i (program_id) WHERE NOT EXISTS (
			   SELECT FROM loyalty_internal.program p
			   WHERE p.merchant_id = set_staff_programs.merchant_id AND p.program_id = i.program_id)) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no program with one of these program_ids.');
	END IF;
	DELETE FROM loyalty_internal.staff_program sp
	WHERE sp.merchant_id = set_staff_programs.merchant_id AND sp.staff_id = set_staff_programs.staff_id;
	INSERT INTO loyalty_internal.staff_program (merchant_id, staff_id, program_id)
	SELECT DISTINCT set_staff_programs.merchant_id, set_staff_programs.staff_id, i.program_id
	FROM unnest(set_staff_programs.program_ids) i (program_id);
END
$$;
COMMENT ON FUNCTION loyalty.set_staff_programs(bigint, bigint, bigint[], boolean) IS
'Says which programs a staff member may operate: exactly these ({} for none), or every_program of the merchant, also future ones, which is what new staff start with. Errors: LY005 invalid_argument (both, or neither), LY006 unknown_object.';

CREATE FUNCTION loyalty.create_branch(merchant_id bigint, name text, idempotency_key text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint := loyalty_internal.claim_key(merchant_id, idempotency_key, 'create_branch', ARRAY[name]);
BEGIN
	IF id IS NOT NULL THEN
		RETURN id;
	END IF;
	-- loyalty.employee_add() makes branches under this lock.
	PERFORM FROM loyalty_internal.merchant m WHERE m.merchant_id = create_branch.merchant_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'There is no merchant with this merchant_id.');
	END IF;
	IF octet_length(create_branch.name) > 1024 THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'name has at most 1,024 bytes.');
	END IF;
	INSERT INTO loyalty_internal.branch AS b (merchant_id, name)
	VALUES (create_branch.merchant_id, loyalty_internal.trimmed(create_branch.name))
	RETURNING b.branch_id INTO id;
	RETURN loyalty_internal.keep_answer(merchant_id, idempotency_key, id::text);
EXCEPTION
	WHEN check_violation OR not_null_violation THEN
		PERFORM loyalty_internal.fail('invalid_argument', 'A branch has a name, without control characters.');
	WHEN unique_violation THEN
		PERFORM loyalty_internal.fail('already_exists', 'The merchant has a branch of this name.');
END
$$;
COMMENT ON FUNCTION loyalty.create_branch(bigint, text, text) IS
'Creates a branch and returns its branch_id. Names are the same as loyalty.fold() says, without the blanks around, have at most 1,024 bytes, and no control characters. idempotency_key: the same call again returns the first answer and creates nothing. Errors: LY422 idempotency_key_reused, LY423 invalid_idempotency_key, LY005 invalid_argument, LY006 unknown_object, LY007 already_exists.';

CREATE FUNCTION loyalty.set_staff_branch(merchant_id bigint, staff_id bigint, branch_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	old_branch bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM loyalty_internal.branch b
				   WHERE b.merchant_id = set_staff_branch.merchant_id AND b.branch_id = set_staff_branch.branch_id) THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no branch with this branch_id.');
	END IF;
	-- The lock: of two who move somebody at once, one is the later.
	SELECT s.branch_id INTO old_branch FROM loyalty_internal.staff s
	WHERE s.merchant_id = set_staff_branch.merchant_id AND s.staff_id = set_staff_branch.staff_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no staff with this staff_id.');
	ELSIF old_branch = set_staff_branch.branch_id THEN
		RETURN false;
	END IF;
	UPDATE loyalty_internal.staff s SET branch_id = set_staff_branch.branch_id
	WHERE s.merchant_id = set_staff_branch.merchant_id AND s.staff_id = set_staff_branch.staff_id;
	INSERT INTO loyalty_internal.staff_move (merchant_id, staff_id, moved_at, branch_id)
	SELECT set_staff_branch.merchant_id, set_staff_branch.staff_id, greatest(clock_timestamp(), max(v.moved_at) + interval '1 microsecond'), old_branch
	FROM loyalty_internal.staff_move v WHERE v.merchant_id = set_staff_branch.merchant_id AND v.staff_id = set_staff_branch.staff_id;
	PERFORM loyalty_internal.recount_staff_days(set_staff_branch.merchant_id, set_staff_branch.staff_id, (
		SELECT max(v.moved_at) FROM loyalty_internal.staff_move v WHERE v.merchant_id = set_staff_branch.merchant_id AND v.staff_id = set_staff_branch.staff_id));
	RETURN true;
END
$$;
COMMENT ON FUNCTION loyalty.set_staff_branch(bigint, bigint, bigint) IS
'Says where a cashier or manager works, archived ones too; returns whether it was elsewhere before. What they did before stays with the branch where they were, in reports. Who has drawn from a limit of the branch before goes on doing so until the day ends. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.verify_staff_password(merchant_id bigint, staff_id bigint, password text) RETURNS boolean
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_verify_staff_password';
COMMENT ON FUNCTION loyalty.verify_staff_password(bigint, bigint, text) IS
'Whether this is the password of this active staff member; takes as long as loyalty.password_cost says, on purpose. False, not an error, for unknown or archived staff.';

CREATE VIEW loyalty.staff_members AS
SELECT s.merchant_id, s.staff_id, s.name, s.number, s.branch_id, b.name AS branch, s.role, s.restricted, s.created_at, s.archived_at
FROM loyalty_internal.staff s JOIN loyalty_internal.branch b USING (merchant_id, branch_id);
COMMENT ON VIEW loyalty.staff_members IS 'Cashiers and managers with their branch, archived ones too, without their passwords.';

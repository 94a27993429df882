-- Branches, and the staff who work there.  Hiring and archiving are documented
-- endpoints (loyalty.employee_add, loyalty.employee_disable).

CREATE TABLE loyalty_internal.branch (
	merchant_id	bigint		NOT NULL REFERENCES loyalty_internal.merchant,
	branch_id	bigint		NOT NULL DEFAULT loyalty_internal.new_id(),
	name		text		COLLATE "C" NOT NULL CHECK (name <> ''),
	created_at	timestamptz	NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, branch_id)
);
COMMENT ON TABLE loyalty_internal.branch IS 'Where staff work. A branch comes into being with the first of its staff.';
COMMENT ON COLUMN loyalty_internal.branch.name IS 'As it was first written; loyalty.fold() says which other names are the same branch.';
CREATE UNIQUE INDEX branch_name ON loyalty_internal.branch (merchant_id, loyalty.fold(name));
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.branch TO loyalty_engine;

CREATE TABLE loyalty_internal.staff (
	merchant_id		bigint			NOT NULL REFERENCES loyalty_internal.merchant,
	staff_id		bigint			NOT NULL CHECK (staff_id > 0),
	branch_id		bigint			NOT NULL,
	role			text			NOT NULL CHECK (role IN ('cajero', 'gerente')),
	name			text			COLLATE "C" NOT NULL CHECK (name <> ''),
	number			loyalty.phone	NOT NULL,
	password_secret	text			NOT NULL CHECK (password_secret LIKE 'SCRAM-SHA-256$%'),
	restricted		boolean			NOT NULL DEFAULT false,
	archived_at		timestamptz,
	created_at		timestamptz		NOT NULL DEFAULT now(),
	PRIMARY KEY (merchant_id, staff_id),
	FOREIGN KEY (merchant_id, branch_id) REFERENCES loyalty_internal.branch
);
COMMENT ON TABLE loyalty_internal.staff IS 'Cashiers and managers. Archived staff stay in the list and can do nothing.';
COMMENT ON COLUMN loyalty_internal.staff.staff_id IS 'The documented usertool_id: counts 1, 2, 3 … within the merchant.';
COMMENT ON COLUMN loyalty_internal.staff.password_secret IS 'SCRAM-SHA-256 secret: salted, slow, not reversible.';
COMMENT ON COLUMN loyalty_internal.staff.restricted IS 'Whether the wallets of loyalty_internal.staff_program are the only ones this person may operate.';
CREATE UNIQUE INDEX staff_active_name ON loyalty_internal.staff (merchant_id, loyalty.fold(name)) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX staff_active_number ON loyalty_internal.staff (merchant_id, number) WHERE archived_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.staff TO loyalty_engine;

CREATE TABLE loyalty_internal.staff_program (
	merchant_id	bigint	NOT NULL,
	staff_id	bigint	NOT NULL,
	program_id	bigint	NOT NULL,
	PRIMARY KEY (merchant_id, staff_id, program_id),
	FOREIGN KEY (merchant_id, staff_id) REFERENCES loyalty_internal.staff,
	FOREIGN KEY (merchant_id, program_id) REFERENCES loyalty_internal.program
);
COMMENT ON TABLE loyalty_internal.staff_program IS 'The wallets that restricted staff may operate.';
GRANT SELECT, INSERT, DELETE ON loyalty_internal.staff_program TO loyalty_engine;

CREATE FUNCTION loyalty.set_staff_wallets(merchant_id bigint, staff_id bigint, wallet_keys text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	wallet text;
BEGIN
	UPDATE loyalty_internal.staff s SET restricted = set_staff_wallets.wallet_keys IS NOT NULL
	WHERE s.merchant_id = set_staff_wallets.merchant_id AND s.staff_id = set_staff_wallets.staff_id;
	IF NOT FOUND THEN
		PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no staff with this staff_id.');
	END IF;

	DELETE FROM loyalty_internal.staff_program sp
	WHERE sp.merchant_id = set_staff_wallets.merchant_id AND sp.staff_id = set_staff_wallets.staff_id;

	FOREACH wallet IN ARRAY coalesce(set_staff_wallets.wallet_keys, '{}') LOOP
		INSERT INTO loyalty_internal.staff_program (merchant_id, staff_id, program_id)
		SELECT p.merchant_id, set_staff_wallets.staff_id, p.program_id
		FROM loyalty_internal.program p
		WHERE p.merchant_id = set_staff_wallets.merchant_id AND p.wallet_key = wallet COLLATE "C"
		ON CONFLICT DO NOTHING;
		IF NOT EXISTS (SELECT FROM loyalty_internal.program p
					   WHERE p.merchant_id = set_staff_wallets.merchant_id AND p.wallet_key = wallet COLLATE "C") THEN
			PERFORM loyalty_internal.fail('unknown_object', 'The merchant has no wallet with this wallet_key.');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION loyalty.set_staff_wallets(bigint, bigint, text[]) IS
'Says which wallets a staff member may operate: exactly these wallet keys ({} for none), or NULL for every wallet of the merchant, also future ones, which is what new staff start with. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.set_staff_branch(merchant_id bigint, staff_id bigint, branch text) RETURNS void
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_set_staff_branch';
COMMENT ON FUNCTION loyalty.set_staff_branch(bigint, bigint, text) IS
'Says where a cashier or manager works, archived ones too; a branch that is new comes into being. Who has drawn from a limit of the branch before goes on doing so until the day ends. Errors: LY005 invalid_argument, LY006 unknown_object.';

CREATE FUNCTION loyalty.verify_staff_password(merchant_id bigint, staff_id bigint, password text) RETURNS boolean
LANGUAGE C STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_verify_staff_password';
COMMENT ON FUNCTION loyalty.verify_staff_password(bigint, bigint, text) IS
'Whether this is the password of this active staff member; takes some milliseconds on purpose. False, not an error, for unknown or archived staff.';

CREATE VIEW loyalty.staff_members AS
SELECT s.merchant_id, s.staff_id, s.name, s.number, b.name AS branch, s.role, s.restricted, s.created_at, s.archived_at
FROM loyalty_internal.staff s JOIN loyalty_internal.branch b USING (merchant_id, branch_id);
COMMENT ON VIEW loyalty.staff_members IS 'Cashiers and managers with their branch, archived ones too, without their passwords.';

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
	PRIMARY KEY (merchant_id, account_id)
) WITH (fillfactor = 60);	-- room to update rows in their page, without touching the index
COMMENT ON TABLE loyalty.account IS 'What a member has: the newest entry''s balance, number and time. The hot row of the engine.';
COMMENT ON COLUMN loyalty.account.version IS 'Number of the newest entry; entries of an account count 1, 2, 3 …';
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
	PRIMARY KEY (merchant_id, account_id, version)
);
COMMENT ON TABLE loyalty.entry IS 'The append-only ledger: one row for each change of a balance.';
COMMENT ON COLUMN loyalty.entry.amount IS 'Change of the balance: positive adds, negative takes away.';
COMMENT ON COLUMN loyalty.entry.balance IS 'Balance of the account after this entry.';
COMMENT ON COLUMN loyalty.entry.money IS 'Amount of the sale the entry belongs to, in the merchant''s currency.';
COMMENT ON COLUMN loyalty.entry.kind IS 'Kind of entry; loyalty.entry_kind() gives its name.';
COMMENT ON COLUMN loyalty.entry.reference IS 'The ticket, or what else the merchant knows the operation by.';
REVOKE ALL ON loyalty.entry FROM PUBLIC;
GRANT SELECT, INSERT ON loyalty.entry TO loyalty_engine;
SELECT pg_catalog.pg_extension_config_dump('loyalty.entry', '');

CREATE FUNCTION loyalty.entry_kind(kind smallint) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_entry_kind';
COMMENT ON FUNCTION loyalty.entry_kind(smallint) IS
'Name of a kind of entry: accrue (earned by a sale), deposit (given), redeem (spent), adjust (corrected, either way). NULL for an unknown number.';
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
	INSERT INTO loyalty.account AS a (merchant_id, account_id, program_id)
	VALUES (open_account.merchant_id, loyalty.new_id(), open_account.program_id)
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
SELECT merchant_id, account_id, version, loyalty.entry_kind(kind) AS kind, amount, balance, money, reference, staff_id, posted_at
FROM loyalty.entry;
ALTER VIEW loyalty.entries OWNER TO loyalty_engine;
COMMENT ON VIEW loyalty.entries IS 'The ledger with the kinds by name.';

-- Proof for others: roots that a merchant publishes, and receipts by which
-- anybody can check, without the database, what an account had.
--
-- A root is the hash at the top of a tree over the newest entries of all
-- accounts.  Whoever has kept one notices when anything that was in it is
-- changed or taken back, even if whole accounts were put back together with
-- their hashes.  The tree is kept in pages of 256 nodes: a receipt reads one
-- page of each level, three of a million accounts.

CREATE TABLE loyalty_internal.root (
	merchant_id	bigint		NOT NULL REFERENCES loyalty_internal.merchant,
	root_id		bigint		NOT NULL,
	made_at		timestamptz	NOT NULL,
	accounts	bigint		NOT NULL CHECK (accounts >= 0),
	root		bytea		NOT NULL CHECK (length(root) = 32),
	PRIMARY KEY (merchant_id, root_id)
);
COMMENT ON TABLE loyalty_internal.root IS 'The roots that were made. They are kept for ever; publish them, so that others keep them too.';
COMMENT ON COLUMN loyalty_internal.root.root_id IS 'Later ones have higher numbers.';
COMMENT ON COLUMN loyalty_internal.root.made_at IS 'When it was made, never before the root before it.';
COMMENT ON COLUMN loyalty_internal.root.accounts IS 'How many accounts are in it: those that had an entry.';
COMMENT ON COLUMN loyalty_internal.root.root IS 'SHA-256 over the byte 2, the merchant, the root_id, the time, the number of accounts and the top of the tree.';
GRANT SELECT, INSERT ON loyalty_internal.root TO loyalty_engine;

CREATE TABLE loyalty_internal.root_page (
	merchant_id		bigint		NOT NULL,
	root_id			bigint		NOT NULL,
	level			smallint	NOT NULL,
	first_account	bigint		NOT NULL,
	page			bigint		NOT NULL,
	account_ids		bigint[],
	entry_ids		bigint[],
	nodes			bytea		NOT NULL,
	PRIMARY KEY (merchant_id, root_id, level, first_account)
);
ALTER TABLE loyalty_internal.root_page ALTER nodes SET STORAGE EXTERNAL;	-- hashes do not compress
COMMENT ON TABLE loyalty_internal.root_page IS 'The trees below the roots, in pages of up to 256 nodes. They are needed for receipts only; loyalty.forget_roots() deletes those of old roots.';
COMMENT ON COLUMN loyalty_internal.root_page.level IS '0: leaves, one for each account; a node of level n + 1 is what a page of level n comes to.';
COMMENT ON COLUMN loyalty_internal.root_page.first_account IS 'The lowest account_id below the page.';
COMMENT ON COLUMN loyalty_internal.root_page.page IS 'Pages of a level count 0, 1, 2 …';
COMMENT ON COLUMN loyalty_internal.root_page.account_ids IS 'The accounts, ascending; of level 0 only.';
COMMENT ON COLUMN loyalty_internal.root_page.entry_ids IS 'Their newest entries then; of level 0 only.';
COMMENT ON COLUMN loyalty_internal.root_page.nodes IS 'The hashes, 32 bytes each.';
GRANT SELECT, INSERT, DELETE ON loyalty_internal.root_page TO loyalty_engine;

CREATE VIEW loyalty.roots AS
SELECT r.merchant_id, r.root_id, r.made_at, r.accounts, r.root,
	   r.accounts = 0 OR EXISTS (SELECT FROM loyalty_internal.root_page p WHERE p.merchant_id = r.merchant_id AND p.root_id = r.root_id) AS receipts
FROM loyalty_internal.root r;
COMMENT ON VIEW loyalty.roots IS 'The roots that were made, and whether loyalty.receipt() still knows what is below them.';

CREATE FUNCTION loyalty.make_root(merchant_id bigint, OUT root_id bigint, OUT root bytea) RETURNS record
LANGUAGE C VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off
AS 'MODULE_PATHNAME', 'loyalty_make_root';
COMMENT ON FUNCTION loyalty.make_root(bigint) IS
'Makes a root over the newest entries of all accounts of a merchant, as they are at this moment, and returns its number and its 32 bytes. Publish them where they cannot be taken back. Errors: LY006 unknown_object.';

CREATE FUNCTION loyalty.forget_roots(merchant_id bigint, older_than interval DEFAULT '90 days', max_rows integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moment CONSTANT timestamptz := loyalty_internal.forgotten_before(forget_roots.older_than, forget_roots.max_rows);
	n bigint;
BEGIN
	-- All of a root goes at once: with some of its pages it would look complete.
	WITH page AS (
		SELECT p.root_id, p.level, p.first_account,
			   count(*) OVER (ORDER BY p.root_id RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS so_far,
			   dense_rank() OVER (ORDER BY p.root_id) AS nth
		FROM (SELECT p.root_id, p.level, p.first_account FROM loyalty_internal.root r
			  JOIN loyalty_internal.root_page p ON p.merchant_id = r.merchant_id AND p.root_id = r.root_id
			  WHERE r.merchant_id = forget_roots.merchant_id AND p.merchant_id = forget_roots.merchant_id AND r.made_at < moment
			  ORDER BY p.root_id LIMIT forget_roots.max_rows + 1) p
	), forgotten AS (
		DELETE FROM loyalty_internal.root_page p USING (
			SELECT DISTINCT o.root_id FROM page o WHERE o.so_far <= forget_roots.max_rows OR o.nth = 1) old
		WHERE p.merchant_id = forget_roots.merchant_id AND p.root_id = old.root_id
		RETURNING p.root_id)
	SELECT count(DISTINCT f.root_id) INTO n FROM forgotten f;
	RETURN n;
END
$$;
COMMENT ON FUNCTION loyalty.forget_roots(bigint, interval, integer) IS
'Deletes what receipts need of a merchant''s roots that were made longer ago than this, about 60 bytes for each account, and returns of how many roots. max_rows (1 to 1,000,000): how many pages of 256 accounts at most, but those of the oldest root always; until it returns 0 there may be more. The roots themselves stay, and receipts that were given can still be checked. Errors: LY005 invalid_argument.';

CREATE FUNCTION loyalty.receipt(merchant_id bigint, account_id bigint, root_id bigint DEFAULT NULL, entry_id bigint DEFAULT NULL) RETURNS json
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_receipt';
COMMENT ON FUNCTION loyalty.receipt(bigint, bigint, bigint, bigint) IS
'What an account had when a root was made, the newest unless told, with the hashes that lead from there to the root: whoever has the root can check it with loyalty.check_receipt(). entry_id: adds this entry and those between it and the newest one in the root, at most 1,000, with all they say. Errors: LY005 invalid_argument, LY006 unknown_object (no such root, or its receipts were forgotten), LY002 unknown_account (it had no entry then), LY010 unknown_entry (the account had none of this entry_id then, or has none any more).';

CREATE FUNCTION loyalty.check_receipt(receipt json, root bytea) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_check_receipt';
COMMENT ON FUNCTION loyalty.check_receipt(json, bytea) IS
$$Whether everything that a receipt says is in the root. Needs no tables: it works on any server, and whoever wants to can compute the same with any SHA-256.
Integers are 8 bytes, high byte first; amounts count ten-thousandths, times microseconds since 2000-01-01 UTC. The hash at the start of the path is that of the byte 0, merchant_id, account_id, entry_id, balance, posted_at and hash. Each step is that of the byte 1 and two hashes, one of them the hash so far, the other on the side that the step names. At the end comes that of the byte 2, merchant_id, root_id, made_at, accounts and the hash so far: it is the root.
An entry's hash is that of a byte 1 (the number of this format), the hash of the entry before (previous; 32 bytes 0 for the first), its entry_no, balance and posted_at, and its content: merchant_id, account_id, entry_id, amount, 2 bytes of kind (accrue 1, deposit 2, redeem 3, adjust 4, expire 5, hold 6, capture 7, release 8, mature 9, reverse 10, transfer 11), 2 bytes whose bits say what follows, from the lowest on: staff_id, money, reserved, origin_entry_id, peer_account_id, member_id, rules, happened_at, actor_id, request_id, all integers, lots, in the binary form of loyalty.lots, after the 4 bytes of its length, and the text_digest. That is the hash of the salt and of the text: a byte whose bits say what follows, reference (1) and detail (2), each after the 4 bytes of its length.$$;

CREATE FUNCTION loyalty.verify_root(merchant_id bigint, root_id bigint DEFAULT NULL, root bytea DEFAULT NULL)
RETURNS SETOF loyalty.breach
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off
AS 'MODULE_PATHNAME', 'loyalty_verify_root';
COMMENT ON FUNCTION loyalty.verify_root(bigint, bigint, bytea) IS
'Checks that all a root has of a merchant''s accounts is still in the ledger, and returns a row for each breach, as loyalty.verify() does. root_id: the newest unless told. root: its bytes as they were published; without them, a root that was changed together with all below it is not noticed. Errors: LY005 invalid_argument, LY006 unknown_object (no such root, or what is below it was forgotten).';

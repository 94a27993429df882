-- Entries: the ledger, which is only ever added to, and what was reversed of it.

-- The key grows with time, so entries are added where the last ones were, in the
-- table and in its index, however many accounts and entries there are.  What an
-- account had comes by way of the entry before each; only every sixteenth is in
-- an index by account, for whoever asks for a moment long ago.
CREATE TABLE loyalty.entry (
	merchant_id			bigint			NOT NULL,
	entry_id			bigint			NOT NULL,
	account_id			bigint			NOT NULL,
	entry_no			bigint			NOT NULL,
	previous_entry_id	bigint,
	amount				loyalty.points	NOT NULL,
	balance				loyalty.points	NOT NULL,
	posted_at			timestamptz		NOT NULL,
	staff_id			bigint,
	money				loyalty.points,
	reserved			loyalty.points,
	origin_entry_id		bigint,
	peer_account_id		bigint,
	member_id			bigint,
	happened_at			timestamptz,
	actor_id			bigint,
	request_id			bigint,
	rules				integer,
	kind				smallint		NOT NULL,
	reference			text			COLLATE "C",
	detail				json,
	text_digest			bytea,
	lots				loyalty.lots,
	hash				bytea			NOT NULL,
	PRIMARY KEY (merchant_id, entry_id)
);
ALTER TABLE loyalty.entry ALTER hash SET STORAGE MAIN, ALTER text_digest SET STORAGE MAIN;
CREATE INDEX entry_sixteenth ON loyalty.entry (merchant_id, account_id, posted_at, entry_no) WHERE entry_no % 16 = 0;
COMMENT ON TABLE loyalty.entry IS 'The append-only ledger: one row for each change of a balance, or of what is reserved.';
COMMENT ON COLUMN loyalty.entry.merchant_id IS 'The merchant.';
COMMENT ON COLUMN loyalty.entry.account_id IS 'The account.';
COMMENT ON COLUMN loyalty.entry.entry_id IS 'Its number within the merchant. It grows with time, but not in step with posted_at: the order of an account''s entries is that of entry_no.';
COMMENT ON COLUMN loyalty.entry.entry_no IS 'Its place in the account: 1, 2, 3 … without gaps.';
COMMENT ON COLUMN loyalty.entry.previous_entry_id IS 'The entry of the account before this one; NULL: it is the first.';
COMMENT ON COLUMN loyalty.entry.amount IS 'Change of the balance: positive adds, negative takes away.';
COMMENT ON COLUMN loyalty.entry.balance IS 'Balance of the account after this entry.';
COMMENT ON COLUMN loyalty.entry.money IS 'Money that was told with it, without a sign: of an accrual that of the sale; of a redemption what the points paid, or by the wallet API the whole ticket; of a reversal the part of the sale that was refunded, NULL if that was told in points or in full. So its sum over all kinds is not what was sold.';
COMMENT ON COLUMN loyalty.entry.reserved IS 'Change of what is held, or pending; NULL: none.';
COMMENT ON COLUMN loyalty.entry.origin_entry_id IS 'The entry of the account that this one goes on with: the hold that is captured or released, what becomes available, what is reversed. Both sides of a transfer that goes back name the entry of its sender.';
COMMENT ON COLUMN loyalty.entry.peer_account_id IS 'The other account of a transfer.';
COMMENT ON COLUMN loyalty.entry.staff_id IS 'The member of staff who did it. The functions of the engine keep what they are given, and do not look it up. NULL: none was named.';
COMMENT ON COLUMN loyalty.entry.member_id IS 'Who acted, where several members share the account; kept as staff_id is. NULL: none was named.';
COMMENT ON COLUMN loyalty.entry.rules IS 'The version of the earning rules under which the points were earned.';
COMMENT ON COLUMN loyalty.entry.kind IS 'Kind of entry; loyalty.entry_kind() gives its name.';
COMMENT ON COLUMN loyalty.entry.reference IS 'The ticket, or what else the merchant knows the operation by.';
COMMENT ON COLUMN loyalty.entry.detail IS 'What else was sent with the operation: comments, concept, branch, vendor, currency, items.';
COMMENT ON COLUMN loyalty.entry.posted_at IS 'When it counts, never before the entry before it. Of what fell due by itself, a hold that timed out (release) and points that became available (mature), that is when it did, though it may be booked later: entries of a time that is over can still be added. Of an expire it is not before the points expired: its lots say when each did.';
COMMENT ON COLUMN loyalty.entry.happened_at IS 'For when what it is about happened, where that is not posted_at. This version writes none: always NULL.';
COMMENT ON COLUMN loyalty.entry.actor_id IS 'Who posted it. Positive: the key_id of the API key that it came with, whose limits counted it. Negative: the number of the role that was logged in and posted it in SQL, whose name loyalty.sql_roles has. NULL: nobody, it fell due by itself.';
COMMENT ON COLUMN loyalty.entry.request_id IS 'The number of the request by which it was posted, as loyalty.request_number() makes it of the X-Request-Id. NULL: none, it was posted in SQL or fell due by itself.';
COMMENT ON COLUMN loyalty.entry.text_digest IS 'What the hash covers of the reference and the detail, if these were erased; else NULL, and they say it.';
COMMENT ON COLUMN loyalty.entry.lots IS 'Those of the points moved that expire, by the moment at which they do. Where they pay a debt of the account, the first of them do.';
COMMENT ON COLUMN loyalty.entry.hash IS 'SHA-256 over the hash of the entry before and everything in this one, of its text a salted digest: the chain by which a change is noticed.';
GRANT SELECT, INSERT ON loyalty.entry TO loyalty_engine;
GRANT SELECT (merchant_id, entry_id, account_id, entry_no, kind, origin_entry_id, peer_account_id, member_id, reference, detail),
	UPDATE (reference, detail, text_digest) ON loyalty.entry TO loyalty_eraser;

CREATE FUNCTION loyalty_internal.role_line(role text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN loyalty_internal.is_line(role) THEN role ELSE regexp_replace(role, '[^ -~]', '?', 'g') END;
COMMENT ON FUNCTION loyalty_internal.role_line(text) IS 'The name of a role of SQL as it is kept: on one line, wherever it is listed.';

CREATE TABLE loyalty_internal.sql_role (
	merchant_id	bigint	NOT NULL,
	actor_id	bigint	NOT NULL CHECK (actor_id < 0),
	name		text	COLLATE "C" CHECK (loyalty_internal.is_line(name)),
	PRIMARY KEY (merchant_id, actor_id),
	UNIQUE (merchant_id, name)
);
COMMENT ON TABLE loyalty_internal.sql_role IS 'The names of roles that have posted in SQL, whether there still are such roles or not.';
COMMENT ON COLUMN loyalty_internal.sql_role.actor_id IS 'The number that entries have for the role, given to it when it first posted for the merchant.';
COMMENT ON COLUMN loyalty_internal.sql_role.name IS 'NULL: it was erased.';
GRANT SELECT, INSERT, UPDATE ON loyalty_internal.sql_role TO loyalty_engine;

CREATE VIEW loyalty.sql_roles AS SELECT merchant_id, actor_id, coalesce(name, 'cancelado ' || -actor_id) AS name FROM loyalty_internal.sql_role;
COMMENT ON VIEW loyalty.sql_roles IS 'The roles that have posted in SQL, by the negative actor_id that their entries have: those that were logged in, whatever SET ROLE said. A role is known by its name: one that was renamed is another, one that was dropped stays.';
COMMENT ON COLUMN loyalty.sql_roles.name IS 'The name of the role; cancelado and the number: it was erased.';

CREATE FUNCTION loyalty.request_number(x_request_id text) RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_request_number';
COMMENT ON FUNCTION loyalty.request_number(text) IS
'The request_id that entries have of a request, by its X-Request-Id. Of an id that begins with 16 hexadecimal digits, hyphens apart, as those of the web server and UUIDs do, it is these as a number of 64 bits, which to_hex() shows; of another its hash, FNV-1a of 64 bits. NULL: what is no id.';

CREATE TABLE loyalty_internal.entry_remainder (
	merchant_id	bigint	NOT NULL,
	entry_id	bigint	NOT NULL,
	detail		json	NOT NULL,
	PRIMARY KEY (merchant_id, entry_id)
);
COMMENT ON TABLE loyalty_internal.entry_remainder IS 'What names nobody of the details of entries that were erased, so that sums by branch stay what they were. No hash covers it.';
GRANT SELECT ON loyalty_internal.entry_remainder TO loyalty_engine;
GRANT SELECT, INSERT ON loyalty_internal.entry_remainder TO loyalty_eraser;

CREATE TABLE loyalty_internal.entry_salt (
	merchant_id	bigint	NOT NULL,
	entry_id	bigint	NOT NULL,
	salt		bytea	NOT NULL,
	PRIMARY KEY (merchant_id, entry_id)
);
COMMENT ON TABLE loyalty_internal.entry_salt IS 'The salts of texts that are kept although the key that they were made of was replaced, for the sake of others that were erased.';
GRANT SELECT ON loyalty_internal.entry_salt TO loyalty_engine;
GRANT SELECT, INSERT, DELETE ON loyalty_internal.entry_salt TO loyalty_eraser;

CREATE TABLE loyalty_internal.reversal (
	merchant_id	bigint			NOT NULL,
	entry_id	bigint			NOT NULL,
	account_id	bigint			NOT NULL,
	reference_digest bytea		NOT NULL,
	reversed_by	bigint			NOT NULL,
	amount		loyalty.points	NOT NULL,
	money		loyalty.points,
	balance		loyalty.points	NOT NULL,
	lots		loyalty.lots,
	expired		loyalty.points,
	peer_entry_id	bigint,
	peer_balance	loyalty.points,
	PRIMARY KEY (merchant_id, entry_id, reference_digest)
);
COMMENT ON TABLE loyalty_internal.reversal IS 'What was reversed of which entry, once for each reference.';
COMMENT ON COLUMN loyalty_internal.reversal.entry_id IS 'The entry that was reversed.';
COMMENT ON COLUMN loyalty_internal.reversal.reference_digest IS 'What the merchant knows the refund by, as loyalty_internal.merchant_digest(): the entry has the text, unless it was erased.';
COMMENT ON COLUMN loyalty_internal.reversal.reversed_by IS 'The entry that reversed it.';
COMMENT ON COLUMN loyalty_internal.reversal.amount IS 'How many points of the entry were reversed; the parts never come to more than the entry.';
COMMENT ON COLUMN loyalty_internal.reversal.money IS 'How much of its money, if that was said.';
COMMENT ON COLUMN loyalty_internal.reversal.balance IS 'The balance after it, which is the answer to a repetition.';
COMMENT ON COLUMN loyalty_internal.reversal.lots IS 'Those of the entry''s lots that were reversed; the rest of the points never expires.';
COMMENT ON COLUMN loyalty_internal.reversal.expired IS 'How many of the points had expired already, so that nothing was taken for them; NULL: none.';
COMMENT ON COLUMN loyalty_internal.reversal.peer_entry_id IS 'Of a transfer, the entry that took the points back from the other account; peer_balance: the balance after it.';
GRANT SELECT, INSERT ON loyalty_internal.reversal TO loyalty_engine;

CREATE FUNCTION loyalty.entry_kind(kind smallint) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_entry_kind';
COMMENT ON FUNCTION loyalty.entry_kind(smallint) IS
'Name of a kind of entry: accrue (earned by a sale), deposit (given), redeem (spent), adjust (corrected, either way), expire (past its date), hold (reserved, to be spent), capture (spent of a hold), release (given back of a hold), mature (was pending, is available), reverse (taken back, in whole or in part), transfer (from one account to another). NULL for an unknown number.';

CREATE TYPE loyalty.posting AS (
	entry_id		bigint,
	points			loyalty.points,
	balance			loyalty.points,
	peer_entry_id	bigint,
	peer_balance	loyalty.points
);
COMMENT ON TYPE loyalty.posting IS
'What an operation of the engine answers. entry_id: the entry that it added to the account; of a sale, the accrual. points: how many points it moved, as a positive number; of an adjust, with its sign; of a sale, what it earned, pending or not; of a reverse, how many points of the entry were reversed, even if fewer could be taken back; with in_full, what all came to. balance: what can be spent of the account after it. peer_entry_id, peer_balance: those of the other account, of a transfer or one that is reversed; else NULL.';

CREATE VIEW loyalty.entries AS
SELECT merchant_id, account_id, entry_id, entry_no, loyalty.entry_kind(kind) AS kind, amount, balance, money, reference, staff_id,
	   CASE WHEN text_digest IS NULL THEN detail ELSE (
			SELECT r.detail FROM loyalty_internal.entry_remainder r
			WHERE r.merchant_id = entry.merchant_id AND r.entry_id = entry.entry_id) END AS detail,
	   posted_at, happened_at, reserved, origin_entry_id, peer_account_id, member_id, rules, lots, actor_id, request_id, previous_entry_id, text_digest, hash
FROM loyalty.entry;
COMMENT ON COLUMN loyalty.entries.merchant_id IS 'The merchant.';
COMMENT ON COLUMN loyalty.entries.entry_id IS 'Its number within the merchant. It grows with time, but not in step with posted_at: the order of an account''s entries is that of entry_no.';
COMMENT ON COLUMN loyalty.entries.detail IS 'What else was sent with the operation: comments, concept, branch, vendor, currency, items. Of an entry whose text was erased, what of that names nobody: branchId, the currency, and of items sku, category, quantity and unitPrice; the hash covers text_digest, and not this.';
COMMENT ON COLUMN loyalty.entries.kind IS 'Kind of entry, as loyalty.entry_kind() names it.';
COMMENT ON VIEW loyalty.entries IS 'The ledger with the kinds by name; its columns have those of loyalty.entry. It is found by entry_id, and read in the order of time; the entries of one account are found by loyalty.statement().';

CREATE FUNCTION loyalty_internal.chain_next(
	previous bytea, entry_no bigint, balance loyalty.points, posted_at timestamptz, amount loyalty.points, now timestamptz, content bytea,
	text_key uuid, text bytea, entry_id bigint) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'loyalty_chain_next';
COMMENT ON FUNCTION loyalty_internal.chain_next(bytea, bigint, loyalty.points, timestamptz, loyalty.points, timestamptz, bytea, uuid, bytea, bigint) IS
'The hash of the entry that follows: SHA-256 of the hash of the entry before, the next entry_no, the balance with the amount, which must be in range, the later of the two times, the content, which is everything else of the entry, and the digest of its text, if it has any. Empty: of the account somebody was erased.';

CREATE VIEW loyalty_internal.entry_earned AS
SELECT e.merchant_id, e.account_id, e.entry_id, e.entry_no, e.previous_entry_id,
	   CASE WHEN e.kind IN (1, 2, 9) THEN e.amount
			WHEN e.kind = 10 AND e.amount OPERATOR(loyalty.<=) '0'::loyalty.points AND e.reserved IS NULL THEN (
				SELECT OPERATOR(loyalty.-) r.amount FROM loyalty_internal.reversal r
				WHERE r.merchant_id = e.merchant_id AND r.entry_id = e.origin_entry_id AND r.reversed_by = e.entry_id) END AS points,
	   e.kind = 1 AND CASE WHEN coalesce(e.reserved, e.amount) OPERATOR(loyalty.>) '0'::loyalty.points
			THEN coalesce(e.reserved, e.amount) OPERATOR(loyalty.>) coalesce((
				SELECT loyalty.sum(r.amount) FROM loyalty_internal.reversal r WHERE r.merchant_id = e.merchant_id AND r.entry_id = e.entry_id), '0')
			ELSE NOT EXISTS (
				SELECT FROM loyalty_internal.reversal r WHERE r.merchant_id = e.merchant_id AND r.entry_id = e.entry_id
				HAVING bool_or(r.money IS NULL) OR loyalty.sum(r.money) OPERATOR(loyalty.=) e.money) END AS is_purchase
FROM loyalty.entry e;
COMMENT ON VIEW loyalty_internal.entry_earned IS 'What entries add to account.earned: what was accrued, deposited or has become available (kinds 1, 2, 9), less what was reversed (10) of points that were available. NULL: nothing. is_purchase: a sale of which something is left; of one that earned nothing, money.';

CREATE FUNCTION loyalty_internal.earned_by_entries(merchant_id bigint, account_id bigint, OUT earned loyalty.points, OUT purchases bigint) RETURNS record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE history AS (
		SELECT a.newest_entry_id AS entry_id, a.entry_no + 1 AS before_no, NULL::loyalty.points AS points, false AS is_purchase FROM loyalty_internal.account a
		WHERE a.merchant_id = earned_by_entries.merchant_id AND a.account_id = earned_by_entries.account_id
		UNION ALL
		SELECT b.previous_entry_id, b.entry_no, b.points, b.is_purchase FROM history h, LATERAL (
			SELECT e.previous_entry_id, e.entry_no, e.points, e.is_purchase FROM loyalty_internal.entry_earned e
			WHERE e.merchant_id = earned_by_entries.merchant_id AND e.entry_id = h.entry_id AND e.entry_no < h.before_no OFFSET 0) b)
	SELECT coalesce(loyalty.sum(h.points), '0'), count(*) FILTER (WHERE h.is_purchase) FROM history h
$$;
COMMENT ON FUNCTION loyalty_internal.earned_by_entries(bigint, bigint) IS
'What an account has earned and bought, by its entries: what account.earned and account.purchases start with when the account begins to track lots.';

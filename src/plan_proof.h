/*
 * plan_proof.h
 *		The statements of the proof.
 *
 * Included once, by plan_statements.c, as a part of its table.
 */

/* All of an entry, as stream_entry() reads it. */
#define LEDGER_COLUMNS \
	"account_id, entry_no, amount, balance, posted_at, staff_id, money, kind::bigint, reference, detail, hash," \
	" aside, origin, peer_id, member_id, rules::bigint, lots, entry_id, previous_id, happened_at, actor_id::bigint," \
	" request_id, text_digest"

	/* everything of a merchant, account by account */
	[PLAN_VERIFY_MERCHANT] = {
		"SELECT least((SELECT min(merchant_id) FROM loyalty.account WHERE merchant_id >= $1),"
		" (SELECT min(merchant_id) FROM loyalty.entry WHERE merchant_id >= $1),"
		" (SELECT min(merchant_id) FROM loyalty.aside WHERE merchant_id >= $1),"
		" (SELECT min(merchant_id) FROM loyalty.reversal WHERE merchant_id >= $1),"
		" (SELECT min(merchant_id) FROM loyalty.lapse WHERE merchant_id >= $1))",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_VERIFY_ACCOUNTS] = {
		"SELECT " ACCOUNT_COLUMNS " FROM loyalty.account WHERE merchant_id = $1 ORDER BY account_id",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_VERIFY_ENTRIES] = {
		"SELECT " LEDGER_COLUMNS " FROM loyalty.entry WHERE merchant_id = $1 ORDER BY account_id, entry_no, entry_id",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_VERIFY_ASIDES] = {
		"SELECT account_id, entry_id, entry_no, kind::bigint, amount, remaining, due_at, lots FROM loyalty.aside"
		" WHERE merchant_id = $1 ORDER BY account_id, entry_no, entry_id",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_VERIFY_REVERSALS] = {
		"SELECT r.account_id, r.entry_id, r.reversed_by, r.amount, r.money, r.balance,"
		" o.kind::bigint, o.amount, o.aside, o.money, o.origin, o.peer_id,"
		" e.kind::bigint, e.amount, e.aside, e.money, e.balance, e.origin, e.peer_id, e.reference = r.reference OR e.text_digest IS NOT NULL, n.balance,"
		" o.lots, r.lots, r.expired, o.entry_no < e.entry_no"
		" FROM loyalty.reversal r"
		" LEFT JOIN loyalty.entry o ON o.merchant_id = $1 AND o.entry_id = r.entry_id AND o.account_id = r.account_id"
		" LEFT JOIN loyalty.entry e ON e.merchant_id = $1 AND e.entry_id = r.reversed_by AND e.account_id = r.account_id"
		" LEFT JOIN loyalty.entry n ON n.merchant_id = $1 AND n.previous_id = r.reversed_by AND n.account_id = r.account_id AND n.kind = 5"
		" WHERE r.merchant_id = $1 ORDER BY r.account_id, r.entry_id, r.reference",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_VERIFY_UNNOTED] = {
		"SELECT (SELECT e.entry_id FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.account_id = $2"
		" AND (e.kind = 10 OR e.kind = 11 AND e.origin IS NOT NULL AND e.amount OPERATOR(loyalty.>) '0')"
		" AND NOT EXISTS (SELECT FROM loyalty.reversal r WHERE r.merchant_id = $1 AND r.account_id = $2"
		" AND r.entry_id = e.origin AND r.reversed_by = e.entry_id) ORDER BY e.entry_no LIMIT 1)",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_VERIFY_LAPSES] = {
		"SELECT account_id, expires_at, points, refunded FROM loyalty.lapse"
		" WHERE merchant_id = $1 ORDER BY account_id, expires_at",
		SPI_OK_SELECT, {INT8OID}
	},

	/* roots: over the newest entries of all accounts */
	[PLAN_ROOT_HEADS] = {
		"SELECT account_id, newest_id, balance, posted_at, hash FROM loyalty.account"
		" WHERE merchant_id = $1 AND newest_id IS NOT NULL ORDER BY account_id",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_ROOT_INSERT] = {
		"INSERT INTO loyalty.root (merchant_id, root_id, made_at, accounts, root)"
		" SELECT m.merchant_id, $2, $3, $4, $5 FROM loyalty.merchant m WHERE m.merchant_id = $1",
		SPI_OK_INSERT, {INT8OID, INT8OID, TIMESTAMPTZOID, INT8OID, BYTEAOID}
	},
	[PLAN_ROOT_PAGE_INSERT] = {
		"INSERT INTO loyalty.root_page (merchant_id, root_id, level, first_account, page, account_ids, entry_ids, nodes)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		SPI_OK_INSERT, {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8ARRAYOID, INT8ARRAYOID, BYTEAOID}
	},
	[PLAN_ROOT_FIND] = {
		"SELECT root_id, made_at, accounts, root FROM loyalty.root"
		" WHERE merchant_id = $1 AND ($2 IS NULL OR root_id = $2) ORDER BY root_id DESC LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_ROOT_PAGE] = {
		"SELECT page, account_ids, entry_ids, nodes FROM loyalty.root_page"
		" WHERE merchant_id = $1 AND root_id = $2 AND level = $3 AND first_account <= $4 ORDER BY first_account DESC LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID, INT8OID}
	},
	[PLAN_ROOT_LEAVES] = {
		"SELECT account_ids, entry_ids, nodes FROM loyalty.root_page"
		" WHERE merchant_id = $1 AND root_id = $2 AND level = 0 ORDER BY first_account",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_ROOT_ENTRIES] = {
		"SELECT u.account_id, u.entry_id, e.balance, e.posted_at, e.hash"
		" FROM unnest($2, $3) WITH ORDINALITY u (account_id, entry_id, leaf) LEFT JOIN loyalty.entry e"
		" ON e.merchant_id = $1 AND e.entry_id = u.entry_id AND e.account_id = u.account_id ORDER BY u.leaf",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
	},
	[PLAN_RECEIPT_ENTRY] = {
		"SELECT " LEDGER_COLUMNS " FROM loyalty.entry WHERE merchant_id = $1 AND entry_id = $2 AND account_id = $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID}
	},
	[PLAN_TEXT_KEY] = {
		"SELECT text_key FROM loyalty.account WHERE merchant_id = $1 AND account_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},

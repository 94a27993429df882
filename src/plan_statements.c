/*
 * plan_statements.c
 *		The table of all SQL that the C code runs.
 *
 * Each statement qualifies every name, keeps to one table where it is on the
 * posting path, and filters by the merchant at its top level.  An array that is
 * joined is written (SELECT $n): so the planner does not look into it, and what
 * is prepared once is good for any.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "plan_json.h"
#include "plan_statements.h"

/* What program.c reads of a program. */
#define PROGRAM_COLUMNS \
	"SELECT program_id, accumulation_points, accumulation_money, decimals::bigint, rounding, requires_ticket," \
	" requires_birth_date, $3 = ANY (messages), name, channel, redemption_points, redemption_money, currency_iso," \
	" currency_change, currency_active, unit_base, active AND unit_active, earn_on_points, managed, xmin, ctid"

/* The engine's columns, in the order in which ledger_rows.c reads and writes them. */
#define ACCOUNT_COLUMNS \
	"account_id, balance, entry_no, posted_at, program_id, hash, earned, expired, held, pending, due_at, lots, qualifying," \
	" moved_to IS NOT NULL, ctid, ranked_at, newest_id, previous_id, text_key"
#define ACCOUNT_POST \
	"UPDATE loyalty.account SET balance = balance OPERATOR(loyalty.+) $3, entry_no = entry_no + 1," \
	" newest_id = $8, previous_id = newest_id, posted_at = greatest(posted_at, $4)," \
	" hash = loyalty.chain_next(hash, entry_no, balance, posted_at, $3, $4, $6, text_key, $7, $8)"
#define ACCOUNT_PLAIN \
	" WHERE merchant_id = $1 AND account_id = $2 AND earned IS NULL"
/* managed, but with nothing that a posting could touch besides the balance */
#define ACCOUNT_SIMPLE \
	" WHERE merchant_id = $1 AND account_id = $2 AND program_id = $9 AND entry_no > 0 AND earned IS NOT NULL" \
	" AND due_at IS NULL AND lots IS NULL AND qualifying IS NULL AND moved_to IS NULL"
#define ACCOUNT_POSTED " RETURNING entry_no, previous_id, balance, posted_at, hash"
#define ENTRY_COLUMNS \
	"merchant_id, entry_id, account_id, entry_no, previous_id, amount, balance, posted_at, staff_id, money, aside, origin," \
	" peer_id, member_id, happened_at, request_id, rules, actor_id, kind, reference, detail, text_digest, lots, hash"

/* What expired at a date is a sum; no more of it is counted by refunds than there was. */
#define LAPSE_ADD \
	" ON CONFLICT (merchant_id, account_id, expires_at)" \
	" DO UPDATE SET points = l.points OPERATOR(loyalty.+) excluded.points," \
	" refunded = l.refunded OPERATOR(loyalty.+) excluded.refunded" \
	" WHERE l.refunded OPERATOR(loyalty.+) excluded.refunded" \
	" OPERATOR(loyalty.<=) (l.points OPERATOR(loyalty.+) excluded.points)"

/* What member_acting() says, of members who are read many at a time. */
#define ACTING(member, account) "coalesce(nullif(" member ", " account "), 0)"

/* What has become of registering somebody, for member.c. */
#define REGISTER_AGAIN \
	"SELECT outcome, member_id, account_id, known_as FROM loyalty.register_again"

/* What limit_set.c reads of a limit. */
#define LIMIT_SELECT \
	"SELECT scope, adds, subject_id, max_points, max_operations FROM loyalty.posting_limit"

/* What allowance.c reads of what is left of a limit. */
#define ALLOWANCE_SELECT \
	"SELECT subject_id, day, revision, drawn_from, points_given, operations_given, points_left, operations_left" \
	" FROM loyalty.allowance WHERE "

/* One subject of a limit, several of a kind, and the cashiers who have drawn from a branch on a day. */
#define ALLOWANCE_KIND	"merchant_id = $1 AND program_id = $2 AND adds = $3"
#define ALLOWANCE_SUBJECT ALLOWANCE_KIND " AND scope = $4 AND subject_id = $5"
#define ALLOWANCE_DRAWN \
	ALLOWANCE_KIND " AND drawn_from = $4 AND day = $5 AND (operations_left > 0 OR points_left OPERATOR(loyalty.>) '0')"

const Statement plan_statements[PLAN_COUNT] = {
	[PLAN_API_KEY] = {
		"SELECT merchant_id FROM loyalty.api_key WHERE key_hash = $1"
		" AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
		SPI_OK_SELECT, {BYTEAOID}
	},
	[PLAN_REQUEST_CLAIM] = {
		"INSERT INTO loyalty.request (merchant_id, idempotency_key, fingerprint)"
		" VALUES ($1, $2, $3) ON CONFLICT (merchant_id, idempotency_key) DO NOTHING",
		SPI_OK_INSERT, {INT8OID, TEXTOID, BYTEAOID}
	},
	[PLAN_REQUEST_READ] = {
		"SELECT fingerprint = $3, answer FROM loyalty.request"
		" WHERE merchant_id = $1 AND idempotency_key = $2 FOR SHARE",
		SPI_OK_SELECT, {INT8OID, TEXTOID, BYTEAOID}
	},
	[PLAN_REQUEST_ANSWER] = {
		"UPDATE loyalty.request SET answer = $3 WHERE merchant_id = $1 AND idempotency_key = $2",
		SPI_OK_UPDATE, {INT8OID, TEXTOID, TEXTOID}
	},
	[PLAN_MERCHANT_LOCK] = {
		"SELECT 1 FROM loyalty.merchant WHERE merchant_id = $1 FOR NO KEY UPDATE",
		SPI_OK_SELECT, {INT8OID}
	},

	/* each function in a statement costs it a look at its privileges: so one bound, and one function for the hash */
	[PLAN_ACCOUNT_ADD] = {
		ACCOUNT_POST ACCOUNT_PLAIN " AND balance OPERATOR(loyalty.<=) $5" ACCOUNT_POSTED,
		SPI_OK_UPDATE_RETURNING, {INT8OID, INT8OID, POINTS, TIMESTAMPTZOID, POINTS, BYTEAOID, BYTEAOID, INT8OID}
	},
	[PLAN_ACCOUNT_TAKE] = {
		ACCOUNT_POST ACCOUNT_PLAIN " AND balance OPERATOR(loyalty.>=) $5" ACCOUNT_POSTED,
		SPI_OK_UPDATE_RETURNING, {INT8OID, INT8OID, POINTS, TIMESTAMPTZOID, POINTS, BYTEAOID, BYTEAOID, INT8OID}
	},
	[PLAN_ACCOUNT_ADD_MANAGED] = {
		ACCOUNT_POST ", earned = earned OPERATOR(loyalty.+) $10" ACCOUNT_SIMPLE
		" AND greatest(balance, earned, expired, held, pending) OPERATOR(loyalty.<=) $5" ACCOUNT_POSTED,
		SPI_OK_UPDATE_RETURNING, {INT8OID, INT8OID, POINTS, TIMESTAMPTZOID, POINTS, BYTEAOID, BYTEAOID, INT8OID, INT8OID, POINTS}
	},
	[PLAN_ACCOUNT_TAKE_MANAGED] = {
		ACCOUNT_POST ACCOUNT_SIMPLE " AND balance OPERATOR(loyalty.>=) $5" ACCOUNT_POSTED,
		SPI_OK_UPDATE_RETURNING, {INT8OID, INT8OID, POINTS, TIMESTAMPTZOID, POINTS, BYTEAOID, BYTEAOID, INT8OID, INT8OID}
	},
	/* its newest entry says what an account was before an UPDATE that has no entry yet */
	[PLAN_ACCOUNT_RESTORE] = {
		"UPDATE loyalty.account a SET balance = balance OPERATOR(loyalty.-) $3, earned = earned OPERATOR(loyalty.-) $4,"
		" entry_no = entry_no - 1, newest_id = previous_id, (previous_id, posted_at, hash) ="
		" (SELECT e.previous_id, e.posted_at, e.hash FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.entry_id = a.previous_id)"
		" WHERE merchant_id = $1 AND account_id = $2",
		SPI_OK_UPDATE, {INT8OID, INT8OID, POINTS, POINTS}
	},
	[PLAN_ACCOUNT_LOCK] = {
		"SELECT " ACCOUNT_COLUMNS " FROM loyalty.account WHERE merchant_id = $1 AND account_id = $2 FOR NO KEY UPDATE",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_ACCOUNTS_LOCK] = {
		"SELECT " ACCOUNT_COLUMNS " FROM loyalty.account"
		" WHERE merchant_id = $1 AND account_id = ANY ($2) ORDER BY account_id FOR NO KEY UPDATE",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID}
	},
	[PLAN_ACCOUNT_READ] = {
		"SELECT " ACCOUNT_COLUMNS " FROM loyalty.account WHERE merchant_id = $1 AND account_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_ACCOUNTS_EARNED] = {
		"SELECT u.ordinality, loyalty.earned_by_entries($1, u.account_id) FROM unnest($2) WITH ORDINALITY u (account_id)",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID}
	},
	[PLAN_ACCOUNT_UPDATE] = {
		"UPDATE loyalty.account SET balance = $4, entry_no = $5, newest_id = $6, previous_id = $7, posted_at = $8, hash = $9"
		" WHERE merchant_id = $1 AND ctid = $2 AND ($3 OR $4 OPERATOR(loyalty.>=) '0')",
		SPI_OK_UPDATE, {INT8OID, TIDOID, BOOLOID, POINTS, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, BYTEAOID}
	},
	[PLAN_ACCOUNT_UPDATE_MANAGED] = {
		"UPDATE loyalty.account SET balance = $4, entry_no = $5, newest_id = $6, previous_id = $7, posted_at = $8, hash = $9,"
		" earned = $10, expired = $11, held = $12, pending = $13, due_at = $14, lots = $15, qualifying = $16"
		" WHERE merchant_id = $1 AND ctid = $2 AND ($3 OR $4 OPERATOR(loyalty.>=) '0')"
		" AND $12 OPERATOR(loyalty.>=) '0' AND $13 OPERATOR(loyalty.>=) '0'",
		SPI_OK_UPDATE, {INT8OID, TIDOID, BOOLOID, POINTS, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, BYTEAOID,
			POINTS, POINTS, POINTS, POINTS, TIMESTAMPTZOID, LOTS, LOTS}
	},
	/* of accounts that are not managed the rest is NULL, and stays so */
	[PLAN_ACCOUNTS_UPDATE] = {
		"UPDATE loyalty.account a SET balance = u.balance, entry_no = u.entry_no, newest_id = u.newest_id,"
		" previous_id = u.previous_id, posted_at = u.posted_at, hash = u.hash, earned = u.earned, expired = u.expired,"
		" held = u.held, pending = u.pending, due_at = u.due_at, lots = u.lots, qualifying = u.qualifying"
		" FROM unnest((SELECT $2)) u"
		" WHERE a.merchant_id = $1 AND a.ctid = u.at AND (u.may_owe OR u.balance OPERATOR(loyalty.>=) '0')"
		" AND (u.held IS NULL OR u.held OPERATOR(loyalty.>=) '0' AND u.pending OPERATOR(loyalty.>=) '0')",
		SPI_OK_UPDATE, {INT8OID, CHANGEARRAY}
	},
	[PLAN_ACCOUNT_OPEN] = {
		/* the share lock: its accounts must not begin to be managed just now */
		"INSERT INTO loyalty.account (merchant_id, account_id, program_id, earned, expired, held, pending, ranked_at)"
		" SELECT $1, $2, p.program_id, n.nothing, n.nothing, n.nothing, n.nothing, p.ranked_at FROM loyalty.program p,"
		" LATERAL (SELECT CASE WHEN p.managed THEN '0'::loyalty.points END) n (nothing)"
		" WHERE p.merchant_id = $1 AND p.program_id = $3 FOR SHARE OF p",
		SPI_OK_INSERT, {INT8OID, INT8OID, INT8OID}
	},
	[PLAN_ACCOUNTS_DUE] = {
		"SELECT account_id FROM loyalty.account WHERE merchant_id = $1 AND due_at <= now()"
		" ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_ENTRY_INSERT] = {
		"INSERT INTO loyalty.entry (" ENTRY_COLUMNS ")"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)",
		SPI_OK_INSERT, {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, POINTS, POINTS, TIMESTAMPTZOID, INT8OID, POINTS,
			POINTS, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT2OID, TEXTOID, JSONOID, BYTEAOID, LOTS, BYTEAOID}
	},
	/* rows as such: an array for each column would be put side by side row by row */
	[PLAN_ENTRIES_INSERT] = {
		"INSERT INTO loyalty.entry (" ENTRY_COLUMNS ") SELECT " ENTRY_COLUMNS " FROM unnest($1)",
		SPI_OK_INSERT, {ENTRYARRAY}
	},
	[PLAN_ENTRIES_FIND] = {
		/* limits were on the hold, of what was captured; OFFSET 0: one by one, by the key, whatever the planner knows of the table */
		"SELECT e.account_id, e.entry_id, e.kind::bigint, e.amount, e.aside, e.money, e.posted_at, e.origin, e.peer_id, e.lots,"
		" e.rules::bigint, coalesce(h.posted_at, e.posted_at), CASE WHEN e.kind = 7 THEN h.staff_id ELSE e.staff_id END,"
		" CASE WHEN e.kind = 7 THEN h.member_id ELSE e.member_id END"
		" FROM unnest((SELECT $2), (SELECT $3)) u (account_id, entry_id)"
		" JOIN LATERAL (SELECT n.* FROM loyalty.entry n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) e"
		" ON e.account_id = u.account_id"
		" LEFT JOIN LATERAL (SELECT n.posted_at, n.staff_id, n.member_id FROM loyalty.entry n"
		" WHERE n.merchant_id = $1 AND n.entry_id = e.origin OFFSET 0) h ON e.kind = 7",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
	},
	[PLAN_ENTRY_AT] = {
		"SELECT posted_at, balance, kind::bigint, lots, previous_id, entry_no FROM loyalty.entry WHERE merchant_id = $1 AND entry_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	/* of the entries that the index over every sixteenth has, the first one after an instant */
	[PLAN_ENTRY_AFTER] = {
		"SELECT entry_id FROM loyalty.entry WHERE merchant_id = $1 AND account_id = $2 AND posted_at > $3 AND entry_no % 16 = 0"
		" ORDER BY posted_at, entry_no LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID, TIMESTAMPTZOID}
	},
	[PLAN_ASIDES_FIND] = {
		"SELECT s.account_id, s.entry_id, s.entry_no, s.kind::bigint, s.amount, s.remaining, s.due_at, s.lots"
		" FROM unnest((SELECT $2), (SELECT $3)) u (account_id, entry_id)"
		" JOIN LATERAL (SELECT n.* FROM loyalty.aside n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) s"
		" ON s.account_id = u.account_id",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
	},
	[PLAN_ASIDES_DUE] = {
		"SELECT s.account_id, s.entry_id, s.entry_no, s.kind::bigint, s.amount, s.remaining, s.due_at, s.lots"
		" FROM unnest($2) u (account_id), LATERAL ("
		" SELECT d.* FROM loyalty.aside d WHERE d.merchant_id = $1 AND d.account_id = u.account_id"
		" AND d.remaining OPERATOR(loyalty.>) '0' AND d.due_at <= $3"
		" UNION ALL (SELECT n.* FROM loyalty.aside n WHERE n.merchant_id = $1 AND n.account_id = u.account_id"
		" AND n.remaining OPERATOR(loyalty.>) '0' AND n.due_at > $3 ORDER BY n.due_at LIMIT 1)) s"
		" ORDER BY s.account_id, s.due_at, s.entry_no",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}
	},
	[PLAN_ASIDE_WRITE] = {
		"INSERT INTO loyalty.aside AS s (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining, due_at, lots)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
		" ON CONFLICT (merchant_id, entry_id) DO UPDATE SET remaining = excluded.remaining, lots = excluded.lots"
		" WHERE excluded.remaining OPERATOR(loyalty.>=) '0'",
		SPI_OK_INSERT, {INT8OID, INT8OID, INT8OID, INT8OID, INT2OID, POINTS, POINTS, TIMESTAMPTZOID, LOTS}
	},
	[PLAN_ASIDES_WRITE] = {
		"INSERT INTO loyalty.aside AS s (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining, due_at, lots)"
		" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) u"
		" ON CONFLICT (merchant_id, entry_id) DO UPDATE SET remaining = excluded.remaining, lots = excluded.lots"
		" WHERE excluded.remaining OPERATOR(loyalty.>=) '0'",
		SPI_OK_INSERT, {INT8OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT2ARRAYOID, POINTSARRAY, POINTSARRAY,
			TIMESTAMPTZARRAYOID, LOTSARRAY}
	},
	[PLAN_REVERSALS_FIND] = {
		"SELECT r.account_id, r.entry_id, r.reference, r.reversed_by, r.amount, r.money, r.balance, r.lots, r.expired,"
		" (SELECT e.entry_no FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.entry_id = r.reversed_by)"
		" FROM (SELECT DISTINCT * FROM unnest((SELECT $2), (SELECT $3))) u (account_id, entry_id)"
		" JOIN LATERAL (SELECT n.* FROM loyalty.reversal n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) r"
		" ON r.account_id = u.account_id",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
	},
	[PLAN_REVERSAL_INSERT] = {
		"INSERT INTO loyalty.reversal (merchant_id, entry_id, account_id, reference, reversed_by, amount, money, balance, lots, expired)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		SPI_OK_INSERT, {INT8OID, INT8OID, INT8OID, TEXTOID, INT8OID, POINTS, POINTS, POINTS, LOTS, POINTS}
	},
	[PLAN_REVERSALS_INSERT] = {
		"INSERT INTO loyalty.reversal (merchant_id, entry_id, account_id, reference, reversed_by, amount, money, balance, lots, expired)"
		" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) u",
		SPI_OK_INSERT, {INT8OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, POINTSARRAY, POINTSARRAY, POINTSARRAY,
			LOTSARRAY, POINTSARRAY}
	},
	[PLAN_LAPSES_FIND] = {
		"SELECT l.account_id, l.expires_at, l.points, l.refunded"
		" FROM unnest($2, $3) u (account_id, expires_at) JOIN loyalty.lapse l"
		" ON l.merchant_id = $1 AND l.account_id = u.account_id AND l.expires_at = u.expires_at",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}
	},
	[PLAN_LAPSE_WRITE] = {
		"INSERT INTO loyalty.lapse AS l (merchant_id, account_id, expires_at, points, refunded) VALUES ($1, $2, $3, $4, $5)"
		LAPSE_ADD,
		SPI_OK_INSERT, {INT8OID, INT8OID, TIMESTAMPTZOID, POINTS, POINTS}
	},
	[PLAN_LAPSES_WRITE] = {
		"INSERT INTO loyalty.lapse AS l (merchant_id, account_id, expires_at, points, refunded)"
		" SELECT $1, u.* FROM unnest($2, $3, $4, $5) u"
		LAPSE_ADD,
		SPI_OK_INSERT, {INT8OID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, POINTSARRAY, POINTSARRAY}
	},
	[PLAN_PROGRAM_VERSION] = {
		"SELECT xmin, ctid FROM loyalty.program WHERE merchant_id = $1 AND program_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_PROGRAM_TERMS] = {
		"SELECT time_zone, expiry, duration_value, duration_unit, expiry_date, pending_days, reinstatement_days,"
		" rank_window_value, rank_window_unit, shortfall, has_limits, range_group, rules, rules_published_at,"
		" limits_revision, decimals, rounding, rank_grace_days, ranked_at, active AND unit_active, xmin, ctid"
		" FROM loyalty.program WHERE merchant_id = $1 AND program_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},

	[PLAN_LIMITS_ALL] = {
		LIMIT_SELECT " WHERE merchant_id = $1 AND program_id = $2 LIMIT $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID}
	},
	[PLAN_LIMITS_FIND] = {
		LIMIT_SELECT " WHERE merchant_id = $1 AND program_id = $2 AND subject_id = ANY ($3)",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8ARRAYOID}
	},
	[PLAN_LIMITS_REVISION] = {
		"SELECT limits_revision FROM loyalty.program WHERE merchant_id = $1 AND program_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_LIMIT_BRANCHES] = {
		"SELECT s.staff_id, coalesce(a.drawn_from, s.branch_id), coalesce(a.drawn_from, 0)"
		" FROM loyalty.staff s LEFT JOIN loyalty.allowance a ON a.merchant_id = $1 AND a.program_id = $2 AND a.adds = $3"
		" AND a.scope = 'staff' AND a.subject_id = s.staff_id AND a.day >= $4"
		" WHERE s.merchant_id = $1 AND s.staff_id = ANY ($5) ORDER BY s.staff_id",
		SPI_OK_SELECT, {INT8OID, INT8OID, BOOLOID, DATEOID, INT8ARRAYOID}
	},
	[PLAN_ALLOWANCE_TAKE] = {
		"UPDATE loyalty.allowance SET points_left = points_left OPERATOR(loyalty.-) $8, operations_left = operations_left - $9"
		" WHERE " ALLOWANCE_SUBJECT
		" AND day >= $6 AND revision = $7 AND points_left OPERATOR(loyalty.>=) $8 AND operations_left >= $9",
		SPI_OK_UPDATE, {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8OID, DATEOID, INT8OID, POINTS, INT8OID}
	},
	[PLAN_ALLOWANCE_LOCK] = {
		ALLOWANCE_SELECT ALLOWANCE_SUBJECT " FOR NO KEY UPDATE",
		SPI_OK_SELECT, {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8OID}
	},
	[PLAN_ALLOWANCES_LOCK] = {
		ALLOWANCE_SELECT ALLOWANCE_KIND " AND scope = $4 AND subject_id = ANY ($5) ORDER BY subject_id FOR NO KEY UPDATE",
		SPI_OK_SELECT, {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8ARRAYOID}
	},
	[PLAN_ALLOWANCES_DRAWN] = {
		"SELECT subject_id, points_left, operations_left FROM loyalty.allowance WHERE " ALLOWANCE_DRAWN
		" ORDER BY subject_id FOR NO KEY UPDATE",
		SPI_OK_SELECT, {INT8OID, INT8OID, BOOLOID, INT8OID, DATEOID}
	},
	[PLAN_ALLOWANCES_GATHER] = {
		"UPDATE loyalty.allowance SET points_given = points_given OPERATOR(loyalty.-) points_left, points_left = '0',"
		" operations_given = operations_given - operations_left, operations_left = 0"
		" WHERE " ALLOWANCE_DRAWN,
		SPI_OK_UPDATE, {INT8OID, INT8OID, BOOLOID, INT8OID, DATEOID}
	},
	[PLAN_ALLOWANCES_CREATE] = {
		"INSERT INTO loyalty.allowance (merchant_id, program_id, adds, scope, subject_id)"
		" SELECT $1, $2, $3, $4, u.subject_id FROM unnest($5) u (subject_id) ORDER BY u.subject_id"
		" ON CONFLICT (merchant_id, program_id, adds, scope, subject_id) DO NOTHING",
		SPI_OK_INSERT, {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8ARRAYOID}
	},
	[PLAN_ALLOWANCE_WRITE] = {
		"UPDATE loyalty.allowance SET day = $6, revision = $7, drawn_from = $8, points_given = $9, operations_given = $10,"
		" points_left = $11, operations_left = $12"
		" WHERE " ALLOWANCE_SUBJECT,
		SPI_OK_UPDATE, {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8OID, DATEOID, INT8OID, INT8OID, POINTS, INT8OID,
			POINTS, INT8OID}
	},
	[PLAN_ALLOWANCES_WRITE] = {
		"UPDATE loyalty.allowance a SET day = u.day, revision = u.revision, drawn_from = u.drawn_from,"
		" points_given = u.points_given, operations_given = u.operations_given,"
		" points_left = u.points_left, operations_left = u.operations_left"
		" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) u (program_id, adds, scope, subject_id, day, revision,"
		" drawn_from, points_given, operations_given, points_left, operations_left)"
		" WHERE a.merchant_id = $1 AND a.program_id = u.program_id AND a.adds = u.adds AND a.scope = u.scope"
		" AND a.subject_id = u.subject_id",
		SPI_OK_UPDATE, {INT8OID, INT8ARRAYOID, BOOLARRAYOID, TEXTARRAYOID, INT8ARRAYOID, DATEARRAYOID, INT8ARRAYOID,
			INT8ARRAYOID, POINTSARRAY, INT8ARRAYOID, POINTSARRAY, INT8ARRAYOID}
	},

#include "plan_proof.h"

	[PLAN_WALLET_FIND] = {
		PROGRAM_COLUMNS " FROM loyalty.program WHERE merchant_id = $1 AND wallet_key = $2",
		SPI_OK_SELECT, {INT8OID, TEXTOID, TEXTOID}
	},
	[PLAN_PROGRAM_FIND] = {
		PROGRAM_COLUMNS " FROM loyalty.program WHERE merchant_id = $1 AND client_id = $2",
		SPI_OK_SELECT, {INT8OID, TEXTOID, TEXTOID}
	},
	[PLAN_WALLET_LIST] = {
		"SELECT " WALLET_COLUMNS " FROM loyalty.wallets WHERE merchant_id = $1 ORDER BY name, program_id",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_ASSISTANT_WALLETS] = {
		"SELECT " WALLET_COLUMNS ", wallet_key AS key, name, ("
		"SELECT s.staff_id FROM loyalty.staff s WHERE s.merchant_id = $1 AND s.archived_at IS NULL AND (NOT s.restricted"
		" OR EXISTS (SELECT FROM loyalty.staff_program p"
		" WHERE p.merchant_id = $1 AND p.staff_id = s.staff_id AND p.program_id = w.program_id))"
		" ORDER BY s.role <> 'gerente', s.staff_id LIMIT 1) AS usertool_id"
		" FROM loyalty.wallets w WHERE merchant_id = $1 ORDER BY w.name, program_id",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_WALLET_LINK] = {
		"SELECT app_client FROM loyalty.wallets WHERE merchant_id = $1 AND program_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_MEMBER_FIND] = {
		"SELECT member_id, account_id, active FROM loyalty.member"
		" WHERE merchant_id = $1 AND program_id = $2 AND phone OPERATOR(loyalty.=) $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, PHONE}
	},
	[PLAN_CONTACT_INSERT] = {
		"INSERT INTO loyalty.member (merchant_id, member_id, program_id, account_id, phone, name, birth_date, enrolled_by)"
		" VALUES ($1, $2, $3, $2, $4, $5, $6, $7) ON CONFLICT (merchant_id, phone, program_id) DO NOTHING RETURNING client_id",
		SPI_OK_INSERT_RETURNING, {INT8OID, INT8OID, INT8OID, PHONE, TEXTOID, DATEOID, INT8OID}
	},
	[PLAN_CONTACT_REGISTER_AGAIN] = {
		REGISTER_AGAIN "(merchant_id => $1, program_id => $3, phone => $4, name => $5, birth_date => $6, enrolled_by => $7)",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID, PHONE, TEXTOID, DATEOID, INT8OID}
	},
	[PLAN_CONTACT_LIST] = {
		CONTACTS(CONTACT_COLUMNS, "m.phone IS NOT NULL") " ORDER BY m.name, m.phone", SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_CONTACT_GET] = {
		CONTACTS(CONTACT_COLUMNS, "m.phone OPERATOR(loyalty.=) $3"), SPI_OK_SELECT, {INT8OID, INT8OID, PHONE}
	},
	[PLAN_ASSISTANT_CONTACTS] = {
		CONTACTS(CONTACT_COLUMNS ", " ASSISTANT_COLUMNS, "m.phone IS NOT NULL") " ORDER BY m.name, m.phone", SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_ASSISTANT_CONTACT] = {
		CONTACTS(CONTACT_COLUMNS ", " ASSISTANT_COLUMNS, "m.phone OPERATOR(loyalty.=) $3"), SPI_OK_SELECT, {INT8OID, INT8OID, PHONE}
	},
	[PLAN_PROGRAM_LIST] = {
		PROGRAM_JSON " ORDER BY created_at, program_id", SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_PROGRAM_GET] = {
		PROGRAM_JSON " AND client_id = $2", SPI_OK_SELECT, {INT8OID, TEXTOID}
	},
	/* the page is chosen before anything is computed for it, one member at a time */
	[PLAN_MEMBER_LIST] = {
		MEMBER_PAGE(""), SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}
	},
	[PLAN_MEMBER_LIST_BY_PHONE] = {
		MEMBER_PAGE(" AND phone OPERATOR(loyalty.=) $6 AND ($7 = '' OR loyalty.fold(email) = loyalty.fold($7))"),
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, PHONE, TEXTOID}
	},
	[PLAN_MEMBER_LIST_BY_EMAIL] = {
		MEMBER_PAGE(" AND loyalty.fold(email) = loyalty.fold($7)"),
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, PHONE, TEXTOID}
	},
	[PLAN_MEMBER_ID] = {
		"SELECT member_id FROM loyalty.member WHERE merchant_id = $1 AND program_id = $2 AND client_id = $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},
	[PLAN_MEMBER_GET] = {
		"SELECT " MEMBER_JSON("'clientId', m.client_id, " FIRST_NAME)
		" FROM " MEMBER_WITH_BALANCE("program_id = $2 AND active AND client_id = $3"),
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},
	[PLAN_MEMBER_BALANCE] = {
		"SELECT json_build_object('programId', $4::text, 'memberId', m.client_id, 'balance', b.balance,"
		" 'expiredAmount', b.expired) FROM loyalty.member m"
		" JOIN loyalty.balances b ON b.merchant_id = m.merchant_id AND b.account_id = m.account_id"
		" WHERE m.merchant_id = $1 AND b.merchant_id = $1 AND m.program_id = $2 AND m.active AND m.client_id = $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID, TEXTOID}
	},
	[PLAN_MEMBER_CREATE] = {
		"INSERT INTO loyalty.member (merchant_id, member_id, program_id, account_id, client_id, phone, email, name, first_name,"
		" first_last_name, second_last_name, birth_date, granted_rank, subscribed_at, country)"
		" VALUES ($1, $2, $3, $2, coalesce($4, loyalty.new_client_id('CM')), $5, loyalty.trimmed($6),"
		" concat_ws(' ', $7, $8, nullif($9, '')), $7, $8, coalesce($9, ''), $10, coalesce($11, ''), coalesce($12, now()),"
		" coalesce($13, '')) ON CONFLICT DO NOTHING RETURNING client_id",
		SPI_OK_INSERT_RETURNING, {INT8OID, INT8OID, INT8OID, TEXTOID, PHONE, TEXTOID, TEXTOID, TEXTOID, TEXTOID, DATEOID,
			TEXTOID, TIMESTAMPTZOID, TEXTOID}
	},
	[PLAN_MEMBER_REGISTER_AGAIN] = {
		REGISTER_AGAIN "(merchant_id => $1, program_id => $3, client_id => $4, phone => $5, email => $6, first_name => $7,"
		" first_last_name => $8, second_last_name => $9, birth_date => $10, country => $13)",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID, TEXTOID, PHONE, TEXTOID, TEXTOID, TEXTOID, TEXTOID, DATEOID, TEXTOID,
			TIMESTAMPTZOID, TEXTOID}
	},
	[PLAN_MEMBER_ADDRESS] = {
		"INSERT INTO loyalty.member_address (merchant_id, member_id, ordinal, street, number_inside, number_outside,"
		" country, state, city) SELECT $1, $2, a.ordinal, coalesce(a.item ->> 'street', ''),"
		" coalesce(a.item ->> 'numberInside', ''), coalesce(a.item ->> 'numberOutside', ''),"
		" coalesce(a.item #>> '{postcode,country,name}', ''), coalesce(a.item #>> '{postcode,state,name}', ''),"
		" coalesce(a.item #>> '{postcode,city,name}', '')"
		" FROM json_array_elements($3) WITH ORDINALITY a (item, ordinal) WHERE json_typeof(a.item) = 'object'",
		SPI_OK_INSERT, {INT8OID, INT8OID, JSONOID}
	},
	[PLAN_MEMBER_ADDRESS_CLEAR] = {
		"DELETE FROM loyalty.member_address WHERE merchant_id = $1 AND member_id = $2",
		SPI_OK_DELETE, {INT8OID, INT8OID}
	},
	[PLAN_MEMBERS_FIND] = {
		"SELECT client_id, account_id, " ACTING("member_id", "account_id") " FROM loyalty.member"
		" WHERE merchant_id = $1 AND program_id = $2 AND client_id = ANY ($3) AND active",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTARRAYOID}
	},
	[PLAN_MEMBERS_BY_EMAIL] = {
		"SELECT u.ordinal, m.client_id, m.account_id, " ACTING("m.member_id", "m.account_id") " FROM unnest($3) WITH ORDINALITY u (email, ordinal)"
		" JOIN loyalty.member m ON loyalty.fold(m.email) = u.email"
		" WHERE m.merchant_id = $1 AND m.program_id = $2 AND m.active",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTARRAYOID}
	},
	[PLAN_MEMBER_BY_EMAIL] = {
		"SELECT client_id, account_id, active, " ACTING("member_id", "account_id") " FROM loyalty.member"
		" WHERE merchant_id = $1 AND program_id = $2 AND loyalty.fold(email) = $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},
	[PLAN_RANK_FIND] = {
		"SELECT 1 FROM loyalty.program p JOIN loyalty.rank_range r ON r.merchant_id = p.merchant_id AND r.range_group = p.range_group"
		" WHERE p.merchant_id = $1 AND r.merchant_id = $1 AND p.program_id = $2 AND r.rank = $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},
	[PLAN_BLACKLISTED] = {
		"SELECT 1 FROM loyalty.blacklisted_phone WHERE merchant_id = $1 AND phone OPERATOR(loyalty.=) $2",
		SPI_OK_SELECT, {INT8OID, PHONE}
	},
	[PLAN_AREA_SUPPORTED] = {
		"SELECT loyalty.area_code_supported($1)", SPI_OK_SELECT, {PHONE}
	},
	[PLAN_FIXED_LINE] = {
		"SELECT loyalty.is_fixed_line($1)", SPI_OK_SELECT, {PHONE}
	},

	[PLAN_RULES] = {
		"SELECT name, skus, categories, ranks, valid_from, valid_until, days, from_time, until_time, min_amount,"
		" birthday_days::bigint, first_purchase, points_per, money_per, multiplier, points,"
		" expires_value * ('1 ' || expires_unit)::interval, max_ticket, max_day, max_week, max_month, max_year, max_member FROM loyalty.rule"
		" WHERE merchant_id = $1 AND program_id = $2 AND version = $3 ORDER BY ordinal",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT4OID}
	},
#include "plan_rules.h"

	[PLAN_PROGRAM_OF_ACCOUNT] = {
		PROGRAM_COLUMNS " FROM loyalty.program WHERE merchant_id = $1 AND program_id ="
		" (SELECT a.program_id FROM loyalty.account a WHERE a.merchant_id = $1 AND a.account_id = $2)",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},

	[PLAN_APP_USER] = {
		"SELECT merchant_id, private_key, token_ttl_s::bigint FROM loyalty.app_user WHERE name = $1 AND disabled_at IS NULL",
		SPI_OK_SELECT, {TEXTOID}
	},
	[PLAN_MERCHANT_SANDBOX] = {
		"SELECT sandbox FROM loyalty.merchant WHERE merchant_id = $1", SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_CUSTOMER_FIND] = {
		"SELECT member_id, blocked_at IS NOT NULL FROM loyalty.customer WHERE merchant_id = $1 AND curp OPERATOR(loyalty.=) $2",
		SPI_OK_SELECT, {INT8OID, CURP}
	},
	[PLAN_CONSENT_FIND] = {
		"SELECT 1 FROM loyalty.consent WHERE merchant_id = $1 AND member_id = $2 AND app_user = $3 AND revoked_at IS NULL"
		" AND valid_from <= clock_timestamp() AND (valid_until IS NULL OR valid_until > clock_timestamp())"
		" AND ($4 IS NULL OR acceptance_hash = $4)",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID, BYTEAOID}
	},
	[PLAN_ACCESS_INSERT] = {
		"INSERT INTO loyalty.access (merchant_id, app_user, member_id, operation, request, status) VALUES ($1, $2, $3, $4, $5, $6)",
		SPI_OK_INSERT, {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT4OID}
	},
	[PLAN_CUSTOMER_DATUM] = {
		"SELECT " CUSTOMER_JSON " -> $3" CUSTOMER_TABLES, SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},
	[PLAN_CUSTOMER_BLOCK] = {
		"SELECT json_build_object('cliente', " CUSTOMER_JSON ","
		" 'usuario', json_build_object('nombre_de_usuario', c.user_name, 'preferencias', c.preferences),"
		" 'ventas', coalesce((SELECT json_agg(" SALE_JSON " ORDER BY s.registered_at, s.sale_id) FROM loyalty.sales s"
		" WHERE s.merchant_id = $1 AND s.member_id = c.member_id), '[]'))" CUSTOMER_TABLES,
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_SALE_DATUM] = {
		"SELECT " SALE_JSON " -> $3 FROM loyalty.sales s WHERE s.merchant_id = $1 AND s.member_id = $2"
		" AND ($4 IS NULL OR s.policy_number = $4) ORDER BY s.registered_at DESC, s.sale_id DESC LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID, TEXTOID}
	},
	[PLAN_PRODUCT_LIST] = {
		"SELECT coalesce(json_agg(json_build_object('nombre', name, 'precio', price, 'descripcion', description,"
		" 'existencias', stock) ORDER BY name COLLATE pg_catalog.\"default\"), '[]') FROM loyalty.product WHERE merchant_id = $1",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_PRODUCT_FOR] = {
		"SELECT json_build_object('producto', name, 'viable', stock > 0, 'edad', a.age, 'costo', price, 'numero_pagos', max_payments,"
		" 'costo_a_pagos', loyalty.instalment_cost(price, annual_rate, max_payments)) FROM loyalty.product,"
		" LATERAL (SELECT (now() AT TIME ZONE 'America/Mexico_City')::date AS today) t,"
		" LATERAL (SELECT CASE WHEN loyalty.birth_date($3) <= t.today THEN loyalty.age($3, t.today) END AS age) a"
		" WHERE merchant_id = $1 AND name = $2 AND a.age BETWEEN min_age AND max_age",
		SPI_OK_SELECT, {INT8OID, TEXTOID, CURP}
	},

	[PLAN_CUSTOMER_DECEASED] = {
		"SELECT 1 FROM loyalty.customer WHERE merchant_id = $1 AND curp OPERATOR(loyalty.=) $2 AND deceased",
		SPI_OK_SELECT, {INT8OID, CURP}
	},
	[PLAN_SALE_OPEN] = {
		"SELECT loyalty.open_sale($1, $2, $3, $4::integer, $5::integer)",
		SPI_OK_SELECT, {INT8OID, CURP, TEXTOID, INT8OID, INT8OID}
	},
	[PLAN_SALE_APPLICATION] = {
		"UPDATE loyalty.sale SET application = $3 WHERE merchant_id = $1 AND sale_id = $2",
		SPI_OK_UPDATE, {INT8OID, INT8OID, JSONOID}
	},
	[PLAN_SALE_RECEIPT] = {
		"SELECT json_build_object('id_venta', s.sale_id::text, 'id_contacto', s.member_id::text, 'nombre', m.name, 'CURP', c.curp::text,"
		" 'mail', $3, 'poliza', s.policy_number, 'status', s.status, 'subtotal', p.price, 'amount', s.cost,"
		" 'pago_link', t.base_url || '/pago/' || s.policy_number)"
		" FROM loyalty.sale s JOIN loyalty.product p ON p.merchant_id = s.merchant_id AND p.product_id = s.product_id"
		" JOIN loyalty.member m ON m.merchant_id = s.merchant_id AND m.member_id = s.member_id"
		" JOIN loyalty.customer c ON c.merchant_id = s.merchant_id AND c.member_id = s.member_id"
		" JOIN loyalty.merchant t ON t.merchant_id = s.merchant_id"
		" WHERE s.merchant_id = $1 AND s.sale_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},
	[PLAN_SALE_FIND] = {
		"SELECT sale_id FROM loyalty.sale WHERE merchant_id = $1 AND member_id = $2 AND ($3 IS NULL OR policy_number = $3)"
		" ORDER BY registered_at DESC, sale_id DESC LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID, TEXTOID}
	},
	[PLAN_SALE_STATUS] = {
		"SELECT loyalty.sale_status($1, $2)", SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_PAYMENT_FIND] = {
		"SELECT s.sale_id FROM loyalty.payment y JOIN loyalty.sale s ON s.merchant_id = y.merchant_id AND s.sale_id = y.sale_id"
		" WHERE y.merchant_id = $1 AND s.merchant_id = $1 AND y.reference = $2 AND s.member_id = $3",
		SPI_OK_SELECT, {INT8OID, TEXTOID, INT8OID}
	},
	[PLAN_PAYMENT_REGISTER] = {
		"SELECT loyalty.register_payment($1, $2, $3, $4, $5, $6)",
		SPI_OK_SELECT, {INT8OID, INT8OID, POINTS, TEXTOID, TEXTOID, TEXTOID}
	},
	/* as it was when it was booked: a retry gets the first answer */
	[PLAN_PAYMENT_RECEIPT] = {
		"SELECT json_build_object('poliza', s.policy_number, 'referencia', y.reference, 'cantidad', y.amount, 'metodo', y.method,"
		" 'saldo', trim_scale(s.cost::numeric - (SELECT sum(o.amount::numeric) FROM loyalty.payment o"
		" WHERE o.merchant_id = $1 AND o.sale_id = y.sale_id AND o.paid_at <= y.paid_at)))"
		" FROM loyalty.payment y JOIN loyalty.sale s ON s.merchant_id = y.merchant_id AND s.sale_id = y.sale_id"
		" WHERE y.merchant_id = $1 AND s.merchant_id = $1 AND y.reference = $2",
		SPI_OK_SELECT, {INT8OID, TEXTOID}
	},

	[PLAN_STAFF_FIND] = {
		"SELECT restricted FROM loyalty.staff WHERE merchant_id = $1 AND staff_id = $2 AND archived_at IS NULL",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_STAFF_PERMITTED] = {
		"SELECT 1 FROM loyalty.staff_program WHERE merchant_id = $1 AND staff_id = $2 AND program_id = $3",
		SPI_OK_SELECT, {INT8OID, INT8OID, INT8OID}
	},
	[PLAN_STAFF_LIST] = {
		"SELECT staff_id AS usertool_id, name AS usertool_name, number::text AS usertool_number,"
		" branch AS usertool_branch, role AS usertool_type,"
		" CASE WHEN archived_at IS NULL THEN 'activo' ELSE 'archivado' END AS usertool_status"
		" FROM loyalty.staff_members WHERE merchant_id = $1 ORDER BY staff_id",
		SPI_OK_SELECT, {INT8OID}
	},
	[PLAN_STAFF_ACTIVE] = {
		"SELECT loyalty.fold(name) = loyalty.fold($2), number OPERATOR(loyalty.=) $3, password_secret FROM loyalty.staff"
		" WHERE merchant_id = $1 AND archived_at IS NULL",
		SPI_OK_SELECT, {INT8OID, TEXTOID, PHONE}
	},
	[PLAN_STAFF_SECRET] = {
		"SELECT password_secret FROM loyalty.staff WHERE merchant_id = $1 AND staff_id = $2 AND archived_at IS NULL",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_STAFF_INSERT] = {
		"INSERT INTO loyalty.staff (merchant_id, staff_id, branch_id, role, name, number, password_secret)"
		" SELECT $1, coalesce(max(staff_id), 0) + 1, $2, $3, loyalty.trimmed($4), $5, $6 FROM loyalty.staff WHERE merchant_id = $1"
		" RETURNING staff_id",
		SPI_OK_INSERT_RETURNING, {INT8OID, INT8OID, TEXTOID, TEXTOID, PHONE, TEXTOID}
	},
	[PLAN_STAFF_ARCHIVE] = {
		"UPDATE loyalty.staff SET archived_at = now()"
		" WHERE merchant_id = $1 AND number OPERATOR(loyalty.=) $2 AND archived_at IS NULL RETURNING staff_id",
		SPI_OK_UPDATE_RETURNING, {INT8OID, PHONE}
	},
	[PLAN_STAFF_EXISTS] = {
		"SELECT 1 FROM loyalty.staff WHERE merchant_id = $1 AND staff_id = $2",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_STAFF_BRANCH] = {
		"UPDATE loyalty.staff SET branch_id = $3 WHERE merchant_id = $1 AND staff_id = $2",
		SPI_OK_UPDATE, {INT8OID, INT8OID, INT8OID}
	},
	[PLAN_BRANCH_FIND] = {
		"SELECT branch_id FROM loyalty.branch WHERE merchant_id = $1 AND loyalty.fold(name) = loyalty.fold($2)",
		SPI_OK_SELECT, {INT8OID, TEXTOID}
	},
	[PLAN_BRANCH_INSERT] = {
		"INSERT INTO loyalty.branch (merchant_id, name) VALUES ($1, loyalty.trimmed($2)) RETURNING branch_id",
		SPI_OK_INSERT_RETURNING, {INT8OID, TEXTOID}
	},

	[PLAN_QUOTA_READ] = {
		"SELECT remaining FROM loyalty.quota WHERE merchant_id = $1 AND resource = $2 AND stripe = $3",
		SPI_OK_SELECT, {INT8OID, TEXTOID, INT2OID}
	},
	[PLAN_QUOTA_TAKE] = {
		"UPDATE loyalty.quota SET remaining = remaining - 1"
		" WHERE merchant_id = $1 AND resource = $2 AND remaining > 0 AND stripe = (SELECT q.stripe FROM loyalty.quota q"
		" WHERE q.merchant_id = $1 AND q.resource = $2 AND q.stripe = $3 AND q.remaining > 0 FOR NO KEY UPDATE SKIP LOCKED)",
		SPI_OK_UPDATE, {INT8OID, TEXTOID, INT2OID}
	},
	[PLAN_QUOTAS_TAKE] = {
		"UPDATE loyalty.quota SET remaining = remaining - 1"
		" WHERE merchant_id = $1 AND stripe = $3 AND remaining > 0 AND resource = ANY (ARRAY(SELECT q.resource FROM loyalty.quota q"
		" WHERE q.merchant_id = $1 AND q.resource IN ($2, $4) AND q.stripe = $3 AND q.remaining > 0"
		" FOR NO KEY UPDATE SKIP LOCKED)) RETURNING resource",
		SPI_OK_UPDATE_RETURNING, {INT8OID, TEXTOID, INT2OID, TEXTOID}
	},
	[PLAN_QUOTA_ANY] = {
		"SELECT stripe, remaining FROM loyalty.quota"
		" WHERE merchant_id = $1 AND resource = $2 AND remaining > 0 LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
		SPI_OK_SELECT, {INT8OID, TEXTOID}
	},
	[PLAN_QUOTA_ALL] = {
		"SELECT stripe, remaining FROM loyalty.quota"
		" WHERE merchant_id = $1 AND resource = $2 ORDER BY stripe FOR NO KEY UPDATE",
		SPI_OK_SELECT, {INT8OID, TEXTOID}
	},
	[PLAN_QUOTA_SET] = {
		"UPDATE loyalty.quota SET remaining = $4 WHERE merchant_id = $1 AND resource = $2 AND stripe = $3 AND $4 >= 0",
		SPI_OK_UPDATE, {INT8OID, TEXTOID, INT2OID, INT8OID}
	},
	[PLAN_MESSAGE_INSERT] = {
		"INSERT INTO loyalty.message (merchant_id, member_id, channel, phone, body) VALUES ($1, $2, $3, $4, $5)",
		SPI_OK_INSERT, {INT8OID, INT8OID, TEXTOID, PHONE, TEXTOID}
	},
};

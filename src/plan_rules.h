/*
 * plan_rules.h
 *		The statements of earning rules and ranks.
 *
 * Included once, by plan_statements.c, as a part of its table.
 */

/* What rule.c reads of who buys, and of what capped rules have given. */
/* The rank that a member was given last, by the moment $3, if that was after registration; empty: it has ended. */
#define RANK_GRANT_OF(member) \
	" LEFT JOIN LATERAL (SELECT CASE WHEN r.until > $3 THEN r.rank ELSE '' END FROM loyalty.rank_grant r" \
	" WHERE r.merchant_id = $1 AND r.member_id = " member ".member_id AND r.since <= $3 ORDER BY r.since DESC LIMIT 1) g (rank) ON true"
/* The rank of a buyer is mostly the one given at registration; if it may be another, the last column says that one has to ask further. */
#define BUYER_SELECT \
	"SELECT m.member_id, m.granted_rank, m.birth_date, m.rank_given OR m.own_account_id IS NOT NULL, m.account_id FROM loyalty.member m"
/* Who owned an account at the moment $3, at most one: each member owns one, that of their number until there is another. */
#define OWNER_OF(account) \
	"(SELECT n.member_id FROM loyalty.member n WHERE n.merchant_id = $1 AND n.member_id = " account \
	" AND NOT EXISTS (SELECT FROM loyalty.account_owner l WHERE l.merchant_id = $1 AND l.member_id = n.member_id AND l.since <= $3)" \
	" UNION ALL SELECT o.member_id FROM loyalty.account_owner o" \
	" WHERE o.merchant_id = $1 AND o.account_id = " account " AND o.since <= $3 AND NOT EXISTS (SELECT FROM loyalty.account_owner l" \
	" WHERE l.merchant_id = $1 AND l.member_id = o.member_id AND l.since > o.since AND l.since <= $3) LIMIT 1)"
/* Of those who share an account, the rank granted to its owner counts. */
#define OWNER_SELECT(accounts) \
	"SELECT u.account_id, coalesce(g.rank, m.granted_rank), g.rank IS NOT NULL, m.birth_date FROM unnest(" accounts ") u (account_id)" \
	" JOIN loyalty.member m ON m.merchant_id = $1 AND m.member_id = " OWNER_OF("u.account_id") RANK_GRANT_OF("m")
/*
 * The entries of an account from the newest on, each found by the one after it:
 * as many as are asked for.  Numbers fall, or damaged ones might go round in a
 * circle.
 */
#define HISTORY_OF(account) \
	"(WITH RECURSIVE history AS (SELECT n.* FROM loyalty.account a JOIN loyalty.entry n ON n.merchant_id = $1 AND n.entry_id = a.newest_id" \
	" WHERE a.merchant_id = $1 AND a.account_id = " account \
	" UNION ALL SELECT p.* FROM history h, LATERAL (SELECT b.* FROM loyalty.entry b" \
	" WHERE b.merchant_id = $1 AND b.entry_id = h.previous_id AND b.entry_no < h.entry_no OFFSET 0) p) SELECT * FROM history)"
/* A sale of which something is left; of one that earned nothing, money (see is_undone()). */
#define UNDONE_OF_SALE "FROM loyalty.reversal r WHERE r.merchant_id = $1 AND r.entry_id = e.entry_id"
#define IS_PURCHASE \
	"e.kind = 1 AND CASE WHEN coalesce(e.aside, e.amount) OPERATOR(loyalty.>) '0'" \
	" THEN coalesce(e.aside, e.amount) OPERATOR(loyalty.>) coalesce((SELECT loyalty.sum(r.amount) " UNDONE_OF_SALE "), '0')" \
	" ELSE NOT EXISTS (SELECT " UNDONE_OF_SALE " HAVING bool_or(r.money IS NULL) OR loyalty.sum(r.money) OPERATOR(loyalty.=) e.money) END"
#define RULE_USE_COLUMNS "account_id, rule, day, points_day, points_week, points_month, points_year, points_ever"
#define RULE_USE_SELECT "SELECT " RULE_USE_COLUMNS " FROM loyalty.rule_use"
#define RULE_USE_UPSERT \
	" ON CONFLICT (merchant_id, account_id, rule)" \
	" DO UPDATE SET day = excluded.day, points_day = excluded.points_day, points_week = excluded.points_week," \
	" points_month = excluded.points_month, points_year = excluded.points_year, points_ever = excluded.points_ever"
/* What a gift gives back to a period: if it is still the one that is counted. */
#define RULE_USE_RETURN(column, unit) \
	column " = CASE WHEN date_trunc('" unit "', day::timestamp) = date_trunc('" unit "', $4::timestamp)" \
	" THEN " column " OPERATOR(loyalty.-) $5 ELSE " column " END"

/* The ranks that rank.c reads and writes. */
#define RANK_HELD_SELECT "SELECT account_id, rank, since, until, from_points, undone_at FROM loyalty.rank_held"
#define RANK_HELD_UPSERT \
	" ON CONFLICT (merchant_id, account_id, rank, since)" \
	" DO UPDATE SET until = excluded.until, from_points = excluded.from_points, undone_at = excluded.undone_at"

	[PLAN_BUYER] = {
		BUYER_SELECT " WHERE m.merchant_id = $1 AND m.member_id = $2", SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_BUYERS] = {
		BUYER_SELECT " WHERE m.merchant_id = $1 AND m.member_id = ANY ($2)", SPI_OK_SELECT, {INT8OID, INT8ARRAYOID}
	},
	[PLAN_OWNER] = {
		OWNER_SELECT("ARRAY[$2]"), SPI_OK_SELECT, {INT8OID, INT8OID, TIMESTAMPTZOID}
	},
	[PLAN_OWNERS] = {
		OWNER_SELECT("$2"), SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}
	},
	[PLAN_HAS_BOUGHT] = {
		"SELECT e.account_id FROM " HISTORY_OF("$2") " e WHERE " IS_PURCHASE " LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_HAVE_BOUGHT] = {
		"SELECT u.account_id FROM unnest($2) u (account_id)"
		" WHERE EXISTS (SELECT FROM " HISTORY_OF("u.account_id") " e WHERE " IS_PURCHASE ")",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID}
	},
	[PLAN_RULE_USE] = {
		RULE_USE_SELECT " WHERE merchant_id = $1 AND account_id = $2", SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_RULE_USES] = {
		RULE_USE_SELECT " WHERE merchant_id = $1 AND account_id = ANY ($2)", SPI_OK_SELECT, {INT8OID, INT8ARRAYOID}
	},
	[PLAN_RULE_USE_WRITE] = {
		"INSERT INTO loyalty.rule_use (merchant_id, " RULE_USE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)" RULE_USE_UPSERT,
		SPI_OK_INSERT, {INT8OID, INT8OID, TEXTOID, DATEOID, POINTS, POINTS, POINTS, POINTS, POINTS}
	},
	[PLAN_RULE_USES_WRITE] = {
		"INSERT INTO loyalty.rule_use (merchant_id, " RULE_USE_COLUMNS ") SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) u" RULE_USE_UPSERT,
		SPI_OK_INSERT, {INT8OID, INT8ARRAYOID, TEXTARRAYOID, DATEARRAYOID, POINTSARRAY, POINTSARRAY, POINTSARRAY, POINTSARRAY, POINTSARRAY}
	},
	[PLAN_RULE_USE_RETURN] = {
		"UPDATE loyalty.rule_use SET points_ever = points_ever OPERATOR(loyalty.-) $5,"
		RULE_USE_RETURN("points_day", "day") "," RULE_USE_RETURN("points_week", "week") ","
		RULE_USE_RETURN("points_month", "month") "," RULE_USE_RETURN("points_year", "year")
		" WHERE merchant_id = $1 AND account_id = $2 AND rule = $3",
		SPI_OK_UPDATE, {INT8OID, INT8OID, TEXTOID, DATEOID, POINTS}
	},
	[PLAN_GIFT_INSERT] = {
		"INSERT INTO loyalty.rule_gift (merchant_id, account_id, entry_id, rule, day, points, returned)"
		" VALUES ($1, $2, $3, $4, $5, $6, '0')",
		SPI_OK_INSERT, {INT8OID, INT8OID, INT8OID, TEXTOID, DATEOID, POINTS}
	},
	[PLAN_GIFTS_INSERT] = {
		"INSERT INTO loyalty.rule_gift (merchant_id, account_id, entry_id, rule, day, points, returned)"
		" SELECT $1, u.*, '0' FROM unnest($2, $3, $4, $5, $6) u",
		SPI_OK_INSERT, {INT8OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, DATEARRAYOID, POINTSARRAY}
	},
	[PLAN_GIFTS_FIND] = {
		"SELECT rule, day, points, returned FROM loyalty.rule_gift"
		" WHERE merchant_id = $1 AND entry_id = $2 ORDER BY rule",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_GIFT_RETURN] = {
		"UPDATE loyalty.rule_gift SET returned = returned OPERATOR(loyalty.+) $4"
		" WHERE merchant_id = $1 AND entry_id = $2 AND rule = $3",
		SPI_OK_UPDATE, {INT8OID, INT8OID, TEXTOID, POINTS}
	},
	[PLAN_RULES_AT] = {
		"SELECT version::bigint, published_at FROM loyalty.rule_set"
		" WHERE merchant_id = $1 AND program_id = $2 AND published_at <= $3 ORDER BY version DESC LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID, TIMESTAMPTZOID}
	},
	[PLAN_RANKS] = {
		"SELECT rank, from_points, multiplier FROM loyalty.rank_range WHERE merchant_id = $1 AND range_group = $2",
		SPI_OK_SELECT, {INT8OID, TEXTOID}
	},
	[PLAN_RANK_HELD] = {
		RANK_HELD_SELECT " WHERE merchant_id = $1 AND account_id = $2 ORDER BY since",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	[PLAN_RANKS_HELD] = {
		RANK_HELD_SELECT " WHERE merchant_id = $1 AND account_id = ANY ($2) ORDER BY account_id, since",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID}
	},
	[PLAN_RANK_WRITE] = {
		"INSERT INTO loyalty.rank_held (merchant_id, account_id, rank, since, until, from_points, undone_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)" RANK_HELD_UPSERT,
		SPI_OK_INSERT, {INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, POINTS, TIMESTAMPTZOID}
	},
	[PLAN_RANKS_WRITE] = {
		"INSERT INTO loyalty.rank_held (merchant_id, account_id, rank, since, until, from_points, undone_at)"
		" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7) u" RANK_HELD_UPSERT,
		SPI_OK_INSERT, {INT8OID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, POINTSARRAY, TIMESTAMPTZARRAYOID}
	},
	[PLAN_RANK_GRANTED] = {
		"SELECT m.granted_rank, m.created_at, g.rank FROM loyalty.member m" RANK_GRANT_OF("m")
		" WHERE m.merchant_id = $1 AND m.member_id = " OWNER_OF("$2") " AND (m.granted_rank <> '' OR g.rank IS NOT NULL)",
		SPI_OK_SELECT, {INT8OID, INT8OID, TIMESTAMPTZOID}
	},
	[PLAN_RANK_BASE] = {
		"SELECT rank FROM loyalty.rank_base WHERE merchant_id = $1 AND program_id = $2 AND since <= $3 ORDER BY since DESC LIMIT 1",
		SPI_OK_SELECT, {INT8OID, INT8OID, TIMESTAMPTZOID}
	},
	[PLAN_RANK_PAST] = {
		"SELECT since, rank, from_points, window_value, window_unit, grace_days, time_zone FROM loyalty.rank_past WHERE merchant_id = $1 AND program_id = $2 ORDER BY since",
		SPI_OK_SELECT, {INT8OID, INT8OID}
	},
	/*
	 * What accounts earned on which day of a time zone, until a moment, less what
	 * was undone of it: pending points are of the day they came.  Account by account and entry
	 * by entry, whatever the planner knows of the tables: LATERAL with OFFSET 0 and scalar
	 * subqueries are not joined in another order.
	 */
	[PLAN_COUNTED] = {
		"SELECT u.account_id, d.day, d.points FROM unnest($2) u (account_id), LATERAL ("
		"SELECT (c.at AT TIME ZONE $3)::date, loyalty.sum(c.points) FROM " HISTORY_OF("u.account_id") " e, LATERAL ("
		"SELECT coalesce(CASE WHEN e.kind = 9 THEN (SELECT s.due_at FROM loyalty.aside s"
		" WHERE s.merchant_id = $1 AND s.entry_id = e.origin) END, e.posted_at), e.amount"
		" WHERE e.kind IN (1, 2, 9) AND e.amount OPERATOR(loyalty.>) '0'"
		" UNION ALL"
		" SELECT coalesce((SELECT s.due_at FROM loyalty.aside s WHERE s.merchant_id = $1 AND s.entry_id = e.entry_id), e.posted_at),"
		" OPERATOR(loyalty.-) r.amount FROM loyalty.reversal r"
		" WHERE r.merchant_id = $1 AND r.entry_id = e.entry_id AND e.kind IN (1, 2)"
		" AND (SELECT b.aside IS NULL FROM loyalty.entry b WHERE b.merchant_id = $1 AND b.entry_id = r.reversed_by)"
		" OFFSET 0) c (at, points)"
		" WHERE c.at <= $4 GROUP BY 1 HAVING loyalty.sum(c.points) OPERATOR(loyalty.>) '0') d (day, points) ORDER BY 1, 2",
		SPI_OK_SELECT, {INT8OID, INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID}
	},
	[PLAN_ACCOUNTS_RANKED] = {
		"UPDATE loyalty.account SET ranked_at = $3 WHERE merchant_id = $1 AND account_id = ANY ($2)",
		SPI_OK_UPDATE, {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}
	},

/*
 * original.c
 *		Entries that are to be reversed, and what of them has been.
 */
#include "postgres.h"

#include "account/original.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* limits were on the hold, of what was captured; OFFSET 0: one by one, by the key, whatever the planner knows of the table */
static Statement entries_find_sql = {
	.sql = "SELECT e.account_id, e.entry_id, e.kind, e.amount, e.reserved, e.money, e.posted_at, e.origin_entry_id, e.peer_account_id, e.lots,"
	" e.rules, coalesce(h.posted_at, e.posted_at) AS limited_at, CASE WHEN e.kind = " KIND_SQL(CAPTURE) " THEN h.staff_id ELSE e.staff_id END AS staff_id,"
	" CASE WHEN e.kind = " KIND_SQL(CAPTURE) " THEN h.member_id ELSE e.member_id END AS member_id,"
	" CASE WHEN e.kind = " KIND_SQL(CAPTURE) " THEN h.actor_id ELSE e.actor_id END AS key_id,"
	" (SELECT m.digest_key FROM loyalty_internal.merchant m WHERE m.merchant_id = $1) AS digest_key"
	" FROM unnest((SELECT $2), (SELECT $3)) u (account_id, entry_id)"
	" JOIN LATERAL (SELECT n.* FROM loyalty.entry n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) e"
	" ON e.account_id = u.account_id"
	" LEFT JOIN LATERAL (SELECT n.posted_at, n.staff_id, n.member_id, n.actor_id FROM loyalty.entry n"
	" WHERE n.merchant_id = $1 AND n.entry_id = e.origin_entry_id OFFSET 0) h ON e.kind = " KIND_SQL(CAPTURE),
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
};

/* Read the entries that are to be reversed; keys of no entry stay away. */
void
originals_read(int64 merchant_id, HTAB *originals, const EntryKey *keys, int n)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	uint64		found;

	entry_key_arrays(keys, n, values + 1);
	found = db_write(&entries_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		EntryKey	key = {row_int64(row, "account_id"), row_int64(row, "entry_id")};
		Original   *original = hash_search(originals, &key, HASH_ENTER, NULL);

		original->kind = row_int64(row, "kind");
		original->amount = row_int64(row, "amount");
		original->reserved = row_int64_or(row, "reserved", 0);
		original->money = row_int64_or(row, "money", 0);
		original->has_money = row_has(row, "money");
		original->posted_at = row_int64(row, "posted_at");
		original->origin_entry_id = row_int64_or(row, "origin_entry_id", 0);
		original->peer_account_id = row_int64_or(row, "peer_account_id", 0);
		row_lots(row, "lots", &original->lots);
		original->rules = row_int64_or(row, "rules", 0);
		original->limited_at = row_int64(row, "limited_at");
		original->staff_id = row_int64_or(row, "staff_id", 0);
		original->member_id = row_int64_or(row, "member_id", 0);
		original->key_id = Max(row_int64_or(row, "key_id", 0), 0);
		original->reversals = NULL;
		original->digest_key = row_has(row, "digest_key") ? cstring_to_text(row_text(row, "digest_key")) : NULL;
	}
}

static Statement members_find_sql = {
	.sql = "SELECT e.member_id FROM unnest((SELECT $2), (SELECT $3)) WITH ORDINALITY u (account_id, entry_id, nth)"
	" LEFT JOIN LATERAL (SELECT n.account_id, n.member_id FROM loyalty.entry n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) e"
	" ON e.account_id = u.account_id ORDER BY u.nth",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
};

/* Whom entries name, one by one; 0: nobody, or there is no such entry. */
int64 *
entries_read_members(int64 merchant_id, const EntryKey *keys, int n)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	int64	   *members = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	uint64		found;

	entry_key_arrays(keys, n, values + 1);
	found = db_write(&members_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
		members[row] = row_int64_or(row, "member_id", 0);
	return members;
}

static Statement began_with_erased_sql = {
	.sql = "SELECT FROM loyalty_internal.began_with_erased($1, $2) b WHERE b",
	.params = {INT8OID, INT8OID}
};

/* Whether an entry began with somebody who has been erased by now. */
bool
entry_began_with_erased(int64 merchant_id, int64 entry_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(entry_id)};

	return db_write(&began_with_erased_sql, values, NULL) > 0;
}

static Statement reversals_find_sql = {
	.sql = "SELECT r.account_id, r.entry_id, r.reference_digest, r.reversed_by, r.amount, r.money, r.balance, r.lots, r.expired,"
	" r.peer_entry_id, r.peer_balance,"
	" (SELECT e.entry_no FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.entry_id = r.reversed_by) AS reversed_no"
	" FROM unnest((SELECT $2), (SELECT $3)) u (account_id, entry_id)"
	" JOIN LATERAL (SELECT n.* FROM loyalty_internal.reversal n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) r"
	" ON r.account_id = u.account_id",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
};

/*
 * Read what has been reversed of each of them already.  Only what is an entry is
 * asked for, once: the server would hash the keys that somebody chose as it
 * hashes them everywhere.
 */
void
originals_read_reversals(int64 merchant_id, HTAB *originals)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	EntryKey   *keys = palloc_extended((hash_get_num_entries(originals) + 1) * sizeof(EntryKey), MCXT_ALLOC_HUGE);
	int			n = 0;
	HASH_SEQ_STATUS all;
	const Original *known;
	uint64		found;

	hash_seq_init(&all, originals);
	while ((known = hash_seq_search(&all)) != NULL)
		keys[n++] = known->key;
	entry_key_arrays(keys, n, values + 1);
	found = db_write(&reversals_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		EntryKey	key = {row_int64(row, "account_id"), row_int64(row, "entry_id")};
		Original   *original = hash_search(originals, &key, HASH_FIND, NULL);
		Reversal   *part = palloc0(sizeof(Reversal));
		bool		isnull;

		if (original == NULL)
			elog(ERROR, "what was reversed is no entry");
		part->reference_digest = DatumGetByteaPCopy(row_datum(row, "reference_digest", &isnull));
		part->reversed_by = row_int64(row, "reversed_by");
		part->amount = row_int64(row, "amount");
		part->money = row_int64_or(row, "money", 0);
		part->has_money = row_has(row, "money");
		part->balance = row_int64(row, "balance");
		row_lots(row, "lots", &part->lots);
		part->expired = row_int64_or(row, "expired", 0);
		part->peer_entry_id = row_int64_or(row, "peer_entry_id", 0);
		part->peer_balance = row_int64_or(row, "peer_balance", 0);
		part->reversed_no = row_int64(row, "reversed_no");
		part->next = original->reversals;
		original->reversals = part;
	}
}

#define REVERSAL_COLUMNS 11

static void
reversal_row(const Original *original, const Reversal *part, Datum *row, bool *nulls)
{
	memset(nulls, 0, REVERSAL_COLUMNS * sizeof(bool));
	row[0] = Int64GetDatum(original->key.entry_id);
	row[1] = Int64GetDatum(original->key.account_id);
	row[2] = PointerGetDatum(part->reference_digest);
	row[3] = Int64GetDatum(part->reversed_by);
	row[4] = PointsGetDatum(part->amount);
	row[5] = PointsGetDatum(part->money);
	nulls[5] = !part->has_money;
	row[6] = PointsGetDatum(part->balance);
	row[7] = lots_pack_some(&part->lots);
	nulls[7] = part->lots.n == 0;
	row[8] = PointsGetDatum(part->expired);
	nulls[8] = part->expired == 0;
	row[9] = Int64GetDatum(part->peer_entry_id);
	row[10] = PointsGetDatum(part->peer_balance);
	nulls[9] = nulls[10] = part->peer_entry_id == 0;
}

#define REVERSAL_COLUMN_NAMES \
	"merchant_id, entry_id, account_id, reference_digest, reversed_by, amount, money, balance, lots, expired, peer_entry_id, peer_balance"

static Statement reversals_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.reversal (" REVERSAL_COLUMN_NAMES ")"
	" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) u",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID, BYTEAARRAYOID, INT8ARRAYOID, POINTSARRAYOID, POINTSARRAYOID,
	POINTSARRAYOID, LOTSARRAYOID, POINTSARRAYOID, INT8ARRAYOID, POINTSARRAYOID}
};

static Statement reversal_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.reversal (" REVERSAL_COLUMN_NAMES ")"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
	.params = {INT8OID, INT8OID, INT8OID, BYTEAOID, INT8OID, POINTSOID, POINTSOID, POINTSOID, LOTSOID, POINTSOID, INT8OID,
	POINTSOID}
};

/* Write the parts that are new, all by one statement. */
void
originals_write_reversals(int64 merchant_id, HTAB *originals)
{
	Column		columns[REVERSAL_COLUMNS];
	HASH_SEQ_STATUS all;
	Original   *original;
	int			added = 0;

	hash_seq_init(&all, originals);
	while ((original = hash_seq_search(&all)) != NULL)
	{
		for (const Reversal *part = original->reversals; part != NULL; part = part->next)
			added += part->is_new;
	}
	if (added == 0)
		return;
	columns_start(columns, &reversal_insert_sql, REVERSAL_COLUMNS, added);
	added = 0;
	hash_seq_init(&all, originals);
	while ((original = hash_seq_search(&all)) != NULL)
	{
		for (const Reversal *part = original->reversals; part != NULL; part = part->next)
		{
			Datum		row[REVERSAL_COLUMNS];
			bool		nulls[REVERSAL_COLUMNS];

			if (!part->is_new)
				continue;
			reversal_row(original, part, row, nulls);
			columns_set(columns, REVERSAL_COLUMNS, added++, row, nulls);
		}
	}
	columns_write(&reversals_insert_sql, &reversal_insert_sql, merchant_id, columns, REVERSAL_COLUMNS, added);
}

/*
 * reservation.c
 *		Points that an entry reserves: held to be spent, or pending.
 */
#include "postgres.h"

#include "account/reservation.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* What the batch knows already stays as it is. */
static Aside *
read_aside(uint64 row, HTAB *asides)
{
	EntryKey	key = {row_int64(row, "account_id"), row_int64(row, "entry_id")};
	bool		found;
	Aside	   *aside = hash_search(asides, &key, HASH_ENTER, &found);

	if (found)
		return aside;
	aside->entry_no = row_int64(row, "entry_no");
	aside->kind = row_int64(row, "kind");
	aside->amount = row_int64(row, "amount");
	aside->remaining = row_int64(row, "remaining");
	aside->due_at = row_int64_or(row, "due_at", DT_NOEND);
	row_lots(row, "lots", &aside->lots);
	aside->changed = false;
	return aside;
}

static Statement asides_find_sql = {
	.sql = "SELECT s.account_id, s.entry_id, s.entry_no, s.kind, s.amount, s.remaining, s.due_at, s.lots"
	" FROM unnest((SELECT $2), (SELECT $3)) u (account_id, entry_id)"
	" JOIN LATERAL (SELECT n.* FROM loyalty.aside n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) s"
	" ON s.account_id = u.account_id",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
};

void
rows_read_asides(int64 merchant_id, HTAB *asides, const EntryKey *keys, int n)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	uint64		found;

	entry_key_arrays(keys, n, values + 1);
	found = db_write(&asides_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
		read_aside(row, asides);
}

static Statement asides_due_sql = {
	.sql = "SELECT s.account_id, s.entry_id, s.entry_no, s.kind, s.amount, s.remaining, s.due_at, s.lots"
	" FROM unnest($2) u (account_id), LATERAL ("
	" SELECT d.* FROM loyalty.aside d WHERE d.merchant_id = $1 AND d.account_id = u.account_id"
	" AND d.remaining OPERATOR(loyalty.>) '0' AND d.due_at <= $3"
	" UNION ALL (SELECT n.* FROM loyalty.aside n WHERE n.merchant_id = $1 AND n.account_id = u.account_id"
	" AND n.remaining OPERATOR(loyalty.>) '0' AND n.due_at > $3 ORDER BY n.due_at LIMIT 1)) s"
	" ORDER BY s.account_id, s.due_at, s.entry_no",
	.params = {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID}
};

/*
 * What is due in the accounts, by account and time, and of each account the
 * one that is due next.
 */
void
rows_read_due(int64 merchant_id, HTAB *asides, const int64 *account_ids, int n, TimestampTz now, bool locked,
			  void (*take) (void *context, Aside *aside), void *context)
{
	Datum		values[] = {Int64GetDatum(merchant_id), ids_datum(account_ids, n), TimestampTzGetDatum(now)};
	uint64		found = locked ? db_write(&asides_due_sql, values, NULL) : db_read(&asides_due_sql, values, NULL);
	Aside	  **due = palloc_extended(Max(found, 1) * sizeof(Aside *), MCXT_ALLOC_HUGE);

	for (uint64 row = 0; row < found; row++)
		due[row] = read_aside(row, asides);
	for (uint64 i = 0; i < found; i++)
		take(context, due[i]);
}

#define ASIDE_COLUMNS 8

static Statement asides_write_sql = {
	.sql = "INSERT INTO loyalty.aside AS s (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining, due_at, lots)"
	" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) u"
	" ON CONFLICT (merchant_id, entry_id) DO UPDATE SET remaining = excluded.remaining, lots = excluded.lots"
	" WHERE excluded.remaining OPERATOR(loyalty.>=) '0'",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT2ARRAYOID, POINTSARRAYOID, POINTSARRAYOID,
		TIMESTAMPTZARRAYOID, LOTSARRAYOID}
};

static Statement aside_write_sql = {
	.sql = "INSERT INTO loyalty.aside AS s (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining, due_at, lots)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
	" ON CONFLICT (merchant_id, entry_id) DO UPDATE SET remaining = excluded.remaining, lots = excluded.lots"
	" WHERE excluded.remaining OPERATOR(loyalty.>=) '0'",
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, INT2OID, POINTSOID, POINTSOID, TIMESTAMPTZOID, LOTSOID}
};

void
rows_write_asides(int64 merchant_id, HTAB *asides)
{
	Oid			points = db_type(POINTSOID);
	Oid			types[ASIDE_COLUMNS] = {INT8OID, INT8OID, INT8OID, INT2OID, points, points, TIMESTAMPTZOID, db_type(LOTSOID)};
	Column		columns[ASIDE_COLUMNS];
	HASH_SEQ_STATUS all;
	Aside	   *aside;
	int			changed = 0;

	columns_start(columns, types, ASIDE_COLUMNS, Max(hash_get_num_entries(asides), 1));
	hash_seq_init(&all, asides);
	while ((aside = hash_seq_search(&all)) != NULL)
	{
		bool		nulls[ASIDE_COLUMNS] = {false};
		Datum		row[ASIDE_COLUMNS] = {
			Int64GetDatum(aside->key.entry_id),
			Int64GetDatum(aside->key.account_id),
			Int64GetDatum(aside->entry_no),
			Int16GetDatum(aside->kind),
			PointsGetDatum(aside->amount),
			PointsGetDatum(aside->remaining),
			TimestampTzGetDatum(aside->due_at),
		};

		if (!aside->changed)
			continue;
		nulls[6] = TIMESTAMP_NOT_FINITE(aside->due_at);
		nulls[7] = aside->lots.n == 0;
		row[7] = nulls[7] ? (Datum) 0 : lots_pack(&aside->lots);
		columns_set(columns, ASIDE_COLUMNS, changed++, row, nulls);
	}
	if (changed > 0)
		columns_write(&asides_write_sql, &aside_write_sql, merchant_id, columns, ASIDE_COLUMNS, changed);
}

/*
 * expired_lot.c
 *		What expired of the points of a date, and how much of it was refunded.
 */
#include "postgres.h"

#include "account/expired_lot.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static Statement expired_lots_find_sql = {
	.sql = "SELECT l.account_id, l.expires_at, l.points, l.refunded"
	" FROM unnest($2, $3) u (account_id, expires_at) JOIN loyalty_internal.expired_lot l"
	" ON l.merchant_id = $1 AND l.account_id = u.account_id AND l.expires_at = u.expires_at",
	.params = {INT8OID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}
};

/* Read the expired lots of a batch, which has added nothing to them yet. */
void
expired_lots_read(int64 merchant_id, HTAB *expired_lots)
{
	long		n = hash_get_num_entries(expired_lots);
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	Datum	   *accounts = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum	   *moments = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	HASH_SEQ_STATUS all;
	ExpiredLot *lot;
	uint64		found;

	n = 0;
	hash_seq_init(&all, expired_lots);
	while ((lot = hash_seq_search(&all)) != NULL)
	{
		accounts[n] = Int64GetDatum(lot->key.account_id);
		moments[n++] = TimestampTzGetDatum(lot->key.expires_at);
	}
	values[1] = array_datum(accounts, n, INT8OID);
	values[2] = array_datum(moments, n, TIMESTAMPTZOID);
	found = db_write(&expired_lots_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		ExpiredLotKey key = {row_int64(row, "account_id"), row_int64(row, "expires_at")};

		lot = hash_search(expired_lots, &key, HASH_FIND, NULL);
		lot->points = row_int64(row, "points");
		lot->refunded = row_int64(row, "refunded");
	}
}

#define EXPIRED_LOT_COLUMNS 4

/* Expired points are summed by date; refunds count no more of them than there are. */
#define EXPIRED_LOT_ADD \
	" ON CONFLICT (merchant_id, account_id, expires_at)" \
	" DO UPDATE SET points = l.points OPERATOR(loyalty.+) excluded.points," \
	" refunded = l.refunded OPERATOR(loyalty.+) excluded.refunded" \
	" WHERE l.refunded OPERATOR(loyalty.+) excluded.refunded" \
	" OPERATOR(loyalty.<=) (l.points OPERATOR(loyalty.+) excluded.points)"

static Statement expired_lots_write_sql = {
	.sql = "INSERT INTO loyalty_internal.expired_lot AS l (merchant_id, account_id, expires_at, points, refunded)"
	" SELECT $1, u.* FROM unnest($2, $3, $4, $5) u"
	EXPIRED_LOT_ADD,
	.params = {INT8OID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, POINTSARRAYOID, POINTSARRAYOID}
};

static Statement expired_lot_write_sql = {
	.sql = "INSERT INTO loyalty_internal.expired_lot AS l (merchant_id, account_id, expires_at, points, refunded) VALUES ($1, $2, $3, $4, $5)"
	EXPIRED_LOT_ADD,
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID, POINTSOID, POINTSOID}
};

/* Add what the batch has to the sums of the table. */
void
expired_lots_write(int64 merchant_id, HTAB *expired_lots)
{
	Column		columns[EXPIRED_LOT_COLUMNS];
	HASH_SEQ_STATUS all;
	ExpiredLot *lot;
	int			changed = 0;

	columns_start(columns, &expired_lot_write_sql, EXPIRED_LOT_COLUMNS, hash_get_num_entries(expired_lots));
	hash_seq_init(&all, expired_lots);
	while ((lot = hash_seq_search(&all)) != NULL)
	{
		Datum		row[EXPIRED_LOT_COLUMNS] = {
			Int64GetDatum(lot->key.account_id),
			TimestampTzGetDatum(lot->key.expires_at),
			PointsGetDatum(lot->new_points),
			PointsGetDatum(lot->new_refunded),
		};

		if (lot->new_points > 0 || lot->new_refunded > 0)
			columns_set(columns, EXPIRED_LOT_COLUMNS, changed++, row, NULL);
	}
	if (changed > 0)
		columns_write(&expired_lots_write_sql, &expired_lot_write_sql, merchant_id, columns, EXPIRED_LOT_COLUMNS, changed);
}

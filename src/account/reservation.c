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

/* Read a reservation; one that the batch has already stays as it is. */
static Reservation *
read_reservation(uint64 row, HTAB *reservations)
{
	EntryKey	key = {row_int64(row, "account_id"), row_int64(row, "entry_id")};
	bool		found;
	Reservation *reservation = hash_search(reservations, &key, HASH_ENTER, &found);

	if (found)
		return reservation;
	reservation->entry_no = row_int64(row, "entry_no");
	reservation->kind = row_int64(row, "kind");
	reservation->amount = row_int64(row, "amount");
	reservation->remaining = row_int64(row, "remaining");
	reservation->due_at = row_int64_or(row, "due_at", DT_NOEND);
	row_lots(row, "lots", &reservation->lots);
	reservation->changed = false;
	return reservation;
}

static Statement reservations_find_sql = {
	.sql = "SELECT s.account_id, s.entry_id, s.entry_no, s.kind, s.amount, s.remaining, s.due_at, s.lots"
	" FROM unnest((SELECT $2), (SELECT $3)) u (account_id, entry_id)"
	" JOIN LATERAL (SELECT n.* FROM loyalty_internal.reservation n WHERE n.merchant_id = $1 AND n.entry_id = u.entry_id OFFSET 0) s"
	" ON s.account_id = u.account_id",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
};

/* Read the reservations that these entries made and that are open. */
void
reservations_read(int64 merchant_id, HTAB *reservations, const EntryKey *keys, int n)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	uint64		found;

	entry_key_arrays(keys, n, values + 1);
	found = db_write(&reservations_find_sql, values, NULL);
	for (uint64 row = 0; row < found; row++)
		read_reservation(row, reservations);
}

/* one account after the other, as the ids stand in the array: a sort of all would read all before the LIMIT */
static Statement reservations_due_sql = {
	.sql = "SELECT s.account_id, s.entry_id, s.entry_no, s.kind, s.amount, s.remaining, s.due_at, s.lots"
	" FROM unnest($2) u (account_id), LATERAL ("
	" SELECT d.* FROM loyalty_internal.reservation d WHERE d.merchant_id = $1 AND d.account_id = u.account_id"
	" AND d.remaining OPERATOR(loyalty.>) '0' AND d.due_at <= $3"
	" UNION ALL (SELECT n.* FROM loyalty_internal.reservation n WHERE n.merchant_id = $1 AND n.account_id = u.account_id"
	" AND n.remaining OPERATOR(loyalty.>) '0' AND n.due_at > $3 ORDER BY n.due_at LIMIT 1)"
	" ORDER BY due_at, entry_no) s LIMIT $4",
	.params = {INT8OID, INT8ARRAYOID, TIMESTAMPTZOID, INT8OID}
};

/*
 * What is due in the accounts, by account and time, and of each account the
 * one that is due next.  Returns the last one where DUE_AT_ONCE have been read
 * of locked accounts and there may be more, NULL if that was all.
 */
const Reservation *
reservations_read_due(int64 merchant_id, HTAB *reservations, const int64 *account_ids, int n, TimestampTz now, bool locked,
					  void (*take) (void *context, Reservation *reservation), void *context)
{
	Datum		values[] = {Int64GetDatum(merchant_id), ids_datum(account_ids, n), TimestampTzGetDatum(now), Int64GetDatum(locked ? DUE_AT_ONCE : PG_INT32_MAX)};
	uint64		found = locked ? db_write(&reservations_due_sql, values, NULL) : db_read(&reservations_due_sql, values, NULL);
	Reservation **due = palloc_extended(Max(found, 1) * sizeof(Reservation *), MCXT_ALLOC_HUGE);

	for (uint64 row = 0; row < found; row++)
		due[row] = read_reservation(row, reservations);
	for (uint64 i = 0; i < found; i++)
		take(context, due[i]);
	return locked && found == DUE_AT_ONCE ? due[found - 1] : NULL;
}

static Statement reservations_waiting_sql = {
	.sql = "SELECT count(*) AS waiting FROM (SELECT FROM loyalty_internal.reservation WHERE merchant_id = $1 AND account_id = $2"
	" AND remaining OPERATOR(loyalty.>) '0' AND due_at > $3 LIMIT " CppAsString2(MAX_WAITING) ") w",
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID}
};

/* How many reservations of an account fall due later, up to MAX_WAITING. */
int
reservations_waiting(int64 merchant_id, int64 account_id, TimestampTz now)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id), TimestampTzGetDatum(now)};

	db_write(&reservations_waiting_sql, values, NULL);
	return (int) row_int64(0, "waiting");
}

#define RESERVATION_COLUMNS 8

static Statement reservations_write_sql = {
	.sql = "INSERT INTO loyalty_internal.reservation AS s (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining, due_at, lots)"
	" SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) u"
	" ON CONFLICT (merchant_id, entry_id) DO UPDATE SET remaining = excluded.remaining, lots = excluded.lots"
	" WHERE excluded.remaining OPERATOR(loyalty.>=) '0'",
	.params = {INT8OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT2ARRAYOID, POINTSARRAYOID, POINTSARRAYOID,
	TIMESTAMPTZARRAYOID, LOTSARRAYOID}
};

static Statement reservation_write_sql = {
	.sql = "INSERT INTO loyalty_internal.reservation AS s (merchant_id, entry_id, account_id, entry_no, kind, amount, remaining, due_at, lots)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
	" ON CONFLICT (merchant_id, entry_id) DO UPDATE SET remaining = excluded.remaining, lots = excluded.lots"
	" WHERE excluded.remaining OPERATOR(loyalty.>=) '0'",
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, INT2OID, POINTSOID, POINTSOID, TIMESTAMPTZOID, LOTSOID}
};

/* Write the reservations that have changed, all by one statement. */
void
reservations_write(int64 merchant_id, HTAB *reservations)
{
	Column		columns[RESERVATION_COLUMNS];
	HASH_SEQ_STATUS all;
	Reservation *reservation;
	int			changed = 0;

	columns_start(columns, &reservation_write_sql, RESERVATION_COLUMNS, Max(hash_get_num_entries(reservations), 1));
	hash_seq_init(&all, reservations);
	while ((reservation = hash_seq_search(&all)) != NULL)
	{
		bool		nulls[RESERVATION_COLUMNS] = {false};
		Datum		row[RESERVATION_COLUMNS] = {
			Int64GetDatum(reservation->key.entry_id),
			Int64GetDatum(reservation->key.account_id),
			Int64GetDatum(reservation->entry_no),
			Int16GetDatum(reservation->kind),
			PointsGetDatum(reservation->amount),
			PointsGetDatum(reservation->remaining),
			TimestampTzGetDatum(reservation->due_at),
		};

		if (!reservation->changed)
			continue;
		nulls[6] = TIMESTAMP_NOT_FINITE(reservation->due_at);
		nulls[7] = reservation->lots.n == 0;
		row[7] = nulls[7] ? (Datum) 0 : lots_pack(&reservation->lots);
		columns_set(columns, RESERVATION_COLUMNS, changed++, row, nulls);
	}
	if (changed > 0)
		columns_write(&reservations_write_sql, &reservation_write_sql, merchant_id, columns, RESERVATION_COLUMNS, changed);
}

/*
 * rank.c
 *		Ranks, as the engine brings them in line with the points that count.
 *
 * One statement for a whole batch.  A rank that is reached gets the moment at
 * which it will not be, so it ends by itself, whoever looks and whenever.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "plan.h"
#include "rank.h"
#include "utils/array.h"
#include "utils/timestamp.h"

static void
settle(int64 merchant_id, Datum account_ids, TimestampTz now)
{
	Datum		values[] = {Int64GetDatum(merchant_id), account_ids, TimestampTzGetDatum(now)};

	plan_write(PLAN_RANKS_SETTLE, values, NULL);
}

/* The accounts are locked, and what they have earned has been written. */
void
ranks_settle(int64 merchant_id, const int64 *account_ids, int n, TimestampTz now)
{
	Datum	   *ids = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(account_ids[i]);
	settle(merchant_id, PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE)), now);
}

PG_FUNCTION_INFO_V1(loyalty_settle_ranks);

Datum
loyalty_settle_ranks(PG_FUNCTION_ARGS)
{
	plan_begin();
	settle(PG_GETARG_INT64(0), PG_GETARG_DATUM(1), PG_GETARG_TIMESTAMPTZ(2));
	plan_end();
	PG_RETURN_VOID();
}

/*
 * verify_expired.c
 *		Expired lots, against the entries.
 *
 * What the entries of an account expired is summed by the dates of the lots,
 * which are all in memory.  The rows of loyalty_internal.expired_lot have the
 * same sums, and how much of each was refunded.
 */
#include "postgres.h"

#include "base/table.h"
#include "proof/verify_expired.h"
#include "utils/memutils.h"

/* Points that expired of those of one date, by the entries. */
typedef struct ExpiredLot
{
	TimestampTz posted;			/* hash key */
	int128		points;
	bool		has_row;
} ExpiredLot;

/* Count the lots that an entry says have expired. */
void
expired_lots_add(Verification *v, const Lots *expired)
{
	if (v->replay.expired_lots == NULL)
		v->replay.expired_lots = table_create("expired lots", 64, sizeof(TimestampTz), sizeof(ExpiredLot), v->account_context);
	for (int i = 0; i < expired->n; i++)
	{
		bool		found;
		ExpiredLot *sum = hash_search(v->replay.expired_lots, &expired->lot[i].posted, HASH_ENTER, &found);

		if (!found)
		{
			sum->points = 0;
			sum->has_row = false;
		}
		sum->points += expired->lot[i].points;
	}
}

/* The row of a date has the points that expired by the entries, and no more of them are refunded. */
static void
check_row(Verification *v)
{
	TimestampTz posted = stream_int64(&v->expired_lots, "expires_at", 0);
	Points		points = stream_int64(&v->expired_lots, "points", 0);
	Points		counted = stream_int64(&v->expired_lots, "refunded", 0);
	ExpiredLot *sum = NULL;

	if (v->replay.expired_lots != NULL)
		sum = hash_search(v->replay.expired_lots, &posted, HASH_FIND, NULL);
	if (sum != NULL)
		sum->has_row = true;
	if (sum == NULL || sum->points != points)
		breach(v, INVARIANT_EXPIRED_ROW, NO_ENTRY, "%s points on %s, entries say %s", points_text(points),
			   time_text(posted), sum_text(sum != NULL ? sum->points : 0));
	else if (counted < 0 || counted > points)
		breach(v, INVARIANT_EXPIRED_REFUNDED, NO_ENTRY, "%s of %s points on %s", points_text(counted),
			   points_text(points), time_text(posted));
}

/* Every date of which something expired has its row. */
static void
check_missing(Verification *v)
{
	HASH_SEQ_STATUS all;
	ExpiredLot *sum;

	if (v->replay.expired_lots == NULL)
		return;
	hash_seq_init(&all, v->replay.expired_lots);
	while ((sum = hash_seq_search(&all)) != NULL)
	{
		if (!sum->has_row)
			breach(v, INVARIANT_EXPIRED_ROW, NO_ENTRY, "there is no row of %s points on %s", sum_text(sum->points),
				   time_text(sum->posted));
	}
}

/* Compare the expired lots of an account with their rows, once its entries are replayed. */
void
verify_expired_lots(Verification *v)
{
	for (; at_account(v, &v->expired_lots); stream_next(&v->expired_lots))
	{
		MemoryContextReset(v->row_context);
		if (v->replay.whole)
			check_row(v);
	}
	if (v->replay.whole)
		check_missing(v);
}

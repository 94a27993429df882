/*
 * verify_expired.c
 *		What expired at which moment, against the entries.
 *
 * The entries of an account that expired something are summed by its dates,
 * which are all in memory; the rows of loyalty.lapse say the same, and how much
 * of it refunds have counted, which loyalty.verify() compares with the refunds.
 */
#include "postgres.h"

#include "proof/verify.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

void
lapse_add(Verification *v, const Lots *expired)
{
	HASHCTL		control = {.keysize = sizeof(TimestampTz),.entrysize = sizeof(Expired),.hcxt = v->account_context};

	if (v->replay.expired_at == NULL)
		v->replay.expired_at = hash_create("expired", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < expired->n; i++)
	{
		bool		found;
		Expired    *sum = hash_search(v->replay.expired_at, &expired->lot[i].posted, HASH_ENTER, &found);

		if (!found)
		{
			sum->points = 0;
			sum->has_row = false;
		}
		sum->points += expired->lot[i].points;
	}
}

/* Whether the row of a date can be as it is. */
static void
check_row(Verification *v)
{
	TimestampTz posted = stream_int64(&v->lapses, "expires_at", 0);
	Points		points = stream_int64(&v->lapses, "points", 0);
	Points		counted = stream_int64(&v->lapses, "refunded", 0);
	Expired    *sum = NULL;

	if (v->replay.expired_at != NULL)
		sum = hash_search(v->replay.expired_at, &posted, HASH_FIND, NULL);
	if (sum != NULL)
		sum->has_row = true;
	if (sum == NULL || sum->points != points)
		verify_breach(v, INVARIANT_LAPSE_ROW, NO_ENTRY, "%s points on %s, entries say %s", points_text(points),
					  pstrdup(timestamptz_to_str(posted)), sum_text(sum != NULL ? sum->points : 0));
	else if (counted < 0 || counted > points)
		verify_breach(v, INVARIANT_LAPSE_REFUNDED, NO_ENTRY, "%s of %s points on %s", points_text(counted),
					  points_text(points), pstrdup(timestamptz_to_str(posted)));
}

/* All dates have their row. */
static void
check_missing(Verification *v)
{
	HASH_SEQ_STATUS all;
	Expired    *sum;

	if (v->replay.expired_at == NULL)
		return;
	hash_seq_init(&all, v->replay.expired_at);
	while ((sum = hash_seq_search(&all)) != NULL)
	{
		if (!sum->has_row)
			verify_breach(v, INVARIANT_LAPSE_ROW, NO_ENTRY, "there is no row of %s points on %s", sum_text(sum->points),
						  pstrdup(timestamptz_to_str(sum->posted)));
	}
}

void
verify_lapses(Verification *v)
{
	const Replay *replay = &v->replay;
	Stream	   *rows = &v->lapses;

	for (; !rows->ended && stream_int64(rows, "account_id", 0) == replay->account_id; stream_next(rows))
	{
		MemoryContextReset(v->row_context);
		if (replay->whole)
			check_row(v);
	}
	if (replay->whole)
		check_missing(v);
}

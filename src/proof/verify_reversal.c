/*
 * verify_reversal.c
 *		Reversals, against the entries.
 *
 * A row of loyalty_internal.reversal is one part of an entry (the original) that
 * another entry reversed.  It is read with both.
 */
#include "postgres.h"

#include "proof/verify_reversal.h"
#include "utils/memutils.h"

/* How many points of the original entry can be reversed; -1: none can. */
static int128
reversible_points(const Stream *row)
{
	int128		amount = stream_int64(row, "original_amount", 0);
	int128		reserved = stream_int64(row, "original_reserved", 0);

	switch (stream_int64(row, "original_kind", 0))
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return amount + reserved;
		case ENTRY_REDEEM:
			return -amount;
		case ENTRY_CAPTURE:
			return -reserved;
		case ENTRY_TRANSFER:
			return stream_has(row, "original_origin_entry_id") ? -1 : -amount;
		default:
			return -1;
	}
}

/* Whether the reversing entry is what the row says of it. */
static bool
is_by_entry(const Stream *row)
{
	bool		transfer = stream_int64(row, "original_kind", 0) == ENTRY_TRANSFER;

	return stream_int64(row, "entry_kind", 0) == (transfer ? ENTRY_TRANSFER : ENTRY_REVERSE) &&
		stream_int64(row, "entry_origin_entry_id", 0) == stream_int64(row, "entry_id", 0) &&
		stream_int64(row, "entry_peer_account_id", 0) == stream_int64(row, "original_peer_account_id", 0) &&
		stream_int64(row, "same_reference", false) && stream_int64(row, "comes_after", false) &&
		stream_has(row, "entry_money") == stream_has(row, "money") &&
		stream_int64(row, "entry_money", 0) == stream_int64(row, "money", 0);
}

/*
 * Whether the reversing entry moved the points of the row, less those that had
 * expired.  Fewer points may have been there to be taken back; then none are
 * left.
 */
static bool
moved_points(const Stream *row)
{
	int64		expired = stream_int64(row, "expired", 0);
	int128		points = (int128) stream_int64(row, "amount", 0) - expired;
	int128		amount = stream_int64(row, "entry_amount", 0);
	int128		reserved = stream_int64(row, "entry_reserved", 0);

	if (expired < 0 || points < 0)
		return false;
	switch (stream_int64(row, "original_kind", 0))
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return amount + reserved == -points ||
				(reserved == 0 && -amount >= 0 && -amount < points && stream_int64(row, "entry_balance", 0) <= 0);
		case ENTRY_TRANSFER:
			return amount >= 0 && amount <= points;
		default:
			return amount == points && expired == 0;
	}
}

/* Whether the lots of the row are among those of the original; damaged ones are a breach of their own. */
static bool
has_lots(const Stream *row)
{
	struct varlena *of = stream_varlena(row, "original_lots");
	struct varlena *packed = stream_varlena(row, "lots");
	Lots		original = {0};
	Lots		lots;

	if (packed == NULL || !lots_read_if_sound(PointerGetDatum(packed), &lots) ||
		(of != NULL && !lots_read_if_sound(PointerGetDatum(of), &original)))
		return true;
	return lots_take_all(&original, &lots);
}

/* Whether the row has the balance after the reversal; points that had expired were gone right after it. */
static bool
has_answer(const Stream *row)
{
	int64		answer = stream_int64(row, "balance", 0);

	return answer == stream_int64(row, "entry_balance", 0) ||
		(stream_has(row, "next_balance") && answer == stream_int64(row, "next_balance", 0));
}

static const char *
problem_of(const Stream *row)
{
	if (!stream_has(row, "original_kind"))
		return "there is no such entry";
	if (reversible_points(row) < 0)
		return "entries of its kind cannot be reversed";
	if (!stream_has(row, "entry_kind"))
		return "there is no entry that reversed it";
	if (!is_by_entry(row))
		return "that entry did something else";
	if (stream_int64(row, "amount", 0) < 0 || !moved_points(row) || !has_lots(row))
		return "that entry moved other points";
	if (!has_answer(row))
		return "that entry left another balance";
	return NULL;
}

/* What the rows so far have reversed of one entry. */
typedef struct Parts
{
	int64		entry_id;
	int128		points;
	int128		money;
	Lots		left;			/* of the lots of the entry */
	Points		dated;			/* taken out of them */
	bool		as_whole;		/* some row tells no money */
	bool		all;			/* nothing is left of the entry */
	bool		reported;
} Parts;

/* Whether the row reversed lots that others have left. */
static bool
lots_were_left(Verification *v, const Stream *row, Parts *parts)
{
	Lots		lots;

	if (!readable_lots(v, parts->entry_id, stream_varlena(row, "lots"), "what was reversed", &lots) ||
		!lots_take_all(&parts->left, &lots))
		return false;
	parts->dated += lots_total(&lots);
	return true;
}

static bool
parts_fit(Verification *v, const Stream *row, Parts *parts)
{
	int128		undated = reversible_points(row) - lots_total(&parts->left) - parts->dated;

	return lots_were_left(v, row, parts) && parts->points <= reversible_points(row) && parts->points - parts->dated >= 0 &&
		parts->points - parts->dated <= undated &&
		(parts->money == 0 || parts->money <= stream_int64(row, "original_money", 0));
}

static void
add_part(Verification *v, const Stream *row, Parts *parts)
{
	int64		entry_id = stream_int64(row, "entry_id", 0);

	if (entry_id != parts->entry_id)
	{
		struct varlena *packed = stream_varlena(row, "original_lots");
		MemoryContext caller = MemoryContextSwitchTo(v->account_context);

		memset(parts, 0, sizeof(Parts));
		parts->entry_id = entry_id;
		if (packed != NULL && !lots_read_if_sound(PointerGetDatum(packed), &parts->left))
			parts->reported = true;
		MemoryContextSwitchTo(caller);
	}
	parts->points += stream_int64(row, "amount", 0);
	parts->money += stream_int64(row, "money", 0);
	if (parts->reported || parts_fit(v, row, parts))
		return;
	parts->reported = true;
	breach(v, INVARIANT_REVERSAL_PARTS, entry_id, "%s points for %s of money are reversed, of %s for %s, or other lots",
		   sum_text(parts->points), sum_text(parts->money), sum_text(reversible_points(row)),
		   points_text(stream_int64(row, "original_money", 0)));
}

/* A sale of which nothing is left is no purchase: one that earned nothing was reversed as a whole, or all of its money. */
static void
add_returned(Replay *replay, const Stream *row, Parts *parts)
{
	int128		points = reversible_points(row);

	parts->as_whole |= !stream_has(row, "money");
	if (parts->all || stream_int64(row, "original_kind", 0) != ENTRY_ACCRUE)
		return;
	parts->all = points > 0 ? parts->points >= points :
		parts->as_whole || (parts->money > 0 && parts->money == stream_int64(row, "original_money", 0));
	replay->purchases -= parts->all;
}

/* Points that were taken back do not count as earned. */
static void
add_unearned(Replay *replay, const Stream *row)
{
	if (stream_int64(row, "entry_kind", 0) == ENTRY_REVERSE && stream_int64(row, "entry_amount", 0) <= 0 &&
		stream_int64(row, "entry_reserved", 0) == 0)
		replay->earned -= stream_int64(row, "amount", 0);
}

static Statement verify_unnoted_sql = {
	.sql = "SELECT (SELECT e.entry_id FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.account_id = $2"
	" AND (e.kind = " KIND_SQL(REVERSE) " OR e.kind = " KIND_SQL(TRANSFER) " AND e.origin_entry_id IS NOT NULL AND e.amount OPERATOR(loyalty.>) '0')"
	" AND NOT EXISTS (SELECT FROM loyalty_internal.reversal r WHERE r.merchant_id = $1 AND r.account_id = $2"
	" AND r.entry_id = e.origin_entry_id AND r.reversed_by = e.entry_id) ORDER BY e.entry_no LIMIT 1) AS entry_id",
	.params = {INT8OID, INT8OID}
};

/* Report the first entry that reversed something and has no row. */
static void
report_unnoted(Verification *v)
{
	Datum		values[] = {Int64GetDatum(v->merchant_id), Int64GetDatum(v->replay.account_id)};
	bool		isnull;
	int64		entry_id;

	db_read(&verify_unnoted_sql, values, NULL);
	entry_id = DatumGetInt64(row_datum(0, "entry_id", &isnull));
	breach(v, INVARIANT_REVERSAL_ROW, isnull ? NO_ENTRY : entry_id, "what it reversed is not noted");
}

/* Compare the rows of reversals with the entries of the account, once these are replayed. */
void
verify_reversals(Verification *v)
{
	Stream	   *rows = &v->reversals;
	Parts		parts = {0};
	uint64		matching = 0;
	bool		broken = false;

	for (; at_account(v, rows); stream_next(rows))
	{
		const char *problem;

		MemoryContextReset(v->row_context);
		if (!v->replay.whole)
			continue;
		problem = problem_of(rows);
		if (problem != NULL)
		{
			breach(v, INVARIANT_REVERSAL_ROW, stream_int64(rows, "entry_id", 0), "by entry " INT64_FORMAT ": %s",
				   stream_int64(rows, "reversed_by", 0), problem);
			broken = true;
			continue;
		}
		matching += stream_int64(rows, "entry_kind", 0) == ENTRY_REVERSE || stream_int64(rows, "entry_amount", 0) > 0;
		add_part(v, rows, &parts);
		add_returned(&v->replay, rows, &parts);
		add_unearned(&v->replay, rows);
	}
	v->replay.refunds_known = !broken && matching == v->replay.reversals;
	if (v->replay.whole && !broken && matching != v->replay.reversals)
		report_unnoted(v);
}

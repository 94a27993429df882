/*
 * verify_reservation.c
 *		What was set aside and what was undone, against the entries.
 *
 * Of what an account has set aside, only what is not used up is in memory.
 * The rows of loyalty.aside are met in the order of the entries that set
 * something aside.
 */
#include "postgres.h"

#include "proof/verify.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * The rows of loyalty.aside
 * ------------------------------------------------------------------------ */

static bool
at_row(const Verification *v, const Stream *rows)
{
	return !rows->ended && stream_int64(rows, "account_id", 0) == v->replay.account_id;
}

/* A row that no entry has asked for. */
static void
pass_orphan(Verification *v)
{
	if (v->replay.whole)
		verify_breach(v, INVARIANT_ASIDE_ROW, stream_int64(&v->asides, "entry_id", 0), "no entry of this number set anything aside");
	stream_next(&v->asides);
}

static void
copy_lots(const Verification *v, const Lots *lots, Lots *copy)
{
	memset(copy, 0, sizeof(Lots));
	if (lots->n == 0)
		return;
	copy->n = copy->allocated = lots->n;
	copy->lot = MemoryContextAlloc(v->account_context, lots->n * sizeof(Lot));
	memcpy(copy->lot, lots->lot, lots->n * sizeof(Lot));
}

/* The row of what the entry set aside; false, and a finding, if there is none that fits. */
static bool
read_row(Verification *v, const Entry *entry, AsideRow *row)
{
	Stream	   *rows = &v->asides;
	Lots		lots;
	bool		readable;

	while (at_row(v, rows) && (stream_int64(rows, "entry_no", 0) < entry->entry_no ||
							   (stream_int64(rows, "entry_no", 0) == entry->entry_no && stream_int64(rows, "entry_id", 0) < entry->entry_id)))
		pass_orphan(v);
	if (!at_row(v, rows) || stream_int64(rows, "entry_id", 0) != entry->entry_id || stream_int64(rows, "entry_no", 0) != entry->entry_no)
	{
		verify_breach(v, INVARIANT_ASIDE_ROW, entry->entry_id, "there is no row of what it set aside");
		return false;
	}
	row->kind = stream_int64(rows, "kind", 0);
	row->amount = stream_int64(rows, "amount", 0);
	row->remaining = stream_int64(rows, "remaining", 0);
	row->due_at = stream_int64(rows, "due_at", DT_NOEND);
	readable = verify_lots(v, entry->entry_id, PointerGetDatum(stream_varlena(rows, "lots")), "what is set aside", &lots);
	copy_lots(v, &lots, &row->lots);
	stream_next(rows);
	if (row->kind != entry->kind || row->amount != entry->aside)
	{
		verify_breach(v, INVARIANT_ASIDE_ROW, entry->entry_id, "it set aside %s points, its row says %s, or another kind",
					  points_text(entry->aside), points_text(row->amount));
		return false;
	}
	return readable;
}

static void
compare_row(Verification *v, const OpenAside *aside)
{
	const AsideRow *replayed = &aside->replayed;
	const AsideRow *stored = &aside->stored;

	if (!aside->is_stored)
		return;
	if (replayed->remaining > 0)
		v->replay.due_at = Min(v->replay.due_at, stored->due_at);
	if (stored->remaining != replayed->remaining || !same_lots(&stored->lots, &replayed->lots))
		verify_breach(v, INVARIANT_ASIDE_ROW, aside->entry_id, "%s points in %d lots are left, entries leave %s in %d",
					  points_text(stored->remaining), stored->lots.n, points_text(replayed->remaining), replayed->lots.n);
}

void
aside_open(Verification *v, const Entry *entry, const Lots *lots)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(OpenAside),.hcxt = v->account_context};
	OpenAside  *aside;

	if (v->replay.asides == NULL)
		v->replay.asides = hash_create("open asides", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	aside = hash_search(v->replay.asides, &entry->entry_id, HASH_ENTER, NULL);
	aside->replayed.kind = entry->kind;
	aside->replayed.amount = aside->replayed.remaining = entry->aside;
	copy_lots(v, lots, &aside->replayed.lots);
	memset(&aside->stored, 0, sizeof(AsideRow));
	aside->is_stored = read_row(v, entry, &aside->stored);
}

static void
free_lots(Lots *lots)
{
	if (lots->lot != NULL)
		pfree(lots->lot);
}

static void
aside_close(Verification *v, OpenAside *aside)
{
	compare_row(v, aside);
	free_lots(&aside->replayed.lots);
	free_lots(&aside->stored.lots);
	hash_search(v->replay.asides, &aside->entry_id, HASH_REMOVE, NULL);
}

/* ------------------------------------------------------------------------
 * What entries take of it
 * ------------------------------------------------------------------------ */

static bool
is_of_kind(const Entry *entry, const AsideRow *row)
{
	if (entry->kind == ENTRY_CAPTURE || entry->kind == ENTRY_RELEASE)
		return row->kind == ENTRY_HOLD;
	return row->kind != ENTRY_HOLD;
}

/* Spent, or undone: from the first to expire on. */
static bool
lots_are_first(const Entry *entry, const Lots *lots, AsideRow *row)
{
	Lots		taken = {0};

	lots_take_first(&row->lots, -entry->aside, &taken);
	return same_lots(&taken, lots);
}

/*
 * Given back, or available from now on: what never expires, then from the last
 * to expire on.  Some may have got a new date.
 */
static bool
lots_come_back(const Entry *entry, const Lots *lots, AsideRow *row)
{
	Points		undated = row->remaining - lots_total(&row->lots);

	return lots_total(lots) == lots_take_last(&row->lots, Max(entry->amount - undated, 0), NULL);
}

/* An entry takes points of what was set aside; false, and a finding, if it cannot. */
bool
aside_take(Verification *v, const Entry *entry, const Lots *lots)
{
	OpenAside  *aside = NULL;
	AsideRow   *row;
	bool		as_spending = entry->kind == ENTRY_CAPTURE || entry->kind == ENTRY_REVERSE;

	if (v->replay.asides != NULL)
		aside = hash_search(v->replay.asides, &entry->origin, HASH_FIND, NULL);
	if (aside == NULL || !is_of_kind(entry, &aside->replayed) || -entry->aside > aside->replayed.remaining ||
		(entry->kind == ENTRY_MATURE && -entry->aside != aside->replayed.remaining))
	{
		verify_breach(v, INVARIANT_ASIDE, entry->entry_id, "%s of %s points of entry " INT64_FORMAT ", which has %s left",
					  entry_kind_name(entry->kind), points_text(-entry->aside), entry->origin,
					  aside != NULL ? points_text(aside->replayed.remaining) : "none");
		return false;
	}
	row = &aside->replayed;
	if (as_spending ? !lots_are_first(entry, lots, row) : !lots_come_back(entry, lots, row))
	{
		verify_breach(v, INVARIANT_LOTS, entry->entry_id, "%s of %s points has other lots than entry " INT64_FORMAT " leaves",
					  entry_kind_name(entry->kind), points_text(-entry->aside), entry->origin);
		return false;
	}
	row->remaining += entry->aside;
	if (row->remaining == 0)
		aside_close(v, aside);
	return true;
}

/* What is left in the end. */
void
verify_asides(Verification *v)
{
	HASH_SEQ_STATUS all;
	OpenAside  *aside;

	while (at_row(v, &v->asides))
	{
		MemoryContextReset(v->row_context);
		pass_orphan(v);
	}
	if (!v->replay.whole || v->replay.asides == NULL)
		return;
	hash_seq_init(&all, v->replay.asides);
	while ((aside = hash_seq_search(&all)) != NULL)
		compare_row(v, aside);
}

/* ------------------------------------------------------------------------
 * What was undone
 * ------------------------------------------------------------------------ */

/* How many points of the original can be undone; -1: none can. */
static int128
whole_of(const Stream *row)
{
	int128		amount = stream_int64(row, "original_amount", 0);
	int128		aside = stream_int64(row, "original_aside", 0);

	switch (stream_int64(row, "original_kind", 0))
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return amount + aside;
		case ENTRY_REDEEM:
			return -amount;
		case ENTRY_CAPTURE:
			return -aside;
		case ENTRY_TRANSFER:
			return stream_has(row, "original_origin") ? -1 : -amount;
		default:
			return -1;
	}
}

/* Whether the entry is the one that the row means. */
static bool
is_by_entry(const Stream *row)
{
	bool		transfer = stream_int64(row, "original_kind", 0) == ENTRY_TRANSFER;

	return stream_int64(row, "entry_kind", 0) == (transfer ? ENTRY_TRANSFER : ENTRY_REVERSE) &&
		stream_int64(row, "entry_origin", 0) == stream_int64(row, "entry_id", 0) &&
		stream_int64(row, "entry_peer_id", 0) == stream_int64(row, "original_peer_id", 0) &&
		stream_int64(row, "same_reference", false) && stream_int64(row, "comes_after", false) &&
		stream_has(row, "entry_money") == stream_has(row, "money") &&
		stream_int64(row, "entry_money", 0) == stream_int64(row, "money", 0);
}

/*
 * Whether the entry moved these points, less those that had expired.  Less
 * than that may have been there to be taken back; then nothing is left.
 */
static bool
moved_points(const Stream *row)
{
	int64		expired = stream_int64(row, "expired", 0);
	int128		undone = (int128) stream_int64(row, "amount", 0) - expired;
	int128		amount = stream_int64(row, "entry_amount", 0);
	int128		aside = stream_int64(row, "entry_aside", 0);

	if (expired < 0 || undone < 0)
		return false;
	switch (stream_int64(row, "original_kind", 0))
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return amount + aside == -undone ||
				(aside == 0 && -amount >= 0 && -amount < undone && stream_int64(row, "entry_balance", 0) <= 0);
		case ENTRY_TRANSFER:
			return amount >= 0 && amount <= undone;
		default:
			return amount == undone && expired == 0;
	}
}

/* Whether the lots that were undone are some of the entry's; those that are damaged are another finding. */
static bool
has_lots(const Stream *row)
{
	struct varlena *of = stream_varlena(row, "original_lots");
	struct varlena *undone = stream_varlena(row, "lots");
	Lots		original = {0};
	Lots		lots;

	if (undone == NULL || !lots_read_if_sound(PointerGetDatum(undone), &lots) ||
		(of != NULL && !lots_read_if_sound(PointerGetDatum(of), &original)))
		return true;
	for (int i = 0; i < lots.n; i++)
	{
		if (lots_take_lot(&original, &lots.lot[i], NULL) != lots.lot[i].points)
			return false;
	}
	return true;
}

/* The answer that is kept is the balance then; what had expired went at once. */
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
	if (whole_of(row) < 0)
		return "entries of its kind cannot be undone";
	if (!stream_has(row, "entry_kind"))
		return "there is no entry that undid it";
	if (!is_by_entry(row))
		return "that entry did something else";
	if (stream_int64(row, "amount", 0) < 0 || !moved_points(row) || !has_lots(row))
		return "that entry moved other points";
	if (!has_answer(row))
		return "that entry left another balance";
	return NULL;
}

/* The parts of one entry so far. */
typedef struct Parts
{
	int64		entry_id;
	int128		points;
	int128		money;
	Lots		left;			/* of the entry's lots */
	Points		dated;			/* that they have taken of them */
	bool		reported;
} Parts;

/* Whether the part undid lots that other parts have left. */
static bool
lots_were_left(Verification *v, const Stream *row, Parts *parts)
{
	Lots		lots;

	if (!verify_lots(v, parts->entry_id, PointerGetDatum(stream_varlena(row, "lots")), "what was undone", &lots))
		return false;
	for (int i = 0; i < lots.n; i++)
	{
		if (lots_take_lot(&parts->left, &lots.lot[i], NULL) != lots.lot[i].points)
			return false;
	}
	parts->dated += lots_total(&lots);
	return true;
}

static bool
parts_fit(Verification *v, const Stream *row, Parts *parts)
{
	int128		undated = whole_of(row) - lots_total(&parts->left) - parts->dated;

	return lots_were_left(v, row, parts) && parts->points <= whole_of(row) && parts->points - parts->dated >= 0 &&
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

		*parts = (Parts) {.entry_id = entry_id};
		if (packed != NULL && !lots_read_if_sound(PointerGetDatum(packed), &parts->left))
			parts->reported = true;
		MemoryContextSwitchTo(caller);
	}
	parts->points += stream_int64(row, "amount", 0);
	parts->money += stream_int64(row, "money", 0);
	if (parts->reported || parts_fit(v, row, parts))
		return;
	parts->reported = true;
	verify_breach(v, INVARIANT_REVERSAL_PARTS, entry_id, "%s points for %s of money are undone, of %s for %s, or other lots",
				  sum_text(parts->points), sum_text(parts->money), sum_text(whole_of(row)),
				  points_text(stream_int64(row, "original_money", 0)));
}

/* What was undone of points that counted as earned does not. */
static void
add_unearned(Replay *replay, const Stream *row)
{
	if (stream_int64(row, "entry_kind", 0) == ENTRY_REVERSE && stream_int64(row, "entry_amount", 0) <= 0 &&
		stream_int64(row, "entry_aside", 0) == 0)
		replay->earned -= stream_int64(row, "amount", 0);
}

static Statement verify_unnoted_sql = {
	.sql = "SELECT (SELECT e.entry_id FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.account_id = $2"
	" AND (e.kind = " KIND_SQL(REVERSE) " OR e.kind = " KIND_SQL(TRANSFER) " AND e.origin IS NOT NULL AND e.amount OPERATOR(loyalty.>) '0')"
	" AND NOT EXISTS (SELECT FROM loyalty.reversal r WHERE r.merchant_id = $1 AND r.account_id = $2"
	" AND r.entry_id = e.origin AND r.reversed_by = e.entry_id) ORDER BY e.entry_no LIMIT 1) AS entry_id",
	.params = {INT8OID, INT8OID}
};

/* An entry that undid something has its row, if all rows have their entry and there are as many. */
static void
check_unnoted(Verification *v)
{
	Datum		values[] = {Int64GetDatum(v->merchant_id), Int64GetDatum(v->replay.account_id)};
	bool		isnull;
	int64		entry_id;

	db_read(&verify_unnoted_sql, values, NULL);
	entry_id = DatumGetInt64(row_datum(0, "entry_id", &isnull));
	verify_breach(v, INVARIANT_REVERSAL_ROW, isnull ? NO_ENTRY : entry_id, "what it undid is not noted");
}

void
verify_reversals(Verification *v)
{
	Stream	   *rows = &v->reversals;
	Parts		parts = {0};
	uint64		matching = 0;
	bool		broken = false;

	for (; at_row(v, rows); stream_next(rows))
	{
		const char *problem;

		MemoryContextReset(v->row_context);
		if (!v->replay.whole)
			continue;
		problem = problem_of(rows);
		if (problem != NULL)
		{
			verify_breach(v, INVARIANT_REVERSAL_ROW, stream_int64(rows, "entry_id", 0), "by entry " INT64_FORMAT ": %s",
						  stream_int64(rows, "reversed_by", 0), problem);
			broken = true;
			continue;
		}
		matching += stream_int64(rows, "entry_kind", 0) == ENTRY_REVERSE || stream_int64(rows, "entry_amount", 0) > 0;
		add_part(v, rows, &parts);
		add_unearned(&v->replay, rows);
	}
	v->replay.refunds_known = !broken && matching == v->replay.undoings;
	if (v->replay.whole && !broken && matching != v->replay.undoings)
		check_unnoted(v);
}

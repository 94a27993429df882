/*
 * verify_aside.c
 *		What was set aside and what was undone, against the entries.
 *
 * Of what an account has set aside, only what is not used up is in memory.
 * The rows of loyalty.aside are met in the order of the entries that set
 * something aside.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "verify.h"

/* ------------------------------------------------------------------------
 * The rows of loyalty.aside
 * ------------------------------------------------------------------------ */

static bool
at_row(const Verification *v, const Stream *rows)
{
	return !rows->ended && stream_int64(rows, 0, 0) == v->replay.account_id;
}

/* A row that no entry has asked for. */
static void
pass_orphan(Verification *v)
{
	if (v->replay.whole)
		verify_breach(v, INVARIANT_ASIDE_ROW, stream_int64(&v->asides, 1, 0), "no entry of this number set anything aside");
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

	while (at_row(v, rows) && stream_int64(rows, 1, 0) < entry->version)
		pass_orphan(v);
	if (!at_row(v, rows) || stream_int64(rows, 1, 0) != entry->version)
	{
		verify_breach(v, INVARIANT_ASIDE_ROW, entry->version, "there is no row of what it set aside");
		return false;
	}
	row->kind = stream_int64(rows, 2, 0);
	row->amount = stream_int64(rows, 3, 0);
	row->remaining = stream_int64(rows, 4, 0);
	row->due_at = stream_int64(rows, 5, DT_NOEND);
	readable = verify_lots(v, entry->version, PointerGetDatum(stream_varlena(rows, 6)), "what is set aside", &lots);
	copy_lots(v, &lots, &row->lots);
	stream_next(rows);
	if (row->kind != entry->kind || row->amount != entry->aside)
	{
		verify_breach(v, INVARIANT_ASIDE_ROW, entry->version, "it set aside %s points, its row says %s, or another kind",
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
		verify_breach(v, INVARIANT_ASIDE_ROW, aside->version, "%s points in %d lots are left, entries leave %s in %d",
					  points_text(stored->remaining), stored->lots.n, points_text(replayed->remaining), replayed->lots.n);
}

void
aside_open(Verification *v, const Entry *entry, const Lots *lots)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(OpenAside),.hcxt = v->account_context};
	OpenAside  *aside;

	if (v->replay.asides == NULL)
		v->replay.asides = hash_create("open asides", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	aside = hash_search(v->replay.asides, &entry->version, HASH_ENTER, NULL);
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
	hash_search(v->replay.asides, &aside->version, HASH_REMOVE, NULL);
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
 * to expire on.  Some may have got a new date; a debt of the account is paid.
 */
static bool
lots_come_back(const Verification *v, const Entry *entry, const Lots *lots, AsideRow *row)
{
	Points		undated = row->remaining - lots_total(&row->lots);
	Points		dated = lots_take_last(&row->lots, Max(entry->amount - undated, 0), NULL);
	Points		debt = Min(v->replay.balance, 0);

	debt = debt < -entry->amount ? entry->amount : -debt;
	return lots_total(lots) == dated - Min(dated, debt);
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
		verify_breach(v, INVARIANT_ASIDE, entry->version, "%s of %s points of entry " INT64_FORMAT ", which has %s left",
					  entry_kind_name(entry->kind), points_text(-entry->aside), entry->origin,
					  aside != NULL ? points_text(aside->replayed.remaining) : "none");
		return false;
	}
	row = &aside->replayed;
	if (as_spending ? !lots_are_first(entry, lots, row) : !lots_come_back(v, entry, lots, row))
	{
		verify_breach(v, INVARIANT_LOTS, entry->version, "%s of %s points has other lots than entry " INT64_FORMAT " leaves",
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

/* Columns of PLAN_VERIFY_REVERSALS. */
enum
{
	UNDONE_VERSION = 1,
	UNDONE_BY,
	UNDONE_AMOUNT,
	UNDONE_MONEY,
	UNDONE_ANSWER,
	ORIGINAL_KIND,
	ORIGINAL_AMOUNT,
	ORIGINAL_ASIDE,
	ORIGINAL_MONEY,
	ORIGINAL_ORIGIN,
	ORIGINAL_PEER,
	ENTRY_KIND,
	ENTRY_AMOUNT,
	ENTRY_ASIDE,
	ENTRY_MONEY,
	ENTRY_BALANCE,
	ENTRY_ORIGIN,
	ENTRY_PEER,
	ENTRY_SAME_REFERENCE,
	NEXT_BALANCE,
	ORIGINAL_LOTS,
	ENTRY_POSTED_AT
};

/* How many points of the original can be undone; -1: none can. */
static int128
whole_of(const Stream *row)
{
	int128		amount = stream_int64(row, ORIGINAL_AMOUNT, 0);
	int128		aside = stream_int64(row, ORIGINAL_ASIDE, 0);

	switch (stream_int64(row, ORIGINAL_KIND, 0))
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return amount + aside;
		case ENTRY_REDEEM:
			return -amount;
		case ENTRY_CAPTURE:
			return -aside;
		case ENTRY_TRANSFER:
			return stream_has(row, ORIGINAL_ORIGIN) ? -1 : -amount;
		default:
			return -1;
	}
}

/* Whether the entry is the one that the row means. */
static bool
is_by_entry(const Stream *row)
{
	bool		transfer = stream_int64(row, ORIGINAL_KIND, 0) == ENTRY_TRANSFER;

	return stream_int64(row, ENTRY_KIND, 0) == (transfer ? ENTRY_TRANSFER : ENTRY_REVERSE) &&
		stream_int64(row, ENTRY_ORIGIN, 0) == stream_int64(row, UNDONE_VERSION, 0) &&
		stream_int64(row, ENTRY_PEER, 0) == stream_int64(row, ORIGINAL_PEER, 0) &&
		stream_int64(row, ENTRY_SAME_REFERENCE, false) &&
		stream_has(row, ENTRY_MONEY) == stream_has(row, UNDONE_MONEY) &&
		stream_int64(row, ENTRY_MONEY, 0) == stream_int64(row, UNDONE_MONEY, 0);
}

/* What of the points that are undone was past its date then. */
static Points
past_points(const Stream *row)
{
	struct varlena *packed = stream_varlena(row, ORIGINAL_LOTS);
	Lots		lots = {0};

	if (packed != NULL)
		lots_read(PointerGetDatum(packed), &lots);
	return lots_take_due(&lots, stream_int64(row, ENTRY_POSTED_AT, 0), NULL);
}

/*
 * Whether the entry moved these points.  Less may have been there to be taken
 * back; then nothing is left.  And nothing is taken for what has expired.
 */
static bool
moved_points(const Stream *row)
{
	int64		undone = stream_int64(row, UNDONE_AMOUNT, 0);
	int128		amount = stream_int64(row, ENTRY_AMOUNT, 0);
	int128		aside = stream_int64(row, ENTRY_ASIDE, 0);

	switch (stream_int64(row, ORIGINAL_KIND, 0))
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return amount + aside == -(int128) undone ||
				(aside == 0 && -amount >= 0 && -amount < undone &&
				 (stream_int64(row, ENTRY_BALANCE, 0) <= 0 || undone + amount <= past_points(row)));
		case ENTRY_TRANSFER:
			return amount >= 0 && amount <= undone;
		default:
			return amount == undone;
	}
}

/* The answer that is kept is the balance then; what had expired went at once. */
static bool
has_answer(const Stream *row)
{
	int64		answer = stream_int64(row, UNDONE_ANSWER, 0);

	return answer == stream_int64(row, ENTRY_BALANCE, 0) ||
		(stream_has(row, NEXT_BALANCE) && answer == stream_int64(row, NEXT_BALANCE, 0));
}

static const char *
problem_of(const Stream *row)
{
	if (!stream_has(row, ORIGINAL_KIND))
		return "there is no such entry";
	if (whole_of(row) < 0)
		return "entries of its kind cannot be undone";
	if (!stream_has(row, ENTRY_KIND))
		return "there is no entry that undid it";
	if (!is_by_entry(row))
		return "that entry did something else";
	if (stream_int64(row, UNDONE_AMOUNT, 0) < 0 || !moved_points(row))
		return "that entry moved other points";
	if (!has_answer(row))
		return "that entry left another balance";
	return NULL;
}

/* The parts of one entry so far. */
typedef struct Parts
{
	int64		version;
	int128		points;
	int128		money;
	bool		reported;
} Parts;

static void
add_part(Verification *v, const Stream *row, Parts *parts)
{
	int64		version = stream_int64(row, UNDONE_VERSION, 0);

	if (version != parts->version)
		*parts = (Parts) {.version = version};
	parts->points += stream_int64(row, UNDONE_AMOUNT, 0);
	parts->money += stream_int64(row, UNDONE_MONEY, 0);
	if (parts->reported || (parts->points <= whole_of(row) &&
							(parts->money == 0 || parts->money <= stream_int64(row, ORIGINAL_MONEY, 0))))
		return;
	parts->reported = true;
	verify_breach(v, INVARIANT_REVERSAL_PARTS, version, "%s points for %s of money are undone, of %s for %s",
				  sum_text(parts->points), sum_text(parts->money), sum_text(whole_of(row)),
				  points_text(stream_int64(row, ORIGINAL_MONEY, 0)));
}

/*
 * What the refund of a sale took less than it undid.  If it left points, these
 * had expired; if not, there may have been no more.
 */
static void
add_not_taken(Replay *replay, const Stream *row)
{
	int128		not_taken = stream_int64(row, UNDONE_AMOUNT, 0) + (int128) stream_int64(row, ENTRY_AMOUNT, 0) +
		stream_int64(row, ENTRY_ASIDE, 0);

	if (stream_int64(row, ORIGINAL_KIND, 0) != ENTRY_ACCRUE && stream_int64(row, ORIGINAL_KIND, 0) != ENTRY_DEPOSIT)
		return;
	replay->not_taken += not_taken;
	if (stream_int64(row, ENTRY_BALANCE, 0) > 0)
		replay->spared += not_taken;
}

/* An entry that undid something has its row, if all rows have their entry and there are as many. */
static void
check_unnoted(Verification *v)
{
	Datum		values[] = {Int64GetDatum(v->merchant_id), Int64GetDatum(v->replay.account_id)};
	bool		isnull;
	int64		version;

	plan_read(PLAN_VERIFY_UNNOTED, values, NULL);
	version = DatumGetInt64(plan_datum(0, 0, &isnull));
	verify_breach(v, INVARIANT_REVERSAL_ROW, isnull ? NO_VERSION : version, "what it undid is not noted");
}

void
verify_reversals(Verification *v)
{
	Stream	   *rows = &v->reversals;
	Parts		parts = {.version = NO_VERSION};
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
			verify_breach(v, INVARIANT_REVERSAL_ROW, stream_int64(rows, UNDONE_VERSION, 0), "by entry " INT64_FORMAT ": %s",
						  stream_int64(rows, UNDONE_BY, 0), problem);
			broken = true;
			continue;
		}
		matching += stream_int64(rows, ENTRY_KIND, 0) == ENTRY_REVERSE || stream_int64(rows, ENTRY_AMOUNT, 0) > 0;
		add_part(v, rows, &parts);
		add_not_taken(&v->replay, rows);
	}
	v->replay.refunds_known = !broken;
	if (v->replay.whole && !broken && matching != v->replay.undoings)
		check_unnoted(v);
}

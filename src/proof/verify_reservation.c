/*
 * verify_reservation.c
 *		Reservations, against the entries: points that are held or pending.
 *
 * The reservations of an account that are not used up are in memory.  The rows
 * of loyalty_internal.reservation come in the order of the entries that made them.
 */
#include "postgres.h"

#include "base/table.h"
#include "proof/verify_reservation.h"
#include "utils/memutils.h"

/* A reservation, as its row has it or as its entries leave it. */
typedef struct ReservationState
{
	EntryKind	kind;
	Points		amount;
	Points		remaining;
	TimestampTz due_at;
	Lots		lots;
} ReservationState;

/* A reservation of which something is left. */
typedef struct OpenReservation
{
	int64		entry_id;		/* hash key: the entry that made it */
	ReservationState replayed;
	ReservationState stored;
	bool		is_stored;		/* there is a row, and it can be read */
} OpenReservation;

/* ------------------------------------------------------------------------
 * The rows of loyalty_internal.reservation
 * ------------------------------------------------------------------------ */

/* Skip a row whose entry is not there, or reserved nothing: a breach. */
static void
pass_orphan(Verification *v)
{
	if (v->replay.whole)
		breach(v, INVARIANT_RESERVED_ROW, stream_int64(&v->reservations, "entry_id", 0), "no entry of this number reserved anything");
	stream_next(&v->reservations);
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

/* Read the row of an entry that reserves; false, and a breach, if there is none that fits. */
static bool
read_reservation_row(Verification *v, const Entry *entry, ReservationState *row)
{
	Stream	   *rows = &v->reservations;
	Lots		lots;
	bool		readable;

	while (at_account(v, rows) && (stream_int64(rows, "entry_no", 0) < entry->entry_no ||
								   (stream_int64(rows, "entry_no", 0) == entry->entry_no && stream_int64(rows, "entry_id", 0) < entry->entry_id)))
		pass_orphan(v);
	if (!at_account(v, rows) || stream_int64(rows, "entry_id", 0) != entry->entry_id || stream_int64(rows, "entry_no", 0) != entry->entry_no)
	{
		breach(v, INVARIANT_RESERVED_ROW, entry->entry_id, "there is no row of what it reserved");
		return false;
	}
	row->kind = stream_int64(rows, "kind", 0);
	row->amount = stream_int64(rows, "amount", 0);
	row->remaining = stream_int64(rows, "remaining", 0);
	row->due_at = stream_int64(rows, "due_at", DT_NOEND);
	readable = readable_lots(v, entry->entry_id, stream_varlena(rows, "lots"), "what is reserved", &lots);
	copy_lots(v, &lots, &row->lots);
	stream_next(rows);
	if (row->kind != entry->kind || row->amount != entry->reserved)
	{
		breach(v, INVARIANT_RESERVED_ROW, entry->entry_id, "it reserved %s points, its row says %s, or another kind",
			   points_text(entry->reserved), points_text(row->amount));
		return false;
	}
	return readable;
}

static void
compare_row(Verification *v, const OpenReservation *open)
{
	const ReservationState *replayed = &open->replayed;
	const ReservationState *stored = &open->stored;

	if (!open->is_stored)
		return;
	if (replayed->remaining > 0)
		v->replay.due_at = Min(v->replay.due_at, stored->due_at);
	if (stored->remaining != replayed->remaining || !lots_equal(&stored->lots, &replayed->lots))
		breach(v, INVARIANT_RESERVED_ROW, open->entry_id, "%s points in %d lots are left, entries leave %s in %d",
			   points_text(stored->remaining), stored->lots.n, points_text(replayed->remaining), replayed->lots.n);
}

/* An entry reserves points. */
void
reservation_open(Verification *v, const Entry *entry, const Lots *lots)
{
	OpenReservation *open;

	if (v->replay.reservations == NULL)
		v->replay.reservations = table_create("open reservations", 64, sizeof(int64), sizeof(OpenReservation), v->account_context);
	open = hash_search(v->replay.reservations, &entry->entry_id, HASH_ENTER, NULL);
	open->replayed.kind = entry->kind;
	open->replayed.amount = open->replayed.remaining = entry->reserved;
	copy_lots(v, lots, &open->replayed.lots);
	memset(&open->stored, 0, sizeof(ReservationState));
	open->is_stored = read_reservation_row(v, entry, &open->stored);
}

static void
free_lots(Lots *lots)
{
	if (lots->lot != NULL)
		pfree(lots->lot);
}

static void
close_reservation(Verification *v, OpenReservation *open)
{
	compare_row(v, open);
	free_lots(&open->replayed.lots);
	free_lots(&open->stored.lots);
	hash_search(v->replay.reservations, &open->entry_id, HASH_REMOVE, NULL);
}

/* ------------------------------------------------------------------------
 * What entries take out of reservations
 * ------------------------------------------------------------------------ */

/* Captures and releases are of holds, other entries of pending points. */
static bool
is_of_kind(const Entry *entry, const ReservationState *row)
{
	if (entry->kind == ENTRY_CAPTURE || entry->kind == ENTRY_RELEASE)
		return row->kind == ENTRY_HOLD;
	return row->kind != ENTRY_HOLD;
}

/* Spent, or reversed: from the first to expire on. */
static bool
lots_are_first(const Entry *entry, const Lots *lots, ReservationState *row)
{
	Lots		taken = {0};

	lots_take_first(&row->lots, -entry->reserved, &taken);
	return lots_equal(&taken, lots);
}

/*
 * Given back, or available from now on: what never expires, then from the last
 * to expire on.  Some may have got a new date.
 */
static bool
lots_come_back(const Entry *entry, const Lots *lots, ReservationState *row)
{
	Points		undated = row->remaining - lots_total(&row->lots);

	return lots_total(lots) == lots_take_last(&row->lots, Max(entry->amount - undated, 0), NULL);
}

/* An entry takes points out of a reservation; false, and a breach, if it cannot. */
bool
reservation_take(Verification *v, const Entry *entry, const Lots *lots)
{
	OpenReservation *open = NULL;
	ReservationState *row;
	bool		as_spending = entry->kind == ENTRY_CAPTURE || entry->kind == ENTRY_REVERSE;

	if (v->replay.reservations != NULL)
		open = hash_search(v->replay.reservations, &entry->origin_entry_id, HASH_FIND, NULL);
	if (open == NULL || !is_of_kind(entry, &open->replayed) || -entry->reserved > open->replayed.remaining ||
		(entry->kind == ENTRY_MATURE && -entry->reserved != open->replayed.remaining))
	{
		breach(v, INVARIANT_RESERVED, entry->entry_id, "%s of %s points of entry " INT64_FORMAT ", which has %s left",
			   entry_kind_name(entry->kind), points_text(-entry->reserved), entry->origin_entry_id,
			   open != NULL ? points_text(open->replayed.remaining) : "none");
		return false;
	}
	row = &open->replayed;
	if (as_spending ? !lots_are_first(entry, lots, row) : !lots_come_back(entry, lots, row))
	{
		breach(v, INVARIANT_LOTS, entry->entry_id, "%s of %s points has other lots than entry " INT64_FORMAT " leaves",
			   entry_kind_name(entry->kind), points_text(-entry->reserved), entry->origin_entry_id);
		return false;
	}
	row->remaining += entry->reserved;
	if (row->remaining == 0)
		close_reservation(v, open);
	return true;
}

/* Compare what is left of reservations with their rows, once the entries of the account are replayed. */
void
verify_reservations(Verification *v)
{
	HASH_SEQ_STATUS all;
	OpenReservation *open;

	while (at_account(v, &v->reservations))
	{
		MemoryContextReset(v->row_context);
		pass_orphan(v);
	}
	if (!v->replay.whole || v->replay.reservations == NULL)
		return;
	hash_seq_init(&all, v->replay.reservations);
	while ((open = hash_seq_search(&all)) != NULL)
		compare_row(v, open);
}

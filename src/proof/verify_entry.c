/*
 * verify_entry.c
 *		One entry after the other: is it what it must be after those before?
 *
 * The checks are in an order in which each can rely on those before it, and
 * the first that fails is the breach that is reported of the entry.
 */
#include "postgres.h"

#include "account/chain.h"
#include "account/rows.h"
#include "proof/verify_entry.h"
#include "proof/verify_expired.h"
#include "proof/verify_reservation.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static const char *
kind_text(int kind)
{
	const char *name = entry_kind_name(kind);

	return name != NULL ? name : psprintf("%d", kind);
}

/* ------------------------------------------------------------------------
 * The chain
 * ------------------------------------------------------------------------ */

static bool
check_number(Verification *v, const Entry *entry)
{
	if ((uint64) entry->entry_no == (uint64) v->replay.entry_no + 1)
		return true;
	breach(v, INVARIANT_NUMBERS, entry->entry_id, "number " INT64_FORMAT " follows number " INT64_FORMAT,
		   entry->entry_no, v->replay.entry_no);
	return false;
}

/*
 * Compute the salt of an entry's texts.  The key is read once for entries that
 * follow each other and are of one member.  SPI leaves a memory context of its
 * own as the current one.
 */
static void
salt_texts(Verification *v, Entry *entry)
{
	MemoryContext row_context = CurrentMemoryContext;
	int64		key_of;

	if (!entry_has_text(entry))
		return;
	entry_find_named(entry);
	key_of = entry->named_id != 0 ? entry->named_id : entry->account_id;
	if (v->replay.key_of != key_of && account_text_key(entry, &v->replay.text_key))
		v->replay.key_of = key_of;
	account_text_salt(&v->replay.text_key, entry);
	MemoryContextSwitchTo(row_context);
}

/*
 * Where the entry before has a wrong hash, this entry's may be of that or of
 * the right one: in the second case only the stored hash was changed.
 */
static bool
check_hash(Verification *v, const Entry *entry, bool as_written, bytea **computed)
{
	*computed = chain_next(entry, v->replay.hash);
	if (!bytes_equal(*computed, entry->hash) && !v->replay.sound)
		*computed = chain_next(entry, v->replay.computed);
	if (as_written && bytes_equal(*computed, entry->hash))
		return true;
	breach(v, INVARIANT_HASH, entry->entry_id, as_written ? "%s of %s points has changed, or its hash has" :
		   "%s of %s points: a number is 0, or a digest is there, that would not be written",
		   kind_text(entry->kind), points_text(entry->amount));
	return false;
}

/* The name of the entry before is not hashed: its hash is. */
static bool
check_previous(Verification *v, const Entry *entry)
{
	if (!v->replay.sound || entry->previous_entry_id == v->replay.entry_id)
		return true;
	breach(v, INVARIANT_PREVIOUS, entry->entry_id, "it names entry " INT64_FORMAT ", the one before is " INT64_FORMAT,
		   entry->previous_entry_id, v->replay.entry_id);
	return false;
}

static bool
check_balance(Verification *v, const Entry *entry)
{
	Points		balance;

	if (!v->replay.sound || (points_add(v->replay.balance, entry->amount, &balance) && balance == entry->balance))
		return true;
	breach(v, INVARIANT_BALANCE, entry->entry_id, "%s after %s%s%s", points_text(entry->balance),
		   points_text(v->replay.balance), entry->amount < 0 ? "" : "+", points_text(entry->amount));
	return false;
}

static bool
check_time(Verification *v, const Entry *entry)
{
	if (!v->replay.sound || v->replay.entries == 0 || entry->posted_at >= v->replay.posted_at)
		return true;
	breach(v, INVARIANT_TIME, entry->entry_id, "%s after %s", time_text(entry->posted_at),
		   time_text(v->replay.posted_at));
	return false;
}

/* ------------------------------------------------------------------------
 * What the kinds do
 * ------------------------------------------------------------------------ */

/* Whether the points move as they do in entries of its kind. */
static bool
points_suit_kind(const Entry *entry)
{
	Points		amount = entry->amount;
	Points		reserved = entry->reserved;

	/* the lowest number has no opposite */
	if (amount == PG_INT64_MIN || reserved == PG_INT64_MIN)
		return false;
	switch (entry->kind)
	{
		case ENTRY_ACCRUE:
			return (amount >= 0 && reserved == 0) || (amount == 0 && reserved > 0);
		case ENTRY_DEPOSIT:
			return (amount > 0 && reserved == 0) || (amount == 0 && reserved > 0);
		case ENTRY_REDEEM:
		case ENTRY_EXPIRE:
			return amount < 0 && reserved == 0;
		case ENTRY_ADJUST:
			return amount != 0 && reserved == 0;
		case ENTRY_HOLD:
			return amount < 0 && reserved == -amount;
		case ENTRY_CAPTURE:
			return amount == 0 && reserved < 0;
		case ENTRY_RELEASE:
		case ENTRY_MATURE:
			return amount > 0 && reserved == -amount;
		case ENTRY_REVERSE:
			return reserved == 0 || (amount == 0 && reserved < 0);
		case ENTRY_TRANSFER:
			return reserved == 0 && (amount != 0 || entry->origin_entry_id != 0);
	}
	return false;
}

/* Whether it has the origin and the peer that entries of its kind have. */
static bool
names_suit_kind(const Entry *entry)
{
	bool		has_peer = entry->peer_account_id != 0 && entry->peer_account_id != entry->account_id;

	switch (entry->kind)
	{
		case ENTRY_CAPTURE:
		case ENTRY_RELEASE:
		case ENTRY_MATURE:
		case ENTRY_REVERSE:
			return entry->origin_entry_id != 0 && entry->origin_entry_id != entry->entry_id && entry->peer_account_id == 0;
		case ENTRY_TRANSFER:
			/* of one that goes back, the receiver's side names an entry of the other account */
			return has_peer && entry->origin_entry_id != entry->entry_id;
		default:
			return entry->origin_entry_id == 0 && entry->peer_account_id == 0;
	}
}

static bool
check_kind(Verification *v, const Entry *entry)
{
	if (points_suit_kind(entry) && names_suit_kind(entry))
		return true;
	breach(v, INVARIANT_KIND, entry->entry_id, "%s of %s points, %s reserved, origin " INT64_FORMAT ", peer " INT64_FORMAT,
		   kind_text(entry->kind), points_text(entry->amount), points_text(entry->reserved),
		   entry->origin_entry_id, entry->peer_account_id);
	return false;
}

/* A balance becomes negative only when points are taken back; then it may rise. */
static bool
check_negative(Verification *v, const Entry *entry)
{
	bool		taken_back = entry->amount < 0 &&
	(entry->kind == ENTRY_REVERSE || (entry->kind == ENTRY_TRANSFER && entry->origin_entry_id != 0));

	if (entry->balance >= 0 || taken_back || (entry->amount >= 0 && (v->replay.balance < 0 || !v->replay.sound)))
		return true;
	breach(v, INVARIANT_NEGATIVE, entry->entry_id, "balance is %s after %s of %s points", points_text(entry->balance),
		   kind_text(entry->kind), points_text(entry->amount));
	return false;
}

/* ------------------------------------------------------------------------
 * Lots
 * ------------------------------------------------------------------------ */

static bool
wrong_lots(Verification *v, const Entry *entry, const char *problem)
{
	breach(v, INVARIANT_LOTS, entry->entry_id, "%s of %s points: %s", kind_text(entry->kind),
		   points_text(entry->amount), problem);
	return false;
}

/* Points are spent in the order in which they expire. */
static bool
take_as_spending(Verification *v, const Entry *entry, const Lots *lots)
{
	Lots		taken = {0};

	lots_take_first(&v->replay.lots, -entry->amount, &taken);
	return lots_equal(&taken, lots) || wrong_lots(v, entry, "others would have expired first");
}

/* Points expire by whole lots, all those of the account whose date has come. */
static bool
take_expired(Verification *v, const Entry *entry, const Lots *lots)
{
	Lots		taken = {0};
	TimestampTz last = lots->n > 0 ? lots->lot[lots->n - 1].expires_at : DT_NOEND;

	if (last > entry->posted_at)
		return wrong_lots(v, entry, "not all were past their date");
	return (lots_take_due(&v->replay.lots, last, &taken) == -entry->amount && lots_equal(&taken, lots)) ||
		wrong_lots(v, entry, "it is not just the lots of these dates");
}

/* Points are taken back from the lots that they went into. */
static bool
take_reversed(Verification *v, const Entry *entry, const Lots *lots)
{
	if (lots_total(lots) > -entry->amount)
		return wrong_lots(v, entry, "its lots have more");
	return lots_take_all(&v->replay.lots, lots) || wrong_lots(v, entry, "its lots were not there");
}

static bool
add_lots(Verification *v, const Entry *entry, const Lots *lots)
{
	Points		total;

	if (lots_total(lots) > Max(entry->amount, entry->reserved))
		return wrong_lots(v, entry, "its lots have more");
	if (entry->amount == 0)
		return true;
	if (!points_add(lots_total(&v->replay.lots), lots_total(lots), &total))
		return wrong_lots(v, entry, "the account's lots would have more than fits");
	account_keep(&v->replay.lots, v->replay.balance, entry->amount, lots, entry->posted_at);
	return true;
}

static bool
replay_lots(Verification *v, const Entry *entry, const Lots *lots)
{
	if (entry->kind == ENTRY_EXPIRE)
		return take_expired(v, entry, lots);
	if (entry->amount >= 0)
		return entry->reserved < 0 || add_lots(v, entry, lots);
	if (entry->origin_entry_id != 0)
		return take_reversed(v, entry, lots);
	return take_as_spending(v, entry, lots);
}

static bool
check_total(Verification *v, const Entry *entry)
{
	Points		total = lots_total(&v->replay.lots);

	if (total <= Max(entry->balance, 0))
		return true;
	breach(v, INVARIANT_LOTS_TOTAL, entry->entry_id, "lots of %s points after it, of a balance of %s",
		   points_text(total), points_text(entry->balance));
	return false;
}

/*
 * What an entry takes out of a reservation is checked first.  If the points
 * come back, they go into the lots of the account like points that are added.
 */
static bool
replay_points(Verification *v, const Entry *entry)
{
	Lots		lots;

	if (!readable_lots(v, entry->entry_id, (struct varlena *) DatumGetPointer(entry->lots), "the entry", &lots))
		return false;
	if (entry->reserved < 0 && !reservation_take(v, entry, &lots))
		return false;
	if (entry->reserved < 0 && entry->amount > 0)
	{
		if (!add_lots(v, entry, &lots))
			return false;
	}
	else if (!replay_lots(v, entry, &lots))
		return false;
	if (entry->reserved > 0)
		reservation_open(v, entry, &lots);
	if (entry->kind == ENTRY_EXPIRE)
		expired_lots_add(v, &lots);
	return check_total(v, entry);
}

static void
add_sums(Replay *replay, const Entry *entry)
{
	switch (entry->kind)
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
		case ENTRY_MATURE:
			replay->purchases += entry->kind == ENTRY_ACCRUE;
			replay->earned += entry->amount;
			replay->pending += entry->reserved;
			break;
		case ENTRY_EXPIRE:
			replay->expired -= entry->amount;
			break;
		case ENTRY_HOLD:
		case ENTRY_CAPTURE:
		case ENTRY_RELEASE:
			replay->held += entry->reserved;
			break;
		case ENTRY_REVERSE:
			replay->pending += entry->reserved;
			replay->reversals++;
			break;
		case ENTRY_TRANSFER:
			replay->reversals += entry->origin_entry_id != 0 && entry->amount > 0;
			break;
		default:
			break;
	}
}

/* ------------------------------------------------------------------------
 * One entry
 * ------------------------------------------------------------------------ */

/* A copy that lives as long as the account is checked, instead of the one before. */
static bytea *
kept(const Verification *v, bytea *replaced, const bytea *hash)
{
	bytea	   *copy = MemoryContextAlloc(v->account_context, VARHDRSZ + VARSIZE_ANY_EXHDR(hash));

	SET_VARSIZE(copy, VARHDRSZ + VARSIZE_ANY_EXHDR(hash));
	memcpy(VARDATA(copy), VARDATA_ANY(hash), VARSIZE_ANY_EXHDR(hash));
	pfree(replaced);
	return copy;
}

/* Check an entry against those before it, and add it to the replay. */
void
verify_entry(Verification *v, Entry *entry, bool as_written)
{
	Replay	   *replay = &v->replay;
	bytea	   *computed = NULL;
	bool		follows;
	bool		sound;
	bool		right;

	salt_texts(v, entry);
	follows = check_number(v, entry);
	sound = follows && check_hash(v, entry, as_written, &computed);
	right = sound && check_previous(v, entry) && check_balance(v, entry) && check_time(v, entry) &&
		check_kind(v, entry) && check_negative(v, entry);

	replay->whole = replay->whole && right && replay_points(v, entry);
	if (replay->whole)
		add_sums(replay, entry);
	replay->entries++;
	/* only the entry after it says which entry an unsound one is */
	replay->previous_entry_id = replay->sound ? replay->entry_id : entry->previous_entry_id;
	replay->entry_id = entry->entry_id;
	replay->entry_no = entry->entry_no;
	replay->balance = entry->balance;
	replay->posted_at = entry->posted_at;
	replay->sound = sound;
	/* after a gap, the next entry may go on as if this one were not there */
	replay->computed = kept(v, replay->computed, follows ? computed : replay->hash);
	replay->hash = kept(v, replay->hash, entry->hash);
}

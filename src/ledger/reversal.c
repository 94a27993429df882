/*
 * reversal.c
 *		Reversing an entry, or a part of it: refunds and cancellations.
 *
 * Each part has a reference, and is done once for it; all parts together are
 * never more than the entry.  Points that were added are taken back from what
 * they have become; points that were spent go back to the lots they came from.
 * What a part is made of, ledger_part.c says.
 */
#include "postgres.h"

#include "base/crypto.h"
#include "common/sha2.h"
#include "earning/rule_award.h"
#include "ledger/due.h"
#include "ledger/part.h"
#include "ledger/recount.h"
#include "ledger/reversal.h"
#include "utils/builtins.h"

#define REFERENCE_MAX 1024		/* bytes */

/* ------------------------------------------------------------------------
 * How much
 * ------------------------------------------------------------------------ */

/* What the parts of an entry have reversed so far, in money and in points. */
typedef struct Reversed
{
	Points		money;
	Points		points;			/* by points, or as all that was left */
} Reversed;

static Reversed
reversed_so_far(const Original *original)
{
	Reversed	reversed = {0, 0};

	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
	{
		reversed.money += part->money;
		if (!part->has_money)
			reversed.points += part->amount;
	}
	return reversed;
}

/* The points that so much of the money of an entry stands for, rounded as the program rounds. */
static bool
points_of_money(const Program *program, const Original *original, Points money, Points *points)
{
	*points = whole_of(original);
	return money == original->money ||
		points_convert(*points, money, original->money, program->decimals, program->rounding, points);
}

/* A cent: the unit in which a share of money is rounded. */
#define CENT (POINTS_ONE / 100)

/* The money that is left: points that were reversed as such stand for their share of it, to the cent. */
static Points
money_left(const Original *original, const Reversed *reversed)
{
	Points		whole = whole_of(original);
	int128		share;

	if (reversed->points == 0)
		return original->money - reversed->money;
	share = (int128) original->money * (whole - reversed->points);
	share = (share + (int128) whole * CENT - 1) / ((int128) whole * CENT) * CENT;
	return (Points) Min(share, original->money) - reversed->money;
}

/*
 * The points that a part of the money stands for: of all money reversed so far
 * with it, less those of all before, so that parts sum exactly to the whole.
 * After a part in points, the last of the money that is left takes the rest.
 */
static ErrorId
points_for_money(const Program *program, const Original *original, Points left, Points money, Points *amount)
{
	Reversed	reversed = reversed_so_far(original);
	Points		before;

	if (!original->has_money || money <= 0)
		return ERR_INVALID_AMOUNT;
	if (is_reversed(original) || money > money_left(original, &reversed))
		return ERR_EXCEEDS_ORIGINAL;
	if (!points_of_money(program, original, reversed.money + money, amount) ||
		!points_of_money(program, original, reversed.money, &before))
		return ERR_BALANCE_OUT_OF_RANGE;
	*amount = Min(*amount - before, left);
	if (reversed.points > 0 && money_left(original, &reversed) - money < CENT)
		*amount = left;
	return ERR_NONE;
}

/* The points of the original that a reversal asks for. */
static ErrorId
amount_to_reverse(Batch *batch, const Posting *posting, const Account *account, const Original *original, Points *amount)
{
	Points		left = left_of(original).points;

	if (posting->has_money)
		return points_for_money(batch_terms(batch, account, batch->now)->program, original, left, posting->money, amount);
	if (!posting->in_full && posting->amount <= 0)
		return ERR_INVALID_AMOUNT;
	*amount = posting->in_full ? left : posting->amount;
	return *amount > left || is_reversed(original) ? ERR_EXCEEDS_ORIGINAL : ERR_NONE;
}

/* ------------------------------------------------------------------------
 * Points that were added
 * ------------------------------------------------------------------------ */

/* Reverse a part of a sale whose points are still pending: they just do not come. */
static const Entry *
reverse_pending(Batch *batch, Posting *posting, Account *account, Reservation *reservation, Part *part)
{
	Entry		entry = batch_entry(posting, ENTRY_REVERSE);

	lots_take_first(&reservation->lots, part->amount, &part->lots);
	reservation->remaining -= part->amount;
	reservation->changed = true;
	account->pending -= part->amount;
	entry.reserved = -part->amount;
	entry.lots = lots_pack_some(&part->lots);
	return batch_add_entry(batch, account, &entry, batch->now);
}

/*
 * How much is taken back of a part: what is there, and for what was spent
 * others, by what the program says of that.
 */
static ErrorId
takeable(Batch *batch, Posting *posting, Account *account, const Part *part, Points *taken)
{
	Points		there = Max(account->balance, 0);

	*taken = part->amount - part->points_expired;
	if (*taken <= there)
		return ERR_NONE;
	switch (batch_terms(batch, account, batch->now)->program->shortfall)
	{
		case SHORTFALL_REFUSE:
			return posting_refused(posting, ERR_INSUFFICIENT_POINTS,
								   "Points to be taken back were spent; the program's setting shortfall says what a refund does then.");
		case SHORTFALL_PARTIAL:
			*taken = there;
			return ERR_NONE;
		case SHORTFALL_NEGATIVE:
			if (account->balance < PG_INT64_MIN + *taken)
				return ERR_BALANCE_OUT_OF_RANGE;
			account->may_owe = true;
			return ERR_NONE;
	}
	return ERR_NONE;
}

/* Take so many points of a part from the account; returns their lots. */
static Datum
take_back(Batch *batch, Account *account, Part *part, Points take)
{
	Lots		taken = {0};

	part_count_expired(batch, account, part);
	lots_add_all(&taken, &part->there);
	lots_take_first(&part->rest, take - part->points_there, &taken);
	account->lots = part->rest;
	account->balance -= take;
	return lots_pack_some(&taken);
}

/* When the points of an entry began to count for the rank. */
static TimestampTz
counted_from(const Original *original, const Reservation *reservation)
{
	return reservation != NULL ? reservation->due_at : original->posted_at;
}

static ErrorId
reverse_accrual(Batch *batch, Posting *posting, Account *account, const Original *original, Part *part, const Entry **added)
{
	Reservation *reservation = batch_reservation(batch, original->key.account_id, original->key.entry_id);
	Entry		entry = batch_entry(posting, ENTRY_REVERSE);
	Points		take;
	ErrorId		error;

	if (reservation != NULL && reservation->remaining > 0)
	{
		*added = reverse_pending(batch, posting, account, reservation, part);
		return ERR_NONE;
	}
	part_of(batch, original, account, false, part->amount, part);
	error = takeable(batch, posting, account, part, &take);
	if (error != ERR_NONE)
		return error;
	entry.lots = take_back(batch, account, part, take);
	entry.amount = -take;
	if (account->tracks_lots)
		count_reversed(batch, account, part->amount, counted_from(original, reservation));
	*added = batch_add_entry(batch, account, &entry, batch->now);
	return ERR_NONE;
}

/* ------------------------------------------------------------------------
 * Points that were spent
 * ------------------------------------------------------------------------ */

/* Give points back to who spent or sent them; expired ones get the date until which the program reinstates them. */
static void
give_back(Batch *batch, Account *account, Points amount, const Lots *lots, Entry *entry, const Entry **added)
{
	Lots		dated = {0};

	date_returned(batch, account, lots, batch->now, &dated);
	account_add(account, amount, &dated, batch->now);
	entry->amount = amount;
	entry->lots = lots_pack_some(&dated);
	*added = batch_add_entry(batch, account, entry, batch->now);
	book_expired(batch, account, batch->now);
}

static ErrorId
reverse_redemption(Batch *batch, Posting *posting, Account *account, const Original *original, Part *part, const Entry **added)
{
	Entry		entry = batch_entry(posting, ENTRY_REVERSE);

	if (!account_has_room(account, part->amount))
		return ERR_BALANCE_OUT_OF_RANGE;
	part_of(batch, original, NULL, true, part->amount, part);
	give_back(batch, account, part->amount, &part->spent, &entry, added);
	return ERR_NONE;
}

/* ------------------------------------------------------------------------
 * Transfers
 * ------------------------------------------------------------------------ */

/*
 * What is still with the receiver comes back as it is there; what the receiver
 * has spent, and pays with other points, as it was sent.
 */
static ErrorId
reverse_transfer(Batch *batch, Posting *posting, Account *account, const Original *original, Part *part, const Entry **added)
{
	Account    *peer = batch_account(batch, original->peer_account_id);
	Entry		back = batch_entry(posting, ENTRY_TRANSFER);
	Entry		received = back;
	const Entry *taken_back;
	Lots		returned = {0};
	Points		take;
	ErrorId		error;

	if (!account_has_room(account, part->amount))
		return ERR_BALANCE_OUT_OF_RANGE;
	part_of(batch, original, peer, true, part->amount, part);
	error = takeable(batch, posting, peer, part, &take);
	if (error != ERR_NONE)
		return error;
	lots_add_all(&returned, &part->there);
	part_spent(part, true, take - part->points_there, &returned);
	back.lots = take_back(batch, peer, part, take);
	back.amount = -take;
	back.peer_account_id = account->account_id;
	taken_back = batch_add_entry(batch, peer, &back, batch->now);
	posting->peer_entry_id = taken_back->entry_id;
	posting->peer_balance = taken_back->balance;
	received.peer_account_id = peer->account_id;
	give_back(batch, account, take, &returned, &received, added);
	return ERR_NONE;
}

/* ------------------------------------------------------------------------
 * Once for each reference
 * ------------------------------------------------------------------------ */

/* What is kept of the reference of a part: it may name somebody who is erased, and is recognised later. */
static bytea *
reference_digest(const Original *original, const Posting *posting)
{
	return hmac_digest(original->digest_key, VARDATA_ANY(posting->reference), VARSIZE_ANY_EXHDR(posting->reference));
}

static const Reversal *
find_reversal(const Original *original, const bytea *digest)
{
	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
	{
		if (memcmp(VARDATA_ANY(part->reference_digest), VARDATA_ANY(digest), PG_SHA256_DIGEST_LENGTH) == 0)
			return part;
	}
	return NULL;
}

/* Whether a part was all that was left of the entry. */
static bool
took_the_rest(const Original *original, const Reversal *last)
{
	Points		sum = 0;

	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
	{
		if (part->reversed_no <= last->reversed_no)
			sum += part->amount;
	}
	return sum == whole_of(original);
}

/* Whether a part was all of the entry. */
static bool
took_all(const Original *original, const Reversal *first)
{
	if (first->has_money)
		return first->money == original->money;
	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
	{
		if (part->reversed_no < first->reversed_no)
			return false;
	}
	return took_the_rest(original, first);
}

/* Whether the same part was asked for: all of the money is all of the entry. */
static bool
is_same_part(const Posting *posting, const Original *original, const Reversal *first)
{
	if (posting->has_money && first->has_money)
		return posting->money == first->money;
	if (posting->has_money)
		return posting->money == original->money && took_all(original, first);
	if (first->has_money)
		return posting->in_full && took_all(original, first);
	/* what earned nothing is reversed in full, and by no amount */
	return posting->in_full ? took_the_rest(original, first) : posting->amount > 0 && posting->amount == first->amount;
}

/* Answer a repeated reversal as the first one, if it asks for the same. */
static ErrorId
answer_again(Posting *posting, const Original *original, const Reversal *first)
{
	if (!is_same_part(posting, original, first))
		return ERR_REFERENCE_REUSED;
	posting->entry_id = first->reversed_by;
	posting->amount = first->amount;
	posting->balance = first->balance;
	posting->peer_entry_id = first->peer_entry_id;
	posting->peer_balance = first->peer_balance;
	return ERR_NONE;
}

static void
note_reversal(const Posting *posting, const Entry *added, Original *original, bytea *digest, const Part *reversed)
{
	Reversal   *part = palloc0(sizeof(Reversal));

	part->reference_digest = digest;
	part->reversed_by = added->entry_id;
	part->reversed_no = added->entry_no;
	part->amount = reversed->amount;
	part->lots = reversed->lots;
	part->expired = reversed->points_expired;
	part->money = posting->has_money ? posting->money : 0;
	part->has_money = posting->has_money;
	part->balance = posting->balance;
	part->peer_entry_id = posting->peer_entry_id;
	part->peer_balance = posting->peer_balance;
	part->is_new = true;
	part->next = original->reversals;
	original->reversals = part;
}

/* ------------------------------------------------------------------------
 * Caps and limits
 * ------------------------------------------------------------------------ */

/* Whose limit counts a reversed entry no more, and which way; only on the local day of the entry. */
bool
reversal_gives(Batch *batch, const Posting *posting, const Account *account, Movement *movement)
{
	EntryKey	key = {posting->account_id, posting->origin_entry_id};
	const Original *original;
	const Program *program;

	if (posting->kind != ENTRY_REVERSE)
		return false;
	original = hash_search(batch->originals, &key, HASH_FIND, NULL);
	if (original == NULL || whole_of(original) < 0)
		return false;
	program = batch_terms(batch, account, batch->now)->program;
	movement->program_id = account->program_id;
	movement->program = program;
	movement->gives = true;
	movement->key_id = original->key_id;
	movement->staff_id = original->staff_id;
	movement->member_id = original->member_id != 0 ? original->member_id : account->account_id;
	movement->adds = original->kind == ENTRY_ACCRUE || original->kind == ENTRY_DEPOSIT;
	return program->has_limits &&
		terms_local_date(program, original->limited_at) == terms_local_date(program, account_moment(account, batch->now));
}

/* Give back to limits: points in proportion, the operation when nothing is left of the entry. */
static void
give_back_caps(Batch *batch, const Posting *posting, const Account *account, const Original *original, const Part *part)
{
	Movement	movement;

	if (batch->limits != NULL && account->tracks_lots && reversal_gives(batch, posting, account, &movement))
		limits_give(batch->limits, &movement, terms_local_date(movement.program, original->limited_at), part->amount,
					is_reversed(original) ? 1 : 0);
	if (original->rules != 0)
		awards_return(batch->merchant_id, batch_terms(batch, account, batch->now)->program, account->account_id,
					  original->key.entry_id, whole_of(original), whole_of(original) - left_of(original).points);
}

static ErrorId
reverse_part(Batch *batch, Posting *posting, Account *account, const Original *original, Part *part, const Entry **added)
{
	switch (original->kind)
	{
		case ENTRY_REDEEM:
		case ENTRY_CAPTURE:
			return reverse_redemption(batch, posting, account, original, part, added);
		case ENTRY_TRANSFER:
			return reverse_transfer(batch, posting, account, original, part, added);
		default:
			return reverse_accrual(batch, posting, account, original, part, added);
	}
}

/* The entry that a posting is to reverse; NULL: there is no such entry. */
static Original *
named_original(const Batch *batch, const Posting *posting)
{
	EntryKey	key = {posting->account_id, posting->origin_entry_id};

	return hash_search(batch->originals, &key, HASH_FIND, NULL);
}

/* Whether the same reversal was posted before; then it is answered as it was, whatever has become of the accounts since. */
bool
reversal_repeats(const Batch *batch, Posting *posting, ErrorId *error)
{
	const Original *original = named_original(batch, posting);
	const Reversal *first;

	if (original == NULL || original->reversals == NULL || posting->reference == NULL)
		return false;
	first = find_reversal(original, reference_digest(original, posting));
	if (first != NULL)
		*error = answer_again(posting, original, first);
	return first != NULL;
}

/* Check a reversal and do it in memory; what it returns is the first of its errors. */
ErrorId
apply_reversal(Batch *batch, Posting *posting, Account *account)
{
	Original   *original = named_original(batch, posting);
	Size		length = posting->reference != NULL ? VARSIZE_ANY_EXHDR(posting->reference) : 0;
	const Entry *added = NULL;
	Part		part = {0};
	ErrorId		error;

	if (original == NULL || whole_of(original) < 0)
		return ERR_UNKNOWN_ENTRY;
	if (length == 0)
		return posting_refused(posting, ERR_INVALID_ARGUMENT, "reference is required: a refund is known by it.");
	if (length > REFERENCE_MAX)
		return posting_refused(posting, ERR_INVALID_ARGUMENT, "reference has at most 1,024 bytes.");
	error = amount_to_reverse(batch, posting, account, original, &part.amount);
	if (error == ERR_NONE)
		error = reverse_part(batch, posting, account, original, &part, &added);
	if (error != ERR_NONE)
		return error;
	posting->entry_id = added->entry_id;
	posting->amount = part.amount;
	posting->balance = account->balance;
	posting->posted_at = added->posted_at;
	note_reversal(posting, added, original, reference_digest(original, posting), &part);
	account->purchases -= original->kind == ENTRY_ACCRUE && is_reversed(original);
	give_back_caps(batch, posting, account, original, &part);
	return ERR_NONE;
}

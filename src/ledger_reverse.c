/*
 * ledger_reverse.c
 *		Undoing an entry, or a part of it: refunds and cancellations.
 *
 * Each part has a reference, and is done once for it; all parts together are
 * never more than the entry.  Points that were added are taken back from what
 * they have become; points that were spent go back to the lots they came from.
 */
#include "postgres.h"

#include "ledger_batch.h"
#include "utils/builtins.h"

#define REFERENCE_MAX 1024		/* bytes; it is part of a key */

/* ------------------------------------------------------------------------
 * How much
 * ------------------------------------------------------------------------ */

/* How many points an entry moved that can be undone; -1: none can. */
static Points
whole_of(const Original *original)
{
	switch (original->kind)
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
			return original->amount + original->aside;
		case ENTRY_REDEEM:
			return -original->amount;
		case ENTRY_CAPTURE:
			return -original->aside;
		case ENTRY_TRANSFER:
			/* by the entry of the sender, and not that of a transfer that was itself undone */
			return original->amount < 0 && original->origin == 0 ? -original->amount : -1;
		default:
			return -1;
	}
}

static Points
undone_points(const Original *original)
{
	Points		sum = 0;

	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
		sum += part->amount;
	return sum;
}

static Points
undone_money(const Original *original)
{
	Points		sum = 0;

	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
		sum += part->money;
	return sum;
}

/*
 * The points that a part of the money stands for: what all money undone so far
 * stands for, rounded as the program rounds, less what of that was undone.  So
 * parts sum exactly to the whole.
 */
static ErrorId
points_for_money(const ProgramTerms *program, const Original *original, Points whole, Points money, Points *amount)
{
	Points		done = undone_money(original);
	Points		due;

	if (!original->has_money || money <= 0)
		return ERR_INVALID_AMOUNT;
	if (money > original->money - done)
		return ERR_EXCEEDS_ORIGINAL;
	if (done + money == original->money)
		due = whole;
	else if (!points_convert(whole, done + money, original->money, program->decimals, program->rounding, &due))
		return ERR_BALANCE_OUT_OF_RANGE;
	*amount = Max(Min(due, whole) - undone_points(original), 0);
	return ERR_NONE;
}

/* How many points of the original are meant. */
static ErrorId
amount_to_undo(Batch *batch, const Posting *posting, const Account *account, const Original *original, Points *amount)
{
	Points		whole = whole_of(original);
	Points		left = whole - undone_points(original);
	ErrorId		error = ERR_NONE;

	if (posting->amount < 0 || (posting->amount > 0 && posting->has_money))
		return ERR_INVALID_AMOUNT;
	if (posting->has_money)
		error = points_for_money(batch_terms(batch, account, batch->now)->program, original, whole, posting->money, amount);
	else
		*amount = posting->amount != 0 ? posting->amount : left;
	if (error != ERR_NONE)
		return error;
	return *amount > left || (*amount == 0 && !posting->has_money) ? ERR_EXCEEDS_ORIGINAL : ERR_NONE;
}

/* ------------------------------------------------------------------------
 * Points that were added
 * ------------------------------------------------------------------------ */

/* Of a sale whose points nobody could spend yet, they just do not come. */
static const Entry *
undo_pending(Batch *batch, Posting *posting, Account *account, Aside *aside, Points amount)
{
	Entry		entry = batch_entry(posting, ENTRY_REVERSE);
	Lots		taken = {0};

	lots_take_first(&aside->lots, amount, &taken);
	aside->remaining -= amount;
	aside->changed = true;
	account->pending -= amount;
	entry.aside = -amount;
	entry.lots = lots_pack_some(&taken);
	return batch_add_entry(batch, account, &entry, batch->now);
}

/* How much of it can be taken, by what the program says of points that were spent. */
static ErrorId
takeable(Batch *batch, Account *account, Points amount, Points *taken)
{
	Points		there = Max(account->balance, 0);

	*taken = amount;
	if (amount <= there)
		return ERR_NONE;
	switch (batch_terms(batch, account, batch->now)->program->shortfall)
	{
		case SHORTFALL_REFUSE:
			return ERR_INSUFFICIENT_POINTS;
		case SHORTFALL_PARTIAL:
			*taken = there;
			return ERR_NONE;
		case SHORTFALL_NEGATIVE:
			if (account->balance < PG_INT64_MIN + amount)
				return ERR_BALANCE_OUT_OF_RANGE;
			account->may_owe = true;
			return ERR_NONE;
	}
	return ERR_NONE;
}

/*
 * Of points that are to be undone, those that expired before anybody spent
 * them: they are gone already, and to take others instead would be to take
 * them twice.  One refund counts them, not a later one too.
 */
static Points
expired_unspent(Batch *batch, const Account *account, const Original *original, Points amount, Lots *gone)
{
	Points		left = amount;

	for (int i = 0; i < original->lots.n && original->lots.lot[i].expires_at <= batch->now; i++)
	{
		const Lot  *lot = &original->lots.lot[i];
		const Lapse *lapse = batch_lapse(batch, account->account_id, lot->expires_at);
		Points		points = Min(left, Min(lot->points, lapse->points - lapse->refunded));

		lots_add(gone, lot->expires_at, points);
		left -= points;
	}
	return amount - left;
}

static void
count_expired(Batch *batch, const Account *account, const Lots *gone)
{
	for (int i = 0; i < gone->n; i++)
	{
		Lapse	   *lapse = batch_lapse(batch, account->account_id, gone->lot[i].expires_at);

		lapse->refunded += gone->lot[i].points;
		lapse->new_refunded += gone->lot[i].points;
	}
}

static ErrorId
undo_accrual(Batch *batch, Posting *posting, Account *account, const Original *original, Points amount,
			 const Entry **added)
{
	Aside	   *aside = batch_aside(batch, original->key.account_id, original->key.version);
	Entry		entry = batch_entry(posting, ENTRY_REVERSE);
	Points		undated = original->amount + original->aside - lots_total(&original->lots);
	Lots		gone = {0};
	Lots		taken = {0};
	Points		take;
	ErrorId		error;

	if (aside != NULL && aside->remaining > 0)
	{
		*added = undo_pending(batch, posting, account, aside, amount);
		return ERR_NONE;
	}
	error = takeable(batch, account, amount - expired_unspent(batch, account, original, amount, &gone), &take);
	if (error != ERR_NONE)
		return error;
	count_expired(batch, account, &gone);
	account_take_own(account, take, &original->lots, undated, &taken);
	if (account->managed)
		account_unearn(account, take, batch_terms(batch, account, original->posted_at)->qualifies_until);
	entry.amount = -take;
	entry.lots = lots_pack_some(&taken);
	*added = batch_add_entry(batch, account, &entry, batch->now);
	return ERR_NONE;
}

/* ------------------------------------------------------------------------
 * Points that were spent
 * ------------------------------------------------------------------------ */

/*
 * The lots of the part that is given back: what was taken last first, after
 * what earlier parts gave back.
 */
static void
lots_of_part(const Original *original, Points amount, Lots *part)
{
	Lots		spent = {0};
	Points		undated = whole_of(original) - lots_total(&original->lots);
	Points		before = undone_points(original);

	lots_add_all(&spent, &original->lots);
	lots_take_last(&spent, Max(before - undated, 0), NULL);
	undated -= Min(before, undated);
	lots_take_last(&spent, Max(amount - undated, 0), part);
}

/* Give points back to the one who spent or sent them. */
static ErrorId
give_back(Batch *batch, Account *account, Points amount, const Lots *part, Entry *entry, const Entry **added)
{
	Lots		dated = {0};
	Lots		kept = {0};

	settle_returned(batch, account, part, batch->now, &dated);
	account_add(account, amount, &dated, &kept);
	entry->amount = amount;
	entry->lots = lots_pack_some(&kept);
	*added = batch_add_entry(batch, account, entry, batch->now);
	settle_expired(batch, account, batch->now);
	return ERR_NONE;
}

static ErrorId
undo_redemption(Batch *batch, Posting *posting, Account *account, const Original *original, Points amount,
				const Entry **added)
{
	Entry		entry = batch_entry(posting, ENTRY_REVERSE);
	Lots		part = {0};

	if (!account_has_room(account, amount))
		return ERR_BALANCE_OUT_OF_RANGE;
	lots_of_part(original, amount, &part);
	return give_back(batch, account, amount, &part, &entry, added);
}

/* ------------------------------------------------------------------------
 * Transfers
 * ------------------------------------------------------------------------ */

static ErrorId
undo_transfer(Batch *batch, Posting *posting, Account *account, const Original *original, Points amount,
			  const Entry **added)
{
	Account    *peer = batch_account(batch, original->peer_id);
	Entry		back = batch_entry(posting, ENTRY_TRANSFER);
	Entry		received = back;
	const Entry *taken_back;
	Lots		part = {0};
	Lots		taken = {0};
	Points		take;
	ErrorId		error;

	if (!account_has_room(account, amount))
		return ERR_BALANCE_OUT_OF_RANGE;
	error = takeable(batch, peer, amount, &take);
	if (error != ERR_NONE)
		return error;
	lots_of_part(original, take, &part);
	account_take_own(peer, take, &part, take - lots_total(&part), &taken);
	back.amount = -take;
	back.peer_id = account->account_id;
	back.lots = lots_pack_some(&taken);
	taken_back = batch_add_entry(batch, peer, &back, batch->now);
	posting->peer_version = taken_back->version;
	posting->peer_balance = taken_back->balance;
	received.peer_id = peer->account_id;
	return give_back(batch, account, take, &part, &received, added);
}

/* ------------------------------------------------------------------------
 * Once for each reference
 * ------------------------------------------------------------------------ */

static const Reversal *
find_reversal(const Original *original, const char *reference)
{
	for (const Reversal *part = original->reversals; part != NULL; part = part->next)
	{
		if (strcmp(part->reference, reference) == 0)
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
		if (part->reversed_by <= last->reversed_by)
			sum += part->amount;
	}
	return sum == whole_of(original);
}

/* Whether a part was asked for in the same way. */
static bool
is_same_part(const Posting *posting, const Original *original, const Reversal *first)
{
	if (posting->has_money || first->has_money)
		return posting->has_money && first->has_money && posting->amount == 0 && posting->money == first->money;
	return posting->amount != 0 ? posting->amount == first->amount : took_the_rest(original, first);
}

/* What a repetition is answered: what the first was, if it is the same. */
static ErrorId
answer_again(Posting *posting, const Original *original, const Reversal *first)
{
	if (!is_same_part(posting, original, first))
		return ERR_REFERENCE_REUSED;
	posting->version = first->reversed_by;
	posting->balance = first->balance;
	return ERR_NONE;
}

static void
note_reversal(const Posting *posting, Original *original, const char *reference, Points amount)
{
	Reversal   *part = palloc0(sizeof(Reversal));

	part->reference = pstrdup(reference);
	part->reversed_by = posting->version;
	part->amount = amount;
	part->money = posting->has_money ? posting->money : 0;
	part->has_money = posting->has_money;
	part->balance = posting->balance;
	part->is_new = true;
	part->next = original->reversals;
	original->reversals = part;
}

static ErrorId
undo(Batch *batch, Posting *posting, Account *account, const Original *original, Points amount, const Entry **added)
{
	switch (original->kind)
	{
		case ENTRY_REDEEM:
		case ENTRY_CAPTURE:
			return undo_redemption(batch, posting, account, original, amount, added);
		case ENTRY_TRANSFER:
			return undo_transfer(batch, posting, account, original, amount, added);
		default:
			return undo_accrual(batch, posting, account, original, amount, added);
	}
}

ErrorId
apply_reversal(Batch *batch, Posting *posting, Account *account)
{
	EntryKey	key = {posting->account_id, posting->origin};
	Original   *original = hash_search(batch->originals, &key, HASH_FIND, NULL);
	const char *reference = posting->reference ? text_to_cstring(posting->reference) : "";
	const Entry *added = NULL;
	const Reversal *first;
	Points		amount = 0;
	ErrorId		error;

	if (original == NULL || whole_of(original) < 0)
		return ERR_UNKNOWN_ENTRY;
	if (reference[0] == '\0' || strlen(reference) > REFERENCE_MAX)
		return ERR_INVALID_ARGUMENT;
	first = find_reversal(original, reference);
	if (first != NULL)
		return answer_again(posting, original, first);
	error = amount_to_undo(batch, posting, account, original, &amount);
	if (error == ERR_NONE)
		error = undo(batch, posting, account, original, amount, &added);
	if (error != ERR_NONE)
		return error;
	posting->version = added->version;
	posting->balance = account->balance;
	posting->posted_at = added->posted_at;
	note_reversal(posting, original, reference, amount);
	return ERR_NONE;
}

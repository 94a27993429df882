/*
 * kinds.c
 *		What each kind of posting does to its account, in memory.
 *
 * Everything is checked before anything is changed: a posting that fails
 * leaves nothing behind.  When several things are wrong, the error is the first
 * in this order: the account, its program, what the posting names, its amount, the range,
 * what there is, the limits.
 */
#include "postgres.h"

#include "account/chain.h"
#include "ledger/due.h"
#include "ledger/kinds.h"
#include "ledger/recount.h"
#include "ledger/reversal.h"
#include "utils/timestamp.h"

static ErrorId
posted(Posting *posting, const Entry *entry)
{
	posting->entry_id = entry->entry_id;
	posting->balance = entry->balance;
	posting->posted_at = entry->posted_at;
	return ERR_NONE;
}

static void
reserve(Batch *batch, Account *account, const Entry *entry, const Lots *lots, TimestampTz due_at)
{
	EntryKey	key = {account->account_id, entry->entry_id};
	Reservation *reservation = hash_search(batch_table(&batch->reservations, sizeof(Reservation)), &key, HASH_ENTER, NULL);

	reservation->entry_no = entry->entry_no;
	reservation->kind = entry->kind;
	reservation->amount = reservation->remaining = entry->reserved;
	reservation->lots = *lots;
	reservation->due_at = due_at;
	reservation->changed = true;
	account_due(account, due_at);
	if (due_at != DT_NOEND)
		account->waiting++;
}

/*
 * Whether one more reservation of an account may fall due later.  An account of
 * few entries has few of them; others are counted.
 */
static bool
may_wait(const Batch *batch, Account *account)
{
	if (account->entry_no < MAX_WAITING)
		return true;
	if (!account->waiting_counted)
		account->waiting += reservations_waiting(batch->merchant_id, account->account_id, batch->now);
	account->waiting_counted = true;
	return account->waiting < MAX_WAITING;
}

static ErrorId
waits_refused(Posting *posting)
{
	return posting_refused(posting, ERR_LIMIT_EXCEEDED,
						   "At most 2,000 pending entries and holds with a release_at wait in an account; one more can, once one of them has ended.");
}

/* ------------------------------------------------------------------------
 * Limits
 * ------------------------------------------------------------------------ */

/* Whether limits apply to a posting, and to whom: points given back, or reserved before, are not limited. */
bool
posting_moves(const Posting *posting, int64 program_id, Movement *movement)
{
	movement->program_id = program_id;
	movement->program = NULL;
	movement->gives = false;
	movement->key_id = posting->key_id;
	movement->staff_id = posting->staff_id;
	movement->member_id = posting->member_id != 0 ? posting->member_id : posting->account_id;
	switch (posting->kind)
	{
		case ENTRY_ACCRUE:
		case ENTRY_DEPOSIT:
		case ENTRY_REDEEM:
		case ENTRY_ADJUST:
			movement->adds = posting->amount >= 0;
			return true;
		case ENTRY_HOLD:
		case ENTRY_TRANSFER:
			movement->adds = false;
			return true;
		default:
			return false;
	}
}

/* How many points a posting moves at most; PG_INT64_MAX: that is not known before. */
static Points
most_of(const Batch *batch, const Posting *posting)
{
	if (posting->in_full || (posting->earns && batch->rules != NULL) || posting->amount == PG_INT64_MIN)
		return PG_INT64_MAX;
	return i64abs(posting->amount);
}

/* Tell the limits all that the batch may take, before it takes anything: they are locked in their order. */
void
apply_expected(Batch *batch, const Posting *postings, int n)
{
	for (int i = 0; i < n; i++)
	{
		const Account *account = batch_account(batch, postings[i].account_id);
		Movement	movement;

		if (!account->exists || !account->tracks_lots ||
			!(posting_moves(&postings[i], account->program_id, &movement) ||
			  reversal_gives(batch, &postings[i], account, &movement)))
			continue;
		movement.program = batch_terms(batch, account, batch->now)->program;
		if (!movement.program->has_limits)
			continue;
		movement.most = movement.gives ? 0 : most_of(batch, &postings[i]);
		if (batch->limits == NULL)
			batch->limits = limits_start(batch->merchant_id, batch->now);
		limits_advance(batch->limits, account->posted_at);
		limits_expect(batch->limits, &movement);
	}
}

/* Take a posting's points from its limits; false: it exceeds one.  It is the last check, after which nothing fails. */
static bool
within_limits(Batch *batch, const Posting *posting, const Account *account, Points points)
{
	Movement	movement;

	return batch->limits == NULL || !posting_moves(posting, account->program_id, &movement) ||
		limits_take(batch->limits, &movement, points);
}

/* ------------------------------------------------------------------------
 * Points that come and go
 * ------------------------------------------------------------------------ */

/* Whether an amount has the sign of its kind; only a sale may be of 0 points. */
bool
amount_suits_kind(EntryKind kind, Points amount)
{
	switch (kind)
	{
		case ENTRY_ACCRUE:
			return amount >= 0;
		case ENTRY_DEPOSIT:
			return amount > 0;
		case ENTRY_REDEEM:
			return amount < 0;
		case ENTRY_ADJUST:
			return amount != 0;
		default:
			return false;
	}
}

/* When the points of a posting become available and expire; false: the moments asked for make no sense. */
static bool
dates_of(Batch *batch, const Posting *posting, const Account *account, TimestampTz *available_at, TimestampTz *expires_at)
{
	bool		never = posting->expires_at == 0 || posting->expires_at == DT_NOEND;

	*available_at = batch->now;
	*expires_at = DT_NOEND;
	if (!account->tracks_lots)
		return true;
	if (!terms_moment_suits(posting->available_at) || !(never || terms_moment_suits(posting->expires_at)))
		return false;
	if (posting->available_at != 0)
		*available_at = Max(posting->available_at, batch->now);
	else if (posting->kind == ENTRY_ACCRUE && posting->has_money)
		*available_at = batch_terms(batch, account, batch->now)->sale_available_at;
	if (posting->expires_at == 0)
		*expires_at = batch_terms(batch, account, *available_at)->expires_at;
	else if (!never)
		*expires_at = lots_moment(posting->expires_at);
	return *expires_at > *available_at;
}

/* Raise the amount of a sale from the base to what rules and ranks make of it. */
static ErrorId
earn_by_rules(Batch *batch, Posting *posting, const Account *account, Earning *earning)
{
	Sale		sale = {account->account_id, posting->member_id, posting->amount, posting->earning_money, posting->items};
	ErrorId		error = rules_earn(batch->rules, &sale, earning);

	if (error == ERR_NONE)
		posting->amount = earning->total;
	return error;
}

/* The added points as lots. */
static Lots
date_points(const Posting *posting, const Earning *earning, TimestampTz expires_at)
{
	Lots		dated = {0};
	Points		rest = posting->amount;

	for (int i = 0; i < earning->nbonuses; i++)
	{
		if (earning->bonuses[i].expires_at == 0)
			continue;
		lots_add(&dated, earning->bonuses[i].expires_at, earning->bonuses[i].points);
		rest -= earning->bonuses[i].points;
	}
	if (expires_at != DT_NOEND && rest > 0)
		lots_add(&dated, expires_at, rest);
	return dated;
}

/* Add points that have been checked, or reserve them until they are available. */
static void
add_dated(Batch *batch, Posting *posting, Account *account, Entry *entry, Lots *dated, TimestampTz available_at)
{
	const Entry *added;
	bool		later = available_at > batch->now && posting->amount > 0;

	if (!later)
		lots_join(&account->lots, dated, batch->now);
	entry->lots = lots_pack_some(dated);
	if (later)
	{
		entry->reserved = posting->amount;
		account->pending += posting->amount;
		added = batch_add_entry(batch, account, entry, batch->now);
		posted(posting, added);
		reserve(batch, account, added, dated, available_at);
		return;
	}
	entry->amount = posting->amount;
	account_add(account, posting->amount, dated, batch->now);
	if (account->tracks_lots && posting->kind != ENTRY_ADJUST)
		count_earned(batch, account, posting->amount, account_moment(account, batch->now));
	posted(posting, batch_add_entry(batch, account, entry, batch->now));
}

static ErrorId
add_points(Batch *batch, Posting *posting, Account *account)
{
	Entry		entry = batch_entry(posting, posting->kind);
	Earning		earning;
	ErrorId		error;
	Lots		dated;
	TimestampTz available_at;
	TimestampTz expires_at;
	bool		by_rules = posting->earns && batch->rules != NULL;

	if (!dates_of(batch, posting, account, &available_at, &expires_at))
		return posting_refused(posting, ERR_INVALID_ARGUMENT,
							   "expires_at is in the future and after available_at, and both are before the last day of the year 9999.");
	if (posting->kind == ENTRY_ADJUST && available_at > batch->now)
		return posting_refused(posting, ERR_INVALID_ARGUMENT, "What an adjustment adds is available at once: it has no available_at.");
	earning.nbonuses = 0;
	if (by_rules)
	{
		error = earn_by_rules(batch, posting, account, &earning);
		if (error != ERR_NONE)
			return error;
		entry.rules = earning.version;
	}
	if (!account_has_room(account, posting->amount))
		return ERR_BALANCE_OUT_OF_RANGE;
	if (posting->amount > 0 && available_at > batch->now && !may_wait(batch, account))
		return waits_refused(posting);
	if (!within_limits(batch, posting, account, posting->amount))
		return ERR_LIMIT_EXCEEDED;
	dated = date_points(posting, &earning, expires_at);
	add_dated(batch, posting, account, &entry, &dated, available_at);
	if (by_rules)
		rules_keep(batch->rules, account->account_id, posting->member_id, posting->entry_id, &earning);
	return ERR_NONE;
}

static ErrorId
take_points(Batch *batch, Posting *posting, Account *account)
{
	Entry		entry = batch_entry(posting, posting->kind);
	Lots		taken = {0};

	/* not the sum, which may leave the range */
	if (account->balance < 0 || posting->amount < -account->balance)
		return ERR_INSUFFICIENT_POINTS;
	if (!within_limits(batch, posting, account, -posting->amount))
		return ERR_LIMIT_EXCEEDED;
	entry.amount = posting->amount;
	account_take(account, -posting->amount, &taken);
	entry.lots = lots_pack_some(&taken);
	return posted(posting, batch_add_entry(batch, account, &entry, batch->now));
}

static ErrorId
apply_plain(Batch *batch, Posting *posting, Account *account)
{
	if (posting->amount < 0 && (posting->available_at != 0 || posting->expires_at != 0))
		return posting_refused(posting, ERR_INVALID_ARGUMENT, "Only points that are added have an available_at or expires_at.");
	if (!amount_suits_kind(posting->kind, posting->amount))
		return ERR_INVALID_AMOUNT;
	return posting->amount < 0 ? take_points(batch, posting, account) : add_points(batch, posting, account);
}

/* ------------------------------------------------------------------------
 * Holds
 * ------------------------------------------------------------------------ */

static ErrorId
apply_hold(Batch *batch, Posting *posting, Account *account)
{
	Entry		entry = batch_entry(posting, posting->kind);
	const Entry *added;
	Lots		taken = {0};
	TimestampTz due_at = posting->expires_at != 0 ? posting->expires_at : DT_NOEND;

	if (due_at <= batch->now || !(due_at == DT_NOEND || terms_moment_suits(due_at)))
		return posting_refused(posting, ERR_INVALID_ARGUMENT, "release_at is in the future, before the last day of the year 9999.");
	if (posting->amount <= 0)
		return ERR_INVALID_AMOUNT;
	if (posting->amount > account->balance)
		return ERR_INSUFFICIENT_POINTS;
	if (due_at != DT_NOEND && !may_wait(batch, account))
		return waits_refused(posting);
	if (!within_limits(batch, posting, account, posting->amount))
		return ERR_LIMIT_EXCEEDED;
	entry.amount = -posting->amount;
	entry.reserved = posting->amount;
	account_take(account, posting->amount, &taken);
	account->held += posting->amount;
	entry.lots = lots_pack_some(&taken);
	added = batch_add_entry(batch, account, &entry, batch->now);
	posted(posting, added);
	reserve(batch, account, added, &taken, due_at);
	return ERR_NONE;
}

/* Find the open hold that a posting names; all that is left of it is an amount from then on. */
static ErrorId
check_hold(const Batch *batch, Posting *posting, const Account *account, Reservation **hold)
{
	*hold = batch_reservation(batch, account->account_id, posting->origin_entry_id);
	if (*hold == NULL || (*hold)->kind != ENTRY_HOLD || (*hold)->remaining == 0)
		return ERR_UNKNOWN_HOLD;
	if (posting->in_full)
		posting->amount = (*hold)->remaining;
	if (posting->amount <= 0)
		return ERR_INVALID_AMOUNT;
	return posting->amount > (*hold)->remaining ? ERR_EXCEEDS_ORIGINAL : ERR_NONE;
}

static ErrorId
apply_capture(Batch *batch, Posting *posting, Account *account)
{
	Entry		entry = batch_entry(posting, posting->kind);
	Lots		taken = {0};
	Reservation *hold;
	ErrorId		error = check_hold(batch, posting, account, &hold);
	Points		amount = posting->amount;

	if (error != ERR_NONE)
		return error;
	lots_take_first(&hold->lots, amount, &taken);
	hold->remaining -= amount;
	hold->changed = true;
	account->held -= amount;
	entry.reserved = -amount;
	entry.lots = lots_pack_some(&taken);
	return posted(posting, batch_add_entry(batch, account, &entry, batch->now));
}

/* Give back a part of a hold: the lots that expire last first, for they would be spent last. */
static ErrorId
apply_release(Batch *batch, Posting *posting, Account *account)
{
	Entry		entry = batch_entry(posting, posting->kind);
	Lots		taken = {0};
	Lots		dated = {0};
	Reservation *hold;
	ErrorId		error = check_hold(batch, posting, account, &hold);
	Points		amount = posting->amount;

	if (error != ERR_NONE)
		return error;
	lots_take_last(&hold->lots, Max(amount - (hold->remaining - lots_total(&hold->lots)), 0), &taken);
	date_returned(batch, account, &taken, batch->now, &dated);
	hold->remaining -= amount;
	hold->changed = true;
	account->held -= amount;
	account_add(account, amount, &dated, batch->now);
	entry.amount = amount;
	entry.reserved = -amount;
	entry.lots = lots_pack_some(&dated);
	posted(posting, batch_add_entry(batch, account, &entry, batch->now));
	book_expired(batch, account, batch->now);
	posting->balance = account->balance;
	return ERR_NONE;
}

/* ------------------------------------------------------------------------
 * Transfers
 * ------------------------------------------------------------------------ */

static ErrorId
apply_transfer(Batch *batch, Posting *posting, Account *account)
{
	Account    *peer = posting->peer_account_id != 0 ? batch_account(batch, posting->peer_account_id) : NULL;
	Entry		out = batch_entry(posting, posting->kind);
	Entry		in = batch_entry(posting, posting->kind);
	Entry	   *received;
	Points		amount = posting->in_full ? Max(account->balance, 0) : posting->amount;
	Lots		taken = {0};

	if (peer == NULL || !peer->exists)
		return ERR_UNKNOWN_ACCOUNT;
	if (peer == account)
		return posting_refused(posting, ERR_DIFFERENT_PROGRAMS, "account_id and to_account_id are the same account.");
	if (peer->program_id != account->program_id)
		return ERR_DIFFERENT_PROGRAMS;
	if (amount < 0 || (amount == 0 && !posting->in_full))
		return ERR_INVALID_AMOUNT;
	if (!account_has_room(peer, amount))
		return ERR_BALANCE_OUT_OF_RANGE;
	if (amount == 0)
		return posting_refused(posting, ERR_INSUFFICIENT_POINTS, "The account has no points.");
	if (amount > account->balance)
		return ERR_INSUFFICIENT_POINTS;
	if (!within_limits(batch, posting, account, amount))
		return ERR_LIMIT_EXCEEDED;
	account_take(account, amount, &taken);
	out.amount = -amount;
	out.peer_account_id = peer->account_id;
	out.lots = lots_pack_some(&taken);
	posted(posting, batch_add_entry(batch, account, &out, batch->now));
	account_add(peer, amount, &taken, batch->now);
	in.amount = amount;
	in.peer_account_id = account->account_id;
	in.lots = out.lots;
	received = batch_add_entry(batch, peer, &in, batch->now);
	posting->amount = amount;
	posting->peer_entry_id = received->entry_id;
	posting->peer_balance = received->balance;
	return ERR_NONE;
}

/* ------------------------------------------------------------------------
 * All of them
 * ------------------------------------------------------------------------ */

/* Whether an inactive program forbids a posting: it gives and moves no points, but members may spend theirs, and get them back. */
static bool
needs_active(EntryKind kind)
{
	return kind == ENTRY_ACCRUE || kind == ENTRY_DEPOSIT || kind == ENTRY_HOLD || kind == ENTRY_TRANSFER;
}

/*
 * Whether who was looked up has an account no more: they share another one, or
 * have been erased.  Of who acts in another's account that is looked at only if
 * something is written that names them: then theirs is locked too.
 */
static bool
has_moved(const Batch *batch, const Posting *posting, const Account *account)
{
	int64		member_id = posting->member_id != 0 ? posting->member_id : account->account_id;
	const Account *own = posting->looked_up ? batch_account(batch, member_id) : NULL;

	return account->moved || (posting->peer_account_id != 0 && batch_account(batch, posting->peer_account_id)->moved) ||
		(own != NULL && own->account_id == member_id && (text_key_erased(&own->text_key) & OF_MEMBER) != 0);
}

/* Check a posting and do in memory what it says; what it returns is the first of its errors. */
ErrorId
apply_posting(Batch *batch, Posting *posting, Account *account)
{
	ErrorId		error;

	if (!account->exists)
		return ERR_UNKNOWN_ACCOUNT;
	if (posting->kind == ENTRY_REVERSE && reversal_repeats(batch, posting, &error))
		return error;
	if (has_moved(batch, posting, account))
		return ERR_ACCOUNT_MOVED;
	/* accounts of a program that is not active track lots */
	if (account->tracks_lots && needs_active(posting->kind) && !batch_terms(batch, account, batch->now)->program->active)
		return ERR_PROGRAM_INACTIVE;
	switch (posting->kind)
	{
		case ENTRY_HOLD:
			return apply_hold(batch, posting, account);
		case ENTRY_CAPTURE:
			return apply_capture(batch, posting, account);
		case ENTRY_RELEASE:
			return apply_release(batch, posting, account);
		case ENTRY_REVERSE:
			return apply_reversal(batch, posting, account);
		case ENTRY_TRANSFER:
			return apply_transfer(batch, posting, account);
		default:
			return apply_plain(batch, posting, account);
	}
}

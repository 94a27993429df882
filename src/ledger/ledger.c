/*
 * ledger.c
 *		The points engine: the one path by which a balance changes.
 *
 * A call posts a batch.  All accounts are locked first, in ascending id order;
 * then everything is computed in memory, each posting on the balance its
 * predecessors left; then one statement for each table writes what changed.
 * A posting that cannot be made says so in its error and does not touch the
 * others.
 *
 * Two batches over the same accounts do not deadlock: whichever locks the
 * lowest common account first gets all the others too.
 * The order holds across the statements of one batch; a transaction that runs
 * several batches may still meet another in a deadlock, which PostgreSQL
 * breaks with 40P01 as always.
 *
 * What became due since the last posting, points past their date, holds that
 * timed out, points that are pending no more, is booked before anything else
 * touches an account.  So balances are exact although no job runs.
 *
 * A batch of one is by far the most common.  fast_path.c locks, checks and
 * writes its account by one UPDATE, if there is nothing else to it but limits;
 * where that finds no account that suits, the posting takes the general path,
 * which knows why.
 *
 * All memory is the caller's SPI context, gone with db_end().
 */
#include "postgres.h"

#include "account/chain.h"
#include "admin/sql_role.h"
#include "base/crypto.h"
#include "base/sort.h"
#include "db/statement.h"
#include "earning/rank.h"
#include "ledger/due.h"
#include "ledger/fast_path.h"
#include "ledger/kinds.h"
#include "ledger/ledger.h"
#include "ledger/recount.h"
#include "limits/entry_space.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* How many entries that are due the batches of one request may book. */
#define MAX_DUE 100000

/* ------------------------------------------------------------------------
 * A batch
 * ------------------------------------------------------------------------ */

static bool
names_original(const Posting *posting)
{
	return posting->kind == ENTRY_REVERSE;
}

static bool
names_reservation(const Posting *posting)
{
	return posting->kind == ENTRY_CAPTURE || posting->kind == ENTRY_RELEASE || posting->kind == ENTRY_REVERSE;
}

/* Whether a posting goes on with a hold, and has a text, which is of whom the hold names. */
static bool
has_text_of_hold(const Posting *posting)
{
	return (posting->kind == ENTRY_CAPTURE || posting->kind == ENTRY_RELEASE) && posting_has_text(posting);
}

/* The keys of the entries that postings name; NULL: none does. */
static EntryKey *
named_entries(const Posting *postings, int n, bool (*names) (const Posting *), int *nkeys)
{
	EntryKey   *keys = NULL;

	*nkeys = 0;
	for (int i = 0; i < n; i++)
	{
		EntryKey	key = {postings[i].account_id, postings[i].origin_entry_id};

		if (!names(&postings[i]))
			continue;
		if (keys == NULL)
			keys = palloc_extended(n * sizeof(EntryKey), MCXT_ALLOC_HUGE);
		keys[(*nkeys)++] = key;
	}
	return keys;
}

/*
 * Read what is to be reversed.  Entries never change, so that needs no lock; and
 * it says which other accounts are to be locked, those of reversed transfers and
 * of whom it names.
 */
static void
read_originals(Batch *batch, Posting *postings, int n)
{
	int			nkeys;
	EntryKey   *keys = named_entries(postings, n, names_original, &nkeys);

	if (keys == NULL)
		return;
	originals_read(batch->merchant_id, batch_table(&batch->originals, sizeof(Original)), keys, nkeys);
	for (int i = 0; i < n; i++)
	{
		EntryKey	key = {postings[i].account_id, postings[i].origin_entry_id};
		Original   *original;

		if (!names_original(&postings[i]))
			continue;
		original = hash_search(batch->originals, &key, HASH_FIND, NULL);
		if (original == NULL)
			continue;
		postings[i].peer_account_id = original->peer_account_id;
		postings[i].origin_member_id = original->member_id;
	}
}

/* Read whom holds name that are captured or released. */
static void
read_members_of_holds(const Batch *batch, Posting *postings, int n)
{
	int			nkeys;
	EntryKey   *keys = named_entries(postings, n, has_text_of_hold, &nkeys);
	int64	   *members;

	if (keys == NULL)
		return;
	members = entries_read_members(batch->merchant_id, keys, nkeys);
	for (int i = 0; i < n; i++)
	{
		if (has_text_of_hold(&postings[i]))
			postings[i].origin_member_id = *members++;
	}
}

/*
 * Read what has expired of the points that are to be reversed.  This is before
 * anything due is booked, which adds to it.
 */
static void
read_expired_lots(Batch *batch)
{
	HASH_SEQ_STATUS all;
	Original   *original;

	hash_seq_init(&all, batch->originals);
	while ((original = hash_seq_search(&all)) != NULL)
	{
		int64		holder = original->kind == ENTRY_TRANSFER ? original->peer_account_id : original->key.account_id;

		if (original->kind == ENTRY_REDEEM || original->kind == ENTRY_CAPTURE)
			continue;
		for (int i = 0; i < original->lots.n; i++)
		{
			if (original->lots.lot[i].posted <= account_moment(batch_account(batch, holder), batch->now))
				batch_expired_lot(batch, holder, original->lots.lot[i].posted);
		}
	}
	if (batch->expired_lots != NULL)
		expired_lots_read(batch->merchant_id, batch->expired_lots);
}

static int
compare_ids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* Tell the accounts that are posted to from those that are locked for their keys only. */
static void
tell_bystanders(Batch *batch, const Posting *postings, int n)
{
	for (int i = 0; i < batch->naccounts; i++)
		batch->accounts[i].bystander = true;
	for (int i = 0; i < n; i++)
	{
		batch_account(batch, postings[i].account_id)->bystander = false;
		if (postings[i].peer_account_id != 0)
			batch_account(batch, postings[i].peer_account_id)->bystander = false;
	}
}

/* Lock the accounts that the postings name, and those of the members whom they name, each once, in ascending order. */
static void
lock_accounts(Batch *batch, const Posting *postings, int n)
{
	int64	   *ids = palloc_extended(3 * n * sizeof(int64), MCXT_ALLOC_HUGE);
	int			named = 0;
	int			distinct = 0;
	bool		bystanders = false;

	for (int i = 0; i < n; i++)
	{
		ids[named++] = postings[i].account_id;
		if (postings[i].peer_account_id != 0)
			ids[named++] = postings[i].peer_account_id;
		/* for the key of the text, which must not be replaced meanwhile, and whether they have been erased */
		if (posting_named(&postings[i]) == 0 || !(postings[i].notifies || posting_has_text(&postings[i])))
			continue;
		ids[named++] = posting_named(&postings[i]);
		bystanders = true;
	}
	merge_sort(ids, named, sizeof(int64), compare_ids);
	for (int i = 0; i < named; i++)
	{
		if (distinct == 0 || ids[i] != ids[distinct - 1])
			ids[distinct++] = ids[i];
	}
	batch->naccounts = distinct;
	batch->accounts = palloc_extended(distinct * sizeof(Account), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < distinct; i++)
		batch->accounts[i].account_id = ids[i];
	if (bystanders)
		tell_bystanders(batch, postings, n);
	accounts_lock(batch->merchant_id, batch->accounts, distinct);
}

/* Whether somebody has been erased who owned an account, or has texts there, and does not own it now. */
static bool
may_have_erased(const Batch *batch, int64 account_id)
{
	const Account *account = account_id != 0 ? batch_account(batch, account_id) : NULL;

	return account != NULL && text_key_replaced(&account->text_key) && (text_key_erased(&account->text_key) & OF_OWNER) == 0;
}

/*
 * Find out which postings go on with what is of somebody who has been erased,
 * and is neither named nor owns the account now.  Who erased them has locked it.
 */
static void
read_erased(const Batch *batch, Posting *postings, int n)
{
	for (int i = 0; i < n; i++)
	{
		Posting    *posting = &postings[i];
		int64		named = posting_named(posting);

		if (names_reservation(posting) && posting_has_text(posting) && (named == 0 || !batch_account(batch, named)->exists) &&
			(may_have_erased(batch, posting->account_id) || may_have_erased(batch, posting->peer_account_id)))
			posting->origin_erased = entry_began_with_erased(batch->merchant_id, posting->origin_entry_id);
	}
}

/* Whether a posting needs accounts that track lots. */
static bool
needs_lots(const Batch *batch, const Posting *posting)
{
	switch (posting->kind)
	{
		case ENTRY_HOLD:
			return true;
		case ENTRY_TRANSFER:
		case ENTRY_REVERSE:
			return posting->peer_account_id != 0 && (batch_account(batch, posting->account_id)->tracks_lots ||
													 batch_account(batch, posting->peer_account_id)->tracks_lots);
		default:
			return posting->available_at != 0 || posting->expires_at != 0;
	}
}

/* Let accounts track lots from the first posting on that needs it. */
static void
adopt_accounts(Batch *batch, const Posting *postings, int n)
{
	Account    *adopted = NULL;
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		int64		ids[] = {postings[i].account_id, postings[i].peer_account_id};

		if (!needs_lots(batch, &postings[i]))
			continue;
		for (int j = 0; j < (int) lengthof(ids); j++)
		{
			Account    *account = ids[j] != 0 ? batch_account(batch, ids[j]) : NULL;

			if (account == NULL || account->tracks_lots || !account->exists)
				continue;
			if (adopted == NULL)
				adopted = palloc_extended(batch->naccounts * sizeof(Account), MCXT_ALLOC_HUGE);
			account->tracks_lots = true;
			account->due_at = DT_NOEND;
			adopted[count++] = *account;
		}
	}
	if (count == 0)
		return;
	accounts_adopt(batch->merchant_id, adopted, count);
	for (int i = 0; i < count; i++)
	{
		Account    *account = batch_account(batch, adopted[i].account_id);

		account->earned = adopted[i].earned;
		account->purchases = adopted[i].purchases;
	}
}

static Buyer
buyer_of(const Account *account, const Posting *posting, const Terms *terms)
{
	Buyer		buyer = {
		.account_id = account->account_id,
		.member_id = posting->member_id,
		.account = account,
		.program = terms->program,
		.version = terms->program->rules,
		.posted_at = account_moment(account, terms->at),
		.ranked_at = account_rank_moment(account, terms->at),
		.available_at = terms->sale_available_at,
	};

	return buyer;
}

/* Read the earning rules, and the buyers they are asked for, if a posting earns by any. */
static void
read_rules(Batch *batch, const Posting *postings, int n)
{
	const Moment moment = {batch->now, batch->ahead};
	Buyer	   *buyers = NULL;
	int			nbuyers = 0;

	for (int i = 0; i < n; i++)
	{
		const Account *account;
		const Terms *terms;

		if (!postings[i].earns)
			continue;
		account = batch_account(batch, postings[i].account_id);
		if (!account->exists || !account->tracks_lots)
			continue;
		terms = batch_terms(batch, account, batch->now);
		if (terms->program->rules == 0 && !ranks_of(terms->program)->multiply)
			continue;
		if (buyers == NULL)
			buyers = palloc_extended(n * sizeof(Buyer), MCXT_ALLOC_HUGE);
		buyers[nbuyers++] = buyer_of(account, &postings[i], terms);
	}
	if (nbuyers == 0)
		return;
	batch_read_ranks(batch);
	batch->rules = rules_start(batch->merchant_id, moment, buyers, nbuyers);
}

/* Start a batch; false: too much is due in its accounts, see book_due(). */
static bool
start(Batch *batch, int64 merchant_id, Posting *postings, int n)
{
	int			nkeys;
	EntryKey   *keys;

	memset(batch, 0, sizeof(Batch));
	batch->merchant_id = merchant_id;
	batch->allocated = Max(n, 8);
	batch->entries = palloc_extended(batch->allocated * sizeof(Entry *), MCXT_ALLOC_HUGE);
	batch->writes = true;

	read_originals(batch, postings, n);
	read_members_of_holds(batch, postings, n);
	lock_accounts(batch, postings, n);
	read_erased(batch, postings, n);
	/* Read after the locks: whoever held them has posted before this moment. */
	batch->now = batch->ahead = GetCurrentTimestamp();
	adopt_accounts(batch, postings, n);

	if (batch->originals != NULL)
	{
		originals_read_reversals(merchant_id, batch->originals);
		read_expired_lots(batch);
	}
	keys = named_entries(postings, n, names_reservation, &nkeys);
	if (keys != NULL)
		reservations_read(merchant_id, batch_table(&batch->reservations, sizeof(Reservation)), keys, nkeys);
	if (!book_due(batch))
		return false;
	read_rules(batch, postings, n);
	return true;
}

/*
 * Book what is due in these accounts, as much as one batch does, and add how
 * many entries that were.  It leaves no memory behind.  False: there is more.
 */
static bool
expire_some(int64 merchant_id, const int64 *account_ids, int n, int *booked)
{
	Posting    *postings;
	Batch		batch;
	bool		all;

	db_begin();
	postings = palloc0(n * sizeof(Posting));
	for (int i = 0; i < n; i++)
		postings[i].account_id = account_ids[i];
	all = start(&batch, merchant_id, postings, n);
	batch_write(&batch);
	db_end();
	*booked += batch.nentries;
	return all;
}

/*
 * Start a batch.  If more is due in its accounts than it books itself, batches
 * of their own do that before, of which no memory is left.  *due counts what
 * they book; from MAX_DUE on, postings to accounts of which some is left fail.
 * NULL: there is no such bound.
 */
static void
start_bounded(Batch *batch, int64 merchant_id, Posting *postings, int n, int *due)
{
	int			unbounded = 0;
	int		   *booked = due ? due : &unbounded;

	if (!start(batch, merchant_id, postings, n))
	{
		int			naccounts = 0;
		int64	   *ids = palloc_extended(batch->naccounts * sizeof(int64), MCXT_ALLOC_HUGE);

		for (int i = 0; i < batch->naccounts; i++)
		{
			if (!batch->accounts[i].bystander)
				ids[naccounts++] = batch->accounts[i].account_id;
		}
		while ((due == NULL || *due < MAX_DUE) && !expire_some(merchant_id, ids, naccounts, booked))
			continue;
		(void) start(batch, merchant_id, postings, n);
	}
	*booked += batch->nentries;
}

void
batch_start(Batch *batch, int64 merchant_id, Posting *postings, int n)
{
	start_bounded(batch, merchant_id, postings, n, NULL);
}

/* Write all that the batch has changed: one statement for each table. */
void
batch_write(Batch *batch)
{
	accounts_update(batch->merchant_id, batch->accounts, batch->naccounts);
	entries_insert(batch->entries, batch->nentries);
	if (batch->reservations != NULL)
		reservations_write(batch->merchant_id, batch->reservations);
	if (batch->originals != NULL)
		originals_write_reversals(batch->merchant_id, batch->originals);
	if (batch->expired_lots != NULL)
		expired_lots_write(batch->merchant_id, batch->expired_lots);
	if (batch->rules != NULL)
		entry_space_owe(batch->merchant_id, SPACE_OF_MERCHANT, (int64) rules_write(batch->rules) * ENTRY_RULE_BYTES);
	write_ranks(batch);
	if (batch->limits != NULL)
		limits_write(batch->limits);
}

/*
 * What the newest single posting of the session was to: the next one probably is
 * to the like, and is tried at once as such.  Any guess is right, for what is
 * tried says itself for which accounts it is.
 */
typedef struct Newest
{
	bool		tracks_lots;
	int64		merchant_id;
	int64		program_id;		/* of an account that tracks lots and has nothing but its balance; else 0 */
} Newest;

static Newest newest = {0};

static void
note_newest(const Batch *batch)
{
	const Account *account = &batch->accounts[0];
	bool		simple = account->tracks_lots && account->lots.n == 0 && account->qualifying.n == 0 &&
	account->due_at == DT_NOEND;

	newest.tracks_lots = account->tracks_lots;
	newest.merchant_id = batch->merchant_id;
	newest.program_id = simple ? account->program_id : 0;
}

static bool
try_fast_path(int64 merchant_id, Posting *posting)
{
	if (!fast_path_suits(posting))
		return false;
	if (posting->program == NULL && newest.program_id != 0 && newest.merchant_id == merchant_id)
		posting->program = program_remembered(merchant_id, newest.program_id);
	return (posting->program != NULL || !newest.tracks_lots) && fast_path_post(merchant_id, posting);
}

/*
 * Post; each posting says what came of it, and one that fails does not touch the
 * others.  *due is what start_bounded() says.
 */
void
ledger_post_bounded(int64 merchant_id, Posting *postings, int n, int *due)
{
	Batch		batch;

	if (n == 0)
		return;
	/* what comes with a key does so as a whole */
	if (postings[0].key_id == 0)
		sql_role_keep(merchant_id);
	if (n == 1 && try_fast_path(merchant_id, postings))
		return;
	start_bounded(&batch, merchant_id, postings, n, due);
	apply_expected(&batch, postings, n);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		postings[i].error = apply_posting(&batch, &postings[i], batch_account(&batch, postings[i].account_id));
	}
	batch_write(&batch);
	if (n == 1)
		note_newest(&batch);
}

/* The same, of whoever may book all that is due. */
void
ledger_post(int64 merchant_id, Posting *postings, int n)
{
	ledger_post_bounded(merchant_id, postings, n, NULL);
}

/* Book what is due in these accounts, and nothing else; returns how many entries that were.  It leaves no memory behind. */
int
ledger_expire(int64 merchant_id, const int64 *account_ids, int n)
{
	int			booked = 0;

	while (!expire_some(merchant_id, account_ids, n, &booked))
		continue;
	return booked;
}

/* An account as it is stored, to be looked at only, by what is said at a moment: nothing that is due is booked. */
bool
batch_view_stored(Batch *batch, int64 merchant_id, Account *account, TimestampTz at)
{
	const Batch start = {.merchant_id = merchant_id,.now = at,.ahead = moment_at(at).ahead,.accounts = account,.naccounts = 1,.allocated = 8};

	*batch = start;
	if (!account_read(merchant_id, account))
		return false;
	batch->entries = palloc(batch->allocated * sizeof(Entry *));
	return true;
}

/*
 * An account as it is, or will be, at a moment, to be looked at only: if its
 * newest entry has begun by then, with all that is due.
 */
bool
batch_view(Batch *batch, int64 merchant_id, Account *account, TimestampTz at)
{
	const Moment moment = moment_at(at);

	if (!batch_view_stored(batch, merchant_id, account, at))
		return false;
	if (has_begun(&moment, account->posted_at))
		book_due(batch);
	return true;
}

/* What an account has, or will have, at a moment; false: there is no such account. */
bool
ledger_state(int64 merchant_id, int64 account_id, TimestampTz at, AccountState *state)
{
	Account		account = {.account_id = account_id};
	Batch		batch;

	if (!batch_view(&batch, merchant_id, &account, at))
		return false;
	state->balance = account.balance;
	state->held = account.held;
	state->pending = account.pending;
	state->expired = account.expired;
	state->earned = account.earned;
	state->lots = account.lots;
	return true;
}

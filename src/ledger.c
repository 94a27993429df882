/*
 * ledger.c
 *		The points engine: the one path by which a balance changes.
 *
 * A call posts a batch.  All accounts are locked first, in ascending id order;
 * then everything is computed in memory, each posting on the balance its
 * predecessors left; then one UPDATE writes the accounts that changed and one
 * INSERT adds the entries.  A posting that cannot be made says so in its error
 * and does not touch the others.
 *
 * Two batches over the same accounts cannot wait for each other in a circle:
 * whichever locks the lowest common account first gets all the others too.
 * The order holds across the statements of one batch; a transaction that runs
 * several batches may still meet another in a deadlock, which PostgreSQL
 * breaks with 40P01 as always.
 *
 * Points that expire are counted, not marked.  The lots of an account expire
 * in the order in which they were added, and each has the sum of all up to it;
 * the account has the sum of what was used.  So a lot's rest is known without
 * touching it, spending moves one number however many lots it spans, and what
 * is past its date is the newest past lot's sum less what was used.  That is
 * booked, as an entry of its own, before anything else is posted.
 *
 * A batch of one is by far the most common.  Its account is locked, checked
 * and written by one UPDATE, if the account keeps no lots; if that finds the
 * posting impossible, the posting takes the general way, which knows why.
 *
 * All memory is the caller's SPI context, gone with plan_end().
 */
#include "postgres.h"

#include "ledger_rows.h"
#include "plan.h"
#include "utils/timestamp.h"

typedef struct Batch
{
	int64		merchant_id;
	TimestampTz now;
	Account    *accounts;
	int			naccounts;
	Posting   **entries;		/* what is to be inserted, in order */
	int			nentries;
	Lot		   *lots;
	int			nlots;
	int64		terms_of;		/* the program whose expiry was asked last */
	TimestampTz expires_at;		/* and what it is; DT_NOEND: never */
} Batch;

static const struct
{
	EntryKind	kind;
	const char *name;
}			kinds[] = {
	{ENTRY_ACCRUE, "accrue"},
	{ENTRY_DEPOSIT, "deposit"},
	{ENTRY_REDEEM, "redeem"},
	{ENTRY_ADJUST, "adjust"},
	{ENTRY_EXPIRE, "expire"},
};

const char *
entry_kind_name(int kind)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (kinds[i].kind == kind)
			return kinds[i].name;
	}
	return NULL;
}

/* The kinds that can be asked for; only the engine knows what has expired. */
bool
entry_kind_parse(const char *name, EntryKind *kind)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (strcmp(kinds[i].name, name) == 0 && kinds[i].kind != ENTRY_EXPIRE)
		{
			*kind = kinds[i].kind;
			return true;
		}
	}
	return false;
}

/* A sale may earn nothing; nothing else may be of no points. */
static bool
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
		case ENTRY_EXPIRE:
			return false;
	}
	return false;
}

/* ------------------------------------------------------------------------
 * One posting at once
 * ------------------------------------------------------------------------ */

/* The bounds are those of the balance before; apply() has the same conditions. */
static bool
post_at_once(int64 merchant_id, Posting *posting)
{
	Points		amount = posting->amount;
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(posting->account_id),
		PointsGetDatum(amount),
		TimestampTzGetDatum(GetCurrentTimestamp()),
		PointsGetDatum(amount < 0 ? -amount : PG_INT64_MIN),
		PointsGetDatum(amount > 0 ? PG_INT64_MAX - amount : PG_INT64_MAX),
	};

	if (amount == PG_INT64_MIN || !amount_suits_kind(posting->kind, amount) ||
		plan_post(PLAN_ACCOUNT_POST, values, NULL) == 0)
		return false;
	posting->error = ERR_NONE;
	posting->version = plan_int64(0, 0);
	posting->balance = plan_int64(0, 1);
	posting->posted_at = plan_int64(0, 2);
	rows_insert_entry(merchant_id, posting);
	return true;
}

/* ------------------------------------------------------------------------
 * A batch
 * ------------------------------------------------------------------------ */

static Account *
find_account(const Batch *batch, int64 account_id)
{
	Account		key = {.account_id = account_id};

	if (batch->naccounts == 1)
		return batch->accounts;
	return bsearch(&key, batch->accounts, batch->naccounts, sizeof(Account), compare_accounts);
}

/* Lock the accounts that the postings name, each once, in ascending order. */
static void
batch_start(Batch *batch, int64 merchant_id, const Posting *postings, int n)
{
	Account    *accounts = palloc0(n * sizeof(Account));
	int			distinct = 0;

	for (int i = 0; i < n; i++)
		accounts[i].account_id = postings[i].account_id;
	qsort(accounts, n, sizeof(Account), compare_accounts);
	for (int i = 0; i < n; i++)
	{
		if (distinct == 0 || accounts[i].account_id != accounts[distinct - 1].account_id)
			accounts[distinct++] = accounts[i];
	}

	memset(batch, 0, sizeof(Batch));
	batch->merchant_id = merchant_id;
	batch->accounts = accounts;
	batch->naccounts = distinct;
	/* every account may have an expiry to book besides */
	batch->entries = palloc((n + distinct) * sizeof(Posting *));
	batch->lots = palloc(n * sizeof(Lot));
	rows_lock_accounts(merchant_id, accounts, distinct);

	/* Read after the locks: whoever held them has posted before this moment. */
	batch->now = GetCurrentTimestamp();
}

/* The account's next entry; its amount has been checked. */
static void
add_entry(Batch *batch, Account *account, Posting *posting)
{
	account->balance += posting->amount;
	account->version++;
	/* The clock may step back; the entries of an account do not. */
	account->posted_at = Max(account->posted_at, batch->now);
	account->changed = true;

	posting->error = ERR_NONE;
	posting->balance = account->balance;
	posting->version = account->version;
	posting->posted_at = account->posted_at;
	batch->entries[batch->nentries++] = posting;
}

/* Called for each account that has points past their date. */
static void
book_expiry(void *context, Account *account, Points due)
{
	Posting    *expiry = palloc0(sizeof(Posting));

	expiry->account_id = account->account_id;
	expiry->kind = ENTRY_EXPIRE;
	expiry->amount = -due;
	account->lots_used += due;
	account->expired += due;
	add_entry(context, account, expiry);
}

/* When points that are added now expire, by the program of the account. */
static TimestampTz
expiry_for(Batch *batch, const Account *account)
{
	if (batch->terms_of != account->program_id)
	{
		batch->expires_at = rows_expiry(batch->merchant_id, account->program_id, batch->now);
		batch->terms_of = account->program_id;
	}
	return batch->expires_at;
}

/*
 * Keep the lots of an account that has them.  What a shortened duration would
 * let expire before older points expires together with those: lots stay in the
 * order in which they were added, and nothing issued is ever shortened.
 */
static void
keep_lots(Batch *batch, Account *account, const Posting *posting)
{
	if (posting->kind == ENTRY_ACCRUE || posting->kind == ENTRY_DEPOSIT)
		account->earned += posting->amount;
	if (posting->amount > 0 && expiry_for(batch, account) != DT_NOEND)
	{
		Lot		   *lot = &batch->lots[batch->nlots++];

		account->lots_earned += posting->amount;
		account->last_expiry = Max(account->last_expiry, batch->expires_at);
		account->next_expiry = Min(account->next_expiry, account->last_expiry);
		lot->account_id = account->account_id;
		lot->expires_at = account->last_expiry;
		lot->cumulative = account->lots_earned;
		lot->version = posting->version;
	}
	else if (posting->amount < 0)
		account->lots_used += Min(-posting->amount, account->lots_earned - account->lots_used);
}

/* Points that will expire are counted for ever, so they have a range too. */
static bool
in_range(const Account *account, Points amount)
{
	Points		sum;

	return points_add(account->balance, amount, &sum) &&
		(!account->has_terms ||
		 (points_add(account->earned, Max(amount, 0), &sum) &&
		  points_add(account->lots_earned, Max(amount, 0), &sum)));
}

/* In memory; nothing of a posting that fails stays behind in the account. */
static void
apply(Batch *batch, Posting *posting, Account *account)
{
	if (account->stored_version < 0)
		posting->error = ERR_UNKNOWN_ACCOUNT;
	else if (!amount_suits_kind(posting->kind, posting->amount))
		posting->error = ERR_INVALID_AMOUNT;
	else if (!in_range(account, posting->amount))
		posting->error = ERR_BALANCE_OUT_OF_RANGE;
	else if (posting->amount < 0 && account->balance + posting->amount < 0)
		posting->error = ERR_INSUFFICIENT_POINTS;
	else
	{
		add_entry(batch, account, posting);
		if (account->has_terms)
			keep_lots(batch, account, posting);
	}
}

static void
batch_write(const Batch *batch)
{
	rows_update_accounts(batch->merchant_id, batch->accounts, batch->naccounts);
	rows_insert_entries(batch->merchant_id, batch->entries, batch->nentries);
	rows_insert_lots(batch->merchant_id, batch->lots, batch->nlots);
}

void
ledger_post(int64 merchant_id, Posting *postings, int n)
{
	Batch		batch;

	if (n == 0 || (n == 1 && post_at_once(merchant_id, &postings[0])))
		return;
	batch_start(&batch, merchant_id, postings, n);
	rows_settle_due(merchant_id, batch.accounts, batch.naccounts, batch.now, book_expiry, &batch);
	for (int i = 0; i < n; i++)
		apply(&batch, &postings[i], find_account(&batch, postings[i].account_id));
	batch_write(&batch);
}

/* Book what these accounts have past its date, and nothing else. */
void
ledger_expire(int64 merchant_id, const int64 *account_ids, int n)
{
	Posting    *postings = palloc0(n * sizeof(Posting));
	Batch		batch;

	for (int i = 0; i < n; i++)
		postings[i].account_id = account_ids[i];
	batch_start(&batch, merchant_id, postings, n);
	rows_settle_due(merchant_id, batch.accounts, batch.naccounts, batch.now, book_expiry, &batch);
	batch_write(&batch);
}

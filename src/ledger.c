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
 * A batch of one is by far the most common.  Its account is locked, checked
 * and written by one UPDATE; if that finds the posting impossible, the posting
 * takes the general way, which knows why.
 *
 * Two batches over the same accounts cannot wait for each other in a circle:
 * whichever locks the lowest common account first gets all the others too.
 * The order holds across the statements of one batch; a transaction that runs
 * several batches may still meet another in a deadlock, which PostgreSQL
 * breaks with 40P01 as always.
 *
 * All memory is the caller's SPI context, gone with plan_end().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "ledger.h"
#include "plan.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

typedef struct Account
{
	int64		account_id;
	int64		version;
	int64		stored_version; /* -1: there is no such account */
	Points		balance;
	TimestampTz posted_at;
} Account;

static const struct
{
	EntryKind	kind;
	const char *name;
}			kinds[] = {
	{ENTRY_ACCRUE, "accrue"},
	{ENTRY_DEPOSIT, "deposit"},
	{ENTRY_REDEEM, "redeem"},
	{ENTRY_ADJUST, "adjust"},
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

bool
entry_kind_parse(const char *name, EntryKind *kind)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (strcmp(kinds[i].name, name) == 0)
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
	}
	return false;
}

static int
compare_accounts(const void *a, const void *b)
{
	int64		left = ((const Account *) a)->account_id;
	int64		right = ((const Account *) b)->account_id;

	return (left > right) - (left < right);
}

static Account *
find_account(Account *accounts, int n, int64 account_id)
{
	Account		key = {.account_id = account_id};

	if (n == 1)
		return accounts;
	return bsearch(&key, accounts, n, sizeof(Account), compare_accounts);
}

/* The accounts the postings name, each once, in ascending id order. */
static Account *
distinct_accounts(const Posting *postings, int n, int *naccounts)
{
	Account    *accounts = palloc(n * sizeof(Account));
	int			distinct = 0;

	for (int i = 0; i < n; i++)
	{
		accounts[i].account_id = postings[i].account_id;
		accounts[i].version = accounts[i].stored_version = -1;
	}
	qsort(accounts, n, sizeof(Account), compare_accounts);
	for (int i = 0; i < n; i++)
	{
		if (distinct == 0 || accounts[i].account_id != accounts[distinct - 1].account_id)
			accounts[distinct++] = accounts[i];
	}
	*naccounts = distinct;
	return accounts;
}

static ArrayType *
int8_array(Datum *values, int n)
{
	return construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

/*
 * Lock the accounts in ascending id order: the order is what keeps two batches
 * from deadlocking.  Rows come back in that order too, so one pass fills in
 * what was found.
 */
static void
lock_accounts(int64 merchant_id, Account *accounts, int n)
{
	Datum		values[2] = {Int64GetDatum(merchant_id)};
	Datum	   *ids = palloc(n * sizeof(Datum));
	uint64		found;
	int			next = 0;

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(accounts[i].account_id);
	values[1] = PointerGetDatum(int8_array(ids, n));
	found = plan_write(PLAN_ACCOUNTS_LOCK, values, NULL);

	for (uint64 row = 0; row < found; row++)
	{
		int64		account_id = plan_int64(row, 0);

		while (accounts[next].account_id != account_id)
			next++;
		accounts[next].balance = plan_int64(row, 1);
		accounts[next].version = plan_int64(row, 2);
		accounts[next].stored_version = accounts[next].version;
		accounts[next].posted_at = plan_int64(row, 3);
	}
}

/* In memory; nothing of a posting that fails stays behind in the account. */
static void
apply(Posting *posting, Account *account, TimestampTz now)
{
	Points		balance;

	posting->error = ERR_NONE;
	if (account->stored_version < 0)
		posting->error = ERR_UNKNOWN_ACCOUNT;
	else if (!amount_suits_kind(posting->kind, posting->amount))
		posting->error = ERR_INVALID_AMOUNT;
	else if (!points_add(account->balance, posting->amount, &balance))
		posting->error = ERR_BALANCE_OUT_OF_RANGE;
	else if (posting->amount < 0 && balance < 0)
		posting->error = ERR_INSUFFICIENT_POINTS;
	if (posting->error != ERR_NONE)
		return;

	account->balance = balance;
	account->version++;
	/* The clock may step back; the entries of an account do not. */
	account->posted_at = Max(account->posted_at, now);

	posting->balance = account->balance;
	posting->version = account->version;
	posting->posted_at = account->posted_at;
}

static void
update_accounts(int64 merchant_id, const Account *accounts, int n)
{
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *balances = palloc(n * sizeof(Datum));
	Datum	   *versions = palloc(n * sizeof(Datum));
	Datum	   *times = palloc(n * sizeof(Datum));
	int			changed = 0;
	Datum		values[5] = {Int64GetDatum(merchant_id)};

	for (int i = 0; i < n; i++)
	{
		if (accounts[i].version == accounts[i].stored_version)
			continue;
		ids[changed] = Int64GetDatum(accounts[i].account_id);
		balances[changed] = PointsGetDatum(accounts[i].balance);
		versions[changed] = Int64GetDatum(accounts[i].version);
		times[changed] = TimestampTzGetDatum(accounts[i].posted_at);
		changed++;
	}
	if (changed == 0)
		return;

	values[1] = PointerGetDatum(int8_array(ids, changed));
	values[2] = PointerGetDatum(construct_array(balances, changed, plan_points_oid(), sizeof(Points),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[3] = PointerGetDatum(int8_array(versions, changed));
	values[4] = PointerGetDatum(construct_array(times, changed, TIMESTAMPTZOID, sizeof(TimestampTz),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	/* The statement refuses what apply() should have refused. */
	if (plan_write(PLAN_ACCOUNTS_UPDATE, values, NULL) != (uint64) changed)
		elog(ERROR, "locked accounts of merchant " INT64_FORMAT " are gone or would be overdrawn", merchant_id);
}

/* The columns of loyalty.entry after the merchant, in their order. */
#define ENTRY_COLUMNS 9

static void
entry_columns(const Posting *posting, Datum *values, bool *nulls)
{
	memset(nulls, 0, ENTRY_COLUMNS * sizeof(bool));
	values[0] = Int64GetDatum(posting->account_id);
	values[1] = Int64GetDatum(posting->version);
	values[2] = PointsGetDatum(posting->amount);
	values[3] = PointsGetDatum(posting->balance);
	values[4] = TimestampTzGetDatum(posting->posted_at);
	values[5] = Int64GetDatum(posting->staff_id);
	nulls[5] = posting->staff_id == 0;
	values[6] = PointsGetDatum(posting->money);
	nulls[6] = !posting->has_money;
	values[7] = Int16GetDatum(posting->kind);
	values[8] = PointerGetDatum(posting->reference);
	nulls[8] = posting->reference == NULL;
}

static void
insert_one_entry(int64 merchant_id, const Posting *posting)
{
	Datum		values[1 + ENTRY_COLUMNS] = {Int64GetDatum(merchant_id)};
	bool		isnull[ENTRY_COLUMNS];
	char		nulls[1 + ENTRY_COLUMNS] = {' '};

	if (posting->error != ERR_NONE)
		return;
	entry_columns(posting, values + 1, isnull);
	for (int i = 0; i < ENTRY_COLUMNS; i++)
		nulls[1 + i] = isnull[i] ? 'n' : ' ';
	plan_write(PLAN_ENTRY_INSERT, values, nulls);
}

static void
insert_entries(int64 merchant_id, const Posting *postings, int n)
{
	Oid			points = plan_points_oid();
	Oid			types[ENTRY_COLUMNS] = {INT8OID, INT8OID, points, points, TIMESTAMPTZOID, INT8OID, points, INT2OID, TEXTOID};
	Datum	   *columns[ENTRY_COLUMNS];
	bool	   *nulls[ENTRY_COLUMNS];
	Datum		values[1 + ENTRY_COLUMNS] = {Int64GetDatum(merchant_id)};
	int			posted = 0;

	for (int c = 0; c < ENTRY_COLUMNS; c++)
	{
		columns[c] = palloc(n * sizeof(Datum));
		nulls[c] = palloc(n * sizeof(bool));
	}
	for (int i = 0; i < n; i++)
	{
		Datum		row[ENTRY_COLUMNS];
		bool		row_nulls[ENTRY_COLUMNS];

		if (postings[i].error != ERR_NONE)
			continue;
		entry_columns(&postings[i], row, row_nulls);
		for (int c = 0; c < ENTRY_COLUMNS; c++)
		{
			columns[c][posted] = row[c];
			nulls[c][posted] = row_nulls[c];
		}
		posted++;
	}
	if (posted == 0)
		return;

	for (int c = 0; c < ENTRY_COLUMNS; c++)
	{
		int16		typlen = types[c] == TEXTOID ? -1 : types[c] == INT2OID ? 2 : 8;
		char		typalign = types[c] == TEXTOID ? TYPALIGN_INT : types[c] == INT2OID ? TYPALIGN_SHORT : TYPALIGN_DOUBLE;
		int			lower = 1;

		values[1 + c] = PointerGetDatum(construct_md_array(columns[c], nulls[c], 1, &posted, &lower,
														   types[c], typlen, typlen > 0, typalign));
	}
	plan_write(PLAN_ENTRIES_INSERT, values, NULL);
}

/*
 * The common case: lock, check and write one account in one statement.  The
 * bounds are those of the balance before; apply() has the same conditions.
 */
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
		plan_write(PLAN_ACCOUNT_POST, values, NULL) == 0)
		return false;
	posting->error = ERR_NONE;
	posting->version = plan_int64(0, 0);
	posting->balance = plan_int64(0, 1);
	posting->posted_at = plan_int64(0, 2);
	insert_one_entry(merchant_id, posting);
	return true;
}

static void
post_batch(int64 merchant_id, Posting *postings, int n)
{
	TimestampTz now;
	int			naccounts;
	Account    *accounts = distinct_accounts(postings, n, &naccounts);

	lock_accounts(merchant_id, accounts, naccounts);

	/* Read after the locks: whoever held them has posted before this moment. */
	now = GetCurrentTimestamp();
	for (int i = 0; i < n; i++)
		apply(&postings[i], find_account(accounts, naccounts, postings[i].account_id), now);

	update_accounts(merchant_id, accounts, naccounts);
	insert_entries(merchant_id, postings, n);
}

void
ledger_post(int64 merchant_id, Posting *postings, int n)
{
	if (n == 1 && post_at_once(merchant_id, &postings[0]))
		return;
	if (n > 0)
		post_batch(merchant_id, postings, n);
}

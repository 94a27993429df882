/*
 * fast_path.c
 *		A single posting, whose account is locked, checked and written by one
 *		UPDATE.
 *
 * It serves accounts that do not track lots, and those that do but have nothing
 * that expires, is due or counts for a rank, if the session has the program in
 * its cache.  Whether the program is still the same is checked when the account
 * is locked: who changes terms that matter to accounts locks those too.  Such a
 * program may have limits, which come after the account, as always.  If the
 * program has changed, or a limit is exceeded, the account is put back to what
 * its newest entry says.
 * So it is if the account is of somebody who was erased: then there is no hash.
 * The general path leaves texts out, and refuses who looked the member up before.
 *
 * False means that nothing was done, for whatever reason: the general path
 * knows which.
 */
#include "postgres.h"

#include "account/chain.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "db/statement.h"
#include "ledger/batch.h"
#include "ledger/fast_path.h"
#include "ledger/kinds.h"
#include "utils/timestamp.h"

bool		fast_path_enabled = true;

/* Whether a posting may be tried by the fast path. */
bool
fast_path_suits(const Posting *posting)
{
	return fast_path_enabled && posting->available_at == 0 && posting->expires_at == 0 && posting->member_id == 0 &&
		posting->amount != PG_INT64_MIN && amount_suits_kind(posting->kind, posting->amount);
}

/*
 * The bound is one of the balance before, and of the other sums of an account
 * that tracks lots too: apply_posting() has the same or, of these sums, a wider one.
 */
static Points
bound(Points amount, bool tracks_lots)
{
	if (amount < 0)
		return -amount;
	return tracks_lots ? (PG_INT64_MAX - amount) / 5 : PG_INT64_MAX - amount;
}

/* The points of a posting that count as earned, for a rank that the program may have one day. */
static Points
earned(const Posting *posting)
{
	return posting->amount > 0 && posting->kind != ENTRY_ADJUST ? posting->amount : 0;
}

#define ACCOUNT_POST \
	"UPDATE loyalty_internal.account SET balance = balance OPERATOR(loyalty.+) $3, entry_no = entry_no + 1," \
	" newest_entry_id = $8, previous_entry_id = newest_entry_id, posted_at = greatest(posted_at, $4)," \
	" hash = loyalty_internal.chain_next(hash, entry_no, balance, posted_at, $3, $4, $6, text_key, $7, $8)"
/* tracks lots, but has nothing that a posting could touch besides the balance */
#define ACCOUNT_SIMPLE \
	" WHERE merchant_id = $1 AND account_id = $2 AND program_id = $9 AND entry_no > 0 AND earned IS NOT NULL" \
	" AND due_at IS NULL AND lots IS NULL AND qualifying IS NULL AND moved_to IS NULL"
#define ACCOUNT_POSTED " RETURNING entry_no, previous_entry_id, balance, posted_at, hash"

static Statement account_add_tracking_sql = {
	.sql = ACCOUNT_POST ", earned = earned OPERATOR(loyalty.+) $10, purchases = coalesce(purchases, 0) + $11" ACCOUNT_SIMPLE
	" AND greatest(balance, earned, expired, held, pending) OPERATOR(loyalty.<=) $5" ACCOUNT_POSTED,
	.params = {INT8OID, INT8OID, POINTSOID, TIMESTAMPTZOID, POINTSOID, BYTEAOID, BYTEAOID, INT8OID, INT8OID, POINTSOID, INT8OID}
};

#define ACCOUNT_PLAIN \
	" WHERE merchant_id = $1 AND account_id = $2 AND earned IS NULL"
/* each function in a statement costs it a look at its privileges: so one bound, and one function for the hash */
static Statement account_add_sql = {
	.sql = ACCOUNT_POST ACCOUNT_PLAIN " AND balance OPERATOR(loyalty.<=) $5" ACCOUNT_POSTED,
	.params = {INT8OID, INT8OID, POINTSOID, TIMESTAMPTZOID, POINTSOID, BYTEAOID, BYTEAOID, INT8OID}
};

static Statement account_take_tracking_sql = {
	.sql = ACCOUNT_POST ACCOUNT_SIMPLE " AND balance OPERATOR(loyalty.>=) $5" ACCOUNT_POSTED,
	.params = {INT8OID, INT8OID, POINTSOID, TIMESTAMPTZOID, POINTSOID, BYTEAOID, BYTEAOID, INT8OID, INT8OID}
};

static Statement account_take_sql = {
	.sql = ACCOUNT_POST ACCOUNT_PLAIN " AND balance OPERATOR(loyalty.>=) $5" ACCOUNT_POSTED,
	.params = {INT8OID, INT8OID, POINTSOID, TIMESTAMPTZOID, POINTSOID, BYTEAOID, BYTEAOID, INT8OID}
};

static bool
update_single(int64 merchant_id, const Posting *posting, Entry *entry)
{
	const Program *program = posting->program;
	bool		tracks_lots = program != NULL;
	Points		amount = posting->amount;
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(posting->account_id),
		PointsGetDatum(amount),
		TimestampTzGetDatum(GetCurrentTimestamp()),
		PointsGetDatum(bound(amount, tracks_lots)),
		PointerGetDatum(chain_content(entry)),
		PointerGetDatum(chain_text(entry)),
		Int64GetDatum(entry->entry_id),
		Int64GetDatum(tracks_lots ? program->program_id : 0),
		PointsGetDatum(earned(posting)),
		Int64GetDatum(posting->kind == ENTRY_ACCRUE),
	};
	Statement  *add = tracks_lots ? &account_add_tracking_sql : &account_add_sql;
	Statement  *take = tracks_lots ? &account_take_tracking_sql : &account_take_sql;
	bool		isnull;

	if (db_post(amount < 0 ? take : add, values, NULL) == 0)
		return false;
	entry->entry_no = row_int64(0, "entry_no");
	entry->previous_entry_id = row_int64_or(0, "previous_entry_id", 0);
	entry->balance = row_int64(0, "balance");
	entry->posted_at = row_int64(0, "posted_at");
	entry->hash = DatumGetByteaPCopy(row_datum(0, "hash", &isnull));
	return true;
}

/* its newest entry, if there is one, says what an account was before an UPDATE that has no entry yet */
static Statement account_restore_sql = {
	.sql = "UPDATE loyalty_internal.account a SET balance = balance OPERATOR(loyalty.-) $3, earned = earned OPERATOR(loyalty.-) $4, purchases = purchases - $5,"
	" entry_no = entry_no - 1, newest_entry_id = previous_entry_id, (previous_entry_id, posted_at, hash) ="
	" (SELECT e.previous_entry_id, coalesce(e.posted_at, a.posted_at), coalesce(e.hash, '') FROM (SELECT) one"
	" LEFT JOIN loyalty.entry e ON e.merchant_id = $1 AND e.entry_id = a.previous_entry_id)"
	" WHERE merchant_id = $1 AND account_id = $2",
	.params = {INT8OID, INT8OID, POINTSOID, POINTSOID, INT8OID}
};

static void
restore_account(int64 merchant_id, const Posting *posting)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(posting->account_id),
		PointsGetDatum(posting->amount),
		PointsGetDatum(earned(posting)),
		Int64GetDatum(posting->kind == ENTRY_ACCRUE),
	};

	if (db_write(&account_restore_sql, values, NULL) != 1)
		elog(ERROR, "account " INT64_FORMAT " that was locked is gone", posting->account_id);
}

/* Whether the program, with all that was read of it, is what it was before the account was locked. */
static bool
program_holds(int64 merchant_id, const Program *program)
{
	return program == NULL || program_find(merchant_id, program->program_id) == program;
}

static bool
limits_allow(int64 merchant_id, const Posting *posting, TimestampTz posted_at)
{
	Movement	movement;
	Limits	   *limits;
	bool		within;

	if (posting->program == NULL || !posting->program->has_limits ||
		!posting_moves(posting, posting->program->program_id, &movement))
		return true;
	movement.program = posting->program;
	movement.most = i64abs(posting->amount);
	limits = limits_start(merchant_id, posted_at);
	limits_expect(limits, &movement);
	within = limits_take(limits, &movement, i64abs(posting->amount));
	limits_write(limits);
	return within;
}

/* Post by one UPDATE and the entry; false: nothing was done, and the general path is to be taken. */
bool
fast_path_post(int64 merchant_id, Posting *posting)
{
	Entry		entry = batch_entry(posting, posting->kind);
	Entry	   *only = &entry;

	if (posting->program != NULL && posting->amount >= 0 &&
		!(terms_are_simple(posting->program) && posting->program->active))
		return false;
	entry.merchant_id = merchant_id;
	entry.entry_id = new_id();
	entry.amount = posting->amount;
	if (!update_single(merchant_id, posting, &entry))
		return false;
	if (VARSIZE_ANY_EXHDR(entry.hash) == 0 || !program_holds(merchant_id, posting->program))
	{
		restore_account(merchant_id, posting);
		return false;
	}
	if (!limits_allow(merchant_id, posting, entry.posted_at))
	{
		restore_account(merchant_id, posting);
		posting->error = ERR_LIMIT_EXCEEDED;
		return true;
	}
	posting->entry_id = entry.entry_id;
	posting->balance = entry.balance;
	posting->posted_at = entry.posted_at;
	posting->error = ERR_NONE;
	entries_insert(&only, 1);
	return true;
}

/*
 * rank_at.c
 *		The rank at a moment, and counting ranks anew, as SQL functions.
 */
#include "postgres.h"

#include "base/activity.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "earning/rank.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger/ledger.h"
#include "ledger/rank_at.h"
#include "ledger/recount.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* An account as it is at a moment, with its ranks; NULL: there is none. */
const Account *
rank_account_at(int64 merchant_id, int64 account_id, TimestampTz at)
{
	Account    *account = palloc0(sizeof(Account));
	Batch	   *batch = palloc(sizeof(Batch));

	account->account_id = account_id;
	if (!batch_view(batch, merchant_id, account, at))
		return NULL;
	batch_read_ranks(batch);
	return account;
}

/* ------------------------------------------------------------------------
 * rank_at
 * ------------------------------------------------------------------------ */

/* The highest rank that was met so far, and its points. */
typedef struct Highest
{
	const char *name;
	Points		from_points;
} Highest;

static void
consider(Highest *highest, const char *name, Points from_points)
{
	if (from_points <= highest->from_points)
		return;
	highest->name = name;
	highest->from_points = from_points;
}

static void
consider_earned(Highest *highest, const Account *account, TimestampTz at)
{
	for (int i = 0; i < account->ranks.n; i++)
	{
		const HeldRank *held = &account->ranks.held[i];

		if (held->since <= at && held->until > at)
			consider(highest, held->name, held->from_points);
	}
}

/* The moment whose ranks an account holds at one that is asked for. */
TimestampTz
rank_moment(const Account *account, const Moment *moment)
{
	return Max(moment_raised(moment, account->posted_at), moment_raised(moment, account->ranked_at));
}

static void
consider_granted(Highest *highest, int64 merchant_id, const Account *account, const Moment *moment)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account->account_id), TimestampTzGetDatum(moment->at),
	TimestampTzGetDatum(moment->ahead)};
	const Program *program;
	const char *name;
	bool		registered;

	if (db_read(&rank_granted_sql, values, NULL) == 0 || !has_begun(moment, row_int64(0, "created_at")))
		return;
	registered = !row_has(0, "rank");
	name = registered ? row_text(0, "granted_rank") : row_text(0, "rank");
	program = program_find(merchant_id, account->program_id);
	if (*name != '\0' && !(registered && rank_was_exceeded(account, program, name, rank_moment(account, moment))))
		consider(highest, name, rank_from_points(program, name, moment_raised(moment, program->ranked_at)));
}

static Statement rank_base_sql = {
	.sql = "SELECT rank FROM loyalty_internal.rank_base WHERE merchant_id = $1 AND program_id = $2 AND " HAS_BEGUN("since") " ORDER BY since DESC LIMIT 1",
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* Consider the rank that every member of the program had by a moment. */
static void
consider_base(Highest *highest, int64 merchant_id, const Account *account, const Moment *moment)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account->program_id), TimestampTzGetDatum(moment->at),
	TimestampTzGetDatum(moment->ahead)};

	if (db_read(&rank_base_sql, values, NULL) > 0 && row_text(0, "rank")[0] != '\0')
		consider(highest, row_text(0, "rank"), 0);
}

PG_FUNCTION_INFO_V1(loyalty_rank_at);

Datum
loyalty_rank_at(PG_FUNCTION_ARGS)
{
	int64		merchant_id = PG_GETARG_INT64(0);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);
	Moment		moment = moment_at(at);
	MemoryContext caller = CurrentMemoryContext;
	Highest		highest = {"", -2};
	const Account *account;
	text	   *answer;

	if (!terms_moment_suits(at))
		raise_error_hint(ERR_INVALID_ARGUMENT, "at is a moment of the years 1 to 9999, but for their first and last day.");
	db_begin();
	account = rank_account_at(merchant_id, PG_GETARG_INT64(1), at);
	if (account == NULL)
		raise_error(ERR_UNKNOWN_ACCOUNT);
	consider_earned(&highest, account, rank_moment(account, &moment));
	consider_granted(&highest, merchant_id, account, &moment);
	consider_base(&highest, merchant_id, account, &moment);
	MemoryContextSwitchTo(caller);
	answer = cstring_to_text(highest.name);
	db_end();
	PG_RETURN_TEXT_P(answer);
}

/* ------------------------------------------------------------------------
 * Counting anew
 * ------------------------------------------------------------------------ */

/* The counted points and the ranks of an account as stored, before a recount. */
typedef struct Said
{
	Points		counting;
	const char *rank;
} Said;

static Said
said_of(const Account *account, TimestampTz at)
{
	Highest		highest = {"", -1};
	Lots		counting = {0};
	Said		said;

	consider_earned(&highest, account, at);
	lots_add_all(&counting, &account->qualifying);
	lots_take_due(&counting, at, NULL);
	said.counting = lots_total(&counting);
	said.rank = pstrdup(highest.name);
	return said;
}

static bool
same_lots(const Lots *a, const Lots *b)
{
	Datum		packed[] = {lots_pack(a), lots_pack(b)};
	Size		size = VARSIZE_ANY(DatumGetPointer(packed[0]));

	return size == VARSIZE_ANY(DatumGetPointer(packed[1])) && memcmp(DatumGetPointer(packed[0]), DatumGetPointer(packed[1]), size) == 0;
}

static bool
any_changed(const Account *account)
{
	for (int i = 0; i < account->ranks.n; i++)
	{
		if (account->ranks.held[i].changed)
			return true;
	}
	return false;
}

/* Whether a recount has changed an account; days that have ceased to count are not compared. */
static bool
changes(const Account *account, const Lots *before, TimestampTz at)
{
	Lots		now = {0};
	Lots		then = {0};

	lots_add_all(&now, &account->qualifying);
	lots_add_all(&then, before);
	lots_take_due(&now, at, NULL);
	lots_take_due(&then, at, NULL);
	return any_changed(account) || !same_lots(&now, &then);
}

static void
put_change(ReturnSetInfo *rsinfo, int64 account_id, const Said *before, const Said *now)
{
	bool		nulls[5] = {false};
	Datum		values[] = {
		Int64GetDatum(account_id),
		CStringGetTextDatum(before->rank),
		CStringGetTextDatum(now->rank),
		PointsGetDatum(before->counting),
		PointsGetDatum(now->counting),
	};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static int64 *
ids_argument(ArrayType *array, int *n)
{
	Datum	   *values;
	int64	   *ids;

	deconstruct_array(array, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE, &values, NULL, n);
	ids = palloc(Max(*n, 1) * sizeof(int64));
	for (int i = 0; i < *n; i++)
		ids[i] = DatumGetInt64(values[i]);
	return ids;
}

static void
start_batch(Batch *batch, int64 merchant_id, const int64 *ids, int n)
{
	Posting    *postings = palloc0(n * sizeof(Posting));

	for (int i = 0; i < n; i++)
		postings[i].account_id = ids[i];
	batch_start(batch, merchant_id, postings, n);
}

/* Recount accounts in which nothing is due: nothing else has read their ranks. */
static void
recount(ReturnSetInfo *rsinfo, Batch *batch)
{
	Account   **accounts = palloc_extended(batch->naccounts * sizeof(Account *), MCXT_ALLOC_HUGE);
	Said	   *said = palloc_extended(batch->naccounts * sizeof(Said), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (int i = 0; i < batch->naccounts; i++)
	{
		if (batch->accounts[i].exists && batch->accounts[i].tracks_lots)
			accounts[n++] = &batch->accounts[i];
	}
	if (n > 0)
		ranks_read(batch->merchant_id, accounts, n, true);
	for (int i = 0; i < n; i++)
		said[accounts[i] - batch->accounts] = said_of(accounts[i], account_rank_moment(accounts[i], batch->now));
	recount_accounts(batch, accounts, n, true);
	for (int i = 0; i < n; i++)
	{
		const Said *before = &said[accounts[i] - batch->accounts];
		Said		now = said_of(accounts[i], account_rank_moment(accounts[i], batch->now));

		if (before->counting != now.counting || strcmp(before->rank, now.rank) != 0)
			put_change(rsinfo, accounts[i]->account_id, before, &now);
	}
	batch->ranks_read = true;
}

/* So many are recounted at a time, in ascending order, which shows others how far it is. */
#define ACCOUNTS_AT_ONCE 1000

PG_FUNCTION_INFO_V1(loyalty_recount_accounts);

Datum
loyalty_recount_accounts(PG_FUNCTION_ARGS)
{
	int			n;
	int64	   *ids = ids_argument(PG_GETARG_ARRAYTYPE_P(1), &n);

	InitMaterializedSRF(fcinfo, 0);
	db_begin();
	work_begin(WORK_RECOUNT_RANKS, PG_GETARG_INT64(0), n);
	for (int done = 0; done < n; done += ACCOUNTS_AT_ONCE)
	{
		int			some = Min(n - done, ACCOUNTS_AT_ONCE);
		Batch		batch;

		work_done(done);
		ledger_expire(PG_GETARG_INT64(0), ids + done, some);
		start_batch(&batch, PG_GETARG_INT64(0), ids + done, some);
		recount((ReturnSetInfo *) fcinfo->resultinfo, &batch);
		batch_write(&batch);
	}
	work_end();
	db_end();
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(loyalty_book_due_accounts);

Datum
loyalty_book_due_accounts(PG_FUNCTION_ARGS)
{
	int			n;
	int64	   *ids = ids_argument(PG_GETARG_ARRAYTYPE_P(1), &n);

	db_begin();
	if (n > 0)
		ledger_expire(PG_GETARG_INT64(0), ids, n);
	db_end();
	PG_RETURN_VOID();
}

static Statement account_lots_sql = {
	.sql = "SELECT lots, qualifying FROM loyalty_internal.account WHERE merchant_id = $1 AND account_id = $2",
	.params = {INT8OID, INT8OID}
};

static bool
is_sound(Datum packed, bool isnull)
{
	Lots		lots;

	return isnull || lots_read_if_sound(packed, &lots);
}

/* Whether an account's lots can be read; damaged ones are another finding of verify(). */
static bool
lots_are_readable(int64 merchant_id, int64 account_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id)};
	Datum		packed[2];
	bool		isnull[2];

	if (db_read(&account_lots_sql, values, NULL) == 0)
		return false;
	packed[0] = row_datum(0, "lots", &isnull[0]);
	packed[1] = row_datum(0, "qualifying", &isnull[1]);
	return is_sound(packed[0], isnull[0]) && is_sound(packed[1], isnull[1]);
}

/*
 * For verify(): count an account anew, as of its last entry, and return what it
 * says and what it should say if they differ; else NULL.  Days that have ceased
 * to count since then may be gone: whatever was booked later takes them away.
 * What is pending counts when it is booked, which goes by the clock: that may be
 * behind the last entry.
 */
PG_FUNCTION_INFO_V1(loyalty_recount_would_change);

Datum
loyalty_recount_would_change(PG_FUNCTION_ARGS)
{
	Account		account = {.account_id = PG_GETARG_INT64(1)};
	Account    *one = &account;
	MemoryContext caller = CurrentMemoryContext;
	text	   *answer = NULL;
	Lots		before = {0};
	Batch		batch;
	Said		said;

	db_begin();
	if (lots_are_readable(PG_GETARG_INT64(0), PG_GETARG_INT64(1)) &&
		batch_view_stored(&batch, PG_GETARG_INT64(0), &account, PG_GETARG_TIMESTAMPTZ(2)) && account.tracks_lots)
	{
		batch_read_ranks(&batch);
		lots_add_all(&before, &account.qualifying);
		for (int i = 0; i < account.ranks.n; i++)
			account.ranks.held[i].changed = false;
		said = said_of(&account, batch.now);
		recount_accounts(&batch, &one, 1, true);
		if (changes(&account, &before, Max(batch.now, GetCurrentTimestamp())))
		{
			Said		now = said_of(&account, batch.now);

			MemoryContextSwitchTo(caller);
			answer = cstring_to_text(psprintf("rank \"%s\" of %s points, entries say \"%s\" of %s", said.rank,
											  points_text(said.counting), now.rank, points_text(now.counting)));
		}
	}
	db_end();
	if (answer == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(answer);
}

/*
 * history.c
 *		What an account had at an instant, and what its lots are.
 *
 * Entries of an account are in the order of their time, so the newest one
 * before an instant is found as a name is in a telephone book: a few look-ups
 * by key where entries come at a steady rate, and some sixty in the worst
 * history of a million.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger.h"
#include "plan.h"
#include "utils/timestamp.h"

/* An entry as a point in the account's time. */
typedef struct Mark
{
	int64		version;
	TimestampTz posted_at;
	Points		balance;
	Points		lapsed;			/* booked by it, and past their date at the instant already */
} Mark;

/* Points that were past their date at the instant, if the entry books such. */
static Points
lapsed_by(TimestampTz at)
{
	Lots		lots;
	bool		isnull;
	Datum		packed = plan_datum(0, 3, &isnull);

	if (isnull || plan_int64(0, 2) != ENTRY_EXPIRE)
		return 0;
	lots_read(packed, &lots);
	return lots_take_due(&lots, at, NULL);
}

static Mark
mark_of(int64 merchant_id, int64 account_id, int64 version, TimestampTz at)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id), Int64GetDatum(version)};

	if (plan_read(PLAN_ENTRY_AT, values, NULL) != 1)
		elog(ERROR, "entry " INT64_FORMAT " of account " INT64_FORMAT " is missing", version, account_id);
	return (Mark) {version, plan_int64(0, 0), plan_int64(0, 1), lapsed_by(at)};
}

/* Where the instant is between two entries, if they come at a steady rate. */
static int64
likely_version(Mark low, Mark high, TimestampTz at)
{
	int64		span = high.version - low.version;
	int64		guess = low.version + (int64) ((int128) span * (at - low.posted_at) / (high.posted_at - low.posted_at));

	return Min(Max(guess, low.version + 1), high.version - 1);
}

/*
 * The balance after the newest entry that is not after the instant, less what
 * was past its date by then and is booked by the next.
 */
static Points
balance_between(int64 merchant_id, int64 account_id, Mark low, Mark newest, TimestampTz at)
{
	Mark		high = newest;

	/* low is not after the instant, and high is */
	for (int step = 1; high.version - low.version > 1; step++)
	{
		/* every third step halves, whatever the rate */
		int64		version = step % 3 != 0 ? likely_version(low, high, at) : low.version + (high.version - low.version) / 2;
		Mark		middle = mark_of(merchant_id, account_id, version, at);

		if (middle.posted_at <= at)
			low = middle;
		else
			high = middle;
	}
	/* the newest is known by its account only */
	if (high.version == newest.version)
		high = mark_of(merchant_id, account_id, high.version, at);
	return low.balance - high.lapsed;
}

static Points
balance_at(int64 merchant_id, int64 account_id, Mark newest, TimestampTz at)
{
	AccountState state;
	Mark		first;

	if (newest.version == 0)
		return 0;
	if (at >= newest.posted_at)
	{
		(void) ledger_state(merchant_id, account_id, at, &state);
		return state.balance;
	}
	first = mark_of(merchant_id, account_id, 1, at);
	return at < first.posted_at ? 0 : balance_between(merchant_id, account_id, first, newest, at);
}

PG_FUNCTION_INFO_V1(loyalty_balance_at);

Datum
loyalty_balance_at(PG_FUNCTION_ARGS)
{
	int64		merchant_id = PG_GETARG_INT64(0);
	int64		account_id = PG_GETARG_INT64(1);
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id)};
	Mark		newest;
	Points		balance;

	if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(2)))
		raise_error(ERR_INVALID_ARGUMENT);
	plan_begin();
	if (plan_read(PLAN_ACCOUNT_READ, values, NULL) == 0)
		raise_error(ERR_UNKNOWN_ACCOUNT);
	newest = (Mark) {.version = plan_int64(0, 2),.posted_at = plan_int64(0, 3)};
	balance = balance_at(merchant_id, account_id, newest, PG_GETARG_TIMESTAMPTZ(2));
	plan_end();
	PG_RETURN_POINTS(balance);
}

PG_FUNCTION_INFO_V1(loyalty_lots_of);

Datum
loyalty_lots_of(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	AccountState state;
	Points		dated;

	InitMaterializedSRF(fcinfo, 0);
	plan_begin();
	if (!ledger_state(PG_GETARG_INT64(0), PG_GETARG_INT64(1), GetCurrentTimestamp(), &state))
		raise_error(ERR_UNKNOWN_ACCOUNT);
	for (int i = 0; i < state.lots.n; i++)
	{
		Datum		points = PointsGetDatum(lots_of_moment(&state.lots, &i));
		Datum		values[] = {TimestampTzGetDatum(state.lots.lot[i].expires_at), points};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	dated = lots_total(&state.lots);
	if (state.balance > dated)
	{
		Datum		values[] = {(Datum) 0, PointsGetDatum(state.balance - dated)};
		bool		nulls[] = {true, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	plan_end();
	return (Datum) 0;
}

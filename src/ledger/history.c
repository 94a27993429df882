/*
 * history.c
 *		What an account had at an instant, and what its lots are.
 *
 * Entries of an account are in the order of their time, and each knows the one
 * before.  An index over every sixteenth has the first of these after an
 * instant; from there, or from the newest entry, it is at most sixteen steps
 * back to the newest one that is not after the instant.  What is due and not
 * booked yet is an entry too, for whoever sums over all accounts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/statement.h"
#include "fmgr.h"
#include "funcapi.h"
#include "ledger/ledger.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

/* The points that the entry read last books as expired and that had expired by the instant. */
static Points
expired_by(TimestampTz at)
{
	Lots		lots;
	bool		isnull;
	Datum		packed = row_datum(0, "lots", &isnull);

	if (isnull || row_int64(0, "kind") != ENTRY_EXPIRE)
		return 0;
	lots_read(packed, &lots);
	return lots_take_due(&lots, at, NULL);
}

static void
damaged(int64 entry_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("entry " INT64_FORMAT " is missing, or not where the one after it says", entry_id),
			 errhint("loyalty.verify() tells what is wrong.")));
}

static Statement entry_at_sql = {
	.sql = "SELECT posted_at, balance, kind, lots, previous_entry_id, entry_no FROM loyalty.entry WHERE merchant_id = $1 AND entry_id = $2",
	.params = {INT8OID, INT8OID}
};

static void
read_entry(int64 merchant_id, int64 entry_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(entry_id)};

	if (db_read(&entry_at_sql, values, NULL) != 1)
		damaged(entry_id);
}

/* of the entries that the index over every sixteenth has, the first one after an instant */
static Statement entry_after_sql = {
	.sql = "SELECT entry_id FROM loyalty.entry WHERE merchant_id = $1 AND account_id = $2 AND posted_at > $3 AND entry_no % 16 = 0"
	" ORDER BY posted_at, entry_no LIMIT 1",
	.params = {INT8OID, INT8OID, TIMESTAMPTZOID}
};

/* An entry that is soon after the instant. */
static int64
entry_after(int64 merchant_id, int64 account_id, int64 newest_entry_id, TimestampTz at)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id), TimestampTzGetDatum(at)};

	return db_read(&entry_after_sql, values, NULL) == 1 ? row_int64(0, "entry_id") : newest_entry_id;
}

/*
 * The balance after the newest entry that is not after the instant, less what
 * was past its date by then and is booked by the next.
 */
static Points
balance_before(int64 merchant_id, int64 account_id, int64 newest_entry_id, TimestampTz at)
{
	int64		entry_id = entry_after(merchant_id, account_id, newest_entry_id, at);
	int64		after = PG_INT64_MAX;
	Points		expired = 0;

	while (entry_id != 0)
	{
		CHECK_FOR_INTERRUPTS();
		read_entry(merchant_id, entry_id);
		/* or damaged entries might go round in a circle */
		if (row_int64(0, "entry_no") >= after)
			damaged(entry_id);
		if (row_int64(0, "posted_at") <= at)
			return row_int64(0, "balance") - expired;
		expired = expired_by(at);
		after = row_int64(0, "entry_no");
		entry_id = row_int64_or(0, "previous_entry_id", 0);
	}
	return 0;
}

static Statement account_newest_sql = {
	.sql = "SELECT newest_entry_id, posted_at FROM loyalty_internal.account WHERE merchant_id = $1 AND account_id = $2",
	.params = {INT8OID, INT8OID}
};

PG_FUNCTION_INFO_V1(loyalty_balance_at);

Datum
loyalty_balance_at(PG_FUNCTION_ARGS)
{
	int64		merchant_id = PG_GETARG_INT64(0);
	int64		account_id = PG_GETARG_INT64(1);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id)};
	int64		newest_entry_id;
	Moment		moment = moment_at(at);
	AccountState state;
	Points		balance = 0;

	if (!terms_moment_suits(at))
		raise_error_hint(ERR_INVALID_ARGUMENT, "at is a moment of the years 1 to 9999, but for their first and last day.");
	db_begin();
	if (db_read(&account_newest_sql, values, NULL) == 0)
		raise_error(ERR_UNKNOWN_ACCOUNT);
	newest_entry_id = row_int64_or(0, "newest_entry_id", 0);
	if (newest_entry_id != 0 && !has_begun(&moment, row_int64(0, "posted_at")))
		balance = balance_before(merchant_id, account_id, newest_entry_id, at);
	else if (newest_entry_id != 0 && ledger_state(merchant_id, account_id, at, &state))
		balance = state.balance;
	db_end();
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
	db_begin();
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
	db_end();
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(loyalty_due_entries);

Datum
loyalty_due_entries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Account		account = {.account_id = PG_GETARG_INT64(1)};
	TimestampTz after_at = 0;
	Batch		batch;

	InitMaterializedSRF(fcinfo, 0);
	db_begin();
	if (!batch_view(&batch, PG_GETARG_INT64(0), &account, PG_GETARG_TIMESTAMPTZ(2)))
		raise_error(ERR_UNKNOWN_ACCOUNT);
	for (int i = 0; i < batch.nentries; i++)
	{
		const Entry *entry = batch.entries[i];
		Datum		values[] = {
			Int16GetDatum(entry->kind), PointsGetDatum(entry->amount), PointsGetDatum(entry->reserved), PointsGetDatum(entry->balance),
			TimestampTzGetDatum(entry->posted_at), TimestampTzGetDatum(after_at), Int64GetDatum(entry->origin_entry_id), entry->lots
		};
		bool		nulls[] = {false, false, entry->reserved == 0, false, false, i == 0, entry->origin_entry_id == 0, entry->lots == 0};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		after_at = entry->posted_at;
	}
	db_end();
	return (Datum) 0;
}

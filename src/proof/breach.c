/*
 * breach.c
 *		What must be true of the ledger after every commit, and the report of
 *		what is not.
 */
#include "postgres.h"

#include "base/compat.h"
#include "funcapi.h"
#include "proof/breach.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static const char *const invariants[INVARIANT_COUNT] = {
	[INVARIANT_NUMBERS] = "entries of an account count 1, 2, 3 … without gaps",
	[INVARIANT_PREVIOUS] = "an entry names the one before it",
	[INVARIANT_HASH] = "an entry has the hash of what it says and of the entry before",
	[INVARIANT_BALANCE] = "an entry's balance is the one before plus its amount",
	[INVARIANT_TIME] = "entries are in the order of their time",
	[INVARIANT_KIND] = "an entry moves what entries of its kind move",
	[INVARIANT_NEGATIVE] = "no balance is negative but after points were taken back",
	[INVARIANT_READABLE] = "lots can be read",
	[INVARIANT_LOTS] = "an entry has the lots that it moved",
	[INVARIANT_LOTS_TOTAL] = "lots are part of the balance",
	[INVARIANT_RESERVED] = "what is taken of a reservation was there",
	[INVARIANT_RESERVED_ROW] = "a reservation has what entries left of it",
	[INVARIANT_REVERSAL_ROW] = "what is said to be reversed was reversed by an entry",
	[INVARIANT_REVERSAL_PARTS] = "no more of an entry is reversed than there was",
	[INVARIANT_EXPIRED_ROW] = "an expired lot has what entries say",
	[INVARIANT_EXPIRED_REFUNDED] = "a refund spares what expired, and no more than that",
	[INVARIANT_NEWEST] = "an account has the balance and the number of its newest entry",
	[INVARIANT_SUMS] = "an account has the sums of its entries",
	[INVARIANT_ACCOUNT_LOTS] = "an account has the lots that its entries left",
	[INVARIANT_DUE] = "nothing is due before the account says",
};

PG_FUNCTION_INFO_V1(loyalty_invariants);

/* loyalty_internal.invariants(): the texts of all invariants. */
Datum
loyalty_invariants(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < INVARIANT_COUNT; i++)
	{
		Datum		value = CStringGetTextDatum(invariants[i]);
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

/* ------------------------------------------------------------------------
 * The report
 * ------------------------------------------------------------------------ */

/* Add a row to the result of loyalty.verify() or loyalty.verify_root(). */
void
breach_row(ReturnSetInfo *result, const char *invariant, int64 merchant_id, int64 account_id, int64 entry_id,
		   const char *detail)
{
	Datum		values[] = {
		CStringGetTextDatum(invariant),
		Int64GetDatum(merchant_id),
		Int64GetDatum(account_id),
		Int64GetDatum(entry_id),
		CStringGetTextDatum(detail),
	};
	bool		nulls[] = {false, false, account_id == NO_ACCOUNT, entry_id == NO_ENTRY, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Report that an invariant does not hold of the account that is being checked. */
void
breach(Verification *v, Invariant invariant, int64 entry_id, const char *format,...)
{
	StringInfoData detail;
	va_list		args;
	int			more = 1;

	initStringInfo(&detail);
	while (more > 0)
	{
		va_start(args, format);
		more = appendStringInfoVA(&detail, format, args);
		va_end(args);
		if (more > 0)
			enlargeStringInfo(&detail, more);
	}
	breach_row(v->result, invariants[invariant], v->merchant_id, v->replay.account_id, entry_id, detail.data);
}

/* ------------------------------------------------------------------------
 * What the checks share
 * ------------------------------------------------------------------------ */

/* Whether the current row of a stream is of the account that is being checked. */
bool
at_account(const Verification *v, const Stream *rows)
{
	return !rows->ended && stream_int64(rows, "account_id", 0) == v->replay.account_id;
}

/* Read packed lots, NULL being none; false, and a breach, if they cannot be read. */
bool
readable_lots(Verification *v, int64 entry_id, struct varlena *packed, const char *what, Lots *lots)
{
	memset(lots, 0, sizeof(Lots));
	if (packed == NULL || lots_read_if_sound(PointerGetDatum(packed), lots))
		return true;
	breach(v, INVARIANT_READABLE, entry_id, "those of %s cannot", what);
	return false;
}

/* The text of a sum, which may be larger than points can be. */
char *
sum_text(int128 sum)
{
	if (sum < PG_INT64_MIN || sum > PG_INT64_MAX)
		return "more than fits";
	return points_text((Points) sum);
}

/* The text of a time, in memory of its own. */
char *
time_text(TimestampTz at)
{
	return pstrdup(timestamptz_to_str(at));
}

/* Take lots out of others; false if these do not have all of them. */
bool
lots_take_all(Lots *from, const Lots *lots)
{
	for (int i = 0; i < lots->n; i++)
	{
		if (lots_take_lot(from, &lots->lot[i], NULL) != lots->lot[i].points)
			return false;
	}
	return true;
}

/* Whether two lists have the same lots in the same order. */
bool
lots_equal(const Lots *a, const Lots *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
	{
		if (a->lot[i].expires_at != b->lot[i].expires_at || a->lot[i].posted != b->lot[i].posted ||
			a->lot[i].points != b->lot[i].points)
			return false;
	}
	return true;
}

/* Whether two hashes are the same bytes, however each is stored. */
bool
bytes_equal(const bytea *a, const bytea *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

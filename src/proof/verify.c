/*
 * verify.c
 *		loyalty.verify(): the ledger is replayed, and compared with its rows.
 *
 * Accounts, entries, reservations, reversals and expired lots are read side by
 * side, account by account, each in the order of its key.  So one account is
 * in memory at a time, and of its entries one, whatever the ledger's size.
 * Every account is replayed from its first entry on, and its row is compared
 * with the result.
 *
 * Rows may hold anything: sums are computed in 128 bits or with a check, and
 * lots that cannot be read are a breach.
 */
#include "postgres.h"

#include "account/rows.h"
#include "base/activity.h"
#include "base/compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "proof/verify_entry.h"
#include "proof/verify_expired.h"
#include "proof/verify_reservation.h"
#include "proof/verify_reversal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * The row of an account
 * ------------------------------------------------------------------------ */

/*
 * Compare the account with its newest entry.  Of an unsound entry only the
 * number counts; if the account has another, entries are missing.
 */
static void
check_newest(Verification *v)
{
	Replay	   *replay = &v->replay;
	Points		balance = stream_int64(&v->accounts, "balance", 0);
	int64		entry_no = stream_int64(&v->accounts, "entry_no", 0);
	TimestampTz posted_at = stream_int64(&v->accounts, "posted_at", 0);
	bytea	   *hash = hash_of((bytea *) stream_varlena(&v->accounts, "hash"));
	int64		newest = replay->entry_id;

	if (entry_no != replay->entry_no || (replay->sound && balance != replay->balance))
		breach(v, INVARIANT_NEWEST, newest, "account has balance %s at number " INT64_FORMAT
			   ", entries say %s at " INT64_FORMAT,
			   points_text(balance), entry_no, points_text(replay->balance), replay->entry_no);
	else if (replay->sound &&
			 (stream_int64(&v->accounts, "newest_entry_id", 0) != newest || stream_int64(&v->accounts, "previous_entry_id", 0) != replay->previous_entry_id))
		breach(v, INVARIANT_NEWEST, newest, "account names other entries as the newest and the one before");
	else if (replay->sound && !bytes_equal(hash, replay->hash))
		breach(v, INVARIANT_NEWEST, newest, "account has another hash than its newest entry");
	else if (replay->sound && replay->entries > 0 && posted_at != replay->posted_at)
		breach(v, INVARIANT_NEWEST, newest, "account is of %s, its newest entry of %s",
			   time_text(posted_at), time_text(replay->posted_at));
	if (entry_no != replay->entry_no)
		replay->whole = false;
}

static void
check_sum(Verification *v, const char *what, Points stored, int128 sum)
{
	if (stored != sum)
		breach(v, INVARIANT_SUMS, NO_ENTRY, "%s %s, entries say %s", what, points_text(stored), sum_text(sum));
}

/* Whether the row has any of the columns of accounts that track lots. */
static bool
has_sums(const Stream *account)
{
	return stream_has(account, "expired") || stream_has(account, "held") || stream_has(account, "pending") ||
		stream_has(account, "due_at") || stream_has(account, "lots") || stream_has(account, "qualifying") || stream_has(account, "purchases");
}

static void
check_sums(Verification *v)
{
	const Replay *replay = &v->replay;
	bool		tracks_lots = stream_has(&v->accounts, "earned");

	if (!tracks_lots && has_sums(&v->accounts))
	{
		breach(v, INVARIANT_SUMS, NO_ENTRY, "keeps some sums, but not that of points earned");
		return;
	}
	if (tracks_lots && replay->refunds_known)
	{
		int64		purchases = stream_int64(&v->accounts, "purchases", 0);

		check_sum(v, "earned", stream_int64(&v->accounts, "earned", 0), replay->earned);
		if (purchases != replay->purchases)
			breach(v, INVARIANT_SUMS, NO_ENTRY, "purchases " INT64_FORMAT ", entries say " INT64_FORMAT, purchases, replay->purchases);
	}
	check_sum(v, "expired", stream_int64(&v->accounts, "expired", 0), replay->expired);
	check_sum(v, "held", stream_int64(&v->accounts, "held", 0), replay->held);
	check_sum(v, "pending", stream_int64(&v->accounts, "pending", 0), replay->pending);
}

static void
check_lots(Verification *v)
{
	Lots		lots;

	if (readable_lots(v, NO_ENTRY, stream_varlena(&v->accounts, "qualifying"), "points that count for the rank", &lots) &&
		readable_lots(v, NO_ENTRY, stream_varlena(&v->accounts, "lots"), "the account", &lots) &&
		v->replay.whole && !lots_equal(&lots, &v->replay.lots))
		breach(v, INVARIANT_ACCOUNT_LOTS, NO_ENTRY, "%d lots of %s points, entries leave %d of %s",
			   lots.n, points_text(lots_total(&lots)), v->replay.lots.n, points_text(lots_total(&v->replay.lots)));
}

static void
check_due(Verification *v)
{
	TimestampTz first = v->replay.due_at;
	TimestampTz due_at = stream_int64(&v->accounts, "due_at", DT_NOEND);

	if (v->replay.lots.n > 0)
		first = Min(first, v->replay.lots.lot[0].expires_at);
	if (first < due_at)
		breach(v, INVARIANT_DUE, NO_ENTRY, "something is on %s, the account says %s",
			   time_text(first), due_at == DT_NOEND ? "nothing is" : time_text(due_at));
}

static void
check_account_row(Verification *v)
{
	check_lots(v);
	if (!v->replay.whole)
		return;
	check_sums(v);
	check_due(v);
}

/* ------------------------------------------------------------------------
 * All accounts
 * ------------------------------------------------------------------------ */

static void
start_replay(Replay *replay, int64 account_id)
{
	Lots		lots = replay->lots;

	memset(replay, 0, sizeof(Replay));
	/* the same array for all accounts, as long as it ever gets */
	lots.n = 0;
	replay->lots = lots;
	replay->account_id = account_id;
	replay->hash = (bytea *) cstring_to_text("");
	replay->computed = (bytea *) cstring_to_text("");
	replay->sound = true;
	replay->whole = true;
	replay->due_at = DT_NOEND;
}

static void
verify_account(Verification *v, int64 account_id)
{
	MemoryContextReset(v->account_context);
	MemoryContextReset(v->row_context);
	MemoryContextSwitchTo(v->account_context);
	start_replay(&v->replay, account_id);
	MemoryContextSwitchTo(v->row_context);
	while (at_account(v, &v->entries))
	{
		Entry		entry;
		bool		as_written = entry_of_stream(&v->entries, &entry);

		verify_entry(v, &entry, as_written);
		stream_next(&v->entries);
		MemoryContextReset(v->row_context);
	}
	if (at_account(v, &v->accounts))
		check_newest(v);
	else if (v->replay.entries > 0)
		breach(v, INVARIANT_NEWEST, v->replay.entry_id, "there is no such account");
	verify_reservations(v);
	verify_reversals(v);
	verify_expired_lots(v);
	if (at_account(v, &v->accounts))
	{
		check_account_row(v);
		stream_next(&v->accounts);
	}
}

/* The lowest account of the current rows of all streams; false: all have ended. */
static bool
next_account(const Verification *v, int64 *account_id)
{
	const Stream *streams[] = {&v->accounts, &v->entries, &v->reservations, &v->reversals, &v->expired_lots};
	bool		found = false;

	for (int i = 0; i < (int) lengthof(streams); i++)
	{
		if (streams[i]->ended)
			continue;
		if (!found || stream_int64(streams[i], "account_id", 0) < *account_id)
			*account_id = stream_int64(streams[i], "account_id", 0);
		found = true;
	}
	return found;
}

static Statement verify_accounts_sql = {
	.sql = "SELECT " ACCOUNT_COLUMNS " FROM loyalty_internal.account WHERE merchant_id = $1 ORDER BY account_id",
	.params = {INT8OID},
	.reads_all = true
};

static Statement verify_entries_sql = {
	.sql = "SELECT " ENTRY_COLUMNS " FROM loyalty.entry WHERE merchant_id = $1 ORDER BY account_id, entry_no, entry_id",
	.params = {INT8OID},
	.reads_all = true
};

static Statement verify_reservations_sql = {
	.sql = "SELECT account_id, entry_id, entry_no, kind, amount, remaining, due_at, lots FROM loyalty_internal.reservation"
	" WHERE merchant_id = $1 ORDER BY account_id, entry_no, entry_id",
	.params = {INT8OID},
	.reads_all = true
};

static Statement verify_reversals_sql = {
	.sql = "SELECT r.account_id, r.entry_id, r.reversed_by, r.amount, r.money, r.balance,"
	" o.kind AS original_kind, o.amount AS original_amount, o.reserved AS original_reserved, o.money AS original_money,"
	" o.origin_entry_id AS original_origin_entry_id, o.peer_account_id AS original_peer_account_id, o.lots AS original_lots,"
	" e.kind AS entry_kind, e.amount AS entry_amount, e.reserved AS entry_reserved, e.money AS entry_money, e.balance AS entry_balance,"
	" e.origin_entry_id AS entry_origin_entry_id, e.peer_account_id AS entry_peer_account_id,"
	" r.reference_digest = loyalty_internal.hmac((SELECT m.digest_key FROM loyalty_internal.merchant m WHERE m.merchant_id = $1), e.reference)"
	" OR e.reference IS NULL AS same_reference,"
	" n.balance AS next_balance, r.lots, r.expired, o.entry_no < e.entry_no AS comes_after"
	" FROM loyalty_internal.reversal r"
	" LEFT JOIN loyalty.entry o ON o.merchant_id = $1 AND o.entry_id = r.entry_id AND o.account_id = r.account_id"
	" LEFT JOIN loyalty.entry e ON e.merchant_id = $1 AND e.entry_id = r.reversed_by AND e.account_id = r.account_id"
	" LEFT JOIN loyalty.entry n ON n.merchant_id = $1 AND n.previous_entry_id = r.reversed_by AND n.account_id = r.account_id AND n.kind = " KIND_SQL(EXPIRE)
	" WHERE r.merchant_id = $1 ORDER BY r.account_id, r.entry_id, r.reference_digest",
	.params = {INT8OID},
	.reads_all = true
};

static Statement verify_expired_lots_sql = {
	.sql = "SELECT account_id, expires_at, points, refunded FROM loyalty_internal.expired_lot"
	" WHERE merchant_id = $1 ORDER BY account_id, expires_at",
	.params = {INT8OID},
	.reads_all = true
};

static Statement count_accounts_sql = {
	.sql = "SELECT count(*) AS accounts FROM loyalty_internal.account WHERE merchant_id = $1",
	.params = {INT8OID}
};

/* To be seen by others; beside what reading the ledger costs, counting costs nothing. */
static int64
count_accounts(Datum *merchant)
{
	db_read(&count_accounts_sql, merchant, NULL);
	return row_int64(0, "accounts");
}

static void
verify_merchant(Verification *v, int64 merchant_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id)};
	struct
	{
		Statement  *statement;
		Stream	   *stream;
	}			streams[] = {
		{&verify_accounts_sql, &v->accounts},
		{&verify_entries_sql, &v->entries},
		{&verify_reservations_sql, &v->reservations},
		{&verify_reversals_sql, &v->reversals},
		{&verify_expired_lots_sql, &v->expired_lots},
	};
	int64		account_id = 0;
	int64		done = 0;

	v->merchant_id = merchant_id;
	work_begin(WORK_VERIFY, merchant_id, count_accounts(values));
	for (int i = 0; i < (int) lengthof(streams); i++)
	{
		stream_open(streams[i].stream, streams[i].statement, values);
		stream_next(streams[i].stream);
	}
	while (next_account(v, &account_id))
	{
		verify_account(v, account_id);
		work_done(++done);
	}
	for (int i = 0; i < (int) lengthof(streams); i++)
		stream_close(streams[i].stream);
}

static Statement verify_merchant_sql = {
	.sql = "SELECT least((SELECT min(merchant_id) FROM loyalty_internal.account WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty.entry WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty_internal.reservation WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty_internal.reversal WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty_internal.expired_lot WHERE merchant_id >= $1)) AS merchant_id",
	.params = {INT8OID}
};

/* The next merchant with rows in the ledger, even one that is not in loyalty_internal.merchant; false: there is none. */
static bool
find_merchant(int64 from, int64 *merchant_id)
{
	Datum		values[] = {Int64GetDatum(from)};
	bool		isnull;

	db_read(&verify_merchant_sql, values, NULL);
	*merchant_id = DatumGetInt64(row_datum(0, "merchant_id", &isnull));
	return !isnull;
}

static void
verify_all(Verification *v)
{
	int64		merchant_id;
	int64		from = PG_INT64_MIN;

	while (find_merchant(from, &merchant_id))
	{
		verify_merchant(v, merchant_id);
		if (merchant_id == PG_INT64_MAX)
			break;
		from = merchant_id + 1;
	}
	/* what is checked after this is of all */
	work_begin(WORK_VERIFY, ALL_MERCHANTS, ACCOUNTS_UNKNOWN);
}

PG_FUNCTION_INFO_V1(loyalty_verify_ledger);

/* loyalty_internal.verify_ledger(): what verify() finds in the ledger, of one merchant or of all. */
Datum
loyalty_verify_ledger(PG_FUNCTION_ARGS)
{
	Verification v = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	MemoryContext caller = CurrentMemoryContext;

	InitMaterializedSRF(fcinfo, 0);
	db_begin();
	v.account_context = AllocSetContextCreate(CurrentMemoryContext, "loyalty account", ALLOCSET_DEFAULT_SIZES);
	v.row_context = AllocSetContextCreate(CurrentMemoryContext, "loyalty row", ALLOCSET_DEFAULT_SIZES);
	v.replay.lots.allocated = MAX_MOMENTS;
	v.replay.lots.lot = palloc(v.replay.lots.allocated * sizeof(Lot));
	if (PG_ARGISNULL(0))
		verify_all(&v);
	else
		verify_merchant(&v, PG_GETARG_INT64(0));
	db_end();
	MemoryContextSwitchTo(caller);
	return (Datum) 0;
}

/*
 * verify.c
 *		What must be true of the ledger after every commit, checked.
 *
 * Accounts, entries, what is set aside, undone and expired are read side by
 * side, account by account, each in the order of its key.  So one account is
 * in memory at a time, and of its entries one, whatever the ledger's size.
 * Every account is played again from its first entry on, and what its row
 * says is compared with that.
 *
 * Rows may hold anything: sums are computed in 128 bits or with a check, and
 * lots that cannot be read are a finding.
 */
#include "postgres.h"

#include "account/rows.h"
#include "base/compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "proof/verify.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
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
	[INVARIANT_ASIDE] = "what is taken of points set aside was there",
	[INVARIANT_ASIDE_ROW] = "what is still set aside is what entries left of it",
	[INVARIANT_REVERSAL_ROW] = "what is said to be undone was undone by an entry",
	[INVARIANT_REVERSAL_PARTS] = "no more of an entry is undone than there was",
	[INVARIANT_LAPSE_ROW] = "what is said to have expired is what entries say",
	[INVARIANT_LAPSE_REFUNDED] = "a refund spares what expired, and no more than that",
	[INVARIANT_NEWEST] = "an account has the balance and the number of its newest entry",
	[INVARIANT_SUMS] = "an account has the sums of its entries",
	[INVARIANT_ACCOUNT_LOTS] = "an account has the lots that its entries left",
	[INVARIANT_DUE] = "nothing is due before the account says",
};

/* ------------------------------------------------------------------------
 * Findings
 * ------------------------------------------------------------------------ */

void
verify_breach(Verification *v, Invariant invariant, int64 entry_id, const char *format,...)
{
	Datum		values[5];
	bool		nulls[5] = {false};
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
	values[0] = CStringGetTextDatum(invariants[invariant]);
	values[1] = Int64GetDatum(v->merchant_id);
	values[2] = Int64GetDatum(v->replay.account_id);
	values[3] = Int64GetDatum(entry_id);
	nulls[3] = entry_id == NO_ENTRY;
	values[4] = PointerGetDatum(cstring_to_text_with_len(detail.data, detail.len));
	tuplestore_putvalues(v->result->setResult, v->result->setDesc, values, nulls);
}

/* Read lots; those that are none are a finding, and 0 none at all. */
bool
verify_lots(Verification *v, int64 entry_id, Datum packed, const char *what, Lots *lots)
{
	memset(lots, 0, sizeof(Lots));
	if (packed == (Datum) 0 || lots_read_if_sound(packed, lots))
		return true;
	verify_breach(v, INVARIANT_READABLE, entry_id, "those of %s cannot", what);
	return false;
}

/* A sum may be larger than points can be. */
char *
sum_text(int128 sum)
{
	if (sum < PG_INT64_MIN || sum > PG_INT64_MAX)
		return "more than fits";
	return points_text((Points) sum);
}

bool
same_lots(const Lots *a, const Lots *b)
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

bool
same_bytes(const bytea *a, const bytea *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* ------------------------------------------------------------------------
 * The row of an account
 * ------------------------------------------------------------------------ */

/*
 * A newest entry that is not sound says nothing but its number; and if that is
 * not the account's, entries are missing.
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
		verify_breach(v, INVARIANT_NEWEST, newest, "account has balance %s at number " INT64_FORMAT
					  ", entries say %s at " INT64_FORMAT,
					  points_text(balance), entry_no, points_text(replay->balance), replay->entry_no);
	else if (replay->sound &&
			 (stream_int64(&v->accounts, "newest_id", 0) != newest || stream_int64(&v->accounts, "previous_id", 0) != replay->previous_id))
		verify_breach(v, INVARIANT_NEWEST, newest, "account names other entries as the newest and the one before");
	else if (replay->sound && !same_bytes(hash, replay->hash))
		verify_breach(v, INVARIANT_NEWEST, newest, "account has another hash than its newest entry");
	else if (replay->sound && replay->entries > 0 && posted_at != replay->posted_at)
		verify_breach(v, INVARIANT_NEWEST, newest, "account is of %s, its newest entry of %s",
					  pstrdup(timestamptz_to_str(posted_at)), pstrdup(timestamptz_to_str(replay->posted_at)));
	if (entry_no != replay->entry_no)
		replay->whole = false;
}

static void
check_sum(Verification *v, const char *what, Points stored, int128 sum)
{
	if (stored != sum)
		verify_breach(v, INVARIANT_SUMS, NO_ENTRY, "%s %s, entries say %s", what, points_text(stored), sum_text(sum));
}

/* Whether it has any of the columns of those that keep sums. */
static bool
has_sums(const Stream *account)
{
	return stream_has(account, "expired") || stream_has(account, "held") || stream_has(account, "pending") ||
		stream_has(account, "due_at") || stream_has(account, "lots") || stream_has(account, "qualifying");
}

static void
check_sums(Verification *v)
{
	const Replay *replay = &v->replay;
	bool		managed = stream_has(&v->accounts, "earned");

	if (!managed && has_sums(&v->accounts))
	{
		verify_breach(v, INVARIANT_SUMS, NO_ENTRY, "keeps some sums, but not that of points earned");
		return;
	}
	if (managed && replay->refunds_known)
		check_sum(v, "earned", stream_int64(&v->accounts, "earned", 0), replay->earned);
	check_sum(v, "expired", stream_int64(&v->accounts, "expired", 0), replay->expired);
	check_sum(v, "held", stream_int64(&v->accounts, "held", 0), replay->held);
	check_sum(v, "pending", stream_int64(&v->accounts, "pending", 0), replay->pending);
}

static void
check_lots(Verification *v)
{
	Lots		lots;

	if (verify_lots(v, NO_ENTRY, PointerGetDatum(stream_varlena(&v->accounts, "qualifying")), "points that count for the rank", &lots) &&
		verify_lots(v, NO_ENTRY, PointerGetDatum(stream_varlena(&v->accounts, "lots")), "the account", &lots) &&
		v->replay.whole && !same_lots(&lots, &v->replay.lots))
		verify_breach(v, INVARIANT_ACCOUNT_LOTS, NO_ENTRY, "%d lots of %s points, entries leave %d of %s",
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
		verify_breach(v, INVARIANT_DUE, NO_ENTRY, "something is on %s, the account says %s",
					  pstrdup(timestamptz_to_str(first)),
					  due_at == DT_NOEND ? "nothing is" : pstrdup(timestamptz_to_str(due_at)));
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

static bool
at_account(const Stream *stream, int64 account_id)
{
	return !stream->ended && stream_int64(stream, "account_id", 0) == account_id;
}

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
	while (at_account(&v->entries, account_id))
	{
		Entry		entry;
		bool		as_written = entry_of_stream(&v->entries, &entry);

		verify_entry(v, &entry, as_written);
		stream_next(&v->entries);
		MemoryContextReset(v->row_context);
	}
	if (at_account(&v->accounts, account_id))
		check_newest(v);
	else if (v->replay.entries > 0)
		verify_breach(v, INVARIANT_NEWEST, v->replay.entry_id, "there is no such account");
	verify_asides(v);
	verify_reversals(v);
	verify_lapses(v);
	if (at_account(&v->accounts, account_id))
	{
		check_account_row(v);
		stream_next(&v->accounts);
	}
}

/* The lowest account that any of the streams has come to. */
static bool
next_account(const Verification *v, int64 *account_id)
{
	const Stream *streams[] = {&v->accounts, &v->entries, &v->asides, &v->reversals, &v->lapses};
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
	.sql = "SELECT " ACCOUNT_COLUMNS " FROM loyalty.account WHERE merchant_id = $1 ORDER BY account_id",
	.params = {INT8OID}
};

static Statement verify_entries_sql = {
	.sql = "SELECT " ENTRY_COLUMNS " FROM loyalty.entry WHERE merchant_id = $1 ORDER BY account_id, entry_no, entry_id",
	.params = {INT8OID}
};

static Statement verify_asides_sql = {
	.sql = "SELECT account_id, entry_id, entry_no, kind, amount, remaining, due_at, lots FROM loyalty.aside"
	" WHERE merchant_id = $1 ORDER BY account_id, entry_no, entry_id",
	.params = {INT8OID}
};

static Statement verify_reversals_sql = {
	.sql = "SELECT r.account_id, r.entry_id, r.reversed_by, r.amount, r.money, r.balance,"
	" o.kind AS original_kind, o.amount AS original_amount, o.aside AS original_aside, o.money AS original_money,"
	" o.origin AS original_origin, o.peer_id AS original_peer_id, o.lots AS original_lots,"
	" e.kind AS entry_kind, e.amount AS entry_amount, e.aside AS entry_aside, e.money AS entry_money, e.balance AS entry_balance,"
	" e.origin AS entry_origin, e.peer_id AS entry_peer_id, e.reference = r.reference OR e.text_digest IS NOT NULL AS same_reference,"
	" n.balance AS next_balance, r.lots, r.expired, o.entry_no < e.entry_no AS comes_after"
	" FROM loyalty.reversal r"
	" LEFT JOIN loyalty.entry o ON o.merchant_id = $1 AND o.entry_id = r.entry_id AND o.account_id = r.account_id"
	" LEFT JOIN loyalty.entry e ON e.merchant_id = $1 AND e.entry_id = r.reversed_by AND e.account_id = r.account_id"
	" LEFT JOIN loyalty.entry n ON n.merchant_id = $1 AND n.previous_id = r.reversed_by AND n.account_id = r.account_id AND n.kind = " KIND_SQL(EXPIRE)
	" WHERE r.merchant_id = $1 ORDER BY r.account_id, r.entry_id, r.reference",
	.params = {INT8OID}
};

static Statement verify_lapses_sql = {
	.sql = "SELECT account_id, expires_at, points, refunded FROM loyalty.lapse"
	" WHERE merchant_id = $1 ORDER BY account_id, expires_at",
	.params = {INT8OID}
};

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
		{&verify_asides_sql, &v->asides},
		{&verify_reversals_sql, &v->reversals},
		{&verify_lapses_sql, &v->lapses},
	};
	int64		account_id = 0;

	v->merchant_id = merchant_id;
	for (int i = 0; i < (int) lengthof(streams); i++)
	{
		stream_open(streams[i].stream, streams[i].statement, values);
		stream_next(streams[i].stream);
	}
	while (next_account(v, &account_id))
		verify_account(v, account_id);
	for (int i = 0; i < (int) lengthof(streams); i++)
		stream_close(streams[i].stream);
}

/* everything of a merchant, account by account */
static Statement verify_merchant_sql = {
	.sql = "SELECT least((SELECT min(merchant_id) FROM loyalty.account WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty.entry WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty.aside WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty.reversal WHERE merchant_id >= $1),"
	" (SELECT min(merchant_id) FROM loyalty.lapse WHERE merchant_id >= $1)) AS merchant_id",
	.params = {INT8OID}
};

/* The next merchant that has anything in the ledger, there being one or not. */
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
}

PG_FUNCTION_INFO_V1(loyalty_verify_ledger);

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

PG_FUNCTION_INFO_V1(loyalty_ledger_invariants);

Datum
loyalty_ledger_invariants(PG_FUNCTION_ARGS)
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

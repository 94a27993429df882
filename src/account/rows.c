/*
 * rows.c
 *		The rows of the ledger, as the engine reads and writes them.
 *
 * Everything is one statement for a whole batch.  A single account that is not
 * managed is written by a statement that knows of nothing else, and so is a
 * single entry that has no more than such accounts' entries have.
 */
#include "postgres.h"

#include "account/rows.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "db/store.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

int
compare_accounts(const void *a, const void *b)
{
	int64		left = ((const Account *) a)->account_id;
	int64		right = ((const Account *) b)->account_id;

	return (left > right) - (left < right);
}

static Datum
account_ids(const Account *accounts, int n)
{
	int64	   *ids = palloc(n * sizeof(int64));

	for (int i = 0; i < n; i++)
		ids[i] = accounts[i].account_id;
	return ids_datum(ids, n);
}

/* The two columns of entries' keys. */
static void
key_arrays(const EntryKey *keys, int n, Datum *values)
{
	int64	   *ids = palloc(n * sizeof(int64));
	int64	   *entries = palloc(n * sizeof(int64));

	for (int i = 0; i < n; i++)
	{
		ids[i] = keys[i].account_id;
		entries[i] = keys[i].entry_id;
	}
	values[0] = ids_datum(ids, n);
	values[1] = ids_datum(entries, n);
}

/* ------------------------------------------------------------------------
 * Reading accounts
 * ------------------------------------------------------------------------ */

static void
read_lots(Datum packed, bool isnull, Lots *lots)
{
	memset(lots, 0, sizeof(Lots));
	if (!isnull)
		lots_read(packed, lots);
}

static void
lots_or_none(uint64 row, int column, Lots *lots)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);

	read_lots(value, isnull, lots);
}

/* What the statements that read accounts return. */
#define ACCOUNT_COLUMNS_READ 19

static void
read_account(uint64 row, Account *account)
{
	Datum		values[ACCOUNT_COLUMNS_READ];
	bool		nulls[ACCOUNT_COLUMNS_READ];

	plan_row(row, values, nulls);
	account->exists = true;
	account->balance = DatumGetPoints(values[1]);
	account->entry_no = DatumGetInt64(values[2]);
	account->posted_at = DatumGetTimestampTz(values[3]);
	account->program_id = DatumGetInt64(values[4]);
	account->hash = DatumGetByteaPCopy(values[5]);
	account->may_owe = account->balance < 0;
	account->tid = *(ItemPointer) DatumGetPointer(values[14]);
	account->newest_id = nulls[16] ? 0 : DatumGetInt64(values[16]);
	account->previous_id = nulls[17] ? 0 : DatumGetInt64(values[17]);
	account->text_key = *DatumGetUUIDP(values[18]);
	account->managed = !nulls[6];
	if (!account->managed)
		return;
	account->earned = DatumGetPoints(values[6]);
	account->expired = nulls[7] ? 0 : DatumGetPoints(values[7]);
	account->held = nulls[8] ? 0 : DatumGetPoints(values[8]);
	account->pending = nulls[9] ? 0 : DatumGetPoints(values[9]);
	account->due_at = nulls[10] ? DT_NOEND : DatumGetTimestampTz(values[10]);
	read_lots(values[11], nulls[11], &account->lots);
	read_lots(values[12], nulls[12], &account->qualifying);
	account->moved = DatumGetBool(values[13]);
	account->ranked_at = nulls[15] ? DT_NOBEGIN : DatumGetTimestampTz(values[15]);
}

/*
 * Lock the accounts in ascending id order: the order is what keeps two batches
 * from deadlocking.  Rows come back in that order too, so one pass fills in
 * what was found.
 */
void
rows_lock_accounts(int64 merchant_id, Account *accounts, int n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), n == 1 ? Int64GetDatum(accounts[0].account_id) : account_ids(accounts, n)};
	uint64		found = plan_write(n == 1 ? PLAN_ACCOUNT_LOCK : PLAN_ACCOUNTS_LOCK, values, NULL);
	int			next = 0;

	for (uint64 row = 0; row < found; row++)
	{
		int64		account_id = plan_int64(row, 0);

		while (accounts[next].account_id != account_id)
			next++;
		read_account(row, &accounts[next]);
	}
}

/* To be looked at only. */
bool
rows_read_account(int64 merchant_id, Account *account)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account->account_id)};

	if (plan_read(PLAN_ACCOUNT_READ, values, NULL) == 0)
		return false;
	read_account(0, account);
	return true;
}

static bool
read_text_key(int64 merchant_id, int64 account_id, pg_uuid_t *key)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id)};
	bool		isnull;

	if (account_id == 0 || plan_read(PLAN_TEXT_KEY, values, NULL) == 0)
		return false;
	*key = *DatumGetUUIDP(plan_datum(0, 0, &isnull));
	return true;
}

/* The key that salts the text of an entry: that of who acted, as when it was posted. */
bool
rows_read_text_key(int64 merchant_id, const Entry *entry, pg_uuid_t *key)
{
	return read_text_key(merchant_id, entry->member_id, key) || read_text_key(merchant_id, entry->account_id, key);
}

/* What accounts that were not managed have earned so far. */
void
rows_adopt(int64 merchant_id, Account *accounts, int n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), account_ids(accounts, n)};
	uint64		found = plan_write(PLAN_ACCOUNTS_EARNED, values, NULL);

	for (uint64 row = 0; row < found; row++)
		accounts[plan_int64(row, 0) - 1].earned = plan_int64(row, 1);
}

/* ------------------------------------------------------------------------
 * Reading what is set aside, what is to be undone, and what had expired
 * ------------------------------------------------------------------------ */

/* What the batch knows already stays as it is. */
static Aside *
read_aside(uint64 row, HTAB *asides)
{
	EntryKey	key = {plan_int64(row, 0), plan_int64(row, 1)};
	bool		found;
	Aside	   *aside = hash_search(asides, &key, HASH_ENTER, &found);

	if (found)
		return aside;
	aside->entry_no = plan_int64(row, 2);
	aside->kind = plan_int64(row, 3);
	aside->amount = plan_int64(row, 4);
	aside->remaining = plan_int64(row, 5);
	aside->due_at = plan_int64_or(row, 6, DT_NOEND);
	lots_or_none(row, 7, &aside->lots);
	aside->changed = false;
	return aside;
}

void
rows_read_asides(int64 merchant_id, HTAB *asides, const EntryKey *keys, int n)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	uint64		found;

	key_arrays(keys, n, values + 1);
	found = plan_write(PLAN_ASIDES_FIND, values, NULL);
	for (uint64 row = 0; row < found; row++)
		read_aside(row, asides);
}

/*
 * What is due in the accounts, by account and time, and of each account the
 * one that is due next.
 */
void
rows_read_due(int64 merchant_id, HTAB *asides, const int64 *account_ids, int n, TimestampTz now, bool locked,
			  void (*take) (void *context, Aside *aside), void *context)
{
	Datum		values[] = {Int64GetDatum(merchant_id), ids_datum(account_ids, n), TimestampTzGetDatum(now)};
	uint64		found = locked ? plan_write(PLAN_ASIDES_DUE, values, NULL) : plan_read(PLAN_ASIDES_DUE, values, NULL);
	Aside	  **due = palloc_extended(Max(found, 1) * sizeof(Aside *), MCXT_ALLOC_HUGE);

	for (uint64 row = 0; row < found; row++)
		due[row] = read_aside(row, asides);
	for (uint64 i = 0; i < found; i++)
		take(context, due[i]);
}

void
rows_read_originals(int64 merchant_id, HTAB *originals, const EntryKey *keys, int n)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	uint64		found;

	key_arrays(keys, n, values + 1);
	found = plan_write(PLAN_ENTRIES_FIND, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		EntryKey	key = {plan_int64(row, 0), plan_int64(row, 1)};
		Original   *original = hash_search(originals, &key, HASH_ENTER, NULL);
		bool		isnull;

		original->kind = plan_int64(row, 2);
		original->amount = plan_int64(row, 3);
		original->aside = plan_int64_or(row, 4, 0);
		original->money = plan_int64_or(row, 5, 0);
		(void) plan_datum(row, 5, &isnull);
		original->has_money = !isnull;
		original->posted_at = plan_int64(row, 6);
		original->origin = plan_int64_or(row, 7, 0);
		original->peer_id = plan_int64_or(row, 8, 0);
		lots_or_none(row, 9, &original->lots);
		original->rules = plan_int64_or(row, 10, 0);
		original->limited_at = plan_int64(row, 11);
		original->staff_id = plan_int64_or(row, 12, 0);
		original->member_id = plan_int64_or(row, 13, 0);
		original->reversals = NULL;
	}
}

void
rows_read_reversals(int64 merchant_id, HTAB *originals, const EntryKey *keys, int n)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	uint64		found;

	key_arrays(keys, n, values + 1);
	found = plan_write(PLAN_REVERSALS_FIND, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		EntryKey	key = {plan_int64(row, 0), plan_int64(row, 1)};
		Original   *original = hash_search(originals, &key, HASH_FIND, NULL);
		Reversal   *part = palloc0(sizeof(Reversal));
		bool		isnull;

		if (original == NULL)
			elog(ERROR, "what was undone is no entry");
		part->reference = plan_text(row, 2);
		part->reversed_by = plan_int64(row, 3);
		part->amount = plan_int64(row, 4);
		part->money = plan_int64_or(row, 5, 0);
		(void) plan_datum(row, 5, &isnull);
		part->has_money = !isnull;
		part->balance = plan_int64(row, 6);
		lots_or_none(row, 7, &part->lots);
		part->expired = plan_int64_or(row, 8, 0);
		part->reversed_no = plan_int64(row, 9);
		part->next = original->reversals;
		original->reversals = part;
	}
}

/* Fill in what there was before the batch; it has added nothing yet. */
void
rows_read_lapses(int64 merchant_id, HTAB *lapses)
{
	Oid			types[] = {INT8OID, TIMESTAMPTZOID};
	Column		columns[lengthof(types)];
	HASH_SEQ_STATUS all;
	Lapse	   *lapse;
	int			n = 0;
	uint64		found;

	columns_start(columns, types, lengthof(types), hash_get_num_entries(lapses));
	hash_seq_init(&all, lapses);
	while ((lapse = hash_seq_search(&all)) != NULL)
	{
		Datum		row[] = {Int64GetDatum(lapse->key.account_id), TimestampTzGetDatum(lapse->key.expires_at)};

		columns_set(columns, lengthof(types), n++, row, NULL);
	}
	found = plan_write(PLAN_LAPSES_FIND, (Datum[]) {Int64GetDatum(merchant_id), array_datum(columns[0].values, n, INT8OID),
						array_datum(columns[1].values, n, TIMESTAMPTZOID)}, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		LapseKey	key = {plan_int64(row, 0), plan_int64(row, 1)};

		lapse = hash_search(lapses, &key, HASH_FIND, NULL);
		lapse->points = plan_int64(row, 2);
		lapse->refunded = plan_int64(row, 3);
	}
}

/* ------------------------------------------------------------------------
 * Writing accounts
 * ------------------------------------------------------------------------ */

/* Where a locked account is, and what postings change; of one that is not managed there are fewer columns. */
static const char *const change_columns[] = {"at", "may_owe", "balance", "entry_no", "newest_id", "previous_id", "posted_at", "hash",
"earned", "expired", "held", "pending", "due_at", "lots", "qualifying"};

#define CHANGE_COLUMNS ((int) lengthof(change_columns))
#define CHANGE_COLUMNS_PLAIN 8

static void
change_row(const Account *account, Datum *values, bool *nulls)
{
	memset(nulls, 0, CHANGE_COLUMNS_PLAIN * sizeof(bool));
	memset(nulls + CHANGE_COLUMNS_PLAIN, !account->managed, (CHANGE_COLUMNS - CHANGE_COLUMNS_PLAIN) * sizeof(bool));
	values[0] = PointerGetDatum(&account->tid);
	values[1] = BoolGetDatum(account->may_owe);
	values[2] = PointsGetDatum(account->balance);
	values[3] = Int64GetDatum(account->entry_no);
	values[4] = Int64GetDatum(account->newest_id);
	nulls[4] = account->newest_id == 0;
	values[5] = Int64GetDatum(account->previous_id);
	nulls[5] = account->previous_id == 0;
	values[6] = TimestampTzGetDatum(account->posted_at);
	values[7] = PointerGetDatum(account->hash);
	if (!account->managed)
		return;
	values[8] = PointsGetDatum(account->earned);
	values[9] = PointsGetDatum(account->expired);
	values[10] = PointsGetDatum(account->held);
	values[11] = PointsGetDatum(account->pending);
	values[12] = TimestampTzGetDatum(account->due_at);
	nulls[12] = TIMESTAMP_NOT_FINITE(account->due_at);
	nulls[13] = account->lots.n == 0;
	values[13] = nulls[13] ? (Datum) 0 : lots_pack(&account->lots);
	nulls[14] = account->qualifying.n == 0;
	values[14] = nulls[14] ? (Datum) 0 : lots_pack(&account->qualifying);
}

static uint64
update_account(int64 merchant_id, const Account *account)
{
	Datum		values[1 + CHANGE_COLUMNS];
	bool		isnull[CHANGE_COLUMNS];
	char		nulls[1 + CHANGE_COLUMNS];

	values[0] = Int64GetDatum(merchant_id);
	nulls[0] = ' ';
	change_row(account, values + 1, isnull);
	for (int i = 0; i < CHANGE_COLUMNS; i++)
		nulls[1 + i] = isnull[i] ? 'n' : ' ';
	return plan_write(account->managed ? PLAN_ACCOUNT_UPDATE_MANAGED : PLAN_ACCOUNT_UPDATE, values, nulls);
}

static uint64
update_accounts(int64 merchant_id, const Account *const *accounts, int n)
{
	RowArray	rows;

	rows_start(&rows, plan_change_oid(), change_columns, CHANGE_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[CHANGE_COLUMNS];
		bool		nulls[CHANGE_COLUMNS];

		change_row(accounts[i], values, nulls);
		rows_add(&rows, values, nulls);
	}
	return plan_write(PLAN_ACCOUNTS_UPDATE, (Datum[]) {Int64GetDatum(merchant_id), rows_end(&rows)}, NULL);
}

void
rows_update_accounts(int64 merchant_id, const Account *accounts, int n)
{
	const Account **changed = palloc_extended(n * sizeof(Account *), MCXT_ALLOC_HUGE);
	int			nchanged = 0;
	uint64		updated;

	for (int i = 0; i < n; i++)
	{
		if (accounts[i].changed)
			changed[nchanged++] = &accounts[i];
	}
	if (nchanged == 0)
		return;
	updated = nchanged == 1 ? update_account(merchant_id, changed[0]) : update_accounts(merchant_id, changed, nchanged);
	if (updated != (uint64) nchanged)
		elog(ERROR, "accounts of merchant " INT64_FORMAT " that were locked are gone or would be overdrawn", merchant_id);
}

/* ------------------------------------------------------------------------
 * Writing entries
 * ------------------------------------------------------------------------ */

/* The columns of loyalty.entry, in its order. */
static const char *const entry_columns[] = {"merchant_id", "entry_id", "account_id", "entry_no", "previous_id",
	"amount", "balance", "posted_at", "staff_id", "money", "aside", "origin", "peer_id", "member_id",
	"happened_at", "request_id", "rules", "actor_id", "kind", "reference", "detail", "text_digest", "lots",
"hash"};

#define ENTRY_COLUMNS ((int) lengthof(entry_columns))

static void
entry_row(int64 merchant_id, const Entry *entry, Datum *values, bool *nulls)
{
	memset(nulls, 0, ENTRY_COLUMNS * sizeof(bool));
	values[0] = Int64GetDatum(merchant_id);
	values[1] = Int64GetDatum(entry->entry_id);
	values[2] = Int64GetDatum(entry->account_id);
	values[3] = Int64GetDatum(entry->entry_no);
	values[4] = Int64GetDatum(entry->previous_id);
	nulls[4] = entry->previous_id == 0;
	values[5] = PointsGetDatum(entry->amount);
	values[6] = PointsGetDatum(entry->balance);
	values[7] = TimestampTzGetDatum(entry->posted_at);
	values[8] = Int64GetDatum(entry->staff_id);
	nulls[8] = entry->staff_id == 0;
	values[9] = PointsGetDatum(entry->money);
	nulls[9] = !entry->has_money;
	values[10] = PointsGetDatum(entry->aside);
	nulls[10] = entry->aside == 0;
	values[11] = Int64GetDatum(entry->origin);
	nulls[11] = entry->origin == 0;
	values[12] = Int64GetDatum(entry->peer_id);
	nulls[12] = entry->peer_id == 0;
	values[13] = Int64GetDatum(entry->member_id);
	nulls[13] = entry->member_id == 0;
	values[14] = TimestampTzGetDatum(entry->happened_at);
	nulls[14] = entry->happened_at == 0;
	values[15] = Int64GetDatum(entry->request_id);
	nulls[15] = entry->request_id == 0;
	values[16] = Int32GetDatum(entry->rules);
	nulls[16] = entry->rules == 0;
	values[17] = Int32GetDatum(entry->actor_id);
	nulls[17] = entry->actor_id == 0;
	values[18] = Int16GetDatum(entry->kind);
	values[19] = PointerGetDatum(entry->reference);
	nulls[19] = entry->reference == NULL;
	values[20] = PointerGetDatum(entry->detail);
	nulls[20] = entry->detail == NULL;
	values[21] = PointerGetDatum(entry->text_digest);
	nulls[21] = entry->text_digest == NULL;
	values[22] = entry->lots;
	nulls[22] = entry->lots == (Datum) 0;
	values[23] = PointerGetDatum(entry->hash);
}

/* A trigger can keep rows away; then nothing of what is posted stays. */
static void
expect_written(uint64 written, int n)
{
	if (written != (uint64) n)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger or rule of loyalty.entry has kept an entry from being written")));
}

static void
insert_by_statement(int64 merchant_id, Entry *const *entries, int n)
{
	Datum		values[ENTRY_COLUMNS];
	bool		isnull[ENTRY_COLUMNS];
	char		nulls[ENTRY_COLUMNS];
	RowArray	rows;

	if (n == 1)
	{
		entry_row(merchant_id, entries[0], values, isnull);
		for (int i = 0; i < ENTRY_COLUMNS; i++)
			nulls[i] = isnull[i] ? 'n' : ' ';
		expect_written(plan_post(PLAN_ENTRY_INSERT, values, nulls), n);
		return;
	}
	rows_start(&rows, plan_entry_oid(), entry_columns, ENTRY_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		entry_row(merchant_id, entries[i], values, isnull);
		rows_add(&rows, values, isnull);
	}
	values[0] = rows_end(&rows);
	expect_written(plan_write(PLAN_ENTRIES_INSERT, values, NULL), n);
}

void
rows_insert_entries(int64 merchant_id, Entry *const *entries, int n)
{
	Store	   *store = n > 0 ? store_open(plan_entry_oid(), entry_columns, ENTRY_COLUMNS) : NULL;

	if (store == NULL)
	{
		if (n > 0)
			insert_by_statement(merchant_id, entries, n);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		Datum		values[ENTRY_COLUMNS];
		bool		nulls[ENTRY_COLUMNS];

		entry_row(merchant_id, entries[i], values, nulls);
		store_insert(store, values, nulls);
	}
	store_close(store);
}

/* ------------------------------------------------------------------------
 * Writing what is set aside, what was undone, and what expired
 * ------------------------------------------------------------------------ */

#define ASIDE_COLUMNS 8

void
rows_write_asides(int64 merchant_id, HTAB *asides)
{
	Oid			points = plan_points_oid();
	Oid			types[ASIDE_COLUMNS] = {INT8OID, INT8OID, INT8OID, INT2OID, points, points, TIMESTAMPTZOID, plan_lots_oid()};
	Column		columns[ASIDE_COLUMNS];
	HASH_SEQ_STATUS all;
	Aside	   *aside;
	int			changed = 0;

	columns_start(columns, types, ASIDE_COLUMNS, Max(hash_get_num_entries(asides), 1));
	hash_seq_init(&all, asides);
	while ((aside = hash_seq_search(&all)) != NULL)
	{
		bool		nulls[ASIDE_COLUMNS] = {false};
		Datum		row[ASIDE_COLUMNS] = {
			Int64GetDatum(aside->key.entry_id),
			Int64GetDatum(aside->key.account_id),
			Int64GetDatum(aside->entry_no),
			Int16GetDatum(aside->kind),
			PointsGetDatum(aside->amount),
			PointsGetDatum(aside->remaining),
			TimestampTzGetDatum(aside->due_at),
		};

		if (!aside->changed)
			continue;
		nulls[6] = TIMESTAMP_NOT_FINITE(aside->due_at);
		nulls[7] = aside->lots.n == 0;
		row[7] = nulls[7] ? (Datum) 0 : lots_pack(&aside->lots);
		columns_set(columns, ASIDE_COLUMNS, changed++, row, nulls);
	}
	if (changed > 0)
		columns_write(PLAN_ASIDES_WRITE, PLAN_ASIDE_WRITE, merchant_id, columns, ASIDE_COLUMNS, changed);
}

#define REVERSAL_COLUMNS 9

static void
reversal_row(const Original *original, const Reversal *part, Datum *row, bool *nulls)
{
	memset(nulls, 0, REVERSAL_COLUMNS * sizeof(bool));
	row[0] = Int64GetDatum(original->key.entry_id);
	row[1] = Int64GetDatum(original->key.account_id);
	row[2] = CStringGetTextDatum(part->reference);
	row[3] = Int64GetDatum(part->reversed_by);
	row[4] = PointsGetDatum(part->amount);
	row[5] = PointsGetDatum(part->money);
	nulls[5] = !part->has_money;
	row[6] = PointsGetDatum(part->balance);
	row[7] = lots_pack_some(&part->lots);
	nulls[7] = part->lots.n == 0;
	row[8] = PointsGetDatum(part->expired);
	nulls[8] = part->expired == 0;
}

void
rows_insert_reversals(int64 merchant_id, HTAB *originals)
{
	Oid			points = plan_points_oid();
	Oid			types[REVERSAL_COLUMNS] = {INT8OID, INT8OID, TEXTOID, INT8OID, points, points, points, plan_lots_oid(), points};
	Column		columns[REVERSAL_COLUMNS];
	HASH_SEQ_STATUS all;
	Original   *original;
	int			added = 0;

	hash_seq_init(&all, originals);
	while ((original = hash_seq_search(&all)) != NULL)
	{
		for (const Reversal *part = original->reversals; part != NULL; part = part->next)
			added += part->is_new;
	}
	if (added == 0)
		return;
	columns_start(columns, types, REVERSAL_COLUMNS, added);
	added = 0;
	hash_seq_init(&all, originals);
	while ((original = hash_seq_search(&all)) != NULL)
	{
		for (const Reversal *part = original->reversals; part != NULL; part = part->next)
		{
			Datum		row[REVERSAL_COLUMNS];
			bool		nulls[REVERSAL_COLUMNS];

			if (!part->is_new)
				continue;
			reversal_row(original, part, row, nulls);
			columns_set(columns, REVERSAL_COLUMNS, added++, row, nulls);
		}
	}
	columns_write(PLAN_REVERSALS_INSERT, PLAN_REVERSAL_INSERT, merchant_id, columns, REVERSAL_COLUMNS, added);
}

#define LAPSE_COLUMNS 4

/* The table has sums, to which is added what the batch has. */
void
rows_write_lapses(int64 merchant_id, HTAB *lapses)
{
	Oid			points = plan_points_oid();
	Oid			types[LAPSE_COLUMNS] = {INT8OID, TIMESTAMPTZOID, points, points};
	Column		columns[LAPSE_COLUMNS];
	HASH_SEQ_STATUS all;
	Lapse	   *lapse;
	int			changed = 0;

	columns_start(columns, types, LAPSE_COLUMNS, hash_get_num_entries(lapses));
	hash_seq_init(&all, lapses);
	while ((lapse = hash_seq_search(&all)) != NULL)
	{
		Datum		row[LAPSE_COLUMNS] = {
			Int64GetDatum(lapse->key.account_id),
			TimestampTzGetDatum(lapse->key.expires_at),
			PointsGetDatum(lapse->new_points),
			PointsGetDatum(lapse->new_refunded),
		};

		if (lapse->new_points > 0 || lapse->new_refunded > 0)
			columns_set(columns, LAPSE_COLUMNS, changed++, row, NULL);
	}
	if (changed > 0)
		columns_write(PLAN_LAPSES_WRITE, PLAN_LAPSE_WRITE, merchant_id, columns, LAPSE_COLUMNS, changed);
}

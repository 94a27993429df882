/*
 * rows.c
 *		Accounts and entries, as the engine reads and writes their rows.
 *
 * Everything is one statement for a whole batch.  A single account that does
 * not track lots is written by a statement that knows of nothing else, and so is
 * a single entry that has no more than such accounts' entries have.
 */
#include "postgres.h"

#include "account/chain.h"
#include "account/rows.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "db/store.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The order in which accounts are locked. */
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

/* The ids of keys as two arrays. */
void
entry_key_arrays(const EntryKey *keys, int n, Datum *values)
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

/* A column of lots; NULL are no lots. */
void
db_row_lots(uint64 row, const char *name, Lots *lots)
{
	bool		isnull;
	Datum		packed = db_row_datum(row, name, &isnull);

	memset(lots, 0, sizeof(Lots));
	if (!isnull)
		lots_read(packed, lots);
}

static void
read_account(uint64 row, Account *account)
{
	bool		isnull;

	account->exists = true;
	account->balance = row_int64(row, "balance");
	account->entry_no = row_int64(row, "entry_no");
	account->posted_at = row_int64(row, "posted_at");
	account->program_id = row_int64(row, "program_id");
	account->hash = DatumGetByteaPCopy(row_datum(row, "hash", &isnull));
	account->may_owe = account->balance < 0;
	account->tracks_lots = row_has(row, "earned");
	account->tid = *(ItemPointer) DatumGetPointer(row_datum(row, "ctid", &isnull));
	account->newest_entry_id = row_int64_or(row, "newest_entry_id", 0);
	account->previous_entry_id = row_int64_or(row, "previous_entry_id", 0);
	account->text_key = *DatumGetUUIDP(row_datum(row, "text_key", &isnull));
	if (!account->tracks_lots)
		return;
	account->earned = row_int64(row, "earned");
	account->purchases = row_int64_or(row, "purchases", 0);
	account->expired = row_int64_or(row, "expired", 0);
	account->held = row_int64_or(row, "held", 0);
	account->pending = row_int64_or(row, "pending", 0);
	account->due_at = row_int64_or(row, "due_at", DT_NOEND);
	row_lots(row, "lots", &account->lots);
	row_lots(row, "qualifying", &account->qualifying);
	account->moved = row_bool(row, "moved");
	account->ranked_at = row_int64_or(row, "ranked_at", DT_NOBEGIN);
}

static Statement account_lock_sql = {
	.sql = "SELECT " ACCOUNT_COLUMNS " FROM loyalty_internal.account WHERE merchant_id = $1 AND account_id = $2 FOR NO KEY UPDATE",
	.params = {INT8OID, INT8OID}
};

static Statement accounts_lock_sql = {
	.sql = "SELECT " ACCOUNT_COLUMNS " FROM loyalty_internal.account"
	" WHERE merchant_id = $1 AND account_id = ANY ($2) ORDER BY account_id FOR NO KEY UPDATE",
	.params = {INT8OID, INT8ARRAYOID}
};

/*
 * Lock the accounts in ascending id order: the order is what keeps two batches
 * from deadlocking.  Rows come back in that order too, so one pass fills in
 * what was found.
 */
void
accounts_lock(int64 merchant_id, Account *accounts, int n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), n == 1 ? Int64GetDatum(accounts[0].account_id) : account_ids(accounts, n)};
	uint64		found = db_write(n == 1 ? &account_lock_sql : &accounts_lock_sql, values, NULL);
	int			next = 0;

	for (uint64 row = 0; row < found; row++)
	{
		int64		account_id = row_int64(row, "account_id");

		while (accounts[next].account_id != account_id)
			next++;
		read_account(row, &accounts[next]);
	}
}

static Statement accounts_hold_sql = {
	.sql = "SELECT count(*) FROM (SELECT FROM loyalty_internal.account"
	" WHERE merchant_id = $1 AND account_id = ANY ($2) ORDER BY account_id FOR NO KEY UPDATE) held",
	.params = {INT8OID, INT8ARRAYOID}
};

/* Lock accounts without reading them: for several batches of one transaction, before the first. */
void
accounts_hold(int64 merchant_id, const int64 *account_ids, int n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), ids_datum(account_ids, n)};

	db_write(&accounts_hold_sql, values, NULL);
}

static Statement account_read_sql = {
	.sql = "SELECT " ACCOUNT_COLUMNS " FROM loyalty_internal.account WHERE merchant_id = $1 AND account_id = $2",
	.params = {INT8OID, INT8OID}
};

/* Read an account without locking it. */
bool
account_read(int64 merchant_id, Account *account)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account->account_id)};

	if (db_read(&account_read_sql, values, NULL) == 0)
		return false;
	read_account(0, account);
	return true;
}

static Statement text_key_sql = {
	.sql = "SELECT text_key FROM loyalty_internal.account WHERE merchant_id = $1 AND account_id = $2",
	.params = {INT8OID, INT8OID}
};

static bool
read_text_key(int64 merchant_id, int64 account_id, pg_uuid_t *key)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id)};
	bool		isnull;

	if (account_id == 0 || db_read(&text_key_sql, values, NULL) == 0)
		return false;
	*key = *DatumGetUUIDP(row_datum(0, "text_key", &isnull));
	return true;
}

static Statement named_by_origin_sql = {
	.sql = "SELECT loyalty_internal.named_by_origin($1, $2) AS member_id",
	.params = {INT8OID, INT8OID}
};

/* Find out whom a stored entry names, or what it goes on with: the text is theirs. */
void
entry_find_named(Entry *entry)
{
	Datum		values[] = {Int64GetDatum(entry->merchant_id), Int64GetDatum(entry->origin_entry_id)};

	entry->named_id = entry->member_id;
	if (entry->named_id == 0 && entry->origin_entry_id != 0 && db_read(&named_by_origin_sql, values, NULL) > 0)
		entry->named_id = row_int64_or(0, "member_id", 0);
}

/* The key that salts the text of an entry: that of the own account of whom it names, else that of the account. */
bool
account_text_key(const Entry *entry, pg_uuid_t *key)
{
	return read_text_key(entry->merchant_id, entry->named_id, key) ||
		read_text_key(entry->merchant_id, entry->account_id, key);
}

static Statement entry_salt_sql = {
	.sql = "SELECT salt FROM loyalty_internal.entry_salt WHERE merchant_id = $1 AND entry_id = $2",
	.params = {INT8OID, INT8OID}
};

/* Salt the text of an entry by its key, and that of the account on the other side, or as it was by those before. */
void
account_text_salt(const pg_uuid_t *key, Entry *entry)
{
	Datum		values[] = {Int64GetDatum(entry->merchant_id), Int64GetDatum(entry->entry_id)};
	pg_uuid_t	peer_key;
	bool		has_peer = read_text_key(entry->merchant_id, entry->peer_account_id, &peer_key);
	bool		replaced = text_key_replaced(key) || (has_peer && text_key_replaced(&peer_key));
	bool		isnull;

	if (replaced && db_read(&entry_salt_sql, values, NULL) > 0)
		memcpy(entry->salt, VARDATA_ANY(DatumGetByteaPP(row_datum(0, "salt", &isnull))), PG_SHA256_DIGEST_LENGTH);
	else
		chain_salt(key, has_peer ? &peer_key : NULL, entry->entry_id, entry->salt);
}

static Statement accounts_earned_sql = {
	.sql = "SELECT u.ordinality, b.earned, b.purchases FROM unnest($2) WITH ORDINALITY u (account_id), loyalty_internal.earned_by_entries($1, u.account_id) b",
	.params = {INT8OID, INT8ARRAYOID}
};

/* Sum what accounts have earned and bought so far, which did not track it. */
void
accounts_adopt(int64 merchant_id, Account *accounts, int n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), account_ids(accounts, n)};
	uint64		found = db_write(&accounts_earned_sql, values, NULL);

	for (uint64 row = 0; row < found; row++)
	{
		Account    *account = &accounts[row_int64(row, "ordinality") - 1];

		account->earned = row_int64(row, "earned");
		account->purchases = row_int64(row, "purchases");
	}
}

/* ------------------------------------------------------------------------
 * Writing accounts
 * ------------------------------------------------------------------------ */

/* The columns of an account that postings change, and where its row is; one that tracks no lots has fewer. */
static const char *const change_columns[] = {"at", "may_owe", "balance", "entry_no", "newest_entry_id", "previous_entry_id", "posted_at", "hash",
"earned", "purchases", "expired", "held", "pending", "due_at", "lots", "qualifying"};

#define CHANGE_COLUMNS ((int) lengthof(change_columns))
#define CHANGE_COLUMNS_PLAIN 8

static void
change_row(const Account *account, Datum *values, bool *nulls)
{
	memset(nulls, 0, CHANGE_COLUMNS_PLAIN * sizeof(bool));
	memset(nulls + CHANGE_COLUMNS_PLAIN, !account->tracks_lots, (CHANGE_COLUMNS - CHANGE_COLUMNS_PLAIN) * sizeof(bool));
	values[0] = PointerGetDatum(&account->tid);
	values[1] = BoolGetDatum(account->may_owe);
	values[2] = PointsGetDatum(account->balance);
	values[3] = Int64GetDatum(account->entry_no);
	values[4] = Int64GetDatum(account->newest_entry_id);
	nulls[4] = account->newest_entry_id == 0;
	values[5] = Int64GetDatum(account->previous_entry_id);
	nulls[5] = account->previous_entry_id == 0;
	values[6] = TimestampTzGetDatum(account->posted_at);
	values[7] = PointerGetDatum(account->hash);
	if (!account->tracks_lots)
		return;
	values[8] = PointsGetDatum(account->earned);
	values[9] = Int64GetDatum(account->purchases);
	values[10] = PointsGetDatum(account->expired);
	values[11] = PointsGetDatum(account->held);
	values[12] = PointsGetDatum(account->pending);
	values[13] = TimestampTzGetDatum(account->due_at);
	nulls[13] = TIMESTAMP_NOT_FINITE(account->due_at);
	nulls[14] = account->lots.n == 0;
	values[14] = nulls[14] ? (Datum) 0 : lots_pack(&account->lots);
	nulls[15] = account->qualifying.n == 0;
	values[15] = nulls[15] ? (Datum) 0 : lots_pack(&account->qualifying);
}

static Statement account_update_tracking_sql = {
	.sql = "UPDATE loyalty_internal.account SET balance = $4, entry_no = $5, newest_entry_id = $6, previous_entry_id = $7, posted_at = $8, hash = $9,"
	" earned = $10, purchases = $11, expired = $12, held = $13, pending = $14, due_at = $15, lots = $16, qualifying = $17"
	" WHERE merchant_id = $1 AND ctid = $2 AND ($3 OR $4 OPERATOR(loyalty.>=) '0')"
	" AND $13 OPERATOR(loyalty.>=) '0' AND $14 OPERATOR(loyalty.>=) '0'",
	.params = {INT8OID, TIDOID, BOOLOID, POINTSOID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, BYTEAOID, POINTSOID,
	INT8OID, POINTSOID, POINTSOID, POINTSOID, TIMESTAMPTZOID, LOTSOID, LOTSOID}
};

static Statement account_update_sql = {
	.sql = "UPDATE loyalty_internal.account SET balance = $4, entry_no = $5, newest_entry_id = $6, previous_entry_id = $7, posted_at = $8, hash = $9"
	" WHERE merchant_id = $1 AND ctid = $2 AND ($3 OR $4 OPERATOR(loyalty.>=) '0')",
	.params = {INT8OID, TIDOID, BOOLOID, POINTSOID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, BYTEAOID}
};

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
	return db_write(account->tracks_lots ? &account_update_tracking_sql : &account_update_sql, values, nulls);
}

/* the other columns of accounts that track no lots are NULL, and stay so */
static Statement accounts_update_sql = {
	.sql = "UPDATE loyalty_internal.account a SET balance = u.balance, entry_no = u.entry_no, newest_entry_id = u.newest_entry_id,"
	" previous_entry_id = u.previous_entry_id, posted_at = u.posted_at, hash = u.hash, earned = u.earned, purchases = u.purchases, expired = u.expired,"
	" held = u.held, pending = u.pending, due_at = u.due_at, lots = u.lots, qualifying = u.qualifying"
	" FROM unnest((SELECT $2)) u"
	" WHERE a.merchant_id = $1 AND a.ctid = u.at AND (u.may_owe OR u.balance OPERATOR(loyalty.>=) '0')"
	" AND (u.held IS NULL OR u.held OPERATOR(loyalty.>=) '0' AND u.pending OPERATOR(loyalty.>=) '0')",
	.params = {INT8OID, ACCOUNTCHANGEARRAYOID}
};

static uint64
update_accounts(int64 merchant_id, const Account *const *accounts, int n)
{
	Datum		values[2] = {Int64GetDatum(merchant_id)};
	RowArray	rows;

	rows_start(&rows, db_type(ACCOUNTCHANGEOID), change_columns, CHANGE_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		Datum		row[CHANGE_COLUMNS];
		bool		nulls[CHANGE_COLUMNS];

		change_row(accounts[i], row, nulls);
		rows_add(&rows, row, nulls);
	}
	values[1] = rows_end(&rows);
	return db_write(&accounts_update_sql, values, NULL);
}

/* Write the accounts that have changed, all by one statement. */
void
accounts_update(int64 merchant_id, const Account *accounts, int n)
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

/* Make sure that all rows were written: a trigger can keep rows away, and then nothing is posted. */
static void
expect_written(uint64 written, int n)
{
	if (written != (uint64) n)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger or rule of loyalty.entry has kept an entry from being written")));
}

static Statement entry_insert_sql = {
	.sql = "INSERT INTO loyalty.entry (" ENTRY_COLUMNS ")"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)",
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT2OID, POINTSOID, POINTSOID, TIMESTAMPTZOID, INT8OID,
		POINTSOID, POINTSOID, INT8OID, INT8OID, INT8OID, INT4OID, TIMESTAMPTZOID, INT8OID, INT8OID, LOTSOID, TEXTOID,
	JSONOID, BYTEAOID, BYTEAOID}
};

/* one array of rows: arrays of columns would be put side by side row by row */
static Statement entries_insert_sql = {
	.sql = "INSERT INTO loyalty.entry (" ENTRY_COLUMNS ") SELECT " ENTRY_COLUMNS " FROM unnest($1)",
	.params = {ENTRYARRAYOID}
};

static void
insert_by_statement(Entry *const *entries, int n)
{
	Datum		values[NUMBER_OF_ENTRY_COLUMNS];
	bool		isnull[NUMBER_OF_ENTRY_COLUMNS];
	char		nulls[NUMBER_OF_ENTRY_COLUMNS];
	RowArray	rows;

	if (n == 1)
	{
		entry_datums(entries[0], values, isnull);
		for (int i = 0; i < NUMBER_OF_ENTRY_COLUMNS; i++)
			nulls[i] = isnull[i] ? 'n' : ' ';
		expect_written(db_post(&entry_insert_sql, values, nulls), n);
		return;
	}
	rows_start(&rows, db_type(ENTRYOID), entry_column_names(), NUMBER_OF_ENTRY_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		entry_datums(entries[i], values, isnull);
		rows_add(&rows, values, isnull);
	}
	values[0] = rows_end(&rows);
	expect_written(db_write(&entries_insert_sql, values, NULL), n);
}

/* Insert entries: without the executor where that cannot be told apart, else by one statement. */
void
entries_insert(Entry *const *entries, int n)
{
	Store	   *store = n > 0 ? store_open(db_type(ENTRYOID), entry_column_names(), NUMBER_OF_ENTRY_COLUMNS) : NULL;

	if (store == NULL)
	{
		if (n > 0)
			insert_by_statement(entries, n);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		Datum		values[NUMBER_OF_ENTRY_COLUMNS];
		bool		nulls[NUMBER_OF_ENTRY_COLUMNS];

		entry_datums(entries[i], values, nulls);
		store_insert(store, values, nulls);
	}
	store_close(store);
}

/*
 * ledger_rows.c
 *		The rows of the ledger, as the engine reads and writes them.
 *
 * Everything is one statement for a whole batch.  Accounts that keep no lots
 * are written by a statement that does not know of lots.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "ledger_rows.h"
#include "plan.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

int
compare_accounts(const void *a, const void *b)
{
	int64		left = ((const Account *) a)->account_id;
	int64		right = ((const Account *) b)->account_id;

	return (left > right) - (left < right);
}

/* ------------------------------------------------------------------------
 * Columns as arrays
 * ------------------------------------------------------------------------ */

typedef struct Column
{
	Oid			type;
	Datum	   *values;
	bool	   *nulls;
} Column;

static void
columns_start(Column *columns, const Oid *types, int ncolumns, int rows)
{
	for (int c = 0; c < ncolumns; c++)
	{
		columns[c].type = types[c];
		columns[c].values = palloc(rows * sizeof(Datum));
		columns[c].nulls = palloc(rows * sizeof(bool));
	}
}

static Datum
column_array(const Column *column, int rows)
{
	int16		length = 8;
	bool		byval = true;
	char		align = TYPALIGN_DOUBLE;
	int			lower = 1;

	if (column->type == TEXTOID || column->type == JSONOID)
	{
		length = -1;
		byval = false;
		align = TYPALIGN_INT;
	}
	else if (column->type == INT2OID)
	{
		length = sizeof(int16);
		align = TYPALIGN_SHORT;
	}
	return PointerGetDatum(construct_md_array(column->values, column->nulls, 1, &rows, &lower,
											  column->type, length, byval, align));
}

static void
columns_write(PlanId plan, int64 merchant_id, const Column *columns, int ncolumns, int rows)
{
	Datum		values[16] = {Int64GetDatum(merchant_id)};

	Assert(ncolumns < (int) lengthof(values));
	for (int c = 0; c < ncolumns; c++)
		values[1 + c] = column_array(&columns[c], rows);
	if (plan_write(plan, values, NULL) != (uint64) rows)
		elog(ERROR, "rows of merchant " INT64_FORMAT " that were locked are gone or would be overdrawn", merchant_id);
}

/* One row of values, of which those that are infinite times are NULL. */
static void
columns_set(Column *columns, int ncolumns, int row, const Datum *values, const bool *nulls)
{
	for (int c = 0; c < ncolumns; c++)
	{
		columns[c].values[row] = values[c];
		columns[c].nulls[row] = nulls ? nulls[c] :
			columns[c].type == TIMESTAMPTZOID && TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(values[c]));
	}
}

static Datum
account_ids(const Account *accounts, int n)
{
	Column		column;
	Oid			type = INT8OID;

	columns_start(&column, &type, 1, n);
	for (int i = 0; i < n; i++)
	{
		Datum		id = Int64GetDatum(accounts[i].account_id);

		columns_set(&column, 1, i, &id, NULL);
	}
	return column_array(&column, n);
}

/* ------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------ */

static int64
int64_or(uint64 row, int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

static void
read_account(uint64 row, Account *account)
{
	bool		isnull;

	account->balance = plan_int64(row, 1);
	account->version = account->stored_version = plan_int64(row, 2);
	account->posted_at = plan_int64(row, 3);
	account->program_id = plan_int64(row, 4);
	(void) plan_datum(row, 5, &isnull);
	account->has_terms = !isnull;
	if (!account->has_terms)
		return;
	account->earned = plan_int64(row, 5);
	account->expired = plan_int64(row, 6);
	account->lots_earned = plan_int64(row, 7);
	account->lots_used = plan_int64(row, 8);
	account->next_expiry = int64_or(row, 9, DT_NOEND);
	account->last_expiry = int64_or(row, 10, DT_NOBEGIN);
}

/*
 * Lock the accounts in ascending id order: the order is what keeps two batches
 * from deadlocking.  Rows come back in that order too, so one pass fills in
 * what was found.
 */
void
rows_lock_accounts(int64 merchant_id, Account *accounts, int n)
{
	Datum		values[] = {Int64GetDatum(merchant_id), account_ids(accounts, n)};
	uint64		found = plan_write(PLAN_ACCOUNTS_LOCK, values, NULL);
	int			next = 0;

	for (int i = 0; i < n; i++)
		accounts[i].stored_version = accounts[i].version = -1;
	for (uint64 row = 0; row < found; row++)
	{
		int64		account_id = plan_int64(row, 0);

		while (accounts[next].account_id != account_id)
			next++;
		read_account(row, &accounts[next]);
	}
}

/*
 * For the accounts that may have points past their date, look at the newest
 * lot that is, and at the oldest that is not: two index entries each, however
 * many lots there are.
 */
void
rows_settle_due(int64 merchant_id, Account *accounts, int n, TimestampTz now,
				void (*settle) (void *context, Account *account, Points due), void *context)
{
	Account    *due = palloc(n * sizeof(Account));
	Datum		values[3] = {Int64GetDatum(merchant_id), 0, TimestampTzGetDatum(now)};
	uint64		found;
	int			ndue = 0;

	for (int i = 0; i < n; i++)
	{
		if (accounts[i].has_terms && accounts[i].next_expiry <= now)
			due[ndue++] = accounts[i];
	}
	if (ndue == 0)
		return;
	values[1] = account_ids(due, ndue);
	found = plan_write(PLAN_LOTS_DUE, values, NULL);
	for (uint64 row = 0; row < found; row++)
	{
		Account		key = {.account_id = plan_int64(row, 0)};
		Account    *account = bsearch(&key, accounts, n, sizeof(Account), compare_accounts);
		Points		past = int64_or(row, 1, 0);

		account->next_expiry = int64_or(row, 2, DT_NOEND);
		account->changed = true;
		if (past > account->lots_used)
			settle(context, account, past - account->lots_used);
	}
}

/* When points of the program that are added now expire; DT_NOEND: never. */
TimestampTz
rows_expiry(int64 merchant_id, int64 program_id, TimestampTz now)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), TimestampTzGetDatum(now)};

	if (plan_write(PLAN_PROGRAM_EXPIRY, values, NULL) == 0)
		elog(ERROR, "program " INT64_FORMAT " is gone", program_id);
	return int64_or(0, 0, DT_NOEND);
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------ */

#define PLAIN_COLUMNS 4
#define TERMS_COLUMNS 10

static void
write_accounts(int64 merchant_id, const Account *accounts, int n, bool has_terms)
{
	Oid			points = plan_points_oid();
	Oid			types[TERMS_COLUMNS] = {INT8OID, points, INT8OID, TIMESTAMPTZOID,
		points, points, points, points, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Column		columns[TERMS_COLUMNS];
	int			ncolumns = has_terms ? TERMS_COLUMNS : PLAIN_COLUMNS;
	int			changed = 0;

	columns_start(columns, types, ncolumns, n);
	for (int i = 0; i < n; i++)
	{
		const Account *account = &accounts[i];
		Datum		row[TERMS_COLUMNS] = {
			Int64GetDatum(account->account_id),
			PointsGetDatum(account->balance),
			Int64GetDatum(account->version),
			TimestampTzGetDatum(account->posted_at),
			PointsGetDatum(account->earned),
			PointsGetDatum(account->expired),
			PointsGetDatum(account->lots_earned),
			PointsGetDatum(account->lots_used),
			TimestampTzGetDatum(account->next_expiry),
			TimestampTzGetDatum(account->last_expiry),
		};

		if (account->changed && account->has_terms == has_terms)
			columns_set(columns, ncolumns, changed++, row, NULL);
	}
	if (changed > 0)
		columns_write(has_terms ? PLAN_ACCOUNTS_UPDATE_TERMS : PLAN_ACCOUNTS_UPDATE,
					  merchant_id, columns, ncolumns, changed);
}

void
rows_update_accounts(int64 merchant_id, const Account *accounts, int n)
{
	bool		plain = false;
	bool		terms = false;

	for (int i = 0; i < n; i++)
	{
		plain |= !accounts[i].has_terms;
		terms |= accounts[i].has_terms;
	}
	if (plain)
		write_accounts(merchant_id, accounts, n, false);
	if (terms)
		write_accounts(merchant_id, accounts, n, true);
}

/* The columns of loyalty.entry after the merchant, in their order. */
#define ENTRY_COLUMNS 10

static void
entry_row(const Posting *posting, Datum *values, bool *nulls)
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
	values[9] = PointerGetDatum(posting->detail);
	nulls[9] = posting->detail == NULL;
}

void
rows_insert_entry(int64 merchant_id, const Posting *posting)
{
	Datum		values[1 + ENTRY_COLUMNS] = {Int64GetDatum(merchant_id)};
	bool		isnull[ENTRY_COLUMNS];
	char		nulls[1 + ENTRY_COLUMNS] = {' '};

	entry_row(posting, values + 1, isnull);
	for (int i = 0; i < ENTRY_COLUMNS; i++)
		nulls[1 + i] = isnull[i] ? 'n' : ' ';
	plan_post(PLAN_ENTRY_INSERT, values, nulls);
}

void
rows_insert_entries(int64 merchant_id, Posting *const *postings, int n)
{
	Oid			points = plan_points_oid();
	Oid			types[ENTRY_COLUMNS] = {INT8OID, INT8OID, points, points, TIMESTAMPTZOID, INT8OID, points,
		INT2OID, TEXTOID, JSONOID};
	Column		columns[ENTRY_COLUMNS];

	if (n == 0)
		return;
	columns_start(columns, types, ENTRY_COLUMNS, n);
	for (int i = 0; i < n; i++)
	{
		Datum		row[ENTRY_COLUMNS];
		bool		nulls[ENTRY_COLUMNS];

		entry_row(postings[i], row, nulls);
		columns_set(columns, ENTRY_COLUMNS, i, row, nulls);
	}
	columns_write(PLAN_ENTRIES_INSERT, merchant_id, columns, ENTRY_COLUMNS, n);
}

void
rows_insert_lots(int64 merchant_id, const Lot *lots, int n)
{
	Oid			types[] = {INT8OID, TIMESTAMPTZOID, plan_points_oid(), INT8OID};
	Column		columns[lengthof(types)];

	if (n == 0)
		return;
	columns_start(columns, types, lengthof(types), n);
	for (int i = 0; i < n; i++)
	{
		Datum		row[] = {
			Int64GetDatum(lots[i].account_id),
			TimestampTzGetDatum(lots[i].expires_at),
			PointsGetDatum(lots[i].cumulative),
			Int64GetDatum(lots[i].version),
		};

		columns_set(columns, lengthof(types), i, row, NULL);
	}
	columns_write(PLAN_LOTS_INSERT, merchant_id, columns, lengthof(types), n);
}

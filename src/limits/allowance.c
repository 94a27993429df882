/*
 * allowance.c
 *		The rows that say what is left of a limit.
 *
 * Each subject has one, for each way that points can go.  What a cashier or
 * member may still move is in their row, so a posting that fits takes from it
 * by one UPDATE.  What a branch may still move is in its row as far as it has
 * not been handed out to the rows of its cashiers, who then need not ask for
 * each operation.  Who has the branch's row locked hands out and takes back;
 * taking back waits for the cashiers who have posted and not committed yet.
 * What a program or an API key may still move is handed out the same way, to
 * stripes, of which a session has its own.
 *
 * What a row was given changes only when the whole is computed anew; what is
 * left of it is all that a posting changes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/attempt.h"
#include "db/columns.h"
#include "db/statement.h"
#include "limits/allowance.h"
#include "utils/builtins.h"

#define KEY_VALUES(merchant_id, counter) \
	Int64GetDatum(merchant_id), \
	Int64GetDatum((counter)->program_id), \
	BoolGetDatum((counter)->adds), \
	CStringGetTextDatum(scope_name((counter)->scope)), \
	Int16GetDatum((counter)->stripe)

/* Those of a kind, and one subject of a limit. */
#define ALLOWANCE_KIND	"merchant_id = $1 AND program_id = $2 AND adds = $3 AND scope = $4"
#define ALLOWANCE_SUBJECT ALLOWANCE_KIND " AND stripe = $5 AND subject_id = $6"

static Statement allowance_take_sql = {
	.sql = "UPDATE loyalty_internal.allowance SET points_left = points_left OPERATOR(loyalty.-) $9, operations_left = operations_left - $10"
	" WHERE " ALLOWANCE_SUBJECT
	" AND day >= $7 AND revision = $8 AND points_left OPERATOR(loyalty.>=) $9 AND operations_left >= $10",
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT2OID, INT8OID, DATEOID, INT8OID, POINTSOID, INT8OID}
};

/*
 * Check and write in one statement.  False: there is not enough, or the row is
 * not up to date.  Negative amounts are given back.
 */
bool
allowance_take(int64 merchant_id, const Counter *counter, DateADT today, int64 revision, Points points, int64 operations)
{
	Datum		values[] = {
		KEY_VALUES(merchant_id, counter),
		Int64GetDatum(counter->subject_id),
		DateADTGetDatum(today),
		Int64GetDatum(revision),
		PointsGetDatum(points),
		Int64GetDatum(operations),
	};

	/* what is given back was taken since the statement began */
	return (points < 0 || operations < 0 ? db_write(&allowance_take_sql, values, NULL) : db_post(&allowance_take_sql, values, NULL)) > 0;
}

/* What allowance_take() is asked for. */
typedef struct Taking
{
	int64		merchant_id;
	const Counter *counters;
	int			n;
	DateADT		today;
	int64		revision;
} Taking;

static bool
take_needed(void *argument)
{
	const Taking *taking = argument;

	for (int i = 0; i < taking->n; i++)
	{
		const Counter *counter = &taking->counters[i];

		if (!allowance_take(taking->merchant_id, counter, taking->today, taking->revision, counter->need.points, counter->need.operations))
			return false;
	}
	return true;
}

/*
 * Take from counters what they need, or from none: their rows are locked only if there is enough, for who has
 * that of a cashier or a stripe must not wait for that of the branch, key or program.
 */
bool
allowances_try(int64 merchant_id, const Counter *counters, int n, DateADT today, int64 revision)
{
	Taking		taking = {merchant_id, counters, n, today, revision};

	return db_attempt(take_needed, &taking);
}

/* Read a row of a counter. */
static void
read_row(uint64 row, Counter *counter)
{
	bool		isnull;

	counter->day = DatumGetDateADT(row_datum(row, "day", &isnull));
	counter->revision = row_int64(row, "revision");
	counter->drawn_from = row_int64_or(row, "drawn_from", 0);
	counter->left.points = row_int64(row, "points_left");
	counter->left.operations = row_int64(row, "operations_left");
	counter->used.points = row_int64(row, "points_given") - counter->left.points;
	counter->used.operations = row_int64(row, "operations_given") - counter->left.operations;
}

/* The columns of what is left of a limit. */
#define ALLOWANCE_SELECT \
	"SELECT subject_id, day, revision, drawn_from, points_given, operations_given, points_left, operations_left" \
	" FROM loyalty_internal.allowance WHERE "

static Statement allowance_lock_sql = {
	.sql = ALLOWANCE_SELECT ALLOWANCE_SUBJECT " FOR NO KEY UPDATE",
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT2OID, INT8OID}
};

static Statement allowances_lock_sql = {
	.sql = ALLOWANCE_SELECT ALLOWANCE_KIND " AND stripe = $5 AND subject_id = ANY ($6) ORDER BY subject_id FOR NO KEY UPDATE",
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT2OID, INT8ARRAYOID}
};

static Statement allowances_create_sql = {
	.sql = "INSERT INTO loyalty_internal.allowance (merchant_id, program_id, adds, scope, stripe, subject_id)"
	" SELECT $1, $2, $3, $4, $5, u.subject_id FROM unnest($6) u (subject_id) ORDER BY u.subject_id"
	" ON CONFLICT (merchant_id, program_id, adds, scope, subject_id, stripe) DO NOTHING",
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT2OID, INT8ARRAYOID}
};

/* Lock the rows of counters of one program, scope, stripe and way, in ascending order; missing ones are created, of no day. */
void
allowances_lock(int64 merchant_id, Counter *counters, int n)
{
	int64	   *ids = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	Datum		values[] = {KEY_VALUES(merchant_id, counters), Int64GetDatum(counters->subject_id)};
	Datum		one = values[5];

	for (int i = 0; i < n; i++)
		ids[i] = counters[i].subject_id;
	if (n > 1)
		values[5] = ids_datum(ids, n);
	while (db_write(n == 1 ? &allowance_lock_sql : &allowances_lock_sql, values, NULL) < (uint64) n)
	{
		values[5] = ids_datum(ids, n);
		db_write(&allowances_create_sql, values, NULL);
		if (n == 1)
			values[5] = one;
	}
	for (int i = 0; i < n; i++)
	{
		Assert(row_int64(i, "subject_id") == counters[i].subject_id);
		read_row(i, &counters[i]);
	}
	pfree(ids);
}

#define ALLOWANCE_DRAWN \
	ALLOWANCE_KIND " AND drawn_from = $5 AND day = $6 AND (operations_left > 0 OR points_left OPERATOR(loyalty.>) '0')"

static Statement allowances_drawn_sql = {
	.sql = "SELECT subject_id, points_left, operations_left FROM loyalty_internal.allowance WHERE " ALLOWANCE_DRAWN
	" ORDER BY subject_id, stripe FOR NO KEY UPDATE",
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8OID, DATEOID}
};

static Statement allowances_gather_sql = {
	.sql = "UPDATE loyalty_internal.allowance SET points_given = points_given OPERATOR(loyalty.-) points_left, points_left = '0',"
	" operations_given = operations_given - operations_left, operations_left = 0"
	" WHERE " ALLOWANCE_DRAWN,
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8OID, DATEOID}
};

/*
 * Take back what is left of what was handed out of a pool's row, to those of
 * a scope.  It is locked: so nobody hands out anything meanwhile.
 */
Amount
allowance_gather(int64 merchant_id, const Counter *pool, Scope drawers)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(pool->program_id),
		BoolGetDatum(pool->adds),
		CStringGetTextDatum(scope_name(drawers)),
		Int64GetDatum(pool->subject_id),
		DateADTGetDatum(pool->day),
	};
	uint64		rows = db_write(&allowances_drawn_sql, values, NULL);
	Amount		sum = {0, 0};

	for (uint64 row = 0; row < rows; row++)
	{
		sum.points += row_int64(row, "points_left");
		sum.operations += row_int64(row, "operations_left");
	}
	if (rows > 0)
		db_write(&allowances_gather_sql, values, NULL);
	return sum;
}

#define ALLOWANCE_COLUMNS 12

static Statement allowances_write_sql = {
	.sql = "UPDATE loyalty_internal.allowance a SET day = u.day, revision = u.revision, drawn_from = u.drawn_from,"
	" points_given = u.points_given, operations_given = u.operations_given,"
	" points_left = u.points_left, operations_left = u.operations_left"
	" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) u (program_id, adds, scope, stripe, subject_id, day, revision,"
	" drawn_from, points_given, operations_given, points_left, operations_left)"
	" WHERE a.merchant_id = $1 AND a.program_id = u.program_id AND a.adds = u.adds AND a.scope = u.scope"
	" AND a.subject_id = u.subject_id AND a.stripe = u.stripe",
	.params = {INT8OID, INT8ARRAYOID, BOOLARRAYOID, TEXTARRAYOID, INT2ARRAYOID, INT8ARRAYOID, DATEARRAYOID, INT8ARRAYOID,
	INT8ARRAYOID, POINTSARRAYOID, INT8ARRAYOID, POINTSARRAYOID, INT8ARRAYOID}
};

static Statement allowance_write_sql = {
	.sql = "UPDATE loyalty_internal.allowance SET day = $7, revision = $8, drawn_from = $9, points_given = $10, operations_given = $11,"
	" points_left = $12, operations_left = $13"
	" WHERE " ALLOWANCE_SUBJECT,
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT2OID, INT8OID, DATEOID, INT8OID, INT8OID, POINTSOID, INT8OID,
	POINTSOID, INT8OID}
};

/* Write the counters that have changed, all by one statement. */
void
allowances_write(int64 merchant_id, const Counter *counters, int n)
{
	Column		columns[ALLOWANCE_COLUMNS];
	int			changed = 0;

	for (int i = 0; i < n; i++)
		changed += counters[i].changed;
	if (changed == 0)
		return;
	columns_start(columns, &allowance_write_sql, ALLOWANCE_COLUMNS, changed);
	changed = 0;
	for (int i = 0; i < n; i++)
	{
		const Counter *counter = &counters[i];
		bool		nulls[ALLOWANCE_COLUMNS] = {[7] = counter->drawn_from == 0};
		Datum		row[ALLOWANCE_COLUMNS] = {
			Int64GetDatum(counter->program_id),
			BoolGetDatum(counter->adds),
			CStringGetTextDatum(scope_name(counter->scope)),
			Int16GetDatum(counter->stripe),
			Int64GetDatum(counter->subject_id),
			DateADTGetDatum(counter->day),
			Int64GetDatum(counter->revision),
			Int64GetDatum(counter->drawn_from),
			PointsGetDatum(counter->used.points + counter->left.points),
			Int64GetDatum(counter->used.operations + counter->left.operations),
			PointsGetDatum(counter->left.points),
			Int64GetDatum(counter->left.operations),
		};

		if (counter->changed)
			columns_set(columns, ALLOWANCE_COLUMNS, changed++, row, nulls);
	}
	columns_write(&allowances_write_sql, &allowance_write_sql, merchant_id, columns, ALLOWANCE_COLUMNS, changed);
}

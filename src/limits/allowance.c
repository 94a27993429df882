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
 *
 * What a row was given changes only when the whole is computed anew; what is
 * left of it is all that a posting changes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "limits/allowance.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#define KEY_VALUES(merchant_id, counter) \
	Int64GetDatum(merchant_id), \
	Int64GetDatum((counter)->program_id), \
	BoolGetDatum((counter)->adds), \
	CStringGetTextDatum(scope_name((counter)->scope))

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
	return (operations < 0 ? plan_write(PLAN_ALLOWANCE_TAKE, values, NULL) : plan_post(PLAN_ALLOWANCE_TAKE, values, NULL)) > 0;
}

/*
 * The same in a subtransaction that is undone if there is not enough.  An
 * UPDATE that had to wait and then finds that a row does not suit it any more
 * keeps the row locked; and who has the row of a cashier locked must not wait
 * for that of the branch.
 */
bool
allowance_try(int64 merchant_id, const Counter *counter, DateADT today, int64 revision, Points points, int64 operations)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool taken = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		taken = allowance_take(merchant_id, counter, today, revision, points, operations);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	if (taken)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return taken;
}

/* The columns in the order in which PLAN_ALLOWANCES_… return them. */
static void
read_row(uint64 row, Counter *counter)
{
	bool		isnull;

	counter->day = DatumGetDateADT(plan_datum(row, 1, &isnull));
	counter->revision = plan_int64(row, 2);
	counter->drawn_from = plan_int64_or(row, 3, 0);
	counter->left.points = plan_int64(row, 6);
	counter->left.operations = plan_int64(row, 7);
	counter->used.points = plan_int64(row, 4) - counter->left.points;
	counter->used.operations = plan_int64(row, 5) - counter->left.operations;
}

/* Subjects of one program and scope, one way, in ascending order; rows they have not yet are of no day. */
void
allowances_lock(int64 merchant_id, Counter *counters, int n)
{
	int64	   *ids = palloc_extended(n * sizeof(int64), MCXT_ALLOC_HUGE);
	Datum		values[] = {KEY_VALUES(merchant_id, counters), Int64GetDatum(counters->subject_id)};
	Datum		one = values[4];

	for (int i = 0; i < n; i++)
		ids[i] = counters[i].subject_id;
	if (n > 1)
		values[4] = ids_datum(ids, n);
	while (plan_write(n == 1 ? PLAN_ALLOWANCE_LOCK : PLAN_ALLOWANCES_LOCK, values, NULL) < (uint64) n)
	{
		values[4] = ids_datum(ids, n);
		plan_write(PLAN_ALLOWANCES_CREATE, values, NULL);
		if (n == 1)
			values[4] = one;
	}
	for (int i = 0; i < n; i++)
	{
		Assert(plan_int64(i, 0) == counters[i].subject_id);
		read_row(i, &counters[i]);
	}
	pfree(ids);
}

/*
 * Take back what is left of what was handed out of a branch's row, which is
 * locked: so nobody hands out anything meanwhile.
 */
Amount
allowance_gather(int64 merchant_id, const Counter *pool)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(pool->program_id),
		BoolGetDatum(pool->adds),
		Int64GetDatum(pool->subject_id),
		DateADTGetDatum(pool->day),
	};
	uint64		rows = plan_write(PLAN_ALLOWANCES_DRAWN, values, NULL);
	Amount		sum = {0, 0};

	for (uint64 row = 0; row < rows; row++)
	{
		sum.points += plan_int64(row, 1);
		sum.operations += plan_int64(row, 2);
	}
	if (rows > 0)
		plan_write(PLAN_ALLOWANCES_GATHER, values, NULL);
	return sum;
}

#define ALLOWANCE_COLUMNS 11

/* What has changed, by one statement; a single row by one that takes no arrays. */
void
allowances_write(int64 merchant_id, const Counter *counters, int n)
{
	Oid			points = plan_points_oid();
	Oid			types[ALLOWANCE_COLUMNS] = {INT8OID, BOOLOID, TEXTOID, INT8OID, DATEOID, INT8OID, INT8OID,
		points, INT8OID, points, INT8OID};
	Column		columns[ALLOWANCE_COLUMNS];
	int			changed = 0;

	for (int i = 0; i < n; i++)
		changed += counters[i].changed;
	if (changed == 0)
		return;
	columns_start(columns, types, ALLOWANCE_COLUMNS, changed);
	changed = 0;
	for (int i = 0; i < n; i++)
	{
		const Counter *counter = &counters[i];
		bool		nulls[ALLOWANCE_COLUMNS] = {[6] = counter->drawn_from == 0};
		Datum		row[ALLOWANCE_COLUMNS] = {
			Int64GetDatum(counter->program_id),
			BoolGetDatum(counter->adds),
			CStringGetTextDatum(scope_name(counter->scope)),
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
	columns_write(PLAN_ALLOWANCES_WRITE, PLAN_ALLOWANCE_WRITE, merchant_id, columns, ALLOWANCE_COLUMNS, changed);
}

/*
 * statement.c
 *		The SQL that the C code runs, prepared once per session.
 *
 * The plans live until the session ends or the extension is dropped and
 * created again: its schema then has another OID, and everything is prepared
 * anew.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "db/statement.h"
#include "executor/spi.h"
#include "plan_statements.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static SPIPlanPtr plans[PLAN_COUNT];
static Oid	schema_oid = InvalidOid;
static Oid	points_oid;
static Oid	phone_oid;
static Oid	curp_oid;
static Oid	lots_oid;
static Oid	change_oid;
static Oid	entry_oid;

static void
forget_plans(void)
{
	for (int i = 0; i < PLAN_COUNT; i++)
	{
		if (plans[i] != NULL)
			SPI_freeplan(plans[i]);
		plans[i] = NULL;
	}
}

/*
 * Connect, and see what this transaction has done so far: an operation may be
 * called several times in one statement, whose own snapshot would not show it
 * its predecessors' work.  A new snapshot would show what others have just
 * committed too, but taking one needs the lock that they commit under.
 */
void
plan_begin(void)
{
	Oid			schema = get_namespace_oid("loyalty", false);

	SPI_connect();
	if (schema != schema_oid)
	{
		forget_plans();
		points_oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									 CStringGetDatum("points"), ObjectIdGetDatum(schema));
		phone_oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									CStringGetDatum("phone"), ObjectIdGetDatum(schema));
		curp_oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
								   CStringGetDatum("curp"), ObjectIdGetDatum(schema));
		lots_oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
								   CStringGetDatum("lots"), ObjectIdGetDatum(schema));
		change_oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									  CStringGetDatum("account_change"), ObjectIdGetDatum(schema));
		entry_oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									CStringGetDatum("entry"), ObjectIdGetDatum(schema));
		schema_oid = schema;
	}
	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
}

void
plan_end(void)
{
	PopActiveSnapshot();
	SPI_finish();
}

Oid
plan_points_oid(void)
{
	return points_oid;
}

Oid
plan_lots_oid(void)
{
	return lots_oid;
}

Oid
plan_change_oid(void)
{
	return change_oid;
}

Oid
plan_entry_oid(void)
{
	return entry_oid;
}

static Oid
param_type(Oid param)
{
	if (param == POINTS)
		return points_oid;
	if (param == POINTSARRAY)
		return get_array_type(points_oid);
	if (param == LOTS)
		return lots_oid;
	if (param == LOTSARRAY)
		return get_array_type(lots_oid);
	if (param == CHANGEARRAY)
		return get_array_type(change_oid);
	if (param == ENTRYARRAY)
		return get_array_type(entry_oid);
	if (param == PHONE)
		return phone_oid;
	if (param == CURP)
		return curp_oid;
	return param;
}

static SPIPlanPtr
plan_prepared(PlanId id)
{
	const Statement *statement = &plan_statements[id];
	Oid			types[MAX_PARAMS];
	int			n = 0;

	if (plans[id] != NULL)
		return plans[id];

	while (n < MAX_PARAMS && OidIsValid(statement->params[n]))
	{
		types[n] = param_type(statement->params[n]);
		n++;
	}
	/* no cursor goes back: the last pass of a sort is then made while its rows are read */
	plans[id] = SPI_prepare_cursor(statement->sql, n, types, CURSOR_OPT_NO_SCROLL);
	if (plans[id] == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
	SPI_keepplan(plans[id]);
	return plans[id];
}

/* With snapshot InvalidSnapshot the statement takes one of its own. */
static uint64
execute(PlanId id, Datum *values, const char *nulls, Snapshot snapshot, bool read_only)
{
	SPIPlanPtr	plan = plan_prepared(id);
	int			result;

	/* only the newest result is looked at; an operation may run many statements */
	if (SPI_tuptable != NULL)
		SPI_freetuptable(SPI_tuptable);
	result = SPI_execute_snapshot(plan, values, nulls, snapshot, InvalidSnapshot, read_only, true, 0);
	if (result != plan_statements[id].expected)
		elog(ERROR, "\"%s\" returned %s", plan_statements[id].sql, SPI_result_code_string(result));
	return SPI_processed;
}

uint64
plan_read(PlanId id, Datum *values, const char *nulls)
{
	return execute(id, values, nulls, GetActiveSnapshot(), true);
}

uint64
plan_write(PlanId id, Datum *values, const char *nulls)
{
	return execute(id, values, nulls, InvalidSnapshot, false);
}

uint64
plan_post(PlanId id, Datum *values, const char *nulls)
{
	return execute(id, values, nulls, GetActiveSnapshot(), false);
}

/* For results that may not fit into memory; the caller fetches and closes. */
Portal
plan_cursor(PlanId id, Datum *values)
{
	return SPI_cursor_open(NULL, plan_prepared(id), values, NULL, true);
}

Datum
plan_datum(uint64 row, int column, bool *isnull)
{
	Assert(row < SPI_processed);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, isnull);
}

/* All columns of a row. */
void
plan_row(uint64 row, Datum *values, bool *nulls)
{
	Assert(row < SPI_processed);
	heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
}

int64
plan_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);

	Assert(!isnull);
	return DatumGetInt64(value);
}

/* The same of a column that may be NULL. */
int64
plan_int64_or(uint64 row, int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

bool
plan_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* xmin and ctid, in this order. */
RowVersion
plan_version(uint64 row, int column)
{
	bool		isnull;

	return (RowVersion) {
		.xmin = DatumGetTransactionId(plan_datum(row, column, &isnull)),
		.tid = *(ItemPointer) DatumGetPointer(plan_datum(row, column + 1, &isnull)),
	};
}

bool
plan_version_equal(const RowVersion *left, const RowVersion *right)
{
	return left->xmin == right->xmin && ItemPointerEquals(&((RowVersion *) left)->tid, &((RowVersion *) right)->tid);
}

/* A palloc'd copy of a text, NULL for NULL. */
char *
plan_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = plan_datum(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

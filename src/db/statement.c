/*
 * statement.c
 *		The SQL that the C code runs: how it is prepared, kept and read.
 *
 * The plans live until the session ends or the extension is updated, or dropped
 * and created again: its schema then has another OID.  Then everything is
 * prepared anew, but not in the middle of an operation.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "db/planning.h"
#include "db/statement.h"
#include "db/version.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static const struct
{
	const char *schema;
	const char *name;
}			own_types[OWN_TYPES] = {
	[POINTSOID] = {"loyalty", "points"},
	[PHONEOID] = {"loyalty", "phone"},
	[CURPOID] = {"loyalty", "curp"},
	[LOTSOID] = {"loyalty", "lots"},
	[ACCOUNTCHANGEOID] = {"loyalty_internal", "account_change"},
	[ENTRYOID] = {"loyalty", "entry"},
	[POSTINGOID] = {"loyalty", "posting"},
};

static Oid	schema_oid = InvalidOid;
static Oid	type_oids[OWN_TYPES];
static Statement *newest = NULL;	/* of those that are prepared */

/* The newest result, and its row that is looked at, whose columns are all taken apart at once. */
static Statement *running = NULL;
static TupleDesc running_columns;
static RowColumns looked_at;
static uint64 looked_at_row;

static void
forget_plans(void)
{
	for (Statement *statement = newest; statement != NULL; statement = statement->prepared)
	{
		SPI_freeplan(statement->plan);
		statement->plan = NULL;
		lookup_forget(&statement->lookup);
		if (statement->columns != NULL)
			pfree(statement->columns);
		statement->columns = NULL;
	}
	newest = NULL;
}

static void
find_types(void)
{
	for (int type = 1; type < OWN_TYPES; type++)
	{
		if (own_types[type].name != NULL)
			type_oids[type] = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(own_types[type].name),
											  ObjectIdGetDatum(get_namespace_oid(own_types[type].schema, false)));
		else
			type_oids[type] = get_array_type(type_oids[type - 1]);
	}
}

/* Of the operation that no other one is part of; NULL: there is none. */
static MemoryContext operation_context = NULL;

static void
operation_ended(void *argument pg_attribute_unused())
{
	operation_context = NULL;
}

/* What is allocated in it is there until the operation ends, and all that it calls. */
MemoryContext
db_operation_context(void)
{
	static MemoryContextCallback ended;

	if (operation_context == NULL)
	{
		ended.func = operation_ended;
		MemoryContextRegisterResetCallback(CurrentMemoryContext, &ended);
		operation_context = CurrentMemoryContext;
	}
	return operation_context;
}

/*
 * Connect, and see what this transaction has done so far: an operation may be
 * called several times in one statement, whose own snapshot would not show it
 * its predecessors' work.  A new snapshot would show what others have just
 * committed too, but taking one needs the lock that they commit under.
 */
void
db_begin(void)
{
	Oid			schema = get_namespace_oid("loyalty", false);
	bool		is_another = unlikely(!version_is_checked) && operation_context == NULL && version_check();

	SPI_connect();
	(void) db_operation_context();
	if (schema != schema_oid || is_another)
	{
		forget_plans();
		find_types();
		schema_oid = schema;
	}
	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
}

/* Disconnect; all that the operation has allocated is gone. */
void
db_end(void)
{
	PopActiveSnapshot();
	SPI_finish();
}

/* The OID of a type, which may be one of the extension's. */
Oid
db_type(Oid type)
{
	return type < OWN_TYPES ? type_oids[type] : type;
}

static SPIPlanPtr
prepared(Statement *statement)
{
	Oid			types[MAX_PARAMS];
	SPIPlanPtr	plan;
	int			n = 0;

	if (statement->plan != NULL)
		return statement->plan;

	for (; n < MAX_PARAMS && OidIsValid(statement->params[n]); n++)
		types[n] = db_type(statement->params[n]);
	/* no cursor goes back: the last pass of a sort is then made while its rows are read */
	plan = SPI_prepare_cursor(statement->sql, n, types, statement->reads_all ? CURSOR_OPT_NO_SCROLL :
							  CURSOR_OPT_NO_SCROLL | CURSOR_OPT_GENERIC_PLAN | CURSOR_OPT_FOR_LARGE_TABLES);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	statement->plan = plan;
	statement->prepared = newest;
	newest = statement;
	return plan;
}

/* By the key, if the plan is to do so.  What it finds is looked at already. */
static bool
look_up(Statement *statement, Datum *values, const char *nulls, Snapshot snapshot, uint64 *rows)
{
	bool		own = snapshot == InvalidSnapshot;
	bool		done;

	if (own)
	{
		CommandCounterIncrement();
		snapshot = RegisterSnapshot(GetTransactionSnapshot());
	}
	done = lookup_run(&statement->lookup, statement->plan, values, nulls, snapshot, looked_at.values, looked_at.nulls, rows);
	if (own)
		UnregisterSnapshot(snapshot);
	if (done)
	{
		running = statement;
		running_columns = lookup_columns(statement->lookup);
		looked_at_row = 0;
	}
	return done;
}

/* With snapshot InvalidSnapshot the statement takes one of its own. */
static uint64
execute(Statement *statement, Datum *values, const char *nulls, Snapshot snapshot, bool read_only)
{
	SPIPlanPtr	plan = prepared(statement);
	uint64		rows;
	int			result;

	if (statement->by_key && lookup_enabled && look_up(statement, values, nulls, snapshot, &rows))
		return rows;
	/* only the newest result is looked at; an operation may run many statements */
	if (SPI_tuptable != NULL)
		SPI_freetuptable(SPI_tuptable);
	result = SPI_execute_snapshot(plan, values, nulls, snapshot, InvalidSnapshot, read_only, true, 0);
	if (result < 0)
		elog(ERROR, "\"%s\" returned %s", statement->sql, SPI_result_code_string(result));
	running = statement;
	running_columns = SPI_tuptable == NULL ? NULL : SPI_tuptable->tupdesc;
	looked_at_row = PG_UINT64_MAX;
	return SPI_processed;
}

/* Run a statement on what the operation's snapshot shows; returns the number of rows. */
uint64
db_read(Statement *statement, Datum *values, const char *nulls)
{
	return execute(statement, values, nulls, GetActiveSnapshot(), true);
}

/* Run a statement on the newest committed rows; returns how many it has read or written. */
uint64
db_write(Statement *statement, Datum *values, const char *nulls)
{
	return execute(statement, values, nulls, InvalidSnapshot, false);
}

/* Run a statement that writes under the operation's snapshot; returns how many rows it has written. */
uint64
db_post(Statement *statement, Datum *values, const char *nulls)
{
	return execute(statement, values, nulls, GetActiveSnapshot(), false);
}

/* For results that may not fit into memory; the caller fetches and closes. */
Portal
db_cursor(Statement *statement, Datum *values)
{
	return SPI_cursor_open(NULL, prepared(statement), values, NULL, true);
}

static int
find_column(Statement *statement, TupleDesc result, const char *name)
{
	if (statement->columns == NULL)
	{
		statement->columns = MemoryContextAllocZero(TopMemoryContext, result->natts * sizeof(char *));
		statement->ncolumns = result->natts;
	}
	for (int i = 0; i < statement->ncolumns; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(result, i)->attname), name) != 0)
			continue;
		statement->columns[i] = name;
		return i;
	}
	elog(ERROR, "\"%s\" has no column \"%s\"", statement->sql, name);
}

/*
 * Which column of the result has this name.  Names are compared once: then the
 * address of the name is known.  Mostly columns are read in their order.
 */
static int
column_number(Statement *statement, TupleDesc result, const char *name)
{
	int			n = statement->columns == NULL ? 0 : statement->ncolumns;
	int			column = statement->next;

	if (column >= n || statement->columns[column] != name)
	{
		column = 0;
		while (column < n && statement->columns[column] != name)
			column++;
		if (column == n)
			column = find_column(statement, result, name);
	}
	statement->next = column + 1;
	return column;
}

/* All columns of a row at once: one by one, each would go through those before it. */
void
db_take_apart(HeapTuple row, TupleDesc result, RowColumns *columns)
{
	if (result->natts > MAX_RESULT_COLUMNS)
		elog(ERROR, "a row has %d columns", result->natts);
	heap_deform_tuple(row, result, columns->values, columns->nulls);
}

Datum
db_column(Statement *statement, TupleDesc result, const RowColumns *columns, const char *name, bool *isnull)
{
	int			number = column_number(statement, result, name);

	*isnull = columns->nulls[number];
	return columns->values[number];
}

Datum
db_row_datum(uint64 row, const char *name, bool *isnull)
{
	Assert(row == looked_at_row || row < SPI_processed);
	if (row != looked_at_row)
		db_take_apart(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, &looked_at);
	looked_at_row = row;
	return db_column(running, running_columns, &looked_at, name, isnull);
}

/* Whether a column is not NULL. */
bool
db_row_has(uint64 row, const char *name)
{
	bool		isnull;

	(void) db_row_datum(row, name, &isnull);
	return !isnull;
}

/* Of every integer type: a Datum holds a smaller one with its sign. */
int64
db_row_int64(uint64 row, const char *name)
{
	bool		isnull;
	Datum		value = db_row_datum(row, name, &isnull);

	Assert(!isnull);
	return DatumGetInt64(value);
}

/* The same of a column that may be NULL. */
int64
db_row_int64_or(uint64 row, const char *name, int64 otherwise)
{
	bool		isnull;
	Datum		value = db_row_datum(row, name, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

/* A boolean, false for NULL. */
bool
db_row_bool(uint64 row, const char *name)
{
	bool		isnull;
	Datum		value = db_row_datum(row, name, &isnull);

	return !isnull && DatumGetBool(value);
}

/* A palloc'd copy of a text, NULL for NULL. */
char *
db_row_text(uint64 row, const char *name)
{
	bool		isnull;
	Datum		value = db_row_datum(row, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * columns.c
 *		Rows as arrays, to write many by one statement: one for each column, or
 *		one of rows of a table.
 *
 * An array for each column is made into a set of its own, and the sets are put
 * side by side row by row: that does for a few columns.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "db/columns.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* Make room for so many rows in each column; their types are those of the parameters after the merchant's. */
void
columns_start(Column *columns, const Statement *one, int ncolumns, int rows)
{
	for (int c = 0; c < ncolumns; c++)
	{
		columns[c].type = db_type(one->params[1 + c]);
		columns[c].values = palloc_extended(rows * sizeof(Datum), MCXT_ALLOC_HUGE);
		columns[c].nulls = palloc_extended(rows * sizeof(bool), MCXT_ALLOC_HUGE);
		columns[c].repeats = false;
	}
}

static Datum
array_with_nulls(Datum *values, bool *nulls, int n, Oid type)
{
	int			lower = 1;
	int16		length;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &length, &byval, &align);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type, length, byval, align));
}

Datum
array_datum(Datum *values, int n, Oid type)
{
	return array_with_nulls(values, NULL, n, type);
}

Datum
ids_datum(const int64 *ids, int n)
{
	Datum	   *values = palloc_extended(Max(n, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		array;

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(ids[i]);
	array = array_datum(values, n, INT8OID);
	pfree(values);
	return array;
}

static bool
column_is_empty(const Column *column, int rows)
{
	for (int i = 0; i < rows; i++)
	{
		if (!column->nulls[i])
			return false;
	}
	return true;
}

/* Begin an array of rows of a composite type, of which these columns have values. */
void
rows_start(RowArray *array, Oid type, const char *const *names, int ncolumns, int rows)
{
	Assert(ncolumns <= (int) lengthof(array->attributes));
	array->type = type;
	array->descriptor = lookup_rowtype_tupdesc(type, -1);
	array->ncolumns = ncolumns;
	for (int c = 0; c < ncolumns; c++)
		array->attributes[c] = SPI_fnumber(array->descriptor, names[c]);
	array->rows = palloc_extended(rows * sizeof(Datum), MCXT_ALLOC_HUGE);
	array->n = 0;
}

/* Add a row, which has the values in the order of the names. */
void
rows_add(RowArray *array, const Datum *values, const bool *nulls)
{
	Datum		row[MaxTupleAttributeNumber];
	bool		isnull[MaxTupleAttributeNumber];

	memset(isnull, true, array->descriptor->natts * sizeof(bool));
	for (int c = 0; c < array->ncolumns; c++)
	{
		row[array->attributes[c] - 1] = values[c];
		isnull[array->attributes[c] - 1] = nulls[c];
	}
	array->rows[array->n++] = HeapTupleGetDatum(heap_form_tuple(array->descriptor, row, isnull));
}

Datum
rows_end(RowArray *array)
{
	ReleaseTupleDesc(array->descriptor);
	return array_datum(array->rows, array->n, array->type);
}

/* One row of values, of which those that are infinite times are NULL. */
void
columns_set(Column *columns, int ncolumns, int row, const Datum *values, const bool *nulls)
{
	for (int c = 0; c < ncolumns; c++)
	{
		columns[c].values[row] = values[c];
		columns[c].nulls[row] = nulls ? nulls[c] :
			columns[c].type == TIMESTAMPTZOID && TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(values[c]));
	}
}

/* How long an array the column needs: none if it is all NULL, one if it is all the same. */
static int
column_length(const Column *column, int rows)
{
	if (column_is_empty(column, rows))
		return 0;
	for (int i = 1; i < rows; i++)
	{
		if (!column->repeats || column->values[i] != column->values[0])
			return rows;
	}
	return 1;
}

/*
 * Each array becomes a set of rows of its own, which the statement then puts
 * side by side.  So arrays are as short as can be, and a single row is written
 * by a statement that takes none.
 */
void
columns_write(Statement *many, Statement *one, int64 merchant_id, const Column *columns, int ncolumns, int rows)
{
	Datum		values[24] = {Int64GetDatum(merchant_id)};
	char		nulls[24] = {' '};

	Assert(ncolumns < (int) lengthof(values));
	for (int c = 0; c < ncolumns; c++)
	{
		int			length = column_length(&columns[c], rows);

		nulls[1 + c] = length == 0 ? 'n' : ' ';
		if (length > 0)
			values[1 + c] = rows == 1 ? columns[c].values[0] : array_with_nulls(columns[c].values, columns[c].nulls, length, columns[c].type);
	}
	if (db_write(rows == 1 ? one : many, values, nulls) != (uint64) rows)
		elog(ERROR, "rows of merchant " INT64_FORMAT " that were locked are gone or would be overdrawn", merchant_id);
}

/*
 * columns.h
 *		Rows as arrays, to write many by one statement: one for each column, or
 *		one of rows of a table.
 */
#ifndef LOYALTY_COLUMNS_H
#define LOYALTY_COLUMNS_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "db/statement.h"

typedef struct Column
{
	Oid			type;
	Datum	   *values;
	bool	   *nulls;
	bool		repeats;		/* the statement takes one value for all rows too */
} Column;

/* Rows of a table, of which some columns have values. */
typedef struct RowArray
{
	Oid			type;
	TupleDesc	descriptor;
	int			ncolumns;
	int			attributes[24];
	Datum	   *rows;
	int			n;
} RowArray;

extern void rows_start(RowArray *array, Oid type, const char *const *names, int ncolumns, int rows);
extern void rows_add(RowArray *array, const Datum *values, const bool *nulls);
extern Datum rows_end(RowArray *array);

extern Datum array_datum(Datum *values, int n, Oid type);
extern Datum ids_datum(const int64 *ids, int n);
extern void columns_start(Column *columns, const Statement *one, int ncolumns, int rows);
extern void columns_set(Column *columns, int ncolumns, int row, const Datum *values, const bool *nulls);
extern void columns_write(Statement *many, Statement *one, int64 merchant_id, const Column *columns, int ncolumns, int rows);

#endif

/*
 * columns.h
 *		Rows as arrays, one for each column, to write many by one statement.
 */
#ifndef LOYALTY_COLUMNS_H
#define LOYALTY_COLUMNS_H

#include "postgres.h"
#include "plan.h"

typedef struct Column
{
	Oid			type;
	Datum	   *values;
	bool	   *nulls;
	bool		repeats;		/* the statement takes one value for all rows too */
} Column;

extern Datum array_datum(Datum *values, int n, Oid type);
extern Datum ids_datum(const int64 *ids, int n);
extern void columns_start(Column *columns, const Oid *types, int ncolumns, int rows);
extern void columns_set(Column *columns, int ncolumns, int row, const Datum *values, const bool *nulls);
extern void columns_write(PlanId many, PlanId one, int64 merchant_id, const Column *columns, int ncolumns, int rows);

#endif

/*
 * statement.h
 *		The SQL that the C code runs: how it is prepared, kept and read.
 *
 * Each statement stands beside the code that reads it, as a static Statement.
 * It is prepared when it first runs and kept until the session ends.
 *
 * Every function below works between db_begin() and db_end().  db_begin()
 * connects to SPI; the operation's snapshot is that of the statement it is
 * part of, and what this transaction has done since.  db_read() sees what that
 * snapshot sees, and db_write() the newest committed rows, as most statements
 * that lock or write must.  db_post() writes under the operation's snapshot:
 * for statements that only insert, or find one row by its key, which they
 * follow to its newest version anyway.
 */
#ifndef LOYALTY_STATEMENT_H
#define LOYALTY_STATEMENT_H

#include "postgres.h"
#include "catalog/pg_type.h"
#include "db/lookup.h"
#include "executor/spi.h"
#include "utils/portal.h"

#define MAX_PARAMS 24
#define MAX_RESULT_COLUMNS 48

/*
 * These stand for the extension's own types, whose OIDs differ between
 * databases.  The type of arrays comes after that of their elements.
 */
enum
{
	POINTSOID = 1,
	POINTSARRAYOID,
	PHONEOID,
	PHONEARRAYOID,
	CURPOID,
	CURPARRAYOID,
	LOTSOID,
	LOTSARRAYOID,
	ACCOUNTCHANGEOID,
	ACCOUNTCHANGEARRAYOID,
	ENTRYOID,
	ENTRYARRAYOID,
	POSTINGOID,
	POSTINGARRAYOID,
	OWN_TYPES
};

/*
 * The statement qualifies every name, keeps to one table where it is on the
 * posting path, and filters by the merchant at its top level.  An array that is
 * joined is written (SELECT $n): so the planner does not look into it, and what
 * is prepared once is good for any.
 */
typedef struct Statement
{
	const char *sql;
	Oid			params[MAX_PARAMS];
	bool		by_key;			/* finds one row at most by a unique key, without the executor where the plan allows
								 * it */
	bool		reads_all;		/* of what a merchant has: planned by what is known of the tables, as others are not */

	/* What the session keeps of it. */
	SPIPlanPtr	plan;
	Lookup	   *lookup;			/* of one that finds a row by its key; NULL: not yet */
	const char **columns;		/* of the result: the names by which they were read; NULL: not yet */
	int			ncolumns;
	int			next;			/* the column after the one that was read last */
	struct Statement *prepared; /* the one that was prepared before this one */
} Statement;

extern void db_begin(void);
extern MemoryContext db_operation_context(void);
extern void db_end(void);
extern uint64 db_read(Statement *statement, Datum *values, const char *nulls);
extern uint64 db_write(Statement *statement, Datum *values, const char *nulls);
extern uint64 db_post(Statement *statement, Datum *values, const char *nulls);
extern Portal db_cursor(Statement *statement, Datum *values);
extern Oid	db_type(Oid type);

/* The columns of one row of a result. */
typedef struct RowColumns
{
	Datum		values[MAX_RESULT_COLUMNS];
	bool		nulls[MAX_RESULT_COLUMNS];
} RowColumns;

extern void db_take_apart(HeapTuple row, TupleDesc result, RowColumns *columns);
extern Datum db_column(Statement *statement, TupleDesc result, const RowColumns *columns, const char *name, bool *isnull);

/*
 * One column of one row of the newest result, which lives until the next
 * statement.  Its name is a literal: the statement knows it by its address.
 */
#define row_datum(row, name, isnull)	db_row_datum(row, "" name, isnull)
#define row_has(row, name)				db_row_has(row, "" name)
#define row_int64(row, name)			db_row_int64(row, "" name)
#define row_int64_or(row, name, otherwise) db_row_int64_or(row, "" name, otherwise)
#define row_bool(row, name)				db_row_bool(row, "" name)
#define row_text(row, name)				db_row_text(row, "" name)

extern Datum db_row_datum(uint64 row, const char *name, bool *isnull);
extern bool db_row_has(uint64 row, const char *name);
extern int64 db_row_int64(uint64 row, const char *name);
extern int64 db_row_int64_or(uint64 row, const char *name, int64 otherwise);
extern bool db_row_bool(uint64 row, const char *name);
extern char *db_row_text(uint64 row, const char *name);

#endif

/*
 * lookup.h
 *		A statement that finds one row by its key, without the executor.
 */
#ifndef LOYALTY_LOOKUP_H
#define LOYALTY_LOOKUP_H

#include "postgres.h"
#include "executor/spi.h"

/* What is kept of a statement's plan; NULL: nothing yet. */
typedef struct Lookup Lookup;

extern bool lookup_enabled;		/* loyalty.enable_lookup */

extern bool lookup_run(Lookup **lookup, SPIPlanPtr prepared, Datum *values, const char *nulls, Snapshot snapshot, Datum *columns, bool *isnull, uint64 *rows);
extern TupleDesc lookup_columns(const Lookup *lookup);
extern void lookup_forget(Lookup **lookup);

#endif

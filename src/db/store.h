/*
 * store.h
 *		Rows that are added to a table without planning a statement for it.
 */
#ifndef LOYALTY_STORE_H
#define LOYALTY_STORE_H

#include "postgres.h"

typedef struct Store Store;

extern Store *store_open(Oid row_type, const char *const *names, int ncolumns);
extern void store_insert(Store *store, const Datum *values, const bool *nulls);
extern void store_close(Store *store);

#endif

/*
 * table.h
 *		Hash tables in memory.
 */
#ifndef LOYALTY_TABLE_H
#define LOYALTY_TABLE_H

#include "postgres.h"
#include "utils/hsearch.h"

extern HTAB *table_create(const char *name, long size, Size key_size, Size entry_size, MemoryContext context);

#endif

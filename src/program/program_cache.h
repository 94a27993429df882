/*
 * program_cache.h
 *		What a session remembers of programs.
 */
#ifndef LOYALTY_KNOWN_H
#define LOYALTY_KNOWN_H

#include "postgres.h"
#include "utils/hsearch.h"

typedef struct Known
{
	const char *name;
	Size		entry_size;		/* of an entry, which begins with the program's id */
	HTAB	   *entries;
	MemoryContext context;		/* for what entries point to */
} Known;

extern void *known_entry(Known *known, int64 program_id);

#endif

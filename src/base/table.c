/*
 * table.c
 *		Hash tables in memory, by keys that clients may choose.
 *
 * The server's own hash of a key is the same everywhere: whoever chooses keys can
 * choose such as have one hash, and each of them is compared with all before it.
 * Here the hash begins with a number that each session draws.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/table.h"
#include "common/hashfn.h"

static uint64 seed = 0;

static uint32
seeded_hash(const void *key, Size size)
{
	return (uint32) hash_bytes_extended(key, (int) size, seed);
}

/* A table whose keys are compared by their bytes. */
HTAB *
table_create(const char *name, long size, Size key_size, Size entry_size, MemoryContext context)
{
	HASHCTL		control = {.keysize = key_size,.entrysize = entry_size,.hash = seeded_hash,.hcxt = context};

	while (seed == 0)
	{
		if (!pg_strong_random(&seed, sizeof(seed)))
			raise_error(ERR_INTERNAL_ERROR);
	}
	return hash_create(name, size, &control, HASH_ELEM | HASH_FUNCTION | HASH_CONTEXT);
}

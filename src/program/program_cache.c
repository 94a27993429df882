/*
 * program_cache.c
 *		What a session remembers of programs.
 *
 * Whoever remembers something also remembers which version it was, and reads it
 * again when it meets another.
 */
#include "postgres.h"

#include "program/program_cache.h"
#include "utils/memutils.h"

/* Of so many programs; with one more everything is forgotten. */
#define MAX_KNOWN 64

static void
start(Known *known)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = known->entry_size};

	known->context = AllocSetContextCreate(CacheMemoryContext, "known programs", ALLOCSET_DEFAULT_SIZES);
	control.hcxt = known->context;
	known->entries = hash_create(known->name, MAX_KNOWN, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* The program's entry; a new one is all zeros but for its key.  Any call may forget all others. */
void *
known_entry(Known *known, int64 program_id)
{
	void	   *entry = known->entries == NULL ? NULL : hash_search(known->entries, &program_id, HASH_FIND, NULL);

	if (entry != NULL)
		return entry;
	if (known->entries != NULL && hash_get_num_entries(known->entries) >= MAX_KNOWN)
	{
		known->entries = NULL;
		MemoryContextDelete(known->context);
	}
	if (known->entries == NULL)
		start(known);
	entry = hash_search(known->entries, &program_id, HASH_ENTER, NULL);
	memset(entry, 0, known->entry_size);
	memcpy(entry, &program_id, sizeof(int64));
	return entry;
}

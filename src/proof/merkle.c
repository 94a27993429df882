/*
 * merkle.c
 *		The tree of hashes over the newest entries of all accounts.
 *
 * Leaves, nodes and what is published start with different bytes, so that none
 * can be taken for another.  Integers have the high byte first.
 */
#include "postgres.h"

#include "base/errors.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "proof/merkle.h"

#define LEAF		0
#define NODE		1
#define PUBLISHED	2

void
merkle_begin(Merkle *merkle)
{
	merkle->context = pg_cryptohash_create(PG_SHA256);
	if (merkle->context == NULL)
		raise_error(ERR_INTERNAL_ERROR);
}

void
merkle_end(Merkle *merkle)
{
	pg_cryptohash_free(merkle->context);
}

/* One byte, some integers and some bytes. */
static Digest
hash_of(Merkle *merkle, uint8 kind, const int64 *numbers, int n, const void *bytes, size_t length)
{
	Digest		hash;
	uint64		integers[8];

	Assert(n <= (int) lengthof(integers));
	for (int i = 0; i < n; i++)
		integers[i] = pg_hton64(numbers[i]);
	if (pg_cryptohash_init(merkle->context) < 0 ||
		pg_cryptohash_update(merkle->context, &kind, 1) < 0 ||
		pg_cryptohash_update(merkle->context, (const uint8 *) integers, n * sizeof(uint64)) < 0 ||
		pg_cryptohash_update(merkle->context, bytes, length) < 0 ||
		pg_cryptohash_final(merkle->context, hash.bytes, sizeof(hash.bytes)) < 0)
		raise_error(ERR_INTERNAL_ERROR);
	return hash;
}

Digest
merkle_leaf(Merkle *merkle, const Head *head)
{
	int64		numbers[] = {head->merchant_id, head->account_id, head->entry_id, head->balance, head->posted_at};

	return hash_of(merkle, LEAF, numbers, lengthof(numbers), VARDATA_ANY(head->hash), VARSIZE_ANY_EXHDR(head->hash));
}

Digest
merkle_node(Merkle *merkle, const Digest *left, const Digest *right)
{
	Digest		both[] = {*left, *right};

	return hash_of(merkle, NODE, NULL, 0, both, sizeof(both));
}

Digest
merkle_published(Merkle *merkle, const Root *root, const Digest *top)
{
	int64		numbers[] = {root->merchant_id, root->root_id, root->made_at, root->accounts};

	return hash_of(merkle, PUBLISHED, numbers, lengthof(numbers), top, sizeof(Digest));
}

Digest
merkle_nothing(Merkle *merkle)
{
	Digest		hash;

	if (pg_cryptohash_init(merkle->context) < 0 ||
		pg_cryptohash_final(merkle->context, hash.bytes, sizeof(hash.bytes)) < 0)
		raise_error(ERR_INTERNAL_ERROR);
	return hash;
}

int
merkle_up(Merkle *merkle, Digest *nodes, int n)
{
	for (int i = 0; i < n / 2; i++)
		nodes[i] = merkle_node(merkle, &nodes[2 * i], &nodes[2 * i + 1]);
	if (n % 2 == 1)
		nodes[n / 2] = nodes[n - 1];
	return (n + 1) / 2;
}

bool
same_digest(const Digest *a, const Digest *b)
{
	return memcmp(a, b, sizeof(Digest)) == 0;
}

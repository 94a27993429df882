/*
 * merkle.c
 *		The Merkle tree over the newest entries of all accounts.
 *
 * What is hashed for leaves, nodes and published hashes starts with different
 * bytes, so that none can be taken for another.  Integers have the high byte
 * first.
 */
#include "postgres.h"

#include "base/errors.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "proof/merkle.h"

#define LEAF		0
#define NODE		1
#define PUBLISHED	2

/* Start hashing; merkle_end() frees what it takes. */
void
merkle_begin(Merkle *merkle)
{
	merkle->context = pg_cryptohash_create(PG_SHA256);
	if (merkle->context == NULL)
		raise_error(ERR_INTERNAL_ERROR);
}

/* Free what merkle_begin() has allocated. */
void
merkle_end(Merkle *merkle)
{
	pg_cryptohash_free(merkle->context);
}

/* The hash of one byte, some integers and some bytes. */
static Digest
digest(Merkle *merkle, uint8 kind, const int64 *numbers, int n, const void *bytes, size_t length)
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

/* The hash of a leaf. */
Digest
merkle_leaf(Merkle *merkle, const Head *head)
{
	int64		numbers[] = {head->merchant_id, head->account_id, head->entry_id, head->balance, head->posted_at};

	return digest(merkle, LEAF, numbers, lengthof(numbers), VARDATA_ANY(head->hash), VARSIZE_ANY_EXHDR(head->hash));
}

/* The hash of a node, from the two below it. */
Digest
merkle_node(Merkle *merkle, const Digest *left, const Digest *right)
{
	Digest		both[] = {*left, *right};

	return digest(merkle, NODE, NULL, 0, both, sizeof(both));
}

/* The hash that is published for a tree with this top. */
Digest
merkle_published(Merkle *merkle, const Root *root, const Digest *top)
{
	int64		numbers[] = {root->merchant_id, root->root_id, root->made_at, root->accounts};

	return digest(merkle, PUBLISHED, numbers, lengthof(numbers), top, sizeof(Digest));
}

/* The top of a tree without leaves. */
Digest
merkle_nothing(Merkle *merkle)
{
	Digest		hash;

	if (pg_cryptohash_init(merkle->context) < 0 ||
		pg_cryptohash_final(merkle->context, hash.bytes, sizeof(hash.bytes)) < 0)
		raise_error(ERR_INTERNAL_ERROR);
	return hash;
}

/* Replace the nodes of one level by those above it; returns how many there are. */
int
merkle_up(Merkle *merkle, Digest *nodes, int n)
{
	for (int i = 0; i < n / 2; i++)
		nodes[i] = merkle_node(merkle, &nodes[2 * i], &nodes[2 * i + 1]);
	if (n % 2 == 1)
		nodes[n / 2] = nodes[n - 1];
	return (n + 1) / 2;
}

/* Whether two hashes are the same. */
bool
digests_equal(const Digest *a, const Digest *b)
{
	return memcmp(a, b, sizeof(Digest)) == 0;
}

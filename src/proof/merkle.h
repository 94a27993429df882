/*
 * merkle.h
 *		The Merkle tree over the newest entries of all accounts.
 *
 * It is the tree of RFC 6962 with SHA-256.  A leaf is the hash of the byte 0
 * and of an account's newest entry, a node that of the byte 1 and of the two
 * nodes below; a node without a neighbour goes up as it is.  The root, which
 * is published (as a checkpoint), is the hash of the byte 2, the merchant, the
 * root's id and time, the number of accounts and the top of the tree.
 */
#ifndef LOYALTY_MERKLE_H
#define LOYALTY_MERKLE_H

#include "postgres.h"
#include "common/cryptohash.h"
#include "datatype/timestamp.h"
#include "types/points.h"

typedef struct Digest
{
	uint8		bytes[32];
} Digest;

#define DIGEST_HEX	(2 * (int) sizeof(Digest))

/* The newest entry of an account: a leaf. */
typedef struct Head
{
	int64		merchant_id;
	int64		account_id;
	int64		entry_id;
	Points		balance;
	TimestampTz posted_at;
	const bytea *hash;
} Head;

/* A root but for its hash, which is a Digest. */
typedef struct Root
{
	int64		merchant_id;
	int64		root_id;
	TimestampTz made_at;
	int64		accounts;
} Root;

typedef struct Merkle
{
	pg_cryptohash_ctx *context;
} Merkle;

extern void merkle_begin(Merkle *merkle);
extern void merkle_end(Merkle *merkle);
extern Digest merkle_leaf(Merkle *merkle, const Head *head);
extern Digest merkle_node(Merkle *merkle, const Digest *left, const Digest *right);
extern Digest merkle_published(Merkle *merkle, const Root *root, const Digest *top);
extern Digest merkle_nothing(Merkle *merkle);
extern int	merkle_up(Merkle *merkle, Digest *nodes, int n);
extern bool digests_equal(const Digest *a, const Digest *b);

#endif

/*
 * merkle.h
 *		The tree of hashes over the newest entries of all accounts.
 *
 * That of RFC 6962 with SHA-256: a leaf's hash is of the byte 0 and the leaf,
 * a node's of the byte 1 and the two below; one without a neighbour goes up as
 * it is.  What is published is the hash of the byte 2, of whose tree it is,
 * when it was made, of how many accounts, and of its top.
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

/* The newest entry of an account. */
typedef struct Head
{
	int64		merchant_id;
	int64		account_id;
	int64		entry_id;
	Points		balance;
	TimestampTz posted_at;
	const bytea *hash;
} Head;

/* What is published besides the hash. */
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

/* What a tree of no accounts has as its top. */
extern Digest merkle_nothing(Merkle *merkle);

/* Replace the nodes of one level by those above it, and return how many there are. */
extern int	merkle_up(Merkle *merkle, Digest *nodes, int n);

extern bool same_digest(const Digest *a, const Digest *b);

#endif

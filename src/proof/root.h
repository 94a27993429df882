/*
 * root.h
 *		Roots (checkpoints), and the pages of the trees below them.
 */
#ifndef LOYALTY_ROOT_H
#define LOYALTY_ROOT_H

#include "proof/merkle.h"

/* Nodes of one page: a whole tree of eight levels. */
#define PAGE_NODES	256

/* Enough for any number of accounts. */
#define PAGE_LEVELS 8

/* A root as its row has it. */
typedef struct StoredRoot
{
	Root		root;
	Digest		published;
} StoredRoot;

/* One page of nodes; those of the lowest level have accounts and entries. */
typedef struct TreePage
{
	int64		number;
	int			n;
	Digest		nodes[PAGE_NODES];
	int64		account_ids[PAGE_NODES];
	int64		entry_ids[PAGE_NODES];
} TreePage;

extern bool root_find(int64 merchant_id, bool newest, int64 root_id, StoredRoot *found);
extern bool root_page(const Root *root, int level, int64 account_id, TreePage *page);
extern bool root_digest(struct varlena *value, Digest *hash);

#endif

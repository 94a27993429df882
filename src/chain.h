/*
 * chain.h
 *		The hash chain over the entries of an account.
 */
#ifndef LOYALTY_CHAIN_H
#define LOYALTY_CHAIN_H

#include "ledger.h"

/* Many entries, one after the other. */
typedef struct Chain Chain;

extern Chain *chain_begin(void);
extern bytea *chain_next(Chain *chain, int64 merchant_id, const Entry *entry, const bytea *previous);
extern void chain_end(Chain *chain);

extern bool entry_has_text(const Entry *entry);

/* What loyalty.chain_next() is told of an entry. */
extern bytea *chain_content(int64 merchant_id, const Entry *entry);
extern bytea *chain_text(const Entry *entry);

#endif

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
extern bytea *chain_content(int64 merchant_id, const Entry *entry);
extern bytea *chain_hash(const bytea *previous, int64 version, Points balance, TimestampTz posted_at,
						 const bytea *content);

#endif

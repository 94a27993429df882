/*
 * chain.h
 *		The hash chain over the entries of an account.
 */
#ifndef LOYALTY_CHAIN_H
#define LOYALTY_CHAIN_H

#include "ledger.h"

extern bytea *chain_content(int64 merchant_id, const Entry *entry);
extern bytea *chain_hash(const bytea *previous, int64 version, Points balance, TimestampTz posted_at,
						 const bytea *content);

#endif

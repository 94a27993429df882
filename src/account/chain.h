/*
 * chain.h
 *		The hash chain over the entries of an account.
 */
#ifndef LOYALTY_CHAIN_H
#define LOYALTY_CHAIN_H

#include "account/entry.h"
#include "utils/uuid.h"

extern bytea *chain_next(const Entry *entry, const bytea *previous);
extern void chain_salt(const pg_uuid_t *key, int64 entry_id, uint8 *salt);

/* What loyalty_internal.chain_next() is told of an entry. */
extern bytea *chain_content(const Entry *entry);
extern bytea *chain_text(const Entry *entry);

#endif

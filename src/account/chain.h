/*
 * chain.h
 *		The hash chain over the entries of an account.
 */
#ifndef LOYALTY_CHAIN_H
#define LOYALTY_CHAIN_H

#include "account/entry.h"
#include "utils/uuid.h"

/*
 * A text key is a random UUID, of version 4.  One that has taken the place of
 * another, since texts of it were erased, is of version 8, and has beside the
 * version who has been erased: no text is kept of them.
 */
enum
{
	OF_MEMBER = 1 << 0,			/* the member who has the account's number */
	OF_OWNER = 1 << 1			/* whoever owns the account */
};

static inline bool
text_key_replaced(const pg_uuid_t *key)
{
	return key->data[6] >> 4 == 8;
}

static inline int
text_key_erased(const pg_uuid_t *key)
{
	return text_key_replaced(key) ? key->data[6] & (OF_MEMBER | OF_OWNER) : 0;
}

extern bytea *chain_next(const Entry *entry, const bytea *previous);
extern void chain_salt(const pg_uuid_t *key, const pg_uuid_t *peer_key, int64 entry_id, uint8 *salt);

/* What loyalty_internal.chain_next() is told of an entry. */
extern bytea *chain_content(const Entry *entry);
extern bytea *chain_text(const Entry *entry);

#endif

/*
 * idempotency.h
 *		Idempotency keys: what is done under a key is done at most once.
 */
#ifndef LOYALTY_IDEMPOTENCY_H
#define LOYALTY_IDEMPOTENCY_H

#include "postgres.h"
#include "lib/stringinfo.h"

extern int	idempotency_space_kb;

/* A fingerprint: an operation and its arguments as text.  A key stands for one fingerprint. */
extern void fingerprint_start(StringInfo fingerprint, const char *operation);
extern void fingerprint_add(StringInfo fingerprint, const char *name, const char *value);
extern void fingerprint_add_bytes(StringInfo fingerprint, const char *name, const char *value, size_t length);

/* app_user: whose the key is; NULL: the merchant's. */
extern bool idempotency_claim(int64 merchant_id, const char *app_user, const char *key, StringInfo fingerprint, char **answer);
extern void idempotency_answer(int64 merchant_id, const char *app_user, const char *key, const char *answer);
extern void idempotency_unclaim(int64 merchant_id, const char *app_user, const char *key);

#endif

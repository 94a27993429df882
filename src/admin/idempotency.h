/*
 * idempotency.h
 *		Idempotency: a request under a key happens at most once.
 */
#ifndef LOYALTY_REQUEST_H
#define LOYALTY_REQUEST_H

#include "postgres.h"
#include "lib/stringinfo.h"

/* What is to be done, as bytes; two requests are the same if these are. */
extern void fingerprint_start(StringInfo fingerprint, const char *operation);
extern void fingerprint_add(StringInfo fingerprint, const char *name, const char *value);

extern bool request_claim(int64 merchant_id, const char *key, StringInfo fingerprint, char **answer);
extern void request_answer(int64 merchant_id, const char *key, const char *answer);

#endif

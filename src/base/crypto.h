/*
 * crypto.h
 *		Hashes, random keys and passwords, all by PostgreSQL's own code.
 */
#ifndef LOYALTY_CRYPTO_H
#define LOYALTY_CRYPTO_H

#include "postgres.h"

extern void sha256(const void *first, size_t first_length, const void *second, size_t second_length, uint8 *digest);
extern bytea *sha256_digest(const char *data, size_t length);
extern bytea *hmac_digest(const text *key, const void *message, size_t length);
extern char *hmac_sha256_hex(const char *key, const char *message);
extern bool secrets_equal(const char *a, const char *b);
extern int64 new_id(void);
extern int64 new_id_after(int64 last);
extern char *password_digest(const char *password, const char *salt, int iterations);

#endif

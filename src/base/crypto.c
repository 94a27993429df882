/*
 * crypto.c
 *		Hashes, random keys and passwords, all by PostgreSQL's own code.
 */
#include "base/compat.h"

#include "base/crypto.h"
#include "base/errors.h"
#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/pg_prng.h"
#include "common/saslprep.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#define ID_LOW_BITS			22	/* below the milliseconds */
#define ID_EPOCH			INT64CONST(631152000000000) /* 2020-01-01, µs since 2000 */
#define HMAC_KEY_LENGTH		64
#define RANDOM_KEY_MIN		8
#define RANDOM_KEY_MAX		64

/*
 * The context of all hashes of the session: to make one costs as much as a hash
 * does.  It belongs to a resource owner of its own, which nobody releases.
 */
static pg_cryptohash_ctx *
session_hash(void)
{
	static pg_cryptohash_ctx *context = NULL;

	if (context == NULL)
	{
		ResourceOwner owner = CurrentResourceOwner;
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		CurrentResourceOwner = ResourceOwnerCreate(NULL, "loyalty hash");
		context = pg_cryptohash_create(PG_SHA256);
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(caller);
	}
	return context;
}

/* Of some bytes and some more, into PG_SHA256_DIGEST_LENGTH bytes. */
void
sha256(const void *first, size_t first_length, const void *second, size_t second_length, uint8 *digest)
{
	pg_cryptohash_ctx *context = session_hash();

	if (context == NULL ||
		pg_cryptohash_init(context) < 0 ||
		(first_length > 0 && pg_cryptohash_update(context, first, first_length) < 0) ||
		pg_cryptohash_update(context, second, second_length) < 0 ||
		pg_cryptohash_final(context, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		raise_error(ERR_INTERNAL_ERROR);
}

/* The SHA-256 of some bytes, as a bytea. */
bytea *
sha256_digest(const char *data, size_t length)
{
	bytea	   *digest = (bytea *) palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	sha256(NULL, 0, data, length, (uint8 *) VARDATA(digest));
	return digest;
}

/*
 * HMAC-SHA-256 under a key as long as a block of the hash, by its definition, so that
 * it is done by the hash of the session: PostgreSQL's makes a context for each,
 * which takes ten times as long.
 */
static void
hmac_sha256(const void *key, const void *message, size_t length, uint8 *digest)
{
	uint8		inner[HMAC_KEY_LENGTH];
	uint8		outer[HMAC_KEY_LENGTH];

	for (int i = 0; i < HMAC_KEY_LENGTH; i++)
	{
		inner[i] = ((const uint8 *) key)[i] ^ 0x36;
		outer[i] = ((const uint8 *) key)[i] ^ 0x5c;
	}
	sha256(inner, sizeof(inner), message, length, digest);
	sha256(outer, sizeof(outer), digest, PG_SHA256_DIGEST_LENGTH, digest);
}

/* The same as a bytea.  A key of NULL, or one of another length, is zeros. */
bytea *
hmac_digest(const text *key, const void *message, size_t length)
{
	static const uint8 none[HMAC_KEY_LENGTH] = {0};
	bytea	   *digest = (bytea *) palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	bool		is_key = key != NULL && VARSIZE_ANY_EXHDR(key) == HMAC_KEY_LENGTH;

	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	hmac_sha256(is_key ? (const void *) VARDATA_ANY(key) : none, message, length, (uint8 *) VARDATA(digest));
	return digest;
}

PG_FUNCTION_INFO_V1(loyalty_hmac);

/* loyalty_internal.hmac(): of a text, or of bytes. */
Datum
loyalty_hmac(PG_FUNCTION_ARGS)
{
	bytea	   *message;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	message = PG_GETARG_BYTEA_PP(1);
	PG_RETURN_BYTEA_P(hmac_digest(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0), VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message)));
}

#define PSEUDONYM_DIGITS 16

PG_FUNCTION_INFO_V1(loyalty_pseudonym);

/* loyalty_internal.pseudonym(): the first 64 bits of an HMAC of the number, which nothing else is made of. */
Datum
loyalty_pseudonym(PG_FUNCTION_ARGS)
{
	char		message[64];
	int			length = snprintf(message, sizeof(message), "pseudonym " INT64_FORMAT, PG_GETARG_INT64(1));
	bytea	   *digest = hmac_digest(PG_GETARG_TEXT_PP(0), message, length);
	text	   *name = (text *) palloc(VARHDRSZ + PSEUDONYM_DIGITS);

	SET_VARSIZE(name, VARHDRSZ + PSEUDONYM_DIGITS);
	hex_encode(VARDATA(digest), PSEUDONYM_DIGITS / 2, VARDATA(name));
	PG_RETURN_TEXT_P(name);
}

/* In hexadecimal, lower case. */
char *
hmac_sha256_hex(const char *key, const char *message)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc(2 * PG_SHA256_DIGEST_LENGTH + 1);
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);

	if (ctx == NULL ||
		pg_hmac_init(ctx, (const uint8 *) key, strlen(key)) < 0 ||
		pg_hmac_update(ctx, (const uint8 *) message, strlen(message)) < 0 ||
		pg_hmac_final(ctx, digest, sizeof(digest)) < 0)
		raise_error(ERR_INTERNAL_ERROR);
	pg_hmac_free(ctx);
	hex_encode((const char *) digest, sizeof(digest), hex);
	hex[2 * PG_SHA256_DIGEST_LENGTH] = '\0';
	return hex;
}

/*
 * In a time that depends on the lengths only.  The server's timingsafe_bcmp()
 * is not in every minor release, and a library built for one meets others.
 */
bool
secrets_equal(const char *a, const char *b)
{
	size_t		length = strlen(a);
	volatile unsigned char difference = 0;

	if (strlen(b) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}

PG_FUNCTION_INFO_V1(loyalty_secrets_equal);

/* loyalty_internal.secrets_equal(). */
Datum
loyalty_secrets_equal(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(secrets_equal(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/*
 * Make an id (a snowflake): milliseconds since 2020, a sequence with a random
 * start, and the backend's number.  Ids grow with time, so rows made together
 * lie together.  Two sessions that live at the same time never make the same
 * one; a session that runs out of ids for a millisecond takes those of the next.
 * After the clock was set back, or on another server, a session may have the
 * number of an earlier one: then the random start keeps their ids apart, and
 * the primary key refuses what it does not.
 */
int64
new_id(void)
{
	static int64 last_id = 0;
	int			session_bits = pg_ceil_log2_32(MaxBackends + 1);
	int64		count = pg_prng_uint64(&pg_global_prng_state) & ((1 << (ID_LOW_BITS - session_bits)) - 1);
	int64		id = Max(GetCurrentTimestamp() - ID_EPOCH, 0) / 1000;

	id = (id << ID_LOW_BITS) | (count << session_bits) | MyProcNumber;
	if (id <= last_id)
		id = last_id + (INT64CONST(1) << session_bits);
	last_id = id;
	return id;
}

/* An id above one that there is, also while the clock is behind the moment of that; of two sessions that make one at once, each has its own. */
int64
new_id_after(int64 last)
{
	int64		id = new_id();

	return id > last ? id : last + 1 + (id & ((INT64CONST(1) << ID_LOW_BITS) - 1));
}

/*
 * What a password is kept as: PBKDF2 with HMAC-SHA-256 of so many iterations, in
 * hexadecimal.  One of another Unicode form is the same password, as it is to
 * PostgreSQL.
 */
char *
password_digest(const char *password, const char *salt, int iterations)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc(2 * PG_SHA256_DIGEST_LENGTH + 1);
	const char *why = NULL;
	char	   *prepared;

	if (pg_saslprep(password, &prepared) != SASLPREP_SUCCESS)
		prepared = pstrdup(password);
	if (scram_SaltedPassword(prepared, PG_SHA256, PG_SHA256_DIGEST_LENGTH, (const void *) salt, strlen(salt),
							 iterations, digest, &why) < 0)
		raise_error(ERR_INTERNAL_ERROR);
	hex_encode((const char *) digest, sizeof(digest), hex);
	hex[2 * PG_SHA256_DIGEST_LENGTH] = '\0';
	return hex;
}

PG_FUNCTION_INFO_V1(loyalty_new_id);

Datum
loyalty_new_id(PG_FUNCTION_ARGS pg_attribute_unused())
{
	PG_RETURN_INT64(new_id());
}

PG_FUNCTION_INFO_V1(loyalty_new_client_id);

/* Thirteen digits, the first not 0. */
Datum
loyalty_new_client_id(PG_FUNCTION_ARGS)
{
	uint64		random;

	if (!pg_strong_random(&random, sizeof(random)))
		raise_error(ERR_INTERNAL_ERROR);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s" UINT64_FORMAT, text_to_cstring(PG_GETARG_TEXT_PP(0)),
											  UINT64CONST(1000000000000) + random % UINT64CONST(9000000000000))));
}

PG_FUNCTION_INFO_V1(loyalty_random_key);

Datum
loyalty_random_key(PG_FUNCTION_ARGS)
{
	int32		bytes = PG_GETARG_INT32(1);
	uint8		random[RANDOM_KEY_MAX];
	StringInfoData key;

	if (bytes < RANDOM_KEY_MIN || bytes > RANDOM_KEY_MAX)
		raise_error(ERR_INVALID_ARGUMENT);
	if (!pg_strong_random(random, bytes))
		raise_error(ERR_INTERNAL_ERROR);

	initStringInfo(&key);
	appendStringInfoString(&key, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	for (int i = 0; i < bytes; i++)
		appendStringInfo(&key, "%02x", random[i]);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(key.data, key.len));
}

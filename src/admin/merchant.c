/*
 * merchant.c
 *		Merchants, the tenants.
 */
#include "postgres.h"

#include "access/xact.h"
#include "admin/merchant.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "common/sha2.h"
#include "db/statement.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

static Statement api_key_sql = {
	.sql = "SELECT merchant_id, key_id FROM loyalty_internal.api_key WHERE key_hash = $1"
	" AND disabled_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
	.params = {BYTEAOID}
};

/*
 * The merchant of an API key, and its key_id; raises auth_01, whatever is wrong with the key.
 * The time that it takes tells nothing about valid keys, since it is their
 * hashes that are compared.
 */
int64
merchant_of_api_key(const char *api_key, int64 *key_id)
{
	Datum		values[1];
	int64		merchant_id;

	if (api_key == NULL || *api_key == '\0')
		raise_error(ERR_AUTH_01);
	db_begin();
	values[0] = PointerGetDatum(sha256_digest(api_key, strlen(api_key)));
	if (db_read(&api_key_sql, values, NULL) == 0)
		raise_error(ERR_AUTH_01);
	merchant_id = row_int64(0, "merchant_id");
	*key_id = row_int64(0, "key_id");
	db_end();
	return merchant_id;
}

static Statement merchant_exists_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.merchant WHERE merchant_id = $1",
	.params = {INT8OID}
};

/* Between db_begin() and db_end(). */
bool
merchant_exists(int64 merchant_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id)};

	return db_read(&merchant_exists_sql, values, NULL) > 0;
}

/* ------------------------------------------------------------------------
 * Digests
 * ------------------------------------------------------------------------ */

/* How many merchants' digest keys a session caches; one more empties the cache. */
#define MAX_DIGEST_KEYS 256

typedef struct DigestKey
{
	int64		merchant_id;	/* hash key */
	char		key[HMAC_KEY_LENGTH];
} DigestKey;

static HTAB *digest_keys = NULL;

static Statement digest_key_sql = {
	.sql = "SELECT digest_key, xmin FROM loyalty_internal.merchant WHERE merchant_id = $1",
	.params = {INT8OID}
};

/*
 * Read the digest key of a merchant; false: there is no such merchant.  It
 * never changes, so it is cached, but for a row that this transaction has
 * written: that may never have been.
 */
static bool
read_digest_key(int64 merchant_id, char *key, bool *lasts)
{
	Datum		values[] = {Int64GetDatum(merchant_id)};
	bool		isnull;

	if (db_write(&digest_key_sql, values, NULL) == 0)
		return false;
	memcpy(key, row_text(0, "digest_key"), HMAC_KEY_LENGTH);
	*lasts = !TransactionIdIsCurrentTransactionId(DatumGetTransactionId(row_datum(0, "xmin", &isnull)));
	return true;
}

static void
cache_digest_key(int64 merchant_id, const char *key)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(DigestKey)};
	DigestKey  *cached;

	if (digest_keys != NULL && hash_get_num_entries(digest_keys) >= MAX_DIGEST_KEYS)
	{
		hash_destroy(digest_keys);
		digest_keys = NULL;
	}
	if (digest_keys == NULL)
		digest_keys = hash_create("loyalty digest keys", 16, &control, HASH_ELEM | HASH_BLOBS);
	cached = hash_search(digest_keys, &merchant_id, HASH_ENTER, NULL);
	memcpy(cached->key, key, HMAC_KEY_LENGTH);
}

/*
 * What is kept of a text by which a merchant's request is to be recognised: its
 * HMAC-SHA-256 under the digest key of the merchant.  It outlasts the erasure
 * of whoever the text names.  Without such a merchant the key is zeros.
 */
bytea *
merchant_digest(int64 merchant_id, const char *value, size_t length)
{
	bytea	   *digest = (bytea *) palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	const DigestKey *cached = digest_keys == NULL ? NULL : hash_search(digest_keys, &merchant_id, HASH_FIND, NULL);
	char		read[HMAC_KEY_LENGTH] = {0};
	bool		lasts;

	if (cached == NULL && read_digest_key(merchant_id, read, &lasts) && lasts)
		cache_digest_key(merchant_id, read);
	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	hmac_sha256(cached != NULL ? cached->key : read, value, length, (uint8 *) VARDATA(digest));
	return digest;
}

PG_FUNCTION_INFO_V1(loyalty_merchant_digest);

/* loyalty_internal.merchant_digest(): the digest that is kept of a text. */
Datum
loyalty_merchant_digest(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(1);
	bytea	   *result = (bytea *) palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	db_begin();
	memcpy(result, merchant_digest(PG_GETARG_INT64(0), VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)),
		   VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	db_end();
	PG_RETURN_BYTEA_P(result);
}

/* ------------------------------------------------------------------------
 * API keys
 * ------------------------------------------------------------------------ */

PG_FUNCTION_INFO_V1(loyalty_authenticate);

/* loyalty.authenticate(): the merchant of an API key. */
Datum
loyalty_authenticate(PG_FUNCTION_ARGS)
{
	ErrorContextCallback secret;
	int64		merchant_id;
	int64		key_id;

	secret_begin(&secret);
	merchant_id = merchant_of_api_key(PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)), &key_id);
	secret_end(&secret);
	PG_RETURN_INT64(merchant_id);
}

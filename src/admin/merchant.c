/*
 * merchant.c
 *		Merchants, the tenants.
 */
#include "postgres.h"

#include "access/xact.h"
#include "admin/merchant.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "db/statement.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static Statement api_key_sql = {
	.sql = "SELECT merchant_id, key_id, last_used_at FROM loyalty_internal.api_key WHERE key_hash = $1"
	" AND disabled_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
	.params = {BYTEAOID},
	.by_key = true
};

/*
 * The merchant of an API key, and the key; raises auth_01, whatever is wrong with it.
 * The time that it takes tells nothing about valid keys, since it is their
 * hashes that are compared.
 */
int64
merchant_of_api_key(const char *api_key, ApiKey *key)
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
	key->key_id = row_int64(0, "key_id");
	key->unused = row_int64_or(0, "last_used_at", DT_NOBEGIN) <= GetCurrentTransactionStartTimestamp() - USECS_PER_HOUR;
	db_end();
	return merchant_id;
}

/* Nobody waits: of two who would write it down at a time, the second does not. */
static Statement key_used_sql = {
	.sql = "UPDATE loyalty_internal.api_key k SET last_used_at = date_trunc('hour', now(), 'UTC')"
	" FROM (SELECT FROM loyalty_internal.api_key o WHERE o.merchant_id = $1 AND o.key_id = $2"
	" AND (o.last_used_at >= date_trunc('hour', now(), 'UTC')) IS NOT TRUE FOR NO KEY UPDATE SKIP LOCKED) nobodys"
	" WHERE k.merchant_id = $1 AND k.key_id = $2",
	.params = {INT8OID, INT8OID}
};

/* Write down that an API key is used in this hour. */
void
api_key_used(int64 merchant_id, int64 key_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(key_id)};

	db_begin();
	db_write(&key_used_sql, values, NULL);
	db_end();
}

static Statement merchant_exists_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.merchant WHERE merchant_id = $1",
	.params = {INT8OID},
	.by_key = true
};

/* Between db_begin() and db_end(). */
bool
merchant_exists(int64 merchant_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id)};

	return db_read(&merchant_exists_sql, values, NULL) > 0;
}

PG_FUNCTION_INFO_V1(loyalty_authenticate);

/* loyalty.authenticate(): the merchant of an API key. */
Datum
loyalty_authenticate(PG_FUNCTION_ARGS)
{
	ErrorContextCallback secret;
	int64		merchant_id;
	ApiKey		key;

	secret_begin(&secret);
	merchant_id = merchant_of_api_key(PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)), &key);
	secret_end(&secret);
	PG_RETURN_INT64(merchant_id);
}

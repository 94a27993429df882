/*
 * merchant.c
 *		Merchants, the tenants.
 */
#include "postgres.h"

#include "admin/merchant.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "db/statement.h"
#include "fmgr.h"
#include "utils/builtins.h"

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

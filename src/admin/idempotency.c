/*
 * idempotency.c
 *		Idempotency keys: what is done under a key is done at most once.
 *
 * A key is claimed before anything else is done, by inserting its row.  A
 * second claim waits there for the first: if that commits, the second gets its
 * answer; if it rolls back, its row is gone and the second goes ahead.  So what
 * failed never blocks its key.
 */
#include "postgres.h"

#include "admin/idempotency.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "db/statement.h"
#include "utils/builtins.h"

#define KEY_MAX_LENGTH 200

/* Start a fingerprint with the name of the operation. */
void
fingerprint_start(StringInfo fingerprint, const char *operation)
{
	initStringInfo(fingerprint);
	fingerprint_add(fingerprint, "operation", operation);
}

/* Add an argument.  Lengths keep values apart, and NULL differs from "". */
void
fingerprint_add(StringInfo fingerprint, const char *name, const char *value)
{
	if (value == NULL)
		appendStringInfo(fingerprint, "%s\n", name);
	else
		appendStringInfo(fingerprint, "%s %zu:%s\n", name, strlen(value), value);
}

static void
check_key(const char *key)
{
	size_t		length = strlen(key);

	if (length == 0 || length > KEY_MAX_LENGTH)
		raise_error(ERR_INVALID_IDEMPOTENCY_KEY);
	for (const char *c = key; *c; c++)
	{
		if (*c < '!' || *c > '~')
			raise_error(ERR_INVALID_IDEMPOTENCY_KEY);
	}
}

static Statement idempotency_claim_sql = {
	.sql = "INSERT INTO loyalty_internal.idempotency_key (merchant_id, idempotency_key, fingerprint)"
	" VALUES ($1, $2, $3) ON CONFLICT (merchant_id, idempotency_key) DO NOTHING",
	.params = {INT8OID, TEXTOID, BYTEAOID}
};

static Statement idempotency_read_sql = {
	.sql = "SELECT fingerprint = $3 AS same, answer FROM loyalty_internal.idempotency_key"
	" WHERE merchant_id = $1 AND idempotency_key = $2 FOR SHARE",
	.params = {INT8OID, TEXTOID, BYTEAOID}
};

/* Claim a key; false: *answer is what was answered under it.  Without a key, true. */
bool
idempotency_claim(int64 merchant_id, const char *key, StringInfo fingerprint, char **answer)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};

	if (key == NULL)
		return true;
	check_key(key);

	values[1] = CStringGetTextDatum(key);
	values[2] = PointerGetDatum(sha256_digest(fingerprint->data, fingerprint->len));
	if (db_write(&idempotency_claim_sql, values, NULL) == 1)
		return true;

	/* Between the two statements forget_idempotency_keys() may have removed it. */
	if (db_write(&idempotency_read_sql, values, NULL) == 0)
		raise_error(ERR_UNAVAILABLE);
	if (!row_bool(0, "same"))
		raise_error(ERR_IDEMPOTENCY_KEY_REUSED);
	*answer = row_text(0, "answer");
	return false;
}

static Statement idempotency_answer_sql = {
	.sql = "UPDATE loyalty_internal.idempotency_key SET answer = $3 WHERE merchant_id = $1 AND idempotency_key = $2",
	.params = {INT8OID, TEXTOID, TEXTOID}
};

/* Keep the answer that a retry under the key gets. */
void
idempotency_answer(int64 merchant_id, const char *key, const char *answer)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};

	if (key == NULL)
		return;
	values[1] = CStringGetTextDatum(key);
	values[2] = CStringGetTextDatum(answer);
	db_write(&idempotency_answer_sql, values, NULL);
}

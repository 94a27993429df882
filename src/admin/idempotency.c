/*
 * idempotency.c
 *		Idempotency keys: what is done under a key is done at most once.
 *
 * A key is claimed before anything else is done, by inserting its row.  A
 * second claim waits there for the first: if that commits, the second gets its
 * answer; if it rolls back, its row is gone and the second goes ahead.  So what
 * failed never blocks its key.
 *
 * A key may name somebody, and what is done under it does.  So only digests of
 * both are kept, under a key of the merchant: they are still recognised when
 * whoever they name has been erased, and tell nobody who it was.
 *
 * What is kept must not grow without end: the keys and answers of a merchant
 * have so much space.  To count it with each key would cost as much as the key,
 * so a session takes some in advance, from a row of few sessions.
 */
#include "postgres.h"

#include "admin/idempotency.h"
#include "base/errors.h"
#include "db/outcome.h"
#include "db/statement.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#define KEY_MAX_LENGTH 200
#define ANSWER_MAX_LENGTH (4 * 1024 * 1024)
#define SPACE_STRIPES 64
#define ADVANCE_KB 32

/* The setting loyalty.idempotency_space, for each merchant. */
int			idempotency_space_kb;

/* What the session has taken in advance, for the merchants that it serves. */
typedef struct Advance
{
	int64		merchant_id;
	int			left_kb;
	FullTransactionId taken_in;
} Advance;

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
		fingerprint_add_bytes(fingerprint, name, value, strlen(value));
}

/* Add an argument that may have any bytes, a NUL too. */
void
fingerprint_add_bytes(StringInfo fingerprint, const char *name, const char *value, size_t length)
{
	appendStringInfo(fingerprint, "%s %zu:", name, length);
	appendBinaryStringInfo(fingerprint, value, length);
	appendStringInfoChar(fingerprint, '\n');
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

static Statement space_take_sql = {
	.sql = "INSERT INTO loyalty_internal.idempotency_space AS s (merchant_id, stripe, kilobytes) SELECT $1, $2, $3"
	" WHERE (SELECT coalesce(sum(o.kilobytes), 0) FROM loyalty_internal.idempotency_space o WHERE o.merchant_id = $1) < $4"
	" ON CONFLICT (merchant_id, stripe) DO UPDATE SET kilobytes = s.kilobytes + $3",
	.params = {INT8OID, INT4OID, INT8OID, INT8OID}
};

static Statement space_free_sql = {
	.sql = "SELECT loyalty.forget_idempotency_keys($1) AS forgotten",
	.params = {INT8OID}
};

/* The merchant's advance, which is good if what took it was committed. */
static Advance *
advance_of(int64 merchant_id)
{
	static HTAB *advances = NULL;
	Advance    *advance;
	bool		found;

	if (advances == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(Advance)};

		advances = hash_create("loyalty advances", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	advance = hash_search(advances, &merchant_id, HASH_ENTER, &found);
	if (!found || !outcome_is_good(&advance->taken_in))
	{
		memset(advance, 0, sizeof(Advance));
		advance->merchant_id = merchant_id;
	}
	return advance;
}

/* Take so much of the merchant's space, or raise; when there is none, old keys are forgotten. */
static void
take_space(int64 merchant_id, int kilobytes)
{
	Advance    *advance = advance_of(merchant_id);
	int			more = Max(kilobytes, ADVANCE_KB);
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int32GetDatum(MyProcNumber % SPACE_STRIPES),
		Int64GetDatum(more),
		Int64GetDatum(idempotency_space_kb),
	};

	if (advance->left_kb < kilobytes)
	{
		if (db_write(&space_take_sql, values, NULL) == 0)
		{
			db_write(&space_free_sql, values, NULL);
			if (db_write(&space_take_sql, values, NULL) == 0)
				raise_error(ERR_IDEMPOTENCY_KEYS_FULL);
		}
		advance->left_kb += more;
		advance->taken_in = outcome_open();
	}
	advance->left_kb -= kilobytes;
}

/* What is kept of a key, or a fingerprint: the merchant's digest key is read by the statement that needs it. */
#define DIGEST_KEY "(SELECT m.digest_key FROM loyalty_internal.merchant m WHERE m.merchant_id = $1)"

static Statement idempotency_claim_sql = {
	.sql = "INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint)"
	" SELECT $1, loyalty_internal.hmac(k.key, $2), loyalty_internal.hmac(k.key, $3) FROM (SELECT " DIGEST_KEY " OFFSET 0) k (key)"
	" ON CONFLICT (merchant_id, key_digest) DO NOTHING",
	.params = {INT8OID, TEXTOID, BYTEAOID}
};

static Statement idempotency_read_sql = {
	.sql = "SELECT fingerprint = (SELECT loyalty_internal.hmac(" DIGEST_KEY ", $3)) AS same, answer FROM loyalty_internal.idempotency_key"
	" WHERE merchant_id = $1 AND key_digest = (SELECT loyalty_internal.hmac(" DIGEST_KEY ", $2)) FOR SHARE",
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
	values[2] = PointerGetDatum(cstring_to_text_with_len(fingerprint->data, fingerprint->len));
	if (db_write(&idempotency_claim_sql, values, NULL) == 1)
	{
		take_space(merchant_id, 1);
		return true;
	}

	/* Between the two statements forget_idempotency_keys() may have removed it. */
	if (db_write(&idempotency_read_sql, values, NULL) == 0)
		raise_error(ERR_UNAVAILABLE);
	if (!row_bool(0, "same"))
		raise_error(ERR_IDEMPOTENCY_KEY_REUSED);
	*answer = row_text(0, "answer");
	return false;
}

static Statement idempotency_answer_sql = {
	.sql = "UPDATE loyalty_internal.idempotency_key SET answer = $3 WHERE merchant_id = $1 AND key_digest = (SELECT loyalty_internal.hmac(" DIGEST_KEY ", $2))",
	.params = {INT8OID, TEXTOID, TEXTOID}
};

/* Keep the answer that a retry under the key gets. */
void
idempotency_answer(int64 merchant_id, const char *key, const char *answer)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};

	size_t		length;

	if (key == NULL)
		return;
	length = strlen(answer);
	if (length > ANSWER_MAX_LENGTH)
		raise_error(ERR_ANSWER_TOO_LONG);
	if (length >= 1024)
		take_space(merchant_id, length / 1024);
	values[1] = CStringGetTextDatum(key);
	values[2] = CStringGetTextDatum(answer);
	db_write(&idempotency_answer_sql, values, NULL);
}

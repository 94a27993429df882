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
 * Keys are the merchant's, whichever of its tills and programs sends them, or an
 * app user's, who acts for the merchant and is trusted with less: its keys meet
 * nobody else's, and have a space of their own.
 *
 * What is kept must not grow without end: the keys and answers of a merchant
 * have so much space, and those of an app user.  To count the merchant's with
 * each key would cost as much as the key, so a session takes some in advance,
 * from a row of few sessions.
 */
#include "postgres.h"

#include "admin/idempotency.h"
#include "base/errors.h"
#include "base/table.h"
#include "db/outcome.h"
#include "db/statement.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define KEY_MAX_LENGTH 200
#define ANSWER_MAX_LENGTH (4 * 1024 * 1024)
#define SPACE_STRIPES 64
#define ADVANCE_KB 32

/* The setting loyalty.idempotency_space, for each merchant and each app user. */
int			idempotency_space_kb;

/* What the session has taken in advance, for the merchants that it serves. */
typedef struct Advance
{
	int64		merchant_id;
	int			left_kb;
	FullTransactionId taken_in;
	TimestampTz full_at[2];		/* when its space was full, or an app user's, whatever was forgotten; never undone */
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
	.sql = "INSERT INTO loyalty_internal.idempotency_space AS s (merchant_id, app_user, stripe, kilobytes) SELECT $1, $2, $3, $4"
	" WHERE (SELECT coalesce(sum(o.kilobytes), 0) FROM loyalty_internal.idempotency_space o WHERE o.merchant_id = $1 AND o.app_user = $2) < $5"
	" ON CONFLICT (merchant_id, app_user, stripe) DO UPDATE SET kilobytes = s.kilobytes + $4",
	.params = {INT8OID, TEXTOID, INT4OID, INT8OID, INT8OID}
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
		advances = table_create("loyalty advances", 16, sizeof(int64), sizeof(Advance), TopMemoryContext);
	advance = hash_search(advances, &merchant_id, HASH_ENTER, &found);
	if (!found)
	{
		memset(advance, 0, sizeof(Advance));
		advance->merchant_id = merchant_id;
		advance->full_at[0] = advance->full_at[1] = DT_NOBEGIN;
	}
	if (!outcome_is_good(&advance->taken_in))
	{
		advance->left_kb = 0;
		advance->taken_in = InvalidFullTransactionId;
	}
	return advance;
}

/*
 * Take from the space of the merchant, or of an app user, or raise; when there
 * is none, old keys are forgotten, and the others counted.  Whoever is refused
 * undoes that again, so a session tries it once an hour.
 */
static void
take_from(Advance *advance, const char *app_user, int kilobytes)
{
	TimestampTz *full_at = &advance->full_at[app_user ? 1 : 0];
	TimestampTz now;
	Datum		values[] = {
		Int64GetDatum(advance->merchant_id),
		CStringGetTextDatum(app_user ? app_user : ""),
		Int32GetDatum(MyProcNumber % SPACE_STRIPES),
		Int64GetDatum(kilobytes),
		Int64GetDatum(idempotency_space_kb),
	};

	if (db_write(&space_take_sql, values, NULL) > 0)
		return;
	now = GetCurrentTimestamp();
	if (TIMESTAMP_NOT_FINITE(*full_at) || i64abs(now - *full_at) > USECS_PER_HOUR)
	{
		db_write(&space_free_sql, values, NULL);
		if (db_write(&space_take_sql, values, NULL) > 0)
			return;
		*full_at = now;
	}
	raise_error(ERR_IDEMPOTENCY_KEYS_FULL);
}

static void
take_space(int64 merchant_id, const char *app_user, int kilobytes)
{
	Advance    *advance = advance_of(merchant_id);
	int			more = Max(kilobytes, ADVANCE_KB);

	if (app_user != NULL)
	{
		take_from(advance, app_user, kilobytes);
		return;
	}
	if (advance->left_kb < kilobytes)
	{
		take_from(advance, NULL, more);
		advance->left_kb += more;
		advance->taken_in = outcome_open();
	}
	advance->left_kb -= kilobytes;
}

/* What is kept of a key, or a fingerprint: the merchant's digest key is read by the statement that needs it. */
#define DIGEST_KEY "(SELECT m.digest_key FROM loyalty_internal.merchant m WHERE m.merchant_id = $1)"
#define OWNED_KEY "merchant_id = $1 AND key_digest = (SELECT loyalty_internal.hmac(" DIGEST_KEY ", $2))"

static Statement idempotency_claim_sql = {
	.sql = "INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint, app_user)"
	" SELECT $1, loyalty_internal.hmac(k.key, $2), loyalty_internal.hmac(k.key, $3), $4 FROM (SELECT " DIGEST_KEY " OFFSET 0) k (key)"
	" ON CONFLICT (merchant_id, key_digest) DO NOTHING",
	.params = {INT8OID, TEXTOID, BYTEAOID, TEXTOID}
};

static Statement idempotency_read_sql = {
	.sql = "SELECT fingerprint = (SELECT loyalty_internal.hmac(" DIGEST_KEY ", $3)) AS same, answer FROM loyalty_internal.idempotency_key"
	" WHERE " OWNED_KEY " FOR SHARE",
	.params = {INT8OID, TEXTOID, BYTEAOID}
};

/* What the digest of a key is made of: a blank, which no key has, keeps an app user's apart. */
static Datum
owned_key(const char *app_user, const char *key)
{
	return CStringGetTextDatum(app_user ? psprintf("%s %s", app_user, key) : key);
}

/*
 * Claim a key; false: *answer is what was answered under it.  Without a key,
 * true.  The space of the merchant's keys is taken before the work, which may be
 * a sale that somebody waits for; that of an app user's once it is to be kept.
 */
bool
idempotency_claim(int64 merchant_id, const char *app_user, const char *key, StringInfo fingerprint, char **answer)
{
	Datum		values[4] = {Int64GetDatum(merchant_id)};
	const char	nulls[] = {' ', ' ', ' ', app_user ? ' ' : 'n'};

	if (key == NULL)
		return true;
	check_key(key);

	values[1] = owned_key(app_user, key);
	values[2] = PointerGetDatum(cstring_to_text_with_len(fingerprint->data, fingerprint->len));
	values[3] = app_user ? CStringGetTextDatum(app_user) : (Datum) 0;
	if (db_write(&idempotency_claim_sql, values, nulls) == 1)
	{
		if (app_user == NULL)
			take_space(merchant_id, NULL, 1);
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
	.sql = "UPDATE loyalty_internal.idempotency_key SET answer = $3 WHERE " OWNED_KEY,
	.params = {INT8OID, TEXTOID, TEXTOID}
};

/* Keep the answer that a retry under the key gets. */
void
idempotency_answer(int64 merchant_id, const char *app_user, const char *key, const char *answer)
{
	Datum		values[3] = {Int64GetDatum(merchant_id)};
	size_t		length;
	int			kilobytes;

	if (key == NULL)
		return;
	length = strlen(answer);
	if (length > ANSWER_MAX_LENGTH)
		raise_error(ERR_ANSWER_TOO_LONG);
	kilobytes = length / 1024 + (app_user ? 1 : 0);
	if (kilobytes > 0)
		take_space(merchant_id, app_user, kilobytes);
	values[1] = owned_key(app_user, key);
	values[2] = CStringGetTextDatum(answer);
	db_write(&idempotency_answer_sql, values, NULL);
}

static Statement idempotency_unclaim_sql = {
	.sql = "DELETE FROM loyalty_internal.idempotency_key WHERE " OWNED_KEY,
	.params = {INT8OID, TEXTOID}
};

/* Give a key of an app user back, under which nothing was done. */
void
idempotency_unclaim(int64 merchant_id, const char *app_user, const char *key)
{
	Datum		values[] = {Int64GetDatum(merchant_id), owned_key(app_user, key)};

	db_write(&idempotency_unclaim_sql, values, NULL);
}

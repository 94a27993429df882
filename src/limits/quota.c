/*
 * quota.c
 *		What a merchant's plan allows, taken one at a time and never oversold.
 *
 * A quota is spread over QUOTA_STRIPES rows.  A session takes from a stripe of
 * its own, while that has plenty, so cashiers do not wait for each other; and
 * then from any other that nobody holds.  Only when nothing is in reach does it
 * wait for who is taking the last ones, of one stripe after the other: one of
 * them may roll back, and "nothing left" must not be said before that is known.
 *
 * Who waits for a stripe holds no other of the resource, unless by an earlier
 * operation of the same transaction.  So two who take one each never wait for
 * each other, nor for who changes the quota, which locks all stripes in order.
 */
#include "postgres.h"

#include "base/compat.h"
#include "db/attempt.h"
#include "db/statement.h"
#include "fmgr.h"
#include "limits/quota.h"
#include "utils/builtins.h"

#define QUOTA_STRIPES 16
/*
 * A stripe has plenty if there are so many in it: then it is not empty by the
 * time it is locked, whoever takes from it meanwhile.
 */
#define QUOTA_PLENTY "32"

static Statement quota_set_sql = {
	.sql = "UPDATE loyalty_internal.quota SET remaining = $4 WHERE merchant_id = $1 AND resource = $2 AND stripe = $3 AND $4 >= 0",
	.params = {INT8OID, TEXTOID, INT2OID, INT8OID}
};

static Statement quota_any_sql = {
	.sql = "SELECT stripe, remaining FROM loyalty_internal.quota"
	" WHERE merchant_id = $1 AND resource = $2 AND remaining > 0 LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
	.params = {INT8OID, TEXTOID}
};

static Statement quota_stripe_sql = {
	.sql = "SELECT stripe, remaining FROM loyalty_internal.quota"
	" WHERE merchant_id = $1 AND resource = $2 AND stripe = $3 AND remaining > 0 FOR NO KEY UPDATE",
	.params = {INT8OID, TEXTOID, INT2OID}
};

static Statement quota_left_sql = {
	.sql = "SELECT stripe FROM loyalty_internal.quota WHERE merchant_id = $1 AND resource = $2 AND remaining > 0 ORDER BY stripe LIMIT 1",
	.params = {INT8OID, TEXTOID}
};

/* A stripe to be locked by a statement, and taken from if it is not empty. */
typedef struct Taking
{
	Statement  *lock;
	Datum	   *values;
} Taking;

static bool
take_locked(void *argument)
{
	Taking	   *taking = argument;
	Datum	   *values = taking->values;
	bool		isnull;

	if (db_write(taking->lock, values, NULL) == 0)
		return false;
	values[2] = row_datum(0, "stripe", &isnull);
	values[3] = Int64GetDatum(row_int64(0, "remaining") - 1);
	db_write(&quota_set_sql, values, NULL);
	return true;
}

/*
 * Take one from whichever stripe has one, if need be after whoever is taking the
 * last.  A stripe that was emptied before it could be locked is let go of, and
 * what is left is looked for again.
 */
static bool
take_any(Datum *values)
{
	Taking		any = {&quota_any_sql, values};
	Taking		last = {&quota_stripe_sql, values};
	bool		isnull;

	while (!db_attempt(take_locked, &any))
	{
		if (db_write(&quota_left_sql, values, NULL) == 0)
			return false;
		values[2] = row_datum(0, "stripe", &isnull);
		if (db_attempt(take_locked, &last))
			break;
	}
	return true;
}

/*
 * Whether the newest quota that the session asked for was one: then the next
 * one probably is too, and need not be looked for before it is taken from.
 */
static bool expect_quota = false;

#define LOCK_PLENTY(resource) \
	"SELECT q.resource FROM loyalty_internal.quota q WHERE q.merchant_id = $1 AND q.resource = " resource \
	" AND q.stripe = $3 AND q.remaining > " QUOTA_PLENTY

static Statement quota_take_sql = {
	.sql = "UPDATE loyalty_internal.quota SET remaining = remaining - 1"
	" WHERE merchant_id = $1 AND stripe = $3 AND remaining > 0 AND resource = (" LOCK_PLENTY("$2") " FOR NO KEY UPDATE SKIP LOCKED)",
	.params = {INT8OID, TEXTOID, INT2OID}
};

static Statement quota_read_sql = {
	.sql = "SELECT remaining FROM loyalty_internal.quota WHERE merchant_id = $1 AND resource = $2 AND stripe = $3",
	.params = {INT8OID, TEXTOID, INT2OID}
};

/* True also where there is no limit: then there are no stripes. */
bool
quota_take(int64 merchant_id, const char *resource)
{
	Datum		values[4] = {
		Int64GetDatum(merchant_id),
		CStringGetTextDatum(resource),
		Int16GetDatum(MyProcNumber % QUOTA_STRIPES),
	};
	bool		expected = expect_quota;

	if (expected && db_write(&quota_take_sql, values, NULL) > 0)
		return true;
	expect_quota = db_read(&quota_read_sql, values, NULL) > 0;
	return !expect_quota || (!expected && db_write(&quota_take_sql, values, NULL) > 0) || take_any(values);
}

/* nobody holds a stripe of the second resource who may have to wait for one of the first */
static Statement quotas_take_sql = {
	.sql = "WITH first AS (" LOCK_PLENTY("$2") " FOR NO KEY UPDATE SKIP LOCKED),"
	" second AS (" LOCK_PLENTY("$4") " AND EXISTS (SELECT FROM first) FOR NO KEY UPDATE SKIP LOCKED)"
	" UPDATE loyalty_internal.quota SET remaining = remaining - 1 WHERE merchant_id = $1 AND stripe = $3 AND remaining > 0"
	" AND resource = ANY (ARRAY[(SELECT resource FROM first), (SELECT resource FROM second)]) RETURNING resource",
	.params = {INT8OID, TEXTOID, INT2OID, TEXTOID}
};

/*
 * One of each, by one statement if all of them are in the session's stripe.
 * Returns what there was none of any more, NULL if there was of all.
 */
const char *
quotas_take(int64 merchant_id, const char *const *resources, int n)
{
	bool		taken[MAX_QUOTAS] = {false};

	Assert(n <= MAX_QUOTAS);
	if (n == MAX_QUOTAS && expect_quota)
	{
		Datum		values[] = {
			Int64GetDatum(merchant_id),
			CStringGetTextDatum(resources[0]),
			Int16GetDatum(MyProcNumber % QUOTA_STRIPES),
			CStringGetTextDatum(resources[1]),
		};
		uint64		rows = db_write(&quotas_take_sql, values, NULL);

		for (uint64 row = 0; row < rows; row++)
			taken[strcmp(row_text(row, "resource"), resources[0]) == 0 ? 0 : 1] = true;
	}
	for (int i = 0; i < n; i++)
	{
		if (!taken[i] && !quota_take(merchant_id, resources[i]))
			return resources[i];
	}
	return NULL;
}

PG_FUNCTION_INFO_V1(loyalty_quota_stripes);

Datum
loyalty_quota_stripes(PG_FUNCTION_ARGS pg_attribute_unused())
{
	PG_RETURN_INT32(QUOTA_STRIPES);
}

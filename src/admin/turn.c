/*
 * turn.c
 *		How many requests of one merchant are in progress at a time.
 *
 * The web server in front counts keys and addresses, of which a merchant may
 * have many.  Each of its requests that wait for one another, at one account or
 * one row, holds a connection to the database, and there are few.  So a request
 * takes one of its merchant's turns, and keeps it to its end; if all are taken
 * it is refused at once, and others find a connection.
 *
 * An app user acts for the merchant and is trusted with less: all of a merchant's
 * together take no more than a third of its turns, so that its tills have others.
 * Whoever only names an app user has half of that third, so that who is one has
 * others too.
 *
 * Who makes a merchant anew needs all that its requests may need, in whatever
 * order, and so waits until there are none, and has those that come then wait,
 * before either has locked a row.
 *
 * A turn is a lock that nobody waits for.  It is the transaction's, whatever
 * becomes of the subtransaction in which it was taken: a request that is refused
 * is not over, for that is written down.  Sessions with the same number of turns
 * share them: those of tills have one number, those of batches another.
 *
 * PostgreSQL shows the tags of locks to every role of the server.  So they have a
 * hash of the merchant_id, which only the engine can make: that somebody is served
 * can be seen, not who.  Merchants of one hash, of 64 bits, would share turns.
 */
#include "postgres.h"

#include "admin/turn.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "base/errors.h"
#include "db/statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

/* The setting loyalty.merchant_requests; 0: as many as there are. */
int			merchant_requests;

/* What is no turn: who has one shares this, and who wants no request in progress has it alone. */
#define ALL_TURNS 3

static Statement key_sql = {
	.sql = "SELECT digest_key FROM loyalty_internal.merchant WHERE merchant_id = $1",
	.params = {INT8OID},
	.by_key = true
};

static uint64
make_tag(int64 merchant_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id)};
	char		message[64];
	int			length = snprintf(message, sizeof(message), "turn " INT64_FORMAT, merchant_id);
	text	   *key;
	uint64		tag;

	db_begin();
	key = db_read(&key_sql, values, NULL) > 0 ? cstring_to_text(row_text(0, "digest_key")) : NULL;
	memcpy(&tag, VARDATA(hmac_digest(key, message, length)), sizeof(tag));
	db_end();
	return tag;
}

/* A merchant's key never changes, so the session remembers what it has made of it. */
#define REMEMBERED 251

static uint64
tag_of(int64 merchant_id)
{
	static struct
	{
		int64		merchant_id;	/* 0: nobody */
		uint64		tag;
	}			remembered[REMEMBERED];
	int			i = (uint64) merchant_id % REMEMBERED;

	if (remembered[i].merchant_id != merchant_id)
	{
		remembered[i].tag = make_tag(merchant_id);
		remembered[i].merchant_id = merchant_id;
	}
	return remembered[i].tag;
}

/* SQL's advisory locks have 1 or 2 in the last part of their tags, turns 256 and more. */
static bool
lock(uint64 merchant, int part, LOCKMODE mode, bool waits)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag;
	LockAcquireResult result;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (merchant >> 32), (uint32) merchant, part);
	CurrentResourceOwner = TopTransactionResourceOwner;
	result = LockAcquire(&tag, mode, false, !waits);
	CurrentResourceOwner = owner;
	return result != LOCKACQUIRE_NOT_AVAIL;
}

static bool
take(uint64 merchant, int turns)
{
	for (int i = 0; i < turns; i++)
	{
		if (lock(merchant, (merchant_requests << 8) | (MyProcNumber + i) % turns, ExclusiveLock, false))
			return true;
	}
	return turns == 0;
}

/* Take a turn of the merchant, if there is one for such a request.  Sessions begin to look at different ones. */
bool
turn_try(int64 merchant_id, Turns whose)
{
	uint64		merchant = tag_of(merchant_id);

	return take(merchant, (merchant_requests + whose - 1) / whose) && lock(merchant, ALL_TURNS, ShareLock, true);
}

/* The same, or raise. */
void
turn_take(int64 merchant_id, Turns whose)
{
	if (!turn_try(merchant_id, whose))
		raise_error(ERR_TOO_MANY_IN_PROGRESS);
}

PG_FUNCTION_INFO_V1(loyalty_stop_requests);

/* loyalty_internal.stop_requests(): nobody has a turn of the merchant until the transaction ends. */
Datum
loyalty_stop_requests(PG_FUNCTION_ARGS)
{
	(void) lock(tag_of(PG_GETARG_INT64(0)), ALL_TURNS, ExclusiveLock, true);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(loyalty_take_turn);

/* loyalty_internal.take_turn(): for requests that are served in SQL. */
Datum
loyalty_take_turn(PG_FUNCTION_ARGS)
{
	turn_take(PG_GETARG_INT64(0), TURNS_OF_MERCHANT);
	PG_RETURN_VOID();
}

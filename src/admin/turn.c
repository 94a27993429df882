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
 *
 * Of those that have a turn, few are worked on at a time where the setting says
 * so: long work of one merchant leaves processors to the others.  The rest wait.
 *
 * A turn is a lock that nobody waits for.  Sessions with the same number of
 * turns share them: those of tills have one number, those of batches another.
 */
#include "postgres.h"

#include "admin/turn.h"
#include "base/compat.h"
#include "base/errors.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"

/* SQL's advisory locks have 1 or 2 in the last part of their tags, turns 256 and more. */
#define FIRST_WORKER 3

/* The setting loyalty.merchant_requests; 0: as many as there are. */
int			merchant_requests;

/* The setting loyalty.merchant_workers; 0: as many as have a turn. */
int			merchant_workers;

static bool
lock_merchant(int64 merchant_id, int number, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (merchant_id >> 32), (uint32) merchant_id, number);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

/* The first of so many turns that is free; sessions begin to look at different ones. */
static int
take_free_turn(int64 merchant_id, int turns)
{
	for (int i = 0; i < turns; i++)
	{
		int			turn = (MyProcNumber + i) % turns;

		if (lock_merchant(merchant_id, (merchant_requests << 8) | turn, false))
			return turn;
	}
	raise_error(ERR_TOO_MANY_IN_PROGRESS);
}

/* Wait for the work that is before; it may take longer than any row is to be waited for. */
static void
wait_for_worker(int64 merchant_id, int worker)
{
	int			lock_timeout = LockTimeout;

	PG_TRY();
	{
		LockTimeout = 0;
		lock_merchant(merchant_id, FIRST_WORKER + worker, true);
	}
	PG_FINALLY();
	{
		LockTimeout = lock_timeout;
	}
	PG_END_TRY();
}

/* Take a turn of the merchant, for itself or an app user, or raise, and wait until it is worked on. */
void
turn_take(int64 merchant_id, bool for_app_user)
{
	int			turns = for_app_user ? (merchant_requests + 2) / 3 : merchant_requests;
	int			turn = turns > 0 ? take_free_turn(merchant_id, turns) : MyProcNumber;

	if (merchant_workers > 0)
		wait_for_worker(merchant_id, turn % merchant_workers);
}

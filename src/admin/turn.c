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
 * A turn is a lock that nobody waits for.  Sessions with the same number of
 * turns share them: those of tills have one number, those of batches another.
 */
#include "postgres.h"

#include "admin/turn.h"
#include "base/compat.h"
#include "base/errors.h"
#include "miscadmin.h"
#include "storage/lock.h"

/* The setting loyalty.merchant_requests; 0: as many as there are. */
int			merchant_requests;

/* A turn is taken; SQL's advisory locks have 1 or 2 in the last part of their tags, turns 256 and more. */
static bool
take(int64 merchant_id, int turn)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (merchant_id >> 32), (uint32) merchant_id, (merchant_requests << 8) | turn);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Take a turn of the merchant, for itself or an app user, or raise.  Sessions begin to look at different ones. */
void
turn_take(int64 merchant_id, bool for_app_user)
{
	int			turns = for_app_user ? (merchant_requests + 2) / 3 : merchant_requests;

	for (int i = 0; i < turns; i++)
	{
		if (take(merchant_id, (MyProcNumber + i) % turns))
			return;
	}
	if (turns > 0)
		raise_error(ERR_TOO_MANY_IN_PROGRESS);
}

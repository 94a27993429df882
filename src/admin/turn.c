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

/*
 * Take a turn of the merchant, or raise.  Sessions begin to look at different
 * ones.  The last part of the tag keeps it apart from SQL's advisory locks,
 * which have 1 or 2 there.
 */
void
turn_take(int64 merchant_id)
{
	for (int i = 0; i < merchant_requests; i++)
	{
		LOCKTAG		tag;
		int			turn = (MyProcNumber + i) % merchant_requests;

		SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (merchant_id >> 32), (uint32) merchant_id,
							 (merchant_requests << 8) | turn);
		if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
			return;
	}
	if (merchant_requests > 0)
		raise_error(ERR_TOO_MANY_IN_PROGRESS);
}

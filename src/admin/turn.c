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
 * A turn is a lock that nobody waits for.  It is the transaction's, whatever
 * becomes of the subtransaction in which it was taken: a request that is refused
 * is not over, for that is written down.  Sessions with the same number of turns
 * share them: those of tills have one number, those of batches another.
 */
#include "postgres.h"

#include "admin/turn.h"
#include "base/compat.h"
#include "base/errors.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/resowner.h"

/* The setting loyalty.merchant_requests; 0: as many as there are. */
int			merchant_requests;

/* A turn is taken; SQL's advisory locks have 1 or 2 in the last part of their tags, turns 256 and more. */
static bool
take(int64 merchant_id, int turn)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag;
	LockAcquireResult result;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (merchant_id >> 32), (uint32) merchant_id, (merchant_requests << 8) | turn);
	CurrentResourceOwner = TopTransactionResourceOwner;
	result = LockAcquire(&tag, ExclusiveLock, false, true);
	CurrentResourceOwner = owner;
	return result != LOCKACQUIRE_NOT_AVAIL;
}

/* Take a turn of the merchant, if there is one for such a request.  Sessions begin to look at different ones. */
bool
turn_try(int64 merchant_id, Turns whose)
{
	int			turns = (merchant_requests + whose - 1) / whose;

	for (int i = 0; i < turns; i++)
	{
		if (take(merchant_id, (MyProcNumber + i) % turns))
			return true;
	}
	return turns == 0;
}

/* The same, or raise. */
void
turn_take(int64 merchant_id, Turns whose)
{
	if (!turn_try(merchant_id, whose))
		raise_error(ERR_TOO_MANY_IN_PROGRESS);
}

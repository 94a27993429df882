/*
 * attempt.c
 *		Work that leaves nothing behind, no lock either, unless it succeeds.
 */
#include "postgres.h"

#include "access/xact.h"
#include "db/attempt.h"
#include "utils/resowner.h"

/*
 * Do some work in a subtransaction, which is rolled back if the work answers
 * false.  A statement that had to wait for a row, and then finds that the row
 * does not suit it any more, keeps it locked; this lets go of it.
 */
bool
db_attempt(bool (*work) (void *argument), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = work(argument);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	if (done)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return done;
}

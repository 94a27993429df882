/*
 * outcome.c
 *		What a session keeps of a transaction that may still be rolled back.
 *
 * A statement can change rows and read them again before its triggers run, and
 * then fail.  What a session has read or taken by then is good only if the
 * transaction commits, or the subtransaction that it was in.  So it is kept
 * together with that transaction, and who looks at it again asks what came of it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "db/outcome.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/xid8.h"

/* The transaction that what is read now depends on; an invalid one: it has changed nothing yet. */
FullTransactionId
outcome_open(void)
{
	/* a statement that runs in parallel changes nothing, and may not begin to */
	if (IsInParallelMode() || !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return InvalidFullTransactionId;
	return GetCurrentFullTransactionId();
}

static bool
was_committed(FullTransactionId transaction)
{
	LOCAL_FCINFO(call, 1);
	Datum		status;

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0].value = FullTransactionIdGetDatum(transaction);
	call->args[0].isnull = false;
	status = pg_xact_status(call);
	/* NULL: it is so long ago that nobody knows any more */
	return !call->isnull && strcmp(TextDatumGetCString(status), "committed") == 0;
}

/* Whether what depends on a transaction is good: it goes on, or was committed, and then need not be asked for again. */
bool
outcome_is_good(FullTransactionId *transaction)
{
	if (!FullTransactionIdIsValid(*transaction) || TransactionIdIsCurrentTransactionId(XidFromFullTransactionId(*transaction)))
		return true;
	if (!was_committed(*transaction))
		return false;
	*transaction = InvalidFullTransactionId;
	return true;
}

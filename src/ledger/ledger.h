/*
 * ledger.h
 *		The points engine: the one path by which a balance changes.
 */
#ifndef LOYALTY_LEDGER_H
#define LOYALTY_LEDGER_H

#include "postgres.h"
#include "ledger/batch.h"

/* What an account has at a moment, with all that is due by then. */
typedef struct AccountState
{
	Points		balance;
	Points		held;
	Points		pending;
	Points		expired;
	Points		earned;
	Lots		lots;
} AccountState;

/* A batch, from the locks to what is written. */
extern void batch_start(Batch *batch, int64 merchant_id, Posting *postings, int n);
extern void batch_write(Batch *batch);
extern bool batch_view_stored(Batch *batch, int64 merchant_id, Account *account, TimestampTz at);
extern bool batch_view(Batch *batch, int64 merchant_id, Account *account, TimestampTz at);

extern void ledger_post(int64 merchant_id, Posting *postings, int n);
extern void ledger_post_bounded(int64 merchant_id, Posting *postings, int n, int *due);
extern int	ledger_expire(int64 merchant_id, const int64 *account_ids, int n);
extern bool ledger_state(int64 merchant_id, int64 account_id, TimestampTz at, AccountState *state);

#endif

/*
 * recount.h
 *		Ranks of the accounts of a batch, and the points that count for them.
 */
#ifndef LOYALTY_RECOUNT_H
#define LOYALTY_RECOUNT_H

#include "postgres.h"
#include "ledger/batch.h"

extern void recount_accounts(Batch *batch, Account **accounts, int n, bool by_entries);
extern void batch_read_ranks(Batch *batch);
extern void count_earned(Batch *batch, Account *account, Points amount, TimestampTz at);
extern void count_reversed(Batch *batch, Account *account, Points amount, TimestampTz from);
extern void write_ranks(Batch *batch);

#endif

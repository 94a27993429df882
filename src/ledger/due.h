/*
 * due.h
 *		What became due in an account since its last posting.
 */
#ifndef LOYALTY_DUE_H
#define LOYALTY_DUE_H

#include "postgres.h"
#include "ledger/batch.h"

extern bool book_due(Batch *batch);
extern void book_expired(Batch *batch, Account *account, TimestampTz at);
extern void date_returned(Batch *batch, Account *account, const Lots *lots, TimestampTz at, Lots *returned);

#endif

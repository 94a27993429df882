/*
 * reversal.h
 *		Reversing entries, wholly and in parts.
 */
#ifndef LOYALTY_REVERSAL_H
#define LOYALTY_REVERSAL_H

#include "postgres.h"
#include "ledger/batch.h"

extern bool reversal_gives(Batch *batch, const Posting *posting, const Account *account, Movement *movement);
extern bool reversal_repeats(const Batch *batch, Posting *posting, ErrorId *error);
extern ErrorId apply_reversal(Batch *batch, Posting *posting, Account *account);

#endif

/*
 * kinds.h
 *		What each kind of posting does to its account.
 */
#ifndef LOYALTY_KINDS_H
#define LOYALTY_KINDS_H

#include "postgres.h"
#include "ledger/batch.h"

extern bool amount_suits_kind(EntryKind kind, Points amount);
extern bool posting_moves(const Posting *posting, int64 program_id, Movement *movement);
extern void apply_expected(Batch *batch, const Posting *postings, int n);
extern ErrorId apply_posting(Batch *batch, Posting *posting, Account *account);

#endif

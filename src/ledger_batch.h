/*
 * ledger_batch.h
 *		What a batch of postings has in memory.  Known to the ledger's own files.
 */
#ifndef LOYALTY_LEDGER_BATCH_H
#define LOYALTY_LEDGER_BATCH_H

#include "chain.h"
#include "ledger_rows.h"
#include "limit.h"
#include "rule.h"
#include "terms.h"

typedef struct Batch
{
	int64		merchant_id;
	TimestampTz now;
	Account    *accounts;		/* ascending */
	int			naccounts;
	HTAB	   *asides;			/* Aside by EntryKey; NULL: none was met */
	HTAB	   *originals;		/* Original by EntryKey; NULL: nothing is undone */
	HTAB	   *lapses;			/* Lapse by LapseKey; NULL: none was met */
	Terms	   *terms;			/* those that were asked for */
	Chain	   *chain;			/* NULL: nothing will be written */
	Limits	   *limits;			/* NULL: no posting is limited */
	Rules	   *rules;			/* NULL: no posting earns by rules or ranks */
	Entry	  **entries;		/* what is to be inserted, in order */
	int			nentries;
	int			allocated;
} Batch;

extern Account *batch_account(const Batch *batch, int64 account_id);
extern const Terms *batch_terms(Batch *batch, const Account *account, TimestampTz at);
extern Entry batch_entry(const Posting *posting, EntryKind kind);
extern Entry *batch_add_entry(Batch *batch, Account *account, const Entry *entry, TimestampTz at);
extern Aside *batch_aside(const Batch *batch, int64 account_id, int64 version);
extern HTAB *batch_table(HTAB **table, Size entry_size);
extern Lapse *batch_lapse(Batch *batch, int64 account_id, TimestampTz expires_at);

extern bool suits_at_once(const Posting *posting);
extern bool post_at_once(int64 merchant_id, Posting *posting);
extern void settle_accounts(Batch *batch);
extern void settle_expired(Batch *batch, Account *account, TimestampTz at);
extern void settle_returned(Batch *batch, Account *account, const Lots *lots, TimestampTz at, Lots *returned);
extern bool amount_suits_kind(EntryKind kind, Points amount);
extern bool posting_moves(const Posting *posting, int64 program_id, Movement *movement);
extern void apply_expected(Batch *batch, const Posting *postings, int n);
extern ErrorId apply_posting(Batch *batch, Posting *posting, Account *account);
extern ErrorId apply_reversal(Batch *batch, Posting *posting, Account *account);

#endif

/*
 * batch.h
 *		What a batch of postings has in memory.  Known to the ledger's own files.
 */
#ifndef LOYALTY_LEDGER_BATCH_H
#define LOYALTY_LEDGER_BATCH_H

#include "account/chain.h"
#include "account/expired_lot.h"
#include "account/original.h"
#include "account/reservation.h"
#include "account/rows.h"
#include "earning/rule.h"
#include "ledger/ledger.h"
#include "limits/limit.h"
#include "program/terms.h"

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
	bool		writes;			/* else it is only looked at */
	Limits	   *limits;			/* NULL: no posting is limited */
	Rules	   *rules;			/* NULL: no posting earns by rules or ranks */
	bool		ranks_read;
	Entry	  **entries;		/* what is to be inserted, in order */
	int			nentries;
	int			allocated;
} Batch;

extern Account *batch_account(const Batch *batch, int64 account_id);
extern const Terms *batch_terms(Batch *batch, const Account *account, TimestampTz at);
extern Entry batch_entry(const Posting *posting, EntryKind kind);
extern Entry *batch_add_entry(Batch *batch, Account *account, const Entry *entry, TimestampTz at);
extern Aside *batch_aside(const Batch *batch, int64 account_id, int64 entry_id);
extern HTAB *batch_table(HTAB **table, Size entry_size);
extern Lapse *batch_lapse(Batch *batch, int64 account_id, TimestampTz posted);

/* What is left of an entry that can be undone. */
typedef struct Left
{
	Points		points;
	Points		undated;		/* of these never expire */
	Lots		lots;
} Left;

/* What a part of it is made of; all lots but the last two are the entry's own. */
typedef struct Part
{
	Points		amount;
	Lots		lots;			/* all that has a date */
	Lots		expired;		/* had expired already */
	Lots		spent;
	Points		points_expired;
	Points		points_there;
	Points		spent_undated;
	Lots		there;			/* as the account has them */
	Lots		rest;			/* of the account's lots, without those */
} Part;

extern Points whole_of(const Original *original);
extern Left left_of(const Original *original);
extern bool is_undone(const Original *original);
extern void part_of(Batch *batch, const Original *original, const Account *holder, bool from_last, Points amount, Part *part);
extern void part_spent(const Part *part, bool from_last, Points points, Lots *dated);
extern void part_count_expired(Batch *batch, const Account *holder, const Part *part);

extern void count_anew(Batch *batch, Account **accounts, int n);
extern void batch_read_ranks(Batch *batch);
extern void count_earned(Batch *batch, Account *account, Points amount, TimestampTz at);
extern void count_undone(Batch *batch, Account *account, Points amount, TimestampTz from);
extern void write_ranks(Batch *batch);

extern void batch_start(Batch *batch, int64 merchant_id, Posting *postings, int n);
extern void batch_write(Batch *batch);
extern bool batch_view(Batch *batch, int64 merchant_id, Account *account, TimestampTz at);

extern bool suits_at_once(const Posting *posting);
extern bool post_at_once(int64 merchant_id, Posting *posting);
extern void settle_accounts(Batch *batch);
extern void settle_expired(Batch *batch, Account *account, TimestampTz at);
extern void settle_returned(Batch *batch, Account *account, const Lots *lots, TimestampTz at, Lots *returned);
extern bool amount_suits_kind(EntryKind kind, Points amount);
extern bool posting_moves(const Posting *posting, int64 program_id, Movement *movement);
extern void apply_expected(Batch *batch, const Posting *postings, int n);
extern ErrorId apply_posting(Batch *batch, Posting *posting, Account *account);
extern bool reversal_gives(Batch *batch, const Posting *posting, const Account *account, Movement *movement);
extern bool reversal_repeats(const Batch *batch, Posting *posting, ErrorId *error);
extern ErrorId apply_reversal(Batch *batch, Posting *posting, Account *account);

#endif

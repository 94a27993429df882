/*
 * batch.h
 *		A batch of postings while it is applied: its accounts, what they name,
 *		and the entries to be written.
 */
#ifndef LOYALTY_BATCH_H
#define LOYALTY_BATCH_H

#include "postgres.h"
#include "account/expired_lot.h"
#include "account/original.h"
#include "account/reservation.h"
#include "account/rows.h"
#include "earning/rule.h"
#include "ledger/posting.h"
#include "limits/limit.h"
#include "program/terms.h"

typedef struct Batch
{
	int64		merchant_id;
	TimestampTz now;
	TimestampTz ahead;			/* now, but for a moment that is over: see Moment */
	Account    *accounts;		/* ascending */
	int			naccounts;
	HTAB	   *reservations;	/* Reservation by EntryKey; NULL: none was met */
	HTAB	   *originals;		/* Original by EntryKey; NULL: nothing is reversed */
	HTAB	   *expired_lots;	/* ExpiredLot by ExpiredLotKey; NULL: none was met */
	Terms	   *terms;			/* cache of terms_at() */
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
extern Reservation *batch_reservation(const Batch *batch, int64 account_id, int64 entry_id);
extern HTAB *batch_table(HTAB **table, Size entry_size);
extern ExpiredLot *batch_expired_lot(Batch *batch, int64 account_id, TimestampTz posted);

#endif

/*
 * ledger_rows.h
 *		The rows of the ledger, as the engine reads and writes them.
 */
#ifndef LOYALTY_LEDGER_ROWS_H
#define LOYALTY_LEDGER_ROWS_H

#include "ledger.h"

/* An account in memory: what was read, and what is to be written. */
typedef struct Account
{
	int64		account_id;
	int64		program_id;
	int64		stored_version; /* -1: there is no such account */
	int64		version;
	Points		balance;
	TimestampTz posted_at;
	bool		changed;

	/* only if the program expires points or ranks members */
	bool		has_terms;
	Points		earned;
	Points		expired;
	Points		lots_earned;
	Points		lots_used;
	TimestampTz next_expiry;	/* DT_NOEND: none */
	TimestampTz last_expiry;	/* DT_NOBEGIN: none */
} Account;

typedef struct Lot
{
	int64		account_id;
	TimestampTz expires_at;
	Points		cumulative;
	int64		version;
} Lot;

extern int	compare_accounts(const void *a, const void *b);
extern void rows_lock_accounts(int64 merchant_id, Account *accounts, int n);
extern void rows_settle_due(int64 merchant_id, Account *accounts, int n, TimestampTz now,
							void (*settle) (void *context, Account *account, Points due), void *context);
extern TimestampTz rows_expiry(int64 merchant_id, int64 program_id, TimestampTz now);
extern void rows_update_accounts(int64 merchant_id, const Account *accounts, int n);
extern void rows_insert_entry(int64 merchant_id, const Posting *posting);
extern void rows_insert_entries(int64 merchant_id, Posting *const *postings, int n);
extern void rows_insert_lots(int64 merchant_id, const Lot *lots, int n);

#endif

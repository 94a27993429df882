/*
 * rows.h
 *		The rows of the ledger, as the engine reads and writes them.
 */
#ifndef LOYALTY_LEDGER_ROWS_H
#define LOYALTY_LEDGER_ROWS_H

#include "account/account.h"
#include "utils/hsearch.h"

/* An entry of an account; the key of the two tables below. */
typedef struct EntryKey
{
	int64		account_id;
	int64		entry_id;
} EntryKey;

/* Points that an entry set aside. */
typedef struct Aside
{
	EntryKey	key;
	int64		entry_no;
	EntryKind	kind;
	Points		amount;
	Points		remaining;
	Lots		lots;
	TimestampTz due_at;			/* DT_NOEND: never */
	bool		changed;
} Aside;

/* One part of an entry that has been undone. */
typedef struct Reversal
{
	char	   *reference;
	int64		reversed_by;
	int64		reversed_no;	/* its place in the account */
	Points		amount;
	Points		money;
	bool		has_money;
	Points		balance;
	Lots		lots;			/* those of the entry that it undid */
	Points		expired;		/* had expired already, so nothing was taken for them */
	bool		is_new;
	struct Reversal *next;
} Reversal;

/* An entry that is to be undone, and what of it has been. */
typedef struct Original
{
	EntryKey	key;
	EntryKind	kind;
	Points		amount;
	Points		aside;
	Points		money;
	bool		has_money;
	TimestampTz posted_at;
	int64		origin;
	int64		peer_id;
	Lots		lots;
	int			rules;
	TimestampTz limited_at;		/* when limits counted it, and of whom; 0: of nobody in particular */
	int64		staff_id;
	int64		member_id;
	Reversal   *reversals;
} Original;

/* What expired: of which account, and with which date it was posted. */
typedef struct LapseKey
{
	int64		account_id;
	TimestampTz expires_at;
} LapseKey;

/* Points of a date that expired, and what of them refunds have spared. */
typedef struct Lapse
{
	LapseKey	key;
	Points		points;			/* with what the batch adds, as the following */
	Points		refunded;
	Points		new_points;		/* what the batch adds */
	Points		new_refunded;
} Lapse;

extern int	compare_accounts(const void *a, const void *b);
extern void rows_lock_accounts(int64 merchant_id, Account *accounts, int n);
extern bool rows_read_account(int64 merchant_id, Account *account);
extern bool rows_read_text_key(int64 merchant_id, const Entry *entry, pg_uuid_t *key);
extern void rows_adopt(int64 merchant_id, Account *accounts, int n);
extern void rows_read_asides(int64 merchant_id, HTAB *asides, const EntryKey *keys, int n);
extern void rows_read_due(int64 merchant_id, HTAB *asides, const int64 *account_ids, int n, TimestampTz now,
						  bool locked, void (*take) (void *context, Aside *aside), void *context);
extern void rows_read_originals(int64 merchant_id, HTAB *originals, const EntryKey *keys, int n);
extern void rows_read_reversals(int64 merchant_id, HTAB *originals, const EntryKey *keys, int n);
extern void rows_read_lapses(int64 merchant_id, HTAB *lapses);
extern void rows_update_accounts(int64 merchant_id, const Account *accounts, int n);
extern void rows_insert_entries(int64 merchant_id, Entry *const *entries, int n);
extern void rows_write_asides(int64 merchant_id, HTAB *asides);
extern void rows_insert_reversals(int64 merchant_id, HTAB *originals);
extern void rows_write_lapses(int64 merchant_id, HTAB *lapses);

#endif

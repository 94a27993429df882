/*
 * rows.h
 *		Accounts and entries, as the engine reads and writes their rows.
 */
#ifndef LOYALTY_ROWS_H
#define LOYALTY_ROWS_H

#include "account/account.h"
#include "utils/hsearch.h"

/* An entry of an account; a key of hash tables. */
typedef struct EntryKey
{
	int64		account_id;
	int64		entry_id;
} EntryKey;

/* The columns that account_read() and accounts_lock() read. */
#define ACCOUNT_COLUMNS \
	"account_id, balance, entry_no, posted_at, program_id, hash, earned, expired, held, pending, due_at, lots, qualifying," \
	" moved_to IS NOT NULL AS moved, ctid, ranked_at, newest_id, previous_id, text_key"

/* A column of lots of the newest result. */
#define row_lots(row, name, lots)	db_row_lots(row, "" name, lots)

extern int	compare_accounts(const void *a, const void *b);
extern void rows_lock_accounts(int64 merchant_id, Account *accounts, int n);
extern bool rows_read_account(int64 merchant_id, Account *account);
extern bool rows_read_text_key(const Entry *entry, pg_uuid_t *key);
extern void rows_adopt(int64 merchant_id, Account *accounts, int n);
extern void rows_update_accounts(int64 merchant_id, const Account *accounts, int n);
extern void rows_insert_entries(Entry *const *entries, int n);

extern void db_row_lots(uint64 row, const char *name, Lots *lots);
extern void entry_key_arrays(const EntryKey *keys, int n, Datum *values);

#endif

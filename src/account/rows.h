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
	"account_id, balance, entry_no, posted_at, program_id, hash, earned, purchases, expired, held, pending, due_at, lots, qualifying," \
	" moved_to IS NOT NULL AS moved, ctid, ranked_at, newest_entry_id, previous_entry_id, text_key"

/*
 * The entries of an account from the newest on, each found by the one after it:
 * as many as are asked for.  Numbers fall, or damaged ones might go round in a
 * circle.
 */
#define HISTORY_OF(account) \
	"(WITH RECURSIVE history AS (SELECT n.* FROM loyalty_internal.account a JOIN loyalty.entry n ON n.merchant_id = $1 AND n.entry_id = a.newest_entry_id" \
	" WHERE a.merchant_id = $1 AND a.account_id = " account \
	" UNION ALL SELECT p.* FROM history h, LATERAL (SELECT b.* FROM loyalty.entry b" \
	" WHERE b.merchant_id = $1 AND b.entry_id = h.previous_entry_id AND b.entry_no < h.entry_no OFFSET 0) p) SELECT * FROM history)"

/* A column of lots of the newest result. */
#define row_lots(row, name, lots)	db_row_lots(row, "" name, lots)

extern int	compare_accounts(const void *a, const void *b);
extern void accounts_hold(int64 merchant_id, const int64 *account_ids, int n);
extern void accounts_lock(int64 merchant_id, Account *accounts, int n);
extern bool account_read(int64 merchant_id, Account *account);
extern void entry_find_named(Entry *entry);
extern bool account_text_key(const Entry *entry, pg_uuid_t *key);
extern void account_text_salt(const pg_uuid_t *key, Entry *entry);
extern void accounts_adopt(int64 merchant_id, Account *accounts, int n);
extern void accounts_update(int64 merchant_id, const Account *accounts, int n);
extern void entries_insert(Entry *const *entries, int n);

extern void db_row_lots(uint64 row, const char *name, Lots *lots);
extern void entry_key_arrays(const EntryKey *keys, int n, Datum *values);

#endif

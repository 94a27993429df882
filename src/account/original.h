/*
 * original.h
 *		Entries that are to be reversed, and what of them has been.
 */
#ifndef LOYALTY_ORIGINAL_H
#define LOYALTY_ORIGINAL_H

#include "account/rows.h"

/* One part of an entry that has been reversed. */
typedef struct Reversal
{
	bytea	   *reference_digest;	/* of what the part is known by */
	int64		reversed_by;
	int64		reversed_no;	/* its place in the account */
	Points		amount;
	Points		money;
	bool		has_money;
	Points		balance;
	int64		peer_entry_id;	/* of a transfer that was reversed; else 0 */
	Points		peer_balance;
	Lots		lots;			/* those of the entry that it reversed */
	Points		expired;		/* had expired already, so nothing was taken for them */
	bool		is_new;
	struct Reversal *next;
} Reversal;

/* An entry that is to be reversed, and what of it has been. */
typedef struct Original
{
	EntryKey	key;
	EntryKind	kind;
	Points		amount;
	Points		reserved;
	Points		money;
	bool		has_money;
	TimestampTz posted_at;
	int64		origin_entry_id;
	int64		peer_account_id;
	Lots		lots;
	int			rules;
	TimestampTz limited_at;		/* when limits counted it, and of whom; 0: of nobody in particular */
	int64		staff_id;
	int64		member_id;
	int64		key_id;
	Reversal   *reversals;
	text	   *digest_key;		/* of the merchant; NULL: there is none */
} Original;

extern void originals_read(int64 merchant_id, HTAB *originals, const EntryKey *keys, int n);
extern bool entry_began_with_erased(int64 merchant_id, int64 entry_id);
extern int64 *entries_read_members(int64 merchant_id, const EntryKey *keys, int n);
extern void originals_read_reversals(int64 merchant_id, HTAB *originals);
extern void originals_write_reversals(int64 merchant_id, HTAB *originals);

#endif

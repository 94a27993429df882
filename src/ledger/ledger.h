/*
 * ledger.h
 *		The points engine: the one path by which a balance changes.
 */
#ifndef LOYALTY_LEDGER_H
#define LOYALTY_LEDGER_H

#include "postgres.h"
#include "base/errors.h"
#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "program/terms.h"
#include "types/lots.h"
#include "types/points.h"

/* Stored in loyalty.entry.kind: numbers stay what they are. */
typedef enum EntryKind
{
	ENTRY_ACCRUE = 1,			/* earned by a sale */
	ENTRY_DEPOSIT = 2,			/* given */
	ENTRY_REDEEM = 3,			/* spent */
	ENTRY_ADJUST = 4,			/* corrected, either way */
	ENTRY_EXPIRE = 5,			/* past its date; the engine's own */
	ENTRY_HOLD = 6,				/* set aside, to be spent */
	ENTRY_CAPTURE = 7,			/* spent of a hold */
	ENTRY_RELEASE = 8,			/* given back of a hold */
	ENTRY_MATURE = 9,			/* was pending, is available; the engine's own */
	ENTRY_REVERSE = 10,			/* undone */
	ENTRY_TRANSFER = 11			/* from one account to another */
} EntryKind;

/* One operation that is asked for, and what came of it. */
typedef struct Posting
{
	int64		account_id;
	EntryKind	kind;
	Points		amount;			/* accrue to adjust: signed; else positive, 0 for all there is */
	Points		money;			/* of the sale, if has_money */
	bool		has_money;
	bool		earns;			/* the program's rules and ranks add to the amount, which is then all */
	Points		earning_money;	/* the part of the money that does, if it earns */
	text	   *items;			/* of the sale, JSON, NULL: not known */
	int64		staff_id;		/* 0: nobody in particular */
	int64		member_id;		/* 0: whose the account is */
	int64		origin;			/* the hold, or what is undone; else 0 */
	int64		peer_id;		/* where a transfer goes; else 0 */
	TimestampTz available_at;	/* 0: as the program says */
	TimestampTz expires_at;		/* 0: as the program says; a hold's: when it times out */
	text	   *reference;		/* NULL: none */
	text	   *detail;			/* JSON, NULL: none */
	const ProgramTerms *program;	/* if the caller has just read it and its accounts are managed; else NULL */

	ErrorId		error;			/* ERR_NONE: posted */
	int64		entry_id;
	Points		balance;
	TimestampTz posted_at;
	int64		peer_entry_id;	/* of a transfer */
	Points		peer_balance;
} Posting;

/* One line of the ledger. */
typedef struct Entry
{
	int64		entry_id;		/* its name within the merchant */
	int64		account_id;
	int64		entry_no;		/* its place in the account: 1, 2, 3 … */
	int64		previous_id;	/* the entry before it; 0: it is the first */
	EntryKind	kind;
	Points		amount;
	Points		balance;
	TimestampTz posted_at;
	Points		money;
	bool		has_money;
	Points		aside;			/* 0: none */
	int64		staff_id;		/* 0: none, as in the following */
	int64		origin;
	int64		peer_id;
	int64		member_id;
	int			rules;
	TimestampTz happened_at;
	int64		actor_id;
	int64		request_id;
	text	   *reference;
	text	   *detail;
	uint8		salt[PG_SHA256_DIGEST_LENGTH];	/* of its text, if it has any */
	bytea	   *text_digest;	/* NULL unless the text was erased */
	Datum		lots;			/* packed; 0: none */
	bytea	   *hash;
} Entry;

/* What an account has at a moment, with all that is due by then. */
typedef struct AccountState
{
	Points		balance;
	Points		held;
	Points		pending;
	Points		expired;
	Points		earned;
	Lots		lots;
} AccountState;

extern const char *entry_kind_name(EntryKind kind);
extern bool entry_kind_parse(const char *name, EntryKind *kind);
extern void ledger_post(int64 merchant_id, Posting *postings, int n);
extern void ledger_expire(int64 merchant_id, const int64 *account_ids, int n);
extern bool ledger_state(int64 merchant_id, int64 account_id, TimestampTz at, AccountState *state);

#endif

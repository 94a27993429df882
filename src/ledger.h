/*
 * ledger.h
 *		The points engine: the one path by which a balance changes.
 */
#ifndef LOYALTY_LEDGER_H
#define LOYALTY_LEDGER_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "errors.h"
#include "points.h"

/* Stored in loyalty.entry.kind: numbers stay what they are. */
typedef enum EntryKind
{
	ENTRY_ACCRUE = 1,			/* earned by a sale */
	ENTRY_DEPOSIT = 2,			/* given */
	ENTRY_REDEEM = 3,			/* spent */
	ENTRY_ADJUST = 4,			/* corrected, either way */
	ENTRY_EXPIRE = 5			/* past its date; the engine's own */
} EntryKind;

typedef struct Posting
{
	/* what is asked */
	int64		account_id;
	EntryKind	kind;
	Points		amount;			/* signed: what the balance changes by */
	Points		money;			/* of the sale, if has_money */
	bool		has_money;
	int64		staff_id;		/* 0: nobody in particular */
	text	   *reference;		/* NULL: none */
	text	   *detail;			/* JSON, NULL: none */

	/* what came of it */
	ErrorId		error;			/* ERR_NONE: posted */
	int64		version;
	Points		balance;
	TimestampTz posted_at;
} Posting;

extern const char *entry_kind_name(int kind);
extern bool entry_kind_parse(const char *name, EntryKind *kind);
extern void ledger_post(int64 merchant_id, Posting *postings, int n);
extern void ledger_expire(int64 merchant_id, const int64 *account_ids, int n);

#endif

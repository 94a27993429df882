/*
 * entry.h
 *		An entry: one line of the ledger.
 */
#ifndef LOYALTY_ENTRY_H
#define LOYALTY_ENTRY_H

#include "postgres.h"
#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "db/stream.h"
#include "types/lots.h"
#include "types/points.h"

/* Stored in loyalty.entry.kind: numbers stay what they are. */
#define KIND_ACCRUE		1
#define KIND_DEPOSIT	2
#define KIND_REDEEM		3
#define KIND_ADJUST		4
#define KIND_EXPIRE		5
#define KIND_HOLD		6
#define KIND_CAPTURE	7
#define KIND_RELEASE	8
#define KIND_MATURE		9
#define KIND_REVERSE	10
#define KIND_TRANSFER	11

/* A kind in the text of a statement. */
#define KIND_SQL(kind)	CppAsString2(KIND_##kind)

typedef enum EntryKind
{
	ENTRY_ACCRUE = KIND_ACCRUE, /* earned by a sale */
	ENTRY_DEPOSIT = KIND_DEPOSIT,	/* given */
	ENTRY_REDEEM = KIND_REDEEM, /* spent */
	ENTRY_ADJUST = KIND_ADJUST, /* corrected, either way */
	ENTRY_EXPIRE = KIND_EXPIRE, /* past its date; the engine's own */
	ENTRY_HOLD = KIND_HOLD,		/* reserved, to be spent */
	ENTRY_CAPTURE = KIND_CAPTURE,	/* spent of a hold */
	ENTRY_RELEASE = KIND_RELEASE,	/* given back of a hold */
	ENTRY_MATURE = KIND_MATURE, /* was pending, is available; the engine's own */
	ENTRY_REVERSE = KIND_REVERSE,	/* reversed */
	ENTRY_TRANSFER = KIND_TRANSFER	/* from one account to another */
} EntryKind;

/* Its columns come first, in the order of entry_columns, each as large as a Datum. */
typedef struct Entry
{
	int64		merchant_id;
	int64		entry_id;		/* its name within the merchant */
	int64		account_id;
	int64		entry_no;		/* its place in the account: 1, 2, 3 … */
	int64		previous_entry_id;	/* the entry before it; 0: it is the first */
	int64		kind;
	Points		amount;
	Points		balance;
	TimestampTz posted_at;
	int64		staff_id;		/* 0: none, as in the following */
	Points		money;
	Points		reserved;
	int64		origin_entry_id;
	int64		peer_account_id;
	int64		member_id;
	int64		rules;
	TimestampTz happened_at;
	int64		actor_id;
	int64		request_id;
	Datum		lots;			/* packed; 0: none */
	text	   *reference;
	text	   *detail;
	bytea	   *text_digest;	/* NULL unless the text was erased */
	bytea	   *hash;
	int64		named_id;		/* whom it names, or what it goes on with; 0: nobody */
	bool		has_money;		/* its money may be 0 */
	uint8		salt[PG_SHA256_DIGEST_LENGTH];	/* of its text, if it has any */
} Entry;

/* How a column of an entry is read, written and printed. */
typedef enum EntryForm
{
	FORM_ID,
	FORM_NUMBER,
	FORM_KIND,
	FORM_POINTS,
	FORM_TIME,
	FORM_LOTS,
	FORM_TEXT,
	FORM_BYTES
} EntryForm;

typedef struct EntryColumn
{
	const char *name;
	EntryForm	form;
	bool		optional;		/* NULL where in memory there is a 0, or no money */
	bool		in_receipt;
} EntryColumn;

/*
 * All columns, in the order in which statements name them.  Those that the
 * hash has if they are there stand together, in the hash's order.
 */
#define ENTRY_COLUMNS \
	"merchant_id, entry_id, account_id, entry_no, previous_entry_id, kind, amount, balance, posted_at, staff_id, money, reserved," \
	" origin_entry_id, peer_account_id, member_id, rules, happened_at, actor_id, request_id, lots, reference, detail, text_digest, hash"
#define NUMBER_OF_ENTRY_COLUMNS 24
#define ENTRY_MONEY 10
#define FIRST_OPTIONAL_COLUMN 9 /* of those that are hashed */
#define LAST_OPTIONAL_COLUMN 19

extern const EntryColumn entry_columns[NUMBER_OF_ENTRY_COLUMNS];

extern const char *entry_kind_name(EntryKind kind);
extern bool entry_kind_parse(const char *name, EntryKind *kind);
extern bool entry_kind_of_name(const char *name, EntryKind *kind);
extern const char *const *entry_column_names(void);
extern bytea *hash_of(bytea *stored);
extern bool entry_has_text(const Entry *entry);
extern void entry_datums(const Entry *entry, Datum *values, bool *nulls);

static inline Datum *
entry_field(const Entry *entry, int column)
{
	return (Datum *) entry + column;
}

static inline bool
entry_has(const Entry *entry, int column)
{
	if (column == ENTRY_MONEY)
		return entry->has_money;
	return !entry_columns[column].optional || *entry_field(entry, column) != 0;
}

/*
 * An entry of a statement that has ENTRY_COLUMNS, without the key of its text.
 * False: it has a 0 where none is written, or the digest of a text besides the
 * text, or one that is none.
 */
extern bool entry_of_stream(const Stream *stream, Entry *entry);

#endif

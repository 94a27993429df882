/*
 * verify.h
 *		What must be true of the ledger after every commit.  Known to the
 *		verify*.c files only.
 */
#ifndef LOYALTY_VERIFY_H
#define LOYALTY_VERIFY_H

#include "account/account.h"
#include "account/chain.h"
#include "db/stream.h"
#include "nodes/execnodes.h"
#include "utils/hsearch.h"

/* In the order in which an account is looked at; verify.c has their texts. */
typedef enum Invariant
{
	INVARIANT_NUMBERS,
	INVARIANT_PREVIOUS,
	INVARIANT_HASH,
	INVARIANT_BALANCE,
	INVARIANT_TIME,
	INVARIANT_KIND,
	INVARIANT_NEGATIVE,
	INVARIANT_READABLE,
	INVARIANT_LOTS,
	INVARIANT_LOTS_TOTAL,
	INVARIANT_ASIDE,
	INVARIANT_ASIDE_ROW,
	INVARIANT_REVERSAL_ROW,
	INVARIANT_REVERSAL_PARTS,
	INVARIANT_LAPSE_ROW,
	INVARIANT_LAPSE_REFUNDED,
	INVARIANT_NEWEST,
	INVARIANT_SUMS,
	INVARIANT_ACCOUNT_LOTS,
	INVARIANT_DUE,
	INVARIANT_COUNT
} Invariant;

/* One row of the table of what is set aside, or what its entries say of it. */
typedef struct AsideRow
{
	EntryKind	kind;
	Points		amount;
	Points		remaining;
	TimestampTz due_at;
	Lots		lots;
} AsideRow;

/* What an entry set aside, while something of it is left. */
typedef struct OpenAside
{
	int64		entry_id;		/* hash key */
	AsideRow	replayed;
	AsideRow	stored;
	bool		is_stored;		/* there is a row, and it can be read */
} OpenAside;

/* What entries say that expired of points of a moment. */
typedef struct Expired
{
	TimestampTz posted;			/* hash key */
	int128		points;
	bool		has_row;
} Expired;

/*
 * What the entries of an account come to, up to the newest one looked at.
 *
 * An entry that was found broken says nothing about what comes after it: if
 * its number or its hash is wrong, not even its balance is known (sound is
 * false), and once anything is wrong, what depends on all entries is not known
 * (whole is false).  What is not known is not reported: one change is one
 * finding.
 */
typedef struct Replay
{
	int64		account_id;
	uint64		entries;
	int64		entry_id;		/* of the newest entry so far, as the following; 0: there was none */
	int64		entry_no;
	int64		previous_id;
	Points		balance;
	TimestampTz posted_at;
	bytea	   *hash;			/* as stored */
	bytea	   *computed;		/* as it should be */
	bool		sound;
	bool		whole;
	int128		earned;
	int128		expired;
	int128		held;
	int128		pending;
	Lots		lots;
	int64		key_of;			/* whose the following is; 0: not read yet */
	pg_uuid_t	text_key;
	HTAB	   *asides;			/* OpenAside by entry; NULL: there were none */
	uint64		undoings;		/* entries that undid something */
	HTAB	   *expired_at;		/* Expired by moment; NULL: nothing did */
	bool		refunds_known;	/* so what was earned is */
	TimestampTz due_at;			/* the first thing due; DT_NOEND: nothing */
} Replay;

typedef struct Verification
{
	int64		merchant_id;
	ReturnSetInfo *result;
	MemoryContext account_context;	/* for one account */
	MemoryContext row_context;	/* for one row; the current one */
	Stream		accounts;
	Stream		entries;
	Stream		asides;
	Stream		reversals;
	Stream		lapses;
	Replay		replay;
} Verification;

#define NO_ENTRY	0				/* the finding is not about an entry */

extern void verify_breach(Verification *v, Invariant invariant, int64 entry_id, const char *format,...)
			pg_attribute_printf(4, 5);
extern bool verify_lots(Verification *v, int64 entry_id, Datum packed, const char *what, Lots *lots);
extern char *sum_text(int128 sum);
extern bool same_bytes(const bytea *a, const bytea *b);
extern bool same_lots(const Lots *a, const Lots *b);

/* verify_entry.c */
extern void verify_entry(Verification *v, Entry *entry, bool as_written);

/* verify_aside.c */
extern void aside_open(Verification *v, const Entry *entry, const Lots *lots);
extern bool aside_take(Verification *v, const Entry *entry, const Lots *lots);
extern void verify_asides(Verification *v);
extern void verify_reversals(Verification *v);

/* verify_lapse.c */
extern void lapse_add(Verification *v, const Lots *expired);
extern void verify_lapses(Verification *v);

#endif

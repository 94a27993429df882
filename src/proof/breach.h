/*
 * breach.h
 *		What must be true of the ledger after every commit, and the report of
 *		what is not.
 */
#ifndef LOYALTY_BREACH_H
#define LOYALTY_BREACH_H

#include "account/entry.h"
#include "db/stream.h"
#include "nodes/execnodes.h"
#include "utils/hsearch.h"
#include "utils/uuid.h"

/* In the order in which an account is checked; breach.c has their texts. */
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
	INVARIANT_RESERVED,
	INVARIANT_RESERVED_ROW,
	INVARIANT_REVERSAL_ROW,
	INVARIANT_REVERSAL_PARTS,
	INVARIANT_EXPIRED_ROW,
	INVARIANT_EXPIRED_REFUNDED,
	INVARIANT_NEWEST,
	INVARIANT_SUMS,
	INVARIANT_ACCOUNT_LOTS,
	INVARIANT_DUE,
	INVARIANT_COUNT
} Invariant;

/*
 * An account as its entries make it, up to the one that was checked last.
 *
 * A broken entry says nothing about those after it.  If its number or its hash
 * is wrong, not even its balance is known: then sound is false.  Once anything
 * is wrong, what depends on all entries is not known: then whole is false.
 * What is not known is not compared, so that one change is one breach.
 */
typedef struct Replay
{
	int64		account_id;
	uint64		entries;
	int64		entry_id;		/* of the newest entry so far, as the following; 0: there was none */
	int64		entry_no;
	int64		previous_entry_id;
	Points		balance;
	TimestampTz posted_at;
	bytea	   *hash;			/* as stored */
	bytea	   *computed;		/* as it should be */
	bool		sound;
	bool		whole;
	int128		earned;
	int64		purchases;		/* sales of which something is left */
	int128		expired;
	int128		held;
	int128		pending;
	Lots		lots;
	int64		key_of;			/* whose the following is; 0: not read yet */
	pg_uuid_t	text_key;
	HTAB	   *reservations;	/* verify_reservation.c; NULL: there were none */
	uint64		reversals;		/* entries that reversed something */
	HTAB	   *expired_lots;	/* verify_expired.c; NULL: there were none */
	bool		refunds_known;	/* so what was earned is */
	TimestampTz due_at;			/* when the first thing is due; DT_NOEND: nothing is */
} Replay;

/* A run of loyalty.verify(): the rows of one merchant, account by account. */
typedef struct Verification
{
	int64		merchant_id;
	ReturnSetInfo *result;
	MemoryContext account_context;	/* for one account */
	MemoryContext row_context;	/* for one row; the current one */
	Stream		accounts;
	Stream		entries;
	Stream		reservations;
	Stream		reversals;
	Stream		expired_lots;
	Replay		replay;
} Verification;

#define NO_ACCOUNT	0			/* the breach is not of an account */
#define NO_ENTRY	0			/* the breach is not of an entry */

extern void breach_row(ReturnSetInfo *result, const char *invariant, int64 merchant_id, int64 account_id,
					   int64 entry_id, const char *detail);
extern void breach(Verification *v, Invariant invariant, int64 entry_id, const char *format,...)
			pg_attribute_printf(4, 5);
extern bool at_account(const Verification *v, const Stream *rows);
extern bool readable_lots(Verification *v, int64 entry_id, struct varlena *packed, const char *what, Lots *lots);
extern char *sum_text(int128 sum);
extern char *time_text(TimestampTz at);
extern bool lots_take_all(Lots *from, const Lots *lots);
extern bool lots_equal(const Lots *a, const Lots *b);
extern bool bytes_equal(const bytea *a, const bytea *b);

#endif

/*
 * account.h
 *		An account in memory, between its lock and its update.
 */
#ifndef LOYALTY_ACCOUNT_H
#define LOYALTY_ACCOUNT_H

#include "account/entry.h"
#include "utils/uuid.h"

/* A rank that an account has held from a moment on, and may hold still. */
typedef struct HeldRank
{
	char	   *name;
	TimestampTz since;
	TimestampTz until;
	Points		from_points;
	TimestampTz reversed_at;	/* when reversals undid it, as if it had never been reached; DT_NOEND: they did not */
	bool		changed;
} HeldRank;

/* In the order in which they began. */
typedef struct HeldRanks
{
	HeldRank   *held;
	int			n;
	int			allocated;
	bool		is_read;
	bool		recounted;		/* counted anew by the batch */
	bool		reversed;		/* the batch has reversed points that counted */
} HeldRanks;

/*
 * A moment that is asked for.  What began by then has begun, and what is later
 * than ahead: the clock was ahead when that was posted, and has stepped back.
 */
typedef struct Moment
{
	TimestampTz at;
	TimestampTz ahead;			/* what the clock shows; DT_NOEND: the moment is over */
} Moment;

typedef struct Account
{
	int64		account_id;
	int64		program_id;
	bool		exists;
	bool		bystander;		/* is locked for its text_key: nothing is posted to it */
	ItemPointerData tid;		/* where the locked row is */
	int64		entry_no;		/* of the newest entry; 0: there is none */
	int64		newest_entry_id;	/* that entry, 0: none */
	int64		previous_entry_id;	/* the one before it */
	pg_uuid_t	text_key;		/* the key that salts the text digests of its member */
	Points		balance;
	TimestampTz posted_at;
	bytea	   *hash;
	bool		changed;
	bool		may_owe;		/* its balance may be negative */

	/* what follows is kept only if it tracks lots */
	bool		tracks_lots;
	bool		moved;			/* its member shares another one */
	Points		earned;
	int64		purchases;		/* sales of which something is left */
	Points		expired;
	Points		held;
	Points		pending;
	TimestampTz due_at;			/* DT_NOEND: nothing will be due */
	Lots		lots;
	Lots		qualifying;		/* by until when they count, and as which day's */
	TimestampTz ranked_at;		/* the change of terms by which it was counted last */
	HeldRanks	ranks;			/* if they were asked for */
	int			waiting;		/* its reservations for later: new ones, and all once counted */
	bool		waiting_counted;
} Account;

extern Moment moment_at(TimestampTz at);
extern bool has_begun(const Moment *moment, TimestampTz since);
extern TimestampTz moment_raised(const Moment *moment, TimestampTz since);
extern TimestampTz account_moment(const Account *account, TimestampTz at);
extern TimestampTz account_rank_moment(const Account *account, TimestampTz at);
extern bool account_has_room(const Account *account, Points amount);
extern void account_keep(Lots *lots, Points balance, Points amount, const Lots *dated, TimestampTz at);
extern void account_add(Account *account, Points amount, const Lots *dated, TimestampTz at);
extern void account_take(Account *account, Points amount, Lots *taken);
extern void account_due(Account *account, TimestampTz at);

#endif

/*
 * account.h
 *		An account in memory, between its lock and its update.
 */
#ifndef LOYALTY_ACCOUNT_H
#define LOYALTY_ACCOUNT_H

#include "ledger.h"

typedef struct Account
{
	int64		account_id;
	int64		program_id;
	int64		stored_version; /* -1: there is no such account */
	ItemPointerData tid;			/* where the locked row is */
	int64		version;
	Points		balance;
	TimestampTz posted_at;
	bytea	   *hash;
	bool		changed;
	bool		may_owe;		/* its balance may be negative */

	/* only if it is managed */
	bool		managed;
	bool		moved;			/* its member shares another one */
	Points		earned;
	Points		expired;
	Points		held;
	Points		pending;
	TimestampTz due_at;			/* DT_NOEND: nothing will be due */
	Lots		lots;
	Lots		qualifying;
	bool		recounted;		/* what counts for the rank has changed */
} Account;

extern bool account_has_room(const Account *account, Points amount);
extern void account_keep(Lots *lots, Points balance, Points amount, const Lots *dated, TimestampTz at);
extern void account_add(Account *account, Points amount, const Lots *dated, TimestampTz at);
extern void account_take(Account *account, Points amount, Lots *taken);
extern void account_earn(Account *account, Points amount, TimestampTz until, TimestampTz now);
extern void account_unearn(Account *account, Points amount, TimestampTz until);
extern void account_due(Account *account, TimestampTz at);

#endif

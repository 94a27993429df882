/*
 * reservation.h
 *		Points that an entry reserves: held to be spent, or pending.
 */
#ifndef LOYALTY_RESERVATION_H
#define LOYALTY_RESERVATION_H

#include "account/rows.h"

/*
 * How many reservations of an account may fall due later: whoever looks at the
 * account then, or posts to it, has all of them before anything else.
 */
#define MAX_WAITING 2000

/* How many that are due a batch books at a time, whatever accounts it names. */
#define DUE_AT_ONCE 20000

/* Points that an entry reserved. */
typedef struct Reservation
{
	EntryKey	key;
	int64		entry_no;
	EntryKind	kind;
	Points		amount;
	Points		remaining;
	Lots		lots;
	TimestampTz due_at;			/* DT_NOEND: never */
	bool		changed;
} Reservation;

extern void reservations_read(int64 merchant_id, HTAB *reservations, const EntryKey *keys, int n);
extern const Reservation *reservations_read_due(int64 merchant_id, HTAB *reservations, const int64 *account_ids, int n, TimestampTz now,
												bool locked, void (*take) (void *context, Reservation *reservation), void *context);
extern int	reservations_waiting(int64 merchant_id, int64 account_id, TimestampTz now);
extern void reservations_write(int64 merchant_id, HTAB *reservations);

#endif

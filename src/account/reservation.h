/*
 * reservation.h
 *		Points that an entry reserves: held to be spent, or pending.
 */
#ifndef LOYALTY_RESERVATION_H
#define LOYALTY_RESERVATION_H

#include "account/rows.h"

/* Points that an entry set aside. */
typedef struct Aside
{
	EntryKey	key;
	int64		entry_no;
	EntryKind	kind;
	Points		amount;
	Points		remaining;
	Lots		lots;
	TimestampTz due_at;			/* DT_NOEND: never */
	bool		changed;
} Aside;

extern void rows_read_asides(int64 merchant_id, HTAB *asides, const EntryKey *keys, int n);
extern void rows_read_due(int64 merchant_id, HTAB *asides, const int64 *account_ids, int n, TimestampTz now,
						  bool locked, void (*take) (void *context, Aside *aside), void *context);
extern void rows_write_asides(int64 merchant_id, HTAB *asides);

#endif

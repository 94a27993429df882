/*
 * expired_lot.h
 *		What expired of the points of a date, and what reversals have spared of it.
 */
#ifndef LOYALTY_EXPIRED_LOT_H
#define LOYALTY_EXPIRED_LOT_H

#include "account/rows.h"

/* What expired: of which account, and with which date it was posted. */
typedef struct LapseKey
{
	int64		account_id;
	TimestampTz expires_at;
} LapseKey;

/* Points of a date that expired, and what of them refunds have spared. */
typedef struct Lapse
{
	LapseKey	key;
	Points		points;			/* with what the batch adds, as the following */
	Points		refunded;
	Points		new_points;		/* what the batch adds */
	Points		new_refunded;
} Lapse;

extern void rows_read_lapses(int64 merchant_id, HTAB *lapses);
extern void rows_write_lapses(int64 merchant_id, HTAB *lapses);

#endif

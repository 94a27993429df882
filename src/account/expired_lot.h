/*
 * expired_lot.h
 *		What expired of the points of a date, and how much of it was refunded.
 */
#ifndef LOYALTY_EXPIRED_LOT_H
#define LOYALTY_EXPIRED_LOT_H

#include "account/rows.h"

/* What expired: of which account, and with which date it was posted. */
typedef struct ExpiredLotKey
{
	int64		account_id;
	TimestampTz expires_at;
} ExpiredLotKey;

/* Points of a date that expired, and how many of them were refunded: a refund takes no others for them. */
typedef struct ExpiredLot
{
	ExpiredLotKey key;
	Points		points;			/* with what the batch adds, as the following */
	Points		refunded;
	Points		new_points;		/* what the batch adds */
	Points		new_refunded;
} ExpiredLot;

extern void expired_lots_read(int64 merchant_id, HTAB *expired_lots);
extern void expired_lots_write(int64 merchant_id, HTAB *expired_lots);

#endif

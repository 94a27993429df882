/*
 * rank.h
 *		Ranks, as the engine brings them in line with the points that count.
 */
#ifndef LOYALTY_RANK_H
#define LOYALTY_RANK_H

#include "postgres.h"
#include "datatype/timestamp.h"

extern void ranks_settle(int64 merchant_id, const int64 *account_ids, int n, TimestampTz now);

#endif

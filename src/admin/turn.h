/*
 * turn.h
 *		How many requests of one merchant are in progress at a time.
 */
#ifndef LOYALTY_TURN_H
#define LOYALTY_TURN_H

#include "postgres.h"

#define MAX_TURNS 255

extern int	merchant_requests;

extern void turn_take(int64 merchant_id, bool for_app_user);

#endif

/*
 * turn.h
 *		How many requests of one merchant are in progress at a time.
 */
#ifndef LOYALTY_TURN_H
#define LOYALTY_TURN_H

#include "postgres.h"

#define MAX_TURNS 255

extern int	merchant_requests;

/* Whose a request is: which part of the merchant's turns it has at most, together with those like it. */
typedef enum Turns
{
	TURNS_OF_MERCHANT = 1,		/* all */
	TURNS_OF_APP_USERS = 3,		/* a third */
	TURNS_OF_ANYBODY = 6		/* a sixth, of that third */
} Turns;

extern bool turn_try(int64 merchant_id, Turns whose);
extern void turn_take(int64 merchant_id, Turns whose);

#endif

/*
 * allowance.h
 *		What is left of a limit, counted in rows that are locked.
 */
#ifndef LOYALTY_ALLOWANCE_H
#define LOYALTY_ALLOWANCE_H

#include "postgres.h"
#include "limit_set.h"
#include "utils/date.h"

/* A row of loyalty.allowance, without its key. */
typedef struct Stripe
{
	int			number;
	DateADT		day;
	int64		revision;
	bool		spread;
	Amount		used;
	Amount		left;
} Stripe;

typedef enum Locked
{
	LOCKED_NOTHING,
	LOCKED_TAKEN,				/* a member's, and written already */
	LOCKED_STRIPE,
	LOCKED_WHOLE
} Locked;

/* One limit of one subject, in memory while its rows are locked. */
typedef struct Counter
{
	int64		program_id;
	LimitRule	rule;			/* subject_id: who is limited, never 0 */
	bool		lifted;			/* the limit was removed meanwhile */
	Locked		locked;
	Stripe		stripe;			/* what is locked; the whole as one, number 0 */
	Points		largest;		/* of the points taken at once */
	bool		changed;
} Counter;

extern bool allowance_suffices(const Amount *left, Points points);
extern bool allowance_take_member(int64 merchant_id, Counter *counter, Points points);
extern void allowance_count(Counter *counter, Points points);
extern bool allowance_lock_stripe(int64 merchant_id, Counter *counter, Points points);
extern void allowance_lock_whole(int64 merchant_id, Counter *counter);
extern void allowances_lock_members(int64 merchant_id, Counter *counters, int n);
extern void allowances_write(int64 merchant_id, const Counter *counters, int n);

#endif

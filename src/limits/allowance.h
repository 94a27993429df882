/*
 * allowance.h
 *		What is left of a limit, counted in rows that are locked.
 */
#ifndef LOYALTY_ALLOWANCE_H
#define LOYALTY_ALLOWANCE_H

#include "postgres.h"
#include "limits/limit_set.h"
#include "utils/date.h"

/*
 * A subject of a limit, one way, and its row of loyalty_internal.allowance.  A row says
 * what the subject was given and what is left of that; in memory that is what
 * was used and what is left.
 */
typedef struct Counter
{
	int64		program_id;
	Scope		scope;
	bool		adds;
	int64		subject_id;

	bool		limited;
	Amount		max;			/* PG_INT64_MAX: as much as one likes */
	struct Counter *pool;		/* a cashier's branch; NULL: nothing limits that */
	int64		branch_id;		/* where a cashier works; 0: nowhere */
	Points		largest;		/* of the points that were taken from a pool at once */
	bool		taken;			/* at once, and written already */
	bool		changed;

	/* The row, once it is locked. */
	DateADT		day;
	int64		revision;
	int64		drawn_from;		/* the branch that what is left was drawn from; 0: none */
	Amount		used;
	Amount		left;
} Counter;

extern bool allowance_take(int64 merchant_id, const Counter *counter, DateADT today, int64 revision, Points points, int64 operations);
extern bool allowance_try(int64 merchant_id, const Counter *counter, DateADT today, int64 revision, Points points, int64 operations);
extern void allowances_lock(int64 merchant_id, Counter *counters, int n);
extern Amount allowance_gather(int64 merchant_id, const Counter *pool);
extern void allowances_write(int64 merchant_id, const Counter *counters, int n);

#endif

/*
 * counter.h
 *		The counters of limits, in memory.
 */
#ifndef LOYALTY_COUNTER_H
#define LOYALTY_COUNTER_H

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
	int			stripe;			/* of a program or a key, the session's; else 0, as of the pools */

	bool		limited;
	Amount		max;			/* PG_INT64_MAX: as much as one likes */
	struct Counter *pool;		/* what it draws from; NULL: nothing limits that */
	int64		pool_id;		/* of a stripe, its program or key; of a cashier, the branch; 0: none */
	Amount		need;			/* what may be asked of it at most */
	Points		largest;		/* of the points that were taken from a pool at once */
	bool		gives;			/* what is given back goes to it */
	bool		taken;			/* what it needs, at once, and written already: that is left */
	bool		changed;

	/* The row, once it is locked. */
	DateADT		day;
	int64		revision;
	int64		drawn_from;		/* the pool that what is left was drawn from; 0: none */
	Amount		used;
	Amount		left;
} Counter;

extern void amount_add(Amount *sum, Amount more);
extern Counter counter_of(int64 program_id, Scope scope, bool adds, int64 subject_id);
extern Counter counter_pool(const Counter *counter);
extern int	compare_counters(const void *a, const void *b);
extern int	distinct_counters(Counter *counters, int n);

#endif

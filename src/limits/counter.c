/*
 * counter.c
 *		The counters of limits, in memory.
 *
 * A movement counts in the row of each of its subjects, one way.  A program's
 * and a key's own row is that of a pool, as a branch's is: what is taken from
 * is the row of the session's stripe, which has drawn from it.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/sort.h"
#include "limits/counter.h"
#include "miscadmin.h"

/* So many that hardly two sessions have the same. */
#define STRIPES	64

/* Add an amount, up to the largest: unlimited amounts may add up to more than can be counted. */
void
amount_add(Amount *sum, Amount more)
{
	if (!points_add(sum->points, more.points, &sum->points))
		sum->points = PG_INT64_MAX;
	sum->operations += more.operations;
}

/* The counter of a subject: of a program and of a key the stripe of the session. */
Counter
counter_of(int64 program_id, Scope scope, bool adds, int64 subject_id)
{
	Counter		counter = {
		.program_id = program_id,
		.scope = scope,
		.adds = adds,
		.subject_id = subject_id,
	};

	if (scope == SCOPE_PROGRAM || scope == SCOPE_KEY)
	{
		counter.stripe = 1 + MyProcNumber % STRIPES;
		counter.pool_id = subject_id;
	}
	return counter;
}

/* The pool that a counter draws from, if it has one. */
Counter
counter_pool(const Counter *counter)
{
	Counter		pool = {
		.program_id = counter->program_id,
		.scope = counter->scope == SCOPE_STAFF ? SCOPE_BRANCH : counter->scope,
		.adds = counter->adds,
		.subject_id = counter->pool_id,
	};

	return pool;
}

static int
compare_int64(int64 left, int64 right)
{
	return (left > right) - (left < right);
}

/* The order in which counters are locked. */
int
compare_counters(const void *a, const void *b)
{
	const Counter *left = a;
	const Counter *right = b;

	if (left->program_id != right->program_id)
		return compare_int64(left->program_id, right->program_id);
	if (left->scope != right->scope)
		return (int) left->scope - (int) right->scope;
	if (left->adds != right->adds)
		return (int) left->adds - (int) right->adds;
	return compare_int64(left->subject_id, right->subject_id);
}

/* Each counter once, in the order of locks, with what is needed of it in all. */
int
distinct_counters(Counter *counters, int n)
{
	int			distinct = 0;

	merge_sort(counters, n, sizeof(Counter), compare_counters);
	for (int i = 0; i < n; i++)
	{
		Counter    *newest = distinct > 0 ? &counters[distinct - 1] : NULL;

		if (newest == NULL || compare_counters(&counters[i], newest) != 0)
			counters[distinct++] = counters[i];
		else
		{
			amount_add(&newest->need, counters[i].need);
			newest->gives |= counters[i].gives;
		}
	}
	return distinct;
}

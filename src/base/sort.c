/*
 * sort.c
 *		Sorting, in a time that no order of what is sorted makes long.
 *
 * Clients choose what is sorted, and its order.  The server's qsort() takes
 * quadratic time for an order that was made for it, and cannot be interrupted.
 * This is a merge sort: it needs memory for as much again, but n log n
 * comparisons are all that it ever makes, and equal elements stay in their order.
 */
#include "postgres.h"

#include "base/sort.h"
#include "miscadmin.h"

typedef int (*Comparison) (const void *a, const void *b);

static bool
is_sorted(const char *array, size_t n, size_t size, Comparison compare)
{
	for (size_t i = 1; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (compare(array + (i - 1) * size, array + i * size) > 0)
			return false;
	}
	return true;
}

/* Merge two sorted runs, the second of which begins where the first ends. */
static void
merge(const char *left, const char *right, const char *end, size_t size, Comparison compare, char *to)
{
	const char *middle = right;

	while (left < middle && right < end)
	{
		const char **least = compare(left, right) <= 0 ? &left : &right;

		CHECK_FOR_INTERRUPTS();
		memcpy(to, *least, size);
		*least += size;
		to += size;
	}
	memcpy(to, left, middle - left);
	memcpy(to + (middle - left), right, end - right);
}

/* Sort the n elements of an array, each of so many bytes. */
void
merge_sort(void *array, size_t n, size_t size, int (*compare) (const void *a, const void *b))
{
	char	   *from = array;
	char	   *to;

	if (is_sorted(from, n, size, compare))
		return;
	to = palloc_extended(n * size, MCXT_ALLOC_HUGE);
	for (size_t run = 1; run < n; run *= 2)
	{
		char	   *merged = to;

		for (size_t i = 0; i < n; i += 2 * run)
			merge(from + i * size, from + Min(i + run, n) * size, from + Min(i + 2 * run, n) * size, size, compare, to + i * size);
		to = from;
		from = merged;
	}
	if (from != array)
	{
		memcpy(array, from, n * size);
		to = from;
	}
	pfree(to);
}

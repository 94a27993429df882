/*
 * antiqsort.c
 *		An order of 0 to N - 1 for which the server's qsort() takes quadratic time.
 *
 *     cc antiqsort.c -o antiqsort .../libpgport.a && antiqsort N
 *
 * After M. D. McIlroy, "A Killer Adversary for Quicksort": qsort() sorts what has
 * no value yet, and each element gets its value as late, and as small, as what
 * was answered so far allows.  So whatever it splits by is one of the least.
 */
#include <stdio.h>
#include <stdlib.h>

extern void pg_qsort(void *array, size_t n, size_t size, int (*compare) (const void *a, const void *b));

static int *values;
static int	next;
static int	none;
static int	candidate;

static int
compare(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	/* it looks at neighbours to find out whether there is anything to do */
	int			neighbours = (const int *) b == (const int *) a + 1;

	if (values[x] == none && values[y] == none)
		values[!neighbours && x == candidate ? x : y] = next++;
	if (values[x] == none)
		candidate = x;
	else if (values[y] == none)
		candidate = y;
	return values[x] - values[y];
}

int
main(int argc, char **argv)
{
	int			n = argc > 1 ? atoi(argv[1]) : 0;
	int		   *order = malloc((n + 1) * sizeof(int));

	values = malloc((n + 1) * sizeof(int));
	none = n;
	for (int i = 0; i < n; i++)
	{
		order[i] = i;
		values[i] = none;
	}
	pg_qsort(order, n, sizeof(int), compare);
	for (int i = 0; i < n; i++)
		printf("%d\n", values[i] == none ? next++ : values[i]);
	return 0;
}

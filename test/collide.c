/*
 * collide.c
 *		Moments that the server's own hash puts into one bucket of a table, and
 *		where a hash that begins with a seed puts them.
 *
 *     cc collide.c -o collide .../libpgcommon.a && collide BITS SEED...
 *
 * Prints how many of 2^BITS moments are in the fullest of 2^BITS buckets: by the
 * server's hash, and by src/base/table.c's with each of the seeds.  What is looked
 * for in a bucket is compared with all that is there.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern uint32_t hash_bytes(const unsigned char *key, int length);
extern uint64_t hash_bytes_extended(const unsigned char *key, int length, uint64_t seed);

static uint32_t
bucket(int64_t moment, uint64_t seed, uint32_t mask)
{
	const unsigned char *key = (const unsigned char *) &moment;

	return (seed == 0 ? hash_bytes(key, sizeof(moment)) : (uint32_t) hash_bytes_extended(key, sizeof(moment), seed)) & mask;
}

int
main(int argc, char **argv)
{
	uint32_t	n = 1u << atoi(argv[1]);
	int64_t    *moments = malloc(n * sizeof(int64_t));
	uint32_t   *filled = malloc(n * sizeof(uint32_t));
	uint32_t	found = 0;

	/* whole seconds, as expires_at is, from 2027 on */
	for (int64_t second = 852076800; found < n; second++)
	{
		if (bucket(second * 1000000, 0, n - 1) == 0)
			moments[found++] = second * 1000000;
	}
	for (int i = 1; i < argc; i++)
	{
		uint64_t	seed = i == 1 ? 0 : strtoull(argv[i], NULL, 10);
		uint32_t	fullest = 0;

		for (uint32_t j = 0; j < n; j++)
			filled[j] = 0;
		for (uint32_t j = 0; j < n; j++)
		{
			uint32_t	count = ++filled[bucket(moments[j], seed, n - 1)];

			if (count > fullest)
				fullest = count;
		}
		printf("%u\n", fullest);
	}
	return 0;
}

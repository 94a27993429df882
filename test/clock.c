/*
 * clock.c
 *		A clock that tests can move, preloaded into a private server.
 *
 * Everything that asks for the time of day gets it moved by the microseconds
 * that stand, as the first int64 of this machine, in the file that LOYALTY_CLOCK
 * names.  The file may change at any moment; all processes see it at the next
 * look.  The second number is a moment, in microseconds since 1970, from which
 * on the clock is slow: a second takes as many as the third number says.  So
 * nothing becomes due while a test on a busy machine comes to ask for it.  It may never be cut short, even for a moment, as lo_export() would:
 * who looks then dies.  advance_clock is how SQL moves it.
 * The monotonic clock, by which PostgreSQL waits, stays what it is.
 *
 *     cc -shared -fPIC -o clock.so clock.c
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <dlfcn.h>

#define SECOND_US	INT64_C(1000000)

typedef int (*ClockFunction) (clockid_t, struct timespec *);

typedef struct Clock
{
	int64_t		offset_us;
	int64_t		since_us;
	int64_t		rate;
} Clock;

static const volatile Clock *moved;
static ClockFunction true_clock_gettime;

/* Without the file, the library changes nothing. */
static void __attribute__((constructor))
open_clock(void)
{
	const char *path = getenv("LOYALTY_CLOCK");
	int			file;
	void	   *mapped;

	true_clock_gettime = (ClockFunction) dlsym(RTLD_NEXT, "clock_gettime");
	if (path == NULL || (file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	mapped = mmap(NULL, sizeof(Clock), PROT_READ, MAP_SHARED, file, 0);
	if (mapped != MAP_FAILED)
		moved = mapped;
	close(file);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int			result;
	int64_t		us;

	/* Other libraries may ask before we have been set up. */
	if (true_clock_gettime != NULL)
		result = true_clock_gettime(clock, now);
	else
		result = (int) syscall(SYS_clock_gettime, clock, now);
	if (result != 0 || moved == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return result;

	us = now->tv_sec * SECOND_US + now->tv_nsec / 1000;
	us = moved->since_us + (us - moved->since_us) / moved->rate + moved->offset_us;
	now->tv_sec = us / SECOND_US;
	now->tv_nsec = us % SECOND_US * 1000;
	return 0;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec precise;

	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	if (result != NULL)
		*result = precise.tv_sec;
	return precise.tv_sec;
}

/*
 * clock.c
 *		A clock that tests can move, preloaded into a private server.
 *
 * The file that LOYALTY_CLOCK names has two int64 of this machine.  Everything
 * that asks for the time of day gets it moved by the microseconds of the first;
 * or, if the second is not 0, gets that, in microseconds since 1970, until it
 * is changed.  The file may change at any moment; all processes see it at the
 * next look.  The monotonic clock, by which PostgreSQL waits, stays what it is.
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

static const volatile int64_t *offset_us;	/* and the moment at which it stands */
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
	mapped = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
	if (mapped != MAP_FAILED)
		offset_us = mapped;
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
	if (result != 0 || offset_us == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return result;

	us = offset_us[0];
	if (offset_us[1] != 0)
	{
		us = offset_us[1];
		now->tv_sec = now->tv_nsec = 0;
	}
	now->tv_sec += us / SECOND_US;
	now->tv_nsec += us % SECOND_US * 1000;
	if (now->tv_nsec >= 1000 * SECOND_US)
	{
		now->tv_sec++;
		now->tv_nsec -= 1000 * SECOND_US;
	}
	else if (now->tv_nsec < 0)
	{
		now->tv_sec--;
		now->tv_nsec += 1000 * SECOND_US;
	}
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

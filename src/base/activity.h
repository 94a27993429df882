/*
 * activity.h
 *		What other sessions, and the server's log, see of what this one does.
 */
#ifndef LOYALTY_ACTIVITY_H
#define LOYALTY_ACTIVITY_H

#include "postgres.h"

/* Long work, by the function of schema loyalty that does it. */
typedef enum Work
{
	WORK_VERIFY = 1,
	WORK_MAKE_ROOT,
	WORK_VERIFY_ROOT,
	WORK_EXPIRE_DUE,
	WORK_RECOUNT_RANKS,
	WORK_ROLL_UP
} Work;

#define ALL_MERCHANTS		0
#define ACCOUNTS_UNKNOWN	(-1)

extern void activity_of_request(const char *request_id);
extern int64 request_number(const char *request_id);
extern void work_begin(Work work, int64 merchant_id, int64 accounts);
extern void work_done(int64 accounts);
extern void work_end(void);

#endif

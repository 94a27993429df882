/*
 * loyalty.c
 *		Loading the module, and its settings.
 */
#include "postgres.h"

#ifndef WIN32
#include <sys/resource.h>
#endif

#include "admin/idempotency.h"
#include "admin/staff.h"
#include "admin/turn.h"
#include "api/dispatch.h"
#include "base/compat.h"
#include "db/lookup.h"
#include "db/planning.h"
#include "db/version.h"
#include "ledger/fast_path.h"
#include "limits/entry_space.h"
#include "miscadmin.h"
#include "utils/guc.h"

PG_MODULE_MAGIC_EXT(.name = "loyalty",.version = LOYALTY_VERSION);

extern PGDLLEXPORT void _PG_init(void);

static int	niceness = 0;

/*
 * Sessions for long work, such as batches, leave the processor to those for
 * tills.  A process cannot take its niceness back, so it is one of the whole
 * session; and a server that is nicer than this remains so.  Linux may share
 * the processor out among groups first, and each backend is one: then it is the
 * niceness of the group that counts.
 */
static void
assign_niceness(int newval, void *extra pg_attribute_unused())
{
#ifndef WIN32
	if (newval > 0 && IsUnderPostmaster)
	{
		FILE	   *group = fopen("/proc/self/autogroup", "w");

		(void) setpriority(PRIO_PROCESS, 0, newval);
		if (group != NULL)
		{
			fprintf(group, "%d", newval);
			fclose(group);
		}
	}
#endif
}

/* Called when the module is loaded: defines the settings. */
void
_PG_init(void)
{
	DefineCustomBoolVariable("loyalty.enable_fast_path",
							 "Lets single postings be made by one UPDATE where that does.",
							 "Off, every posting takes the general path; both leave the same rows. It is for tests.",
							 &fast_path_enabled, true, PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomBoolVariable("loyalty.enable_lookup",
							 "Lets rows be found by their key without the executor where that does.",
							 "Off, every statement is executed; both find the same rows. It is for tests, and for who measures statements.",
							 &lookup_enabled, true, PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.password_cost",
							"Iterations of the hash that the passwords of new staff are kept as.",
							NULL, &password_cost, 8192, 4096, 1000000, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.password_min_length",
							"Characters that the passwords of new staff have at least.",
							NULL, &password_min_length, 6, 1, 64, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.idempotency_space",
							"How much the idempotency keys of a merchant, or of an app user, and their answers may take.",
							"A key counts as 1 kB, and its answer as it is long.",
							&idempotency_space_kb, 1024 * 1024, 64, INT_MAX, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.entry_space",
							"How much is kept of what a merchant's clients send in a day: items of batches, members, staff, long tickets.",
							"An item counts as 200 bytes and a member as 1,000, and what is kept with them as long as it is. Days are those of UTC.",
							&entry_space_kb, 1024 * 1024, 64, INT_MAX, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.answer_size",
							"How long a list may be that is answered over HTTP.",
							"One that is longer ends while it is read. The functions in SQL have no such bound.",
							&answer_size_kb, 32 * 1024, 64, 512 * 1024, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.nice",
							"How much the process of the session yields the processor to others.",
							"Given when the session connects, as options=-c loyalty.nice=10, to those for batches.",
							&niceness, 0, 0, 19, PGC_BACKEND, GUC_NOT_IN_SAMPLE, NULL, assign_niceness, NULL);
	DefineCustomIntVariable("loyalty.merchant_requests",
							"How many requests of one merchant are in progress at a time, over the documented paths; 0: any number.",
							"Sessions with the same number share it. Given when the session connects, as options=-c loyalty.merchant_requests=5, to those for batches.",
							&merchant_requests, 24, 0, MAX_TURNS, PGC_BACKEND, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	MarkGUCPrefixReserved("loyalty");
	planning_init();
	version_init();
}

/*
 * loyalty.c
 *		Loading the module, and its settings.
 */
#include "postgres.h"

#include "admin/idempotency.h"
#include "admin/staff.h"
#include "base/compat.h"
#include "ledger/fast_path.h"
#include "utils/guc.h"

PG_MODULE_MAGIC_EXT(.name = "loyalty",.version = LOYALTY_VERSION);

extern PGDLLEXPORT void _PG_init(void);

/* Called when the module is loaded: defines the settings. */
void
_PG_init(void)
{
	DefineCustomBoolVariable("loyalty.enable_fast_path",
							 "Lets single postings be made by one UPDATE where that does.",
							 "Off, every posting takes the general path; both leave the same rows. It is for tests.",
							 &fast_path_enabled, true, PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.password_cost",
							"Iterations of the hash that the passwords of new staff are kept as.",
							NULL, &password_cost, 8192, 4096, 1000000, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.password_min_length",
							"Characters that the passwords of new staff have at least.",
							NULL, &password_min_length, 6, 1, 64, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("loyalty.idempotency_space",
							"How much the idempotency keys of a merchant and their answers may take.",
							"A key counts as 1 kB, and its answer as it is long.",
							&idempotency_space_kb, 1024 * 1024, 64, INT_MAX, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	MarkGUCPrefixReserved("loyalty");
}

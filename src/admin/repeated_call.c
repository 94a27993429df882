/*
 * repeated_call.c
 *		Idempotency keys of the functions that are written in SQL.
 *
 * Such a function claims its key first, and keeps its answer last.  What raises
 * an error in between undoes the claim too, as it does in C.
 */
#include "postgres.h"

#include "admin/idempotency.h"
#include "admin/merchant.h"
#include "base/arguments.h"
#include "base/errors.h"
#include "catalog/pg_type.h"
#include "db/statement.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

static void
add_arguments(StringInfo fingerprint, ArrayType *arguments)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(arguments, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
		fingerprint_add(fingerprint, "argument", nulls[i] ? NULL : TextDatumGetCString(values[i]));
}

PG_FUNCTION_INFO_V1(loyalty_claim_key);

/* loyalty_internal.claim_key(): NULL, or what was answered under the key. */
Datum
loyalty_claim_key(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData fingerprint;
	char	   *answer;
	text	   *kept = NULL;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	require_argument(fcinfo, 0);
	require_argument(fcinfo, 2);
	require_argument(fcinfo, 3);

	db_begin();
	/* or the key of a merchant that is none would be kept */
	if (!merchant_exists(PG_GETARG_INT64(0)))
		raise_error(ERR_UNKNOWN_OBJECT);
	fingerprint_start(&fingerprint, text_to_cstring(PG_GETARG_TEXT_PP(2)));
	add_arguments(&fingerprint, PG_GETARG_ARRAYTYPE_P(3));
	if (!idempotency_claim(PG_GETARG_INT64(0), NULL, text_to_cstring(PG_GETARG_TEXT_PP(1)), &fingerprint, &answer))
	{
		MemoryContextSwitchTo(caller);
		kept = cstring_to_text(answer);
	}
	db_end();
	if (kept == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(kept);
}

PG_FUNCTION_INFO_V1(loyalty_keep_answer);

/* loyalty_internal.keep_answer(): for a retry; returns the answer. */
Datum
loyalty_keep_answer(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(1))
	{
		require_argument(fcinfo, 0);
		db_begin();
		idempotency_answer(PG_GETARG_INT64(0), NULL, text_to_cstring(PG_GETARG_TEXT_PP(1)), text_to_cstring(PG_GETARG_TEXT_PP(2)));
		db_end();
	}
	PG_RETURN_DATUM(PG_GETARG_DATUM(2));
}

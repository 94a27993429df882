/*
 * compare.c
 *		The comparison operators of loyalty.points and loyalty.phone.
 *
 * Both are represented as bigint is, and the server's own functions would do.
 * But a function declared LANGUAGE internal is looked for by name, one by one
 * through all the server has, each time a statement that uses it starts; on
 * the posting path that was a tenth of the work.  So these stand here once
 * more, for both types.
 */
#include "postgres.h"

#include "base/compat.h"
#include "fmgr.h"

#define COMPARISON(name, operator) \
	PG_FUNCTION_INFO_V1(compare_##name); \
	Datum compare_##name(PG_FUNCTION_ARGS) \
	{ PG_RETURN_BOOL(PG_GETARG_INT64(0) operator PG_GETARG_INT64(1)); }

COMPARISON(eq, ==)
COMPARISON(ne, !=)
COMPARISON(lt, <)
COMPARISON(le, <=)
COMPARISON(gt, >)
COMPARISON(ge, >=)

PG_FUNCTION_INFO_V1(compare_cmp);

Datum
compare_cmp(PG_FUNCTION_ARGS)
{
	int64		left = PG_GETARG_INT64(0);
	int64		right = PG_GETARG_INT64(1);

	PG_RETURN_INT32((left > right) - (left < right));
}

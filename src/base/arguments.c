/*
 * arguments.c
 *		The arguments of an SQL function, for refusals that name them.
 *
 * The names are read from the catalog, and only when something is refused: so
 * they are those of the script, and a call pays nothing for them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/arguments.h"
#include "base/errors.h"
#include "catalog/pg_proc.h"
#include "funcapi.h"
#include "utils/syscache.h"

/* The name of an argument, counted from 0. */
const char *
argument_name(FunctionCallInfo fcinfo, int argument)
{
	HeapTuple	function = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Oid		   *types;
	char	  **names;
	char	   *modes;

	if (!HeapTupleIsValid(function))
		elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
	get_func_arg_info(function, &types, &names, &modes);
	ReleaseSysCache(function);
	return names[argument];
}

/* A text that may be left out, then NULL, and has at most so many bytes. */
text *
text_argument(FunctionCallInfo fcinfo, int argument, int max_length)
{
	text	   *value = PG_ARGISNULL(argument) ? NULL : PG_GETARG_TEXT_PP(argument);

	if (value != NULL && (int) VARSIZE_ANY_EXHDR(value) > max_length)
		raise_error_hint(ERR_INVALID_ARGUMENT, psprintf("%s has at most %d bytes.", argument_name(fcinfo, argument), max_length));
	return value;
}

/* Refuse NULL where the function is not STRICT and needs a value. */
void
require_argument(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		raise_error_hint(ERR_INVALID_ARGUMENT, psprintf("%s is required.", argument_name(fcinfo, argument)));
}

/*
 * errors.c
 *		The catalogue of errcodes.txt, for C and as loyalty.error_codes.
 */
#include "postgres.h"

#include "base/errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"

static const ErrorInfo catalogue[ERR_COUNT] = {
	{"00000", "", "", 200, "", ""},
#define ERROR_CODE(name, sqlstate, code, family, http_status, message, hint) \
	{sqlstate, code, family, http_status, message, hint},
#include "base/errcodes.txt"
#undef ERROR_CODE
};

static int
info_sqlerrcode(const ErrorInfo *info)
{
	const char *s = info->sqlstate;

	return MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]);
}

/* What the catalogue says of an error. */
const ErrorInfo *
error_info(ErrorId id)
{
	Assert(id > ERR_NONE && id < ERR_COUNT);
	return &catalogue[id];
}

/* The catalogue's name of an error that was caught, ERR_NONE if it has none. */
ErrorId
error_from_sqlerrcode(int sqlerrcode)
{
	for (int id = ERR_NONE + 1; id < ERR_COUNT; id++)
	{
		if (info_sqlerrcode(&catalogue[id]) == sqlerrcode)
			return (ErrorId) id;
	}
	return ERR_NONE;
}

/* Raise an error of the catalogue, with its own hint. */
void
raise_error(ErrorId id)
{
	raise_error_hint(id, error_info(id)->hint);
}

/* The code goes into DETAIL: clients of the documented APIs know it by that. */
void
raise_error_hint(ErrorId id, const char *hint)
{
	const ErrorInfo *info = error_info(id);

	ereport(ERROR,
			(errcode(info_sqlerrcode(info)),
			 errmsg_internal("%s", info->message),
			 errdetail_internal("%s", info->code),
			 errhint("%s", hint)));
}

/* For an API whose errors name the field they are about. */
void
raise_field_error(ErrorId id, const char *field)
{
	const ErrorInfo *info = error_info(id);

	ereport(ERROR,
			(errcode(info_sqlerrcode(info)),
			 errmsg_internal("%s: %s", info->message, field),
			 errdetail_internal("%s", info->code),
			 errhint("%s", info->hint)));
}

static void
hide_context(void *arg pg_attribute_unused())
{
	errhidecontext(true);
}

/*
 * From here on the statement, which may have the secret that the function was
 * called with, is not shown: to its end others see this of it, in
 * pg_stat_activity and where the log tells of a deadlock with it, of a crash, or
 * of an error of its own.  The context, which quotes the statements of callers,
 * is hidden up to secret_end().
 */
void
secret_begin(ErrorContextCallback *callback)
{
	debug_query_string = "/* a statement that has a secret */";
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	callback->callback = hide_context;
	callback->arg = NULL;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

/*
 * What came while nobody looked, such as a cancel while a password was hashed,
 * is told before that: whoever looks next would log the context.
 */
void
secret_end(ErrorContextCallback *callback)
{
	CHECK_FOR_INTERRUPTS();
	error_context_stack = callback->previous;
}

PG_FUNCTION_INFO_V1(loyalty_error_codes);

Datum
loyalty_error_codes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int id = ERR_NONE + 1; id < ERR_COUNT; id++)
	{
		const ErrorInfo *info = &catalogue[id];
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = CStringGetTextDatum(info->sqlstate);
		values[1] = CStringGetTextDatum(info->code);
		values[2] = CStringGetTextDatum(info->family);
		values[3] = Int32GetDatum(info->http_status);
		values[4] = CStringGetTextDatum(info->message);
		values[5] = CStringGetTextDatum(info->hint);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(loyalty_fail);

/* For the administration functions that are written in SQL. */
Datum
loyalty_fail(PG_FUNCTION_ARGS)
{
	char	   *code = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));

	for (int id = ERR_NONE + 1; id < ERR_COUNT; id++)
	{
		const ErrorInfo *info = &catalogue[id];

		if (strcmp(info->code, code) != 0)
			continue;
		ereport(ERROR,
				(errcode(info_sqlerrcode(info)),
				 errmsg_internal("%s", info->message),
				 errdetail_internal("%s", info->code),
				 errhint("%s", PG_ARGISNULL(1) ? info->hint :
						 text_to_cstring(PG_GETARG_TEXT_PP(1)))));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown error code \"%.*s\"", pg_mbcliplen(code, strlen(code), 30), code)));
}

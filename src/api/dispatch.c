/*
 * dispatch.c
 *		Running a call of an endpoint, and its answer.
 *
 * Every call decodes its fields, claims its idempotency key, runs, and keeps
 * its answer for a retry.  call_answer() returns the result as JSON,
 * endpoint_sql() as a Datum.  Rows are passed on as the executor makes them, so
 * that a wallet with very many contacts takes no more memory than its answer.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "admin/idempotency.h"
#include "admin/merchant.h"
#include "api/dispatch.h"
#include "api/fields.h"
#include "base/json.h"
#include "catalog/pg_type.h"
#include "db/stream.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"

/* The setting loyalty.answer_size: a list that is longer is not answered over HTTP. */
int			answer_size_kb;

/* ------------------------------------------------------------------------
 * Running
 * ------------------------------------------------------------------------ */

static const char *
result_text(const Call *call)
{
	if (call->endpoint->result == RESULT_JSON)
		return call->json;
	return call->endpoint->result == RESULT_POINTS ?
		points_text(call->points) : psprintf(INT64_FORMAT, call->id);
}

static void
result_from_text(Call *call, const char *text)
{
	if (call->endpoint->complete != NULL)
		call->json = call->endpoint->complete(call, text);
	else if (call->endpoint->result == RESULT_JSON)
		call->json = pstrdup(text);
	else if (call->endpoint->result != RESULT_POINTS)
		call->id = strtoll(text, NULL, 10);
	else if (points_parse(text, &call->points) != POINTS_OK)
		elog(ERROR, "answer \"%s\" is not one of %s", text, call->endpoint->name);
}

/* What the idempotency key stands for: the operation and its fields. */
static void
call_fingerprint(const Call *call, StringInfo fingerprint)
{
	fingerprint_start(fingerprint, call->endpoint->name);
	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		const Field *field = &call->endpoint->fields[i];

		if (!field->secret)
			fingerprint_add(fingerprint, field->name, call->values[i].text);
	}
	if (call->assistant)
		fingerprint_add(fingerprint, "source", "mcp");
	if (call->endpoint->takes_items)
		fingerprint_add_bytes(fingerprint, "items", call->body, call->body_length);
}

/* Claim the idempotency key of a call, if it has one; false: the call has the answer that was given under it. */
bool
call_claim(Call *call)
{
	StringInfoData fingerprint;
	char	   *answer;

	if (call->idempotency_key == NULL)
		return true;
	call_fingerprint(call, &fingerprint);
	if (!idempotency_claim(call->merchant_id, call->app_user, call->idempotency_key, &fingerprint, &answer))
	{
		result_from_text(call, answer);
		call->replayed = true;
		return false;
	}
	pfree(fingerprint.data);
	return true;
}

/* Keep the answer of a call for a retry, if it has a key. */
void
call_keep_answer(const Call *call)
{
	if (call->idempotency_key != NULL)
		idempotency_answer(call->merchant_id, call->app_user, call->idempotency_key,
						   call->kept != NULL ? call->kept : result_text(call));
}

/* Nothing was done under the key of a call: let it go. */
void
call_unclaim(const Call *call)
{
	if (call->idempotency_key != NULL)
		idempotency_unclaim(call->merchant_id, call->app_user, call->idempotency_key);
}

/* Run the call, or take the answer that its idempotency key has. */
static void
call_run(Call *call)
{
	if (call->only_reads && (call->endpoint->writes || call->endpoint->logs))
		raise_error(ERR_READ_ONLY);
	fields_decode(call);
	if (!call->endpoint->writes)
		call->endpoint->run(call);
	else if (call_claim(call))
	{
		call->endpoint->run(call);
		call_keep_answer(call);
	}
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------ */

/* Where the rows of a result go, one by one as the executor makes them. */
typedef struct RowSink
{
	DestReceiver receiver;		/* first: the executor knows no more of it */
	void		(*take) (void *context, TupleTableSlot *row);
	void	   *context;
	MemoryContext row;			/* what is allocated for a row is freed with it */
} RowSink;

static void
sink_start(struct _DestReceiver *self pg_attribute_unused(), int operation pg_attribute_unused(),
		   TupleDesc columns pg_attribute_unused())
{
}

static bool
sink_receive(TupleTableSlot *row, struct _DestReceiver *self)
{
	RowSink    *sink = (RowSink *) self;
	MemoryContext executor = MemoryContextSwitchTo(sink->row);

	slot_getallattrs(row);
	sink->take(sink->context, row);
	MemoryContextSwitchTo(executor);
	MemoryContextReset(sink->row);
	return true;
}

static void
sink_end(struct _DestReceiver *self pg_attribute_unused())
{
}

/* Pass the rows of the result on; memory that is allocated for one is freed with it. */
static void
call_rows(Call *call, void (*take) (void *context, TupleTableSlot *row), void *context)
{
	RowSink		sink = {.receiver = {sink_receive, sink_start, sink_end, sink_end, DestNone},.take = take,.context = context};
	Portal		portal;
	uint64		total;

	call->row_params[0] = Int64GetDatum(call->merchant_id);
	sink.row = AllocSetContextCreate(CurrentMemoryContext, "loyalty row", ALLOCSET_DEFAULT_SIZES);
	portal = db_cursor(call->rows, call->row_params);
	total = PortalRunFetch(portal, FETCH_FORWARD, FETCH_ALL, &sink.receiver);
	SPI_cursor_close(portal);
	MemoryContextDelete(sink.row);
	if (call->single_row && total == 0)
		raise_error(call->no_row);
}

/* Write a value: ids and points as JSON numbers, everything else as a string. */
static void
json_column(StringInfo json, Form_pg_attribute column, Datum value)
{
	if (column->atttypid == INT8OID)
		appendStringInfo(json, INT64_FORMAT, DatumGetInt64(value));
	else if (column->atttypid == db_type(POINTSOID))
		appendStringInfoString(json, points_text(DatumGetPoints(value)));
	else if (column->atttypid == DATEOID)
	{
		char		buf[MAXDATELEN + 1];

		json_text(json, JsonEncodeDateTime(buf, value, DATEOID, NULL));
	}
	else
		json_text(json, TextDatumGetCString(value));
}

/*
 * Write some columns of a row as an object; a row whose first column is JSON is
 * that.  In the second array NULL columns are left out.
 */
static void
json_columns(StringInfo json, TupleTableSlot *row, int from, int to)
{
	TupleDesc	columns = row->tts_tupleDescriptor;

	if (json->len > 0 && json->data[json->len - 1] == '}')
		appendStringInfoChar(json, ',');
	if (TupleDescAttr(columns, 0)->atttypid == JSONOID)
	{
		text	   *object = DatumGetTextPP(row->tts_values[0]);

		appendBinaryStringInfo(json, VARDATA_ANY(object), VARSIZE_ANY_EXHDR(object));
		return;
	}
	appendStringInfoChar(json, '{');
	for (int i = from; i < to; i++)
	{
		bool		isnull = row->tts_isnull[i];

		if (isnull && from > 0)
			continue;
		json_key(json, NameStr(TupleDescAttr(columns, i)->attname));
		if (isnull)
			json_text(json, NULL);
		else
			json_column(json, TupleDescAttr(columns, i), row->tts_values[i]);
	}
	appendStringInfoChar(json, '}');
}

static void
tuplestore_row(void *context, TupleTableSlot *row)
{
	tuplestore_puttupleslot(context, row);
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------ */

/* Where rows go: into the result, and into the second array if there is one. */
typedef struct JsonRows
{
	StringInfo	json;
	StringInfo	more;
	int			more_from;
} JsonRows;

/* One that takes the answer beyond what it may be ends the call, before there is memory for more. */
static void
json_row(void *context, TupleTableSlot *row)
{
	JsonRows   *rows = context;
	int			natts = row->tts_tupleDescriptor->natts;
	int64		length;

	json_columns(rows->json, row, 0, rows->more ? rows->more_from : natts);
	if (rows->more != NULL)
		json_columns(rows->more, row, rows->more_from, natts);
	length = (int64) rows->json->len + (rows->more ? rows->more->len : 0);
	if (length > (int64) answer_size_kb * 1024)
		raise_error(ERR_ANSWER_TOO_LARGE);
}

/* A list that is in order is sorted before its first row comes: one that cannot fit ends the call before that. */
static void
check_size(Call *call)
{
	int64		length = 0;
	Stream		sizes;

	call->row_params[0] = Int64GetDatum(call->merchant_id);
	stream_open(&sizes, call->row_sizes, call->row_params);
	while (stream_next(&sizes))
	{
		length += stream_int64(&sizes, "bytes", 0);
		if (length > (int64) answer_size_kb * 1024)
			raise_error(ERR_ANSWER_TOO_LARGE);
	}
	stream_close(&sizes);
}

static void
json_result(Call *call, StringInfo json, StringInfo more)
{
	JsonRows	rows = {json, call->more_key ? more : NULL, call->more_from};

	if (call->endpoint->result != RESULT_ROWS)
		appendStringInfoString(json, result_text(call));
	else if (call->single_row)
		call_rows(call, json_row, &rows);
	else
	{
		if (call->row_sizes != NULL)
			check_size(call);
		appendStringInfoChar(json, '[');
		call_rows(call, json_row, &rows);
		appendStringInfoChar(json, ']');
	}
}

/* Run the call and write the documented body of its answer. */
void
call_answer(Call *call, StringInfo json)
{
	StringInfoData more;

	initStringInfo(&more);
	db_begin();
	call_run(call);
	if (call->endpoint->answer[0] == NULL)
	{
		json_result(call, json, &more);
		db_end();
		return;
	}

	appendStringInfoChar(json, '{');
	for (int i = 0; i < (int) lengthof(call->endpoint->answer) && call->endpoint->answer[i]; i++)
	{
		const char *key = call->endpoint->answer[i];

		if (strcmp(key, "success") == 0)
			body_json(json, key, "true");
		else if (strcmp(key, "message") == 0)
			body_text(json, key, call->endpoint->message);
		else if (strcmp(key, "code") == 0)
			body_text(json, key, call->endpoint->code);
		else if (strcmp(key, "status") == 0)
			body_json(json, key, "200");
		else
		{
			json_key(json, key);
			json_result(call, json, &more);
		}
	}
	if (call->more_key != NULL)
	{
		json_key(json, call->more_key);
		appendStringInfoChar(json, '[');
		appendBinaryStringInfo(json, more.data, more.len);
		appendStringInfoChar(json, ']');
	}
	appendStringInfoChar(json, '}');
	db_end();
}

/* An SQL argument as the text it would have been in a request. */
static char *
argument_text(FunctionCallInfo fcinfo, int argument, FieldKind kind)
{
	Datum		value = PG_GETARG_DATUM(argument);

	if (PG_ARGISNULL(argument))
		return NULL;
	switch (kind)
	{
		case FIELD_POINTS:
			/* 1000.00000 is as good as 1000 */
			value = DirectFunctionCall1(numeric_trim_scale, value);
			return DatumGetCString(DirectFunctionCall1(numeric_out, value));
		case FIELD_SWITCH:
		case FIELD_DIRECTION:
			return psprintf("%d", DatumGetInt32(value));
		case FIELD_STAFF:
		case FIELD_COUNT:
			return psprintf(INT64_FORMAT, DatumGetInt64(value));
		default:
			return text_to_cstring(DatumGetTextPP(value));
	}
}

/* merchant_id, then the fields in their order, then the idempotency key. */
static void
call_from_arguments(Call *call, FunctionCallInfo fcinfo)
{
	int			argument = 0;

	if (PG_ARGISNULL(argument))
		raise_error(ERR_AUTH_01);
	call->merchant_id = PG_GETARG_INT64(argument++);
	if (call->endpoint->takes_items)
		call_set_items(call, PG_ARGISNULL(argument) ? NULL : PG_GETARG_TEXT_PP(argument)), argument++;
	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
	{
		/* objects, as tokens are, have no place in SQL */
		if (call->endpoint->fields[i].kind == FIELD_OBJECT)
			continue;
		if (argument >= PG_NARGS() - (call->endpoint->writes ? 1 : 0))
			elog(ERROR, "the function of %s has no argument for \"%s\"", call->endpoint->name, call->endpoint->fields[i].name);
		fields_set(call, i, JSON_IS_STRING, argument_text(fcinfo, argument, call->endpoint->fields[i].kind));
		argument++;
	}
	if (call->endpoint->writes && !PG_ARGISNULL(argument))
		call->idempotency_key = text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/*
 * The error to answer for one that was caught.  One without a code of its own
 * goes into the server log, which only the operator reads.  Conflicts,
 * shortages and interruptions are not the caller's fault and may be retried.
 */
ErrorId
call_failure(const Call *call, const ErrorData *edata)
{
	ErrorId		error = error_from_sqlerrcode(edata->sqlerrcode);
	int			category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	if (error != ERR_NONE)
		return error;
	ereport(LOG_SERVER_ONLY,
			(errcode(edata->sqlerrcode),
			 errmsg("%s failed: %s", call->endpoint ? call->endpoint->name : "request", edata->message),
			 edata->detail_log ? errdetail_log("%s", edata->detail_log) :
			 edata->detail ? errdetail_log("%s", edata->detail) : 0,
			 edata->context ? errcontext_msg("%s", edata->context) : 0));
	if (category == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		edata->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return ERR_UNAVAILABLE;
	return call->unexpected;
}

/*
 * Raise the error that was caught again, with its SQLSTATE, unless the document
 * has a code for unexpected errors: then that is raised instead.
 */
static void
rethrow(const Call *call, MemoryContext context)
{
	ErrorData  *edata;
	ErrorId		error;

	if (call->unexpected == ERR_INTERNAL_ERROR)
		PG_RE_THROW();
	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	if (error_from_sqlerrcode(edata->sqlerrcode) != ERR_NONE)
		PG_RE_THROW();
	error = call_failure(call, edata);
	if (error == ERR_UNAVAILABLE)
		PG_RE_THROW();
	FlushErrorState();
	raise_error(error);
}

/* In the caller's memory, because SPI's goes away. */
static Datum
json_datum(MemoryContext context, const char *json)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Datum		datum = CStringGetTextDatum(json);

	MemoryContextSwitchTo(old);
	return datum;
}

/* Whether a field of it must not be in a log. */
bool
endpoint_has_secret(const Endpoint *endpoint)
{
	for (int i = 0; i < MAX_FIELDS && endpoint->fields[i].name; i++)
	{
		if (endpoint->fields[i].secret)
			return true;
	}
	return false;
}

/* The function loyalty.name() of an endpoint: returns its result, and raises its errors. */
Datum
endpoint_sql(const Endpoint *endpoint, PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = 0;
	Call		call;
	ErrorContextCallback secret;

	if (endpoint_has_secret(endpoint))
		secret_begin(&secret);
	call_start(&call, endpoint, FROM_SQL);
	call_from_arguments(&call, fcinfo);
	if (endpoint->result == RESULT_ROWS)
		InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	PG_TRY();
	{
		db_begin();
		/* refused items are an answer, which would be kept for a merchant that is none */
		if (endpoint->takes_items && !merchant_exists(call.merchant_id))
			raise_error(ERR_AUTH_01);
		call_run(&call);
		if (endpoint->result == RESULT_ROWS)
			call_rows(&call, tuplestore_row, ((ReturnSetInfo *) fcinfo->resultinfo)->setResult);
		else if (endpoint->result == RESULT_JSON)
			result = json_datum(context, call.json);
		db_end();
	}
	PG_CATCH();
	{
		rethrow(&call, context);
	}
	PG_END_TRY();

	if (endpoint_has_secret(endpoint))
		secret_end(&secret);
	if (endpoint->result == RESULT_ROWS)
		return (Datum) 0;
	if (endpoint->result == RESULT_JSON)
		return result;
	return Int64GetDatum(endpoint->result == RESULT_POINTS ? call.points : call.id);
}

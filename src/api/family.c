/*
 * family.c
 *		Serving a request of a documented API, whatever happens.
 *
 * No error may leave a function that PostgREST calls: PostgREST would answer
 * in a shape of its own, and would repeat a serialization failure for ever.
 * So a request is served in a subtransaction; if it fails, that is rolled back
 * and the error is answered.  The status is set after that, outside, or it
 * would be rolled back too.
 *
 * Requests come from the gateway (http/exchange.c), or from a named function,
 * which gets the fields as its arguments and the client's own headers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "admin/merchant.h"
#include "api/dispatch.h"
#include "api/family.h"
#include "api/fields.h"
#include "base/activity.h"
#include "base/json.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* ------------------------------------------------------------------------
 * Headers
 * ------------------------------------------------------------------------ */

typedef struct HeaderTarget
{
	const Header *headers;
	char	   *target;
} HeaderTarget;

static bool
is_header(void *context, const char *name)
{
	HeaderTarget *reader = context;

	for (const Header *header = reader->headers; header->name; header++)
	{
		if (strcmp(name, header->name) == 0)
			return true;
	}
	return false;
}

static void
take_header(void *context, const char *name, JsonKind kind, const char *value)
{
	HeaderTarget *reader = context;

	for (const Header *header = reader->headers; header->name; header++)
	{
		if (kind == JSON_IS_STRING && strcmp(name, header->name) == 0)
			*(const char **) (reader->target + header->offset) = value;
	}
}

/* Read the headers of the request, which PostgREST puts into a setting as a JSON object. */
void
headers_read(const Header *headers, void *target)
{
	const char *json = GetConfigOption("request.headers", true, false);
	HeaderTarget reader = {headers, target};

	if (json != NULL && *json != '\0')
		json_read_object(json, strlen(json), is_header, take_header, &reader);
}

/* Tell the log which request is served from now on, also if it fails. */
void
exchange_identify(Exchange *exchange, const char *request_id)
{
	exchange->request_id = request_id;
	activity_of_request(request_id);
}

/* ------------------------------------------------------------------------
 * Serving
 * ------------------------------------------------------------------------ */

static void
serve(Exchange *exchange)
{
	exchange->read(exchange);
	exchange->call.request_id = request_number(exchange->request_id);
	call_answer(&exchange->call, &exchange->json);
}

/* After the operation was rolled back, so that this is not. */
static void
record_refusal(Exchange *exchange)
{
	ErrorId		error = exchange->family->refused(&exchange->call, exchange->error);

	if (error == exchange->error)
		return;
	exchange->error = error;
	exchange->message = error_info(error)->message;
}

/* Do some work in a subtransaction; if it fails, the exchange says why. */
static void
guarded(Exchange *exchange, void (*work) (Exchange *exchange))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(exchange);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		activity_of_request(exchange->request_id);
		exchange->error = call_failure(&exchange->call, edata);
		/* the message of an error of ours may say more than the catalogue */
		exchange->message = error_from_sqlerrcode(edata->sqlerrcode) == exchange->error ?
			edata->message : error_info(exchange->error)->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

static void
record_key(Exchange *exchange)
{
	api_key_used(exchange->call.merchant_id, exchange->call.key.key_id);
}

/* Write down that the API key was used, once an hour, whether the request was refused or not: its answer does not depend on it. */
static void
key_used(Exchange *exchange)
{
	ErrorId		error = exchange->error;
	const char *message = exchange->message;

	if (!exchange->call.key.unused || exchange->call.only_reads)
		return;
	guarded(exchange, record_key);
	exchange->error = error;
	exchange->message = message;
}

static void
set_response(const char *setting, const char *value)
{
	(void) set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * The status of an error, of which the web server in front of the gateway makes
 * the one that the body tells of.  PostgREST takes a 503, and no other status,
 * for a lost database, whoever set it: it drops its connections and reads the
 * schema again, while everybody waits.  And the web server closes a client's
 * connection after a 400, 413 or 500, since after one of its own it cannot know
 * where the next request begins.  Who calls a named function has no web server
 * there, and gets the status itself; but not in a transaction that only reads,
 * where PostgREST would connect anew each time.
 */
static int
error_status(const Exchange *exchange)
{
	int			status = error_info(exchange->error)->http_status;

	if (!exchange->gateway)
		return status == 503 && exchange->error == ERR_READ_ONLY ? 504 : status;
	switch (status)
	{
		case 400:
			return 460;
		case 413:
			return 473;
		case 500:
			return 560;
		case 503:
			return 504;
		default:
			return status;
	}
}

/* Seconds after which a request that was one of too many may do; the hour of staff_refused() is over then. */
int
retry_after_s(const ErrorInfo *error)
{
	return error == error_info(ERR_TOO_MANY_IN_PROGRESS) ? 1 : 3600;
}

/*
 * PostgREST has errors of its own, which describe the database.  The web
 * server lets out only those that carry their body in this header too.
 */
static void
set_error_response(const Exchange *exchange)
{
	StringInfoData headers;

	initStringInfo(&headers);
	appendStringInfoString(&headers, "[{\"X-Loyalty-Error\":");
	json_text(&headers, exchange->json.data + VARHDRSZ);
	if (exchange->error == ERR_METHOD_NOT_ALLOWED)
		appendStringInfo(&headers, "},{\"Allow\":\"%s\"", exchange->allow);
	if (error_info(exchange->error)->http_status == 429)
		appendStringInfo(&headers, "},{\"Retry-After\":\"%d\"", retry_after_s(error_info(exchange->error)));
	appendStringInfoString(&headers, "}]");

	set_response("response.status", psprintf("%d", error_status(exchange)));
	set_response("response.headers", headers.data);
}

/* Begin the body of an answer, which lies where it is returned from: the length goes before it. */
static void
body_start(StringInfo json)
{
	resetStringInfo(json);
	appendStringInfoSpaces(json, VARHDRSZ);
}

/* Read a request, run its endpoint and return the body of the answer, which may be that of an error. */
Datum
exchange_serve(Exchange *exchange)
{
	StringInfo	json = &exchange->json;

	initStringInfo(json);
	body_start(json);
	guarded(exchange, serve);
	if (exchange->error != ERR_NONE && exchange->family->refused != NULL)
		guarded(exchange, record_refusal);
	key_used(exchange);
	if (exchange->error != ERR_NONE)
	{
		/* what was there may be large */
		pfree(json->data);
		initStringInfo(json);
		body_start(json);
		exchange->family->error_body(json, error_info(exchange->error), exchange->message);
		set_error_response(exchange);
	}
	else
	{
		int			status = exchange->call.status ? exchange->call.status : exchange->call.endpoint->status;

		if (status != 0)
			set_response("response.status", psprintf("%d", status));
		if (exchange->call.replayed)
			set_response("response.headers", "[{\"Idempotent-Replayed\":\"true\"}]");
	}
	SET_VARSIZE(json->data, json->len);
	return PointerGetDatum(json->data);
}

/* ------------------------------------------------------------------------
 * Named functions
 * ------------------------------------------------------------------------ */

typedef struct NamedHeaders
{
	const char *api_key;
	const char *idempotency_key;
	const char *request_id;
} NamedHeaders;

static const Header named_headers[] = {
	{"apikey", offsetof(NamedHeaders, api_key)},
	{"idempotency-key", offsetof(NamedHeaders, idempotency_key)},
	{"x-request-id", offsetof(NamedHeaders, request_id)},
	{NULL, 0}
};

/* PostgREST has a function called by GET, too, in a transaction that cannot write. */
static void
check_method(Exchange *exchange)
{
	const char *method = GetConfigOption("request.method", true, false);

	if (!exchange->call.endpoint->writes || method == NULL)
		return;
	exchange->allow = "POST";
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		raise_error(ERR_METHOD_NOT_ALLOWED);
}

static void
read_arguments(Exchange *exchange)
{
	FunctionCallInfo fcinfo = exchange->request;
	Call	   *call = &exchange->call;
	NamedHeaders headers = {0};

	headers_read(named_headers, &headers);
	exchange_identify(exchange, headers.request_id);
	check_method(exchange);
	call->merchant_id = merchant_of_api_key(headers.api_key, &call->key);
	call->idempotency_key = headers.idempotency_key;
	if (call->endpoint->takes_items)
	{
		call_set_items(call, PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0));
		return;
	}
	for (int i = 0; i < PG_NARGS(); i++)
		fields_set(call, i, JSON_IS_STRING, PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)));
}

/* The function loyalty_api.name() of an endpoint: its fields are the arguments. */
Datum
endpoint_named(const Family *family, const Endpoint *endpoint, PG_FUNCTION_ARGS)
{
	Exchange	exchange = {.family = family,.read = read_arguments,.request = fcinfo};
	ErrorContextCallback secret;
	Datum		answer;

	if (endpoint_has_secret(endpoint))
		secret_begin(&secret);
	call_start(&exchange.call, endpoint, FROM_REQUEST);
	answer = exchange_serve(&exchange);
	if (endpoint_has_secret(endpoint))
		secret_end(&secret);
	return answer;
}

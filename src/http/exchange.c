/*
 * exchange.c
 *		Serving requests that PostgREST hands on.
 *
 * There are two ways in.  The gateway gets the raw body, and what the original
 * request was from headers that the web server in front has set.  The named
 * functions get their arguments, and the client's own headers.
 *
 * No error may leave a function: PostgREST would answer in a shape of its own,
 * and would repeat a serialization failure for ever.  So everything runs in a
 * subtransaction; what fails is rolled back there, and answered.  The status
 * is set after that, outside, or it would be rolled back too.
 */
#include "postgres.h"

#include "access/xact.h"
#include "admin/merchant.h"
#include "api/fields.h"
#include "base/json.h"
#include "http/exchange.h"
#include "http/form.h"
#include "http/route.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

static const Family *const families[] = {&ikniu_family, &kasu_family, &monedero_family};

typedef struct Request
{
	const char *method;
	const char *uri;
	const char *content_type;
	const char *api_key;
	const char *bearer;
	const char *idempotency_key;
	const char *body;
	size_t		length;
} Request;

typedef struct Exchange
{
	Request		request;
	Call		call;
	const Family *family;
	FunctionCallInfo arguments; /* of a named function, else NULL */
	StringInfoData json;
	ErrorId		error;
	const char *message;		/* of the error */
	StringInfoData allow;		/* methods of a path that lacks this one */
} Exchange;

/* ------------------------------------------------------------------------
 * What was asked
 * ------------------------------------------------------------------------ */

typedef struct Header
{
	const char *name;
	size_t		offset;			/* of the field of Request that takes it */
} Header;

static const Header gateway_headers[] = {
	{"x-loyalty-method", offsetof(Request, method)},
	{"x-loyalty-uri", offsetof(Request, uri)},
	{"x-loyalty-type", offsetof(Request, content_type)},
	{"x-loyalty-key", offsetof(Request, api_key)},
	{"x-loyalty-bearer", offsetof(Request, bearer)},
	{"x-loyalty-idempotency-key", offsetof(Request, idempotency_key)},
	{NULL, 0}
};

static const Header named_headers[] = {
	{"apikey", offsetof(Request, api_key)},
	{"idempotency-key", offsetof(Request, idempotency_key)},
	{NULL, 0}
};

typedef struct HeaderReader
{
	const Header *known;
	Request    *request;
} HeaderReader;

static void
take_header(void *context, const char *name, JsonKind kind, const char *value)
{
	HeaderReader *reader = context;

	for (const Header *header = reader->known; header->name; header++)
	{
		if (kind == JSON_IS_STRING && strcmp(name, header->name) == 0)
			*(const char **) ((char *) reader->request + header->offset) = value;
	}
}

/* PostgREST puts the headers, names in lower case, into a setting. */
static void
read_headers(Request *request, const Header *known)
{
	const char *headers = GetConfigOption("request.headers", true, false);
	HeaderReader reader = {known, request};

	if (headers != NULL && *headers != '\0')
		json_read_object(headers, strlen(headers), take_header, &reader);
}

static void
take_json_member(void *context, const char *name, JsonKind kind, const char *value)
{
	call_set_field(context, name, kind, value);
}

static void
take_form_field(void *context, const char *name, const char *value)
{
	call_set_field(context, name, JSON_IS_STRING, value);
}

static bool
media_type_is(const char *content_type, const char *media_type)
{
	size_t		length = strcspn(content_type, "; \t");

	return length == strlen(media_type) && pg_strncasecmp(content_type, media_type, length) == 0;
}

/* Some editors and languages put a byte order mark before what they write. */
static void
skip_byte_order_mark(Request *request)
{
	static const char mark[] = "\xEF\xBB\xBF";

	if (request->length >= strlen(mark) && memcmp(request->body, mark, strlen(mark)) == 0)
	{
		request->body += strlen(mark);
		request->length -= strlen(mark);
	}
}

/* A body without a type is a form: that is how an empty one is often sent. */
static void
read_body(Request *request, const Family *family, Call *call)
{
	const char *type = request->content_type ? request->content_type : "";
	bool		is_json = media_type_is(type, "application/json") || family->json;
	bool		decoded;

	if (*type != '\0' && !media_type_is(type, "application/json") &&
		!media_type_is(type, "application/x-www-form-urlencoded"))
		raise_error(ERR_UNSUPPORTED_MEDIA_TYPE);
	skip_byte_order_mark(request);
	call->body = request->body;
	call->body_length = request->length;
	if (request->length == 0 || call->endpoint->takes_items)
		return;
	if (is_json)
		decoded = json_read_object(request->body, request->length, take_json_member, call);
	else
		decoded = form_read(request->body, request->length, take_form_field, call);
	if (!decoded)
		raise_error(ERR_MALFORMED_REQUEST);
}

static void
read_query(const char *uri, Call *call)
{
	const char *query = strchr(uri, '?');

	if (query != NULL && !form_read(query + 1, strcspn(query + 1, "#"), take_form_field, call))
		raise_error(ERR_MALFORMED_REQUEST);
}

static void
take_parameter(void *context, const char *name, const char *value)
{
	Exchange   *exchange = context;

	if (strcmp(name, "apiKey") == 0)
		exchange->request.api_key = value;
	else
		call_fix_field(&exchange->call, name, value);
}

/* The route of a request, of those of its family. */
static const Route *
find_route(Exchange *exchange)
{
	const Request *request = &exchange->request;
	const Family *family = exchange->family;

	initStringInfo(&exchange->allow);
	for (int i = 0; i < family->nroutes; i++)
	{
		const Route *route = &family->routes[i];

		if (!route_matches(route->path, request->uri, NULL, NULL))
			continue;
		if (request->method != NULL && strcmp(request->method, route->method) == 0)
			return route;
		appendStringInfo(&exchange->allow, "%s%s", exchange->allow.len > 0 ? ", " : "", route->method);
	}
	if (exchange->allow.len > 0)
		raise_error(ERR_METHOD_NOT_ALLOWED);
	raise_error(ERR_UNKNOWN_PATH);
}

static const Family *
family_of(const char *uri)
{
	for (int i = 0; i < (int) lengthof(families) - 1; i++)
	{
		if (strncmp(uri, families[i]->prefix, strlen(families[i]->prefix)) == 0)
			return families[i];
	}
	return families[lengthof(families) - 1];
}

/* ------------------------------------------------------------------------
 * What is answered
 * ------------------------------------------------------------------------ */

static void
serve_path(Exchange *exchange)
{
	Request    *request = &exchange->request;
	Call	   *call = &exchange->call;
	const Route *route;

	read_headers(request, gateway_headers);
	if (request->uri == NULL)
		raise_error(ERR_UNKNOWN_PATH);
	exchange->family = family_of(request->uri);
	route = find_route(exchange);
	call_start(call, route->endpoint, FROM_REQUEST);
	route_matches(route->path, request->uri, take_parameter, exchange);

	call->sandbox = route->sandbox;
	call->bearer = request->bearer;

	/* nothing of a stranger's body is looked at */
	if (!exchange->family->own_keys)
		call->merchant_id = merchant_of_api_key(request->api_key);
	if (strcmp(request->method, "GET") == 0)
		read_query(request->uri, call);
	else
		read_body(request, exchange->family, call);
}

static void
serve_arguments(Exchange *exchange)
{
	FunctionCallInfo fcinfo = exchange->arguments;

	read_headers(&exchange->request, named_headers);
	exchange->call.merchant_id = merchant_of_api_key(exchange->request.api_key);
	if (exchange->call.endpoint->takes_items)
	{
		call_set_items(&exchange->call, PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0));
		return;
	}
	for (int i = 0; i < PG_NARGS(); i++)
		fields_set(&exchange->call, i, JSON_IS_STRING, PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)));
}

static void
serve(Exchange *exchange)
{
	if (exchange->arguments != NULL)
		serve_arguments(exchange);
	else
		serve_path(exchange);
	exchange->call.idempotency_key = exchange->request.idempotency_key;
	call_answer(&exchange->call, &exchange->json);
}

/* Do some work; if it fails, all of it is undone and exchange says why. */
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
		exchange->error = call_failure(&exchange->call, edata);
		/* the message of an error of ours may say more than the catalogue */
		exchange->message = error_from_sqlerrcode(edata->sqlerrcode) == exchange->error ?
			edata->message : error_info(exchange->error)->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* After the operation was undone, so that this is not. */
static void
record_refusal(Exchange *exchange)
{
	exchange->family->refused(&exchange->call, error_info(exchange->error));
}

static void
set_response(const char *setting, const char *value)
{
	(void) set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
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
	json_text(&headers, exchange->json.data);
	if (exchange->error == ERR_METHOD_NOT_ALLOWED)
		appendStringInfo(&headers, "},{\"Allow\":\"%s\"", exchange->allow.data);
	appendStringInfoString(&headers, "}]");

	set_response("response.status", psprintf("%d", error_info(exchange->error)->http_status));
	set_response("response.headers", headers.data);
}

static Datum
exchange_answer(Exchange *exchange)
{
	initStringInfo(&exchange->json);
	guarded(exchange, serve);
	if (exchange->error != ERR_NONE && exchange->family->refused != NULL)
		guarded(exchange, record_refusal);
	if (exchange->error != ERR_NONE)
	{
		resetStringInfo(&exchange->json);
		exchange->family->error_body(&exchange->json, error_info(exchange->error), exchange->message);
		set_error_response(exchange);
	}
	else if (exchange->call.endpoint->status != 0)
		set_response("response.status", psprintf("%d", exchange->call.endpoint->status));
	return PointerGetDatum(cstring_to_text_with_len(exchange->json.data, exchange->json.len));
}

Datum
endpoint_http(const Family *family, const Endpoint *endpoint, PG_FUNCTION_ARGS)
{
	Exchange	exchange = {.family = family,.arguments = fcinfo};

	call_start(&exchange.call, endpoint, FROM_REQUEST);
	return exchange_answer(&exchange);
}

PG_FUNCTION_INFO_V1(loyalty_api_gateway);

Datum
loyalty_api_gateway(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_ARGISNULL(0) ? NULL : PG_GETARG_BYTEA_PP(0);
	Exchange	exchange = {.family = families[lengthof(families) - 1]};

	exchange.call.unexpected = ERR_INTERNAL_ERROR;
	exchange.request.body = body ? VARDATA_ANY(body) : NULL;
	exchange.request.length = body ? VARSIZE_ANY_EXHDR(body) : 0;
	return exchange_answer(&exchange);
}

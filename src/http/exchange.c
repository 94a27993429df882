/*
 * exchange.c
 *		The gateway: from a raw HTTP request to the call of an endpoint.
 *
 * The web server in front hands on the body as it came.  What the original
 * request was it says in headers of its own.
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "admin/merchant.h"
#include "admin/turn.h"
#include "api/families.h"
#include "api/fields.h"
#include "base/json.h"
#include "http/form.h"
#include "http/route.h"

#define LARGE_BLOCK (256 * 1024)

typedef struct Request
{
	const char *method;
	const char *uri;
	const char *content_type;
	const char *api_key;
	const char *bearer;
	const char *address;
	const char *idempotency_key;
	const char *request_id;
	const char *body;
	size_t		length;
	bool		only_reads;		/* it came to a server that does not write */
} Request;

static const Header gateway_headers[] = {
	{"x-loyalty-method", offsetof(Request, method)},
	{"x-loyalty-uri", offsetof(Request, uri)},
	{"x-loyalty-type", offsetof(Request, content_type)},
	{"x-loyalty-key", offsetof(Request, api_key)},
	{"x-loyalty-bearer", offsetof(Request, bearer)},
	{"x-loyalty-ip", offsetof(Request, address)},
	{"x-loyalty-idempotency-key", offsetof(Request, idempotency_key)},
	{"x-loyalty-request-id", offsetof(Request, request_id)},
	{NULL, 0}
};

/* ------------------------------------------------------------------------
 * Fields
 * ------------------------------------------------------------------------ */

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

/* Read the fields of a body.  One without a type is a form: many clients send an empty form so. */
static void
read_body(Request *request, const Family *family, Call *call)
{
	const char *type = request->content_type ? request->content_type : "";
	bool		is_json = media_type_is(type, "application/json") || family->json;
	bool		decoded;

	skip_byte_order_mark(request);
	call_set_body(call, request->body, request->length);
	if (*type != '\0' && !media_type_is(type, "application/json") &&
		!media_type_is(type, "application/x-www-form-urlencoded"))
		raise_error(ERR_UNSUPPORTED_MEDIA_TYPE);
	if (request->length == 0 || call->endpoint->takes_items)
		return;
	if (is_json)
		decoded = json_read_object(request->body, request->length, call_has_field, take_json_member, call);
	else
		decoded = form_read(request->body, request->length, call_has_field, take_form_field, call);
	if (!decoded)
		raise_error(ERR_MALFORMED_REQUEST);
}

static void
read_query(const char *uri, Call *call)
{
	const char *query = strchr(uri, '?');

	if (query != NULL && !form_read(query + 1, strcspn(query + 1, "#"), call_has_field, take_form_field, call))
		raise_error(ERR_MALFORMED_REQUEST);
}

/* ------------------------------------------------------------------------
 * Routes
 * ------------------------------------------------------------------------ */

typedef struct PathReader
{
	Request    *request;
	Call	   *call;
} PathReader;

static void
take_path_field(void *context, const char *name, const char *value)
{
	PathReader *reader = context;

	if (strcmp(name, "apiKey") == 0)
		reader->request->api_key = value;
	else
		call_fix_field(reader->call, name, value);
}

/* The route of a request, of those of its family. */
static const Route *
find_route(Exchange *exchange, const Request *request)
{
	const Family *family = exchange->family;
	StringInfoData allow;

	initStringInfo(&allow);
	for (int i = 0; i < family->nroutes; i++)
	{
		const Route *route = &family->routes[i];

		if (!route_matches(route->path, request->uri, NULL, NULL))
			continue;
		if (request->method != NULL && strcmp(request->method, route->method) == 0)
			return route;
		appendStringInfo(&allow, "%s%s", allow.len > 0 ? ", " : "", route->method);
	}
	exchange->allow = allow.data;
	raise_error(allow.len > 0 ? ERR_METHOD_NOT_ALLOWED : ERR_UNKNOWN_PATH);
}

static void
read_request(Exchange *exchange)
{
	Request    *request = exchange->request;
	Call	   *call = &exchange->call;
	PathReader	reader = {request, call};
	const Route *route;

	headers_read(gateway_headers, request);
	exchange_identify(exchange, request->request_id);
	if (request->uri == NULL)
		raise_error(ERR_UNKNOWN_PATH);
	exchange->family = family_of(request->uri);
	route = find_route(exchange, request);
	call_start(call, route->endpoint, FROM_REQUEST);
	call->only_reads |= request->only_reads;
	route_matches(route->path, request->uri, take_path_field, &reader);

	call->sandbox = route->sandbox;
	call->bearer = request->bearer;
	call->address = request->address;
	call->idempotency_key = request->idempotency_key;

	/* a body is read after its sender is known */
	if (!exchange->family->own_keys)
	{
		call->merchant_id = merchant_of_api_key(request->api_key, &call->key);
		turn_take(call->merchant_id, TURNS_OF_MERCHANT);
	}
	if (strcmp(request->method, "GET") == 0)
		read_query(request->uri, call);
	else
		read_body(request, exchange->family, call);
}

/*
 * A large body leaves a session with memory that was freed and that the C
 * library keeps: it does so the more, the larger the blocks are that it has seen
 * freed, unless it is told from what size on they are the system's.
 */
static void
give_back_large_blocks(void)
{
#ifdef __GLIBC__
	static bool told = false;

	if (!told)
	{
		mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
		mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK);
	}
	told = true;
#endif
}

/* Serve a request from its raw body, and headers. */
static Datum
serve_request(FunctionCallInfo fcinfo, bool only_reads)
{
	bytea	   *body = PG_ARGISNULL(0) ? NULL : PG_GETARG_BYTEA_PP(0);
	Request		request = {
		.body = body ? VARDATA_ANY(body) : NULL,
		.length = body ? VARSIZE_ANY_EXHDR(body) : 0,
		.only_reads = only_reads,
	};
	Exchange	exchange = {.family = family_of(""),.read = read_request,.request = &request,.gateway = true};

	if (request.length > BODY_MAX_LENGTH)
		give_back_large_blocks();
	exchange.call.unexpected = ERR_INTERNAL_ERROR;
	return exchange_serve(&exchange);
}

PG_FUNCTION_INFO_V1(loyalty_api_gateway);

/* loyalty_api.gateway(): the documented paths. */
Datum
loyalty_api_gateway(PG_FUNCTION_ARGS)
{
	return serve_request(fcinfo, false);
}

PG_FUNCTION_INFO_V1(loyalty_api_gateway_read);

/* loyalty_api.gateway_read(): those that only read. */
Datum
loyalty_api_gateway_read(PG_FUNCTION_ARGS)
{
	return serve_request(fcinfo, true);
}

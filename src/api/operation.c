/*
 * operation.c
 *		A call of an endpoint, before it runs; and pieces of its answer.
 */
#include "postgres.h"

#include "access/xact.h"
#include "api/operation.h"

/* Start a call of an endpoint, without values. */
void
call_start(Call *call, const Endpoint *endpoint, Origin origin)
{
	memset(call, 0, sizeof(Call));
	call->endpoint = endpoint;
	call->origin = origin;
	call->only_reads = XactReadOnly;
	call->unexpected = endpoint->unexpected != ERR_NONE ? endpoint->unexpected : ERR_INTERNAL_ERROR;
}

/* Set the body of a call; in a request it may be as long as the endpoint takes. */
void
call_set_body(Call *call, const char *body, size_t length)
{
	if (call->origin == FROM_REQUEST && length > Max(call->endpoint->body_max_length, BODY_MAX_LENGTH))
		raise_error(ERR_BODY_TOO_LARGE);
	call->body = body;
	call->body_length = length;
}

/* Set the items of a call that takes items, from a JSON argument of an SQL function. */
void
call_set_items(Call *call, text *items)
{
	call_set_body(call, items ? VARDATA_ANY(items) : "", items ? VARSIZE_ANY_EXHDR(items) : 0);
}

/* Raise the code that a condition has, by where the call comes from. */
void
call_refuse(const Call *call, Refusal refusal)
{
	ErrorId		error = call->origin == FROM_REQUEST ? refusal.request : refusal.operation;

	raise_error(error == ERR_NONE ? ERR_MALFORMED_REQUEST : error);
}

/* Add a member with a string to a JSON object. */
void
body_text(StringInfo json, const char *key, const char *text)
{
	json_key(json, key);
	json_text(json, text);
}

/* Add the members of an object, which is JSON already. */
void
body_members(StringInfo json, const char *object)
{
	const char *first = strchr(object, '{') + 1;
	const char *end = strrchr(object, '}');

	while (*first == ' ')
		first++;
	while (end[-1] == ' ')
		end--;
	if (json->len > 0 && json->data[json->len - 1] != '{')
		appendStringInfoChar(json, ',');
	appendBinaryStringInfo(json, first, end - first);
}

/* Add a member whose value is JSON already. */
void
body_json(StringInfo json, const char *key, const char *value)
{
	json_key(json, key);
	appendStringInfoString(json, value);
}

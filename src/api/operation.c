/*
 * operation.c
 *		A call of an endpoint, before it runs; and pieces of its answer.
 */
#include "postgres.h"

#include "api/operation.h"

/* Start a call of an endpoint, without values. */
void
call_start(Call *call, const Endpoint *endpoint, Origin origin)
{
	memset(call, 0, sizeof(Call));
	call->endpoint = endpoint;
	call->origin = origin;
	call->unexpected = endpoint->unexpected != ERR_NONE ? endpoint->unexpected : ERR_INTERNAL_ERROR;
}

/* Set the items of a call that takes items, from a JSON argument of an SQL function. */
void
call_set_items(Call *call, text *items)
{
	call->body = items ? VARDATA_ANY(items) : "";
	call->body_length = items ? VARSIZE_ANY_EXHDR(items) : 0;
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

/* Add a member whose value is JSON already. */
void
body_json(StringInfo json, const char *key, const char *value)
{
	json_key(json, key);
	appendStringInfoString(json, value);
}

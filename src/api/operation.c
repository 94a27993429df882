/*
 * operation.c
 *		A call of a documented operation, before it runs.
 */
#include "postgres.h"

#include "api/operation.h"

void
call_start(Call *call, const Endpoint *endpoint, Origin origin)
{
	memset(call, 0, sizeof(Call));
	call->endpoint = endpoint;
	call->origin = origin;
	call->unexpected = endpoint->unexpected;
}

/* The items as SQL hands them over, as json. */
void
call_set_items(Call *call, text *items)
{
	call->body = items ? VARDATA_ANY(items) : "";
	call->body_length = items ? VARSIZE_ANY_EXHDR(items) : 0;
}

void
call_refuse(const Call *call, Refusal refusal)
{
	ErrorId		error = call->origin == FROM_REQUEST ? refusal.request : refusal.operation;

	raise_error(error == ERR_NONE ? ERR_MALFORMED_REQUEST : error);
}

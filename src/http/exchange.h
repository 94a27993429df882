/*
 * exchange.h
 *		Serving requests that PostgREST hands on.
 */
#ifndef LOYALTY_HTTP_H
#define LOYALTY_HTTP_H

#include "postgres.h"
#include "api/dispatch.h"

/*
 * A path is matched segment by segment; ":name" takes any segment and hands it
 * to the field of that name, ":apiKey" to authentication.
 */
typedef struct Route
{
	const char *method;
	const char *path;
	const Endpoint *endpoint;
	bool		sandbox;
} Route;

/* One documented API: its paths, and the shape of its error bodies. */
typedef struct Family
{
	const char *prefix;			/* what its paths start with */
	const Route *routes;
	int			nroutes;
	bool		json;			/* whatever the type says, a body is JSON */
	bool		own_keys;		/* its handlers authenticate, not the API key */
	void		(*error_body) (StringInfo json, const ErrorInfo *error, const char *message);
	void		(*refused) (const Call *call, const ErrorInfo *error); /* or NULL */
} Family;

extern const Family monedero_family;
extern const Family ikniu_family;
extern const Family kasu_family;

extern Datum endpoint_http(const Family *family, const Endpoint *endpoint, PG_FUNCTION_ARGS);

#endif

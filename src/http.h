/*
 * http.h
 *		Serving requests that PostgREST hands on.
 */
#ifndef LOYALTY_HTTP_H
#define LOYALTY_HTTP_H

#include "postgres.h"
#include "endpoint.h"

typedef struct Route
{
	const char *method;
	const char *path;
	const Endpoint *endpoint;
} Route;

/* One documented API: its paths, and the shape of its error bodies. */
typedef struct Family
{
	const Route *routes;
	int			nroutes;
	void		(*error_body) (StringInfo json, const ErrorInfo *error);
} Family;

extern const Family monedero_family;

extern Datum endpoint_http(const Endpoint *endpoint, PG_FUNCTION_ARGS);

#endif

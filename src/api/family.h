/*
 * family.h
 *		A family of endpoints: one documented API, and how its requests are
 *		served.
 */
#ifndef LOYALTY_FAMILY_H
#define LOYALTY_FAMILY_H

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

typedef struct Family
{
	const char *prefix;			/* what its paths start with */
	const Route *routes;
	int			nroutes;
	bool		json;			/* whatever the type says, a body is JSON */
	bool		own_keys;		/* its handlers authenticate, not the API key */
	void		(*error_body) (StringInfo json, const ErrorInfo *error, const char *message);
	ErrorId		(*refused) (const Call *call, ErrorId error);	/* or NULL; returns what is answered */
} Family;

/* A request that PostgREST has handed on, and its answer. */
typedef struct Exchange
{
	const Family *family;
	void		(*read) (struct Exchange *exchange);	/* the request, into the call; may raise */
	void	   *request;		/* for that */
	bool		gateway;		/* a documented path, which the web server is in front of */
	Call		call;
	StringInfoData json;		/* the body of the answer */
	ErrorId		error;
	const char *message;		/* of the error */
	const char *request_id;		/* by which the logs know it, or NULL */
	const char *allow;			/* the methods that a path has, when it lacks the one of the request */
} Exchange;

/* A header, its name in lower case, and where in a struct its value goes. */
typedef struct Header
{
	const char *name;			/* NULL ends an array of them */
	size_t		offset;
} Header;

extern void headers_read(const Header *headers, void *target);
extern void exchange_identify(Exchange *exchange, const char *request_id);
extern int	retry_after_s(const ErrorInfo *error);
extern Datum exchange_serve(Exchange *exchange);
extern Datum endpoint_named(const Family *family, const Endpoint *endpoint, PG_FUNCTION_ARGS);

/* The two SQL functions of an endpoint: loyalty.sql_name() raises, loyalty_api.name() answers. */
#define ENDPOINT_FUNCTIONS_AS(family, name, sql_name) \
	PG_FUNCTION_INFO_V1(loyalty_##sql_name); \
	Datum loyalty_##sql_name(PG_FUNCTION_ARGS) { return endpoint_sql(&name, fcinfo); } \
	PG_FUNCTION_INFO_V1(loyalty_api_##name); \
	Datum loyalty_api_##name(PG_FUNCTION_ARGS) { return endpoint_named(&family, &name, fcinfo); }
#define ENDPOINT_FUNCTIONS(family, name) ENDPOINT_FUNCTIONS_AS(family, name, name)

#endif

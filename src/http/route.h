/*
 * route.h
 *		Matching paths.
 */
#ifndef LOYALTY_ROUTE_H
#define LOYALTY_ROUTE_H

#include "postgres.h"
#include "http/form.h"

extern bool route_matches(const char *pattern, const char *uri, FormField parameter, void *context);

#endif

/*
 * arguments.h
 *		The arguments of an SQL function, for refusals that name them.
 */
#ifndef LOYALTY_ARGUMENTS_H
#define LOYALTY_ARGUMENTS_H

#include "postgres.h"
#include "fmgr.h"

extern const char *argument_name(FunctionCallInfo fcinfo, int argument);
extern text *text_argument(FunctionCallInfo fcinfo, int argument, int max_length);
extern void require_argument(FunctionCallInfo fcinfo, int argument);

#endif

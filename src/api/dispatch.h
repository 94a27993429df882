/*
 * dispatch.h
 *		Running a call of an endpoint, and its answer.
 */
#ifndef LOYALTY_DISPATCH_H
#define LOYALTY_DISPATCH_H

#include "postgres.h"
#include "api/operation.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

extern int	answer_size_kb;

extern void call_answer(Call *call, StringInfo json);
extern bool call_claim(Call *call);
extern void call_keep_answer(const Call *call);
extern void call_unclaim(const Call *call);
extern ErrorId call_failure(const Call *call, const ErrorData *edata);
extern bool endpoint_has_secret(const Endpoint *endpoint);
extern Datum endpoint_sql(const Endpoint *endpoint, PG_FUNCTION_ARGS);

#endif

/*
 * fields.h
 *		The fields of a call: from text to values.
 */
#ifndef LOYALTY_FIELDS_H
#define LOYALTY_FIELDS_H

#include "api/operation.h"

extern bool call_has_field(void *context, const char *name);
extern void call_set_field(Call *call, const char *name, JsonKind kind, const char *value);
extern void call_fix_field(Call *call, const char *name, const char *value);
extern void fields_set(Call *call, int i, JsonKind kind, const char *value);
extern const Refusal *fields_check(Call *call, const Field **field);
extern void fields_decode(Call *call);
extern bool parse_amount(const char *text, Points *amount);

#endif

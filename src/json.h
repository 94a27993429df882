/*
 * json.h
 *		JSON in, by jansson; JSON out, by PostgreSQL's own escaping.
 *
 * Answers are written as text because jansson knows numbers only as doubles
 * and 64-bit integers, and balances must be exact.
 */
#ifndef LOYALTY_JSON_H
#define LOYALTY_JSON_H

#include "postgres.h"
#include "lib/stringinfo.h"

typedef enum JsonKind
{
	JSON_IS_TEXT,				/* a string, a number or a boolean, as text */
	JSON_IS_NULL,
	JSON_IS_NESTED				/* an array or an object */
} JsonKind;

typedef void (*JsonMember) (void *context, const char *name, JsonKind kind, const char *value);

extern void json_use_palloc(void);
extern bool json_read_object(const char *body, size_t length, JsonMember member, void *context);

extern void json_key(StringInfo json, const char *key);
extern void json_text(StringInfo json, const char *value);

#endif

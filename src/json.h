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
	JSON_IS_STRING,
	JSON_IS_NUMBER,
	JSON_IS_BOOLEAN,
	JSON_IS_NULL,				/* value is NULL */
	JSON_IS_ARRAY,				/* value is the array, as JSON */
	JSON_IS_OBJECT				/* value is the object, as JSON */
} JsonKind;

/* Called for each member of an object; value lives as long as the context. */
typedef void (*JsonMember) (void *context, const char *name, JsonKind kind, const char *value);

/*
 * Called before the members of each element of an array, with the number of
 * elements; returns the context for them.
 */
typedef void *(*JsonElement) (void *context, size_t index, size_t count, bool is_object);

extern void json_use_palloc(void);
extern bool json_read_object(const char *body, size_t length, JsonMember member, void *context);

extern bool json_read_items(const char *body, size_t length, JsonElement element, JsonMember member, void *context);

extern void json_key(StringInfo json, const char *key);
extern void json_text(StringInfo json, const char *value);

#endif

/*
 * json.h
 *		JSON in, by the server's own lexer; JSON out, by its own escaping.
 */
#ifndef LOYALTY_JSON_H
#define LOYALTY_JSON_H

#include "postgres.h"
#include "lib/stringinfo.h"

typedef enum JsonKind
{
	JSON_IS_STRING,
	JSON_IS_NUMBER,				/* value is the number, as it was written */
	JSON_IS_BOOLEAN,
	JSON_IS_NULL,				/* value is NULL */
	JSON_IS_ARRAY,				/* value is the array, as it was written */
	JSON_IS_OBJECT,				/* value is the object, as it was written */
	JSON_IS_UNREADABLE			/* value is NULL: SQL has none for what was written, such as an escaped NUL, half a
								 * surrogate pair or, in an array or object, 1e999999, or too deep a nesting */
} JsonKind;

/*
 * Whether a member of this name is wanted.  One that is not is gone past: its
 * value is not made, and it is handed out only if it is unreadable.
 */
typedef bool (*JsonWanted) (void *context, const char *name);

/*
 * Called for each member of an object that is wanted, again for a name that is
 * given again; value lives as long as the context, name until this returns.
 */
typedef void (*JsonMember) (void *context, const char *name, JsonKind kind, const char *value);

/*
 * Called before the members of each element of an array, with the number of
 * elements; returns the context for them.
 */
typedef void *(*JsonElement) (void *context, size_t index, size_t count, bool is_object);

/* A wanted of NULL wants all members. */
extern bool json_read_object(const char *body, size_t length, JsonWanted wanted, JsonMember member, void *context);

extern bool json_read_items(const char *body, size_t length, size_t max, JsonElement element, JsonWanted wanted,
							JsonMember member, void *context);

extern const char *json_plain_number(const char *number);

extern void json_key(StringInfo json, const char *key);
extern size_t json_text_length(const char *value);
extern void json_text(StringInfo json, const char *value);

#endif

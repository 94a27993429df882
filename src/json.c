/*
 * json.c
 *		JSON in, by jansson; JSON out, by PostgreSQL's own escaping.
 *
 * The only file that includes jansson.h: it and PostgreSQL both declare
 * json_object, and calling jansson's from here would reach PostgreSQL's.  For
 * the same reason utils/builtins.h stays out of this file.
 *
 * jansson allocates by palloc, so that an error leaves nothing behind; what it
 * returns lives in the memory context it was read in and is never kept.
 */
#include "postgres.h"

#include <jansson.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "json.h"
#include "utils/json.h"

/*
 * Below this a double is nearest to exactly one number of POINTS_DECIMALS
 * decimals: fifteen significant digits, less those after the point.
 */
#define EXACT_REAL_LIMIT 1e11
#define EXACT_DIGITS 15

static void *
allocate(size_t size)
{
	return palloc(size);
}

static void
release(void *pointer)
{
	if (pointer != NULL)
		pfree(pointer);
}

void
json_use_palloc(void)
{
	json_set_alloc_funcs(allocate, release);
}

/*
 * A number as the decimal it was written as.  jansson has turned one with a
 * fraction into a double; its shortest decimal is what was written, as long as
 * doubles are dense enough there.  Beyond, NULL: the digits are lost, and a
 * nearby amount is not the amount.
 */
static char *
number_text(const json_t *value)
{
	double		real;

	if (json_is_integer(value))
		return psprintf("%lld", (long long) json_integer_value(value));
	real = json_real_value(value);
	if (fabs(real) >= EXACT_REAL_LIMIT)
		return NULL;
	if (real == floor(real))
		return psprintf("%.0f", real);
	else
	{
		char	   *text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);

		double_to_shortest_decimal_buf(real, text);
		return text;
	}
}

static void
read_member(const char *name, const json_t *value, JsonMember member, void *context)
{
	switch (json_typeof(value))
	{
		case JSON_STRING:
			member(context, name, JSON_IS_STRING, pstrdup(json_string_value(value)));
			break;
		case JSON_INTEGER:
		case JSON_REAL:
			{
				char	   *text = number_text(value);

				/* "?" is malformed wherever a number is expected */
				member(context, name, JSON_IS_NUMBER, text ? text : "?");
				break;
			}
		case JSON_TRUE:
		case JSON_FALSE:
			member(context, name, JSON_IS_BOOLEAN, json_is_true(value) ? "true" : "false");
			break;
		case JSON_NULL:
			member(context, name, JSON_IS_NULL, NULL);
			break;
		default:
			member(context, name, json_is_array(value) ? JSON_IS_ARRAY : JSON_IS_OBJECT,
				   json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(EXACT_DIGITS)));
			break;
	}
}

static void
read_members(json_t *object, JsonMember member, void *context)
{
	const char *name;
	json_t	   *value;

	json_object_foreach(object, name, value)
		read_member(name, value, member, context);
}

/* False, and nothing called, unless all of body is one JSON object. */
bool
json_read_object(const char *body, size_t length, JsonMember member, void *context)
{
	json_error_t error;
	json_t	   *root = json_loadb(body, length, 0, &error);
	bool		is_object = json_is_object(root);

	if (is_object)
		read_members(root, member, context);
	json_decref(root);
	return is_object;
}

/*
 * False, and nothing called, unless all of body is one JSON array, or an
 * object, which is taken as an array of one.  An element that is no object
 * has no members.
 */
bool
json_read_items(const char *body, size_t length, JsonElement element, JsonMember member, void *context)
{
	json_error_t error;
	json_t	   *root = json_loadb(body, length, 0, &error);
	size_t		count = json_is_array(root) ? json_array_size(root) : 1;

	if (!json_is_array(root) && !json_is_object(root))
	{
		json_decref(root);
		return false;
	}
	for (size_t i = 0; i < count; i++)
	{
		json_t	   *item = json_is_array(root) ? json_array_get(root, i) : root;

		read_members(item, member, element(context, i, count, json_is_object(item)));
	}
	json_decref(root);
	return true;
}

/* "key": with the comma before it if the object already has members. */
void
json_key(StringInfo json, const char *key)
{
	if (json->len > 0 && json->data[json->len - 1] != '{' && json->data[json->len - 1] != '[')
		appendStringInfoChar(json, ',');
	escape_json(json, key);
	appendStringInfoChar(json, ':');
}

void
json_text(StringInfo json, const char *value)
{
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

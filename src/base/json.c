/*
 * json.c
 *		JSON in, by the server's own lexer; JSON out, by its own escaping.
 *
 * A text is gone through twice.  The first pass makes sure that all of it is
 * JSON, so that nothing is handed out of what is not; the second hands out the
 * members, one after the other.  No tree is built, a member that nobody wants
 * is gone past, and a number is never computed with: it stays the characters
 * that it was written in.  What is interrupted is so at any token.
 *
 * The server's parser would give up at the first string that no text can hold,
 * such as one with an escaped NUL.  Whoever reads a batch wants to refuse one
 * item then, and needs to know where it ends; so strings are skipped with their
 * escapes first and decoded one by one after.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/json.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

/* arrays and objects within each other; what is deeper cannot be read */
#define MAX_DEPTH 2048

/* such as "e+400": what is within these is a number of the server's, too */
#define MAX_EXPONENT_LENGTH 5
#define MAX_NUMBER_LENGTH 1000

/* written out, more than this is but zeros that nobody asked for */
#define MAX_PLAIN_EXPONENT 99

/* ------------------------------------------------------------------------
 * Tokens
 * ------------------------------------------------------------------------ */

static JsonLexContext *
start(const char *json, size_t length)
{
	return makeJsonLexContextCstringLen(NULL, json, length, PG_UTF8, false);
}

/* Go to the next token; false if what follows is none. */
static bool
advance(JsonLexContext *lex)
{
	CHECK_FOR_INTERRUPTS();
	return json_lex(lex) == JSON_SUCCESS;
}

/* The text of the present token, a string; NULL if no text can hold it. */
static char *
string_text(const JsonLexContext *lex)
{
	const char *quoted = lex->token_start;
	size_t		length = lex->token_terminator - quoted;
	JsonLexContext *decoder;
	char	   *text = NULL;

	if (memchr(quoted, '\\', length) == NULL)
		return pnstrdup(quoted + 1, length - 2);
	decoder = makeJsonLexContextCstringLen(NULL, quoted, length, PG_UTF8, true);
	if (json_lex(decoder) == JSON_SUCCESS)
		text = pstrdup(decoder->strval->data);
	freeJsonLexContext(decoder);
	return text;
}

static bool
is_within_bounds(const char *number, size_t length)
{
	const char *end = number + length;
	const char *exponent = number;

	while (exponent < end && *exponent != 'e' && *exponent != 'E')
		exponent++;
	return length <= MAX_NUMBER_LENGTH && end - exponent <= MAX_EXPONENT_LENGTH;
}

/* Whether the present token, if it is a string or a number, has a value in SQL. */
static bool
is_readable(const JsonLexContext *lex)
{
	size_t		length = lex->token_terminator - lex->token_start;
	char	   *text;

	if (lex->token_type == JSON_TOKEN_NUMBER)
		return is_within_bounds(lex->token_start, length);
	if (lex->token_type != JSON_TOKEN_STRING || memchr(lex->token_start, '\\', length) == NULL)
		return true;
	text = string_text(lex);
	if (text != NULL)
		pfree(text);
	return text != NULL;
}

/* ------------------------------------------------------------------------
 * The first pass
 * ------------------------------------------------------------------------ */

/* What a member of an object starts with. */
static bool
check_name(JsonLexContext *lex, bool *readable)
{
	if (lex->token_type != JSON_TOKEN_STRING)
		return false;
	*readable = *readable && is_readable(lex);
	return advance(lex) && lex->token_type == JSON_TOKEN_COLON && advance(lex);
}

/* A value without parts, at this depth. */
static bool
check_scalar(JsonLexContext *lex, int depth, bool *readable)
{
	switch (lex->token_type)
	{
		case JSON_TOKEN_STRING:
		case JSON_TOKEN_NUMBER:
			/* a number that is a member itself is but a text */
			*readable = *readable && ((depth == 1 && lex->token_type == JSON_TOKEN_NUMBER) || is_readable(lex));
			return advance(lex);
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
		case JSON_TOKEN_NULL:
			return advance(lex);
		default:
			return false;
	}
}

/* What separates a value from the next one, whose parent ends so. */
static bool
check_comma(JsonLexContext *lex, char end, bool *readable)
{
	return lex->token_type == JSON_TOKEN_COMMA && advance(lex) && (end != JSON_TOKEN_OBJECT_END || check_name(lex, readable));
}

/*
 * An array or object, up to the token after it; how many elements it has, of at
 * most so many.  The tokens that will end what is open are kept in a string, not
 * on the stack: JSON may be nested as deeply as it is long.
 */
static bool
check_elements(JsonLexContext *lex, size_t max, bool *readable, size_t *count)
{
	StringInfoData ends;

	*count = 0;
	initStringInfo(&ends);
	do
	{
		JsonTokenType begin = lex->token_type;

		if (begin == JSON_TOKEN_ARRAY_START || begin == JSON_TOKEN_OBJECT_START)
		{
			JsonTokenType end = begin == JSON_TOKEN_ARRAY_START ? JSON_TOKEN_ARRAY_END : JSON_TOKEN_OBJECT_END;

			*count += ends.len == 1;
			appendStringInfoChar(&ends, (char) end);
			*readable = *readable && ends.len <= MAX_DEPTH;
			if (!advance(lex))
				return false;
			if (lex->token_type != end)
			{
				if (end == JSON_TOKEN_OBJECT_END && !check_name(lex, readable))
					return false;
				continue;
			}
		}
		else if (check_scalar(lex, ends.len, readable))
			*count += ends.len == 1;
		else
			return false;
		while (ends.len > 0 && lex->token_type == (JsonTokenType) ends.data[ends.len - 1])
		{
			ends.len--;
			if (!advance(lex))
				return false;
		}
		if (*count > max || (ends.len > 0 && !check_comma(lex, ends.data[ends.len - 1], readable)))
			return false;
	} while (ends.len > 0);
	pfree(ends.data);
	return true;
}

/* ------------------------------------------------------------------------
 * The second pass
 * ------------------------------------------------------------------------ */

/* Go past an array or object; false: something in it is unreadable.  *end is where it ends. */
static bool
skip_nested(JsonLexContext *lex, const char **end)
{
	bool		readable = true;
	int			depth = 0;

	do
	{
		if (lex->token_type == JSON_TOKEN_ARRAY_START || lex->token_type == JSON_TOKEN_OBJECT_START)
			depth++;
		else if (lex->token_type == JSON_TOKEN_ARRAY_END || lex->token_type == JSON_TOKEN_OBJECT_END)
			depth--;
		readable = readable && depth < MAX_DEPTH && is_readable(lex);
		*end = lex->token_terminator;
		advance(lex);
	} while (depth > 0);
	return readable;
}

/* Go past the present value; its text, if it is wanted and has one. */
static char *
take_value(JsonLexContext *lex, bool wanted, JsonKind *kind)
{
	const char *from = lex->token_start;
	const char *end = lex->token_terminator;
	char	   *value = NULL;

	switch (lex->token_type)
	{
		case JSON_TOKEN_ARRAY_START:
		case JSON_TOKEN_OBJECT_START:
			*kind = lex->token_type == JSON_TOKEN_ARRAY_START ? JSON_IS_ARRAY : JSON_IS_OBJECT;
			if (!skip_nested(lex, &end))
				*kind = JSON_IS_UNREADABLE;
			else if (wanted)
				value = pnstrdup(from, end - from);
			return value;
		case JSON_TOKEN_STRING:
			if (wanted)
				value = string_text(lex);
			*kind = value != NULL || (!wanted && is_readable(lex)) ? JSON_IS_STRING : JSON_IS_UNREADABLE;
			break;
		case JSON_TOKEN_NULL:
			*kind = JSON_IS_NULL;
			break;
		default:
			if (wanted)
				value = pnstrdup(from, end - from);
			*kind = lex->token_type == JSON_TOKEN_NUMBER ? JSON_IS_NUMBER : JSON_IS_BOOLEAN;
			break;
	}
	advance(lex);
	return value;
}

/* The text of the present token, a name; false if no text can hold it. */
static bool
take_name(JsonLexContext *lex, StringInfo name)
{
	const char *quoted = lex->token_start;
	size_t		length = lex->token_terminator - quoted;
	char	   *text;

	resetStringInfo(name);
	if (memchr(quoted, '\\', length) == NULL)
	{
		appendBinaryStringInfo(name, quoted + 1, length - 2);
		return true;
	}
	text = string_text(lex);
	if (text == NULL)
		return false;
	appendStringInfoString(name, text);
	pfree(text);
	return true;
}

/* The members of the present object, and go past it. */
static void
read_members(JsonLexContext *lex, JsonWanted wanted, JsonMember member, void *context)
{
	StringInfoData name;

	initStringInfo(&name);
	do
	{
		bool		is_named;
		bool		is_wanted;
		char	   *value;
		JsonKind	kind;

		advance(lex);
		if (lex->token_type == JSON_TOKEN_OBJECT_END)
			break;				/* it is empty */
		is_named = take_name(lex, &name);
		is_wanted = is_named && (wanted == NULL || wanted(context, name.data));
		advance(lex);
		advance(lex);
		value = take_value(lex, is_wanted, &kind);
		if (!is_named)
			member(context, "", JSON_IS_UNREADABLE, NULL);
		else if (is_wanted || kind == JSON_IS_UNREADABLE)
			member(context, name.data, kind, value);
	} while (lex->token_type == JSON_TOKEN_COMMA);
	advance(lex);
	pfree(name.data);
}

/* Whether all of body is one JSON object, with nothing in it that cannot be read. */
static bool
is_readable_object(const char *body, size_t length)
{
	JsonLexContext *lex = start(body, length);
	bool		readable = true;
	size_t		count;

	return pg_verify_mbstr(PG_UTF8, body, length, true) &&
		advance(lex) && lex->token_type == JSON_TOKEN_OBJECT_START && check_elements(lex, length, &readable, &count) &&
		lex->token_type == JSON_TOKEN_END && readable;
}

static void
read_object(const char *body, size_t length, JsonWanted wanted, JsonMember member, void *context)
{
	JsonLexContext *lex = start(body, length);

	advance(lex);
	read_members(lex, wanted, member, context);
}

/* False, and nothing called, unless all of body is one JSON object, readable to the end. */
bool
json_read_object(const char *body, size_t length, JsonWanted wanted, JsonMember member, void *context)
{
	if (!is_readable_object(body, length))
		return false;
	read_object(body, length, wanted, member, context);
	return true;
}

/* The number of elements if all of body is one JSON array of at most so many, else -1. */
static int64
count_elements(const char *body, size_t length, size_t max)
{
	JsonLexContext *lex = start(body, length);
	bool		readable = true;
	size_t		count;

	if (!pg_verify_mbstr(PG_UTF8, body, length, true) || !advance(lex) || lex->token_type != JSON_TOKEN_ARRAY_START ||
		!check_elements(lex, max, &readable, &count) || lex->token_type != JSON_TOKEN_END)
		return -1;
	return count;
}

/*
 * False, and nothing called, unless all of body is one JSON array of at most so
 * many elements, or an object, which is taken as an array of one.  An array of
 * more is read no further.  An element that is no object has no members.  A text that cannot be read is the element's affair in an
 * array, and the body's in an object.
 */
bool
json_read_items(const char *body, size_t length, size_t max, JsonElement element, JsonWanted wanted, JsonMember member,
				void *context)
{
	int64		count = count_elements(body, length, max);
	JsonLexContext *lex = start(body, length);

	if (count < 0)
	{
		if (!is_readable_object(body, length))
			return false;
		read_object(body, length, wanted, member, element(context, 0, 1, true));
		return true;
	}
	advance(lex);
	for (int64 i = 0; i < count; i++)
	{
		JsonKind	kind;
		bool		is_object;
		void	   *item;

		advance(lex);
		is_object = lex->token_type == JSON_TOKEN_OBJECT_START;
		item = element(context, i, count, is_object);
		if (is_object)
			read_members(lex, wanted, member, item);
		else
			take_value(lex, false, &kind);
	}
	return true;
}

/*
 * A number without exponent and without zeros at the end of its fraction, for
 * where its value counts and not how it was written.  One that is beyond all
 * bounds stays as it is, and is malformed wherever digits are expected.
 */
const char *
json_plain_number(const char *number)
{
	const char *exponent = strpbrk(number, "eE");
	Datum		value;

	if (strpbrk(number, ".eE") == NULL || !is_within_bounds(number, strlen(number)) ||
		(exponent != NULL && abs(atoi(exponent + 1)) > MAX_PLAIN_EXPONENT))
		return number;
	value = DirectFunctionCall3(numeric_in, CStringGetDatum(number), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	return DatumGetCString(DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, value)));
}

/* "key": with the comma before it if the object already has members; a key has nothing to escape. */
void
json_key(StringInfo json, const char *key)
{
	if (json->len > 0 && json->data[json->len - 1] != '{' && json->data[json->len - 1] != '[')
		appendStringInfoChar(json, ',');
	appendStringInfoChar(json, '"');
	appendStringInfoString(json, key);
	appendStringInfoString(json, "\":");
}

/* How long a JSON string is at most, without its quotes. */
size_t
json_text_length(const char *value)
{
	size_t		length = 0;

	for (const char *c = value; *c != '\0'; c++)
		length += (unsigned char) *c < ' ' ? strlen("\\u0000") : *c == '"' || *c == '\\' ? 2 : 1;
	return length;
}

/* Append a JSON string. */
void
json_text(StringInfo json, const char *value)
{
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

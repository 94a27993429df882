/*
 * name.c
 *		What people and branches may be called.
 *
 * A name is written into messages, lists and logs.  So it has one line, and
 * nothing that turns around what is before or behind it.  A link is a name like
 * any other, but no message of the merchant's carries it to a phone.
 */
#include "postgres.h"

#include <ctype.h>
#include "base/compat.h"
#include "base/fold.h"
#include "base/name.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

static pg_wchar *
wide(const char *text)
{
	size_t		length = strlen(text);
	pg_wchar   *characters = palloc((length + 1) * sizeof(pg_wchar));

	characters[pg_mb2wchar_with_len(text, characters, length)] = 0;
	return characters;
}

/* What controls a terminal, ends a line, or sets the direction of writing. */
static bool
is_control(pg_wchar c)
{
	return c < ' ' || (c >= 0x7F && c <= 0x9F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* Whether a text is without control characters, but for those around it, which are trimmed. */
bool
text_is_name(const char *text)
{
	for (const pg_wchar *c = wide(text_trimmed(text)); *c != 0; c++)
	{
		if (is_control(*c))
			return false;
	}
	return true;
}

static bool
is_digit(pg_wchar c)
{
	return c < 0x80 && isdigit((unsigned char) c);
}

/* A letter of whatever alphabet, as far as domains are concerned. */
static bool
is_letter(pg_wchar c)
{
	return c >= 0x80 || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Dots of East Asian writing are dots of a domain, too. */
static bool
is_dot(pg_wchar c)
{
	return c == '.' || c == 0x3002 || c == 0xFF0E || c == 0xFF61;
}

/* Whether a phone might make a link of something in a text: "://", "bit.ly", "10.0.0.1". */
bool
text_has_link(const char *text)
{
	const pg_wchar *c = wide(text);

	for (int i = 1; c[0] != 0 && c[i] != 0; i++)
	{
		if (c[i - 1] == ':' && c[i] == '/' && c[i + 1] == '/')
			return true;
		if (!is_dot(c[i]))
			continue;
		if (is_digit(c[i - 1]) && is_digit(c[i + 1]))
			return true;
		if ((is_letter(c[i - 1]) || is_digit(c[i - 1])) && is_letter(c[i + 1]) && is_letter(c[i + 2]))
			return true;
	}
	return false;
}

PG_FUNCTION_INFO_V1(loyalty_is_name);

/* loyalty_internal.is_name() */
Datum
loyalty_is_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(text_is_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

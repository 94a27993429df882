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
#include "common/unicode_norm.h"
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

/* What controls a terminal, ends a line, or sets the direction of writing, marks of it too. */
static bool
is_control(pg_wchar c)
{
	return c < ' ' || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
		(c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x206F);
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

/* What is not seen, and whoever resolves a domain leaves out. */
static bool
is_invisible(pg_wchar c)
{
	return c == 0x00AD || c == 0x034F || (c >= 0x180B && c <= 0x180F) || (c >= 0x200B && c <= 0x200F) ||
		(c >= 0x2060 && c <= 0x206F) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || (c >= 0xE0000 && c <= 0xE0FFF);
}

/*
 * The characters of a text as names of domains are read (UTS 46): letters,
 * digits and dots of every width are those of ASCII, and what is not seen is
 * not there.
 */
static pg_wchar *
wide_of_domain(const char *text)
{
	pg_wchar   *characters = wide(text);
	int			count = 0;

	if (GetDatabaseEncoding() == PG_UTF8)
		characters = unicode_normalize(UNICODE_NFKC, characters);
	for (const pg_wchar *c = characters; *c != 0; c++)
	{
		if (!is_invisible(*c))
			characters[count++] = *c;
	}
	characters[count] = 0;
	return characters;
}

/* The dot of East Asian writing is one of a domain, too. */
static bool
is_dot(pg_wchar c)
{
	return c == '.' || c == 0x3002;
}

/* What ends a number to call: no sign, and no blank or dash of whatever width. */
static bool
ends_number(pg_wchar c)
{
	return is_letter(c) && c != 0x00B7 && !(c >= 0x2010 && c <= 0x2E7F);
}

/* Whether a text has a number to call: five digits, the shortest there is to text to, without a letter between them. */
static bool
has_phone(const pg_wchar *c)
{
	int			digits = 0;

	for (; *c != 0; c++)
	{
		if (is_digit(*c))
			digits++;
		else if (ends_number(*c))
			digits = 0;
		if (digits == 5)
			return true;
	}
	return false;
}

/*
 * Whether a phone might make a link of something in a text: "://", "tel:+52",
 * "ana@banco", "bit.ly", "10.0.0.1", "55 1234 5678".  No top-level domain has
 * one letter, but initials have.
 */
bool
text_has_link(const char *text)
{
	const pg_wchar *c = wide_of_domain(text);

	for (int i = 1; c[0] != 0 && c[i] != 0; i++)
	{
		bool		follows_word = is_letter(c[i - 1]) || is_digit(c[i - 1]);

		if (follows_word && (c[i] == ':' || c[i] == '@') && c[i + 1] != 0 && c[i + 1] != ' ')
			return true;
		if (c[i - 1] == ':' && c[i] == '/' && c[i + 1] == '/')
			return true;
		if (!is_dot(c[i]))
			continue;
		if (is_digit(c[i - 1]) && is_digit(c[i + 1]))
			return true;
		if (follows_word && is_letter(c[i + 1]) && is_letter(c[i + 2]))
			return true;
	}
	return has_phone(c);
}

PG_FUNCTION_INFO_V1(loyalty_is_name);

/* loyalty_internal.is_name() */
Datum
loyalty_is_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(text_is_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/*
 * name.c
 *		What people and branches may be called.
 *
 * A name is written into messages, lists and logs.  So it has one line, and
 * nothing that turns around what is before or behind it.  A link is a name like
 * any other, but no message of the merchant's carries it to a phone: messages
 * repeat what is nothing but a name.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/fold.h"
#include "base/name.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define PLAIN_NAME_MAX_LENGTH	64	/* characters */

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

/*
 * The letters of Latin, Greek, Cyrillic, Hebrew, Arabic, and of Chinese, Japanese
 * and Korean, and the accents of the first three.  Not whatever Unicode says is a
 * letter, nor what a locale does: some of those look like a dot, or are digits.
 */
static const pg_wchar letters[][2] = {
	{'A', 'Z'}, {'a', 'z'}, {0x00C0, 0x00D6}, {0x00D8, 0x00F6}, {0x00F8, 0x01BF}, {0x01C4, 0x024F},
	{0x0300, 0x036F}, {0x0386, 0x0386}, {0x0388, 0x038A}, {0x038C, 0x038C}, {0x038E, 0x03A1}, {0x03A3, 0x03F5},
	{0x03F7, 0x0481}, {0x048A, 0x052F}, {0x05D0, 0x05EA}, {0x0620, 0x064A}, {0x0671, 0x06D3}, {0x1E00, 0x1EFF},
	{0x3041, 0x3096}, {0x30A1, 0x30FA}, {0x30FC, 0x30FC}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3},
};

static bool
is_letter(pg_wchar c)
{
	for (int i = 0; i < (int) lengthof(letters); i++)
	{
		if (c >= letters[i][0] && c <= letters[i][1])
			return true;
	}
	return false;
}

/*
 * Whether a name is one that a message repeats, since no phone makes a link or a
 * number to call of it: letters, and between them blanks, apostrophes, hyphens,
 * and full stops and commas where a word ends: "O'Brien-Gómez, Ma. del Carmen".
 */
bool
text_is_plain_name(const char *text)
{
	const pg_wchar *c = wide(text);

	for (int i = 0; c[i] != 0; i++)
	{
		bool		ends_word = (c[i] == '.' || c[i] == ',') && (c[i + 1] == ' ' || c[i + 1] == 0);

		if (i == PLAIN_NAME_MAX_LENGTH ||
			(!is_letter(c[i]) && c[i] != ' ' && c[i] != '\'' && c[i] != 0x2019 && c[i] != '-' && !ends_word))
			return false;
	}
	return true;
}

PG_FUNCTION_INFO_V1(loyalty_is_name);

/* loyalty_internal.is_name() */
Datum
loyalty_is_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(text_is_name(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

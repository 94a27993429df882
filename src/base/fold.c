/*
 * fold.c
 *		When two texts are the same to whoever reads them.
 *
 * Nothing of the locale is asked, neither the database's nor the operating
 * system's: unique indexes are built on the answer, which must be the same in
 * a Turkish database, and the same after an upgrade of either.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/fold.h"
#include "base/sort.h"
#include "common/unicode_norm.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define FIRST_MARK		0x0300	/* the first character that is a mark */
#define HIGHEST_MARK	0x0345	/* the mark that none stands behind */
#define MARKS_AT_ONCE	30		/* so many are enough for every language: UAX #15 */

typedef struct Letters
{
	pg_wchar	first;
	pg_wchar	last;
	int			step;			/* 2: capital and small letters alternate */
	int			to_small;
} Letters;

/* The capitals of Latin, Greek and Cyrillic, as Unicode has them. */
static const Letters capitals[] = {
	{'A', 'Z', 1, 32},
	{0x00C0, 0x00D6, 1, 32}, {0x00D8, 0x00DE, 1, 32},
	{0x0100, 0x012E, 2, 1}, {0x0132, 0x0136, 2, 1}, {0x0139, 0x0147, 2, 1}, {0x014A, 0x0176, 2, 1},
	{0x0178, 0x0178, 1, -121}, {0x0179, 0x017D, 2, 1},
	{0x0386, 0x0386, 1, 38}, {0x0388, 0x038A, 1, 37}, {0x038C, 0x038C, 1, 64}, {0x038E, 0x038F, 1, 63},
	{0x0391, 0x03A1, 1, 32}, {0x03A3, 0x03AB, 1, 32},
	{0x0400, 0x040F, 1, 80}, {0x0410, 0x042F, 1, 32},
	{0x1E00, 0x1E94, 2, 1}, {0x1EA0, 0x1EFE, 2, 1},
};

static pg_wchar
small_letter(pg_wchar c)
{
	for (int i = 0; i < (int) lengthof(capitals) && c >= capitals[i].first; i++)
	{
		if (c <= capitals[i].last && (c - capitals[i].first) % capitals[i].step == 0)
			return c + capitals[i].to_small;
	}
	return c;
}

/* Blanks of every width, none included, and what ends a line. */
static bool
is_wide_blank(pg_wchar c)
{
	return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x0085 || c == 0x00A0 || c == 0x1680 ||
		(c >= 0x2000 && c <= 0x200B) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
		c == 0x3000 || c == 0xFEFF;
}

static bool
is_ascii_text(const char *text)
{
	while (*text != '\0' && !IS_HIGHBIT_SET(*text))
		text++;
	return *text == '\0';
}

/* Where the accents of a letter stand in Unicode's order of them: behind each other (> 0), or as they were. */
static int
mark_order(const void *a, const void *b)
{
	pg_wchar	both[] = {*(const pg_wchar *) a, *(const pg_wchar *) b, 0};

	return unicode_is_normalized_quickcheck(UNICODE_NFC, both) == UNICODE_NORM_QC_NO ? 1 : 0;
}

/* The number of accents and other marks at the start of a text. */
static int
mark_count(const pg_wchar *characters)
{
	static const pg_wchar highest = HIGHEST_MARK;
	int			count = 0;

	while (characters[count] == highest || (characters[count] >= FIRST_MARK && mark_order(&highest, &characters[count]) > 0))
		count++;
	return count;
}

static bool
has_many_marks(const pg_wchar *characters)
{
	for (; *characters != 0; characters++)
	{
		int			count = mark_count(characters);

		if (count > MARKS_AT_ONCE)
			return true;
		characters += Max(count - 1, 0);
	}
	return false;
}

/*
 * The same text with its marks taken off their letters, and in order.
 * unicode_normalize() moves each mark over all that are to stand behind it, in a
 * time that is the square of their number: it is given few, or what is in order.
 */
static pg_wchar *
with_marks_in_order(const pg_wchar *characters)
{
	StringInfoData text;
	pg_wchar   *ordered;
	pg_wchar	few[MARKS_AT_ONCE + 1];

	initStringInfo(&text);
	while (*characters != 0)
	{
		int			count = 0;

		while (count < MARKS_AT_ONCE && *characters != 0)
			few[count++] = *characters++;
		few[count] = 0;
		for (const pg_wchar *c = unicode_normalize(UNICODE_NFD, few); *c != 0; c++)
			appendBinaryStringInfo(&text, (const char *) c, sizeof(*c));
	}
	appendBinaryStringInfo(&text, (const char *) characters, sizeof(*characters));
	ordered = (pg_wchar *) text.data;
	for (pg_wchar *c = ordered; *c != 0; c++)
	{
		int			count = mark_count(c);

		if (count > 0)
		{
			merge_sort(c, count, sizeof(*c), mark_order);
			c += count - 1;
		}
	}
	return ordered;
}

/* The characters of a text, with a 0 behind them; composed: accents are part of their letters. */
static pg_wchar *
characters_of(const char *text, bool composed)
{
	size_t		length = strlen(text);
	pg_wchar   *characters = palloc((length + 1) * sizeof(pg_wchar));

	characters[pg_mb2wchar_with_len(text, characters, length)] = 0;
	if (composed && GetDatabaseEncoding() == PG_UTF8 && !is_ascii_text(text))
		return unicode_normalize(UNICODE_NFC, has_many_marks(characters) ? with_marks_in_order(characters) : characters);
	return characters;
}

/* The text of so many characters. */
static char *
text_of(const pg_wchar *characters, int count)
{
	char	   *text = palloc(count * MAX_MULTIBYTE_CHAR_LEN + 1);

	pg_wchar2mb_with_len(characters, text, count);
	return text;
}

/* As it was written, without the blanks around it. */
char *
text_trimmed(const char *text)
{
	pg_wchar   *characters = characters_of(text, false);
	int			count = 0;

	while (is_wide_blank(*characters))
		characters++;
	for (int i = 0; characters[i] != 0; i++)
	{
		if (!is_wide_blank(characters[i]))
			count = i + 1;
	}
	return text_of(characters, count);
}

/* Whether there is nothing in it but blanks. */
bool
text_is_blank(const char *text)
{
	text += strspn(text, " \t\n\v\f\r");
	return *text == '\0' || (IS_HIGHBIT_SET(*text) && *text_trimmed(text) == '\0');
}

/* What texts have in common that differ in case, in blanks, or in how an accent is stored. */
char *
text_folded(const char *text)
{
	pg_wchar   *characters = characters_of(text, true);
	int			count = 0;

	for (const pg_wchar *c = characters; *c != 0; c++)
	{
		if (!is_wide_blank(*c))
			characters[count++] = small_letter(*c);
		else if (count > 0 && characters[count - 1] != ' ')
			characters[count++] = ' ';
	}
	if (count > 0 && characters[count - 1] == ' ')
		count--;
	return text_of(characters, count);
}

PG_FUNCTION_INFO_V1(loyalty_trimmed);

Datum
loyalty_trimmed(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(text_trimmed(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

PG_FUNCTION_INFO_V1(loyalty_fold);

Datum
loyalty_fold(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(text_folded(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

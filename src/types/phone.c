/*
 * phone.c
 *		loyalty.phone: the ten digits of a Mexican telephone number.
 *
 * People write the same number with the country code, with the mobile "1" of
 * before 2019, with the trunk prefixes 01, 044 and 045 of the same time, and
 * with spaces and dashes.  All of them read as the same ten digits, so that
 * one customer is one member.
 */
#include "base/compat.h"

#include <ctype.h>

#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "types/phone.h"
#include "utils/builtins.h"

/* the longest form has a prefix of three digits */
#define PHONE_MAX_TYPED		(PHONE_DIGITS + 3)

/* what is left of a number after its first two digits */
#define AFTER_TWO_DIGITS	INT64CONST(100000000)

typedef struct PhonePrefix
{
	const char *digits;
	bool		international;	/* may follow a plus sign */
} PhonePrefix;

static const PhonePrefix prefixes[] = {
	{"52", true},
	{"521", true},
	{"01", false},
	{"044", false},
	{"045", false},
};

/*
 * Copy the digits out of what was typed.  Spaces and dashes may stand between
 * digits, spaces around the whole, a plus sign directly before the first digit.
 * Returns the number of digits, or -1 for any other text.
 */
static int
collect_digits(const char *str, char *digits, bool *plus)
{
	int			count = 0;
	const char *p = str;

	while (*p == ' ')
		p++;
	*plus = (*p == '+');
	if (*plus)
		p++;
	if (*p == '-' || *p == ' ')
		return -1;
	for (; *p != '\0'; p++)
	{
		if (*p == ' ' || *p == '-')
			continue;
		if (*p < '0' || *p > '9' || count == PHONE_MAX_TYPED)
			return -1;
		digits[count++] = *p;
	}
	while (p > str && p[-1] == ' ')
		p--;
	if (p > str && p[-1] == '-')
		return -1;
	digits[count] = '\0';
	return count;
}

/*
 * How many of the digits are a known prefix: all that the ten leave over, or
 * none.  -1 if they are neither.
 */
static int
prefix_length(const char *digits, int count, bool plus)
{
	int			extra = count - PHONE_DIGITS;

	if (extra == 0 && !plus)
		return 0;
	for (size_t i = 0; i < lengthof(prefixes); i++)
	{
		if (extra == (int) strlen(prefixes[i].digits) &&
			strncmp(digits, prefixes[i].digits, extra) == 0 &&
			(prefixes[i].international || !plus))
			return extra;
	}
	return -1;
}

/* A number with or without the prefixes that are dialled before its ten digits, and punctuation. */
bool
phone_parse(const char *str, Phone *result)
{
	char		digits[PHONE_MAX_TYPED + 1];
	bool		plus;
	int			count = collect_digits(str, digits, &plus);
	int			skip;
	Phone		value = 0;

	if (count < PHONE_DIGITS)
		return false;
	skip = prefix_length(digits, count, plus);
	if (skip < 0)
		return false;
	for (int i = skip; i < count; i++)
		value = value * 10 + (digits[i] - '0');
	*result = value;
	return true;
}

/*
 * Whether a character is left out of what people type between digits: ASCII
 * that is no letter, the no-break space, and the blanks and dashes that
 * typesetters have (U+2000 to U+203F).  Returns its length, 0 if it is none.
 */
static int
punctuation_length(const unsigned char *p)
{
	if (!IS_HIGHBIT_SET(*p))
		return isalnum(*p) ? 0 : 1;
	if (p[0] == 0xC2 && p[1] == 0xA0)
		return 2;
	return p[0] == 0xE2 && p[1] == 0x80 ? 3 : 0;
}

/* A phone with any punctuation, which says nothing but for a plus at the start. */
bool
phone_parse_typed(const char *str, Phone *result)
{
	char		bare[PHONE_MAX_TYPED + 2];
	int			n = 0;

	while (*str != '\0')
	{
		int			length = punctuation_length((const unsigned char *) str);
		bool		is_plus = *str == '+' && n == 0;

		if (length == 0 || is_plus)
		{
			if ((!is_plus && !isdigit((unsigned char) *str)) || n == (int) lengthof(bare) - 1)
				return false;
			bare[n++] = *str;
		}
		str += Max(length, 1);
	}
	bare[n] = '\0';
	return phone_parse(bare, result);
}

/* The ten digits. */
void
phone_print(Phone value, char *buf)
{
	for (int i = PHONE_DIGITS - 1; i >= 0; i--)
	{
		buf[i] = '0' + value % 10;
		value /= 10;
	}
	buf[PHONE_DIGITS] = '\0';
}

PG_FUNCTION_INFO_V1(phone_in);
Datum
phone_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	Phone		result;

	if (!phone_parse(str, &result))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"",
						"phone", str),
				 errdetail("A phone number has %d digits, which +52, 52, +521, 521, 01, 044 or 045 may precede.",
						   PHONE_DIGITS)));
	return PhoneGetDatum(result);
}

PG_FUNCTION_INFO_V1(phone_of);

/* loyalty_internal.phone_of(): the phone that a text is, with whatever punctuation, or NULL. */
Datum
phone_of(PG_FUNCTION_ARGS)
{
	char	   *str = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Phone		result;

	if (!phone_parse_typed(pg_server_to_any(str, strlen(str), PG_UTF8), &result))
		PG_RETURN_NULL();
	return PhoneGetDatum(result);
}

PG_FUNCTION_INFO_V1(phone_out);
Datum
phone_out(PG_FUNCTION_ARGS)
{
	char	   *buf = palloc(PHONE_DIGITS + 1);

	phone_print(DatumGetPhone(PG_GETARG_DATUM(0)), buf);
	PG_RETURN_CSTRING(buf);
}

PG_FUNCTION_INFO_V1(phone_recv);
Datum
phone_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	Phone		value = pq_getmsgint64(buf);

	if (value < 0 || value > PHONE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid value in external \"%s\" value", "phone"),
				 errdetail("A phone number has %d digits.", PHONE_DIGITS)));
	return PhoneGetDatum(value);
}

/*
 * Mexico's area codes have three digits, except those of its three largest
 * cities.
 */
static bool
has_short_area_code(int64 first_two)
{
	return first_two == 33 || first_two == 55 || first_two == 56 || first_two == 81;
}

PG_FUNCTION_INFO_V1(phone_area_code);
Datum
phone_area_code(PG_FUNCTION_ARGS)
{
	Phone		value = DatumGetPhone(PG_GETARG_DATUM(0));
	char		digits[PHONE_DIGITS + 1];

	phone_print(value, digits);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(digits,
											  has_short_area_code(value / AFTER_TWO_DIGITS) ? 2 : 3));
}

/*
 * curp.c
 *		loyalty.curp: a key of Mexico's population registry.
 *
 * The registry writes X where a name has an Ñ, yet its alphabet for the check
 * digit counts the Ñ; leaving it out makes most check digits wrong.  People
 * write the Ñ nevertheless: where a letter of a name is expected it is read as
 * the X that the registry has, so that one person is one key.  The check digit
 * is the same for both, which are ten places apart.
 *
 * Stored are the 18 characters, in capitals.
 */
#include "base/compat.h"

#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "types/curp.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

/* where the parts start, counted from 0 */
#define BIRTH_YEAR			4
#define BIRTH_MONTH			6
#define BIRTH_DAY			8
#define SEX					10
#define STATE				11
#define DIFFERENTIATOR		16
#define CHECK_DIGIT			17

#define STATE_LENGTH		2

/* what stands for a character that no CURP has, and for the Ñ until it is an X */
#define FOREIGN				'?'
#define ENYE				'~'

/* the Ñ and ñ of UTF-8 */
#define UTF8_LEAD			0xC3
#define UTF8_CAPITAL_ENYE	0x91
#define UTF8_SMALL_ENYE		0xB1

/*
 * Which kind of character each place has: a letter of a name, a digit, one of
 * the 26 letters, a consonant of a name, or either a digit or one of the 26.
 */
static const char layout[CURP_LENGTH + 1] = "NNNN######LLLCCCE#";

/* the 32 states, and NE for those who were born abroad */
static const char states[][STATE_LENGTH + 1] = {
	"AS", "BC", "BS", "CC", "CH", "CL", "CM", "CS", "DF", "DG", "GR",
	"GT", "HG", "JC", "MC", "MN", "MS", "NE", "NL", "NT", "OC", "PL",
	"QR", "QT", "SL", "SP", "SR", "TC", "TL", "TS", "VZ", "YN", "ZS",
};

/* The blanks that the server's own types tolerate, whatever the locale. */
static inline bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_letter(unsigned char c)
{
	return c >= 'A' && c <= 'Z';
}

static inline bool
is_vowel(unsigned char c)
{
	return c == 'A' || c == 'E' || c == 'I' || c == 'O' || c == 'U';
}

/*
 * Take one character, as a capital.  A stray byte of a database that checks no
 * encoding is a character of its own.
 */
static unsigned char
next_character(const char **p, const char *end)
{
	unsigned char c = *(*p)++;

	if (!IS_HIGHBIT_SET(c))
		return pg_ascii_toupper(c);
	if (c == UTF8_LEAD && *p < end &&
		((unsigned char) **p == UTF8_CAPITAL_ENYE || (unsigned char) **p == UTF8_SMALL_ENYE))
	{
		(*p)++;
		return ENYE;
	}
	while (*p < end && ((unsigned char) **p & 0xC0) == 0x80)
		(*p)++;
	return FOREIGN;
}

static inline bool
is_letter_of_name(int at)
{
	return layout[at] == 'N' || layout[at] == 'C';
}

/*
 * Copy the characters out of what was typed, without the blanks around them.
 * Returns whether they are as many as a CURP has.
 */
static bool
collect_characters(const char *text, Curp *result)
{
	const char *end = text + strlen(text);
	int			count = 0;

	while (is_blank(*text))
		text++;
	while (end > text && is_blank(end[-1]))
		end--;
	for (; text < end && count < CURP_LENGTH; count++)
	{
		result->chars[count] = next_character(&text, end);
		if (result->chars[count] == ENYE && is_letter_of_name(count))
			result->chars[count] = 'X';
	}
	return text == end && count == CURP_LENGTH;
}

/* What the first character of a wrong kind violates, or NULL. */
static const char *
wrong_character(const Curp *value)
{
	for (int i = 0; i < CURP_LENGTH; i++)
	{
		unsigned char c = value->chars[i];

		switch (layout[i])
		{
			case 'N':
				if (!is_letter(c))
					return "Characters 1 to 4 of a CURP are letters without accents.";
				break;
			case '#':
				if (!is_digit(c))
					return "Characters 5 to 10 and 18 of a CURP are digits.";
				break;
			case 'L':
				if (!is_letter(c))
					return "Characters 11 to 13 of a CURP are letters from A to Z.";
				break;
			case 'C':
				if (!is_letter(c) || is_vowel(c))
					return "Characters 14 to 16 of a CURP are consonants.";
				break;
			case 'E':
				if (!is_letter(c) && !is_digit(c))
					return "Character 17 of a CURP is a digit or a letter from A to Z.";
				break;
		}
	}
	return NULL;
}

static inline int
two_digits(const Curp *value, int at)
{
	return (value->chars[at] - '0') * 10 + (value->chars[at + 1] - '0');
}

/*
 * The registry tells homonyms apart by a digit if they were born before 2000,
 * by a letter after.
 */
static void
birth_parts(const Curp *value, int *year, int *month, int *day)
{
	*year = two_digits(value, BIRTH_YEAR) +
		(is_digit(value->chars[DIFFERENTIATOR]) ? 1900 : 2000);
	*month = two_digits(value, BIRTH_MONTH);
	*day = two_digits(value, BIRTH_DAY);
}

static bool
has_real_date(const Curp *value)
{
	int			year;
	int			month;
	int			day;

	birth_parts(value, &year, &month, &day);
	return month >= 1 && month <= MONTHS_PER_YEAR &&
		day >= 1 && day <= day_tab[isleap(year)][month - 1];
}

static bool
has_known_sex(const Curp *value)
{
	unsigned char c = value->chars[SEX];

	return c == 'H' || c == 'M' || c == 'X';
}

static bool
has_known_state(const Curp *value)
{
	for (size_t i = 0; i < lengthof(states); i++)
	{
		if (memcmp(value->chars + STATE, states[i], STATE_LENGTH) == 0)
			return true;
	}
	return false;
}

/*
 * The place of a character in 0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ.
 */
static int
alphabet_place(unsigned char c)
{
	if (is_digit(c))
		return c - '0';
	return c - 'A' + (c <= 'N' ? 10 : 11);
}

/* The first character weighs 18, the last before the check digit 2. */
static bool
has_right_check_digit(const Curp *value)
{
	int			sum = 0;

	for (int i = 0; i < CHECK_DIGIT; i++)
		sum += alphabet_place(value->chars[i]) * (CURP_LENGTH - i);
	return value->chars[CHECK_DIGIT] == '0' + (10 - sum % 10) % 10;
}

bool
curp_parse(const char *text, Curp *result, const char **why)
{
	Curp		value;

	if (!collect_characters(text, &value))
		*why = "A CURP has 18 characters.";
	else if ((*why = wrong_character(&value)) != NULL)
		return false;
	else if (!has_real_date(&value))
		*why = "Characters 5 to 10 of a CURP are a date of birth, YYMMDD: 19YY if character 17 is a digit, 20YY if it is a letter.";
	else if (!has_known_sex(&value))
		*why = "Character 11 of a CURP is H, M or X.";
	else if (!has_known_state(&value))
		*why = "Characters 12 and 13 of a CURP are the code of a state, or NE.";
	else if (!has_right_check_digit(&value))
		*why = "The check digit of the CURP, its last character, does not match the others.";
	else
	{
		*result = value;
		return true;
	}
	return false;
}

/* The 18 characters and a NUL. */
void
curp_print(const Curp *value, char *buf)
{
	memcpy(buf, value->chars, CURP_LENGTH);
	buf[CURP_LENGTH] = '\0';
}

DateADT
curp_birth_date(const Curp *value)
{
	int			year;
	int			month;
	int			day;

	birth_parts(value, &year, &month, &day);
	return date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
}

/*
 * Who was born on 29 February is a year older on 1 March where the year has no
 * such day: the first day that is not before the birthday.
 */
bool
curp_age(const Curp *value, DateADT on, int *years)
{
	int			birth_year;
	int			birth_month;
	int			birth_day;
	int			year;
	int			month;
	int			day;

	if (on < curp_birth_date(value))
		return false;
	birth_parts(value, &birth_year, &birth_month, &birth_day);
	j2date(on + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	*years = year - birth_year;
	if (month < birth_month || (month == birth_month && day < birth_day))
		(*years)--;
	return true;
}

/*
 * SQL_ASCII converts nothing, and what it holds may be no valid text at all;
 * its bytes are read as UTF-8.
 */
static const char *
server_to_utf8(char *str)
{
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return str;
	return pg_server_to_any(str, strlen(str), PG_UTF8);
}

PG_FUNCTION_INFO_V1(curp_in);
Datum
curp_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	Curp	   *result = palloc(sizeof(Curp));
	const char *why;

	if (!curp_parse(server_to_utf8(str), result, &why))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"",
						"curp", str),
				 errdetail_internal("%s", why)));
	PG_RETURN_CURP_P(result);
}

PG_FUNCTION_INFO_V1(curp_of);

/* loyalty_internal.curp_of(): the CURP that a text is, however it is written, or NULL. */
Datum
curp_of(PG_FUNCTION_ARGS)
{
	Curp	   *result = palloc(sizeof(Curp));
	const char *why;

	if (!curp_parse(server_to_utf8(text_to_cstring(PG_GETARG_TEXT_PP(0))), result, &why))
		PG_RETURN_NULL();
	PG_RETURN_CURP_P(result);
}

PG_FUNCTION_INFO_V1(curp_out);
Datum
curp_out(PG_FUNCTION_ARGS)
{
	char	   *buf = palloc(CURP_LENGTH + 1);

	curp_print(PG_GETARG_CURP_P(0), buf);
	PG_RETURN_CSTRING(buf);
}

/* The binary form is the text, in the encoding of the client. */
PG_FUNCTION_INFO_V1(curp_recv);
Datum
curp_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	Curp	   *result = palloc(sizeof(Curp));
	const char *why;
	int			length;
	char	   *str = pq_getmsgtext(buf, buf->len - buf->cursor, &length);

	if (!curp_parse(server_to_utf8(str), result, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid value in external \"%s\" value", "curp"),
				 errdetail_internal("%s", why)));
	PG_RETURN_CURP_P(result);
}

PG_FUNCTION_INFO_V1(curp_send);
Datum
curp_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendtext(&buf, (const char *) PG_GETARG_CURP_P(0)->chars, CURP_LENGTH);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static inline int
compare(FunctionCallInfo fcinfo)
{
	return memcmp(PG_GETARG_CURP_P(0)->chars, PG_GETARG_CURP_P(1)->chars, CURP_LENGTH);
}

#define COMPARISON(name, operator) \
	PG_FUNCTION_INFO_V1(curp_##name); \
	Datum curp_##name(PG_FUNCTION_ARGS) \
	{ PG_RETURN_BOOL(compare(fcinfo) operator 0); }

COMPARISON(eq, ==)
COMPARISON(ne, !=)
COMPARISON(lt, <)
COMPARISON(le, <=)
COMPARISON(gt, >)
COMPARISON(ge, >=)

PG_FUNCTION_INFO_V1(curp_cmp);
Datum
curp_cmp(PG_FUNCTION_ARGS)
{
	int			order = compare(fcinfo);

	PG_RETURN_INT32((order > 0) - (order < 0));
}

PG_FUNCTION_INFO_V1(curp_hash);
Datum
curp_hash(PG_FUNCTION_ARGS)
{
	return hash_any(PG_GETARG_CURP_P(0)->chars, CURP_LENGTH);
}

PG_FUNCTION_INFO_V1(curp_hash_extended);
Datum
curp_hash_extended(PG_FUNCTION_ARGS)
{
	return hash_any_extended(PG_GETARG_CURP_P(0)->chars, CURP_LENGTH,
							 PG_GETARG_INT64(1));
}

PG_FUNCTION_INFO_V1(loyalty_birth_date);
Datum
loyalty_birth_date(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(curp_birth_date(PG_GETARG_CURP_P(0)));
}

static Datum
part(const Curp *value, int start, int length)
{
	PG_RETURN_TEXT_P(cstring_to_text_with_len((const char *) value->chars + start, length));
}

PG_FUNCTION_INFO_V1(loyalty_sex);
Datum
loyalty_sex(PG_FUNCTION_ARGS)
{
	return part(PG_GETARG_CURP_P(0), SEX, 1);
}

PG_FUNCTION_INFO_V1(loyalty_state);
Datum
loyalty_state(PG_FUNCTION_ARGS)
{
	return part(PG_GETARG_CURP_P(0), STATE, STATE_LENGTH);
}

PG_FUNCTION_INFO_V1(loyalty_age);
Datum
loyalty_age(PG_FUNCTION_ARGS)
{
	DateADT		on = PG_GETARG_DATEADT(1);
	int			years;

	if (DATE_NOT_FINITE(on))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date of an age must be finite")));
	if (!curp_age(PG_GETARG_CURP_P(0), on, &years))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("date of an age must not be before the date of birth")));
	PG_RETURN_INT32(years);
}

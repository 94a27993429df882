/*
 * lots_text.c
 *		The text form of loyalty.lots.
 *
 * {moment=points,…}, or moment/posted=points where the points were posted with
 * an earlier moment.  Moments are written as RFC 3339 writes them, always in UTC: the text must
 * mean the same whatever time zone and DateStyle a session has.
 */
#include "base/compat.h"

#include "base/sort.h"
#include "lib/stringinfo.h"
#include "types/lots.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* the largest year of a timestamp has as many digits */
#define YEAR_MAX_DIGITS		6

/* What a text turns out to be. */
typedef enum LotsParse
{
	LOTS_OK,
	LOTS_SYNTAX,
	LOTS_MOMENT,				/* well formed, but on no calendar or clock */
	LOTS_POINTS,				/* 0, or too many decimals */
	LOTS_TWICE,					/* one moment two times */
	LOTS_RANGE,					/* a moment or the points do not fit */
	LOTS_TOO_MANY
} LotsParse;

/* The blanks that the server's own types tolerate, whatever the locale. */
static inline void
skip_blanks(const char **p)
{
	while (**p == ' ' || (**p >= '\t' && **p <= '\r'))
		(*p)++;
}

static inline bool
skip_character(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* Read a number of so many digits. */
static bool
scan_digits(const char **p, int least, int most, int *value)
{
	int			count = 0;

	*value = 0;
	while (count < most && **p >= '0' && **p <= '9')
	{
		*value = *value * 10 + (*(*p)++ - '0');
		count++;
	}
	return count >= least;
}

/*
 * Read a year as ISO 8601 writes it: four digits or, where needed, more; the
 * one before 0001 is 0000, and the one before that -0001.
 */
static bool
scan_year(const char **p, int *year)
{
	bool		negative = skip_character(p, '-');
	const char *digits = *p;

	if (!scan_digits(p, 4, YEAR_MAX_DIGITS, year))
		return false;
	if ((*p - digits > 4 && *digits == '0') || (negative && *year == 0))
		return false;
	if (negative)
		*year = -*year;
	return true;
}

static LotsParse
scan_moment(const char **p, TimestampTz *at)
{
	struct pg_tm tm;
	int64		second;

	if (!scan_year(p, &tm.tm_year) ||
		!skip_character(p, '-') || !scan_digits(p, 2, 2, &tm.tm_mon) ||
		!skip_character(p, '-') || !scan_digits(p, 2, 2, &tm.tm_mday) ||
		!skip_character(p, 'T') || !scan_digits(p, 2, 2, &tm.tm_hour) ||
		!skip_character(p, ':') || !scan_digits(p, 2, 2, &tm.tm_min) ||
		!skip_character(p, ':') || !scan_digits(p, 2, 2, &tm.tm_sec) ||
		!skip_character(p, 'Z'))
		return LOTS_SYNTAX;
	if (tm.tm_mon < 1 || tm.tm_mon > MONTHS_PER_YEAR || tm.tm_mday < 1 ||
		tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1] ||
		tm.tm_hour >= HOURS_PER_DAY || tm.tm_min >= MINS_PER_HOUR ||
		tm.tm_sec >= SECS_PER_MINUTE)
		return LOTS_MOMENT;
	if (!IS_VALID_JULIAN(tm.tm_year, tm.tm_mon, tm.tm_mday))
		return LOTS_RANGE;
	second = (int64) (date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE) * SECS_PER_DAY +
		(tm.tm_hour * MINS_PER_HOUR + tm.tm_min) * SECS_PER_MINUTE + tm.tm_sec;
	if (second < MIN_TIMESTAMP / USECS_PER_SEC || second >= END_TIMESTAMP / USECS_PER_SEC)
		return LOTS_RANGE;
	*at = second * USECS_PER_SEC;
	return LOTS_OK;
}

static LotsParse
scan_points(const char **p, Points *points)
{
	int			length = strspn(*p, "0123456789.");
	char	   *number = pnstrdup(*p, length);
	PointsParse parse = points_parse(number, points);

	pfree(number);
	*p += length;
	if (parse == POINTS_SYNTAX)
		return LOTS_SYNTAX;
	if (parse == POINTS_RANGE)
		return LOTS_RANGE;
	return parse == POINTS_OK && *points > 0 ? LOTS_OK : LOTS_POINTS;
}

/* Read one lot, with the blanks around it, and append it. */
static LotsParse
scan_lot(const char **p, Lots *lots)
{
	Lot			lot;
	LotsParse	parse;

	skip_blanks(p);
	parse = scan_moment(p, &lot.expires_at);
	if (parse != LOTS_OK)
		return parse;
	lot.posted = lot.expires_at;
	if (skip_character(p, '/'))
	{
		parse = scan_moment(p, &lot.posted);
		if (parse != LOTS_OK)
			return parse;
		if (lot.posted >= lot.expires_at)
			return LOTS_SYNTAX;
	}
	skip_blanks(p);
	if (!skip_character(p, '='))
		return LOTS_SYNTAX;
	skip_blanks(p);
	parse = scan_points(p, &lot.points);
	if (parse != LOTS_OK)
		return parse;
	skip_blanks(p);
	if (lots->n == MAX_LOTS)
		return LOTS_TOO_MANY;
	if (lots->n == lots->allocated)
	{
		lots->allocated *= 2;
		lots->lot = repalloc(lots->lot, lots->allocated * sizeof(Lot));
	}
	lots->lot[lots->n++] = lot;
	return LOTS_OK;
}

static int
compare_moments(const void *a, const void *b)
{
	const Lot  *left = a;
	const Lot  *right = b;

	if (left->expires_at != right->expires_at)
		return left->expires_at < right->expires_at ? -1 : 1;
	return (left->posted > right->posted) - (left->posted < right->posted);
}

/* Put what was read into order. */
static LotsParse
arrange(Lots *lots)
{
	Points		total = 0;

	merge_sort(lots->lot, lots->n, sizeof(Lot), compare_moments);
	for (int i = 0; i < lots->n; i++)
	{
		if (i > 0 && compare_moments(&lots->lot[i - 1], &lots->lot[i]) == 0)
			return LOTS_TWICE;
		if (!points_add(total, lots->lot[i].points, &total))
			return LOTS_RANGE;
	}
	return LOTS_OK;
}

static LotsParse
parse_lots(const char *p, Lots *lots)
{
	LotsParse	parse;

	lots->n = 0;
	lots->allocated = MAX_MOMENTS;
	lots->lot = palloc(lots->allocated * sizeof(Lot));
	skip_blanks(&p);
	if (!skip_character(&p, '{'))
		return LOTS_SYNTAX;
	skip_blanks(&p);
	if (*p != '}')
	{
		do
		{
			parse = scan_lot(&p, lots);
			if (parse != LOTS_OK)
				return parse;
		} while (skip_character(&p, ','));
	}
	if (!skip_character(&p, '}'))
		return LOTS_SYNTAX;
	skip_blanks(&p);
	if (*p != '\0')
		return LOTS_SYNTAX;
	return arrange(lots);
}

static const char *
syntax_detail(LotsParse parse)
{
	switch (parse)
	{
		case LOTS_MOMENT:
			return "There is no such date or time.";
		case LOTS_POINTS:
			return psprintf("The points of a lot are more than 0 and have at most %d decimals.",
							POINTS_DECIMALS);
		case LOTS_TWICE:
			return "A moment is there twice.";
		default:
			return "Lots are written like {2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}.";
	}
}

PG_FUNCTION_INFO_V1(lots_in);
Datum
lots_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	Lots		lots;
	LotsParse	parse = parse_lots(str, &lots);

	if (parse == LOTS_OK)
		return lots_pack(&lots);
	if (parse == LOTS_RANGE)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value \"%s\" is out of range for type %s",
						str, "lots")));
	if (parse == LOTS_TOO_MANY)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many moments for type %s", "lots"),
				 errdetail("There can be at most %d.", MAX_LOTS)));
	ereturn(fcinfo->context, (Datum) 0,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"",
					"lots", str),
			 errdetail_internal("%s", syntax_detail(parse))));
}

static void
append_moment(StringInfo text, TimestampTz at)
{
	int64		second = at / USECS_PER_SEC;
	int			day = second / SECS_PER_DAY;
	int			rest = second % SECS_PER_DAY;
	int			year;
	int			month;
	int			mday;

	if (rest < 0)
	{
		rest += SECS_PER_DAY;
		day--;
	}
	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	appendStringInfo(text, "%s%04d-%02d-%02dT%02d:%02d:%02dZ",
					 year < 0 ? "-" : "", abs(year), month, mday,
					 rest / SECS_PER_HOUR, rest / SECS_PER_MINUTE % MINS_PER_HOUR,
					 rest % SECS_PER_MINUTE);
}

PG_FUNCTION_INFO_V1(lots_out);
Datum
lots_out(PG_FUNCTION_ARGS)
{
	Lots		lots;
	StringInfoData text;
	char		points[POINTS_MAX_TEXT];

	lots_read(PG_GETARG_DATUM(0), &lots);
	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < lots.n; i++)
	{
		if (i > 0)
			appendStringInfoChar(&text, ',');
		append_moment(&text, lots.lot[i].expires_at);
		if (lots.lot[i].posted != lots.lot[i].expires_at)
		{
			appendStringInfoChar(&text, '/');
			append_moment(&text, lots.lot[i].posted);
		}
		points_print(lots.lot[i].points, points);
		appendStringInfo(&text, "=%s", points);
	}
	appendStringInfoChar(&text, '}');
	PG_RETURN_CSTRING(text.data);
}

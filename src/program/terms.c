/*
 * terms.c
 *		What a program says about the points of its accounts, at a moment.
 *
 * Days, months and years are those of the program's time zone.  The moments are
 * computed by PostgreSQL's own functions, called directly: the same in SQL takes
 * longer to start than a whole posting.  A batch asks once for each program and
 * moment that it meets.
 */
#include "postgres.h"

#include "pgtime.h"
#include "program/terms.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * Moments
 * ------------------------------------------------------------------------ */

/* A moment by the clock of the program's time zone. */
Timestamp
terms_local(const Program *program, TimestampTz at)
{
	return DatumGetTimestamp(DirectFunctionCall2(timestamptz_zone, CStringGetTextDatum(program->time_zone),
												 TimestampTzGetDatum(at)));
}

/* And the other way round. */
TimestampTz
terms_from_local(const Program *program, Timestamp local)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, CStringGetTextDatum(program->time_zone),
												   TimestampGetDatum(local)));
}

/* The local day of a moment. */
DateADT
terms_local_date(const Program *program, TimestampTz at)
{
	return DatumGetDateADT(DirectFunctionCall1(timestamp_date, TimestampGetDatum(terms_local(program, at))));
}

static Timestamp
add_interval(Timestamp local, int value, const char *unit)
{
	Interval	span = {0};

	if (strcmp(unit, "day") == 0)
		span.day = value;
	else
		span.month = value * (strcmp(unit, "month") == 0 ? 1 : strcmp(unit, "quarter") == 0 ? 3 : 12);
	return DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(local),
												 IntervalPGetDatum(&span)));
}

/*
 * The first moment of a local day: where its midnight does not come, that after
 * the gap, and where it comes twice, the first.
 */
static TimestampTz
find_first_moment(const Program *program, Timestamp midnight)
{
	TimestampTz at = terms_from_local(program, midnight);
	Timestamp	before;

	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	before = terms_local(program, at - 1);
	return before < midnight ? at : at - (before + 1 - midnight);
}

/* How many of them a session caches: most points of a day have the same few dates. */
#define CACHED_DAYS 16

typedef struct CachedDay
{
	char		time_zone[TZ_STRLEN_MAX + 1];	/* empty: none yet */
	Timestamp	midnight;
	TimestampTz at;
} CachedDay;

static TimestampTz
first_moment(const Program *program, Timestamp midnight)
{
	static CachedDay cached[CACHED_DAYS];
	CachedDay  *day = &cached[(uint64) (midnight / USECS_PER_DAY) % CACHED_DAYS];
	TimestampTz at;

	if (day->midnight == midnight && strcmp(day->time_zone, program->time_zone) == 0)
		return day->at;
	at = find_first_moment(program, midnight);
	if (strlen(program->time_zone) < sizeof(day->time_zone))
	{
		day->midnight = midnight;
		day->at = at;
		strcpy(day->time_zone, program->time_zone);
	}
	return at;
}

/* The moment at which a local day begins. */
TimestampTz
terms_day_start(const Program *program, DateADT day)
{
	return first_moment(program, day * USECS_PER_DAY);
}

/* In every time zone this is of the year 9999, after which others than PostgreSQL know no dates. */
#define LAST_MOMENT ((date2j(9999, 12, 31) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

/* The end of the local day, month, quarter or year that a local time is in; the last moment, if that is after it. */
static TimestampTz
end_of(const Program *program, const char *unit, Timestamp local)
{
	Datum		start = DirectFunctionCall2(timestamp_trunc, CStringGetTextDatum(unit), TimestampGetDatum(local));

	return Min(first_moment(program, add_interval(DatumGetTimestamp(start), 1, unit)), LAST_MOMENT);
}

/* ------------------------------------------------------------------------
 * The window in which points count
 * ------------------------------------------------------------------------ */

/* A window of calendar years ends with the last of them; the first is the year of the points. */
static bool
is_calendar_year(const Program *program)
{
	return strcmp(program->rank_window_unit, "calendar_year") == 0;
}

static DateADT
last_of_year(DateADT date, int years_later)
{
	int			year;
	int			month;
	int			day;

	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	return date2j(year + years_later, 12, 31) - POSTGRES_EPOCH_JDATE;
}

/* The latest of the days from which a window lasts to the end of this one: several end with a short month, or with a year. */
static DateADT
latest_start(const Program *program, DateADT last)
{
	int			months = program->rank_window_value * (strcmp(program->rank_window_unit, "month") == 0 ? 1 : 12);
	int			year;
	int			month;
	int			day;
	bool		ends_month;

	if (strcmp(program->rank_window_unit, "day") == 0)
		return last - program->rank_window_value;
	if (is_calendar_year(program))
		months -= 12;
	j2date(last + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	ends_month = day == day_tab[isleap(year)][month - 1];
	months = year * 12 + month - 1 - months;
	year = months / 12;
	month = months % 12 + 1;
	if (ends_month || day > day_tab[isleap(year)][month - 1])
		day = day_tab[isleap(year)][month - 1];
	return date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
}

/*
 * Until when points of a local day count for the rank; *as is as many days
 * earlier as the day is before the latest one whose points count so long.
 */
TimestampTz
terms_window_end(const Program *program, DateADT day, TimestampTz *as)
{
	DateADT		last;
	TimestampTz until;

	if (is_calendar_year(program))
		last = last_of_year(day, program->rank_window_value - 1);
	else
		last = add_interval(day * USECS_PER_DAY, program->rank_window_value, program->rank_window_unit) / USECS_PER_DAY;
	until = terms_day_start(program, last + 1);
	*as = until - (latest_start(program, last) - day) * USECS_PER_DAY;
	return until;
}

/* And the other way round: the day whose points they are. */
DateADT
terms_window_start(const Program *program, TimestampTz until, TimestampTz as)
{
	return latest_start(program, terms_local_date(program, until) - 1) - (until - as) / USECS_PER_DAY;
}

/* The end of the local day that is a span after the moment. */
TimestampTz
terms_day_end(const Program *program, TimestampTz at, const Interval *span)
{
	Datum		local = DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(terms_local(program, at)),
											IntervalPGetDatum(span));

	return end_of(program, "day", DatumGetTimestamp(local));
}

static TimestampTz
end_after(const Program *program, TimestampTz at, int value, const char *unit, const char *end)
{
	return end_of(program, end, add_interval(terms_local(program, at), value, unit));
}

/* When points that are added at the moment expire. */
static TimestampTz
expiry_of(const Program *program, TimestampTz at)
{
	if (strcmp(program->expiry, "rolling") == 0)
		return program->duration_value == 0 ? DT_NOEND :
			end_after(program, at, program->duration_value, program->duration_unit, "day");
	if (strcmp(program->expiry, "fixed") == 0)
	{
		Datum		date = DirectFunctionCall1(date_timestamp, DateADTGetDatum(program->expiry_date));
		TimestampTz end = end_of(program, "day", DatumGetTimestamp(date));

		return end > at ? end : DT_NOEND;
	}
	return end_after(program, at, program->duration_value, program->duration_unit,
					 strcmp(program->expiry, "month_end") == 0 ? "month" :
					 strcmp(program->expiry, "quarter_end") == 0 ? "quarter" : "year");
}

/* ------------------------------------------------------------------------
 * Terms at a moment
 * ------------------------------------------------------------------------ */

/* Points that are added are there at once and for ever, and nothing else follows from them. */
bool
terms_are_simple(const Program *program)
{
	return strcmp(program->expiry, "rolling") == 0 && program->duration_value == 0 && program->pending_days == 0 &&
		program->rank_window_value == 0 && program->range_group[0] == '\0' && program->rules == 0;
}

/* Whether a moment is of the years 1 to 9999 in every time zone. */
bool
terms_moment_suits(TimestampTz at)
{
	return at >= (date2j(1, 1, 2) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY && at < LAST_MOMENT;
}

/* How many moments of a program are remembered: those at which something was due are each met once. */
#define RECENT_TERMS 8

/* What the program says at a moment: computed once, unless many others were met since. */
const Terms *
terms_at(Terms **cache, int64 merchant_id, int64 program_id, TimestampTz at)
{
	const Program *program = NULL;
	Terms	   *terms;
	int			passed = 0;

	for (Terms **link = cache; (terms = *link) != NULL && passed < RECENT_TERMS; link = &terms->next)
	{
		if (terms->program->program_id != program_id)
			continue;
		if (terms->at == at)
		{
			*link = terms->next;
			terms->next = *cache;
			*cache = terms;
			return terms;
		}
		program = terms->program;
		passed++;
	}
	if (program == NULL)
		program = program_find(merchant_id, program_id);
	if (program == NULL)
		elog(ERROR, "program " INT64_FORMAT " is gone", program_id);
	terms = palloc(sizeof(Terms));
	terms->program = program;
	terms->at = at;
	terms->expires_at = expiry_of(program, at);
	terms->reinstated_until = program->reinstatement_days == 0 ? DT_NOBEGIN :
		end_after(program, at, program->reinstatement_days, "day", "day");
	terms->qualifies_until = program->rank_window_value == 0 || TIMESTAMP_NOT_FINITE(at) ? DT_NOEND :
		terms_window_end(program, terms_local_date(program, at), &terms->qualifies_as);
	terms->sale_available_at = at + program->pending_days * USECS_PER_DAY;
	terms->next = *cache;
	*cache = terms;
	return terms;
}

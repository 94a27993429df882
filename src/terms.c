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

#include "plan.h"
#include "terms.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * Moments
 * ------------------------------------------------------------------------ */

Timestamp
terms_local(const ProgramTerms *program, TimestampTz at)
{
	return DatumGetTimestamp(DirectFunctionCall2(timestamptz_zone, CStringGetTextDatum(program->time_zone),
												 TimestampTzGetDatum(at)));
}

TimestampTz
terms_from_local(const ProgramTerms *program, Timestamp local)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, CStringGetTextDatum(program->time_zone),
												   TimestampGetDatum(local)));
}

DateADT
terms_local_date(const ProgramTerms *program, TimestampTz at)
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

/* The end of the local day, month, quarter or year that a local time is in. */
static TimestampTz
end_of(const ProgramTerms *program, const char *unit, Timestamp local)
{
	Datum		start = DirectFunctionCall2(timestamp_trunc, CStringGetTextDatum(unit), TimestampGetDatum(local));

	return terms_from_local(program, add_interval(DatumGetTimestamp(start), 1, unit));
}

/* The end of the local day that is a span after the moment. */
TimestampTz
terms_day_end(const ProgramTerms *program, TimestampTz at, const Interval *span)
{
	Datum		local = DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(terms_local(program, at)),
											IntervalPGetDatum(span));

	return end_of(program, "day", DatumGetTimestamp(local));
}

static TimestampTz
end_after(const ProgramTerms *program, TimestampTz at, int value, const char *unit, const char *end)
{
	return end_of(program, end, add_interval(terms_local(program, at), value, unit));
}

/* When points that are added at the moment expire. */
static TimestampTz
expiry_of(const ProgramTerms *program, TimestampTz at)
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
 * Programs
 * ------------------------------------------------------------------------ */

static Shortfall
shortfall_parse(const char *name)
{
	if (strcmp(name, "partial") == 0)
		return SHORTFALL_PARTIAL;
	if (strcmp(name, "negative") == 0)
		return SHORTFALL_NEGATIVE;
	return SHORTFALL_REFUSE;
}

static const ProgramTerms *
read_program(int64 merchant_id, int64 program_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id)};
	ProgramTerms *program = palloc(sizeof(ProgramTerms));
	bool		isnull;

	if (plan_write(PLAN_PROGRAM_TERMS, values, NULL) == 0)
		elog(ERROR, "program " INT64_FORMAT " is gone", program_id);
	program->merchant_id = merchant_id;
	program->program_id = program_id;
	program->time_zone = plan_text(0, 0);
	program->expiry = plan_text(0, 1);
	program->duration_value = DatumGetInt32(plan_datum(0, 2, &isnull));
	program->duration_unit = plan_text(0, 3);
	program->expiry_date = DatumGetDateADT(plan_datum(0, 4, &isnull));
	program->pending_days = DatumGetInt32(plan_datum(0, 5, &isnull));
	program->reinstatement_days = DatumGetInt32(plan_datum(0, 6, &isnull));
	program->rank_window_value = DatumGetInt32(plan_datum(0, 7, &isnull));
	program->rank_window_unit = plan_text(0, 8);
	program->shortfall = shortfall_parse(plan_text(0, 9));
	program->has_limits = plan_bool(0, 10);
	program->range_group = plan_text(0, 11);
	program->rules = DatumGetInt32(plan_datum(0, 12, &isnull));
	program->rules_published_at = DatumGetTimestampTz(plan_datum(0, 13, &isnull));
	program->limits_revision = plan_int64(0, 14);
	program->decimals = DatumGetInt16(plan_datum(0, 15, &isnull));
	if (!rounding_parse(plan_text(0, 16), &program->rounding))
		elog(ERROR, "unknown rounding of program " INT64_FORMAT, program_id);
	program->rank_grace_days = DatumGetInt32(plan_datum(0, 17, &isnull));
	program->ranks = palloc0(sizeof(Ranks));
	return program;
}

const Terms *
terms_at(Terms **known, int64 merchant_id, int64 program_id, TimestampTz at)
{
	const ProgramTerms *program = NULL;
	Terms	   *terms;

	for (terms = *known; terms != NULL; terms = terms->next)
	{
		if (terms->program->program_id != program_id)
			continue;
		if (terms->at == at)
			return terms;
		program = terms->program;
	}
	if (program == NULL)
		program = read_program(merchant_id, program_id);
	terms = palloc(sizeof(Terms));
	terms->program = program;
	terms->at = at;
	terms->expires_at = expiry_of(program, at);
	terms->reinstated_until = program->reinstatement_days == 0 ? DT_NOBEGIN :
		end_after(program, at, program->reinstatement_days, "day", "day");
	terms->qualifies_until = program->rank_window_value == 0 ? DT_NOEND :
		end_after(program, at, program->rank_window_value, program->rank_window_unit, "day");
	terms->sale_available_at = at + program->pending_days * USECS_PER_DAY;
	terms->next = *known;
	*known = terms;
	return terms;
}

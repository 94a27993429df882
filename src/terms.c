/*
 * terms.c
 *		What a program says about the points of its accounts, at a moment.
 *
 * Days, months and years are those of the program's time zone, so the moments
 * are computed by SQL, once for each program and moment that a batch meets.
 */
#include "postgres.h"

#include "plan.h"
#include "terms.h"
#include "utils/timestamp.h"

static TimestampTz
moment_or(int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		value = plan_datum(0, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(value);
}

static Shortfall
shortfall_parse(const char *name)
{
	if (strcmp(name, "partial") == 0)
		return SHORTFALL_PARTIAL;
	if (strcmp(name, "negative") == 0)
		return SHORTFALL_NEGATIVE;
	return SHORTFALL_REFUSE;
}

const Terms *
terms_at(Terms **known, int64 merchant_id, int64 program_id, TimestampTz at)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), TimestampTzGetDatum(at)};
	Terms	   *terms;

	for (terms = *known; terms != NULL; terms = terms->next)
	{
		if (terms->program_id == program_id && terms->at == at)
			return terms;
	}
	if (plan_write(PLAN_PROGRAM_TERMS, values, NULL) == 0)
		elog(ERROR, "program " INT64_FORMAT " is gone", program_id);
	terms = palloc(sizeof(Terms));
	terms->program_id = program_id;
	terms->at = at;
	terms->expires_at = moment_or(0, DT_NOEND);
	terms->reinstated_until = moment_or(1, DT_NOBEGIN);
	terms->qualifies_until = moment_or(2, DT_NOEND);
	terms->sale_available_at = moment_or(3, at);
	terms->shortfall = shortfall_parse(plan_text(0, 4));
	terms->has_limits = plan_bool(0, 5);
	terms->has_ranks = plan_bool(0, 6);
	terms->rules = (int) plan_int64(0, 7);
	terms->has_multipliers = plan_bool(0, 8);
	terms->rules_published_at = moment_or(9, DT_NOBEGIN);
	terms->next = *known;
	*known = terms;
	return terms;
}

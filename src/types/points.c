/*
 * points.c
 *		loyalty.points: text and binary form, arithmetic, casts, aggregates.
 *
 * The representation is that of bigint.  compare.c compares; hashing, sorting and
 * the binary form are the server's own functions for bigint, declared in SQL.
 * What is here is what a count of ten-thousandths does differently: its text
 * form, the wording of its overflow errors, and its conversions.
 */
#include "base/compat.h"

#include "common/int.h"
#include "types/points.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#ifndef HAVE_INT128
#error "loyalty needs a compiler with 128-bit integers"
#endif

/* ten-thousandths of a percent in the whole */
#define PERCENT_WHOLE	INT64CONST(1000000)

static const char *const rounding_names[] = {
	[ROUNDING_HALF_UP] = "half_up",
	[ROUNDING_HALF_EVEN] = "half_even",
	[ROUNDING_DOWN] = "down",
	[ROUNDING_UP] = "up",
};

/* 10 ^ (POINTS_DECIMALS - n): the smallest step of n decimals */
static const int64 decimal_step[POINTS_DECIMALS + 1] = {10000, 1000, 100, 10, 1};

/*
 * The blanks that the server's own numeric types tolerate around a number,
 * whatever the locale.
 */
static inline bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Check the form of a number and find its digits, without computing anything:
 * a malformed number is malformed whether or not it would have fitted.
 */
static bool
scan_decimal(const char *str, bool *negative, const char **integer,
			 int *integer_digits, const char **fraction, int *fraction_digits)
{
	const char *p = str;

	while (is_blank(*p))
		p++;
	*negative = (*p == '-');
	if (*p == '-' || *p == '+')
		p++;
	*integer = p;
	while (is_digit(*p))
		p++;
	*integer_digits = p - *integer;
	*fraction = p;
	*fraction_digits = 0;
	if (*p == '.')
	{
		*fraction = ++p;
		while (is_digit(*p))
			p++;
		*fraction_digits = p - *fraction;
		if (*fraction_digits == 0)
			return false;
	}
	while (is_blank(*p))
		p++;
	return *integer_digits > 0 && *p == '\0';
}

/*
 * Append one digit.  Values are built on the negative side, which reaches one
 * further than the positive one.
 */
static inline bool
append_digit(Points *value, int digit)
{
	return !pg_mul_s64_overflow(*value, 10, value) &&
		!pg_sub_s64_overflow(*value, digit, value);
}

/*
 * Read a plain decimal number: digits, at most POINTS_DECIMALS decimals, an
 * optional sign, no exponent.
 */
PointsParse
points_parse(const char *str, Points *result)
{
	bool		negative;
	const char *integer;
	const char *fraction;
	int			integer_digits;
	int			fraction_digits;
	Points		value = 0;

	if (!scan_decimal(str, &negative, &integer, &integer_digits,
					  &fraction, &fraction_digits))
		return POINTS_SYNTAX;
	if (fraction_digits > POINTS_DECIMALS)
		return POINTS_DECIMALS_EXCEEDED;
	for (int i = 0; i < integer_digits; i++)
	{
		if (!append_digit(&value, integer[i] - '0'))
			return POINTS_RANGE;
	}
	for (int i = 0; i < POINTS_DECIMALS; i++)
	{
		if (!append_digit(&value, i < fraction_digits ? fraction[i] - '0' : 0))
			return POINTS_RANGE;
	}
	if (!negative && pg_mul_s64_overflow(value, -1, &value))
		return POINTS_RANGE;
	*result = value;
	return POINTS_OK;
}

/*
 * Write the shortest text that reads back as the same value.
 */
void
points_print(Points value, char *buf)
{
	uint64		magnitude = value < 0 ? -(uint64) value : (uint64) value;
	uint32		fraction = magnitude % POINTS_ONE;
	char	   *p = buf;

	if (value < 0)
		*p++ = '-';
	p += pg_ulltoa_n(magnitude / POINTS_ONE, p);
	if (fraction != 0)
	{
		*p++ = '.';
		p = pg_ultostr_zeropad(p, fraction, POINTS_DECIMALS);
		while (p[-1] == '0')
			p--;
	}
	*p = '\0';
}

char *
points_text(Points value)
{
	char	   *text = palloc(POINTS_MAX_TEXT);

	points_print(value, text);
	return text;
}

/*
 * How many decimals the value needs: 0 for 150, 1 for 150.5.
 */
int
points_decimals_used(Points value)
{
	int			decimals = 0;

	while (value % decimal_step[decimals] != 0)
		decimals++;
	return decimals;
}

/* The sum; false: it is out of range. */
bool
points_add(Points a, Points b, Points *result)
{
	return !pg_add_s64_overflow(a, b, result);
}

/*
 * Whether a quotient whose remainder is not 0 is rounded away from zero.
 */
static bool
rounds_away(Rounding rounding, int128 quotient, int128 remainder, int128 divisor)
{
	switch (rounding)
	{
		case ROUNDING_HALF_UP:
			return remainder >= divisor - remainder;
		case ROUNDING_HALF_EVEN:
			return remainder > divisor - remainder ||
				(remainder == divisor - remainder && quotient % 2 != 0);
		case ROUNDING_DOWN:
			return false;
		case ROUNDING_UP:
			return true;
	}
	elog(ERROR, "unrecognized rounding: %d", (int) rounding);
	return false;				/* keep compiler quiet */
}

/*
 * amount * times / per, to so many decimals.
 *
 * The magnitude is rounded and the sign put back, so that a sale and its
 * refund cancel.  Nothing is rounded on the way: the product is exact, or the
 * conversion is out of range.
 */
bool
points_convert(Points amount, int128 times, int128 per, int decimals,
			   Rounding rounding, Points *result)
{
	int64		step = decimal_step[decimals];
	int128		product;
	int128		divisor;
	int128		quotient;
	bool		negative;

	Assert(decimals >= 0 && decimals <= POINTS_DECIMALS);
	if (__builtin_mul_overflow((int128) amount, times, &product) ||
		__builtin_mul_overflow(per, (int128) step, &divisor))
		return false;
	negative = product < 0;
	if (negative)
		product = -product;
	quotient = product / divisor;
	if (product % divisor != 0 && rounds_away(rounding, quotient, product % divisor, divisor))
		quotient++;
	/* one more than fits: the lowest value has no positive counterpart */
	if (quotient > (int128) PG_INT64_MAX + 1)
		return false;
	quotient *= step;
	if (negative)
		quotient = -quotient;
	if (quotient < PG_INT64_MIN || quotient > PG_INT64_MAX)
		return false;
	*result = (Points) quotient;
	return true;
}

static int
compare_numeric(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}

static Numeric
multiply(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(a), NumericGetDatum(b)));
}

/*
 * The same of a share: amount * times / per * part / whole, of which the first
 * is not negative and the last two are of any size.  The quotient has no bound
 * but that of points.
 */
bool
points_convert_share(Points amount, int64 times, int64 per, Numeric part, Numeric whole,
					 int decimals, Rounding rounding, Points *result)
{
	int64		step = decimal_step[decimals];
	Numeric		product = multiply(multiply(int64_to_numeric(amount), int64_to_numeric(times)), part);
	Numeric		divisor = multiply(multiply(int64_to_numeric(per), int64_to_numeric(step)), whole);
	Datum		quotient = DirectFunctionCall2(numeric_div_trunc, NumericGetDatum(product), NumericGetDatum(divisor));
	Numeric		rest;
	int64		units;
	int			half;

	if (compare_numeric(DatumGetNumeric(quotient), int64_to_numeric(PG_INT64_MAX / step)) >= 0)
		return false;
	units = DatumGetInt64(DirectFunctionCall1(numeric_int8, quotient));
	rest = DatumGetNumeric(DirectFunctionCall2(numeric_sub, NumericGetDatum(product),
											   NumericGetDatum(multiply(divisor, int64_to_numeric(units)))));
	/* in quarters: less than a half, one, or more */
	half = 2 + compare_numeric(multiply(rest, int64_to_numeric(2)), divisor);
	if (compare_numeric(rest, int64_to_numeric(0)) > 0 && rounds_away(rounding, units, half, 4))
		units++;
	*result = units * step;
	return true;
}

/* amount * percent / 100; percent counts ten-thousandths of a percent. */
bool
points_percent(Points amount, int64 percent, int decimals, Rounding rounding,
			   Points *result)
{
	return points_convert(amount, percent, PERCENT_WHOLE, decimals, rounding, result);
}

/* The rounding of this name; false: there is none. */
bool
rounding_parse(const char *name, Rounding *result)
{
	for (size_t i = 0; i < lengthof(rounding_names); i++)
	{
		if (strcmp(name, rounding_names[i]) == 0)
		{
			*result = (Rounding) i;
			return true;
		}
	}
	return false;
}

static void
points_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("points out of range")));
}

PG_FUNCTION_INFO_V1(points_in);
Datum
points_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	Points		result;

	switch (points_parse(str, &result))
	{
		case POINTS_OK:
			PG_RETURN_POINTS(result);
		case POINTS_DECIMALS_EXCEEDED:
			ereturn(fcinfo->context, (Datum) 0,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid input syntax for type %s: \"%s\"",
							"points", str),
					 errdetail("Points have at most %d decimals.",
							   POINTS_DECIMALS)));
		case POINTS_RANGE:
			ereturn(fcinfo->context, (Datum) 0,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("value \"%s\" is out of range for type %s",
							str, "points")));
		case POINTS_SYNTAX:
			break;
	}
	ereturn(fcinfo->context, (Datum) 0,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"",
					"points", str)));
}

PG_FUNCTION_INFO_V1(points_out);
Datum
points_out(PG_FUNCTION_ARGS)
{
	char	   *buf = palloc(POINTS_MAX_TEXT);

	points_print(PG_GETARG_POINTS(0), buf);
	PG_RETURN_CSTRING(buf);
}

PG_FUNCTION_INFO_V1(points_pl);
Datum
points_pl(PG_FUNCTION_ARGS)
{
	Points		result;

	if (!points_add(PG_GETARG_POINTS(0), PG_GETARG_POINTS(1), &result))
		points_out_of_range();
	PG_RETURN_POINTS(result);
}

PG_FUNCTION_INFO_V1(points_mi);
Datum
points_mi(PG_FUNCTION_ARGS)
{
	Points		result;

	if (pg_sub_s64_overflow(PG_GETARG_POINTS(0), PG_GETARG_POINTS(1), &result))
		points_out_of_range();
	PG_RETURN_POINTS(result);
}

PG_FUNCTION_INFO_V1(points_um);
Datum
points_um(PG_FUNCTION_ARGS)
{
	Points		result;

	if (pg_sub_s64_overflow(0, PG_GETARG_POINTS(0), &result))
		points_out_of_range();
	PG_RETURN_POINTS(result);
}

PG_FUNCTION_INFO_V1(points_abs);
Datum
points_abs(PG_FUNCTION_ARGS)
{
	Points		result = PG_GETARG_POINTS(0);

	if (result < 0 && pg_sub_s64_overflow(0, result, &result))
		points_out_of_range();
	PG_RETURN_POINTS(result);
}

static Points
points_times(Points value, int64 factor)
{
	Points		result;

	if (pg_mul_s64_overflow(value, factor, &result))
		points_out_of_range();
	return result;
}

PG_FUNCTION_INFO_V1(points_mul_int8);
Datum
points_mul_int8(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTS(points_times(PG_GETARG_POINTS(0), PG_GETARG_INT64(1)));
}

PG_FUNCTION_INFO_V1(int8_mul_points);
Datum
int8_mul_points(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTS(points_times(PG_GETARG_POINTS(1), PG_GETARG_INT64(0)));
}

/*
 * A ratio is a number, not an amount; the server's division reports zero.
 */
PG_FUNCTION_INFO_V1(points_div);
Datum
points_div(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall2(numeric_div,
							   NumericGetDatum(int64_to_numeric(PG_GETARG_POINTS(0))),
							   NumericGetDatum(int64_to_numeric(PG_GETARG_POINTS(1))));
}

PG_FUNCTION_INFO_V1(int2_to_points);
Datum
int2_to_points(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTS(PG_GETARG_INT16(0) * POINTS_ONE);
}

PG_FUNCTION_INFO_V1(int4_to_points);
Datum
int4_to_points(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTS(PG_GETARG_INT32(0) * POINTS_ONE);
}

PG_FUNCTION_INFO_V1(int8_to_points);
Datum
int8_to_points(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTS(points_times(POINTS_ONE, PG_GETARG_INT64(0)));
}

PG_FUNCTION_INFO_V1(points_to_int8);
Datum
points_to_int8(PG_FUNCTION_ARGS)
{
	Points		value = PG_GETARG_POINTS(0);
	char		text[POINTS_MAX_TEXT];

	if (value % POINTS_ONE != 0)
	{
		points_print(value, text);
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("cannot convert points \"%s\" to bigint", text),
				 errdetail("The value has decimals.")));
	}
	PG_RETURN_INT64(value / POINTS_ONE);
}

PG_FUNCTION_INFO_V1(points_to_numeric);
Datum
points_to_numeric(PG_FUNCTION_ARGS)
{
	Numeric		value = int64_div_fast_to_numeric(PG_GETARG_POINTS(0),
												  POINTS_DECIMALS);

	return DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(value));
}

/*
 * The exact ten-thousandths of a number, or what keeps it from having any:
 * nothing is ever rounded here.
 */
static PointsParse
points_from_numeric(Numeric value, Points *result)
{
	Datum		units;
	Datum		whole;

	if (numeric_is_nan(value) || numeric_is_inf(value) ||
		compare_numeric(value, int64_div_fast_to_numeric(PG_INT64_MIN, POINTS_DECIMALS)) < 0 ||
		compare_numeric(value, int64_div_fast_to_numeric(PG_INT64_MAX, POINTS_DECIMALS)) > 0)
		return POINTS_RANGE;
	units = DirectFunctionCall2(numeric_mul, NumericGetDatum(value),
								NumericGetDatum(int64_to_numeric(POINTS_ONE)));
	whole = DirectFunctionCall2(numeric_trunc, units, Int32GetDatum(0));
	if (compare_numeric(DatumGetNumeric(units), DatumGetNumeric(whole)) != 0)
		return POINTS_DECIMALS_EXCEEDED;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8, whole));
	return POINTS_OK;
}

PG_FUNCTION_INFO_V1(numeric_to_points);
Datum
numeric_to_points(PG_FUNCTION_ARGS)
{
	Numeric		value = PG_GETARG_NUMERIC(0);
	Points		result = 0;

	switch (points_from_numeric(value, &result))
	{
		case POINTS_OK:
			break;
		case POINTS_DECIMALS_EXCEEDED:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("cannot convert numeric \"%s\" to points without rounding",
							numeric_normalize(value)),
					 errdetail("Points have at most %d decimals.",
							   POINTS_DECIMALS),
					 errhint("Round the number, or cast the points it meets to numeric.")));
			break;
		case POINTS_SYNTAX:
		case POINTS_RANGE:
			points_out_of_range();
	}
	PG_RETURN_POINTS(result);
}

/*
 * to_json() and its kin look for a cast to json and take its text verbatim.
 */
PG_FUNCTION_INFO_V1(points_to_json);
Datum
points_to_json(PG_FUNCTION_ARGS)
{
	char		text[POINTS_MAX_TEXT];

	points_print(PG_GETARG_POINTS(0), text);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

/*
 * sum() and avg() accumulate with the server's functions for bigint, whose
 * state cannot overflow: only the result has to fit.
 */
PG_FUNCTION_INFO_V1(points_sum_final);
Datum
points_sum_final(PG_FUNCTION_ARGS)
{
	Numeric		units;

	LOCAL_FCINFO(call, 1);
	Datum		sum;

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0] = fcinfo->args[0];
	sum = numeric_poly_sum(call);
	if (call->isnull)
		PG_RETURN_NULL();
	units = DatumGetNumeric(sum);
	if (compare_numeric(units, int64_to_numeric(PG_INT64_MIN)) < 0 ||
		compare_numeric(units, int64_to_numeric(PG_INT64_MAX)) > 0)
		points_out_of_range();
	PG_RETURN_POINTS(DatumGetInt64(DirectFunctionCall1(numeric_int8, sum)));
}

PG_FUNCTION_INFO_V1(points_avg_final);
Datum
points_avg_final(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(call, 1);
	Datum		avg;

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0] = fcinfo->args[0];
	avg = numeric_poly_avg(call);
	if (call->isnull)
		PG_RETURN_NULL();
	avg = DirectFunctionCall2(numeric_mul, avg,
							  NumericGetDatum(int64_div_fast_to_numeric(1, POINTS_DECIMALS)));
	return DirectFunctionCall1(numeric_trim_scale, avg);
}

/*
 * percent_of(amount, percent, decimals, rounding)
 */
PG_FUNCTION_INFO_V1(points_percent_of);
Datum
points_percent_of(PG_FUNCTION_ARGS)
{
	int32		decimals = PG_GETARG_INT32(2);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(3));
	int64		percent;
	Rounding	rounding;
	Points		result;

	if (points_from_numeric(PG_GETARG_NUMERIC(1), &percent) != POINTS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("percent must be a number with at most %d decimals",
						POINTS_DECIMALS)));
	if (decimals < 0 || decimals > POINTS_DECIMALS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("decimals must be between 0 and %d", POINTS_DECIMALS)));
	if (!rounding_parse(name, &rounding))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized rounding \"%s\"", name),
				 errhint("Use half_up, half_even, down or up.")));
	if (!points_percent(PG_GETARG_POINTS(0), percent, decimals, rounding, &result))
		points_out_of_range();
	PG_RETURN_POINTS(result);
}

/*
 * points.h
 *		loyalty.points: an exact amount of points or money.
 *
 * An int64 that counts ten-thousandths.  Nothing in the extension computes
 * amounts in floating point, and every operation that could leave the range
 * says so instead of wrapping.
 */
#ifndef LOYALTY_POINTS_H
#define LOYALTY_POINTS_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/numeric.h"

typedef int64 Points;

#define POINTS_DECIMALS		4
#define POINTS_ONE			INT64CONST(10000)

#define DatumGetPoints(d)	((Points) DatumGetInt64(d))
#define PointsGetDatum(p)	Int64GetDatum(p)
#define PG_GETARG_POINTS(n)	DatumGetPoints(PG_GETARG_DATUM(n))
#define PG_RETURN_POINTS(p)	return PointsGetDatum(p)

/* "-922337203685477.5808" and its NUL, with room to spare */
#define POINTS_MAX_TEXT		24

typedef enum PointsParse
{
	POINTS_OK,
	POINTS_SYNTAX,				/* not a plain decimal number */
	POINTS_DECIMALS_EXCEEDED,	/* more decimals than POINTS_DECIMALS */
	POINTS_RANGE				/* does not fit */
} PointsParse;

/* The rounding mode of conversions to points of so many decimals. */
typedef enum Rounding
{
	ROUNDING_HALF_UP,			/* ties away from zero */
	ROUNDING_HALF_EVEN,
	ROUNDING_DOWN,				/* towards zero */
	ROUNDING_UP					/* away from zero */
} Rounding;

extern PointsParse points_parse(const char *str, Points *result);
extern void points_print(Points value, char *buf);	/* buf[POINTS_MAX_TEXT] */
extern char *points_text(Points value); /* the same, palloc'd */
extern int	points_decimals_used(Points value);
extern bool points_add(Points a, Points b, Points *result);
extern bool points_convert(Points amount, int128 times, int128 per, int decimals,
						   Rounding rounding, Points *result);
extern bool points_convert_share(Points amount, int64 times, int64 per, Numeric part, Numeric whole,
								 int decimals, Rounding rounding, Points *result);
extern bool points_percent(Points amount, int64 percent, int decimals,
						   Rounding rounding, Points *result);
extern bool rounding_parse(const char *name, Rounding *result);

#endif

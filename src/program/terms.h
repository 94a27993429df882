/*
 * terms.h
 *		What a program says about the points of its accounts, at a moment.
 */
#ifndef LOYALTY_TERMS_H
#define LOYALTY_TERMS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "db/statement.h"
#include "types/points.h"
#include "utils/date.h"

/* What undoing an accrual does when its points were spent. */
typedef enum Shortfall
{
	SHORTFALL_REFUSE,
	SHORTFALL_PARTIAL,			/* take what is there */
	SHORTFALL_NEGATIVE			/* leave a debt */
} Shortfall;

/* The ranks of a program, the highest first. */
typedef struct Rank
{
	char	   *name;
	Points		from_points;
	Points		multiplier;		/* of the base of sales */
} Rank;

/*
 * From how many points a rank was held since a moment, until the next one of
 * which there are some, and by which terms points counted for it.
 */
typedef struct PastRank
{
	TimestampTz since;
	char	   *name;
	Points		from_points;
	int			window_value;
	char	   *window_unit;
	int			grace_days;
	char	   *time_zone;
} PastRank;

typedef struct Ranks
{
	bool		is_read;
	bool		multiply;		/* some of them do */
	int			n;
	Rank	   *rank;
	int			npast;
	PastRank   *past;			/* NULL: has not been read */
} Ranks;

/* What a program says at any moment. */
typedef struct ProgramTerms
{
	int64		merchant_id;
	int64		program_id;
	char	   *time_zone;
	char	   *expiry;
	int			duration_value;
	char	   *duration_unit;
	DateADT		expiry_date;	/* if expiry is fixed */
	int			pending_days;
	int			reinstatement_days;
	int			rank_window_value;
	char	   *rank_window_unit;
	Shortfall	shortfall;
	bool		has_limits;
	int64		limits_revision;
	int			decimals;
	Rounding	rounding;
	char	   *range_group;	/* of its ranks; empty: none */
	int			rank_grace_days;
	TimestampTz ranked_at;		/* when ranks were last to be counted anew; DT_NOBEGIN: never */
	bool		active;			/* points can be earned and sent */
	Ranks	   *ranks;			/* for rank.c only, which reads them when it needs them */
	int			rules;			/* version of the earning rules, 0: none */
	TimestampTz rules_published_at;
} ProgramTerms;

/* And what that makes of a moment. */
typedef struct Terms
{
	const ProgramTerms *program;
	TimestampTz at;
	TimestampTz expires_at;		/* of points that are added then; DT_NOEND: never */
	TimestampTz reinstated_until;	/* of points given back then, past their date; DT_NOBEGIN: they stay so */
	TimestampTz qualifies_until;	/* for the rank; DT_NOEND: for ever */
	TimestampTz qualifies_as;	/* which of the days from which points count so long */
	TimestampTz sale_available_at;	/* of what a sale earns then */
	struct Terms *next;
} Terms;

extern Timestamp terms_local(const ProgramTerms *program, TimestampTz at);
extern TimestampTz terms_from_local(const ProgramTerms *program, Timestamp local);
extern DateADT terms_local_date(const ProgramTerms *program, TimestampTz at);
extern TimestampTz terms_day_start(const ProgramTerms *program, DateADT day);
extern TimestampTz terms_window_end(const ProgramTerms *program, DateADT day, TimestampTz *as);
extern DateADT terms_window_start(const ProgramTerms *program, TimestampTz until, TimestampTz as);
extern TimestampTz terms_day_end(const ProgramTerms *program, TimestampTz at, const Interval *span);
extern const ProgramTerms *terms_of_version(int64 merchant_id, int64 program_id, const RowVersion *version);
extern const ProgramTerms *terms_of_program(int64 merchant_id, int64 program_id);
extern bool terms_are_simple(const ProgramTerms *program);
extern const Terms *terms_at(Terms **known, int64 merchant_id, int64 program_id, TimestampTz at);

#endif

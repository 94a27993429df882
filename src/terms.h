/*
 * terms.h
 *		What a program says about the points of its accounts, at a moment.
 */
#ifndef LOYALTY_TERMS_H
#define LOYALTY_TERMS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "points.h"
#include "utils/date.h"

/* What undoing an accrual does when its points were spent. */
typedef enum Shortfall
{
	SHORTFALL_REFUSE,
	SHORTFALL_PARTIAL,			/* take what is there */
	SHORTFALL_NEGATIVE			/* leave a debt */
} Shortfall;

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
	int			decimals;
	Rounding	rounding;
	Shortfall	shortfall;
	bool		has_limits;
	bool		has_ranks;
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
	TimestampTz sale_available_at;	/* of what a sale earns then */
	struct Terms *next;
} Terms;

extern bool terms_multiply(const Terms *terms);
extern const Terms *terms_at(Terms **known, int64 merchant_id, int64 program_id, TimestampTz at);

#endif

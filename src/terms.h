/*
 * terms.h
 *		What a program says about the points of its accounts, at a moment.
 */
#ifndef LOYALTY_TERMS_H
#define LOYALTY_TERMS_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* What undoing an accrual does when its points were spent. */
typedef enum Shortfall
{
	SHORTFALL_REFUSE,
	SHORTFALL_PARTIAL,			/* take what is there */
	SHORTFALL_NEGATIVE			/* leave a debt */
} Shortfall;

typedef struct Terms
{
	int64		program_id;
	TimestampTz at;
	TimestampTz expires_at;		/* of points that are added then; DT_NOEND: never */
	TimestampTz reinstated_until;	/* of points given back then, past their date; DT_NOBEGIN: they stay so */
	TimestampTz qualifies_until;	/* for the rank; DT_NOEND: for ever */
	TimestampTz sale_available_at;	/* of what a sale earns then */
	Shortfall	shortfall;
	bool		has_limits;
	bool		has_ranks;
	bool		has_multipliers;	/* of ranks: some are not 1 */
	int			rules;			/* version of the earning rules, 0: none */
	TimestampTz rules_published_at;
	struct Terms *next;
} Terms;

extern const Terms *terms_at(Terms **known, int64 merchant_id, int64 program_id, TimestampTz at);

#endif

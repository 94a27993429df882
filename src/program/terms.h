/*
 * terms.h
 *		What a program says about the points of its accounts, at a moment.
 */
#ifndef LOYALTY_TERMS_H
#define LOYALTY_TERMS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "program/program.h"
#include "utils/date.h"

/* What a program says about points that are added, given back or earned at a moment. */
typedef struct Terms
{
	const Program *program;
	TimestampTz at;
	TimestampTz expires_at;		/* of points that are added then; DT_NOEND: never */
	TimestampTz reinstated_until;	/* until when points given back past their date can be spent; DT_NOBEGIN: not at
									 * all */
	TimestampTz qualifies_until;	/* for the rank; DT_NOEND: for ever */
	TimestampTz qualifies_as;	/* which of the days from which points count so long */
	TimestampTz sale_available_at;	/* of what a sale earns then */
	struct Terms *next;
} Terms;

extern bool terms_moment_suits(TimestampTz at);
extern Timestamp terms_local(const Program *program, TimestampTz at);
extern TimestampTz terms_from_local(const Program *program, Timestamp local);
extern DateADT terms_local_date(const Program *program, TimestampTz at);
extern TimestampTz terms_day_start(const Program *program, DateADT day);
extern TimestampTz terms_window_end(const Program *program, DateADT day, TimestampTz *as);
extern DateADT terms_window_start(const Program *program, TimestampTz until, TimestampTz as);
extern TimestampTz terms_day_end(const Program *program, TimestampTz at, const Interval *span);
extern bool terms_are_simple(const Program *program);
extern const Terms *terms_at(Terms **cache, int64 merchant_id, int64 program_id, TimestampTz at);

#endif

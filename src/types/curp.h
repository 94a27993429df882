/*
 * curp.h
 *		loyalty.curp: a key of Mexico's population registry.
 *
 * Fixed length, so it is neither toasted nor short: a Datum is a pointer to
 * the characters themselves.
 */
#ifndef LOYALTY_CURP_H
#define LOYALTY_CURP_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/date.h"

#define CURP_LENGTH			18

typedef struct Curp
{
	unsigned char chars[CURP_LENGTH];
} Curp;

#define DatumGetCurpP(d)	((Curp *) DatumGetPointer(d))
#define CurpPGetDatum(p)	PointerGetDatum(p)
#define PG_GETARG_CURP_P(n)	DatumGetCurpP(PG_GETARG_DATUM(n))
#define PG_RETURN_CURP_P(p)	return CurpPGetDatum(p)

/*
 * Text is UTF-8 whatever the database is.  A text that is no CURP leaves in
 * *why a sentence on what it violates, which repeats nothing of the text.
 */
extern bool curp_parse(const char *text, Curp *result, const char **why);
extern void curp_print(const Curp *value, char *buf);	/* buf[CURP_LENGTH + 1] */
extern DateADT curp_birth_date(const Curp *value);

/* Full years on a finite date; false if that is before birth. */
extern bool curp_age(const Curp *value, DateADT on, int *years);

#endif

/*
 * phone.h
 *		loyalty.phone: the ten digits of a Mexican telephone number.
 */
#ifndef LOYALTY_PHONE_H
#define LOYALTY_PHONE_H

#include "postgres.h"
#include "fmgr.h"

typedef int64 Phone;

#define PHONE_DIGITS		10
#define PHONE_MAX			INT64CONST(9999999999)

#define DatumGetPhone(d)	((Phone) DatumGetInt64(d))
#define PhoneGetDatum(p)	Int64GetDatum(p)

extern bool phone_parse(const char *str, Phone *result);
extern bool phone_parse_typed(const char *str, Phone *result);
extern void phone_print(Phone value, char *buf);	/* buf[PHONE_DIGITS + 1] */

#endif

/*
 * staff.h
 *		Cashiers and managers.
 */
#ifndef LOYALTY_STAFF_H
#define LOYALTY_STAFF_H

#include "postgres.h"
#include "base/errors.h"
#include "types/phone.h"

typedef enum StaffRight
{
	STAFF_UNKNOWN,				/* another merchant's, archived, or nobody */
	STAFF_FORBIDDEN,			/* may not operate this program */
	STAFF_PERMITTED
} StaffRight;

/* The data of new staff. */
typedef struct Hiring
{
	const char *role;
	const char *name;
	const char *branch;
	Phone		number;
	const char *password;
} Hiring;

extern int	password_cost;
extern int	password_min_length;

extern StaffRight staff_right(int64 merchant_id, int64 staff_id, int64 program_id);
extern ErrorId staff_hire(int64 merchant_id, const Hiring *hiring, int64 *staff_id);
extern bool staff_refused(int64 merchant_id);
extern bool staff_archive(int64 merchant_id, Phone number, int64 *staff_id);

#endif

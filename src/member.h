/*
 * member.h
 *		The people enrolled in a program.
 */
#ifndef LOYALTY_MEMBER_H
#define LOYALTY_MEMBER_H

#include "postgres.h"
#include "phone.h"
#include "utils/date.h"

typedef struct Member
{
	int64		member_id;
	int64		account_id;
	bool		active;
} Member;

/* What registering someone takes down. */
typedef struct Enrollment
{
	int64		program_id;
	Phone		phone;
	const char *name;
	bool		has_birth_date;
	DateADT		birth_date;
	int64		staff_id;
} Enrollment;

extern void account_open(int64 merchant_id, int64 account_id, int64 program_id);
extern int64 member_acting(const Member *member);
extern bool member_find(int64 merchant_id, int64 program_id, Phone phone, Member *member);
extern bool member_enroll(int64 merchant_id, const Enrollment *enrollment, int64 *member_id);
extern bool member_reactivate(int64 merchant_id, int64 member_id, const Enrollment *enrollment);
extern bool member_blocked(int64 merchant_id, int64 member_id);
extern bool phone_blacklisted(int64 merchant_id, Phone phone);
extern bool phone_area_supported(Phone phone);
extern bool phone_is_fixed_line(Phone phone);

#endif

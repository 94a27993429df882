/*
 * member.h
 *		Members: the people enrolled in a program.
 */
#ifndef LOYALTY_MEMBER_H
#define LOYALTY_MEMBER_H

#include "postgres.h"
#include "db/statement.h"
#include "types/phone.h"
#include "utils/date.h"

typedef struct Member
{
	int64		member_id;
	int64		account_id;
	bool		active;
	char	   *client_id;		/* set by a registration */
} Member;

/* The data of a contact that is registered. */
typedef struct Enrollment
{
	int64		program_id;
	Phone		phone;
	const char *name;
	bool		has_birth_date;
	DateADT		birth_date;
	int64		staff_id;
} Enrollment;

/* The outcome of a registration. */
typedef enum Registration
{
	MEMBER_NEW,
	MEMBER_RETURNED,			/* had left, and is here again */
	MEMBER_TAKEN,				/* another member is in the way */
	MEMBER_BLOCKED				/* is a customer who is being cancelled */
} Registration;

extern void account_open(int64 merchant_id, int64 account_id, int64 program_id);
extern int64 member_acting(const Member *member);
extern bool member_find(int64 merchant_id, int64 program_id, Phone phone, Member *member);
extern Registration member_register(Statement *insert, Statement *again, Datum *values, const char *nulls, Member *member);
extern Registration member_enroll(int64 merchant_id, const Enrollment *enrollment, Member *member);
extern bool phone_blacklisted(int64 merchant_id, Phone phone);
extern bool phone_area_supported(Phone phone);
extern bool phone_is_fixed_line(Phone phone);

#endif

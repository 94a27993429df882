/*
 * ikniu_member.h
 *		Members of the seller API: their fields, and creating them.
 */
#ifndef LOYALTY_IKNIU_MEMBER_H
#define LOYALTY_IKNIU_MEMBER_H

#include "admin/member.h"
#include "api/operation.h"

#define MISSING	{ERR_MISSING_FIELD, ERR_MISSING_FIELD}
#define INVALID	{ERR_INVALID_FIELD, ERR_INVALID_FIELD}
#define REQUIRED_TEXT(name)		{name, FIELD_TEXT, REQUIRED,.absent = MISSING,.malformed = INVALID}
#define REQUIRED_NAME(name)		{name, FIELD_NAME, REQUIRED,.absent = MISSING,.malformed = INVALID}
#define OPTIONAL_FIELD(name, kind)	{name, kind, OPTIONAL,.malformed = INVALID}

/* The fields of a member; some have two names in the document. */
enum
{
	MEMBER_PROGRAM, MEMBER_EMAIL, MEMBER_FIRST_NAME, MEMBER_FIRST_LAST_NAME, MEMBER_SECOND_LAST_NAME,
	MEMBER_BIRTHDATE, MEMBER_BIRTH_DATE, MEMBER_CLIENT_ID, MEMBER_ID, MEMBER_RANK, MEMBER_SUBSCRIPTION,
	MEMBER_COUNTRY, MEMBER_PHONE, MEMBER_ADDRESS
};

/* What a member is created from, in a body of its own or within a deposit. */
#define MEMBER_FIELDS(program_need) \
	[MEMBER_PROGRAM] = {"programId", FIELD_TEXT, program_need,.absent = MISSING,.malformed = INVALID}, \
	[MEMBER_EMAIL] = REQUIRED_TEXT("email"), \
	[MEMBER_FIRST_NAME] = REQUIRED_NAME("firstName"), \
	[MEMBER_FIRST_LAST_NAME] = REQUIRED_NAME("firstLastName"), \
	[MEMBER_SECOND_LAST_NAME] = OPTIONAL_FIELD("secondLastName", FIELD_NAME), \
	[MEMBER_BIRTHDATE] = OPTIONAL_FIELD("birthdate", FIELD_BIRTH_DATE), \
	[MEMBER_BIRTH_DATE] = OPTIONAL_FIELD("birthDate", FIELD_BIRTH_DATE), \
	[MEMBER_CLIENT_ID] = OPTIONAL_FIELD("clientId", FIELD_TEXT), \
	[MEMBER_ID] = OPTIONAL_FIELD("memberId", FIELD_TEXT), \
	[MEMBER_RANK] = OPTIONAL_FIELD("rank", FIELD_TEXT), \
	[MEMBER_SUBSCRIPTION] = OPTIONAL_FIELD("subscriptionDate", FIELD_TIME), \
	[MEMBER_COUNTRY] = OPTIONAL_FIELD("country", FIELD_TEXT), \
	[MEMBER_PHONE] = OPTIONAL_FIELD("phone", FIELD_PHONE), \
	[MEMBER_ADDRESS] = OPTIONAL_FIELD("address", FIELD_JSON)

extern const Endpoint seller_member;

extern ErrorId seller_member_create(int64 merchant_id, int64 program_id, const Value *values, Member *member);

#endif

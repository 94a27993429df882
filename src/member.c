/*
 * member.c
 *		The people enrolled in a program.
 */
#include "postgres.h"

#include "crypto.h"
#include "member.h"
#include "plan.h"
#include "utils/builtins.h"

bool
member_find(int64 merchant_id, int64 program_id, Phone phone, Member *member)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), PhoneGetDatum(phone)};

	if (plan_read(PLAN_MEMBER_FIND, values, NULL) == 0)
		return false;
	member->member_id = plan_int64(0, 0);
	member->account_id = plan_int64(0, 1);
	member->active = plan_bool(0, 2);
	return true;
}

/*
 * What an entry says of who acted: nothing, if the account is the member's own.
 * Such an account has the member's number.
 */
int64
member_acting(const Member *member)
{
	return member->member_id == member->account_id ? 0 : member->member_id;
}

void
account_open(int64 merchant_id, int64 account_id, int64 program_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id), Int64GetDatum(program_id)};

	if (plan_write(PLAN_ACCOUNT_OPEN, values, NULL) != 1)
		elog(ERROR, "program " INT64_FORMAT " is gone", program_id);
}

/*
 * A new member with an empty account of the same id.  False if somebody else
 * has just registered the phone: the insert waits for them, and must not fail
 * in a way that could not be told from other failures.
 */
bool
member_enroll(int64 merchant_id, const Enrollment *enrollment, int64 *member_id)
{
	int64		id = new_id();
	Datum		member[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(id),
		Int64GetDatum(enrollment->program_id),
		PhoneGetDatum(enrollment->phone),
		CStringGetTextDatum(enrollment->name),
		DateADTGetDatum(enrollment->birth_date),
		Int64GetDatum(enrollment->staff_id),
	};
	const char	nulls[] = {' ', ' ', ' ', ' ', ' ', enrollment->has_birth_date ? ' ' : 'n', ' '};

	*member_id = id;
	if (plan_write(PLAN_MEMBER_INSERT, member, nulls) == 0)
		return false;
	account_open(merchant_id, id, enrollment->program_id);
	return true;
}

/* Back with the points they had.  False if somebody else has just done it. */
bool
member_reactivate(int64 merchant_id, int64 member_id, const Enrollment *enrollment)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(member_id),
		CStringGetTextDatum(enrollment->name),
		DateADTGetDatum(enrollment->birth_date),
		Int64GetDatum(enrollment->staff_id),
	};
	const char	nulls[] = {' ', ' ', ' ', enrollment->has_birth_date ? ' ' : 'n', ' '};

	return plan_write(PLAN_MEMBER_REACTIVATE, values, nulls) == 1;
}

/* Whether the member is a customer who is being cancelled. */
bool
member_blocked(int64 merchant_id, int64 member_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(member_id)};

	return plan_read(PLAN_CUSTOMER_BLOCKED, values, NULL) > 0;
}

bool
phone_blacklisted(int64 merchant_id, Phone phone)
{
	Datum		values[] = {Int64GetDatum(merchant_id), PhoneGetDatum(phone)};

	return plan_read(PLAN_BLACKLISTED, values, NULL) > 0;
}

bool
phone_area_supported(Phone phone)
{
	Datum		values[] = {PhoneGetDatum(phone)};

	plan_read(PLAN_AREA_SUPPORTED, values, NULL);
	return plan_bool(0, 0);
}

bool
phone_is_fixed_line(Phone phone)
{
	Datum		values[] = {PhoneGetDatum(phone)};

	plan_read(PLAN_FIXED_LINE, values, NULL);
	return plan_bool(0, 0);
}

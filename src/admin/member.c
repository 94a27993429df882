/*
 * member.c
 *		The people enrolled in a program.
 */
#include "postgres.h"

#include "admin/member.h"
#include "base/crypto.h"
#include "base/fold.h"
#include "db/statement.h"
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
 * A new member with an empty account of the same id.  False if somebody has the
 * phone, email or client id: the insert waits for who is just registering, and
 * must not fail in a way that could not be told from other failures.
 */
static bool
insert_member(PlanId plan, Datum *values, const char *nulls, Member *member)
{
	if (plan_write(plan, values, nulls) == 0)
		return false;
	member->member_id = member->account_id = DatumGetInt64(values[1]);
	member->client_id = plan_text(0, 0);
	account_open(DatumGetInt64(values[0]), member->account_id, DatumGetInt64(values[2]));
	return true;
}

/*
 * Register somebody.  Who is in the way may have left: then they are members
 * again, or if they are somebody else no longer have the phone.  The statements
 * have the same parameters: merchant, a new id, program, and what is known.
 */
Registration
member_register(PlanId insert, PlanId again, Datum *values, const char *nulls, Member *member)
{
	const char *outcome;

	member->active = true;
	if (insert_member(insert, values, nulls, member))
		return MEMBER_NEW;
	if (plan_write(again, values, nulls) != 1)
		elog(ERROR, "loyalty.register_again() returned no row");
	outcome = plan_text(0, 0);
	if (strcmp(outcome, "free") == 0)
		return insert_member(insert, values, nulls, member) ? MEMBER_NEW : MEMBER_TAKEN;
	if (strcmp(outcome, "returned") != 0)
		return strcmp(outcome, "blocked") == 0 ? MEMBER_BLOCKED : MEMBER_TAKEN;
	member->member_id = plan_int64(0, 1);
	member->account_id = plan_int64(0, 2);
	member->client_id = plan_text(0, 3);
	return MEMBER_RETURNED;
}

/* Register a contact of a wallet. */
Registration
member_enroll(int64 merchant_id, const Enrollment *enrollment, Member *member)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		Int64GetDatum(new_id()),
		Int64GetDatum(enrollment->program_id),
		PhoneGetDatum(enrollment->phone),
		CStringGetTextDatum(text_trimmed(enrollment->name)),
		DateADTGetDatum(enrollment->birth_date),
		Int64GetDatum(enrollment->staff_id),
	};
	const char	nulls[] = {' ', ' ', ' ', ' ', ' ', enrollment->has_birth_date ? ' ' : 'n', ' '};

	return member_register(PLAN_CONTACT_INSERT, PLAN_CONTACT_REGISTER_AGAIN, values, nulls, member);
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

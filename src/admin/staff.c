/*
 * staff.c
 *		Cashiers and managers.
 */
#include "postgres.h"

#include "admin/staff.h"
#include "api/operation.h"
#include "base/crypto.h"
#include "db/statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

StaffRight
staff_right(int64 merchant_id, int64 staff_id, int64 program_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(staff_id), Int64GetDatum(program_id)};

	if (plan_read(PLAN_STAFF_FIND, values, NULL) == 0)
		return STAFF_UNKNOWN;
	if (!plan_bool(0, 0))
		return STAFF_PERMITTED;
	return plan_read(PLAN_STAFF_PERMITTED, values, NULL) > 0 ? STAFF_PERMITTED : STAFF_FORBIDDEN;
}

static int64
branch_named(int64 merchant_id, const char *name)
{
	Datum		values[] = {Int64GetDatum(merchant_id), CStringGetTextDatum(name)};

	if (plan_write(PLAN_BRANCH_FIND, values, NULL) == 0)
		plan_write(PLAN_BRANCH_INSERT, values, NULL);
	return plan_int64(0, 0);
}

/*
 * Whether nobody active has the number, the name or the password.  Secrets
 * cannot be compared with each other, so the password is tried against every
 * one of them.  The order is that of the document's codes.
 */
static ErrorId
check_distinct(int64 merchant_id, const Hiring *hiring)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		CStringGetTextDatum(hiring->name),
		PhoneGetDatum(hiring->number),
	};
	uint64		active = plan_write(PLAN_STAFF_ACTIVE, values, NULL);

	for (uint64 row = 0; row < active; row++)
	{
		if (plan_bool(row, 0))
			return ERR_ERR_TOOLUSERS_03;
	}
	for (uint64 row = 0; row < active; row++)
	{
		CHECK_FOR_INTERRUPTS();
		if (password_matches(hiring->password, plan_text(row, 2)))
			return ERR_ERR_TOOLUSERS_03;
	}
	for (uint64 row = 0; row < active; row++)
	{
		if (plan_bool(row, 1))
			return ERR_ERR_TOOLUSERS_04;
	}
	return ERR_NONE;
}

/*
 * One hiring at a time per merchant, by the merchant's row lock: two could
 * otherwise take the same password, which no index can refuse.
 */
ErrorId
staff_hire(int64 merchant_id, const Hiring *hiring, int64 *staff_id)
{
	Datum		values[6] = {Int64GetDatum(merchant_id)};
	char	   *secret = password_secret(hiring->password);
	ErrorId		error;

	if (secret == NULL)
		return ERR_ERR_TOOLUSERS_02;
	if (plan_write(PLAN_MERCHANT_LOCK, values, NULL) == 0)
		return ERR_AUTH_01;
	error = check_distinct(merchant_id, hiring);
	if (error != ERR_NONE)
		return error;

	values[1] = Int64GetDatum(branch_named(merchant_id, hiring->branch));
	values[2] = CStringGetTextDatum(hiring->role);
	values[3] = CStringGetTextDatum(hiring->name);
	values[4] = PhoneGetDatum(hiring->number);
	values[5] = CStringGetTextDatum(secret);
	plan_write(PLAN_STAFF_INSERT, values, NULL);
	*staff_id = plan_int64(0, 0);
	return ERR_NONE;
}

bool
staff_archive(int64 merchant_id, Phone number, int64 *staff_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), PhoneGetDatum(number)};

	if (plan_write(PLAN_STAFF_ARCHIVE, values, NULL) == 0)
		return false;
	*staff_id = plan_int64(0, 0);
	return true;
}

PG_FUNCTION_INFO_V1(loyalty_verify_staff_password);

Datum
loyalty_verify_staff_password(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	char	   *password = text_to_cstring(PG_GETARG_TEXT_PP(2));
	bool		matches;

	plan_begin();
	matches = plan_read(PLAN_STAFF_SECRET, values, NULL) > 0 &&
		password_matches(password, plan_text(0, 0));
	plan_end();
	PG_RETURN_BOOL(matches);
}

PG_FUNCTION_INFO_V1(loyalty_set_staff_branch);

/* Branches are made one at a time per merchant, as by staff_hire(). */
Datum
loyalty_set_staff_branch(PG_FUNCTION_ARGS)
{
	int64		merchant_id = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0);
	char	   *branch = PG_ARGISNULL(2) ? pstrdup("") : text_to_cstring(PG_GETARG_TEXT_PP(2));
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1)), 0};

	if (branch[strspn(branch, " \t\r\n")] == '\0' || strlen(branch) > FIELD_MAX_LENGTH)
		raise_error(ERR_INVALID_ARGUMENT);
	plan_begin();
	if (plan_write(PLAN_MERCHANT_LOCK, values, NULL) == 0 || plan_write(PLAN_STAFF_EXISTS, values, NULL) == 0)
		raise_error(ERR_UNKNOWN_OBJECT);
	values[2] = Int64GetDatum(branch_named(merchant_id, branch));
	plan_write(PLAN_STAFF_BRANCH, values, NULL);
	plan_end();
	PG_RETURN_VOID();
}

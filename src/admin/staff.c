/*
 * staff.c
 *		Cashiers and managers.
 */
#include "postgres.h"

#include "admin/staff.h"
#include "base/crypto.h"
#include "db/statement.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static Statement staff_find_sql = {
	.sql = "SELECT restricted FROM loyalty_internal.staff WHERE merchant_id = $1 AND staff_id = $2 AND archived_at IS NULL",
	.params = {INT8OID, INT8OID}
};

static Statement staff_permitted_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.staff_program WHERE merchant_id = $1 AND staff_id = $2 AND program_id = $3",
	.params = {INT8OID, INT8OID, INT8OID}
};

/* Whether staff may operate a program. */
StaffRight
staff_right(int64 merchant_id, int64 staff_id, int64 program_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(staff_id), Int64GetDatum(program_id)};

	if (db_read(&staff_find_sql, values, NULL) == 0)
		return STAFF_UNKNOWN;
	if (!row_bool(0, "restricted"))
		return STAFF_PERMITTED;
	return db_read(&staff_permitted_sql, values, NULL) > 0 ? STAFF_PERMITTED : STAFF_FORBIDDEN;
}

static Statement branch_find_sql = {
	.sql = "SELECT branch_id FROM loyalty_internal.branch WHERE merchant_id = $1 AND loyalty.fold(name) = loyalty.fold($2)",
	.params = {INT8OID, TEXTOID}
};

static Statement branch_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.branch (merchant_id, name) VALUES ($1, loyalty_internal.trimmed($2)) RETURNING branch_id",
	.params = {INT8OID, TEXTOID}
};

/* The branch of a name, created if there is none. */
static int64
branch_named(int64 merchant_id, const char *name)
{
	Datum		values[] = {Int64GetDatum(merchant_id), CStringGetTextDatum(name)};

	if (db_write(&branch_find_sql, values, NULL) == 0)
		db_write(&branch_insert_sql, values, NULL);
	return row_int64(0, "branch_id");
}

static Statement staff_active_sql = {
	.sql = "SELECT loyalty.fold(name) = loyalty.fold($2) AS same_name, number OPERATOR(loyalty.=) $3 AS same_number, password_secret FROM loyalty_internal.staff"
	" WHERE merchant_id = $1 AND archived_at IS NULL",
	.params = {INT8OID, TEXTOID, PHONEOID}
};

/*
 * Check that no active staff has the name, the password or the number.  Hashed
 * passwords cannot be compared, so the new one is tried against each of them.
 * The order is that of the document's codes.
 */
static ErrorId
check_distinct(int64 merchant_id, const Hiring *hiring)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		CStringGetTextDatum(hiring->name),
		PhoneGetDatum(hiring->number),
	};
	uint64		active = db_write(&staff_active_sql, values, NULL);

	for (uint64 row = 0; row < active; row++)
	{
		if (row_bool(row, "same_name"))
			return ERR_ERR_TOOLUSERS_03;
	}
	for (uint64 row = 0; row < active; row++)
	{
		CHECK_FOR_INTERRUPTS();
		if (password_matches(hiring->password, row_text(row, "password_secret")))
			return ERR_ERR_TOOLUSERS_03;
	}
	for (uint64 row = 0; row < active; row++)
	{
		if (row_bool(row, "same_number"))
			return ERR_ERR_TOOLUSERS_04;
	}
	return ERR_NONE;
}

static Statement merchant_lock_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.merchant WHERE merchant_id = $1 FOR NO KEY UPDATE",
	.params = {INT8OID}
};

static Statement staff_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.staff (merchant_id, staff_id, branch_id, role, name, number, password_secret)"
	" SELECT $1, coalesce(max(staff_id), 0) + 1, $2, $3, loyalty_internal.trimmed($4), $5, $6 FROM loyalty_internal.staff WHERE merchant_id = $1"
	" RETURNING staff_id",
	.params = {INT8OID, INT8OID, TEXTOID, TEXTOID, PHONEOID, TEXTOID}
};

/*
 * Create staff.  The lock of the merchant's row lets one in at a time: two could
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
	if (db_write(&merchant_lock_sql, values, NULL) == 0)
		return ERR_AUTH_01;
	error = check_distinct(merchant_id, hiring);
	if (error != ERR_NONE)
		return error;

	values[1] = Int64GetDatum(branch_named(merchant_id, hiring->branch));
	values[2] = CStringGetTextDatum(hiring->role);
	values[3] = CStringGetTextDatum(hiring->name);
	values[4] = PhoneGetDatum(hiring->number);
	values[5] = CStringGetTextDatum(secret);
	db_write(&staff_insert_sql, values, NULL);
	*staff_id = row_int64(0, "staff_id");
	return ERR_NONE;
}

static Statement staff_archive_sql = {
	.sql = "UPDATE loyalty_internal.staff SET archived_at = now()"
	" WHERE merchant_id = $1 AND number OPERATOR(loyalty.=) $2 AND archived_at IS NULL RETURNING staff_id",
	.params = {INT8OID, PHONEOID}
};

/* Archive the active staff with a number; false: there is none. */
bool
staff_archive(int64 merchant_id, Phone number, int64 *staff_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), PhoneGetDatum(number)};

	if (db_write(&staff_archive_sql, values, NULL) == 0)
		return false;
	*staff_id = row_int64(0, "staff_id");
	return true;
}

static Statement staff_secret_sql = {
	.sql = "SELECT password_secret FROM loyalty_internal.staff WHERE merchant_id = $1 AND staff_id = $2 AND archived_at IS NULL",
	.params = {INT8OID, INT8OID}
};

PG_FUNCTION_INFO_V1(loyalty_verify_staff_password);

/* loyalty.verify_staff_password(): whether this is the password of active staff. */
Datum
loyalty_verify_staff_password(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	char	   *password = text_to_cstring(PG_GETARG_TEXT_PP(2));
	bool		matches;
	ErrorContextCallback secret;

	secret_begin(&secret);
	db_begin();
	matches = db_read(&staff_secret_sql, values, NULL) > 0 &&
		password_matches(password, row_text(0, "password_secret"));
	db_end();
	secret_end(&secret);
	PG_RETURN_BOOL(matches);
}

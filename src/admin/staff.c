/*
 * staff.c
 *		Cashiers and managers.
 */
#include "postgres.h"

#include "admin/staff.h"
#include "base/crypto.h"
#include "catalog/pg_type.h"
#include "db/columns.h"
#include "db/statement.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"

/* The settings loyalty.password_cost and loyalty.password_min_length. */
int			password_cost;
int			password_min_length;

static Statement staff_find_sql = {
	.sql = "SELECT restricted FROM loyalty_internal.staff WHERE merchant_id = $1 AND staff_id = $2 AND archived_at IS NULL",
	.params = {INT8OID, INT8OID},
	.by_key = true
};

static Statement staff_permitted_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.staff_program WHERE merchant_id = $1 AND staff_id = $2 AND program_id = $3",
	.params = {INT8OID, INT8OID, INT8OID},
	.by_key = true
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

static Statement merchant_salt_sql = {
	.sql = "SELECT password_salt FROM loyalty_internal.merchant WHERE merchant_id = $1",
	.params = {INT8OID},
	.by_key = true
};

static Statement staff_cost_sql = {
	.sql = "SELECT password_cost FROM loyalty_internal.staff WHERE merchant_id = $1 AND archived_at IS NULL AND password_cost > $2"
	" ORDER BY password_cost LIMIT 1",
	.params = {INT8OID, INT4OID}
};

/* The costs that digests of active staff have; they are few, however many staff there are. */
static List *
costs_of(int64 merchant_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int32GetDatum(0)};
	List	   *costs = NIL;

	while (db_read(&staff_cost_sql, values, NULL) > 0)
	{
		costs = lappend_int(costs, row_int64(0, "password_cost"));
		values[1] = Int32GetDatum(llast_int(costs));
	}
	return costs;
}

/*
 * The digests that a password has, or has had, in this merchant: the first is
 * the one to keep.  There is one, and one more for each cost that active staff
 * have from before loyalty.password_cost was changed.
 */
static Datum
digests_of(int64 merchant_id, const char *password, char **digest)
{
	Datum		value = Int64GetDatum(merchant_id);
	List	   *costs;
	Datum	   *digests;
	char	   *salt;
	int			n = 0;
	ListCell   *cost;

	if (db_read(&merchant_salt_sql, &value, NULL) == 0)
		raise_error(ERR_AUTH_01);
	salt = row_text(0, "password_salt");
	costs = lcons_int(password_cost, list_delete_int(costs_of(merchant_id), password_cost));
	digests = palloc(list_length(costs) * sizeof(Datum));
	foreach(cost, costs)
	{
		CHECK_FOR_INTERRUPTS();
		digests[n++] = CStringGetTextDatum(password_digest(password, salt, lfirst_int(cost)));
	}
	*digest = TextDatumGetCString(digests[0]);
	return array_datum(digests, n, TEXTOID);
}

#define ACTIVE_STAFF(condition) \
	"EXISTS (SELECT FROM loyalty_internal.staff WHERE merchant_id = $1 AND archived_at IS NULL AND " condition ")"

static Statement staff_taken_sql = {
	.sql = "SELECT " ACTIVE_STAFF("loyalty.fold(name) = loyalty.fold($2)") " AS same_name,"
	" " ACTIVE_STAFF("number OPERATOR(loyalty.=) $3") " AS same_number,"
	" " ACTIVE_STAFF("password_digest = ANY ($4)") " AS same_password",
	.params = {INT8OID, TEXTOID, PHONEOID, TEXTARRAYOID}
};

/*
 * Check that no active staff has the name, the number or, if there are digests
 * of it yet, the password.  The number comes before the password, or whoever
 * names a taken one could try passwords and leave no trace.
 */
static ErrorId
check_distinct(int64 merchant_id, const Hiring *hiring, Datum digests)
{
	Datum		values[] = {
		Int64GetDatum(merchant_id),
		CStringGetTextDatum(hiring->name),
		PhoneGetDatum(hiring->number),
		digests,
	};
	const char	nulls[] = {' ', ' ', ' ', digests != 0 ? ' ' : 'n'};
	bool		same_name;
	bool		same_number;

	db_write(&staff_taken_sql, values, nulls);
	same_name = row_bool(0, "same_name");
	same_number = row_bool(0, "same_number");
	if (!same_name && same_number)
		return ERR_ERR_TOOLUSERS_04;
	if (!same_name && !row_bool(0, "same_password"))
		return ERR_NONE;
	ereport(LOG_SERVER_ONLY,
			(errmsg("merchant " INT64_FORMAT ": new staff was refused, whose %s active staff has", merchant_id,
					same_name ? "name" : "password")));
	return ERR_ERR_TOOLUSERS_03;
}

static Statement merchant_lock_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.merchant WHERE merchant_id = $1 FOR NO KEY UPDATE",
	.params = {INT8OID}
};

static Statement staff_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.staff (merchant_id, staff_id, branch_id, role, name, number, password_digest, password_cost)"
	" SELECT $1, coalesce(max(staff_id), 0) + 1, $2, $3, loyalty_internal.trimmed($4), $5, $6, $7"
	" FROM loyalty_internal.staff WHERE merchant_id = $1 RETURNING staff_id",
	.params = {INT8OID, INT8OID, TEXTOID, TEXTOID, PHONEOID, TEXTOID, INT4OID}
};

/* Within an hour by the clock, which may have stepped back since: a moment further ahead than that is not of this hour. */
#define LAST_HOUR(moment) moment " BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp() + interval '1 hour'"

static Statement refusals_spent_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.staff_refusal WHERE merchant_id = $1 AND " LAST_HOUR("refused_at[10]"),
	.params = {INT8OID}
};

/*
 * Create staff.  What takes long, the hash, is made before anything is locked;
 * the lock of the merchant's row then lets one in at a time, who get the next
 * number and make the branch.  Once too many have been refused, nothing is
 * looked at any more, or whether this is refused would tell as much.
 */
ErrorId
staff_hire(int64 merchant_id, const Hiring *hiring, int64 *staff_id)
{
	Datum		values[7] = {Int64GetDatum(merchant_id)};
	char	   *digest;
	Datum		digests;
	ErrorId		error;

	if (pg_mbstrlen(hiring->password) < password_min_length)
		return ERR_ERR_TOOLUSERS_02;
	if (db_write(&refusals_spent_sql, values, NULL) > 0)
		return ERR_TOO_MANY_REQUESTS;
	error = check_distinct(merchant_id, hiring, 0);
	if (error != ERR_NONE)
		return error;
	digests = digests_of(merchant_id, hiring->password, &digest);
	if (db_write(&merchant_lock_sql, values, NULL) == 0)
		return ERR_AUTH_01;
	error = check_distinct(merchant_id, hiring, digests);
	if (error != ERR_NONE)
		return error;

	values[1] = Int64GetDatum(branch_named(merchant_id, hiring->branch));
	values[2] = CStringGetTextDatum(hiring->role);
	values[3] = CStringGetTextDatum(hiring->name);
	values[4] = PhoneGetDatum(hiring->number);
	values[5] = CStringGetTextDatum(digest);
	values[6] = Int32GetDatum(password_cost);
	db_write(&staff_insert_sql, values, NULL);
	*staff_id = row_int64(0, "staff_id");
	return ERR_NONE;
}

static Statement staff_refuse_sql = {
	.sql = "INSERT INTO loyalty_internal.staff_refusal AS r (merchant_id, refused_at) VALUES ($1, ARRAY[clock_timestamp()])"
	" ON CONFLICT (merchant_id) DO UPDATE SET refused_at = (clock_timestamp() || r.refused_at)[1:10]"
	" WHERE (" LAST_HOUR("r.refused_at[10]") ") IS NOT TRUE",
	.params = {INT8OID}
};

/* Count a refusal by ERR_ERR_TOOLUSERS_03; false: there have been too many, and it must not be told. */
bool
staff_refused(int64 merchant_id)
{
	Datum		value = Int64GetDatum(merchant_id);

	return db_write(&staff_refuse_sql, &value, NULL) > 0;
}

static Statement staff_archive_sql = {
	.sql = "UPDATE loyalty_internal.staff SET archived_at = now(), password_digest = NULL"
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

static Statement staff_password_sql = {
	.sql = "SELECT s.password_digest, s.password_cost, m.password_salt FROM loyalty_internal.staff s"
	" JOIN loyalty_internal.merchant m ON m.merchant_id = s.merchant_id"
	" WHERE s.merchant_id = $1 AND m.merchant_id = $1 AND s.staff_id = $2 AND s.archived_at IS NULL",
	.params = {INT8OID, INT8OID}
};

PG_FUNCTION_INFO_V1(loyalty_verify_staff_password);

/* loyalty.verify_staff_password(): whether this is the password of active staff. */
Datum
loyalty_verify_staff_password(PG_FUNCTION_ARGS)
{
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	char	   *password = text_to_cstring(PG_GETARG_TEXT_PP(2));
	bool		matches = false;
	ErrorContextCallback secret;

	secret_begin(&secret);
	db_begin();
	if (db_read(&staff_password_sql, values, NULL) > 0)
	{
		const char *digest = row_text(0, "password_digest");
		const char *salt = row_text(0, "password_salt");

		matches = secrets_equal(digest, password_digest(password, salt, row_int64(0, "password_cost")));
	}
	db_end();
	secret_end(&secret);
	PG_RETURN_BOOL(matches);
}

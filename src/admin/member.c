/*
 * member.c
 *		Members: the people enrolled in a program.
 */
#include "postgres.h"

#include "admin/member.h"
#include "base/crypto.h"
#include "base/fold.h"
#include "db/statement.h"
#include "utils/builtins.h"

static Statement member_find_sql = {
	.sql = "SELECT member_id, account_id, active FROM loyalty_internal.member"
	" WHERE merchant_id = $1 AND program_id = $2 AND phone OPERATOR(loyalty.=) $3",
	.params = {INT8OID, INT8OID, PHONEOID},
	.by_key = true
};

/* Find the member of a program with a phone, active or not. */
bool
member_find(int64 merchant_id, int64 program_id, Phone phone, Member *member)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), PhoneGetDatum(phone)};

	if (db_read(&member_find_sql, values, NULL) == 0)
		return false;
	member->member_id = row_int64(0, "member_id");
	member->account_id = row_int64(0, "account_id");
	member->active = row_bool(0, "active");
	return true;
}

/*
 * The member_id that an entry has: 0, if the account is the member's own, which
 * has the same id as the member.
 */
int64
member_acting(const Member *member)
{
	return member->member_id == member->account_id ? 0 : member->member_id;
}

/* the share lock: the program cannot begin to manage its accounts meanwhile */
static Statement account_open_sql = {
	.sql = "INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id, earned, expired, held, pending, ranked_at)"
	" SELECT $1, $2, p.program_id, n.nothing, n.nothing, n.nothing, n.nothing, p.ranked_at FROM loyalty_internal.program p,"
	" LATERAL (SELECT CASE WHEN p.tracks_lots THEN '0'::loyalty.points END) n (nothing)"
	" WHERE p.merchant_id = $1 AND p.program_id = $3 FOR SHARE OF p",
	.params = {INT8OID, INT8OID, INT8OID}
};

/* Open an empty account in a program. */
void
account_open(int64 merchant_id, int64 account_id, int64 program_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(account_id), Int64GetDatum(program_id)};

	if (db_write(&account_open_sql, values, NULL) != 1)
		elog(ERROR, "program " INT64_FORMAT " is gone", program_id);
}

/*
 * Insert a member with an empty account of the same id; false if somebody has
 * the phone, email or client id.  The insert waits for others who are
 * registering, and does nothing on a conflict, since an error could not be told
 * from other unique violations.
 */
static bool
insert_member(Statement *plan, Datum *values, const char *nulls, Member *member)
{
	if (db_write(plan, values, nulls) == 0)
		return false;
	member->member_id = member->account_id = DatumGetInt64(values[1]);
	member->client_id = row_text(0, "client_id");
	account_open(DatumGetInt64(values[0]), member->account_id, DatumGetInt64(values[2]));
	return true;
}

/*
 * Register somebody.  A member who is in the way may have left: if it is the
 * same person, they are a member again, and else they lose the phone.  The
 * statements have the same parameters: merchant, a new id, program, and the
 * member's data.
 */
Registration
member_register(Statement *insert, Statement *again, Datum *values, const char *nulls, Member *member)
{
	const char *outcome;

	member->active = true;
	if (insert_member(insert, values, nulls, member))
		return MEMBER_NEW;
	if (db_write(again, values, nulls) != 1)
		elog(ERROR, "loyalty_internal.register_again() returned no row");
	outcome = row_text(0, "outcome");
	if (strcmp(outcome, "free") == 0)
		return insert_member(insert, values, nulls, member) ? MEMBER_NEW : MEMBER_TAKEN;
	if (strcmp(outcome, "returned") != 0)
		return strcmp(outcome, "blocked") == 0 ? MEMBER_BLOCKED : MEMBER_TAKEN;
	member->member_id = row_int64(0, "member_id");
	member->account_id = row_int64(0, "account_id");
	member->client_id = row_text(0, "known_as");
	return MEMBER_RETURNED;
}

static Statement contact_insert_sql = {
	.sql = "INSERT INTO loyalty_internal.member (merchant_id, member_id, program_id, account_id, phone, name, birth_date, enrolled_by)"
	" VALUES ($1, $2, $3, $2, $4, $5, $6, $7) ON CONFLICT (merchant_id, phone, program_id) DO NOTHING RETURNING client_id",
	.params = {INT8OID, INT8OID, INT8OID, PHONEOID, TEXTOID, DATEOID, INT8OID}
};

static Statement contact_register_again_sql = {
	.sql = "SELECT outcome, member_id, account_id, known_as FROM loyalty_internal.register_again"
	"(merchant_id => $1, program_id => $3, phone => $4, name => $5, birth_date => $6, enrolled_by => $7)",
	.params = {INT8OID, INT8OID, INT8OID, PHONEOID, TEXTOID, DATEOID, INT8OID}
};

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

	return member_register(&contact_insert_sql, &contact_register_again_sql, values, nulls, member);
}

static Statement blacklisted_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.blacklisted_phone WHERE merchant_id = $1 AND phone OPERATOR(loyalty.=) $2",
	.params = {INT8OID, PHONEOID},
	.by_key = true
};

/* Whether the merchant has put a phone on its blacklist. */
bool
phone_blacklisted(int64 merchant_id, Phone phone)
{
	Datum		values[] = {Int64GetDatum(merchant_id), PhoneGetDatum(phone)};

	return db_read(&blacklisted_sql, values, NULL) > 0;
}

static Statement area_supported_sql = {
	.sql = "SELECT loyalty.area_code_supported($1) AS supported",
	.params = {PHONEOID}
};

/* Whether the area code of a phone is in loyalty.area_codes and supported. */
bool
phone_area_supported(Phone phone)
{
	Datum		values[] = {PhoneGetDatum(phone)};

	db_read(&area_supported_sql, values, NULL);
	return row_bool(0, "supported");
}

static Statement fixed_line_sql = {
	.sql = "SELECT loyalty.is_fixed_line($1) AS fixed",
	.params = {PHONEOID}
};

/* Whether a phone is in loyalty_internal.fixed_line_range: it gets no messages. */
bool
phone_is_fixed_line(Phone phone)
{
	Datum		values[] = {PhoneGetDatum(phone)};

	db_read(&fixed_line_sql, values, NULL);
	return row_bool(0, "fixed");
}

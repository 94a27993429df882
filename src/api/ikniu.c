/*
 * ikniu.c
 *		The seller API of the IKNIU document: programs, members, balances.
 *
 * Ids in paths and bodies are client ids.  The document has no error codes: an
 * error says in words what is wrong, and names the field if a field is.
 * Deposits, redemptions and accumulations are in ikniu_batch.c.
 */
#include "postgres.h"

#include "api/ikniu.h"
#include "api/ikniu_batch.h"
#include "api/ikniu_member.h"
#include "base/json.h"
#include "earning/rank.h"
#include "limits/entry_space.h"
#include "limits/row_limit.h"
#include "program/program.h"
#include "utils/builtins.h"

/* The program that the path names. */
static const Program *
program_of_path(const Call *call)
{
	const Program *program = program_of_client_id(call->merchant_id, call->values[0].text);

	if (program == NULL)
		raise_error(ERR_PROGRAM_NOT_FOUND);
	return program;
}

/* ------------------------------------------------------------------------
 * Programs
 * ------------------------------------------------------------------------ */

/* How the seller API prints programs and members. */
#define ISO_TIME(column) \
	"to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define PROGRAM_JSON \
	"SELECT json_build_object('seller', merchant_id::text, 'user', managed_by, 'rangeGroup', range_group," \
	" 'currency', json_build_object('iso', currency_iso, 'name', currency_name, 'change', currency_change," \
	" 'status', currency_active)," \
	" 'unit', json_build_object('name', unit_name, 'base', unit_base, 'status', unit_active)," \
	" 'redemptionBase', json_build_object('value', redemption_money, 'balance', redemption_points::text)," \
	" 'accumulationBase', json_build_object('balance', accumulation_points::text, 'value', accumulation_money)," \
	" 'durationPointsUnitTime', json_build_object('name', duration_name, 'unitType', duration_unit, 'value', duration_value)," \
	" 'name', name, 'clientId', client_id, 'status', CASE WHEN active THEN 'active' ELSE 'inactive' END," \
	" 'createdAt', " ISO_TIME("created_at") ", 'updatedAt', " ISO_TIME("updated_at") ", 'id', program_id::text) AS json" \
	" FROM loyalty_internal.program WHERE merchant_id = $1"

static Statement program_list_sql = {
	.sql = PROGRAM_JSON " ORDER BY created_at, program_id",
	.params = {INT8OID}
};

static void
program_list_run(Call *call)
{
	call->rows = &program_list_sql;
}

static const Endpoint program_list = {
	.name = "seller_program_list",
	.result = RESULT_ROWS,
	.run = program_list_run,
};

static Statement program_get_sql = {
	.sql = PROGRAM_JSON " AND client_id = $2",
	.params = {INT8OID, TEXTOID}
};

static void
program_get_run(Call *call)
{
	call->rows = &program_get_sql;
	call->single_row = true;
	call->no_row = ERR_PROGRAM_NOT_FOUND;
	call->row_params[1] = CStringGetTextDatum(call->values[0].text);
}

static const Endpoint program_get = {
	.name = "seller_program_get",
	.fields = {REQUIRED_TEXT("programId")},
	.result = RESULT_ROWS,
	.run = program_get_run,
};

/* ------------------------------------------------------------------------
 * Members
 * ------------------------------------------------------------------------ */

static Statement member_id_sql = {
	.sql = "SELECT member_id FROM loyalty_internal.member WHERE merchant_id = $1 AND program_id = $2 AND client_id = $3",
	.params = {INT8OID, INT8OID, TEXTOID}
};

enum
{
	LIST_PROGRAM, LIST_LIMIT, LIST_OFFSET, LIST_AFTER, LIST_EMAIL, LIST_PHONE
};

/* The id of a member to list the members after; it may have left since. */
static int64
member_number(int64 merchant_id, int64 program_id, const char *client_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), CStringGetTextDatum(client_id)};

	if (db_read(&member_id_sql, values, NULL) == 0)
		raise_error(ERR_MEMBER_NOT_FOUND);
	return row_int64(0, "member_id");
}

#define FIRST_NAME "'firstName', CASE WHEN m.first_name = '' THEN m.name ELSE m.first_name END"
#define ADDRESS_JSON(street, inside, outside, country, state, city) \
	"json_build_object('street', " street ", 'numberInside', " inside ", 'numberOutside', " outside ", 'postcode'," \
	" json_build_object('country', json_build_object('name', " country "), 'state', json_build_object('name', " state ")," \
	" 'city', json_build_object('name', " city ")))"
#define RANK "loyalty.rank_at($1, m.account_id, clock_timestamp())"
#define MEMBER_JSON(start, rank) \
	"json_build_object('id', m.member_id::text, " start "," \
	" 'firstLastName', m.first_last_name, 'secondLastName', m.second_last_name, 'email', coalesce(m.email, '')," \
	" 'birthDate', coalesce(to_char(m.birth_date, 'YYYY-MM-DD'), ''), 'subscriptionDate', " ISO_TIME("m.subscribed_at") "," \
	" 'rank', json_build_object('name', " rank ")," \
	" 'balance', b.balance, 'expiredAmount', b.expired, 'address'," \
	" coalesce((SELECT json_agg(" ADDRESS_JSON("d.street", "d.number_inside", "d.number_outside", "d.country", "d.state", "d.city") \
	" ORDER BY d.ordinal) FROM loyalty_internal.member_address d WHERE d.merchant_id = $1 AND d.member_id = m.member_id)," \
	" CASE WHEN m.country = '' THEN '[]' ELSE json_build_array(" ADDRESS_JSON("''", "''", "''", "m.country", "''", "''") ") END))"
/*
 * Members are found first, then the balance of each of them.  OFFSET 0 keeps
 * the planner from joining or scanning all balances of the merchant, where it
 * cannot know yet how few members there are.
 */
#define MEMBER_WITH_BALANCE(condition) \
	"LATERAL (SELECT * FROM loyalty_internal.member WHERE merchant_id = $1 AND " condition " OFFSET 0) m," \
	" LATERAL (SELECT balance, expired FROM loyalty.balances WHERE merchant_id = $1 AND account_id = m.account_id OFFSET 0) b"
/* A page of the active members of a program, chosen before anything is computed for them. */
#define MEMBER_PAGE(condition) \
	"SELECT " MEMBER_JSON(FIRST_NAME ", 'clientId', m.client_id", "CASE WHEN $8 THEN " RANK " ELSE '' END") " AS json" \
	" FROM (SELECT member_id FROM loyalty_internal.member" \
	" WHERE merchant_id = $1 AND program_id = $2 AND active AND member_id > $5" condition \
	" ORDER BY member_id LIMIT $3 OFFSET $4) page, " MEMBER_WITH_BALANCE("member_id = page.member_id") \
	" ORDER BY page.member_id"
static Statement member_list_sql = {
	.sql = MEMBER_PAGE(""),
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, PHONEOID, TEXTOID, BOOLOID}
};

static Statement member_list_by_email_sql = {
	.sql = MEMBER_PAGE(" AND loyalty.fold(email) = loyalty.fold($7)"),
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, PHONEOID, TEXTOID, BOOLOID}
};

static Statement member_list_by_phone_sql = {
	.sql = MEMBER_PAGE(" AND phone OPERATOR(loyalty.=) $6 AND ($7 = '' OR loyalty.fold(email) = loyalty.fold($7))"),
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, PHONEOID, TEXTOID, BOOLOID}
};

static void
member_list_run(Call *call)
{
	const Value *values = call->values;
	const Program *program = program_of_path(call);
	int64		after = PG_INT64_MIN;

	if (values[LIST_AFTER].text != NULL)
		after = member_number(call->merchant_id, program->program_id, values[LIST_AFTER].text);
	call->rows = &member_list_sql;
	if (values[LIST_EMAIL].text != NULL)
		call->rows = &member_list_by_email_sql;
	if (values[LIST_PHONE].text != NULL)
		call->rows = &member_list_by_phone_sql;
	call->row_params[1] = Int64GetDatum(program->program_id);
	call->row_params[2] = Int64GetDatum(values[LIST_LIMIT].text ? values[LIST_LIMIT].integer : PG_INT64_MAX);
	call->row_params[3] = Int64GetDatum(values[LIST_OFFSET].text ? values[LIST_OFFSET].integer : 0);
	call->row_params[4] = Int64GetDatum(after);
	call->row_params[5] = PhoneGetDatum(values[LIST_PHONE].phone);
	call->row_params[6] = CStringGetTextDatum(values[LIST_EMAIL].text ? values[LIST_EMAIL].text : "");
	call->row_params[7] = BoolGetDatum(ranks_ever(program));
}

static const Endpoint member_list = {
	.name = "seller_member_list",
	.fields = {
		[LIST_PROGRAM] = REQUIRED_TEXT("programId"),
		[LIST_LIMIT] = OPTIONAL_FIELD("limit", FIELD_COUNT),
		[LIST_OFFSET] = OPTIONAL_FIELD("offset", FIELD_COUNT),
		[LIST_AFTER] = OPTIONAL_FIELD("after", FIELD_TEXT),
		[LIST_EMAIL] = OPTIONAL_FIELD("email", FIELD_TEXT),
		[LIST_PHONE] = OPTIONAL_FIELD("phone", FIELD_PHONE),
	},
	.result = RESULT_ROWS,
	.run = member_list_run,
};

static void
one_member(Call *call, Statement *plan)
{
	const Program *program = program_of_path(call);

	call->rows = plan;
	call->single_row = true;
	call->no_row = ERR_MEMBER_NOT_FOUND;
	call->row_params[1] = Int64GetDatum(program->program_id);
	call->row_params[2] = CStringGetTextDatum(call->values[1].text);
	call->row_params[3] = CStringGetTextDatum(call->values[0].text);
}

static Statement member_get_sql = {
	.sql = "SELECT " MEMBER_JSON("'clientId', m.client_id, " FIRST_NAME, RANK) " AS json"
	" FROM " MEMBER_WITH_BALANCE("program_id = $2 AND active AND client_id = $3"),
	.params = {INT8OID, INT8OID, TEXTOID}
};

static void
member_get_run(Call *call)
{
	one_member(call, &member_get_sql);
}

static const Endpoint member_get = {
	.name = "seller_member_get",
	.fields = {REQUIRED_TEXT("programId"), REQUIRED_TEXT("memberId")},
	.result = RESULT_ROWS,
	.run = member_get_run,
};

static Statement member_balance_sql = {
	.sql = "SELECT json_build_object('programId', $4::text, 'memberId', m.client_id, 'balance', b.balance,"
	" 'expiredAmount', b.expired) AS json FROM loyalty_internal.member m"
	" JOIN loyalty.balances b ON b.merchant_id = m.merchant_id AND b.account_id = m.account_id"
	" WHERE m.merchant_id = $1 AND b.merchant_id = $1 AND m.program_id = $2 AND m.active AND m.client_id = $3",
	.params = {INT8OID, INT8OID, TEXTOID, TEXTOID}
};

static void
member_balance_run(Call *call)
{
	one_member(call, &member_balance_sql);
}

static const Endpoint member_balance = {
	.name = "seller_member_balance",
	.fields = {REQUIRED_TEXT("programId"), REQUIRED_TEXT("memberId")},
	.result = RESULT_ROWS,
	.run = member_balance_run,
};

/* ------------------------------------------------------------------------
 * Creating a member
 * ------------------------------------------------------------------------ */

/* What a member takes who is made of the fields of a call. */
static int64
fields_space(const Call *call)
{
	int64		bytes = MEMBER_BYTES;

	for (int i = 0; i < MAX_FIELDS && call->endpoint->fields[i].name; i++)
		bytes += call->values[i].text ? member_space(call->values[i].text) - MEMBER_BYTES : 0;
	return bytes;
}

static void
member_create_run(Call *call)
{
	const Program *program = program_of_path(call);
	Member		member;
	ErrorId		error;
	Datum		params[3];

	if (!program->active)
		raise_error(ERR_PROGRAM_INACTIVE);
	if (!entry_space_take(call->merchant_id, SPACE_OF_MERCHANT, fields_space(call)))
		raise_error(ERR_PROGRAM_LIMIT_EXCEEDED);
	error = seller_member_create(call->merchant_id, program->program_id, call->values, &member);
	if (error != ERR_NONE)
		raise_error(error);
	row_limit_check_program(program);

	params[0] = Int64GetDatum(call->merchant_id);
	params[1] = Int64GetDatum(program->program_id);
	params[2] = CStringGetTextDatum(member.client_id);
	db_write(&member_get_sql, params, NULL);
	call->json = row_text(0, "json");
}

static const Endpoint member_create = {
	.name = "seller_member_create",
	.fields = {MEMBER_FIELDS(REQUIRED)},
	.result = RESULT_JSON,
	.writes = true,
	.body_max_length = MEMBER_BODY_MAX_LENGTH,
	.status = 201,
	.run = member_create_run,
};

/* ------------------------------------------------------------------------
 * Points, in batches
 * ------------------------------------------------------------------------ */

#define BATCH_ENDPOINT(endpoint, operation) \
static void \
endpoint##_run(Call *call) \
{ \
	seller_batch_run(call, operation); \
} \
static char * \
endpoint##_complete(const Call *call, const char *kept) \
{ \
	return seller_batch_complete(call, operation, kept); \
} \
static const Endpoint endpoint = { \
	.name = "seller_" #endpoint, \
	.result = RESULT_JSON, \
	.writes = true, \
	.takes_items = true, \
	.body_max_length = BATCH_BODY_MAX_LENGTH, \
	.run = endpoint##_run, \
	.complete = endpoint##_complete, \
}

BATCH_ENDPOINT(deposit, SELLER_DEPOSIT);
BATCH_ENDPOINT(redemption, SELLER_REDEMPTION);
BATCH_ENDPOINT(accumulation, SELLER_ACCUMULATION);

/* ------------------------------------------------------------------------
 * Paths, error bodies, and the functions in SQL
 * ------------------------------------------------------------------------ */

#define SELLER "/v1/seller/:apiKey"
#define PROGRAM SELLER "/program/:programId"

static const Route routes[] = {
	{"GET", SELLER "/program", &program_list, false},
	{"GET", PROGRAM, &program_get, false},
	{"GET", PROGRAM "/member", &member_list, false},
	{"POST", PROGRAM "/member", &member_create, false},
	{"GET", PROGRAM "/member/:memberId", &member_get, false},
	{"GET", PROGRAM "/member/:memberId/balance", &member_balance, false},
	{"POST", SELLER "/deposit", &deposit, false},
	{"POST", SELLER "/redemption", &redemption, false},
	{"POST", SELLER "/accumulation", &accumulation, false},
};

static void
ikniu_error_body(StringInfo json, const ErrorInfo *error pg_attribute_unused(), const char *message)
{
	appendStringInfoString(json, "{\"status\":\"error\"");
	body_text(json, "description", message);
	appendStringInfoChar(json, '}');
}

/*
 * A batch that is undone, since its answer is too long or the time is over, has
 * written all the same: it lies on the disk until VACUUM, and in the WAL.
 */
static ErrorId
count_undone(const Call *call, ErrorId error)
{
	int64		space = call->space + (int64) call->due * ENTRY_BYTES;

	if (space > 0)
		entry_space_take(call->merchant_id, SPACE_OF_MERCHANT, space);
	return error;
}

const Family ikniu_family = {"/v1/", routes, lengthof(routes), true, false, ikniu_error_body, count_undone};

ENDPOINT_FUNCTIONS_AS(ikniu_family, program_list, seller_program_list)
ENDPOINT_FUNCTIONS_AS(ikniu_family, program_get, seller_program_get)
ENDPOINT_FUNCTIONS_AS(ikniu_family, member_list, seller_member_list)
ENDPOINT_FUNCTIONS_AS(ikniu_family, member_get, seller_member_get)
ENDPOINT_FUNCTIONS_AS(ikniu_family, member_create, seller_member_create)
ENDPOINT_FUNCTIONS_AS(ikniu_family, member_balance, seller_member_balance)
ENDPOINT_FUNCTIONS_AS(ikniu_family, deposit, seller_deposit)
ENDPOINT_FUNCTIONS_AS(ikniu_family, redemption, seller_redemption)
ENDPOINT_FUNCTIONS_AS(ikniu_family, accumulation, seller_accumulation)

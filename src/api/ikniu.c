/*
 * ikniu.c
 *		The seller API of the IKNIU document: programs, members, balances.
 *
 * Ids in paths and bodies are client ids.  The document has no error codes: an
 * error says in words what is wrong, and names the field if it is one.
 * Deposits, redemptions and accumulations are in ikniu_batch.c.
 */
#include "postgres.h"

#include "api/ikniu.h"
#include "api/ikniu_member.h"
#include "base/json.h"
#include "http/exchange.h"
#include "program/program.h"
#include "utils/builtins.h"

static void
require_program(const Call *call, Program *program)
{
	if (!program_find(call->merchant_id, call->values[0].text, program))
		raise_error(ERR_PROGRAM_NOT_FOUND);
}

/* ------------------------------------------------------------------------
 * Programs
 * ------------------------------------------------------------------------ */

static void
program_list_run(Call *call)
{
	call->rows = PLAN_PROGRAM_LIST;
	call->row_params[0] = Int64GetDatum(call->merchant_id);
}

static const Endpoint program_list = {
	.name = "program_list",
	.result = RESULT_ROWS,
	.unexpected = ERR_INTERNAL_ERROR,
	.run = program_list_run,
};

static void
program_get_run(Call *call)
{
	call->rows = PLAN_PROGRAM_GET;
	call->single_row = true;
	call->no_row = ERR_PROGRAM_NOT_FOUND;
	call->row_params[0] = Int64GetDatum(call->merchant_id);
	call->row_params[1] = CStringGetTextDatum(call->values[0].text);
}

static const Endpoint program_get = {
	.name = "program_get",
	.fields = {REQUIRED_TEXT("programId")},
	.result = RESULT_ROWS,
	.unexpected = ERR_INTERNAL_ERROR,
	.run = program_get_run,
};

/* ------------------------------------------------------------------------
 * Members
 * ------------------------------------------------------------------------ */

enum
{
	LIST_PROGRAM, LIST_LIMIT, LIST_OFFSET, LIST_AFTER, LIST_EMAIL, LIST_PHONE
};

/* Members have left or not; who comes after one of them is as before. */
static int64
member_number(int64 merchant_id, int64 program_id, const char *client_id)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), CStringGetTextDatum(client_id)};

	if (plan_read(PLAN_MEMBER_ID, values, NULL) == 0)
		raise_error(ERR_MEMBER_NOT_FOUND);
	return plan_int64(0, 0);
}

static void
member_list_run(Call *call)
{
	const Value *values = call->values;
	Program		program;
	int64		after = PG_INT64_MIN;

	require_program(call, &program);
	if (values[LIST_AFTER].text != NULL)
		after = member_number(call->merchant_id, program.program_id, values[LIST_AFTER].text);
	call->rows = PLAN_MEMBER_LIST;
	if (values[LIST_EMAIL].text != NULL)
		call->rows = PLAN_MEMBER_LIST_BY_EMAIL;
	if (values[LIST_PHONE].text != NULL)
		call->rows = PLAN_MEMBER_LIST_BY_PHONE;
	call->row_params[0] = Int64GetDatum(call->merchant_id);
	call->row_params[1] = Int64GetDatum(program.program_id);
	call->row_params[2] = Int64GetDatum(values[LIST_LIMIT].text ? values[LIST_LIMIT].integer : PG_INT64_MAX);
	call->row_params[3] = Int64GetDatum(values[LIST_OFFSET].text ? values[LIST_OFFSET].integer : 0);
	call->row_params[4] = Int64GetDatum(after);
	call->row_params[5] = PhoneGetDatum(values[LIST_PHONE].phone);
	call->row_params[6] = CStringGetTextDatum(values[LIST_EMAIL].text ? values[LIST_EMAIL].text : "");
}

static const Endpoint member_list = {
	.name = "member_list",
	.fields = {
		[LIST_PROGRAM] = REQUIRED_TEXT("programId"),
		[LIST_LIMIT] = OPTIONAL_FIELD("limit", FIELD_COUNT),
		[LIST_OFFSET] = OPTIONAL_FIELD("offset", FIELD_COUNT),
		[LIST_AFTER] = OPTIONAL_FIELD("after", FIELD_TEXT),
		[LIST_EMAIL] = OPTIONAL_FIELD("email", FIELD_TEXT),
		[LIST_PHONE] = OPTIONAL_FIELD("phone", FIELD_PHONE),
	},
	.result = RESULT_ROWS,
	.unexpected = ERR_INTERNAL_ERROR,
	.run = member_list_run,
};

static void
one_member(Call *call, PlanId plan)
{
	Program		program;

	require_program(call, &program);
	call->rows = plan;
	call->single_row = true;
	call->no_row = ERR_MEMBER_NOT_FOUND;
	call->row_params[0] = Int64GetDatum(call->merchant_id);
	call->row_params[1] = Int64GetDatum(program.program_id);
	call->row_params[2] = CStringGetTextDatum(call->values[1].text);
	call->row_params[3] = CStringGetTextDatum(call->values[0].text);
}

static void
member_get_run(Call *call)
{
	one_member(call, PLAN_MEMBER_GET);
}

static const Endpoint member_get = {
	.name = "member_get",
	.fields = {REQUIRED_TEXT("programId"), REQUIRED_TEXT("memberId")},
	.result = RESULT_ROWS,
	.unexpected = ERR_INTERNAL_ERROR,
	.run = member_get_run,
};

static void
member_balance_run(Call *call)
{
	one_member(call, PLAN_MEMBER_BALANCE);
}

static const Endpoint member_balance = {
	.name = "member_balance",
	.fields = {REQUIRED_TEXT("programId"), REQUIRED_TEXT("memberId")},
	.result = RESULT_ROWS,
	.unexpected = ERR_INTERNAL_ERROR,
	.run = member_balance_run,
};

/* ------------------------------------------------------------------------
 * Creating a member
 * ------------------------------------------------------------------------ */

static void
member_create_run(Call *call)
{
	Program		program;
	Member		member;
	ErrorId		error;
	Datum		params[3];

	require_program(call, &program);
	if (!program.active)
		raise_error(ERR_PROGRAM_INACTIVE);
	error = seller_member_create(call->merchant_id, program.program_id, call->values, &member);
	if (error != ERR_NONE)
		raise_error(error);

	params[0] = Int64GetDatum(call->merchant_id);
	params[1] = Int64GetDatum(program.program_id);
	params[2] = CStringGetTextDatum(member.client_id);
	plan_write(PLAN_MEMBER_GET, params, NULL);
	call->json = plan_text(0, 0);
}

static const Endpoint member_create = {
	.name = "member_create",
	.fields = {MEMBER_FIELDS(REQUIRED)},
	.result = RESULT_JSON,
	.writes = true,
	.unexpected = ERR_INTERNAL_ERROR,
	.status = 201,
	.run = member_create_run,
};

/* ------------------------------------------------------------------------
 * Points, in batches
 * ------------------------------------------------------------------------ */

static void
deposit_run(Call *call)
{
	seller_batch_run(call, SELLER_DEPOSIT);
}

static void
redemption_run(Call *call)
{
	seller_batch_run(call, SELLER_REDEMPTION);
}

static void
accumulation_run(Call *call)
{
	seller_batch_run(call, SELLER_ACCUMULATION);
}

#define BATCH_ENDPOINT(operation) \
static const Endpoint operation = { \
	.name = #operation, \
	.result = RESULT_JSON, \
	.writes = true, \
	.takes_items = true, \
	.unexpected = ERR_INTERNAL_ERROR, \
	.run = operation##_run, \
}

BATCH_ENDPOINT(deposit);
BATCH_ENDPOINT(redemption);
BATCH_ENDPOINT(accumulation);

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
error_body(StringInfo json, const ErrorInfo *error pg_attribute_unused(), const char *message)
{
	appendStringInfoString(json, "{\"status\":\"error\"");
	json_key(json, "description");
	json_text(json, message);
	appendStringInfoChar(json, '}');
}

const Family ikniu_family = {"/v1/", routes, lengthof(routes), true, false, error_body, NULL};

#define ENDPOINT_FUNCTIONS(name) \
	PG_FUNCTION_INFO_V1(loyalty_##name); \
	Datum loyalty_##name(PG_FUNCTION_ARGS) { return endpoint_sql(&name, fcinfo); } \
	PG_FUNCTION_INFO_V1(loyalty_api_##name); \
	Datum loyalty_api_##name(PG_FUNCTION_ARGS) { return endpoint_http(&ikniu_family, &name, fcinfo); }

ENDPOINT_FUNCTIONS(program_list)
ENDPOINT_FUNCTIONS(program_get)
ENDPOINT_FUNCTIONS(member_list)
ENDPOINT_FUNCTIONS(member_get)
ENDPOINT_FUNCTIONS(member_create)
ENDPOINT_FUNCTIONS(member_balance)
ENDPOINT_FUNCTIONS(deposit)
ENDPOINT_FUNCTIONS(redemption)
ENDPOINT_FUNCTIONS(accumulation)

/*
 * ikniu.c
 *		The seller API of the IKNIU document: programs, members, balances.
 *
 * Ids in paths and bodies are client ids.  The document has no error codes: an
 * error says in words what is wrong, and names the field if it is one.
 * Deposits, redemptions and accumulations are in ikniu_batch.c.
 */
#include "postgres.h"

#include "crypto.h"
#include "executor/spi.h"
#include "fields.h"
#include "http.h"
#include "ikniu.h"
#include "json.h"
#include "member.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define MISSING	{ERR_MISSING_FIELD, ERR_MISSING_FIELD}
#define INVALID	{ERR_INVALID_FIELD, ERR_INVALID_FIELD}
#define REQUIRED_TEXT(name)		{name, FIELD_TEXT, REQUIRED, MISSING, INVALID}
#define OPTIONAL_FIELD(name, kind)	{name, kind, OPTIONAL,.malformed = INVALID}

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
	LIST_PROGRAM, LIST_LIMIT, LIST_OFFSET
};

static void
member_list_run(Call *call)
{
	const Value *values = call->values;
	Program		program;

	require_program(call, &program);
	call->rows = PLAN_MEMBER_LIST;
	call->row_params[0] = Int64GetDatum(call->merchant_id);
	call->row_params[1] = Int64GetDatum(program.program_id);
	call->row_params[2] = Int64GetDatum(values[LIST_LIMIT].text ? values[LIST_LIMIT].integer : PG_INT64_MAX);
	call->row_params[3] = Int64GetDatum(values[LIST_OFFSET].text ? values[LIST_OFFSET].integer : 0);
}

static const Endpoint member_list = {
	.name = "member_list",
	.fields = {
		[LIST_PROGRAM] = REQUIRED_TEXT("programId"),
		[LIST_LIMIT] = OPTIONAL_FIELD("limit", FIELD_COUNT),
		[LIST_OFFSET] = OPTIONAL_FIELD("offset", FIELD_COUNT),
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

/* What a member is created from, in a body of its own or within a deposit. */
#define MEMBER_FIELDS(program_need) \
	[MEMBER_PROGRAM] = {"programId", FIELD_TEXT, program_need, MISSING, INVALID}, \
	[MEMBER_EMAIL] = REQUIRED_TEXT("email"), \
	[MEMBER_FIRST_NAME] = REQUIRED_TEXT("firstName"), \
	[MEMBER_FIRST_LAST_NAME] = REQUIRED_TEXT("firstLastName"), \
	[MEMBER_SECOND_LAST_NAME] = OPTIONAL_FIELD("secondLastName", FIELD_TEXT), \
	[MEMBER_BIRTHDATE] = OPTIONAL_FIELD("birthdate", FIELD_DATE), \
	[MEMBER_BIRTH_DATE] = OPTIONAL_FIELD("birthDate", FIELD_DATE), \
	[MEMBER_CLIENT_ID] = OPTIONAL_FIELD("clientId", FIELD_TEXT), \
	[MEMBER_ID] = OPTIONAL_FIELD("memberId", FIELD_TEXT), \
	[MEMBER_RANK] = OPTIONAL_FIELD("rank", FIELD_TEXT), \
	[MEMBER_SUBSCRIPTION] = OPTIONAL_FIELD("subscriptionDate", FIELD_TIME), \
	[MEMBER_COUNTRY] = OPTIONAL_FIELD("country", FIELD_TEXT), \
	[MEMBER_PHONE] = OPTIONAL_FIELD("phone", FIELD_PHONE), \
	[MEMBER_ADDRESS] = OPTIONAL_FIELD("address", FIELD_JSON)

const Endpoint seller_member = {
	.name = "member",
	.fields = {MEMBER_FIELDS(OPTIONAL)},
};

static Datum
text_or_null(const Value *value, char *null)
{
	*null = value->text ? ' ' : 'n';
	return value->text ? CStringGetTextDatum(value->text) : (Datum) 0;
}

static bool
rank_exists(int64 merchant_id, int64 program_id, const char *rank)
{
	Datum		values[] = {Int64GetDatum(merchant_id), Int64GetDatum(program_id), CStringGetTextDatum(rank)};

	return plan_read(PLAN_RANK_FIND, values, NULL) > 0;
}

static char *
insert_member(int64 merchant_id, int64 member_id, int64 program_id, const Value *values)
{
	const Value *client_id = &values[values[MEMBER_CLIENT_ID].text ? MEMBER_CLIENT_ID : MEMBER_ID];
	const Value *birth_date = &values[values[MEMBER_BIRTH_DATE].text ? MEMBER_BIRTH_DATE : MEMBER_BIRTHDATE];
	char		nulls[13];
	Datum		params[13];

	memset(nulls, ' ', sizeof(nulls));
	params[0] = Int64GetDatum(merchant_id);
	params[1] = Int64GetDatum(member_id);
	params[2] = Int64GetDatum(program_id);
	params[3] = text_or_null(client_id, &nulls[3]);
	params[4] = PhoneGetDatum(values[MEMBER_PHONE].phone);
	nulls[4] = values[MEMBER_PHONE].text ? ' ' : 'n';
	params[5] = text_or_null(&values[MEMBER_EMAIL], &nulls[5]);
	params[6] = text_or_null(&values[MEMBER_FIRST_NAME], &nulls[6]);
	params[7] = text_or_null(&values[MEMBER_FIRST_LAST_NAME], &nulls[7]);
	params[8] = text_or_null(&values[MEMBER_SECOND_LAST_NAME], &nulls[8]);
	params[9] = DateADTGetDatum(birth_date->date);
	nulls[9] = birth_date->text ? ' ' : 'n';
	params[10] = text_or_null(&values[MEMBER_RANK], &nulls[10]);
	params[11] = TimestampTzGetDatum(values[MEMBER_SUBSCRIPTION].time);
	nulls[11] = values[MEMBER_SUBSCRIPTION].text ? ' ' : 'n';
	params[12] = text_or_null(&values[MEMBER_COUNTRY], &nulls[12]);
	if (plan_write(PLAN_MEMBER_CREATE, params, nulls) == 0)
		return NULL;
	return plan_text(0, 0);
}

/*
 * Create a member from decoded fields.  ERR_NONE, or what is in the way, with
 * nothing written: a batch goes on with its other items.
 */
ErrorId
seller_member_create(int64 merchant_id, int64 program_id, const Value *values, SellerMember *member)
{
	int64		id = new_id();

	if (values[MEMBER_RANK].text != NULL && !rank_exists(merchant_id, program_id, values[MEMBER_RANK].text))
		return ERR_UNKNOWN_RANK;
	member->client_id = insert_member(merchant_id, id, program_id, values);
	if (member->client_id == NULL)
		return ERR_MEMBER_EXISTS;
	member->account_id = id;
	account_open(merchant_id, id, program_id);
	if (values[MEMBER_ADDRESS].text != NULL)
	{
		Datum		params[] = {Int64GetDatum(merchant_id), Int64GetDatum(id), CStringGetTextDatum(values[MEMBER_ADDRESS].text)};

		plan_write(PLAN_MEMBER_ADDRESS, params, NULL);
	}
	return ERR_NONE;
}

static void
member_create_run(Call *call)
{
	Program		program;
	SellerMember member;
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
	{"GET", SELLER "/program", &program_list},
	{"GET", PROGRAM, &program_get},
	{"GET", PROGRAM "/member", &member_list},
	{"POST", PROGRAM "/member", &member_create},
	{"GET", PROGRAM "/member/:memberId", &member_get},
	{"GET", PROGRAM "/member/:memberId/balance", &member_balance},
	{"POST", SELLER "/deposit", &deposit},
	{"POST", SELLER "/redemption", &redemption},
	{"POST", SELLER "/accumulation", &accumulation},
};

static void
error_body(StringInfo json, const ErrorInfo *error, const char *message)
{
	appendStringInfoString(json, "{\"status\":\"error\"");
	json_key(json, "description");
	json_text(json, message);
	appendStringInfoChar(json, '}');
}

const Family ikniu_family = {"/v1/", routes, lengthof(routes), error_body};

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

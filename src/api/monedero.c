/*
 * monedero.c
 *		The eight endpoints of the Monedero document.
 *
 * A handler finds its fields decoded, checks in the order in which the document
 * lists the codes, and leaves the result in the call.  Where the document lists
 * two codes for a condition, both are given: that of the request, then that of
 * the operation.
 *
 * An inactive wallet is refused as if there were none, for the document has no
 * code for it; but its customers can still spend points, and be corrected.
 */
#include "postgres.h"

#include "admin/member.h"
#include "admin/message.h"
#include "admin/staff.h"
#include "api/monedero.h"
#include "base/compat.h"
#include "base/fold.h"
#include "base/json.h"
#include "base/name.h"
#include "ledger/ledger.h"
#include "limits/entry_space.h"
#include "limits/quota.h"
#include "limits/row_limit.h"
#include "program/program.h"
#include "utils/builtins.h"

/* Bytes of a ticket; sales with one that is longer count as items of batches do. */
#define LONG_TICKET 128

#define BOTH(code)					{ERR_##code, ERR_##code}
#define EITHER(request, operation)	{ERR_##request, ERR_##operation}
/* A field that is refused by the same codes whether it is absent or malformed. */
#define REFUSED_BY(refusal)			.absent = refusal,.malformed = refusal
#define REFUSE(call, request, operation) \
	call_refuse(call, (Refusal) EITHER(request, operation))

/* Who takes part in a sale or a correction. */
typedef struct Transaction
{
	const Program *wallet;
	bool		sends_message;
	Member		member;
	Phone		phone;
	int64		staff_id;
} Transaction;

/* The codes of what is wrong with who takes part. */
typedef struct PartyCodes
{
	ErrorId		no_member;
	Refusal		staff_unknown;
	Refusal		staff_forbidden;
	ErrorId		blacklisted;
} PartyCodes;

/* Find the member, and check who operates the wallet. */
static void
check_parties(const Call *call, Transaction *transaction, const PartyCodes *codes)
{
	int64		program_id = transaction->wallet->program_id;

	if (!member_find(call->merchant_id, program_id, transaction->phone, &transaction->member) ||
		!transaction->member.active)
		raise_error(codes->no_member);
	switch (staff_right(call->merchant_id, transaction->staff_id, program_id))
	{
		case STAFF_UNKNOWN:
			call_refuse(call, codes->staff_unknown);
		case STAFF_FORBIDDEN:
			call_refuse(call, codes->staff_forbidden);
		case STAFF_PERMITTED:
			break;
	}
	if (phone_blacklisted(call->merchant_id, transaction->phone))
		raise_error(codes->blacklisted);
}

/* The balance after a posting, or the document's code for why there is none. */
static Points
post_or_refuse(const Call *call, const Transaction *transaction, Posting *posting,
			   Refusal insufficient, Refusal out_of_range)
{
	posting->account_id = transaction->member.account_id;
	posting->member_id = member_acting(&transaction->member);
	posting->staff_id = transaction->staff_id;
	posting->key_id = call->key.key_id;
	posting->request_id = call->request_id;
	posting->looked_up = true;
	posting->notifies = transaction->sends_message;
	posting->program = transaction->wallet->tracks_lots ? transaction->wallet : NULL;
	ledger_post(call->merchant_id, posting, 1);
	if (posting->error == ERR_INSUFFICIENT_POINTS)
		call_refuse(call, insufficient);
	if (posting->error == ERR_BALANCE_OUT_OF_RANGE)
		call_refuse(call, out_of_range);
	/* the member has begun to share another account just now, or was erased */
	if (posting->error == ERR_ACCOUNT_MOVED)
		raise_error(ERR_UNAVAILABLE);
	if (posting->error != ERR_NONE)
		raise_error(posting->error);
	return posting->balance;
}

static void
notify_member(const Call *call, const Transaction *transaction, const char *what, const Posting *posting)
{
	if (transaction->sends_message)
		message_queue(call->merchant_id, transaction->member.member_id, transaction->wallet, transaction->phone,
					  psprintf("%s. Puntos %s: %s. Saldo: %s.", transaction->wallet->name, what,
							   points_text(i64abs(posting->amount)), points_text(posting->balance)));
}

/* ------------------------------------------------------------------------
 * /toolusers/get, /wallet/get
 * ------------------------------------------------------------------------ */

static Statement staff_list_sql = {
	.sql = "SELECT staff_id AS usertool_id, name AS usertool_name, coalesce(number::text, '') AS usertool_number,"
	" branch AS usertool_branch, role AS usertool_type,"
	" CASE WHEN archived_at IS NULL THEN 'activo' ELSE 'archivado' END AS usertool_status"
	" FROM loyalty.staff_members WHERE merchant_id = $1 ORDER BY staff_id",
	.params = {INT8OID}
};

static void
toolusers_get_run(Call *call)
{
	call->rows = &staff_list_sql;
}

static const Endpoint toolusers_get = {
	.name = "toolusers_get",
	.result = RESULT_ROWS,
	.code = "tool_users_01",
	.answer = {"success", "result", "code"},
	.run = toolusers_get_run,
};

/*
 * The provider's client for assistants reads a second array, of the same rows
 * under names of its own: the last columns.
 */
static void
answer_assistant(Call *call, const char *key, Statement *rows, int documented)
{
	if (!call->assistant)
		return;
	call->rows = rows;
	call->more_key = key;
	call->more_from = documented;
}

#define WALLET_COLUMNS \
	"name AS wallet_name, wallet_key, app_client AS wallet_app_client, app_redeem AS wallet_app_redeem"

static Statement wallet_list_sql = {
	.sql = "SELECT " WALLET_COLUMNS " FROM loyalty.wallets WHERE merchant_id = $1 ORDER BY name, program_id",
	.params = {INT8OID}
};

/* Who may operate a wallet: of all staff, and of those who may operate some programs only. */
#define FIRST_STAFF(tables, condition) \
	"(SELECT s.staff_id, s.role <> 'gerente' AS serves FROM " tables " WHERE s.merchant_id = $1 AND s.archived_at IS NULL" \
	" AND " condition " ORDER BY s.role <> 'gerente', s.staff_id LIMIT 1)"

static Statement assistant_wallets_sql = {
	.sql = "SELECT " WALLET_COLUMNS ", wallet_key AS key, name, (SELECT f.staff_id FROM ("
	FIRST_STAFF("loyalty_internal.staff s", "NOT s.restricted") " UNION ALL "
	FIRST_STAFF("loyalty_internal.staff_program p JOIN loyalty_internal.staff s ON s.merchant_id = p.merchant_id AND s.staff_id = p.staff_id",
				"s.restricted AND p.merchant_id = $1 AND p.program_id = w.program_id")
	") f ORDER BY f.serves, f.staff_id LIMIT 1) AS usertool_id"
	" FROM loyalty.wallets w WHERE merchant_id = $1 ORDER BY w.name, program_id",
	.params = {INT8OID}
};

static void
wallet_get_run(Call *call)
{
	call->rows = &wallet_list_sql;
	answer_assistant(call, "wallets", &assistant_wallets_sql, 4);
}

static const Endpoint wallet_get = {
	.name = "wallet_get",
	.knows_assistants = true,
	.result = RESULT_ROWS,
	.code = "wallets_get_01",
	.answer = {"success", "result", "status", "code"},
	.run = wallet_get_run,
};

/* ------------------------------------------------------------------------
 * /wallet/contact/add
 * ------------------------------------------------------------------------ */

enum
{
	ADD_WALLET, ADD_PHONE, ADD_NAME, ADD_STAFF, ADD_BIRTH_DATE
};

/*
 * The document has no codes here for staff that is unknown or not permitted: it
 * is refused as if it were absent.
 */
static void
check_enrollment(const Call *call, const Program *wallet, const Enrollment *enrollment)
{
	if (staff_right(call->merchant_id, enrollment->staff_id, wallet->program_id) != STAFF_PERMITTED)
		REFUSE(call, CONTACT_ADD_06, WALLET_MANAGER_06);
	if (!phone_area_supported(enrollment->phone))
		raise_error(ERR_WALLET_MANAGER_15);
	if (phone_is_fixed_line(enrollment->phone))
		raise_error(ERR_WALLET_MANAGER_14);
	if (wallet->requires_birth_date && !enrollment->has_birth_date)
		raise_error(ERR_WALLET_MANAGER_09);
}

/* Enroll a new member, or one who had left: either takes one customer of the plan. */
static int64
enroll(Call *call, const Enrollment *enrollment)
{
	Member		member;
	bool		had_left = member_find(call->merchant_id, enrollment->program_id, enrollment->phone, &member);

	if (had_left && member.active)
		raise_error(ERR_WALLET_MANAGER_08);
	if (!quota_take(call->merchant_id, QUOTA_CUSTOMERS))
		raise_error(ERR_WALLET_MANAGER_18);
	entry_space_need(call->merchant_id, member_space(enrollment->name));

	call->unexpected = had_left ? ERR_WALLET_MANAGER_12 : ERR_WALLET_MANAGER_10;
	switch (member_enroll(call->merchant_id, enrollment, &member))
	{
		case MEMBER_BLOCKED:
			raise_error(ERR_WALLET_MANAGER_12);
		case MEMBER_TAKEN:
			raise_error(ERR_WALLET_MANAGER_13);
		case MEMBER_NEW:
		case MEMBER_RETURNED:
			break;
	}
	return member.member_id;
}

/* Who types a link for a name gets no message sent that carries it. */
static void
welcome_member(const Call *call, const Program *wallet, const Enrollment *enrollment)
{
	const char *name = text_trimmed(enrollment->name);

	if (!program_sends(wallet, "welcome"))
		return;
	if (!quota_take(call->merchant_id, QUOTA_MESSAGES))
		raise_error(ERR_WALLET_MANAGER_11);
	message_queue(call->merchant_id, call->id, wallet, enrollment->phone,
				  psprintf("%s la bienvenida a %s. Consulta tu saldo en %s",
						   text_is_plain_name(name) ? psprintf("%s, te damos", name) : "Te damos",
						   wallet->name, wallet_link(wallet)));
}

static void
wallet_contact_add_run(Call *call)
{
	const Value *values = call->values;
	const Program *wallet = program_of_wallet_key(call->merchant_id, values[ADD_WALLET].text);
	Enrollment	enrollment = {
		.phone = values[ADD_PHONE].phone,
		.name = values[ADD_NAME].text,
		.has_birth_date = values[ADD_BIRTH_DATE].text != NULL,
		.birth_date = values[ADD_BIRTH_DATE].date,
		.staff_id = values[ADD_STAFF].integer,
	};

	if (wallet == NULL || !wallet->active)
		REFUSE(call, CONTACT_ADD_07, WALLET_MANAGER_07);
	enrollment.program_id = wallet->program_id;
	check_enrollment(call, wallet, &enrollment);
	call->id = enroll(call, &enrollment);
	welcome_member(call, wallet, &enrollment);
	row_limit_check_program(wallet);
}

static const Endpoint wallet_contact_add = {
	.name = "wallet_contact_add",
	.fields = {
		[ADD_WALLET] = {"wallet_key", FIELD_TEXT, REQUIRED,.absent = EITHER(CONTACT_ADD_02, WALLET_MANAGER_03)},
		[ADD_PHONE] = {"phone", FIELD_PHONE, REQUIRED,.absent = EITHER(CONTACT_ADD_03, WALLET_MANAGER_04),
		.malformed = BOTH(CONTACT_ADD_04)},
		[ADD_NAME] = {"customer_name", FIELD_NAME, REQUIRED, REFUSED_BY(EITHER(CONTACT_ADD_05, WALLET_MANAGER_05))},
		[ADD_STAFF] = {"usertool_id", FIELD_STAFF, REQUIRED, REFUSED_BY(EITHER(CONTACT_ADD_06, WALLET_MANAGER_06))},
		[ADD_BIRTH_DATE] = {"customer_birthdate", FIELD_BIRTH_DATE, OPTIONAL,.malformed = BOTH(WALLET_MANAGER_09)},
	},
	.result = RESULT_NONE,
	.writes = true,
	.unexpected = ERR_WALLET_MANAGER_10,
	.code = "contact_add_01",
	.message = "Contacto creado correctamente.",
	.answer = {"success", "message", "status", "code"},
	.run = wallet_contact_add_run,
};

/* ------------------------------------------------------------------------
 * /wallet/contact/get
 * ------------------------------------------------------------------------ */

#define CONTACT_COLUMNS \
	"m.name AS contact_name, m.phone::text AS contact_phone, m.birth_date AS contact_birthdate, a.balance AS contact_balance"
#define CONTACTS(columns, which) \
	"SELECT " columns " FROM loyalty_internal.member m" \
	" JOIN loyalty.balances a ON a.merchant_id = m.merchant_id AND a.account_id = m.account_id" \
	" WHERE m.merchant_id = $1 AND a.merchant_id = $1 AND m.program_id = $2 AND m.active AND " which

static Statement contact_get_sql = {
	.sql = CONTACTS(CONTACT_COLUMNS, "m.phone OPERATOR(loyalty.=) $3"),
	.params = {INT8OID, INT8OID, PHONEOID}
};

static Statement contact_list_sql = {
	.sql = CONTACTS(CONTACT_COLUMNS, "m.phone IS NOT NULL") " ORDER BY m.name, m.phone",
	.params = {INT8OID, INT8OID}
};

/* What each contact takes of the answer, or a little less. */
static Statement contact_sizes_sql = {
	.sql = "SELECT 80 + octet_length(m.name)::bigint AS bytes FROM loyalty_internal.member m"
	" WHERE m.merchant_id = $1 AND m.program_id = $2 AND m.active AND m.phone IS NOT NULL",
	.params = {INT8OID, INT8OID}
};

#define ASSISTANT_COLUMNS "m.phone::text AS phone, m.name, a.balance"

static Statement assistant_contact_sql = {
	.sql = CONTACTS(CONTACT_COLUMNS ", " ASSISTANT_COLUMNS, "m.phone OPERATOR(loyalty.=) $3"),
	.params = {INT8OID, INT8OID, PHONEOID}
};

static Statement assistant_contacts_sql = {
	.sql = CONTACTS(CONTACT_COLUMNS ", " ASSISTANT_COLUMNS, "m.phone IS NOT NULL") " ORDER BY m.name, m.phone",
	.params = {INT8OID, INT8OID}
};

enum
{
	GET_WALLET, GET_PHONE
};

/* A key of no wallet is refused as if it were absent. */
static void
wallet_contact_get_run(Call *call)
{
	const Value *values = call->values;
	const Program *wallet = program_of_wallet_key(call->merchant_id, values[GET_WALLET].text);

	if (wallet == NULL || !wallet->active)
		REFUSE(call, BALANCE_GET_02, WALLET_BALANCE_GET_02);
	call->single_row = values[GET_PHONE].text != NULL;
	call->no_row = ERR_BALANCE_GET_04;
	call->rows = call->single_row ? &contact_get_sql : &contact_list_sql;
	call->row_sizes = call->single_row ? NULL : &contact_sizes_sql;
	call->row_params[1] = Int64GetDatum(wallet->program_id);
	call->row_params[2] = PhoneGetDatum(values[GET_PHONE].phone);
	answer_assistant(call, "contacts", call->single_row ? &assistant_contact_sql : &assistant_contacts_sql, 4);
}

static const Endpoint wallet_contact_get = {
	.name = "wallet_contact_get",
	.fields = {
		[GET_WALLET] = {"wallet_key", FIELD_TEXT, REQUIRED,.absent = EITHER(BALANCE_GET_02, WALLET_BALANCE_GET_02)},
		[GET_PHONE] = {"phone", FIELD_PHONE, OPTIONAL,.malformed = BOTH(BALANCE_GET_03)},
	},
	.knows_assistants = true,
	.result = RESULT_ROWS,
	.code = "balance_get_01",
	.answer = {"success", "result", "status", "code"},
	.run = wallet_contact_get_run,
};

/* ------------------------------------------------------------------------
 * /wallet/sale
 * ------------------------------------------------------------------------ */

enum
{
	SALE_WALLET, SALE_PHONE, SALE_TYPE, SALE_AMOUNT, SALE_POINTS, SALE_STAFF, SALE_TICKET
};

static void
check_sale(const Call *call, Transaction *sale)
{
	static const PartyCodes codes = {
		.no_member = ERR_NEW_SALE_12,
		.staff_unknown = EITHER(NEW_SALE_13, WALLET_REDEEM_15),
		.staff_forbidden = EITHER(NEW_SALE_14, WALLET_REDEEM_16),
		.blacklisted = ERR_WALLET_REDEEM_14,
	};
	const Value *values = call->values;
	bool		redeems = values[SALE_TYPE].integer == 1;

	sale->wallet = program_of_wallet_key(call->merchant_id, values[SALE_WALLET].text);
	if (sale->wallet == NULL || !(redeems || sale->wallet->active))
		raise_error(ERR_NEW_SALE_10);
	sale->sends_message = program_sends(sale->wallet, redeems ? "redeem" : "accrue");
	if (redeems && points_decimals_used(values[SALE_POINTS].points) > sale->wallet->decimals)
		REFUSE(call, NEW_SALE_08, WALLET_REDEEM_07);
	if (sale->wallet->requires_ticket && values[SALE_TICKET].text == NULL)
		REFUSE(call, NEW_SALE_11, WALLET_REDEEM_12);
	check_parties(call, sale, &codes);
}

/* Take a sale's redemption and message out of the merchant's plan. */
static void
pay_for_sale(const Call *call, const Transaction *sale, bool redeems)
{
	const char *resources[MAX_QUOTAS];
	const char *missing;
	int			n = 0;

	if (redeems)
		resources[n++] = QUOTA_REDEMPTIONS;
	if (sale->sends_message)
		resources[n++] = QUOTA_MESSAGES;
	missing = quotas_take(call->merchant_id, resources, n);
	if (missing != NULL)
		raise_error(strcmp(missing, QUOTA_MESSAGES) == 0 ? ERR_WALLET_REDEEM_13 : ERR_WALLET_REDEEM_18);
}

static void
wallet_sale_run(Call *call)
{
	const Value *values = call->values;
	bool		redeems = values[SALE_TYPE].integer == 1;
	Transaction sale = {.phone = values[SALE_PHONE].phone,.staff_id = values[SALE_STAFF].integer};
	Posting		posting = {
		.kind = redeems ? ENTRY_REDEEM : ENTRY_ACCRUE,
		.amount = redeems ? -values[SALE_POINTS].points : 0,
		.money = values[SALE_AMOUNT].points,
		.has_money = values[SALE_AMOUNT].text != NULL,
		.earns = !redeems,
		.earning_money = values[SALE_AMOUNT].points,
		.reference = values[SALE_TICKET].text ? cstring_to_text(values[SALE_TICKET].text) : NULL,
	};

	check_sale(call, &sale);
	if (posting.reference != NULL && VARSIZE(posting.reference) > LONG_TICKET)
		entry_space_need(call->merchant_id, posting_space(sale.wallet, !redeems) + VARSIZE(posting.reference));
	if (!redeems && !program_accumulate(sale.wallet, posting.money, &posting.amount))
		REFUSE(call, NEW_SALE_07, WALLET_REDEEM_03);
	call->points = post_or_refuse(call, &sale, &posting, (Refusal) BOTH(WALLET_REDEEM_10),
								  (Refusal) EITHER(NEW_SALE_07, WALLET_REDEEM_03));
	pay_for_sale(call, &sale, redeems);
	notify_member(call, &sale, redeems ? "usados" : "ganados", &posting);
	row_limit_check_program(sale.wallet);
}

static const Endpoint wallet_sale = {
	.name = "wallet_sale",
	.fields = {
		[SALE_WALLET] = {"wallet_key", FIELD_TEXT, REQUIRED,.absent = EITHER(NEW_SALE_02, WALLET_REDEEM_02)},
		[SALE_PHONE] = {"phone", FIELD_PHONE, REQUIRED,.absent = BOTH(NEW_SALE_03),.malformed = BOTH(NEW_SALE_04)},
		[SALE_TYPE] = {"transaction_type", FIELD_SWITCH, REQUIRED, REFUSED_BY(EITHER(NEW_SALE_05, WALLET_REDEEM_06))},
		[SALE_AMOUNT] = {"transaction_amount", FIELD_POINTS, REQUIRED_IF_0,.absent = BOTH(NEW_SALE_06),
		.malformed = EITHER(NEW_SALE_07, WALLET_REDEEM_03)},
		[SALE_POINTS] = {"points_used", FIELD_POINTS, REQUIRED_IF_1, REFUSED_BY(EITHER(NEW_SALE_08, WALLET_REDEEM_07))},
		[SALE_STAFF] = {"usertool_id", FIELD_STAFF, REQUIRED,.absent = BOTH(NEW_SALE_09),
		.malformed = EITHER(NEW_SALE_13, WALLET_REDEEM_15)},
		[SALE_TICKET] = {.name = "ticket",.kind = FIELD_TEXT,.need = OPTIONAL},
	},
	.result = RESULT_POINTS,
	.writes = true,
	.code = "new_sale_01",
	.message = "Venta creada correctamente.",
	.answer = {"success", "message", "newBalance", "code", "status"},
	.run = wallet_sale_run,
};

/* ------------------------------------------------------------------------
 * /wallet/balance/update
 * ------------------------------------------------------------------------ */

enum
{
	UPDATE_WALLET, UPDATE_PHONE, UPDATE_TYPE, UPDATE_AMOUNT, UPDATE_STAFF
};

static void
check_update(const Call *call, Transaction *update)
{
	static const PartyCodes codes = {
		.no_member = ERR_BALANCE_UPDATE_10,
		.staff_unknown = EITHER(BALANCE_UPDATE_11, WALLET_BALANCE_UPDATE_11),
		.staff_forbidden = EITHER(BALANCE_UPDATE_12, WALLET_BALANCE_UPDATE_12),
		.blacklisted = ERR_WALLET_BALANCE_UPDATE_10,
	};
	const Value *values = call->values;

	update->wallet = program_of_wallet_key(call->merchant_id, values[UPDATE_WALLET].text);
	if (update->wallet == NULL)
		raise_error(ERR_BALANCE_UPDATE_09);
	update->sends_message = program_sends(update->wallet, "adjust");
	if (points_decimals_used(values[UPDATE_AMOUNT].points) > update->wallet->decimals)
		REFUSE(call, BALANCE_UPDATE_07, WALLET_BALANCE_UPDATE_05);
	check_parties(call, update, &codes);
}

static void
wallet_balance_update_run(Call *call)
{
	const Value *values = call->values;
	bool		removes = values[UPDATE_TYPE].integer == 1;
	Transaction update = {.phone = values[UPDATE_PHONE].phone,.staff_id = values[UPDATE_STAFF].integer};
	Posting		posting = {
		.kind = ENTRY_ADJUST,
		.amount = removes ? -values[UPDATE_AMOUNT].points : values[UPDATE_AMOUNT].points,
	};

	check_update(call, &update);
	call->points = post_or_refuse(call, &update, &posting, (Refusal) BOTH(WALLET_BALANCE_UPDATE_07),
								  (Refusal) EITHER(BALANCE_UPDATE_07, WALLET_BALANCE_UPDATE_05));
	if (update.sends_message && !quota_take(call->merchant_id, QUOTA_MESSAGES))
		raise_error(ERR_WALLET_BALANCE_UPDATE_09);
	notify_member(call, &update, removes ? "restados" : "agregados", &posting);
	row_limit_check_program(update.wallet);
}

static const Endpoint wallet_balance_update = {
	.name = "wallet_balance_update",
	.fields = {
		[UPDATE_WALLET] = {"wallet_key", FIELD_TEXT, REQUIRED,
		.absent = EITHER(BALANCE_UPDATE_02, WALLET_BALANCE_UPDATE_02)},
		[UPDATE_PHONE] = {"phone", FIELD_PHONE, REQUIRED,.absent = BOTH(BALANCE_UPDATE_03),
		.malformed = BOTH(BALANCE_UPDATE_04)},
		[UPDATE_TYPE] = {"transaction_type", FIELD_DIRECTION, REQUIRED,
		REFUSED_BY(EITHER(BALANCE_UPDATE_05, WALLET_BALANCE_UPDATE_04))},
		[UPDATE_AMOUNT] = {"transaction_amount", FIELD_POINTS, REQUIRED,.absent = BOTH(BALANCE_UPDATE_06),
		.malformed = EITHER(BALANCE_UPDATE_07, WALLET_BALANCE_UPDATE_05)},
		[UPDATE_STAFF] = {"usertool_id", FIELD_STAFF, REQUIRED,.absent = BOTH(BALANCE_UPDATE_08),
		.malformed = EITHER(BALANCE_UPDATE_11, WALLET_BALANCE_UPDATE_11)},
	},
	.knows_assistants = true,
	.result = RESULT_POINTS,
	.writes = true,
	.code = "balance_update_01",
	.message = "Saldo actualizado correctamente",
	.answer = {"success", "message", "newBalance", "code", "status"},
	.run = wallet_balance_update_run,
};

/* ------------------------------------------------------------------------
 * /employee/add, /employee/disable
 * ------------------------------------------------------------------------ */

#define EMPLOYEE_REQUIRED(name, kind) \
	{name, kind, REQUIRED, REFUSED_BY(BOTH(ERR_TOOLUSERS_02))}

enum
{
	HIRE_TYPE, HIRE_NAME, HIRE_BRANCH, HIRE_NUMBER, HIRE_PASSWORD
};

static void
employee_add_run(Call *call)
{
	const Value *values = call->values;
	Hiring		hiring = {
		.role = values[HIRE_TYPE].text,
		.name = values[HIRE_NAME].text,
		.branch = values[HIRE_BRANCH].text,
		.number = values[HIRE_NUMBER].phone,
		.password = values[HIRE_PASSWORD].text,
	};
	ErrorId		error;

	if (strcmp(hiring.role, "cajero") != 0 && strcmp(hiring.role, "gerente") != 0)
		raise_error(ERR_ERR_TOOLUSERS_02);
	error = staff_hire(call->merchant_id, &hiring, &call->id);
	if (error != ERR_NONE)
		raise_error(error);
	entry_space_need(call->merchant_id, STAFF_BYTES + 2 * (strlen(hiring.name) + strlen(hiring.branch)));
	row_limit_check(call->merchant_id);
}

static const Endpoint employee_add = {
	.name = "employee_add",
	.fields = {
		[HIRE_TYPE] = EMPLOYEE_REQUIRED("type", FIELD_TEXT),
		[HIRE_NAME] = EMPLOYEE_REQUIRED("employee_name", FIELD_NAME),
		[HIRE_BRANCH] = EMPLOYEE_REQUIRED("business_name", FIELD_NAME),
		[HIRE_NUMBER] = EMPLOYEE_REQUIRED("number", FIELD_PHONE),
		[HIRE_PASSWORD] = {"password", FIELD_TEXT, REQUIRED, REFUSED_BY(BOTH(ERR_TOOLUSERS_02)),.secret = true},
	},
	.result = RESULT_ID,
	.writes = true,
	.unexpected = ERR_ERR_TOOLUSERS_01,
	.code = "toolusers_01",
	.message = "Usuario creado con éxito.",
	.answer = {"success", "message", "collaboratorId", "status", "code"},
	.run = employee_add_run,
};

static void
employee_disable_run(Call *call)
{
	if (!staff_archive(call->merchant_id, call->values[0].phone, &call->id))
		raise_error(ERR_ERR_TOOLUSERS_04_ARCHIVE);
}

static const Endpoint employee_disable = {
	.name = "employee_disable",
	.fields = {
		EMPLOYEE_REQUIRED("number", FIELD_PHONE),
	},
	.result = RESULT_NONE,
	.writes = true,
	.unexpected = ERR_ERR_TOOLUSERS_01,
	.code = "toolusers_01",
	.message = "Se archivó correctamente el usuario.",
	.answer = {"success", "message", "status", "code"},
	.run = employee_disable_run,
};

/* ------------------------------------------------------------------------
 * Paths, error bodies, and the functions in SQL
 * ------------------------------------------------------------------------ */

static const Route routes[] = {
	{"POST", "/toolusers/get", &toolusers_get, false},
	{"POST", "/wallet/get", &wallet_get, false},
	{"POST", "/wallet/contact/add", &wallet_contact_add, false},
	{"POST", "/wallet/contact/get", &wallet_contact_get, false},
	{"POST", "/wallet/sale", &wallet_sale, false},
	{"POST", "/wallet/balance/update", &wallet_balance_update, false},
	{"POST", "/employee/add", &employee_add, false},
	{"POST", "/employee/disable", &employee_disable, false},
};

static void
monedero_error_body(StringInfo json, const ErrorInfo *error, const char *message)
{
	appendStringInfoString(json, "{\"success\":false");
	body_text(json, "message", message);
	body_text(json, "code", error->code);
	appendStringInfo(json, ",\"status\":%d}", error->http_status);
}

/* Somebody's name or password was found out so: not too often. */
static ErrorId
count_refusal(const Call *call, ErrorId error)
{
	bool		counted;

	if (error != ERR_ERR_TOOLUSERS_03)
		return error;
	db_begin();
	counted = staff_refused(call->merchant_id);
	db_end();
	return counted ? error : ERR_TOO_MANY_REQUESTS;
}

const Family monedero_family = {"/", routes, lengthof(routes), false, false, monedero_error_body, count_refusal};

ENDPOINT_FUNCTIONS(monedero_family, toolusers_get)
ENDPOINT_FUNCTIONS(monedero_family, wallet_get)
ENDPOINT_FUNCTIONS(monedero_family, wallet_contact_add)
ENDPOINT_FUNCTIONS(monedero_family, wallet_contact_get)
ENDPOINT_FUNCTIONS(monedero_family, wallet_sale)
ENDPOINT_FUNCTIONS(monedero_family, wallet_balance_update)
ENDPOINT_FUNCTIONS(monedero_family, employee_add)
ENDPOINT_FUNCTIONS(monedero_family, employee_disable)

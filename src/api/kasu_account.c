/*
 * kasu_account.c
 *		API_ACCOUNTS and API_PAYMENTS of the customer API.
 *
 * The operations themselves are the SQL functions that any client can call;
 * here they are put under a token, and into the documented answers.
 */
#include "postgres.h"

#include "api/kasu.h"
#include "base/fold.h"
#include "base/json.h"
#include "utils/builtins.h"

/* ------------------------------------------------------------------------
 * /api/Accounts
 * ------------------------------------------------------------------------ */

enum
{
	NEW_MAIL = KASU_FIELDS, NEW_PHONE, NEW_PRODUCT, NEW_PAYMENTS, NEW_PAY_DAY, NEW_SERVICE, NEW_TERMS, NEW_NOTICE,
	NEW_TRUST, NEW_ADDRESS
};

static bool
accepted(const Value *value)
{
	static const char *const words[] = {"true", "1", "si", "sí", "acepto", "aceptado"};

	for (int i = 0; value->text != NULL && i < (int) lengthof(words); i++)
	{
		if (strcmp(text_folded(value->text), words[i]) == 0)
			return true;
	}
	return false;
}

static void
check_living(const Call *call, Curp *curp)
{
	const char *why;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};

	if (!curp_parse(call->values[KASU_CURP].text, curp, &why) || curp_birth_date(curp) > GetSQLCurrentDate())
		raise_error(ERR_KASU_417);
	values[1] = CurpPGetDatum(curp);
	if (plan_read(PLAN_CUSTOMER_DECEASED, values, NULL) > 0)
		raise_error(ERR_KASU_417);
}

/* What was given and accepted, under the names it came with. */
static Datum
application(const Call *call)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	json_key(&json, "nombre_de_usuario");
	json_text(&json, call->values[KASU_USER].text);
	for (int i = KASU_FIELDS; call->endpoint->fields[i].name; i++)
	{
		json_key(&json, call->endpoint->fields[i].name);
		if (i == NEW_ADDRESS)
			appendStringInfoString(&json, call->values[i].text);
		else
			json_text(&json, call->values[i].text);
	}
	appendStringInfoChar(&json, '}');
	return CStringGetTextDatum(json.data);
}

static char *
open_sale(const Call *call, Curp *curp)
{
	const Value *values = call->values;
	Datum		sale[] = {
		Int64GetDatum(call->merchant_id),
		CurpPGetDatum(curp),
		CStringGetTextDatum(values[NEW_PRODUCT].text),
		Int64GetDatum(values[NEW_PAYMENTS].integer),
		Int64GetDatum(values[NEW_PAY_DAY].integer),
	};
	Datum		kept[] = {Int64GetDatum(call->merchant_id), 0, application(call)};
	Datum		receipt[] = {Int64GetDatum(call->merchant_id), 0, CStringGetTextDatum(values[NEW_MAIL].text)};

	plan_write(PLAN_SALE_OPEN, sale, NULL);
	receipt[1] = kept[1] = Int64GetDatum(plan_int64(0, 0));
	plan_write(PLAN_SALE_APPLICATION, kept, NULL);
	plan_write(PLAN_SALE_RECEIPT, receipt, NULL);
	return plan_text(0, 0);
}

static void
accounts_run(Call *call)
{
	const Value *values = call->values;
	Curp		curp;
	StringInfoData json;
	char	   *receipt;

	kasu_check_token(call);
	if (strcmp(values[KASU_OPERATION].text, "new_service") != 0)
		raise_error(ERR_KASU_404);
	check_living(call, &curp);
	kasu_find_customer(call, &curp);
	if (!accepted(&values[NEW_TERMS]) || !accepted(&values[NEW_NOTICE]) || !accepted(&values[NEW_TRUST]))
		raise_error(ERR_KASU_409);
	receipt = open_sale(call, &curp);
	kasu_record_access(call, call->merchant_id, call->endpoint->status);

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"ok\":true");
	json_key(&json, "mensaje");
	json_text(&json, "Servicio registrado correctamente.");
	json_key(&json, "datos_compra");
	appendStringInfo(&json, "%s}", receipt);
	call->json = json.data;
}

const Endpoint kasu_accounts = {
	.name = "accounts",
	.fields = {
		KASU_COMMON_FIELDS,
		[NEW_MAIL] = KASU_REQUIRED("mail", FIELD_TEXT),
		[NEW_PHONE] = KASU_REQUIRED("telefono", FIELD_TYPED_PHONE),
		[NEW_PRODUCT] = KASU_REQUIRED("producto", FIELD_TEXT),
		[NEW_PAYMENTS] = KASU_REQUIRED("numero_pagos", FIELD_COUNT),
		[NEW_PAY_DAY] = KASU_REQUIRED("dia_pago", FIELD_COUNT),
		[NEW_SERVICE] = KASU_REQUIRED("tipo_servicio", FIELD_TEXT),
		[NEW_TERMS] = KASU_OPTIONAL("terminos", FIELD_ACCEPTANCE),
		[NEW_NOTICE] = KASU_OPTIONAL("aviso", FIELD_ACCEPTANCE),
		[NEW_TRUST] = KASU_OPTIONAL("fideicomiso", FIELD_ACCEPTANCE),
		[NEW_ADDRESS] = KASU_REQUIRED("direccion", FIELD_OBJECT),
	},
	.result = RESULT_JSON,
	.unexpected = ERR_INTERNAL_ERROR,
	.status = 201,
	.run = accounts_run,
};

/* ------------------------------------------------------------------------
 * /api/Payments
 * ------------------------------------------------------------------------ */

enum
{
	PAY_POLICY = KASU_FIELDS, PAY_AMOUNT, PAY_METHOD, PAY_REFERENCE, PAY_ACCEPTANCE
};

/* The sale of this policy, or else the customer's newest. */
static int64
find_sale(const Call *call)
{
	const char *policy = call->values[PAY_POLICY].text;
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		Int64GetDatum(call->id),
		policy ? CStringGetTextDatum(policy) : (Datum) 0,
	};
	const char	nulls[] = {' ', ' ', policy ? ' ' : 'n'};

	if (plan_read(PLAN_SALE_FIND, values, nulls) == 0)
		raise_error(ERR_KASU_412);
	return plan_int64(0, 0);
}

/* The sale that a payment is for: a retry is for that of the first one. */
static int64
find_paid_sale(const Call *call)
{
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		CStringGetTextDatum(call->values[PAY_REFERENCE].text),
		Int64GetDatum(call->id),
	};

	if (call->values[PAY_POLICY].text == NULL && plan_read(PLAN_PAYMENT_FIND, values, NULL) > 0)
		return plan_int64(0, 0);
	return find_sale(call);
}

static char *
account_status(Call *call)
{
	Datum		values[] = {Int64GetDatum(call->merchant_id), 0};

	kasu_check_consent(call, call->values[PAY_ACCEPTANCE].text);
	values[1] = Int64GetDatum(find_sale(call));
	plan_read(PLAN_SALE_STATUS, values, NULL);
	return plan_text(0, 0);
}

static char *
register_payment(Call *call)
{
	const Value *values = call->values;
	Datum		payment[6];
	Datum		receipt[2];

	if (values[PAY_AMOUNT].text == NULL || values[PAY_METHOD].text == NULL || values[PAY_REFERENCE].text == NULL)
		raise_error(ERR_KASU_400);
	payment[0] = Int64GetDatum(call->merchant_id);
	payment[1] = Int64GetDatum(find_paid_sale(call));
	payment[2] = PointsGetDatum(values[PAY_AMOUNT].points);
	payment[3] = CStringGetTextDatum(values[PAY_METHOD].text);
	payment[4] = CStringGetTextDatum(values[PAY_REFERENCE].text);
	payment[5] = CStringGetTextDatum(values[KASU_USER].text);
	plan_write(PLAN_PAYMENT_REGISTER, payment, NULL);

	receipt[0] = payment[0];
	receipt[1] = payment[4];
	plan_write(PLAN_PAYMENT_RECEIPT, receipt, NULL);
	return plan_text(0, 0);
}

static void
payments_run(Call *call)
{
	const char *operation = call->values[KASU_OPERATION].text;
	bool		pays = strcmp(operation, "pagos_psd2") == 0;
	Curp		curp;
	char	   *data;
	StringInfoData json;

	kasu_check_token(call);
	if (!pays && strcmp(operation, "account_status") != 0)
		raise_error(ERR_KASU_404);
	kasu_find_customer(call, &curp);
	data = pays ? register_payment(call) : account_status(call);
	kasu_record_access(call, call->merchant_id, call->endpoint->status);

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"ok\":true");
	json_key(&json, "curp_en_uso");
	json_text(&json, call->values[KASU_CURP].text);
	json_key(&json, "data");
	appendStringInfo(&json, "%s}", data);
	call->json = json.data;
}

const Endpoint kasu_payments = {
	.name = "payments",
	.fields = {
		KASU_COMMON_FIELDS,
		[PAY_POLICY] = KASU_OPTIONAL("poliza_en_uso", FIELD_TEXT),
		[PAY_AMOUNT] = KASU_OPTIONAL("cantidad", FIELD_POINTS),
		[PAY_METHOD] = KASU_OPTIONAL("metodo", FIELD_TEXT),
		[PAY_REFERENCE] = KASU_OPTIONAL("referencia", FIELD_TEXT),
		[PAY_ACCEPTANCE] = KASU_OPTIONAL("clave_aceptacion", FIELD_TEXT),
	},
	.result = RESULT_JSON,
	.unexpected = ERR_INTERNAL_ERROR,
	.status = 202,
	.run = payments_run,
};

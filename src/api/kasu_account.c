/*
 * kasu_account.c
 *		API_ACCOUNTS and API_PAYMENTS of the customer API.
 *
 * The operations are SQL functions that any client of the database can call.
 * Here they are called under a token, and answered as documented.
 */
#include "postgres.h"

#include "api/kasu_account.h"
#include "api/kasu_token.h"
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
check_born(const Call *call, Curp *curp)
{
	const char *why;

	if (!curp_parse(call->values[KASU_CURP].text, curp, &why) || curp_birth_date(curp) > GetSQLCurrentDate())
		raise_error(ERR_KASU_417);
}

/* What the customer gave and accepted, as JSON, under the names of the fields. */
static Datum
application(const Call *call)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	body_text(&json, "nombre_de_usuario", call->values[KASU_USER].text);
	for (int i = KASU_FIELDS; call->endpoint->fields[i].name; i++)
	{
		if (i == NEW_ADDRESS)
			body_json(&json, call->endpoint->fields[i].name, call->values[i].text);
		else
			body_text(&json, call->endpoint->fields[i].name, call->values[i].text);
	}
	appendStringInfoChar(&json, '}');
	return CStringGetTextDatum(json.data);
}

static Statement policy_open_sql = {
	.sql = "SELECT loyalty.open_policy($1, $2, $3, $4::integer, $5::integer) AS policy_id",
	.params = {INT8OID, CURPOID, TEXTOID, INT8OID, INT8OID}
};

static Statement policy_application_sql = {
	.sql = "UPDATE loyalty_internal.policy SET application = $3 WHERE merchant_id = $1 AND policy_id = $2",
	.params = {INT8OID, INT8OID, JSONOID}
};

static Statement policy_receipt_sql = {
	.sql = "SELECT json_build_object('id_venta', s.policy_id::text, 'id_contacto', s.member_id::text, 'nombre', m.name, 'CURP', c.curp::text,"
	" 'mail', $3, 'poliza', s.policy_number, 'status', s.status, 'subtotal', p.price, 'amount', s.cost,"
	" 'pago_link', t.base_url || '/pago/' || s.policy_number) AS receipt"
	" FROM loyalty_internal.policy s JOIN loyalty_internal.product p ON p.merchant_id = s.merchant_id AND p.product_id = s.product_id"
	" JOIN loyalty_internal.member m ON m.merchant_id = s.merchant_id AND m.member_id = s.member_id"
	" JOIN loyalty_internal.customer c ON c.merchant_id = s.merchant_id AND c.member_id = s.member_id"
	" JOIN loyalty_internal.merchant t ON t.merchant_id = s.merchant_id"
	" WHERE s.merchant_id = $1 AND s.policy_id = $2",
	.params = {INT8OID, INT8OID, TEXTOID}
};

static char *
open_policy(const Call *call, Curp *curp)
{
	const Value *values = call->values;
	Datum		policy[] = {
		Int64GetDatum(call->merchant_id),
		CurpPGetDatum(curp),
		CStringGetTextDatum(values[NEW_PRODUCT].text),
		Int64GetDatum(values[NEW_PAYMENTS].integer),
		Int64GetDatum(values[NEW_PAY_DAY].integer),
	};
	Datum		kept[] = {Int64GetDatum(call->merchant_id), 0, application(call)};
	Datum		receipt[] = {Int64GetDatum(call->merchant_id), 0, CStringGetTextDatum(values[NEW_MAIL].text)};

	db_write(&policy_open_sql, policy, NULL);
	receipt[1] = kept[1] = Int64GetDatum(row_int64(0, "policy_id"));
	db_write(&policy_application_sql, kept, NULL);
	db_write(&policy_receipt_sql, receipt, NULL);
	return row_text(0, "receipt");
}

/*
 * What says that somebody is a customer comes last: open_policy() looks at the
 * product before.  Nobody, and who is being cancelled, has no answer to get again.
 */
static void
accounts_run(Call *call)
{
	const Value *values = call->values;
	Curp		curp;
	StringInfoData json;
	char	   *receipt = NULL;
	bool		found;
	bool		fresh;

	kasu_check_token(call);
	if (strcmp(values[KASU_OPERATION].text, "new_service") != 0)
		raise_error(ERR_KASU_404);
	check_born(call, &curp);
	found = kasu_find_customer(call, &curp);
	if (!accepted(&values[NEW_TERMS]) || !accepted(&values[NEW_NOTICE]) || !accepted(&values[NEW_TRUST]))
		raise_error(ERR_KASU_409);
	fresh = !found || call_claim(call);
	if (fresh)
		receipt = open_policy(call, &curp);
	kasu_record_access(call, call->merchant_id, NULL, call->endpoint->status);
	if (!fresh)
		return;

	initStringInfo(&json);
	body_text(&json, "mensaje", "Servicio registrado correctamente.");
	call->json = kasu_answer(&json, "datos_compra", receipt);
	if (found)
		call_keep_answer(call);
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
	.logs = true,
	.status = 201,
	.run = accounts_run,
};

/* ------------------------------------------------------------------------
 * /api/Payments
 * ------------------------------------------------------------------------ */

static Statement policy_named_sql = {
	.sql = "SELECT policy_id, member_id FROM loyalty_internal.policy WHERE merchant_id = $1 AND policy_number = $2",
	.params = {INT8OID, TEXTOID}
};

static Statement policy_newest_sql = {
	.sql = "SELECT policy_id FROM loyalty_internal.policy WHERE merchant_id = $1 AND member_id = $2"
	" ORDER BY sale_no DESC LIMIT 1",
	.params = {INT8OID, INT8OID}
};

enum
{
	PAY_POLICY = KASU_FIELDS, PAY_AMOUNT, PAY_METHOD, PAY_REFERENCE, PAY_ACCEPTANCE
};

/*
 * The policy that is named, or else the customer's newest; 0: there is none.  One
 * that is named is found by its number, whoever's it is: that takes as long for
 * nobody.
 */
static int64
find_policy(const Call *call)
{
	const char *policy = call->values[PAY_POLICY].text;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};

	if (policy == NULL)
	{
		values[1] = Int64GetDatum(call->id);
		return db_read(&policy_newest_sql, values, NULL) > 0 ? row_int64(0, "policy_id") : 0;
	}
	values[1] = CStringGetTextDatum(policy);
	if (db_read(&policy_named_sql, values, NULL) == 0 || row_int64(0, "member_id") != call->id)
		return 0;
	return row_int64(0, "policy_id");
}

static Statement payment_find_sql = {
	.sql = "SELECT s.policy_id FROM loyalty_internal.payment y JOIN loyalty_internal.policy s ON s.merchant_id = y.merchant_id AND s.policy_id = y.policy_id"
	" WHERE y.merchant_id = $1 AND s.merchant_id = $1 AND y.reference_digest = loyalty_internal.merchant_digest($1, $2) AND s.member_id = $3 AND y.app_user = $4",
	.params = {INT8OID, TEXTOID, INT8OID, TEXTOID}
};

/*
 * The policy that a payment is for; a retry is for the policy of the first try.
 * Who names none would learn whether the customer has one, and needs the consent.
 */
static int64
find_paid_policy(const Call *call)
{
	const Value *fields = call->values;
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		CStringGetTextDatum(fields[PAY_REFERENCE].text),
		Int64GetDatum(call->id),
		CStringGetTextDatum(fields[KASU_USER].text),
	};

	if (fields[PAY_POLICY].text != NULL)
		return find_policy(call);
	if (db_read(&payment_find_sql, values, NULL) > 0)
		return row_int64(0, "policy_id");
	return kasu_has_consent(call, fields[PAY_ACCEPTANCE].text) ? find_policy(call) : 0;
}

static Statement policy_status_sql = {
	.sql = "SELECT loyalty.policy_status($1, $2) AS status",
	.params = {INT8OID, INT8OID}
};

static char *
account_status(Call *call)
{
	Datum		values[] = {Int64GetDatum(call->merchant_id), 0};
	int64		policy_id;
	Curp		curp;

	kasu_check_reading(call, call->values[PAY_ACCEPTANCE].text, &curp);
	policy_id = find_policy(call);
	if (policy_id == 0)
		raise_error(ERR_KASU_412);
	values[1] = Int64GetDatum(policy_id);
	db_read(&policy_status_sql, values, NULL);
	return row_text(0, "status");
}

static Statement payment_book_sql = {
	.sql = "SELECT loyalty_internal.book_payment($1, $2, $3, $4, $5, $6) AS booked",
	.params = {INT8OID, INT8OID, POINTSOID, TEXTOID, TEXTOID, TEXTOID}
};

/* the balance as it was after the payment is kept with it: a retry gets the same answer */
static Statement payment_receipt_sql = {
	.sql = "SELECT json_build_object('poliza', s.policy_number, 'referencia', y.reference, 'cantidad', y.amount, 'metodo', y.method,"
	" 'saldo', y.balance) AS receipt"
	" FROM loyalty_internal.payment y JOIN loyalty_internal.policy s ON s.merchant_id = y.merchant_id AND s.policy_id = y.policy_id"
	" WHERE y.merchant_id = $1 AND s.merchant_id = $1 AND y.reference_digest = loyalty_internal.merchant_digest($1, $2)",
	.params = {INT8OID, TEXTOID}
};

/*
 * Nobody, one who is being cancelled and one who has no such policy are answered
 * alike.  *booked: not if the payment was made before.
 */
static char *
pay_policy(const Call *call, bool found, bool *booked)
{
	const Value *values = call->values;
	Datum		payment[6];
	Datum		receipt[2];
	int64		policy_id;

	if (values[PAY_AMOUNT].text == NULL || values[PAY_METHOD].text == NULL || values[PAY_REFERENCE].text == NULL)
		raise_error(ERR_KASU_400);
	policy_id = find_paid_policy(call);
	if (!found || policy_id == 0)
		raise_error(ERR_KASU_404);
	payment[0] = Int64GetDatum(call->merchant_id);
	payment[1] = Int64GetDatum(policy_id);
	payment[2] = PointsGetDatum(values[PAY_AMOUNT].points);
	payment[3] = CStringGetTextDatum(values[PAY_METHOD].text);
	payment[4] = CStringGetTextDatum(values[PAY_REFERENCE].text);
	payment[5] = CStringGetTextDatum(values[KASU_USER].text);
	db_write(&payment_book_sql, payment, NULL);
	*booked = row_bool(0, "booked");

	receipt[0] = payment[0];
	receipt[1] = payment[4];
	db_write(&payment_receipt_sql, receipt, NULL);
	return row_text(0, "receipt");
}

static void
payments_run(Call *call)
{
	const char *operation = call->values[KASU_OPERATION].text;
	bool		pays = strcmp(operation, "pagos_psd2") == 0;
	bool		found;
	bool		fresh;
	bool		booked = false;
	Curp		curp;
	char	   *data = NULL;
	StringInfoData json;

	kasu_check_token(call);
	if (!pays && strcmp(operation, "account_status") != 0)
		raise_error(ERR_KASU_404);
	found = pays && kasu_find_customer(call, &curp);
	fresh = !found || call_claim(call);
	if (fresh)
		data = pays ? pay_policy(call, found, &booked) : account_status(call);
	kasu_record_access(call, call->merchant_id, NULL, call->endpoint->status);
	if (!fresh)
		return;

	initStringInfo(&json);
	body_text(&json, "curp_en_uso", call->values[KASU_CURP].text);
	call->json = kasu_answer(&json, "data", data);
	/* a payment that was made before is known by its reference, under whatever keys */
	if (booked)
		call_keep_answer(call);
	else if (found)
		call_unclaim(call);
}

const Endpoint kasu_payments = {
	.name = "payments",
	.fields = {
		KASU_COMMON_FIELDS,
		[PAY_POLICY] = KASU_OPTIONAL("poliza_en_uso", FIELD_TEXT),
		[PAY_AMOUNT] = KASU_OPTIONAL("cantidad", FIELD_POINTS),
		[PAY_METHOD] = KASU_OPTIONAL("metodo", FIELD_TEXT),
		[PAY_REFERENCE] = KASU_OPTIONAL("referencia", FIELD_TEXT),
		[PAY_ACCEPTANCE] = KASU_SECRET("clave_aceptacion"),
	},
	.result = RESULT_JSON,
	.logs = true,
	.status = 202,
	.run = payments_run,
};

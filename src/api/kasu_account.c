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
#include "limits/entry_space.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* ------------------------------------------------------------------------
 * /api/Accounts
 * ------------------------------------------------------------------------ */

enum
{
	NEW_MAIL = KASU_FIELDS, NEW_PHONE, NEW_PRODUCT, NEW_PAYMENTS, NEW_TERMS, NEW_NOTICE, NEW_TRUST, NEW_PAY_DAY, NEW_SERVICE,
	NEW_REFERENCE, NEW_OWN_REFERENCE, NEW_FIRST_NAME, NEW_LAST_NAME, NEW_SECOND_NAME, NEW_ADDRESS
};

static bool
accepted(const Value *value)
{
	static const char *const words[] = {"true", "1", "on", "si", "sí", "acepto", "aceptado", "accept", "accepted", "checked"};
	const char *word = text_folded(value->text);

	for (int i = 0; i < (int) lengthof(words); i++)
	{
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/* The day of payment: 1 or 15, whatever else was sent. */
static int
pay_day(const Value *value)
{
	return value->text != NULL && strcmp(text_trimmed(value->text), "15") == 0 ? 15 : 1;
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
		if (i == NEW_ADDRESS && call->values[i].text != NULL)
			body_json(&json, call->endpoint->fields[i].name, call->values[i].text);
		else
			body_text(&json, call->endpoint->fields[i].name, call->values[i].text);
	}
	appendStringInfoChar(&json, '}');
	return CStringGetTextDatum(json.data);
}

static Statement policy_sell_sql = {
	.sql = "SELECT loyalty_internal.sell_policy($1, $2, $3, $4::integer, $5::integer, NULL, $6, $7, $8, $9) AS policy_id",
	.params = {INT8OID, CURPOID, TEXTOID, INT8OID, INT8OID, TEXTOID, TEXTOID, PHONEOID, JSONOID}
};

/*
 * The buyer, and what texts of the order were kept, as they lie in the table: with
 * the policy, in the consent, and of a new customer, who is listed and found by two.
 * Large ones leave pages that are not full.
 */
static Statement policy_kept_sql = {
	.sql = "SELECT s.member_id, pg_column_size(s.application) + octet_length(s.service) + 2 * octet_length(s.sold_by) + CASE WHEN $3 THEN"
	" (SELECT pg_column_size(m.*) + octet_length(m.name) + coalesce(octet_length(m.email), 0) FROM loyalty_internal.member m"
	" WHERE m.merchant_id = $1 AND m.member_id = s.member_id)"
	" + (SELECT coalesce(sum(pg_column_size(d.*)), 0) FROM loyalty_internal.member_address d WHERE d.merchant_id = $1 AND d.member_id = s.member_id)"
	" ELSE 0 END AS bytes FROM loyalty_internal.policy s WHERE s.merchant_id = $1 AND s.policy_id = $2",
	.params = {INT8OID, INT8OID, BOOLOID}
};

/* The name is told to who has the consent to read it, and may, and else as it came with the order. */
static Statement policy_receipt_sql = {
	.sql = "SELECT json_build_object('id_venta', s.policy_id::text, 'id_contacto', loyalty_internal.contact_id($1, s.member_id)::text,"
	" 'nombre', CASE WHEN $4 THEN m.name ELSE loyalty_internal.applicant(s.application) END, 'CURP', c.curp::text,"
	" 'mail', $3, 'producto', p.name, 'poliza', s.policy_number, 'status', s.status, 'costo', s.cost, 'subtotal', s.price, 'amount', i.amount,"
	" 'plan', CASE WHEN s.payments > 1 THEN 'MENSUAL' ELSE 'CONTADO' END, 'numero_pagos', s.payments, 'dia_pago', s.pay_day,"
	" 'pago_link', t.base_url || '/pago/' || s.policy_number) AS receipt"
	" FROM loyalty_internal.policy s JOIN loyalty_internal.product p ON p.merchant_id = s.merchant_id AND p.product_id = s.product_id"
	" JOIN loyalty_internal.instalment i ON i.merchant_id = s.merchant_id AND i.policy_id = s.policy_id AND i.ordinal = 1"
	" JOIN loyalty_internal.member m ON m.merchant_id = s.merchant_id AND m.member_id = s.member_id"
	" JOIN loyalty_internal.customer c ON c.merchant_id = s.merchant_id AND c.member_id = s.member_id"
	" JOIN loyalty_internal.merchant t ON t.merchant_id = s.merchant_id"
	" WHERE s.merchant_id = $1 AND s.policy_id = $2",
	.params = {INT8OID, INT8OID, TEXTOID, BOOLOID}
};

static char *
sell_policy(Call *call, Curp *curp)
{
	const Value *values = call->values;
	const char *service = values[NEW_SERVICE].text;
	Datum		policy[] = {
		Int64GetDatum(call->merchant_id),
		CurpPGetDatum(curp),
		CStringGetTextDatum(values[NEW_PRODUCT].text),
		Int64GetDatum(values[NEW_PAYMENTS].integer),
		Int64GetDatum(pay_day(&values[NEW_PAY_DAY])),
		CStringGetTextDatum(service ? service : "Ecologico"),
		CStringGetTextDatum(values[KASU_USER].text),
		PhoneGetDatum(values[NEW_PHONE].phone),
		application(call),
	};
	Datum		kept[] = {Int64GetDatum(call->merchant_id), 0, BoolGetDatum(call->id == 0)};
	Datum		receipt[] = {Int64GetDatum(call->merchant_id), 0, CStringGetTextDatum(values[NEW_MAIL].text), 0};
	int64		space = POLICY_BYTES + values[NEW_PAYMENTS].integer * INSTALMENT_BYTES + (call->id == 0 ? MEMBER_BYTES : 0);

	/* an order that is refused takes nothing of the day, or an app user could take all of it */
	if (!entry_space_take(call->merchant_id, SPACE_OF_APP_USERS, 1))
		raise_error(ERR_TOO_MANY_REQUESTS);
	db_write(&policy_sell_sql, policy, NULL);
	kept[1] = receipt[1] = Int64GetDatum(row_int64(0, "policy_id"));
	db_write(&policy_kept_sql, kept, NULL);
	call->id = row_int64(0, "member_id");
	entry_space_owe(call->merchant_id, SPACE_OF_APP_USERS, space + row_int64(0, "bytes") * 5 / 4);
	receipt[3] = BoolGetDatum(kasu_consent_to_names(call, NULL, NULL) == TOLD_ALL);
	db_write(&policy_receipt_sql, receipt, NULL);
	return row_text(0, "receipt");
}

/* what the request says itself is not in the answer any more, once the customer was blocked */
static Statement kept_order_sql = {
	.sql = "SELECT CASE WHEN $5 AND $1 #>> '{datos_compra,CURP}' <> '' THEN $1 ELSE loyalty_internal.replaced($1, 'datos_compra',"
	" loyalty_internal.replaced(loyalty_internal.replaced(loyalty_internal.replaced($1 -> 'datos_compra', 'CURP', to_json($3)), 'mail', to_json($4)),"
	" 'nombre', to_json(coalesce(CASE WHEN $5 THEN nullif($1 #>> '{datos_compra,nombre}', '') END, loyalty_internal.applicant($2))))) END AS answer",
	.params = {JSONOID, JSONOID, TEXTOID, TEXTOID, BOOLOID}
};

/* The answer that was kept of an order tells the name to who has the consent now, and may read it. */
static void
retell_order(Call *call)
{
	Datum		values[] = {
		CStringGetTextDatum(call->json),
		application(call),
		CStringGetTextDatum(kasu_asked_curp(call)),
		CStringGetTextDatum(call->values[NEW_MAIL].text),
		BoolGetDatum(kasu_consent_to_names(call, NULL, NULL) == TOLD_ALL),
	};

	db_write(&kept_order_sql, values, NULL);
	call->json = row_text(0, "answer");
}

/*
 * An app user that is refused so often in an hour looks for customers by their
 * mail, phone or product.  What is 409 or 412 for a customer may be 417 for
 * nobody, so that counts as well: tries, and not only those that find somebody.
 * As in staff.c, what is further ahead is not of this hour.  A row of a merchant
 * without room is one of an hour, and counts until an hour after its last.
 */
#define MAX_REFUSED 100

static Statement refused_sql = {
	.sql = "SELECT coalesce(sum(times), 0)::bigint AS refused FROM loyalty_internal.access WHERE merchant_id = $1 AND app_user = $2"
	" AND minute > now() - interval '2 hours' AND last_at > now() - interval '1 hour' AND minute <= now() + interval '1 hour' AND status IN (409, 412, 417) AND operation = 'new_service'",
	.params = {INT8OID, TEXTOID}
};

static void
check_not_searching(const Call *call)
{
	Datum		values[] = {Int64GetDatum(call->merchant_id), CStringGetTextDatum(call->values[KASU_USER].text)};

	db_read(&refused_sql, values, NULL);
	if (row_int64(0, "refused") >= MAX_REFUSED)
		raise_error(ERR_TOO_MANY_REQUESTS);
}

/*
 * What says that somebody is a customer comes last: the key, which is the app
 * user's, is claimed for anybody, and sell_policy() looks at the product before.
 * Nor is the key of an order lost when its customer is known to have died.
 */
static void
accounts_run(Call *call)
{
	const Value *values = call->values;
	Curp		curp;
	StringInfoData json;
	char	   *receipt = NULL;
	bool		fresh;

	kasu_check_token(call, "ACCOUNTS");
	if (strcmp(values[KASU_OPERATION].text, "new_service") != 0)
		raise_error(ERR_KASU_404);
	kasu_parse_curp(call, &curp);
	kasu_find_customer(call, &curp);
	if (!accepted(&values[NEW_TERMS]) || !accepted(&values[NEW_NOTICE]) || !accepted(&values[NEW_TRUST]))
		raise_error(ERR_KASU_409);
	fresh = call_claim(call);
	if (fresh)
	{
		kasu_check_alive(call, &curp);
		check_not_searching(call);
		receipt = sell_policy(call, &curp);
	}
	else
		retell_order(call);
	kasu_record_access(call, call->merchant_id, NULL, call->endpoint->status);
	if (!fresh)
		return;

	initStringInfo(&json);
	body_text(&json, "mensaje", "Servicio registrado correctamente.");
	call->json = kasu_answer(&json, "datos_compra", receipt);
	call_keep_answer(call);
}

const Endpoint kasu_accounts = {
	.name = "accounts",
	.fields = {
		KASU_COMMON_FIELDS(KASU_CURP_FIELD),
		[NEW_MAIL] = KASU_REQUIRED("mail", FIELD_TEXT),
		[NEW_PHONE] = KASU_REQUIRED("telefono", FIELD_TYPED_PHONE),
		[NEW_PRODUCT] = KASU_REQUIRED("producto", FIELD_TEXT),
		[NEW_PAYMENTS] = KASU_REQUIRED("numero_pagos", FIELD_COUNT),
		[NEW_TERMS] = KASU_REQUIRED("terminos", FIELD_ACCEPTANCE),
		[NEW_NOTICE] = KASU_REQUIRED("aviso", FIELD_ACCEPTANCE),
		[NEW_TRUST] = KASU_REQUIRED("fideicomiso", FIELD_ACCEPTANCE),
		[NEW_PAY_DAY] = {"dia_pago", FIELD_ANY, OPTIONAL,.malformed = KASU_MISSING,.also = {"DiaPago"}},
		[NEW_SERVICE] = KASU_OPTIONAL("tipo_servicio", FIELD_TEXT),
		[NEW_REFERENCE] = KASU_OPTIONAL("referencia", FIELD_TEXT),
		[NEW_OWN_REFERENCE] = KASU_OPTIONAL("referencia_kasu", FIELD_TEXT),
		[NEW_FIRST_NAME] = KASU_OPTIONAL("nombre", FIELD_NAME),
		[NEW_LAST_NAME] = KASU_OPTIONAL("paterno", FIELD_NAME),
		[NEW_SECOND_NAME] = KASU_OPTIONAL("materno", FIELD_NAME),
		[NEW_ADDRESS] = KASU_OPTIONAL("direccion", FIELD_OBJECT),
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
 * The policy that is named, or else the newest that the app user may be told of;
 * 0: there is none.  One that is named is found by its number, whoever's it is:
 * that takes as long for nobody.
 */
static int64
find_policy(const Call *call, Told *told)
{
	const char *acceptance = call->values[PAY_ACCEPTANCE].text;
	const char *policy = call->values[PAY_POLICY].text;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};
	int64		policy_id = policy ? 0 : ANY_POLICY;

	if (policy != NULL)
	{
		values[1] = CStringGetTextDatum(policy);
		if (db_read(&policy_named_sql, values, NULL) > 0 && row_int64(0, "member_id") == call->id)
			policy_id = row_int64(0, "policy_id");
	}
	*told = kasu_consent(call, acceptance, &policy_id);
	if (policy_id != ANY_POLICY)
		return policy_id;
	values[1] = Int64GetDatum(call->id);
	return *told == TOLD_ALL && db_read(&policy_newest_sql, values, NULL) > 0 ? row_int64(0, "policy_id") : 0;
}

/* a payment of who was erased since is the one of this CURP, which only the digest knows */
static Statement payment_find_sql = {
	.sql = "SELECT s.policy_id, s.member_id = $3 AS theirs FROM loyalty_internal.payment y"
	" JOIN loyalty_internal.policy s ON s.merchant_id = y.merchant_id AND s.policy_id = y.policy_id"
	" WHERE y.merchant_id = $1 AND s.merchant_id = $1 AND y.reference_digest = loyalty_internal.merchant_digest($1, $2) AND y.app_user = $4"
	" AND ($5 IS NULL OR s.policy_number = $5)"
	" AND (s.member_id = $3 OR y.payer_digest = loyalty_internal.merchant_digest($1, $2 || ' ' || $6))",
	.params = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID}
};

/*
 * The policy of a payment that the app user has booked before, by its reference;
 * 0: it has not.  *theirs: whether it is the customer's, and not of somebody who
 * had the CURP, and was erased.
 */
static int64
find_booked_policy(const Call *call, bool *theirs)
{
	const char *reference = call->values[PAY_REFERENCE].text;
	const char *policy = call->values[PAY_POLICY].text;
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		reference ? CStringGetTextDatum(reference) : (Datum) 0,
		Int64GetDatum(call->id),
		CStringGetTextDatum(call->values[KASU_USER].text),
		policy ? CStringGetTextDatum(policy) : (Datum) 0,
		CStringGetTextDatum(kasu_asked_curp(call)),
	};
	const char	nulls[] = {' ', ' ', ' ', ' ', policy ? ' ' : 'n', ' '};

	if (reference == NULL || db_read(&payment_find_sql, values, nulls) == 0)
		return 0;
	*theirs = row_bool(0, "theirs");
	return row_int64(0, "policy_id");
}

static Statement policy_curp_sql = {
	.sql = "SELECT c.curp::text AS curp FROM loyalty_internal.policy s JOIN loyalty_internal.customer c ON c.merchant_id = s.merchant_id AND c.member_id = s.member_id"
	" WHERE s.merchant_id = $1 AND c.merchant_id = $1 AND s.policy_number = $2",
	.params = {INT8OID, TEXTOID}
};

/* Take the CURP of a request that has none from its policy: the token must be for that. */
static void
take_curp_of_policy(Call *call)
{
	Datum		values[2];

	if (call->values[PAY_POLICY].text == NULL)
		raise_error(ERR_KASU_400);
	values[0] = Int64GetDatum(kasu_merchant(call));
	values[1] = CStringGetTextDatum(call->values[PAY_POLICY].text);
	if (db_read(&policy_curp_sql, values, NULL) == 0)
		raise_error(ERR_KASU_404);
	call->values[KASU_CURP].text = row_text(0, "curp");
}

static Statement policy_status_sql = {
	.sql = "SELECT loyalty_internal.policy_stands($1, $2, NULL, NULL, CASE WHEN NOT $3 THEN $4 END) AS status",
	.params = {INT8OID, INT8OID, BOOLOID, TEXTOID}
};

/* Nobody is answered as one who has not consented; who has, that the customer is being cancelled or has no such policy. */
static char *
account_status(Call *call)
{
	const Value *fields = call->values;
	Curp		curp;
	bool		found = kasu_find_customer(call, &curp);
	Told		told;
	int64		policy_id = find_policy(call, &told);
	int64		any = ANY_POLICY;
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		Int64GetDatum(policy_id),
		BoolGetDatum(told == TOLD_ALL && call->reads_customers),
		CStringGetTextDatum(fields[KASU_USER].text),
	};

	/* a policy that is none of the customer's is unknown to who may be told of another */
	if (told == TOLD_NOTHING && (kasu_consent(call, fields[PAY_ACCEPTANCE].text, &any) == TOLD_NOTHING || policy_id != 0))
		raise_error(ERR_KASU_409);
	if (!found || policy_id == 0)
		raise_error(found && fields[PAY_POLICY].text != NULL ? ERR_KASU_404 : ERR_KASU_412);
	db_read(&policy_status_sql, values, NULL);
	return row_text(0, "status");
}

static Statement payment_book_sql = {
	.sql = "SELECT b.payment_no::bigint, b.booked"
	" FROM loyalty_internal.book_payment($1, $2, $3, $4, coalesce($5, loyalty_internal.random_key('R', 8)), $6) b",
	.params = {INT8OID, INT8OID, POINTSOID, TEXTOID, TEXTOID, TEXTOID}
};

/* as it stood after the payment, whatever was paid since: a retry gets the same answer */
static Statement payment_receipt_sql = {
	.sql = "SELECT y.payment_id, coalesce(y.reference, '') AS reference, y.method,"
	" CASE WHEN $4 > 0 THEN d.stands ELSE loyalty_internal.replaced(loyalty_internal.untold(d.stands, $5), 'curp', to_json($6)) END AS stands"
	" FROM loyalty_internal.payment y,"
	" LATERAL (SELECT loyalty_internal.policy_stands($1, $2, NULL, y.payment_no, CASE WHEN $4 <= 1 THEN $7 END) AS stands) d"
	" WHERE y.merchant_id = $1 AND y.policy_id = $2 AND y.payment_no = $3",
	.params = {INT8OID, INT8OID, INT8OID, INT8OID, TEXTARRAYOID, TEXTOID, TEXTOID}
};

/* What the request said itself of the policy, but for the CURP, which may be nobody's since. */
static Datum
said(const Call *call)
{
	Datum		key = CStringGetTextDatum("poliza");

	return PointerGetDatum(construct_array(&key, call->values[PAY_POLICY].text ? 1 : 0, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
said_curp(const Call *call, bool curp_sent)
{
	return CStringGetTextDatum(curp_sent ? kasu_asked_curp(call) : "");
}

/* Complete the answer to a payment; who has no consent, or of nobody, is told what they have said. */
static char *
payment_receipt(const Call *call, StringInfo answer, bool found, int64 policy_id, int64 payment_no, bool curp_sent)
{
	const Value *fields = call->values;
	Told		told = found ? kasu_consent_to_names(call, fields[PAY_ACCEPTANCE].text, &policy_id) : TOLD_NOTHING;
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		Int64GetDatum(policy_id),
		Int64GetDatum(payment_no),
		Int64GetDatum(told),
		said(call),
		said_curp(call, curp_sent),
		CStringGetTextDatum(fields[KASU_USER].text),
	};
	StringInfoData data;

	db_write(&payment_receipt_sql, values, NULL);
	body_text(answer, "curp_en_uso", curp_sent || told != TOLD_NOTHING ? fields[KASU_CURP].text : "");
	body_text(answer, "mensaje", "Pago registrado correctamente.");
	body_json(answer, "payment_ids", psprintf("[\"" INT64_FORMAT "\"]", row_int64(0, "payment_id")));
	initStringInfo(&data);
	appendStringInfoChar(&data, '{');
	body_members(&data, row_text(0, "stands"));
	body_text(&data, "referencia", fields[PAY_REFERENCE].text ? fields[PAY_REFERENCE].text : row_text(0, "reference"));
	body_json(&data, "cantidad", points_text(fields[PAY_AMOUNT].points));
	body_text(&data, "metodo", row_text(0, "method"));
	appendStringInfoChar(&data, '}');
	return data.data;
}

/* by whoever blocks or erases the customer this is waited for, and the other way round */
static Statement customer_hold_sql = {
	.sql = "SELECT 1 FROM loyalty_internal.customer WHERE merchant_id = $1 AND member_id = $2 AND blocked_at IS NULL FOR KEY SHARE",
	.params = {INT8OID, INT8OID}
};

/* Keep the customer who was found from becoming nobody until the answer that names them is kept, or refuse. */
static void
hold_customer(const Call *call)
{
	Datum		values[] = {Int64GetDatum(call->merchant_id), Int64GetDatum(call->id)};

	if (db_write(&customer_hold_sql, values, NULL) == 0)
		raise_error(ERR_UNAVAILABLE);
}

static const char *
payment_method(const Call *call)
{
	return call->values[PAY_METHOD].text ? call->values[PAY_METHOD].text : "PSD2";
}

/*
 * Nobody, one who is being cancelled and one who has no such policy are answered
 * alike.  *booked: not if the payment was made before, which is for the policy of
 * then, whoever is nobody since.  Who names none would learn whether the customer
 * has one, and needs the consent.
 */
static char *
pay_policy(const Call *call, StringInfo answer, bool found, bool curp_sent, bool *booked)
{
	const Value *values = call->values;
	const char *reference = values[PAY_REFERENCE].text;
	Datum		payment[6];
	const char	nulls[] = {' ', ' ', ' ', ' ', reference ? ' ' : 'n', ' '};
	Told		told;
	bool		theirs = true;
	int64		policy_id;

	if (values[PAY_AMOUNT].text == NULL)
		raise_error(ERR_KASU_400);
	policy_id = find_booked_policy(call, &theirs);
	if (policy_id == 0)
	{
		policy_id = find_policy(call, &told);
		if (!found || policy_id == 0)
			raise_error(ERR_KASU_404);
	}
	found = found && theirs;
	if (found)
		hold_customer(call);
	payment[0] = Int64GetDatum(call->merchant_id);
	payment[1] = Int64GetDatum(policy_id);
	payment[2] = PointsGetDatum(values[PAY_AMOUNT].points);
	payment[3] = CStringGetTextDatum(payment_method(call));
	payment[4] = reference ? CStringGetTextDatum(reference) : (Datum) 0;
	payment[5] = CStringGetTextDatum(values[KASU_USER].text);
	db_write(&payment_book_sql, payment, nulls);
	*booked = row_bool(0, "booked");
	return payment_receipt(call, answer, found, policy_id, row_int64(0, "payment_no"), curp_sent);
}

static Statement kept_policy_sql = {
	.sql = "SELECT coalesce(nullif($1 #>> '{data,id_venta}', ''), '0')::bigint AS policy_id",
	.params = {JSONOID}
};

/* what the request says itself is not in the answer any more, once the customer was blocked */
static Statement kept_payment_sql = {
	.sql = "SELECT CASE WHEN $2 > 1 THEN k.whole"
	" WHEN $2 > 0 THEN loyalty_internal.replaced(k.whole, 'data', loyalty_internal.replaced(k.whole -> 'data', 'cliente', to_json(coalesce("
	"(SELECT loyalty_internal.applicant(s.application) FROM loyalty_internal.policy s WHERE s.merchant_id = $3 AND s.policy_id = $4 AND s.sold_by = $10), ''))))"
	" ELSE loyalty_internal.replaced(loyalty_internal.replaced(k.whole, 'curp_en_uso', to_json($6)),"
	" 'data', loyalty_internal.replaced(loyalty_internal.untold(k.whole -> 'data', $5 || '{referencia,cantidad,metodo}'), 'curp', to_json($7))) END AS answer"
	" FROM (SELECT CASE WHEN $1 #>> '{data,metodo}' <> '' THEN $1 ELSE loyalty_internal.replaced(loyalty_internal.replaced($1, 'curp_en_uso', to_json($6)),"
	" 'data', loyalty_internal.replaced(loyalty_internal.replaced(loyalty_internal.replaced($1 -> 'data', 'curp', to_json($7)),"
	" 'referencia', to_json($8)), 'metodo', to_json($9))) END AS whole) k",
	.params = {JSONOID, INT8OID, INT8OID, INT8OID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};

/* The answer that was kept of a payment tells no more than the consent and the grants of now. */
static void
retell_payment(Call *call, bool found, bool curp_sent)
{
	const Value *fields = call->values;
	const char *reference = fields[PAY_REFERENCE].text;
	Datum		values[] = {
		CStringGetTextDatum(call->json),
		0,
		Int64GetDatum(call->merchant_id),
		0,
		said(call),
		0,
		0,
		CStringGetTextDatum(reference ? reference : ""),
		CStringGetTextDatum(payment_method(call)),
		CStringGetTextDatum(fields[KASU_USER].text),
	};
	int64		policy_id;
	Told		told;

	db_read(&kept_policy_sql, values, NULL);
	policy_id = row_int64(0, "policy_id");
	told = found ? kasu_consent_to_names(call, fields[PAY_ACCEPTANCE].text, &policy_id) : TOLD_NOTHING;
	values[1] = Int64GetDatum(told);
	values[3] = Int64GetDatum(policy_id);
	curp_sent = curp_sent || told != TOLD_NOTHING;
	values[5] = CStringGetTextDatum(curp_sent ? fields[KASU_CURP].text : "");
	values[6] = said_curp(call, curp_sent);
	db_write(&kept_payment_sql, values, NULL);
	call->json = row_text(0, "answer");
}

static void
payments_run(Call *call)
{
	const char *operation = call->values[KASU_OPERATION].text;
	bool		pays = strcmp(operation, "pagos_psd2") == 0;
	bool		curp_sent = call->values[KASU_CURP].text != NULL;
	bool		found;
	bool		fresh;
	bool		booked = false;
	Curp		curp;
	char	   *data = NULL;
	StringInfoData json;

	if (!curp_sent)
		take_curp_of_policy(call);
	kasu_check_token(call, "PAYMENTS");
	if (!pays && strcmp(operation, "account_status") != 0)
		raise_error(ERR_KASU_404);
	call->status = pays ? 201 : 200;
	initStringInfo(&json);
	found = pays && kasu_find_customer(call, &curp);
	fresh = !pays || call_claim(call);
	if (fresh && pays)
		data = pay_policy(call, &json, found, curp_sent, &booked);
	else if (fresh)
	{
		data = account_status(call);
		body_text(&json, "curp_en_uso", call->values[KASU_CURP].text);
	}
	else
		retell_payment(call, found, curp_sent);
	kasu_record_access(call, call->merchant_id, NULL, call->status);
	if (!fresh)
		return;

	call->json = kasu_answer(&json, "data", data);
	/* a payment that was made before is known by its reference, under whatever keys */
	if (booked)
		call_keep_answer(call);
	else if (pays)
		call_unclaim(call);
}

const Endpoint kasu_payments = {
	.name = "payments",
	.fields = {
		KASU_COMMON_FIELDS(KASU_OPTIONAL("curp_en_uso", FIELD_TEXT)),
		[PAY_POLICY] = {"poliza_en_uso", FIELD_TEXT, OPTIONAL,.malformed = KASU_MISSING,.also = {"poliza", "id_firma"}},
		[PAY_AMOUNT] = {"cantidad", FIELD_POINTS, OPTIONAL,.malformed = KASU_MISSING,.also = {"monto"}},
		[PAY_METHOD] = KASU_OPTIONAL("metodo", FIELD_TEXT),
		[PAY_REFERENCE] = KASU_OPTIONAL("referencia", FIELD_TEXT),
		[PAY_ACCEPTANCE] = KASU_SECRET("clave_aceptacion"),
	},
	.result = RESULT_JSON,
	.logs = true,
	.run = payments_run,
};

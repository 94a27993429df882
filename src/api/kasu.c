/*
 * kasu.c
 *		The customer API of the KASU document: tokens, and customers' data
 *		under their consent.
 *
 * There is no session and no stored token.  A partner signs the CURP in
 * question with its private key, by HMAC.  The token is an HMAC too: that
 * signature is its key, the time of issue and the time to live are its message.
 * Each request repeats all of it, and both HMACs are computed again.  So a token
 * is good for one user, one CURP and its time only.
 *
 * Every request about a customer is written to the access log, refused or not.
 * Accounts and payments are in kasu_account.c.
 */
#include "postgres.h"

#include <time.h>

#include "api/fields.h"
#include "api/kasu.h"
#include "base/crypto.h"
#include "base/json.h"
#include "types/curp.h"
#include "utils/builtins.h"

#define CLOCK_TOLERANCE_S 60

static Statement app_user_sql = {
	.sql = "SELECT merchant_id, private_key, token_ttl_s::bigint FROM loyalty.app_user WHERE name = $1 AND disabled_at IS NULL",
	.params = {TEXTOID}
};

static Statement merchant_sandbox_sql = {
	.sql = "SELECT sandbox FROM loyalty.merchant WHERE merchant_id = $1",
	.params = {INT8OID}
};

typedef struct AppUser
{
	int64		merchant_id;
	char	   *private_key;
	int64		token_ttl_s;
} AppUser;

/* ------------------------------------------------------------------------
 * Tokens
 * ------------------------------------------------------------------------ */

/*
 * Find the app user of a name, or refuse.  Sandbox paths have only the users of
 * the sandbox, and other paths none of them; SQL has all.
 */
static void
find_app_user(const Call *call, const char *name, AppUser *user)
{
	Datum		value = CStringGetTextDatum(name);

	if (db_read(&app_user_sql, &value, NULL) == 0)
		raise_error(ERR_KASU_401);
	user->merchant_id = row_int64(0, "merchant_id");
	user->private_key = row_text(0, "private_key");
	user->token_ttl_s = row_int64(0, "token_ttl_s");

	if (call->origin == FROM_SQL)
		return;
	value = Int64GetDatum(user->merchant_id);
	if (db_read(&merchant_sandbox_sql, &value, NULL) == 0 || row_bool(0, "sandbox") != call->sandbox)
		raise_error(ERR_KASU_401);
}

/* Complete an answer: ok, the members that were written so far, and one more with JSON. */
char *
kasu_answer(StringInfo members, const char *key, const char *value)
{
	body_json(members, key, value);
	return psprintf("{\"ok\":true,%s}", members->data);
}

static char *
token_data(int64 timestamp, int64 expires_in)
{
	return psprintf("{\"timestamp\":" INT64_FORMAT ",\"expires_in\":" INT64_FORMAT "}", timestamp, expires_in);
}

enum
{
	REGISTER_OPERATION, REGISTER_USER, REGISTER_CURP, REGISTER_SIGNATURE
};

static void
token_full_run(Call *call)
{
	const Value *values = call->values;
	AppUser		user;
	char	   *data;
	char	   *signature;
	StringInfoData json;

	if (strcmp(values[REGISTER_OPERATION].text, "token_full") != 0)
		raise_error(ERR_KASU_404);
	find_app_user(call, values[REGISTER_USER].text, &user);
	signature = hmac_sha256_hex(user.private_key, values[REGISTER_CURP].text);
	if (!secrets_equal(signature, values[REGISTER_SIGNATURE].text))
		raise_error(ERR_KASU_401);

	data = token_data(time(NULL), user.token_ttl_s);
	initStringInfo(&json);
	body_text(&json, "token", hmac_sha256_hex(signature, data));
	body_text(&json, "nombre", values[REGISTER_USER].text);
	call->json = kasu_answer(&json, "token_data", data);
}

static const Endpoint token_full = {
	.name = "token_full",
	.fields = {
		[REGISTER_OPERATION] = KASU_REQUIRED("tipo_peticion", FIELD_TEXT),
		[REGISTER_USER] = KASU_REQUIRED("nombre_de_usuario", FIELD_TEXT),
		[REGISTER_CURP] = KASU_REQUIRED("curp_en_uso", FIELD_TEXT),
		[REGISTER_SIGNATURE] = KASU_REQUIRED("firma_KEY", FIELD_TEXT),
	},
	.result = RESULT_JSON,
	.unexpected = ERR_INTERNAL_ERROR,
	.run = token_full_run,
};

/* ------------------------------------------------------------------------
 * Customers
 * ------------------------------------------------------------------------ */

static const Endpoint customer_read;

enum
{
	ASK_REQUEST = KASU_FIELDS, ASK_PRODUCT, ASK_POLICY, ASK_ACCEPTANCE
};

typedef struct TokenTimes
{
	const char *timestamp;
	const char *expires_in;
} TokenTimes;

static void
take_token_time(void *context, const char *name, JsonKind kind, const char *value)
{
	TokenTimes *times = context;

	if (kind == JSON_IS_NUMBER)
		value = json_plain_number(value);
	else if (kind != JSON_IS_STRING)
		return;
	if (strcmp(name, "timestamp") == 0)
		times->timestamp = value;
	else if (strcmp(name, "expires_in") == 0)
		times->expires_in = value;
}

static bool
parse_seconds(const char *text, int64 *seconds)
{
	if (text == NULL || *text == '\0' || strlen(text) > 12 || strspn(text, "0123456789") != strlen(text))
		return false;
	*seconds = strtoll(text, NULL, 10);
	return true;
}

/*
 * Check the token of a request, and set its merchant.  The signature comes
 * before the time: only a token that was issued here can have expired.
 */
void
kasu_check_token(Call *call)
{
	const Value *values = call->values;
	const char *json = values[KASU_TOKEN].text;
	TokenTimes	times = {NULL, NULL};
	int64		timestamp;
	int64		expires_in;
	int64		now = time(NULL);
	AppUser		user;
	char	   *expected;

	if (json == NULL)
		raise_error(ERR_KASU_400);
	json_read_object(json, strlen(json), take_token_time, &times);
	if (times.timestamp == NULL || times.expires_in == NULL)
		raise_error(ERR_KASU_400);
	find_app_user(call, values[KASU_USER].text, &user);
	call->merchant_id = user.merchant_id;
	if (call->bearer == NULL ||
		!parse_seconds(times.timestamp, &timestamp) || !parse_seconds(times.expires_in, &expires_in))
		raise_error(ERR_KASU_401);

	expected = hmac_sha256_hex(hmac_sha256_hex(user.private_key, values[KASU_CURP].text), token_data(timestamp, expires_in));
	/* a partner can sign anything with its own key, but not for longer */
	if (!secrets_equal(expected, call->bearer) || expires_in != user.token_ttl_s || timestamp > now + CLOCK_TOLERANCE_S)
		raise_error(ERR_KASU_401);
	if (now - timestamp > expires_in)
		raise_error(ERR_KASU_418);
}

/* The data that an individual request can ask for. */
static const struct
{
	const char *key;
	const char *description;
	bool		of_sale;
}			keys[] = {
	{"Mail", "Correo electrónico del cliente", false},
	{"Telefono", "Teléfono del cliente", false},
	{"calle", "Calle del domicilio", false},
	{"numero", "Número del domicilio", false},
	{"colonia", "Colonia del domicilio", false},
	{"municipio", "Municipio del domicilio", false},
	{"codigo_postal", "Código postal del domicilio", false},
	{"estado", "Estado del domicilio", false},
	{"Usuario", "Nombre de usuario del cliente", false},
	{"Tipo", "Tipo de cliente", false},
	{"Nombre", "Nombre(s) del cliente", false},
	{"Paterno", "Apellido paterno", false},
	{"Materno", "Apellido materno", false},
	{"Producto", "Producto de la venta", true},
	{"CostoVenta", "Costo de la venta", true},
	{"NumeroPagos", "Número de pagos de la venta", true},
	{"IdFIrma", "Identificador de la firma de la venta", true},
	{"Status", "Estatus de la venta", true},
	{"FechaRegistro", "Fecha de registro de la venta", true},
};

/* The blocks that a block request can ask for. */
static const struct
{
	const char *key;
	const char *description;
}			blocks[] = {
	{"cliente", "Todos los datos de un cliente: personales, de su cuenta y de sus ventas"},
	{"catalogo_productos", "Los productos, con precio, descripción y existencias"},
	{"producto_cliente", "Si un producto es viable para la edad del cliente, a qué costo y en cuántos pagos; requiere producto"},
};

static char *
list_keys(const char *request)
{
	bool		individual = strcmp(request, "individual_request") == 0;
	StringInfoData json;

	if (!individual && strcmp(request, "request_block") != 0)
		raise_error(ERR_KASU_404);
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < (int) (individual ? lengthof(keys) : lengthof(blocks)); i++)
	{
		body_text(&json, individual ? keys[i].key : blocks[i].key,
				  individual ? keys[i].description : blocks[i].description);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

static Statement customer_find_sql = {
	.sql = "SELECT member_id, blocked_at IS NOT NULL AS blocked FROM loyalty.customer WHERE merchant_id = $1 AND curp OPERATOR(loyalty.=) $2",
	.params = {INT8OID, CURPOID}
};

/* Find the customer of the CURP, into call->id; one who is being cancelled is refused. */
void
kasu_find_customer(Call *call, Curp *curp)
{
	const char *why;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};

	if (!curp_parse(call->values[KASU_CURP].text, curp, &why))
		raise_error(ERR_KASU_404);
	values[1] = CurpPGetDatum(curp);
	if (db_read(&customer_find_sql, values, NULL) == 0)
		raise_error(ERR_KASU_404);
	call->id = row_int64(0, "member_id");
	if (row_bool(0, "blocked"))
		raise_error(ERR_KASU_412);
}

static Statement consent_find_sql = {
	.sql = "SELECT 1 FROM loyalty.consent WHERE merchant_id = $1 AND member_id = $2 AND app_user = $3 AND revoked_at IS NULL"
	" AND valid_from <= clock_timestamp() AND (valid_until IS NULL OR valid_until > clock_timestamp())"
	" AND ($4 IS NULL OR acceptance_hash = $4)",
	.params = {INT8OID, INT8OID, TEXTOID, BYTEAOID}
};

/* Refuse unless the customer has consented to this app user, with this acceptance key if one is given. */
void
kasu_check_consent(const Call *call, const char *acceptance)
{
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		Int64GetDatum(call->id),
		CStringGetTextDatum(call->values[KASU_USER].text),
		acceptance ? PointerGetDatum(sha256_digest(acceptance, strlen(acceptance))) : (Datum) 0,
	};
	const char	nulls[] = {' ', ' ', ' ', acceptance ? ' ' : 'n'};

	if (db_write(&consent_find_sql, values, nulls) == 0)
		raise_error(ERR_KASU_409);
}

static bool
is_text(const Value *value)
{
	return value->text != NULL && (value->kind == JSON_IS_STRING || value->kind == JSON_IS_NUMBER);
}

static Statement access_insert_sql = {
	.sql = "INSERT INTO loyalty.access (merchant_id, app_user, member_id, operation, request, status) VALUES ($1, $2, $3, $4, $5, $6)",
	.params = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT4OID}
};

/* Write to the access log what was asked for, and nothing else of the request: that may be personal. */
void
kasu_record_access(const Call *call, int64 merchant_id, int status)
{
	const Value *values = call->values;
	const Value *operation = &values[KASU_OPERATION];
	const char *request = call->endpoint == &customer_read ? values[ASK_REQUEST].text : NULL;
	Datum		params[] = {
		Int64GetDatum(merchant_id),
		CStringGetTextDatum(values[KASU_USER].text ? values[KASU_USER].text : ""),
		Int64GetDatum(call->id),
		CStringGetTextDatum(is_text(operation) ? operation->text : ""),
		CStringGetTextDatum(request && is_text(&values[ASK_REQUEST]) ? request : ""),
		Int32GetDatum(status),
	};
	const char	nulls[] = {' ', ' ', call->id != 0 ? ' ' : 'n', ' ', ' ', ' '};

	db_write(&access_insert_sql, params, nulls);
}

#define CUSTOMER_JSON \
	"json_build_object('Usuario', c.user_name, 'Tipo', c.kind, 'Nombre', m.first_name, 'Paterno', m.first_last_name," \
	" 'Materno', m.second_last_name, 'Mail', coalesce(m.email, ''), 'Telefono', coalesce(m.phone::text, '')," \
	" 'calle', coalesce(d.street, ''), 'numero', coalesce(d.number_outside, ''), 'colonia', coalesce(d.neighborhood, '')," \
	" 'municipio', coalesce(d.city, ''), 'codigo_postal', coalesce(d.postcode, ''), 'estado', coalesce(d.state, ''))"
#define CUSTOMER_TABLES \
	" FROM loyalty.customer c JOIN loyalty.member m ON m.merchant_id = c.merchant_id AND m.member_id = c.member_id" \
	" LEFT JOIN loyalty.member_address d ON d.merchant_id = c.merchant_id AND d.member_id = c.member_id AND d.ordinal = 1" \
	" WHERE c.merchant_id = $1 AND m.merchant_id = $1 AND c.member_id = $2"

static Statement customer_datum_sql = {
	.sql = "SELECT " CUSTOMER_JSON " -> $3 AS datum" CUSTOMER_TABLES,
	.params = {INT8OID, INT8OID, TEXTOID}
};

#define SALE_JSON \
	"json_build_object('Producto', s.product, 'CostoVenta', s.cost, 'NumeroPagos', s.payments, 'IdFIrma', s.signature_id," \
	" 'Status', s.status, 'FechaRegistro', to_char(s.registered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')," \
	" 'Poliza', s.policy_number)"

static Statement sale_datum_sql = {
	.sql = "SELECT " SALE_JSON " -> $3 AS datum FROM loyalty.sales s WHERE s.merchant_id = $1 AND s.member_id = $2"
	" AND ($4 IS NULL OR s.policy_number = $4) ORDER BY s.registered_at DESC, s.sale_id DESC LIMIT 1",
	.params = {INT8OID, INT8OID, TEXTOID, TEXTOID}
};

static char *
datum(const Call *call, bool of_sale)
{
	const char *policy = call->values[ASK_POLICY].text;
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		Int64GetDatum(call->id),
		CStringGetTextDatum(call->values[ASK_REQUEST].text),
		policy ? CStringGetTextDatum(policy) : (Datum) 0,
	};
	const char	nulls[] = {' ', ' ', ' ', policy ? ' ' : 'n'};

	if (!of_sale)
		db_read(&customer_datum_sql, values, NULL);
	else if (db_read(&sale_datum_sql, values, nulls) == 0)
		raise_error(ERR_KASU_412);
	return row_text(0, "datum");
}

static char *
individual_request(Call *call)
{
	Curp		curp;

	for (int i = 0; i < (int) lengthof(keys); i++)
	{
		if (strcmp(keys[i].key, call->values[ASK_REQUEST].text) != 0)
			continue;
		kasu_find_customer(call, &curp);
		kasu_check_consent(call, call->values[ASK_ACCEPTANCE].text);
		return datum(call, keys[i].of_sale);
	}
	raise_error(ERR_KASU_404);
}

static Statement product_for_sql = {
	.sql = "SELECT json_build_object('producto', name, 'viable', stock > 0, 'edad', a.age, 'costo', price, 'numero_pagos', max_payments,"
	" 'costo_a_pagos', loyalty.instalment_cost(price, annual_rate, max_payments)) AS offer FROM loyalty.product,"
	" LATERAL (SELECT (now() AT TIME ZONE 'America/Mexico_City')::date AS today) t,"
	" LATERAL (SELECT CASE WHEN loyalty.birth_date($3) <= t.today THEN loyalty.age($3, t.today) END AS age) a"
	" WHERE merchant_id = $1 AND name = $2 AND a.age BETWEEN min_age AND max_age",
	.params = {INT8OID, TEXTOID, CURPOID}
};

static char *
product_for_customer(const Call *call, const Curp *curp)
{
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		CStringGetTextDatum(call->values[ASK_PRODUCT].text),
		CurpPGetDatum(curp),
	};

	if (db_read(&product_for_sql, values, NULL) == 0)
		raise_error(ERR_KASU_406);
	return row_text(0, "offer");
}

static Statement product_list_sql = {
	.sql = "SELECT coalesce(json_agg(json_build_object('nombre', name, 'precio', price, 'descripcion', description,"
	" 'existencias', stock) ORDER BY name COLLATE pg_catalog.\"default\"), '[]') AS products FROM loyalty.product WHERE merchant_id = $1",
	.params = {INT8OID}
};

static Statement customer_block_sql = {
	.sql = "SELECT json_build_object('cliente', " CUSTOMER_JSON ","
	" 'usuario', json_build_object('nombre_de_usuario', c.user_name, 'preferencias', c.preferences),"
	" 'ventas', coalesce((SELECT json_agg(" SALE_JSON " ORDER BY s.registered_at, s.sale_id) FROM loyalty.sales s"
	" WHERE s.merchant_id = $1 AND s.member_id = c.member_id), '[]')) AS block" CUSTOMER_TABLES,
	.params = {INT8OID, INT8OID}
};

static char *
request_block(Call *call)
{
	const char *request = call->values[ASK_REQUEST].text;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};
	Curp		curp;

	if (strcmp(request, "catalogo_productos") == 0)
	{
		db_read(&product_list_sql, values, NULL);
		return row_text(0, "products");
	}
	if (strcmp(request, "cliente") != 0 && strcmp(request, "producto_cliente") != 0)
		raise_error(ERR_KASU_404);
	if (strcmp(request, "producto_cliente") == 0 && call->values[ASK_PRODUCT].text == NULL)
		raise_error(ERR_KASU_400);
	kasu_find_customer(call, &curp);
	kasu_check_consent(call, call->values[ASK_ACCEPTANCE].text);
	if (strcmp(request, "producto_cliente") == 0)
		return product_for_customer(call, &curp);
	values[1] = Int64GetDatum(call->id);
	db_read(&customer_block_sql, values, NULL);
	return row_text(0, "block");
}

static void
customer_read_run(Call *call)
{
	const Value *values = call->values;
	const char *operation = values[KASU_OPERATION].text;
	char	   *data;
	StringInfoData json;

	if (call->origin == FROM_REQUEST)
		kasu_check_token(call);
	if (strcmp(operation, "request") == 0)
		data = list_keys(values[ASK_REQUEST].text);
	else if (strcmp(operation, "individual_request") == 0)
		data = individual_request(call);
	else if (strcmp(operation, "request_block") == 0)
		data = request_block(call);
	else
		raise_error(ERR_KASU_404);
	kasu_record_access(call, call->merchant_id, call->endpoint->status);

	initStringInfo(&json);
	body_text(&json, "curp_en_uso", values[KASU_CURP].text);
	body_text(&json, "request", values[ASK_REQUEST].text);
	call->json = kasu_answer(&json, "data", data);
}

static const Endpoint customer_read = {
	.name = "customer_read",
	.fields = {
		KASU_COMMON_FIELDS,
		[ASK_REQUEST] = KASU_REQUIRED("request", FIELD_TEXT),
		[ASK_PRODUCT] = KASU_OPTIONAL("producto", FIELD_TEXT),
		[ASK_POLICY] = KASU_OPTIONAL("poliza_en_uso", FIELD_TEXT),
		[ASK_ACCEPTANCE] = KASU_OPTIONAL("clave_aceptacion", FIELD_TEXT),
	},
	.result = RESULT_JSON,
	.unexpected = ERR_INTERNAL_ERROR,
	.status = 202,
	.run = customer_read_run,
};

/* ------------------------------------------------------------------------
 * Paths, error bodies, and the functions in SQL
 * ------------------------------------------------------------------------ */

static const Route routes[] = {
	{"POST", "/api/Registro_V1", &token_full, false},
	{"POST", "/api/Registro_sbx", &token_full, true},
	{"POST", "/api/Customer_V1", &customer_read, false},
	{"POST", "/api/Customer_sbx", &customer_read, true},
	{"POST", "/api/Accounts_V1", &kasu_accounts, false},
	{"POST", "/api/Accounts_sbx", &kasu_accounts, true},
	{"POST", "/api/Payments_V1", &kasu_payments, false},
	{"POST", "/api/Payments_sbx", &kasu_payments, true},
};

/* The document has one message for each of the statuses of a malformed request. */
static void
kasu_error_body(StringInfo json, const ErrorInfo *error, const char *message)
{
	if (error->http_status == 400)
		message = error_info(ERR_KASU_400)->message;
	else if (error->http_status == 404)
		message = error_info(ERR_KASU_404)->message;
	else if (error->http_status == 405)
		message = error_info(ERR_KASU_405)->message;
	appendStringInfo(json, "{\"ok\":false,\"status\":%d", error->http_status);
	body_text(json, "mensaje", message);
	appendStringInfoChar(json, '}');
}

/*
 * Log a refusal with the merchant of the app user that the request names, also
 * if nothing proves that it comes from that user.
 */
static void
log_refusal(const Call *call, const ErrorInfo *error)
{
	int64		merchant_id = call->merchant_id;

	if (call->endpoint == NULL || call->values[KASU_USER].text == NULL)
		return;
	db_begin();
	if (merchant_id == 0)
	{
		Datum		name = CStringGetTextDatum(call->values[KASU_USER].text);

		if (db_read(&app_user_sql, &name, NULL) > 0)
			merchant_id = row_int64(0, "merchant_id");
	}
	if (merchant_id != 0)
		kasu_record_access(call, merchant_id, error->http_status);
	db_end();
}

const Family kasu_family = {"/api/", routes, lengthof(routes), true, true, kasu_error_body, log_refusal};

PG_FUNCTION_INFO_V1(loyalty_customer_read);

/* loyalty.customer_read(): data of a customer, under the consent for an app user. */
Datum
loyalty_customer_read(PG_FUNCTION_ARGS)
{
	return endpoint_sql(&customer_read, fcinfo);
}

PG_FUNCTION_INFO_V1(loyalty_request_token);

/* loyalty.request_token(): it has no merchant_id, since the app user has a merchant. */
Datum
loyalty_request_token(PG_FUNCTION_ARGS)
{
	Call		call;
	StringInfoData json;

	call_start(&call, &token_full, FROM_SQL);
	call.values[REGISTER_OPERATION].text = token_full.name;
	for (int i = REGISTER_USER; i <= REGISTER_SIGNATURE; i++)
		fields_set(&call, i, JSON_IS_STRING, PG_ARGISNULL(i - REGISTER_USER) ? NULL :
				   text_to_cstring(PG_GETARG_TEXT_PP(i - REGISTER_USER)));
	initStringInfo(&json);
	call_answer(&call, &json);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}

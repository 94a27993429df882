/*
 * kasu.c
 *		The customer API of the KASU document: tokens, and customers' data
 *		under their consent.
 *
 * There is no session and no stored token.  A partner signs the CURP in
 * question with its private key; the token is signed in turn with that
 * signature, over the time it was issued at and how long it is valid.  Each
 * request repeats what went into the token, and both signatures are computed
 * again.  So a token is good for its user, its CURP and its time only.
 *
 * Whatever is asked about a customer is written to the access log, also what
 * is refused.  Accounts and payments are in kasu_account.c.
 */
#include "postgres.h"

#include <time.h>

#include "api/dispatch.h"
#include "api/fields.h"
#include "api/kasu.h"
#include "base/crypto.h"
#include "base/json.h"
#include "http/exchange.h"
#include "types/curp.h"
#include "utils/builtins.h"

#define CLOCK_TOLERANCE_S 60

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
 * The app user of this name, or refuse.  A sandbox path knows only those of
 * the sandbox, and the other paths none of them; SQL knows all.
 */
static void
find_app_user(const Call *call, const char *name, AppUser *user)
{
	Datum		value = CStringGetTextDatum(name);

	if (plan_read(PLAN_APP_USER, &value, NULL) == 0)
		raise_error(ERR_KASU_401);
	user->merchant_id = plan_int64(0, 0);
	user->private_key = plan_text(0, 1);
	user->token_ttl_s = plan_int64(0, 2);

	if (call->origin == FROM_SQL)
		return;
	value = Int64GetDatum(user->merchant_id);
	if (plan_read(PLAN_MERCHANT_SANDBOX, &value, NULL) == 0 || plan_bool(0, 0) != call->sandbox)
		raise_error(ERR_KASU_401);
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
	appendStringInfoString(&json, "{\"ok\":true");
	json_key(&json, "token");
	json_text(&json, hmac_sha256_hex(signature, data));
	json_key(&json, "nombre");
	json_text(&json, values[REGISTER_USER].text);
	json_key(&json, "token_data");
	appendStringInfo(&json, "%s}", data);
	call->json = json.data;
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

/* The signature is looked at before the time: only what we signed can expire. */
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

/* What can be asked for one by one. */
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
		json_key(&json, individual ? keys[i].key : blocks[i].key);
		json_text(&json, individual ? keys[i].description : blocks[i].description);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* The customer of a CURP, in call->id; one who is being cancelled is none. */
void
kasu_find_customer(Call *call, Curp *curp)
{
	const char *why;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};

	if (!curp_parse(call->values[KASU_CURP].text, curp, &why))
		raise_error(ERR_KASU_404);
	values[1] = CurpPGetDatum(curp);
	if (plan_read(PLAN_CUSTOMER_FIND, values, NULL) == 0)
		raise_error(ERR_KASU_404);
	call->id = plan_int64(0, 0);
	if (plan_bool(0, 1))
		raise_error(ERR_KASU_412);
}

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

	if (plan_write(PLAN_CONSENT_FIND, values, nulls) == 0)
		raise_error(ERR_KASU_409);
}

static bool
is_text(const Value *value)
{
	return value->text != NULL && (value->kind == JSON_IS_STRING || value->kind == JSON_IS_NUMBER);
}

/* What was asked for is logged; what was sent besides may be personal. */
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

	plan_write(PLAN_ACCESS_INSERT, params, nulls);
}

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
		plan_read(PLAN_CUSTOMER_DATUM, values, NULL);
	else if (plan_read(PLAN_SALE_DATUM, values, nulls) == 0)
		raise_error(ERR_KASU_412);
	return plan_text(0, 0);
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

static char *
product_for_customer(const Call *call, const Curp *curp)
{
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		CStringGetTextDatum(call->values[ASK_PRODUCT].text),
		CurpPGetDatum(curp),
	};

	if (plan_read(PLAN_PRODUCT_FOR, values, NULL) == 0)
		raise_error(ERR_KASU_406);
	return plan_text(0, 0);
}

static char *
request_block(Call *call)
{
	const char *request = call->values[ASK_REQUEST].text;
	Datum		values[2] = {Int64GetDatum(call->merchant_id)};
	Curp		curp;

	if (strcmp(request, "catalogo_productos") == 0)
	{
		plan_read(PLAN_PRODUCT_LIST, values, NULL);
		return plan_text(0, 0);
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
	plan_read(PLAN_CUSTOMER_BLOCK, values, NULL);
	return plan_text(0, 0);
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
	appendStringInfoString(&json, "{\"ok\":true");
	json_key(&json, "curp_en_uso");
	json_text(&json, values[KASU_CURP].text);
	json_key(&json, "request");
	json_text(&json, values[ASK_REQUEST].text);
	json_key(&json, "data");
	appendStringInfo(&json, "%s}", data);
	call->json = json.data;
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

/* What is wrong with a request as such has a status, and that has a message. */
static void
error_body(StringInfo json, const ErrorInfo *error, const char *message)
{
	if (error->http_status == 400)
		message = error_info(ERR_KASU_400)->message;
	else if (error->http_status == 404)
		message = error_info(ERR_KASU_404)->message;
	else if (error->http_status == 405)
		message = error_info(ERR_KASU_405)->message;
	appendStringInfo(json, "{\"ok\":false,\"status\":%d", error->http_status);
	json_key(json, "mensaje");
	json_text(json, message);
	appendStringInfoChar(json, '}');
}

/*
 * A refusal is the merchant's to log whose app user is named, proven or not:
 * that somebody uses the name is worth knowing.
 */
static void
refused(const Call *call, const ErrorInfo *error)
{
	int64		merchant_id = call->merchant_id;

	if (call->endpoint == NULL || call->values[KASU_USER].text == NULL)
		return;
	plan_begin();
	if (merchant_id == 0)
	{
		Datum		name = CStringGetTextDatum(call->values[KASU_USER].text);

		if (plan_read(PLAN_APP_USER, &name, NULL) > 0)
			merchant_id = plan_int64(0, 0);
	}
	if (merchant_id != 0)
		kasu_record_access(call, merchant_id, error->http_status);
	plan_end();
}

const Family kasu_family = {"/api/", routes, lengthof(routes), true, true, error_body, refused};

PG_FUNCTION_INFO_V1(loyalty_customer_read);

Datum
loyalty_customer_read(PG_FUNCTION_ARGS)
{
	return endpoint_sql(&customer_read, fcinfo);
}

PG_FUNCTION_INFO_V1(loyalty_request_token);

/* The merchant is known by the app user, so there is none among the arguments. */
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

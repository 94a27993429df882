/*
 * kasu.c
 *		The customer API of the KASU document: customers' data under their
 *		consent, and the API's paths.
 *
 * Tokens are in kasu_token.c, accounts and payments in kasu_account.c.
 */
#include "postgres.h"

#include "api/kasu.h"
#include "api/kasu_account.h"
#include "api/kasu_token.h"
#include "base/json.h"
#include "types/curp.h"
#include "utils/builtins.h"

/* ------------------------------------------------------------------------
 * Customers
 * ------------------------------------------------------------------------ */

enum
{
	ASK_REQUEST = KASU_FIELDS, ASK_PRODUCT, ASK_POLICY, ASK_ACCEPTANCE
};

/* The data that an individual request can ask for. */
static const struct
{
	const char *key;
	const char *description;
	bool		of_policy;
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

/* What is logged of what was asked for: a word of the document, or that it was none. */
static const char *
known_request(const Call *call)
{
	const char *request = call->values[ASK_REQUEST].text;

	if (!kasu_is_text(&call->values[ASK_REQUEST]))
		return NULL;
	for (int i = 0; i < (int) lengthof(keys); i++)
	{
		if (strcmp(keys[i].key, request) == 0)
			return keys[i].key;
	}
	for (int i = 0; i < (int) lengthof(blocks); i++)
	{
		if (strcmp(blocks[i].key, request) == 0)
			return blocks[i].key;
	}
	return strcmp(request, "individual_request") == 0 || strcmp(request, "request_block") == 0 ? request : KASU_UNKNOWN;
}

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

#define CUSTOMER_JSON \
	"json_build_object('Usuario', c.user_name, 'Tipo', c.kind, 'Nombre', m.first_name, 'Paterno', m.first_last_name," \
	" 'Materno', m.second_last_name, 'Mail', coalesce(m.email, ''), 'Telefono', coalesce(m.phone::text, '')," \
	" 'calle', coalesce(d.street, ''), 'numero', coalesce(d.number_outside, ''), 'colonia', coalesce(d.neighborhood, '')," \
	" 'municipio', coalesce(d.city, ''), 'codigo_postal', coalesce(d.postcode, ''), 'estado', coalesce(d.state, ''))"
#define CUSTOMER_TABLES \
	" FROM loyalty_internal.customer c JOIN loyalty_internal.member m ON m.merchant_id = c.merchant_id AND m.member_id = c.member_id" \
	" LEFT JOIN loyalty_internal.member_address d ON d.merchant_id = c.merchant_id AND d.member_id = c.member_id AND d.ordinal = 1" \
	" WHERE c.merchant_id = $1 AND m.merchant_id = $1 AND c.member_id = $2"

static Statement customer_datum_sql = {
	.sql = "SELECT " CUSTOMER_JSON " -> $3 AS datum" CUSTOMER_TABLES,
	.params = {INT8OID, INT8OID, TEXTOID}
};

#define POLICY_JSON \
	"json_build_object('Producto', s.product, 'CostoVenta', s.cost, 'NumeroPagos', s.payments, 'IdFIrma', s.signature_id," \
	" 'Status', s.status, 'FechaRegistro', to_char(s.registered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')," \
	" 'Poliza', s.policy_number)"

static Statement policy_datum_sql = {
	.sql = "SELECT " POLICY_JSON " -> $3 AS datum FROM loyalty.policies s WHERE s.merchant_id = $1 AND s.member_id = $2"
	" AND ($4 IS NULL OR s.policy_number = $4) ORDER BY s.sale_no DESC LIMIT 1",
	.params = {INT8OID, INT8OID, TEXTOID, TEXTOID}
};

static char *
datum(const Call *call, bool of_policy)
{
	const char *policy = call->values[ASK_POLICY].text;
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		Int64GetDatum(call->id),
		CStringGetTextDatum(call->values[ASK_REQUEST].text),
		policy ? CStringGetTextDatum(policy) : (Datum) 0,
	};
	const char	nulls[] = {' ', ' ', ' ', policy ? ' ' : 'n'};

	if (!of_policy)
		db_read(&customer_datum_sql, values, NULL);
	else if (db_read(&policy_datum_sql, values, nulls) == 0)
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
		kasu_check_reading(call, call->values[ASK_ACCEPTANCE].text, &curp);
		return datum(call, keys[i].of_policy);
	}
	raise_error(ERR_KASU_404);
}

static Statement product_for_sql = {
	.sql = "SELECT json_build_object('producto', name, 'viable', stock > 0, 'edad', a.age, 'costo', price, 'numero_pagos', max_payments,"
	" 'costo_a_pagos', loyalty.instalment_cost(price, annual_rate, max_payments)) AS offer FROM loyalty_internal.product,"
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
	" 'existencias', stock) ORDER BY name COLLATE pg_catalog.\"default\"), '[]') AS products FROM loyalty_internal.product WHERE merchant_id = $1",
	.params = {INT8OID}
};

static Statement customer_block_sql = {
	.sql = "SELECT json_build_object('cliente', " CUSTOMER_JSON ","
	" 'usuario', json_build_object('nombre_de_usuario', c.user_name, 'preferencias', c.preferences),"
	" 'ventas', coalesce((SELECT json_agg(" POLICY_JSON " ORDER BY s.sale_no) FROM loyalty.policies s"
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
	kasu_check_reading(call, call->values[ASK_ACCEPTANCE].text, &curp);
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
	kasu_record_access(call, call->merchant_id, known_request(call), call->endpoint->status);

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
		[ASK_ACCEPTANCE] = KASU_SECRET("clave_aceptacion"),
	},
	.result = RESULT_JSON,
	.logs = true,
	.status = 202,
	.run = customer_read_run,
};

/* ------------------------------------------------------------------------
 * Paths, error bodies, and the functions in SQL
 * ------------------------------------------------------------------------ */

static const Route routes[] = {
	{"POST", "/api/Registro_V1", &kasu_token_full, false},
	{"POST", "/api/Registro_sbx", &kasu_token_full, true},
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
static ErrorId
log_refusal(const Call *call, ErrorId error)
{
	const Value *values = call->values;
	int64		merchant_id = call->merchant_id;

	if (call->endpoint == NULL || values[KASU_USER].text == NULL)
		return error;
	if (call->only_reads)
		return ERR_READ_ONLY;
	db_begin();
	if (merchant_id == 0)
		merchant_id = kasu_merchant_of(values[KASU_USER].text);
	if (merchant_id != 0)
		kasu_record_access(call, merchant_id, call->endpoint == &customer_read ? known_request(call) : NULL, error_info(error)->http_status);
	db_end();
	return error;
}

const Family kasu_family = {"/api/", routes, lengthof(routes), true, true, kasu_error_body, log_refusal};

PG_FUNCTION_INFO_V1(loyalty_customer_read);

/* loyalty.customer_read(): data of a customer, under the consent for an app user. */
Datum
loyalty_customer_read(PG_FUNCTION_ARGS)
{
	return endpoint_sql(&customer_read, fcinfo);
}

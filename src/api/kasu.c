/*
 * kasu.c
 *		The customer API of the KASU document: customers' data under their
 *		consent, and the API's paths.
 *
 * Tokens are in kasu_token.c, accounts and payments in kasu_account.c.
 */
#include "postgres.h"

#include "admin/turn.h"
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

/* The groups that the data of an individual request are listed in. */
enum
{
	OF_CONTACT = 1, OF_USER = 2, OF_SALE = 4
};

static const struct
{
	int			group;
	const char *name;
}			groups[] = {
	{OF_CONTACT, "Datos_Contacto"}, {OF_USER, "Datos_usuario"}, {OF_SALE, "Datos_ventas"}
};

/* The data that an individual request can ask for. */
static const struct
{
	const char *key;
	const char *description;
	int			groups;
}			keys[] = {
	{"Mail", "Correo electrónico del cliente", OF_CONTACT},
	{"Telefono", "Teléfono del cliente", OF_CONTACT},
	{"calle", "Calle del domicilio", OF_CONTACT},
	{"numero", "Número del domicilio", OF_CONTACT},
	{"colonia", "Colonia del domicilio", OF_CONTACT},
	{"municipio", "Municipio del domicilio", OF_CONTACT},
	{"codigo_postal", "Código postal del domicilio", OF_CONTACT},
	{"estado", "Estado del domicilio", OF_CONTACT},
	{"Usuario", "Nombre de usuario del cliente", OF_USER},
	{"Tipo", "Tipo de cliente", OF_USER},
	{"Nombre", "Nombre(s) del cliente", OF_USER},
	{"Paterno", "Apellido paterno", OF_USER},
	{"Materno", "Apellido materno", OF_USER},
	{"Producto", "Producto de la venta", OF_CONTACT | OF_SALE},
	{"CostoVenta", "Costo de la venta", OF_SALE},
	{"Subtotal", "Costo de la venta en un solo pago", OF_SALE},
	{"NumeroPagos", "Número de pagos de la venta", OF_SALE},
	{"DiaPago", "Día de pago de la venta", OF_SALE},
	{"IdFIrma", "Identificador de la firma de la venta", OF_SALE},
	{"IdFirma", "Identificador de la firma de la venta", OF_SALE},
	{"Status", "Estatus de la venta", OF_SALE},
	{"FechaLiquidacion", "Fecha de liquidación de la venta", OF_SALE},
	{"FechaRegistro", "Fecha de registro de la venta", OF_SALE},
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

/* The keys of some groups, each with its description. */
static char *
described_keys(int of_groups)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < (int) lengthof(keys); i++)
	{
		if (keys[i].groups & of_groups)
			body_text(&json, keys[i].key, keys[i].description);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

static char *
described_blocks(void)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < (int) lengthof(blocks); i++)
		body_text(&json, blocks[i].key, blocks[i].description);
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* What can be asked for: in groups, and as data all of it. */
static char *
list_keys(StringInfo answer, const char *request)
{
	char	   *data;

	if (strcmp(request, "request_block") == 0)
	{
		data = described_blocks();
		body_json(answer, "request_block", data);
		return data;
	}
	if (strcmp(request, "individual_request") != 0)
		raise_error(ERR_KASU_404);
	for (int i = 0; i < (int) lengthof(groups); i++)
		body_json(answer, groups[i].name, described_keys(groups[i].group));
	return described_keys(OF_CONTACT | OF_USER | OF_SALE);
}

#define CUSTOMER_JSON \
	"json_build_object('Usuario', c.user_name, 'Tipo', c.kind, 'Nombre', m.first_name, 'Paterno', m.first_last_name," \
	" 'Materno', m.second_last_name, 'Mail', coalesce(m.email, ''), 'Telefono', coalesce(m.phone::text, '')," \
	" 'calle', coalesce(d.street, ''), 'numero', coalesce(d.number_outside, ''), 'colonia', coalesce(d.neighborhood, '')," \
	" 'municipio', coalesce(d.city, ''), 'codigo_postal', coalesce(d.postcode, ''), 'estado', coalesce(d.state, ''))"
#define CUSTOMER_FROM \
	" FROM loyalty_internal.customer c JOIN loyalty_internal.member m ON m.merchant_id = c.merchant_id AND m.member_id = c.member_id" \
	" LEFT JOIN loyalty_internal.member_address d ON d.merchant_id = c.merchant_id AND d.member_id = c.member_id AND d.ordinal = 1"
#define CUSTOMER_WHERE " WHERE c.merchant_id = $1 AND m.merchant_id = $1 AND c.member_id = $2"

static Statement customer_datum_sql = {
	.sql = "SELECT " CUSTOMER_JSON " -> $3 AS datum" CUSTOMER_FROM CUSTOMER_WHERE,
	.params = {INT8OID, INT8OID, TEXTOID}
};

#define UTC(moment) "coalesce(to_char(" moment " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '')"
#define POLICY_JSON \
	"json_build_object('Id', s.policy_id::text, 'Producto', s.product, 'CostoVenta', s.cost, 'Subtotal', s.price, 'NumeroPagos', s.payments," \
	" 'DiaPago', s.pay_day, 'IdFIrma', s.policy_number, 'IdFirma', s.policy_number, 'Status', s.status, 'TipoServicio', s.service," \
	" 'FechaRegistro', " UTC("s.registered_at") ", 'FechaLiquidacion', " UTC("s.paid_off_at") ", 'Poliza', s.policy_number)"

/* of one policy the value itself, of several a list, the newest first */
static Statement policy_datum_sql = {
	.sql = "SELECT count(*) AS policies, CASE count(*) WHEN 1 THEN (array_agg(d.datum))[1] ELSE json_agg(json_build_object("
	"'valor', d.datum, 'id_venta', d.policy_id::text, 'producto', d.product, 'poliza', d.policy_number) ORDER BY d.sale_no DESC) END AS datum"
	" FROM (SELECT s.policy_id, s.product, s.policy_number, s.sale_no, " POLICY_JSON " -> $3 AS datum"
	" FROM loyalty.policies s WHERE s.merchant_id = $1 AND s.member_id = $2 AND ($4 IS NULL OR s.policy_number = $4)) d",
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
	else
	{
		db_read(&policy_datum_sql, values, nulls);
		if (row_int64(0, "policies") == 0)
			raise_error(policy ? ERR_KASU_404 : ERR_KASU_412);
	}
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
		return datum(call, keys[i].groups & OF_SALE);
	}
	raise_error(ERR_KASU_412);
}

#define PRODUCT_JSON \
	"json_build_object('producto', name, 'costo', price, 'comision', commission, 'fideicomiso', trust," \
	" 'forma_pago', json_build_object('meses_max', max_payments, 'tasa_anual', annual_rate)," \
	" 'nombre', name, 'precio', price, 'descripcion', description, 'existencias', stock," \
	" 'familia', coalesce(family, ''), 'edad_minima', min_age, 'edad_maxima', max_age)"

static Statement product_for_sql = {
	.sql = "SELECT " PRODUCT_JSON " AS today,"
	" json_build_object('producto', name, 'viable', stock > 0, 'edad', a.age, 'costo', price, 'numero_pagos', max_payments,"
	" 'costo_a_pagos', loyalty.instalment_cost(price, annual_rate, max_payments)) AS offer FROM loyalty_internal.product,"
	" LATERAL (SELECT loyalty_internal.age_on($3, loyalty_internal.customer_today($1, $4)) AS age) a"
	" WHERE merchant_id = $1 AND (name = $2 OR family = $2) AND a.age BETWEEN min_age AND max_age",
	.params = {INT8OID, TEXTOID, CURPOID, INT8OID}
};

static char *
product_for_customer(const Call *call, StringInfo answer, const Curp *curp)
{
	Datum		values[] = {
		Int64GetDatum(call->merchant_id),
		CStringGetTextDatum(call->values[ASK_PRODUCT].text),
		CurpPGetDatum(curp),
		Int64GetDatum(call->id),
	};

	if (db_read(&product_for_sql, values, NULL) == 0)
		raise_error(ERR_KASU_406);
	body_members(answer, row_text(0, "today"));
	return row_text(0, "offer");
}

static Statement product_list_sql = {
	.sql = "SELECT json_build_object('productos', coalesce(json_agg(" PRODUCT_JSON " ORDER BY name COLLATE pg_catalog.\"default\"), '[]')) AS today,"
	" coalesce(json_agg(json_build_object('nombre', name, 'precio', price, 'descripcion', description,"
	" 'existencias', stock) ORDER BY name COLLATE pg_catalog.\"default\"), '[]') AS products FROM loyalty_internal.product WHERE merchant_id = $1",
	.params = {INT8OID}
};

static char *
product_list(const Call *call, StringInfo answer)
{
	Datum		value = Int64GetDatum(call->merchant_id);

	db_read(&product_list_sql, &value, NULL);
	body_members(answer, row_text(0, "today"));
	return row_text(0, "products");
}

/* who sold is the app user of the newest policy, or else who has enrolled the customer */
static Statement customer_block_sql = {
	.sql = "SELECT json_build_object('Ejecutivo', coalesce((SELECT s.sold_by FROM loyalty_internal.policy s"
	" WHERE s.merchant_id = $1 AND s.member_id = c.member_id ORDER BY s.sale_no DESC LIMIT 1),"
	" (SELECT f.name FROM loyalty_internal.staff f WHERE f.merchant_id = $1 AND f.staff_id = m.enrolled_by), ''),"
	" 'Nombre', m.name, 'Tipo', c.kind, 'Mail', coalesce(m.email, ''), 'Telefono', coalesce(m.phone::text, ''),"
	" 'Producto', coalesce((SELECT s.product FROM loyalty.policies s"
	" WHERE s.merchant_id = $1 AND s.member_id = c.member_id ORDER BY s.sale_no DESC LIMIT 1), ''),"
	" 'FechaRegistro', " UTC("m.created_at") ","
	" 'Direccion', json_build_object('calle', coalesce(d.street, ''), 'numero', coalesce(d.number_outside, ''), 'colonia', coalesce(d.neighborhood, ''),"
	" 'municipio', coalesce(d.city, ''), 'codigo_postal', coalesce(d.postcode, ''), 'estado', coalesce(d.state, '')),"
	" 'ventas', v.sales) AS today,"
	" json_build_object('cliente', " CUSTOMER_JSON ","
	" 'usuario', json_build_object('nombre_de_usuario', c.user_name, 'preferencias', c.preferences), 'ventas', v.sales) AS block"
	CUSTOMER_FROM ", LATERAL (SELECT coalesce(json_agg(" POLICY_JSON " ORDER BY s.sale_no), '[]') AS sales FROM loyalty.policies s"
	" WHERE s.merchant_id = $1 AND s.member_id = c.member_id) v" CUSTOMER_WHERE,
	.params = {INT8OID, INT8OID}
};

static char *
customer_block(const Call *call, StringInfo answer)
{
	Datum		values[] = {Int64GetDatum(call->merchant_id), Int64GetDatum(call->id)};

	db_read(&customer_block_sql, values, NULL);
	body_members(answer, row_text(0, "today"));
	return row_text(0, "block");
}

static char *
request_block(Call *call, StringInfo answer)
{
	const char *request = call->values[ASK_REQUEST].text;
	bool		whole = strcmp(request, "cliente") == 0;
	Curp		curp;

	if (strcmp(request, "catalogo_productos") == 0)
		return product_list(call, answer);
	if (!whole && strcmp(request, "producto_cliente") != 0)
		raise_error(ERR_KASU_404);
	if (!whole && call->values[ASK_PRODUCT].text == NULL)
		raise_error(ERR_KASU_400);
	kasu_check_reading(call, call->values[ASK_ACCEPTANCE].text, &curp);
	return whole ? customer_block(call, answer) : product_for_customer(call, answer, &curp);
}

static void
customer_read_run(Call *call)
{
	const Value *values = call->values;
	const char *operation = values[KASU_OPERATION].text;
	char	   *data;
	StringInfoData json;

	if (call->origin == FROM_REQUEST)
		kasu_check_token(call, "CUSTOMER");
	initStringInfo(&json);
	body_text(&json, "curp_en_uso", values[KASU_CURP].text);
	body_text(&json, "request", values[ASK_REQUEST].text);
	if (strcmp(operation, "request") == 0)
		data = list_keys(&json, values[ASK_REQUEST].text);
	else if (strcmp(operation, "individual_request") == 0)
		data = individual_request(call);
	else if (strcmp(operation, "request_block") == 0)
		data = request_block(call, &json);
	else
		raise_error(ERR_KASU_404);
	kasu_record_access(call, call->merchant_id, known_request(call), call->endpoint->status);
	call->json = kasu_answer(&json, "data", data);
}

static const Endpoint customer_read = {
	.name = "customer_read",
	.fields = {
		KASU_COMMON_FIELDS(KASU_CURP_FIELD),
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
	{"POST", "/api/Token_Full", &kasu_token_full, false},
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
	body_text(json, "error", message);
	body_text(json, "mensaje", message);
	if (error->http_status == 429)
		body_json(json, "retry_after", psprintf("%d", retry_after_s(error)));
	appendStringInfoChar(json, '}');
}

/*
 * Log a refusal with the merchant of the app user that the request names, also
 * if nothing proves that it comes from that user.  Then it has no turn yet, and
 * if none is left it is refused all the same, and not written down: names are
 * no secrets, and whoever knows one could make as many sessions write as there are.
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
	if (merchant_id != 0 && (call->app_user != NULL || turn_try(merchant_id, TURNS_OF_ANYBODY)))
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

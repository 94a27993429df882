/*
 * plan_json.h
 *		How the APIs print what the database has: pieces of plan.c's statements.
 */
#ifndef LOYALTY_PLAN_JSON_H
#define LOYALTY_PLAN_JSON_H

/* Wallets and their contacts, as documented, and contacts as the provider's client for assistants reads them. */
#define WALLET_COLUMNS \
	"name AS wallet_name, wallet_key, app_client AS wallet_app_client, app_redeem AS wallet_app_redeem"
#define CONTACT_COLUMNS \
	"m.name AS contact_name, m.phone::text AS contact_phone, m.birth_date AS contact_birthdate, a.balance AS contact_balance"
#define ASSISTANT_COLUMNS "m.phone::text AS phone, m.name, a.balance"
#define CONTACTS(columns, which) \
	"SELECT " columns " FROM loyalty.member m" \
	" JOIN loyalty.balances a ON a.merchant_id = m.merchant_id AND a.account_id = m.account_id" \
	" WHERE m.merchant_id = $1 AND a.merchant_id = $1 AND m.program_id = $2 AND m.active AND " which

/* How the seller API prints programs and members. */
#define ISO_TIME(column) \
	"to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define PROGRAM_JSON \
	"SELECT json_build_object('seller', merchant_id::text, 'user', managed_by, 'rangeGroup', range_group," \
	" 'currency', json_build_object('iso', currency_iso, 'name', currency_name, 'change', currency_change," \
	" 'status', currency_active)," \
	" 'unit', json_build_object('name', unit_name, 'base', unit_base, 'status', unit_active)," \
	" 'redemptionBase', json_build_object('value', redemption_money, 'balance', redemption_points::text)," \
	" 'accumulationBase', json_build_object('balance', accumulation_points::text, 'value', accumulation_money)," \
	" 'durationPointsUnitTime', json_build_object('name', duration_name, 'unitType', duration_unit, 'value', duration_value)," \
	" 'name', name, 'clientId', client_id, 'status', CASE WHEN active THEN 'active' ELSE 'inactive' END," \
	" 'createdAt', " ISO_TIME("created_at") ", 'updatedAt', " ISO_TIME("updated_at") ", 'id', program_id::text)" \
	" FROM loyalty.program WHERE merchant_id = $1"
#define ADDRESS_JSON(street, inside, outside, country, state, city) \
	"json_build_object('street', " street ", 'numberInside', " inside ", 'numberOutside', " outside ", 'postcode'," \
	" json_build_object('country', json_build_object('name', " country "), 'state', json_build_object('name', " state ")," \
	" 'city', json_build_object('name', " city ")))"
#define FIRST_NAME "'firstName', CASE WHEN m.first_name = '' THEN m.name ELSE m.first_name END"
#define MEMBER_JSON(start) \
	"json_build_object('id', m.member_id::text, " start "," \
	" 'firstLastName', m.first_last_name, 'secondLastName', m.second_last_name, 'email', coalesce(m.email, '')," \
	" 'birthDate', coalesce(to_char(m.birth_date, 'YYYY-MM-DD'), ''), 'subscriptionDate', " ISO_TIME("m.subscribed_at") "," \
	" 'rank', json_build_object('name', loyalty.rank_at($1, m.account_id, clock_timestamp()))," \
	" 'balance', b.balance, 'expiredAmount', b.expired, 'address'," \
	" coalesce((SELECT json_agg(" ADDRESS_JSON("d.street", "d.number_inside", "d.number_outside", "d.country", "d.state", "d.city") \
	" ORDER BY d.ordinal) FROM loyalty.member_address d WHERE d.merchant_id = $1 AND d.member_id = m.member_id)," \
	" CASE WHEN m.country = '' THEN '[]' ELSE json_build_array(" ADDRESS_JSON("''", "''", "''", "m.country", "''", "''") ") END))"

/*
 * Members are found first, and then what each of them has.  OFFSET 0 keeps the
 * planner from joining all of a merchant's, or looking through them, where it
 * does not know yet how many these are.
 */
#define MEMBER_WITH_BALANCE(condition) \
	"LATERAL (SELECT * FROM loyalty.member WHERE merchant_id = $1 AND " condition " OFFSET 0) m," \
	" LATERAL (SELECT balance, expired FROM loyalty.balances WHERE merchant_id = $1 AND account_id = m.account_id OFFSET 0) b"

/* So many active members of a program, after one of them. */
#define MEMBER_PAGE(condition) \
	"SELECT " MEMBER_JSON(FIRST_NAME ", 'clientId', m.client_id") \
	" FROM (SELECT member_id FROM loyalty.member" \
	" WHERE merchant_id = $1 AND program_id = $2 AND active AND member_id > $5" condition \
	" ORDER BY member_id LIMIT $3 OFFSET $4) page, " MEMBER_WITH_BALANCE("member_id = page.member_id") \
	" ORDER BY page.member_id"

/* How the customer API prints a customer and a sale. */
#define CUSTOMER_JSON \
	"json_build_object('Usuario', c.user_name, 'Tipo', c.kind, 'Nombre', m.first_name, 'Paterno', m.first_last_name," \
	" 'Materno', m.second_last_name, 'Mail', coalesce(m.email, ''), 'Telefono', coalesce(m.phone::text, '')," \
	" 'calle', coalesce(d.street, ''), 'numero', coalesce(d.number_outside, ''), 'colonia', coalesce(d.neighborhood, '')," \
	" 'municipio', coalesce(d.city, ''), 'codigo_postal', coalesce(d.postcode, ''), 'estado', coalesce(d.state, ''))"
#define CUSTOMER_TABLES \
	" FROM loyalty.customer c JOIN loyalty.member m ON m.merchant_id = c.merchant_id AND m.member_id = c.member_id" \
	" LEFT JOIN loyalty.member_address d ON d.merchant_id = c.merchant_id AND d.member_id = c.member_id AND d.ordinal = 1" \
	" WHERE c.merchant_id = $1 AND m.merchant_id = $1 AND c.member_id = $2"
#define SALE_JSON \
	"json_build_object('Producto', s.product, 'CostoVenta', s.cost, 'NumeroPagos', s.payments, 'IdFIrma', s.signature_id," \
	" 'Status', s.status, 'FechaRegistro', to_char(s.registered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')," \
	" 'Poliza', s.policy_number)"

#endif

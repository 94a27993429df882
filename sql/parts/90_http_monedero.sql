-- What PostgREST exposes.  Every function answers JSON with its HTTP status in
-- response.status and never raises.  gateway serves the documented paths,
-- gateway_read those of them that only read; the others are the same operations
-- with named parameters, and show up in OpenAPI.

-- PostgREST sends what is of this type as it is.  Any other JSON it aggregates,
-- which parses it and copies it twice more.
CREATE DOMAIN loyalty_api."application/json" AS json;
COMMENT ON DOMAIN loyalty_api."application/json" IS 'The body of an answer, of the media type that this is called by.';

CREATE FUNCTION loyalty_api.gateway(bytea) RETURNS loyalty_api."application/json"
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_gateway';
COMMENT ON FUNCTION loyalty_api.gateway(bytea) IS
$$The documented paths
Takes the raw body of a request that the web server in front has rewritten; the method, URI, content type and keys of the original come in headers X-Loyalty-*. Not meant to be called otherwise.$$;

-- PostgREST opens a transaction that only reads for what is STABLE, as it must on
-- a standby.
CREATE FUNCTION loyalty_api.gateway_read(bytea) RETURNS loyalty_api."application/json"
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_gateway_read';
COMMENT ON FUNCTION loyalty_api.gateway_read(bytea) IS
$$The documented paths that only read
The same for the web server in front of a standby: serves what reads of the wallet and the seller API, and answers everything else 503, read_only. Not meant to be called otherwise.$$;

CREATE FUNCTION loyalty_api.toolusers_get() RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_toolusers_get';
COMMENT ON FUNCTION loyalty_api.toolusers_get() IS
'Staff of the merchant
All cashiers and managers, archived ones too. Their usertool_id is required by other calls. Same as POST /toolusers/get of the Monedero document.';

CREATE FUNCTION loyalty_api.wallet_get() RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_wallet_get';
COMMENT ON FUNCTION loyalty_api.wallet_get() IS
'Wallets of the merchant
Name, wallet_key and links of every wallet. Same as POST /wallet/get of the Monedero document.';

CREATE FUNCTION loyalty_api.wallet_contact_add(wallet_key text DEFAULT NULL, phone text DEFAULT NULL, customer_name text DEFAULT NULL, usertool_id text DEFAULT NULL, customer_birthdate text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_wallet_contact_add';
COMMENT ON FUNCTION loyalty_api.wallet_contact_add(text, text, text, text, text) IS
'Register a contact
Registers the phone (10 digits) in the wallet and queues the welcome message. customer_birthdate (YYYY-MM-DD) is optional unless the wallet requires it. Same as POST /wallet/contact/add of the Monedero document; errors contact_add_02 to _07, wallet_manager_08 to _18.';

CREATE FUNCTION loyalty_api.wallet_contact_get(wallet_key text DEFAULT NULL, phone text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_wallet_contact_get';
COMMENT ON FUNCTION loyalty_api.wallet_contact_get(text, text) IS
'Contacts of a wallet
Without phone all contacts, by name; with it that one. Same as POST /wallet/contact/get of the Monedero document; errors balance_get_02 to _04.';

CREATE FUNCTION loyalty_api.wallet_sale(wallet_key text DEFAULT NULL, phone text DEFAULT NULL, transaction_type text DEFAULT NULL,
	transaction_amount text DEFAULT NULL, points_used text DEFAULT NULL, usertool_id text DEFAULT NULL, ticket text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_wallet_sale';
COMMENT ON FUNCTION loyalty_api.wallet_sale(text, text, text, text, text, text, text) IS
'Sell or redeem
transaction_type 0 adds the wallet''s percentage of transaction_amount; 1 takes points_used away. ticket is obligatory where the wallet says so. Same as POST /wallet/sale of the Monedero document; errors new_sale_02 to _14, wallet_redeem_10 to _18.';

CREATE FUNCTION loyalty_api.wallet_balance_update(wallet_key text DEFAULT NULL, phone text DEFAULT NULL, transaction_type text DEFAULT NULL, transaction_amount text DEFAULT NULL, usertool_id text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_wallet_balance_update';
COMMENT ON FUNCTION loyalty_api.wallet_balance_update(text, text, text, text, text) IS
'Correct a balance
transaction_type 0 adds transaction_amount points, 1 takes them away. Same as POST /wallet/balance/update of the Monedero document; errors balance_update_02 to _12, wallet_balance_update_07 to _10.';

CREATE FUNCTION loyalty_api.employee_add(type text DEFAULT NULL, employee_name text DEFAULT NULL, business_name text DEFAULT NULL, number text DEFAULT NULL, password text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_employee_add';
COMMENT ON FUNCTION loyalty_api.employee_add(text, text, text, text, text) IS
'Register a staff member
type is cajero or gerente. Same as POST /employee/add of the Monedero document; errors err_toolusers_01 to _04.';

CREATE FUNCTION loyalty_api.employee_disable(number text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_employee_disable';
COMMENT ON FUNCTION loyalty_api.employee_disable(text) IS
'Archive a staff member
By mobile number. Same as POST /employee/disable of the Monedero document; errors err_toolusers_01, _02, _04.';

-- The eight operations of the Monedero document, for SQL clients.  They raise;
-- merchant_id says who acts (loyalty.authenticate() finds it for an API key).

CREATE FUNCTION loyalty.toolusers_get(
	merchant_id bigint,
	OUT usertool_id bigint, OUT usertool_name text, OUT usertool_number text, OUT usertool_branch text, OUT usertool_type text, OUT usertool_status text)
RETURNS SETOF record
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_toolusers_get';
COMMENT ON FUNCTION loyalty.toolusers_get(bigint) IS
'All staff of a merchant, archived ones too: usertool_status is activo or archivado. Monedero, Obtener usuarios. Errors: none but those of the server.';

CREATE FUNCTION loyalty.wallet_get(
	merchant_id bigint,
	OUT wallet_name text, OUT wallet_key text, OUT wallet_app_client text, OUT wallet_app_redeem text)
RETURNS SETOF record
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_wallet_get';
COMMENT ON FUNCTION loyalty.wallet_get(bigint) IS
'The wallets of a merchant, by name. Monedero, Obtener monederos. Errors: none but those of the server.';

CREATE FUNCTION loyalty.wallet_contact_add(
	merchant_id bigint, wallet_key text, phone text, customer_name text, usertool_id bigint,
	customer_birthdate text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_wallet_contact_add';
COMMENT ON FUNCTION loyalty.wallet_contact_add(bigint, text, text, text, bigint, text, text) IS
'Registers a contact in a wallet, opens its account, queues the welcome message; returns its member_id. A contact who was taken out and is the same person comes back, with their points. customer_birthdate: YYYY-MM-DD, with an optional time. Monedero, Crear contacto. Errors, in this order: LM003 wallet_manager_03, LM004 wallet_manager_04, LC004 contact_add_04, LM005 wallet_manager_05, LM006 wallet_manager_06, LM009 wallet_manager_09 (format), LM007 wallet_manager_07, LM006 (unknown, archived or not permitted), LM015 wallet_manager_15, LM014 wallet_manager_14, LM009 (required), LM008 wallet_manager_08, LM018 wallet_manager_18, LM013 wallet_manager_13, LM011 wallet_manager_11; LM010 wallet_manager_10 or LM012 wallet_manager_12 for an unexpected failure.';

CREATE FUNCTION loyalty.wallet_contact_get(
	merchant_id bigint, wallet_key text, phone text DEFAULT NULL,
	OUT contact_name text, OUT contact_phone text, OUT contact_birthdate date, OUT contact_balance loyalty.points)
RETURNS SETOF record
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_wallet_contact_get';
COMMENT ON FUNCTION loyalty.wallet_contact_get(bigint, text, text) IS
'The contacts of a wallet by name, or the one with this phone. contact_balance: points. Monedero, Obtener contactos. Errors: LW002 wallet_balance_get_02 (also for an unknown wallet), LG003 balance_get_03, LG004 balance_get_04.';

CREATE FUNCTION loyalty.wallet_sale(
	merchant_id bigint, wallet_key text, phone text, transaction_type integer, transaction_amount numeric DEFAULT NULL,
	points_used numeric DEFAULT NULL, usertool_id bigint DEFAULT NULL, ticket text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS loyalty.points
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_wallet_sale';
COMMENT ON FUNCTION loyalty.wallet_sale(bigint, text, text, integer, numeric, numeric, bigint, text, text) IS
'Posts a sale and returns the new balance in points. transaction_type 0 adds the wallet''s percentage of transaction_amount (money, obligatory); 1 takes points_used away, transaction_amount is optional and recorded. Monedero, Crear venta. Errors, in this order: LR002 wallet_redeem_02, LS003 new_sale_03, LS004 new_sale_04, LR006 wallet_redeem_06, LS006 new_sale_06, LR003 wallet_redeem_03, LR007 wallet_redeem_07, LS009 new_sale_09, LS010 new_sale_10, LR007 (more decimals than the wallet has), LR012 wallet_redeem_12, LS012 new_sale_12, LR015 wallet_redeem_15, LR016 wallet_redeem_16, LR014 wallet_redeem_14, LR010 wallet_redeem_10, LR018 wallet_redeem_18, LR013 wallet_redeem_13.';

CREATE FUNCTION loyalty.wallet_balance_update(
	merchant_id bigint, wallet_key text, phone text, transaction_type integer, transaction_amount numeric, usertool_id bigint,
	idempotency_key text DEFAULT NULL)
RETURNS loyalty.points
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_wallet_balance_update';
COMMENT ON FUNCTION loyalty.wallet_balance_update(bigint, text, text, integer, numeric, bigint, text) IS
'Adds (transaction_type 0) or takes away (1) transaction_amount points and returns the new balance. Monedero, Modificar puntos. Errors, in this order: LU002 wallet_balance_update_02, LB003 balance_update_03, LB004 balance_update_04, LU004 wallet_balance_update_04, LB006 balance_update_06, LU005 wallet_balance_update_05, LB008 balance_update_08, LB009 balance_update_09, LU005 (more decimals than the wallet has), LB010 balance_update_10, LU011 wallet_balance_update_11, LU012 wallet_balance_update_12, LU010 wallet_balance_update_10, LU007 wallet_balance_update_07, LU009 wallet_balance_update_09.';

CREATE FUNCTION loyalty.employee_add(
	merchant_id bigint, type text, employee_name text, business_name text, number text, password text,
	idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_employee_add';
COMMENT ON FUNCTION loyalty.employee_add(bigint, text, text, text, text, text, text) IS
'Registers staff and returns the staff_id (usertool_id). type: cajero or gerente; number: mobile phone; business_name: the branch, created if new. The password, of loyalty.password_min_length characters or more, is kept only as a slow salted hash, of loyalty.password_cost iterations. Monedero, Registrar colaborador. Errors, in this order: LE002 err_toolusers_02 (absent or malformed), LY429 too_many_requests (LE003 was answered ten times over HTTP within an hour), LE003 err_toolusers_03 (an active colleague has this name), LE004 err_toolusers_04 (this number), LE003 (this password), LE001 err_toolusers_01 (unexpected).';

CREATE FUNCTION loyalty.employee_disable(
	merchant_id bigint, number text, idempotency_key text DEFAULT NULL)
RETURNS bigint
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_employee_disable';
COMMENT ON FUNCTION loyalty.employee_disable(bigint, text, text) IS
'Archives the active staff member with this number and returns the staff_id; nothing can be posted with it afterwards. Monedero, Registrar colaborador (/employee/disable). Errors: LE002 err_toolusers_02, LE04A err_toolusers_04 (no such active staff), LE001 err_toolusers_01 (unexpected).';

-- The operations of the seller API (the IKNIU document), for SQL clients.  They
-- raise, but for the items of a batch, which fail one by one in the answer.
-- Ids of programs and members are client ids.

CREATE FUNCTION loyalty.seller_program_list(
	merchant_id bigint)
RETURNS SETOF json
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_program_list';
COMMENT ON FUNCTION loyalty.seller_program_list(bigint) IS
'The programs of a merchant, as the seller API prints them. IKNIU, Programas. Errors: none but those of the server.';

CREATE FUNCTION loyalty.seller_program_get(
	merchant_id bigint, program_client_id text)
RETURNS SETOF json
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_program_get';
COMMENT ON FUNCTION loyalty.seller_program_get(bigint, text) IS
'One program by its client id. IKNIU, Programas. Errors: LI001 missing_field, LI010 program_not_found.';

CREATE FUNCTION loyalty.seller_member_list(
	merchant_id bigint, program_client_id text, row_limit bigint DEFAULT NULL, row_offset bigint DEFAULT NULL, after text DEFAULT NULL,
	email text DEFAULT NULL, phone text DEFAULT NULL)
RETURNS SETOF json
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_member_list';
COMMENT ON FUNCTION loyalty.seller_member_list(bigint, text, bigint, bigint, text, text, text) IS
'The members of a program, in the order in which they were created. row_limit: so many; row_offset: without the first so many; after: those after this memberId, which costs the same on every page; email, phone: who has it. IKNIU, Obtener todos los miembros. Errors: LI001 missing_field, LI002 invalid_field, LI010 program_not_found, LI011 member_not_found.';

CREATE FUNCTION loyalty.seller_member_get(
	merchant_id bigint, program_client_id text, member_client_id text)
RETURNS SETOF json
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_member_get';
COMMENT ON FUNCTION loyalty.seller_member_get(bigint, text, text) IS
'One member by client ids. IKNIU, Obtener miembro en especifico. Errors: LI001 missing_field, LI010 program_not_found, LI011 member_not_found.';

CREATE FUNCTION loyalty.seller_member_balance(
	merchant_id bigint, program_client_id text, member_client_id text)
RETURNS SETOF json
LANGUAGE C STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_member_balance';
COMMENT ON FUNCTION loyalty.seller_member_balance(bigint, text, text) IS
'programId, memberId, balance and expiredAmount (points) of one member. IKNIU, Obtener balance del cliente. Errors: LI001 missing_field, LI010 program_not_found, LI011 member_not_found.';

CREATE FUNCTION loyalty.seller_member_create(
	merchant_id bigint, program_client_id text, email text, first_name text, first_last_name text, second_last_name text DEFAULT NULL,
	birthdate text DEFAULT NULL, birth_date text DEFAULT NULL, client_id text DEFAULT NULL, member_client_id text DEFAULT NULL,
	rank text DEFAULT NULL, subscription_date text DEFAULT NULL, country text DEFAULT NULL, phone text DEFAULT NULL,
	address text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_member_create';
COMMENT ON FUNCTION loyalty.seller_member_create(bigint, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text) IS
'Creates a member of a program with an empty account, and returns it; who had left and is the same person comes back instead, with their points, rank and subscription date. client_id (or member_client_id): the documented memberId, CM and 13 digits unless given. birth_date (or birthdate): YYYY-MM-DD; subscription_date: ISO 8601, now unless given; address: JSON array in the printed shape. IKNIU, Crear miembro. Errors: LI001 missing_field, LI002 invalid_field, LI005 program_inactive, LI008 member_exists, LI009 unknown_rank, LI010 program_not_found, LY422 idempotency_key_reused.';

CREATE FUNCTION loyalty.seller_deposit(
	merchant_id bigint, items json, idempotency_key text DEFAULT NULL)
RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_deposit';
COMMENT ON FUNCTION loyalty.seller_deposit(bigint, json, text) IS
'Deposits points, or money where an item names a currency. items: an array of objects as the document has them, or one; the answer has the same length and order, and each item succeeds or fails alone, its description says why. IKNIU, Abono de puntos. Errors of the whole: LA001 auth_01 (no such merchant), LI013 invalid_items, LY422 idempotency_key_reused, LY423 invalid_idempotency_key.';

CREATE FUNCTION loyalty.seller_redemption(
	merchant_id bigint, items json, idempotency_key text DEFAULT NULL)
RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_redemption';
COMMENT ON FUNCTION loyalty.seller_redemption(bigint, json, text) IS
'Redeems points; amountCurrency must be their worth within a cent. items: an array of objects as the document has them, or one; the answer has the same length and order, and each item succeeds or fails alone, its description says why. IKNIU, Redención de puntos. Errors of the whole: LA001 auth_01 (no such merchant), LI013 invalid_items, LY422 idempotency_key_reused, LY423 invalid_idempotency_key.';

CREATE FUNCTION loyalty.seller_accumulation(
	merchant_id bigint, items json, idempotency_key text DEFAULT NULL)
RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_seller_accumulation';
COMMENT ON FUNCTION loyalty.seller_accumulation(bigint, json, text) IS
'Turns money into points at the program''s accumulation base. items: an array of objects as the document has them, or one; the answer has the same length and order, and each item succeeds or fails alone, its description says why. IKNIU, Acumulación. Errors of the whole: LA001 auth_01 (no such merchant), LI013 invalid_items, LY422 idempotency_key_reused, LY423 invalid_idempotency_key.';

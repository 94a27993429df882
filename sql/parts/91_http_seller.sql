-- The seller API as functions with named parameters for PostgREST.  The header
-- apikey authenticates, as in the wallet API.

CREATE FUNCTION loyalty_api.program_list() RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_program_list';
COMMENT ON FUNCTION loyalty_api.program_list() IS
'Programs of the merchant
Same as GET /v1/seller/:apiKey/program of the IKNIU document.';

CREATE FUNCTION loyalty_api.program_get("programId" text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_program_get';
COMMENT ON FUNCTION loyalty_api.program_get(text) IS
'One program
Same as GET /v1/seller/:apiKey/program/:programId.';

CREATE FUNCTION loyalty_api.member_list(
	"programId" text DEFAULT NULL, "limit" text DEFAULT NULL, "offset" text DEFAULT NULL, "after" text DEFAULT NULL,
	"email" text DEFAULT NULL, "phone" text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_member_list';
COMMENT ON FUNCTION loyalty_api.member_list(text, text, text, text, text, text) IS
'Members of a program
Same as GET /v1/seller/:apiKey/program/:programId/member.';

CREATE FUNCTION loyalty_api.member_get("programId" text DEFAULT NULL, "memberId" text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_member_get';
COMMENT ON FUNCTION loyalty_api.member_get(text, text) IS
'One member
Same as GET /v1/seller/:apiKey/program/:programId/member/:memberId.';

CREATE FUNCTION loyalty_api.member_balance("programId" text DEFAULT NULL, "memberId" text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_member_balance';
COMMENT ON FUNCTION loyalty_api.member_balance(text, text) IS
'Balance of a member
Same as GET /v1/seller/:apiKey/program/:programId/member/:memberId/balance.';

CREATE FUNCTION loyalty_api.member_create(
	"programId" text DEFAULT NULL, "email" text DEFAULT NULL, "firstName" text DEFAULT NULL, "firstLastName" text DEFAULT NULL,
	"secondLastName" text DEFAULT NULL, "birthdate" text DEFAULT NULL, "birthDate" text DEFAULT NULL, "clientId" text DEFAULT NULL,
	"memberId" text DEFAULT NULL, "rank" text DEFAULT NULL, "subscriptionDate" text DEFAULT NULL, "country" text DEFAULT NULL,
	"phone" text DEFAULT NULL, "address" text DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_member_create';
COMMENT ON FUNCTION loyalty_api.member_create(text, text, text, text, text, text, text, text, text, text, text, text, text, text) IS
'Create a member
email, firstName and firstLastName are required. Same as POST /v1/seller/:apiKey/program/:programId/member; answers 201.';

CREATE FUNCTION loyalty_api.deposit(items json DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_deposit';
COMMENT ON FUNCTION loyalty_api.deposit(json) IS
'Deposit points
items: an array of deposits. Same as POST /v1/seller/:apiKey/deposit.';

CREATE FUNCTION loyalty_api.redemption(items json DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_redemption';
COMMENT ON FUNCTION loyalty_api.redemption(json) IS
'Redeem points
items: an array of redemptions. Same as POST /v1/seller/:apiKey/redemption.';

CREATE FUNCTION loyalty_api.accumulation(items json DEFAULT NULL) RETURNS json
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'loyalty_api_accumulation';
COMMENT ON FUNCTION loyalty_api.accumulation(json) IS
'Accumulate points
items: an array of accumulations, money in and points out. Same as POST /v1/seller/:apiKey/accumulation.';

-- A merchant to play with.  Prints what a client needs to know about it as
-- shell assignments; `make up` puts them into .run/env.

\set ON_ERROR_STOP 1

SELECT loyalty.load_sandbox() AS sandbox \gset
SELECT loyalty.create_merchant('Café La Parroquia', 'https://laparroquia.example') AS merchant \gset
SELECT api_key FROM loyalty.create_api_key(:merchant, 'demo') \gset
SELECT program_id, wallet_key, client_id FROM loyalty.create_wallet(:merchant, 'Monedero La Parroquia', 10) \gset
SELECT loyalty.employee_add(:merchant, 'gerente', 'María Peña', 'Centro', '4771000001', loyalty_internal.random_key('', 16)) AS manager \gset
SELECT loyalty.employee_add(:merchant, 'cajero', 'José Núñez', 'Centro', '4771000002', loyalty_internal.random_key('', 16)) AS cashier \gset
SELECT count(loyalty.wallet_contact_add(:merchant, :'wallet_key', phone, name, :cashier, birth_date)) AS contacts
FROM (VALUES ('4771234501', 'Sofía Hernández', '1988-05-26'), ('5512345602', 'Iñaki Gómez', NULL)) AS c (phone, name, birth_date) \gset

-- The seller API serves the first of them too, by this id.
SELECT loyalty.identify_member(merchant_id, member_id, email => 'sofia@example.com', client_id => 'CM1521587084121')
FROM loyalty.members WHERE merchant_id = :merchant AND phone OPERATOR(loyalty.=) '4771234501' \gset

\echo LOYALTY_APIKEY=:'api_key'
\echo LOYALTY_WALLET_KEY=:'wallet_key'
\echo LOYALTY_USERTOOL_ID=:'cashier'
\echo LOYALTY_PROGRAM_ID=:'client_id'
\echo LOYALTY_MEMBER_ID=CM1521587084121

# tour.sh - what demo.sh shows: commands as a person types them, and what is documented of their answers.
# Sourced, never run.  Its words, each with a command on standard input:
#     call STATUS TEXT TITLE   in the shell; an HTTP status that is a pattern, or none
#     sql TEXT TITLE           in psql
#     keep TITLE               assigns something for the calls that follow
#     connect TITLE            starts psql
# TEXT is in the answer; of several lines, each is.  @PHONE, @NUMBER and @TAG are new in each tour;
# @PROGRAM and @MEMBER are the ids of the demo, for quotes in which the shell replaces nothing.

chapter "The wallet API, for tills: people are phones"

call 200 '"code":"tool_users_01"' "The staff of the merchant" <<'END'
curl -X POST "$LOYALTY_URL/toolusers/get" -H "apikey: $LOYALTY_APIKEY" -d ""
END

call 200 '"code":"wallets_get_01"' "Its wallets" <<'END'
curl -X POST "$LOYALTY_URL/wallet/get" -H "apikey: $LOYALTY_APIKEY" -d ""
END

call 200 '"code":"contact_add_01"' "A new customer, who gets a message" <<'END'
curl -X POST "$LOYALTY_URL/wallet/contact/add" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE -d usertool_id=$LOYALTY_USERTOOL_ID \
    --data-urlencode 'customer_name=María Núñez' -d customer_birthdate=1990-05-17
END

call 200 '"code":"new_sale_01"' "A sale of 1,000 pesos earns the wallet's percentage" <<'END'
curl -X POST "$LOYALTY_URL/wallet/sale" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE -d transaction_type=0 \
    -d transaction_amount=1000 -d usertool_id=$LOYALTY_USERTOOL_ID -d ticket=A-1
END

call 200 '"code":"new_sale_01"' "Ten points pay a part of the next one" <<'END'
curl -X POST "$LOYALTY_URL/wallet/sale" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE -d transaction_type=1 \
    -d points_used=10 -d transaction_amount=80 \
    -d usertool_id=$LOYALTY_USERTOOL_ID -d ticket=A-2
END

call 200 '"code":"balance_update_01"' "Fifty points as a present" <<'END'
curl -X POST "$LOYALTY_URL/wallet/balance/update" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE -d transaction_type=0 \
    -d transaction_amount=50 -d usertool_id=$LOYALTY_USERTOOL_ID
END

call 200 '"code":"balance_update_01"' "Five and a half taken back" <<'END'
curl -X POST "$LOYALTY_URL/wallet/balance/update" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE -d transaction_type=1 \
    -d transaction_amount=5.5 -d usertool_id=$LOYALTY_USERTOOL_ID
END

call 200 '"code":"balance_get_01"' "What the customer has now" <<'END'
curl -X POST "$LOYALTY_URL/wallet/contact/get" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE
END

call 200 '"code":"toolusers_01"' "A new cashier" <<'END'
curl -X POST "$LOYALTY_URL/employee/add" -H "apikey: $LOYALTY_APIKEY" \
    -d type=cajero -d number=@NUMBER --data-urlencode 'employee_name=Ana @TAG' \
    -d business_name=Centro -d password=clave-@TAG
END

call 200 '"code":"toolusers_01"' "The cashier leaves" <<'END'
curl -X POST "$LOYALTY_URL/employee/disable" -H "apikey: $LOYALTY_APIKEY" -d number=@NUMBER
END

call 400 '"code":"wallet_redeem_10"' "More points than there are" <<'END'
curl -X POST "$LOYALTY_URL/wallet/sale" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE -d transaction_type=1 \
    -d points_used=100000 -d transaction_amount=100000 \
    -d usertool_id=$LOYALTY_USERTOOL_ID -d ticket=A-3
END

call 409 '"code":"wallet_manager_08"' "The same customer again" <<'END'
curl -X POST "$LOYALTY_URL/wallet/contact/add" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=@PHONE -d usertool_id=$LOYALTY_USERTOOL_ID \
    --data-urlencode 'customer_name=María Núñez' -d customer_birthdate=1990-05-17
END

call 401 '"code":"auth_01"' "Without a key" <<'END'
curl -X POST "$LOYALTY_URL/wallet/get" -d ""
END

chapter "The seller API, for shops and partners: people have ids, points come in batches"

call 200 '"clientId":"@PROGRAM"' "The wallet is a program of it" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/program"
END

call 201 '"firstLastName":"Vega"' "A new member" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/program/$LOYALTY_PROGRAM_ID/member" \
    -H "Content-Type: application/json" \
    -d '{"email": "luz-@TAG@example.com", "firstName": "Luz", "firstLastName": "Vega"}'
END

call 200 '"status":"success"' "Points for her, found by the email" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/deposit" -H "Content-Type: application/json" \
    -d '[{"programId": "@PROGRAM", "member": {"email": "luz-@TAG@example.com"},
    "amount": 50, "comments": "regalo"}]'
END

call 200 '"totalPoints":150' "Money, which earns her points" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/accumulation" -H "Content-Type: application/json" \
    -d '[{"programId": "@PROGRAM", "member": {"email": "luz-@TAG@example.com"},
    "amount": "1000", "comments": "venta", "reference": "A-4", "amountCurrency": "MXN"}]'
END

call 200 '"status":"success"' "A contact of the wallet is a member too: a deposit" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/deposit" -H "Content-Type: application/json" \
    -d '[{"programId": "@PROGRAM", "memberId": "@MEMBER", "amount": "1000",
    "comments": "venta", "concept": "café", "reference": "A-5", "currency": "MXN"}]'
END

call 200 '"status":"success"' "A redemption says what the points are worth" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/redemption" -H "Content-Type: application/json" \
    -d '[{"programId": "@PROGRAM", "memberId": "@MEMBER", "amount": 30,
    "amountCurrency": 30, "comments": "canje"}]'
END

call 200 'Un campo no tiene el tipo o el formato esperado: amount' \
	"Of a batch, one item is wrong, and the other goes through" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/deposit" -H "Content-Type: application/json" -d '[
    {"programId": "@PROGRAM", "memberId": "@MEMBER",
    "amount": "a lot", "comments": "regalo"},
    {"programId": "@PROGRAM", "memberId": "@MEMBER",
    "amount": 5, "comments": "regalo"}]'
END

call 200 '"expiredAmount":0' "The balance" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY\
/program/$LOYALTY_PROGRAM_ID/member/$LOYALTY_MEMBER_ID/balance"
END

call 200 '"code":"balance_get_01"' "The same balance in the wallet API" <<'END'
curl -X POST "$LOYALTY_URL/wallet/contact/get" -H "apikey: $LOYALTY_APIKEY" \
    -d wallet_key=$LOYALTY_WALLET_KEY -d phone=4771234501
END

call 404 'El miembro no existe en el programa' "Nobody" <<'END'
curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY/program/$LOYALTY_PROGRAM_ID/member/CM0"
END

chapter "The customer API, for partners: people have a CURP, and give their consent"

call '' '7dca2ac3b66f97b18fcf6b2479a366bfc157fc7e39dddefa53f4e5bc0bb35a75' \
	"The CURP is signed with the PRIVATE_KEY" <<'END'
signature=$(perl -MDigest::SHA=hmac_sha256_hex -e 'print hmac_sha256_hex(@ARGV)' \
    CAPC200504HMCBXRA2 ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0)
echo "$signature"
END

call 200 '"ok":true' "The signature gets a token, for this customer and for ten minutes" <<'END'
registro=$(curl -sS "$LOYALTY_URL/api/Registro_sbx" -H "Content-Type: application/json" -d '{
    "nombre_de_usuario": "Api_KASU_Sandbox", "curp_en_uso": "CAPC200504HMCBXRA2",
    "tipo_peticion": "token_full", "firma_KEY": "'"$signature"'"}')
echo "$registro"
END

keep "The next calls need two things of this answer" <<'END'
token=$(echo "$registro" | grep -o '"token":"[0-9a-f]*"' | cut -d'"' -f4)
token_data=$(echo "$registro" | grep -o '"token_data":{[^}]*}')
END

call 202 '"CostoVenta"' "What can be asked for" <<'END'
curl "$LOYALTY_URL/api/Customer_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "request", "request": "individual_request"}'
END

call 202 '"data":"cesar.cabrera@example.com"' "One datum of the customer" <<'END'
curl "$LOYALTY_URL/api/Customer_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "individual_request", "request": "Mail"}'
END

call 202 '"ventas"' "All of them" <<'END'
curl "$LOYALTY_URL/api/Customer_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "request_block", "request": "cliente"}'
END

call 202 '"existencias"' "The products" <<'END'
curl "$LOYALTY_URL/api/Customer_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "request_block", "request": "catalogo_productos"}'
END

call '201|412' '"status"' \
	"A product for the customer, in 36 payments (412: has it, from an earlier tour)" <<'END'
curl "$LOYALTY_URL/api/Accounts_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "new_service", "producto": "Universitario", "numero_pagos": 36,
    "dia_pago": 15, "tipo_servicio": "nuevo", "mail": "cesar.cabrera@example.com",
    "telefono": "7221000002", "direccion": {"calle": "Av. Hidalgo", "numero": "12"},
    "terminos": true, "aviso": true, "fideicomiso": true}'
END

call 201 '"cantidad":100,' "A payment" <<'END'
curl "$LOYALTY_URL/api/Payments_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "pagos_psd2", "cantidad": 100, "metodo": "efectivo",
    "referencia": "caja-1/@TAG"}'
END

call 200 '"pagos_pendientes"' "What is still to be paid, and when" <<'END'
curl "$LOYALTY_URL/api/Payments_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "account_status"}'
END

call 409 '"ok":false' "Not with a wrong acceptance key" <<'END'
curl "$LOYALTY_URL/api/Customer_sbx" -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" -d '{"nombre_de_usuario": "Api_KASU_Sandbox",
    "curp_en_uso": "CAPC200504HMCBXRA2", '"$token_data"',
    "tipo_peticion": "individual_request", "request": "Mail", "clave_aceptacion": "no"}'
END

chapter "The engine in SQL, on the same points: typed into psql"

connect "psql finds the database by the settings" <<'END'
set -a; . @ENV; set +a; psql
END

sql '134.5' "The balance that the calls left; \\gset keeps what a statement returns, as :merchant …" <<'END'
SELECT merchant_id AS merchant, program_id AS program, account_id AS account, balance
  FROM loyalty.members WHERE phone OPERATOR(loyalty.=) '@PHONE' \gset
\echo balance :balance
END

sql '(1 row)' "A rule: coffee gives a point for 5 pesos, good for 30 days. Each publication is a new version" <<'END'
SELECT loyalty.publish_rules(:merchant, :program, '[{"name": "café en grano",
  "skus": ["CAFE-1"], "points_per": 1, "money_per": 5,
  "expires_unit": "day", "expires_value": 30}]') AS version;
END

sql $'|40|\ncafé en grano|40|20' "What a sale would earn: 10 points for 100 pesos, and what the rule gives" <<'END'
SELECT rule, points, expires_at FROM loyalty.simulate(:merchant, :account, 400,
  '[{"sku": "CAFE-1", "quantity": 2, "unitPrice": 100}, {"sku": "PAN-1", "unitPrice": 200}]');
END

sql 'points 80, balance 214.5' "The sale earns just that" <<'END'
SELECT entry_id AS sale, points, balance
  FROM loyalty.sale(:merchant, :account, 400, reference => 'B-1', items =>
  '[{"sku": "CAFE-1", "quantity": 2, "unitPrice": 100}, {"sku": "PAN-1", "unitPrice": 200}]') \gset
\echo entry :sale, points :points, balance :balance
END

sql $'40|20\n174.5|\n(2 rows)' "Her lots: what expires first is spent first" <<'END'
SELECT points, expires_at FROM loyalty.lots_of(:merchant, :account);
END

sql '0|214.5|174.5' "What she had yesterday (she was no customer yet), has now, and will have left in a year" <<'END'
SELECT loyalty.balance_at(:merchant, :account, now() - interval '1 day') AS yesterday,
  loyalty.balance_at(:merchant, :account, now()) AS now,
  loyalty.balance_at(:merchant, :account, now() + interval '1 year') AS in_a_year;
END

sql 'balance 164.5' "Fifty points are held for an order: nobody else can spend them" <<'END'
SELECT entry_id AS hold, balance
  FROM loyalty.hold(:merchant, :account, 50, reference => 'pedido-7') \gset
\echo hold :hold, balance :balance
END

sql $'captured|164.5\nreleased|194.5' "A part is delivered: twenty are spent, and the other thirty go back" <<'END'
SELECT 'captured' AS what, balance
  FROM loyalty.capture(:merchant, :account, :hold, 20, 'pedido-7');
SELECT 'released' AS what, balance
  FROM loyalty.release(:merchant, :account, :hold, in_full => true);
END

sql $'first|174.5\nagain|174.5' "A quarter of the sale's money is refunded; sent twice, it is one refund" <<'END'
SELECT 'first' AS sent, balance
  FROM loyalty.reverse(:merchant, :account, :sale, reference => 'devolucion-1', money => 100);
SELECT 'again' AS sent, balance
  FROM loyalty.reverse(:merchant, :account, :sale, reference => 'devolucion-1', money => 100);
END

sql $'reverse|-20|174.5|100|devolucion-1\nrelease|30|194.5\naccrue|80|214.5|400|B-1\naccrue|100|100|1000|A-1\n(9 rows)' \
	"The statement, newest first: HTTP and SQL wrote the same ledger" <<'END'
SELECT entry_no, kind, amount, balance, money, reference
  FROM loyalty.statement(:merchant, :account);
END

sql 't|an entry has the hash' "A superuser makes the present of 50 points one of 5,000, behind the engine's back: it is found" <<'END'
BEGIN;
SELECT entry_id AS present FROM loyalty.statement(:merchant, :account) WHERE entry_no = 3 \gset
UPDATE loyalty.entry SET amount = '5000'
  WHERE merchant_id = :merchant AND entry_id = :present;
SELECT entry_id = :present AS found, invariant FROM loyalty.verify();
ROLLBACK;
END

sql '(0 rows)' "That was rolled back. No rows: every entry of every account is as it was written" <<'END'
SELECT entry_id, invariant FROM loyalty.verify();
END

sql 't|f' "A receipt proves her balance to whoever has the published root; one that says more does not" <<'END'
SELECT root_id, root FROM loyalty.make_root(:merchant) \gset
\echo root :root
SELECT loyalty.receipt(:merchant, :account, :root_id) AS receipt \gset
SELECT loyalty.check_receipt(:'receipt', :'root') AS hers,
  loyalty.check_receipt(regexp_replace(:'receipt', '"balance":"[^"]*"', '"balance":"9000"')::json,
  :'root') AS with_9000_points;
END

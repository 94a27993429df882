#!/bin/bash
# demo.sh - a tour of the wallet, seller and customer APIs, on the system that `make up` started.
#
#     test/demo.sh [FOLDER]
#
# Shows each request as it could be typed after ". .run/env", and its answer.
# Ends with an error if an answer is not the documented one.
set -euo pipefail
. "$(dirname "$0")/common.sh"

run=${1:-$root/.run}
[ -r "$run/env" ] || die "nothing is running; start it with: make up"
. "$run/env"
for name in LOYALTY_URL LOYALTY_APIKEY LOYALTY_WALLET_KEY LOYALTY_USERTOOL_ID LOYALTY_PROGRAM_ID LOYALTY_MEMBER_ID; do
	[ -n "${!name:-}" ] || die "$run/env does not set $name"
done

# A customer and a cashier that no earlier tour has enrolled.
random_digits() { od -An -N8 -tu8 /dev/urandom | tr -d ' \n' | tail -c "$1"; }
phone=4775$(random_digits 6)
number=4776$(random_digits 6)
secret=$(random_digits 8)

# call STATUS CODE TITLE PATH [NAME=VALUE]...: make the call, expect the answer.
call() {
	local want_status=$1 want_code=$2 title=$3 path=$4 field answer status
	local shown="curl -X POST \"\$LOYALTY_URL$path\"" command=(curl -X POST "$LOYALTY_URL$path")
	shift 4
	if [ -n "$apikey" ]; then
		shown+=' -H "apikey: $LOYALTY_APIKEY"'
		command+=(-H "apikey: $apikey")
	fi
	for field in "$@"; do
		case $field in
			*[!A-Za-z0-9_.=-]*)
				shown+=" --data-urlencode '$field'"
				command+=(--data-urlencode "$field")
				;;
			*)
				shown+=" -d $field"
				command+=(-d "$field")
				;;
		esac
	done
	if [ $# = 0 ]; then
		shown+=' -d ""'
		command+=(-d "")
	fi
	printf '\n# %s\n$ %s\n' "$title" "$shown"
	answer=$("${command[@]}" -sS -m 30 -w '\n%{http_code}')
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
	printf '%s  %s\n' "$status" "$answer"
	if [ "$status" != "$want_status" ] || [[ ! $answer =~ \"code\":\ *\"$want_code\" ]]; then
		die "expected status $want_status and code $want_code"
	fi
}

# seller STATUS TEXT TITLE PATH [JSON]: read, or send JSON; expect the status,
# and the text in the answer.
seller() {
	local want_status=$1 want=$2 title=$3 path=$4 answer status
	local shown="curl \"\$LOYALTY_URL/v1/seller/\$LOYALTY_APIKEY$path\"" command=(curl "$LOYALTY_URL/v1/seller/$LOYALTY_APIKEY$path")
	if [ $# = 5 ]; then
		shown+=" -H \"Content-Type: application/json\" -d '$5'"
		command+=(-H "Content-Type: application/json" -d "$5")
	fi
	printf '\n# %s\n$ %s\n' "$title" "$shown"
	answer=$("${command[@]}" -sS -m 30 -w '\n%{http_code}')
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
	printf '%s  %s\n' "$status" "$answer"
	if [ "$status" != "$want_status" ] || [[ $answer != *"$want"* ]]; then
		die "expected status $want_status and $want"
	fi
}

# hmac TEXT KEY: HMAC-SHA256 in hexadecimal, with Perl, which the tests need anyway.
hmac() { perl -MDigest::SHA=hmac_sha256_hex -e 'print hmac_sha256_hex(@ARGV)' "$1" "$2"; }

# customer STATUS TEXT TITLE PATH MEMBERS: send what every request has and these
# members of the JSON object; expect a status that matches, and the text in the
# answer, which stays in $answer.
customer() {
	local want_status=$1 want=$2 title=$3 path=$4 body="{$about, $5}" status
	local shown="curl \"\$LOYALTY_URL$path\"" command=(curl "$LOYALTY_URL$path" -H "Content-Type: application/json" -d "$body")
	if [ -n "$token" ]; then
		shown+=' -H "Authorization: Bearer $token"'
		command+=(-H "Authorization: Bearer $token")
	fi
	printf '\n# %s\n$ %s -H "Content-Type: application/json" -d '"'%s'"'\n' "$title" "$shown" "$body"
	answer=$("${command[@]}" -sS -m 30 -w '\n%{http_code}')
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
	printf '%s  %s\n' "$status" "$answer"
	if [[ ! $status =~ ^($want_status)$ ]] || [[ $answer != *"$want"* ]]; then
		die "expected status $want_status and $want"
	fi
}

apikey=$LOYALTY_APIKEY
wallet=wallet_key=$LOYALTY_WALLET_KEY
staff=usertool_id=$LOYALTY_USERTOOL_ID

call 200 tool_users_01 "The staff of the merchant" /toolusers/get
call 200 wallets_get_01 "Its wallets" /wallet/get
call 200 contact_add_01 "A new customer, who gets a message" /wallet/contact/add \
	"$wallet" phone="$phone" customer_name="María Núñez" "$staff" customer_birthdate=1990-05-17
call 200 new_sale_01 "A sale of 1,000 pesos earns the wallet's percentage" /wallet/sale \
	"$wallet" phone="$phone" transaction_type=0 transaction_amount=1000 "$staff" ticket=A-1
call 200 new_sale_01 "Ten points pay a part of the next one" /wallet/sale \
	"$wallet" phone="$phone" transaction_type=1 points_used=10 transaction_amount=80 "$staff" ticket=A-2
call 200 balance_update_01 "Fifty points as a present" /wallet/balance/update \
	"$wallet" phone="$phone" transaction_type=0 transaction_amount=50 "$staff"
call 200 balance_update_01 "Five and a half taken back" /wallet/balance/update \
	"$wallet" phone="$phone" transaction_type=1 transaction_amount=5.5 "$staff"
call 200 balance_get_01 "What the customer has now" /wallet/contact/get "$wallet" phone="$phone"
call 200 toolusers_01 "A new cashier" /employee/add \
	type=cajero number="$number" employee_name="Ana $secret" business_name=Centro password="clave-$secret"
call 200 toolusers_01 "The cashier leaves" /employee/disable number="$number"
call 400 wallet_redeem_10 "More points than there are" /wallet/sale \
	"$wallet" phone="$phone" transaction_type=1 points_used=100000 transaction_amount=100000 "$staff" ticket=A-3
call 409 wallet_manager_08 "The same customer again" /wallet/contact/add \
	"$wallet" phone="$phone" customer_name="María Núñez" "$staff" customer_birthdate=1990-05-17
program=/program/$LOYALTY_PROGRAM_ID
email=luz-$secret@example.com
ids='"programId": "'$LOYALTY_PROGRAM_ID'", "memberId": "'$LOYALTY_MEMBER_ID'"'
luz='"programId": "'$LOYALTY_PROGRAM_ID'", "member": {"email": "'$email'"}'

seller 200 '"clientId" : "'"$LOYALTY_PROGRAM_ID"'"' "The seller API: the wallet is a program of it" /program
seller 201 '"firstLastName" : "Vega"' "A new member" "$program/member" \
	'{"email": "'"$email"'", "firstName": "Luz", "firstLastName": "Vega"}'
seller 200 '"status":"success"' "Points for her, found by the email" /deposit \
	"[{$luz, \"amount\": 50, \"comments\": \"regalo\"}]"
seller 200 '"totalPoints":150' "Money, which earns her points" /accumulation \
	"[{$luz, \"amount\": \"1000\", \"comments\": \"venta\", \"reference\": \"A-4\", \"amountCurrency\": \"MXN\"}]"
seller 200 '"status":"success"' "A contact of the wallet is a member too: a deposit" /deposit \
	"[{$ids, \"amount\": \"1000\", \"comments\": \"venta\", \"concept\": \"café\", \"reference\": \"A-5\", \"currency\": \"MXN\"}]"
seller 200 '"status":"success"' "A redemption says what the points are worth" /redemption \
	"[{$ids, \"amount\": 30, \"amountCurrency\": 30, \"comments\": \"canje\"}]"
seller 200 'Un campo no tiene el tipo o el formato esperado: amount' "Of a batch, one item is wrong, and the other goes through" /deposit \
	"[{$ids, \"amount\": \"a lot\", \"comments\": \"regalo\"}, {$ids, \"amount\": 5, \"comments\": \"regalo\"}]"
seller 200 '"expiredAmount" : 0' "The balance" "$program/member/$LOYALTY_MEMBER_ID/balance"
call 200 balance_get_01 "The same balance in the wallet API" /wallet/contact/get "$wallet" phone=4771234501
seller 404 'El miembro no existe en el programa' "Nobody" "$program/member/CM0"

# The sandbox of the customer API: its user, PRIVATE_KEY and CURPs are printed in the document.
private_key=ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0
curp=CAPC200504HMCBXRA2
about='"nombre_de_usuario": "Api_KASU_Sandbox", "curp_en_uso": "'$curp'"'
token=
printf '\n# The customer API: a signature\n$ %s\n' \
	"perl -MDigest::SHA=hmac_sha256_hex -e 'print hmac_sha256_hex(@ARGV)' $curp $private_key"
signature=$(hmac "$curp" "$private_key")
printf '%s\n' "$signature"
customer 200 '"ok":true' "It gets a token, for this customer and for ten minutes" /api/Registro_sbx \
	'"tipo_peticion": "token_full", "firma_KEY": "'"$signature"'"'
[[ $answer =~ \"token\":\"([0-9a-f]{64})\" ]] || die "no token"
token=${BASH_REMATCH[1]}
[[ $answer =~ (\"token_data\":\{[^}]*\}) ]] || die "no token_data"
about+=", ${BASH_REMATCH[1]}"
customer 202 '"CostoVenta"' "What can be asked for" /api/Customer_sbx \
	'"tipo_peticion": "request", "request": "individual_request"'
customer 202 '"data":"cesar.cabrera@example.com"' "One datum of the customer" /api/Customer_sbx \
	'"tipo_peticion": "individual_request", "request": "Mail"'
customer 202 '"ventas"' "All of them" /api/Customer_sbx \
	'"tipo_peticion": "request_block", "request": "cliente"'
customer 202 '"existencias"' "The products" /api/Customer_sbx \
	'"tipo_peticion": "request_block", "request": "catalogo_productos"'
customer '201|412' '"status"' "A product for the customer, in 36 payments (412: has it, from an earlier tour)" /api/Accounts_sbx \
	'"tipo_peticion": "new_service", "producto": "Universitario", "numero_pagos": 36, "dia_pago": 15, "tipo_servicio": "nuevo", "mail": "cesar.cabrera@example.com", "telefono": "7221000002", "direccion": {"calle": "Av. Hidalgo", "numero": "12"}, "terminos": true, "aviso": true, "fideicomiso": true'
customer 202 '"cantidad" : 100,' "A payment" /api/Payments_sbx \
	'"tipo_peticion": "pagos_psd2", "cantidad": 100, "metodo": "efectivo", "referencia": "caja-1/'"$secret"'"'
customer 202 '"pagos_pendientes"' "What is still to be paid, and when" /api/Payments_sbx \
	'"tipo_peticion": "account_status"'
customer 409 '"ok":false' "Not with a wrong acceptance key" /api/Customer_sbx \
	'"tipo_peticion": "individual_request", "request": "Mail", "clave_aceptacion": "no"'

apikey=
call 401 auth_01 "The wallet API without a key" /wallet/get

cat <<-END

	It keeps running:
	    the documented APIs  $LOYALTY_URL
	    PostgREST            $POSTGREST_URL
	    PostgreSQL           set -a; . .run/env; set +a; psql
	Stop it with: make down
END

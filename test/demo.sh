#!/bin/bash
# demo.sh - a tour of the wallet API and the seller API, on the system that `make up` started.
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
apikey=
call 401 auth_01 "Without a key" /wallet/get

cat <<-END

	It keeps running:
	    the documented APIs  $LOYALTY_URL
	    PostgREST            $POSTGREST_URL
	    PostgreSQL           set -a; . .run/env; set +a; psql
	Stop it with: make down
END

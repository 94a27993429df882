#!/bin/bash
# demo.sh - a tour of the wallet API, on the system that `make up` started.
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
for name in LOYALTY_URL LOYALTY_APIKEY LOYALTY_WALLET_KEY LOYALTY_USERTOOL_ID; do
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
apikey=
call 401 auth_01 "Without a key" /wallet/get

cat <<-END

	It keeps running:
	    the documented API   $LOYALTY_URL
	    PostgREST            $POSTGREST_URL
	    PostgreSQL           set -a; . .run/env; set +a; psql
	Stop it with: make down
END

#!/bin/bash
# Twenty cashiers of one branch who post at one time, in SQL: with a limit of the
# program, against one of the branch, which they share too, and against none.
# Tills of one key over HTTP, with limits of the key and the program, against none.
. "$(dirname "$0")/bench.bash"

contacts=$((2000 / scale))
clients=20

# make_script NAME MERCHANT: a deposit, or a redemption, by cashier number client_id + 1.
make_script() {
	cat >"$work/$1.sql" <<-END
		\set account random(1, $contacts)
		SELECT loyalty.post($2, :account, 'deposit', '1', staff_id => :client_id + 1);
		\set account random(1, $contacts)
		SELECT loyalty.post($2, :account, 'redeem', '1', staff_id => :client_id + 1);
	END
}

# make_requests NAME MERCHANT: sales and redemptions of all cashiers, with one key.
make_requests() {
	local key i
	key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($2, 'bench')")
	for i in $(seq 2000); do
		post_request /wallet/sale application/x-www-form-urlencoded \
			"wallet_key=bench-$1&phone=$((5510000001 + i * 7 % contacts))&transaction_type=$((i % 2))&transaction_amount=10&points_used=1&usertool_id=$((1 + i % 16))&ticket=T1" \
			"apikey: $key"
	done >"$work/$1.http"
}

# limit MERCHANT SCOPES: of the programs of a merchant, with plenty.
limit() {
	sql -c "SELECT loyalty.set_limit(merchant_id, program_id, scope, direction, '100000000', 100000000)
		FROM loyalty_internal.program, unnest('{$2}'::text[]) scope, unnest('{add,spend}'::text[]) direction WHERE merchant_id = $1" >/dev/null
}

for name in unlimited branch program key; do
	merchant=$(make_merchant "$name" "$contacts")
	sql -c "INSERT INTO loyalty_internal.staff (merchant_id, staff_id, branch_id, role, name, number, password_digest, password_cost)
		SELECT merchant_id, i, branch_id, 'cajero', 'Cajero ' || i, (4771000000 + i)::text::loyalty.phone, lpad(i::text, 64, '0'), 4096
		FROM loyalty_internal.branch, generate_series(17, $clients) i WHERE merchant_id = $merchant"
	make_script "$name" "$merchant"
	case $name in
		unlimited) make_requests "$name" "$merchant" ;;
		key)
			make_requests "$name" "$merchant"
			limit "$merchant" key,program
			;;
		*) limit "$merchant" "$name" ;;
	esac
done
settle

in_sql() { pgbench_tps "$work/$1.sql" -c $clients -j 2; }
over_http() { requests_per_second "$LOYALTY_URL" "$work/$1.http"; }

compare '20 clients, with a limit of the program / of the branch' '≥ 0.95' 'pairs/s' 'in_sql program' 'in_sql branch'
compare '20 clients, with a limit of the program / without' '–' 'pairs/s' 'in_sql program' 'in_sql unlimited'
compare 'one key, with limits of the key and the program / without, over HTTP' '≥ 0.9' 'requests/s' 'over_http key' 'over_http unlimited'

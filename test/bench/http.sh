#!/bin/bash
# /wallet/sale through nginx and PostgREST, against PostgREST alone calling a
# plpgsql function that writes the same rows and does nothing else; without an
# idempotency key, and with one.
. "$(dirname "$0")/bench.bash"

members=1000
merchant=$(make_merchant http $members)
key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($merchant, 'bench')")
make_floor $members

make_floor_function
kill -USR1 "$(cat "$(dirname "$LOYALTY_PGDATA")/postgrest.pid")"

for i in $(seq $members); do
	post_request /wallet/sale application/x-www-form-urlencoded \
		"wallet_key=bench-http&phone=$((5510000000 + i))&transaction_type=0&transaction_amount=10&usertool_id=1" "apikey: $key"
done >"$work/sale"
sed "s/^apikey: .*/&\nIdempotency-Key: UNIQUE/" "$work/sale" >"$work/keyed"
for i in $(seq $members); do
	post_request /rpc/floor_sale application/json "{\"id\":$i,\"points\":10000}"
done >"$work/floor"

# PostgREST takes a moment to see the function.
for try in $(seq 100); do
	! curl -sf -o "$work/answer" -d id=1 -d points=10000 "$POSTGREST_URL/rpc/floor_sale" || break
	sleep 0.1
done
settle

# sale FILE
sale() { requests_per_second "$LOYALTY_URL" "$work/$1"; }
floor() { requests_per_second "$POSTGREST_URL" "$work/floor"; }

compare '/wallet/sale, 16 connections / the floor, from PostgREST alone' '≥ 1.0' 'requests/s' 'sale sale' floor
check_floor
compare '/wallet/sale with an idempotency key / the floor' '≥ 0.85' 'requests/s' 'sale keyed' floor
check_floor

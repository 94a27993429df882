#!/bin/bash
# How long the tills of four merchants wait beside a fifth who does his worst with
# one key over 64 connections, against beside an honest fifth who sells over as
# many: the 99th percentile, so that a ratio above 1 is bad.  The web server is
# one of its own, with the rates and limits of http/nginx.conf.  A till that is
# refused ends it, without a figure.
. "$(dirname "$0")/bench.bash"

connections=64
slow=900
if [ "$scale" != 1 ]; then
	connections=4
	slow=20
fi
items=$((10000 / scale))
contacts=$((20000 / scale))
merchants=4
folder=$work/requests
mkdir "$folder"

# The web server of its own, with what http/ says; from here on the one that is asked.
start_nginx() {
	local port try conf=$work/nginx/nginx.conf
	mkdir "$work/nginx"
	port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	sed -e "s/127\.0\.0\.1:3000/${POSTGREST_URL#http://}/" -e "s/127\.0\.0\.1:3001/${LOYALTY_BATCHES_URL#http://}/" -e "s/127\.0\.0\.1:8080/127.0.0.1:$port/" "$bench/../../http/nginx.conf" >"$conf"
	PATH=$PATH:/usr/sbin nginx -p "$work/nginx/" -c "$conf" -e "$work/nginx/error.log" -g 'daemon off;' 2>"$work/nginx.log" &
	LOYALTY_URL=http://127.0.0.1:$port
	for try in $(seq 100); do
		! curl -s -o "$work/answer" "$LOYALTY_URL" || return 0
		sleep 0.1
	done
	fail "$(cat "$work/nginx.log")"
}

# sales NAME MERCHANT CONTACTS
sales() {
	local key i
	key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($2, 'bench')")
	for i in $(seq 500); do
		post_request /wallet/sale application/x-www-form-urlencoded \
			"wallet_key=bench-$1&phone=$((5510000001 + i * 7 % $3))&transaction_type=0&transaction_amount=10&usertool_id=$((1 + i % 16))" "apikey: $key"
	done
}

deposits() {
	sql -c "SELECT json_agg(json_build_object('programId', p.client_id, 'memberId', 'CM' || i, 'amount', '10', 'comments', 'bench'))
		FROM generate_series(1, $items) i, loyalty_internal.program p WHERE p.merchant_id = $merchant"
}

# A JSON object of so many bytes, more or less.
padding() { printf '{"x":"%s"}' "$(head -c "$1" /dev/zero | tr '\0' x)"; }

for i in $(seq $merchants); do
	merchant=$(make_merchant "till$i" $((2000 / scale)))
	sales "till$i" "$merchant" $((2000 / scale)) >"$folder/till.$i"
done
merchant=$(make_merchant neighbour "$contacts")
key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($merchant, 'bench')")
sales neighbour "$merchant" "$contacts" >"$folder/sales"
sales neighbour "$merchant" 1 >"$folder/one"
cp "$folder/one" "$folder/interrupted"
post_request "/v1/seller/$key/deposit" application/json "$(deposits)" >"$folder/batches"
post_request /wallet/contact/get application/x-www-form-urlencoded wallet_key=bench-neighbour "apikey: $key" >"$folder/lists"
post_request /v1/seller/UNIQUE/deposit application/json "$(padding $((4000000 / scale)))" >"$folder/nobody"
post_request /wallet/sale application/json "$(padding 2000)" "apikey: $key" >"$folder/all.slow"
settle
start_nginx

# Nothing of the neighbour's is being worked on any more.
wait_until_idle() {
	local try
	for try in $(seq 600); do
		[ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND state <> 'idle'")" != 0 ] || return 0
		sleep 0.1
	done
	fail "requests go on for a minute"
}

# beside KIND [CONNECTIONS]
beside() {
	wait_until_idle
	perl "$bench/neighbours.pl" "${LOYALTY_URL#http://}" "$SECONDS_EACH" "$folder" "$1" "${2:-$connections}"
	[ -z "${VERBOSE:-}" ] || echo "$1: $(tr '\n' ' ' <"$folder/answers")" >&2
}

# answered STATUS: the neighbour last was, at least once, unless it had a moment only.
answered() { [ "$scale" != 1 ] || grep -q "^$1 " "$folder/answers" || fail "the neighbour was not answered $1"; }

# The contact of these sales is locked, by somebody who goes on for ever.
interrupted() {
	sql -c "SET application_name = 'bench lock'" -c "BEGIN; SELECT FROM loyalty_internal.account WHERE merchant_id = $merchant AND account_id = 1 FOR UPDATE; SELECT pg_sleep(3600)" >"$work/lock" 2>&1 &
	beside interrupted
	answered 503
	sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bench lock'" >/dev/null
	wait $! || true
}
sell() { beside sales; answered 200; }
wait_for_one() { beside one; answered 200; }
send_batches() { beside batches; answered sent; }
ask_for_lists() { beside lists; answered sent; }
be_nobody() { beside nobody; answered sent; }
be_slow() { beside all.slow $slow; answered open; }

compare "tills beside one key, 64 connections: sales to one contact / to many" '≤ 1.5' 'µs' wait_for_one sell
compare "tills beside one key, 64 connections: batches of 10,000 / sales" '≤ 1.5' 'µs' send_batches sell
compare "tills beside one key, 64 connections: lists of 20,000 / sales" '≤ 1.5' 'µs' ask_for_lists sell
compare "tills beside no key, 64 connections: bodies of 4 MB / sales" '≤ 1.5' 'µs' be_nobody sell
compare "tills beside one key: 900 connections that are slow / 64 with sales" '≤ 1.5' 'µs' be_slow sell
sql -c "ALTER FUNCTION loyalty_api.gateway(bytea) SET lock_timeout = '100ms'"
compare "tills beside one key, 64 connections: sales that are interrupted / that are not" '≤ 1.5' 'µs' interrupted sell

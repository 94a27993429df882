#!/bin/bash
# Instructions of one call, as callgrind counts them: they are the same however
# busy the machine is, and say nothing of waiting.  Each figure is the mean of
# many calls, after as many that are not counted, of one session; the server is a
# copy that valgrind runs.  Keep the profiles with PROFILES=folder.
. "$(dirname "$0")/bench.bash"

accounts=$((10000 / scale))
calls=$((200 / scale + 2))
make_database instructions
make_accounts $accounts
make_floor $accounts
sales=$(make_merchant sales $accounts)
messages=$(make_merchant messages $accounts)
make_floor_function
api_key=$(sql -c "SELECT api_key FROM loyalty.create_api_key($sales, 'bench')")
sql >"$work/made" <<-END
	SELECT loyalty.set_quota($messages, kind, 100000000) FROM unnest('{redemptions,messages}'::text[]) kind;
	SELECT loyalty.configure_program(merchant_id, program_id, '{"messages": ["accrue", "redeem"]}') FROM loyalty_internal.program WHERE merchant_id = $messages;
	SELECT loyalty.grant_api('web_anon');
	CREATE TABLE floor.items AS
	SELECT json_agg(json_build_object('programId', p.client_id, 'memberId', 'CM' || i, 'amount', '10', 'comments', 'bench')) AS items
	FROM generate_series(1, $accounts) i, loyalty_internal.program p WHERE p.merchant_id = $sales;
END
settle

# --- a copy that valgrind runs ------------------------------------------------

pg_basebackup -D "$work/data" -X fetch -c fast >"$work/copied" 2>&1 || fail "$(cat "$work/copied")"
mkdir "$work/counts"
cat >>"$work/data/postgresql.conf" <<-END
	listen_addresses = ''
	unix_socket_directories = '$work'
	fsync = off
	autovacuum = off
	jit = off
	max_wal_size = 4GB
	checkpoint_timeout = 1h
END
# Counts are written when this function is called, which nothing that is measured does.
# Whether the calls run at all is seen without valgrind.
counter=(valgrind --tool=callgrind --dump-before=pg_backend_pid --callgrind-out-file="$work/counts/%p" --log-file="$work/valgrind")
[ "${SMOKE:-}" != 1 ] || counter=()
"${counter[@]}" postgres -D "$work/data" >"$work/server" 2>&1 &
server=$!
for _ in $(seq 600); do
	PGHOST=$work sql -c 'SELECT 1' >"$work/up" 2>&1 && break
	sleep 0.5
done
[ "$(cat "$work/up")" = 1 ] || fail "$(tail -n 5 "$work/server")"

# count NAME CALLS [OPTION…]: instructions of one of so many calls of script NAME.
count() {
	local name=$1 n=$2 file
	shift 2
	{
		printf '\\set call :call + 1\n\\if :call = %d or :call = %d\nSELECT pg_backend_pid();\n\\endif\n' $((n + 1)) $((2 * n + 1))
		cat "$work/$name.sql"
	} >"$work/counted.sql"
	rm -f "$work/counts"/*
	PGHOST=$work pgbench -n -M prepared -D call=0 -t $((2 * n + 1)) "$@" -f "$work/counted.sql" >"$work/pgbench" 2>&1 || fail "$(cat "$work/pgbench")"
	[ "${SMOKE:-}" != 1 ] || { echo $((n * 10000)); return; }
	file=$(echo "$work/counts"/*.2)
	[ -e "$file" ] || fail "$name was not counted"
	[ -z "${PROFILES:-}" ] || cp "$file" "$PROFILES/$name"
	awk -v n="$n" '/^(summary|totals):/ { sum = $2 } END { printf "%.0f\n", sum / n }' "$file"
}

# of NAME GOAL FLOOR OURS ROWS: a row of what script OURS takes, against that of FLOOR, a row of it.
measure() {
	local name=$1 goal=$2 floor=$3 ours=$4 rows=${5:-1} n=$calls a b
	[ "$rows" = 1 ] || n=1
	b=$(count "$floor" $n "${options[@]}")
	a=$(count "$ours" $n "${options[@]}")
	row "$name" "$goal" "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", a / b }')" – 1 "$((a / rows)) / $((b / rows)) instructions"
}

# --- the calls ------------------------------------------------------------------

options=()
# script NAME: of another account each time.
script() { { printf '\\set account 1 + :call %% %d\n' "$accounts"; cat; } >"$work/$1.sql"; }

# What PostgREST sends.
over_http() {
	local name=$1 function=$2
	script "$name" <<-END
		BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
		select set_config('search_path', :path, true), set_config('role', 'web_anon', true), set_config('request.jwt.claims', :claims, true), set_config('request.method', 'POST', true), set_config('request.path', '/rpc/gateway', true), set_config('request.headers', :headers, true), set_config('request.cookies', '{}', true);
		WITH pgrst_source AS (SELECT pgrst_call.pgrst_scalar FROM (SELECT "loyalty_api".$function pgrst_scalar) pgrst_call) SELECT null::bigint AS total_result_set, 1 AS page_total, "loyalty_api"."application/json"(_postgrest_t.pgrst_scalar) AS body, nullif(current_setting('response.headers', true), '') AS response_headers, nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted FROM (SELECT "gateway".* FROM "pgrst_source" AS "gateway"     ) _postgrest_t;
		COMMIT;
	END
}

script post <<<"SELECT loyalty.post(1, :account, 'deposit', '1');"
script floor <<<"$(floor_post :account 10000 actor_id 7);"
script floor_sale <<<"$(floor_post :account 10000 'staff_id, money, actor_id' '7, 100000, 7');"
for name in sales messages; do
	script $name <<<"SELECT loyalty.wallet_sale(${!name}, 'bench-$name', (5510000000 + :account)::text, 0, 10, usertool_id => 1);"
done
script batch <<<"SELECT count(error) FROM loyalty.post_batch(1, ARRAY(SELECT generate_series(1, $accounts)), '{deposit}', array_fill('1'::loyalty.points, ARRAY[$accounts]));"
script floor_batch <<<"$(floor_batch "$accounts" actor_id 7);"
script items <<<"SELECT length(loyalty.seller_deposit($sales, items)::text) FROM floor.items;"
script floor_items <<<"$(floor_batch "$accounts" 'detail, actor_id' "'{\"comments\":\"bench\"}'::json, 7");"
over_http http "\"gateway\"(convert_to('wallet_key=bench-sales&phone=' || 5510000000 + :account || '&transaction_type=0&transaction_amount=10&usertool_id=1', 'UTF8'))"
over_http floor_http '"floor_sale"(:account, 10000)'
sed 's/:headers/:keyed || :call || :keyed_end/' "$work/http.sql" >"$work/keyed.sql"

measure 'a post / the floor' '≤ 0.77' floor post
measure 'a sale as SQL / the floor' '≤ 1.12' floor_sale sales
measure 'a sale as SQL with quotas and message / the floor' '≤ 2.1' floor_sale messages
measure 'a batch of 10,000, a row / the floor' '≤ 0.9' floor_batch batch $accounts
measure '10,000 JSON items as SQL, an item / the floor' '≤ 1.8' floor_items items $accounts
headers="{\"host\":\"127.0.0.1\",\"user-agent\":\"curl/7.88.1\",\"accept\":\"application/json\",\"content-type\":\"application/octet-stream\",\"content-length\":\"90\",\"x-loyalty-method\":\"POST\",\"x-loyalty-uri\":\"/wallet/sale\",\"x-loyalty-key\":\"$api_key\",\"x-loyalty-type\":\"application/x-www-form-urlencoded\",\"x-loyalty-request-id\":\"0123456789abcdef0123456789abcdef\""
options=(-D path='"loyalty_api", "public"' -D claims='{"role":"web_anon"}' -D headers="$headers}" -D keyed="$headers,\"x-loyalty-idempotency-key\":\"" -D keyed_end='"}')
measure 'a sale over HTTP, in the server / the floor in plpgsql' '≤ 1.0' floor_http http
measure 'a sale over HTTP with an idempotency key / the floor in plpgsql' '≤ 1.6' floor_http keyed
kill "$server"
wait "$server" || true

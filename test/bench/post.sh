#!/bin/bash
# One durable post, and one sale of the wallet API as SQL, against a hand-written
# prepared statement that writes the same columns and checks nothing.
. "$(dirname "$0")/bench.bash"

accounts=$((10000 / scale))
make_database post
make_accounts $accounts
merchant=$(make_merchant post $accounts)
make_floor $accounts
settle

# make_script NAME SQL: of an account at random.
make_script() { printf '\\set account random(1, %d)\n%s;\n' "$accounts" "$2" >"$work/$1.sql"; }

make_script post "SELECT loyalty.post(1, :account, 'deposit', '1')"
make_script floor "$(floor_post :account 10000 actor_id 7)"
make_script sale "SELECT loyalty.wallet_sale($merchant, 'bench-post', (5510000000 + :account)::text, 0, 10, usertool_id => 1)"
make_script floor_sale "$(floor_post :account 10000 'staff_id, money, actor_id' '7, 100000, 7')"

# post SCRIPT
post() { pgbench_tps "$work/$1.sql" -c 20 -j 2; }

compare 'a durable post, 20 clients, 10,000 accounts / the floor' '≥ 1.3' 'posts/s' 'post post' 'post floor'
check_floor
compare 'a sale as SQL, 20 clients, 10,000 contacts / the floor' '≥ 0.9' 'posts/s' 'post sale' 'post floor_sale'
check_floor

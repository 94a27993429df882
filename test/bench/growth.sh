#!/bin/bash
# One durable post as history grows: 200,000 accounts, all alike and chosen at
# random, with 10,000, a million and 10 million entries, which were posted in
# the order of time.  Nothing is warmed up, and each run begins with a
# checkpoint: so it pays for the pages that are written for the first time since,
# as every server does, again and again.
. "$(dirname "$0")/bench.bash"

accounts=$((200000 / scale))
batch=$((10000 / scale))

# The ids of as many accounts as a batch has items.
random_accounts="ARRAY(SELECT 1 + floor(random() * $accounts)::bigint FROM generate_series(1, $batch))"

# post_batches N: so many batches by the engine, each in a transaction of its own.
post_batches() {
	local i
	for ((i = 0; i < $1; i++)); do
		echo "SELECT 1 / (count(error) = 0)::integer FROM loyalty.post_batch(1, $random_accounts, '{deposit}', array_fill('1'::loyalty.points, ARRAY[$batch]));"
	done | PGOPTIONS='-c synchronous_commit=off' sql >"$work/speed"
}

# The same by the floor: what is written is what single posts would have.
floor_batches() {
	local i
	for ((i = 0; i < $1; i++)); do
		cat <<-END
			WITH item AS MATERIALIZED (
				SELECT account_id, count(*) AS n FROM unnest($random_accounts) account_id GROUP BY account_id),
			u AS (UPDATE floor.account a SET balance = a.balance + 10000 * item.n, version = a.version + item.n, posted_at = now(), hash = '$some_hash'
				FROM item WHERE a.merchant_id = 1 AND a.account_id = item.account_id
				RETURNING a.account_id, a.version, a.balance, a.posted_at, a.hash, item.n)
			INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind, hash)
			SELECT 1, u.account_id, u.version - u.n + i, 10000, u.balance - 10000 * (u.n - i), u.posted_at, 2, u.hash FROM u, generate_series(1, u.n) i;
		END
	done | PGOPTIONS='-c synchronous_commit=off' sql >"$work/speed"
}

# load NAME N: a database with N batches of history.
load() {
	make_database "$1"
	make_accounts $accounts
	make_floor $accounts
	post_batches "$2"
	floor_batches "$2"
	settle
}

printf '\\set account random(1, %d)\n%s;\n' "$accounts" "SELECT loyalty.post(1, :account, 'deposit', '1')" >"$work/post.sql"
printf '\\set account random(1, %d)\n%s;\n' "$accounts" "$(floor_post :account 10000)" >"$work/floor.sql"

# post DATABASE SCRIPT CLIENTS: posts per second after a checkpoint; what a post
# writes into the WAL is added to a file.
post() {
	local before
	sql -d "$1" -c CHECKPOINT
	before=$(sql -d "$1" -c 'SELECT pg_current_wal_lsn()')
	PGDATABASE=$1 pgbench_tps "$work/$2.sql" -c "$3" -j 2
	sql -d "$1" -c "SELECT pg_current_wal_lsn() - '$before'::pg_lsn" |
		awk -v n="$(awk '/actually processed:/ { split($NF, count, "/"); print count[1] }' "$work/pgbench")" '{ print $1 / n }' >>"$work/wal_$1_$2_$3"
}

wal_bytes() { printf '%.0f' "$(spread <"$work/wal_$1_$2_$3" | cut -d ' ' -f 1)"; }

# compare_sizes ENTRIES DATABASE CLIENTS GOAL
compare_sizes() {
	compare "a post, $3 clients, $1 entries / the floor" "$4" 'posts/s' "post $2 post $3" "post $2 floor $3"
	row "WAL of a post, $3 clients, $1 entries / of the floor" – – – "$ROUNDS" "$(wal_bytes "$2" post "$3") / $(wal_bytes "$2" floor "$3") bytes"
}

load growth_small 1
small=$PGDATABASE
load growth_middle 100
middle=$PGDATABASE
load growth_large 1000
large=$PGDATABASE

for clients in 4 20; do
	compare_sizes '10,000' "$small" $clients '≥ 1.0'
	compare_sizes '1,000,000' "$middle" $clients '≥ 1.0'
	compare_sizes '10,000,000' "$large" $clients '≥ 1.25'
	compare "a post, $clients clients, 10,000,000 entries / 10,000" '≥ 0.9' 'posts/s' "post $large post $clients" "post $small post $clients"
	compare "the floor's post, $clients clients, 10,000,000 entries / 10,000" – 'posts/s' "post $large floor $clients" "post $small floor $clients"
done

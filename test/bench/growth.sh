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

# A batch by the engine, and by the floor, where what is written is what single
# posts would have; each says how many it posted.
batch_of_ours="SELECT count(*) - count(error) FROM loyalty.post_batch(1, $random_accounts, '{deposit}', array_fill('1'::loyalty.points, ARRAY[$batch]))"
batch_of_floor="WITH item AS MATERIALIZED (
		SELECT account_id, count(*) AS n FROM unnest($random_accounts) account_id GROUP BY account_id),
	u AS (UPDATE floor.account a SET balance = a.balance + 10000 * item.n, version = a.version + item.n, posted_at = now(), hash = '$some_hash'
		FROM item WHERE a.merchant_id = 1 AND a.account_id = item.account_id
		RETURNING a.account_id, a.version, a.balance, a.posted_at, a.hash, item.n),
	e AS (INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind, hash, actor_id)
		SELECT 1, u.account_id, u.version - u.n + i, 10000, u.balance - 10000 * (u.n - i), u.posted_at, 2, u.hash, 7 FROM u, generate_series(1, u.n) i
		RETURNING version)
	SELECT count(*) FROM e"

# fill STATEMENT N: so many of these batches, each in a transaction of its own.
fill() {
	local i
	for ((i = 0; i < $2; i++)); do
		echo "$1;"
	done | PGOPTIONS='-c synchronous_commit=off' sql | { ! grep -vx "$batch"; } || fail 'not all of a batch was posted'
}

# load NAME N: a database with N batches of history.
load() {
	make_database "$1"
	make_accounts $accounts
	make_floor $accounts
	fill "$batch_of_ours" "$2"
	fill "$batch_of_floor" "$2"
	settle
}

printf '\\set account random(1, %d)\n%s;\n' "$accounts" "SELECT loyalty.post(1, :account, 'deposit', '1')" >"$work/post.sql"
printf '\\set account random(1, %d)\n%s;\n' "$accounts" "$(floor_post :account 10000 actor_id 7)" >"$work/floor.sql"

# post DATABASE SCRIPT CLIENTS: posts per second after a checkpoint.
post() {
	sql -d "$1" -c CHECKPOINT
	PGDATABASE=$1 pgbench_tps "$work/$2.sql" -c "$3" -j 2
}

# batch DATABASE WHOSE: likewise, of the second of two batches.
batch() {
	local statement=batch_of_$2
	sql -d "$1" -c CHECKPOINT
	PGDATABASE=$1 posts_per_second $batch "${!statement}"
}

# wal_bytes DATABASE SCRIPT: what a post writes into the WAL, of as many after a
# checkpoint as there are accounts.  That takes as long as it takes: the more
# are posted, the fewer write pages for the first time.
wal_bytes() {
	local before
	sql -d "$1" -c CHECKPOINT
	before=$(sql -d "$1" -c 'SELECT pg_current_wal_lsn()')
	PGDATABASE=$1 PGOPTIONS='-c synchronous_commit=off' pgbench -n -M prepared -t $((accounts / 20)) -f "$work/$2.sql" -c 20 -j 2 >"$work/pgbench" 2>&1 ||
		fail "$(cat "$work/pgbench")"
	sql -d "$1" -c "SELECT round((pg_current_wal_lsn() - '$before'::pg_lsn) / $accounts)"
}

# compare_sizes ENTRIES DATABASE CLIENTS GOAL
compare_sizes() {
	compare "a post, $3 clients, $1 entries / the floor" "$4" 'posts/s' "post $2 post $3" "post $2 floor $3"
}

# compare_wal ENTRIES DATABASE GOAL
compare_wal() {
	row "WAL of a post, $1 entries / of the floor" "$3" – – 1 "$(wal_bytes "$2" post) / $(wal_bytes "$2" floor) bytes"
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
compare 'a batch of 10,000, 10,000,000 entries / the floor' '≥ 1.0' 'posts/s' "batch $large ours" "batch $large floor"
compare_wal '10,000' "$small" –
compare_wal '1,000,000' "$middle" –
compare_wal '10,000,000' "$large" '≤ 800 bytes'

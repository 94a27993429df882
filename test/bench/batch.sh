#!/bin/bash
# Batches in one call, against one UPDATE and one INSERT of the same rows that
# check nothing; and a batch aimed at one account, against a spread one.
. "$(dirname "$0")/bench.bash"

make_accounts 10000

# Rows per second of a batch of $1 items over $2 accounts.
batch() {
	local seconds
	seconds=$(statement_seconds "SELECT count(error) FROM loyalty.post_batch(1,
		ARRAY(SELECT 1 + i % $2 FROM generate_series(1, $1) i)::bigint[], '{deposit}', array_fill('1'::loyalty.points, ARRAY[$1]))")
	awk -v n="$1" -v s="$seconds" 'BEGIN { print n / s }'
}

floor() {
	local seconds
	seconds=$(statement_seconds "$(floor_batch "$1")")
	awk -v n="$1" -v s="$seconds" 'BEGIN { print n / s }'
}

spread_1000() { batch 1000 10000; }
spread_10000() { batch 10000 10000; }
hot_10000() { batch 10000 1; }
floor_1000() { floor 1000; }
floor_10000() { floor 10000; }

ROUNDS=$((ROUNDS * 4))
compare 'batch of 1,000, one call' '>= 0.7' 'posts/s' spread_1000 floor_1000
compare 'batch of 10,000, one call' '>= 0.7' 'posts/s' spread_10000 floor_10000
compare 'batch of 10,000 on one account / spread' '>= 1' 'posts/s' hot_10000 spread_10000

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
	seconds=$(statement_seconds "WITH item AS MATERIALIZED (
			SELECT * FROM unnest(ARRAY(SELECT 1 + i % 10000 FROM generate_series(1, $1) i)::bigint[], array_fill(10000::bigint, ARRAY[$1])) AS item (account_id, amount)),
		u AS (UPDATE floor.account a SET balance = a.balance + item.amount, version = a.version + 1, posted_at = now()
			FROM item WHERE a.merchant_id = 1 AND a.account_id = item.account_id
			RETURNING a.account_id, a.version, item.amount, a.balance, a.posted_at),
		e AS (INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind)
			SELECT 1, u.account_id, u.version, u.amount, u.balance, u.posted_at, 2 FROM u RETURNING version, balance)
		SELECT count(*) FROM e")
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

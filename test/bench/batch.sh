#!/bin/bash
# Batches in one call, against one UPDATE and one INSERT of the same rows that
# check nothing; and a batch aimed at one account, against a spread one.
ROUNDS=${ROUNDS:-20}	# short ones
. "$(dirname "$0")/bench.bash"

small=$((1000 / scale))
large=$((10000 / scale))
make_database batch
make_accounts $large
make_floor $large
settle

# batch N ACCOUNTS
batch() {
	posts_per_second "$1" "SELECT count(*) - count(error) FROM loyalty.post_batch(1,
		ARRAY(SELECT 1 + i % $2 FROM generate_series(1, $1) i)::bigint[], '{deposit}', array_fill('1'::loyalty.points, ARRAY[$1]))"
}

floor() { posts_per_second "$1" "$(floor_batch "$1" actor_id 7)"; }

compare 'a batch of 1,000 / the floor' '≥ 1.1' 'posts/s' "batch $small $large" "floor $small"
compare 'a batch of 10,000 / the floor' '≥ 1.1' 'posts/s' "batch $large $large" "floor $large"
compare 'a batch of 10,000 for one account / for 10,000' '≥ 1.6' 'posts/s' "batch $large 1" "batch $large $large"
check_floor

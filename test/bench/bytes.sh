#!/bin/bash
# How much room an entry takes, with its index: 200,000 deposits, and as many
# sales with their money, cashier and ticket, of 10,000 accounts.
. "$(dirname "$0")/bench.bash"

accounts=$((10000 / scale))
make_database bytes
make_accounts $accounts

# bytes_per_entry ARGUMENTS: of 20 batches that are posted with these.
bytes_per_entry() {
	local pair
	sql -c 'TRUNCATE loyalty.entry'
	for pair in $(seq 10); do
		posts_per_second $accounts "SELECT count(*) - count(error)
			FROM loyalty.post_batch(1, ARRAY(SELECT 1 + i * 7 % $accounts FROM generate_series(1, $accounts) i)::bigint[], $1)"
	done >"$work/speed"
	sql -c "SELECT round((pg_table_size('loyalty.entry') + pg_indexes_size('loyalty.entry')) / count(*)::numeric, 1) FROM loyalty.entry"
}

# A batch's array of one value.
all() { printf 'array_fill(%s, ARRAY[%d])' "$1" "$accounts"; }

deposit=$(bytes_per_entry "'{deposit}', $(all "'1'::loyalty.points")")
sale=$(bytes_per_entry "'{accrue}', $(all "'1'::loyalty.points"), reference => $(all "'T-00012345'::text"),
	staff_id => '{7}', money => $(all "'100'::loyalty.points")")

row 'an entry with its index: a deposit' '≤ 210 bytes' – – 1 "$deposit bytes"
row 'an entry with its index: a sale with money, cashier and ticket' '≤ 210 bytes' – – 1 "$sale bytes"

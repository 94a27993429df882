#!/bin/bash
# How much room an entry takes, with its index: 200,000 deposits, and as many
# sales with their money, cashier and ticket, of 10,000 accounts.
. "$(dirname "$0")/bench.bash"

# Print what 20 batches of 10,000 take, for each entry.
bytes_per_entry() {
	local name=$1 arguments=$2 round
	make_accounts 10000
	sql -c 'VACUUM FULL loyalty.entry'
	for round in $(seq 20); do
		sql -c "SELECT count(error) FROM loyalty.post_batch(1, ARRAY(SELECT 1 + i * 7 % 10000 FROM generate_series(1, 10000) i)::bigint[], $arguments)" >/dev/null
	done
	sql <<-END
		SELECT format('%-58s %5s  (goal <= 200)  %s of table, %s of index', '$name', round((t + i) / n, 1), round(t / n, 1), round(i / n, 1))
		FROM (SELECT pg_table_size('loyalty.entry')::numeric AS t, pg_indexes_size('loyalty.entry')::numeric AS i, count(*) AS n FROM loyalty.entry) s;
	END
}

some() { printf "array_fill(%s, ARRAY[10000])" "$1"; }

bytes_per_entry 'bytes of an entry, deposit' "'{deposit}', $(some "'1'::loyalty.points")"
bytes_per_entry 'bytes of an entry, sale' "'{accrue}', $(some "'1'::loyalty.points"), item_references => $(some "'T-00012345'::text"), staff_id => 7, moneys => $(some "'100'::loyalty.points")"

#!/bin/bash
# How much room an entry takes, with its index: 200,000 deposits, and as many
# sales with their money, cashier and ticket, of 10,000 accounts.  Then what a
# contact takes, a message and an idempotency key, of 10,000 each.
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

# What a merchant's tables grow by, of which each call adds one to some.
sql <<-END >"$work/sizes"
	SELECT loyalty.create_merchant('bench') AS merchant \\gset
	SELECT wallet_key AS wallet FROM loyalty.create_program(:merchant, 'bench') \\gset
	SELECT loyalty.employee_add(:merchant, 'cajero', 'José Núñez', 'Centro', '4771000002', 'clave de José') AS cashier \\gset
	CREATE TEMPORARY VIEW size AS SELECT relname, pg_table_size(oid) + pg_indexes_size(oid) AS bytes
	FROM pg_class WHERE relnamespace = 'loyalty_internal'::regnamespace AND relkind = 'r';
	CREATE TEMPORARY TABLE before AS SELECT * FROM size;
	SELECT count(loyalty.wallet_contact_add(:merchant, :'wallet', (4770000000 + i)::text, 'Sofía Hernández ' || i, :cashier)) FROM generate_series(1, $accounts) i \\g /dev/null
	SELECT count(loyalty.wallet_sale(:merchant, :'wallet', (4770000000 + i)::text, 0, 100, NULL, :cashier, 'T-00012345', gen_random_uuid()::text)) FROM generate_series(1, $accounts) i \\g /dev/null
	SELECT s.relname, round((s.bytes - b.bytes) / $accounts.0, 1) FROM size s JOIN before b USING (relname);
END

# grown TABLE…: what was added to these, for each.
grown() { awk -F '|' -v names=" $* " 'index(names, " " $1 " ") { bytes += $2 } END { print bytes }' "$work/sizes"; }

row 'a contact, with its account' – – – 1 "$(grown member account) bytes"
row 'a message, from the day it is queued' – – – 1 "$(grown message) bytes"
row 'an idempotency key, with its answer' – – – 1 "$(grown idempotency_key) bytes"

#!/bin/bash
# Redeeming points that expire: over 10,000 small lots, against over one lot.
. "$(dirname "$0")/bench.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make_accounts 2

sql <<-END >/dev/null
	DELETE FROM loyalty.lot WHERE merchant_id = 1;
	SELECT loyalty.configure_program(1, client_id, duration_value => 12) FROM loyalty.program WHERE merchant_id = 1;
	SELECT count(error) FROM loyalty.post_batch(1, array_fill(1::bigint, ARRAY[10000]), '{deposit}', array_fill('100'::loyalty.points, ARRAY[10000]));
	SELECT loyalty.post(1, 2, 'deposit', '1000000');
	UPDATE loyalty.lot SET expires_at = expires_at + version * interval '1 second' WHERE merchant_id = 1 AND account_id = 1;
	UPDATE loyalty.account SET last_expiry = last_expiry + interval '10000 seconds' WHERE merchant_id = 1 AND account_id = 1;
	VACUUM ANALYZE loyalty.account, loyalty.entry, loyalty.lot;
END
echo "SELECT loyalty.post(1, 1, 'redeem', '-1.5');" >"$work/many.sql"
echo "SELECT loyalty.post(1, 2, 'redeem', '-1.5');" >"$work/one.sql"

many() { pgbench_tps "$work/many.sql" -c 1; }
one() { pgbench_tps "$work/one.sql" -c 1; }

compare 'redeem over 10,000 lots / over one (throughput)' '>= 0.83' 'posts/s' many one
sql -c "SELECT loyalty.configure_program(1, client_id, duration_value => 0) FROM loyalty.program WHERE merchant_id = 1; DELETE FROM loyalty.lot WHERE merchant_id = 1" >/dev/null

#!/bin/bash
# Redeeming points that expire: out of 10,000 small lots, which are spread over
# as many dates as an account can have, against out of one; and redeeming most
# of them, which moves every lot, against redeeming as much out of one.
. "$(dirname "$0")/bench.bash"

lots=$((10000 / scale))
make_database lots
make_accounts 2

refused=$(sql <<-END
	SELECT count(error) FROM loyalty.post_batch(1, array_fill(1::bigint, ARRAY[$lots]), '{deposit}', array_fill('100'::loyalty.points, ARRAY[$lots]),
		expires_at => ARRAY(SELECT now() + interval '1 year' + i * interval '1 hour' FROM generate_series(1, $lots) i));
	SELECT 0 FROM loyalty.post(1, 2, 'deposit', '$((lots * 100))', expires_at => now() + interval '1 year');
END
)
[ "$refused" = $'0\n0' ] || fail "not all lots were posted: $refused"
settle

for account in 1 2; do
	echo "SELECT loyalty.post(1, $account, 'redeem', '1.5');" >"$work/redeem$account.sql"
	# Rolled back, so that there is as much for the next.
	cat >"$work/most$account.sql" <<-END
		BEGIN;
		SELECT loyalty.post(1, $account, 'redeem', '$((lots * 80))');
		ROLLBACK;
	END
done

# redeem SCRIPT
redeem() { pgbench_tps "$work/$1.sql" -c 1; }

compare 'a redemption out of 10,000 lots / out of one' '≥ 0.83' 'posts/s' 'redeem redeem1' 'redeem redeem2'
compare 'redeeming 8,000 lots at once / as much of one, rolled back' – 'posts/s' 'redeem most1' 'redeem most2'

#!/bin/bash
# Redeeming points that expire: out of 10,000 small lots, which are spread over
# as many dates as an account can have, against out of one; and redeeming all
# of them, which moves every lot, against redeeming as much out of one.
. "$(dirname "$0")/bench.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make_accounts 2

sql <<-END >/dev/null
	SELECT count(error) FROM loyalty.post_batch(1, array_fill(1::bigint, ARRAY[10000]), '{deposit}', array_fill('100'::loyalty.points, ARRAY[10000]),
		expires_ats => ARRAY(SELECT now() + interval '1 year' + i * interval '1 hour' FROM generate_series(1, 10000) i));
	SELECT loyalty.post(1, 2, 'deposit', '1000000', expires_at => now() + interval '1 year');
	VACUUM ANALYZE loyalty.account, loyalty.entry;
END
for account in 1 2; do
	echo "SELECT loyalty.post(1, $account, 'redeem', '-1.5');" >"$work/redeem$account.sql"
	# Rolled back, so that there is as much for the next.
	cat >"$work/all$account.sql" <<-END
		BEGIN;
		SELECT loyalty.post(1, $account, 'redeem', '-800000');
		ROLLBACK;
	END
done

many() { pgbench_tps "$work/redeem1.sql" -c 1; }
one() { pgbench_tps "$work/redeem2.sql" -c 1; }
all_many() { pgbench_tps "$work/all1.sql" -c 1; }
all_one() { pgbench_tps "$work/all2.sql" -c 1; }

sql -c "SELECT '10,000 lots of one account are on ' || count(*) || ' dates' FROM loyalty.lots_of(1, 1)"
compare 'redeem out of 10,000 lots / out of one (throughput)' '>= 0.83' 'posts/s' many one
compare 'redeem 8,000 lots at once / as much of one, rolled back' '-' 'posts/s' all_many all_one

#!/bin/bash
# One durable post, against one hand-written prepared statement that writes the
# same columns and checks nothing.
. "$(dirname "$0")/bench.bash"

accounts=$((10000 / scale))
make_database post
make_accounts $accounts
make_floor $accounts
settle

cat >"$work/post.sql" <<-END
	\set account random(1, $accounts)
	SELECT loyalty.post(1, :account, 'deposit', '1');
END
cat >"$work/floor.sql" <<-END
	\set account random(1, $accounts)
	$(floor_post :account 10000);
END

post() { pgbench_tps "$work/post.sql" -c 20 -j 2; }
floor() { pgbench_tps "$work/floor.sql" -c 20 -j 2; }

compare 'a durable post, 20 clients, 10,000 accounts / the floor' '≥ 1.3' 'posts/s' post floor
check_floor

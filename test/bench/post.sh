#!/bin/bash
# One durable post, against one hand-written prepared statement that writes the
# same columns and checks nothing.
. "$(dirname "$0")/bench.bash"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make_accounts 10000

cat >"$work/post.sql" <<'END'
\set account random(1, 10000)
SELECT loyalty.post(1, :account, 'deposit', '1');
END
cat >"$work/floor.sql" <<END
\\set account random(1, 10000)
WITH u AS (UPDATE floor.account SET balance = balance + 10000, version = version + 1, posted_at = now(), hash = '$some_hash' WHERE merchant_id = 1 AND account_id = :account RETURNING account_id, version, balance, posted_at, hash) INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind, hash) SELECT 1, account_id, version, 10000, balance, posted_at, 2, hash FROM u RETURNING version, balance;
END

post() { pgbench_tps "$work/post.sql" -c 20 -j 2; }
floor() { pgbench_tps "$work/floor.sql" -c 20 -j 2; }

compare 'one durable post, 10,000 accounts, 20 clients' '>= 0.9' 'posts/s' post floor

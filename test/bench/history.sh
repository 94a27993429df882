#!/bin/bash
# Posting, a balance, and the balance at an instant, when there are 10,000,000
# entries in the table, against 10,000.  Both databases have 10,000 accounts,
# and those with a history have one of 1,000 entries, one for each minute: all
# of them, or ten.  And the balance at an instant in such a history, against
# one of a single entry.
. "$(dirname "$0")/bench.bash"

work=$(mktemp -d)
small=history_small
large=history_large
trap 'rm -rf "$work"; sql -c "DROP DATABASE IF EXISTS $small" -c "DROP DATABASE IF EXISTS $large"' EXIT

# A database in which $2 accounts have a history, written past the engine: the
# hashes are filler, and everything is in memory.  Then each account gets one entry more, so that pages that
# are written for the first time since the checkpoint are not what is measured.
load() {
	createdb "$1"
	sql -d "$1" <<-END >/dev/null
		SET client_min_messages = warning;
		CREATE EXTENSION loyalty;
		SET synchronous_commit = off;
		SET maintenance_work_mem = '512MB';
		INSERT INTO loyalty.merchant (merchant_id, name, base_url) VALUES (1, 'bench', 'https://bench.example');
		INSERT INTO loyalty.program (merchant_id, program_id, name) VALUES (1, 1, 'bench');
		INSERT INTO loyalty.account (merchant_id, account_id, program_id, balance, version, posted_at, hash)
		SELECT 1, i, 1, v.n::loyalty.points, v.n, now(), v.hash
		FROM generate_series(1, 10000) i,
			LATERAL (SELECT CASE WHEN i <= $2 THEN 1000 ELSE 0 END AS n, CASE WHEN i <= $2 THEN '$some_hash' ELSE '' END::bytea AS hash) v;
		ALTER TABLE loyalty.entry DROP CONSTRAINT entry_pkey;
		INSERT INTO loyalty.entry (merchant_id, account_id, version, amount, balance, posted_at, kind, hash)
		SELECT 1, a, v, one.point, v::loyalty.points, now() - (1000 - v) * interval '1 minute', 2, '$some_hash'
		FROM (SELECT '1'::loyalty.points AS point) one, generate_series(1, 1000) v, generate_series(1, $2) a;
		ALTER TABLE loyalty.entry ADD PRIMARY KEY (merchant_id, account_id, version);
		VACUUM ANALYZE loyalty.account, loyalty.entry;
		CREATE EXTENSION pg_prewarm;
		SELECT pg_prewarm('loyalty.entry'), pg_prewarm('loyalty.entry_pkey');
		CHECKPOINT;
		SELECT count(error) FROM loyalty.post_batch(1, ARRAY(SELECT generate_series(1, 10000)), '{deposit}', array_fill('1'::loyalty.points, ARRAY[10000]));
	END
}

cat >"$work/post.sql" <<'END'
\set account random(1, 10000)
SELECT loyalty.post(1, :account, 'deposit', '1');
END
cat >"$work/balance.sql" <<'END'
\set account random(1, 10000)
SELECT balance FROM loyalty.balances WHERE merchant_id = 1 AND account_id = :account;
END
# at FROM TO: of the accounts with these numbers.
at() {
	cat <<-END
		\set account random($1, $2)
		\set minutes random(0, 1000)
		SELECT loyalty.balance_at(1, :account, now() - :minutes * interval '1 minute');
	END
}
at 1 10000 >"$work/large_at.sql"
at 1 10 >"$work/small_at.sql"
at 11 10000 >"$work/single_at.sql"

large_post() { pgbench_tps "$work/post.sql" -c 8 -j 2 "$large"; }
small_post() { pgbench_tps "$work/post.sql" -c 8 -j 2 "$small"; }
large_balance() { pgbench_tps "$work/balance.sql" -c 2 -j 2 "$large"; }
small_balance() { pgbench_tps "$work/balance.sql" -c 2 -j 2 "$small"; }
large_at() { pgbench_tps "$work/large_at.sql" -c 2 -j 2 "$large"; }
small_at() { pgbench_tps "$work/small_at.sql" -c 2 -j 2 "$small"; }
single_at() { pgbench_tps "$work/single_at.sql" -c 2 -j 2 "$small"; }

load "$small" 10
load "$large" 10000
compare 'post, 10,000,000 entries / 10,000' '>= 0.87' 'posts/s' large_post small_post
compare 'balance, 10,000,000 entries / 10,000' '>= 0.87' 'reads/s' large_balance small_balance
compare 'balance_at, 10,000,000 entries / 10,000' '>= 0.87' 'reads/s' large_at small_at
compare 'balance_at, a history of 1,000 entries / of one' '-' 'reads/s' small_at single_at

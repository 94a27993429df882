#!/bin/bash
# Posting, a balance, and the balance at an instant, when there are 10,000,000
# entries in the table, against 10,000.  Both databases have 10,000 accounts,
# and those with a history have one of 1,000 entries, one for each minute: all
# of them, or ten.  And the balance at an instant in such a history, against
# one of a single entry.
. "$(dirname "$0")/bench.bash"

accounts=$((10000 / scale))

# load NAME N: a database in which N accounts have a history, written past the
# engine: the hashes are filler, and everything is in memory.  Then each account
# gets one entry more, so that what is measured is not pages that are written
# for the first time since the checkpoint.
load() {
	make_database "$1"
	make_accounts $accounts
	sql <<-END >/dev/null
		SET synchronous_commit = off;
		SET maintenance_work_mem = '512MB';
		ALTER TABLE loyalty.entry DROP CONSTRAINT entry_pkey;
		DROP INDEX loyalty.entry_sixteenth;
		INSERT INTO loyalty.entry (merchant_id, entry_id, account_id, entry_no, previous_entry_id, amount, balance, posted_at, kind, hash)
		SELECT 1, v * 1000000::bigint + a, a, v, CASE WHEN v > 1 THEN (v - 1) * 1000000::bigint + a END, one.point, v::loyalty.points,
			now() - (1000 - v) * interval '1 minute', 2, '$some_hash'
		FROM (SELECT '1'::loyalty.points AS point) one, generate_series(1, 1000) v, generate_series(1, $2) a;
		ALTER TABLE loyalty.entry ADD PRIMARY KEY (merchant_id, entry_id);
		CREATE INDEX entry_sixteenth ON loyalty.entry (merchant_id, account_id, posted_at, entry_no) WHERE entry_no % 16 = 0;
		UPDATE loyalty_internal.account SET balance = '1000', entry_no = 1000, newest_entry_id = 1000000000 + account_id,
			previous_entry_id = 999000000 + account_id, posted_at = now(), hash = '$some_hash' WHERE account_id <= $2;
		VACUUM FULL loyalty_internal.account;
		VACUUM ANALYZE loyalty_internal.account, loyalty.entry;
		CREATE EXTENSION pg_prewarm;
		SELECT pg_prewarm('loyalty.entry'), pg_prewarm('loyalty.entry_pkey');
		CHECKPOINT;
	END
	posts_per_second $accounts "SELECT count(*) - count(error)
		FROM loyalty.post_batch(1, ARRAY(SELECT generate_series(1, $accounts)), '{deposit}', array_fill('1'::loyalty.points, ARRAY[$accounts]))" >"$work/speed"
}

cat >"$work/post.sql" <<-END
	\set account random(1, $accounts)
	SELECT loyalty.post(1, :account, 'deposit', '1');
END
cat >"$work/balance.sql" <<-END
	\set account random(1, $accounts)
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
at 1 $accounts >"$work/at.sql"
at 1 10 >"$work/at_long.sql"
at 11 $accounts >"$work/at_short.sql"

load small 10
small=$PGDATABASE
load large $accounts
large=$PGDATABASE

# post DATABASE; read_by SCRIPT DATABASE
post() { pgbench_tps "$work/post.sql" -c 8 -j 2 "$1"; }
read_by() { pgbench_tps "$work/$1.sql" -c 2 -j 2 "$2"; }

compare 'a post, 10,000,000 entries / 10,000' '≥ 0.9' 'posts/s' "post $large" "post $small"
compare 'a balance, 10,000,000 entries / 10,000' '≥ 0.87' 'reads/s' "read_by balance $large" "read_by balance $small"
compare 'the balance at an instant, 10,000,000 entries / 10,000' '≥ 0.87' 'reads/s' "read_by at $large" "read_by at_long $small"
compare 'the balance at an instant, a history of 1,000 entries / of one' – 'reads/s' "read_by at_long $small" "read_by at_short $small"

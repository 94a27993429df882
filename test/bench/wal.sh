#!/bin/bash
# What a call of each kind writes into the WAL, by table and index: of 20,000
# accounts, chosen at random, right after a checkpoint, when most pages are
# written whole, and going on, when they have been.  Pages are those that 1,000
# calls change after one another, each counted once: an account is on a page of
# its own, while what is only added to is on the last one.
. "$(dirname "$0")/bench.bash"

accounts=$((20000 / scale))
clients=4

make_database wal
declare -A merchant=()
for name in plain wallet lots holds refunds rules; do
	merchant[$name]=$(make_merchant "$name" $accounts)
done
api_key=$(sql -c "SELECT api_key FROM loyalty.create_api_key(${merchant[wallet]}, 'bench')")

# The first rule or hold of an account, which adds rows of its own, is not what is measured.
sql <<-END >"$work/made"
	SELECT loyalty.set_quota(${merchant[wallet]}, kind, 100000000) FROM unnest('{redemptions,messages}'::text[]) kind;
	SELECT loyalty.set_limit(merchant_id, program_id, scope, 'spend', '100000000', 100000000)
	FROM loyalty_internal.program, unnest('{staff,branch}'::text[]) scope WHERE merchant_id = ${merchant[wallet]};
	SELECT loyalty.configure_program(merchant_id, program_id, json_build_object('duration_unit', 'month', 'duration_value', 12)) FROM loyalty_internal.program WHERE merchant_id = ${merchant[lots]};
	SELECT count(*) FROM generate_series(1, 3) i, LATERAL loyalty.post_batch(${merchant[lots]}, ARRAY(SELECT generate_series(1, $accounts)), '{deposit}',
		array_fill('1000'::loyalty.points, ARRAY[$accounts]), expires_at => array_fill(date_trunc('day', now()) + i * interval '90 days', ARRAY[$accounts]));
	SELECT loyalty.publish_rules(merchant_id, program_id, '[{"name": "café", "points_per": 1, "money_per": 5, "max_day": 1000000}]')
	FROM loyalty_internal.program WHERE merchant_id = ${merchant[rules]};
	SELECT count(loyalty.wallet_sale(${merchant[rules]}, 'bench-rules', (5510000000 + i)::text, 0, 100, NULL, 1, 'T1')) FROM generate_series(1, $accounts) i;
	SELECT count(c) FROM generate_series(1, $accounts) i, LATERAL loyalty.hold(${merchant[holds]}, i, '1', release_at => now() + interval '1 day') h, LATERAL loyalty.capture(${merchant[holds]}, i, h.entry_id, in_full => true) c;
	CREATE TABLE refunded AS SELECT account_id, newest_entry_id FROM loyalty_internal.account WHERE merchant_id = ${merchant[refunds]};
	CREATE INDEX ON refunded (account_id);
	SELECT format('ALTER TABLE %s SET (autovacuum_enabled = false)', c.oid::regclass)
	FROM pg_class c WHERE c.relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND c.relkind = 'r' \gexec
END

# script NAME: what a call of a kind is, for an account.
script() { { printf '\\set account random(1, %d)\n' "$accounts"; cat; } >"$work/$1.sql"; }

# What no two calls have, and grows with time.
unique="(extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '-' || :client_id"

script post <<-END
	SELECT loyalty.post(${merchant[plain]}, :account, 'deposit', '1');
END
script keyed <<-END
	SELECT loyalty.post(${merchant[plain]}, :account, 'deposit', '1', idempotency_key => gen_random_uuid()::text);
END
script timed <<-END
	SELECT loyalty.post(${merchant[plain]}, :account, 'deposit', '1', idempotency_key => $unique);
END
script wallet <<-END
	SELECT 1 / (sale ->> 'success' = 'true')::integer
	FROM loyalty_api.wallet_sale('bench-wallet', (5510000000 + :account)::text, '1', NULL, '1', (:client_id + 1)::text, 'T1') sale;
END
script outbox <<-END
	SELECT message_id AS message, attempt FROM loyalty.claim_messages(${merchant[wallet]}, 1) \gset
	SELECT 1 / loyalty.acknowledge_message(${merchant[wallet]}, :message, :attempt)::integer;
END
script lots <<-END
	SELECT loyalty.post(${merchant[lots]}, :account, 'redeem', '1');
END
script hold <<-END
	SELECT entry_id AS hold FROM loyalty.hold(${merchant[holds]}, :account, '1', release_at => now() + interval '1 day') \gset
	SELECT loyalty.capture(${merchant[holds]}, :account, :hold, in_full => true);
END
script reverse <<-END
	SELECT newest_entry_id AS entry FROM refunded WHERE account_id = :account \gset
	SELECT loyalty.reverse(${merchant[refunds]}, :account, :entry, '0.01', 'R-' || $unique);
END
script rules <<-END
	SELECT loyalty.wallet_sale(${merchant[rules]}, 'bench-rules', (5510000000 + :account)::text, 0, 100, NULL, :client_id + 1, 'T1');
END
script batch <<-END
	SELECT 1 / (count(error) = 0)::integer FROM loyalty.post_batch(${merchant[plain]},
		ARRAY(SELECT 1 + floor(random() * $accounts)::bigint FROM generate_series(1, 100)), '{deposit}', array_fill('1'::loyalty.points, '{100}'));
END

# calls NAME N: so many calls of a kind by each client.
calls() {
	PGOPTIONS="-c synchronous_commit=off -c request.headers={\"apikey\":\"$api_key\"}" \
		pgbench -n -M prepared -c $clients -j 2 -t "$2" -f "$work/$1.sql" >"$work/pgbench" 2>&1 || fail "$(cat "$work/pgbench")"
}

# Where the WAL is, with all before it in its files: what is emitted is committed.
wal_end() { sql -c "SELECT pg_logical_emit_message(true, 'bench', '')"; }

redo() { sql -c 'SELECT redo_lsn FROM pg_control_checkpoint()'; }

# look NAME N: what is written by so many calls of each client.
look() {
	local from
	from=$(wal_end)
	calls "$1" "$2"
	pg_waldump -p "$LOYALTY_PGDATA/pg_wal" -s "$from" -e "$(wal_end)" >"$work/wal"
	perl "$bench/wal.pl" $((clients * $2)) "$work/names" <"$work/wal"
}

# What is measured is not a new table: all kinds have been before.
declare -A each=()
for name in post keyed timed wallet outbox lots hold reverse rules batch; do
	each[$name]=$((1000 / scale / clients))
	[ "$name" != batch ] || each[$name]=$((each[$name] / 10 + 1))
	calls $name $((20 * each[$name]))
done
settle
sql <<-END >"$work/names"
	SELECT oid::regclass, pg_relation_filenode(oid), (SELECT oid FROM pg_database WHERE datname = current_database())
	FROM pg_class WHERE relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND relkind IN ('r', 'i');
END

# written NAME TITLE: the row of a kind, and what it is made of.
written() {
	local checkpoint bytes
	sql -c CHECKPOINT
	checkpoint=$(redo)
	look "$1" "${each[$1]}" >"$work/after"
	calls "$1" $((20 * each[$1]))
	look "$1" "${each[$1]}" >"$work/going"
	[ "$(redo)" = "$checkpoint" ] || fail "$2: there was a checkpoint in between"
	bytes=$(awk '$1 == "all" { print $2 }' "$work/after" "$work/going" | paste -sd / | sed 's|/| / |')
	row "WAL of $2, right after a checkpoint / going on" – – – 1 "$bytes bytes"
	join -a 1 -a 2 -e 0 -o 0,1.2,2.2,2.3 <(sort "$work/after") <(sort "$work/going") | sort -k 2,2nr |
		awk '{ printf "    %-32s %8d %8d bytes %8.2f pages\n", $1, $2, $3, $4 }'
}

written post 'a post'
written keyed 'a post with an idempotency key'
written timed 'a post with a key that grows with time'
written wallet 'a redemption of the wallet API, with quotas, limits and message'
written outbox 'a message that is claimed and acknowledged'
written lots 'a redemption of points that expire'
written hold 'a hold and its capture'
written reverse 'a refund'
written rules 'a sale by a rule with a cap'
written batch 'a batch of 100'

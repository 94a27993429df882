# bench.bash - what the benchmarks share.  Sourced, never run.
#
# A benchmark compares two ways of doing the same work, A and B, by turns in
# one run: A B A B …  What counts is the ratio of each pair; the median of the
# ratios is printed with their range, because machines are noisy and single
# figures mean little.

set -euo pipefail
export LC_ALL=C.UTF-8
PATH=$LOYALTY_BINDIR:$PATH
# What the floor writes where the extension writes a hash: as many bytes.
some_hash=\\x$(printf '00%.0s' {1..32})
ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-4}

sql() {
	psql -XqAt -v ON_ERROR_STOP=1 "$@"
}

# pgbench_tps SCRIPT [OPTION…]: transactions per second of a pgbench script.
pgbench_tps() {
	local script=$1
	shift
	pgbench -n -M prepared -T "$SECONDS_EACH" -f "$script" "$@" 2>/dev/null |
		awk '/^tps/ { print $3; found = 1 } END { exit !found }'
}

# statement_seconds SQL: seconds that a statement takes in a session that has
# run it before.
statement_seconds() {
	psql -XqAt -v ON_ERROR_STOP=1 -c "$1" -c '\timing on' -c "$1" |
		awk '/^Time:/ { seconds = $2 / 1000 } END { print seconds }'
}

# compare NAME GOAL UNIT A B: run functions A and B by turns; each prints a
# figure where more is better.
compare() {
	local name=$1 goal=$2 unit=$3 a=$4 b=$5 round
	for round in $(seq "$ROUNDS"); do
		printf '%s %s\n' "$("$a")" "$("$b")"
	done | awk -v name="$name" -v goal="$goal" -v unit="$unit" '
		function median(values, n,    i, j, t) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && values[j - 1] > values[j]; j--) {
					t = values[j]; values[j] = values[j - 1]; values[j - 1] = t
				}
			return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
		}
		!($1 > 0 && $2 > 0) { failed = 1; exit }
		{ a[NR] = $1; b[NR] = $2; ratio[NR] = $1 / $2 }
		END {
			if (failed) {
				print name ": one of the two did not run"
				exit 1
			}
			middle = median(ratio, NR)
			printf "%-58s %5.2f  (%.2f to %.2f; goal %s)  %d against %d %s\n",
				name, middle, ratio[1], ratio[NR], goal, median(a, NR), median(b, NR), unit
		}'
}

# A merchant with ACCOUNTS accounts 1, 2, 3 …, and beside it, in schema floor,
# the same two tables without a check, a type of ours or a privilege.
make_accounts() {
	local accounts=$1
	sql <<-END
		SET client_min_messages = warning;
		DROP SCHEMA IF EXISTS floor CASCADE;
		DELETE FROM loyalty.entry WHERE merchant_id = 1;
		DELETE FROM loyalty.account WHERE merchant_id = 1;
		INSERT INTO loyalty.merchant (merchant_id, name, base_url) VALUES (1, 'bench', 'https://bench.example')
		ON CONFLICT DO NOTHING;
		INSERT INTO loyalty.program (merchant_id, program_id, name) VALUES (1, 1, 'bench') ON CONFLICT DO NOTHING;
		INSERT INTO loyalty.account (merchant_id, account_id, program_id) SELECT 1, i, 1 FROM generate_series(1, $accounts) i;

		CREATE SCHEMA floor;
		CREATE TABLE floor.account (merchant_id bigint NOT NULL, account_id bigint NOT NULL, program_id bigint NOT NULL,
			balance bigint NOT NULL, version bigint NOT NULL, posted_at timestamptz NOT NULL, hash bytea NOT NULL,
			PRIMARY KEY (merchant_id, account_id)) WITH (fillfactor = 60);
		ALTER TABLE floor.account ALTER hash SET STORAGE PLAIN;
		CREATE TABLE floor.entry (merchant_id bigint NOT NULL, account_id bigint NOT NULL, version bigint NOT NULL,
			amount bigint NOT NULL, balance bigint NOT NULL, posted_at timestamptz NOT NULL, staff_id bigint,
			money bigint, kind smallint NOT NULL, reference text, hash bytea NOT NULL, PRIMARY KEY (merchant_id, account_id, version));
		ALTER TABLE floor.entry ALTER hash SET STORAGE MAIN;
		INSERT INTO floor.account SELECT 1, i, 1, 0, 0, now(), '$some_hash' FROM generate_series(1, $accounts) i;
		VACUUM ANALYZE loyalty.account, loyalty.entry, floor.account, floor.entry;
		CHECKPOINT;
	END
}

# The statement that posts a batch of $1 to the tables of schema floor.
floor_batch() {
	cat <<-END
		WITH item AS MATERIALIZED (
			SELECT * FROM unnest(ARRAY(SELECT 1 + i % 10000 FROM generate_series(1, $1) i)::bigint[], array_fill(10000::bigint, ARRAY[$1]))
				AS item (account_id, amount)),
		u AS (UPDATE floor.account a SET balance = a.balance + item.amount, version = a.version + 1, posted_at = now(), hash = '$some_hash'
			FROM item WHERE a.merchant_id = 1 AND a.account_id = item.account_id
			RETURNING a.account_id, a.version, item.amount, a.balance, a.posted_at, a.hash),
		e AS (INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind, hash)
			SELECT 1, u.account_id, u.version, u.amount, u.balance, u.posted_at, 2, u.hash FROM u RETURNING version, balance)
		SELECT count(*) FROM e
	END
}

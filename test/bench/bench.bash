# bench.bash - what the benchmarks share.  Sourced, never run.
#
# A benchmark compares two ways of doing the same work, A and B, by turns in one
# run: A B, then B A, then A B …  Single figures mean little on a noisy machine.
# What counts is the ratio of each round: a row has the median and the range.
# The rows are those of the table in docs/performance.md, whose tests hold them together.
#
# It runs on the servers that stack.sh starts, level demo, with their settings
# in the environment, and leaves nothing on them.  What fails ends it, so that
# there is no row without both figures.  The environment may say:
#     ROUNDS=5         how many rounds
#     SECONDS_EACH=4   how long one way is measured in a round, where time says it
#     SMOKE=1          whether it runs at all: a hundredth of the rows, one short round

set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C.UTF-8
PATH=${LOYALTY_BINDIR:?"the servers are not there; run: make bench"}:$PATH
umask 077

bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(basename "$0" .sh)
demo=$PGDATABASE
databases=()
scale=1
ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-4}
pgbench_length=(-T "$SECONDS_EACH")
if [ "${SMOKE:-}" = 1 ]; then
	scale=100
	ROUNDS=1
	SECONDS_EACH=0.2
	pgbench_length=(-t 10)
fi

# What the floor writes where the extension writes a hash: as many bytes.
some_hash=\\x$(printf '00%.0s' {1..32})

fail() {
	printf '%s: %s\n' "$program" "$*" >&2
	exit 1
}

sql() { psql -XqAt -v ON_ERROR_STOP=1 "$@"; }

# --- what is left, and removed however this ends -----------------------------

# The merchants that this benchmark made where the demo is, with all their rows.
# As a replica, so that it does not matter which table refers to which.
remove_merchants() {
	sql -d "$demo" <<-'END'
		SET client_min_messages = warning;
		DROP SCHEMA IF EXISTS floor CASCADE;
		DROP FUNCTION IF EXISTS loyalty_api.floor_sale(bigint, bigint);
		ALTER FUNCTION loyalty_api.gateway(bytea) RESET lock_timeout;
		SET session_replication_role = replica;
		SELECT coalesce(array_agg(merchant_id), '{}') AS ours FROM loyalty_internal.merchant WHERE name LIKE 'bench %' \gset
		SELECT format('DELETE FROM %s WHERE merchant_id = ANY (%L)', c.oid::regclass, :'ours')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND c.relkind = 'r' AND a.attname = 'merchant_id' AND :'ours' <> '{}' \gexec
		VACUUM FULL loyalty_internal.account, loyalty.entry, loyalty_internal.member;
	END
}

finish() {
	local status=$? name
	trap - EXIT
	trap '' INT TERM
	# shellcheck disable=SC2046
	[ -z "$(jobs -pr)" ] || { kill $(jobs -pr) || true; wait; }
	for name in "${databases[@]}"; do
		sql -d postgres -c "DROP DATABASE IF EXISTS $name WITH (FORCE)" || status=1
	done
	remove_merchants || status=1
	rm -rf "$work"
	exit "$status"
}

work=$(mktemp -d "${LOYALTY_TMP:-/tmp}/bench.XXXXXX")
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- measuring ---------------------------------------------------------------

# pgbench_tps SCRIPT [OPTION…]: transactions per second of a pgbench script.
pgbench_tps() {
	local script=$1
	shift
	pgbench -n -M prepared "${pgbench_length[@]}" -f "$script" "$@" >"$work/pgbench" 2>&1 || fail "$(cat "$work/pgbench")"
	awk '/^tps/ { print $3 }' "$work/pgbench"
}

# posts_per_second N SQL: of a statement that posts so many and returns how
# many it posted, in a session that has run it before.
posts_per_second() {
	sql -c "$2" -c '\timing on' -c "$2" >"$work/posted"
	awk -v n="$1" '
		/^Time:/ { print n / $2 * 1000; next }
		$1 != n { print "posted " $1 " of " n >"/dev/stderr"; exit 1 }' "$work/posted"
}

# requests_per_second URL FILE: of 16 connections that send what post_request printed.
requests_per_second() { perl "$bench/load.pl" "${1#http://}" 16 "$SECONDS_EACH" <"$2"; }

# post_request PATH TYPE BODY [HEADER]
post_request() {
	printf 'POST %s HTTP/1.1\nHost: bench\nContent-Type: %s\nContent-Length: %d\n%s\n%s\n%%%%\n' \
		"$1" "$2" "${#3}" "${4:+$4$'\n'}" "$3"
}

# --- the rows ----------------------------------------------------------------

# The figure that a way prints, a positive number.
figure() {
	local value
	value=$($1)
	awk -v value="$value" 'BEGIN { exit !(value + 0 > 0) }' || fail "\"$1\" printed \"$value\""
	printf '%s\n' "$value"
}

# The median, the least and the greatest of the numbers read.
spread() {
	sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2, v[1], v[NR] }'
}

# row NAME GOAL RATIO RANGE ROUNDS FIGURES: a line of the table, which has its head once.
row() {
	if [ -z "${headed:-}" ]; then
		headed=yes
		printf '| program | work | ratio | range | rounds | goal | figures |\n| --- | --- | --- | --- | --- | --- | --- |\n'
	fi
	printf '| %s | %-66s | %5s | %-12s | %2s | %s | %s |\n' "$program" "$1" "$3" "$4" "$5" "$2" "$6"
}

# compare NAME GOAL UNIT A B: measure commands A and B by turns.  Each prints a
# figure where more is better.
compare() {
	local name=$1 goal=$2 unit=$3 round a b ratio least greatest
	: >"$work/rounds"
	for round in $(seq "$ROUNDS"); do
		if [ $((round % 2)) = 1 ]; then
			a=$(figure "$4")
			b=$(figure "$5")
		else
			b=$(figure "$5")
			a=$(figure "$4")
		fi
		printf '%s %s\n' "$a" "$b" >>"$work/rounds"
	done
	read -r ratio least greatest < <(awk '{ print $1 / $2 }' "$work/rounds" | spread)
	read -r a _ < <(cut -d ' ' -f 1 "$work/rounds" | spread)
	read -r b _ < <(cut -d ' ' -f 2 "$work/rounds" | spread)
	row "$name" "$goal" "$(printf '%.2f' "$ratio")" "$(printf '%.2f to %.2f' "$least" "$greatest")" "$ROUNDS" \
		"$(printf '%.0f / %.0f %s' "$a" "$b" "$unit")"
}

# --- what is measured --------------------------------------------------------

# make_database NAME: one of our own, with merchant 1 and its program 1.  It is
# the one that is used from here on.
make_database() {
	export PGDATABASE=bench_${1}_$$
	databases+=("$PGDATABASE")
	createdb -T template0 "$PGDATABASE"
	sql <<-END
		SET client_min_messages = warning;
		CREATE EXTENSION loyalty;
		INSERT INTO loyalty_internal.merchant (merchant_id, name, base_url) VALUES (1, 'bench', 'https://bench.example');
		INSERT INTO loyalty_internal.program (merchant_id, program_id, name) VALUES (1, 1, 'bench');
	END
}

# Accounts 1 to N of merchant 1, which have no member.
make_accounts() {
	sql -c "INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id) SELECT 1, i, 1 FROM generate_series(1, $1) i"
}

# make_merchant NAME N: a merchant with 16 cashiers, without the passwords that
# would take long to hash, and N members who have plenty; its number.  Its
# wallet is bench-NAME, and its members are phones 5510000001 and on, in the
# seller API CM1 and on.
make_merchant() {
	sql <<-END
		SELECT loyalty.create_merchant('bench $1') AS merchant \gset
		SELECT program_id AS program FROM loyalty.create_wallet(:merchant, 'bench', 10) \gset
		UPDATE loyalty_internal.program SET wallet_key = 'bench-$1' WHERE merchant_id = :merchant;
		INSERT INTO loyalty_internal.branch (merchant_id, name) VALUES (:merchant, 'Centro') RETURNING branch_id AS branch \gset
		INSERT INTO loyalty_internal.staff (merchant_id, staff_id, branch_id, role, name, number, password_digest, password_cost)
		SELECT :merchant, i, :branch, 'cajero', 'Cajero ' || i, (4771000000 + i)::text::loyalty.phone, lpad(to_hex(i), 64, '0'), 4096 FROM generate_series(1, 16) i;
		INSERT INTO loyalty_internal.member (merchant_id, member_id, program_id, account_id, phone, client_id, name)
		SELECT :merchant, i, :program, i, (5510000000 + i)::text::loyalty.phone, 'CM' || i, 'contacto' FROM generate_series(1, $2) i;
		INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id) SELECT :merchant, i, :program FROM generate_series(1, $2) i;
		SELECT 1 / (count(error) = 0)::integer AS all_posted
		FROM loyalty.post_batch(:merchant, ARRAY(SELECT generate_series(1, $2)), '{deposit}', array_fill('1000000'::loyalty.points, ARRAY[$2])) \gset
		\echo :merchant
	END
}

# Everything in its place, so that nobody tidies up while we measure.
settle() { sql -c 'VACUUM ANALYZE' -c 'CHECKPOINT'; }

# --- the floor ---------------------------------------------------------------

# Schema floor: accounts and entries as a person would write them, by account
# and number, without a check, a type of ours or a privilege; and N accounts.
make_floor() {
	sql <<-END
		CREATE SCHEMA floor;
		CREATE TABLE floor.account (
			merchant_id bigint NOT NULL, account_id bigint NOT NULL, program_id bigint NOT NULL, balance bigint NOT NULL,
			version bigint NOT NULL, posted_at timestamptz NOT NULL, hash bytea NOT NULL,
			PRIMARY KEY (merchant_id, account_id)) WITH (fillfactor = 60);
		CREATE TABLE floor.entry (
			merchant_id bigint NOT NULL, account_id bigint NOT NULL, version bigint NOT NULL, amount bigint NOT NULL,
			balance bigint NOT NULL, posted_at timestamptz NOT NULL, staff_id bigint, money bigint, actor_id bigint, request_id bigint, kind smallint NOT NULL,
			reference text, detail json, hash bytea NOT NULL,
			PRIMARY KEY (merchant_id, account_id, version));
		ALTER TABLE floor.account ALTER hash SET STORAGE PLAIN;
		ALTER TABLE floor.entry ALTER hash SET STORAGE MAIN;
		INSERT INTO floor.account (merchant_id, account_id, program_id, balance, version, posted_at, hash)
		SELECT 1, i, 1, 0, 0, now(), '$some_hash' FROM generate_series(1, $1) i;
	END
}

# floor_post ACCOUNT AMOUNT [COLUMNS VALUES]: the statement that posts once.
# COLUMNS are what the entry has besides.
floor_post() {
	cat <<-END
		WITH u AS (UPDATE floor.account SET balance = balance + $2, version = version + 1, posted_at = now(), hash = '$some_hash'
			WHERE merchant_id = 1 AND account_id = $1 RETURNING account_id, version, balance, posted_at, hash)
		INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind, hash${3:+, $3})
		SELECT 1, account_id, version, $2, balance, posted_at, 2, hash${4:+, $4} FROM u RETURNING version, balance
	END
}

# Function floor_sale of what PostgREST serves, which posts as one call over HTTP does.
make_floor_function() {
	sql <<-END
		CREATE FUNCTION loyalty_api.floor_sale(id bigint, points bigint) RETURNS json
		LANGUAGE plpgsql SECURITY DEFINER AS \$\$
		DECLARE
			posted record;
		BEGIN
			$(floor_post '$1' '$2' 'staff_id, money, actor_id, request_id' '7, 100000, 7, 7') INTO posted;
			RETURN json_build_object('success', true, 'newBalance', posted.balance);
		END \$\$;
		GRANT EXECUTE ON FUNCTION loyalty_api.floor_sale(bigint, bigint) TO web_anon;
	END
}

# floor_batch N [COLUMNS VALUES]: the statement that posts to accounts 1 to N at
# once; how many it posted.
floor_batch() {
	cat <<-END
		WITH item AS MATERIALIZED (
			SELECT * FROM unnest(ARRAY(SELECT generate_series(1, $1))::bigint[], array_fill(10000::bigint, ARRAY[$1])) AS item (account_id, amount)),
		u AS (UPDATE floor.account a SET balance = a.balance + item.amount, version = a.version + 1, posted_at = now(), hash = '$some_hash'
			FROM item WHERE a.merchant_id = 1 AND a.account_id = item.account_id
			RETURNING a.account_id, a.version, item.amount, a.balance, a.posted_at, a.hash),
		e AS (INSERT INTO floor.entry (merchant_id, account_id, version, amount, balance, posted_at, kind, hash${2:+, $2})
			SELECT 1, u.account_id, u.version, u.amount, u.balance, u.posted_at, 2, u.hash${3:+, $3} FROM u RETURNING version, balance)
		SELECT count(*) FROM e
	END
}

# columns_written TABLE NUMBER: the columns that have a value in the newest row of
# a table, but for those by which its rows are found.
columns_written() {
	sql <<-END
		SELECT string_agg(key, ' ' ORDER BY key)
		FROM (SELECT * FROM $1 WHERE $2 > 0 ORDER BY posted_at DESC, $2 DESC LIMIT 1) newest, json_object_keys(json_strip_nulls(row_to_json(newest))) key
		WHERE key NOT IN ('$2', 'entry_id', 'newest_entry_id', 'previous_entry_id', 'text_key')
	END
}

# A floor that writes less than loyalty does is none.
check_floor() {
	local table ours floors
	for table in loyalty_internal.account loyalty.entry; do
		ours=$(columns_written "$table" entry_no)
		floors=$(columns_written "floor.${table#*.}" version)
		[ "$ours" = "$floors" ] || fail "table ${table#*.}: loyalty writes $ours, the floor $floors"
	done
}

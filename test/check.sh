#!/bin/bash
# check.sh - run the tests, or the benchmarks, on private servers.
#
# Called by `make check` and `make bench`, which build first.  The environment
# says what to run:
#     T       one suite: tidy, regress, pgtap, isolation, tap or bench; all but
#             bench unless given
#     F       only the tests of these names
#     DEFAULTS=foreign  servers with unusual defaults; see stack.sh
#     SAVE=1  keep what pg_regress and pg_isolation_regress got, in results/
#
# Everything happens in one folder under /tmp, on copies of the project's files
# and of the PostgreSQL installation; the folder and the servers in it are gone
# afterwards, however this ends.  The last line is the count.
set -euo pipefail
. "$(dirname "$0")/common.sh"

suites=${T:-"tidy regress pgtap isolation tap"}
wanted=${F:-}
limit_s=1740

# --- the part that copies and cleans up, as whoever called ------------------

# Tests that were interrupted get some time to stop what they started.
stop_tests() {
	local tries
	for tries in $(seq 200); do
		kill -0 -- "-$tests_pid" 2>/dev/null || return 0
		[ "$tries" != 1 ] || kill -TERM -- "-$tests_pid" 2>/dev/null || true
		sleep 0.1
	done
	kill -KILL -- "-$tests_pid" 2>/dev/null || true
}

clean_up() {
	trap '' INT TERM
	trap - EXIT
	if [ -n "${tests_pid:-}" ]; then
		stop_tests
	fi
	if [ "${SAVE:-}" = 1 ] && [ -d "$work/out" ]; then
		mkdir -p "$root/results"
		find "$work/out" \( -path '*/results/*.out' -o -name 'regression.diffs' \) \
			-exec cp {} "$root/results/" \;
	fi
	remove_work_dir "$work"
}

copy_project() {
	local name
	mkdir "$work/project" "$work/bin"
	for name in "$root"/*; do
		case $(basename "$name") in
			results | regression.* | output_iso | tmp_check) ;;
			*) cp -r "$name" "$work/project/" ;;
		esac
	done
	cp "$(command -v postgrest || echo "$root/.deps/postgrest")" "$work/bin/postgrest"
}

outer() {
	work=$(make_work_dir /tmp)
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	bin=$("$root/test/install.sh" "$work/install")
	copy_project
	give "$work"
	cd "$work"
	# A group of their own, so that all of them can be told to stop.
	set -m
	"${as_owner[@]}" env HOME="$work" T="$suites" F="$wanted" LOYALTY_BIN="$bin" LOYALTY_TMP="$work" LOYALTY_DEFAULTS="${DEFAULTS:-}" \
		LOYALTY_POSTGREST="$work/bin/postgrest" PATH="$bin:$PATH:/usr/sbin" \
		timeout --foreground -k 30 "$limit_s" bash "$work/project/test/check.sh" run </dev/null &
	tests_pid=$!
	set +m
	wait "$tests_pid"
}

# --- the part that runs the tests, as the owner of the servers --------------

passed=0
failed=0

count() {
	passed=$((passed + $1))
	failed=$((failed + $2))
}

title() { printf '\n=== %s\n' "$1"; }

# Is the test of this name to be run?
is_wanted() {
	[ -z "$wanted" ] || [[ " $wanted " == *" $1 "* ]]
}

# select FOLDER PATTERN: names of the tests there, without their ending.
select_tests() {
	local file name
	for file in "$root/test/$1"/$2; do
		[ -e "$file" ] || continue
		name=$(basename "$file")
		name=${name%.*}
		if is_wanted "$name" && [[ ! $name == ${3:-} ]]; then
			echo "$name"
		fi
	done
}

# run_tap OPTIONS FILE...: TAP programs, counted by assertion.  OPTIONS is
# Perl.  A program that died without a failed assertion counts as one failure.
run_tap() {
	local counts status=0
	counts=$(mktemp "$LOYALTY_TMP/counts.XXXXXX")
	perl -MTAP::Harness -e '
		my ($counts, $options, @files) = @ARGV;
		my $harness = TAP::Harness->new({failures => 1, comments => 1, eval $options});
		my $result = $harness->runtests(@files);
		my $died = grep { $_->has_problems && !$_->failed } $result->parsers;
		open my $out, ">", $counts or die;
		print $out scalar $result->passed, " ", $result->failed + $died, "\n";' \
		"$counts" "$@" || status=$?
	if [ -s "$counts" ]; then
		# shellcheck disable=SC2046
		count $(cat "$counts")
	else
		say "the tests stopped with status $status"
		count 0 1
	fi
}

# run_transcripts PROGRAM NAME...: pg_regress or its isolation sister.
run_transcripts() {
	local program=$1 suite=$2 name bad
	shift 2
	mkdir -p "$LOYALTY_TMP/out/$suite"
	cd "$LOYALTY_TMP/out/$suite"
	cp -r "$root/expected" .
	# Without an expected file the program would stop at once.
	for name in "$@"; do
		[ -e "expected/$name.out" ] || : >"expected/$name.out"
	done
	if "$program" --bindir="$LOYALTY_BIN" --inputdir="$root/test" --outputdir=. --host="$PGHOST" \
		--port="$PGPORT" --user="$PGUSER" --dbname="${suite}_loyalty" --load-extension=loyalty \
		"$@" >log 2>&1; then
		grep -E '^(test |ok )' log || true
		count $# 0
	else
		cat log
		[ ! -e regression.diffs ] || head -n 400 regression.diffs
		bad=$(grep -cE '^test .*FAILED|^not ok' log || true)
		[ "$bad" -gt 0 ] || bad=$#
		count $(($# - bad)) "$bad"
	fi
	cd "$root"
}

suite_tidy() {
	is_wanted tidy || return 0
	title "tidy"
	"$LOYALTY_BIN/createdb" tidy
	"$LOYALTY_BIN/psql" -Xqd tidy -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION loyalty' || true
	PGDATABASE=tidy run_tap 'exec => ["bash"]' "$root/test/tidy.sh"
}

suite_regress() {
	local names
	mapfile -t names < <(select_tests sql '*.sql' 'tap_*')
	[ ${#names[@]} -gt 0 ] || return 0
	title "pg_regress"
	run_transcripts "$pgxs/test/regress/pg_regress" regress "${names[@]}"
}

suite_isolation() {
	local names
	mapfile -t names < <(select_tests specs '*.spec')
	[ ${#names[@]} -gt 0 ] || return 0
	title "pg_isolation_regress"
	run_transcripts "$pgxs/test/isolation/pg_isolation_regress" isolation "${names[@]}"
}

suite_pgtap() {
	local names
	mapfile -t names < <(select_tests sql 'tap_*.sql')
	[ ${#names[@]} -gt 0 ] || return 0
	title "pgTAP"
	"$LOYALTY_BIN/createdb" pgtap
	"$LOYALTY_BIN/psql" -Xqd pgtap -c 'SET client_min_messages = warning' \
		-c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION loyalty' || true
	cd "$root/test/sql"
	run_tap 'sources => {pgTAP => {dbname => "pgtap", suffix => ".sql"}}' "${names[@]/%/.sql}"
	cd "$root"
}

suite_tap() {
	local names
	mapfile -t names < <(select_tests t '*.pl')
	[ ${#names[@]} -gt 0 ] || return 0
	title "TAP"
	cd "$root"
	names=("${names[@]/#/test/t/}")
	run_tap '' "${names[@]/%/.pl}"
}

suite_bench() {
	local names name
	mapfile -t names < <(select_tests bench '*.sh')
	for name in "${names[@]}"; do
		[ -x "$root/test/bench/$name.sh" ] || continue
		title "$name"
		if "$root/test/bench/$name.sh"; then
			count 1 0
		else
			count 0 1
		fi
	done
}

# A server that crashed is a failure, whatever the tests said.
check_log() {
	if grep -nE 'PANIC|TRAP:|terminated by signal' "$LOYALTY_LOG"; then
		say "the server crashed:"
		tail -n 40 "$LOYALTY_LOG"
		count 0 1
	else
		count 1 0
	fi
}

run() {
	local suite settings=$LOYALTY_TMP/run level=cluster
	pgxs=$(dirname "$(dirname "$("${PG_CONFIG:-pg_config}" --pgxs)")")
	if [ "$suites" = bench ]; then
		level=demo
		export LOYALTY_DURABLE=1 LOYALTY_RATE=1000000r/s
	fi
	for suite in $suites; do
		declare -F "suite_$suite" >/dev/null || die "no suite \"$suite\""
	done
	[ "$suites" = bench ] || export LOYALTY_CLOCK=${LOYALTY_CLOCK:-0}
	"$root/test/stack.sh" up "$settings" "$level"
	set -a
	. "$settings/env"
	set +a
	PGHOST=$LOYALTY_SOCKET_DIR
	for suite in $suites; do
		"suite_$suite"
	done
	check_log
	[ $((passed + failed)) -gt 1 ] || { say "no test has such a name"; failed=$((failed + 1)); }
	printf '\n%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" = 0 ]
}

case ${1:-} in
	run) run ;;
	"") outer ;;
	*) die "usage: check.sh" ;;
esac

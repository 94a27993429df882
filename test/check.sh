#!/bin/bash
# check.sh - run the tests, or the benchmarks, on private servers.
#
# Called by `make check` and `make bench`.  The environment says what to run:
#     T       suites: tidy, regress, pgtap, isolation, tap or bench; all but
#             bench unless given
#     F       only the tests of these names
#     JOBS    how many tests run at a time; two for each processor unless given
#     LIMIT   minutes after which what still runs is stopped; 45 unless given
#     DEFAULTS=foreign
#             servers whose defaults are not those that people have
#     DEFAULTS=mexican
#             servers with the operating system's locale of Mexico
#     SAVE=1  keep what pg_regress and pg_isolation_regress got, in results/
#
# Everything happens in one folder under /tmp, or LOYALTY_TMP, on copies of the
# project's files and of the PostgreSQL installation; the folder and the servers
# in it are gone afterwards, however this ends.  The last line is the count.
set -euo pipefail
. "$(dirname "$0")/common.sh"

suites=${T:-"tidy regress pgtap isolation tap"}
wanted=${F:-}
limit=${LIMIT:-45}
jobs=${JOBS:-$((2 * $(nproc)))}
for number in "LIMIT, $limit, is no number of minutes" "JOBS, $jobs, is no number of tests"; do
	[[ $number =~ ^[A-Z]+,\ [0-9]{1,6},\  ]] || { say "loyalty: $number"; printf '\n0 passed, 1 failed\n'; exit 1; }
done
limit_s=$((10#$limit * 60))
jobs=$((10#$jobs > 0 ? 10#$jobs : 1))

passed=0
failed=0
# What each suite counted, by its name.
declare -A suite_passed=() suite_failed=()

count() {
	passed=$((passed + $1))
	failed=$((failed + $2))
}

# The suites, and the line that a machine reads.
print_count() {
	local suite
	echo
	for suite in $suites; do
		[ -z "${suite_passed[$suite]:-}" ] ||
			printf '%-10s %5d passed %5d failed\n' "$suite" "${suite_passed[$suite]}" "${suite_failed[$suite]}"
	done
	printf '\n%d passed, %d failed\n' "$passed" "$failed"
}

# --- the part that copies and cleans up, as whoever called ------------------

# Tests that were interrupted get some time to stop what they started.
stop_tests() {
	local tries
	for tries in $(seq 300); do
		kill -0 -- "-$tests_pid" 2>/dev/null || return 0
		[ "$tries" != 1 ] || kill -TERM -- "-$tests_pid" 2>/dev/null || true
		sleep 0.1
	done
	kill -KILL -- "-$tests_pid" 2>/dev/null || true
}

clean_up() {
	local status=$?
	trap '' INT TERM
	trap - EXIT
	if [ -n "${tests_pid:-}" ]; then
		stop_tests
	else
		count 0 1
		print_count
	fi
	[ -n "${work:-}" ] || exit "$status"
	if [ "${SAVE:-}" = 1 ] && [ -d "$work/out" ]; then
		mkdir -p "$root/results"
		find "$work/out" \( -path '*/results/*.out' -o -name 'regression.diffs' \) \
			-exec cp {} "$root/results/" \;
	fi
	remove_work_dir "$work"
	exit "$status"
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
	cp "$("$root/test/postgrest.sh" find)" "$work/bin/postgrest"
	chmod 755 "$work/bin/postgrest"
}

# The operating system may not have it; its own C.UTF-8 is still wanted.
make_locale() {
	mkdir "$work/locales"
	localedef -i "$1" -f UTF-8 "$work/locales/$1.UTF-8" || die "there is no locale $1.UTF-8"
	export LOCPATH=$work/locales:/usr/lib/locale
}

outer() {
	local bin
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	T=$suites build tests
	work=$(make_work_dir check)
	[ "${DEFAULTS:-}" != mexican ] || make_locale es_MX
	bin=$("$root/test/install.sh" "$work/install")
	copy_project
	give "$work"
	cd "$work"
	# A group of their own, so that all of them can be told to stop.
	set -m
	"${as_owner[@]}" env HOME="$work" T="$suites" F="$wanted" JOBS="$jobs" LOYALTY_DEFAULTS="${DEFAULTS:-}" \
		LOYALTY_BIN="$bin" LOYALTY_TMP="$work" LOYALTY_POSTGREST="$work/bin/postgrest" PATH="$bin:$PATH:/usr/sbin" \
		bash "$work/project/test/check.sh" run </dev/null &
	tests_pid=$!
	set +m
	wait "$tests_pid"
}

# --- the tests: each of these runs as a job of its own ------------------------

# Is the test of this name to be run?
is_wanted() {
	[ -z "$wanted" ] || [[ " $wanted " == *" $1 "* ]]
}

# select_tests FOLDER PATTERN [BUT]: names of the tests there, without their ending.
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

# use_server NAME [LEVEL]: the server that jobs of this name share; the first of
# them starts it.  Its clock can be moved, except for benchmarks.
use_server() {
	local settings=$LOYALTY_TMP/$1
	[ "$1" = bench ] || export LOYALTY_CLOCK=0
	(
		flock 9
		[ -e "$settings.up" ] || "$root/test/stack.sh" up "$settings" "${2:-cluster}" 9>&-
		touch "$settings.up"
	) 9>"$settings.lock"
	set -a
	. "$settings/env"
	set +a
	PGHOST=$LOYALTY_SOCKET_DIR
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

# run_transcripts PROGRAM DATABASE NAME...: pg_regress or its isolation sister.
run_transcripts() {
	local program=$1 database=$2 name bad
	shift 2
	mkdir -p "$LOYALTY_TMP/out/$database"
	cd "$LOYALTY_TMP/out/$database"
	mkdir expected
	# Without an expected file the program would stop at once.
	for name in "$@"; do
		cp "$root/expected/$name"*.out expected/ 2>/dev/null || : >"expected/$name.out"
	done
	if "$pgxs/test/$program" --bindir="$LOYALTY_BIN" --inputdir="$root/test" --outputdir=. --host="$PGHOST" \
		--port="$PGPORT" --user="$PGUSER" --dbname="$database" --load-extension=loyalty "$@" >log 2>&1; then
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

job_tidy() {
	use_server tidy
	createdb tidy
	psql -Xqd tidy -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION loyalty' || true
	PGDATABASE=tidy run_tap 'exec => ["bash"]' "$root/test/tidy.sh"
}

job_regress() {
	local names
	mapfile -t names < <(select_tests sql '*.sql' 'tap_*')
	use_server regress
	run_transcripts regress/pg_regress regress_loyalty "${names[@]}"
}

# Those that move the clock do not share it.
job_isolation() {
	if grep -q advance_clock "$root/test/specs/$1.spec"; then
		use_server "$1"
	else
		use_server isolation
	fi
	run_transcripts isolation/pg_isolation_regress "$1" "$1"
}

job_pgtap() {
	local names
	mapfile -t names < <(select_tests sql 'tap_*.sql')
	use_server pgtap
	createdb pgtap
	psql -Xqd pgtap -c 'SET client_min_messages = warning' \
		-c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION loyalty' || true
	cd "$root/test/sql"
	run_tap 'sources => {pgTAP => {dbname => "pgtap", suffix => ".sql"}}' "${names[@]/%/.sql}"
}

job_tap() {
	cd "$root"
	run_tap '' "test/t/$1.pl"
}

# A server that crashed, or whose log has an API key, is a failure, whatever the tests said.
check_logs() {
	local settings log
	for settings in "$LOYALTY_TMP"/*.up; do
		[ -e "$settings" ] || continue
		log=$(sed -n "s/^LOYALTY_LOG='\(.*\)'$/\1/p" "${settings%.up}/env")
		if grep -nE 'PANIC|TRAP:|terminated by signal' "$log"; then
			say "this server crashed:"
			tail -n 40 "$log"
			count 0 1
		elif grep -nE 'lk_[0-9a-f]{64}' "$log"; then
			say "this server's log has an API key"
			count 0 1
		else
			count 1 0
		fi
	done
}

# --- the benchmarks: one after the other, on a server of their own ------------

run_benchmarks() {
	local names name rows=$LOYALTY_TMP/rows
	export LOYALTY_DURABLE=1 LOYALTY_RATE=1000000r/s
	mapfile -t names < <(select_tests bench '*.sh')
	[ ${#names[@]} -gt 0 ] || { say "no benchmark has such a name"; count 0 1; return; }
	use_server bench demo
	for name in "${names[@]}"; do
		printf '\n=== %s\n' "$name"
		if "$root/test/bench/$name.sh" | tee -a "$rows"; then
			count 1 0
		else
			count 0 1
		fi
	done
	printf '\n=== all rows, as docs/performance.md has them\n'
	tr -s ' ' <"$rows" | awk '/^\|/ && !seen[$0]++'
}

# --- the part that runs the jobs, as the owner of the servers -----------------

# Names that nobody has: a test that is not there is no test that passed.
unknown_names() {
	local name
	set -f
	for name in $wanted; do
		[ "$name" = tidy ] || [ -e "$root/test/sql/$name.sql" ] || [ -e "$root/test/specs/$name.spec" ] ||
			[ -e "$root/test/t/$name.pl" ] || echo "none $name"
	done
	set +f
}

job_none() {
	echo "there is no test or suite of this name"
	count 0 1
}

# Lines "SUITE NAME", those that take longest first: a long one that starts last
# is waited for by all.
list_jobs() {
	local suite suites_of
	read -ra suites_of <<<"$suites"
	{
		unknown_names
		for suite in "${suites_of[@]}"; do
			case $suite in
				tidy) ! is_wanted tidy || echo "tidy tidy" ;;
				regress) [ -z "$(select_tests sql '*.sql' 'tap_*')" ] || echo "regress regress" ;;
				pgtap) [ -z "$(select_tests sql 'tap_*.sql')" ] || echo "pgtap pgtap" ;;
				isolation) select_tests specs '*.spec' | sed 's/^/isolation /' ;;
				tap) select_tests t '*.pl' | sed 's/^/tap /' ;;
				*) echo "none $suite" ;;
			esac
		done
	} | awk -v slow="$slow" '
		BEGIN { n = split(slow, names, " "); for (i in names) rank[names[i]] = i }
		{ print ($2 in rank ? rank[$2] : n + NR), $0 }' | sort -n | cut -d ' ' -f 2-
}
slow="45_model 16_pages 80_bench 20_codes pgtap 51_replication 37_storage 50_dump 60_seller 61_seller_batch 15_tour 10_samples 49_hash_chain 12_assistant 56_caches 57_plans 55_standby 72_erasure 91_maintain"

# In the background: what it printed and counted is in files.
start_job() {
	local suite=$1 name=$2 out=$LOYALTY_TMP/jobs/$2
	set -m
	(
		set +m
		trap - INT TERM EXIT
		passed=0 failed=0
		"job_$suite" "$name"
		echo "$passed $failed" >"$out.count"
	) >"$out.log" 2>&1 9>&- &
	set +m
	running[$!]="$suite $name"
	started[$!]=$SECONDS
}

# count_job SUITE PASSED FAILED
count_job() {
	count "$2" "$3"
	suite_passed[$1]=$((${suite_passed[$1]:-0} + $2))
	suite_failed[$1]=$((${suite_failed[$1]:-0} + $3))
}

# Of the job that ended: how it went, and its output.
finish_job() {
	local pid=$1 suite name out good=0 bad=1
	read -r suite name <<<"${running[$1]}"
	out=$LOYALTY_TMP/jobs/$name
	[ ! -s "$out.count" ] || read -r good bad <"$out.count"
	count_job "$suite" "$good" "$bad"
	printf '\n=== %s %s: %d passed, %d failed, %d s\n' "$suite" "$name" "$good" "$bad" $((SECONDS - started[$pid]))
	cat "$out.log"
	unset "running[$pid]" "started[$pid]"
}

# The limit is over, or somebody has had enough.
stop_jobs() {
	local pid tries suite name
	for pid in "${!running[@]}"; do
		kill -TERM -- "-$pid" 2>/dev/null || true
	done
	for tries in $(seq 150); do
		for pid in "${!running[@]}"; do
			! kill -0 -- "-$pid" 2>/dev/null || { sleep 0.1; continue 2; }
		done
		break
	done
	for pid in "${!running[@]}"; do
		kill -KILL -- "-$pid" 2>/dev/null || true
		read -r suite name <<<"${running[$pid]}"
		printf '\n=== %s %s: STOPPED after %d s\n' "$suite" "$name" $((SECONDS - started[$pid]))
		tail -n 20 "$LOYALTY_TMP/jobs/$name.log"
		count_job "$suite" 0 1
	done
	while read -r suite name; do
		printf '\n=== %s %s: NOT RUN\n' "$suite" "$name"
		count_job "$suite" 0 1
	done < <(tail -n "+$((next + 1))" "$LOYALTY_TMP/list")
}

interrupted() {
	trap '' TERM INT
	say "$1"
	stop_jobs
	print_count
	exit 1
}

run_jobs() {
	local suite name pid total
	declare -gA running=() started=()
	next=0
	pgxs=$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")
	mkdir "$LOYALTY_TMP/jobs"
	list_jobs >"$LOYALTY_TMP/list"
	total=$(wc -l <"$LOYALTY_TMP/list")
	[ "$total" -gt 0 ] || { say "no test has such a name"; count 0 1; }
	trap 'interrupted "stopped from outside"' TERM INT
	while [ "$next" -lt "$total" ] || [ ${#running[@]} -gt 0 ]; do
		while [ "$next" -lt "$total" ] && [ ${#running[@]} -lt "$jobs" ]; do
			next=$((next + 1))
			read -r suite name < <(sed -n "${next}p" "$LOYALTY_TMP/list")
			start_job "$suite" "$name"
		done
		sleep 0.2
		for pid in "${!running[@]}"; do
			kill -0 "$pid" 2>/dev/null || finish_job "$pid"
		done
		[ $SECONDS -lt "$limit_s" ] || interrupted "the limit of $((limit_s / 60)) minutes is over; LIMIT= sets another"
	done
}

run() {
	case $suites in
		bench) run_benchmarks ;;
		*) run_jobs ;;
	esac
	check_logs
	print_count
	[ "$failed" = 0 ]
}

case ${1:-} in
	run) run ;;
	"") outer ;;
	*) die "usage: check.sh" ;;
esac

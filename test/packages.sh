#!/bin/bash
# packages.sh - build the Debian packages, install them in bare Debians by following
# docs/install.md to the letter, and ask through TLS what the pages ask.  Then make
# the images of Containerfile, in bare Debians too.
#
# Called by `make check-packages`, as root.  The environment says:
#     SUITES  Debians to do it in; "bookworm trixie sid" unless given
#     LIMIT   minutes after which it is stopped; 60 unless given
#
# Nothing of it runs on this machine but in chroots (test/chroot.sh), with a network
# of their own.  The last line is the count.
set -euo pipefail
. "$(dirname "$0")/common.sh"

suites=${SUITES:-"bookworm trixie sid"}
limit=${LIMIT:-60}
passed=0
failed=0

# In the chroot: what the tests need, and what the packages will bring, which is
# fetched while there is a network.  Then a policy lets services start, and
# test/systemctl starts them.
inside() {
	local version
	version=$(ls "$1"/postgresql-*-loyalty_*.deb | sed 's|.*/postgresql-\([0-9]*\)-.*|\1|')
	mkdir -p /var/cache/packages/partial /run/systemd/system
	cat >/etc/apt/apt.conf.d/zz-packages <<-END
		APT::Get::Assume-Yes "true";
		APT::Keep-Downloaded-Packages "true";
		Dir::Cache::archives "/var/cache/packages";
		Dpkg::Options { "--force-confold"; };
	END
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update
	rmdir /run/systemd/system
	apt-get -qq install --no-install-recommends perl libipc-run-perl systemd procps >/dev/null
	mkdir -p /run/systemd/system
	apt-get -qq install --no-install-recommends --download-only "$1"/*.deb curl openssl logrotate "postgresql-$version-cron" >/dev/null
	printf '#!/bin/sh\nexit 0\n' >/usr/sbin/policy-rc.d
	cp test/systemctl "$(readlink -f /usr/bin/systemctl)"
	# whose children are this shell's to bury, when it is the first process
	unshare --net perl test/packages.pl "$1"
	return
}

# In the chroot: what an image of Containerfile is made of, and does.
image() {
	local stage=$1
	prepare() { :; }
	case $stage in
		database)
			check() {
				local tries
				for tries in $(seq 600); do
					! su postgres -c 'psql -qc "CREATE DATABASE loyalty"' 2>/dev/null || break
					sleep 0.1
				done
				su postgres -c 'psql -XqAt -c "SET client_min_messages = warning" -c "CREATE EXTENSION loyalty" -c "SELECT count(*) FROM loyalty.merchants" loyalty' >/tmp/said 2>&1
				[ "$(cat /tmp/said)" = 0 ] || { cat /tmp/said; return 1; }
			}
			;;
		gateway)
			prepare() {
				/usr/bin/postgrest --version | grep -q '^PostgREST 1[2-9]'
				openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=loyalty.example \
					-keyout /etc/loyalty/tls/key.pem -out /etc/loyalty/tls/certificate.pem 2>/dev/null
			}
			check() {
				local tries
				for tries in $(seq 100); do
					printf 'POST /wallet/get HTTP/1.0\r\nContent-Length: 0\r\n\r\n' | timeout 10 openssl s_client -quiet -connect 127.0.0.1:443 >/tmp/said 2>&1 || true
					! grep -q '"code": "unavailable"' /tmp/said || return 0
					sleep 0.1
				done
				cat /tmp/said
				return 1
			}
			;;
	esac
	. "$2"
}

finish() {
	local status=$?
	trap - EXIT
	[ -z "${work:-}" ] || rm -rf "$work"
	exit "$status"
}

# take NAME LOG: the TAP of a run.
take() {
	local good bad
	good=$(grep -c '^ok ' "$2" || true)
	bad=$(grep -c '^not ok ' "$2" || true)
	grep -q '^1\.\.' "$2" || bad=$((bad + 1))
	printf '%-10s %5d passed %5d failed\n' "$1" "$good" "$bad" >>"$work/table"
	passed=$((passed + good))
	failed=$((failed + bad))
}

check_suite() {
	local suite=$1
	printf '\n##### %s\n' "$suite"
	mkdir -p "$work/$suite"
	if ! "$root/test/chroot.sh" "$suite" test/deb.sh "$work/$suite"; then
		echo "not ok - packages are built, and lintian has nothing against them" >"$work/$suite.log"
	else
		{
			echo "ok - packages are built, and lintian has nothing against them"
			LOYALTY_BARE=1 "$root/test/chroot.sh" "$suite" test/packages.sh inside "$work/$suite" || true
		} </dev/null 2>&1 | tee "$work/$suite.log"
	fi
	take "$suite" "$work/$suite.log"
}

check_image() {
	local stage=$1 log=$work/image.$1.log
	printf '\n##### image %s\n' "$stage"
	cp "$("$root/test/postgrest.sh" find)" "$work/bookworm/postgrest"
	"$root/test/containerfile.pl" "$stage" "$work/bookworm" >"$work/image.$stage"
	if LOYALTY_BARE=1 "$root/test/chroot.sh" bookworm test/packages.sh image "$stage" "$work/image.$stage" >"$log.all" 2>&1 </dev/null; then
		echo "ok - the image is made, and its command runs" >"$log"
	else
		tail -n 20 "$log.all"
		echo "not ok - the image is made, and its command runs" >"$log"
	fi
	echo 1..1 >>"$log"
	grep ok "$log"
	take "$stage" "$log"
}

outer() {
	local suite
	[ "$(id -u)" = 0 ] || die "only root can make other Debians"
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	work=$(mktemp -d /var/tmp/loyalty.packages.XXXXXX)
	chmod 755 "$work"
	umask 022
	export LOYALTY_SHARE=$work
	for suite in $suites; do
		check_suite "$suite"
		[ "$suite" != bookworm ] || ! ls "$work/bookworm"/*.deb >/dev/null 2>&1 || { check_image database; check_image gateway; }
	done
	printf '\n'
	cat "$work/table"
	printf '\n%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" = 0 ]
}

case ${1:-} in
	inside) umask 022; inside "$2" ;;
	image) umask 022; image "$2" "$3" ;;
	limited) outer ;;
	"")
		# the signal goes to all of them: what runs in a chroot does not end with its shell
		timeout --kill-after=60 "${limit}m" "$0" limited &
		trap 'kill $!' INT TERM
		wait $! || { status=$?; wait $! || true; exit $status; }
		;;
	*) die "usage: packages.sh" ;;
esac

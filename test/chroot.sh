#!/bin/bash
# chroot.sh - run a command in a small Debian of another release, for its PostgreSQL.
#
#     test/chroot.sh SUITE COMMAND...    in a copy of the project there
#     test/chroot.sh SUITE               only make it
#
# SUITE is bookworm (PostgreSQL 15), trixie (17) or sid (18).  Needs root and
# debootstrap, which is installed where it is missing.  The Debian is made once,
# in LOYALTY_CACHE (/var/cache/loyalty unless given), with this machine's
# settings of apt, and keeps the packages that commands install; no service ever
# starts in it.  Processes and mounts of the command end with it, and so does
# the copy of the project.  With LOYALTY_BARE=1 the Debian is a copy that ends with
# the command too, of one that has nothing but itself.  There, these are set:
#     POSTGREST       this machine's
#     LOYALTY_SHARE   a folder that is LOYALTY_SHARE here, where that is set
set -euo pipefail
. "$(dirname "$0")/common.sh"

suite=${1:?usage: chroot.sh SUITE [COMMAND...]}
shift
cache=${LOYALTY_CACHE:-/var/cache/loyalty}
bare=${LOYALTY_BARE:-}
base=$cache/$suite${bare:+.bare}

get_debootstrap() {
	command -v debootstrap >/dev/null && return
	say "loyalty: installing debootstrap"
	{
		apt-get -qq update || true
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -y -qq --no-install-recommends install debootstrap
	} >/dev/null 2>&1 </dev/null
	command -v debootstrap >/dev/null || die "debootstrap could not be installed"
}

# Settings of this machine without which packages may not come.
copy_settings() {
	local file
	for file in /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/apt/apt.conf /etc/apt/auth.conf; do
		[ ! -e "$file" ] || cp -r "$file" "$base.new/etc/apt/"
	done
	[ ! -e /etc/ssl/certs/ca-certificates.crt ] ||
		cp /etc/ssl/certs/ca-certificates.crt "$base.new/etc/ssl/certs/ca-certificates.crt"
	printf '#!/bin/sh\nexit 101\n' >"$base.new/usr/sbin/policy-rc.d"
	chmod 755 "$base.new/usr/sbin/policy-rc.d"
}

make_base() {
	local mirror
	get_debootstrap
	mirror=$(mirror)
	[ -n "$mirror" ] || die "apt has no source of packages here"
	say "loyalty: making a Debian $suite in $base, in about a minute"
	rm -rf --one-file-system "$base.new"
	debootstrap --variant=minbase --include="ca-certificates$([ -n "$bare" ] || echo ,make)" "$suite" "$base.new" "$mirror" >"$base.log" 2>&1 ||
		{ tail -n 5 "$base.log" >&2; die "debootstrap failed for $suite"; }
	copy_settings
	mv "$base.new" "$base"
}

# Whoever comes next waits for the copy, not for its end.  It need not survive
# a power cut.
copy_base() {
	local pristine=$base
	copied=$(mktemp -d "$pristine.XXXXXX")
	cp -a "$pristine/." "$copied/"
	base=$copied
	echo force-unsafe-io >"$base/etc/dpkg/dpkg.cfg.d/unsafe-io"
	flock -u 9
}

# In namespaces of its own, so that its mounts and processes end with it.
enter() {
	local share=${LOYALTY_SHARE:-}
	cp /etc/resolv.conf /etc/hosts "$base/etc/" 2>/dev/null || true
	cp "$("$root/test/postgrest.sh" find)" "$base/usr/local/bin/postgrest"
	chmod 755 "$base/usr/local/bin/postgrest"
	[ -z "$share" ] || mkdir -p "$base$share"
	exec unshare --mount --pid --fork --kill-child sh -c '
		base=$1 project=$2 share=$3
		shift 3
		mount --bind "$base" "$base"
		[ -z "$share" ] || mount --bind "$share" "$base$share"
		mount -t tmpfs -o mode=1777 tmpfs "$base/dev/shm"
		exec unshare --root="$base" --wd="$project" --mount-proc "$@"' sh "$base" "$project" "$share" \
		env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		POSTGREST=/usr/local/bin/postgrest LOYALTY_SHARE="$share" "$@"
}

[ "$(id -u)" = 0 ] || die "only root can run a command in another Debian"
umask 022
mkdir -p "$cache"
exec 9>"$base.lock"
flock 9
[ -d "$base" ] || make_base
[ $# -gt 0 ] || exit 0
"$root/test/postgrest.sh" find >/dev/null || "$root/test/postgrest.sh" fetch
copied=
copy=
trap 'trap "" INT TERM; rm -rf "$copy"; [ -z "$copied" ] || rm -rf --one-file-system "$copied"' EXIT
entered=
trap '[ -z "$entered" ] || kill -KILL "$entered"; exit 130' INT
trap '[ -z "$entered" ] || kill -KILL "$entered"; exit 143' TERM
[ -z "$bare" ] || copy_base
copy=$(mktemp -d "$base/var/tmp/loyalty.XXXXXX")
chmod 755 "$copy"
project=${copy#"$base"}
tar -C "$root" --exclude=./.git --exclude=./.run --exclude=./.deps --exclude=./results --exclude='*.o' --exclude='*.so' -cf - . | tar -C "$copy" -xf -
# In the background, as a shell listens to no signal while it waits for another;
# unshare itself ends by none but this.
enter "$@" <&0 &
entered=$!
wait "$entered"

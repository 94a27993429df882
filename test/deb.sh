#!/bin/bash
# deb.sh - build the Debian packages, for the PostgreSQL that this Debian has.
#
#     test/deb.sh [FOLDER]
#
# Called by `make deb`.  They are put into dist/, or FOLDER, and lintian has
# nothing against them.  What builds them is installed where it is missing, as
# root.  Everything happens in a copy of the project.
set -euo pipefail
. "$(dirname "$0")/common.sh"

target=${1:-$root/dist}
umask 022

# Settings that were put there before a package brought its own stay.
apt_get() {
	[ "$(id -u)" = 0 ] || die "root can install what builds packages: apt-get install dpkg-dev lintian, apt-get build-dep $root"
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold -y -qq --no-install-recommends "$@" >"$work/apt.log" 2>&1 </dev/null ||
		{ tail -n 10 "$work/apt.log" >&2; die "apt-get $* failed"; }
}

# What a build leaves in the folder of the project is not copied.
copy_project() {
	mkdir "$work/loyalty"
	tar -C "$root" --exclude=./.git --exclude=./.run --exclude=./.run.ports --exclude=./.deps --exclude=./dist --exclude=./results \
		--exclude='*.o' --exclude='*.so' --exclude=./src/.built-for -cf - . | tar -C "$work/loyalty" -xf -
	chown -R "$(id -u):$(id -g)" "$work/loyalty"
}

get_tools() {
	local missing=()
	command -v dpkg-buildpackage >/dev/null || missing+=(dpkg-dev)
	command -v lintian >/dev/null || missing+=(lintian)
	if [ ${#missing[@]} -gt 0 ] || ! dpkg-checkbuilddeps >/dev/null 2>&1; then
		say "loyalty: installing what builds packages"
		apt_get update
		[ ${#missing[@]} = 0 ] || apt_get install "${missing[@]}"
		dpkg-checkbuilddeps >/dev/null 2>&1 || apt_get build-dep "$PWD"
	fi
}

trap '[ -z "${work:-}" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d /var/tmp/loyalty.deb.XXXXXX)
chmod 755 "$work"
copy_project
cd "$work/loyalty"
get_tools
# for the versions that this Debian has
pg_buildext updatecontrol
say "loyalty: building packages"
dpkg-buildpackage -b -us -uc -j"$(nproc)" >"$work/build.log" 2>&1 </dev/null ||
	{ tail -n 40 "$work/build.log" >&2; die "the packages could not be built"; }
lintian --fail-on error,warning --tag-display-limit 0 "$work"/*.changes >"$work/lintian.log" 2>&1 ||
	{ cat "$work/lintian.log" >&2; die "lintian has something against the packages"; }
mkdir -p "$target"
rm -f "$target"/postgresql-*-loyalty_*.deb "$target"/loyalty-gateway_*.deb
cp "$work"/postgresql-*-loyalty_*.deb "$work"/loyalty-gateway_*.deb "$target/"
ls "$target"/*.deb

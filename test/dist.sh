#!/bin/bash
# dist.sh - the archive of PGXN, dist/loyalty-VERSION.zip, of what is committed.
#
# Called by `make dist`.  META.json has to be as PGXN asks (test/meta.pl).  The
# script of the extension is built, unless it is one that is committed, as the
# archive has to have what META.json names.
set -euo pipefail
. "$(dirname "$0")/common.sh"

umask 022
cd "$root"
git rev-parse --git-dir >/dev/null 2>&1 || die "an archive is made of a git checkout"
version=$("$root/test/meta.pl" version)
script=$("$root/test/meta.pl" script)
name=loyalty-$version
archive=dist/$name.zip
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p dist "$work/tree"
git archive HEAD | tar -C "$work/tree" -xf -
"$work/tree/test/meta.pl" check || die "META.json is not as PGXN asks"
added=()
if ! git ls-files --error-unmatch "$script" >/dev/null 2>&1; then
	PG_CONFIG=$(test/deps.sh)
	make -s -C "$work/tree" PG_CONFIG="$PG_CONFIG" "$script"
	added=(--prefix="$name/$(dirname "$script")/" --add-file="$work/tree/$script")
fi
git archive --format=zip --output="$archive" "${added[@]}" --prefix="$name/" HEAD
echo "$archive"

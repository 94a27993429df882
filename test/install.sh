#!/bin/bash
# install.sh - a private copy of the PostgreSQL installation, with loyalty in it.
#
#     test/install.sh FOLDER
#
# PostgreSQL finds its files by the place of its binaries.  So the binaries are
# copied, everything else is links to the real files, and what `make install`
# installs is put beside it.  Nothing is installed system-wide.  Prints the
# folder of the binaries.
set -euo pipefail
. "$(dirname "$0")/common.sh"

target=${1:?usage: install.sh FOLDER}
pg_config=${PG_CONFIG:-pg_config}
bindir=$("$pg_config" --bindir)
libdir=$("$pg_config" --pkglibdir)
sharedir=$("$pg_config" --sharedir)

# What the three folders have in common is what the copy replaces.
prefix=$bindir
while [ "${libdir#"$prefix"/}" = "$libdir" ] || [ "${sharedir#"$prefix"/}" = "$sharedir" ]; do
	prefix=$(dirname "$prefix")
	[ "$prefix" != / ] || die "cannot copy PostgreSQL from $bindir: its folders have nothing in common"
done

mkdir -p "$target"
target=$(cd "$target" && pwd)
mkdir -p "$target${bindir#"$prefix"}" "$target${libdir#"$prefix"}" "$target${sharedir#"$prefix"}"
cp "$bindir"/* "$target${bindir#"$prefix"}/"
cp -rs "$libdir/." "$target${libdir#"$prefix"}/"
cp -rs "$sharedir/." "$target${sharedir#"$prefix"}/"

# A loyalty that the system already has must not be in the way of this one.
find "$target" -name 'loyalty*' \( -type f -o -type l \) -delete
make -s -C "$root" PG_CONFIG="$pg_config" DESTDIR="$target.new" install >"$target.log" 2>&1 ||
	{ cat "$target.log" >&2; exit 1; }
cp -r "$target.new$prefix/." "$target/"
rm -rf "$target.new" "$target.log"
chmod -R go+rX "$target"
printf '%s\n' "$target${bindir#"$prefix"}"

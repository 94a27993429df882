#!/bin/bash
# export.sh - a copy of the PostgreSQL installation, with loyalty in it, that
# runs on a Debian of another release too.
#
#     test/export.sh FOLDER
#
# Like install.sh, but nothing in it is a link, and FOLDER/libraries has the
# libraries that its programs need, but for the C library's own.
set -euo pipefail
. "$(dirname "$0")/common.sh"

target=${1:?usage: export.sh FOLDER}
umask 022
build
rm -rf "$target"
"$root/test/install.sh" "$target.links" >/dev/null
cp -rL "$target.links" "$target"
rm -rf "$target.links"
mkdir "$target/libraries"
find "$target" -type f \( -path '*/bin/*' -o -name '*.so' \) -print0 | xargs -0 ldd 2>/dev/null |
	awk '$2 == "=>" && $3 ~ /^\// && $1 !~ /^(libc|libm|libdl|libpthread|librt|libresolv)\.so/ { print $3 }' | sort -u |
	xargs cp -Lt "$target/libraries"

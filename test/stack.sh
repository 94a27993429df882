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
# Without a FOLDER it is the demo: one that runs is kept, with its data, unless
# FRESH=1 asks for a new one, and its ports are the same the next time.
#
# Everything listens on 127.0.0.1 and lives in one folder that down removes.
# The environment may say:
#     LOYALTY_TMP             where that folder is made; /tmp unless given
#     LOYALTY_HTTP_PORT, LOYALTY_POSTGREST_PORT, LOYALTY_POSTGRES_PORT
#                             the ports of nginx, PostgREST and PostgreSQL
# The tests set these:
#     LOYALTY_BIN             binaries of a copy made by install.sh, to use that one
#     LOYALTY_POSTGREST       the PostgREST to run
#     LOYALTY_DURABLE=1       commits reach the disk
#     LOYALTY_STANDBY=1       a hot standby too, from LEVEL http on with PostgREST and
#                             nginx of its own; settings LOYALTY_STANDBY_…
#     LOYALTY_RATE=200r/s     how many requests nginx lets one key and address send
#     LOYALTY_CLOCK=0         the server's clock can be moved, and starts by so many
#                             seconds ahead; see clock.c
#     LOYALTY_CLOCK_RATE=100  of which each takes so many
#     LOYALTY_DEFAULTS=foreign
#                             settings, time zone and locale that nobody here
#                             expects, to see that nothing depends on the usual ones
#     LOYALTY_DEFAULTS=mexican
#                             the operating system's locale of Mexico
# Time limits of servers for tests are longer than in http/, for slow machines.
set -euo pipefail
. "$(dirname "$0")/common.sh"

command=${1:-}
run=${2:-$root/.run}
level=${3:-demo}
ports=$root/.run.ports
is_demo=no
limit_s=600 statement_limit=10min lock_limit=10min
if [ $# -lt 2 ]; then
	is_demo=yes
	limit_s='' statement_limit=30s lock_limit=5s
fi

# The folder is named from where we were called, and names the servers' folders.
case $run in /*) ;; *) run=$PWD/$run ;; esac
key=$(printf '%s' "$run" | sha256sum | cut -c 1-8)

# --- down ------------------------------------------------------------------

is_somebody_elses() {
	[ -e "$run" ] && ! { [ -r "$run" ] && [ -w "$run" ] && [ -x "$run" ]; }
}

# The folders of servers that this one has: the one written down, and whatever
# else has its name, be it that only servers are left of it.
work_dirs() {
	local pid folder
	{
		grep -E '/loyalty\.[0-9a-f]{8}\.[A-Za-z0-9]{6}$' "$run/folder" 2>/dev/null || true
		for folder in {"${LOYALTY_TMP:-/tmp}",/tmp,/var/tmp}/loyalty."$key".??????; do
			[ ! -d "$folder" ] || [ ! -w "$folder" ] || printf '%s\n' "$folder"
		done
		for pid in $(servers_in "*/loyalty.$key.??????"); do
			readlink "/proc/$pid/cwd" | sed -n "s|\(/loyalty\.$key\.......\).*|\1|p"
		done
	} | sort -u
}

# Servers that somebody else started here: their command lines are all that one sees.
others_servers() {
	local process
	for process in $(grep -lsE "/loyalty[.]$key[.]" /proc/[0-9]*/cmdline || true); do
		case $(cat "${process%cmdline}comm" 2>/dev/null) in
			postgres | postgrest | nginx) echo "$process" | tr -dc '0-9\n' ;;
		esac
	done
}

down() {
	local folder left
	! is_somebody_elses || die "$run belongs to somebody else, who may stop what runs"
	while IFS= read -r folder; do
		remove_work_dir "$folder" || return 1
	done < <(work_dirs)
	rm -f "$run/env" "$run/folder"
	rmdir "$run" 2>/dev/null || true
	left=$(others_servers)
	[ -z "$left" ] || die "somebody else started these processes, and they still run: $(echo $left)"
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

# choose_port SERVER: sets port.  The one that was asked for, the one of last
# time if it is free, or any.
choose_port() {
	local name=LOYALTY_${1}_PORT last
	port=${!name:-}
	[ -z "$port" ] || return 0
	last=$(sed -n "s/^$1=//p" "$ports" 2>/dev/null || true)
	if [ -n "$last" ] && port_is_free "$last"; then
		port=$last
	else
		[ -z "$last" ] || say "loyalty: port $last is taken, $1 gets another"
		port=$(free_ports 1)
	fi
}

# Ports that were asked for are looked at before anything is stopped for them;
# a demo that is to be replaced has its own.
check_ports() {
	local server name value last seen=" "
	for server in POSTGRES POSTGREST HTTP; do
		name=LOYALTY_${server}_PORT
		value=${!name:-}
		[ -n "$value" ] || continue
		[[ $value =~ ^[1-9][0-9]{0,4}$ ]] && [ "$value" -lt 65536 ] || die "$name, $value, is no port"
		[ "$value" -ge 1024 ] || die "$name, $value, is below 1024, where user $owner may not listen"
		[[ $seen != *" $value "* ]] || die "$name, $value, is asked for twice"
		seen+="$value "
		last=$(sed -n "s/^$server=//p" "$ports" 2>/dev/null || true)
		[ "$value" = "$last" ] && [ $is_demo = yes ] && [ -e "$run/env" ] || port_is_free "$value" || die "$name, $value, is taken"
	done
}

# Beside the folder, which somebody else may make the next time.
keep_port() {
	[ $is_demo = yes ] || return 0
	{ grep -v "^$1=" "$ports" 2>/dev/null || true; echo "$1=$port"; } >"$ports.new"
	mv -f "$ports.new" "$ports"
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
		mexican) locale=(--locale=es_MX.UTF-8 --lc-messages=C.UTF-8) ;;
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
		unix_socket_directories = '"$work"'
		log_min_messages = warning
		log_line_prefix = '%m [%p] %a '
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
	# One to be measured writes to disk, has the usual quarter of the memory, and what docs/operate.md recommends.
	if [ "${LOYALTY_DURABLE:-0}" = 1 ]; then
		echo "wal_writer_delay = 10ms" >>"$work/settings"
		awk '/^MemTotal/ { printf "shared_buffers = %dMB\n", $2 / 1024 / 4 }' /proc/meminfo >>"$work/settings"
	else
		echo "fsync = off" >>"$work/settings"
	fi
	"${as_owner[@]}" tee -a "$work/data/postgresql.conf" <"$work/settings" >/dev/null
	for tries in 1 2 3 4 5; do
		choose_port POSTGRES
		"${as_owner[@]}" tee -a "$work/data/postgresql.conf" <<<"port = $port" >/dev/null
		if "${as_owner[@]}" "${with_clock[@]}" "$bin/pg_ctl" -D "$work/data" -l "$work/postgres.log" -w -t 600 start \
			>"$work/pg_ctl.log" 2>&1 </dev/null; then
			break
		fi
		[ "$tries" != 5 ] && grep -q 'Address already in use' "$work/postgres.log" || return 1
		"${as_owner[@]}" rm "$work/postgres.log"
	done
	keep_port POSTGRES
	export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGPASSWORD=$password PGDATABASE=postgres
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
		ALTER ROLE web_anon SET statement_timeout = '$statement_limit';
		ALTER ROLE web_anon SET lock_timeout = '$lock_limit';
	END
	# Tests look for secrets in the log, where all that PostgREST asks is to be.
	if [ -n "$limit_s" ] && [ "${LOYALTY_DURABLE:-0}" != 1 ]; then
		query -c 'ALTER ROLE authenticator SET log_min_duration_statement = 0'
	fi
	export PGDATABASE=loyalty
	setting PGDATABASE "$PGDATABASE"
	query -c 'SET client_min_messages = warning; CREATE EXTENSION loyalty'
	query -c "SELECT loyalty.grant_api('web_anon')" >/dev/null
}

# Wait until URL answers with a status that the pattern matches.
wait_for() {
	local server=$1 url=$2 pattern=$3 tries status
	for tries in $(seq 6000); do
		runs "$server" || [ "$tries" -lt 20 ] || return 1
		status=$(curl -s -o /dev/null -m 10 -w '%{http_code}' "$url" || true)
		if [[ $status =~ $pattern ]]; then
			runs "$server"
			return
		fi
		sleep 0.1
	done
	return 1
}

# Does the server of this pid file run?  A pid may be another's by now.
runs() {
	[ -s "$1" ] && servers_in "$work" | grep -xF "$(head -n 1 "$1")" >/dev/null
}

# start_postgrest SERVER NAME [POOL NICENESS]: sets port.  Its files are NAME.log and NAME.pid.
# Where Linux shares the processor out among sessions, it is the niceness of the session that counts.
start_postgrest() {
	local tries postgrest pool=${3:+PGRST_DB_POOL=$3}
	postgrest=${LOYALTY_POSTGREST:-$work/postgrest}
	if [ ! -e "$postgrest" ]; then
		cp "$("$root/test/postgrest.sh" find)" "$postgrest"
		chmod 755 "$postgrest"
		give "$postgrest"
	fi
	cp "$root/http/postgrest.conf" "$work/postgrest.conf"
	give "$work/postgrest.conf"
	for tries in 1 2 3; do
		choose_port "$1"
		rm -f "$work/$2.pid"
		PGRST_DB_URI="postgres://authenticator:$authenticator_password@127.0.0.1:$PGPORT/loyalty${4:+?options=-c%20loyalty.nice%3D$4%20-c%20loyalty.merchant_requests%3D5}" \
			PGRST_SERVER_PORT=$port PGRST_DB_POOL_ACQUISITION_TIMEOUT=${limit_s:-10} \
			"${as_owner[@]}" env $pool nice -n "${4:-0}" setsid sh -c 'echo $$ >"$0.pid"; { nice >/proc/self/autogroup; } 2>/dev/null; exec "$@"' "$2" \
			"$postgrest" postgrest.conf >"$work/$2.log" 2>&1 </dev/null &
		disown
		if wait_for "$work/$2.pid" "http://127.0.0.1:$port/" '^200$'; then
			keep_port "$1"
			return
		fi
		grep -q 'Address already in use\|resource busy' "$work/$2.log" || return 1
	done
	return 1
}

# The one for tills, which named functions are asked of too, and the one for
# what takes long.
start_postgrests() {
	start_postgrest POSTGREST postgrest
	tills_port=$port
	setting POSTGREST_URL "http://127.0.0.1:$port"
	start_postgrest BATCHES batches 8 10
	batches_port=$port
	setting LOYALTY_BATCHES_URL "http://127.0.0.1:$port"
}

# start_nginx [SERVER FOLDER CONFIGURATION SETTING]: before the two PostgRESTs; in
# its setting is its address.
start_nginx() {
	local tries nginx server=${1:-HTTP} folder=$work/${2:-nginx} rate=${LOYALTY_RATE:-}
	nginx=$(PATH=$PATH:/usr/sbin command -v nginx)
	mkdir -p "$folder"
	for tries in 1 2 3; do
		choose_port "$server"
		sed -e "s/127\.0\.0\.1:3000/127.0.0.1:$tills_port/" -e "s/127\.0\.0\.1:3001/127.0.0.1:$batches_port/" -e "s/127\.0\.0\.1:8080/127.0.0.1:$port/" \
			${limit_s:+-e "s/^\(\t*\(proxy\|client\|send\)_[a-z_]*timeout\) .*;/\1 ${limit_s}s;/"} \
			${rate:+-e "s|rate=[0-9]*r/s|rate=$rate|"} "$root/http/${3:-nginx.conf}" >"$folder/nginx.conf"
		give "$folder"
		if "${as_owner[@]}" "$nginx" -p "$folder/" -c "$folder/nginx.conf" -e "$folder/error.log" \
			>"$folder.log" 2>&1 </dev/null &&
			wait_for "$folder/nginx.pid" "http://127.0.0.1:$port/" '^[1-4]..$'; then
			keep_port "$server"
			setting "${4:-LOYALTY_URL}" "http://127.0.0.1:$port"
			return
		fi
		grep -q 'Address already in use' "$folder.log" || return 1
	done
	return 1
}

# As docs/operate.md says: a copy that follows, and that is told of none of its
# readers' rows being taken away.
start_standby() {
	local tries
	"${as_owner[@]}" "$bin/pg_basebackup" -D "$work/standby" -R -X stream -c fast >"$work/pg_basebackup.log" 2>&1 </dev/null
	for tries in 1 2 3; do
		choose_port STANDBY
		"${as_owner[@]}" tee -a "$work/standby/postgresql.conf" <<<"port = $port
			hot_standby_feedback = on
			default_transaction_isolation = 'read committed'" >/dev/null
		if "${as_owner[@]}" "${with_clock[@]}" "$bin/pg_ctl" -D "$work/standby" -l "$work/standby.log" -w -t 600 start \
			>"$work/pg_ctl.log" 2>&1 </dev/null; then
			break
		fi
		[ "$tries" != 3 ] && grep -q 'Address already in use' "$work/standby.log" || return 1
		"${as_owner[@]}" rm "$work/standby.log"
	done
	setting LOYALTY_STANDBY_PORT "$port"
	setting LOYALTY_STANDBY_LOG "$work/standby.log"
	setting LOYALTY_STANDBY_PGDATA "$work/standby"
	case $level in cluster | database) return ;; esac
	PGPORT=$port start_postgrest STANDBY_POSTGREST standby-postgrest
	setting LOYALTY_STANDBY_POSTGREST_URL "http://127.0.0.1:$port"
	tills_port=$port batches_port=$port
	start_nginx STANDBY_HTTP standby-nginx nginx-standby.conf LOYALTY_STANDBY_URL
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

# Is the demo running?  One of which only a part runs is somebody's to decide
# on, because a new one starts without its data.
is_running() {
	local folder url
	if [ ! -r "$run/folder" ] || [ ! -r "$run/env" ]; then
		[ -z "$(servers_in "*/loyalty.$key.??????")" ] ||
			die "a demo runs whose .run is gone; make down removes it, FRESH=1 starts a new one"
		return 1
	fi
	folder=$(cat "$run/folder")
	[ -n "$(servers_in "$folder")" ] || return 1
	[ -d "$folder" ] || die "the demo runs, but its folder is gone; make down removes it, FRESH=1 starts a new one"
	url=$(sed -n "s/^LOYALTY_URL='\(.*\)'$/\1/p" "$run/env")
	[ -n "$url" ] && [[ $(curl -s -o /dev/null -m 30 -w '%{http_code}' -d "" "$url/wallet/get") = 401 ]] ||
		die "the demo runs in part only; make down removes it, FRESH=1 starts a new one"
	work=$folder
}

# An older library may be in the one that runs.
say_what_is_kept() {
	local library
	library=$(find "$work/install" -name loyalty.so -type f 2>/dev/null | head -n 1 || true)
	if [ -n "$library" ] && [ -e "$root/loyalty.so" ] && ! cmp -s "$library" "$root/loyalty.so"; then
		say "loyalty: the demo that runs, of an older build, is kept, on its ports; FRESH=1 starts a new one"
	else
		say "loyalty: the demo that runs is kept, on its ports; FRESH=1 starts a new one"
	fi
}

up() {
	! is_somebody_elses || die "$run belongs to somebody else, who may run this; or make a clone of your own"
	if [ $is_demo = yes ]; then
		build
		if [ "${FRESH:-}" != 1 ] && is_running; then
			say_what_is_kept
			return
		fi
	fi
	check_ports
	find_tmp >/dev/null
	down
	work=$(make_work_dir "$key")
	mkdir -p "$run"
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
		http) start_postgres; make_database; start_postgrests; start_nginx ;;
		demo) start_postgres; make_database; load_demo; start_postgrests; start_nginx ;;
		*) die "no level \"$level\"" ;;
	esac
	[ "${LOYALTY_STANDBY:-0}" != 1 ] || start_standby
	trap - EXIT
	if [ $is_demo = yes ]; then
		say "loyalty: it runs at http://127.0.0.1:$port; addresses and keys are in .run/env; make down ends it"
	fi
}

case $command in
	up) up ;;
	down)
		down
		[ $is_demo = no ] || say "loyalty: nothing of the demo runs any more"
		;;
	*) die "usage: stack.sh up|down [FOLDER [LEVEL]]" ;;
esac

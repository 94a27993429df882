# common.sh - what the scripts of this folder share.  Sourced, never run.
#
# PostgreSQL does not run as root.  When root runs these scripts, servers and
# tests run as user postgres, on copies in a folder of its own, because that
# user may not be allowed to read the folder that the project is in.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# The settings of whoever runs this must not reach the private servers.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE \
	PGSERVICEFILE PGOPTIONS PGAPPNAME PGSSLMODE PGDATA PGTZ PGDATESTYLE PGCLIENTENCODING
unset MAKEFLAGS MFLAGS MAKELEVEL CDPATH
export LC_ALL=C.UTF-8
umask 077

# What is on this machine is not reached through a proxy.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"
export NO_PROXY=$no_proxy

say() { printf '%s\n' "$*" >&2; }
die() { say "loyalty: $*"; exit 1; }

# "${as_owner[@]}" COMMAND runs it as the user that owns the servers.  The user
# may come with a package, so this is called again when packages have come.
choose_owner() {
	if [ "$(id -u)" = 0 ]; then
		owner=postgres
		id -u "$owner" >/dev/null 2>&1 || owner=nobody
		as_owner=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --init-groups --)
	else
		owner=$(id -un)
		as_owner=(env)
	fi
}
choose_owner

# build [tests]: install what is missing, and build for PG_CONFIG, which is set.
# Whoever uses the checkout next may read what is built.
build() {
	PG_CONFIG=$("$root/test/deps.sh" "$@")
	export PG_CONFIG
	choose_owner
	(umask 022 && make -s -j "$(nproc)" -C "$root" all)
}

# Where this machine's packages come from: of both formats of apt's lists.
mirror() {
	{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
		awk '!found && /^URIs:/ { print found = $2 }
			!found && /^deb / { for (i = NF; i > 1; i--) if ($i ~ /^[a-z+]+:/) found = $i; print found }'
}

# --- folders ------------------------------------------------------------------

# What is put behind a folder's name until a socket has one, at most, in the
# 107 bytes that the system has for it.
longest_tmp=40

# why_not FOLDER: why servers cannot be in it; nothing if they can.
why_not() {
	local probe
	case $1 in /*) ;; *) echo "is not named from /"; return ;; esac
	case $1 in *[\*?[\]\\\'\"\$]*) echo "has a name with quotes, stars, brackets or dollars"; return ;; esac
	[ -d "$1" ] || { echo "is no folder; make it first"; return; }
	[ ${#1} -le $longest_tmp ] || { echo "has a name of more than $longest_tmp bytes, too long for sockets in it"; return; }
	probe=$(mktemp -d "$1/loyalty.probe.XXXXXX" 2>/dev/null) || { echo "cannot be written to"; return; }
	give "$probe"
	cp "$(type -P true)" "$probe/run"
	chmod 755 "$probe/run"
	if ! "${as_owner[@]}" test -w "$probe" 2>/dev/null; then
		echo "cannot be reached by user $owner"
	elif ! "${as_owner[@]}" "$probe/run" 2>/dev/null; then
		echo "does not let programs run (noexec)"
	fi
	rm -rf "$probe"
}

# The folder in which servers get theirs: LOYALTY_TMP, or what does.
find_tmp() {
	local dir why
	if [ -n "${LOYALTY_TMP:-}" ]; then
		why=$(why_not "$LOYALTY_TMP")
		[ -z "$why" ] || die "LOYALTY_TMP, $LOYALTY_TMP, $why"
		printf '%s\n' "$LOYALTY_TMP"
		return
	fi
	for dir in /tmp /var/tmp /run/user/"$(id -u)"; do
		if [ -z "$(why_not "$dir")" ]; then
			printf '%s\n' "$dir"
			return
		fi
	done
	die "/tmp $(why_not /tmp), and no other folder does: set LOYALTY_TMP to one in which programs may run"
}

# make_work_dir NAME: a new folder for servers, loyalty.NAME.XXXXXX.
make_work_dir() {
	local tmp dir
	tmp=$(find_tmp) || return 1
	dir=$(mktemp -d "$tmp/loyalty.$1.XXXXXX")
	give "$dir"
	printf '%s\n' "$dir"
}

# Let the owner of the servers have what was put into their folder.
give() {
	if [ "$(id -u)" = 0 ]; then
		chown -R "$owner:" "$@"
	fi
}

# --- ports --------------------------------------------------------------------

# COUNT ports of 127.0.0.1 that nobody listens on, all different.
free_ports() {
	perl -MIO::Socket::INET -e '
		my @held = map {
			IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1)
				or die "no free port: $@\n" } 1 .. $ARGV[0];
		print join(" ", map { $_->sockport } @held), "\n";' "$1"
}

# May PORT be listened on?
port_is_free() {
	perl -MIO::Socket::INET -e '
		exit !IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 1, ReuseAddr => 1);' "$1"
}

random_password() {
	od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

# --- processes ----------------------------------------------------------------

# servers_in PATTERN: the pids of our servers that work in a folder whose name
# matches, be it that the folder is gone.  A server is known by that, not by
# its pid file, which somebody who tidies up may have taken.
servers_in() {
	local process folder
	{ find /proc/[0-9]*/cwd -maxdepth 0 -printf '%h %l\n' 2>/dev/null || true; } |
		while read -r process folder; do
			# shellcheck disable=SC2254
			case "${folder% (deleted)}/" in
				$1/*) ;;
				*) continue ;;
			esac
			case $(cat "$process/comm" 2>/dev/null) in
				postgres | postgrest | nginx) echo "${process#/proc/}" ;;
			esac
		done
}

# signal_servers PID...: ask those to end that none of the others has started.
signal_servers() {
	local pid parent
	for pid in "$@"; do
		parent=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null) || continue
		case " $* " in *" $parent "*) continue ;; esac
		case $(cat "/proc/$pid/comm" 2>/dev/null) in
			postgres) kill -INT "$pid" 2>/dev/null || true ;;
			*) kill -TERM "$pid" 2>/dev/null || true ;;
		esac
	done
}

# stop_servers PATTERN: ask, wait, and in the end insist.
stop_servers() {
	local tries pids
	for tries in $(seq 0 450); do
		pids=$(servers_in "$1")
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086
		case $tries in
			0 | 100 | 200) signal_servers $pids ;;
			300) kill -KILL $pids 2>/dev/null || true ;;
		esac
		sleep 0.1
	done
	say "loyalty: these processes do not end: $(echo $pids)"
	return 1
}

# Stop every server that runs in a folder of ours, and remove it.
remove_work_dir() {
	case $1 in
		*/loyalty.*.??????) ;;
		*) die "\"$1\" is not a folder of ours" ;;
	esac
	stop_servers "$1" || return 1
	rm -rf "$1"
}

# common.sh - what the scripts of this folder share.  Sourced, never run.
#
# PostgreSQL does not run as root.  When root runs these scripts, servers and
# tests run as user postgres, on copies in a folder of its own, because that
# user may not be allowed to read the folder that the project is in.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The settings of whoever runs this must not reach the private servers.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE \
	PGSERVICEFILE PGOPTIONS PGAPPNAME PGSSLMODE PGDATA PGTZ PGDATESTYLE PGCLIENTENCODING
unset MAKEFLAGS MFLAGS MAKELEVEL CDPATH
export LC_ALL=C.UTF-8
umask 077

say() { printf '%s\n' "$*" >&2; }
die() { say "loyalty: $*"; exit 1; }

# "${as_owner[@]}" COMMAND runs it as the user that owns the servers.
if [ "$(id -u)" = 0 ]; then
	owner=postgres
	as_owner=(setpriv "--reuid=$owner" "--regid=$owner" --init-groups --)
else
	owner=$(id -un)
	as_owner=(env)
fi

# A folder for servers: a socket's path may have 107 bytes, hence a short name.
make_work_dir() {
	local dir
	dir=$(mktemp -d "${1:-/tmp}/loyalty.XXXXXX")
	give "$dir"
	printf '%s\n' "$dir"
}

# Let the owner of the servers have what was put into their folder.
give() {
	if [ "$(id -u)" = 0 ]; then
		chown -R "$owner:" "$@"
	fi
}

# COUNT ports of 127.0.0.1 that nobody listens on, all different.
free_ports() {
	perl -MIO::Socket::INET -e '
		my @held = map {
			IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1)
				or die "no free port: $@\n" } 1 .. $ARGV[0];
		print join(" ", map { $_->sockport } @held), "\n";' "$1"
}

random_password() {
	od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

# is_ours WORK_DIR PID: is the process one of ours?  Its working folder is in the folder that we made.
is_ours() {
	local cwd
	cwd=$(readlink "/proc/$2/cwd" 2>/dev/null) || return 1
	case $cwd in
		"$1" | "$1"/*) return 0 ;;
	esac
	return 1
}

# stop_process WORK_DIR PID SIGNAL: ask, wait, and in the end insist.
stop_process() {
	local tries=0
	is_ours "$1" "$2" || return 0
	kill -"$3" "$2" 2>/dev/null || return 0
	while is_ours "$1" "$2"; do
		tries=$((tries + 1))
		if [ $tries -eq 300 ]; then
			kill -KILL "$2" 2>/dev/null || true
		elif [ $tries -gt 350 ]; then
			say "loyalty: process $2 does not end"
			return 1
		fi
		sleep 0.1
	done
}

# Stop every server that runs in a folder, the outermost first, and remove it.
remove_work_dir() {
	local dir=$1 file
	case $dir in
		*/loyalty.??????) ;;
		*) die "\"$dir\" is not a folder of ours" ;;
	esac
	[ -d "$dir" ] || return 0
	while IFS= read -r file; do
		stop_process "$dir" "$(head -n 1 "$file")" TERM
	done < <(find "$dir" -name nginx.pid -o -name postgrest.pid)
	while IFS= read -r file; do
		stop_process "$dir" "$(head -n 1 "$file")" INT
	done < <(find "$dir" -name postmaster.pid)
	rm -rf "$dir"
}

#!/bin/bash
# nginx_standby.sh - http/nginx-standby.conf, from http/nginx.conf.
#
#     test/nginx_standby.sh            print it
#     test/nginx_standby.sh --check    print how the file differs from it, if it does
#     test/nginx_standby.sh --write    write the file
#
# In front of a standby the same limits, headers and errors hold: only the
# function that is called is another, what is ready, and what the file says of
# itself.  Needs no
# server.
set -euo pipefail
. "$(dirname "$0")/common.sh"

file=$root/http/nginx-standby.conf

print_standby() {
	awk '
		NR == 1 {
			print "# nginx in front of PostgREST on a hot standby: serves what of the documented paths"
			print "# only reads.  It is nginx.conf, with another function, which test/nginx_standby.sh"
			print "# puts into it."
			print "#"
			head = 1
		}
		/^# To deploy/ { head = 0 }
		head { next }
		{
			replaced += gsub("/rpc/gateway;", "/rpc/gateway_read;") + gsub("/rpc/ready;", "/rpc/ready?writes=false;")
			gsub("/etc/loyalty/nginx[.]conf", "/etc/loyalty/nginx-standby.conf")
			print
		}
		END { exit replaced != 2 }' "$root/http/nginx.conf"
}

case ${1:-} in
	"") print_standby ;;
	--check) diff "$file" <(print_standby) || true ;;
	--write) print_standby >"$file.new" && mv -f "$file.new" "$file" ;;
	*) die "usage: nginx_standby.sh [--check | --write]" ;;
esac

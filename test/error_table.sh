#!/bin/bash
# error_table.sh - the table of errors in README.md, from src/base/errcodes.txt.
#
#     test/error_table.sh            print the table
#     test/error_table.sh --check    print how README.md differs from it, if it does
#     test/error_table.sh --write    put it into README.md
#
# Needs no server.  The table stands between two marker lines in README.md.
set -euo pipefail
. "$(dirname "$0")/common.sh"

begin='<!-- error table: begin -->'
end='<!-- error table: end -->'

print_table() {
	perl -0777 -ne '
		print "| SQLSTATE | code | HTTP | message | what to do |\n| --- | --- | --- | --- | --- |\n";
		s{/\*.*?\*/}{}gs;
		my $text = qr/"((?:[^"\\]|\\.)*)"/;
		my $entries = () = /^ERROR_CODE\(/mg;
		while (/^ERROR_CODE\(\w+,\s*$text,\s*$text,\s*$text,\s*(\d+),\s*$text,\s*$text\)/mg) {
			my @cells = ($1, "`$2`", $4, $5, $6);
			s/\\(.)/$1/g, s/\|/\\|/g for @cells;
			print "| ", join(" | ", @cells), " |\n";
			$entries--;
		}
		die "$ARGV: $entries entries cannot be read\n" if $entries;' "$root/src/base/errcodes.txt"
}

# What stands between the markers now.
shown_table() {
	awk -v begin="$begin" -v end="$end" '$0 == end { inside = 0 } inside { print } $0 == begin { inside = 1 }' \
		"$root/README.md"
}

# README.md with the table that is read from the standard input.
readme_with_table() {
	awk -v begin="$begin" -v end="$end" '
		FNR == NR { table = table $0 "\n"; next }
		$0 == end { inside = 0 }
		!inside { print }
		$0 == begin { inside = 1; printf "%s", table }' - "$root/README.md"
}

case ${1:-} in
	"") print_table ;;
	--check) diff <(shown_table) <(print_table) ;;
	--write)
		new=$(print_table | readme_with_table)
		printf '%s\n' "$new" >"$root/README.md"
		;;
	*) die "usage: error_table.sh [--check | --write]" ;;
esac

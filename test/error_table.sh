#!/bin/bash
# error_table.sh - the tables of errors in docs/, from src/base/errcodes.txt.
#
#     test/error_table.sh            print the table
#     test/error_table.sh --check    print how the pages differ from it, if they do
#     test/error_table.sh --write    put it into the pages
#
# Needs no server.  In docs/errors.md, and in docs/LANGUAGE/errors.md for each
# docs/LANGUAGE/errors.po, the table stands between two marker lines.  Messages
# are the same in all of them; what to do is translated.
set -euo pipefail
. "$(dirname "$0")/common.sh"
export LC_ALL=C.UTF-8

begin='<!-- error table: begin -->'
end='<!-- error table: end -->'

# print_table [PO]: without a translation, as the catalogue has it.
print_table() {
	perl -0777 -CSD -e '
		my ($catalogue, $po) = @ARGV;
		my $text = qr/"((?:[^"\\]|\\.)*)"/;
		sub slurp { open my $in, "<", $_[0] or die "$_[0]: $!\n"; return <$in> }
		my (%translated, %used);
		if ($po) {
			$_ = slurp($po);
			$translated{$1} = $2 while /^msgid\s+$text\nmsgstr\s+$text$/mg;
		}
		my $translate = sub {
			$used{$_[0]} = 1;
			return $po ? $translated{$_[0]} // die "$po: \"$_[0]\" is not translated\n" : $_[0];
		};
		print "| ", join(" | ", map { $translate->($_) } "SQLSTATE", "code", "HTTP", "message", "what to do"), " |\n| --- | --- | --- | --- | --- |\n";
		$_ = slurp($catalogue);
		s{/\*.*?\*/}{}gs;
		my $entries = () = /^ERROR_CODE\(/mg;
		while (/^ERROR_CODE\(\w+,\s*$text,\s*$text,\s*$text,\s*(\d+),\s*$text,\s*$text\)/mg) {
			my @cells = ($1, "`$2`", $4, $5, $translate->($6));
			s/\\(.)/$1/g, s/\|/\\|/g for @cells;
			print "| ", join(" | ", @cells), " |\n";
			$entries--;
		}
		die "$catalogue: $entries entries cannot be read\n" if $entries;
		my @left = grep { $_ ne "" && !$used{$_} } sort keys %translated;
		die map { "$po: nothing says \"$_\" any more\n" } @left if @left;' \
		"$root/src/base/errcodes.txt" "$@"
}

# What stands between the markers of a page now.
shown_table() {
	awk -v begin="$begin" -v end="$end" '$0 == end { inside = 0 } inside { print } $0 == begin { inside = 1 }' "$1"
}

# A page with the table that is read from the standard input.
page_with_table() {
	awk -v begin="$begin" -v end="$end" '
		FNR == NR { table = table $0 "\n"; next }
		$0 == end { inside = 0 }
		!inside { print }
		$0 == begin { inside = 1; printf "%s", table }' - "$1"
}

# each_page COMMAND: with the name of each page, and of its translation.
each_page() {
	local po
	"$1" "$root/docs/errors.md"
	for po in "$root"/docs/*/errors.po; do
		[ ! -e "$po" ] || "$1" "${po%.po}.md" "$po"
	done
}

check() {
	local table
	table=$(print_table "${@:2}")
	diff <(shown_table "$1") - <<<"$table" || differs=1
}

# Fails if a translation lacks something.
try() {
	print_table "${@:2}" >/dev/null
}

write() {
	local new
	new=$(print_table "${@:2}" | page_with_table "$1")
	printf '%s\n' "$new" >"$1"
}

differs=0
case ${1:-} in
	"") print_table ;;
	--check) each_page check ;;
	--write)
		# all of them, before one is written
		each_page try
		each_page write ;;
	*) die "usage: error_table.sh [--check | --write]" ;;
esac
exit $differs

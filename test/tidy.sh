#!/bin/bash
# tidy.sh - the rules of style that a program can check, as TAP.
#
# With PGDATABASE naming a database that has the extension, its objects are
# checked too; without, those checks are skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

number=0
failed=0

# fact NAME COMMAND...: what the command prints are the offences.
fact() {
	local name=$1 offences
	shift
	number=$((number + 1))
	if ! offences=$("$@" 2>&1); then
		offences="${offences:+$offences$'\n'}the check itself failed"
	fi
	if [ -z "$offences" ]; then
		echo "ok $number - $name"
	else
		failed=$((failed + 1))
		echo "not ok $number - $name"
		printf '%s\n' "$offences" | head -n 40 | sed 's/^/#   /'
	fi
}

skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# The project's own files, without what is built or fetched.
mapfile -t sources < <(find . \( -name .git -o -name .deps -o -name .run -o -name results -o -path ./dist \) -prune -o -type f \
	! -name '*.o' ! -name '*.so' ! -name '*.bc' ! -path './sql/loyalty--*' -print | sort)

# grep, but finding nothing is no failure.
search() {
	grep -nI "$@" || [ $? -lt 2 ]
}

# --- sources ----------------------------------------------------------------

banned_words() {
	local words='TO''DO|FIX''ME|XX''X|HA''CK'
	search -wE "$words" "${sources[@]}"
}

machine_paths() {
	local paths='/ho''me/|/ro''ot/|/wo''rk/|/Us''ers/'
	search -E "(^|[^A-Za-z0-9_.~-])($paths)" "${sources[@]}"
}

trailing_space() {
	local file
	for file in "${sources[@]}"; do
		[[ $file == ./expected/* ]] || search -HE '[[:space:]]+$' "$file"
	done
}

long_files() {
	wc -l src/*/*.[ch] | awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines" }'
}

# A function's body starts and ends with a brace in the first column.
long_functions() {
	awk '
		FNR == 1 { start = 0 }
		/^[A-Za-z_].*\(/ { name = $0; named = FNR }
		/^\{/ { start = FNR }
		/^\}/ && !/^\}[ \t]*[A-Za-z_]*;/ {
			if (start && named && FNR - start - 1 > 70)
				print FILENAME ":" start ": " FNR - start - 1 " lines: " name
			start = 0
		}' src/*/*.c
}

# Statement by statement: each ereport(ERROR, ...) says which errcode.
error_without_code() {
	perl -0777 -ne '
		while (/\b(?:ereport|errsave|ereturn)\s*\((.*?)\)\s*;/sg) {
			my ($call, $at) = ($1, $-[0]);
			next if $call !~ /^\s*(ERROR|FATAL|PANIC)\b/ || $call =~ /\berrcode\w*\s*\(|sqlerrcode|sqlstate/;
			my $line = 1 + (substr($_, 0, $at) =~ tr/\n//);
			print "$ARGV:$line\n";
		}' src/*/*.c
}

# It takes quadratic time for an order that was made for it, and cannot be interrupted.
qsort_of_the_server() {
	search -w 'qsort\|qsort_arg\|list_sort' src/*/*.c | grep -v ':[0-9]*: \*' || [ $? -lt 2 ]
}

# Its hash is known, so that whoever chooses keys can choose such as have one.  Programs and merchants number themselves.
hash_of_the_server() {
	search -w 'hash_create' src/*/*.c | grep -v '^src/base/table\.c:\|"loyalty programs"\|"loyalty advances"' || [ $? -lt 2 ]
}

file_without_head() {
	local file
	for file in src/*.[ch] src/*/*.[ch]; do
		head -n 2 "$file" | grep -qF "$(basename "$file")" || echo "$file"
	done
	for file in sql/parts/*.sql; do
		head -n 1 "$file" | grep -qE '^(--|/\*)' || echo "$file"
	done
}

scripts_parse() {
	local file
	for file in test/*.sh test/bench/*.*sh test/systemctl debian/gateway/{postgrest,maintenance} debian/tests/{extension,gateway} debian/*.{postinst,postrm}; do
		[ ! -e "$file" ] || bash -n "$file"
	done
}

# A text becomes HTML by PostgreSQL's XML functions only, which escape it.
html_of_texts() {
	search -iE "::xml|as xml\b|xmlparse|xml_in|'</?[a-z]+[ />]" sql/parts/*.sql || [ $? -lt 2 ]
}

# Of a frame that begins elsewhere at each row, min() looks at all rows again for each.
frames_that_begin_anew() {
	search -iE 'between (current row|[^ ]+ (preceding|following)) and' sql/parts/*.sql | grep -iv 'unbounded preceding' || [ $? -lt 2 ]
}

# --- tests ------------------------------------------------------------------

# pg_regress would silently take sql/NAME.sql for the test of that name.
test_names() {
	local file name
	for file in test/sql/*.sql; do
		[ -e "$file" ] || continue
		name=$(basename "$file" .sql)
		[ ! -e "sql/$name.sql" ] || echo "sql/$name.sql hides $file"
		[[ $name == tap_* ]] || [ -e "expected/$name.out" ] || echo "expected/$name.out is missing"
	done
	for file in test/specs/*.spec; do
		[ -e "$file" ] || continue
		name=$(basename "$file" .spec)
		[[ $name == iso_* ]] || echo "$file: the name of an isolation test starts with iso_"
		[ -e "expected/$name.out" ] || echo "expected/$name.out is missing"
	done
	for file in expected/*.out; do
		[ -e "$file" ] || continue
		name=$(basename "$file" .out)
		name=${name%_[0-9]}
		[ -e "test/sql/$name.sql" ] || [ -e "test/specs/$name.spec" ] || echo "$file belongs to no test"
	done
}

# Tests are named by their numbers.
numbers_of_two() {
	ls test/t | sed -n 's/^\([0-9]*\)_.*/\1/p' | sort | uniq -d
}

# What is in these folders and would not be run.
tests_not_run() {
	find test \( -path 'test/sql/*' ! -name '*.sql' -o -path 'test/specs/*' ! -name '*.spec' \
		-o -path 'test/t/*' ! -name '*.p[lm]' -o -path 'test/bench/*.sh' ! -perm -u+x \) -type f
}

# An expected transcript of an error that nobody expected is no test.
expected_accidents() {
	search -rE 'could not (access|load|open) |server closed the connection|syntax error at or near' expected
}

# Letters of a locale are no letters of ours: "I" is not always "i".
locale_letters() {
	grep -nE '\b(upper|lower|initcap)\(|\b(i|I)(like|LIKE)\b|~\*|pg_strcasecmp|\b(pg_)?to(upper|lower)\(|\bis(alpha|upper|lower)\(' sql/parts/*.sql src/*/*.[ch] |
		grep -v 'COLLATE "C"' || [ $? -lt 2 ]
}

# Views are for users: the engine reads tables, but where it needs what a view
# computes.
views_in_statements() {
	local views use
	views=$(sed -n 's/^CREATE VIEW loyalty\.\(\w*\).*/\1/p' sql/parts/*.sql | paste -sd'|')
	grep -oE "(FROM|JOIN) loyalty\.($views)\>" src/*/*.c sql/parts/*.sql | sed -E 's/:.*\./ /' | sort -u | while read -r use; do
		case $use in
			"src/api/ikniu.c balances" | "src/api/monedero.c balances" | "sql/parts/51_member.sql balances") ;;
			"src/api/kasu.c policies" | "src/api/monedero.c staff_members") ;;
			"src/api/monedero.c wallets" | "src/program/program.c wallets") ;;
			"sql/parts/55_numbering.sql area_codes" | "sql/parts/55_numbering.sql numbering_plan_ranges") ;;
			"sql/parts/61_history.sql entries") ;;
			*) echo "$use" ;;
		esac
	done
}

# --- pages ------------------------------------------------------------------

long_readme() {
	wc -l README*.md | awk '$2 != "total" && $1 > 250 { print $2 ": " $1 " lines" }'
}

# --- the objects of the extension -------------------------------------------

query() {
	"${LOYALTY_BIN:+$LOYALTY_BIN/}psql" -XAtq -v ON_ERROR_STOP=1 -c "
		CREATE TEMP VIEW members AS
		SELECT d.classid, d.objid
		FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_extension'::regclass
		WHERE e.extname = 'loyalty' AND d.deptype = 'e';" -c "$1"
}

extension_is_there() {
	query "SELECT 'the database has no extension loyalty' WHERE NOT EXISTS (SELECT FROM members)"
}

# Row types, array types, toast tables and indexes speak through their table;
# casts, operator classes and families through their type.
objects_without_comment() {
	query "
		SELECT pg_catalog.pg_describe_object(m.classid, m.objid, 0)
		FROM members m
		WHERE m.classid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_type'::regclass,
							'pg_catalog.pg_namespace'::regclass)
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_description d
						  WHERE d.classoid = m.classid AND d.objoid = m.objid AND d.objsubid = 0)
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
						  WHERE m.classid = 'pg_catalog.pg_class'::regclass AND c.oid = m.objid AND c.relkind IN ('i', 'I', 't'))
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t
						  LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
						  WHERE m.classid = 'pg_catalog.pg_type'::regclass AND t.oid = m.objid
							AND (t.typelem <> 0 AND t.typcategory = 'A' OR c.relkind IN ('r', 'v', 'm', 'p')))
		ORDER BY 1"
}

# What reports are made of says what it is: a tool shows no more of a column.
columns_without_comment() {
	query "
		SELECT a.attrelid::regclass || '.' || a.attname
		FROM pg_catalog.pg_attribute a
		WHERE a.attrelid IN ('loyalty.entry'::regclass, 'loyalty.entries'::regclass, 'loyalty.balances'::regclass, 'loyalty.members'::regclass)
		  AND a.attnum > 0 AND NOT a.attisdropped AND pg_catalog.col_description(a.attrelid, a.attnum) IS NULL
		ORDER BY 1"
}

# What a type cannot do without its users: input and output, operators, casts
# and aggregates of the SQL types.
public_functions() {
	query "
		SELECT p.oid::regprocedure
		FROM members m
		JOIN pg_catalog.pg_proc p ON p.oid = m.objid AND m.classid = 'pg_catalog.pg_proc'::regclass
		WHERE EXISTS (SELECT FROM pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
					  WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t JOIN members tm ON tm.objid = t.oid
						  WHERE tm.classid = 'pg_catalog.pg_type'::regclass AND t.typtype = 'b'
							AND (t.oid = ANY (p.proargtypes) OR t.oid = p.prorettype))
		  AND p.provolatile <> 'i'
		ORDER BY 1"
}

public_tables() {
	query "
		SELECT c.oid::regclass || ': ' || a.privilege_type
		FROM members m
		JOIN pg_catalog.pg_class c ON c.oid = m.objid AND m.classid = 'pg_catalog.pg_class'::regclass
		CROSS JOIN pg_catalog.aclexplode(c.relacl) a
		WHERE a.grantee = 0
		ORDER BY 1"
}

definer_functions() {
	query "
		SELECT p.oid::regprocedure || CASE WHEN r.rolsuper THEN ': owner is a superuser' ELSE ': search_path is not pinned' END
		FROM members m
		JOIN pg_catalog.pg_proc p ON p.oid = m.objid AND m.classid = 'pg_catalog.pg_proc'::regclass
		JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
		WHERE p.prosecdef
		  AND (r.rolsuper OR NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) s WHERE s LIKE 'search\_path=%'))
		ORDER BY 1"
}

tables_not_dumped() {
	query "
		SELECT c.oid::regclass
		FROM members m
		JOIN pg_catalog.pg_class c ON c.oid = m.objid AND m.classid = 'pg_catalog.pg_class'::regclass
		WHERE c.relkind IN ('r', 'p', 'S')
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'loyalty' AND c.oid = ANY (e.extconfig))
		ORDER BY 1"
}

# The order of a locale may change with the operating system, and with it an
# index would lose its own.
keys_of_a_locale() {
	query "
		SELECT i.indexrelid::regclass || ', column ' || k.n || ': ' || k.id::regcollation
		FROM members m
		JOIN pg_catalog.pg_index i ON i.indrelid = m.objid AND m.classid = 'pg_catalog.pg_class'::regclass
		CROSS JOIN LATERAL pg_catalog.unnest(i.indcollation) WITH ORDINALITY k (id, n)
		WHERE k.id NOT IN (0, 'pg_catalog.\"C\"'::regcollation)
		ORDER BY 1"
}

# A parameter comes with the collation of what was given: only one that is named
# is above it, and above that of the column.
parameters_under_a_locale() {
	query "
		SELECT p.oid::regprocedure || ': ' || found.text[1]
		FROM members m
		JOIN pg_catalog.pg_proc p ON p.oid = m.objid AND m.classid = 'pg_catalog.pg_proc'::regclass
		JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
		CROSS JOIN LATERAL unnest(p.proargnames, p.proargtypes::oid[]) a (name, type)
		CROSS JOIN LATERAL pg_catalog.regexp_matches(p.prosrc,
			'[a-z]\.[a-z_]+ (?:=|<>) (?:' || p.proname || '\.)?' || a.name || '\M(?! COLLATE)(?!\.)', 'g') found (text)
		WHERE a.type = 'text'::regtype
		ORDER BY 1"
}

# A publication of all tables refuses what it could not find on the subscriber.
tables_without_identity() {
	query "
		SELECT c.oid::regclass
		FROM members m
		JOIN pg_catalog.pg_class c ON c.oid = m.objid AND m.classid = 'pg_catalog.pg_class'::regclass
		WHERE c.relkind IN ('r', 'p') AND c.relreplident <> 'f'
		  AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
		ORDER BY 1"
}

# --- all of them ------------------------------------------------------------

fact "no unfinished business" banned_words
fact "no path of a machine" machine_paths
fact "no space at the end of a line" trailing_space
fact "C files have at most 800 lines" long_files
fact "C functions have at most 70 lines" long_functions
fact "errors have an errcode" error_without_code
fact "includes of src/ go down only" test/includes.pl
fact "arrays are sorted by base/sort.c" qsort_of_the_server
fact "keys that clients choose are hashed by base/table.c" hash_of_the_server
fact "files say what they are" file_without_head
# not every Debian has it
if command -v pg_bsd_indent >/dev/null; then
	fact "C is laid out as pg_bsd_indent does it" test/indent.pl --check
else
	skip "C is laid out as pg_bsd_indent does it" "there is no pg_bsd_indent"
fi
fact "HTML is made by functions that escape" html_of_texts
fact "window frames begin where their partitions do" frames_that_begin_anew
fact "scripts parse" scripts_parse
fact "tests and expected transcripts match" test_names
fact "all tests are run" tests_not_run
fact "each test has a number of its own" numbers_of_two
fact "no transcript expects an accident" expected_accidents
fact "capital and small letters are told apart by a rule of our own" locale_letters
fact "views of loyalty are for users" views_in_statements
fact "versions agree, and what users have is as they have it" test/release.sh check
fact "README has at most 250 lines" long_readme
fact "META.json is as PGXN asks, and has the version that there is" test/meta.pl check
fact "packages have what their files name" test/debian.pl
fact "pages have the errors of src/base/errcodes.txt" test/error_table.sh --check
fact "nginx before a standby is configured as before the primary" test/nginx_standby.sh --check
fact "commands of pages are run, or say why not" test/pages.pl blocks
fact "links of pages lead somewhere" test/pages.pl links
fact "pages have all codes, those of the APIs in their order, and tests those of the engine" test/pages.pl codes
fact "functions that CONTRIBUTING.md names are there" test/pages.pl names
fact "the glossaries agree" test/pages.pl words
fact "pages in Spanish have the blocks of the English ones" test/pages.pl spanish
if [ -n "${PGDATABASE:-}" ]; then
	fact "the extension is there" extension_is_there
	fact "objects have comments" objects_without_comment
	fact "columns of the ledger, balances and members have comments" columns_without_comment
	fact "docs/sql-reference.md has them" test/sql_reference.pl --check
	fact "no function that does something is PUBLIC's" public_functions
	fact "no table is PUBLIC's" public_tables
	fact "SECURITY DEFINER functions have a modest owner and a pinned search_path" definer_functions
	fact "all tables with data are dumped" tables_not_dumped
	fact "text keys of indexes are under \"C\"" keys_of_a_locale
	fact "columns are compared with parameters under \"C\"" parameters_under_a_locale
	fact "tables have a replica identity" tables_without_identity
else
	skip "objects of the extension" "no database"
fi
echo "1..$number"
[ $failed = 0 ]

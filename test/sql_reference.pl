#!/usr/bin/perl
# sql_reference.pl - docs/sql-reference.md, from the COMMENTs of the extension.
#
#     test/sql_reference.pl            print the page
#     test/sql_reference.pl --check    print how docs/sql-reference.md differs from it, if it does
#     test/sql_reference.pl --write    write docs/sql-reference.md
#
# PGDATABASE names a database that has the extension; after make up:
#     set -a; . .run/env; set +a; PATH=$LOYALTY_BINDIR:$PATH test/sql_reference.pl --write
#
# A section is a file of sql/parts/, in their order: its noun, and the first
# sentence of its head.  What is there: the types, tables, views and functions of
# schema loyalty, but for the functions that casts are made of.
use strict;
use warnings;
use utf8;

use File::Basename qw(basename dirname);
use File::Temp ();

binmode $_, ':encoding(UTF-8)' for *STDOUT, *STDERR;

my $root = dirname(__FILE__) . '/..';
my $page = "$root/docs/sql-reference.md";

sub slurp
{
	open my $in, '<:encoding(UTF-8)', $_[0] or die "$_[0]: $!\n";
	local $/;
	return scalar <$in>;
}

# Rows of fields, which have no control characters but newlines.
sub rows
{
	my $sql = shift;
	my $file = File::Temp->new;
	binmode $file, ':encoding(UTF-8)';
	print {$file} $sql;
	$file->flush;
	open my $in, '-|:encoding(UTF-8)', ($ENV{LOYALTY_BIN} ? "$ENV{LOYALTY_BIN}/" : '') . 'psql', qw(-XqAt -v ON_ERROR_STOP=1 -F), "\x1f", '-R', "\x1e", '-f', "$file"
		or die "psql: $!\n";
	local $/ = "\x1e";
	my @rows = map { s/[\x1e\n]+\z//r } <$in>;
	close $in or die "psql failed\n";
	return map { [split /\x1f/, $_, -1] } grep { $_ ne '' } @rows;
}

# --- what is in the database ----------------------------------------------------

# Name, kind, arguments, result, comment.
my $functions = q{
SELECT p.proname, p.prokind, a.arguments,
	CASE WHEN a.results IS NULL THEN pg_get_function_result(p.oid)
		ELSE CASE WHEN p.proretset THEN 'SETOF ' ELSE '' END || '(' || a.results || ')' END,
	obj_description(p.oid, 'pg_proc')
FROM pg_proc p
CROSS JOIN LATERAL (
	SELECT string_agg(concat_ws(' ', u.name, format_type(u.type, NULL), 'DEFAULT ' || pg_get_function_arg_default(p.oid, u.n::integer)), ', ' ORDER BY u.n)
			FILTER (WHERE u.mode IN ('i', 'b', 'v')) AS arguments,
		string_agg(concat_ws(' ', u.name, format_type(u.type, NULL)), ', ' ORDER BY u.n) FILTER (WHERE u.mode IN ('o', 'b', 't')) AS results
	FROM unnest(COALESCE(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes::text[]) WITH ORDINALITY x (type, name, given, n)
	CROSS JOIN LATERAL (SELECT x.type, NULLIF(x.name, '') AS name, COALESCE(x.given, 'i') AS mode, x.n) u) a
WHERE p.pronamespace = 'loyalty'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_cast c WHERE c.castfunc = p.oid)
ORDER BY p.proname COLLATE "C", a.arguments COLLATE "C";
};

# Name, kind, columns, comment.
my $relations = q{
SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'c' THEN 'row type' ELSE 'table' END,
	(SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, NULL), ', ' ORDER BY a.attnum) FROM pg_attribute a
	 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	NULL, CASE c.relkind WHEN 'c' THEN obj_description(c.reltype, 'pg_type') ELSE obj_description(c.oid, 'pg_class') END
FROM pg_class c
WHERE c.relnamespace = 'loyalty'::regnamespace AND c.relkind IN ('v', 'r', 'c')
ORDER BY c.relname COLLATE "C";
};

# Name, kind, operators, casts, comment.  Of a domain its type is shown.
my $types = q{
SELECT t.typname, 'type',
	(SELECT string_agg(DISTINCT concat_ws(' ', format_type(l.type, NULL), o.oprname, format_type(r.type, NULL)), ', ') FROM pg_operator o
	 LEFT JOIN LATERAL (SELECT COALESCE(NULLIF(d.typbasetype, 0), d.oid) AS type FROM pg_type d WHERE d.oid = o.oprleft) l ON true
	 CROSS JOIN LATERAL (SELECT COALESCE(NULLIF(d.typbasetype, 0), d.oid) AS type FROM pg_type d WHERE d.oid = o.oprright) r
	 WHERE o.oprnamespace = 'loyalty'::regnamespace AND t.oid IN (o.oprleft, o.oprright)),
	(SELECT string_agg(concat_ws(' ', format_type(c.castsource, NULL), '→', format_type(c.casttarget, NULL),
		CASE c.castcontext WHEN 'a' THEN '(when assigned)' WHEN 'e' THEN '(when asked for)' END), ', ' ORDER BY (c.casttarget = t.oid)::integer, format_type(c.castsource, NULL), format_type(c.casttarget, NULL))
	 FROM pg_cast c WHERE t.oid IN (c.castsource, c.casttarget)),
	obj_description(t.oid, 'pg_type')
FROM pg_type t
WHERE t.typnamespace = 'loyalty'::regnamespace AND t.typtype = 'b' AND t.typelem = 0
ORDER BY t.typname COLLATE "C";
};

# --- the page -------------------------------------------------------------------

# Prose of a COMMENT: nothing of it is Markdown.
sub prose { return join "\n\n", map { s/([\\*<\[\]])/\\$1/gr } split /\n+/, $_[0] }

sub fenced { return "```\n$_[0]\n```\n" }

# A long list has a line for each of its parts.
sub listed
{
	my ($before, $list, $after) = @_;
	my $line = "$before$list$after";
	return $line if length $line <= 120;
	# no comma within parentheses or quotes ends a part
	my @parts = split /, (?![^(]*\))(?=(?:[^']*'[^']*')*[^']*$)/, $list;
	return "$before\n    " . join(",\n    ", @parts) . "\n$after";
}

# Types as people write them, and literals without theirs.
sub plain { return $_[0] =~ s/timestamp with time zone/timestamptz/gr =~ s/(?<=NULL|.')::\w+(?:\.\w+)?(?:\[\])?//gr }

sub entry
{
	my ($name, $kind, $first, $second, $comment) = @_;
	$_ = plain($_) for $first, $second;
	if ($kind eq 'type')
	{
		my $text = "Type `loyalty.$name`. " . prose($comment) . "\n";
		$text .= "\nOperators: `$first`\n" if $first ne '';
		$text .= "\nCasts: `$second`\n" if $second ne '';
		return $text;
	}
	if ($kind =~ /^(view|table|row type)$/)
	{
		return ucfirst($kind) . '. ' . prose($comment) . "\n\n" . fenced(listed("loyalty.$name (", $first, ')'));
	}
	my $result = length $second > 60 && $second =~ /^(SETOF )?\((.*)\)$/s ? listed(($1 // '') . '(', $2, ')') : $second;
	return fenced(listed(($kind eq 'a' ? 'aggregate ' : '') . "loyalty.$name(", $first, ')') . " → $result") . "\n" . prose($comment) . "\n";
}

# Anchors are those of forges: a heading that is there again has the next number.
my %headings;
sub anchor
{
	(my $anchor = lc $_[0]) =~ tr/ /-/;
	my $number = $headings{$anchor}++;
	return $number ? "$anchor-$number" : $anchor;
}

# The noun of a file, and the first sentence of its head.
sub subject
{
	my ($file, $sql) = @_;
	my ($noun) = basename($file) =~ /^\d*_?(\w+)\.sql$/;
	my ($head) = $sql =~ m{\A(?:/\*\n)?((?:(?:--| \*) .*\n)+)} or die "$file has no head\n";
	$head =~ s/^(--| \*) //mg;
	$head =~ s/\s+/ /g;
	my ($first) = $head =~ /\A(.*?\.)(?: |\z)/ or die "$file: its head has no sentence\n";
	return (ucfirst $noun =~ s/_/ /gr, $first);
}

# The contents, and the sections.
sub sections
{
	my %entries;
	push @{$entries{$_->[0]}}, entry(@$_) for rows($types), rows($relations), rows($functions);
	my ($contents, $sections) = ('', '');
	for my $file (sort glob "$root/sql/parts/*.sql")
	{
		my $sql = slurp($file);
		my %seen;
		my @names = grep { !$seen{$_}++ && $entries{$_} } $sql =~ /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|VIEW|TABLE|TYPE|AGGREGATE) loyalty\.(\w+)/mg;
		@names or next;
		my ($title, $about) = subject($file, $sql);
		$contents .= "- [$title](#" . anchor($title) . '): ' . join(', ', map { "[`$_`](#" . anchor($_) . ')' } @names) . "\n";
		$sections .= "## $title\n\n" . prose($about) . "\n\n" . join '', map { "### $_\n\n" . join("\n", @{delete $entries{$_}}) . "\n" } @names;
	}
	die map { "$_ is created in no file of sql/parts/\n" } sort keys %entries if %entries;
	return ($contents, $sections);
}

sub page
{
	my ($contents, $sections) = sections();
	return <<"END" . $contents . "\n" . $sections =~ s/\n+\z/\n/r;
# SQL reference

All functions, views, tables and types of schema `loyalty`, as their COMMENTs describe them: `\\df+`, `\\d+`, `\\dT+` show the same in psql. This page is generated from them, and held equal by a test.

`merchant_id` says who acts. Functions raise errors of their own [SQLSTATEs](errors.md), with the code in DETAIL. What they are for is told in [the engine](engine.md) and
[operate](operate.md), and who may call them in [roles](operate.md#roles). `DEFAULT` marks what may be left out; pass it by name: `idempotency_key => 'till-1/3'`.

Call functions that return a row in `FROM`: `SELECT * FROM loyalty.post(…)`. `SELECT (loyalty.post(…)).*` posts once for each column: PostgreSQL makes so many calls of it.

END
}

my $mode = $ARGV[0] // '';
if ($mode eq '')
{
	print page();
}
elsif ($mode eq '--check')
{
	my $file = File::Temp->new;
	binmode $file, ':encoding(UTF-8)';
	print {$file} page();
	$file->flush;
	exit system('diff', $page, "$file") >> 8;
}
elsif ($mode eq '--write')
{
	my $text = page();
	open my $out, '>:encoding(UTF-8)', $page or die "$page: $!\n";
	print {$out} $text;
	close $out or die "$page: $!\n";
}
else
{
	die "usage: sql_reference.pl [--check | --write]\n";
}

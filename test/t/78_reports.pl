# The statements that tools for reports write, as the role of one, by the ways that
# they have: libpq, ODBC and JDBC.  Each is answered, and by all of them alike.
use strict;
use warnings;
use utf8;

use File::Temp ();
use FindBin;
use lib $FindBin::Bin;
use IPC::Run ();
use Loyalty;
use Test::More;

my $stack = Loyalty->start(level => 'database');
my $folder = File::Temp->newdir(DIR => '/tmp');
chmod 0755, "$folder";
my $file = "$FindBin::Bin/../reports/statements.sql";
my (@names, @statements);
open my $in, '<:encoding(UTF-8)', $file or die "$file: $!\n";
while (my $line = <$in>)
{
	push @names, $1 if $line =~ /^-- (\w[\w ]*: .*)$/;
	push @statements, $line =~ s/\n//r if $line =~ /^select /i;
}
cmp_ok scalar @statements, '>=', 14, 'tools ask this and that';
is scalar @names, scalar @statements, 'each statement has its name, and is a line';

# The page has all of them.
for my $page (map { "$FindBin::Bin/../../docs/$_" } 'reports.md', 'es/reports.md')
{
	open my $text, '<:encoding(UTF-8)', $page or die "$page: $!\n";
	my $told = do { local $/; <$text> };
	is_deeply [grep { $told !~ /^\| `$_` \|/m } split /\n/, $stack->psql(q{SELECT relname FROM pg_class WHERE relnamespace = 'loyalty_report'::regnamespace AND relkind = 'v'})], [], "$page tells what each view is" =~ s/\S*docs/docs/r;
}

# Rows of all kinds, of a merchant that the role sees, and of another.
{
	my ($out, $err) = ('', '');
	$stack->with_env(sub { IPC::Run::run(['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$FindBin::Bin/../fill.sql"], '>', \$out, '2>', \$err) }) or die $err;
}
my $merchant = $stack->psql(q{SELECT merchant_id FROM loyalty.merchants WHERE name LIKE 'Café%'});
$stack->psql(qq{SELECT loyalty.create_customer($merchant, loyalty.find_program($merchant, 'club'), 'ZAQX870411MGTRXC04', 'Zoe', 'A'), loyalty.create_product($merchant, 'Vida', 100, 5, max_payments => 3);
	SELECT loyalty.open_policy($merchant, 'ZAQX870411MGTRXC04', 'Vida', 3)});
$stack->psql(qq{CREATE ROLE tool LOGIN PASSWORD 'for the tool'; SELECT loyalty.grant_reporting('tool', $merchant)});
my %as_tool = (user => 'tool', password => 'for the tool');

# Ways differ in how they write numbers, moments and booleans.
sub plain
{
	return join "\n", map { join '|', map { s/^(-?\d+)\.(\d*?)0*$/length $2 ? "$1.$2" : $1/er =~ s/^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d).*$/$1 $2/r =~ s/^(\d+)[.]\d{6,}$/$1/r } split /[|\t]/, $_, -1 } grep { length } @_;
}

my @expected = map { plain(split /\n/, $stack->psql("SET TimeZone = 'UTC'; $_;", %as_tool)) } @statements;
ok length $expected[$_], "libpq: $names[$_]" for 0 .. $#names;
is $stack->psql('SELECT count(DISTINCT merchant_key) FROM loyalty_report.fact_entry', %as_tool), 1, 'of one merchant';

sub same
{
	my ($way, @answers) = @_;
	is $answers[$_] // 'nothing', $expected[$_], "$way: $names[$_]" for 0 .. $#names;
	return;
}

{
	my ($driver) = grep { -e } glob '/usr/lib*/*/odbc/psqlodbcw.so /usr/lib*/psqlodbcw.so';
	die "there is no ODBC driver of PostgreSQL\n" unless $driver;
	open my $ini, '>', "$folder/odbc.ini" or die $!;
	print $ini "[loyalty]\nDriver=$driver\nServername=127.0.0.1\nPort=" . $stack->port . "\nDatabase=" . $stack->env('PGDATABASE') . "\nBoolsAsChar=0\nConnSettings=SET TimeZone TO 'UTC'\n";
	close $ini or die $!;
	local $ENV{ODBCINI} = "$folder/odbc.ini";
	my $script = join '', map { "$_\nSELECT 'end of it' AS this\n" } @statements;
	my ($out, $err) = ('', '');
	IPC::Run::run(['isql', 'loyalty', 'tool', 'for the tool', '-b', '-d|', '-lC.UTF-8'], '<', \$script, '>', \$out, '2>', \$err);
	utf8::decode($out);
	same('ODBC', map { plain(split /\n/) } split /^end of it\s*\n/m, $out);
	diag $err if $err;
}

{
	my ($jar) = grep { -e } map { "/usr/share/java/$_" } 'postgresql.jar', 'postgresql-jdbc/postgresql.jar';
	die "there is no JDBC driver of PostgreSQL\n" unless $jar;
	my ($out, $err) = ('', '');
	IPC::Run::run(['java', '-Duser.timezone=UTC', '-Dfile.encoding=UTF-8', '-Dstdout.encoding=UTF-8', '-cp', $jar, "$FindBin::Bin/../reports/Reports.java",
		'jdbc:postgresql://127.0.0.1:' . $stack->port . '/' . $stack->env('PGDATABASE'), 'tool', 'for the tool', $file], '>', \$out, '2>', \$err)
		or diag $err;
	utf8::decode($out);
	my ($columns, @answers) = split /^statement\n/m, $out;
	my @columns = map { [split /\t/] } split /\n/, $columns // '';
	is scalar @columns, $stack->psql(q{SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'loyalty_report'::regnamespace AND a.attnum > 0}), 'JDBC: all columns are there';
	is_deeply [sort keys %{{map { ($_->[2] => 1) } @columns}}], [qw(bool date numeric text timestamptz)], 'of five types';
	is_deeply [grep { $_->[3] ne 'comment' } @columns], [], 'with comments';
	my $last = pop @answers;
	same('JDBC', map { plain(map { s/^row\t//r } split /\n/) } @answers);
	is plain(map { s/^row\t//r } split /\n/, $last // ''), plain($stack->psql(q{SELECT count(*), sum(points) FROM loyalty_report.fact_entry WHERE kind = 'accrue' AND points > 10.5}, %as_tool)), 'JDBC: with parameters';
}

done_testing;

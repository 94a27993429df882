# Filled.pm - databases that have something in every table, and what they have.
#
#     use Filled;
#
#     my @made = split /\|/, fill($stack);     # by test/fill.sql
#     is_deeply contents($stack, dbname => 'other'), contents($stack);
#     is_deeply facts($stack, dbname => 'other'), facts($stack);
#
# Options are those of Loyalty->psql.
package Filled;

use strict;
use warnings;

use Exporter qw(import);
use FindBin;
use IPC::Run ();

our @EXPORT = qw(answers contents differences facts fill releases run_program tables);

sub slurp
{
	open my $in, '<:encoding(UTF-8)', $_[0] or die "$_[0]: $!\n";
	local $/;
	return scalar <$in>;
}

# Something in every table; file => what was frozen with a release.  What the script prints.
sub fill
{
	my ($stack, %option) = @_;
	my $file = delete $option{file} // 'fill.sql';
	return $stack->psql(slurp("$FindBin::Bin/../$file"), %option);
}

# [version, what fills a database of it] of what was released, the oldest first.
sub releases
{
	return map { /^[0-9a-f]{64}  loyalty--((?:(?!--).)+)\.sql$/ ? [$1 => "fill/$1.sql"] : () } split /\n/, slurp("$FindBin::Bin/../../sql/released.sha256");
}

# The tables that dumps have the rows of.
sub tables
{
	my ($stack, %where) = @_;
	return split /\n/, $stack->psql(q{SELECT t::regclass FROM pg_extension e, unnest(e.extconfig) t WHERE e.extname = 'loyalty' ORDER BY t::regclass::text}, %where);
}

# Number and digest of the rows of each table, by its name.  A program is another
# revision once its rules and limits have been restored, too, and verify() may have
# been called since.
sub contents
{
	my ($stack, %where) = @_;
	my %row = ('loyalty_internal.program' => q{(to_jsonb(t) - 'revision')}, 'loyalty_internal.verification' => q{(to_jsonb(t) - '{verified_at,clean_at,as_of}'::text[])});
	my $sql = join ' UNION ALL ', map {
		"SELECT '$_', count(*) || ' rows, ' || coalesce(md5(string_agg(x, E'\\n' ORDER BY x)), '') FROM (SELECT @{[$row{$_} // 't']}::text FROM $_ t) y (x)"
	} tables($stack, %where);
	return {map { split /\|/ } split /\n/, $stack->psql($sql, %where)};
}

# What others see: the views, which compute.
sub answers
{
	my ($stack, %where) = @_;
	return $stack->psql(q{
		SELECT md5(string_agg(x::text, ';' ORDER BY x::text)) FROM loyalty.members x;
		SELECT md5(string_agg(x::text, ';' ORDER BY x::text)) FROM loyalty.entries x;
		SELECT md5(string_agg(x::text, ';' ORDER BY x::text)) FROM loyalty.balances x;
		SELECT md5(string_agg(x::text, ';' ORDER BY x::text)) FROM loyalty_internal.account a, loyalty.lots_of(a.merchant_id, a.account_id) x;
		SELECT string_agg(x::text, ';' ORDER BY x::text) FROM loyalty.limits x;
		SELECT string_agg(x::text, ';' ORDER BY x::text) FROM loyalty.allowances x;
		SELECT md5(string_agg(x::text, ';' ORDER BY x::text)) FROM loyalty.area_codes x;
		SELECT md5(string_agg(x::text, ';' ORDER BY x::text)) FROM loyalty.wallets x;
		SELECT string_agg(x::text, ';' ORDER BY x::text) FROM loyalty.quotas x}, %where);
}

# The catalog, as lines of test/catalog.sql.
sub facts
{
	my ($stack, %where) = @_;
	my @facts = split /\n/, $stack->psql(slurp("$FindBin::Bin/../catalog.sql"), %where);
	@facts > 1000 or die "the extension is not there\n";
	return \@facts;
}

# What only one of two lists of facts has.
sub differences
{
	my ($one, $other) = @_;
	my %count;
	$count{$_}++ for @$one;
	$count{$_}-- for @$other;
	return map { ($count{$_} > 0 ? '< ' : '> ') . $_ } sort grep { $count{$_} } keys %count;
}

# Run a program of the server's; what it says on the standard error.
sub run_program
{
	my ($stack, $where, @command) = @_;
	my $err = '';
	my $fine = $stack->with_env(sub { IPC::Run::run(\@command, '<', '/dev/null', '>', '/dev/null', '2>', \$err) }, %$where);
	return $fine ? $err : "failed: $err";
}

1;

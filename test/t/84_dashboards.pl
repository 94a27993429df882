# The dashboard for Grafana and the questions for Metabase, in examples/: each of
# their statements, with macros and variables put in as the tool does it, is answered
# to a role of grant_reporting(), with rows, of its merchant alone.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run ();
use JSON::PP ();
use Loyalty;
use Test::More;

my $examples = "$FindBin::Bin/../../examples";
my $stack = Loyalty->start(level => 'database');

# Something of everything, of a merchant that the role sees, and of another; for whoever looks, all is suspicious.
{
	my ($out, $err) = ('', '');
	$stack->with_env(sub { IPC::Run::run(['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$FindBin::Bin/../fill.sql"], '>', \$out, '2>', \$err) }) or die $err;
}
my ($m, $wallet) = split /\|/, $stack->psql(q{SELECT merchant_id, wallet_key FROM loyalty.wallets WHERE name = 'Monedero' AND merchant_id = (SELECT merchant_id FROM loyalty.merchants WHERE name LIKE 'Café%')});
my $key = $stack->psql("SELECT api_key FROM loyalty.create_api_key($m, 'tablero')");
$stack->psql(qq{SELECT loyalty_api.wallet_sale('$wallet', '4771234520', '0', '10', NULL, '1') FROM set_config('request.headers', '{"apikey": "$key"}', false), generate_series(1, 2)}) for 1 .. 2;
$stack->psql(qq{SELECT loyalty.post($m, member_id, 'adjust', 1, staff_id => 1) FROM loyalty.members WHERE merchant_id = $m AND client_id = 'F1'});
$stack->psql(qq{SELECT loyalty.set_fraud_threshold($m, threshold, value) FROM (VALUES ('same_member_sales', 1), ('correction_entries', 1), ('correction_factor', 0), ('opening_hour', 24), ('closing_hour', 0), ('burst_calls', 2), ('burst_seconds', 1000)) v (threshold, value)});
$stack->psql(qq{CREATE ROLE tool LOGIN PASSWORD 'for the tool'; SELECT loyalty.grant_reporting('tool', $m)});
my @as_tool = (user => 'tool', password => 'for the tool');
sub rows { return split /\n/, $stack->psql($_[0], @as_tool) }

sub slurp { open my $in, '<:encoding(UTF-8)', $_[0] or die "$_[0]: $!\n"; local $/; return scalar <$in> }

# --- Grafana ---------------------------------------------------------------------------

my $dashboard = JSON::PP->new->decode(slurp("$examples/grafana/loyalty.json"));
my ($from, $to) = rows(q{SELECT to_char(unnest(ARRAY[now() - interval '30 days', now() + interval '1 day']) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')});
my %value;

# As its macros.go does, and its templates before; what it does not know is left, and is an error.
sub grafana
{
	my ($sql) = @_;
	$sql =~ s/\$\{(\w+):sqlstring\}/join ',', map { "'" . s{'}{''}gr . "'" } @{$value{$1} or die "no variable $1\n"}/ge;
	$sql =~ s/\$__interval\b/1h/g;
	$sql =~ s/\$__timeFilter\(([^)]*)\)/$1 BETWEEN '$from' AND '$to'/g;
	$sql =~ s/\$__timeFrom\(\)/'$from'/g;
	$sql =~ s/\$__timeTo\(\)/'$to'/g;
	$sql =~ s/\$__timeGroupAlias\(([^,)]*),\s*1h\)/floor(extract(epoch from $1)\/3600)*3600 AS "time"/g;
	return $sql;
}

is $dashboard->{templating}{list}[0]{type}, 'datasource', 'Grafana: the data source is asked for';
for my $variable (grep { $_->{type} eq 'query' } @{$dashboard->{templating}{list}})
{
	$value{$variable->{name}} = [map { (split /\|/)[-1] } rows(grafana($variable->{query}))];
	cmp_ok scalar @{$value{$variable->{name}}}, '>', 0, "Grafana, variable $variable->{name}: has values";
}
is_deeply $value{merchant}, [$m], 'of the merchant alone';
my %seen;
for my $panel (@{$dashboard->{panels}})
{
	my $name = "Grafana, $panel->{title}";
	ok !$seen{$panel->{id}}++ && $panel->{gridPos}{x} + $panel->{gridPos}{w} <= 24, "$name: has its place";
	for my $target (@{$panel->{targets}})
	{
		is $target->{datasource}{uid}, '${datasource}', "$name: of the data source that was chosen";
		my @rows = rows(grafana($target->{rawSql}));
		ok scalar @rows && $rows[0] =~ /[^|]/, "$name: has rows";
		# a time series begins with numbers or moments of a column that is called so
		like grafana($target->{rawSql}), qr/AS "time"/, "$name: has times" if $target->{format} eq 'time_series';
	}
}
cmp_ok scalar keys %seen, '>=', 8, 'Grafana: panels';

# --- Metabase --------------------------------------------------------------------------

# A clause in double brackets goes with its variable, and without one is left out.
my %given = (from => q{date '2020-01-01'}, until => q{date '2099-12-31'}, days => '365', program => q{'Club'}, branch => q{'Centro'}, direction => q{'up'}, look => q{'refunded at once'});
sub metabase
{
	my ($sql, %is) = @_;
	$sql =~ s/\[\[(.*?)\]\]/my $clause = $1; (grep { !exists $is{$_} } $clause =~ m{\{\{(\w+)\}\}}g) ? '' : $clause/ge;
	$sql =~ s/\{\{(\w+)\}\}/$is{$1} \/\/ die "no variable $1\n"/ge;
	return $sql;
}

my @questions = glob "$examples/metabase/*.sql";
cmp_ok scalar @questions, '>=', 10, 'Metabase: questions';
for my $file (@questions)
{
	my ($name) = $file =~ m{([^/]+)\.sql$};
	my $sql = slurp($file);
	my ($title, $about, $variables, $statement) = $sql =~ /\A-- (\S.*)\n-- (\S.*\.)\n((?:-- \w+: .*\n)*)\n([^;]+)\z/ or fail "Metabase, $name: begins with what it is";
	my %told = $variables =~ /^-- (\w+): (.*)$/mg;
	my %optional = map { $_ => 1 } map { /\{\{(\w+)\}\}/g } $statement =~ /\[\[(.*?)\]\]/g;
	is_deeply [sort keys %told], [sort keys %{{map { $_ => 1 } $statement =~ /\{\{(\w+)\}\}/g}}], "Metabase, $title: tells its variables";
	is_deeply [sort grep { $told{$_} !~ /, required$/ } keys %told], [sort keys %optional], "Metabase, $title: and which can be left out";
	my %all = map { $_ => $given{$_} } keys %told;
	cmp_ok scalar(rows(metabase($statement, %all))), '>', 0, "Metabase, $title: has rows";
	delete @all{keys %optional};
	cmp_ok scalar(rows(metabase($statement, %all))), '>', 0, "Metabase, $title: and where what can be left out is";
}

# What pages say that there is.
for my $tool (qw(grafana metabase))
{
	for my $page ("$examples/$tool/README.md", "$examples/$tool/README.es.md")
	{
		my $text = slurp($page);
		is_deeply [grep { index($text, "`$_`") < 0 } map { m{([^/]+)$} } glob "$examples/$tool/*.{json,sql}"], [], $page =~ s{.*/examples}{examples}r . ': has each file';
	}
}

done_testing;

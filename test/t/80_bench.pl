# The benchmarks run: each once, with little in the tables and for a moment.
# What they measure then means nothing.  They print the rows of docs/performance.md,
# each with its figures; what fails prints none; and nothing is left behind.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use File::Basename qw(basename);
use IPC::Run ();
use Loyalty;
use Test::More;
use Time::HiRes ();

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $bench = "$FindBin::Bin/../bench";
my $stack = Loyalty->start(rate => '1000000r/s');
my $left = $stack->work_dir . '/left';
mkdir $left or die "$left: $!\n";
%ENV = (%ENV, %{$stack->{env}}, SMOKE => 1, LOYALTY_TMP => $left);
delete $ENV{HOME};

# The rows of docs/performance.md by program.
my %rows;
{
	open my $page, '<:encoding(UTF-8)', "$FindBin::Bin/../../docs/performance.md" or die "docs/performance.md: $!\n";
	my ($table) = join('', <$page>) =~ /^(\| program .*?)\n\n/ms or die "docs/performance.md has no figures\n";
	push @{$rows{$1}}, $2 while $table =~ /^\| (?!program |---)(\S+) \| (.*?) \|/mg;
}

# Status, output and errors of a command.
sub run
{
	my @command = @_;
	IPC::Run::run(\@command, '<', '/dev/null', '>', \my $out, '2>', \my $err);
	my $status = $?;
	utf8::decode($_) for $out, $err;
	return ($status, $out, $err);
}

# Databases, rows and files of benchmarks.
sub left_behind
{
	my $found = $stack->psql(q{
		SELECT datname FROM pg_database WHERE datname LIKE 'bench%'
		UNION ALL SELECT name FROM loyalty_internal.merchant WHERE name LIKE 'bench%'
		UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'floor'
		UNION ALL SELECT proname FROM pg_proc WHERE proname = 'floor_sale'});
	return join ' ', $found || (), map { basename $_ } glob "$left/*";
}

my $before = $stack->psql('SELECT count(*) FROM loyalty.entry');
my @programs = map { basename $_, '.sh' } glob "$bench/*.sh";
is_deeply [sort keys %rows], \@programs, 'docs/performance.md has figures of each program';

for my $program (@programs)
{
	subtest $program => sub {
		my ($status, $out, $err) = run("$bench/$program.sh");
		is $status, 0, 'ends well' or diag $err;
		is $err, '', 'says nothing else';
		my @printed = map { [split / *\| */] } grep { /^\| / && !/^\| (?:program|---) / } split /\n/, $out;
		is_deeply [map { $_->[2] } @printed], $rows{$program}, 'prints its rows';
		for my $row (@printed)
		{
			my ($what, $ratio, $range, $rounds, $goal, $figures) = @$row[2 .. 7];
			my $measured = $figures =~ m{^([0-9.]+)(?: / ([0-9.]+))? bytes$} && $1 > 0 && ($2 // 1) > 0 && $ratio eq '–'
				|| $figures =~ m{^([0-9]+) / ([0-9]+) instructions$} && $1 > 0 && $2 > 0 && $ratio =~ /^[0-9]+\.[0-9]+$/ && $range eq '–'
				|| $figures =~ m{^([0-9]+) / ([0-9]+) (?:\S+/s|µs)$} && $1 > 0 && $2 > 0 && $ratio =~ /^[0-9]+\.[0-9]+$/ && $range =~ /^[0-9.]+ to [0-9.]+$/;
			ok $measured, "$what: $ratio ($figures)";
		}
		is left_behind(), '', 'leaves nothing behind';
	};
}
is $stack->psql('SELECT count(*) FROM loyalty.entry'), $before, 'there are as many entries as before';

# Commands of a benchmark that does not exist.
sub bench_script { return run('bash', '-c', ". $bench/bench.bash; $_[0]", "$bench/broken.sh") }

my @orders = ('good bad', 'bad good');
for (
	['pgbench fails', q{echo 'SELECT 1 / 0;' >$work/script; bad() { pgbench_tps $work/script; }}, qr/division by zero/],
	['some of pgbench\'s clients fail', q{echo 'SELECT 1 / (:client_id - 1);' >$work/script; bad() { pgbench_tps $work/script -c 2; }}, qr/division by zero/],
	['a statement fails', q{bad() { posts_per_second 1 'SELECT 1 / 0'; }}, qr/division by zero/],
	['a batch posts less than it should', q{bad() { posts_per_second 2 'SELECT 1'; }}, qr/posted 1 of 2/],
	['an answer is not a 200', q{post_request /nowhere text/plain x >$work/requests; bad() { requests_per_second $LOYALTY_URL $work/requests; }}, qr/not a 200/],
	['nobody answers', q{post_request / text/plain x >$work/requests; bad() { requests_per_second http://127.0.0.1:1 $work/requests; }}, qr/no connection/],
	['a figure is missing', 'bad() { :; }', qr/"bad" printed ""/],
	['a figure is 0', 'bad() { echo 0; }', qr/"bad" printed "0"/],
	)
{
	my ($what, $definition, $message) = @$_;
	my ($status, $out, $err) = bench_script("good() { echo 1; }; $definition; compare name goal unit $orders[0]");
	ok $status != 0 && $out eq '', "$what: no row ($orders[0])" or diag $out;
	like $err, $message, "$what: it says so";
	@orders = reverse @orders;
}

{
	my ($status, $out, $err) = bench_script(q{make_database floor; make_accounts 1; make_floor 1
		sql -c "SELECT 1 FROM loyalty.post(1, 1, 'deposit', 1, staff_id => 7)" -c "$(floor_post 1 10000)" >$work/posted; check_floor});
	ok $status != 0, 'a floor that writes less is found out';
	like $err, qr/table entry: loyalty writes .* staff_id/, 'and what it does not write';
}

# Interrupted in the middle, as from a terminal: all processes of the group.
# Whoever runs us in the background may have them ignore that.
$SIG{INT} = 'DEFAULT';
for my $signal ('INT', 'TERM')
{
	my $harness = IPC::Run::start(['setsid', 'bash', '-c', "echo \$\$; . $bench/bench.bash; make_merchant broken 10; make_floor 1; make_database broken; echo measuring; sleep 60", "$bench/broken.sh"],
		'<', \undef, '>', \my $out, '2>', \my $err, IPC::Run::timeout(60));
	$harness->pump until $out =~ /measuring/;
	my ($group) = $out =~ /^(\d+)$/m;
	isnt left_behind(), '', "$signal: in the middle";
	kill $signal => -$group;
	$harness->finish;
	is left_behind(), '', "$signal: leaves nothing behind";
	is kill(0 => -$group), 0, "$signal: no process either";
}

done_testing;

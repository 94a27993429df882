# The scripts that start and stop private servers, and run the tests: what they
# do when somebody tidied up behind them, and what they say when asked for what
# cannot be.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IPC::Run ();
use Test::More;

my $scripts = abs_path(dirname(__FILE__) . '/..');
my $tmp = tempdir('own.XXXXXX', DIR => $ENV{LOYALTY_TMP} // '/tmp', CLEANUP => 1);

# Run one of them: whether it ended well, and all that it said.
sub script
{
	my ($env, $name, @arguments) = @_;
	local %ENV = (%ENV, %$env);
	my $said = '';
	my $fine = IPC::Run::run(['bash', "$scripts/$name", @arguments], '<', '/dev/null', '>', \$said, '2>&1');
	return ($fine ? 1 : 0, $said);
}

sub settings
{
	my $run = shift;
	open my $in, '<', "$run/env" or die "$run/env: $!\n";
	return map { /^(\w+)='(.*)'$/ ? ($1 => $2) : () } <$in>;
}

sub start
{
	my ($run, %env) = @_;
	my ($fine, $said) = script(\%env, 'stack.sh', 'up', $run, 'cluster');
	ok $fine, 'a server starts' or BAIL_OUT($said);
	my %env_of = settings($run);
	open my $in, '<', "$env_of{LOYALTY_PGDATA}/postmaster.pid" or die "no pid: $!\n";
	chomp(my $pid = <$in>);
	return ($pid, dirname($env_of{LOYALTY_PGDATA}), $env_of{PGPORT});
}

# One that nobody has buried yet does not run.
sub is_running
{
	my $process = shift;
	open my $in, '<', "/proc/$process/cmdline" or return 0;
	return defined readline $in ? 1 : 0;
}

# --- down ------------------------------------------------------------------------

my ($pid, $folder, $port) = start("$tmp/first");
unlink glob "$folder/*.pid $folder/data/*.pid";
unlink "$tmp/first/folder", "$tmp/first/env";
is +(script({}, 'stack.sh', 'down', "$tmp/first"))[0], 1, 'without pid files, and with nothing written down, it is stopped';
is is_running($pid), 0, 'no server is left';
ok !-e $folder, 'nor its folder';

($pid, $folder) = start("$tmp/first");
remove_tree($folder);
is +(script({}, 'stack.sh', 'down', "$tmp/first"))[0], 1, 'one whose folder was taken away';
is is_running($pid), 0, 'is stopped too';
is +(script({}, 'stack.sh', 'down', "$tmp/first"))[0], 1, 'what does not run is stopped';

# --- ports -----------------------------------------------------------------------

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1) or die "$@\n";
my ($fine, $said) = script({LOYALTY_POSTGRES_PORT => $taken->sockport}, 'stack.sh', 'up', "$tmp/second", 'cluster');
is $fine, 0, 'a port that is taken is refused';
like $said, qr/^loyalty: LOYALTY_POSTGRES_PORT, \d+, is taken$/m, 'and named';
is_deeply [glob "$tmp/second/*"], [], 'nothing is left of it';
($fine, $said) = script({LOYALTY_POSTGRES_PORT => 80}, 'stack.sh', 'up', "$tmp/second", 'cluster');
like $said, qr/^loyalty: LOYALTY_POSTGRES_PORT, 80, is below 1024, where user \w+ may not listen\n\z/m, 'so is one that only root may have';
($fine, $said) = script({LOYALTY_POSTGRES_PORT => '80 90'}, 'stack.sh', 'up', "$tmp/second", 'cluster');
like $said, qr/^loyalty: LOYALTY_POSTGRES_PORT, 80 90, is no port$/m, 'what is no port is refused';
my $wanted = $taken->sockport;
close $taken;
($pid, $folder, $port) = start("$tmp/second", LOYALTY_POSTGRES_PORT => $wanted);
is $port, $wanted, 'on the port that was asked for';
script({}, 'stack.sh', 'down', "$tmp/second");

# --- folders ---------------------------------------------------------------------

my $long = "$tmp/" . 'x' x 40;
mkdir $long;
for (['tmp', 'is not named from /'], ["$tmp/none", 'is no folder; make it first'], [$long, 'has a name of more than 40 bytes, too long for sockets in it'],
	['/proc', 'cannot be written to'], ["$tmp/*", 'has a name with quotes, stars, brackets or dollars'])
{
	my ($dir, $why) = @$_;
	($fine, $said) = script({LOYALTY_TMP => $dir}, 'stack.sh', 'up', "$tmp/third", 'cluster');
	is $fine, 0, "no server starts in one that $why";
	like $said, qr/^loyalty: LOYALTY_TMP, \Q$dir\E, \Q$why\E$/m, 'which is said';
}

# --- the tests -------------------------------------------------------------------

sub run_tests
{
	my %env = @_;
	my $dir = tempdir('own.XXXXXX', DIR => $ENV{LOYALTY_TMP} // '/tmp', CLEANUP => 1);
	return script({T => 'tap', LOYALTY_TMP => $dir, %env}, 'check.sh', 'run');
}

($fine, $said) = run_tests(F => 'nosuch');
is $fine, 0, 'a name that no test has is a failure';
like $said, qr/^=== none nosuch: 0 passed, 1 failed.*^there is no test or suite of this name\n.*^0 passed, 1 failed\n\z/ms, 'which is named and counted';
($fine, $said) = run_tests(T => 'tidy nosuch', F => 'tidy', JOBS => 'abc');
like $said, qr/^loyalty: JOBS, abc, is no number of tests\n\n0 passed, 1 failed\n\z/m, 'so is a setting that is no number';
($fine, $said) = run_tests(LIMIT => '1.5');
like $said, qr/^loyalty: LIMIT, 1\.5, is no number of minutes\n\n0 passed, 1 failed\n\z/m, 'of minutes too';
($fine, $said) = run_tests(F => '05_install 44_expiry 45_model', JOBS => 1, LIMIT => 0);
is $fine, 0, 'tests that take longer than the limit are a failure';
like $said, qr/^the limit of 0 minutes is over/m, 'the limit is named';
like $said, qr/^=== tap 45_model: STOPPED after \d+ s$/m, 'so is what was stopped';
like $said, qr/^=== tap $_: NOT RUN$/m, 'and what did not run' for qw(05_install 44_expiry);
like $said, qr/^0 passed, 3 failed\n\z/m, 'the count stands at the end';

done_testing;

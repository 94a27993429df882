# What is installed where it is missing: the demo asks for nothing that only tests
# use, and what the tools of reports are made of is asked for where these are tested.
use strict;
use warnings;

use File::Temp ();
use FindBin;
use IPC::Run ();
use Test::More;

# This machine's programs, but for some of both kinds, and those that would install them.
my $folder = File::Temp->newdir(DIR => '/tmp');
my %without = map { $_ => 1 } qw(apt-get sudo make isql javac openssl chromium chromium-headless-shell);
for (glob '/usr/local/bin/* /usr/bin/* /bin/*')
{
	my ($name) = m{([^/]+)$};
	symlink $_, "$folder/$name" unless $without{$name} || -l "$folder/$name";
}

sub packages
{
	my ($suites, @arguments) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (PATH => "$folder", HOME => '/nonexistent', POSTGREST => $ENV{LOYALTY_POSTGREST}, defined $suites ? (T => $suites) : ());
	IPC::Run::run(['bash', "$FindBin::Bin/../deps.sh", @arguments], '<', \'', '>', \$out, '2>', \$err);
	return join ' ', sort $err =~ /^    .* \(([\w.-]+)\)$/mg;
}

is packages(undef), 'make', 'the demo wants what builds and runs it';
is packages('regress', 'tests'), 'make openssl', 'tests more than that';
is packages('tap pgtap', 'tests'), 'chromium-headless-shell default-jdk-headless make openssl unixodbc', 'and those of reports and pages, clients';
is packages(undef, 'tests'), 'chromium-headless-shell default-jdk-headless make openssl unixodbc', 'which are among all';
done_testing;

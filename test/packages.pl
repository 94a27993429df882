#!/usr/bin/perl
# packages.pl - in a bare Debian, without a network: docs/install.md is followed to the
# letter, and what it says is true.  Then what the pages of the APIs ask with curl
# is asked through TLS.  Then nothing is left.
#
# test/packages.sh makes that Debian, and test/systemctl starts its services.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/t";
use File::Basename qw(basename);
use IPC::Run ();
use Page;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output, *STDOUT, *STDERR;
$| = 1;
delete $ENV{POSTGREST};

my ($packages) = @ARGV;
my $root = $Page::root;
my $folder = '/var/tmp/packages';
my $services = '/run/services';
my @units = qw(loyalty-tills loyalty-batches loyalty-nginx);

# --- tools ------------------------------------------------------------------------

# What a command of the shell says, all of it, and how it ends.
sub sh
{
	my $command = shift;
	my $said = Page::run('', 'bash', '-c', "exec 2>&1\n$command");
	return wantarray ? ($said, $? >> 8) : $said;
}

sub psql { my ($sql, $database) = @_; return Page::run($sql, 'su', 'postgres', '-c', 'psql -XqAt -v ON_ERROR_STOP=1 ' . ($database // 'loyalty')) =~ s/\n\z//r }

# The process whose id is in a file, or that is the service.
sub pid_of { my $name = shift; return sh("cat $services/$name.pid") =~ s/\s//gr }
sub nice_of { my $pid = shift; return sh("ps -o ni= -p $pid") =~ s/\s//gr }

# Until the gateway answers, and the function does through both PostgRESTs.
sub wait_for_gateway
{
	my $ask = q(curl -sS -k -m 60 -o /dev/null -w '%{http_code} ' -d '');
	for (1 .. 300)
	{
		return 1 if sh("$ask https://127.0.0.1/wallet/get; for port in 3000 3001; do $ask -H 'Content-Type: application/octet-stream' http://127.0.0.1:\$port/rpc/gateway; done") eq '401 404 404 ';
		select undef, undef, undef, 0.1;
	}
	return 0;
}

sub logs { return map { "$_:\n" . sh("tail -n 20 $services/$_.log") } @units }

# --- the page ---------------------------------------------------------------------

system('perl', '-MSocket', '-e', q{socket(my $s, AF_INET, SOCK_DGRAM, 0) or die; my $r = pack 'Z16 s x14', 'lo', 0x49; ioctl($s, 0x8914, $r) or die "lo: $!"}) == 0
	or BAIL_OUT('there is no loopback');
mkdir $folder;
chdir $folder or die "$folder: $!\n";
sh("cp $packages/*.deb . && cp /usr/local/bin/postgrest .; rm /usr/local/bin/postgrest");

my ($version) = (glob 'postgresql-*-loyalty_*.deb')[0] =~ /postgresql-(\d+)/;
my $page = Page->new('docs/install.md');
my @blocks = grep { ($_->{skip} // '') =~ /^make check-packages runs it/ } @{$page->{blocks}};
cmp_ok scalar(@blocks), '>', 8, 'docs/install.md has commands';

# The commands that this pattern is in, and those before them that were not run yet.
sub follow
{
	my ($pattern, $name) = @_;
	my @now;
	push @now, shift @blocks while @blocks && !grep { $_->{text} =~ /$pattern/ } @now;
	my $wrong = join "\n", $page->run_sh(@now);
	is $wrong, '', $name or diag logs() or $wrong =~ /^E: /m and BAIL_OUT('and without them there is nothing to test');
	return;
}

follow(qr/apt-get install/, 'the packages are installed');
is sh("stat -c '%a %U:%G %n' /etc/loyalty/*.env /etc/loyalty/tls /var/log/loyalty"), <<'END', 'secrets are for root, and for who needs them';
640 root:root /etc/loyalty/batches.env
640 root:_loyalty /etc/loyalty/maintenance.env
640 root:root /etc/loyalty/postgrest.env
700 root:root /etc/loyalty/tls
750 root:www-data /var/log/loyalty
END
is sh('pgrep -a postgrest; pgrep -af /etc/loyalty'), '', 'nothing of it is started';
is sh("systemd-analyze verify @{[map { qq(\$(dpkg -L loyalty-gateway | grep /$_.service)) } @units]}"), '', 'systemd has nothing against the units';
is_deeply [sh('/usr/lib/loyalty-gateway/postgrest')],
	["loyalty-gateway: there is no PostgREST at /usr/bin/postgrest: put the program postgrest, version 12 or newer, there, or name another place with POSTGREST= in /etc/loyalty/postgrest.env\n", 78],
	'without PostgREST, the services say so';
is_deeply [sh(q(printf '#!/bin/sh\necho PostgREST 11.2.2\n' >old && chmod 755 old && POSTGREST=$PWD/old /usr/lib/loyalty-gateway/postgrest))],
	["loyalty-gateway: $folder/old is not PostgREST 12 or newer, but 11: put the program postgrest, version 12 or newer, there, or name another place with POSTGREST= in /etc/loyalty/postgrest.env\n", 78],
	'with an older one too';

# What Debian itself asks of the packages, without PostgREST and with it: what one says, and not its clusters.
sub autopkgtest
{
	my ($said, $status) = sh("$_[0] $root/debian/tests/$_[1]");
	return [$said =~ s/^(?:Creating|Dropping) .*\n//mgr, $status];
}
is_deeply autopkgtest('', 'extension'), ["PostgreSQL $version: sells, and is sound\n", 0], 'the extension passes its test';
is_deeply autopkgtest('', 'gateway'), ["/health answers 200\nloyalty-tills says that there is no PostgREST\nloyalty-batches says that there is no PostgREST\n/ready answers 503\n", 0], 'the gateway does';
is_deeply autopkgtest("POSTGREST=$folder/postgrest", 'gateway'), ["/health answers 200\n/ready answers 200\n", 0], 'with PostgREST it is ready';
is sh('pgrep -a postgrest; pgrep -af [/]etc/loyalty; pg_lsclusters -h | wc -l') . sh('ls -A /etc/loyalty/tls'), "1\n", 'and they leave nothing';

follow(qr/CREATE EXTENSION/, 'the database is made');
follow(qr/systemctl enable/, 'the gateway is configured, and started');
ok wait_for_gateway(), 'it answers' or diag logs();
follow(qr/post /, 'a till is answered through TLS');

is sh(q(curl -sS -m 5 http://127.0.0.1:443/ -o /dev/null -w '%{http_code}')), '400', 'without TLS nobody is';
my ($password) = sh('cat /etc/loyalty/postgrest.env') =~ /^PGRST_DB_URI=postgres:\/\/authenticator:(\w+)@/m;
is length($password // ''), 32, 'there is a password';
is sh("grep -rl $password /etc /var/log /var/lib/loyalty-gateway /run 2>/dev/null"), "/etc/loyalty/postgrest.env\n", 'it is in one file';
is sh("setpriv --reuid=www-data --regid=www-data --clear-groups cat /etc/loyalty/postgrest.env /etc/loyalty/tls/key.pem"),
	"cat: /etc/loyalty/postgrest.env: Permission denied\ncat: /etc/loyalty/tls/key.pem: Permission denied\n", 'which others do not read';
is sh('ps -o user= -p ' . pid_of('loyalty-tills')) =~ s/\s//gr, 'nobody', 'PostgREST is nobody';
is sh('ps -o user= --ppid ' . pid_of('loyalty-nginx') . ' | sort -u') =~ s/\s//gr, 'www-data', 'who answers in nginx is www-data';
my $base = getpriority(0, 0);
is nice_of(pid_of('loyalty-batches')) - nice_of(pid_of('loyalty-tills')), $base > 9 ? 19 - $base : 10, 'the PostgREST for batches is nice';
sh(q(. ./till.env; curl -sS -k https://127.0.0.1/wallet/contact/get -H "apikey: $apikey" -d "wallet_key=$wallet"));
my %nice = map { my ($client, $pid) = split /\|/; (nice_of($pid) => 1) }
	split /\n/, psql(q{SELECT application_name, pid FROM pg_stat_activity WHERE usename = 'authenticator' AND query NOT LIKE 'LISTEN%'});
is_deeply [sort { $a <=> $b } keys %nice], [$base < 10 ? ($base, 10) : $base], 'so are its sessions';

# --- jobs --------------------------------------------------------------------------

my @jobs = map { m{^(?:\S+ ){5}_loyalty (\S+ \w+)$} ? $1 : () } split /\n/, sh('cat /etc/cron.d/loyalty-gateway');
sub as_cron { return sh("setpriv --reuid=_loyalty --regid=_loyalty --init-groups env -i SHELL=/bin/sh PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c '$_[0]'") }
is @jobs, 4, 'there are jobs';
is_deeply [as_cron($_)], ['', 0], "$_ does nothing before it is configured" for @jobs;
is psql('SELECT count(*) FROM loyalty.roots'), 0, 'and does so';
follow(qr/maintenance\.env/, 'the jobs are configured');
is_deeply [as_cron($_)], ['', 0], "$_ says nothing" for @jobs;
is psql('SELECT count(*) FROM loyalty.roots'), 1, 'and does it';

is +(sh("apt-get install --no-install-recommends logrotate postgresql-$version-cron"))[1], 0, 'pg_cron is installed';
my $settings = "/etc/postgresql/$version/main/conf.d/pg_cron.conf";
sh("printf 'shared_preload_libraries = pg_cron\ncron.database_name = loyalty\n' >$settings; chmod 644 $settings; systemctl restart postgresql\@$version-main");
is psql('SET client_min_messages = warning; CREATE EXTENSION pg_cron'), '', 'pg_cron is there';
is psql(Page::run('', 'cat', '/usr/share/loyalty-gateway/pg_cron.sql') x 2), "1\n2\n1\n2", 'pg_cron takes the jobs, and takes them again';
is psql('SELECT schedule, jobname FROM cron.job ORDER BY jobid'), "* * * * *|loyalty minutely\n20 3 * * *|loyalty nightly", 'when cron does';
is psql("SELECT command FROM cron.job ORDER BY jobid \\gexec\n"), '', 'and they run';
ok wait_for_gateway(), 'the gateway finds its database again';

# --- operation ------------------------------------------------------------------------

my $asks = q(. ./till.env; curl -sS --cacert /etc/loyalty/tls/certificate.pem --resolve loyalty.example:443:127.0.0.1 https://loyalty.example/wallet/get -H "apikey: $apikey" -d "");
my $answer = sh($asks);
like $answer, qr/"wallets_get_01"/, 'a question';
sh('echo line >>/var/log/loyalty/error.log');
is_deeply [sh('logrotate -f /etc/logrotate.d/loyalty-gateway; ls /var/log/loyalty')], ["access.log\naccess.log.1\nerror.log\nerror.log.1\n", 0], 'the logs are rotated';
is sh('ls -l /proc/' . pid_of('loyalty-nginx') . '/fd /proc/$(pgrep -P ' . pid_of('loyalty-nginx') . q{ | head -n 1)/fd | grep -o '/var/log/[^ ]*' | sort -u}), "/var/log/loyalty/access.log\n/var/log/loyalty/error.log\n", 'and nginx writes the new ones';
is_deeply [sh('systemctl reload loyalty-nginx')], ['', 0], 'nginx reads its files again';
is sh($asks), $answer, 'and answers';

my $configuration = sh('cat /etc/loyalty/*.env');
my $pid = pid_of('loyalty-nginx');
is +(sh('apt-get install --no-install-recommends --reinstall ./loyalty-gateway_*.deb; dpkg-reconfigure loyalty-gateway'))[1], 0, 'the package is installed again';
isnt pid_of('loyalty-nginx'), $pid, 'which starts its services anew';
ok wait_for_gateway(), 'they run';
is sh('cat /etc/loyalty/*.env'), $configuration, 'with the configuration that was there';
is sh($asks), $answer, 'the answer is the same';
is +(sh('apt-get remove loyalty-gateway'))[1], 0, 'the package is removed';
is sh('pgrep -a postgrest; pgrep -af /etc/loyalty'), '', 'nothing of it runs';
is sh('cat /etc/loyalty/*.env'), $configuration, 'the configuration is kept';
is +(sh("apt-get install --no-install-recommends ./loyalty-gateway_*.deb; systemctl enable --now @units"))[1], 0, 'it is installed again';
ok wait_for_gateway(), 'and runs' or diag logs();
is sh($asks), $answer, 'and answers the same';

# --- the pages of the APIs ---------------------------------------------------------------

# On a database as make up makes it, which docs/install.md's gateway serves.
sub fresh_database
{
	sh("systemctl stop @units; rm -rf .run; mkdir .run");
	psql('DROP DATABASE loyalty WITH (FORCE)', 'postgres');
	psql(q{CREATE DATABASE loyalty ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0}, 'postgres');
	psql(q{SET client_min_messages = warning; CREATE EXTENSION loyalty; SELECT loyalty.grant_api('web_anon')});
	my $rows = psql(Page::run('', 'cat', "$root/test/demo.sql"));
	sh(qq(cat >.run/env <<'END'\nLOYALTY_URL='https://loyalty.example'\nPOSTGREST_URL='http://127.0.0.1:3000'\n$rows\nEND\nsystemctl start @units));
	return wait_for_gateway();
}

psql(q{ALTER ROLE postgres PASSWORD 'for the pages'}, 'postgres');
sh('grep -q loyalty.example /etc/hosts || echo "127.0.0.1 loyalty.example" >>/etc/hosts');
sh("systemctl disable --now cron; rm $settings; systemctl restart postgresql\@$version-main");
local @ENV{qw(CURL_CA_BUNDLE PGHOST PGUSER PGPASSWORD PGDATABASE)} = ('/etc/loyalty/tls/certificate.pem', '127.0.0.1', 'postgres', 'for the pages', 'loyalty');
for my $names (['docs/api-monedero.md'], ['docs/api-ikniu.md'], ['docs/api-kasu.md'], ['README.md', 'docs/getting-started.md'])
{
	my @pages = map { Page->new($_) } @$names;
	my @commands = map { $_->commands('sh') } @pages;
	ok fresh_database(), 'on a new database' or diag logs();
	cmp_ok scalar(@commands), '>', 0, "@$names: " . @commands . ' commands';
	is join("\n", map { $_->run_sh } @pages), '', 'print through TLS what is shown';
}

# --- the end ------------------------------------------------------------------------------

follow(qr/apt-get purge/, 'the package is purged');
is_deeply \@blocks, [], 'the page is at its end';
is sh('pgrep -a postgrest; pgrep -af "/etc/loyalty|loyalty-gateway"'), '', 'nothing of it runs';
is sh('getent passwd _loyalty; getent group _loyalty'), '', 'its user is gone';
is sh(qq{find / -xdev \\( -path /proc -o -path $packages -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/tmp -o -path /run/services -o -path /usr/share/locale \\) -prune -o \\( -name '*loyalty-*' -o -name 'loyalty' -o -name '_loyalty*' \\) -print | grep -v /postgresql}), '', 'so are its files';
is +(sh(q(apt-get purge 'postgresql-*-loyalty')))[1], 0, 'the extension is purged';
is sh(q(find /usr /etc -name '*loyalty*')), '', 'and leaves nothing';

done_testing;

# What packages bring beside the extension: the configuration of nginx, which is made
# of http/nginx.conf, and starts; who starts PostgREST; the jobs.  Then what CREATE
# EXTENSION says where a database is not UTF8, and that its remedy is one.
# (make check-packages builds the packages and installs them.)
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run ();
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $gateway = "$FindBin::Bin/../../debian/gateway";
my $stack = Loyalty->start(level => 'database', clock => 1);
my $folder = $stack->work_dir;

# All that a command says, and how it ends.
sub run
{
	my ($env, @command) = @_;
	my $said = '';
	local %ENV = (%ENV, %$env);
	IPC::Run::run(\@command, '<', '/dev/null', '>', \$said, '2>&1');
	utf8::decode($said);
	return ($said, $? >> 8);
}

sub spew { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!\n"; print $out $text; close $out or die "$file: $!\n"; return }

# --- nginx -------------------------------------------------------------------------------

my ($made) = run({}, "$gateway/nginx.pl", "$FindBin::Bin/../../http/nginx.conf");
my ($tls) = run({}, 'cat', "$gateway/tls.conf");
unlike $made, qr/listen 127|\berror_log error/, 'nginx listens and logs where the package says';
SKIP: {
	skip 'there is no openssl', 2 if !-x '/usr/bin/openssl';
	is_deeply [run({}, qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=loyalty.example -keyout), "$folder/key.pem", '-out', "$folder/certificate.pem")]->[1], 0, 'a certificate';
	s{/etc/loyalty/tls(?=/)|/etc/loyalty|/var/log/loyalty|/run}{$folder}g for $made, $tls;
	spew("$folder/nginx.conf", $made =~ s/^user .*\n//mr);
	spew("$folder/tls.conf", $tls =~ s{^listen 443 }{listen unix:$folder/tls }mr);
	my ($said, $status) = run({PATH => "$ENV{PATH}:/usr/sbin"}, 'nginx', '-t', '-q', '-p', "$folder/", '-c', "$folder/nginx.conf", '-e', "$folder/nginx.log");
	is "$said$status", '0', 'nginx takes the configuration';
}

# --- PostgREST ----------------------------------------------------------------------------

my $remedy = 'put the program postgrest, version 12 or newer, there, or name another place with POSTGREST= in /etc/loyalty/postgrest.env';
is_deeply [run({POSTGREST => "$folder/none"}, "$gateway/postgrest")], ["loyalty-gateway: there is no PostgREST at $folder/none: $remedy\n", 78], 'without PostgREST the services say so';
for (['11.2.2', ', but 11'], ['13', ''])
{
	my ($version, $but) = @$_;
	spew("$folder/old", "#!/bin/sh\necho PostgREST $version\n");
	chmod 0755, "$folder/old";
	is_deeply [run({POSTGREST => "$folder/old"}, "$gateway/postgrest")], ["loyalty-gateway: $folder/old is not PostgREST 12 or newer$but: $remedy\n", 78], "nor do they take what says it is $version";
}
spew("$folder/new", qq(#!/bin/sh\n[ "\$1" != --version ] || { echo PostgREST 12.0.2; exit; }\necho "\$@"\n));
chmod 0755, "$folder/new";
is_deeply [run({POSTGREST => "$folder/new"}, "$gateway/postgrest")], ["/etc/loyalty/postgrest.conf\n", 0], 'one that is new enough is run';

# --- jobs ---------------------------------------------------------------------------------

$stack->psql('CREATE ROLE jobs LOGIN; ' . q{SELECT loyalty.grant_operation('jobs'); ALTER ROLE jobs PASSWORD 'for the jobs'});
my $merchant = $stack->psql(q{SELECT loyalty.create_merchant('La Ñ') FROM generate_series(1, 2)}) =~ s/\n.*//sr;
my $program = $stack->psql(qq{SELECT program_id FROM loyalty.create_program($merchant, 'Monedero')});
$stack->psql(Loyalty::configure($merchant, $program, duration_unit => 'day', duration_value => 1));
my $account = $stack->psql(qq{SELECT loyalty.open_account($merchant, $program)});
$stack->psql(qq{SELECT loyalty.post($merchant, $account, 'accrue', 100)});
$stack->psql(qq{INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint) SELECT $merchant, sha256(i::text::bytea), sha256('') FROM generate_series(1, 25000) i});
$stack->advance_clock(40 * 86400);

# As the role of the jobs: what one says.
sub job { my $name = shift; return $stack->with_env(sub { join '', run({}, qw(psql -XqAt -o /dev/null -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -v SHOW_CONTEXT=never -f), "$gateway/$name.sql") }, user => 'jobs', password => 'for the jobs') }

is job($_), '0', "$_ says nothing" for qw(minutely nightly);
is $stack->psql("SELECT kind, amount FROM loyalty.entries WHERE merchant_id = $merchant AND account_id = $account ORDER BY entry_no DESC LIMIT 1"), 'expire|-100', 'what expired is booked';
is $stack->psql('SELECT count(*) FROM loyalty_internal.idempotency_key'), '0', 'old keys are gone, be they more than one call forgets';
is $stack->psql('SELECT count(*) FROM loyalty.roots'), '2', 'each merchant has a root';
$stack->psql("UPDATE loyalty_internal.account SET balance = balance OPERATOR(loyalty.+) 1 WHERE merchant_id = $merchant AND account_id = $account");
like job('nightly'), qr/\A\S+ WARNING:  01000: \{"invariant":.*"merchant_id":$merchant,"account_id":$account,.*^\S+ ERROR:  XX001: loyalty\.verify\(\) has found breaches: 1\n.*3\z/ms, 'what is broken is an error';

# --- a database that is not UTF8 -------------------------------------------------------------

# On a server that makes no other, unless told: its locale does not go with UTF8.
my $port = $stack->port;      # of a socket in a folder of its own
my $bin = $stack->bindir;
sub as_owner { my @command = (Loyalty::as_owner(), @_); return $stack->with_env(sub { run({}, @command) }) }
is +(as_owner("$bin/initdb", '-D', "$folder/latin", qw(-U postgres -A trust -E LATIN1 --locale=C -N)))[1], 0, 'a cluster of LATIN1';
is +(as_owner("$bin/pg_ctl", '-D', "$folder/latin", '-l', "$folder/latin.log", '-w', '-o', "-c listen_addresses='' -c unix_socket_directories='$folder/latin' -c fsync=off -p $port", 'start'))[1], 0, 'it starts';
my %there = (PGHOST => "$folder/latin", PGPORT => $port, PGUSER => 'postgres', PGCLIENTENCODING => 'UTF8');
sub ask
{
	my ($database, $sql) = @_;
	return $stack->with_env(sub { run({%there, PGDATABASE => $database}, qw(psql -XqAt -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -v SHOW_CONTEXT=never -c), $sql) });
}
ask('postgres', "CREATE DATABASE \"in $_\" ENCODING '$_' TEMPLATE template0") for qw(SQL_ASCII WIN1252 KOI8R);
my $statement;
for (['postgres', 'LATIN1'], map { ["in $_", $_] } qw(SQL_ASCII WIN1252 KOI8R))
{
	my ($database, $encoding) = @$_;
	my ($said) = ask($database, 'CREATE EXTENSION loyalty');
	$said =~ s/^LOCATION:.*\n//m;
	($statement) = $said =~ /^HINT: .*: (CREATE DATABASE .*)$/m;
	is $said =~ s/^HINT.*\n//mr, "ERROR:  0A000: the extension loyalty needs a database whose encoding is UTF8\nDETAIL:  The encoding of database \"$database\" is $encoding.\n", "in $encoding it is refused";
}
is $statement, q{CREATE DATABASE loyalty ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0}, 'with a remedy';
is_deeply [ask('postgres', $statement)], ['', 0], 'which works';
is_deeply [ask('loyalty', q{SET client_min_messages = warning; CREATE EXTENSION loyalty; SELECT region FROM loyalty.area_codes WHERE code = '477'})], ["León, GTO\n", 0], 'and in it the extension does';
is +(as_owner("$bin/pg_ctl", '-D', "$folder/latin", '-m', 'fast', '-w', 'stop'))[1], 0, 'it stops';
is +($stack->try_psql($statement =~ s/DATABASE loyalty/DATABASE remedy/r))[0], 1, 'it works on the server of the test too, whatever its locale is';

done_testing;

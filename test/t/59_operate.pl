# The recipes of docs/operate.md that take a server of their own, as the page has
# them, but for its places: roles and database restored into a server with roles of
# its own, back to an instant, a standby that takes over, a pooler, TLS.  Then the
# page's figures are those of docs/performance.md, and its SQLSTATEs those there are.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Run ();
use Loyalty;
use Page;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $page = Page->new('docs/operate.md');
$page->{shell} = [Loyalty::as_owner(), 'bash'];
my $stack = Loyalty->start(level => 'database', standby => 1);
my $folder = $stack->work_dir . '/operate';
mkdir $folder;
system('chown', '--reference=' . $stack->data_dir, $folder);
chdir $folder or die "$folder: $!\n";
END { chdir '/' }

# The block that this pattern is in, at other places, by the owner of the data.
sub recipe
{
	my ($server, $pattern, $name, %places) = @_;
	my ($block) = grep { $_->{text} =~ $pattern } @{$page->{blocks}} or return fail("$name: docs/operate.md has no $pattern");
	my $text = $block->{text};
	for my $place (sort { length $b <=> length $a } keys %places)
	{
		$text =~ s/\Q$place\E/$places{$place}/g or fail("$name: the page does not say $place");
	}
	return is join("\n", $server->with_env(sub { $page->run_sh({%$block, text => $text, first => undef}) })), '', $name;
}

sub free_port { return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport }

# --- something to lose -----------------------------------------------------------------

my ($merchant, $wallet, $member, $key) = split /\|/, $stack->psql(q{
	CREATE ROLE till LOGIN PASSWORD 'for the till';
	CREATE ROLE report LOGIN PASSWORD 'for reports';
	CREATE ROLE stranger LOGIN PASSWORD 'for others';
	ALTER ROLE report SET statement_timeout = '7min';
	GRANT pg_monitor TO report;
	ALTER ROLE authenticator PASSWORD 'for PostgREST';
	SELECT loyalty.grant_operation('till'), loyalty.grant_reporting('report') \g /dev/null
	SELECT loyalty.create_merchant('La Ñ') AS m \gset
	SELECT wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 10) \gset
	SELECT loyalty.employee_add(:m, 'cajero', 'José Núñez', 'Centro', '4771000002', 'clave de José') \g /dev/null
	SELECT loyalty.wallet_contact_add(:m, :'w', '4771234567', 'Sofía Hernández', 1) AS member \gset
	SELECT api_key FROM loyalty.create_api_key(:m) \gset
	SELECT concat_ws('|', :m, :'w', :member, :'api_key')});
sub sale { my ($money, $request) = @_; return "SELECT loyalty.wallet_sale($merchant, '$wallet', '4771234567', 0, $money, NULL, 1, 'T', " . ($request ? "'$request'" : 'NULL') . ')' }
my $balance = "SELECT balance FROM loyalty.members WHERE merchant_id = $merchant";
my $unsound = 'SELECT count(*) FROM loyalty.verify()';

# --- backup and restore ----------------------------------------------------------------

my $elsewhere = Loyalty->start(level => 'cluster');
$elsewhere->psql(q{CREATE ROLE web_anon NOLOGIN; ALTER ROLE web_anon SET lock_timeout = '1s'; CREATE ROLE report LOGIN PASSWORD 'of this server'});
my $kept = q{SELECT a.rolname, a.rolpassword, r.rolconfig, a.rolsuper FROM pg_authid a JOIN pg_roles r USING (oid) WHERE a.rolname IN ('postgres', 'report', 'web_anon') ORDER BY 1};
my $there = $elsewhere->psql($kept);
recipe($stack, qr/^pg_dumpall --roles-only/m, 'roles and database are saved');
recipe($elsewhere, qr/^pg_restore /m, 'and restored into a server that has some of the roles');
is $elsewhere->psql($kept), $there, 'roles that were there are as they were';
my $came = q{SELECT a.rolname, a.rolpassword, r.rolconfig FROM pg_authid a JOIN pg_roles r USING (oid) WHERE a.rolname IN ('authenticator', 'loyalty_auditor', 'loyalty_engine', 'loyalty_eraser', 'till') ORDER BY 1};
is $elsewhere->psql($came), $stack->psql($came), 'the others came, with password and settings';
is $elsewhere->psql(q{SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname = 'stranger'}), '', 'but those that have nothing to do with loyalty';
is $elsewhere->psql(q{SELECT string_agg(roleid::regrole || ' ' || member::regrole, ', ' ORDER BY 1) FROM (SELECT DISTINCT roleid, member FROM pg_auth_members WHERE member::regrole::text IN ('authenticator', 'report')) m}) =~ s/, /\n/r,
	"pg_monitor report\nweb_anon authenticator", 'memberships too';
is $elsewhere->psql("SELECT loyalty.authenticate('$key')", dbname => 'loyalty', user => 'till', password => 'for the till'), $merchant, 'a role of before may do there what it might';
ok $elsewhere->stop, 'no server crashed';

# --- a standby that takes over ---------------------------------------------------------

my %standby = (port => $stack->env('LOYALTY_STANDBY_PORT'));
$stack->psql(sale(100, 'first') . ' \g /dev/null');
my $written = $stack->psql('SELECT pg_current_wal_insert_lsn()');
ok $stack->wait_until(sub { $stack->psql("SELECT pg_last_wal_replay_lsn() >= '$written'", %standby) eq 't' }), 'the standby follows';
is $stack->psql_error(sale(100), %standby)->{sqlstate}, 'LY504', 'and only reads';
sub pg_ctl { return IPC::Run::run([Loyalty::as_owner(), $stack->bindir . '/pg_ctl', '-w', '-D', @_], '>', '/dev/null') }
ok pg_ctl($stack->env('LOYALTY_STANDBY_PGDATA'), 'promote'), 'until it is promoted';
is $stack->psql(sale(100, 'first') . ';' . sale(100), %standby), "10\n20", 'it knows what was done, and goes on';
is $stack->psql($unsound, %standby), '0', 'and is sound';

# --- back to an instant ----------------------------------------------------------------

my %places = ('/var/lib/postgresql/15/main' => $stack->data_dir, '/var/lib/postgresql' => $folder, '/var/log/postgresql' => $folder);
recipe($stack, qr/archive_command/, 'the WAL is archived, and there is a copy', %places);
$stack->psql(sale(100, 'before') . ' \g /dev/null');
my ($root_id, $root) = split /\|/, $stack->psql("SELECT root_id, root FROM loyalty.make_root($merchant)");
my $instant = $stack->psql('SELECT pg_sleep(0.01) \g /dev/null' . "\nSELECT to_char(now(), 'YYYY-MM-DD HH24:MI:SS.USOF')");
$stack->psql(sale(200, 'after') . ' \g /dev/null');
my ($lost_id) = split /\|/, $stack->psql("SELECT root_id FROM loyalty.make_root($merchant)");
my $entries = $stack->psql('SELECT string_agg(entry_id::text, $$ $$) FROM loyalty.entry');
is $stack->psql($balance), '40', 'two sales more';
$written = $stack->psql('SELECT pg_walfile_name(pg_switch_wal())');
ok $stack->wait_until(sub { -e "$folder/archive/$written" }), 'what was written is archived';
$stack->stop_postgres;
recipe($stack, qr/recovery_target_time/, 'the server is back at an instant', %places{'/var/lib/postgresql', '/var/log/postgresql'}, '2026-11-28 12:00:00-06' => $instant);
ok $stack->wait_until(sub { $stack->psql('SELECT pg_is_in_recovery()') eq 'f' }), 'where it goes on';
is $stack->psql($balance), '20', 'with the sale before it, without that after';
is $stack->psql($unsound), '0', 'and is sound';
is $stack->psql("SELECT count(*) FROM loyalty.verify_root($merchant, $root_id, '$root')"), '0', 'it has all of the root before it';
is $stack->psql_error("SELECT loyalty.verify_root($merchant, $lost_id)")->{sqlstate}, 'LY006', 'and not the root after';
is $stack->psql(sale(100, 'before') . ';' . sale(200, 'after') . ';' . sale(200, 'after')), "20\n40\n40", 'retries post what is lost, once';
is $stack->psql('SELECT count(*) FROM loyalty.entry WHERE entry_id IN (' . join(', ', split / /, $entries) . ')'), '2', 'under a new number';
ok pg_ctl("$folder/restored", '-m', 'fast', 'stop'), 'it ends';
$stack->start_postgres;
is $stack->psql($balance), '40', 'the other one is as it was';

# --- a pooler --------------------------------------------------------------------------

my $pooler_port = free_port();
my $pgbouncer;
END { $pgbouncer->kill_kill if $pgbouncer }
recipe($stack, qr/^\[pgbouncer\]/m, 'PgBouncer is configured', '/etc/pgbouncer' => $folder, '/var/run/postgresql' => $folder, 'port=5432' => 'port=' . $stack->port, 6432 => $pooler_port,
	# one session for all, so that each meets what the other leaves
	'default_pool_size = 20' => 'default_pool_size = 1');
$pgbouncer = IPC::Run::start([Loyalty::as_owner(), 'pgbouncer', '-q', "$folder/pgbouncer.ini"], '<', '/dev/null', '>', "$folder/pgbouncer.log", '2>&1');
my %pooled = (port => $pooler_port, dbname => 'loyalty', user => 'till', password => 'for the till');
ok $stack->wait_until(sub { ($stack->try_psql('SELECT 1', %pooled))[0] || !$pgbouncer->pumpable }), 'it lets clients in';
my ($one, $two) = map { $stack->connect_async(%pooled) } 1, 2;
my $pid = $one->query('SELECT pg_backend_pid()');
is $two->query('SELECT pg_backend_pid()'), $pid, 'two clients share a session';
is join(' ', map { $_->query(sale(10)) } $one, $two, $one), '41 42 43', 'and sell by turns';
my $sold = $one->query(sale(10, 'pooled'));
is $two->query(sale(10, 'pooled')), $sold, 'an idempotency key is known to both';
my $settings = sub { my $rate = shift; return "SELECT loyalty.configure_program($merchant, loyalty.find_program($merchant, wallet_key => '$wallet'), '{\"accumulation_points\": $rate}') \\g /dev/null" };
$one->query('BEGIN;' . $settings->(50));
is $one->query(sale(10)) - $sold, 5, 'a program that was changed earns more';
$one->query('ROLLBACK');
is $two->query(sale(10)) - $sold, 1, 'and as before for the next, as that is rolled back';
$stack->psql($settings->(20));
is $one->query(sale(10)) - $sold, 3, 'what is changed elsewhere counts at once';
is $two->query(q{SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'}), '0', 'no lock is left';
$one->query('SET loyalty.enable_fast_path = off');
is $two->query('SHOW loyalty.enable_fast_path'), 'off', 'a setting meets the others';
$one->query('RESET loyalty.enable_fast_path; BEGIN; SET LOCAL loyalty.enable_fast_path = off; COMMIT');
is $two->query('SHOW loyalty.enable_fast_path'), 'on', 'one of the transaction does not';
is $two->query('SHOW log_parameter_max_length_on_error'), '0', 'the settings of the role are in force';
is $stack->psql_error('SELECT loyalty.version() \g /dev/null' . "\nSET loyalty.nice = 10")->{sqlstate}, '55P02', 'what is given on connecting cannot be set later';

# PostgREST, started by an address of its database; what its server sends.
sub postgrest
{
	my ($address, $ask, %env) = @_;
	my $program = $ENV{LOYALTY_POSTGREST} or die "there is no PostgREST\n";
	my $port = free_port();
	local %ENV = (%ENV, PGRST_DB_URI => $address, PGRST_SERVER_PORT => $port, %env);
	my $server = IPC::Run::start([Loyalty::as_owner(), $program, "$FindBin::Bin/../../http/postgrest.conf"], '<', '/dev/null', '>', "$folder/postgrest.log", '2>&1');
	my $http = HTTP::Tiny->new(timeout => 60);
	my $runs = $stack->wait_until(sub { $http->get("http://127.0.0.1:$port/")->{status} == 200 || !$server->pumpable });
	my $answer = $ask->($http, "http://127.0.0.1:$port");
	$server->kill_kill;
	return $answer;
}

my $sell = sub {
	my ($http, $url) = @_;
	return join ' ', map {
		my $answer = $http->post("$url/rpc/wallet_sale", {headers => {apikey => $key, 'Content-Type' => 'application/json', 'X-Request-Id' => "sale-$_"},
			content => qq({"wallet_key":"$wallet","phone":"4771234567","transaction_type":0,"transaction_amount":10,"usertool_id":1})});
		$answer->{status} . ($answer->{content} =~ /"newBalance":\s*[0-9.]+/ ? '' : " $answer->{content}")
	} 1 .. 3;
};
$stack->with_env(sub { Page::run('', 'psql', '-XAtqc', q{SELECT format('"%s" "%s"', rolname, rolpassword) FROM pg_authid WHERE rolname = 'authenticator'}) =~ /(.+)/; open my $list, '>>', "$folder/userlist.txt"; print $list "$1\n"; close $list });
sub console { my $command = shift; return $stack->with_env(sub { Page::run('', Loyalty::as_owner(), 'psql', '-XAtq', '-h', $folder, '-p', $pooler_port, '-U', 'pgbouncer', '-c', $command, 'pgbouncer') }) }
is console('RELOAD'), '', 'PgBouncer has a console';
is postgrest("postgres://authenticator:for%20PostgREST\@127.0.0.1:$pooler_port/loyalty", $sell, PGRST_DB_PREPARED_STATEMENTS => 'false'), '200 200 200', 'PostgREST sells through it';
is $two->query('SHOW application_name'), 'psql', 'no request leaves its id';
is console('RECONNECT'), '', 'sessions are to connect again';
isnt $two->query('SELECT pg_backend_pid()'), $pid, 'and do';
is $stack->psql($unsound), '0', 'the ledger is sound';
$_->close for $one, $two;
$pgbouncer->kill_kill;
$pgbouncer = undef;

# --- TLS -------------------------------------------------------------------------------

recipe($stack, qr/^openssl/m, 'PostgreSQL has TLS', '/var/lib/postgresql/15/main' => $stack->data_dir, 'db.example' => 'localhost');
$ENV{PGPASSWORD} = 'for PostgREST';
$stack->{env}{PGPASSWORD_OF_POSTGRES} = delete $stack->{env}{PGPASSWORD};
recipe($stack, qr/sslmode=verify-full/, 'a client checks it', 'db.example' => 'localhost', '/etc/loyalty/tls' => $stack->data_dir);
$stack->{env}{PGPASSWORD} = delete $stack->{env}{PGPASSWORD_OF_POSTGRES};
my ($fine, undef, $error) = do { local $ENV{PGSSLMODE} = 'disable'; $stack->try_psql('SELECT 1') };
like $error, qr/no pg_hba\.conf entry for host .* no encryption/, 'nobody connects without';
($fine, undef, $error) = do { local @ENV{qw(PGSSLMODE PGSSLROOTCERT)} = ('verify-full', $stack->data_dir . '/server.crt'); $stack->try_psql('SELECT 1') };
like $error, qr/server certificate .*does not match host name "127\.0\.0\.1"/, 'nor to another host, unnoticed';
my $uses_tls = sub { my ($http, $url) = @_; $sell->($http, $url); return $stack->psql(q{SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'authenticator'}) };
is postgrest('postgres://authenticator:for%20PostgREST@localhost:' . $stack->port . '/loyalty?sslmode=verify-full&sslrootcert=' . $stack->data_dir . '/server.crt', $uses_tls), 't', 'nor PostgREST';

# --- figures and SQLSTATEs -------------------------------------------------------------

sub slurp { open my $in, '<:encoding(UTF-8)', "$Page::root/$_[0]" or die "$_[0]: $!\n"; local $/; return scalar <$in> }

my %measured = map { my (undef, undef, $what, @cells) = split / *\| */; ($what => $cells[-1]) } slurp('docs/performance.md') =~ /^(\|.*\|)$/mg;
my %figure = map { $_->[0] => sprintf '%.0f', $measured{$_->[1]} =~ m{([0-9.]+) \w} ? $1 : -1 }
	['entry_bytes', 'an entry with its index: a sale with money, cashier and ticket'], ['contact_bytes', 'a contact, with its account'],
	['message_bytes', 'a message, from the day it is queued'], ['key_bytes', 'an idempotency key, with its answer'];
($figure{wal_bytes}) = $measured{'WAL of a post with an idempotency key, right after a checkpoint / going on'} =~ /^(\d+) /;
($figure{requests_per_second}) = $measured{'one key, with limits of the key and the program / without, over HTTP'} =~ /^(\d+) /;
my %code = map { split /\|/ } split /\n/, $stack->psql('SELECT sqlstate, code FROM loyalty.error_codes');
# those that are nobody's but the operator's
my @needed = split /\n/, $stack->psql('SELECT sqlstate FROM loyalty.error_codes WHERE http_status IN (402, 429) OR http_status >= 500 ORDER BY 1');

for my $name (grep { -e "$Page::root/$_" } 'docs/operate.md', 'docs/es/operate.md')
{
	my $text = slurp($name);
	my %said = $text =~ /^\\set (\w+(?:_bytes|_per_second)) (\d+)$/mg;
	is_deeply \%said, \%figure, "$name: its sizes are those of docs/performance.md";
	my (%row, @wrong);
	for my $line ($text =~ /^(\| [0-9A-Z]{5}[,|\s].*)$/mg)
	{
		my (undef, $states, $codes) = split / *\| */, $line;
		my @states = split /, /, $states;
		my @codes = $codes =~ /`(\w+)`/g;
		@codes = (@codes) x @states if @codes == 1 && $states =~ /^LY/;
		push @wrong, "$states are not $codes" if @states != @codes;
		@row{@states} = @codes;
	}
	for my $state (sort keys %row)
	{
		my $is = $code{$state} // $stack->psql_error("DO \$\$BEGIN RAISE EXCEPTION USING ERRCODE = '$row{$state}'; END\$\$")->{sqlstate};
		push @wrong, "$state is not $row{$state}" if $is ne ($code{$state} ? $row{$state} : $state);
	}
	is "@wrong", '', "$name: SQLSTATEs have their codes";
	cmp_ok scalar(keys %row), '>', 30, 'as many as there are';
	is_deeply [grep { !$row{$_} } @needed], [], "$name: it has all that only an operator can act on";
}

done_testing;

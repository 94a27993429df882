# A database that was dumped and restored, or went through pg_upgrade, is the
# database it was: every row of every table, the edited numbering plan, and
# everything goes on working.
#
# With LOYALTY_OLD, a folder that export.sh made, the database is one of that
# server, and goes to the server of today.
use strict;
use warnings;
use utf8;

use File::Basename qw(basename);
use FindBin;
use lib $FindBin::Bin;
use Filled;
use IPC::Run ();
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $old_bin = $ENV{LOYALTY_BIN};
use_old_server($ENV{LOYALTY_OLD}) if $ENV{LOYALTY_OLD};
my $stack = do { local $ENV{LOYALTY_BIN} = $old_bin; Loyalty->start(level => 'database') };

# Its programs get the libraries of its Debian that this one does not have.
sub use_old_server
{
	my $folder = shift;
	my $known = `/sbin/ldconfig -p`;
	my $lacking = "$ENV{LOYALTY_TMP}/libraries";
	mkdir $lacking;
	symlink $_, "$lacking/" . basename($_) for grep { $known !~ /^\s*\Q@{[basename($_)]}\E /m } glob "$folder/libraries/*";
	$ENV{LD_LIBRARY_PATH} = $lacking;
	($old_bin) = glob "$folder/{lib/postgresql/*/bin,bin}/";
	return;
}

my ($merchant, $key, $wallet, $second_wallet, $owner, $guest, $sale, $hold, $root, $late, $expired) = split /\|/, fill($stack);

# --- comparing -----------------------------------------------------------------

my @tables = tables($stack);

# Who owns what and who may do what, in the extension's schemas.  Rights that
# nobody has touched are the usual ones; newer servers know of one more.
sub rights
{
	my %where = @_;
	my $granted = sub {
		my ($acl, $kind, $owner) = @_;
		return "(SELECT string_agg(a.grantee::regrole || ':' || a.privilege_type, ',' ORDER BY a.grantee::regrole::text, a.privilege_type)
			FROM aclexplode(coalesce($acl, acldefault('$kind', $owner))) a WHERE a.privilege_type <> 'MAINTAIN')";
	};
	return $stack->psql(qq{
		SELECT p.oid::regprocedure, p.proowner::regrole, @{[$granted->(qw(proacl f proowner))]}
		FROM pg_proc p WHERE p.pronamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace, 'loyalty_api'::regnamespace) ORDER BY p.oid::regprocedure::text;
		SELECT c.oid::regclass, c.relowner::regrole, @{[$granted->(qw(relacl r relowner))]}
		FROM pg_class c WHERE c.relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace) AND c.relkind IN ('r', 'v') ORDER BY c.oid::regclass::text;
		SELECT n.nspname, @{[$granted->(qw(nspacl n nspowner))]} FROM pg_namespace n WHERE n.nspname LIKE 'loyalty%' ORDER BY 1},
		%where);
}

my $dumped = contents($stack);
my $dumped_answers = answers($stack);
my $dumped_rights = rights();
is $stack->psql(q{
	SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_class c ON c.oid = d.objid
	WHERE e.extname = 'loyalty' AND d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'S')
	  AND c.oid <> ALL (e.extconfig)}), '', 'every table of the extension is marked for dumps';
unlike $dumped->{$_}, qr/^0 rows/, "$_ has something to lose" for @tables;

# --- dumping and restoring ----------------------------------------------------------

# All that must be so in a restored database; changes it in the end.
sub check_restored
{
	my ($name, %where) = @_;
	my $restored = contents($stack, %where);
	is $restored->{$_}, $dumped->{$_}, "$name: $_ is the same" for @tables;
	is answers($stack, %where), $dumped_answers, "$name: the views answer the same";
	is rights(%where), $dumped_rights, "$name: owners and rights are the same";
	is $stack->psql('SELECT count(*) FROM loyalty.verify()', %where), '0', "$name: the ledger is sound";
	is $stack->psql("SELECT loyalty.authenticate('$key')", %where), $merchant, "$name: the API key still works";
	is $stack->psql("SELECT string_agg(loyalty.verify_staff_password($merchant, i, p)::text, ' ') FROM (VALUES (1, 'clave uno'), (2, 'clave dos'), (3, 'clave tres'), (1, 'clave dos')) v (i, p)", %where),
		'true true false false', "$name: passwords do";
	is $stack->psql(q{SELECT code, region, supported FROM loyalty.area_codes WHERE code IN ('477', '999', '222') ORDER BY 1}, %where) =~ s/(477\|)[^|]*/$1.../r,
		"222|Puebla|t\n477|...|f\n999|Mérida, corregida|t", "$name: edited area codes are in effect, shipped ones too";
	is $stack->psql("SELECT loyalty.is_fixed_line('3336140000'), loyalty.is_fixed_line('2222115999'), loyalty.is_fixed_line('2222116000')", %where), 't|t|f',
		"$name: fixed lines too";
	is $stack->psql("SELECT loyalty.check_receipt(loyalty.receipt($merchant, $owner, $root, $sale), root) FROM loyalty_internal.root WHERE root_id = $root", %where), 't', "$name: a receipt, with entries and their texts, fits the root of before";
	goes_on($name, %where);
	club_goes_on($name, %where);
	is $stack->psql("SELECT count(*) FROM loyalty.verify()", %where), '0', "$name: the ledger is sound after all that";
	is $stack->psql("SELECT count(*) FROM loyalty.verify_root($merchant, $root)", %where), '0', "$name: all that was in the root still is in the ledger";
	return;
}

sub goes_on
{
	my ($name, %where) = @_;
	my $sale = sub { my ($phone, $key) = @_; "SELECT loyalty.wallet_sale($merchant, '$wallet', '$phone', 0, 100, NULL, 1, NULL, $key)" };
	my $before = $stack->psql("SELECT balance FROM loyalty.members WHERE phone::text = '4771234530'", %where);
	is $stack->psql("SELECT loyalty.remove_quota($merchant, 'messages'); " . $sale->('4771234530', 'NULL'), %where) =~ s/^t\n//r, $before + 12.346,
		"$name: a sale adds to the restored balance";
	my $first = $stack->psql("SELECT answer FROM loyalty_internal.idempotency_key WHERE key_digest = loyalty_internal.merchant_digest(merchant_id, 'sale-31')", %where);
	is $stack->psql("SELECT loyalty.wallet_sale($merchant, '$wallet', '4771234531', 0, 31 * 1.01, NULL, 1, E'tab\\t\"31', 'sale-31')", %where), $first,
		"$name: a retry from before the dump gets its first answer";
	is $stack->psql_error($sale->('4771234530', "'sale-31'"), %where)->{sqlstate}, 'LY422', "$name: its key is still taken";
	is $stack->psql_error($sale->('4771234511', 'NULL'), %where)->{sqlstate}, 'LR014', "$name: the blacklist holds";
	is $stack->psql_error($sale->('4771234510', 'NULL'), %where)->{sqlstate}, 'LS012', "$name: who was taken out is out";
	is $stack->psql("SELECT loyalty.wallet_sale($merchant, '$second_wallet', '5588880001', 1, NULL, 14, 1, 'lote')", %where), '0',
		"$name: what is left of the lots can be spent";
	is $stack->psql("SELECT rank FROM loyalty.members WHERE phone::text = '5588880001'", %where), 'Oro', "$name: ranks are kept";
	is $stack->psql_error("SELECT loyalty.wallet_sale($merchant, '$second_wallet', '4771234530', 0, 1, NULL, 2, 'x')", %where)->{sqlstate}, 'LS012',
		"$name: wallets stay apart";
	like $stack->psql("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '5512340001', 'Nueva', 1)", %where), qr/^\d+$/, "$name: a contact registers";
	is $stack->psql_error("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '4771239999', 'Nueva', 1)", %where)->{sqlstate}, 'LM015',
		"$name: not from an area that was closed";
	is $stack->psql_error("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '3336140001', 'Nueva', 1)", %where)->{sqlstate}, 'LM014',
		"$name: and no fixed line";
	is $stack->psql("SELECT loyalty.employee_add($merchant, 'cajero', 'Nueva', 'Centro', '4771000009', 'clave cuatro')", %where), '4', "$name: new staff gets the next id";
	is $stack->psql_error("SELECT loyalty.employee_add($merchant, 'cajero', 'Otra', 'Centro', '4771000010', 'clave dos')", %where)->{sqlstate}, 'LE003',
		"$name: a password from before the dump is taken";
	return;
}

# Rules, limits, holds and refunds count on from where they were.
sub club_goes_on
{
	my ($name, %where) = @_;
	my $balance = sub { my ($call) = @_; $stack->psql("SELECT balance FROM loyalty.$call", %where) };
	my $fails = sub { my ($call) = @_; $stack->psql_error("SELECT loyalty.$call", %where)->{sqlstate} };
	is $balance->("balances WHERE account_id = $owner"), '88.5', "$name: what the two of the club have";
	is $fails->("post($merchant, $owner, 'redeem', 6, member_id => $guest)"), 'LY008', "$name: the guest has spent the most of a limit";
	is $balance->("post($merchant, $owner, 'redeem', 5, member_id => $guest)"), '83.5', "$name: and may spend the rest";
	is $balance->("capture($merchant, $owner, $hold, in_full => true)"), '83.5', "$name: what is left of a hold is captured";
	is $fails->("release($merchant, $owner, $hold, in_full => true)"), 'LY009', "$name: and was all";
	is $balance->("reverse($merchant, $owner, $sale, reference => 'D1', money => 300)"), '88.5', "$name: a refund from before the dump gets its first answer";
	is $fails->("reverse($merchant, $owner, $sale, reference => 'D1', money => 301)"), 'LY012', "$name: its reference is taken";
	is $fails->("reverse($merchant, $owner, $sale, reference => 'D2', money => 701)"), 'LY011', "$name: what was refunded counts";
	is $balance->("reverse($merchant, $owner, $sale, reference => 'D2', money => 700)"), '10', "$name: the rest of the money is the rest of the points";
	my ($deposit, $has) = split /\|/, $stack->psql("SELECT entry_id, balance FROM loyalty.post($merchant, $late, 'deposit', 5)", %where);
	is $has, '5', "$name: an account of which points have expired";
	cmp_ok $deposit, '>', $expired, "$name: new entries have higher numbers than those of before";
	is $balance->("reverse($merchant, $late, $expired, reference => 'D4', in_full => true)"), '5', "$name: a refund does not take again what has expired";
	is $balance->("reverse($merchant, $late, $deposit, 4, 'D5')"), '1', "$name: but what has not";
	is $stack->psql("SELECT points FROM loyalty.sale($merchant, $owner, 100)", %where), '15', "$name: a rule gives what its cap has left, and got back";
	is $stack->psql("SELECT version FROM loyalty.publish_rules($merchant, loyalty.find_program($merchant, 'club'), '[]')", %where), '2', "$name: rules get the next version";
	is $balance->("balance_at($merchant, $owner, now() + interval '100 years 1 day') AS balance"), '7', "$name: pending points come after a hundred years, when the others are gone";
	return;
}

my $folder = $stack->work_dir;
is run_program($stack, {}, 'pg_dump', '-Fc', '-f', "$folder/loyalty.dump"), '', 'pg_dump, custom format';
is run_program($stack, {}, 'pg_dump', '-Fp', '-f', "$folder/loyalty.sql"), '', 'pg_dump, plain format';
is run_program($stack, {}, 'pg_dumpall', '--roles-only', '-f', "$folder/roles.sql"), '', 'pg_dumpall of the roles';
is run_program($stack, {}, 'createdb', '-T', 'template0', $_), '', "a database $_" for 'custom', 'plain';
is run_program($stack, {}, 'pg_restore', '--exit-on-error', '--single-transaction', '-d', 'custom', "$folder/loyalty.dump"), '', 'pg_restore';
is run_program($stack, {dbname => 'plain'}, 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$folder/loyalty.sql"), '', 'psql';
check_restored('custom', dbname => 'custom');
check_restored('plain', dbname => 'plain');

is_deeply contents($stack), $dumped, 'the database that was dumped is as it was';

# --- another server, which has never heard of the extension ------------------------------

my $elsewhere = Loyalty->start(level => 'cluster');
my %there = map { $_ => $elsewhere->env($_) } qw(PGPORT PGPASSWORD);
my %other = (port => $there{PGPORT}, password => $there{PGPASSWORD}, dbname => 'postgres');
is $stack->psql(q{SELECT count(*) FROM pg_roles WHERE rolname = 'loyalty_engine'}, %other), '0', 'another server has no role loyalty_engine';
is run_program($stack, {%other}, 'createdb', 'loyalty'), '', 'it gets an empty database';
$other{dbname} = 'loyalty';
# Whoever restores brings the roles that were given rights, but not ours.
$stack->psql('CREATE ROLE authenticator LOGIN NOINHERIT; CREATE ROLE web_anon NOLOGIN; GRANT web_anon TO authenticator', %other);
is run_program($stack, {%other}, 'pg_restore', '--exit-on-error', '--single-transaction', '-d', 'loyalty', "$folder/loyalty.dump"), '', 'pg_restore there';
is $stack->psql(q{SELECT rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'loyalty_engine'}, %other), 'f|f|f|f|f',
	'creates the role, which may do nothing by itself';
check_restored('elsewhere', %other);

is run_program($stack, {%other, dbname => 'postgres'}, 'createdb', 'again'), '', 'a second database there';
is run_program($stack, {%other, dbname => 'postgres'}, 'pg_restore', '--exit-on-error', '-d', 'again', "$folder/loyalty.dump"), '',
	'pg_restore where the role exists by now';
is_deeply contents($stack, %other, dbname => 'again'), $dumped, 'restores every row too';
$elsewhere->stop;

# --- pg_upgrade, to a server of the version that is tested ---------------------------------

# The options of initdb for the locale that the server has.
sub locale_options
{
	my ($provider, $libc, $icu) = split /\|/, $stack->psql(q{
		SELECT datlocprovider, datcollate, coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
		FROM pg_database d WHERE datname = 'template1'});
	return ("--locale=$libc", $provider eq 'i' ? ('--locale-provider=icu', "--icu-locale=$icu") : ());
}

# How the server prints what it has.
sub formats
{
	return $stack->psql(q{SELECT format('%s = %L', name, setting) FROM pg_settings WHERE name IN ('DateStyle', 'IntervalStyle', 'TimeZone')});
}

# Make an empty server for it, with what the old one has of passwords and ports.
sub make_new_server
{
	my ($bin, $data, $has_checksums, $formats, @locale) = @_;
	my @checksums = $has_checksums ? '--data-checksums' : `$bin/initdb --help` =~ /--no-data-checksums/ ? '--no-data-checksums' : ();
	run_in_folder("$bin/initdb", '-D', $data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', @locale, '-N', @checksums);
	open my $settings, '>>', "$data/postgresql.conf" or die "$data: $!\n";
	print $settings "listen_addresses = '127.0.0.1'\nunix_socket_directories = '$folder'\nmax_connections = 200\nfsync = off\n$formats\n";
	close $settings;
	return;
}

sub run_in_folder
{
	my @command = @_;
	my $said = '';
	my $fine = $stack->with_env(sub { IPC::Run::run([Loyalty::as_owner(), @command], '<', '/dev/null', '>', \$said, '2>&1', init => sub { chdir $folder }) });
	ok $fine, basename($command[0]) or diag $said, `grep -hE -A 2 'ERROR|FATAL|error:' $folder/upgraded/pg_upgrade_output.d/*/log/*.log | head -n 20`;
	return;
}

# Some minor releases keep an option with each column that an older release of
# a later version does not know, and does not get over.
sub forget_column_options
{
	my ($bin, @databases) = @_;
	return if system('grep', '-q', 'pg_attver', "$bin/postgres") == 0;
	$stack->psql("SET allow_system_table_mods = on; UPDATE pg_attribute SET attoptions = NULL WHERE attoptions::text LIKE '{pg_attver=%}'", dbname => $_)
		for @databases;
	return;
}

# Databases of released versions go along, and are updated there.
my @released = map { {version => $_->[0], file => $_->[1], database => 'of_' . $_->[0] =~ s/\W/_/gr} } releases();
for my $of (@released)
{
	my %where = (dbname => $of->{database});
	$stack->psql("CREATE DATABASE $of->{database}");
	$stack->psql("SET client_min_messages = warning; CREATE EXTENSION loyalty VERSION '$of->{version}'", %where);
	fill($stack, file => $of->{file}, %where);
	@$of{qw(contents answers)} = (contents($stack, %where), answers($stack, %where));
}

sub check_released
{
	my $of = shift;
	my %where = (dbname => $of->{database});
	is $stack->psql('SELECT script FROM loyalty.version()', %where), $of->{version}, "$of->{version}: is as it was";
	is_deeply contents($stack, %where), $of->{contents}, "$of->{version}: every row is";
	$stack->psql('SET client_min_messages = warning; ALTER EXTENSION loyalty UPDATE', %where);
	is $stack->psql(q{SELECT script = e.default_version AND fits FROM loyalty.version(), pg_available_extensions e WHERE e.name = 'loyalty'}, %where), 't', "$of->{version}: is updated";
	is answers($stack, %where), $of->{answers}, "$of->{version}: the views answer the same";
	is $stack->psql('SELECT count(*) FROM loyalty.verify()', %where), '0', "$of->{version}: the ledger is sound, chains included";
	return;
}

$stack->psql("DROP DATABASE $_") for qw(custom plain);
my $new_bin = $ENV{LOYALTY_BIN} // $stack->bindir;
forget_column_options($new_bin, qw(loyalty postgres template1), map { $_->{database} } @released);
my $has_checksums = $stack->psql('SHOW data_checksums') eq 'on';
my ($formats, @locale) = (formats(), locale_options());
$stack->stop_postgres;
my $new_data = "$folder/upgraded";
my $port = $stack->port;
make_new_server($new_bin, $new_data, $has_checksums, $formats, @locale);
run_in_folder("$new_bin/pg_upgrade", '-b', $stack->bindir, '-B', $new_bin, '-d', $stack->data_dir, '-D', $new_data,
	'-U', 'postgres', '-p', $port, '-P', $port, '-s', $folder);
run_in_folder("$new_bin/pg_ctl", '-D', $new_data, '-o', "-p $port", '-w', '-t', '600', '-l', "$folder/upgraded.log", 'start');
check_restored('upgraded');
check_released($_) for @released;
run_in_folder("$new_bin/pg_ctl", '-D', $new_data, '-w', '-t', '600', '-m', 'fast', 'stop');

done_testing;

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

# Something in every table, written by the extension's own functions where
# there is one.  Prints the keys that are shown once.
my ($merchant, $key, $wallet, $second_wallet, $owner, $guest, $sale, $hold, $root, $late, $expired) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Café "La Ñ", \N; ''x''', 'https://ñ.example') AS m \gset
	SELECT api_key FROM loyalty.create_api_key(:m, 'caja|1') \gset
	SELECT key_id FROM loyalty.create_api_key(:m, 'vieja', now()) \gset
	SELECT loyalty.disable_api_key(:m, :key_id) \g /dev/null
	SELECT wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 12.3456, settings => json_build_object('decimals', 3, 'rounding', 'half_even')) \gset
	SELECT wallet_key AS w2, client_id FROM loyalty.create_wallet(:m, 'Otro', 1, settings => json_build_object('decimals', 0, 'rounding', 'down', 'requires_ticket', true, 'requires_birth_date', true, 'channel', 'whatsapp', 'messages', '{}'::text[])) \gset
	SELECT loyalty.set_rank_ranges(:m, 'niveles', '{Plata,Oro}', '{0,5}') \g /dev/null
	SELECT loyalty.configure_program(:m, loyalty.find_program(:m, :'client_id'), json_build_object('duration_unit', 'year', 'duration_value', 100, 'range_group', 'niveles')) \g /dev/null
	SELECT loyalty.employee_add(:m, 'gerente', 'Ana Peña', 'Centro', '4771000001', 'clave uno') \g /dev/null
	SELECT loyalty.employee_add(:m, 'cajero', 'Íñigo', 'Norte', '4771000002', 'clave dos') \g /dev/null
	SELECT loyalty.employee_add(:m, 'cajero', 'Ex', 'Norte', '4771000003', 'clave tres') \g /dev/null
	SELECT loyalty.employee_disable(:m, '4771000003') \g /dev/null
	INSERT INTO loyalty_internal.staff_refusal (merchant_id, refused_at) VALUES (:m, ARRAY[now()]);
	SELECT loyalty.set_staff_programs(:m, 2, ARRAY(SELECT program_id FROM loyalty.wallets WHERE wallet_key = :'w')) \g /dev/null
	SELECT loyalty.wallet_contact_add(:m, :'w', '47712345' || i, 'Contacto ' || i, 1, CASE WHEN i % 2 = 0 THEN '1988-02-29' END)
		FROM generate_series(10, 59) i \g /dev/null
	SELECT loyalty.wallet_sale(:m, :'w', '47712345' || i, 0, i * 1.01, NULL, 1, E'tab\t"' || i, 'sale-' || i) FROM generate_series(10, 59) i \g /dev/null
	SELECT loyalty.wallet_balance_update(:m, :'w', '47712345' || i, 1, 0.125, 2) FROM generate_series(10, 59) i \g /dev/null
	SELECT loyalty.wallet_contact_add(:m, :'w2', '5588880001', 'Con lotes', 1, '1970-12-31') AS member \gset
	SELECT loyalty.wallet_sale(:m, :'w2', '5588880001', 0, 300 * i, NULL, 1, 'lote') FROM generate_series(1, 3) i \g /dev/null
	SELECT loyalty.wallet_sale(:m, :'w2', '5588880001', 1, NULL, 4, 1, 'lote') \g /dev/null
	SELECT loyalty.set_rank(:m, :member, rank, until, E'por "ñ"') FROM (VALUES ('Plata', now() + interval '100 years'), ('Oro', NULL)) v (rank, until) \g /dev/null
	SELECT program_id AS p3 FROM loyalty.create_program(:m, 'Club', 'club') \gset
	SELECT loyalty.configure_program(:m, loyalty.find_program(:m, 'club'), json_build_object('accumulation_points', 1, 'accumulation_money', 10, 'expiry', 'year_end', 'duration_unit', 'year', 'duration_value', 50)) \g /dev/null
	SELECT loyalty.publish_rules(:m, loyalty.find_program(:m, 'club'), '[{"name":"bono \"ñ\"","points":5,"max_member":8,"categories":["café"]},{"name":"bono","points":5,"max_member":8,"max_day":100,"days":[1,2,3,4,5,6,7]}]') \g /dev/null
	SELECT loyalty.set_limit(:m, loyalty.find_program(:m, 'club'), 'member', 'spend', 100, 5) \g /dev/null
	SELECT loyalty.seller_member_create(:m, 'club', 'f1@correo.example', 'Fa', 'Uno', client_id => 'F1') ->> 'id' AS owner, loyalty.seller_member_create(:m, 'club', 'f2@correo.example', 'Fa', 'Dos', client_id => 'F2') ->> 'id' AS guest \gset
	SELECT entry_id AS sale FROM loyalty.sale(:m, :owner, 1000, reference => 'T1', staff_id => 1) \gset
	SELECT loyalty.sale(:m, :guest, 500) \g /dev/null
	SELECT loyalty.share_account(:m, :guest, :owner) \g /dev/null
	SELECT loyalty.seller_member_create(:m, 'club', 'f3@correo.example', 'Fa', 'Tres', client_id => 'F3') ->> 'id' AS leaves, loyalty.seller_member_create(:m, 'club', 'f4@correo.example', 'Fa', 'Cuatro', client_id => 'F4') ->> 'id' AS stays \gset
	SELECT loyalty.share_account(:m, :stays, :leaves), loyalty.leave_account(:m, :leaves) \g /dev/null
	SELECT loyalty.seller_member_create(:m, 'club', 'f5@correo.example', 'Fa', 'Cinco', client_id => 'F5') ->> 'id' AS erased \gset
	SELECT loyalty.seller_deposit(:m, '[{"programId":"club","memberId":"F5","amount":5,"comments":"de Fa Cinco","branchId":"Norte"}]') \g /dev/null
	SELECT loyalty.erase_member(:m, :erased) \g /dev/null
	SELECT entry_id AS hold FROM loyalty.hold(:m, :owner, 40, 'H', release_at => now() + interval '100 years', member_id => :guest) \gset
	SELECT loyalty.capture(:m, :owner, :hold, 15) \g /dev/null
	SELECT loyalty.post(:m, :owner, 'deposit', 7, available_at => now() + interval '100 years', expires_at => now() + interval '101 years') \g /dev/null
	SELECT loyalty.reverse(:m, :owner, :sale, reference => 'D1', money => 300) \g /dev/null
	SELECT loyalty.open_account(:m, :p3) AS late \gset
	SELECT entry_id AS expired FROM loyalty.post(:m, :late, 'deposit', 3, expires_at => clock_timestamp() + interval '2 seconds') \gset
	SELECT pg_sleep(extract(epoch FROM due_at - clock_timestamp()) + 0.01) FROM loyalty_internal.account WHERE merchant_id = :m AND account_id = :late \g /dev/null
	SELECT loyalty.reverse(:m, :late, :expired, 2, 'D3') \g /dev/null
	SELECT root_id FROM loyalty.make_root(:m) \gset
	INSERT INTO loyalty_internal.member_address (merchant_id, member_id, ordinal, street, city) VALUES (:m, :member, 1, 'Río Ñandú', 'León');
	SELECT loyalty.disable_member(merchant_id, member_id) FROM loyalty.members WHERE merchant_id = :m AND phone::text = '4771234510' \g /dev/null
	SELECT loyalty.blacklist_phone(:m, '4771234511', 'no paga') \g /dev/null
	SELECT loyalty.set_quota(:m, 'redemptions', 777) \g /dev/null
	SELECT loyalty.set_quota(:m, 'messages', 5) \g /dev/null
	SELECT count(*) FROM loyalty.claim_messages(:m, 3) c, LATERAL loyalty.acknowledge_message(:m, c.message_id, c.attempt) \g /dev/null
	SELECT count(*) FROM loyalty.claim_messages(:m, 3) \g /dev/null
	SELECT loyalty.set_area_code('477', false) \g /dev/null
	SELECT loyalty.set_area_code('999', true, 'Mérida, corregida') \g /dev/null
	INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red)
		VALUES ('33', '3614', '0000', '9999', 'FIJO'), ('222', '211', '5000', '5999', 'FIJO');
	SELECT loyalty.apply_numbering_plan() \g /dev/null
	INSERT INTO loyalty.numbering_plan (nir, estado) VALUES ('81', 'por cargar');
	SELECT concat_ws('|', :m, :'api_key', :'w', :'w2', :owner, :guest, :sale, :hold, :root_id, :late, :expired);
	});

# --- comparing -----------------------------------------------------------------

my $tables = q{SELECT t::regclass FROM pg_extension e, unnest(e.extconfig) t WHERE e.extname = 'loyalty' ORDER BY t::regclass::text};
my @tables = split /\n/, $stack->psql($tables);

# Number and digest of the rows of each table, by its name.  A program is another
# revision once its rules and limits have been restored, too.
sub contents
{
	my %where = @_;
	my $row = sub { $_[0] eq 'loyalty_internal.program' ? "(to_jsonb(t) - 'revision')" : 't' };
	return {map { $_ => $stack->psql("SELECT count(*) || ' rows, ' || coalesce(md5(string_agg(x, E'\\n' ORDER BY x)), '') FROM (SELECT @{[$row->($_)]}::text FROM $_ t) y (x)", %where) } @tables};
}

# What others see: the views, which compute.
sub answers
{
	my %where = @_;
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

$stack->psql(q{
	SELECT loyalty.customer_read(loyalty.load_sandbox(), 'individual_request', 'Api_KASU_Sandbox', 'CAMC880526HMCBNR04', 'Mail');
	SELECT loyalty.pay_policy(merchant_id, policy_id, '10', 'SPEI', 'R1', 'Api_KASU_Sandbox') FROM loyalty_internal.policy LIMIT 1;
	SELECT FROM loyalty.verify()});
my $dumped = contents();
my $dumped_answers = answers();
my $dumped_rights = rights();
is $stack->psql(q{
	SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_class c ON c.oid = d.objid
	WHERE e.extname = 'loyalty' AND d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'S')
	  AND c.oid <> ALL (e.extconfig)}), '', 'every table of the extension is marked for dumps';
unlike $dumped->{$_}, qr/^0 rows/, "$_ has something to lose" for @tables;

# --- dumping and restoring ----------------------------------------------------------

# Run a program of the server's; what it says on the standard error.
sub run_program
{
	my ($where, @command) = @_;
	my $err = '';
	my $fine = $stack->with_env(sub { IPC::Run::run(\@command, '<', '/dev/null', '>', '/dev/null', '2>', \$err) }, %$where);
	return $fine ? $err : "failed: $err";
}

# All that must be so in a restored database; changes it in the end.
sub check_restored
{
	my ($name, %where) = @_;
	my $restored = contents(%where);
	is $restored->{$_}, $dumped->{$_}, "$name: $_ is the same" for @tables;
	is answers(%where), $dumped_answers, "$name: the views answer the same";
	is rights(%where), $dumped_rights, "$name: owners and rights are the same";
	is $stack->psql('SELECT count(*) FROM loyalty.verify()', %where), '0', "$name: the ledger is sound";
	is $stack->psql("SELECT loyalty.authenticate('$key')", %where), $merchant, "$name: the API key still works";
	is $stack->psql("SELECT string_agg(loyalty.verify_staff_password($merchant, i, p)::text, ' ') FROM (VALUES (1, 'clave uno'), (2, 'clave dos'), (3, 'clave tres'), (1, 'clave dos')) v (i, p)", %where),
		'true true false false', "$name: passwords do";
	is $stack->psql(q{SELECT code, region, supported FROM loyalty.area_codes WHERE code IN ('477', '999', '222') ORDER BY 1}, %where) =~ s/(477\|)[^|]*/$1.../r,
		"222|Puebla|t\n477|...|f\n999|Mérida, corregida|t", "$name: edited area codes are in effect, shipped ones too";
	is $stack->psql("SELECT loyalty.is_fixed_line('3336140000'), loyalty.is_fixed_line('2222115999'), loyalty.is_fixed_line('2222116000')", %where), 't|t|f',
		"$name: fixed lines too";
	is $stack->psql("SELECT loyalty.check_receipt(loyalty.receipt($merchant, $owner, $root, $sale), root) FROM loyalty_internal.root", %where), 't', "$name: a receipt, with entries and their texts, fits the root of before";
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
is run_program({}, 'pg_dump', '-Fc', '-f', "$folder/loyalty.dump"), '', 'pg_dump, custom format';
is run_program({}, 'pg_dump', '-Fp', '-f', "$folder/loyalty.sql"), '', 'pg_dump, plain format';
is run_program({}, 'pg_dumpall', '--roles-only', '-f', "$folder/roles.sql"), '', 'pg_dumpall of the roles';
is run_program({}, 'createdb', '-T', 'template0', $_), '', "a database $_" for 'custom', 'plain';
is run_program({}, 'pg_restore', '--exit-on-error', '--single-transaction', '-d', 'custom', "$folder/loyalty.dump"), '', 'pg_restore';
is run_program({dbname => 'plain'}, 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$folder/loyalty.sql"), '', 'psql';
check_restored('custom', dbname => 'custom');
check_restored('plain', dbname => 'plain');

is_deeply contents(), $dumped, 'the database that was dumped is as it was';

# --- another server, which has never heard of the extension ------------------------------

my $elsewhere = Loyalty->start(level => 'cluster');
my %there = map { $_ => $elsewhere->env($_) } qw(PGPORT PGPASSWORD);
my %other = (port => $there{PGPORT}, password => $there{PGPASSWORD}, dbname => 'postgres');
is $stack->psql(q{SELECT count(*) FROM pg_roles WHERE rolname = 'loyalty_engine'}, %other), '0', 'another server has no role loyalty_engine';
is run_program({%other}, 'createdb', 'loyalty'), '', 'it gets an empty database';
$other{dbname} = 'loyalty';
# Whoever restores brings the roles that were given rights, but not ours.
$stack->psql('CREATE ROLE authenticator LOGIN NOINHERIT; CREATE ROLE web_anon NOLOGIN; GRANT web_anon TO authenticator', %other);
is run_program({%other}, 'pg_restore', '--exit-on-error', '--single-transaction', '-d', 'loyalty', "$folder/loyalty.dump"), '', 'pg_restore there';
is $stack->psql(q{SELECT rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'loyalty_engine'}, %other), 'f|f|f|f|f',
	'creates the role, which may do nothing by itself';
check_restored('elsewhere', %other);

is run_program({%other, dbname => 'postgres'}, 'createdb', 'again'), '', 'a second database there';
is run_program({%other, dbname => 'postgres'}, 'pg_restore', '--exit-on-error', '-d', 'again', "$folder/loyalty.dump"), '',
	'pg_restore where the role exists by now';
is_deeply contents(%other, dbname => 'again'), $dumped, 'restores every row too';
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
	my $bin = shift;
	return if system('grep', '-q', 'pg_attver', "$bin/postgres") == 0;
	$stack->psql("SET allow_system_table_mods = on; UPDATE pg_attribute SET attoptions = NULL WHERE attoptions::text LIKE '{pg_attver=%}'", dbname => $_)
		for qw(loyalty postgres template1);
	return;
}

$stack->psql("DROP DATABASE $_") for qw(custom plain);
my $new_bin = $ENV{LOYALTY_BIN} // $stack->bindir;
forget_column_options($new_bin);
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
run_in_folder("$new_bin/pg_ctl", '-D', $new_data, '-w', '-t', '600', '-m', 'fast', 'stop');

done_testing;

# A publication of all tables, with a subscriber that has the extension: every
# function goes on working on the publisher, and the subscriber has every row,
# reads it as the publisher does, and finds nothing broken.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Page;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $publisher = Loyalty->start(level => 'database');
my $subscriber = Loyalty->start(level => 'database');
$publisher->psql('ALTER SYSTEM SET wal_level = logical');
$publisher->restart_postgres;

# What is there before there is a subscriber is copied.
my ($merchant, $wallet) = split /\|/, $publisher->psql(q{
	SELECT loyalty.create_merchant('Panadería') AS m \gset
	SELECT wallet_key AS w FROM loyalty.create_program(:m, 'Monedero', 'P') \gset
	SELECT loyalty.set_area_code('477', true, 'León'), loyalty.set_area_code('570', true, 'Pruebas') \g /dev/null
	INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red)
	VALUES ('222', '100', '0000', '0999', 'FIJO'), ('222', '101', '0000', '0999', 'Fijo');
	SELECT loyalty.apply_numbering_plan() \g /dev/null
	SELECT loyalty.employee_add(:m, 'gerente', 'Ana Peña', 'Centro', '4771000001', 'clave uno') \g /dev/null
	SELECT loyalty.wallet_contact_add(:m, :'w', '477123450' || i, 'Contacto ' || i, 1) FROM generate_series(0, 9) i \g /dev/null
	SELECT loyalty.wallet_sale(:m, :'w', '477123450' || i, 0, 100, NULL, 1, 'T' || i, 'key-' || i) FROM generate_series(0, 9) i \g /dev/null
	SELECT concat_ws('|', :m, :'w')});
$publisher->psql('CREATE PUBLICATION everything FOR ALL TABLES');
my $address = $publisher->with_env(sub { "host=$ENV{PGHOST} port=$ENV{PGPORT} user=$ENV{PGUSER} password=$ENV{PGPASSWORD} dbname=$ENV{PGDATABASE}" });
$subscriber->psql("CREATE SUBSCRIPTION everything CONNECTION '$address' PUBLICATION everything");
ok $subscriber->wait_until(sub { $subscriber->psql(q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel}) eq 't' }), 'every table is copied';

# Tables, by name, with the number and the sum of their rows.
sub contents
{
	my $server = shift;
	my @tables = split /\n/, $server->psql(q{
		SELECT t::regclass FROM pg_extension e, unnest(e.extconfig) t WHERE e.extname = 'loyalty' ORDER BY t::regclass::text});
	return {map { ($_ => $server->psql("SELECT count(*), md5(string_agg(t::text, ';' ORDER BY t::text COLLATE \"C\")) FROM $_ t")) } @tables};
}

# Until the subscriber has what is committed.
sub follow
{
	my $written = $publisher->psql('SELECT pg_current_wal_lsn()');
	return ok $publisher->wait_until(sub {
		$publisher->psql("SELECT bool_and(replay_lsn >= '$written') FROM pg_stat_replication WHERE application_name = 'everything'") eq 't' }), 'the subscriber follows';
}

sub is_same
{
	my $what = shift;
	follow();
	return is_deeply contents($subscriber), contents($publisher), $what;
}

is_same('it has every row that was there');
is $subscriber->psql(q{SELECT string_agg(code || ' ' || region, ',' ORDER BY code) FROM loyalty.area_codes WHERE code IN ('222', '477', '570')}),
	'222 Puebla,477 León,570 Pruebas', 'area codes, its own and those of the publisher';

# A session of the subscriber remembers the program, and yet says what is valid now, whoever has changed it there or here, and however.
my $reader = $subscriber->connect_async;
my $simulate = "SELECT rule, points FROM loyalty.simulate($merchant, (SELECT min(account_id) FROM loyalty.members), '100') ORDER BY points";
sub is_read { my ($expected, $what) = @_; is $reader->query($simulate) =~ s/\n/, /r, $expected, $what; return }
is_read('|10', 'a program without rules');
$publisher->psql(qq{SELECT loyalty.publish_rules($merchant, loyalty.find_program($merchant, 'P'), '[{"name": "cinco", "points": 5}]')});
follow();
is_read('cinco|5, |10', 'with a rule that was published');
$publisher->psql("SET session_replication_role = replica; UPDATE loyalty_internal.rule SET points = '7'");
follow();
is_read('cinco|7, |10', 'that was changed past all triggers of the publisher');
$subscriber->psql("SET session_replication_role = replica; UPDATE loyalty_internal.rule SET points = '8'");
is_read('cinco|8, |10', 'and of the subscriber');
$subscriber->psql("ALTER TABLE loyalty_internal.$_ DISABLE TRIGGER ALL; ALTER TABLE loyalty_internal.$_ ENABLE TRIGGER ALL") for qw(program rule);
is_read('cinco|8, |10', q{that has no triggers for what is applied, as pg_restore --disable-triggers leaves them});
for my $points (6, 5)
{
	$publisher->psql("SET session_replication_role = replica; UPDATE loyalty_internal.rule SET points = '$points'");
	follow();
	is_read("cinco|$points, |10", 'still reads what was changed past those of the publisher');
}
$subscriber->psql('SELECT loyalty_internal.seal()');
$publisher->psql("UPDATE loyalty_internal.rule SET points = '9'; SELECT loyalty.publish_rules($merchant, loyalty.find_program($merchant, 'P'), '[]')");
follow();
is_read('|10', 'and that is gone');
$reader->close;

# Everything that writes, changes or deletes.  %1$s is the merchant, %2$s the wallet.
my @steps = map { [/^\s*(\w[^:]*): (.*)$/s] } split /\n\n/, <<'END';
members: SELECT loyalty.wallet_contact_add(%1$s, '%2$s', '5512345601', 'Nueva', 1), loyalty.seller_member_create(%1$s, 'P', 'Eva@Imagen.MX', 'Eva', 'Ríos', client_id => 'EVA')

identity: SELECT loyalty.identify_member(%1$s, member_id, email => 'x@y.mx', client_id => 'X') FROM loyalty.members WHERE phone::text = '5512345601'

taking out: SELECT loyalty.disable_member(%1$s, member_id) FROM loyalty.members WHERE phone::text = '4771234509'; SELECT loyalty.wallet_contact_add(%1$s, '%2$s', '4771234509', 'Contacto 9', 1)

blacklist: SELECT loyalty.blacklist_phone(%1$s, '4771234508', 'a'); SELECT loyalty.blacklist_phone(%1$s, '4771234508', 'b'); SELECT loyalty.unblacklist_phone(%1$s, '4771234508')

sales: SELECT loyalty.wallet_sale(%1$s, '%2$s', '4771234501', 0, 10.5, NULL, 1, 'T', 'a'), loyalty.wallet_sale(%1$s, '%2$s', '4771234501', 1, NULL, 2, 1, 'T', 'b')

corrections: SELECT loyalty.wallet_balance_update(%1$s, '%2$s', '4771234501', 0, 5, 1), loyalty.wallet_balance_update(%1$s, '%2$s', '4771234501', 1, 1, 1)

terms: SELECT loyalty.set_rank_ranges(%1$s, 'niveles', '{Oro}', '{5}'); SELECT loyalty.set_rank_ranges(%1$s, 'niveles', '{Plata,Oro}', '{5,100}'); SELECT loyalty.configure_program(%1$s, loyalty.find_program(%1$s, 'P'), json_build_object('duration_unit', 'month', 'duration_value', 1, 'range_group', 'niveles')); SELECT loyalty.configure_program(%1$s, loyalty.find_program(%1$s, 'P'), json_build_object('rank_window_value', 12))

rules: SELECT loyalty.publish_rules(%1$s, loyalty.find_program(%1$s, 'P'), '[{"name":"doble","multiplier":2,"max_day":10}]'); SELECT loyalty.wallet_sale(%1$s, '%2$s', '4771234502', 0, 100, NULL, 1)

limits: SELECT loyalty.set_limit(%1$s, loyalty.find_program(%1$s, 'P'), 'branch', 'add', '1000', 50), loyalty.set_limit(%1$s, loyalty.find_program(%1$s, 'P'), 'member', 'spend', '1000', NULL); SELECT loyalty.wallet_sale(%1$s, '%2$s', '4771234502', 0, 100, NULL, 1); SELECT loyalty.remove_limit(%1$s, loyalty.find_program(%1$s, 'P'), 'member', 'spend')

a batch: SELECT count(*) FROM loyalty.post_batch(%1$s, (SELECT array_agg(account_id ORDER BY account_id) FROM loyalty.members), '{deposit}', (SELECT array_agg('7'::loyalty.points) FROM loyalty.members))

a batch with new members: SELECT loyalty.seller_deposit(%1$s, '[{"programId":"P","amount":5,"comments":"x","member":{"email":"n@x.mx","firstName":"N","firstLastName":"N"}}]')

holds and refunds: SELECT loyalty.hold(%1$s, account_id, '3', release_at => now() + interval '1 hour'), loyalty.hold(%1$s, account_id, '2', release_at => now() + interval '1 hour') FROM loyalty.members WHERE phone::text = '4771234502'; SELECT loyalty.capture(%1$s, account_id, entry_id, '1') FROM loyalty.entries WHERE kind = 'hold' ORDER BY entry_no LIMIT 1; SELECT loyalty.release(%1$s, account_id, entry_id, in_full => true) FROM loyalty.entries WHERE kind = 'hold' ORDER BY entry_no DESC LIMIT 1; SELECT loyalty.reverse(%1$s, account_id, entry_id, reference => 'R1', in_full => true) FROM loyalty.entries WHERE kind = 'accrue' ORDER BY account_id LIMIT 1

sharing: SELECT loyalty.share_account(%1$s, (SELECT member_id FROM loyalty.members WHERE phone::text = '4771234503'), (SELECT member_id FROM loyalty.members WHERE phone::text = '4771234504')); SELECT loyalty.leave_account(%1$s, (SELECT member_id FROM loyalty.members WHERE phone::text = '4771234503'), '1')

expiry: SELECT loyalty.post(%1$s, account_id, 'deposit', '5', expires_at => clock_timestamp() + interval '0.2 s') FROM loyalty.members WHERE phone::text = '4771234505'; SELECT pg_sleep(0.3); SELECT loyalty.expire_due(%1$s)

staff: SELECT loyalty.create_branch(%1$s, 'Sur'); SELECT loyalty.set_staff_branch(%1$s, 1, branch_id) FROM loyalty_internal.branch WHERE name = 'Sur'; SELECT loyalty.employee_add(%1$s, 'cajero', 'Beto', 'CENTRO ', '4771000002', 'clave dos'); SELECT loyalty.set_staff_programs(%1$s, 2, ARRAY(SELECT program_id FROM loyalty.wallets WHERE wallet_key = '%2$s')); SELECT loyalty.set_staff_programs(%1$s, 2, every_program => true); SELECT loyalty.employee_disable(%1$s, '4771000002')

keys: SELECT loyalty.disable_api_key(%1$s, (loyalty.create_api_key(%1$s)).key_id); SELECT loyalty.enable_api_key(%1$s, max(key_id)) FROM loyalty.api_keys

quotas: SELECT loyalty.set_quota(%1$s, 'customers', 100); SELECT loyalty.wallet_contact_add(%1$s, '%2$s', '5512345602', 'Otra', 1); SELECT loyalty.add_quota(%1$s, 'customers', 10); SELECT loyalty.remove_quota(%1$s, 'customers')

messages: SELECT loyalty.acknowledge_message(%1$s, message_id, attempt) FROM loyalty.claim_messages(%1$s, 5); SELECT loyalty.forget_messages(%1$s, '0')

customers: SELECT loyalty.load_sandbox(); SELECT loyalty.create_customer(%1$s, loyalty.find_program(%1$s, 'P'), 'CAMC880526HMCBNR04', 'Carlos', 'Cabrera'); SELECT loyalty.block_customer(%1$s, 'CAMC880526HMCBNR04'); SELECT loyalty.delete_blocked_customers(%1$s, '0')

roots: SELECT loyalty.make_root(%1$s); SELECT loyalty.make_root(%1$s); SELECT loyalty.forget_roots(%1$s, (SELECT now() - max(made_at) FROM loyalty.roots))

idempotency keys: SELECT loyalty.forget_idempotency_keys(%1$s, '0')

numbering: SELECT loyalty.set_area_code('570', false); INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('33', '1000', '0', '9', 'x'), ('33', '1000', '0', '9', 'x'); UPDATE loyalty.numbering_plan SET tipo_red = 'FIJO'; DELETE FROM loyalty.numbering_plan WHERE ctid = '(0,1)'; SELECT loyalty.apply_numbering_plan()
END

for my $step (@steps)
{
	my ($name, $sql) = @$step;
	no warnings 'redundant';	# not each has a wallet
	my ($fine, undef, $error) = $publisher->try_psql(sprintf $sql, $merchant, $wallet);
	ok $fine, $name or diag $error;
}
cmp_ok scalar @steps, '>=', 20, 'all steps are read';
is_same('it has every row that is there now');

# The subscriber reads.
for my $query ("SELECT contact_name, contact_balance FROM loyalty.wallet_contact_get($merchant, '$wallet')",
	"SELECT loyalty.seller_member_get($merchant, 'P', 'EVA')", "SELECT loyalty.seller_member_list($merchant, 'P')",
	"SELECT client_id, balance, rank FROM loyalty.members WHERE loyalty.fold(email) = 'eva\@imagen.mx'",
	'SELECT s.* FROM loyalty.members m, loyalty.statement(m.merchant_id, m.account_id) s ORDER BY m.account_id, s.entry_no',
	'SELECT * FROM loyalty_internal.fixed_line_range', 'SELECT * FROM loyalty.limits', 'SELECT * FROM loyalty.rules')
{
	my $answer = $subscriber->psql($query);
	isnt $answer, '', "answers: $query";
	is $answer, $publisher->psql($query), 'as the publisher does';
}
is $subscriber->psql("SELECT * FROM loyalty.verify()"), '', 'nothing is broken there';
is $subscriber->psql("SELECT * FROM loyalty.verify_root($merchant)"), '', 'and all that the root has is';
is $subscriber->psql('SELECT count(*) FROM pg_stat_subscription WHERE subname = \'everything\' AND pid IS NOT NULL'), '1', 'its worker runs';
unlike $subscriber->server_log, qr/ERROR/, 'without an error';

# The publisher is lost: the subscriber goes on.
$subscriber->psql('ALTER SUBSCRIPTION everything DISABLE; ALTER SUBSCRIPTION everything SET (slot_name = NONE); DROP SUBSCRIPTION everything');
$publisher->psql(q{SELECT pg_drop_replication_slot('everything')});
my $sell = "SELECT loyalty.wallet_sale($merchant, '$wallet', '4771234501', 0, 100, NULL, 1, 'T', 'taken-over')";
is $subscriber->psql("$sell; $sell") =~ s/^(.*)\n\1$/$1/r, $subscriber->psql(q{SELECT balance FROM loyalty.members WHERE phone::text = '4771234501'}), 'a sale is posted there, once';
is $subscriber->psql('SELECT * FROM loyalty.verify()'), '', 'and nothing is broken';

# Columns of the ledger, for a database that knows nothing of the extension: the
# statements of docs/operate.md, but for the server.
my ($publishing, $subscribing) = map { $_->{text} } grep { $_->{text} =~ /PUBLICATION ledger|SUBSCRIPTION ledger/ } @{Page->new('docs/operate.md')->{blocks}};
$publisher->psql($publishing);
$subscriber->psql('CREATE DATABASE warehouse');
$subscriber->psql($subscribing =~ s/CONNECTION '.*?'/CONNECTION '$address'/r, dbname => 'warehouse');
my $sums = q{SELECT merchant_id, account_id, count(*), sum(amount::text::numeric), sum(money::text::numeric), min(posted_at), max(kind), string_agg(reference, ',' ORDER BY reference COLLATE "C") FROM loyalty.entry GROUP BY 1, 2 ORDER BY 1, 2};
ok $subscriber->wait_until(sub { $subscriber->psql($sums, dbname => 'warehouse') eq $publisher->psql($sums) }), 'a warehouse has the ledger, in numbers';
$publisher->psql($sell);
ok $subscriber->wait_until(sub { $subscriber->psql($sums, dbname => 'warehouse') eq $publisher->psql($sums) }), 'and what is added';
is $publisher->psql("SELECT loyalty.erase_member($merchant, member_id) FROM loyalty.members WHERE phone::text = '4771234501'"), 't', 'who is erased';
ok $subscriber->wait_until(sub { $subscriber->psql($sums, dbname => 'warehouse') eq $publisher->psql($sums) }), 'is erased there';
$subscriber->psql('DROP SUBSCRIPTION ledger', dbname => 'warehouse');

done_testing;

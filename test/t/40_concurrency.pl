# Many at once: the last points, quotas, idempotency keys, the outbox and
# passwords are given out once, and two merchants never meet.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use POSIX ();
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s', isolation => 'read committed');
my $key = $stack->env('LOYALTY_APIKEY');
my $wallet = $stack->env('LOYALTY_WALLET_KEY');
my $cashier = $stack->env('LOYALTY_USERTOOL_ID');
my $merchant = $stack->psql('SELECT merchant_id FROM loyalty_internal.merchant WHERE NOT sandbox');

# Run each piece of code in a process of its own, all released at one moment;
# what they return, as texts, in their order.
sub at_once
{
	my @pieces = @_;
	pipe my $gate, my $opener or die "pipe: $!\n";
	my @children;
	for my $piece (@pieces)
	{
		pipe my $in, my $out or die "pipe: $!\n";
		my $pid = fork // die "fork: $!\n";
		if (!$pid)
		{
			close $opener;
			sysread $gate, my $nothing, 1;
			my $text = eval { $piece->() } // "died: $@";
			utf8::encode($text) if utf8::is_utf8($text);
			print {$out} $text;
			close $out;
			POSIX::_exit(0);
		}
		close $out;
		push @children, [$pid, $in];
	}
	close $gate;
	close $opener;
	local $/;
	my @answers = map { my ($pid, $in) = @$_; my $text = <$in> // ''; waitpid $pid, 0; $text } @children;
	utf8::decode($_) for @answers;
	return @answers;
}

# "3 x this, 1 x that": how often there was each answer.
sub tally
{
	my %times;
	$times{$_}++ for @_;
	return join ', ', map { "$times{$_} x $_" } sort keys %times;
}

# One request of a merchant; the code of the answer.
sub request
{
	my ($path, $fields, %headers) = @_;
	my $answer = $stack->form($path, $fields, \%headers);
	return "$answer->{status} " . ($answer->{json}{code} // $answer->{body});
}

# One statement in a session of its own: what it says, or its code.
sub sql
{
	my $statement = shift;
	my $error = $stack->psql_error($statement) or return 'done';
	return $error->{detail} // "$error->{sqlstate} $error->{message}";
}

sub balance { my $phone = shift; return $stack->psql("SELECT balance FROM loyalty.members WHERE merchant_id = $merchant AND phone::text = '$phone'") }

sub register
{
	my ($phone, $points) = @_;
	$stack->psql("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '$phone', 'Cliente $phone', $cashier)");
	$stack->psql("SELECT loyalty.wallet_balance_update($merchant, '$wallet', '$phone', 0, $points, $cashier)") if $points;
	return;
}

sub redemption { my ($phone, $points) = @_; return {wallet_key => $wallet, phone => $phone, transaction_type => 1, points_used => $points, usertool_id => $cashier} }

sub redemption_sql
{
	my ($phone, $points, $idempotency_key) = @_;
	return "SELECT loyalty.wallet_sale($merchant, '$wallet', '$phone', 1, NULL, $points, $cashier, NULL, "
		. (defined $idempotency_key ? "'$idempotency_key'" : 'NULL') . ')';
}

sub sound { my $name = shift; return is $stack->psql('SELECT * FROM loyalty.verify()'), '', "$name: the ledger is sound" }

# --- the last points ------------------------------------------------------------

register('5511110001', 100);
is tally(at_once(map { sub { request('/wallet/sale', redemption('5511110001', 100)) } } 1 .. 20)),
	'1 x 200 new_sale_01, 19 x 400 wallet_redeem_10', '20 requests redeem the same 100 points: one gets them';
is balance('5511110001'), '0', 'nothing is left';

register('5511110002', 100);
is tally(at_once(map { sub { sql(redemption_sql('5511110002', 100)) } } 1 .. 20)), '1 x done, 19 x wallet_redeem_10',
	'20 SQL sessions do: one gets them';
is balance('5511110002'), '0', 'nothing is left';

register('5511110003', 100);
is tally(at_once(map { sub { request('/wallet/sale', redemption('5511110003', 7)) } } 1 .. 20)),
	'14 x 200 new_sale_01, 6 x 400 wallet_redeem_10', '20 requests of 7 points: 14 fit into 100';
is balance('5511110003'), '2', 'two points are left';
is $stack->psql("SELECT count(*), count(DISTINCT e.entry_no), max(e.entry_no) FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id)
	WHERE m.phone::text = '5511110003'"), '15|15|15', 'entries are numbered without gap';
register('5511110004', 100);
is tally(at_once(map { my $type = $_ % 2;
			sub { request('/wallet/balance/update', {wallet_key => $wallet, phone => '5511110004', transaction_type => $type,
						transaction_amount => 1, usertool_id => $cashier}) } } 1 .. 20)), '20 x 200 balance_update_01',
	'ten corrections up and ten down';
is balance('5511110004'), '100', 'none got lost';
sound('redemptions');

# --- one phone, one contact --------------------------------------------------------

{
	my @codes = at_once(map { sub { request('/wallet/contact/add',
				{wallet_key => $wallet, phone => '5511110010', customer_name => 'Ana', usertool_id => $cashier}) } } 1 .. 12);
	is scalar(grep { $_ eq '200 contact_add_01' } @codes), 1, 'of 12 registrations of a phone one succeeds';
	is scalar(grep { /^409 wallet_manager_(08|13)$/ } @codes), 11, 'the others are told that it is registered' or diag tally(@codes);
	is $stack->psql("SELECT count(*) FROM loyalty_internal.member WHERE phone::text = '5511110010'"), '1', 'it has one contact';
	is $stack->psql('SELECT count(*) FROM loyalty_internal.account a LEFT JOIN loyalty_internal.member m USING (merchant_id, account_id) WHERE m.member_id IS NULL'), '0',
		'the others left no account behind';
}

# --- idempotency ----------------------------------------------------------------------

{
	my @answers = at_once(map { sub { $stack->form('/wallet/sale', redemption('5511110003', 1), {'Idempotency-Key' => 'once'})->{body} } } 1 .. 10);
	like $answers[0], qr/"newBalance":1[,}]/, 'ten requests with one idempotency key are answered';
	is tally(@answers), "10 x $answers[0]", 'all with the same bytes';
	is balance('5511110003'), '1', 'one point is gone';
	is tally(at_once(map { my $n = $_; sub { sql(redemption_sql('5511110003', 1, $n % 2 ? 'odd' : 'even')) } } 1 .. 10)), '5 x done, 5 x wallet_redeem_10',
		'ten sessions with two keys for one point: all of one key have it';
	is balance('5511110003'), '0', 'the last point is gone';
	is $stack->psql(q{SELECT count(*) FROM loyalty_internal.idempotency_key WHERE key_digest IN (loyalty_internal.merchant_digest(merchant_id, 'odd'), loyalty_internal.merchant_digest(merchant_id, 'even'))}), '1', 'the key that failed is free again';
	is request('/wallet/sale', redemption('5511110003', 2), 'Idempotency-Key' => 'once'), '422 idempotency_key_reused', 'a used key is not for another request';
	my $hired = {type => 'cajero', employee_name => 'Una Vez', business_name => 'Norte', number => '4771000050', password => 'once-upon'};
	my @hirings = at_once(map { sub { $stack->form('/employee/add', $hired, {'Idempotency-Key' => 'hire'})->{body} } } 1 .. 6);
	is tally(@hirings), "6 x $hirings[0]", 'six requests hire one person, with one answer';
	like $hirings[0], qr/"success":true/, 'which is the good one';
	sound('idempotency');
}

# --- staff ---------------------------------------------------------------------------------

{
	my $hire = sub { my ($n, %other) = @_;
		return {type => 'cajero', employee_name => "Persona $n", business_name => "Sucursal $n", number => "47710001$n", password => "secret-$n", %other} };
	is tally(at_once(map { my $f = $hire->($_, password => 'the same'); sub { request('/employee/add', $f) } } 10, 11)),
		'1 x 200 toolusers_01, 1 x 409 err_toolusers_03', 'of two hirings with one password one succeeds';
	is tally(at_once(map { my $f = $hire->($_, employee_name => 'La Misma'); sub { request('/employee/add', $f) } } 12, 13)),
		'1 x 200 toolusers_01, 1 x 409 err_toolusers_03', 'and with one name';
	is tally(at_once(map { my $f = $hire->($_, number => '4771000199'); sub { request('/employee/add', $f) } } 14, 15)),
		'1 x 200 toolusers_01, 1 x 400 err_toolusers_04', 'and with one number';
	is tally(at_once(map { my $f = $hire->($_, business_name => 'Nueva'); sub { request('/employee/add', $f) } } 16 .. 19)),
		'4 x 200 toolusers_01', 'four into one new branch';
	is $stack->psql("SELECT count(*) FROM loyalty_internal.branch WHERE name = 'Nueva'"), '1', 'which there is once';
	is $stack->psql('SELECT count(*) = max(staff_id) AND count(DISTINCT staff_id) = count(*) FROM loyalty_internal.staff'), 't', 'ids count 1, 2, 3';
	is tally(at_once(map { sub { request('/employee/disable', {number => '4771000199'}) } } 1 .. 5)),
		'1 x 200 toolusers_01, 4 x 400 err_toolusers_04', 'of five who archive one person one succeeds';
}

# --- quotas -----------------------------------------------------------------------------------

# 80 attempts by eight sessions that each make ten, one after the other.
sub eighty
{
	my $statement = shift;
	my @outputs = at_once(map { my $session = $_; sub {
		my $connection = $stack->connect_async;
		my @codes = map { my $out = $connection->query($statement->($session, $_)); $out =~ /^DETAIL:  (\w+)$/m ? $1 : $out =~ /ERROR/ ? $out : 'done' } 1 .. 10;
		$connection->close;
		return join "\n", @codes;
	} } 1 .. 8);
	return tally(map { split /\n/ } @outputs);
}

sub quota { my $resource = shift; return $stack->psql("SELECT remaining FROM loyalty.quotas WHERE merchant_id = $merchant AND resource = '$resource'") }
sub set_quota { my ($resource, $n) = @_; $stack->psql("SELECT loyalty.set_quota($merchant, '$resource', $n)"); return }
sub remove_quota { my ($resource) = @_; $stack->psql("SELECT loyalty.remove_quota($merchant, '$resource')"); return }

register("551112000$_", 1000) for 1 .. 8;
set_quota('redemptions', 50);
is eighty(sub { redemption_sql("551112000$_[0]", 1) }), '50 x done, 30 x wallet_redeem_18', '80 attempts at 50 redemptions';
is quota('redemptions'), '0', 'none is left';
is $stack->psql("SELECT loyalty.sum(balance) FROM loyalty.members WHERE phone::text LIKE '551112000%'"), 8000 - 50, '50 points are gone';
is request('/wallet/sale', redemption('5511120001', 1)), '402 wallet_redeem_18', 'a request gets none either';
remove_quota('redemptions');

set_quota('customers', 50);
is eighty(sub { sprintf "SELECT loyalty.wallet_contact_add($merchant, '$wallet', '55222%05d', 'Cliente', $cashier)", $_[0] * 100 + $_[1] }),
	'50 x done, 30 x wallet_manager_18', '80 attempts at 50 customers';
is quota('customers'), '0', 'none is left';
is $stack->psql("SELECT count(*) FROM loyalty_internal.member WHERE phone::text LIKE '55222%'"), '50', '50 are registered';
remove_quota('customers');

set_quota('messages', 50);
my $messages = $stack->psql('SELECT count(*) FROM loyalty_internal.message');
is eighty(sub { redemption_sql("551112000$_[0]", 1) }), '50 x done, 30 x wallet_redeem_13', '80 attempts at 50 messages';
is quota('messages'), '0', 'none is left';
is $stack->psql('SELECT count(*) FROM loyalty_internal.message') - $messages, 50, '50 are in the outbox';
remove_quota('messages');
sound('quotas');

# Nobody waits for a colleague of the same merchant.
set_quota($_, 1000) for qw(redemptions messages customers);
{
	my @sessions = map { $stack->connect_async } 1 .. 6;
	my @answers;
	for my $i (0 .. $#sessions)
	{
		$sessions[$i]->query("SET lock_timeout = '2min'; BEGIN");
		push @answers, $sessions[$i]->query(redemption_sql("551112000@{[$i + 1]}", 1)) =~ /ERROR/ ? 'waited' : 'went on';
	}
	is tally(@answers), '6 x went on', 'six open transactions redeem, none waits for another';
	is $stack->connect_async->query("SET lock_timeout = '2min'; SELECT loyalty.wallet_contact_add($merchant, '$wallet', '5533330001', 'Cliente', $cashier) > 0"), 't',
		'nor does a registration';
	$_->query('ROLLBACK') for @sessions[0 .. 2];
	$_->query('COMMIT') for @sessions[3 .. 5];
	$_->close for @sessions;
}
is quota('redemptions'), '997', 'what was rolled back was given back';
is quota('messages'), '996', 'messages too';

# The last one is not refused while somebody who took it may still roll back.
set_quota('redemptions', 1);
{
	my ($first, $second) = map { $stack->connect_async } 1 .. 2;
	$first->query('BEGIN');
	like $first->query(redemption_sql('5511120001', 1)), qr/^[0-9.]+$/, 'a session takes the last redemption';
	$second->send(redemption_sql('5511120002', 1));
	my $waits = $stack->wait_until(sub {
		$stack->psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%5511120002%' AND pid <> pg_backend_pid()") });
	is $waits, '1', 'another waits to know';
	$first->query('ROLLBACK');
	like $second->receive, qr/^[0-9.]+$/, 'and gets it when it comes back';
	$_->close for $first, $second;
}
is quota('redemptions'), '0', 'now it is taken';
remove_quota($_) for qw(redemptions messages customers);

# --- the outbox ------------------------------------------------------------------------------------

{
	my $unsent = $stack->psql('SELECT count(*) FROM loyalty.outbox WHERE sent_at IS NULL');
	my @claims = at_once(map { sub {
		my ($connection, @ids) = ($stack->connect_async);
		while (my $some = $connection->query("SELECT message_id FROM loyalty.claim_messages($merchant, 7, '1 hour')")) { push @ids, $some }
		$connection->close;
		return join "\n", @ids;
	} } 1 .. 4);
	my @ids = map { split /\n/ } @claims;
	my %ids = map { $_ => 1 } @ids;
	is scalar @ids, $unsent, "four claimers got all $unsent messages";
	is scalar keys %ids, $unsent, 'none of them twice';
	is $stack->psql("SELECT count(*) FROM loyalty.claim_messages($merchant)"), '0', 'nothing is left to claim';

	my $message = $ids[0];
	$stack->psql("UPDATE loyalty_internal.message SET claimed_until = clock_timestamp() - interval '1 second' WHERE message_id = $message");
	is $stack->psql("SELECT message_id, attempt FROM loyalty.claim_messages($merchant)"), "$message|2", 'a lease that ended can be claimed again';
	is $stack->psql("SELECT loyalty.acknowledge_message($merchant, $message, 1)"), 'f', 'the first claimer cannot acknowledge it any more';
	is $stack->psql("SELECT loyalty.acknowledge_message($merchant + 1, $message, 2)"), 'f', 'another merchant cannot';
	is tally(at_once(map { sub { $stack->psql("SELECT loyalty.acknowledge_message($merchant, $message, 2)") } } 1 .. 4)), '3 x f, 1 x t',
		'of four who acknowledge, one does';
	is $stack->psql("SELECT sent_at IS NOT NULL AND claimed_until IS NULL FROM loyalty.outbox WHERE message_id = $message"), 't', 'it is sent';
	is $stack->psql("SELECT count(*) FROM loyalty.claim_messages($merchant)"), '0', 'and not claimed again';
}

# --- two merchants --------------------------------------------------------------------------------------

# The same names, phones and numbers on both sides.
my ($other, $other_key, $other_wallet, $other_cashier) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Café La Parroquia', 'https://laparroquia.example') AS m \gset
	SELECT api_key FROM loyalty.create_api_key(:m, 'demo') \gset
	SELECT wallet_key FROM loyalty.create_wallet(:m, 'Monedero La Parroquia') \gset
	SELECT loyalty.employee_add(:m, 'gerente', 'María Peña', 'Centro', '4771000001', 'clave one') \gset g_
	SELECT loyalty.employee_add(:m, 'cajero', 'José Núñez', 'Centro', '4771000002', 'clave two') \gset g_
	SELECT loyalty.employee_add(:m, 'cajero', 'Persona ' || i, 'Centro', '47710003' || i, 'clave three' || i) FROM generate_series(10, 29) i \g /dev/null
	SELECT loyalty.wallet_contact_add(:m, :'wallet_key', phone, 'Sofía', 2) FROM (VALUES ('4771234501'), ('5599990001')) v (phone) \g /dev/null
	SELECT concat_ws('|', :m, :'api_key', :'wallet_key', (SELECT max(staff_id) FROM loyalty_internal.staff WHERE merchant_id = :m))});
cmp_ok $other_cashier, '>', $stack->psql("SELECT max(staff_id) FROM loyalty_internal.staff WHERE merchant_id = $merchant"), 'the other merchant has a staff id that we lack';

# All of both, but for a merchant's own, and when keys were used.
sub contents
{
	my $id = shift;
	return $stack->psql(join ';', map { "SELECT md5(string_agg(r, ';' ORDER BY r)) FROM $_ t, LATERAL (SELECT (to_jsonb(t) - 'last_used_at')::text AS r) u WHERE merchant_id = $id" }
		'loyalty.entry', map { "loyalty_internal.$_" } qw(merchant api_key program branch staff staff_program account member blacklisted_phone quota message idempotency_key));
}

my ($ours, $theirs) = (contents($merchant), contents($other));
my $they = {apikey => $other_key};
my %sale = (transaction_type => 0, transaction_amount => 10, usertool_id => $cashier);
for my $case (
	# path, fields, what comes of it with the other's key
	['/wallet/contact/get', {wallet_key => $wallet}, '400 balance_get_02'],
	['/wallet/contact/get', {wallet_key => $wallet, phone => '4771234501'}, '400 balance_get_02'],
	['/wallet/contact/get', {wallet_key => $other_wallet, phone => '5511110001'}, '404 balance_get_04'],
	['/wallet/contact/add', {wallet_key => $wallet, phone => '5577770001', customer_name => 'X', usertool_id => 2}, '404 contact_add_07'],
	['/wallet/sale', {%sale, wallet_key => $wallet, phone => '4771234501'}, '404 new_sale_10'],
	['/wallet/sale', {%sale, wallet_key => $other_wallet, phone => '5511110001'}, '404 new_sale_12'],
	['/wallet/balance/update', {%sale, wallet_key => $wallet, phone => '4771234501'}, '404 balance_update_09'],
	['/wallet/balance/update', {%sale, wallet_key => $other_wallet, phone => '5511110001'}, '404 balance_update_10'],
	['/employee/disable', {number => '4771000050'}, '400 err_toolusers_04'])
{
	my ($path, $fields, $expected) = @$case;
	is request($path, $fields, %$they), $expected, "$path with the other's key: $expected";
}
for my $case (
	['/wallet/contact/add', {wallet_key => $wallet, phone => '5577770001', customer_name => 'X', usertool_id => $other_cashier}, '400 contact_add_06'],
	['/wallet/contact/add', {wallet_key => $other_wallet, phone => '5577770001', customer_name => 'X', usertool_id => $cashier}, '404 contact_add_07'],
	['/wallet/sale', {%sale, wallet_key => $wallet, phone => '4771234501', usertool_id => $other_cashier}, '403 new_sale_13'],
	['/wallet/sale', {%sale, wallet_key => $wallet, phone => '5599990001'}, '404 new_sale_12'],
	['/wallet/sale', {%sale, wallet_key => $other_wallet, phone => '4771234501'}, '404 new_sale_10'],
	['/wallet/balance/update', {%sale, wallet_key => $wallet, phone => '4771234501', usertool_id => $other_cashier}, '403 balance_update_11'],
	['/wallet/contact/get', {wallet_key => $other_wallet}, '400 balance_get_02'])
{
	my ($path, $fields, $expected) = @$case;
	is request($path, $fields), $expected, "$path with what is the other's: $expected";
}
is contents($merchant), $ours, 'nothing of ours has changed';
is contents($other), $theirs, 'nothing of theirs has changed';

is request('/wallet/sale', {%sale, wallet_key => $other_wallet, phone => '4771234501', usertool_id => 2}, %$they, 'Idempotency-Key' => 'once'), '200 new_sale_01',
	'the other sells to the same phone, under an idempotency key that we have used';
is contents($merchant), $ours, 'that changes nothing of ours';
is request('/employee/disable', {number => '4771000001'}, %$they), '200 toolusers_01', 'the other archives staff by a number that we have too';
is contents($merchant), $ours, 'ours stay';
$stack->psql("SELECT loyalty.blacklist_phone($other, '4771234501')");
is request('/wallet/sale', {%sale, wallet_key => $wallet, phone => '4771234501'}), '200 new_sale_01', 'their blacklist is not ours';
is request('/wallet/sale', {%sale, wallet_key => $other_wallet, phone => '4771234501', usertool_id => 2}, %$they), '403 wallet_redeem_14', 'but theirs';
$stack->psql("SELECT loyalty.set_quota($other, 'redemptions', 0)");
is request('/wallet/balance/update', {%sale, wallet_key => $wallet, phone => '4771234501'}), '200 balance_update_01', 'nor is their plan:';
is request('/wallet/sale', redemption('4771234501', 1)), '200 new_sale_01', 'we redeem';
is_deeply [map { $_->{contact_phone} } @{$stack->form('/wallet/contact/get', {wallet_key => $other_wallet}, $they)->{json}{result}}],
	['4771234501', '5599990001'], 'the other sees their own contacts only';
is scalar @{$stack->form('/toolusers/get', {}, $they)->{json}{result}}, $other_cashier, 'and their own staff';
is_deeply [map { $_->{wallet_key} } @{$stack->form('/wallet/get', {}, $they)->{json}{result}}], [$other_wallet], 'and their own wallet';

# The functions below HTTP take the merchant as an argument, and keep to it.
my ($account) = $stack->psql("SELECT account_id FROM loyalty_internal.member WHERE merchant_id = $merchant LIMIT 1");
for my $case (
	["SELECT * FROM loyalty.post($other, $account, 'deposit', '1')", 'unknown_account'],
	["SELECT loyalty.configure_program($other, loyalty.find_program($other, wallet_key => '$wallet'), json_build_object('name', 'Robado'))", 'unknown_object'],
	["SELECT loyalty.set_staff_programs($other, 1, ARRAY(SELECT program_id FROM loyalty.wallets WHERE wallet_key = '$wallet'))", 'unknown_object'],
	["SELECT loyalty.set_staff_programs($merchant, $other_cashier, every_program => true)", 'unknown_object'],
	["SELECT loyalty.disable_member($other, member_id) FROM loyalty.members WHERE merchant_id = $merchant AND phone::text = '4771234501'", 'unknown_object'],
	["SELECT loyalty.disable_api_key($other, (SELECT key_id FROM loyalty.api_keys WHERE merchant_id = $merchant))", 'unknown_object'],
	["SELECT loyalty.open_account($other, (SELECT program_id FROM loyalty_internal.program WHERE merchant_id = $merchant))", 'unknown_object'])
{
	my ($statement, $expected) = @$case;
	is sql($statement), $expected, ($statement =~ /loyalty\.(\w+)/)[0] . ' with what is another merchant\'s';
}
is $stack->psql("SELECT error FROM loyalty.post_batch($other, ARRAY[$account], '{deposit}', '{1}')"), 'unknown_account', 'nor does a batch reach over';
sound('at the end');

done_testing;

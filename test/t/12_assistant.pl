# 12_assistant.pl - the wallet provider's own client for assistants.
#
# It says "source": "mcp" in every body, and is served in its own dialect:
# further arrays in the answers, and corrections of which type 1 adds and 2
# takes.  Whoever does not say so gets what the document says, byte for byte.
use strict;
use warnings;
use utf8;

use Encode qw(decode);
use FindBin;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '10000r/s');
my $apikey = $stack->env('LOYALTY_APIKEY');
my $merchant = $stack->psql("SELECT loyalty.authenticate('$apikey')");
my $wallet = $stack->env('LOYALTY_WALLET_KEY');
my ($manager, $cashier) = split /\|/, $stack->psql("SELECT min(staff_id) FILTER (WHERE role = 'gerente'), min(staff_id) FILTER (WHERE role = 'cajero') FROM loyalty_internal.staff WHERE merchant_id = $merchant");

sub request
{
	my ($path, $body, %headers) = @_;
	return $stack->http_json('POST', $path, {'Content-Type' => 'application/json', apikey => $apikey, %headers}, JSON::PP->new->utf8->canonical->encode($body));
}
sub assistant { my ($path, $body, %headers) = @_; return request($path, {source => 'mcp', %$body}, %headers) }
sub shown { my $answer = shift; return "$answer->{status} " . decode('UTF-8', $answer->{body}) }

# What the client finds, in the order in which it looks.
subtest 'the client, from wallets to contacts' => sub {
	my $answer = assistant('/wallet/get', {});
	is $answer->{status}, 200, 'wallets';
	is_deeply $answer->{json}{wallets}, [{key => $wallet, name => 'Monedero La Parroquia', usertool_id => $manager}], 'key, name and who may operate it';
	like $answer->{body}, qr/"usertool_id":\d+\}/, 'as a number';
	my ($key, $user) = @{$answer->{json}{wallets}[0]}{qw(key usertool_id)};

	$answer = assistant('/wallet/contact/add', {wallet_key => $key, phone => '525544332211', customer_name => 'Lucía', usertool_id => $user});
	is shown($answer), '200 {"success":true,"message":"Contacto creado correctamente.","status":200,"code":"contact_add_01"}', 'a contact';
	my %change = (wallet_key => $key, phone => '525544332211', usertool_id => $user);
	is assistant('/wallet/balance/update', {%change, transaction_type => '1', transaction_amount => 50})->{json}{newBalance}, 50, '1 adds 50';
	is assistant('/wallet/balance/update', {%change, transaction_type => '2', transaction_amount => 20.5})->{json}{newBalance}, 29.5, '2 takes 20.5';
	$answer = assistant('/wallet/contact/get', {wallet_key => $key, phone => '525544332211'});
	is_deeply $answer->{json}{contacts}, [{phone => '5544332211', name => 'Lucía', balance => 29.5}], 'the contact';
	like $answer->{body}, qr/"balance":29\.5\}/, 'whose balance is a number';
	is_deeply assistant('/wallet/contact/get', {wallet_key => $key})->{json}{contacts},
		[{phone => '5512345602', name => 'Iñaki Gómez', balance => 0}, {phone => '5544332211', name => 'Lucía', balance => 29.5}, {phone => '4771234501', name => 'Sofía Hernández', balance => 0}], 'all contacts';
	is $stack->psql("SELECT string_agg(kind || ' ' || amount || ' by ' || staff_id, ', ' ORDER BY entry_no) FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id) WHERE m.phone::text = '5544332211'"),
		"adjust 50 by $manager, adjust -20.5 by $manager", 'what the ledger says';
};

# Each of the same bodies in the words of the document.
subtest 'everybody else is answered as documented' => sub {
	my $wallets = qq({"success":true,"result":[{"wallet_name":"Monedero La Parroquia","wallet_key":"$wallet","wallet_app_client":"https://laparroquia.example/monedero/$wallet","wallet_app_redeem":"https://laparroquia.example/canje/$wallet"}],"status":200,"code":"wallets_get_01"});
	my $contact = '{"success":true,"result":{"contact_name":"Lucía","contact_phone":"5544332211","contact_birthdate":null,"contact_balance":29.5},"status":200,"code":"balance_get_01"}';
	my %change = (wallet_key => $wallet, phone => '5544332211', usertool_id => $manager, transaction_amount => 1);
	my $balance = 29.5;
	for my $other ([], [source => 'MCP'], [source => ' mcp'], [source => 'mcp2'], [source => ''], [source => JSON::PP::null], [source => 1], [source => JSON::PP::true], [source => ['mcp']], [source => {mcp => 'mcp'}], [source => 'x' x 5000], [Source => 'mcp'])
	{
		my $name = JSON::PP->new->canonical->encode({@$other}) =~ s/x{20,}/x…/r;
		is shown(request('/wallet/get', {@$other})), "200 $wallets", "$name: wallets";
		is shown(request('/wallet/contact/get', {wallet_key => $wallet, phone => '5544332211', @$other})), "200 $contact", "$name: a contact";
		like decode('UTF-8', request('/wallet/contact/get', {wallet_key => $wallet, @$other})->{body}), qr/\A\{"success":true,"result":\[\{"contact_name":"Iñaki [^\]]*\],"status":200,"code":"balance_get_01"\}\z/, "$name: contacts";
		is request('/wallet/balance/update', {%change, transaction_type => '0', @$other})->{json}{newBalance}, $balance + 1, "$name: 0 adds";
		is request('/wallet/balance/update', {%change, transaction_type => '1', @$other})->{json}{newBalance}, $balance, "$name: 1 takes";
		is shown(request('/wallet/balance/update', {%change, transaction_type => '2', @$other})), '400 {"success":false,"message":"Tipo de transacción indefinido.","code":"balance_update_05","status":400}', "$name: 2 is nothing";
	}
	my %form = ('Content-Type' => 'application/x-www-form-urlencoded', apikey => $apikey);
	is shown($stack->http('POST', '/wallet/get', \%form, '')), "200 $wallets", 'a form';
	is_deeply $stack->http_json('POST', '/wallet/get', \%form, 'source=mcp')->{json}{wallets}[0]{key}, $wallet, 'a form that says the same is understood, too';
	is shown($stack->http('POST', '/wallet/get', {'Content-Type' => 'application/json', apikey => $apikey}, '{"source":"mcp","source":"x"}')), "200 $wallets", 'of two the last counts';
	is $stack->psql("SELECT loyalty.wallet_balance_update($merchant, '$wallet', '5544332211', 1, 1, $manager)"), $balance - 1, 'SQL is not an assistant';
	is $stack->psql("SELECT loyalty.wallet_balance_update($merchant, '$wallet', '5544332211', 0, 1, $manager)"), $balance, 'at all';
};

subtest 'what an assistant gets beside its own keys' => sub {
	my $key = qr/"wallet_key":"\Q$wallet\E"/;
	like assistant('/wallet/get', {})->{body}, qr/\A\{"success":true,"result":\[\{"wallet_name":"[^"]+",$key,"wallet_app_client":"[^"]+","wallet_app_redeem":"[^"]+"\}\],"status":200,"code":"wallets_get_01","wallets":\[\{[^\[\]]*\}\]\}\z/, 'the documented wallets';
	is shown(assistant('/wallet/contact/get', {wallet_key => $wallet, phone => '5544332211'})),
		'200 {"success":true,"result":{"contact_name":"Lucía","contact_phone":"5544332211","contact_birthdate":null,"contact_balance":29.5},"status":200,"code":"balance_get_01","contacts":[{"phone":"5544332211","name":"Lucía","balance":29.5}]}', 'the documented contact';
	is assistant('/toolusers/get', {})->{body}, request('/toolusers/get', {})->{body}, 'staff as documented';
	is assistant('/wallet/sale', {wallet_key => $wallet, phone => '5544332211', transaction_type => 0, transaction_amount => 10, usertool_id => $cashier})->{json}{newBalance}, 30.5, 'sales as documented: 0 earns';
	is assistant('/wallet/sale', {wallet_key => $wallet, phone => '5544332211', transaction_type => 1, points_used => 1, usertool_id => $cashier})->{json}{newBalance}, 29.5, '1 redeems';
	is assistant('/wallet/sale', {wallet_key => $wallet, phone => '5544332211', transaction_type => 2, points_used => 1, usertool_id => $cashier})->{json}{code}, 'new_sale_05', '2 is nothing';
};

subtest 'corrections' => sub {
	my %change = (wallet_key => $wallet, phone => '5544332211', usertool_id => $manager, transaction_amount => 1);
	my $code = sub { my $answer = assistant('/wallet/balance/update', {%change, @_}); return $answer->{json}{code} . ' ' . ($answer->{json}{newBalance} // '') };
	is $code->(transaction_type => $_->[0]), "balance_update_01 $_->[1]", "type $_->[2]" for [0, 30.5, 'number 0 adds'], ['0', 31.5, 'text 0 adds'], [1, 32.5, 'number 1 adds'], ['1', 33.5, 'text 1 adds'], [2, 32.5, 'number 2 takes'], ['2', 31.5, 'text 2 takes'];
	is $code->(transaction_type => $_), 'balance_update_05 ', "type $_ is nothing" for '3', '-1', '01', '11', '1.5', 'add', '', JSON::PP::true;
	is $code->(transaction_type => 2, transaction_amount => $_), 'balance_update_07 ', "amount $_" for -1, 0, '1e3', 'x', 1.001;
	is $code->(transaction_type => 2, transaction_amount => 1000), 'wallet_balance_update_07 ', 'more than there is';
	is assistant('/wallet/balance/update', {%change, transaction_type => 2}, 'Idempotency-Key' => 'k1')->{json}{newBalance}, 30.5, 'under a key';
	is assistant('/wallet/balance/update', {%change, transaction_type => 2}, 'Idempotency-Key' => 'k1')->{json}{newBalance}, 30.5, 'once';
	is request('/wallet/balance/update', {%change, transaction_type => 2}, 'Idempotency-Key' => 'k1')->{json}{code}, 'balance_update_05', 'the same without source is wrong';
	is request('/wallet/balance/update', {%change, transaction_type => 1}, 'Idempotency-Key' => 'k2')->{json}{newBalance}, 29.5, 'another takes by 1';
	is assistant('/wallet/balance/update', {%change, transaction_type => 1}, 'Idempotency-Key' => 'k2')->{json}{code}, 'idempotency_key_reused', 'which is not what an assistant means by it';
};

subtest 'phones with a country code' => sub {
	my %contact = (wallet_key => $wallet, customer_name => 'Raúl', usertool_id => $manager);
	is assistant('/wallet/contact/add', {%contact, phone => '5215598765432'})->{status}, 200, '521 and ten digits';
	is assistant('/wallet/contact/add', {%contact, phone => $_})->{json}{code}, 'wallet_manager_08', "$_ is the same" for '5598765432', '525598765432', 525598765432, 5215598765432, '+525598765432';
	is assistant('/wallet/contact/get', {wallet_key => $wallet, phone => $_})->{json}{contacts}[0]{name}, 'Raúl', "found as $_" for '5598765432', '525598765432', 5215598765432;
	is shown(assistant('/wallet/contact/add', {%contact, phone => $_})), '400 {"success":false,"message":"Teléfono con formato incorrecto.","code":"contact_add_04","status":400}', "$_ is no number of Mexico" for '12125550123', '34911234567', '551234567890123', '525', '9' x 15;
	is assistant('/wallet/contact/get', {wallet_key => $wallet, phone => '5512121212'})->{json}{code}, 'balance_get_04', 'a contact that is not there';
};

subtest 'who may operate a wallet' => sub {
	my $user = sub { my $name = shift; my ($found) = grep { $_->{name} eq $name } @{assistant('/wallet/get', {})->{json}{wallets}}; return $found->{usertool_id} // join ' ', sort keys %$found };
	my $second = $stack->psql("SELECT wallet_key FROM loyalty.create_wallet($merchant, 'Segundo', 5)");
	my $program = $stack->psql("SELECT program_id FROM loyalty.wallets WHERE wallet_key = '$wallet'");
	is $user->('Segundo'), $manager, 'a manager before a cashier';
	$stack->psql("SELECT loyalty.set_staff_programs($merchant, $manager, ARRAY[$program])");
	is $user->('Segundo'), $cashier, 'not one who is restricted to another';
	is $user->('Monedero La Parroquia'), $manager, 'who still operates that one';
	my $late = $stack->psql("SELECT loyalty.employee_add($merchant, 'gerente', 'Otra', 'Centro', '4771000009', 'una clave larga')");
	is $user->('Segundo'), $late, 'a manager who came later';
	$stack->psql("SELECT loyalty.employee_disable($merchant, '4771000009')");
	is $user->('Segundo'), $cashier, 'not one who is archived';
	$stack->psql("SELECT loyalty.set_staff_programs($merchant, $cashier, ARRAY[$program])");
	is $user->('Segundo'), 'key name', 'nobody: the key is absent';
	$stack->psql("SELECT loyalty.set_staff_programs($merchant, $_, every_program => true)") for $manager, $cashier;
	$stack->psql("INSERT INTO loyalty_internal.staff (merchant_id, staff_id, branch_id, role, name, number, password_digest, password_cost, restricted) SELECT $merchant, 1000 + i,
		(SELECT min(branch_id) FROM loyalty_internal.branch WHERE merchant_id = $merchant), 'cajero', 'Nadie ' || i, (5521000000 + i)::text::loyalty.phone, encode(sha256(i::text::bytea), 'hex'), 8192, i % 2 = 0
		FROM generate_series(1, 2000) i");
	my $read = $stack->psql(qq{SELECT set_config('request.headers', json_build_object('x-loyalty-method', 'POST', 'x-loyalty-uri', '/wallet/get', 'x-loyalty-type', 'application/json',
			'x-loyalty-key', (SELECT api_key FROM loyalty.create_api_key($merchant)))::text, false) \\g /dev/null
		BEGIN;
		SELECT loyalty_api.gateway('{"source":"mcp"}'::bytea) ->> 'code';
		SELECT sum(pg_stat_get_xact_tuples_returned(r) + pg_stat_get_xact_tuples_fetched(r))
		FROM (SELECT indrelid FROM pg_index UNION SELECT indexrelid FROM pg_index) i (r) WHERE pg_relation_filenode(r) IS NOT NULL AND r::regclass::text ~ 'loyalty_internal.staff';
		COMMIT;});
	like $read, qr/\Awallets_get_01\n\d{1,2}\z/, 'of very many staff some few are looked at';
	my $other = $stack->psql('SELECT loyalty.create_merchant(\'Sin nadie\')');
	my $key = $stack->psql("SELECT api_key FROM loyalty.create_api_key($other, 'x')");
	is shown(assistant('/wallet/get', {}, apikey => $key)), '200 {"success":true,"result":[],"status":200,"code":"wallets_get_01","wallets":[]}', 'a merchant without wallets';
};

# A request whose answer nobody waits for yet.
sub ask_for_wallets
{
	my $stack = shift;
	my $socket = IO::Socket::INET->new(PeerAddr => $stack->url =~ s{^http://}{}r) or die "connect: $@\n";
	my $body = '{"source":"mcp"}';
	print $socket join("\r\n", 'POST /wallet/get HTTP/1.1', 'Host: localhost', 'Connection: close', 'Content-Type: application/json',
		'apikey: ' . $stack->env('LOYALTY_APIKEY'), 'Content-Length: ' . length $body, '', $body);
	return $socket;
}

subtest 'errors' => sub {
	my $answer = assistant('/wallet/get', {}, apikey => 'nobody');
	is "$answer->{status} " . join(' ', map { $answer->{json}{$_} } qw(success code)), '401 0 auth_01', 'a wrong key';
	ok length $answer->{json}{message}, 'with a message';
	$answer = assistant('/wallet/contact/get', {wallet_key => 'nada'});
	is "$answer->{status} $answer->{json}{code}", '400 balance_get_02', 'an unknown wallet';
	my $limited = Loyalty->start(rate => '1r/s');
	# Some hundreds wait for their turn.
	my @sent = map { ask_for_wallets($limited) } 1 .. 700;
	my $refused = do { local $/; readline $sent[-1] };
	like $refused, qr{^HTTP/1\.1 429 }, 'too many requests';
	like $refused, qr/"code": "too_many_requests"/, 'are refused in the same form';
	like $refused, qr/^Retry-After: [1-9]\d*\r$/m, 'and told when to try again';
};

# The answer of a large wallet is read in one go, and the server keeps no more than it.
subtest 'all contacts of a large wallet' => sub {
	my $count = 100_000;
	my $large = $stack->psql("SELECT wallet_key FROM loyalty.create_wallet($merchant, 'Grande', 5)");
	$stack->psql("INSERT INTO loyalty_internal.member (merchant_id, member_id, program_id, account_id, phone, name, enrolled_by)
		SELECT $merchant, i, p.program_id, i, (5500000000 + i)::text::loyalty.phone, 'Contacto ' || i, $manager FROM loyalty_internal.program p, generate_series(1, $count) i WHERE p.wallet_key = '$large';
		INSERT INTO loyalty_internal.account (merchant_id, account_id, program_id) SELECT m.merchant_id, m.account_id, m.program_id FROM loyalty_internal.member m WHERE m.member_id <= $count; ANALYZE loyalty_internal.member; ANALYZE loyalty_internal.account");
	my ($documented, $answer) = map {
		$stack->http('POST', '/wallet/contact/get', {'Content-Type' => 'application/json', apikey => $apikey}, qq({"wallet_key":"$large"$_}))->{body};
	} '', ',"source":"mcp"';
	my ($result, $contacts) = $answer =~ /\A(.*),"contacts":\[(.*)\]\}\z/s;
	is "$result}", $documented, 'the documented part is as ever';
	my @documented = $documented =~ /\{"contact_name":("[^"]+"),"contact_phone":("\d+"),"contact_birthdate":null,"contact_balance":0\}/g;
	my @found = $contacts =~ /\{"phone":("\d+"),"name":("[^"]+"),"balance":0\}/g;
	is scalar @found, 2 * $count, 'all contacts are there';
	is join(',', map { @found[2 * $_ + 1, 2 * $_] } 0 .. $count - 1), join(',', @documented), 'in the same order';
};

is $stack->psql('SELECT * FROM loyalty.verify()'), '', 'the ledger is sound';

done_testing;

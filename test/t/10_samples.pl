# 10_samples.pl - unchanged clients of the Monedero document get its answers.
#
# The curl commands are run as the document prints them; what the samples in
# other languages put on the wire is sent byte by byte.  Bodies are compared as
# text: keys, their order, types and accents.
use strict;
use warnings;
use utf8;

use Encode qw(decode encode);
use FindBin;
use JSON::PP ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '10000r/s');
my $apikey = $stack->env('LOYALTY_APIKEY');
my $wallet = $stack->env('LOYALTY_WALLET_KEY');
my $cashier = $stack->env('LOYALTY_USERTOOL_ID');
my $merchant = $stack->psql("SELECT loyalty.authenticate('$apikey')");

my $form_type = 'application/x-www-form-urlencoded';

# --- what the document answers ------------------------------------------------

sub quoted { return defined $_[0] ? qq("$_[0]") : 'null' }

sub contact_json
{
	my ($name, $phone, $birth_date, $balance) = @_;
	return sprintf '{"contact_name":"%s","contact_phone":"%s","contact_birthdate":%s,"contact_balance":%s}',
		$name, $phone, quoted($birth_date), $balance;
}

sub staff_json
{
	my ($id, $name, $number, $branch, $type, $status) = @_;
	return qq({"usertool_id":$id,"usertool_name":"$name","usertool_number":"$number",)
		. qq("usertool_branch":"$branch","usertool_type":"$type","usertool_status":"$status"});
}

sub contacts_answer { return qq({"success":true,"result":$_[0],"status":200,"code":"balance_get_01"}) }

sub sale_answer
{
	return qq({"success":true,"message":"Venta creada correctamente.","newBalance":$_[0],"code":"new_sale_01","status":200});
}

sub update_answer
{
	return qq({"success":true,"message":"Saldo actualizado correctamente","newBalance":$_[0],"code":"balance_update_01","status":200});
}

sub employee_answer
{
	return qq({"success":true,"message":"Usuario creado con éxito.","collaboratorId":$_[0],"status":200,"code":"toolusers_01"});
}

my $contact_answer = '{"success":true,"message":"Contacto creado correctamente.","status":200,"code":"contact_add_01"}';
my $archive_answer = '{"success":true,"message":"Se archivó correctamente el usuario.","status":200,"code":"toolusers_01"}';

sub error_answer
{
	my ($status, $code, $message) = @_;
	return qq({"success":false,"message":"$message","code":"$code","status":$status});
}

my @demo_staff = (
	staff_json(1, 'María Peña', '4771000001', 'Centro', 'gerente', 'activo'),
	staff_json(2, 'José Núñez', '4771000002', 'Centro', 'cajero', 'activo'));

my $wallets_answer = qq({"success":true,"result":[{"wallet_name":"Monedero La Parroquia","wallet_key":"$wallet",)
	. qq("wallet_app_client":"https://laparroquia.example/monedero/$wallet",)
	. qq("wallet_app_redeem":"https://laparroquia.example/canje/$wallet"}],"status":200,"code":"wallets_get_01"});

# --- asking -------------------------------------------------------------------

# The answer has this status and, to the letter, this body.
sub answers
{
	my ($answer, $status, $body, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is "$answer->{status} " . decode('UTF-8', $answer->{body}), "$status $body", $name;
}

sub post
{
	my ($path, $type, $body, %headers) = @_;
	return $stack->http('POST', $path, {apikey => $apikey, ($type ? ('Content-Type' => $type) : ()), %headers}, $body);
}

sub post_json
{
	my ($path, $json, %headers) = @_;
	return post($path, 'application/json', $json, %headers);
}

# A phone that nobody has used yet.
my $last_phone = 4772000000;
sub new_phone { return ++$last_phone }

sub add_contact
{
	my ($wallet_key, $name) = @_;
	my $phone = new_phone();
	$stack->psql("SELECT loyalty.wallet_contact_add($merchant, '$wallet_key', '$phone', '$name', $cashier)");
	return $phone;
}

# --- the curl samples, as printed ----------------------------------------------

my %printed = map { m{"(/[a-z/]+)"} ? ($1 => $_) : () } split /\n/, <<'END';
curl -X POST "/toolusers/get" -H "apikey: your_apikey" -d ""
curl -X POST "/wallet/get" -H "apikey: your_apikey" -d ""
curl -X POST "/wallet/contact/add" -H "apikey: your_apikey" -d "wallet_key=your_wallet_key&phone=client_phone_number&customer_name=client_name&usertool_id=cashier_id"
curl -X POST "/wallet/contact/get" -H "apikey: your_apikey" -d "wallet_key=your_wallet_key"
curl -X POST "/wallet/sale" -H "apikey: your_apikey" -d "wallet_key=your_wallet_key&phone=client_phone_number&transaction_type=0&transaction_amount=1000&usertool_id=cashier_id"
curl -X POST "/wallet/balance/update" -H "apikey: your_apikey" -d "wallet_key=your_wallet_key&phone=client_phone_number&transaction_type=0&transaction_amount=1000&usertool_id=cashier_id"
curl -X POST "/employee/add" -H "apikey: your_apikey" -d "type=cajero&number=employee_number&employee_name=employee_name&business_name=business_name&password=employee_password"
curl -X POST "/employee/disable" -H "apikey: your_apikey" -d "type=cajero&number=employee_number&employee_name=employee_name&business_name=business_name&password=employee_password"
END

my %client = (
	your_apikey => $apikey,
	your_wallet_key => $wallet,
	client_phone_number => '4771234567',
	client_name => 'Ángela Ibáñez Güemes',
	cashier_id => $cashier,
	employee_number => '4771000003',
	employee_name => 'Begoña Muñoz',
	business_name => 'Jardín Álamos',
	employee_password => 'contraseña-3',
);

sub run_printed
{
	my $path = shift;
	my $command = $printed{$path};
	my $url = $stack->url;
	$command =~ s{"(/)}{"$url$1};
	$command =~ s{(?<=[=:])( ?)([a-z_]+)(?=[&"])}{$1 . ($client{$2} // $2)}ge;
	open my $pipe, '-|', encode('UTF-8', "$command 2>/dev/null") or die "curl: $!\n";
	local $/;
	my $body = <$pipe>;
	close $pipe or die "curl failed with $?\n";
	return decode('UTF-8', $body);
}

sub printed_answers
{
	my ($path, $body) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is run_printed($path), $body, "curl $path";
}

# Names in the order of the database's locale.
sub sorted { return split /\n/, $stack->psql('SELECT name FROM (VALUES ' . join(', ', map { "('$_')" } @_) . ') v (name) ORDER BY name') }

subtest 'the printed curl commands' => sub {
	my %contacts = (
		'Iñaki Gómez' => contact_json('Iñaki Gómez', '5512345602', undef, 0),
		'Sofía Hernández' => contact_json('Sofía Hernández', '4771234501', '1988-05-26', 0),
		'Ángela Ibáñez Güemes' => contact_json('Ángela Ibáñez Güemes', '4771234567', undef, 0));
	my @contacts = map { $contacts{$_} } sorted(keys %contacts);
	is scalar keys %printed, 8, 'there are eight of them';
	printed_answers('/toolusers/get', qq({"success":true,"result":[$demo_staff[0],$demo_staff[1]],"code":"tool_users_01"}));
	printed_answers('/wallet/get', $wallets_answer);
	printed_answers('/wallet/contact/add', $contact_answer);
	printed_answers('/wallet/contact/get', contacts_answer('[' . join(',', @contacts) . ']'));
	printed_answers('/wallet/sale', sale_answer(100));
	printed_answers('/wallet/balance/update', update_answer(1100));
	printed_answers('/employee/add', employee_answer(3));
	printed_answers('/employee/disable', $archive_answer);

	my $archived = staff_json(3, 'Begoña Muñoz', '4771000003', 'Jardín Álamos', 'cajero', 'archivado');
	printed_answers('/toolusers/get', qq({"success":true,"result":[$demo_staff[0],$demo_staff[1],$archived],"code":"tool_users_01"}));
	printed_answers('/wallet/contact/add', error_answer(409, 'wallet_manager_08', 'El usuario ya se encuentra registrado'));
	printed_answers('/employee/disable', error_answer(400, 'err_toolusers_04', 'Error al archivar el usuario.'));
};

is $stack->psql("SELECT loyalty.verify_staff_password($merchant, 1, 'contraseña-3')"), 'f', 'a password is no other\'s';

# --- what the other languages send ----------------------------------------------

sub escaped
{
	my ($text, $kept, $format) = @_;
	my $bytes = encode('UTF-8', $text);
	$bytes =~ s/([^$kept])/sprintf $format, ord $1/ge;
	return $bytes;
}

# How each puts a value into a form, and which headers it sends with it.
my %style = (
	PHP => {
		encode => sub { my $text = escaped($_[0], 'A-Za-z0-9_.\- ', '%%%02X'); $text =~ tr/ /+/; return $text },
		headers => ['Accept: */*', "Content-Type: $form_type"]},
	Ruby => {
		encode => sub { my $text = escaped($_[0], 'A-Za-z0-9*_.\- ', '%%%02X'); $text =~ tr/ /+/; return $text },
		headers => [
			'Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3', 'Accept: */*', 'User-Agent: Ruby',
			"Content-Type: $form_type"]},
	'.NET' => {
		encode => sub { return $_[0] },
		ascii => 1,
		headers => ["Content-Type: $form_type", 'Expect: 100-continue']},
	Node => {
		encode => sub { return escaped($_[0], 'A-Za-z0-9_.~\-', '%%%02X') },
		headers => ["content-type: $form_type"]},
	Python => {
		encode => sub { my $text = escaped($_[0], 'A-Za-z0-9_.~\- ', '%%%02X'); $text =~ tr/ /+/; return $text },
		headers => ['Accept-Encoding: gzip, deflate', 'Accept: */*', "Content-Type: $form_type"],
		empty_headers => ['Accept-Encoding: gzip, deflate', 'Accept: */*']},
	'lower-case escapes' => {
		encode => sub { return escaped($_[0], 'A-Za-z0-9_.~\-', '%%%02x') },
		headers => ["Content-Type: $form_type"]},
	'everything escaped, in both cases' => {
		encode => sub { my $n = 0; my $text = escaped($_[0], '\0', '%%%02X'); $text =~ s/(%..)/$n++ % 2 ? lc $1 : $1/ge; return $text },
		headers => ["Content-Type: $form_type; charset=UTF-8"]},
);

# The request exactly so, and the answer without its framing.
sub post_raw
{
	my ($path, $headers, $body) = @_;
	my $request = join "\r\n", "POST $path HTTP/1.1", 'Host: 127.0.0.1', "apikey: $apikey", @$headers,
		'Content-Length: ' . length $body, 'Connection: close', '', $body;
	my $answer = $stack->raw($request);
	$answer =~ s{\AHTTP/1\.1 100 .*?\r\n\r\n}{}s;
	my ($status, $head, $content) = $answer =~ m{\AHTTP/1\.1 (\d+) [^\r]*\r\n(.*?)\r\n\r\n(.*)\z}s or return {status => 0, body => $answer};
	if ($head =~ /^Transfer-Encoding: chunked/mi)
	{
		my $rest = $content;
		$content = '';
		$content .= substr $rest, 0, hex $1, '' while $rest =~ s/\A(?:\r\n)?([0-9a-fA-F]+)\r\n//;
	}
	return {status => $status, body => $content};
}

sub styled
{
	my ($style, $path, @fields) = @_;
	my @pairs;
	while (my ($name, $value) = splice @fields, 0, 2)
	{
		push @pairs, "$name=" . $style->{encode}->($value);
	}
	my $headers = !@pairs && $style->{empty_headers} || $style->{headers};
	return post_raw($path, $headers, join '&', @pairs);
}

my $last_staff = 3;

sub check_style
{
	my ($style, $title) = @_;
	my $number = $last_staff + 4771000001;
	my $phone = new_phone();
	my ($name, $branch) = $style->{ascii} ? ('Jose Nunez Lopez', 'Centro Norte') : ('Zoé "Ñoña" Cigüeña & Cía. 100%+', 'León / Álamos');
	my ($name_json, $staff_name) = ($name, "$name $title");
	$name_json =~ s/"/\\"/g;

	answers styled($style, '/wallet/get'), 200, $wallets_answer, 'no fields';
	answers styled($style, '/wallet/contact/add', wallet_key => $wallet, phone => $phone, customer_name => $name, usertool_id => $cashier),
		200, $contact_answer, 'a contact';
	answers styled($style, '/wallet/contact/get', wallet_key => $wallet, phone => $phone),
		200, contacts_answer(contact_json($name_json, $phone, undef, 0)), 'has the name that was sent';
	answers styled($style, '/wallet/sale', wallet_key => $wallet, phone => $phone, transaction_type => 0,
		transaction_amount => 1000, usertool_id => $cashier),
		200, sale_answer(100), 'a sale';
	answers styled($style, '/wallet/balance/update', wallet_key => $wallet, phone => $phone, transaction_type => 1,
		transaction_amount => '0.5', usertool_id => $cashier),
		200, update_answer(99.5), 'a correction';
	answers styled($style, '/employee/add', type => 'cajero', number => $number, employee_name => $staff_name,
		business_name => $branch, password => "$number secreto"),
		200, employee_answer(++$last_staff), 'staff';
	is $stack->psql("SELECT (name, branch) = (\$\$$staff_name\$\$, \$\$$branch\$\$) AND loyalty.verify_staff_password($merchant, staff_id, '$number secreto')"
		. " FROM loyalty.staff_members WHERE merchant_id = $merchant AND staff_id = $last_staff"), 't', 'have the name, branch and password that were sent';
	answers styled($style, '/employee/disable', number => $number), 200, $archive_answer, 'are archived';
	return;
}

for my $title (sort keys %style)
{
	subtest "as $title sends it" => sub { check_style($style{$title}, $title) };
}

# --- forms ---------------------------------------------------------------------

my $undefined_wallet = error_answer(400, 'balance_get_02', 'Llave de monedero indefinido.');
my $sofia = contacts_answer(contact_json('Sofía Hernández', '4771234501', '1988-05-26', 0));

for my $case (
	# body, the answer's body, what is shown
	['', $undefined_wallet, 'an empty body'],
	['&&&', $undefined_wallet, 'separators only'],
	['wallet_key', $undefined_wallet, 'a name without a value'],
	['wallet_key=', $undefined_wallet, 'an empty value'],
	['wallet_key=+%20', $undefined_wallet, 'a value of spaces'],
	["WALLET_KEY=$wallet", $undefined_wallet, 'names are case-sensitive'],
	["wallet_key=$wallet&phone=4771234501", $sofia, 'two fields'],
	["&wallet_key=$wallet&&phone=4771234501&", $sofia, 'needless separators'],
	["phone=4771234501&wallet_key=$wallet", $sofia, 'in another order'],
	["wallet_key=$wallet&phone=4771234501&apikey=x&limit=0&color=a%C3%B1il&x[]=1", $sofia, 'fields that nobody knows'],
	["wallet_key=nada&phone=5512345602&wallet_key=$wallet&phone=4771234501", $sofia, 'of repeated fields the last one counts'],
	["wallet_key=$wallet&phone=4771234501&wallet_key=", $undefined_wallet, 'the last one counts when it is empty, too'],
	["w%61llet%5Fkey=$wallet&phone=4771234501", $sofia, 'an escaped name'],
	["wallet_key=$wallet&phone=%2B52+477+123+4501", $sofia, 'a phone with country code and spaces'],
	["wallet_key=$wallet&phone=52-477-123-4501", $sofia, 'a phone with dashes'],
	)
{
	my ($body, $expected, $name) = @$case;
	my $status = $expected =~ /"success":true/ ? 200 : 400;
	answers post('/wallet/contact/get', $form_type, $body), $status, $expected, "form: $name";
}

for my $type ($form_type, "$form_type; charset=UTF-8", "$form_type;charset=utf-8", 'Application/X-WWW-Form-Urlencoded')
{
	answers post('/wallet/contact/get', $type, "wallet_key=$wallet&phone=4771234501"), 200, $sofia, "Content-Type: $type";
}
for my $type ('application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON;charset=UTF-8')
{
	answers post('/wallet/contact/get', $type, qq({"wallet_key":"$wallet","phone":"4771234501"})), 200, $sofia, "Content-Type: $type";
}
answers post_raw('/wallet/contact/get', [], "wallet_key=$wallet&phone=4771234501"), 200, $sofia, 'no Content-Type';
answers post('/wallet/contact/get', 'text/plain', "wallet_key=$wallet"), 415,
	error_answer(415, 'unsupported_media_type', 'the body is neither a form nor JSON'), 'Content-Type: text/plain';

# --- JSON ----------------------------------------------------------------------

my $fine_wallet = $stack->psql("SELECT wallet_key FROM loyalty.create_wallet($merchant, 'Fino', settings => json_build_object('decimals', 4))");

# The balance after adding each of the amounts, JSON texts, to a new contact.
sub adding
{
	my ($expected, @amounts) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $phone = add_contact($fine_wallet, 'Contador');
	my $answer;
	for my $amount (@amounts)
	{
		$answer = post_json('/wallet/balance/update', qq({"wallet_key":"$fine_wallet","phone":$phone,)
			. qq("transaction_type":0,"transaction_amount":$amount,"usertool_id":$cashier}));
	}
	return answers $answer, 200, update_answer($expected), 'JSON: ' . join(' + ', @amounts);
}

adding('0.3', ('0.1') x 3);
adding('0.3', ('"0.1"') x 3);
adding('0.3', '0.1', '0.2');
adding('1000.1', '1000.10');
adding('1000.1', '"1000.10"');
adding('1000', '"1000.0000"');
adding('0.0001', '0.0001');
adding('99999999999.9999', '"99999999999.9999"');
adding('99999999999.9999', '99999999999.9999');
adding('922337203685477.5807', '"922337203685477.5807"');
adding('9007199254740.9931', '"9007199254740.9931"');
adding('922337203685477', '922337203685477');
adding('922337203685477.5807', '922337203685477.5807');
adding('123456789012345.6789', '123456789012345.6789');
adding('1500', '1.5e3');

for my $amount ('"1e3"', '"+1"', '"-1"', '-1', '0', '"1,000"', '"0.00001"', '"922337203685477.5808"', '1e400', 'true', '[1]', '{"a":1}', '123456789012345.67891')
{
	my $answer = post_json('/wallet/balance/update', qq({"wallet_key":"$fine_wallet","phone":"4771234501",)
		. qq("transaction_type":0,"transaction_amount":$amount,"usertool_id":$cashier}));
	answers $answer, 400, error_answer(400, 'balance_update_07', 'Monto de transacción con formato incorrecto.'), "JSON: no amount is $amount";
}

subtest 'JSON with numbers and with strings' => sub {
	my $phone = new_phone();
	answers post_json('/wallet/contact/add', qq({"wallet_key":"$wallet","phone":$phone,"customer_name":"Nu\\u00f1o \\"el Rey\\"","usertool_id":$cashier,"customer_birthdate":"1990-02-28 10-30-00"})),
		200, $contact_answer, 'numbers';
	answers post_json('/wallet/contact/get', qq({"wallet_key":"$wallet","phone":$phone})),
		200, contacts_answer(contact_json('Nuño \\"el Rey\\"', $phone, '1990-02-28', 0)), 'are stored as they were';
	answers post_json('/wallet/sale', qq({"wallet_key":"$wallet","phone":"$phone","transaction_type":"0","transaction_amount":"250.50","usertool_id":"$cashier","otro":[1,{"a":null}]})),
		200, sale_answer('25.05'), 'strings, and a member that nobody knows';
	answers post_json('/wallet/sale', qq({"wallet_key":"$wallet","phone":$phone,"transaction_type":1,"transaction_amount":null,"points_used":25.05,"usertool_id":$cashier})),
		200, sale_answer('0'), 'null is absent';
	my $wallets = decode('UTF-8', $stack->form('/wallet/get')->{body});
	answers post_json('/wallet/get', ''), 200, $wallets, 'no body';
	answers post_json('/wallet/get', '{}'), 200, $wallets, 'an empty object';
	answers post_json('/wallet/get', '[]'), 400, error_answer(400, 'malformed_request', 'the request cannot be decoded'), 'no object';
};

# --- contacts --------------------------------------------------------------------

subtest 'contacts as a list and one by one' => sub {
	my $empty = $stack->psql("SELECT wallet_key FROM loyalty.create_wallet($merchant, 'Vacío')");
	answers $stack->form('/wallet/contact/get', {wallet_key => $empty}), 200, contacts_answer('[]'), 'no contacts';
	answers $stack->form('/wallet/contact/get', {wallet_key => $empty, phone => '4771234501'}), 404,
		error_answer(404, 'balance_get_04', 'El contacto no se encuentra registrado en el monedero.'), 'no contact';
	my $phone = add_contact($empty, 'Única');
	my $contact = contact_json('Única', $phone, undef, 0);
	answers $stack->form('/wallet/contact/get', {wallet_key => $empty}), 200, contacts_answer("[$contact]"), 'a list of one';
	answers $stack->form('/wallet/contact/get', {wallet_key => $empty, phone => ''}), 200, contacts_answer("[$contact]"), 'an empty phone asks for all';
	answers $stack->form('/wallet/contact/get', {wallet_key => $empty, phone => $phone}), 200, contacts_answer($contact), 'one object';
	$stack->psql("SELECT loyalty.disable_member(merchant_id, member_id) FROM loyalty.members JOIN loyalty.wallets USING (merchant_id, program_id) WHERE wallet_key = '$empty' AND phone::text = '$phone'");
	answers $stack->form('/wallet/contact/get', {wallet_key => $empty}), 200, contacts_answer('[]'), 'who was taken out is not listed';
};

subtest 'a wallet of many contacts' => sub {
	my ($many, $n) = ($stack->psql("SELECT wallet_key FROM loyalty.create_wallet($merchant, 'Grande', settings => json_build_object('decimals', 4))"), 3000);
	# Everybody shares a name with somebody: then the phone decides.
	$stack->psql("SELECT count(loyalty.wallet_contact_add($merchant, '$many', (5520000000 + i)::text,"
		. " 'Cliente ' || lpad((i * 1237 % 1500)::text, 4, '0'), $cashier)) FROM generate_series(0, $n - 1) i");
	$stack->psql("SELECT count(loyalty.wallet_balance_update($merchant, '$many', (5520000000 + i)::text, 0, i / 1000.0, $cashier))"
		. " FROM generate_series(1, $n - 1) i");
	my @contacts = sort { $a->[0] cmp $b->[0] || $a->[1] <=> $b->[1] }
		map { [sprintf('Cliente %04d', $_ * 1237 % 1500), 5520000000 + $_, undef, $_ / 1000] } 0 .. $n - 1;
	my $expected = contacts_answer('[' . join(',', map { contact_json(@$_) } @contacts) . ']');
	my $answer = $stack->form('/wallet/contact/get', {wallet_key => $many});
	is scalar @{$answer->{json}{result}}, $n, 'all of them';
	ok decode('UTF-8', $answer->{body}) eq $expected, 'by name and phone, each with its balance';
};

# --- decimals and rounding ---------------------------------------------------------

my @roundings = qw(half_up half_even down up);
for my $case (
	# percentage, decimals, amount of the sale, points by half_up, half_even, down, up
	[10, 0, '25', 3, 2, 2, 3],
	[10, 0, '35', 4, 4, 3, 4],
	[10, 0, '21', 2, 2, 2, 3],
	[10, 0, '29.99', 3, 3, 2, 3],
	[10, 0, '30', 3, 3, 3, 3],
	[10, 2, '0.25', '0.03', '0.02', '0.02', '0.03'],
	[10, 2, '1234.5', '123.45', '123.45', '123.45', '123.45'],
	['12.3456', 4, '10', '1.2346', '1.2346', '1.2345', '1.2346'],
	['0.5', 4, '0.03', '0.0002', '0.0002', '0.0001', '0.0002'],
	['0.5', 4, '0.01', '0.0001', '0', '0', '0.0001'],
	['0.0001', 4, '150', '0.0002', '0.0002', '0.0001', '0.0002'],
	['0.0001', 4, '0.0001', '0', '0', '0', '0.0001'],
	[0, 4, '100', 0, 0, 0, 0],
	[1000, 0, '99999999999.9999', '1000000000000', '1000000000000', '999999999999', '1000000000000'],
	)
{
	my ($percentage, $decimals, $amount, @points) = @$case;
	my @got;
	for my $rounding (@roundings)
	{
		my $key = $stack->psql("SELECT wallet_key FROM loyalty.create_wallet($merchant, 'R', $percentage, settings => json_build_object('decimals', $decimals, 'rounding', '$rounding'))");
		my $answer = $stack->form('/wallet/sale', {wallet_key => $key, phone => add_contact($key, 'R'), transaction_type => 0,
			transaction_amount => $amount, usertool_id => $cashier});
		push @got, decode('UTF-8', $answer->{body});
	}
	is_deeply \@got, [map { sale_answer($_) } @points], "$percentage % of $amount, $decimals decimals, by @roundings";
}

# --- PostgREST ----------------------------------------------------------------------

my $rest = $stack->env('POSTGREST_URL');

# The same contact is dealt with by path and by function: the answers differ
# in nothing but what is counted.
sub check_functions
{
	my ($encode, $type) = @_;
	my %field = (wallet_key => $wallet, usertool_id => "$cashier");
	my ($phone, $number) = (new_phone(), $last_staff + 4771000001);
	my $call = sub {
		my ($function, %fields) = @_;
		return post("$rest/rpc/$function", $type, $encode->(%fields));
	};
	my $staff = $stack->form('/toolusers/get')->{body};

	answers $call->('toolusers_get'), 200, decode('UTF-8', $staff), 'toolusers_get';
	answers $call->('wallet_get'), 200, decode('UTF-8', $stack->form('/wallet/get')->{body}), 'wallet_get';
	answers $call->('wallet_contact_add', %field, phone => $phone, customer_name => 'Íñigo Ñ', customer_birthdate => '2000-02-29'),
		200, $contact_answer, 'wallet_contact_add';
	answers $call->('wallet_contact_get', wallet_key => $wallet, phone => $phone),
		200, contacts_answer(contact_json('Íñigo Ñ', $phone, '2000-02-29', 0)), 'wallet_contact_get of one';
	my $all = $stack->form('/wallet/contact/get', {wallet_key => $wallet})->{body};
	answers $call->('wallet_contact_get', wallet_key => $wallet), 200, decode('UTF-8', $all), 'wallet_contact_get of all';
	answers $call->('wallet_sale', %field, phone => $phone, transaction_type => '0', transaction_amount => '1000', ticket => 'A-1'),
		200, sale_answer(100), 'wallet_sale, type 0';
	answers $call->('wallet_sale', %field, phone => $phone, transaction_type => '1', points_used => '50.25'),
		200, sale_answer('49.75'), 'wallet_sale, type 1';
	answers $call->('wallet_balance_update', %field, phone => $phone, transaction_type => '1', transaction_amount => '49.75'),
		200, update_answer(0), 'wallet_balance_update';
	answers $call->('employee_add', type => 'gerente', number => "$number", employee_name => "Íñigo $type", business_name => 'Centro', password => "clave $type"),
		200, employee_answer(++$last_staff), 'employee_add';
	answers $call->('employee_disable', number => "$number"), 200, $archive_answer, 'employee_disable';
	answers $call->('employee_disable', number => "$number"), 400, error_answer(400, 'err_toolusers_04', 'Error al archivar el usuario.'), 'a refusal';
	answers $call->('wallet_sale'), 400, error_answer(400, 'new_sale_02', 'Llave de monedero indefinido.'), 'no arguments';
	return;
}

subtest 'the named functions, form' => sub { check_functions(\&Loyalty::form_encode, $form_type) };
subtest 'the named functions, JSON' => sub {
	check_functions(sub { return JSON::PP->new->canonical->utf8->encode({@_}) }, 'application/json');
};
answers $stack->http('POST', "$rest/rpc/wallet_get", {'Content-Type' => 'application/json'}, '{}'), 401,
	error_answer(401, 'auth_01', 'Usuario no autorizado'), 'the named functions need a key';

subtest 'OpenAPI' => sub {
	my $paths = $stack->http_json('GET', "$rest/")->{json}{paths};
	my %arguments = (
		toolusers_get => [],
		wallet_get => [],
		wallet_contact_add => [qw(customer_birthdate customer_name phone usertool_id wallet_key)],
		wallet_contact_get => [qw(phone wallet_key)],
		wallet_sale => [qw(phone points_used ticket transaction_amount transaction_type usertool_id wallet_key)],
		wallet_balance_update => [qw(phone transaction_amount transaction_type usertool_id wallet_key)],
		employee_add => [qw(business_name employee_name number password type)],
		employee_disable => [qw(number)]);
	my @ours = grep { ($paths->{$_}{post}{description} // '') =~ /Monedero document/ } keys %$paths;
	is_deeply [sort @ours], [sort map { "/rpc/$_" } keys %arguments], 'the eight functions';
	for my $function (sort keys %arguments)
	{
		my $post = $paths->{"/rpc/$function"}{post};
		my ($body) = grep { ($_->{in} // '') eq 'body' } @{$post->{parameters}};
		like $post->{summary}, qr/^\S.{5,60}$/, "$function has a summary";
		like $post->{description}, qr{Same as POST /[a-z/]+ of the Monedero document}, "$function has a description";
		is_deeply [sort keys %{$body->{schema}{properties} // {}}], $arguments{$function}, "$function has its parameters";
	}
};

# --- idempotency -----------------------------------------------------------------------

my $reused = error_answer(422, 'idempotency_key_reused', 'the idempotency key was already used for a different request');
my $invalid_key = error_answer(400, 'invalid_idempotency_key', 'the idempotency key is not valid');

sub keyed
{
	my ($key, $path, %fields) = @_;
	return $stack->form($path, \%fields, {'Idempotency-Key' => $key});
}

sub entries_of
{
	my $phone = shift;
	return $stack->psql("SELECT count(*) FROM loyalty.entries JOIN loyalty.members USING (merchant_id, account_id)"
		. " WHERE phone::text = '$phone'");
}

# The document's usual answer, twice, by one request under one key.
sub retried
{
	my ($key, $body, $path, %fields) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	answers keyed($key, $path, %fields), 200, $body, "$path";
	return answers keyed($key, $path, %fields), 200, $body, "$path again";
}

my %sale = (wallet_key => $wallet, transaction_type => 0, transaction_amount => 1000, usertool_id => $cashier);

subtest 'a sale under a key' => sub {
	my $phone = add_contact($wallet, 'Repetida');
	my %mine = (%sale, phone => $phone);
	my $key = 'venta-1';
	retried($key, sale_answer(100), '/wallet/sale', %mine);
	is entries_of($phone), 1, 'is posted once';
	answers keyed('venta-2', '/wallet/sale', %mine), 200, sale_answer(200), 'another key posts another';
	answers keyed($key, '/wallet/sale', %mine), 200, sale_answer(100), 'and the first answer stays';
	answers post_json('/wallet/sale', JSON::PP->new->utf8->encode(\%mine), 'Idempotency-Key' => $key), 200, sale_answer(100), 'the same as JSON';
	answers post("$rest/rpc/wallet_sale", 'application/json', JSON::PP->new->utf8->encode({map { $_ => "$mine{$_}" } keys %mine}),
		'Idempotency-Key' => $key), 200, sale_answer(100), 'the same by the named function';
	for my $change ([transaction_amount => 1001], [transaction_type => 1], [phone => '4771234501'], [usertool_id => 1], [ticket => 'A'])
	{
		my %other = (%mine, points_used => 1, @$change);
		answers keyed($key, '/wallet/sale', %other), 422, $reused, "with another $change->[0] it is another request";
	}
	answers keyed($key, '/wallet/balance/update', %mine), 422, $reused, 'on another path it is another request';
	is entries_of($phone), 2, 'nothing else was posted';
};

subtest 'a failed request can be tried again under its key' => sub {
	my $phone = new_phone();
	my %mine = (%sale, phone => $phone);
	my $key = 'intento';
	answers keyed($key, '/wallet/sale', %mine), 404,
		error_answer(404, 'new_sale_12', 'El contacto no se encuentra registrado en el monedero.'), 'nobody has the phone';
	is $stack->psql("SELECT count(*) FROM loyalty_internal.idempotency_key WHERE key_digest = loyalty_internal.merchant_digest(merchant_id, '$key')"), 0, 'the key is free';
	$stack->psql("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '$phone', 'Tardía', $cashier)");
	retried($key, sale_answer(100), '/wallet/sale', %mine);
	is entries_of($phone), 1, 'one entry';
};

subtest 'keys work for every operation that writes' => sub {
	my $phone = new_phone();
	my $number = $last_staff + 4771000001;
	my %staff = (type => 'cajero', number => $number, employee_name => 'Dos Veces', business_name => 'Centro', password => 'una-vez');
	retried('alta', $contact_answer, '/wallet/contact/add', wallet_key => $wallet, phone => $phone, customer_name => 'Nueva', usertool_id => $cashier);
	is $stack->psql("SELECT count(*) FROM loyalty.outbox JOIN loyalty.members USING (merchant_id, member_id) WHERE phone::text = '$phone'"), 1, 'one welcome';
	retried('ajuste', update_answer('10.5'), '/wallet/balance/update', wallet_key => $wallet, phone => $phone, transaction_type => 0,
		transaction_amount => '10.50', usertool_id => $cashier);
	retried('canje', sale_answer('0.5'), '/wallet/sale', wallet_key => $wallet, phone => $phone, transaction_type => 1, points_used => 10, usertool_id => $cashier);
	is entries_of($phone), 2, 'two entries';
	retried('empleo', employee_answer(++$last_staff), '/employee/add', %staff);
	answers keyed('empleo', '/employee/add', %staff, employee_name => 'Otra'), 422, $reused, 'another name is another request';
	retried('archivo', $archive_answer, '/employee/disable', number => $number);
};

subtest 'keys of two merchants' => sub {
	my $other = $stack->psql("SELECT loyalty.create_merchant('Vecino', 'https://vecino.example')");
	my $other_apikey = $stack->psql("SELECT api_key FROM loyalty.create_api_key($other)");
	my $other_wallet = $stack->psql("SELECT wallet_key FROM loyalty.create_wallet($other, 'Vecino', 5)");
	my $other_staff = $stack->psql("SELECT loyalty.employee_add($other, 'cajero', 'Vecina', 'Centro', '4771000002', 'clave v')");
	my $phone = add_contact($wallet, 'Compartida');
	$stack->psql("SELECT loyalty.wallet_contact_add($other, '$other_wallet', '$phone', 'Compartida', $other_staff)");
	answers keyed('venta-1000', '/wallet/sale', %sale, phone => $phone), 200, sale_answer(100), 'one merchant';
	answers $stack->form('/wallet/sale', {%sale, wallet_key => $other_wallet, usertool_id => $other_staff, phone => $phone},
		{apikey => $other_apikey, 'Idempotency-Key' => 'venta-1000'}), 200, sale_answer(50), 'the other one';
	answers keyed('venta-1000', '/wallet/sale', %sale, phone => $phone), 200, sale_answer(100), 'the first one again';
};

subtest 'what can be a key' => sub {
	my $phone = add_contact($wallet, 'Llaves');
	my $balance = 0;
	for my $key ('x', 'a/b?c=d&e%20~', 'k' x 200, '0f8fad5b-d9cb-469f-a165-70867728950e')
	{
		retried($key, sale_answer($balance += 100), '/wallet/sale', %sale, phone => $phone);
	}
	for my $key ('two words', 'k' x 201, 'k' x 300, "\x{f1}", "tab\there")
	{
		my $shown = length $key > 20 ? length($key) . ' characters' : "\"$key\"";
		answers post_raw('/wallet/sale', ["Content-Type: $form_type", "Idempotency-Key: $key"], Loyalty::form_encode(%sale, phone => $phone)),
			400, $invalid_key, "not $shown";
		next if $key =~ /[^ -~]/;
		answers post("$rest/rpc/wallet_sale", $form_type, Loyalty::form_encode(%sale, phone => $phone), 'Idempotency-Key' => $key),
			400, $invalid_key, "not $shown, by the named function";
	}
	is entries_of($phone), 4, 'what was refused is not posted';
};

is $stack->psql('SELECT count(*) FROM loyalty.verify()'), 0, 'the books are in order';

done_testing;

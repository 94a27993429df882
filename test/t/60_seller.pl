# 60_seller.pl - the seller API: the samples of the IKNIU document, programs,
# members and balances, over HTTP, as functions with named parameters, in SQL.
#
# Answers are compared as text, so that keys are spelled and ordered as printed
# and values have the printed types.  Batches are in 61_seller_batch.pl.
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

my $stack = Loyalty->start(rate => '100000r/s');
my $key = $stack->env('LOYALTY_APIKEY');
my $wallet = $stack->env('LOYALTY_WALLET_KEY');
my $cashier = $stack->env('LOYALTY_USERTOOL_ID');
my $merchant = $stack->psql("SELECT loyalty.authenticate('$key')");

# Another merchant, with the same ids.
my ($other, $other_key) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Otro') AS m \gset
	SELECT api_key FROM loyalty.create_api_key(:m, 'otro') \gset
	SELECT concat_ws('|', :m, :'api_key')});

sub quote { my $text = shift; return 'NULL' unless defined $text; $text =~ s/'/''/g; return "'$text'" }

sub create_program
{
	my ($client_id, %terms) = @_;
	my $program = $stack->psql("SELECT program_id FROM loyalty.create_program($merchant, 'Programa $client_id', '$client_id')");
	$stack->psql(Loyalty::configure($merchant, $program, %terms)) if %terms;
	return $client_id;
}

# The member's id in the engine.
sub create_member
{
	my ($program, $client_id, $email) = @_;
	return $stack->psql("SELECT loyalty.seller_member_create($merchant, '$program', " . quote($email // "$client_id\@correo.example") . ", 'Ana', 'Ruiz', client_id => " . quote($client_id) . ") ->> 'id'");
}

# --- asking and comparing ---------------------------------------------------------

# PostgreSQL puts blanks between the parts of an object.
sub plain
{
	my $text = shift;
	$text = decode('UTF-8', $text);
	$text =~ s/" : /":/g;
	$text =~ s/, (?=["\{])/,/g;
	return $text;
}

sub ask
{
	my ($method, $path, $body, %headers) = @_;
	$body = JSON::PP->new->utf8->canonical->encode($body) if ref $body;
	return $stack->http_json($method, "/v1/seller/$key$path", {defined $body ? ('Content-Type' => 'application/json') : (), %headers}, $body);
}

sub get { my ($path) = @_; return ask('GET', $path) }
sub shown { my $answer = shift; return "$answer->{status} " . plain($answer->{body}) }
sub refusal { my ($status, $description) = @_; return qq($status {"status":"error","description":"$description"}) }

my %refusals = (
	program => refusal(404, 'El programa no existe'),
	member => refusal(404, 'El miembro no existe en el programa'),
	key => refusal(401, 'Usuario no autorizado'),
	path => refusal(404, 'nothing is served at this path'),
	method => refusal(405, 'this path does not serve this method'),
	body => refusal(400, 'the request cannot be decoded'),
	type => refusal(415, 'the body is neither a form nor JSON'),
	items => refusal(400, 'Se espera un objeto JSON o un arreglo de objetos'),
	exists => refusal(409, 'Ya existe un miembro con el mismo email, clientId o teléfono'),
	rank => refusal(400, 'El rango no existe en el programa'),
	inactive => refusal(400, 'El programa no está activo'),
);
sub missing { return refusal(400, "Falta un campo obligatorio: $_[0]") }
sub invalid { return refusal(400, "Un campo no tiene el tipo o el formato esperado: $_[0]") }

sub answers
{
	my ($answer, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is $stack->tell_entries(shown($answer)), $expected, $name;
}

# What is created, by table; changes when anything is.
my $looks = $stack->connect_async;
sub contents
{
	return $looks->query(join ';', map { "SELECT count(*), md5(string_agg(t::text, ';' ORDER BY t::text)) FROM $_ t" }
		'loyalty.entry', map { "loyalty_internal.$_" } qw(merchant program account reservation reversal member member_address idempotency_key message));
}

my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;

# --- the printed samples ------------------------------------------------------------

subtest 'the document\'s samples, as printed' => sub {
	create_program('1510730993239');
	create_program('10730993221', accumulation_points => 1, accumulation_money => 30);
	my $deposit_account = create_member('1510730993239', 'CM1521587084121');
	my $accumulation_account = create_member('10730993221', 'CM157084120011');

	my $deposit = <<'END';
    [
        {
        "programId": "1510730993239",
        "memberId": "CM1521587084121",
        "amount": "1000",
        "comments": "Prueba",
        "concept": "Prueba",
        "reference": "1232132",
        "currency": "MXN"
        }
    ]
END
	my $accumulation = <<'END';
[
    {
        "programId": "10730993221",
        "memberId": "CM157084120011",
        "amount": "1000",
        "reference": "1234567890",
        "comments": "Puntos de prueba",
        "amountCurrency": "MXN"
    }
]
END
	answers(ask('POST', '/deposit', $deposit), qq(200 [{"transactionid":"entry 1 of $deposit_account","status":"success","description":"","programId":"1510730993239","memberId":"CM1521587084121","totalPoints":100}]),
		'the deposit: 1000 pesos at 10 for 100');
	answers(ask('POST', '/accumulation', $accumulation), qq(200 [{"transactionid":"entry 1 of $accumulation_account","status":"success","description":"","programId":"10730993221","memberId":"CM157084120011","totalPoints":33.33}]),
		'the accumulation: 1000 pesos at 1 for 30');
	# what curl -d sends when nobody names a type
	answers(ask('POST', '/deposit', $deposit, 'Content-Type' => 'application/x-www-form-urlencoded'),
		qq(200 [{"transactionid":"entry 2 of $deposit_account","status":"success","description":"","programId":"1510730993239","memberId":"CM1521587084121","totalPoints":200}]), 'the same, called a form');
	answers(ask('POST', '/redemption', [{programId => '1510730993239', memberId => 'CM1521587084121', amount => 150, comments => 'x', amountCurrency => 150}]),
		qq(200 [{"transactionId":"entry 3 of $deposit_account","status":"success","description":"","programId":"1510730993239","memberId":"CM1521587084121","totalPoints":50}]),
		'a redemption spells transactionId with a capital letter');
	answers(ask('POST', '/redemption', [{programId => '1510730993239', memberId => 'CM1521587084121', amount => 150, comments => 'x', amountCurrency => 150}]),
		'200 [{"transactionId":"","status":"error","description":"El miembro no tiene puntos suficientes","programId":"1510730993239","memberId":"CM1521587084121","totalPoints":0}]',
		'one that fails has all keys too');
	is $stack->psql("SELECT kind, amount, money, reference, detail FROM loyalty.entries WHERE account_id = $deposit_account AND entry_no = 1"),
		'accrue|100|1000|1232132|{"comments":"Prueba","concept":"Prueba","currency":"MXN"}', 'what came with the deposit is kept';
	is $stack->psql("SELECT kind, amount, money, reference, detail FROM loyalty.entries WHERE account_id = $accumulation_account"),
		'accrue|33.33|1000|1234567890|{"comments":"Puntos de prueba","amountCurrency":"MXN"}', 'and with the accumulation';

	# Crear miembro, and what is printed but the required fields
	my $empty = <<'END';
{
    "email": "",
    "firstName": "",
    "firstLastName": "",
    "rank": "",
    "clientId": "",
    "subscriptionDate": "",
    "country": ""
}
END
	answers(ask('POST', '/program/1510730993239/member', $empty), missing('email'), 'the empty member lacks an email');
	(my $filled = $empty) =~ s/("email": )""/$1"maria\@correo.example"/;
	answers(ask('POST', '/program/1510730993239/member', $filled), missing('firstName'), 'then a first name');
	$filled =~ s/("firstName": )""/$1"María José"/;
	answers(ask('POST', '/program/1510730993239/member', $filled), missing('firstLastName'), 'then a last name');
	$filled =~ s/("firstLastName": )""/$1"Núñez"/;
	like shown(ask('POST', '/program/1510730993239/member', $filled)),
		qr/^201 \{"id":"\d+","clientId":"CM\d{13}","firstName":"María José","firstLastName":"Núñez","secondLastName":"","email":"maria\@correo.example","birthDate":"","subscriptionDate":"$time","rank":\{"name":""\},"balance":0,"expiredAmount":0,"address":\[\]\}$/,
		'with these it is created; every printed key is there, in the printed order';
	(my $known = $filled) =~ s/("clientId": )""/$1"CM0000000000001"/;
	$known =~ s/maria\@/marta\@/;
	$known =~ s/("subscriptionDate": )""/$1"2018-03-20T17:44:44.121Z"/;
	$known =~ s/("country": )""/$1"México"/;
	like shown(ask('POST', '/program/1510730993239/member', $known)),
		qr/^201 \{"id":"\d+","clientId":"CM0000000000001",.*"subscriptionDate":"2018-03-20T17:44:44\.121Z","rank":\{"name":""\},"balance":0,"expiredAmount":0,"address":\[\{"street":"","numberInside":"","numberOutside":"","postcode":\{"country":\{"name":"México"\},"state":\{"name":""\},"city":\{"name":""\}\}\}\]\}$/,
		'all of the printed body; the country is an address';
	like shown(get('/program/1510730993239/member')), qr/^200 \[\{"id":"\d+","firstName":"Ana","clientId":"CM1521587084121","firstLastName":"Ruiz","secondLastName":"","email":"[^"]+","birthDate":"","subscriptionDate":"$time","rank":\{"name":""\},"balance":50,"expiredAmount":0,"address":\[\]\},\{"id":"\d+","firstName":"María José","clientId":"CM\d+",.*\}\]$/,
		'the list has its own order of keys, as printed';
	like shown(get('/program/1510730993239/member/CM1521587084121')), qr/^200 \{"id":"$deposit_account","clientId":"CM1521587084121","firstName":"Ana","firstLastName":"Ruiz",.*"balance":50,"expiredAmount":0,"address":\[\]\}$/,
		'one member';
	answers(get('/program/1510730993239/member/CM1521587084121/balance'), '200 {"programId":"1510730993239","memberId":"CM1521587084121","balance":50,"expiredAmount":0}', 'the balance');
};

# --- programs ---------------------------------------------------------------------------

subtest 'programs' => sub {
	$stack->psql("SELECT loyalty.set_rank_ranges($merchant, 'Metales', '{Bronce,Plata}', '{0,1000}')");
	create_program('P1', name => 'Café Ñandú', managed_by => 'ana', accumulation_points => 1, accumulation_money => 30,
		redemption_points => 10, redemption_money => 0.5, decimals => 0, rounding => 'down', currency_iso => 'USD',
		currency_name => 'Dólar', currency_change => 18.5, unit_name => 'Granos', unit_base => 0,
		duration_name => 'Un año', duration_unit => 'year', duration_value => 1, range_group => 'Metales');
	my $id = $stack->psql("SELECT program_id FROM loyalty.programs WHERE client_id = 'P1' AND merchant_id = $merchant");
	my $expected = qr/\{"seller":"$merchant","user":"ana","rangeGroup":"Metales","currency":\{"iso":"USD","name":"Dólar","change":18\.5,"status":true\},"unit":\{"name":"Granos","base":false,"status":true\},"redemptionBase":\{"value":0\.5,"balance":"10"\},"accumulationBase":\{"balance":"1","value":30\},"durationPointsUnitTime":\{"name":"Un año","unitType":"year","value":1\},"name":"Café Ñandú","clientId":"P1","status":"active","createdAt":"$time","updatedAt":"$time","id":"$id"\}/;
	like shown(get('/program/P1')), qr/^200 $expected$/, 'every attribute, as it was set';
	my $list = get('/program');
	like shown($list), qr/^200 \[.*\}\]$/, 'the list is an array';
	like shown($list), qr/,$expected\]/, 'of the same objects, oldest first';
	is_deeply [map { $_->{clientId} } @{$list->{json}}], [split /\n/, $stack->psql("SELECT client_id FROM loyalty_internal.program WHERE merchant_id = $merchant ORDER BY created_at, program_id")],
		'all of the merchant, none of another';
	$stack->psql(Loyalty::configure($merchant, "loyalty.find_program($merchant, 'P1')", active => 0, currency_active => 0, unit_active => 0));
	my $program = get('/program/P1')->{json};
	is_deeply [$program->{status}, map { $program->{$_}{status} ? 'on' : 'off' } qw(currency unit)], ['inactive', 'off', 'off'], 'an inactive program is shown as such';
	answers(get('/program/P2'), $refusals{program}, 'a program that does not exist');
	answers(get('/program/p1'), $refusals{program}, 'an id in another case');
	answers($stack->http_json('GET', "/v1/seller/$other_key/program"), '200 []', 'a merchant without programs');
	my $wallet_program = $stack->env('LOYALTY_PROGRAM_ID');
	like shown(get("/program/$wallet_program")), qr/"name":"Monedero La Parroquia","clientId":"\d{13}","status":"active"/, 'a wallet is a program with a generated id';
};

# --- members --------------------------------------------------------------------------------

subtest 'creating members' => sub {
	$stack->psql("SELECT loyalty.set_rank_ranges($merchant, 'Niveles', '{Base,Oro}', '{0,1000}')");
	create_program('M', range_group => 'Niveles');
	create_program('N');
	my $number = 0;
	my $create = sub {
		my (%fields) = @_;
		$number++;
		my %member = (email => "m$number\@correo.example", firstName => 'Ana', firstLastName => 'Ruiz', %fields);
		delete @member{grep { !defined $member{$_} } keys %member};
		return ask('POST', '/program/M/member', \%member);
	};
	my $has = sub {
		my ($fields, $attributes, $name) = @_;
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		my $answer = $create->(%$fields);
		is_deeply [$answer->{status}, map { ref $answer->{json} eq 'HASH' ? $answer->{json}{$_} : $answer->{body} } sort keys %$attributes],
			[201, map { $attributes->{$_} } sort keys %$attributes], $name;
	};

	my $all = $create->(email => 'Lucía.Ñ@correo.example', firstName => 'Lucía', firstLastName => 'Íñiguez', secondLastName => '😀', birthDate => '1990-02-28', clientId => 'C/1 é',
		rank => 'Oro', subscriptionDate => '2020-01-31', country => 'México', phone => '55 1234 5678',
		address => [{street => 'Juárez', numberInside => '2-B', numberOutside => '10', postcode => {country => {name => 'México'}, state => {name => 'Jalisco'}, city => {name => 'Tequila'}}},
			{street => 'Otra', extra => 1}]);
	my $attributes = '"clientId":"C/1 é","firstName":"Lucía","firstLastName":"Íñiguez","secondLastName":"😀","email":"Lucía.Ñ@correo.example","birthDate":"1990-02-28","subscriptionDate":"2020-01-31T00:00:00.000Z","rank":{"name":"Oro"},"balance":0,"expiredAmount":0,'
		. '"address":[{"street":"Juárez","numberInside":"2-B","numberOutside":"10","postcode":{"country":{"name":"México"},"state":{"name":"Jalisco"},"city":{"name":"Tequila"}}},{"street":"Otra","numberInside":"","numberOutside":"","postcode":{"country":{"name":""},"state":{"name":""},"city":{"name":""}}}]}';
	is_deeply [shown($all) =~ /^(201) \{"id":"\d+",(.*)$/], [201, $attributes], 'with every field';
	is_deeply [shown(get('/program/M/member/C%2F1%20%C3%A9')) =~ /^(200) \{"id":"\d+",(.*)$/], [200, $attributes], 'it can be read back';
	is $stack->psql("SELECT name, phone FROM loyalty.members WHERE client_id = 'C/1 é'"), 'Lucía Íñiguez 😀|5512345678', 'the whole name, and the phone';

	# the required fields, in their order
	for my $field (qw(email firstName firstLastName))
	{
		answers($create->($field => $_->[1]), missing($field), "$field: $_->[0]") for ['absent', undef], ['null', JSON::PP::null], ['empty', ''], ['blanks', "  \t"];
	}
	# all fields, of types that are none of theirs
	for my $field (qw(email firstName firstLastName secondLastName birthDate birthdate clientId memberId rank subscriptionDate country phone))
	{
		answers($create->($field => $_->[1]), invalid($field), "$field: $_->[0]") for ['an array', ['x']], ['an object', {name => 'x'}];
	}
	answers($create->($_ => 'x' x 1025), $refusals{body}, "$_: 1025 bytes") for qw(email secondLastName clientId country);
	$has->({clientId => 'x' x 1024}, {clientId => 'x' x 1024}, 'a client id of 1024 bytes');
	$has->({clientId => 12345}, {clientId => '12345'}, 'a client id that is a number');

	for my $case (
		['an object', {street => 'x'}], ['an empty object', {}], ['a string', 'Juárez 10'], ['an object as a string', '{"street":"x"}'], ['broken JSON as a string', '[{'], ['a number', 5], ['true', JSON::PP::true],
		['a long string', 'x' x 2000])
	{
		answers($create->(address => $case->[1]), invalid('address'), "address: $case->[0]");
	}
	is $create->(address => '[{"street":"Juárez"}]')->{json}{address}[0]{street}, 'Juárez', 'an array as a string, as a form has it';
	$has->({address => $_->[1]}, {address => []}, "address: $_->[0]") for ['an empty array', []], ['null', JSON::PP::null], ['empty', ''];

	# dates
	$has->({$_->[0] => $_->[1]}, {birthDate => $_->[2]}, "$_->[0] $_->[1]") for ['birthdate', '1990-02-28', '1990-02-28'], ['birthDate', '2000-02-29', '2000-02-29'],
		['birthDate', '1988-05-26 13-30-00', '1988-05-26'], ['birthDate', '1988-05-26T13:30:00', '1988-05-26'],
		['birthDate', '1900-01-01', '1900-01-01'], ['birthDate', ($stack->psql(q{SELECT to_char(CURRENT_DATE, 'YYYY-MM-DD')})) x 2];
	$has->({birthdate => '1990-01-01', birthDate => '1991-01-01'}, {birthDate => '1991-01-01'}, 'both spellings: the printed one counts');
	answers($create->(birthDate => $_), invalid('birthDate'), "birthDate $_") for qw(1990-02-29 1990-13-01 1990-1-1 28/02/1990 ayer 19900228 1990-02-28x 0000-01-01 0001-01-01 1899-12-31 2099-01-01 9999-12-31), $stack->psql('SELECT CURRENT_DATE + 2');
	$has->({subscriptionDate => $_->[0]}, {subscriptionDate => $_->[1]}, "subscriptionDate $_->[0]") for
		['2018-03-20', '2018-03-20T00:00:00.000Z'], ['2018-03-20T17:44:44Z', '2018-03-20T17:44:44.000Z'], ['2018-03-20 17:44:44', '2018-03-20T17:44:44.000Z'],
		['2018-03-20T17:44:44.1219Z', '2018-03-20T17:44:44.121Z'], ['2018-03-20T17:44:44-06:00', '2018-03-20T23:44:44.000Z'],
		['2018-03-20T23:44:44.5+05:30', '2018-03-20T18:14:44.500Z'], ['1900-01-01', '1900-01-01T00:00:00.000Z'], ['2199-12-31T23:59:59Z', '2199-12-31T23:59:59.000Z'], ['1899-12-31T23:00:00-01:00', '1900-01-01T00:00:00.000Z'], ['2024-02-29T23:59:59-00:01', '2024-03-01T00:00:59.000Z'];
	answers($create->(subscriptionDate => $_), invalid('subscriptionDate'), "subscriptionDate $_") for
		'2018-03-20T', '2018-03-20T25:00:00', '2018-03-20T17:60:00Z', '2018-03-20T17:44:44+6', '2018-03-20T17:44:44+16:00', '2018-03-20T17:44:44 Z', '2018-02-30', '20 de marzo', '1521567884121',
		'1899-12-31T23:59:59Z', '1900-01-01T00:00:00+00:01', '2200-01-01', '2199-12-31T23:59:59-00:01', '0001-01-01T00:00:00+15:59', '9999-12-31T23:59:59-15:59';

	# ranks
	$has->({rank => 'Base'}, {rank => {name => 'Base'}}, 'a rank of the group');
	$has->({}, {rank => {name => 'Base'}}, 'none: what no points earn');
	$has->({rank => 'Oro'}, {rank => {name => 'Oro'}}, 'a rank above');
	answers($create->(rank => $_), $refusals{rank}, "a rank that is not of the group: $_") for qw(Bronce oro ORO);
	answers(ask('POST', '/program/N/member', {email => 'n@correo.example', firstName => 'N', firstLastName => 'N', rank => 'Oro'}), $refusals{rank}, 'no rank where there is no group');

	# phones are those of the wallet API
	answers($create->(phone => $_), invalid('phone'), "phone $_") for qw(551234567 55123456789 teléfono);
	is $create->(phone => '+52 5512345679')->{status}, 201, 'a phone with a prefix';

	# what another has already
	my $before = contents();
	answers($create->(email => $_), $refusals{exists}, "email $_ is taken") for 'Lucía.Ñ@correo.example', 'LUCÍA.Ñ@CORREO.EXAMPLE', 'lucía.ñ@correo.example';
	answers($create->(clientId => 'C/1 é'), $refusals{exists}, 'the client id is taken');
	answers($create->(memberId => 'C/1 é'), $refusals{exists}, 'by its other name too');
	answers($create->(phone => '5512345678'), $refusals{exists}, 'the phone is taken');
	is contents(), $before, 'what was refused has left nothing';
	$has->({clientId => 'c/1 É'}, {clientId => 'c/1 É'}, 'client ids differ by case');
	$has->({memberId => 'por memberId'}, {clientId => 'por memberId'}, 'memberId is a client id');
	$has->({memberId => 'dos', clientId => 'uno'}, {clientId => 'uno'}, 'both: clientId counts');
	is ask('POST', '/program/N/member', {email => 'lucía.ñ@correo.example', firstName => 'L', firstLastName => 'Í', clientId => 'C/1 é', phone => '5512345678'})->{status}, 201,
		'another program of the merchant has members of its own';

	# what a body may be
	answers(ask('POST', '/program/M/member', $_->[1]), $refusals{body}, "a body that is $_->[0]") for ['no JSON', '{'], ['an array', '[]'], ['a string', '"x"'], ['NUL', "\0"],
		['bad UTF-8', "{\"email\":\"\xff\"}"], ['an escaped NUL', '{"email":"\u0000"}'], ['a lone surrogate', '{"email":"\ud800"}'];
	answers(ask('POST', '/program/M/member', '{"email":"x"}', 'Content-Type' => $_), $refusals{type}, "a body called $_") for qw(text/plain application/xml multipart/form-data);
	answers(ask('POST', '/program/M/member', ''), missing('email'), 'an empty body');
	is ask('POST', '/program/M/member', '{"email":"forma@correo.example","firstName":"Fé","firstLastName":"Ñ"}', 'Content-Type' => 'application/x-www-form-urlencoded')->{json}{firstName}, 'Fé', 'JSON that is called a form';
	answers(ask('POST', '/program/M/member', 'email=forma2@correo.example&firstName=F&firstLastName=N', 'Content-Type' => 'application/x-www-form-urlencoded'), $refusals{body}, 'a form is none');
	is ask('POST', '/program/M/member', '{"email":"uno@correo.example","email":"dos@correo.example","firstName":"A","firstLastName":"B"}')->{json}{email}, 'dos@correo.example', 'the last of two counts';
	my $overruled = ask('POST', '/program/M/member?programId=N&email=query@correo.example', {email => 'cuerpo@correo.example', firstName => 'A', firstLastName => 'B', programId => 'N', apiKey => $other_key});
	is $overruled->{json}{email}, 'cuerpo@correo.example', 'a query is no part of a body';
	is get("/program/M/member/$overruled->{json}{clientId}")->{status}, 200, 'and neither overrules the path';

	# once
	my $member = {email => 'una.vez@correo.example', firstName => 'Una', firstLastName => 'Vez'};
	my $first = ask('POST', '/program/M/member', $member, 'Idempotency-Key' => 'k-member');
	my $again = ask('POST', '/program/M/member', $member, 'Idempotency-Key' => 'k-member');
	is shown($again), shown($first), 'a retry with an idempotency key gets the first answer';
	is $first->{status}, 201, 'with its status';
	answers(ask('POST', '/program/M/member', {%$member, firstName => 'Otra'}, 'Idempotency-Key' => 'k-member'), refusal(422, 'the idempotency key was already used for a different request'), 'a different request does not');
	answers(ask('POST', '/program/N/member', $member, 'Idempotency-Key' => 'k-member'), refusal(422, 'the idempotency key was already used for a different request'), 'nor another program');
};

subtest 'listing members' => sub {
	create_program('L');
	answers(get('/program/L/member'), '200 []', 'a program without members');
	$stack->psql("SELECT count(loyalty.seller_member_create($merchant, 'L', 'l' || i || '\@correo.example', 'Nombre ' || i, 'Apellido', client_id => 'L' || i)) FROM generate_series(1, 3000) i");
	my $list = get('/program/L/member')->{json};
	is_deeply [map { $_->{clientId} } @$list], [map { "L$_" } 1 .. 3000], 'all 3,000, in the order in which they were created';
	$stack->psql("SELECT loyalty.identify_member($merchant, member_id, phone => '5512340009') FROM loyalty.members WHERE client_id = 'L9' AND merchant_id = $merchant");
	my $ids = sub { my $answer = get("/program/L/member?$_[0]"); return $answer->{status} == 200 ? join ' ', map { $_->{clientId} } @{$answer->{json}} : shown($answer) };
	for my $case (
		['limit=2', 'L1 L2'], ['limit=2&offset=1', 'L2 L3'], ['offset=2998', 'L2999 L3000'], ['offset=2998&limit=1', 'L2999'], ['limit=0', ''], ['offset=3000', ''],
		['limit=999999999&offset=2999', 'L3000'], ['limit=&offset=2999', 'L3000'], ['limit=3&limit=1', 'L1'], ['limit=1&other=x', 'L1'], ['limit=01', 'L1'],
		['limit=1&programId=M&apiKey=x&memberId=L5', 'L1'], ['limit=%31', 'L1'],
		['limit=-1', invalid('limit')], ['limit=1.5', invalid('limit')], ['limit=x', invalid('limit')], ['limit=1e1', invalid('limit')], ['limit=9999999999', invalid('limit')],
		['limit=%2B1', invalid('limit')], ['offset=-1', invalid('offset')], ['offset=NaN', invalid('offset')], ['limit=x&offset=x', invalid('limit')],
		['after=L2998', 'L2999 L3000'], ['after=L2&limit=1', 'L3'], ['after=L2&limit=1&offset=1', 'L4'], ['after=L3000', ''], ['after=&limit=1', 'L1'], ['after=L1%20', $refusals{member}], ['after=l1', $refusals{member}],
		['email=l7@correo.example', 'L7'], ['email=L7@Correo.example', 'L7'], ['email=l7', ''], ['email=', join(' ', map { "L$_" } 1 .. 3000)], ['email=l7@correo.example&limit=0', ''],
		['phone=5512340009', 'L9'], ['phone=%2B52%2055%201234%200009', 'L9'], ['phone=5512340009&email=l9@correo.example', 'L9'], ['phone=5512340009&email=l7@correo.example', ''], ['phone=5512340008', ''],
		['phone=551234', invalid('phone')], ['phone=x', invalid('phone')], ['email=' . 'x' x 1025, $refusals{body}], ['email=%27', ''], ['email=%25', ''],
		['limit=%zz', $refusals{body}], ['limit=%00', $refusals{body}], ['limit=1&x=%ff', $refusals{body}])
	{
		is $ids->($case->[0]), $case->[1], "?$case->[0]";
	}
	$stack->psql("UPDATE loyalty_internal.member SET active = false WHERE client_id IN ('L1', 'L3000')");
	is $ids->('limit=1'), 'L2', 'who is not active is not listed';
	answers(get('/program/L/member/L1'), $refusals{member}, 'nor found');
	answers(get('/program/L/member/L1/balance'), $refusals{member}, 'and has no balance');
	is $ids->('email=l1@correo.example'), '', 'nor found by email';
	is $ids->('after=L1&limit=1'), 'L2', 'a page may begin after them';
	is ask('POST', '/program/L/member', {email => 'l1@correo.example', firstName => 'De', firstLastName => 'Vuelta'})->{json}{clientId}, 'L1', 'but is who has the email, and comes back';
	is $ids->('limit=1'), 'L1', 'to where they were';
	is ask('POST', '/deposit', {programId => 'L', amount => 3, comments => 'x', member => {email => 'l3000@correo.example', firstName => 'x', firstLastName => 'x'}})->{json}[0]{memberId}, 'L3000', 'also by a deposit';
	$stack->psql("UPDATE loyalty_internal.member SET active = false WHERE client_id IN ('L1', 'L3000')");
};

# --- who may ask for what -----------------------------------------------------------------------

my @requests = (
	['GET', '/program'], ['GET', '/program/L'], ['GET', '/program/L/member'], ['GET', '/program/L/member/L2'], ['GET', '/program/L/member/L2/balance'],
	['POST', '/program/L/member'], ['POST', '/deposit'], ['POST', '/redemption'], ['POST', '/accumulation']);

subtest 'keys' => sub {
	my $revoked = $stack->psql("SELECT api_key FROM loyalty.create_api_key($merchant, 'revocada')");
	$stack->psql("SELECT loyalty.disable_api_key($merchant, key_id) FROM loyalty.api_keys WHERE label = 'revocada'");
	my $before = contents();
	for my $request (@requests)
	{
		my ($method, $path) = @$request;
		for my $case (['unknown', 'x' x length $key], ['revoked', $revoked], ['of one letter', 'x'], ['followed by a blank', "$key%20"], ['in capitals', uc $key])
		{
			# nothing of a stranger's body is looked at
			answers($stack->http_json($method, "/v1/seller/$case->[1]$path", {apikey => $key, 'Content-Type' => 'application/json'}, $method eq 'POST' ? '{' : undef), $refusals{key},
				"$method $path with a key $case->[0]");
		}
	}
	(my $escaped = $key) =~ s/(.)/sprintf '%%%02x', ord $1/ge;
	is $stack->http('GET', "/v1/seller/$escaped/program")->{status}, 200, 'a key may be percent-encoded';
	is $stack->http('GET', "/v1/seller/$key/program", {apikey => 'x'})->{status}, 200, 'the header is of no consequence';
	is contents(), $before, 'nothing was written';
};

subtest 'what is another merchant\'s does not exist' => sub {
	$stack->psql("SELECT loyalty.create_program($other, 'Suyo', 'SUYO'); SELECT loyalty.create_program($other, 'L', 'L')");
	$stack->psql("SELECT loyalty.seller_member_create($other, '$_', 'suyo\@correo.example', 'S', 'S', client_id => 'SUYO')") for qw(SUYO L);
	$stack->psql("SELECT loyalty.seller_deposit($other, '{\"programId\":\"SUYO\",\"memberId\":\"SUYO\",\"amount\":1000,\"comments\":\"x\"}')");
	for my $case (
		['GET', '/program/SUYO', 'NADIE'], ['GET', '/program/SUYO/member', 'NADIE'], ['GET', '/program/SUYO/member/SUYO', 'NADIE'], ['GET', '/program/SUYO/member/SUYO/balance', 'NADIE'],
		['POST', '/program/SUYO/member', 'NADIE'], ['GET', '/program/L/member/SUYO', 'NADIE'], ['GET', '/program/L/member/SUYO/balance', 'NADIE'])
	{
		my ($method, $path, $nobody) = @$case;
		(my $without = $path) =~ s/SUYO/$nobody/g;
		my $body = $method eq 'POST' ? {email => 'nuevo@correo.example', firstName => 'x', firstLastName => 'x'} : undef;
		my ($theirs, $none) = (ask($method, $path, $body), ask($method, $without, $body));
		is $theirs->{status}, 404, "$method $path";
		is_deeply [$theirs->{status}, $theirs->{body}, map { $theirs->{headers}{$_} } qw(content-type content-length)], [$none->{status}, $none->{body}, map { $none->{headers}{$_} } qw(content-type content-length)],
			"$method $path: to the byte what does not exist";
	}
	for my $operation (qw(deposit redemption accumulation))
	{
		my $item = sub { return {programId => $_[0], memberId => $_[1], amount => 1, comments => 'x', $operation eq 'accumulation' ? () : (amountCurrency => 1)} };
		my $descriptions = [map { $_->{description} } @{ask('POST', "/$operation", [$item->('SUYO', 'SUYO'), $item->('NADIE', 'SUYO'), $item->('L', 'SUYO'), $item->('L', 'NADIE')])->{json}}];
		is_deeply $descriptions, ['El programa no existe', 'El programa no existe', 'El miembro no existe en el programa', 'El miembro no existe en el programa'], "$operation of what is another's";
	}
	is $stack->psql("SELECT balance FROM loyalty.members WHERE merchant_id = $other AND client_id = 'SUYO' AND balance::numeric > 0"), '1000', 'the other\'s points are untouched';
	my $theirs = $stack->http_json('GET', "/v1/seller/$other_key/program/L/member");
	is_deeply [map { $_->{clientId} } @{$theirs->{json}}], ['SUYO'], 'a program of the same id is the other\'s own';
};

# --- paths and methods ------------------------------------------------------------------------------

subtest 'paths and methods' => sub {
	for my $path ('', '/', '/programs', '/program/', '/Program', '/program/L/', '/program/L/members', '/program/L/member/', '/program/L/member/L2/', '/program/L/member/L2/balance/', '/program/L/member/L2/saldo',
		'/program/L/member/L2/balance/x', '/program//member', '/program/L/member//balance', '/deposit/', '/deposit/x', '/deposits', '//program', '/%70rogram', '/program%2FL', '/program/%ff', '/program/%C3', '/program/%ED%A0%80')
	{
		answers(get($path), $refusals{path}, "GET $path");
	}
	# a path that nginx itself cannot decode
	is get($_)->{status}, 400, "GET $_" for qw(/program/%00 /program/%zz /program/% /program/L% /program/L/member/%00);
	answers($stack->http_json($_->[0], $_->[1]), $refusals{path}, "$_->[0] $_->[1]") for ['GET', '/v1/'], ['GET', '/v1/seller'], ['GET', '/v1/seller/'], ['GET', "/v1/buyer/$key/program"], ['POST', '/v1/deposit'], ['GET', '/v1/seller//program'];
	is $stack->http_json('GET', "/v2/seller/$key/program")->{json}{code}, 'unknown_path', 'other versions are not of this API';

	my %allowed = (
		'/program' => 'GET', '/program/L' => 'GET', '/program/L/member' => 'GET, POST', '/program/L/member/L2' => 'GET', '/program/L/member/L2/balance' => 'GET',
		'/deposit' => 'POST', '/redemption' => 'POST', '/accumulation' => 'POST');
	my $before = contents();
	for my $path (sort keys %allowed)
	{
		for my $method (grep { $allowed{$path} !~ /\b$_\b/ } qw(GET POST PUT PATCH DELETE OPTIONS))
		{
			my $answer = ask($method, $path, $method =~ /^P/ ? '[]' : undef);
			answers($answer, $refusals{method}, "$method $path");
			is $answer->{headers}{allow}, $allowed{$path}, "$method $path: Allow";
		}
	}
	is contents(), $before, 'nothing was written';
};

subtest 'ids in paths' => sub {
	# A program may have an id of before such were refused.
	my $program = create_program('Ñandú');
	$stack->psql("UPDATE loyalty_internal.program SET client_id = client_id || ' 1/2' WHERE merchant_id = $merchant AND client_id = '$program'");
	for my $id ('con espacio', 'a/b', 'ñ€😀', '?#&=', '100%', 'a+b', '..', '%2F', "tab\there", '"', '\\', "comilla'", 'x' x 300)
	{
		my $member = ask('POST', '/program/%C3%91and%C3%BA%201%2F2/member', {email => $stack->psql("SELECT md5(" . quote($id) . ")") . '@correo.example', firstName => 'A', firstLastName => 'B', clientId => $id});
		is $member->{json}{clientId}, $id, 'a member of id ' . substr($id, 0, 20);
		(my $escaped = encode('UTF-8', $id)) =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
		is get("/program/%c3%91and%c3%ba%201%2f2/member/$escaped")->{json}{clientId}, $id, 'is found by it';
		my $balance = get("/program/%C3%91and%C3%BA%201%2F2/member/$escaped/balance")->{json};
		is_deeply [@$balance{qw(programId memberId)}], ['Ñandú 1/2', $id], 'and has a balance';
	}
	is get('/program/%C3%91and%C3%BA%201%2F2/member/a+b')->{json}{clientId}, 'a+b', 'a plus sign is one';
	answers(get('/program/%C3%91and%C3%BA%201%2F2/member/a%20b'), $refusals{member}, 'and not a blank');
	answers(get('/program/%C3%91and%C3%BA%201/2/member'), $refusals{path}, 'a slash that is not escaped separates');
};

# --- named parameters -----------------------------------------------------------------------------------

subtest 'functions with named parameters' => sub {
	my $rpc = sub {
		my ($function, $arguments, %headers) = @_;
		return $stack->http_json('POST', $stack->env('POSTGREST_URL') . "/rpc/$function", {apikey => $key, 'Content-Type' => 'application/json', %headers}, JSON::PP->new->utf8->encode($arguments));
	};
	is shown($rpc->('program_list', {})), shown(get('/program')), 'program_list';
	is shown($rpc->('program_get', {programId => 'P1'})), shown(get('/program/P1')), 'program_get';
	is shown($rpc->('member_list', {programId => 'L', limit => '2', offset => '5'})), shown(get('/program/L/member?limit=2&offset=5')), 'member_list';
	is shown($rpc->('member_list', {programId => 'L', after => 'L2', email => 'l9@correo.example', phone => '5512340009'})), shown(get('/program/L/member?after=L8&limit=1')), 'with what it is looked for by';
	is shown($rpc->('member_get', {programId => 'L', memberId => 'L2'})), shown(get('/program/L/member/L2')), 'member_get';
	is shown($rpc->('member_balance', {programId => 'L', memberId => 'L2'})), shown(get('/program/L/member/L2/balance')), 'member_balance';
	my $created = $rpc->('member_create', {programId => 'L', email => 'rpc@correo.example', firstName => 'Erre', firstLastName => 'Pe', clientId => 'RPC', phone => '5587654321',
		address => '[{"street":"Reforma","numberOutside":"1"}]'});
	is $created->{status}, 201, 'member_create';
	is shown($rpc->('member_get', {programId => 'L', memberId => 'RPC'})) =~ s/^200/201/r, shown($created), 'it is created';
	is eval { $created->{json}{address}[0]{street} }, 'Reforma', 'with the address';
	for my $operation (qw(deposit redemption accumulation))
	{
		my $answer = $rpc->($operation, {items => [{programId => 'L', memberId => 'RPC', amount => 100, comments => 'x', $operation eq 'accumulation' ? () : (amountCurrency => 100)}, 5]});
		is_deeply [$answer->{status}, map { $_->{status} } @{$answer->{json}}], [200, 'success', 'error'], $operation;
	}
	is get('/program/L/member/RPC/balance')->{json}{balance}, 10, 'they have posted';
	for my $case (
		['program_get', {}, missing('programId')], ['program_get', {programId => 'nada'}, $refusals{program}], ['member_list', {programId => 'L', limit => 'x'}, invalid('limit')],
		['member_get', {programId => 'L'}, missing('memberId')], ['member_get', {programId => 'L', memberId => 'nadie'}, $refusals{member}],
		['member_balance', {programId => 'nada', memberId => 'L2'}, $refusals{program}],
		['member_create', {programId => 'L'}, missing('email')], ['member_create', {programId => 'L', email => 'RPC@correo.example', firstName => 'x', firstLastName => 'x'}, $refusals{exists}],
		['member_create', {programId => 'L', email => 'rpc2@correo.example', firstName => 'x', firstLastName => 'x', address => '{'}, invalid('address')],
		['member_create', {programId => 'L', email => 'rpc2@correo.example', firstName => 'x', firstLastName => 'x', address => '{"street":"x"}'}, invalid('address')],
		['deposit', {items => 'x'}, $refusals{items}], ['deposit', {items => 5}, $refusals{items}], ['deposit', {}, $refusals{items}], ['redemption', {items => JSON::PP::null}, $refusals{items}])
	{
		answers($rpc->($case->[0], $case->[1]), $case->[2], "$case->[0]: $case->[2]");
	}
	for my $function (qw(program_list program_get member_list member_get member_balance member_create deposit redemption accumulation))
	{
		answers($rpc->($function, {}, apikey => 'x'), $refusals{key}, "$function with a wrong key");
	}
	my $once = {items => [{programId => 'L', memberId => 'RPC', amount => 1, comments => 'x'}]};
	my @twice = map { $rpc->('deposit', $once, 'Idempotency-Key' => 'k-rpc')->{body} } 1 .. 2;
	is $twice[1], $twice[0], 'an idempotency key works';
	is get('/program/L/member/RPC/balance')->{json}{balance}, 11, 'once';
};

# --- SQL ------------------------------------------------------------------------------------------------------

subtest 'functions in SQL' => sub {
	my $sql = sub { my $text = $stack->psql("SELECT * FROM loyalty.seller_$_[0]"); return plain(encode('UTF-8', $text)) };
	is '200 [' . join(',', split /\n/, $sql->("program_list($merchant)")) . ']', shown(get('/program')), 'program_list is a row for each';
	is '200 ' . $sql->("program_get($merchant, 'P1')"), shown(get('/program/P1')), 'program_get';
	is '200 [' . join(',', split /\n/, $sql->("member_list($merchant, 'L', 2, 5)")) . ']', shown(get('/program/L/member?limit=2&offset=5')), 'member_list';
	is $stack->psql("SELECT count(*) FROM loyalty.seller_member_list($merchant, 'L')"), '2999', 'all of them';
	is '200 ' . $sql->("member_get($merchant, 'L', 'L2')"), shown(get('/program/L/member/L2')), 'member_get';
	is '200 ' . $sql->("member_balance($merchant, 'L', 'L2')"), shown(get('/program/L/member/L2/balance')), 'member_balance';
	is $stack->psql(qq{SELECT loyalty.seller_member_create($merchant, 'L', 'sql\@correo.example', 'Ese', 'Cu', address => '[{"street":"Hidalgo"}]', idempotency_key => 'k-sql') -> 'address' -> 0 ->> 'street'}), 'Hidalgo', 'member_create';
	is $stack->psql(qq{SELECT loyalty.seller_deposit($merchant, '[{"programId":"L","memberId":"L2","amount":5,"comments":"x"}]') -> 0 ->> 'totalPoints'}), '5', 'deposit';
	for my $case (
		["program_get($merchant, NULL)", 'LI001', 'missing_field', 'Falta un campo obligatorio: programId'],
		["member_create($merchant, 'L', NULL, 'x', 'x')", 'LI001', 'missing_field', 'Falta un campo obligatorio: email'],
		["member_create($merchant, 'L', 'e\@x', ' ', 'x')", 'LI001', 'missing_field', 'Falta un campo obligatorio: firstName'],
		["member_list($merchant, 'L', -1)", 'LI002', 'invalid_field', 'Un campo no tiene el tipo o el formato esperado: limit'],
		["member_create($merchant, 'L', 'e\@x', 'x', 'x', birth_date => '1899-12-31')", 'LI002', 'invalid_field', 'Un campo no tiene el tipo o el formato esperado: birthDate'],
		["member_create($merchant, 'L', 'e\@x', 'x', 'x', birthdate => '2099-01-01')", 'LI002', 'invalid_field', 'Un campo no tiene el tipo o el formato esperado: birthdate'],
		["member_create($merchant, 'L', 'e\@x', 'x', 'x', birth_date => 'x')", 'LI002', 'invalid_field', 'Un campo no tiene el tipo o el formato esperado: birthDate'],
		["member_create($merchant, 'L', 'e\@x', 'x', 'x', address => '{}')", 'LI002', 'invalid_field', 'Un campo no tiene el tipo o el formato esperado: address'],
		["member_create($merchant, 'L', 'e\@x', 'x', 'x', address => '[')", 'LI002', 'invalid_field', 'Un campo no tiene el tipo o el formato esperado: address'],
		["member_create($merchant, 'P1', 'e\@x', 'x', 'x')", 'LI005', 'program_inactive', 'El programa no está activo'],
		["member_create($merchant, 'L', 'SQL\@correo.example', 'x', 'x')", 'LI008', 'member_exists', 'Ya existe un miembro con el mismo email, clientId o teléfono'],
		["member_create($merchant, 'L', 'e\@x', 'x', 'x', rank => 'Oro')", 'LI009', 'unknown_rank', 'El rango no existe en el programa'],
		["program_get($merchant, 'nada')", 'LI010', 'program_not_found', 'El programa no existe'],
		["program_get($other, 'P1')", 'LI010', 'program_not_found', 'El programa no existe'],
		["member_get($merchant, 'L', 'nadie')", 'LI011', 'member_not_found', 'El miembro no existe en el programa'],
		["member_balance($merchant, 'M', 'L2')", 'LI011', 'member_not_found', 'El miembro no existe en el programa'],
		(map { ["$_($merchant, '\"x\"')", 'LI013', 'invalid_items', 'Se espera un objeto JSON o un arreglo de objetos'] } qw(deposit redemption accumulation)),
		["deposit($merchant, NULL)", 'LI013', 'invalid_items', 'Se espera un objeto JSON o un arreglo de objetos'],
		["deposit($merchant, '[]', 'k-sql')", 'LY422', 'idempotency_key_reused', 'the idempotency key was already used for a different request'],
		["deposit($merchant, '[]', 'a b')", 'LY423', 'invalid_idempotency_key', 'the idempotency key is not valid'],
		["deposit(NULL, '[]')", 'LA001', 'auth_01', 'Usuario no autorizado'])
	{
		my ($call, $sqlstate, $detail, $message) = @$case;
		my $error = $stack->psql_error("SELECT loyalty.seller_$call") // {};
		is_deeply [@$error{qw(sqlstate detail message)}], [$sqlstate, $detail, $message], $call;
	}
};

# --- a branch ---------------------------------------------------------------------------------------------------

# By each of the three ways: an id is a text or a number, and what is neither is refused, and not kept.
subtest 'a branchId' => sub {
	my $sent = sub { my $branch = shift; return qq([{"programId":"L","memberId":"L2","amount":1,"amountCurrency":"1","comments":"x","branchId":$branch}]) };
	my %ways = (
		'over HTTP' => sub { my ($operation, $items) = @_; return ask('POST', "/$operation", $items)->{body} },
		'by a named function' => sub { my ($operation, $items) = @_; return $stack->http_json('POST', $stack->env('POSTGREST_URL') . "/rpc/$operation", {apikey => $key, 'Content-Type' => 'application/json'}, qq({"items":$items}))->{body} },
		'in SQL' => sub { my ($operation, $items) = @_; return encode('UTF-8', $stack->psql("SELECT loyalty.seller_$operation($merchant, '$items')")) });
	my $before = contents();
	for my $way (sort keys %ways)
	{
		for my $operation (qw(deposit redemption accumulation))
		{
			for my $branch ('true', 'false', '{}', '[]', '{"id":1}', '["1"]')
			{
				my $answer = JSON::PP->new->utf8->decode($ways{$way}->($operation, $sent->($branch)));
				is "$answer->[0]{status} $answer->[0]{description}", 'error Un campo no tiene el tipo o el formato esperado: branchId', "$operation $way: $branch";
			}
		}
	}
	is contents(), $before, 'nothing was written';
	for my $branch ('7', '"7"', '" "', 'null')
	{
		my $answer = JSON::PP->new->utf8->decode($ways{'over HTTP'}->('deposit', $sent->($branch)));
		is $answer->[0]{status}, 'success', "taken: $branch";
	}
	is $stack->psql("SELECT string_agg(coalesce(detail -> 'branchId', 'null')::text, ' ' ORDER BY entry_no) FROM (SELECT e.* FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id) WHERE m.merchant_id = $merchant AND m.client_id = 'L2' ORDER BY entry_no DESC LIMIT 4) e"), '"7" "7" null null', 'as a text, or not at all';
};

# --- one balance for both APIs ---------------------------------------------------------------------------------

subtest 'one balance for both APIs' => sub {
	my $program = $stack->env('LOYALTY_PROGRAM_ID');
	my $sale = sub { return $stack->form('/wallet/sale', {wallet_key => $wallet, phone => $_[0], transaction_type => 0, transaction_amount => $_[1], usertool_id => $cashier})->{json} };
	$stack->psql("SELECT loyalty.wallet_contact_add($merchant, '$wallet', '5511223344', 'Rocío Peña', $cashier, '1988-05-26')");
	my $contact = (grep { $_->{firstName} eq 'Rocío Peña' } @{get("/program/$program/member")->{json}})[0];
	is_deeply [@$contact{qw(firstLastName email birthDate)}], ['', '', '1988-05-26'], 'a contact of the wallet is a member';
	is $sale->('5511223344', 1000)->{newBalance}, 100, 'a sale of the wallet';
	is get("/program/$program/member/$contact->{clientId}/balance")->{json}{balance}, 100, 'is seen by the seller';
	is ask('POST', '/deposit', {programId => $program, memberId => $contact->{clientId}, amount => '0.5', comments => 'x'})->{json}[0]{totalPoints}, 100.5, 'a deposit of the seller';
	is $stack->form('/wallet/contact/get', {wallet_key => $wallet, phone => '5511223344'})->{json}{result}{contact_balance}, 100.5, 'is seen by the wallet';

	my $member = ask('POST', "/program/$program/member", {email => 'dos@correo.example', firstName => 'Dos', firstLastName => 'Puertas', phone => '5544332211'})->{json};
	ask('POST', '/deposit', {programId => $program, memberId => $member->{clientId}, amount => 20, comments => 'x'});
	is $sale->('5544332211', 100)->{newBalance}, 30, 'a member of the seller who has a phone buys with it';
	is $stack->form('/wallet/sale', {wallet_key => $wallet, phone => '5544332211', transaction_type => 1, points_used => 29, usertool_id => $cashier})->{json}{newBalance}, 1, 'and redeems';
	is ask('POST', '/redemption', {programId => $program, memberId => $member->{clientId}, amount => 2, comments => 'x', amountCurrency => 2})->{json}[0]{description}, 'El miembro no tiene puntos suficientes', 'what is spent is spent';
	is_deeply $stack->form('/wallet/contact/get', {wallet_key => $wallet, phone => '5544332211'})->{json}{result},
		{contact_name => 'Dos Puertas', contact_phone => '5544332211', contact_birthdate => JSON::PP::null, contact_balance => 1}, 'the wallet knows the name';
	is $stack->form('/wallet/contact/add', {wallet_key => $wallet, phone => '5544332211', customer_name => 'x', usertool_id => $cashier})->{json}{code}, 'wallet_manager_08', 'who is registered';
	answers(ask('POST', "/program/$program/member", {email => 'tres@correo.example', firstName => 'x', firstLastName => 'x', phone => '5511223344'}), $refusals{exists}, 'a contact\'s phone is taken');

	my ($id) = $stack->psql("SELECT member_id FROM loyalty.members WHERE client_id = '$contact->{clientId}' AND merchant_id = $merchant");
	$stack->psql("SELECT loyalty.identify_member($merchant, $id, email => 'rocio\@correo.example', client_id => 'ROCIO')");
	is get("/program/$program/member/ROCIO")->{json}{email}, 'rocio@correo.example', 'a contact can be given an email and an id';
	is ask('POST', '/deposit', {programId => $program, amount => 1, comments => 'x', member => {email => 'ROCIO@correo.example'}})->{json}[0]{memberId}, 'ROCIO', 'and is found by it';

	$stack->psql("SELECT loyalty.disable_program($merchant, loyalty.find_program($merchant, '$program'))");
	isnt $sale->('5544332211', 100)->{success}, JSON::PP::true, 'an inactive program serves neither';
	answers(ask('POST', "/program/$program/member", {email => 'cuatro@correo.example', firstName => 'x', firstLastName => 'x'}), $refusals{inactive}, 'no member is created');
	$stack->psql("SELECT loyalty.enable_program($merchant, loyalty.find_program($merchant, '$program'))");
};

is $stack->psql('SELECT * FROM loyalty.verify()'), '', 'the ledger is sound';
unlike $stack->server_log, qr/request failed|internal|member_create failed/, 'nothing has failed unexpectedly';

done_testing;

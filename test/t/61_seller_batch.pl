# 61_seller_batch.pl - deposits, redemptions and accumulations in batches: each
# item succeeds or fails alone, in order, and a request is carried out whole,
# once, or not at all.
use strict;
use warnings;
use utf8;

use Encode qw(decode);
use FindBin;
use JSON::PP ();
use List::Util qw(sum);
use POSIX ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s', isolation => 'read committed');
my $key = $stack->env('LOYALTY_APIKEY');
my $merchant = $stack->psql("SELECT loyalty.authenticate('$key')");
my $json = JSON::PP->new->utf8->canonical->allow_nonref->max_depth(5000);

sub create_program
{
	my ($client_id, %terms) = @_;
	my $program = $stack->psql("SELECT program_id FROM loyalty.create_program($merchant, 'Programa $client_id', '$client_id')");
	$stack->psql(Loyalty::configure($merchant, $program, %terms)) if %terms;
	return;
}

# Members FIRST1 … of a program, each with so many points; their ids in the engine.
sub create_members
{
	my ($program, $first, $count, $points) = @_;
	$stack->psql("SELECT count(loyalty.seller_member_create($merchant, '$program', '$first' || i || '\@correo.example', 'Ana', 'Ruiz', client_id => '$first' || i)) FROM generate_series(1, $count) i");
	$stack->psql("SELECT count(*) FROM loyalty.members m, loyalty.post($merchant, m.account_id, 'deposit', '$points') WHERE m.client_id ~ '^$first\\d+\$'") if $points;
	return map { split /\|/ } split /\n/, $stack->psql("SELECT client_id, member_id FROM loyalty_internal.member WHERE merchant_id = $merchant AND client_id ~ '^$first\\d+\$'");
}

# A body is sent as it is if it is text; the answer's {json} is decoded.
sub post
{
	my ($operation, $body, %headers) = @_;
	return $stack->http_json('POST', "/v1/seller/$key/$operation", {'Content-Type' => 'application/json', %headers}, ref $body ? $json->encode($body) : $body);
}

# What came of each item: "success points" or why not.
sub outcomes
{
	my $answer = shift;
	return ["$answer->{status} " . decode('UTF-8', $answer->{body})] if ref $answer->{json} ne 'ARRAY';
	return [map { $_->{status} eq 'success' ? "success $_->{totalPoints}" : $_->{description} } @{$answer->{json}}];
}

sub refused
{
	my ($answer, $status, $description, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is "$answer->{status} " . decode('UTF-8', $answer->{body}), qq($status {"status":"error","description":"$description"}), $name;
}

sub balance { return $stack->psql("SELECT balance FROM loyalty.members WHERE merchant_id = $merchant AND client_id = '$_[0]'") }
sub sound { my $name = shift; return is $stack->psql('SELECT * FROM loyalty.verify()'), '', "$name: the ledger is sound" }

my $looks = $stack->connect_async;
sub contents
{
	return $looks->query(join ';', map { "SELECT count(*), md5(string_agg(t::text, ';' ORDER BY t::text)) FROM $_ t" }
		'loyalty.entry', map { "loyalty_internal.$_" } qw(merchant program account reservation reversal member member_address idempotency_key message));
}

my %says = (
	items => 'Se espera un objeto JSON o un arreglo de objetos', program => 'El programa no existe', member => 'El miembro no existe en el programa',
	points => 'El miembro no tiene puntos suficientes', mismatch => 'El monto en moneda no corresponde a los puntos según la base de redención',
	inactive => 'El programa no está activo', exists => 'Ya existe un miembro con el mismo email, clientId o teléfono', rank => 'El rango no existe en el programa',
	range => 'El saldo quedaría fuera de rango', required => 'El programa solo acepta abonos en su moneda',
);
sub missing { return "Falta un campo obligatorio: $_[0]" }
sub invalid { return "Un campo no tiene el tipo o el formato esperado: $_[0]" }
sub currency { return "El programa no acepta esta moneda: $_[0]" }

create_program('P');
create_program('FINE', decimals => 4, accumulation_points => 1, accumulation_money => 1);
create_members('P', 'A', 10, 100);
create_members('FINE', 'F', 1, 0);
my %item = (programId => 'P', memberId => 'A1', amount => 1, comments => 'x');

# --- a young system --------------------------------------------------------------------

# What is remembered of tables that were almost empty must not make the first
# large batch take longer than a request may.
subtest 'many new members at once' => sub {
	my $person = sub { return {programId => 'P', amount => 1, comments => 'x', member => {email => "$_[0]\@correo.example", firstName => 'x', firstLastName => 'x'}} };
	post('deposit', [$person->("pocos$_")]) for 1 .. 40;
	my $answer = post('deposit', [map { $person->("muchos$_") } 1 .. 10_000]);
	is $answer->{status} . ' ' . (() = $answer->{body} =~ /"status":"success"/g), '200 10000', '10,000 are enrolled by one batch';
	is_deeply [map { $_->{totalPoints} } @{post('deposit', [map { $person->("MUCHOS$_") } 1, 5000, 10_000])->{json}}], [2, 2, 2], 'and found by the next';
};

# --- single items -----------------------------------------------------------------------

# Each item names a member who is there by the client id, and somebody else by the email.
subtest 'very many who are members already' => sub {
	$stack->psql("SELECT loyalty.create_member($merchant, (SELECT program_id FROM loyalty.programs WHERE merchant_id = $merchant AND client_id = 'P'), 'Alguien', client_id => 'AHI' || i) FROM generate_series(1, 500) i");
	my @items = map { {programId => 'P', amount => 1, comments => 'x', member => {email => "ahi$_\@correo.example", firstName => 'A', firstLastName => 'B', clientId => "AHI$_"}} } 1 .. 500;
	my $first = $stack->psql('SELECT pg_current_xact_id()');
	my $answer = post('deposit', \@items);
	my $next = $stack->psql('SELECT pg_current_xact_id()');
	is_deeply [map { $_->{description} } @{$answer->{json}}], [($says{exists}) x 500], 'are told so';
	cmp_ok $next - $first, '<', 50, 'and take no transaction id each';
};

subtest 'the fields of an item' => sub {
	my %wrong = (object => {x => 1}, array => ['x'], true => JSON::PP::true, number => 5, text => 'x');
	my %takes = ((map { $_ => 'text number' } qw(programId memberId reference branchId vendorId)), amount => 'number', (map { $_ => 'text' } qw(comments concept currency)), items => '', member => 'text object');
	for my $field (sort keys %takes)
	{
		for my $kind (grep { $takes{$field} !~ /$_/ } sort keys %wrong)
		{
			next if $field eq 'items' && $kind eq 'array';
			is_deeply outcomes(post('deposit', [{%item, $field => $wrong{$kind}}])), [invalid($field)], "$field: $kind";
		}
	}
	for my $field (qw(programId memberId amount comments))
	{
		my %absent = %item;
		delete $absent{$field};
		is_deeply outcomes(post('deposit', [\%absent])), [missing($field)], "no $field";
		is_deeply outcomes(post('deposit', [{%item, $field => $_}])), [missing($field)], "$field empty" for '', '   ', JSON::PP::null;
	}
	is_deeply outcomes(post('redemption', [\%item])), [missing('amountCurrency')], 'a redemption needs amountCurrency';
	is_deeply outcomes(post('redemption', [{programId => 'P', amount => 1, comments => 'x', amountCurrency => 1, member => {email => 'A1@correo.example'}}])), [missing('memberId')], 'and a memberId';
	is_deeply outcomes(post('redemption', [{%item, amountCurrency => $_}])), [invalid('amountCurrency')], "amountCurrency $_" for qw(x -1 1.23456 0);
	is_deeply outcomes(post('deposit', [{%item, $_ => 'x' x 1025}])), [invalid($_)], "$_ of 1025 bytes" for qw(programId memberId amount comments currency reference concept branchId vendorId amountCurrency);
	is_deeply outcomes(post('deposit', [{%item, member => 'x' x 1025}])), [invalid('member')], 'a member of 1025 bytes';
	is_deeply outcomes(post('deposit', [{%item, amount => 'x', comments => '', programId => 'nada'}])), [missing('comments')], 'what is missing comes first';
	is_deeply outcomes(post('deposit', [{%item, amount => 'x', programId => 'nada', memberId => 'nadie'}])), [$says{program}], 'then the program';
	is_deeply outcomes(post('deposit', [{%item, amount => 'x', memberId => 'nadie'}])), [invalid('amount')], 'then the amount';
	is_deeply outcomes(post('deposit', [{%item, memberId => 'nadie'}])), [$says{member}], 'then the member';
	is_deeply outcomes(post('deposit', [{%item, memberId => $_}])), [$says{member}], "no member: $_" for 'a1', 'A1 ', 'A', 'F1', 'A1@correo.example';
	my @good = ([{sku => 'S', name => 'Ñ', quantity => 1, unitPrice => 1}], [], [{}], [{sku => 5, quantity => '2', unitPrice => '0.5', other => [1]}], [({sku => 'x'}) x 1000],
		[{quantity => '0.333333', unitPrice => '86.206897'}, {unitPrice => -50, name => 'Descuento'}, {quantity => -1, unitPrice => '123456789012345678.123456'}]);
	my @bad = ([5], ['x'], [[]], [undef], [{sku => ['x']}], [{name => {}}], [{quantity => 'x'}], [{quantity => '--1'}], [{quantity => '1e2'}], [{unitPrice => JSON::PP::true}], [{sku => 'S'}, {unitPrice => '1.2345678'}], [{quantity => undef}]);
	like outcomes(post('deposit', [{%item, items => $_}]))->[0], qr/^success/, 'items ' . substr $json->encode($_), 0, 60 for @good;
	is_deeply outcomes(post('deposit', [{%item, items => $_}])), [invalid('items')], 'items ' . $json->encode($_) for @bad;
	is_deeply outcomes(post('deposit', '{"programId":"P","memberId":"A2","amount":1,"comments":"x"}')), ['success 101'], 'an object is an array of one';
	is post('deposit', '[]')->{body}, '[]', 'an empty array is answered by one';
	is_deeply outcomes(post('deposit', '{}')), [missing('programId')], 'an empty object is an item';
	is_deeply outcomes(post('deposit', '[{},[],1,"x",null,true,{"programId":"P","memberId":"A2","amount":1,"comments":"x"}]')),
		[missing('programId'), ($says{items}) x 5, 'success 102'], 'what is no object fails alone';
	is_deeply outcomes(post('accumulation', [{programId => 'P', member => 'A2', amount => 10, comments => 'x', reference => 'r'}])), ['success 103'], 'an accumulation names the member as member';
	is_deeply outcomes(post('deposit', '{"programId":"P","memberId":"A2","amount":1,"amount":2,"comments":"x"}')), ['success 105'], 'the last of two counts';
};

# JSON in which a text or number is written that some readers cannot take.
subtest 'an item that cannot be read' => sub {
	create_members('P', 'U', 1, 0);
	my $ids = '"programId":"P","memberId":"U1","amount":1,"comments":"x"';
	my %refused = (
		'"concept":"a\u0000b"' => invalid('concept'), '"concept":"\ud800"' => invalid('concept'), '"concept":"\ude00\ud83d"' => invalid('concept'), '"comments":"\ud83dx"' => invalid('comments'), '"memberId":"\u0000"' => invalid('memberId'),
		'"items":[{"sku":"\u0000"}]' => invalid('items'), '"items":[{"\ud800":1}]' => invalid('items'), '"member":{"email":"a\u0000"}' => invalid('member'), '"member":{"address":[{"street":"\udfff"}]}' => invalid('member'),
		'"unknown":"\u0000"' => invalid('') =~ s/: $//r, '"unknown":[["\ud800"]]' => invalid('') =~ s/: $//r, '"a\u0000":1' => invalid('') =~ s/: $//r, '"concept":"\u0000","concept":"x"' => invalid('concept'),
		'"amount":1e400' => invalid('amount'), '"amount":12345678901234567890' => invalid('amount'), '"amount":1e99999999999' => invalid('amount'), '"items":[{"quantity":1e400}]' => invalid('items'), '"items":[{"other":1e99999}]' => invalid('items'), '"items":[{"other":1e-99999}]' => invalid('items'), '"items":[{"other":' . '9' x 1001 . '}]' => invalid('items'), '"reference":' . '9' x 1025 => invalid('reference'));
	for my $bad (sort keys %refused)
	{
		my $points = balance('U1');
		is_deeply outcomes(post('deposit', "[{$ids},{$ids,$bad},\"\\u0000\",{$ids}]")), ["success @{[$points + 1]}", $refused{$bad}, $says{items}, "success @{[$points + 2]}"], length $bad > 70 ? 'a number of 1,025 digits' : $bad;
	}
	my $points = balance('U1');
	is_deeply outcomes(post('deposit', "[{$ids,\"items\":[{\"other\":1e9999,\"more\":[0.1234567890123456789]}]},{$ids,\"concept\":\"\\ud83d\\ude00 \\/ \\u00f1\",\"amount\":1E0}]")), [map { 'success ' . ($points + $_) } 1, 2], 'what can be read';
	is_deeply [split /\n/, $stack->psql("SELECT coalesce(detail ->> 'concept', detail ->> 'items') FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id) WHERE m.client_id = 'U1' ORDER BY e.entry_no DESC LIMIT 2")],
		["\x{1f600} / ñ", '[{"other":1e9999,"more":[0.1234567890123456789]}]'], 'is kept as it was written';
	$points = balance('U1');
	for my $levels (2100, 7000, 100_000)
	{
		my %nested = ("[$levels]" => ['[' x $levels . ']' x $levels, $says{items}], 'objects' => ['{"a":' x $levels . '1' . '}' x $levels, invalid('') =~ s/: $//r],
			'both' => ['[{"a":' x $levels . 'null' . '}]' x $levels, $says{items}], 'goods' => ["{$ids,\"items\":" . '[' x $levels . ']' x $levels . '}', invalid('items')]);
		is_deeply outcomes(post('deposit', "[{$ids},$nested{$_}[0],{$ids}]")), ['success ' . ++$points, $nested{$_}[1], 'success ' . ++$points], "$levels levels: $_" for sort keys %nested;
	}
	sound('items that cannot be read');
};

# A number where a text is wanted is what was written, to the last digit.
subtest 'numbers as texts' => sub {
	my @numbers = qw(12345678901234567890 12345678901234567891 1.2345678901234567e+19 9.876543210987654e+19 1e21 1e400 -0 0.10 0.1 100000000000.5 9007199254740993 7.0 1E5);
	my $points = balance('U1');
	is_deeply outcomes(post('deposit', '[' . join(',', map { qq({"programId":"P","memberId":"U1","amount":1,"comments":"x","reference":$_,"branchId":$_,"vendorId":$_}) } @numbers) . ']')), [map { 'success ' . ($points + $_) } 1 .. @numbers], 'are all taken';
	is $stack->psql("SELECT string_agg(reference, ' ' ORDER BY entry_no) || '|' || string_agg(detail ->> 'branchId', ' ' ORDER BY entry_no) || '|' || string_agg(detail ->> 'vendorId', ' ' ORDER BY entry_no)
		FROM (SELECT e.* FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id) WHERE m.client_id = 'U1' ORDER BY e.entry_no DESC LIMIT @{[scalar @numbers]}) e"), join('|', ("@numbers") x 3), 'as they were written';
	$stack->psql("SELECT loyalty.seller_member_create($merchant, 'P', 'largo' || i || '\@correo.example', 'Ana', 'Ruiz', client_id => '1234567890123456789' || i) FROM generate_series(0, 1) i");
	is_deeply [map { $_->{memberId} . ' ' . $_->{totalPoints} } @{post('deposit', '[' . join(',', map { qq({"programId":"P","memberId":$_,"amount":1,"comments":"x"}) } qw(12345678901234567890 12345678901234567891 1234567890123456789e1)) . ']')->{json}}],
		['12345678901234567890 1', '12345678901234567891 1', '1234567890123456789e1 0'], 'members with numbers of twenty digits are told apart';
	$points = balance('U1');
	is_deeply outcomes(post('deposit', '[' . join(',', map { qq({"programId":"P","memberId":"U1","amount":$_,"comments":"x"}) } qw(1.50e0 15e-1 100.50 0.0625e2 922337203685477.5808)) . ']')), [(map { 'success ' . ($points + $_) } 1.5, 3, 103.5, 109.75), invalid('amount')], 'of an amount the value counts';
};

subtest 'what is kept' => sub {
	my %all = (%item, memberId => 'A3', amount => '12.50', items => [{sku => 'S-1', name => 'Café', quantity => 2, unitPrice => 0.1}], branchId => 7, vendorId => 'v"9"', reference => 12345,
		comments => "línea\n2 \\ 😀", concept => 'Concepto', currency => 'MXN', extra => 'no');
	is_deeply outcomes(post('deposit', [\%all])), ['success 101.25'], 'a deposit of money, with every field';
	my ($kind, $amount, $money, $reference, $detail) = split /\|/, $stack->psql("SELECT kind, amount, money, reference, detail FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id)
		WHERE m.client_id = 'A3' ORDER BY e.entry_no DESC LIMIT 1"), 5;
	is "$kind $amount $money $reference", 'accrue 1.25 12.5 12345', 'the entry';
	my $kept = JSON::PP->new->decode($detail);
	is_deeply $kept, {comments => "línea\n2 \\ 😀", concept => 'Concepto', branchId => '7', vendorId => 'v"9"', currency => 'MXN', items => $all{items}}, 'its detail';
	post('redemption', [{%all, amount => 1.25, amountCurrency => 1.25}]);
	is $stack->psql("SELECT kind, amount, money, reference, detail ->> 'amountCurrency', detail -> 'items' -> 0 ->> 'unitPrice' FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id)
		WHERE m.client_id = 'A3' ORDER BY e.entry_no DESC LIMIT 1"), 'redeem|-1.25|1.25|12345|1.25|0.1', 'a redemption';
	post('deposit', [{%item, memberId => 'A3'}]);
	is $stack->psql("SELECT kind, money IS NULL, reference IS NULL, detail FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id)
		WHERE m.client_id = 'A3' ORDER BY e.entry_no DESC LIMIT 1"), 'deposit|t|t|{"comments":"x"}', 'a deposit of points';
};

subtest 'amounts' => sub {
	my $total = 0;
	for my $case (
		# as written in JSON, in points of four decimals; without, it is refused
		['0.1', '0.1'], ['"0.1"', '0.1'], ['1e3', '1000'], ['1E+2', '100'], ['1e-4', '0.0001'], ['2.5e-1', '0.25'], ['1.0000', '1'], ['"1.0000"', '1'], ['"00005"', '5'], ['99999999999.1234', '99999999999.1234'],
		['"99999999999.1234"', '99999999999.1234'], ['"123456789012.3456"', '123456789012.3456'], ['123456789012', '123456789012'], ['0.30000000000000004'], ['1e-5'], ['"1e3"'], ['"1e400"'], ['123456789012.3456', '123456789012.3456'], ['1e400'], ['-1e400'], ['9223372036854775808'],
		['1e15'], ['1e300'], ['"99999999999999999999"'], ['999999999999999999'], ['922337203685477.5808'], ['"922337203685477.5808"'], ['0'], ['-0'], ['0.0'], ['"0"'], ['"0.0000"'], ['-1'], ['"-1"'], ['-0.0001'],
		['0.00001'], ['"0.00001"'], ['"1.00000"'], ['"+1"'], ['" 1"'], ['"1 "'], ['"1,5"'], ['"1.2.3"'], ['"."'], ['"0x1F"'], ['"1_000"'], ['"NaN"'], ['"Infinity"'], ['"uno"'], ['"١"'], ['"１"'], ['"1\u00a0"'])
	{
		my ($literal, $points) = @$case;
		my $answer = post('deposit', qq([{"programId":"FINE","memberId":"F1","amount":$literal,"comments":"x"}]));
		if (defined $points)
		{
			$total = $stack->psql("SELECT $total + $points");
			is "$answer->{json}[0]{status} " . balance('F1'), 'success ' . $stack->psql("SELECT trim_scale($total)"), "$literal is $points";
		}
		else
		{
			is_deeply outcomes($answer), [invalid('amount')], "$literal is no amount";
		}
	}
	refused(post('deposit', qq([{"programId":"FINE","memberId":"F1","amount":$_,"comments":"x"}])), 400, $says{items}, "$_ is no number of JSON") for qw(01 1. .5 +1 NaN 0x10 1e);
	is_deeply outcomes(post('deposit', [{%item, programId => 'FINE', memberId => 'F1', amount => '922337203685477.5807'}])), [$says{range}], 'no balance leaves the range of points';
	is_deeply outcomes(post('deposit', [map { {%item, memberId => 'A4', amount => $_} } qw(1.5 1.55 1.555 1.550)])), ['success 101.5', 'success 103.05', invalid('amount'), 'success 104.6'], 'no more decimals than the program has';
	is_deeply outcomes(post('redemption', [map { {%item, memberId => 'A4', amount => $_, amountCurrency => $_} } qw(1.001 0.6)])), [invalid('amount'), 'success 104'], 'for a redemption either';
	is_deeply outcomes(post('accumulation', [map { {%item, memberId => 'A4', amount => $_} } qw(0.05 0.04 0.0499 0.0001)])), ['success 104.01', 'success 104.01', 'success 104.01', 'success 104.01'], 'money has four, and small sales earn nothing';
};

subtest 'worth of points' => sub {
	create_program('TEN', redemption_points => 10, redemption_money => 1);
	create_program('THIRD', redemption_points => 3, redemption_money => 1);
	create_program('DOLLAR', redemption_points => 1, redemption_money => 1, currency_iso => 'USD', currency_change => 18.5, accumulation_points => 1, accumulation_money => 10);
	create_members($_->[0], $_->[1], 1, 100000) for ['TEN', 'T'], ['THIRD', 'H'], ['DOLLAR', 'D'];
	for my $case (
		# program, member, points, amounts that are accepted, those that are not
		['TEN', 'T1', 100, '10 9.99 10.01 10.0100 9.9900', '9.98 10.02 9.9899 10.0101 0.01 100'],
		['TEN', 'T1', 0.01, '0.001 0.0001 0.0110 0.0099', '0.0111 0.02'],
		['THIRD', 'H1', 1, '0.33 0.34 0.3333 0.3234 0.3433', '0.3233 0.3434 0.32 0.35'],
		['THIRD', 'H1', 20000, '6666.66 6666.67 6666.6567 6666.6766', '6666.6566 6666.6767 6666.68'],
		['DOLLAR', 'D1', 37, '2 1.99 2.01', '1.98 2.02 37'])
	{
		my ($program, $member, $points, $accepted, $rejected) = @$case;
		my $item = sub { return {programId => $program, memberId => $member, amount => $points, comments => 'x', amountCurrency => $_[0]} };
		like $_, qr/^success/, "$program: $points points" for @{outcomes(post('redemption', [map { $item->($_) } split / /, $accepted]))};
		is_deeply outcomes(post('redemption', [map { $item->($_) } split / /, $rejected])), [map { $says{mismatch} } split / /, $rejected], "$program: $points points are not $rejected";
	}
	is_deeply outcomes(post('deposit', [map { {programId => 'DOLLAR', memberId => 'D1', amount => 2, comments => 'x', currency => $_} } qw(MXN usd EUR)])), [map { currency($_) } qw(MXN usd EUR)], 'a currency that is not the program\'s';
	my $before = balance('D1');
	post('deposit', [{programId => 'DOLLAR', memberId => 'D1', amount => 2, comments => 'x', currency => 'USD'}]);
	is balance('D1'), $before + 3.7, '2 dollars at 18.5 are 37 pesos, at 1 for 10';
	is_deeply outcomes(post('accumulation', [map { {programId => 'DOLLAR', memberId => 'D1', amount => 1, comments => 'x', %$_} } {amountCurrency => 'MXN'}, {currency => 'EUR', amountCurrency => 'USD'}])), [currency('MXN'), currency('EUR')],
		'an accumulation names it in either place';
	is_deeply outcomes(post('redemption', [{programId => 'DOLLAR', memberId => 'D1', amount => 37, comments => 'x', amountCurrency => 2, currency => 'MXN'}])), [currency('MXN')], 'a redemption may';
};

subtest 'a member within a deposit' => sub {
	my %deposit = (programId => 'P', amount => 5, comments => 'x');
	my %person = (firstName => 'Nueva', firstLastName => 'Persona');
	my $answer = post('deposit', [
		{%deposit, member => {email => 'a5@CORREO.example'}},
		{%deposit, member => {%person, email => 'nueva@correo.example', clientId => 'NUEVA'}},
		{%deposit, member => {email => 'NUEVA@correo.example', firstName => 'otra'}},
		{%deposit, member => {email => 'sin.nombre@correo.example'}},
		{%deposit, member => {%person}},
		{%deposit, member => {}},
		{%deposit, member => {%person, email => ['x']}},
		{%deposit, member => {%person, email => 'larga@correo.example', secondLastName => 'x' x 1025}},
		{%deposit, member => {%person, email => 'casa@correo.example', address => {street => 'x'}}},
		{%deposit, member => {%person, email => 'casa@correo.example', address => 'x' x 2000}},
		{%deposit, member => {%person, email => 'otra@correo.example', clientId => 'A6'}},
		{%deposit, member => {%person, email => 'rango@correo.example', rank => 'Oro'}},
		{%deposit, member => {%person, email => 'fecha@correo.example', birthDate => 'ayer'}},
		{%deposit, memberId => 'A7', member => {%person, email => 'sobra@correo.example'}},
		{%deposit, memberId => 'nadie', member => {email => 'A7@correo.example'}},
		{%deposit, member => {%person, email => 'generada@correo.example', address => [{street => 'Juárez'}], phone => '5512340000'}},
		{%deposit, member => {%person, email => 'mismo.telefono@correo.example', phone => '5512340000'}},
		{%deposit, amount => 'x', member => {%person, email => 'nunca@correo.example'}},
		{%deposit, programId => 'nada', member => {%person, email => 'nunca@correo.example'}},
		{%deposit, member => 'A8'},
		{%deposit, memberId => 'A8', amount => 1}]);
	is_deeply outcomes($answer), ['success 105', 'success 5', 'success 10', missing('member.firstName'), missing('member.email'), missing('member.email'), invalid('member.email'), invalid('member.secondLastName'),
		invalid('member.address'), invalid('member.address'), $says{exists}, $says{rank}, invalid('member.birthDate'), 'success 105', $says{member}, 'success 5', $says{exists}, invalid('amount'), $says{program}, 'success 105', 'success 106'],
		'is found by email or created; what cannot be fails alone';
	is_deeply [map { $_->{memberId} } @{$answer->{json}}[0, 1, 2, 13]], [qw(A5 NUEVA NUEVA A7)], 'the answer tells its id';
	like $answer->{json}[15]{memberId}, qr/^CM\d{13}$/, 'a generated one too';
	is $stack->psql("SELECT string_agg(email, ' ' ORDER BY email) FROM loyalty_internal.member WHERE first_name = 'Nueva'"), 'generada@correo.example nueva@correo.example', 'those that failed have left no member';
	is $stack->psql("SELECT street FROM loyalty_internal.member_address WHERE merchant_id = $merchant"), 'Juárez', 'nor an address';
	is_deeply outcomes(post('accumulation', [{%deposit, amount => 100, member => {%person, email => 'acumula@correo.example'}}])), ['success 10'], 'an accumulation takes one too';
	$stack->psql("UPDATE loyalty_internal.member SET active = false WHERE client_id = 'NUEVA'");
	is_deeply outcomes(post('deposit', [{%deposit, memberId => 'NUEVA'}, {%deposit, member => {%person, email => 'otra@correo.example', clientId => 'NUEVA'}}])), [$says{member}, $says{exists}], 'one who is not active is not found, and keeps the id';
	my $again = {%deposit, member => {%person, email => 'NUEVA@correo.example', clientId => 'NUEVA2'}};
	is_deeply outcomes(post('deposit', [$again, {%deposit, memberId => 'NUEVA'}, $again])), ['success 15', $says{member}, 'success 20'], 'but comes back by the email, under the id that is sent';
	sound('inline members');
};

subtest 'programs that refuse' => sub {
	create_program('OFF');
	create_members('OFF', 'O', 1, 100);
	my %off = (programId => 'OFF', memberId => 'O1', amount => 1, comments => 'x', amountCurrency => 1);
	my $all = sub { return [map { @{outcomes(post($_, [{%off, $_ eq 'accumulation' ? (amountCurrency => 'MXN') : ()}, {%item, memberId => 'A9'}]))}[0] =~ s/^success .*/success/r } qw(deposit redemption accumulation)] };
	my $set = sub { $stack->psql(Loyalty::configure($merchant, "loyalty.find_program($merchant, 'OFF')", @_)) };
	is_deeply $all->(), [('success') x 3], 'as it is created';
	$set->(active => 0);
	is_deeply $all->(), [$says{inactive}, 'success', $says{inactive}], 'inactive: points can only be used';
	is_deeply outcomes(post('deposit', [{programId => 'OFF', amount => 1, comments => 'x', member => {email => 'off@correo.example', firstName => 'x', firstLastName => 'x'}}])), [$says{inactive}], 'nobody is enrolled by a deposit';
	$set->(active => 1, unit_active => 0);
	is_deeply $all->(), [$says{inactive}, 'success', $says{inactive}], 'its unit is inactive';
	$set->(unit_active => 1, currency_active => 0);
	is_deeply $all->(), ['success', currency('MXN'), currency('MXN')], 'its currency is: points can still be given';
	$set->(currency_active => 1, unit_base => 0);
	is_deeply $all->(), [$says{required}, 'success', 'success'], 'its unit is not a base';
	$set->(unit_base => 1);
	is_deeply $all->(), [('success') x 3], 'and all again';
};

# --- large batches --------------------------------------------------------------------------------

# The one place where two texts are too long to be printed.
sub same_text
{
	my ($got, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return pass($name) if $got eq $expected;
	my @got = split /(?<=\}),/, $got;
	my @expected = split /(?<=\}),/, $expected;
	my ($first) = grep { ($got[$_] // '') ne ($expected[$_] // '') } 0 .. ($#got > $#expected ? $#got : $#expected);
	fail($name);
	return diag(sprintf "item %d of %d\n     got: %s\nexpected: %s", $first, scalar @expected, $got[$first] // 'nothing', $expected[$first] // 'nothing');
}

# Hundredths of a point, as text.
sub points { my $text = sprintf '%.2f', $_[0] / 100; $text =~ s/\.?0+$//; return $text }

subtest '10,000 items, of which many are bad' => sub {
	my %account = create_members('P', 'B', 200, 50);
	my %left = map { $_ => 5000 } keys %account;
	my %entry_no = map { $_ => 1 } keys %account;
	my $seed = 20180320;
	my $random = sub { $seed = ($seed * 1103515245 + 12345) % 2147483648; return int(($seed >> 8) % $_[0]) };

	for my $operation (qw(deposit redemption accumulation))
	{
		my $id = $operation eq 'redemption' ? 'transactionId' : 'transactionid';
		my (@items, @expected, %times);
		for my $n (1 .. 10_000)
		{
			my $member = 'B' . (1 + $random->(200));
			my $amount = 1 + $random->(3000);
			my %item = (programId => 'P', memberId => $member, amount => points($amount), comments => "n $n", reference => $n, $operation eq 'redemption' ? (amountCurrency => points($amount)) : ());
			my $kind = $random->(20);
			my $error;
			if ($kind == 0) { my $field = qw(programId memberId amount comments)[$random->(4)]; delete $item{$field}; $error = missing($field) }
			elsif ($kind == 1) { $item{comments} = [1]; $error = invalid('comments') }
			elsif ($kind == 2) { $item{programId} = "X$n"; $error = $says{program} }
			elsif ($kind == 3) { $item{memberId} = "X$n"; $error = $says{member} }
			elsif ($kind == 4) { $item{amount} .= $item{amount} =~ /\./ ? '00001' : '.00001'; $error = invalid('amount') }
			elsif ($kind == 5) { $item{amount} = qw(-5 0 x 1e400)[$random->(4)]; $error = invalid('amount') }
			elsif ($kind == 6) { $error = $says{items} }
			elsif ($kind == 7) { $item{currency} = 'USD'; $error = currency('USD') }
			elsif ($kind == 8 && $operation eq 'redemption') { $item{amountCurrency} = points($amount + 2); $error = $says{mismatch} }
			elsif ($kind == 9 && $operation eq 'redemption') { $item{amount} = $item{amountCurrency} = 1_000_000; $error = $says{points} }
			elsif ($kind == 10 && $operation eq 'redemption') { $item{amountCurrency} = points($amount - 1) if $amount > 1 }
			push @items, $kind == 6 ? $n : \%item;

			my $points = $operation eq 'deposit' ? $amount : $operation eq 'redemption' ? -$amount : POSIX::floor(($amount + 5) / 10);
			$error //= $says{points} if $left{$member} + $points < 0;
			$times{$error // 'success'}++;
			if (!defined $error)
			{
				$left{$member} += $points;
				$entry_no{$member}++;
			}
			push @expected, sprintf '{"%s":"%s","status":"%s","description":"%s","programId":"%s","memberId":"%s","totalPoints":%s}', $id, $error ? '' : "entry $entry_no{$member} of $account{$member}", $error ? 'error' : 'success', $error // '',
				$kind == 6 ? '' : $item{programId} // '', $kind == 6 ? '' : $item{memberId} // '', $error ? 0 : points($left{$member});
		}
		my $answer = post($operation, \@items);
		same_text($stack->tell_entries(decode('UTF-8', $answer->{body})), '[' . join(',', @expected) . ']', "$operation: every answer, in order");
		cmp_ok scalar keys %times, '>', 10, "$operation: " . join ', ', map { "$times{$_} x $_" } sort keys %times;
	}
	is_deeply {map { split /\|/ } split /\n/, $stack->psql("SELECT client_id, balance FROM loyalty.members WHERE client_id ~ '^B\\d'")}, {map { $_ => points($left{$_}) } keys %left}, 'every balance is the sum';
	is $stack->psql("SELECT count(*) FROM loyalty.entries e JOIN loyalty.members m USING (merchant_id, account_id) WHERE m.client_id ~ '^B\\d'"), sum(values %entry_no), 'there is an entry for each success';
	sound('large batches');
};

subtest 'one member many times' => sub {
	create_members('P', 'C', 1, 0);
	is_deeply outcomes(post('deposit', [map { {%item, memberId => 'C1'} } 1 .. 1000])), [map { "success $_" } 1 .. 1000], '1,000 deposits, each on the balance before it';
	is_deeply outcomes(post('redemption', [map { {%item, memberId => 'C1', amount => 7, amountCurrency => 7} } 1 .. 1000])), [(map { 'success ' . (1000 - 7 * $_) } 1 .. 142), ($says{points}) x 858], '1,000 redemptions of 7: 142 fit into 1,000';
	is balance('C1'), '6', 'six are left';
};

# --- bodies -------------------------------------------------------------------------------------------

subtest 'bodies' => sub {
	my $before = contents();
	my $good = '{"programId":"P","memberId":"A1","amount":1,"comments":"x"}';
	my %broken = (
		'nothing' => '', 'blanks' => "  \n", 'a brace' => '{', 'text' => 'nada', 'a string' => '"x"', 'a number' => '5', 'null' => 'null', 'true' => 'true', 'a trailing comma' => "[$good,]", 'two arrays' => "[$good][$good]",
		'something after it' => "[$good] x", 'single quotes' => "[{'programId':'P'}]", 'UTF-16' => "\xff\xfe[\0]\0", 'a raw NUL' => "[$good,\"\0\"]", 'an escaped NUL and no array' => $good =~ s/x"/a\\u0000b"/r,
		'an unknown escape' => "[$good,\"\\x\"]", 'half an escape' => "[$good,\"\\u00\"]", 'bad UTF-8' => "[$good,\"\xff\"]", 'an overlong slash' => "[$good,\"\xc0\xaf\"]", 'a raw line break in a string' => "[\"a\nb\"]",
		'2,100 objects within each other' => '{"a":' x 2100 . '1' . '}' x 2100, '7,000 arrays, one of them open' => "[$good," . '[' x 7000 . ']' x 7000, 'an array that ends as an object' => "[$good," . '[' x 7000 . ']' x 6999 . '}]', 'a form' => 'programId=P&memberId=A1&amount=1&comments=x', 'a million brackets' => '[' x 1_000_000);
	for my $operation (qw(deposit redemption accumulation))
	{
		refused(post($operation, $broken{$_}), 400, $says{items}, "$operation: $_") for sort keys %broken;
	}
	refused(post('deposit', "[$good]", 'Content-Type' => $_), 415, 'the body is neither a form nor JSON', "called $_") for qw(text/plain text/xml multipart/form-data application/octet-stream);
	is_deeply outcomes(post('deposit', [{%item, comments => undef, items => $_}])), [missing('comments')], 'depth that JSON allows' for [{x => eval '[' x 1000 . ']' x 1000}];
	is post('deposit', '[' . ' ' x (8 * 1024 * 1024 - 2) . ']')->{body}, '[]', 'a body of 8 MB';
	my $large = post('deposit', '[' . ' ' x (8 * 1024 * 1024 - 1) . ']');
	is_deeply [@$large{qw(status json)}], [413, {status => 'error', description => 'the body is too large'}], 'a byte more is too much';
	refused(post('deposit', '[' . join(',', (1) x 100_001) . ']'), 400, $says{items}, 'more than 100,000 items');
	my $many = post('deposit', '[' . join(',', (1) x 100_000) . ']');
	is $many->{status} . ' ' . (() = $many->{body} =~ /"status":"error"/g), '200 100000', '100,000 items';
	is contents(), $before, 'nothing was written';
	is_deeply outcomes(post('deposit', "\xef\xbb\xbf$_")), ['success ' . balance('A1')], 'a byte order mark' for "[$good]", $good;
	is post('deposit', "[$good]", 'Content-Type' => $_)->{status}, 200, "called $_" for 'application/json; charset=utf-8', 'APPLICATION/JSON', 'application/x-www-form-urlencoded';
};

subtest 'a request that fails leaves no trace' => sub {
	$stack->psql(q{
		CREATE FUNCTION public.boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.reference = 'boom' THEN RAISE 'boom'; END IF; RETURN new; END $$;
		CREATE TRIGGER boom BEFORE INSERT ON loyalty.entry FOR EACH ROW EXECUTE FUNCTION public.boom()});
	my @items = ({%item}, {programId => 'P', amount => 1, comments => 'x', member => {email => 'boom@correo.example', firstName => 'x', firstLastName => 'x'}}, {%item, memberId => 'A2', reference => 'boom'});
	my $before = contents();
	refused(post('deposit', \@items, 'Idempotency-Key' => 'k-boom'), 500, 'an unexpected failure; nothing was written', 'an unexpected failure');
	is contents(), $before, 'nothing is written, no member, no key';
	like $stack->server_log, qr/deposit failed: boom/, 'the log has the cause';
	my $error = $stack->psql_error("SELECT loyalty.seller_deposit($merchant, '" . $json->encode(\@items) . "')");
	is "$error->{sqlstate} $error->{message}", 'P0001 boom', 'in SQL it passes as it is';
	$stack->psql('DROP TRIGGER boom ON loyalty.entry; DROP FUNCTION public.boom()');
	is_deeply [map { $_->{status} } @{post('deposit', \@items, 'Idempotency-Key' => 'k-boom')->{json}}], [('success') x 3], 'the key is free for the next attempt';
};

subtest 'a batch is carried out once' => sub {
	my @items = ({%item, memberId => 'A10'}, {%item, memberId => 'nadie'}, 5, {%item, memberId => 'A10', amount => '2.50', comments => 'Ñ'}, {programId => 'P', amount => 1, comments => 'x', member => {email => 'una@correo.example', firstName => 'x', firstLastName => 'x'}});
	my $before = balance('A10');
	my @answers = map { post('deposit', \@items, 'Idempotency-Key' => 'k-batch') } 1 .. 3;
	is $answers[$_]{body}, $answers[0]{body}, 'a retry gets the first answer, byte by byte' for 1, 2;
	is balance('A10'), $before + 3.5, 'and posts nothing';
	post('deposit', [{%item, memberId => 'A10'}]);
	is post('deposit', \@items, 'Idempotency-Key' => 'k-batch')->{body}, $answers[0]{body}, 'whatever has happened since';
	my $reused = 'the idempotency key was already used for a different request';
	refused(post('deposit', [@items, 5], 'Idempotency-Key' => 'k-batch'), 422, $reused, 'another body');
	refused(post('accumulation', \@items, 'Idempotency-Key' => 'k-batch'), 422, $reused, 'another operation');
	refused(post('deposit', '{', 'Idempotency-Key' => 'k-batch'), 422, $reused, 'a body that is none');
	refused(post('deposit', \@items, 'Idempotency-Key' => $_), 400, 'the idempotency key is not valid', "no key: $_") for 'a b', 'x' x 201;
	refused(post('deposit', '{', 'Idempotency-Key' => 'k-broken'), 400, $says{items}, 'a request that fails');
	is post('deposit', \@items, 'Idempotency-Key' => 'k-broken')->{status}, 200, 'leaves its key free';
	is $stack->http_json('GET', "/v1/seller/$key/program", {'Idempotency-Key' => 'k-batch'})->{status}, 200, 'a GET needs none';
};

# --- at once -----------------------------------------------------------------------------------------------

subtest 'two batches in opposite order' => sub {
	create_members('P', 'E', 50, 1000);
	my $deadlocks = sub { scalar(() = $stack->server_log =~ /deadlock/g) };
	my $up = $json->encode([map { {%item, memberId => "E$_", amount => 3} } 1 .. 50]);
	my $down = $json->encode([map { {%item, memberId => "E$_", amount => 1, amountCurrency => 1} } reverse 1 .. 50]);
	my ($first, $second) = map { $stack->connect_async } 1 .. 2;
	$first->query("CREATE TEMP TABLE b AS SELECT \$b\$$up\$b\$::json AS items");
	$second->query("CREATE TEMP TABLE b AS SELECT \$b\$$down\$b\$::json AS items");
	my $count = sub { return "SELECT count(*) FILTER (WHERE x ->> 'status' = 'success') FROM json_array_elements((SELECT loyalty.seller_$_[0]($merchant, items) FROM b)) x" };
	for (1 .. 100)
	{
		$first->send($count->('deposit'));
		$second->send($count->('redemption'));
	}
	is_deeply [map { $first->receive } 1 .. 100], [(50) x 100], '100 batches up';
	is_deeply [map { $second->receive } 1 .. 100], [(50) x 100], 'and 100 down at the same time';
	$_->close for $first, $second;
	is $stack->psql("SELECT DISTINCT balance FROM loyalty.members WHERE client_id ~ '^E\\d'"), '1200', 'every balance is right';
	is $deadlocks->(), 0, 'there was no deadlock';

	my %person = (firstName => 'x', firstLastName => 'x');
	my @sessions = map { $stack->connect_async } 1 .. 2;
	for my $round (1 .. 20)
	{
		my @members = map { {programId => 'P', amount => 1, comments => 'x', member => {%person, email => "ronda$round.$_\@correo.example"}} } 1 .. 100;
		$sessions[0]->send("SELECT count(*) FILTER (WHERE x ->> 'status' = 'success') FROM json_array_elements(loyalty.seller_deposit($merchant, '" . $json->encode(\@members) . "')) x");
		$sessions[1]->send("SELECT count(*) FILTER (WHERE x ->> 'status' = 'success') FROM json_array_elements(loyalty.seller_deposit($merchant, '" . $json->encode([reverse @members]) . "')) x");
	}
	is_deeply [map { my $session = $_; map { $session->receive } 1 .. 20 } @sessions], [(100) x 40], 'two batches that enroll the same people in opposite order';
	$_->close for @sessions;
	is $stack->psql("SELECT count(*), min(balance::numeric), max(balance::numeric) FROM loyalty.members WHERE email ~ '^ronda'"), '2000|2|2', 'each is enrolled once, with both deposits';
	is $deadlocks->(), 0, 'there was no deadlock';
	sound('at once');
};

# Who is blocked while a batch is carried out: what is answered is what a repeat gets, and what is booked.
subtest 'a customer who is blocked half-way' => sub {
	my @curps = qw(CAMC880526HMCBNR04 CAPC200504HMCBXRA2 REAE060617MMCYLVA4);
	my $program = $stack->psql("SELECT program_id FROM loyalty.programs WHERE merchant_id = $merchant AND client_id = 'P'");
	my @ids = map { $stack->psql("SELECT loyalty.create_customer($merchant, $program, '$curps[$_]', 'Ana', 'Ruiz', email => 'bloqueo$_\@correo.example')") } 0 .. 2;
	$stack->psql("SELECT loyalty.identify_member($merchant, $ids[$_], client_id => 'BLOQUEO$_')") for 0 .. 2;
	my @people = map { {programId => 'P', amount => 1, comments => 'x', member => {email => "bloqueo$_\@correo.example", firstName => 'x', firstLastName => 'x'}} } 0 .. 2;
	my $items = $json->encode([map { ({%item, memberId => "BLOQUEO$_"}, $people[$_]) } 0 .. 2]);
	my $batch = sub { return "SELECT loyalty.seller_deposit($merchant, '$items', '$_[0]')" };
	my ($sends, $blocks, $holds) = map { $stack->connect_async } 1 .. 3;
	my $pid = $sends->query('SELECT pg_backend_pid()');
	my $waits = sub { return $stack->wait_until(sub { $stack->psql("SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0 }) };
	my $said = sub { return join ' ', map { $_->{status} eq 'success' ? $_->{totalPoints} : $_->{status} } @{JSON::PP->new->utf8(0)->decode($_[0])} };
	my $booked = sub { return $stack->psql("SELECT string_agg(balance::text, ' ' ORDER BY client_id) FROM loyalty.members WHERE merchant_id = $merchant AND client_id ~ '^BLOQUEO'") };

	# found, and blocked while the batch waits for an account
	$holds->query("BEGIN; SELECT FROM loyalty_internal.account WHERE merchant_id = $merchant AND account_id = $ids[0] FOR UPDATE");
	$sends->send($batch->('bloqueo-1'));
	ok $waits->(), 'the batch waits half-way';
	is $blocks->query("SELECT loyalty.block_customer($merchant, '$curps[1]')"), 't', 'one of its members is blocked';
	$holds->query('COMMIT');
	my $first = $sends->receive;
	is $said->($first), '1 2 1 2 1 2', 'who was found before is posted to';
	is $booked->(), '2 2 2', 'as it is booked';
	is $sends->query($batch->('bloqueo-1')), $first, 'and a repeat says the same';
	is $booked->(), '2 2 2', 'and posts nothing';

	# not found any more
	my $second = $sends->query($batch->('bloqueo-2'));
	is $said->($second), '3 4 error error 3 4', 'who was blocked before fails alone';
	is $sends->query($batch->('bloqueo-2')), $second, 'in a repeat too';

	# being blocked: the block is not there yet
	$blocks->query('BEGIN');
	$blocks->query("SELECT loyalty.block_customer($merchant, '$curps[2]')");
	my $third = $sends->query($batch->('bloqueo-3'));
	$blocks->query('COMMIT');
	is $said->($third), '5 6 error error 5 6', 'who is being blocked is posted to';
	is $sends->query($batch->('bloqueo-3')), $third, 'and a repeat after it says so';

	# a repeat that comes after the customer is let in again
	is $stack->psql("SELECT loyalty.unblock_customer($merchant, '$curps[1]')"), 't', 'let in again';
	# the customer who was blocked since is not named by what was kept before, where the item did not name them
	is $sends->query($batch->('bloqueo-2')), $second =~ s/^(.*"memberId":")BLOQUEO2"/$1"/r, 'a repeat says what was said, and does not name who was blocked since';
	is $booked->(), '6 2 6', 'and nothing is booked twice';
	$_->close for $sends, $blocks, $holds;
	sound('a block half-way');
};

# --- garbage ------------------------------------------------------------------------------------------------

# Bodies put together at random from what items and members consist of, some
# with bytes changed: whatever comes, it is not an unexpected failure.
subtest 'garbage' => sub {
	srand 20180320;
	my @values = ('null', 'true', '0', '-1', '1', '1e3', '1e-3', '0.1', '""', '" "', '"x"', '"P"', '"A1"', '[]', '{}', '[{}]', '[[]]', '[null]', '{"a":1}', '"MXN"', '"2020-01-01"', '"1990-02-30"', '"\\ud83d\\ude00"',
		'"' . 'y' x 1025 . '"', '99999999999999', '"5512340000"', '[{"street":1,"postcode":5}]', '[{"street":null,"postcode":{"country":"x","state":[],"city":{"name":7}}}]', '{"email":"q","firstName":"a","firstLastName":"b"}',
		'{"email":{}}', '{"address":[{}]}', '[{"sku":"a","quantity":1}]', '[{"quantity":-1}]', '"0001-01-01T00:00:00+15:59"', '"9999-12-31T23:59:59-15:59"', '"0001-01-01"');
	my @item_keys = qw(programId memberId amount comments amountCurrency currency reference concept branchId vendorId items member);
	my @member_keys = qw(email firstName firstLastName secondLastName birthdate birthDate clientId memberId rank subscriptionDate country phone address);
	my $pick = sub { return $_[rand @_] };
	my $pairs = sub { my ($keys, $count) = @_; return map { '"' . $pick->(@$keys) . '":' . $pick->(@values) } 1 .. $count };
	my $member = sub { return '{"email":"g' . int(rand 1e6) . '","firstName":"a","firstLastName":"b"' . join('', map { ",$_" } $pairs->(\@member_keys, int rand 4)) . '}' };
	my $item = sub { return '{"programId":"P","amount":1,"comments":"x",' . (rand() < 0.5 ? '"memberId":"A1"' : '"member":' . $member->()) . join('', map { ",$_" } $pairs->(\@item_keys, int rand 4)) . '}' };
	my $changed = sub {
		my $text = shift;
		for (1 .. 1 + rand 3)
		{
			my ($at, $kind) = (int rand length $text, int rand 3);
			if ($kind == 0) { substr($text, $at, 1) = chr int rand 256 }
			elsif ($kind == 1) { substr($text, $at, 1 + int rand 5) = '' }
			else { substr($text, $at, 0) = substr $text, int rand length $text, int rand 20 }
		}
		return $text;
	};
	my @requests;
	for (1 .. 3000)
	{
		my $path = $pick->(qw(deposit redemption accumulation program/P/member));
		my $body = $path =~ /member/ ? $member->() : rand() < 0.3 ? $item->() : '[' . join(',', map { rand() < 0.1 ? $pick->(@values) : $item->() } 1 .. 1 + rand 5) . ']';
		$body = $changed->($body) if rand() < 0.4;
		push @requests, "('$path', '\\x" . unpack('H*', $body) . "')";
	}
	my $outcome = $stack->psql(q{
		CREATE TEMP TABLE garbage (path text, body bytea);
		CREATE TEMP TABLE answer (status text, answer json);
		INSERT INTO garbage VALUES } . join(', ', @requests) . q{;
		DO $$
		DECLARE
			g record;
			answer json;
		BEGIN
			FOR g IN SELECT * FROM garbage LOOP
				PERFORM set_config('request.headers', json_build_object('x-loyalty-method', 'POST', 'x-loyalty-uri', '/v1/seller/} . $key . q{/' || g.path, 'x-loyalty-type', 'application/json')::text, false),
					set_config('response.status', '200', false);
				answer := loyalty_api.gateway(g.body);
				INSERT INTO answer VALUES (current_setting('response.status'), answer);
				IF current_setting('response.status') NOT IN ('200', '201', '409', '460') THEN
					RAISE EXCEPTION 'to % % the answer is % %', g.path, encode(g.body, 'escape'), current_setting('response.status'), answer;
				END IF;
				COMMIT;
			END LOOP;
		END
		$$;
		SELECT string_agg(DISTINCT status, ' ' ORDER BY status) FROM answer;});
	is $outcome, '200 201 409 460', '3,000 bodies are answered; 460 is what nginx makes a 400 of';
	is $stack->psql("SELECT count(*) FROM loyalty.entries WHERE detail IS NOT NULL AND detail::jsonb IS NULL"), '0', 'what was kept of them is JSON';
	is $stack->psql("SELECT count(*) = (SELECT count(*) FROM loyalty.members WHERE merchant_id = $merchant AND active) FROM loyalty.programs p, loyalty.seller_member_list(p.merchant_id, p.client_id) WHERE p.merchant_id = $merchant"), 't', 'every member can be read';
	sound('garbage');
};

# --- memory ------------------------------------------------------------------------------------------------

subtest 'memory' => sub {
	my @bodies = (
		'[{"programId":"' . 'x' x 3000, '{', '[' . '{"programId":["' . 'x' x 3000 . '"]}' . ']', '[' . join(',', ('{"programId":"P","memberId":"nadie","amount":1,"comments":"x","items":[{"sku":"x"}]}') x 20) . ']',
		'[{"programId":"P","amount":1,"comments":"x","member":{"email":"memoria@correo.example","address":[{"street":"x"}]}},5]', '[{"programId":"P","memberId":"A1","amount":1,"comments":"x"},{"programId":"P","memberId":"A1","amount":1e9,"comments":"x","currency":"USD"}');
	my $session = $stack->connect_async;
	my $pid = $session->query('SELECT pg_backend_pid()');
	$session->query('CREATE TEMP TABLE failing AS SELECT * FROM unnest(ARRAY[' . join(', ', map { "\$b\$$_\$b\$" } @bodies) . ']) WITH ORDINALITY v (body, n)');
	$session->query("SELECT set_config('request.headers', '" . $json->encode({'x-loyalty-method' => 'POST', 'x-loyalty-uri' => "/v1/seller/$key/deposit", 'x-loyalty-type' => 'application/json'}) . "', false)");
	# Each in a transaction of its own, as PostgREST does it.
	my $fail_often = sub {
		return $session->query("DO \$do\$ BEGIN FOR i IN 1..$_[0] LOOP PERFORM loyalty_api.gateway(convert_to(body, 'UTF8')) FROM failing WHERE n = i % 6 + 1; COMMIT; END LOOP; END \$do\$");
	};
	my $memory_kb = sub {
		my $contexts = $session->query('SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts');
		open my $status, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!\n";
		my ($rss) = map { /^RssAnon:\s+(\d+) kB/ ? $1 : () } <$status>;
		return ($contexts, $rss);
	};
	my $before = contents();
	is $fail_often->(600), '', '600 requests that fail, or whose items do';
	my ($contexts_before, $rss_before) = $memory_kb->();
	is $fail_often->(20_000), '', '20,000 more';
	my ($contexts_after, $rss_after) = $memory_kb->();
	cmp_ok $contexts_after - $contexts_before, '<', 1024, 'memory contexts do not grow';
	cmp_ok $rss_after - $rss_before, '<', 4096, 'nor does the process';
	is contents(), $before, 'nothing was written';
	$session->close;
};

sound('at the end');

done_testing;

# 76_payment_keys.pl - payments that are told apart by an Idempotency-Key, for want of a
# referencia, in all the ways in which clients write the one and leave out the other.
#
# A repeat gets the first answer and books nothing; another payment under the key is
# refused; and what has neither is a payment each time.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use JSON::PP ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', rate => '100000r/s');
my ($carlos, $eva) = qw(CAMC880526HMCBNR04 REAE060617MMCYLVA4);
my $private_key = 'k' x 32;
my $policies = $stack->psql(qq{
	SELECT loyalty.create_merchant('Uno') AS m \\gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Clientes', 'P') \\gset
	SELECT loyalty.create_app_user(:m, u, '$private_key') FROM unnest('{Banco,Agente}'::text[]) u \\g /dev/null
	SELECT loyalty.create_product(:m, 'Vida', '10000', 5, max_payments => 3) \\g /dev/null
	SELECT loyalty.create_customer(:m, :p, c, 'Persona', 'Gil'), loyalty.open_policy(:m, c, 'Vida', 3) FROM unnest('{$carlos,$eva}'::loyalty.curp[]) c \\g /dev/null
	SELECT loyalty.grant_consent(:m, '$carlos', 'Banco', 'cobranza', '1') \\g /dev/null
	SELECT string_agg(policy_number, '|' ORDER BY curp::text) FROM loyalty.policies JOIN loyalty.customers USING (merchant_id, member_id)});
my %policy;
@policy{$carlos, $eva} = split /\|/, $policies;

# --- requests ---------------------------------------------------------------------------

my $token_age = 0;

# A payment of 1 by Banco, of Carlos's policy, without his CURP; each under another
# token.  Header: the line of it; undef: there is none.  -user, -curp: by and of others.
sub pay
{
	my ($header, %fields) = @_;
	my ($user, $curp) = (delete $fields{-user} // 'Banco', delete $fields{-curp} // $carlos);
	my %token_data = (timestamp => time - ++$token_age % 300, expires_in => 600);
	my $token = hmac_sha256_hex(qq({"timestamp":$token_data{timestamp},"expires_in":600}), hmac_sha256_hex($curp, $private_key));
	my $body = JSON::PP->new->utf8->canonical->encode({tipo_peticion => 'pagos_psd2', nombre_de_usuario => $user, poliza_en_uso => $policy{$curp}, cantidad => '1', token_data => \%token_data, %fields});
	my $answer = $stack->raw("POST /api/Payments_V1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer $token\r\nContent-Length: " . length($body) . "\r\n" . (defined $header ? "$header\r\n" : '') . "\r\n$body");
	my ($head, $json) = split /\r\n\r\n/, $answer, 2;
	my ($status) = $head =~ m{^HTTP/1\.1 (\d+)} or die "no answer: $answer\n";
	$json = JSON::PP->new->utf8->decode($json =~ /^[0-9a-f]+\r\n/ ? join '', map { $_ // '' } $json =~ /^[0-9a-f]+\r\n([^\r]+)\r\n/gm : $json);
	return {status => $status, json => $json, payment => $json->{payment_ids} && $json->{payment_ids}[0], replayed => $head =~ /^Idempotent-Replayed: true/mi ? 1 : 0};
}

my $booked = 0;
sub is_booked { my ($name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is $stack->psql(q{SELECT count(*) || ' ' || loyalty.sum(amount)::text FROM loyalty_internal.payment}), "$booked $booked", $name }

# --- each header with each way to have no reference -----------------------------------------

my @headers = (
	['as documented' => 'Idempotency-Key: %s'],
	['small letters' => 'idempotency-key: %s'],
	['capitals' => 'IDEMPOTENCY-KEY: %s'],
	['without a blank' => 'Idempotency-Key:%s'],
	['with blanks around' => 'Idempotency-Key:    %s  '],
	['in quotes' => 'Idempotency-Key: "%s"'],
	['a UUID' => 'Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f%s'],
	['signs' => 'Idempotency-Key: !#$%%&\'()*+-./:;<=>?@[\\]^_`{|}~%s'],
	['200 characters' => 'Idempotency-Key: ' . 'k' x 196 . '%s'],
);
my @references = (['missing' => {}], ['null' => {referencia => undef}], ['empty' => {referencia => ''}], ['blanks' => {referencia => " \t "}]);

my $n = 1000;
for my $header (@headers)
{
	for my $reference (@references)
	{
		my ($spelled, $line) = @$header;
		my ($left_out, $fields) = @$reference;
		my $name = "a key $spelled, referencia $left_out";
		$line = sprintf $line, ++$n;
		my $first = pay($line, %$fields);
		$booked += $first->{status} == 201;
		is "$first->{status} $first->{replayed}", '201 0', $name;
		my $again = pay($line, %$fields);
		is "$again->{status} $again->{replayed}", '201 1', "$name: again";
		is_deeply $again->{json}, $first->{json}, "$name: the first answer";
		my $other = pay($line, %$fields, cantidad => '2');
		is "$other->{status} @{[join ' ', sort keys %{$other->{json}}]}", '422 error mensaje ok status', "$name: another amount is refused";
	}
}
is_booked('each was booked once');

# --- what is the same request ------------------------------------------------------------------

subtest 'the same payment, said otherwise' => sub {
	my $line = 'Idempotency-Key: igual-1';
	my $first = pay($line);
	$booked++;
	for my $way (['a number' => {cantidad => 1}], ['null as reference' => {referencia => undef}], ['an empty reference' => {referencia => ''}], ['blanks as reference' => {referencia => '   '}], ['with fields that nobody knows' => {nota => 'x'}])
	{
		my $again = pay($line, %{$way->[1]});
		is_deeply [@$again{qw(status payment replayed)}], [201, $first->{payment}, 1], $way->[0];
	}
	for my $way (['another amount' => {cantidad => '1.01'}], ['another method' => {metodo => 'SPEI'}], ['a reference' => {referencia => 'R'}], ['another policy' => {-curp => $eva}])
	{
		is pay($line, %{$way->[1]})->{status}, 422, "$way->[0] is another";
	}
	is pay('Idempotency-Key: IGUAL-1')->{status}, 201, 'the key in capitals is another key';
	$booked++;
	is pay('Idempotency-Key: "igual-1"')->{status}, 201, 'so is the key in quotes';
	$booked++;
	is_booked('and nothing else was booked');
};

subtest 'keys of another app user, and of another policy' => sub {
	my $line = 'Idempotency-Key: ajena-1';
	my @first = map { pay($line, -user => $_) } qw(Banco Agente);
	$booked += 2;
	is_deeply [map { $_->{status} } @first], [201, 201], 'each has their own';
	isnt $first[0]{payment}, $first[1]{payment}, 'two payments';
	is_deeply [map { my $again = pay($line, -user => $_); "$again->{payment} $again->{replayed}" } qw(Banco Agente)], [map { "$_->{payment} 1" } @first], 'each gets the first answer of theirs';
	is pay($line, -user => 'Agente', cantidad => '2')->{status}, 422, 'and another payment is refused';
	is_booked('two were booked');
};

subtest 'a key and a reference' => sub {
	my $first = pay('Idempotency-Key: ambas-1', referencia => 'caja-1');
	$booked++;
	is $first->{status}, 201, 'with both';
	is pay('Idempotency-Key: ambas-1', referencia => 'caja-1')->{payment}, $first->{payment}, 'the same again';
	is pay(undef, referencia => 'caja-1')->{payment}, $first->{payment}, 'its reference without the key';
	is pay('Idempotency-Key: ambas-2', referencia => 'caja-1')->{payment}, $first->{payment}, 'and under another key';
	is pay('Idempotency-Key: ambas-1')->{status}, 422, 'its key without the reference is another payment';
	is pay('Idempotency-Key: ambas-1', referencia => 'caja-2')->{status}, 422, 'so is its key with another';
	is pay('Idempotency-Key: ambas-3', referencia => 'caja-1', cantidad => '2')->{status}, 412, 'and another amount under the reference';
	is_booked('one was booked');
};

subtest 'a consent that has ended since' => sub {
	for my $way (['without the CURP' => {}], ['with it' => {curp_en_uso => $eva}], ['with the acceptance key' => {clave_aceptacion => 1}])
	{
		my ($name, $fields) = @$way;
		my $reference = 'fin-' . ++$n;
		my ($consent, $key) = split /\|/, $stack->psql("SELECT consent_id, acceptance_key FROM loyalty.merchants m, loyalty.grant_consent(m.merchant_id, '$eva', 'Banco', 'cobranza', '1')");
		my @payment = ("Idempotency-Key: $reference", -curp => $eva, referencia => $reference, %$fields, exists $fields->{clave_aceptacion} ? (clave_aceptacion => $key) : ());
		my $first = pay(@payment);
		$booked++;
		is_deeply [@{$first->{json}{data}}{qw(cliente poliza curp)}], ['Persona Gil', $policy{$eva}, $eva], "$name: all is told";
		is_deeply pay(@payment)->{json}, $first->{json}, 'and told again';
		$stack->psql("SELECT loyalty.revoke_consent(merchant_id, $consent) FROM loyalty.merchants");
		my ($again, $fresh) = (pay(@payment), pay(undef, @payment[1 .. $#payment]));
		is_deeply [@$again{qw(status payment replayed)}], [201, $first->{payment}, 1], 'revoked, a repeat is the payment';
		is_deeply [@{$again->{json}{data}}{qw(cliente saldo pagos calendario cantidad referencia)}], ['', 0, [], [], 1, $reference], 'and tells nothing';
		is_deeply $again->{json}, $fresh->{json}, 'but what it does under its reference';
	}
	is_booked('each was booked once');

	my $order = sub {
		my ($timestamp, $curp) = (time, $eva);
		return $stack->http_json('POST', '/api/Accounts_V1', {'Content-Type' => 'application/json', 'Idempotency-Key' => 'orden-1',
			Authorization => 'Bearer ' . hmac_sha256_hex(qq({"timestamp":$timestamp,"expires_in":600}), hmac_sha256_hex($curp, $private_key))},
			JSON::PP->new->utf8->encode({tipo_peticion => 'new_service', nombre_de_usuario => 'Banco', curp_en_uso => $curp, mail => 'eva@correo.example', telefono => '5512345678', producto => 'Hogar', numero_pagos => 1, nombre => 'E',
				(map { $_ => 1 } qw(terminos aviso fideicomiso)), token_data => {timestamp => $timestamp, expires_in => 600}}));
	};
	my $consent = $stack->psql("SELECT loyalty.create_product(merchant_id, 'Hogar', '10', 5) AS p FROM loyalty.merchants \\g /dev/null
		SELECT (loyalty.grant_consent(merchant_id, '$eva', 'Banco', 'cobranza', '1')).consent_id FROM loyalty.merchants");
	my $first = $order->();
	is $first->{json}{datos_compra}{nombre}, 'Persona Gil', 'an order tells the name';
	is_deeply $order->()->{json}, $first->{json}, 'and so does a repeat';
	$stack->psql("SELECT loyalty.revoke_consent(merchant_id, $consent) FROM loyalty.merchants");
	$first->{json}{datos_compra}{nombre} = 'E';
	is_deeply $order->()->{json}, $first->{json}, 'but after the consent, which tells the name of the order';
	is $stack->psql("SELECT count(*) FROM loyalty.policies WHERE product = 'Hogar'"), 1, 'it was sold once';
};

subtest 'what failed has not used up its key' => sub {
	my $line = 'Idempotency-Key: falla-1';
	is pay($line, cantidad => '1000000')->{status}, 412, 'too much';
	is pay($line, cantidad => 'uno')->{status}, 400, 'not an amount';
	is pay($line, poliza_en_uso => 'P0')->{status}, 404, 'no policy';
	is pay($line)->{status}, 201, 'the right one';
	$booked++;
	is_booked('was booked');
};

# --- no key ----------------------------------------------------------------------------------------

subtest 'neither a key nor a reference: each is a payment' => sub {
	my %seen;
	for my $reference (@references)
	{
		for my $header (undef, 'Idempotency-Key:', 'Idempotency-Key:   ')
		{
			my @twice = map { pay($header, %{$reference->[1]}) } 1, 2;
			$booked += 2;
			is_deeply [map { $_->{status} . $_->{replayed} } @twice], ['2010', '2010'], "referencia $reference->[0], " . ($header // 'no header');
			$seen{$_->{payment}}++ for @twice;
		}
	}
	is scalar keys %seen, 2 * 3 * @references, 'all are different';
	is_booked('and all are booked');
};

subtest 'a header that is no key is refused, and not forgotten' => sub {
	for my $wrong (['201 characters' => 'k' x 201], ['a blank within' => 'k 1'], ['a comma and a blank, as of two' => 'k1, k2'], ['other letters' => "clav\xc3\xa9"], ['a byte that is no text' => "k\xff"])
	{
		my $answer = pay("Idempotency-Key: $wrong->[1]");
		is "$answer->{status} @{[join ' ', sort keys %{$answer->{json}}]}", '400 error mensaje ok status', $wrong->[0];
	}
	is pay('Idempotency-Key: ' . 'k' x 201, referencia => 'caja-3')->{status}, 400, 'with a reference too';
	for my $wrong ([1], {a => 1})
	{
		is pay('Idempotency-Key: lista-1', referencia => $wrong)->{status}, 400, 'nor is what is no text a reference';
	}
	is_booked('nothing was booked');
};

done_testing;

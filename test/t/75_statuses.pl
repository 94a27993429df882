# 75_statuses.pl - every status that the documents of the customer API name, for the
# token and for each of its three sisters, reached as clients reach it: something is
# missing, of another type, in other case, or has blanks around it.
#
# A table: what is changed in a request that is right, and the status; the keys of the
# body go with the API and the status.
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

# A CURP of its first 17 characters.
sub curp
{
	my $start = shift;
	my $alphabet = '0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ';
	my $sum = 0;
	$sum += (18 - $_) * index $alphabet, substr $start, $_, 1 for 0 .. 16;
	return $start . (10 - $sum % 10) % 10;
}

# Ana has consented, owns Vida and is 37; Beto has not consented; Eva has died; nobody knows Nadia.
# Cerrado and Vencido may call none of the APIs, or not any more.
my %curp = map { $_->[0] => curp("GOPL900115HDF$_->[1]ZT0") } [ana => 'B'], [beto => 'C'], [eva => 'D'], [nadia => 'F'];
my $born_dead = curp('GOPL900115HDFGZT0');
my ($merchant, $key, $acceptance, $poliza, $betos) = split /\|/, $stack->psql(qq{
	SELECT loyalty.create_merchant('Uno') AS m \\gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Clientes', 'P') \\gset
	SELECT loyalty.create_app_user(:m, 'Banco') AS k, loyalty.create_app_user(:m, 'Baja'), loyalty.disable_app_user(:m, 'Baja') \\gset
	SELECT loyalty.create_customer(:m, :p, c, n, 'Gómez', phone => t::loyalty.phone, email => n || '\@correo.example') FROM (VALUES ('$curp{ana}'::loyalty.curp, 'Ana', '5511111111'), ('$curp{beto}', 'Beto', '5522222222'), ('$curp{eva}', 'Eva', '5533333333')) v (c, n, t) \\g /dev/null
	SELECT acceptance_key AS a FROM loyalty.grant_consent(:m, '$curp{ana}', 'Banco', 'crédito', '1') \\gset
	SELECT loyalty.set_customer_deceased(:m, '$curp{eva}') \\g /dev/null
	SELECT loyalty.create_product(:m, n, '100', s, max_payments => 12, max_age => e) FROM (VALUES ('Vida', 5000, 99), ('Niños', 50, 10), ('Agotado', 0, 99)) v (n, s, e) \\g /dev/null
	SELECT loyalty.open_policy(:m, '$curp{ana}', 'Vida', 12), loyalty.open_policy(:m, '$curp{beto}', 'Vida', 12) \\g /dev/null
	INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name, deceased) VALUES (:m, '$born_dead', 'Zoe', 'Gil', true);
	SELECT loyalty.create_app_user(:m, u, :'k') FROM unnest('{Cerrado,Vencido}'::text[]) u \\g /dev/null
	SELECT loyalty.revoke_app_user_api(:m, 'Cerrado', a), loyalty.grant_app_user_api(:m, 'Vencido', a, now()) FROM unnest('{CUSTOMER,ACCOUNTS,PAYMENTS}'::text[]) a \\g /dev/null
	SELECT concat_ws('|', :m, :'k', :'a', (SELECT policy_number FROM loyalty.policies JOIN loyalty.customers USING (merchant_id, member_id) WHERE curp::text = '$curp{ana}'), (SELECT policy_number FROM loyalty.policies JOIN loyalty.customers USING (merchant_id, member_id) WHERE curp::text = '$curp{beto}'))});

# --- a request that is right, by its name --------------------------------------------------

my ($false, $true) = (JSON::PP::false, JSON::PP::true);
my %right = (
	token => ['/api/Token_Full', {tipo_peticion => 'token_full'}],
	keys => ['/api/Customer_V1', {tipo_peticion => 'request', request => 'request_block'}],
	all => ['/api/Customer_V1', {tipo_peticion => 'request', request => 'individual_request'}],
	products => ['/api/Customer_V1', {tipo_peticion => 'request_block', request => 'catalogo_productos'}],
	datum => ['/api/Customer_V1', {tipo_peticion => 'individual_request', request => 'Mail'}],
	block => ['/api/Customer_V1', {tipo_peticion => 'request_block', request => 'cliente'}],
	product => ['/api/Customer_V1', {tipo_peticion => 'request_block', request => 'producto_cliente', producto => 'Vida'}],
	order => ['/api/Accounts_V1', {tipo_peticion => 'new_service', mail => 'nadia@correo.example', telefono => '5544444444', producto => 'Vida', numero_pagos => 3, dia_pago => 15, nombre => 'Nadia', paterno => 'Gil',
		terminos => 'acepto', aviso => 'acepto', fideicomiso => 'acepto'}],
	stands => ['/api/Payments_V1', {tipo_peticion => 'account_status', poliza_en_uso => $poliza}],
	payment => ['/api/Payments_V1', {tipo_peticion => 'pagos_psd2', poliza_en_uso => $poliza, cantidad => 1, metodo => 'SPEI', referencia => 'r'}],
);

# The fields with undef are missing; what begins with a dash is no field: -curp whose it
# is, -signed what is signed for that, -path, -method, -header and others as below.
sub ask
{
	my ($name, %change) = @_;
	my ($path, $fields) = @{$right{$name}};
	my %option = map { $_ => delete $change{$_} } grep { /^-/ } keys %change;
	my $curp = $option{-curp} // ($name eq 'order' ? $curp{nadia} : $curp{ana});
	my $timestamp = time - ($option{-age} // 0);
	my $signature = hmac_sha256_hex(exists $option{-signed} ? $option{-signed} : ref $curp ? "$$curp" : $curp, $key);
	my $token = hmac_sha256_hex(qq({"timestamp":$timestamp,"expires_in":600}), $signature);
	my %times = map { $_->[0] => $option{-texts} ? "$_->[1]" : $_->[1] } [timestamp => $timestamp], [expires_in => 600];
	my %body = (nombre_de_usuario => 'Banco', curp_en_uso => $curp, %$fields, $name eq 'token' ? (firma_KEY => $signature) : (token_data => \%times), %change);
	delete @body{grep { !defined $body{$_} } keys %body};
	ref eq 'SCALAR' and $_ = $$_ eq 'null' ? undef : $$_ + 0 for values %body;
	$body{firma_KEY} = $option{-signature}->($signature) if $option{-signature};
	$token = $option{-token}->($token) if $option{-token};
	my %headers = ('Content-Type' => 'application/json', $name eq 'token' ? () : (Authorization => ($option{-scheme} // 'Bearer ') . $token), %{$option{-header} // {}});
	delete @headers{grep { !defined $headers{$_} } keys %headers};
	my $method = $option{-method} // 'POST';
	return $stack->http_json($method, $option{-path} // $path, \%headers, $method eq 'GET' ? undef : $option{-body} // JSON::PP->new->utf8->canonical->encode(\%body));
}

# --- what the bodies have --------------------------------------------------------------------

my @failure = qw(error mensaje ok status);
my %keys = (
	token => [qw(nombre ok token token_data)],
	keys => [qw(curp_en_uso data ok request request_block)],
	all => [qw(Datos_Contacto Datos_usuario Datos_ventas curp_en_uso data ok request)],
	products => [qw(curp_en_uso data ok productos request)],
	datum => [qw(curp_en_uso data ok request)],
	block => [qw(Direccion Ejecutivo FechaRegistro Mail Nombre Producto Telefono Tipo curp_en_uso data ok request ventas)],
	product => [qw(comision costo curp_en_uso data forma_pago ok producto request)],
	order => [qw(datos_compra mensaje ok)],
	stands => [qw(curp_en_uso data ok)],
	payment => [qw(curp_en_uso data mensaje ok payment_ids)],
);

# --- the table ---------------------------------------------------------------------------------
# [status, request, way => change, way => change …]

my $null = \'null';
my $number = sub { my $n = shift; return \$n };
my @blank = ('missing' => undef, 'null' => $null, 'empty' => '', 'blanks' => "  \t", 'a list' => [1], 'an object' => {a => 1});
sub without { my ($field) = @_; my @ways = @blank; my @rows; while (my ($way, $value) = splice @ways, 0, 2) { push @rows, "$field: $way" => {$field => $value} } return @rows }

my @table = (
	# --- token
	[200, 'token', 'as it is' => {}, 'small letters' => {-curp => lc $curp{ana}}, 'with blanks' => {-curp => " $curp{ana}\t"}, 'nobody knows' => {-curp => $curp{nadia}}, 'more keys' => {request => 'x', lista => [1], nada => $null},
		'another path' => {-path => '/api/Registro_V1'}, 'no User-Agent' => {-header => {'User-Agent' => ''}}, 'any User-Agent' => {-header => {'User-Agent' => '12345_Banco ñ/()'}},
		'type in capitals' => {-header => {'Content-Type' => 'APPLICATION/JSON; charset=UTF-8'}}],
	[400, 'token', map({ without($_) } qw(tipo_peticion nombre_de_usuario curp_en_uso firma_KEY)), 'keys in capitals' => {nombre_de_usuario => undef, NOMBRE_DE_USUARIO => 'Banco'}, 'no JSON' => {-body => 'tipo_peticion=token_full'},
		'a list' => {-body => '[]'}, 'nothing' => {-body => ''}],
	[401, 'token', 'unknown user' => {nombre_de_usuario => 'Nadie'}, 'a number' => {nombre_de_usuario => $number->(7)}, 'disabled user' => {nombre_de_usuario => 'Baja'}, 'user in small letters' => {nombre_de_usuario => 'banco'},
		'user with blanks' => {nombre_de_usuario => ' Banco '}, 'signed with blanks' => {-signed => " $curp{ana} "}, 'signed in small letters' => {-signed => lc $curp{ana}}, 'signature in capitals' => {-signature => sub { uc $_[0] }},
		'signature with blanks' => {-signature => sub { " $_[0]" }}, 'a number as signature' => {-signature => sub { 7 }}, 'the sandbox\'s path' => {-path => '/api/Registro_sbx'}],
	(map { my $name = $_; [403, $name, map { ("may call none$_->[0]" => {nombre_de_usuario => 'Cerrado', %{$_->[1]}}, "not any more$_->[0]" => {nombre_de_usuario => 'Vencido', %{$_->[1]}}) } ['' => {}], [', small letters' => {-curp => lc $curp{ana}}], [', with blanks' => {-curp => " $curp{ana} "}]] } qw(token datum block keys order stands payment)),
	[404, 'token', 'capitals' => {tipo_peticion => 'TOKEN_FULL'}, 'blanks' => {tipo_peticion => ' token_full '}, 'a number' => {tipo_peticion => $number->(1)}, 'another\'s' => {tipo_peticion => 'request'}, 'path in small letters' => {-path => '/api/token_full'},
		'no such path' => {-path => '/api/Token_Empty'}],
	[405, 'token', map { ($_ => {-method => $_}) } qw(GET PUT DELETE PATCH OPTIONS)],
	[417, 'token', 'no CURP' => {-curp => 'x'}, 'a digit is wrong' => {-curp => substr($curp{ana}, 0, 17) . ((substr($curp{ana}, 17) + 1) % 10)}, 'a letter less' => {-curp => substr $curp{ana}, 1}, 'a number' => {-curp => $number->(900115)}, 'blanks within' => {-curp => $curp{ana} =~ s/^..../$& /r},
		'of who has died' => {-curp => $curp{eva}}, 'of who has died, in small letters' => {-curp => lc $curp{eva}}, 'of who has died, with blanks' => {-curp => " $curp{eva} "}, 'who has died, by the record' => {-curp => lc $born_dead},
		'in false' => {-curp => 'FALSE'}],

	# --- CUSTOMER
	[202, 'keys', 'as it is' => {}, 'small letters' => {-curp => lc $curp{ana}}, 'nobody knows' => {-curp => $curp{nadia}}],
	[202, 'all', 'with blanks' => {-curp => " $curp{ana}"}, 'a number for a CURP' => {-curp => $number->(5)}],
	[202, 'products', 'as it is' => {}, 'no CURP' => {-curp => 'x'}],
	[202, 'datum', 'as it is' => {}, 'small letters' => {-curp => lc $curp{ana}}, 'with blanks' => {-curp => " $curp{ana}\t"}, 'bearer in small letters' => {-scheme => 'bearer '}, 'in capitals, with blanks' => {-scheme => 'BEARER   '}, 'times as texts' => {-texts => 1}, 'the acceptance key' => {clave_aceptacion => $acceptance}],
	[202, 'block', 'as it is' => {}, 'small letters, with blanks' => {-curp => " \L$curp{ana} "}],
	[202, 'product', 'as it is' => {}],
	[400, 'datum', map { without($_) } qw(tipo_peticion nombre_de_usuario request curp_en_uso token_data)],
	[400, 'datum', 'token_data without timestamp' => {token_data => {expires_in => 600}}, 'with one in capitals' => {token_data => {Timestamp => 1, expires_in => 600}}, 'as a text' => {token_data => '{"timestamp":1,"expires_in":600}'}],
	[400, 'block', map { without($_) } qw(request)],
	[400, 'product', map { without($_) } qw(producto)],
	[401, 'datum', 'no token' => {-header => {Authorization => undef}}, 'none of ours' => {-header => {Authorization => 'Basic eDp4'}}, 'in capitals' => {-token => sub { uc $_[0] }}, 'cut' => {-token => sub { substr $_[0], 1 }}, 'of another spelling' => {-signed => lc $curp{ana}},
		'of a CURP without blanks' => {-curp => " $curp{ana}", -signed => $curp{ana}}, 'unknown user' => {nombre_de_usuario => 'Nadie'}, 'disabled user' => {nombre_de_usuario => 'Baja'}, 'user in small letters' => {nombre_de_usuario => 'banco'},
		'user with blanks' => {nombre_de_usuario => 'Banco '}, 'another time' => {token_data => {timestamp => time - 5, expires_in => 600}}, 'times that are none' => {token_data => {timestamp => 'ayer', expires_in => 600}}, 'the sandbox\'s path' => {-path => '/api/Customer_sbx'}],
	[404, 'datum', 'capitals' => {tipo_peticion => 'INDIVIDUAL_REQUEST'}, 'blanks' => {tipo_peticion => ' individual_request'}, 'a number' => {tipo_peticion => $number->(2)}, 'a sister\'s' => {tipo_peticion => 'new_service'}, 'path in small letters' => {-path => '/api/customer_v1'},
		'a sale of no policy' => {request => 'Status', poliza_en_uso => 'P0'}, 'a sale of a policy in small letters' => {request => 'Status', poliza_en_uso => lc $poliza}],
	[404, 'keys', 'capitals' => {request => 'REQUEST_BLOCK'}, 'blanks' => {request => ' request_block '}, 'a number' => {request => $number->(1)}],
	[404, 'block', 'capitals' => {request => 'Cliente'}, 'blanks' => {request => 'cliente '}, 'a number' => {request => $number->(1)}],
	[405, 'datum', map { ($_ => {-method => $_}) } qw(GET PUT DELETE PATCH OPTIONS)],
	[406, 'product', 'no such product' => {producto => 'Nada'}, 'small letters' => {producto => 'vida'}, 'blanks' => {producto => ' Vida'}, 'a number' => {producto => $number->(1)}, 'too old for it' => {producto => 'Niños'}],
	[409, 'datum', 'has not consented' => {-curp => $curp{beto}}, 'in small letters' => {-curp => lc $curp{beto}}, 'with blanks' => {-curp => " $curp{beto}"}, 'nobody knows' => {-curp => $curp{nadia}}, 'no CURP' => {-curp => 'x'}, 'a number' => {-curp => $number->(5)},
		'another acceptance key' => {clave_aceptacion => 'x'}, 'a number as key' => {clave_aceptacion => $number->(1)}, 'the key in capitals' => {clave_aceptacion => uc $acceptance}, 'the key with blanks' => {clave_aceptacion => " $acceptance"}],
	[409, 'block', 'has not consented' => {-curp => $curp{beto}}, 'nobody knows' => {-curp => lc $curp{nadia}}],
	[409, 'product', 'has not consented' => {-curp => $curp{beto}}],
	[412, 'datum', 'small letters' => {request => 'mail'}, 'blanks' => {request => ' Mail '}, 'a number' => {request => $number->(1)}, 'no such datum' => {request => 'Password'}, 'a block' => {request => 'cliente'}],
	[418, 'datum', 'as it is' => {-age => 601}, 'small letters' => {-curp => lc $curp{ana}, -age => 601}, 'times as texts' => {-age => 700, -texts => 1}],
	[418, 'block', 'with blanks' => {-curp => " $curp{ana}", -age => 3600}],

	# --- ACCOUNTS
	[400, 'order', map { without($_) } qw(tipo_peticion nombre_de_usuario curp_en_uso token_data mail telefono producto numero_pagos terminos aviso fideicomiso)],
	[400, 'order', 'keys in capitals' => {mail => undef, Mail => 'nadia@correo.example'}, 'a phone of nine digits' => {telefono => '554444444'}, 'a phone in words' => {telefono => 'cincuenta'}, 'payments in words' => {numero_pagos => 'tres'}, 'none' => {numero_pagos => 0},
		'too many' => {numero_pagos => 13}, 'half a payment' => {numero_pagos => $number->(1.5)}, 'an address as a text' => {direccion => 'Calle 1'}, 'an address as a list' => {direccion => ['Calle 1']}],
	[401, 'order', 'no token' => {-header => {Authorization => undef}}, 'of another spelling' => {-signed => lc $curp{nadia}}, 'with blanks' => {-curp => " $curp{nadia}", -signed => $curp{nadia}}, 'user in small letters' => {nombre_de_usuario => 'banco'}],
	[404, 'order', 'capitals' => {tipo_peticion => 'New_Service'}, 'blanks' => {tipo_peticion => ' new_service '}, 'a number' => {tipo_peticion => $number->(3)}, 'a sister\'s' => {tipo_peticion => 'request'}, 'path in small letters' => {-path => '/api/accounts_v1'}],
	[405, 'order', map { ($_ => {-method => $_}) } qw(GET PUT DELETE)],
	[406, 'order', 'no such product' => {producto => 'Nada'}, 'small letters' => {producto => 'vida'}, 'blanks' => {producto => 'Vida '}, 'a number' => {producto => $number->(1)}, 'too old for it' => {producto => 'Niños'}],
	[409, 'order', (map { my $field = $_; map { ("$field: " . ($_->[0]) => {$field => $_->[1]}) } ['no', 'no'], ['NO, with blanks', ' NO '], ['false', $false], ['zero', 0], ['a zero', $number->(0)], ['off', 'off'], ['a word', 'aceptamos'] } qw(terminos aviso fideicomiso)),
		'mail of another' => {mail => 'Beto@correo.example'}, 'in capitals' => {mail => 'BETO@CORREO.EXAMPLE'}, 'with blanks' => {mail => ' Beto@correo.example '}, 'phone of another' => {telefono => '5522222222'},
		'with punctuation' => {telefono => ' +52 (55) 2222-2222 '}, 'as a number' => {telefono => $number->(5522222222)}],
	[412, 'order', 'has it' => {-curp => $curp{beto}, mail => 'beto@correo.example', telefono => '5522222222'}, 'in small letters' => {-curp => lc $curp{beto}, mail => 'beto@correo.example', telefono => '5522222222'}, 'with blanks' => {-curp => " $curp{ana} ", mail => 'x@correo.example', telefono => '5512345678'},
		'none is left' => {producto => 'Agotado'}],
	[417, 'order', 'no CURP' => {-curp => 'x'}, 'a number' => {-curp => $number->(5)}, 'a digit is wrong' => {-curp => lc(substr $curp{ana}, 0, 17) . ((substr($curp{ana}, 17) + 1) % 10)}, 'blanks within' => {-curp => $curp{nadia} =~ s/^..../$& /r}, 'has died' => {-curp => $curp{eva}}, 'has died, in small letters' => {-curp => lc $curp{eva}},
		'has died, by the record' => {-curp => " $born_dead"}, 'no name' => {nombre => undef}, 'half a name' => {paterno => ' '}, 'names of another type' => {nombre => $null}],
	[418, 'order', 'as it is' => {-age => 601}, 'in small letters' => {-age => 601, -curp => lc $curp{nadia}}, 'with blanks' => {-age => 601, -curp => "$curp{nadia} "}],

	# --- PAYMENTS
	[200, 'stands', 'as it is' => {}, 'no policy' => {poliza_en_uso => undef}, 'no CURP' => {curp_en_uso => undef}, 'a null CURP' => {curp_en_uso => $null}, 'an empty CURP' => {curp_en_uso => ''}, 'a blank CURP' => {curp_en_uso => '  '}, 'poliza' => {poliza_en_uso => undef, curp_en_uso => undef, poliza => $poliza},
		'id_firma' => {poliza_en_uso => undef, curp_en_uso => undef, id_firma => $poliza}, 'an empty name beside' => {poliza_en_uso => '', poliza => $null, id_firma => $poliza}, 'small letters' => {-curp => lc $curp{ana}}, 'with blanks' => {-curp => " $curp{ana} "}],
	[201, 'payment', 'as it is' => {}, 'no CURP' => {curp_en_uso => undef, referencia => 'r2'}, 'monto' => {cantidad => undef, monto => 1, referencia => 'r3'}, 'a text' => {cantidad => '1.00', referencia => 'r4'}, 'no method' => {metodo => undef, referencia => 'r5'}, 'no reference' => {referencia => undef},
		'monto beside' => {cantidad => '', monto => '1', referencia => 'r6'}, 'of who has not consented' => {-curp => $curp{beto}, poliza_en_uso => $betos, referencia => 'r7'}],
	[400, 'stands', map({ without($_) } qw(tipo_peticion nombre_de_usuario token_data)), 'neither CURP nor policy' => {curp_en_uso => undef, poliza_en_uso => undef}, 'both blank' => {curp_en_uso => ' ', poliza_en_uso => ' '}, 'policy as a list' => {poliza_en_uso => [$poliza]}, 'a CURP as a list' => {curp_en_uso => [1]}],
	[400, 'payment', map({ without($_) } qw(tipo_peticion nombre_de_usuario token_data cantidad)), 'in words' => {cantidad => 'uno'}, 'nothing' => {cantidad => 0}, 'less' => {cantidad => -1}, 'with blanks' => {cantidad => ' 1 '}, 'with a comma' => {cantidad => '1,00'}, 'with a sign' => {cantidad => '$1'}, 'true' => {cantidad => $true}],
	[401, 'stands', 'no token' => {-header => {Authorization => undef}}, 'of another spelling' => {-signed => lc $curp{ana}}, 'of another spelling, no CURP' => {curp_en_uso => undef, -signed => lc $curp{ana}}, 'with blanks, no CURP' => {curp_en_uso => undef, -signed => " $curp{ana}"},
		'user with blanks' => {nombre_de_usuario => ' Banco'}, 'of another, no CURP' => {curp_en_uso => undef, -signed => $curp{beto}}],
	[401, 'payment', 'no token' => {-header => {Authorization => undef}}, 'of another spelling, no CURP' => {curp_en_uso => undef, -signed => lc $curp{ana}}, 'in capitals' => {-token => sub { uc $_[0] }}],
	[404, 'stands', 'capitals' => {tipo_peticion => 'ACCOUNT_STATUS'}, 'blanks' => {tipo_peticion => 'account_status '}, 'a sister\'s' => {tipo_peticion => 'request'}, 'no such policy' => {poliza_en_uso => 'P0'}, 'in small letters' => {poliza_en_uso => lc $poliza}, 'a number' => {poliza_en_uso => $number->(5)},
		'of another' => {poliza_en_uso => $betos}, 'none, no CURP' => {poliza_en_uso => 'P0', curp_en_uso => undef}, 'path in small letters' => {-path => '/api/payments_v1'}],
	[404, 'payment', 'capitals' => {tipo_peticion => 'PAGOS_PSD2'}, 'blanks' => {tipo_peticion => ' pagos_psd2'}, 'no such policy' => {poliza_en_uso => 'P0'}, 'in small letters' => {poliza_en_uso => lc $poliza}, 'of another' => {poliza_en_uso => $betos}],
	[405, 'payment', map { ($_ => {-method => $_}) } qw(GET PUT DELETE)],
	[409, 'stands', 'has not consented' => {-curp => $curp{beto}, poliza_en_uso => $betos}, 'in small letters' => {-curp => lc $curp{beto}, poliza_en_uso => undef}, 'with blanks' => {-curp => " $curp{beto} ", poliza_en_uso => undef}, 'nobody knows' => {-curp => $curp{nadia}, poliza_en_uso => undef}, 'no CURP' => {-curp => 'x', poliza_en_uso => undef},
		'a number' => {-curp => $number->(5), poliza_en_uso => undef}],
	[412, 'payment', 'too much' => {cantidad => '1000000', referencia => 'r8'}, 'too much, a number' => {cantidad => $number->(1000000), referencia => 'r8'}, 'parts of a cent' => {cantidad => '0.001', referencia => 'r8'}, 'another amount' => {cantidad => 2}, 'another method' => {metodo => 'spei'}],
	[418, 'stands', 'as it is' => {-age => 601}, 'no CURP' => {-age => 601, curp_en_uso => undef}],
	[418, 'payment', 'as it is' => {-age => 601}, 'in small letters' => {-age => 601, -curp => lc $curp{ana}}],

	# last, for they sell: whoever has it is 412
	[201, 'order', 'as it is' => {}],
	[201, 'order', map { my ($way, $i, $change) = @$_; ($way => {-curp => curp("GOPL900115HDF${i}ZT0"), mail => "$i\@correo.example", telefono => '55 5555-00' . (10 + ord($i) % 90), %$change}) }
		['accepted by numbers and words', 'H', {terminos => $number->(1), aviso => 'Sí', fideicomiso => ' ON '}], ['in small letters', 'J', {-curp => lc curp('GOPL900115HDFJZT0'), terminos => $true, aviso => 'checked', fideicomiso => 'ACCEPTED'}],
		['with blanks', 'K', {-curp => ' ' . curp('GOPL900115HDFKZT0') . "\t", mail => ' k@correo.example '}], ['payments as a text', 'L', {numero_pagos => '3', DiaPago => '15', dia_pago => undef}], ['any day', 'M', {dia_pago => 'quince'}],
		['nothing optional', 'N', {dia_pago => undef, tipo_servicio => $null, direccion => $null, referencia => ''}], ['an address in all spellings', 'P', {direccion => {Calle => 'Uno', CP => 50000, Codigo_Postal => '50000', NUMERO => undef}}]],
);

my %ways;
sub check
{
	my ($name, $way, $answer, $status, @wanted) = @_;
	$ways{$name =~ /^(?:token|order)$/ ? $name : $name =~ /^(?:stands|payment)$/ ? 'payment' : 'customer'}{$status}++;
	my @has = ref $answer->{json} eq 'HASH' ? sort keys %{$answer->{json}} : 'no object';
	if ($status < 300)
	{
		# there may be more
		@has = grep { my $key = $_; grep { $_ eq $key } @wanted } @has;
		return is "$answer->{status} @has", "$status @wanted", "$name: $way";
	}
	return is "$answer->{status} @has $answer->{json}{status} $answer->{json}{ok}" . ($answer->{json}{error} eq $answer->{json}{mensaje} ? '' : ' two texts'), "$status @wanted $status 0", "$name: $way";
}

for my $row (@table)
{
	my ($status, $name, @ways) = @$row;
	while (my ($way, $change) = splice @ways, 0, 2)
	{
		check($name, $way, ask($name, %$change), $status, $status < 300 ? @{$keys{$name}} : @failure);
	}
}

# Whatever a field is, the answer is one that the documents name, with its keys.  Each
# order is somebody's own, by an app user who is not looking for customers yet.
subtest 'whatever stands in a field' => sub {
	my %wild = (null => $null, blanks => " \t", zero => $number->(0), half => $number->(1.5), huge => $number->(1e30), true => $true, list => [[{}]], object => {calle => {calle => {}}, cp => [1], estado => $true, numero => undef},
		quote => "'; SELECT 1; --\"\\", 'right to left' => "\x{202e}\x{1f600}", 'a NUL' => "a\0b", line => "a\nb", '1,025 bytes' => 'x' x 1025, digits => '9' x 40, exponent => '1e5', accents => 'ÁÉÍÓÚÑ');
	my %more = (order => {direccion => {}, tipo_servicio => 'x', referencia => 'x', referencia_kasu => 'x', materno => 'x', DiaPago => 1}, stands => {poliza => 'x', id_firma => 'x', clave_aceptacion => 'x'}, payment => {poliza => 'x', monto => 1, clave_aceptacion => 'x'},
		datum => {poliza_en_uso => 'x', clave_aceptacion => 'x'}, token => {firma_KEY => 'x'});
	my ($asked, $orders, @wrong) = (0, 0);
	for my $name (sort keys %right)
	{
		for my $field (sort keys %{{%{$right{$name}[1]}, %{$more{$name} // {}}, nombre_de_usuario => 1, curp_en_uso => 1, token_data => 1}})
		{
			for my $value (sort keys %wild)
			{
				my %own;
				if ($name eq 'order')
				{
					my $user = 'Agente' . int(++$orders / 80);
					$stack->psql("SELECT loyalty.create_app_user($merchant, '$user', '$key')") if $orders % 80 == 0 || $orders == 1;
					my $consonants = sprintf('%03d', $orders) =~ tr/0-9/B-DF-HJ-M/r;
					%own = (-curp => curp("GOPL900115MDF${consonants}0"), mail => "n$orders\@correo.example", telefono => sprintf('556%07d', $orders), nombre_de_usuario => $user);
				}
				my $answer = ask($name, %own, $field => $wild{$value});
				$asked++;
				my $status = $answer->{status};
				my %has = map { $_ => 1 } ref $answer->{json} eq 'HASH' ? keys %{$answer->{json}} : ();
				my @wanted = $status < 300 && $name !~ /^(?:block|datum|keys|all|products|product)$/ ? @{$keys{$name}} : $status < 300 ? qw(curp_en_uso data ok request) : @failure;
				push @wrong, "$name, $field $value: $status $answer->{body}" if $status !~ /^(?:20[012]|400|401|403|404|406|409|412|417|418)$/ || grep { !$has{$_} } @wanted;
			}
		}
	}
	cmp_ok $asked, '>', 1000, "$asked requests";
	is join("\n", @wrong[0 .. ($#wrong < 20 ? $#wrong : 20)]), '', 'each is answered as documented';
	is $stack->psql("SELECT count(*) FROM loyalty.verify()"), 0, 'and what they wrote is sound';
};

# Who orders under mails and phones of others, again and again, looks for customers.
my @searches = ({mail => 'BETO@correo.example'}, {mail => ' beto@correo.example'}, {telefono => '(55) 2222 2222'});
my $tried = 0;
$tried++ until $tried == 101 || ask('order', %{$searches[$tried % 3]})->{status} == 429;
cmp_ok $tried, '<', 101, 'who looks for customers is stopped';
for my $search (@searches)
{
	my $answer = ask('order', %$search);
	check('order', 'too many', $answer, 429, qw(error mensaje ok retry_after status));
	is $answer->{headers}{'retry-after'}, $answer->{json}{retry_after}, 'which the header says too';
}

# Each status that the documents name, in several ways.
my %named = (token => [200, 400, 401, 403, 404, 405, 417], customer => [202, 400, 401, 403, 404, 405, 406, 409, 412, 418], order => [201, 400, 401, 403, 404, 405, 406, 409, 412, 417, 418, 429], payment => [200, 201, 400, 401, 403, 404, 405, 409, 412, 418]);
is_deeply {map { my $api = $_; ($api => [sort grep { $ways{$api}{$_} > 1 } keys %{$ways{$api}}]) } keys %ways}, \%named, 'all statuses were reached, in two ways at least';

done_testing;

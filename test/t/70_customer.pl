# 70_customer.pl - the customer API: tokens, consents, sales and payments over
# HTTP, as the KASU document and its sisters describe them.
#
# Answers are compared as text, so that keys are spelled and ordered as they
# should be and values have the right JSON types.  What the SQL functions do by
# themselves is in tap_consent.sql and tap_sale.sql.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use Encode qw(decode);
use FindBin;
use IPC::Run ();
use JSON::PP ();
use POSIX ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s', clock => 1, isolation => 'read committed');
$stack->noon;
sub now () { return int($stack->clock_us / 1_000_000) }
my @secrets;    # [what it is, text], never to be seen anywhere
my @answers;    # bodies of all answers but tokens

my $sandbox_user = 'Api_KASU_Sandbox';
my $sandbox_key = 'ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0';
my ($carlos, $cesar, $eva) = qw(CAMC880526HMCBNR04 CAPC200504HMCBXRA2 REAE060617MMCYLVA4);
push @secrets, ['the PRIVATE_KEY of the sandbox', $sandbox_key];

my %message = (
	400 => 'Falta algun dato necesario de los que requiere la solicitud.',
	401 => 'La comunicacion entre el cliente y el servidor fue corrupta, los datos fueron modificadas.',
	403 => 'El usuario no tiene permiso para utilizar esta API',
	404 => 'Petición desconocida, Solo se admiten las claves de funciones de la Documentation.',
	405 => 'El método HTTP utilizado en la solicitud es distinto a POST',
	406 => 'El producto excede los limites de edad para el producto seleccionado o El producto que ingresaste no existe',
	409 => 'El cliente no autorizo la consulta de sus datos o la clave de aceptacion que enviaste no es correcta',
	412 => 'La condicion que estas buscando no es correcta o no es apta para ser consultada',
	417 => 'La CURP no es valida o es de una persona fallecida',
	418 => 'Has excedido el tiempo de operacion para este TOKEN',
);

sub quote { my $text = shift; return 'NULL' unless defined $text; $text =~ s/'/''/g; return "'$text'" }

# A CURP of its first 17 characters.
sub curp
{
	my $start = shift;
	my $alphabet = '0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ';
	my $sum = 0;
	$sum += (18 - $_) * index $alphabet, substr $start, $_, 1 for 0 .. 16;
	return $start . (10 - $sum % 10) % 10;
}
is curp(substr $_, 0, 17), $_, "the check digit of $_" for $carlos, $cesar, $eva;

# PostgreSQL puts blanks between the parts of an object.
sub plain
{
	my $text = decode('UTF-8', shift);
	$text =~ s/" : /":/g;
	$text =~ s/, (?=["\{])/,/g;
	return $text;
}

sub shown { my $answer = shift; return "$answer->{status} " . plain($answer->{body}) }
sub refusal { my $status = shift; return qq($status {"ok":false,"status":$status,"error":"$message{$status}","mensaje":"$message{$status}"}) }

sub answers
{
	my ($answer, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is shown($answer), $expected, $name;
}

sub matches
{
	my ($answer, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like shown($answer), qr/\A$expected\z/, $name;
}

# "NUMBER 1e5" is sent as 1e5.
sub post
{
	my ($path, $body, %headers) = @_;
	$body = JSON::PP->new->utf8->canonical->encode($body) =~ s/"NUMBER ([^"]+)"/$1/gr if ref $body;
	my $answer = $stack->http_json('POST', $path, {'Content-Type' => 'application/json', 'User-Agent' => 'YourApplicationName/1.0', %headers}, $body);
	push @answers, $answer->{body} unless $path =~ /Registro|Token/ && $answer->{status} < 300;
	return $answer;
}

# --- a client that knows the document only --------------------------------------

sub openssl
{
	my ($key, $message) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(['openssl', 'dgst', '-sha256', '-hmac', $key], '<', \$message, '>', \$out, '2>', \$err) or die "openssl: $err\n";
	my ($digest) = $out =~ /\b([0-9a-f]{64})$/m;
	return $digest;
}

# The printed request, with its placeholders filled in.
my $printed = <<'END';
								{
								"tipo_peticion"     : "request",
								"nombre_de_usuario" : "YOUR_APPUSER",
								"request"           : "CLAVE_CONSULTA",
								"curp_en_uso"       : "CURP_CODE",
								"token_data"    : {
								    "timestamp"  : TIMESTAMP,
								    "expires_in" : EXPIRE_IN
								    }
								}
END

subtest 'the document, from token to payment' => sub {
	plan skip_all => 'there is no openssl' unless grep { -x "$_/openssl" } split /:/, $ENV{PATH};
	my %token;
	my %name = ($carlos => 'Carlos Cabrera Montes', $cesar => 'César Cabrera Peña');
	my $sign_in = sub {
		my $curp = shift;
		my $signature = openssl($sandbox_key, $curp);
		my $before = now;
		my $answer = post('/api/Registro_sbx', {tipo_peticion => 'token_full', nombre_de_usuario => $sandbox_user, curp_en_uso => $curp, firma_KEY => $signature});
		matches($answer, qr/200 \{"ok":true,"token":"[0-9a-f]{64}","nombre":"$name{$curp}","token_data":\{"timestamp":\d+,"expires_in":600\}\}/, "$curp: a token");
		%token = (bearer => $answer->{json}{token}, %{$answer->{json}{token_data}}, curp => $curp);
		cmp_ok $token{timestamp}, '>=', $before - 1, 'it is of now';
		cmp_ok $token{timestamp}, '<=', now + 1, 'and not of later';
		is $token{bearer}, openssl($signature, qq({"timestamp":$token{timestamp},"expires_in":$token{expires_in}})), 'it is the documented signature';
		push @secrets, ["a token for $curp", $token{bearer}], ["the signature for $curp", $signature];
	};
	my $ask = sub {
		my ($path, $operation, $request, $more) = @_;
		my $body = $printed;
		$body =~ s/"request",/"$operation",/;
		$body =~ s/YOUR_APPUSER/$sandbox_user/;
		$body =~ s/CURP_CODE/$token{curp}/;
		$body =~ s/TIMESTAMP/$token{timestamp}/;
		$body =~ s/EXPIRE_IN/$token{expires_in}/;
		$request ? $body =~ s/CLAVE_CONSULTA/$request/ : $body =~ s/^.*CLAVE_CONSULTA.*\n//m;
		$body =~ s/\}\s*\z/, $more}/ if $more;
		return post($path, $body, Authorization => "Bearer $token{bearer}");
	};
	my $found = sub { my ($request, $data, $flat) = @_; return sprintf '202 {"ok":true,"curp_en_uso":"%s","request":"%s",%s"data":%s}', $carlos, $request, $flat ? "$flat," : '', $data };

	$sign_in->($carlos);
	my $keys = $ask->('/api/Customer_sbx', 'request', 'individual_request');
	my $of_contact = '"Mail":"Correo electrónico del cliente","Telefono":"Teléfono del cliente","calle":"Calle del domicilio",'
		. '"numero":"Número del domicilio","colonia":"Colonia del domicilio","municipio":"Municipio del domicilio","codigo_postal":"Código postal del domicilio",'
		. '"estado":"Estado del domicilio"';
	my $of_user = '"Usuario":"Nombre de usuario del cliente","Tipo":"Tipo de cliente","Nombre":"Nombre(s) del cliente","Paterno":"Apellido paterno","Materno":"Apellido materno"';
	my $of_sale = '"Producto":"Producto de la venta","CostoVenta":"Costo de la venta","Subtotal":"Costo de la venta en un solo pago","NumeroPagos":"Número de pagos de la venta",'
		. '"DiaPago":"Día de pago de la venta","IdFIrma":"Identificador de la firma de la venta","IdFirma":"Identificador de la firma de la venta","Status":"Estatus de la venta",'
		. '"FechaLiquidacion":"Fecha de liquidación de la venta","FechaRegistro":"Fecha de registro de la venta"';
	answers($keys, $found->('individual_request', "{$of_contact,$of_user,$of_sale}",
		qq("Datos_Contacto":{$of_contact,"Producto":"Producto de la venta"},"Datos_usuario":{$of_user},"Datos_ventas":{$of_sale})), 'the keys of single data');
	my $blocks = '{"cliente":"Todos los datos de un cliente: personales, de su cuenta y de sus ventas",'
		. '"catalogo_productos":"Los productos, con precio, descripción y existencias","producto_cliente":"Si un producto es viable para la edad del cliente, a qué costo y en cuántos pagos; requiere producto"}';
	answers($ask->('/api/Customer_sbx', 'request', 'request_block'), $found->('request_block', $blocks, qq("request_block":$blocks)), 'the keys of blocks');

	my %data = (Mail => '"carlos.cabrera@example.com"', Telefono => '"7221000001"', calle => '"Av. Hidalgo"', numero => '"12"', colonia => '"Centro"', municipio => '"Toluca"',
		codigo_postal => '"50000"', estado => '"Estado de México"', Usuario => '"carlos.7221000001"', Tipo => '"Cliente"', Nombre => '"Carlos"', Paterno => '"Cabrera"', Materno => '"Montes"',
		Producto => '"Funerario"', CostoVenta => '5550', Subtotal => '5000', DiaPago => '1', FechaLiquidacion => '""', NumeroPagos => '12', Status => '"PREVENTA"');
	my $time = qr/"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"/;
	for my $key (sort keys %{$keys->{json}{data}})
	{
		my $answer = $ask->('/api/Customer_sbx', 'individual_request', $key);
		if (exists $data{$key}) { answers($answer, $found->($key, $data{$key}), $key) }
		else { matches($answer, quotemeta(substr $found->($key, '!'), 0, -2) . ($key eq 'FechaRegistro' ? $time : '"[^"]+"') . quotemeta '}', $key) }
	}
	my $sales = quotemeta('"ventas":[{"Id":"') . '\d+' . quotemeta('","Producto":"Funerario","CostoVenta":5550,"Subtotal":5000,"NumeroPagos":12,"DiaPago":1,"IdFIrma":"') . '(P[0-9A-F]{16})'
		. quotemeta('","IdFirma":"') . '\g{-1}' . quotemeta('","Status":"PREVENTA","TipoServicio":"Ecologico","FechaRegistro":') . $time . quotemeta(',"FechaLiquidacion":"","Poliza":"') . '\g{-1}' . quotemeta('"}]');
	matches($ask->('/api/Customer_sbx', 'request_block', 'cliente'),
		quotemeta(qq(202 {"ok":true,"curp_en_uso":"$carlos","request":"cliente","Ejecutivo":"","Nombre":"Carlos Cabrera Montes","Tipo":"Cliente","Mail":"carlos.cabrera\@example.com","Telefono":"7221000001","Producto":"Funerario","FechaRegistro":))
		. $time . quotemeta(',"Direccion":{"calle":"Av. Hidalgo","numero":"12","colonia":"Centro","municipio":"Toluca","codigo_postal":"50000","estado":"Estado de México"},') . $sales
		. quotemeta(',"data":{"cliente":{"Usuario":"carlos.7221000001","Tipo":"Cliente","Nombre":"Carlos","Paterno":"Cabrera","Materno":"Montes",'
		. '"Mail":"carlos.cabrera@example.com","Telefono":"7221000001","calle":"Av. Hidalgo","numero":"12","colonia":"Centro","municipio":"Toluca","codigo_postal":"50000","estado":"Estado de México"},'
		. '"usuario":{"nombre_de_usuario":"carlos.7221000001","preferencias":{}},') . $sales . quotemeta('}}'), 'the block of a customer');
	my @bands = (['2-29', 3500], ['30-49', 4200], ['50-54', 4900], ['55-59', 5600], ['60-64', 6300], ['65-69', 7000]);
	my $funerario = '"producto":"Funerario","costo":5000,"comision":5,"fideicomiso":"","forma_pago":{"meses_max":12,"tasa_anual":12},"nombre":"Funerario","precio":5000,"descripcion":"Servicio funerario completo","existencias":97,"familia":"","edad_minima":2,"edad_maxima":69';
	answers($ask->('/api/Customer_sbx', 'request_block', 'catalogo_productos'), $found->('catalogo_productos',
		'[{"nombre":"Funerario","precio":5000,"descripcion":"Servicio funerario completo","existencias":97},' . join('', map { qq({"nombre":"Seguridad $_->[0]","precio":$_->[1],"descripcion":"Servicio funerario para elementos de seguridad","existencias":100},) } @bands)
		. '{"nombre":"Universitario","precio":20000,"descripcion":"Ahorro para la universidad","existencias":100}]',
		qq("productos":[{$funerario},) . join('', map { my ($from, $to) = split /-/, $_->[0]; qq({"producto":"Seguridad $_->[0]","costo":$_->[1],"comision":5,"fideicomiso":"Fideicomiso de pruebas","forma_pago":{"meses_max":12,"tasa_anual":12},"nombre":"Seguridad $_->[0]","precio":$_->[1],)
			. qq("descripcion":"Servicio funerario para elementos de seguridad","existencias":100,"familia":"Seguridad","edad_minima":$from,"edad_maxima":$to},) } @bands)
		. '{"producto":"Universitario","costo":20000,"comision":2.5,"fideicomiso":"","forma_pago":{"meses_max":36,"tasa_anual":10},"nombre":"Universitario","precio":20000,"descripcion":"Ahorro para la universidad","existencias":100,"familia":"","edad_minima":0,"edad_maxima":20}]'),
		'the catalogue');
	my $age = $stack->psql("SELECT loyalty.age('$carlos')");
	answers($ask->('/api/Customer_sbx', 'request_block', 'producto_cliente', '"producto": "Funerario"'),
		$found->('producto_cliente', qq({"producto":"Funerario","viable":true,"edad":$age,"costo":5000,"numero_pagos":12,"costo_a_pagos":5550}), $funerario), 'whether a product is viable');

	$sign_in->($cesar);
	my $opened = $ask->('/api/Accounts_sbx', 'new_service', undef, '"mail": "c@correo.example", "telefono": "7221000002", "producto": "Universitario", "numero_pagos": 3, "dia_pago": 1,'
		. '"tipo_servicio": "Ahorro", "terminos": true, "aviso": true, "fideicomiso": true, "direccion": {"calle": "Av. Hidalgo", "numero": "12", "colonia": "Centro", "municipio": "Toluca", "codigo_postal": "50000", "estado": "México"}');
	matches($opened, qr/201 \{"ok":true,"mensaje":"[^"]+","datos_compra":\{"id_venta":"\d+","id_contacto":"\d+","nombre":"César Cabrera Peña","CURP":"$cesar","mail":"c\@correo\.example","producto":"Universitario","poliza":"P[0-9A-F]{16}",/
		. qr/"status":"PREVENTA","costo":20333\.33,"subtotal":20000,"amount":6777\.78,"plan":"MENSUAL","numero_pagos":3,"dia_pago":1,"pago_link":"https:[^"]+"\}\}/, 'an account is opened');
	my $policy = $opened->{json}{datos_compra}{poliza};

	my @due = split /\n/, $stack->psql(q{SELECT to_char(date_trunc('month', now() AT TIME ZONE 'America/Mexico_City') + n * interval '1 month', 'YYYY-MM-DD') FROM generate_series(1, 3) n});
	my ($sale, $link) = @{$opened->{json}{datos_compra}}{qw(id_venta pago_link)};
	my $data = sub { return sprintf '{"id_venta":"%s","poliza":"%s","curp":"%s","cliente":"César Cabrera Peña","producto":"Universitario","tipo_servicio":"Ahorro","status":"%s","costo_venta":20333.33,"subtotal":20000,"fecha_liquidacion":"",'
		. '"numero_pagos":3,"dia_pago":1,"pago_periodo":%s,"pagos_realizados":%s,"saldo":%s,"pagos_pendientes":%s,"estado_cobranza":"CORRIENTE","comision_producto":2.5,"pago_link":"%s","costo":20333.33,"atrasos":0,"comision":%s,"pagos":[%s],"calendario":[%s]',
		$sale, $policy, $cesar, @_[0 .. 4], $link, @_[5 .. 7] };
	my $pending = sub { my $n = 0; return join ',', grep { !/:0\}/ } map { $n++; qq({"numero":$n,"fecha":"$due[$n - 1]","cantidad":$_}) } @_ };
	answers($ask->('/api/Payments_sbx', 'account_status'), qq(200 {"ok":true,"curp_en_uso":"$cesar","data":) . $data->('PREVENTA', '6777.78', 0, '20333.33', 3, 0, '', $pending->('6777.78', '6777.78', '6777.77')) . '}}', 'how the account stands');
	my $paid = $ask->('/api/Payments_sbx', 'pagos_psd2', undef, '"cantidad": 6778, "metodo": "SPEI", "referencia": "SPEI-0001"');
	my ($paid_at) = plain($paid->{body}) =~ /"metodo":"SPEI","fecha":($time)/;
	my $after = $data->('COBRANZA', 0, 6778, '13555.33', 2, '169.45', qq({"referencia":"SPEI-0001","cantidad":6778,"metodo":"SPEI","fecha":$paid_at}), $pending->(0, '6777.56', '6777.77'));
	matches($paid, quotemeta(qq(201 {"ok":true,"curp_en_uso":"$cesar","mensaje":"Pago registrado correctamente.","payment_ids":[")) . '\d+' . quotemeta(qq("],"data":$after,"referencia":"SPEI-0001","cantidad":6778,"metodo":"SPEI"}})), 'a payment');
	answers($ask->('/api/Payments_sbx', 'account_status', undef, qq("poliza_en_uso": "$policy")), qq(200 {"ok":true,"curp_en_uso":"$cesar","data":$after}}), 'how it stands then');
};

# --- production ----------------------------------------------------------------

# Another merchant, with a customer of the same CURP as the sandbox.
my ($merchant, $program) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Productivo') AS m \gset
	SELECT client_id AS p FROM loyalty.create_program(:m, 'Clientes') \gset
	SELECT count(loyalty.create_product(:m, name, price::loyalty.points, stock, 'Producto ' || name, low, high, 12, '12', '5'))
	FROM (VALUES ('Vida', '1000.10', 50, 18, 60), ('Menores', '10', 50, 0, 10), ('Mayores', '10', 50, 90, 120), ('Agotado', '10', 0, 0, 120)) v (name, price, stock, low, high) \g /dev/null
	SELECT concat_ws('|', :m, :'p')});
my %key = map { $_ => $stack->psql("SELECT loyalty.create_app_user($merchant, '$_')") } qw(Banco_Uno Banco_Dos Banco_Baja);
$stack->psql("SELECT loyalty.disable_app_user($merchant, 'Banco_Baja')");
$key{$sandbox_user} = $sandbox_key;
push @secrets, map { ["the key of $_", $key{$_}] } grep { $_ ne $sandbox_user } sort keys %key;

my %member;
sub create_customer
{
	my ($curp, $name) = @_;
	$member{$curp} = $stack->psql("SELECT loyalty.create_customer($merchant, loyalty.find_program($merchant, '$program'), '$curp', '$name', 'Prueba', '', NULL, '\L$name\E\@correo.example', 'Calle 1', '2', user_name => 'usuario_$name')");
	return $curp;
}

# (consent_id, acceptance_key)
sub grant_consent
{
	my ($curp, $user, $more) = @_;
	my @consent = split /\|/, $stack->psql("SELECT consent_id, acceptance_key FROM loyalty.grant_consent($merchant, '$curp', '$user', 'crédito', '2', " . ($more // 'NULL') . ')');
	push @secrets, ['an acceptance key', $consent[1]];
	return @consent;
}

my $ana = create_customer($carlos, 'Ana');
my ($ana_consent, $ana_key) = grant_consent($ana, 'Banco_Uno');
my $strange = curp('ROXX800101MDFMXX0');
my $sequence = 0;
sub fresh_customer { my $n = $sequence++; return create_customer(curp('GOPL900115' . ($n < 21 ? 'HDF' : 'HMC') . substr('BCDFGHJKLMNPQRSTVWXYZ', $n % 21, 1) . 'ZT0'), "Fresco$sequence") }

# What a request under a token of one's own says; options replace parts of it.
# What is signed can differ from what is sent: signed => {...}.
sub ask
{
	my ($path, $fields, %option) = @_;
	my %sent = (user => 'Banco_Uno', curp => $ana, timestamp => now, expires_in => 600, %option);
	my %signed = (%sent, %{$option{signed} // {}});
	my $signature = hmac_sha256_hex($signed{curp}, $signed{key} // $key{$signed{user}} // 'none');
	my $token = hmac_sha256_hex($option{token_data} // qq({"timestamp":$signed{timestamp},"expires_in":$signed{expires_in}}), $signature);
	my %body = (nombre_de_usuario => $sent{user}, curp_en_uso => $sent{curp}, token_data => {map { $_ => $sent{$_} + 0 } qw(timestamp expires_in)}, %$fields);
	delete @body{@{$option{without} // []}};
	$token = $option{token}->($token) if $option{token};
	push @secrets, ['a token', $token], ['a signature', $signature] if @secrets < 40;
	return post($path, \%body, defined $token ? (Authorization => $option{authorization} // "Bearer $token") : (), %{$option{headers} // {}});
}

sub read_datum { my ($request, %option) = @_; return ask('/api/Customer_V1', {tipo_peticion => 'individual_request', request => $request, %{$option{fields} // {}}}, %option) }
sub read_block { my ($request, %option) = @_; return ask('/api/Customer_V1', {tipo_peticion => 'request_block', request => $request, %{$option{fields} // {}}}, %option) }

my %service = (tipo_peticion => 'new_service', mail => 'x@correo.example', telefono => '5512345678', producto => 'Vida', numero_pagos => 12, dia_pago => 15, tipo_servicio => 'Seguro',
	terminos => JSON::PP::true, aviso => JSON::PP::true, fideicomiso => JSON::PP::true,
	direccion => {calle => 'Calle 1', numero => '2', colonia => 'Centro', municipio => 'León', codigo_postal => '37000', estado => 'Guanajuato'});
sub open_account { my ($more, %option) = @_; return ask('/api/Accounts_V1', {%service, %{$more // {}}}, %option) }
sub pay { my ($more, %option) = @_; return ask('/api/Payments_V1', {tipo_peticion => 'pagos_psd2', cantidad => 10, metodo => 'OXXO', referencia => 'ref-1', %{$more // {}}}, %option) }

# --- the traces that a request leaves ---------------------------------------------

my @tables = split /\n/, $stack->psql(q{SELECT t::regclass FROM pg_extension e, unnest(e.extconfig) t WHERE e.extname = 'loyalty' AND t NOT IN ('loyalty_internal.access'::regclass, 'loyalty_internal.app_user_key'::regclass, 'loyalty_internal.idempotency_space'::regclass)});
# One session looks at them all: there are thousands of looks.
my $looks = $stack->connect_async;
sub contents
{
	return $looks->query('SELECT ' . join ' || ', map { "(SELECT count(*) || coalesce(md5(string_agg(t::text, ';' ORDER BY t::text)), '') FROM $_ t)" } @tables);
}

my $logged = 0;
sub new_log
{
	# of a minute before, so that the next refusal has a row of its own
	$looks->query("UPDATE loyalty_internal.access SET minute = NULL");
	my @rows = split /\n/, $looks->query("SELECT merchant_id = $merchant, app_user, coalesce(member_id::text, ''), operation, request, status FROM loyalty.access_log ORDER BY at OFFSET $logged");
	$logged += @rows;
	s/^t\|// for @rows;
	return join "\n", @rows;
}

# The call is refused with this status and leaves this row in the log; undef:
# that is not looked at.
sub refuses
{
	my ($name, $status, $log, $call) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	new_log();
	my $before = contents();
	my $answer = $call->();
	answers($answer, refusal($status), $name);
	like $answer->{headers}{'content-type'}, qr{^application/json}, "$name: as JSON";
	is contents(), $before, "$name: nothing else happened";
	is new_log(), $log, "$name: logged" if defined $log;
	return $answer;
}

my @ana_asks = ('Banco_Uno', $member{$ana}, 'individual_request', 'Mail');
sub row { return join '|', @_ }

subtest '202: data found' => sub {
	new_log();
	answers(read_datum('Nombre'), qq(202 {"ok":true,"curp_en_uso":"$ana","request":"Nombre","data":"Ana"}), 'a datum');
	is new_log(), row('Banco_Uno', $member{$ana}, 'individual_request', 'Nombre', 202), 'is logged';
	is read_block('cliente')->{status}, 202, 'a block';
	is new_log(), row('Banco_Uno', $member{$ana}, 'request_block', 'cliente', 202), 'is logged';
	is ask('/api/Customer_V1', {tipo_peticion => 'request', request => 'request_block'})->{status}, 202, 'the keys';
	is new_log(), row('Banco_Uno', '', 'request', 'request_block', 202), 'are logged, of nobody';
	is read_block('catalogo_productos', curp => $strange)->{status}, 202, 'the catalogue needs no customer';
	answers(read_datum('Materno'), qq(202 {"ok":true,"curp_en_uso":"$ana","request":"Materno","data":""}), 'what is not known is an empty text');
	is read_datum('Mail', timestamp => "" . now, expires_in => '600')->{status}, 202, 'numbers of the token may be texts';
	my $token = sub { my ($path, $user, $curp) = @_; return post($path, {tipo_peticion => 'token_full', nombre_de_usuario => $user, curp_en_uso => $curp, firma_KEY => hmac_sha256_hex($curp, $key{$user})}) };
	new_log();
	for my $path (qw(/api/Registro_V1 /api/Token_Full))
	{
		matches($token->($path, 'Banco_Uno', $ana), qr/200 \{"ok":true,"token":"[0-9a-f]{64}","nombre":"Ana Prueba","token_data":\{"timestamp":\d+,"expires_in":600\}\}/, "$path: a token, with the name of who has consented");
		is new_log(), row('Banco_Uno', $member{$ana}, 'token_full', '', 200), 'which is logged';
		is_deeply [map { $_->{json}{nombre} } $token->($path, 'Banco_Dos', $ana), $token->($path, 'Banco_Uno', $strange)], ['', ''], 'and without it of who has not, and of nobody';
		is new_log(), '', 'which is not';
	}
	is read_datum('Mail', fields => {curp_en_uso => " \L$ana "}, signed => {curp => " \L$ana "})->{status}, 202, 'a CURP in small letters and with blanks, as it was signed';
	refuses('as it was not', 401, undef, sub { read_datum('Mail', fields => {curp_en_uso => " \L$ana "}) });
	new_log();
};

subtest '400: something required is missing' => sub {
	my $register = sub { my %body = (tipo_peticion => 'token_full', nombre_de_usuario => 'Banco_Uno', curp_en_uso => $ana, firma_KEY => hmac_sha256_hex($ana, $key{Banco_Uno}), @_); delete @body{grep { !defined $body{$_} } keys %body}; return post('/api/Registro_V1', \%body) };
	is $register->()->{status}, 200, 'all of a signature';
	refuses("token without $_", 400, $_ eq 'nombre_de_usuario' ? '' : row('Banco_Uno', '', $_ eq 'tipo_peticion' ? '' : 'token_full', '', 400), sub { $register->($_ => undef) }) for qw(tipo_peticion nombre_de_usuario curp_en_uso firma_KEY);

	my @fields = qw(tipo_peticion nombre_de_usuario request curp_en_uso token_data);
	my $row = sub { my $field = shift; return $field eq 'nombre_de_usuario' ? '' : row('Banco_Uno', '', $field eq 'tipo_peticion' ? '' : 'individual_request', $field eq 'request' ? '' : 'Mail', 400) };
	refuses("reading without $_", 400, $row->($_), sub { read_datum('Mail', without => [$_]) }) for @fields;
	refuses("reading with $_ blank", 400, $row->($_), sub { read_datum('Mail', fields => {$_ => ' '}) }) for @fields;
	refuses("reading with $_ as an array", 400, $row->($_), sub { read_datum('Mail', fields => {$_ => ['x']}) }) for @fields;
	refuses("token_data without $_", 400, $row->($_), sub { read_datum('Mail', fields => {token_data => {$_ eq 'timestamp' ? 'expires_in' : 'timestamp' => 600}}) }) for qw(timestamp expires_in);
	refuses('a viability without producto', 400, row('Banco_Uno', '', 'request_block', 'producto_cliente', 400), sub { read_block('producto_cliente') });

	my $curp = fresh_customer();
	refuses("account without $_", 400, undef, sub { open_account({}, curp => $curp, without => [$_]) })
		for qw(tipo_peticion nombre_de_usuario curp_en_uso token_data mail telefono producto numero_pagos terminos aviso fideicomiso);
	refuses('account with ' . join(' ', map { $_ // 'nothing' } @$_), 400, undef, sub { open_account({@$_}, curp => $curp) })
		for [telefono => '123'], [numero_pagos => 0], [numero_pagos => 13], [numero_pagos => -1], [numero_pagos => 'dos'], [terminos => ''], [aviso => ' '], [fideicomiso => undef], [terminos => {}], [direccion => 'Calle 1'],
			[direccion => {calle => 'x' x 1025}], [direccion => {calle => ['x' x 1025]}], [direccion => {map { ("calle $_" => 'x' x 1000) } 1 .. 9}];
	my $opened = open_account({}, curp => $curp);
	is $opened->{status}, 201, 'all of an account';
	is $stack->psql("SELECT concat_ws('|', a ->> 'nombre_de_usuario', a ->> 'mail', a ->> 'telefono', a ->> 'numero_pagos', a ->> 'tipo_servicio', a ->> 'aviso', a #>> '{direccion,municipio}')
		FROM (SELECT application AS a FROM loyalty_internal.policy WHERE policy_id = $opened->{json}{datos_compra}{id_venta}) s"), 'Banco_Uno|x@correo.example|5512345678|12|Seguro|true|León', 'is kept with the sale';
	is open_account({telefono => $_}, curp => $curp)->{status}, 412, "telefono $_ is understood" for '(55) 1234-5678', '55.1234.5678', '+52 1 55 1234 5678', '+52 (55) 1234 5678', '52-55-1234-5678', "55\xa01234\xa05678",
		"+52\x{2011}55\x{2011}1234\x{2011}5678", '(044) 55/1234/5678', '"55 1234 5678"', 'NUMBER 5512345678', 'NUMBER 525512345678';
	refuses("telefono $_ is none", 400, undef, sub { open_account({telefono => $_}, curp => $curp) })
		for '(55) 1234-567', '55 1234 5678 x', 'casa 5512345678', '5512345678 ext. 1', '+5512345678', '1 55 1234 5678', '0052 55 1234 5678', '()', '５５１２３４５６７８', '+', '55 1234 5678' x 100;
	refuses("payment without $_", 400, undef, sub { pay({}, curp => $curp, without => [$_]) }) for qw(tipo_peticion nombre_de_usuario curp_en_uso token_data cantidad);
	refuses("payment of $_", 400, row('Banco_Uno', '', 'pagos_psd2', '', 400), sub { pay({cantidad => $_}, curp => $curp) }) for 0, -1, 'diez', '1e3', ' 5';
	is pay({poliza_en_uso => $opened->{json}{datos_compra}{poliza}}, curp => $curp)->{status}, 201, 'all of a payment';

	refuses("a body " . substr($_, 0, 40), 400, '', sub { post('/api/Customer_V1', $_) }) for '', '{', '[]', 'null', 'tipo_peticion=request', '{"tipo_peticion":"\u0000"}';
};

subtest '401: what was sent is not what was signed' => sub {
	my $now = now;
	my $row = row('Banco_Uno', '', 'individual_request', 'Mail', 401);
	my $flip = sub { my ($text, $at) = @_; substr($text, $at, 1) = sprintf '%x', hex(substr $text, $at, 1) ^ 1; return $text };
	refuses("bit of character $_ of the token", 401, $row, sub { my $at = $_; read_datum('Mail', token => sub { $flip->($_[0], $at) }) }) for 0, 31, 63;
	refuses('token one character short', 401, $row, sub { read_datum('Mail', token => sub { substr $_[0], 0, 63 }) });
	refuses('token one character long', 401, $row, sub { read_datum('Mail', token => sub { "$_[0]0" }) });
	refuses('another CURP', 401, $row, sub { read_datum('Mail', signed => {curp => $cesar}) });
	refuses('CURP in small letters', 401, $row, sub { read_datum('Mail', curp => lc $ana, signed => {curp => $ana}) });
	refuses('another timestamp', 401, $row, sub { read_datum('Mail', timestamp => $now, signed => {timestamp => $now - 1}) });
	refuses('another user', 401, $row, sub { read_datum('Mail', signed => {user => 'Banco_Dos'}) });
	refuses('another user, the other way', 401, row('Banco_Dos', '', 'individual_request', 'Mail', 401), sub { read_datum('Mail', user => 'Banco_Dos', signed => {user => 'Banco_Uno'}) });
	refuses('another expires_in', 401, $row, sub { read_datum('Mail', expires_in => 601, signed => {expires_in => 600}) });
	refuses("signed for $_ s", 401, $row, sub { read_datum('Mail', expires_in => $_) }) for 601, 599, 86400, 999999999999;
	refuses("signed for $_ s from now", 401, $row, sub { read_datum('Mail', timestamp => now + $_) }) for 3600, 120;
	refuses("signed at $_", 401, $row, sub { read_datum('Mail', timestamp => $_) }) for -1, '1e9', 9999999999999;
	refuses('no bearer', 401, $row, sub { read_datum('Mail', token => sub { undef }) });
	refuses('another scheme', 401, $row, sub { read_datum('Mail', authorization => 'Basic eDp5') });
	refuses('an empty bearer', 401, $row, sub { read_datum('Mail', authorization => 'Bearer ') });
	refuses('a key of another', 401, $row, sub { read_datum('Mail', key => 'f' x 64) });
	refuses('unknown user', 401, '', sub { read_datum('Mail', user => 'Nadie') });
	refuses('disabled user', 401, '', sub { read_datum('Mail', user => 'Banco_Baja') });
	refuses("$_ of a wrong token", 401, undef, sub { ask($_, {%service}, token => sub { $flip->($_[0], 5) }) }) for qw(/api/Accounts_V1);
	refuses('a payment of a wrong token', 401, row('Banco_Uno', '', 'pagos_psd2', '', 401), sub { pay({}, token => sub { $flip->($_[0], 5) }) });

	my $register = sub { my ($user, $signature) = @_; return post('/api/Registro_V1', {tipo_peticion => 'token_full', nombre_de_usuario => $user, curp_en_uso => $ana, firma_KEY => $signature}) };
	my $good = hmac_sha256_hex($ana, $key{Banco_Uno});
	refuses('firma_KEY with a bit changed', 401, row('Banco_Uno', '', 'token_full', '', 401), sub { $register->('Banco_Uno', $flip->($good, 10)) });
	refuses('firma_KEY of another user', 401, row('Banco_Dos', '', 'token_full', '', 401), sub { $register->('Banco_Dos', $good) });
	refuses('firma_KEY of another CURP', 401, row('Banco_Uno', '', 'token_full', '', 401), sub { $register->('Banco_Uno', hmac_sha256_hex($cesar, $key{Banco_Uno})) });
	refuses('the PRIVATE_KEY itself as firma_KEY', 401, row('Banco_Uno', '', 'token_full', '', 401), sub { $register->('Banco_Uno', $key{Banco_Uno}) });
	refuses('firma_KEY of an unknown user', 401, '', sub { $register->('Nadie', $good) });
	refuses('firma_KEY of a disabled user', 401, '', sub { $register->('Banco_Baja', hmac_sha256_hex($ana, $key{Banco_Baja})) });
	is $register->('Banco_Uno', $good)->{status}, 200, 'the right firma_KEY';
};

subtest 'the first thing wrong is answered' => sub {
	my $wrong = sub { substr($_[0], 1) . '0' };
	my $old = now - 700;
	refuses('a field before the token', 400, row('Banco_Uno', '', 'individual_request', '', 400), sub { read_datum('Mail', without => ['request'], token => $wrong) });
	refuses('the token before its time', 401, undef, sub { read_datum('Mail', timestamp => $old, token => $wrong) });
	refuses('the time before tipo_peticion', 418, undef, sub { ask('/api/Customer_V1', {tipo_peticion => 'x', request => 'x'}, timestamp => $old) });
	refuses('request before the customer', 412, undef, sub { read_datum('x', curp => $strange) });
	refuses('producto before the customer', 400, undef, sub { read_block('producto_cliente', curp => $strange) });
	my $curp = fresh_customer();
	refuses('consent before the sale', 409, undef, sub { read_datum('Status', curp => $curp) });
	refuses('consent before the product', 409, undef, sub { read_block('producto_cliente', curp => $curp, fields => {producto => 'Nada'}) });
	refuses('what must be accepted before the product', 409, undef, sub { open_account({terminos => 'no', producto => 'Nada'}, curp => $curp) });
	refuses('what must be accepted before the customer', 409, undef, sub { open_account({terminos => 'no'}, curp => $strange) });
	refuses('the product before the customer of the mail', 406, undef, sub { open_account({producto => 'Nada', mail => 'ana\@correo.example'}, curp => $strange) });
	refuses('the product before the customer', 406, undef, sub { open_account({producto => 'Nada'}, curp => $strange) });
	refuses('the number of payments before the customer', 400, undef, sub { open_account({numero_pagos => 99}, curp => $strange) });
	refuses('the product before the number of payments', 406, undef, sub { open_account({producto => 'Nada', numero_pagos => 99}, curp => $curp) });
	refuses('the number of payments before the stock', 400, undef, sub { open_account({producto => 'Agotado', numero_pagos => 99}, curp => $curp) });
	refuses('fields of a payment before its sale', 400, undef, sub { pay({}, curp => $curp, without => ['cantidad']) });
	refuses('and before the customer', 400, undef, sub { pay({}, curp => $strange, without => ['cantidad']) });
};

subtest '404: unknown' => sub {
	# what is no word of the documents may be personal, and is not logged
	my $word = sub { return $_[0] =~ /^(?:request|individual_request|request_block|new_service|Mail|cliente)$/ ? $_[0] : '?' };
	my $good = hmac_sha256_hex($ana, $key{Banco_Uno});
	refuses('tipo_peticion of a token', 404, row('Banco_Uno', '', '?', '', 404), sub { post('/api/Registro_V1', {tipo_peticion => 'token', nombre_de_usuario => 'Banco_Uno', curp_en_uso => $ana, firma_KEY => $good}) });
	refuses("tipo_peticion $_", 404, row('Banco_Uno', '', $word->($_), 'Mail', 404), sub { ask('/api/Customer_V1', {tipo_peticion => $_, request => 'Mail'}) }) for qw(solicitud Request new_service);
	refuses("request $_->[1] of $_->[0]", 404, row('Banco_Uno', '', map({ $word->($_) } @$_), 404), sub { ask('/api/Customer_V1', {tipo_peticion => $_->[0], request => $_->[1]}) })
		for [qw(request Mail)], [qw(request_block Mail)], [qw(request_block clientes)], ['request_block', "x' OR 1=1"];
	refuses('account, tipo_peticion', 404, row('Banco_Uno', '', '?', '', 404), sub { open_account({tipo_peticion => 'service'}) });
	refuses('payment, tipo_peticion', 404, row('Banco_Uno', '', '?', '', 404), sub { pay({tipo_peticion => 'pagos'}) });
	refuses('payment of an unknown customer', 404, row('Banco_Uno', '', 'pagos_psd2', '', 404), sub { pay({}, curp => $strange) });
	refuses("path $_", 404, '', sub { post($_, {}) }) for qw(/api/ /api/Customer /api/Customer_V2 /api/customer_v1 /api/Customer_V1/ /api/Registro_V1/x);
};

subtest '405: not POST' => sub {
	for my $path ('/api/Token_Full', map { ("/api/${_}_V1", "/api/${_}_sbx") } qw(Registro Customer Accounts Payments))
	{
		for my $method (qw(GET PUT DELETE PATCH))
		{
			my $answer = $stack->http_json($method, $path, {'Content-Type' => 'application/json'}, $method eq 'GET' ? undef : '{}');
			answers($answer, refusal(405), "$method $path");
			is $answer->{headers}{allow}, 'POST', "$method $path: Allow";
		}
	}
};

subtest '406: product and age' => sub {
	my $viability = sub { my $product = shift; return sub { read_block('producto_cliente', fields => {producto => $product}) } };
	my $row = row('Banco_Uno', $member{$ana}, 'request_block', 'producto_cliente', 406);
	refuses("viability, $_", 406, $row, $viability->($_)) for qw(Nada Menores Mayores vida Funerario);
	refuses("account, $_", 406, row('Banco_Uno', $member{$ana}, 'new_service', '', 406), sub { open_account({producto => $_}) }) for qw(Nada Menores Mayores vida Funerario);
	is $viability->('Vida')->()->{json}{data}{viable}, JSON::PP::true, 'one that is viable';
	is $viability->('Agotado')->()->{json}{data}{viable}, JSON::PP::false, 'one that is not, because there is none left';
	my ($unborn, $born) = (curp('GOPL900115HDFBZTA'), fresh_customer());
	grant_consent($born, 'Banco_Uno');
	$stack->psql("UPDATE loyalty_internal.customer SET curp = '$unborn' WHERE merchant_id = $merchant AND member_id = $member{$born}");
	$member{$unborn} = $member{$born};
	refuses('viability before birth', 406, row('Banco_Uno', $member{$unborn}, 'request_block', 'producto_cliente', 406), sub { read_block('producto_cliente', curp => $unborn, fields => {producto => 'Vida'}) });
	refuses('account before birth', 417, row('Banco_Uno', $member{$unborn}, 'new_service', '', 417), sub { open_account({producto => 'Vida'}, curp => $unborn) });
};

subtest '409: consent and acceptance' => sub {
	my $curp = fresh_customer();
	my $row = row('Banco_Uno', $member{$curp}, 'individual_request', 'Mail', 409);
	my $read = sub { my %fields = @_; return sub { read_datum('Mail', curp => $curp, fields => \%fields) } };
	refuses('no consent', 409, $row, $read->());
	refuses('unknown customer', 409, row('Banco_Uno', '', 'individual_request', 'Mail', 409), sub { read_datum('Mail', curp => $strange) });
	refuses('no CURP', 409, row('Banco_Uno', '', 'individual_request', 'Mail', 409), sub { read_datum('Mail', curp => 'CAMC880526HMCBNR05') });
	refuses('the block of an unknown customer', 409, row('Banco_Uno', '', 'request_block', 'cliente', 409), sub { read_block('cliente', curp => $strange) });
	refuses('the account status of an unknown customer', 409, row('Banco_Uno', '', 'account_status', '', 409), sub { ask('/api/Payments_V1', {tipo_peticion => 'account_status'}, curp => $strange) });
	refuses('no consent to a block', 409, row('Banco_Uno', $member{$curp}, 'request_block', 'cliente', 409), sub { read_block('cliente', curp => $curp) });
	refuses('nor to a viability', 409, row('Banco_Uno', $member{$curp}, 'request_block', 'producto_cliente', 409), sub { read_block('producto_cliente', curp => $curp, fields => {producto => 'Vida'}) });
	refuses('nor to an account status', 409, row('Banco_Uno', $member{$curp}, 'account_status', '', 409), sub { ask('/api/Payments_V1', {tipo_peticion => 'account_status'}, curp => $curp) });
	grant_consent($curp, 'Banco_Dos');
	refuses('consent to another', 409, $row, $read->());
	grant_consent($curp, 'Banco_Uno', q{now() - interval '1 hour', now() - interval '1 second'});
	refuses('consent that is over', 409, $row, $read->());
	grant_consent($curp, 'Banco_Uno', q{now() + interval '1 hour'});
	refuses('consent that is still to come', 409, $row, $read->());

	my ($consent, $acceptance) = grant_consent($curp, 'Banco_Uno', q{NULL, now() + interval '1 hour'});
	is $read->()->()->{status}, 202, 'consent without its key';
	is $read->(clave_aceptacion => $acceptance)->()->{status}, 202, 'consent with its key';
	refuses('consent with another key', 409, $row, $read->(clave_aceptacion => $ana_key));
	refuses('consent with no key at all', 409, $row, $read->(clave_aceptacion => 'x'));
	refuses('consent with the hash of its key', 409, $row, $read->(clave_aceptacion => $stack->psql("SELECT encode(acceptance_hash, 'hex') FROM loyalty_internal.consent WHERE consent_id = $consent")));
	$stack->psql("SELECT loyalty.revoke_consent($merchant, $consent)");
	refuses('consent revoked between two requests', 409, $row, $read->());
	refuses('revoked, with its key', 409, $row, $read->(clave_aceptacion => $acceptance));

	for my $field (qw(terminos aviso fideicomiso))
	{
		my $account = row('Banco_Uno', $member{$curp}, 'new_service', '', 409);
		refuses("account with $field $_", 409, $account, sub { open_account({$field => $_}, curp => $curp) }) for JSON::PP::false, 'no', 0, 'acepta', 'NUMBER 10';
	}
};

subtest '412: what cannot be asked for' => sub {
	my $row = row('Banco_Uno', $member{$ana}, 'individual_request', 'Status', 412);
	refuses('a sale of one who has none', 412, $row, sub { read_datum('Status') });
	refuses("the datum $_", 412, row('Banco_Uno', '', 'individual_request', $_ eq 'cliente' ? $_ : '?', 412), sub { read_datum($_) }) for qw(mail cliente private_key), 'Mail ';
	my $curp = fresh_customer();
	grant_consent($curp, 'Banco_Uno');
	my $status = sub { ask('/api/Payments_V1', {tipo_peticion => 'account_status', @_}, curp => $curp) };
	refuses('an account status of one who has none', 412, row('Banco_Uno', $member{$curp}, 'account_status', '', 412), sub { $status->() });
	refuses('a payment of one who has none', 404, row('Banco_Uno', $member{$curp}, 'pagos_psd2', '', 404), sub { pay({}, curp => $curp) });
	new_log();
	my $policy = open_account({}, curp => $curp)->{json}{datos_compra}{poliza};
	is new_log(), row('Banco_Uno', $member{$curp}, 'new_service', '', 201), 'an account is logged';
	refuses('has the product already', 412, row('Banco_Uno', $member{$curp}, 'new_service', '', 412), sub { open_account({}, curp => $curp) });
	refuses('there is none left', 412, row('Banco_Uno', $member{$curp}, 'new_service', '', 412), sub { open_account({producto => 'Agotado'}, curp => $curp) });
	is read_datum('Status', curp => $curp, fields => {poliza_en_uso => $policy})->{status}, 202, 'a sale by its policy';
	my $sandboxes = $stack->psql(q{SELECT min(policy_number) FROM loyalty.policies s JOIN loyalty_internal.merchant m USING (merchant_id) WHERE m.sandbox});
	for my $no_policy ('P0', lc $policy, $sandboxes)
	{
		refuses("a sale of policy $no_policy", 404, row('Banco_Uno', $member{$curp}, 'individual_request', 'Status', 404), sub { read_datum('Status', curp => $curp, fields => {poliza_en_uso => $no_policy}) });
		refuses("an account of policy $no_policy", 404, undef, sub { $status->(poliza_en_uso => $no_policy) });
		refuses("a payment of policy $no_policy", 404, undef, sub { pay({poliza_en_uso => $no_policy}, curp => $curp) });
	}
	refuses('a payment of another\'s policy', 404, undef, sub { pay({poliza_en_uso => $policy}) });

	is pay({referencia => 'doce', cantidad => '100.11'}, curp => $curp)->{status}, 201, 'a payment';
	my $again = pay({referencia => 'doce', cantidad => '100.11'}, curp => $curp);
	is $again->{status}, 201, 'the same again';
	is $again->{json}{data}{saldo}, 1010, 'is booked once';
	refuses('the reference with another amount', 412, undef, sub { pay({referencia => 'doce', cantidad => '100.12'}, curp => $curp) });
	refuses('the reference by another method', 412, undef, sub { pay({referencia => 'doce', cantidad => '100.11', metodo => 'SPEI'}, curp => $curp) });
	is pay({referencia => 'doce', cantidad => '0.01', poliza_en_uso => $policy}, curp => $curp, user => 'Banco_Dos')->{status}, 201, 'the reference of another app user is another one' for 1, 2;
	is $status->()->{json}{data}{saldo}, 1009.99, 'which is booked once too';
	refuses('more than is still to be paid', 412, undef, sub { pay({referencia => 'trece', cantidad => '1010.01'}, curp => $curp) });
	refuses('parts of a cent', 412, undef, sub { pay({referencia => 'trece', cantidad => '1.001'}, curp => $curp) });
	is pay({referencia => 'trece', cantidad => '1009.99'}, curp => $curp)->{json}{data}{saldo}, 0, 'all that is still to be paid';
	refuses('something after that', 412, undef, sub { pay({referencia => 'catorce', cantidad => '0.01'}, curp => $curp) });
	is $status->()->{json}{data}{status}, 'ACTIVACION', 'the sale is paid';

	$stack->psql("SELECT loyalty.create_product($merchant, 'Segundo', '10', 6)");
	is open_account({producto => 'Segundo', numero_pagos => 1}, curp => $curp)->{status}, 201, 'another product';
	is pay({referencia => 'trece', cantidad => '1009.99'}, curp => $curp)->{json}{data}{poliza}, $policy, 'a retry finds the sale of the first, though there is a newer one';
	is pay({referencia => 'quince', cantidad => '1'}, curp => $curp)->{json}{data}{saldo}, 9, 'a new payment is for the newest';
	for my $numbers ([qw(1.2345678901234567e+19 9.876543210987654e+19)], [qw(12345678901234567890 12345678901234567891)], [qw(1e400 1e401)])
	{
		is_deeply [map { pay({referencia => "NUMBER $_", cantidad => 'NUMBER 1.50e0'}, curp => $curp)->{json}{data}{referencia} } @$numbers, $numbers->[0]], [@$numbers, $numbers->[0]], "references that are numbers: @$numbers";
	}
	is $status->()->{json}{data}{saldo}, 0, 'are told apart, and booked once';

	my $blocked = fresh_customer();
	grant_consent($blocked, 'Banco_Uno');
	is read_datum('Mail', curp => $blocked)->{status}, 202, 'before the customer is blocked';
	$stack->psql("SELECT loyalty.block_customer($merchant, '$blocked')");
	refuses('a blocked customer', 412, row('Banco_Uno', $member{$blocked}, 'individual_request', 'Mail', 412), sub { read_datum('Mail', curp => $blocked) });
	refuses('the block of a blocked customer', 412, undef, sub { read_block('cliente', curp => $blocked) });
	refuses('an account of a blocked customer', 417, undef, sub { open_account({}, curp => $blocked) });
	refuses('also with a name', 417, undef, sub { open_account({nombre => 'A', paterno => 'B'}, curp => $blocked) });
	refuses('a payment of a blocked customer', 404, undef, sub { pay({}, curp => $blocked) });
};

subtest '417: CURP of nobody alive' => sub {
	refuses("a token for CURP $_", 417, row('Banco_Uno', '', 'token_full', '', 417), sub { post('/api/Token_Full', {tipo_peticion => 'token_full', nombre_de_usuario => 'Banco_Uno', curp_en_uso => $_, firma_KEY => hmac_sha256_hex($_, $key{Banco_Uno})}) })
		for 'CAMC880526HMCBNR05', 'x', curp('GOPR990101MNEMRSA');
	refuses("account of CURP $_", 417, row('Banco_Uno', '', 'new_service', '', 417), sub { open_account({}, curp => $_) }) for 'CAMC880526HMCBNR05', 'CAMC881326HMCBNR04', 'x', curp('GOPR990101MNEMRSA'), curp('GOPR981231HDFMRSZ');
	my $curp = fresh_customer();
	$stack->psql("UPDATE loyalty_internal.customer SET deceased = true WHERE merchant_id = $merchant AND member_id = $member{$curp}");
	refuses('account of a deceased person', 417, undef, sub { open_account({}, curp => $curp) });
	refuses('a token for them', 417, undef, sub { post('/api/Registro_V1', {tipo_peticion => 'token_full', nombre_de_usuario => 'Banco_Uno', curp_en_uso => $curp, firma_KEY => hmac_sha256_hex($curp, $key{Banco_Uno})}) });
};

subtest '418: the token is too old' => sub {
	my $row = row('Banco_Uno', '', 'individual_request', 'Mail', 418);
	refuses('601 s', 418, $row, sub { read_datum('Mail', timestamp => now - 601) });
	refuses('a day', 418, $row, sub { read_datum('Mail', timestamp => now - 86400) });
	refuses('a token of 1970', 418, $row, sub { read_datum('Mail', timestamp => 0) });
	refuses('an account', 418, row('Banco_Uno', '', 'new_service', '', 418), sub { open_account({}, timestamp => now - 601) });
	refuses('a payment', 418, row('Banco_Uno', '', 'pagos_psd2', '', 418), sub { pay({}, timestamp => now - 601) });
	refuses('too old and changed is changed', 401, row('Banco_Uno', '', 'individual_request', 'Mail', 401), sub { read_datum('Mail', timestamp => now - 601, signed => {timestamp => now - 602}) });

	# at the beginning of a second
	$stack->advance_clock(1 - $stack->clock_us % 1_000_000 / 1e6);
	my $answer = read_datum('Mail', timestamp => now - 600);
	is $answer->{status}, 202, 'exactly 600 s is good';
	is read_datum('Mail', timestamp => now - 300)->{status}, 202, '300 s is good';
};

subtest 'what nginx answers has the same form' => sub {
	my $answer = post('/api/Customer_V1', ' ' x (9 * 1024 * 1024));
	is $answer->{status}, 413, 'a body of 9 MB';
	is_deeply [sort keys %{$answer->{json}}], [qw(error mensaje ok status)], 'has four keys';
	is $answer->{json}{ok}, JSON::PP::false, 'is not ok';
	is $answer->{json}{status}, 413, 'and has its status';
	is post('/api/Customer_V1', {tipo_peticion => 'request', nombre_de_usuario => 'x' x 2000}, 'Content-Type' => 'text/plain')->{json}{status}, 415, 'text is no JSON';
};

# --- the log -----------------------------------------------------------------------

subtest 'the access log is not the application\'s' => sub {
	for my $table ('loyalty.access_log', map { "loyalty_internal.$_" } qw(access consent app_user customer sale payment product))
	{
		for my $statement ("SELECT count(*) FROM $table", "DELETE FROM $table", "UPDATE $table SET merchant_id = 1", "TRUNCATE $table", "INSERT INTO $table DEFAULT VALUES")
		{
			my $error = $stack->psql_error("SET ROLE web_anon; $statement");
			is $error && $error->{sqlstate}, '42501', "web_anon: $statement";
		}
	}
	for my $statement ('DELETE FROM loyalty_internal.access', 'UPDATE loyalty_internal.access SET status = 200', 'TRUNCATE loyalty_internal.access')
	{
		my $error = $stack->psql_error("SET ROLE loyalty_engine; $statement");
		is $error && $error->{sqlstate}, '42501', "loyalty_engine: $statement";
	}
	my $error = $stack->psql_error("SET ROLE web_anon; SELECT loyalty.customer_read($merchant, 'individual_request', 'Banco_Uno', '$ana', 'Mail')");
	is $error && $error->{sqlstate}, '42501', 'web_anon has no way around the token';
	is $stack->psql("SELECT count(*) FROM loyalty.access_log WHERE status NOT IN (200, 201, 202, 400, 401, 403, 404, 406, 409, 412, 417, 418, 429)"), 0, 'the log has the statuses of the document';
};

# --- other spellings ------------------------------------------------------------------

subtest 'token_data with more keys' => sub {
	my $now = now;
	for my $signed (qq({"timestamp":$now,"expires_in":600,"ip":"10.0.0.1"}), qq({"ip":"10.0.0.1","timestamp":$now,"expires_in":"600","a":"\\"b \\\\"}))
	{
		my $spaced = $signed =~ s/([:,])(?=["\d])/$1 /gr;
		my $send = sub { my ($token_data, $what) = @_; return post('/api/Customer_V1', qq({"tipo_peticion":"individual_request","request":"Mail","nombre_de_usuario":"Banco_Uno","curp_en_uso":"$ana","token_data":$token_data}),
			Authorization => 'Bearer ' . hmac_sha256_hex($what // $signed, hmac_sha256_hex($ana, $key{Banco_Uno}))) };
		is $send->($_)->{status}, 202, "as it was signed: $_" for $signed, $spaced;
		is $send->($spaced, $spaced)->{status}, 202, 'signed with blanks, byte for byte';
		is $send->($signed, $spaced)->{status}, 401, 'but not without the blanks that were signed';
		is $send->($signed =~ s/10\.0\.0\.1/10.0.0.2/r)->{status}, 401, 'with another value';
		is $send->($signed =~ s/"ip":"[^"]*",|,"ip":"[^"]*"//r)->{status}, 401, 'without one';
	}
	is read_datum('Mail', fields => {token_data => {timestamp => $now, expires_in => 600, ip => '10.0.0.1'}}, timestamp => $now)->{status}, 202, 'what was not signed may be there';
};

subtest 'orders' => sub {
	my $sold = sub { my ($more, %option) = @_; my $curp = fresh_customer(); my $answer = open_account({numero_pagos => 3, %$more}, curp => $curp, %option); return $answer->{json}{datos_compra} // $answer->{status} };
	for my $yes (qw(acepto accept accepted on true 1 si sí checked ACEPTO On Sí), ' acepto ', 1, JSON::PP::true)
	{
		my ($first, $second, $third) = ([qw(terminos aviso fideicomiso)], [qw(aviso)], [qw(fideicomiso)]);
		refuses("accepted: $yes", 412, undef, sub { open_account({producto => 'Agotado', map { $_ => $yes } @$first}, curp => $ana) });
	}
	my $day = sub { my $more = shift; return $sold->($more, without => [exists $more->{dia_pago} ? () : 'dia_pago'])->{dia_pago} };
	is_deeply [map { $day->($_) } {}, {dia_pago => 1}, {dia_pago => '15'}, {dia_pago => 2}, {dia_pago => 'quince'}, {DiaPago => 15}, {dia_pago => 15, DiaPago => 1}, {dia_pago => undef, DiaPago => 15}, {dia_pago => []}, {dia_pago => {}}, {dia_pago => JSON::PP::true}], [1, 1, 15, 1, 1, 15, 15, 15, 1, 1, 1], 'a day of payment is 1 or 15';
	is $sold->({dia_pago => 'NUMBER 15.0', map { $_ => 'NUMBER 1.0' } qw(terminos aviso fideicomiso)})->{dia_pago}, 15, 'and numbers are what they are worth';
	my $once = $sold->({numero_pagos => 1, dia_pago => 15}, without => [qw(tipo_servicio direccion)]);
	is_deeply [@$once{qw(plan dia_pago amount costo subtotal producto numero_pagos nombre)}], ['CONTADO', 0, 1000.1, 1000.1, 1000.1, 'Vida', 1, ''], 'one payment; the name is told to who has the consent';
	is $stack->psql("SELECT service || '|' || sold_by FROM loyalty.policies WHERE policy_number = '$once->{poliza}'"), 'Ecologico|Banco_Uno', 'what is not said of the service';
};

my ($buyer, %policy) = (fresh_customer());
subtest 'a sale is named in payments, and the CURP need not be' => sub {
	my $poliza = open_account({numero_pagos => 3}, curp => $buyer)->{json}{datos_compra}{poliza};
	$policy{poliza} = $poliza;
	my $send = sub { my ($more, %option) = @_; return ask('/api/Payments_V1', {tipo_peticion => 'account_status', %$more}, curp => $buyer, without => ['curp_en_uso'], %option) };
	my $masked = qr/\Q201 {"ok":true,"curp_en_uso":"","mensaje":"Pago registrado correctamente.","payment_ids":["\E\d+\Q"],"data":{"id_venta":"","poliza":"$poliza","curp":"","cliente":"","producto":"","tipo_servicio":"","status":"","costo_venta":0,"subtotal":0,\E/
		. qr/\Q"fecha_liquidacion":"","numero_pagos":0,"dia_pago":0,"pago_periodo":0,"pagos_realizados":0,"saldo":0,"pagos_pendientes":0,"estado_cobranza":"","comision_producto":0,"pago_link":"","costo":0,"atrasos":0,"comision":0,"pagos":[],"calendario":[],"referencia":"\E/;
	my $pay = sub { return $send->({tipo_peticion => 'pagos_psd2', poliza => $poliza, @_}, user => 'Banco_Dos') };
	matches($pay->(monto => '1.50', referencia => 'sin CURP', metodo => 'OXXO'), qr/$masked\Qsin CURP","cantidad":1.5,"metodo":"OXXO"}}\E/, 'who has no consent is told what they have said');
	matches($pay->(monto => 1.5), qr/${masked}R[0-9a-f]{16}","cantidad":1\.5,"metodo":"PSD2"\}\}/, 'a payment without a reference has one of its own');
	$pay->(monto => 1.5);
	my %keyed = (tipo_peticion => 'pagos_psd2', poliza => $poliza, cantidad => 0.5);
	my @same = map { my $answer = $send->({%keyed}, headers => {'Idempotency-Key' => 'llave-1'}); [$answer->{status}, $answer->{json}{payment_ids}[0]] } 1, 2;
	is_deeply $same[0], $same[1], 'the same key gets the first answer';
	grant_consent($buyer, 'Banco_Uno');
	my $stands = $send->({poliza_en_uso => $poliza})->{json}{data};
	is $stands->{pagos_realizados}, 5, 'it is booked once, and what has no key each time';
	is_deeply [@$stands{qw(curp cliente poliza)}, scalar @{$stands->{pagos}}], [$buyer, $stands->{cliente}, $poliza, 4], 'who has the consent is told all';
	like $stands->{cliente}, qr/^Fresco\d+ Prueba$/, 'with the name';
	is $send->({$_ => $poliza})->{json}{data}{poliza}, $poliza, "named by $_" for qw(poliza_en_uso poliza id_firma);
	refuses('a policy that is none', 404, undef, sub { $send->({poliza => 'P0'}) });
	refuses('no policy and no CURP', 400, undef, sub { $send->({}) });
	refuses('a token for another', 401, undef, sub { $send->({poliza => $poliza}, signed => {curp => $ana}) });
	refuses('a token for another spelling', 401, undef, sub { $send->({poliza => $poliza}, signed => {curp => lc $buyer}) });
	refuses('who has no consent', 409, undef, sub { $send->({poliza => $poliza}, user => 'Banco_Dos') });
	refuses('a policy of another merchant', 404, undef, sub { $send->({poliza => $stack->psql(q{SELECT min(policy_number) FROM loyalty.policies s JOIN loyalty_internal.merchant m USING (merchant_id) WHERE m.sandbox})}) });
};

subtest 'an account for somebody new' => sub {
	my $curp = curp('NUEX800101MDFVVX0');
	my $other = curp('NUEX800101HDFVVX0');
	my $record = sub { my ($curp, %more) = @_; my %row = (curp => $curp, first_name => 'Nueva', first_last_name => 'Persona', second_last_name => 'Ñ', %more); $stack->psql("DELETE FROM loyalty.curp_record WHERE curp::text = '$curp'; INSERT INTO loyalty.curp_record (merchant_id, " . join(', ', sort keys %row) . ") VALUES ($merchant, " . join(', ', map { quote($row{$_}) } sort keys %row) . ')') };
	my %new = (mail => 'nueva@correo.example', telefono => '55 8765 4321', numero_pagos => 2, direccion => {Calle => 'Calle 9', 'NÚMERO' => 12, Codigo_Postal => '06000', Estado => 'CDMX', Ciudad => 'México', col => 'Centro'});
	my $open = sub { my ($more, %option) = @_; return open_account({%new, %$more}, curp => $curp, %option) };
	my $refused = row('Banco_Uno', '', 'new_service', '', 417);
	refuses('nobody has looked it up', 417, $refused, sub { $open->({}) });
	refuses('half a name', 417, $refused, sub { $open->({nombre => 'Nueva'}) });
	for my $row ({deceased => 't'}, {status => 'BD'}, {status => 'BCN'}, {status => ''})
	{
		$record->($curp, %$row);
		refuses("a record with @{[%$row]}", 417, $refused, sub { $open->({nombre => 'Nueva', paterno => 'Persona'}) });
	}
	my $token = sub { my $curp = shift; return post('/api/Registro_V1', {tipo_peticion => 'token_full', nombre_de_usuario => 'Banco_Uno', curp_en_uso => $curp, firma_KEY => hmac_sha256_hex($curp, $key{Banco_Uno})}) };
	$record->($curp, status => 'BCN');
	is $token->($curp)->{status}, 200, 'whose status is unknown gets a token';
	$record->($curp, deceased => 't');
	refuses('who has died gets none', 417, undef, sub { $token->($curp) });
	$record->($curp);
	refuses('mail of another customer', 409, row('Banco_Uno', '', 'new_service', '', 409), sub { $open->({mail => 'ANA@correo.example'}) });
	my $elsewhere = curp('NUEX800101MDFVVX1');
	$stack->psql("SELECT loyalty.create_customer($merchant, (SELECT program_id FROM loyalty.create_program($merchant, 'Otro', 'OTRO')), '$elsewhere', 'Eva', 'Gil', phone => '5500000002', email => 'eva.gil\@correo.example')");
	refuses("$_->[0] of a customer of another program", 409, undef, sub { $open->({@$_[1, 2]}) }) for ['mail', mail => 'EVA.Gil@correo.example'], ['phone', telefono => '55 0000 0002'];
	$stack->psql("SELECT loyalty.identify_member($merchant, $member{$ana}, phone => '5500000001')");
	refuses('phone of another customer', 409, undef, sub { $open->({telefono => '(55) 0000-0001'}) });
	new_log();
	my %header = (headers => {'Idempotency-Key' => 'nueva-1'});
	my $opened = $open->({}, %header);
	is $opened->{status}, 201, 'a record has the name';
	my $sale = $opened->{json}{datos_compra};
	is $sale->{nombre}, '', 'which is not told';
	my $buyer = $stack->psql("SELECT member_id FROM loyalty.policies WHERE policy_id = $sale->{id_venta}");
	is new_log(), row('Banco_Uno', $buyer, 'new_service', '', 201), 'it is logged, of the new customer';
	is_deeply $open->({}, %header)->{json}, $opened->{json}, 'the same key gets the first answer';
	my $moment = sub { return $stack->psql("SELECT '2020-01-01Z'::timestamptz + ($_[0] >> 22) * interval '1 ms' BETWEEN now() - interval '1 hour' AND now()") };
	is join(' ', map { $moment->($_) } $buyer, $sale->{id_contacto}), 't f', 'when the customer was made is not told by the number of the contact';
	is $stack->psql("SELECT loyalty_internal.contact_id($merchant, $buyer)"), $sale->{id_contacto}, 'which is always the same';
	is $stack->psql("SELECT count(DISTINCT loyalty_internal.contact_id(m, c)) FROM (SELECT merchant_id FROM loyalty.merchants LIMIT 2) x (m), generate_series(1, 100) c"), 200, 'and of one customer of one merchant';
	refuses('has it by now', 412, row('Banco_Uno', $buyer, 'new_service', '', 412), sub { $open->({}) });
	is $stack->psql("SELECT concat_ws('|', m.name, m.phone, m.email, c.curp, m.birth_date, d.street, d.number_outside, d.neighborhood, d.city, d.postcode, d.state) FROM loyalty_internal.member m JOIN loyalty_internal.customer c USING (merchant_id, member_id)
		JOIN loyalty_internal.member_address d USING (merchant_id, member_id) WHERE m.member_id = $buyer"), "Nueva Persona Ñ|5587654321|nueva\@correo.example|$curp|1980-01-01|Calle 9|12|Centro|México|06000|CDMX", 'what the customer is';
	is $stack->psql("SELECT concat_ws('|', app_user, policy_id = $sale->{id_venta}, purpose, notice_version, valid) FROM loyalty.consents WHERE member_id = $buyer"), 'Banco_Uno|t|servicio contratado|1|t', 'and what was consented to';

	my $status = sub { my ($more, %option) = @_; return ask('/api/Payments_V1', {tipo_peticion => 'account_status', %$more}, curp => $curp, %option) };
	is_deeply [@{$status->({})->{json}{data}}{qw(poliza curp cliente status)}], [$sale->{poliza}, $curp, '', 'PREVENTA'], 'how it stands is told, but the name';
	is $status->({poliza => $sale->{poliza}}, without => ['curp_en_uso'])->{status}, 200, 'without the CURP too';
	is_deeply [@{pay({poliza => $sale->{poliza}, referencia => 'nueva', cantidad => 1}, curp => $curp)->{json}{data}}{qw(saldo status)}], [1009.1, 'COBRANZA'], 'and after a payment';
	refuses('data of the customer are not', 409, undef, sub { read_datum($_, curp => $curp) }) for qw(Mail Status);
	refuses('nor the block', 409, undef, sub { read_block('cliente', curp => $curp) });
	is $token->($curp)->{json}{nombre}, '', 'nor the name';
	refuses('nor anything to another', 409, undef, sub { $status->({}, user => 'Banco_Dos') });
	$stack->psql("SELECT loyalty.open_policy($merchant, '$curp', 'Segundo')");
	is $status->({})->{json}{data}{poliza}, $sale->{poliza}, 'who names no policy is told of the one they have sold';
	refuses('a policy that is none is unknown', 404, undef, sub { $status->({poliza => 'P0'}, @_) });
	refuses('to who has no consent the CURP is', 409, undef, sub { $status->({poliza => 'P0'}, user => 'Banco_Dos') });
	refuses('and of no other', 409, undef, sub { $status->({poliza => $stack->psql("SELECT policy_number FROM loyalty.policies WHERE member_id = $buyer AND product = 'Segundo'")}) });

	my $named = open_account({%new, mail => 'otro@correo.example', telefono => '5587654322', nombre => ' Óscar ', paterno => 'Gil', producto => 'Segundo', numero_pagos => 1}, curp => $other)->{json}{datos_compra};
	is $named->{nombre}, 'Óscar Gil', 'without a record the name is that of the order, which may be told';
	is $status->({}, curp => $other)->{json}{data}{cliente}, 'Óscar Gil', 'of its policy, too';
	$stack->psql("SELECT loyalty.configure_customers($merchant, notice_version => '7')");
	my $third = curp('NUEX800101HDFVVX1');
	open_account({%new, mail => 'tres@correo.example', telefono => '5587654323', nombre => 'A', paterno => 'B', producto => 'Segundo', numero_pagos => 1}, curp => $third);
	is $stack->psql("SELECT DISTINCT notice_version FROM loyalty.consents JOIN loyalty.customers USING (merchant_id, member_id) WHERE curp::text = '$third'"), 7, 'under the version of the notice that the merchant has';
	$stack->psql("SELECT loyalty.erase_member($merchant, $buyer)");
	is $stack->psql("SELECT count(*) FROM loyalty.curp_record WHERE curp::text = '$curp'"), 0, 'who is erased has no record either';
};

subtest 'where nobody new is registered' => sub {
	my $new = sub { my ($n) = @_; return open_account({mail => "lleno$n\@correo.example", telefono => "558765433$n", numero_pagos => 1, producto => 'Segundo', nombre => 'A', paterno => 'B', direccion => {calle => 'x' x 1000}}, curp => curp("NUEX800101HDFVVY$n")) };
	$stack->psql("UPDATE loyalty_internal.product SET stock = stock + 5 WHERE merchant_id = $merchant AND name = 'Segundo'");
	my $programs = $stack->psql("SELECT string_agg(program_id::text, ',') FROM loyalty.programs WHERE merchant_id = $merchant AND active");
	$stack->psql("SELECT loyalty.disable_program($merchant, p) FROM unnest('{$programs}'::bigint[]) p");
	is $new->(1)->{status}, 412, 'in a program that is not active';
	$stack->psql("SELECT loyalty.enable_program($merchant, p) FROM unnest('{$programs}'::bigint[]) p");
	is $new->(1)->{status}, 201, 'when it is active again they are';
	$stack->psql("DELETE FROM loyalty_internal.entry_space WHERE merchant_id = $merchant");
	$stack->psql("INSERT INTO loyalty_internal.entry_space (merchant_id, stripe, day, kilobytes) VALUES ($merchant, 1000, (now() AT TIME ZONE 'UTC')::date, 100000000);
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator'");
	my $answer;
	for (1 .. 50) { $answer = $new->(2); last if $answer->{status} != 503 }
	is $answer->{status}, 429, 'nor where nothing is left of the space of a day';
	$stack->psql("DELETE FROM loyalty_internal.entry_space WHERE merchant_id = $merchant");
	is $new->($_)->{status}, 201, 'with space they are' for 2, 3;
	cmp_ok $stack->psql("SELECT sum(kilobytes) FROM loyalty_internal.entry_space WHERE merchant_id = $merchant"), '>=', 64, 'and what they take is counted';
	new_log();
};

subtest 'who looks for customers by orders' => sub {
	my $order = sub { return open_account({mail => 'cuatro@correo.example', telefono => '5587654324', numero_pagos => 1, producto => 'Segundo', nombre => 'A', paterno => 'B'}, curp => curp('NUEX800101HDFVVX2'), headers => {'Idempotency-Key' => 'busca-1'}) };
	my $first = $order->();
	is $first->{status}, 201, 'an order under a key';
	my $refused = sub { return $stack->psql("SELECT coalesce(sum(times), 0) FROM loyalty.access_log WHERE app_user = 'Banco_Uno' AND operation = 'new_service' AND status = 409") };
	my $hundredth = sub { $stack->psql("INSERT INTO loyalty_internal.access (merchant_id, app_user, operation, request, status, minute, times) SELECT $merchant, '$_[0]', 'new_service', '', 409, date_trunc('minute', clock_timestamp() + interval '$_[1]'), 99 - coalesce(sum(times), 0) FROM loyalty_internal.access WHERE minute <= now() AND app_user = '$_[0]' AND operation = 'new_service' AND status IN (409, 412, 417) AND interval '$_[1]' <= '0'") };
	my $mail = sub { return open_account({mail => 'ana@correo.example', nombre => 'A', paterno => 'B'}, curp => $strange) };
	my $before = $refused->();
	ask('/api/Payments_V1', {tipo_peticion => 'account_status'}, curp => $strange);
	$mail->();
	is $refused->(), $before + 1, 'an order that is refused counts, whatever was refused of the same person in the same minute';
	$hundredth->('Banco_Uno', '0');
	is $mail->()->{status}, 409, 'the hundredth is answered';
	my $answer = $mail->();
	is_deeply [$answer->{status}, @{$answer->{json}}{qw(ok status retry_after)}, $answer->{headers}{'retry-after'}], [429, JSON::PP::false, 429, 3600, 3600], 'the next is not, for an hour';
	is_deeply [sort keys %{$answer->{json}}], [qw(error mensaje ok retry_after status)], 'with all keys';
	is_deeply $order->()->{json}, $first->{json}, 'but a repeat under its key, which looks for nobody, gets the first answer';
	$hundredth->('Banco_Dos', '5 hours');
	is open_account({}, curp => $strange, user => 'Banco_Dos')->{status}, 417, 'of others it is, though the clock has stepped back';
	$hundredth->('Banco_Dos', '-10 minutes');
	is join(' ', map { open_account({}, curp => $strange, user => 'Banco_Dos')->{status} } 1, 2), '417 429', 'a try that finds nobody, since it has no name, counts as well';
	new_log();
};

subtest 'a sale of several' => sub {
	my $one = read_datum('CostoVenta', curp => $buyer)->{json}{data};
	is $one, 1020.1, 'of one sale the value';
	my ($merchant_sale) = open_account({producto => 'Segundo', numero_pagos => 1}, curp => $buyer)->{json}{datos_compra};
	is_deeply read_datum($_, curp => $buyer)->{json}{data}[0], {valor => $merchant_sale->{id_venta} && ($_ eq 'Producto' ? 'Segundo' : 'PREVENTA'), id_venta => $merchant_sale->{id_venta}, producto => 'Segundo', poliza => $merchant_sale->{poliza}}, "of two a list: $_" for qw(Producto Status);
	is_deeply [map { $_->{valor} } @{read_datum('CostoVenta', curp => $buyer)->{json}{data}}], [10, 1020.1], 'the newest first';
	is read_datum('Status', curp => $buyer, fields => {poliza_en_uso => $policy{poliza}})->{json}{data}, 'COBRANZA', 'of the one that is named the value';
	is read_datum('IdFirma', curp => $buyer, fields => {poliza_en_uso => $policy{poliza}})->{json}{data}, $policy{poliza}, 'of both spellings';
	is read_block('cliente', curp => $buyer)->{json}{Ejecutivo}, 'Banco_Uno', 'who has sold it';
};

subtest 'product families' => sub {
	my $relatives = 0;
	my %band = ('F 2-29' => [2, 29], 'F 30-49' => [30, 49], 'F 55-59' => [55, 59]);
	$stack->psql("SELECT loyalty.create_product($merchant, '$_', '100', 9, 'De familia', $band{$_}[0], $band{$_}[1], 12, '12', '5', 'F/1', 'Familia')") for sort keys %band;
	# who is so many years old today, where the program is
	my $aged = sub { my ($years, $days) = (@_, 0); return create_customer(curp('GOFL' . $stack->psql("SELECT to_char((now() AT TIME ZONE 'America/Mexico_City')::date + $days - interval '$years years', 'YYMMDD')") . 'HDF' . substr('BCDFGHJKLMNPQRSTVWXYZ', $relatives++ % 21, 1) . 'ZT' . ($years < 20 ? 'A' : '0')), "Familiar$relatives") };
	my $buy = sub { my ($curp, $product) = @_; return open_account({producto => $product // 'Familia', mail => 'f' . $relatives . '@correo.example', telefono => '55100' . (10000 + $relatives), numero_pagos => 2}, curp => $curp) };
	for my $case ([29, 1, 'F 2-29'], [30, 0, 'F 30-49'], [30, 1, 'F 2-29'], [50, 1, 'F 30-49'], [55, 0, 'F 55-59'])
	{
		my ($years, $days, $product) = @$case;
		my $curp = $aged->($years, $days);
		grant_consent($curp, 'Banco_Uno');
		my $offer = read_block('producto_cliente', curp => $curp, fields => {producto => 'Familia'});
		is_deeply [@{$offer->{json}}{qw(producto nombre familia)}, $offer->{json}{data}{producto}], [$product, $product, 'Familia', $product], "offered $days days before " . "$years: $product";
		is $buy->($curp)->{json}{datos_compra}{producto}, $product, 'and sold';
		refuses("who has it: $_", 412, undef, sub { $buy->($curp, $_) }) for 'Familia', $product;
	}
	for my $years (1, 50, 54, 60)
	{
		my $curp = $aged->($years);
		grant_consent($curp, 'Banco_Uno');
		refuses("no product of it fits at $years", 406, row('Banco_Uno', $member{$curp}, 'new_service', '', 406), sub { $buy->($curp) });
		refuses('nor is one offered', 406, undef, sub { read_block('producto_cliente', curp => $curp, fields => {producto => 'Familia'}) });
	}
	my $strange_family = $aged->(40);
	refuses("$_ is no family", 406, undef, sub { $buy->($strange_family, $_) }) for 'familia', 'Fam', 'F 2-29';

	# the day is that of the customer's program
	my $far = $stack->psql("SELECT program_id FROM loyalty.create_program($merchant, 'Lejos', 'L', '{\"time_zone\": \"Pacific/Kiritimati\"}')");
	my $tomorrow = curp('GOFL' . $stack->psql("SELECT to_char((now() AT TIME ZONE 'Pacific/Kiritimati')::date - interval '30 years', 'YYMMDD')") . 'MDFWZT0');
	$stack->psql("SELECT loyalty.create_customer($merchant, $far, '$tomorrow', 'Lejana', 'Prueba')");
	is $stack->psql("SELECT (now() AT TIME ZONE 'Pacific/Kiritimati')::date > (now() AT TIME ZONE 'America/Mexico_City')::date"), 't', 'it is tomorrow there';
	grant_consent($tomorrow, 'Banco_Uno');
	is read_block('producto_cliente', curp => $tomorrow, fields => {producto => 'Familia'})->{json}{producto}, 'F 30-49', 'where somebody has a birthday';
	is $buy->($tomorrow)->{json}{datos_compra}{producto}, 'F 30-49', 'and buys as such';

	my $catalogue = read_block('catalogo_productos');
	my ($of_family) = grep { $_->{producto} eq 'F 30-49' } @{$catalogue->{json}{productos}};
	my $stock = delete $of_family->{existencias};
	is_deeply $of_family, {producto => 'F 30-49', costo => 100, comision => 5, fideicomiso => 'F/1', forma_pago => {meses_max => 12, tasa_anual => 12}, nombre => 'F 30-49', precio => 100, descripcion => 'De familia',
		familia => 'Familia', edad_minima => 30, edad_maxima => 49}, 'the catalogue has the family and its ages';
	is $stock, 6, 'and the stock';
	my $offer = read_block('producto_cliente', curp => $tomorrow, fields => {producto => 'F 30-49'})->{json};
	is_deeply {map { $_ => $offer->{$_} } keys %$of_family}, $of_family, 'what is offered has the same keys';
	$stack->psql("SELECT loyalty.change_product($merchant, '$_', family => '')") for sort keys %band;
	refuses('a family of which nothing is left', 406, undef, sub { $buy->($strange_family) });
};

# --- two worlds --------------------------------------------------------------------

subtest 'the sandbox and production do not meet' => sub {
	my %sandbox = (user => $sandbox_user, curp => $carlos);
	is ask('/api/Customer_sbx', {tipo_peticion => 'individual_request', request => 'Nombre'}, %sandbox)->{json}{data}, 'Carlos', 'the sandbox\'s customer';
	is read_datum('Nombre', curp => $carlos)->{json}{data}, 'Ana', 'production\'s customer of the same CURP';
	refuses("sandbox user at production's $_->[0]", 401, row('f', $sandbox_user, '', $_->[1]{tipo_peticion} // 'new_service', $_->[1]{request} // '', 401), sub { ask("/api/$_->[0]_V1", {%service, %{$_->[1]}}, %sandbox) })
		for ['Customer', {tipo_peticion => 'individual_request', request => 'Mail'}], ['Customer', {tipo_peticion => 'request', request => 'request_block'}], ['Accounts', {}], ['Payments', {tipo_peticion => 'account_status'}];
	refuses("production user at the sandbox's $_->[0]", 401, row('Banco_Uno', '', $_->[1]{tipo_peticion} // 'new_service', $_->[1]{request} // '', 401), sub { ask("/api/$_->[0]_sbx", {%service, %{$_->[1]}}) })
		for ['Customer', {tipo_peticion => 'individual_request', request => 'Mail'}], ['Customer', {tipo_peticion => 'request_block', request => 'catalogo_productos'}], ['Accounts', {}], ['Payments', {tipo_peticion => 'account_status'}];
	my $register = sub { my ($path, $user, $key) = @_; return post($path, {tipo_peticion => 'token_full', nombre_de_usuario => $user, curp_en_uso => $carlos, firma_KEY => hmac_sha256_hex($carlos, $key)}) };
	refuses('token of the sandbox in production', 401, row('f', $sandbox_user, '', 'token_full', '', 401), sub { $register->('/api/Registro_V1', $sandbox_user, $sandbox_key) });
	refuses('token of production in the sandbox', 401, row('Banco_Uno', '', 'token_full', '', 401), sub { $register->('/api/Registro_sbx', 'Banco_Uno', $key{Banco_Uno}) });
	is_deeply [map { $_->{nombre} } @{ask('/api/Customer_sbx', {tipo_peticion => 'request_block', request => 'catalogo_productos'}, %sandbox)->{json}{data}}], ['Funerario', (map { "Seguridad $_" } qw(2-29 30-49 50-54 55-59 60-64 65-69)), 'Universitario'], 'products of the sandbox';
	is_deeply [grep { !/^F / } map { $_->{nombre} } @{read_block('catalogo_productos')->{json}{data}}], [qw(Agotado Mayores Menores Segundo Vida)], 'products of production';
	refuses('a customer of the sandbox only', 409, row('Banco_Uno', '', 'individual_request', 'Mail', 409), sub { read_datum('Mail', curp => $eva) });
	is $stack->psql("SELECT loyalty.load_sandbox() = merchant_id FROM loyalty_internal.merchant WHERE sandbox"), 't', 'there is one sandbox, however often it is loaded';
};

# --- at the same time -----------------------------------------------------------------

# Two sessions, the second waiting for the first.
sub side_by_side
{
	my ($first, $second) = @_;
	my @session = map { $stack->connect_async } 1, 2;
	$session[0]->query('BEGIN');
	my @result = ($session[0]->query($first));
	my $pid = $session[1]->query('SELECT pg_backend_pid()');
	$session[1]->send($second);
	$stack->wait_until(sub { $session[1]->is_ready || $stack->psql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") });
	ok !$session[1]->is_ready, 'the second waits';
	$session[0]->query('COMMIT');
	push @result, $session[1]->receive;
	$_->close for @session;
	return @result;
}

subtest 'payments and sales at the same time' => sub {
	my $curp = fresh_customer();
	my $sale = $stack->psql("SELECT loyalty.open_policy($merchant, '$curp', 'Vida', 3)");
	my $policy = $stack->psql("SELECT policy_number FROM loyalty.policies WHERE policy_id = $sale");
	grant_consent($curp, 'Banco_Uno');
	my $payment = sub { my ($amount, $reference) = @_; return "SELECT loyalty.pay_policy($merchant, $sale, '$amount', 'SPEI', '$reference', 'Banco_Uno') ->> 'saldo'" };
	is_deeply [side_by_side($payment->('100', 'par'), $payment->('100', 'par'))], ['920.1', '920.1'], 'the same reference twice is booked once';
	my @over = side_by_side($payment->('500', 'uno'), $payment->('500', 'dos'));
	is $over[0], '420.1', 'two that are too much together: the first is booked';
	like $over[1], qr/LK412/, 'the second is not';
	is $stack->psql("SELECT count(*), sum(amount::numeric) FROM loyalty_internal.payment WHERE policy_id = $sale"), '2|600', 'two payments are booked';

	$stack->psql("SELECT loyalty.cancel_policy($merchant, $sale)");
	for my $again ("SELECT loyalty.reopen_policy($merchant, $sale)", $payment->('1', 'tres'))
	{
		my @session = map { $stack->connect_async } 1, 2;
		$session[0]->query('BEGIN');
		$session[0]->query("SELECT FROM loyalty_internal.customer WHERE curp::text = '$curp' FOR NO KEY UPDATE");
		my $pid = $session[1]->query('SELECT pg_backend_pid()');
		$session[1]->send("BEGIN; $again; ROLLBACK");
		$stack->wait_until(sub { $stack->psql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") });
		is scalar $stack->psql_error("SELECT FROM loyalty_internal.policy WHERE policy_id = $sale FOR NO KEY UPDATE NOWAIT"), undef, 'who waits for the customer has not locked the policy yet';
		$_->close for @session;
	}

	$stack->psql("SELECT loyalty.create_product($merchant, 'Último', '10', 1)");
	my @buyer = (fresh_customer(), fresh_customer());
	my @sold = side_by_side(map { "SELECT loyalty.open_policy($merchant, '$_', 'Último') > 0" } @buyer);
	is $sold[0], 't', 'the last one is sold';
	like $sold[1], qr/LK412/, 'once';
	is $stack->psql("SELECT stock FROM loyalty_internal.product WHERE merchant_id = $merchant AND name = 'Último'"), 0, 'and the stock is 0';
	$stack->psql("SELECT loyalty.create_product($merchant, 'Doble', '10', 9)");
	@sold = side_by_side(("SELECT loyalty.open_policy($merchant, '$buyer[0]', 'Doble') > 0") x 2);
	like $sold[1], qr/LK412/, 'one customer does not get a product twice';
	my @made = side_by_side(map { "SELECT loyalty.create_product($merchant, '$_->[0]', '10', 9, min_age => $_->[1], max_age => $_->[1] + 20, family => 'Par') > 0" } ['Par uno', 0], ['Par dos', 20]);
	is $made[0], 't', 'two products of a family for the same ages: there is the first';
	like $made[1], qr/LY007/, 'and not the second';
	$stack->psql("SELECT loyalty.create_product($merchant, 'Par dos', '10', 9, min_age => 21, max_age => 99, family => 'Par')");
	@sold = side_by_side("SELECT loyalty.open_policy($merchant, '$buyer[0]', 'Par', on_date => '2005-01-01') > 0", "SELECT loyalty.open_policy($merchant, '$buyer[0]', 'Par') > 0");
	like $sold[1], qr/LK412/, 'nor two of a family';

	my @children;
	for my $i (1 .. 8)
	{
		my $pid = fork // die "fork: $!\n";
		if ($pid == 0)
		{
			my $answer = eval { pay({referencia => 'racimo', cantidad => 20, poliza_en_uso => $policy}, curp => $curp) };
			POSIX::_exit($answer && $answer->{status} == 201 && $answer->{json}{data}{saldo} == 400.1 ? 0 : 1);
		}
		push @children, $pid;
	}
	my $failed = 0;
	for (@children) { waitpid $_, 0; $failed++ if $? }
	is $failed, 0, 'eight requests with one reference have one answer';
	is $stack->psql("SELECT count(*) FROM loyalty_internal.payment WHERE merchant_id = $merchant AND reference = 'racimo'"), 1, 'and one payment';
	is $stack->psql(q{SELECT count(*) FROM loyalty_internal.policy s WHERE s.cost::numeric <> (SELECT sum(amount::numeric) FROM loyalty_internal.instalment i WHERE i.policy_id = s.policy_id)
		OR s.cost::numeric < (SELECT sum(amount::numeric) FROM loyalty_internal.payment y WHERE y.policy_id = s.policy_id)}), 0, 'every sale adds up';
};

# --- secrets ---------------------------------------------------------------------------

sub finds_no_secret
{
	my ($text, $where) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %seen = map { $_->[0] => 1 } grep { index($text, $_->[1]) >= 0 } @secrets;
	return is join(', ', sort keys %seen), '', "no secret $where";
}

subtest 'secrets stay secret' => sub {
	cmp_ok scalar @answers, '>', 200, 'there are answers to look through';
	finds_no_secret(join("\n", @answers), 'in any answer');
	finds_no_secret($stack->server_log, 'in the server log');
	for my $log (grep { -f } glob($stack->work_dir . '/*.log'), glob($stack->work_dir . '/nginx/*.log'))
	{
		open my $in, '<:encoding(UTF-8)', $log or die "$log: $!\n";
		my ($name) = $log =~ m{([^/]+)$};
		finds_no_secret(do { local $/; <$in> } // '', "in $name");
	}

	my $typed = 'esta-clave-no-debe-verse-en-ninguna-parte';
	for my $call ("create_app_user($merchant, 'Banco_Uno', '$typed')", "create_app_user($merchant, '', '$typed')", "create_app_user(1, 'Otro', '$typed')", "create_app_user($merchant, 'Corta', 'clave-corta')")
	{
		my $error = $stack->psql_error("SELECT loyalty.$call");
		ok $error, 'an app user is refused';
		unlike join(' ', map { $_ // '' } values %$error), qr/clave-|debe-verse/, 'without saying the key';
	}

	my @views = split /\n/, $stack->psql(q{CREATE ROLE lector; SELECT loyalty.grant_reading('lector'), loyalty.grant_reporting('lector', personal => true) \g /dev/null
		SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace IN ('loyalty'::regnamespace, 'loyalty_internal'::regnamespace, 'loyalty_api'::regnamespace, 'loyalty_report'::regnamespace, 'loyalty_report_personal'::regnamespace) AND c.relkind IN ('r', 'v', 'm') AND has_table_privilege('lector', c.oid, 'SELECT')});
	cmp_ok scalar @views, '>', 10, 'there are views to look through';
	my $seen = $stack->psql('SET ROLE lector; ' . join ' ', map { "SELECT x::text FROM $_ x;" } @views);
	like $seen, qr/Banco_Uno/, 'the views show the app users';
	finds_no_secret($seen, 'in any view');
	my $digest = $stack->psql("SELECT string_agg(password_digest || '|' || password_salt, '|') FROM loyalty_internal.staff JOIN loyalty_internal.merchant USING (merchant_id)");
	unlike $seen, qr/$digest|\\x[0-9a-f]{64}/, 'no password\'s digest or salt and no hash either';
	for my $table (qw(app_user app_user_key consent access))
	{
		my $error = $stack->psql_error("SET ROLE lector; SELECT * FROM loyalty_internal.$table");
		is $error && $error->{sqlstate}, '42501', "the reporting role does not read $table";
	}
};

subtest 'secrets are not in pg_stat_statements' => sub {
	plan skip_all => 'pg_stat_statements is not installed' unless $stack->psql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'});
	$stack->psql("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'");
	$stack->restart_postgres;
	$stack->psql(q{ALTER SYSTEM SET pg_stat_statements.track = 'all'; SELECT pg_reload_conf() \g /dev/null
		CREATE EXTENSION pg_stat_statements});
	my $answer;
	$stack->wait_until(sub { $answer = read_datum('Nombre'); $answer->{status} == 202 });
	is $answer->{status}, 202, 'the API is back';
	my $signature = hmac_sha256_hex($ana, $key{Banco_Uno});
	is post('/api/Registro_V1', {tipo_peticion => 'token_full', nombre_de_usuario => 'Banco_Uno', curp_en_uso => $ana, firma_KEY => $signature})->{status}, 200, 'a token';
	read_datum('Nombre', fields => {clave_aceptacion => $ana_key});
	my $typed = 'esta-otra-clave-tampoco-debe-verse-nunca';
	my $consent = $stack->psql("SELECT loyalty.create_app_user($merchant, 'Banco_Tres', '$typed') \\g /dev/null\nSELECT acceptance_key FROM loyalty.grant_consent($merchant, '$ana', 'Banco_Tres', 'crédito', '2')");
	push @secrets, ['a key that was typed', $typed], ['an acceptance key', $consent], ['the signature', $signature];
	my $statements = $stack->psql('SELECT query FROM pg_stat_statements');
	like $statements, qr/loyalty_internal\.app_user/, 'the statements inside are seen';
	like $statements, qr/gateway/, 'those of the API too';
	finds_no_secret($statements, 'in any statement');
	my $digest = $stack->psql("SELECT string_agg(password_digest || '|' || password_salt, '|') FROM loyalty_internal.staff JOIN loyalty_internal.merchant USING (merchant_id)");
	unlike $statements, qr/$digest/, 'no password\'s digest or salt either';
	finds_no_secret($stack->server_log, 'in the server log');
};

is $stack->psql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is sound';

done_testing;

# 74_clients.pl - whole clients of the customer API, in bash and in Python, from the
# token to the last payment, on the real servers.
#
# They are those of examples/kasu/, which know nothing of this system but what
# clients of the service know today.  Each answer that they print must have every
# key that such clients read, with its type; others may be there too.
use strict;
use warnings;
use utf8;

use B ();
use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256_hex);
use File::Basename qw(dirname);
use FindBin;
use IPC::Run ();
use JSON::PP ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

# --- what the answers have -------------------------------------------------------------
#
# A line for each step, as a client names it: the status, then the keys, each with its
# type.  {…} is an object with these keys, […] a list of what is in it, which has
# something in it.  An id is a number or a text with one, and a|b is one or the other.

my $sale = 'Id:id Producto:text CostoVenta:number Subtotal:number NumeroPagos:count DiaPago:count IdFIrma:text Status:text TipoServicio:text FechaRegistro:text FechaLiquidacion:text';
my $address = 'calle:text numero:text colonia:text municipio:text codigo_postal:text estado:text';
my $credit = 'forma_pago:{meses_max:count tasa_anual:number}';
my $policy = 'id_venta:id poliza:text curp:text cliente:text producto:text tipo_servicio:text status:text costo_venta:number subtotal:number fecha_liquidacion:text numero_pagos:count dia_pago:count'
	. ' pago_periodo:number pagos_realizados:number saldo:number pagos_pendientes:count estado_cobranza:text comision_producto:number pago_link:text pagos:list calendario:list';
my $failure = 'ok:false status:count error:text mensaje:text';
my $of_sale = sub { return "202 ok:true curp_en_uso:text request:text data:$_[0]|[{valor:$_[0] id_venta:id producto:text poliza:text}]" };

my %has = (
	'token' => '200 ok:true token:text nombre:text token_data:{timestamp:count expires_in:count}',
	'keys/request_block' => '202 ok:true request_block:{cliente:text catalogo_productos:text producto_cliente:text}',
	'keys/individual_request' => "202 ok:true Datos_Contacto:{Mail:text Telefono:text $address Producto:text} Datos_usuario:{Usuario:text Tipo:text Nombre:text Paterno:text Materno:text}"
		. ' Datos_ventas:{Producto:text CostoVenta:text Subtotal:text NumeroPagos:text DiaPago:text IdFIrma:text Status:text FechaLiquidacion:text FechaRegistro:text}',
	(map { ("datum/$_" => '202 ok:true curp_en_uso:text request:text data:text') } qw(Mail Telefono calle numero colonia municipio codigo_postal estado Usuario Tipo Nombre Paterno Materno)),
	(map { ("datum/$_" => $of_sale->('text')) } qw(Producto IdFIrma IdFirma Status FechaLiquidacion FechaRegistro)),
	(map { ("datum/$_" => $of_sale->('number')) } qw(CostoVenta Subtotal)),
	(map { ("datum/$_" => $of_sale->('count')) } qw(NumeroPagos DiaPago)),
	'block/cliente' => "202 ok:true curp_en_uso:text Ejecutivo:text Nombre:text Tipo:text Mail:text Telefono:text Producto:text FechaRegistro:text Direccion:{$address} ventas:[{$sale}]",
	'block/catalogo_productos' => "202 ok:true productos:[{producto:text costo:number comision:number fideicomiso:text $credit nombre:text precio:number descripcion:text existencias:count}]",
	'block/producto_cliente' => "202 ok:true producto:text costo:number comision:number $credit",
	'new_service' => '201 ok:true mensaje:text datos_compra:{id_venta:id id_contacto:id nombre:text CURP:text mail:text producto:text poliza:text status:text costo:number subtotal:number amount:number'
		. ' plan:text numero_pagos:count dia_pago:count pago_link:text}',
	'unread' => "409 $failure",
	(map { ($_ => "200 ok:true data:{$policy}") } qw(sale account_status)),
	'payment' => "201 ok:true mensaje:text payment_ids:[id] data:{$policy}",
	# what is not told is an empty text, 0 or an empty list
	'untold' => "201 ok:true mensaje:text payment_ids:[id] data:{@{[$policy =~ s/^id_venta:\Kid/text/r]}}",
);

my %is_of = (
	text => sub { return !ref $_[0] && is_text($_[0]) },
	number => sub { return is_number($_[0]) },
	count => sub { return is_number($_[0]) && $_[0] =~ /^\d+$/ },
	id => sub { return defined $_[0] && !ref $_[0] && $_[0] =~ /^[1-9]\d*$/ },
	true => sub { return JSON::PP::is_bool($_[0]) && $_[0] },
	false => sub { return JSON::PP::is_bool($_[0]) && !$_[0] },
	list => sub { return ref $_[0] eq 'ARRAY' },
);
sub is_text { return defined $_[0] && B::svref_2object(\$_[0])->FLAGS & B::SVf_POK }
sub is_number { return defined $_[0] && !ref $_[0] && !is_text($_[0]) }

# The table's texts as structures: a name of a type, {key => type}, [type], or \[types].
sub one_type
{
	my $type = /\G\{/gc ? keys_of('\}') : /\G\[/gc ? do { my $of = one_type(); /\G\]/gc or die "no ] in $_"; [$of] } : /\G(\w+)/gc && $is_of{$1} ? $1 : die 'no type at ' . substr $_, pos;
	return /\G\|/gc ? \[$type, one_type()] : $type;
}

sub keys_of
{
	my $end = shift;
	my %keys;
	until (/\G\s*(?:$end)/gc)
	{
		/\G\s*(\w+):/gc or die 'no key at ' . substr $_, pos;
		my $key = $1;
		$keys{$key} = one_type();
	}
	return \%keys;
}

for my $step (keys %has)
{
	my ($status, $keys) = split / /, $has{$step}, 2;
	local $_ = $keys;
	$has{$step} = [$status, keys_of('\z')];
}

# What the value lacks, each by its path.
sub lacks
{
	my ($type, $value, $path) = @_;
	if (ref $type eq 'REF')
	{
		my @complaints = map { [lacks($_, $value, $path)] } @$$type;
		return (grep { !@$_ } @complaints) ? () : map { @$_ } @complaints;
	}
	if (ref $type eq 'HASH')
	{
		return "$path is no object" unless ref $value eq 'HASH';
		return map { exists $value->{$_} ? lacks($type->{$_}, $value->{$_}, "$path.$_") : "$path.$_ is missing" } sort keys %$type;
	}
	if (ref $type)
	{
		return "$path is no list" unless ref $value eq 'ARRAY';
		return "$path is empty" unless @$value;
		return map { lacks($type->[0], $value->[$_], "$path\[$_\]") } 0 .. $#$value;
	}
	return $is_of{$type}->($value) ? () : "$path is no $type";
}

my $json = JSON::PP->new->utf8;
sub complaints
{
	my ($step, $status, $body) = @_;
	my $has = $has{$step =~ s/^payment\K.*//r} or return "there is no step $step";
	my $answer = eval { $json->decode($body) } or return 'the answer is no JSON';
	my @complaints = ($status == $has->[0] ? () : "the status is $status", lacks($has->[1], $answer, $step));
	return @complaints;
}

# --- the clients' world ----------------------------------------------------------------

my $stack = Loyalty->start(rate => '100000r/s', clock => 1);
$stack->noon;

# A CURP of its first 17 characters.
sub curp
{
	my $start = shift;
	my $alphabet = '0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ';
	my $sum = 0;
	$sum += (18 - $_) * index $alphabet, substr $start, $_, 1 for 0 .. 16;
	return $start . (10 - $sum % 10) % 10;
}

my ($once, $twice) = (curp('GOPL900115HDFBZT0'), curp('GOPL900115HDFCZT0'));
my @new = map { curp("LO${_}M900312MDFPRR0") } qw(A E I O);
my ($merchant, $key) = split /\|/, $stack->psql(qq{
	SELECT loyalty.create_merchant('Uno') AS m \\gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Clientes', 'P') \\gset
	SELECT loyalty.create_app_user(:m, 'Banco') AS k \\gset
	SELECT loyalty.create_customer(:m, :p, c, 'Luis', 'Gómez', 'Peña', phone => t::loyalty.phone, email => t || '\@correo.example', street => 'Juárez', number => '1', neighborhood => 'Centro', municipality => 'Puebla', postcode => '72000', state => 'Puebla')
		FROM (VALUES ('$once'::loyalty.curp, '5511111111'), ('$twice', '5522222222')) v (c, t) \\g /dev/null
	SELECT loyalty.grant_consent(:m, c, 'Banco', 'crédito', '1') FROM unnest('{$once,$twice}'::loyalty.curp[]) c \\g /dev/null
	SELECT loyalty.create_product(:m, p, '1000', 50, 'Un servicio', max_payments => 12, annual_rate => 11.5, commission => 7.5) FROM unnest('{Vida,Hogar}'::text[]) p \\g /dev/null
	SELECT loyalty.open_policy(:m, '$once', 'Vida', 12), loyalty.open_policy(:m, '$twice', 'Vida', 12), loyalty.open_policy(:m, '$twice', 'Hogar', 1) \\g /dev/null
	INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name, second_last_name) SELECT :m, c, 'María', 'López', 'Ruiz' FROM unnest('{$new[2],$new[3]}'::loyalty.curp[]) c;
	SELECT concat_ws('|', :m, :'k')});

my $examples = dirname(abs_path(__FILE__)) . '/../../examples/kasu';
my @clients = qw(kasu.sh kasu.py);

# What a client prints: [step, status, body] for each answer.
sub run_client
{
	my ($client, $settings, @arguments) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (PATH => $ENV{PATH}, HOME => $ENV{HOME} // '/', KASU_URL => $stack->url, %$settings);
	utf8::encode($_) for values %ENV;
	IPC::Run::run(["$examples/$client", @arguments], '<', '/dev/null', '>', \$out, '2>', \$err) or diag $err;
	is $err, '', "$client complains of nothing";
	return map { [split / /, $_, 3] } split /\n/, $out;
}

# Types of all there is, for whatever keys.
sub shape
{
	my $value = shift;
	return '{' . join(' ', map { "$_:" . shape($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
	return '[' . join(' ', map { shape($_) } @$value) . ']' if ref $value eq 'ARRAY';
	return JSON::PP::is_bool($value) ? 'bool' : !defined $value ? 'null' : is_text($value) ? 'text' : 'number';
}

my @all;
sub checked
{
	my ($name, @answers) = @_;
	push @all, @answers;
	is join("\n", map { complaints(@$_) } @answers), '', "$name: all keys are there, with their types";
	return @answers;
}

# Both clients, each with settings of its own; the answers are the same but for what
# tells the two apart.
sub both
{
	my ($name, $of_all, @of_each) = @_;
	my (@said, @runs);
	for my $i (0, 1)
	{
		my %settings = (%$of_all, %{$of_each[$i]});
		my @answers = checked("$name, $clients[$i]", run_client($clients[$i], \%settings));
		my ($sold) = map { $json->decode($_->[2])->{datos_compra} } grep { $_->[0] eq 'new_service' } @answers;
		my %own = ($settings{KASU_NEW_CURP} => 'CURP', $settings{KASU_MAIL} => 'MAIL', $sold->{poliza} => 'POLIZA');
		my $own = join '|', map { quotemeta } sort keys %own;
		push @said, [map { "@$_" =~ s/($own)/$own{$1}/gr =~ s/"token":"[0-9a-f]{64}"/"token":"…"/r =~ s/"timestamp":\d+/"timestamp":…/r =~ s/"\d{15,}"/"ID"/gr =~ s/T\d\d:\d\d:\d\dZ/T…Z/gr =~ s/"R[0-9a-f]{16}"/"R…"/gr =~ s/"existencias" ?: ?\K\d+/…/gr } @answers];
		push @runs, {answers => \@answers, sold => $sold, curp => $settings{KASU_NEW_CURP}};
	}
	is join("\n", @{$said[1]}), join("\n", @{$said[0]}), "$name: both get the same answers";
	return @runs;
}

sub values_of { my ($key, @answers) = @_; return map { $json->decode($_->[2])->{data}{$key} } grep { $_->[0] eq 'account_status' } @answers }

my %production = (KASU_END => 'V1', KASU_TOKEN => 'Token_Full', KASU_USER => 'Banco', KASU_KEY => $key, KASU_PRODUCT => 'Vida', KASU_PAYMENTS => 7);
my $names = 'María|López|Ruiz';
my @runs;

subtest 'to somebody whose names the order has' => sub {
	@runs = both('names', {%production, KASU_CURP => $once, KASU_NEW_NAMES => $names}, {KASU_NEW_CURP => $new[0], KASU_MAIL => 'a@correo.example', KASU_PHONE => 5533333331}, {KASU_NEW_CURP => $new[1], KASU_MAIL => 'b@correo.example', KASU_PHONE => 5533333332});
	for my $run (@runs)
	{
		is "@{$run->{sold}}{qw(nombre costo subtotal plan status)}", 'María López Ruiz 1057.5 1000 MENSUAL PREVENTA', 'what was sold';
		is join(' ', values_of('status', @{$run->{answers}})), 'PREVENTA' . ' COBRANZA' x 6 . ' ACTIVACION', 'its life, payment by payment';
		is join(' ', values_of('pagos_pendientes', @{$run->{answers}})), '7 6 5 4 3 2 1 0', 'what is pending';
		is join(' ', (values_of('saldo', @{$run->{answers}}))[-1], (values_of('pagos_realizados', @{$run->{answers}}))[-1], (values_of('cliente', @{$run->{answers}}))[-1]), '0 1057.5 María López Ruiz', 'all is paid';
	}
};

subtest 'to somebody whom the merchant has looked up, with a customer of two sales' => sub {
	my @looked_up = both('record', {%production, KASU_CURP => $twice, KASU_NEW_NAMES => '', KASU_PAYMENTS => 1}, {KASU_NEW_CURP => $new[2], KASU_MAIL => 'c@correo.example', KASU_PHONE => 5533333333}, {KASU_NEW_CURP => $new[3], KASU_MAIL => 'd@correo.example', KASU_PHONE => 5533333334});
	for my $run (@looked_up)
	{
		is "@{$run->{sold}}{qw(nombre costo plan dia_pago)}", ' 1000 CONTADO 0', 'one payment; the name was not in the order';
		is join(' ', values_of('status', @{$run->{answers}})), 'PREVENTA ACTIVACION', 'its life';
		my ($cost) = map { $json->decode($_->[2])->{data} } grep { $_->[0] eq 'datum/CostoVenta' } @{$run->{answers}};
		is join(' ', map { "$_->{producto} $_->{valor}" } @$cost), 'Hogar 1000 Vida 1105.42', 'a field of both sales, the newest first';
	}
};

subtest 'in the sandbox, as they are' => sub {
	for my $client (@clients)
	{
		my @answers = checked("sandbox, $client", run_client($client, {}));
		is join(' ', values_of('status', @answers)), 'PREVENTA COBRANZA COBRANZA ACTIVACION', 'to the last payment';
	}
};

subtest 'thirty days later' => sub {
	my $after = sub {
		my ($seconds, $status) = @_;
		$stack->advance_clock($seconds);
		for my $i (0, 1)
		{
			my @answers = checked("$status, $clients[$i]", run_client($clients[$i], \%production, 'status', $runs[$i]{curp}, $runs[$i]{sold}{poliza}));
			is "@{[values_of('status', @answers)]}", $status, $status;
			like "@{[values_of('fecha_liquidacion', @answers)]}", qr/^\d{4}-\d\d-\d\d/, 'since it is paid';
		}
	};
	$after->(30 * 86_400 - 3600, 'ACTIVACION');
	$after->(3600, 'ACTIVO');
};

# --- without consent ------------------------------------------------------------------------

# Another app user of the merchant, who has no consent of anybody's data.
subtest 'who has no consent gets every key, too' => sub {
	my $other = 'o' x 32;
	$stack->psql("SELECT loyalty.create_app_user($merchant, 'Agente', '$other')");
	my $ask = sub {
		my ($step, $path, $curp, %body) = @_;
		my $now = int($stack->clock_us / 1e6);
		my $signature = hmac_sha256_hex($curp, $other);
		my $answer = $stack->http('POST', "/api/$path", {'Content-Type' => 'application/json', Authorization => 'Bearer ' . hmac_sha256_hex(qq({"timestamp":$now,"expires_in":600}), $signature)},
			$json->encode({nombre_de_usuario => 'Agente', curp_en_uso => $curp, $path =~ /Token/ ? (firma_KEY => $signature) : (token_data => {timestamp => $now, expires_in => 600}), %body}));
		checked("without consent, $step", [$step, $answer->{status}, $answer->{body}]);
		return $json->decode($answer->{body});
	};
	my $poliza = $stack->psql("SELECT policy_number FROM loyalty.policies JOIN loyalty.customers USING (merchant_id, member_id) WHERE curp::text = '$once'");
	my %order = (tipo_peticion => 'new_service', mail => 'otro@correo.example', telefono => '5555555555', producto => 'Hogar', numero_pagos => 3, terminos => 1, aviso => 1, fideicomiso => 1);
	is $ask->('token', 'Token_Full', $_, tipo_peticion => 'token_full')->{nombre}, '', 'no name' for $once, curp('LOUM900312MDFPRR0');
	$ask->('keys/request_block', 'Customer_V1', $once, tipo_peticion => 'request', request => 'request_block');
	$ask->('block/catalogo_productos', 'Customer_V1', $once, tipo_peticion => 'request_block', request => 'catalogo_productos');
	is_deeply $ask->('unread', 'Customer_V1', $once, tipo_peticion => 'request_block', request => 'cliente'), $ask->('unread', 'Customer_V1', curp('LOUM900312MDFPRR0'), tipo_peticion => 'request_block', request => 'cliente'), 'a customer is as nobody';
	is_deeply $ask->('unread', 'Payments_V1', $once, tipo_peticion => 'account_status'), $ask->('unread', 'Payments_V1', curp('LOUM900312MDFPRR0'), tipo_peticion => 'account_status'), 'and so is how they stand';
	my $paid = $ask->('untold', 'Payments_V1', $once, tipo_peticion => 'pagos_psd2', poliza_en_uso => $poliza, cantidad => 1);
	is_deeply [@{$paid->{data}}{qw(poliza curp cliente saldo estado_cobranza pagos)}], [$poliza, $once, '', 0, '', []], 'a payment tells what was said';
	my $sold = $ask->('new_service', 'Accounts_V1', $once, %order)->{datos_compra};
	is "@$sold{qw(nombre CURP mail status)}", " $once otro\@correo.example PREVENTA", 'so does a sale';
	is $ask->('account_status', 'Payments_V1', $once, tipo_peticion => 'account_status', poliza => $sold->{poliza})->{data}{cliente}, '', 'which can be followed, without the name';
};

# --- and the check finds what is not there ------------------------------------------------

# Each key of the table, and each element of a list, taken away or of another type: the
# places of a value, each a way to it.
sub places
{
	my ($type, $value, @way) = @_;
	return places((grep { !lacks($_, $value, '') } @$$type)[0], $value, @way) if ref $type eq 'REF';
	return map { ([@way, $_], places($type->{$_}, $value->{$_}, @way, $_)) } sort keys %$type if ref $type eq 'HASH';
	return map { ([@way, $_], places($type->[0], $value->[$_], @way, $_)) } 0 .. $#$value if ref $type;
	return;
}

subtest 'an answer that lacks a key, or has it with another type, is noticed' => sub {
	my %seen;
	my ($keys, $missed) = (0, '');
	for my $answer (grep { !$seen{$_->[0] =~ s/^payment\K.*//r}++ } @all)
	{
		my ($step, $status, $body) = @$answer;
		my $type = $has{$step =~ s/^payment\K.*//r}[1];
		for my $way (places($type, $json->decode($body)))
		{
			my @way = @$way;
			my $last = pop @way;
			for my $harm ($last =~ /^\d+$/ ? () : 'missing', 'another type', 'null')
			{
				my $changed = $json->decode($body);
				my $at = $changed;
				$at = ref $at eq 'ARRAY' ? $at->[$_] : $at->{$_} for @way;
				my $place = ref $at eq 'ARRAY' ? \$at->[$last] : \$at->{$last};
				if ($harm eq 'missing') { delete $at->{$last} }
				elsif ($harm eq 'null') { $$place = undef }
				else { $$place = ref $$place && !JSON::PP::is_bool($$place) ? 'text' : is_text($$place) ? {} : JSON::PP::is_bool($$place) ? !$$place ? JSON::PP::true : JSON::PP::false : "$$place" . 'x' }
				$keys++;
				$missed .= "$step: " . join('.', @way, $last) . " $harm\n" unless complaints($step, $status, $json->encode($changed));
			}
		}
		$missed .= "$step: another status\n" unless complaints($step, $status + 1, $body);
	}
	is_deeply [sort keys %seen], [sort keys %has], 'every answer of the table was seen';
	is $missed, '', 'each change is noticed';
	cmp_ok $keys, '>', 500, "of $keys changes";
};

done_testing;

# A request whose answer got lost is sent again, with its Idempotency-Key: it does
# nothing more and gets the first answer, one after the other and two at once, at
# all paths that write.  The same key with another content is refused, whatever
# byte is another.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib $FindBin::Bin;
use IO::Socket::INET;
use JSON::PP ();
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', rate => '100000r/s', isolation => 'read committed');
my ($carlos, $eva) = qw(CAMC880526HMCBNR04 REAE060617MMCYLVA4);
my $private_key = 'k' x 32;
my ($merchant, $key, $wallet, $staff) = split /\|/, $stack->psql(qq{
	SELECT loyalty.create_merchant('Uno') AS m \\gset
	SELECT api_key AS key FROM loyalty.create_api_key(:m) \\gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Programa', 'P') \\gset
	SELECT wallet_key AS w FROM loyalty.create_wallet(:m, 'Monedero', 10) \\gset
	SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'la clave de Ana') AS staff \\gset
	SELECT loyalty.create_app_user(:m, u, '$private_key') FROM unnest('{Banco,Agente,Nuevo,Socio,Ajeno}'::text[]) u \\g /dev/null
	SELECT loyalty.create_member(:m, :p, 'Socia', client_id => 'S') \\g /dev/null
	SELECT loyalty.create_customer(:m, :p, c, 'Persona', 'Gil'), loyalty.grant_consent(:m, c, 'Banco', 'x', '1'), loyalty.grant_consent(:m, c, 'Agente', 'x', '1') FROM unnest('{$carlos,$eva}'::loyalty.curp[]) c \\g /dev/null
	SELECT loyalty.create_product(:m, p, 100, 5, max_payments => 3) FROM unnest('{Vida,Hogar,Auto,Viaje}'::text[]) p \\g /dev/null
	SELECT concat_ws('|', :m, :'key', :'w', :staff)});
sub sql { return $stack->psql($_[0]) }
my $n = 0;

# All there is, but for keys, when they were used, and accesses.
sub everything
{
	return sql(q{SELECT md5(string_agg(query_to_xml('SELECT (to_jsonb(t) - ''last_used_at'')::text FROM ' || c.oid::regclass || ' t ORDER BY 1', true, false, '')::text, '' ORDER BY c.relname))
		FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text ~ '^loyalty' AND c.relname !~ '^(idempotency_|access$)' AND c.relname <> 'area_code_of_mexico'});
}

# --- requests: [path, headers, body] ------------------------------------------------

sub form_request { my ($path, @fields) = @_; return [$path, {apikey => $key, 'Content-Type' => 'application/x-www-form-urlencoded'}, Loyalty::form_encode(@fields)] }
sub seller_request { my ($path, $body) = @_; return ["/v1/seller/$key/$path", {'Content-Type' => 'application/json'}, ref $body ? JSON::PP->new->utf8->canonical->encode($body) : $body] }

# Under a token that is so many seconds old.
sub customer_request
{
	my ($path, $curp, $age, %fields) = @_;
	my $timestamp = time - $age;
	my $token = hmac_sha256_hex(qq({"timestamp":$timestamp,"expires_in":600}), hmac_sha256_hex($curp, $private_key));
	return [$path, {'Content-Type' => 'application/json', Authorization => "Bearer $token"},
		JSON::PP->new->utf8->canonical->encode({nombre_de_usuario => 'Banco', curp_en_uso => $curp, token_data => {timestamp => $timestamp, expires_in => 600}, %fields})];
}

my %service = (tipo_peticion => 'new_service', mail => 'x@correo.example', telefono => '5512345678', numero_pagos => 1, dia_pago => 1, tipo_servicio => 'Seguro',
	terminos => 'acepto', aviso => 'acepto', fideicomiso => 'acepto', direccion => {calle => 'Uno'});
sub service { my ($product, $age, %other) = @_; return customer_request('/api/Accounts_V1', $carlos, $age // 0, %service, producto => $product, %other) }
sub payment { my ($amount, $age, %other) = @_; return customer_request('/api/Payments_V1', $carlos, $age // 0, tipo_peticion => 'pagos_psd2', cantidad => $amount, metodo => 'SPEI', referencia => "R$amount", %other) }
sub newcomer { return seller_request('program/P/member', {email => "$_[0]\@x.mx", firstName => 'Ana', firstLastName => 'Gil'}) }
my %item = (programId => 'P', memberId => 'S', amount => 1, currency => 'MXN', comments => 'c');

sub headers_of { my ($request, $idempotency) = @_; return {%{$request->[1]}, defined $idempotency ? ('Idempotency-Key' => $idempotency) : ()} }
sub sent { my ($request, $idempotency) = @_; my $answer = $stack->http('POST', $request->[0], headers_of($request, $idempotency), $request->[2]); return "$answer->{status} $answer->{body}" }

# A request whose answer is read later.
sub ask
{
	my ($request, $idempotency) = @_;
	my $headers = headers_of($request, $idempotency);
	my $socket = IO::Socket::INET->new(PeerAddr => $stack->url =~ s{^http://}{}r, Timeout => Loyalty::HANG_S) // die "connect: $@\n";
	print $socket join("\r\n", "POST $request->[0] HTTP/1.0", 'Host: localhost', 'Connection: close', (map { "$_: $headers->{$_}" } sort keys %$headers),
		'Content-Length: ' . length $request->[2], '', $request->[2]);
	return $socket;
}
sub answer_of { my $socket = shift; local $/; my $bytes = <$socket>; return $bytes =~ m{\AHTTP/1\.1 (\d{3}).*?\r\n\r\n(.*)\z}s ? "$1 $2" : $bytes }
sub has_answered { my ($readable, $ready) = (''); vec($readable, fileno $_[0], 1) = 1; return select $ready = $readable, undef, undef, 0 }
sub sent_twice { my @request = @_; return map { answer_of($_) } map { ask(@request) } 1 .. 2 }

# --- each path ------------------------------------------------------------------------

# What is sent, sent again, and sent with another content; and another one for two at once.
my @tries = (
	['/wallet/contact/add', (map { form_request('/wallet/contact/add', wallet_key => $wallet, phone => "551234000$_", customer_name => 'Beto', usertool_id => $staff) } 1, 1, 2, 3)],
	['/wallet/sale', (map { form_request('/wallet/sale', wallet_key => $wallet, phone => '5512340001', transaction_type => 0, transaction_amount => $_, usertool_id => $staff) } 10, 10, 11, 10)],
	['/wallet/balance/update', (map { form_request('/wallet/balance/update', wallet_key => $wallet, phone => '5512340001', transaction_type => 0, transaction_amount => $_, usertool_id => $staff) } 10, 10, 11, 10)],
	['/employee/add', (map { form_request('/employee/add', type => 'cajero', employee_name => $_, business_name => 'Centro', number => "477100010" . length, password => "la clave de $_") } 'Beto', 'Beto', 'Carla', 'Esteban')],
	['/employee/disable', (map { form_request('/employee/disable', number => "477100010$_") } 4, 4, 7, 7)],
	['member', newcomer('uno'), newcomer('uno'), newcomer('dos'), newcomer('tres')],
	['deposit', (map { seller_request('deposit', [{%item, amount => $_}, {}]) } 1, 1, 2, 1)],
	['redemption', (map { seller_request('redemption', [{%item, amount => 0.1, amountCurrency => 0.1, comments => $_}]) } 'a', 'a', 'b', 'a')],
	['accumulation', (map { seller_request('accumulation', [{%item, amount => $_}]) } 1, 1, 2, 1)],
	['new_service', service('Vida', 100), service('Vida', 0), service('Auto'), service('Hogar')],
	['pagos_psd2', payment(10, 100), payment(10, 0), payment(11), payment(12)]);
for my $try (@tries)
{
	my ($name, $request, $again, $another, $twice) = @$try;
	my $idempotency = 'key-' . ++$n;
	my $first = sent($request, $idempotency);
	like $first, qr/^2\d\d (?!.*"success": ?false)/, "$name: done";
	my $state = everything();
	is sent($again, $idempotency), $first, "$name: sent again, it is answered as at first";
	like sent($another, $idempotency), qr/^422 /, "$name: another content under the key is refused";
	is everything(), $state, "$name: and nothing more is done";
	my @answers = sent_twice($twice, "twice-$n");
	like $answers[0], qr/^2\d\d /, "$name: two at once";
	is $answers[1], $answers[0], "$name: have one answer";
	$state = everything();
	is sent($twice, "twice-$n"), $answers[0], "$name: so has a third";
	is everything(), $state, "$name: which finds it done";
}
is sql("SELECT count(*) FROM loyalty.policies WHERE merchant_id = $merchant"), '2', 'two policies were sold';
is sql("SELECT string_agg(amount::text, ' ' ORDER BY paid_at) FROM loyalty.payments WHERE merchant_id = $merchant"), '10 12', 'two payments booked';

# --- the server goes away while it is done ----------------------------------------------

my $blocker = $stack->connect_async;
for my $try (['new_service', service('Auto'), "FROM loyalty_internal.customer WHERE merchant_id = $merchant", qr/^201 /], ['deposit', seller_request('deposit', [{%item, amount => 7}]), "FROM loyalty_internal.account WHERE merchant_id = $merchant", qr/^200 .*success/])
{
	my ($name, $request, $rows, $done) = @$try;
	my $state = everything();
	$blocker->query("BEGIN; SELECT count(*) FROM (SELECT $rows FOR UPDATE) s");
	my $socket = ask($request, "cut-$name");
	my $pid = $stack->wait_until(sub { has_answered($socket) ? 'none' : sql("SELECT pid FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event_type = 'Lock'") });
	sql("SELECT pg_terminate_backend($pid)") if $pid ne 'none';
	unlike answer_of($socket), $done, "$name: cut off";
	$blocker->query('ROLLBACK');
	is everything(), $state, "$name: nothing is done";
	my $first;
	# PostgREST may have more than one connection that has ended.
	$stack->wait_until(sub { ($first = sent($request, "cut-$name")) !~ /^5/ });
	like $first, $done, "$name: sent again, it is";
	$state = everything();
	is sent($request, "cut-$name"), $first, "$name: and again, it is answered so";
	is everything(), $state, "$name: and was done once";
}
$blocker->close;

# --- the customer API: who may see an answer again ------------------------------------

like sent(service('Vida')), qr/^412 /, 'without a key a service that the customer has is refused';
like sent(service('Vida'), 'other'), qr/^412 /, 'with another key too';
is sql("SELECT count(*) FROM loyalty_internal.idempotency_key WHERE key_digest = loyalty_internal.merchant_digest(merchant_id, 'Banco other')"), '0', 'which stays free';
like sent(service('Auto', 601), 'key-10'), qr/^418 /, 'an old token gets no answer again';
my $with_other = customer_request('/api/Accounts_V1', $eva, 0, %service, producto => 'Vida');
like sent($with_other, 'key-10'), qr/^422 /, 'another customer is another content';
is sent([$with_other->[0], {%{$with_other->[1]}, Authorization => 'Bearer ' . 'f' x 64}, $with_other->[2]], 'key-10') =~ s/ .*//sr, '401', 'and without a token nobody is told so';
my $status = customer_request('/api/Payments_V1', $carlos, 0, tipo_peticion => 'account_status');
my $balance = sent($status, 'status');
like $balance, qr/^200 .*"saldo" ?: ?\d/, 'what only reads takes no notice of a key';
like sent(payment(20), 'key-20'), qr/^201 /, 'after a payment';
isnt sent($status, 'status'), $balance, 'it reads anew';
like sent(service('Auto'), 'a b'), qr/^400 /, 'a key that is none is refused';
my $accesses = sql("SELECT count(*) FROM loyalty.access_log WHERE operation = 'new_service' AND status = 201");
is $accesses, '7', 'an answer that is given again is an access, too';

# --- whose keys they are ----------------------------------------------------------------

sub kept { return sql("SELECT string_agg(n, ' ' ORDER BY n) FROM (SELECT coalesce(app_user, 'merchant') || ' ' || count(*) AS n FROM loyalty_internal.idempotency_key WHERE merchant_id = $merchant GROUP BY app_user) k") }
my %sale = (wallet_key => $wallet, phone => '5512340001', transaction_type => 0, transaction_amount => 10, usertool_id => $staff);
my $sale = form_request('/wallet/sale', %sale);
like sent(payment('0.01'), 'caja-1/4'), qr/^201 /, 'an app user books a payment under the key of a till that counts';
my $sold = sent($sale, 'caja-1/4');
like $sold, qr/^200 /, 'whose sale is made all the same';
is sent($sale, 'caja-1/4'), $sold, 'once';
like sent(form_request('/wallet/sale', %sale, transaction_amount => 11), 'caja-1/4'), qr/^422 /, 'and the key is that of this sale';
like sent($sale, 'caja-1/5'), qr/^200 /, 'another sale';
like sent(payment('0.02'), "caja-1/$_"), qr/^201 /, 'whether a till has sold, an app user does not learn by its key' for 5 .. 6;
like sent(payment('0.03'), 'caja-1/5'), qr/^422 /, 'which is its own from then on';
my $agent = payment('0.03', 0, nombre_de_usuario => 'Agente');
like sent($agent, 'caja-1/5'), qr/^201 /, 'and not of another app user';
is sent(payment('0.03', 100, nombre_de_usuario => 'Agente'), 'caja-1/5'), sent($agent, 'caja-1/5'), 'who gets the answer again';

my ($before, $payment) = (kept(), sent(payment('0.02')));
is sent(payment('0.02'), "again-$_"), $payment, 'a payment that was made before is answered as at first, under whatever key' for 1 .. 3;
is kept(), $before, 'and keeps none';
like sent(payment('0.04'), 'again-1'), qr/^201 /, 'so that the key is free';
like sent(payment('0.05'), 'again-1'), qr/^422 /, 'until it is used';

my $FULL = 'INSERT INTO loyalty_internal.idempotency_space VALUES (%1$s, %2$s, 99, 1048576, clock_timestamp()) ON CONFLICT (merchant_id, app_user, stripe) DO UPDATE SET kilobytes = excluded.kilobytes';
sql(sprintf $FULL, $merchant, "'Banco'");
like sent(payment('0.05'), 'full-1'), qr/^429 /, 'when the space of an app user is full it has no more keys';
like sent(payment('0.05')), qr/^201 /, 'without one it goes on';
like sent($agent, 'caja-1/5'), qr/^201 /, 'the other one has its own';
like sent(payment('0.06', 0, nombre_de_usuario => 'Agente'), 'full-1'), qr/^201 /, 'where there is space';
like sent($sale, 'full-1'), qr/^200 /, 'and so have the tills';
# counted, if no session has had to: within the hour it is not done again
sql("SELECT loyalty.forget_idempotency_keys($merchant); DELETE FROM loyalty_internal.idempotency_space WHERE app_user = 'Banco'; " . sprintf $FULL, $merchant, "''");
my $tries = 1;
# sessions have taken some in advance
$tries++ until $tries > 2000 || sent($sale, "full-$tries") =~ /^429 /;
cmp_ok $tries, '<', 2000, 'when theirs is full they have no more keys';
like sent(payment('0.07'), 'full-1'), qr/^201 /, 'app users go on';
sql("DELETE FROM loyalty_internal.idempotency_space WHERE merchant_id = $merchant AND stripe = 99; SELECT loyalty.forget_idempotency_keys($merchant)");
sql("SELECT loyalty_internal.recount_idempotency_keys($merchant)");
is sql("SELECT string_agg(n, ' ' ORDER BY n) FROM (SELECT coalesce(nullif(app_user, ''), 'merchant') || ' ' || kilobytes AS n FROM loyalty_internal.idempotency_space WHERE merchant_id = $merchant) s"),
	sql("SELECT string_agg(n, ' ' ORDER BY n) FROM (SELECT coalesce(app_user, 'merchant') || ' ' || sum(1 + coalesce(octet_length(answer), 0) / 1024) AS n FROM loyalty_internal.idempotency_key WHERE merchant_id = $merchant GROUP BY app_user) k"), 'what there is of whom is counted, and long answers by the kilobyte';

# --- who is nobody any more -------------------------------------------------------------

# What was booked is known by its key, or by its reference, whoever the customer is since.
my ($number) = sent(payment(10), 'key-11') =~ /"poliza" : "(P\w+)"/;
my @repeats = (['a service, by its key', service('Vida'), 'key-10'], ['a payment, by its key', payment(10), 'key-11'], ['a payment, by its reference', payment(10)],
	['a payment, by its reference and policy', payment(10, 0, poliza_en_uso => $number)], ['a payment by another app user, by its reference', payment('0.03', 0, nombre_de_usuario => 'Agente')]);
my @unknown = (['another amount under the reference', 412, payment(10, 0, cantidad => 11)], ['another method', 412, payment(10, 0, metodo => 'efectivo')], ['another policy', 404, payment(10, 0, poliza_en_uso => 'P0')],
	['a new reference', 404, payment(9)], ['a new reference and the policy', 404, payment(9, 0, poliza_en_uso => $number)], ['no reference', 404, payment(10, 0, referencia => undef)],
	['the reference of another app user', 404, payment(10, 0, nombre_de_usuario => 'Agente')], ['a new service', 417, service('Hogar')]);
my @first = map { sent(@$_[1, 2]) } @repeats;
like $first[$_], qr/^201 .*"poliza" : "P.*Persona Gil|^201 .*Persona Gil.*"poliza" : "P/, "$repeats[$_][0]: tells of the customer" for 0 .. $#repeats;
# The name is that of now, but for who repeats by a key.
sql("SELECT loyalty.correct_member($merchant, member_id, first_name => 'Persona', first_last_name => 'Gil', second_last_name => 'Luna') FROM loyalty.customers WHERE merchant_id = $merchant AND curp::text = '$carlos'");
is sent(payment(10)), $first[2] =~ s/Persona Gil/Persona Gil Luna/r, 'by its reference, a payment has the name that the customer has by now';
is sent(payment(10), 'key-11'), $first[1], 'by its key, that of then';
is sql("SELECT count(*) > 1 FROM loyalty_internal.idempotency_key WHERE answer ~ '$carlos'"), 't', 'the answers are kept';
# Who has no consent is told what the request says, and no more, as long as nobody forgets it.
my %new = (nombre_de_usuario => 'Nuevo');
my @untold = ([service('Viaje', 0, %new, nombre => 'Carlos'), 'new-1'], [payment('0.5', 0, %new, poliza_en_uso => $number), 'new-2'], [payment('0.5', 0, %new, poliza_en_uso => $number)],
	[payment('0.6', 0, %new, poliza_en_uso => $number, metodo => undef), 'new-3'], [customer_request('/api/Payments_V1', lc $carlos, 0, tipo_peticion => 'pagos_psd2', cantidad => 0.7, referencia => 'R0.7', %new, poliza_en_uso => $number), 'new-4']);
sub content { my ($status, $body) = split / /, shift, 2; return [$status, JSON::PP->new->utf8->decode($body)] }
my @first_untold = map { content(sent(@$_)) } @untold;
is_deeply [map { $_->[0] } @first_untold], [(201) x @untold], 'an app user without consent sells and takes payments';
is_deeply [@{$first_untold[1][1]{data}}{qw(curp referencia metodo cantidad cliente)}], [$carlos, 'R0.5', 'SPEI', 0.5, ''], 'and is told what the request says';

sub told { my ($status, $body) = split / /, shift, 2; my $answer = JSON::PP->new->utf8->decode($body); return ($status, $answer->{mensaje}, join ' ', sort keys %$answer, keys %{$answer->{datos_compra} // $answer->{data}}) }
sub says_itself { my ($status, $answer) = @{content(shift)}; my $told = $answer->{datos_compra} // $answer->{data}; return [$answer->{curp_en_uso}, @$told{qw(CURP mail curp referencia cantidad metodo)}] }
sub nobody
{
	my $when = shift;
	my $state = everything();
	for my $i (0 .. $#repeats)
	{
		my $again = sent(@{$repeats[$i]}[1, 2]);
		is_deeply [told($again)], [told($first[$i])], "$repeats[$i][0]: the first answer, $when";
		unlike $again, qr/Persona/, 'which says nothing of the customer';
		is_deeply says_itself($again), says_itself($first[$i]), 'but what the request says itself';
	}
	is_deeply content(sent(@{$untold[$_]})), $first_untold[$_], "an app user without consent has the first answer, $when: $_" for 0 .. $#untold;
	like sent($_->[2]), qr/^$_->[1] /, "$_->[0]: $_->[1], $when" for @unknown;
	is everything(), $state, 'nothing is done';
	is sql("SELECT count(*) FROM loyalty_internal.idempotency_key WHERE answer ~ 'Persona|x\@correo'"), '0', 'and no answer is kept that says something';
}
sql("SELECT loyalty.block_customer($merchant, '$carlos')");
nobody('once the customer is blocked');
sql("SELECT loyalty.delete_blocked_customers($merchant, '0')");
nobody('once the customer is erased');
is sql("SELECT count(*) FROM loyalty_internal.idempotency_key WHERE answer ~ '$carlos'"), '0', 'nor a CURP';
like sent($with_other, 'key-10'), qr/^422 /, 'the key is that of the first request';
like sent([$status->[0], $status->[1], $status->[2] =~ s/account_status/pagos_psd2/r]), qr/^400 /, 'a payment of nobody still has its fields looked at';
sql("SELECT loyalty.create_customer($merchant, (SELECT program_id FROM loyalty.programs WHERE merchant_id = $merchant AND client_id = 'P'), '$carlos', 'Persona', 'Gil')");
is_deeply [told(sent(@{$repeats[$_]}[1, 2]))], [told($first[$_])], "$repeats[$_][0]: who comes back does not change it" for 0 .. $#repeats;

# --- who has no consent but that of the order, or none ----------------------------------

my @socio = (nombre_de_usuario => 'Socio');
my @of_eva = (%service, mail => 'eva@correo.example', telefono => '5512345679', @socio);
my $order = customer_request('/api/Accounts_V1', $eva, 0, @of_eva, producto => 'Vida', nombre => 'Eva', paterno => 'Rey "A"');
my $ordered = sent($order, 'order');
like $ordered, qr/^201 .*Rey \\"A\\"/, 'an app user that has no consent sells a service, and is told the name that it said';
is sent($order, 'order'), $ordered, 'and again, byte for byte';
my ($sold_to_eva) = $ordered =~ /"poliza" : "(P\w+)"/;
my %paid;
for my $user (qw(Socio Ajeno))
{
	my $pays = customer_request('/api/Payments_V1', $eva, 0, tipo_peticion => 'pagos_psd2', cantidad => 10, metodo => 'SPEI', referencia => 'E1', poliza_en_uso => $sold_to_eva, nombre_de_usuario => $user);
	$paid{$user} = [$pays, sent($pays, 'paid')];
	like $paid{$user}[1], $user eq 'Socio' ? qr/^201 .*"saldo" ?: ?9\d\b/ : qr/^201 .*"saldo" ?: ?0\b/, "$user pays";
	is sent($pays, 'paid'), $paid{$user}[1], 'and by the key gets the same bytes';
	is sent($pays), $paid{$user}[1], 'so it does by the reference';
}

# --- who has died -------------------------------------------------------------------------

sql("SELECT loyalty.set_customer_deceased($merchant, '$eva')");
my $without_death = everything();
is sent($order, 'order'), $ordered, 'an order is answered again once its customer has died';
is sent($paid{$_}[0], 'paid'), $paid{$_}[1], "so is a payment of $_" for sort keys %paid;
my @dead = (customer_request('/api/Accounts_V1', $eva, 0, @of_eva, producto => 'Hogar'), customer_request('/api/Accounts_V1', $eva, 0, @of_eva, producto => 'Hogar', terminos => 'no'),
	customer_request('/api/Accounts_V1', substr($eva, 0, 17) . (substr($eva, 17) + 1) % 10, 0, @of_eva, producto => 'Hogar'));
like sent($dead[0], 'dead'), qr/^417 /, 'another order is refused';
like sent($dead[0], 'order'), qr/^422 /, 'after the key was looked at';
like sent($dead[1], 'order'), qr/^409 /, 'and before that what must be accepted';
like sent($dead[2], 'order'), qr/^417 /, 'and the form of the CURP';
is everything(), $without_death, 'and nothing is done';

# --- every byte counts ------------------------------------------------------------------

my $body = JSON::PP->new->utf8->canonical->encode([\%item]);
my $first = sent(seller_request('deposit', $body), 'bytes');
like $first, qr/^200 .*success/, 'a deposit';
like sent(seller_request('deposit', "$body\0"), 'bytes'), qr/^422 /, 'with a NUL after it is another';
like sent(seller_request('deposit', "$body "), 'bytes'), qr/^422 /, 'so is one with a blank';
is sent(seller_request('deposit', $body), 'bytes'), $first, 'and the first is the first';
my ($one, $two) = map { $body =~ s/"comments":"c"/"comments":"c\\u0000$_"/r } 1, 2;
$first = sent(seller_request('deposit', $one), 'escaped');
like $first, qr/^200 .*"status":"error"/, 'an item with an escaped NUL is refused';
like sent(seller_request('deposit', $two), 'escaped'), qr/^422 /, 'and one that differs only after it is another';
$first = sent(seller_request('program/P/member', qq({"email":"n\@x.mx","firstName":"A","firstLastName":"B"})), 'member');
like $first, qr/^201 /, 'a member';
like sent(seller_request('program/P/member', qq({"email":"n\@x.mx","firstName":"A","firstLastName":"B","phone":"\\u0000"})), 'member'), qr/^4\d\d /, 'a NUL in a field is not as good as none';

# --- two keys ------------------------------------------------------------------------------

# As nginx joins them since 1.23, they are no key; before, it hands on the first.
my $joins = `nginx -v 2>&1` =~ m{nginx/1\.(\d+)} ? $1 >= 23 : 0;
my @deposit = @{seller_request('deposit', [\%item])};
like answer_of(ask(\@deposit, "two-1\r\nIdempotency-Key: two-2")), $joins ? qr/^400 / : qr/^200 /, 'two keys are ' . ($joins ? 'refused' : 'the first');
is sql("SELECT string_agg(k, ' ') FROM loyalty_internal.idempotency_key, (VALUES ('two-1'), ('two-2')) v (k) WHERE key_digest = loyalty_internal.merchant_digest(merchant_id, k)"), $joins ? '' : 'two-1', 'and never the second';
like sent(\@deposit, 'two-1,two-2'), qr/^200 /, 'one with a comma is one';
like sent(\@deposit, 'two-1, two-2'), qr/^400 /, 'unless a blank follows, as where they are joined';

is sql('SELECT count(*) FROM loyalty.verify()'), '0', 'the ledger is sound';
$stack->stop;
done_testing;

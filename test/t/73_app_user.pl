# 73_app_user.pl - what an app user may call, and its keys while one takes the
# place of another, over HTTP.  What the SQL functions do by themselves is in
# tap_consent.sql.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use Encode qw(decode);
use FindBin;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', rate => '100000r/s', clock => 1, isolation => 'read committed');
$stack->noon;
sub now () { return int($stack->clock_us / 1_000_000) }
sub sql { return $stack->psql(@_) }

my $curp = 'CAMC880526HMCBNR04';
my $merchant = sql(q{SELECT loyalty.create_merchant('Uno') AS m \gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Clientes') \gset
	SELECT loyalty.create_product(:m, 'Vida', '1000', 50) \g /dev/null
	SELECT :m});
my %key = map { $_ => sql("SELECT loyalty.create_app_user($merchant, '$_')") } qw(Banco Tienda);
sql(qq{SELECT loyalty.create_customer($merchant, program_id, '$curp', 'Ana', 'Gil') FROM loyalty.programs WHERE merchant_id = $merchant \\g /dev/null
	SELECT loyalty.grant_consent($merchant, '$curp', 'Banco', 'crédito', '1') \\g /dev/null
	SELECT loyalty.open_policy($merchant, '$curp', 'Vida', 1) \\g /dev/null});
my $policy = sql("SELECT policy_number FROM loyalty.policies WHERE merchant_id = $merchant");

# --- requests ------------------------------------------------------------------

my %message = (
	401 => 'La comunicacion entre el cliente y el servidor fue corrupta, los datos fueron modificadas.',
	403 => 'El usuario no tiene permiso para utilizar esta API',
	404 => 'Petición desconocida, Solo se admiten las claves de funciones de la Documentation.',
	418 => 'Has excedido el tiempo de operacion para este TOKEN');

sub refused
{
	my ($answer, $status, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is "$answer->{status} " . decode('UTF-8', $answer->{body}), qq($status {"ok":false,"status":$status,"error":"$message{$status}","mensaje":"$message{$status}"}), $name;
	return like $answer->{headers}{'content-type'}, qr{^application/json}, 'as JSON';
}

sub post { my ($path, $body, %headers) = @_; return $stack->http_json('POST', $path, {'Content-Type' => 'application/json', %headers}, JSON::PP->new->utf8->encode($body)) }

# What a key of one's own has signed; a token may be of another moment, key, or be given.
sub signature { my %as = (key => $key{Banco}, curp => $curp, @_); return hmac_sha256_hex($as{signed} // $as{curp}, $as{key}) }
sub take_token { my %as = (user => 'Banco', curp => $curp, @_); return post('/api/Token_Full', {tipo_peticion => 'token_full', nombre_de_usuario => $as{user}, curp_en_uso => $as{curp}, firma_KEY => signature(%as)}) }
sub ask
{
	my ($api, $fields, %as) = @_;
	%as = (user => 'Banco', curp => $curp, timestamp => now, %as);
	my $token = $as{token} // {token => hmac_sha256_hex(qq({"timestamp":$as{timestamp},"expires_in":600}), signature(%as)), token_data => {timestamp => $as{timestamp}, expires_in => 600}};
	return post("/api/${api}_V1", {nombre_de_usuario => $as{user}, curp_en_uso => $as{curp}, token_data => $token->{token_data}, %$fields}, Authorization => "Bearer $token->{token}", %{$as{headers} // {}});
}

# A request of each API that is answered, but for an order, which is for the second time.
my %request = (
	Customer => [202, {tipo_peticion => 'individual_request', request => 'Nombre'}],
	Accounts => [412, {tipo_peticion => 'new_service', mail => 'ana@correo.example', telefono => '5512345678', producto => 'Vida', numero_pagos => 1, map { $_ => JSON::PP::true } qw(terminos aviso fideicomiso)}],
	Payments => [200, {tipo_peticion => 'account_status', poliza_en_uso => $policy}]);
sub asks { my ($api, %as) = @_; return ask($api, $request{$api}[1], %as) }
sub outcomes { my %as = @_; return join ' ', map { "$_ " . asks($_, %as)->{status} } qw(Customer Accounts Payments) }
sub revoke { return sql("SELECT loyalty.revoke_app_user_api($merchant, 'Banco', '\U$_[0]')") }
sub grant { my ($api, $until) = @_; return sql("SELECT loyalty.grant_app_user_api($merchant, 'Banco', '\U$api'" . ($until ? ", $until" : '') . ')') }
sub logged { return sql("SELECT app_user, operation, request, status FROM loyalty.access_log WHERE merchant_id = $merchant ORDER BY last_at DESC LIMIT 1") }
sub new_log { return sql('UPDATE loyalty_internal.access SET minute = NULL') }	# of a minute before: the next refusal has a row of its own

# --- grants -----------------------------------------------------------------------

my $all = 'Customer 202 Accounts 412 Payments 200';
is outcomes(), $all, 'a new app user may call all';

for my $api (sort keys %request)
{
	is revoke($api), 't', "$api is revoked";
	is outcomes(), $all =~ s/$api \d+/$api 403/r, 'which is refused from the next request on, and nothing else';
	new_log();
	refused(asks($api), 403, "$api without a grant");
	is logged(), join('|', 'Banco', $request{$api}[1]{tipo_peticion}, $request{$api}[1]{request} // '', 403), 'is logged';
	my $told = sql('SELECT count(*) FROM loyalty.access_log WHERE status = 200');
	my $token = take_token();
	is "$token->{status} $token->{json}{nombre}", $api eq 'Customer' ? '200 ' : '200 Ana Gil', 'a token is given to who may call another, with the name for who may read it';
	is sql('SELECT count(*) FROM loyalty.access_log WHERE status = 200') - $told, $api eq 'Customer' ? 0 : 1, 'which is logged';
	is sql("SELECT loyalty.customer_token('Banco', '$curp', '" . hmac_sha256_hex($curp, $key{Banco}) . "') ->> 'nombre'"), $token->{json}{nombre}, 'in SQL too';
	refused(asks($api, key => 'f' x 64), 401, 'who has not signed is not told');
	refused(asks($api, timestamp => now - 700), 418, 'nor who is too late');
	refused(ask($api, {%{$request{$api}[1]}, tipo_peticion => 'nada'}), 403, 'nor what else is wrong');
	is asks($api, user => 'Tienda', key => $key{Tienda})->{status}, {Customer => 409, Accounts => 412, Payments => 409}->{$api}, 'others may call it';
	grant($api);
	is outcomes(), $all, 'and it is granted again';
}
{
	revoke('Payments');
	my $token = take_token()->{json};
	refused(post('/api/Payments_V1', {nombre_de_usuario => 'Banco', token_data => $token->{token_data}, %{$request{Payments}[1]}}, Authorization => "Bearer $token->{token}"), 403, 'a payment that names no CURP');
	grant('Payments');
}

# A customer's name is told to who may call Customer only, by whichever API, under a consent for all data too.
{
	my ($buyer) = grep { !$stack->psql_error("SELECT '$_'::loyalty.curp") } map { "PEPJ901010HDFRRN0$_" } 0 .. 9;
	sql(qq{SELECT loyalty.create_product($merchant, 'Auto', '1000', 50) \\g /dev/null
		SELECT loyalty.create_customer($merchant, program_id, '$buyer', 'Juan', 'Real') FROM loyalty.programs WHERE merchant_id = $merchant \\g /dev/null
		SELECT loyalty.grant_consent($merchant, '$buyer', 'Banco', 'crédito', '1') \\g /dev/null});
	my @who = (curp => $buyer);
	my $order = sub { ask('Accounts', {%{$request{Accounts}[1]}, mail => 'juan@correo.example', telefono => '5512345679', producto => 'Auto', nombre => 'Dicho', paterno => 'Antes'}, @who, headers => {'Idempotency-Key' => 'orden'}) };
	my $pay = sub { my $key = shift; ask('Payments', {tipo_peticion => 'pagos_psd2', cantidad => 10, referencia => $key}, @who, headers => {'Idempotency-Key' => $key}) };
	my $status = sub { ask('Payments', {tipo_peticion => 'account_status'}, @who) };
	my $name = sub { my $answer = shift; return join ' ', $answer->{status}, ($answer->{json}{datos_compra} // {})->{nombre} // ($answer->{json}{data} // {})->{cliente} // '' };
	revoke('Customer');
	is $name->($order->()), '201 Dicho Antes', 'without Customer an order tells the name that it came with';
	is $name->($status->()), '200 Dicho Antes', 'and account_status';
	is $name->($pay->('uno')), '201 Dicho Antes', 'and a payment';
	grant('Customer');
	is $name->($status->()), '200 Juan Real', 'with it the name is told';
	is $name->($pay->('dos')), '201 Juan Real', 'by a payment';
	is $name->($pay->('uno')), '201 Dicho Antes', 'while a kept answer tells what it told';
	my $elsewhere = sub { ask('Accounts', {%{$request{Accounts}[1]}, mail => 'juan@correo.example', telefono => '5512345679', producto => 'Casa', nombre => 'Dicho', paterno => 'Antes'}, @who, headers => {'Idempotency-Key' => 'casa'}) };
	sql("SELECT loyalty.create_product($merchant, 'Casa', '1000', 50)");
	is $name->($elsewhere->()), '201 Juan Real', 'and by an order';
	revoke('Customer');
	is $name->($elsewhere->()), '201 Dicho Antes', 'without it again the kept answer of an order has the name that came';
	is $name->($pay->('dos')), '201 Dicho Antes', 'and that of a payment';
	my $kept = $pay->('dos')->{json}{data};
	is "$kept->{saldo} $kept->{producto} $kept->{curp}", "980 Auto $buyer", 'and all else';
	sql("UPDATE loyalty_internal.policy SET sold_by = 'Otro' WHERE sold_by = 'Banco' AND merchant_id = $merchant");
	is $name->($_->()), '20' . ($_ == $status ? 0 : 1) . ' ', 'a name that came with an order of another is not told' for $status, sub { $pay->('dos') }, sub { $pay->('tres') };
	grant('Customer');
	is $name->($status->()), '200 Juan Real', 'but to who may read it';
	revoke('Customer');
	sql("UPDATE loyalty_internal.policy SET sold_by = 'Banco' WHERE sold_by = 'Otro' AND merchant_id = $merchant");
	grant('Customer');
	is $name->($elsewhere->()), '201 Juan Real', 'which are told again with it';
	is $name->($pay->('dos')), '201 Juan Real', 'both';
}

revoke($_) for keys %request;
new_log();
refused(take_token(), 403, 'who may call none gets no token');
is logged(), 'Banco|token_full||403', 'which is logged';
refused(take_token(key => 'f' x 64), 401, 'who has not signed is not told');
refused(take_token(user => 'Nadie'), 401, 'an unknown app user is 401');
sql("SELECT loyalty.disable_app_user($merchant, 'Banco')");
refused(take_token(), 401, 'and a disabled one');
refused(asks('Customer'), 401, 'with a token too');
sql("SELECT loyalty.enable_app_user($merchant, 'Banco')");

grant('Payments', "clock_timestamp() + interval '1 hour'");
is outcomes(), 'Customer 403 Accounts 403 Payments 200', 'a grant with an end';
is take_token()->{status}, 200, 'with which a token is given';
$stack->advance_clock(3590);
is asks('Payments')->{status}, 200, 'is good until then';
$stack->advance_clock(10);
refused(asks('Payments'), 403, 'and over then, though nothing ran');
refused(take_token(), 403, 'the token too');
is sql("SELECT string_agg(api || ' ' || active, ', ' ORDER BY api) FROM loyalty.app_user_grants WHERE app_user = 'Banco' AND expires_at <= clock_timestamp()"), 'ACCOUNTS false, CUSTOMER false, PAYMENTS false', 'the view says so';
grant($_) for keys %request;

# --- one person, however the CURP is written -----------------------------------------------

for my $spelled (lc $curp, " $curp ", "\t\L$curp ")
{
	my $shown = $spelled =~ s/\t/\\t/r;
	is outcomes(curp => $spelled), $all, "\"$shown\": what is signed as it was sent is of the same customer";
	refused(asks('Customer', curp => $spelled, signed => $curp), 401, 'and what is signed in another form is refused');
	is take_token(curp => $spelled)->{json}{nombre}, 'Ana Gil', 'a token too';
}
is asks('Payments', curp => lc $curp)->{json}{data}{curp}, $curp, 'what is told has the normal form';
new_log();
my $nobody = 'REAE060617MMCYLVA4';
asks('Customer', curp => $_) for $nobody, lc $nobody, " $nobody ";
is sql("SELECT times FROM loyalty.access_log WHERE merchant_id = $merchant AND status = 409 AND last_at > clock_timestamp() - interval '1 minute' ORDER BY access_id DESC LIMIT 1"), 3, 'and refusals are counted as of one person';

# --- keys --------------------------------------------------------------------------

my $old = $key{Banco};
my $of_old = take_token()->{json};
my $new = $key{Banco} = sql("SELECT loyalty.rotate_private_key($merchant, 'Banco', '2 hours')");
is outcomes(key => $_), $all, 'both keys are good' for $old, $new;
is take_token(key => $_)->{status}, 200, 'for tokens too' for $old, $new;
is outcomes(token => $of_old), $all, 'and a token of before';

# Whoever lost the answer gets another key, and takes nothing from who has the first.
my $again = sql("SELECT loyalty.rotate_private_key($merchant, 'Banco', '3 hours')");
is outcomes(key => $_), $all, 'all three are good' for $old, $new, $again;
$stack->advance_clock(7190);
my $late = take_token(key => $old)->{json};
is outcomes(token => $late), $all, 'the old one is until its time';
$stack->advance_clock(20);
refused(take_token(key => $old), 401, 'then it is refused');
refused(asks($_, key => $old), 401, "what is signed with it, $_") for sort keys %request;
refused(asks('Customer', token => $late), 401, 'and a token of then, which was good for longer');
is outcomes(key => $_), $all, 'the others are good' for $new, $again;
$stack->advance_clock(3600);
refused(asks('Customer', key => $new), 401, 'the second ends as it was said');
is outcomes(key => $again), $all, 'the last does not';

$key{Banco} = sql("SELECT loyalty.rotate_private_key($merchant, 'Banco', '0')");
refused(asks('Customer', key => $again), 401, 'without an overlap the old one is refused at once');
is outcomes(), $all, 'and the new one is good';
is asks('Customer', user => 'Tienda', key => $key{Tienda})->{status}, 409, 'others have theirs';
refused(asks('Customer', user => 'Tienda', key => $key{Banco}), 401, 'and nobody that of another');

# When a key was last used is written down once an hour, by whichever request; nobody waits for it.
sub used { return sql("SELECT to_char(last_used_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') = to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00:00') FROM loyalty.app_user_keys WHERE app_user = '$_[0]' AND active") }
is used('Banco'), 't', 'a key is used';
$stack->noon;
$stack->advance_clock(600);
is used('Banco'), 'f', 'not yet in this hour';
my $row = sub { return sql("SELECT ctid || ' ' || xmin FROM loyalty_internal.app_user_key k WHERE app_user = 'Banco' AND expires_at > clock_timestamp()") };
is asks('Customer', user => 'Tienda', key => $key{Tienda})->{status}, 409, 'a request that is refused';
is used('Tienda'), 't', 'uses the key';
is used('Banco'), 'f', 'of nobody else';
refused(asks('Customer', key => 'f' x 64), 401, 'what is signed with another');
is used('Banco'), 'f', 'uses none';
my $other = $stack->connect_async;	# not for ever, though somebody waited: 30 s, by a slow clock
$other->query("SET idle_in_transaction_session_timeout = '300ms'; BEGIN; SELECT FROM loyalty_internal.app_user_key WHERE app_user = 'Banco' FOR UPDATE");
is outcomes(), $all, 'who finds somebody else at it';
is used('Banco'), 'f', 'does not wait, and leaves it to the next';
$other->query('ROLLBACK');
$other->close;
is take_token(key => $key{Banco})->{status}, 200, 'a token';
is used('Banco'), 't', 'is one';
my $version = $row->();
outcomes() for 1 .. 5;
take_token() for 1 .. 5;
is $row->(), $version, 'and nobody writes any more in this hour';
$stack->advance_clock(3600);
is asks('Customer')->{status}, 202, 'but in the next';
is used('Banco'), 't', 'it is written';

# --- too many at the gateway ---------------------------------------------------------

my $lock = $stack->connect_async;
$lock->query('BEGIN; LOCK TABLE loyalty_internal.app_user');
my @waiting = map {
	my $socket = IO::Socket::INET->new(PeerAddr => $stack->url =~ s{^http://}{}r) or die "connect: $@\n";
	my $body = '{"tipo_peticion":"token_full","nombre_de_usuario":"Banco","curp_en_uso":"x","firma_KEY":"x"}';
	print $socket join "\r\n", 'POST /api/Token_Full HTTP/1.1', 'Host: localhost', 'Connection: close', 'Content-Type: application/json', 'Content-Length: ' . length $body, '', $body;
	$socket
} 1 .. 24;
$stack->wait_until(sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event_type = 'Lock'}) == 24 });
my $answer = take_token();
is_deeply $answer->{json}, {ok => JSON::PP::false, status => 429, error => 'too many requests, try again in a moment', mensaje => 'too many requests, try again in a moment', retry_after => 1}, 'one too many of an address is told when to try again';
is "$answer->{status} $answer->{headers}{'retry-after'}", '429 1', 'in the header too';
$lock->query('ROLLBACK');
is join(' ', map { <$_> =~ /^HTTP\S+ (\d+)/ } @waiting), join(' ', (401) x 24), 'the others are answered';
$lock->close;

is join('', $stack->lines_with_secrets), '', 'no key is in a log';

done_testing;

# Without consent nothing is told, and what is told leaves a trace.
#
# Who has no consent of a customer gets the same answer for them as for nobody, by
# the same work, wherever no document says otherwise.  Who has one leaves a line in
# the server's log, which ROLLBACK does not undo; and a consent counts from when it
# was written down, whatever it says of the past.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use Encode qw(encode);
use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s');

sub literal { my $text = shift; return q{'} . $text =~ s/'/''/gr . q{'} }

# A CURP of its first 17 characters.
sub curp
{
	my $start = shift;
	my $alphabet = '0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ';
	my $sum = 0;
	$sum += (18 - $_) * index $alphabet, substr $start, $_, 1 for 0 .. 16;
	return $start . (10 - $sum % 10) % 10;
}

# All are of one age: that is in the CURP, and may be told.
my %curp = map { $_->[0] => curp("GOPL900115HDF$_->[1]ZT0") } [nobody => 'B'], [stranger => 'C'], [blocked => 'D'], [elsewhere => 'F'], [known => 'G'], [dead => 'H'];
my ($merchant, $other, $program) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Uno') AS m, loyalty.create_merchant('Dos') AS o \gset
	SELECT program_id AS p FROM loyalty.create_wallet(:m, 'Clientes', 10) \gset
	SELECT concat_ws('|', :m, :o, :p)});
my $others = $stack->psql("SELECT program_id FROM loyalty.create_wallet($other, 'Clientes', 10)");
my $key = $stack->psql("SELECT loyalty.create_app_user($merchant, 'Banco')");
my $phone = 4771230000;
my %member;
for my $who (qw(stranger blocked known dead elsewhere))
{
	my @where = $who eq 'elsewhere' ? ($other, $others) : ($merchant, $program);
	$member{$who} = $stack->psql("SELECT loyalty.create_customer($where[0], $where[1], '$curp{$who}', 'Nombre', 'Apellido', phone => '" . $phone++ . "', email => '$who\@correo.example')");
}
$stack->psql(qq{
	SELECT loyalty.create_product($merchant, 'Vida', '1000', 50, max_payments => 12), loyalty.create_product($merchant, 'Niños', '10', 50, max_age => 10), loyalty.create_product($merchant, 'Agotado', '10', 0);
	SELECT loyalty.open_policy($merchant, curp, 'Vida', 12) FROM loyalty.customers WHERE merchant_id = $merchant;
	SELECT acceptance_key FROM loyalty.grant_consent($merchant, '$curp{known}', 'Banco', 'crédito', '1');
	SELECT loyalty.block_customer($merchant, '$curp{blocked}');
	UPDATE loyalty_internal.customer SET deceased = true WHERE merchant_id = $merchant AND member_id = $member{dead}});

# --- requests, as PostgREST hands them on, in a session of our own ------------------------

my $session = $stack->connect_async;
$session->query('SET client_min_messages = error');

# What the session has done with each table, but for the access log, which is the
# merchant's: scans, the rows that these brought, but for the one of the customer
# itself, and rows written.  Two of one transaction can be compared: the session
# forgets between transactions.
sub work
{
	return map { /^(\w+) (.*)$/ ? ($1 => [split / /, $2]) : () } split /\n/, $session->query(q{
		SELECT concat_ws(' ', relname, seq_scan, seq_tup_read, coalesce(idx_scan, 0), CASE WHEN relname <> 'customer' THEN coalesce(idx_tup_fetch, 0) ELSE 0 END, n_tup_ins, n_tup_upd, n_tup_del) FROM pg_stat_xact_user_tables WHERE relname <> 'access'});
}

# The answer without what the request said itself, and, if wanted, the work that it took.
sub ask
{
	my ($path, $curp, $body, $with_work, $idempotency, $end) = @_;
	my $now = time;
	my $signature = hmac_sha256_hex(encode('UTF-8', $curp), $key);
	my $token = hmac_sha256_hex(qq({"timestamp":$now,"expires_in":600}), $signature);
	my $text = sprintf '{%s,"nombre_de_usuario":"Banco","curp_en_uso":"%s",%s}', $body, $curp, $path =~ /Registro/ ? qq("firma_KEY":"$signature") : qq("token_data":{"timestamp":$now,"expires_in":600});
	my $headers = qq({"x-loyalty-uri":"$path","x-loyalty-method":"POST","x-loyalty-type":"application/json","x-loyalty-bearer":"$token") . (defined $idempotency ? qq(,"x-loyalty-idempotency-key":"$idempotency"}) : '}');
	$session->query('BEGIN');
	my %before = work();
	$session->query('SET LOCAL request.headers = ' . literal($headers));
	my $answer = $session->query('SELECT loyalty_api.gateway(convert_to(' . literal($text) . q{, 'UTF8')), current_setting('response.status', true)});
	my %after = work();
	$session->query($end // 'ROLLBACK');
	for my $table ($with_work ? sort keys %after : ())
	{
		my @done = map { $after{$table}[$_] - ($before{$table}[$_] // 0) } 0 .. 6;
		$answer .= " $table @done" if grep { $_ } @done;
	}
	return $answer =~ s/"token":"[0-9a-f]{64}"/"token":"…"/r =~ s/"timestamp":\d+/"timestamp":…/r =~ s/$curp/CURP/gr;
}

my $customer = '/api/Customer_V1';
my $accounts = '/api/Accounts_V1';
my $payments = '/api/Payments_V1';
my $service = q("tipo_peticion":"new_service","mail":"x@correo.example","telefono":"7221000002","numero_pagos":1,"dia_pago":1,"tipo_servicio":"x","direccion":{"calle":"x"});
my $accepted = '"terminos":true,"aviso":true,"fideicomiso":true';
my $payment = '"tipo_peticion":"pagos_psd2","metodo":"SPEI"';

# Prepared statements and caches are warm.
ask($_->[0], $curp{nobody}, $_->[1]), ask($_->[0], $curp{stranger}, $_->[1]) for ['/api/Registro_V1', '"tipo_peticion":"token_full"'], [$customer, '"tipo_peticion":"individual_request","request":"Mail"'],
	[$payments, "$payment,\"cantidad\":1,\"referencia\":\"x\""], [$accounts, "$service,$accepted,\"producto\":\"Vida\""];

subtest 'who has no consent cannot tell a customer from nobody' => sub {
	my $number = $stack->psql("SELECT policy_number FROM loyalty.policies WHERE merchant_id = $merchant AND member_id = $member{known}");
	my @same = (
		['a token', '/api/Registro_V1', '"tipo_peticion":"token_full"'],
		['a list of keys', $customer, '"tipo_peticion":"request","request":"individual_request"'],
		['the catalogue', $customer, '"tipo_peticion":"request_block","request":"catalogo_productos"'],
		['an unknown key', $customer, '"tipo_peticion":"individual_request","request":"x"'],
		['a product block without a product', $customer, '"tipo_peticion":"request_block","request":"producto_cliente"'],
		['an order without what must be accepted', $accounts, qq($service,"producto":"Vida")],
		['an order of no product', $accounts, qq($service,$accepted,"producto":"Nada")],
		['an order of a product for others', $accounts, qq($service,$accepted,"producto":"Niños")],
		['an order in too many payments', $accounts, qq($service,$accepted,"producto":"Vida") =~ s/"numero_pagos":1/"numero_pagos":99/r],
		['a payment without a reference', $payments, qq($payment,"cantidad":1)],
		['a payment of no policy', $payments, qq($payment,"cantidad":1,"referencia":"r","poliza_en_uso":"P0")],
		['a payment of too much, of no policy', $payments, qq($payment,"cantidad":99999999,"referencia":"r","poliza_en_uso":"P0")],
		['a payment of the policy of another', $payments, qq($payment,"cantidad":1,"referencia":"r","poliza_en_uso":"$number")],
		['a payment that names no policy', $payments, qq($payment,"cantidad":1,"referencia":"r")],
		['a payment of too much that names no policy', $payments, qq($payment,"cantidad":99999999,"referencia":"r")],
		['a payment under the reference of one', $payments, qq($payment,"cantidad":2,"referencia":"first")],
	);
	# under keys too: a new one, one that is none, and one that was used
	like ask($payments, $curp{known}, qq($payment,"cantidad":2,"referencia":"first"), 0, 'used', 'COMMIT'), qr/\|201$/, 'a payment under a key';
	for (['an order of no product', $accounts, qq($service,$accepted,"producto":"Nada"), 406], ['an order of what is sold out', $accounts, qq($service,$accepted,"producto":"Agotado"), 412],
		['an order of what is sold out, in too many payments', $accounts, qq($service,$accepted,"producto":"Agotado") =~ s/"numero_pagos":1/"numero_pagos":2/r, 400],
		['a payment without an amount', $payments, qq($payment,"referencia":"r"), 400],
		['a payment of no policy', $payments, qq($payment,"cantidad":1,"referencia":"r","poliza_en_uso":"P0"), 404], ['a payment that names no policy', $payments, qq($payment,"cantidad":1,"referencia":"r"), 404])
	{
		my ($name, $path, $body, $status) = @$_;
		push @same, [$name, $path, $body, undef, $status], ["$name, with a new key", $path, $body, 'new', $status], ["$name, with a key of 250 characters", $path, $body, 'k' x 250, 400], ["$name, with a key that was used", $path, $body, 'used', 422];
	}
	for my $case (@same)
	{
		my ($name, $path, $body, $idempotency, $status) = @$case;
		my $of_nobody = ask($path, $curp{nobody}, $body, 1, $idempotency);
		# whose death is known is told of with the token
		is ask($path, $curp{$_}, $body, 1, $idempotency), $of_nobody, "$name: $_" for grep { $_ ne 'dead' || $path !~ /Registro|Accounts/ } qw(stranger blocked dead elsewhere);
		like $of_nobody, qr/"status":$status,/, "$name: $status" if $status;
		note "$name: $of_nobody";
	}
	my $reading = '"tipo_peticion":"individual_request","request":"Mail"';
	is ask($customer, $curp{blocked}, $reading), ask($customer, $curp{stranger}, $reading), 'a datum: who is being cancelled is no other than who has not consented';
	is ask($payments, $curp{blocked}, '"tipo_peticion":"account_status"'), ask($payments, $curp{stranger}, '"tipo_peticion":"account_status"'), 'nor in how an account stands';
	is ask($accounts, $curp{blocked}, qq($service,$accepted,"producto":"Vida")), ask($accounts, $curp{nobody}, qq($service,$accepted,"producto":"Vida")), 'an order of one who is being cancelled is one of nobody';
	is ask($customer, $curp{elsewhere}, $reading), ask($customer, $curp{nobody}, $reading), q{a customer of another merchant is nobody};
	my $status = '"tipo_peticion":"account_status"';
	for my $asked ([$customer, $reading], [$customer, '"tipo_peticion":"request_block","request":"cliente"'], [$customer, '"tipo_peticion":"request_block","request":"producto_cliente","producto":"Vida"'],
		[$payments, $status], [$payments, qq($status,"poliza_en_uso":"P0")], [$payments, qq($status,"poliza_en_uso":"$number")])
	{
		is ask($asked->[0], $curp{nobody}, $asked->[1]), ask($asked->[0], $curp{stranger}, $asked->[1]), "nobody is no other than who has not consented: $asked->[1]";
	}
	# a consent is looked for also where there is nobody
	my ($nobody, $stranger) = map { ask($customer, $curp{$_}, $reading, 1) =~ s/.*\|\d+ //sr } qw(nobody stranger);
	like $stranger, qr/\bconsent 0 0 1\b.*\bcustomer 0 0 1\b/, "a datum: $stranger";
	is $nobody, $stranger, 'the same work for nobody';
	unlike $stranger, qr/\bmember\b/, 'which does not look at the data';
	like ask($customer, $curp{known}, $reading), qr/"data":"known\@correo\.example"/, 'who has the consent is told';
};

subtest 'a payment by who does not name the policy' => sub {
	like ask($payments, $curp{known}, qq($payment,"cantidad":1,"referencia":"r")), qr/"saldo" : 997/, 'with the consent of the customer: the newest';
	my $number = $stack->psql("SELECT policy_number FROM loyalty.policies WHERE merchant_id = $merchant AND member_id = $member{stranger}");
	like ask($payments, $curp{stranger}, qq($payment,"cantidad":1,"referencia":"r","poliza_en_uso":"$number")), qr/"poliza" : "$number",.*"saldo" : 0,/, 'without it: the one that is named, of which nothing is told';
};

# --- a cashier's key, and another merchant's -----------------------------------------------

subtest 'other keys' => sub {
	my ($wallet, $client) = split /\|/, $stack->psql("SELECT w.wallet_key, p.client_id FROM loyalty.wallets w JOIN loyalty.programs p USING (merchant_id, program_id) WHERE merchant_id = $other");
	my $theirs = $stack->psql("SELECT api_key FROM loyalty.create_api_key($other, 'x')");
	my %apikey = (apikey => $theirs);
	my ($id, $number) = split /\|/, $stack->psql("SELECT client_id, phone FROM loyalty.members WHERE member_id = $member{stranger}");
	my $same = sub {
		my ($name, $ask, @values) = @_;
		my ($of_one, $of_nobody) = map { my $answer = $ask->($_); "$answer->{status} $answer->{body}" =~ s/\Q$_\E/VALUE/gr } @values;
		return is $of_one, $of_nobody, $name;
	};
	my $get = sub { return $stack->http('GET', "/v1/seller/$theirs/program/$_[0]") };
	$same->('the phone of a member of another merchant', sub { $stack->form('/wallet/contact/get', {wallet_key => $wallet, phone => $_[0]}, \%apikey) }, $number, '4779999999');
	$same->('a sale to it', sub { $stack->form('/wallet/sale', {wallet_key => $wallet, phone => $_[0], transaction_type => 0, transaction_amount => 1, usertool_id => 1}, \%apikey) }, $number, '4779999999');
	$same->('its client id', sub { $get->("$client/member/$_[0]") }, $id, 'CM0000000000000');
	$same->('its balance', sub { $get->("$client/member/$_[0]/balance") }, $id, 'CM0000000000000');
	$same->('its e-mail', sub { $get->("$client/member?email=$_[0]") }, 'stranger@correo.example', 'nadie@correo.example');
	$same->('a deposit to it', sub { $stack->http('POST', "/v1/seller/$theirs/deposit", {'Content-Type' => 'application/json'}, qq([{"programId":"$client","memberId":"$_[0]","amount":1,"comments":"x"}])) }, $id, 'CM0000000000000');

	# To the keys of its own merchant a customer is a member as any other.
	my ($ours, $program_id) = split /\|/, $stack->psql("SELECT w.wallet_key, p.client_id FROM loyalty.wallets w JOIN loyalty.programs p USING (merchant_id, program_id) WHERE merchant_id = $merchant");
	my $our_key = $stack->psql("SELECT api_key FROM loyalty.create_api_key($merchant, 'x')");
	$stack->psql("SELECT loyalty.create_member($merchant, $program, 'Nombre Apellido', phone => '4775550001', email => 'miembro\@correo.example', birth_date => '1990-01-15')");
	my @keys = map { join ',', sort keys %{$_->{json}{result}} } map { $stack->form('/wallet/contact/get', {wallet_key => $ours, phone => $_}, {apikey => $our_key}) } $number, '4775550001';
	is $keys[0], $keys[1], 'a contact who is a customer has the keys of one who is none';
	my ($mine) = grep { $_->{email} eq 'stranger@correo.example' } @{$stack->http_json('GET', "/v1/seller/$our_key/program/$program_id/member")->{json}};
	unlike join(' ', %$mine), qr/$curp{stranger}/, 'and no CURP in the seller API';
};

# --- the trace -------------------------------------------------------------------------------

my $line = sub { my ($who, $what) = @_; return qr/LOG:  data of member $member{$who} of merchant $merchant told to app user "Banco": $what$/m };
sub read_sql { my ($who, $operation, $request) = @_; return "SELECT loyalty.customer_read($merchant, '$operation', 'Banco', '$curp{$who}', '$request')" }
sub traces { return scalar(() = $stack->server_log =~ /LOG:  data of member/g) }

subtest 'a reading that is rolled back' => sub {
	my $rows = $stack->psql('SELECT count(*) FROM loyalty.access_log');
	$stack->forget_log;
	my $told = $stack->psql('BEGIN; ' . read_sql('known', 'individual_request', 'Mail') . '; ROLLBACK');
	like $told, qr/known\@correo\.example/, 'it was told';
	is $stack->psql('SELECT count(*) FROM loyalty.access_log'), $rows, 'the access log has no row of it';
	like $stack->server_log, $line->('known', 'individual_request, Mail'), q{the server's log has a line};
	unlike $stack->server_log, qr/$curp{known}|known\@|Nombre|Apellido|STATEMENT|CONTEXT/, 'without the CURP, a name, the datum, or the statement';

	for my $undone ("BEGIN; SAVEPOINT s; %s; ROLLBACK TO s; COMMIT", "DO \$\$ BEGIN PERFORM (%s); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END \$\$", "BEGIN; %s; SELECT 1/0", "BEGIN; DECLARE c CURSOR FOR %s; FETCH c; ROLLBACK")
	{
		$stack->forget_log;
		$stack->try_psql(sprintf $undone, read_sql('known', 'request_block', 'cliente') =~ s/^SELECT/SELECT/r);
		is traces(), 1, $undone =~ s/%s/…/r;
	}
	$stack->forget_log;
	ok $stack->psql_error("BEGIN READ ONLY; " . read_sql('known', 'individual_request', 'Mail')), 'a transaction that only reads cannot log';
	is $stack->psql_error("BEGIN READ ONLY; " . read_sql('known', 'individual_request', 'Mail'))->{detail}, 'read_only', 'and is told nothing';
	$stack->psql(read_sql('known', 'request_block', 'catalogo_productos'));
	$stack->psql(read_sql('known', 'request', 'individual_request'));
	$stack->psql_error(read_sql('stranger', 'individual_request', 'Mail'));
	is traces(), 0, 'what tells nothing of a customer has no line, and neither has what is refused';
};

subtest 'over HTTP' => sub {
	my $rows = $stack->psql("SELECT count(*) FROM loyalty.access_log WHERE status IN (200, 202)");
	my $now = time;
	my $signature = hmac_sha256_hex($curp{known}, $key);
	my $token = hmac_sha256_hex(qq({"timestamp":$now,"expires_in":600}), $signature);
	my $body = qq("nombre_de_usuario":"Banco","curp_en_uso":"$curp{known}","token_data":{"timestamp":$now,"expires_in":600});
	my $post = sub { my ($path, $more) = @_; return $stack->http_json('POST', $path, {'Content-Type' => 'application/json', Authorization => "Bearer $token", Prefer => 'tx=rollback'}, "{$body,$more}") };
	$stack->forget_log;
	is $post->($customer, '"tipo_peticion":"individual_request","request":"Mail"')->{status}, 202, 'a datum';
	like $stack->server_log, $line->('known', 'individual_request, Mail'), 'has its line';
	is $post->($payments, '"tipo_peticion":"account_status"')->{status}, 200, 'how an account stands';
	like $stack->server_log, $line->('known', 'account_status'), 'has its line';
	is $stack->psql("SELECT count(*) FROM loyalty.access_log WHERE status IN (200, 202)"), $rows + 2, 'a client cannot have it rolled back';
	is traces(), 2, 'each has one';
	unlike join("\n", grep { /LOG:  data of/ } split /\n/, $stack->server_log), qr/$curp{known}|known\@|Nombre|Apellido/, 'without the CURP or a name';

	# whoever calls the function without PostgREST can
	$stack->forget_log;
	like ask($customer, $curp{known}, '"tipo_peticion":"individual_request","request":"Telefono"'), qr/"data":"477/, 'the gateway in a transaction that is rolled back';
	like $stack->server_log, $line->('known', 'individual_request, Telefono'), 'has its line';
};

# --- consents ----------------------------------------------------------------------------------

subtest 'a consent counts from when it was written down' => sub {
	my $before = $stack->psql('SELECT clock_timestamp()');
	$stack->psql("SELECT consent_id FROM loyalty.grant_consent($merchant, '$curp{stranger}', 'Banco', 'crédito', '1', valid_from => now() - interval '1 year')");
	is $stack->psql("SELECT valid, valid_from < recorded_at - interval '364 days', recorded_at BETWEEN '$before' AND clock_timestamp() FROM loyalty.consents WHERE member_id = $member{stranger}"), 't|t|t', 'one that is dated back shows when it was recorded';
	like $stack->psql(read_sql('stranger', 'individual_request', 'Mail')), qr/stranger\@/, 'from then on it is read under';
	is $stack->psql(qq{SELECT count(*) FROM loyalty.access_log l WHERE status IN (200, 202) AND member_id IS NOT NULL AND request NOT IN ('catalogo_productos') AND NOT EXISTS (SELECT FROM loyalty.consents c
		WHERE c.merchant_id = l.merchant_id AND c.member_id = l.member_id AND c.app_user = l.app_user AND greatest(c.valid_from, c.recorded_at) <= l.at AND (c.revoked_at IS NULL OR c.revoked_at > l.at))
		AND l.operation <> 'pagos_psd2'}), 0, 'each reading in the log has a consent that was recorded before';

	# the server's clock was ahead when it was written down, or is behind now
	$stack->psql("UPDATE loyalty_internal.consent SET recorded_at = clock_timestamp() + interval '1 hour' WHERE member_id = $member{stranger}");
	is $stack->psql_error(read_sql('stranger', 'individual_request', 'Mail'))->{sqlstate}, 'LK409', 'before it was recorded, by the clock, nothing is read';
	is $stack->psql("SELECT valid FROM loyalty.consents WHERE member_id = $member{stranger}"), 'f', 'as the view says';

	for my $forged ("INSERT INTO loyalty_internal.consent (merchant_id, member_id, app_user, purpose, notice_version, acceptance_hash, recorded_at) VALUES ($merchant, $member{stranger}, 'Banco', 'x', '1', sha256(''), '2020-01-01')",
		"UPDATE loyalty_internal.consent SET recorded_at = '2020-01-01'", "UPDATE loyalty_internal.consent SET valid_from = '2020-01-01'", "DELETE FROM loyalty_internal.consent")
	{
		is $stack->psql_error("SET ROLE loyalty_engine; $forged")->{sqlstate}, '42501', "what the functions run as cannot: $forged";
	}
	my @arguments = split /,/, $stack->psql(q{SELECT array_to_string(proargnames, ',') FROM pg_proc WHERE oid = 'loyalty.grant_consent'::regproc});
	is scalar(grep { $_ eq 'recorded_at' } @arguments), 0, 'and nobody is asked when it was';
};

$session->close;
done_testing;

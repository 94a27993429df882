# 57_plans.pl - what a call reads does not depend on what PostgreSQL knows of the
# tables: a session that planned its statements when all tables were empty reads,
# when they are full, as many blocks as one that plans them after ANALYZE, and
# more than at first only by the height of the indexes.
#
# Every statement of the library is met, or is in the list of those that are not
# on the way of a posting.  LOYALTY_PLANS_ROWS says how full the tables are.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use JSON::PP ();
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $rows = $ENV{LOYALTY_PLANS_ROWS} || 800;
my $stack = Loyalty->start(level => 'database');

# Nobody else analyzes; and what is known at first is that there is nothing.
$stack->psql("ALTER SYSTEM SET autovacuum = off");
$stack->psql('SELECT pg_reload_conf()');
$stack->psql('VACUUM ANALYZE');

# What fills the tables makes no schema: that would have every session plan anew, those of others too.
$stack->psql(q{
	CREATE SCHEMA test;
	CREATE FUNCTION test.curp(n bigint) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		alphabet CONSTANT text := '0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ';
		start text := 'GO' || chr(65 + (n / 20000 % 26)::integer) || 'L' || to_char(date '1940-01-01' + (n % 20000)::integer, 'YYMMDD') || 'HDFBCD0';
		total integer := 0;
	BEGIN
		FOR i IN 1 .. 17 LOOP
			total := total + (19 - i) * (strpos(alphabet, substr(start, i, 1)) - 1);
		END LOOP;
		RETURN start || (10 - total % 10) % 10;
	END $$});

# --- what a client has ---------------------------------------------------------

my $session = $stack->connect_async;
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }
$session->query('SET client_min_messages = warning; SET loyalty.enable_lookup = off');	# what is not executed is not measured

my $m = sql(q{SELECT loyalty.create_merchant('Planes')});
sql(qq{SELECT loyalty.set_area_code('55', true)});
sql(qq{SELECT loyalty.set_rank_ranges($m, 'niveles', '{Plata,Oro}', '{0,500}', '{1,1.5}')});
my ($p, $w) = split /\|/, sql(qq{SELECT program_id, wallet_key FROM loyalty.create_program($m, 'Simple', 'P')});
my ($q, $v) = split /\|/, sql(qq{SELECT program_id, wallet_key FROM loyalty.create_program($m, 'Todo', 'Q')});
sql(qq{SELECT loyalty.configure_program($m, $q, '{"range_group": "niveles", "rank_window_unit": "year", "rank_window_value": 1, "duration_value": 12, "duration_unit": "month"}')});
sql(qq{SELECT loyalty.publish_rules($m, $q, '[{"name": "uno", "points": 1, "max_day": 100000}, {"name": "café", "skus": ["cafe"], "points": 2}, {"name": "alta", "points": 1, "first_purchase": true}, {"name": "cumple", "points": 1, "birthday_days": 3}, {"name": "oro", "points": 1, "ranks": ["Oro"]}]')});
my $key = sql(qq{SELECT api_key FROM loyalty.create_api_key($m)});
my $eva = sql(qq{SELECT loyalty.employee_add($m, 'gerente', 'Eva', 'Centro', '5571000001', 'clave secreta 1')});
my $beto = sql(qq{SELECT loyalty.employee_add($m, 'cajero', 'Beto', 'Centro', '5571000002', 'clave secreta 2')});
sql(qq{SELECT loyalty.set_staff_programs($m, $beto, ARRAY[$p, $q]::bigint[])});
sql(qq{SELECT loyalty.set_quota($m, r, 1000000) FROM unnest('{redemptions,messages,customers}'::text[]) r});
sql(qq{SELECT loyalty.set_limit($m, $q, s, d, '1000000000', 1000000) FROM unnest('{program,key,branch,staff,member}'::text[]) s, unnest('{add,spend}'::text[]) d});
sql(qq{SELECT loyalty.blacklist_phone($m, '5599999999')});
sql(qq{SELECT loyalty.wallet_contact_add($m, '$_->[0]', '5512345678', 'Ana', $eva, '1990-01-01') FROM generate_series(1, 1)}) for [$w], [$v];
sql(qq{SELECT loyalty.seller_member_create($m, 'Q', 'm$_\@correo.example', 'Eva', 'Ruiz', client_id => 'M$_', phone => '551234560$_')}) for 1 .. 8;
my $r = sql(qq{SELECT program_id FROM loyalty.create_program($m, 'Límite', 'R')});
sql(qq{SELECT loyalty.set_limit($m, $r, 'member', 'add', '1000000')});
my $e = sql("SELECT loyalty.open_account($m, $r)");
my ($a, $b, $c, $d) = map { sql("SELECT loyalty.open_account($m, $_)") } $p, $p, $q, $q;
my @accounts = split /,/, sql("SELECT string_agg(account_id::text, ',' ORDER BY client_id) FROM loyalty_internal.member WHERE merchant_id = $m AND program_id = $q AND client_id ~ '^M'");
sql(qq{SELECT loyalty.set_rank($m, member_id, 'Oro') FROM loyalty.members WHERE merchant_id = $m AND client_id = 'M6'});
sql(qq{SELECT loyalty.share_account($m, (SELECT member_id FROM loyalty.members WHERE merchant_id = $m AND client_id = 'M5'), (SELECT member_id FROM loyalty.members WHERE merchant_id = $m AND client_id = 'M4'))});
sql(qq{SELECT loyalty.share_account($m, (SELECT member_id FROM loyalty.members WHERE merchant_id = $m AND client_id = 'M3'), (SELECT member_id FROM loyalty.members WHERE merchant_id = $m AND client_id = 'M2'))});
sql(qq{SELECT loyalty.leave_account($m, (SELECT member_id FROM loyalty.members WHERE merchant_id = $m AND client_id = 'M2'))});
my @back = map { sql("SELECT member_id FROM loyalty.members WHERE merchant_id = $m AND client_id = '$_' AND program_id = $q") } qw(M2 M4);
sql("SELECT loyalty.share_account($m, $accounts[7], $accounts[6])");
sql("SELECT loyalty.leave_account($m, $accounts[6])");
sql("SELECT loyalty.erase_member($m, $accounts[6])");
sql(qq{SELECT loyalty.identify_member($m, (SELECT member_id FROM loyalty.members WHERE merchant_id = $m AND client_id = 'M6'), email => 'otro\@correo.example')});
sql(qq{INSERT INTO loyalty_internal.staff_refusal VALUES ($m, ARRAY[now()])});
my $app_key = sql(qq{SELECT loyalty.create_app_user($m, 'Banco', '0123456789abcdef0123456789abcdef')});
sql(q{UPDATE loyalty_internal.app_user SET token_ttl_s = 86400});
my $curp = 'CAMC880526HMCBNR04';
sql(qq{SELECT loyalty.create_customer($m, $p, '$curp', 'Carlos', 'Cabrera', 'Montes', '5521000001', 'c\@correo.example', 'Hidalgo', '1', 'Centro', 'León', '37000', 'Guanajuato', 'carlos')});
sql(qq{INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name) VALUES ($m, '$curp', 'Carlos', 'Cabrera')});
sql(qq{SELECT loyalty.grant_consent($m, '$curp', 'Banco', 'pruebas', '1')});
sql(qq{SELECT loyalty.create_product($m, 'Vida', '900000', 1000000, 'Seguro', 2, 69, 12, '12', '5')});
my $policy = sql(qq{SELECT loyalty.open_policy($m, '$curp', 'Vida', 12, 1)});
my $policy_number = sql(qq{SELECT policy_number FROM loyalty.policies WHERE merchant_id = $m AND policy_id = $policy});

# A request to the gateway, whose headers are set first.
sub request
{
	my ($method, $uri, $type, $body, %headers) = @_;
	my %all = ('x-loyalty-method' => $method, 'x-loyalty-uri' => $uri, 'x-loyalty-type' => $type, map { ("x-loyalty-$_" => $headers{$_}) } keys %headers);
	my $json = JSON::PP->new->canonical->encode(\%all);
	return ["SET request.headers = '$json'", "SELECT loyalty_api.gateway(convert_to('$body', 'UTF8'))"];
}
sub form { my ($uri, $body) = @_; return request('POST', $uri, 'application/x-www-form-urlencoded', $body, key => $key) }
sub seller { my ($uri, $body) = @_; return request('POST', "/v1/seller/$key$uri", 'application/json', $body) }
sub customer
{
	my ($uri, %fields) = @_;
	my @idempotency = map { ('idempotency-key' => $_) } grep { defined } delete $fields{idempotency};
	my $signature = hmac_sha256_hex($curp, $app_key);
	my %token = (timestamp => time(), expires_in => 86400);
	my $bearer = hmac_sha256_hex(qq({"timestamp":$token{timestamp},"expires_in":$token{expires_in}}), $signature);
	my %body = (nombre_de_usuario => 'Banco', curp_en_uso => $curp, token_data => \%token, %fields);
	my $body = JSON::PP->new->canonical->encode({map { defined $body{$_} ? ($_ => $body{$_}) : () } keys %body});
	return request('POST', $uri, 'application/json', $body, bearer => $bearer, @idempotency);
}

# The calls; %n is another number each time.
my $ids = join ',', @accounts[0 .. 2], $c;
my @calls = (
	['post' => "SELECT loyalty.post($m, $a, 'deposit', '1000')"],
	['post with a key' => "SELECT loyalty.post($m, $a, 'deposit', '10', idempotency_key => 'k%n')"],
	['the same key again' => "SELECT loyalty.post($m, $a, 'deposit', '10', idempotency_key => 'once')"],
	['redeem' => "SELECT loyalty.post($m, $a, 'redeem', '1')"],
	['post to a program with all terms' => "SELECT loyalty.post($m, $c, 'deposit', '1000', staff_id => $beto)"],
	['redeem there' => "SELECT loyalty.post($m, $c, 'redeem', '1', staff_id => $beto)"],
	['sale' => "SELECT loyalty.sale($m, $a, '100')"],
	['sale by rules, with a key' => qq{SELECT loyalty.sale($m, $accounts[0], '100', items => '[{"sku": "cafe", "unitPrice": 10}]', staff_id => $beto, reference => 'T%n', idempotency_key => 's%n')}],
	['sale of who shares an account' => "SELECT loyalty.sale($m, $accounts[3], '100', member_id => $accounts[4])"],
	['sale of who was given a rank' => "SELECT loyalty.sale($m, $accounts[5], '100')"],
	['sale after a change of the program' => "UPDATE loyalty_internal.program SET updated_at = now() WHERE merchant_id = $m AND program_id = $q", "SELECT loyalty.sale($m, $accounts[0], '100', points_used => '1')"],
	['post within a limit' => "SELECT loyalty.post($m, $e, 'deposit', '1')"],
	['post beyond a limit' => "SELECT error FROM loyalty.post_batch($m, '{$e}', '{deposit}', '{9999999}')"],
	['sale paid with points' => "SELECT loyalty.sale($m, $accounts[0], '100', points_used => '1')"],
	['batch' => "SELECT count(error) FROM loyalty.post_batch($m, '{$ids}', '{deposit}', '{1,1,1,1}')"],
	['batch to plain accounts' => "SELECT count(error) FROM loyalty.post_batch($m, '{$a,$b}', '{deposit}', '{1,1}')"],
	['hold and capture' => "SELECT loyalty.capture($m, $c, (loyalty.hold($m, $c, '2', staff_id => $beto, release_at => now() + interval '1 hour')).entry_id, '1')"],
	['hold and release' => "SELECT loyalty.release($m, $c, (loyalty.hold($m, $c, '2', release_at => now() + interval '1 hour')).entry_id, in_full => true)"],
	['capture of who shares an account' => "SELECT loyalty.post($m, $accounts[3], 'deposit', '9')", "SELECT loyalty.capture($m, $accounts[3], (loyalty.hold($m, $accounts[3], '2', member_id => $accounts[4])).entry_id, '1', 'C%n')"],
	['refund in an account of which somebody was erased' => "SELECT loyalty.reverse($m, $accounts[6], (loyalty.sale($m, $accounts[6], '100')).entry_id, '1', reference => 'E%n')"],
	['transfer' => "SELECT loyalty.transfer($m, $c, $d, '1')"],
	['refund' => "WITH x AS MATERIALIZED (SELECT loyalty.open_account($m, $q) AS id) SELECT loyalty.reverse($m, id, (loyalty.sale($m, id, '10000', staff_id => $beto)).entry_id, reference => 'R%n', in_full => true) FROM x"],
	['refund of a part' => "WITH x AS MATERIALIZED (SELECT loyalty.open_account($m, $q) AS id) SELECT loyalty.reverse($m, id, (loyalty.sale($m, id, '100')).entry_id, '1', reference => 'P%n') FROM x"],
	['refund of a transfer' => "SELECT loyalty.reverse($m, $c, (loyalty.transfer($m, $c, $d, '1')).entry_id, reference => 'X%n', in_full => true)"],
	['points that are pending' => "SELECT loyalty.post($m, $d, 'deposit', '1', available_at => clock_timestamp() + interval '200 ms')", 'SELECT pg_sleep(0.21)'],
	# not yet when they are posted, however slow the machine, and due before the next transaction begins
	['points that expire' => "SELECT loyalty.post($m, $d, 'deposit', '1', expires_at => clock_timestamp() + interval '200 ms')", 'SELECT pg_sleep(0.21)'],
	['who is due to be erased' => "SELECT loyalty.delete_blocked_customers($m, '1 year')"],
	['what is due' => "SELECT loyalty.expire_due($m, 10)"],
	['balance of long ago' => "SELECT loyalty.balance_at($m, $a, '2020-01-01')"],
	['rank of long ago' => "SELECT loyalty.rank_at($m, $accounts[0], now() - interval '1 hour')"],
	['simulate' => "SELECT * FROM loyalty.simulate($m, $accounts[0], '100')"],
	['a page of the statement' => "SELECT count(*) FROM loyalty.statement($m, $accounts[0], max_entries => 3)"],
	['find a member by phone' => "SELECT loyalty.find_member($m, $q, phone => '5512345601')"],
	['find a member by e-mail' => "SELECT loyalty.find_member($m, $q, email => 'm1\@correo.example')"],
	['find a member by client_id' => "SELECT loyalty.find_member($m, $q, client_id => 'M1')"],
	['who is found by something else' => "SELECT loyalty.identify_member($m, $accounts[7], phone => ('55' || 50000000 + %n)::loyalty.phone, email => 'i%n\@correo.example')"],
	['find a program' => "SELECT loyalty.find_program($m, 'Q'), loyalty.find_program($m, wallet_key => '$w')"],
	['wallet_sale by phone' => "SELECT loyalty.wallet_sale($m, '$w', '5512345678', 0, 100, NULL, $beto, 'T%n', 'w%n')"],
	['wallet_sale by phone with all terms' => "SELECT loyalty.wallet_sale($m, '$v', '5512345678', 0, 100, NULL, $beto, 'T%n')"],
	['wallet_sale over HTTP' => form('/wallet/sale', "wallet_key=$v&phone=5512345678&transaction_type=0&transaction_amount=100&usertool_id=$beto&ticket=T%n")],
	['points used over HTTP' => form('/wallet/sale', "wallet_key=$v&phone=5512345678&transaction_type=1&points_used=1&usertool_id=$eva&ticket=T%n")],
	['correction' => "SELECT loyalty.wallet_balance_update($m, '$w', '5512345678', 0, 1, $eva)"],
	['contact' => "SELECT * FROM loyalty.wallet_contact_get($m, '$w', '5512345678')"],
	['contact over HTTP' => form('/wallet/contact/get', "wallet_key=$w&phone=5512345678")],
	['a new contact' => "SELECT loyalty.wallet_contact_add($m, '$w', '55' || 30000000 + %n, 'Nueva', $beto)"],
	['a contact who comes back' => "SELECT loyalty.disable_member($m, $back[0])", "SELECT loyalty.wallet_contact_add($m, '$v', '5512345602', 'Eva Ruiz', $eva)"],
	['the last of a quota' => "SELECT loyalty.set_quota($m, 'customers', 16)", "SELECT loyalty.wallet_contact_add($m, '$w', '55' || 40000000 + %n, 'Última', $eva)"],
	['staff comes and goes' => "SELECT loyalty.employee_add($m, 'cajero', 'Nuevo %n', 'Sucursal %n', '5577000001', 'otra clave %n')", "SELECT loyalty.employee_disable($m, '5577000001')"],
	['staff of a taken number' => form('/employee/add', 'type=cajero&employee_name=Otra&business_name=Centro&number=5571000001&password=clave secreta 3')],
	['staff of a taken name' => "DELETE FROM loyalty_internal.staff_refusal WHERE merchant_id = $m", @{form('/employee/add', 'type=cajero&employee_name=Eva&business_name=Centro&number=5571000009&password=clave secreta 4')}],
	['a contact of the blacklist' => form('/wallet/contact/add', "wallet_key=$w&phone=5599999999&customer_name=X&usertool_id=$eva")],
	['login' => "SELECT loyalty.verify_staff_password($m, $beto, 'clave secreta 2')"],
	['seller deposit by client_id' => qq{SELECT loyalty.seller_deposit($m, '[{"programId":"Q","memberId":"M1","amount":5,"comments":"x"}]')}],
	['seller deposit by e-mail' => qq{SELECT loyalty.seller_deposit($m, '[{"programId":"Q","amount":5,"comments":"x","member":{"email":"m2\@correo.example","firstName":"E","firstLastName":"R"}}]')}],
	['seller deposit by e-mail of several' => qq{SELECT loyalty.seller_deposit($m, '[{"programId":"Q","amount":5,"comments":"x","member":{"email":"m2\@correo.example","firstName":"E","firstLastName":"R"}},{"programId":"Q","amount":5,"comments":"x","member":{"email":"m3\@correo.example","firstName":"E","firstLastName":"R"}}]')}],
	['seller deposit to who is new' => qq{SELECT loyalty.seller_deposit($m, '[{"programId":"Q","amount":5,"comments":"x","member":{"email":"n%n\@correo.example","firstName":"E","firstLastName":"R"}}]')}],
	['seller accumulation over HTTP' => seller('/accumulation', '[{"programId":"Q","memberId":"M1","amount":100,"comments":"x","items":[]}]')],
	['seller accumulation of several' => qq{SELECT loyalty.seller_accumulation($m, '[{"programId":"Q","memberId":"M1","amount":100,"comments":"x","items":[]},{"programId":"Q","memberId":"M6","amount":100,"comments":"x","items":[]}]')}],
	['a new seller member' => qq{SELECT loyalty.seller_member_create($m, 'Q', 'z%n\@correo.example', 'Eva', 'Ruiz', client_id => 'Z%n', rank => 'Oro', address => '[{"street":"Hidalgo"}]')}],
	['a seller member who comes back' => "SELECT loyalty.disable_member($m, $back[1])",
		qq{SELECT loyalty.seller_member_create($m, 'Q', 'm4\@correo.example', 'Eva', 'Ruiz', client_id => 'M4', phone => '5512345604', address => '[{"street":"Hidalgo"}]')}],
	['a program of the seller' => "SELECT count(*) FROM loyalty.seller_program_get($m, 'Q')"],
	['seller redemption' => qq{SELECT loyalty.seller_redemption($m, '[{"programId":"Q","memberId":"M1","amount":1,"comments":"x"}]')}],
	['seller member' => "SELECT loyalty.seller_member_get($m, 'Q', 'M1'), loyalty.seller_member_balance($m, 'Q', 'M1')"],
	['a page of members' => "SELECT count(*) FROM loyalty.seller_member_list($m, 'Q', 3)"],
	['members by e-mail' => "SELECT count(*) FROM loyalty.seller_member_list($m, 'Q', 3, email => 'm1\@correo.example')"],
	['members by phone' => "SELECT count(*) FROM loyalty.seller_member_list($m, 'Q', 3, phone => '5512345601')"],
	['a token' => request('POST', '/api/Registro_V1', 'application/json', JSON::PP->new->canonical->encode({tipo_peticion => 'token_full', nombre_de_usuario => 'Banco', curp_en_uso => $curp, firma_KEY => hmac_sha256_hex($curp, $app_key)}))],
	['a datum of a customer' => customer('/api/Customer_V1', tipo_peticion => 'individual_request', request => 'Mail')],
	['a block of a customer' => customer('/api/Customer_V1', tipo_peticion => 'request_block', request => 'cliente')],
	['the status of a policy' => customer('/api/Customer_V1', tipo_peticion => 'individual_request', request => 'Status')],
	['the products' => customer('/api/Customer_V1', tipo_peticion => 'request_block', request => 'catalogo_productos')],
	['a product for a customer' => customer('/api/Customer_V1', tipo_peticion => 'request_block', request => 'producto_cliente', producto => 'Vida')],
	['an account of a policy' => customer('/api/Payments_V1', tipo_peticion => 'account_status')],
	['an account without the CURP' => customer('/api/Payments_V1', tipo_peticion => 'account_status', poliza => $policy_number, curp_en_uso => undef)],
	['a policy that there is' => customer('/api/Accounts_V1', tipo_peticion => 'new_service', mail => 'x@correo.example', telefono => '5512345678', producto => 'Vida', numero_pagos => 12, dia_pago => 15, tipo_servicio => 'Seguro',
		terminos => JSON::PP::true, aviso => JSON::PP::true, fideicomiso => JSON::PP::true, direccion => {calle => 'Calle 1', numero => '2', colonia => 'Centro', municipio => 'Leon', codigo_postal => '37000', estado => 'Guanajuato'})],
	['a payment' => customer('/api/Payments_V1', tipo_peticion => 'pagos_psd2', cantidad => 1, metodo => 'OXXO', referencia => 'ref-%n')],
	['a payment under a key, and again' => map { @$_ } map { customer('/api/Payments_V1', tipo_peticion => 'pagos_psd2', cantidad => 1, metodo => 'OXXO', referencia => 'key-%n', idempotency => "$_-%n") } 'a', 'b'],
	['a payment of a policy that is named' => customer('/api/Payments_V1', tipo_peticion => 'pagos_psd2', cantidad => 1, metodo => 'OXXO', referencia => 'named-%n', poliza_en_uso => $policy_number)],
	['claim a message' => "SELECT count(*) FROM loyalty.claim_messages($m, 2)"],
);

# --- measuring ------------------------------------------------------------------

my $number = 0;

# The statements of a call.
sub statements_of
{
	my $call = shift;
	$number++;
	my @statements = map { ref $_ ? @$_ : $_ } @$call[1 .. $#$call];
	s/%n/$number/g for @statements;
	return join ";\n", @statements;
}
sub run_call { my ($session, $call) = @_; return $session->query(statements_of($call)) }
sub run_all { my ($session, $times) = @_; $session->query(join ";\n", map { statements_of($_) } @calls) for 1 .. $times; return }

sub start_measuring
{
	my $session = shift;
	$session->query($_) for q{LOAD 'auto_explain'}, 'SET jit = off', 'SET auto_explain.log_min_duration = 0', 'SET auto_explain.log_nested_statements = on', 'SET auto_explain.log_analyze = on',
		'SET auto_explain.log_buffers = on', 'SET auto_explain.log_timing = off', 'SET auto_explain.log_format = json', 'SET client_min_messages = log';
	return;
}

sub stop_measuring { my $session = shift; return $session->query('SET client_min_messages = warning') }

# A plan in a line: nodes, and what they read by what.
sub shape
{
	my $node = shift;
	my $text = join ' ', $node->{'Node Type'}, grep { defined } @$node{'Relation Name', 'Index Name', 'Index Cond'};
	$text =~ s/\$\d+|'[^']*'::[\w.]+(?: COLLATE "C")?/?/g;
	$text =~ s/\(\?\)::\w+/?/g;
	my @below = map { shape($_) } @{$node->{Plans} // []};
	$text .= ' (' . join('; ', @below) . ')' if @below;
	# the same blocks either way
	return $text =~ s/Bitmap Heap Scan (\w+) \(Bitmap Index Scan (.*)\)$/Index Scan $1 $2/r;
}

sub blocks { my $node = shift; return $node->{'Shared Hit Blocks'} + $node->{'Shared Read Blocks'} }

# What is read to find the rows: a row that is written may have room on its page, or not.
sub found
{
	my $node = shift;
	return 0 if shape($node) !~ /\(\w+_id = /;
	return blocks($node) unless $node->{'Node Type'} eq 'ModifyTable';
	my $found = 0;
	$found += found($_) for @{$node->{Plans} // []};
	return $found;
}

# What a session reads by a call: {statement => {shape, blocks}}, the most of it where a statement runs several times in it.
sub measure
{
	my ($session, $call) = @_;
	my %met;
	my $answer = run_call($session, $call);
	{
		if ($answer =~ /ERROR: /)
		{
			fail "$call->[0] can be called";
			diag $answer =~ s/LOG: .*?^\}\n//gmsr;
		}
		while ($answer =~ /plan:\n(\{.*?^\})/gms)
		{
			my $text = $1;
			utf8::encode($text);
			my $plan = JSON::PP->new->utf8->decode($text);
			my $statement = $plan->{'Query Text'} =~ s/\s+/ /gr;
			next if $statement =~ /$m|loyalty_api\.gateway\(convert_to|pg_stat_get_xact|set_quota\./;
			my $blocks = blocks($plan->{Plan});
			my $known = $met{$statement} //= {blocks => 0, found => 0};
			$known->{shape} = shape($plan->{Plan});
			$known->{blocks} = $blocks if $blocks > $known->{blocks};
			my $found = found($plan->{Plan});
			$known->{found} = $found if $found > $known->{found};
		}
	}
	return \%met;
}

# What all of a call reads of the extension's tables and indexes, in whatever way.
my $of_all = q{SELECT 0 + sum(pg_stat_get_xact_blocks_fetched(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('loyalty', 'loyalty_internal') AND c.relkind IN ('r', 'i', 't')};
sub blocks_of_call
{
	my ($session, $call) = @_;
	my @answers = split /\n/, $session->query(join ";\n", 'BEGIN', $of_all, statements_of($call), $of_all, 'COMMIT');
	return $answers[-1] - ($answers[0] || 0);
}

sub measure_all
{
	my $session = shift;
	my %all;
	run_all($session, 1);
	for my $time (1 .. 1)
	{
		start_measuring($session);
		my %met = map { $_->[0] => measure($session, $_) } @calls;
		stop_measuring($session);
		$met{$_->[0]}{'all of it'} = {blocks => blocks_of_call($session, $_), found => 0, shape => ''} for @calls;
		for my $call (keys %met)
		{
			for my $statement (keys %{$met{$call}})
			{
				my $known = $all{$call}{$statement} //= $met{$call}{$statement};
				for my $number (qw(blocks found))
				{
					$known->{$number} = $met{$call}{$statement}{$number} if $met{$call}{$statement}{$number} < $known->{$number};
				}
			}
		}
	}
	return \%all;
}

# --- foreign keys -----------------------------------------------------------------

# Whose rows refer to which, less those whose triggers read it too.  A row that refers is written again, if there is one: PostgreSQL then looks up what it refers to.
my @keys = map { my ($name, $from, $to, $filled) = split /\|/; {name => $name, from => $from, to => $to, filled => $filled} } split /\n/, $stack->psql(q{
	SELECT f.conname, f.conrelid::regclass, f.confrelid::regclass, (SELECT string_agg(format('%I IS NOT NULL', a.attname), ' AND ') FROM pg_attribute a WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey))
	FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid WHERE f.contype = 'f' AND c.relnamespace::regnamespace::text ~ '^loyalty'
		  AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = f.conrelid AND t.tgname = 'revise_insert') ORDER BY 1});
my $of_table = q{SELECT sum(pg_stat_get_xact_blocks_fetched(c.id)) FROM (SELECT '%1$s'::regclass AS id UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = '%1$s'::regclass) c};

# The blocks of what is referred to that the check of a key reads; undefined: no row refers.
sub blocks_of_check
{
	my ($session, $key) = @_;
	my $blocks = sprintf $of_table, $key->{to};
	my $again = "WITH gone AS (DELETE FROM $key->{from} WHERE ctid = (SELECT ctid FROM $key->{from} WHERE $key->{filled} LIMIT 1) RETURNING *) INSERT INTO $key->{from} SELECT * FROM gone RETURNING 'again'";
	my $answer = $session->query(join ";\n", 'BEGIN', $blocks, $again, $blocks, 'ROLLBACK');
	fail "$key->{name}: $answer" if $answer =~ /ERROR:/;
	my ($before, @after) = split /\n/, $answer;
	return @after == 2 ? $after[1] - $before : ();
}
sub check_all { my ($session) = @_; return map { my @blocks = blocks_of_check($session, $_); @blocks ? ($_->{name} => @blocks) : () } @keys }

check_all($session) for 1 .. 7;
run_all($session, 7);
my $empty = measure_all($session);

# --- full tables ------------------------------------------------------------------

# Which columns differ in the rows that are added to a table, so that they suit its unique indexes, and are of the same
# merchant, program, member or account where there may be many of it.
my %differ = (
	'loyalty.entry' => 'account_id entry_id', 'loyalty_internal.account' => 'account_id', 'loyalty_internal.reservation' => 'entry_id account_id', 'loyalty_internal.expired_lot' => 'account_id',
	'loyalty_internal.reversal' => 'entry_id account_id', 'loyalty_internal.rule_set' => 'program_id', 'loyalty_internal.rule' => 'program_id', 'loyalty_internal.rule_use' => 'account_id',
	'loyalty_internal.rule_award' => 'entry_id account_id', 'loyalty_internal.rank_range' => 'range_group', 'loyalty_internal.rank_held' => 'account_id', 'loyalty_internal.rank_base' => 'program_id',
	'loyalty_internal.rank_grant' => 'member_id', 'loyalty_internal.rank_past' => 'program_id', 'loyalty_internal.posting_limit' => 'program_id', 'loyalty_internal.allowance' => 'subject_id',
	'loyalty_internal.quota' => 'resource', 'loyalty_internal.branch' => 'branch_id name', 'loyalty_internal.staff' => 'staff_id name number password_digest', 'loyalty_internal.staff_program' => 'staff_id',
	'loyalty_internal.staff_refusal' => 'merchant_id', 'loyalty_internal.merchant' => 'merchant_id', 'loyalty_internal.api_key' => 'key_hash key_id', 'loyalty_internal.program' => 'program_id client_id wallet_key',
	'loyalty_internal.member' => 'member_id account_id phone client_id email', 'loyalty_internal.member_address' => 'member_id', 'loyalty_internal.blacklisted_phone' => 'phone', 'loyalty_internal.member_change' => 'change_id',
	'loyalty_internal.account_owner' => 'member_id account_id', 'loyalty_internal.message' => 'message_id sent_at', 'loyalty_internal.idempotency_key' => 'key_digest',
	'loyalty_internal.app_user' => 'name', 'loyalty_internal.app_user_key' => 'app_user', 'loyalty_internal.consent' => 'consent_id member_id', 'loyalty_internal.access' => 'access_id minute', 'loyalty_internal.customer' => 'member_id curp',
	'loyalty.curp_record' => 'curp', 'loyalty_internal.product' => 'product_id name family', 'loyalty_internal.policy' => 'policy_id policy_number member_id', 'loyalty_internal.instalment' => 'policy_id', 'loyalty_internal.payment' => 'reference_digest policy_id',
	# as many as there are of merchants, area codes or ranges of the numbering plan; or not read by any call
	'loyalty_internal.idempotency_space' => 'merchant_id', 'loyalty_internal.entry_space' => 'merchant_id', 'loyalty_internal.sql_role' => 'actor_id name', 'loyalty_internal.entry_rule' => 'entry_id', 'loyalty_internal.entry_remainder' => '', 'loyalty_internal.entry_salt' => '', 'loyalty_internal.supported_area_code' => '', 'loyalty_internal.fixed_line_range' => '', 'loyalty.numbering_plan' => '',
	'loyalty_internal.report_day' => '', 'loyalty_internal.report_account' => '', 'loyalty_internal.report_turn' => '', 'loyalty_internal.maintenance' => '', 'loyalty_internal.program_past' => '', 'loyalty_internal.month_close' => '', 'loyalty_internal.month_close_line' => '', 'loyalty_internal.redemption_rate' => '', 'loyalty_internal.fraud_threshold' => '', 'loyalty_internal.fraud_count' => '',
	'loyalty_internal.root' => '', 'loyalty_internal.root_page' => '', 'loyalty_internal.verification' => '', 'loyalty_internal.staff_move' => '', 'loyalty_internal.report_role' => '',
);
my %value = (
	'sql_role.actor_id' => '(-n)::text', bigint => '(700000000000000000 + n * 7919 % 1000003 * 100000000 + n)::text', text => q{'lleno ' || n}, bytea => q{'\x' || encode(sha256(n::text::bytea), 'hex')}, 'staff.password_digest' => q{encode(sha256(n::text::bytea), 'hex')}, 'loyalty.phone' => q{(5500000000 + n)::text},
	'timestamp with time zone' => q{(timestamptz '2020-01-01' - n * interval '1 minute')::text}, 'loyalty.curp' => 'test.curp(n)',
);

sub value_of { my ($table, $column, $type) = @_; return $value{$table =~ s/.*\.//r . ".$column"} // $value{$type} // die "no value for $table.$column" }

sub fill
{
	my $filler = $stack->connect_async;
	$filler->query($_) for 'SET client_min_messages = warning', 'SET session_replication_role = replica', 'SET synchronous_commit = off';
	my (%type, %columns);
	for (split /\n/, $stack->psql(q{SELECT format('%s|%s|%s', a.attrelid::regclass, a.attname, format_type(a.atttypid, NULL)) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relnamespace::regnamespace::text IN ('loyalty', 'loyalty_internal') AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum}))
	{
		my ($table, $column, $type) = split /\|/;
		$type{"$table.$column"} = $type;
		push @{$columns{$table}}, $column;
	}
	for my $table (sort keys %differ)
	{
		my %changes = map { $_ => 1 } split / /, $differ{$table} or next;
		my $values = join ', ', map { $changes{$_} ? '(' . value_of($table, $_, $type{"$table.$_"}) . ")::$type{\"$table.$_\"}" : "(o.r).$_" } @{$columns{$table}};
		next if $stack->psql("SELECT count(*) FROM $table") == 0;
		# of each program, where there are two
		my $by = $type{"$table.program_id"} && $differ{$table} !~ /program_id/ ? 't.program_id' : '(t IS NULL)';
		my $answer = $filler->query("INSERT INTO $table SELECT $values FROM
			(SELECT r, row_number() OVER () AS place FROM (SELECT DISTINCT ON ($by) t AS r FROM $table t ORDER BY $by, (to_jsonb(t) ->> 'merchant_id') IS NOT DISTINCT FROM '$m' DESC) d) o,
			LATERAL generate_series(o.place * 10000000 + 1, o.place * 10000000 + $rows) n ON CONFLICT DO NOTHING");
		is $answer, '', "$table is filled" if $answer ne '';
	}
	$filler->close;
	return;
}
is_deeply [sort keys %differ], [split /\n/, $stack->psql(q{SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace::regnamespace::text IN ('loyalty', 'loyalty_internal') AND c.relkind = 'r' ORDER BY c.oid::regclass::text COLLATE "C"})], 'every table is known';
fill();
for my $table (grep { $differ{$_} } sort keys %differ)
{
	my $n = $stack->psql("SELECT count(*) FROM $table");
	cmp_ok $n, '>=', $rows * 0.9, "$table is full";
}

# What is referred to comes last in its table: who reads that from its start finds it last.
for my $table (do { my %of; grep { !$of{$_}++ } map { $_->{to} } @keys })
{
	my $mover = $stack->connect_async;
	is $mover->query("SET session_replication_role = replica; WITH gone AS (DELETE FROM $table WHERE merchant_id = $m RETURNING *) INSERT INTO $table SELECT * FROM gone"), '', "what is referred to in $table is at its end";
	$mover->close;
}
my %checked = check_all($session);
cmp_ok scalar(keys %checked), '>=', 20, scalar(@keys) . ' foreign keys, most of which have a row';

my $full = measure_all($session);
$stack->psql('ANALYZE');
my $fresh = $stack->connect_async;
$fresh->query('SET client_min_messages = warning; SET loyalty.enable_lookup = off');
my %checked_anew = check_all($fresh);
is join(', ', map { "$_: $checked{$_}, and $checked_anew{$_} after ANALYZE" } grep { $checked{$_} > $checked_anew{$_} + 5 } sort keys %checked), '', 'what is referred to is found as after ANALYZE';
run_all($fresh, 7);
my $analyzed = measure_all($fresh);

# --- comparing --------------------------------------------------------------------

# What reads all products of a merchant.
my $reads_all = qr/^SELECT json_build_object\('productos'/;
my %may_grow = map { $_ => 1 } 'the products';

my %seen;
my @table;
for my $call (map { $_->[0] } @calls)
{
	my (@shapes, @blocks, @growth);
	for my $statement (sort keys %{$full->{$call}})
	{
		my ($before, $now, $known) = map { $_->{$call}{$statement} } $empty, $full, $analyzed;
		$seen{$statement} = 1;
		push @table, [$call, $statement, map { $_ ? $_->{blocks} : '-' } $before, $now, $known];
		next unless $known;
		push @shapes, "$statement\n  $now->{shape}\n  $known->{shape}" if $now->{shape} ne $known->{shape};
		push @blocks, "$statement\n  $now->{found}, and $known->{found} after ANALYZE: $now->{shape}" if abs($now->{found} - $known->{found}) > 2 + 0.5 * $known->{found};
		next if $statement =~ $reads_all || ($statement eq 'all of it' && $may_grow{$call});
		push @growth, "$statement\n  $now->{blocks}, at first $before->{blocks}: $now->{shape}" if $before && $now->{blocks} > 2 * $before->{blocks} + 12;
	}
	is "@shapes", '', "$call: the same plans without ANALYZE and with it";
	is "@blocks", '', "$call: the same blocks";
	is "@growth", '', "$call: few more than when the tables were empty";
}
# --- what is measured ---------------------------------------------------------------

# The statements of the library that no call above runs are these.
my $elsewhere = join '|', map { quotemeta =~ s/\\\.\\\.\\\./.*/gr } (
	# rows that are added and not looked for, by several at a time or where triggers forbid to do it otherwise
	'INSERT INTO loyalty_internal.expired_lot ... SELECT $1, u.*', 'INSERT INTO loyalty_internal.reversal ... SELECT $1, u.*', 'INSERT INTO loyalty_internal.reservation ... SELECT $1, u.*',
	'INSERT INTO loyalty_internal.rank_held ... SELECT $1, u.*', 'INSERT INTO loyalty.entry ', 'INSERT INTO loyalty_internal.entry_rule ',
	# the first time of an account, a merchant or a member
	'SELECT u.ordinality, b.earned, b.purchases', 'INSERT INTO loyalty_internal.idempotency_space', 'INSERT INTO loyalty_internal.entry_space', 'SELECT loyalty.forget_idempotency_keys', 'INSERT INTO loyalty_internal.sql_role', 'SELECT actor_id FROM loyalty_internal.sql_role', 'UPDATE loyalty_internal.account SET ranked_at',
	'SELECT member_id FROM loyalty_internal.member WHERE merchant_id = $1 AND program_id = $2 AND client_id = $3', 'SELECT client_id, account_id, active, coalesce(nullif(member_id, account_id), 0)',
	# found by the key, after what is measured has found the row itself
	'SELECT text_key FROM loyalty_internal.account', 'SELECT lots, qualifying FROM loyalty_internal.account', 'SELECT count(*) FROM (SELECT FROM loyalty_internal.account', 'SELECT stripe FROM loyalty_internal.quota',
	'SELECT stripe, remaining FROM loyalty_internal.quota ... AND stripe = $3', 'SELECT l.account_id, l.expires_at, l.points, l.refunded FROM unnest($2, $3)', 'SELECT u.account_id, coalesce(g.rank, m.granted_rank)',
	'SELECT scope, adds, subject_id, max_points, max_operations ... subject_id = ANY ($3)',
	# of whose turns a request takes one: once in a session
	'SELECT digest_key FROM loyalty_internal.merchant',
	# who sets a program up, and who buys a policy
	'SELECT loyalty_internal.add_app_user', 'SELECT loyalty_internal.add_private_key', 'UPDATE loyalty_internal.app_user_key', 'UPDATE loyalty_internal.api_key', 'SELECT loyalty_internal.sell_policy', 'SELECT s.member_id, pg_column_size(s.application)', q{SELECT json_build_object('id_venta'},
	# of an answer that was kept
	q{SELECT CASE WHEN $5 AND $1 #>> '{datos_compra,CURP}'}, q{SELECT coalesce(nullif($1 #>> '{data,id_venta}'}, 'SELECT CASE WHEN $2 > 1 THEN k.whole',
	# lists of all that a merchant has
	q{SELECT json_build_object('seller', merchant_id::text, ... ORDER BY created_at}, 'SELECT m.name AS contact_name, ... FROM loyalty_internal.member', 'SELECT 80 + octet_length(m.name)', 'SELECT name AS wallet_name', 'SELECT staff_id AS usertool_id',
	# of an account of many entries, as many rows at most as it has a limit for
	'SELECT count(*) AS waiting FROM (SELECT FROM loyalty_internal.reservation',
	# how much long work has to do
	'SELECT count(*) AS accounts FROM loyalty_internal.account',
	# proofs
	'SELECT salt FROM loyalty_internal.entry_salt', 'SELECT loyalty_internal.named_by_origin', 'SELECT merchant_id, entry_id, account_id, entry_no, previous_entry_id, kind', 'SELECT account_ids, entry_ids, nodes', 'SELECT u.account_id, u.entry_id, e.balance', 'SELECT page, account_ids', 'SELECT root_id, made_at',
	'INSERT INTO loyalty_internal.root', 'SELECT account_id, newest_entry_id, balance, posted_at, hash', 'SELECT least((SELECT min(merchant_id)', 'SELECT account_id, expires_at, points, refunded FROM',
	'SELECT r.account_id, r.entry_id, r.reversed_by, r.amount, r.money', 'SELECT account_id, entry_id, entry_no, kind, amount, remaining, due_at, lots FROM loyalty_internal.reservation WHERE merchant_id = $1 ORDER BY',
	'SELECT account_id, balance, entry_no, posted_at, ... WHERE merchant_id = $1 ORDER BY account_id', 'SELECT (SELECT e.entry_id FROM loyalty.entry e WHERE e.merchant_id = $1 AND e.account_id = $2',
);
my $library = $stack->psql(q{SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'}) . '/loyalty.so';
open my $in, '<:raw', $library or die "$library: $!\n";
my @statements = do { local $/; <$in> =~ /(?<=\0)((?:SELECT|INSERT|UPDATE|DELETE|WITH) [\x20-\x7e]{20,})\0/g };
close $in;
cmp_ok scalar @statements, '>', 150, 'the statements of the library are found';
is join("\n", grep { !$seen{s/\s+/ /gr} && !/^(?:$elsewhere)/ } @statements), '', 'each is measured, or known not to be on the way of a posting';

if ($ENV{LOYALTY_PLANS_TABLE})
{
	open my $out, '>:encoding(UTF-8)', $ENV{LOYALTY_PLANS_TABLE} or die;
	print $out join("\t", @$_), "\n" for @table;
}

done_testing;

# 77_sandbox.pl - what everybody has the key of does not fill the disk: a merchant
# may have so many rows and no more, whichever API adds them, and the sandbox can
# be made what it was at first, whatever was done to it, by whoever may.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use JSON::PP ();
use POSIX ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', rate => '100000r/s', isolation => 'read committed');
my ($app, $key) = qw(Api_KASU_Sandbox ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0);
my ($carlos, $cesar, $stranger) = qw(CAMC880526HMCBNR04 CAPC200504HMCBXRA2 BXXX800101HDFXXX09);

sub sql { return $stack->psql($_[0]) }
sub refused { my $error = $stack->psql_error($_[0]); return $error ? $error->{sqlstate} : 'done' }
$stranger = (grep { refused("SELECT '$_'::loyalty.curp") eq 'done' } map { "BXXX800101HDFXXX0$_" } 0 .. 9)[0];

# Under a token of one's own.
sub ask
{
	my ($api, $fields, %option) = @_;
	my $curp = $option{curp} // $cesar;
	my $signature = hmac_sha256_hex($curp, $option{key} // $key);
	my $now = time;
	my $body = {nombre_de_usuario => $app, curp_en_uso => $curp, token_data => {timestamp => $now, expires_in => 600}, %$fields};
	return $stack->http_json('POST', "/api/${api}_sbx", {'Content-Type' => 'application/json', %{$option{headers} // {}},
		Authorization => 'Bearer ' . hmac_sha256_hex(qq({"timestamp":$now,"expires_in":600}), $signature)}, JSON::PP->new->utf8->encode($body));
}
sub token { my $curp = shift; return $stack->http_json('POST', '/api/Registro_sbx', {'Content-Type' => 'application/json'}, JSON::PP->new->utf8->encode({tipo_peticion => 'token_full', nombre_de_usuario => $app, curp_en_uso => $curp, firma_KEY => hmac_sha256_hex($curp, $key)})) }
sub read_mail { return ask('Customer', {tipo_peticion => 'individual_request', request => 'Mail'}, @_) }
sub order
{
	my ($more, %option) = @_;
	return ask('Accounts', {tipo_peticion => 'new_service', mail => 'c@x.mx', telefono => '7221000002', producto => 'Universitario', numero_pagos => 36, terminos => 1, aviso => 1, fideicomiso => 1, %{$more // {}}}, %option);
}
sub pay { my ($more, %option) = @_; return ask('Payments', {tipo_peticion => 'pagos_psd2', cantidad => 1, %{$more // {}}}, %option) }

my @tables = split /\n/, sql(q{SELECT c.oid::regclass FROM pg_extension e, unnest(e.extconfig) t JOIN pg_class c ON c.oid = t JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id' WHERE e.extname = 'loyalty' ORDER BY 1});
cmp_ok scalar @tables, '>', 40, 'there are tables of merchants';
# What merchants have, but the space that is taken in advance, and when they were looked at and keys used.
sub contents { my ($whose, $but) = @_; return sql('SELECT ' . join ' || ', map { "(SELECT count(*) || coalesce(md5(string_agg(r, ';' ORDER BY r)), '') FROM $_ t, LATERAL (SELECT (to_jsonb(t) - 'last_used_at')::text AS r) u WHERE $whose)" } grep { !/_space$|verification$/ && $_ ne ($but // '') } @tables) }
sub rows { my $merchant = shift; return sql("SELECT rows FROM loyalty.row_limits WHERE merchant_id = $merchant") }

# --- who makes it -------------------------------------------------------------------

is $stack->psql_error(q{SELECT loyalty.create_app_user(loyalty.create_merchant('Tienda'), 'Api_KASU_Sandbox') \g /dev/null
	SELECT loyalty.load_sandbox(reset => true)})->{sqlstate}, 'LY007', 'who has an app user of the printed name is no sandbox';
is sql("SELECT count(*) FROM loyalty.app_users"), 1, 'and keeps it';
sql('TRUNCATE loyalty_internal.app_user CASCADE');
# What has no merchant_id, and not even refers to what has one: it goes with its row.
sql('CREATE TABLE loyalty_internal.key_use (app_user text COLLATE "C", key_no integer, FOREIGN KEY (app_user, key_no) REFERENCES loyalty_internal.app_user_key)');

my ($sandbox, $other);
{
	my @session = map { $stack->connect_async } 1, 2;
	$session[0]->query('BEGIN');
	$sandbox = $session[0]->query('SELECT loyalty.load_sandbox()');
	my $pid = $session[1]->query('SELECT pg_backend_pid()');
	$session[1]->send('SELECT loyalty.load_sandbox(reset => false)');
	$stack->wait_until(sub { $session[1]->is_ready || sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") });
	ok !$session[1]->is_ready, 'who loads it at the same time waits';
	$session[0]->query('COMMIT');
	is $session[1]->receive, $sandbox, 'and gets the same';
	$_->close for @session;
}
is sql('SELECT count(*) FROM loyalty.merchants WHERE sandbox'), 1, 'there is one sandbox';
is sql("SELECT max_rows FROM loyalty.row_limits WHERE merchant_id = $sandbox"), 10000, 'which may have 10,000 rows';

# --- how it is at first -----------------------------------------------------------------

# Without what is random, and what goes by the clock.
sub description
{
	return sql(qq{
		SELECT 'merchant', name, base_url, sandbox, customer_program_id, notice_version FROM loyalty.merchants WHERE merchant_id = $sandbox;
		SELECT 'row limit', max_rows, rows FROM loyalty.row_limits WHERE merchant_id = $sandbox;
		SELECT 'app user', name, token_ttl_s, customer_expires_at, accounts_expires_at, payments_expires_at, disabled_at FROM loyalty_internal.app_user WHERE merchant_id = $sandbox ORDER BY name;
		SELECT 'key', k.app_user, k.key_no, k.private_key, k.expires_at FROM loyalty_internal.app_user_key k JOIN loyalty_internal.app_user u ON u.name = k.app_user WHERE u.merchant_id = $sandbox ORDER BY 2, 3;
		SELECT 'use of a key', count(*) FROM loyalty_internal.key_use JOIN loyalty_internal.app_user u ON u.name = app_user WHERE u.merchant_id = $sandbox;
		SELECT 'program', name, time_zone, expiry FROM loyalty.programs WHERE merchant_id = $sandbox ORDER BY name;
		SELECT 'product', name, description, price, stock, min_age, max_age, max_payments, annual_rate, commission, trust, family FROM loyalty.products WHERE merchant_id = $sandbox ORDER BY name;
		SELECT 'customer', c.curp, c.user_name, c.kind, c.preferences, c.deceased, c.blocked_at, m.name, m.phone, m.email, m.active FROM loyalty.customers c JOIN loyalty.members m USING (merchant_id, member_id) WHERE c.merchant_id = $sandbox ORDER BY c.curp::text;
		SELECT 'address', d.street, d.number_outside, d.city FROM loyalty_internal.member_address d WHERE d.merchant_id = $sandbox ORDER BY 2, 3;
		SELECT 'policy', c.curp, s.sale_no, s.product, s.cost, s.payments, s.status FROM loyalty.policies s JOIN loyalty.customers c USING (merchant_id, member_id) WHERE s.merchant_id = $sandbox ORDER BY c.curp::text, s.sale_no;
		SELECT 'consent', c.curp, s.app_user, s.purpose, s.notice_version, s.valid FROM loyalty.consents s JOIN loyalty.customers c USING (merchant_id, member_id) WHERE s.merchant_id = $sandbox ORDER BY c.curp::text;
		} . join '', map { "SELECT '$_', count(*) FROM $_ WHERE merchant_id = $sandbox;" } @tables);
}
my $at_first = description();
like $at_first, qr/^product\|Seguridad 30-49\|/m, 'it has a family of products';
like $at_first, qr/^loyalty_internal\.policy\|3$/m, 'and policies';

# --- another merchant, which is not touched -----------------------------------------------

my ($demo, $api_key, $wallet, $staff) = split /\|/, sql(q{
	SELECT loyalty.create_merchant('Demo') AS m \gset
	SELECT api_key AS key FROM loyalty.create_api_key(:m) \gset
	SELECT program_id AS p, wallet_key AS w FROM loyalty.create_program(:m, 'Monedero', 'P', '{"messages": ["accrue", "welcome", "adjust"]}') \gset
	SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS staff \gset
	SELECT loyalty.wallet_contact_add(:m, :'w', '4771000002', 'Luis', :staff) \g /dev/null
	SELECT loyalty.create_app_user(:m, 'Banco') \g /dev/null
	INSERT INTO loyalty_internal.key_use VALUES ('Banco', 1);
	SELECT loyalty.create_product(:m, 'Funerario', '10', 9, family => 'Familia') \g /dev/null
	SELECT loyalty.create_customer(:m, :p, 'CAPC200504HMCBXRA2', 'César', 'Suyo') \g /dev/null
	SELECT loyalty.open_policy(:m, 'CAPC200504HMCBXRA2', 'Funerario') \g /dev/null
	SELECT concat_ws('|', :m, :'key', :'w', :staff)});

# --- the sandbox is full --------------------------------------------------------------------

sub full
{
	my ($answer, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_deeply [$answer->{status}, $answer->{headers}{'retry-after'}, $answer->{json}], [429, 3600, {ok => JSON::PP::false, status => 429, retry_after => 3600, map { $_ => 'the merchant has as many rows as it may have' } qw(error mensaje)}], $name;
}
my $sandbox_rows = rows($sandbox);
sub leave_room { my $n = shift; sql("SELECT loyalty.set_row_limit($sandbox, " . (rows($sandbox) + $n) . ')') }

leave_room(20);
my $before = contents('true');
full(order({}, headers => {'Idempotency-Key' => 'larga'}), 'an order of 36 payments, where there is room for 20 rows');
is sql("SELECT string_agg(operation || status, ',') FROM loyalty.access_log WHERE merchant_id = $sandbox AND at > now() - interval '1 minute' AND status = 429"), 'new_service429', 'is logged';
sql("DELETE FROM loyalty_internal.access WHERE merchant_id = $sandbox AND status = 429");
is contents('true'), $before, 'and leaves nothing else';
is order({producto => 'Seguridad', numero_pagos => 2}, headers => {'Idempotency-Key' => 'larga'})->{status}, 201, 'one of two payments has room, under the same key';
leave_room(2);
is read_mail()->{status}, 202, 'so has what is read' for 1 .. 2;
full(read_mail(), 'until there is no room to write it down');
$before = contents('true', 'loyalty_internal.access');
# What is refused is counted by the hour, or one could go on asking who is a customer.
sub counted { return sql("SELECT coalesce(string_agg(operation || ' ' || status || ' ' || times, ', ' ORDER BY operation, status), '') FROM loyalty_internal.access WHERE merchant_id = $sandbox AND minute = date_trunc('hour', minute) AND address = '' AND member_id IS NULL") }
is counted(), 'individual_request 429 1', 'which is counted';
full($_->[1]->(), "$_->[0], when it is full") for ['a datum', \&read_mail], ['the catalogue', sub { ask('Customer', {tipo_peticion => 'request_block', request => 'catalogo_productos'}) }], ['the keys', sub { ask('Customer', {tipo_peticion => 'request', request => 'request_block'}) }],
	['an order', sub { order({numero_pagos => 1}) }], ['one of somebody new', sub { order({numero_pagos => 1, producto => 'Funerario', mail => 'b@x.mx', telefono => '5511112222', nombre => 'B', paterno => 'X'}, curp => $stranger) }],
	['a payment', sub { pay({referencia => 'x'}) }], ['how it stands', sub { ask('Payments', {tipo_peticion => 'account_status'}) }], ['a token that tells a name', sub { token($cesar) }];
is read_mail(key => 'x' x 32)->{status}, 401, 'who is refused is refused as ever';
is order({producto => 'Nada'})->{status}, 406, 'for whatever reason';
is token($stranger)->{status}, 200, 'a token that tells nothing is given';
is contents('true', 'loyalty_internal.access'), $before, 'none of that leaves anything';
is counted(), 'account_status 429 1, individual_request 401 1, individual_request 429 2, new_service 406 1, new_service 429 2, pagos_psd2 429 1, request 429 1, request_block 429 1, token_full 429 1', 'but that it is counted';
is rows($sandbox), sql("SELECT max_rows + 9 FROM loyalty.row_limits WHERE merchant_id = $sandbox"), 'in a row for each operation and status';
is order({producto => 'Funerario', numero_pagos => 1})->{status}, 412, 'an order that tells who is a customer' for 1, 2;
sql("UPDATE loyalty_internal.access SET times = 99 WHERE merchant_id = $sandbox AND status = 412 AND times = 2");
is order({producto => 'Funerario', numero_pagos => 1})->{status}, 412, 'is told a hundred times';
like order({producto => 'Funerario', numero_pagos => 1})->{json}{error}, qr/too many requests/, 'and then no more, as where there is room';
sql("UPDATE loyalty_internal.access SET minute = minute - interval '1 hour' WHERE merchant_id = $sandbox AND status = 412");
like order({producto => 'Funerario', numero_pagos => 1})->{json}{error}, qr/too many requests/, 'not even in the next hour of the clock';
sql("UPDATE loyalty_internal.access SET last_at = last_at - interval '1 hour' WHERE merchant_id = $sandbox AND status = 412");
is order({producto => 'Funerario', numero_pagos => 1})->{status}, 412, 'but an hour later';
# What is counted for that is read by an index, and no further than to the limit.
sql("INSERT INTO loyalty_internal.access (merchant_id, app_user, operation, request, status) SELECT m, '$app', 'request', '', 202 FROM unnest(ARRAY[$sandbox, $demo]) m, generate_series(1, 20000)");
my ($buffers) = sql("SELECT loyalty_internal.rows_of($sandbox, 1); EXPLAIN (ANALYZE, BUFFERS, COSTS false) SELECT loyalty_internal.rows_of($sandbox, max_rows) FROM loyalty.row_limits WHERE merchant_id = $sandbox") =~ /shared hit=(\d+)/;
cmp_ok $buffers, '<', 100, 'of a few hundred rows, whatever there is';
sql("DELETE FROM loyalty_internal.access WHERE merchant_id IN ($sandbox, $demo) AND operation = 'request' AND status = 202");
is refused("SELECT loyalty.customer_read($sandbox, 'individual_request', '$app', '$cesar', 'Mail')"), 'LY427', 'in SQL it is the same';

my $of_others = contents("merchant_id <> $sandbox");
is sql('SELECT loyalty.load_sandbox(reset => true)'), $sandbox, 'put back, it is the same merchant';
is description(), $at_first, 'and what it was at first';
is read_mail()->{status}, 202, 'it works again';
is order()->{status}, 201, 'orders do';
is order({numero_pagos => 1, producto => 'Funerario', mail => 'b@x.mx', telefono => '5511112222', nombre => 'B', paterno => 'X'}, curp => $stranger)->{status}, 201, 'of somebody new too';
is pay()->{status}, 201, 'payments do';

# --- whatever was done to it --------------------------------------------------------------------

sql(qq{
	SELECT loyalty.find_program($sandbox, client_id => p.client_id) AS program FROM loyalty.programs p WHERE p.merchant_id = $sandbox \\gset
	SELECT loyalty.create_api_key($sandbox, 'de todos') \\g /dev/null
	SELECT loyalty.create_program($sandbox, 'Otro', 'O') \\g /dev/null
	SELECT loyalty.create_app_user($sandbox, 'Otra_App') \\g /dev/null
	SELECT loyalty.rotate_private_key($sandbox, '$app', private_key => repeat('n', 32)), loyalty.revoke_app_user_api($sandbox, '$app', 'CUSTOMER') \\g /dev/null
	INSERT INTO loyalty_internal.key_use SELECT app_user, key_no FROM loyalty_internal.app_user_key WHERE app_user <> 'Banco';
	SELECT loyalty.disable_app_user($sandbox, '$app'), loyalty.configure_customers($sandbox, :program, '9'), loyalty.remove_row_limit($sandbox) \\g /dev/null
	SELECT loyalty.employee_add($sandbox, 'cajero', 'Eva', 'Centro', '4772000001', 'otro secreto'), loyalty.set_quota($sandbox, 'customers', 5), loyalty.set_limit($sandbox, :program, 'program', 'add', 1000, 10) \\g /dev/null
	SELECT loyalty.publish_rules($sandbox, :program, '[{"name": "r", "points": 1}]'), loyalty.set_rank_ranges($sandbox, 'g', '{Plata,Oro}', '{0,10}') \\g /dev/null
	SELECT loyalty.post($sandbox, m.member_id, 'accrue', '10', idempotency_key => 'k' || m.member_id) FROM loyalty.members m WHERE m.merchant_id = $sandbox \\g /dev/null
	SELECT loyalty.hold($sandbox, m.member_id, '1') FROM loyalty.members m WHERE m.merchant_id = $sandbox LIMIT 1 \\g /dev/null
	SELECT loyalty.make_root($sandbox) \\g /dev/null
	INSERT INTO loyalty.curp_record (merchant_id, curp, first_name, first_last_name) VALUES ($sandbox, '$stranger', 'B', 'X');
	SELECT loyalty.set_customer_deceased($sandbox, '$carlos'), loyalty.set_customer_preferences($sandbox, '$cesar', '{"a": 1}'), loyalty.block_customer($sandbox, 'REAE060617MMCYLVA4'), loyalty.blacklist_phone($sandbox, '4772000009') \\g /dev/null
	SELECT loyalty.erase_member($sandbox, member_id) FROM loyalty.customers WHERE merchant_id = $sandbox AND curp::text = '$carlos' \\g /dev/null
	SELECT loyalty.change_product($sandbox, 'Funerario', price => '1', stock => 0, family => 'Otra'), loyalty.create_product($sandbox, 'De nadie', '1', 1) \\g /dev/null
	UPDATE loyalty_internal.merchant SET name = 'x', base_url = 'https://otra.example' WHERE merchant_id = $sandbox});
isnt description(), $at_first, 'changed in every way';
is read_mail()->{status}, 401, 'it does not work';
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'but is sound';
is sql('SELECT loyalty.load_sandbox(reset => true)'), $sandbox, 'put back';
is description(), $at_first, 'it is what it was at first';
is sql("SELECT loyalty.load_sandbox(reset => true)"), $sandbox, 'once more';
is description(), $at_first, 'it is still';
is contents("merchant_id <> $sandbox"), $of_others, 'other merchants are as they were';
# A session that has posted goes on after a reset, under the same name.
my $posts = $stack->connect_async;
my $post = "SELECT FROM loyalty.post($sandbox, (SELECT min(member_id) FROM loyalty.members WHERE merchant_id = $sandbox), 'deposit', '1')";
my $who_posted = "SELECT string_agg(coalesce(r.name, 'nobody'), ',') FROM loyalty.entry e LEFT JOIN loyalty.sql_roles r USING (merchant_id, actor_id) WHERE e.merchant_id = $sandbox";
is $posts->query($post), '', 'who posts in SQL';
is sql("SELECT loyalty.load_sandbox(reset => true); $who_posted"), "$sandbox\n", 'is there no more after a reset';
is $posts->query($post), '', 'posts again';
is sql($who_posted), sql('SELECT session_user'), 'and has a name';
$posts->close;
sql('SELECT loyalty.load_sandbox(reset => true)');
is sql('SELECT app_user FROM loyalty_internal.key_use JOIN loyalty_internal.app_user_key USING (app_user, key_no)'), 'Banco', 'with what has no merchant_id';
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is sound';
is read_mail()->{status}, 202, 'the printed key reads again';
$before = description();
is sql("SELECT loyalty.load_sandbox(), loyalty.load_sandbox(false), loyalty.load_sandbox(NULL)"), "$sandbox|$sandbox|$sandbox", 'loading it without a reset';
is description(), $before, 'changes nothing';

# --- at the same time --------------------------------------------------------------------------------

# What is in progress is waited for, and undone with all the rest.
for my $case (["SELECT loyalty.open_policy($sandbox, '$cesar', 'Universitario') > 0", 'a sale'],
	["SELECT loyalty.create_customer($sandbox, loyalty_internal.customer_program($sandbox), '$stranger', 'B', 'X') > 0", 'somebody new'],
	["SELECT loyalty.pay_policy($sandbox, policy_id, '1', 'x', 'y', '$app') IS NOT NULL FROM loyalty.policies WHERE merchant_id = $sandbox LIMIT 1", 'a payment'],
	["SELECT (loyalty.post($sandbox, member_id, 'accrue', '1')).entry_id > 0 FROM loyalty.members WHERE merchant_id = $sandbox LIMIT 1", 'points'],
	['SELECT loyalty.load_sandbox(reset => true) > 0', 'another reset'])
{
	my ($statement, $name) = @$case;
	my @session = map { $stack->connect_async } 1, 2;
	$session[0]->query('BEGIN');
	is $session[0]->query($statement), 't', "$name in progress";
	my $pid = $session[1]->query('SELECT pg_backend_pid()');
	$session[1]->send('SELECT loyalty.load_sandbox(reset => true)');
	$stack->wait_until(sub { $session[1]->is_ready || sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") });
	ok !$session[1]->is_ready, 'a reset waits';
	is sql("SELECT loyalty.wallet_sale($demo, '$wallet', '4771000002', 0, 10, usertool_id => $staff) > 0"), 't', 'while others post';
	$session[0]->query('COMMIT');
	is $session[1]->receive, $sandbox, 'until it is over';
	$_->close for @session;
	is description(), $at_first, 'and makes it what it was';
}
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is sound';

# A request in progress may need anything of the sandbox before it ends: who waits for it has none of that yet.
for my $case (['an order', "customer WHERE merchant_id = $sandbox AND curp::text = '$cesar'", sub { order() }], ['a payment', "policy WHERE merchant_id = $sandbox", sub { pay({poliza_en_uso => sql("SELECT policy_number FROM loyalty.policies JOIN loyalty.customers USING (merchant_id, member_id) WHERE merchant_id = $sandbox AND curp::text = '$cesar'")}) }])
{
	my ($name, $rows, $request) = @$case;
	my ($lock, $reset) = map { $stack->connect_async } 1, 2;
	my $waiting = sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND $_[0]") };
	$lock->query("BEGIN; SELECT FROM loyalty_internal.$rows FOR UPDATE");
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0) { my $status = eval { $request->()->{status} } // 0; POSIX::_exit($status == 201 ? 0 : 1) }
	ok $stack->wait_until(sub { $waiting->("usename = 'authenticator'") }), "$name that waits";
	my $backend = $reset->query('SELECT pg_backend_pid()');
	$reset->send('SELECT loyalty.load_sandbox(reset => true)');
	ok $stack->wait_until(sub { $waiting->("pid = $backend") }), 'a reset waits';
	is sql("SELECT string_agg(usename, ',') FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($backend))"), 'authenticator', 'for it';
	my $later = fork // die "fork: $!\n";
	if ($later == 0) { my $status = eval { token($cesar)->{status} } // 0; POSIX::_exit($status == 200 ? 0 : 1) }
	ok $stack->wait_until(sub { $waiting->("usename = 'authenticator'") == 2 }), 'and who comes then for the reset';
	$lock->query('ROLLBACK');
	is eval { $reset->receive } // $@, $sandbox, 'the reset is not in the way';
	waitpid $pid, 0;
	is $? >> 8, 0, 'of what was in progress';
	waitpid $later, 0;
	is $? >> 8, 0, 'nor of what came meanwhile';
	is description() =~ s/^(?:row limit|loyalty\S*access)\|.*\n//gmr, $at_first =~ s/^(?:row limit|loyalty\S*access)\|.*\n//gmr, 'and makes it what it was';
	$_->close for $lock, $reset;
}

# Who comes while it is put back waits, and is refused or served, never half.
{
	my $session = $stack->connect_async;
	$session->query('BEGIN');
	$session->query('SELECT loyalty.load_sandbox(reset => true)');
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0) { my $status = eval { order()->{status} } // 0; POSIX::_exit($status == 201 ? 0 : $status >= 400 ? 1 : 2) }
	$stack->wait_until(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'authenticator'") });
	$session->query('COMMIT');
	waitpid $pid, 0;
	cmp_ok $? >> 8, '<=', 1, 'an order that came meanwhile is answered';
	is description() =~ s/^(?:row limit|loyalty\S*access)\|.*\n//gmr, $at_first =~ s/^(?:row limit|loyalty\S*access)\|.*\n//gmr, 'and refused, it left nothing' if $? >> 8;
	$session->close;
	sql('SELECT loyalty.load_sandbox(reset => true)');
	is description(), $at_first, 'put back again';
}

# --- who may -----------------------------------------------------------------------------------------

sql(q{CREATE ROLE operador; CREATE ROLE lector; SELECT loyalty.grant_operation('operador'), loyalty.grant_reading('lector') \g /dev/null});
is sql('SET ROLE operador; SELECT loyalty.load_sandbox()'), $sandbox, 'operators load the sandbox';
is refused("SET ROLE $_; SELECT loyalty.load_sandbox(reset => true)"), '42501', "$_ does not put it back" for qw(operador lector web_anon loyalty_engine);
is refused("SET ROLE $_; SELECT loyalty.set_row_limit($demo, 1)"), '42501', "$_ sets no limit" for qw(lector web_anon);
is sql("SET ROLE lector; SELECT count(*) FROM loyalty.row_limits"), 1, 'who makes reports sees what there is';
is description(), $at_first, 'nothing happened';

# --- any merchant, by its API key ------------------------------------------------------------------------

sub form { my ($path, $fields, %headers) = @_; my $answer = $stack->form($path, $fields, {apikey => $api_key, %headers}); return "$answer->{status} $answer->{json}{code}" }
sub seller { my ($path, $body) = @_; my $answer = $stack->http_json('POST', "/v1/seller/$api_key/$path", {'Content-Type' => 'application/json'}, JSON::PP->new->utf8->encode($body)); return "$answer->{status} " . (ref $answer->{json} eq 'HASH' ? $answer->{json}{description} // '' : join ',', map { $_->{status} } @{$answer->{json}}) }
my $phone = 4773000000;
my %add = (
	'a contact' => sub { return form('/wallet/contact/add', {wallet_key => $wallet, phone => ++$phone, usertool_id => $staff, customer_name => 'Nuevo'}) },
	'a sale' => sub { return form('/wallet/sale', {wallet_key => $wallet, phone => '4771000002', usertool_id => $staff, transaction_type => 0, transaction_amount => 10}, @_) },
	'points' => sub { return form('/wallet/balance/update', {wallet_key => $wallet, phone => '4771000002', usertool_id => $staff, transaction_type => 0, transaction_amount => 10}) },
	'staff' => sub { return form('/employee/add', {type => 'cajero', employee_name => "Nuevo $phone", business_name => 'Centro', number => ++$phone, password => "otro secreto $phone"}) },
	'a member' => sub { return seller('program/P/member', {email => 'm' . ++$phone . '@x.mx', firstName => 'A', firstLastName => 'B'}) },
	'a batch' => sub { return seller('deposit', [map { {programId => 'P', amount => 10, currency => 'MXN', comments => 'x', member => {email => 'm' . ++$phone . '@x.mx', firstName => 'A', firstLastName => 'B'}} } 1 .. 3]) },
);
my %answer = (a => qr/^20[01] \S*_01$/, b => qr/^201 $/, c => qr/^200 success,success,success$/);
my %good = ('a member' => $answer{b}, 'a batch' => $answer{c});
like $add{$_}->(), $good{$_} // $answer{a}, "$_, without a limit" for sort keys %add;
my $kept = $add{'a sale'}->('Idempotency-Key' => 'venta-1');
sql("SELECT loyalty.set_row_limit($demo, (SELECT loyalty_internal.rows_of($demo, NULL)))");
my $rows = rows($demo);
$before = contents("merchant_id = $demo");
like $add{$_}->(), qr/^429 (?:row_limit_reached|the merchant has as many rows as it may have)$/, "$_, when the merchant is full" for sort keys %add;
is $add{'a sale'}->('Idempotency-Key' => 'venta-1'), $kept, 'a repeat gets the first answer';
is contents("merchant_id = $demo"), $before, 'nothing of that is left';
is refused("SELECT loyalty.wallet_sale($demo, '$wallet', '4771000002', 0, 10, usertool_id => $staff)"), 'LY427', 'in SQL it is the same';
is sql("SELECT (loyalty.post($demo, member_id, 'accrue', '1')).entry_id > 0 FROM loyalty.members WHERE merchant_id = $demo AND phone::text = '4771000002'"), 't', 'the engine posts nevertheless';
is form('/wallet/get', {}), '200 wallets_get_01', 'what only reads goes on';
sql("SELECT loyalty.set_row_limit($demo, $rows + 4)");
like $add{'a batch'}->(), qr/^429 /, 'three members and their points are six rows, where there is room for three';
like $add{'a sale'}->(), $answer{a}, 'a sale has room';
is sql("SELECT loyalty.remove_row_limit($demo), loyalty.remove_row_limit($demo)"), 't|f', 'without a limit';
like $add{$_}->(), $good{$_} // $answer{a}, "$_ goes on" for sort keys %add;

# --- the limit itself -----------------------------------------------------------------------------------

is refused("SELECT loyalty.set_row_limit($_->[0])"), $_->[1], "set_row_limit($_->[0])" for ["$demo, -1", 'LY005'], ["$demo, NULL", 'LY005'], ["$demo, 1000001", 'LY005'], ['1, 10', 'LY006'], ['NULL, 10', 'LY006'];
is refused('SELECT loyalty.remove_row_limit(1)'), 'LY006', 'none of nobody';
is sql('SELECT count(*) FROM loyalty.verify()'), 0, 'the ledger is sound';

done_testing;

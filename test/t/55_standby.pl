# A hot standby, with PostgREST and nginx before it, configured as docs/operate.md
# says: what reads answers there as on the primary, over HTTP and in SQL, view by
# view and function by function; what writes is refused by a code of ours over HTTP,
# and so is all of the customer API, whose readings could not be logged there.
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

my $stack = Loyalty->start(standby => 1, isolation => 'read committed');
my %standby = (port => $stack->env('LOYALTY_STANDBY_PORT'));
my ($key, $wallet, $client, $member_id) = map { $stack->env("LOYALTY_$_") } qw(APIKEY WALLET_KEY PROGRAM_ID MEMBER_ID);

sub literal { my $text = shift; return q{'} . $text =~ s/'/''/gr . q{'} }

# Until the standby has what the primary has committed.
sub follow
{
	my $written = $stack->psql('SELECT pg_current_wal_insert_lsn()');
	return $stack->wait_until(sub { $stack->psql("SELECT pg_last_wal_replay_lsn() >= '$written'", %standby) eq 't' });
}

is $stack->psql('SELECT pg_is_in_recovery()', %standby), 't', 'the second server is a standby';

# --- something of everything -----------------------------------------------------------

my %id = map { /^(\w+)=(.*)$/ ? ($1 => $2) : () } split /\n/, $stack->psql(<<'END' =~ s/KEY/$key/r =~ s/WALLET/$wallet/r);
SELECT loyalty.authenticate('KEY') AS merchant_id \gset
SELECT m.program_id, min(m.account_id) AS account_id, max(m.account_id) AS other_id FROM loyalty.members m WHERE merchant_id = :merchant_id GROUP BY 1 \gset
SELECT loyalty.set_rank_ranges(:merchant_id, 'niveles', '{Plata,Oro}', '{5,100}') \g /dev/null
SELECT loyalty.configure_program(:merchant_id, :program_id, '{"duration_unit":"month","duration_value":6,"range_group":"niveles"}') \g /dev/null
SELECT version FROM loyalty.publish_rules(:merchant_id, :program_id, '[{"name":"doble","multiplier":2,"max_day":10}]') \gset
SELECT entry_id AS sale FROM loyalty.sale(:merchant_id, :account_id, 100, reference => 'T1') \gset
SELECT entry_id AS hold FROM loyalty.hold(:merchant_id, :account_id, 5) \gset
SELECT entry_id FROM loyalty.post(:merchant_id, :account_id, 'deposit', 7, expires_at => clock_timestamp() + interval '1 s') \gset
SELECT loyalty.set_limit(:merchant_id, :program_id, 'member', 'spend', 1000, 10) \g /dev/null
SELECT loyalty.set_quota(:merchant_id, 'redemptions', 1000) \g /dev/null
SELECT loyalty.create_branch(:merchant_id, 'Sur') AS branch_id \gset
SELECT key_id FROM loyalty.create_api_key(:merchant_id, 'otra') \gset
SELECT root_id, root FROM loyalty.make_root(:merchant_id) \gset
SELECT loyalty.receipt(:merchant_id, :account_id, :root_id) AS receipt \gset
INSERT INTO loyalty.numbering_plan (nir, serie, numeracion_inicial, numeracion_final, tipo_red) VALUES ('222', '100', '0000', '0999', 'FIJO');
SELECT loyalty.apply_numbering_plan() \g /dev/null
SELECT message_id FROM loyalty.outbox WHERE merchant_id = :merchant_id LIMIT 1 \gset
SELECT u.name AS app_user, c.curp, c.merchant_id AS sandbox, s.policy_id, k.consent_id
FROM loyalty.app_users u JOIN loyalty.customers c USING (merchant_id) JOIN loyalty.policies s USING (merchant_id, member_id) JOIN loyalty.consents k USING (merchant_id, member_id) LIMIT 1 \gset
SELECT loyalty.customer_read(:sandbox, 'individual_request', :'app_user', :'curp', 'Mail') \g /dev/null
\echo merchant_id=:merchant_id
\echo program_id=:program_id
\echo account_id=:account_id
\echo other_id=:other_id
\echo sale=:sale
\echo hold=:hold
\echo branch_id=:branch_id
\echo key_id=:key_id
\echo root_id=:root_id
\echo root=:root
\echo receipt=:receipt
\echo message_id=:message_id
\echo app_user=:app_user
\echo curp=:curp
\echo sandbox=:sandbox
\echo policy_id=:policy_id
\echo consent_id=:consent_id
END
# so that points are due that nobody has booked
$stack->psql('SELECT pg_sleep(2)');
ok follow(), 'the standby follows';

# --- views -----------------------------------------------------------------------------

my %session = (primary => $stack->connect_async, standby => $stack->connect_async(%standby));
my @views = split /\n/, $stack->psql(q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'loyalty'::regnamespace AND (relkind = 'v' OR relname = 'entry') ORDER BY 1});
my $read = 0;
for my $view (@views)
{
	my %rows = map { $_ => $session{$_}->query("SELECT v::text FROM $view v ORDER BY 1") } keys %session;
	$read++ if length $rows{standby};
	is $rows{standby}, $rows{primary}, $view;
}
cmp_ok $read, '>', 25, "$read views have rows";

# --- functions ---------------------------------------------------------------------------

# A call of each function of the catalog with arguments that are right, by their names.
my %right = (
	%id, to_account_id => $id{other_id}, member_id => $id{account_id}, with_member_id => $id{other_id}, entry_id => $id{sale}, root => "'$id{root}'", receipt => literal($id{receipt}),
	staff_id => 1, usertool_id => 2, app_user => literal($id{app_user}), curp => literal($id{curp}), api_key => literal($key), wallet_key => literal($wallet), password => literal('una clave'),
	program_client_id => literal($client), programId => literal($client), member_client_id => literal($member_id), memberId => literal($member_id), client_id => literal($client),
	name => literal('Nueva'), first_name => literal('Eva'), first_last_name => literal('Ríos'), firstName => literal('Eva'), firstLastName => literal('Ríos'), customer_name => literal('Eva'), employee_name => literal('Eva Ríos'),
	business_name => literal('Norte'), email => literal('eva@correo.example'), phone => literal('4771234501'), number => literal('4771000009'), street => literal('Hidalgo'), ordinal => 1, label => literal('x'),
	kind => literal('deposit'), amount => 1, money => 10, percentage => 10, price => 10, stock => 5, payments => 1, at => 'now()', moment => 'now()', items => literal(qq([{"programId":"$client","memberId":"$member_id","amount":5,"comments":"x"}])),
	type => literal('cajero'), scope => literal('branch'), direction => literal('add'), resource => literal('customers'), remaining => 5, max_rows => 5, reset => 'false', max_points => 10, settings => literal('{}'), rules => literal('[]'), rule => literal('{}'),
	range_group => literal('otros'), ranks => "'{A}'", from_points => "'{5}'", rank => literal('Oro'), operation => literal('individual_request'), request => literal('Mail'), signature => literal('x'), product => literal('Funerario'),
	method => literal('SPEI'), reference => literal('R1'), purpose => literal('x'), notice_version => literal('1'), code => literal('470'), supported => 'true', attempt => 1, older_than => q{'1 day'}, first => q{'2027-01-01'}, last => q{'2027-01-30'}, today => q{'2027-01-30'}, from_date => q{'2026-01-01'}, until_date => q{'2027-01-01'}, format => literal('html'), lifetime => q{'1 day'}, ends => 2000000000, token => literal('x'), starts_at => q{'2026-01-01'}, ends_at => q{'2027-01-01'}, role => literal('web_anon'),
	task => literal('roll_up'), max_seconds => 5, transaction_type => 0, transaction_amount => 10, every_program => 'true', value => literal('2027-01-01'), time_zone => literal('America/Mexico_City'), key => literal('x'), program_ids => "'{$id{program_id}}'", account_ids => "'{$id{account_id}}'");
my %optional = (capture => ['amount'], release => ['amount'], reverse => ['amount', 'reference'], transfer => ['amount'], find_member => ['phone'], find_program => ['client_id'], identify_member => ['email'], correct_member => ['name'],
	set_limit => ['max_points'], set_staff_programs => ['every_program'], wallet_sale => ['transaction_amount', 'usertool_id'], wallet_contact_get => ['phone'], set_rank => ['reference'],
	map { $_ => undef } qw(employee_add employee_disable wallet_contact_add wallet_balance_update program_get member_get member_balance member_list member_create deposit redemption accumulation));
my %own = (set_fraud_threshold => {threshold => literal('burst_seconds'), value => 5}, member_statement => {format => literal('csv')}, set_redemption_rate => {rate => '0.5', from_month => q{'2020-01-01'}}, capture => {entry_id => $id{hold}}, release => {entry_id => $id{hold}}, policy_status => {merchant_id => $id{sandbox}}, wallet_contact_add => {phone => literal('5512345678')}, create_app_user => {name => literal('Nueva_App')}, create_member => {phone => literal('5512345678')},
	employee_disable => {number => literal('4771000002')}, post_batch => {account_id => "ARRAY[$id{account_id}]", kind => q{'{deposit}'}, amount => q{'{1}'}}, forget_access_log => {older_than => q{'2 years'}}, set_member_address => {member_id => $id{account_id}}, address_part => {address => literal('{}')}, set_customer_preferences => {preferences => literal('{}')},
	map({ $_ => {merchant_id => $id{sandbox}, name => literal($id{app_user}), api => literal('CUSTOMER')} } qw(grant_app_user_api revoke_app_user_api rotate_private_key set_app_user_api add_private_key)),
	map { $_ => {merchant_id => $id{sandbox}} } qw(customer_read grant_consent revoke_consent block_customer open_policy pay_policy));
# of the types, and what else is not called by its name
my %of_type = (bigint => 5, integer => 3, smallint => 2, numeric => 2, text => literal('4771234501'), boolean => 'true', date => q{'2027-01-01'}, json => q{'[]'}, jsonb => q{'{}'}, bytea => q{'\x41'}, interval => q{'1 day'}, name => literal('web_anon'),
	'timestamp with time zone' => q{'2027-01-01'}, 'loyalty.points' => 5, 'loyalty.points[]' => q{'{5}'}, 'loyalty.phone' => literal('4771234501'), 'loyalty.curp' => literal('PEGJ800115HDFRRN07'), 'loyalty.lots' => literal('{2027-01-01T06:00:00Z=30}'),
	'loyalty_internal.factor' => 2, 'loyalty_internal.maintenance_terms' => '(SELECT c FROM loyalty_internal.maintenance_terms c LIMIT 1)', xml => 'xmlelement(name p)', map({ ("loyalty_internal.dashboard_$_->[0]\[]" => "loyalty_internal.dashboard_$_->[1]") } ['day', "days($id{merchant_id}, '2020-01-01', '2099-12-31')"], ['lot', "lots($id{merchant_id})"]), 'loyalty_internal.statement' => "loyalty_internal.read_statement($id{merchant_id}, $id{account_id}, '2026-01-01', '2027-01-01')", 'loyalty_internal.month_close' => '(SELECT c FROM loyalty_internal.month_close c LIMIT 1)', 'loyalty_internal.program' => "(SELECT p FROM loyalty_internal.program p WHERE p.program_id = $id{program_id})", 'uuid' => literal('00000000-0000-0000-0000-000000000000'), 'text[]' => q{'{A}'}, 'bigint[]' => q{'{1}'}, 'double precision' => 2, real => 2);

sub call
{
	my ($function, @arguments) = @_;
	my ($name) = $function =~ /\.(\w+)$/;
	my @given;
	my $in_order = grep { /^:/ } @arguments;    # which one that takes any number needs
	for my $argument (@arguments)
	{
		my ($argument_name, $type, $has_default) = split /:/, $argument;
		my $wanted = !exists $optional{$name} ? !$has_default : !defined $optional{$name} || !$has_default || grep { $_ eq $argument_name } @{$optional{$name}};
		next if !$wanted || $argument_name eq 'idempotency_key' || $argument_name eq 'after' || $argument_name eq 'address' && $has_default;
		my $value = $own{$name}{$argument_name} // $right{$argument_name} // $of_type{$type} // return;
		push @given, ($in_order ? '' : qq("$argument_name" => )) . "${value}::$type";
	}
	return "$function(" . join(', ', @given) . ')';
}

my @functions = map { my ($name, $volatility, @arguments) = split /\|/; {name => $name, volatility => $volatility, call => scalar call($name, @arguments)} } split /\n/, $stack->psql(q{
	SELECT concat_ws('|', p.pronamespace::regnamespace || '.' || p.proname, p.provolatile, (
		SELECT string_agg(concat_ws(':', CASE WHEN p.provariadic = 0 OR i < p.pronargs THEN coalesce(p.proargnames[i], '') ELSE '' END,
			CASE WHEN p.provariadic = 0 OR i < p.pronargs THEN t ELSE p.provariadic END::regtype, CASE WHEN i > p.pronargs - p.pronargdefaults THEN 'default' END), '|' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY a (t, i)))
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'loyalty'
	WHERE p.prokind = 'f' AND 'internal'::regtype <> ALL (p.proargtypes::oid[]) AND 'cstring'::regtype <> ALL (p.proargtypes::oid[]) AND p.prorettype <> ALL ('{cstring,trigger}'::regtype[])
	ORDER BY p.oid::regprocedure::text});

my $headers = literal(qq({"apikey":"$key","x-loyalty-key":"$key","x-loyalty-uri":"/wallet/get","x-loyalty-method":"POST"}));
$_->query("SET request.headers = $headers; SET client_min_messages = error") for values %session;

# What a call comes to: rows, or an SQLSTATE with the message.
sub outcome
{
	my ($where, $call) = @_;
	my $answer = $session{$where}->query("SELECT x::text FROM $call x");
	return $answer =~ /^(?:psql:\S+ )?ERROR:  (\w{5}): (.*)$/m ? "$1 $2" : $answer;
}

# Why a call on a server that only reads is not answered as it should be.
my $impossible = qr/^(?:25\w{3}|XX\w{3}|42601|42883|57\w{3}) /;

my ($answered, $refused, @unlike) = (0, 0);
for my $function (grep { $_->{volatility} ne 'v' } @functions)
{
	my $outcome = $function->{call} ? outcome('standby', $function->{call}) : 'there are no arguments for it';
	my $expected = $function->{call} ? outcome('primary', $function->{call}) : '';
	$outcome =~ /^\w{5} / && $outcome !~ /^\d/ ? $refused++ : $answered++;
	$expected = $outcome if $function->{name} =~ /^loyalty_internal\.(?:forgotten_before|due_entries)$/;    # by the clock
	s/"exported_at" : "[^"]*"|Emitido el [^<]*// for $outcome, $expected;
	s/^\(\d+,(verify,.*),"[^"]*"\)$/$1/ for $outcome, $expected;    # the process, and since when
	push @unlike, ($function->{call} // $function->{name}) . ": $outcome, and not $expected" if $outcome ne $expected || $outcome =~ $impossible;
}
is join("\n", @unlike), '', 'every function that the catalog says is STABLE or IMMUTABLE answers as on the primary';
cmp_ok $answered, '>', 100, "$answered answered, $refused refused";

# --- what may not be called there -----------------------------------------------------------

# Functions that read, and have another reason to be VOLATILE.
my %reads = map { $_ => 1 } qw(loyalty.load_sandbox loyalty.verify loyalty_api.gateway loyalty_api.ready
	loyalty_api.toolusers_get loyalty_api.wallet_get loyalty_api.wallet_contact_get loyalty_api.program_list loyalty_api.program_get loyalty_api.member_list loyalty_api.member_get loyalty_api.member_balance);
my (@wrong, %ended);
my $how = sub {
	my $outcome = shift;
	return $1 if $outcome =~ /^(25006|LY504|55000) /;
	return 'read_only' if $outcome =~ /"nothing can be written here"/;
	return $outcome =~ /^\w{5} / ? 'otherwise' : 'answered';
};
for my $function (grep { $_->{volatility} eq 'v' && $_->{name} !~ /^loyalty_internal/ } @functions)
{
	my $outcome = $function->{call} ? outcome('standby', $function->{call}) : 'there are no arguments for it';
	my $ended = $how->($outcome);
	$ended{$ended}++;
	push @wrong, ($function->{call} // $function->{name}) . ": $outcome" if $ended eq 'otherwise' || ($ended eq 'answered') != exists $reads{$function->{name}};
}
is join("\n", @wrong), '', 'every function that the catalog says is VOLATILE reads, or is refused';
note join ', ', map { "$_ $ended{$_}" } sort keys %ended;

# --- over HTTP ----------------------------------------------------------------------------

# How often PostgREST dropped its connections and read the schema again.
sub loads
{
	my $log = $stack->work_dir . '/standby-postgrest.log';
	open my $in, '<', $log or die "$log: $!\n";
	return scalar grep { /Attempting to connect to the database/ } <$in>;
}

# What one of the two answers: status, body, and headers that say something.
sub answer
{
	my ($where, $method, $path, $body, %headers) = @_;
	my $answer = $stack->http($method, $stack->env($where eq 'standby' ? 'LOYALTY_STANDBY_URL' : 'LOYALTY_URL') . $path, \%headers, $body);
	return join ' ', $answer->{status}, $answer->{headers}{allow} // '', $answer->{body};
}

my %form = (apikey => $key, 'Content-Type' => 'application/x-www-form-urlencoded');
my %json = ('Content-Type' => 'application/json');
my $seller = "/v1/seller/$key";
my @reading = (
	['POST', '/toolusers/get', '', %form], ['POST', '/wallet/get', '', %form], ['POST', '/wallet/get', '{"source":"mcp"}', %form, %json],
	['POST', '/wallet/contact/get', "wallet_key=$wallet", %form], ['POST', '/wallet/contact/get', "wallet_key=$wallet&phone=4771234501", %form], ['POST', '/wallet/contact/get', "wallet_key=$wallet&phone=9999999999", %form],
	['POST', '/wallet/contact/get', 'wallet_key=x', %form], ['POST', '/wallet/contact/get', '', %form],
	(map { ['GET', "$seller/program$_", undef] } '', "/$client", '/x', "/$client/member", "/$client/member?limit=1&offset=1", "/$client/member?email=sofia\@example.com", "/$client/member?after=x", "/$client/member/$member_id", "/$client/member/x", "/$client/member/$member_id/balance"),
	['POST', '/wallet/get', '', %form, apikey => 'x'], ['GET', '/v1/seller/x/program', undef], ['GET', '/wallet/get', undef, %form], ['POST', '/nada', '', %form], ['GET', '/api/Customer_V1', undef], ['POST', '/api/nada', '{}', %json]);
my %told = ($key => 'KEY', $wallet => 'WALLET', $client => 'PROGRAM', $member_id => 'MEMBER');
sub named { return join(' ', map { $_ // '' } @_[0 .. 2]) =~ s/(\Q$key\E|$wallet|$client|$member_id)/$told{$1}/gr }
is answer('standby', @$_), answer('primary', @$_), named(@$_) for @reading;

my $link = $stack->psql("SELECT loyalty.dashboard_link($id{merchant_id})");
my ($there, $here) = map { answer($_, 'GET', $link) =~ s/\d\d:\d\d//gr } qw(standby primary);
like $here, qr/^200 .*<h2>Hoy/s, 'the dashboard';
is $there, $here, '… is there too';
is answer('standby', 'GET', '/dashboard?token=x'), answer('primary', 'GET', '/dashboard?token=x'), '… for who has a link';
is answer($_, 'GET', '/ready'), '200  {"status": "ready"}', "$_ is ready" for 'standby', 'primary';

# A session there remembers no more of a program than one of the primary.
$stack->psql("SELECT loyalty.disable_program($id{merchant_id}, $id{program_id})");
follow();
like answer('standby', 'POST', '/wallet/contact/get', "wallet_key=$wallet", %form), qr/^400 .*"balance_get_02"/, 'a wallet that was disabled just now';
$stack->psql("SELECT loyalty.enable_program($id{merchant_id}, $id{program_id})");
follow();
is answer('standby', 'POST', '/wallet/contact/get', "wallet_key=$wallet", %form), answer('primary', 'POST', '/wallet/contact/get', "wallet_key=$wallet", %form), 'and enabled again';

my $before = loads();
my $refused_form = encode('UTF-8', '503  {"success":false,"message":"nothing can be written here","code":"read_only","status":503}');
is answer('standby', 'POST', @$_[0, 1], %form), $refused_form, named('POST', @$_) for ['/wallet/sale', "wallet_key=$wallet&phone=4771234501&transaction_type=0&transaction_amount=10&usertool_id=2"],
	['/wallet/sale', ''], ['/wallet/contact/add', 'phone=4771234509'], ['/wallet/balance/update', 'x=1'], ['/employee/add', 'type=cajero'], ['/employee/disable', 'number=4771000002'];
is answer('standby', 'POST', '/wallet/sale', "wallet_key=$wallet", %form, 'Idempotency-Key' => 'k1'), $refused_form, 'with an idempotency key';
my $refused_json = '503  {"status":"error","description":"nothing can be written here"}';
is answer('standby', 'POST', "$seller$_->[0]", $_->[1], %json), $refused_json, named('POST', $_->[0], substr $_->[1], 0, 5) for ['/deposit', '[{}]'], ['/redemption', '[]'], ['/accumulation', '{}'], ["/program/$client/member", '{}'], ['/deposit', '[' . ' ' x 100_000 . '{}]'];

# One that the primary answers; the token too would be logged if it were refused.
my $private_key = $stack->psql('SELECT private_key FROM loyalty_internal.app_user_key LIMIT 1');
my $signature = hmac_sha256_hex($id{curp}, $private_key);
my $now = time;
my %bearer = (%json, Authorization => 'Bearer ' . hmac_sha256_hex(qq({"timestamp":$now,"expires_in":600}), $signature));
my $about = qq("nombre_de_usuario":"$id{app_user}","curp_en_uso":"$id{curp}");
my $token_data = qq("token_data":{"timestamp":$now,"expires_in":600});
my @customer = (
	['/api/Registro_sbx', qq({"tipo_peticion":"token_full",$about,"firma_KEY":"$signature"})], ['/api/Registro_sbx', qq({"tipo_peticion":"token_full",$about,"firma_KEY":"x"})],
	['/api/Customer_sbx', qq({"tipo_peticion":"individual_request","request":"Mail",$about,$token_data})], ['/api/Customer_sbx', qq({"tipo_peticion":"request","request":"request_block",$about,$token_data})],
	['/api/Customer_sbx', '{}'], ['/api/Payments_sbx', qq({"tipo_peticion":"account_status",$about,$token_data})], ['/api/Payments_sbx', qq({"tipo_peticion":"pagos_psd2",$about,$token_data,"cantidad":1,"metodo":"SPEI","referencia":"x"})],
	['/api/Accounts_sbx', qq({"tipo_peticion":"new_service",$about,$token_data})]);
like answer('primary', 'POST', @{$customer[2]}, %bearer), qr/^202 /, 'the primary tells a datum';
is answer('standby', 'POST', @$_, %bearer), '503  {"ok":false,"status":503,"error":"nothing can be written here","mensaje":"nothing can be written here"}', "POST $_->[0] " . substr $_->[1], 0, 50 for @customer;
is loads(), $before, 'no refusal makes PostgREST drop its connections';

# --- servers that could write ---------------------------------------------------------------

sub gateway
{
	my ($function, $path, $body, $begin) = @_;
	my $request = literal(qq({"x-loyalty-key":"$key","x-loyalty-uri":"$path","x-loyalty-method":"POST","x-loyalty-type":"application/x-www-form-urlencoded"}));
	my $written = "SELECT count(*) FROM loyalty.entry";
	return $stack->psql("$written; $begin; SET LOCAL request.headers = $request; SELECT loyalty_api.$function(" . literal($body) . "::bytea), current_setting('response.status', true); COMMIT; $written");
}
my $sale = "wallet_key=$wallet&phone=4771234501&transaction_type=0&transaction_amount=10&usertool_id=2";
my $entries = $stack->psql('SELECT count(*) FROM loyalty.entry');
my $no_sale = "$entries\n" . '{"success":false,"message":"nothing can be written here","code":"read_only","status":503}|504' . "\n$entries";
is gateway('gateway_read', '/wallet/sale', $sale, 'BEGIN READ WRITE'), $no_sale, 'gateway_read writes nothing where it could';
is gateway('gateway', '/wallet/sale', $sale, 'BEGIN READ ONLY'), $no_sale, 'nor does gateway in a transaction that only reads';
is gateway('gateway_read', '/api/Customer_V1', qq({$about}), 'BEGIN READ WRITE'), "$entries\n" . '{"ok":false,"status":503,"error":"nothing can be written here","mensaje":"nothing can be written here"}|504' . "\n$entries", 'and neither the access log';
like gateway('gateway', '/wallet/sale', $sale, 'BEGIN READ WRITE'), qr/"new_sale_01"/, 'gateway writes otherwise';
is $stack->psql_error("BEGIN READ ONLY; SELECT loyalty.$_")->{detail}, 'read_only', 'in SQL: ' . s/\(.*//sr for "wallet_sale($id{merchant_id}, '$wallet', '4771234501', 0, 10, NULL, 2)",
	"customer_read($id{sandbox}, 'individual_request', '$id{app_user}', '$id{curp}', 'Mail')", "customer_token('$id{app_user}', '$id{curp}', '$signature')";

# PostgREST would open such a transaction for a GET.
my $loads = sub { open my $in, '<', $stack->work_dir . '/postgrest.log' or die "$!\n"; return scalar grep { /Attempting to connect/ } <$in> };
$before = $loads->();
my $rpc = $stack->http('GET', $stack->env('POSTGREST_URL') . '/rpc/employee_disable?number=4771000002', {apikey => $key});
is "$rpc->{status} $rpc->{body}", '405 {"success":false,"message":"this path does not serve this method","code":"method_not_allowed","status":405}', 'a GET of a named function that writes';
is $stack->http('GET', $stack->env('POSTGREST_URL') . '/rpc/wallet_get', {apikey => $key})->{status}, 200, 'of one that reads';
is $loads->(), $before, 'and PostgREST keeps its connections';

# --- what is left when the primary is gone ----------------------------------------------------

follow();
my @last = map { answer('primary', @$_) } @reading;
$session{$_}->close for keys %session;
$stack->stop_postgres('immediate');
is_deeply [map { answer('standby', @$_) } @reading], \@last, 'the standby goes on reading';
is answer('standby', 'POST', '/wallet/sale', $sale, %form), $refused_form, 'and does not write';
is $stack->psql('SELECT * FROM loyalty.verify()', %standby), '', 'the ledger is sound there';
$stack->start_postgres;

open my $in, '<:encoding(UTF-8)', $stack->env('LOYALTY_STANDBY_LOG') or die "the standby's log: $!\n";
my @log = grep { !/replication|primary|could not connect|WAL|streaming/ } <$in>;
my @http = grep { /gateway_read failed|request failed| failed: / } @log;
is join('', @http), '', 'no request has failed for a reason that only the log has';
is join('', grep { /PANIC|TRAP:|terminated by signal|XX000/ } @log), '', 'nor has the standby';
done_testing;

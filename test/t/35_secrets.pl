# What proves who one is, API keys, passwords, PRIVATE_KEYs, tokens, signatures and
# acceptance keys, is in no log: of PostgreSQL, though it logs every statement of
# PostgREST and the parameters of errors; of nginx, though it cannot put a body on
# disk; and of SQL that has one as a literal, when it fails, waits, or is waited for.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

my $stack = Loyalty->start;
my $key = $stack->env('LOYALTY_APIKEY');
my ($app_user, $private_key, $curp, $merchant) = split /\|/, $stack->psql(q{
	SELECT u.name, k.private_key, c.curp, c.merchant_id FROM loyalty_internal.app_user u JOIN loyalty_internal.app_user_key k ON k.app_user = u.name JOIN loyalty.customers c USING (merchant_id) LIMIT 1});

# --- the roles -------------------------------------------------------------------------

my $settings = q{SELECT array_to_string(setconfig, ' ') FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE rolname = '%s'};
sub setting_of { my $role = shift; return join ' ', sort grep { /^(?:log_parameter|debug_print)/ } split / /, $stack->psql(sprintf $settings, $role) }
my $hidden = 'debug_print_parse=off debug_print_plan=off debug_print_rewritten=off log_parameter_max_length=0 log_parameter_max_length_on_error=0';
$stack->psql(q{CREATE ROLE till LOGIN PASSWORD 'till'; CREATE ROLE report; CREATE ROLE clerk LOGIN; CREATE ROLE chief LOGIN SUPERUSER; GRANT report TO clerk, chief;
	SELECT loyalty.grant_operation('till'); SELECT loyalty.grant_reporting('report')});
is setting_of($_), $hidden, "parameters of $_ are not logged" for qw(authenticator web_anon till report clerk);
# Plans have parameters, and the owner of the database may have all of it print them.
my $database = $stack->psql('SELECT current_database()');
$stack->psql("ALTER DATABASE $database SET debug_print_$_ = on") for qw(parse rewritten plan);
is $stack->psql('SHOW debug_print_plan', user => 'till', password => 'till'), 'off', 'nor are plans of theirs, whatever is set for the database';
$stack->psql("ALTER DATABASE $database RESET debug_print_$_") for qw(parse rewritten plan);
is setting_of('chief'), '', q{a superuser's settings are their own};
$stack->psql(q{CREATE ROLE helper CREATEROLE; GRANT USAGE ON SCHEMA loyalty_internal TO helper; GRANT EXECUTE ON FUNCTION loyalty_internal.prepare_role, loyalty_internal.fail TO helper;
	CREATE ROLE client; GRANT client TO helper WITH ADMIN OPTION});
is $stack->psql_error(q{SET ROLE helper; SELECT loyalty_internal.prepare_role('client')})->{sqlstate}, '42501', 'who may not set it is told so, not passed over';
$stack->psql('GRANT SET ON PARAMETER log_parameter_max_length TO helper');
is $stack->psql_error(q{SET ROLE helper; SELECT loyalty_internal.prepare_role('client')}), undef, 'who was granted the parameter sets it, without being superuser';

# --- over HTTP ---------------------------------------------------------------------------

# All that the server can log, of everybody who has not been told otherwise.
$stack->psql($_) for map { "ALTER SYSTEM SET $_" } q{log_min_duration_statement = 0}, q{log_statement = 'all'}, q{log_error_verbosity = verbose}, q{log_parameter_max_length_on_error = -1};
$stack->psql('SELECT pg_reload_conf(); SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = \'authenticator\'');
for my $path ('/wallet/get', '/toolusers/get')	# of the one PostgREST, and of the other
{
	$stack->wait_until(sub { $stack->form($path)->{status} == 200 });
}

sub requests
{
	my $form = 'application/x-www-form-urlencoded';
	my $signature = hmac_sha256_hex($curp, $private_key);
	my $json = sub { $stack->http_json('POST', @_) };
	my $token = $json->('/api/Registrar_V1_sbx', {'Content-Type' => 'application/json'}, qq({"tipo_peticion":"token_full","nombre_de_usuario":"$app_user","curp_en_uso":"$curp","firma_KEY":"$signature"}))->{json}{token} // '';
	$stack->{secrets}{$_} = 1 for grep { length } $signature, $token;
	return (
		$stack->form('/wallet/get')->{status},
		$stack->form('/employee/add', {type => 'cajero', employee_name => 'Ana', business_name => 'Centro', number => '4771000077', password => 'la-clave-de-Ana-77'})->{status},
		$stack->form('/employee/add', {type => 'cajero', employee_name => 'Ana', business_name => 'Centro', number => '4771000077', password => 'la-clave-de-Ana-78'})->{status} >= 400 ? 'refused' : 'taken',
		$json->("/v1/seller/$key/deposit", {'Content-Type' => 'application/json'}, '[{}]')->{status},
		$json->($stack->env('POSTGREST_URL') . '/rpc/employee_add', {apikey => $key, 'Content-Type' => 'application/json'}, '{"type":"cajero","employee_name":"Eva","business_name":"Centro","number":"4771000079","password":"la-clave-de-Eva-79"}')->{status},
		length $token);
}
$stack->{secrets}{"la-clave-de-$_"} = 1 for 'Ana-77', 'Ana-78', 'Eva-79';
my @answers = requests();
is "@answers[0, 1, 2]", '200 200 refused', 'requests with keys and passwords are answered';
is $answers[4], 200, 'PostgREST itself too';
like $stack->server_log, qr/LOG:.*execute/, 'the server logs what PostgREST asks';
is join('', $stack->lines_with_secrets), '', 'and no key, password, signature or token is in a log';

# An error that PostgREST's statement ends with has its parameters, if they are not hidden.
$stack->psql(q{ALTER ROLE web_anon SET statement_timeout = '10min'; ALTER TABLE loyalty_internal.api_key RENAME TO api_key_away});
$stack->form('/wallet/get');
$stack->psql('ALTER TABLE loyalty_internal.api_key_away RENAME TO api_key');
like $stack->server_log, qr/request failed|api_key" does not exist/, 'a failure has its cause in the log';
is join('', $stack->lines_with_secrets), '', 'and not the key of who met it';

# PostgREST has PostgreSQL read the JSON of a named function, and what cannot be read is quoted in the context.
sub reconnect
{
	$stack->psql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator'});
	$stack->wait_until(sub { $stack->form('/wallet/get')->{status} == 200 });
	return;
}
$stack->{secrets}{'la-clave-de-Eva-80'} = 1;
$stack->psql('ALTER ROLE authenticator SET log_error_verbosity = terse');
reconnect();
is $stack->http_json('POST', $stack->env('POSTGREST_URL') . '/rpc/employee_add', {apikey => $key, 'Content-Type' => 'application/json'}, '{"password":"la-clave-de-Eva-80\u0000"}')->{status}, 400, 'a password that is no text';
like $stack->server_log, qr/unsupported Unicode escape/, 'has its error in the log';
is join('', $stack->lines_with_secrets), '', 'and is not quoted, where the role says so';
$stack->psql('ALTER ROLE authenticator RESET log_error_verbosity');
reconnect();

# --- nginx -------------------------------------------------------------------------------

my $bodies = $stack->work_dir . '/nginx/client_body';
chmod 0, $bodies or die "$bodies: $!\n";
my $answer = $stack->http('POST', "/v1/seller/$key/deposit", {'Content-Type' => 'application/json'}, '[' . ' ' x 900_000 . '{}]');
chmod 0700, $bodies;
ok $answer->{status} == 500 || $answer->{status} == 200, "a body that cannot be put on disk: $answer->{status}";
is join('', $stack->lines_with_secrets), '', 'nginx does not log the path of it';

# --- SQL -----------------------------------------------------------------------------------

# As whoever sends statements with literals in them, although they should send parameters.
$stack->psql("ALTER SYSTEM RESET $_") for qw(log_min_duration_statement log_statement);
$stack->psql('SELECT pg_reload_conf()');
my $secret = 'un-secreto-de-verdad-1234567890-abcdef';
$stack->{secrets}{$secret} = 1;
$stack->psql("SELECT loyalty.create_app_user($merchant, 'taken', '$private_key')");
my %till = (user => 'till', password => 'till');
my %table = (authenticate => 'api_key', verify_staff_password => 'staff', employee_add => 'staff', create_app_user => 'app_user', rotate_private_key => 'app_user', customer_token => 'app_user', customer_read => 'consent');
my %call = (
	authenticate => "'$secret'", verify_staff_password => "$merchant, 1, '$secret'", employee_add => "$merchant, 'cajero', 'Ana', 'Centro', '4771000077', '$secret'",
	create_app_user => "$merchant, 'taken', '$secret'", rotate_private_key => "$merchant, 'nobody', '1 day', '$secret'", customer_token => "'$app_user', '$curp', '$secret'",
	customer_read => "$merchant, 'individual_request', '$app_user', '$curp', 'Mail', acceptance_key => '$secret'");
is $stack->psql(q{SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'loyalty'::regnamespace
	AND EXISTS (SELECT FROM unnest(proargnames[1:pronargs]) n WHERE n ~ 'password|private|signature|token|_key$' AND n NOT IN ('idempotency_key', 'wallet_key'))}), join(' ', sort keys %call), 'the functions that take a secret are these';
my $lock = $stack->connect_async;
for my $name (sort keys %call)
{
	my $sql = "loyalty.$name($call{$name})";
	my @errors = map { $stack->psql_error($_, %till) } "SELECT $sql", "DO \$\$ BEGIN PERFORM $sql; END \$\$";
	$lock->query("BEGIN; LOCK TABLE loyalty_internal.$table{$name}");
	my $locked = $stack->psql_error("SET lock_timeout = '50ms'; SELECT $sql", %till);
	my $cancelled = $stack->psql_error("SELECT loyalty.fold(''); SET statement_timeout = '300ms'; SELECT $sql", %till);
	$lock->query('ROLLBACK');
	is $locked->{sqlstate}, '55P03', "$name fails where its table is locked";
	is $cancelled->{sqlstate}, '57014', 'and is cancelled where it waits too long';
	is join('', grep { defined && /\Q$secret\E/ } map { $_ ? values %$_ : () } @errors, $locked, $cancelled), '', "$name does not repeat its argument in an error";
	is join('', $stack->lines_with_secrets), '', "nor is it in the log";
}

# While one waits, others see that it does, and not the secret that it has.
my @session = map { $stack->connect_async } 1, 2;
$_->query("SET deadlock_timeout = '100ms'; SET log_lock_waits = on; SET client_min_messages = error") for @session;
my @pid = map { $_->query('SELECT pg_backend_pid()') } @session;
sub seen
{
	my $n = shift;
	$stack->wait_until(sub { $stack->psql("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid[$n]") eq 't' });
	return $stack->psql("SELECT query FROM pg_stat_activity WHERE pid = $pid[$n]");
}
my $hidden_statement = '/* a statement that has a secret */';
for my $name (sort keys %call)
{
	$lock->query("BEGIN; LOCK TABLE loyalty_internal.$table{$name}");
	$session[0]->send("SELECT loyalty.$name($call{$name})");
	is seen(0), $hidden_statement, "$name is seen to wait";
	$lock->query('ROLLBACK');
	$session[0]->receive;
}
$session[0]->query(qq{SET request.headers = '{"apikey": "$key", "x-request-id": "of-a-secret"}'});
$lock->query('BEGIN; LOCK TABLE loyalty_internal.staff');
$session[0]->send("SELECT loyalty_api.employee_add('cajero', 'Ana', 'Centro', '4771000077', '$secret')");
is seen(0), "/* request of-a-secret */ $hidden_statement", 'one of a request too';
$stack->wait_until(sub { $stack->server_log =~ /still waiting for/ });
$lock->query('ROLLBACK');
$session[0]->receive;
is join('', $stack->lines_with_secrets), '', 'the log has who waits, and not with which secret';

# Two who hire at two merchants in the opposite order; PostgreSQL logs the statements of both.
my $rival = $stack->psql(q{SELECT loyalty.create_merchant('Otro')});
my $hires = 0;
sub hire { my $of = shift; $hires++; return "SELECT loyalty.employee_add($of, 'cajero', 'Persona $hires', 'Centro', '477200000$hires', '$secret-$hires')" }
$_->query('BEGIN') for @session;
like $session[0]->query(hire($merchant)), qr/^\d+$/, 'one hires here';
like $session[1]->query(hire($rival)), qr/^\d+$/, 'another there';
$session[0]->send(hire($rival));
seen(0);
$session[1]->send(hire($merchant));
like join("\n", map { $_->receive } @session), qr/40P01/, 'then each at the other: a deadlock';
$_->query('ROLLBACK') for @session;
like $stack->server_log, qr/Process $pid[0]: \Q$hidden_statement\E\s+Process $pid[1]: \Q$hidden_statement\E|Process $pid[1]: \Q$hidden_statement\E\s+Process $pid[0]: \Q$hidden_statement\E/, 'which the log tells of';
is join('', $stack->lines_with_secrets), '', 'without the secret of either';

# What is after it in the same statement.
is $stack->psql_error("SELECT loyalty.verify_staff_password($merchant, 1, '$secret'), 1 / (random() * 0)::integer")->{sqlstate}, '22012', 'a statement fails after it asked for a password';
like $stack->server_log, qr/division by zero/, 'the log has why';
is join('', $stack->lines_with_secrets), '', 'and not the password';
$_->close for $lock, @session;

# A cancel that comes while a password is hashed is told when that is done.
$stack->psql("UPDATE loyalty_internal.staff SET password_cost = 1000000 WHERE merchant_id = $merchant; ALTER ROLE till SET loyalty.password_cost = 1000000");
my $colleague = $stack->psql("SELECT min(staff_id) FROM loyalty_internal.staff WHERE merchant_id = $merchant AND archived_at IS NULL");
my %hashing = (verify_staff_password => "loyalty.verify_staff_password($merchant, $colleague, '$secret')", employee_add => "loyalty.employee_add($merchant, 'cajero', 'Otra', 'Centro', '4771000078', '$secret')",
	'loyalty_api.employee_add' => "loyalty_api.employee_add('cajero', 'Otra', 'Centro', '4771000078', '$secret')");
$stack->psql("SELECT loyalty.grant_api('till')");
for my $name (sort keys %hashing)
{
	my $headers = $name =~ /api/ ? "SET request.headers = '{\"apikey\": \"$key\"}'; " : '';
	my $sql = "SELECT loyalty.fold(''); ${headers}SET statement_timeout = '100ms'; SELECT $hashing{$name}";
	my $error = $stack->psql_error($sql, %till);
	is $error->{sqlstate}, '57014', "$name is cancelled while it hashes" if !$headers;
	is join('', grep { /\Q$secret\E/ } $stack->lines_with_secrets), '', "$name, cancelled while it hashes: the password is not in the log";
}
$stack->psql("UPDATE loyalty_internal.staff SET password_cost = 8192 WHERE merchant_id = $merchant; ALTER ROLE till RESET loyalty.password_cost");
like $stack->server_log, qr/Invalid|inv[aá]lid|auth|apikey|API/i, 'the errors are in the log';
is $stack->psql_error("SELECT loyalty.receipt($merchant, 1, 1)", %till)->{sqlstate} =~ s/^L.*/L/r, 'L', 'a call without a secret fails';
like $stack->server_log, qr/STATEMENT:.*loyalty\.receipt/, 'and the log has its statement';

# --- this finds what is there ----------------------------------------------------------------

$stack->psql(q{ALTER ROLE authenticator RESET log_parameter_max_length; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator'});
$stack->wait_until(sub { $stack->form('/wallet/get')->{status} == 200 });
cmp_ok scalar(() = $stack->lines_with_secrets), '>', 0, 'without the setting of its role the log has the key';
truncate $stack->env('LOYALTY_LOG'), 0;

done_testing;

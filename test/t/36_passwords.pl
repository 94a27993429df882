# Passwords of staff: what /employee/add costs, and what it tells.  A new one is
# hashed once, however many colleagues there are and before anything is locked;
# whoever tries whether colleagues have one finds out ten times an hour, and is
# seen.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', isolation => 'read committed');
my ($merchant, $key, $other, $other_key) = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Uno') AS m \gset
	SELECT api_key AS key FROM loyalty.create_api_key(:m) \gset
	SELECT loyalty.create_merchant('Dos') AS o \gset
	SELECT api_key AS other_key FROM loyalty.create_api_key(:o) \gset
	SELECT concat_ws('|', :m, :'key', :o, :'other_key')});
my $next = 0;

# A request for new staff who differs from all others but in what is said; "status code".
sub hire
{
	my (%field) = @_;
	my $apikey = delete $field{apikey} // $key;
	my $n = ++$next;
	my $answer = $stack->form('/employee/add', {type => 'cajero', employee_name => "Persona $n", business_name => 'Centro',
		number => 4771000000 + $n, password => "la clave $n", %field}, {apikey => $apikey});
	return "$answer->{status} $answer->{json}{code}";
}

sub hire_sql
{
	my (%field) = @_;
	my $n = ++$next;
	%field = (name => "Persona $n", number => 4771000000 + $n, password => "la clave $n", %field);
	return "SELECT loyalty.employee_add($merchant, 'cajero', '$field{name}', 'Centro', '$field{number}', '$field{password}')";
}

sub outcome { my $error = $stack->psql_error($_[0]); return $error ? $error->{sqlstate} : 'done' }

my $HIRED = '200 toolusers_01';
my $TAKEN = '409 err_toolusers_03';
my $NUMBER_TAKEN = '400 err_toolusers_04';
my $LATER = '429 too_many_requests';

# Of the last hour, and of before it, on the server's own clock.
sub an_hour_passes
{
	$stack->psql("UPDATE loyalty_internal.staff_refusal SET refused_at = ARRAY(SELECT t - interval '1 hour' FROM unnest(refused_at) WITH ORDINALITY u (t, n) ORDER BY n)");
	return;
}

sub forget_refusals { $stack->psql('DELETE FROM loyalty_internal.staff_refusal'); return }

# --- what is kept ---------------------------------------------------------------

is hire(employee_name => 'Ana', number => '4772000001', password => 'secreto de Ana'), $HIRED, 'somebody is hired';
is $stack->psql("SELECT length(password_digest), password_cost FROM loyalty_internal.staff WHERE merchant_id = $merchant"), '64|8192', 'of the password a digest is kept';
is hire(apikey => $other_key, password => 'secreto de Ana'), $HIRED, 'another merchant has somebody with the same password';
is $stack->psql('SELECT count(DISTINCT password_digest) FROM loyalty_internal.staff'), '2', 'under a salt of its own';
is $stack->psql('SELECT count(*) FROM pg_class c, pg_attribute a WHERE a.attrelid = c.oid AND a.attname ~ $$^password_$$ AND c.relnamespace = $$loyalty$$::regnamespace'), '0', 'no view has either';
is $stack->psql("SELECT string_agg(loyalty.verify_staff_password($merchant, 1, p)::text, ' ') FROM unnest('{secreto de Ana,secreto de Beto,\"\"}'::text[]) p"), 'true false false', 'the right one is known';
is outcome("INSERT INTO loyalty_internal.staff SELECT (jsonb_populate_record(s, '{\"staff_id\": 99, \"name\": \"X\", \"number\": \"4772999999\"}')).* FROM loyalty_internal.staff s WHERE merchant_id = $merchant"),
	'23505', 'an index refuses a second one';
is hire(password => "secreto de A\x{301}na"), $HIRED, 'an accent makes another';
is hire(password => 'secreto de Ána'), $TAKEN, 'in whatever form it is sent';
forget_refusals();

$stack->psql("SELECT loyalty.fold('');\nALTER SYSTEM SET loyalty.password_cost = 4096");
$stack->psql('SELECT pg_reload_conf()');

# --- one hash -------------------------------------------------------------------

# One hash takes a small part of a second, 3,000 take minutes.
$stack->psql(qq{
	INSERT INTO loyalty_internal.staff (merchant_id, staff_id, branch_id, role, name, number, password_digest, password_cost)
	SELECT merchant_id, 1000 + i, branch_id, 'cajero', 'Colega ' || i, (5510000000 + i)::text::loyalty.phone, lpad(to_hex(i), 64, '0'), 8192
	FROM loyalty_internal.branch, generate_series(1, 3000) i WHERE merchant_id = $merchant});
is outcome(q{SET statement_timeout = '15s'; } . hire_sql()), 'done', 'among 3,000 colleagues';
is outcome(q{SET statement_timeout = '15s'; } . hire_sql(password => 'secreto de Ana')), 'LE003', 'one of whom has the password';

# --- before any lock ------------------------------------------------------------

# The processor's time that a session has taken, in ticks.
sub ticks
{
	open my $in, '<', "/proc/$_[0]/stat" or die "/proc/$_[0]/stat: $!\n";
	my @fields = split / /, <$in> =~ s/^.*\) //r;
	return $fields[11] + $fields[12];
}

# So many iterations take far more of it than all the rest.
my ($holder, $slow) = ($stack->connect_async, $stack->connect_async);
$holder->query("BEGIN; SELECT 1 FROM loyalty_internal.merchant WHERE merchant_id = $merchant FOR NO KEY UPDATE");
$slow->query('SET loyalty.password_cost = 1000000');
my $pid = $slow->query('SELECT pg_backend_pid()');
my $begun = ticks($pid);
$slow->send(hire_sql());
ok $stack->wait_until(sub { $stack->psql("SELECT 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock' AND query ~ 'has a secret'") }), 'somebody is being hired, and waits for the merchant';
my $hashed = ticks($pid);
$holder->query('ROLLBACK');
like $slow->receive, qr/^\d+$/, 'who is free in the end';
cmp_ok $hashed - $begun, '>', 4 * (ticks($pid) - $hashed), 'the hash was made before';
$holder->close;
$slow->close;

# --- what it costs, and how short it may be -----------------------------------------

is outcome('SET loyalty.password_cost = 5000; ' . hire_sql(number => '4772000002', password => 'barata y buena')), 'done', 'the cost is a setting';
is $stack->psql('SELECT string_agg(DISTINCT password_cost::text, $$ $$ ORDER BY password_cost::text) FROM loyalty_internal.staff'), '1000000 4096 5000 8192', 'kept with the digest';
is $stack->psql("SELECT loyalty.verify_staff_password($merchant, (SELECT staff_id FROM loyalty_internal.staff WHERE password_cost = 5000), 'barata y buena')"), 't', 'which is known at any other';
$stack->psql("UPDATE loyalty_internal.staff SET archived_at = now(), password_digest = NULL WHERE password_cost = 200000");
is outcome(hire_sql(password => 'barata y buena')), 'LE003', 'and refused at any other';
is outcome("SELECT loyalty.fold(''); SET loyalty.$_"), '22023', "not $_" for 'password_cost = 4095', 'password_cost = 1000001', 'password_min_length = 0';
is outcome("SELECT loyalty.fold(''); SET ROLE pg_monitor; SET loyalty.$_ = 5000"), '42501', "$_ is a superuser's" for 'password_cost', 'password_min_length';
is hire(password => 'ñandú'), '400 err_toolusers_02', 'five characters are too few';
is hire(password => 'ñandús'), $HIRED, 'six are not';
is outcome('SET loyalty.password_min_length = 4; ' . hire_sql(password => '1234')), 'done', 'that is a setting, too';
is hire(password => $_), $HIRED, 'a password that looks like a digest is one' for 'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$' . 'A' x 43 . '=:' . 'B' x 43 . '=', 'md5' . 'a' x 32;
is $stack->form('/employee/disable', {number => '4772000002'}, {apikey => $key})->{status}, 200, 'somebody leaves';
is $stack->psql('SELECT count(*) FROM loyalty_internal.staff WHERE password_cost = 5000 AND password_digest IS NULL AND archived_at IS NOT NULL'), '1', 'and the digest with them';
is hire(password => 'barata y buena'), $HIRED, 'whose password is free';

# --- what it tells ----------------------------------------------------------------------

$stack->forget_log;
is hire(number => '4772000001', password => $_), $NUMBER_TAKEN, "a number that is taken, with the password '$_'" for 'secreto de Ana', 'de nadie';
is $stack->psql('SELECT count(*) FROM loyalty_internal.staff_refusal'), '0', 'tells nothing of passwords, and counts as nothing';
is outcome(hire_sql(password => 'secreto de Ana')), 'LE003', 'a client in SQL may try';
is $stack->psql('SELECT count(*) FROM loyalty_internal.staff_refusal'), '0', 'as often as it wants';
my ($line) = grep { /new staff was refused/ } split /\n/, $stack->server_log;
like $line, qr/merchant $merchant: new staff was refused, whose password active staff has/, 'but not unseen';
is hire(employee_name => 'ANA'), $TAKEN, 'a name that is taken';
is hire(password => 'secreto de Ana'), $TAKEN, "a password, for the ${_}th time" for 2 .. 10;
is hire(password => 'secreto de Ana'), $LATER, 'is not told an eleventh time';
is hire(), $LATER, 'nor that it is nobody\'s';
is hire(number => '4772000001'), $LATER, 'nor a number';
is hire(password => 'x'), '400 err_toolusers_02', 'what is wrong by itself is';
is outcome(hire_sql()), 'LY429', 'in SQL it is the same';
is hire(apikey => $other_key), $HIRED, 'another merchant goes on';
is hire(apikey => $other_key, password => 'secreto de Ana'), $TAKEN, 'and is told';
my $answer = $stack->form('/employee/add', {type => 'cajero', employee_name => 'Última', business_name => 'Centro', number => '4772000009', password => 'última clave'}, {apikey => $key});
is_deeply $answer->{json}, {success => JSON::PP::false, message => 'too many requests, try again later', code => 'too_many_requests', status => 429}, 'the answer has the shape of the others';
cmp_ok $answer->{headers}{'retry-after'}, '>', 60, 'and says that it takes long';
is $stack->psql("SELECT cardinality(refused_at), refused_at[1] > refused_at[10] FROM loyalty_internal.staff_refusal WHERE merchant_id = $merchant"), '10|t', 'ten refusals are remembered, the newest first';
an_hour_passes();
is hire(), $HIRED, 'an hour later somebody is hired';
is hire(password => 'secreto de Ana'), $TAKEN, 'and it is told again';
is $stack->psql("SELECT refused_at[1] > now() - interval '1 hour' AND refused_at[2] < now() - interval '1 hour' FROM loyalty_internal.staff_refusal WHERE merchant_id = $merchant"), 't', 'which counts anew';
is scalar(grep { /refused, whose/ && /secreto/ } split /\n/, $stack->server_log), 0, 'what is logged has no password';

$stack->stop;
done_testing;

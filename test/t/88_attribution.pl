# 88_attribution.pl - who did it: in which hour an API key was last used, and who
# posted an entry, by which way and request.
use strict;
use warnings;
use utf8;

use FindBin;
use JSON::PP ();
use Test::More;

use lib $FindBin::Bin;
use Loyalty;

my $stack = Loyalty->start(level => 'http', rate => '100000r/s', clock => 1, isolation => 'read committed');
$stack->noon;
sub sql { return $stack->psql(@_) }

my ($merchant, $wallet, $cashier, $program) = split /\|/, sql(q{SELECT loyalty.create_merchant('Uno') AS m \gset
	SELECT wallet_key AS w, program_id AS p FROM loyalty.create_program(:m, 'Monedero', 'P1', settings => '{"accumulation_points": 1, "accumulation_money": 10, "duration_unit": "month", "duration_value": 6}') \gset
	SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto') AS c \gset
	SELECT loyalty.wallet_contact_add(:m, :'w', '4771234567', 'Eva', :c) \g /dev/null
	SELECT concat_ws('|', :m, :'w', :c, :p)});
my (%key, %key_id);
($key_id{$_}, $key{$_}) = split /\|/, sql("SELECT * FROM loyalty.create_api_key($merchant, '$_')") for qw(uno dos);

# Requests of each API that take an API key, and both ways to send one.
sub sale { my %as = (key => 'uno', phone => '4771234567', @_); return $stack->form('/wallet/sale', {wallet_key => $wallet, phone => $as{phone}, transaction_type => 0, transaction_amount => 100, usertool_id => $cashier}, {apikey => $key{$as{key}}, %{$as{headers} // {}}}) }
sub balance { my %as = (key => 'uno', @_); return $stack->http('GET', "/v1/seller/$key{$as{key}}/program") }
my $rest = $stack->env('POSTGREST_URL');
sub named { my %as = (key => 'uno', @_); return $stack->http('POST', "$rest/rpc/wallet_get", {apikey => $key{$as{key}}}, '') }
sub named_get { my %as = (key => 'uno', @_); return $stack->http('GET', "$rest/rpc/wallet_get", {apikey => $key{$as{key}}}) }

# --- when an API key was last used ---------------------------------------------------

sub used { return sql("SELECT coalesce((last_used_at AT TIME ZONE 'UTC' = date_trunc('hour', clock_timestamp() AT TIME ZONE 'UTC'))::text, 'never') FROM loyalty.api_keys WHERE key_id = $key_id{$_[0]}") }
sub version { return sql("SELECT ctid || ' ' || xmin FROM loyalty_internal.api_key WHERE key_id = $key_id{$_[0]}") }

is used('uno'), 'never', 'a new key was not used';
is sale()->{status}, 200, 'a sale';
is used('uno'), 'true', 'uses it';
is used('dos'), 'never', 'and no other';
my $version = version('uno');
sale(), balance(), named() for 1 .. 3;
is version('uno'), $version, 'in that hour nobody writes it down again';

for my $request (['a request of the seller API', \&balance], ['a named function', \&named], ['what is refused', sub { sale(phone => '4770000000', @_) }, 'refused'])
{
	my ($name, $send, $refused) = @$request;
	$stack->advance_clock(3600);
	is used('uno'), 'false', 'an hour later it was not used yet';
	my $status = $send->()->{status};
	ok $refused ? $status >= 400 && $status < 500 : $status == 200, "$name: $status";
	is used('uno'), 'true', 'uses it';
}

$stack->advance_clock(3600);
is named_get()->{status}, 200, 'what is answered in a transaction that cannot write';
is used('uno'), 'false', 'writes nothing';
is $stack->form('/wallet/get', {}, {apikey => 'lk_' . 'f' x 64})->{status}, 401, 'the key of nobody';
is sql('SELECT count(*) FROM loyalty.api_keys WHERE last_used_at > now() - interval \'30 min\''), 0, 'uses none';

# Not for ever, though somebody waited: 30 s, by a slow clock.
my $other = $stack->connect_async;
$other->query("SET idle_in_transaction_session_timeout = '300ms'; BEGIN; SELECT FROM loyalty_internal.api_key WHERE key_id = $key_id{uno} FOR UPDATE");
is sale()->{status}, 200, 'who finds somebody else at it';
is used('uno'), 'false', 'does not wait, and leaves it to the next';
$other->query('ROLLBACK');
$other->close;
is sale()->{status}, 200, 'the next one';
is used('uno'), 'true', 'writes it down';

# Whoever read the key before another wrote it down finds that it is done.
$stack->advance_clock(3600);
my $slow = $stack->connect_async;
$slow->query("BEGIN; LOCK TABLE loyalty_internal.program");
my @both = map { my $one = $stack->connect_async; $one->send(q{SELECT set_config('request.headers', '} . JSON::PP->new->encode({'x-loyalty-method' => 'POST', 'x-loyalty-uri' => '/wallet/get', 'x-loyalty-key' => $key{uno}}) . q{', false); SELECT loyalty_api.gateway(NULL)}); $one } 1 .. 2;
$stack->wait_until(sub { sql(q{SELECT count(*) FROM pg_locks WHERE relation = 'loyalty_internal.program'::regclass AND NOT granted}) == 2 });
$version = version('uno');
$slow->query('ROLLBACK');
$_->receive for @both;
$_->close for $slow, @both;
is used('uno'), 'true', 'of two at a time one writes it down';
is sql("SELECT count(*) FROM loyalty_internal.api_key WHERE key_id = $key_id{uno} AND last_used_at = date_trunc('hour', now(), 'UTC')"), 1, 'in this hour';

# A failure to write it down is nobody's failure.
$stack->advance_clock(3600);
sql(q{CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE serialization_failure; END'});
sql('CREATE TRIGGER fails BEFORE UPDATE ON loyalty_internal.api_key FOR EACH ROW EXECUTE FUNCTION fails()');
my $balance = sub { return sql("SELECT count(*) FROM loyalty.entries WHERE merchant_id = $merchant") };
my $before = $balance->();
is sale()->{status}, 200, 'where it cannot be written down, a sale is made';
is $balance->(), $before + 1, 'once';
is used('uno'), 'false', 'and the key is as it was';
sql('DROP FUNCTION fails CASCADE');

# --- who posted an entry ---------------------------------------------------------------

sub newest { return sql("SELECT concat_ws(' ', posted_by, came_by, coalesce(came_by_name, '-'), coalesce(request, '-'), split_part(staff_key, '-', 2)) FROM loyalty_report.fact_attribution WHERE merchant_key = '$merchant' ORDER BY entry_key DESC LIMIT 1") }
sub by_request { return sql("SELECT count(*) FROM loyalty.entries WHERE merchant_id = $merchant AND request_id = loyalty.request_number('$_[0]')") }

my $of_nginx = sale()->{headers}{'x-request-id'};
like $of_nginx, qr/^[0-9a-f]{32}$/, 'a request without an id gets one';
is newest, "staff API key uno " . substr($of_nginx, 0, 16) . " $cashier", 'which its entry has, beside staff and key';
is by_request($of_nginx), 1, 'and by which it is found';
is sale(key => 'dos', headers => {'X-Request-Id' => 'caja-7.ticket_12'})->{status}, 200, 'one with an id of its own';
is by_request('caja-7.ticket_12'), 1, 'is found by that';
is newest, 'staff API key dos ' . sql(q{SELECT lpad(to_hex(loyalty.request_number('caja-7.ticket_12')), 16, '0')}) . " $cashier", 'with the other key';
is by_request('caja-7.ticket_13'), 0, 'another finds nothing';

sql("SELECT loyalty.seller_member_create($merchant, 'P1', 'eva\@correo.example', 'Eva', 'Gil', client_id => 'E1')");
sub seller { my ($path, $id) = @_; return $stack->http_json('POST', "/v1/seller/$key{dos}/$path", {'Content-Type' => 'application/json', 'X-Request-Id' => $id}, '[{"programId":"P1","memberId":"E1","amount":50,"comments":"x","branchId":"Norte",' . ($path eq 'redemption' ? '"amountCurrency":50,' : '') . '"reference":"R-' . $id . '"}]') }
for my $path (qw(deposit accumulation redemption))
{
	my $id = "0123456789abcde$path";
	my $answer = seller($path, $id);
	is by_request($id), 1, "seller API, $path" or diag $answer->{body};
	is sql("SELECT request_id = loyalty.request_number('$id') AND actor_id = $key_id{dos} FROM loyalty.entries WHERE merchant_id = $merchant ORDER BY entry_id DESC LIMIT 1"), 't', 'its request and its key';
}
is $stack->http_json('POST', "$rest/rpc/wallet_balance_update", {apikey => $key{uno}, 'Content-Type' => 'application/json', 'X-Request-Id' => 'named-8'},
	JSON::PP->new->encode({wallet_key => $wallet, phone => '4771234567', transaction_type => '0', transaction_amount => '5', usertool_id => "$cashier"}))->{status}, 200, 'a named function';
is by_request('named-8'), 1, 'keeps its request too';

# --- in SQL ----------------------------------------------------------------------------

my $account = sql("SELECT account_id FROM loyalty.members WHERE merchant_id = $merchant AND phone::text = '4771234567'");
my $post = "SELECT FROM loyalty.post($merchant, $account, 'deposit', 1)";
sql(q{CREATE ROLE "ana gil" LOGIN; CREATE ROLE caja LOGIN; GRANT caja TO "ana gil"});
sql(qq{SELECT loyalty.grant_operation('$_')}) for 'ana gil', 'caja';
sql($post);
is newest, 'SQL role SQL role ' . sql('SELECT session_user') . ' - 0', 'in SQL it is the role that logged in';
sql(qq{SET SESSION AUTHORIZATION "ana gil"; $post});
is newest, 'SQL role SQL role ana gil - 0', 'another';
sql(qq{SET SESSION AUTHORIZATION "ana gil"; SET ROLE caja; SELECT FROM loyalty.post($merchant, $account, 'deposit', 1, staff_id => $cashier)});
is newest, "staff SQL role ana gil - $cashier", 'whatever role it takes, and for whichever staff';
is sql("SELECT string_agg(name, ',' ORDER BY name) FROM loyalty.sql_roles WHERE merchant_id = $merchant AND name IN ('ana gil', 'caja')"), 'ana gil', 'which names the role that posted, and no other';

# A name that a transaction wrote down that was rolled back is written by the next one.
sql(qq{SET SESSION AUTHORIZATION caja; BEGIN; $post; ROLLBACK; $post});
is newest, 'SQL role SQL role caja - 0', 'a posting that was rolled back leaves the next one its name';
sql(qq{SET SESSION AUTHORIZATION caja; SELECT FROM loyalty.post_batch($merchant, '{$account,$account}', '{deposit}', '{1,2}')});
is newest, 'SQL role SQL role caja - 0', 'a batch';
sql(qq{SET SESSION AUTHORIZATION caja; SELECT loyalty.wallet_sale($merchant, '$wallet', '4771234567', 0, 10, usertool_id => $cashier)});
is newest, "staff SQL role caja - $cashier", 'a sale in SQL';
sql(q{DROP OWNED BY caja; DROP ROLE caja});
is newest, "staff SQL role caja - $cashier", 'a role that was dropped is known still';
sql(qq{CREATE ROLE "a\nb" LOGIN SUPERUSER; SET SESSION AUTHORIZATION "a\nb"; $post} =~ s/\\n/\n/gr);
is newest, 'SQL role SQL role a?b - 0', 'a name of two lines is one';

sql("SELECT FROM loyalty.post($merchant, $account, 'deposit', 3, expires_at => clock_timestamp() + interval '1 hour')");
$stack->advance_clock(3601);
is sql("SELECT loyalty.expire_due($merchant)"), 1, 'what falls due';
is newest, 'engine engine - - 0', 'is nobody\'s';

# What a role took is given back to the limits, which count no key for it.
sql("SELECT loyalty.set_limit($merchant, $program, 'key', 'spend', 10)");
sql("SELECT FROM loyalty.post($merchant, $account, 'redeem', 15, 'sin clave')");
my $redeem = sql("SELECT max(entry_id) FROM loyalty.entries WHERE merchant_id = $merchant");
is sql("SELECT points FROM loyalty.reverse($merchant, $account, $redeem, 15, 'D1')"), 15, 'what was redeemed in SQL is reversed under a limit of keys';
is sql("SELECT count(*) FROM loyalty.allowances WHERE merchant_id = $merchant AND scope = 'key'"), 0, 'and no key has it';
is sql("SELECT count(*) FROM loyalty.verify($merchant)"), 0, 'all hashes are right';

done_testing;

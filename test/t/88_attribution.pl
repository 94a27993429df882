# 88_attribution.pl - what is known of who used a key, over HTTP: in which hour
# an API key was last used.
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
	SELECT wallet_key AS w, program_id AS p FROM loyalty.create_program(:m, 'Monedero', 'P1', settings => '{"accumulation_points": 1, "accumulation_money": 10}') \gset
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

done_testing;

# Every function in C that the catalog has, called with NULLs, limits, broken and
# huge texts, empty, nested and very long arrays, as four roles; and values in the
# binary format of COPY, mutated.  Whatever it is, it is answered or refused: no
# call ends the server, runs on, or meets what its author took for impossible
# (an internal error, XX000).  And every function for users with what is right but
# for one argument: what is wrong with that is refused with a code of ours.
#
# The seed is fixed.  `make fuzz` runs this for longer, on a server that finds what
# does not end one (test/sanitized.sh); it sets LOYALTY_FUZZ_CALLS, how many calls
# at least, LOYALTY_FUZZ_BINARY, how many values, LOYALTY_FUZZ_SEED, and
# LOYALTY_FUZZ_MINUTES, after which no more calls are made.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $wanted_calls = $ENV{LOYALTY_FUZZ_CALLS} || 1600;
my $wanted_values = $ENV{LOYALTY_FUZZ_BINARY} || 300;
my $seed = $ENV{LOYALTY_FUZZ_SEED} || 16;
my $until = $ENV{LOYALTY_FUZZ_MINUTES} ? time + 60 * $ENV{LOYALTY_FUZZ_MINUTES} : undef;
my $calls_per_session = 400;
my $limit_s = 120;		# a call that takes longer hangs

srand $seed;
note "seed $seed";
sub one_of { return $_[rand @_] }
sub literal { my $text = shift; return q{'} . $text =~ s/'/''/gr . q{'} }

my $stack = Loyalty->start(clock => 0);
$stack->psql(q{
	CREATE ROLE fuzz_reporting; CREATE ROLE fuzz_operation;
	SELECT loyalty.grant_reading('fuzz_reporting'), loyalty.grant_reporting('fuzz_reporting', personal => true); SELECT loyalty.grant_operation('fuzz_operation')});
my @roles = qw(postgres fuzz_operation fuzz_reporting web_anon);

# --- a merchant with some of everything, so that calls get beyond the first check ------

my ($merchant, $account, $other) = split /\|/, $stack->psql(q{
	SELECT m.merchant_id, min(m.account_id), max(m.account_id) FROM loyalty.members m JOIN loyalty.wallets w USING (merchant_id, program_id) GROUP BY 1 HAVING count(*) > 1 LIMIT 1});
my $program = $stack->psql("SELECT program_id FROM loyalty.members WHERE account_id = $account");
my $entry = $stack->psql("SELECT entry_id FROM loyalty.post($merchant, $account, 'deposit', 1000)");
my $hold = $stack->psql("SELECT entry_id FROM loyalty.hold($merchant, $account, 100)");
$stack->psql("SELECT loyalty.set_limit($merchant, $program, 'staff', 'add', 100000, 1000); SELECT loyalty.set_quota($merchant, 'redemptions', 1000)");
my ($root_id, $root) = split /\|/, $stack->psql("SELECT root_id, encode(root, 'hex') FROM loyalty.make_root($merchant)");
my $receipt = $stack->psql("SELECT loyalty.receipt($merchant, $account, $root_id)");
my ($app_user, $curp) = split /\|/, $stack->psql(q{SELECT u.name, c.curp FROM loyalty.app_users u JOIN loyalty.customers c USING (merchant_id) LIMIT 1});
my ($key, $wallet, $client, $member) = map { $stack->env("LOYALTY_$_") } qw(APIKEY WALLET_KEY PROGRAM_ID MEMBER_ID);
my $item = qq({"programId":"$client","memberId":"$member","points":5,"concept":"x","amount":10,"accountId":"$member"});

# What an argument of the name is when it is right.
my %right = (
	merchant_id => [$merchant], program_id => [$program], account_id => [$account, $other], to_account_id => [$other], entry_id => [$entry, $hold], root_id => [$root_id],
	root => ["'\\x$root'"], receipt => [literal($receipt)], wallet_key => [literal($wallet)], phone => [q{'4771234501'}, q{'5512345602'}], usertool_id => [1, 2], staff_id => [1, 2],
	api_key => [literal($key)], app_user => [literal($app_user)], curp => [literal($curp)], password => [q{'una clave'}], number => [q{'4771000002'}],
	program_client_id => [literal($client)], programId => [literal($client)], member_client_id => [literal($member)], memberId => [literal($member)], items => [map { literal($_) } "[$item]", "[$item,$item]", '[{"sku":"A","quantity":2,"price":"10.50"}]'],
	kind => [map { literal($_) } qw(deposit redeem adjust accrue)], amount => [1, 5, 0.5], money => [100, 0.01], in_full => ['true', 'false'],
	transaction_type => [0, 1], transaction_amount => [100], points_used => [1], operation => [map { literal($_) } qw(request individual_request)], request => [literal('Mail')],
	max_rows => [1000000], type => [literal('cajero')], rounding => [literal('half_up')], prefix => [literal('k_')],
);

# Expressions that are hard to bear, by type.
my @texts = ((map { literal($_) } '', ' ', 'a', '0', '-1', '{', '[', '{}', '[]', '[null]', '[[]]', 'null', 'true', '"', q{'}, '\\', '%', '%n%s%s', '1e999999', 'NaN', 'Infinity', '0000-00-00', '2027-02-30', '٣',
		"\x{202e}x", "\x{10fffd}", "\x{1f600}", "\x{1}", "Ñ\x{301}", '+52 1 55 1234 5678', 'PEGJ800115HDFRRN07', '9' x 40, '{2027-01-01T00:00:00Z=1}', '4771234501', 'x@example.com'),
	"repeat('x', 1025)", "repeat('ñ', 600)", "repeat('x', 1000000)", "repeat('[', 100000)", "repeat('{\"a\":', 10000)", "repeat('9', 100000)", "repeat(' ', 100000)", "repeat('\\', 5000)");
my @integers = (0, 1, -1, 2, 100);
my %hard = (
	text => \@texts, cstring => [map { /^repeat/ ? () : "$_" } @texts],
	bigint => [@integers, '9223372036854775807', '(-9223372036854775808)', '2147483648', '-4294967297', '9007199254740993'],
	integer => [@integers, '2147483647', '(-2147483648)'], smallint => [@integers, '32767', '(-32768)'],
	numeric => [@integers, q{'NaN'}, q{'Infinity'}, q{'-Infinity'}, '1e1000', '-1e1000', '1e-1000', '0.00005', '922337203685477.5807', '-922337203685477.5808', '99.995'],
	boolean => ['true', 'false'], date => [map { literal($_) } '4713-01-01 BC', 'infinity', '-infinity', '2027-02-28', '5874897-12-31'],
	'timestamp with time zone' => ['now()', map { literal($_) } 'infinity', '-infinity', 'epoch', '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00', '2027-01-01'],
	uuid => [literal('00000000-0000-0000-0000-000000000000'), literal('ffffffff-ffff-ffff-ffff-ffffffffffff')],
	bytea => [q{'\x'}, q{'\x00'}, "decode(repeat('00', 31), 'hex')", "decode(repeat('ff', 32), 'hex')", "decode(repeat('41', 1000000), 'hex')", "convert_to(repeat('&', 100000), 'UTF8')", q{'\xff00fe'},
		"convert_to('phone=4771234501&wallet_key=$wallet', 'UTF8')", "convert_to(" . literal("[$item]") . ", 'UTF8')", "convert_to(repeat('[', 100000), 'UTF8')"],
	'loyalty.points' => [@integers, '0.0001', q{'922337203685477.5807'}, q{'-922337203685477.5808'}],
	'loyalty_internal.factor' => [@integers, '9223372036854775807', '(-9223372036854775808)'],
	'loyalty.phone' => [map { literal($_) } '4771234501', '0000000000', '9999999999'],
	'loyalty.curp' => [map { literal($_) } 'PEGJ800115HDFRRN07', 'XXXX010203MNEXXX05', 'BCDF200504XMCQWYK6', 'RAXR991231HOCMXSA0'],
	'loyalty.lots' => [map { literal($_) } '{}', '{2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}', '{1900-01-01T00:00:00Z=922337203685477.5806,1900-01-02T00:00:00Z=0.0001}', '{-4713-11-24T00:00:00Z=1,294276-12-31T23:59:59Z=1}'],
	interval => [map { literal($_) } '0', '1 day', '-1 day', '2000 years', '178000000 years', '-178000000 years', '2147483647 months', '2147483647 days', '9223372036854775807 microseconds'],
	json => [(map { literal($_) } '{}', '[]', 'null', '1', '""', '[null]', '[[]]', '[{}]', '{"a":{"b":[1,2,{"c":null}]}}', '[1e400]', '{"a":1,"a":2}', '["\\ud800"]', '["\\u0000"]', "[$item,1,null,{}]", '[{"programId":1,"memberId":[],"points":{}}]'),
		"('[' || repeat('[', 1000) || repeat(']', 1000) || ']')", "('[' || repeat('{},', 20000) || '1]')", "('[\"' || repeat('x', 1000000) || '\"]')"],
);

sub array_of
{
	my $type = shift;
	my $one = sub { rand() < 0.2 ? 'NULL' : one_of(@{$hard{$type}}) };
	my @kinds = (
		sub { "'{}'::${type}[]" }, sub { "ARRAY[NULL]::${type}[]" }, sub { "ARRAY[" . join(', ', map { $one->() . "::$type" } 1 .. 1 + rand 5) . ']' },
		sub { "ARRAY[ARRAY[" . $one->() . "::$type, " . $one->() . "::$type], ARRAY[NULL, NULL]::${type}[]]" }, sub { "array_fill(" . $one->() . "::$type, ARRAY[2, 3], ARRAY[7, -2])" },
		sub { "array_fill(" . $one->() . "::$type, ARRAY[" . (rand() < 0.2 ? 10000 : 3) . "])" });
	return one_of(@kinds)->();
}

sub argument
{
	my ($name, $type, $rightness) = @_;
	my $dice = rand;
	if ($type =~ /^(.*)\[\]$/)
	{
		my $element = $1;
		return "ARRAY[" . join(', ', map { one_of(@{$right{$name}}) . "::$element" } 1 .. 1 + rand 3) . ']' if $right{$name} && $dice < $rightness;
		return $dice > 0.9 ? 'NULL' : array_of($element);
	}
	return one_of(@{$right{$name}}) . "::$type" if $right{$name} && $dice < $rightness;
	return "NULL::$type" if $dice > 0.85;
	my $value = one_of(@{$hard{$type} // die "no values of type $type\n"});
	# huge ones take their time
	$value = one_of(@{$hard{$type}}) if $value =~ /repeat/ && rand() < 0.8;
	return "${value}::$type";
}

# What PostgREST hands to the functions of loyalty_api.
my @uris = map { $_, "$_?x=%zz&%00" } qw(/wallet/get /wallet/sale /employee/add /toolusers/get /api/Customer_V1 /api/Registrar_V1 /mcp / //), "/v1/seller/$key/program", "/v1/seller/$key/deposit", "/v1/seller/%6c/member/%ff";
sub headers
{
	my %header = ('apikey' => $key, 'x-loyalty-key' => $key, 'x-loyalty-uri' => one_of(@uris), 'x-loyalty-method' => one_of(qw(POST GET PUT)),
		'x-loyalty-type' => one_of('application/json', 'application/x-www-form-urlencoded', 'text/csv', ''), 'x-loyalty-bearer' => 'f' x int rand 200,
		'x-loyalty-idempotency-key' => one_of('', 'a b', 'k' . int rand 50));
	delete $header{one_of(sort keys %header)} if rand() < 0.3;
	return literal(one_of('', '{', '[]', 'null', '{"apikey":{}}', '{"x-loyalty-uri":"\\u0000"}')) if rand() < 0.1;
	return literal('{' . join(',', map { qq("$_":"$header{$_}") } sort keys %header) . '}');
}

# --- the calls --------------------------------------------------------------------------

# Those that take what SQL cannot name read binary values, and sum and average below.
my @functions = map { my ($name, $schema, @arguments) = split /\|/; {name => $name, schema => $schema, arguments => [map { [split /:/, $_, 2] } @arguments]} } split /\n/, $stack->psql(q{
	SELECT concat_ws('|', p.pronamespace::regnamespace || '.' || quote_ident(p.proname), p.pronamespace::regnamespace,
		(SELECT string_agg(coalesce(p.proargnames[i], '') || ':' || t::regtype, '|' ORDER BY i) FROM unnest(p.proargtypes) WITH ORDINALITY a (t, i)))
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'loyalty'
		JOIN pg_language l ON l.oid = p.prolang
	WHERE l.lanname = 'c' AND 'internal'::regtype <> ALL (p.proargtypes::oid[]) ORDER BY p.oid::regprocedure::text});
cmp_ok scalar @functions, '>', 120, @functions . ' functions in C';

sub call
{
	my ($function, $rightness) = @_;
	my @arguments = @{$function->{arguments}};
	my $call = "SELECT $function->{name}(" . join(', ', map { defined $rightness ? argument(@$_, $rightness) : "NULL::$_->[1]" } @arguments) . ')';
	return $function->{schema} eq 'loyalty_api' ? 'SET request.headers = ' . headers() . "; $call" : $call;
}

my (%ended, @wrong);
my $calls = 0;

# A line of the script is a call, so that errors say which it was.
sub run_calls
{
	my @lines = @_;
	my ($out, $err) = ('', '');
	# without statements in the log, which would have the keys that are literals here
	my $script = join '', map { "$_;\n" } "SET statement_timeout = '${limit_s}s'", 'SET client_min_messages = error; SET log_min_error_statement = panic', @lines;
	utf8::encode($script);
	my $fine = $stack->with_env(sub { IPC::Run::run(['psql', '-Xq', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', '-o', '/dev/null', '-f', '-'], '<', \$script, '>', \$out, '2>', \$err) });
	my %failed;
	while ($err =~ /^psql:<stdin>:(\d+): (?:ERROR|FATAL|PANIC):  (\w{5}): (.*)$/mg)
	{
		my ($line, $sqlstate, $message) = ($1 - 3, $2, $3);
		$failed{$line}++ || $ended{$sqlstate}++;
		push @wrong, "$sqlstate $message\n  $lines[$line]" if $sqlstate =~ /^(?:XX|57014|57P|42601|42846|42883)/ || $lines[$line] =~ /^SET ROLE/;
	}
	my $made = grep { !/^SET ROLE/ } @lines;
	$ended{answered} += $made - grep { $lines[$_] !~ /^SET ROLE/ } keys %failed;
	$calls += $made;
	if (!$fine || $err =~ /server closed the connection|connection to server was lost/)
	{
		my ($line) = $err =~ /^psql:<stdin>:(\d+): (?:error: connection to server was lost|server closed)/m;
		push @wrong, 'the server ended: ' . ($line ? $lines[$line - 3] : substr $err, -500);
		$stack->wait_until(sub { ($stack->try_psql('SELECT 1'))[0] });
	}
	return;
}

sub is_over { return $until && time > $until }

my @queue;
my $rounds = 0;
while (($calls < $wanted_calls || $rounds < 2) && !is_over() && @wrong < 20)
{
	# all NULL, nothing that is right, and then more and more of it
	my $rightness = $rounds == 0 ? undef : $rounds % 5 / 5;
	for my $function (@functions)
	{
		my $call = call($function, $rightness);
		push @queue, map { ("SET ROLE $_", $call) } @roles;
		run_calls(splice @queue) if @queue >= 2 * $calls_per_session;
		last if is_over();
	}
	run_calls(splice @queue);
	$rounds++;
}
is join("\n", @wrong), '', "$calls calls, none of which was more than answered or refused";
cmp_ok $calls, '>=', $wanted_calls, "$wanted_calls calls" unless is_over();
cmp_ok $ended{answered}, '>', $calls / 10, "$ended{answered} were answered";
note "ended with: ", join ', ', map { "$_ $ended{$_}" } sort { $ended{$b} <=> $ended{$a} } keys %ended;

# --- one argument at its extreme --------------------------------------------------------

# In calls that are right but for one argument whatever is wrong with it has a
# code: of ours, or one that the function's COMMENT names.  What computes, and is
# IMMUTABLE, refuses as PostgreSQL's own arithmetic does.
my %thing;
@thing{qw(merchant_id program_id wallet_key program_client_id usertool_id account_id to_account_id entry_id hold member_id with_member_id policy_id consent_id branch_id key_id api_key message_id third)} =
	split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Extremos') AS m \gset
	SELECT program_id AS p, wallet_key AS w, client_id AS c FROM loyalty.create_wallet(:m, 'Extremos', 10) \gset
	SELECT loyalty.employee_add(:m, 'cajero', 'Extrema', 'Centro', '4771000099', 'una clave extrema') AS s \gset
	SELECT loyalty.open_account(:m, :p) AS a \gset
	SELECT loyalty.open_account(:m, :p) AS b \gset
	SELECT entry_id AS e FROM loyalty.post(:m, :a, 'deposit', 1000) \gset
	SELECT entry_id AS h FROM loyalty.hold(:m, :a, 100) \gset
	SELECT loyalty.create_member(:m, :p, 'Una', '5512340001', 'una@x.mx', 'UNA') AS one \gset
	SELECT loyalty.create_member(:m, :p, 'Otra') AS other \gset
	SELECT loyalty.create_customer(:m, :p, 'CAMC880526HMCBNR04', 'Carlos', 'Cabrera') \g /dev/null
	SELECT loyalty.create_product(:m, 'Plan', 100, 5) \g /dev/null
	SELECT loyalty.open_policy(:m, 'CAMC880526HMCBNR04', 'Plan') AS y \gset
	SELECT loyalty.create_product(:m, 'Otro', 100, 5) \g /dev/null
	SELECT loyalty.create_app_user(:m, 'Extremo', repeat('k', 32)) \g /dev/null
	SELECT consent_id AS t FROM loyalty.grant_consent(:m, 'CAMC880526HMCBNR04', 'Extremo', 'x', '1') \gset
	SELECT loyalty.create_branch(:m, 'Norte') AS r \gset
	SELECT key_id AS k, api_key AS l FROM loyalty.create_api_key(:m) \gset
	SELECT loyalty.set_quota(:m, 'messages', 10), loyalty.set_rank_ranges(:m, 'g', '{Plata,Oro}', '{0,10}') \g /dev/null
	SELECT loyalty.configure_program(:m, :p, '{"range_group": "g", "messages": ["redeem"]}') \g /dev/null
	SELECT loyalty.wallet_balance_update(:m, :'w', '5512340001', 0, 100, :s) \g /dev/null
	SELECT loyalty.wallet_sale(:m, :'w', '5512340001', 1, NULL, 5, :s) \g /dev/null
	SELECT message_id AS g FROM loyalty.claim_messages(:m) \gset
	SELECT loyalty.create_member(:m, :p, 'Tercera') AS third \gset
	SELECT loyalty.share_account(:m, :third, :other) \g /dev/null
	SELECT root_id AS o FROM loyalty.make_root(:m) \gset
	SELECT loyalty.close_month(:m, :p, (date_trunc('month', now()) - interval '3 months')::date) \g /dev/null
	SELECT concat_ws('|', :m, :p, :'w', :'c', :s, :a, :b, :e, :h, :one, :other, :y, :t, :r, :k, :'l', :g, :third)});
my %fine = (
	(map { $_ => $thing{$_} } grep { /_id$/ && !/client/ } keys %thing), staff_id => $thing{usertool_id}, (map { $_ => literal($thing{$_}) } qw(wallet_key program_client_id api_key)), attempt => 1, amount => 1, app_user => "'Extremo'",
	at => 'now()', business_name => "'Centro'", code => "'477'", curp => "'CAMC880526HMCBNR04'", customer_name => "'Nueva'", direction => "'add'", email => "'nueva\@x.mx'", employee_name => "'Nueva'", first_last_name => "'Gil'", first_name => "'Ana'",
	from_points => "'{0,5}'", items => "'[]'", kind => "'deposit'", member_client_id => "'UNA'", method => "'SPEI'", money => 100, name => "'Nombre'", notice_version => "'1'", number => "'4771000098'", operation => "'individual_request'", ordinal => 1,
	password => "'otra clave extrema'", phone => "'5512340001'", price => 100, product => "'Otro'", purpose => "'x'", range_group => "'g'", rank => "'Oro'", ranks => "'{Plata,Oro}'", reference => "'R'", remaining => 5, max_rows => 100000, request => "'Nombre'", resource => "'messages'",
	rules => "'[]'", scope => "'member'", settings => "'{}'", preferences => "'{}'", seconds => 60, signature => "'x'", stock => 1, street => "'Uno'", supported => 'true', task => "'forget_messages'", max_seconds => 5, since => "now()", ends_at => "now()", steps => 0, failed => 0, transaction_amount => 10, transaction_type => 0, type => "'cajero'", in_full => 'true', max_points => 100, month => "date_trunc('month', now() - interval '2 months')::date", from_month => "'2020-01-01'", from_date => "(now() - interval '2 days')::date", until_date => "now()::date", format => "'csv'", lifetime => "'1 day'", rate => '0.5', threshold => "'burst_seconds'", multipliers => "'{1,2}'");
# What is right only there.
my %fine_in = (
	month_statement => {month => "date_trunc('month', now() - interval '3 months')::date"},
	capture => {entry_id => $thing{hold}, amount => 1}, release => {entry_id => $thing{hold}, amount => 1}, reverse => {amount => 1, reference => "'R'"}, post_batch => {account_id => "ARRAY[$thing{account_id}]", kind => "'{deposit}'", amount => "'{1}'"},
	wallet_contact_add => {phone => "'5512340009'"}, create_customer => {curp => "'CAPC200504HMCBXRA2'"}, create_product => {name => "'Nuevo'"}, create_branch => {name => "'Nueva'"}, enable_app_user => {name => "'Extremo'"}, rotate_private_key => {name => "'Extremo'"}, (map { $_ => {name => "'Extremo'", api => "'CUSTOMER'"} } qw(grant_app_user_api revoke_app_user_api)), set_token_life => {name => "'Extremo'"}, change_product => {name => "'Otro'"}, disable_app_user => {name => "'Extremo'"},
	create_app_user => {name => "'Nuevo'"}, find_member => {client_id => "'UNA'"}, find_program => {client_id => literal($thing{program_client_id})}, transfer => {amount => 1}, set_limit => {max_points => 100}, set_fraud_threshold => {value => 5}, set_staff_programs => {every_program => 'true'},
	wallet_sale => {transaction_amount => 10, usertool_id => $thing{usertool_id}}, leave_account => {member_id => $thing{third}}, employee_disable => {number => "'4771000099'"}, seller_member_create => {email => "'nueva\@x.mx'"});
my %extreme = (
	bigint => [@{$hard{bigint}}], integer => $hard{integer}, smallint => $hard{smallint}, numeric => $hard{numeric}, interval => $hard{interval}, date => $hard{date}, 'timestamp with time zone' => $hard{'timestamp with time zone'},
	'loyalty.points' => $hard{'loyalty.points'}, json => [map { literal($_) } '1', '"a"', 'null', 'true', '[]', '{}', '{"a":1}', '[1]', '[[]]', '[null]', '[{}]', '[{"a":1}]'],
	text => [q{''}, q{' '}, "repeat('x', 1025)", "repeat('x', 100000)", q{E'\x01'}]);
my %type_of_array = map { ("${_}[]" => $_) } qw(bigint text boolean loyalty.points), 'timestamp with time zone';
for my $type (keys %type_of_array)
{
	my $one = $type_of_array{$type};
	$extreme{$type} = [q{'{}'}, q{'{NULL}'}, q{'{NULL,NULL,NULL}'}, "ARRAY[ARRAY[NULL::$one]]", map { "ARRAY[$_\::$one]" } @{$extreme{$one} // []}];
}

my @candidates = map { my ($name, $comment, @arguments) = split /\x{1f}/; {name => $name, comment => $comment, arguments => [map { my ($argument, $type, $optional) = split /:/; {name => $argument, type => $type, optional => $optional eq 't'} } @arguments]} } split /\x{1e}\n?/, $stack->psql(q{
	SELECT concat_ws(E'\x1f', p.proname, obj_description(p.oid, 'pg_proc'), (SELECT string_agg(concat_ws(':', p.proargnames[i], t::regtype, i > p.pronargs - p.pronargdefaults), E'\x1f' ORDER BY i) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a (t, i))) || E'\x1e'
	FROM pg_proc p WHERE p.pronamespace = 'loyalty'::regnamespace AND p.prokind = 'f' AND p.provolatile <> 'i' AND p.proname !~ '^(grant_(api|reporting|reading|operation)|revoke_reporting|load_sandbox|verify)$' ORDER BY p.oid::regprocedure::text});

my (@lines, @of);
for my $function (@candidates)
{
	my $own = $fine_in{$function->{name}} // {};
	for my $argument (undef, @{$function->{arguments}})
	{
		my @given = map { my $name = $_->{name}; ($argument && $argument == $_) || $_->{optional} && !exists $own->{$name} ? () : "$name => " . ($own->{$name} // $fine{$name} // die "nothing fine for $name of $function->{name}\n") } @{$function->{arguments}};
		for my $value ($argument ? map { "$argument->{name} => $_\::$argument->{type}" } @{$extreme{$argument->{type}} // []} : '')
		{
			push @lines, "BEGIN; SELECT count(*) FROM loyalty.$function->{name}(" . join(', ', @given, $value || ()) . '); ROLLBACK;';
			push @of, {%$function, extreme => $value};
		}
	}
}
{
	my ($out, $err) = ('', '');
	my $script = join '', map { "$_\n" } @lines;
	$stack->with_env(sub { IPC::Run::run(['psql', '-Xq', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', '-o', '/dev/null', '-f', '-'], '<', \$script, '>', \$out, '2>', \$err) });
	my (%code_of, @uncoded);
	while ($err =~ /^psql:<stdin>:(\d+): (?:ERROR|FATAL|PANIC):  (\w{5}): (.*)$/mg)
	{
		my ($line, $sqlstate, $message) = ($1 - 1, $2, $3);
		$code_of{$line} = $sqlstate;
		next if $sqlstate =~ /^L/ || $of[$line]{comment} =~ /\b$sqlstate\b/;
		push @uncoded, "$sqlstate $message: $lines[$line]";
	}
	is join("\n", map { "$code_of{$_}: $lines[$_]" } grep { $code_of{$_} && $of[$_]{extreme} eq '' && $of[$_]{name} !~ /^(?:apply_numbering_plan|customer_token)$/ } 0 .. $#lines), '', 'calls with what is right are answered';
	is join("\n", @uncoded), '', scalar(@lines) . ' calls with one extreme: what is refused has a code';
	# What only looks for a text needs no bound.
	is join("\n", map { $lines[$_] } grep { !$code_of{$_} && $of[$_]{extreme} =~ /repeat.*::text$/ && $of[$_]{name} !~ /^(?:find_|disable_|enable_|verify_|rules_at)/ } 0 .. $#lines), '', 'no text of more than 1,024 bytes is taken';
	is join("\n", map { $lines[$_] } grep { !$code_of{$_} && $of[$_]{extreme} =~ /^(?:items|rules) => '(?!\[)|^settings => '(?!\{)/ && $of[$_]{name} !~ /^seller_/ } 0 .. $#lines), '', 'nor JSON of another shape';
	cmp_ok scalar(grep { !$code_of{$_} } 0 .. $#lines), '>', 500, 'enough were taken to prove that';
}

# Nothing is written for a merchant that is none.
is $stack->psql(q{SELECT string_agg(format('%s: %s', c.oid::regclass, n), ', ') FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid,
	LATERAL (SELECT (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s WHERE merchant_id NOT IN (SELECT merchant_id FROM loyalty_internal.merchant)', c.oid::regclass), false, true, '')))[1]::text::bigint AS n) x
	WHERE a.attname = 'merchant_id' AND c.relkind = 'r' AND c.relnamespace::regnamespace::text ~ '^loyalty' AND n > 0}), '', 'no table has a row of a merchant that does not exist';

# --- binary values ---------------------------------------------------------------------------

my %column = (points => [qw(0 1 -1 0.0001 922337203685477.5807 -922337203685477.5808)], phone => [qw(4771234501 0000000001 9999999999)], curp => [qw(PEGJ800115HDFRRN07 XXXX010203MNEXXX05)],
	lots => ['{}', '{2027-01-01T06:00:00Z=30,2027-02-01T06:00:00Z=12.5}', '{-4713-11-24T00:00:00Z=1,294276-12-31T23:59:59Z=1}']);
my @seeds = map { my $type = $_; map { [$type, $_] } @{$column{$type}} } sort keys %column;
$stack->psql("CREATE TABLE binary_$_ (v loyalty.$_, a loyalty.${_}[])") for sort keys %column;
my $folder = $stack->work_dir;
mkdir "$folder/binary";
chmod 0777, "$folder/binary";
my $header = "PGCOPY\n\xff\r\n\0" . pack 'NN', 0, 0;

# The bytes of a row as COPY writes it: one value, and an array of two.
my %bytes;
for my $seed (@seeds)
{
	my ($type, $text) = @$seed;
	my $hex = $stack->psql("SELECT encode(" . ($type eq 'points' || $type eq 'phone' ? 'int8send(' . ($type eq 'points' ? "(($text)::numeric * 10000)::bigint" : "${text}::bigint") . ')' : "loyalty_internal.${type}_send(" . literal($text) . ')') . ", 'hex')");
	$bytes{"@$seed"} = pack 'H*', $hex;
}
my %oid = map { $_ => $stack->psql("SELECT 'loyalty.$_'::regtype::oid") } keys %column;

sub field { my $value = shift; return pack('N', length $value) . $value }

sub mutate
{
	my $value = shift;
	for (1 .. rand 4)
	{
		my $place = int rand 1 + length $value;
		my $kind = int rand 6;
		if ($kind == 0) { substr($value, $place, 1) = '' if $place < length $value }
		elsif ($kind == 1) { substr($value, $place, 0) = chr int rand 256 }
		elsif ($kind == 2) { substr($value, $place, 1) = chr int rand 256 if $place < length $value }
		elsif ($kind == 3) { substr($value, $place, 1) = one_of("\0", "\x7f", "\x80", "\xff") if $place < length $value }
		elsif ($kind == 4) { $value = substr $value, 0, $place }
		else { $value .= substr($value, $place) x (1 + rand 3) }
	}
	return substr $value, 0, 100_000;
}

my ($values, $taken, @unlike) = (0, 0);
while ($values < $wanted_values)
{
	my $script = '';
	my $start = $values;
	while ($values < $wanted_values && $values < $start + 200)
	{
		my $seed = one_of(@seeds);
		my ($type, $value) = ($seed->[0], $bytes{"@$seed"});
		my $single = rand() < 0.8 ? mutate($value) : $value;
		my $array = pack('NNNNN', 1, 0, $oid{$type}, 2, 1) . field($value) . field(rand() < 0.5 ? mutate($value) : $value);
		$array = mutate($array) if rand() < 0.2;
		open my $out, '>:raw', "$folder/binary/$values" or die "$folder: $!\n";
		print $out $header, pack('n', 2), field($single), field($array), pack('n', 0xffff);
		close $out;
		$script .= "\\copy binary_$type FROM '$folder/binary/$values' (FORMAT binary)\n";
		$values++;
	}
	my ($out, $err) = ('', '');
	my $fine = $stack->with_env(sub { IPC::Run::run(['psql', '-Xq', '-v', 'VERBOSITY=verbose', '-f', '-'], '<', \$script, '>', \$out, '2>', \$err) });
	push @unlike, "values $start to $values: $err" if !$fine || $err =~ /server closed|ERROR: +XX/;
}
for my $type (sort keys %column)
{
	$taken += $stack->psql("SELECT count(*) FROM binary_$type");
	push @unlike, map { "$type $_" } split /\n/, $stack->psql(qq{SELECT v FROM binary_$type, unnest(array_append(a, v)) AS x WHERE x::text::loyalty.$type OPERATOR(loyalty.<>) x});
}
for my $sum ('sum(v)', 'avg(v)', 'sum(v) OVER (ORDER BY v ROWS 1 PRECEDING)', 'avg(v) OVER (ORDER BY v ROWS 1 PRECEDING)')
{
	my $error = $stack->psql_error("SELECT loyalty.$sum FROM (SELECT NULL::loyalty.points UNION ALL SELECT '922337203685477.5807' UNION ALL SELECT v FROM binary_points) t (v)");
	push @unlike, "$sum: $error->{message}" if $error && $error->{sqlstate} ne '22003';
}
is join("\n", @unlike), '', "$values mutated binary values, of which $taken were taken: each reads as the text that it writes";
cmp_ok $taken, '>', 10, 'enough were taken to prove that';
# claim_key() by itself leaves a key without an answer.
$stack->psql('DELETE FROM loyalty_internal.idempotency_key WHERE answer IS NULL');
is $stack->psql(q{SELECT * FROM loyalty.verify()}), '', 'the ledger is sound after all that';

done_testing;

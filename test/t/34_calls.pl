# Every function in C that the catalog has, called with NULLs, limits, broken and
# huge texts, empty, nested and very long arrays, as four roles; and values in the
# binary format of COPY, mutated.  Whatever it is, it is answered or refused: no
# call ends the server, runs on, or meets what its author took for impossible
# (an internal error, XX000).
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
	SELECT loyalty.grant_reporting('fuzz_reporting'); SELECT loyalty.grant_operation('fuzz_operation')});
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
	type => [literal('cajero')], rounding => [literal('half_up')], prefix => [literal('k_')],
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
is $stack->psql(q{SELECT * FROM loyalty.verify()}), '', 'the ledger is sound after all that';

done_testing;

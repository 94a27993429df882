# Large bodies, and orders that were made to hurt: whoever sends them pays with
# an answer, not the others with memory and time.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use List::Util qw(max shuffle);
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s');
my $key = $stack->env('LOYALTY_APIKEY');
my $seller = "/v1/seller/$key";
my $program = $stack->env('LOYALTY_PROGRAM_ID');
my $json = 'application/json';
my $MB = 1 << 20;

# --- how much each path takes, in nginx and past it ---------------------------

my %longest = (
	(map { $_ => 64 << 10 } qw(/toolusers/get /wallet/get /wallet/contact/add /wallet/contact/get /wallet/sale /wallet/balance/update
		/employee/add /employee/disable), map { ("/api/${_}_V1", "/api/${_}_sbx") } qw(Registro Customer Accounts Payments)),
	"$seller/program/$program/member" => $MB,
	map { ("$seller/$_" => 8 * $MB) } qw(deposit redemption accumulation),
);
for my $path (sort keys %longest)
{
	my $shown = $path =~ s/\Q$key\E/KEY/r;
	my $body = '{' . ' ' x ($longest{$path} - 1);
	my $ways = {
		nginx => sub { $stack->http('POST', $path, {apikey => $key, 'Content-Type' => $json}, $_[0])->{status} },
		PostgREST => sub {
			$stack->http('POST', $stack->env('POSTGREST_URL') . '/rpc/gateway', {'Content-Type' => 'application/octet-stream', 'X-Loyalty-Method' => 'POST',
					'X-Loyalty-Uri' => $path, 'X-Loyalty-Key' => $key, 'X-Loyalty-Type' => $json}, $_[0])->{status};
		},
	};
	is join(' ', map { $ways->{$_}->($body), $ways->{$_}->("$body ") } qw(nginx PostgREST)), '400 413 460 473', "$shown: $longest{$path} bytes, and one more";
}

# --- memory ---------------------------------------------------------------------

# Each body is made by a session of its own, and sent by another.
$stack->psql('CREATE TABLE public.body (name text PRIMARY KEY, body bytea); ALTER TABLE public.body ALTER body SET STORAGE EXTERNAL');

sub body
{
	my ($name, $sql) = @_;
	$stack->psql("INSERT INTO public.body SELECT '$name', convert_to($sql, 'UTF8')");
	return;
}

# What the kernel says of a process: kB, and seconds.
sub usage
{
	my $pid = shift;
	open my $in, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!\n";
	my %usage = map { /^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem):\s+(\d+) kB/ ? ($1 => $2) : () } <$in>;
	open $in, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!\n";
	my @times = split ' ', <$in> =~ s/^.*\)//r;
	$usage{cpu} = ($times[11] + $times[12]) / 100;
	return \%usage;
}

# Send a body to a path in a new session, perhaps several times: the answer's
# start, and what it took, in MB above what the session had.  The server's shared
# memory does not count.
sub serve
{
	my ($name, $path, %option) = @_;
	my $session = $stack->connect_async;
	my $pid = $session->query('SELECT pg_backend_pid()');
	my $headers = JSON::PP->new->canonical->encode({'x-loyalty-method' => 'POST', 'x-loyalty-uri' => $path, 'x-loyalty-type' => $option{type} // $json, 'x-loyalty-key' => $key});
	$session->query("SELECT set_config('request.headers', '$headers', false)");
	$session->query("SELECT loyalty_api.gateway('{}')") for 1 .. 3;
	$session->query("SET statement_timeout = '$option{timeout}'") if $option{timeout};
	my $before = usage($pid);
	my $answer;
	$answer = $session->query("SELECT length(a) || ' ' || left(a, 300) FROM (SELECT loyalty_api.gateway(body)::text AS a FROM public.body WHERE name = '$name') s") for 1 .. $option{times} // 1;
	my $after = usage($pid);
	$session->close;
	my $shared = $after->{RssFile} + $after->{RssShmem} - $before->{RssFile} - $before->{RssShmem};
	return {
		answer => $answer =~ s/^(\d+) //r, length => $1 // 0, cpu => $after->{cpu} - $before->{cpu},
		peak => ($after->{VmHWM} - $before->{VmRSS} - max($shared, 0)) / 1024, kept => ($after->{RssAnon} - $before->{RssAnon}) / 1024,
	};
}

# At most so many times the body at once, and hardly anything afterwards.
sub takes
{
	my ($name, $path, $times, $expected, %option) = @_;
	my $took = serve($name, $path, %option);
	my $size = $stack->psql("SELECT length(body) FROM public.body WHERE name = '$name'") / $MB;
	like $took->{answer}, $expected, $name;
	cmp_ok $took->{peak}, '<=', $times * $size + 1, sprintf '%s: %.1f MB of body take %.1f MB', $name, $size, $took->{peak};
	cmp_ok $took->{kept}, '<=', 5, sprintf '%s: %.1f MB are kept', $name, $took->{kept};
	return $took;
}

body('objects without credentials', q{'{' || repeat('"":{},', 1390000) || '"":1}'});
takes('objects without credentials', '/api/Customer_V1', 1.5, qr/"status":413/);
body('separators', q{repeat('&', 4000000)});
takes('separators', '/wallet/sale', 1.5, qr/body_too_large/, type => 'application/x-www-form-urlencoded');
body('items without a key', q{'[' || repeat('{},', 2400000) || '{}]'});
takes('items without a key', '/v1/seller/nobody/deposit', 1.5, qr/"status":"error","description":"Usuario no autorizado"/);
body('too many items', q{'[' || repeat('{},', 2400000) || '{}]'});
takes('too many items', "$seller/deposit", 1.5, qr/^\Q{"status":"error","description":"Se espera un objeto JSON o un arreglo de objetos"}/);
body('members that nobody wants', q{'[{' || repeat('"x":{"y":"\n"},', 450000) || '"x":1}]'});
takes('members that nobody wants', "$seller/deposit", 1.5, qr/programId/);
body('a new member with members that nobody wants', q{'{' || repeat('"x":{"y":"\n"},', 65000) || '"x":1}'});
takes('a new member with members that nobody wants', "$seller/program/$program/member", 1.5, qr/: email"/);

my $member = $stack->env('LOYALTY_MEMBER_ID');
my $item = qq({"programId":$program,"memberId":"$member","amount":1,"comments":"c"});
body('100,000 items', "'[' || repeat('$item,', 99999) || '$item]'");
# what a block that was freed has taught the C library is seen the second time
takes('100,000 items', "$seller/deposit", 10, qr/^\[\{"transactionid":"\d+","status":"success"/, times => 2);
is $stack->psql("SELECT balance >= 200000 FROM loyalty.members WHERE client_id = '$member'"), 't', '100,000 items: they are posted';

# A batch that is posted in several runs answers as one that is posted at once.
{
	my @members = ('R1', 'R2', 'R3');
	$stack->psql("SELECT loyalty.create_member(merchant_id, program_id, 'Run', client_id => '$_') FROM loyalty_internal.program WHERE client_id = '$program'") for @members;
	my @items = map { [$members[$_ * $_ % 7 % 3], 1] } 1 .. 25_000;
	$items[$_][1] = 0 for 9_999, 10_000, 20_000;
	my %balance;
	my $expected = join "\n", map { $_->[1] ? "$_->[0] success " . ++$balance{$_->[0]} : "$_->[0] error 0" } @items;
	# JSON in Perl takes ten seconds for that
	my $answer = $stack->http('POST', "$seller/deposit", {'Content-Type' => $json}, '[' . join(',', map { qq({"programId":$program,"memberId":"$_->[0]","amount":$_->[1],"comments":"c"}) } @items) . ']')->{body};
	my $got = join "\n", map { /"status":"(\w+)".*"memberId":"(\w+)","totalPoints":(\d+)/ ? "$2 $1 $3" : $_ } split /(?<=\}),(?=\{)/, $answer;
	ok $got eq $expected, '25,000 items: each is answered in its place, by the balance that those before it left' or diag substr $got, 0, 500;
}

# --- lists --------------------------------------------------------------------------

# Members of a program of their own, with addresses of 64 kB each.
$stack->psql(q{SELECT merchant_id AS m FROM loyalty_internal.program WHERE client_id = '} . $program . q{' \gset
	SELECT program_id AS p FROM loyalty.create_program(:m, 'Lists', 'LISTS') \gset
	SELECT count(loyalty.create_member(:m, :p, 'Persona ' || i, client_id => 'L' || i, phone => ('55' || lpad(i::text, 8, '0'))::loyalty.phone)) FROM generate_series(1, 500) i;
	INSERT INTO loyalty_internal.member_address (merchant_id, member_id, ordinal, street)
	SELECT merchant_id, member_id, o, repeat(md5(o::text), 31) FROM loyalty_internal.member, generate_series(1, 64) o WHERE program_id = :p});

# What a session takes for a list, in MB: as with bodies.
sub list
{
	my ($size, $query) = @_;
	my $session = $stack->connect_async;
	my $pid = $session->query('SELECT pg_backend_pid()');
	my $ask = sub {
		my $headers = JSON::PP->new->canonical->encode({'x-loyalty-method' => 'GET', 'x-loyalty-uri' => "$seller/program/LISTS/member$_[0]"});
		$session->query("SELECT set_config('request.headers', '$headers', false)");
		return $session->query("SELECT pg_column_size(loyalty_api.gateway(''))");
	};
	$session->query("SET loyalty.answer_size = '$size'");
	$ask->('?limit=10') for 1 .. 3;
	my $before = usage($pid);
	my $length = $ask->($query);
	my $after = usage($pid);
	my $status = $session->query("SELECT coalesce(current_setting('response.status', true), '')");
	$session->close;
	my $shared = $after->{RssFile} + $after->{RssShmem} - $before->{RssFile} - $before->{RssShmem};
	return ($length / $MB, ($after->{VmHWM} - $before->{VmRSS} - max($shared, 0)) / 1024, $status);
}
{
	my ($length, $peak) = list('64MB', '');
	cmp_ok $length, '>', 30, 'a list of more than 30 MB';
	cmp_ok $peak, '<=', 1.5 * $length, sprintf 'the answer of %.1f MB takes %.1f MB', $length, $peak;
	($length, $peak) = list('1MB', '');
	cmp_ok $length, '<', 0.001, 'where 1 MB is answered it is refused';
	cmp_ok $peak, '<=', 4, sprintf 'while it is read: it takes %.1f MB', $peak;
	($length) = list('1MB', '?limit=10&offset=20');
	cmp_ok $length, '>', 0.6, 'a part of it is answered';
}
my $too_large = sub { $stack->psql("SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.answer_size = '64kB'; SELECT set_config('request.headers', '{\"apikey\": \"$key\"}', false) \\g /dev/null\nSELECT loyalty_api.$_[0]") };
my $wallet = $stack->psql("SELECT wallet_key FROM loyalty_internal.program WHERE client_id = 'LISTS'");
like $too_large->("wallet_contact_get('$wallet')"), qr/"code":"balance_get_01"/, 'contacts of 64 kB';
$stack->psql("UPDATE loyalty_internal.member SET name = repeat('x', 1000) WHERE client_id ~ '^L'");
like $too_large->("wallet_contact_get('$wallet')"), qr/"code":"answer_too_large","status":413/, 'contacts of more are too many';

# A list in order is sorted before its first row comes, on disk if it is large.
sub files_of_contacts
{
	my ($size) = @_;
	my ($fine, $answer, $said) = $stack->try_psql("SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.answer_size = '$size'; SET work_mem = '64kB'; SET log_temp_files = 0; SET client_min_messages = log;
		SELECT set_config('request.headers', '{\"apikey\": \"$key\"}', false) \\g /dev/null\nSELECT loyalty_api.wallet_contact_get('$wallet') ->> 'code'");
	return "$answer, " . ($said =~ /temporary file/ ? "in a file" : "in memory");
}
is files_of_contacts('2MB'), 'balance_get_01, in a file', 'half a megabyte of contacts are sorted in a file';
is files_of_contacts('64kB'), 'answer_too_large, in memory', 'but not those that are too many';
is $stack->psql("SELECT loyalty.fold('') \\g /dev/null\nSET loyalty.answer_size = '64kB'; SELECT count(*) FROM loyalty.seller_member_list((SELECT merchant_id FROM loyalty_internal.program WHERE client_id = 'LISTS'), 'LISTS')"), '500', 'SQL has them all';
is $stack->http('GET', "$seller/program/LISTS/member", {}, '')->{status}, 413, 'at the path, more than 32 MB are too large';
is $stack->http('GET', "$seller/program/LISTS/member?limit=2", {}, '')->{status}, 200, 'a page is not';

# --- orders that were made for qsort() ---------------------------------------------

# A program of these sources, built with a library of the server's; its lines.
sub built
{
	my ($name, $library, @arguments) = @_;
	my ($file) = grep { -e } map { "$_/$library" } $stack->bindir . '/../lib', map { chomp; $_ } map { `pg_config --$_` } qw(pkglibdir libdir);
	return unless $file;
	my $program_file = $stack->work_dir . "/$name";
	system($ENV{CC} // 'cc', '-O2', "$FindBin::Bin/../$name.c", '-o', $program_file, $file, '-lm') == 0 or die "$name.c cannot be compiled\n";
	chomp(my @lines = `$program_file @arguments`);
	return @lines;
}

my $n = 50_000;
SKIP:
{
	my @crafted = built('antiqsort', 'libpgport.a', $n) or skip 'there is no libpgport.a', 2;
	is scalar @crafted, $n, 'there is an order that qsort() takes quadratic time for';
	my %order = (crafted => \@crafted, shuffled => [shuffle(@crafted)]);
	my %cpu;
	for my $name (sort keys %order)
	{
		body($name, "(SELECT '[' || string_agg(format('{\"programId\":\"$program\",\"memberId\":\"M%s\",\"amount\":1,\"comments\":\"c\"}', to_char(n, 'FM000000')), ',' ORDER BY place) || ']'
			FROM unnest('{@{[join ',', @{$order{$name}}]}}'::integer[]) WITH ORDINALITY u (n, place))");
		my $took = serve($name, "$seller/deposit");
		like $took->{answer}, qr/"status":"error"/, "$name: $took->{length} bytes are answered";
		$cpu{$name} = $took->{cpu};
	}
	cmp_ok $cpu{crafted}, '<', 3 * $cpu{shuffled} + 0.2, "a crafted order takes $cpu{crafted} s, any other one $cpu{shuffled} s";
}

# --- keys that were made for one hash ----------------------------------------------

SKIP:
{
	my @fullest = built('collide', 'libpgcommon.a', 12, map { 1 + int rand 1e15 } 1 .. 5) or skip 'there is no libpgcommon.a', 2;
	is shift @fullest, 4096, '4,096 moments that the server\'s hash puts into one bucket';
	cmp_ok max(@fullest), '<', 30, "by that of src/base/table.c at most $_ are in one, whatever the seed" for max(@fullest);
}

# As many entries of an account are to be reversed, none of which is there: their
# numbers, of which the server's hash is the exclusive or of both halves.
{
	my $ids = 8000;
	my %cpu;
	for my $name (qw(other crafted))
	{
		my $numbers = $name eq 'crafted' ? "(i::bigint << 32) | (i # 12345)::bigint" : '(i::bigint << 32) | (i * 7919 % 65536)::bigint';
		my $session = $stack->connect_async;
		my $pid = $session->query('SELECT pg_backend_pid()');
		my $post = sub {
			$session->query("SELECT string_agg(DISTINCT error, ' ') FROM (SELECT merchant_id, account_id FROM loyalty.members WHERE client_id = '$member') m,
				(SELECT array_agg($numbers) AS numbers FROM generate_series(1, $_[0]) i) n,
				loyalty.post_batch(merchant_id, array_fill(account_id, ARRAY[$_[0]]), '{reverse}', array_fill('1'::loyalty.points, ARRAY[$_[0]]), reference => array_fill('R'::text, ARRAY[$_[0]]), entry_id => numbers)");
		};
		$post->(1);
		my $before = usage($pid)->{cpu};
		is $post->($ids), 'unknown_entry', "$name numbers: $ids entries that there are none of";
		$cpu{$name} = usage($pid)->{cpu} - $before;
		$session->close;
	}
	cmp_ok $cpu{crafted}, '<', 3 * $cpu{other} + 0.3, "numbers of one hash take $cpu{crafted} s, others $cpu{other} s";
}

# --- what takes long can be interrupted ------------------------------------------------

my $whole = serve('members that nobody wants', "$seller/deposit")->{cpu};
my $limit_ms = max(int($whole * 1000 / 3), 10);
my $cut = serve('members that nobody wants', "$seller/deposit", timeout => "${limit_ms}ms");
like $cut->{answer}, qr/the operation was interrupted|canceling statement/, 'reading a body ends at statement_timeout';
cmp_ok $cut->{cpu}, '<=', $whole * 2 / 3, "after $cut->{cpu} s instead of $whole s";

is $stack->psql('SELECT count(*) FROM loyalty.verify()'), '0', 'the ledger is sound';

done_testing;

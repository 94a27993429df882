# What one merchant can do to the others through nginx and PostgREST: as many
# requests in progress as its limits allow, and no more; no other way to write
# its key; and no answer that makes PostgREST drop what it has.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Digest::SHA qw(hmac_sha256_hex);
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use List::Util qw(max uniq);
use Loyalty;
use Test::More;
use Time::HiRes ();

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s', isolation => 'read committed');
my $form_type = 'application/x-www-form-urlencoded';
my %ours = (wallet => $stack->env('LOYALTY_WALLET_KEY'), phone => '4771234501', cashier => $stack->env('LOYALTY_USERTOOL_ID'), key => $stack->env('LOYALTY_APIKEY'),
	program => $stack->env('LOYALTY_PROGRAM_ID'));
my $merchant = $stack->psql("SELECT merchant_id FROM loyalty_internal.program WHERE wallet_key = '$ours{wallet}'");
my $second_key = $stack->psql("SELECT api_key FROM loyalty.create_api_key($merchant, 'second')");
my ($account, $member) = split /\|/, $stack->psql("SELECT account_id, client_id FROM loyalty_internal.member WHERE merchant_id = $merchant AND phone::text = '$ours{phone}'");

# The other merchant, with an address of its own.
my %other = (phone => '5510000001');
@other{qw(key wallet cashier program)} = split /\|/, $stack->psql(q{
	SELECT loyalty.create_merchant('Otra') AS m \gset
	SELECT wallet_key AS w, client_id AS c FROM loyalty.create_wallet(:m, 'Otra', 10) \gset
	SELECT loyalty.employee_add(:m, 'cajero', 'Persona', 'Centro', '4771000011', 'secreta') AS s \gset
	SELECT loyalty.wallet_contact_add(:m, :'w', '5510000001', 'Persona', :s) AS member \g /dev/null
	SELECT concat_ws('|', api_key, :'w', :s, :'c') FROM loyalty.create_api_key(:m, 'till')});
$other{member} = $stack->psql("SELECT client_id FROM loyalty_internal.member WHERE phone::text = '5510000001'");
my ($our_address, $other_address) = ('127.0.2.1', '127.0.2.2');

# --- requests whose answers are read later ------------------------------------------

our $url = $stack->url;

sub ask
{
	my ($from, $method, $path, $headers, $body) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $url =~ s{^http://}{}r, LocalAddr => $from, Timeout => Loyalty::HANG_S) or die "connect: $@\n";
	my @headers = ('Host: localhost', 'Connection: close', @$headers);
	push @headers, 'Content-Length: ' . length $body if defined $body && !grep { /^Transfer-Encoding/ } @headers;
	print $socket join("\r\n", "$method $path HTTP/1.1", @headers, '', $body // '');
	return $socket;
}

sub has_answered
{
	my ($readable, $ready) = ('');
	vec($readable, fileno $_[0], 1) = 1;
	return select $ready = $readable, undef, undef, 0;
}

sub answer_of
{
	my $socket = shift;
	local $/;
	my $bytes = <$socket>;
	my ($status, $head, $body) = $bytes =~ m{\AHTTP/1\.1 (\d{3})[^\r\n]*\r\n(.*?\r\n)\r\n(.*)\z}s or return {status => 'none', body => $bytes};
	return {status => $status, body => $body, map { /^([^:]+): *(.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $head};
}

sub sale
{
	my ($who, $from, $key) = @_;
	return ask($from, 'POST', '/wallet/sale', ['apikey: ' . ($key // $who->{key}), "Content-Type: $form_type"],
		Loyalty::form_encode(wallet_key => $who->{wallet}, phone => $who->{phone}, transaction_type => 0, transaction_amount => 10, usertool_id => $who->{cashier}));
}

sub batch
{
	my ($who, $from, $chunked) = @_;
	my $body = sprintf '[{"programId":"%s","memberId":"%s","amount":"1","comments":"%s"}]', $who->{program}, $who->{member}, 'x' x 100;
	my @headers = ('Content-Type: application/json');
	if ($chunked)
	{
		push @headers, 'Transfer-Encoding: chunked';
		$body = sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body;
	}
	else { $body .= ' ' x 10_000 }
	return ask($from, 'POST', "/v1/seller/$who->{key}/deposit", \@headers, $body);
}

sub refusal { my ($one) = grep { $_->{status} eq '429' } @_; return $one // {} }
sub statuses { my %times; $times{$_->{status}}++ for @_; return join ', ', map { "$times{$_} x $_" } sort keys %times }

# --- nobody takes all the connections to the database -------------------------------

my $blocker = $stack->connect_async;
my $waiting = q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event_type = 'Lock'};

# Requests that wait for a lock, until as many as expected do and all others are
# answered: how many there are of each, and what else is served meanwhile.
sub in_progress
{
	my ($name, $lock, $expected, $requests, @others) = @_;
	$blocker->query("BEGIN; $lock");
	my @sockets = map { $_->() } @$requests;
	my ($waits, $answered, $end) = (0, 0, time + 60);
	# One that is refused may wait for another to have been counted.
	until ($waits == $expected && $answered == @sockets - $expected || time > $end)
	{
		Time::HiRes::sleep(0.05);
		($waits, $answered) = ($stack->psql($waiting), scalar grep { has_answered($_) } @sockets);
	}
	is "$waits and $answered", "$expected and " . (@sockets - $expected), "$name: so many are in progress, and so many answered";
	while (my ($what, $socket) = splice @others, 0, 2)
	{
		# Where nothing was limited nobody else would be answered.
		is $waits == $expected && answer_of($socket->())->{status}, 200, "meanwhile: $what";
	}
	$blocker->query('ROLLBACK');
	return map { answer_of($_) } @sockets;
}

my $lock = "SELECT FROM loyalty_internal.account WHERE merchant_id = $merchant AND account_id = $account FOR UPDATE";
my %member_of_ours = (%ours, member => $member);
my @answers = in_progress('30 sales of one key', $lock, 20, [map { sub { sale(\%ours, $our_address) } } 1 .. 30],
	'a sale of another' => sub { sale(\%other, $other_address) },
	'one of another, from that address' => sub { sale(\%other, $our_address) },
	'a batch of another' => sub { batch(\%other, $other_address) });
is statuses(@answers), '20 x 200, 10 x 429', 'each is served, or told to try again';
my $refused = refusal(@answers);
is_deeply [@$refused{qw(body retry-after content-type)}],
	['{"success": false, "message": "too many requests, try again in a moment", "code": "too_many_requests", "status": 429}', 1, 'application/json; charset=utf-8'],
	'in the words of the document';

@answers = in_progress('30 sales of two keys from one address', $lock, 24, [map { my $key = $_ % 2 ? $ours{key} : $second_key; sub { sale(\%ours, $our_address, $key) } } 1 .. 30],
	'a sale of another' => sub { sale(\%other, $other_address) });
is statuses(@answers), '24 x 200, 6 x 429', 'an address is limited too';

# Who hangs up keeps the place, as long as the request is worked on.
{
	$blocker->query("BEGIN; $lock");
	my @sockets = map { sale(\%ours, $our_address) } 1 .. 20;
	ok $stack->wait_until(sub { $stack->psql($waiting) == 20 }), '20 sales wait';
	close $_ for splice @sockets;
	my $one_more = sale(\%ours, $our_address);
	ok $stack->wait_until(sub { has_answered($one_more) }), 'after their clients have hung up one more is answered';
	is $stack->psql($waiting), 20, 'and does not wait with them';
	$blocker->query('ROLLBACK');
	is answer_of($one_more)->{status}, 429, 'it is one too many';
	ok $stack->wait_until(sub { $stack->psql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND state <> 'idle'}) == 0 }), 'then the others are carried out';
}

for my $chunked (0, 1)
{
	my $what = $chunked ? 'batches of a length that is not told' : 'large batches';
	@answers = in_progress("10 $what", $lock, 3, [map { sub { batch(\%member_of_ours, $our_address, $chunked) } } 1 .. 10],
		'a batch of another' => sub { batch(\%other, $other_address, $chunked) },
		'a sale of another' => sub { sale(\%other, $other_address) });
	is statuses(@answers), '3 x 200, 7 x 429', 'for batches the limit is lower';
	$refused = refusal(@answers);
	is $refused->{body}, '{"status": "error", "description": "too many requests, try again in a moment"}', 'in the words of the seller API';
}

my @lists = (
	sub { ask($our_address, 'POST', '/wallet/contact/get', ["apikey: $ours{key}", "Content-Type: $form_type"], "wallet_key=$ours{wallet}") },
	sub { ask($our_address, 'GET', "/v1/seller/$ours{key}/program/$ours{program}/member?limit=1", []) },
	sub { ask($our_address, 'POST', '/toolusers/get', ["apikey: $ours{key}"], '') });
@answers = in_progress('10 lists', 'LOCK TABLE loyalty_internal.member, loyalty_internal.staff', 3, [map { $lists[$_ % 3] } 1 .. 10]);
is statuses(@answers), '3 x 200, 7 x 429', 'for lists too';

# Whatever a merchant's keys and addresses, it leaves connections to others: to
# those of tills, and to those of what takes long.
my $too_many = 'too many requests, try again in a moment';
my $third_address = '127.0.2.3';
@answers = in_progress('40 sales of two keys from two addresses', $lock, 24,
	[(map { sub { sale(\%ours, $our_address) } } 1 .. 20), map { sub { sale(\%ours, $third_address, $second_key) } } 1 .. 20],
	'a sale of another' => sub { sale(\%other, $other_address) });
is statuses(@answers), '24 x 200, 16 x 429', 'each is served, or told to try again';
$refused = refusal(@answers);
is_deeply [@$refused{qw(body retry-after)}], [qq({"success":false,"message":"$too_many","code":"too_many_requests","status":429}), 1], 'by the function';
my %by_second = (%member_of_ours, key => $second_key);
@answers = in_progress('6 large batches of two keys from two addresses', $lock, 5,
	[(map { sub { batch(\%member_of_ours, $our_address) } } 1 .. 3), map { sub { batch(\%by_second, $third_address) } } 1 .. 3],
	'a batch of another' => sub { batch(\%other, $other_address) },
	'a sale of ours' => sub { ask($our_address, 'POST', '/wallet/get', ["apikey: $ours{key}"], '') });
is statuses(@answers), '5 x 200, 1 x 429', 'for batches they are fewer';
is refusal(@answers)->{body}, qq({"status":"error","description":"$too_many"}), 'in the form of the seller API';

# Payments of one policy wait for one another.
{
	my ($user, $key, $curp) = ('Api_KASU_Sandbox', 'ef235aacf90d9f4aadd8c92e4b2562e1d9eb97f0', 'CAMC880526HMCBNR04');
	my $api = sub {
		my ($from, $path, $fields, @headers) = @_;
		return ask($from, 'POST', "/api/${path}_sbx", ['Content-Type: application/json', @headers],
			JSON::PP::encode_json({nombre_de_usuario => $user, curp_en_uso => $curp, %$fields}));
	};
	my $given = $stack->http_json('POST', '/api/Registro_sbx', {'Content-Type' => 'application/json'},
		JSON::PP::encode_json({tipo_peticion => 'token_full', nombre_de_usuario => $user, curp_en_uso => $curp, firma_KEY => hmac_sha256_hex($curp, $key)}))->{json};
	my $payment = sub {
		my ($from, $reference) = @_;
		return $api->($from, 'Payments', {token_data => $given->{token_data}, tipo_peticion => 'pagos_psd2', cantidad => 0.01, metodo => 'm', referencia => $reference},
			"Authorization: Bearer $given->{token}");
	};
	my $policies = q{SELECT FROM loyalty_internal.policy FOR UPDATE};
	my $till = $stack->psql("SELECT api_key FROM loyalty.create_api_key((SELECT merchant_id FROM loyalty_internal.app_user WHERE name = '$user'), 'its till')");
	@answers = in_progress('30 payments from two addresses', $policies, 8,
		[map { my $n = $_; sub { $payment->($n % 2 ? $our_address : $third_address, "r$n") } } 1 .. 30],
		'a sale of another' => sub { sale(\%other, $other_address) },
		'a batch of another' => sub { batch(\%other, $other_address) },
		'a request of a till of the merchant' => sub { ask($our_address, 'POST', '/wallet/get', ["apikey: $till"], '') });
	is statuses(@answers), '8 x 201, 22 x 429', 'of partners a third of that';
	is refusal(@answers)->{body}, qq({"ok":false,"status":429,"error":"$too_many","mensaje":"$too_many","retry_after":1}), 'in the form of the customer API';

	# What is refused is written down, and holds its connection until then.
	my $log = 'LOCK TABLE loyalty_internal.access IN SHARE MODE';
	my $times = sub { return $stack->psql("SELECT coalesce(sum(times), 0) FROM loyalty.access_log WHERE app_user = '$user' AND status = $_[0]") };
	my $before = $times->(429);
	@answers = in_progress('30 requests without a consent', $log, 8,
		[map { my $from = $_ % 2 ? $our_address : $third_address; sub { $api->($from, 'Customer', {token_data => $given->{token_data}, tipo_peticion => 'individual_request', request => 'Mail', clave_aceptacion => 'no'}, "Authorization: Bearer $given->{token}") } } 1 .. 30],
		'a sale of another' => sub { sale(\%other, $other_address) },
		'a request of a till of the merchant' => sub { ask($our_address, 'POST', '/wallet/get', ["apikey: $till"], '') });
	is statuses(@answers), '8 x 409, 22 x 429', 'what is refused has no more turns than what is served';
	is $times->(409), 8, 'and is written down';
	is $times->(429), $before, 'but what has none is not';
	my ($nobody) = grep { !$stack->psql_error("SELECT '$_'::loyalty.curp") } map { "BXXX800101HDFXXX0$_" } 0 .. 9;
	my %wrong = (tipo_peticion => 'token_full', firma_KEY => 'x' x 64);
	@answers = in_progress('30 requests of whoever knows a name', $log, 4,
		[map { my $from = $_ % 2 ? $our_address : $third_address; sub { $api->($from, 'Registro', \%wrong) } } 1 .. 30],
		'a token, about nobody, for who has the key' => sub { $api->($our_address, 'Registro', {tipo_peticion => 'token_full', curp_en_uso => $nobody, firma_KEY => hmac_sha256_hex($nobody, $key)}) });
	is statuses(@answers), '30 x 401', 'who has proved nothing is told so';
	is $times->(401), 4, 'and written down as often as there are turns for it';
}

# Sessions for these yield the processor; those for tills do not.
{
	my %niceness;
	for my $pid (split /\n/, $stack->psql(q{SELECT pid FROM pg_stat_activity WHERE usename = 'authenticator'}))
	{
		open my $in, '<', "/proc/$pid/stat" or next;	# it ended
		$niceness{(split / /, <$in> =~ s/^.*\) //r)[16]}++;
	}
	my $base = getpriority 0, 0;
	is join(' ', sort { $a <=> $b } keys %niceness), join(' ', uniq($base, max($base, 10))), 'sessions for batches and lists yield the processor';
	is $stack->psql_error(q{SELECT loyalty.fold(''); SET loyalty.nice = 5})->{sqlstate}, '55P02', 'which is said when a session connects, and not later';
}

# What nginx lets in from one is less than PostgREST has connections for.
{
	my ($nginx, $postgrest) = map { my $file = "$FindBin::Bin/../../http/$_"; open my $in, '<', $file or die "$file: $!\n"; local $/; <$in> } qw(nginx.conf postgrest.conf);
	my ($pool) = $postgrest =~ /^db-pool = (\d+)$/m;
	my ($batches) = $postgrest =~ /PGRST_DB_POOL=(\d+)/;
	my %limit = $nginx =~ /^\t*limit_conn (\w+) (\d+);/mg;
	is join(' ', sort keys %limit), 'long_by_address long_by_key open_by_address open_by_key', 'the limits of http/nginx.conf';
	cmp_ok max(@limit{qw(open_by_key open_by_address)}), '<', $pool, 'leave connections for tills';
	cmp_ok max(@limit{qw(long_by_key long_by_address)}), '<', $batches, 'and for batches';
	is $stack->psql("SELECT $pool + $batches < current_setting('max_connections')::integer"), 't', 'the database has as many';
}

# A web server beside that of the stack, with another configuration; its address.
my @servers;

sub start_nginx
{
	my $edit = shift;
	my $folder = $stack->work_dir . '/nginx';
	my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
	open my $in, '<', "$folder/nginx.conf" or die "$folder/nginx.conf: $!\n";
	my $conf = do { local $/; <$in> };
	$conf =~ s/listen 127\.0\.0\.1:\d+/listen 127.0.0.1:$port/;
	$conf =~ s/^pid .*$/pid second.pid;/m;
	$conf =~ s/(client_body|proxy|unused);$/second_$1;/mg;
	$conf =~ s/^(\s*access_log) access\.log/$1 second_access.log/m;
	$edit->() for $conf;
	open my $out, '>', "$folder/second.conf" or die "$folder/second.conf: $!\n";
	print $out $conf;
	close $out;
	my @command = (Loyalty::as_owner(), 'nginx', '-p', "$folder/", '-c', "$folder/second.conf", '-e', "$folder/second.log", '-g', 'daemon off;');
	local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
	push @servers, IPC::Run::start(\@command, '<', '/dev/null', '>', '/dev/null', '2>', \my $said);
	$stack->wait_until(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") || !$servers[-1]->pumpable }) or die "nginx does not start: $said\n";
	return "http://127.0.0.1:$port";
}

END { local $?; $_->signal('TERM'), $_->finish for @servers }

# --- keys that nobody was given do not crowd out others ------------------------------------

{
	# What nginx remembers of keys is as little as it can be, so it is full at once.
	local $url = start_nginx(sub { s/(zone=by_key):10m/$1:32k/ });
	my $sale = sub { answer_of(ask($other_address, POST => '/wallet/sale', ["apikey: $other{key}", "Content-Type: $form_type"],
				"wallet_key=$other{wallet}&phone=$other{phone}&transaction_type=0&transaction_amount=10&usertool_id=$other{cashier}"))->{status} };
	for my $length (1, 20, 100, 199)
	{
		answer_of(ask($our_address, GET => $_ % 2 ? '/x' : sprintf('/v1/seller/%0*d/program', $length, $_), [sprintf 'apikey: %0*d', $length, $_])) for 1 .. 300;
		is $sale->(), 200, "a till sells while somebody asks with keys of $length characters";
	}
	answer_of(ask($our_address, GET => '/x', [sprintf 'apikey: lk_%064x', $_])) for 1 .. 300;
	is $sale->(), 200, 'and with keys that look like those that are made';
}

{
	# One address is far too fast; a key of another has used up its rate, and stays so.
	local $url = start_nginx(sub { s{zone=by_key:10m rate=\d+r/s}{zone=by_key:32k rate=1r/m}; s/zone=by_key burst=\d+ delay=\d+/zone=by_key burst=3 nodelay/;
			s{zone=by_address:10m rate=\d+r/s}{zone=by_address:10m rate=1r/m}; s/zone=by_address burst=\d+ delay=\d+/zone=by_address burst=20 nodelay/ });
	my $program = sub { answer_of(ask($_[0], GET => "/v1/seller/$_[1]/program", []))->{status} };
	is join(' ', map { $program->($other_address, $other{key}) } 1 .. 5), '200 200 200 200 429', 'a key has used up its rate';
	$program->($our_address, sprintf 'lk_%064x', $_) for 1 .. 300;
	is $program->($other_address, $other{key}), 429, 'which is not forgotten for keys of who is refused as an address';
	answer_of(ask($other_address, GET => '/health', ['X-Request-Id: the-last']));
	my @lines;
	$stack->wait_until(sub
	{
		open my $in, '<', $stack->work_dir . '/nginx/second_access.log' or return;
		@lines = <$in>;
		return grep { / the-last / } @lines;
	});
	my $refused = grep { /^\S+ \S+ 429 / } @lines;
	cmp_ok $refused, '<', 30, "of some 280 refusals $refused have a line in the log";
}

# --- addresses of IPv6 ---------------------------------------------------------------------

{
	# As a proxy tells them, so that this needs no such line.
	my $real = 'set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;';
	my $of = sub { answer_of(ask($our_address, GET => '/x', ["X-Forwarded-For: $_[0]"]))->{status} };
	local $url = start_nginx(sub { s/(server_tokens off;)/$1 $real/; s{(zone=by_address:10m rate)=\d+r/s}{$1=1r/m}; s/zone=by_address burst=\d+ delay=\d+/zone=by_address burst=3 nodelay/ });
	is join(' ', map { $of->("2001:db8:1:2::$_") } 1 .. 5, 'ffff:1:2'), '404 404 404 404 429 429', 'all addresses of a network have one rate';
	is join(' ', map { $of->("2001:db8:1:$_") } '3::1', '12::1', ':2'), '404 404 404', 'another network has its own';
	is join(' ', map { $of->($_) } ('::ffff:192.0.2.1') x 4, '192.0.2.1', '::ffff:192.0.2.2', '192.0.3.1'), '404 404 404 404 429 404 404', 'addresses of IPv4 count one by one, in whichever form';
	$url = start_nginx(sub { s/(server_tokens off;)/$1 $real/; s/(limit_conn open_by_address) \d+/$1 2/ });
	# one that comes after the third is refused, and another has to take its place
	my (@sockets, $told);
	$stack->wait_until(sub
	{
		push @sockets, map { ask($our_address, POST => '/wallet/get', ["X-Forwarded-For: 2001:db8:1:2::$_", 'Content-Length: 10']) } 1 .. 2;
		$told = join ' ', map { $of->($_) } '2001:db8:1:2::3', '2001:db8:1:3::1';
		return $told eq '429 404';
	});
	is $told, '429 404', 'so it is with what is in progress';
	close $_ for @sockets;
	open my $in, '<', "$FindBin::Bin/../../http/nginx.conf" or die "http/nginx.conf: $!\n";
	is scalar(grep { /^[^#]*\$binary_remote_addr/ } <$in>), 2, 'no limit counts addresses in another way';
}

# --- what takes long does not go to the tills' PostgREST -----------------------------------

{
	# In their places are servers that answer with their names.
	my %port = map { $_ => IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) } qw(tills batches);
	$_ = $_->sockport for values %port;
	local $url = start_nginx(
		sub {
			s/(upstream (\w+) \{\s+server 127\.0\.0\.1:)\d+/$1$port{$2}/g;
			s/(limit_conn|limit_req) .*;//g;
			my $servers = join '', map { "server { listen 127.0.0.1:$port{$_}; client_max_body_size 0; location / { return 200 $_; } }\n" } sort keys %port;
			s/(\tserver \{\n\t\tlisten)/$servers$1/;
		});
	my $taken_by = sub {
		my ($request, $body, $chunked) = @_;
		my ($method, $path) = split / /, $request;
		return answer_of(ask($our_address, $method, $path, $chunked ? ['Transfer-Encoding: chunked'] : [], $chunked ? sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body : $body))->{body};
	};
	my $seller = '/v1/seller/key';
	my @cases = (
		[tills => 'POST /wallet/sale', 3999], [batches => 'POST /wallet/sale', 4000], [batches => 'POST /wallet/sale', 10, 'chunked'],
		[tills => "POST $seller/deposit", 999], [batches => "POST $seller/deposit", 1000], [batches => "POST $seller/deposit", 9901], [batches => "POST $seller/accumulation", 10_000],
		(map { [batches => $_, 10, 'chunked'], [batches => $_, 20_000, 'chunked'], [batches => $_, 20_000] } "POST $seller/deposit", "GET $seller/deposit", "PUT $seller/redemption", 'POST /v1/%73eller/key/deposit',
			'POST /./v1/seller/key/deposit', 'POST /x/../v1/seller/key/accumulation', "POST $seller/deposit?x", "POST $seller/deposit%0a", "PUT $seller/program/p/member", "POST $seller/program/p/member"),
		[tills => "POST $seller/program/p/member", 500], [batches => "POST $seller/program/p/member", 1000],
		(map { [batches => $_, 0] } "GET $seller/program/p/member", "GET $seller/program/p/member?limit=1", "GET $seller/program/p%2fq/member", "GET $seller/program/p%0a/member", 'POST /toolusers/get', 'POST /toolusers/get?x',
			'POST /wallet/contact/get'),
		[batches => 'POST /employee/add', 10_000],
		(map { [tills => $_, 0] } "GET $seller/program", "GET $seller/program/p/member/m", "GET $seller/program/p/member/m/balance", 'POST /wallet/get', 'POST /wallet/contact/add', 'POST /wallet/balance/update',
			'POST /employee/add', 'POST /employee/disable', 'POST /api/Customer_V1', 'POST /api/Payments_V1', 'POST /api/Registro_V1'));
	for my $case (@cases)
	{
		my ($expected, $request, $length, $chunked) = @$case;
		is $taken_by->($request, 'x' x $length, $chunked), $expected, "$request of $length bytes" . ($chunked ? ', in chunks' : '');
	}
}

# --- a key is counted, however it is written ---------------------------------------------

{
	# Four requests of a key at once, and one more each minute.
	local $url = start_nginx(sub { s{zone=by_key:10m rate=\d+r/s}{zone=by_key:10m rate=1r/m}; s/zone=by_key burst=\d+ delay=\d+/zone=by_key burst=3 nodelay/ });
	my $program = sub { answer_of(ask($our_address, 'GET', "/v1/seller/$_[0]/program", []))->{status} };
	is join(' ', map { $program->($ours{key}) } 1 .. 5), '200 200 200 200 429', 'the rate of a key';
	is $program->($other{key}), '200', 'is that of this key';
	my @escaped = map { my $key = $ours{key}; substr($key, $_, 1) = sprintf '%%%02x', ord substr $key, $_, 1; $key } 0 .. 7;
	is scalar(uniq @escaped), 8, 'eight other ways to write it';
	is join(' ', map { $program->($_) } @escaped), '200 200 200 200 429 429 429 429', 'have one rate together';
	my $header = sub { answer_of(ask($our_address, 'POST', '/wallet/get', ["apikey: $_[0]"], ''))->{status} };
	is join(' ', map { $header->($second_key) } 1 .. 5), '200 200 200 200 429', 'a key in the header has one too';
}

# New staff, and batches, are few in a second.
{
	local $url = start_nginx(sub { s{zone=batches_by_key:10m rate=\d+r/s}{zone=batches_by_key:10m rate=1r/m}; s/zone=batches_by_key burst=\d+ delay=\d+/zone=batches_by_key burst=2 nodelay/ });
	my $hire = sub {
		my $n = shift;
		return answer_of(ask($our_address, 'POST', '/employee/add', ["apikey: $ours{key}", "Content-Type: $form_type"],
			Loyalty::form_encode(type => 'cajero', employee_name => "Nueva $n", business_name => 'Centro', number => "477123900$n", password => "contraseña $n")))->{status};
	};
	is join(' ', map { $hire->($_) } 1 .. 5), '200 200 200 429 429', 'new staff have the rate of batches';
	is answer_of($_->())->{status}, 200, 'a list has not' for @lists;
	is answer_of(sale(\%ours, $our_address))->{status}, 200, 'nor has a sale';
}

# --- answers that PostgREST acts on --------------------------------------------------------

# How often PostgREST dropped its connections and read the schema again.
sub loads
{
	my $log = $stack->work_dir . '/postgrest.log';
	open my $in, '<', $log or die "$log: $!\n";
	return scalar grep { /Attempting to connect to the database/ } <$in>;
}

sub rpc { my ($function, $body, %headers) = @_; return $stack->http_json('POST', $stack->env('POSTGREST_URL') . "/rpc/$function", \%headers, $body) }

# Who can connect could have it read the schema again by NOTIFY.
is $stack->psql(q{SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'}), 0, 'PostgREST listens to nobody';

$stack->psql(q{CREATE FUNCTION loyalty_api.probe(status integer) RETURNS text LANGUAGE sql AS $$ SELECT set_config('response.status', status::text, true) $$});
$stack->reload_postgrest;
$stack->wait_until(sub { rpc('probe', 'status=200', 'Content-Type' => $form_type)->{status} == 200 });

my $before = loads();
my @statuses = split /\n/, $stack->psql('SELECT DISTINCT http_status FROM loyalty.error_codes WHERE http_status <> 503 UNION SELECT unnest(ARRAY[200, 201, 202, 504]) ORDER BY 1');
is join(' ', map { rpc('probe', "status=$_", 'Content-Type' => $form_type)->{status} } @statuses), "@statuses", 'all statuses that functions answer';

$stack->psql("ALTER FUNCTION loyalty_api.$_ SET lock_timeout = '50ms'") for 'gateway', 'wallet_sale';
$blocker->query("BEGIN; $lock");
my $answer = answer_of(sale(\%ours, $our_address));
is_deeply [@$answer{qw(status retry-after body)}],
	[503, 5, '{"success":false,"message":"the operation was interrupted; nothing was written","code":"unavailable","status":503}'], 'nginx answers 503';
my $form = Loyalty::form_encode(wallet_key => $ours{wallet}, phone => $ours{phone}, transaction_type => 0, transaction_amount => 10, usertool_id => $ours{cashier});
$answer = rpc('gateway', $form, 'X-Loyalty-Method' => 'POST', 'X-Loyalty-Uri' => '/wallet/sale', 'X-Loyalty-Type' => $form_type, 'X-Loyalty-Key' => $ours{key},
	'Content-Type' => 'application/octet-stream');
is "$answer->{status} $answer->{json}{status} $answer->{json}{code}", '504 503 unavailable', 'of the 504 of the gateway';
# It would be at once, and not before an answer that comes later.
Time::HiRes::sleep(1);
is loads(), $before, 'at all of which PostgREST does nothing';
$answer = rpc('wallet_sale', $form, apikey => $ours{key}, 'Content-Type' => $form_type);
is "$answer->{status} $answer->{json}{status}", '503 503', 'a named function answers 503 itself';
is $stack->wait_until(sub { loads() > $before }), 1, 'at which PostgREST reads the schema again: the log would have told';
$blocker->query('ROLLBACK');

done_testing;

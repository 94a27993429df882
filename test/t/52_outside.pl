# What who runs it, and its clients, see of it from outside: connections that
# refusals leave open, ids by which failures are found in the logs, and what
# else the headers of answers say.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Socket::INET;
use IPC::Run ();
use List::Util qw(sum);
use Loyalty;
use Test::More;
use Time::HiRes ();

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s', isolation => 'read committed');
my $rest = $stack->env('POSTGREST_URL');
my $key = $stack->env('LOYALTY_APIKEY');
my $phone = '4771234501';
my %sale = (wallet_key => $stack->env('LOYALTY_WALLET_KEY'), phone => $phone, transaction_type => 0, transaction_amount => 100,
	usertool_id => $stack->env('LOYALTY_USERTOOL_ID'), ticket => 'T-1');
my $account = $stack->psql("SELECT account_id FROM loyalty.members WHERE phone::text = '$phone'");

sub sale { my %headers = @_; return $stack->form('/wallet/sale', \%sale, \%headers) }
sub id_of { return $_[0]{headers}{'x-request-id'} // '' }

sub contents
{
	my $file = shift;
	open my $in, '<:encoding(UTF-8)', $file or die "$file: $!\n";
	local $/;
	return <$in> // '';
}

# The line that nginx has of a request, which it writes a second later.
sub nginx_line
{
	my $id = shift;
	return $stack->wait_until(sub { (grep { / \Q$id\E / } split /\n/, contents($stack->work_dir . '/nginx/access.log'))[0] });
}

# --- a second nginx with the same configuration, but for some lines -------------------

# CODE edits its text, and is told the folder that it runs in.
sub start_nginx
{
	my ($name, $edit) = @_;
	my $dir = $stack->work_dir . "/$name";
	my $free = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1) or die "$@\n";
	my $address = '127.0.0.1:' . $free->sockport;
	close $free;
	my $configuration = contents($stack->work_dir . '/nginx/nginx.conf') =~ s/listen 127\.0\.0\.1:\d+;/listen $address;/r;
	my ($nginx) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin';
	mkdir $dir or die "$dir: $!\n";
	open my $out, '>', "$dir/nginx.conf" or die "$dir: $!\n";
	print $out $edit->($configuration, $dir);
	close $out;
	IPC::Run::run([qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout), "$dir/key.pem", '-out', "$dir/cert.pem"],
		'>', '/dev/null', '2>&1') or die "openssl failed\n";
	system('chown', '-R', '--reference=' . $stack->data_dir, $dir) == 0 or die "chown failed\n";
	IPC::Run::run([Loyalty::as_owner(), $nginx, '-p', "$dir/", '-c', "$dir/nginx.conf", '-e', "$dir/error.log"], '<', '/dev/null', '>', "$dir.said", '2>&1', init => sub { chdir $dir or die "$dir: $!\n" })
		or die 'nginx did not start: ' . contents("$dir.said") . "\n";
	$stack->wait_until(sub { IO::Socket::INET->new(PeerAddr => $address) }) or die "nginx does not answer\n";
	return $address;
}

# --- connections ------------------------------------------------------------------------

subtest 'a thousand refusals over TLS: one handshake' => sub {
	my $address = start_nginx('tls', sub {
		my ($text, $dir) = @_;
		return $text =~ s/(listen [^;]+);/$1 ssl;\nssl_certificate $dir\/cert.pem;\nssl_certificate_key $dir\/key.pem;/r;
	});
	my $out = '';
	my $n = 1000;
	IPC::Run::run([qw(curl -sk -d phone=1 -H), "apikey: $key", '-o', '/dev/null', '-w', '%{http_code} %{num_connects} %{time_appconnect}\n',
			"https://$address/wallet/contact/get?[1-$n]"], '>', \$out) or die "curl failed: $out\n";
	my @answers = map { [split / /] } split /\n/, $out;
	is scalar(@answers), $n, 'all are answered';
	is scalar(grep { $_->[0] == 400 } @answers), $n, 'with 400';
	is sum(map { $_->[1] } @answers), 1, 'over one connection';
	is scalar(grep { $_->[2] > 0 } @answers), 1, 'with one handshake';
	note 'connections: ', sum(map { $_->[1] } @answers);
};

# One connection, and what each request over it is answered.
sub answers_of
{
	my @requests = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $stack->url =~ s{^http://}{}r, Timeout => Loyalty::HANG_S) or die "connect: $@\n";
	my @answers;
	for my $request (@requests)
	{
		my ($head, $body) = ('', '');
		print $socket $request;
		while (my $line = <$socket>) { last if $line eq "\r\n"; $head .= $line; }
		if ($head =~ /^Content-Length: (\d+)/mi) { read $socket, $body, $1; }
		elsif ($head =~ /^Transfer-Encoding: chunked/mi)
		{
			while ((readline $socket) =~ /^([1-9a-f][0-9a-f]*)/) { read $socket, $body, hex $1; readline $socket; }
			readline $socket;
		}
		push @answers, $head eq '' ? 'closed' : join ' ', $head =~ /^HTTP\S+ (\d+)/, $head =~ /^Connection: (\S+)/mi;
	}
	return \@answers;
}

sub post_of
{
	my ($path, $body) = @_;
	return "POST $path HTTP/1.1\r\nHost: localhost\r\napikey: $key\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

subtest 'what the function refuses leaves the connection open' => sub {
	$stack->psql('REVOKE SELECT ON loyalty_internal.staff FROM loyalty_engine');
	my $failed = answers_of(post_of('/toolusers/get', ''), post_of('/wallet/contact/get', ''));
	$stack->psql('GRANT SELECT ON loyalty_internal.staff TO loyalty_engine');
	is_deeply $failed, ['500 keep-alive', '400 keep-alive'], 'a 500, and a 400';
	is_deeply answers_of(post_of('/nowhere', ''), post_of('/wallet/get', '')), ['404 keep-alive', '200 keep-alive'], 'a 404';
	is_deeply answers_of(post_of('/wallet/sale', 'x' x 70_000)), ['413 close'], q{not one of nginx's own, which does not read what follows};
};

subtest 'statuses of its own are for nginx only' => sub {
	my $answer = $stack->form('/wallet/contact/get');
	is "$answer->{status} $answer->{json}{status}", '400 400', 'a documented path answers 400';
	$answer = $stack->http_json('POST', "$rest/rpc/wallet_contact_get", {apikey => $key, 'Content-Type' => 'application/json'}, '{}');
	is "$answer->{status} $answer->{json}{status}", '400 400', 'so does a named function';
	$answer = $stack->http_json('POST', "$rest/rpc/gateway", {'Content-Type' => 'application/octet-stream', 'X-Loyalty-Method' => 'POST',
		'X-Loyalty-Uri' => '/wallet/contact/get', 'X-Loyalty-Key' => $key}, '');
	is "$answer->{status} $answer->{json}{status}", '460 400', 'only what nginx asks says 460';
};

# --- ids of requests ----------------------------------------------------------------------

subtest 'each answer has an id' => sub {
	my @made;
	for my $case (['200', '/wallet/get'], ['400', '/wallet/contact/get'], ['404', '/nowhere'], ['405', '/wallet/get', 'GET'], ['413', '/wallet/sale', 'POST', 'x' x 70_000])
	{
		my ($status, $path, $method, $body) = @$case;
		my $answer = $stack->http_json($method // 'POST', $path, {apikey => $key}, $body);
		is $answer->{status}, $status, "$path answers $status";
		like id_of($answer), qr/^[0-9a-f]{32}$/, 'with an id that was made for it';
		push @made, id_of($answer);
	}
	like $stack->raw("GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"), qr/^HTTP\/1.1 400 .*^X-Request-Id: [0-9a-f]{32}\r$/ms, 'one that cannot be read too';
	my %seen;
	is scalar(grep { $seen{$_}++ } @made), 0, 'each another one';
	for my $id ('5f3c-A.b_9', '0', 'x' x 63, '477999886', '47799988660000', '4779998866-1', 'ZAQX870411AGTRXC04')
	{
		is id_of($stack->form('/wallet/get', {}, {'X-Request-Id' => $id})), $id, "the client's own: $id";
		is id_of($stack->form('/wallet/contact/get', {}, {'X-Request-Id' => $id})), $id, 'of a refusal';
	}
	# nor what names a person: a CURP, wherever it is and however it is typed, and a phone
	for my $no_id ('x' x 64, 'a b', '"', 'a%0ab', $key, 'ZAQX870411MGTRXC04', 'pedido-7.zaqx870411mgtrxc04', '4779998866', '5214779998866')
	{
		like id_of($stack->form('/wallet/get', {}, {'X-Request-Id' => $no_id})), qr/^[0-9a-f]{32}$/, "not what is none: $no_id";
	}
};

subtest 'the logs have the id' => sub {
	$stack->forget_log;
	my $answer = sale('X-Request-Id' => 'sale-1');
	is $answer->{status}, 200, 'a sale';
	like $stack->server_log, qr/\] sale-1 LOG:  duration: .* execute .*gateway/, "PostgreSQL's, where it logs statements";
	like nginx_line('sale-1'), qr/^\S+ sale-1 200 200 wallet tills [\d.]+ [\d.]+ \d+ \d+$/, "nginx's";
	$answer = $stack->form('/wallet/contact/get', {}, {'X-Request-Id' => 'refused-1'});
	like nginx_line('refused-1'), qr/ refused-1 400 460 wallet batches /, 'of a refusal, which tells that it is the function\'s';
	is $stack->http('GET', '/v1/seller/' . $stack->env('LOYALTY_APIKEY') . '/program', {'X-Request-Id' => 'seller-1'})->{status}, 200, 'a request with its key in the path';
	like nginx_line('seller-1'), qr/^\S+ seller-1 200 200 seller tills [\d.]+ [\d.]+ \d+ \d+$/, 'which is not logged';
	$stack->forget_log;
	$stack->http('POST', "$rest/rpc/wallet_get", {apikey => $key, 'X-Request-Id' => 'named-1'}, '');
	like $stack->server_log, qr/\] named-1 LOG:  duration: .* execute .*wallet_get/, 'a named function takes it too';
	$stack->forget_log;
	$stack->http('POST', "$rest/rpc/wallet_get", {apikey => $key, 'X-Request-Id' => 'x' x 64}, '');
	$stack->http('POST', "$rest/rpc/wallet_get", {apikey => $key, 'X-Request-Id' => 'a b'}, '');
	$stack->http('POST', "$rest/rpc/wallet_get", {apikey => $key, 'X-Request-Id' => $_}, '') for 'ZAQX870411MGTRXC04', 'pedido-zaqx870411mgtrxc04', '4779998866';
	unlike $stack->server_log, qr/\] (?:x+|a b|\S*zaqx\S*|4779998866) LOG/i, 'and what is none it does not';
	is $stack->psql("SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('sale-1', 'named-1') OR state = 'active' AND query LIKE '/* request%'"), '0',
		'afterwards the session is nobody\'s';
};

# What fails, and its line in PostgreSQL's log, which is found by the id in the answer.
sub finds_cause
{
	my ($answer, $status, $cause, $name, $server) = @_;
	is $answer->{status}, $status, "$name answers $status";
	my $id = id_of($answer);
	like $id, qr/^[0-9a-f]{32}$/, 'with an id';
	like join("\n", grep { /\Q$id\E/ } split /\n/, $stack->server_log), $cause, 'which the line with the cause has';
	like nginx_line($id), qr/ $id $status \d+ wallet @{[$server \/\/ 'tills']} /, "and so has nginx's";
	return;
}

subtest 'an unexpected failure' => sub {
	$stack->forget_log;
	$stack->psql('REVOKE SELECT ON loyalty_internal.staff FROM loyalty_engine');
	my $answer = $stack->form('/toolusers/get');
	$stack->psql('GRANT SELECT ON loyalty_internal.staff TO loyalty_engine');
	finds_cause($answer, 500, qr/LOG:  toolusers_get failed: permission denied for table staff/, 'what must not fail', 'batches');
};

# The file of a table that has no rows yet is on a device that is always full.
subtest 'a full disk' => sub {
	my $table = 'loyalty_internal.idempotency_key';
	$stack->psql("TRUNCATE $table");
	my $file = $stack->data_dir . '/' . $stack->psql("SELECT pg_relation_filepath('$table')");
	rename $file, "$file.kept" or die "$file: $!\n";
	symlink '/dev/full', $file or die "$file: $!\n";
	$stack->forget_log;
	my $answer = sale('Idempotency-Key' => 'full');
	finds_cause($answer, 503, qr/LOG:  wallet_sale failed: could not (?:extend|write) .*: No space left on device/, 'a sale on it');
	unlink $file;
	rename "$file.kept", $file or die "$file: $!\n";
	$stack->psql("TRUNCATE $table");
	is sale('Idempotency-Key' => 'full')->{status}, 200, 'with room, the retry is done';
};

# --- sales that wait for a lock -----------------------------------------------------------

sub sale_in_background
{
	my @headers = map { ('-H', $_) } "apikey: $key", @_;
	my $out = '';
	my $harness = IPC::Run::start([qw(curl -s -m 600 -D - -w), "\n%{time_total}", @headers, '-d', Loyalty::form_encode(%sale), $stack->url . '/wallet/sale'], '<', '/dev/null', '>', \$out);
	return sub {
		$harness->finish;
		my ($status) = $out =~ /^HTTP\S+ (\d+)/;
		my %headers = map { lc $_->[0] => $_->[1] } map { [/^([\w-]+): (.*?)\r?$/] } grep { /^[\w-]+: / } split /\n/, $out;
		my ($seconds) = $out =~ /^([\d.]+)\z/m;
		my ($code) = $out =~ /"code":\s*"(\w+)"/;
		return {status => $status, headers => \%headers, code => $code, seconds => $seconds};
	};
}

my $blocker = $stack->connect_async;
sub block { return $blocker->query("BEGIN; SELECT FROM loyalty_internal.account WHERE account_id = $account FOR UPDATE") }

subtest 'a session that is told to end' => sub {
	$stack->forget_log;
	block();
	my $answer = sale_in_background('X-Request-Id: ended-1');
	my $session = $stack->wait_until(sub { $stack->psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'ended-1' AND wait_event_type = 'Lock'") });
	like $session, qr/^\d+$/, 'is found by the id of its request';
	like $stack->psql("SELECT query FROM pg_stat_activity WHERE pid = $session"), qr{^/\* request ended-1 \*/ .*gateway}s, 'with its statement';
	$stack->psql("SELECT pg_terminate_backend($session)");
	$answer = $answer->();
	$blocker->query('ROLLBACK');
	is "$answer->{status} $answer->{code} " . id_of($answer), '503 unavailable ended-1', 'its client gets a 503 with the id';
	like $stack->server_log, qr/\] ended-1 (?:LOG:  wallet_sale failed|FATAL): .*terminating connection due to administrator command/, 'by which the log has the cause';
	like nginx_line('ended-1'), qr/ ended-1 503 50\d wallet tills /, "and nginx's what it got";
};

subtest 'a sale behind a lock, with a lock_timeout as the recipe' => sub {
	my ($recipe) = contents(dirname(abs_path(__FILE__)) . '/../../http/postgrest.conf') =~ /SET lock_timeout = '(\d+)s'/;
	is $recipe, 5, 'has 5 seconds';
	my $limit = sub {
		my $value = shift;
		$stack->psql("ALTER ROLE web_anon SET lock_timeout = '$value'");
		$stack->reload_postgrest('USR2');
		return $stack->wait_until(sub { $stack->http('POST', "$rest/rpc/lock_limit", {'Content-Type' => 'application/json'}, '{}')->{body} =~ /"$value"/ }) || die "the limit is not $value\n";
	};
	$stack->psql("CREATE FUNCTION loyalty_api.lock_limit() RETURNS text LANGUAGE sql AS \$\$ SELECT current_setting('lock_timeout') \$\$");
	$stack->reload_postgrest;
	$limit->('1s');
	block();
	my $answer = sale_in_background()->();
	$blocker->query('ROLLBACK');
	is "$answer->{status} $answer->{code}", '503 unavailable', 'is refused as one that can be tried again';
	is $answer->{headers}{'retry-after'}, 5, 'and told when';
	cmp_ok $answer->{seconds}, '>=', 1, 'after these seconds';
	like $stack->server_log, qr/\Q@{[id_of($answer)]}\E LOG:  wallet_sale failed: canceling statement due to lock timeout/, 'and the log says why';
	is sale()->{status}, 200, 'without the lock it is done';
	$limit->('10min');
	$stack->psql('DROP FUNCTION loyalty_api.lock_limit()');
};

# --- replays --------------------------------------------------------------------------------

subtest 'an answer that was given before says so' => sub {
	my $replayed = sub { return $_[0]{status} . ' ' . ($_[0]{headers}{'idempotent-replayed'} // 'new') };
	is $replayed->(sale()), '200 new', 'without a key it is new';
	is $replayed->(sale('Idempotency-Key' => 'r-1')), '200 new', 'with one, the first time';
	is $replayed->(sale('Idempotency-Key' => 'r-1')), '200 true', 'the second time it is not';
	is $replayed->($stack->form('/wallet/sale', {%sale, transaction_amount => 200}, {'Idempotency-Key' => 'r-1'})), '422 new', 'nor is a refusal';
	my %named = (apikey => $key, 'Content-Type' => 'application/json', 'Idempotency-Key' => 'r-2');
	my $body = JSON::PP->new->encode({%sale, transaction_type => '0', transaction_amount => '100'});
	is $replayed->($stack->http('POST', "$rest/rpc/wallet_sale", \%named, $body)), '200 new', 'a named function: the first time';
	is $replayed->($stack->http('POST', "$rest/rpc/wallet_sale", \%named, $body)), '200 true', 'and the second';
	my $deposit = sub { return $stack->http('POST', "/v1/seller/$key/deposit", {'Content-Type' => 'application/json', 'Idempotency-Key' => 'r-3'},
		JSON::PP->new->canonical->encode([{programId => $stack->env('LOYALTY_PROGRAM_ID'), memberId => 'none', amount => 1}])) };
	is $replayed->($deposit->()), '200 new', 'a batch';
	is $replayed->($deposit->()), '200 true', 'is repeated as a whole';
};

# --- methods of named functions ---------------------------------------------------------------

subtest 'GET' => sub {
	my $writing = $stack->psql(q{SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'loyalty_api'::regnamespace
		AND p.proname NOT IN ('dashboard', 'gateway', 'gateway_read', 'ready') AND p.proname !~ '_(get|list|balance)$'});
	is $writing, 'accumulation deposit employee_add employee_disable member_create redemption wallet_balance_update wallet_contact_add wallet_sale', 'these write';
	$stack->forget_log;
	for my $function (split / /, $writing)
	{
		for my $method ('GET', 'HEAD')
		{
			my $answer = $stack->http_json($method, "$rest/rpc/$function" . ($function =~ /^(?:accumulation|deposit|redemption)$/ ? '?items=[]' : ''), {apikey => $key});
			is "$answer->{status} " . ($answer->{headers}{allow} // 'nothing'), '405 POST', "$function does not serve $method, and says what it does";
			is $answer->{json}{code} // $answer->{json}{status}, $function =~ /^(?:wallet|employee)/ ? 'method_not_allowed' : 'error', 'in the words of its API' if $method eq 'GET';
		}
	}
	unlike $stack->server_log, qr/ERROR|failed/, 'nothing of it is a failure';
	is $stack->http('GET', "$rest/rpc/wallet_get", {apikey => $key})->{status}, 200, 'what reads is served';
};

# --- limits, and pages of other origins ---------------------------------------------------------

subtest 'RateLimit-Policy' => sub {
	my $configuration = contents(dirname(abs_path(__FILE__)) . '/../../http/nginx.conf');
	my %rate = $configuration =~ /zone=(\w+):10m rate=(\d+)r\/s/g;
	my $policy = sprintf '"key";q=%d;w=1, "address";q=%d;w=1, "batches-key";q=%d;w=1, "batches-address";q=%d;w=1', @rate{qw(by_key by_address batches_by_key batches_by_address)};
	is $stack->form('/wallet/get')->{headers}{'ratelimit-policy'}, $policy, 'an answer says the limits of nginx.conf';
	is $stack->form('/wallet/contact/get')->{headers}{'ratelimit-policy'}, $policy, 'and so does a refusal';
};

subtest 'pages of other origins' => sub {
	my @asks = ('Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'apikey');
	my $cors = sub { my $answer = shift; return {map { /^(?:access-control|vary)/ ? ($_ => $answer->{headers}{$_}) : () } keys %{$answer->{headers}}} };
	my $answer = $stack->http('OPTIONS', '/wallet/get', {Origin => 'https://caja.example.com', @asks});
	is $answer->{status}, 405, 'as shipped, none is answered';
	is_deeply $cors->($answer), {}, 'and told anything';
	my $address = start_nginx('cors', sub { $_[0] =~ s/# (https:\/\/caja\.example\.com)/$1/r });
	$answer = $stack->http('OPTIONS', "http://$address/wallet/get", {Origin => 'https://caja.example.com', @asks});
	is $answer->{status}, 204, 'one that is listed may ask';
	is_deeply $cors->($answer), {
		'access-control-allow-origin' => 'https://caja.example.com', 'access-control-allow-methods' => 'GET, POST', 'access-control-max-age' => 600, vary => 'Origin',
		'access-control-allow-headers' => 'apikey, Authorization, Content-Type, Idempotency-Key, X-Request-Id',
		'access-control-expose-headers' => 'Idempotent-Replayed, RateLimit-Policy, Retry-After, X-Request-Id'}, 'and is told what';
	for my $case ([200, '/wallet/get'], [400, '/wallet/contact/get'], [404, '/nowhere'])
	{
		my ($status, $path) = @$case;
		$answer = $stack->http('POST', "http://$address$path", {Origin => 'https://caja.example.com', apikey => $key}, '');
		is_deeply [$answer->{status}, $cors->($answer)], [$status, {'access-control-allow-origin' => 'https://caja.example.com', vary => 'Origin',
			'access-control-expose-headers' => 'Idempotent-Replayed, RateLimit-Policy, Retry-After, X-Request-Id'}], "it may read a $status";
	}
	$answer = $stack->http('OPTIONS', "http://$address/wallet/get", {Origin => 'https://caja.example.com.mx', @asks});
	is_deeply [$answer->{status}, $cors->($answer)], [405, {}], 'another one may not';
	$answer = $stack->http('OPTIONS', "http://$address/wallet/get", {Origin => 'https://caja.example.com'});
	is $answer->{status}, 405, 'nor is OPTIONS a method of the API';
};

# --- is it there? ---------------------------------------------------------------------------

subtest '/health and /ready' => sub {
	my $ask = sub { my $answer = $stack->http_json('GET', $_[0]); return "$answer->{status} " . ($answer->{json}{status} // '') };
	is $ask->('/health'), '200 ok', 'nginx runs';
	is $ask->('/ready'), '200 ready', 'and serves';
	is $stack->http('POST', '/ready?writes=x', {}, 'x')->{status}, 200, 'whatever is sent';
	$stack->expect_crash;
	block();
	$stack->forget_log;
	my $answer = sale_in_background('X-Request-Id: killed-1');
	my $session = $stack->wait_until(sub { $stack->psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'killed-1' AND wait_event_type = 'Lock'") });
	kill KILL => $session or die "kill: $!\n";
	$answer = $answer->();
	is "$answer->{status} $answer->{code} " . id_of($answer), '503 unavailable killed-1', 'a session is killed: a 503 with the id';
	ok $stack->wait_until(sub { $stack->server_log =~ m{server process \(PID $session\) was terminated by signal 9.*\n.*Failed process was running: /\* request killed-1 \*/} }),
		'by which the log has what it did';
	like nginx_line('killed-1'), qr/ killed-1 503 50\d wallet tills /, 'and nginx what it got';
	ok $stack->wait_until(sub { $ask->('/ready') eq '200 ready' }), 'soon it serves again';
	$stack->stop_postgres('immediate');
	is $ask->('/ready'), '503 503', 'without its database it does not';
	is $ask->('/health'), '200 ok', 'but nginx runs';
	$stack->start_postgres;
	ok $stack->wait_until(sub { $ask->('/ready') eq '200 ready' }), 'and goes on when that is there';
};

is_deeply [$stack->lines_with_secrets], [], 'no log has a secret';
my @odd = grep { !m{^\S+ [\w.-]{1,63} \d{3} (?:\d{3}|-) (?:wallet|seller|customer) (?:tills|batches|-|) [\d.]+ (?:[\d.]+|-) \d+ \d+$} } split /\n/, contents($stack->work_dir . '/nginx/access.log');
is_deeply \@odd, [], 'what nginx logs of a request has neither path nor header';

done_testing;

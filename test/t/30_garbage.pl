# Garbage over HTTP, through the real web server and PostgREST: every answer is
# a JSON error with the right status, nothing of the inside shows, nothing is
# written, nobody retries for ever, and no memory stays behind.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(rate => '100000r/s');
my $key = $stack->env('LOYALTY_APIKEY');
my $wallet = $stack->env('LOYALTY_WALLET_KEY');
my $cashier = $stack->env('LOYALTY_USERTOOL_ID');
my $phone = '4771234501';
my $form_type = 'application/x-www-form-urlencoded';
my @paths = qw(/toolusers/get /wallet/get /wallet/contact/add /wallet/contact/get /wallet/sale
	/wallet/balance/update /employee/add /employee/disable);

# --- what every error has in common -------------------------------------------

# What PostgREST, PostgreSQL or the extension would say of themselves.
my $inside = qr/PGRST|rpc|gateway|X-Loyalty|loyalty_|loyalty\.|SQLSTATE|ERROR:|CONTEXT|HINT|DETAIL|"hint"|"details"
	|SELECT|INSERT|UPDATE\ |pg_|relation|constraint|syntax|stack|postgres|<html|127\.0\.0\.1|\.c:/xi;

# "STATUS CODE" of an answer that is as it must be, else what is wrong with it.
sub verdict
{
	my $answer = shift;
	my ($status, $headers, $body) = @$answer{qw(status headers body)};
	return 'no answer' unless $status;
	return "Content-Type is " . ($headers->{'content-type'} // 'absent')
		unless ($headers->{'content-type'} // '') =~ m{^application/json(; charset=utf-8)?$};
	my $json = eval { JSON::PP->new->utf8->decode($body) };
	return "the body is no JSON: $body" unless ref $json eq 'HASH';
	return "the inside shows: $&" if $body =~ $inside;
	return "$status error" if join(' ', %$json{status}) eq 'status error' && join(' ', sort keys %$json) eq 'description status' && length $json->{description};
	return "keys: @{[sort keys %$json]}" unless join(' ', sort keys %$json) eq 'code message status success';
	return "success is not false: $body" unless JSON::PP::is_bool($json->{success}) && !$json->{success};
	return "HTTP $status says $json->{status}" unless $json->{status} eq $status;
	return "message or code is empty: $body" unless length $json->{message} && length $json->{code};
	return "header $_ shows the inside" for grep { /^(x-loyalty|content-range|proxy|sb-|content-location)/ } keys %$headers;
	return "405 allows " . ($headers->{allow} // 'nothing') if $status == 405 && ($headers->{allow} // '') ne 'POST';
	return "$status $json->{code}";
}

sub refused
{
	my ($answer, $expected, $name) = @_;
	return is verdict($answer), $expected, $name;
}

sub post
{
	my ($path, $type, $body, %headers) = @_;
	return $stack->http('POST', $path, {apikey => $key, defined $type ? ('Content-Type' => $type) : (), %headers}, $body);
}

# A request written by hand, parsed by hand.
sub raw
{
	my ($line, $headers, $body) = @_;
	my @lines = ($line, 'Host: localhost', 'Connection: close', @$headers);
	push @lines, 'Content-Length: ' . length $body if defined $body && !grep { /^(Content-Length|Transfer-Encoding):/i } @$headers;
	return parsed($stack->raw(join("\r\n", @lines) . "\r\n\r\n" . ($body // '')));
}

sub parsed
{
	my $bytes = shift;
	my ($status, $head, $body) = $bytes =~ m{\AHTTP/1\.[01] (\d{3})[^\r\n]*\r\n(.*?\r\n)?\r\n(.*)\z}s or return {body => $bytes};
	my %headers = map { /^([^:]+): *(.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $head // '';
	return {status => $status, headers => \%headers, body => $body};
}

# How many rows there are of everything, and the balances.
my $looks = $stack->connect_async;
sub rows
{
	return $looks->query(q{
		SELECT string_agg(format('%s: %s', c, (xpath('//n/text()',
			query_to_xml(format('SELECT count(*) AS n FROM %s', c), false, true, '')))[1]), ', ' ORDER BY c::text)
		FROM pg_extension e, unnest(e.extconfig) t, LATERAL (SELECT t::regclass) r (c) WHERE e.extname = 'loyalty';
		SELECT string_agg(account_id || '=' || balance || '@' || entry_no, ' ' ORDER BY account_id) FROM loyalty_internal.account});
}

sub field { my %fields = @_; return Loyalty::form_encode(map { $_ => $fields{$_} } sort keys %fields) }

my %sale = (wallet_key => $wallet, phone => $phone, transaction_type => 0, transaction_amount => 100, usertool_id => $cashier);
is post('/wallet/sale', $form_type, field(%sale))->{status}, 200, 'the stack serves a sale';
my $rows_before = rows();
$stack->forget_log;

# --- forms that cannot be decoded -----------------------------------------------

my %broken_forms = (
	'a lone percent sign' => '%',
	'half an escape' => 'phone=%4',
	'an escape of no hexadecimal digits' => 'phone=%zz',
	'an escape broken by a plus sign' => 'phone=%+1',
	'an escape with a sign' => 'phone=%-1',
	'a broken escape in a name' => '%zz=1',
	'a broken escape after what is valid' => 'wallet_key=x&phone=1&extra=%',
	'a raw NUL in a value' => "phone=4771\x00234501",
	'a raw NUL in a name' => "pho\x00ne=1",
	'nothing but NUL' => "\x00",
	'an escaped NUL' => 'phone=%00',
	'an escaped NUL in a name' => 'a%00=1',
	'an invalid byte' => "phone=\xff",
	'an invalid escaped byte' => 'phone=%ff',
	'an overlong NUL' => 'phone=%C0%80',
	'an overlong slash' => 'phone=%e0%80%af',
	'a surrogate in UTF-8' => 'phone=%ED%A0%80',
	'a truncated character' => "customer_name=Pe\xc3",
	'a character split by an escape' => 'customer_name=%C3+%B1',
	'a character beyond Unicode' => 'phone=%F5%80%80%80',
	'UTF-16' => "\xff\xfep\x00=\x001\x00",
	'Latin-1' => "customer_name=Pe\xf1a",
	'a picture' => "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00",
);
for my $name (sort keys %broken_forms)
{
	refused(post($_, $form_type, $broken_forms{$name}), '400 malformed_request', "$_: $name") for @paths;
}
refused(post('/wallet/sale', $form_type, field(%sale, ticket => 'x' x 1025)), '400 malformed_request', 'a text longer than 1024 bytes');
refused(post('/wallet/sale', $form_type, field(%sale, $_ => '9' x 5000)), '400 malformed_request', "a very long $_") for sort keys %sale;

# --- JSON that cannot be decoded --------------------------------------------------

my %broken_json = (
	'only an opening brace' => '{',
	'a trailing comma' => '{"phone":"1",}',
	'single quotes' => "{'phone':'1'}",
	'a name without quotes' => '{phone:1}',
	'something after the end' => '{"phone":"1"} x',
	'two objects' => '{}{}',
	'blanks' => '   ',
	'an array' => '[]',
	'an array of objects' => '[{"phone":"1"}]',
	'a string' => '"phone"',
	'null' => 'null',
	'true' => 'true',
	'a number' => '5',
	'two byte order marks' => "\xef\xbb\xbf\xef\xbb\xbf{}",
	'a byte order mark at the end' => "{}\xef\xbb\xbf",
	'half a byte order mark' => "\xef\xbb{}",
	'UTF-16' => "\xff\xfe{\x00}\x00",
	'a lone high surrogate' => '{"phone":"\ud83d"}',
	'a lone low surrogate' => '{"phone":"\ude00"}',
	'surrogates the wrong way round' => '{"phone":"\ude00\ud83d"}',
	'an escaped NUL' => '{"phone":"477\u0000"}',
	'an escaped NUL in a name' => '{"pho\u0000ne":"1"}',
	'a raw NUL' => "{\"phone\":\"\x00\"}",
	'a NUL after the end' => "{}\x00",
	'a control character' => "{\"phone\":\"\x01\"}",
	'an invalid byte' => "{\"phone\":\"\xff\"}",
	'an overlong slash' => "{\"phone\":\"\xc0\xaf\"}",
	'a broken escape' => '{"phone":"\u12"}',
	'an unknown escape' => '{"phone":"\x41"}',
	'NaN' => '{"transaction_amount":NaN}',
	'Infinity' => '{"transaction_amount":-Infinity}',
	'a leading zero' => '{"transaction_amount":010}',
	'hexadecimal' => '{"transaction_amount":0x10}',
	'a plus sign' => '{"transaction_amount":+1}',
	'deep arrays' => '[' x 60_000,
	'deep arrays that end' => '{"phone":' . '[' x 30_000 . ']' x 30_000 . '}',
	'deep objects' => '{"a":' x 10_000 . '1' . '}' x 10_000,
	'a form' => 'phone=1',
);
for my $name (sort keys %broken_json)
{
	refused(post($_, 'application/json', $broken_json{$name}), '400 malformed_request', "$_: JSON: $name") for @paths;
}

# --- texts that are no numbers -------------------------------------------------------

my @no_amounts = ('1e400', '1e3', 'NaN', 'nan', 'Infinity', '-1', '-0.01', '+5', '0', '0.00', '0x10', '1,000', '1,5', '１',
	'٣', '½', ' 5', "\t5", "\x{2003}5", '--1', '1 000', '1_000', '1..2', '1.2.3', '.5', '1.00001', '0.00001',
	'99999999999999999999', '922337203685477.5808', '9' x 400, '$5', '5%', "5'", "5;SELECT 1", 'cien', 'true', 'null', '[]', '{}', '♥');
for my $amount (@no_amounts)
{
	(my $shown = length $amount > 30 ? length($amount) . ' digits' : $amount) =~ s/\t/\\t/g;
	refused(post('/wallet/sale', $form_type, field(%sale, transaction_amount => $amount)), '400 new_sale_07', "transaction_amount '$shown'");
	refused(post('/wallet/sale', $form_type, field(%sale, transaction_type => 1, points_used => $amount)), '400 new_sale_08', "points_used '$shown'");
	refused(post('/wallet/balance/update', $form_type, field(%sale, transaction_amount => $amount)), '400 balance_update_07',
		"correction by '$shown'");
}
for my $type ('2', '-1', '00', '01', '0.0', '1.0', '１', ' 0', 'true', 'sale', '0,1', '9' x 100)
{
	refused(post('/wallet/sale', $form_type, field(%sale, transaction_type => $type)), '400 new_sale_05', "transaction_type '$type'");
}
for my $id ('0', '-1', '1e0', '2.0', '0x2', '99999999999999999999', '9223372036854775808', '２', ' 2', '2x', "2'--")
{
	refused(post('/wallet/sale', $form_type, field(%sale, usertool_id => $id)), '403 new_sale_13', "usertool_id '$id'");
}
for my $number ('123', '4771234501x', '47712345011', '４７７１２３４５０１', '0000000000000', '-4771234501', '4771234501e0', "' OR 1=1 --")
{
	refused(post('/wallet/sale', $form_type, field(%sale, phone => $number)), '400 new_sale_04', "phone '$number'");
	refused(post('/employee/disable', $form_type, field(number => $number)), '400 err_toolusers_02', "number '$number'");
}
for my $date ('2001-02-29', '1988-13-01', '1988-00-10', '0000-01-01', '1988-1-1', '26/05/1988', '1988-05-26x', '1988-05-26 25:00:00',
	'1988-05-26 10:99-00', '19880526', 'infinity', 'now', '１９８８-05-26', '1988-05-26T', '-1988-05-26',
	'0001-01-01', '1899-12-31', '1899-12-31 23:59:59', '2099-01-01', '9999-12-31', $stack->psql("SELECT CURRENT_DATE + 2"))
{
	refused(post('/wallet/contact/add', $form_type, field(wallet_key => $wallet, phone => '4771239999', customer_name => 'X',
				usertool_id => $cashier, customer_birthdate => $date)), '400 wallet_manager_09', "customer_birthdate '$date'");
}
refused(post('/wallet/sale', $form_type, field(%sale, wallet_key => $_)), '404 new_sale_10', "wallet_key '$_'")
	for "' OR ''='", '../../etc/passwd', '%', '♥' x 300, '{"a":1}', "\x01\x02";

# The same through JSON, where the types can be wrong too.
sub sale_json { my ($name, $value) = @_; return JSON::PP->new->utf8->encode({%sale, $name => 'VALUE'}) =~ s/"VALUE"/$value/r }
for ('-1', '0', '-0', '0.0', '1e-5', '0.00001', '1e15', '1e400', '1e-400', '1e99999999999', '123456789012345678901234567890', '922337203685477.5808', 'true', 'false', '[]', '{}', '[1]', '{"a":1}', '"1e3"', '"NaN"', '" 1"')
{
	refused(post('/wallet/sale', 'application/json', sale_json(transaction_amount => $_)), '400 new_sale_07', "JSON: transaction_amount $_");
}
refused(post('/wallet/sale', 'application/json', sale_json(transaction_amount => $_)), '400 new_sale_06', "JSON: transaction_amount $_")
	for 'null', '""', '"  "';
refused(post('/wallet/sale', 'application/json', sale_json(phone => $_)), '400 new_sale_04', "JSON: phone $_") for '[]', '{}', '1.5', 'true', '4771234501e1';
refused(post('/wallet/sale', 'application/json', sale_json(usertool_id => $_)), '403 new_sale_13', "JSON: usertool_id $_") for '-1', 'true', '1.5', '9e18', '1e400';
refused(post('/wallet/sale', 'application/json', sale_json(ticket => $_)), '400 malformed_request', "JSON: ticket $_") for 'true', 'false', '[]', '{}', '9' x 1025;
refused(post('/employee/add', 'application/json', JSON::PP->new->encode({type => 'cajero', employee_name => 'X', business_name => 'X', number => '4771239998',
			password => JSON::PP::true})), '400 err_toolusers_02', 'JSON: a password that is no text');
refused(post('/wallet/sale', 'application/json', sale_json(transaction_type => $_)), '400 new_sale_05', "JSON: transaction_type $_")
	for 'true', '2', '[0]', '0.5', 'null';
refused(post('/wallet/sale', 'application/json', '{}'), '400 new_sale_02', 'JSON: an empty object');
refused(post('/wallet/sale', 'application/json', ''), '400 new_sale_02', 'JSON: no body');
refused(post('/wallet/sale', $form_type, '&&&=&=x&&'), '400 new_sale_02', 'a form of separators');
refused(post('/wallet/sale', 'application/json', JSON::PP->new->utf8->encode({map { ("field$_" => $_) } 1 .. 3_000})),
	'400 new_sale_02', '3,000 unknown fields');
refused(post('/wallet/sale', 'application/json', sale_json(ticket => '"1"') =~ s/\}\z/,"wallet_key":"x"}/r),
	'404 new_sale_10', 'of a name given twice the last value counts');
refused(post('/wallet/sale', $form_type, field(%sale) . '&wallet_key=x'), '404 new_sale_10', 'in a form too');

# A byte order mark says nothing, and is taken away once.
my $mark = "\xef\xbb\xbf";
utf8::downgrade(my $asked = $wallet);
is post('/wallet/contact/get', @$_)->{status}, 200, "a byte order mark before $_->[0]"
	for ['application/json', qq($mark\{"wallet_key":"$asked"})], [$form_type, "${mark}wallet_key=$asked"];
is post('/wallet/get', $_, $mark)->{status}, 200, "and nothing else: $_" for 'application/json', $form_type;
is post('/api/Registro_V1', 'application/json', "$mark$_->[0]")->{status}, $_->[1], "the customer API: $_->[0]"
	for ['{"tipo_peticion":"token_full","nombre_de_usuario":"x","curp_en_uso":"x","firma_KEY":"x"}', 401], ["$mark\{}", 400];

# --- the seller API -----------------------------------------------------------------------

my $seller = "/v1/seller/$key";
my $program = $stack->env('LOYALTY_PROGRAM_ID');
for my $path ("$seller/deposit", "$seller/redemption", "$seller/accumulation", "$seller/program/$program/member")
{
	my $shown = $path =~ s/\Q$key\E/KEY/r;
	refused($stack->http('POST', $path, {'Content-Type' => 'application/json'}, $broken_json{$_}), '400 error', "$shown: JSON: $_")
		for grep { !/^an array/ } sort keys %broken_json;
}
refused($stack->http('GET', $_->[1], {}), $_->[2], "seller API: $_->[0]")
	for ['a wrong key', '/v1/seller/nobody/program', '401 error'], ['an empty key', '/v1/seller//program', '404 error'],
	['an unknown program', "$seller/program/0", '404 error'], ['a quote for a program', "$seller/program/'", '404 error'],
	['an encoded slash', "$seller%2fprogram", '404 error'], ['a trailing slash', "$seller/program/$program/", '404 error'],
	['an unknown member', "$seller/program/$program/member/0", '404 error'], ['no key', '/v1/seller', '404 error'], ['nothing', '/v1/', '404 error'];

# --- content types ------------------------------------------------------------------------

for my $type ('text/plain', 'text/html', 'application/xml', 'application/octet-stream', 'multipart/form-data; boundary=x', 'application/jsonx',
	'application/json/x', 'json', '*/*', ';', 'application/x-www-form-urlencode', 'application/vnd.pgrst.object+json', "text/plain; '")
{
	refused(post('/wallet/sale', $type, field(%sale)), '415 unsupported_media_type', "content type '$type'");
}
refused(post('/wallet/sale', 'multipart/form-data; boundary=x',
		"--x\r\nContent-Disposition: form-data; name=\"phone\"\r\n\r\n4771234501\r\n--x--\r\n"), '415 unsupported_media_type', 'a multipart body');
refused(post('/wallet/sale', 'application/json', field(%sale)), '400 malformed_request', 'a form that claims to be JSON');
refused(post('/wallet/sale', $form_type, sale_json(ticket => '"1"')), '400 new_sale_02', 'JSON that claims to be a form');
refused(post('/wallet/contact/get', "$form_type; charset=utf-8", field(phone => 1)), '400 balance_get_02', 'a charset does no harm');
refused(raw('POST /wallet/contact/get HTTP/1.1', ["apikey: $key", "Content-Type: \xff\xfe"], 'phone=1'), '400 balance_get_02',
	'a content type outside ASCII counts as none');

# --- methods ----------------------------------------------------------------------------------

for my $path (@paths)
{
	refused($stack->http($_, $path, {apikey => $key}), '405 method_not_allowed', "$_ $path") for qw(GET PUT DELETE OPTIONS PATCH);
	my $head = $stack->http('HEAD', $path, {apikey => $key});
	is "$head->{status} $head->{headers}{allow} '" . ($head->{body} // '') . "'", "405 POST ''", "HEAD $path";
}
refused($stack->http('PROPFIND', '/wallet/get', {apikey => $key}), '405 method_not_allowed', 'a method of WebDAV');
refused(raw('FOO /wallet/get HTTP/1.1', ["apikey: $key"]), '405 method_not_allowed', 'a method that does not exist');
refused(raw('GET /wallet/sale HTTP/1.1', ["apikey: $key", "X-HTTP-Method-Override: POST", "Content-Type: $form_type"], field(%sale)),
	'405 method_not_allowed', 'a method override is not heard');
refused($stack->http('GET', '/nothing', {}), '404 unknown_path', 'GET of a path that does not exist');

# --- paths -------------------------------------------------------------------------------------

for my $path ('/', '/wallet', '/wallet/', '/wallet/sale/', '//wallet/sale', '/wallet//sale', '/wallet%2fsale', '/wallet%2Fsale', '/%2fwallet/sale',
	'/./wallet/sale', '/wallet/./sale', '/x/../wallet/sale', '/wallet/x/../sale', '/wallet/sale/..', '/%2e/wallet/sale',
	'/wallet/s%61le', '/%77allet/sale', '/Wallet/Sale', '/WALLET/SALE', '/wallet/sale%20', '/wallet/sale%0d%0aX-Loyalty-Key:x',
	'/wallet/sale;x', '/wallet/sale.json', '/wallet\\sale', '/wallet/sale%3fx=1', '/wallet/sale%23', '/rpc/gateway', '/rpc/wallet_sale', '/rpc/',
	'/rpc/employee_add', '/merchant', '/entry?select=*', '/_error', '/_error/nginx', '/_error?x=1', '/.env', '/v2/seller', '/v2/seller/x/program',
	'/loyalty_api', '/index.html', '/live', '/ready/', '/health/', '/wallet/sale/' . 'x' x 1500)
{
	refused(raw("POST $path HTTP/1.1", ["apikey: $key", "Content-Type: $form_type"], field(%sale)), '404 unknown_path',
		'path ' . (length $path > 60 ? substr($path, 0, 20) . '...' : $path));
}
refused(raw('POST /wallet/' . 'x' x 3000 . ' HTTP/1.1', ["apikey: $key"], ''), '404 unknown_path', 'a path of 3,000 characters');
refused(raw('POST /wallet/' . 'x' x 20_000 . ' HTTP/1.1', ["apikey: $key"], ''), '414 uri_too_long', 'a path of 20,000 characters');
refused(raw("POST /wallet/s\xffle HTTP/1.1", ["apikey: $key"], ''), '404 unknown_path', 'a path with a byte outside ASCII');
refused(raw('POST /wallet/%ff%fe HTTP/1.1', ["apikey: $key"], ''), '404 unknown_path', 'a path with escaped bytes outside ASCII');
refused(raw("POST $_->[1] HTTP/1.1", ["apikey: $key"], ''), '400 malformed_request', "a path $_->[0]")
	for ['with a broken escape', '/%zz'], ['with an escaped NUL', '/wallet/sale%00'], ['above the root', '/../../etc/passwd'],
	['above the root, escaped', '/%2e%2e/wallet/sale'], ['without a slash', 'wallet/sale'];
for my $path ('/program/P/member/%00', '/program/%zz', '/../../../..')
{
	refused(raw("GET /v1/seller/$key$path HTTP/1.1", [], ''), '400 error', "one of the seller API: $path");
	is raw("GET http://x/v1/seller/$key$path HTTP/1.1", [], '')->{body}, '{"status": "error", "description": "the request cannot be decoded"}', 'by its whole address';
	is raw("POST /api$path HTTP/1.1", [], '')->{body}, '{"ok": false, "status": 400, "error": "the request cannot be decoded", "mensaje": "the request cannot be decoded"}', 'one of the customer API';
}
refused(post("/wallet/sale?limit=0&offset=5&select=*&wallet_key=$wallet", $form_type, ''), '400 new_sale_02', 'a query string is not heard');
refused(post('/wallet/sale?%zz=%00&&&?', $form_type, ''), '400 new_sale_02', 'nor is a broken one');

# --- headers -------------------------------------------------------------------------------------

for my $case (
	['no key', []], ['an empty key', ['apikey: ']], ['a wrong key', ['apikey: lk_0']], ['a key cut short', ['apikey: ' . substr $key, 0, -1]],
	['a key and more', ["apikey: ${key}0"]], ['a key of 300 characters', ['apikey: ' . 'k' x 300]], ['a key outside ASCII', ["apikey: \xc3\xb1\xff"]],
	['a key with a tab', ["apikey: a\tb"]], ['a key with a bare CR', ["apikey: x\rapikey: $key"]], ['a key folded over two lines', ["apikey:", "\t$key"]],
	['a key of another header', ["X-Api-Key: $key", "Authorization: Bearer $key"]], ['a header with an underscore', ["api_key: $key"]],
	['SQL for a key', ["apikey: ' OR '1'='1"]], ['the key by a spoofed header', ["X-Loyalty-Key: $key"]],
	['a spoofed method and path', ["X-Loyalty-Key: $key", 'X-Loyalty-Method: POST', 'X-Loyalty-Uri: /toolusers/get']])
{
	my ($name, $headers) = @$case;
	my $verdict = verdict(raw('POST /wallet/get HTTP/1.1', $headers, ''));
	like $verdict, qr/^(401 auth_01|400 malformed_request)$/, "$name: refused";
}
refused(raw('GET /nothing HTTP/1.1', ['X-Loyalty-Method: POST', 'X-Loyalty-Uri: /toolusers/get', "X-Loyalty-Key: $key"]), '404 unknown_path',
	'spoofed headers do not reach another path');
refused(raw('GET /wallet/get HTTP/1.1', ['X-Loyalty-Method: POST', "apikey: $key"]), '405 method_not_allowed', 'nor another method');
refused(raw('POST /wallet/get HTTP/1.1', ['X-Loyalty-Error: {"a":1}', 'apikey: x'], ''), '401 auth_01', 'nor the answer');
refused(raw('POST /nothing%0d%0aX-Loyalty-Uri:%20/toolusers/get HTTP/1.1', ["apikey: $key"], ''), '404 unknown_path', 'a line break in the path adds no header');
refused(raw("POST /v1/seller/a%0d%0aX-Loyalty-Uri:%20/toolusers/get%0d%0aX-Loyalty-Key:%20$key/x HTTP/1.1", [], ''), '404 error',
	'nor does one in a key in the path');
refused(raw('POST /wallet/sale HTTP/1.1', ["apikey: $key", "Content-Type: $form_type", "Idempotency-Key: $_->[1]"], field(%sale)),
	'400 invalid_idempotency_key', "an idempotency key $_->[0]")
	for ['of 300 characters', 'k' x 300], ['outside ASCII', "\xc3\xb1"], ['with a blank', 'a b'], ['with a tab', "a\tb"];
refused(raw('POST /wallet/get HTTP/1.1', ['apikey: x', map { "X-Filler-$_: " . 'x' x 7000 } 1 .. 8], ''), '431 headers_too_large', 'headers of 56 kB');
refused(raw('POST /wallet/get HTTP/1.1', ['apikey: x', "X-Any: \x80\xff\xfe"], ''), '401 auth_01', 'another header outside ASCII does not matter');

# --- bytes that are hardly HTTP ----------------------------------------------------------------------

refused(parsed($stack->raw("$_->[1]\r\n\r\n")), '400 malformed_request', $_->[0])
	for ['a garbage request line', 'hello'], ['binary', "\x16\x03\x01\x02\x00\x01\x00\x01"], ['no version', 'POST /wallet/get HTTP/'],
	['lower case', 'post /wallet/get HTTP/1.1'], ['no host', 'POST /wallet/get HTTP/1.1'];
refused(parsed($stack->raw("POST /wallet/get HTTP/9.9\r\nHost: x\r\n\r\n")), '505 malformed_request', 'HTTP/9.9');
refused(raw('POST /wallet/get HTTP/1.1', ["apikey: $key", 'Content-Length: -5'], ''), '400 malformed_request', 'a negative length');
refused(raw('POST /wallet/get HTTP/1.1', ["apikey: $key", 'Content-Length: 1', 'Content-Length: 2'], 'aa'), '400 malformed_request', 'two lengths');
refused(raw('POST /wallet/get HTTP/1.1', ["apikey: $key", 'Transfer-Encoding: chunked'], "zz\r\n"), '400 malformed_request', 'a broken chunk');
refused(raw('POST /wallet/get HTTP/1.1', ["apikey: $key", 'Transfer-Encoding: sorcery'], 'x'), '501 malformed_request', 'an unknown transfer encoding');
{
	my $bytes = $stack->raw("GET /wallet/get\r\n");
	is verdict({status => 405, headers => {'content-type' => 'application/json', allow => 'POST'}, body => $bytes}), '405 method_not_allowed',
		'HTTP/0.9 gets the body alone';
}

# --- big bodies -----------------------------------------------------------------------------------------

my $megabytes = 20;
refused(raw('POST /wallet/sale HTTP/1.1', ["apikey: $key", "Content-Type: $form_type"], 'phone=' . 'x' x ($megabytes << 20)), '413 body_too_large', "$megabytes MB");
{
	my $chunk = sprintf "%x\r\n%s\r\n", 1 << 20, 'x' x (1 << 20);
	refused(raw('POST /wallet/sale HTTP/1.1', ["apikey: $key", 'Transfer-Encoding: chunked', "Content-Type: $form_type"], $chunk x $megabytes . "0\r\n\r\n"),
		'413 body_too_large', "$megabytes MB in chunks");
}
my $longest = 64 << 10;
refused(post('/wallet/sale', $form_type, 'x=' . 'x' x ($longest - 2)), '400 new_sale_02', '64 KB in a field that nobody knows');
refused(post('/wallet/sale', 'application/json', '{"x":"' . 'x' x ($longest - 6)), '400 malformed_request', '64 KB of JSON that does not end');
refused(post('/wallet/sale', $form_type, '&' x $longest), '400 new_sale_02', '65,536 empty fields');
refused($stack->http('POST', $seller . '/deposit', {'Content-Type' => 'application/json'}, '{"x":"' . 'x' x (7 << 20)), '400 error', '7 MB of a batch that does not end');

is rows(), $rows_before, 'nothing has been written';

# --- PostgREST itself ----------------------------------------------------------------------------------------

# Its answers carry headers that the web server takes away; the signature of an
# error must be the body.
sub direct
{
	my ($function, $headers, $body) = @_;
	my $answer = $stack->http('POST', $stack->env('POSTGREST_URL') . "/rpc/$function", $headers, $body);
	return {} unless $answer->{body} eq (delete $answer->{headers}{'x-loyalty-error'} // '');
	delete $answer->{headers}{$_} for 'content-range', 'content-location';
	# what nginx makes of a status of the gateway's own
	my %made = (460 => 400, 473 => 413, 504 => 503, 560 => 500);
	$answer->{status} = $made{$answer->{status}} // $answer->{status} if $function eq 'gateway';
	return $answer;
}

my %octets = ('Content-Type' => 'application/octet-stream');
my %to_sale = (%octets, 'X-Loyalty-Uri' => '/wallet/sale', 'X-Loyalty-Method' => 'POST', 'X-Loyalty-Key' => $key);
refused(direct('gateway', $_->[1], $_->[2] // ''), $_->[3], "the gateway with $_->[0]")
	for ['no header', {%octets}, '', '404 unknown_path'],
	['nothing sensible in its body', {%octets}, "\x00\xff" x 1000, '404 unknown_path'],
	['a method only', {%octets, 'X-Loyalty-Method' => 'POST'}, '', '404 unknown_path'],
	['a path only', {%octets, 'X-Loyalty-Uri' => '/wallet/get'}, '', '405 method_not_allowed'],
	['the header of a client', {%octets, 'X-Loyalty-Uri' => '/wallet/get', 'X-Loyalty-Method' => 'POST', apikey => $key}, '', '401 auth_01'],
	['empty headers', {%octets, 'X-Loyalty-Uri' => '', 'X-Loyalty-Method' => '', 'X-Loyalty-Key' => ''}, '', '404 unknown_path'],
	['half a JSON body', {%to_sale, 'X-Loyalty-Type' => 'application/json'}, '{', '400 malformed_request'],
	['a body of zeros', {%to_sale}, "\x00" x 60_000, '400 malformed_request'];
my %json_type = (apikey => $key, 'Content-Type' => 'application/json');
refused(direct('wallet_sale', {%json_type}, $_->[1]), $_->[2], "/rpc/wallet_sale with $_->[0]")
	for ['nothing', '{}', '400 new_sale_02'], ['an exponent', sale_json(transaction_amount => '"1e400"'), '400 new_sale_07'],
	['an array for the phone', sale_json(phone => '[1]'), '400 new_sale_04'],
	['an object for the amount', sale_json(transaction_amount => '{"a":1}'), '400 new_sale_07'];
refused(direct('toolusers_get', {'Content-Type' => 'application/json'}, '{}'), '401 auth_01', '/rpc/toolusers_get without a key');
refused(direct('wallet_sale', {%json_type, 'Idempotency-Key' => $_->[0]}, sale_json(ticket => '"1"')), '400 invalid_idempotency_key', "/rpc/wallet_sale with $_->[1] idempotency key")
	for ['', 'an empty'], ['  ', 'a blank'], ['k' x 201, 'a long'];
refused(direct('gateway', {%to_sale, 'X-Loyalty-Type' => 'application/json', 'X-Loyalty-Idempotency-Key' => ''}, sale_json(ticket => '"1"')), '400 invalid_idempotency_key', 'a web server that tells an empty key from none');

is rows(), $rows_before, 'nothing has been written that way either';

# --- interruptions --------------------------------------------------------------------------------------------

# A form sent in the background; the answer is collected later.
sub sale_in_background
{
	my %headers = @_;
	pipe my $in, my $out or die "pipe: $!\n";
	my $pid = fork // die "fork: $!\n";
	if (!$pid)
	{
		close $in;
		my $answer = eval { post('/wallet/sale', $form_type, field(%sale), %headers) };
		print {$out} $answer ? verdict($answer) . "\n" : "no answer\n";
		close $out;
		require POSIX;
		POSIX::_exit(0);
	}
	close $out;
	return sub { my $line = <$in>; waitpid $pid, 0; chomp $line; return $line };
}

sub wait_until
{
	my ($sql, $expected) = @_;
	return $stack->wait_until(sub { $stack->psql($sql) eq $expected });
}

sub ask_probe { my $probe = shift; return $stack->http('POST', $stack->env('POSTGREST_URL') . "/rpc/$probe", {}, '') }

# PostgREST has read its schema cache again when it knows a new function.
my $probes = 0;

sub reload_schema
{
	my $probe = 'probe_' . ++$probes;
	$stack->psql("CREATE FUNCTION loyalty_api.$probe() RETURNS integer LANGUAGE sql AS 'SELECT 1'");
	$stack->reload_postgrest;
	$stack->wait_until(sub { ask_probe($probe)->{status} == 200 }) or die "PostgREST does not know $probe()\n";
	$stack->psql("DROP FUNCTION loyalty_api.$probe()");
	return;
}

my $waiting = q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event_type = 'Lock'};
my $account = $stack->psql("SELECT account_id FROM loyalty.members WHERE phone::text = '$phone'");
my $blocker = $stack->connect_async;

sub block { $blocker->query("BEGIN; SELECT entry_no FROM loyalty_internal.account WHERE account_id = $account FOR UPDATE"); return }

{
	block();
	my $answer = sale_in_background();
	ok wait_until($waiting, '1'), 'a sale waits for a lock';
	$stack->psql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event_type = 'Lock'");
	is $answer->(), '503 unavailable', 'cancelled by the administrator';
	$blocker->query('ROLLBACK');
}
{
	$stack->psql("ALTER FUNCTION loyalty_api.gateway(bytea) SET lock_timeout = '100ms'");
	block();
	is sale_in_background()->(), '503 unavailable', 'lock_timeout';
	$blocker->query('ROLLBACK');
	$stack->psql("ALTER FUNCTION loyalty_api.gateway(bytea) RESET lock_timeout");
}
{
	# PostgREST sets it, and tells when it knows a new one.
	my $limit = sub {
		my $value = shift;
		$stack->psql("ALTER ROLE web_anon SET statement_timeout = '$value'");
		$stack->reload_postgrest('USR2');
		return $stack->wait_until(sub { ask_probe('statement_limit')->{body} =~ /"$value"/ }) || die "the limit is not $value\n";
	};
	$stack->psql("CREATE FUNCTION loyalty_api.statement_limit() RETURNS text LANGUAGE sql AS \$\$ SELECT current_setting('statement_timeout') \$\$");
	reload_schema();
	my $usual = $stack->psql("SELECT regexp_replace(setting, '.*=', '') FROM pg_roles, unnest(rolconfig) setting WHERE rolname = 'web_anon' AND setting LIKE 'statement_timeout=%'");
	$limit->('500ms');
	block();
	is sale_in_background()->(), '503 unavailable', 'statement_timeout';
	$blocker->query('ROLLBACK');
	$limit->($usual);
	$stack->psql('DROP FUNCTION loyalty_api.statement_limit()');
	reload_schema();
}
{
	# Only the session that serves the request looks for deadlocks.
	$stack->psql("ALTER SYSTEM SET deadlock_timeout = '10s'");
	$stack->psql('SELECT pg_reload_conf()');
	# a new session has it when the others have been told
	wait_until('SHOW deadlock_timeout', '10s') or die "the setting is not read\n";
	$blocker->query("SET deadlock_timeout = '10min'");
	block();
	my $answer = sale_in_background('Idempotency-Key' => 'deadlock');
	ok wait_until($waiting, '1'), 'a sale with an idempotency key waits for a lock';
	$blocker->send("INSERT INTO loyalty_internal.idempotency_key (merchant_id, key_digest, fingerprint)
		SELECT merchant_id, loyalty_internal.merchant_digest(merchant_id, 'deadlock'), sha256('') FROM loyalty_internal.merchant WHERE NOT sandbox");
	is $answer->(), '503 unavailable', 'a deadlock';
	is $blocker->receive, '', 'which lets the other go on';
	$blocker->query('ROLLBACK');
	$stack->psql('ALTER SYSTEM RESET deadlock_timeout');
	$stack->psql('SELECT pg_reload_conf()');
}
{
	$stack->psql("ALTER FUNCTION loyalty_api.gateway(bytea) SET default_transaction_isolation = 'repeatable read'");
	reload_schema();
	block();
	my $answer = sale_in_background();
	ok wait_until($waiting, '1'), 'a sale at REPEATABLE READ waits for a lock';
	$blocker->query("UPDATE loyalty_internal.account SET posted_at = posted_at WHERE account_id = $account");
	$blocker->query('COMMIT');
	is $answer->(), '503 unavailable', 'a serialization failure';
	like $stack->server_log, qr/could not serialize access/, 'whose cause is in the server log';
	$stack->psql("ALTER FUNCTION loyalty_api.gateway(bytea) RESET default_transaction_isolation");
	reload_schema();
}
{
	block();
	my $answer = sale_in_background();
	ok wait_until($waiting, '1'), 'another sale waits for a lock';
	$stack->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event_type = 'Lock'");
	is $answer->(), '503 unavailable', 'a backend terminated by the administrator';
	$blocker->query('ROLLBACK');
}
is rows(), $rows_before, 'interrupted requests have written nothing';

# A request that is tried again and again makes thousands of transactions each second.
my $busy = q{SELECT string_agg(format('%s: %s', state, query), E'\n') FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle' AND query LIKE '%"gateway"%'};
wait_until($busy, '');
is $stack->psql($busy), '', 'no request is being worked on';
sleep 2;
my $transactions = q{SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'loyalty'};
my $count = $stack->psql($transactions);
sleep 4;
cmp_ok $stack->psql($transactions) - $count, '<', 100, 'nobody tries again and again';

# --- memory -----------------------------------------------------------------------------------------------------

my %headers = ('x-loyalty-method' => 'POST', 'x-loyalty-uri' => '/wallet/sale', 'x-loyalty-key' => $key, 'x-loyalty-type' => 'application/json');
my $json = JSON::PP->new;
my @failing = (
	[{%headers}, '{"wallet_key":"' . 'x' x 5000],
	[{%headers}, '{"wallet_key":["' . 'x' x 5000 . '"]}'],
	[{%headers}, $json->encode({%sale, transaction_type => 1, points_used => 1_000_000})],
	[{%headers, 'x-loyalty-type' => $form_type}, field(%sale) . '&x=' . 'x' x 5000 . '%zz'],
	[{%headers, 'x-loyalty-key' => 'nobody'}, $json->encode(\%sale)],
	[{%headers, 'x-loyalty-uri' => '/' . 'x' x 1000}, ''],
);
my $calls = join ', ', map { my ($h, $b) = @$_; sprintf '($$%s$$, convert_to($$%s$$, $$UTF8$$))', $json->encode($h), $b } @failing;
my $session = $stack->connect_async;
my $pid = $session->query('SELECT pg_backend_pid()');
$session->query("CREATE TEMP TABLE failing AS SELECT row_number() OVER () AS n, * FROM (VALUES $calls) v (headers, body)");

# Each in a transaction of its own, as PostgREST does it.
sub fail_often
{
	my $times = shift;
	return $session->query("DO \$do\$
		DECLARE
			f record;
			answer json;
		BEGIN
			FOR i IN 1 .. $times LOOP
				SELECT * INTO f FROM failing WHERE n = i % (SELECT count(*) FROM failing) + 1;
				PERFORM set_config('request.headers', f.headers, false);
				answer := loyalty_api.gateway(f.body);
				IF answer ->> 'success' <> 'false' OR answer ->> 'status' NOT LIKE '4__' THEN
					RAISE EXCEPTION 'request % got %', f, answer;
				END IF;
				COMMIT;
			END LOOP;
		END
		\$do\$");
}

sub memory_kb
{
	my $contexts = $session->query('SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts');
	open my $status, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!\n";
	my ($rss) = map { /^RssAnon:\s+(\d+) kB/ ? $1 : () } <$status>;
	return ($contexts, $rss);
}

is fail_often(600), '', '600 failing requests in one session';
my ($contexts_before, $rss_before) = memory_kb();
is fail_often(10_000), '', '10,000 more';
my ($contexts_after, $rss_after) = memory_kb();
cmp_ok $contexts_after - $contexts_before, '<', 1024, 'memory contexts do not grow';
cmp_ok $rss_after - $rss_before, '<', 4096, 'nor does the process';

# --- afterwards -----------------------------------------------------------------------------------------------------

my @bad = grep { /PANIC|FATAL|TRAP:|terminated by signal|was terminated|server process/ } split /\n/, $stack->server_log;
is join("\n", grep { !/FATAL:  terminating connection due to administrator command/ } @bad), '', 'the server log tells of no crash';
my $answer = post('/wallet/sale', $form_type, field(%sale));
is $answer->{status}, 200, 'a sale works as before' or diag $answer->{body};
is $stack->psql('SELECT count(*) FROM loyalty.verify()'), '0', 'the ledger is sound';

done_testing;

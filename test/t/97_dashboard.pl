# The dashboard: a page through the web server for whoever has a link, of one merchant's
# figures.  A link that is not good is told nothing, whatever is wrong with it; the page
# runs no script, whatever people and branches are called, and suits phones and desks,
# by day and by night.
#
# LOYALTY_PICTURES names a folder for pictures of it.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex sha256_base64);
use Encode qw(decode encode);
use FindBin;
use lib $FindBin::Bin;
use Chromium;
use Loyalty;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', clock => 1, rate => '200r/s');
$stack->noon;
my $session = $stack->connect_async;
sub outcome { my $answer = $session->query(shift); return $answer =~ /ERROR:  (\w{5}):/ ? $1 : $answer }
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }
sub literal { my $text = shift; return q{'} . $text =~ s/'/''/gr . q{'} }

# --- two merchants ------------------------------------------------------------------------------

my $hostile = '<script>document.title="gone"</script>"\'&amp;<img src=x onerror=alert(1)> عرض 😀';
my $branch_name = '</table></section><style>*{display:none}</style>שלום';
my $m = sql('SELECT loyalty.create_merchant(' . literal("Café $hostile") . ')');
my $other = sql(q{SELECT loyalty.create_merchant('Otro comercio')});
my $p = sql("SELECT program_id FROM loyalty.create_program($m, " . literal("Club $hostile") . q{, NULL, '{"duration_value": 3, "duration_unit": "month", "redemption_points": 4, "decimals": 2}')});
my $q = sql("SELECT program_id FROM loyalty.create_program($other, 'Ajeno', NULL, '{}')");
my @branches = map { sql("SELECT loyalty.create_branch($m, " . literal($_) . ')') } $branch_name, map { "Sucursal $_" } 1 .. 11;
sql("SELECT loyalty.create_branch($other, 'Sucursal ajena')");
$stack->psql("INSERT INTO loyalty_internal.staff (merchant_id, staff_id, name, number, branch_id, role, password_cost, password_digest) SELECT $m, n, 'Empleado ' || n, (4771000000 + n)::text::loyalty.phone, ('{@{[join ',', @branches]}}'::bigint[])[n], 'cajero', 1, encode(sha256(n::text::bytea), 'hex') FROM generate_series(1, 12) n");
my $ana = sql("SELECT loyalty.create_member($m, $p, " . literal("Ana $hostile") . ')');
my $bob = sql("SELECT loyalty.create_member($other, $q, 'Bob')");
# yesterday
sql("SELECT loyalty.sale($m, $ana, 1000 * n, staff_id => n) FROM generate_series(1, 12) n");
$stack->advance_clock(86400);
sql("SELECT loyalty.sale($m, $ana, 1234567.89, staff_id => 1), loyalty.post($m, $ana, 'redeem', 5000.5, staff_id => 2), loyalty.hold($m, $ana, 100)");
sql("SELECT loyalty.sale($other, $bob, 987654)");
my $today = sql(q{SELECT to_char(now() AT TIME ZONE 'America/Mexico_City', 'DD/MM/YYYY')});

# --- links ---------------------------------------------------------------------------------------

sub page
{
	my ($path, $method) = @_;
	$stack->{secrets}{$1} = 1 if $path =~ /([0-9a-f]{64})/;
	my $answer = $stack->http($method // 'GET', $path);
	my %headers = %{$answer->{headers}};
	delete @headers{qw(date x-request-id connection transfer-encoding content-length)};
	return {status => $answer->{status}, headers => \%headers, body => decode('UTF-8', $answer->{body})};
}

my $link = sql("SELECT loyalty.dashboard_link($m)");
like $link, qr{^/dashboard\?token=$m\.\d{10}\.[0-9a-f]{64}$}, 'a link';
my ($ends, $signature) = $link =~ /\.(\d+)\.([0-9a-f]+)$/;
cmp_ok abs($ends - sql('SELECT extract(epoch FROM now())') - 7 * 86400), '<', 60, '… for a week';
is outcome("SELECT loyalty.dashboard_link($_->[1])"), 'LY005', "no link: $_->[0]" for ['too short', "$m, '59 s'"], ['too long', "$m, '91 days'"], ['NULL', "$m, NULL"], ['negative', "$m, '-1 day'"];
is outcome("SELECT loyalty.$_"), 'LY006', "no merchant: $_" for 'dashboard_link(1)', 'dashboard_link(NULL)', 'rotate_dashboard_key(1)', 'rotate_dashboard_key(NULL)';

my $good = page($link);
is $good->{status}, 200, 'the page';
my $refused = page('/dashboard');
is $refused->{status}, 403, 'without a token there is none';
unlike $refused->{body}, qr/Café|script|$m/, '… and nothing of anybody';
like $refused->{body}, qr/Este enlace no es válido, o ya terminó/, '… but what to do';
my $short = sql("SELECT loyalty.dashboard_link($m, '1 minute')");
my $next_id = $m + 1;
my %bad = (
	'an empty one' => '', 'one that is none' => 'x', 'another signature' => "$m.$ends." . 'a' x 64, 'one that ends later' => "$m.@{[$ends + 1]}.$signature", 'another merchant' => "$other.$ends.$signature",
	'nobody' => "$next_id.$ends.$signature", 'nobody, signed with no key' => "$next_id.$ends." . hmac_sha256_hex("dashboard $next_id $ends", "\0" x 64), 'the merchant, signed with no key' => "$m.$ends." . hmac_sha256_hex("dashboard $m $ends", "\0" x 64),
	'no end' => "$m..$signature", 'an end that is too long' => "$m.99999999999.$signature", 'in capitals' => "$m.$ends." . uc $signature, 'shorter' => "$m.$ends." . substr($signature, 0, 63), 'longer' => "$m.$ends.${signature}0",
	'a zero before' => "0$m.$ends.$signature", 'a number that is none' => "9999999999999999999.$ends.$signature", 'blanks' => "$m.$ends.$signature%20", 'a line' => "$m.$ends.$signature%0d%0aX:y", 'bytes' => '%ff%00', 'a list' => "[\"$m.$ends.$signature\"]");
is_deeply page("/dashboard?token=$bad{$_}"), $refused, "the same for a token that is not good: $_" for sort keys %bad;
is_deeply page("/dashboard?x=1&token=x&token=$m.$ends.$signature"), $refused, '… and for a second one';
is page("$link&token=x&limit=0&select=x")->{status}, 200, 'nothing else of the address counts';
is page($short)->{status}, 200, 'a link for a minute';
$stack->advance_clock(61);
is_deeply page($short), $refused, '… and after it';
# the function by itself is not for others
is $stack->http('GET', $stack->env('POSTGREST_URL') . '/rpc/dashboard', {Accept => 'text/html'})->{status}, 403, 'the function without a token';
is $stack->psql_error('SET request.headers = \'{"x-loyalty-token": 1}\'; SELECT loyalty_api.dashboard()'), undef, 'no header makes it fail';
like $stack->psql("SET request.headers = '$_'; SELECT loyalty_api.dashboard(), current_setting('response.status')"), qr/\|(403|504)$/, "… nor $_" for '', '{', '[]', 'null', '{"x-loyalty-token":{"a":1}}';

# --- methods, and what the browser is told ---------------------------------------------------------

my $head = $stack->http('HEAD', $link);
is $head->{status} . ($head->{body} // ''), '200', 'HEAD';
for my $method (qw(POST PUT DELETE PATCH OPTIONS))
{
	my $answer = page($link, $method);
	is "$answer->{status} $answer->{headers}{allow} $answer->{headers}{'content-type'}", '405 GET, HEAD text/html; charset=utf-8', $method;
}
my %headers = %{$good->{headers}};
is $headers{'content-type'}, 'text/html; charset=utf-8', 'it is HTML';
is $headers{'referrer-policy'}, 'no-referrer', 'the address is told to nobody';
is $headers{'cache-control'}, 'no-store', 'and kept nowhere';
is $headers{'x-content-type-options'}, 'nosniff', 'it is what it says';
is $headers{'set-cookie'}, undef, 'no cookies';
my ($style) = $good->{body} =~ m{<style>(.*?)</style>}s;
is $headers{'content-security-policy'}, "default-src 'none'; style-src 'sha256-" . sha256_base64(encode('UTF-8', $style)) . "='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", 'no script is run, and no style but its own';
unlike $style, qr/[<>&]/, 'which is as it is written';
is_deeply [grep { $headers{$_} ne ($refused->{headers}{$_} // '') } sort keys %headers], [], 'the same for a link that is not good';

# --- what it shows -----------------------------------------------------------------------------------

my $browser = Chromium->start;
sub texts { my $selector = shift; return $browser->ask("[...document.querySelectorAll('$selector')].map(e => e.textContent)") }
sub card { my ($title, $selector) = @_; return $browser->ask("[...document.querySelectorAll('section')].filter(e => e.querySelector('h2').textContent == '$title').flatMap(e => [...e.querySelectorAll('$selector')]).map(e => e.textContent)") }
$browser->size(1280, 900);
$browser->visit($stack->url . $link);
is_deeply [$browser->complaints], [], 'the browser refuses nothing of it';
is $browser->ask('document.title + document.querySelectorAll("script, img, iframe, link, a, form, body style, [style], [onerror]").length'), 'Tablero0', 'it is a page without script';
is_deeply texts('h1'), ["Café $hostile"], 'whatever the merchant is called';
is_deeply texts('h2'), ['Hoy', 'Últimos 30 días', 'Puntos por redimir', 'Lo que vence, si nadie canjea', 'Sucursales, 30 días', 'Reglas, 30 días', 'Actividad por revisar'], 'sections';
is_deeply card('Hoy', '.tiles > div'), ['Ventas1,234,567.89ayer 78,000.00', 'Puntos emitidos123,456.79ayer 7,800', 'Puntos canjeados5,000.5ayer 0', 'Movimientos3ayer 12'], 'today, beside yesterday';
is_deeply card('Últimos 30 días', 'p span'), ['Emitidos 131,256.79', 'Canjeados 5,000.5', 'Vencidos 0', 'Ventas 1,312,567.89', 'Máximo del día 123,456.79', sql(q{SELECT to_char(now() AT TIME ZONE 'America/Mexico_City' - interval '29 days', 'DD/MM/YYYY')}), $today], 'thirty days';
is scalar @{card('Últimos 30 días', 'g')}, 30, '… a bar for each';
is card('Últimos 30 días', 'g title')->[-1], "$today: emitidos 123,456.79, canjeados 5,000.5", '… the last is today';
is $browser->ask(q{[...document.querySelectorAll('.chart g:last-child rect')].map(e => Math.round(e.getBoundingClientRect().height)).join(' ')}), '180 180 7', '… as high as it should be';
is_deeply card('Puntos por redimir', 'td'), ["Club $hostile", '126,156.29', '100', '126,256.29', '31,564.07 MXN'], 'what members have, and what it is worth';
is_deeply [grep { !/20\d\d0$/ } @{card('Lo que vence, si nadie canjea', 'tbody tr')}], [split /\n/, sql(q{SELECT (ARRAY['enero', 'febrero', 'marzo', 'abril', 'mayo', 'junio', 'julio', 'agosto', 'septiembre', 'octubre', 'noviembre', 'diciembre'])[extract(month FROM month)] || ' de ' || extract(year FROM month) || to_char(points, 'FM999,999.00')
	FROM (SELECT date_trunc('month', l.expires_on) AS month, sum(l.points) AS points FROM loyalty_report.fact_lot l WHERE l.program_key = 'PROGRAM' GROUP BY 1) m ORDER BY month} =~ s/PROGRAM/$p/r)], 'when it expires';
is_deeply [@{card('Sucursales, 30 días', 'tbody td')}[0 .. 5]], [$branch_name, '1,235,567.89', '123,556.79', '0', 'Sucursal 11', '12,000.00'], 'the branches that sell most';
is scalar @{card('Sucursales, 30 días', 'tbody tr')}, 10, '… ten of them';
is_deeply card('Reglas, 30 días', 'td'), ['(ninguna)', '1,312,567.89', '131,256.79', '10.00'], 'what rules gave';
is_deeply card('Actividad por revisar', 'p'), ['Nada todavía.'], 'nothing to look at';
unlike $browser->ask('document.body.textContent'), qr/ajen|Otro|Ajeno|987|98,765|Ana|Empleado/i, 'nothing of another merchant, and of no person';
is sql("SELECT sum(points_issued) = 131256.79 AND sum(money_sold) = 1312567.89 FROM loyalty_report.fact_entry WHERE merchant_key = '$m'"), 't', 'as reports have it';

# What is suspicious is counted by maintenance.
sql("SELECT loyalty.set_fraud_threshold($_, threshold, value) FROM (VALUES ('opening_hour', 24), ('closing_hour', 0), ('same_member_sales', 1)) v (threshold, value)") for $m, $other;
sql('CALL loyalty.maintain()');
$browser->visit($stack->url . $link);
is_deeply card('Actividad por revisar', 'td'), ['actividad fuera de horario', '14', 'un miembro, muchas ventas', '13'], 'how much there is to look at';
like card('Actividad por revisar', 'p')->[0], qr{^En 30 días, contado el $today \d\d:\d\d\.$}, '… and when it was counted';
my $other_link = sql("SELECT loyalty.dashboard_link($other)");
$browser->visit($stack->url . $other_link);
is_deeply card('Actividad por revisar', 'td'), [], 'of another merchant its own';
like card('Actividad por revisar', 'p')->[0], qr{^Nada en 30 días, contado el $today \d\d:\d\d\.$}, '… none, and it was counted';
is_deeply card('Hoy', '.tiles > div'), ['Ventas987,654.00ayer 0.00', 'Puntos emitidos98,765.4ayer 0', 'Puntos canjeados0ayer 0', 'Movimientos1ayer 0'], '… and its own figures';
my $empty = sql(q{SELECT loyalty.create_merchant('Nuevo')});
$browser->visit($stack->url . sql("SELECT loyalty.dashboard_link($empty)"));
is_deeply [@{texts('h1')}, @{texts('.empty')}], ['Nuevo', ('Nada todavía.') x 5], 'a merchant without anything has a page too';
is_deeply [$browser->complaints], [], '… without fault';

# --- phones and desks ----------------------------------------------------------------------------------

my $pictures = $ENV{LOYALTY_PICTURES};
my %colour;
for my $scheme (qw(light dark))
{
	$browser->scheme($scheme);
	for ([360, 740], [390, 844], [768, 1024], [1280, 900])
	{
		$browser->size(@$_);
		$browser->visit($stack->url . $link);
		is $browser->too_wide, '', "nothing is wider than $_->[0], $scheme";
		is_deeply [$browser->complaints], [], '… or refused';
		$browser->picture("$pictures/dashboard-$_->[0]-$scheme.png") if defined $pictures;
	}
	# how much lighter one is than the other, as WCAG has it
	$colour{$scheme} = $browser->ask(q{(() => { const light = c => { const [r, g, b] = c.match(/\d+/g).map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
		const of = (e, p) => getComputedStyle(document.querySelector(e))[p]; const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); const card = light(of('section', 'backgroundColor'));
		return [light(of('body', 'backgroundColor')), ratio(card, light(of('td', 'color'))), ratio(card, light(of('.dim', 'color'))), ratio(card, light(of('rect.a', 'fill'))), ratio(card, light(of('rect.b', 'fill')))]; })()});
	cmp_ok $colour{$scheme}[$_->[0]], '>=', $_->[1], "$_->[2] can be told from what is behind, $scheme" for [1, 7, 'text'], [2, 4.5, 'what is less important'], [3, 3, 'a bar'], [4, 3, 'the other bar'];
}
cmp_ok $colour{light}[0], '>', 0.8, 'light by day';
cmp_ok $colour{dark}[0], '<', 0.05, 'dark by night';

# --- too many, and what goes wrong -----------------------------------------------------------------------

sub with_turns { my $number = shift; local $ENV{PGOPTIONS} = "-c loyalty.merchant_requests=$number"; return $stack->connect_async }
my @others = map { my $busy = with_turns(5); $busy->query("BEGIN; SELECT loyalty_internal.take_turn($m)"); $busy } 1 .. 5;
my $busy = page($link);
is "$busy->{status} $busy->{headers}{'content-type'} $busy->{headers}{'retry-after'}", '429 text/html; charset=utf-8 1', 'requests of the merchant that are in progress are counted with it';
like $busy->{body}, qr/Hay demasiadas consultas/, '… which it is told';
is page($other_link)->{status}, 200, '… and those of others are not';
$_->close for @others;
is page($link)->{status}, 200, 'they are over';

$stack->forget_log;
$stack->psql('REVOKE SELECT ON loyalty_internal.fraud_count FROM loyalty_engine');
my $broken = page($link);
is "$broken->{status} $broken->{headers}{'content-type'}", '503 text/html; charset=utf-8', 'what goes wrong is a page too';
unlike $broken->{body}, qr/permission|fraud|Café/, '… that tells nothing of it';
like $stack->server_log, qr/dashboard failed: permission denied for table fraud_count/, '… and the log does';
$stack->psql('GRANT SELECT ON loyalty_internal.fraud_count TO loyalty_engine');
is page($link)->{status}, 200, 'it is mended';

# --- the end of links -------------------------------------------------------------------------------------

sql("SELECT loyalty.rotate_dashboard_key($m)");
is_deeply page($link), $refused, 'a link that was revoked is not good';
is page($other_link)->{status}, 200, q{another merchant's is};
$link = sql("SELECT loyalty.dashboard_link($m)");
is page($link)->{status}, 200, 'and so is one that is made afterwards';
$stack->stop_postgres('immediate');
is page($link)->{status}, 503, 'without a database there is none';
$stack->start_postgres;

$browser->stop;
$session->close;
$stack->stop;
done_testing;

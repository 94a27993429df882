# Documents: statements as HTML and CSV.  They come to the balances of their days, have
# numbers and days as they are written in Mexico, and whatever somebody is called, a
# browser shows that text, and a spreadsheet takes it for no formula.
use strict;
use warnings;
use utf8;

use Encode qw(encode);
use File::Temp ();
use FindBin;
use lib $FindBin::Bin;
use Chromium;
use Loyalty;
use Test::More;
use Time::Local qw(timegm);

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $folder = File::Temp->newdir(TMPDIR => 1);
my $stack = Loyalty->start(level => 'database', clock => 1);
my $session = $stack->connect_async;
sub outcome { my $answer = $session->query(shift); return $answer =~ /ERROR:  (\w{5}):/ ? $1 : $answer }
sub sql { my $answer = $session->query(shift); die "$answer\n" if $answer =~ /ERROR:/; return $answer }
sub at { my ($year, $month, $day, $hour) = @_; return $stack->stop_clock(1_000_000 * timegm(0, 30, $hour // 18, $day, $month - 1, $year)) }
sub literal { my $text = shift; return q{'} . $text =~ s/'/''/gr . q{'} }
# of a document, without its end, which sql() chomps
sub lines { my $csv = shift; return [split /\r\n/, $csv] }

# Formats of dates, and of the locale, of whoever asks do not count.
sql(q{SET time zone 'Asia/Tokyo'; SET datestyle = 'German'; SET statement_timeout = '60s'; SET xmloption = 'document'; SET xmlbinary = 'hex'});
at(2026, 10, 30);
my $m = sql(q{SELECT loyalty.create_merchant('Café La Parroquia')});
my $p = sql(qq{SELECT program_id FROM loyalty.create_program($m, 'Club', NULL, '{"decimals": 2, "duration_value": 40, "duration_unit": "day", "redemption_points": 4, "time_zone": "America/Mexico_City"}')});
my $ana = sql("SELECT loyalty.create_member($m, $p, 'Ana López', '4771234567', client_id => 'CM-7')");

# --- a statement ----------------------------------------------------------------------------

sql("SELECT loyalty.sale($m, $ana, 1234567.89, reference => 'T-1')");
at(2026, 11, 1, 5);	# of Mexico, still the month before
sql("SELECT loyalty.sale($m, $ana, 10.55, reference => 'T-2')");
at(2026, 11, 3);
my $hold = sql("SELECT entry_id FROM loyalty.hold($m, $ana, 100.5)");
at(2026, 11, 28);
sql("SELECT loyalty.capture($m, $ana, $hold, 60)");
sql("SELECT loyalty.release($m, $ana, $hold, in_full => true)");
at(2026, 12, 24);
my $november = "'2026-11-01', '2026-11-30'";
is_deeply lines(sql("SELECT loyalty.member_statement($m, $ana, $november, 'csv')")), [
	'fecha,hora,movimiento,referencia,importe,puntos,en_reserva,saldo',
	'2026-11-01,,Saldo inicial,,,,,123457.85',
	'2026-11-03,12:30:00,Apartado,"",,-100.5,100.5,123357.35',
	'2026-11-28,12:30:00,Canje del apartado,"",,0,-60,123357.35',
	'2026-11-28,12:30:00,Liberación del apartado,"",,40.5,-40.5,123397.85',
	'2026-11-30,,Saldo final,,,,,123397.85'], 'a month, from balance to balance';
is_deeply lines(sql("SELECT loyalty.member_statement($m, $ana, '2026-10-01', '2026-10-31', 'csv')")), [
	'fecha,hora,movimiento,referencia,importe,puntos,en_reserva,saldo',
	'2026-10-01,,Saldo inicial,,,,,0',
	'2026-10-30,12:30:00,Acumulación,"T-1",1234567.89,123456.79,0,123456.79',
	'2026-10-31,23:30:00,Acumulación,"T-2",10.55,1.06,0,123457.85',
	'2026-10-31,,Saldo final,,,,,123457.85'], 'days are those of the program';
# the points of October were valid for 40 days, and nobody has booked it
is_deeply [@{lines(sql("SELECT loyalty.member_statement($m, $ana, '2026-12-01', '2026-12-31', 'csv')"))}[1 .. 4]], [
	'2026-12-01,,Saldo inicial,,,,,123397.85',
	'2026-12-10,00:00:00,Vencimiento,"",,-123396.79,0,1.06',
	'2026-12-11,00:00:00,Vencimiento,"",,-1.06,0,0',
	'2026-12-31,,Saldo final,,,,,0'], 'what expired is there by its date, before it is booked';
my $before = sql("SELECT loyalty.member_statement($m, $ana, '2026-12-01', '2026-12-31')");
sql("SELECT loyalty.expire_due($m, 100)");
is sql("SELECT loyalty.member_statement($m, $ana, '2026-12-01', '2026-12-31')"), $before, 'and when it is';
is scalar @{lines(sql("SELECT loyalty.member_statement($m, $ana, '2026-12-12', '2026-12-31', 'csv')"))}, 3, 'a time without movements has two lines';

is outcome("SELECT loyalty.member_statement($m, $ana, $_->[1])"), 'LY005', $_->[0] for
	['until before from', q{'2026-11-02', '2026-11-01'}], ['a day to come', q{'2026-12-25', '2026-12-31'}], ['no day', q{NULL, '2026-11-01'}], ['no last day', q{'2026-11-01', NULL}],
	['for ever', q{'-infinity', 'infinity'}], ['from the end', q{'infinity', 'infinity'}], ['no format', q{'2026-11-01', '2026-11-02', 'pdf'}], ['a format of NULL', q{'2026-11-01', '2026-11-02', NULL}];
is outcome("SELECT loyalty.member_statement($m, 1, $november)"), 'LY006', 'nobody';
my $other = sql(q{SELECT loyalty.create_merchant('Otro')});
is outcome("SELECT loyalty.member_statement($other, $ana, $november)"), 'LY006', q{another merchant's member};
is outcome("SELECT loyalty.member_statement($m, $ana, '1900-01-01', '9999-12-30', 'csv')") =~ tr/\n//, 10, 'all there is';

# --- as it is printed -------------------------------------------------------------------------

my $browser = Chromium->start;
sub show
{
	my ($name, $html) = @_;
	open my $out, '>:raw', "$folder/$name.html" or die $!;
	print $out encode('UTF-8', $html);
	close $out or die $!;
	$browser->visit("file://$folder/$name.html");
	return;
}
sub texts { my $selector = shift; return $browser->ask("[...document.querySelectorAll('$selector')].map(e => e.textContent)") }

$browser->size(800, 1000);
show('statement', sql("SELECT loyalty.member_statement($m, $ana, $november)"));
is $browser->ask('document.compatMode + document.characterSet + document.documentElement.lang'), 'CSS1CompatUTF-8es-MX', 'a page of HTML, in Spanish';
is_deeply texts('bdi'), ['Café La Parroquia', 'Club', 'Ana López', 'CM-7', 'Puntos'], 'whose it is';
is $browser->ask('document.title'), 'Estado de cuenta 01/11/2026 – 30/11/2026', 'of when';
is_deeply texts('dd'), ['123,457.85', '40.50', '-100.50', '123,397.85'], 'numbers are written as in Mexico';
is_deeply texts('tbody tr:first-child td'), ['03/11/2026 12:30', 'Apartado', '', '-100.50', '100.50', '123,357.35'], 'and so are days';
is $browser->ask(q{[...document.querySelectorAll('*')].filter(e => ['SPAN', 'P', 'TD'].includes(e.parentElement?.tagName) && ['TABLE', 'FOOTER', 'TR', 'H1'].includes(e.tagName)).length}), 0, 'an empty element holds nothing that follows it';
is $browser->too_wide, '', 'nothing is wider than the paper';
$browser->size(360, 640);
is $browser->too_wide, '', 'or than a phone';
$browser->print_to("$folder/statement.pdf");
cmp_ok -s "$folder/statement.pdf", '>', 5000, 'it is printed';
is_deeply [$browser->complaints], [], 'and the browser finds no fault with it';

# --- whatever people write ------------------------------------------------------------------------

my @hostile = ('<script>document.title="gone"</script>', '"><img src=x onerror="document.title=1">', q{'; alert(1); "&amp;&lt;}, ']]><!--<![CDATA[', '</bdi></td></table><style>*{display:none}</style>',
	'عرض خاص שלום', '😀🏳️‍🌈𝒳', 'ä&#x3c;b>&notin;', '${7*7}{{7*7}}<svg/onload=alert(1)>', '=cmd|\' /C calc\'!A0');
my @raw = ("a\x01b\x{202E}c\x{7F}\x{9F}\x{FFFF}", "line\nfeed\ttab");
sub shown { my $text = shift; return $text =~ s/[\x01\x{202E}\x7F-\x9F\x{FFFF}]/\x{FFFD}/gr }
my $bad = sql('SELECT loyalty.create_merchant(' . literal($hostile[0]) . ')');
my $club = sql("SELECT program_id FROM loyalty.create_program($bad, " . literal($hostile[1]) . ", NULL, json_build_object('unit_name', " . literal($hostile[2]) . '::text))');
my @people = map { sql("SELECT loyalty.create_member($bad, $club, " . literal($_) . ')') } @hostile;
sql("SELECT loyalty.post($bad, $people[0], 'deposit', 5, reference => " . literal($_) . ')') for @hostile, @raw;
for my $i (0 .. $#hostile)
{
	my $html = sql("SELECT loyalty.member_statement($bad, $people[$i], '2026-12-01', '2026-12-31')");
	show('hostile', $html);
	my @shown = @{texts('bdi')};
	is $shown[2], $hostile[$i], "a member is shown as called: $hostile[$i]";
	is $browser->ask(q{document.querySelectorAll('script, img, svg, style ~ style, body style, iframe, [onload], [onerror]').length + document.title}), '0Estado de cuenta 01/12/2026 – 31/12/2026', '… and that is all that is there';
	is_deeply [@shown[0, 1, -1]], [@hostile[0 .. 2]], '… and so are merchant, program and unit';
	is_deeply [$browser->complaints], [], '… and nothing was run';
	is_deeply [@shown[4 .. $#shown - 1]], [map { shown($_) } @hostile, @raw], '… and all references' if $i == 0;
	is $browser->too_wide, '', '… on a phone' if $i == 0;
}

# A spreadsheet has no formula in it, and RFC 4180 finds what was written.
my @formulas = ('=1+1', '+1', '-1', '@SUM(A1)', "\t=1", "  =1", "\r=1", "\n=1", "\x{FF1D}1", "\x{3000}=1", 'a=1', 'quote"d, comma', "'=1", "two\nlines");
sql("SELECT loyalty.post($bad, $people[1], 'deposit', 5, reference => " . literal($_) . ')') for @formulas;
my $csv = sql("SELECT loyalty.member_statement($bad, $people[1], '2026-12-01', '2026-12-31', 'csv')");
my @fields = map { s/""/"/gr } $csv =~ /,Abono,"((?:[^"]|"")*)",/g;
is scalar @fields, @formulas, 'each is a field';
is $fields[$_], ($_ < 10 ? q{'} : '') . $formulas[$_] =~ s/\r/\x{FFFD}/r, 'in a spreadsheet: ' . $formulas[$_] =~ s/\s/_/gr for 0 .. $#formulas;
is_deeply [grep { /^[\s"]*[-=+@]/ && !/^-?\d+(\.\d+)?$/ } map { split /,/ } grep { !/Abono/ } split /\r\n/, $csv], [], 'and nothing else is one';

# --- of whom nothing may be told ---------------------------------------------------------------

my $gone = sql("SELECT loyalty.create_member($m, $p, 'Berta Gómez', '4771234568')");
sql("SELECT loyalty.sale($m, $gone, 100, reference => 'ticket de Berta')");
like sql("SELECT loyalty.member_statement($m, $gone, '2026-12-01', '2026-12-31')"), qr/Berta Gómez.*ticket de Berta/s, 'who is a member has a name';
sql("SELECT loyalty.erase_member($m, $gone)");
my $pseudonym = sql("SELECT member_key FROM loyalty_report.fact_entry WHERE merchant_key = '$m' ORDER BY entry_key::numeric DESC LIMIT 1");
like $pseudonym, qr/^[0-9a-f]{16}$/, 'reports have a pseudonym';
for my $format (qw(html csv))
{
	my $document = sql("SELECT loyalty.member_statement($m, $gone, '2026-12-01', '2026-12-31', '$format')");
	unlike $document, qr/Berta|ticket|477123|CM\d/, "who was erased is nobody, in $format";
	like $document, $format eq 'csv' ? qr/,Acumulación,"",100,10,0,10\r/ : qr/<bdi>$pseudonym<\/bdi>.*10\.00/s, '… what they did is there';
}
my $cancelled = sql("SELECT loyalty.create_customer($m, $p, 'ZAQX870411MGTRXC04', 'Zoe Zárate', 'A', phone => '4771234569')");
sql("SELECT loyalty.sale($m, $cancelled, 50, reference => 'ticket de Zoe')");
sql("SELECT loyalty.block_customer($m, 'ZAQX870411MGTRXC04')");
unlike sql("SELECT loyalty.member_statement($m, $cancelled, '2026-12-01', '2026-12-31', '$_')"), qr/Zoe|Zárate|ticket|477123|ZAQX|CM\d/, "who is blocked is nobody, in $_" for qw(html csv);

# Who shares an account has what they did themselves.
my ($eva, $leo) = map { sql("SELECT loyalty.create_member($m, $p, '$_')") } qw(Eva Leo);
sql("SELECT loyalty.sale($m, $eva, 100, reference => 'de Eva')");
sql("SELECT loyalty.share_account($m, $leo, $eva)");
sql("SELECT loyalty.sale($m, $eva, 30, reference => 'de Leo', member_id => $leo)");
for (['Eva', $eva, 'Leo'], ['Leo', $leo, 'Eva'])
{
	my ($name, $id, $others) = @$_;
	my $document = sql("SELECT loyalty.member_statement($m, $id, '2026-12-01', '2026-12-31', 'csv')");
	like $document, qr/"de $name".*Saldo final,,,,,13\r?$/s, "$name has all movements, and the own references";
	unlike $document, qr/de $others/, "… and none of $others";
}

# --- the close of a month ----------------------------------------------------------------------

my $branch = sql("SELECT loyalty.create_branch($bad, " . literal($hostile[4]) . ')');
sql("SELECT loyalty.close_month($m, $p, '$_')") for '2026-10-01', '2026-11-01';
is outcome("SELECT loyalty.month_statement($m, $p, $_->[1])"), $_->[2], $_->[0] for
	['a month that is not closed', q{'2026-12-01'}, 'LY006'], ['no month', 'NULL', 'LY006'], ['no month at all', q{'infinity'}, 'LY006'], ['no format', q{'2026-11-01', 'xml'}, 'LY005'];
is outcome("SELECT loyalty.month_statement($other, $p, '2026-11-01')"), 'LY006', q{another merchant's program};
is_deeply lines(sql("SELECT loyalty.month_statement($m, $p, '2026-11-17', 'csv')")), [
	'mes,de,movimiento,sucursal,reglas,movimientos,puntos',
	'2026-11-01,,Saldo inicial,,,,123457.85',
	'2026-11-01,el mes,Apartado,"",,1,0',
	'2026-11-01,el mes,Canje del apartado,"",,1,-60',
	'2026-11-01,el mes,Liberación del apartado,"",,1,0',
	'2026-11-01,,Saldo final,,,,123397.85'], 'a closed month, from balance to balance';
show('close', sql("SELECT loyalty.month_statement($m, $p, '2026-11-17')"));
is $browser->ask('document.title'), 'Cierre de noviembre de 2026', 'the same to be printed';
is_deeply texts('dd'), ['123,457.85', '-60.00', '123,397.85', '0.25 MXN', '30,849.46 MXN'], 'with what it was worth';
is_deeply texts('tbody td:last-child'), ['0.00', '-60.00', '0.00'], 'line by line';
like texts('footer')->[0], qr/[0-9a-f]{64}.*[0-9a-f]{64}/s, 'with its root and digest';
is $browser->too_wide, '', 'on a phone';

# What comes late, and what branches are called.
$stack->psql("INSERT INTO loyalty_internal.month_close_line (merchant_id, program_id, month, line_no, late, kind, branch_id, rules, entries, points)
	VALUES ($bad, $club, '2026-11-01', 1, false, 1, $branch, 3, 1234, 1234.5), ($bad, $club, '2026-11-01', 2, true, 3, $branch, NULL, 1, -4.25);
	INSERT INTO loyalty_internal.month_close (merchant_id, program_id, month, closed_at, root_id, root, closing, money_per_point, digest) VALUES ($bad, $club, '2026-11-01', now(), 1, '', 1230.25, 0.25, '')");
show('hostile', sql("SELECT loyalty.month_statement($bad, $club, '2026-11-01')"));
is_deeply texts('bdi'), [@hostile[0, 1, 4, 4, 2]], 'whatever a branch is called, that is shown';
is $browser->ask(q{document.querySelectorAll('script, img, svg, body style').length}), 0, '… and nothing else';
is_deeply texts('h2'), ['Movimientos del mes', 'De meses anteriores, conocidos después'], 'what came late is by itself';
is_deeply texts('tbody tr td:nth-last-child(-n+3)'), ['3', '1,234', '1,234.50', '', '1', '-4.25'], 'line by line';

$browser->stop;
$session->close;
$stack->stop;
done_testing;

# 42_clock_back.pl - a clock that steps back, by NTP or with another server: what
# was posted later counts as later, whatever the clock said; what was answered is
# answered again; and nobody gets a day's limits twice.
#
# The clock stands where it was put, so nothing here depends on how fast the
# machine is.  Under load and over HTTP it is 54_clock_load.pl.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use JSON::PP ();
use Test::More;
use Time::Local qw(timegm);

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $stack = Loyalty->start(level => 'http', clock => 1, rate => '100000r/s', isolation => 'read committed');
my ($DAY, $HOUR) = (86_400, 3_600);

# All of it is in one session, which remembers what it has read.
my $session = $stack->connect_async;
sub sql { my $answer = $session->query($_[0]); die "$answer\n  $_[0]\n" if $answer =~ /^(?:psql:\S+ )?(?:ERROR|FATAL):/m; return $answer }
sub outcome { my $answer = $session->query($_[0]); return $answer =~ /^DETAIL: +(.*)$/m ? $1 : $answer =~ /ERROR/ ? $answer : 'done' }

# The 2nd of June of 2027 at noon in Mexico City, a Wednesday, and so many seconds later.
my $NOON = timegm(0, 0, 18, 2, 5, 2027);
sub clock_shows { return $stack->stop_clock(1_000_000 * ($NOON + $_[0])) }
clock_shows(0);

my ($merchant, $key) = split /\|/, sql(q{
	SELECT loyalty.create_merchant('Uno') AS m \gset
	SELECT api_key FROM loyalty.create_api_key(:m) \gset
	SELECT concat_ws('|', :m, :'api_key')});
my $made = 0;
sub program
{
	my ($settings) = @_;
	return sql(sprintf q{SELECT program_id FROM loyalty.create_program(%s, 'Programa', 'P%d', '%s')}, $merchant, ++$made, $settings // '{}');
}
sub account { return sql("SELECT loyalty.open_account($merchant, $_[0])") }
sub member { my ($program) = @_; return sql("SELECT loyalty.create_member($merchant, $program, 'Persona " . ++$made . "')") }
sub post { my ($account, $kind, $amount, $more) = @_; return sql("SELECT points || ' ' || balance FROM loyalty.post($merchant, $account, '$kind', '$amount'" . ($more ? ", $more" : '') . ')') }
sub sale { my ($account, $money, $more) = @_; return sql("SELECT points FROM loyalty.sale($merchant, $account, '$money'" . ($more ? ", $more" : '') . ')') }
sub breaches { return sql("SELECT string_agg(concat_ws(' / ', invariant, detail), '; ') FROM loyalty.verify($merchant)") }


# --- sales to customers, and what is paid of them ----------------------------------

my ($carlos, $cesar) = qw(CAMC880526HMCBNR04 CAPC200504HMCBXRA2);
clock_shows(-10 * $DAY);
my $customers = program();
my $private_key = sql("SELECT loyalty.create_app_user($merchant, 'Banco')");
sql("SELECT loyalty.create_customer($merchant, $customers, '$_', 'Carlos', 'Cabrera'), loyalty.grant_consent($merchant, '$_', 'Banco', 'cobranza', '1')") for $carlos, $cesar;
sql("SELECT loyalty.create_product($merchant, '$_', '300', 10, max_payments => 3)") for qw(Vida Hogar Auto);

# A request under a token of now.
sub kasu
{
	my ($path, %body) = @_;
	my $json = JSON::PP->new->utf8->canonical;
	my $curp = $body{curp_en_uso} //= $carlos;
	my $signature = hmac_sha256_hex($curp, $private_key);
	my %head = ('Content-Type' => 'application/json');
	my $token = $stack->http_json('POST', '/api/Registro_V1', \%head,
		$json->encode({tipo_peticion => 'token_full', nombre_de_usuario => 'Banco', curp_en_uso => $curp, firma_KEY => $signature}))->{json};
	return $stack->http_json('POST', $path, {%head, Authorization => "Bearer $token->{token}"},
		$json->encode({nombre_de_usuario => 'Banco', token_data => $token->{token_data}, %body}));
}
sub pay
{
	my ($reference, $amount, %more) = @_;
	my $answer = kasu('/api/Payments_V1', tipo_peticion => 'pagos_psd2', referencia => $reference, cantidad => $amount, metodo => 'SPEI', %more);
	return "$answer->{status} $answer->{body}";
}
sub balance_of { my $answer = kasu('/api/Payments_V1', tipo_peticion => 'account_status', @_); return "$answer->{json}{data}{producto} $answer->{json}{data}{saldo}" }

subtest 'payments' => sub {
	clock_shows(0);
	sql("SELECT loyalty.open_policy($merchant, '$carlos', 'Vida', 3)");
	my %first = (R1 => pay('R1', 100));
	like $first{R1}, qr/"saldo" ?: ?200\b/, 'of 300, 100 are paid';
	clock_shows(-$DAY);
	$first{R2} = pay('R2', 50);
	like $first{R2}, qr/"saldo" ?: ?150\b/, 'a day before, 50 more';
	clock_shows(-2 * $HOUR);
	$first{R3} = pay('R3', 25);
	like $first{R3}, qr/"saldo" ?: ?125\b/, 'and between the two, 25';
	for my $moment (-2 * $DAY, -$HOUR, $DAY)
	{
		clock_shows($moment);
		is pay('R1', 100), $first{R1}, "$moment seconds: the first is answered as it was";
		is pay('R2', 50), $first{R2}, 'so is the second';
		is pay('R3', 25), $first{R3}, 'and the third';
	}
	is balance_of(), 'Vida 125', 'all are paid once';
	is sql("SELECT string_agg(p ->> 'referencia', ' ') FROM json_array_elements(loyalty.policy_status($merchant, (SELECT policy_id FROM loyalty.policies WHERE merchant_id = $merchant)) -> 'pagos') p"),
		'R1 R2 R3', 'in the order in which they were paid';
	is sql("SELECT string_agg(reference || ' ' || payment_no || ' ' || balance, ', ' ORDER BY payment_no) FROM loyalty.payments WHERE merchant_id = $merchant"),
		'R1 1 200, R2 2 150, R3 3 125', 'as the view shows them, with what was still to be paid then';
};

subtest 'the newest sale' => sub {
	clock_shows(0);
	sql("SELECT loyalty.open_policy($merchant, '$cesar', 'Vida')");
	clock_shows(-$DAY);
	sql("SELECT loyalty.open_policy($merchant, '$cesar', 'Hogar')");
	clock_shows(-$HOUR);
	is balance_of(curp_en_uso => $cesar), 'Hogar 300', 'is the one that was sold last';
	is kasu('/api/Customer_V1', curp_en_uso => $cesar, tipo_peticion => 'individual_request', request => 'Producto')->{json}{data}[0]{valor}, 'Hogar', 'and the first for who asks for products';
	like pay('R4', 300, curp_en_uso => $cesar), qr/"saldo" ?: ?0\b/, 'and for who pays without saying for which';
	sql("SELECT loyalty.open_policy($merchant, '$cesar', 'Auto')");
	is balance_of(curp_en_uso => $cesar), 'Auto 300', 'of three it is the third';
	is join(' ', map { $_->{Producto} } @{kasu('/api/Customer_V1', curp_en_uso => $cesar, tipo_peticion => 'request_block', request => 'cliente')->{json}{data}{ventas}}),
		'Vida Hogar Auto', 'and they are listed in their order';
};

subtest 'the newest sale, for who may only follow what it has sold' => sub {
	my $xochi = 'ZAQX870411MGTRXC04';
	my $buys = sub {
		return kasu('/api/Accounts_V1', curp_en_uso => $xochi, tipo_peticion => 'new_service', mail => 'x@correo.example', telefono => '4771230000', producto => $_[0],
			numero_pagos => 1, nombre => 'Xochi', paterno => 'Zarate', map { $_ => 'acepto' } qw(terminos aviso fideicomiso))->{status};
	};
	clock_shows($DAY);
	is $buys->('Vida'), 201, 'one is sold a day ahead';
	clock_shows(0);
	is $buys->('Hogar'), 201, 'and another one';
	clock_shows(2 * $DAY);
	is balance_of(curp_en_uso => $xochi), 'Hogar 300', 'which is the newest';

	# refused a hundred times: in the hours before the clock stepped back, not in one
	for my $hour (0, 2, 4, 6)
	{
		clock_shows(3 * $DAY + $hour * $HOUR);
		is $buys->('Vida'), 412, "it is refused at hour $hour";
		sql("UPDATE loyalty_internal.access SET times = 40 WHERE merchant_id = $merchant AND minute = date_trunc('minute', clock_timestamp(), 'UTC')");
	}
	clock_shows(3 * $DAY - 2 * $HOUR);
	is $buys->('Auto'), 201, 'what is hours ahead is not of this hour';
	is $buys->('Auto'), 412, 'refused again';
	sql("UPDATE loyalty_internal.access SET times = 100 WHERE merchant_id = $merchant AND minute = date_trunc('minute', clock_timestamp(), 'UTC')");
	is $buys->('Auto'), 429, 'a hundred times within an hour is too much';
};

subtest 'the first program' => sub {
	my $other = sql("SELECT loyalty.create_merchant('Dos')");
	my @made;
	for my $moment ($DAY, 0, -$DAY)
	{
		clock_shows($moment);
		# by sessions of their own: the numbers that one of them gives do not step back
		push @made, map { $stack->psql("SELECT program_id FROM loyalty.$_") } "create_program($other, 'P')", "create_wallet($other, 'W')";
	}
	is sql("SELECT string_agg(program_id::text, ' ' ORDER BY program_id) FROM loyalty.programs WHERE merchant_id = $other"), "@made", 'is the one that was made first';
	sql("SELECT loyalty.create_product($other, 'Vida', '300', 10); SELECT loyalty_internal.sell_policy($other, '$carlos', 'Vida', 1, 1, NULL, NULL, 'Banco', '4771230001', '{\"nombre\": \"A\", \"paterno\": \"B\", \"mail\": \"a\@b.mx\"}')");
	is sql("SELECT program_id FROM loyalty.customers JOIN loyalty.members USING (merchant_id, member_id) WHERE merchant_id = $other"), $made[0], 'where new customers go';
};

# --- verify() ------------------------------------------------------------------------

subtest 'verify()' => sub {
	my $found = sub { return sql("SELECT count(*) > 0 FROM loyalty.verify($merchant)") . sql("SELECT verify_failed FROM loyalty.metrics WHERE merchant_id = $merchant") };
	my $account = account(program());
	clock_shows($DAY);
	is $found->(), 'ff', 'finds nothing';
	clock_shows(0);
	sql("UPDATE loyalty_internal.account SET balance = '1' WHERE account_id = $account");
	is $found->(), 'tt', 'finds something, and health() knows, though the clock is a day behind';
	sql("UPDATE loyalty_internal.account SET balance = '0' WHERE account_id = $account");
	clock_shows(-$DAY);
	is $found->(), 'ff', 'and a day before that, nothing';
};

# --- roots ---------------------------------------------------------------------------

subtest 'roots' => sub {
	clock_shows(0);
	my $account = account(program());
	post($account, 'deposit', 10);
	my $first = sql("SELECT root_id FROM loyalty.make_root($merchant)");
	clock_shows(-$DAY);
	post($account, 'deposit', 5);
	my $second = sql("SELECT root_id FROM loyalty.make_root($merchant)");
	cmp_ok $second, '>', $first, 'a later one has a higher number';
	is sql("SELECT string_agg(root_id::text, ' ' ORDER BY made_at, root_id) FROM loyalty.roots WHERE merchant_id = $merchant"), "$first $second", 'and was not made before it';
	is sql("SELECT (r ->> 'root_id') || ' ' || (r ->> 'balance') FROM loyalty.receipt($merchant, $account) r"), "$second 15", 'a receipt is by the newest';
	is sql("SELECT count(*) FROM loyalty.verify_root($merchant)"), '0', 'which holds';
	sql("ALTER TABLE loyalty.entry DISABLE TRIGGER ALL; UPDATE loyalty_internal.account SET balance = 10, entry_no = 1, newest_entry_id = previous_entry_id,
		previous_entry_id = NULL, (posted_at, hash) = (SELECT e.posted_at, e.hash FROM loyalty.entry e WHERE e.entry_id = account.previous_entry_id) WHERE account_id = $account;
		DELETE FROM loyalty.entry WHERE account_id = $account AND entry_no = 2");
	is sql("SELECT count(*) > 0 FROM loyalty.verify_root($merchant)"), 't', 'and by the newest it is noticed what was taken back since';
	sql("DELETE FROM loyalty.entry WHERE account_id = $account; UPDATE loyalty_internal.account SET balance = 0, entry_no = 0, newest_entry_id = NULL, hash = '' WHERE account_id = $account");
};

# --- rules ---------------------------------------------------------------------------

sub publish { my ($program, $rules) = @_; return "SELECT version FROM loyalty.publish_rules($merchant, $program, '$rules')" }

subtest 'rules that were rolled back' => sub {
	clock_shows(0);
	my $program = program();
	my $account = account($program);
	sql(publish($program, '[{"name": "uno", "points": 1}]'));
	my $other = $stack->connect_async;
	my $sale = "SELECT points FROM loyalty.sale($merchant, $account, '100')";
	is $other->query($sale), 11, 'a session knows the rules';
	$other->query('BEGIN');
	is $other->query(publish($program, '[{"name": "dos", "points": 1000}]') . ";\n$sale"), "2\n1010", 'replaces them, sells by the new ones';
	$other->query('ROLLBACK');
	is $other->query($sale), 11, 'and takes that back';
	clock_shows(-$HOUR);
	is sql(publish($program, '[{"name": "tres", "points": 3}]')), 2, 'others replace them, at a time before, under the same version';
	is $other->query($sale), 13, 'the session sells by what there is';
	clock_shows(0);
	is $other->query($sale), 13, 'also when it is the first time again';
	$other->query('BEGIN');
	is $other->query(publish($program, '[{"name": "dos", "points": 1000}]')), 3, 'again it replaces them';
	$other->query('ROLLBACK');
	clock_shows(0);
	is sql(publish($program, '[{"name": "cuatro", "points": 4}]')), 3, 'and others do, at the very same time';
	is $other->query($sale), 14, 'it sells by those';
	$other->close;
	clock_shows(-$DAY);
	is sql("SELECT loyalty.rules_at($merchant, $program, now())"), 3, 'the rules of now are those that were published last';
	is sql("SELECT string_agg(points::text, ' ') FROM loyalty.simulate($merchant, $account, '100')"), '10 4', 'by which a sale is simulated';
	is sale($account, 100), 14, 'as it is posted';
};

subtest 'a cap of a day' => sub {
	for my $case (['the rule itself', 'sale'], ['anything else', 'post'])
	{
		my ($name, $how) = @$case;
		clock_shows(0);
		my $program = program();
		my $account = account($program);
		sql(publish($program, '[{"name": "tope", "points": 10, "max_day": 15}]'));
		$how eq 'sale' ? sale($account, 100) : post($account, 'deposit', 20);
		clock_shows(-$DAY);
		sale($account, 100) for 1 .. 3;
		clock_shows(0);
		sale($account, 100) for 1 .. 3;
		clock_shows(-$DAY + 60);
		sale($account, 100);
		is sql("SELECT string_agg(format('%s %s', day, points), ', ' ORDER BY day) FROM (
			SELECT (e.posted_at AT TIME ZONE 'America/Mexico_City')::date AS day, sum(e.amount::numeric) - 10 * count(*) AS points
			FROM loyalty.entry e WHERE e.account_id = $account AND e.kind = 1 GROUP BY 1) x"), '2027-06-02 15', "a day gives what it gives, after $name was posted";
		clock_shows($DAY);
		is sale($account, 100), 20, 'the next one again';
	}
};

# --- limits ----------------------------------------------------------------------------

subtest 'limits of a day' => sub {
	for my $case (map { my $scope = $_; map { [$scope, $_] } qw(on off) } qw(member program))
	{
		my ($scope, $fast_path) = @$case;
		sql("SET loyalty.enable_fast_path = $fast_path");
		clock_shows(-$HOUR);
		my $program = program();
		my $account = account($program);
		post($account, 'deposit', 1000);
		sql("SELECT loyalty.set_limit($merchant, $program, '$scope', 'spend', 100)");
		clock_shows(0);
		post($account, 'deposit', 1);
		my $spend = "SELECT loyalty.post($merchant, $account, 'redeem', '60')";
		clock_shows(-$DAY);
		is outcome($spend), 'done', "$scope, fast path $fast_path: a day before, 60 of 100 are spent";
		is outcome($spend), 'limit_exceeded', 'and no 60 more';
		clock_shows(60);
		is outcome($spend), 'limit_exceeded', 'nor today: the account had been posted to today';
		my $redeem = sql("SELECT newest_entry_id FROM loyalty.balances WHERE account_id = $account");
		is outcome("SELECT loyalty.reverse($merchant, $account, $redeem, in_full => true, reference => 'r')"), 'done', 'what is given back';
		is outcome($spend), 'done', 'can be spent';
		is outcome($spend), 'limit_exceeded', 'once';
		clock_shows(-$DAY);
		is outcome($spend), 'limit_exceeded', 'a day before, too';
		clock_shows($DAY);
		is outcome($spend), 'done', 'the next day it begins anew';
		clock_shows(0);
		is outcome($spend), 'limit_exceeded', 'and is over for the days before';
	}
	sql('RESET loyalty.enable_fast_path');
};

# --- ranks ---------------------------------------------------------------------------

sub rank { my ($account) = @_; return sql("SELECT concat_ws(' ', nullif(loyalty.rank_at($merchant, $account, now()), ''), nullif(loyalty.rank_at($merchant, $account, clock_timestamp()), ''))") }

subtest 'ranks' => sub {
	clock_shows(0);
	sql("SELECT loyalty.set_rank_ranges($merchant, 'club', '{plata,oro}', '{100,500}', '{2,3}')");
	my $program = program('{"range_group": "club", "rank_window_value": 30, "rank_window_unit": "day"}');
	my ($account, $given) = (member($program), member($program));
	post($account, 'deposit', 120);
	is rank($account), 'plata plata', 'a rank is held';
	clock_shows(-$DAY);
	is rank($account), 'plata plata', 'also while the clock is behind the moment of it';
	is sql("SELECT rank FROM loyalty.members WHERE member_id = $account"), 'plata', 'as the view says';
	is sale($account, 100), 20, 'a sale earns by it';
	is sql("SELECT string_agg(points::text, ' ') FROM loyalty.simulate($merchant, $account, '100')"), '20', 'and is simulated so';
	post($account, 'deposit', 10);
	is sql("SELECT count(*) FROM loyalty.ranks_held WHERE account_id = $account"), 1, 'it is not given a second time';
	is breaches(), '', 'what counts is what the entries say';
	post($account, 'deposit', 400);
	is rank($account), 'oro oro', 'a higher one counts at once';
	is sql("SELECT loyalty.rank_at($merchant, $account, now() - interval '1 second')"), '', 'and what there was before stays as it was';
	my $entry = sql("SELECT newest_entry_id FROM loyalty.balances WHERE account_id = $account");
	sql("SELECT loyalty.reverse($merchant, $account, $entry, in_full => true, reference => 'r')");
	is rank($account), 'plata plata', 'it goes with the points';
	is breaches(), '', 'all is well';

	clock_shows(0);
	is sql("SELECT since = now() FROM loyalty.set_rank($merchant, $given, 'oro')"), 't', 'a rank is given';
	clock_shows(-$DAY);
	is rank($given), 'oro oro', 'and is there, whatever the clock says';
	is sale($given, 100), 30, 'a sale earns by it';
	is sql("SELECT points FROM loyalty.simulate($merchant, $given, '100', at => now() + interval '1 second')"), 30, 'and would in a second';
	is sql("SELECT points FROM loyalty.simulate($merchant, $given, '100', at => now() - interval '1 second')"), 10, 'but would not have, a second ago';
	sql("SELECT loyalty.set_rank($merchant, $given, 'plata', ends_at => now() + interval '1 hour')");
	is rank($given), 'plata plata', 'the one that is given later counts';
	clock_shows(-$DAY + 2 * $HOUR);
	is rank($given), '', 'until it ends';
	sql("SELECT loyalty.set_rank($merchant, $given, 'oro'), loyalty.set_rank($merchant, $given, '')");
	is rank($given), '', 'the one that was taken does not';
	is sale($given, 100), 10, 'nor does a sale earn by it';

	# the ranks of the program change, and what is everybody's
	clock_shows(0);
	sql("SELECT loyalty.set_rank_ranges($merchant, 'club', '{todos,plata,oro}', '{0,100,500}')");
	is rank($given), 'todos todos', 'everybody has a rank';
	clock_shows(-$DAY);
	is rank($given), 'todos todos', 'also a day before that';
	sql("SELECT loyalty.set_rank_ranges($merchant, 'club', '{cualquiera,plata,oro}', '{0,10,500}')");
	is rank($given), 'plata plata', 'other ranks are in force from then on';
	my $new = member($program);
	is rank($new), 'cualquiera cualquiera', 'for everybody';
	is sql("SELECT string_agg(rank, ' ' ORDER BY since) FROM loyalty_internal.rank_base WHERE program_id = $program"), 'todos cualquiera', 'in their order';
	clock_shows(60);
	is rank($new), 'cualquiera cualquiera', 'and later';
	post($account, 'deposit', 1);
	is breaches(), '', 'all is well';
};

subtest 'ranks by points that are pending' => sub {
	for my $ahead ('an entry', 'the terms')
	{
		clock_shows(0);
		sql("SELECT loyalty.set_rank_ranges($merchant, 'espera', '{plata,oro}', '{10,400}')");
		my $program = program('{"range_group": "espera", "rank_window_value": 30, "rank_window_unit": "day"}');
		my $account = member($program);
		clock_shows($DAY);
		$ahead eq 'an entry' ? post($account, 'deposit', 1) : sql("SELECT loyalty.set_rank_ranges($merchant, 'espera', '{plata,oro}', '{11,400}')");
		clock_shows(0);
		post($account, 'deposit', 20, "available_at => now() + interval '12 hours'");
		is rank($account), '', "the clock is behind $ahead: pending points count for no rank";
		is breaches(), '', 'all is well';
		clock_shows(13 * $HOUR);
		is rank($account), 'plata plata', 'they do once they are available by the clock';
		is breaches(), '', 'all is well before that is booked';
		post($account, 'deposit', 1);
		is rank($account), 'plata plata', 'and after it';
		is breaches(), '', 'all is well';
		post($account, 'deposit', 400, "available_at => now() + interval '2 hours'");
		sql("SELECT loyalty.recount_ranks($merchant, $program)");
		is breaches(), '', 'counted anew, too';
		clock_shows(2 * $DAY);
		is rank($account), 'oro oro', 'the clock has caught up';
		is breaches(), '', 'all is well';
		sql("UPDATE loyalty_internal.rank_held SET rank = 'oro' WHERE account_id = $account AND rank = 'plata'");
		like breaches(), qr{a rank is held by the points that count / rank "oro" of}, 'and a rank that nobody has earned is found';
		sql("UPDATE loyalty_internal.rank_held SET rank = 'plata' WHERE account_id = $account");
	}
};

# --- what an account has now -------------------------------------------------------------

sub now_of
{
	my ($account) = @_;
	return sql("SELECT concat_ws(' ', b.balance, loyalty.balance_at($merchant, $account, now()), loyalty.balance_at($merchant, $account, clock_timestamp()),
		(SELECT loyalty.sum(points) FROM loyalty.lots_of($merchant, $account)), s.balance) FROM loyalty.balances b, loyalty_internal.account_state($merchant, $account, now()) s WHERE b.account_id = $account");
}

subtest 'the balance of now' => sub {
	clock_shows(0);
	my $account = account(program());
	post($account, 'deposit', 10);
	clock_shows($DAY);
	post($account, 'deposit', 5);
	clock_shows($HOUR);
	is now_of($account), '15 15 15 15 15', 'has what was posted at a later time';
	is sql("SELECT loyalty.balance_at($merchant, $account, now() - interval '1 second')"), 10, 'a moment that is over has not';
	is sql("SELECT loyalty.balance_at($merchant, $account, now() + interval '1 second')"), 15, 'one to come has';
	post($account, 'deposit', 7, "expires_at => now() + interval '1 hour'");
	is now_of($account), '22 22 22 22 22', 'so has what expires before that time';
	clock_shows(3 * $HOUR);
	is now_of($account), '15 15 15 15 15', 'until it has expired by the clock';
	is outcome("SELECT loyalty.post($merchant, $account, 'redeem', '16')"), 'insufficient_points', 'it cannot be spent';
	is post($account, 'redeem', 1), '1 14', 'the rest can';
	is breaches(), '', 'all is well';
};

subtest 'the points outstanding now' => sub {
	clock_shows(0);
	my $program = program();
	my $account = account($program);
	# what a report says of a moment: available, held, pending; and by age, all of them
	my $reported = sub {
		my ($at) = @_;
		return sql("SELECT concat_ws(' ', trim_scale(o.points_available), trim_scale(o.points_held), trim_scale(o.points_pending), '/', trim_scale(a.points), trim_scale(o.points - a.points))
			FROM loyalty_report.outstanding_at($at) o, (SELECT sum(points) AS points FROM loyalty_report.ageing_at($at) WHERE program_key = '$program') a WHERE o.program_key = '$program'");
	};
	my $has = sub { return sql("SELECT concat_ws(' ', balance, held, pending, '/', balance::numeric + held::numeric + pending::numeric, 0) FROM loyalty_internal.account_state($merchant, $account, now())") };
	post($account, 'deposit', 10);
	clock_shows($DAY);
	post($account, 'deposit', 5);
	post($account, 'deposit', 4, "available_at => now() + interval '2 days'");
	sql("SELECT loyalty.hold($merchant, $account, 3)");
	clock_shows($HOUR);
	is $has->(), '12 3 4 / 19 0', 'while the clock is behind the last posting, the account has all of it';
	is $reported->('now()'), '12 3 4 / 19 0', 'so do reports of now';
	is $reported->("now() + interval '1 second'"), '12 3 4 / 19 0', 'and of what is later';
	is $reported->("now() - interval '1 second'"), '10 0 0 / 10 0', 'those of a moment that is over have what there was then';
	post($account, 'deposit', 7, "expires_at => now() + interval '1 hour'");
	is $reported->('now()'), '19 3 4 / 26 0', 'what expires before the last posting is there';
	is sql("SELECT trim_scale(closing) FROM loyalty_report.fact_month WHERE program_key = '$program' ORDER BY month_starts_on DESC LIMIT 1"), 26, 'as in the month so far';
	clock_shows(3 * $HOUR);
	is $reported->('now()'), $has->(), 'until it has expired by the clock';
	is $reported->('now()'), '12 3 4 / 19 0', 'when it is gone';
	clock_shows(4 * $DAY);
	is $reported->('now()'), '16 3 0 / 19 0', 'and what has come since is available';
	is $reported->('now()'), $has->(), 'as the account says';
};

subtest 'what a point is worth' => sub {
	my $worth_now = sub { my ($program) = @_; return sql("SELECT trim_scale(loyalty_internal.point_value($merchant, $program, now()))") };
	my $terms = sub {
		my ($program) = @_;
		return sql("SELECT string_agg(trim_scale(money_per_point) || CASE WHEN valid_from_at < coalesce(valid_until_at, 'infinity') THEN '' ELSE ' never' END, ' ' ORDER BY valid_until_at) FROM loyalty_report.dim_program_version WHERE program_key = '$program'");
	};
	my $change = sub { my ($program, $money) = @_; return sql("SELECT loyalty.configure_program($merchant, $program, '{\"redemption_money\": $money}')") };
	clock_shows(-$HOUR);
	my $program = program();
	post(member($program), 'deposit', 100);
	clock_shows($DAY);
	my $ahead = program();
	$change->($program, 2);
	clock_shows(0);
	is $worth_now->($program), 2, 'goes by the terms in force while the clock is behind when they began';
	$change->($_, 5) for $program, $ahead;
	is $worth_now->($_), 5, 'and by others that took their place then' for $program, $ahead;
	is sql("SELECT trim_scale(money_per_point) || ' ' || trim_scale(closing_money) FROM loyalty_report.fact_month WHERE program_key = '$program' ORDER BY month_starts_on DESC LIMIT 1"), '5 500', 'so say reports';
	is $terms->($program), '1 2 5', 'terms come one after the other';
	is $terms->($ahead), '1 5', 'and the first ones are kept of a program that was created while the clock was ahead';
	$change->($_, 7) for $program, $ahead;
	is $terms->($program), '1 2 5 7', 'so are those of one moment';
	clock_shows(2 * $DAY);
	is $worth_now->($_), 7, 'and the last ones are in force when the clock has caught up' for $program, $ahead;
};

subtest 'a hold' => sub {
	clock_shows($DAY);
	my $account = account(program());
	post($account, 'deposit', 10);
	clock_shows(0);
	my $hold = sql("SELECT entry_id FROM loyalty.hold($merchant, $account, 4, release_at => now() + interval '1 hour')");
	is now_of($account), '6 6 6 6 6', 'holds, although the account was posted to at a later time';
	is outcome("SELECT loyalty.capture($merchant, $account, $hold, 1)"), 'done', 'and can be captured';
	clock_shows(2 * $HOUR);
	is now_of($account), '9 9 9 9 9', 'until it times out by the clock';
	is outcome("SELECT loyalty.capture($merchant, $account, $hold, 1)"), 'unknown_hold', 'then it cannot';
	is breaches(), '', 'all is well';
};

subtest 'points that have expired' => sub {
	my @left;
	for my $back (0, 1)
	{
		clock_shows(0);
		my $program = program('{"shortfall": "refuse"}');
		my ($account, $sender, $friend) = map { account($program) } 1 .. 3;
		my ($sale) = map { sql("SELECT entry_id FROM loyalty.post($merchant, $_, 'accrue', '10', expires_at => now() + interval '1 hour')") } $account, $sender;
		my $gift = sql("SELECT entry_id FROM loyalty.transfer($merchant, $sender, $friend, 4)");
		clock_shows(2 * $HOUR);
		post($_, 'deposit', 4) for $account, $sender, $friend;
		clock_shows(0) if $back;
		is now_of($_), '4 4 4 4 4', 'are gone' . ($back ? ', also when the clock is before their end again' : '') for $account, $sender, $friend;
		is outcome("SELECT loyalty.reverse($merchant, $account, $sale, in_full => true, reference => 'r')"), 'done', 'what was earned';
		is outcome("SELECT loyalty.reverse($merchant, $sender, $gift, in_full => true, reference => 'g')"), 'done', 'and what was sent can be taken back';
		push @left, join ' / ', map { now_of($_) } $account, $sender, $friend;
		is breaches(), '', 'all is well';
	}
	is $left[0], '4 4 4 4 4 / 4 4 4 4 4 / 4 4 4 4 4', 'for which nothing more is taken';
	is $left[1], $left[0], 'whatever the clock says';
};

# --- administration ------------------------------------------------------------------------

subtest 'staff who are refused' => sub {
	my $hire = sub {
		my $answer = $stack->form('/employee/add', {type => 'cajero', employee_name => $_[0], business_name => 'Centro', number => 4_771_000_000 + ++$made, password => "la clave $made"}, {apikey => $key});
		return "$answer->{status} $answer->{json}{code}";
	};
	clock_shows($DAY);
	is $hire->('Ana'), '200 toolusers_01', 'somebody is hired';
	is $hire->('Ana'), '409 err_toolusers_03', 'a name is taken' for 1 .. 10;
	is $hire->('Beto'), '429 too_many_requests', 'ten times in an hour, and nobody is looked at';
	clock_shows($DAY - 600);
	is $hire->('Beto'), '429 too_many_requests', 'nor when the clock steps back by minutes';
	clock_shows(0);
	is $hire->('Beto'), '200 toolusers_01', 'what is a day ahead is not of this hour';
	is $hire->('Beto'), '409 err_toolusers_03', 'a name is taken' for 1 .. 10;
	is $hire->('Carla'), '429 too_many_requests', 'and ten times in an hour is too much again';
};

subtest 'idempotency keys' => sub {
	clock_shows(365 * $DAY);
	my $account = account(program());
	post($account, 'deposit', 1, "idempotency_key => 'k$_'") for 1 .. 3;
	is sql("SELECT loyalty.forget_idempotency_keys($merchant)"), 0, 'none is old';
	clock_shows(0);
	is post($account, 'deposit', 1, "idempotency_key => 'k1'"), '1 1', 'a key of a year ahead is known';
	sql("DELETE FROM loyalty_internal.idempotency_key WHERE merchant_id = $merchant AND key_digest = loyalty_internal.merchant_digest($merchant, 'k3'); SELECT loyalty.forget_idempotency_keys($merchant)");
	is sql("SELECT sum(kilobytes) = (SELECT count(*) FROM loyalty_internal.idempotency_key k WHERE k.merchant_id = $merchant) FROM loyalty_internal.idempotency_space WHERE merchant_id = $merchant"),
		't', 'what was counted a year ahead is counted anew';
};

subtest 'an account to return to' => sub {
	clock_shows($DAY);
	my $program = program();
	my ($a, $b) = map { member($program) } 1 .. 2;
	sql("SELECT loyalty.share_account($merchant, $b, $a); SELECT loyalty.leave_account($merchant, $a)");
	is sql("SELECT account_id FROM loyalty.members WHERE member_id = $b"), $a, 'one who shared an account has it, for the other has left';
	clock_shows(0);
	sql("SELECT loyalty.leave_account($merchant, $b)");
	is sql("SELECT account_id FROM loyalty.members WHERE member_id = $b"), $b, 'and goes back to the own';
	my $c = member($program);
	sql("SELECT loyalty.share_account($merchant, $b, $c); SELECT loyalty.leave_account($merchant, $c)");
	is sql("SELECT account_id FROM loyalty.members WHERE member_id = $b"), $c, 'shares one that was made at an earlier time';
	sql("SELECT loyalty.leave_account($merchant, $b)");
	is sql("SELECT loyalty.leave_account($merchant, $b)"), $c, 'and can return to that, where the member was last';
	is breaches(), '', 'all is well';
};

subtest 'whose an entry is' => sub {
	for my $case (['no step back', 10, 20, 30], ['she buys a day ahead', $DAY, 20, 30], ['she leaves a day ahead', 10, $DAY, 30], ['all is a day ahead but the heir', $DAY, $DAY + 10, 30])
	{
		my ($name, $buys, $leaves, $inherits) = @$case;
		clock_shows(0);
		my $program = program();
		my ($her, $heir, $friend) = map { member($program) } 1 .. 3;
		sql("SELECT loyalty.share_account($merchant, $heir, $her)");
		clock_shows($buys);
		post($her, 'deposit', 10, "reference => 'suyo'");
		sql("SELECT loyalty.transfer($merchant, $her, $friend, 1, 'de ella')");
		clock_shows($leaves);
		sql("SELECT loyalty.leave_account($merchant, $her)");
		clock_shows($inherits);
		post($her, 'deposit', 1, "reference => 'del heredero'");
		sql("SELECT loyalty.transfer($merchant, $her, $friend, 1, 'de él')");
		my $texts = sub { return sql("SELECT string_agg(reference, ', ' ORDER BY reference COLLATE \"C\") FROM $_[0]") };
		my $exported = sub { return $texts->("json_to_recordset(loyalty.export_member($merchant, $_[0]) -> 'entries') e (reference text)") };
		is $exported->($her), 'de ella, suyo', "$name: what is hers";
		is $exported->($heir), 'de él, del heredero', 'what is her heir\'s';
		is sql("SELECT loyalty.erase_member($merchant, $her)"), 't', 'she is erased';
		is $texts->("loyalty.entry WHERE account_id IN ($her, $friend)"), 'de él, de él, del heredero', 'and nobody else, on both sides of transfers';
		is sql("SELECT loyalty.erase_member($merchant, $heir)"), 't', 'so is the heir';
		is $texts->("loyalty.entry WHERE account_id IN ($her, $friend)"), '', 'and nothing is left';
		is breaches(), '', 'all is well';
	}
};

subtest 'an account that changes hands twice' => sub {
	clock_shows($DAY);
	my $program = program();
	my ($a, $b, $c) = map { member($program) } 1 .. 3;
	sql("SELECT loyalty.share_account($merchant, $_, $a)") for $b, $c;
	post($a, 'deposit', 10, "reference => 'de A'");
	sql("SELECT loyalty.leave_account($merchant, $a)");
	clock_shows(0);
	sql("SELECT loyalty.leave_account($merchant, $b)");
	post($a, 'deposit', 1, "reference => 'de C'");
	is sql("SELECT loyalty.erase_member($merchant, $b)"), 't', 'who had it while nothing was posted';
	is sql("SELECT string_agg(reference, ', ' ORDER BY entry_no) FROM loyalty.entry WHERE account_id = $a"), 'de A, de C', 'has no text there';
	is sql("SELECT loyalty.erase_member($merchant, $c)"), 't', 'the last one';
	is sql("SELECT string_agg(reference, ', ' ORDER BY entry_no) FROM loyalty.entry WHERE account_id = $a"), 'de A', 'has those since';
	is breaches(), '', 'all is well';
};

subtest 'space in the ledger' => sub {
	sql("SET loyalty.entry_space = '256kB'");
	clock_shows(10 * $DAY);
	my $program = program();
	my $client = sql("SELECT client_id FROM loyalty.members WHERE member_id = " . member($program));
	my $batch = "SELECT loyalty.seller_deposit($merchant, json_build_array(" . join(', ', ("json_build_object('programId', (SELECT client_id FROM loyalty.programs WHERE program_id = $program), 'memberId', '$client', 'amount', 1, 'comments', repeat('z', 900))") x 60) . ")) -> 0 ->> 'status'";
	my $fill = sub { my $n = 0; $n++ while $n < 12 && sql($batch) eq 'success'; return $n };
	my $first = $fill->();
	cmp_ok $first, '>', 3, 'a day has some';
	cmp_ok $first, '<', 12, 'and no more';
	clock_shows(11 * $DAY);
	my $second = $fill->();
	cmp_ok $second, '>', 3, 'so has the next one';
	for my $day (10, 11, 10, 11)
	{
		clock_shows($day * $DAY + 60);
		is $fill->(), 0, "day $day has none a second time";
	}
	clock_shows(12 * $DAY);
	cmp_ok $fill->(), '>', 3, 'the day after has its own';
	clock_shows(400 * $DAY);
	cmp_ok $fill->(), '>', 3, 'so has one of another year, by a clock that is wrong';
	for my $day (13, 14)
	{
		clock_shows($day * $DAY);
		cmp_ok $fill->(), '>', 3, "day $day has its own all the same";
		is $fill->(), 0, 'and no more';
	}
	sql('RESET loyalty.entry_space');
};

subtest 'what is ended at once does not begin again' => sub {
	my $taken = sub {
		my ($key) = @_;
		return outcome(sprintf q{SELECT loyalty.customer_token('Ajeno', '%s', '%s')}, $carlos, hmac_sha256_hex($carlos, $key));
	};
	my $each = sub { my ($what) = @_; return sql("SELECT string_agg(loyalty.$what, ' ' ORDER BY a) FROM unnest('{ACCOUNTS,CUSTOMER,PAYMENTS}'::text[]) a") };
	my ($today, $ahead) = map { $_ * $DAY } 20, 21;
	clock_shows($today);
	my $stolen = sql("SELECT loyalty.create_app_user($merchant, 'Ajeno')");
	is $taken->($stolen), 'done', 'a key is good';
	clock_shows($ahead);
	my $new = sql("SELECT loyalty.rotate_private_key($merchant, 'Ajeno', '0')");
	is $taken->($stolen), 'kasu_401', 'another takes its place at once';
	clock_shows($today);
	is $taken->($stolen), 'kasu_401', 'and it stays so when the clock was ahead';
	is $taken->($new), 'done', 'the other is good';
	clock_shows($ahead);
	is $each->("revoke_app_user_api($merchant, 'Ajeno', a)::text"), 'true true true', 'what it may call is revoked';
	clock_shows($today);
	is $taken->($new), 'kasu_403', 'and stays so';
	$each->("grant_app_user_api($merchant, 'Ajeno', a, clock_timestamp() + interval '1 hour')::text");
	is $taken->($new), 'done', 'it is granted again, until a time';
	clock_shows($ahead);
	is $each->("revoke_app_user_api($merchant, 'Ajeno', a)::text"), 'false false false', 'which is over when it is revoked';
	clock_shows($today);
	is $taken->($new), 'kasu_403', 'and does not come back';
};

done_testing;

# 54_clock_load.pl - the clock goes back and forth, by seconds to a day, while
# clients of all three APIs post.  Then every request is sent again: it is answered
# as it was, nothing has been posted twice, no cap, limit or quota was exceeded, and
# loyalty.verify() finds nothing.
#
# LOYALTY_CLOCK_ROUNDS=20 (make clocks ROUNDS=20) is a longer run than a test's; for
# LOYALTY_CLOCK_MINUTES at most.  What is expected depends on no order and no speed.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use HTTP::Tiny;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes ();
use Time::Local qw(timegm);

use lib $FindBin::Bin;
use Loyalty;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

my $rounds = $ENV{LOYALTY_CLOCK_ROUNDS} || 2;
my $until = $ENV{LOYALTY_CLOCK_MINUTES} ? time + 60 * $ENV{LOYALTY_CLOCK_MINUTES} : undef;
my ($WORKERS, $REQUESTS) = (4, 8);    # in each round: clients, and what each of them sends
my ($RULE_DAY, $MEMBER_DAY, $KEY_DAY, $PROGRAM_DAY, $REDEMPTIONS) = (21, 40, 60 * $rounds, 12 * $rounds, 3 * $rounds);
my $json = JSON::PP->new->utf8->canonical;

my $stack = Loyalty->start(level => 'http', clock => 1, clock_rate => 1, rate => '100000r/s', isolation => 'read committed');
sub sql { return $stack->psql(@_) }

# --- the clock ---------------------------------------------------------------------

# Around midnight in Mexico City, of 2 June 2027; which days it has shown there.
my $begin_us = 1_000_000 * timegm(0, 0, 6, 2, 5, 2027);
my %days;
sub note_day { return $days{POSIX::floor(($stack->clock_us / 1_000_000 - 6 * 3600) / 86_400)} = 1 }
sub move_clock
{
	my ($seconds) = @_;
	note_day();
	$stack->set_clock($begin_us + int(1_000_000 * $seconds));
	return note_day();
}

# Seconds from there, back and forth; the same ones each time.
my @moments;
srand 42;
for my $span (1, 10, 600, 7_200, 43_200, 86_400) { push @moments, map { $span * (2 * rand() - 1) } 1 .. 4 }
@moments = map { $moments[$_ * 7 % @moments] } 0 .. $#moments;
my $moved = 0;
sub next_moment { return move_clock($moments[$moved++ % @moments]) }

# --- who does business ---------------------------------------------------------------

$stack->set_clock($begin_us - 10 * 86_400_000_000);
my ($merchant, $key, $wallet, $program, $client_id, $staff, $product_program, $private_key) = split /\|/, sql(sprintf q{
	SELECT loyalty.create_merchant('Uno') AS m \gset
	SELECT api_key FROM loyalty.create_api_key(:m) \gset
	SELECT loyalty.set_rank_ranges(:m, 'club', '{plata,oro}', '{100,300}', '{2,3}') \g /dev/null
	SELECT program_id AS p, wallet_key, client_id FROM loyalty.create_wallet(:m, 'Monedero', 10,
		'{"range_group": "club", "rank_window_value": 5, "rank_window_unit": "day", "duration_value": 1, "duration_unit": "day"}') \gset
	SELECT loyalty.publish_rules(:m, :p, '[{"name": "bono", "points": 7, "max_day": %d}]') \g /dev/null
	SELECT loyalty.set_limit(:m, :p, 'member', 'spend', %d), loyalty.set_limit(:m, :p, 'key', 'spend', %d), loyalty.set_limit(:m, :p, 'program', 'add', NULL, %d) \g /dev/null
	SELECT loyalty.set_quota(:m, 'redemptions', %d) \g /dev/null
	SELECT loyalty.employee_add(:m, 'cajero', 'Ana', 'Centro', '4771000001', 'secreto de Ana') AS staff \gset
	SELECT program_id AS k FROM loyalty.create_program(:m, 'Clientes', 'K') \gset
	SELECT loyalty.create_product(:m, 'Vida', '900000', 9, max_payments => 36) \g /dev/null
	SELECT concat_ws('|', :m, :'api_key', :'wallet_key', :p, :'client_id', :staff, :k, loyalty.create_app_user(:m, 'Banco'))},
	$RULE_DAY, $MEMBER_DAY, $KEY_DAY, $PROGRAM_DAY, $REDEMPTIONS);
my @phones = map { 4_772_000_000 + $_ } 1 .. 4;
my @members = map { sql("SELECT loyalty.create_member($merchant, $program, 'Persona $_', phone => '$_') AS id \\gset\nSELECT client_id FROM loyalty.members WHERE member_id = :id") } @phones;
my @curps = qw(CAMC880526HMCBNR04 CAPC200504HMCBXRA2 REAE060617MMCYLVA4);
my %policy;
for my $curp (@curps)
{
	sql("SELECT loyalty.create_customer($merchant, $product_program, '$curp', 'Persona', 'Gil'), loyalty.grant_consent($merchant, '$curp', 'Banco', 'cobranza', '1')");
	$policy{$curp} = sql("SELECT loyalty.open_policy($merchant, '$curp', 'Vida', 36) AS id \\gset\nSELECT policy_number FROM loyalty.policies WHERE policy_id = :id");
}

# --- what clients send -------------------------------------------------------------------

my $http = HTTP::Tiny->new(timeout => Loyalty::HANG_S, keep_alive => 0);
sub send_request
{
	my ($path, $headers, $body) = @_;
	my $answer = $http->request('POST', $stack->url . $path, {headers => $headers, content => $body});
	return ($answer->{status}, $answer->{content});
}

sub form { my ($path, $key_of_request, %field) = @_; return {path => $path, headers => {apikey => $key, 'Content-Type' => 'application/x-www-form-urlencoded', 'Idempotency-Key' => $key_of_request}, body => Loyalty::form_encode(map { $_ => $field{$_} } sort keys %field)} }
sub items { my ($operation, $key_of_request, @items) = @_; return {path => "/v1/seller/$key/$operation", headers => {'Content-Type' => 'application/json', 'Idempotency-Key' => $key_of_request}, body => $json->encode(\@items)} }

# One at random, known by the name of it.
sub any_request
{
	my ($name) = @_;
	my %wallet = (wallet_key => $wallet, phone => $phones[rand @phones], usertool_id => $staff, ticket => $name);
	my $item = sub { my ($n, %more) = @_; return {programId => $client_id, memberId => $members[rand @members], amount => 1 + int rand 20, comments => "$name/$n", %more} };
	my $which = int rand 7;
	return form('/wallet/sale', $name, %wallet, transaction_type => 0, transaction_amount => 10 * int 1 + rand 30) if $which == 0;
	return {%{form('/wallet/sale', $name, %wallet, transaction_type => 1, points_used => 1 + int rand 15)}, redeems => 1} if $which == 1;
	return form('/wallet/balance/update', $name, %wallet, transaction_type => int rand 2, transaction_amount => 1 + int rand 20) if $which == 2;
	return items('deposit', $name, map { $item->($_) } 1 .. 1 + rand 3) if $which == 3;
	return items('redemption', $name, map { my $points = 1 + int rand 9; $item->($_, amount => $points, amountCurrency => $points) } 1 .. 1 + rand 3) if $which == 4;
	return items('accumulation', $name, map { $item->($_, amount => 10 * int 1 + rand 9, amountCurrency => 'MXN') } 1 .. 1 + rand 3) if $which == 5;
	my $curp = $curps[rand @curps];
	return {path => '/api/Payments_V1', curp => $curp, body => {tipo_peticion => 'pagos_psd2', nombre_de_usuario => 'Banco', curp_en_uso => $curp, poliza_en_uso => $policy{$curp},
		referencia => $name, cantidad => 1 + int rand 9, metodo => 'SPEI'}};
}

# Under a token of the moment, which the clock may take away before it is used; and
# what could not be told is asked again, under the same key.
sub ask
{
	my ($request) = @_;
	my ($status, $body);
	for (1 .. 50)
	{
		($status, $body) = $request->{curp} ? ask_with_token($request) : send_request(@$request{qw(path headers body)});
		last unless $status >= 500 || ($request->{curp} && $status =~ /^4[01][18]$/);
	}
	return ($status, $body);
}

sub ask_with_token
{
	my ($request) = @_;
	my %head = ('Content-Type' => 'application/json');
	my ($status, $body) = send_request('/api/Registro_V1', \%head, $json->encode({tipo_peticion => 'token_full', nombre_de_usuario => 'Banco', curp_en_uso => $request->{curp},
		firma_KEY => hmac_sha256_hex($request->{curp}, $private_key)}));
	return ($status, $body) if $status >= 300;
	my $token = $json->decode($body);
	return send_request($request->{path}, {%head, Authorization => "Bearer $token->{token}"}, $json->encode({%{$request->{body}}, token_data => $token->{token_data}}));
}

# --- all at the same time ------------------------------------------------------------------

# Each of the workers runs CODE, which gives lines; the clock goes back and forth
# meanwhile.  All lines.
sub with_workers
{
	my ($code) = @_;
	my %pipe;
	for my $worker (1 .. $WORKERS)
	{
		pipe my $from, my $to or die "pipe: $!\n";
		my $pid = fork // die "fork: $!\n";
		if ($pid == 0)
		{
			close $from;
			my @lines = eval { $code->($worker) };
			print {$to} $@ ? $json->encode({died => "$@"}) . "\n" : map { "$_\n" } @lines;
			close $to;
			POSIX::_exit(0);
		}
		close $to;
		$pipe{$worker} = {pid => $pid, from => $from};
	}
	my ($ready, @texts) = ('');
	vec($ready, fileno $_->{from}, 1) = 1 for values %pipe;
	while (%pipe)
	{
		if (select(my $now = $ready, undef, undef, 0.05))
		{
			for my $worker (grep { vec $now, fileno $pipe{$_}{from}, 1 } keys %pipe)
			{
				next if sysread $pipe{$worker}{from}, $texts[$worker], 65_536, length($texts[$worker] // '');
				vec($ready, fileno $pipe{$worker}{from}, 1) = 0;
				waitpid((delete $pipe{$worker})->{pid}, 0);
			}
			next;
		}
		next_moment();
	}
	return map { $json->decode($_) } map { split /\n/ } grep { defined } @texts;
}

my @asked;
my $played = 0;
for my $round (1 .. $rounds)
{
	last if $until && time >= $until;
	next_moment();
	push @asked, with_workers(sub {
		my ($worker) = @_;
		srand 1_000 * $round + $worker;
		return map {
			my $request = any_request("r$round.$worker.$_");
			my ($status, $body) = ask($request);
			$json->encode({%$request, name => "r$round.$worker.$_", status => $status, answer => $body});
		} 1 .. $REQUESTS;
	});
	$played++;
}
is $played, $rounds, "$rounds rounds" unless $until;
is scalar(@asked), $played * $WORKERS * $REQUESTS, 'all were answered, while the clock was moved ' . $moved . ' times';
my %statuses;
$statuses{$_->{status} // $_->{died}}++ for @asked;
is join(' ', grep { !/^(?:20[0-2]|40[0-9]|41[0-8])$/ } sort keys %statuses), '', 'by what the documents have: ' . join ', ', map { "$statuses{$_} x $_" } sort keys %statuses;
my @done = grep { ($_->{status} // 0) =~ /^2/ } @asked;
for my $api (['/wallet/sale', 'Monedero'], ['/v1/seller', 'IKNIU'], ['/api/Payments', 'KASU'])
{
	cmp_ok scalar(grep { index($_->{path}, $api->[0]) == 0 } @done), '>', 0, "$api->[1] did some";
}

# --- what came of it --------------------------------------------------------------------------

sub check
{
	my ($when) = @_;
	is sql("SELECT string_agg(concat_ws(' / ', invariant, detail), '; ') FROM loyalty.verify()"), '', "$when: verify() finds nothing";

	# By the days of the entries: what is counted of an account is counted for theirs.
	my $day = q{(e.posted_at AT TIME ZONE 'America/Mexico_City')::date};
	is sql("SELECT string_agg(DISTINCT format('%s %s %s', e.account_id, $day, a.day), '; ') FROM loyalty_internal.rule_award a JOIN loyalty.entry e USING (merchant_id, entry_id) WHERE a.day <> $day"),
		'', 'caps count what a sale earned for the day of its entry';
	is sql("SELECT coalesce(max(points), 0) <= $RULE_DAY FROM (SELECT sum(a.points::numeric - a.returned::numeric) AS points FROM loyalty_internal.rule_award a JOIN loyalty.entry e USING (merchant_id, entry_id)
		GROUP BY e.account_id, $day) x"), 't', 'no rule gave anybody more than its max_day';
	is sql("SELECT string_agg(format('%s: %s on %s', account_id, points, day), '; ') FROM (SELECT e.account_id, $day AS day, sum(-e.amount::numeric) AS points FROM loyalty.entry e
		WHERE e.merchant_id = $merchant AND loyalty.entry_kind(e.kind) IN ('redeem', 'adjust') AND e.amount::numeric < 0 GROUP BY 1, 2) x WHERE points > $MEMBER_DAY"), '', 'nobody spent more than the limit of a day';

	# What all share is counted for the latest day that the clock has shown, and never for one before.
	my $days = keys %days;
	my ($added, $spent) = split /\|/, sql("SELECT count(*) FILTER (WHERE e.amount::numeric > 0), coalesce(sum(-e.amount::numeric) FILTER (WHERE e.amount::numeric < 0), 0)
		FROM loyalty.entry e WHERE e.merchant_id = $merchant AND loyalty.entry_kind(e.kind) <> 'expire'");
	cmp_ok $added, '<=', $days * $PROGRAM_DAY, "the program's limit of operations, $PROGRAM_DAY a day, holds for the $days days that the clock has shown";
	cmp_ok $spent, '<=', $days * $KEY_DAY, 'so does that of the key';
	is sql("SELECT string_agg(format('%s %s %s: %s points, %s operations', a.scope, a.direction, a.day, a.points_used, a.operations_used), '; ') FROM loyalty.allowances a JOIN loyalty.limits l
		ON l.program_id = a.program_id AND l.scope = a.scope AND l.direction = a.direction WHERE a.points_used::numeric > l.max_points::numeric OR a.operations_used > l.max_operations"), '', 'and no counter has more than its limit';
	is sql("SELECT remaining FROM loyalty.quotas WHERE merchant_id = $merchant AND resource = 'redemptions'"), $REDEMPTIONS - grep({ $_->{redeems} } @done), 'of the quota is left what was not used';

	# Once each, and in the order in which it was posted.
	my %entries = map { split /\|/ } split /\n/, sql("SELECT coalesce(detail ->> 'comments', reference), count(*) FROM loyalty.entry WHERE merchant_id = $merchant AND coalesce(detail ->> 'comments', reference) IS NOT NULL GROUP BY 1");
	my %expected;
	for my $request (@done)
	{
		next if $request->{curp} || $request->{path} eq '/wallet/balance/update';
		my $items = $request->{path} =~ m{^/v1/} ? $json->decode($request->{answer}) : undef;
		$expected{$_}++ for !$items ? $request->{name} : map { "$request->{name}/" . ($_ + 1) } grep { $items->[$_]{status} eq 'success' } 0 .. $#$items;
	}
	is_deeply \%entries, \%expected, 'what was answered as done is posted once, and nothing else';
	is sql("SELECT count(*) FROM loyalty.entries WHERE merchant_id = $merchant AND kind = 'adjust'"), grep({ $_->{path} eq '/wallet/balance/update' } @done), 'so are corrections, which have no name';
	is sql("SELECT count(*) FROM loyalty.balances b WHERE b.balance OPERATOR(loyalty.<>) loyalty.balance_at(b.merchant_id, b.account_id, now())"), 0, 'the balance of now is that of now';
	my @paid = grep { $_->{curp} } @done;
	is sql("SELECT count(*), coalesce(sum(amount::numeric), 0) FROM loyalty.payments WHERE merchant_id = $merchant"), join('|', scalar @paid, eval { my $sum = 0; $sum += $_->{body}{cantidad} for @paid; $sum }), 'every payment is booked once';
	is sql("SELECT count(*) FROM (SELECT y.balance::numeric AS kept, s.cost::numeric - sum(y.amount::numeric) OVER (PARTITION BY y.policy_id ORDER BY y.payment_no) AS left FROM loyalty.payments y JOIN loyalty.policies s USING (merchant_id, policy_id)) x WHERE kept <> x.left"),
		0, 'and leaves what those before it and it leave';
	return;
}

check('afterwards');
my @again = with_workers(sub {
	my ($worker) = @_;
	return map {
		my ($status, $body) = ask($_);
		$status == $_->{status} && $body eq $_->{answer} ? () : $json->encode({name => $_->{name}, path => $_->{path}, first => "$_->{status} $_->{answer}", again => "$status $body"});
	} map { $done[$_] } grep { $_ % $WORKERS == $worker - 1 } 0 .. $#done;
});
is scalar(@again), 0, 'all ' . @done . ' that were done are answered again as they were' or diag(explain([@again[0 .. ($#again < 4 ? $#again : 4)]]));
check('after all were sent again');

done_testing;

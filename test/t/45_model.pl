# The engine against a model: random operations on programs of different terms,
# while time passes, each checked at once against the rules as Model.pm has them.
#
# LOYALTY_MODEL_OPERATIONS=N makes every run that long, LOYALTY_MODEL_SEED=N
# starts the others from another seed: for a longer search than a test's.
use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use Loyalty;
use Model;
use ModelReader;
use Test::More;

binmode $_, ':encoding(UTF-8)' for Test::More->builder->output, Test::More->builder->failure_output;

use constant {SECOND => 1_000_000, HOUR => 3_600_000_000, DAY => 86_400_000_000};

my $operations = $ENV{LOYALTY_MODEL_OPERATIONS};
my $first_seed = $ENV{LOYALTY_MODEL_SEED} // 1;

my $stack = Loyalty->start(level => 'database', clock => 1);
# One seed has one outcome: they all begin at the same time.
$stack->set_clock(1_709_121_600 * SECOND);	# 2024-02-28 12:00 UTC
my $session = reader($stack);
my %times;		# how often there was what

# --- runs -----------------------------------------------------------------------

# A program with accounts of its own merchant, and another program beside it.
sub start_run
{
	my ($seed, $terms, %option) = @_;
	srand($seed);
	my %program = (zone => 'UTC', expiry => 'rolling', unit => 'day', value => 0, shortfall => 'refuse', reinstatement => 0, pending => 0, decimals => 2,
		rounding => 'half_up', %$terms);
	$program{date} = substr(moment($stack->clock_us + $program{after} * DAY), 0, 10) if $program{after};
	my $merchant = $session->query("SELECT loyalty.create_merchant('Modelo $seed')");
	my %id;
	for my $name (qw(P Q))
	{
		$session->query("SELECT loyalty.create_program($merchant, '$name', '$name')");
		$session->query("SELECT loyalty.configure_program($merchant, '$name', expiry => '$program{expiry}', duration_unit => '$program{unit}',
			duration_value => $program{value}, time_zone => '$program{zone}', shortfall => '$program{shortfall}',
			reinstatement_days => $program{reinstatement}, pending_days => $program{pending},
			decimals => $program{decimals}, rounding => '$program{rounding}'"
			. ($program{date} ? ", expiry_date => '$program{date}'" : '') . ')');
		$id{$name} = $session->query("SELECT program_id FROM loyalty.programs WHERE merchant_id = $merchant AND client_id = '$name'");
	}
	my $run = {
		seed => $seed, merchant => $merchant, program => \%program, model => Model->new, n => 0, log => [], keys => [], free_keys => [], references => 0,
		step => $option{step} // 1, dates => $option{dates}, accounts => [], strangers => [],
	};
	$program{managed} = $program{expiry} ne 'rolling' || $program{value} > 0 || $program{pending} > 0;
	my %other = %program;
	for my $new ((['P', \%program, 'accounts']) x ($option{accounts} // 10), (['Q', \%other, 'strangers']) x 2)
	{
		my ($name, $terms_of, $list) = @$new;
		my $id = $session->query("SELECT loyalty.open_account($merchant, $id{$name})");
		push @{$run->{$list}}, $id;
		$run->{model}->open($id, $terms_of, $stack->clock_us);
	}
	$run->{t} = Model::whole_second($stack->clock_us);
	$stack->advance_clock(($run->{t} - $stack->clock_us) / SECOND);
	$run->{opened} = $run->{t};
	return $run;
}

sub chance { return rand(100) < $_[0] }
sub one_of { return $_[rand @_] }
sub some_points { return 10000 * (1 + int rand 200) + (chance(25) ? int rand 10000 : 0) }

# Mostly a little later; sometimes so that something has just become due.
sub pass_time
{
	my $run = shift;
	my $from = $run->{t};
	my $to = $from;
	my $dice = rand 100;
	if ($dice < 12)
	{
		my @due = grep { defined && $_ > $from } map { Model::next_due($run->{model}->state($_)) } @{$run->{accounts}};
		$to = one_of(sort { $a <=> $b } @due) - (chance(25) ? SECOND : 0) if @due;
		$to = $from if $to > $from + 40 * DAY * $run->{step};
	}
	elsif ($dice < 55) { $to += rand() * 60 * SECOND }
	elsif ($dice < 80) { $to += rand() * HOUR * $run->{step} }
	elsif ($dice < 97) { $to += rand() * DAY * $run->{step} }
	elsif ($dice < 99.7) { $to += rand() * 10 * DAY * $run->{step} }
	else { $to += rand() * 70 * DAY * $run->{step} }
	# Operations are at the beginning of a second, and dates are whole ones.
	my $at = Model::whole_second(int $to);
	$at = Model::whole_second($stack->clock_us) if $at <= $stack->clock_us;
	$stack->advance_clock(($at - $stack->clock_us) / SECOND);
	$run->{t} = $at;
	return;
}

# --- operations -------------------------------------------------------------------

sub arguments
{
	my %named = @_;
	return join '', map { ", $_ => '$named{$_}'" } grep { defined $named{$_} } sort keys %named;
}

sub next_reference { my $run = shift; return 'n' . ++$run->{references} }

sub statement
{
	my ($run, $function, @arguments) = @_;
	my $named = ref $arguments[-1] ? pop @arguments : {};
	$named->{idempotency_key} = $run->{key} if defined $run->{key};
	return "SELECT format('R|%s|%s', version, balance) FROM loyalty.$function(" . join(', ', $run->{merchant}, @arguments) . arguments(%$named) . ')';
}

# A date that points may be given: mostly days to come, sometimes not a whole second.
sub some_date
{
	my ($run, $from) = @_;
	my $days = $run->{dates} ? 900 : 60 * $run->{step};
	return $from + SECOND * int(2 + rand() * $days * 86400) + (chance(30) ? int rand SECOND : 0);
}

sub do_post
{
	my $run = shift;
	my $id = one_of(@{$run->{accounts}});
	my $balance = $run->{model}->seen($id, $run->{t})->{balance};
	my $kind = one_of(qw(accrue accrue accrue deposit deposit redeem redeem redeem adjust adjust));
	my $amount = some_points();
	my (%sql, %o);
	if ($kind eq 'redeem' || $kind eq 'adjust' && chance(50))
	{
		$amount = -$amount;
		$amount = -$balance if $balance > 0 && chance(15);
		$amount = -$balance - 1 if $balance > 0 && chance(5);
	}
	elsif ($kind eq 'accrue' && chance(4))
	{
		$amount = 0;
	}
	my $gives = $kind =~ /accrue|deposit/;
	$o{money} = some_points() if $kind ne 'adjust' && chance(50);
	$o{reference} = one_of(next_reference($run), 'ticket') if chance(50);
	$o{available_at} = some_date($run, $run->{t}) if $gives && chance(20);
	$o{available_at} = $run->{t} - int rand DAY if $gives && chance(2);
	$o{expires_at} = some_date($run, $o{available_at} && $o{available_at} > $run->{t} ? $o{available_at} : $run->{t})
		if $amount > 0 && chance($run->{dates} ? 85 : 25);
	$o{expires_at} = Model::NEVER if $o{expires_at} && chance(5);
	if (chance(5))
	{
		my %wrong = (
			kind => sub { $kind = one_of(qw(expire hold gift transfer mature), '') },
			sign => sub { $amount = -$amount; delete @o{qw(available_at expires_at)} },
			zero => sub { $amount = 0; delete @o{qw(available_at expires_at)} },
			most => sub { $kind = 'deposit', $amount = Model::MOST - ($balance > 0 ? $balance : 0) + 1 if $balance > 0 },
			past => sub { $o{expires_at} = ($o{available_at} && $o{available_at} > $run->{t} ? $o{available_at} : $run->{t}) - int rand DAY },
			date => sub { $o{one_of(qw(expires_at available_at))} = $run->{t} + DAY },
			account => sub { $id = one_of(17, -1, 0) },
		);
		$wrong{one_of(sort keys %wrong)}->();
		delete @o{qw(available_at expires_at)} if $amount > 1e18;
	}
	%sql = %o;
	$sql{$_} = moment($o{$_}) for grep { defined $o{$_} } qw(available_at expires_at);
	$sql{money} = number($o{money}) if defined $o{money};
	return {
		what => "post $kind", accounts => [$id], sql => statement($run, 'post', $id, "'$kind'", "'" . number($amount) . "'", \%sql),
		deed => sub { $_[0]->post($id, $kind, $amount, %o) },
	};
}

sub do_hold
{
	my $run = shift;
	my $id = one_of(@{$run->{accounts}});
	my $balance = $run->{model}->seen($id, $run->{t})->{balance};
	my $amount = $balance > 0 && chance(70) ? 1 + int rand $balance : some_points();
	my $end = $run->{t} + SECOND * int(2 + rand(chance(30) ? 7200 : 20 * 86400)) + (chance(30) ? int rand SECOND : 0);
	$end = undef if chance(5);
	my $dice = rand 100;
	if ($dice < 2) { $amount = one_of(0, -10000) }
	elsif ($dice < 4) { $end = $run->{t} - int rand DAY }
	elsif ($dice < 5) { $id = 17 }
	my %o = (reference => chance(50) ? next_reference($run) : undef);
	return {
		what => 'hold', accounts => [$id], sql => statement($run, 'hold', $id, "'" . number($amount) . "'", {%o, expires_at => defined $end ? moment($end) : undef}),
		deed => sub { $_[0]->hold($id, $amount, $end, %o) },
	};
}

# An open hold, or what is none.
sub some_hold
{
	my $run = shift;
	my @open;
	for my $id (@{$run->{accounts}})
	{
		my $asides = $run->{model}->state($id)->{asides};
		push @open, map { [$id, $_, $asides->{$_}{remaining}, $asides->{$_}{due}] } grep { $asides->{$_}{kind} eq 'hold' } sort { $a <=> $b } keys %$asides;
	}
	return if !@open && chance(80);
	return (one_of(@{$run->{accounts}}), int rand 40, 10000) if !@open || chance(5);
	my ($id, $hold, $left, $due) = @{one_of(@open)};
	my $amount = chance(30) ? undef : chance(15) ? $left : chance(80) ? 1 + int rand $left : some_points();
	$amount = one_of(0, -10000) if $due > $run->{t} + HOUR && chance(2);
	return ($id, $hold, $amount);
}

sub do_capture
{
	my $run = shift;
	my ($id, $hold, $amount) = some_hold($run) or return do_hold($run);
	my %o = (reference => chance(50) ? next_reference($run) : undef, money => chance(50) ? some_points() : undef);
	my %sql = (%o, amount => defined $amount ? number($amount) : undef, money => defined $o{money} ? number($o{money}) : undef);
	return {
		what => 'capture', accounts => [$id], sql => statement($run, 'capture', $id, $hold, \%sql),
		deed => sub { $_[0]->capture($id, $hold, $amount, %o) },
	};
}

sub do_release
{
	my $run = shift;
	my ($id, $hold, $amount) = some_hold($run) or return do_hold($run);
	my %o = (reference => chance(50) ? next_reference($run) : undef);
	my %sql = (%o, amount => defined $amount ? number($amount) : undef);
	return {
		what => 'release', accounts => [$id], sql => statement($run, 'release', $id, $hold, \%sql),
		deed => sub { $_[0]->release($id, $hold, $amount, %o) },
	};
}

sub do_transfer
{
	my $run = shift;
	my ($id, $to) = map { one_of(@{$run->{accounts}}) } 1 .. 2;
	my $balance = $run->{model}->seen($id, $run->{t})->{balance};
	my $amount = $balance > 0 && chance(80) ? 1 + int rand $balance : some_points();
	if (chance(4)) { $to = one_of(@{$run->{strangers}}, 17) }
	elsif ($to ne $id && chance(3)) { $amount = one_of(0, -10000) }
	my %o = (reference => chance(50) ? next_reference($run) : undef);
	my $sql = statement($run, 'transfer', $id, $to, "'" . number($amount) . "'", {%o});
	$sql =~ s/'R\|%s\|%s', version, balance/'R|%s|%s|%s|%s', version, balance, to_version, to_balance/;
	return {what => 'transfer', accounts => [$id, $to], sql => $sql, deed => sub { $_[0]->transfer($id, $to, $amount, %o) }};
}

# An entry and a part of it to be undone.
sub some_part
{
	my $run = shift;
	my ($id, $entry);
	for my $try (1 .. 8)
	{
		$id = one_of(@{$run->{accounts}});
		my $entries = $run->{model}->account($id)->{entries};
		next if @$entries < 2;
		my $age = int(chance(60) ? rand 6 : rand @$entries);
		$entry = $entries->[$age < @$entries - 1 ? @$entries - 1 - $age : 1];
		last if $entry->{kind} =~ /accrue|deposit|redeem|capture/ || $entry->{kind} eq 'transfer' && $entry->{amount} < 0 || chance(4);
	}
	return ($id, 1 + int rand 3, 'n1') unless $entry;
	my $version = $entry->{version};
	my $undone = $run->{model}->account($id)->{undone}{$version};
	my $whole = abs($entry->{amount} || $entry->{aside});
	my $left = $whole - ($undone ? $undone->{points} : 0);
	my %o;
	if ($undone && %{$undone->{parts}} && chance(15))
	{
		my ($reference) = one_of(sort keys %{$undone->{parts}});
		my $part = $undone->{parts}{$reference};
		my @same = ($id, $version, $reference, amount => $part->{asked}, money => $part->{money});
		return chance(50) ? @same : (@same[0 .. 2], defined $part->{asked} && chance(30) ? () : (amount => ($part->{asked} // 0) + 1));
	}
	my $dice = rand 100;
	if ($dice < 45) { $o{amount} = $left > 0 && chance(90) ? 1 + int rand $left : some_points() }
	elsif ($dice < 50) { $o{amount} = $left + 1 }
	elsif ($dice < 75 && $entry->{money})
	{
		my $money_left = $entry->{money} - ($undone ? $undone->{money} : 0);
		$o{money} = $money_left <= 0 ? 1 : chance(30) ? $money_left : chance(90) ? 1 + int rand $money_left : $money_left + 1;
	}
	elsif ($dice < 78) { $o{money} = 10000 }
	elsif ($dice < 79) { %o = (amount => 10000, money => 10000) }
	elsif ($dice < 81 && $left > 0 && $entry->{kind} =~ /accrue|deposit|redeem|capture/) { $o{one_of(qw(amount money))} = one_of(0, -10000) }
	$version = $run->{model}->state($id)->{version} + 1 + int rand 3 if chance(2);
	return ($id, $version, next_reference($run), %o);
}

sub do_reverse
{
	my $run = shift;
	my ($id, $version, $reference, %o) = some_part($run);
	my %sql = map { $_ => number($o{$_}) } grep { defined $o{$_} } keys %o;
	my $entry = $run->{model}->account($id)->{entries}[$version];
	my @peer = $entry && $entry->{peer} ? ($entry->{peer}) : ();
	return {
		what => 'reverse' . ($entry && $entry->{kind} eq 'transfer' ? ' transfer' : ''), accounts => [$id, @peer],
		sql => statement($run, 'reverse', $id, $version, "'$reference'", \%sql),
		deed => sub { $_[0]->reverse($id, $version, $reference, %o) },
	};
}

sub do_expire_due
{
	my $run = shift;
	my @all = sort { $a <=> $b } keys %{$run->{model}{account}};
	return {
		what => 'expire_due', accounts => \@all, sql => "SELECT format('R|%s', loyalty.expire_due($run->{merchant}, 1000))",
		deed => sub { $_[0]->expire_due },
	};
}

# Items of all kinds, by the generators of single operations.
sub some_item
{
	my $run = shift;
	my $id = one_of(@{$run->{accounts}});
	my $dice = rand 100;
	if ($dice < 55)
	{
		my $kind = one_of(qw(accrue accrue deposit redeem redeem adjust));
		my $amount = some_points() * ($kind eq 'redeem' || $kind eq 'adjust' && chance(50) ? -1 : 1);
		$amount = -$amount if chance(2);
		my $money = $kind ne 'adjust' && chance(30) ? some_points() : undef;
		return {account => chance(2) ? 17 : $id, kind => $kind, amount => $amount, money => $money,
			expires_at => $amount > 0 && $kind ne 'redeem' && chance(25) ? some_date($run, $run->{t} + DAY) : undef,
			available_at => $kind =~ /accrue|deposit/ && chance(15) ? $run->{t} + SECOND * int(2 + rand 86000) : undef};
	}
	if ($dice < 65)
	{
		return {account => $id, kind => 'hold', amount => some_points(), expires_at => $run->{t} + SECOND * int(3 + rand 86400)};
	}
	if ($dice < 80)
	{
		my ($of, $hold, $amount) = some_hold($run) or return some_item($run);
		return {account => $of, kind => one_of(qw(capture release)), amount => $amount // 0, origin => $hold};
	}
	if ($dice < 90)
	{
		my ($of, $version, $reference, %o) = some_part($run);
		return {account => $of, kind => 'reverse', amount => $o{amount} // 0, money => $o{money}, origin => $version, reference => $reference};
	}
	return {account => $id, kind => 'transfer', amount => some_points(), peer => one_of(@{$run->{accounts}})};
}

# Points of as many dates as an account has, and a few more.
sub do_many_dates
{
	my $run = shift;
	my @ids = map { ($run->{accounts}[$_]) x (Model::MAX_LOTS - 30 * $_ + 5) } 0 .. $#{$run->{accounts}};
	return do_batch($run, map { {account => $_, kind => 'deposit', amount => some_points(), expires_at => some_date($run, $run->{t} + DAY)} } @ids);
}

sub do_batch
{
	my ($run, @items) = @_;
	@items = map { some_item($run) } 1 .. 2 + int rand 8 unless @items;
	$_->{reference} //= chance(40) ? next_reference($run) : undef for @items;
	my %touched = map { $_ => 1 } grep { defined } map {
		my $entry = $_->{kind} eq 'reverse' ? $run->{model}->account($_->{account})->{entries}[$_->{origin}] : undef;
		($_->{account}, $_->{peer}, $entry ? $entry->{peer} : undef)
	} @items;
	my @arrays = (
		array('bigint', map { $_->{account} } @items), array('text', map { $_->{kind} } @items),
		array('loyalty.points', map { number($_->{amount}) } @items), array('text', map { $_->{reference} } @items), 'NULL',
		array('bigint', map { $_->{origin} } @items), array('bigint', map { $_->{peer} } @items),
		array('loyalty.points', map { defined $_->{money} ? number($_->{money}) : undef } @items),
		map { my $date = $_; array('timestamptz', map { defined $_->{$date} ? moment($_->{$date}) : undef } @items) } qw(expires_at available_at));
	$times{"item $_->{kind}"}++ for @items;
	return {
		what => 'batch', accounts => [sort { $a <=> $b } keys %touched],
		sql => "SELECT format('R|%s|%s|%s', coalesce((SELECT c.sqlstate FROM loyalty.error_codes c WHERE c.code = b.error), ''), b.version, b.balance)
			FROM loyalty.post_batch($run->{merchant}, " . join(', ', @arrays) . ') b ORDER BY b.item',
		deed => sub { $_[0]->batch(@items) },
	};
}

# The same request again, or another one under its key.
sub do_retry
{
	my $run = shift;
	my $kept = @{$run->{keys}} ? one_of(@{$run->{keys}}) : return do_post($run);
	return {what => 'retry', accounts => $kept->{accounts}, sql => $kept->{sql}, answer => $kept->{answer}} if chance(75);
	my $sql = $kept->{sql};
	$sql =~ s/(idempotency_key =>)/reference => 'other', $1/ unless $sql =~ s/reference => '\w*'/reference => 'other'/;
	return {what => 'reused key', accounts => $kept->{accounts}, sql => $sql, deed => sub { die "LY422\n" }} unless $sql =~ /reverse\(/;
	return {what => 'retry', accounts => $kept->{accounts}, sql => $kept->{sql}, answer => $kept->{answer}};
}

# From now on points are issued with other terms.
sub do_configure
{
	my $run = shift;
	my $program = $run->{program};
	return do_post($run) unless $program->{expiry} ne 'fixed' && $program->{value} > 0;
	my $value = 1 + int rand(2 * $program->{value});
	return {
		what => 'configure', accounts => [], sql => "SELECT loyalty.configure_program($run->{merchant}, 'P', duration_value => $value)",
		deed => sub { $program->{value} = $value; return },
	};
}

my @weights = (
	[36, \&do_post], [11, \&do_hold], [9, \&do_capture], [7, \&do_release], [9, \&do_transfer], [14, \&do_reverse],
	[2, \&do_expire_due], [7, \&do_batch], [4, \&do_retry], [0.3, \&do_configure]);

sub some_operation
{
	my $run = shift;
	my $sum = 0;
	$sum += $_->[0] for @weights;
	my $dice = rand $sum;
	for my $weight (@weights)
	{
		return $weight->[1]->($run) if ($dice -= $weight->[0]) < 0;
	}
}

# --- comparing ----------------------------------------------------------------------

# The answers of both, in one form: versions and points by turns; of a batch,
# one item after the other, the SQLSTATE of those that were refused.
sub engine_text
{
	my ($operation, $answer) = @_;
	return $answer->{error} if $answer->{error};
	my @items;
	for my $fields (@{$answer->{results}})
	{
		my @fields = @$fields;
		my $refused = $operation->{what} eq 'batch' ? shift @fields : '';
		push @items, $refused || join ' ', map { $_ % 2 ? ticks($fields[$_]) : $fields[$_] } 0 .. $#fields;
	}
	return join ', ', @items;
}

sub model_text
{
	my ($operation, $error, @results) = @_;
	return $error if $error;
	return join ', ', map { ref $_ ? join ' ', @$_ : $_ } @results if $operation->{what} eq 'batch';
	return join ' ', @results;
}

# What the model makes of an operation at a moment; '' if the engine did the same.
sub compare
{
	my ($run, $operation, $answer, $now) = @_;
	my $deed = $run->{model}->begin($now);
	my @results = eval { $operation->{deed}->($deed) };
	my $error = $@;
	chomp $error;
	die $error if $error && $error !~ /^LY\d{3}$/;
	$operation->{outcome} = $error || 'done';
	# an account may be looked at that has nothing due any more
	@results = ($answer->{results}[0][0]) if $operation->{what} eq 'expire_due' && $results[0] <= $answer->{results}[0][0];
	my $difference = differs('result', model_text($operation, $error, @results), engine_text($operation, $answer));
	my $committed = !$error;
	my %ids = map { $_ => 1 } keys %{$answer->{made}}, $committed ? keys %{$deed->{account}} : ();
	for my $id (sort { $a <=> $b } keys %ids)
	{
		my @expected = $committed ? $deed->made($id) : ();
		my @got = @{$answer->{made}{$id} // []};
		for my $i (0 .. ($#expected > $#got ? $#expected : $#got))
		{
			$difference .= differs("entry of $id", $expected[$i] && entry_text($expected[$i]), $got[$i] && entry_text($got[$i]));
		}
	}
	if ($committed && $difference eq '')
	{
		$times{'refund of points that expired, ' . ($_->{amount} ? 'and others' : 'alone')}++ for grep { $_->{gone} } map { $deed->made($_) } keys %ids;
		$run->{model}->commit($deed);
	}
	return $difference;
}

# The moment of an operation is known when it made an entry; otherwise nothing
# may have become due while it ran, or either way will do.
sub moments
{
	my ($run, $operation, $answer) = @_;
	my %at = map { $_->{at} => 1 } grep { $_->{at} >= $run->{t} } map { @$_ } values %{$answer->{made}};
	return ((sort { $b <=> $a } keys %at), $answer->{now} // $run->{t}, $run->{t});
}

sub compare_seen
{
	my ($run, $answer) = @_;
	my $difference = '';
	for my $id (sort { $a <=> $b } keys %{$answer->{seen}})
	{
		my ($expected, $got) = ($run->{model}->seen($id, $answer->{now}), $answer->{seen}{$id});
		# an account that never had a date or a hold keeps no such sum
		$expected->{earned} = undef unless defined $got->{earned} || $expected->{expired} || $run->{program}{managed};
		$difference .= differs("account $id", seen_text($expected), seen_text($got));
	}
	return $difference;
}

sub known
{
	my ($run, @ids) = @_;
	@ids = grep { $run->{model}->account($_) } @ids;
	return (array('bigint', @ids), array('bigint', map { $run->{model}->state($_)->{version} } @ids));
}

# One operation; how it differs.
sub step
{
	my $run = shift;
	pass_time($run);
	# a key whose request was refused is free again
	$run->{key} = !chance(12) ? undef : @{$run->{free_keys}} && chance(50) ? shift @{$run->{free_keys}} : "k$run->{n}";
	my $operation = $run->{dates} && $run->{n} % 200 == 1 ? do_many_dates($run) : some_operation($run);
	my ($ids, $versions) = known($run, @{$operation->{accounts}});
	my $answer = parse($session->query("$operation->{sql};\nEXECUTE made($run->{merchant}, $ids, $versions);\nEXECUTE seen($run->{merchant}, $ids)"));
	my $difference;
	if ($operation->{answer})
	{
		$difference = differs('retry', $operation->{answer}, engine_text($operation, $answer))
			. join '', map { "entry of a retry: " . entry_text($_) . "\n" } map { @$_ } values %{$answer->{made}};
		$operation->{outcome} = 'done';
	}
	else
	{
		for my $now (moments($run, $operation, $answer))
		{
			my $here = compare($run, $operation, $answer, $now);
			$difference //= $here;
			next if $here ne '';
			$difference = '';
			last;
		}
	}
	$times{$operation->{what}}++ if $operation->{outcome} eq 'done';
	$times{$operation->{outcome}}++;
	$times{"entry $_->{kind}"}++ for map { @$_ } values %{$answer->{made}};
	if (defined $run->{key} && $operation->{sql} =~ /idempotency_key => '$run->{key}'/)
	{
		push @{$run->{free_keys}}, $run->{key} if $answer->{error};
		push @{$run->{keys}}, {sql => $operation->{sql}, accounts => $operation->{accounts}, answer => engine_text($operation, $answer)} unless $answer->{error};
	}
	push @{$run->{log}}, substr("$run->{n} at " . moment($run->{t}) . " $operation->{sql}\n    -> " . engine_text($operation, $answer), 0, 4000);
	shift @{$run->{log}} if @{$run->{log}} > 12;
	$times{'dates in an account'} = (sort { $a <=> $b } $times{'dates in an account'} // 0, map { scalar grep { $_ !~ /never/ } split /,/, $_->{lots} } values %{$answer->{seen}})[-1];
	return $difference || compare_seen($run, $answer);
}

sub check_all
{
	my $run = shift;
	my ($ids) = known($run, sort { $a <=> $b } keys %{$run->{model}{account}});
	return compare_seen($run, parse($session->query("EXECUTE seen($run->{merchant}, $ids)")));
}

# The balance of an account at a moment of its past or future, close to where
# it changed; and some page of its entries.
sub check_past
{
	my $run = shift;
	my $id = one_of(@{$run->{accounts}});
	my $entries = $run->{model}->account($id)->{entries};
	my $at = $run->{opened} + int rand(1.1 * ($run->{t} - $run->{opened}));
	if (@$entries > 1 && chance(75))
	{
		my $entry = $entries->[1 + int rand(@$entries - 1)];
		$at = one_of($entry->{at}, sort { $a <=> $b } keys %{$entry->{lots}}, map { $_->{due} } values %{$run->{model}->state($id)->{asides}}) + one_of(-1, 0, 1);
	}
	return '' if $at >= Model::NEVER - 1;
	my ($before, $most) = (1 + int rand(@$entries), 1 + int rand 5);
	my @page = reverse grep { $_ > 0 } $before - $most .. $before - 1;
	$times{$at > $run->{t} ? 'future' : 'balance_at'}++;
	my ($balance, $versions) = split /\|/, $session->query("SELECT loyalty.balance_at($run->{merchant}, $id, '" . moment($at) . "'),
		(SELECT string_agg(version::text, ' ') FROM loyalty.statement($run->{merchant}, $id, $before, $most))"), -1;
	return differs("balance of $id at " . moment($at), $run->{model}->balance_at($id, $at), ticks($balance))
		. differs("page of $id before $before", join(' ', @page), $versions);
}

sub run
{
	my ($name, $seed, $n, $terms, %option) = @_;
	my $run = start_run($seed, $terms, %option);
	my $difference = '';
	while ($difference eq '' && ++$run->{n} <= $n)
	{
		$difference = step($run);
		$difference ||= check_past($run) if chance(15);
		$difference ||= check_all($run) if $run->{n} % 100 == 0;
	}
	is $difference, '', "$name: $n operations do what the rules say"
		or diag "seed $seed, operation $run->{n}; account, program and the last operations:\n", join("\n", @{$run->{log}});
	is $session->query("SELECT * FROM loyalty.verify($run->{merchant}) LIMIT 20"), '', "$name: the ledger is sound";
	$times{operations} += $n;
	return $run;
}

my @runs = (
	['never, refuse', {}],
	['30 days, partial, reinstated for 5 days', {value => 30, shortfall => 'partial', reinstatement => 5, decimals => 0, rounding => 'half_even'}],
	['end of month, negative, in Mexico', {expiry => 'month_end', unit => 'month', value => 1, shortfall => 'negative', zone => 'America/Mexico_City'}],
	['fixed, negative, reinstated for 10 days', {expiry => 'fixed', after => 400, shortfall => 'negative', reinstatement => 10}],
	['3 days, partial, reinstated for 2, in Madrid', {value => 3, shortfall => 'partial', reinstatement => 2, zone => 'Europe/Madrid', decimals => 1, rounding => 'down'}],
	['end of quarter, refuse, reinstated for 1 day', {expiry => 'quarter_end', value => 20, reinstatement => 1, zone => 'Europe/Madrid', rounding => 'up'}],
	['end of year, partial', {expiry => 'year_end', unit => 'month', value => 0, shortfall => 'partial', zone => 'America/Mexico_City', pending => 2, decimals => 4}],
	['2 months, negative', {unit => 'month', value => 2, shortfall => 'negative', zone => 'America/Mexico_City'}],
);
for my $i (0 .. $#runs)
{
	my ($name, $terms) = @{$runs[$i]};
	run($name, $first_seed + $i, $operations // 2350, $terms, step => $terms->{value} && $terms->{value} == 3 ? 0.3 : 1);
}
run('very many dates', $first_seed + @runs, $operations // 1300, {shortfall => 'negative', reinstatement => 3}, accounts => 2, dates => 1, step => 0.02);

cmp_ok $times{operations}, '>=', 20000, 'that was many operations' unless $operations;
is $times{'dates in an account'}, Model::MAX_LOTS, 'and as many dates as an account can have';
cmp_ok $times{$_} // 0, '>=', 20, "$_ was among them" for
	(map { "post $_" } qw(accrue deposit redeem adjust)), (map { "entry $_" } qw(expire release mature capture reverse transfer)),
	(map { "item $_" } qw(accrue deposit redeem adjust hold capture release reverse transfer)),
	qw(hold capture release transfer reverse expire_due batch retry balance_at future), 'reverse transfer',
	(map { "refund of points that expired, $_" } 'alone', 'and others'),
	map { sprintf 'LY%03d', $_ } 1 .. 5, 9 .. 13, 422;
$session->close;
done_testing;

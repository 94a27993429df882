# ModelSteps.pm - the steps of ModelGame.pm: which there are, what they are in
# SQL, what the model makes of them.
package ModelSteps;

use strict;
use warnings;

use Loyalty;
use Model;
use ModelDays;
use ModelEarning;
use ModelReader;
use Time::Local ();

use constant {HOUR => 3_600_000_000};

sub chance { return rand(100) < $_[0] }
sub one_of { return $_[rand @_] }

# --- terms -----------------------------------------------------------------------------

# Each seed has its zone, expiry, shortfall and so on, and begins some weeks
# before the clocks are changed there.
my @zones = (['America/Havana', '2040-02-25'], ['Europe/Madrid', '2040-03-10'], ['America/Asuncion', '2023-09-20'], ['UTC', '2040-02-20'],
	['America/Mexico_City', '2041-01-20'], ['America/Havana', '2040-10-22'], ['Europe/Lisbon', '2041-10-10'], ['America/Asuncion', '2024-03-10'],
	['Africa/Cairo', '2040-04-12'], ['America/Santiago', '2041-08-25']);
# Days and months come to an end where clocks are changed at midnight, others where they are not.
my @expiries = ([qw(rolling day 3)], [qw(rolling month 1)], [qw(rolling day 8)], [qw(month_end month 0)], [qw(fixed day 0)], [qw(rolling day 2)], [qw(quarter_end day 20)],
	[qw(rolling day 5)], [qw(rolling day 1)], [qw(month_end day 0)], [qw(rolling day 10)], [qw(year_end month 1)], [qw(rolling day 1)], [qw(rolling day 0)]);

sub some_terms
{
	my $seed = shift;
	my ($zone, $begin) = @{$zones[$seed % @zones]};
	my ($expiry, $unit, $value) = @{$expiries[$seed % 20 < 14 ? $seed % 20 : $seed % 20 - 10]};
	my ($year, $month, $day) = split /-/, $begin;
	my %terms = (
		begin => 1_000_000 * Time::Local::timegm_modern(0, 0, 12, $day, $month - 1, $year) + int rand SECOND, zone => $zone, expiry => $expiry, unit => $unit, value => $value,
		shortfall => (qw(refuse partial negative))[$seed % 3], reinstatement => (0, 2, 0, 5, 1)[$seed % 5], pending => (0, 0, 1, 3)[$seed % 4], decimals => (2, 0, 4, 1, 2)[$seed % 5],
		rounding => (qw(half_up half_even down up))[int($seed / 2) % 4], accumulation => one_of([100_000, 1_000_000], [70_000, 300_000]),
		redemption => [10000, 10000], earn_on_points => $seed % 7 == 3 ? 1 : 0, active => 1, unit_active => 1, step => (1, 0.3, 2)[int($seed / 3) % 3],
	);
	if ($seed % 4 != 3)
	{
		$terms{ranks} = [['Plata', 0, 10000], ['Oro', 3_000_000, 15000], ['Platino', 8_000_000, 20000]];
		@terms{qw(window_unit window grace)} = @{(['month', 1, 0], ['day', 4, 2], ['day', 6, 0], ['calendar_year', 1, 2], ['day', 5, 3], ['month', 0, 0], ['day', 10, 1])[3 * $seed % 7]};
		$terms{granted} = 1 if $seed % 2 == 0;
		# a calendar year comes to an end
		$terms{begin} = 1_000_000 * Time::Local::timegm_modern(0, 0, 12, 12, 11, $year) + int rand SECOND if $terms{window_unit} eq 'calendar_year';
	}
	$terms{date} = substr moment($terms{begin} + 30 * DAY), 0, 10 if $expiry eq 'fixed';
	$terms{rules} = some_rules(\%terms) if $seed % 3 != 1;
	$terms{limits} = [{scope => 'member', adds => 1, points => 12_000_000}, {scope => 'member', adds => 0, points => 5_000_000, operations => 6}] if $seed % 5 < 2;
	push @{$terms{limits}}, {scope => 'program', adds => 1, points => 25_000_000, operations => 30}, {scope => 'program', adds => 0, points => 9_000_000, operations => 9} if $seed % 5 == 1 || $seed % 5 == 4;
	$terms{many_dates} = $seed % 10 == 7;
	$terms{name} = join ', ', $zone, $expiry, $terms{shortfall}, map({ $terms{$_} ? $_ : () } qw(reinstatement pending ranks window grace granted rules limits many_dates));
	return \%terms;
}

sub some_rules
{
	my $terms = shift;
	my @rules = (
		{name => 'promo', points => 200_000, expires_unit => 'day', expires_value => 1 + int rand 4, chance(50) ? (max_week => 800_000) : ()},
		{name => 'doble', multiplier => one_of(20000, 15000), days => [1 + int rand 7, 7], max_day => 500_000, chance(50) ? (max_month => 1_500_000) : ()},
		{name => 'tope', points_per => 10000, money_per => 70000, max_member => 6_000_000, max_year => 4_000_000, max_ticket => 1_000_000},
		{name => 'bienvenida', first_purchase => 1, points => 500_000, min_amount => 100_0000},
		$terms->{ranks} ? {name => 'oro', ranks => [one_of('Oro', 'Platino')], points => 100_000} : (),
	);
	return [grep { chance(70) } @rules];
}

my %argument = (zone => 'time_zone', unit => 'duration_unit', value => 'duration_value', date => 'expiry_date', reinstatement => 'reinstatement_days',
	pending => 'pending_days', window_unit => 'rank_window_unit', window => 'rank_window_value', grace => 'rank_grace_days',
	map { $_ => $_ } qw(expiry shortfall decimals rounding active unit_active earn_on_points));

sub terms_arguments
{
	my $terms = shift;
	my %arguments = map { $argument{$_} => $terms->{$_} } grep { defined $terms->{$_} } keys %argument;
	$arguments{range_group} = 'niveles' if $terms->{ranks};
	for my $base (qw(accumulation redemption))
	{
		@arguments{"${base}_points", "${base}_money"} = map { number($_) } @{$terms->{$base}} if $terms->{$base};
	}
	return %arguments;
}

sub quoted { return defined $_[0] ? "'$_[0]'" : 'NULL' }

sub ranges_statement
{
	my @ranks = @{$_[0]};
	my @columns = map { my $i = $_; '{' . join(',', map { $i ? number($_->[$i]) : $_->[0] } @ranks) . '}' } 0 .. 2;
	return 'SELECT loyalty.set_rank_ranges(:m, \'niveles\', ' . join(', ', map { quoted($_) } @columns) . ')';
}

sub limit_statement
{
	my $limit = shift;
	my $points = defined $limit->{points} ? number($limit->{points}) : undef;
	return "SELECT loyalty.set_limit(:m, :p, '$limit->{scope}', '" . ($limit->{adds} ? 'add' : 'spend') . "', " . quoted($points) . ', ' . ($limit->{operations} // 'NULL') . ')';
}

sub rules_statement
{
	my @rules = @{$_[0]};
	my @json;
	for my $rule (@rules)
	{
		my @keys = map {
			my $value = $rule->{$_};
			$value = ref $value ? '[' . join(',', map { /\D/ ? "\"$_\"" : $_ } @$value) . ']'
				: /name|unit/ ? "\"$value\"" : $_ eq 'first_purchase' ? 'true' : $_ eq 'expires_value' ? $value : number($value);
			"\"$_\":$value";
		} sort keys %$rule;
		push @json, '{' . join(',', @keys) . '}';
	}
	return "SELECT loyalty.publish_rules(:m, :p, '[" . join(',', @json) . "]')";
}

# --- chance ------------------------------------------------------------------------------

sub last_decimal { my $game = shift; return 10 ** (4 - $game->{program}{decimals}) }
sub some_points { my $game = shift; my $last = last_decimal($game); return $last * (1 + int rand((chance(70) ? 1_500_000 : 6_000_000) / $last)) }
sub some_money { return chance(40) ? 10000 * (1 + int rand 3000) : 100 * (1 + int rand 300_000) }
sub up_to { my ($game, $most) = @_; my $last = last_decimal($game); return $most < $last ? $most : $last * (1 + int rand($most / $last)) }
sub balance { my ($game, $i) = @_; return $game->{model}->seen($game->{account}[$i], $game->{t})->{balance} }
# Rarely one whose points have moved to a shared account.
sub some_account
{
	my $game = shift;
	return one_of(grep { !moved($game, $_) || chance(4) } 0 .. 4) // 4;
}


# Moments to come at which something changes.
sub moments_to_come
{
	my $game = shift;
	my @moments;
	for my $id (@{$game->{account}}[0 .. 4])
	{
		my $state = $game->{model}->state($id);
		push @moments, map({ Model::date_of($_) } keys %{$state->{lots}}), map { $_->{due} } values %{$state->{reservations}};
		next unless $game->{program}{ranks};
		my $account = Model::copy_of($id, $game->{model}->account($id));
		push @moments, map { ($_->[1], ModelEarning::grace_end($_->[3], $_->[1])) } ModelEarning::ranks_reached($account, $game->{t});
	}
	push @moments, map { map { $_->{until} } @{$game->{model}->account($_)->{grants} // []} } @{$game->{account}}[0 .. 3];
	my @today = local_date($game->{program}{zone}, $game->{t});
	push @moments, midnight($game->{program}{zone}, @today[0, 1], $today[2] + 1);
	my %seen;
	return sort { $a <=> $b } grep { $_ > $game->{t} && $_ < NEVER && !$seen{$_}++ } @moments;
}

# Mostly a little later; often a microsecond before, at or after something.
sub next_moment
{
	my $game = shift;
	my ($t, $scale) = ($game->{t}, $game->{terms}{step});
	my $dice = rand 100;
	return $t + 1 if $dice < 5;
	return $t + 1 + int rand(60 * SECOND) if $dice < 45;
	return $t + 1 + int rand(3 * HOUR * $scale) if $dice < 65;
	return $t + 1 + int rand(DAY * $scale) if $dice < 75;
	return $t + 1 + int rand(5 * DAY * $scale) if $dice < 77;
	my @moments = grep { $_ < $t + 12 * DAY * $scale } moments_to_come($game);
	return $t + 1 + int rand(HOUR) unless @moments;
	my $at = $moments[chance(70) ? 0 : rand @moments] + one_of(-1, 0, 0, 1);
	return $at > $t ? $at : $t + 1;
}

# --- choosing -------------------------------------------------------------------------------

# Entries that can be reversed: [label, account, original], newest last.
sub originals
{
	my $game = shift;
	my @found;
	for my $label (sort { $a <=> $b || $a cmp $b } keys %{$game->{label}})
	{
		my ($i, $entry_no) = @{$game->{label}{$label}};
		my $original = $game->{model}->state($game->{account}[$i])->{originals}{$entry_no};
		push @found, [$label, $i, $original] if $original;
	}
	return @found;
}

sub some_hold
{
	my $game = shift;
	my @open;
	for my $label (sort { $a <=> $b || $a cmp $b } keys %{$game->{label}})
	{
		my ($i, $entry_no) = @{$game->{label}{$label}};
		my $reservation = $game->{model}->state($game->{account}[$i])->{reservations}{$entry_no};
		push @open, [$label, $reservation] if $reservation && $reservation->{kind} eq 'hold' && $reservation->{due} > $game->{t};
	}
	return @open ? @{one_of(@open)} : ();
}

sub some_date
{
	my ($game, $from) = @_;
	return $from + 1 + int rand((chance(60) ? 4 : 40) * DAY * $game->{terms}{step}) if chance(85);
	return chance(50) ? NEVER : $from + DAY;
}

# Who acts for an account, if it is one who shares it.
sub some_member
{
	my ($game, $i) = @_;
	my @sharing = grep { ($game->{model}->account($game->{account}[$_])->{moved_to} // '') eq $game->{account}[$i] } 0 .. 3;
	return @sharing && chance(60) ? one_of(@sharing) : undef;
}

sub post_step
{
	my $game = shift;
	my $i = some_account($game);
	my $kind = one_of(qw(accrue accrue deposit deposit redeem redeem adjust));
	my $balance = balance($game, $i);
	my $amount = some_points($game);
	my %o = (money => $kind ne 'adjust' && chance(60) ? some_money() : undef, member => some_member($game, $i));
	if ($kind eq 'redeem' || $kind eq 'adjust' && chance(60))
	{
		$amount = $balance > 0 && chance(50) ? up_to($game, $balance) : $amount;
		return {op => 'post', a => $i, kind => $kind, amount => -$amount, %o};
	}
	$o{available_at} = $game->{t} + 1 + int rand(3 * DAY) if $kind ne 'adjust' && chance(20);
	$o{expires_at} = some_date($game, $o{available_at} // $game->{t} + ($kind eq 'accrue' && $o{money} ? $game->{program}{pending} * DAY : 0)) if chance(40);
	return {op => 'post', a => $i, kind => $kind, amount => $amount, %o};
}

sub sale_step
{
	my $game = shift;
	my $i = some_account($game);
	my ($balance, $money, $used) = (balance($game, $i), some_money(), 0);
	if ($balance > 0 && chance(30))
	{
		# mostly a part of it; or all, and then the sale earns nothing
		$used = up_to($game, $balance < $money || chance(5) ? $balance : $money);
		$money = $used if chance(30) || $used > $money && chance(80);
	}
	$money = one_of(0, 1, 100) if !$used && chance(4);
	return {op => 'sale', a => $i, money => $money, used => $used, member => some_member($game, $i)};
}

sub hold_step
{
	my $game = shift;
	my $i = some_account($game);
	my $balance = balance($game, $i);
	return {op => 'hold', a => $i, amount => $balance > 0 ? up_to($game, $balance) : some_points($game), expires_at => chance(85) ? $game->{t} + 1 + int rand(6 * DAY * $game->{terms}{step}) : undef};
}

sub of_hold_step
{
	my $game = shift;
	my ($label, $reservation) = some_hold($game) or return hold_step($game);
	my $left = Model::total($reservation->{lots});
	my $op = one_of(qw(capture capture release));
	return {op => $op, hold => $label, amount => chance(35) ? 0 : up_to($game, $left), money => $op eq 'capture' && chance(50) ? some_money() : undef};
}

# Are there points of its dates that expire at another date?
sub has_changed_dates
{
	my ($game, $i, $original) = @_;
	my $state = $game->{model}->state($original->{peer} // $game->{account}[$i]);
	my %posted = map { Model::posted_of($_) => 1 } grep { !/^(\d+):\1$/ } keys %{$state->{lots}};
	return scalar grep { $posted{Model::posted_of($_)} } keys %{$original->{left}};
}

sub reverse_step
{
	my $game = shift;
	my @originals = originals($game);
	@originals = grep { $_->[2]{class} eq 'transfer' } @originals if chance(20);
	my @left = grep { !Model::is_reversed($_->[2]) } @originals;
	@originals = @left if @left && chance(95);
	my @begun = grep { @{$_->[2]{reversed}} } @originals;
	@originals = @begun if @begun && chance(30);
	my @changed = grep { has_changed_dates($game, $_->[1], $_->[2]) } @originals;
	@originals = @changed if @changed && chance(50);
	return post_step($game) unless @originals;
	my ($label, $i, $original) = @{chance(50) ? one_of(@originals) : $originals[-1 - int rand(@originals < 8 ? @originals : 8)]};
	my $left = Model::total($original->{left});
	my %o;
	my $dice = rand 100;
	if ($dice < 40 && $left) { $o{amount} = up_to($game, chance(50) ? $left : int($left / 3)) }
	elsif ($dice < 43) { $o{amount} = $left + last_decimal($game) }
	elsif ($dice < 70 && $original->{money})
	{
		my $money_left = $original->{money} - $original->{by_money};
		$money_left = int($money_left - $original->{money} * $original->{by_points} / $original->{whole}) if $original->{whole};
		$o{money} = $money_left <= 1 ? 1 : chance(30) ? $money_left : chance(92) ? 1 + int rand $money_left : $money_left + 2;
	}
	return {op => 'reverse', entry => $label, reference => "d$game->{n}", %o};
}

sub transfer_step
{
	my $game = shift;
	my ($i, $to) = (some_account($game), some_account($game));
	$to = 5 if chance(3);
	my $balance = balance($game, $i);
	return {op => 'transfer', a => $i, to => $to, amount => $balance > 0 ? up_to($game, $balance) : some_points($game), member => some_member($game, $i)};
}

sub moved { my ($game, $i) = @_; return defined $game->{model}->account($game->{account}[$i])->{moved_to} }

sub pool_step
{
	my $game = shift;
	my @moved = grep { moved($game, $_) } 0 .. 3;
	my $i = int rand 4;
	if (@moved && chance(@moved > 1 ? 80 : 50))
	{
		$i = one_of(@moved);
		my ($shared) = grep { $game->{account}[$_] eq $game->{model}->account($game->{account}[$i])->{moved_to} } 0 .. 4;
		my $balance = balance($game, $shared);
		return {op => 'leave', a => $i, amount => $balance > 0 && chance(60) ? up_to($game, $balance) : 0};
	}
	my $with = ($i + 1 + int rand 3) % 4;
	return sale_step($game) if moved($game, $i) || moved($game, $with);
	return {op => 'share', a => $i, with => $with};
}

# Is there a hold that timed out, of points past their date, and nobody has booked it?
sub has_late_hold
{
	my $game = shift;
	for my $reservation (map { values %{$game->{model}->state($_)->{reservations}} } @{$game->{account}})
	{
		return 1 if $reservation->{kind} eq 'hold' && $reservation->{due} <= $game->{t} && grep { Model::date_of($_) <= $reservation->{due} } keys %{$reservation->{lots}};
	}
	return;
}

# Other terms from now on.
sub configure_step
{
	my $game = shift;
	my $program = $game->{program};
	return {op => 'configure', changes => {active => 1, unit_active => 1}} if !$program->{active} || !$program->{unit_active};
	my %change = (
		reinstatement => sub { int rand 4 },
		shortfall => sub { one_of(qw(refuse partial negative)) },
		pending => sub { int rand 3 },
		zone => sub { $program->{zone} eq $game->{terms}{zone} ? 'UTC' : $game->{terms}{zone} },
		active => sub { 0 },
		unit_active => sub { 0 },
		$program->{expiry} eq 'rolling' && $program->{value} ? (value => sub { 1 + int rand 12 }) : (),
		$program->{window} ? (window => sub { 1 + int rand 12 }) : (),
	);
	my $what = has_late_hold($game) && chance(60) ? 'reinstatement' : one_of(sort keys %change);
	return {op => 'configure', changes => {$what => $change{$what}->()}};
}

sub other_terms_step
{
	my $game = shift;
	my $program = $game->{program};
	return {op => 'rules', rules => some_rules($program)} if $program->{rules} && chance(50);
	return {op => 'ranges', ranks => [['Plata', 0, 10000], ['Oro', 500_000 * (3 + int rand 5), 15000], ['Platino', 500_000 * (10 + int rand 10), 20000]]}
		if $program->{ranks} && chance(70);
	return configure_step($game);
}

sub batch_step
{
	my $game = shift;
	my @items;
	for my $i (1 .. 2 + int rand 6)
	{
		local $game->{n} = "$game->{n}.$i";
		my $item = one_of(\&post_step, \&post_step, \&hold_step, \&of_hold_step, \&reverse_step, \&transfer_step)->($game);
		delete $item->{key};
		push @items, $item if $item->{op} =~ /post|hold|capture|release|reverse|transfer/;
	}
	return {op => 'batch', items => \@items};
}

# As many dates as an account tells apart, and a few more.
sub many_dates_step
{
	my $game = shift;
	my @items = map { {op => 'post', a => 0, kind => 'deposit', amount => some_points($game), expires_at => $game->{t} + 3 * DAY + SECOND * int rand(200 * 86400)} } 1 .. 520;
	return {op => 'batch', items => \@items};
}

# Sales of the seller API.
sub accumulate_step
{
	my $game = shift;
	return {op => 'accumulate', items => [map { [int rand 4, some_money()] } 1 .. 2 + int rand 3]};
}

# A rank is given to a member, or ended.
sub grant_step
{
	my $game = shift;
	return post_step($game) unless $game->{program}{ranks};
	my $number = one_of(-1, 0, 1, 1, 2, 2);
	return {op => 'grant', a => int rand 4, number => $number, until => $number >= 0 && chance(70) ? $game->{t} + 1 + int rand(6 * DAY * $game->{terms}{step}) : undef};
}

sub repeat_step
{
	my $game = shift;
	my @kept = sort { $a <=> $b } grep { defined $game->{sql}{$_} } keys %{$game->{answers}};
	return @kept ? {op => 'repeat', step => one_of(@kept)} : post_step($game);
}

sub ask_step
{
	my $game = shift;
	my @questions;
	my @to_come = moments_to_come($game);
	for (1 .. 8)
	{
		my $i = some_account($game);
		my @entries = @{$game->{model}->account($game->{account}[$i])->{entries}};
		my $at = @entries > 1 && chance(60) ? $entries[1 + int rand(@entries - 1)]{at} : @to_come && chance(80) ? one_of(@to_come) : $game->{t};
		push @questions, [$game->{program}{ranks} && chance(50) ? 'rank' : 'balance', $i, $at + one_of(-1, 0, 1)];
	}
	my $account = $game->{account}[my $i = some_account($game)];
	push @questions, ['simulate', $i, some_money()] unless moved($game, $i) || !$game->{program}{active} || !$game->{program}{unit_active};
	return {op => 'ask', questions => \@questions};
}

sub law_step
{
	my ($game, $n) = @_;
	my @laws = qw(parts batch parts);
	push @laws, 'recount' if $game->{program}{ranks};
	my $law = $laws[$n / 20 % @laws];
	my %step = (op => 'law', law => $law, moments => [$game->{t}, map { $_ + one_of(-1, 0) } grep { defined } (moments_to_come($game))[0 .. 3]]);
	if ($law eq 'parts')
	{
		my @originals = grep { Model::total($_->[2]{left}) > last_decimal($game) && !moved($game, $_->[1]) } originals($game);
		return {op => 'ask', questions => []} unless @originals;
		my ($label, undef, $original) = @{one_of(@originals)};
		my ($left, @parts) = (Model::total($original->{left}));
		while ($left > 0 && @parts < 3)
		{
			push @parts, @parts < 2 ? up_to($game, $left) : $left;
			$left -= $parts[-1];
		}
		return {%step, entry => $label, parts => \@parts};
	}
	$step{items} = batch_step($game)->{items} if $law eq 'batch';
	return \%step;
}

our @weights = ([22, \&post_step], [17, \&sale_step], [7, \&hold_step], [9, \&of_hold_step], [19, \&reverse_step], [7, \&transfer_step], [3, \&pool_step], [2.5, \&configure_step],
	[1, \&other_terms_step], [4, \&batch_step], [3, \&accumulate_step], [3, \&repeat_step], [1.5, \&grant_step], [2, sub { {op => 'expire_due'} }], [9, \&ask_step]);

sub some_step
{
	my ($game, $n) = @_;
	local $game->{n} = $n;
	$game->{t} = next_moment($game);
	my $step;
	my $dice = rand(100) * 1.1;
	for my $weight ($n % 20 == 0 ? () : @weights)
	{
		$step = $weight->[1]->($game) and last if ($dice -= $weight->[0]) < 0;
	}
	$step //= $n % 20 == 0 ? law_step($game, $n) : post_step($game);
	$step = configure_step($game) if $step->{op} ne 'law' && chance(15) && has_late_hold($game);
	$step = many_dates_step($game) if $game->{terms}{many_dates} && $n % 150 == 11;
	# a program does not stay inactive for long
	$step = configure_step($game) if (!$game->{program}{active} || !$game->{program}{unit_active}) && chance(25);
	$step->{key} = "k$n" if $step->{op} =~ /post|sale|hold|capture|release|transfer|reverse/ && chance(12);
	return {%$step, n => $n, at => $game->{t}};
}

# --- in SQL -------------------------------------------------------------------------------------

# Where a label stands: account and entry_no; nothing if the step is not played.
sub place
{
	my ($game, $label) = @_;
	return @{$game->{label}{$label} // []};
}

sub call
{
	my ($step, $function, @arguments) = @_;
	my $named = ref $arguments[-1] ? pop @arguments : {};
	$named->{idempotency_key} = $step->{key};
	my @out = answered("test.entry_no($arguments[0], entry_id)");
	return 'SELECT format(\'R' . ('|%s' x @out) . '\', ' . join(', ', @out) . ") FROM loyalty.$function(" . join(', ', ':m', @arguments,
		map { "$_ => " . quoted_or_name($named->{$_}) } grep { defined $named->{$_} } sort keys %$named) . ')';
}

# What is answered, given the place: points, the balance, and place and balance of the other account.
sub answered { my $place = shift; return ($place, qw(points balance), 'test.peer_no(:m, peer_entry_id)', 'peer_balance') }
sub quoted_or_name { my $value = shift; return $value =~ /^:/ ? $value : quoted($value) }
sub points_of { my $ticks = shift; return quoted(number($ticks)) }
# In SQL what is redeemed is positive, and all there is has a name.
sub amount_of { my $step = shift; return defined $step->{kind} && $step->{kind} eq 'redeem' ? -$step->{amount} : $step->{amount} }
sub in_full { my $step = shift; return $step->{op} =~ /^(capture|release|reverse|transfer)$/ && !$step->{amount} && !($step->{op} eq 'reverse' && defined $step->{money}) }
sub maybe { my ($function, $value) = @_; return defined $value ? $function->($value) : undef }

sub statement
{
	my ($game, $step) = @_;
	my $member = defined $step->{member} ? ":m$step->{member}" : undef;
	my $a = defined $step->{a} ? ":a$step->{a}" : undef;
	my %of = (
		post => sub { call($step, 'post', $a, quoted($step->{kind}), points_of(amount_of($step)),
			{money => maybe(\&number, $step->{money}), member_id => $member, map { $_ => maybe(\&moment, $step->{$_}) } qw(available_at expires_at)}) },
		sale => sub { call($step, 'sale', $a, points_of($step->{money}), {points_used => $step->{used} ? number($step->{used}) : undef, member_id => $member}) },
		hold => sub { call($step, 'hold', $a, points_of($step->{amount}), {release_at => maybe(\&moment, $step->{expires_at})}) },
		transfer => sub { call($step, 'transfer', $a, ":a$step->{to}", points_of($step->{amount}), {member_id => $member}) },
		share => sub { "SELECT loyalty.share_account(:m, :m$step->{a}, :m$step->{with})" },
		leave => sub { "SELECT loyalty.leave_account(:m, :m$step->{a}, " . points_of($step->{amount}) . ')' },
		configure => sub { Loyalty::configure(':m', ':p', map { $argument{$_} => $step->{changes}{$_} } keys %{$step->{changes}}) },
		ranges => sub { ranges_statement($step->{ranks}) },
		rules => sub { rules_statement($step->{rules}) },
		grant => sub { "SELECT loyalty.set_rank(:m, :m$step->{a}, " . quoted($step->{number} < 0 ? '' : $game->{program}{ranks}[$step->{number}][0]) . ', ' . quoted(maybe(\&moment, $step->{until})) . ", 'juego') IS NULL" },
		batch => sub { batch_statement($game, @{$step->{items}}) },
		accumulate => sub { accumulate_statement($step) },
		expire_due => sub { 'SELECT loyalty.expire_due(:m)' },
		repeat => sub { defined $game->{answers}{$step->{step}} ? $game->{sql}{$step->{step}} : undef },
		ask => sub { join(";\n", map { question($_) } @{$step->{questions}}) || undef },
		law => sub { law_statement($game, $step) },
		map { my $op = $_; $op => sub { of_entry($game, $step) } } qw(capture release reverse),
	);
	my $sql = $of{$step->{op}}->();
	$game->{sql}{$step->{n}} = $step->{key} || $step->{op} eq 'reverse' ? $sql : undef if defined $step->{n} && $step->{op} ne 'repeat';
	return $sql;
}

sub of_entry
{
	my ($game, $step) = @_;
	my ($i, $entry_no) = place($game, $step->{hold} // $step->{entry}) or return;
	my %named = map { $_ => maybe(\&number, $step->{$_}) } qw(amount money);
	delete $named{amount} unless $step->{amount};
	$named{in_full} = 'true' if in_full($step);
	$named{reference} = $step->{reference} if $step->{op} eq 'reverse';
	my $entry = "test.entry(:a$i, $entry_no)";
	return call($step, $step->{op}, ":a$i", $entry, \%named);
}

# The items whose entries are there, as post_batch has them.
sub items_of
{
	my ($game, @items) = @_;
	my @resolved;
	for my $item (@items)
	{
		my $label = $item->{hold} // $item->{entry};
		my ($i, $entry_no) = defined $label ? place($game, $label) : ($item->{a});
		next unless defined $i;
		push @resolved, {%$item, a => $i, kind => $item->{kind} // $item->{op}, origin => $entry_no, peer => $item->{to}};
	}
	return @resolved;
}

sub batch_statement
{
	my ($game, @items) = @_;
	@items = items_of($game, @items) or return;
	my $list = sub { my ($type, $function, $key) = @_; return 'ARRAY[' . join(', ', map { defined $_->{$key} ? $function->($_->{$key}) : 'NULL' } @items) . "]::${type}[]" };
	my $as_is = sub { return $_[0] };
	my $account = sub { return ":a$_[0]" };
	my $at = sub { return quoted(moment($_[0])) };
	for my $item (@items)
	{
		$item->{in_full} = in_full($item) ? 'true' : 'false';
		$item->{asked} = amount_of($item) if defined $item->{amount} && !in_full($item);
		$item->{release_at} = delete $item->{expires_at} if $item->{op} eq 'hold';
	}
	$_->{origin_id} = "test.entry(:a$_->{a}, $_->{origin})" for grep { defined $_->{origin} } @items;
	my $accounts = $list->('bigint', $account, 'a');
	my @out = answered("test.entry_no(($accounts)[b.item], b.entry_id)");
	return "SELECT format('R|%s" . ('|%s' x @out) . "', coalesce((SELECT c.sqlstate FROM loyalty.error_codes c WHERE c.code = b.error), ''), " . join(', ', @out) . ")\n  FROM loyalty.post_batch(:m, "
		. join(', ', $accounts, $list->('text', \&quoted, 'kind'), $list->('loyalty.points', \&points_of, 'asked'), 'reference => ' . $list->('text', \&quoted, 'reference'),
			'money => ' . $list->('loyalty.points', \&points_of, 'money'), 'member_id => ' . $list->('bigint', sub { return ":m$_[0]" }, 'member'), (map { "$_ => " . $list->('timestamptz', $at, $_) } qw(available_at expires_at release_at)),
			'entry_id => ' . $list->('bigint', $as_is, 'origin_id'), 'to_account_id => ' . $list->('bigint', $account, 'peer'), 'in_full => ' . $list->('boolean', $as_is, 'in_full')) . ') b ORDER BY b.item';
}

sub accumulate_statement
{
	my $step = shift;
	my @json = map { my ($i, $money) = @$_; "{\"programId\":\"P\",\"memberId\":\"CM$i\",\"amount\":" . number($money) . ',"comments":"x"}' } @{$step->{items}};
	return "SELECT format('R|%s|%s', status, \"totalPoints\") FROM json_to_recordset(loyalty.seller_accumulation(:m, '[" . join(',', @json) . "]')) AS i (status text, \"totalPoints\" text)";
}

sub question
{
	my ($what, $i, $at) = @{$_[0]};
	return "SELECT format('R|simulate|%s=%s', rule, points) FROM loyalty.simulate(:m, :a$i, " . points_of($at) . ') ORDER BY rule COLLATE "C"' if $what eq 'simulate';
	return "SELECT format('R|$what|%s', loyalty.${what}_at(:m, :a$i, " . quoted(moment($at)) . '))';
}

# The same twice on copies: what is there afterwards must be alike.
sub law_statement
{
	my ($game, $step) = @_;
	my $facts = sub { return 'EXECUTE facts(:m, ARRAY[:a0, :a1, :a2, :a3, :a4], ' . array('timestamptz', map { moment($_) } @{$step->{moments}}) . ')' };
	my @ways;
	if ($step->{law} eq 'recount')
	{
		@ways = ("SELECT 'F|changes|'", "SELECT format('F|changes|%s', nullif(changes::text, '[]')) FROM loyalty.recount_ranks(:m, :p)");
	}
	elsif ($step->{law} eq 'batch')
	{
		my @items = items_of($game, @{$step->{items}});
		my $one = sub { my $item = shift; return statement($game, {%$item, n => undef, $item->{op} eq 'post' ? () : (kind => undef)}) };
		@ways = (batch_statement($game, @{$step->{items}}) // return, join ";\n", map { $one->($_) } @{$step->{items}}[grep { items_of($game, $step->{items}[$_]) } 0 .. $#{$step->{items}}]);
	}
	else
	{
		my ($i, $entry_no) = place($game, $step->{entry}) or return;
		my $part = sub { my ($n, $amount) = @_; return "SELECT entry_id FROM loyalty.reverse(:m, :a$i, test.entry(:a$i, $entry_no), " . (defined $amount ? 'amount => ' . points_of($amount) : 'in_full => true') . ", reference => 'ley$n')" };
		@ways = ($part->(0), join ";\n", map { $part->($_, $step->{parts}[$_ - 1]) } 1 .. @{$step->{parts}});
	}
	my $verify = "SELECT format('V|%s', v) FROM loyalty.verify(:m) v";
	return join ";\n", 'BEGIN', map({ ('SAVEPOINT copy', "\\echo 'W|'\n$_", $facts->(), $verify, 'ROLLBACK TO copy') } @ways), 'ROLLBACK';
}

# --- what came of it --------------------------------------------------------------------------------

# The answer in one line: of a batch, one item after the other, the SQLSTATE of those that were refused.
sub answer_text
{
	my ($step, $answer) = @_;
	return '' if $step->{law} || $step->{op} eq 'expire_due' || $step->{op} eq 'grant' && !$answer->{error};
	return $answer->{error} if $answer->{error};
	my @text;
	for my $fields (@{$answer->{results}})
	{
		my @fields = @$fields;
		push @text, $step->{op} eq 'ask' ? ask_text(@fields)
			: $step->{op} eq 'accumulate' ? ($fields[0] eq 'success' ? ticks($fields[1]) : 'error')
			: $step->{op} eq 'batch' && $fields[0] ? $fields[0]
			: join ' ', map { /^-?[\d.]+$/ ? $_ : () } places_and_points($step->{op} eq 'batch' ? @fields[1 .. $#fields] : @fields);
	}
	return join ' ', @text;
}

# Place, points, balance, and place and balance of the other account, if there is one.
sub places_and_points { my @fields = @_; return map { $_ == 0 || $_ == 3 || $fields[$_] eq '' ? $fields[$_] : ticks($fields[$_]) } 0 .. $#fields }
sub ask_text
{
	my ($what, $value) = @_;
	$value =~ s/(-?[\d.]+)$/ticks($1)/e if $what ne 'rank';
	return "$what=$value";
}

# What the model makes of a step.
sub deed
{
	my ($game, $step, $deed) = @_;
	my ($op, $model) = ($step->{op}, $game->{model});
	my $id = sub { return $game->{account}[$_[0]] };
	my %more = (money => $step->{money}, defined $step->{member} ? (member_id => $game->{member}[$step->{member}]) : ());
	my ($i, $entry_no) = place($game, $step->{hold} // $step->{entry} // '');
	return $deed->post($id->($step->{a}), $step->{kind}, $step->{amount}, %more, map { $_ => $step->{$_} } qw(available_at expires_at)) if $op eq 'post';
	return $deed->sale($id->($step->{a}), $step->{money}, $step->{used}, %more) if $op eq 'sale';
	return $deed->hold($id->($step->{a}), $step->{amount}, $step->{expires_at}) if $op eq 'hold';
	return $deed->$op($id->($i), $entry_no, $step->{amount} || undef, %more) if $op =~ /capture|release/;
	return $deed->reverse($id->($i), $entry_no, $step->{reference}, amount => $step->{amount} || undef, money => $step->{money}) if $op eq 'reverse';
	return $deed->transfer($id->($step->{a}), $id->($step->{to}), $step->{amount}, %more) if $op eq 'transfer';
	return $deed->share_account($id->($step->{a}), $id->($step->{with}), $game->{member}[$step->{a}]) if $op eq 'share';
	return $deed->leave_account($id->($step->{a}), $step->{amount}, $game->{member}[$step->{a}]) if $op eq 'leave';
	return $game->{answers}{$step->{step}} if $op eq 'repeat';
	return batch_deed($game, $step, $deed) if $op eq 'batch';
	return accumulate_deed($game, $step, $deed) if $op eq 'accumulate';
	return map { answer_of($game, $deed, $_) } @{$step->{questions}} if $op eq 'ask';
	$deed->expire_due if $op eq 'expire_due';
	$model->configure($game->{program}, $step->{at}, %{$step->{changes}}) if $op eq 'configure';
	$model->configure($game->{program}, $step->{at}, $op => $step->{$op eq 'ranges' ? 'ranks' : $op}) if $op eq 'rules';
	$model->configure($game->{program}, $step->{at}, ranks => $step->{ranks}) if $op eq 'ranges';
	push @{$model->account($id->($step->{a}))->{grants}}, {since => $step->{at}, number => $step->{number}, until => $step->{until} // NEVER} if $op eq 'grant';
	return;
}

sub batch_deed
{
	my ($game, $step, $deed) = @_;
	my @items = map { +{%$_, account => $game->{account}[$_->{a}], peer => defined $_->{peer} ? $game->{account}[$_->{peer}] : undef, amount => $_->{amount} // 0,
		member_id => defined $_->{member} ? $game->{member}[$_->{member}] : undef} } items_of($game, @{$step->{items}});
	return $deed->batch(@items);
}

# Each item for the account that its member uses.
sub accumulate_deed
{
	my ($game, $step, $deed) = @_;
	my @results;
	for my $item (@{$step->{items}})
	{
		my ($i, $money) = @$item;
		my $id = $game->{model}->account($game->{account}[$i])->{moved_to} // $game->{account}[$i];
		my @result = eval { $deed->sale($id, $money, 0, member_id => $game->{member}[$i], reference => '') };
		die $@ if $@ && $@ !~ /^L[YI]\d{3}$/;
		push @results, $@ ? 'error' : $result[2];
	}
	return @results;
}

sub answer_of
{
	my ($game, $deed, $question) = @_;
	my ($what, $i, $at) = @$question;
	my $id = $game->{account}[$i];
	my $account = Model::copy_of($id, $game->{model}->account($id));
	return "balance=" . $game->{model}->balance_at($id, $at) if $what eq 'balance';
	return "rank=" . ModelEarning::rank_at($account, $at) if $what eq 'rank';
	my $rules = ModelEarning::sale($account, $at, $at, $game->{t})->{rules};
	return map { "simulate=$_=$rules->{$_}" } sort keys %$rules;
}

# The entries that a step made, to be named by later ones.
sub label
{
	my ($game, $step, @results) = @_;
	my ($op, $n) = @{$step}{qw(op n)};
	if ($op eq 'batch')
	{
		my @items = items_of($game, @{$step->{items}});
		for my $k (0 .. $#items)
		{
			$game->{label}{"$n." . ($k + 1)} = [$items[$k]{a}, $results[$k][0]] if ref $results[$k];
		}
	}
	elsif ($op eq 'leave' || $op eq 'share')
	{
		my $i = $op eq 'share' ? $step->{a} : undef;
		return unless @results;
		my $entry = $game->{model}->account($game->{account}[$step->{a}])->{entries}[$results[$op eq 'share' ? 0 : 3]];
		($i) = grep { $game->{account}[$_] eq $entry->{peer} } 0 .. 4 unless defined $i;
		$game->{label}{$n} = [$i, $results[0]];
	}
	elsif ($op =~ /post|sale|hold|capture|transfer/)
	{
		my $i = $step->{a} // (place($game, $step->{hold}))[0];
		$game->{label}{$n} = [$i, $results[0]];
		$game->{label}{"$n.0"} = [$i, $results[0] - 1] if $op eq 'sale' && $step->{used};
	}
	return;
}

# Whether two copies that must be alike differ; '' if not, or if the first way was refused.
sub law_broken
{
	my ($step, $answer) = @_;
	my @ways = @{$answer->{ways}};
	return join '', 'verify: ', map { "$_\n" } map { @{$_->{broken}} } @ways if grep { @{$_->{broken}} } @ways;
	return "$step->{law}: two ways, but " . scalar(@ways) . "\n" if @ways != 2;
	return '' if $step->{law} eq 'parts' && @{$ways[0]{errors}};
	my ($first, $second) = map { join "\n", $step->{law} eq 'parts' ? () : @{$_->{answers}}, @{$_->{facts}} } @ways;
	$second = join "\n", @{$ways[1]{errors}} if $step->{law} eq 'parts' && @{$ways[1]{errors}};
	return '' if $first eq $second;
	my %there = map { $_ => 1 } split /\n/, $second;
	my %here = map { $_ => 1 } split /\n/, $first;
	return "law of $step->{law}: one way\n" . join('', map { "  $_\n" } grep { !$there{$_} } split /\n/, $first) . "the other way\n" . join '', map { "  $_\n" } grep { !$here{$_} } split /\n/, $second;
}

1;

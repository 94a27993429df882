# ModelEarning.pm - what Model.pm says of earning: what counted until a moment,
# ranks, rules and limits of the day.
package ModelEarning;

use strict;
use warnings;

use Math::BigInt;
use ModelDays;

# A quotient, as the program shows points; at most so many.
sub rounded
{
	my ($program, $dividend, $divisor, $most) = @_;
	my $last = 10 ** (4 - $program->{decimals});
	my $of = $divisor->copy->bmul($last);
	my ($points, $rest) = $dividend->copy->bdiv($of);
	my $more = $rest->copy->bmul(2)->bcmp($of);
	my $rounding = $program->{rounding};
	$points->binc if !$rest->is_zero && $rounding eq 'up' || $rounding =~ /^half/ && $more > 0
		|| $more == 0 && ($rounding eq 'half_up' || $rounding eq 'half_even' && $points->is_odd);
	$points = $points->bmul($last)->numify;
	return defined $most && $most < $points ? $most : $points;
}

# --- what counted ------------------------------------------------------------------

# What an account had earned until a moment: [when it became available, points],
# without what was reversed until then.
sub counted
{
	my ($account, $until) = @_;
	my @counted;
	for my $original (grep { $_->{class} eq 'earned' && $_->{at} <= $until && $_->{available_at} <= $until } values %{$account->{state}{originals}})
	{
		my $points = $original->{whole};
		$points -= $_->[1] for grep { $_->[0] <= $until } @{$original->{reversed}};
		push @counted, [$original->{available_at}, $points] if $points > 0;
	}
	return @counted;
}

sub earned { my $sum = 0; $sum += $_->[1] for counted(@_); return $sum }

# Until when points of a moment count for ranks.
sub window_end
{
	my ($terms, $at) = @_;
	my ($unit, $value) = @{$terms}{qw(window_unit window)};
	return midnight($terms->{zone}, (local_date($terms->{zone}, $at))[0] + $value, 1, 1) if $unit eq 'calendar_year';
	return life_end($terms, $at, $unit, $value);
}

# The ranks that were reached until a moment: [from, to, number], counted from 0;
# -1 is none.  Each period of terms goes by its own.
sub ranks_reached
{
	my ($account, $until) = @_;
	my @counted = counted($account, $until);
	my $program = $account->{program};
	my @periods = @{$program->{terms} // [[0, $program]]};
	my @reached;
	for my $i (0 .. $#periods)
	{
		my ($from, $terms) = @{$periods[$i]};
		my $to = $i < $#periods ? $periods[$i + 1][0] : NEVER;
		last if $from > $until;
		my %change = ($from => 0);
		for my $counted (@counted)
		{
			my ($at, $points) = @$counted;
			my $end = $terms->{window} ? window_end($terms, $at) : NEVER;
			my $begin = $at > $from ? $at : $from;
			next if $begin >= $to || $end <= $begin;
			$change{$begin} += $points;
			$change{$end} -= $points if $end < $to;
		}
		my @moments = sort { $a <=> $b } keys %change;
		my $sum = 0;
		for my $j (0 .. $#moments)
		{
			$sum += $change{$moments[$j]};
			my $number = grep { $sum >= $_->[1] } @{$terms->{ranks} // []};
			push @reached, [$moments[$j], $moments[$j + 1] // $to, $number - 1, $terms];
		}
	}
	return grep { $_->[0] <= $until } @reached;
}

# How long a rank is held whose points ceased to count at a moment: so many days
# longer, to the same local time.
sub grace_end
{
	my ($terms, $end) = @_;
	return $end if !$terms->{grace} || $end == NEVER;
	return same_time($terms->{zone}, $end, $terms->{grace});
}

# The number of the rank that was held at a moment; -1: none.
sub rank_number
{
	my ($account, $at) = @_;
	my @reached = ranks_reached($account, $at);
	my ($highest) = sort { $b <=> $a } -1, map { $_->[2] } grep { $at < grace_end($_->[3], $_->[1]) } @reached;
	# what was given after registration stands to its end, whatever is earned
	my ($grant) = grep { $_->{since} <= $at } reverse @{$account->{grants} // []};
	return $grant->{number} > $highest && $at < $grant->{until} ? $grant->{number} : $highest if $grant;
	my $granted = $account->{granted};
	$highest = $granted if defined $granted && $granted > $highest && !grep { $_->[2] > $granted } @reached;
	return $highest;
}

sub rank_at
{
	my ($account, $at) = @_;
	my $number = rank_number($account, $at);
	return $number < 0 ? '' : $account->{program}{ranks}[$number][0];
}

# --- what a sale earns -----------------------------------------------------------------

# What points used are worth in money.
sub worth
{
	my ($program, $points) = @_;
	my ($of, $money) = @{$program->{redemption} // [10000, 10000]};
	return rounded({decimals => 4, rounding => $program->{rounding}}, Math::BigInt->new($points)->bmul($money), Math::BigInt->new($of));
}

# Does a rule apply to a sale of so much money?
sub applies
{
	my ($account, $rule, $money, $rank, $now) = @_;
	my $program = $account->{program};
	my (undef, $minute, $hour, undef, undef, undef, $weekday) = local_time($program->{zone}, $now);
	return if $rule->{days} && !grep { $_ == ($weekday || 7) } @{$rule->{days}};
	return if defined $rule->{min_amount} && $money < $rule->{min_amount};
	return if $rule->{ranks} && ($rank < 0 || !grep { $_ eq $program->{ranks}[$rank][0] } @{$rule->{ranks}});
	return if $rule->{first_purchase} && has_bought($account);
	return 1;
}

# Is there a sale of which something is left?
sub has_bought
{
	my $account = shift;
	return scalar grep { ($_->{kind} // '') eq 'accrue' && !Model::is_reversed($_) } values %{$account->{state}{originals}};
}

# {points, lots, uses} of a sale of so much money, of which so much was paid with it.
sub sale
{
	my ($account, $paid, $money, $now) = @_;
	my $program = $account->{program};
	my $rank = rank_number($account, $now);
	my ($per, $of) = @{$program->{accumulation} // [100_000, 1_000_000]};
	my $base = rounded($program, Math::BigInt->new($paid)->bmul($per), Math::BigInt->new($of));
	my $times = sub { my $multiplier = shift; return rounded($program, Math::BigInt->new($base)->bmul($multiplier), Math::BigInt->new(10000)) };
	my $available_at = $now + $program->{pending} * DAY;
	my $date = expiry($program, $available_at);
	my %earned = (points => $times->($rank < 0 ? 10000 : $program->{ranks}[$rank][2]), uses => {});
	$earned{rules} = {'' => $earned{points}};
	$earned{lots}{"$date:$date"} = $earned{points} if $earned{points};
	my $used = $account->{state}{uses};
	for my $rule (grep { applies($account, $_, $money, $rank, $now) } @{$program->{rules} // []})
	{
		my $points = defined $rule->{points} ? $rule->{points}
			: defined $rule->{multiplier} ? $times->($rule->{multiplier} - 10000)
			: rounded($program, Math::BigInt->new($paid)->bmul($rule->{points_per}), Math::BigInt->new($rule->{money_per}));
		my $name = $rule->{name};
		# a day that was counted never goes back
		my ($day, $newest) = (day_number($program->{zone}, $now), $used->{"$name newest"} // 0);
		$day = $newest if $newest > $day;
		my %period = periods($day);
		for my $cap ([max_ticket => 0], map({ ["max_$_" => $used->{"$name $period{$_}"} // 0] } keys %period), [max_member => $used->{$name} // 0])
		{
			my ($key, $so_far) = @$cap;
			next unless defined $rule->{$key};
			my $most = $rule->{$key} > $so_far ? $rule->{$key} - $so_far : 0;
			$points = $most if $most < $points;
		}
		next if $points <= 0;
		my $own = $rule->{expires_unit} ? life_end($program, $available_at, @{$rule}{qw(expires_unit expires_value)}) : $date;
		$earned{points} += $points;
		$earned{lots}{"$own:$own"} += $points;
		$earned{rules}{$name} = $points;
		$earned{uses}{$name} = [$points, $day] if grep { defined $rule->{"max_$_"} } 'member', keys %period;
	}
	return \%earned;
}

# --- limits of the day --------------------------------------------------------------------

sub day_of { my ($account, $at) = @_; return sprintf '%d%02d%02d', local_date($account->{program}{zone}, $at) }

# What a subject has moved on its day, to be changed with the deed.  A day never
# goes back, also if a change of time zone puts the clock before midnight again.
sub counter
{
	my ($deed, $key, $day) = @_;
	my $counter = $deed->{used}{$key} //= {%{$deed->{model}{used}{$key} // {day => 0}}};
	%$counter = (day => $day, points => 0, operations => 0) if $day > $counter->{day};
	return $counter;
}

# Count what an account's member adds or spends today, and with it all of the
# program; when, and where.
sub count
{
	my ($deed, $account, $adds, $points, %o) = @_;
	my %subject = (member => $o{member_id} // $account->{member} // $account->{id}, staff => $o{staff_id}, program => '');
	my %counters;
	for my $limit (grep { $_->{adds} == $adds && defined $subject{$_->{scope}} } @{$account->{program}{limits} // []})
	{
		my $key = join ' ', $limit->{scope}, $subject{$limit->{scope}}, $adds;
		my $used = $counters{$key} = counter($deed, $key, day_of($account, $deed->{now}));
		Model::refuse('LY008') if defined $limit->{points} && $used->{points} + $points > $limit->{points}
			|| defined $limit->{operations} && $used->{operations} + 1 > $limit->{operations};
	}
	$_->{points} += $points, $_->{operations}++ for values %counters;
	return {at => $deed->{now}, keys => [keys %counters]};
}

# Give so much of it back, if it is still the day; the operation with the last of it.
sub give_back
{
	my ($deed, $account, $counted, $points, $is_last) = @_;
	my $day = day_of($account, $deed->{now});
	for my $used (map { counter($deed, $_, $day) } day_of($account, $counted->{at}) eq $day ? @{$counted->{keys}} : ())
	{
		next if $used->{day} > $day;
		$used->{points} -= $points;
		$used->{operations}-- if $is_last;
	}
	return;
}

1;
